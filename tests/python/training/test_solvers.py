"""Minimising objectives through SciPy: to the optimum, whatever the features' units, and what is said of it."""

import re

import numpy as np
import pytest
import scipy.optimize  # noqa: F401  its BLAS must be loaded to be limited
from threadpoolctl import threadpool_limits

from fastlec import LogisticObjective, SoftmaxObjective, data
from fastlec.training import minimize_scipy
from fastlec.training.solvers import _Standardised


class Quadratic:
    """Mean over samples c_i of |theta - c_i|^2 / 2."""

    def __init__(self, centres):
        self.centres = centres

    def value_and_gradient(self, theta):
        away = theta - self.centres
        return 0.5 * float((away**2).sum(axis=1).mean()), away.mean(axis=0)


@pytest.fixture(scope="module")
def digits():
    return data.digits()


@pytest.fixture(autouse=True, scope="module")
def one_blas_thread():
    """Threads of BLAS, on the short vectors of L-BFGS, only spin on the cores that the objective uses."""
    with threadpool_limits(1, user_api="blas"):
        yield


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("solver", ["lbfgs", "newton-cg"])
def test_scipy_solvers_reach_the_optimum(digits, solver):
    objective = SoftmaxObjective(digits.X, digits.y, l2=1e-2)
    seen = []
    theta, message = minimize_scipy(objective, np.zeros(650), solver, max_iter=500, callback=lambda *a: seen.append(a))
    assert message.startswith(f"{len(seen)} iterations, ")  # whether it "converged" or met round-off first depends on the ISA
    assert "not converged" not in message
    assert np.abs(objective.gradient(theta)).max() < 1e-7  # convex: then theta is the optimum
    assert [entry[0] for entry in seen] == list(range(1, len(seen) + 1))
    assert seen[-1][2] == pytest.approx(objective.value(theta), abs=1e-12)


# L-BFGS compares values of F, whose round-off hides changes of the biases, which nothing penalises, of a few 1e-6
@pytest.mark.parametrize(("solver", "bias_error"), [("lbfgs", 1e-5), ("newton-cg", 1e-6)])
def test_the_optimum_is_that_of_scikit_learn(digits, solver, bias_error):
    linear_model = pytest.importorskip("sklearn.linear_model")
    l2 = 1e-3
    objective = SoftmaxObjective(digits.X, digits.y, l2=l2)
    theta, _ = minimize_scipy(objective, np.zeros(650), solver, max_iter=1000, tol=1e-9)
    peer = linear_model.LogisticRegression(C=1 / (l2 * 1797), solver="newton-cholesky", tol=1e-12).fit(digits.X, digits.y)
    parts = objective.unpack(theta)
    np.testing.assert_allclose(parts["W"], peer.coef_, rtol=0, atol=1e-6)
    np.testing.assert_allclose(
        parts["b"] - parts["b"].mean(), peer.intercept_ - peer.intercept_.mean(), rtol=0, atol=bias_error
    )
    assert objective.value(theta) == pytest.approx(objective.value(np.r_[peer.coef_.ravel(), peer.intercept_]), abs=1e-12)


def test_scipy_solvers_say_when_they_were_cut_short(digits):
    objective = SoftmaxObjective(digits.X, digits.y)
    theta, message = minimize_scipy(objective, np.zeros(650), "lbfgs", max_iter=3)
    assert re.fullmatch(r"3 iterations, not converged: gradient \d\.\de-01 of its start", message)
    assert objective.value(theta) < np.log(10)
    _, message = minimize_scipy(objective, np.zeros(650), "lbfgs", max_iter=0)
    assert message == "0 iterations, not converged: gradient 1.0e+00 of its start"
    with pytest.raises(ValueError, match="solver is 'adam'; expected one of lbfgs, newton-cg"):
        minimize_scipy(objective, np.zeros(650), "adam")


def unscaled(rng, centre):
    """Ten features with deviations from 1e-3 to 1e6 and means of up to ``centre`` times that; the same features, standardised."""
    y = rng.integers(0, 3, 400)
    Z = rng.normal(size=(400, 10))
    Z[:, 0] += y
    Z[:, 9] -= y
    Z = (Z - Z.mean(axis=0)) / Z.std(axis=0)
    return (Z + np.linspace(0, centre, 10)) * np.logspace(-3, 6, 10), Z, y


