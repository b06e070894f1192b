"""softmax, its logarithm and cross-entropy (section 2.2)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from .. import _check
from .arrays import Float64Array, float64


def softmax(x: ArrayLike, axis: int | tuple[int, ...] | None = -1) -> Float64Array:
    """Probabilities exp(x_j - top) / sum_i exp(x_i - top) with top = max(x): eq. 10, computed "safely".

    A slice that holds NaN or +inf, or -inf alone, becomes NaN.

    Parameters
    ----------
    x : array_like
        Real numbers, of any shape.
    axis : int, tuple of int or None
        The axes that are summed over; None for all.

    Returns
    -------
    ndarray, shape of x
        The probabilities, float64.

    See Also
    --------
    fastlec.softmax, log_softmax

    Examples
    --------
    >>> fastlec.reference.softmax([0.0, 1.0, 1000.0])
    array([0., 0., 1.])
    """
    (x,) = float64(x=x)
    axis = _check.axis_tuple(axis, x.ndim)
    with np.errstate(invalid="ignore", over="ignore"):
        e = np.exp(x - np.max(x, axis=axis, keepdims=True, initial=-np.inf))
        return e / np.sum(e, axis=axis, keepdims=True)


def logsumexp(x: ArrayLike, axis: int | tuple[int, ...] | None = -1) -> Float64Array:
    """The logarithm of sum_i exp(x_i), without overflow.

    Computed as top + log1p(the sum of exp(x_i - top) without the top's own 1). The sum over nothing is log 0 = -inf.

    Parameters
    ----------
    x : array_like
        Real numbers, of any shape.
    axis : int, tuple of int or None
        The axes that are summed over; None for all.

    Returns
    -------
    ndarray, shape of x without the axes
        The logarithms, float64.

    See Also
    --------
    fastlec.logsumexp, log_softmax

    Examples
    --------
    >>> fastlec.reference.logsumexp([[0.0, 0.0], [1000.0, -1000.0]])
    array([6.93147181e-01, 1.00000000e+03])
    """
    (x,) = float64(x=x)
    axes = _check.axis_tuple(axis, x.ndim)
    kept = [size for k, size in enumerate(x.shape) if k not in axes]
    rows = np.moveaxis(x, axes, range(x.ndim - len(axes), x.ndim)).reshape(*kept, -1 if x.size else 0)
    shift, log_sum = _shift_and_log_sum(rows)
    return (shift + log_sum)[..., 0]


def log_softmax(x: ArrayLike, axis: int = -1) -> Float64Array:
    """The logarithm of softmax, which neither overflows nor takes log(0).

    Computed as (x_j - top) - log1p(the sum of the other exponentials).

    Parameters
    ----------
    x : array_like
        Real numbers, of any shape.
    axis : int
        The axis that is summed over.

    Returns
    -------
    ndarray, shape of x
        The logarithms of the probabilities, float64.

    See Also
    --------
    fastlec.log_softmax, softmax, logsumexp

    Examples
    --------
    >>> fastlec.reference.log_softmax([0.0, 1000.0])
    array([-1000.,     0.])
    """
    (x,) = float64(x=x)
    axes = _check.axis_tuple(axis, x.ndim)
    if axis is None or len(axes) != 1:
        raise TypeError(f"axis is {_check.shown(axis)}; expected an integer")
    rows = np.moveaxis(x, axes, -1)
    shift, log_sum = _shift_and_log_sum(rows)
    with np.errstate(invalid="ignore", over="ignore"):
        return np.moveaxis(rows - shift - log_sum, -1, axes)


def _shift_and_log_sum(rows):
    """(shift, s) of shape (..., 1) with log sum exp(rows) = shift + s; the shift is 0 where the top is not finite."""
    if rows.shape[-1] == 0:
        return np.zeros((*rows.shape[:-1], 1)), np.full((*rows.shape[:-1], 1), -np.inf)
    shape, rows = (*rows.shape[:-1], 1), rows.reshape(-1, rows.shape[-1])  # NumPy's indexing takes fewer axes than its arrays
    at = np.argmax(rows, axis=-1, keepdims=True)
    top = np.take_along_axis(rows, at, axis=-1)
    shift = np.where(np.isfinite(top), top, 0.0)
    with np.errstate(over="ignore"):
        e = np.exp(rows - shift)
    np.put_along_axis(e, at, 0.0, axis=-1)
    rest = np.sum(e, axis=-1, keepdims=True)
    return shift.reshape(shape), np.where(np.isfinite(top), np.log1p(rest), top).reshape(shape)


def softmax_cross_entropy(
    logits: ArrayLike, labels: ArrayLike, sample_weight: ArrayLike | None = None
) -> tuple[float, Float64Array]:
    """The cross-entropy of softmax and labels (eq. 11), and its gradient by the logits.

    The loss is -sum_i w_i sum_k c_ik log softmax(logits)_ik with w = sample_weight / sum; 0 log 0 counts as 0. The gradient is
    w_i (softmax - c), where the rows of c sum to 1 (section 2.3.2).

    Parameters
    ----------
    logits : array_like, shape (m, l)
        One row of logits for each sample.
    labels : array_like, shape (m,) or (m, l)
        The class of each sample, an integer; or rows c of probabilities.
    sample_weight : array_like, shape (m,), optional
        Weights of the samples, by default equal. They are divided by their sum.

    Returns
    -------
    loss : float
        The weighted mean over the samples.
    gradient : ndarray, shape (m, l)
        The derivatives of the loss by the logits.

    See Also
    --------
    fastlec.softmax_cross_entropy, fastlec.SoftmaxCrossEntropy

    Examples
    --------
    >>> fastlec.reference.softmax_cross_entropy([[0.0, 0.0]], [1])
    (0.6931471805599453, array([[ 0.5, -0.5]]))
    """
    (logits,) = float64(logits=logits)
    c, w = _indicators(labels, logits.shape[1]), mean_weights(sample_weight, logits.shape[0])
    terms = np.multiply(c, log_softmax(logits), out=np.zeros_like(logits), where=c != 0)
    gradient = c.sum(axis=1, keepdims=True) * softmax(logits) - c
    return float(-w @ terms.sum(axis=1)), w[:, None] * gradient


def _indicators(labels, n_classes):
    """The lecture's class vectors c_k as columns, (m, l): I[y_i = k], or the given rows of probabilities."""
    labels = np.asarray(labels)
    return labels.astype(np.float64) if labels.ndim == 2 else np.eye(n_classes)[labels]


def mean_weights(sample_weight: ArrayLike | None, m: int) -> Float64Array:
    w = np.ones(m) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
    return w / w.sum()
