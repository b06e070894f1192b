"""What the machine is and what it can do at most: the yardsticks beside the contenders."""

import os
import platform
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import perf_counter

import numpy as np

SPLIT_FROM = 1 << 21  # bytes: below this a second thread costs more than it copies
GEMM_SIZES = (256, 512, 1024)


def facts():
    """The processor, its caches and the system, as far as the system tells."""
    return {
        "processor": _processor(),
        "cpus": cpus(),
        "caches": _caches(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else None,
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def cpus():
    """How many CPUs this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _processor():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _caches():
    """{"L1 Data": "32K", ...} of the first CPU."""
    found = {}
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        try:
            level, kind, size = ((index / name).read_text().strip() for name in ("level", "type", "size"))
        except OSError:
            continue
        found[f"L{level} {kind}"] = size
    return found


def copier(nbytes, threads):
    """A function that copies half of nbytes to the other half: the least time that this much traffic takes here."""
    source = np.ones(max(nbytes // 2, 1), np.uint8)
    target = np.zeros_like(source)
    if threads == 1 or nbytes < SPLIT_FROM:
        return lambda: np.copyto(target, source)
    pool = ThreadPoolExecutor(threads - 1)
    (target_0, source_0), *others = zip(np.array_split(target, threads), np.array_split(source, threads), strict=True)

    def work():
        pending = [pool.submit(np.copyto, *pair) for pair in others]
        np.copyto(target_0, source_0)
        for copy in pending:
            copy.result()

    return work


def gemm_peak(dtype, rounds=5):
    """FLOP/s of NumPy's fastest square matrix product: a lower bound, within some 15 %, of what the FMA units can do."""
    best = 0.0
    for n in GEMM_SIZES:
        a, b, c = np.ones((3, n, n), dtype)
        np.matmul(a, b, out=c)
        for _ in range(rounds):
            start = perf_counter()
            np.matmul(a, b, out=c)
            best = max(best, 2 * n**3 / (perf_counter() - start))
    return best
