"""What a network of classes says of many samples: the most probable class of each, and the probabilities, a part at a time."""

import math

import numpy as np

from .. import _check
from ..functional import softmax
from .forward import MOST_VALUES, chunk_size


def predicted(net, X):
    """The class of the largest output for each sample: (m,) int64."""
    _, _, parts = _outputs(net, X)
    return np.concatenate([np.empty(0, np.int64), *(output.argmax(axis=1) for output in parts)])


def probabilities(net, X):
    """softmax of the outputs: (m, l)."""
    shape, dtype, parts = _outputs(net, X)
    P, start = np.empty(shape, dtype), 0
    for output in parts:
        softmax(output, out=P[start : start + len(output)])
        start += len(output)
    return P


def _outputs(net, X):
    """(shape, dtype) of all outputs (m, l), and the outputs themselves, part by part. ValueError or TypeError for samples, or a
    network, that do not fit; ValueError for outputs that are not finite, once they are there."""
    X = _check.as_array(X, "X")
    dtype = _check.float_dtype(X.dtype, "X")
    if not X.ndim:
        raise ValueError("X is a number; expected an array of samples")
    shape = net.output_shape(X.shape[1:])
    if len(shape) != 1 or shape[0] < 2:
        raise ValueError(f"net gives outputs of shape {shape} for each sample; expected (classes,), of two classes or more")
    net, _ = net.prepared(X[:0])  # weights in another dtype are converted once
    return (len(X), *shape), net.dtype or dtype, _finite_parts(net, X)


def _finite_parts(net, X):
    chunk = min(chunk_size(net, X.shape[1:]), max(MOST_VALUES // max(math.prod(X.shape[1:]), 1), 1))
    chunk = max(len(X), 1) if net.couples_samples else chunk
    for start in range(0, len(X), chunk):
        output = net(X[start : start + chunk])
        _check.finite(output, "net(X)", first=start)
        yield output
