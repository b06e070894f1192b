"""Objective: a network's loss as a function of theta, its gradient and Gauss-Newton products, and SciPy's solvers on them."""

import copy
import pickle
import re

import cases
import nets
import numpy as np
import pytest
from bounds import Bounds, linearized, loss_of
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import least_squares, minimize
from scipy.sparse.linalg import cg, lsmr

import fastlec
from fastlec import Activation, Dense, MeanSquaredError, Network, Objective, SoftmaxCrossEntropy, reference
from fastlec.testing import gradient_test, jacobian_test, transpose_test
from fastlec.training import objective as objective_module

pytestmark = pytest.mark.filterwarnings("ignore:net ends with")  # networks here end in any activation, whatever the loss

LOSSES = {"cross-entropy": SoftmaxCrossEntropy(), "squares": MeanSquaredError()}
losses = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
planned = pytest.mark.parametrize("layers", nets.PLANNED.values(), ids=nets.PLANNED)
every = pytest.mark.parametrize("layers", (nets.PLANNED | nets.OWN).values(), ids=nets.PLANNED | nets.OWN)


def data(loss, m, dtype, rng, n=5, k=3):
    X = rng.standard_normal((m, n)).astype(dtype)
    if isinstance(loss, MeanSquaredError):
        return X, rng.standard_normal((m, k)).astype(dtype)
    return X, rng.integers(0, k, m)


def made(layers, loss, dtype, rng, m=20):
    """(objective, theta, v)."""
    net = nets.network(layers, dtype, rng)
    f = Objective(net, loss, *data(loss, m, dtype, rng))
    return f, net.theta.copy(), rng.standard_normal(f.n_params).astype(dtype)


def smooth_everywhere(layers):
    """Whether the lecture's tests need not look for kinks."""
    return not any(getattr(layer, "activation", "") == "relu" for layer in layers({"dtype": np.float64, "rng": 0}))


# --- value, gradient, products ---------------------------------------------------------------------------------------


@losses
@planned
def test_agrees_with_the_reference(layers, loss, isa, dtype, rng, tolerance):
    f, theta, _ = made(layers, loss, dtype, rng)
    assert (f.n_params, f.n_samples, f.dtype) == (f.net.n_params, 20, dtype)
    bounds = Bounds(tolerance, dtype)
    expected = linearized(f.net, f.X, bounds)
    value, v = loss_of(expected.y, f.y, bounds, tolerance, dtype)
    found, gradient = f.value_and_gradient(theta)
    assert type(found) is float
    value.check(np.float64(found))
    expected.theta(expected.tmv(v)).check(gradient)
    assert gradient.dtype == dtype
    assert f.value(theta) == found
    assert_array_equal(f.gradient(theta), gradient)


@losses
@every
def test_derivatives(layers, loss, rng):
    """The lecture's tests of the gradient; of the Gauss-Newton product its symmetry."""
    f, theta, _ = made(layers, loss, np.float64, rng)
    if smooth_everywhere(layers):
        gradient_test(f.value, f.gradient, theta, rng=1).assert_passed()
    transpose_test(f.gauss_newton_mv, f.gauss_newton_mv, theta, rng=2).assert_passed()


