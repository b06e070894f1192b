"""Nonlinear least squares by Levenberg and Marquardt's method: THE driver, for plain squares and for robust losses.

    F(x) = 1/2 sum_i s^2 rho((r_i(x) / s)^2)

A step d minimises a quadratic model of F at x plus damping / 2 |D d|^2; the gain is how much of the decrease that the model
predicts comes true, and the damping follows from the gain (Nielsen, "Damping parameter in Marquardt's method", 1999). The
gradient J' psi, psi = w r, is exact; the second derivative is J' C J with C = max(curvature, FLOOR w): Triggs' correction for
robust losses (Triggs et al., "Bundle adjustment: a modern synthesis", 1999, 4.3), with a floor where the loss is not convex.

`minimize` knows a problem by `at` and `linearize`, and its quadratic model by `stationarity`, `cosine` and `step`. The models here:
`Factored` for a Jacobian that is an array, `Products` for one that is sparse or only multiplies vectors (JacMV and JacTMV).
"""

import math
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from . import _check

FLOOR = 0.01  # of the curvature, in weights: a step by such a model leaves about a hundredth of the error
FAILURES = 10  # in a row, after which no step lowers the cost: damping has grown by 2^55
FORCING = 1e-4  # how much of the gradient an inner iteration may leave, relative to it
POWERS = 5  # of the power method
PROBES = 8  # products from which an operator's columns are estimated: their lengths are off by 25 % on average
BLOCK_VALUES = 1 << 15  # of rows that are factored together, which stay in cache: 2^13 to 2^16 took as long for 1e5 x 20
UNITS = 64  # in the last place, of what is round-off of a sum at most
UNITS_AT_ONCE = 4  # of many sums together
ROUND_OFF = UNITS * np.finfo(np.float64).eps  # of a cost: no smaller change can be seen
LARGEST = 1e150  # and the inverse of the smallest: float64 holds their squares
ATTAINABLE = 1e-10  # the cosine in spite of round-off
VANISHED = 1e-6  # psi, in scales, of residuals of which round-off alone is left
STOPPED = "stopped by callback"
SHRINK = 1e-3, 1 / 3  # of damping, what is left at least where predictions come true: while they become smaller, and else
NOISE = 1e-9  # of a cost: a rise that may be the residuals' round-off, so that the gradient is asked, too


class Iteration(NamedTuple):
    """One iteration of a minimisation.

    Parameters
    ----------
    cost, stationarity : float
        Where the iteration ended.
    damping : float
        That of its step.
    gain : float
        Share of the predicted decrease that came true; NaN where round-off hides it.

    See Also
    --------
    fastlec.gauss_newton, fastlec.robust_fit

    Examples
    --------
    >>> from fastlec._least_squares import Iteration
    >>> Iteration(cost=0.5, stationarity=1e-3, damping=1e-6, gain=0.9)
    Iteration(cost=0.5, stationarity=0.001, damping=1e-06, gain=0.9)
    """

    cost: float
    stationarity: float
    damping: float
    gain: float


@dataclass(eq=False)
class Minimum:
    """Where a minimisation ended, or has come to: the best point so far and its model."""

    point: object
    model: object
    damping: float  # of the next step
    history: list = field(default_factory=list)
    converged: bool = False
    reason: str = "interrupted"

    @property
    def x(self):
        return self.point.x

    @property
    def cost(self):
        return self.point.cost

    @property
    def message(self):
        judged = "converged" if self.converged else "not converged"
        return f"{len(self.history)} iterations, {judged}: {self.reason}"


