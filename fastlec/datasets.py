"""Labelled samples to try a classifier on: three sets of points in the plane, made of random numbers, and the embedded digits.

A set of points is X (n_samples, 2) float64 and labels (n_samples,) int64, 0 to n_classes - 1, in random order; each class has as
many samples as any other, or one more. The same arguments give the same points; ``rng`` is a seed or a numpy.random.Generator.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeAlias, overload

import numpy as np

from . import _check
from .data import load_digits

if TYPE_CHECKING:
    from ._typing import ArrayLike, FloatArray, NDArray, Seed

__all__ = ["load_digits", "make_blobs", "make_peaks", "make_spirals", "peaks"]

Points: TypeAlias = "tuple[NDArray[np.float64], NDArray[np.int64]]"
_GOLDEN_ANGLE = np.pi * (3 - 5**0.5)
_FAR = 30.0  # from where on peaks is 0 in float64
_GRID = 801  # points on a side where the extrema of peaks are looked for: they are found to 2e-4


def __dir__() -> list[str]:
    return __all__


def make_spirals(
    n_samples: int = 1000, n_classes: int = 2, *, noise: float = 0.02, turns: float = 1.5, rng: Seed | None = 0
) -> Points:
    """Points on spirals about the origin, one spiral for each class ("Swiss roll").

    They are r (cos phi, sin phi) with r in [0.1, 1] and the angle phi = 2 pi (turns r + class / n_classes).

    Parameters
    ----------
    n_samples, n_classes : int
        Number of points, and of classes, at least 1; no fewer points than classes.
    noise : float
        Standard deviation of the normal numbers that are added to both coordinates.
    turns : float
        Number of turns from the centre to r = 1, > 0.
    rng : int or numpy.random.Generator
        Seed; the same arguments give the same points.

    Returns
    -------
    X : ndarray, shape (n_samples, 2)
        Points, float64.
    y : ndarray, shape (n_samples,)
        Labels, int64, in random order; classes are of one size, or one more.

    Raises
    ------
    ValueError or TypeError
        An argument does not fit; the message names it.
    MemoryError
        There is no room for so many samples.

    See Also
    --------
    make_blobs, make_peaks, fastlec.plot.decision_regions

    References
    ----------
    After E. Haber, L. Ruthotto, "Stable architectures for deep neural networks", 2018.

    Examples
    --------
    >>> X, y = fastlec.datasets.make_spirals(300, 3)
    >>> X.shape, X.dtype, y[:5]
    ((300, 2), dtype('float64'), array([0, 0, 2, 2, 2]))
    """
    y, rng = _labels(n_samples, n_classes, rng)
    noise, turns = _check.non_negative(noise, "noise"), _check.positive(turns, "turns")
    r = rng.uniform(0.1, 1, len(y))
    with np.errstate(over="ignore"):
        phi = 2 * np.pi * (turns * r + y / n_classes)
    if not np.isfinite(phi).all():
        raise ValueError(f"turns is {turns}; expected fewer, of which float64 holds the angles")
    return _noisy(np.stack([r * np.cos(phi), r * np.sin(phi)], axis=1), noise, rng), y


def make_blobs(n_samples: int = 1000, n_classes: int = 5, *, noise: float | ArrayLike = 0.1, rng: Seed | None = 0) -> Points:
    """Points of a Gaussian mixture: each class is normally distributed about a centre of its own.

    Centres are spread over the unit disk, the first in the middle, each next one a golden angle further round (Vogel).

    Parameters
    ----------
    n_samples, n_classes : int
        Number of points, and of classes, at least 1; no fewer points than classes.
    noise : float or array_like, shape (n_classes,)
        Standard deviation of both coordinates; a number, or one for each class.
    rng : int or numpy.random.Generator
        Seed; the same arguments give the same points.

    Returns
    -------
    X : ndarray, shape (n_samples, 2)
        Points, float64.
    y : ndarray, shape (n_samples,)
        Labels, int64, in random order; classes are of one size, or one more.

    Raises
    ------
    ValueError or TypeError
        An argument does not fit; the message names it.
    MemoryError
        There is no room for so many samples.

    See Also
    --------
    make_spirals, make_peaks, fastlec.kmeans

    References
    ----------
    H. Vogel, "A better way to construct the sunflower head", 1979.

    Examples
    --------
    >>> import numpy as np
    >>> X, y = fastlec.datasets.make_blobs(1000, 3, noise=0.05)
    >>> np.bincount(y), bool(np.linalg.norm(X[y == 0].mean(axis=0)) < 0.01)
    (array([334, 333, 333]), True)
    """
    y, rng = _labels(n_samples, n_classes, rng)
    if np.ndim(noise):
        noise = _check.shape(_check.as_array(noise, "noise"), "noise", (n_classes,), ", one for each class")
        noise = np.array([_check.non_negative(value, f"noise[{i}]") for i, value in enumerate(noise)])[y]
    else:
        noise = _check.non_negative(noise, "noise")
    k = np.arange(n_classes)
    radius, angle = np.sqrt(k / max(n_classes - 1, 1)), k * _GOLDEN_ANGLE
    centres = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    return _noisy(centres[y], noise, rng), y


def make_peaks(n_samples: int = 1000, n_classes: int = 5, *, noise: float = 0.0, rng: Seed | None = 0) -> Points:
    """Points of the square [-3, 3] x [-3, 3], labelled by the level of the function `peaks` that they lie in.

    The range between the function's minimum and maximum is cut into n_classes intervals of one length. Points are uniformly
    distributed over each class.

    Parameters
    ----------
    n_samples, n_classes : int
        Number of points, and of classes, at least 1; no fewer points than classes.
    noise : float
        Standard deviation of the normal numbers that are added to both coordinates of a point once it has its class.
    rng : int or numpy.random.Generator
        Seed; the same arguments give the same points.

    Returns
    -------
    X : ndarray, shape (n_samples, 2)
        Points, float64.
    y : ndarray, shape (n_samples,)
        Labels, int64, in random order; classes are of one size, or one more.

    Raises
    ------
    ValueError or TypeError
        An argument does not fit; the message names it.
    MemoryError
        There is no room for so many samples.

    See Also
    --------
    peaks, make_spirals, make_blobs

    References
    ----------
    After E. Haber, L. Ruthotto, "Stable architectures for deep neural networks", 2018.

    Examples
    --------
    >>> import numpy as np
    >>> X, y = fastlec.datasets.make_peaks(500)
    >>> np.bincount(y), float(np.abs(X).max()) <= 3
    (array([100, 100, 100, 100, 100]), True)
    """
    labels, rng = _labels(n_samples, n_classes, rng)
    noise = _check.non_negative(noise, "noise")
    side = np.linspace(-3, 3, _GRID)
    values = peaks(side, side[:, None])
    levels = np.linspace(values.min(), values.max(), n_classes + 1)[1:-1]
    rows, counts = np.argsort(labels, kind="stable"), np.bincount(labels, minlength=n_classes)
    starts, done = (
        np.cumsum(counts) - counts,
        np.zeros(n_classes, int),
    )  # of each class: where its rows begin, how many have points
    X = np.empty((n_samples, 2))
    while (done < counts).any():
        points = rng.uniform(-3, 3, (max(n_samples, 1024), 2))
        found = np.digitize(peaks(*points.T), levels)
        order, new = np.argsort(found, kind="stable"), np.bincount(found, minlength=n_classes)
        points, found = points[order], found[order]
        place = np.arange(len(points)) - (np.cumsum(new) - new - done)[found]  # among the points of its class
        wanted = place < counts[found]
        X[rows[(starts[found] + place)[wanted]]] = points[wanted]
        done = np.minimum(done + new, counts)
    return _noisy(X, noise, rng), labels


@overload
def peaks(x: float, y: float) -> np.float64: ...
@overload
def peaks(x: NDArray[np.float32], y: NDArray[np.float32]) -> NDArray[np.float32]: ...
@overload
def peaks(x: ArrayLike, y: ArrayLike) -> NDArray[np.float64]: ...
def peaks(x: ArrayLike, y: ArrayLike) -> np.float64 | FloatArray:
    """The function whose levels are the classes of `make_peaks`, elementwise.

    It is::

        3 (1 - x)^2 exp(-x^2 - (y + 1)^2) - 10 (x / 5 - x^3 - y^5) exp(-x^2 - y^2) - exp(-(x + 1)^2 - y^2) / 3

    Parameters
    ----------
    x, y : array_like
        Real numbers or arrays of shapes that broadcast.

    Returns
    -------
    ndarray or float
        Values, float32 where x and y are single or half precision, else float64; 0 where x or y is infinite.

    Raises
    ------
    TypeError
        Arguments are not real.
    ValueError
        Shapes do not broadcast.
    MemoryError
        There is no room for the result.

    See Also
    --------
    make_peaks

    Examples
    --------
    >>> fastlec.datasets.peaks([0, 2], [[1.58], [-1.0]]).round(2)
    array([[ 8.11,  0.26],
           [-0.72,  0.5 ]])
    """
    x, y = _check.as_array(x, "x"), _check.as_array(y, "y")
    dtype = _check.common_dtype(x=x, y=y)
    try:
        size = math.prod(np.broadcast_shapes(x.shape, y.shape))
    except ValueError:
        raise ValueError(f"x has shape {x.shape} and y {y.shape}; expected shapes that broadcast") from None
    _check.memory(4 * size * dtype.itemsize, f"peaks of {size} points")
    with np.errstate(under="ignore"):
        x, y = (np.clip(a.astype(dtype), -_FAR, _FAR) for a in (x, y))
        first = 3 * (1 - x) ** 2 * np.exp(-(x**2) - (y + 1) ** 2)
        return first - 10 * (x / 5 - x**3 - y**5) * np.exp(-(x**2) - y**2) - np.exp(-((x + 1) ** 2) - y**2) / 3


def _noisy(X, noise, rng):
    """X and normal numbers of that standard deviation, or of one for each row. ValueError where float64 does not hold that."""
    with np.errstate(over="ignore"):
        noisy = X + np.reshape(noise, (-1, 1)) * rng.standard_normal(X.shape)
    if not np.isfinite(noisy).all():
        raise ValueError(f"noise is {np.max(noise)}; expected less, so that all points are finite")
    return noisy


def _labels(n_samples, n_classes, rng):
    """Labels in random order, and the generator that they come from."""
    n_classes = _check.count(n_classes, "n_classes", 1)
    n_samples = _check.count(n_samples, "n_samples", n_classes)
    _check.memory(48 * n_samples, f"n_samples is {n_samples}: so many points")
    rng = _check.generator(rng)
    return rng.permutation(np.arange(n_samples) % n_classes), rng
