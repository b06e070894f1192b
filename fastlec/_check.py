"""The only coercion: what users pass becomes what the kernels take, or a clear error. The only place that builds error texts.

"Plain" is what a kernel reads in place: a native, aligned float32 or float64 ndarray in C order. All else is copied here.
"""

import math
import operator

import numpy as np
from numpy.exceptions import AxisError
from numpy.lib.array_utils import normalize_axis_tuple

from ._kernels.plan import is_plain

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
_SWAPPED = {dtype: dtype.newbyteorder() for dtype in FLOATS}


def as_array(x, name):
    """x as an ndarray. TypeError for what has no such form."""
    if getattr(x, "requires_grad", False):
        raise TypeError(f"{name} is a tensor that requires grad; expected an array: pass {name}.detach()")
    try:
        return np.asarray(x)
    except ValueError as error:
        raise ValueError(f"{name} is no rectangular array: {error}") from None


def float_dtype(dtype, name):
    """float32 for float32 and float16, float64 for float64, integers and bool; TypeError for all others."""
    for own in FLOATS:
        if dtype in (own, _SWAPPED[own]):
            return own
    if dtype == np.float16:
        return FLOATS[0]
    if dtype.kind in "iub":
        return FLOATS[1]
    raise TypeError(f"{name} has dtype {dtype}; expected float32, float64, float16, an integer type or bool")


def layer_dtype(dtype):
    """The dtype argument of a layer."""
    dtype = np.dtype(dtype)
    if dtype not in FLOATS:
        raise TypeError(f"dtype is {dtype}; expected float32 or float64")
    return dtype


def common_dtype(**arrays):
    """The dtype to compute in: float32 only where every array is single precision."""
    return np.result_type(*(float_dtype(a.dtype, name) for name, a in arrays.items()))


def plain(a, dtype=None, name="x"):
    """An ndarray in C order of float32 or float64, the same memory where it can be."""
    a = np.require(a, dtype or float_dtype(a.dtype, name), ["C", "A"])
    return a.view(np.ndarray) if type(a) is not np.ndarray else a


def output(out, shape, dtype, name="out"):
    """Refuses an `out` that does not have exactly this shape and dtype, or cannot be written to."""
    if not isinstance(out, np.ndarray):
        raise TypeError(f"{name} is a {type(out).__name__}; expected an ndarray")
    if out.dtype != dtype:
        raise TypeError(f"{name} has dtype {out.dtype}; expected {dtype}")
    if out.shape != tuple(shape):
        raise ValueError(f"{name} has shape {out.shape}; expected {tuple(shape)}")
    if not out.flags.writeable:
        raise ValueError(f"{name} is read-only; expected a writeable array")
    return out


def fill(out, result):
    """Returns result, through `out` if there is one."""
    if out is None:
        return result
    np.copyto(out, result)
    return out


def parameter(a, name):
    """A layer's parameter: itself where it is plain, so that views of a network's theta stay what they are."""
    a = as_array(a, name)
    if a.dtype.kind != "f" or a.dtype.itemsize < 4:
        raise TypeError(f"{name} has dtype {a.dtype}; expected float32 or float64")
    return plain(a, name=name)


def through(out, result):
    """fill, for an `out` that was not looked at yet."""
    return result if out is None else fill(output(out, result.shape, result.dtype), result)


def kernel_output(out, shape, dtype, plan, others):
    """The array for a plan to write: `out` (checked) where it is plain and apart from the others, else a new one."""
    if out is None:
        return plan.empty(*shape)
    output(out, shape, dtype)
    if is_plain(out) and not any(np.may_share_memory(out, other) for other in others):
        return out
    return plan.empty(*shape)


def along_axis(compute, x, axis, out, *, reduces):
    """compute(plain x, axis) along any axis or tuple of axes of any array; None means all. The general way round a kernel that
    declined: through copies, so overlap of x and out does not matter."""
    x = as_array(x, "x")
    dtype = float_dtype(x.dtype, "x")
    try:
        axes = normalize_axis_tuple(range(x.ndim) if axis is None else axis, x.ndim, "axis")
    except TypeError:
        raise TypeError(f"axis is {axis!r}; expected an integer, a tuple of integers or None") from None
    except OverflowError:
        raise AxisError(f"axis is {axis}; x has {x.ndim} axes") from None
    kept = tuple(i for i in range(x.ndim) if i not in axes)
    shape = tuple(x.shape[i] for i in kept) if reduces else x.shape
    if out is not None:
        output(out, shape, dtype)
    if 0 in [x.shape[i] for i in axes] and reduces and 0 not in shape:
        raise ValueError(f"x has shape {x.shape}; expected at least one element along axis {axis}")
    if 0 in x.shape:
        return fill(out, np.empty(shape, dtype))
    if len(axes) == 1 and x.T.flags.c_contiguous:
        result = compute(plain(x.T, dtype), x.ndim - 1 - axes[0], None).T
    elif len(axes) == 1:
        result = compute(plain(x, dtype), axes[0], None)
    else:
        moved = x.transpose(kept + axes)
        flat = moved.reshape(math.prod(x.shape[i] for i in kept), -1)
        result = compute(plain(flat, dtype), 1, None)
        result = result.reshape(shape) if reduces else result.reshape(moved.shape).transpose(np.argsort(kept + axes))
    return fill(out, result)


def elementwise(compute, x, *outs):
    """compute(plain x) of any array; one result for each of outs. In x's own memory order where that is C's or Fortran's."""
    x = as_array(x, "x")
    dtype = float_dtype(x.dtype, "x")
    for i, out in enumerate(outs):
        if out is not None:
            output(out, x.shape, dtype, "out" if len(outs) == 1 else f"out[{i}]")
    flip = x.T.flags.c_contiguous
    results = compute(plain(x.T if flip else x, dtype))
    results = results if len(outs) > 1 else (results,)
    filled = tuple(fill(out, r.T if flip else r) for out, r in zip(outs, results, strict=True))
    return filled if len(outs) > 1 else filled[0]


