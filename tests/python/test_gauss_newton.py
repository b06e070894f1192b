"""gauss_newton: the steps that its four solvers take, where they end, what is refused, and what it tells of its way."""

import re

import numpy as np
import pytest
from scipy import sparse
from scipy.optimize import Bounds, least_squares, minimize, nnls
from scipy.sparse.linalg import LinearOperator, aslinearoperator

import fastlec
from fastlec import Dense, Network, Objective, _gauss_newton, gauss_newton

SOLVERS = ("dense", "gram", "cg", "lsmr")
EXACT = {"dense": 1e-9, "gram": 1e-9, "cg": 5e-3, "lsmr": 5e-3}  # of a step: iterations end at 1e-4 of the gradient
FORMS = {
    "array": np.asarray,
    "sparse": sparse.csc_array,
    "operator": aslinearoperator,
    "functions": lambda J: (lambda v: J @ v, lambda u: J.T @ u),
}


class LogCosh:
    """A loss of a user's own."""

    def targets(self, y, shape, dtype):
        return np.asarray(y, dtype).reshape(shape)

    def value_and_gradient(self, output, y):
        d = output - y
        return float(np.logaddexp(d, -d).mean() - np.log(2)), np.tanh(d) / d.size

    def hessian_mv(self, output, y, v):
        return v / np.cosh(output - y) ** 2 / v.size


LOSSES = {
    "softmax": fastlec.SoftmaxCrossEntropy(label_smoothing=0.1),
    "squares": fastlec.MeanSquaredError(),
    "huber": fastlec.Huber(0.3),
    "binary": fastlec.BinaryCrossEntropy(pos_weight=2.0),
    "own": LogCosh(),
}


def objective(loss="squares", *, l2=0.0, weighted=False, dtype=np.float64, hidden=8, m=60):
    X, labels = fastlec.datasets.make_blobs(m, 3)
    net = Network([Dense(2, hidden), Dense(hidden, 3, "identity")], rng=0).astype(dtype)
    weight = np.linspace(0, 2, m) if weighted else None
    targets = labels if loss == "softmax" else np.eye(3)[labels]
    return Objective(net, LOSSES[loss], X, targets, l2=l2, sample_weight=weight)


def peaks(m=400, seed=0):
    X, _ = fastlec.datasets.make_peaks(m)
    net = Network([Dense(2, 20), Dense(20, 20), Dense(20, 1, "identity")], rng=seed)
    return Objective(net, fastlec.MeanSquaredError(), X, fastlec.datasets.peaks(*X.T))


def largest(a):
    return np.abs(a).max()


def rosenbrock(x):
    return np.array([10 * (x[1] - x[0] ** 2), 1 - x[0]])


def rosenbrock_jac(x):
    return np.array([[-20 * x[0], 10], [-1, 0]])


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize(("l2", "weighted"), [(0.0, True), (1e-2, False)])
@pytest.mark.parametrize("loss", LOSSES)
def test_a_step_solves_the_damped_system(loss, l2, weighted, solver):
    f = objective(loss, l2=l2, weighted=weighted and loss != "own")
    theta = f.net.theta + 0.5  # not all weights from one distribution about 0
    at = f.at(theta)
    damping = 10 * np.linalg.eigvalsh(at.gauss_newton_operator() @ np.eye(f.n_params))[-1]
    d = -np.linalg.solve(at.gauss_newton_operator(damping) @ np.eye(f.n_params), at.gradient)
    found = gauss_newton(f, theta, damping=damping, solver=solver, max_iter=1)
    np.testing.assert_allclose(found.x - theta, d, rtol=0, atol=EXACT[solver] * largest(d))
    assert found.cost == f.value(found.x) < at.value
    np.testing.assert_allclose(found.gradient, f.gradient(found.x), rtol=0, atol=1e-15 * f.n_params)
    assert found.history[0].damping == 0
    assert found.solver == solver


