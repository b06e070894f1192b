"""Image filtering (lecture 5.1): the convolution of an image with a small kernel, and the kernels of image processing by name.

The kernels are those of the pages that the lecture points to, https://en.wikipedia.org/wiki/Kernel_(image_processing) and, for
Sobel's, https://en.wikipedia.org/wiki/Sobel_operator: float64 arrays to use with `filter2d`, which turns a kernel by 180 degrees as
those pages do. `KERNELS` maps every name to its function.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar, overload

import numpy as np

from . import _check
from ._kernels import stencil
from ._kernels.plan import Plan, is_plain
from .convolution import conv2d_jac_tmv

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import ArrayLike, NDArray

    from ._typing import Out, Single

__all__ = [
    "KERNELS",
    "box",
    "correlate2d",
    "edge",
    "emboss",
    "filter2d",
    "filter2d_jac_tmv",
    "gaussian",
    "gradient_magnitude",
    "identity",
    "ridge",
    "sharpen",
    "sobel_x",
    "sobel_y",
    "unsharp",
]


def __dir__() -> list[str]:
    return __all__


Mode: TypeAlias = Literal["constant", "reflect", "nearest", "wrap", "mirror"]

MODES = ("constant", "reflect", "nearest", "wrap", "mirror")  # in the order of the kernel's codes
Integer = TypeVar("Integer", np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32)
_PAD = {"reflect": "symmetric", "nearest": "edge", "wrap": "wrap", "mirror": "reflect"}  # the same in numpy.pad
MOST_AMOUNT = 2.0**1020  # of sharpening: the kernel is finite
_OUT_DTYPES = tuple(np.dtype(f"{sign}int{bits}") for sign in ("u", "") for bits in (8, 16, 32))


@overload
def filter2d(
    image: Single,
    kernel: ArrayLike,
    *,
    mode: Mode = "reflect",
    cval: float = 0.0,
    origin: int | tuple[int, int] = 0,
    out: Out[np.float32] = None,
) -> NDArray[np.float32]: ...
@overload
def filter2d(
    image: ArrayLike,
    kernel: ArrayLike,
    *,
    mode: Mode = "reflect",
    cval: float = 0.0,
    origin: int | tuple[int, int] = 0,
    out: Out[np.float64] = None,
) -> NDArray[np.float64]: ...
@overload
def filter2d(
    image: ArrayLike,
    kernel: ArrayLike,
    *,
    mode: Mode = "reflect",
    cval: float = 0.0,
    origin: int | tuple[int, int] = 0,
    out: NDArray[Integer] | tuple[NDArray[Integer]],
) -> NDArray[Integer]: ...
def filter2d(
    image: ArrayLike,
    kernel: ArrayLike,
    *,
    mode: Mode = "reflect",
    cval: float = 0.0,
    origin: int | tuple[int, int] = 0,
    out: Any = None,
) -> NDArray[Any]:
    """Filter an image by the convolution with a kernel, as `scipy.ndimage.convolve` (lecture 5.1).

    Parameters
    ----------
    image : array_like, shape (h, w) or (h, w, c)
        A gray image, or one of c channels, each of which is filtered by itself.
    kernel : array_like, shape (R, S)
        The kernel, of any size but 0: even or odd, also larger than the image.
    mode : {"reflect", "mirror", "nearest", "wrap", "constant"}, optional
        What lies beyond the image, as in `scipy.ndimage`: "reflect" is d c b a | a b c d | d c b a, "mirror" d c b | a b c d | c b
        a, "nearest" a a a a | a b c d | d d d d, "wrap" a b c d | a b c d | a b c d, and "constant" `cval` everywhere.
    cval : float, optional
        The value beyond the image in the mode "constant".
    origin : int or tuple of int, optional
        How far the kernel is moved, (down, across) or both: from -(R // 2) to (R - 1) // 2, likewise for S. Above 0 the result
        moves up and to the left.
    out : ndarray or tuple of one ndarray, optional
        Where to write the result: of image's shape, perhaps `image` itself. Of the result's dtype, or of 8, 16 or 32 bit integers;
        then the result is rounded, half to even, and clipped to what they hold.

    Returns
    -------
    ndarray
        The filtered image, of image's shape: float32 for float32, float16 and bfloat16, else float64. `scipy.ndimage` cuts the
        result of bytes off to bytes; here ``out=np.empty_like(image)`` gives bytes, rounded.

    Raises
    ------
    TypeError
        If an array does not hold real numbers, or an argument is of another type.
    ValueError
        If a shape or `mode` is none that there is, `origin` lies beyond the kernel, or NaN would go into integers.

    See Also
    --------
    filters.correlate2d, conv2d

    Notes
    -----
    The kernel is turned by 180 degrees::

        y[a, b] = sum_ij kernel[i, j] image[a + R//2 + origin[0] - i, b + S//2 + origin[1] - j]

    `conv2d`, the layers, scipy.ndimage.correlate and OpenCV's filter2D do not turn it; `filters.correlate2d` is like these.

    Each element is within about R S eps times the sum of its terms' absolute values of the exact sum, also where a kernel of rank
    one, u v', is applied as u and v one after the other. NaN and infinity reach only where the kernel is not 0.

    Examples
    --------
    >>> import fastlec
    >>> image = [[0, 0, 1, 0, 0]]
    >>> fastlec.filter2d(image, [[1, 2]])
    array([[0., 1., 2., 0., 0.]])
    >>> fastlec.filter2d(image, [[1, 2]], origin=(0, -1))
    array([[0., 0., 1., 2., 0.]])
    >>> fastlec.filter2d(image, fastlec.filters.gaussian(5)[2:3] * 8 / 3)
    array([[0.0625, 0.25  , 0.375 , 0.25  , 0.0625]])
    """
    image, out = _check.as_array(image, "image"), _check.one(out)
    dtype = _check.float_dtype(image.dtype, "image")
    if image.ndim not in (2, 3):
        raise ValueError(f"image has shape {image.shape}; expected (height, width) or (height, width, channels)")
    kernel = _turned(kernel, origin)
    _check.choice(mode, MODES, "mode")
    cval = _check.number(cval, "cval")
    _check_out(out, image.shape, dtype)
    plan, gray = Plan(dtype.num), image.ndim == 2
    x = image[None] if gray else np.moveaxis(image, 2, 0)
    if not is_plain(x) or x.dtype != dtype:
        x = _check.fill(plan.empty(*x.shape), x)
    own = out[None] if gray and out is not None and out.dtype == dtype else None
    y = _check.kernel_output(own, x.shape, dtype, plan, (x,))
    if x.size:
        _filter(plan, x, kernel, y, mode, cval)
    if gray and out is None:
        return y[0]
    if out is None:
        out = plan.empty(*image.shape)
    if y is not own:
        y = y if out.dtype == dtype else _whole(y, out.dtype)
        for i, plane in enumerate(y):  # one by one: several times as fast as all with moved axes
            np.copyto(out if gray else out[..., i], plane)
    return out


@overload
def correlate2d(
    image: Single,
    kernel: ArrayLike,
    *,
    mode: Mode = "reflect",
    cval: float = 0.0,
    origin: int | tuple[int, int] = 0,
    out: Out[np.float32] = None,
) -> NDArray[np.float32]: ...
@overload
def correlate2d(
    image: ArrayLike,
    kernel: ArrayLike,
    *,
    mode: Mode = "reflect",
    cval: float = 0.0,
    origin: int | tuple[int, int] = 0,
    out: Out[np.float64] = None,
) -> NDArray[np.float64]: ...
@overload
def correlate2d(
    image: ArrayLike,
    kernel: ArrayLike,
    *,
    mode: Mode = "reflect",
    cval: float = 0.0,
    origin: int | tuple[int, int] = 0,
    out: NDArray[Integer] | tuple[NDArray[Integer]],
) -> NDArray[Integer]: ...
def correlate2d(
    image: ArrayLike,
    kernel: ArrayLike,
    *,
    mode: Mode = "reflect",
    cval: float = 0.0,
    origin: int | tuple[int, int] = 0,
    out: Any = None,
) -> NDArray[Any]:
    """Filter an image by the correlation with a kernel, as `scipy.ndimage.correlate` and OpenCV's filter2D.

    Parameters
    ----------
    image : array_like, shape (h, w) or (h, w, c)
        A gray image, or one of c channels, each of which is filtered by itself.
    kernel : array_like, shape (R, S)
        The kernel, of any size but 0. It is not turned.
    mode : {"reflect", "mirror", "nearest", "wrap", "constant"}, optional
        What lies beyond the image, as in `filter2d`.
    cval : float, optional
        The value beyond the image in the mode "constant".
    origin : int or tuple of int, optional
        How far the kernel is moved, (down, across) or both: from -(R // 2) to (R - 1) // 2, likewise for S. Above 0 the result
        moves up and to the left.
    out : ndarray or tuple of one ndarray, optional
        Where to write the result: of image's shape, perhaps `image` itself. Of the result's dtype, or of 8, 16 or 32 bit integers;
        then the result is rounded, half to even, and clipped to what they hold.

    Returns
    -------
    ndarray
        The filtered image, of image's shape: float32 for float32, float16 and bfloat16, else float64. `scipy.ndimage` cuts the
        result of bytes off to bytes; here ``out=np.empty_like(image)`` gives bytes, rounded.

    Raises
    ------
    TypeError
        If an array does not hold real numbers, or an argument is of another type.
    ValueError
        If a shape or `mode` is none that there is, `origin` lies beyond the kernel, or NaN would go into integers.

    See Also
    --------
    fastlec.filter2d, fastlec.conv2d

    Notes
    -----
    The modes "mirror" and "nearest" are OpenCV's BORDER_DEFAULT and BORDER_REPLICATE. The result is

        y[a, b] = sum_ij kernel[i, j] image[a + i - R//2 - origin[0], b + j - S//2 - origin[1]],

    that of ``filter2d(image, kernel[::-1, ::-1], origin=(R % 2 - 1, S % 2 - 1))`` for the origin 0.

    Examples
    --------
    >>> import fastlec
    >>> fastlec.filters.correlate2d([[0, 0, 1, 0, 0]], [[1, 2]])
    array([[0., 0., 2., 1., 0.]])
    """
    turned = _check_kernel(kernel)[::-1, ::-1]
    pair = zip(_origin(origin, turned.shape), turned.shape, strict=True)
    return filter2d(image, turned, mode=mode, cval=cval, origin=tuple(n % 2 - 1 - o for o, n in pair), out=out)


@overload
def filter2d_jac_tmv(
    v: Single,
    image: Single,
    kernel: Single,
    *,
    mode: Mode = "reflect",
    cval: float = 0.0,
    wrt: Literal["image", "kernel"] | Iterable[Literal["image", "kernel"]] = ("image", "kernel"),
) -> dict[str, NDArray[np.float32]]: ...
@overload
def filter2d_jac_tmv(
    v: ArrayLike,
    image: ArrayLike,
    kernel: ArrayLike,
    *,
    mode: Mode = "reflect",
    cval: float = 0.0,
    wrt: Literal["image", "kernel"] | Iterable[Literal["image", "kernel"]] = ("image", "kernel"),
) -> dict[str, NDArray[np.float64]]: ...
def filter2d_jac_tmv(
    v: ArrayLike,
    image: ArrayLike,
    kernel: ArrayLike,
    *,
    mode: Mode = "reflect",
    cval: float = 0.0,
    wrt: Literal["image", "kernel"] | Iterable[Literal["image", "kernel"]] = ("image", "kernel"),
) -> dict[str, Any]:
    """JacTMV of `filter2d`: the transposed derivative times v, by the image and by the kernel.

    Parameters
    ----------
    v : array_like, shape (h, w) or (h, w, c)
        What to multiply, of image's shape: such as the gradient of a loss by the filtered image.
    image : array_like, shape (h, w) or (h, w, c)
        The image at which to take the derivative.
    kernel : array_like, shape (R, S)
        The kernel at which to take the derivative. Its origin is 0.
    mode : {"reflect", "mirror", "nearest", "wrap", "constant"}, optional
        What lies beyond the image, as in `filter2d`.
    cval : float, optional
        The value beyond the image in the mode "constant".
    wrt : str or iterable of str, optional
        What to compute: "image", "kernel" or both.

    Returns
    -------
    dict of ndarray
        By the names in `wrt`, arrays of the shapes of image and kernel: float32 where all arrays are float32, float16 or bfloat16,
        else float64.

    Raises
    ------
    TypeError
        If an array does not hold real numbers.
    ValueError
        If shapes do not fit, or `mode` or `wrt` is none that there is.

    See Also
    --------
    fastlec.filter2d, fastlec.conv2d_jac_tmv

    Notes
    -----
    The image is padded as `mode` says. J' is that of a convolution of the padded image, and then the sum over each pixel's places.

    Examples
    --------
    >>> import numpy as np
    >>> import fastlec
    >>> fastlec.filters.filter2d_jac_tmv(np.array([[0.0, 0, 1, 0]]), np.zeros((1, 4)), np.array([[1.0, 2]]))["image"]
    array([[0., 0., 2., 1.]])
    """
    wrt = _check.names(wrt, "wrt")
    for name in wrt:
        _check.choice(name, ("image", "kernel"), "wrt")
    image, v, kernel = _check.as_array(image, "image"), _check.as_array(v, "v"), _check_kernel(kernel)
    if image.ndim not in (2, 3):
        raise ValueError(f"image has shape {image.shape}; expected (height, width) or (height, width, channels)")
    _check.shape(v, "v", image.shape)
    _check.choice(mode, MODES, "mode")
    dtype = _check.common_dtype(v=v, image=image, kernel=kernel)
    h, w = image.shape[:2]
    if not image.size:
        return {name: np.zeros(image.shape if name == "image" else kernel.shape, dtype) for name in wrt}
    sides = [((n - 1) // 2, n // 2) for n in kernel.shape]
    pad = {"mode": "constant", "constant_values": cval} if mode == "constant" else {"mode": _PAD[mode]}
    planes = np.moveaxis(image.reshape(h, w, -1), 2, 0)
    x, W = np.pad(planes, [(0, 0), *sides], **pad)[:, None], kernel[None, None, ::-1, ::-1]
    g = np.moveaxis(v.reshape(h, w, -1), 2, 0)[:, None]
    names = {"image": "x", "kernel": "W"}
    found, result = conv2d_jac_tmv(g, x, W, wrt=tuple(names[name] for name in wrt)), {}
    if "kernel" in wrt:
        result["kernel"] = found["W"][0, 0, ::-1, ::-1]
    if "image" in wrt:
        dx = found["x"][:, 0]
        for axis, (n, side) in enumerate(zip((h, w), sides, strict=True), start=1):
            places = np.pad(np.arange(n), side, mode=_PAD[mode]) if mode != "constant" else np.arange(-side[0], n + side[1])
            inside = (places >= 0) & (places < n)
            folded = np.zeros((n, *np.delete(dx.shape, axis)), dx.dtype)
            np.add.at(folded, places[inside], np.moveaxis(dx, axis, 0)[inside])
            dx = np.moveaxis(folded, 0, axis)
        result["image"] = np.moveaxis(dx, 0, 2).reshape(image.shape)
    return result


@overload
def gradient_magnitude(
    image: Single,
    *,
    mode: Mode = "reflect",
    cval: float = 0.0,
    out: Out[np.float32] = None,
) -> NDArray[np.float32]: ...
@overload
def gradient_magnitude(
    image: ArrayLike,
    *,
    mode: Mode = "reflect",
    cval: float = 0.0,
    out: Out[np.float64] = None,
) -> NDArray[np.float64]: ...
@overload
def gradient_magnitude(
    image: ArrayLike,
    *,
    mode: Mode = "reflect",
    cval: float = 0.0,
    out: NDArray[Integer] | tuple[NDArray[Integer]],
) -> NDArray[Integer]: ...
def gradient_magnitude(
    image: ArrayLike,
    *,
    mode: Mode = "reflect",
    cval: float = 0.0,
    out: Any = None,
) -> NDArray[Any]:
    """Steepness of an image: the root of the sum of squares of its filtering by `sobel_x` and by `sobel_y`.

    Parameters
    ----------
    image : array_like, shape (h, w) or (h, w, c)
        A gray image, or one of c channels, each of which is filtered by itself.
    mode : {"reflect", "mirror", "nearest", "wrap", "constant"}, optional
        What lies beyond the image, as in `filter2d`.
    cval : float, optional
        The value beyond the image in the mode "constant".
    out : ndarray or tuple of one ndarray, optional
        Where to write the result: of image's shape, perhaps `image` itself. Of the result's dtype, or of 8, 16 or 32 bit integers;
        then the result is rounded, half to even, and clipped to what they hold.

    Returns
    -------
    ndarray
        Numbers >= 0, of image's shape: float32 for float32, float16 and bfloat16, else float64.

    Raises
    ------
    TypeError
        If `image` does not hold real numbers, or an argument is of another type.
    ValueError
        If a shape or `mode` is none that there is, or NaN would go into integers.

    See Also
    --------
    sobel_x, sobel_y, fastlec.filter2d

    Notes
    -----
    It is scipy.ndimage.generic_gradient_magnitude(image, scipy.ndimage.sobel) with cval 0.

    Examples
    --------
    >>> import fastlec
    >>> fastlec.filters.gradient_magnitude([[0, 3, 6], [4, 7, 10], [8, 11, 14]])[1, 1]
    np.float64(40.0)
    """
    out = _check.one(out)
    across = filter2d(image, sobel_x(), mode=mode, cval=cval)
    _check_out(out, across.shape, across.dtype)
    with np.errstate(over="ignore", invalid="ignore"):
        y = np.hypot(across, filter2d(image, sobel_y(), mode=mode, cval=cval), out=across)
    if out is None:
        return y
    out[...] = y if out.dtype == y.dtype else _whole(y, out.dtype)
    return out


def _check_out(out, shape, dtype):
    """TypeError or ValueError unless out is None, or can hold a result of this dtype, perhaps rounded."""
    if out is not None:
        integers = isinstance(out, np.ndarray) and out.dtype in _OUT_DTYPES
        _check.output(out, shape, out.dtype if integers else dtype)


def _check_kernel(kernel):
    """The kernel as an array. ValueError or TypeError for what is none."""
    kernel = _check.as_array(kernel, "kernel")
    _check.float_dtype(kernel.dtype, "kernel")
    if kernel.ndim != 2 or 0 in kernel.shape:
        raise ValueError(f"kernel has shape {kernel.shape}; expected (rows, columns), neither of them 0")
    return kernel


def _turned(kernel, origin):
    """The kernel as a correlation takes it: float64, turned by 180 degrees, and odd, with zeros where its middle would not be that
    of its place."""
    kernel = _check_kernel(kernel)
    firsts, halves = [], []
    for n, o in zip(kernel.shape, _origin(origin, kernel.shape), strict=True):
        first = o - (n - 1) // 2  # where the turned kernel begins, from the pixel that is computed
        halves.append(max(-first, first + n - 1))
        firsts.append(first + halves[-1])
    turned = np.zeros([2 * half + 1 for half in halves])
    turned[tuple(slice(first, first + n) for first, n in zip(firsts, kernel.shape, strict=True))] = kernel[::-1, ::-1]
    return turned


def _origin(origin, shape):
    """(down, across), ints within a kernel of this shape."""
    pair = origin if isinstance(origin, (tuple, list)) else (origin, origin)
    if len(pair) != 2:
        raise ValueError(f"origin is {_check.shown(origin)}; expected an int or a pair of them")
    limits = [(-(n // 2), (n - 1) // 2) for n in shape]
    return tuple(_check.count(o, f"origin[{i}]", *limit) for i, (o, limit) in enumerate(zip(pair, limits, strict=True)))


def _whole(a, dtype):
    """a rounded and clipped to an integer dtype of at most 32 bits, whose numbers float64 holds all."""
    if np.isnan(a).any():
        raise ValueError(f"the result holds NaN, which out, of dtype {dtype}, cannot; expected out of {a.dtype}")
    limits = np.iinfo(dtype)
    return np.rint(a, dtype=np.float64).clip(limits.min, limits.max).astype(dtype)


@np.errstate(all="ignore")  # what overflows is infinite, without a word, as in the kernels
def _filter(plan, x, kernel, y, mode, cval):
    """y = the correlation of every plane of x with an odd kernel, in one pass or in two."""
    exponent = _exponent(kernel, np.finfo(x.dtype).maxexp)
    kernel = np.ldexp(kernel, -exponent)
    K, code = kernel.astype(x.dtype), MODES.index(mode)
    factors = _factors(kernel, np.finfo(x.dtype).eps)
    if factors is None:
        stencil.filter2d(plan, x, K, y, code, cval)
    else:
        column, row = (factor.astype(x.dtype) for factor in factors)
        half = plan.empty(*x.shape)
        stencil.filter2d(plan, x, row, half, code, cval)
        stencil.filter2d(plan, half, column, y, code, float((cval * row).sum()))  # what all cval beyond the image has become
    plan.run()
    if not K.all() and not np.isfinite(y).all():  # 0 times NaN or infinity is NaN: leave the zeros out
        _correlate_nonzero(x, K, y, mode, cval)
    if exponent:
        np.ldexp(y, exponent, out=y)


def _exponent(kernel, most):
    """Of the power of two that is taken out of a kernel so large that sums could overflow before the result does; else 0."""
    largest = np.abs(kernel).max()
    exponent = int(np.frexp(largest)[1]) + kernel.size.bit_length() if np.isfinite(largest) else 0
    return exponent if exponent > most // 2 else 0


def _factors(kernel, eps):
    """A column (R, 1) and a row (1, S) whose product is the kernel and that are less work than it, or None.

    Every element of the product is within R + S rounding errors of the kernel's: no more than the two passes save, so that the
    bound on the error is that of one pass. The row's magnitudes sum to at most 1, so that the first pass cannot overflow.
    """
    r, s = kernel.shape
    if r * s <= 2 * (r + s):
        return None
    i, j = divmod(int(np.abs(kernel).argmax()), s)
    p, q = 0 if i else r - 1, 0 if j else s - 1  # one element tells most kernels of higher rank
    if kernel.item(i, j) == 0 or not (
        abs(kernel.item(p, q) - kernel.item(p, j) / kernel.item(i, j) * kernel.item(i, q))
        <= 2 * (r + s) * eps * abs(kernel.item(p, q))
    ):
        return None
    row = kernel[i : i + 1] / _unit(kernel[i])
    row = np.ldexp(row, -np.frexp(np.abs(row).sum())[1])
    column = kernel[:, j : j + 1] / row[0, j]
    close = np.abs(kernel - column * row) <= (r + s) * eps * np.abs(kernel)
    return (column, row) if close.all() else None  # never of a kernel with NaN or infinity, nor of zeros alone


def _unit(a):
    """The greatest number of which all of a are whole multiples up to 2^30, so that whole numbers stay exact; or a's largest."""
    largest = np.abs(a).max()
    scale = 30 - int(np.frexp(largest)[1])
    multiples = np.ldexp(a, scale)
    whole = (multiples == np.rint(multiples)).all() and largest
    return np.ldexp(float(np.gcd.reduce(multiples.astype(np.int64))), -scale) if whole else largest


def _correlate_nonzero(x, K, y, mode, cval):
    """y[p, a, b] = sum_ij K[i, j] x[p, a + i - R//2, b + j - S//2] over the K[i, j] that are not 0; R and S odd."""
    (r, s), (_, h, w) = K.shape, x.shape
    border = [(0, 0), 2 * (r // 2,), 2 * (s // 2,)]
    padded = np.pad(x, border, constant_values=cval) if mode == "constant" else np.pad(x, border, _PAD[mode])
    term = np.empty_like(x)
    y[:] = 0
    for i, j in np.argwhere(K):
        y += np.multiply(padded[:, i : i + h, j : j + w], K[i, j], out=term)


def identity() -> NDArray[np.float64]:
    """Kernel that leaves an image as it is.

    Returns
    -------
    ndarray, shape (3, 3)
        1 in the middle, else 0.

    See Also
    --------
    sharpen, box

    Examples
    --------
    >>> import fastlec
    >>> fastlec.filter2d([[1, 2, 3]], fastlec.filters.identity())
    array([[1., 2., 3.]])
    """
    return np.array([[0.0, 0, 0], [0, 1, 0], [0, 0, 0]])


def ridge() -> NDArray[np.float64]:
    """Kernel of 4 times a pixel less its 4 neighbours, minus the discrete Laplacian.

    Returns
    -------
    ndarray, shape (3, 3)
        4 in the middle, -1 beside, above and below. The sum is 0.

    See Also
    --------
    edge, sharpen

    Examples
    --------
    >>> import fastlec
    >>> fastlec.filter2d([[0, 0, 5, 5]], fastlec.filters.ridge())
    array([[ 0., -5.,  5.,  0.]])
    """
    return np.array([[0.0, -1, 0], [-1, 4, -1], [0, -1, 0]])


def edge() -> NDArray[np.float64]:
    """Kernel of 8 times a pixel less its 8 neighbours.

    Returns
    -------
    ndarray, shape (3, 3)
        8 in the middle, else -1. The sum is 0.

    See Also
    --------
    ridge, gradient_magnitude

    Examples
    --------
    >>> import fastlec
    >>> fastlec.filter2d([[0, 0, 5, 5]], fastlec.filters.edge())
    array([[  0., -15.,  15.,   0.]])
    """
    return np.array([[-1.0, -1, -1], [-1, 8, -1], [-1, -1, -1]])


def sharpen(amount: float = 1.0) -> NDArray[np.float64]:
    """Kernel that sharpens an image: `identity` plus an amount of `ridge`.

    Parameters
    ----------
    amount : float, optional
        How much of it, finite and >= 0.

    Returns
    -------
    ndarray, shape (3, 3)
        The kernel, of sum 1.

    Raises
    ------
    ValueError
        If `amount` is negative, not finite, or so large that the kernel is not.

    See Also
    --------
    unsharp, ridge

    Examples
    --------
    >>> import fastlec
    >>> fastlec.filters.sharpen()
    array([[ 0., -1.,  0.],
           [-1.,  5., -1.],
           [ 0., -1.,  0.]])
    """
    amount = _check.non_negative(amount, "amount")
    if amount > MOST_AMOUNT:
        raise ValueError(f"amount is {amount}; expected at most {MOST_AMOUNT}")
    return identity() + amount * ridge()


def box(size: int = 3) -> NDArray[np.float64]:
    """Kernel of the mean over a square.

    Parameters
    ----------
    size : int, optional
        The side of the square, >= 1.

    Returns
    -------
    ndarray, shape (size, size)
        1 / size^2 everywhere.

    Raises
    ------
    TypeError
        If `size` is no integer.
    ValueError
        If `size` is less than 1.

    See Also
    --------
    gaussian

    Examples
    --------
    >>> import fastlec
    >>> fastlec.filters.box(2)
    array([[0.25, 0.25],
           [0.25, 0.25]])
    """
    size = _side(size)
    return np.full((size, size), 1 / size**2)


def gaussian(size: int | None = None, sigma: float | None = None) -> NDArray[np.float64]:
    """Kernel that blurs an image by the normal distribution.

    Parameters
    ----------
    size : int, optional
        The side of the kernel. An even one shifts the image by half a pixel. By default 3, or with `sigma` what reaches 4 `sigma`,
        as in `scipy.ndimage.gaussian_filter`.
    sigma : float, optional
        The standard deviation in pixels, > 0. By default the kernel holds binomial coefficients, of variance (size - 1) / 4.

    Returns
    -------
    ndarray, shape (size, size)
        The kernel, of sum 1.

    Raises
    ------
    TypeError
        If `size` is no integer or `sigma` no number.
    ValueError
        If `size` is less than 1 or `sigma` not above 0.

    See Also
    --------
    box, unsharp

    Examples
    --------
    >>> import fastlec
    >>> fastlec.filters.gaussian() * 16
    array([[1., 2., 1.],
           [2., 4., 2.],
           [1., 2., 1.]])
    """
    if size is not None:
        size = _side(size)
    if sigma is None:
        line = _binomial(3 if size is None else size)
    else:
        sigma = _check.positive(sigma, "sigma")
        if size is None:
            reach = min(4 * sigma, sys.float_info.max)
            size = _side(2 * int(reach + 0.5) + 1, f"a kernel of sigma {sigma}")
        line = _normal(size, sigma)
    return np.outer(line, line)


def _side(size, what=None):
    """The side of a square kernel."""
    if what is None:
        size = _check.count(size, "size", 1)
        what = f"a kernel of {size} x {size}"
    _check.memory(8 * size**2, what)
    return size


def _binomial(size):
    """Binomial coefficients, divided by their sum; each is exact before it is rounded."""
    coefficients, n = [1], size - 1
    for i in range(n):
        coefficients.append(coefficients[-1] * (n - i) // (i + 1))
    return np.array([c / 2**n for c in coefficients])


def _normal(size, sigma):
    """The normal density at whole numbers, or (size even) between them, over its sum; relative to what is nearest to the middle, so
    that this is not 0 for any sigma."""
    distance = np.abs(np.arange(size) - (size - 1) / 2)
    with np.errstate(over="ignore"):
        line = np.exp(-0.5 * (distance**2 - distance.min() ** 2) / sigma / sigma)
    return line / line.sum()


def sobel_x() -> NDArray[np.float64]:
    """Kernel of 8 times the derivative from left to right, smoothed from top to bottom.

    Returns
    -------
    ndarray, shape (3, 3)
        The kernel. The result is positive where the image brightens to the right.

    See Also
    --------
    sobel_y, gradient_magnitude

    Examples
    --------
    >>> import fastlec
    >>> fastlec.filter2d([[0, 1, 2, 3]], fastlec.filters.sobel_x())
    array([[4., 8., 8., 4.]])
    """
    return np.outer([1.0, 2, 1], [1.0, 0, -1])


def sobel_y() -> NDArray[np.float64]:
    """Kernel of 8 times the derivative from top to bottom, smoothed from left to right.

    Returns
    -------
    ndarray, shape (3, 3)
        The kernel. The result is positive where the image brightens downwards.

    See Also
    --------
    sobel_x, gradient_magnitude

    Examples
    --------
    >>> import fastlec
    >>> fastlec.filters.sobel_y()
    array([[ 1.,  2.,  1.],
           [ 0.,  0.,  0.],
           [-1., -2., -1.]])
    """
    return sobel_x().T


def emboss() -> NDArray[np.float64]:
    """Kernel that shows an image as a relief, lit from the upper left.

    Returns
    -------
    ndarray, shape (3, 3)
        The kernel, of sum 1.

    See Also
    --------
    edge

    Notes
    -----
    It is that of GIMP's manual, "Convolution Matrix", which does not turn it.

    Examples
    --------
    >>> import fastlec
    >>> fastlec.filters.emboss()
    array([[ 2.,  1.,  0.],
           [ 1.,  1., -1.],
           [ 0., -1., -2.]])
    """
    return np.array([[2.0, 1, 0], [1, 1, -1], [0, -1, -2]])


def unsharp(amount: float = 1.0, size: int | None = 5, sigma: float | None = None) -> NDArray[np.float64]:
    """Kernel of an unsharp mask: the image plus an amount of what a blur takes from it.

    Parameters
    ----------
    amount : float, optional
        How much of it, finite and >= 0.
    size : int or None, optional
        The side of the blur, odd, or None with a `sigma`, as in `gaussian`.
    sigma : float, optional
        The standard deviation of the blur, as in `gaussian`.

    Returns
    -------
    ndarray, shape (size, size)
        The kernel, of sum 1.

    Raises
    ------
    TypeError
        If an argument is no number.
    ValueError
        If `size` is even or less than 1, `sigma` not above 0, or `amount` negative or not finite.

    See Also
    --------
    sharpen, gaussian

    Examples
    --------
    >>> import fastlec
    >>> (fastlec.filters.unsharp() * 256)[2]  # 256 (2 - the blur) in the middle
    array([ -6., -24., 476., -24.,  -6.])
    """
    blur = gaussian(size, sigma)
    if len(blur) % 2 == 0:
        raise ValueError(f"size is {size}; expected an odd number")
    amount = _check.non_negative(amount, "amount")
    blur *= -amount
    blur[len(blur) // 2, len(blur) // 2] += 1 + amount
    return blur


KERNELS: dict[str, Callable[..., NDArray[np.float64]]] = {
    f.__name__: f for f in (identity, ridge, edge, sharpen, box, gaussian, sobel_x, sobel_y, emboss, unsharp)
}
