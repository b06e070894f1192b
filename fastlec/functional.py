"""The functions of the lecture on NumPy arrays.

All of them take any array-like of any strides and byte order, never modify it, and compute in float32 for float32, float16 and
ml_dtypes's bfloat16, in float64 for float64, integers and bool; other dtypes are a TypeError. An input is copied only if it is not
a native, aligned float32 or float64 array in C order (or, for one axis, Fortran order). Results without axes are NumPy's scalars.
`out`, an array or a tuple of one, must have exactly the result's shape and dtype; it may be or overlap the input, and is what is
returned. Results do not depend on the number of threads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias, overload

import numpy as np

from . import _check
from ._activations import CODES
from ._kernels import gemm as _gemm
from ._kernels import map as _map
from ._kernels import softmax as _softmax
from ._kernels import xent as _xent
from ._kernels.map import FUNCTIONS as _FUNCTIONS

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from numpy.typing import ArrayLike, NDArray

    from ._typing import Axis, Elementwise, FloatArray, Out, Single, WithAlpha, WithApproximate, WithNegativeSlope

ActivationName: TypeAlias = Literal["tanh", "sigmoid", "relu", "gelu", "gelu_tanh", "silu", "softplus", "elu", "leaky_relu"]

__all__ = [
    "elu",
    "elu_derivative",
    "erf",
    "erf_derivative",
    "gelu",
    "gelu_derivative",
    "leaky_relu",
    "leaky_relu_derivative",
    "log_softmax",
    "logsumexp",
    "matmul",
    "relu",
    "relu_derivative",
    "sigmoid",
    "sigmoid_derivative",
    "silu",
    "silu_derivative",
    "softmax",
    "softmax_cross_entropy",
    "softplus",
    "softplus_derivative",
    "tanh",
    "tanh_derivative",
    "value_and_derivative",
]


def __dir__() -> list[str]:
    return __all__


def _along_axis(mode, x, axis, out):
    y = _softmax.along_axis(mode, x, axis, out)
    if y is None:
        y = _check.along_axis(
            lambda *plain: _softmax.along_axis(mode, *plain), x, axis, out, reduces=mode == _softmax.LOGSUMEXP
        )
    return y


@overload
def softmax(x: Single, axis: Axis = -1, *, out: Out[np.float32] = None) -> NDArray[np.float32]: ...
@overload
def softmax(x: ArrayLike, axis: Axis = -1, *, out: Out[np.float64] = None) -> NDArray[np.float64]: ...
def softmax(x: ArrayLike, axis: Axis = -1, *, out: Out[Any] = None) -> FloatArray:
    """Probabilities exp(x_j) / sum_i exp(x_i) along an axis (lecture eq. 10).

    Parameters
    ----------
    x : array_like
        Real numbers, of any shape. Of a single number only the axis None or () is allowed.
    axis : int, tuple of ints or None, optional
        The axis along which probabilities sum to 1. A tuple is one softmax over all of its axes, None one over all of `x`.
    out : ndarray or tuple of one ndarray, optional
        Where to write the result: of x's shape and the result's dtype. It may be `x` itself.

    Returns
    -------
    ndarray or scalar
        The probabilities, of x's shape: float32 for float32, float16 and bfloat16, else float64.

    Raises
    ------
    TypeError
        If `x` does not hold real numbers, `axis` is no integer, or `out` has another dtype than the result.
    ValueError
        If `axis` does not exist or is named twice, or `out` has another shape than the result or is read-only.

    See Also
    --------
    log_softmax, logsumexp, softmax_cross_entropy

    Notes
    -----
    The largest element is subtracted first, so that nothing overflows. Sums are 1 within 4 eps. A slice with NaN or +inf, or of
    -inf alone, becomes NaN, as in `scipy.special.softmax`.

    Examples
    --------
    >>> import fastlec
    >>> fastlec.softmax([[0.0, 1.0, 2.0], [0.0, 1.0, 1000.0]]).round(4)
    array([[0.09  , 0.2447, 0.6652],
           [0.    , 0.    , 1.    ]])
    >>> fastlec.softmax([[0.0, 1.0], [0.0, 3.0]], axis=0).round(4)
    array([[0.5   , 0.1192],
           [0.5   , 0.8808]])
    """
    return _along_axis(_softmax.SOFTMAX, x, axis, out)


@overload
def log_softmax(x: Single, axis: Axis = -1, *, out: Out[np.float32] = None) -> NDArray[np.float32]: ...
@overload
def log_softmax(x: ArrayLike, axis: Axis = -1, *, out: Out[np.float64] = None) -> NDArray[np.float64]: ...
def log_softmax(x: ArrayLike, axis: Axis = -1, *, out: Out[Any] = None) -> FloatArray:
    """Logarithm of `softmax` along an axis: x - logsumexp(x).

    Parameters
    ----------
    x : array_like
        Real numbers, of any shape. Of a single number only the axis None or () is allowed.
    axis : int, tuple of ints or None, optional
        The axis along which probabilities sum to 1. A tuple is one softmax over all of its axes, None one over all of `x`.
    out : ndarray or tuple of one ndarray, optional
        Where to write the result: of x's shape and the result's dtype. It may be `x` itself.

    Returns
    -------
    ndarray or scalar
        The logarithms, of x's shape: float32 for float32, float16 and bfloat16, else float64.

    Raises
    ------
    TypeError
        If `x` does not hold real numbers, `axis` is no integer, or `out` has another dtype than the result.
    ValueError
        If `axis` does not exist or is named twice, or `out` has another shape than the result or is read-only.

    See Also
    --------
    softmax, logsumexp

    Notes
    -----
    Logarithms of probabilities near 1 and near 0 keep their digits, which log(softmax(x)) would lose. Special values are those of
    `scipy.special.log_softmax`: beside +inf every other element is -inf.

    Examples
    --------
    >>> import fastlec
    >>> fastlec.log_softmax([0.0, -1000.0])
    array([    0., -1000.])
    """
    return _along_axis(_softmax.LOG_SOFTMAX, x, axis, out)


@overload
def logsumexp(
    x: Single,
    axis: None,
    *,
    b: Single | float | None = None,
    keepdims: Literal[False] = False,
    return_sign: Literal[False] = False,
) -> np.float32: ...
@overload
def logsumexp(
    x: Single,
    axis: int | tuple[int, ...] = -1,
    *,
    b: Single | float | None = None,
    keepdims: bool = False,
    return_sign: Literal[False] = False,
    out: Out[np.float32] = None,
) -> NDArray[np.float32]: ...
@overload
def logsumexp(
    x: ArrayLike,
    axis: None,
    *,
    b: ArrayLike | None = None,
    keepdims: Literal[False] = False,
    return_sign: Literal[False] = False,
) -> np.float64: ...
@overload
def logsumexp(
    x: ArrayLike,
    axis: int | tuple[int, ...] = -1,
    *,
    b: ArrayLike | None = None,
    keepdims: bool = False,
    return_sign: Literal[False] = False,
    out: Out[np.float64] = None,
) -> NDArray[np.float64]: ...
@overload
def logsumexp(
    x: ArrayLike,
    axis: Axis = -1,
    *,
    b: ArrayLike | None = None,
    keepdims: bool = False,
    return_sign: Literal[False] = False,
    out: Out[Any] = None,
) -> FloatArray: ...
@overload
def logsumexp(
    x: ArrayLike,
    axis: Axis = -1,
    *,
    b: ArrayLike | None = None,
    keepdims: bool = False,
    return_sign: Literal[True],
    out: Out[Any] = None,
) -> tuple[FloatArray, FloatArray]: ...
def logsumexp(
    x: ArrayLike,
    axis: Axis = -1,
    *,
    b: ArrayLike | None = None,
    keepdims: bool = False,
    return_sign: bool = False,
    out: Out[Any] = None,
) -> Any:
    """Logarithm of sums of exponentials, log sum_j b_j exp(x_j), along an axis.

    Parameters
    ----------
    x : array_like
        Real numbers, of any shape. Of a single number only the axis None or () is allowed.
    axis : int, tuple of ints or None, optional
        What is summed over: one axis, several, or with None all. `scipy.special.logsumexp` has None by default.
    b : array_like, optional
        Weights, which may be negative. `x` and `b` are broadcast to one shape. An element of weight 0 adds nothing, even NaN or
        infinity.
    keepdims : bool, optional
        Whether the axes stay in the result, with length 1, so that it can be broadcast with `x`.
    return_sign : bool, optional
        Whether to return the signs of the sums too. Without them the result of a negative sum is NaN.
    out : ndarray or tuple of one ndarray, optional
        Where to write the logarithms: of their shape and dtype. It may share memory with `x`.

    Returns
    -------
    log : ndarray or scalar
        The logarithms of the sums, or of their absolute values with `return_sign`. float32 where `x`, and `b` unless it is a
        Python number, are float32, float16 or bfloat16, else float64.
    sign : ndarray or scalar
        Only with `return_sign`: 1, 0 or -1, or NaN where the sum is NaN, in the same dtype.

    Raises
    ------
    TypeError
        If `x` or `b` do not hold real numbers, `axis` is no integer, or `out` has another dtype than the result.
    ValueError
        If `axis` does not exist or is named twice, `b` does not broadcast with `x`, or `out` has another shape than the result.

    See Also
    --------
    log_softmax, softplus

    Notes
    -----
    The result is top + log1p(the sum without the top), where the top is the largest term [1]_. It neither overflows nor loses
    digits near 0. +inf gives +inf, NaN gives NaN. The sum over nothing, and over -inf alone, is 0, so the result is -inf. With `b`
    the sum is made by NumPy in float64, which takes longer.

    References
    ----------
    .. [1] Blanchard, Higham and Higham, "Accurately computing the log-sum-exp and softmax functions", 2021.

    Examples
    --------
    >>> import numpy as np
    >>> import fastlec
    >>> fastlec.logsumexp([[1000.0, 1000.0], [0.0, -1000.0]]).round(4)
    array([1000.6931,    0.    ])
    >>> log, sign = fastlec.logsumexp([1.0, 2.0], b=[1, -1], return_sign=True)
    >>> (sign * np.exp(log)).round(4)  # exp(1) - exp(2)
    np.float64(-4.6708)
    """
    if b is None and keepdims is False and return_sign is False:
        return _along_axis(_softmax.LOGSUMEXP, x, axis, out)
    return _log_sum_of_any(x, axis, b, _check.flag(keepdims, "keepdims"), _check.flag(return_sign, "return_sign"), out)


def _log_sum_of_any(x, axis, b, keepdims, return_sign, out):
    x, out = _check.as_array(x, "x"), _check.one(out)
    if b is None:
        y = np.asarray(_along_axis(_softmax.LOGSUMEXP, x, axis, None))
        if keepdims:
            axes = _check.axis_tuple(axis, x.ndim)
            y = y.reshape([1 if i in axes else n for i, n in enumerate(x.shape)])
        sign = np.where(np.isnan(y), y, y > -np.inf)
    else:
        from .reference import logsumexp

        number = type(b) in (bool, int, float)  # which has no dtype of its own
        b = _check.as_array(b, "b")
        dtype = _check.common_dtype(x=x) if number else _check.common_dtype(x=x, b=b)
        with np.errstate(over="ignore"):
            y, sign = (np.asarray(a, dtype) for a in logsumexp(x, axis, b=b, keepdims=keepdims, return_sign=True))
        if not return_sign:
            y = np.where(sign < 0, np.nan, y).astype(dtype, copy=False)
    y = _check.through(out, _check.scalar(y))
    return (y, _check.scalar(sign)) if return_sign else y


@overload
def softmax_cross_entropy(
    logits: Single, labels: ArrayLike, *, sample_weight: ArrayLike | None = None, grad_out: NDArray[np.float32] | None = None
) -> tuple[float, NDArray[np.float32]]: ...
@overload
def softmax_cross_entropy(
    logits: ArrayLike, labels: ArrayLike, *, sample_weight: ArrayLike | None = None, grad_out: NDArray[np.float64] | None = None
) -> tuple[float, NDArray[np.float64]]: ...
def softmax_cross_entropy(
    logits: ArrayLike, labels: ArrayLike, *, sample_weight: ArrayLike | None = None, grad_out: FloatArray | None = None
) -> tuple[float, FloatArray]:
    """Mean cross-entropy of the softmax of logits, and its gradient (lecture eq. 11).

    Parameters
    ----------
    logits : array_like, shape (m, n)
        One row for each of m samples, one column for each of n classes; neither may be 0.
    labels : array_like, shape (m,) or (m, n)
        Integers from 0 to n - 1, or rows of target probabilities.
    sample_weight : array_like, shape (m,), optional
        Finite weights w_i >= 0, not all 0. The mean is then sum_i w_i l_i / sum_i w_i.
    grad_out : ndarray, shape (m, n), optional
        Where to write the gradient. It may be `logits` itself.

    Returns
    -------
    loss : float
        The mean, summed in float64.
    grad : ndarray, shape (m, n)
        Its derivative by the logits, in the dtype of logits and target rows: w_i (softmax(logits_i) - target_i) / sum w, where
        softmax counts as often as the target row sums to.

    Raises
    ------
    TypeError
        If `logits` or `sample_weight` do not hold real numbers, or `labels` neither integers nor rows of real numbers.
    ValueError
        If shapes do not fit, a label is no class, or weights are negative, not finite or all 0.

    See Also
    --------
    SoftmaxCrossEntropy, SoftmaxObjective, log_softmax

    Notes
    -----
    Loss and gradient come from one sweep over the logits.

    Examples
    --------
    >>> import fastlec
    >>> loss, grad = fastlec.softmax_cross_entropy([[0.0, 0.0], [0.0, 2.0]], [0, 1])
    >>> round(loss, 4)
    0.41
    >>> grad.round(4)
    array([[-0.25  ,  0.25  ],
           [ 0.0596, -0.0596]])
    """
    total = None if sample_weight is not None or type(logits) is not np.ndarray or logits.ndim != 2 else len(logits)
    if total:
        result = _xent.loss_and_gradient(logits, labels, None, 1 / total, grad_out, True)
        if result is not None:
            return result[0] / total, result[1]
    return _cross_entropy_of_any(logits, labels, sample_weight, grad_out)


def _cross_entropy_of_any(logits, labels, sample_weight, grad_out):
    logits = _check.matrix(logits, "logits")
    m, n = logits.shape
    labels = _check.as_array(labels, "labels")
    if labels.ndim == 2 or labels.dtype.kind == "f":
        if labels.shape == (m,):
            raise TypeError(f"labels has dtype {labels.dtype}; expected integers, or probabilities of shape {(m, n)}")
        if labels.shape != (m, n):
            raise ValueError(f"labels has shape {labels.shape}; expected ({m},) integers or ({m}, {n}) probabilities")
        dtype = _check.common_dtype(logits=logits, labels=labels)
        labels = _check.plain(labels, dtype, "labels")
    else:
        dtype = _check.float_dtype(logits.dtype, "logits")
        labels = _check.labels(labels, m, n)
    weight, total = (None, m) if sample_weight is None else _check.weights(sample_weight, m)
    if grad_out is not None:
        _check.output(grad_out, (m, n), dtype, "grad_out")
    loss, grad = _xent.loss_and_gradient(_check.plain(logits, dtype, "logits"), labels, weight, 1 / total, None, True)
    return loss / total, _check.fill(grad_out, grad)


def _value(op, x, out, parameter=0.0):
    y = _map.value(op, x, out, parameter)
    return y if y is not None else _check.elementwise(lambda plain: _map.value(op, plain, None, parameter), x, out)


def _derivative(op, x, out, parameter=0.0):
    y = _map.derivative(op, x, out, parameter)
    return y if y is not None else _check.elementwise(lambda plain: _map.derivative(op, plain, None, parameter), x, out)


def _elementwise(function: Callable[..., Any]) -> Elementwise:
    """The function itself, to type checkers with the dtypes and scalars that come of its argument. So are the next ones."""
    return function


def _with_alpha(function: Callable[..., Any]) -> WithAlpha:
    return function


def _with_approximate(function: Callable[..., Any]) -> WithApproximate:
    return function


def _with_negative_slope(function: Callable[..., Any]) -> WithNegativeSlope:
    return function


@_elementwise
def tanh(x: ArrayLike, *, out: Out[Any] = None) -> FloatArray:
    """Hyperbolic tangent, elementwise (lecture figure 6).

    Parameters
    ----------
    x : array_like
        Real numbers, of any shape.
    out : ndarray or tuple of one ndarray, optional
        Where to write the result: of x's shape and the result's dtype. It may be `x` itself.

    Returns
    -------
    ndarray or scalar
        The values, of x's shape: float32 for float32, float16 and bfloat16, else float64.

    Raises
    ------
    TypeError
        If `x` does not hold real numbers, or `out` has another dtype than the result.
    ValueError
        If `out` has another shape than the result, or is read-only.

    See Also
    --------
    tanh_derivative, sigmoid

    Notes
    -----
    The error is at most 2 ULP.

    Examples
    --------
    >>> import fastlec
    >>> fastlec.tanh([-20.0, 0.0, 0.5]).round(4)
    array([-1.    ,  0.    ,  0.4621])
    >>> fastlec.tanh(0.0)
    np.float64(0.0)
    """
    return _value(_FUNCTIONS["tanh"], x, out)


@_elementwise
def sigmoid(x: ArrayLike, *, out: Out[Any] = None) -> FloatArray:
    """Logistic function 1 / (1 + exp(-x)), elementwise (lecture eq. 3).

    Parameters
    ----------
    x : array_like
        Real numbers, of any shape.
    out : ndarray or tuple of one ndarray, optional
        Where to write the result: of x's shape and the result's dtype. It may be `x` itself.

    Returns
    -------
    ndarray or scalar
        The values, of x's shape: float32 for float32, float16 and bfloat16, else float64.

    Raises
    ------
    TypeError
        If `x` does not hold real numbers, or `out` has another dtype than the result.
    ValueError
        If `out` has another shape than the result, or is read-only.

    See Also
    --------
    sigmoid_derivative, softmax

    Notes
    -----
    The error is at most 2 ULP. Nothing overflows.

    Examples
    --------
    >>> import fastlec
    >>> fastlec.sigmoid([-1000.0, 0.0, 1.0]).round(4)
    array([0.    , 0.5   , 0.7311])
    """
    return _value(_FUNCTIONS["sigmoid"], x, out)


@_elementwise
def relu(x: ArrayLike, *, out: Out[Any] = None) -> FloatArray:
    """Rectified linear unit max(x, 0), elementwise.

    Parameters
    ----------
    x : array_like
        Real numbers, of any shape.
    out : ndarray or tuple of one ndarray, optional
        Where to write the result: of x's shape and the result's dtype. It may be `x` itself.

    Returns
    -------
    ndarray or scalar
        The values, of x's shape: float32 for float32, float16 and bfloat16, else float64.

    Raises
    ------
    TypeError
        If `x` does not hold real numbers, or `out` has another dtype than the result.
    ValueError
        If `out` has another shape than the result, or is read-only.

    See Also
    --------
    relu_derivative, leaky_relu

    Notes
    -----
    NaN stays NaN.

    Examples
    --------
    >>> import fastlec
    >>> fastlec.relu([-1.0, 0.0, 2.0])
    array([0., 0., 2.])
    """
    return _value(_FUNCTIONS["relu"], x, out)


@_elementwise
def tanh_derivative(x: ArrayLike, *, out: Out[Any] = None) -> FloatArray:
    """Derivative 1 - tanh(x)^2 of `tanh`, elementwise.

    Parameters
    ----------
    x : array_like
        Real numbers, of any shape.
    out : ndarray or tuple of one ndarray, optional
        Where to write the result: of x's shape and the result's dtype. It may be `x` itself.

    Returns
    -------
    ndarray or scalar
        The derivatives, of x's shape: float32 for float32, float16 and bfloat16, else float64.

    Raises
    ------
    TypeError
        If `x` does not hold real numbers, or `out` has another dtype than the result.
    ValueError
        If `out` has another shape than the result, or is read-only.

    See Also
    --------
    tanh, value_and_derivative

    Notes
    -----
    Computed as 4 e / (1 + e)^2 with e = exp(-2 abs(x)), which keeps its digits where tanh is near 1.

    Examples
    --------
    >>> import fastlec
    >>> fastlec.tanh_derivative([0.0, 1.0]).round(4)
    array([1.  , 0.42])
    """
    return _derivative(_FUNCTIONS["tanh"], x, out)


@_elementwise
def sigmoid_derivative(x: ArrayLike, *, out: Out[Any] = None) -> FloatArray:
    """Derivative sigmoid(x) (1 - sigmoid(x)) of `sigmoid`, elementwise (lecture 2.3.1).

    Parameters
    ----------
    x : array_like
        Real numbers, of any shape.
    out : ndarray or tuple of one ndarray, optional
        Where to write the result: of x's shape and the result's dtype. It may be `x` itself.

    Returns
    -------
    ndarray or scalar
        The derivatives, of x's shape: float32 for float32, float16 and bfloat16, else float64.

    Raises
    ------
    TypeError
        If `x` does not hold real numbers, or `out` has another dtype than the result.
    ValueError
        If `out` has another shape than the result, or is read-only.

    See Also
    --------
    sigmoid, value_and_derivative

    Notes
    -----
    Computed as e / (1 + e)^2 with e = exp(-abs(x)), which keeps its digits where sigmoid is near 1.

    Examples
    --------
    >>> import fastlec
    >>> fastlec.sigmoid_derivative([0.0, 1.0]).round(4)
    array([0.25  , 0.1966])
    """
    return _derivative(_FUNCTIONS["sigmoid"], x, out)


@_elementwise
def relu_derivative(x: ArrayLike, *, out: Out[Any] = None) -> FloatArray:
    """Derivative of `relu`, elementwise: 1 where x > 0, else 0.

    Parameters
    ----------
    x : array_like
        Real numbers, of any shape.
    out : ndarray or tuple of one ndarray, optional
        Where to write the result: of x's shape and the result's dtype. It may be `x` itself.

    Returns
    -------
    ndarray or scalar
        The derivatives, of x's shape: float32 for float32, float16 and bfloat16, else float64.

    Raises
    ------
    TypeError
        If `x` does not hold real numbers, or `out` has another dtype than the result.
    ValueError
        If `out` has another shape than the result, or is read-only.

    See Also
    --------
    relu, value_and_derivative

    Notes
    -----
    It is 0 at 0, and NaN where x is NaN.

    Examples
    --------
    >>> import fastlec
    >>> fastlec.relu_derivative([-1.0, 0.0, 2.0])
    array([0., 0., 1.])
    """
    return _derivative(_FUNCTIONS["relu"], x, out)


def _gelu(approximate):
    return _FUNCTIONS["gelu_tanh" if _check.choice(approximate, ("none", "tanh"), "approximate") == "tanh" else "gelu"]


@_with_approximate
def gelu(x: ArrayLike, *, approximate: Literal["none", "tanh"] = "none", out: Out[Any] = None) -> FloatArray:
    """Gaussian error linear unit x Phi(x), elementwise, where Phi is the normal distribution.

    Parameters
    ----------
    x : array_like
        Real numbers, of any shape.
    approximate : {"none", "tanh"}, optional
        With "tanh" the approximation x (1 + tanh(u)) / 2, where u = sqrt(2 / pi) (x + 0.044715 x^3).
    out : ndarray or tuple of one ndarray, optional
        Where to write the result: of x's shape and the result's dtype. It may be `x` itself.

    Returns
    -------
    ndarray or scalar
        The values, of x's shape: float32 for float32, float16 and bfloat16, else float64.

    Raises
    ------
    TypeError
        If `x` does not hold real numbers, or `out` has another dtype than the result.
    ValueError
        If `out` has another shape than the result, or is read-only; if `approximate` is another word.

    See Also
    --------
    gelu_derivative, erf, silu

    Notes
    -----
    Phi(x) is (1 + erf(x / sqrt(2))) / 2. The error is at most 6 ULP, with "tanh" 5 (1 + abs(u)) ULP of the approximation. At
    -infinity the value is -0.

    References
    ----------
    Hendrycks and Gimpel, "Gaussian error linear units", 2016.

    Examples
    --------
    >>> import fastlec
    >>> fastlec.gelu([-1.0, 0.0, 1.0]).round(4)
    array([-0.1587,  0.    ,  0.8413])
    >>> fastlec.gelu([-1.0, 0.0, 1.0], approximate="tanh").round(4)
    array([-0.1588,  0.    ,  0.8412])
    """
    return _value(_gelu(approximate), x, out)


@_with_approximate
def gelu_derivative(x: ArrayLike, *, approximate: Literal["none", "tanh"] = "none", out: Out[Any] = None) -> FloatArray:
    """Derivative Phi(x) + x phi(x) of `gelu`, elementwise, where phi is the normal density.

    Parameters
    ----------
    x : array_like
        Real numbers, of any shape.
    approximate : {"none", "tanh"}, optional
        With "tanh" the derivative of that approximation.
    out : ndarray or tuple of one ndarray, optional
        Where to write the result: of x's shape and the result's dtype. It may be `x` itself.

    Returns
    -------
    ndarray or scalar
        The derivatives, of x's shape: float32 for float32, float16 and bfloat16, else float64.

    Raises
    ------
    TypeError
        If `x` does not hold real numbers, or `out` has another dtype than the result.
    ValueError
        If `out` has another shape than the result, or is read-only; if `approximate` is another word.

    See Also
    --------
    gelu, value_and_derivative

    Examples
    --------
    >>> import fastlec
    >>> fastlec.gelu_derivative([-1.0, 0.0, 1.0]).round(4)
    array([-0.0833,  0.5   ,  1.0833])
    """
    return _derivative(_gelu(approximate), x, out)


@_elementwise
def silu(x: ArrayLike, *, out: Out[Any] = None) -> FloatArray:
    """Sigmoid linear unit x sigmoid(x), elementwise, which is also called swish.

    Parameters
    ----------
    x : array_like
        Real numbers, of any shape.
    out : ndarray or tuple of one ndarray, optional
        Where to write the result: of x's shape and the result's dtype. It may be `x` itself.

    Returns
    -------
    ndarray or scalar
        The values, of x's shape: float32 for float32, float16 and bfloat16, else float64.

    Raises
    ------
    TypeError
        If `x` does not hold real numbers, or `out` has another dtype than the result.
    ValueError
        If `out` has another shape than the result, or is read-only.

    See Also
    --------
    silu_derivative, gelu

    Notes
    -----
    The error is at most 3 ULP. At -infinity the value is -0.

    References
    ----------
    Elfwing, Uchibe and Doya, "Sigmoid-weighted linear units for neural network function approximation in reinforcement
    learning", 2018.

    Examples
    --------
    >>> import fastlec
    >>> fastlec.silu([-1.0, 0.0, 1.0]).round(4)
    array([-0.2689,  0.    ,  0.7311])
    """
    return _value(_FUNCTIONS["silu"], x, out)


@_elementwise
def silu_derivative(x: ArrayLike, *, out: Out[Any] = None) -> FloatArray:
    """Derivative sigmoid(x) (1 + x (1 - sigmoid(x))) of `silu`, elementwise.

    Parameters
    ----------
    x : array_like
        Real numbers, of any shape.
    out : ndarray or tuple of one ndarray, optional
        Where to write the result: of x's shape and the result's dtype. It may be `x` itself.

    Returns
    -------
    ndarray or scalar
        The derivatives, of x's shape: float32 for float32, float16 and bfloat16, else float64.

    Raises
    ------
    TypeError
        If `x` does not hold real numbers, or `out` has another dtype than the result.
    ValueError
        If `out` has another shape than the result, or is read-only.

    See Also
    --------
    silu, value_and_derivative

    Examples
    --------
    >>> import fastlec
    >>> fastlec.silu_derivative([-1.0, 0.0, 1.0]).round(4)
    array([0.0723, 0.5   , 0.9277])
    """
    return _derivative(_FUNCTIONS["silu"], x, out)


@_elementwise
def softplus(x: ArrayLike, *, out: Out[Any] = None) -> FloatArray:
    """Softplus log(1 + exp(x)), elementwise: a smooth `relu`.

    Parameters
    ----------
    x : array_like
        Real numbers, of any shape.
    out : ndarray or tuple of one ndarray, optional
        Where to write the result: of x's shape and the result's dtype. It may be `x` itself.

    Returns
    -------
    ndarray or scalar
        The values, of x's shape: float32 for float32, float16 and bfloat16, else float64.

    Raises
    ------
    TypeError
        If `x` does not hold real numbers, or `out` has another dtype than the result.
    ValueError
        If `out` has another shape than the result, or is read-only.

    See Also
    --------
    softplus_derivative, logsumexp

    Notes
    -----
    The error is at most 2 ULP. Nothing overflows.

    Examples
    --------
    >>> import fastlec
    >>> fastlec.softplus([-1000.0, 0.0, 1000.0]).round(4)
    array([0.000e+00, 6.931e-01, 1.000e+03])
    """
    return _value(_FUNCTIONS["softplus"], x, out)


@_elementwise
def softplus_derivative(x: ArrayLike, *, out: Out[Any] = None) -> FloatArray:
    """Derivative sigmoid(x) of `softplus`, elementwise.

    Parameters
    ----------
    x : array_like
        Real numbers, of any shape.
    out : ndarray or tuple of one ndarray, optional
        Where to write the result: of x's shape and the result's dtype. It may be `x` itself.

    Returns
    -------
    ndarray or scalar
        The derivatives, of x's shape: float32 for float32, float16 and bfloat16, else float64.

    Raises
    ------
    TypeError
        If `x` does not hold real numbers, or `out` has another dtype than the result.
    ValueError
        If `out` has another shape than the result, or is read-only.

    See Also
    --------
    softplus, sigmoid

    Notes
    -----
    The error is at most 2 ULP.

    Examples
    --------
    >>> import fastlec
    >>> fastlec.softplus_derivative([0.0, 1.0]).round(4)
    array([0.5   , 0.7311])
    """
    return _derivative(_FUNCTIONS["softplus"], x, out)


@_with_alpha
def elu(x: ArrayLike, *, alpha: float = 1.0, out: Out[Any] = None) -> FloatArray:
    """Exponential linear unit, elementwise: x where x > 0, else alpha (exp(x) - 1).

    Parameters
    ----------
    x : array_like
        Real numbers, of any shape.
    alpha : float, optional
        A finite number: minus the limit for x to -infinity.
    out : ndarray or tuple of one ndarray, optional
        Where to write the result: of x's shape and the result's dtype. It may be `x` itself.

    Returns
    -------
    ndarray or scalar
        The values, of x's shape: float32 for float32, float16 and bfloat16, else float64.

    Raises
    ------
    TypeError
        If `x` does not hold real numbers, or `out` has another dtype than the result.
    ValueError
        If `out` has another shape than the result, or is read-only; if `alpha` is not finite.

    See Also
    --------
    elu_derivative, relu

    Notes
    -----
    The error is at most 2 ULP.

    References
    ----------
    Clevert, Unterthiner and Hochreiter, "Fast and accurate deep network learning by exponential linear units", 2016.

    Examples
    --------
    >>> import fastlec
    >>> fastlec.elu([-1.0, 0.0, 1.0], alpha=2).round(4)
    array([-1.2642,  0.    ,  1.    ])
    """
    return _value(_FUNCTIONS["elu"], x, out, _check.finite_number(alpha, "alpha"))


@_with_alpha
def elu_derivative(x: ArrayLike, *, alpha: float = 1.0, out: Out[Any] = None) -> FloatArray:
    """Derivative of `elu`, elementwise: 1 where x > 0, else alpha exp(x).

    Parameters
    ----------
    x : array_like
        Real numbers, of any shape.
    alpha : float, optional
        A finite number, as in `elu`.
    out : ndarray or tuple of one ndarray, optional
        Where to write the result: of x's shape and the result's dtype. It may be `x` itself.

    Returns
    -------
    ndarray or scalar
        The derivatives, of x's shape: float32 for float32, float16 and bfloat16, else float64.

    Raises
    ------
    TypeError
        If `x` does not hold real numbers, or `out` has another dtype than the result.
    ValueError
        If `out` has another shape than the result, or is read-only; if `alpha` is not finite.

    See Also
    --------
    elu, value_and_derivative

    Notes
    -----
    It is alpha at 0.

    Examples
    --------
    >>> import fastlec
    >>> fastlec.elu_derivative([-1.0, 0.0, 1.0], alpha=2).round(4)
    array([0.7358, 2.    , 1.    ])
    """
    return _derivative(_FUNCTIONS["elu"], x, out, _check.finite_number(alpha, "alpha"))


@_elementwise
def erf(x: ArrayLike, *, out: Out[Any] = None) -> FloatArray:
    """Error function, elementwise: 2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x.

    Parameters
    ----------
    x : array_like
        Real numbers, of any shape.
    out : ndarray or tuple of one ndarray, optional
        Where to write the result: of x's shape and the result's dtype. It may be `x` itself.

    Returns
    -------
    ndarray or scalar
        The values, of x's shape: float32 for float32, float16 and bfloat16, else float64.

    Raises
    ------
    TypeError
        If `x` does not hold real numbers, or `out` has another dtype than the result.
    ValueError
        If `out` has another shape than the result, or is read-only.

    See Also
    --------
    erf_derivative, gelu

    Notes
    -----
    The error is at most 2 ULP.

    Examples
    --------
    >>> import fastlec
    >>> fastlec.erf([-1.0, 0.0, 1.0]).round(4)
    array([-0.8427,  0.    ,  0.8427])
    """
    return _value(_FUNCTIONS["erf"], x, out)


@_elementwise
def erf_derivative(x: ArrayLike, *, out: Out[Any] = None) -> FloatArray:
    """Derivative 2 exp(-x^2) / sqrt(pi) of `erf`, elementwise.

    Parameters
    ----------
    x : array_like
        Real numbers, of any shape.
    out : ndarray or tuple of one ndarray, optional
        Where to write the result: of x's shape and the result's dtype. It may be `x` itself.

    Returns
    -------
    ndarray or scalar
        The derivatives, of x's shape: float32 for float32, float16 and bfloat16, else float64.

    Raises
    ------
    TypeError
        If `x` does not hold real numbers, or `out` has another dtype than the result.
    ValueError
        If `out` has another shape than the result, or is read-only.

    See Also
    --------
    erf, value_and_derivative

    Notes
    -----
    The error is at most 3 ULP.

    Examples
    --------
    >>> import fastlec
    >>> fastlec.erf_derivative([0.0, 1.0]).round(4)
    array([1.1284, 0.4151])
    """
    return _derivative(_FUNCTIONS["erf"], x, out)


@_with_negative_slope
def leaky_relu(x: ArrayLike, *, negative_slope: float = 0.01, out: Out[Any] = None) -> FloatArray:
    """Leaky `relu`, elementwise: x where x > 0, else negative_slope x.

    Parameters
    ----------
    x : array_like
        Real numbers, of any shape.
    negative_slope : float, optional
        A finite number: the slope below 0.
    out : ndarray or tuple of one ndarray, optional
        Where to write the result: of x's shape and the result's dtype. It may be `x` itself.

    Returns
    -------
    ndarray or scalar
        The values, of x's shape: float32 for float32, float16 and bfloat16, else float64.

    Raises
    ------
    TypeError
        If `x` does not hold real numbers, or `out` has another dtype than the result.
    ValueError
        If `out` has another shape than the result, or is read-only; if `negative_slope` is not finite.

    See Also
    --------
    leaky_relu_derivative, relu

    Examples
    --------
    >>> import fastlec
    >>> fastlec.leaky_relu([-1.0, 0.0, 1.0], negative_slope=0.5)
    array([-0.5,  0. ,  1. ])
    """
    return _value(_FUNCTIONS["leaky_relu"], x, out, _check.finite_number(negative_slope, "negative_slope"))


@_with_negative_slope
def leaky_relu_derivative(x: ArrayLike, *, negative_slope: float = 0.01, out: Out[Any] = None) -> FloatArray:
    """Derivative of `leaky_relu`, elementwise: 1 where x > 0, else negative_slope.

    Parameters
    ----------
    x : array_like
        Real numbers, of any shape.
    negative_slope : float, optional
        A finite number, as in `leaky_relu`.
    out : ndarray or tuple of one ndarray, optional
        Where to write the result: of x's shape and the result's dtype. It may be `x` itself.

    Returns
    -------
    ndarray or scalar
        The derivatives, of x's shape: float32 for float32, float16 and bfloat16, else float64.

    Raises
    ------
    TypeError
        If `x` does not hold real numbers, or `out` has another dtype than the result.
    ValueError
        If `out` has another shape than the result, or is read-only; if `negative_slope` is not finite.

    See Also
    --------
    leaky_relu, value_and_derivative

    Notes
    -----
    It is negative_slope at 0, and NaN where x is NaN.

    Examples
    --------
    >>> import fastlec
    >>> fastlec.leaky_relu_derivative([-1.0, 0.0, 1.0], negative_slope=0.5)
    array([0.5, 0.5, 1. ])
    """
    return _derivative(_FUNCTIONS["leaky_relu"], x, out, _check.finite_number(negative_slope, "negative_slope"))


@overload
def value_and_derivative(
    x: Single, activation: ActivationName, *, out: tuple[NDArray[np.float32] | None, NDArray[np.float32] | None] | None = None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]: ...
@overload
def value_and_derivative(x: float, activation: ActivationName, *, out: None = None) -> tuple[np.float64, np.float64]: ...
@overload
def value_and_derivative(
    x: ArrayLike,
    activation: ActivationName,
    *,
    out: tuple[NDArray[np.float64] | None, NDArray[np.float64] | None] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]: ...
def value_and_derivative(
    x: ArrayLike, activation: ActivationName, *, out: tuple[FloatArray | None, FloatArray | None] | None = None
) -> Any:
    """An activation and its derivative in one sweep over x.

    Parameters
    ----------
    x : array_like
        Real numbers, of any shape.
    activation : str
        "tanh", "sigmoid", "relu", "gelu", "gelu_tanh" (`gelu` with approximate="tanh"), "silu", "softplus", "elu" with alpha = 1,
        or "leaky_relu" with negative_slope = 0.01.
    out : tuple of two ndarrays, optional
        Where to write value and derivative, or None for either. One of them may be `x` itself.

    Returns
    -------
    value : ndarray or scalar
        The values f(x), of x's shape: float32 for float32, float16 and bfloat16, else float64.
    derivative : ndarray or scalar
        The derivatives f'(x), likewise.

    Raises
    ------
    TypeError
        If `x` does not hold real numbers, or `out` is no pair of arrays of the result's dtype.
    ValueError
        If there is no such activation, or arrays in `out` have another shape or share memory.

    See Also
    --------
    tanh, tanh_derivative, Activation

    Examples
    --------
    >>> import fastlec
    >>> value, slope = fastlec.value_and_derivative([0.0, 1.0], "tanh")
    >>> value.round(4), slope.round(4)
    (array([0.    , 0.7616]), array([1.  , 0.42]))
    """
    op = _FUNCTIONS[_check.choice(activation, CODES, "activation")]
    parameter = _map.ALPHA[activation]
    try:
        y, dy = (None, None) if out is None else out
    except (TypeError, ValueError):
        raise TypeError("out: expected a pair of arrays, for the value and the derivative") from None
    if isinstance(y, np.ndarray) and isinstance(dy, np.ndarray) and np.shares_memory(y, dy):
        raise ValueError("out holds two arrays that share memory; expected two apart")
    result = _map.both(op, x, y, dy, parameter)
    if result is None:
        result = _check.elementwise(lambda plain: _map.both(op, plain, None, None, parameter), x, y, dy)
    return result


@overload
def matmul(a: Single, b: Single, *, out: Out[np.float32] = None) -> NDArray[np.float32]: ...
@overload
def matmul(a: ArrayLike, b: ArrayLike, *, out: Out[np.float64] = None) -> NDArray[np.float64]: ...
def matmul(a: ArrayLike, b: ArrayLike, *, out: Out[Any] = None) -> FloatArray:
    """Product of two matrices, as `numpy.matmul`.

    Parameters
    ----------
    a : array_like, shape (m, k)
        The left matrix. A transposed view, ``a.T``, is read in place.
    b : array_like, shape (k, n)
        The right matrix, likewise.
    out : ndarray or tuple of one ndarray, shape (m, n), optional
        Where to write the product, in its dtype. It may share memory with `a` and `b`.

    Returns
    -------
    ndarray, shape (m, n)
        The product: float32 where both are float32, float16 or bfloat16, else float64.

    Raises
    ------
    TypeError
        If a matrix does not hold real numbers, or `out` has another dtype than the product.
    ValueError
        If shapes do not fit.

    See Also
    --------
    Dense, conv2d

    Examples
    --------
    >>> import fastlec
    >>> fastlec.matmul([[1, 2], [3, 4]], [[0, 1], [1, 0]])
    array([[2., 1.],
           [4., 3.]])
    """
    c = _gemm.matmul(a, b, out)
    return c if c is not None else _check.product(_gemm.matmul, a, b, out)