def product(compute, a, b, out):
    """compute(plain a, plain b, None): the general way round a matrix product that declined."""
    a, b = as_array(a, "a"), as_array(b, "b")
    dtype = common_dtype(a=a, b=b)
    for x, name in ((a, "a"), (b, "b")):
        if x.ndim != 2:
            raise ValueError(f"{name} has shape {x.shape}; expected a matrix")
    if b.shape[0] != a.shape[1]:
        raise ValueError(f"b has shape {b.shape}; expected ({a.shape[1]}, {b.shape[1]}) to match a of shape {a.shape}")
    if out is not None:
        output(out, (a.shape[0], b.shape[1]), dtype)
    return fill(out, compute(plain(a, dtype, "a"), plain(b, dtype, "b"), None))


def labels(y, m, n, name="labels"):
    """Class labels as int64 (m,), each in [0, n); n None: any that are not negative."""
    y = as_array(y, name)
    if y.dtype.kind not in "iub":
        raise TypeError(f"{name} has dtype {y.dtype}; expected integers")
    if y.shape != (m,):
        raise ValueError(f"{name} has shape {y.shape}; expected ({m},), one label for each sample")
    if y.size:
        low, high = y.min(), y.max()
        if low < 0 or (n is not None and high >= n):
            raise ValueError(f"{name} has values from {low} to {high}; expected 0 to {'any' if n is None else n - 1}")
        if high > np.iinfo(np.int64).max:
            raise ValueError(f"{name} has values up to {high}; expected values of int64")
    return np.require(y, np.int64, ["C", "A"])


def weights(w, m, name="sample_weight"):
    """Sample weights as float64 (m,), finite, none negative, not all zero; and their sum. Only their ratios matter, so
    they come back times the power of two that brings the largest near 1: then float32 holds them too."""
    w = as_array(w, name)
    float_dtype(w.dtype, name)
    if w.shape != (m,):
        raise ValueError(f"{name} has shape {w.shape}; expected ({m},), one weight for each sample")
    low, high = float(w.min()), float(w.max())
    if not (low >= 0 and 0 < high < np.inf):
        raise ValueError(f"{name} has values from {low} to {high}; expected finite weights >= 0, not all 0")
    w = np.ldexp(np.require(w, np.float64, ["C", "A"]), -int(np.frexp(high)[1]))
    return w, float(w.sum())


def batch(X, y, which):
    """X[which] and y[which]: at least one sample, by a slice or an index array."""
    try:
        chosen, targets = X[which], y[which]
    except (IndexError, TypeError) as error:
        kind = ValueError if isinstance(error, IndexError) else TypeError
        raise kind(f"batch does not select samples of {len(X)}: {error}") from None
    if chosen.ndim != X.ndim or not len(chosen):
        raise ValueError(f"batch selects shape {chosen.shape}; expected at least one sample, by a slice or an index array")
    return chosen, targets


def matrix(x, name, *, columns=None):
    """A non-empty 2-D array, any dtype that computes."""
    x = as_array(x, name)
    if x.ndim != 2 or 0 in x.shape:
        raise ValueError(f"{name} has shape {x.shape}; expected (samples, features), neither of them 0")
    if columns is not None and x.shape[1] != columns:
        raise ValueError(f"{name} has shape {x.shape}; expected ({x.shape[0]}, {columns})")
    return x


def samples(X, name="X"):
    """A matrix of samples that the kernels read in place: unit stride along a row. Copied only where it is not so already."""
    X = matrix(X, name)
    dtype = float_dtype(X.dtype, name)
    fits = X.dtype == dtype and X.dtype.isnative and X.flags.aligned and X.strides[0] % X.itemsize == 0
    if fits and (X.shape[1] == 1 or X.strides[1] == X.itemsize):
        return X.view(np.ndarray)
    return plain(X, dtype, name)


def vector(v, size, dtype, name, parts):
    """A flat parameter vector in the dtype of the computation, and the dtype to answer in. parts: what it is made of."""
    v = as_array(v, name)
    answer = float_dtype(v.dtype, name)
    if v.shape != (size,):
        raise ValueError(f"{name} has shape {v.shape}; expected ({size},): {parts}")
    return plain(v, dtype, name), answer


def count(n, name, least):
    """An integer argument."""
    try:
        value = operator.index(n)
    except TypeError:
        raise TypeError(f"{name} is {n!r}; expected an integer") from None
    if value < least:
        raise ValueError(f"{name} is {value}; expected at least {least}")
    return value


def loss(value):
    """TypeError unless value is a loss, not its class."""
    _offers(value, ("targets", "value_and_gradient"), "loss", "SoftmaxCrossEntropy(), MeanSquaredError() or the like")


def optimizer(value):
    """TypeError unless value is an optimizer, not its class."""
    _offers(value, ("set_rule", "state_arrays"), "optimizer", "SGD(...), Adam(...) or the like")


def _offers(value, names, what, expected):
    if isinstance(value, type) or not all(hasattr(value, name) for name in names):
        raise TypeError(f"{what} is {value!r}; expected {expected}")


def number(value, name):
    """A real number, NaN and infinity as well."""
    try:
        return float(None if isinstance(value, str) else value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} is {value!r}; expected a number") from None


def non_negative(value, name):
    """A finite number >= 0."""
    result = number(value, name)
    if not 0 <= result < np.inf:
        raise ValueError(f"{name} is {result}; expected a finite number >= 0")
    return result
