"""Robust linear regression (lecture, contents 4) as an estimator, the counterpart of scikit-learn's HuberRegressor."""

import numpy as np
from scipy import sparse
from sklearn.base import RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.extmath import safe_sparse_dot
from sklearn.utils.validation import check_is_fitted, validate_data

from .. import _check, io
from ..robust import robust_lstsq
from .base import Estimator, all_or_nothing, checked_weights
from .callbacks import Tasks, with_callbacks


class RobustRegressor(RegressorMixin, Estimator):
    """Linear regression that outliers do not carry away, by `fastlec.robust_lstsq`, which documents loss, scale, tuning, tol and
    max_iter. X may be sparse.

    fit_intercept : whether there is an intercept.  dtype : float32 or float64 of the coefficients; None: that of X and y.

    After fit: coef_ (n,), intercept_, scale_ (what residuals were divided by), weights_ (m,), with which plain least squares have
    the same fit, outliers_ (m,), where the residual is beyond the scale, n_iter_, n_features_in_, feature_names_in_.

    >>> import numpy as np
    >>> from fastlec.sklearn import RobustRegressor
    >>> X = np.arange(10.0)[:, None]
    >>> y = 2 * X[:, 0] + 1 + 0.1 * np.sin(9 * X[:, 0])
    >>> y[7] = 100
    >>> model = RobustRegressor().fit(X, y)
    >>> bool(abs(model.coef_[0] - 2) < 0.1), np.flatnonzero(model.outliers_).tolist()
    (True, [7])
    """

    def __init__(self, loss="huber", *, scale="mad", tuning=None, fit_intercept=True, tol=None, max_iter=200, dtype=None):
        self.loss = loss
        self.scale = scale
        self.tuning = tuning
        self.fit_intercept = fit_intercept
        self.tol = tol
        self.max_iter = max_iter
        self.dtype = dtype

    @all_or_nothing
    @with_callbacks
    def fit(self, X, y, sample_weight=None):
        """Fit to the samples X (m, n) and targets y (m,). sample_weight : (m,), >= 0: a weight of 2 counts as two samples."""
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

    def predict(self, X):
        """X coef_ + intercept_ (m,)."""
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
