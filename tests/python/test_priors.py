"""Objective.with_prior: values, derivatives, products and residuals with a quadratic function of theta."""

import numpy as np
import pytest
from curved import close, objective_of
from scipy import sparse
from scipy.sparse.linalg import LinearOperator

from fastlec.testing import gradient_test, jacobian_test, transpose_test

pytestmark = pytest.mark.filterwarnings("ignore:net ends with")  # networks here end in any activation, whatever the loss


def linear_maps(n, rng):
    L = rng.standard_normal((4, n))
    L[:, ::2] = 0
    yield L, L
    yield sparse.csr_array(L), L
    yield sparse.coo_matrix(L), L
    yield LinearOperator(L.shape, matvec=lambda v: L @ v, rmatvec=lambda u: L.T @ u, dtype=float), L
    yield L.astype(np.float32).tolist(), L.astype(np.float32)


def passes_the_tests(f, theta):
    transpose_test(lambda t, v: f.jacobian(t) @ v, lambda t, u: f.jacobian(t).T @ u, theta, rng=1).assert_passed()
    jacobian_test(f.residuals, lambda t, v: f.jacobian(t) @ v, theta, rng=1).assert_passed()
    gradient_test(f.value, f.gradient, theta, rng=1).assert_passed()


def test_a_prior_enters_value_and_derivatives(rng):
    bare = objective_of("dense", "squares", True, l2=0.2)
    n = bare.n_params
    theta, theta0, v = rng.standard_normal((3, n))
    for L, matrix in linear_maps(n, rng):
        f = bare.with_prior(L, theta0).with_prior(np.ones((1, n)))
        P = matrix.T.astype(float) @ matrix + 1
        shift = matrix.T @ (matrix @ (theta - theta0)) + theta.sum()
        r = matrix @ (theta - theta0)
        added = (r @ r + theta.sum() ** 2) / 2
        assert f.value(theta) == pytest.approx(bare.value(theta) + added, rel=1e-13)
        close(f.gradient(theta), bare.gradient(theta) + shift)
        at = f.at(theta)
        assert at.value == pytest.approx(f.value(theta), rel=1e-13)
        close(at.gradient, f.gradient(theta))
        close(at.hessian_mv(v), bare.hessian_mv(theta, v) + P @ v)
        close(f.gauss_newton_matrix(theta), bare.gauss_newton_matrix(theta) + P)
        close(f.gauss_newton_diagonal(theta), bare.gauss_newton_diagonal(theta) + np.diagonal(P))
        close(f.gauss_newton_operator(theta) @ np.eye(n), f.gauss_newton_matrix(theta))
        residuals, J = f.residuals(theta), f.jacobian(theta)
        assert residuals.shape == (J.shape[0],)
        assert residuals @ residuals / 2 == pytest.approx(f.value(theta), rel=1e-13)
        close(J.T @ residuals, f.gradient(theta))
        passes_the_tests(f, theta)
    assert bare.value(theta) == objective_of("dense", "squares", True, l2=0.2).value(theta)  # is as it was


def test_a_prior_in_single_precision_and_after_changes_of_what_was_given():
    f = objective_of("dense", "squares", dtype=np.float32)
    n = f.n_params
    L, theta0 = np.eye(n), np.ones(n)
    g = f.with_prior(L, theta0)
    before = g.value(f.net.theta)
    L[...] = theta0[...] = 0
    assert g.value(f.net.theta) == before
    assert g.gradient(f.net.theta).dtype == g.residuals(f.net.theta).dtype == np.float32
    assert g.gauss_newton_mv(f.net.theta, f.net.theta).dtype == np.float32


def test_a_prior_refuses():
    f = objective_of("dense", "squares")
    n = f.n_params
    for L, error, match in (
        (np.zeros((2, 3)), ValueError, rf"^L has shape \(2, 3\); expected \(rows, {n}\)"),
        (np.zeros(n), ValueError, r"^L has shape"),
        (1.0, ValueError, r"^L has shape \(\)"),
        (np.zeros((1, n), complex), TypeError, "^L has dtype complex128"),
        (np.full((1, n), np.nan), ValueError, r"^L\[0, 0\] is nan"),
        (sparse.csr_array(np.full((1, n), np.inf)), ValueError, r"^L.data\[0\] is inf"),
        (LinearOperator((2, n), matvec=lambda v: v[:2]), TypeError, "^L has no rmatvec"),
    ):
        with pytest.raises(error, match=match):
            f.with_prior(L)
    with pytest.raises(ValueError, match=r"^theta0 has shape \(3,\)"):
        f.with_prior(np.eye(n), np.zeros(3))
