"""The corner of an L-curve: the norm of the solution against that of the residual, log-log, for all amounts of regularization."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .. import _check
from .paths import RegularizationPath

if TYPE_CHECKING:
    from .._typing import ArrayLike

LEAST_POINTS = 3
LEAST_TURN = np.pi / 64  # of the hull from end to end
MOST_FREEDOM = 0.9  # of the samples
ROUNDING = 16  # times eps


class Corner(NamedTuple):
    """Corner of an L-curve, found by `l_curve_corner`.

    Parameters
    ----------
    index : int
        Index of the point of the path that is nearest to it.
    parameter : float
        Lambda or rank there; a lambda may lie between those of the path.
    residual_norm, solution_norm : float
        The norms at the parameter.

    See Also
    --------
    l_curve_corner, fastlec.plot.l_curve

    Examples
    --------
    >>> from fastlec.regression import l_curve_corner
    >>> l_curve_corner([9.0, 4.0, 2.0, 1.9, 1.8], [1.0, 1.1, 1.2, 5.0, 25.0])
    Corner(index=2, parameter=2, residual_norm=2.0, solution_norm=1.2)
    """

    index: int
    parameter: float
    residual_norm: float
    solution_norm: float


def l_curve_corner(path: RegularizationPath | ArrayLike, solution_norms: ArrayLike | None = None) -> Corner:
    """Corner of an L-curve, ``log |x|`` over ``log |A x - y|``: a compromise that needs no test set (Hansen 1992).

    Parameters
    ----------
    path : RegularizationPath or array_like, shape (p,)
        What `ridge_path` or `truncated_svd_path` returns; or the residual norms of at least three solutions, in any order, > 0.
    solution_norms : array_like, shape (p,), optional
        With residual norms the norms of these solutions, > 0.

    Returns
    -------
    Corner
        Its index, parameter and norms.

    Raises
    ------
    ValueError
        There is none: the curve bends nowhere towards the origin, but perhaps at its ends. Or norms are not positive.
    TypeError
        Solution norms are missing, or given with a path, which has its own.

    See Also
    --------
    ridge_path, truncated_svd_path, fastlec.plot.l_curve

    Notes
    -----
    Of a ridge path it is the local maximum of the curvature, as a formula in the singular values gives it (Hansen 2000), among the
    lambdas between those of the path, none of them beyond the squares of the singular values. Else it is the sharpest bend of the
    lower left convex hull of the points, if that turns by pi / 64 from end to end: steps off the hull say nothing (as in the
    pruning of Hansen, Jensen and Rodriguez 2007). Of a path's corners one where the degrees of freedom are at most 0.9 m goes
    before all others: where few are left the residual says little of the noise.

    It works where the noise hides the small components and leaves the large ones alone: within 1.7 times the least error of any
    parameter (medians of 20 samples) for Hansen's problems shaw and deriv2 with 0.1 to 10 % of noise. The smoother the solution and
    the smaller the noise, the less it regularizes (Hanke 1996): with 1 % and 0.1 % it is at 3 and 6 times the least error for
    gravity, at 5 and 18 for phillips, at 2 and 11 for heat. There the least ``gcv`` of the path is better, at 1.1 to 1.9 times; but
    for one sample in ten or so it lies where next to nothing is regularized.

    References
    ----------
    Hansen, "Analysis of discrete ill-posed problems by means of the L-curve", 1992; Hansen, "The L-curve and its use in the
    numerical treatment of inverse problems", 2000; Hansen, Jensen and Rodriguez, "An adaptive pruning algorithm for the discrete
    L-curve criterion", 2007; Hanke, "Limitations of the L-curve method in ill-posed problems", 1996.

    Examples
    --------
    >>> from fastlec.regression import l_curve_corner
    >>> l_curve_corner([9.0, 4.0, 2.0, 1.9, 1.8], [1.0, 1.1, 1.2, 5.0, 25.0]).index
    2
    """
    if isinstance(path, RegularizationPath):
        if solution_norms is not None:
            raise TypeError("solution_norms is given with a path, which has its own; expected one of them")
        if not path.projections.any():
            raise ValueError("path has projections that are all 0; expected some that are not, for all solutions are 0")
        found = _of_ridge(path) if path.kind == "ridge" else _of_ranks(path)
    else:
        if solution_norms is None:
            raise TypeError("solution_norms is None; expected an array, to go with the residual norms")
        rho = _check.values(path, "path").astype(float)
        eta = _check.values(solution_norms, "solution_norms", len(rho), f" to match {len(rho)} residual norms").astype(float)
        _several(len(rho), "points")
        for norms, name in ((rho, "path"), (eta, "solution_norms")):
            if norms.min() <= 0:
                raise ValueError(f"{name}[{norms.argmin()}] is {norms.min()}; expected a norm > 0")
        found = _of_points(rho, eta, np.arange(len(rho)))
    if found is None:
        raise ValueError("path has no corner: its L-curve bends nowhere towards the origin")
    return found


def _several(count, what):
    if count < LEAST_POINTS:
        raise ValueError(f"path has {count} {what}; expected {LEAST_POINTS} or more")


def _meaningful(path):
    """Of each point of the path, whether its residual is more than rounding; and whether it also has a say on the noise."""
    size = max(np.abs(path.projections).max(), path.least_residual_norm)
    real = path.residual_norms > ROUNDING * np.finfo(path.coefficients.dtype).eps * size
    return real, real & (path.degrees_of_freedom <= MOST_FREEDOM * path.n_samples)


def _of_ridge(path):
    """Of all lambdas: the best of the path's, then the best between its neighbours."""
    from scipy.optimize import minimize_scalar

    s, unit = path.singular_values, np.abs(path.projections).max()
    lambdas, places = np.unique(path.parameters, return_index=True)
    lambdas, places = lambdas[lambdas > 0], places[lambdas > 0]
    _several(len(lambdas), "different lambdas > 0")
    beta, outside = path.projections / unit, (path.least_residual_norm / unit) ** 2
    curvature = _curvature(lambdas, s, beta, outside)
    peaks = np.zeros(len(lambdas), bool)
    peaks[1:-1] = (curvature[1:-1] > 0) & (curvature[1:-1] >= curvature[:-2]) & (curvature[1:-1] > curvature[2:])
    peaks &= (lambdas >= s[-1] ** 2) & (lambdas <= s[0] ** 2)  # beyond all singular values no component is left to turn
    real, telling = (peaks & which[places] for which in _meaningful(path))
    peaks = telling if telling.any() else real
    if not peaks.any():
        return None
    i = int(np.argmax(np.where(peaks, curvature, 0)))
    low, high = np.log(lambdas[[i - 1, i + 1]])
    found = minimize_scalar(lambda at: -_curvature(np.exp([at]), s, beta, outside)[0], bounds=(low, high), method="bounded")
    parameter = float(np.exp(found.x))
    with np.errstate(divide="ignore"):
        index = int(np.argmin(np.abs(np.log(path.parameters) - found.x)))
    passed, stopped = s**2 / (s**2 + parameter), parameter / (s**2 + parameter)
    residual_norm = unit * np.hypot(np.linalg.norm(stopped * beta), outside**0.5)
    return Corner(index, parameter, float(residual_norm), float(unit * np.linalg.norm(passed * beta / s)))


