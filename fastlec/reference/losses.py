"""The mean squared error; softmax has the cross-entropy."""

import numpy as np

from .arrays import float64
from .log_sum_exp import mean_weights


def mean_squared_error(output, y, sample_weight=None):
    """(loss, gradient): the mean of (output - y)^2 over all m k entries, and 2 (output - y) / (m k), shape of output.

    ``y`` is (m, k), or (m,) where output has one column.  With weights (m,), w_i / sum w takes the place of 1 / m.
    """
    (output,) = float64(output=output)
    difference = output - np.reshape(y, output.shape)
    if sample_weight is None:
        return float(np.mean(difference**2)), 2.0 * difference / difference.size
    rows = difference.reshape(len(output), -1)
    share = mean_weights(sample_weight, len(output))[:, None] / rows.shape[1]
    return float(np.sum(share * rows**2)), (2.0 * share * rows).reshape(output.shape)
