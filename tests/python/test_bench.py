"""The benchmarks: every case is right in fastlec and NumPy, wrong and failing contenders are reported, ratios are ratios."""

import json
import sys
import time

import numpy as np
import pytest
from interpreter import finished
from numpy._core import _multiarray_umath as umath

import fastlec
from fastlec import bench
from fastlec._kernels import runner
from fastlec.bench import (
    bridges,
    cases,
    curvature,
    fits,
    image_nets,
    images,
    kinds,
    machine,
    nets,
    norms,
    peers,
    report,
    second,
)
from fastlec.bench.clock import per_call
from fastlec.bench.timing import measure


@pytest.fixture
def contender():
    """Makes contenders of one thread; the limit that fastlec's sets is lifted afterwards."""
    yield lambda kind: kind(1)
    fastlec.set_num_threads(None)


@pytest.fixture
def problem():
    """A case with its inputs and what is right."""
    case = cases.select("tanh-1e5")[0].at(smoke=True)
    inputs = case.make(np.random.default_rng(0), "float32")
    return case, inputs, case.expected(inputs)


@pytest.mark.parametrize("kind", [peers.Fastlec, peers.NumPy, peers.SciPy], ids=lambda kind: kind.name)
@pytest.mark.parametrize("dtype", kinds.SIZE)
@pytest.mark.parametrize("case", cases.CASES, ids=lambda case: case.name)
def test_every_case_agrees_with_the_reference(case, dtype, kind, contender):
    case = case.at(smoke=True)
    inputs = case.make(np.random.default_rng(0), dtype)
    kept = [array.copy() for array in inputs]
    for mode in case.modes:
        peer = contender(kind)
        call = peer.build(case, inputs, mode)
        if call is None:
            assert kind is peers.SciPy or (
                kind is peers.NumPy
                and (isinstance(case, images.Images | fits.Fit | second.Derivative) or case.op in {*kinds.SMOOTH, *bridges.OPS})
            )
            continue
        result = peer.arrays(case, call())
        assert kinds.disagreement(result, case.expected(inputs), dtype, case.tolerance) is None
        then = (*inputs[:2], result[1].copy()) if "step" in case.op else inputs  # a step goes on from the theta that it left
        result = peer.arrays(case, call())
        assert kinds.disagreement(result, case.expected(then), dtype, case.tolerance) is None, "the second call"
    assert all(np.array_equal(array, copy) for array, copy in zip(inputs, kept, strict=True))


@pytest.mark.parametrize("name", ["softmax-64x10", "log_softmax-60000x10", "cross_entropy-60000x10", "tanh-1e5", "relu-1e5"])
@pytest.mark.parametrize("kind", [peers.Fastlec, peers.NumPy], ids=lambda kind: kind.name)
def test_a_reused_result_is_the_same_array_each_time_and_a_fresh_one_is_not(name, kind, contender):
    case = cases.select(name)[0].at(smoke=True)
    inputs = case.make(np.random.default_rng(0), "float32")
    for mode, same in (("reused", True), ("fresh", False)):
        call = contender(kind).build(case, inputs, mode)
        first, second = (result[-1] if isinstance(result, tuple) else result for result in (call(), call()))
        assert (first is second) == same


