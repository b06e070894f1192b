"""The corner of an L-curve: the norm of the solution against that of the residual, log-log, for all amounts of regularization."""

from typing import NamedTuple

import numpy as np

from .. import _check
from .paths import RegularizationPath

LEAST_POINTS = 3


class Corner(NamedTuple):
    """The corner of an L-curve, found by `l_curve_corner`.

    index : of the point of the path that is nearest to it.  parameter : the lambda or rank there; a lambda may lie between those of
    the path.  residual_norm, solution_norm : at the parameter.
    """

    index: int
    parameter: float
    residual_norm: float
    solution_norm: float


def l_curve_corner(path, solution_norms=None):
    """The corner of an L-curve, log |x| over log |A x - y|: a compromise that needs no test set (Hansen 1992).

    path : what `ridge_path` or `truncated_svd_path` returns; or the residual norms (p,) of at least three solutions, in any order.
    solution_norms : (p,) the norms of these solutions. All norms are positive.

    Returns :class:`Corner`. Of a ridge path it is the point of the largest curvature, as a formula in the singular values gives it
    (Hansen 2000, The L-curve and its use), among all lambdas that the path spans, none of them beyond the squares of the singular
    values. Else it is the point with the sharpest angle between one before it and the last one (the triangle method, Castellanos,
    Gomez and Guerra 2002). ValueError where there is none: the curve bends nowhere towards the origin.

    It works where noise hides the small components and leaves the large ones alone. Where the noise hides most components, look at
    ``gcv`` and ``loo`` of the path instead.

    >>> import numpy as np
    >>> from fastlec.regression import l_curve_corner
    >>> l_curve_corner([9.0, 4.0, 2.0, 1.9, 1.8], [1.0, 1.1, 1.2, 5.0, 25.0]).index
    2
    """
    if isinstance(path, RegularizationPath):
        if solution_norms is not None:
            raise TypeError("solution_norms is given with a path, which has its own; expected one of them")
        if path.kind == "ridge":
            return _of_ridge(path)
        return _of_points(path.residual_norms, path.solution_norms, path.parameters)
    if solution_norms is None:
        raise TypeError("solution_norms is None; expected an array, to go with the residual norms")
    rho = _check.values(path, "path").astype(float)
    eta = _check.values(solution_norms, "solution_norms", len(rho), f" to match {len(rho)} residual norms").astype(float)
    return _of_points(rho, eta, np.arange(len(rho)))


def _of_ridge(path):
    """Of all lambdas: the best of the path's, then the best between its neighbours."""
    from scipy.optimize import minimize_scalar

    s, unit = path.singular_values, np.abs(path.projections).max()
    lambdas = np.unique(path.parameters[path.parameters > 0])
    inner = lambdas[(lambdas >= s[-1] ** 2) & (lambdas <= s[0] ** 2)]  # beyond all singular values no component is left to turn
    lambdas = inner if len(inner) >= LEAST_POINTS else lambdas
    if len(lambdas) < LEAST_POINTS or not unit:
        what = "projections that are all 0" if not unit else f"{len(lambdas)} lambdas > 0"
        raise ValueError(f"path has {what}; expected {LEAST_POINTS} points or more of an L-curve")
    beta, outside = path.projections / unit, (path.least_residual_norm / unit) ** 2
    i = int(np.argmax(_curvature(lambdas, s, beta, outside)))
    low, high = np.log(lambdas[[max(i - 1, 0), min(i + 1, len(lambdas) - 1)]])
    found = minimize_scalar(lambda at: -_curvature(np.exp([at]), s, beta, outside)[0], bounds=(low, high), method="bounded")
    if not found.fun < 0:
        raise ValueError("path has no corner: its L-curve bends nowhere towards the origin")
    parameter = float(np.exp(found.x))
    with np.errstate(divide="ignore"):
        index = int(np.argmin(np.abs(np.log(path.parameters) - found.x)))
    passed, stopped = s**2 / (s**2 + parameter), parameter / (s**2 + parameter)
    residual_norm = unit * np.hypot(np.linalg.norm(stopped * beta), outside**0.5)
    return Corner(index, parameter, float(residual_norm), float(unit * np.linalg.norm(passed * beta / s)))


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
    """The triangle method: an angle of the curve counts where it opens away from the origin and is sharper than 7/8 pi."""
    if len(rho) < LEAST_POINTS or min(rho.min(), eta.min()) <= 0:
        what = f"{len(rho)} points" if len(rho) < LEAST_POINTS else "norms that are 0 or negative"
        raise ValueError(f"path has {what}; expected {LEAST_POINTS} points or more of positive norms")
    order = np.lexsort((-rho, eta))  # from much regularization to little
    points = np.stack([np.log(rho), np.log(eta)], axis=1)[order]
    sharpest, corner = np.cos(7 / 8 * np.pi), None
    for k in range(1, len(points) - 1):
        before, last = points[:k] - points[k], points[-1] - points[k]
        lengths = np.linalg.norm(before, axis=1) * np.linalg.norm(last)
        opens = (before[:, 0] * last[1] - before[:, 1] * last[0] > 0) & (lengths > 0)
        cosines = (before @ last)[opens] / lengths[opens]
        if cosines.size and cosines.max() > sharpest:
            sharpest, corner = cosines.max(), int(order[k])
    if corner is None:
        raise ValueError("path has no corner: its L-curve bends nowhere towards the origin")
    return Corner(corner, parameters[corner].item(), float(rho[corner]), float(eta[corner]))
