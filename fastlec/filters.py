"""Image filtering (lecture 5.1): the convolution of an image with a small kernel, and the kernels of image processing by name.

The kernels are those of the pages that the lecture points to, https://en.wikipedia.org/wiki/Kernel_(image_processing) and, for
Sobel's, https://en.wikipedia.org/wiki/Sobel_operator: float64 arrays to use with `filter2d`, which turns a kernel by 180 degrees as
those pages do. `KERNELS` maps every name to its function.
"""

import sys

import numpy as np

from . import _check
from ._kernels import stencil
from ._kernels.plan import Plan, is_plain
from .convolution import conv2d_jac_tmv

MODES = ("constant", "reflect", "nearest", "wrap", "mirror")  # in the order of the kernel's codes
_PAD = {"reflect": "symmetric", "nearest": "edge", "wrap": "wrap", "mirror": "reflect"}  # the same in numpy.pad
MOST_AMOUNT = 2.0**1020  # of sharpening: the kernel is finite
_OUT_DTYPES = tuple(np.dtype(f"{sign}int{bits}") for sign in ("u", "") for bits in (8, 16, 32))


def filter2d(image, kernel, *, mode="reflect", cval=0.0, origin=0, out=None):
    """The convolution of an image with a kernel (lecture 5.1), of the image's size: scipy.ndimage.convolve with its origin.

    y[a, b] = sum_ij kernel[i, j] image[a + R//2 + origin[0] - i, b + S//2 + origin[1] - j], for each channel by itself.
    The layers and `conv2d` do not turn the kernel, nor do scipy.ndimage.correlate and OpenCV's filter2D, as which there is
    `correlate2d`: filter2d(image, kernel[::-1, ::-1], origin=(R % 2 - 1, S % 2 - 1)), origin 0 along odd sides, -1 along even ones.

    image : (H, W) gray or (H, W, C) colour. kernel : (R, S), neither 0, of any size, even or odd, also larger than the image.
    origin : int or (down, across): how far the kernel is moved, from -(R//2) to (R-1)//2, and likewise for S; above 0 the result
    moves up and to the left.
    mode : what lies beyond the image, as in scipy.ndimage: "reflect" (d c b a | a b c d | d c b a), "mirror" (d c b | a b c d |
    c b a), "nearest" (a a a a | a b c d | d d d d), "wrap" (a b c d | a b c d | a b c d), "constant" (cval everywhere).
    out : None for a new array, or an array of image's shape; it may be image itself. Of the result's dtype, or of 8, 16 or 32 bit
    integers: then the result is rounded to the nearest (half to even) and clipped to what they hold.

    Returns the filtered image, of image's shape. The image alone decides the dtype: float32 for float32 and float16, float64 for
    float64, integers and bool, unlike scipy.ndimage, which cuts the result of bytes off to bytes; out=np.empty_like(image) gives
    bytes, rounded. Each element is within about R S eps sum_ij |kernel[i, j] image[...]| of the exact sum, also where a kernel of
    rank one, u v', is applied as u and v one after the other. NaN and infinity reach only where kernel is not 0.

    ValueError for shapes, an unknown mode, an origin beyond the kernel, and NaN on its way into integers; TypeError for dtypes.

    >>> image = [[0, 0, 1, 0, 0]]
    >>> fastlec.filter2d(image, [[1, 2]])
    array([[0., 1., 2., 0., 0.]])
    >>> fastlec.filter2d(image, [[1, 2]], origin=(0, -1))
    array([[0., 0., 1., 2., 0.]])
    """
    image = _check.as_array(image, "image")
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


def correlate2d(image, kernel, *, mode="reflect", cval=0.0, origin=0, out=None):
    """The correlation of an image with a kernel, which is not turned, even or odd: scipy.ndimage.correlate, OpenCV's filter2D.

    y[a, b] = sum_ij kernel[i, j] image[a + i - R//2 - origin[0], b + j - S//2 - origin[1]], for each channel by itself. Arguments,
    result and errors are those of `filter2d`, whose modes "mirror" and "nearest" are OpenCV's BORDER_DEFAULT and BORDER_REPLICATE.

    >>> fastlec.filters.correlate2d([[0, 0, 1, 0, 0]], [[1, 2]])
    array([[0., 0., 2., 1., 0.]])
    """
    turned = _check_kernel(kernel)[::-1, ::-1]
    pair = zip(_origin(origin, turned.shape), turned.shape, strict=True)
    return filter2d(image, turned, mode=mode, cval=cval, origin=tuple(n % 2 - 1 - o for o, n in pair), out=out)


