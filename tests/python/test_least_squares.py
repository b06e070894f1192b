"""The Levenberg-Marquardt driver: on problems of the literature, on what fails, and what it tells of its way."""

import numpy as np
import pytest
from scipy import sparse
from scipy.sparse.linalg import aslinearoperator

from fastlec._least_squares import Problem, cosine, minimize, operator_norm, row_blocks, triangle
from fastlec._robust_losses import LINEAR, LOSSES

FORMS = {"array": np.asarray, "sparse": sparse.csc_matrix, "operator": aslinearoperator}
SETTINGS = {"tol": 1e-12, "max_iter": 300, "damping": 1e-3}


def rosenbrock(x):
    return np.array([10 * (x[1] - x[0] ** 2), 1 - x[0]])


def rosenbrock_jac(x):
    return np.array([[-20 * x[0], 10], [-1, 0]])


def powell(x):
    """Singular at its solution 0."""
    return np.array([x[0] + 10 * x[1], 5**0.5 * (x[2] - x[3]), (x[1] - 2 * x[2]) ** 2, 10**0.5 * (x[0] - x[3]) ** 2])


def powell_jac(x):
    b, c = 2 * (x[1] - 2 * x[2]), 2 * 10**0.5 * (x[0] - x[3])
    return np.array([[1, 10, 0, 0], [0, 0, 5**0.5, -(5**0.5)], [0, b, -2 * b, 0], [c, 0, 0, -c]])


def freudenstein_roth(x):
    return np.array([-13 + x[0] + ((5 - x[1]) * x[1] - 2) * x[1], -29 + x[0] + ((x[1] + 1) * x[1] - 14) * x[1]])


def freudenstein_roth_jac(x):
    return np.array([[1, (10 - 3 * x[1]) * x[1] - 2], [1, (3 * x[1] + 2) * x[1] - 14]])


def problem(residual, jac, form="array", loss=LINEAR, scale=1.0):
    return Problem(residual, lambda x: FORMS[form](jac(x)), np.dtype(float), loss, scale)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("factor", [1, 10, 100])
def test_rosenbrock(factor, form):
    """More, Garbow and Hillstrom, "Testing unconstrained optimization software", 1981, problem 1, from their three starts."""
    found = minimize(problem(rosenbrock, rosenbrock_jac, form), factor * np.array([-1.2, 1]), **SETTINGS)
    np.testing.assert_allclose(found.x, 1, rtol=0, atol=1e-10)
    assert found.converged


@pytest.mark.parametrize("form", FORMS)
def test_powell(form):
    """Problem 13: the Jacobian loses rank at the solution, so steps only halve the distance."""
    found = minimize(problem(powell, powell_jac, form), np.array([3.0, -1, 0, 1]), **SETTINGS)
    assert np.abs(found.x).max() < 1e-3
    assert found.cost < 1e-15


@pytest.mark.parametrize("form", FORMS)
def test_freudenstein_and_roth(form):
    """Problem 2: from the usual start to the local minimum, where the residuals stay large."""
    found = minimize(problem(freudenstein_roth, freudenstein_roth_jac, form), np.array([0.5, -2]), **SETTINGS)
    assert found.converged
    assert 2 * found.cost == pytest.approx(48.98425, rel=1e-6)
    np.testing.assert_allclose(found.x, [11.4128, -0.8968], rtol=1e-4)


@pytest.mark.parametrize("loss", LOSSES)
def test_cost_never_rises_and_damping_follows_the_gain(loss):
    found = minimize(problem(rosenbrock, rosenbrock_jac, loss=LOSSES[loss], scale=20.0), np.array([-1.2, 1]), **SETTINGS)
    costs = [entry.cost for entry in found.history]
    assert (np.diff(costs) <= 0).all()
    assert found.message == f"{len(costs)} iterations, converged: {found.reason}"
    for entry, following in zip(found.history, found.history[1:], strict=False):
        if entry.gain < 0:
            assert following.damping > entry.damping
        elif entry.gain > 0.9:
            assert following.damping < entry.damping


