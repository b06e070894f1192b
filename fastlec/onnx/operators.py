"""What an ONNX operator is in fastlec: one table from names of operators to functions of a `Node`, each of which returns

a layer              with the constants of the node as parameters
a Join               of several values: `Sum` or `Concat`
a Function           of arrays, where there is no such layer
Before(a layer)      which takes the place of the layer before this node as well
a list of these      one after the other
None                 where nothing is done: the value is the first input itself
"""

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from .. import _check
from ..convolution import conv2d
from ..functional import erf, log_softmax, matmul, sigmoid, softmax
from ..layers import (
    Activation,
    AvgPool1d,
    AvgPool2d,
    BatchNorm,
    BatchNorm2d,
    Conv1d,
    Conv2d,
    ConvTranspose2d,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool2d,
    LayerNorm,
    MaxPool1d,
    MaxPool2d,
    Upsample2d,
)
from ..network import Concat, Sum
from .reader import FLOATS, Refused, decimal

OPERATORS = {}


class Function(NamedTuple):
    """apply : of the arrays that are computed; it gives an array, or a tuple of them where the node has several outputs. shape : of
    one sample of what it gives, as far as that is known."""

    apply: Callable
    shape: tuple | None = None


class Join(NamedTuple):
    """kind : the layer of branches. apply, shape : as of a `Function`."""

    kind: type
    apply: Callable
    shape: tuple | None = None


class Before(NamedTuple):
    layer: object


class Node(NamedTuple):
    """operator : its name. attributes : by name. constants : of each input the array, or None of one that is computed; inputs that
    are left out at the end are not there, others are Ellipsis. shapes : of one sample of each input that is computed, as far as it
    is known. before : the layer that gives the first of these, where that is for this node alone, and made by the operator
    `before_operator`. batch : the number of samples that the model's input has, where it says one. outputs : how many of its
    outputs are asked for."""

    operator: str
    attributes: dict
    constants: list
    shapes: list
    before: object
    before_operator: str | None
    batch: int | None
    opset: int
    outputs: int

    @property
    def shape(self):
        return self.shapes[0]

    def get(self, name, default):
        """An attribute."""
        return self.attributes.get(name, default)

    def has(self, i):
        """Whether there is an input i."""
        return i < len(self.constants) and self.constants[i] is not Ellipsis

    def constant(self, i, name, default=None):
        """An input that must be constant, or the default where there is none."""
        if not self.has(i):
            return default
        if self.constants[i] is None:
            raise Refused(f"its input {i}, {name}, is computed; expected a constant")
        return self.constants[i]

    def parameter(self, i, name):
        """A constant of numbers, which there must be."""
        a = self.constant(i, name)
        if a is None:
            raise Refused(f"it has no input {i}, {name}")
        return a.astype(_check.float_dtype(a.dtype, name), copy=False)


def operator(*names):
    """A decorator: the function is for nodes of these operators."""

    def registered(function):
        OPERATORS.update(dict.fromkeys(names, function))
        return function

    return registered


def _layer(kind, arrays, *arguments, **settings):
    """A layer with these parameters and buffers."""
    made = kind(*arguments, **settings, dtype=_check.common_dtype(**arrays))
    for name, a in made.buffers.items():
        np.copyto(a, _check.shape(arrays[name], name, a.shape))
    return made.with_params({name: np.ascontiguousarray(arrays[name], a.dtype) for name, a in made.params.items()})


# --- products ----------------------------------------------------------------------------------------------------------


@operator("Gemm")
def _gemm(node):
    W, alpha, beta = node.parameter(1, "B"), node.get("alpha", 1.0), node.get("beta", 1.0)
    b = node.parameter(2, "C") if node.has(2) else None
    if W.ndim != 2:
        raise Refused(f"B has shape {W.shape}; expected a matrix")
    W = (W if node.get("transB", 0) else W.T) * W.dtype.type(alpha)
    b = None if b is None else b * b.dtype.type(beta)
    if not node.get("transA", 0) and (b is None or b.ndim < 2 or b.shape[0] == 1):
        return _dense(W, b)
    turn = node.get("transA", 0)

    def product(x):
        y = matmul(x.T if turn else x, W.T)
        return y if b is None else y + b.astype(y.dtype)

    return Function(product, (len(W),))