@pytest.mark.parametrize("bounded", [False, True])
@pytest.mark.parametrize("solver", ["dense", "gram"])
@pytest.mark.parametrize("loss", LOSSES)
def test_systems_without_the_jacobian_are_the_same(loss, solver, bounded, monkeypatch):
    f = objective(loss, weighted=loss != "own")
    bounds = (f.net.theta - 0.1, f.net.theta + 0.1) if bounded else None
    found = []
    for saves in (True, False):
        for name in ("gram_saves", "normal_saves"):
            monkeypatch.setattr(_gauss_newton, name, lambda factors, saves=saves: saves)
        found.append(gauss_newton(f, f.net.theta, solver=solver, bounds=bounds, max_iter=4).x)
    np.testing.assert_allclose(*found, rtol=0, atol=1e-10 * largest(found[0]))


def test_where_a_jacobian_takes_more():
    """Wide layers, and several outputs; not where samples depend on each other."""
    wide = Network([Dense(30, 60), Dense(60, 3, "identity")], rng=0)
    narrow = Network([Dense(2, 4), Dense(4, 1, "identity")], rng=0)
    coupled = Network([Dense(30, 60), fastlec.BatchNorm(60), Dense(60, 3, "identity")], rng=0).for_training()
    for net, takes in ((wide, True), (narrow, False), (coupled, False)):
        X = np.random.default_rng(0).standard_normal((20, net.layers[0].params["W"].shape[1]))
        f = Objective(net, fastlec.MeanSquaredError(), X, np.zeros((20, *net.output_shape(X.shape[1:]))))
        for solver in ("dense", "gram"):
            problem = _gauss_newton._OfObjective(f, f.dtype)
            problem.settle(solver, None, True, None)
            problem.linearize(problem.at(f.net.theta))
            assert problem.by_factors is takes


@pytest.mark.parametrize("loss", LOSSES)
def test_solvers_go_the_same_way(loss):
    f = objective(loss, l2=1e-3)
    ways = {solver: gauss_newton(f, f.net.theta, solver=solver, max_iter=6) for solver in SOLVERS}
    for solver in SOLVERS:
        costs = [entry.cost for entry in ways[solver].history]
        np.testing.assert_allclose(costs, [entry.cost for entry in ways["dense"].history], rtol=10 * EXACT[solver])
        assert (np.diff(costs) <= 0).all()


def test_convergence_is_quadratic_where_residuals_vanish():
    """A network learns from one of its own size, of which it has other weights, in no more evaluations than SciPy."""
    X = np.random.default_rng(0).standard_normal((200, 2))
    net, teacher = (Network([Dense(2, 3), Dense(3, 1, "identity")], rng=seed) for seed in (4, 1))
    f = Objective(net, fastlec.MeanSquaredError(), X, teacher(X))
    found = gauss_newton(f, net.theta, tol=1e-13)
    assert found.converged
    assert found.cost < 1e-25
    *_, before, last = (entry.stationarity for entry in found.history if entry.stationarity < 1e-2)
    assert last < max(10 * before**1.5, 1e-14)
    peer = least_squares(
        f.residuals, net.theta, lambda x: f.jacobian(x) @ np.eye(f.n_params), gtol=1e-13, xtol=1e-15, ftol=1e-15
    )
    assert found.n_iter <= peer.nfev


def test_curved_valleys_do_not_stop_it():
    """More parameters than residuals: the smallest singular values, which the last residuals lie along, want long steps."""
    f = peaks(100)
    found = gauss_newton(f, f.net.theta, tol=0, max_iter=150)
    assert found.cost < 1e-11
    assert sum(entry.gain < 0 for entry in found.history) < 75


def test_peaks_until_the_gradient_vanishes():
    """501 parameters, 400 points: SciPy, begun there, finds nothing left to do."""
    f = peaks()
    first = largest(f.gradient(f.net.theta))
    found = gauss_newton(f, f.net.theta)
    assert found.converged
    assert found.solver == "gram"
    assert found.n_iter < 80
    assert largest(f.gradient(found.x)) <= 1.0001e-8 * first
    assert found.cost < 1e-6 * f.value(f.net.theta)
    peer = least_squares(f.residuals, found.x, f.jacobian, tr_solver="lsmr", gtol=1.01e-8 * first)
    assert (peer.nfev, peer.status) == (1, 1)
    assert peer.cost == pytest.approx(found.cost, rel=1e-12)


