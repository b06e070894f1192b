"""The systems (B + damping I) d = -g of damped Gauss-Newton steps, by four solvers: THE list is `SOLVERS`.

B = A' A and g = A' r + q: A (m, n) is a Jacobian, r are residuals, and q is what the gradient has beside, mostly nothing. A system
has mv(v), B times v, solve(damping) -> (d, the damping that it took, which is more where the matrix is singular to round-off), and
then again(b), the solution for another g, which is b, or A' b where by_rows says so.
"""

import math
from functools import partial

import numpy as np

from ._least_squares import POWERS, by_conjugate_gradients, by_lsmr, operator_norm

SOLVERS = ("dense", "gram", "cg", "lsmr")


def gram(A):
    """A A' as an array, of an array, sparse matrix or LinearOperator."""
    return _squares(A, A.T)


def squares(A):
    """A' A likewise."""
    return _squares(A.T, A)


def _squares(A, B):
    """A B, B = A'."""
    if isinstance(A, np.ndarray):
        return A @ B
    if hasattr(A, "tocsr"):
        return (A @ B).toarray()
    return np.asarray(A @ (B @ np.eye(B.shape[1])), np.float64)


class Dense:
    """B as an array, by Cholesky's factorization."""

    by_rows = False

    def __init__(self, B, g, eps):
        self.B, self.g, self.eps = B, g, eps

    def mv(self, v):
        return self.B @ v

    def solve(self, damping):
        self.inverse, damping = factored(self.B, damping, self.eps)
        return self.again(self.g), damping

    def again(self, b):
        return -self.inverse(b)


class Multiplied:
    """What is known by products with A, an array, sparse matrix or LinearOperator. q : (n,) or None."""

    by_rows = True

    def __init__(self, A, r, q, g, eps):
        self.A, self.r, self.q, self.g, self.eps = A, r, q, g, eps

    def mv(self, v):
        return self.A.T @ (self.A @ v)

    def target(self, damping):
        """(r, 0), or the (t, s) with which -A' (A A' + damping I)^-1 t - s is the solution in spite of q."""
        if self.q is None:
            return self.r, 0.0
        s = self.q / damping
        return self.r - self.A @ s, s


class Gram(Multiplied):
    """By Cholesky's factorization of A A' + damping I, (m, m): d = -A' (A A' + damping I)^-1 r."""

    def __init__(self, *of, products=None):
        super().__init__(*of)
        self.products = gram(self.A) if products is None else products

    def solve(self, damping):
        self.inverse, damping = factored(self.products, damping, self.eps, least=self.q is not None)
        t, s = self.target(damping)
        return self.again(t) - s, damping

    def again(self, b):
        return -(self.A.T @ self.inverse(b))


class Lsmr(Multiplied):
    """By LSMR (Fong and Saunders, 2011): the d of least |A d + r|^2 + damping |d|^2."""

    def __init__(self, *of):
        super().__init__(*of)
        self.norm = operator_norm(self.A)

    def solve(self, damping):
        self.damping = damping if self.q is None else max(damping, self.eps * (self.norm or 1.0) ** 2)
        t, s = self.target(self.damping)
        return self.again(t) - s, self.damping

    def again(self, b):
        g = self.A.T @ b
        return by_lsmr(self.A, -b, self.damping, self.norm, g) if g.any() else np.zeros_like(g)


class Cg:
    """By conjugate gradients, from products with B alone; where they meet a direction along which the model has no minimum, they
    end before it."""

    by_rows = False

    def __init__(self, mv, g):
        self.mv, self.g = mv, g

    def solve(self, damping):
        self.damping = damping
        return self.again(self.g), damping

    def again(self, b):
        return by_conjugate_gradients(lambda v: self.mv(v) + self.damping * v, -b)[0]


def system_of(solver, A, held, r, q, eps, products=None):
    """The system of a Jacobian A with residuals r, and q in the gradient beside, for the parameters that are not held. products :
    A A', where it is known and nothing is held."""
    if held is not None:
        free = ~held
        A, q = _restricted(A, free), None if q is None else q * free
    g = A.T @ r + (0 if q is None else q)
    if solver == "dense":
        return Dense(marked(squares(A), held), g, eps)
    if solver == "cg":
        return Cg(lambda v: A.T @ (A @ v), g)
    if solver == "lsmr":
        return Lsmr(A, r, q, g, eps)
    return Gram(A, r, q, g, eps, products=products if held is None else None)


def marked(B, held):
    """B with an entry of its size on the diagonal for what is held, that it does not count as singular."""
    if held is not None:
        B[held, held] = B.diagonal().max() or 1.0
    return B


def _restricted(A, free):
    """A with columns of 0 for what is not free."""
    if isinstance(A, np.ndarray):
        return A * free
    if hasattr(A, "tocsr"):
        from scipy.sparse import diags_array

        return A @ diags_array(free.astype(np.float64))
    from ._operator import Operator

    return Operator(
        A.shape,
        np.float64,
        lambda v: A @ (v * free),
        lambda u: free * (A.T @ u),
        lambda V: (A @ (V * free).T).T,
        lambda U: (A.T @ U.T).T * free,
        name="Jacobian of free parameters",
    )


def factored(M, damping, eps, least=False):
    """(the function that multiplies by the inverse of M + damping I, the damping): M positive semidefinite, (n, n), known to eps.
    Damping is raised until the matrix is positive definite beyond round-off. least : whether it must not vanish even so."""
    from scipy.linalg import cho_factor, cho_solve

    diagonal = M.diagonal()
    round_off = max(len(M) * eps * (float(diagonal.max()) or 1.0), np.finfo(np.float64).tiny)
    if not (np.isfinite(M).all() and math.isfinite(round_off + damping)):
        raise ValueError("the Jacobian is too large: float64 does not hold its squares")
    if least:
        damping = max(damping, round_off)
    while True:
        damped = np.array(M, order="F")
        damped[np.diag_indices_from(damped)] += damping
        try:
            factor = cho_factor(damped, lower=True, overwrite_a=True, check_finite=False)
            if np.square(factor[0].diagonal()).min() > 0.1 * round_off:
                return partial(cho_solve, factor, check_finite=False), damping
        except np.linalg.LinAlgError:
            pass
        damping = max(4 * damping, round_off)


def largest(mv, n):
    """The largest eigenvalue of a symmetric positive semidefinite matrix, by the power method: rarely below a quarter of it."""
    v, value = np.random.default_rng(0).standard_normal(n), 0.0
    for _ in range(POWERS):
        v = v / (np.abs(v).max() or 1.0)  # first, for float64 may not hold the squares
        v = v / (np.linalg.norm(v) or 1.0)
        Bv = mv(v)
        value, v = float(v @ Bv), Bv
    return value