def _dense(W, b=None):
    """W x + b, where b may be a number or a row."""
    k, n = W.shape
    arrays = {"W": W} | ({} if b is None else {"b": np.broadcast_to(b.ravel(), (k,))})
    return _layer(Dense, arrays, n, k, "identity", b is not None)


@operator("MatMul")
def _matmul(node):
    W = node.parameter(1, "B")
    if W.ndim != 2:
        raise Refused(f"B has shape {W.shape}; expected a matrix")
    if node.shape is None or len(node.shape) == 1:
        return _dense(W.T)
    dense = _dense(W.T)  # for every row of a sample
    return Function(lambda x: dense(x.reshape(-1, x.shape[-1])).reshape(*x.shape[:-1], W.shape[1]))


@operator("LinearClassifier")
def _linear_classifier(node):
    intercepts = np.array(node.get("intercepts", ()), np.float32)
    coefficients, rule = np.array(node.get("coefficients", ()), np.float32), node.get("post_transform", "NONE")
    if len(intercepts) < 2 or not coefficients.size or coefficients.size % len(intercepts):
        what = f"it has {coefficients.size} coefficients and {len(intercepts)} intercepts"
        raise Refused(f"{what}; expected two intercepts or more, and as many rows of coefficients")
    dense = _dense(coefficients.reshape(len(intercepts), -1), intercepts)
    rules = {
        "NONE": dense,
        "LOGISTIC": [dense, Activation("sigmoid")],
        "SOFTMAX": [dense, Function(softmax, (len(intercepts),))],
    }
    if rule not in rules:
        raise Refused(f"post_transform is {rule!r}; expected one of {', '.join(rules)}")
    return rules[rule]


# --- convolutions ------------------------------------------------------------------------------------------------------


