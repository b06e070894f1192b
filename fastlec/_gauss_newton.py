"""Gauss-Newton and Levenberg-Marquardt steps for the loss of a network, or for any residual, on the iteration of `least_squares`.

    F(theta) = loss(f(theta, X), y) + l2/2 |weights|^2,   or   F(theta) = 1/2 |r(theta)|^2

At theta F is taken for F + g' d + 1/2 d' B d: g its gradient, B = J' H J + l2 for the weights, J the network's Jacobian and H the
Hessian of the loss by the output, or B = J' J. With H = S S' for each sample, a loss is a sum of squares, too: its Jacobian is
A = S' J, with B = A' A, and its residuals are the r with S r = the gradient by the output (Schraudolph, "Fast curvature
matrix-vector products for second-order gradient descent", 2002).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from . import _check
from ._damped_systems import SOLVERS, Cg, Dense, largest, marked, system_of
from ._least_squares import (
    LARGEST,
    NOISE,
    UNITS,
    Iteration,
    Minimum,
    Problem,
    minimize,
    squares_fit,
    start_vector,
    transposed_product,
)
from ._loss_as_squares import STEP, Curvature, second_along
from ._robust_losses import LINEAR
from ._stream import parts
from .layers._factors import PASS, gram_saves, normal_matrix, normal_saves
from .layers._factors import gram as factored_gram
from .training import Objective

if TYPE_CHECKING:
    from typing import Literal

    from scipy.optimize import Bounds

    from ._typing import ArrayLike, FloatArray, NDArray
    from .training.penalties import Linear

_Product: TypeAlias = Callable[[Any], Any]

TOL = {"float32": 1e-4, "float64": 1e-8}
DAMPING = 1e-3  # of the first step, relative to the largest eigenvalue of B
MOST_BYTES = 1 << 31  # of a matrix that is made
BLOCK_VALUES = 1 << 21  # of the rows of A that are made at once
CG_PRODUCTS = 500  # of a step by conjugate gradients, as "auto" reckons
MOST_DIRECTIONS = 1000  # of products that make a matrix of a sparse matrix or LinearOperator, for "auto"
FACES = 20  # times that parameters are found to cross a bound, in a step
BENT = 1.5  # twice the length of what is added to a step, relative to it, at most: with 0.75 as many iterations, or more


@dataclass(eq=False, repr=False)
class GaussNewtonResult:
    """What `gauss_newton` has found.

    Parameters
    ----------
    x : ndarray, shape (n,)
        The best theta.
    cost : float
        F(x).
    gradient : ndarray, shape (n,)
        Gradient of F at x.
    stationarity : float
        The gradient's largest entry relative to that at theta0; entries that point out of the bounds do not count.
    solver : str
        Which solver found the steps.
    n_iter : int
        Number of iterations.
    converged : bool
        Whether the stationarity is at most tol, or as small as round-off lets it be.
    message : str
        How it ended, and with how many residuals and parameters.
    history : list of Iteration
        A tuple for each iteration: cost and stationarity where it ended; damping, that of its step relative to the largest
        eigenvalue of the matrix at theta0, about, or with a fixed damping the s with which 1 / (1 + s) of the step was tried; and
        gain, the share of the predicted decrease that came true. Where the gain is not positive, no step was taken.

    See Also
    --------
    fastlec.gauss_newton

    Examples
    --------
    >>> import numpy as np
    >>> found = fastlec.gauss_newton(lambda x: x - [1.0, 2.0], [0.0, 0.0], jac=lambda x: np.eye(2), damping=0)
    >>> found
    <GaussNewtonResult: cost 0, 1 iterations, converged: ...; x = [1. 2.]>
    >>> found.history[-1].gain
    1.0
    """

    x: FloatArray
    cost: float
    gradient: FloatArray
    stationarity: float
    solver: str
    n_iter: int
    converged: bool
    message: str
    history: list[Iteration]

    def __repr__(self) -> str:
        with np.printoptions(threshold=20, edgeitems=3, precision=6):
            return f"<GaussNewtonResult: cost {self.cost:.6g}, {self.message}; x = {self.x}>"


def gauss_newton(
    f: Objective | Callable[[FloatArray], ArrayLike],
    theta0: ArrayLike,
    *,
    jac: Callable[[FloatArray], ArrayLike | Linear | tuple[_Product, _Product]] | None = None,
    damping: float | Literal["trust-region"] = "trust-region",
    solver: Literal["auto", "dense", "gram", "cg", "lsmr"] = "auto",
    acceleration: bool = True,
    bounds: tuple[ArrayLike, ArrayLike] | Bounds | None = None,
    tol: float | None = None,
    max_iter: int = 500,
    callback: Callable[[int, NDArray[np.float64], float], object] | None = None,
) -> GaussNewtonResult:
    """Minimise a network's loss, or a sum of squares, by damped Gauss-Newton (Levenberg-Marquardt) steps.

    A step d solves::

        (B + damping I) d = -g,   B = J' H J + l2 for the weights,   or   B = J' J

    Parameters
    ----------
    f : Objective or callable
        An `Objective` whose loss has hessian_mv: g is its gradient, J the network's Jacobian, H the Hessian of the loss by the
        output, of each sample for itself; what is not convex in H is left out. Or a residual function, f(theta) -> (m,), finite at
        theta0: then F is ``1/2 |f(theta)|^2``.
    theta0 : array_like, shape (n,)
        Start. The result comes back, and is passed to the functions, in its dtype, float32 or float64.
    jac : callable, optional
        With a residual function its derivative: jac(theta) -> an array (m, n), a SciPy sparse array, a LinearOperator, or two
        functions (mv, tmv), JacMV and JacTMV: mv(v) -> (m,), tmv(u) -> (n,).
    damping : float or "trust-region"
        By default it follows from the gain, the share of the predicted decrease that comes true. Or a number >= 0 that stays, as
        that of `Objective.gauss_newton_operator`, 0 for Gauss-Newton steps; steps that do not lower F are then shortened.
    solver : {"auto", "dense", "gram", "cg", "lsmr"}
        How a step is found, see Notes; "auto" takes the way of fewest operations, and the result says which.
    acceleration : bool
        Whether steps by "trust-region" are bent by the second derivative of the outputs, or residuals, along them: a difference
        that costs one more evaluation (Transtrum and Sethna). Networks, whose valleys are curved, then take a fraction of the
        iterations.
    bounds : tuple of array_like, or scipy.optimize.Bounds, optional
        (lower, upper), numbers or arrays (n,), between which theta stays, theta0 included. Steps are those of the parameters that
        no bound holds.
    tol : float, optional
        Converged is where the gradient's largest entry is at most tol of that at theta0; by default 1e-8, where something is
        float32 1e-4.
    max_iter : int
        Most iterations; those whose step is not taken count as well.
    callback : callable, optional
        ``callback(iteration, theta, F)`` is called after each iteration; StopIteration ends the minimisation. Any other exception,
        and Ctrl-C, has the best state so far as ``error.minimum``, with x, cost and history.

    Returns
    -------
    GaussNewtonResult
        The minimum x, its cost, and how it was found.

    Raises
    ------
    ValueError or TypeError
        An argument is not finite at theta0, or has another shape or type; the message names it.
    MemoryError
        "dense" or "gram" would make a matrix of more than 2 GiB.

    See Also
    --------
    robust_fit, Objective, fastlec.training.minimize_scipy

    Notes
    -----
    "dense" makes B and factors it (Cholesky), in about m n^2 + n^3 / 3 operations, m the number of residuals: of the network's
    outputs for all samples. "gram" factors A A', (m, m), instead, A = H^(1/2) J: for fewer residuals than parameters, and in wide
    layers, of which no J is made, for millions of these. "cg" (conjugate gradients) and "lsmr" need products with J alone, and find
    steps up to 1e-4 of the gradient. All find the same steps but for that.

    Linear systems are solved in float64. A step to where F is not finite is not taken, and the next is shorter. Damping is raised
    where the matrix is singular to round-off, which the message says. The minimum is a local one.

    References
    ----------
    Marquardt, "An algorithm for least-squares estimation of nonlinear parameters", 1963; Nielsen, "Damping parameter in Marquardt's
    method", 1999; with bounds Kanzow, Yamashita and Fukushima, "Levenberg-Marquardt methods with strong local convergence
    properties for solving nonlinear equations with convex constraints", 2004; Transtrum and Sethna, "Improvements to the
    Levenberg-Marquardt algorithm for nonlinear least-squares minimization", 2012.

    Examples
    --------
    >>> X, y = fastlec.datasets.make_blobs(100, 3)
    >>> net = fastlec.Network([fastlec.Dense(2, 8), fastlec.Dense(8, 3, "identity")], rng=0)
    >>> f = fastlec.Objective(net, fastlec.SoftmaxCrossEntropy(), X, y, l2=1e-3)
    >>> found = fastlec.gauss_newton(f, net.theta)
    >>> found.converged, found.solver, found.cost < f.value(net.theta)
    (True, 'dense', True)

    The same for the parameters of a curve, 3 exp(-2 t), from its residuals and their Jacobian:

    >>> import numpy as np
    >>> t = np.linspace(0, 2, 20)
    >>> y = 3 * np.exp(-2 * t)
    >>> found = fastlec.gauss_newton(
    ...     lambda x: x[0] * np.exp(-x[1] * t) - y,
    ...     [1.0, 1.0],
    ...     jac=lambda x: np.stack([np.exp(-x[1] * t), -x[0] * t * np.exp(-x[1] * t)], axis=1),
    ... )
    >>> found.x.round(6)
    array([3., 2.])
    """
    _check.choice(solver, ("auto", *SOLVERS), "solver")
    if isinstance(damping, str):
        _check.choice(damping, ("trust-region",), "damping")
        damping = None
    else:
        damping = _check.non_negative(damping, "damping")
    if callback is not None:
        _check.function(callback, "callback")
    max_iter = _check.count(max_iter, "max_iter", 0)
    if isinstance(f, Objective):
        if jac is not None:
            raise ValueError(f"jac is {_check.shown(jac)}; expected None, for an Objective knows its Jacobian")
        if not hasattr(f.loss, "hessian_mv"):
            raise TypeError(f"f has the loss {_check.shown(f.loss)}, which has no hessian_mv; Gauss-Newton steps need it")
        if not f.n_params:
            raise ValueError("f has a network without parameters; expected some")
        theta = start_vector(theta0, "theta0", f.n_params)
        problem = _OfObjective(f, min(f.dtype, theta.dtype, key=lambda dtype: dtype.itemsize))
    else:
        _check.function(f, "f" if jac is not None else "f, which is no Objective,")
        _check.function(jac, "jac")
        theta = start_vector(theta0, "theta0")
        problem = _OfResidual(f, jac, theta.dtype)
    problem.settle(solver, damping, _check.flag(acceleration, "acceleration") and damping is None, _bounds(bounds, theta))
    tol = TOL[problem.precision.name] if tol is None else _check.non_negative(tol, "tol")
    found = minimize(
        problem,
        theta.astype(np.float64),
        tol=tol,
        max_iter=max_iter,
        damping=DAMPING if damping is None else 0.0,
        callback=callback,
    )
    return _result(found, problem, theta.dtype)


def _result(found: Minimum, problem, dtype):
    raised = f"; {problem.raised} singular system{'s were' if problem.raised > 1 else ' was'} damped" if problem.raised else ""
    return GaussNewtonResult(
        x=found.x.astype(dtype),
        cost=found.cost,
        gradient=found.model.g.astype(dtype),
        stationarity=found.model.stationarity,
        solver=problem.solver,
        n_iter=len(found.history),
        converged=found.converged,
        message=f"{found.message}; solver {problem.solver}: {problem.m} residuals, {len(found.x)} parameters{raised}",
        history=found.history,
    )


def _bounds(bounds, theta):
    """(lower, upper), arrays in float64, or None."""
    if bounds is None:
        return None
    if hasattr(bounds, "lb") and hasattr(bounds, "ub"):  # scipy.optimize.Bounds
        bounds = bounds.lb, bounds.ub
    try:
        lower, upper = bounds
    except (TypeError, ValueError):
        raise ValueError(f"bounds is {_check.shown(bounds)}; expected (lower, upper) or None") from None
    found = []
    for name, a in (("bounds[0]", lower), ("bounds[1]", upper)):
        a = _check.as_array(a, name)
        _check.float_dtype(a.dtype, name)
        if a.shape not in ((), theta.shape):
            raise ValueError(f"{name} has shape {a.shape}; expected a number or {theta.shape} to match theta0")
        if np.isnan(a).any():
            raise ValueError(f"{name} has NaN; expected numbers, or infinity where there is no bound")
        found.append(np.broadcast_to(a.astype(theta.dtype).astype(np.float64), theta.shape))
    lower, upper = found
    wrong = np.flatnonzero(lower > upper)
    if wrong.size:
        raise ValueError(f"bounds[0] is {lower[wrong[0]]} at {wrong[0]}, above bounds[1], {upper[wrong[0]]}")
    outside = np.flatnonzero((theta < lower) | (theta > upper))
    if outside.size:
        i = outside[0]
        raise ValueError(f"theta0[{i}] is {theta[i]}; expected a number from {lower[i]} to {upper[i]}, as bounds say")
    return lower, upper


class _Point:
    """x and F there, as `minimize` takes a point."""

    measure, size = "gradient {:.1e} of its first", 0.0

    def __init__(self, x, cost, precision, r=None):
        self.x, self.cost, self.r = x, cost, r
        self.round_off = UNITS * np.finfo(precision).eps
        self.noise = max(NOISE, self.round_off)

    def vanishes(self, limit):
        return False

    def is_round_off(self, model):
        return False


class _Settled:
    """What problems of `gauss_newton` have in common: settings, the choice of a solver, and what holds from theta0 on."""

    first_damping, most_damping = 1e-6, np.inf

    def settle(self, solver, damping, accelerated, bounds):
        self.solver, self.damping, self.accelerated, self.bounds = solver, damping, accelerated, bounds
        self.first = self.unit = None  # the gradient's largest entry, and the largest eigenvalue of B, at theta0
        self.raised = 0  # systems that were singular
        if damping is not None:
            self.first_damping = 1.0  # steps are shortened instead

    def projected(self, x):
        return x if self.bounds is None else np.clip(x, *self.bounds)

    def choose(self, n, rows, direct, products):
        """Settles "auto": a factorization where there is room for it and it takes fewer operations than products. direct : whether
        there is reason for a matrix. products : the solver without."""
        by_gram, columns = self.gram_is_small(n, rows), self.columns(n)
        small = rows if by_gram else n
        operations = rows * (rows * columns if by_gram else n * n) + small**3 / 3
        made = {"dense": n * n, "gram": rows * (columns + rows)}
        if self.solver == "auto":
            factored = "gram" if by_gram else "dense"
            direct = direct and 8 * made[factored] <= MOST_BYTES
            self.solver = factored if direct and operations <= CG_PRODUCTS * self.operations(n, rows) else products
        if 8 * made.get(self.solver, 0) > MOST_BYTES:
            other = '"cg" or "lsmr"'
            raise MemoryError(f'solver is "{self.solver}", of {rows} residuals and {n} parameters more than 2 GiB; use {other}')

    def model(self, point, g, system, bend):
        """The model at a point. system(held, d) : the system for what is added to d, where held, booleans, is 0 in it; None for no
        parameter. bend(d) : of what the system solves for again, the second derivative along d; None where it is not known.
        """
        if not np.isfinite(g).all():
            raise ValueError(f"the gradient of f is not finite where its value is {point.cost}; expected finite numbers")
        held = None
        if self.bounds is not None:
            lower, upper = self.bounds
            held = ((point.x <= lower) & (g > 0)) | ((point.x >= upper) & (g < 0))
            held = held if held.any() else None
        return _Model(self, point, g, held, system, bend)


class _Model:
    """The quadratic model of F at a point, as `minimize` takes it."""

    def __init__(self, problem, point, g, held, system, bend):
        self.problem, self.point, self.g, self.held, self.of, self.bend = problem, point, g, held, system, bend
        with _quiet():
            self.system = system(held, np.zeros_like(g))
        size = float(np.abs(g if held is None else np.where(held, 0, g)).max())
        if problem.first is None:
            with _quiet():
                problem.first, problem.unit = size, (largest(self.system.mv, len(g)) if size else 0.0) or 1.0
            for value in (problem.unit, size or 1.0):
                if not 1 / LARGEST < value < LARGEST:
                    kind = "small" if value < 1 else "large"
                    raise ValueError(f"the gradient or Jacobian at theta0 is too {kind}: float64 does not hold its squares")
        self.cosine = self.stationarity = size / (problem.first or 1.0)

    def step(self, trust):
        with _quiet():
            return self._step(trust)

    def _step(self, trust):
        problem = self.problem
        wanted = trust * problem.unit if problem.damping is None else problem.damping
        d, taken = self.system.solve(wanted)
        problem.raised += taken > wanted
        if problem.bounds is not None:
            d = self._within_bounds(d, wanted)
        if problem.damping is not None:
            d = d / (1 + trust)
        predicted = -float(self.g @ d) - 0.5 * float(d @ self.system.mv(d))  # d is 0 where the system is
        if problem.accelerated and self._inside(d):
            d = self._bent(d)
        return d, predicted

    def _inside(self, d):
        """Whether no bound holds a step."""
        if self.problem.bounds is None:
            return True
        x, (lower, upper) = self.point.x + d, self.problem.bounds
        return self.held is None and bool(((lower < x) & (x < upper)).all())

    def _within_bounds(self, d, damping):
        """The step of which those parameters that would cross a bound go there, and the others do their best."""
        x, held = self.point.x, np.zeros(len(d), bool) if self.held is None else self.held
        for _ in range(FACES):
            inside = self.problem.projected(x + d) - x
            crossing = (self.problem.projected(x + d) != x + d) & ~held
            if not crossing.any():
                break
            held = held | crossing
            d = np.where(held, inside, 0.0)
            if held.all():
                break
            d = d + self.of(held, d).solve(damping)[0]
        return self.problem.projected(x + d) - x

    def _bent(self, d):
        """d, and half of what the second derivative along it makes of it, unless that is too much."""
        second = self.bend(d)
        if second is None or not np.isfinite(second).all():
            return d
        more = self.system.again(second)
        return d + 0.5 * more if 2 * np.linalg.norm(more) <= BENT * np.linalg.norm(d) else d


def _quiet():
    """A step may lead to where F is not finite: then it is not taken."""
    return np.errstate(over="ignore", invalid="ignore")


class _OfResidual(_Settled, Problem):
    """1/2 |r(theta)|^2."""

    names = "f", "jac", "theta"

    def __init__(self, residual, jac, dtype):
        super().__init__(residual, self._of(jac), dtype, LINEAR)
        self.precision = dtype

    def _of(self, jac):
        def matrix(theta):
            found = jac(theta)
            if not isinstance(found, tuple) or len(found) != 2 or not all(map(callable, found)):
                return found
            from ._operator import Operator

            mv, tmv = found
            shape = self.m, len(theta)
            return Operator(
                shape,
                np.float64,
                lambda v: _vector(mv(v), "jac(theta)[0](v)", self.m),
                lambda u: _vector(tmv(u), "jac(theta)[1](u)", len(theta)),
                name="jac(theta)",
            )

        return matrix

    def at(self, x):
        x = self.projected(x)
        r = self._residual(x)
        with _quiet():
            return _Point(x, 0.5 * float(r @ r), self.precision, r)

    def operations(self, n, rows):
        return 4 * n * rows

    def gram_is_small(self, n, rows):
        return rows < n

    def columns(self, n):
        return n

    def linearize(self, point):
        A = self._jacobian(point)
        m, n = A.shape
        array = isinstance(A, np.ndarray)
        A = A.astype(np.float64, copy=False) if array or hasattr(A, "tocsr") else A
        self.choose(n, m, array or min(m, n) <= MOST_DIRECTIONS, "cg" if array else "lsmr")
        if array:
            squares_fit(A, "jac(theta)")
        g = transposed_product(A, point.r, "jac(theta)")

        eps = np.finfo(self.dtype).eps

        def system(held, d):
            return system_of(self.solver, A, held, point.r + A @ d, None, eps)

        def bend(d):
            found = second_along(point.r, self._residual(point.x + STEP * d), A @ d, eps)
            return found if found is None or self.solver in ("gram", "lsmr") else A.T @ found

        return self.model(point, g, system, bend)


def _vector(found, name, size):
    """What a function of the user's gave, as a vector of so many real numbers."""
    found = _check.shape(_check.as_array(found, name), name, (size,))
    _check.float_dtype(found.dtype, name)
    return found