def test_names_are_unique_and_the_work_of_an_objective_is_counted():
    assert len({case.name for case in cases.CASES}) == len(cases.CASES)
    by_op = {case.op: case for case in cases.CASES}
    modules = (kinds, images, fits, norms, second, curvature, bridges)
    assert set(by_op) == set().union(*(module.OPS for module in modules))
    assert by_op["value_and_gradient"].flops == 4 * 60000 * 784 * 10  # one product forward, one back
    assert by_op["hessian_mv"].flops == 6 * 60000 * 784 * 10
    assert by_op["softmax"].flops is None
    assert by_op["gemm"].flops == 2 * 1024**3
    step, inference = (cases.select(f"{op}-784-128-10-batch1")[0] for op in ("step", "inference"))
    assert inference.flops == 2 * (784 * 128 + 128 * 10)
    assert step.flops == 2 * (2 * 784 * 128 + 3 * 128 * 10)  # without the gradient with respect to X
    assert cases.select("softmax-64x10")[0].bytes("float64") == 2 * 640 * 8
    assert cases.select("gemm_tn-10x4096")[0].bytes("float32") == (10 * 4096 + 4096 * 784 + 10 * 784) * 4
    assert inference.bytes("float32") == (784 + 784 * 128 + 128 + 128 * 10 + 10 + 10) * 4
    for op in ("jac_mv", "jac_tmv"):
        work = cases.select(f"call-{op}")[0]
        assert work.flops == 2 * 2 * (8 * 16 + 16 * 16 + 16 * 4)
        assert work.bytes("float64") == 2 * (8 + 8 * 16 + 16 + 16 * 16 + 16 + 16 * 4 + 4 + 4) * 8
    assert step.bytes("float32") == (784 + 2 * (784 * 128 + 128 + 128 * 10 + 10)) * 4
    many = cases.select("mv_many-784-256")[0]
    assert many.flops == 64 * 2 * 128 * (784 * 256 + 256 * 256 + 256 * 10)
    assert cases.select("hessian_columns")[0].flops == 8 * 4 * 60000 * 784 * 10


def test_the_work_of_convolutions_is_counted():
    def work(name):
        case = cases.select(name)[0]
        return case.flops, case.bytes("float32")

    x, W, y = 8 * 3 * 224**2, 64 * 3 * 7**2, 8 * 64 * 112**2
    flops = 2 * y * 3 * 7**2
    assert work("conv-8x3x224x224") == (flops, 4 * (x + W + 64 + y))
    assert work("conv_data_gradient-8x3x224x224") == work("conv_weight_gradient-8x3x224x224") == (flops, 4 * (x + W + y))
    x, W, y = 8 * 128 * 28**2, 128 * 32 * 9, 8 * 128 * 14**2
    assert work("conv-8x128x28x28-128-3x3-stride2-groups4") == (2 * y * 32 * 9, 4 * (x + W + 128 + y))
    x, W, y = 64 * 6 * 14**2, 16 * 6 * 25, 64 * 16 * 10**2
    assert work("conv_jac_mv-64x6x14x14") == (2 * 2 * y * 6 * 25, 4 * (2 * (x + W) + y))
    assert work("filter2d-512x512x3-11x11-mirror") == (2 * 512**2 * 3 * 121, 4 * 2 * 512**2 * 3)
    first, second, dense = 6 * 28**2 * 25, 16 * 10**2 * 6 * 25, 400 * 120 + 120 * 84 + 84 * 10
    assert work("inference-lenet")[0] == 64 * 2 * (first + second + dense)
    assert work("step-lenet")[0] == 64 * 2 * (2 * first + 3 * (second + dense))  # without the gradient with respect to X
    theta = 6 * 25 + 6 + 16 * 150 + 16 + dense + 120 + 84 + 10
    assert work("step-lenet")[1] == 4 * (64 * 28**2 + 2 * theta)


@pytest.mark.parametrize(("make", "pixels"), [(image_nets.lenet, 12), (image_nets.cnn, 8)], ids=["lenet", "cnn"])
def test_the_reference_of_networks_of_images_by_differences(make, pixels):
    net = make(pixels, (2, 3), (5, 4))
    rng = np.random.default_rng(0)
    theta, dtheta = nets.start(net, rng, "float64"), rng.standard_normal(nets.n_params(net))
    x, dx, v = rng.random((5, 1, pixels, pixels)), rng.standard_normal((5, 1, pixels, pixels)), rng.standard_normal((5, 4))
    _, kept = image_nets.forward(net, theta, x)
    assert [before[0] for before in image_nets.shapes(net, x.shape[1:])] == [layer_x.shape[1] for layer_x, _ in kept]
    gradient = image_nets.backward(net, theta, kept, v)
    before, after = (np.sum(v * image_nets.forward(net, theta + h * dtheta, x + h * dx)[0]) for h in (-1e-6, 1e-6))
    assert np.sum(gradient[0] * dx) + gradient[1] @ dtheta == pytest.approx((after - before) / 2e-6, rel=1e-8)


