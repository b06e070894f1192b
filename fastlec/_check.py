"""The only coercion: what users pass becomes what the kernels take, or a clear error, whose text shows values as `shown` does.

"Plain" is what a kernel reads in place: a native, aligned float32 or float64 ndarray in C order. All else is copied here.
"""

import math
import operator
import os
import sys
import warnings
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.exceptions import AxisError
from numpy.lib.array_utils import byte_bounds, normalize_axis_tuple

from ._kernels import xent as _xent
from ._kernels.plan import is_plain

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
MOST_COUNT = sys.maxsize  # of any integer argument: what memory can be counted in
MOST_AXES = 64  # of a NumPy array
LONG = 60  # characters of a value in a message
MEMORY_FROM = 1 << 28  # bytes that are asked about before they are taken
PART_VALUES = 1 << 20  # values that are looked at together


def as_array(x, name):
    """x as an ndarray. TypeError for what has no such form, and for masked arrays, whose masks no kernel knows."""
    if getattr(x, "requires_grad", False):
        advice = f"pass {name}.detach(), or use what fastlec.torch has for PyTorch's autograd: function, Module, ops"
        raise TypeError(f"{name} is a tensor that requires grad; expected an array: {advice}")
    if is_masked(x):
        raise TypeError(f"{name} is a masked array; expected a plain array: fill it, e.g. {name}.filled(0)")
    try:
        a = np.asarray(x)
    except ValueError as error:
        raise ValueError(f"{name} is no rectangular array: {error}") from None
    return _of_objects(x, a, name) if a.dtype.char == "O" else a


def _of_objects(x, a, name):
    """x, of which NumPy makes an array of objects, by its other ways: DLPack, or as a table with pandas's nullable columns, whose
    missing values become NaN; a where there is none."""
    if not (a.ndim or isinstance(x, np.ndarray)) and hasattr(x, "__dlpack__"):
        try:
            return np.from_dlpack(x)
        except (BufferError, RuntimeError, TypeError, ValueError) as error:
            raise TypeError(f"{name} is a {type(x).__name__} that NumPy cannot read: {error}") from None
    dtypes = getattr(x, "dtypes", ()) if a.ndim == 2 else [getattr(x, "dtype", None)]
    dtypes = [getattr(dtype, "numpy_dtype", dtype) for dtype in dtypes]
    numbers = all(isinstance(dtype, np.dtype) and is_real(dtype) for dtype in dtypes)
    if not (dtypes and numbers and hasattr(x, "to_numpy")):
        return a
    return x.to_numpy(np.result_type(*(float_dtype(dtype, name) for dtype in dtypes)), na_value=np.nan)


def is_masked(x, depth=MOST_AXES):
    """Whether x is a masked array, or a list or tuple with one."""
    if type(x) is np.ndarray or "numpy.ma" not in sys.modules:  # NumPy imports it when it is first used
        return False
    if not depth or not isinstance(x, (list, tuple)):
        return isinstance(x, np.ma.MaskedArray)
    return any(is_masked(a, depth - 1) for a in x if isinstance(a, (list, tuple, np.ndarray)))


def shown(value):
    """A value that a user gave as a message shows it."""
    if isinstance(value, int) and value.bit_length() > 3 * LONG:  # Python refuses to write very long ones
        return f"an integer of {value.bit_length()} bits"
    try:
        text = repr(value)
    except Exception:  # of the user's own, or a list with such an integer
        text = f"a {type(value).__name__}"
    return text if len(text) <= LONG else f"{text[:LONG]}..."


def broadcast(**arrays):
    """Two arrays, by the names of the arguments, with the shape that NumPy broadcasts them to."""
    try:
        return np.broadcast_arrays(*arrays.values())
    except ValueError:
        (one, a), (other, b) = arrays.items()
        raise ValueError(f"{other} has shape {b.shape}; expected one that broadcasts with {one} of shape {a.shape}") from None


def is_real(dtype):
    """Whether arrays of this dtype hold real numbers."""
    return dtype.kind in "fiub" or is_half(dtype)


def is_half(dtype):
    """Whether it is a float of 16 bits: NumPy's, or the bfloat16 that ml_dtypes adds to NumPy."""
    return dtype == np.float16 or dtype.name == "bfloat16"


