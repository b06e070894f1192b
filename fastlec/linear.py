"""Logistic and softmax regression as objectives for scipy.optimize (lecture 2.1 to 2.3).

    F(theta) = sum_i w_i l_i(theta) / sum_i w_i + l2/2 ||W||^2

with l_i the cross-entropy of sample i (eq. 5 and 11) and the bias not penalised. Each evaluation is one pass over X, in blocks of
samples that stay in cache, so X may be a read-only memmap larger than memory. Samples are rows of X: the lecture's X is X.T here,
and W holds one row for each class.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from . import _check
from ._comm import on_ranks, watched
from ._fixed import read_only
from ._kernels.linear import Problem, nan_row
from ._stream import Stream, matrix, parts, streamed
from ._streamed_problem import StreamedProblem

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray
    from scipy.sparse.linalg import LinearOperator

    from ._comm import Communicator
    from ._typing import F, FloatArray

__all__ = ["LogisticObjective", "SoftmaxObjective"]


def __dir__() -> list[str]:
    return __all__


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


if TYPE_CHECKING:
    from builtins import property as _given
else:
    _given = read_only("make a new objective from the arguments wanted")


class SoftmaxObjective:
    """Softmax regression: mean cross-entropy of softmax(W x + b) as a function of theta (lecture 2.2).

    theta is flat: W (l, n) raveled in C order, then b (l,), where l is `n_classes`, or `n_classes` - 1 if `reduced`. Computing
    happens in X's dtype, and losses add up in float64. Arrays come back in theta's dtype, float64 for `scipy.optimize`. `l2` can be
    assigned; the other arguments can only be read.

    Parameters
    ----------
    X : array_like or Stream, shape (m, n)
        The samples. float32 and float64 are read in place if each row is contiguous, and a change of them changes what comes after.
        Other dtypes are converted, which is a copy. Or what a `data.Stream` is made of, which every call reads block by block.
    y : array_like, shape (m,)
        Integers from 0 to n_classes - 1. They are copied. None where the stream has them.
    n_classes : int, optional
        The number of classes, at least 2. By default the largest label + 1.
    fit_bias : bool, optional
        Whether theta ends with the biases.
    l2 : float, optional
        The weight of the penalty, >= 0. scikit-learn's C is 1 / (l2 m).
    reduced : bool, optional
        Whether to leave out what is redundant (Remark 2): the last class has no weights, and its logit is 0.
    sample_weight : array_like, shape (m,), optional
        Finite weights >= 0, not all 0. They are copied.
    comm : Communicator, optional
        The processes, each with samples of its own, that compute together, as of `fit`. F and its derivatives are those of all
        samples, with the same bits on every rank. Every rank calls the same methods in the same order, with the same theta.

    Raises
    ------
    TypeError
        If an array does not hold real numbers, labels are no integers, or an argument is of another type.
    ValueError
        If shapes do not fit, a label is no class, or weights are negative, not finite or all 0.
    MemoryError
        If so many classes of so many features do not fit into memory.

    See Also
    --------
    LogisticObjective, Objective, softmax_cross_entropy

    Examples
    --------
    >>> import numpy as np
    >>> import fastlec
    >>> from scipy.optimize import minimize
    >>> X, y = fastlec.datasets.make_blobs(60, n_classes=3, rng=0)
    >>> f = fastlec.SoftmaxObjective(X, y, l2=0.01)
    >>> f.n_params, round(f.value(np.zeros(f.n_params)), 4)  # log 3 without weights
    (9, 1.0986)
    >>> found = minimize(f.value_and_gradient, np.zeros(f.n_params), jac=True, hessp=f.hessian_mv, method="Newton-CG")
    >>> float((f.predict(found.x) == y).mean())
    1.0
    """

    @on_ranks
    def __init__(
        self,
        X: ArrayLike | Stream,
        y: ArrayLike | None,
        n_classes: int | None = None,
        *,
        fit_bias: bool = True,
        l2: float = 0.0,
        reduced: bool = False,
        sample_weight: ArrayLike | None = None,
        comm: Communicator | None = None,
    ) -> None:
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

    def __repr__(self) -> str:
        classes = f", {self.n_classes} classes" if type(self) is SoftmaxObjective else ""
        return f"<{type(self).__name__}: X {self.X.shape} {self.dtype}{classes}, l2={self.l2}>"

    @_given
    def X(self) -> FloatArray:
        """The samples (m, n) as they are read: the caller's memory where that could be."""
        X = self._problem.X
        return X if isinstance(X, Stream) else X.view()

    @_given
    def y(self) -> NDArray[np.int64]:
        """The labels, int64 (m,), read-only."""
        return self._problem.y.view()

    @_given
    def sample_weight(self) -> NDArray[np.float64] | None:
        """The weights, float64 (m,), read-only, times the power of two that brings the largest near 1; or None."""
        weight = self._problem.weight
        return None if weight is None else weight.view()

    @_given
    def n_samples(self) -> int:
        """The number m of samples."""
        return self._problem.m

    @_given
    def n_features(self) -> int:
        """The number n of features."""
        return self._problem.n

    @_given
    def n_classes(self) -> int:
        """The number of classes."""
        return self._problem.l

    @_given
    def dtype(self) -> np.dtype[np.floating[Any]]:
        """What is computed in: float32 or float64."""
        return self._problem.X.dtype

    @_given
    def fit_bias(self) -> bool:
        """Whether theta ends with the biases."""
        return self._problem.bias

    @_given
    def reduced(self) -> bool:
        """Whether the last class has no weights."""
        return self._problem.free < self._problem.l

    @property
    def l2(self) -> float:
        """The weight of the penalty. It can be assigned, and counts from the next call on."""
        return self._l2

    @l2.setter
    def l2(self, value: float) -> None:
        self._l2 = _check.non_negative(value, "l2")

    @_given
    def n_params(self) -> int:
        """The length of theta."""
        return self._problem.n_params

    @overload
    def unpack(self, theta: NDArray[F]) -> dict[str, NDArray[F]]: ...
    @overload
    def unpack(self, theta: ArrayLike) -> dict[str, NDArray[np.float64]]: ...
    def unpack(self, theta: ArrayLike) -> dict[str, Any]:
        """Weights and biases as views of theta.

        Parameters
        ----------
        theta : array_like, shape (n_params,)
            The parameters.

        Returns
        -------
        dict of ndarray
            "W" of shape (l, n) and, with `fit_bias`, "b" of shape (l,).

        Raises
        ------
        TypeError
            If an argument does not hold real numbers.
        ValueError
            If its shape does not fit.
        """
        theta = _check.as_array(theta, "theta")
        self._vector(theta, "theta")
        rows, n = self._problem.free, self.n_features
        split = rows * n
        parts = {"W": theta[:split].reshape(rows, n)}
        return parts | {"b": theta[split:]} if self.fit_bias else parts

    @watched
    def value(self, theta: ArrayLike, batch: slice | ArrayLike | None = None) -> float:
        """Value F(theta).

        Parameters
        ----------
        theta : array_like, shape (n_params,)
            The parameters.
        batch : slice or array_like of int, optional
            The samples to take the mean over. By default all.

        Returns
        -------
        float
            The mean loss and the penalty.

        Raises
        ------
        TypeError
            If an argument does not hold real numbers.
        ValueError
            If its shape does not fit, `batch` selects no samples, or a loss is not finite because of `X`, whose element is named.
        """
        theta, _ = self._vector(theta, "theta")
        problem, total = self._select(batch)
        return self._joined(batch, self._mean(problem.value(theta), total) + self._penalty(theta), theta=theta)[0]

    @overload
    def gradient(self, theta: NDArray[F], batch: slice | ArrayLike | None = None) -> NDArray[F]: ...
    @overload
    def gradient(self, theta: ArrayLike, batch: slice | ArrayLike | None = None) -> NDArray[np.float64]: ...
    def gradient(self, theta: ArrayLike, batch: slice | ArrayLike | None = None) -> FloatArray:
        """Gradient of F (lecture 2.3.1 and 2.3.2).

        Parameters
        ----------
        theta : array_like, shape (n_params,)
            The parameters.
        batch : slice or array_like of int, optional
            The samples to take the mean over. By default all.

        Returns
        -------
        ndarray, shape (n_params,)
            The derivatives, in theta's dtype.

        Raises
        ------
        TypeError
            If an argument does not hold real numbers.
        ValueError
            If its shape does not fit, `batch` selects no samples, or a loss is not finite because of `X`, whose element is named.
        """
        return self.value_and_gradient(theta, batch)[1]

    @overload
    def value_and_gradient(self, theta: NDArray[F], batch: slice | ArrayLike | None = None) -> tuple[float, NDArray[F]]: ...
    @overload
    def value_and_gradient(
        self, theta: ArrayLike, batch: slice | ArrayLike | None = None
    ) -> tuple[float, NDArray[np.float64]]: ...
    @watched
    def value_and_gradient(self, theta: ArrayLike, batch: slice | ArrayLike | None = None) -> tuple[float, FloatArray]:
        """Value and gradient of F from one pass over X.

        Parameters
        ----------
        theta : array_like, shape (n_params,)
            The parameters.
        batch : slice or array_like of int, optional
            The samples to take the mean over. By default all.

        Returns
        -------
        value : float
            The mean loss and the penalty.
        gradient : ndarray, shape (n_params,)
            The derivatives, in theta's dtype.

        Raises
        ------
        TypeError
            If an argument does not hold real numbers.
        ValueError
            If its shape does not fit, `batch` selects no samples, or a loss is not finite because of `X`, whose element is named.
        """
        theta, dtype = self._vector(theta, "theta")
        problem, total = self._select(batch)
        loss, gradient = problem.gradient(theta, 1 / total, self.l2)
        value, gradient = self._joined(batch, self._mean(loss, total) + self._penalty(theta), gradient, theta=theta)
        return value, gradient.astype(dtype, copy=False)

    @overload
    def hessian_mv(self, theta: NDArray[F], v: ArrayLike) -> NDArray[F]: ...
    @overload
    def hessian_mv(self, theta: ArrayLike, v: ArrayLike) -> NDArray[np.float64]: ...
    @watched
    def hessian_mv(self, theta: ArrayLike, v: ArrayLike) -> FloatArray:
        """Hessian of F times a vector, from one pass over X.

        Parameters
        ----------
        theta : array_like, shape (n_params,)
            The parameters.
        v : array_like, shape (n_params,)
            The vector.

        Returns
        -------
        ndarray, shape (n_params,)
            The product, in theta's dtype.

        Raises
        ------
        TypeError
            If an argument does not hold real numbers.
        ValueError
            If its shape does not fit.
        """
        theta, dtype = self._vector(theta, "theta")
        v, _ = self._vector(v, "v")
        product = self._problem.hessian_mv(theta, v, 1 / self._problem.total, self.l2)
        return self._joined(None, product, theta=theta)[0].astype(dtype, copy=False)

    def hessian_operator(self, theta: ArrayLike) -> LinearOperator:
        """Hessian of F as an operator of SciPy.

        Parameters
        ----------
        theta : array_like, shape (n_params,)
            The parameters.

        Returns
        -------
        scipy.sparse.linalg.LinearOperator, shape (n_params, n_params)
            It is symmetric, and multiplies vectors and matrices.

        Raises
        ------
        TypeError
            If an argument does not hold real numbers.
        ValueError
            If its shape does not fit.

        Notes
        -----
        The operator keeps the probabilities at theta, (m, n_classes), so that each product costs two passes of arithmetic, not
        three. The columns of a matrix take one pass over X for many of them.
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

    @overload
    def hessian(self, theta: NDArray[F]) -> NDArray[F]: ...
    @overload
    def hessian(self, theta: ArrayLike) -> NDArray[np.float64]: ...
    @watched
    def hessian(self, theta: ArrayLike) -> FloatArray:
        """Hessian of F as an array: for small problems.

        Parameters
        ----------
        theta : array_like, shape (n_params,)
            The parameters.

        Returns
        -------
        ndarray, shape (n_params, n_params)
            The second derivatives, in theta's dtype.

        Raises
        ------
        TypeError
            If an argument does not hold real numbers.
        ValueError
            If its shape does not fit.
        MemoryError
            If it were larger than 2 GiB.
        """
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
    def data_gradient(self, theta: ArrayLike) -> FloatArray:
        """Gradient of F by the samples (lecture 2.3.3).

        Parameters
        ----------
        theta : array_like, shape (n_params,)
            The parameters.

        Returns
        -------
        ndarray, shape (m, n)
            The derivatives, in X's dtype.

        Raises
        ------
        TypeError
            If an argument does not hold real numbers.
        ValueError
            If its shape does not fit.
        """
        theta, _ = self._vector(theta, "theta")
        share = 1.0 if self._group is None else self._weight() / self._group.sum(np.array([self._weight()]))[0]
        return self._problem.data_gradient(theta, share / self._problem.total)

    def predict_proba(self, theta: ArrayLike, X: ArrayLike | Stream | None = None) -> FloatArray:
        """Probabilities of the classes.

        Parameters
        ----------
        theta : array_like, shape (n_params,)
            The parameters.
        X : array_like, shape (m, n), optional
            The samples. By default the objective's own.

        Returns
        -------
        ndarray, shape (m, n_classes)
            A row for each sample, of sum 1, in the dtype of the objective's samples.

        Raises
        ------
        TypeError
            If an argument does not hold real numbers.
        ValueError
            If its shape does not fit, or a probability is no number, because of NaN or of infinite logits. The row is named.
        """
        return self._probabilities(theta, X)

    def predict(self, theta: ArrayLike, X: ArrayLike | Stream | None = None) -> NDArray[np.int64]:
        """Most probable class of each sample.

        Parameters
        ----------
        theta : array_like, shape (n_params,)
            The parameters.
        X : array_like, shape (m, n), optional
            The samples. By default the objective's own.

        Returns
        -------
        ndarray of int, shape (m,)
            The classes.

        Raises
        ------
        TypeError
            If an argument does not hold real numbers.
        ValueError
            If its shape does not fit, or a probability is no number, because of NaN or of infinite logits. The row is named.
        """
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
    """Logistic regression: mean cross-entropy of sigmoid(w x + b) as a function of theta (lecture eq. 3 to 9).

    theta is w (n,), then b. Methods are those of `SoftmaxObjective`, of which this is the reduced form of two classes (Remark 2)
    with class 1 first, so that class 0 is the one whose weights are 0.

    Parameters
    ----------
    X : array_like, shape (m, n)
        The samples. float32 and float64 are read in place if each row is contiguous, and a change of them changes what comes after.
        Other dtypes are converted, which is a copy.
    y : array_like, shape (m,)
        Labels 0 or 1, integers or bool. They are copied.
    fit_bias : bool, optional
        Whether theta ends with the bias.
    l2 : float, optional
        The weight of the penalty, >= 0. scikit-learn's C is 1 / (l2 m).
    sample_weight : array_like, shape (m,), optional
        Finite weights >= 0, not all 0. They are copied.
    comm : Communicator, optional
        The processes, each with samples of its own, that compute together, as of `fit`. F and its derivatives are those of all
        samples, with the same bits on every rank. Every rank calls the same methods in the same order, with the same theta.

    Raises
    ------
    TypeError
        If an array does not hold real numbers, labels are no integers, or an argument is of another type.
    ValueError
        If shapes do not fit, a label is neither 0 nor 1, or weights are negative, not finite or all 0.

    See Also
    --------
    SoftmaxObjective, sigmoid

    Examples
    --------
    >>> import numpy as np
    >>> import fastlec
    >>> f = fastlec.LogisticObjective([[0.0], [1.0], [2.0], [3.0]], [0, 1, 0, 1], l2=0.1)
    >>> theta = np.array([1.0, -1.5])
    >>> f.predict_proba(theta).round(4)
    array([0.1824, 0.3775, 0.6225, 0.8176])
    >>> fastlec.testing.gradient_test(f.value, f.gradient, theta).passed
    True
    """

    @on_ranks
    def __init__(
        self,
        X: ArrayLike | Stream,
        y: ArrayLike | None,
        *,
        fit_bias: bool = True,
        l2: float = 0.0,
        sample_weight: ArrayLike | None = None,
        comm: Communicator | None = None,
    ) -> None:
        X, y = streamed(X, y)
        X = matrix(X)
        y = _check.labels(y, len(X), 2, "y")
        super().__init__(X, 1 - y, 2, fit_bias=fit_bias, l2=l2, reduced=True, sample_weight=sample_weight, comm=comm)

    @_given
    def y(self) -> NDArray[np.int64]:
        """The labels, int64 (m,), read-only."""
        y = 1 - self._problem.y
        y.flags.writeable = False
        return y

    def predict_proba(self, theta: ArrayLike, X: ArrayLike | Stream | None = None) -> FloatArray:
        """Probabilities P(y = 1) = sigmoid(w x + b) (lecture eq. 4).

        Parameters
        ----------
        theta : array_like, shape (n_params,)
            The parameters.
        X : array_like, shape (m, n), optional
            The samples. By default the objective's own.

        Returns
        -------
        ndarray, shape (m,)
            A probability for each sample, in the dtype of the objective's samples.

        Raises
        ------
        TypeError
            If an argument does not hold real numbers.
        ValueError
            If its shape does not fit, or a probability is no number, because of NaN or of infinite logits. The row is named.
        """
        return super().predict_proba(theta, X)[:, 0].copy()

    def predict(self, theta: ArrayLike, X: ArrayLike | Stream | None = None) -> NDArray[np.int64]:
        """Class of each sample: 1 where its probability is above one half, else 0.

        Parameters
        ----------
        theta : array_like, shape (n_params,)
            The parameters.
        X : array_like, shape (m, n), optional
            The samples. By default the objective's own.

        Returns
        -------
        ndarray of int, shape (m,)
            The classes.

        Raises
        ------
        TypeError
            If an argument does not hold real numbers.
        ValueError
            If its shape does not fit, or a probability is no number, because of NaN or of infinite logits. The row is named.
        """
        return (self.predict_proba(theta, X) > 0.5).astype(np.int64)