def minimize(problem, x, *, tol, max_iter, damping=0.0, callback=None, history=()):
    """Goes from x to where the problem's cost is stationary; a `Minimum`.

    problem : has at(x) -> point, linearize(point) -> model, and first_damping and most_damping, between which is what follows a
    step that fails. A point has x and cost; size, vanishes and is_round_off, as `Point` has them; measure, how the cosine is told;
    and round_off and noise, the changes of the cost relative to it that cannot be seen, or may be round-off where it rises. A model
    has stationarity and cosine, numbers without units that vanish with the gradient, and step(damping) -> (d, the decrease of the
    cost that it predicts).
    tol : of the stationarity; where no step makes it smaller, the cosine may be up to 1e-10, or what the round-off of the residuals
    makes of it. damping : of the first step.
    history : the iterations before, which count for max_iter.
    callback(iteration, x, cost) follows each iteration; StopIteration ends the minimisation. Any other exception, of whatever is
    called, has the best state so far as ``error.minimum``.
    """
    point = problem.at(x)
    if not math.isfinite(point.cost):
        raise ValueError(f"the cost at the start is {point.cost}; expected residuals whose squares float64 holds")
    at, failures = Minimum(point, problem.linearize(point), damping, list(history)), 0
    at_start, promised = point.size, 0.0
    try:
        while not at.model.stationarity <= tol and len(at.history) < max_iter and failures < FAILURES:
            d, predicted = at.model.step(at.damping)
            point, used, before = problem.at(at.point.x + d), at.damping, at.point.cost
            resolved = predicted > point.round_off * before
            gain = (before - point.cost) / predicted if resolved else math.nan
            accepted = gain > 0
            if accepted or point.cost <= (1 + point.noise) * before:
                model = problem.linearize(point)
                accepted = accepted or model.stationarity < (0.5 if resolved else 1) * at.model.stationarity
            if accepted:
                at.point, at.model = point, model
                if gain > 0:
                    least = min(max(math.sqrt(predicted / (promised or predicted)), SHRINK[0]), SHRINK[1])
                    at.damping *= max(least, 1 - (2 * gain - 1) ** 3)
                    promised = predicted
                else:
                    at.damping *= 0.1
                failures = 0
            else:
                failures = failures + 1 if at.damping < problem.most_damping else FAILURES
                at.damping = min(max(at.damping * 2.0**failures, problem.first_damping), problem.most_damping)
            at.history.append(Iteration(at.point.cost, at.model.cosine, used, gain))
            if callback:
                callback(len(at.history), at.point.x.copy(), at.point.cost)
    except StopIteration:
        at.reason = STOPPED
        return at
    except BaseException as error:
        with suppress(Exception):  # there are exceptions that take no attributes
            error.minimum = at
        raise
    lower = failures < FAILURES
    vanished = not lower and at.point.vanishes(tol * at_start)
    at.converged = vanished or bool(at.model.stationarity <= tol or (not lower and at.model.cosine <= max(tol, ATTAINABLE)))
    at.reason = "the residuals vanish" if vanished else at.point.measure.format(at.model.cosine)
    if not lower and not at.converged:
        at.converged = at.point.is_round_off(at.model)
        at.reason += ", the round-off of the residuals" if at.converged else "; no step lowers the cost any more"
    return at


class Point:
    """x with its residuals r, and of each of these the weight w and the curvature of the loss; the cost, and psi = w r.

    loss : a row of `_robust_losses.LOSSES`. scale : its s. sample_weight : (m,) or None.
    """

    measure, round_off, noise = "stationarity {:.1e}", ROUND_OFF, NOISE

    def __init__(self, x, r, loss, scale, sample_weight=None):
        self.x, self.r, self.scale, self.sample_weight = x, r, scale, sample_weight
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is judged where it is used
            rho, self.w, self.curvature = loss.terms(np.abs(r) / scale)
            self.cost = 0.5 * scale**2 * float((rho if sample_weight is None else sample_weight * rho).sum())

    @property
    def psi(self):
        return self.w * self.r

    @property
    def size(self):
        """The largest residual's."""
        return np.abs(self.r).max()

    def vanishes(self, limit):
        """Whether nothing is left to fit: a limit of the residuals, or less."""
        return bool(np.abs(self.psi).max() <= min(limit, VANISHED * self.scale))

    def is_round_off(self, model):
        """Whether what the gradient is made of is the round-off of the residuals, which the model tells."""
        noise = UNITS_AT_ONCE / UNITS * np.linalg.norm(self.root_weighted(self.w * model.round_off()))
        return bool(model.cosine * np.linalg.norm(self.root_weighted(self.psi)) <= noise)

    def weighted(self, values):
        """Times the sample weights."""
        return values if self.sample_weight is None else self.sample_weight * values

    def root_weighted(self, values):
        return values if self.sample_weight is None else np.sqrt(self.sample_weight) * values