def float_dtype(dtype, name):
    """float32 for float32, float16 and bfloat16, float64 for float64, integers and bool, of any byte order; TypeError for all
    others."""
    native = dtype if dtype.isnative else dtype.newbyteorder("=")
    for own in FLOATS:
        if native == own:
            return own
    if dtype.kind in "iub":
        return FLOATS[1]
    if is_half(native):
        return FLOATS[0]
    raise TypeError(f"{name} has dtype {dtype}; expected float32, float64, float16, bfloat16, an integer type or bool")


def layer_dtype(dtype):
    """The dtype argument of a layer or a loader."""
    try:
        own = None if dtype is None else np.dtype(dtype)
    except Exception:  # NumPy asks the object's own attributes, which may raise anything
        own = None
    if own is None or own not in FLOATS:  # to NumPy None is float64
        raise TypeError(f"dtype is {shown(dtype) if own is None else own}; expected float32 or float64")
    return own


def shape(a, name, expected, why=""):
    """a, if it has the expected shape, else ValueError. why : where that comes from, such as " to match x of shape (2, 3)"."""
    if a.shape != tuple(expected):
        raise ValueError(f"{name} has shape {a.shape}; expected {tuple(expected)}{why}")
    return a


def memory_size(root: str = "/sys/fs/cgroup") -> int:
    """Bytes of physical memory, or of the container's limit, or a number that limits nothing where the system does not say."""
    sizes = [sys.maxsize]
    with suppress(AttributeError, ValueError, OSError):
        sizes.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for name in ("memory.max", "memory/memory.limit_in_bytes"):  # cgroup v2, then v1
        with suppress(ValueError, OSError):  # ValueError: "max"
            sizes.append(int(Path(root, name).read_text()))
    return min(sizes)


def memory_left():
    """Bytes of it that can be had now, as far as the system says."""
    try:
        with open("/proc/meminfo") as file:
            kilobytes = next(line.split()[1] for line in file if line.startswith("MemAvailable:"))
        return min(int(kilobytes) << 10, memory_size())
    except (OSError, StopIteration):
        return memory_size()


def memory(n_bytes, what):
    """MemoryError, before any is taken, where so many bytes cannot be had."""
    if n_bytes > MEMORY_FROM and n_bytes > memory_left():
        raise MemoryError(f"{what} would take more memory than this machine has left, {memory_left() >> 20} MiB")


def common_dtype(**arrays):
    """The dtype to compute in: float32 only where every array is single precision."""
    return np.result_type(*(float_dtype(a.dtype, name) for name, a in arrays.items()))


def plain(a, dtype=None, name="x"):
    """An ndarray in C order of float32 or float64, the same memory where it can be."""
    if is_plain(a) and a.dtype is dtype:
        return a  # the common case, quickly
    a = np.require(a, dtype or float_dtype(a.dtype, name), ["C", "A"])
    return a.view(np.ndarray) if type(a) is not np.ndarray else a


def one(out):
    """The argument `out` of a function with one result: the array, or the only item of a tuple, as NumPy's functions take it."""
    return out[0] if type(out) is tuple and len(out) == 1 else out


def scalar(a):
    """A new array, or the element of one that is 0-d, as NumPy's functions return it."""
    return a if a.ndim else a[()]


def output(out, expected, dtype, name="out"):
    """Refuses an `out` that does not have exactly this shape and dtype, or cannot be written to."""
    if not isinstance(out, np.ndarray) or is_masked(out):
        raise TypeError(f"{name} is a {type(out).__name__}; expected an ndarray")
    if out.dtype != dtype:
        raise TypeError(f"{name} has dtype {out.dtype}; expected {dtype}")
    shape(out, name, expected)
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
    """Like `fill`, but validates `out` first."""
    return result if out is None else fill(output(out, result.shape, result.dtype), result)


def kernel_output(out, shape, dtype, plan, others):
    """The array for a plan to write: `out` (checked) where it is plain and apart from the others, else a new one."""
    if out is None:
        return plan.empty(*shape)
    output(out, shape, dtype)
    if is_plain(out) and not any(np.may_share_memory(out, other) for other in others):
        return out
    return plan.empty(*shape)


def apart(outs, others):
    """Those of the arrays `outs`, by name, that a kernel can write to: plain, and apart from each other and from the others."""
    if not outs:
        return {}
    ranges = [(*byte_bounds(a), name) for name, a in [*outs.items(), *((None, a) for a in others)] if a.size]
    overlapping, last, end = set(), None, -1
    for low, high, name in sorted(ranges, key=lambda part: part[:2]):
        if low < end:
            overlapping |= {name, last}
        if high > end:
            last, end = name, high
    return {name: a for name, a in outs.items() if name not in overlapping and is_plain(a)}


