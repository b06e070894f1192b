"""Robust statistics in least squares problems: fits that outliers do not carry away (lecture, contents 4).

    F(x) = 1/2 sum_i v_i s^2 rho((r_i / s)^2),   r = A x - y   or   r = residual(x)

with v the sample weights, s the scale and rho the loss: "huber", min(z, 2 sqrt(z) - 1); "cauchy", log(1 + z); "tukey",
(1 - (1 - min(z, 1))^3) / 3. For "l1" F is sum_i v_i |r_i|.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from . import _check
from ._least_squares import (
    ATTAINABLE,
    ROUND_OFF,
    STOPPED,
    Iteration,
    Minimum,
    Problem,
    matrix_or_operator,
    minimize,
    squares_fit,
    start_vector,
)
from ._robust_linear import Multiplied, Rows, least_absolute, median
from ._robust_losses import LOSSES

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

    from ._typing import FloatArray

__all__ = ["RobustFit", "mad", "robust_fit", "robust_lstsq"]


def __dir__() -> list[str]:
    return __all__


HUBER = LOSSES["huber"]
MAD_TO_DEVIATION = 1.4826  # of Gaussian noise
SETTLED = 1e-6  # relative change of the scale between iterations at which it is kept
MOST_SCALES = 200  # iterations of the scale
LEAST_SCALE = 1e-50  # and the inverse of the largest: float64 holds their fourth powers, and more
LEAST_TUNING = 1e-6  # and the inverse of the largest
MOST_DAMPING = 1e50
NEAR_ZERO = 16  # round-offs, of residuals that no step makes smaller
ROUGH = 1e-2  # stationarity of a fit from which another begins, and change of its scale
SMALL_GAP = 0.2  # of log(deviation) and log(scale), from which secant steps are taken
STEEP = -2.0, -0.05  # slopes of log(deviation / scale) by log(scale) that a secant step believes
FAR = 1e6  # sizes of the data: what is further is an outlier, unless the fit goes there
TOL = {"float32": 1e-4, "float64": 1e-12}


class Matrix(Protocol):
    """A scipy.sparse matrix, LinearOperator or the like."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> Any: ...
    def __matmul__(self, other: Any, /) -> Any: ...


@dataclass(eq=False)
class RobustFit:
    """What a robust fit has found.

    Parameters
    ----------
    x : ndarray, shape (n,)
        The solution.
    weights : ndarray, shape (m,)
        Of the least-squares problem that `x` solves as well, without the sample weights: from 0 to 1. For "l1" they are
        scale / abs(r), which may be larger.
    psi : ndarray, shape (m,)
        The derivative of the loss, weights times r / scale. At a solution sum_i v_i psi_i dr_i/dx is 0. For "l1" it is the sign of
        r, or where r is 0 a number from -1 to 1.
    scale : float
        What the residuals were divided by. Given as an argument it leads to the same fit.
    cost : float
        F(x).
    stationarity : float
        How nearly the sum above is 0: the largest cosine of the angle between psi and a column of dr/dx, both times sqrt(v). Of a
        LinearOperator the columns' lengths are estimated from products with random vectors, which may be off by a quarter. Where
        columns are nearly dependent the number may be small though `x` is not yet near. Linear fits of an array are judged by an
        orthonormal basis of its columns as well.
    n_iter : int
        The number of iterations.
    converged : bool
        Whether the tolerance was reached. False, too, where the scale of "mad" has not settled, as happens with a handful of
        points, or where no residual is within the scale of "tukey".
    message : str
        How it ended, in words.
    history : list of tuple
        For each iteration once the scale stays its cost, stationarity, damping, and gain, the share of the predicted decrease that
        came true. Far outliers count in the cost of "huber" as if they were nearer.

    See Also
    --------
    fastlec.robust_lstsq, fastlec.robust_fit

    Examples
    --------
    >>> import numpy as np
    >>> import fastlec
    >>> fastlec.robust_lstsq(np.ones((5, 1)), [1.0, 2.0, 3.0, 4.0, 1000.0], loss="l1").x  # the median
    array([3.])
    """

    x: FloatArray
    weights: NDArray[np.float64] = field(repr=False)
    psi: NDArray[np.float64] = field(repr=False)
    scale: float
    cost: float
    stationarity: float
    n_iter: int
    converged: bool
    message: str
    history: list[Iteration] = field(repr=False)


