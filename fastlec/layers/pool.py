"""Average pooling (LeCun et al. 1998) and maximum pooling: layers without parameters that make images and signals smaller."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np

from .. import _check
from .._geometry import length, pair, window_geometry
from .._kernels import pool2d
from .._kernels.plan import Plan
from .._typing import Pair, Shape
from ._maps import one_row
from .planned import PlannedLayer, reshaped
from .registry import kind

MOST_REACH = 1 << 31  # pixels from the first of a window to its last, in C order


class _Pool2d(PlannedLayer):
    """Windows that slide over each channel by itself."""

    kernel_size: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int] | Literal["same"]
    ceil_mode: bool

    input_shape: tuple[int | None, ...] | None = (None, None, None)
    _takes_epilogue = True
    _keeps_bounds = True
    dilation: tuple[int, int] = (1, 1)

    def __init__(self, kernel_size: Pair, stride: Pair | None, padding: Pair | Literal["same"], ceil_mode: bool) -> None:
        self.kernel_size = pair(kernel_size, "kernel_size", 1)
        self.stride = self.kernel_size if stride is None else pair(stride, "stride", 1)
        self.padding = _padding(padding, self.kernel_size, self.dilation)
        self.ceil_mode = _check.flag(ceil_mode, "ceil_mode")
        super().__init__()

    def config(self) -> dict[str, Any]:
        return {name: _short(value) for name, value in super().config().items()}

    def _partly(self, shape):
        return (shape[0], None, None)

    def output_shape(self, shape: Shape) -> Shape:
        shape = _check.sizes(shape)
        if len(shape) != 3 or 0 in shape:
            raise ValueError(f"x has samples of shape {shape}; expected (channels, height, width), none of them 0")
        return self._geometry((1, *shape)).y_shape[1:]

    def _geometry(self, shape):
        g = window_geometry(shape, self.kernel_size, self.stride, self.padding, self.dilation, ceil_mode=self.ceil_mode)
        rows = g.dh * (g.r - 1) + 1
        if rows * g.w >= MOST_REACH:
            raise ValueError(f"{rows} rows of a window in an image of {g.w} columns hold more than 2^31 - 1 pixels")
        for axis in ((g.h, g.oh, g.sh, g.top, g.dh), (g.w, g.ow, g.sw, g.left, g.dw)):
            if _misses(*axis):
                raise ValueError(
                    f"a window of dilation {self.dilation} has no pixel of an image of {g.h} x {g.w}, only padding"
                )
        return g


def _padding(padding, kernel_size, dilation):
    """ "same", or (vertical, horizontal)."""
    if isinstance(padding, str):
        if padding != "same":
            raise ValueError(f'padding is {_check.shown(padding)}; expected an integer, a pair of integers or "same"')
        return padding
    padding = pair(padding, "padding", 0)
    extents = tuple(step * (taps - 1) + 1 for step, taps in zip(dilation, kernel_size, strict=True))
    if any(2 * p > n for p, n in zip(padding, extents, strict=True)):
        what = "kernel_size, which is" if extents == kernel_size else "what a window reaches over, which is"
        raise ValueError(f"padding is {padding}; expected at most half of {what} {extents}")
    return padding


def _short(value):
    """A setting as JSON holds it: a pair of equal numbers is one."""
    if not isinstance(value, tuple):
        return value
    return value[0] if value[0] == value[1] else list(value)


def _misses(length, count, stride, before, dilation):
    """Whether one of `count` windows along an axis, the first `before` pixels outside, steps over all of the image."""
    outside = min(count, -(-before // stride))
    return dilation > length and any((stride * a - before) % dilation >= length for a in range(outside))


@kind
class AvgPool2d(_Pool2d):
    """Average pooling of images: y has the mean of each window of a channel (lecture chapter 5).

    x is (m, C, H, W) and y (m, C, OH, OW), with OH = (H + 2 padding - kernel_size) // stride + 1, and OW likewise. It is a linear
    map without parameters::

        forward    y = A x,  A sparse, with 1 / (size of a window) for each of its pixels
        JacMV      A dx
        JacTMV     A' v

    Parameters
    ----------
    kernel_size : int or (int, int)
        The size of the windows, (vertical, horizontal).
    stride : int or (int, int), optional
        The distance from window to window. By default it is kernel_size: windows side by side.
    padding : int, (int, int) or "same", default 0
        Zeros around the image, (vertical, horizontal), at most half of kernel_size. With "same", OH is ceil(H / stride), and the
        odd row or column is at the bottom or right, as in Keras.
    ceil_mode : bool, default False
        Whether OH and OW are rounded up: a last window then reaches beyond the padding, unless it would begin there.
    count_include_pad : bool, default True
        Whether a sum is divided by the number of its elements in the image and in the padding. If not, it is divided by those in
        the image alone, as Keras does.

    Raises
    ------
    ValueError
        If an argument is out of range, or a window is larger than the padded image.

    See Also
    --------
    MaxPool2d, GlobalAvgPool2d, AvgPool1d

    Examples
    --------
    >>> import numpy as np
    >>> import fastlec
    >>> x = np.arange(25.0).reshape(1, 1, 5, 5)
    >>> fastlec.AvgPool2d(2, ceil_mode=True)(x)[0, 0]
    array([[ 3. ,  5. ,  6.5],
           [13. , 15. , 16.5],
           [20.5, 22.5, 24. ]])
    """

    count_include_pad: bool
    linear_in_x = True

    def __init__(
        self,
        kernel_size: Pair,
        stride: Pair | None = None,
        padding: Pair | Literal["same"] = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        self.count_include_pad = _check.flag(count_include_pad, "count_include_pad")
        super().__init__(kernel_size, stride, padding, ceil_mode)

    def _plan_forward(self, plan, x, y):
        g = self._geometry(x.shape)
        pool2d.forward(plan, g, x, y, maximum=False, counted=self.count_include_pad)
        return g, x

    def _plan_mv(self, plan, kept, directions, dy):
        self._plan_forward(plan, directions["x"], dy)

    def _plan_tmv(self, plan, kept, v, out, after=None):
        if "x" in out:
            pool2d.tmv(plan, kept[0], None, v, out["x"], after=after, counted=self.count_include_pad)

    def _explicit(self, kept, name):
        """One divided by the size of its mean for the pixels of each window: a scipy.sparse.csr_array."""
        g, x = kept
        pixels, inside = _taps(g)
        counts = np.tile(inside.sum(axis=1), g.n * g.c)
        columns = (g.h * g.w * np.arange(g.n * g.c)[:, None] + pixels[inside]).ravel()
        sizes = self._counted(g.oh, g.sh, g.r, g.top, g.h, g.bottom)[:, None] * self._counted(
            g.ow, g.sw, g.s, g.left, g.w, g.right
        )
        return _csr(g, counts, columns, np.repeat(np.tile(1 / sizes.ravel(), g.n * g.c), counts).astype(x.dtype))

    def _counted(self, count, stride, taps, before, length, behind):
        """How many rows or columns of each window count."""
        begin = stride * np.arange(count) - before
        if not self.count_include_pad:
            before = behind = 0
        return np.minimum(begin + taps, length + behind) - np.maximum(begin, -before)

    def _nonzeros(self, kept, name):
        g, _ = kept
        return math.prod(g.y_shape) * g.r * g.s


@kind
class MaxPool2d(_Pool2d):
    """Maximum pooling of images: y has the largest element of each window of a channel (lecture chapter 5).

    x is (m, C, H, W) and y (m, C, OH, OW), with OH = (H + 2 padding - dilation (kernel_size - 1) - 1) // stride + 1, and OW
    likewise. A NaN is larger than any number. Where several elements are the largest, the first of them in C order has the
    derivative::

        forward    y = x at the first largest pixel of each window
        JacMV      dx there
        JacTMV     v, added up there

    Parameters
    ----------
    kernel_size : int or (int, int)
        The size of the windows, (vertical, horizontal).
    stride : int or (int, int), optional
        The distance from window to window. By default it is kernel_size: windows side by side.
    padding : int, (int, int) or "same", default 0
        -inf around the image, (vertical, horizontal), at most half of what a window reaches over; PyTorch allows half of
        kernel_size. With "same", OH is ceil(H / stride), and the odd row or column is at the bottom or right, as in Keras.
    dilation : int or (int, int), default 1
        The distance from element to element of a window.
    ceil_mode : bool, default False
        Whether OH and OW are rounded up: a last window then reaches beyond the padding, unless it would begin there.

    Raises
    ------
    ValueError
        If an argument is out of range, a window is larger than the padded image, or has no element in the image.

    See Also
    --------
    AvgPool2d, MaxPool1d

    Examples
    --------
    >>> import numpy as np
    >>> import fastlec
    >>> x = np.arange(25.0).reshape(1, 1, 5, 5)
    >>> fastlec.MaxPool2d(2, stride=1, dilation=3)(x)[0, 0]
    array([[18., 19.],
           [23., 24.]])
    """

    dilation: tuple[int, int]

    def __init__(
        self,
        kernel_size: Pair,
        stride: Pair | None = None,
        padding: Pair | Literal["same"] = 0,
        dilation: Pair = 1,
        *,
        ceil_mode: bool = False,
    ) -> None:
        self.dilation = pair(dilation, "dilation", 1)
        super().__init__(kernel_size, stride, padding, ceil_mode)

    def _plan_forward(self, plan, x, y):
        g = self._geometry(x.shape)
        pool2d.forward(plan, g, x, y, maximum=True)
        return g, x  # where the maxima are is seen from x again: faster than to keep it

    def _plan_mv(self, plan, kept, directions, dy):
        pool2d.mv(plan, *kept, directions["x"], dy)

    def _plan_tmv(self, plan, kept, v, out, after=None):
        if "x" in out:
            pool2d.tmv(plan, *kept, v, out["x"], after=after)

    def _explicit(self, kept, name):
        """A one in each row, for the pixel that is the window's first largest: a scipy.sparse.csr_array."""
        g, x = kept
        plan = Plan(np.dtype(np.float64).num)
        places, columns = np.arange(x.size, dtype=np.float64).reshape(x.shape), plan.empty(*g.y_shape)
        pool2d.mv(plan, g, x.astype(np.float64), places, columns)
        plan.run()
        return _csr(g, np.ones(columns.size, int), columns.ravel().astype(int), np.ones(columns.size, x.dtype))

    def _nonzeros(self, kept, name):
        return math.prod(kept[0].y_shape)