@pytest.mark.parametrize("solver", SOLVERS)
def test_the_same_minimum_as_scipy(solver):
    X, _ = fastlec.datasets.make_peaks(100)
    net = Network([Dense(2, 3), Dense(3, 1, "identity")], rng=0)
    f = Objective(net, fastlec.MeanSquaredError(), X, np.tanh(X @ [1.0, -1]) + 0.1 * np.sin(9 * X[:, 0]), l2=1e-3)
    found = gauss_newton(f, net.theta, solver=solver)
    peer = least_squares(
        f.residuals, found.x + 1e-3, lambda x: f.jacobian(x) @ np.eye(f.n_params), gtol=1e-13, xtol=1e-15, ftol=1e-15
    )
    assert found.converged
    assert found.cost == pytest.approx(peer.cost, rel=1e-7)
    np.testing.assert_allclose(found.x, peer.x, rtol=0, atol=1e-2 * largest(peer.x))


@pytest.mark.parametrize("solver", SOLVERS)
def test_classification(solver):
    """Softmax regression, whose minimum is the only one."""
    X, y = fastlec.datasets.make_blobs(200, 3, noise=0.4)
    net = Network([Dense(2, 3, "identity")], rng=0)
    f = Objective(net, fastlec.SoftmaxCrossEntropy(), X, y, l2=1e-2)
    found = gauss_newton(f, net.theta, solver=solver, tol=1e-10)
    peer = minimize(f.value_and_gradient, net.theta, jac=True, method="BFGS", options={"gtol": 1e-10})
    assert found.converged
    assert found.n_iter < 20
    assert found.cost == pytest.approx(peer.fun, rel=1e-12)
    weights = f.net.with_theta(found.x).params["0.W"], f.net.with_theta(peer.x).params["0.W"]
    np.testing.assert_allclose(*weights, rtol=0, atol=1e-6)


def test_saturated_outputs():
    """Probabilities that are 0 or 1 to round-off, at the wrong class as well."""
    X, y = fastlec.datasets.make_blobs(60, 3)
    net = Network([Dense(2, 3, "identity")], rng=0)
    net.theta = 1e4 * net.theta
    f = Objective(net, fastlec.SoftmaxCrossEntropy(), X, y, l2=1e-2)
    costs = {solver: gauss_newton(f, net.theta, solver=solver).cost for solver in SOLVERS}
    assert list(costs.values()) == pytest.approx([gauss_newton(f, np.zeros(f.n_params)).cost] * 4, rel=1e-6)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("form", FORMS)
def test_residuals(form, solver):
    found = gauss_newton(rosenbrock, [-1.2, 1], jac=lambda x: FORMS[form](rosenbrock_jac(x)), solver=solver)
    np.testing.assert_allclose(found.x, 1, rtol=0, atol=1e-7)
    assert found.converged
    assert found.x.dtype == np.float64


@pytest.mark.parametrize("damping", ["trust-region", 0, 1e-2])
def test_damping(damping):
    found = gauss_newton(rosenbrock, [-1.2, 1], jac=rosenbrock_jac, damping=damping)
    assert found.converged
    np.testing.assert_allclose(found.x, 1, rtol=0, atol=1e-5)
    costs = [entry.cost for entry in found.history]
    assert (np.diff(costs) <= 0).all()
    for entry, following in zip(found.history, found.history[1:], strict=False):
        if entry.gain < 0:
            assert following.damping > entry.damping


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("form", FORMS)
def test_bounds(form, solver):
    rng = np.random.default_rng(0)
    A, b = rng.normal(size=(30, 8)), rng.normal(size=30)
    expected, norm = nnls(A, b)
    found = gauss_newton(
        lambda x: A @ x - b, np.ones(8), jac=lambda x: FORMS[form](A), solver=solver, bounds=(0, np.inf), damping=1e-3
    )
    assert found.converged
    np.testing.assert_allclose(found.x, expected, rtol=0, atol=1e-6)
    assert (found.x >= 0).all()
    assert (found.x == 0).sum() == (expected == 0).sum() > 1
    assert found.cost == pytest.approx(0.5 * norm**2, rel=1e-9)