@losses
@every
def test_gauss_newton_products(layers, loss, dtype, rng):
    """J' H J by explicit matrices: symmetric, positive semidefinite; the same as an operator, damped."""
    f, theta, v = made(layers, loss, dtype, rng, m=7)
    net = f.net.with_theta(theta)
    output, jac = net.linearize(f.X)
    J = jac.matrix("theta").astype(np.float64)
    H = np.array([loss.hessian_mv(output, f.y, e.reshape(output.shape)).ravel() for e in np.eye(output.size, dtype=dtype)])
    expected, eps = J.T @ H @ J, float(np.finfo(dtype).eps)
    size = np.abs(J.T) @ np.abs(H) @ np.abs(J)
    found = f.gauss_newton_mv(theta, v)
    assert found.dtype == dtype
    assert (np.abs(found - expected @ v) <= 40 * eps * (size @ np.abs(v)) + 1e-300).all()
    operator = f.gauss_newton_operator(theta)
    assert operator.shape == (f.n_params, f.n_params)
    assert operator.dtype == dtype
    assert_array_equal(operator @ v, found)
    assert_array_equal(operator.T @ v, found)
    assert_allclose(f.gauss_newton_operator(theta, damping=0.5) @ v, found + v / 2, rtol=4 * eps)
    columns = np.array([f.gauss_newton_mv(theta, e) for e in np.eye(f.n_params, dtype=dtype)])
    assert_allclose(columns, columns.T, rtol=0, atol=40 * eps * size.max())
    assert np.linalg.eigvalsh((columns + columns.T) / 2).min() >= -40 * eps * size.max() * np.sqrt(f.n_params)


def test_an_operator_keeps_its_own_theta(rng):
    f, theta, v = made(nets.PLANNED["dense"], LOSSES["squares"], np.float64, rng)
    operators = [f.gauss_newton_operator(theta), f.jacobian(theta)]
    before = [operator @ v for operator in operators]
    theta[:] = 7
    for operator, expected in zip(operators, before, strict=True):
        assert_array_equal(operator @ v, expected)


AFFINE = {
    "softmax regression": lambda o: [Dense(5, 3, "identity", **o)],
    "after an activation": lambda o: [Activation("tanh"), Dense(5, 3, "identity", **o)],
    "nested": lambda o: [Network([Activation("sigmoid"), Dense(5, 3, "identity", **o)]), Activation("identity")],
}