@pytest.mark.parametrize("name", ["512x512-5x5", "512x512x3-11x11"])
@pytest.mark.parametrize("mode", ["mirror", "constant"])
def test_a_filter_turns_its_kernel_as_scipy_does(name, mode):
    from scipy.ndimage import convolve

    case = cases.select(f"filter2d-{name}-{mode}")[0].at(smoke=True)
    image, kernel = case.make(np.random.default_rng(0), "float64")
    right = convolve(image, kernel[:, :, None] if image.ndim == 3 else kernel, mode=mode)
    np.testing.assert_allclose(*case.expected((image, kernel)), right, rtol=0, atol=1e-13)


def test_sums_may_lose_three_times_what_summing_in_order_loses():
    """So a result in float32 that was made of half the digits is found, and one made in order passes."""
    rng = np.random.default_rng(0)
    case = cases.select("conv-1x256x14x14")[0]
    inputs = case.make(rng, "float32")
    (expected,) = case.expected(inputs)
    x, W, b = (array.astype(np.float16).astype(np.float64) for array in inputs)
    rough = images.OPS["conv"](case, x, W, b)[0].astype(np.float32)
    assert kinds.disagreement(expected.astype(np.float32), (expected,), "float32", case.tolerance) is None
    assert kinds.disagreement(rough, (expected,), "float32", case.tolerance).startswith("is off by")
    terms = rng.standard_normal((case.terms, 1000), dtype=np.float32)
    in_order = np.float32(0) + terms[0]
    for term in terms[1:]:
        in_order += term
    right = terms.sum(axis=0, dtype=np.float64)
    third = {"float32": case.tolerance["float32"] / 3}
    assert kinds.disagreement(in_order, (right,), "float32", third) is None


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_the_reference_of_networks_by_differences(activation):
    net = nets.chain((3, 6, 4), activation, blocks=2)
    assert [type(layer) for layer in net] == [nets.Dense, nets.Residual, nets.Residual, nets.Dense]
    assert nets.n_params(net) == 3 * 6 + 6 + 2 * (36 + 6 + 36) + 6 * 4 + 4
    rng = np.random.default_rng(0)
    theta, dtheta = nets.start(net, rng, "float64"), rng.standard_normal(nets.n_params(net))
    x, dx, v = rng.random((5, 3)), rng.standard_normal((5, 3)), rng.standard_normal((5, 4))
    gradient = nets.backward(net, theta, nets.forward(net, theta, x)[1], v)
    before, after = (np.sum(v * nets.forward(net, theta + h * dtheta, x + h * dx)[0]) for h in (-1e-6, 1e-6))
    assert np.sum(gradient[0] * dx) + gradient[1] @ dtheta == pytest.approx((after - before) / 2e-6, rel=1e-8)
    dense = nets.chain((3, 6, 5, 4), activation)
    theta, dtheta = nets.start(dense, rng, "float64"), rng.standard_normal(nets.n_params(dense))
    _, kept = nets.forward(dense, theta, x)
    gradient = nets.backward(dense, theta, kept, v)
    dy = nets.directional(dense, theta, kept, dx, dtheta)
    assert np.sum(v * dy) == pytest.approx(np.sum(gradient[0] * dx) + gradient[1] @ dtheta, rel=1e-12)


@pytest.mark.parametrize("name", ["784-128-10-batch256", "lenet-batch32"])
def test_the_reference_of_second_derivatives_by_differences(name):
    case = cases.select(f"objective_hessian_mv-{name}")[0].at(smoke=True)
    X, y, theta, v = case.make(np.random.default_rng(0), "float64")
    net, gradients = case.shape[1], {}
    for h in (-1e-5, 1e-5):
        gradients[h] = second.OPS["objective"](net, X, y, theta + h * v)[1]
    differences = (gradients[1e-5] - gradients[-1e-5]) / 2e-5
    np.testing.assert_allclose(*case.expected((X, y, theta, v)), differences, rtol=0, atol=1e-8 * np.abs(differences).max())


def test_the_reference_of_curvature_by_jacobians():
    case = cases.select("gram-20")[0].at(smoke=True)
    X, theta = case.make(np.random.default_rng(0), "float64")
    (J,) = second.OPS["theta_jacobian"](case.shape[1], X, theta)
    np.testing.assert_allclose(*case.expected((X, theta)), J @ J.T, rtol=0, atol=1e-12 * np.abs(J @ J.T).max())
    np.testing.assert_allclose(curvature._jacobian(case.shape[1], X, theta), J, rtol=0, atol=1e-14 * np.abs(J).max())