@pytest.mark.parametrize("solver", SOLVERS)
def test_bounds_of_a_network(solver):
    f = objective("softmax", l2=1e-3)
    lower, upper = f.net.theta - 0.2, f.net.theta + 0.3
    seen = []
    found = gauss_newton(
        f, f.net.theta, solver=solver, bounds=Bounds(lower, upper), callback=lambda i, x, cost: seen.append(x), tol=1e-6
    )
    assert found.converged
    for x in seen:
        assert ((lower <= x) & (x <= upper)).all()
    g, x = found.gradient, found.x
    inside = (lower < x) & (x < upper)
    assert inside.any()
    assert not inside.all()
    assert largest(g[inside]) <= 1e-6 * largest(f.gradient(f.net.theta))
    assert (g[x == lower] > -1e-6).all()
    assert (g[x == upper] < 1e-6).all()


@pytest.mark.parametrize("solver", ["dense", "gram"])
def test_singular_systems_are_damped_and_said(solver):
    A = np.array([[1.0, 1, 0], [1, 1, 0], [0, 0, 0]])
    b = np.array([1.0, 3, 1])
    found = gauss_newton(lambda x: A @ x - b, np.zeros(3), jac=lambda x: A, solver=solver, damping=0)
    assert re.search(r"; \d+ singular systems? (was|were) damped$", found.message)
    assert found.x[0] + found.x[1] == pytest.approx(2)
    assert found.x[2] == 0
    assert found.converged
    assert "singular" not in gauss_newton(lambda x: A @ x - b, np.zeros(3), jac=lambda x: A, solver=solver, damping=1).message


def test_a_gradient_that_is_zero():
    found = gauss_newton(lambda x: np.array([1.0, 2]), np.zeros(3), jac=lambda x: np.zeros((2, 3)))
    assert found.converged
    assert found.n_iter == 0


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_hessian_that_is_zero(solver):
    """Least absolute errors: the steps are those of gradient descent."""
    X, y = fastlec.datasets.make_blobs(60, 3)
    net = Network([Dense(2, 3, "identity")], rng=0)
    f = Objective(net, fastlec.MeanAbsoluteError(), X, np.eye(3)[y])
    found = gauss_newton(f, net.theta, solver=solver, damping=0.5, max_iter=1)
    np.testing.assert_allclose(found.x - net.theta, -2 * f.gradient(net.theta), rtol=1e-10)


def test_own_layers():
    bend = fastlec.Activation(np.tanh, lambda z: 1 - np.tanh(z) ** 2)
    layers = [Dense(2, 6, "identity", rng=0), bend, Dense(6, 3, "identity", rng=1)]
    X, y = fastlec.datasets.make_blobs(60, 3)
    own = Objective(Network(layers), fastlec.SoftmaxCrossEntropy(), X, y, l2=1e-3)
    plain = Objective(Network([Dense(2, 6), layers[2]]), fastlec.SoftmaxCrossEntropy(), X, y, l2=1e-3)
    for solver in SOLVERS:
        found, peer = (gauss_newton(f, own.net.theta, solver=solver, max_iter=3) for f in (own, plain))
        assert found.cost == pytest.approx(peer.cost, rel=EXACT[solver])


