"""Activations and their derivatives (chapter 3)."""

from __future__ import annotations

import math
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from .arrays import Float64Array, float64


def tanh(x: ArrayLike) -> Float64Array:
    """The hyperbolic tangent of each element.

    Parameters
    ----------
    x : array_like
        Real numbers, of any shape.

    Returns
    -------
    ndarray, shape of x
        The values, float64.

    See Also
    --------
    fastlec.tanh, tanh_derivative

    Examples
    --------
    >>> fastlec.reference.tanh([-1.0, 0.0, 2.0])
    array([-0.76159416,  0.        ,  0.96402758])
    """
    return np.tanh(*float64(x=x))


def tanh_derivative(x: ArrayLike) -> Float64Array:
    """The derivative of tanh, 1 - tanh(x)^2 = 1 / cosh(x)^2.

    Computed as 4 e / (1 + e)^2 with e = exp(-2 |x|), which is exact in the tails and never overflows.

    Parameters
    ----------
    x : array_like
        Real numbers, of any shape.

    Returns
    -------
    ndarray, shape of x
        The derivatives, float64.

    See Also
    --------
    fastlec.tanh_derivative, tanh

    Examples
    --------
    >>> fastlec.reference.tanh_derivative([-1.0, 0.0, 2.0])
    array([0.41997434, 1.        , 0.07065082])
    """
    with np.errstate(over="ignore"):
        e = np.exp(-2.0 * np.abs(*float64(x=x)))
    return 4.0 * e / (1.0 + e) ** 2


def sigmoid(x: ArrayLike) -> Float64Array:
    """The logistic function 1 / (1 + exp(-x)) (eq. 3).

    Computed from exp(-|x|), which never overflows.

    Parameters
    ----------
    x : array_like
        Real numbers, of any shape.

    Returns
    -------
    ndarray, shape of x
        The values, float64.

    See Also
    --------
    fastlec.sigmoid, sigmoid_derivative

    Examples
    --------
    >>> fastlec.reference.sigmoid([-1.0, 0.0, 2.0])
    array([0.26894142, 0.5       , 0.88079708])
    """
    (x,) = float64(x=x)
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1.0) / (1.0 + e)


def sigmoid_derivative(x: ArrayLike) -> Float64Array:
    """The derivative of the sigmoid, sigma(x) (1 - sigma(x)) (section 2.3.1).

    Computed as e / (1 + e)^2 with e = exp(-|x|).

    Parameters
    ----------
    x : array_like
        Real numbers, of any shape.

    Returns
    -------
    ndarray, shape of x
        The derivatives, float64.

    See Also
    --------
    fastlec.sigmoid_derivative, sigmoid

    Examples
    --------
    >>> fastlec.reference.sigmoid_derivative([-1.0, 0.0, 2.0])
    array([0.19661193, 0.25      , 0.10499359])
    """
    e = np.exp(-np.abs(*float64(x=x)))
    return e / (1.0 + e) ** 2


def relu(x: ArrayLike) -> Float64Array:
    """The rectifier max(x, 0).

    NaN stays NaN.

    Parameters
    ----------
    x : array_like
        Real numbers, of any shape.

    Returns
    -------
    ndarray, shape of x
        The values, float64.

    See Also
    --------
    fastlec.relu, relu_derivative

    Examples
    --------
    >>> fastlec.reference.relu([-1.0, 0.0, 2.0])
    array([0., 0., 2.])
    """
    return np.maximum(*float64(x=x), 0.0)


def relu_derivative(x: ArrayLike) -> Float64Array:
    """The derivative of relu, 1 where x > 0 and else 0.

    It is 0 at the kink. NaN stays NaN.

    Parameters
    ----------
    x : array_like
        Real numbers, of any shape.

    Returns
    -------
    ndarray, shape of x
        The derivatives, float64.

    See Also
    --------
    fastlec.relu_derivative, relu

    Examples
    --------
    >>> fastlec.reference.relu_derivative([-1.0, 0.0, 2.0])
    array([0., 0., 1.])
    """
    (x,) = float64(x=x)
    return np.where(np.isnan(x), x, (x > 0).astype(np.float64))


_erf, _erfc = (np.vectorize(f, otypes=[np.float64]) for f in (math.erf, math.erfc))
_GELU = math.sqrt(8 / math.pi), math.sqrt(8 / math.pi) * 0.044715  # of z = 2 u in the approximation by tanh


def gelu(x: ArrayLike, approximate: Literal["none", "tanh"] = "none") -> Float64Array:
    """The Gaussian error linear unit x Phi(x), Phi the normal distribution.

    Phi(x) = erfc(-x / sqrt(2)) / 2. The approximation by tanh is x sigmoid(2 u), u = sqrt(2 / pi) (x + 0.044715 x^3).

    Parameters
    ----------
    x : array_like
        Real numbers, of any shape.
    approximate : {"none", "tanh"}
        Phi itself, or its approximation by tanh.

    Returns
    -------
    ndarray, shape of x
        The values, float64.

    See Also
    --------
    fastlec.gelu, gelu_derivative

    Examples
    --------
    >>> fastlec.reference.gelu([-1.0, 0.0, 2.0])
    array([-0.15865525,  0.        ,  1.95449974])
    """
    (x,) = float64(x=x)
    if approximate == "tanh":
        return x * sigmoid(_GELU[0] * x + _GELU[1] * x**3)
    return x * _erfc(-x / math.sqrt(2)) / 2


