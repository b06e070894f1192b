"""Robust linear regression (lecture, contents 4) as an estimator, the counterpart of scikit-learn's HuberRegressor."""

from __future__ import annotations

from typing import Any, Literal, Self, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.extmath import safe_sparse_dot
from sklearn.utils.validation import check_is_fitted, validate_data

from .. import _check, io
from .._typing import FloatArray
from ..robust import robust_lstsq
from .base import Estimator, RegressorMixin, all_or_nothing, checked_weights
from .callbacks import Tasks, with_callbacks

MatrixLike: TypeAlias = ArrayLike | sparse.spmatrix | sparse.sparray


class RobustRegressor(RegressorMixin, Estimator):
    """Linear regression that outliers do not carry away, the counterpart of scikit-learn's HuberRegressor.

    `fastlec.robust_lstsq` computes it and says more about the arguments.

    Parameters
    ----------
    loss : {"huber", "l1", "cauchy", "tukey"}
        The loss of a residual.
    scale : float or "mad"
        The residual at which the loss leaves the quadratic. "mad" takes tuning times an estimate of the deviation of the residuals.
    tuning : float, optional
        By default the fit has, without outliers, 95 percent of the efficiency of least squares.
    fit_intercept : bool
        Whether there is an intercept.
    tol : float, optional
        The stationarity at which it ends.
    max_iter : int
        Iterations at most.
    dtype : dtype, optional
        The dtype of the coefficients, float32 or float64. By default it is that of X and y.

    Attributes
    ----------
    coef_ : ndarray, shape (n,)
        The coefficients.
    intercept_ : float
        The intercept, 0 without one.
    scale_ : float
        The residual at which the loss leaves the quadratic.
    weights_ : ndarray, shape (m,)
        The weights of the samples with which plain least squares have the same fit.
    outliers_ : ndarray of bool, shape (m,)
        Whether a sample's residual is beyond the scale.
    n_iter_ : int
        How many iterations there were.
    n_features_in_ : int
        How many features X had.
    feature_names_in_ : ndarray, shape (n,)
        Their names, where X had names.

    See Also
    --------
    fastlec.robust_lstsq

    Examples
    --------
    >>> import numpy as np
    >>> from fastlec.sklearn import RobustRegressor
    >>> X = np.arange(10.0)[:, None]
    >>> y = 2 * X[:, 0] + 1 + 0.1 * np.sin(9 * X[:, 0])
    >>> y[7] = 100
    >>> model = RobustRegressor().fit(X, y)
    >>> bool(abs(model.coef_[0] - 2) < 0.1), np.flatnonzero(model.outliers_).tolist()
    (True, [7])
    """

    coef_: FloatArray
    intercept_: float
    scale_: float
    weights_: FloatArray
    outliers_: NDArray[np.bool_]
    n_iter_: int
    n_features_in_: int
    feature_names_in_: NDArray[Any]

    def __init__(
        self,
        loss: Literal["huber", "l1", "cauchy", "tukey"] = "huber",
        *,
        scale: float | Literal["mad"] = "mad",
        tuning: float | None = None,
        fit_intercept: bool = True,
        tol: float | None = None,
        max_iter: int = 200,
        dtype: DTypeLike | None = None,
    ) -> None:
        self.loss = loss
        self.scale = scale
        self.tuning = tuning
        self.fit_intercept = fit_intercept
        self.tol = tol
        self.max_iter = max_iter
        self.dtype = dtype

    @all_or_nothing
    @with_callbacks
    def fit(self, X: MatrixLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the coefficients.

        Parameters
        ----------
        X : array_like or sparse matrix, shape (m, n)
            The samples.
        y : array_like, shape (m,)
            The targets.
        sample_weight : array_like, shape (m,), optional
            Weights of the samples, >= 0. A weight of 2 counts as two samples.

        Returns
        -------
        RobustRegressor
            The fitted estimator.
        """
        X, y = validate_data(self, X, y, dtype=self._dtypes(), accept_sparse=["csr", "csc"], y_numeric=True)
        w = checked_weights(sample_weight, len(y))
        with np.errstate(over="ignore"):  # infinity is then refused
            y = y.astype(X.dtype)
        tasks = Tasks(self, "fit", 0, X, y, w)
        A = X
        if _check.flag(self.fit_intercept, "fit_intercept"):
            ones = np.ones((len(y), 1), X.dtype)
            A = sparse.hstack([X, ones], format=X.format) if sparse.issparse(X) else np.hstack([X, ones])
        options = {"loss": self.loss, "scale": self.scale, "tuning": self.tuning, "tol": self.tol, "max_iter": self.max_iter}
        found = robust_lstsq(A, y, sample_weight=w, **options)
        if not found.converged:
            _check.warn(f"RobustRegressor: {found.message}", ConvergenceWarning)
        n = X.shape[1]
        self.coef_, self.intercept_ = found.x[:n], found.x[n] if self.fit_intercept else found.x.dtype.type(0)
        self.scale_, self.weights_, self.n_iter_ = found.scale, found.weights, found.n_iter
        self.outliers_ = np.abs(y - self._outputs(X)) > found.scale
        tasks.finish(lambda: {name: getattr(self, name) for name in ("coef_", "intercept_", "scale_", "n_iter_")})
        return self

    def predict(self, X: MatrixLike) -> FloatArray:
        """The outputs X coef_ + intercept_.

        Parameters
        ----------
        X : array_like or sparse matrix, shape (m, n)
            The samples.

        Returns
        -------
        ndarray, shape (m,)
            The outputs.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=self.coef_.dtype, accept_sparse=["csr", "csc"], reset=False)
        return self._outputs(X)

    def _outputs(self, X):
        return safe_sparse_dot(X, self.coef_) + self.intercept_

    def _facts(self):
        return {"scale_": self.scale_, "n_iter_": self.n_iter_}

    def _write(self, path, said):
        arrays = {name: getattr(self, f"{name}_") for name in ("coef", "weights", "outliers")}
        arrays["intercept"] = np.asarray(self.intercept_)[None]
        io.save(path, arrays, {"kind": "robust"} | said)

    def _read(self, arrays, facts):
        self.coef_, self.weights_, self.outliers_ = (arrays[name] for name in ("coef", "weights", "outliers"))
        (self.intercept_,) = arrays["intercept"]
        self.scale_, self.n_iter_ = facts["scale_"], facts["n_iter_"]

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags
