"""Ranks of MPI as a communicator, through mpi4py (the extra ``mpi``).

mpiexec -n 4 python train.py
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import secrets
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable

import numpy as np

try:
    from mpi4py import MPI
except ModuleNotFoundError as error:
    raise ImportError("fastlec.mpi needs mpi4py: pip install 'fastlec[mpi]'") from error
except (ImportError, RuntimeError) as error:  # there is no MPI
    raise ImportError(f"fastlec.mpi needs an MPI: that of this machine, or pip install mpich ({error})") from error

from . import _watch
from ._comm import Group, RankError, divide_cores, machine

__all__ = ["Comm", "RankError"]

SPINS = 2000  # looks for the end of a sum before other processes get the core
LAST_WAIT = 5.0  # seconds in which the other ranks may learn of a failure before MPI ends them


class Comm:
    """A communicator of MPI for ``comm=``.

    What takes ``comm=`` takes an mpi4py communicator as it is; this class is what that becomes. Sums are buffers reduced to rank 0
    and broadcast from there, so that all ranks have the same bits. Each process uses its share of the cores that it may run on.

    Once a rank has failed, the sums of the others raise `RankError`, and the processes end with ``MPI_Abort``, for MPI itself knows
    no other end with sums that are not finished. A rank that is killed ends the others by mpiexec; which one it was stands on
    stderr, on Linux where one machine has all ranks.

    Parameters
    ----------
    comm : mpi4py.MPI.Comm, optional
        By default ``MPI.COMM_WORLD``. All its ranks make the object together.

    Attributes
    ----------
    rank, size : int
        Which process this is, and how many there are.
    processes : str
        The process id and the host of each rank, in words.

    See Also
    --------
    fastlec.fit, fastlec.shared.run

    Examples
    --------
    >>> import fastlec.mpi  # doctest: +SKIP
    >>> comm = fastlec.mpi.Comm()  # doctest: +SKIP
    >>> fastlec.fit(net, X[comm.rank :: comm.size], y[comm.rank :: comm.size], comm=comm)  # doctest: +SKIP
    """

    def __new__(cls, comm: MPI.Comm | None = None) -> Comm:
        comm = MPI.COMM_WORLD if comm is None else comm
        if not isinstance(comm, MPI.Comm):
            raise TypeError(f"comm is a {type(comm).__name__}; expected a communicator of mpi4py")
        known = comm.Get_attr(_KEY)
        if known is None:
            known = object.__new__(cls)
            known._make(comm)
            comm.Set_attr(_KEY, known)
        return known

    def _make(self, comm) -> None:
        self.rank: int = comm.rank
        self.size: int = comm.size
        self._sums, self._totals, self._errors = comm.Dup(), comm.Dup(), comm.Dup()  # none of their messages meets others
        self._begun: deque[_Sum] = deque()  # what is not reduced yet
        self._failure: str | None = None
        self._messages: list = []
        self._last: tuple[MPI.Request, float] | None = None  # that all end, and until when that is waited for
        _ranks.append(self)
        divide_cores(self)
        self._watcher: subprocess.Popen | None = None
        self._introduce()

    def _introduce(self) -> None:
        """Learn which processes the ranks are. Where one machine has all, another process (`_watch`) tells which one was lost."""
        listener = None
        if self.rank == 0 and self.size > 1 and sys.platform == "linux":
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(f"\0fastlec-{secrets.token_hex(8)}")
            listener.listen(self.size)
        name = listener and listener.getsockname()
        places = Group(self).gather((os.getpid(), socket.gethostname(), machine(), name))
        self.processes = ", ".join(f"{rank} is process {process} on {host}" for rank, (process, host, *_) in enumerate(places))
        *_, name = places[0]
        if name and len({where for *_, where, _ in places}) == 1:
            line = socket.socket(socket.AF_UNIX)
            with contextlib.suppress(OSError):  # training goes on without
                line.connect(name)
                line.send(self.rank.to_bytes(4, "little"))
                if listener:
                    command = [
                        sys.executable,
                        "-I",
                        "-S",
                        _watch.__file__,
                        f"{listener.fileno()}",
                        f"{self.size}",
                        self.processes,
                    ]
                    self._watcher = subprocess.Popen(command, pass_fds=[listener.fileno()], start_new_session=True)
                    line.settimeout(LAST_WAIT)
                    line.recv(1)  # until it knows all ranks
            Group(self).any(False)  # none goes on before
            self._line = line.detach()  # which this process's end closes
        if listener:
            listener.close()

    def __repr__(self) -> str:
        return f"<rank {self.rank} of {self.size}>"

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
        self.begin(array)()
        return array

    def begin(self, array: np.ndarray) -> Callable[[], None]:
        """Begin the same sum, which goes on while this process computes, as far as the MPI makes progress by itself.

        Parameters
        ----------
        array : ndarray
            As for `allreduce`; nothing may use it until the end.

        Returns
        -------
        callable
            Waits until `array` has the sum; `RankError` once a rank has failed.
        """
        if self.size == 1:
            return lambda: None
        given = (MPI.IN_PLACE, array) if self.rank == 0 else (array, None)
        begun = _Sum(self._sums.Ireduce(*given, MPI.SUM, 0), array)
        self._begun.append(begun)
        self._go_on()
        return functools.partial(self._wait, begun)

    def _go_on(self) -> None:
        """Broadcast what is reduced, in the order of the sums, which is that of all ranks."""
        while self._begun and self._begun[0].request.Test():
            begun = self._begun.popleft()
            begun.request, begun.reduced = self._totals.Ibcast(begun.array, 0), True

    def _wait(self, begun: _Sum) -> None:
        for spin in range(1 << 62):
            self._go_on()
            if begun.reduced and begun.request.Test():
                return
            self._look()
            if spin > SPINS:
                os.sched_yield() if spin < 10 * SPINS else time.sleep(5e-5)

    def _look(self) -> None:
        if self._errors.Iprobe(MPI.ANY_SOURCE, MPI.ANY_TAG):
            self._failure = self._failure or self._errors.recv()
        if self._failure:
            raise RankError(self._failure)

    def fail(self, text: str) -> None:
        """Tell the other ranks that this one has failed; this process then ends with ``MPI_Abort``.

        Parameters
        ----------
        text : str
            What their `RankError` says.
        """
        if self._failure is None:
            self._failure = text
            self._messages = [self._errors.isend(text, rank) for rank in range(self.size) if rank != self.rank]

    def _end(self) -> bool:
        """Give the others time to learn of it, and to come here; whether all have come."""
        if self._last is None:
            self._last = self._errors.Ibarrier(), time.monotonic() + LAST_WAIT
        met, until = self._last
        while not (all_here := met.Test()) and time.monotonic() < until:
            time.sleep(1e-3)
        return all_here


class _Sum:
    """A sum on its way. request : its reduction to rank 0, and once that is `reduced`, its broadcast from there."""

    def __init__(self, request, array: np.ndarray):
        self.request, self.array, self.reduced = request, array, False


_KEY = MPI.Comm.Create_keyval()
_ranks: list[Comm] = []


@atexit.register
def _abort() -> None:
    """Where a sum will never be finished, MPI_Finalize would wait for it."""
    for comm in _ranks:
        if comm._watcher:
            with contextlib.suppress(OSError):
                os.write(comm._line, b".")
            comm._watcher.wait()
    failed = [comm for comm in _ranks if comm._failure]
    if failed and not MPI.Is_finalized():
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError, AttributeError):
                stream.flush()
        failed[0]._end()
        MPI.COMM_WORLD.Abort(1)


def tell(error: BaseException) -> None:
    """What ends this process ends the others, which may be waiting for it."""
    for comm in _ranks:
        if not isinstance(error, RankError):
            comm.fail(f"rank {comm.rank} has failed: {type(error).__name__}: {error}")


def told_by_root() -> bool:
    """Whether rank 0, which this process is not, has said what ended all."""
    return any(comm.rank and comm._failure and comm._end() for comm in _ranks)


def _hook(kind, error, traceback, shown=sys.excepthook) -> None:
    shown(kind, error, traceback)
    tell(error)


sys.excepthook = _hook