def _of_ranks(path):
    """Of a truncated SVD path: by its points where the solution is not 0."""
    for which in reversed(_meaningful(path)):
        kept = np.flatnonzero(which & (path.solution_norms > 0))
        found = _of_points(path.residual_norms[kept], path.solution_norms[kept], path.parameters[kept])
        if found is not None:
            return found._replace(index=int(kept[found.index]))
    return None


def _curvature(lambdas, s, beta, outside):
    """Of the curve (log |A x - y|, log |x|) at each lambda (p,), by log lambda; outside : the part of |A x - y|^2 that stays.

    With f = s^2 / (s^2 + lambda) and g = 1 - f: df = -f g, dg = f g. 0 where the residual or solution vanishes.
    """
    lambdas = lambdas[:, None]
    f, g = s**2 / (s**2 + lambdas), lambdas / (s**2 + lambdas)
    parts = (f * beta / s) ** 2
    eta, rho = parts.sum(axis=1), ((g * beta) ** 2).sum(axis=1) + outside
    eta1 = -2 * (parts * g).sum(axis=1)
    eta2 = -2 * (parts * g * (f - 2 * g)).sum(axis=1)
    rho1 = -lambdas[:, 0] * eta1
    rho2 = -lambdas[:, 0] * (eta1 + eta2)
    with np.errstate(divide="ignore", invalid="ignore"):
        x1, y1 = rho1 / rho, eta1 / eta  # of 2 log: the factors cancel but for one
        x2, y2 = rho2 / rho - x1**2, eta2 / eta - y1**2
        curvature = 2 * (x1 * y2 - x2 * y1) / (x1**2 + y1**2) ** 1.5
    return np.where(np.isfinite(curvature), curvature, 0)


def _of_points(rho, eta, parameters):
    """The sharpest bend of the hull of positive norms, or None."""
    order = np.lexsort((-rho, eta))  # from much regularization to little
    points = np.stack([np.log(rho), np.log(eta)], axis=1)[order]
    hull = []
    for k in range(len(points)):
        while len(hull) > 1 and _turn(*points[[*hull[-2:], k]]) <= 0:
            hull.pop()
        hull.append(k)
    turns = [_turn(*points[[*three]]) for three in zip(hull, hull[1:], hull[2:], strict=False)]
    if sum(turns) < LEAST_TURN:
        return None
    corner = int(order[hull[1 + int(np.argmax(turns))]])
    return Corner(corner, parameters[corner].item(), float(rho[corner]), float(eta[corner]))


def _turn(a, b, c):
    """The angle to the right by which the way from a by b to c bends."""
    (x, y), (u, v) = b - a, c - b
    return np.arctan2(y * u - x * v, x * u + y * v)
