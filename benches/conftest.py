"""pytest-benchmark over the table of cases: `pytest benches`; with `--smoke` only to see that everything runs and agrees.

Each case is a group, each contender a row. `fastlec bench` is the stricter comparison: there the contenders take turns.
"""

import os
from functools import cache, lru_cache

import pytest


def pytest_addoption(parser):
    parser.addoption("--smoke", action="store_true", help="smallest sizes, once")
    parser.addoption("--threads", type=int, default=1, help="threads, and CPUs, of every contender (default 1)")


def pytest_configure(config):
    """Binds the process to as many CPUs as threads are wanted, before any library starts its pool."""
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: config.getoption("--threads")])
    config.addinivalue_line("filterwarnings", "ignore")  # the peers' own
    if config.getoption("--smoke"):
        config.option.benchmark_disable = True


def pytest_generate_tests(metafunc):
    """A test with a `work` runs for every case whose operation is in its module's OPS, in every contender."""
    if "work" in metafunc.fixturenames:
        from fastlec.bench import cases, kinds, peers

        rows = [
            pytest.param((case, dtype, mode, kind), id=f"{case.name}-{dtype}-{mode}-{kind.name.replace(' ', '_')}")
            for case in cases.CASES
            if case.op in metafunc.module.OPS
            for dtype in kinds.SIZE
            for mode in case.modes
            for kind in peers.PEERS
        ]
        metafunc.parametrize("work", rows, indirect=True)


@lru_cache(maxsize=1)
def problem(case, dtype):
    import numpy as np

    inputs = case.make(np.random.default_rng(1), dtype)
    return inputs, case.expected(inputs)


@cache
def contender(kind, threads):
    try:
        return kind(threads)
    except (ImportError, OSError) as error:
        return str(error)


@pytest.fixture
def work(request, benchmark):
    """The function to time, its result checked; skips where the contender is not installed or offers no such thing."""
    from fastlec.bench import kinds

    case, dtype, mode, kind = request.param
    case = case.at(request.config.getoption("--smoke"))
    peer = contender(kind, request.config.getoption("--threads"))
    if isinstance(peer, str):
        pytest.skip(f"{kind.name} is not installed: {peer}")
    inputs, expected = problem(case, dtype)
    call = peer.build(case, inputs, mode)
    if call is None:
        pytest.skip(f"{kind.name} does not offer it")
    assert kinds.disagreement(peer.arrays(case, call()), expected, dtype, case.tolerance) is None
    benchmark.group = f"{case.name} {dtype} {mode}"
    yield call
    peer.forget()
