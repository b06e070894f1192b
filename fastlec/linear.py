"""Logistic and softmax regression as objectives for scipy.optimize (lecture 2.1 to 2.3).

    F(theta) = sum_i w_i l_i(theta) / sum_i w_i + l2/2 ||W||^2

with l_i the cross-entropy of sample i (eq. 5 and 11) and the bias not penalised. Each evaluation is one pass over X, in blocks of
samples that stay in cache, so X may be a read-only memmap larger than memory. Samples are rows of X: the lecture's X is X.T here,
and W holds one row for each class.
"""

import numpy as np

from . import _check
from ._kernels.linear import Problem

HESSIAN_BYTES = 1 << 31
MOST_PARAMETERS = 1 << 48


class SoftmaxObjective:
    """Softmax regression: the mean cross-entropy of softmax(W x + b) as a function of theta.

    X : (m, n) float32 or float64 samples, read in place if each row is contiguous; other dtypes are converted (a copy).
    y : (m,) integers in [0, n_classes). n_classes : by default the largest label + 1, at least 2.
    fit_bias : whether theta ends with the biases. l2 : weight of the penalty; scikit-learn's C is 1 / (l2 * m).
    reduced : Remark 2's form without redundancy: the last class has no weights, its logit is zero.
    sample_weight : (m,), finite, >= 0, not all 0.

    theta is flat: W (l, n) raveled in C order, then b (l,), where l is n_classes, or n_classes - 1 if reduced. Computing happens in
    X's dtype, losses add up in float64, and arrays come back in theta's dtype: float64 for scipy.optimize. `batch`, an array of
    indices or a slice, restricts the mean to those samples.

        scipy.optimize.minimize(f.value_and_gradient, theta, jac=True, hessp=f.hessian_mv, method="Newton-CG")
    """

    def __init__(self, X, y, n_classes=None, *, fit_bias=True, l2=0.0, reduced=False, sample_weight=None):
        X = _check.samples(X)
        m, n = X.shape
        if n_classes is not None:
            n_classes = _check.count(n_classes, "n_classes", 2)
        y = _check.labels(y, m, n_classes, "y")
        self.n_classes = max(int(y.max()) + 1, 2) if n_classes is None else n_classes
        self._weight, self._total = (None, m) if sample_weight is None else _check.weights(sample_weight, m)
        self._rows = self.n_classes - bool(reduced)
        if self._rows * (n + 1) > MOST_PARAMETERS:
            raise MemoryError(f"{self.n_classes} classes of {n} features have more parameters than memory can hold")
        self._problem = self._bind(X, y, self._weight, bool(fit_bias))
        self.n_samples, self.n_features, self.dtype = m, n, X.dtype
        self.l2 = _check.non_negative(l2, "l2")
        self.fit_bias, self.reduced = bool(fit_bias), bool(reduced)

    def _bind(self, X, y, weight, bias):
        return Problem(X, y, weight, self.n_classes, self._rows, bias)

    @property
    def n_params(self):
        """The length of theta."""
        return self._problem.n_params

    def unpack(self, theta):
        """{"W": (l, n), "b": (l,)}: views of theta; no "b" without bias."""
        theta = _check.as_array(theta, "theta")
        self._vector(theta, "theta")
        split = self._rows * self.n_features
        parts = {"W": theta[:split].reshape(self._rows, self.n_features)}
        return parts | {"b": theta[split:]} if self.fit_bias else parts

    def value(self, theta, batch=None):
        """F(theta), a float."""
        theta, _ = self._vector(theta, "theta")
        problem, total = self._select(batch)
        return problem.value(theta) / total + self._penalty(theta)

    def gradient(self, theta, batch=None):
        """The gradient of F (lecture 2.3.1 and 2.3.2), as long as theta."""
        return self.value_and_gradient(theta, batch)[1]

    def value_and_gradient(self, theta, batch=None):
        """(F(theta), its gradient) from one pass over X."""
        theta, dtype = self._vector(theta, "theta")
        problem, total = self._select(batch)
        loss, gradient = problem.gradient(theta, 1 / total, self.l2)
        return loss / total + self._penalty(theta), gradient.astype(dtype, copy=False)

    def hessian_mv(self, theta, v):
        """The Hessian of F at theta times v, as long as theta, from one pass over X."""
        theta, dtype = self._vector(theta, "theta")
        v, _ = self._vector(v, "v")
        return self._problem.hessian_mv(theta, v, 1 / self._total, self.l2).astype(dtype, copy=False)

    def hessian_operator(self, theta):
        """The Hessian of F at theta as a scipy.sparse.linalg.LinearOperator, symmetric, (n_params, n_params).

        It keeps the probabilities at theta (m, n_classes), so each product costs two passes of arithmetic, not three.
        """
        from scipy.sparse.linalg import LinearOperator

        theta, dtype = self._vector(theta, "theta")
        probabilities = self._problem.probabilities(theta)

        def product(v):
            v, _ = self._vector(np.ravel(v), "v")
            return self._problem.hessian_mv_at(probabilities, v, 1 / self._total, self.l2).astype(dtype, copy=False)

        return LinearOperator((self.n_params, self.n_params), matvec=product, rmatvec=product, dtype=dtype)

    def hessian(self, theta):
        """The Hessian of F at theta, dense (n_params, n_params): for small problems. MemoryError above 2 GiB."""
        theta, dtype = self._vector(theta, "theta")
        if self.n_params**2 * self.dtype.itemsize > HESSIAN_BYTES:
            raise MemoryError(
                f"the Hessian of {self.n_params} parameters is larger than 2 GiB; use hessian_mv or hessian_operator"
            )
        m, n, rows = self.n_samples, self.n_features, self._rows
        width = n + self.fit_bias
        p = self._problem.probabilities(theta)[:, :rows]
        weight = np.full(m, 1 / self._total) if self._weight is None else self._weight / self._total
        blocks = np.zeros((rows, width, rows, width), self.dtype)
        step = max((1 << 22) // width, 1)
        for start in range(0, m, step):
            here = slice(start, start + step)
            X = np.hstack([self._problem.X[here], np.ones((len(p[here]), width - n), self.dtype)])
            for c in range(rows):
                for d in range(c + 1):
                    curvature = (weight[here] * p[here, c] * ((c == d) - p[here, d])).astype(self.dtype)
                    blocks[c, :, d] += X.T @ (curvature[:, None] * X)
        for c in range(rows):
            for d in range(c):
                blocks[d, :, c] = blocks[c, :, d].T
            blocks[c, range(n), c, range(n)] += self.l2
        # from (class, feature or bias) to theta's order: all weights, then all biases
        order = np.arange(rows * width).reshape(rows, width)
        order = np.concatenate([order[:, :n].ravel(), order[:, n:].ravel()])
        return blocks.reshape(rows * width, rows * width)[np.ix_(order, order)].astype(dtype, copy=False)

    def data_gradient(self, theta):
        """The gradient of F with respect to X (lecture 2.3.3): (m, n) in X's dtype."""
        theta, _ = self._vector(theta, "theta")
        return self._problem.data_gradient(theta, 1 / self._total)

    def predict_proba(self, theta, X=None):
        """Class probabilities (m, n_classes) of the samples X (m, n), by default the objective's own."""
        theta, _ = self._vector(theta, "theta")
        return self._other(X).probabilities(theta)

    def predict(self, theta, X=None):
        """The most probable class of each sample: (m,) integers."""
        theta, _ = self._vector(theta, "theta")
        return self._other(X).probabilities(theta).argmax(axis=1)

    def _other(self, X):
        if X is None:
            return self._problem
        X = _check.matrix(X, "X", columns=self.n_features)
        _check.float_dtype(X.dtype, "X")
        X = _check.samples(X if X.dtype == self.dtype else _check.plain(X, self.dtype, "X"))
        return self._bind(X, np.zeros(len(X), np.int64), None, self.fit_bias)

    def _vector(self, v, name):
        rows, n = self._rows, self.n_features
        parts = f"{rows} x {n} weights" + (f" and {rows} biases" if self.fit_bias else "")
        return _check.vector(v, self.n_params, self.dtype, name, parts)

    def _select(self, batch):
        """The problem restricted to a batch, and the sum of its weights."""
        if batch is None:
            return self._problem, self._total
        problem = self._problem
        X, y = _check.batch(problem.X, problem.y, batch)
        weight, total = None, len(X)
        if problem.weight is not None:
            weight, total = _check.weights(problem.weight[batch], len(X), "sample_weight[batch]")
        return self._bind(_check.samples(X), np.ascontiguousarray(y), weight, self.fit_bias), total

    def _penalty(self, theta):
        if not self.l2:
            return 0.0
        W = theta[: self._rows * self.n_features].astype(np.float64, copy=False)
        return 0.5 * self.l2 * float(W @ W)


class LogisticObjective(SoftmaxObjective):
    """Logistic regression: the mean cross-entropy of sigmoid(w x + b) (lecture eq. 3 to 9) as a function of theta.

    X : (m, n) samples. y : (m,) labels 0 or 1 (or bool). fit_bias, l2, sample_weight and methods as in `SoftmaxObjective`.
    theta is w (n,), then b. predict_proba gives P(y = 1): (m,).

    It is the reduced softmax of two classes (Remark 2), class 1 first, so that class 0 is the one whose weights are zero.
    """

    def __init__(self, X, y, *, fit_bias=True, l2=0.0, sample_weight=None):
        X = _check.matrix(X, "X")
        y = _check.labels(y, len(X), 2, "y")
        super().__init__(X, 1 - y, 2, fit_bias=fit_bias, l2=l2, reduced=True, sample_weight=sample_weight)

    def predict_proba(self, theta, X=None):
        """P(y = 1) = sigmoid(w x + b) (lecture eq. 4) of each sample: (m,)."""
        return super().predict_proba(theta, X)[:, 0].copy()

    def predict(self, theta, X=None):
        """1 where that probability is above one half, else 0: (m,) integers."""
        return (self.predict_proba(theta, X) > 0.5).astype(np.int64)