def newton(objective):
    """The least loss, by Newton's method with the whole Hessian."""
    theta = np.zeros(objective.n_params)
    for _ in range(20):
        theta -= np.linalg.lstsq(objective.hessian(theta), objective.gradient(theta), rcond=1e-12)[0]
    return objective.value(theta)


@pytest.mark.parametrize("centre", [0, 3, 30])
@pytest.mark.parametrize("solver", ["lbfgs", "newton-cg"])
def test_features_of_any_scale(solver, centre, rng):
    X, Z, y = unscaled(rng, centre)
    objective = SoftmaxObjective(X, y)
    theta, message = minimize_scipy(objective, np.zeros(33), solver, max_iter=100)
    assert " converged: gradient" in message
    assert "not" not in message
    assert objective.value(theta) == pytest.approx(newton(SoftmaxObjective(Z, y)), rel=1e-9)
    start = np.abs(objective.gradient(np.zeros(33))).max()
    assert np.abs(objective.gradient(theta)).max() <= 1e-6 * start


@pytest.mark.parametrize("centre", [0, 3, 30])
@pytest.mark.parametrize("solver", ["lbfgs", "newton-cg"])
def test_features_of_any_scale_in_single_precision(solver, centre, rng):
    """The optimum, too; whether the gradient can be seen to vanish depends on how far the means are from 0."""
    X, Z, y = unscaled(rng, centre)
    objective = SoftmaxObjective(X.astype(np.float32), y)
    theta, message = minimize_scipy(objective, np.zeros(33), solver, max_iter=100)
    assert objective.value(theta) == pytest.approx(newton(SoftmaxObjective(Z, y)), rel=1e-4)
    assert centre == 30 or " converged: gradient" in message


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("l2", [1e-4, 0])
def test_age_and_salary(l2, dtype, rng):
    """Where SciPy's Newton-CG takes its small steps for the optimum: solvers agree on what it is."""
    y = rng.integers(0, 2, 200)
    X = np.c_[rng.normal(40, 10, 200) + 5 * y, rng.normal(60000, 15000, 200) + 30000 * y]
    objective = SoftmaxObjective(X.astype(dtype), y, l2=l2)
    losses = []
    for solver in ("lbfgs", "newton-cg"):
        theta, message = minimize_scipy(objective, np.zeros(6), solver)
        assert " converged: gradient" in message
        losses.append(objective.value(theta))
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    assert losses[0] < 0.5


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("solver", ["lbfgs", "newton-cg"])
def test_separable_classes(solver, dtype, rng):
    """Without a penalty the loss has no minimum, and the gradient vanishes on the way to 0."""
    y = rng.integers(0, 2, 300)
    X = rng.normal(size=(300, 4))
    X[:, 0] += 20 * y
    objective = SoftmaxObjective((X * [1e3, 1, 1e-2, 1]).astype(dtype), y)
    theta, message = minimize_scipy(objective, np.zeros(10), solver)
    assert " converged: gradient" in message
    assert objective.value(theta) < {np.float32: 1e-3, np.float64: 1e-5}[dtype]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("solver", ["lbfgs", "newton-cg"])
def test_constant_features_do_not_matter(solver, dtype, rng):
    y = rng.integers(0, 3, 100)
    X = rng.normal(size=(100, 4)).astype(dtype)
    X[:, 0] += y
    X[:, 1:3] = 0, 1e5
    objective, without = SoftmaxObjective(X, y), SoftmaxObjective(X[:, [0, 3]].astype(float), y)
    theta, message = minimize_scipy(objective, np.zeros(15), solver)
    assert " converged: gradient" in message
    assert objective.value(theta) == pytest.approx(newton(without), rel=1e-5)


FORMS = ({}, {"fit_bias": False}, {"reduced": True}, {"l2": 0.1, "sample_weight": np.arange(50) % 3})


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_standardised_parameters(form, rng):
    """Give the logits of standardised features; of_theta is the inverse of theta, gradient its transpose."""
    X = rng.normal(3, [1e-3, 1, 1e4], (50, 3))
    f = SoftmaxObjective(X, np.arange(50) % 4, **form)
    variables = _Standardised(f)
    u, theta, g = rng.normal(size=(3, f.n_params))
    np.testing.assert_allclose(variables.theta(variables.of_theta(theta)), theta, rtol=1e-9, atol=1e-9)
    assert variables.gradient(g) @ u == pytest.approx(g @ variables.theta(u), rel=1e-9)
    Z = (X - variables.mean) / variables.deviation
    standard = SoftmaxObjective(Z, f.y, **form)
    np.testing.assert_allclose(f.predict_proba(variables.theta(u)), standard.predict_proba(u), rtol=1e-7)
    if form.get("fit_bias", True):
        np.testing.assert_allclose(np.average(Z, axis=0, weights=f.sample_weight), 0, atol=1e-9)
    if not form.get("l2"):
        np.testing.assert_allclose((Z**2).mean(axis=0), 1, rtol=1e-5)