def axis_tuple(axis, ndim):
    """The argument `axis` as a tuple of numbers from 0 on; None means all."""
    try:
        return normalize_axis_tuple(range(ndim) if axis is None else axis, ndim, "axis")
    except TypeError:
        raise TypeError(f"axis is {shown(axis)}; expected an integer, a tuple of integers or None") from None
    except OverflowError:
        raise AxisError(f"axis is {shown(axis)}; x has {ndim} axes") from None


def along_axis(compute, x, axis, out, *, reduces):
    """compute(plain x, axis) along any axis or tuple of axes of any array; None means all. The slow path, taken when the kernel
    declines its arguments: through copies, so overlap of x and out does not matter."""
    x, out = as_array(x, "x"), one(out)
    dtype = float_dtype(x.dtype, "x")
    axes = axis_tuple(axis, x.ndim)
    kept = tuple(i for i in range(x.ndim) if i not in axes)
    shape = tuple(x.shape[i] for i in kept) if reduces else x.shape
    if out is not None:
        output(out, shape, dtype)
    if 0 in x.shape:
        return fill(out, scalar(np.full(shape, -np.inf, dtype)))  # log 0, the sum over nothing
    if len(axes) == 1 and x.T.flags.c_contiguous:
        result = compute(plain(x.T, dtype), x.ndim - 1 - axes[0], None).T
    elif len(axes) == 1:
        result = compute(plain(x, dtype), axes[0], None)
    else:
        moved = x.transpose(kept + axes)
        flat = moved.reshape(math.prod(x.shape[i] for i in kept), -1)
        result = compute(plain(flat, dtype), 1, None)
        result = result.reshape(shape) if reduces else result.reshape(moved.shape).transpose(np.argsort(kept + axes))
    return fill(out, scalar(result))


def elementwise(compute, x, *outs):
    """compute(plain x) of any array; one result for each of outs. In x's own memory order where that is C's or Fortran's."""
    x = as_array(x, "x")
    dtype = float_dtype(x.dtype, "x")
    outs = (one(*outs),) if len(outs) == 1 else outs
    for i, out in enumerate(outs):
        if out is not None:
            output(out, x.shape, dtype, "out" if len(outs) == 1 else f"out[{i}]")
    flip = x.T.flags.c_contiguous
    results = compute(plain(x.T if flip else x, dtype))
    results = results if len(outs) > 1 else (results,)
    filled = tuple(fill(out, r.T if flip else r) for out, r in zip(outs, results, strict=True))
    return filled if len(outs) > 1 else filled[0]


def product(compute, a, b, out):
    """compute(plain a, plain b, None): the slow path, taken when the kernel declines its arguments."""
    a, b, out = as_array(a, "a"), as_array(b, "b"), one(out)
    dtype = common_dtype(a=a, b=b)
    for x, name in ((a, "a"), (b, "b")):
        if x.ndim != 2:
            raise ValueError(f"{name} has shape {x.shape}; expected a matrix")
    shape(b, "b", (a.shape[1], b.shape[1]), f" to match a of shape {a.shape}")
    if out is not None:
        output(out, (a.shape[0], b.shape[1]), dtype)
    return fill(out, compute(plain(a, dtype, "a"), plain(b, dtype, "b"), None))


def labels(y, m, n, name="labels"):
    """Class labels as int64 (m,), each in [0, n); n None: any that are not negative."""
    y = as_array(y, name)
    if y.dtype.kind not in "iub":
        raise TypeError(f"{name} has dtype {y.dtype}; expected integers")
    shape(y, name, (m,), ", one label for each sample")
    if y.size:
        low, high = y.min(), y.max()
        if low < 0 or (n is not None and high >= n):
            raise ValueError(
                f"{name} has values from {low} to {high}; expected {'0 or more' if n is None else f'0 to {n - 1}'}"
            )
        if high > np.iinfo(np.int64).max:
            raise ValueError(f"{name} has values up to {high}; expected values of int64")
    return np.require(y, np.int64, ["C", "A"])


def weights(w, m, name="sample_weight"):
    """Sample weights as float64 (m,), finite, none negative, not all zero; and their sum. Only their ratios matter, so
    they come back times the power of two that brings the largest near 1: then float32 holds them too."""
    w = as_array(w, name)
    float_dtype(w.dtype, name)
    shape(w, name, (m,), ", one weight for each sample")
    if not m:
        raise ValueError(f"{name} has shape (0,); expected at least one weight")
    low, high = float(w.min()), float(w.max())
    if not (low >= 0 and 0 < high < np.inf):
        raise ValueError(f"{name} has values from {low} to {high}; expected finite weights >= 0, not all 0")
    w = np.ldexp(np.require(w, np.float64, ["C", "A"]), -int(np.frexp(high)[1]))
    return w, float(w.sum())


