"""fastlec.testing.checks: everything passes as it is, and a derivative spoiled anywhere in the library is found by its check."""

import inspect

import numpy as np
import pytest

import fastlec
from fastlec import functional, layers, linear, network
from fastlec._activations import ACTIVATIONS
from fastlec._kernels.epilogue import Epilogue
from fastlec.layers.jacobian import PlannedJacobian
from fastlec.layers.planned import multiply
from fastlec.testing import checks
from fastlec.training import losses, objective

SQUARES = ("MeanSquaredError", "MeanSquaredError, weighted")
ENTROPIES = ("SoftmaxCrossEntropy", "Smoothed SoftmaxCrossEntropy", "BinaryCrossEntropy")
VARIANTS = (*ENTROPIES, *(f"{name}, weighted" for name in ENTROPIES), *SQUARES)


@pytest.mark.parametrize(("dtype", "seed"), [(np.float64, 0), (np.float32, 1)], ids=["f64", "f32"])
def test_everything_passes(dtype, seed):
    names, results = zip(*checks.run(dtype=dtype, seed=seed), strict=True)
    for result in results:
        result.assert_passed()
    assert len(set(names)) == len(names)
    assert {(result.name, str(result.dtype)) for result in results} == {(name, str(np.dtype(dtype))) for name in checks.CHECKS}
    assert {result.kind for result in results} == {"gradient", "Jacobian", "transpose", "layer"}
    kinds = {result.kind for result in results if result.name == "softmax"}
    assert kinds == {"Jacobian", "transpose"}


def test_a_seed_decides_every_number():
    for name, build in checks.CHECKS.items():
        one, other = (build(np.dtype(np.float32), np.random.default_rng([5, *name.encode()])) for _ in range(2))
        if isinstance(one, checks.LayerAt):
            assert np.array_equal(one.x, other.x), name
            for a, b in zip(one.layer.params.values(), other.layer.params.values(), strict=True):
                assert np.array_equal(a, b), name


def test_both_precisions_are_run_by_default(monkeypatch):
    monkeypatch.setattr(checks, "CHECKS", {"softmax": checks.CHECKS["softmax"]})
    names, _ = zip(*checks.run(), strict=True)
    assert names == tuple(
        f"softmax: {kind} test, {dtype}" for dtype in ("float64", "float32") for kind in ("Jacobian", "transpose")
    )


def test_every_derivative_of_the_library_is_in_the_table():
    derivatives = [name for name in fastlec.__all__ if name.endswith("_derivative")]
    assert {"tanh_derivative", "value_and_derivative"} <= set(derivatives)
    for name in [d.removesuffix("_derivative") for d in derivatives] + ["softmax", "log_softmax", "logsumexp"]:
        assert any(check.startswith(name) for check in checks.CHECKS)
    for kind in (linear.SoftmaxObjective, linear.LogisticObjective):
        for method in dir(kind):
            if "gradient" in method or "hessian" in method:
                assert f"{kind.__name__}: {method}" in checks.CHECKS


def test_every_layer_loss_and_objective_is_in_the_table():
    built = [build(np.dtype(np.float64), np.random.default_rng(0)) for build in checks.CHECKS.values()]
    tested = [case.layer for case in built if isinstance(case, checks.LayerAt)]
    own = [getattr(layers, name) for name in layers.__all__ if name not in ("Layer", "Jacobian")]
    for kind in [*own, network.Network]:
        activations = {getattr(layer, "activation", None) for layer in tested if type(layer) is kind}
        activations -= set(checks.WITH_PARAMETERS.values())
        expected = checks.IMAGE_ACTIVATIONS if "Conv" in kind.__name__ else ACTIVATIONS
        assert activations == (set(expected) if "activation" in inspect.signature(kind).parameters else {None})
    nested = [layer._planned for layer in tested if isinstance(layer, network.Network)]
    assert True in nested
    assert False in nested
    for loss in VARIANTS:
        for method in ("value_and_gradient", "hessian_mv"):
            assert f"{loss}: {method}" in checks.CHECKS
        for method in dir(objective.Objective):
            if method in ("gauss_newton_diagonal", "sample_gradients", "sample_gradient_norms"):
                continue  # no derivatives of a function alone: compared with matrices and single samples elsewhere
            if "gradient" in method or "hessian" in method or "gauss" in method:
                assert f"Objective with {loss}: {method}" in checks.CHECKS
    for loss in SQUARES:
        assert f"Objective with {loss}: residuals" in checks.CHECKS  # and their jacobian