def gelu_derivative(x: ArrayLike, approximate: Literal["none", "tanh"] = "none") -> Float64Array:
    """The derivative of gelu, Phi(x) + x phi(x).

    Of the approximation by tanh it is s + x s (1 - s) z' with s = sigmoid(z), z = 2 u as for `gelu`.

    Parameters
    ----------
    x : array_like
        Real numbers, of any shape.
    approximate : {"none", "tanh"}
        Phi itself, or its approximation by tanh.

    Returns
    -------
    ndarray, shape of x
        The derivatives, float64.

    See Also
    --------
    fastlec.gelu_derivative, gelu

    Examples
    --------
    >>> fastlec.reference.gelu_derivative([-1.0, 0.0, 2.0])
    array([-0.08331547,  0.5       ,  1.0852318 ])
    """
    (x,) = float64(x=x)
    if approximate == "tanh":
        z = _GELU[0] * x + _GELU[1] * x**3
        return sigmoid(z) + x * sigmoid_derivative(z) * (_GELU[0] + 3 * _GELU[1] * x**2)
    return _erfc(-x / math.sqrt(2)) / 2 + x * np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)


def silu(x: ArrayLike) -> Float64Array:
    """The sigmoid linear unit x sigmoid(x), also called swish.

    Parameters
    ----------
    x : array_like
        Real numbers, of any shape.

    Returns
    -------
    ndarray, shape of x
        The values, float64.

    See Also
    --------
    fastlec.silu, silu_derivative

    Examples
    --------
    >>> fastlec.reference.silu([-1.0, 0.0, 2.0])
    array([-0.26894142,  0.        ,  1.76159416])
    """
    (x,) = float64(x=x)
    return x * sigmoid(x)


def silu_derivative(x: ArrayLike) -> Float64Array:
    """The derivative of silu, s + x s (1 - s) with s = sigmoid(x).

    Parameters
    ----------
    x : array_like
        Real numbers, of any shape.

    Returns
    -------
    ndarray, shape of x
        The derivatives, float64.

    See Also
    --------
    fastlec.silu_derivative, silu

    Examples
    --------
    >>> fastlec.reference.silu_derivative([-1.0, 0.0, 2.0])
    array([0.07232949, 0.5       , 1.09078425])
    """
    (x,) = float64(x=x)
    return sigmoid(x) + x * sigmoid_derivative(x)


def softplus(x: ArrayLike) -> Float64Array:
    """The smooth rectifier log(1 + exp(x)).

    Computed from exp(-|x|), which never overflows.

    Parameters
    ----------
    x : array_like
        Real numbers, of any shape.

    Returns
    -------
    ndarray, shape of x
        The values, float64.

    See Also
    --------
    fastlec.softplus, softplus_derivative

    Examples
    --------
    >>> fastlec.reference.softplus([-1.0, 0.0, 2.0])
    array([0.31326169, 0.69314718, 2.12692801])
    """
    (x,) = float64(x=x)
    return np.maximum(x, 0.0) + np.log1p(np.exp(-np.abs(x)))


def softplus_derivative(x: ArrayLike) -> Float64Array:
    """The derivative of softplus, sigmoid(x).

    Parameters
    ----------
    x : array_like
        Real numbers, of any shape.

    Returns
    -------
    ndarray, shape of x
        The derivatives, float64.

    See Also
    --------
    fastlec.softplus_derivative, softplus

    Examples
    --------
    >>> fastlec.reference.softplus_derivative([-1.0, 0.0, 2.0])
    array([0.26894142, 0.5       , 0.88079708])
    """
    return sigmoid(x)


def elu(x: ArrayLike, alpha: float = 1.0) -> Float64Array:
    """The exponential linear unit: x where x > 0, else alpha (exp(x) - 1).

    Parameters
    ----------
    x : array_like
        Real numbers, of any shape.
    alpha : float
        The function falls to -alpha.

    Returns
    -------
    ndarray, shape of x
        The values, float64.

    See Also
    --------
    fastlec.elu, elu_derivative

    Examples
    --------
    >>> fastlec.reference.elu([-1.0, 0.0, 2.0], alpha=2.0)
    array([-1.26424112,  0.        ,  2.        ])
    """
    (x,) = float64(x=x)
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0.0)))


