"""K-means as an estimator, the counterpart of scikit-learn's KMeans."""

from __future__ import annotations

from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray
from sklearn.base import ClassNamePrefixFeaturesOutMixin
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.utils.validation import check_is_fitted, validate_data

from .. import cluster, io
from .._typing import FloatArray
from .base import ClusterMixin, Estimator, RandomState, TransformerMixin, all_or_nothing, checked_weights, generators
from .callbacks import Tasks, with_callbacks


class KMeans(ClassNamePrefixFeaturesOutMixin, TransformerMixin, ClusterMixin, Estimator):
    """K-means clustering, the counterpart of scikit-learn's KMeans.

    `fastlec.kmeans` computes it and says more about the arguments.

    Parameters
    ----------
    n_clusters : int
        How many clusters there are.
    init : {"k-means++", "random"} or array_like, shape (k, n)
        Where the centers begin.
    n_init : int or "auto"
        How many starts there are; the one with the least inertia counts. "auto" means 10 starts of init="random" and else 1.
    max_iter : int
        Iterations at most.
    tol : float
        It ends once the squared distance by which the centers have moved is at most this, in units of the features' mean variance.
    algorithm : {"auto", "lloyd", "bounds"}
        How the nearest centers are found; "bounds" leaves out products that cannot change a label.
    batch_size : int, optional
        The samples of a mini-batch; by default all samples count in every iteration.
    random_state : int, RandomState or None
        What the starts and the mini-batches are drawn with.
    dtype : dtype, optional
        The dtype that it computes in, float32 or float64. By default it is that of X.

    Attributes
    ----------
    cluster_centers_ : ndarray, shape (k, n)
        The centers.
    labels_ : ndarray, shape (m,)
        The cluster of each sample.
    inertia_ : float
        The weighted sum of the squared distances of samples to their centers.
    n_iter_ : int
        How many iterations there were.
    n_features_in_ : int
        How many features X had.
    feature_names_in_ : ndarray, shape (n,)
        Their names, where X had names.

    See Also
    --------
    fastlec.kmeans

    Examples
    --------
    >>> from fastlec.sklearn import KMeans
    >>> X, y = fastlec.datasets.make_blobs(300, 3)
    >>> model = KMeans(3, random_state=0).fit(X)
    >>> model.transform(X).argmin(axis=1).tolist() == model.labels_.tolist() == model.predict(X).tolist()
    True
    >>> model.n_iter_, round(model.inertia_, 2)
    (2, 6.03)
    """

    cluster_centers_: FloatArray
    labels_: NDArray[np.int32]
    inertia_: float
    n_iter_: int
    n_features_in_: int
    feature_names_in_: NDArray[Any]

    def __init__(
        self,
        n_clusters: int = 8,
        *,
        init: str | ArrayLike = "k-means++",
        n_init: int | Literal["auto"] = "auto",
        max_iter: int = 300,
        tol: float = 1e-4,
        algorithm: Literal["auto", "lloyd", "bounds"] = "auto",
        batch_size: int | None = None,
        random_state: RandomState = None,
        dtype: DTypeLike | None = None,
    ) -> None:
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
    def fit(self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None) -> Self:
        """Cluster samples.

        Parameters
        ----------
        X : array_like, shape (m, n)
            The samples.
        y : None
            Not used; pipelines pass it.
        sample_weight : array_like, shape (m,), optional
            Weights of the samples, >= 0.

        Returns
        -------
        KMeans
            The fitted estimator.
        """
        X = validate_data(self, X, dtype=self._dtypes(), order="C")
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

    def predict(self, X: ArrayLike) -> NDArray[np.int32]:
        """The nearest center of each sample.

        Parameters
        ----------
        X : array_like, shape (m, n)
            The samples.

        Returns
        -------
        ndarray, shape (m,)
            The numbers of the clusters, int32.
        """
        check_is_fitted(self)
        return self._result.predict(self._samples(X, self.cluster_centers_.dtype))

    def transform(self, X: ArrayLike) -> FloatArray:
        """The distance of each sample to each center.

        Parameters
        ----------
        X : array_like, shape (m, n)
            The samples.

        Returns
        -------
        ndarray, shape (m, k)
            The Euclidean distances.
        """
        check_is_fitted(self)
        return euclidean_distances(self._samples(X, self.cluster_centers_.dtype), self.cluster_centers_)

    def score(self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None) -> float:
        """Minus the inertia of samples at the centers.

        Parameters
        ----------
        X : array_like, shape (m, n)
            The samples.
        y : None
            Not used; pipelines pass it.
        sample_weight : array_like, shape (m,), optional
            Weights of the samples, >= 0.

        Returns
        -------
        float
            Minus the weighted sum of the squared distances to the nearest centers.
        """
        check_is_fitted(self)
        X = self._samples(X, self.cluster_centers_.dtype)
        w = checked_weights(sample_weight, len(X))
        squares = (X - self.cluster_centers_[self._result.predict(X)]) ** 2
        return -float(squares.sum() if w is None else w @ squares.sum(axis=1))

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
        self._keep(cluster.KMeansResult(arrays["centers"], arrays["labels"], **facts, **measured))

    @property
    def _n_features_out(self):
        return len(self.cluster_centers_)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