def test_steps_to_where_the_residual_is_not_finite_are_not_taken():
    def residual(x):
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.array([np.log(x[0]) + 3])  # a full step from 1 leads to -2

    found = minimize(problem(residual, lambda x: np.array([[1 / x[0]]])), np.ones(1), **SETTINGS | {"damping": 0.0})
    assert found.x == pytest.approx([np.exp(-3)])
    assert found.history[0].gain != found.history[0].gain or found.history[0].gain < 0


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
@pytest.mark.parametrize("part", ["residual", "jac", "callback"])
def test_what_interrupts_has_the_best_state(part, error):
    calls = 0

    def interrupted(function):
        def call(*arguments):
            nonlocal calls
            calls += 1
            if calls == 5:
                raise error
            return function(*arguments)

        return call

    functions = {"residual": rosenbrock, "jac": rosenbrock_jac, "callback": lambda *told: None}
    functions[part] = interrupted(functions[part])
    start = np.array([-1.2, 1])
    with pytest.raises(error) as raised:
        minimize(problem(functions["residual"], functions["jac"]), start, callback=functions["callback"], **SETTINGS)
    best = raised.value.minimum
    cost = 0.5 * float(rosenbrock(best.x) @ rosenbrock(best.x))
    assert best.cost == pytest.approx(cost, rel=1e-15)  # a product's last bit may depend on the alignment of its arrays
    assert cost < 0.5 * float(rosenbrock(start) @ rosenbrock(start))
    assert best.history[-1].cost == best.cost
    assert best.message.endswith("interrupted")


def test_a_start_at_the_solution():
    found = minimize(problem(rosenbrock, rosenbrock_jac), np.ones(2), **SETTINGS)
    assert found.converged
    assert found.message == "0 iterations, converged: stationarity 0.0e+00"
    np.testing.assert_array_equal(found.x, 1)


def test_a_wrong_jacobian_is_not_called_converged():
    found = minimize(problem(rosenbrock, lambda x: -rosenbrock_jac(x)), np.array([-1.2, 1]), **SETTINGS)
    assert not found.converged
    assert found.message.endswith("no step lowers the cost any more")


def test_a_cost_that_overflows():
    with pytest.raises(ValueError, match=r"^the cost at the start is inf"):
        minimize(problem(lambda x: np.array([1e200]), lambda x: np.ones((1, 1))), np.ones(1), **SETTINGS)


@pytest.mark.parametrize("shape", [(1000, 3), (7, 3), (3, 7), (1, 1), (100_000, 2)])
def test_triangle_by_blocks(shape):
    """R' R is A' A, to a relative accuracy that A' A itself would lose."""
    A = np.random.default_rng(0).normal(size=shape) * np.logspace(0, -7, shape[1])
    R = triangle((A[rows] for rows in row_blocks(*shape)), shape[1])
    assert R.shape == (min(shape), shape[1])
    np.testing.assert_allclose(np.linalg.svd(R, compute_uv=False), np.linalg.svd(A, compute_uv=False), rtol=1e-8)
    np.testing.assert_allclose(np.linalg.norm(R, axis=0), np.linalg.norm(A, axis=0), rtol=1e-12)


def test_measures():
    A = np.random.default_rng(0).normal(size=(30, 5))
    psi = A[:, 2] + 0
    lengths = np.linalg.norm(A, axis=0)
    assert cosine(A.T @ psi, lengths, psi) == pytest.approx(1)
    assert cosine(A.T @ (psi - A @ np.linalg.lstsq(A, psi)[0]), lengths, psi) < 1e-14
    assert cosine(np.zeros(2), np.zeros(2), np.zeros(3)) == 0
    norm = np.linalg.norm(A, 2)
    assert 0.5 * norm < operator_norm(aslinearoperator(A)) <= norm * (1 + 1e-14)
    assert operator_norm(aslinearoperator(0 * A)) == 0
