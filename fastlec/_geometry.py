"""Where a window reads an image: the sizes of a convolution or a pooling, checked in one place.

y[n, k, a, b] takes the elements  x[n, c, sh * a + dh * i - top, sw * b + dw * j - left],  i < r, j < s,  zeros outside x
"""

import math
import operator
from typing import NamedTuple

from . import _check

MOST = 1 << 40  # of any one length: offsets within a plane cannot overflow
MOST_ELEMENTS = 1 << 48  # of an array, and of one padded image, though none is ever made


class Geometry(NamedTuple):
    """x (n, c, h, w), W (k, c / groups, r, s), y (n, k, oh, ow); strides sh, sw, dilations dh, dw, padding of x by zeros."""

    n: int
    c: int
    h: int
    w: int
    k: int
    r: int
    s: int
    sh: int
    sw: int
    top: int
    bottom: int
    left: int
    right: int
    dh: int
    dw: int
    groups: int
    oh: int
    ow: int

    @property
    def x_shape(self):
        return self.n, self.c, self.h, self.w

    @property
    def w_shape(self):
        return self.k, self.c // self.groups, self.r, self.s

    @property
    def y_shape(self):
        return self.n, self.k, self.oh, self.ow

    @property
    def columns_shape(self):
        """Of im2col: for each image one row for every element of a window, one column for every window."""
        return self.n, self.c * self.r * self.s, self.oh * self.ow


def geometry(x_shape, w_shape, stride=1, padding=0, dilation=1, groups=1):
    """The Geometry of conv2d for x and W of these shapes.

    stride, dilation : int or (vertical, horizontal), at least 1. groups : int that divides c and k.
    padding : int, (vertical, horizontal), ((top, bottom), (left, right)), "valid" (none) or "same": oh = ceil(h / sh), and the odd
    row or column at the bottom or right, as TensorFlow and XLA have it.
    ValueError or TypeError, naming the argument, for what does not fit; MemoryError where y is larger than memory can hold.
    """
    x_shape = image_shape(x_shape, "x")
    w_shape = _check.sizes(w_shape, "the shape of W")
    if len(w_shape) != 4 or 0 in w_shape:
        raise ValueError(f"W has shape {w_shape}; expected (k, c / groups, r, s), none of them 0")
    groups = _check.count(groups, "groups", 1)
    (k, per_group, r, s), c = w_shape, x_shape[1]
    if c % groups or k % groups:
        raise ValueError(f"groups is {groups}; expected a divisor of the {c} channels of x and of the {k} filters of W")
    if per_group != c // groups:
        expected = k, c // groups, r, s
        in_groups = f" in {groups} groups" if groups > 1 else ""
        raise ValueError(f"W has shape {w_shape}; expected {expected} to match x of shape {x_shape}{in_groups}")
    return _geometry(x_shape, k, (r, s), f"W has shape {w_shape}", stride, padding, dilation, groups)


def window_geometry(x_shape, kernel_size, stride=1, padding=0, dilation=1, name="x", *, ceil_mode=False):
    """The Geometry of windows (r, s) that slide over every channel by itself: k = groups = c. For pooling, im2col and col2im.

    kernel_size : int or (r, s). The others, and the errors, as for `geometry`; name is that of the argument with x's shape.
    ceil_mode : whether a last window may reach beyond the padding, by less than a stride, if it begins left of or in the image."""
    x_shape = image_shape(x_shape, name)
    size = pair(kernel_size, "kernel_size", 1)
    return _geometry(x_shape, x_shape[1], size, f"kernel_size is {size}", stride, padding, dilation, x_shape[1], ceil_mode)


def transposed_geometry(x_shape, w_shape, stride=1, padding=0, output_padding=0, dilation=1, groups=1):
    """The Geometry of the convolution whose transpose takes x (n, k, oh, ow) to y (n, c, h, w), with W (k, c / groups, r, s):

        h = (oh - 1) sh + dh (r - 1) + 1 - top - bottom + output_padding

    which the convolution takes to oh rows again: those that the last rows of output_padding would add are left out.

    output_padding : int or (vertical, horizontal), less than the stride or the dilation. padding : as for `geometry`, but no text.
    The others, and the errors, as for `geometry`.
    """
    n, _, *lengths = image_shape(x_shape, "x")
    k, per_group, *taps = w_shape
    strides, paddings, extra, dilations = transposed_settings(stride, padding, output_padding, dilation)
    image = [
        (length - 1) * step + gap * (r - 1) + 1 - sum(sides) + e
        for length, step, gap, r, sides, e in zip(lengths, strides, dilations, taps, paddings, extra, strict=True)
    ]
    if min(image) < 1:
        raise ValueError(
            f"x has samples of shape {(k, *lengths)}; expected larger ones, for y would be {image[0]} x {image[1]}"
        )
    g = geometry((n, per_group * groups, *image), (k, per_group, *taps), strides, paddings, dilations, groups)
    return g._replace(oh=lengths[0], ow=lengths[1])


