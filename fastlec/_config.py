"""What this build is and how it runs here: the instruction set, the threads, the facts that a bug report needs."""

import os
import platform
import sys
from pathlib import Path

import numpy as np

from . import _check
from ._kernels import memory, runner
from ._kernels.calls import functions

MOST_THREADS = 1 << 16  # a limit beyond any machine; larger ones mean the same


def isa():
    """The instruction set in use: "avx512", "avx2" (x86-64-v4, v3), "neon" (aarch64) or "base". FASTLEC_ISA picks one at import."""
    return runner.isa()


def set_num_threads(n):
    """The most threads a call may use, for the whole process. n : int >= 1, or None for no limit of our own.

    OMP_NUM_THREADS, threadpoolctl, CPU affinity and container quotas limit them besides. Results do not depend on it.
    """
    runner.set_num_threads(0 if n is None else min(_check.count(n, "n", 1), MOST_THREADS))


def get_num_threads():
    """The threads that a large call would use now."""
    return runner.get_num_threads()


def release_memory():
    """Gives the buffers that are kept for the next call back to the system, and what functions remember of former calls; networks,
    layers and Jacobians keep theirs. Returns how many bytes the buffers were."""
    functions.clear()
    kept = memory.info()["kept_bytes"]
    memory.set_bound(memory.set_bound(0))
    return kept


def show_config(mode="stdout"):
    """Versions, compiler, instruction sets, OpenMP, threads and memory pool. mode : "stdout" prints them, "dict" returns them."""
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