def elu_derivative(x: ArrayLike, alpha: float = 1.0) -> Float64Array:
    """The derivative of elu: 1 where x > 0, else alpha exp(x).

    Parameters
    ----------
    x : array_like
        Real numbers, of any shape.
    alpha : float
        The function falls to -alpha.

    Returns
    -------
    ndarray, shape of x
        The derivatives, float64.

    See Also
    --------
    fastlec.elu_derivative, elu

    Examples
    --------
    >>> fastlec.reference.elu_derivative([-1.0, 0.0, 2.0], alpha=2.0)
    array([0.73575888, 2.        , 1.        ])
    """
    (x,) = float64(x=x)
    return np.where(x > 0, 1.0, alpha * np.exp(np.minimum(x, 0.0)))


def erf(x: ArrayLike) -> Float64Array:
    """The error function 2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x.

    Parameters
    ----------
    x : array_like
        Real numbers, of any shape.

    Returns
    -------
    ndarray, shape of x
        The values, float64.

    See Also
    --------
    fastlec.erf, erf_derivative

    Examples
    --------
    >>> fastlec.reference.erf([-1.0, 0.0, 2.0])
    array([-0.84270079,  0.        ,  0.99532227])
    """
    return _erf(*float64(x=x))


def erf_derivative(x: ArrayLike) -> Float64Array:
    """The derivative of erf, 2 exp(-x^2) / sqrt(pi).

    Parameters
    ----------
    x : array_like
        Real numbers, of any shape.

    Returns
    -------
    ndarray, shape of x
        The derivatives, float64.

    See Also
    --------
    fastlec.erf_derivative, erf

    Examples
    --------
    >>> fastlec.reference.erf_derivative([-1.0, 0.0, 2.0])
    array([0.4151075 , 1.12837917, 0.02066699])
    """
    (x,) = float64(x=x)
    return 2 / math.sqrt(math.pi) * np.exp(-(x**2))


def leaky_relu(x: ArrayLike, negative_slope: float = 0.01) -> Float64Array:
    """The leaky rectifier: x where x > 0, else negative_slope x.

    Parameters
    ----------
    x : array_like
        Real numbers, of any shape.
    negative_slope : float
        The slope where x < 0.

    Returns
    -------
    ndarray, shape of x
        The values, float64.

    See Also
    --------
    fastlec.leaky_relu, leaky_relu_derivative

    Examples
    --------
    >>> fastlec.reference.leaky_relu([-1.0, 0.0, 2.0], negative_slope=0.1)
    array([-0.1,  0. ,  2. ])
    """
    (x,) = float64(x=x)
    return np.where(x > 0, x, negative_slope * x)


def leaky_relu_derivative(x: ArrayLike, negative_slope: float = 0.01) -> Float64Array:
    """The derivative of leaky_relu: 1 where x > 0, else negative_slope.

    NaN stays NaN.

    Parameters
    ----------
    x : array_like
        Real numbers, of any shape.
    negative_slope : float
        The slope where x < 0.

    Returns
    -------
    ndarray, shape of x
        The derivatives, float64.

    See Also
    --------
    fastlec.leaky_relu_derivative, leaky_relu

    Examples
    --------
    >>> fastlec.reference.leaky_relu_derivative([-1.0, 0.0, 2.0], negative_slope=0.1)
    array([0.1, 0.1, 1. ])
    """
    (x,) = float64(x=x)
    return np.where(np.isnan(x), x, np.where(x > 0, 1.0, negative_slope))


def identity(x: ArrayLike) -> Float64Array:
    """A copy of x: the activation of a layer that has none.

    Parameters
    ----------
    x : array_like
        Real numbers, of any shape.

    Returns
    -------
    ndarray, shape of x
        The values, float64.

    See Also
    --------
    identity_derivative

    Examples
    --------
    >>> fastlec.reference.identity([-1.0, 0.0, 2.0])
    array([-1.,  0.,  2.])
    """
    return np.array(*float64(x=x))


def identity_derivative(x: ArrayLike) -> Float64Array:
    """The derivative of the identity, 1 everywhere.

    Parameters
    ----------
    x : array_like
        Real numbers, of any shape.

    Returns
    -------
    ndarray, shape of x
        The derivatives, float64.

    See Also
    --------
    identity

    Examples
    --------
    >>> fastlec.reference.identity_derivative([-1.0, 0.0, 2.0])
    array([1., 1., 1.])
    """
    return np.ones_like(*float64(x=x))


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


def value_and_derivative(x: ArrayLike, activation: str) -> tuple[Float64Array, Float64Array]:
    """An activation and its derivative, by the name that layers take.

    Parameters
    ----------
    x : array_like
        Real numbers, of any shape.
    activation : str
        The name that layers take, such as "tanh" or "gelu_tanh".

    Returns
    -------
    tuple of two ndarrays, shape of x
        The values sigma(x) and the derivatives sigma'(x), float64.

    See Also
    --------
    fastlec.value_and_derivative, tanh, tanh_derivative

    Examples
    --------
    >>> fastlec.reference.value_and_derivative([-1.0, 2.0], "relu")
    (array([0., 2.]), array([0., 1.]))
    """
    value, derivative = _ACTIVATIONS[activation]
    return value(x), derivative(x)
