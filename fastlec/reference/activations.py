"""Activations and their derivatives (chapter 3)."""

import math
from functools import partial

import numpy as np

from .arrays import float64


def tanh(x):
    """The hyperbolic tangent of each element."""
    return np.tanh(*float64(x=x))


def tanh_derivative(x):
    """1 - tanh(x)^2 = 1 / cosh(x)^2 = 4 e / (1 + e)^2 with e = exp(-2 |x|): exact in the tails, never overflows."""
    with np.errstate(over="ignore"):
        e = np.exp(-2.0 * np.abs(*float64(x=x)))
    return 4.0 * e / (1.0 + e) ** 2


def sigmoid(x):
    """1 / (1 + exp(-x)) (eq. 3), from exp(-|x|), which never overflows."""
    (x,) = float64(x=x)
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1.0) / (1.0 + e)


def sigmoid_derivative(x):
    """sigma(x) (1 - sigma(x)) = e / (1 + e)^2 with e = exp(-|x|) (2.3.1)."""
    e = np.exp(-np.abs(*float64(x=x)))
    return e / (1.0 + e) ** 2


def relu(x):
    """max(x, 0) of each element; NaN stays NaN."""
    return np.maximum(*float64(x=x), 0.0)


def relu_derivative(x):
    """1 where x > 0, else 0 (0 at the kink); NaN stays NaN."""
    (x,) = float64(x=x)
    return np.where(np.isnan(x), x, (x > 0).astype(np.float64))[()]


_erf, _erfc = (np.vectorize(f, otypes=[np.float64]) for f in (math.erf, math.erfc))
_GELU = math.sqrt(8 / math.pi), math.sqrt(8 / math.pi) * 0.044715  # of z = 2 u in the approximation by tanh


def gelu(x, approximate="none"):
    """x Phi(x), Phi(x) = erfc(-x / sqrt(2)) / 2 the normal distribution; "tanh": x (1 + tanh(u)) / 2, which is x sigmoid(2 u)."""
    (x,) = float64(x=x)
    if approximate == "tanh":
        return x * sigmoid(_GELU[0] * x + _GELU[1] * x**3)
    return x * _erfc(-x / math.sqrt(2)) / 2


def gelu_derivative(x, approximate="none"):
    """Phi(x) + x phi(x); "tanh": s + x s (1 - s) z', s = sigmoid(z), z = 2 u."""
    (x,) = float64(x=x)
    if approximate == "tanh":
        z = _GELU[0] * x + _GELU[1] * x**3
        return sigmoid(z) + x * sigmoid_derivative(z) * (_GELU[0] + 3 * _GELU[1] * x**2)
    return _erfc(-x / math.sqrt(2)) / 2 + x * np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)


def silu(x):
    """x sigmoid(x)."""
    (x,) = float64(x=x)
    return x * sigmoid(x)


def silu_derivative(x):
    """s + x s (1 - s), s = sigmoid(x)."""
    (x,) = float64(x=x)
    return sigmoid(x) + x * sigmoid_derivative(x)


def softplus(x):
    """log(1 + exp(x)), from exp(-|x|), which never overflows."""
    (x,) = float64(x=x)
    return np.maximum(x, 0.0) + np.log1p(np.exp(-np.abs(x)))


def softplus_derivative(x):
    """sigmoid(x)."""
    return sigmoid(x)


def elu(x, alpha=1.0):
    """x where x > 0, else alpha (exp(x) - 1)."""
    (x,) = float64(x=x)
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0.0)))[()]


def elu_derivative(x, alpha=1.0):
    """1 where x > 0, else alpha exp(x)."""
    (x,) = float64(x=x)
    return np.where(x > 0, 1.0, alpha * np.exp(np.minimum(x, 0.0)))[()]


def erf(x):
    """The error function."""
    return _erf(*float64(x=x))[()]


def erf_derivative(x):
    """2 exp(-x^2) / sqrt(pi)."""
    (x,) = float64(x=x)
    return 2 / math.sqrt(math.pi) * np.exp(-(x**2))


def leaky_relu(x, negative_slope=0.01):
    """x where x > 0, else negative_slope x."""
    (x,) = float64(x=x)
    return np.where(x > 0, x, negative_slope * x)[()]


def leaky_relu_derivative(x, negative_slope=0.01):
    """1 where x > 0, else negative_slope; NaN stays NaN."""
    (x,) = float64(x=x)
    return np.where(np.isnan(x), x, np.where(x > 0, 1.0, negative_slope))[()]


def identity(x):
    """x itself, a copy: the activation of a layer that has none."""
    return np.array(*float64(x=x))[()]


def identity_derivative(x):
    """1 everywhere."""
    return np.ones_like(*float64(x=x))[()]


_ACTIVATIONS = {
    "tanh": (tanh, tanh_derivative),
    "sigmoid": (sigmoid, sigmoid_derivative),
    "relu": (relu, relu_derivative),
    "gelu": (gelu, gelu_derivative),
    "gelu_tanh": (partial(gelu, approximate="tanh"), partial(gelu_derivative, approximate="tanh")),
    "silu": (silu, silu_derivative),
    "softplus": (softplus, softplus_derivative),
    "elu": (elu, elu_derivative),
    "leaky_relu": (leaky_relu, leaky_relu_derivative),
    "identity": (identity, identity_derivative),
}


def value_and_derivative(x, activation):
    """(sigma(x), sigma'(x)) for an activation of layers, "tanh" and so on."""
    value, derivative = _ACTIVATIONS[activation]
    return value(x), derivative(x)