@pytest.mark.parametrize("solver", SOLVERS)
def test_samples_that_depend_on_each_other(solver):
    X, y = fastlec.datasets.make_blobs(40, 3)
    net = Network([Dense(2, 6), fastlec.BatchNorm(6), Dense(6, 3, "identity")], rng=0).for_training()
    f = Objective(net, fastlec.SoftmaxCrossEntropy(), X, y, l2=1e-2)
    B = f.at(net.theta).gauss_newton_operator(10.0) @ np.eye(f.n_params)
    found = gauss_newton(f, net.theta, solver=solver, damping=10.0, max_iter=1)
    d = -np.linalg.solve(B, f.gradient(net.theta))
    np.testing.assert_allclose(found.x - net.theta, d, rtol=0, atol=EXACT[solver] * largest(d))


@pytest.mark.parametrize("solver", SOLVERS)
def test_float32(solver):
    f = objective("squares", l2=1e-3, dtype=np.float32)
    found = gauss_newton(f, f.net.theta, solver=solver)
    assert found.x.dtype == found.gradient.dtype == np.float32
    assert found.converged
    assert found.stationarity <= 1e-4
    assert found.cost == f.value(found.x)
    double = gauss_newton(objective("squares", l2=1e-3), f.net.theta.astype(np.float64))
    assert found.cost == pytest.approx(double.cost, rel=1e-3)
    mixed = gauss_newton(f, f.net.theta.astype(np.float64), solver=solver, max_iter=2)
    assert mixed.x.dtype == np.float64
    small = gauss_newton(rosenbrock, np.float32([-1.2, 1]), jac=rosenbrock_jac, solver=solver, tol=1e-6)
    np.testing.assert_allclose(small.x, 1, rtol=0, atol=1e-2)


def test_acceleration_saves_iterations():
    f = peaks(100)
    with_it, without = (gauss_newton(f, f.net.theta, acceleration=on) for on in (True, False))
    assert with_it.converged
    assert without.converged
    assert with_it.n_iter < 0.5 * without.n_iter


def test_auto_says_what_it_takes():
    f = objective()
    assert gauss_newton(f, f.net.theta, max_iter=0).solver == "dense"
    few = objective(m=8)
    found = gauss_newton(few, few.net.theta, max_iter=0)
    assert (
        found.message == "0 iterations, not converged: gradient 1.0e+00 of its first; solver gram: 24 residuals, 51 parameters"
    )
    wide = objective(hidden=2000, m=3000)
    assert gauss_newton(wide, wide.net.theta, max_iter=0).solver == "cg"
    m = 1200
    D = sparse.diags_array([np.ones(m), -np.ones(m - 1)], offsets=[0, 1])
    found = gauss_newton(lambda x: D @ x - 1, np.zeros(m), jac=lambda x: D)
    assert found.solver == "lsmr"
    assert found.converged
    with pytest.raises(MemoryError, match=r'^solver is "dense", of 9000 residuals and 24003 parameters more than 2 GiB'):
        gauss_newton(objective(hidden=4000, m=3000), np.zeros(24003), solver="dense")


