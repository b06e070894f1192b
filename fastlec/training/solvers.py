"""Minimising an objective on all samples at once, through SciPy (lecture 2.3): how far to go, and in which units."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from .. import _check
from .._stream import parts
from ..linear import SoftmaxObjective

if TYPE_CHECKING:
    from .._typing import ArrayLike, FloatArray, NDArray

METHODS = {"lbfgs": "L-BFGS-B", "newton-cg": "Newton-CG"}  # SciPy's names
TOLERANCE = {"float32": 1e-4, "float64": 1e-6}  # of a gradient relative to its start: then a training has converged


class _Differentiable(Protocol):
    def value_and_gradient(self, theta: Any, /) -> tuple[float, FloatArray]: ...


def minimize_scipy(
    objective: _Differentiable,
    theta: ArrayLike,
    solver: Literal["lbfgs", "newton-cg"],
    *,
    max_iter: int = 200,
    tol: float | None = None,
    callback: Callable[[int, NDArray[np.float64], float], object] | None = None,
) -> tuple[NDArray[np.float64], str]:
    """Minimise an objective on all samples at once by ``scipy.optimize.minimize`` (lecture 2.3).

    Parameters
    ----------
    objective : SoftmaxObjective, LogisticObjective, Objective or alike
        It has value_and_gradient(theta), and for "newton-cg" hessian_mv(theta, v). Of a `SoftmaxObjective` the solvers see the
        parameters of standardised features, so that features of any scale do.
    theta : array_like, shape (n_params,)
        Start, finite.
    solver : {"lbfgs", "newton-cg"}
        Limited-memory BFGS, or Newton's method with conjugate gradients.
    max_iter : int
        Most iterations.
    tol : float, optional
        It goes on until the gradient's largest entry, by theta and by the parameters of standardised features, is at most tol of
        what it was at the start, or is at theta = 0 if that is larger; or until no step lowers the loss. By default 1e-6, where the
        objective computes in float32 1e-4.
    callback : callable, optional
        ``callback(iteration, theta, loss)`` is called after each iteration, from 1; what it raises ends the minimisation.

    Returns
    -------
    theta : ndarray, shape (n_params,)
        The minimum, float64.
    message : str
        How it ended: "35 iterations, converged: gradient 3.2e-09 of its start".

    Raises
    ------
    ValueError
        The solver is unknown, or theta is not finite.
    FloatingPointError
        The loss is not finite; the message names the iteration.

    See Also
    --------
    fastlec.gauss_newton, fastlec.SoftmaxObjective

    References
    ----------
    Nocedal and Wright, "Numerical optimization", 2006, chapters 7 and 9.

    Examples
    --------
    >>> X, y = fastlec.data.load_digits()
    >>> f = fastlec.SoftmaxObjective(X, y, l2=1e-2)
    >>> theta, message = fastlec.training.minimize_scipy(f, [0.0] * f.n_params, "newton-cg")
    >>> " converged" in message
    True
    """
    from scipy.optimize import minimize

    method = METHODS[_check.choice(solver, METHODS, "solver")]
    max_iter = _check.count(max_iter, "max_iter", 0)
    check_callback(callback)
    iteration, ended = 0, False

    def evaluate(theta):
        with np.errstate(over="ignore", invalid="ignore"):  # what overflows is reported here, once
            loss, gradient = objective.value_and_gradient(theta)
        if not math.isfinite(loss):
            raise FloatingPointError(f"training diverged at iteration {iteration + 1}: the loss is {loss}")
        return loss, np.asarray(gradient, np.float64)

    theta = _check.as_array(theta, "theta")
    _check.float_dtype(theta.dtype, "theta")
    _check.finite(theta, "theta")
    theta = theta.astype(np.float64)
    loss, gradient = evaluate(theta)
    convergence = Convergence(objective, theta, gradient, tol)
    variables = convergence.variables
    latest = None  # what SciPy asked for last: mostly the point that it then goes to

    def value_and_gradient(u):
        nonlocal latest
        latest = u.copy(), *evaluate(variables.theta(u))
        return scale * latest[1], scale * variables.gradient(latest[2])

    def hessian_mv(u, v):
        return scale * variables.gradient(objective.hessian_mv(variables.theta(u), variables.theta(v)))

    def after_iteration(intermediate_result):
        nonlocal iteration, ended, theta, loss, gradient
        if not np.array_equal(latest[0], intermediate_result.x):
            value_and_gradient(intermediate_result.x)
        u, loss, gradient = latest
        theta = variables.theta(u)
        iteration, ended = iteration + 1, True  # also if callback raises StopIteration, which SciPy takes for a wish to end
        if callback:
            callback(iteration, theta.copy(), loss)
        ended = convergence.converged(gradient)
        if ended:
            raise StopIteration

    # So SciPy does not end for want of change, which says nothing of the optimum. But it gives up where a line search fails, and
    # takes a curvature below 7e-16 for zero: as long as that helps it begins anew, scaled so that the gradient is 1.
    stop = {"gtol": 0, "ftol": 0, "maxfun": 20 * max_iter} if solver == "lbfgs" else {"xtol": 0}
    lower, ended = True, convergence.converged(gradient)
    while lower and not ended and iteration < max_iter:
        before, scale = loss, 1 / np.abs(variables.gradient(gradient)).max()
        minimize(
            value_and_gradient,
            variables.of_theta(theta),
            jac=True,
            method=method,
            hessp=hessian_mv if solver == "newton-cg" else None,
            callback=after_iteration,
            options={"maxiter": max_iter - iteration, **stop},
        )
        lower = loss < before
    stuck = "" if lower else f"; no step lowers the loss any more in {convergence.dtype}"
    return theta, f"{iteration} iterations, {convergence.verdict(gradient)}{stuck}"


class _AsTheyAre:
    """Parameters that are theta itself."""

    def theta(self, u: FloatArray) -> FloatArray:
        return u

    gradient = of_theta = theta


class _Standardised:
    """Parameters u of a linear objective's features, had these mean 0 and deviation 1: W = U / deviation, b = c - W mean.

    The objective is far better conditioned in u, whatever the features' units. deviation^2 counts, beside the variance of a
    feature, 4 l2, since the curvature of the loss is at most variance / 4 + l2, and what round-off leaves of a constant feature.
    """

    def __init__(self, objective: SoftmaxObjective) -> None:
        X, weight = objective.X, objective.sample_weight
        m, n = X.shape
        share = np.full(m, 1 / m) if weight is None else weight / weight.sum()
        step = max((1 << 15) // n, 1)

        def average(function):  # over samples, in blocks that stay in cache
            found = sum(np.einsum("i,ij->j", share[rows], function(x.astype(np.float64))) for rows, x in parts(X, step))
            return objective._joined(None, found)[0]

        with np.errstate(over="ignore", invalid="ignore"):
            mean = average(lambda x: x) if objective.fit_bias else np.zeros(n)
            variance = average(lambda x: np.square(x - mean))
            square = variance + 4 * objective.l2 + 100 * np.finfo(X.dtype).eps * mean**2
        known = np.isfinite(square) & (square > 0)
        self.mean: FloatArray
        self.deviation: FloatArray
        self.mean, self.deviation = np.where(known, mean, 0), np.sqrt(square, out=np.ones(n), where=known)
        self.shape: tuple[int, int] = objective.unpack(np.zeros(objective.n_params))["W"].shape

    def _split(self, flat):
        size = self.shape[0] * self.shape[1]
        return flat[:size].reshape(self.shape), flat[size:]

    def theta(self, u: FloatArray) -> FloatArray:
        """Of u; the map is linear, so directions go the same way."""
        U, c = self._split(u)
        W = U / self.deviation
        return np.concatenate([W.ravel(), c - (W * self.mean).sum(axis=1)[: c.size]])

    def of_theta(self, theta: FloatArray) -> FloatArray:
        W, b = self._split(theta)
        return np.concatenate([(W * self.deviation).ravel(), b + (W * self.mean).sum(axis=1)[: b.size]])

    def gradient(self, gradient: FloatArray) -> FloatArray:
        """By u, of that by theta."""
        W, b = self._split(gradient)
        shifted = W - np.outer(b, self.mean) if b.size else W
        return np.concatenate([(shifted / self.deviation).ravel(), b])


class Convergence:
    """How far gradients are from zero: their largest entry relative to that at the start, or at theta = 0 if that is larger (for a
    start may be near the optimum), by theta or by standardised parameters, whichever is further.

    Relative to theta's gradient alone, a feature of large values would hide that the others are not fitted at all.
    """

    def __init__(self, objective: _Differentiable, start: FloatArray, gradient: FloatArray, tol: float | None = None) -> None:
        self.variables: _Standardised | _AsTheyAre = (
            _Standardised(objective) if isinstance(objective, SoftmaxObjective) else _AsTheyAre()
        )
        self.dtype: np.dtype[Any] = np.dtype(getattr(objective, "dtype", np.float64))
        self.tol: float = TOLERANCE[self.dtype.name] if tol is None else _check.non_negative(tol, "tol")
        at_start = at_zero = self._sizes(gradient)
        if start.any():
            at_zero = self._sizes(objective.value_and_gradient(np.zeros_like(start))[1])
        self.reference: FloatArray = np.maximum(at_start, at_zero)
        self.of: str = "its start" if (at_start >= at_zero).all() else "that at theta = 0"

    def _sizes(self, gradient):
        return np.array([np.abs(g).max() for g in (gradient, self.variables.gradient(gradient))])

    def _relative(self, gradient):
        sizes = self._sizes(gradient)
        with np.errstate(divide="ignore"):
            return np.divide(sizes, self.reference, out=np.zeros(2), where=sizes > 0).max()

    def converged(self, gradient: FloatArray) -> bool:
        return bool(self._relative(gradient) <= self.tol)

    def verdict(self, gradient: FloatArray) -> str:
        judged = "converged" if self.converged(gradient) else "not converged"
        return f"{judged}: gradient {self._relative(gradient):.1e} of {self.of}"


def check_callback(callback: object) -> None:
    """TypeError unless it can be called, or is None."""
    if callback is not None and not callable(callback):
        raise TypeError(f"callback is {_check.shown(callback)}; expected a function or None")
