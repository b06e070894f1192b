"""K-means by Lloyd's algorithm."""

import numpy as np


def nearest_centers(X, centers):
    """(labels, squared distances): the nearest center of each row of X (m, n), of several the first; centers (k, n).

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


def lloyd(X, centers, *, max_iter=300, tol=1e-4, sample_weight=None):
    """(centers, labels, inertia, iterations) from these centers (k, n) on, as `fastlec.kmeans` counts them.

    Empty clusters take the samples that are farthest from their centers.

    >>> fastlec.reference.lloyd([[0.0], [1.0], [10.0], [11.0]], [[0.0], [1.0]])
    (array([[ 0.5], [10.5]]), array([0, 0, 1, 1]), 1.0, 3)
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
