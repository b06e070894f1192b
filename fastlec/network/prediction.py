"""What a network of classes says of many samples: the most probable class of each, and the probabilities, a part at a time."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from .. import _check
from .._stream import Stream, parts, streamed
from .._typing import ArrayLike, FloatArray, IntArray
from ..functional import softmax
from .forward import MOST_VALUES, chunk_size

if TYPE_CHECKING:
    from .network import Network


def predicted(net: Network, X: ArrayLike) -> IntArray:
    """The class of the largest output for each sample: (m,) int64."""
    parts = [output.argmax(axis=1) for _, output in _outputs(net, X)]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def probabilities(net: Network, X: ArrayLike) -> FloatArray:
    """softmax of the outputs: (m, l)."""
    P, (X, _) = None, streamed(X)
    for rows, output in _outputs(net, X):
        if rows is None:
            return softmax(output)
        P = np.empty((len(X), output.shape[1]), output.dtype) if P is None else P
        softmax(output, out=P[rows])
    return P


def outputs(net, X, out):
    """net(X) of a `Stream`."""
    shape = (len(X), *net.output_shape(X.shape[1:]))
    if out is not None:
        _check.output(out, shape, net.theta.dtype)
    y = np.empty(shape, net.theta.dtype) if out is None else out
    for rows, x in parts(X.astype(net.theta.dtype), len(X)):
        y[rows] = net(x)
    return y


def _outputs(net, X):
    """(rows, their outputs), part by part: None for all rows where one part is enough. ValueError or TypeError for samples, or a
    network, that do not fit; ValueError for outputs that are not finite, once they are there."""
    X, _ = streamed(X)
    if not isinstance(X, Stream):
        X = _check.as_array(X, "X")
        _check.float_dtype(X.dtype, "X")
        if not X.ndim:
            raise ValueError("X is a number; expected an array of samples")
    size = _check.of_X(chunk_size, net, X.shape[1:])
    if isinstance(X, np.ndarray) and len(X) <= size and (X.size <= MOST_VALUES or net.couples_samples):
        yield None, _finite(net, X, 0)
        return
    net, _ = net._prepared(X[:0])  # weights in another dtype are converted once
    size = min(size, max(MOST_VALUES // math.prod(X.shape[1:]), 1))
    for rows, here in parts(X, size):
        yield rows, _finite(net, here, rows.start)


def _finite(net, X, start):
    """The outputs (k, l) of samples, which are counted from ``start``."""
    output = _check.of_X(net, X)
    if output.ndim != 2 or output.shape[1] < 2:
        shape = output.shape[1:]
        one = (
            ": with BinaryCrossEntropy, net(X) > 0 says class 1, and sigmoid(net(X)) how probable it is"
            if shape == (1,)
            else ""
        )
        raise ValueError(
            f"net gives outputs of shape {shape} for each sample; expected (classes,), of two classes or more{one}"
        )
    _check.finite(output, "net(X)", first=start)
    return output
