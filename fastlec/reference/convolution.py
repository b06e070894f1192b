"""Convolution, its derivatives and its matrices (chapter 5).

x is (n, c, h, w), W (k, c / groups, r, s), b (k,), y (n, k, oh, ow). stride, padding, dilation and groups are those
of `fastlec.conv2d`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from .._geometry import geometry, transposed_geometry, window_geometry
from .arrays import Float64Array, float64
from .windows import Padding, Pair, interior, pad, padded_shape, taps

if TYPE_CHECKING:
    from scipy.sparse import csr_array


def conv2d(
    x: ArrayLike,
    W: ArrayLike,
    b: ArrayLike | None = None,
    stride: Pair = 1,
    padding: Padding = 0,
    dilation: Pair = 1,
    groups: int = 1,
) -> Float64Array:
    """The convolution of deep learning, a cross-correlation: the kernel is not turned around.

    y[n,k,a,b] = b[k] + sum_cij W[k,c,i,j] x[n,c, sh a + dh i - top, sw b + dw j - left], c over the channels of k's group; 0
    outside the image.

    Parameters
    ----------
    x : array_like, shape (n, c, h, w)
        Images.
    W : array_like, shape (k, c / groups, r, s)
        Kernels.
    b : array_like, shape (k,), optional
        Bias.
    stride : int or tuple of two int
        From pixel to pixel of y.
    padding : int, str or pairs of int
        Zeros around x, as `fastlec.conv2d` takes them.
    dilation : int or tuple of two int
        From tap to tap.
    groups : int
        Parts of the channels that do not see each other.

    Returns
    -------
    ndarray, shape (n, k, oh, ow)
        The output y, float64.

    See Also
    --------
    fastlec.conv2d, conv2d_jac_mv, conv2d_jac_tmv

    Examples
    --------
    >>> fastlec.reference.conv2d([[[[1.0, 2.0, 4.0]]]], [[[[1.0, -1.0]]]])
    array([[[[-1., -2.]]]])
    """
    x, W = float64(x=x, W=W)
    return _convolved(x, W, geometry(x.shape, W.shape, stride, padding, dilation, groups)) + _bias(b)


def conv2d_jac_mv(
    x: ArrayLike,
    W: ArrayLike,
    dx: ArrayLike | None = None,
    dW: ArrayLike | None = None,
    db: ArrayLike | None = None,
    **options: Any,
) -> Float64Array:
    """JacMV of a convolution, conv(dx, W) + conv(x, dW) + db: y is linear in x and in (W, b).

    Parameters
    ----------
    x : array_like, shape (n, c, h, w)
        Images.
    W : array_like, shape (k, c / groups, r, s)
        Kernels.
    dx, dW, db : array_like, optional
        Directions, each of the shape of its variable; None for 0.
    **options : int, str or tuple
        Those of `conv2d`: stride, padding, dilation, groups.

    Returns
    -------
    ndarray, shape of y
        The Jacobian times the directions: how y changes to first order.

    See Also
    --------
    conv2d, conv2d_jac_tmv, fastlec.conv2d_jac_mv

    Examples
    --------
    >>> fastlec.reference.conv2d_jac_mv([[[[1.0, 2.0, 4.0]]]], [[[[1.0, -1.0]]]], dW=[[[[1.0, 0.0]]]])
    array([[[[1., 2.]]]])
    """
    x, W = float64(x=x, W=W)
    dy = np.zeros(geometry(x.shape, W.shape, **options).y_shape)
    if dx is not None:
        dy += conv2d(dx, W, **options)
    if dW is not None:
        dy += conv2d(x, dW, **options)
    return dy + _bias(db)


def conv2d_jac_tmv(
    v: ArrayLike, x: ArrayLike, W: ArrayLike, stride: Pair = 1, padding: Padding = 0, dilation: Pair = 1, groups: int = 1
) -> dict[str, Float64Array]:
    """JacTMV of a convolution.

    For x, each tap takes v back to where it read x: x[n,c,..] gets sum_kij W[k,c,i,j] v[n,k,a,b] at (sh a + dh i - top,
    sw b + dw j - left). W[k,c,i,j] gets the sum of x there times v, b the sums of v.

    Parameters
    ----------
    v : array_like, shape of y
        What the transposed Jacobian is multiplied with.
    x : array_like, shape (n, c, h, w)
        Images.
    W : array_like, shape (k, c / groups, r, s)
        Kernels.
    stride : int or tuple of two int
        From pixel to pixel of y.
    padding : int, str or pairs of int
        Zeros around x, as `fastlec.conv2d` takes them.
    dilation : int or tuple of two int
        From tap to tap.
    groups : int
        Parts of the channels that do not see each other.

    Returns
    -------
    dict of str to ndarray
        For each variable its name, and J' v in its shape.

    See Also
    --------
    conv2d, conv2d_jac_mv, fastlec.conv2d_jac_tmv

    Examples
    --------
    >>> fastlec.reference.conv2d_jac_tmv([[[[1.0, 2.0]]]], [[[[1.0, 2.0, 4.0]]]], [[[[1.0, -1.0]]]])["x"]
    array([[[[ 1.,  1., -2.]]]])
    """
    v, x, W = float64(v=v, x=x, W=W)
    g = geometry(x.shape, W.shape, stride, padding, dilation, groups)
    return {"x": _taken_back(v, W, g), "W": _met(v, x, g), "b": v.sum(axis=(0, 2, 3))}


def conv_transpose2d(
    x: ArrayLike,
    W: ArrayLike,
    b: ArrayLike | None = None,
    stride: Pair = 1,
    padding: Padding = 0,
    output_padding: Pair = 0,
    dilation: Pair = 1,
    groups: int = 1,
) -> Float64Array:
    """The transpose of conv2d by its x.

    y[n,c, sh a + dh i - top, sw b + dw j - left] is the sum of W[k,c,i,j] x[n,k,a,b] and b[c], and
    h = (oh - 1) sh + dh (r - 1) + 1 - paddings + output_padding: `conv2d` with this W takes y to the shape of x.

    Parameters
    ----------
    x : array_like, shape (n, k, oh, ow)
        Images.
    W : array_like, shape (k, c / groups, r, s)
        Kernels.
    b : array_like, shape (c,), optional
        Bias.
    stride : int or tuple of two int
        From pixel to pixel of y.
    padding : int, str or pairs of int
        Zeros around x, as `fastlec.conv2d` takes them.
    output_padding : int or tuple of two int
        Rows and columns that y has more, of those that several strides lead to.
    dilation : int or tuple of two int
        From tap to tap.
    groups : int
        Parts of the channels that do not see each other.

    Returns
    -------
    ndarray, shape (n, c, h, w)
        The output y, float64.

    See Also
    --------
    fastlec.ConvTranspose2d, conv2d_jac_tmv

    Examples
    --------
    >>> fastlec.reference.conv_transpose2d([[[[1.0, 2.0]]]], [[[[1.0, 10.0, 100.0]]]], stride=2)
    array([[[[  1.,  10., 102.,  20., 200.]]]])
    """
    x, W = float64(x=x, W=W)
    g = transposed_geometry(x.shape, W.shape, stride, padding, output_padding, dilation, groups)
    return _taken_back(x, W, g) + _bias(b)


def conv_transpose2d_jac_mv(
    x: ArrayLike,
    W: ArrayLike,
    dx: ArrayLike | None = None,
    dW: ArrayLike | None = None,
    db: ArrayLike | None = None,
    **options: Any,
) -> Float64Array:
    """JacMV of a transposed convolution: of dx and W, of x and dW, and db.

    Parameters
    ----------
    x : array_like, shape (n, k, oh, ow)
        Images.
    W : array_like, shape (k, c / groups, r, s)
        Kernels.
    dx, dW, db : array_like, optional
        Directions, each of the shape of its variable; None for 0.
    **options : int, str or tuple
        Those of `conv_transpose2d`: stride, padding, output_padding, dilation, groups.

    Returns
    -------
    ndarray, shape of y
        The Jacobian times the directions: how y changes to first order.

    See Also
    --------
    conv_transpose2d, conv_transpose2d_jac_tmv

    Examples
    --------
    >>> fastlec.reference.conv_transpose2d_jac_mv([[[[1.0, 2.0]]]], [[[[1.0, 10.0]]]], dx=[[[[1.0, 0.0]]]])
    array([[[[ 1., 10.,  0.]]]])
    """
    x, W = float64(x=x, W=W)
    dy = np.zeros(transposed_geometry(x.shape, W.shape, **options).x_shape)
    if dx is not None:
        dy += conv_transpose2d(dx, W, **options)
    if dW is not None:
        dy += conv_transpose2d(x, dW, **options)
    return dy + _bias(db)


def conv_transpose2d_jac_tmv(
    v: ArrayLike,
    x: ArrayLike,
    W: ArrayLike,
    stride: Pair = 1,
    padding: Padding = 0,
    output_padding: Pair = 0,
    dilation: Pair = 1,
    groups: int = 1,
) -> dict[str, Float64Array]:
    """JacTMV of a transposed convolution.

    It is `conv2d` of v for x; for W it is that of `conv2d`, whose x is v here and whose v is x; for b the sums of v.

    Parameters
    ----------
    v : array_like, shape of y
        What the transposed Jacobian is multiplied with.
    x : array_like, shape (n, k, oh, ow)
        Images.
    W : array_like, shape (k, c / groups, r, s)
        Kernels.
    stride : int or tuple of two int
        From pixel to pixel of y.
    padding : int, str or pairs of int
        Zeros around x, as `fastlec.conv2d` takes them.
    output_padding : int or tuple of two int
        Rows and columns that y has more, of those that several strides lead to.
    dilation : int or tuple of two int
        From tap to tap.
    groups : int
        Parts of the channels that do not see each other.

    Returns
    -------
    dict of str to ndarray
        For each variable its name, and J' v in its shape.

    See Also
    --------
    conv_transpose2d, conv_transpose2d_jac_mv

    Examples
    --------
    >>> fastlec.reference.conv_transpose2d_jac_tmv([[[[1.0, 1.0, 1.0]]]], [[[[1.0, 2.0]]]], [[[[1.0, 10.0]]]])["x"]
    array([[[[11., 11.]]]])
    """
    v, x, W = float64(v=v, x=x, W=W)
    g = transposed_geometry(x.shape, W.shape, stride, padding, output_padding, dilation, groups)
    return {"x": _convolved(v, W, g), "W": _met(x, v, g), "b": v.sum(axis=(0, 2, 3))}


def conv1d(
    x: ArrayLike,
    W: ArrayLike,
    b: ArrayLike | None = None,
    stride: int = 1,
    padding: int | tuple[int, int] | Literal["same", "valid"] = 0,
    dilation: int = 1,
    groups: int = 1,
) -> Float64Array:
    """The convolution of signals: `conv2d` of images of one row.

    y[n,k,a] = b[k] + sum_cj W[k,c,j] x[n,c, stride a + dilation j - left].

    Parameters
    ----------
    x : array_like, shape (n, c, length)
        Signals.
    W : array_like, shape (k, c / groups, s)
        Kernels.
    b : array_like, shape (k,), optional
        Bias.
    stride : int
        From place to place of y.
    padding : int, (left, right), "same" or "valid"
        Zeros around x.
    dilation : int
        From tap to tap.
    groups : int
        Parts of the channels that do not see each other.

    Returns
    -------
    ndarray, shape (n, k, ol)
        The output y, float64.

    See Also
    --------
    fastlec.Conv1d, conv1d_jac_mv, conv1d_jac_tmv

    Examples
    --------
    >>> fastlec.reference.conv1d([[[1.0, 2.0, 4.0]]], [[[1.0, -1.0]]])
    array([[[-1., -2.]]])
    """
    options = _one_row(stride, padding, dilation, groups)
    return conv2d(np.expand_dims(x, 2), np.expand_dims(W, 2), b, **options)[:, :, 0]


def conv1d_jac_mv(
    x: ArrayLike,
    W: ArrayLike,
    dx: ArrayLike | None = None,
    dW: ArrayLike | None = None,
    db: ArrayLike | None = None,
    stride: int = 1,
    padding: int | tuple[int, int] | Literal["same", "valid"] = 0,
    dilation: int = 1,
    groups: int = 1,
) -> Float64Array:
    """JacMV of a convolution of signals, conv1d(dx, W) + conv1d(x, dW) + db.

    Parameters
    ----------
    x : array_like, shape (n, c, length)
        Signals.
    W : array_like, shape (k, c / groups, s)
        Kernels.
    dx, dW, db : array_like, optional
        Directions, each of the shape of its variable; None for 0.
    stride : int
        From place to place of y.
    padding : int, (left, right), "same" or "valid"
        Zeros around x.
    dilation : int
        From tap to tap.
    groups : int
        Parts of the channels that do not see each other.

    Returns
    -------
    ndarray, shape of y
        The Jacobian times the directions: how y changes to first order.

    See Also
    --------
    conv1d, conv1d_jac_tmv

    Examples
    --------
    >>> fastlec.reference.conv1d_jac_mv([[[1.0, 2.0, 4.0]]], [[[1.0, -1.0]]], db=[1.0])
    array([[[1., 1.]]])
    """
    x, W, dx, dW = (None if a is None else np.expand_dims(a, 2) for a in (x, W, dx, dW))
    return conv2d_jac_mv(x, W, dx, dW, db, **_one_row(stride, padding, dilation, groups))[:, :, 0]


def conv1d_jac_tmv(
    v: ArrayLike,
    x: ArrayLike,
    W: ArrayLike,
    stride: int = 1,
    padding: int | tuple[int, int] | Literal["same", "valid"] = 0,
    dilation: int = 1,
    groups: int = 1,
) -> dict[str, Float64Array]:
    """JacTMV of a convolution of signals, as that of `conv2d`.

    Parameters
    ----------
    v : array_like, shape of y
        What the transposed Jacobian is multiplied with.
    x : array_like, shape (n, c, length)
        Signals.
    W : array_like, shape (k, c / groups, s)
        Kernels.
    stride : int
        From place to place of y.
    padding : int, (left, right), "same" or "valid"
        Zeros around x.
    dilation : int
        From tap to tap.
    groups : int
        Parts of the channels that do not see each other.

    Returns
    -------
    dict of str to ndarray
        For each variable its name, and J' v in its shape.

    See Also
    --------
    conv1d, conv1d_jac_mv

    Examples
    --------
    >>> fastlec.reference.conv1d_jac_tmv([[[1.0, 2.0]]], [[[1.0, 2.0, 4.0]]], [[[1.0, -1.0]]])["x"]
    array([[[ 1.,  1., -2.]]])
    """
    images = (np.expand_dims(a, 2) for a in (v, x, W))
    found = conv2d_jac_tmv(*images, **_one_row(stride, padding, dilation, groups))
    return {name: a if name == "b" else a[:, :, 0] for name, a in found.items()}


def conv2d_matrix(
    W: ArrayLike, shape: Sequence[int], stride: Pair = 1, padding: Padding = 0, dilation: Pair = 1, groups: int = 1
) -> csr_array:
    """The convolution of images of a shape as the sparse matrix M that it is: M vec(x) = vec(conv2d(x, W)).

    Row (n, k, a, b) holds W[k], each weight in the column of the pixel that it meets: at most c r s / groups entries. Those that
    meet the padding are left out. x and y are raveled in C order.

    Parameters
    ----------
    W : array_like, shape (k, c / groups, r, s)
        Kernels.
    shape : sequence of int
        (n, c, h, w), that of x.
    stride : int or tuple of two int
        From pixel to pixel of y.
    padding : int, str or pairs of int
        Zeros around x, as `fastlec.conv2d` takes them.
    dilation : int or tuple of two int
        From tap to tap.
    groups : int
        Parts of the channels that do not see each other.

    Returns
    -------
    scipy.sparse.csr_array, shape (y.size, x.size)
        The matrix.

    See Also
    --------
    conv2d, conv2d_jacobian

    Examples
    --------
    >>> fastlec.reference.conv2d_matrix([[[[1.0, -1.0]]]], (1, 1, 2, 3)).toarray().astype(int)
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


