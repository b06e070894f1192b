"""Linear problems A x - y under robust losses, as `least_squares.minimize` takes them; and the least sum of absolute residuals."""

from functools import cached_property

import numpy as np

from ._least_squares import (
    LARGEST,
    ROUND_OFF,
    Point,
    Products,
    by_conjugate_gradients,
    column_lengths,
    cosine,
    floored,
    product,
    row_blocks,
    row_sizes,
    squares_fit,
    transposed_product,
    triangle,
)
from ._robust_losses import LINEAR
from .functional import matmul

EPS = np.finfo(np.float64).eps
NEARLY = 1e-4  # of the data's size, a deviation that may be round-off
SAMPLED = 8  # one row of so many is taken for a start, if these are
ENOUGH = 50  # times the columns
SAMPLE_VALUES = 1 << 22  # at most
WELL_CONDITIONED = 1e4  # at most, of columns of length 1: then A' A loses half of the digits, and no more


class Multiplied:
    """A x - y, of a matrix that is sparse or a LinearOperator."""

    first_damping, most_damping = 1.0, 1.0

    def __init__(self, A, y, sample_weight):
        self.A, self.data, self.y, self.sample_weight = A, y, y, sample_weight
        self.loss, self.scale = LINEAR, 1.0
        self._last = None, None
        chosen = y != 0 if sample_weight is None else (y != 0) & (sample_weight > 0)
        v = None if sample_weight is None else sample_weight[chosen]
        self.size = median(np.abs(y[chosen]), v) if chosen.any() else 0.0  # of most data that are not 0

    def clip(self, limit):
        """Cuts data off at a size: far beyond the fit a residual acts by its sign alone, and digits of the others are not lost."""
        clipped = np.abs(self.data).max() > limit
        if clipped or self.y is not self.data:
            self.y, self._last = np.clip(self.data, -limit, limit) if clipped else self.data, (None, None)

    def reaches(self, x, limit, scale):
        """Whether A x comes to within the scale of a limit at which data were cut off."""
        far = np.abs(self.data) > limit
        return bool(far.any() and (np.abs(self._mv(x)[far]) + scale > limit).any())

    def exact(self, x, deviation):
        """Whether residuals of such a deviation are round-off."""
        if deviation > NEARLY * self.size:
            return False  # without a product more
        if deviation <= ROUND_OFF * self.size:
            return True
        return deviation <= median(self.round_off(x), self.sample_weight)

    def vanishes(self, x):
        """Whether A x is little beside the data that are not 0, which are few."""
        few = median(np.abs(self.y), self.sample_weight) == 0
        return few and bool(np.abs(self.residual(x) + self.y).max() <= NEARLY * self.size)

    def round_off(self, x):
        """That of the residuals."""
        return ROUND_OFF * (row_sizes(self.A, x) + np.abs(self.y))

    def at(self, x):
        return Point(x, self.residual(x), self.loss, self.scale, self.sample_weight)

    def least_squares(self):
        """The x of plain least squares, of the least norm where there are several."""
        start = Point(np.zeros(self.A.shape[1]), -self.y, LINEAR, 1.0, self.sample_weight)
        return start.x + self.linearize(start).step(0.0)[0]

    def sample(self):
        """A smaller problem whose fit is near, or None."""
        return None

    def residual(self, x):
        if self._last[0] is not x:
            r = self._mv(x)
            self._last = x, np.subtract(r, self.y, out=r)
        return self._last[1]

    def _mv(self, x):
        return product(self.A, x, "A").copy()

    def linearize(self, point):
        return ReweightedProducts(self.A, point, self.columns, EPS, "A", self.columns)

    @cached_property
    def columns(self):
        return column_lengths(self.A, np.ones(len(self.y)) if self.sample_weight is None else np.sqrt(self.sample_weight), "A")

    def basis(self):
        """A basis for x in which the columns of A have length 1."""
        from scipy.sparse import diags_array

        return diags_array(1 / np.where(self.columns > 0, self.columns, 1))

    def rows(self, chosen):
        """Those rows of A, as an array."""
        if hasattr(self.A, "tocsr"):
            return self.A[chosen].toarray().astype(np.float64)
        rows = np.empty((len(chosen), self.A.shape[1]))
        unit = np.zeros(self.A.shape[0])
        for i, row in zip(chosen, rows, strict=True):
            unit[i] = 1
            row[:] = self.tmv(unit)
            unit[i] = 0
        return rows

    def tmv(self, u):
        return transposed_product(self.A, u, "A")

    def angle(self, g, psi):
        return cosine(g, self.columns, psi)


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
        products = 0.0
        with np.errstate(over="ignore", invalid="ignore"):
            for rows in self.blocks:
                block = self._block(rows)
                products += matmul(block.T, block)
        self._set_columns(np.sqrt(products.diagonal()))
        scale = np.where(self.columns > 0, self.columns, 1)
        values, vectors = np.linalg.eigh(products / scale / scale[:, None])
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
        if not 1 / LARGEST < lengths.max() < LARGEST:
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

    def sample(self):
        m, n = self.A.shape
        v = self.sample_weight
        some = slice(None, None, max(SAMPLED, m * n // SAMPLE_VALUES))
        if m < SAMPLED * ENOUGH * n or (v is not None and not v[some].any()):
            return None
        return Rows(np.array(self.A[some], np.float64), self.y[some], v if v is None else v[some])

    def basis(self):
        return self.B

    def rows(self, chosen):
        return np.asarray(self.A[chosen], np.float64)

    def linearize(self, point):
        return Reweighted(self, point)

    def second_derivative(self, D):
        """Q' D Q, D at most 1."""
        direct = 2 * np.count_nonzero(D != 1) > len(D)  # else from I, by the few rows with D != 1
        E = D if direct else 1 - D
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
        return total if direct else np.eye(len(total)) - total


class Reweighted:
    """The model of `Rows` at a point: between Newton's, at damping 0, and that of iteratively reweighted least squares, at 1 and
    more, whose steps never raise the cost of a loss that is concave in r^2, as all are here."""

    def __init__(self, problem, point):
        self.problem, self.point = problem, point
        g, psi = problem.tmv(point.weighted(point.psi)), point.root_weighted(point.psi)
        self.g = problem.B.T @ g
        self.cosine = problem.angle(g, psi)
        self.stationarity = cosine(np.linalg.norm(self.g, keepdims=True), 1.0, psi)

    def round_off(self):
        return self.problem.round_off(self.point.x)

    def step(self, damping):
        H = self.problem.second_derivative(between(self.point.curvature, self.point.w, damping))
        if damping < 1:
            try:
                np.linalg.cholesky(H)
                c = np.linalg.solve(H, -self.g)
            except np.linalg.LinAlgError:  # Newton's model has no minimum
                return self.step(1.0)
        else:
            c = np.linalg.lstsq(H, -self.g, rcond=None)[0]
        return self.problem.B @ c, -0.5 * float(self.g @ c)


class ReweightedProducts(Products):
    """The same of `Multiplied`: Newton's model, where it has a minimum, else with Triggs' curvature, at damping 0."""

    def step(self, damping):
        point = self.point
        C = between(point.curvature, point.w, damping)
        step = self._newton(point.weighted(C)) if C.min() < 0 else None
        return step or self.solve(between(floored(point), point.w, damping), 0.0)

    def _newton(self, C):
        """The step of the model whose curvature is C; None where that has no minimum, or none that is found in time."""
        d, Hd, found = by_conjugate_gradients(lambda v: self._tmv(C * self._mv(v)), -self.g)
        return (d / self.lengths, -float(self.g @ d) - 0.5 * float(d @ Hd)) if found else None


def median(values, sample_weight=None):
    """sample_weight (m,) : how often each counts."""
    if sample_weight is None:
        return float(np.median(values))
    order = np.argsort(values)
    below = np.cumsum(sample_weight[order])
    middle = [order[np.searchsorted(below, 0.5 * below[-1], side)] for side in ("left", "right")]
    return float(values[middle].mean())


def between(curvature, w, damping):
    share = min(damping, 1.0)
    return w if share == 1 else (1 - share) * curvature + share * w


def least_absolute(problem, x, tol):
    """(x, psi, stationarity, linear programs solved) of the least sum of v |A x - y|, from an x near it.

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
            zeros = ROUND_OFF * (np.abs(r + problem.y) + np.abs(problem.y)) + ROUND_OFF * problem.size
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