def test_a_fit_that_ends_early_is_found(contender):
    case = cases.select("least_squares-2-20")[0].at(smoke=True)
    X, y, theta = inputs = case.make(np.random.default_rng(0), "float64")
    found = contender(peers.Fastlec).build(case, inputs, "fresh")()[0]
    for end, wrong in ((found, None), (found + 1e-4, "is off by"), (theta, "is off by 1.0e+00 of the largest value")):
        told = kinds.disagreement(case.result((end, X, y, theta)), case.expected(inputs), "float64", case.tolerance)
        assert told is None if wrong is None else told.startswith(wrong)


def test_select():
    assert cases.select() == list(cases.CASES)
    assert [case.name for case in cases.select(["relu", "tanh-1e5"])] == [
        "tanh-1e5",
        "relu-1e5",
        "relu-1e6",
        "smooth-leaky_relu",
    ]
    with pytest.raises(ValueError, match=r"cases is 'fft'; no case has such a name; there are softmax-64x10"):
        cases.select("fft")


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda y: y + np.float32(2e-4), "is off by 2.0e-04 of the largest value; expected at most 1e-04"),
        (lambda y: y[:-1], "gave shape (999,); expected (1000,)"),
        (lambda y: y.astype("f8"), "gave float64; expected float32"),
        (lambda y: (y, y), "gave 2 results; expected 1"),
        (lambda y: np.where(np.arange(1000) == 7, np.float32("nan"), y), "is off by nan"),
    ],
)
def test_disagreement_is_found(spoil, reason, problem):
    _, inputs, expected = problem
    right = np.tanh(inputs[0]) / np.float32(np.max(np.abs(expected[0])))
    expected = (expected[0] / np.max(np.abs(expected[0])),)
    assert kinds.disagreement(right, expected, "float32") is None
    assert kinds.disagreement(spoil(right), expected, "float32").startswith(reason)


def test_a_case_may_be_stricter_with_arrays_but_not_with_numbers():
    result, expected = (np.float32(1 + 1e-5), np.full(3, 1 + 1e-5, "f4")), (1.0, np.ones(3))
    strict = dict.fromkeys(kinds.SIZE, 1e-6)
    assert kinds.disagreement(result, expected, "float32") is None
    assert kinds.disagreement(result[:1], expected[:1], "float32", strict) is None
    assert kinds.disagreement(result, expected, "float32", strict).endswith("of the largest value; expected at most 1e-06")


def test_a_step_with_a_wrong_gradient_is_found(contender):
    case = cases.select("step-784-256")[0].at(smoke=True)
    inputs = case.make(np.random.default_rng(0), "float32")
    loss, theta = contender(peers.NumPy).build(case, inputs, "reused")()
    start = inputs[2]
    wrong = loss, start + np.float32(1.05) * (theta - start)
    assert kinds.disagreement((loss, theta), case.expected(inputs), "float32", case.tolerance) is None
    assert kinds.disagreement(wrong, case.expected(inputs), "float32", case.tolerance).startswith("is off by")


# Runs the worker, the last argument, after a change of the libraries.
CHANGED = """#!{python}
import runpy, sys
sys.path[:] = {path}
{code}
sys.argv = sys.argv[-1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture
def changed(tmp_path, monkeypatch):
    """changed(code): the contenders' interpreter runs this code first, in which `numpy` and `os` are imported."""

    python = sys.executable

    def change(code):
        script = tmp_path / "python"
        code = f"import numpy, os\n{code}"
        script.write_text(CHANGED.format(python=python, path=sys.path, code=code))
        script.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(script))

    return change


def smoke(cases, contenders, **options):
    return bench.run(cases=cases, dtypes=["float32"], threads=1, smoke=True, contenders=contenders, **options)


