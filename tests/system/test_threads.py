"""Forks, Python threads, limits and signals: a call gives the same bits wherever it runs, and never hangs."""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from interpreter import output
from signals import Alarm, forked, needs_fork, needs_signals

import fastlec
from fastlec import _config
from fastlec._kernels import runner


@needs_fork
@pytest.mark.parametrize("how", ["in_child(child)", "in_child(lambda: in_child(child))", "pool.apply(child)"])
def test_a_child_forked_after_a_team_ran_computes_alone(how):
    code = f"""
    team, expected = fastlec.get_num_threads(), bits()

    def child():
        return bits() == expected, fastlec.get_num_threads(), runner.is_forked()

    if "pool" in {how!r}:
        with multiprocessing.get_context("fork").Pool(2) as pool:
            seen = {how}
    else:
        seen = {how}
    assert seen == (True, 1, team > 1), (seen, team)
    assert (fastlec.get_num_threads(), runner.is_forked(), bits()) == (team, False, expected)      # nothing changed here
    """
    assert forked(code) == ""


@needs_fork
def test_a_child_forked_before_any_team_ran_has_one_of_its_own():
    code = """
    team = fastlec.get_num_threads()
    here = in_child(lambda: (fastlec.get_num_threads(), runner.is_forked(), hash(bits()) and 1))
    assert here == (team, False, 1), here
    """
    assert forked(code) == ""


@needs_fork
def test_children_forked_while_another_thread_computes_do_not_hang():
    code = """
    expected = bits()
    stop = threading.Event()

    def compute():
        while not stop.is_set():
            assert bits() == expected

    thread = threading.Thread(target=compute)
    thread.start()
    same = [in_child(lambda: bits() == expected) for _ in range(20)]
    stop.set()
    thread.join()
    assert same == [True] * 20
    """
    assert forked(code) == ""


@pytest.mark.parametrize("n_threads", [2, 8])
def test_python_threads_share_objectives_and_get_the_same_bits(n_threads, isa, dtype, rng):
    x = rng.normal(size=(20_000, 24)).astype(dtype)
    f = fastlec.SoftmaxObjective(x, rng.integers(10, size=len(x)), l2=0.1)
    theta, v = rng.normal(size=(2, f.n_params)).astype(dtype)

    def bits(_=None):
        loss, gradient = f.value_and_gradient(theta)
        arrays = [gradient, f.hessian_mv(theta, v), fastlec.softmax(x), fastlec.logsumexp(x, axis=0), fastlec.tanh(x)]
        return loss, [a.tobytes() for a in arrays]

    expected = bits()
    with ThreadPoolExecutor(n_threads) as pool:
        assert all(one == expected for one in pool.map(bits, range(5 * n_threads)))


def test_other_threads_run_while_a_call_computes(rng):
    f = fastlec.SoftmaxObjective(rng.normal(size=(100_000, 100)), np.arange(100_000) % 10)
    theta, stop, turns = np.zeros(f.n_params), threading.Event(), []

    def compute():
        while not stop.is_set():
            f.value_and_gradient(theta)

    thread = threading.Thread(target=compute)
    thread.start()
    deadline = time.monotonic() + 60
    while len(turns) < 20 and time.monotonic() < deadline:
        turns.append(fastlec.softmax(np.zeros((4, 4))).sum())
        time.sleep(0.001)
    stop.set()
    thread.join()
    assert turns == [4.0] * 20


def repeated_row(m, n=20_000):
    """An objective of m samples that are all one row of memory: much work for little of it."""
    X = np.broadcast_to(np.linspace(-1, 1, n, dtype=np.float32), (m, n))
    return fastlec.SoftmaxObjective(X, np.arange(m) % 10)


def samples_for(seconds):
    """How many samples of repeated_row take about so long on one core."""
    f = repeated_row(1 << 11)
    theta = np.zeros(f.n_params, np.float32)
    began = time.perf_counter()
    f.value(theta)
    return int(seconds / (time.perf_counter() - began) * f.n_samples)


@needs_signals
@pytest.mark.parametrize("method", ["value", "value_and_gradient"])
def test_a_long_call_is_interrupted(method, threads, alarm):
    def interrupt(*_):
        raise Alarm

    x = np.random.default_rng(0).normal(size=(50_000, 10))
    expected = fastlec.softmax(x)
    f = repeated_row(samples_for(60))  # a minute and more
    theta = np.zeros(f.n_params, np.float32)
    began = time.monotonic()
    alarm(interrupt, 0.3)
    with pytest.raises(Alarm):
        getattr(f, method)(theta)
    assert time.monotonic() - began < 15
    assert (fastlec.softmax(x) == expected).all()  # and the team was given back
    small = repeated_row(1000)
    assert small.value(theta) == pytest.approx(np.log(10), rel=1e-6)


@needs_signals
def test_a_signal_handler_may_compute_and_the_call_goes_on(threads, alarm):
    f = repeated_row(samples_for(1))
    theta = np.full(f.n_params, 0.01, np.float32)
    expected, seen = f.value(theta), []
    x = np.random.default_rng(0).normal(size=(50_000, 10))
    rows = fastlec.softmax(x)
    alarm(lambda *_: seen.append(fastlec.softmax(x)), 0.1)
    assert f.value(theta) == expected
    assert len(seen) == 1
    assert (seen[0] == rows).all()