class Problem:
    """A residual and its Jacobian as functions. jac(x) : an array (m, n), sparse matrix or LinearOperator."""

    first_damping, most_damping = 1e-6, np.inf
    names = "residual", "jac", "x"  # of the functions, and of what they are functions of, for messages

    def __init__(self, residual, jac, dtype, loss, scale=1.0):
        self.residual, self.jac, self.dtype = residual, jac, dtype
        self.loss, self.scale, self.sample_weight = loss, scale, None
        self.m, self._r, self._J = None, (None, None), (None, None)  # and the x of the last r and J, for another scale or loss

    def at(self, x):
        if self._r[0] is not x:
            self._r = x, self._residual(x)
        return Point(x, self._r[1], self.loss, self.scale, self.sample_weight)

    def _residual(self, x):
        function, _, of = self.names
        name = f"{function}({of})"
        r = _check.as_array(self.residual(x.astype(self.dtype)), name)
        _check.float_dtype(r.dtype, name)
        if r.ndim != 1 or not r.size:
            raise ValueError(f"{name} has shape {r.shape}; expected (m,), m at least 1")
        if self.m is None:
            self.m = len(r)
            _check.finite(r, f"{function}({of}0)")
        return _check.shape(r, name, (self.m,), f", as at {of}0").astype(np.float64)

    def linearize(self, point):
        J, eps = self._jacobian(point), np.finfo(self.dtype).eps
        if isinstance(J, np.ndarray):
            return Factored(J, point, eps)
        columns = column_lengths(J, point.root_weighted(np.ones(self.m)), "jac(x)")
        squares_fit(columns, "jac(x)")
        return Products(J, point, columns, eps, "jac(x)", columns if hasattr(J, "tocsr") else np.ones(len(point.x)))

    def _jacobian(self, point):
        if self._J[0] is not point.x:
            residual, jac, of = self.names
            J = matrix_or_operator(self.jac(point.x.astype(self.dtype)), f"{jac}({of})")
            to_match = f" to match {residual}({of}) and {of}"
            self._J = point.x, _check.shape(J, f"{jac}({of})", (len(point.r), len(point.x)), to_match)
        return self._J[1]


def matrix_or_operator(A, name):
    """A as a 2-D ndarray, or a sparse matrix (by rows) or LinearOperator; of a dtype that computes, and finite if seen."""
    operator, sparse = hasattr(A, "matvec") and hasattr(A, "rmatvec"), hasattr(A, "tocsr")
    if not operator and not sparse:
        A = _check.as_array(A, name)
    if len(A.shape) != 2 or 0 in A.shape:
        raise ValueError(f"{name} has shape {A.shape}; expected (m, n), neither of them 0")
    _check.float_dtype(np.dtype(A.dtype), name)
    if sparse:
        A = A.tocsr()
        _check.finite(A.data, f"{name}.data")
    elif not operator:
        _check.finite(A, name)
    return A


def squares_fit(a, name):
    """ValueError unless float64 holds the squares of the largest values of an array."""
    largest = max(abs(float(a.max(initial=0))), abs(float(a.min(initial=0))))
    if largest > LARGEST or 0 < largest < 1 / LARGEST:
        raise ValueError(f"{name} is too {'small' if largest < 1 else 'large'}: float64 does not hold its squares")
    return a


def product(J, v, name):
    """J v as float64, of a sparse matrix or of an operator, which may do anything."""
    found = J @ v
    if np.iscomplexobj(found):
        raise TypeError(f"{name} times a vector has dtype {found.dtype}; expected real numbers")
    found = np.asarray(found, np.float64)
    if not np.isfinite(found).all():
        raise ValueError(f"{name} times a vector of finite numbers is not finite; expected finite numbers")
    return found


def transposed_product(J, u, name):
    try:
        return product(J.T, u, name)
    except NotImplementedError:
        raise TypeError(f"{name} has no rmatvec; expected an operator with both products, matvec and rmatvec") from None


