"""Average and maximum pooling, and nearest neighbours. Windows lie side by side by default: stride None is kernel_size. Means have
no dilation."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from .._geometry import pair, window_geometry
from .arrays import Float64Array, float64
from .windows import Padding, Pair, interior, pad, padded_shape, taps


def _windows(shape, kernel_size, stride, padding, dilation, ceil_mode):
    return window_geometry(
        shape, kernel_size, kernel_size if stride is None else stride, padding, dilation, ceil_mode=ceil_mode
    )


def avg_pool2d(
    x: ArrayLike,
    kernel_size: Pair,
    stride: Pair | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Float64Array:
    """The mean of each window of images.

    y[n, c, a, b] = sum_ij x[n, c, sh a + i - top, sw b + j - left], zeros around x, divided by how many of the elements lie in x
    or, with count_include_pad, in the padding.

    Parameters
    ----------
    x : array_like, shape (n, c, h, w)
        Images.
    kernel_size : int or tuple of two int
        Rows and columns of a window.
    stride : int or tuple of two int, optional
        From window to window, by default kernel_size: side by side.
    padding : int, str or pairs of int
        Around x, as `fastlec.conv2d` takes it.
    ceil_mode : bool
        Whether a window that begins in x and reaches out of it counts.
    count_include_pad : bool
        Whether the padding counts as elements of the mean.

    Returns
    -------
    ndarray, shape (n, c, oh, ow)
        The output y, float64.

    See Also
    --------
    fastlec.AvgPool2d, avg_pool2d_jac_mv, avg_pool2d_jac_tmv

    Examples
    --------
    >>> fastlec.reference.avg_pool2d([[[[1.0, 2.0, 5.0, 4.0]]]], (1, 2))
    array([[[[1.5, 4.5]]]])
    """
    (x,) = float64(x=x)
    g, sizes = _sizes(x.shape, kernel_size, stride, padding, ceil_mode, count_include_pad)
    return sum(pixels for _, _, pixels in taps(pad(x, g), g)) / sizes


def avg_pool2d_jac_mv(
    x: ArrayLike,
    kernel_size: Pair,
    stride: Pair | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    *,
    dx: ArrayLike,
) -> Float64Array:
    """JacMV of average pooling: the means of dx, for it is linear.

    Parameters
    ----------
    x : array_like, shape (n, c, h, w)
        Images.
    kernel_size : int or tuple of two int
        Rows and columns of a window.
    stride : int or tuple of two int, optional
        From window to window, by default kernel_size: side by side.
    padding : int, str or pairs of int
        Around x, as `fastlec.conv2d` takes it.
    ceil_mode : bool
        Whether a window that begins in x and reaches out of it counts.
    count_include_pad : bool
        Whether the padding counts as elements of the mean.
    dx : array_like, shape of x
        The direction.

    Returns
    -------
    ndarray, shape of y
        The Jacobian times dx.

    See Also
    --------
    avg_pool2d, avg_pool2d_jac_tmv

    Examples
    --------
    >>> fastlec.reference.avg_pool2d_jac_mv([[[[1.0, 2.0, 5.0, 4.0]]]], (1, 2), dx=[[[[1.0, 2.0, 7.0, 4.0]]]])
    array([[[[1.5, 5.5]]]])
    """
    return avg_pool2d(dx, kernel_size, stride, padding, ceil_mode, count_include_pad)


def avg_pool2d_jac_tmv(
    v: ArrayLike,
    x: ArrayLike,
    kernel_size: Pair,
    stride: Pair | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> dict[str, Float64Array]:
    """JacTMV of average pooling.

    Every pixel gets v from each window that it is in, divided by what the window's sum is.

    Parameters
    ----------
    v : array_like, shape of y
        What the transposed Jacobian is multiplied with.
    x : array_like, shape (n, c, h, w)
        Images.
    kernel_size : int or tuple of two int
        Rows and columns of a window.
    stride : int or tuple of two int, optional
        From window to window, by default kernel_size: side by side.
    padding : int, str or pairs of int
        Around x, as `fastlec.conv2d` takes it.
    ceil_mode : bool
        Whether a window that begins in x and reaches out of it counts.
    count_include_pad : bool
        Whether the padding counts as elements of the mean.

    Returns
    -------
    dict of str to ndarray
        {"x": J' v}.

    See Also
    --------
    avg_pool2d, avg_pool2d_jac_mv

    Examples
    --------
    >>> fastlec.reference.avg_pool2d_jac_tmv([[[[1.0, 2.0]]]], [[[[1.0, 2.0, 5.0, 4.0]]]], (1, 2))
    {'x': array([[[[0.5, 0.5, 1. , 1. ]]]])}
    """
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


def max_pool2d(
    x: ArrayLike,
    kernel_size: Pair,
    stride: Pair | None = None,
    padding: Padding = 0,
    dilation: Pair = 1,
    ceil_mode: bool = False,
) -> Float64Array:
    """The largest element of each window of images.

    NaN where there is one, -inf where all of a window is padding.

    Parameters
    ----------
    x : array_like, shape (n, c, h, w)
        Images.
    kernel_size : int or tuple of two int
        Rows and columns of a window.
    stride : int or tuple of two int, optional
        From window to window, by default kernel_size: side by side.
    padding : int, str or pairs of int
        Around x, as `fastlec.conv2d` takes it.
    dilation : int or tuple of two int
        From tap to tap.
    ceil_mode : bool
        Whether a window that begins in x and reaches out of it counts.

    Returns
    -------
    ndarray, shape (n, c, oh, ow)
        The output y, float64.

    See Also
    --------
    fastlec.MaxPool2d, max_pool2d_jac_mv, max_pool2d_jac_tmv

    Examples
    --------
    >>> fastlec.reference.max_pool2d([[[[1.0, 2.0, 5.0, 4.0]]]], (1, 2))
    array([[[[2., 5.]]]])
    """
    return _largest(x, kernel_size, stride, padding, dilation, ceil_mode)[1]


def max_pool2d_jac_mv(
    x: ArrayLike,
    kernel_size: Pair,
    stride: Pair | None = None,
    padding: Padding = 0,
    dilation: Pair = 1,
    ceil_mode: bool = False,
    *,
    dx: ArrayLike,
) -> Float64Array:
    """JacMV of maximum pooling: dx of the pixel that is the largest of its window.

    The first of several that are the largest; the first NaN if there is one.

    Parameters
    ----------
    x : array_like, shape (n, c, h, w)
        Images.
    kernel_size : int or tuple of two int
        Rows and columns of a window.
    stride : int or tuple of two int, optional
        From window to window, by default kernel_size: side by side.
    padding : int, str or pairs of int
        Around x, as `fastlec.conv2d` takes it.
    dilation : int or tuple of two int
        From tap to tap.
    ceil_mode : bool
        Whether a window that begins in x and reaches out of it counts.
    dx : array_like, shape of x
        The direction.

    Returns
    -------
    ndarray, shape of y
        The Jacobian times dx.

    See Also
    --------
    max_pool2d, max_pool2d_jac_tmv

    Examples
    --------
    >>> fastlec.reference.max_pool2d_jac_mv([[[[1.0, 2.0, 5.0, 4.0]]]], (1, 2), dx=[[[[1.0, 2.0, 7.0, 4.0]]]])
    array([[[[2., 7.]]]])
    """
    (dx,) = float64(dx=dx)
    g, y, at = _largest(x, kernel_size, stride, padding, dilation, ceil_mode)
    dy = np.zeros_like(y)
    for i, j, pixels in taps(pad(dx, g), g):
        np.copyto(dy, pixels, where=at == i * g.s + j)
    return dy


def max_pool2d_jac_tmv(
    v: ArrayLike,
    x: ArrayLike,
    kernel_size: Pair,
    stride: Pair | None = None,
    padding: Padding = 0,
    dilation: Pair = 1,
    ceil_mode: bool = False,
) -> dict[str, Float64Array]:
    """JacTMV of maximum pooling: v goes to the pixel that `max_pool2d_jac_mv` reads.

    Parameters
    ----------
    v : array_like, shape of y
        What the transposed Jacobian is multiplied with.
    x : array_like, shape (n, c, h, w)
        Images.
    kernel_size : int or tuple of two int
        Rows and columns of a window.
    stride : int or tuple of two int, optional
        From window to window, by default kernel_size: side by side.
    padding : int, str or pairs of int
        Around x, as `fastlec.conv2d` takes it.
    dilation : int or tuple of two int
        From tap to tap.
    ceil_mode : bool
        Whether a window that begins in x and reaches out of it counts.

    Returns
    -------
    dict of str to ndarray
        {"x": J' v}.

    See Also
    --------
    max_pool2d, max_pool2d_jac_mv

    Examples
    --------
    >>> fastlec.reference.max_pool2d_jac_tmv([[[[1.0, 2.0]]]], [[[[1.0, 2.0, 5.0, 4.0]]]], (1, 2))
    {'x': array([[[[0., 1., 2., 0.]]]])}
    """
    (v,) = float64(v=v)
    g, _, at = _largest(x, kernel_size, stride, padding, dilation, ceil_mode)
    back = np.zeros(padded_shape(g))
    for i, j, pixels in taps(back, g):
        pixels += np.where(at == i * g.s + j, v, 0.0)
    return {"x": interior(back, g).copy()}


def global_avg_pool2d(x: ArrayLike) -> Float64Array:
    """The mean of each channel of images.

    Parameters
    ----------
    x : array_like, shape (n, c, h, w)
        Images.

    Returns
    -------
    ndarray, shape (n, c)
        The means, float64.

    See Also
    --------
    fastlec.GlobalAvgPool2d, global_avg_pool2d_jac_mv, global_avg_pool2d_jac_tmv

    Examples
    --------
    >>> fastlec.reference.global_avg_pool2d([[[[1.0, 2.0, 5.0, 4.0]]]])
    array([[3.]])
    """
    (x,) = float64(x=x)
    return x.mean(axis=(2, 3))


def global_avg_pool2d_jac_mv(x: ArrayLike, *, dx: ArrayLike) -> Float64Array:
    """JacMV of the means of channels: the means of dx.

    Parameters
    ----------
    x : array_like, shape (n, c, h, w)
        Images.
    dx : array_like, shape of x
        The direction.

    Returns
    -------
    ndarray, shape of y
        The Jacobian times dx.

    See Also
    --------
    global_avg_pool2d, global_avg_pool2d_jac_tmv

    Examples
    --------
    >>> fastlec.reference.global_avg_pool2d_jac_mv([[[[1.0, 2.0, 5.0, 4.0]]]], dx=[[[[1.0, 2.0, 7.0, 4.0]]]])
    array([[3.5]])
    """
    return global_avg_pool2d(dx)


def global_avg_pool2d_jac_tmv(v: ArrayLike, x: ArrayLike) -> dict[str, Float64Array]:
    """JacTMV of the means of channels: every pixel gets v / (h w) of its channel.

    Parameters
    ----------
    v : array_like, shape (n, c)
        What the transposed Jacobian is multiplied with.
    x : array_like, shape (n, c, h, w)
        Images.

    Returns
    -------
    dict of str to ndarray
        {"x": J' v}.

    See Also
    --------
    global_avg_pool2d, global_avg_pool2d_jac_mv

    Examples
    --------
    >>> fastlec.reference.global_avg_pool2d_jac_tmv([[4.0]], [[[[1.0, 2.0, 5.0, 4.0]]]])
    {'x': array([[[[1., 1., 1., 1.]]]])}
    """
    (v,) = float64(v=v)
    n, c, h, w = np.shape(x)
    return {"x": np.broadcast_to(v.reshape(n, c, 1, 1) / (h * w), (n, c, h, w)).copy()}


def upsample2d(x: ArrayLike, scale_factor: Pair) -> Float64Array:
    """Images enlarged by their nearest neighbours.

    y[n, c, i, j] = x[n, c, i // sh, j // sw], (sh, sw) = scale_factor.

    Parameters
    ----------
    x : array_like, shape (n, c, h, w)
        Images.
    scale_factor : int or tuple of two int
        How often each row and column is repeated.

    Returns
    -------
    ndarray, shape (n, c, oh, ow)
        The output y, float64.

    See Also
    --------
    fastlec.Upsample2d, upsample2d_jac_mv, upsample2d_jac_tmv

    Examples
    --------
    >>> fastlec.reference.upsample2d([[[[1.0, 5.0]]]], (1, 2))
    array([[[[1., 1., 5., 5.]]]])
    """
    (x,) = float64(x=x)
    down, across = pair(scale_factor, "scale_factor", 1)
    return x.repeat(down, axis=2).repeat(across, axis=3)


def upsample2d_jac_mv(x: ArrayLike, scale_factor: Pair, *, dx: ArrayLike) -> Float64Array:
    """JacMV of upsample2d: that of dx, for it is linear.

    Parameters
    ----------
    x : array_like, shape (n, c, h, w)
        Images.
    scale_factor : int or tuple of two int
        How often each row and column is repeated.
    dx : array_like, shape of x
        The direction.

    Returns
    -------
    ndarray, shape of y
        The Jacobian times dx.

    See Also
    --------
    upsample2d, upsample2d_jac_tmv

    Examples
    --------
    >>> fastlec.reference.upsample2d_jac_mv([[[[1.0, 5.0]]]], (1, 2), dx=[[[[1.0, 7.0]]]])
    array([[[[1., 1., 7., 7.]]]])
    """
    return upsample2d(dx, scale_factor)


def upsample2d_jac_tmv(v: ArrayLike, x: ArrayLike, scale_factor: Pair) -> dict[str, Float64Array]:
    """JacTMV of upsample2d: every pixel gets the sum of v over the pixels that it was repeated to.

    Parameters
    ----------
    v : array_like, shape of y
        What the transposed Jacobian is multiplied with.
    x : array_like, shape (n, c, h, w)
        Images.
    scale_factor : int or tuple of two int
        How often each row and column is repeated.

    Returns
    -------
    dict of str to ndarray
        {"x": J' v}.

    See Also
    --------
    upsample2d, upsample2d_jac_mv

    Examples
    --------
    >>> fastlec.reference.upsample2d_jac_tmv([[[[1.0, 2.0, 3.0, 4.0]]]], [[[[1.0, 5.0]]]], (1, 2))
    {'x': array([[[[3., 7.]]]])}
    """
    (v,) = float64(v=v)
    down, across = pair(scale_factor, "scale_factor", 1)
    n, c, h, w = np.shape(x)
    return {"x": v.reshape(n, c, h, down, w, across).sum(axis=(3, 5))}


def avg_pool1d(x: ArrayLike, kernel_size: int, stride: int | None = None, padding: int = 0) -> Float64Array:
    """The mean of each window of signals: `avg_pool2d` of images of one row.

    Parameters
    ----------
    x : array_like, shape (n, c, length)
        Signals.
    kernel_size : int
        The length of a window.
    stride : int, optional
        From window to window, by default kernel_size: side by side.
    padding : int
        Zeros on each side.

    Returns
    -------
    ndarray, shape (n, c, ol)
        The output y, float64.

    See Also
    --------
    fastlec.AvgPool1d, avg_pool1d_jac_mv, avg_pool1d_jac_tmv

    Examples
    --------
    >>> fastlec.reference.avg_pool1d([[[1.0, 2.0, 5.0, 4.0]]], 2)
    array([[[1.5, 4.5]]])
    """
    return avg_pool2d(*_one_row(x, kernel_size, stride, padding))[:, :, 0]


def avg_pool1d_jac_mv(
    x: ArrayLike, kernel_size: int, stride: int | None = None, padding: int = 0, *, dx: ArrayLike
) -> Float64Array:
    """JacMV of average pooling of signals: the means of dx.

    Parameters
    ----------
    x : array_like, shape (n, c, length)
        Signals.
    kernel_size : int
        The length of a window.
    stride : int, optional
        From window to window, by default kernel_size: side by side.
    padding : int
        Zeros on each side.
    dx : array_like, shape of x
        The direction.

    Returns
    -------
    ndarray, shape of y
        The Jacobian times dx.

    See Also
    --------
    avg_pool1d, avg_pool1d_jac_tmv

    Examples
    --------
    >>> fastlec.reference.avg_pool1d_jac_mv([[[1.0, 2.0, 5.0, 4.0]]], 2, dx=[[[1.0, 2.0, 7.0, 4.0]]])
    array([[[1.5, 5.5]]])
    """
    return avg_pool1d(dx, kernel_size, stride, padding)


def avg_pool1d_jac_tmv(
    v: ArrayLike, x: ArrayLike, kernel_size: int, stride: int | None = None, padding: int = 0
) -> dict[str, Float64Array]:
    """JacTMV of average pooling of signals.

    Parameters
    ----------
    v : array_like, shape of y
        What the transposed Jacobian is multiplied with.
    x : array_like, shape (n, c, length)
        Signals.
    kernel_size : int
        The length of a window.
    stride : int, optional
        From window to window, by default kernel_size: side by side.
    padding : int
        Zeros on each side.

    Returns
    -------
    dict of str to ndarray
        {"x": J' v}.

    See Also
    --------
    avg_pool1d, avg_pool1d_jac_mv

    Examples
    --------
    >>> fastlec.reference.avg_pool1d_jac_tmv([[[1.0, 2.0]]], [[[1.0, 2.0, 5.0, 4.0]]], 2)
    {'x': array([[[0.5, 0.5, 1. , 1. ]]])}
    """
    return {"x": avg_pool2d_jac_tmv(np.expand_dims(v, 2), *_one_row(x, kernel_size, stride, padding))["x"][:, :, 0]}


def max_pool1d(x: ArrayLike, kernel_size: int, stride: int | None = None, padding: int = 0) -> Float64Array:
    """The largest element of each window of signals: `max_pool2d` of images of one row.

    Parameters
    ----------
    x : array_like, shape (n, c, length)
        Signals.
    kernel_size : int
        The length of a window.
    stride : int, optional
        From window to window, by default kernel_size: side by side.
    padding : int
        Places on each side that are never the largest.

    Returns
    -------
    ndarray, shape (n, c, ol)
        The output y, float64.

    See Also
    --------
    fastlec.MaxPool1d, max_pool1d_jac_mv, max_pool1d_jac_tmv

    Examples
    --------
    >>> fastlec.reference.max_pool1d([[[1.0, 2.0, 5.0, 4.0]]], 2)
    array([[[2., 5.]]])
    """
    return max_pool2d(*_one_row(x, kernel_size, stride, padding))[:, :, 0]


def max_pool1d_jac_mv(
    x: ArrayLike, kernel_size: int, stride: int | None = None, padding: int = 0, *, dx: ArrayLike
) -> Float64Array:
    """JacMV of maximum pooling of signals: dx of the largest element of each window.

    Parameters
    ----------
    x : array_like, shape (n, c, length)
        Signals.
    kernel_size : int
        The length of a window.
    stride : int, optional
        From window to window, by default kernel_size: side by side.
    padding : int
        Places on each side that are never the largest.
    dx : array_like, shape of x
        The direction.

    Returns
    -------
    ndarray, shape of y
        The Jacobian times dx.

    See Also
    --------
    max_pool1d, max_pool1d_jac_tmv

    Examples
    --------
    >>> fastlec.reference.max_pool1d_jac_mv([[[1.0, 2.0, 5.0, 4.0]]], 2, dx=[[[1.0, 2.0, 7.0, 4.0]]])
    array([[[2., 7.]]])
    """
    return max_pool2d_jac_mv(*_one_row(x, kernel_size, stride, padding), dx=np.expand_dims(dx, 2))[:, :, 0]


def max_pool1d_jac_tmv(
    v: ArrayLike, x: ArrayLike, kernel_size: int, stride: int | None = None, padding: int = 0
) -> dict[str, Float64Array]:
    """JacTMV of maximum pooling of signals.

    Parameters
    ----------
    v : array_like, shape of y
        What the transposed Jacobian is multiplied with.
    x : array_like, shape (n, c, length)
        Signals.
    kernel_size : int
        The length of a window.
    stride : int, optional
        From window to window, by default kernel_size: side by side.
    padding : int
        Places on each side that are never the largest.

    Returns
    -------
    dict of str to ndarray
        {"x": J' v}.

    See Also
    --------
    max_pool1d, max_pool1d_jac_mv

    Examples
    --------
    >>> fastlec.reference.max_pool1d_jac_tmv([[[1.0, 2.0]]], [[[1.0, 2.0, 5.0, 4.0]]], 2)
    {'x': array([[[0., 1., 2., 0.]]])}
    """
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
