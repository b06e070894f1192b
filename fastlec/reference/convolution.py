"""Convolution, its derivatives and its matrices (chapter 5).

x is (n, c, h, w), W (k, c / groups, r, s), b (k,), y (n, k, oh, ow). stride, padding, dilation and groups are those
of `fastlec.conv2d`.
"""

import numpy as np

from .._geometry import geometry, transposed_geometry, window_geometry
from .arrays import float64
from .windows import interior, pad, padded_shape, taps


def conv2d(x, W, b=None, stride=1, padding=0, dilation=1, groups=1):
    """y[n,k,a,b] = b[k] + sum_cij W[k,c,i,j] x[n,c, sh a + dh i - top, sw b + dw j - left], c over the channels of k's group.

    The cross-correlation of deep learning: the kernel is not turned around. Outside the image x is 0.
    """
    x, W = float64(x=x, W=W)
    return _convolved(x, W, geometry(x.shape, W.shape, stride, padding, dilation, groups)) + _bias(b)


def conv2d_jac_mv(x, W, dx=None, dW=None, db=None, **options):
    """conv(dx, W) + conv(x, dW) + db of those that are given: y is linear in x and in (W, b). Options as conv2d's."""
    x, W = float64(x=x, W=W)
    dy = np.zeros(geometry(x.shape, W.shape, **options).y_shape)
    if dx is not None:
        dy += conv2d(dx, W, **options)
    if dW is not None:
        dy += conv2d(x, dW, **options)
    return dy + _bias(db)


def conv2d_jac_tmv(v, x, W, stride=1, padding=0, dilation=1, groups=1):
    """{"x", "W", "b"}: each tap takes v back to where it read x, and multiplies v with what it read there for W; b: sums of v.

    x[n,c,..] gets sum_kij W[k,c,i,j] v[n,k,a,b] at (sh a + dh i - top, sw b + dw j - left); W[k,c,i,j] the sum of x there times v.
    """
    v, x, W = float64(v=v, x=x, W=W)
    g = geometry(x.shape, W.shape, stride, padding, dilation, groups)
    return {"x": _taken_back(v, W, g), "W": _met(v, x, g), "b": v.sum(axis=(0, 2, 3))}


def conv_transpose2d(x, W, b=None, stride=1, padding=0, output_padding=0, dilation=1, groups=1):
    """The transpose of conv2d by its x: y[n,c, sh a + dh i - top, sw b + dw j - left] is the sum of W[k,c,i,j] x[n,k,a,b] and b[c].

    x (n, k, oh, ow), W (k, c / groups, r, s), b (c,), y (n, c, h, w), h = (oh - 1) sh + dh (r - 1) + 1 - paddings + output_padding:
    conv2d with this W takes y to the shape of x.

    >>> import numpy as np
    >>> from fastlec import reference
    >>> reference.conv_transpose2d(np.array([[[[1.0, 2.0]]]]), np.array([[[[1.0, 10.0, 100.0]]]]), stride=2)
    array([[[[  1.,  10., 102.,  20., 200.]]]])
    """
    x, W = float64(x=x, W=W)
    g = transposed_geometry(x.shape, W.shape, stride, padding, output_padding, dilation, groups)
    return _taken_back(x, W, g) + _bias(b)


def conv_transpose2d_jac_mv(x, W, dx=None, dW=None, db=None, **options):
    """That of dx and W, that of x and dW, and db, of those that are given. Options as conv_transpose2d's."""
    x, W = float64(x=x, W=W)
    dy = np.zeros(transposed_geometry(x.shape, W.shape, **options).x_shape)
    if dx is not None:
        dy += conv_transpose2d(dx, W, **options)
    if dW is not None:
        dy += conv_transpose2d(x, dW, **options)
    return dy + _bias(db)


def conv_transpose2d_jac_tmv(v, x, W, stride=1, padding=0, output_padding=0, dilation=1, groups=1):
    """{"x", "W", "b"}: conv2d of v for x; for W as of conv2d, whose x is v here, and whose v is x; b: sums of v."""
    v, x, W = float64(v=v, x=x, W=W)
    g = transposed_geometry(x.shape, W.shape, stride, padding, output_padding, dilation, groups)
    return {"x": _convolved(v, W, g), "W": _met(x, v, g), "b": v.sum(axis=(0, 2, 3))}


def conv1d(x, W, b=None, stride=1, padding=0, dilation=1, groups=1):
    """y[n,k,a] = b[k] + sum_cj W[k,c,j] x[n,c, stride a + dilation j - left]: conv2d of images of one row.

    x (n, c, length), W (k, c / groups, s). padding : int, (left, right), "same" or "valid". stride, dilation : int.
    """
    options = _one_row(stride, padding, dilation, groups)
    return conv2d(np.expand_dims(x, 2), np.expand_dims(W, 2), b, **options)[:, :, 0]


def conv1d_jac_mv(x, W, dx=None, dW=None, db=None, stride=1, padding=0, dilation=1, groups=1):
    """conv1d(dx, W) + conv1d(x, dW) + db of those that are given."""
    x, W, dx, dW = (None if a is None else np.expand_dims(a, 2) for a in (x, W, dx, dW))
    return conv2d_jac_mv(x, W, dx, dW, db, **_one_row(stride, padding, dilation, groups))[:, :, 0]