def robust_lstsq(
    A: ArrayLike | Matrix,
    y: ArrayLike,
    *,
    loss: Literal["huber", "l1", "cauchy", "tukey"] = "huber",
    scale: float | Literal["mad"] = "mad",
    tuning: float | None = None,
    sample_weight: ArrayLike | None = None,
    x0: ArrayLike | None = None,
    tol: float | None = None,
    max_iter: int = 200,
    callback: Callable[[int, NDArray[np.float64], float], object] | None = None,
) -> RobustFit:
    """Linear least squares whose fit is not carried away by outliers (lecture, contents 4).

    Parameters
    ----------
    A : array_like, sparse matrix or LinearOperator, shape (m, n)
        The matrix. An array may have any layout, and is read in blocks, so that a memmap may be larger than memory. m < n and
        dependent columns are allowed: of an array x is then the one of least norm, unless `x0` is given. For an intercept append a
        column of ones.
    y : array_like, shape (m,)
        The data. Outliers may be as large as 1e300.
    loss : {"huber", "l1", "cauchy", "tukey"}, optional
        What a residual costs. "l1" is the least sum of absolute residuals. To "cauchy" far outliers matter little, to "tukey" not
        at all.
    scale : float or "mad", optional
        The residual at which the loss leaves the quadratic, SciPy's f_scale. "mad" is `tuning` times the deviation of the noise,
        1.4826 times the median of the absolute residuals.
    tuning : float, optional
        From 1e-6 to 1e6. By default 1.345 (huber), 2.385 (cauchy) or 4.685 (tukey): without outliers the fit then has 95 % of the
        efficiency of least squares. "l1" depends on neither `tuning` nor `scale`.
    sample_weight : array_like, shape (m,), optional
        Weights v >= 0. A row of weight 2 counts as two rows.
    x0 : array_like, shape (n,), optional
        The start. By default least squares; for "cauchy" and "tukey", which have several minima, the fit by "huber".
    tol : float, optional
        Of the stationarity, by default 1e-12. Where no step lowers the cost, 1e-10 will do, or the round-off of the residuals.
    max_iter : int, optional
        Of the iterations once the scale stays; before there are at most 200. The linear programs of "l1" are not counted.
    callback : callable, optional
        It is called as ``callback(iteration, x, cost)`` after each of these iterations, so never with "l1". StopIteration ends the
        fit.

    Returns
    -------
    RobustFit
        The fit: x and more. x is float32 where `A` and `y` are, else float64. All is computed in float64.

    Raises
    ------
    TypeError
        If an argument is of another type, or does not hold real numbers.
    ValueError
        If shapes do not fit, or values are not finite, too large or too small for their squares, or for x in float32.

    See Also
    --------
    robust_fit, robust.RobustFit, scipy.optimize.least_squares

    Notes
    -----
    With the residuals r = A x - y and the scale s,

        x = argmin 1/2 sum_i v_i s^2 rho((r_i / s)^2),

    where rho(z) is min(z, 2 sqrt(z) - 1) for "huber", log(1 + z) for "cauchy" and (1 - (1 - min(z, 1))^3) / 3 for "tukey". For "l1"
    it is the sum of v_i times the absolute r_i that is least.

    Steps are Newton's, or where these raise the cost those of iteratively reweighted least squares (IRLS) [1]_. One factorization
    of an array serves all. A sparse matrix or operator is only multiplied, by LSMR and conjugate gradients. "l1" ends with small
    linear programs, which look at the rows near the fit: of any A, about 4 n + m^(2/3) of them are made an array.

    With "huber" and "mad" the fit's own residuals have this scale: steps for the scale and for x take turns until the scale changes
    by less than 1e-6 of itself. With other losses the scale is that of the fit by "huber", or of `x0`, and stays. The start of a
    long array is the fit to one row in eight, or fewer. Where a fit goes through more than half of the points, to round-off, the
    scale is 0, the weights of these are 1 and all others 0.

    Any other exception of the callback, and Ctrl-C, has the best state since the scale stays as ``error.minimum``, with x, cost and
    history; before that there is none. Ctrl-C waits for the factorization or product at work, which takes seconds where A is 3000 x
    2500.

    References
    ----------
    .. [1] Holland and Welsch, "Robust regression using iteratively reweighted least-squares", 1977.

    Examples
    --------
    >>> import numpy as np
    >>> import fastlec
    >>> t = np.arange(10.0)
    >>> y = 2 * t + 1 + 0.1 * np.sin(9 * t)
    >>> y[7] = 100
    >>> A = np.stack([t, np.ones(10)], axis=1)
    >>> found = fastlec.robust_lstsq(A, y)
    >>> found.x.round(2), np.linalg.lstsq(A, y)[0].round(2)
    (array([2., 1.]), array([ 4.57, -2.08]))
    >>> int(found.weights.argmin())
    7
    """
    tuning, scale, settings = _settings(loss, (*LOSSES, "l1"), tuning, scale, tol, max_iter, callback, np.float64)
    A, y = matrix_or_operator(A, "A"), _check.as_array(y, "y")
    dtype = np.result_type(_check.float_dtype(A.dtype, "A"), _check.float_dtype(y.dtype, "y"))
    _check.shape(y, "y", A.shape[:1], f" to match A of shape {A.shape}")
    _check.finite(y, "y")
    if hasattr(A, "tocsr"):
        squares_fit(A.data, "A")
    problem = (Rows if isinstance(A, np.ndarray) else Multiplied)(A, y.astype(np.float64), _weight(sample_weight, len(y)))
    x0 = None if x0 is None else start_vector(x0, "x0", A.shape[1]).astype(np.float64)
    limit = FAR * max(problem.size, 0.0 if scale == "mad" else scale)
    history = []
    while True:
        found = _linear_fit(problem, loss, scale, tuning, x0, limit, settings | {"history": history})
        if not problem.reaches(found.x, limit, found.scale) or found.message.endswith(STOPPED):
            return _in_dtype(found, dtype, "A or y")
        limit, history = FAR * limit, found.history


