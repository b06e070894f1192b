"""Linear problems A x - y under robust losses, as `least_squares.minimize` takes them; and the least sum of absolute residuals."""

import numpy as np

from ._robust_losses import LINEAR
from .functional import matmul
from .least_squares import (
    ROUND_OFF,
    Point,
    Products,
    angle,
    column_lengths,
    cosine,
    floored,
    row_blocks,
    squares_fit,
    triangle,
)

WELL_CONDITIONED = 1e4  # at most, of columns of length 1: then A' A loses half of the digits, and no more


class Multiplied:
    """A x - y, of a matrix that is sparse or a LinearOperator."""

    first_damping, most_damping = 1.0, 1.0

    def __init__(self, A, y, sample_weight):
        self.A, self.y, self.sample_weight = A, y, sample_weight
        self.loss, self.scale = LINEAR, 1.0
        self._last = None, None

    def at(self, x):
        return Point(x, self.residual(x), self.loss, self.scale, self.sample_weight)

    def least_squares(self):
        """The x of plain least squares, of the least norm where there are several."""
        start = Point(np.zeros(self.A.shape[1]), -self.y, LINEAR, 1.0, self.sample_weight)
        return start.x + self.linearize(start).step(0.0)[0]

    def residual(self, x):
        if self._last[0] is not x:
            r = self._mv(x)
            self._last = x, np.subtract(r, self.y, out=r)
        return self._last[1]

    def _mv(self, x):
        return np.array(self.A @ x, np.float64)

    def linearize(self, point):
        return ReweightedProducts(self.A, point)

    def basis(self):
        """A basis for x in which the columns of a sparse A have length 1."""
        from scipy.sparse import diags_array

        n = self.A.shape[1]
        lengths = column_lengths(self.A, np.ones(len(self.y))) if hasattr(self.A, "tocsr") else np.ones(n)
        return diags_array(1 / np.where(lengths > 0, lengths, 1))

    def rows(self, chosen):
        """Those rows of A, as an array."""
        if hasattr(self.A, "tocsr"):
            return self.A[chosen].toarray().astype(np.float64)
        rows = np.empty((len(chosen), self.A.shape[1]))
        unit = np.zeros(self.A.shape[0])
        for i, row in zip(chosen, rows, strict=True):
            unit[i] = 1
            row[:] = self.A.rmatvec(unit)
            unit[i] = 0
        return rows

    def tmv(self, u):
        return np.asarray(self.A.T @ u, np.float64)

    def angle(self, g, psi):
        return angle(self.A, g, psi, np.ones(len(psi)) if self.sample_weight is None else np.sqrt(self.sample_weight))


class Rows(Multiplied):
    """A x - y, of an array, which is read in place or, where it is not plain float64, copied a block of rows at a time.

    There is a B, of the rank of A, with Q = sqrt(v) A B and Q' Q = I. Steps go along x + B c, so that the condition of A does not
    matter, and Q' D Q = I - Q' (1 - D) Q takes only the rows with D != 1, those beyond the loss's quadratic part. Residuals and
    gradients come from A itself, so what B is off by makes steps a little worse, never the result: where A is well conditioned,
    B from A' A will do.
    """

    def __init__(self, A, y, sample_weight):
        super().__init__(A, y, sample_weight)
        m, n = A.shape
        plain = A.dtype == np.float64 and A.flags.forc and A.flags.aligned
        self.blocks = [slice(m)] if plain else row_blocks(m, n)
        self.root = None if sample_weight is None else np.sqrt(sample_weight)
        self.B = self._basis_by_gram() if m >= n else None
        if self.B is None:
            self.B = self._basis_by_factor()

    def _basis_by_gram(self):
        """B from A' A where A is well conditioned, else None."""
        gram = 0.0
        with np.errstate(over="ignore", invalid="ignore"):
            for rows in self.blocks:
                block = self._block(rows)
                gram += matmul(block.T, block)
        self._set_columns(np.sqrt(gram.diagonal()))
        scale = np.where(self.columns > 0, self.columns, 1)
        values, vectors = np.linalg.eigh(gram / scale / scale[:, None])
        return vectors / np.sqrt(values) / scale[:, None] if values[0] * WELL_CONDITIONED**2 > values[-1] else None

    def _basis_by_factor(self):
        """B from the triangular factor of A, of any rank, as numpy.linalg.lstsq decides it."""
        R = triangle((self._block(rows) for rows in row_blocks(*self.A.shape)), self.A.shape[1])
        with np.errstate(over="ignore"):
            self._set_columns(np.linalg.norm(R, axis=0))
        _, S, Vt = np.linalg.svd(R, full_matrices=False)
        rank = int((S[0] * max(self.A.shape) * np.finfo(np.float64).eps < S).sum())
        return Vt[:rank].T / S[:rank]

    def _set_columns(self, lengths):
        """The lengths of the columns of sqrt(v) A."""
        if not np.isfinite(lengths).all() or not lengths.any():
            squares_fit(self.A, "A")
        self.columns = lengths

    def _block(self, rows):
        by_take = not isinstance(rows, slice) and self.A.flags.c_contiguous  # twice as fast, but copies other arrays whole
        block = np.asarray(self.A.take(rows, axis=0) if by_take else self.A[rows], np.float64)
        return block if self.root is None else self.root[rows, None] * block

    def _mv(self, x):
        product = np.empty(len(self.y))
        for rows in self.blocks:
            matmul(np.asarray(self.A[rows], np.float64), x[:, None], out=product[rows, None])
        return product

    def tmv(self, u):
        return sum(matmul(u[None, rows], np.asarray(self.A[rows], np.float64))[0] for rows in self.blocks)

    def basis(self):
        return self.B

    def rows(self, chosen):
        return np.asarray(self.A[chosen], np.float64)

    def angle(self, g, psi):
        return cosine(g, self.columns, psi)

    def linearize(self, point):
        return Reweighted(self, point)

    def gram(self, D):
        """Q' D Q, D at most 1."""
        whole = 2 * np.count_nonzero(D != 1) > len(D)  # then fewer rows have D != 0 than 1
        E = D if whole else 1 - D
        total = np.zeros((self.B.shape[1],) * 2)
        chosen = np.flatnonzero(E)
        for rows in row_blocks(len(chosen), self.A.shape[1]):
            some = chosen[rows]
            Q, factors = matmul(self._block(some), self.B), E[some, None]
            if factors.min() >= 0:
                Q *= np.sqrt(factors)
                total += matmul(Q.T, Q)
            else:
                total += matmul(Q.T, factors * Q)
        return total if whole else np.eye(len(total)) - total