def filter2d_jac_tmv(v, image, kernel, *, mode="reflect", cval=0.0, wrt=("image", "kernel")):
    """JacTMV of filter2d: {"image": array of its shape, "kernel": (R, S)}, J' v for v of image's shape, by what wrt names.

    image, kernel, mode, cval : as of `filter2d`, whose origin is 0; image and kernel are of the dtype that the result has. With an
    image that is padded by its pixels as the mode says, J' is that of a convolution, and the sum over each pixel's places.

    >>> import numpy as np
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


def gradient_magnitude(image, *, mode="reflect", cval=0.0, out=None):
    """How steep the image is: the square root of the sum of squares of its filtering by `sobel_x` and by `sobel_y`.

    Arguments, result and errors as of `filter2d`: of image's shape, each channel by itself, never negative. With
    cval 0 it is scipy.ndimage.generic_gradient_magnitude(image, scipy.ndimage.sobel).

    >>> fastlec.filters.gradient_magnitude([[0, 3, 6], [4, 7, 10], [8, 11, 14]])[1, 1]
    40.0
    """
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


def identity():
    """(3, 3): the image as it is."""
    return np.array([[0.0, 0, 0], [0, 1, 0], [0, 0, 0]])


def ridge():
    """(3, 3): 4 times a pixel less its 4 neighbours, minus the discrete Laplacian; 0 where the image is flat."""
    return np.array([[0.0, -1, 0], [-1, 4, -1], [0, -1, 0]])


def edge():
    """(3, 3): 8 times a pixel less its 8 neighbours; 0 where the image is flat."""
    return np.array([[-1.0, -1, -1], [-1, 8, -1], [-1, -1, -1]])


def sharpen(amount=1.0):
    """(3, 3): the image and amount (a finite number >= 0) times its `ridge`."""
    amount = _check.non_negative(amount, "amount")
    if amount > MOST_AMOUNT:
        raise ValueError(f"amount is {amount}; expected at most {MOST_AMOUNT}")
    return identity() + amount * ridge()


def box(size=3):
    """(size, size): the mean over a square."""
    size = _side(size)
    return np.full((size, size), 1 / size**2)


def gaussian(size=None, sigma=None):
    """(size, size): a blur by the normal distribution, of sum 1.

    size : odd, or even, which shifts the image by half a pixel. sigma : the standard deviation in pixels, > 0.
    Without sigma: binomial coefficients, the page's kernels of size 3 (the default) and 5, of variance (size - 1) / 4.
    With sigma alone: the density at whole pixels to 4 sigma, as scipy.ndimage.gaussian_filter.
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


def sobel_x():
    """(3, 3): 8 times the derivative from left to right, smoothed from top to bottom; positive where it brightens to the right."""
    return np.outer([1.0, 2, 1], [1.0, 0, -1])


def sobel_y():
    """(3, 3): the same from top to bottom; positive where it brightens downwards."""
    return sobel_x().T


def emboss():
    """(3, 3): the image as a relief, lit from the upper left (GIMP's manual, "Convolution Matrix", which does not turn it)."""
    return np.array([[2.0, 1, 0], [1, 1, -1], [0, -1, -2]])


def unsharp(amount=1.0, size=5, sigma=None):
    """(size, size): the image and amount (a finite number >= 0) times what a blur, `gaussian` of size and sigma, takes from it.

    Defaults as on the page: 5 x 5, amount 1, no threshold. size : odd, or None with a sigma.
    """
    blur = gaussian(size, sigma)
    if len(blur) % 2 == 0:
        raise ValueError(f"size is {size}; expected an odd number")
    amount = _check.non_negative(amount, "amount")
    blur *= -amount
    blur[len(blur) // 2, len(blur) // 2] += 1 + amount
    return blur


KERNELS = {f.__name__: f for f in (identity, ridge, edge, sharpen, box, gaussian, sobel_x, sobel_y, emboss, unsharp)}