def robust_fit(
    residual: Callable[[Any], ArrayLike],
    jac: Callable[[Any], ArrayLike | Matrix],
    x0: ArrayLike,
    *,
    loss: Literal["huber", "cauchy", "tukey"] = "huber",
    scale: float | Literal["mad"] = "mad",
    tuning: float | None = None,
    sample_weight: ArrayLike | None = None,
    damping: float = 1e-3,
    tol: float | None = None,
    max_iter: int = 200,
    callback: Callable[[int, NDArray[np.float64], float], object] | None = None,
) -> RobustFit:
    """Nonlinear least squares whose fit is not carried away by outliers (lecture, contents 4).

    Parameters
    ----------
    residual : callable
        ``residual(x)`` gives the residuals r (m,).
    jac : callable
        ``jac(x)`` gives their derivative (m, n): an array, which is factored, or a sparse matrix or LinearOperator, which is only
        multiplied (JacMV and JacTMV).
    x0 : array_like, shape (n,)
        The start. x comes back, and is passed to the functions, in its dtype, float32 or float64.
    loss : {"huber", "cauchy", "tukey"}, optional
        What a residual costs, as in `robust_lstsq`.
    scale : float or "mad", optional
        As in `robust_lstsq`. "mad" with "huber" goes on from where the fit was with the scale of its residuals, until that changes
        by less than 1e-6 of itself, or by round-off; with other losses until it changes by less than 1 %, and then it stays.
    tuning : float, optional
        As in `robust_lstsq`.
    sample_weight : array_like, shape (m,), optional
        As in `robust_lstsq`.
    damping : float, optional
        Of the first step, relative to the squared lengths of the Jacobian's columns, of an operator to its squared norm.
    tol : float, optional
        Of the stationarity: by default 1e-12, where `x0` is float32 1e-4.
    max_iter : int, optional
        Of all iterations together. A fit by "huber" before that by another loss has at most half of them.
    callback : callable, optional
        It is called as ``callback(iteration, x, cost)`` after each iteration. What ends the fit, and has ``error.minimum``, is as
        in `robust_lstsq`, from the first residual and Jacobian on.

    Returns
    -------
    RobustFit
        The fit: x and more.

    Raises
    ------
    TypeError
        If an argument is of another type, or does not hold real numbers.
    ValueError
        If shapes do not fit, or values at `x0` are not finite, too large or too small for their squares.

    See Also
    --------
    robust_lstsq, robust.RobustFit, gauss_newton

    Notes
    -----
    x = argmin 1/2 sum_i v_i s^2 rho((r_i(x) / s)^2), by Levenberg-Marquardt steps; `fastlec.least_squares` has the method and its
    sources. A step to where the residual is not finite is not taken, and the next is shorter. "tukey", whose gradient vanishes
    where all residuals are large, always begins with a rough fit by "huber".

    Beside residuals that are 1e10 times the scale the cost by "huber" has few digits left for the others: leave such data out, or
    the fit may not converge.

    Of a network the functions are ``f.residuals`` and ``f.jacobian`` of an `Objective`, or made from ``net.linearize(X)`` and
    ``jac.operator("theta")``.

    Examples
    --------
    >>> import numpy as np
    >>> import fastlec
    >>> t = np.linspace(0, 2, 20)
    >>> y = 3 * np.exp(-2 * t)
    >>> y[5] = 9
    >>> found = fastlec.robust_fit(
    ...     lambda x: x[0] * np.exp(-x[1] * t) - y,
    ...     lambda x: np.stack([np.exp(-x[1] * t), -x[0] * t * np.exp(-x[1] * t)], axis=1),
    ...     [1.0, 1.0],
    ...     loss="cauchy",
    ...     scale=0.1,
    ... )
    >>> found.x.round(2)
    array([3., 2.])
    """
    _check.function(residual, "residual")
    _check.function(jac, "jac")
    x = start_vector(x0, "x0")
    damping = _within(_check.non_negative(damping, "damping"), "damping", 0.0, MOST_DAMPING)
    tuning, scale, settings = _settings(loss, LOSSES, tuning, scale, tol, max_iter, callback, x.dtype)
    problem = Problem(residual, jac, x.dtype, LOSSES[loss])
    x, dtype = x.astype(np.float64), x.dtype
    start = problem.at(x)
    squares_fit(start.r, "residual(x0)")
    problem.sample_weight = _weight(sample_weight, len(start.r))
    found, settled = Minimum(start, None, damping), True
    before = settings | {"max_iter": settings["max_iter"] // 2}  # of a fit by "huber", if that is not the one wanted
    if scale == "mad":
        if loss == "huber":
            found, deviation, settled = _resettle(problem, start, tuning, damping, settings, rough=False)
        else:
            found, deviation, settled = _resettle(problem, start, HUBER.tuning, damping, before, rough=True)
        if not deviation:
            zero = median(found.model.round_off(), problem.sample_weight) if found.model else 0.0
            return _in_dtype(_exact_fit(found.point, zero, len(found.history)), dtype, "x0")
        scale = _scale(tuning, deviation, "residual(x)")
    elif loss == "tukey":
        problem.loss, problem.scale = HUBER, scale * HUBER.tuning / tuning
        found = minimize(problem, x, damping=damping, **before | {"tol": max(settings["tol"], ROUGH)})
    if loss != "huber" or not found.model:
        problem.loss, problem.scale = LOSSES[loss], scale
        if found.reason != STOPPED:
            found = minimize(problem, found.x, damping=min(damping, found.damping), history=found.history, **settings)
    return _in_dtype(_fit(found, found.point, 0, settled), dtype, "x0")


def mad(r: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
    """Standard deviation of Gaussian noise from the median of absolute residuals, 1.4826 median(abs(r)).

    Parameters
    ----------
    r : array_like, shape (m,)
        The residuals.
    sample_weight : array_like, shape (m,), optional
        How often each counts.

    Returns
    -------
    float
        The deviation.

    See Also
    --------
    fastlec.robust_lstsq

    Examples
    --------
    >>> import numpy as np
    >>> from fastlec.robust import mad
    >>> round(mad(np.random.default_rng(0).normal(scale=2, size=1000)), 1)
    2.0
    """
    return MAD_TO_DEVIATION * median(np.abs(r), sample_weight)


def _linear_fit(problem, loss, scale, tuning, x0, limit, settings):
    """The fit to data that are cut off at a limit; what it tells is of all data."""
    problem.clip(limit)
    squares_fit(problem.y, "y")
    x, scale, steps, settled = _begin(problem, loss, scale, tuning, x0, settings)
    if loss == "l1":
        return _l1_fit(problem, x, scale, steps, settings["tol"])
    if not scale:
        zero = median(problem.round_off(x), problem.sample_weight)
        problem.clip(np.inf)
        return _exact_fit(problem.at(x), zero, steps)
    problem.loss, problem.scale = LOSSES[loss], scale
    if not problem.loss.convex:
        problem.clip(np.inf)
    found = minimize(problem, x, **settings)
    problem.clip(np.inf)
    return _fit(found, problem.at(found.x), steps, settled)


def _begin(problem, loss, scale, tuning, x0, settings):
    """Where a linear fit begins: (x, its scale, the number of steps to there, whether the scale has settled)."""
    mad_wanted, convex = scale == "mad", loss == "l1" or LOSSES[loss].convex
    if x0 is not None and not convex:
        x = x0
        return x, _scale(tuning, mad(problem.residual(x), problem.sample_weight), "y") if mad_wanted else scale, 0, True
    if mad_wanted or loss == "l1":
        part = problem.sample() if x0 is None else None
        if part:
            x = _settle(part, part.least_squares(), HUBER.tuning)[0]
        else:
            x = problem.least_squares() if x0 is None else x0
        x, deviation, steps, settled = _settle(problem, x, tuning if loss == "huber" else HUBER.tuning)
        return x, _scale(tuning, deviation, "y") if mad_wanted else scale, steps, settled
    x = problem.least_squares() if x0 is None else x0
    if convex:
        return x, scale, 0, True
    problem.loss, problem.scale = HUBER, scale * HUBER.tuning / tuning
    found = minimize(problem, x, tol=ROUGH, max_iter=settings["max_iter"])
    return found.x, scale, len(found.history), True


def _scale(tuning, deviation, name):
    """Of residuals with that deviation, 0 where they are round-off; within the range of numbers that may be given."""
    scale = tuning * deviation
    if scale and not LEAST_SCALE <= scale <= 1 / LEAST_SCALE:
        size = "large" if scale > 1 else "small"
        raise ValueError(
            f"{name} is too {size}: the scale is {scale:.1e}; expected one from {LEAST_SCALE} to {1 / LEAST_SCALE}"
        )
    return scale


def _settle(problem, x, tuning):
    """The linear fit by "huber" whose scale is tuning times the deviation of its own residuals, by steps for the scale and for x in
    turns: (x, the deviation, the number of steps, whether it has settled). x is near enough for the scale, no more; the deviation
    is 0 where the fit is exact for most points."""
    problem.loss, damping, last, of_scale = HUBER, 0.0, None, False  # whether x is of the scale
    scale = deviation = mad(problem.residual(x), problem.sample_weight)
    for steps in range(MOST_SCALES):
        if problem.exact(x, deviation):
            return 0 * x if problem.vanishes(x) else x, 0.0, steps, True
        if of_scale:
            gap = math.log(deviation / scale)
            following, last = scale * math.exp(_secant(math.log(scale), gap, last)), (math.log(scale), gap)
            if abs(following - scale) <= SETTLED * scale and abs(gap) <= SETTLED:
                return x, deviation, steps, True
            scale = following
        problem.scale = tuning * scale
        point = problem.at(x)
        trial = problem.at(x + problem.linearize(point).step(damping)[0])
        if trial.cost <= point.cost * (1 + ROUND_OFF):
            x, damping, of_scale = trial.x, 0.1 * damping, True
            deviation = mad(trial.r, problem.sample_weight)
        else:  # if not even a step with damping lowers the cost, x is as good as round-off allows
            of_scale, damping = damping >= problem.first_damping, problem.first_damping
    return x, deviation, steps, False


def _secant(at, gap, last):
    """A step to where the gap is 0, from its values at two places; the gap itself where these say nothing."""
    if last and at != last[0] and abs(gap) <= SMALL_GAP:
        slope = (gap - last[1]) / (at - last[0])
        if STEEP[0] <= slope <= STEEP[1]:
            return -gap / slope
    return gap


def _resettle(problem, start, tuning, damping, settings, rough):
    """The same of a nonlinear fit, which is found anew for each scale, roughly until that is near its limit, or always: (the
    `Minimum`, the deviation whose scale it has, whether that has settled)."""
    problem.loss, tol = HUBER, max(settings["tol"], ROUGH)
    goal, change = (tol, ROUGH) if rough else (settings["tol"], SETTLED)
    found, before, zero, last = Minimum(start, None, damping), 0.0, 0.0, None
    deviation = mad(start.r, problem.sample_weight)
    while deviation and (abs(deviation - before) > max(change * before, zero) or tol > goal):
        if abs(deviation - before) <= max(ROUGH * before, zero):
            tol = goal
        if tol == goal and not rough:
            at, gap = math.log(before), math.log(deviation / before)
            deviation, last = before * math.exp(_secant(at, gap, last)), (at, gap)
        problem.scale, before = _scale(tuning, deviation, "residual(x)"), deviation
        found = minimize(
            problem, found.x, damping=min(damping, found.damping), history=found.history, **settings | {"tol": tol}
        )
        deviation, zero = mad(found.point.r, problem.sample_weight), median(found.model.round_off(), problem.sample_weight)
        if deviation <= (zero if found.model.stationarity <= tol else NEAR_ZERO * zero):
            return found, 0.0, True
        if found.reason == STOPPED or (not found.converged and len(found.history) >= settings["max_iter"]):
            return found, deviation if rough else before, False
    return found, before, found.converged or not before


def _l1_fit(problem, x, scale, steps, tol):
    x, psi, stationarity, rounds = least_absolute(problem, x, tol)
    least = max(median(problem.round_off(x), problem.sample_weight), np.finfo(np.float64).tiny)
    problem.clip(np.inf)
    sizes = np.abs(problem.residual(x))
    converged = stationarity <= max(tol, ATTAINABLE)
    programs = "1 linear program" if rounds == 1 else f"{rounds} linear programs"
    message = f"{programs}, {'' if converged else 'not '}converged: stationarity {stationarity:.1e}"
    cost = float((sizes if problem.sample_weight is None else problem.sample_weight * sizes).sum())
    weights = (scale or least) / np.maximum(sizes, least)
    return RobustFit(x, weights, psi, scale, cost, stationarity, steps + rounds, converged, message, [])


def _exact_fit(point, zero, steps):
    """Of a scale that is 0: the limit of ever smaller ones."""
    sizes = np.abs(point.r)
    on = sizes <= 8 * max(mad(point.r, point.sample_weight), zero)
    message = f"{steps} iterations, converged: the fit goes through {on.sum()} of {len(on)} points"
    return RobustFit(point.x, on.astype(float), np.zeros(len(on)), 0.0, 0.0, 0.0, steps, True, message, [])


def _fit(found, point, steps, settled):
    """Of a `Minimum` that came after so many steps for the scale; point : its x, with all data."""
    steps += len(found.history)
    converged, reason = found.converged and settled, found.reason
    if not settled:
        reason += "; the scale has not settled"
    if not point.weighted(point.w).any():
        converged, reason = False, "no residual is within the scale"
    if not math.isfinite(point.cost):
        raise ValueError("y is too large: float64 does not hold the cost")
    return RobustFit(
        x=point.x,
        weights=point.w,
        psi=point.psi / point.scale,
        scale=point.scale,
        cost=point.cost,
        stationarity=found.model.cosine,
        n_iter=steps,
        converged=converged,
        message=f"{steps} iterations, {'' if converged else 'not '}converged: {reason}",
        history=found.history,
    )


def _in_dtype(found, dtype, name):
    """The fit with x in the dtype of the answer."""
    with np.errstate(over="ignore"):
        x = found.x.astype(dtype)
    if not np.isfinite(x).all():
        raise ValueError(f"x is up to {np.abs(found.x).max():.1e}, which {dtype} does not hold; expected {name} in float64")
    found.x = x
    return found


def _settings(loss, losses, tuning, scale, tol, max_iter, callback, dtype):
    """tuning, scale and the settings of `minimize`, checked."""
    _check.choice(loss, losses, "loss")
    default = LOSSES[loss].tuning if loss in LOSSES else 1.0
    tuning = default if tuning is None else _number(tuning, "tuning", LEAST_TUNING)
    if isinstance(scale, str):
        if scale != "mad":
            raise ValueError(f'scale is {_check.shown(scale)}; expected "mad" or a number > 0')
    else:
        scale = _number(scale, "scale", LEAST_SCALE)
    if callback is not None:
        _check.function(callback, "callback")
    return (
        tuning,
        scale,
        {
            "tol": TOL[np.dtype(dtype).name] if tol is None else _check.non_negative(tol, "tol"),
            "max_iter": _check.count(max_iter, "max_iter", 0),
            "callback": callback,
        },
    )


def _number(value, name, least):
    """From least to 1 / least."""
    if isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} is {value}; expected a number")
    return _within(_check.positive(value, name), name, least, 1 / least)


def _within(value, name, least, most):
    if not least <= value <= most:
        raise ValueError(f"{name} is {value}; expected a number from {least:g} to {most:g}")
    return value


def _weight(sample_weight, m):
    """The sample weights as float64 (m,), or None."""
    if sample_weight is None:
        return None
    _check.weights(sample_weight, m)
    return np.array(sample_weight, np.float64)