@pytest.mark.parametrize("solver", ["lbfgs", "newton-cg"])
def test_a_start_at_the_optimum(digits, solver):
    """Is seen to be one, though no gradient can be made much smaller than its own."""
    objective = SoftmaxObjective(digits.X, digits.y, l2=1e-2)
    theta, _ = minimize_scipy(objective, np.zeros(650), solver)
    again, message = minimize_scipy(objective, theta, solver)
    assert re.fullmatch(r"0 iterations, converged: gradient \d\.\de-(0[789]|1\d) of that at theta = 0", message)
    np.testing.assert_array_equal(again, theta)
    balanced = LogisticObjective([[1.0], [1.0]], [0, 1])
    _, message = minimize_scipy(balanced, np.zeros(2), solver)
    assert message == "0 iterations, converged: gradient 0.0e+00 of its start"


def test_other_objectives_are_minimised_as_they_are(rng):
    centres = rng.normal(size=(20, 3))
    theta, message = minimize_scipy(Quadratic(centres), np.ones(3), "lbfgs")
    assert " converged: gradient" in message
    np.testing.assert_allclose(theta, centres.mean(axis=0), atol=1e-5)


def test_scipy_solvers_stop_where_the_loss_is_not_finite():
    with pytest.raises(FloatingPointError, match="iteration 1: the loss is nan"):
        minimize_scipy(Quadratic(np.full((2, 2), np.nan)), np.zeros(2), "lbfgs")


@pytest.mark.parametrize("solver", ["lbfgs", "newton-cg"])
def test_callbacks_may_keep_theta(digits, solver):
    """And change it: it is a copy."""
    objective, kept = SoftmaxObjective(digits.X, digits.y), []

    def callback(iteration, theta, loss):
        kept.append(theta.copy())
        theta[:] = np.nan

    found, _ = minimize_scipy(objective, np.zeros(650), solver, max_iter=3, callback=callback)
    np.testing.assert_array_equal(found, kept[-1])
    assert not np.array_equal(kept[0], kept[1])


X, Y = np.random.default_rng(0).normal(size=(30, 2)), np.arange(30) % 3
NAN = X.copy()
NAN[7, 1] = np.nan


@pytest.mark.parametrize("solver", ["lbfgs", "newton-cg"])
def test_starts_that_cannot_be(solver):
    objective, theta = SoftmaxObjective(X, Y), np.zeros(9)

    def run(theta, objective=objective, **options):
        return minimize_scipy(objective, theta, solver, **options)[0]

    for wrong, error, match in (
        (theta + np.nan, ValueError, r"^theta\[0\] is nan as float\d\d; expected finite numbers"),
        (theta[:2], ValueError, r"^theta has shape \(2,\); expected \(9,\)"),
        (theta.astype(str), TypeError, "^theta has dtype <U"),
        (None, TypeError, "^theta has dtype object"),
    ):
        with pytest.raises(error, match=match):
            run(wrong)
    with pytest.raises(TypeError, match=r"^callback is 3; expected a function or None"):
        run(theta, callback=3)
    with pytest.raises(ValueError, match=r"^X\[7, 1\] is nan as float\d\d; expected finite numbers"):
        run(theta, SoftmaxObjective(NAN, Y))
    np.testing.assert_array_equal(run(theta.astype(int)), run(theta))


def test_settings_of_scipy_solvers_that_cannot_be():
    objective = SoftmaxObjective(X, Y)
    for options, error in (({"max_iter": -1}, ValueError), ({"max_iter": 1.5}, TypeError), ({"tol": np.nan}, ValueError)):
        with pytest.raises(error, match=f"^{next(iter(options))} is "):
            minimize_scipy(objective, np.zeros(9), "lbfgs", **options)
