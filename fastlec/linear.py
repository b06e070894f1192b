"""Logistic and softmax regression as objectives for scipy.optimize (lecture 2.1 to 2.3).

    F(theta) = sum_i w_i l_i(theta) / sum_i w_i + l2/2 ||W||^2

with l_i the cross-entropy of sample i (eq. 5 and 11) and the bias not penalised. Each evaluation is one pass over X, in blocks of
samples that stay in cache, so X may be a read-only memmap larger than memory. Samples are rows of X: the lecture's X is X.T here,
and W holds one row for each class.
"""

import math

import numpy as np

from . import _check
from ._comm import on_ranks, watched
from ._fixed import read_only
from ._kernels.linear import Problem, nan_row
from ._stream import Stream, matrix, parts, streamed
from ._streamed_problem import StreamedProblem

HESSIAN_BYTES = 1 << 31
STRIP = 64  # samples whose logits a thread holds at once


class _Checked:
    """Labels and weights checked and copied, so that they stay what was checked.

    A copy, and what is read from a pickle, is checked anew: by then X may have other strides, or none of it be ours.
    """

    def __init__(self, X, y, n_classes, weight, fit_bias, reduced):
        m, n = X.shape
        if n_classes is not None:
            n_classes = _check.count(n_classes, "n_classes", 2)
        y = _check.labels(np.array(_check.as_array(y, "y")), m, n_classes, "y")
        if n_classes is None:
            n_classes = max(int(y.max()) + 1, 2)
        weight, self.total = (None, m) if weight is None else _check.weights(weight, m)
        for own in (y, weight):
            if own is not None:
                own.flags.writeable = False
        fit_bias, rows = _check.flag(fit_bias, "fit_bias"), n_classes - _check.flag(reduced, "reduced")
        # theta, its gradient, a block's share of that and the weights as the kernel wants them; the logits of a strip
        _check.memory(X.dtype.itemsize * (4 * rows * (n + 1) + STRIP * n_classes), f"{n_classes} classes of {n} features")
        super().__init__(X, y, weight, n_classes, rows, fit_bias)

    def __reduce__(self):
        return type(self), (self.X, self.y, self.l, self.weight, self.bias, self.free < self.l)


class _Samples(_Checked, Problem):
    """Samples in memory, read in place where they can be."""

    def __init__(self, X, *given):
        super().__init__(_check.samples(X), *given)


class _StreamedSamples(_Checked, StreamedProblem):
    """Samples that are read block by block."""


_given = read_only("make a new objective from the arguments wanted")


