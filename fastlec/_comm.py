"""Several processes that compute together, each on samples of its own: what `comm=` takes, and what fastlec does with it.

A communicator has three members, and may have two more:

    rank, size          which process this is, 0 <= rank < size, and how many there are
    allreduce(array)    the sum of the ranks' arrays, which have one shape and one dtype: float32, float64 or int64, in C order. It
                        is returned, on every rank with the same bits, and the same again when all is repeated; the argument's
                        memory may be used for it. Every rank calls it, as often and in the same order.
    begin(array)        optional: begins the same sum in place, and returns a function that waits for its end. `fit` then begins to
                        sum parts of the gradient while it computes the rest.
    fail(text)          optional: tells the other ranks that this one has failed. Their allreduce then raises `RankError`.

`MPI.COMM_WORLD` has the three; it is taken by its buffers, as `fastlec.mpi.Comm`.
"""

from __future__ import annotations

import functools
import os
import pickle
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Protocol, TypeVar

import numpy as np

from . import _check, _config

Function = TypeVar("Function", bound=Callable[..., Any])


class RankError(RuntimeError):
    """Another rank has failed; the message says which, and how.

    See Also
    --------
    fastlec.shared.run

    Examples
    --------
    >>> import fastlec
    >>> issubclass(fastlec.shared.RankError, RuntimeError)
    True
    """


class Communicator(Protocol):
    """What ``comm=`` takes: see the functions that take it."""

    @property
    def rank(self) -> int: ...

    @property
    def size(self) -> int: ...

    def allreduce(self, array: Any, /) -> Any: ...


class Alone:
    """One rank."""

    rank, size = 0, 1

    def allreduce(self, array):
        return array