class _OfImages(PlannedLayer):
    """What is pooling of images in another shape: `_pool(shape)` is that layer for x of this shape, `_image` and `_value` are views
    of x and y for it."""

    _takes_epilogue = _keeps_bounds = True
    _image = _value = staticmethod(one_row)

    def _plan_forward(self, plan, x, y):
        pool = self._pool(x.shape)
        return pool, pool._plan_forward(plan, self._image(x), self._value(y))

    def _plan_mv(self, plan, kept, directions, dy):
        pool, own = kept
        pool._plan_mv(plan, own, {"x": self._image(directions["x"])}, self._value(dy))

    def _plan_tmv(self, plan, kept, v, out, after=None):
        pool, own = kept
        if "x" in out:
            dx = self._image(out["x"])
            pool._plan_tmv(plan, own, self._value(v), {"x": dx}, reshaped(after, dx.shape))

    def _explicit(self, kept, name):
        pool, own = kept
        return pool._explicit(own, name)

    def _nonzeros(self, kept, name):
        pool, own = kept
        return pool._nonzeros(own, name)


class _Pool1d(_OfImages):
    """Signals, which are images of one row."""

    kernel_size: int
    stride: int
    padding: int

    input_shape: tuple[int | None, ...] | None = (None, None)

    def __init__(self, kernel_size: int, stride: int | None, padding: int) -> None:
        self.kernel_size = length(kernel_size, "kernel_size", 1)
        self.stride = self.kernel_size if stride is None else length(stride, "stride", 1)
        self.padding = length(padding, "padding", 0)
        if 2 * self.padding > self.kernel_size:
            raise ValueError(f"padding is {self.padding}; expected at most half of kernel_size, which is {self.kernel_size}")
        super().__init__()

    def _pool(self, shape):
        return self._images((1, self.kernel_size), (1, self.stride), (0, self.padding))

    def _partly(self, shape):
        return (shape[0], None)

    def output_shape(self, shape: Shape) -> Shape:
        shape = _check.sizes(shape)
        if len(shape) != 2 or 0 in shape:
            raise ValueError(f"x has samples of shape {shape}; expected (channels, length), none of them 0")
        padded = shape[1] + 2 * self.padding
        if padded < self.kernel_size:
            raise ValueError(f"kernel_size is {self.kernel_size}; expected at most the padded signal's {padded}")
        return self._pool(shape).output_shape((shape[0], 1, shape[1]))[::2]


