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


def logsumexp(
    x: ArrayLike,
    axis: int | tuple[int, ...] | None = -1,
    *,
    b: ArrayLike | None = None,
    keepdims: bool = False,
    return_sign: bool = False,
) -> Float64Array | tuple[Float64Array, Float64Array]:
    """The logarithm of sum_i b_i exp(x_i), without overflow.

    Computed as top + log b_top + log1p(the sum of b_i / b_top exp(x_i - top) without the largest term). The sum over nothing is
    log 0 = -inf, and so is an element of weight b_i = 0, whatever it is.

    Parameters
    ----------
    x : array_like
        Real numbers, of any shape.
    axis : int, tuple of int or None
        The axes that are summed over; None for all.
    b : array_like, optional
        Weights of the terms, of any sign, which broadcast with x. By default ones.
    keepdims : bool
        Whether the axes that are summed over stay, of length 1.
    return_sign : bool
        Whether to return the logarithm of the sum's absolute value, and its sign. Else negative sums give NaN.

    Returns
    -------
    ndarray, shape of x without the axes
        The logarithms, float64; with return_sign a pair, of them and the signs.

    See Also
    --------
    fastlec.logsumexp, log_softmax

    Examples
    --------
    >>> fastlec.reference.logsumexp([[0.0, 0.0], [1000.0, -1000.0]])
    array([6.93147181e-01, 1.00000000e+03])
    """
    x, b = float64(x=x, b=1.0 if b is None else b)
    x, b = _check.broadcast(x=x, b=b)
    axes = _check.axis_tuple(axis, x.ndim)
    kept = [size for k, size in enumerate(x.shape) if k not in axes]
    last = range(x.ndim - len(axes), x.ndim)
    rows, weights = (np.moveaxis(a, axes, last).reshape(*kept, -1 if x.size else 0) for a in (x, b))
    shift, log_sum, sign = _shift_log_sum_and_sign(rows, weights)
    shape = [1 if k in axes else size for k, size in enumerate(x.shape)] if keepdims else kept
    y, sign = (shift + log_sum).reshape(shape)[()], sign.reshape(shape)[()]
    return (y, sign) if return_sign else np.where(sign < 0, np.nan, y)[()]


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
    shift, log_sum, _ = _shift_log_sum_and_sign(rows, np.broadcast_to(1.0, rows.shape))
    with np.errstate(invalid="ignore", over="ignore"):
        return np.moveaxis(rows - shift - log_sum, -1, axes)


def _shift_log_sum_and_sign(x, b):
    """(shift, s, sign) of shape (..., 1): sum b exp(x) = sign exp(shift + s); shift is 0 where the largest term is not finite."""
    shape, n = (*x.shape[:-1], 1), x.shape[-1]
    if n == 0:
        return np.zeros(shape), np.full(shape, -np.inf), np.zeros(shape)
    x, b = x.reshape(-1, n), b.reshape(-1, n)  # NumPy's indexing takes fewer axes than its arrays
    with np.errstate(all="ignore"):
        x = np.where(b == 0, -np.inf, x)
        sizes = x + np.log(np.abs(b))
        at = np.argmax(sizes, axis=-1, keepdims=True)
        top, shift, weight = (np.take_along_axis(a, at, axis=-1) for a in (sizes, x, b))
        terms = b / weight * np.exp(x - shift)
        np.put_along_axis(terms, at, 0.0, axis=-1)
        rest = np.sum(terms, axis=-1, keepdims=True)
        log_sum = np.log(np.abs(weight)) + np.where(rest < -0.5, np.log(np.abs(1 + rest)), np.log1p(rest))
        total = np.sum(np.where(np.isfinite(sizes), 0.0, b * np.exp(x)), axis=-1, keepdims=True)  # 0, infinite or NaN
        sign = np.sign(weight) * np.sign(1 + rest)
        found = zip((shift, log_sum, sign), (0.0, np.log(np.abs(total)), np.sign(total)), strict=True)
        return tuple(np.where(np.isfinite(top), a, other).reshape(shape) for a, other in found)


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
