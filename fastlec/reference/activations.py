"""Activations and their derivatives (chapter 3)."""

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
    return np.where(np.isnan(x), x, (x > 0).astype(np.float64))


def identity(x):
    """x itself, a copy: the activation of a layer that has none."""
    return np.array(*float64(x=x))


def identity_derivative(x):
    """1 everywhere."""
    return np.ones_like(*float64(x=x))


_ACTIVATIONS = {
    "tanh": (tanh, tanh_derivative),
    "sigmoid": (sigmoid, sigmoid_derivative),
    "relu": (relu, relu_derivative),
    "identity": (identity, identity_derivative),
}


def value_and_derivative(x, activation):
    """(sigma(x), sigma'(x)) for activation "tanh", "sigmoid", "relu" or "identity"."""
    value, derivative = _ACTIVATIONS[activation]
    return value(x), derivative(x)
