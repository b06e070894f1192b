"""K-means as an estimator, the counterpart of scikit-learn's KMeans."""

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, ClusterMixin, TransformerMixin
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.utils.validation import check_is_fitted

from .. import cluster, io
from .._stream import parts
from .base import Estimator, all_or_nothing, checked_weights, generators, validated
from .callbacks import Tasks, with_callbacks


class KMeans(ClassNamePrefixFeaturesOutMixin, TransformerMixin, ClusterMixin, Estimator):
    """K-means, by `fastlec.kmeans`, which documents the arguments.

    n_init : of so many starts the one with the least inertia counts; "auto": 10 of "random", else 1.
    random_state : of the starts and mini-batches.  dtype : float32 or float64 to compute in; None: that of X.

    After fit: cluster_centers_ (k, n), labels_ (m,), inertia_, n_iter_, n_features_in_, feature_names_in_. transform gives the
    distances to the centers (m, k).

    >>> from fastlec.sklearn import KMeans
    >>> X, y = fastlec.datasets.make_blobs(300, 3)
    >>> model = KMeans(3, random_state=0).fit(X)
    >>> model.transform(X).argmin(axis=1).tolist() == model.labels_.tolist() == model.predict(X).tolist()
    True
    """

    def __init__(
        self,
        n_clusters=8,
        *,
        init="k-means++",
        n_init="auto",
        max_iter=300,
        tol=1e-4,
        algorithm="auto",
        batch_size=None,
        random_state=None,
        dtype=None,
    ):
        self.n_clusters = n_clusters
        self.init = init
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.algorithm = algorithm
        self.batch_size = batch_size
        self.random_state = random_state
        self.dtype = dtype

    @all_or_nothing
    @with_callbacks
    def fit(self, X, y=None, sample_weight=None):
        """Cluster the samples X (m, n). y : not used. sample_weight : (m,), >= 0."""
        X = validated(self, X, dtype=self._dtypes())
        w = checked_weights(sample_weight, len(X))
        tasks = Tasks(self, "fit", 0, X, None, w)
        n_init = self.n_init
        if isinstance(n_init, str) and n_init == "auto":
            n_init = 10 if isinstance(self.init, str) and self.init == "random" else 1
        found = cluster.kmeans(
            X,
            self.n_clusters,
            init=self.init,
            n_init=n_init,
            max_iter=self.max_iter,
            tol=self.tol,
            sample_weight=w,
            rng=generators(self.random_state, 1)[0],
            algorithm=self.algorithm,
            batch_size=self.batch_size,
        )
        self._keep(found)
        tasks.finish(lambda: {name: getattr(self, name) for name in ("_result", "cluster_centers_", "labels_", "n_iter_")})
        return self

    def _keep(self, found):
        self._result = found  # which knows how its samples were measured
        self.cluster_centers_, self.labels_ = found.centers, found.labels
        self.inertia_, self.n_iter_ = found.inertia, found.n_iter

    def predict(self, X):
        """The nearest center of each sample (m,) int32."""
        check_is_fitted(self)
        return self._result.predict(self._samples(X, self.cluster_centers_.dtype))

    def transform(self, X):
        """The distance of each sample to each center (m, k)."""
        check_is_fitted(self)
        X = self._samples(X, self.cluster_centers_.dtype)
        return np.concatenate([euclidean_distances(x, self.cluster_centers_) for _, x in parts(X, len(X))])

    def score(self, X, y=None, sample_weight=None):
        """Minus the inertia of X at the centers. y : not used."""
        check_is_fitted(self)
        X = self._samples(X, self.cluster_centers_.dtype)
        w = checked_weights(sample_weight, len(X))
        total, labels = 0.0, self._result.predict(X)
        for rows, x in parts(X, len(X)):
            squares = (x - self.cluster_centers_[labels[rows]]) ** 2
            total += float(squares.sum() if w is None else w[rows] @ squares.sum(axis=1))
        return -total

    def _facts(self):
        found = self._result
        return {"inertia": found.inertia, "n_iter": found.n_iter, "_scale": found._scale, "_seen": found._seen}

    def _write(self, path, said):
        found = self._result
        arrays = {"centers": found.centers, "labels": found.labels, "mean": np.asarray(found._mean)}
        if found._shift is not None:
            arrays["shift"] = found._shift
        io.save(path, arrays, {"kind": "kmeans"} | said)

    def _read(self, arrays, facts):
        measured = {"_mean": arrays["mean"], "_shift": arrays.get("shift")}
        self._keep(cluster.KMeansResult._made(arrays["centers"], arrays["labels"], **facts, **measured))

    @property
    def _n_features_out(self):
        return len(self.cluster_centers_)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
