"""A communicator over TCP: every rank sends its array to rank 0, which adds them in the order of the ranks and sends the sum back.

A rank whose connection closes has ended: rank 0 tells the others.
"""

from __future__ import annotations

import secrets
import socket
import struct
from contextlib import suppress

import numpy as np

from ._comm import RankError

HEADER = struct.Struct("<BQ")  # what follows, and how many bytes of it
SUM, FAILURE = 1, 2
PATIENCE = 60.0  # seconds for all ranks to come


class Listener:
    """Where rank 0 can be reached: `address`, (host, port, token)."""

    def __init__(self, host: str):
        self.socket = socket.create_server((host, 0))
        self.token = secrets.token_bytes(16)  # whoever else finds the port is sent away
        self.address = host, self.socket.getsockname()[1], self.token


class Star:
    """The communicator of one rank. listener : of rank 0; address : its address, for the others."""

    def __init__(self, rank: int, size: int, *, listener: Listener | None = None, address=None):
        self.rank, self.size = rank, size
        self._others: list[socket.socket] = []  # those of ranks 1, 2, ... in rank 0; else that of rank 0
        self._failure: str | None = None
        if listener is None:
            host, port, token = address
            there = socket.create_connection((host, port), PATIENCE)
            there.sendall(token + struct.pack("<Q", rank))
            self._others = [_ready(there)]
        else:
            with listener.socket:
                self._others = _arrivals(listener, size)

    def allreduce(self, array: np.ndarray) -> np.ndarray:
        """The sum over the ranks, in place; `RankError` once a rank has failed."""
        if self._failure:
            raise RankError(self._failure)
        data = memoryview(array.reshape(-1).view(np.uint8)) if array.size else memoryview(b"")
        if self.rank:
            self._send(self._others[0], 0, SUM, data)
            self._receive(self._others[0], 0, data)
            return array
        theirs = np.empty_like(array)
        taken = memoryview(theirs.reshape(-1).view(np.uint8)) if array.size else memoryview(bytearray())
        for rank, other in enumerate(self._others, 1):
            self._receive(other, rank, taken)
            np.add(array, theirs, out=array)
        for rank, other in enumerate(self._others, 1):
            self._send(other, rank, SUM, data)
        return array

    def fail(self, text: str) -> None:
        """Tell the other ranks that this one has failed."""
        if self._failure is None:
            self._failure, data = text, text.encode()
            for other in self._others:
                with suppress(OSError):
                    other.sendall(HEADER.pack(FAILURE, len(data)) + data)

    def close(self) -> None:
        for other in self._others:
            other.close()

    def _send(self, other, rank, kind, data) -> None:
        try:
            other.sendall(HEADER.pack(kind, len(data)))
            other.sendall(data)
        except OSError as error:
            with suppress(RankError, OSError):  # what it has said before it went
                self._receive(other, rank, None)
            self._lost(rank, error)

    def _receive(self, other, rank, data) -> None:
        try:
            kind, size = HEADER.unpack(_exactly(other, memoryview(bytearray(HEADER.size))))
            if kind == FAILURE:
                text = bytes(_exactly(other, memoryview(bytearray(size)))).decode(errors="replace")
                self.fail(text)
                raise RankError(text)
            if data is None or size != len(data):
                text = f"rank {rank} sums {size} bytes; rank {self.rank} expected as many as its own"
                self.fail(text)
                raise RankError(text)
            _exactly(other, data)
        except OSError as error:
            self._lost(rank, error)

    def _lost(self, rank, error) -> None:
        self.fail(f"rank {rank} was lost: {error}")
        raise RankError(self._failure)


def _arrivals(listener: Listener, size: int) -> list[socket.socket]:
    """The connections of the other ranks, in their order. RankError unless all come in time."""
    found: dict[int, socket.socket] = {}
    while len(found) < size - 1:
        listener.socket.settimeout(PATIENCE)
        try:
            there, _ = listener.socket.accept()
            there.settimeout(PATIENCE)
            said = bytes(_exactly(there, memoryview(bytearray(24))))
        except TimeoutError:
            missing = [rank for rank in range(1, size) if rank not in found]
            raise RankError(f"rank {missing[0]} has not come within {PATIENCE:g} seconds") from None
        except OSError:
            continue
        if secrets.compare_digest(said[:16], listener.token):
            found[int.from_bytes(said[16:], "little")] = _ready(there)
        else:
            there.close()
    return [found[rank] for rank in range(1, size)]


def _ready(there: socket.socket) -> socket.socket:
    there.settimeout(None)
    there.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    there.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    return there


def _exactly(there: socket.socket, into: memoryview) -> memoryview:
    done = 0
    while done < len(into):
        count = there.recv_into(into[done:])
        if not count:
            raise ConnectionError("its connection was closed")
        done += count
    return into
