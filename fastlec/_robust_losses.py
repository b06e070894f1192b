"""Losses of residuals that grow slower than squares: THE table, one row a loss.

With t = |r| / scale, a loss is scale^2 rho(t^2) / 2, as in scipy.optimize.least_squares. Its derivative by r is w r with the weight
w = rho'(t^2) of iteratively reweighted least squares, its second derivative the curvature rho' + 2 t^2 rho'', which is at most w.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Loss(NamedTuple):
    """terms(t) : (rho, weight, curvature) of t >= 0, arrays as long.

    tuning : the scale, in standard deviations of Gaussian noise, at which an estimate of many samples has 95 % of the efficiency of
    least squares (Holland and Welsch, "Robust regression using iteratively reweighted least-squares", 1977).
    convex : whether there is no local minimum but the global ones.
    """

    terms: Callable
    tuning: float
    convex: bool


def _linear(t):
    ones = np.ones_like(t)
    return t * t, ones, ones


def _huber(t):
    inner = np.minimum(t, 1)
    rho = 2 * t
    rho -= inner
    rho *= inner
    return rho, 1 / np.maximum(t, 1), (t <= 1).astype(t.dtype)


def _cauchy(t):
    with np.errstate(over="ignore"):
        squared = t * t
    weight, rho = 1 / (1 + squared), np.log1p(squared)
    far = np.isinf(squared)
    rho[far] = 2 * np.log(t[far])
    return rho, weight, weight * (2 * weight - 1)


def _tukey(t):
    squared = np.minimum(t, 1) ** 2
    left = 1 - squared
    return (1 - left**3) / 3, left * left, left * (1 - 5 * squared)


LINEAR = Loss(_linear, 1.0, True)  # plain least squares
LOSSES = {
    "huber": Loss(_huber, 1.345, True),
    "cauchy": Loss(_cauchy, 2.385, False),
    "tukey": Loss(_tukey, 4.685, False),
}