def conv1d_jac_tmv(v, x, W, stride=1, padding=0, dilation=1, groups=1):
    """{"x", "W", "b"}, as of conv2d."""
    images = (np.expand_dims(a, 2) for a in (v, x, W))
    found = conv2d_jac_tmv(*images, **_one_row(stride, padding, dilation, groups))
    return {name: a if name == "b" else a[:, :, 0] for name, a in found.items()}


def conv2d_matrix(W, shape, stride=1, padding=0, dilation=1, groups=1):
    """The convolution of images x of this shape as the sparse matrix that it is: M with M vec(x) = vec(conv2d(x, W)).

    scipy.sparse.csr_array, (y.size, x.size), x and y raveled in C order. Row (n, k, a, b) holds W[k], each weight in the column
    of the pixel that it meets, so at most c r s / groups entries; those that meet the padding are left out.

    >>> import numpy as np
    >>> from fastlec import reference
    >>> reference.conv2d_matrix(np.array([[[[1.0, -1.0]]]]), (1, 1, 2, 3)).toarray().astype(int)
    array([[ 1, -1,  0,  0,  0,  0],
           [ 0,  1, -1,  0,  0,  0],
           [ 0,  0,  0,  1, -1,  0],
           [ 0,  0,  0,  0,  1, -1]])
    """
    from scipy.sparse import coo_array, csr_array

    (W,) = float64(W=W)
    g = geometry(shape, W.shape, stride, padding, dilation, groups)
    size = int(np.prod(g.y_shape)), int(np.prod(g.x_shape))
    per_group = g.c // g.groups
    rows = np.arange(size[0]).reshape(g.y_shape)[:, :, None]
    # the number of each pixel in x, -1 in the padding; then the channels that filter k reads
    number = pad(np.arange(size[1]).reshape(g.x_shape), g, -1)
    channels = np.arange(g.k)[:, None] // (g.k // g.groups) * per_group + np.arange(per_group)
    entries = []
    for i, j, pixels in taps(number, g):
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
    for i, j, pixels in taps(pad(x, g), g):
        columns[:, :, i, j] = pixels
    return columns.reshape(g.columns_shape)


def col2im(columns, shape, kernel_size, stride=1, padding=0, dilation=1):
    """The transpose of im2col, (n, c, h, w) = shape: every pixel gets the sum of the places that it was copied to."""
    (columns,) = float64(columns=columns)
    g = window_geometry(shape, kernel_size, stride, padding, dilation)
    columns = columns.reshape(g.n, g.c, g.r, g.s, g.oh, g.ow)
    back = np.zeros(padded_shape(g))
    for i, j, pixels in taps(back, g):
        pixels += columns[:, :, i, j]
    return interior(back, g).copy()


def _by_taps(W, g):
    """(r, s, groups, k / groups, c / groups): a matrix for each tap and group."""
    return np.ascontiguousarray(np.moveaxis(W.reshape(g.groups, g.k // g.groups, -1, g.r, g.s), (3, 4), (0, 1)))


def _bias(b):
    return 0.0 if b is None else np.reshape(b, (-1, 1, 1))


def _convolved(x, W, g):
    """The sum over the taps: what W makes of the pixels that a tap meets."""
    weights = _by_taps(W, g)
    y = np.zeros((g.n, g.groups, g.k // g.groups, g.oh * g.ow))
    for i, j, pixels in taps(pad(x, g), g):
        y += weights[i, j] @ pixels.reshape(g.n, g.groups, g.c // g.groups, g.oh * g.ow)
    return y.reshape(g.y_shape)


def _taken_back(v, W, g):
    """Its transpose by x."""
    weights, back = _by_taps(W, g), np.zeros(padded_shape(g))
    v = v.reshape(g.n, g.groups, g.k // g.groups, g.oh * g.ow)
    for i, j, pixels in taps(back, g):
        pixels += (weights[i, j].mT @ v).reshape(pixels.shape)
    return interior(back, g).copy()


def _met(v, x, g):
    """Its transpose by W: for each tap the products of v and what it meets of x."""
    dW = np.zeros((g.r, g.s, g.groups, g.k // g.groups, g.c // g.groups))
    v = v.reshape(g.n, g.groups, g.k // g.groups, g.oh * g.ow)
    for i, j, pixels in taps(pad(x, g), g):
        dW[i, j] = (v @ pixels.reshape(g.n, g.groups, g.c // g.groups, g.oh * g.ow).mT).sum(axis=0)
    return np.moveaxis(dW, (0, 1), (3, 4)).reshape(g.w_shape)


def _one_row(stride, padding, dilation, groups):
    """conv2d's options for images of one row."""
    sides = padding if isinstance(padding, str) else ((0, 0), padding if np.ndim(padding) else (padding, padding))
    return {"stride": (1, stride), "padding": sides, "dilation": (1, dilation), "groups": groups}
