"""Losses that are means over elements; softmax has the cross-entropy.

Each gives (loss, gradient by the output): ``output`` is (m, k) or of more axes, ``y`` of its shape, or (m,) where there is one
output. The loss is the mean over all m k entries; with weights (m,), w_i / sum w takes the place of 1 / m.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from .activations import sigmoid
from .arrays import Float64Array, float64
from .log_sum_exp import mean_weights


def mean_squared_error(output: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> tuple[float, Float64Array]:
    """The mean of (output - y)^2, and its gradient 2 (output - y) / (m k).

    Parameters
    ----------
    output : array_like, shape (m, k) or of more axes
        What a network gives for each sample.
    y : array_like, shape of output
        The targets; shape (m,) is allowed where there is one output.
    sample_weight : array_like, shape (m,), optional
        Weights; w_i / sum w takes the place of 1 / m.

    Returns
    -------
    loss : float
        The mean over all m k entries.
    gradient : ndarray, shape of output
        The derivatives of the loss by the output.

    See Also
    --------
    fastlec.MeanSquaredError, mean_absolute_error

    Examples
    --------
    >>> fastlec.reference.mean_squared_error([[1.0], [2.0]], [0.0, 2.0])
    (0.5, array([[1.],
           [0.]]))
    """
    d = _residuals(output, y)
    if sample_weight is None:
        return float(np.mean(d**2)), 2.0 * d / d.size
    return _mean(d**2, 2.0 * d, sample_weight)


def mean_absolute_error(output: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> tuple[float, Float64Array]:
    """The mean of |output - y|, and its gradient.

    The derivative is 0 where output = y.

    Parameters
    ----------
    output : array_like, shape (m, k) or of more axes
        What a network gives for each sample.
    y : array_like, shape of output
        The targets; shape (m,) is allowed where there is one output.
    sample_weight : array_like, shape (m,), optional
        Weights; w_i / sum w takes the place of 1 / m.

    Returns
    -------
    loss : float
        The mean over all m k entries.
    gradient : ndarray, shape of output
        The derivatives of the loss by the output.

    See Also
    --------
    fastlec.MeanAbsoluteError, huber

    Examples
    --------
    >>> fastlec.reference.mean_absolute_error([[1.0], [2.0]], [0.0, 2.0])
    (0.5, array([[0.5],
           [0. ]]))
    """
    d = _residuals(output, y)
    return _mean(np.abs(d), np.sign(d), sample_weight)


def huber(
    output: ArrayLike, y: ArrayLike, delta: float = 1.0, sample_weight: ArrayLike | None = None
) -> tuple[float, Float64Array]:
    """The mean of Huber's loss, quadratic up to delta and linear beyond, and its gradient.

    With d = output - y it is d^2 / 2 where |d| <= delta, else delta (|d| - delta / 2) (Huber 1964).

    Parameters
    ----------
    output : array_like, shape (m, k) or of more axes
        What a network gives for each sample.
    y : array_like, shape of output
        The targets; shape (m,) is allowed where there is one output.
    delta : float
        Where the loss turns from quadratic to linear.
    sample_weight : array_like, shape (m,), optional
        Weights; w_i / sum w takes the place of 1 / m.

    Returns
    -------
    loss : float
        The mean over all m k entries.
    gradient : ndarray, shape of output
        The derivatives of the loss by the output.

    See Also
    --------
    fastlec.Huber, mean_absolute_error

    Examples
    --------
    >>> fastlec.reference.huber([[0.5], [9.0]], [0.0, 0.0])
    (4.3125, array([[0.25],
           [0.5 ]]))
    """
    d = _residuals(output, y)
    value = np.where(np.abs(d) <= delta, d**2 / 2, delta * (np.abs(d) - delta / 2))
    return _mean(value, np.clip(d, -delta, delta), sample_weight)


def binary_cross_entropy(
    output: ArrayLike, y: ArrayLike, pos_weight: float | Float64Array = 1.0, sample_weight: ArrayLike | None = None
) -> tuple[float, Float64Array]:
    """The cross-entropy of the sigmoid of logits and labels in [0, 1], and its gradient (eq. 5).

    The mean of pos_weight y log(1 + exp(-z)) + (1 - y) log(1 + exp(z)), z = output.

    Parameters
    ----------
    output : array_like, shape (m, k) or of more axes
        The logits.
    y : array_like, shape of output
        The targets; shape (m,) is allowed where there is one output.
    pos_weight : float or array_like, shape (k,)
        The weight of y = 1, of each output.
    sample_weight : array_like, shape (m,), optional
        Weights; w_i / sum w takes the place of 1 / m.

    Returns
    -------
    loss : float
        The mean over all m k entries.
    gradient : ndarray, shape of output
        The derivatives of the loss by the output.

    See Also
    --------
    fastlec.BinaryCrossEntropy, softmax_cross_entropy

    Examples
    --------
    >>> fastlec.reference.binary_cross_entropy([[0.0], [0.0]], [1.0, 0.0])
    (0.6931471805599453, array([[-0.25],
           [ 0.25]]))
    """
    (z,) = float64(output=output)
    y = np.reshape(y, z.shape).astype(np.float64)
    yes, no = pos_weight * y, 1 - y
    more = np.log1p(np.exp(-np.abs(z)))
    value = yes * (np.maximum(-z, 0) + more) + no * (np.maximum(z, 0) + more)
    return _mean(value, no * sigmoid(z) - yes * sigmoid(-z), sample_weight)


def _residuals(output, y):
    (output,) = float64(output=output)
    return output - np.reshape(y, output.shape)


def _mean(value, derivative, sample_weight):
    """The weighted mean of the elements' values, and its gradient."""
    rows = value.reshape(len(value), -1)
    share = mean_weights(sample_weight, len(value))[:, None] / rows.shape[1]
    return float(np.sum(share * rows)), (share * derivative.reshape(rows.shape)).reshape(value.shape)
