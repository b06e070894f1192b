"""K-means by Lloyd's algorithm."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .arrays import Float64Array


def nearest_centers(X: ArrayLike, centers: ArrayLike) -> tuple[NDArray[np.int64], Float64Array]:
    """The nearest center of each sample, of several the first.

    Parameters
    ----------
    X : array_like, shape (m, n)
        The samples.
    centers : array_like, shape (k, n)
        The centers.

    Returns
    -------
    labels : ndarray, shape (m,)
        The number of the nearest center, int64.
    distances : ndarray, shape (m,)
        The squared distance to it.

    See Also
    --------
    lloyd, fastlec.kmeans

    Examples
    --------
    >>> fastlec.reference.nearest_centers([[0.0], [3.0]], [[1.0], [5.0]])
    (array([0, 0]), array([1., 4.]))
    """
    X, centers = np.asarray(X, np.float64), np.asarray(centers, np.float64)
    labels, least = np.zeros(len(X), np.int64), np.full(len(X), np.inf)
    for j, center in enumerate(centers):
        distances = ((X - center) ** 2).sum(axis=1)
        labels[distances < least] = j
        least = np.minimum(least, distances)
    return labels, least


def lloyd(
    X: ArrayLike, centers: ArrayLike, *, max_iter: int = 300, tol: float = 1e-4, sample_weight: ArrayLike | None = None
) -> tuple[Float64Array, NDArray[np.int64], float, int]:
    """K-means by Lloyd's algorithm from given centers on.

    Empty clusters take the samples that are farthest from their centers.

    Parameters
    ----------
    X : array_like, shape (m, n)
        The samples.
    centers : array_like, shape (k, n)
        The centers.
    max_iter : int
        Iterations at most.
    tol : float
        It ends once the squared movement of all centers is at most that part of the mean variance of the features.
    sample_weight : array_like, shape (m,), optional
        Weights of the samples, by default 1.

    Returns
    -------
    centers : ndarray, shape (k, n)
        The means of the clusters.
    labels : ndarray, shape (m,)
        The cluster of each sample, int64.
    inertia : float
        The weighted sum of the squared distances.
    iterations : int
        How many there were, as `fastlec.kmeans` counts them.

    See Also
    --------
    fastlec.kmeans, nearest_centers

    Examples
    --------
    >>> fastlec.reference.lloyd([[0.0], [1.0], [10.0], [11.0]], [[0.0], [1.0]])
    (array([[ 0.5],
           [10.5]]), array([0, 0, 1, 1]), 1.0, 3)
    """
    X, centers = np.asarray(X, np.float64), np.asarray(centers, np.float64)
    w = np.ones(len(X)) if sample_weight is None else np.asarray(sample_weight, np.float64)
    tol, former, iteration = tol * X.var(axis=0).mean(), None, 0
    while iteration < max_iter:
        iteration += 1
        labels, distances = nearest_centers(X, centers)
        owner = labels.copy()
        weights = np.bincount(labels, w, len(centers))
        distances = distances * (w > 0)
        for j, i in zip(np.flatnonzero(weights == 0), np.argsort(-distances, kind="stable"), strict=False):
            if distances[i] > 0:
                owner[i] = j
        old, centers = centers, _means(X, w, owner, centers)
        if former is not None and (labels == former).all() and (owner == labels).all():
            break
        if ((centers - old) ** 2).sum() <= tol:
            break
        former = labels
    labels, distances = nearest_centers(X, centers)
    return centers, labels, float(w @ distances), iteration


def _means(X, w, labels, centers):
    weights = np.bincount(labels, w, len(centers))
    means = np.zeros_like(centers)
    for j in np.flatnonzero(weights):
        means[j] = w[labels == j] @ X[labels == j] / weights[j]
    means[weights == 0] = means[np.argmax(weights)]
    return means