@needs_fork
@needs_signals
@pytest.mark.parametrize("then", ["pass", "assert bits() == before", "raise Left"])
@pytest.mark.parametrize("n_threads", [1, 2])
def test_a_signal_handler_may_fork_during_a_call(then, n_threads):
    """The child goes on where its parent was, or leaves the call by an exception; either finishes it with the same bits."""
    code = f"""
    import signal

    class Left(Exception):
        pass

    fastlec.set_num_threads({n_threads})
    before = bits()
    X = np.broadcast_to(np.linspace(-1, 1, 20_000, dtype=np.float32), (20_000, 20_000))
    g = fastlec.SoftmaxObjective(X, np.arange(len(X)) % 10)
    at = np.linspace(-1, 1, g.n_params, dtype=np.float32)
    expected, children = g.value(at), []

    def handler(*_):
        if children:
            return
        children.append(os.fork())
        if children[0] == 0:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)       # ends a child that hangs
            signal.alarm(60)
            {then}

    signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.02)
    try:
        while not children:
            value = g.value(at)
        assert value == expected
    except Left:
        pass
    again = g.value(at) == expected and bits() == before
    if children[0] == 0:
        os._exit(0 if again else 3)
    assert again
    assert os.waitpid(children[0], 0)[1] == 0
    """
    assert forked(code) == ""


@needs_fork
@needs_signals
def test_control_c_stops_a_script():
    code = """
    import signal
    X = np.broadcast_to(np.ones(1 << 14), (1 << 21, 1 << 14))
    g = fastlec.SoftmaxObjective(X, np.zeros(len(X), int), 100)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    try:
        g.value(np.zeros(g.n_params))
    except KeyboardInterrupt:
        print("interrupted")
    """
    assert forked(code) == "interrupted"


def test_limits_of_openmp_are_respected():
    code = "import fastlec; print(fastlec.get_num_threads())"
    assert output(code, OMP_NUM_THREADS="1") == "1"
    limits = """
        import threadpoolctl, fastlec
        team = fastlec.get_num_threads()
        with threadpoolctl.threadpool_limits(1):
            assert fastlec.get_num_threads() == 1
        assert fastlec.get_num_threads() == team
    """
    pytest.importorskip("threadpoolctl")
    assert output(limits) == ""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs CPU affinity")
def test_affinity_is_respected_whenever_it_changes():
    code = """
        import os, fastlec
        cpus, team = os.sched_getaffinity(0), fastlec.get_num_threads()
        assert team <= len(cpus)
        os.sched_setaffinity(0, {min(cpus)})
        assert fastlec.get_num_threads() == 1
        os.sched_setaffinity(0, cpus)
        assert fastlec.get_num_threads() == team
    """
    assert output(code) == ""


def test_the_limit_of_threads_is_set_and_lifted():
    team = fastlec.get_num_threads()
    try:
        for limit in (1, np.int64(1), True):
            fastlec.set_num_threads(limit)
            assert fastlec.get_num_threads() == 1
        fastlec.set_num_threads(10**4)
        assert fastlec.get_num_threads() == team
        for wrong, error in ((0, ValueError), (-2, ValueError), (1.5, TypeError), ("2", TypeError), ([2], TypeError)):
            fastlec.set_num_threads(1)
            with pytest.raises(error, match=r"^n is "):
                fastlec.set_num_threads(wrong)
            assert fastlec.get_num_threads() == 1
    finally:
        fastlec.set_num_threads(None)
    assert fastlec.get_num_threads() == team


def test_a_build_without_openmp_says_so():
    told = fastlec.show_config("dict")["openmp"]
    assert told == (runner.openmp() or "none: serial build")
    if not runner.openmp():
        assert fastlec.get_num_threads() == 1


@pytest.mark.parametrize(
    ("files", "cpus"),
    [
        ({}, 0),
        ({"cpu.max": "max 100000\n"}, 0),
        ({"cpu.max": "100000 100000\n"}, 1),
        ({"cpu.max": "150000 100000\n"}, 2),
        ({"cpu.max": "1000 100000\n"}, 1),
        ({"cpu.max": ""}, 0),
        ({"cpu.max": "garbage\n"}, 0),
        ({"cpu.max": "100000\n"}, 0),
        ({"cpu.max": "100000 0\n"}, 0),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 0),
        ({"cpu/cpu.cfs_quota_us": "350000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 4),
        ({"cpu/cpu.cfs_quota_us": "350000\n"}, 0),
        ({"cpu.max": "max 100000\n", "cpu/cpu.cfs_quota_us": "50000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 1),
    ],
)
def test_the_quota_of_a_container_is_read(files, cpus, tmp_path):
    for name, text in files.items():
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    assert _config._cgroup_cpus(tmp_path) == cpus


def test_the_quota_of_a_container_limits_the_team():
    team = fastlec.get_num_threads()
    try:
        runner.set_cpu_quota(1)
        assert fastlec.get_num_threads() == 1
        runner.set_cpu_quota(10**4)
        assert fastlec.get_num_threads() == team
    finally:
        runner.set_cpu_quota(_config._cgroup_cpus())
