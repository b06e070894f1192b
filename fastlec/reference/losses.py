"""The mean squared error; softmax has the cross-entropy."""

import numpy as np

from .arrays import float64


def mean_squared_error(output, y):
    """(loss, gradient): the mean of (output - y)^2 over all m k entries, and 2 (output - y) / (m k), shape of output.

    ``y`` is (m, k), or (m,) where output has one column.
    """
    (output,) = float64(output=output)
    difference = output - np.reshape(y, output.shape)
    return float(np.mean(difference**2)), 2.0 * difference / difference.size
