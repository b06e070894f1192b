"""Standard output and standard error that may end before the command does."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress


class Output:
    """A text stream around another one, for a command that goes on whatever becomes of what it prints: a reader that leaves, such
    as head, must not cost a training its model.

    Once the other stream has failed, everything is dropped. failure : why, an OSError or ValueError, or None.
    """

    def __init__(self, stream):
        self._stream, self.failure = stream, None

    def write(self, text: str) -> int:
        encoding = getattr(self._stream, "encoding", None) or "utf-8"
        self._attempt(self._stream.write, text.encode(encoding, "backslashreplace").decode(encoding))  # names hold any bytes
        return len(text)

    def flush(self) -> None:
        self._attempt(self._stream.flush)

    def __getattr__(self, name: str):
        return getattr(self._stream, name)

    def _attempt(self, act: Callable, *args) -> None:
        if self.failure is None:
            try:
                act(*args)
            except (OSError, ValueError) as error:  # ValueError: it is closed
                self.failure = error
                with suppress(OSError, ValueError), open(os.devnull, "wb") as nowhere:
                    os.dup2(nowhere.fileno(), self._stream.fileno())  # for what its buffer holds when Python ends


@contextmanager
def outlasting() -> Iterator[Output]:
    """``sys.stdout``, which is returned, and ``sys.stderr`` as an :class:`Output` for a while, flushed in the end. Where one is
    closed it leads nowhere: else the next file that is opened would be taken for it."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # which takes the lowest number that is free
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = outputs = [Output(stream or open(os.devnull, "w")) for stream in before]  # noqa: SIM115
    try:
        yield outputs[0]
    finally:
        for output in outputs:
            output.flush()
        sys.stdout, sys.stderr = before
