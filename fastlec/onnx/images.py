"""Operators of images and signals: convolutions, pools, what pads or enlarges."""

import functools
import math
from typing import NamedTuple

import numpy as np

from .. import _check
from ..convolution import conv2d
from ..layers import (
    AvgPool1d,
    AvgPool2d,
    Conv1d,
    Conv2d,
    ConvTranspose2d,
    GlobalAvgPool2d,
    MaxPool1d,
    MaxPool2d,
    Upsample2d,
)
from .node import Function, made, operator
from .reader import Refused

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
        return made(Conv2d, arrays, *sizes, windows.sizes, "identity", "b" in arrays, **settings)
    settings = {"stride": windows.strides[0], "dilation": windows.dilations[0], "groups": groups}
    settings["padding"] = padding if isinstance(padding, str) else padding[0]
    return made(Conv1d, arrays, *sizes, windows.sizes[0], "identity", "b" in arrays, **settings)


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
    layer = made(ConvTranspose2d, arrays, *sizes, "identity", "b" in arrays, **settings)
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
