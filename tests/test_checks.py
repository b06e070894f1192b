"""fastlec.checks: everything passes as it is, and a derivative spoiled anywhere in the library is found by its check."""

import numpy as np
import pytest

import fastlec
from fastlec import checks, functional, linear


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["f64", "f32"])
def test_everything_passes(dtype, seed):
    for _, result in checks.run(dtype=dtype, seed=seed):
        result.assert_passed()


def test_run_covers_every_check_in_both_precisions():
    names, results = zip(*checks.run(), strict=True)
    assert len(set(names)) == len(names)
    assert names[0] == "softmax: Jacobian test, float64"
    assert {(result.name, str(result.dtype)) for result in results} == {
        (name, dtype) for name in checks.CHECKS for dtype in ("float64", "float32")
    }
    assert {result.kind for result in results} == {"gradient", "Jacobian", "transpose"}
    kinds = {result.kind for result in results if result.name == "softmax"}
    assert kinds == {"Jacobian", "transpose"}


def test_every_derivative_of_the_library_is_in_the_table():
    derivatives = [name for name in fastlec.__all__ if name.endswith("_derivative")]
    assert {"tanh_derivative", "value_and_derivative"} <= set(derivatives)
    for name in [d.removesuffix("_derivative") for d in derivatives] + ["softmax", "log_softmax", "logsumexp"]:
        assert any(check.startswith(name) for check in checks.CHECKS)
    for kind in (linear.SoftmaxObjective, linear.LogisticObjective):
        for method in dir(kind):
            if "gradient" in method or "hessian" in method:
                assert f"{kind.__name__}: {method}" in checks.CHECKS


def test_results_are_reproducible_and_depend_on_the_seed():
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
        ("logsumexp", "logsumexp", {"logsumexp"}),
        ("softmax_cross_entropy", "softmax_c", {name for name in checks.CHECKS if name.startswith("softmax_c")}),
        *((f"{name}_derivative", name, {name}) for name in checks.ACTIVATIONS),
        ("value_and_derivative", "value", {f"value_and_derivative of {name}" for name in checks.ACTIVATIONS}),
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


def test_checks_test_the_public_functions():
    """fastlec.softmax and its siblings are the functions that the table names, not copies of them."""
    for name in ("softmax", "log_softmax", "logsumexp", "softmax_cross_entropy", "tanh", "sigmoid", "relu"):
        assert getattr(fastlec, name) is getattr(functional, name)
    assert fastlec.SoftmaxObjective is linear.SoftmaxObjective
    assert fastlec.LogisticObjective is linear.LogisticObjective