def transposed_settings(stride, padding, output_padding, dilation):
    """They, checked, each for both axes."""
    strides, dilations = pair(stride, "stride", 1), pair(dilation, "dilation", 1)
    if isinstance(padding, str):
        raise TypeError(f"padding is {_check.shown(padding)}; expected an integer, a pair or a pair of pairs of integers")
    extra = pair(output_padding, "output_padding", 0)
    if any(e >= max(both) for e, *both in zip(extra, strides, dilations, strict=True)):
        raise ValueError(f"output_padding is {extra}; expected less than stride, {strides}, or dilation, {dilations}")
    return strides, _paddings(padding, (), (), ()), extra, dilations


def image_shape(shape, name):
    """(n, c, h, w), of which only n may be 0."""
    shape = _check.sizes(shape, f"the shape of {name}")
    if len(shape) != 4 or 0 in shape[1:]:
        raise ValueError(f"{name} has shape {shape}; expected (n, c, h, w), none of them 0 but n")
    return shape


def pair(value, name, least):
    """(vertical, horizontal) of an int, which counts for both, or of a pair of them; each at least `least`."""
    try:
        both = (operator.index(value),) * 2
    except TypeError:
        both = _two(value, name, "an integer or a pair of integers")
        return tuple(length(n, f"{name}[{i}]", least) for i, n in enumerate(both))
    return (length(both[0], name, least),) * 2


def _two(value, name, expected):
    try:
        both = () if isinstance(value, str) else tuple(value)
    except TypeError:
        both = ()
    if len(both) == 2:
        return both
    kind = TypeError if isinstance(value, str) or not hasattr(value, "__iter__") else ValueError
    raise kind(f"{name} is {_check.shown(value)}; expected {expected}")


def length(n, name, least):
    """An int of at least `least`, and no larger than any length may be."""
    n = _check.count(n, name, least)
    if n > MOST:
        raise ValueError(f"{name} is {n}; expected at most {MOST}")
    return n


def _paddings(padding, lengths, extents, strides):
    """((top, bottom), (left, right))."""
    expected = 'an integer, a pair (or a pair of pairs) of integers, "same" or "valid"'
    if isinstance(padding, str):
        if padding not in ("same", "valid"):
            raise ValueError(f"padding is {_check.shown(padding)}; expected {expected}")
        if padding == "valid":
            return (0, 0), (0, 0)
        totals = [
            max((-(-n // step) - 1) * step + extent - n, 0) for n, extent, step in zip(lengths, extents, strides, strict=True)
        ]
        return tuple((total // 2, total - total // 2) for total in totals)
    try:
        padding = (operator.index(padding),) * 2
    except TypeError:
        padding = _two(padding, "padding", expected)
    else:
        return (pair(padding[0], "padding", 0),) * 2
    return tuple(pair(sides, f"padding[{i}]", 0) for i, sides in enumerate(padding))


def _count(length, sides, extent, step, ceil_mode):
    """How many windows there are along one axis; less than 1 where none fits."""
    spare = length + sum(sides) - extent
    n = spare // step + 1
    return n + (ceil_mode and spare % step > 0 and n * step < length + sides[0])


def _geometry(x_shape, k, size, what, stride, padding, dilation, groups, ceil_mode=False):
    n, c, *lengths = x_shape
    strides, dilations = pair(stride, "stride", 1), pair(dilation, "dilation", 1)
    extents = [step * (taps - 1) + 1 for step, taps in zip(dilations, size, strict=True)]
    paddings = _paddings(padding, lengths, extents, strides)
    padded = [length + sum(sides) for length, sides in zip(lengths, paddings, strict=True)]
    oh, ow = (_count(*axis, ceil_mode) for axis in zip(lengths, paddings, extents, strides, strict=True))
    if oh < 1 or ow < 1:
        reach = f" and reaches over {extents[0]} x {extents[1]} pixels" if extents != list(size) else ""
        more = ", and less than a stride more" if ceil_mode else ""
        raise ValueError(f"{what}{reach}; expected at most the padded image's {padded[0]} x {padded[1]}{more}")
    if max(padded[0] * padded[1], n * c * math.prod(lengths), n * k * oh * ow) > MOST_ELEMENTS:
        raise MemoryError(f"images padded to {padded[0]} x {padded[1]}, or the result ({n}, {k}, {oh}, {ow}), exceed memory")
    (top, bottom), (left, right) = paddings
    return Geometry(n, c, *lengths, k, *size, *strides, top, bottom, left, right, *dilations, groups, oh, ow)