class Group:
    """The ranks of a communicator, and what they do together: every rank calls each method, in the same order."""

    def __init__(self, comm):
        for name in ("rank", "size"):
            value = getattr(comm, name, None)
            if isinstance(value, bool) or not isinstance(value, int | np.integer):
                raise TypeError(f"comm is {_check.shown(comm)}, whose {name} is {_check.shown(value)}; expected an integer")
        if not callable(getattr(comm, "allreduce", None)):
            raise TypeError(f"comm is {_check.shown(comm)}; expected an object with rank, size and allreduce(array)")
        self.comm, self.rank, self.size = comm, int(comm.rank), int(comm.size)
        if not 0 <= self.rank < self.size:
            raise ValueError(f"comm has rank {self.rank} of {self.size}; expected 0 to {self.size - 1}")

    def sum(self, array) -> np.ndarray:
        """The sum over the ranks, an array of its own."""
        array = np.array(array, order="C")
        self.sum_into(array)
        return array

    def sum_into(self, array: np.ndarray) -> None:
        """The same in place."""
        if self.size == 1:
            return
        total = np.asarray(self.comm.allreduce(array))
        if total.shape != array.shape or total.dtype != array.dtype:
            found = f"{total.dtype} of shape {total.shape}"
            raise TypeError(f"comm.allreduce gave {found} of {array.dtype} of shape {array.shape}; expected the same")
        if total is not array:
            array[...] = total

    @property
    def overlaps(self) -> bool:
        """Whether sums can go on while a rank computes."""
        return self.size > 1 and hasattr(self.comm, "begin")

    def begin(self, array: np.ndarray) -> Callable[[], object]:
        """The same, begun; what is returned waits for its end."""
        if self.overlaps:
            wait = self.comm.begin(array)
            if not callable(wait):
                raise TypeError(f"comm.begin gave {_check.shown(wait)}; expected a function that waits for the sum")
            return wait
        self.sum_into(array)
        return lambda: None

    def mean(self, weight, *values, theta=None) -> list:
        """The means of numbers and arrays over the ranks, each rank counting by its weight, from one sum in float64. ValueError, on
        every rank, unless theta has the same bits on all."""
        arrays = [np.asarray(value) for value in values]
        flat = np.concatenate([a.ravel() for a in arrays], dtype=np.float64)
        number = 0 if theta is None else zlib.crc32(np.ascontiguousarray(theta)) >> 12  # sums of its squares are exact
        total = self.sum(np.concatenate([flat * weight, [weight, number, number * number]]))
        if int(total[-2]) ** 2 != self.size * int(total[-1]):
            text = "expected the same bits, of equal starts and of machines that round alike"
            raise together(ValueError(f"theta is not the same on all ranks; {text}"))
        means, found, start = total[:-3] / total[-3], [], 0
        for value, a in zip(values, arrays, strict=True):
            mean = means[start : start + a.size].reshape(a.shape)
            found.append(mean.astype(a.dtype) if isinstance(value, np.ndarray) else float(mean))
            start += a.size
        return found

    def any(self, flag) -> bool:
        return bool(flag) if self.size == 1 else bool(self.sum(np.array([bool(flag)], np.int64))[0])

    def gather(self, value) -> list:
        """What each rank has, in the order of the ranks. value : small, and picklable."""
        if self.size == 1:
            return [value]
        data = pickle.dumps(value)
        data += bytes(-len(data) % 8)  # which pickle does not read
        sizes = np.zeros(self.size, np.int64)
        sizes[self.rank] = len(data) // 8
        ends = np.cumsum(self.sum(sizes))
        everything = np.zeros(ends[-1], np.int64)
        everything[ends[self.rank] - len(data) // 8 : ends[self.rank]] = np.frombuffer(data, np.int64)
        everything = self.sum(everything)
        return [pickle.loads(everything[start:end].tobytes()) for start, end in zip([0, *ends], ends, strict=False)]

    def of_root(self, function):
        """function() of rank 0, on every rank; what it raises there is raised on all."""
        found, error = None, None
        if self.rank == 0:
            try:
                found = function()
            except Exception as raised:
                error = raised
        found, error = self.gather((found, error))[0]
        if error is not None:
            raise together(error)
        return found

    def of_root_array(self, array) -> np.ndarray:
        """The array of rank 0, on every rank."""
        return self.sum(array if self.rank == 0 else np.zeros_like(array))

    def agree(self, settings: Mapping[str, Any]) -> None:
        """ValueError, on every rank, unless all have the same settings, {name: what can be compared}."""
        first, *others = self.gather(dict(settings))
        for rank, other in enumerate(others, 1):
            for name, value in first.items():
                if other[name] != value:
                    text = f"{name} is {_check.shown(other[name])} on rank {rank} and {_check.shown(value)} on rank 0"
                    raise together(ValueError(f"{text}; expected the same on all ranks"))

    def fail(self, error: BaseException) -> None:
        """Tell the other ranks that this one fails; not of what they know."""
        if not isinstance(error, RankError) and not getattr(error, "on_all_ranks", False) and hasattr(self.comm, "fail"):
            self.comm.fail(f"rank {self.rank} has failed: {type(error).__name__}: {error}")

    @contextmanager
    def watched(self) -> Iterator[None]:
        """What is raised ends all ranks."""
        try:
            yield
        except BaseException as error:
            self.fail(error)
            raise

    def __repr__(self) -> str:
        return f"<rank {self.rank} of {self.size}>"


def alone() -> Group:
    """The group of a process by itself."""
    return Group(Alone())


def together(error):
    """The error, marked as one that all ranks raise."""
    error.on_all_ranks = True
    return error


def group_of(comm) -> Group | None:
    """The argument ``comm``, checked."""
    if comm is None or isinstance(comm, Group):
        return comm
    if type(comm).__module__.partition(".")[0] == "mpi4py":
        comm = import_module("fastlec.mpi").Comm(comm)  # which imports this module
    return Group(comm)


def on_ranks(function: Function) -> Function:
    """A function with an argument ``comm``, which gets a `Group` or None for it. What it raises on one rank ends all."""

    @functools.wraps(function)
    def call(*arguments, comm=None, **named):
        group = group_of(comm)
        if group is None:
            return function(*arguments, **named)
        with group.watched():
            return function(*arguments, comm=group, **named)

    return call  # type: ignore[return-value]


def watched(method: Function) -> Function:
    """A method of an object whose ``_group`` is a `Group` or None. What it raises on one rank ends all."""

    @functools.wraps(method)
    def call(self, *arguments, **named):
        if self._group is None:
            return method(self, *arguments, **named)
        with self._group.watched():
            return method(self, *arguments, **named)

    return call  # type: ignore[return-value]


def divide_cores(comm) -> None:
    """Limit this process's threads to its share of the cores that it may use: each core is divided by the ranks that may use it.
    Not where FASTLEC_NUM_THREADS says how many there are."""
    import socket
    from fractions import Fraction

    group, host = Group(comm), socket.gethostname()
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))
    here = [theirs for name, theirs in group.gather((host, cores)) if name == host]
    share = int(sum(Fraction(1, sum(core in theirs for theirs in here)) for core in cores))
    quota = _config._cgroup_cpus()
    if quota:
        share = min(share, quota // len(here))
    if not os.environ.get("FASTLEC_NUM_THREADS"):
        _config.set_num_threads(max(share, 1))


def machine() -> str:
    """What processes have in common that can connect to each other's abstract sockets."""
    import socket

    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return file.read() + os.readlink("/proc/self/ns/net")
    except OSError:
        return socket.gethostname()
