"""The functions of the lecture on NumPy arrays.

All of them take any array-like of any strides and byte order, never modify it, and compute in float32 for float32 and float16, in
float64 for float64, integers and bool; other dtypes are a TypeError. An input is copied only if it is not a native, aligned float32
or float64 array in C order (or, for one axis, Fortran order). `out` must have exactly the result's shape and dtype; it may be or
overlap the input. Results do not depend on the number of threads.
"""

import numpy as np

from . import _check
from ._activations import CODES
from ._kernels import gemm as _gemm
from ._kernels import map as _map
from ._kernels import softmax as _softmax
from ._kernels import xent as _xent
from ._kernels.map import FUNCTIONS as _FUNCTIONS


def _along_axis(mode, x, axis, out):
    y = _softmax.along_axis(mode, x, axis, out)
    if y is None:
        y = _check.along_axis(
            lambda *plain: _softmax.along_axis(mode, *plain), x, axis, out, reduces=mode == _softmax.LOGSUMEXP
        )
    return y


def softmax(x, *, axis=-1, out=None):
    """Probabilities exp(x_j) / sum_i exp(x_i) along an axis (lecture eq. 10), shifted by the largest so that nothing overflows.

    x : array-like, any shape with at least one axis. axis : int, tuple of ints (one softmax over all of them) or None (over all).
    out : array of x's shape and the result's dtype, or None for a new one. Returns the probabilities, of x's shape.

    A slice with NaN or +inf, or only -inf, becomes NaN, as in scipy.special.softmax. Each slice sums to 1 within 4 eps.
    """
    return _along_axis(_softmax.SOFTMAX, x, axis, out)


def log_softmax(x, *, axis=-1, out=None):
    """Log of softmax along an axis: x - logsumexp(x), which keeps the logs of probabilities near 1 accurate.

    Arguments as `softmax`. Special values as in scipy.special.log_softmax: beside a +inf every other element is -inf.
    """
    return _along_axis(_softmax.LOG_SOFTMAX, x, axis, out)


def logsumexp(x, *, axis=-1, out=None):
    """log sum_j exp(x_j) along an axis, as top + log1p(the sum without the top) (Blanchard, Higham and Higham 2021).

    x, axis : as `softmax`. out : array of the shape of x without the axes. Returns that shape (0-d for axis=None).
    ValueError where an axis is empty. +inf anywhere gives +inf, only -inf gives -inf, NaN gives NaN.
    """
    return _along_axis(_softmax.LOGSUMEXP, x, axis, out)


def softmax_cross_entropy(logits, labels, *, sample_weight=None, grad_out=None):
    """Mean cross-entropy of the softmax of logits (lecture eq. 11) and its gradient with respect to them, in one sweep.

    logits : (m, n), m samples and n classes, neither 0. labels : (m,) integers in [0, n), or (m, n) rows of target probabilities.
    sample_weight : (m,), finite, >= 0, not all 0; the mean is sum_i w_i l_i / sum_i w_i.
    grad_out : (m, n) array for the gradient, which may be logits itself, or None for a new one.

    Returns (loss, grad): a float, summed in float64, and (m, n) in the dtype of logits and target rows:
    w_i (softmax(logits_i) - target_i) / sum w, where softmax counts as often as the target row sums to.
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


def tanh(x, *, out=None):
    """Hyperbolic tangent, elementwise (lecture figure 6), within 2 ULP. x : any shape. Returns x's shape."""
    return _value(_FUNCTIONS["tanh"], x, out)


def sigmoid(x, *, out=None):
    """1 / (1 + exp(-x)), elementwise (lecture eq. 3), within 2 ULP and without overflow. x : any shape. Returns x's shape."""
    return _value(_FUNCTIONS["sigmoid"], x, out)


def relu(x, *, out=None):
    """max(x, 0), elementwise; NaN stays NaN. x : any shape. Returns x's shape."""
    return _value(_FUNCTIONS["relu"], x, out)


def tanh_derivative(x, *, out=None):
    """1 - tanh(x)^2, elementwise, as 4 e / (1 + e)^2 with e = exp(-2 |x|). x : any shape. Returns x's shape."""
    return _derivative(_FUNCTIONS["tanh"], x, out)


def sigmoid_derivative(x, *, out=None):
    """sigmoid(x) (1 - sigmoid(x)), elementwise (2.3.1), as e / (1 + e)^2, e = exp(-|x|). x : any shape. Returns x's shape."""
    return _derivative(_FUNCTIONS["sigmoid"], x, out)


def relu_derivative(x, *, out=None):
    """1 where x > 0, 0 elsewhere, NaN where x is NaN. x : any shape. Returns x's shape."""
    return _derivative(_FUNCTIONS["relu"], x, out)


def _gelu(approximate):
    return _FUNCTIONS["gelu_tanh" if _check.choice(approximate, ("none", "tanh"), "approximate") == "tanh" else "gelu"]