def mean_weights(w, m, name="sample_weight"):
    """Sample weights as float64 (m,) times what makes their mean 1: the mean of w_i l_i is then the weighted mean of l."""
    found = _xent.mean_weights(w, m)
    return _xent.mean_weights(weights(w, m, name)[0], m) if found is None else found


def batch(X, y, which):
    """X[which] and y[which]: at least one sample, by a slice or an index array."""
    if is_masked(which):
        as_array(which, "batch")
    try:
        chosen, targets = X[which], y[which]
    except (IndexError, TypeError, ValueError, OverflowError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"batch does not select samples of {len(X)}: {error}") from None
    if chosen.ndim != X.ndim or not len(chosen):
        raise ValueError(f"batch selects shape {chosen.shape}; expected at least one sample, by a slice or an index array")
    return chosen, targets


def of_X(function, *arguments):
    """function(*arguments), whose errors call samples X, as the caller's argument is, and not x, as a layer's is."""
    try:
        return function(*arguments)
    except ValueError as error:
        text = str(error)
        if not text.startswith("x has samples of shape"):
            raise
        raise ValueError(f"X{text[1:]}") from None


def matrix(x, name, *, columns=None):
    """A non-empty 2-D array, any dtype that computes."""
    given, x = x, as_array(x, name)
    if x.dtype == object and not x.ndim:  # what NumPy makes of an object that is no array, such as a sparse matrix
        advice = f": pass {name}.toarray()" if hasattr(given, "toarray") else ""
        raise TypeError(f"{name} is a {type(given).__name__}; expected an array (samples, features){advice}")
    if x.ndim != 2 or 0 in x.shape:
        raise ValueError(f"{name} has shape {x.shape}; expected (samples, features), neither of them 0")
    return x if columns is None else shape(x, name, (x.shape[0], columns))


def samples(X, name="X"):
    """A matrix of samples that the kernels read in place: unit stride along a row. Copied only where it is not so already."""
    X = matrix(X, name)
    dtype = float_dtype(X.dtype, name)
    fits = X.dtype == dtype and X.dtype.isnative and X.flags.aligned and X.strides[0] % X.itemsize == 0
    if fits and (X.shape[1] == 1 or X.strides[1] == X.itemsize):
        return X.view(np.ndarray)
    return plain(X, dtype, name)


def values(a, name, size=None, why=""):
    """A vector of finite numbers, at least one, or ``size`` of them, in the dtype to compute in. why : as in `shape`."""
    a = as_array(a, name)
    dtype = float_dtype(a.dtype, name)
    if a.ndim != 1 or not a.size:
        raise ValueError(f"{name} has shape {a.shape}; expected {'(n,), not empty' if size is None else f'({size},)'}{why}")
    if size is not None:
        shape(a, name, (size,), why)
    a = plain(a, dtype, name)
    finite(a, name)
    return a


def warn(text, category=UserWarning):
    """A warning, of the line outside fastlec that this call comes from."""
    frame, level = sys._getframe(1), 2
    while frame.f_back and frame.f_globals.get("__name__", "").startswith("fastlec."):
        frame, level = frame.f_back, level + 1
    warnings.warn(text, category, stacklevel=level)