def test_auto_takes_no_matrix_that_there_is_no_room_for(monkeypatch):
    X, y = fastlec.datasets.make_blobs(40, 3)
    layers = [Dense(2, 200), Dense(200, 200), Dense(200, 3, "identity")]
    f = Objective(Network(layers, rng=0), fastlec.SoftmaxCrossEntropy(), X, y)
    J, K = 8 * 120 * f.n_params, 8 * 120**2
    for most, solver in ((J // 2, "gram"), (K, "cg")):  # layers' factors take less than J
        monkeypatch.setattr(_gauss_newton, "MOST_BYTES", most)
        found = gauss_newton(f, f.net.theta, max_iter=3)
        assert found.solver == solver
        assert found.cost < f.value(f.net.theta)
    monkeypatch.setattr(_gauss_newton, "MOST_BYTES", J // 2)
    assert gauss_newton(f, f.net.theta, max_iter=0, bounds=(-np.inf, np.inf)).solver == "cg"  # bounds want J
    monkeypatch.setattr(_gauss_newton, "MOST_BYTES", K)
    with pytest.raises(MemoryError, match=r'^solver is "gram", of 120 residuals and 41403 parameters more than 2 GiB'):
        gauss_newton(f, f.net.theta, solver="gram")


def test_steps_to_where_it_is_not_finite_are_not_taken():
    def residual(x):
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.log(x) + 3  # a full step from 1 leads to -2

    for damping in ("trust-region", 0):
        found = gauss_newton(residual, np.ones(1), jac=lambda x: np.array([[1 / x[0]]]), damping=damping)
        assert found.x == pytest.approx([np.exp(-3)])


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_what_interrupts_has_the_best_state(error):
    f = objective("softmax", l2=1e-3)

    def callback(iteration, theta, cost):
        assert cost == f.value(theta)
        if iteration == 4:
            raise error

    with pytest.raises(error) as raised:
        gauss_newton(f, f.net.theta, callback=callback)
    best = raised.value.minimum
    assert best.cost == f.value(best.x) == best.history[-1].cost < f.value(f.net.theta)
    assert len(best.history) == 4


def test_a_callback_that_stops():
    def callback(iteration, theta, cost):
        theta[:] = np.nan  # a copy
        if iteration == 3:
            raise StopIteration

    found = gauss_newton(rosenbrock, [-1.2, 1], jac=rosenbrock_jac, callback=callback)
    assert found.n_iter == len(found.history) == 3
    assert found.message.startswith("3 iterations, not converged: stopped by callback; solver ")
    assert found.cost == 0.5 * float(rosenbrock(found.x) @ rosenbrock(found.x))


@pytest.mark.parametrize(("solver", "m", "hidden"), [("cg", 3000, 30), ("dense", 3000, 30), ("gram", 60, 200)])
def test_any_number_of_threads(solver, m, hidden):
    f, threads = objective("softmax", m=m, hidden=hidden), fastlec.get_num_threads()
    found = []
    try:
        for n in (1, 2):
            fastlec.set_num_threads(n)
            found.append(gauss_newton(f, f.net.theta, solver=solver, max_iter=3).x)
    finally:
        fastlec.set_num_threads(threads)
    np.testing.assert_array_equal(*found)


def test_theta0_is_not_changed():
    f = objective()
    before = f.net.theta.copy()
    gauss_newton(f, f.net.theta, max_iter=3)
    np.testing.assert_array_equal(f.net.theta, before)


class NoHessian:
    targets, value_and_gradient = LogCosh.targets, LogCosh.value_and_gradient


F = objective()
ZEROS = np.zeros(F.n_params)
NOTHING = Objective(Network([fastlec.Activation("tanh")]), fastlec.MeanSquaredError(), F.X, F.X)
REFUSED = {
    "no parameters": ((NOTHING, []), {}, ValueError, r"^f has a network without parameters"),
    "f is": ((3, [1.0]), {}, TypeError, r"^f, which is no Objective, is 3; expected a function"),
    "jac is missing": ((rosenbrock, [1.0, 1]), {}, TypeError, r"^jac is None; expected a function"),
    "jac beside": ((F, ZEROS), {"jac": rosenbrock_jac}, ValueError, r"^jac is .*; expected None"),
    "theta0 shape": ((F, np.zeros(3)), {}, ValueError, r"^theta0 has shape \(3,\); expected \(51,\)"),
    "theta0 NaN": ((F, ZEROS * np.nan), {}, ValueError, r"^theta0\[0\] is nan"),
    "theta0 dtype": ((F, ZEROS * 1j), {}, TypeError, r"^theta0 has dtype complex128"),
    "solver": ((F, ZEROS), {"solver": "qr"}, ValueError, r"^solver is 'qr'; expected one of auto, dense, gram, cg, lsmr"),
    "damping": ((F, ZEROS), {"damping": "none"}, ValueError, r"^damping is 'none'; expected one of trust-region"),
    "damping < 0": ((F, ZEROS), {"damping": -1}, ValueError, r"^damping is -1.0; expected a finite number >= 0"),
    "acceleration": ((F, ZEROS), {"acceleration": 2}, TypeError, r"^acceleration is 2; expected True or False"),
    "tol": ((F, ZEROS), {"tol": np.nan}, ValueError, r"^tol is nan"),
    "max_iter": ((F, ZEROS), {"max_iter": -1}, ValueError, r"^max_iter is -1"),
    "callback": ((F, ZEROS), {"callback": 1}, TypeError, r"^callback is 1; expected a function"),
    "bounds": ((F, ZEROS), {"bounds": 1}, ValueError, r"^bounds is 1; expected \(lower, upper\) or None"),
    "bounds shape": ((F, ZEROS), {"bounds": (np.zeros(2), 1)}, ValueError, r"^bounds\[0\] has shape \(2,\)"),
    "bounds NaN": ((F, ZEROS), {"bounds": (0, np.nan)}, ValueError, r"^bounds\[1\] has NaN"),
    "bounds crossed": ((F, ZEROS), {"bounds": (1, 0)}, ValueError, r"^bounds\[0\] is 1.0 at 0, above bounds\[1\], 0.0"),
    "outside": ((F, ZEROS), {"bounds": (1, 2)}, ValueError, r"^theta0\[0\] is 0.0; expected a number from 1.0 to 2.0"),
    "residual shape": ((lambda x: np.eye(2), [1.0]), {"jac": rosenbrock_jac}, ValueError, r"^f\(theta\) has shape \(2, 2\)"),
    "residual NaN": ((lambda x: x * np.nan, [1.0]), {"jac": rosenbrock_jac}, ValueError, r"^f\(theta0\)\[0\] is nan"),
    "residual large": ((lambda x: x * 1e200, [1.0]), {"jac": rosenbrock_jac}, ValueError, r"^the cost at the start is inf"),
    "jac shape": ((rosenbrock, [1.0, 1]), {"jac": lambda x: np.eye(3)}, ValueError, r"^jac\(theta\) has shape \(3, 3\)"),
    "jac NaN": (
        (rosenbrock, [1.0, 1]),
        {"jac": lambda x: np.full((2, 2), np.nan)},
        ValueError,
        r"^jac\(theta\)\[0, 0\] is nan",
    ),
    "mv's length": (
        (np.copy, [1.0, 1]),
        {"jac": lambda x: (np.sum, np.copy)},
        ValueError,
        r"^jac\(theta\)\[0\]\(v\) has shape",
    ),
    "tmv's dtype": (
        (np.copy, [1.0, 1]),
        {"jac": lambda x: (np.copy, lambda u: 1j * u)},
        TypeError,
        r"^jac\(theta\)\[1\]\(u\) has",
    ),
    "no rmatvec": (
        (np.copy, [1.0]),
        {"jac": lambda x: LinearOperator((1, 1), np.copy)},
        TypeError,
        r"^jac\(theta\) has no rmatvec",
    ),
    "small": (
        (np.copy, [1.0]),
        {"jac": lambda x: np.full((1, 1), 1e-100)},
        ValueError,
        r"^the gradient or Jacobian .* too small",
    ),
    "large": (
        (np.copy, [1.0]),
        {"jac": lambda x: np.full((1, 1), 1e100)},
        ValueError,
        r"^the gradient or Jacobian .* too large",
    ),
    "jac large": ((rosenbrock, [0.0, 1]), {"jac": lambda x: np.full((2, 2), 1e200)}, ValueError, r"^jac\(theta\) is too large"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refusals(case):
    arguments, named, error, match = REFUSED[case]
    with pytest.raises(error, match=match):
        gauss_newton(*arguments, **named)


def test_a_loss_without_hessian():
    f = Objective(F.net, NoHessian(), F.X, F.y)
    with pytest.raises(TypeError, match=r"^f has the loss .*NoHessian.*, which has no hessian_mv"):
        gauss_newton(f, ZEROS)


def test_jacobian_with_a_penalty_multiplies_matrices():
    f = objective(l2=1e-2)
    J = f.jacobian(f.net.theta)
    np.testing.assert_allclose(J @ np.eye(f.n_params), np.stack([J @ v for v in np.eye(f.n_params)], axis=1), rtol=1e-12)
