"""The activations that layers know by name: what Python knows of each of them, in one row."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from . import _check
from ._kernels import epilogue as kernels


class Entry(NamedTuple):
    """code : the kernels' number. derivative : sigma'(z) as a function of y = sigma(z), for explicit Jacobians. gain : of the
    weights before it, so that values keep their size from layer to layer."""

    code: int
    derivative: Callable
    gain: float = 1.0


def _relu_derivative(y):
    return np.where(y > 0, 1, np.where(np.isnan(y), y, 0)).astype(y.dtype)


ACTIVATIONS = {
    "tanh": Entry(kernels.TANH, lambda y: 1 - y * y),
    "sigmoid": Entry(kernels.SIGMOID, lambda y: y - y * y),
    "relu": Entry(kernels.RELU, _relu_derivative, gain=2**0.5),
    "identity": Entry(kernels.IDENTITY, np.ones_like),
}
CODES = {name: entry.code for name, entry in ACTIVATIONS.items() if name != "identity"}  # of the functions that are not trivial


def known(name):
    """The name, if there is such an activation, else ValueError."""
    return _check.choice(name, ACTIVATIONS, "activation")