def finite(a, name, *, first=0, error=ValueError):
    """Raises ``error``, which says where, unless all elements of `a`, whose rows count from `first`, are finite numbers."""
    if a.size <= PART_VALUES and np.isfinite(a).all():
        return
    step = max(PART_VALUES * len(a) // max(a.size, 1), 1)
    for start in range(0, len(a), step):
        wrong = ~np.isfinite(a[start : start + step])
        if wrong.any():
            row, *others = np.argwhere(wrong)[0]
            value = a[(start + row, *others)]
            index = ", ".join(map(str, (first + start + row, *others)))
            raise error(f"{name}[{index}] is {value} as {a.dtype}; expected finite numbers")


def vector(v, size, dtype, name, parts):
    """A flat parameter vector in the dtype of the computation, and the dtype to answer in. parts: what it is made of."""
    if is_plain(v) and v.dtype is dtype and v.shape == (size,):
        return v, dtype  # the common case, quickly
    v = as_array(v, name)
    answer = float_dtype(v.dtype, name)
    shape(v, name, (size,), f": {parts}")
    return plain(v, dtype, name), answer


def count(n, name, least, most=MOST_COUNT):
    """An integer argument."""
    try:
        value = operator.index(n)
    except TypeError:
        raise TypeError(f"{name} is {shown(n)}; expected an integer") from None
    if value < least:
        raise ValueError(f"{name} is {shown(value)}; expected at least {least}")
    if value > most:
        raise ValueError(f"{name} is {shown(value)}; expected at most {most}")
    return value


def several(values, name):
    """A list of what the argument holds, which is not checked here; ValueError if that is nothing."""
    try:
        found = list(values)
    except TypeError:
        raise TypeError(f"{name} is {shown(values)}; expected several integers") from None
    if not found:
        raise ValueError(f"{name} is empty; expected at least one integer")
    return found


def function(value, name):
    """TypeError unless value can be called."""
    if not callable(value):
        raise TypeError(f"{name} is {shown(value)}; expected a function")
    return value


def path(value, name="path"):
    """TypeError unless value can be the path of a file."""
    if not isinstance(value, str | os.PathLike):
        raise TypeError(f"{name} is {shown(value)}; expected the path of a file")
    return value


def sizes(value, name="shape"):
    """A shape as a tuple of integers."""
    try:
        return tuple(map(operator.index, value))
    except TypeError:
        raise TypeError(f"{name} is {shown(value)}; expected a tuple of integers") from None


def flag(value, name):
    """True or False, of Python or NumPy."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} is {shown(value)}; expected True or False")
    return bool(value)


def choice(value, options, name):
    """One of the names that there are."""
    if not isinstance(value, str) or value not in options:
        raise ValueError(f"{name} is {shown(value)}; expected one of {', '.join(options)}")
    return value


def generator(rng, name="rng"):
    """The numpy.random.Generator of a seed, or the one given."""
    try:
        if isinstance(rng, bool | np.bool_):
            raise TypeError("a seed is no flag")
        if isinstance(rng, list | tuple) and any(isinstance(n, list | tuple) for n in rng):
            raise TypeError("a sequence of integers has no sequences in it")  # NumPy follows one that holds itself without end
        return np.random.default_rng(rng)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name} is {shown(rng)}; expected a seed (an integer >= 0), a Generator, or None") from None


def names(value, name):
    """A name, or several: a tuple of them."""
    if isinstance(value, str):
        return (value,)
    try:
        found = tuple(value)
    except TypeError:
        raise TypeError(f"{name} is {shown(value)}; expected a name or several") from None
    for item in found:
        if not isinstance(item, str):
            raise TypeError(f"{name} has {shown(item)}; expected names")
    return found


def loss(value):
    """TypeError unless value is a loss, not its class."""
    _offers(value, ("targets", "value_and_gradient"), "loss", "SoftmaxCrossEntropy(), MeanSquaredError() or the like")


def optimizer(value, *more):
    """TypeError unless value is an optimizer, not its class, which also has the attributes ``more``."""
    _offers(value, ("step", "state_arrays", *more), "optimizer", "SGD(...), Adam(...) or the like")


def _offers(value, names, what, expected):
    if isinstance(value, type):
        raise TypeError(f"{what} is {shown(value)}, a class; expected {expected}")
    missing = [name for name in names if not hasattr(value, name)]
    if missing:
        raise TypeError(f"{what} is {shown(value)}; expected {expected}: it has no {', '.join(missing)}")


def number(value, name):
    """A real number, NaN and infinity as well."""
    if type(value) is float:
        return value
    try:
        if (
            isinstance(value, str | bytes | bytearray)
            or getattr(value, "ndim", 0)
            or np.iscomplexobj(value)
            or is_masked(value)
        ):
            raise TypeError
        return float(value)
    except OverflowError:
        raise ValueError(f"{name} is {shown(value)}; expected a number that float64 holds") from None
    except (TypeError, ValueError):
        raise TypeError(f"{name} is {shown(value)}; expected a number") from None


def finite_number(value, name):
    result = number(value, name)
    if not math.isfinite(result):
        raise ValueError(f"{name} is {result}; expected a finite number")
    return result


def non_negative(value, name):
    """A finite number >= 0."""
    result = number(value, name)
    if not 0 <= result < np.inf:
        raise ValueError(f"{name} is {result}; expected a finite number >= 0")
    return result


def positive(value, name):
    """A finite number > 0."""
    result = non_negative(value, name)
    if not result:
        raise ValueError(f"{name} is 0; expected a number > 0")
    return result
