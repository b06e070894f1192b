"""Average pooling (LeCun et al. 1998) and maximum pooling: layers without parameters that make images and signals smaller."""

import math

import numpy as np

from .. import _check
from .._geometry import length, pair, window_geometry
from .._kernels import pool2d
from .._kernels.plan import Plan
from .maps import one_row
from .planned import PlannedLayer, reshaped
from .registry import kind

MOST_REACH = 1 << 31  # pixels from the first of a window to its last, in C order


class _Pool(PlannedLayer):
    """Windows that slide over each channel by itself."""

    input_shape = (None, None, None)
    takes_epilogue = keeps_bounds = True
    _lengths = staticmethod(pair)  # what checks those of windows

    def __init__(self, kernel_size, stride, padding):
        self.kernel_size = self._lengths(kernel_size, "kernel_size", 1)
        self.stride = self.kernel_size if stride is None else self._lengths(stride, "stride", 1)
        self.padding = self._lengths(padding, "padding", 0)
        if np.any(2 * np.array(self.padding) > self.kernel_size):
            raise ValueError(f"padding is {self.padding}; expected at most half of kernel_size, which is {self.kernel_size}")
        super().__init__()

    def config(self):
        """The arguments that make such a layer."""
        return {name: a if a == b else [a, b] for name, (a, b) in super().config().items()}

    def _partly(self, shape):
        return (shape[0], None, None)

    def output_shape(self, shape):
        shape = _check.sizes(shape)
        if len(shape) != 3 or 0 in shape:
            raise ValueError(f"x has samples of shape {shape}; expected (channels, height, width), none of them 0")
        return self._geometry((1, *shape)).y_shape[1:]

    def _geometry(self, shape):
        return windows(shape, self.kernel_size, self.stride, self.padding)


class _Average(_Pool):
    linear_in_x = True

    def plan_forward(self, plan, x, y):
        g = self._geometry(x.shape)
        pool2d.forward(plan, g, x, y, maximum=False)
        return g, x

    def plan_mv(self, plan, kept, directions, dy):
        pool2d.forward(plan, kept[0], directions["x"], dy, maximum=False)

    def plan_tmv(self, plan, kept, v, out, after=None):
        if "x" in out:
            pool2d.tmv(plan, kept[0], None, v, out["x"], after=after)

    def explicit(self, kept, name):
        """1 / (r s) for the pixels of each window: a scipy.sparse.csr_array."""
        g, x = kept
        pixels, inside = _taps(g)
        counts = np.tile(inside.sum(axis=1), g.n * g.c)
        columns = (g.h * g.w * np.arange(g.n * g.c)[:, None] + pixels[inside]).ravel()
        return _csr(g, counts, columns, np.full(counts.sum(), 1 / (g.r * g.s), x.dtype))

    def nonzeros(self, kept, name):
        g, _ = kept
        return math.prod(g.y_shape) * g.r * g.s


class _Maximum(_Pool):
    def plan_forward(self, plan, x, y):
        g = self._geometry(x.shape)
        pool2d.forward(plan, g, x, y, maximum=True)
        return g, x  # where the maxima are is seen from x again: faster than to keep it

    def plan_mv(self, plan, kept, directions, dy):
        pool2d.mv(plan, *kept, directions["x"], dy)

    def plan_tmv(self, plan, kept, v, out, after=None):
        if "x" in out:
            pool2d.tmv(plan, *kept, v, out["x"], after=after)

    def explicit(self, kept, name):
        """A one in each row, for the pixel that is the window's first largest: a scipy.sparse.csr_array."""
        g, x = kept
        plan = Plan(np.dtype(np.float64).num)
        places, columns = np.arange(x.size, dtype=np.float64).reshape(x.shape), plan.empty(*g.y_shape)
        pool2d.mv(plan, g, x.astype(np.float64), places, columns)
        plan.run()
        return _csr(g, np.ones(columns.size, int), columns.ravel().astype(int), np.ones(columns.size, x.dtype))

    def nonzeros(self, kept, name):
        return math.prod(kept[0].y_shape)


class _AsImages(_Pool):
    """Samples x and values y that are images in other shapes: `_image` and `_pooled` are views of them as such."""

    _image = _pooled = staticmethod(one_row)

    def plan_forward(self, plan, x, y):
        return super().plan_forward(plan, self._image(x), self._pooled(y))

    def plan_mv(self, plan, kept, directions, dy):
        super().plan_mv(plan, kept, {name: self._image(d) for name, d in directions.items()}, self._pooled(dy))

    def plan_tmv(self, plan, kept, v, out, after=None):
        out = {name: self._image(a) for name, a in out.items()}
        super().plan_tmv(plan, kept, self._pooled(v), out, reshaped(after, kept[1].shape))


class _Pool1d(_AsImages):
    """Signals, which are images of one row."""

    input_shape = (None, None)
    config = PlannedLayer.config
    _lengths = staticmethod(length)

    def _partly(self, shape):
        return (shape[0], None)

    def output_shape(self, shape):
        shape = _check.sizes(shape)
        if len(shape) != 2 or 0 in shape:
            raise ValueError(f"x has samples of shape {shape}; expected (channels, length), none of them 0")
        padded = shape[1] + 2 * self.padding
        if padded < self.kernel_size:
            raise ValueError(f"kernel_size is {self.kernel_size}; expected at most the padded signal's {padded}")
        return self._geometry((1, shape[0], 1, shape[1])).y_shape[1::2]

    def _geometry(self, shape):
        return windows(shape, (1, self.kernel_size), (1, self.stride), (0, self.padding))