def test_results_are_reproducible_and_depend_on_the_seed(monkeypatch):
    monkeypatch.setattr(checks, "CHECKS", {"softmax": checks.CHECKS["softmax"]})
    first, again, other = (checks.run(dtype=np.float64, seed=seed)[0][1] for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.first_errors, again.first_errors)
    assert first.first_errors[0] != other.first_errors[0]


def test_unknown_dtype():
    with pytest.raises(ValueError, match="dtype is float16; expected float32 or float64"):
        checks.run(dtype=np.float16)


# --- spoil one thing, see which checks notice ------------------------------------------------------------------------


def failures(prefix, dtype):
    """Names of the checks that fail; those whose name starts with prefix are run."""
    failed = set()
    for name, build in checks.CHECKS.items():
        if name.startswith(prefix):
            rng = np.random.default_rng(0)
            failed |= {name for result in build(np.dtype(dtype), rng).tests(name, rng) if not result.passed}
    return failed


def spoil_result(f):
    """f off by three per cent; only the array where f returns (number, array)."""

    def spoiled(*args, **kwargs):
        y = f(*args, **kwargs)
        return (y[0], y[1] * y[1].dtype.type(1.03)) if isinstance(y, tuple) else y * y.dtype.type(1.03)

    return spoiled


@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["f64", "f32"])
@pytest.mark.parametrize(
    ("name", "prefix", "expected"),
    [
        ("softmax", "softmax", {"softmax", "softmax over axis 0"}),
        ("softmax", "log", {"log_softmax", "log_softmax over axis 0", "logsumexp"}),
        ("log_softmax", "log_softmax", {"log_softmax", "log_softmax over axis 0"}),
        ("logsumexp", "logsumexp", {"logsumexp", "logsumexp with weights"}),
        ("softmax_cross_entropy", "softmax_c", {name for name in checks.CHECKS if name.startswith("softmax_c")}),
        *((f"{name}_derivative", name, {name}) for name in ("tanh", "sigmoid", "relu")),
        ("gelu_derivative", "gelu", {"gelu", "gelu by tanh"}),
        ("elu_derivative", "elu", {"elu", "elu with alpha"}),
        ("leaky_relu_derivative", "leaky", {"leaky_relu", "leaky_relu with negative_slope"}),
        *((f"{name}_derivative", name, {name}) for name in ("silu", "softplus")),
        ("value_and_derivative", "value", {name for name in checks.CHECKS if name.startswith("value_and_derivative")}),
    ],
)
def test_spoiled_function_is_found(monkeypatch, name, prefix, expected, dtype):
    assert failures(prefix, dtype) == set()
    monkeypatch.setattr(functional, name, spoil_result(getattr(functional, name)))
    assert failures(prefix, dtype) == expected


OBJECTIVES = [linear.SoftmaxObjective, linear.LogisticObjective]


@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["f64", "f32"])
@pytest.mark.parametrize("method", ["value_and_gradient", "hessian_mv", "hessian", "data_gradient"])
@pytest.mark.parametrize("kind", OBJECTIVES)
def test_spoiled_objective_is_found(monkeypatch, kind, method, dtype):
    monkeypatch.setattr(kind, method, spoil_result(getattr(kind, method)))
    failed = failures(kind.__name__, dtype)
    variants = {name.split(":")[0] for name in checks.CHECKS if name.startswith(kind.__name__)}
    assert {f"{variant}: {method}" for variant in variants} <= failed


@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["f64", "f32"])
@pytest.mark.parametrize("kind", OBJECTIVES)
def test_forgotten_penalty_is_found_where_there_is_one(monkeypatch, kind, dtype):
    monkeypatch.setattr(kind, "_penalty", lambda self, theta: 0.0)
    gradients = {f"{kind.__name__}{variant}: gradient" for variant in (" with l2, weights", " reduced, with l2, weights")}
    assert failures(kind.__name__, dtype) >= gradients & checks.CHECKS.keys()
    assert f"{kind.__name__}: gradient" not in failures(kind.__name__, dtype)


