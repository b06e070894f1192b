"""A process beside rank 0 of MPI, which tells which rank was lost: mpiexec ends all others before one of them can.

Ranks connect to it and send their number; rank 0 gets a byte once all have. It ends once rank 0 sends a byte more. Where rank 0
ends without, it says what it knows.
"""

import select
import socket
import sys
from contextlib import suppress


def watch(listener: socket.socket, size: int, processes: str) -> None:
    """size : how many ranks there are. processes : which process each is."""
    events, lines = select.epoll(), {}
    events.register(listener, select.EPOLLIN)
    ended: list[int] = []  # in their order: that of epoll, however late this process gets a core
    while 0 not in ended:
        for ready, _ in events.poll():
            if ready == listener.fileno():
                line, _ = listener.accept()
                lines[line.fileno()] = line, int.from_bytes(line.recv(4), "little")
                events.register(line, select.EPOLLIN)
                if len(lines) == size:
                    with suppress(OSError):
                        next(line for line, rank in lines.values() if rank == 0).send(b".")
            elif lines[ready][0].recv(1):
                return
            else:
                ended.append(lines[ready][1])
                events.unregister(ready)
    which = f"rank {ended[0]}" if len(lines) == size else "a rank"
    sys.stderr.write(f"fastlec: {which} was lost; ranks: {processes}\n")


if __name__ == "__main__":
    watch(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]), sys.argv[3])
