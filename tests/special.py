"""Files of every kind that must not be read, for the tests of what reads."""

import os
import socket


def special_files(suffix):
    """{name: what is wrong with it}, made in the folder that the test runs in, each ending with suffix."""
    os.mkfifo(f"pipe{suffix}")
    os.symlink(f"pipe{suffix}", f"link{suffix}")
    os.symlink("/dev/zero", f"zero{suffix}")
    os.symlink(f"loop{suffix}", f"loop{suffix}")
    os.mkdir(f"folder{suffix}")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"socket{suffix}")
    found = {name: "not a regular file" for name in ("pipe", "link", "zero")}
    found |= {"loop": "Too many levels", "folder": "Is a directory", "socket": "No such device", "nowhere": "No such file"}
    return {f"{name}{suffix}": text for name, text in found.items()}
