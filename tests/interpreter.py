"""Processes of tests, most of them code in an interpreter of its own: for what happens at import, in forked children and to a whole
process."""

import os
import signal
import subprocess
import sys
import textwrap
from contextlib import contextmanager

for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):  # here, for only the main thread can
    if signal.getsignal(number) is signal.SIG_IGN:  # as under nohup; children inherit it, and nothing that is caught
        signal.signal(number, lambda *_: None)


@contextmanager
def started(command, **options):
    """The running process of this command, in a session of its own, its output as text. Signals have their default action in it.

    When the block ends, or the tests themselves do, in whatever way (an assertion, a time limit, Ctrl-C, SIGKILL), it is killed
    with all that it started.
    """
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | options
    with subprocess.Popen(command, start_new_session=True, **options) as process:
        kill = f"read _; kill -s KILL -- -{process.pid}"  # reads until its pipe is closed, here or by our end
        with subprocess.Popen(["sh", "-c", kill], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True):
            yield process


def finished(command, *, timeout=120, **options):
    """The finished process of this command: its returncode, stdout and stderr."""
    with started(command, **options) as process:
        out, err = process.communicate(timeout=timeout)
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def run(code, *, timeout=120, flags=("-W", "error"), cwd=None, **environment):
    """The finished process of this code. No FASTLEC_* or OMP_* variable but those given."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("FASTLEC_", "OMP_"))}
    command = [sys.executable, "-P", *flags, "-c", textwrap.dedent(code)]  # -P: not the folder fastlec of where we are
    return finished(command, timeout=timeout, cwd=cwd, env=kept | environment)


def output(code, **options):
    """What this code prints. It must succeed and leave stderr empty."""
    done = run(code, **options)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.strip()