@kind
class AvgPool1d(_Pool1d):
    """Average pooling of signals: y has the mean of each window of a channel.

    x is (m, C, length) and y (m, C, (length + 2 padding - kernel_size) // stride + 1). It is `AvgPool2d` of images of one row, with
    its derivatives.

    Parameters
    ----------
    kernel_size : int
        The size of the windows.
    stride : int, optional
        The distance from window to window. By default it is kernel_size: windows side by side.
    padding : int, default 0
        Zeros at each end of the signal, at most half of kernel_size.

    Raises
    ------
    ValueError
        If an argument is out of range, or a window is larger than the padded signal.

    See Also
    --------
    AvgPool2d, MaxPool1d, Conv1d

    Examples
    --------
    >>> import numpy as np
    >>> import fastlec
    >>> fastlec.AvgPool1d(2)(np.array([[[1.0, 3.0, 5.0, 9.0]]]))
    array([[[2., 7.]]])
    """

    linear_in_x = True
    _images = AvgPool2d

    def __init__(self, kernel_size: int, stride: int | None = None, padding: int = 0) -> None:
        super().__init__(kernel_size, stride, padding)


@kind
class MaxPool1d(_Pool1d):
    """Maximum pooling of signals: y has the largest element of each window of a channel.

    x is (m, C, length) and y (m, C, (length + 2 padding - kernel_size) // stride + 1). It is `MaxPool2d` of images of one row, with
    its derivatives.

    Parameters
    ----------
    kernel_size : int
        The size of the windows.
    stride : int, optional
        The distance from window to window. By default it is kernel_size: windows side by side.
    padding : int, default 0
        -inf at each end of the signal, at most half of kernel_size.

    Raises
    ------
    ValueError
        If an argument is out of range, or a window is larger than the padded signal.

    See Also
    --------
    MaxPool2d, AvgPool1d, Conv1d

    Examples
    --------
    >>> import numpy as np
    >>> import fastlec
    >>> fastlec.MaxPool1d(2)(np.array([[[1.0, 3.0, 9.0, 5.0]]]))
    array([[[3., 9.]]])
    """

    _images = MaxPool2d

    def __init__(self, kernel_size: int, stride: int | None = None, padding: int = 0) -> None:
        super().__init__(kernel_size, stride, padding)