def gelu(x, *, approximate="none", out=None):
    """x Phi(x), Phi the normal distribution (1 + erf(x / sqrt(2))) / 2, elementwise, within 6 ULP.

    x : any shape. approximate : "tanh" for x (1 + tanh(u)) / 2, u = sqrt(2 / pi) (x + 0.044715 x^3), within 5 (1 + |u|) ULP.
    Returns x's shape. -inf gives -0.

    >>> fastlec.gelu([-1.0, 0.0, 1.0]).round(4)
    array([-0.1587,  0.    ,  0.8413])

    Hendrycks and Gimpel, "Gaussian error linear units", 2016.
    """
    return _value(_gelu(approximate), x, out)


def gelu_derivative(x, *, approximate="none", out=None):
    """Phi(x) + x phi(x), phi the normal density, elementwise; with approximate="tanh" the derivative of that. x : any shape."""
    return _derivative(_gelu(approximate), x, out)


def silu(x, *, out=None):
    """x sigmoid(x), elementwise, within 3 ULP; -inf gives -0. x : any shape. Returns x's shape (Elfwing, Uchibe and Doya 2018).

    >>> fastlec.silu([-1.0, 0.0, 1.0]).round(4)
    array([-0.2689,  0.    ,  0.7311])
    """
    return _value(_FUNCTIONS["silu"], x, out)


def silu_derivative(x, *, out=None):
    """sigmoid(x) (1 + x (1 - sigmoid(x))), elementwise. x : any shape. Returns x's shape."""
    return _derivative(_FUNCTIONS["silu"], x, out)


def softplus(x, *, out=None):
    """log(1 + exp(x)), elementwise, within 2 ULP and without overflow. x : any shape. Returns x's shape.

    >>> fastlec.softplus([-1000.0, 0.0, 1000.0]).round(4)
    array([0.000e+00, 6.931e-01, 1.000e+03])
    """
    return _value(_FUNCTIONS["softplus"], x, out)


def softplus_derivative(x, *, out=None):
    """sigmoid(x), elementwise, within 2 ULP. x : any shape. Returns x's shape."""
    return _derivative(_FUNCTIONS["softplus"], x, out)


def elu(x, *, alpha=1.0, out=None):
    """x where x > 0, alpha (exp(x) - 1) elsewhere, elementwise, within 2 ULP. x : any shape. alpha : a finite number.

    >>> fastlec.elu([-1.0, 0.0, 1.0], alpha=2).round(4)
    array([-1.2642,  0.    ,  1.    ])

    Clevert, Unterthiner and Hochreiter, "Fast and accurate deep network learning by exponential linear units", 2016.
    """
    return _value(_FUNCTIONS["elu"], x, out, _check.finite_number(alpha, "alpha"))


def elu_derivative(x, *, alpha=1.0, out=None):
    """1 where x > 0, alpha exp(x) elsewhere, at 0 too; elementwise. x : any shape. alpha : a finite number."""
    return _derivative(_FUNCTIONS["elu"], x, out, _check.finite_number(alpha, "alpha"))


def erf(x, *, out=None):
    """The error function 2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x, elementwise, within 2 ULP. x : any shape.

    >>> fastlec.erf([-1.0, 0.0, 1.0]).round(4)
    array([-0.8427,  0.    ,  0.8427])
    """
    return _value(_FUNCTIONS["erf"], x, out)


def erf_derivative(x, *, out=None):
    """2 exp(-x^2) / sqrt(pi), elementwise, within 3 ULP. x : any shape. Returns x's shape."""
    return _derivative(_FUNCTIONS["erf"], x, out)


def leaky_relu(x, *, negative_slope=0.01, out=None):
    """x where x > 0, negative_slope times x elsewhere, elementwise. x : any shape. negative_slope : a finite number.

    >>> fastlec.leaky_relu([-1.0, 0.0, 1.0], negative_slope=0.5)
    array([-0.5,  0. ,  1. ])
    """
    return _value(_FUNCTIONS["leaky_relu"], x, out, _check.finite_number(negative_slope, "negative_slope"))


def leaky_relu_derivative(x, *, negative_slope=0.01, out=None):
    """1 where x > 0, negative_slope elsewhere, at 0 too, NaN where x is; elementwise. x : any shape."""
    return _derivative(_FUNCTIONS["leaky_relu"], x, out, _check.finite_number(negative_slope, "negative_slope"))


def value_and_derivative(x, activation, *, out=None):
    """An activation and its derivative in one sweep over x.

    x : any shape. activation : "tanh", "sigmoid", "relu", "gelu", "gelu_tanh", "silu", "softplus", "elu" or "leaky_relu", of which
    the last two have alpha = 1 and negative_slope = 0.01. out : pair of arrays for the value and the derivative, or None.
    Returns (f(x), f'(x)).
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


def matmul(a, b, *, out=None):
    """The matrix product a b (m, n) of a (m, k) and b (k, n), as np.matmul for two matrices.

    Transposed views (a.T) are read in place. out : array (m, n) of the result's dtype, or None for a new one.
    """
    c = _gemm.matmul(a, b, out)
    return c if c is not None else _check.product(_gemm.matmul, a, b, out)