class Reweighted:
    """The model of `Rows` at a point: between Newton's, at damping 0, and that of iteratively reweighted least squares, at 1 and
    more, whose steps never raise the cost of a loss that is concave in r^2, as all are here."""

    def __init__(self, problem, point):
        self.problem, self.point = problem, point
        g, psi = problem.tmv(point.weighted(point.psi)), point.root_weighted(point.psi)
        self.g = problem.B.T @ g
        self.cosine = problem.angle(g, psi)
        self.stationarity = cosine(np.linalg.norm(self.g, keepdims=True), 1.0, psi)

    def step(self, damping):
        H = self.problem.gram(between(self.point.curvature, self.point.w, damping))
        if damping < 1:
            try:
                np.linalg.cholesky(H)
            except np.linalg.LinAlgError:  # Newton's model has no minimum
                return self.step(1.0)
            c = np.linalg.solve(H, -self.g)
        else:
            c = np.linalg.lstsq(H, -self.g, rcond=None)[0]
        return self.problem.B @ c, -0.5 * float(self.g @ c)


class ReweightedProducts(Products):
    """The same of `Multiplied`, with Triggs' curvature at damping 0."""

    def step(self, damping):
        return self.solve(between(floored(self.point), self.point.w, damping), 0.0)


def between(curvature, w, damping):
    share = min(damping, 1.0)
    return w if share == 1 else (1 - share) * curvature + share * w


def least_absolute(problem, x, zero, tol):
    """(x, psi, stationarity, linear programs solved) of the least sum of v |A x - y|, from an x near it; less than `zero` is zero.

    Its dual, max r' u with A' u = 0 and |u_i| <= v_i, is solved for the residuals that are nearest to zero, the others' u having
    the sign of theirs; should one of these change its sign, there were too few (Portnoy and Koenker, "The Gaussian hare and the
    Laplacian tortoise", 1997). The residuals at which u is inside of its bounds, at most n, are zero: x and u are solved for
    once more from these, to the last digit.
    """
    m, n = problem.A.shape
    v = np.ones(m) if problem.sample_weight is None else problem.sample_weight
    size, rounds, least = min(m, 4 * n + int(m ** (2 / 3))), 0, np.inf
    B = problem.basis()
    while True:
        rounds += 1
        r = problem.residual(x)
        near = np.argpartition(np.abs(r), size - 1)[:size]
        u = v * np.sign(r)
        u[near] = 0
        rows = problem.rows(near)
        found = _dual(rows @ B, r[near], B.T @ problem.tmv(u), v[near])
        if found is None and size == m:  # HiGHS gave up, which it has not been seen to do
            psi = np.sign(r)
            return x, psi, problem.angle(problem.tmv(v * psi), np.sqrt(v) * psi), rounds
        if found is not None:
            step, u[near] = found
            after = x + B @ step
            r = problem.residual(after)
            zeros = np.full(m, zero)
            zeros[near] += ROUND_OFF * (np.abs(rows) @ np.abs(after))
            wrong = bool((u * r < -zeros * v).any())
            psi = np.where(np.abs(r) > zeros, np.sign(r), np.clip(np.divide(u, v, out=np.zeros(m), where=v > 0), -1, 1))
            stationarity = problem.angle(problem.tmv(v * psi), np.sqrt(v) * psi)
            cost = float((v * np.abs(r)).sum())
            if stationarity <= tol or (cost >= (1 - ROUND_OFF) * least and (size == m or not wrong)):
                return after, psi, stationarity, rounds
            x, least = (after, cost) if cost < least else (x, least)
            if not wrong:
                continue  # with residuals of another magnitude, to which the tolerances of the linear program are absolute
        size = min(m, 4 * size)


def _dual(rows, r, fixed, v):
    """(the step for x, u) of max r' u, rows' u = -fixed, |u_i| <= v_i; None where that has no solution."""
    from scipy.optimize import linprog

    units = [float(np.abs(a).max(initial=0)) or 1.0 for a in (rows, r, v)]  # HiGHS takes numbers far below 1 for zero
    found = linprog(
        -r / units[1],
        A_eq=rows.T / units[0],
        b_eq=-fixed / units[0] / units[2],
        bounds=np.stack([-v, v], axis=1) / units[2],
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )
    if found.status != 0:
        return None
    step = units[1] / units[0] * found.eqlin.marginals
    u, step = units[2] * found.x, np.linalg.lstsq(rows, rows @ step, rcond=None)[0]  # of least norm
    inside = np.abs(u) < (1 - 1e-7) * v
    for _ in range(2):
        step -= np.linalg.lstsq(rows[inside], r[inside] + rows[inside] @ step, rcond=None)[0]
    u[inside] = np.linalg.lstsq(rows[inside].T, -fixed - rows[~inside].T @ u[~inside], rcond=None)[0]
    return step, u
