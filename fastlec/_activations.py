"""The activations that layers know by name: csrc/activations.def and what Python adds to a row of it."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from . import _check
from ._kernels import epilogue as kernels
from ._kernels.map import ALPHA


class Entry(NamedTuple):
    """code : the kernels' number. derivative : sigma'(z) as a function of what layers keep, y = sigma(z) or z, and of alpha, for
    explicit Jacobians. alpha : the parameter, of those that have one. parameter : its name. gain : of the weights before it, so
    that values keep their size from layer to layer. bounds : of its values, where it has such."""

    code: int
    derivative: Callable
    alpha: float = 0.0
    parameter: str | None = None
    gain: float = 1.0
    bounds: tuple[int, int] | None = None

    def slope(self, kept):
        """sigma'(z) from what is kept."""
        return self.derivative(kept, self.alpha)

    def after(self, of):
        """The parts of an epilogue that multiplies by sigma'(z), which follows from `of`."""
        return {"derivative": self.code, "of": of, "alpha": self.alpha}

    def with_alpha(self, alpha):
        """The same with another parameter."""
        gain = leaky_gain(alpha) if self.parameter == "negative_slope" else self.gain
        return self._replace(alpha=alpha, gain=gain)


def leaky_gain(slope):
    """That of a function with this slope below 0, and 1 above (He, Zhang, Ren and Sun 2015)."""
    return math.sqrt(2 / (1 + slope * slope))


def _gelu_derivative(z, _):
    from scipy.special import ndtr

    return ndtr(z) + z * np.exp(-z * z / 2) / math.sqrt(2 * math.pi)


def _gated_derivative(z, gate, slope):
    """Of z sigmoid(gate), where gate'(z) = slope."""
    s = 1 / (1 + np.exp(-np.abs(gate)))
    s, rest = np.where(gate < 0, 1 - s, s), np.where(gate < 0, s, 1 - s)
    return s * (1 + z * slope * rest)


def _gelu_tanh_derivative(z, _):
    c, wide = math.sqrt(8 / math.pi), z.astype(np.float64)
    return _gated_derivative(wide, c * (wide + 0.044715 * wide**3), c * (1 + 3 * 0.044715 * wide**2)).astype(z.dtype)


def _leaky_relu_derivative(y, slope):
    return np.where(y > 0, 1, np.where(np.isnan(y), y, slope)).astype(y.dtype)


_ADDED = {
    "tanh": {"derivative": lambda y, _: 1 - y * y, "bounds": (-1, 1)},
    "sigmoid": {"derivative": lambda y, _: y - y * y, "bounds": (0, 1)},
    "relu": {"derivative": lambda y, _: _leaky_relu_derivative(y, 0), "gain": 2**0.5},
    "gelu": {"derivative": _gelu_derivative, "gain": 2**0.5},
    "gelu_tanh": {"derivative": _gelu_tanh_derivative, "gain": 2**0.5},
    "silu": {"derivative": lambda z, _: _gated_derivative(z, z, 1), "gain": 2**0.5},
    "softplus": {"derivative": lambda y, _: -np.expm1(-y)},
    "elu": {"derivative": lambda y, alpha: np.where(y > 0, 1, y + alpha).astype(y.dtype), "gain": 2**0.5, "parameter": "alpha"},
    "leaky_relu": {"derivative": _leaky_relu_derivative, "gain": leaky_gain(0.01), "parameter": "negative_slope"},
    "identity": {"derivative": lambda y, _: np.ones_like(y)},
}
if _ADDED.keys() != kernels.ACTIVATIONS.keys():
    raise ImportError(
        f"csrc/activations.def and fastlec/_activations.py differ in {_ADDED.keys() ^ kernels.ACTIVATIONS.keys()}"
    )

STRAIGHT = {kernels.ACTIVATIONS[name] for name in ("identity", "relu", "leaky_relu")}  # piecewise linear: sigma'' is 0

ACTIVATIONS = {name: Entry(kernels.ACTIVATIONS[name], alpha=ALPHA[name], **added) for name, added in _ADDED.items()}
CODES = {name: entry.code for name, entry in ACTIVATIONS.items() if name != "identity"}  # of the functions that are not trivial


def known(name):
    """The name, if there is such an activation, else ValueError."""
    return _check.choice(name, ACTIVATIONS, "activation")
