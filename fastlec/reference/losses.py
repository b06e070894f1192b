"""Losses that are means over elements; softmax has the cross-entropy.

Each gives (loss, gradient by the output): ``output`` is (m, k) or of more axes, ``y`` of its shape, or (m,) where there is one
output. The loss is the mean over all m k entries; with weights (m,), w_i / sum w takes the place of 1 / m.
"""

import numpy as np

from .activations import sigmoid
from .arrays import float64
from .log_sum_exp import mean_weights


def mean_squared_error(output, y, sample_weight=None):
    """(loss, gradient): the mean of (output - y)^2 over all m k entries, and 2 (output - y) / (m k), shape of output.

    ``y`` is (m, k), or (m,) where output has one column.  With weights (m,), w_i / sum w takes the place of 1 / m.
    """
    d = _residuals(output, y)
    if sample_weight is None:
        return float(np.mean(d**2)), 2.0 * d / d.size
    return _mean(d**2, 2.0 * d, sample_weight)


def mean_absolute_error(output, y, sample_weight=None):
    """(loss, gradient): the mean of |output - y|, and its derivative, 0 where that is 0. Arguments as of `mean_squared_error`."""
    d = _residuals(output, y)
    return _mean(np.abs(d), np.sign(d), sample_weight)


def huber(output, y, delta=1.0, sample_weight=None):
    """(loss, gradient): the mean of d^2 / 2 where |d| <= delta, else delta (|d| - delta / 2), d = output - y (Huber 1964).
    Arguments as of `mean_squared_error`."""
    d = _residuals(output, y)
    value = np.where(np.abs(d) <= delta, d**2 / 2, delta * (np.abs(d) - delta / 2))
    return _mean(value, np.clip(d, -delta, delta), sample_weight)


def binary_cross_entropy(output, y, pos_weight=1.0, sample_weight=None):
    """(loss, gradient): the mean of pos_weight y log(1 + exp(-z)) + (1 - y) log(1 + exp(z)), z = output, logits; y in [0, 1];
    pos_weight a number or one for each output. Other arguments as of `mean_squared_error`."""
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