@losses
@pytest.mark.parametrize("layers", AFFINE.values(), ids=AFFINE)
def test_exact_hessians_of_affine_networks(layers, loss, rng):
    """The Jacobian of the gradient: Taylor's theorem at second order."""
    f, theta, v = made(layers, loss, np.float64, rng)
    assert_array_equal(f.hessian_mv(theta, v), f.gauss_newton_mv(theta, v))
    if isinstance(loss, SoftmaxCrossEntropy):  # else the gradient is affine, and first differences are exact
        jacobian_test(f.gradient, f.hessian_mv, theta, rng=1).assert_passed()
    h = 1e-4
    difference = (f.gradient(theta + h * v) - f.gradient(theta - h * v)) / (2 * h)
    assert_allclose(f.hessian_mv(theta, v), difference, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("bias", [True, False])
def test_softmax_regression_is_a_network(bias, isa, dtype, rng):
    """Its objective in fastlec.linear, and the reference's Hessian."""
    X, y = data(LOSSES["cross-entropy"], 40, dtype, rng)
    net = Network([Dense(5, 3, "identity", bias=bias, dtype=dtype)])
    f, g = Objective(net, SoftmaxCrossEntropy(), X, y), fastlec.SoftmaxObjective(X, y, 3, fit_bias=bias)
    assert f.n_params == g.n_params
    theta, v = rng.standard_normal((2, f.n_params)).astype(dtype)
    close = {"rtol": 0, "atol": 32 * np.finfo(dtype).eps}
    assert_allclose(f.value(theta), g.value(theta), **close)
    assert_allclose(f.gradient(theta), g.gradient(theta), **close)
    expected = reference.softmax_regression_hessian_mv(theta, v, X, y, 3, fit_bias=bias)
    assert_allclose(f.hessian_mv(theta, v), expected, **close)


NOT_AFFINE = {
    "activation": lambda: [Dense(5, 3, "tanh")],
    "an activation behind": lambda: [Dense(5, 3, "identity"), Activation("sigmoid")],
    "hidden in a network": lambda: [Dense(5, 3, "identity"), Network([Activation("tanh"), Activation("identity")])],
    "a layer of the user's own": lambda: [Dense(5, 3, "identity"), nets.Cube()],
    "two layers": lambda: [Dense(5, 4, "identity"), Dense(4, 3, "identity")],
}


@pytest.mark.parametrize("layers", NOT_AFFINE.values(), ids=NOT_AFFINE)
def test_the_hessian_of_other_networks(layers, rng):
    f = Objective(Network(layers()), MeanSquaredError(), *data(LOSSES["squares"], 6, np.float64, rng))
    theta = rng.standard_normal(f.n_params)
    v, step = rng.standard_normal(f.n_params), 1e-5
    expected = (f.gradient(theta + step * v) - f.gradient(theta - step * v)) / (2 * step)
    assert_allclose(f.hessian_mv(theta, v), expected, rtol=0, atol=1e-7 * np.abs(expected).max())
    assert np.abs(f.hessian_mv(theta, v) - f.gauss_newton_mv(theta, v)).max() > 1e-6


# --- parts and batches -----------------------------------------------------------------------------------------------


@losses
@every
def test_parts_add_up(layers, loss, dtype, rng, monkeypatch):
    """64 samples at a time, the last part smaller: values, gradients and products of all at once, up to the order of sums."""
    whole, theta, v = made(layers, loss, dtype, rng, m=200)
    monkeypatch.setattr(objective_module, "PART_VALUES", 1)
    f = Objective(whole.net, loss, whole.X, whole.y)
    assert f._part == 64
    eps = float(np.finfo(dtype).eps)
    value, gradient = f.value_and_gradient(theta)
    expected, expected_gradient = whole.value_and_gradient(theta)
    assert_allclose(value, expected, rtol=16 * eps)
    assert f.value(theta) == pytest.approx(value, rel=1e-15 if dtype == np.float64 else 4 * eps)
    # of each sum of 200 terms: their size, from the loss of every sample by itself
    size = sum(np.abs(f.gradient(theta, [i])) for i in range(200)) / 200
    assert (np.abs(gradient - expected_gradient) <= 32 * eps * size + 1e-300).all()
    assert gradient.dtype == dtype
    found, expected = f.gauss_newton_mv(theta, v), whole.gauss_newton_mv(theta, v)
    assert_allclose(found, expected, rtol=0, atol=64 * eps * np.abs(expected).max())
    assert found.dtype == dtype


@losses
@every
def test_batches(layers, loss, dtype, rng, monkeypatch):
    """An index array, a slice or a mask: the bits of an objective of those samples alone; also in parts."""
    mask = rng.random(150) < 0.6
    batches = (slice(10, 80), slice(None, None, -3), rng.permutation(150)[:100], [3, 3, -1, 0], mask, np.arange(1))
    for values in (objective_module.PART_VALUES, 1):
        monkeypatch.setattr(objective_module, "PART_VALUES", values)
        f, theta, _ = made(layers, loss, dtype, rng, m=150)
        for batch in batches:
            rows = np.arange(150)[batch]
            alone = Objective(f.net, loss, f.X[rows], f.y[rows])
            value, gradient = f.value_and_gradient(theta, batch)
            assert (value, f.value(theta, batch)) == (alone.value_and_gradient(theta)[0], alone.value(theta))
            assert_array_equal(gradient, alone.gradient(theta))
            assert_array_equal(f.gradient(theta, batch), gradient)


# --- least squares ---------------------------------------------------------------------------------------------------


@every
def test_residuals_and_their_jacobian(layers, isa, dtype, rng):
    """F = ||r||^2 / 2; J' r is its gradient and J' J the Gauss-Newton matrix."""
    f, theta, v = made(layers, LOSSES["squares"], dtype, rng)
    eps = float(np.finfo(dtype).eps)
    r, J = f.residuals(theta), f.jacobian(theta)
    assert r.shape == (60,)
    assert J.shape == (60, f.n_params)
    assert r.dtype == J.dtype == dtype
    output = f.net.with_theta(theta)(f.X)
    assert_allclose(r, (output.astype(float) - f.y).ravel() * np.sqrt(2 / 60), rtol=8 * eps)
    assert_allclose(r.astype(float) @ r / 2, f.value(theta), rtol=16 * eps)
    gradient, product = f.gradient(theta), f.gauss_newton_mv(theta, v)
    u = rng.standard_normal(60).astype(dtype)
    assert_allclose(J.rmatvec(r), gradient, rtol=0, atol=64 * eps * np.abs(gradient).max())
    assert_allclose(J.T @ (J @ v), product, rtol=0, atol=64 * eps * np.abs(product).max())
    assert_allclose(u @ (J @ v), (J.T @ u) @ v, rtol=0, atol=64 * eps * np.abs(u) @ np.abs(J @ v))


def test_least_squares_by_scipy(rng):
    """A curve through points, by the operators alone."""
    net = Network([Dense(1, 6, rng=1), Dense(6, 1, "identity", rng=2)])
    X = np.linspace(-2, 2, 40)[:, None]
    f = Objective(net, MeanSquaredError(), X, np.sin(2 * X[:, 0]))
    start = net.theta.copy()
    found = least_squares(f.residuals, start, jac=f.jacobian, tr_solver="lsmr", max_nfev=200)
    assert_allclose(found.cost, f.value(found.x), rtol=1e-12)
    assert found.cost < 1e-3
    assert found.cost < f.value(start) / 100
    assert_array_equal(net.theta, start)


def test_gauss_newton_by_lsmr_and_cg(rng):
    """One step ends where the model of F, a parabola, is least: for an affine network at the optimum itself."""
    X, y = data(LOSSES["squares"], 50, np.float64, rng)
    net = Network([Dense(5, 3, "identity", rng=0)])
    f = Objective(net, MeanSquaredError(), X, y)
    theta = net.theta.copy()
    exact = np.linalg.lstsq(np.hstack([X, np.ones((50, 1))]), y, rcond=None)[0]
    exact = np.concatenate([exact[:5].T.ravel(), exact[5]])
    step = lsmr(f.jacobian(theta), -f.residuals(theta), atol=1e-13, btol=1e-13)[0]
    assert_allclose(theta + step, exact, atol=1e-9)
    step, info = cg(f.gauss_newton_operator(theta), -f.gradient(theta), rtol=1e-13)
    assert info == 0
    assert_allclose(theta + step, exact, atol=1e-9)


# --- SciPy's solvers -------------------------------------------------------------------------------------------------


@losses
@pytest.mark.parametrize("method", ["L-BFGS-B", "Newton-CG", "trust-ncg"])
@pytest.mark.parametrize("name", ["dense", "residual", "cube"])
def test_solvers_of_scipy(name, method, loss, dtype, rng):
    """In float64 around a network of either dtype: they go down, and the network stays as it is."""
    f, theta, _ = made((nets.PLANNED | nets.OWN)[name], loss, dtype, rng)
    before = f.net.theta.copy()
    hessp = None if method == "L-BFGS-B" else f.gauss_newton_mv
    start = theta.astype(np.float64)
    found = minimize(f.value_and_gradient, start, jac=True, hessp=hessp, method=method, options={"maxiter": 15})
    assert found.fun < 0.8 * f.value(start)
    assert found.fun == pytest.approx(f.value(found.x), rel=1e-6)
    assert found.x.dtype == found.jac.dtype == np.float64
    assert_array_equal(f.net.theta, before)


def test_the_optimum_of_an_affine_network(rng):
    """L-BFGS, Newton-CG with the exact Hessian, and the objective of softmax regression: one minimum."""
    X, y = data(LOSSES["cross-entropy"], 120, np.float64, rng)
    f = Objective(Network([Dense(5, 3, "identity", rng=0)]), SoftmaxCrossEntropy(), X, y)
    g = fastlec.SoftmaxObjective(X, y)
    values = []
    for function, options in (
        (f, {"hessp": f.hessian_mv, "method": "Newton-CG"}),
        (f, {"method": "L-BFGS-B", "tol": 1e-12}),
        (g, {"method": "L-BFGS-B", "tol": 1e-12}),
    ):
        found = minimize(function.value_and_gradient, np.zeros(f.n_params), jac=True, **options)
        values.append(found.fun)
        assert np.abs(f.gradient(found.x)).max() < 1e-5
    assert_allclose(values, values[0], rtol=1e-9)


# --- any arrays; nothing changes -------------------------------------------------------------------------------------


@losses
@every
def test_the_network_never_changes(layers, loss, isa, dtype, rng, frozen):
    """Nor what is given: theta, v, X, y. Answers are the caller's own."""
    net = nets.network(layers, dtype, rng)
    X, y = frozen(*data(loss, 20, dtype, rng))
    f, before = Objective(net, loss, X, y), net.theta.copy()
    theta, v = frozen(*rng.standard_normal((2, net.n_params)).astype(dtype))
    first = [f.gradient(theta), f.gauss_newton_mv(theta, v)]
    copies = [a.copy() for a in first]
    f.value(theta)
    f.gradient(-theta)
    f.gauss_newton_mv(-theta, v)
    for a, b in zip(first, copies, strict=True):
        assert_array_equal(a, b)
    assert_array_equal(net.theta, before)
    net.theta[:] = 0  # and it does not matter
    assert_array_equal(f.gradient(theta), copies[0])


@losses
@cases.layouts
def test_any_layout_gives_the_same_bits(layout, loss, isa, dtype, rng):
    f, theta, v = made(nets.PLANNED["residual"], loss, dtype, rng)
    g = Objective(f.net, loss, layout(f.X), layout(f.y))
    theta_, v_ = layout(theta), layout(v)
    assert g.value(theta_) == f.value(theta)
    assert_array_equal(g.gradient(theta_), f.gradient(theta))
    assert_array_equal(g.gauss_newton_mv(theta_, v_), f.gauss_newton_mv(theta, v))


@losses
def test_the_dtype_of_theta_is_the_dtype_of_the_answer(loss, rng):
    """Computed in the network's."""
    for dtype in (np.float32, np.float64):
        f, theta, v = made(nets.PLANNED["dense"], loss, dtype, rng)
        theta, v = np.round(theta), np.round(v)
        for kind, answer in (("f2", "f4"), ("f4", "f4"), ("f8", "f8"), ("i8", "f8")):
            given = theta.astype(kind)
            assert f.value(given) == f.value(theta)
            for found, expected in (
                (f.gradient(given), f.gradient(theta)),
                (f.gauss_newton_mv(given, v), f.gauss_newton_mv(theta, v)),
                (f.value_and_gradient(given)[1], f.gradient(theta)),
            ):
                assert found.dtype == answer
                assert_allclose(found, expected, rtol=1e-6, atol=1e-30)
    f, theta, _ = made(nets.PLANNED["dense"], LOSSES["squares"], np.float32, rng)
    wide = theta.astype(np.float64)
    assert f.residuals(wide).dtype == f.jacobian(wide).dtype == np.float64
    assert f.gauss_newton_operator(wide).dtype == np.float64


@pytest.mark.parametrize("kind", [np.int8, np.float16, np.bool_, list])
def test_samples_of_other_dtypes(kind, dtype, rng):
    net = nets.network(nets.PLANNED["dense"], dtype, rng)
    X, y = rng.integers(0, 2, (9, 5)), rng.integers(0, 3, 9)
    f = Objective(net, SoftmaxCrossEntropy(), X.tolist() if kind is list else X.astype(kind), y.tolist())
    expected = Objective(net, SoftmaxCrossEntropy(), X.astype(dtype), y)
    assert_array_equal(f.gradient(net.theta), expected.gradient(net.theta))


class Huber:
    """A loss of the user's own, with all that an objective asks for."""

    def targets(self, y, shape, dtype):
        return np.asarray(y, dtype).reshape(shape)

    def value(self, output, y):
        return float((np.sqrt(1 + (output - y) ** 2) - 1).mean())

    def value_and_gradient(self, output, y):
        d = output - y
        return self.value(output, y), d / np.sqrt(1 + d**2) / d.size

    def hessian_mv(self, output, y, v):
        return v / (1 + (output - y) ** 2) ** 1.5 / output.size


@pytest.mark.parametrize("name", ["without biases", "scale"])
def test_a_loss_of_a_users_own(name, rng):
    net = nets.network((nets.PLANNED | nets.OWN)[name], np.float64, rng)
    f, theta = Objective(net, Huber(), *data(LOSSES["squares"], 20, np.float64, rng)), net.theta.copy()
    gradient_test(f.value, f.gradient, theta, rng=1).assert_passed()
    transpose_test(f.gauss_newton_mv, f.gauss_newton_mv, theta, rng=2).assert_passed()
    with pytest.raises(ValueError, match=r"^loss is .*Huber.*; expected MeanSquaredError\(\)"):
        f.residuals(theta)


# --- what it cannot take ---------------------------------------------------------------------------------------------

NET = Network([Dense(5, 3, rng=0)])
X, Y, T = np.ones((6, 5)), np.array([0, 1, 2, 2, 1, 0]), np.ones((6, 3))
MADE = {
    "features": ((X[:, :4], Y), ValueError, "X has samples of shape (4,); expected (5,)"),
    "no samples": ((X[:0], Y[:0]), ValueError, "X has shape (0, 5); expected at least one sample"),
    "complex": ((X + 0j, Y), TypeError, "X has dtype complex128"),
    "a number": ((1.0, Y), ValueError, "X is a number"),
    "labels": ((X, Y + 1), ValueError, "y has values from 1 to 3; expected 0 to 2"),
    "number of labels": ((X, Y[:5]), ValueError, "y has shape (5,); expected (6,)"),
    "float labels": ((X, Y + 0.0), TypeError, "y has dtype float64; expected integers, or probabilities"),
}


@pytest.mark.parametrize(("arguments", "error", "match"), MADE.values(), ids=MADE)
def test_bad_data(arguments, error, match):
    """The error says X, which is what the argument is called here, or x as layers do."""
    with pytest.raises(error, match=f"(?i)^{re.escape(match)}"):
        Objective(NET, SoftmaxCrossEntropy(), *arguments)


def test_bad_targets_of_squares():
    with pytest.raises(ValueError, match=r"^y has shape \(6, 2\); expected \(6, 3\)"):
        Objective(NET, MeanSquaredError(), X, T[:, :2])


THETAS = {
    "short": (np.zeros(17), ValueError, r"has shape \(17,\); expected \(18,\)"),
    "a matrix": (np.zeros((18, 1)), ValueError, r"has shape \(18, 1\); expected \(18,\)"),
    "a number": (0.0, ValueError, r"has shape \(\); expected \(18,\)"),
    "complex": (np.zeros(18, complex), TypeError, "has dtype complex128"),
    "text": (["0"] * 18, TypeError, "has dtype"),
    "nothing": (None, TypeError, "has dtype object"),
}


@pytest.mark.parametrize(("theta", "error", "match"), THETAS.values(), ids=THETAS)
def test_bad_theta(theta, error, match):
    f, zeros = Objective(NET, MeanSquaredError(), X, T), np.zeros(18)
    for method in (f.value, f.gradient, f.value_and_gradient, f.residuals, f.jacobian, f.gauss_newton_operator):
        with pytest.raises(error, match=f"^theta {match}"):
            method(theta)
    with pytest.raises(error, match=f"^theta {match}"):
        f.gauss_newton_mv(theta, zeros)
    with pytest.raises(error, match=f"^v {match}"):
        f.gauss_newton_mv(zeros, theta)


BATCHES = {
    "too large": [0, 6],
    "too small": [-7],
    "empty": [],
    "empty slice": slice(2, 2),
    "one number": 2,
    "floats": [0.0, 1.0],
    "text": "all",
    "mask too short": np.ones(5, bool),
    "mask of nothing": np.zeros(6, bool),
    "a matrix": [[0, 1], [2, 3]],
    "samples and features": ([0, 1], [0, 1]),
    "slice of text": slice("a", "b"),
}


@losses
@pytest.mark.parametrize("batch", BATCHES.values(), ids=BATCHES)
def test_bad_batches(batch, loss):
    f = Objective(NET, loss, X, T if isinstance(loss, MeanSquaredError) else Y)
    for method in (f.value, f.gradient, f.value_and_gradient):
        with pytest.raises((ValueError, TypeError), match=r"^batch "):
            method(np.zeros(18), batch)


def test_bad_arguments():
    f, zeros = Objective(NET, SoftmaxCrossEntropy(), X, Y), np.zeros(18)
    for method in (f.residuals, f.jacobian):
        with pytest.raises(ValueError, match=r"^loss is SoftmaxCrossEntropy\(\); expected MeanSquaredError\(\)"):
            method(zeros)
    for damping, error in ((-1, ValueError), (np.nan, ValueError), ("much", TypeError)):
        with pytest.raises(error, match=r"^damping is "):
            f.gauss_newton_operator(zeros, damping)


def test_the_hessian_of_target_rows_that_do_not_sum_to_one(rng):
    """They are weights of their samples: softmax counts as often as they sum to."""
    net, X, y = Network([Dense(4, 3, "identity", rng=0)]), rng.standard_normal((20, 4)), 2 * rng.random((20, 3))
    f = Objective(net, SoftmaxCrossEntropy(), X, y)
    jacobian_test(f.gradient, f.hessian_mv, net.theta).assert_passed()


# --- what an objective owns ------------------------------------------------------------------------------------------


@losses
def test_targets_are_owned(loss, rng):
    """What is written into the caller's y is of no consequence, nor can the objective's be written to."""
    net = nets.network(nets.PLANNED["dense"], np.float64, rng)
    X, y = data(loss, 20, np.float64, rng)
    f, theta = Objective(net, loss, X, y), net.theta.copy()
    value, gradient = f.value_and_gradient(theta)
    y[...] = 10**9
    found = f.value_and_gradient(theta)
    assert found[0] == value
    assert_array_equal(found[1], gradient)
    with pytest.raises(ValueError, match="read-only"):
        f.y[0] = 1


def test_what_is_written_into_the_samples_takes_effect(rng):
    net = nets.network(nets.PLANNED["dense"], np.float64, rng)
    X, y = data(LOSSES["cross-entropy"], 20, np.float64, rng)
    f, theta = Objective(net, LOSSES["cross-entropy"], X, y), net.theta.copy()
    f.value(theta)
    X += 1
    assert f.value(theta) == Objective(net, LOSSES["cross-entropy"], X.copy(), y).value(theta)


def test_the_parts_of_an_objective_cannot_be_exchanged(rng):
    f, _, _ = made(nets.PLANNED["dense"], LOSSES["squares"], np.float64, rng)
    for name in ("net", "loss", "X", "y"):
        with pytest.raises(AttributeError, match=rf"^Objective\.{name} cannot be assigned: make a new Objective"):
            setattr(f, name, None)


COPIES = {"copy": copy.copy, "deepcopy": copy.deepcopy, "pickle": lambda f: pickle.loads(pickle.dumps(f))}


class Penalized(Objective):
    """A user's subclass."""

    def __init__(self, *arguments, share):
        super().__init__(*arguments)
        self.share = share

    def value(self, theta, batch=None):
        return super().value(theta, batch) + self.share * float(theta @ theta)


@losses
@pytest.mark.parametrize("layers", [nets.PLANNED["dense"], nets.OWN["scale"]], ids=["planned", "own"])
@pytest.mark.parametrize("way", COPIES.values(), ids=COPIES)
def test_copies_compute_the_same(way, layers, loss, dtype, rng):
    """Also of views with other strides, and they are of the same class."""
    wide = rng.standard_normal((40, 11)).astype(dtype)
    net = nets.network(layers, dtype, rng)
    for X in (wide[::2, :5], wide[:20, 1::2], wide[:20, 4::-1], np.asfortranarray(wide[:20, :5])):
        f = Penalized(net, loss, X, data(loss, 20, dtype, rng)[1], share=0.5)
        again, theta = way(f), net.theta.copy()
        assert type(again) is Penalized
        assert again.share == 0.5
        assert again.value(theta) == f.value(theta)
        assert_array_equal(again.gradient(theta), f.gradient(theta))


class Bare:
    """A loss of the user's own that is no more than documented for training steps."""

    def targets(self, y, shape, dtype):
        return np.asarray(y, dtype).reshape(shape)

    def value_and_gradient(self, output, y):
        return np.float32(((output - y) ** 2).sum() / 2), output - y


def test_a_loss_without_more_than_value_and_gradient(rng):
    net = nets.network(nets.PLANNED["dense"], np.float64, rng)
    f, theta = Objective(net, Bare(), *data(LOSSES["squares"], 20, np.float64, rng)), net.theta.copy()
    value, gradient = f.value_and_gradient(theta)
    assert type(value) is float
    assert f.value(theta) == value
    assert_array_equal(f.gradient(theta), gradient)
    with pytest.raises(TypeError, match=r"^loss is a Bare, which has no hessian_mv; Gauss-Newton products need it"):
        f.gauss_newton_mv(theta, theta)


# --- l2 ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("own", [False, True], ids=["planned", "by layers"])
@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
def test_l2_penalises_the_weights_alone(own, weighted, dtype, rng):
    """Everything is that of the objective without, and of l2/2 times the squares of the weights; of a batch too."""
    net = Network([Dense(4, 5, dtype=dtype, rng=0), Dense(5, 3, dtype=dtype, rng=1)])
    net = Network([nets.Same(), *net.layers]) if own else net
    net.theta[:] = rng.standard_normal(net.n_params)
    X, y = rng.standard_normal((7, 4)).astype(dtype), rng.standard_normal((7, 3)).astype(dtype)
    weight = rng.uniform(0.5, 2, 7) if weighted else None
    plain, f = (Objective(net, MeanSquaredError(), X, y, l2=l2, sample_weight=weight) for l2 in (0.0, 0.25))
    weights = np.concatenate([np.full(a.size, a.ndim > 1) for a in net.params.values()])
    assert 0 < weights.sum() < weights.size
    theta, v = net.theta.astype(np.float64), rng.standard_normal(net.n_params)
    eps = 64 * float(np.finfo(dtype).eps)
    for batch in (None, slice(2, 6)):
        value, gradient = plain.value_and_gradient(theta, batch)
        found, its_gradient = f.value_and_gradient(theta, batch)
        assert found == pytest.approx(value + 0.125 * (theta[weights] ** 2).sum(), rel=eps)
        assert f.value(theta, batch) == pytest.approx(found, rel=eps)
        assert_allclose(its_gradient, gradient + 0.25 * weights * theta, rtol=0, atol=eps)
    assert_allclose(f.gauss_newton_mv(theta, v), plain.gauss_newton_mv(theta, v) + 0.25 * weights * v, rtol=0, atol=eps)
    r, J = f.residuals(theta), f.jacobian(theta)
    assert (r**2).sum() / 2 == pytest.approx(f.value(theta), rel=eps)
    assert_allclose(J.rmatvec(r), f.gradient(theta), rtol=0, atol=eps)
    assert_allclose(J.rmatvec(J.matvec(v)), f.gauss_newton_mv(theta, v), rtol=0, atol=eps * np.abs(v).sum())


def test_l2_is_a_number(rng):
    net = Network([Dense(4, 3, rng=0)])
    X, y = rng.standard_normal((7, 4)), rng.standard_normal((7, 3))
    for l2, error in ((-1, ValueError), (np.nan, ValueError), ("a", TypeError)):
        with pytest.raises(error, match=r"^l2 is "):
            Objective(net, MeanSquaredError(), X, y, l2=l2)
    with pytest.raises(AttributeError, match=r"^Objective.l2 cannot be assigned"):
        Objective(net, MeanSquaredError(), X, y).l2 = 1.0
