"""Ranks on the workers of a Dask cluster (the extra ``dask``): each computes where its blocks of a collection are."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from . import _check, _config
from ._comm import RankError, divide_cores
from ._star import Listener, Star

try:
    import dask
    import distributed
except ImportError as error:
    raise ImportError("fastlec.dask needs Dask: pip install 'fastlec[dask]'") from error

__all__ = ["RankError", "run"]

GRACE = 5.0  # seconds in which ranks end by themselves once one has failed
_listeners: dict[str, Listener] = {}  # of runs whose rank 0 is in this process


def run(
    client: distributed.Client, function: Callable[..., Any], *args: Any, workers: Sequence[str] | None = None
) -> list[Any]:
    """Call a function on workers of Dask at once, each with its blocks of the collections and a communicator for ``comm=``.

    The blocks, in their order, are divided evenly: the first rank has the first ones. They are computed, or moved, to its worker.

    Parameters
    ----------
    client : distributed.Client
        Of the cluster.
    function : callable
        ``function(comm, *args)``.
    *args
        A Dask array becomes a NumPy array of this rank's rows; a list of `dask.delayed` objects, the list of this rank's. All have
        the same number of blocks along the first axis. Anything else is passed as it is.
    workers : sequence of str, optional
        Addresses of the workers, one for each rank; by default all, in alphabetic order, but no more than there are blocks.

    Returns
    -------
    list
        What the function returned in each rank, in the order of the ranks.

    Raises
    ------
    RankError
        A rank has raised an exception, which is the cause, or its worker was lost. The message names it.
    ValueError
        Collections have different numbers of blocks, or there are fewer than workers.

    See Also
    --------
    fastlec.fit, fastlec.shared.run, fastlec.mpi.Comm

    Examples
    --------
    >>> import fastlec.dask  # doctest: +SKIP
    >>> def train(comm, X, y):  # doctest: +SKIP
    ...     net = fastlec.Network([fastlec.Dense(64, 10, "identity")], rng=0)
    ...     fastlec.fit(net, X, y, comm=comm)
    ...     return net
    >>> net = fastlec.dask.run(client, train, X, y)[0]  # doctest: +SKIP
    """
    _check.function(function, "function")
    blocks = [_blocks(arg) for arg in args]
    counts = {len(parts) for parts in blocks if parts is not None}
    if len(counts) > 1:
        raise ValueError(f"collections have {sorted(counts)} blocks; expected one number of them")
    known = sorted(client.nthreads())
    if workers is None:
        workers = known[: min(counts, default=len(known))]
    workers = list(workers)
    if not workers:
        raise ValueError("workers is empty; expected one address or more, of workers that the cluster has")
    for address in workers:
        if address not in known:
            raise ValueError(f"workers has {_check.shown(address)}; expected some of {', '.join(known)}")
    size = len(workers)
    for count in counts:
        if count < size:
            raise ValueError(f"there are {count} blocks for {size} workers; expected one for each, or more")
    placed = [_placed(client, parts, workers) for parts in blocks]
    _wait([future for parts in placed if parts is not None for own in parts for future in own])
    key = secrets.token_hex(8)
    address = client.submit(_listen, key, workers=[workers[0]], pure=False).result()
    joined = [_is_array(arg) for arg in args]
    futures = []
    for rank, worker in enumerate(workers):
        own = [arg if parts is None else parts[rank] for arg, parts in zip(args, placed, strict=True)]
        futures.append(client.submit(_rank, function, rank, size, key, address, own, joined, workers=[worker], pure=False))
    try:
        return _results(client, futures, workers)
    finally:
        client.cancel(futures)


def _is_array(arg) -> bool:
    return type(arg).__module__.startswith("dask.array")


def _blocks(arg) -> list[Any] | None:
    """The blocks of a collection, in the order of its rows; None for what is none."""
    if _is_array(arg):
        whole = arg.rechunk({axis: -1 for axis in range(1, arg.ndim)})
        return list(whole.to_delayed().ravel())
    if isinstance(arg, list) and arg and all(dask.is_dask_collection(part) for part in arg):
        return arg
    return None


def _placed(client, parts, workers) -> list[list[Any]] | None:
    """The futures of the blocks that each worker gets, computed there; None for what is no collection."""
    if parts is None:
        return None
    size = len(workers)
    own = [parts[len(parts) * rank // size : len(parts) * (rank + 1) // size] for rank in range(size)]
    return [client.compute(some, workers=[worker], sync=False) for some, worker in zip(own, workers, strict=True)]


def _wait(futures) -> None:
    """Until all blocks are there: a rank that waits for others must not wait for their data. An error is raised."""
    if futures:
        distributed.wait(futures)
    for future in futures:
        if future.status == "error":
            future.result()


def _listen(key: str):
    """On the worker of rank 0."""
    host = urlsplit(distributed.get_worker().address).hostname or "127.0.0.1"
    _listeners[key] = Listener(host)
    return _listeners[key].address


def _rank(function, rank, size, key, address, args, joined):
    """What a worker does."""
    threads, comm = _config.get_num_threads(), None
    try:
        comm = Star(rank, size, listener=_listeners.pop(key) if rank == 0 else None, address=address)
        divide_cores(comm)
        args = [np.concatenate(arg) if blocks else arg for arg, blocks in zip(args, joined, strict=True)]
        return function(comm, *args)
    except BaseException as error:
        if comm is not None and not isinstance(error, RankError) and not getattr(error, "on_all_ranks", False):
            comm.fail(f"rank {rank} has failed: {type(error).__name__}: {error}")
        raise
    finally:
        _config.set_num_threads(threads)
        if comm is not None:
            comm.close()


def _results(client, futures, workers) -> list[Any]:
    """What the ranks give; RankError, naming the one that has failed first, as soon as it is known."""
    until, lost = None, None
    while not all(future.done() for future in futures):
        if until is None and any(future.status in ("error", "lost", "cancelled") for future in futures):
            until = time.monotonic() + GRACE
        known = client.nthreads()
        for rank, worker in enumerate(workers):
            if lost is None and worker not in known and not futures[rank].done():
                lost, until = rank, time.monotonic() + GRACE
        if until is not None and time.monotonic() > until:
            break
        time.sleep(0.05)
    if lost is not None:
        raise RankError(f"rank {lost} was lost with its worker, {workers[lost]}")
    errors = [(rank, future.exception(timeout=1)) for rank, future in enumerate(futures) if future.status == "error"]
    if not errors:
        return client.gather(futures)
    rank, error = min(errors, key=lambda found: isinstance(found[1], RankError))
    if isinstance(error, RankError):
        raise error
    raise RankError(f"rank {rank} has failed: {type(error).__name__}: {error}") from error
