"""fastlec.reference for images (section 5): convolution, pooling, batch normalization and filters in plain NumPy, float64, from
the formulas. All of it is found in `fastlec.reference`.

x is (n, c, h, w), W (k, c / groups, r, s), b (k,), y (n, k, oh, ow). stride, padding, dilation and groups are those of
`fastlec.conv2d`; every function here loops over the r s taps (i, j) of a window and leaves the rest to NumPy.
"""

import numpy as np

from . import _check
from ._geometry import geometry, window_geometry


def float64(**arrays):
    """All of them, by the names of the arguments, as float64 arrays."""
    arrays = {name: _check.as_array(a, name) for name, a in arrays.items()}
    for name, a in arrays.items():
        _check.float_dtype(a.dtype, name)
    return [np.asarray(a, dtype=np.float64) for a in arrays.values()]


# --- convolution (section 5.1) ---------------------------------------------------------------------------------------


def conv2d(x, W, b=None, stride=1, padding=0, dilation=1, groups=1):
    """y[n,k,a,b] = b[k] + sum_cij W[k,c,i,j] x[n,c, sh a + dh i - top, sw b + dw j - left], c over the channels of k's group.

    The cross-correlation of deep learning: the kernel is not turned around. Outside the image x is 0.
    """
    x, W = float64(x=x, W=W)
    g = geometry(x.shape, W.shape, stride, padding, dilation, groups)
    weights = _by_taps(W, g)
    y = np.zeros((g.n, g.groups, g.k // g.groups, g.oh * g.ow))
    for i, j, pixels in _taps(_padded(x, g), g):
        y += weights[i, j] @ pixels.reshape(g.n, g.groups, g.c // g.groups, g.oh * g.ow)
    return y.reshape(g.y_shape) + (0.0 if b is None else np.reshape(b, (-1, 1, 1)))


def conv2d_jac_mv(x, W, dx=None, dW=None, db=None, **options):
    """conv(dx, W) + conv(x, dW) + db of those that are given: y is linear in x and in (W, b). Options as conv2d's."""
    x, W = float64(x=x, W=W)
    dy = np.zeros(geometry(x.shape, W.shape, **options).y_shape)
    if dx is not None:
        dy += conv2d(dx, W, **options)
    if dW is not None:
        dy += conv2d(x, dW, **options)
    return dy if db is None else dy + np.reshape(db, (-1, 1, 1))


def conv2d_jac_tmv(v, x, W, stride=1, padding=0, dilation=1, groups=1):
    """{"x", "W", "b"}: each tap takes v back to where it read x, and multiplies v with what it read there for W; b: sums of v.

    x[n,c,..] gets sum_kij W[k,c,i,j] v[n,k,a,b] at (sh a + dh i - top, sw b + dw j - left); W[k,c,i,j] the sum of x there times v.
    """
    v, x, W = float64(v=v, x=x, W=W)
    g = geometry(x.shape, W.shape, stride, padding, dilation, groups)
    weights = _by_taps(W, g)
    v = v.reshape(g.n, g.groups, g.k // g.groups, g.oh * g.ow)
    padded, back, dW = _padded(x, g), np.zeros(_padded_shape(g)), np.zeros(weights.shape)
    for i, j, pixels in _taps(back, g):
        pixels += (weights[i, j].mT @ v).reshape(pixels.shape)
    for i, j, pixels in _taps(padded, g):
        dW[i, j] = (v @ pixels.reshape(g.n, g.groups, g.c // g.groups, g.oh * g.ow).mT).sum(axis=0)
    return {
        "x": _inside(back, g).copy(),
        "W": np.moveaxis(dW, (0, 1), (3, 4)).reshape(W.shape),
        "b": v.sum(axis=(0, 3)).ravel(),
    }


def conv2d_matrix(W, shape, stride=1, padding=0, dilation=1, groups=1):
    """The convolution of images x of this shape as the sparse matrix that it is: M with M vec(x) = vec(conv2d(x, W)).

    scipy.sparse.csr_array, (y.size, x.size), x and y raveled in C order. Row (n, k, a, b) holds W[k], each weight in the column
    of the pixel that it meets, so at most c r s / groups entries; those that meet the padding are left out.
    """
    from scipy.sparse import coo_array, csr_array

    (W,) = float64(W=W)
    g = geometry(shape, W.shape, stride, padding, dilation, groups)
    size = int(np.prod(g.y_shape)), int(np.prod(g.x_shape))
    per_group = g.c // g.groups
    rows = np.arange(size[0]).reshape(g.y_shape)[:, :, None]
    # the number of each pixel in x, -1 in the padding; then the channels that filter k reads
    number = _padded(np.arange(size[1]).reshape(g.x_shape), g, -1)
    channels = np.arange(g.k)[:, None] // (g.k // g.groups) * per_group + np.arange(per_group)
    entries = []
    for i, j, pixels in _taps(number, g):
        columns = pixels[:, channels]
        entries.append(np.broadcast_arrays(W[:, :, i, j, None, None], rows, columns))
    values, rows, columns = (np.concatenate([e.ravel() for e in part]) for part in zip(*entries, strict=True))
    kept = columns >= 0
    return csr_array(coo_array((values[kept], (rows[kept], columns[kept])), shape=size))


def conv2d_jacobian(x, W, variable, **options):
    """The Jacobian of conv2d by "x" (conv2d_matrix), "W" or "b" as a scipy.sparse.csr_array, (y.size, variable's size).

    By W: filter k of image n sees the windows of its group, im2col(x)', so it is I kron that, image below image; by b: I kron 1.
    """
    from scipy.sparse import block_diag, csr_array, eye_array, kron, vstack

    x, W = float64(x=x, W=W)
    if variable == "x":
        return conv2d_matrix(W, x.shape, **options)
    g = geometry(x.shape, W.shape, **options)
    if variable == "b":
        images = [kron(eye_array(g.k), np.ones((g.oh * g.ow, 1)))] * g.n
    else:
        without_groups = {name: option for name, option in options.items() if name != "groups"}
        windows = im2col(x, (g.r, g.s), **without_groups).reshape(g.n, g.groups, W[0].size, g.oh * g.ow).mT
        filters = eye_array(g.k // g.groups)
        images = [block_diag([kron(filters, group) for group in image]) for image in windows]
    size = g.k if variable == "b" else W.size
    return csr_array(vstack(images)) if images else csr_array((0, size))


def im2col(x, kernel_size, stride=1, padding=0, dilation=1):
    """(n, c r s, oh ow): column (a, b) is the window of y[.., a, b], row (c, i, j) its tap: conv2d is vec(W)' im2col(x)."""
    (x,) = float64(x=x)
    g = window_geometry(x.shape, kernel_size, stride, padding, dilation)
    columns = np.empty((g.n, g.c, g.r, g.s, g.oh, g.ow))
    for i, j, pixels in _taps(_padded(x, g), g):
        columns[:, :, i, j] = pixels
    return columns.reshape(g.columns_shape)


def col2im(columns, shape, kernel_size, stride=1, padding=0, dilation=1):
    """The transpose of im2col, (n, c, h, w) = shape: every pixel gets the sum of the places that it was copied to."""
    (columns,) = float64(columns=columns)
    g = window_geometry(shape, kernel_size, stride, padding, dilation)
    columns = columns.reshape(g.n, g.c, g.r, g.s, g.oh, g.ow)
    back = np.zeros(_padded_shape(g))
    for i, j, pixels in _taps(back, g):
        pixels += columns[:, :, i, j]
    return _inside(back, g).copy()


def _by_taps(W, g):
    """(r, s, groups, k / groups, c / groups): a matrix for each tap and group."""
    return np.ascontiguousarray(np.moveaxis(W.reshape(g.groups, g.k // g.groups, -1, g.r, g.s), (3, 4), (0, 1)))


def _padded_shape(g):
    return g.n, g.c, g.top + g.h + g.bottom, g.left + g.w + g.right


def _padded(x, g, fill=0.0):
    padded = np.full(_padded_shape(g), fill, np.result_type(x, fill))
    _inside(padded, g)[...] = x
    return padded


def _inside(padded, g):
    """The image in its padding: a view."""
    return padded[:, :, g.top : g.top + g.h, g.left : g.left + g.w]


def _taps(padded, g):
    """(i, j, pixels) for each tap: the view (n, c, oh, ow) of all pixels that it meets."""
    for i in range(g.r):
        for j in range(g.s):
            rows = slice(g.dh * i, g.dh * i + g.sh * (g.oh - 1) + 1, g.sh)
            yield i, j, padded[:, :, rows, g.dw * j : g.dw * j + g.sw * (g.ow - 1) + 1 : g.sw]


# --- pooling ---------------------------------------------------------------------------------------------------------
#
# By default windows lie side by side: stride None is kernel_size.


def _windows(shape, kernel_size, stride, padding):
    return window_geometry(shape, kernel_size, kernel_size if stride is None else stride, padding)


def avg_pool2d(x, kernel_size, stride=None, padding=0):
    """The mean of each window, zeros of the padding included: sum_ij x[n, c, sh a + i - top, sw b + j - left] / (r s)."""
    (x,) = float64(x=x)
    g = _windows(x.shape, kernel_size, stride, padding)
    return sum(pixels for _, _, pixels in _taps(_padded(x, g), g)) / (g.r * g.s)


def avg_pool2d_jac_mv(x, kernel_size, stride=None, padding=0, *, dx):
    """The means of dx: it is linear."""
    return avg_pool2d(dx, kernel_size, stride, padding)


def avg_pool2d_jac_tmv(v, x, kernel_size, stride=None, padding=0):
    """{"x"}: every pixel gets v / (r s) from each window that it is in."""
    (v,) = float64(v=v)
    g = _windows(np.shape(x), kernel_size, stride, padding)
    back = np.zeros(_padded_shape(g))
    for _, _, pixels in _taps(back, g):
        pixels += v / (g.r * g.s)
    return {"x": _inside(back, g).copy()}


def max_pool2d(x, kernel_size, stride=None, padding=0):
    """The largest of each window; NaN where there is one, -inf where all of it is padding."""
    return _largest(x, kernel_size, stride, padding)[1]


def max_pool2d_jac_mv(x, kernel_size, stride=None, padding=0, *, dx):
    """dx of the pixel that is the largest of its window: the first of several that are, the first NaN if there is one."""
    (dx,) = float64(dx=dx)
    g, y, at = _largest(x, kernel_size, stride, padding)
    dy = np.zeros_like(y)
    for i, j, pixels in _taps(_padded(dx, g), g):
        np.copyto(dy, pixels, where=at == i * g.s + j)
    return dy


def max_pool2d_jac_tmv(v, x, kernel_size, stride=None, padding=0):
    """{"x"}: v goes to the pixel that max_pool2d_jac_mv reads."""
    (v,) = float64(v=v)
    g, _, at = _largest(x, kernel_size, stride, padding)
    back = np.zeros(_padded_shape(g))
    for i, j, pixels in _taps(back, g):
        pixels += np.where(at == i * g.s + j, v, 0.0)
    return {"x": _inside(back, g).copy()}


def _largest(x, kernel_size, stride, padding):
    """(geometry, the largest, which tap it is: i s + j, or -1 where a window is all padding)."""
    (x,) = float64(x=x)
    g = _windows(x.shape, kernel_size, stride, padding)
    largest, at = np.full(g.y_shape, -np.inf), np.full(g.y_shape, -1)
    inside = _padded(np.ones(x.shape, bool), g, False)
    for (i, j, pixels), (_, _, real) in zip(_taps(_padded(x, g), g), _taps(inside, g), strict=True):
        better = (at < 0) | (pixels > largest) | (np.isnan(pixels) & ~np.isnan(largest))
        np.copyto(largest, pixels, where=real & better)
        np.copyto(at, i * g.s + j, where=real & better)
    return g, largest, at


# --- batch normalization (Ioffe and Szegedy 2015) --------------------------------------------------------------------
#
# mean and var, (c,), are given; or None, and then they are those of the batch itself, and depend on x.


def batch_statistics(x):
    """(mean, var), (c,) each: of every channel over images and pixels, the variance divided by their number n h w."""
    (x,) = float64(x=x)
    return x.mean(axis=(0, 2, 3)), x.var(axis=(0, 2, 3))


def batch_norm2d(x, gamma, beta, mean=None, var=None, eps=1e-5):
    """gamma z + beta, where z = (x - mean) / sqrt(var + eps), for every channel."""
    z, _ = _normalized(x, mean, var, eps)
    return _channels(gamma) * z + _channels(beta)


def batch_norm2d_jac_mv(x, gamma, beta, mean=None, var=None, eps=1e-5, dx=None, dgamma=None, dbeta=None):
    """gamma dz + z dgamma + dbeta of those that are given.

    dz = dx / s, s = sqrt(var + eps); with statistics of the batch dz = (dx - mean(dx) - z mean(z dx)) / s, because there
    s ds = mean((x - mean) dx).
    """
    z, s = _normalized(x, mean, var, eps)
    dy = np.zeros(z.shape)
    if dx is not None:
        dy += _channels(gamma) * _through(*float64(dx=dx), z, s, mean)
    if dgamma is not None:
        dy += z * _channels(dgamma)
    return dy if dbeta is None else dy + _channels(dbeta)


def batch_norm2d_jac_tmv(v, x, gamma, beta, mean=None, var=None, eps=1e-5):
    """{"x", "gamma", "beta"}: the map from dx to dz is symmetric, so it takes gamma v to x; sums of z v and of v for the others."""
    (v,) = float64(v=v)
    z, s = _normalized(x, mean, var, eps)
    dx = _through(_channels(gamma) * v, z, s, mean)
    return {"x": dx, "gamma": (z * v).sum(axis=(0, 2, 3)), "beta": v.sum(axis=(0, 2, 3))}


def _channels(a):
    return np.reshape(a, (-1, 1, 1)).astype(np.float64)


def _normalized(x, mean, var, eps):
    (x,) = float64(x=x)
    if mean is None:
        mean, var = batch_statistics(x)
    s = np.sqrt(_channels(var) + eps)
    return (x - _channels(mean)) / s, s


def _through(d, z, s, mean):
    """dz along d."""
    if mean is not None:
        return d / s
    return (d - _mean(d) - z * _mean(z * d)) / s


def _mean(a):
    return a.mean(axis=(0, 2, 3), keepdims=True)


# --- image filtering (section 5.1) -----------------------------------------------------------------------------------


def filter2d(image, kernel, mode="reflect", cval=0.0):
    """sum_ij kernel[i, j] image[a + i - r // 2, b + j - s // 2]: correlation, as scipy.ndimage.correlate, of kernel's shape (r, s).

    image is (h, w) or (h, w, channels), each channel by itself. What lies outside, by mode, for a row a b c d:
        reflect  d c b a | a b c d | d c b a      mirror  d c b | a b c d | c b a      nearest  a a a | a b c d | d d d
        wrap     a b c d | a b c d | a b c d      constant: cval
    """
    image, kernel = float64(image=image, kernel=kernel)
    r, s = kernel.shape
    h, w = image.shape[:2]
    y = np.zeros(image.shape)
    for i in range(r):
        for j in range(s):
            rows, columns = np.arange(h) + i - r // 2, np.arange(w) + j - s // 2
            pixels = image[np.ix_(_border(rows, h, mode), _border(columns, w, mode))]
            if mode == "constant":
                inside = np.outer((rows >= 0) & (rows < h), (columns >= 0) & (columns < w))
                pixels = np.where(inside.reshape(inside.shape + (1,) * (image.ndim - 2)), pixels, cval)
            y += kernel[i, j] * pixels
    return y


def _border(at, n, mode):
    """The index in [0, n) that stands for each of `at`."""
    if mode == "wrap":
        return at % n
    if mode == "reflect":
        at = at % (2 * n)
        return np.minimum(at, 2 * n - 1 - at)
    if mode == "mirror":
        at = at % max(2 * n - 2, 1)
        return np.minimum(at, 2 * n - 2 - at)
    return np.clip(at, 0, n - 1)
