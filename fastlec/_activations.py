"""The activations that layers know by name: csrc/activations.def and what Python adds to a row of it."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from . import _check
from ._kernels import epilogue as kernels


class Entry(NamedTuple):
    """code : the kernels' number. derivative : sigma'(z) as a function of what layers keep, y = sigma(z) or z, for explicit
    Jacobians. gain : of the weights before it, so that values keep their size from layer to layer. bounds : of its values, where it
    has such."""

    code: int
    derivative: Callable
    gain: float = 1.0
    bounds: tuple[int, int] | None = None


def _relu_derivative(y):
    return np.where(y > 0, 1, np.where(np.isnan(y), y, 0)).astype(y.dtype)


def _gelu_derivative(z):
    from scipy.special import ndtr

    return ndtr(z) + z * np.exp(-z * z / 2) / math.sqrt(2 * math.pi)


def _silu_derivative(z):
    s = 1 / (1 + np.exp(-np.abs(z)))
    s, rest = np.where(z < 0, 1 - s, s), np.where(z < 0, s, 1 - s)
    return s * (1 + z * rest)


def _leaky_relu_derivative(y):
    return np.where(y > 0, 1, np.where(np.isnan(y), y, 0.01))


_ADDED = {
    "tanh": {"derivative": lambda y: 1 - y * y, "bounds": (-1, 1)},
    "sigmoid": {"derivative": lambda y: y - y * y, "bounds": (0, 1)},
    "relu": {"derivative": _relu_derivative, "gain": 2**0.5},
    "gelu": {"derivative": _gelu_derivative, "gain": 2**0.5},
    "silu": {"derivative": _silu_derivative, "gain": 2**0.5},
    "softplus": {"derivative": lambda y: -np.expm1(-y)},
    "elu": {"derivative": lambda y: np.minimum(y + 1, 1), "gain": 2**0.5},
    "leaky_relu": {"derivative": _leaky_relu_derivative, "gain": 2**0.5},
    "identity": {"derivative": np.ones_like},
}
if _ADDED.keys() != kernels.ACTIVATIONS.keys():
    raise ImportError(
        f"csrc/activations.def and fastlec/_activations.py differ in {_ADDED.keys() ^ kernels.ACTIVATIONS.keys()}"
    )

STRAIGHT = {kernels.ACTIVATIONS[name] for name in ("identity", "relu", "leaky_relu")}  # piecewise linear: sigma'' is 0

ACTIVATIONS = {name: Entry(kernels.ACTIVATIONS[name], **added) for name, added in _ADDED.items()}
CODES = {name: entry.code for name, entry in ACTIVATIONS.items() if name != "identity"}  # of the functions that are not trivial


def known(name):
    """The name, if there is such an activation, else ValueError."""
    return _check.choice(name, ACTIVATIONS, "activation")
