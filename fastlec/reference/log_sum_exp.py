"""softmax, its logarithm and cross-entropy (section 2.2)."""

import numpy as np

from .. import _check
from .arrays import float64


def softmax(x, axis=-1):
    """exp(x_j - top) / sum_i exp(x_i - top), top = max(x) (eq. 10, computed "safely").

    A slice with a NaN or +inf, or of -inf alone, becomes NaN.

    >>> from fastlec import reference
    >>> reference.softmax([0.0, 1.0, 1000.0])
    array([0., 0., 1.])
    """
    (x,) = float64(x=x)
    axis = _check.axis_tuple(axis, x.ndim)
    with np.errstate(invalid="ignore", over="ignore"):
        e = np.exp(x - np.max(x, axis=axis, keepdims=True, initial=-np.inf))
        return e / np.sum(e, axis=axis, keepdims=True)


def logsumexp(x, axis=-1, *, b=None, keepdims=False, return_sign=False):
    """log sum_i b_i exp(x_i) = top + log b_top + log1p(sum of b_i / b_top exp(x_i - top) without the largest term itself).

    ``axis`` is an integer, a tuple or None (all of x).  The sum over nothing is log 0 = -inf, and so is an element of weight
    ``b_i`` = 0, whatever it is.  With ``return_sign`` (log of the sum's absolute value, its sign), else NaN for negative sums.
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


def log_softmax(x, axis=-1):
    """(x_j - top) - log1p(...), the logarithm of softmax that neither overflows nor takes log(0)."""
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


def softmax_cross_entropy(logits, labels, sample_weight=None):
    """(loss, gradient): loss = -sum_i w_i sum_k c_ik log softmax(logits)_ik, w = sample_weight / sum (eq. 11).

    ``labels`` are (m,) integers or (m, l) rows c of probabilities; 0 log 0 counts as 0.  The gradient with respect to
    the logits, (m, l), is w_i (softmax - c) (2.3.2, where the rows of c sum to 1).
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


def mean_weights(sample_weight, m):
    w = np.ones(m) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
    return w / w.sum()