@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["f64", "f32"])
@pytest.mark.parametrize(
    ("kind", "variable"),
    [
        *(("Dense", variable) for variable in ("x", "W", "b")),
        *((kind, variable) for kind in ("Residual", "ProjectedResidual") for variable in ("x", "W1", "b", "W2")),
        ("Activation", "x"),
        *((kind, variable) for kind in ("BatchNorm", "BatchNorm2d", "LayerNorm") for variable in ("x", "gamma", "beta")),
    ],
)
def test_spoiled_layer_is_found(monkeypatch, kind, variable, dtype):
    """A JacTMV that is off by three per cent for one variable."""
    right = PlannedJacobian._tmv

    def spoiled(self, v, wrt, out):
        products = right(self, v, wrt, out)
        if variable in products:
            products[variable] *= v.dtype.type(1.03)
        return products

    monkeypatch.setattr(PlannedJacobian, "_tmv", spoiled)
    lacking = {"b": "without bias", "beta": ("without bias", "without parameters"), "gamma": "without parameters"}
    without = {name for name in checks.CHECKS if variable in lacking and name.endswith(lacking[variable])}
    assert failures(f"{kind} ", dtype) == {name for name in checks.CHECKS if name.startswith(f"{kind} ")} - without


@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["f64", "f32"])
@pytest.mark.parametrize("name", ["SoftmaxCrossEntropy", "MeanSquaredError"])
@pytest.mark.parametrize(
    ("method", "of_the_loss", "of_objectives"),
    [
        ("hessian_mv", {"hessian_mv"}, set()),  # objectives ask the loss for jobs
        ("value_and_gradient", {"value_and_gradient", "hessian_mv"}, set()),
    ],
)
def test_spoiled_loss_is_found(monkeypatch, method, of_the_loss, of_objectives, name, dtype):
    loss = next(base for base in getattr(losses, name).__mro__ if method in vars(base))
    monkeypatch.setattr(loss, method, spoil_result(getattr(loss, method)))
    variants = name, f"{name}, weighted"
    assert failures(name, dtype) == {f"{variant}: {of}" for variant in variants for of in of_the_loss}
    assert failures("Objective", dtype) >= {f"Objective with {variant}: {of}" for variant in variants for of in of_objectives}


@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["f64", "f32"])
@pytest.mark.parametrize("name", ["SoftmaxCrossEntropy", "MeanSquaredError"])
def test_spoiled_jobs_of_a_loss_are_found(monkeypatch, name, dtype):
    loss = getattr(losses, name)
    right = loss._plan

    def spoiled(self, plan, output, y, grad, weight=None):
        right(self, plan, output, y, grad, weight)
        if grad is not None:
            multiply(plan, grad, grad, Epilogue(derivative=ACTIVATIONS["tanh"].code, of=output))

    monkeypatch.setattr(loss, "_plan", spoiled)
    of_objectives, variants = {"gradient", "value_and_gradient", "hessian_mv"}, (name, f"{name}, weighted")
    assert failures("Objective", dtype) >= {f"Objective with {variant}: {of}" for variant in variants for of in of_objectives}


@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["f64", "f32"])
@pytest.mark.parametrize("name", ["SoftmaxCrossEntropy", "MeanSquaredError"])
def test_spoiled_jobs_of_the_hessian_of_a_loss_are_found(monkeypatch, name, dtype):
    loss = getattr(losses, name)
    right = loss._plan_hessian_mv

    def spoiled(self, plan, output, y, v, product, weight=None):
        right(self, plan, output, y, v, product, weight)
        multiply(plan, output, product)

    monkeypatch.setattr(loss, "_plan_hessian_mv", spoiled)
    products = {f"{kind}_{form}" for kind in ("hessian", "gauss_newton") for form in ("mv", "operator")}
    variants = name, f"{name}, weighted"
    assert failures(name, dtype) == {f"{variant}: hessian_mv" for variant in variants}
    assert failures("Objective", dtype) >= {f"Objective with {variant}: {of}" for variant in variants for of in products}


@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["f64", "f32"])
@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("value_and_gradient", {"value_and_gradient", "gradient", "gradient of a batch", "hessian_mv", "hessian_operator"}),
        ("gauss_newton_mv", {"gauss_newton_mv"}),
        ("hessian_mv", {"hessian_mv"}),
        ("residuals", {"residuals"}),
    ],
)
def test_spoiled_objective_of_a_network_is_found(monkeypatch, method, expected, dtype):
    monkeypatch.setattr(objective.Objective, method, spoil_result(getattr(objective.Objective, method)))
    of = SQUARES if method == "residuals" else VARIANTS
    assert failures("Objective", dtype) == {f"Objective with {loss}: {name}" for loss in of for name in expected}


def test_checks_test_the_public_functions():
    """fastlec.softmax and its siblings are the functions that the table names, not copies of them."""
    for name in ("softmax", "log_softmax", "logsumexp", "softmax_cross_entropy", "tanh", "sigmoid", "relu"):
        assert getattr(fastlec, name) is getattr(functional, name)
    assert fastlec.SoftmaxObjective is linear.SoftmaxObjective
    assert fastlec.LogisticObjective is linear.LogisticObjective