class _Windows(NamedTuple):
    """The attributes that say where windows are, for images or signals; pads : [(before, after)] of each axis, or None where
    auto_pad says "same", and lower then whether the odd pixel is before the image."""

    sizes: tuple
    strides: tuple
    dilations: tuple
    pads: list | None
    lower: bool

    @property
    def extents(self):
        return [step * (taps - 1) + 1 for taps, step in zip(self.sizes, self.dilations, strict=True)]

    def sides(self, lengths):
        """(before, after) of each axis, for images of these lengths."""
        if self.pads is not None:
            return self.pads
        totals = [
            max((-(-n // step) - 1) * step + reach - n, 0)
            for n, step, reach in zip(lengths, self.strides, self.extents, strict=True)
        ]
        return [_halves(total, self.lower) for total in totals]


def _halves(total, lower):
    less = total // 2
    return (total - less, less) if lower else (less, total - less)


def _windows(node, sizes):
    axes = len(sizes)
    if axes not in (1, 2):
        raise Refused(f"it is for {axes} axes; expected images, of two, or signals, of one")
    if tuple(node.get("kernel_shape", sizes)) != tuple(sizes):
        raise Refused(f"kernel_shape is {node.get('kernel_shape', sizes)}; expected that of the weights, {list(sizes)}")
    found = {name: tuple(node.get(name, (default,) * k * axes)) for name, default, k in _EACH}
    for name, _, k in _EACH:
        if len(found[name]) != k * axes or min(found[name]) < (name != "pads"):
            raise Refused(
                f"{name} is {_check.shown(list(found[name]))}; expected {k * axes} integers, at least {name != 'pads':d}"
            )
    rule = node.get("auto_pad", "NOTSET")
    if rule not in ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"):
        raise Refused(f"auto_pad is {rule!r}; expected NOTSET, VALID, SAME_UPPER or SAME_LOWER")
    pads = list(zip(found["pads"][:axes], found["pads"][axes:], strict=True)) if rule == "NOTSET" else [(0, 0)] * axes
    return _Windows(
        tuple(sizes), found["strides"], found["dilations"], None if rule.startswith("SAME") else pads, rule == "SAME_LOWER"
    )


_EACH = ("strides", 1, 1), ("dilations", 1, 1), ("pads", 0, 2)  # name, default, how many for an axis


@operator("Conv")
def _conv(node):
    W = node.parameter(1, "W")
    windows, groups = _windows(node, W.shape[2:]), node.get("group", 1)
    padding = "same" if windows.pads is None else windows.pads
    if windows.lower:
        lengths = (node.shape or ())[1:]
        if len(lengths) != len(windows.sizes) or None in lengths:
            raise Refused("auto_pad is SAME_LOWER, and how large the images are is not known; expected pads")
        padding = windows.sides(lengths)
    arrays = {"W": W} | ({"b": node.parameter(2, "B")} if node.has(2) else {})
    sizes = W.shape[1] * groups, len(W)
    if W.ndim == 4:
        settings = {"stride": windows.strides, "padding": padding, "dilation": windows.dilations, "groups": groups}
        return _layer(Conv2d, arrays, *sizes, windows.sizes, "identity", "b" in arrays, **settings)
    settings = {"stride": windows.strides[0], "dilation": windows.dilations[0], "groups": groups}
    settings["padding"] = padding if isinstance(padding, str) else padding[0]
    return _layer(Conv1d, arrays, *sizes, windows.sizes[0], "identity", "b" in arrays, **settings)


@operator("ConvTranspose")
def _conv_transpose(node):
    W, groups = node.parameter(1, "W"), node.get("group", 1)
    windows = _windows(node, W.shape[2:])
    axes = len(windows.sizes)
    more, sides = list(node.get("output_padding", (0,) * axes)), windows.pads
    if len(more) != axes:
        raise Refused(f"output_padding is {_check.shown(more)}; expected {axes} integers")
    lengths, wanted = (node.shape or ())[1:], node.get("output_shape", None)
    if wanted is not None and (len(wanted) != axes or len(lengths) != axes or None in lengths):
        raise Refused(f"output_shape is {_check.shown(wanted)}, and the images are {lengths}; expected {axes} lengths of both")
    if wanted is not None or sides is None:
        # what is left out of the images that there would be, or added to them
        spare = [reach - step + e for reach, step, e in zip(windows.extents, windows.strides, more, strict=True)]
        if wanted is not None:
            spare = [n * step + k - w for n, step, k, w in zip(lengths, windows.strides, spare, wanted, strict=True)]
        upper = node.get("auto_pad", "NOTSET") == "SAME_UPPER"
        sides = [_halves(max(k, 0), not upper) for k in spare]
        more = [e + max(-k, 0) for e, k in zip(more, spare, strict=True)]
    arrays = {"W": W} | ({"b": node.parameter(2, "B")} if node.has(2) else {})
    images = axes == 2
    if not images:
        arrays["W"] = W[:, :, None]

    def pairs(values, of_rows):
        return tuple(values) if images else (of_rows, *values)

    settings = {"stride": pairs(windows.strides, 1), "dilation": pairs(windows.dilations, 1), "groups": groups}
    settings |= {"padding": pairs(sides, (0, 0)), "output_padding": pairs(more, 0)}
    sizes = len(W), W.shape[1] * groups, pairs(windows.sizes, 1)
    layer = _layer(ConvTranspose2d, arrays, *sizes, "identity", "b" in arrays, **settings)
    return layer if images else Function(lambda x: layer(x[:, :, None])[:, :, 0])


# --- pools -------------------------------------------------------------------------------------------------------------


@operator("AveragePool", "MaxPool")
def _pool(node):
    windows, mean = _windows(node, tuple(node.get("kernel_shape", ()))), node.operator == "AveragePool"
    if min(windows.sizes) < 1:
        raise Refused(f"kernel_shape is {list(windows.sizes)}; expected integers of at least 1")
    if windows.pads and any(p >= reach for sides, reach in zip(windows.pads, windows.extents, strict=True) for p in sides):
        raise Refused(f"pads is {node.get('pads', ())}; expected less than the windows, {windows.extents}")
    ceil_mode, counted = bool(node.get("ceil_mode", 0)), bool(node.get("count_include_pad", 0))
    layer = _pool_layer(windows, mean, ceil_mode, counted)
    lengths, same = (node.shape or ())[1:], windows._replace(pads=None)
    if not layer and len(lengths) == len(windows.sizes) and None not in lengths and same.sides(lengths) == windows.pads:
        layer = _pool_layer(same, mean, False, counted)
    if node.outputs == 2:
        return _with_places(layer, node.get("storage_order", 0))
    return layer or Function(functools.partial(_pool_of, windows, mean, ceil_mode, counted))


def _with_places(layer, by_columns):
    """What gives the largest elements and where they are, as numbers of the elements of x: the Jacobian times these."""
    if not isinstance(layer, MaxPool2d):
        raise Refused("its indices are asked for; expected those of images, with pads before as after")

    def pooled(x):
        numbers = np.arange(x.size, dtype=np.float64).reshape(*x.shape[:2], *(x.shape[:1:-1] if by_columns else x.shape[2:]))
        places = layer.jac_mv(x.astype(np.float64), x=numbers.swapaxes(2, 3) if by_columns else numbers)
        return layer(x), places.astype(np.int64)

    return Function(pooled)


def _pool_layer(windows, mean, ceil_mode, counted):
    """The layer that is such a pool, None if there is none."""
    sides, plain = windows.pads, set(windows.dilations) == {1}
    if windows.lower or (mean and not plain):
        return None
    if sides is not None and any(a != b or 2 * a > n for (a, b), n in zip(sides, windows.extents, strict=True)):
        return None
    padding = "same" if sides is None else tuple(a for a, _ in sides)
    if len(windows.sizes) == 2:
        arguments = windows.sizes, windows.strides, padding
        if mean:
            return AvgPool2d(*arguments, ceil_mode, counted)
        return MaxPool2d(*arguments, windows.dilations, ceil_mode=ceil_mode)
    if ceil_mode or not plain or padding == "same" or (mean and padding != (0,) and not counted):
        return None
    return (AvgPool1d if mean else MaxPool1d)(windows.sizes[0], windows.strides[0], padding[0])


def _pool_of(windows, mean, ceil_mode, counted, x):
    """Any pool, of images or signals: of x that has its padding, and more where windows reach beyond, which never counts."""
    lengths, counts, more = x.shape[2:], [], []
    if len(lengths) != len(windows.sizes):
        raise ValueError(f"x has shape {x.shape}; expected (m, channels, {len(windows.sizes)} lengths)")
    for n, (a, b), step, reach in zip(lengths, windows.sides(lengths), windows.strides, windows.extents, strict=True):
        spare = n + a + b - reach
        count = spare // step + 1
        count += ceil_mode and spare % step > 0 and count * step < n + a
        if count < 1:
            raise ValueError(f"x has shape {x.shape}; expected {reach} pixels or more with the padding")
        counts.append((a, b))
        more.append((0, max((count - 1) * step + reach - n - a - b, 0)))
    rows = len(lengths) == 1

    def images(a):
        return a[:, :, None] if rows else a

    size, step, gap = ((1, *each) if rows else each for each in (windows.sizes, windows.strides, windows.dilations))
    both = [(a + c, b + d) for (a, b), (c, d) in zip(counts, more, strict=True)]
    if not mean:
        y = MaxPool2d(size, step, 0, gap)(images(_padded(x, both, -np.inf)))
    else:
        seen = _padded(_padded(np.ones((1, 1, *lengths), x.dtype), counts, float(counted)), more, 0)
        sums = (
            conv2d(images(a), np.ones((a.shape[1], 1, *size), a.dtype), stride=step, dilation=gap, groups=a.shape[1])
            for a in (_padded(x, both, 0), seen)
        )
        y = next(sums) / next(sums)
    return y[:, :, 0] if rows else y


def _padded(x, sides, value):
    """Images or signals with so many pixels of this value before and after, along each axis."""
    sizes = [(n + a + b) for n, (a, b) in zip(x.shape[2:], sides, strict=True)]
    _check.memory(math.prod(sizes) * math.prod(x.shape[:2]) * x.itemsize, f"x padded to {sizes}")
    return np.pad(x, [(0, 0), (0, 0), *sides], constant_values=value)


@operator("Pad")
def _pad(node):
    pads, value, axes = node.constant(1, "pads"), node.constant(2, "constant_value", np.zeros(())), node.constant(3, "axes")
    if node.opset < 11:
        pads, value = np.array(node.get("pads", ())), np.array(node.get("value", 0.0))
    if (
        node.get("mode", "constant") != "constant"
        or axes is not None
        or (value.size, pads.ndim) != (1, 1)
        or pads.dtype.kind != "i"
    ):
        raise Refused("it has a mode, or axes; expected pads of one constant, for all axes")
    sides = list(zip(pads[: len(pads) // 2].tolist(), pads[len(pads) // 2 :].tolist(), strict=True))
    if min(pads, default=-1) < 0 or len(sides) not in (3, 4) or any(map(any, sides[:2])):
        raise Refused(
            f"pads is {_check.shown(pads.tolist())}; expected integers of at least 0 for images or signals, 0 elsewhere"
        )
    return Function(lambda x: _padded(x, sides[2:], value.item()))


@operator("GlobalAveragePool", "GlobalMaxPool")
def _global_pool(node):
    lengths, mean = (node.shape or (None,))[1:], node.operator == "GlobalAveragePool"
    if len(lengths) == 2 and None not in lengths:
        return (AvgPool2d if mean else MaxPool2d)(lengths)
    shape = None if node.shape is None else (node.shape[0], *(1 for _ in lengths))
    if mean:
        return Function(_mean_of_channels, shape)
    return Function(lambda x: x.max(axis=tuple(range(2, x.ndim)), keepdims=True), shape)


def _mean_of_channels(x):
    m, c, *lengths = x.shape
    return GlobalAvgPool2d()(x.reshape(m, c, math.prod(lengths), 1)).reshape(m, c, *(1 for _ in lengths))


@operator("ReduceMean")
def _reduce_mean(node):
    axes = node.constant(1, "axes") if node.opset >= 18 else node.get("axes", None)
    axes = () if axes is None else sorted(int(axis) % 4 for axis in np.ravel(axes))
    if node.shape is None or len(node.shape) != 3 or list(axes) != [2, 3]:
        raise Refused(f"axes is {list(axes)}; expected those of images, [2, 3]")
    if node.get("keepdims", 1):
        return _global_pool(node._replace(operator="GlobalAveragePool"))
    return GlobalAvgPool2d()


@operator("Resize", "Upsample")
def _resize(node):
    scales = node.constant(1 if node.operator == "Upsample" else 2, "scales")
    rules = [node.get("mode", "nearest")]
    if node.operator == "Resize":
        rules += [node.get("coordinate_transformation_mode", "half_pixel"), node.get("nearest_mode", "round_prefer_floor")]
    if rules != ["nearest", "asymmetric", "floor"][: len(rules)]:
        raise Refused(f"it is {', '.join(rules)}; expected nearest, asymmetric, floor")
    factors = () if scales is None or scales.shape != (4,) else scales.tolist()
    if not factors or factors[:2] != [1, 1] or not all(float(n).is_integer() for n in factors):
        raise Refused(f"scales is {_check.shown(factors)}; expected [1, 1, vertical, horizontal], integers")
    return Upsample2d(tuple(int(n) for n in factors[2:]))


# --- normalisations ----------------------------------------------------------------------------------------------------


@operator("BatchNormalization")
def _batch_normalization(node):
    names = "gamma", "beta", "running_mean", "running_var"
    arrays = {name: node.parameter(i, name) for i, name in enumerate(names, 1)}
    eps, exact = node.get("epsilon", 1e-5), arrays["running_var"].dtype == np.float64
    settings = {"eps": eps if exact else decimal(eps), "momentum": decimal(1 - decimal(node.get("momentum", 0.9)))}
    if node.get("training_mode", 0):
        return _in_training(node, arrays, settings)
    if node.shape is not None and len(node.shape) == 1:
        return _layer(BatchNorm, arrays, arrays["gamma"].size, **settings)
    layer = _layer(BatchNorm2d, arrays, arrays["gamma"].size, **settings)
    if node.shape is not None and len(node.shape) == 3:
        return layer

    def normalized(x):
        m, c, *lengths = x.shape
        return layer(x.reshape(m, c, math.prod(lengths), 1)).reshape(x.shape)

    return Function(normalized, node.shape)


def _in_training(node, arrays, settings):
    """With the statistics of x, by which it moves the running ones: those of ONNX, whose variance is not the unbiased one."""
    layer = _layer(BatchNorm2d, arrays, arrays["gamma"].size, **settings, training=True)
    share = settings["momentum"]

    def normalized(x):
        m, c, *lengths = x.shape
        x, axes = x.reshape(m, c, math.prod(lengths), 1), (0, 2, 3)
        y = layer(x).reshape(m, c, *lengths)
        if node.outputs == 1:
            return y
        moved = ((arrays["running_mean"], x.mean(axis=axes)), (arrays["running_var"], x.var(axis=axes)))
        return y, *(before + (now - before) * share for before, now in moved)

    return Function(normalized, node.shape)


@operator("LayerNormalization")
def _layer_normalization(node):
    gamma, eps, axis = node.parameter(1, "Scale"), decimal(node.get("epsilon", 1e-5)), node.get("axis", -1)
    arrays = {"gamma": gamma} | ({"beta": node.parameter(2, "B")} if node.has(2) else {})
    if node.shape is not None and len(node.shape) == 1 and axis in (1, -1) and node.outputs == 1:
        return _layer(LayerNorm, arrays, gamma.size, eps, bias="beta" in arrays)

    def normalized(x):
        first = axis % x.ndim
        each, over = x.shape[:first], x.shape[first:]
        rows, one = x.reshape(math.prod(each), -1), (*each, *(1 for _ in over))
        own = {name: np.broadcast_to(a, over).ravel() for name, a in arrays.items()}
        y = _layer(LayerNorm, own, rows.shape[1], eps, bias="beta" in own)(rows).reshape(x.shape)
        if node.outputs == 1:
            return y
        return y, rows.mean(axis=1).reshape(one), (1 / np.sqrt(rows.var(axis=1) + x.dtype.type(eps))).reshape(one)

    return Function(normalized, node.shape)


@operator("Dropout")
def _dropout(node):
    p = node.get("ratio", 0.5) if node.opset < 12 else node.constant(1, "ratio", 0.5)
    p = decimal(np.asarray(p, np.float64).item())
    if node.constant(2, "training_mode", False) and p:
        raise Refused("training_mode is true; expected a model for inference")
    if node.outputs == 2:
        return Function(lambda x: (x, np.ones(x.shape, bool)), node.shape)
    return Dropout(p) if 0 <= p < 1 else None


@operator("Normalizer")
def _normalizer(node):
    norms = {"MAX": lambda a: a.max(axis=1), "L1": lambda a: a.sum(axis=1), "L2": lambda a: np.sqrt((a * a).sum(axis=1))}
    norm = node.get("norm", "MAX")
    if norm not in norms:
        raise Refused(f"norm is {norm!r}; expected one of {', '.join(norms)}")

    def normalized(x):
        sizes = norms[norm](np.abs(x))[:, None]
        return np.divide(x, sizes, out=np.zeros_like(x), where=sizes != 0)

    return Function(normalized, node.shape)


@operator("Scaler")
def _scaler(node):
    offset, scale = (np.array(node.get(name, (default,)), np.float32) for name, default in (("offset", 0), ("scale", 1)))
    return Function(lambda x: (x - offset.astype(x.dtype)) * scale.astype(x.dtype), node.shape)


# --- functions of elements ---------------------------------------------------------------------------------------------

_ACTIVATIONS = {"Relu": "relu", "Sigmoid": "sigmoid", "Tanh": "tanh", "Softplus": "softplus"}


@operator(*_ACTIVATIONS)
def _activation(node):
    return Activation(_ACTIVATIONS[node.operator])


@operator("Elu")
def _elu(node):
    return Activation("elu", alpha=decimal(node.get("alpha", 1.0)))


@operator("LeakyRelu")
def _leaky_relu(node):
    return Activation("leaky_relu", negative_slope=decimal(node.get("alpha", 0.01)))


@operator("Gelu")
def _gelu(node):
    return Activation("gelu", approximate=node.get("approximate", "none"))


@operator("Swish")
def _swish(node):
    alpha = node.get("alpha", 1.0)
    return Activation("silu") if alpha == 1 else Function(lambda x: x * sigmoid(x * x.dtype.type(alpha)), node.shape)


@operator("Erf")
def _erf(node):
    return Function(erf, node.shape)


@operator("Softmax", "LogSoftmax")
def _softmax(node):
    function = softmax if node.operator == "Softmax" else log_softmax
    axis, whole = node.get("axis", -1 if node.opset >= 13 else 1), node.opset < 13  # then of all axes from that on

    def along(x):
        if not whole:
            return function(x, axis=axis)
        return function(x.reshape(math.prod(x.shape[: axis % x.ndim]), -1)).reshape(x.shape)

    return Function(along, node.shape)


@operator("Add", "Sub", "Mul", "Div", "Sum")
def _arithmetic(node):
    function = {"Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Div": np.divide, "Sum": np.add}[node.operator]
    given = [a if a is None else a.astype(_check.float_dtype(a.dtype, "a constant"), copy=False) for a in node.constants]
    numbers = [a for a in given if a is not None]
    if node.operator == "Add" and len(numbers) == 1 and _takes_bias(node.before, numbers[0]):
        dense = node.before
        b = numbers[0].ravel() + (dense.params["b"] if dense.bias else 0)
        return Before(_dense(dense.params["W"], b))

    def apply(*arrays):
        arrays, dtype = iter(arrays), np.result_type(*(a.dtype for a in arrays))
        return functools.reduce(function, [next(arrays) if a is None else a.astype(dtype) for a in given])

    if not numbers and function is np.add and len(set(node.shapes)) == 1:
        return Join(Sum, apply, node.shape)
    known = all(a.size == 1 and a.ndim <= 2 for a in numbers) and len(node.shapes) == 1
    return Function(apply, node.shape if known else None)


def _takes_bias(layer, b):
    """Whether b is one number for each output of this layer, or for all."""
    plain = isinstance(layer, Dense) and layer.activation == "identity"
    return plain and b.ndim in (1, 2) and b.size in (1, layer.n_out) and b.shape[-1] == b.size


# --- shapes ------------------------------------------------------------------------------------------------------------


@operator("Identity", "ZipMap")
def _identity(node):
    return None


@operator("Cast")
def _cast(node):
    if node.get("to", None) not in FLOATS[:2]:
        raise Refused("it makes other numbers than float32 or float64 of what is computed")


@operator("Concat")
def _concat(node):
    axis = node.get("axis", 1)
    ranks = {None if shape is None else len(shape) + 1 for shape in node.shapes}
    given = node.constants
    if len(ranks) == 1 and None not in ranks and axis < 0:
        axis += ranks.pop()

    def apply(*arrays):
        arrays = iter(arrays)
        return np.concatenate([next(arrays) if a is None else a for a in given], axis)

    if axis != 1 or any(a is not None for a in given):
        return Function(apply)
    known = None not in node.shapes and None not in [shape[0] for shape in node.shapes]
    return Join(Concat, apply, (sum(shape[0] for shape in node.shapes), *node.shape[1:]) if known else None)


@operator("Flatten")
def _flatten(node):
    axis = node.get("axis", 1)
    if axis == 1 or (node.shape is not None and axis == -len(node.shape)):
        return _flat(node)

    def flat(x):
        first = axis if axis >= 0 else axis + x.ndim
        return x.reshape(math.prod(x.shape[:first]), math.prod(x.shape[first:]))

    return Function(flat)


def _flat(node):
    """Samples as vectors."""
    means = node.before_operator == "GlobalAveragePool" and node.shape is not None and len(node.shape) == 3
    return Before(GlobalAvgPool2d()) if means else Flatten()


@operator("Reshape")
def _reshape(node):
    target = node.constant(1, "shape")
    if target is None or target.ndim != 1 or target.dtype.kind != "i" or (target < -1).any() or (target == -1).sum() > 1:
        raise Refused(f"shape is {_check.shown(target)}; expected integers, at most one of them -1")
    target = tuple(int(n) for n in target)
    copied = not node.get("allowzero", 0)  # whether 0 is the length that was there
    free = len(target) > 1 and target[0] in (0, -1, node.batch) and (copied or 0 not in target)

    def rest(shape):
        """The shape of a sample that has this one, or None where samples do not stay apart."""
        found = [shape[i] if n == 0 and i < len(shape) else n for i, n in enumerate(target[1:])]
        size, others = math.prod(shape), math.prod(n for n in found if n != -1)
        found = tuple(size // max(others, 1) if n == -1 else n for n in found)
        return found if free and math.prod(found) == size else None

    known = rest(node.shape) if node.shape is not None and None not in node.shape else None
    if free and (target[1:] == (-1,) or (known is not None and len(known) == 1)):
        return _flat(node)

    def reshaped(x):
        sample = rest(x.shape[1:])
        if sample is not None:
            return x.reshape(len(x), *sample)
        return x.reshape([x.shape[i] if n == 0 and copied and i < x.ndim else n for i, n in enumerate(target)])

    return Function(reshaped, known)
