"""What this build is and how it runs here: the instruction set, the threads, the facts that a bug report needs."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np

from . import _check
from ._kernels import memory, runner
from ._kernels.calls import functions

MOST_THREADS = 1 << 16  # a limit beyond any machine; larger ones mean the same


def isa() -> str:
    """Instruction set in use.

    Returns
    -------
    str
        "avx512" (x86-64-v4), "avx2" (x86-64-v3), "neon" (aarch64) or "base". The environment variable FASTLEC_ISA picks a lower
        one at import.

    See Also
    --------
    show_config

    Examples
    --------
    >>> import fastlec
    >>> fastlec.isa() in ("base", "avx2", "avx512", "neon")
    True
    """
    return runner.isa()


def set_num_threads(n: int | None) -> None:
    """Set the most threads that a call may use, for the whole process.

    Parameters
    ----------
    n : int or None
        At least 1, or None for no limit of our own. OMP_NUM_THREADS, threadpoolctl, the CPUs of the process and container quotas
        limit threads besides.

    Raises
    ------
    TypeError
        If `n` is no integer.
    ValueError
        If `n` is less than 1.

    See Also
    --------
    get_num_threads

    Notes
    -----
    Results do not depend on the number of threads.

    Examples
    --------
    >>> import fastlec
    >>> fastlec.set_num_threads(1)
    >>> fastlec.get_num_threads()
    1
    >>> fastlec.set_num_threads(None)
    """
    runner.set_num_threads(0 if n is None else min(_check.count(n, "n", 1), MOST_THREADS))


def get_num_threads() -> int:
    """Number of threads that a large call would use now.

    Returns
    -------
    int
        At least 1.

    See Also
    --------
    set_num_threads

    Examples
    --------
    >>> import fastlec
    >>> fastlec.get_num_threads() >= 1
    True
    """
    return runner.get_num_threads()


def release_memory() -> int:
    """Give the buffers that are kept for the next call back to the system.

    What functions remember of former calls goes too. Networks, layers and Jacobians keep theirs.

    Returns
    -------
    int
        How many bytes the buffers were.

    See Also
    --------
    show_config

    Examples
    --------
    >>> import numpy as np
    >>> import fastlec
    >>> fastlec.matmul(np.ones((300, 300)), np.ones((300, 300))).sum()
    np.float64(27000000.0)
    >>> fastlec.release_memory() > 0, fastlec.release_memory()
    (True, 0)
    """
    functions.clear()
    kept = memory.info()["kept_bytes"]
    memory.set_bound(memory.set_bound(0))
    return kept


@overload
def show_config(mode: Literal["stdout"] = "stdout") -> None: ...
@overload
def show_config(mode: Literal["dict"]) -> dict[str, Any]: ...
def show_config(mode: Literal["stdout", "dict"] = "stdout") -> dict[str, Any] | None:
    """Versions, compiler, instruction sets, OpenMP, threads and memory pool: what a bug report needs.

    Parameters
    ----------
    mode : {"stdout", "dict"}, optional
        Whether to print the facts or to return them.

    Returns
    -------
    dict or None
        The facts by their names, with "dict".

    Raises
    ------
    ValueError
        If `mode` is another one.

    See Also
    --------
    isa, get_num_threads, explain

    Examples
    --------
    >>> import fastlec
    >>> fastlec.show_config("dict")["fastlec"] == fastlec.__version__
    True
    """
    from . import __version__

    if not isinstance(mode, str) or mode not in ("stdout", "dict"):
        raise ValueError(f"mode is {_check.shown(mode)}; expected 'stdout' or 'dict'")
    facts = {
        "fastlec": __version__,
        "compiler": runner.compiler(),
        "isa": {"in use": runner.isa(), "available": runner.isas(), "compiled": runner.compiled_isas()},
        "openmp": runner.openmp() or "none: serial build",
        "threads": {"in use": get_num_threads(), "cpus": os.cpu_count()},
        "forked": runner.is_forked(),
        "pool": memory.info(),
        "python": sys.version.split()[0],
        "numpy": np.__version__,
        "machine": platform.machine(),
        "system": platform.platform(),
    }
    if mode == "dict":
        return facts
    for name, fact in facts.items():
        if isinstance(fact, dict):
            fact = "; ".join(f"{key} {' '.join(value) if isinstance(value, list) else value}" for key, value in fact.items())
        print(f"{name:10} {fact}")
    return None


def _cgroup_cpus(root="/sys/fs/cgroup"):
    """The CPUs that the container's quota grants, rounded up; 0 where there is no quota (cgroup v2, then v1)."""
    for names in (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):
        try:
            words = [word for name in names for word in Path(root, name).read_text().split()]
            quota, period = int(words[0]), int(words[1])
        except (OSError, ValueError, IndexError):
            continue
        if quota > 0 and period > 0:
            return -(-quota // period)
    return 0


def start():
    """Picks the table and the thread limit from the environment; called once, at import. ImportError for a bad name."""
    name = os.environ.get("FASTLEC_ISA") or runner.isas()[0]
    try:
        runner.select_isa(name)
    except ValueError as error:
        raise ImportError(f"FASTLEC_ISA names {error}") from None
    limit = os.environ.get("FASTLEC_NUM_THREADS", "")
    if limit:
        if not limit.isdecimal() or int(limit) < 1:
            raise ImportError(f"FASTLEC_NUM_THREADS is {limit!r}; expected an integer >= 1")
        runner.set_num_threads(min(int(limit), MOST_THREADS))
    runner.set_cpu_quota(_cgroup_cpus())
