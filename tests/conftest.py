"""Shared by the tests: instruction sets, dtypes and team sizes as fixtures, seeded random numbers, THE tolerance table."""

import os
import re
import signal
import sys
import zlib
from contextlib import contextmanager

import pytest

# Products of the references are small. OpenBLAS would spread them over all cores and wait there at full speed, beside the teams
# that are tested. It reads this when it is loaded.
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np

from fastlec._kernels import runner

DTYPES = ("float32", "float64")
TEAMS = (1, 2)

# How far a result may be from fastlec.reference in float64, in units of eps of the dtype: (float32, float64). The reference has
# errors of its own there, which is why its column is not smaller. What each number is relative to stands beside it; where a sum
# of n terms is computed in the dtype, the test multiplies by sqrt(n). Never loosened in a test.
UNITS = {
    "softmax": (6, 12),  # relative to each probability; its exponent's rounding, eps |x - top|, is added by the test
    "row_sum": (4, 4),  # relative to 1, the sum of a row of probabilities
    "log": (3, 4),  # relative to |top| + |log sum|, or |x - top| + |log sum|: log_softmax and logsumexp
    "loss": (8, 16),  # relative to |top - x_label| + log n, averaged as the loss is: it adds up in float64
    "gradient": (8, 16),  # of the loss by logits, relative to a row's weight
    "map": (4, 6),  # tanh, sigmoid, relu and derivatives, relative
    "linear": (2, 4),  # logits, relative to |w| |x| summed over the features: each error of theirs reaches what follows
    # Of matrix products, relative to |a| |b| summed over the depth: up to 384 terms add up one after the other, and n roundings are
    # worth sqrt(n) of half an eps (Higham and Mary 2019), 10 for 384, where all partial sums are as large as that. No more than n.
    "product": (4, 6),
    # Of Winograd's convolutions, relative to a channel's largest |x| times all taps' |W|, summed over the channels: a tile's pixels
    # share their errors. Of one channel; with many they are a few times those of direct summation, which has a test of its own.
    "winograd": (32, 32),
    "slope": (1, 2),  # sigma' from sigma, relative to 1: the rounding of y^2; the error of y itself is added by the test
}


def pytest_collection_modifyitems(items):
    """The instruction sets take turns at each case: what all must give is computed once then, and kept for the next test alone."""
    isas, turns = re.compile(rf"\b({'|'.join(runner.isas())})\b"), {}
    items.sort(key=lambda item: turns.setdefault(isas.sub("", item.nodeid), len(turns)))


@pytest.fixture(params=runner.isas())
def isa(request):
    """Each instruction set that this machine runs, selected for the test."""
    before = runner.isa()
    runner.select_isa(request.param)
    yield request.param
    runner.select_isa(before)


@pytest.fixture(params=DTYPES)
def dtype(request):
    return np.dtype(request.param)


@pytest.fixture(params=TEAMS, ids="threads{}".format)
def threads(request):
    """The most threads that a call may use during the test."""
    runner.set_num_threads(request.param)
    yield request.param
    runner.set_num_threads(0)


@pytest.fixture
def alone():
    """with alone(): calls compute on one thread."""

    @contextmanager
    def one_thread():
        runner.set_num_threads(1)
        try:
            yield
        finally:
            runner.set_num_threads(0)

    return one_thread


@pytest.fixture
def rng(request):
    """Random numbers that differ from test to test and never from run to run, whatever folder the test is in. The seed is printed
    where the test fails."""
    seed = zlib.crc32(re.sub(r"^tests/[\w/]+/", "tests/", request.node.nodeid).encode())
    print(f"seed {seed}")
    return np.random.default_rng(seed)


@pytest.fixture(autouse=True)
def pictures():
    """Closes what a test has drawn in pyplot, whose state the next one would find."""
    yield
    if pyplot := sys.modules.get("matplotlib.pyplot"):
        pyplot.close("all")


@pytest.fixture
def alarm():
    """alarm(handler, seconds): calls it after so long. The signal is SIGALRM."""
    before = signal.getsignal(signal.SIGALRM)

    def after(handler, seconds):
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, seconds)

    yield after
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def frozen():
    """frozen(a): a read-only copy. frozen(a, b, ...): a list of them."""

    def freeze(*arrays):
        copies = [np.array(a) for a in arrays]
        for a in copies:
            a.flags.writeable = False
        return copies[0] if len(copies) == 1 else copies

    return freeze


def units(name, dtype):
    dtype = np.dtype(dtype)
    return UNITS[name][DTYPES.index(dtype.name)] * float(np.finfo(dtype).eps)


@pytest.fixture
def tolerance():
    """tolerance(name, dtype): the row of UNITS, times eps."""
    return units


@pytest.fixture
def taken():
    """taken(plan): the names of the kernels that its jobs run, in order, those of conditional jobs with a question mark."""
    return lambda plan: [job.kernel + ("?" if job.condition else "") for job in plan.explained()]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of its own that the test runs in, as a user of the command line would."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")  # as the command sets it for itself
    return tmp_path


@pytest.fixture(scope="session")
def digits():
    """(X, y): 300 of the digits that come with fastlec."""
    from fastlec import data

    X, y = data.load_digits()
    return X[:300], y[:300]