class SoftmaxObjective:
    """Softmax regression: the mean cross-entropy of softmax(W x + b) as a function of theta.

    X : (m, n) float32 or float64 samples, read in place if each row is contiguous: a change of X changes what comes after. Other
    dtypes are converted (a copy).
    y : (m,) integers in [0, n_classes), copied. n_classes : by default the largest label + 1, at least 2.
    fit_bias : whether theta ends with the biases. l2 : weight of the penalty; scikit-learn's C is 1 / (l2 * m).
    reduced : Remark 2's form without redundancy: the last class has no weights, its logit is zero.
    sample_weight : (m,), finite, >= 0, not all 0; copied.
    comm : a communicator of several processes, each with samples of its own, as of `fastlec.fit`: F and its derivatives are those
    of all samples, with the same bits on every rank, and n_classes is by default that of all labels. Every rank calls the same
    methods in the same order, with the same theta (ValueError). RankError where another rank has failed.

    theta is flat: W (l, n) raveled in C order, then b (l,), where l is n_classes, or n_classes - 1 if reduced. Computing happens in
    X's dtype, losses add up in float64, and arrays come back in theta's dtype: float64 for scipy.optimize. `batch`, an array of
    indices or a slice, restricts the mean to those samples. Arguments can be read as attributes; only l2 can be assigned.

    ValueError, which names the element, for a value or gradient whose loss is not finite because X is not, and for predictions
    that are not numbers.

        scipy.optimize.minimize(f.value_and_gradient, theta, jac=True, hessp=f.hessian_mv, method="Newton-CG")
    """

    @on_ranks
    def __init__(self, X, y, n_classes=None, *, fit_bias=True, l2=0.0, reduced=False, sample_weight=None, comm=None):
        X, y = streamed(X, y)
        kind = _StreamedSamples if isinstance(X, Stream) else _Samples
        self._problem, self._group = kind(matrix(X), y, n_classes, sample_weight, fit_bias, reduced), comm
        self.l2 = l2
        if comm is not None:
            self._join(sample_weight, n_classes)

    def _join(self, sample_weight, n_classes):
        """The parts of the ranks. sample_weight, n_classes : as given."""
        group, problem = self._group, self._problem
        exponent = 0 if sample_weight is None else int(np.frexp(float(np.max(sample_weight)))[1])
        found = group.gather((problem.l, exponent))
        most = max(classes for classes, _ in found)
        if n_classes is None and problem.l < most:
            problem = self._problem = type(problem)(problem.X, problem.y, most, sample_weight, problem.bias, self.reduced)
        self._scale = math.ldexp(1.0, exponent - max(other for _, other in found))  # of weights, by which all counted at first
        names = "n_classes", "the number of features", "dtype", "fit_bias", "reduced", "l2"
        values = problem.l, problem.n, str(self.dtype), self.fit_bias, self.reduced, self.l2
        group.agree(dict(zip(names, values, strict=True)))

    def _weight(self, batch=None):
        """What this rank's mean counts by."""
        weight = self._problem.weight
        if weight is None:
            return self._scale * (self.n_samples if batch is None else len(self._problem.y[batch]))
        return self._scale * (weight if batch is None else weight[batch]).sum()

    def _joined(self, batch, *values, theta=None):
        """What this rank has found of its samples, as a list: with comm the means over all ranks."""
        return list(values) if self._group is None else self._group.mean(self._weight(batch), *values, theta=theta)

    @_given
    def X(self):
        """The samples (m, n) as they are read: the caller's memory where that could be."""
        X = self._problem.X
        return X if isinstance(X, Stream) else X.view()

    @_given
    def y(self):
        """The labels, int64 (m,), read-only."""
        return self._problem.y.view()

    @_given
    def sample_weight(self):
        """The weights, float64 (m,), read-only, times the power of two that brings the largest near 1; or None."""
        weight = self._problem.weight
        return None if weight is None else weight.view()

    @_given
    def n_samples(self):
        """m, the rows of X."""
        return self._problem.m

    @_given
    def n_features(self):
        """n, the columns of X."""
        return self._problem.n

    @_given
    def n_classes(self):
        return self._problem.l

    @_given
    def dtype(self):
        """float32 or float64: what is computed in."""
        return self._problem.X.dtype

    @_given
    def fit_bias(self):
        """Whether theta ends with the biases."""
        return self._problem.bias

    @_given
    def reduced(self):
        """Whether the last class has no weights."""
        return self._problem.free < self._problem.l

    @property
    def l2(self):
        """The weight of the penalty; it can be assigned, and counts from the next call on."""
        return self._l2

    @l2.setter
    def l2(self, value):
        self._l2 = _check.non_negative(value, "l2")

    @_given
    def n_params(self):
        """The length of theta."""
        return self._problem.n_params

    def unpack(self, theta):
        """{"W": (l, n), "b": (l,)}: views of theta; no "b" without bias."""
        theta = _check.as_array(theta, "theta")
        self._vector(theta, "theta")
        rows, n = self._problem.free, self.n_features
        split = rows * n
        parts = {"W": theta[:split].reshape(rows, n)}
        return parts | {"b": theta[split:]} if self.fit_bias else parts

    @watched
    def value(self, theta, batch=None):
        """F(theta), a float."""
        theta, _ = self._vector(theta, "theta")
        problem, total = self._select(batch)
        return self._joined(batch, self._mean(problem.value(theta), total) + self._penalty(theta), theta=theta)[0]

    def gradient(self, theta, batch=None):
        """The gradient of F (lecture 2.3.1 and 2.3.2), as long as theta."""
        return self.value_and_gradient(theta, batch)[1]

    @watched
    def value_and_gradient(self, theta, batch=None):
        """(F(theta), its gradient) from one pass over X."""
        theta, dtype = self._vector(theta, "theta")
        problem, total = self._select(batch)
        loss, gradient = problem.gradient(theta, 1 / total, self.l2)
        value, gradient = self._joined(batch, self._mean(loss, total) + self._penalty(theta), gradient, theta=theta)
        return value, gradient.astype(dtype, copy=False)

    @watched
    def hessian_mv(self, theta, v):
        """The Hessian of F at theta times v, as long as theta, from one pass over X."""
        theta, dtype = self._vector(theta, "theta")
        v, _ = self._vector(v, "v")
        product = self._problem.hessian_mv(theta, v, 1 / self._problem.total, self.l2)
        return self._joined(None, product, theta=theta)[0].astype(dtype, copy=False)

    def hessian_operator(self, theta):
        """The Hessian of F at theta as a scipy.sparse.linalg.LinearOperator, symmetric, (n_params, n_params).

        It keeps the probabilities at theta (m, n_classes), so each product costs two passes of arithmetic, not three; the columns
        of a matrix take one pass over X for many of them.
        """
        from ._operator import Operator

        theta, dtype = self._vector(theta, "theta")
        probabilities, l2 = self._problem.probabilities(theta), self.l2

        def products(V):
            V = np.ascontiguousarray(V, self.dtype)
            found = self._problem.hessian_mv_at(probabilities, V, 1 / self._problem.total, l2)
            return self._joined(None, found)[0].astype(dtype, copy=False)

        n = self.n_params
        return Operator((n, n), dtype, lambda v: products(v[None])[0], many=products, name="Hessian")

    @watched
    def hessian(self, theta):
        """The Hessian of F at theta, dense (n_params, n_params): for small problems. MemoryError above 2 GiB."""
        theta, dtype = self._vector(theta, "theta")
        if self.n_params**2 * self.dtype.itemsize > HESSIAN_BYTES:
            raise MemoryError(
                f"the Hessian of {self.n_params} parameters is larger than 2 GiB; use hessian_mv or hessian_operator"
            )
        problem = self._problem
        m, n, rows = problem.m, problem.n, problem.free
        width = n + problem.bias
        p = problem.probabilities(theta)[:, :rows]
        weight = np.full(m, 1 / problem.total) if problem.weight is None else problem.weight / problem.total
        blocks = np.zeros((rows, width, rows, width), self.dtype)
        for here, X in parts(problem.X, max((1 << 22) // width, 1)):
            X = np.hstack([X, np.ones((len(X), width - n), self.dtype)])
            for c in range(rows):
                for d in range(c + 1):
                    curvature = (weight[here] * p[here, c] * ((c == d) - p[here, d])).astype(self.dtype)
                    blocks[c, :, d] += X.T @ (curvature[:, None] * X)
        for c in range(rows):
            for d in range(c):
                blocks[d, :, c] = blocks[c, :, d].T
            blocks[c, range(n), c, range(n)] += self.l2
        (blocks,) = self._joined(None, blocks, theta=theta)
        # from (class, feature or bias) to theta's order: all weights, then all biases
        order = np.arange(rows * width).reshape(rows, width)
        order = np.concatenate([order[:, :n].ravel(), order[:, n:].ravel()])
        return blocks.reshape(rows * width, rows * width)[np.ix_(order, order)].astype(dtype, copy=False)

    @watched
    def data_gradient(self, theta):
        """The gradient of F with respect to X (lecture 2.3.3): (m, n) in X's dtype."""
        theta, _ = self._vector(theta, "theta")
        share = 1.0 if self._group is None else self._weight() / self._group.sum(np.array([self._weight()]))[0]
        return self._problem.data_gradient(theta, share / self._problem.total)

    def predict_proba(self, theta, X=None):
        """Class probabilities (m, n_classes) of the samples X (m, n), by default the objective's own.

        ValueError, which names the row, where they are not numbers: NaN in X or theta, or logits that are infinite.
        """
        return self._probabilities(theta, X)

    def predict(self, theta, X=None):
        """The most probable class of each sample: (m,) integers. ValueError as in predict_proba."""
        return self._probabilities(theta, X).argmax(axis=1)

    def _probabilities(self, theta, X):
        theta, _ = self._vector(theta, "theta")
        problem = self._problem if X is None else self._other(X)
        p = problem.probabilities(theta)
        row = nan_row(p)
        if row >= 0:
            _check.finite(theta, "theta")
            _check.finite(problem.X[row : row + 1], "X", first=row)
            raise ValueError(f"X[{row}] and theta are too large: their product overflows {self.dtype}")
        return p

    def _other(self, X):
        """Samples without labels."""
        X = matrix(X)
        _check.shape(X, "X", (len(X), self.n_features))
        _check.float_dtype(X.dtype, "X")
        if isinstance(X, Stream):
            X = X.astype(self.dtype)
        else:
            X = _check.samples(X if X.dtype == self.dtype else _check.plain(X, self.dtype, "X"))
        return self._bind(X, np.zeros(len(X), np.int64), None)

    def _bind(self, X, y, weight):
        """Other samples for the same theta."""
        problem, kind = self._problem, StreamedProblem if isinstance(X, Stream) else Problem
        return kind(X, y, weight, problem.l, problem.free, problem.bias)

    def _vector(self, v, name):
        problem = self._problem
        parts = f"{problem.free} x {problem.n} weights" + (f" and {problem.free} biases" if problem.bias else "")
        return _check.vector(v, problem.n_params, problem.X.dtype, name, parts)

    def _select(self, batch):
        """The problem restricted to a batch, and the sum of its weights."""
        problem = self._problem
        if batch is None:
            return problem, problem.total
        X, y = _check.batch(problem.X, problem.y, batch)
        weight, total = None, len(X)
        if problem.weight is not None:
            weight, total = _check.weights(problem.weight[batch], len(X), "sample_weight[batch]")
        return self._bind(_check.samples(X), np.ascontiguousarray(y), weight), total

    def _mean(self, loss, total):
        """loss / total; where that is not finite, because of X, the error says so."""
        if not math.isfinite(loss):
            for rows, X in parts(self._problem.X, self._problem.m):
                _check.finite(X, "X", first=rows.start)
        return loss / total

    def _penalty(self, theta):
        if not self.l2:
            return 0.0
        W = theta[: self._problem.free * self.n_features]
        with np.errstate(over="ignore"):  # infinity says it
            return (
                0.5 * self.l2 * float(np.square(W, dtype=np.float64).sum())
            )  # BLAS sums as its threads and the machine have it


class LogisticObjective(SoftmaxObjective):
    """Logistic regression: the mean cross-entropy of sigmoid(w x + b) (lecture eq. 3 to 9) as a function of theta.

    X : (m, n) samples. y : (m,) labels 0 or 1 (or bool). fit_bias, l2, sample_weight, comm and methods as in `SoftmaxObjective`.
    theta is w (n,), then b. predict_proba gives P(y = 1): (m,).

    It is the reduced softmax of two classes (Remark 2), class 1 first, so that class 0 is the one whose weights are zero.
    """

    @on_ranks
    def __init__(self, X, y, *, fit_bias=True, l2=0.0, sample_weight=None, comm=None):
        X, y = streamed(X, y)
        X = matrix(X)
        y = _check.labels(y, len(X), 2, "y")
        super().__init__(X, 1 - y, 2, fit_bias=fit_bias, l2=l2, reduced=True, sample_weight=sample_weight, comm=comm)

    @_given
    def y(self):
        """The labels, int64 (m,), read-only."""
        y = 1 - self._problem.y
        y.flags.writeable = False
        return y

    def predict_proba(self, theta, X=None):
        """P(y = 1) = sigmoid(w x + b) (lecture eq. 4) of each sample: (m,)."""
        return super().predict_proba(theta, X)[:, 0].copy()

    def predict(self, theta, X=None):
        """1 where that probability is above one half, else 0: (m,) integers."""
        return (self.predict_proba(theta, X) > 0.5).astype(np.int64)