def test_contenders_that_are_wrong_fail_or_offer_nothing(changed):
    changed(
        """
def fails(*arguments, **options):
    raise RuntimeError("no such operator\\nand more")
numpy.tanh, numpy.maximum = (lambda x, out: numpy.sin(x, out=out)), fails
"""
    )
    result = smoke(["tanh-1e5", "relu-1e5", "cross_entropy-60000x10"], ["fastlec", "NumPy", "SciPy"])
    by_case = {entry["case"]: (set(entry["times"]), entry["failed"]) for entry in result["results"]}
    assert by_case["cross_entropy-60000x10"] == ({"fastlec", "NumPy"}, {})
    assert by_case["relu-1e5"] == ({"fastlec"}, {"NumPy": "RuntimeError: no such operator"})
    times, failed = by_case["tanh-1e5"]
    assert times == {"fastlec"}
    assert set(failed) == {"NumPy"}
    assert failed["NumPy"].startswith("is off by")


def test_a_contender_whose_process_dies_fails_at_that_case_alone(changed):
    """Also where that is in a later call than the first."""
    changed(
        """
count, maximum = iter(range(2)), numpy.maximum
numpy.maximum = lambda *arguments, out: maximum(*arguments, out=out) if next(count) < 1 else os._exit(7)
numpy.tanh = lambda x, out: (os.write(2, b"some words"), os._exit(8))
"""
    )
    result = smoke(["tanh-1e5", "relu-1e5", "gemm-16"], ["fastlec", "NumPy"])
    for entry in result["results"]:
        code = {"tanh-1e5": "8: some words", "relu-1e5": "7: it printed nothing"}.get(entry["case"])
        assert entry["failed"] == ({"NumPy": f"the process of NumPy ended with code {code}"} if code else {})
        assert set(entry["times"]) == ({"fastlec"} if code else {"fastlec", "NumPy"})


def test_without_its_own_process_the_run_ends(changed):
    changed("import fastlec; fastlec.relu = lambda x, out: os._exit(7)")
    with pytest.raises(
        RuntimeError, match=r"the process of fastlec ended with code 7: .*, at relu-1e5 float32 reused, 1 thread"
    ):
        smoke("relu-1e5", ["fastlec"])
    changed("os._exit(3)")
    with pytest.raises(RuntimeError, match="the process of fastlec ended with code 3: it printed nothing, at start"):
        smoke("relu-1e5", ["fastlec"])


def test_a_library_that_is_not_installed_is_named(monkeypatch, changed):
    monkeypatch.setattr(peers.SciPy, "module", "no_such_library")
    changed("sys.modules['sklearn'] = None")
    result = smoke("relu-1e5", ["fastlec", "NumPy", "SciPy", "scikit-learn"])
    assert set(result["libraries"]) == {"fastlec", "NumPy"}
    assert set(result["missing"]) == {"SciPy", "scikit-learn"}
    assert result["missing"]["SciPy"] == "No module named 'no_such_library'"
    assert "sklearn" in result["missing"]["scikit-learn"]


class Contender:
    """One in this process; so are `count` calls counted."""

    def __init__(self, seconds):
        self.seconds, self.count, self.turns = seconds, 0, []

    def __call__(self):
        self.count += 1
        if self.seconds:
            time.sleep(self.seconds)

    def time(self, number, wake):
        self.turns.append((number, wake))
        for _ in range(wake):
            self()
        return per_call(self, number)


def test_measure_gives_every_contender_its_turns():
    slow, quick = Contender(0.003), Contender(0)
    times = measure({"slow": slow, "quick": quick}, rounds=4, turn=1e-3)
    assert slow.count == 2 + 4 * 2  # to calibrate, then a call to wake it and one to time
    assert quick.count > 100
    assert len(quick.turns) == len(slow.turns) == 1 + 4
    assert 0.003 <= times["slow"]["min"] <= times["slow"]["median"]
    assert 0 < times["quick"]["min"] < 0.003


def test_those_who_are_alike_do_as_many_calls():
    slow, quick = Contender(0.003), Contender(0.0001)
    measure({"slow": slow, "quick": quick}, rounds=2, turn=3e-3, alike=True)
    assert slow.turns == quick.turns
    assert quick.turns[-1][0] > 1


