"""Average and maximum pooling, and nearest neighbours. Windows lie side by side by default: stride None is kernel_size. Means have
no dilation."""

import numpy as np

from .._geometry import pair, window_geometry
from .arrays import float64
from .windows import interior, pad, padded_shape, taps


def _windows(shape, kernel_size, stride, padding, dilation, ceil_mode):
    return window_geometry(
        shape, kernel_size, kernel_size if stride is None else stride, padding, dilation, ceil_mode=ceil_mode
    )


def avg_pool2d(x, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True):
    """The mean of each window: sum_ij x[n, c, sh a + i - top, sw b + j - left], zeros around x, divided by how many of the elements
    lie in x or, with count_include_pad, in the padding."""
    (x,) = float64(x=x)
    g, sizes = _sizes(x.shape, kernel_size, stride, padding, ceil_mode, count_include_pad)
    return sum(pixels for _, _, pixels in taps(pad(x, g), g)) / sizes


def avg_pool2d_jac_mv(x, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, *, dx):
    """The means of dx: it is linear."""
    return avg_pool2d(dx, kernel_size, stride, padding, ceil_mode, count_include_pad)


def avg_pool2d_jac_tmv(v, x, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True):
    """{"x"}: every pixel gets v from each window that it is in, divided by what the window's sum is."""
    (v,) = float64(v=v)
    g, sizes = _sizes(np.shape(x), kernel_size, stride, padding, ceil_mode, count_include_pad)
    back = np.zeros(padded_shape(g))
    for _, _, pixels in taps(back, g):
        pixels += v / sizes
    return {"x": interior(back, g).copy()}


def _sizes(shape, kernel_size, stride, padding, ceil_mode, count_include_pad):
    """(geometry, how many elements of each window count)."""
    g = _windows(shape, kernel_size, stride, padding, 1, ceil_mode)
    counts = pad(np.ones(shape), g)
    if count_include_pad:
        counts[:, :, : g.top + g.h + g.bottom, : g.left + g.w + g.right] = 1
    return g, sum(elements for _, _, elements in taps(counts, g))


def max_pool2d(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    """The largest of each window; NaN where there is one, -inf where all of it is padding."""
    return _largest(x, kernel_size, stride, padding, dilation, ceil_mode)[1]


def max_pool2d_jac_mv(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, *, dx):
    """dx of the pixel that is the largest of its window: the first of several that are, the first NaN if there is one."""
    (dx,) = float64(dx=dx)
    g, y, at = _largest(x, kernel_size, stride, padding, dilation, ceil_mode)
    dy = np.zeros_like(y)
    for i, j, pixels in taps(pad(dx, g), g):
        np.copyto(dy, pixels, where=at == i * g.s + j)
    return dy


def max_pool2d_jac_tmv(v, x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    """{"x"}: v goes to the pixel that max_pool2d_jac_mv reads."""
    (v,) = float64(v=v)
    g, _, at = _largest(x, kernel_size, stride, padding, dilation, ceil_mode)
    back = np.zeros(padded_shape(g))
    for i, j, pixels in taps(back, g):
        pixels += np.where(at == i * g.s + j, v, 0.0)
    return {"x": interior(back, g).copy()}


def global_avg_pool2d(x):
    """The mean of each channel: (n, c)."""
    (x,) = float64(x=x)
    return x.mean(axis=(2, 3))


def global_avg_pool2d_jac_mv(x, *, dx):
    """The means of dx: it is linear."""
    return global_avg_pool2d(dx)


def global_avg_pool2d_jac_tmv(v, x):
    """{"x"}: every pixel gets v / (h w) of its channel."""
    (v,) = float64(v=v)
    n, c, h, w = np.shape(x)
    return {"x": np.broadcast_to(v.reshape(n, c, 1, 1) / (h * w), (n, c, h, w)).copy()}


def upsample2d(x, scale_factor):
    """y[n,c,i,j] = x[n,c, i // sh, j // sw], (sh, sw) = scale_factor: the nearest neighbour."""
    (x,) = float64(x=x)
    down, across = pair(scale_factor, "scale_factor", 1)
    return x.repeat(down, axis=2).repeat(across, axis=3)


def upsample2d_jac_mv(x, scale_factor, *, dx):
    """That of dx: it is linear."""
    return upsample2d(dx, scale_factor)


def upsample2d_jac_tmv(v, x, scale_factor):
    """{"x"}: every pixel gets the sum of v over the pixels that it was repeated to."""
    (v,) = float64(v=v)
    down, across = pair(scale_factor, "scale_factor", 1)
    n, c, h, w = np.shape(x)
    return {"x": v.reshape(n, c, h, down, w, across).sum(axis=(3, 5))}


def avg_pool1d(x, kernel_size, stride=None, padding=0):
    """avg_pool2d of images of one row, for signals x (n, c, length)."""
    return avg_pool2d(*_one_row(x, kernel_size, stride, padding))[:, :, 0]


def avg_pool1d_jac_mv(x, kernel_size, stride=None, padding=0, *, dx):
    """The means of dx: it is linear."""
    return avg_pool1d(dx, kernel_size, stride, padding)


def avg_pool1d_jac_tmv(v, x, kernel_size, stride=None, padding=0):
    """{"x"}, as of avg_pool2d."""
    return {"x": avg_pool2d_jac_tmv(np.expand_dims(v, 2), *_one_row(x, kernel_size, stride, padding))["x"][:, :, 0]}


def max_pool1d(x, kernel_size, stride=None, padding=0):
    """max_pool2d of images of one row, for signals x (n, c, length)."""
    return max_pool2d(*_one_row(x, kernel_size, stride, padding))[:, :, 0]


def max_pool1d_jac_mv(x, kernel_size, stride=None, padding=0, *, dx):
    """As of max_pool2d."""
    return max_pool2d_jac_mv(*_one_row(x, kernel_size, stride, padding), dx=np.expand_dims(dx, 2))[:, :, 0]


def max_pool1d_jac_tmv(v, x, kernel_size, stride=None, padding=0):
    """{"x"}, as of max_pool2d."""
    return {"x": max_pool2d_jac_tmv(np.expand_dims(v, 2), *_one_row(x, kernel_size, stride, padding))["x"][:, :, 0]}


def _one_row(x, kernel_size, stride, padding):
    """x and the settings of windows, for images of one row."""
    return np.expand_dims(x, 2), (1, kernel_size), (1, kernel_size if stride is None else stride), (0, padding)


def _largest(x, kernel_size, stride, padding, dilation, ceil_mode):
    """(geometry, the largest, which tap it is: i s + j, or -1 where a window is all padding)."""
    (x,) = float64(x=x)
    g = _windows(x.shape, kernel_size, stride, padding, dilation, ceil_mode)
    largest, at = np.full(g.y_shape, -np.inf), np.full(g.y_shape, -1)
    inside = pad(np.ones(x.shape, bool), g, False)
    for (i, j, pixels), (_, _, real) in zip(taps(pad(x, g), g), taps(inside, g), strict=True):
        better = (at < 0) | (pixels > largest) | (np.isnan(pixels) & ~np.isnan(largest))
        np.copyto(largest, pixels, where=real & better)
        np.copyto(at, i * g.s + j, where=real & better)
    return g, largest, at