class _OfObjective(_Settled):
    """The loss of an `Objective`."""

    def __init__(self, f, precision):
        self.f, self.precision = f, precision
        self.k = math.prod(f.net.output_shape(f.X.shape[1:]))
        self.penalties = f._penalties
        self.samples = f._count()
        self.m = self.samples * self.k
        self.by_factors = None  # whether A A' and A' A are made of layers' factors; not known before the first is made

    def at(self, x):
        x = self.projected(x)
        with _quiet():
            return _Point(x, self.f.value(self._theta(x)), self.precision)

    def _theta(self, x):
        return x.astype(self.precision).astype(self.f.dtype)

    def operations(self, n, rows):
        return 8 * n * self.samples

    def gram_is_small(self, n, rows):
        return rows < n and not self.penalties and self.f._group is None

    def columns(self, n):
        """The multiplications for an entry of A A', about: the columns of A, or fewer where layers' factors take its place, which
        have no columns of parameters that a bound holds."""
        net = self.f.net
        if self.penalties or self.bounds is not None or net.couples_samples or not net._plans_second:
            return n
        return min(n, sum(sum(a.shape) + 2 * PASS if a.ndim == 2 else a.size for a in net.params.values()))

    def linearize(self, point):
        n, rows = self.f.n_params, self.m + sum(penalty.rows for penalty in self.penalties)
        if self.f._group is not None and self.solver in ("gram", "lsmr"):
            raise ValueError(f'solver is "{self.solver}", and f has a comm; expected "dense", "cg" or "auto"')
        self.choose(n, rows, True, "cg")
        theta = self._theta(point.x)
        if self.solver == "cg":
            return self._by_products(point, theta)
        if self.solver == "dense":
            return self._by_blocks(point, theta)
        return self._by_rows(point, theta)

    def _by_products(self, point, theta):
        at = self.f.at(theta)

        def mv(v):
            return at.gauss_newton_mv(v).astype(np.float64)

        g = at.gradient.astype(np.float64)

        def system(held, d):
            b = g + mv(d) if d.any() else g
            return Cg(mv, b) if held is None else Cg(lambda v: ~held * mv(~held * v), ~held * b)

        return self.model(point, g, system, lambda d: self._bend(theta, d))

    def _bend(self, theta, d):
        """J' H times the second derivative of the outputs along d."""
        d, found = d.astype(theta.dtype), None
        for jac, curvature in self._parts(theta, self.f._part):
            second = curvature.second(jac, d)
            if second is not None:
                found = (0 if found is None else found) + jac.tmv(curvature.mv(second), "theta")["theta"]
        if self.f._group is not None and self.f._group.any(found is not None):
            (found,) = self.f._joined(None, np.zeros_like(d) if found is None else found)
        return found if found is None else found.astype(np.float64)

    def _parts(self, theta, step):
        """(the Jacobian of the network for some samples, `Curvature` of the loss there), part by part."""
        f, weight = self.f, self.f.sample_weight
        net = f.net.with_theta(theta)
        for part, X in parts(f.X, step):
            output, jac = net.linearize(X)
            yield jac, Curvature(f.loss, X, output, f.y[part], None if weight is None else weight[part], len(X) / len(f.X))

    def _by_blocks(self, point, theta):
        """B and g from some rows of A at a time."""
        n = self.f.n_params
        B, g = np.zeros((n, n)), np.zeros(n)
        for jac, curvature in self._parts(theta, self._block()):
            if self._takes_factors(jac, curvature, normal_saves):
                B += normal_matrix(curvature.factors(jac), None, n)
            else:
                A = curvature.rows(jac)
                B += A.T @ A
            g += jac.tmv(curvature.gradient, "theta")["theta"]
        for penalty in self.penalties:
            B += penalty.matrix()
            g += penalty.gradient(point.x)
        B, g = self.f._joined(None, B, g, theta=theta)

        def system(held, d):
            if held is None:
                return Dense(B, g, np.finfo(self.precision).eps)
            free = ~held
            return Dense(marked(B * free * free[:, None], held), free * (g + B @ d), np.finfo(self.precision).eps)

        return self.model(point, g, system, lambda d: self._bend(theta, d))

    def _block(self):
        """The samples of which rows of A, or factors, are there at a time."""
        f = self.f
        if f.net.couples_samples:
            return f.n_samples
        return max(f._part // max(self.k, 1), 16) if self.by_factors else max(BLOCK_VALUES // max(self.k * f.n_params, 1), 1)

    def _takes_factors(self, jac, curvature, saves):
        if self.by_factors is None:
            self.by_factors = not self.f.net.couples_samples and saves(curvature.factors(jac))
        return self.by_factors

    def _by_rows(self, point, theta):
        """A and r of all samples, and what the gradient has beside."""
        f = self.f
        ((jac, curvature),) = self._parts(theta, f.n_samples)
        products = None
        if self.solver == "gram" and not self.penalties and self._takes_factors(jac, curvature, gram_saves):
            products = factored_gram(curvature.factors(jac), f.n_samples, self.k)
        A = curvature.rows(jac) if self.solver == "gram" and products is None else curvature.operator(jac)
        _, r, q = curvature.root
        q = None if q is None else jac.tmv(q, "theta")["theta"].astype(np.float64)
        g = jac.tmv(curvature.gradient, "theta")["theta"].astype(np.float64)
        for penalty in self.penalties:
            g += penalty.gradient(point.x)
            A, r = _stacked(A, penalty), np.concatenate([r, penalty.residuals(point.x)])

        rows = cache(lambda: A if products is None else curvature.rows(jac))

        def system(held, d):
            return system_of(
                self.solver, A if held is None else rows(), held, r + A @ d, q, np.finfo(self.precision).eps, products
            )

        def bend(d):
            second = curvature.second(jac, d.astype(theta.dtype))
            if second is None:
                return None
            found = np.zeros(len(r))
            found[: self.m] = curvature.transposed(second)
            return found

        return self.model(point, g, system, bend)


def _stacked(A, penalty):
    """A with the derivative of a penalty's residuals below it."""
    m, n = A.shape
    if isinstance(A, np.ndarray):
        return np.concatenate([A, np.stack([penalty.forward(unit) for unit in np.eye(n)], axis=1)])
    from ._operator import Operator

    return Operator(
        (m + penalty.rows, n),
        np.float64,
        lambda v: np.concatenate([A @ v, penalty.forward(v)]),
        lambda u: A.T @ u[:m] + penalty.transposed(u[m:]),
        name="Jacobian and penalty",
    )