def test_a_slow_contender_gets_fewer_turns(monkeypatch):
    monkeypatch.setattr("fastlec.bench.timing.PATIENCE", 0.1)
    slow, quick = Contender(0.1), Contender(0.001)
    times = measure({"slow": slow, "quick": quick}, rounds=8, turn=1e-3)
    assert slow.turns == [(1, 1), (1, 0)]  # too long for a call before that only wakes it
    assert len(quick.turns) == 1 + 8
    assert times["slow"]["min"] == times["slow"]["median"] >= 0.1


def test_the_copy_and_the_product_take_part_in_a_timed_run(monkeypatch):
    monkeypatch.setattr("fastlec.bench.timing.TURN", 1e-4)
    options = {"dtypes": ["float32"], "threads": 1, "rounds": 2, "contenders": ["fastlec"]}
    result = bench.run(cases="softmax-64x10", **options)
    assert [limit["gemm"] > 1e6 for limit in result["limits"]] == [True]
    for entry in result["results"]:
        assert set(entry["times"]) == {"fastlec"}
        assert 0 < entry["copy"]["min"] <= entry["copy"]["median"]


@pytest.mark.parametrize("nbytes", [1, 1000, machine.SPLIT_FROM + 2])
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_the_copier_copies_half_of_the_bytes_once(threads, nbytes, monkeypatch):
    copied = []
    monkeypatch.setattr(machine.np, "copyto", lambda target, source: copied.append((target.size, source.size)))
    machine.copier(nbytes, threads)()
    assert len(copied) == (threads if nbytes >= machine.SPLIT_FROM else 1)
    assert sum(target for target, _ in copied) == sum(source for _, source in copied) == max(nbytes // 2, 1)


def result_with(times, **more):
    times = {name: {"min": time, "median": 2 * time} for name, time in times.items()}
    fixed = {"case": "tanh-1e5", "dtype": "float32", "mode": "fresh", "threads": 1, "bytes": 8e5, "flops": None, "failed": {}}
    return fixed | {"times": times, "copy": {"min": 1e-5, "median": 1e-5}} | more


def test_the_ratio_is_to_the_fastest_peer_by_minimum():
    result = result_with({"fastlec": 2e-5, "NumPy": 6e-5, "JAX": 5e-5})
    assert report.best_peer(result) == ("JAX", 5e-5)
    assert report.ratio(result) == pytest.approx(2.5)
    assert report.ratio(result_with({"fastlec": 2e-5})) is None
    assert report.ratio(result_with({"JAX": 2e-5})) is None


def test_the_text_has_times_ratio_rates_and_failures():
    whole = {
        "machine": machine.facts(),
        "isa": "avx512",
        "held": False,
        "date": "today",
        "smoke": False,
        "libraries": {"fastlec": "1", "JAX": "2"},
        "missing": {
            "PyTorch": "No module named 'torch'",
            "SciPy": "No module named 'scipy'",
            "faiss": "cannot be held to avx2",
        },
        "load": 0.0,
        "skipped": 7,
        "limits": [{"threads": 1, "dtype": "float32", "gemm": 1e11}],
        "results": [
            result_with({"fastlec": 2e-5, "JAX": 5e-5}),
            result_with({"fastlec": 1e-3, "JAX": 2e-3}, flops=2e7, failed={"NumPy": "ran out"}),
        ],
    }
    lines = report.text(whole).splitlines()
    rows = [line.split() for line in lines if line.startswith("tanh-1e5")]
    assert rows[0] == ["tanh-1e5", "float32", "fresh", "20.0", "40.0", "JAX", "50.0", "2.50x", "40.0", "80.0"]
    assert rows[1][-4:] == ["0.8", "80.0", "20.0", "100.0"]  # GB/s of fastlec and the copy, GFLOP/s of fastlec and the GEMM
    assert rows[2][3:] == ["20.0", "50.0"]
    assert "left out: PyTorch, SciPy (not installed); faiss (cannot be held to avx2)" in lines
    assert "7 results more with --full" in lines
    busy = "NOT TO BE TRUSTED: the machine is busy: load 3.0 at start; in 2 of 2 results"
    assert any(line.startswith(busy) for line in report.text(whole | {"load": 3.0}).splitlines())
    assert lines[0].endswith("today; avx512")
    assert report.text(whole | {"held": True}).splitlines()[0].endswith("today; avx512, to which peers are held")
    assert lines[-1] == "failed: NumPy: tanh-1e5 float32 fresh, 1 thread: ran out"


def test_run_in_a_process_of_its_own(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    seen = []
    result = bench.run(
        cases=["softmax-64x10", "value_and_gradient"],
        dtypes=["float32"],
        threads=1,
        smoke=True,
        json_path=tmp_path / "bench.json",
        plot_path=tmp_path / "bench.png",
        contenders=["fastlec", "NumPy"],
        progress=seen.append,
    )
    assert json.loads((tmp_path / "bench.json").read_text()) == result
    assert (tmp_path / "bench.png").read_bytes().startswith(b"\x89PNG")
    assert (result["isa"], result["held"], result["missing"]) == (fastlec.isa(), False, {})
    assert result["libraries"] == {"fastlec": fastlec.__version__, "NumPy": np.__version__}
    assert [(r["case"], r["mode"], set(r["times"]), r["failed"]) for r in result["results"]] == [
        ("softmax-64x10", "reused", {"fastlec", "NumPy"}, {}),
        ("softmax-64x10", "fresh", {"fastlec", "NumPy"}, {}),
        ("value_and_gradient-60000x784x10", "reused", {"fastlec", "NumPy"}, {}),
    ]
    assert "6 results agree with the reference, 0 do not" in capsys.readouterr().out
    assert "softmax-64x10 float32 fresh, 1 thread" in seen
    assert [line.split()[0] for line in seen if line.startswith(" ")] == ["fastlec"] * 3  # a row as soon as it is known


def test_in_little_time_every_operation_comes_before_the_second_case_of_one(capsys):
    first = cases.spread(cases.CASES)[: len({case.op for case in cases.CASES})]
    assert {case.op for case in first} == {case.op for case in cases.CASES}
    result = bench.run(cases="softmax-64x10", dtypes=["float32"], threads=1, smoke=True, contenders=["fastlec"], seconds=0)
    assert (result["results"], result["skipped"]) == ([], 2)
    assert "2 results more with --full" in capsys.readouterr().out


def drawn(monkeypatch, tmp_path, given):
    """The figure of a report."""
    figures = []
    monkeypatch.setattr(report, "save", lambda figure, path: figures.append(figure))
    report.plot(given, tmp_path / "a.png")
    return figures[0]


def test_a_picture_of_many_cases_can_be_read(monkeypatch, tmp_path):
    """No words overlap: cases beside the axis, ratios and peers at the ends of the bars; a smoke run says it is one."""
    pytest.importorskip("matplotlib")
    results = [
        {"case": f"a-case-of-many-{i}", "mode": "reused", "dtype": dtype, "threads": threads}
        | {"times": {"fastlec": {"min": 1.0}, "NumPy": {"min": 0.3 + i * threads}, "ONNX Runtime": {"min": 9.0}}}
        for i in range(20)
        for dtype in ("float32", "float64")
        for threads in (1, 2)
        if (dtype, threads) != ("float64", 2)
    ]
    given = {"results": results, "machine": {"processor": "A processor"}, "isa": "base", "held": False, "smoke": False}
    figure = drawn(monkeypatch, tmp_path, given)
    figure.savefig(tmp_path / "a.png")
    assert figure.get_suptitle() == "A processor; base"
    one, two = figure.axes
    assert (len(one.patches) - 10, len(two.patches) - 10) == (40, 20)  # bars on stripes
    assert {text.get_text() for text in two.texts} >= {"0.30 NumPy", "2.30 NumPy", "9.00 ONNX Runtime"}
    for axis, texts in ((one, one.texts), (two, two.texts), (one, one.get_yticklabels())):
        boxes = [text.get_window_extent() for text in texts]
        assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
        inside = axis.get_window_extent()
        assert all(box.x1 <= inside.x1 for box in boxes)
    assert drawn(monkeypatch, tmp_path, given | {"smoke": True}).get_suptitle().startswith("SMOKE RUN")


HELD = pytest.mark.skipif(runner.isas()[:2] != ["avx512", "avx2"], reason="AVX2 is not the second best here")


@HELD
def test_peers_are_held_to_an_instruction_set(changed, monkeypatch, tmp_path):
    """By variables that are set before they load. One without a switch is left out, one with it for another set too."""
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(peers.ONNXRuntime, "module", "numpy")  # as if it were installed
    monkeypatch.setenv("NPY_DISABLE_CPU_FEATURES", "")
    file = tmp_path / "seen"
    changed(
        f"""
from numpy._core import _multiarray_umath as umath
import fastlec
names = "OPENBLAS_CORETYPE", "OMP_NUM_THREADS", "JAX_PLATFORMS"
features = [name for name in umath.__cpu_dispatch__ if umath.__cpu_features__[name]]
print(fastlec.isa(), *map(os.environ.get, names), *features, file=open({str(file)!r}, "a"))
"""
    )
    contenders = ["fastlec", "NumPy", "ONNX Runtime"]
    result = smoke("relu-1e5", contenders, isa="avx2", plot_path=tmp_path / "a.png")
    assert (result["isa"], result["held"]) == ("avx2", True)
    assert result["missing"] == {"ONNX Runtime": "has no switch for instruction sets"}
    seen = sorted(line.split() for line in file.read_text().splitlines())
    both = [name for name in umath.__cpu_dispatch__ if umath.__cpu_features__[name]]
    low = [name for name in both if name not in peers.numpy.ABOVE_AVX2]
    ours = [line for line in seen if line[:4] == ["avx2", "None", "1", "cpu"]]
    assert [line[4:] for line in ours] == [both]
    assert [line for line in seen if line not in ours] == [[fastlec.isa(), "Haswell", "1", "cpu", *low]]
    assert smoke("relu-1e5", contenders[:2], isa="base")["missing"] == {"NumPy": "cannot be held to base"}


@HELD
def test_at_the_best_instruction_set_nobody_needs_to_be_held(changed, monkeypatch, tmp_path):
    monkeypatch.setenv("FASTLEC_ISA", "avx2")
    file = tmp_path / "seen"
    changed(f"import fastlec; print(fastlec.isa(), os.environ.get('OPENBLAS_CORETYPE'), file=open({str(file)!r}, 'a'))")
    result = smoke("relu-1e5", ["fastlec", "NumPy"], isa="avx512")
    assert (result["isa"], result["held"], result["missing"]) == ("avx512", False, {})
    assert sorted(file.read_text().splitlines()) == ["avx2 None", "avx512 None"]


def test_what_is_held_says_so_in_words():
    """A switch for the best set is never needed; those for AVX2 are strings; lists keep what they had."""
    for kind in peers.PEERS:
        assert all(isinstance(value, str) for switches in kind.HELD.values() for value in switches.values())
        assert kind is peers.Fastlec or set(kind.HELD) <= {"avx2"}
    jax = peers.named("JAX")
    assert jax.HELD["avx2"]["XLA_FLAGS"].endswith("--xla_cpu_max_isa=AVX2")
    jax = jax.__new__(jax)
    softmax, tanh = cases.select(["softmax-64x10", "tanh-1e5"])
    assert jax.offered(tanh)
    assert jax.offered(softmax)
    jax.held = True
    assert jax.offered(tanh)
    assert jax.offered(softmax) is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dtypes": ["float16"]}, "dtypes has 'float16'; expected float32 or float64"),
        ({"threads": 0}, "threads has 0; expected 1 to"),
        ({"threads": [1, 10**6]}, "threads has 1000000; expected 1 to"),
        ({"cases": "nothing"}, "no case has such a name"),
        ({"isa": "avx1024"}, "isa is 'avx1024'; expected one of those that this machine has: .*base"),
    ],
)
def test_arguments_are_checked(arguments, message):
    with pytest.raises(ValueError, match=message):
        bench.run(**arguments, smoke=True)


def test_python_m_fastlec_bench(tmp_path):
    command = [
        sys.executable,
        "-m",
        "fastlec.bench",
        "--smoke",
        "--threads",
        "1",
        "--cases",
        "relu-1e5",
        "--contenders",
        "fastlec",
    ]
    done = finished(command, cwd=tmp_path)  # not beside an uncompiled tree
    assert done.returncode == 0, done.stderr
    assert "4 cases, 4 results agree" in done.stdout