def conv2d_jacobian(x: ArrayLike, W: ArrayLike, variable: str, **options: Any) -> csr_array:
    """The Jacobian of conv2d by x, W or b as a sparse matrix.

    By x it is `conv2d_matrix`. By W, filter k of image n sees the windows of its group, im2col(x)': it is I kron that, image below
    image. By b it is I kron 1.

    Parameters
    ----------
    x : array_like, shape (n, c, h, w)
        Images.
    W : array_like, shape (k, c / groups, r, s)
        Kernels.
    variable : str
        "x", "W" or "b".
    **options : int, str or tuple
        Those of `conv2d`: stride, padding, dilation, groups.

    Returns
    -------
    scipy.sparse.csr_array, shape (y.size, size of the variable)
        The matrix; y and the variable are raveled in C order.

    See Also
    --------
    conv2d, conv2d_matrix, im2col

    Examples
    --------
    >>> fastlec.reference.conv2d_jacobian([[[[1.0, 2.0, 4.0]]]], [[[[1.0, -1.0]]]], "W").toarray()
    array([[1., 2.],
           [2., 4.]])
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


def im2col(x: ArrayLike, kernel_size: Pair, stride: Pair = 1, padding: Padding = 0, dilation: Pair = 1) -> Float64Array:
    """The windows of images as columns: conv2d is vec(W)' im2col(x).

    Column (a, b) is the window of y[.., a, b], row (c, i, j) its tap.

    Parameters
    ----------
    x : array_like, shape (n, c, h, w)
        Images.
    kernel_size : int or tuple of two int
        (r, s).
    stride : int or tuple of two int
        From pixel to pixel of y.
    padding : int, str or pairs of int
        Zeros around x, as `fastlec.conv2d` takes them.
    dilation : int or tuple of two int
        From tap to tap.

    Returns
    -------
    ndarray, shape (n, c r s, oh ow)
        The columns, float64.

    See Also
    --------
    fastlec.im2col, col2im

    Examples
    --------
    >>> fastlec.reference.im2col([[[[1.0, 2.0, 4.0]]]], (1, 2))
    array([[[1., 2.],
            [2., 4.]]])
    """
    (x,) = float64(x=x)
    g = window_geometry(x.shape, kernel_size, stride, padding, dilation)
    columns = np.empty((g.n, g.c, g.r, g.s, g.oh, g.ow))
    for i, j, pixels in taps(pad(x, g), g):
        columns[:, :, i, j] = pixels
    return columns.reshape(g.columns_shape)


def col2im(
    columns: ArrayLike, shape: Sequence[int], kernel_size: Pair, stride: Pair = 1, padding: Padding = 0, dilation: Pair = 1
) -> Float64Array:
    """The transpose of im2col: every pixel gets the sum of the places that it was copied to.

    Parameters
    ----------
    columns : array_like, shape (n, c r s, oh ow)
        Columns as of `im2col`.
    shape : sequence of int
        (n, c, h, w), that of the images.
    kernel_size : int or tuple of two int
        (r, s).
    stride : int or tuple of two int
        From pixel to pixel of y.
    padding : int, str or pairs of int
        Zeros around x, as `fastlec.conv2d` takes them.
    dilation : int or tuple of two int
        From tap to tap.

    Returns
    -------
    ndarray, shape (n, c, h, w)
        The images, float64.

    See Also
    --------
    fastlec.col2im, im2col

    Examples
    --------
    >>> fastlec.reference.col2im([[[1.0, 2.0], [2.0, 4.0]]], (1, 1, 1, 3), (1, 2))
    array([[[[1., 4., 4.]]]])
    """
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
