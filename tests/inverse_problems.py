"""Linear systems A x = b with solutions that are known, by their names in Hansen's Regularization Tools; midpoint rules.

For each name (A, x), A of order 64, whose singular values fall steeply but at very different rates.
"""

import numpy as np

ORDER = 64
_STEPS = (np.arange(ORDER) + 0.5) / ORDER


def noisy_samples(A, x, noise, count):
    """That many right sides whose noise has that part of the norm of A x."""
    b = A @ x
    errors = np.random.default_rng(0).normal(size=(count, len(b)))
    return b + errors * noise * np.linalg.norm(b) / np.sqrt(len(b))


def _shaw():
    """Image restoration in one dimension (Shaw 1972)."""
    angles = np.pi * (_STEPS - 0.5)
    cosines, sines = (np.add.outer(f(angles), f(angles)) for f in (np.cos, np.sin))
    solution = 2 * np.exp(-6 * (angles - 0.8) ** 2) + np.exp(-2 * (angles + 0.5) ** 2)
    return np.pi / ORDER * cosines**2 * np.sinc(sines) ** 2, solution


def _phillips():
    """Deconvolution (Phillips 1962)."""
    t = 12 * _STEPS - 6

    def bump(t):
        return np.where(np.abs(t) < 3, 1 + np.cos(np.pi * t / 3), 0)

    return 12 / ORDER * bump(np.subtract.outer(t, t)), bump(t)


def _heat():
    """The temperature at one end of a rod from that at the other (Carasso 1982)."""
    kernel = _STEPS**-1.5 / (2 * np.sqrt(np.pi)) * np.exp(-1 / (4 * _STEPS))
    lags = np.subtract.outer(np.arange(ORDER), np.arange(ORDER))
    u = 20 * _STEPS
    x = np.select([u < 2, u < 3, u < 10], [0.75 * u**2 / 4, 0.75 + (u - 2) * (3 - u), 0.75 * np.exp(-2 * (u - 3))], 0)
    return np.where(lags >= 0, kernel[np.abs(lags)], 0) / ORDER, x


def _gravity():
    """The masses at a depth of 0.25 from gravity on the ground (Wing and Zahrt 1991)."""
    solution = np.sin(np.pi * _STEPS) + 0.5 * np.sin(2 * np.pi * _STEPS)
    return 0.25 / ORDER / (0.25**2 + np.subtract.outer(_STEPS, _STEPS) ** 2) ** 1.5, solution


def _deriv2():
    """The second derivative."""
    return np.minimum.outer(_STEPS, _STEPS) * (np.maximum.outer(_STEPS, _STEPS) - 1) / ORDER, _STEPS


PROBLEMS = {"shaw": _shaw(), "phillips": _phillips(), "heat": _heat(), "gravity": _gravity(), "deriv2": _deriv2()}