@kind
class AvgPool2d(_Average):
    """y = the mean of each window of a channel: x (m, C, H, W), y (m, C, OH, OW), OH = (H + 2 padding - kernel_size) // stride + 1.

    kernel_size, stride, padding : int, or (vertical, horizontal). stride : by default kernel_size, windows side by side. padding :
    zeros around the image, at most half of kernel_size; they count: a sum is always divided by the size of a whole window (as
    PyTorch does by default). ValueError where a window is larger than the padded image.
    """

    def __init__(self, kernel_size, stride=None, padding=0):
        super().__init__(kernel_size, stride, padding)


@kind
class MaxPool2d(_Maximum):
    """y = the largest element of each window of a channel: x (m, C, H, W), y (m, C, OH, OW), OH = (H + 2 padding - kernel_size) //
    stride + 1.

    kernel_size, stride, padding : int, or (vertical, horizontal). stride : by default kernel_size, windows side by side. padding :
    of -inf around the image, at most half of kernel_size. ValueError where a window is larger than the padded image.
    A NaN is larger than any number. Where several elements are the largest, the first of them, in C order, has the derivative.
    """

    def __init__(self, kernel_size, stride=None, padding=0):
        super().__init__(kernel_size, stride, padding)


@kind
class AvgPool1d(_Pool1d, _Average):
    """y = the mean of each window of a channel: x (m, C, length), y (m, C, (length + 2 padding - kernel_size) // stride + 1).

    kernel_size, stride, padding : int. All else is as for `AvgPool2d`.

    >>> import numpy as np
    >>> fastlec.AvgPool1d(2)(np.array([[[1.0, 3.0, 5.0, 9.0]]]))
    array([[[2., 7.]]])
    """

    def __init__(self, kernel_size, stride=None, padding=0):
        super().__init__(kernel_size, stride, padding)


@kind
class MaxPool1d(_Pool1d, _Maximum):
    """y = the largest element of each window of a channel: x (m, C, length), y (m, C, n), n = (length + 2 padding -
    kernel_size) // stride + 1.

    kernel_size, stride, padding : int. All else is as for `MaxPool2d`.

    >>> import numpy as np
    >>> fastlec.MaxPool1d(2)(np.array([[[1.0, 3.0, 9.0, 5.0]]]))
    array([[[3., 9.]]])
    """

    def __init__(self, kernel_size, stride=None, padding=0):
        super().__init__(kernel_size, stride, padding)


@kind
class GlobalAvgPool2d(_AsImages, _Average):
    """y = the mean of each channel: x (m, C, H, W), y (m, C), features for a `Dense` (Lin, Chen and Yan 2013, "Network in network",
    section 3.2). ValueError for images without pixels.

    >>> import numpy as np
    >>> fastlec.GlobalAvgPool2d()(np.arange(12.0).reshape(1, 2, 2, 3))
    array([[2.5, 8.5]])
    """

    config = PlannedLayer.config

    def __init__(self):
        PlannedLayer.__init__(self)

    def _partly(self, shape):
        return (shape[0],)

    def output_shape(self, shape):
        return super().output_shape(shape)[:1]

    def _geometry(self, shape):
        return windows(shape, shape[2:], shape[2:], 0)

    @staticmethod
    def _image(x):
        """Each channel as one row, which is summed fastest."""
        m, c, h, w = x.shape
        return x.reshape(m, c, 1, h * w)

    @staticmethod
    def _pooled(y):
        return y[:, :, None, None]


def windows(shape, kernel_size, stride, padding):
    """The Geometry of such windows of images. ValueError for those that are too large for the kernels."""
    g = window_geometry(shape, kernel_size, stride, padding)
    if g.r * g.w >= MOST_REACH:
        raise ValueError(f"{g.r} rows of a window in an image of {g.w} columns hold more than 2^31 - 1 pixels")
    return g


def _taps(g):
    """(pixels, inside), both (windows, taps): the pixels of each window of a plane, as numbers in C order, and which there are."""
    rows = g.sh * np.arange(g.oh)[:, None] + np.arange(g.r) - g.top
    cols = g.sw * np.arange(g.ow)[:, None] + np.arange(g.s) - g.left
    pixels = g.w * rows[:, None, :, None] + cols[:, None, :]
    inside = ((rows >= 0) & (rows < g.h))[:, None, :, None] & ((cols >= 0) & (cols < g.w))[:, None, :]
    return pixels.reshape(g.oh * g.ow, -1), inside.reshape(g.oh * g.ow, -1)


def _csr(g, counts, columns, data):
    """The Jacobian with counts[i] entries in row i, in these columns."""
    from scipy.sparse import csr_array

    return csr_array((data, columns, np.concatenate([[0], np.cumsum(counts)])), shape=(counts.size, math.prod(g.x_shape)))