def row_sizes(J, x):
    """|J| |x|: how large the parts are that J x is the sum of; of an operator |J x|, which may be less."""
    if hasattr(J, "tocsr"):
        return abs(J.astype(np.float64)) @ np.abs(x)
    if isinstance(J, np.ndarray):
        return np.concatenate([np.abs(np.asarray(J[rows], np.float64)) @ np.abs(x) for rows in row_blocks(*J.shape)])
    return np.abs(J @ x)


def row_blocks(m, n):
    """Slices of m rows of n values that stay in cache; at least 2 n rows, so that factoring them by blocks costs little more."""
    step = max(BLOCK_VALUES // n, 2 * n)
    return [slice(first, first + step) for first in range(0, m, step)]


def triangle(rows, n):
    """The factor R, (at most n, n), of the matrix whose blocks of rows, arrays (k, n), `rows` goes over: without a copy of the
    matrix, and without squaring its condition."""
    R = np.empty((0, n))
    for block in rows:
        R = np.linalg.qr(np.concatenate([R, block]), mode="r")
    return R


def floored(point):
    """The curvature C of the model at a point."""
    return np.maximum(point.curvature, FLOOR * point.w)


def cosine(g, columns, psi):
    """The largest cosine of the angle between psi and a column, g their products: MINPACK's measure of convergence."""
    largest = float(np.abs(psi).max()) or 1.0
    size = largest * math.sqrt(np.square(psi / largest).sum())  # not by BLAS, whose sums depend on its threads
    seen = (g != 0) & (columns != 0)
    return float(np.max(np.divide(np.abs(g), columns, out=np.zeros_like(g), where=seen), initial=0.0) / (size or 1.0))


def column_lengths(J, root, name):
    """Of diag(root) J, a sparse matrix; of an operator estimates, from its transposed products with random vectors."""
    if hasattr(J, "tocsr"):
        with np.errstate(over="ignore"):
            return np.sqrt(J.power(2, dtype=np.float64).T @ root**2)
    rng = np.random.default_rng(0)
    with np.errstate(over="ignore"):
        return np.sqrt(
            sum(transposed_product(J, root * rng.standard_normal(len(root)), name) ** 2 for _ in range(PROBES)) / PROBES
        )


def operator_norm(J):
    """The largest singular value, by the power method: rarely below half of it, never above."""
    v = np.random.default_rng(0).standard_normal(J.shape[1])
    for _ in range(POWERS):
        v /= np.linalg.norm(v) or 1.0
        u = np.asarray(J @ v, np.float64)
        v = np.asarray(J.T @ u, np.float64)
    return float(np.linalg.norm(u))


def by_lsmr(A, b, damping, norm, g):
    """argmin |A x - b|^2 + damping |x|^2 by LSMR, until A' (b - A x) - damping x is FORCING |g|; norm : of A, about."""
    from scipy.sparse.linalg import lsmr

    atol = FORCING * np.linalg.norm(g) / (norm * np.linalg.norm(b))
    return lsmr(A, b, damp=math.sqrt(damping), atol=atol, btol=0, conlim=0, maxiter=max(4 * min(A.shape), 100))[0]


def by_conjugate_gradients(mv, b):
    """(x, mv(x), whether mv(x) is b up to FORCING): not where mv is seen not to be positive definite, or it takes too long."""
    x, left = np.zeros_like(b), b
    along, size = left, float(left @ left)
    end, Bx = FORCING**2 * size, np.zeros_like(x)
    for _ in range(max(4 * len(x), 100)):
        if size <= end:
            return x, Bx, True
        B_along = mv(along)
        bend = float(along @ B_along)
        if not bend > 0:
            break
        share = size / bend
        x, Bx = x + share * along, Bx + share * B_along
        left = left - share * B_along
        size, before = float(left @ left), size
        along = left + size / before * along
    return x, Bx, False


def start_vector(x0, name, n=None):
    """x0 as a finite vector of float32 or float64, of n entries."""
    x0 = _check.as_array(x0, name)
    dtype = _check.float_dtype(x0.dtype, name)
    if x0.ndim != 1 or not x0.size or n not in (None, x0.size):
        raise ValueError(f"{name} has shape {x0.shape}; expected ({'n' if n is None else n},)")
    _check.finite(x0, name)
    return x0.astype(dtype)


class Factored:
    """The model of a Jacobian that is an array, by its triangular factor: J in units in which its columns have length 1."""

    def __init__(self, J, point, eps):
        self.J, self.point, self.eps = J, point, eps
        n = J.shape[1]
        force, root = point.weighted(point.psi), point.root_weighted(floored(point) ** 0.5)
        counts = np.ones(len(root)) if point.sample_weight is None else point.sample_weight
        self.g, squares = np.zeros(n), np.zeros(n)

        def scaled():
            for rows in row_blocks(*J.shape):
                block = np.asarray(J[rows], np.float64)
                self.g += force[rows] @ block
                squares[:] += np.einsum("ij,ij,i->j", block, block, counts[rows])
                yield root[rows, None] * block

        with np.errstate(over="ignore", invalid="ignore"):
            R = triangle(scaled(), n)
        if not 1 / LARGEST < squares.max() < LARGEST:
            squares_fit(J, "jac(x)")
        self.cosine = self.stationarity = cosine(self.g, np.sqrt(squares), point.root_weighted(point.psi))
        lengths = np.linalg.norm(R, axis=0)
        self.lengths = np.where(lengths > 0, lengths, 1)
        _, self.S, self.Vt = np.linalg.svd(R / self.lengths, full_matrices=False)
        self.rank = int((self.S[0] * max(J.shape) * np.finfo(np.float64).eps < self.S).sum())

    def round_off(self):
        """Of the residuals, taken for sums of the parts of J x and data about as large."""
        return UNITS * self.eps * (row_sizes(self.J, self.point.x) + np.abs(self.point.r))

    def step(self, damping):
        k = self.rank
        a, squares = self.Vt[:k] @ (self.g / self.lengths), self.S[:k] ** 2 + damping
        c = a / squares
        return -(self.Vt[:k].T @ c) / self.lengths, 0.5 * float(a @ c + damping * c @ c)


class Products:
    """The model of a Jacobian that is known by its products, whose steps LSMR finds (Fong and Saunders, 2011).

    columns : the `column_lengths` of diag(sqrt(v)) J. lengths : what steps take these for; damping, that of an operator as it is,
    lest its columns that almost vanish have long steps. name : the Jacobian's, for messages.
    """

    def __init__(self, J, point, columns, eps, name, lengths):
        self.J, self.point, self.eps, self.name = J, point, eps, name
        self.lengths = np.where(lengths > 0, lengths, 1)
        g = transposed_product(J, point.weighted(point.psi), name)
        self.cosine = self.stationarity = cosine(g, columns, point.root_weighted(point.psi))
        self.g = g / self.lengths

    def _mv(self, v):
        return product(self.J, v / self.lengths, self.name)

    def _tmv(self, u):
        return transposed_product(self.J, u, self.name) / self.lengths

    round_off = Factored.round_off

    def step(self, damping):
        return self.solve(floored(self.point), damping)

    def solve(self, C, damping):
        """The step of the model whose curvature is C."""
        if not self.g.any():
            return np.zeros(self.J.shape[1]), 0.0
        from scipy.sparse.linalg import LinearOperator

        point, root = self.point, self.point.root_weighted(np.sqrt(C))
        target = -point.root_weighted(np.divide(point.psi, np.sqrt(C), out=np.zeros_like(C), where=C > 0))
        scaled = LinearOperator(
            self.J.shape,
            matvec=lambda v: root * self._mv(np.ravel(v)),
            rmatvec=lambda u: self._tmv(root * np.ravel(u)),
            dtype=np.float64,
        )
        norm = operator_norm(scaled)
        d = by_lsmr(scaled, target, damping * norm**2, norm, self.g)
        Jd = scaled.matvec(d)
        return d / self.lengths, -float(self.g @ d) - 0.5 * float(Jd @ Jd)