@kind
class GlobalAvgPool2d(_OfImages):
    """Global average pooling of images: y has the mean of each channel (Lin, Chen and Yan 2013, section 3.2).

    x is (m, C, H, W) and y (m, C): features for a `Dense`. JacMV takes the same means of dx; JacTMV gives each pixel v / (H W).

    Raises
    ------
    ValueError
        If images have no pixels.

    See Also
    --------
    AvgPool2d, Flatten

    Examples
    --------
    >>> import numpy as np
    >>> import fastlec
    >>> fastlec.GlobalAvgPool2d()(np.arange(12.0).reshape(1, 2, 2, 3))
    array([[2.5, 8.5]])
    """

    input_shape: tuple[int | None, ...] | None = (None, None, None)
    linear_in_x = True

    def __init__(self) -> None:
        super().__init__()

    def _pool(self, shape):
        return AvgPool2d((1, math.prod(shape[2:])))

    def _partly(self, shape):
        return (shape[0],)

    def output_shape(self, shape: Shape) -> Shape:
        shape = _check.sizes(shape)
        if len(shape) != 3 or 0 in shape:
            raise ValueError(f"x has samples of shape {shape}; expected (channels, height, width), none of them 0")
        c, h, w = shape
        return self._pool((1, *shape)).output_shape((c, 1, h * w))[:1]

    @staticmethod
    def _image(x):
        """Each channel as one row, which is summed fastest."""
        m, c, h, w = x.shape
        return x.reshape(m, c, 1, h * w)

    @staticmethod
    def _value(y):
        return y[:, :, None, None]


def _taps(g):
    """(pixels, inside), both (windows, taps), of means: the pixels of each window of a plane, as numbers in C order, and which
    there are."""
    rows = g.sh * np.arange(g.oh)[:, None] + np.arange(g.r) - g.top
    cols = g.sw * np.arange(g.ow)[:, None] + np.arange(g.s) - g.left
    pixels = g.w * rows[:, None, :, None] + cols[:, None, :]
    inside = ((rows >= 0) & (rows < g.h))[:, None, :, None] & ((cols >= 0) & (cols < g.w))[:, None, :]
    return pixels.reshape(g.oh * g.ow, -1), inside.reshape(g.oh * g.ow, -1)


def _csr(g, counts, columns, data):
    """The Jacobian with counts[i] entries in row i, in these columns."""
    from scipy.sparse import csr_array

    return csr_array((data, columns, np.concatenate([[0], np.cumsum(counts)])), shape=(counts.size, math.prod(g.x_shape)))
