"""The memory of large outputs: aligned, kept for the next call up to a bound, and never given to two arrays at once."""

import os
import threading

import numpy as np
import pytest
from interpreter import output

import fastlec
from fastlec._kernels import memory

LARGE = 1 << 16  # bytes from which an output comes from the pool


@pytest.fixture(autouse=True)
def empty_pool():
    """Every test begins with nothing kept and has no team, whose scratch would be kept; the bound is as before afterwards."""
    fastlec.release_memory()
    before = memory.info()["bound_bytes"]
    fastlec.set_num_threads(1)
    yield
    fastlec.set_num_threads(None)
    memory.set_bound(before)


def address(a):
    return a.__array_interface__["data"][0]


def results(dtype, n):
    """A large output of every kind of call."""
    x = np.ones((n, 20), dtype)
    f = fastlec.SoftmaxObjective(x, np.arange(n) % 5)
    theta = np.zeros(f.n_params, dtype)
    loss, grad = fastlec.softmax_cross_entropy(x, np.zeros(n, int))
    assert loss == pytest.approx(np.log(20))
    yield from (grad, fastlec.softmax(x), fastlec.softmax(x, axis=0), fastlec.log_softmax(x), fastlec.tanh(x))
    yield from fastlec.value_and_derivative(x, "sigmoid")
    yield from (f.data_gradient(theta), f.predict_proba(theta))
    wide = fastlec.SoftmaxObjective(np.ones((2, LARGE), dtype), [0, 1])
    yield wide.gradient(np.zeros(wide.n_params, dtype))


@pytest.mark.parametrize("n", [3277, 20_000, 100_003])
def test_large_outputs_are_aligned_and_writeable(n, dtype):
    for y in results(dtype, n):
        assert y.nbytes >= LARGE
        assert address(y) % 64 == 0
        assert y.flags.c_contiguous
        assert y.flags.writeable
        assert y.dtype == dtype


@pytest.mark.parametrize("size", [LARGE, 300_000, 1 << 20, 5_000_000])
def test_the_buffer_of_a_dead_output_is_used_again(size):
    x = np.zeros(size // 8)
    y = fastlec.tanh(x)
    first = address(y)
    z = fastlec.tanh(x)
    assert address(z) != first  # y lives
    del y
    assert memory.info()["kept_buffers"] == 1
    assert memory.info()["kept_bytes"] >= size
    y = fastlec.tanh(x)
    assert address(y) == first
    assert memory.info()["kept_buffers"] == 0


def test_small_outputs_are_not_kept():
    fastlec.tanh(np.zeros(LARGE // 8 - 1))
    assert memory.info()["kept_buffers"] == 0


def test_a_view_keeps_its_buffer():
    x = np.full(100_000, 3.0)
    view = fastlec.relu(x)[50_000:]
    for value in range(5):
        fastlec.relu(np.full(100_000, float(value)))
    assert (view == 3).all()


def test_the_bound_is_kept_and_the_oldest_go_first():
    former = memory.set_bound(1 << 20)
    assert former == memory.info()["bound_bytes"] or memory.info()["bound_bytes"] == 1 << 20
    arrays = [fastlec.relu(np.zeros(n)) for n in (10_000, 20_000, 40_000, 60_000)]
    newest = address(arrays[-1])
    while arrays:
        del arrays[0]
        assert memory.info()["kept_bytes"] <= 1 << 20
    assert memory.info()["kept_buffers"] >= 1
    assert address(fastlec.relu(np.zeros(60_000))) == newest


def test_a_buffer_larger_than_the_bound_is_not_kept():
    memory.set_bound(1 << 20)
    fastlec.relu(np.zeros(1 << 20))
    assert memory.info()["kept_bytes"] == 0


def test_more_buffers_than_there_are_places_for():
    arrays = [fastlec.relu(np.full(LARGE // 8, float(i))) for i in range(200)]
    assert all((a == i).all() for i, a in enumerate(arrays))
    del arrays
    assert 1 <= memory.info()["kept_buffers"] < 200


def test_lowering_the_bound_frees_what_is_kept_and_spares_living_outputs():
    x = np.full(1 << 17, 2.0)
    y = fastlec.relu(x)
    fastlec.relu(x)
    assert memory.info()["kept_bytes"] >= x.nbytes
    memory.set_bound(0)
    assert memory.info()["kept_bytes"] == memory.info()["kept_buffers"] == 0
    fastlec.relu(np.zeros(1 << 17))
    assert memory.info()["kept_bytes"] == 0
    assert (y == 2).all()


def test_release_memory_says_how_much_and_leaves_the_bound():
    bound = memory.info()["bound_bytes"]
    fastlec.relu(np.zeros(1 << 17))
    assert fastlec.release_memory() >= 1 << 20
    assert memory.info() == {"kept_bytes": 0, "kept_buffers": 0, "bound_bytes": bound}
    assert fastlec.release_memory() == 0


def test_no_two_arrays_share_a_buffer_when_many_threads_make_and_drop_them():
    wrong = []

    def hammer(seed):
        rng = np.random.default_rng(seed)
        living = []
        for step in range(150):
            value = 1000.0 * seed + step
            living.append((value, fastlec.relu(np.full(int(rng.integers(8_000, 40_000)), value))))
            if len(living) > 4:
                value, a = living.pop(int(rng.integers(5)))
                if not (a == value).all():
                    wrong.append((seed, step))

    threads = [threading.Thread(target=hammer, args=(seed,)) for seed in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert memory.info()["kept_bytes"] <= memory.info()["bound_bytes"]


@pytest.mark.parametrize("call", [fastlec.softmax, fastlec.logsumexp, fastlec.tanh, fastlec.sigmoid_derivative])
def test_a_size_that_cannot_be_had_is_a_memory_error(call):
    x = np.broadcast_to(np.float32(1), (1 << 23, 1 << 23))  # 256 TiB: more than processes have addresses for
    with pytest.raises(MemoryError):
        call(x)
    assert call(x[:2, :2]).dtype == np.float32


@pytest.mark.skipif("libasan" in os.environ.get("LD_PRELOAD", ""), reason="the sanitizer needs address space of its own")
def test_no_memory_left_for_an_output_is_a_memory_error():
    code = """
        import re, resource
        from pathlib import Path
        import numpy as np
        import fastlec

        fastlec.set_num_threads(1)
        x = np.ones((1 << 22, 10))
        used = int(re.search(r"VmSize:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) << 10
        resource.setrlimit(resource.RLIMIT_AS, (used + (128 << 20), resource.RLIM_INFINITY))
        for call in (fastlec.softmax, fastlec.tanh):
            try:
                call(x)
            except MemoryError as error:
                print(error)
        print(fastlec.softmax(x[:1000]).sum())
    """
    if not os.path.exists("/proc/self/status"):
        pytest.skip("needs Linux")
    refused, again, sum_of_rows = output(code).splitlines()
    assert refused == again
    assert refused.startswith("cannot allocate ")
    assert float(sum_of_rows) == pytest.approx(1000)
