"""Several processes on one machine that compute together over shared memory; no MPI is needed.

`run` starts them, each calls the function with a communicator, which goes to what takes ``comm=``. Sums are made in the order of
the ranks, so they have the same bits on all of them.
"""

from __future__ import annotations

import itertools
import multiprocessing
import pickle
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import wait
from multiprocessing.reduction import ForkingPickler
from multiprocessing.shared_memory import SharedMemory
from typing import Any

import numpy as np

from . import _check
from ._comm import RankError, divide_cores

__all__ = ["RankError", "run"]

SLOT = 1 << 19  # bytes of an array that are summed at a time
LARGE = 1 << 16  # bytes from which on several ranks divide the sum among them
SPINS = 300  # times that a rank looks whether another has arrived before it sleeps: some 50 microseconds
LOOK = 0.05  # seconds of sleep after which it looks whether one has failed
MESSAGE = 1 << 12  # bytes of what is said of a failure
GRACE = 5.0  # seconds in which ranks end by themselves once one has failed


class Comm:
    """The communicator of a rank that `run` has started: rank, size, `allreduce` of any numeric dtype, and `fail`."""

    def __init__(self, context, rank: int, size: int, memory: SharedMemory, signals, failed):
        self.rank, self.size = rank, size
        self._memory, self._signals, self._failed = memory, signals, failed
        self._parent, self._turn = None, 0

    def __repr__(self) -> str:
        return f"<rank {self.rank} of {self.size}>"

    def _attach(self) -> None:
        """In the rank's own process."""
        self._parent = multiprocessing.parent_process()
        self._slots = np.ndarray((self.size, 2, SLOT), np.uint8, self._memory.buf, MESSAGE)
        self._steps = [
            (self._signals[(self.rank + far) % self.size][k], self._signals[self.rank][k])
            for k, far in enumerate(1 << k for k in range((self.size - 1).bit_length()))
        ]

    def allreduce(self, array: np.ndarray) -> np.ndarray:
        """The sum over the ranks, in place; `RankError` once a rank has failed.

        Parameters
        ----------
        array : ndarray
            In C order; of one shape and dtype on all ranks.

        Returns
        -------
        ndarray
            `array`.
        """
        flat = array.reshape(-1)
        count = SLOT // array.itemsize
        for start in range(0, flat.size, count):
            self._sum(flat[start : start + count])
        return array

    def _sum(self, part: np.ndarray) -> None:
        # Two slots, by turns: who has passed a meeting knows that all have read what was summed before the last one.
        self._turn ^= 1
        slots = [slot[self._turn, : part.nbytes].view(part.dtype) for slot in self._slots]
        slots[self.rank][...] = part
        self._meet()
        if self.size == 2 or part.nbytes < LARGE:
            _add(slots, part)
            return
        bounds = [part.size * rank // self.size for rank in range(self.size + 1)]
        chunks = [slice(a, b) for a, b in itertools.pairwise(bounds)]
        own = chunks[self.rank]
        _add([slot[own] for slot in slots], part[own])
        slots[self.rank][own] = part[own]
        self._meet()
        for slot, chunk in zip(slots, chunks, strict=True):
            part[chunk] = slot[chunk]

    def _meet(self) -> None:
        """Wait for all ranks, by dissemination (Hensgen, Finkel and Manber 1988, "Two algorithms for barrier synchronization")."""
        for there, here in self._steps:
            there.release()
            for _ in range(SPINS):
                if here.acquire(False):
                    break
            else:
                while not here.acquire(True, LOOK):
                    self._look()

    def _look(self) -> None:
        if self._failed.acquire(False):
            self._failed.release()
            raise RankError(_text(self._memory))
        if self._parent is not None and not self._parent.is_alive():
            raise RankError("the process that started the ranks has ended")

    def fail(self, text: str) -> None:
        """Tell the other ranks that this one has failed.

        Parameters
        ----------
        text : str
            What their `RankError` says.
        """
        _announce(self._memory, self._failed, text)


def _add(arrays: list[np.ndarray], out: np.ndarray) -> None:
    """Their sum, in this order."""
    first, *rest = arrays
    if rest:
        np.add(first, rest[0], out=out)
    for other in rest[1:]:
        np.add(out, other, out=out)


def _announce(memory: SharedMemory, failed, text: str) -> None:
    if failed.acquire(False):  # the first failure is the one that counts
        failed.release()
        return
    data = text.encode()[: MESSAGE - 4]
    memory.buf[4 : 4 + len(data)] = data
    memory.buf[:4] = len(data).to_bytes(4, "little")
    failed.release()


def _text(memory: SharedMemory) -> str:
    size = int.from_bytes(memory.buf[:4], "little")
    return bytes(memory.buf[4 : 4 + size]).decode(errors="replace")


def _rank(comm: Comm, given, results) -> None:
    """What a rank's process does. given : the connection that function and arguments come by, pickled."""
    found = None
    try:
        results.send(None)  # it has begun
        function, args = pickle.loads(given.recv_bytes())
        comm._attach()
        divide_cores(comm)
        found = True, function(comm, *args)
        results.send(found)
    except BaseException as error:
        if not isinstance(error, RankError) and not getattr(error, "on_all_ranks", False):
            comm.fail(f"rank {comm.rank} has failed: {type(error).__name__}: {error}")
        try:
            results.send((False, error))
        except Exception:  # one that cannot be pickled
            results.send((False, RankError(f"rank {comm.rank} has failed: {type(error).__name__}: {error}")))
    finally:
        results.close()
        comm._slots = None
        with suppress(BufferError):  # a view of it that is still in use
            comm._memory.close()


def run(function: Callable[..., Any], n: int, *args: Any) -> list[Any]:
    """Call a function in n processes of this machine at once, with a communicator that goes to ``comm=``.

    Each process uses its share of the cores.

    Parameters
    ----------
    function : callable
        ``function(comm, *args)``. It is sent to new processes: it must be importable, from a module or a script whose own work is
        under ``if __name__ == "__main__"``.
    n : int
        The number of processes, at least 1.
    *args
        Further arguments, which are pickled.

    Returns
    -------
    list
        What the function returned in each rank, in the order of the ranks.

    Raises
    ------
    RankError
        A rank has raised an exception, which is the cause, or was killed. The message names it. All other ranks have ended.

    See Also
    --------
    fastlec.fit, fastlec.mpi.Comm, fastlec.dask.run

    Examples
    --------
    >>> import fastlec
    >>> def train(comm, X, y):
    ...     net = fastlec.Network([fastlec.Dense(64, 10, "identity")], rng=0)
    ...     fastlec.fit(net, X[comm.rank :: comm.size], y[comm.rank :: comm.size], comm=comm)
    ...     return net
    >>> nets = fastlec.shared.run(train, 2, *fastlec.data.load_digits())  # doctest: +SKIP
    """
    _check.function(function, "function")
    n = _check.count(n, "n", 1)
    context = multiprocessing.get_context("spawn")
    work = bytes(ForkingPickler.dumps((function, args)))
    memory = SharedMemory(create=True, size=MESSAGE + 2 * n * SLOT)
    ranks: list[Any] = []
    senders = []
    try:
        failed = context.Semaphore(0)
        signals = [[context.Semaphore(0) for _ in range((n - 1).bit_length())] for _ in range(n)]
        for rank in range(n):
            results, end = context.Pipe(duplex=False)
            given, sender = context.Pipe(duplex=False)
            senders.append(sender)
            comm = Comm(context, rank, n, memory, signals, failed)
            process = context.Process(target=_rank, args=(comm, given, end), name=f"rank {rank}", daemon=True)
            process.start()
            end.close()
            given.close()
            ranks.append((process, results))
        # By connections of their own: start() would wait for ever for a process that has ended to read them.
        for sender in senders:
            with suppress(BrokenPipeError, ConnectionResetError):  # that it has ended is told below
                sender.send_bytes(work)
            sender.close()
        return _results(ranks, lambda text: _announce(memory, failed, text))
    finally:
        for sender in senders:
            sender.close()
        for process, results in ranks:
            process.kill()
            process.join()
            results.close()
        memory.close()
        memory.unlink()


def _results(ranks, announce) -> list[Any]:
    """What the ranks give; RankError, naming the first one that has failed, once all have ended or had time to."""
    found: list[Any] = [None] * len(ranks)
    begun = set()
    waiting, failure, until = dict(enumerate(ranks)), None, None
    while waiting and (until is None or time.monotonic() < until):
        wait([results for _, results in waiting.values()], None if until is None else max(until - time.monotonic(), 0))
        for rank, (process, results) in list(waiting.items()):
            if not results.poll():
                continue
            try:
                said = results.recv()
                if said is None:
                    begun.add(rank)
                    continue
                succeeded, value = said
            except EOFError:  # it has ended without a word
                process.join()
                code = process.exitcode
                how = f"was killed by signal {-code}" if code < 0 else f"has ended with exit code {code}"
                if rank not in begun and code > 0:
                    how += ' before it began; in a script the call must be under if __name__ == "__main__":'
                succeeded, value = False, RankError(f"rank {rank} {how}")
                announce(str(value))
                failure = (rank, value)
            del waiting[rank]
            if succeeded:
                found[rank] = value
            elif failure is None or (isinstance(failure[1], RankError) and not isinstance(value, RankError)):
                failure = rank, value
            if failure and until is None:
                until = time.monotonic() + GRACE
    if failure is None:
        return found
    rank, error = failure
    if isinstance(error, RankError):
        raise error
    raise RankError(f"rank {rank} has failed: {type(error).__name__}: {error}") from error
