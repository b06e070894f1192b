"""Convolution of images with exact derivatives, and the matrices that it is made of (lecture chapter 5).

Images are x (n, c, h, w), filters W (k, c / groups, r, s), results y (n, k, oh, ow):

    y[n, k, a, b] = b[k] + sum_{c, i, j} W[k, c, i, j] x[n, c, sh a + dh i - top, sw b + dw j - left]

with zeros outside the image: the cross-correlation of deep learning, which does not turn the kernel around. The output has

    oh = (h + top + bottom - dh (r - 1) - 1) // sh + 1

rows for the stride (sh, sw), the dilation (dh, dw) and the padding ((top, bottom), (left, right)); ow likewise. Dtypes, layouts and
`out` are as in `fastlec.functional`. n may be 0, the other lengths may not. A ValueError or TypeError names the argument that does
not fit.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, overload

import numpy as np

from . import _check
from ._geometry import MOST_ELEMENTS, geometry, window_geometry
from ._kernels import channel_sums
from ._kernels import conv2d as kernels
from ._kernels import im2col as columns_kernels
from ._kernels.calls import functions, key_of
from ._kernels.epilogue import Epilogue
from ._kernels.plan import Plan

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import ArrayLike, NDArray

    from ._typing import FloatArray, Out, Single

__all__ = [
    "col2im",
    "conv2d",
    "conv2d_jac_mv",
    "conv2d_jac_tmv",
    "get_conv_algorithm",
    "im2col",
    "set_conv_algorithm",
]


def __dir__() -> list[str]:
    return __all__


Pair: TypeAlias = int | tuple[int, int]
Padding: TypeAlias = Pair | tuple[tuple[int, int], tuple[int, int]] | Literal["valid", "same"]
Algorithm: TypeAlias = Literal["auto", "im2col", "direct", "winograd"]
Variable: TypeAlias = Literal["x", "W", "b"]

ALGORITHMS = {"auto": kernels.AUTO, "im2col": kernels.IM2COL, "direct": kernels.DIRECT, "winograd": kernels.WINOGRAD}


@overload
def conv2d(
    x: Single,
    W: Single,
    b: Single | None = None,
    *,
    stride: Pair = 1,
    padding: Padding = 0,
    dilation: Pair = 1,
    groups: int = 1,
    algorithm: Algorithm = "auto",
    out: Out[np.float32] = None,
) -> NDArray[np.float32]: ...
@overload
def conv2d(
    x: ArrayLike,
    W: ArrayLike,
    b: ArrayLike | None = None,
    *,
    stride: Pair = 1,
    padding: Padding = 0,
    dilation: Pair = 1,
    groups: int = 1,
    algorithm: Algorithm = "auto",
    out: Out[np.float64] = None,
) -> NDArray[np.float64]: ...
def conv2d(
    x: ArrayLike,
    W: ArrayLike,
    b: ArrayLike | None = None,
    *,
    stride: Pair = 1,
    padding: Padding = 0,
    dilation: Pair = 1,
    groups: int = 1,
    algorithm: Algorithm = "auto",
    out: Out[Any] = None,
) -> FloatArray:
    """Convolution of images with filters (lecture chapter 5).

    Parameters
    ----------
    x : array_like, shape (n, c, h, w)
        The images; n may be 0.
    W : array_like, shape (k, c / groups, r, s)
        The filters.
    b : array_like, shape (k,), optional
        A bias for each filter.
    stride : int or tuple of int, optional
        Steps from window to window, at least 1: for both axes, or (vertical, horizontal).
    padding : int, tuple or str, optional
        Rows and columns of zeros around the image: a number for all sides, (vertical, horizontal), or ((top, bottom), (left,
        right)). "valid" is none. "same" gives ceil(h / stride) rows; an odd one is at the bottom or right, as in TensorFlow.
    dilation : int or tuple of int, optional
        Steps from tap to tap of the kernel, likewise.
    groups : int, optional
        A divisor of c and k. Each of so many groups of filters sees its own c / groups channels; c is depthwise.
    algorithm : {"auto", "im2col", "direct", "winograd"}, optional
        How to compute. See Notes.
    out : ndarray or tuple of one ndarray, shape (n, k, oh, ow), optional
        Where to write the result, in its dtype. It may share memory with the arguments.

    Returns
    -------
    ndarray, shape (n, k, oh, ow)
        The filtered images: float32 where all arrays are float32, float16 or bfloat16, else float64.

    Raises
    ------
    TypeError
        If an array does not hold real numbers, `out` has another dtype than the result, or an option is of another type.
    ValueError
        If shapes do not fit, or an option has no such value.

    See Also
    --------
    conv2d_jac_mv, conv2d_jac_tmv, Conv2d

    Notes
    -----
    The kernel is not turned around, and zeros lie outside of the image::

        y[n, k, a, b] = b[k] + sum_{c, i, j} W[k, c, i, j] x[n, c, sh a + dh i - top, sw b + dw j - left]
        oh = (h + top + bottom - dh (r - 1) - 1) // sh + 1

    "im2col" multiplies W by the windows of one image at a time; derivatives go the direct way. "direct" is the same product, which
    reads the image itself. "winograd" [1]_, for 3x3 kernels without stride, has fewer multiplications and more rounding. "auto"
    takes it from 32 channels on, in float64 from 48 on, and for the weights' gradient from 16 channels and 768 pixels on. By either
    name it looks at the data first. Tiles that hold NaN, what could overflow, or far larger values than others are summed directly,
    so that no value spoils a pixel that does not see it. "auto" does so too where terms, or their bits, are so few that errors
    could exceed three times those of "direct". `set_conv_algorithm` says for the whole process what "auto" is.

    References
    ----------
    .. [1] Lavin and Gray, "Fast algorithms for convolutional neural networks", 2016.

    Examples
    --------
    >>> import numpy as np
    >>> import fastlec
    >>> image = np.arange(9.0).reshape(1, 1, 3, 3)
    >>> differences = np.array([[[[-1.0, 1.0]]]])  # of neighbours in a row
    >>> fastlec.conv2d(image, differences)
    array([[[[1., 1.],
             [1., 1.],
             [1., 1.]]]])
    """
    options = stride, padding, dilation, groups, algorithm
    if type(out) is tuple:
        out = _check.one(out)
    given = (x, W) if b is None else (x, W, b)
    found = functions.call(key_of("conv2d", given, options), given, (out,))
    if found is not None:
        return found[0]
    arrays = {"x": _check.as_array(x, "x"), "W": _check.as_array(W, "W")}
    if b is not None:
        arrays["b"] = _check.as_array(b, "b")
    dtype = _check.common_dtype(**arrays)
    g = geometry(arrays["x"].shape, arrays["W"].shape, stride, padding, dilation, groups)
    code = algorithm_code(algorithm)
    if b is not None:
        _check.shape(arrays["b"], "b", (g.k,))
    if out is not None:
        _check.output(out, g.y_shape, dtype)

    def add(plan, x, W, *rest):
        *bias, y = rest
        kernels.forward(plan, g, x, W, y, algorithm=code, after=Epilogue(*bias))

    return _results("conv2d", arrays, dtype, options, [g.y_shape], (out,), add)[0]


@overload
def conv2d_jac_mv(
    x: Single,
    W: Single,
    *,
    dx: Single | None = None,
    dW: Single | None = None,
    db: Single | None = None,
    stride: Pair = 1,
    padding: Padding = 0,
    dilation: Pair = 1,
    groups: int = 1,
    algorithm: Algorithm = "auto",
    out: Out[np.float32] = None,
) -> NDArray[np.float32]: ...
@overload
def conv2d_jac_mv(
    x: ArrayLike,
    W: ArrayLike,
    *,
    dx: ArrayLike | None = None,
    dW: ArrayLike | None = None,
    db: ArrayLike | None = None,
    stride: Pair = 1,
    padding: Padding = 0,
    dilation: Pair = 1,
    groups: int = 1,
    algorithm: Algorithm = "auto",
    out: Out[np.float64] = None,
) -> NDArray[np.float64]: ...
def conv2d_jac_mv(
    x: ArrayLike,
    W: ArrayLike,
    *,
    dx: ArrayLike | None = None,
    dW: ArrayLike | None = None,
    db: ArrayLike | None = None,
    stride: Pair = 1,
    padding: Padding = 0,
    dilation: Pair = 1,
    groups: int = 1,
    algorithm: Algorithm = "auto",
    out: Out[Any] = None,
) -> FloatArray:
    """JacMV of `conv2d`: its derivative times directions, conv(dx, W) + conv(x, dW) + db.

    Parameters
    ----------
    x : array_like, shape (n, c, h, w)
        The images. Only the shape counts unless `dW` is given.
    W : array_like, shape (k, c / groups, r, s)
        The filters. Only the shape counts unless `dx` is given.
    dx : array_like, shape (n, c, h, w), optional
        The direction of the images. At least one direction must be given.
    dW : array_like, shape (k, c / groups, r, s), optional
        The direction of the filters.
    db : array_like, shape (k,), optional
        The direction of the biases.
    stride : int or tuple of int, optional
        Steps from window to window, at least 1: for both axes, or (vertical, horizontal).
    padding : int, tuple or str, optional
        Rows and columns of zeros around the image: a number for all sides, (vertical, horizontal), or ((top, bottom), (left,
        right)). "valid" is none. "same" gives ceil(h / stride) rows; an odd one is at the bottom or right, as in TensorFlow.
    dilation : int or tuple of int, optional
        Steps from tap to tap of the kernel, likewise.
    groups : int, optional
        A divisor of c and k. Each of so many groups of filters sees its own c / groups channels; c is depthwise.
    algorithm : {"auto", "im2col", "direct", "winograd"}, optional
        How to compute, as in `conv2d`.
    out : ndarray or tuple of one ndarray, shape (n, k, oh, ow), optional
        Where to write the result, in its dtype. It may share memory with the arguments.

    Returns
    -------
    ndarray, shape (n, k, oh, ow)
        The derivative along the directions: float32 where all arrays are float32, float16 or bfloat16, else float64.

    Raises
    ------
    TypeError
        If an array does not hold real numbers, `out` has another dtype than the result, or an option is of another type.
    ValueError
        If shapes do not fit, or an option has no such value.

    See Also
    --------
    conv2d, conv2d_jac_tmv

    Examples
    --------
    >>> import numpy as np
    >>> import fastlec
    >>> rng = np.random.default_rng(0)
    >>> x, W, dW = rng.standard_normal((1, 2, 5, 5)), rng.standard_normal((3, 2, 3, 3)), rng.standard_normal((3, 2, 3, 3))
    >>> h = 1e-6  # conv2d is linear in W
    >>> quotient = (fastlec.conv2d(x, W + h * dW) - fastlec.conv2d(x, W)) / h
    >>> np.allclose(fastlec.conv2d_jac_mv(x, W, dW=dW), quotient)
    True
    """
    if type(out) is tuple:
        out = _check.one(out)
    given = {name: d for name, d in (("dx", dx), ("dW", dW), ("db", db)) if d is not None}
    if not given:
        raise ValueError("no direction is given; expected one or more of dx, dW, db")
    options, what = (stride, padding, dilation, groups, algorithm), ("mv", *given)
    directions = tuple(given.values())
    found = functions.call(key_of(what, (x, W, *directions), options), (x, W, *directions), (out,))
    if found is not None:
        return found[0]
    arrays = {name: _check.as_array(a, name) for name, a in {"x": x, "W": W, **given}.items()}
    dtype = _check.common_dtype(**arrays)
    g = geometry(arrays["x"].shape, arrays["W"].shape, stride, padding, dilation, groups)
    code = algorithm_code(algorithm)
    for name, shape in (("dx", g.x_shape), ("dW", g.w_shape), ("db", (g.k,))):
        if name in given:
            _check.shape(arrays[name], name, shape)
    if out is not None:
        _check.output(out, g.y_shape, dtype)
    if what == ("mv", "db"):
        db = _check.plain(arrays["db"], dtype, "db")
        return _check.fill(out, np.broadcast_to(db[:, None, None], g.y_shape).copy())

    def add(plan, *slots):
        *inputs, dy = slots
        a = dict(zip(arrays, inputs, strict=True))
        products = [(a[one], a[other]) for one, other in (("dx", "W"), ("x", "dW")) if one in given or other in given]
        for i, (images, filters) in enumerate(products):
            after = Epilogue(a.get("db") if i == len(products) - 1 else None, accumulate=i > 0)
            kernels.forward(plan, g, images, filters, dy, algorithm=code, after=after)

    return _results(what, arrays, dtype, options, [g.y_shape], (out,), add)[0]


@overload
def conv2d_jac_tmv(
    v: Single,
    x: Single,
    W: Single,
    *,
    stride: Pair = 1,
    padding: Padding = 0,
    dilation: Pair = 1,
    groups: int = 1,
    algorithm: Algorithm = "auto",
    wrt: Variable | Iterable[Variable] = ("x", "W", "b"),
) -> dict[str, NDArray[np.float32]]: ...
@overload
def conv2d_jac_tmv(
    v: ArrayLike,
    x: ArrayLike,
    W: ArrayLike,
    *,
    stride: Pair = 1,
    padding: Padding = 0,
    dilation: Pair = 1,
    groups: int = 1,
    algorithm: Algorithm = "auto",
    wrt: Variable | Iterable[Variable] = ("x", "W", "b"),
) -> dict[str, NDArray[np.float64]]: ...
def conv2d_jac_tmv(
    v: ArrayLike,
    x: ArrayLike,
    W: ArrayLike,
    *,
    stride: Pair = 1,
    padding: Padding = 0,
    dilation: Pair = 1,
    groups: int = 1,
    algorithm: Algorithm = "auto",
    wrt: Variable | Iterable[Variable] = ("x", "W", "b"),
) -> dict[str, Any]:
    """JacTMV of `conv2d`: the transposed derivative times v, by each variable.

    Parameters
    ----------
    v : array_like, shape (n, k, oh, ow)
        What to multiply: such as the gradient of a loss by the result of `conv2d`.
    x : array_like, shape (n, c, h, w)
        The images. Only the shape counts unless "W" is in `wrt`.
    W : array_like, shape (k, c / groups, r, s)
        The filters. Only the shape counts unless "x" is in `wrt`.
    stride : int or tuple of int, optional
        Steps from window to window, at least 1: for both axes, or (vertical, horizontal).
    padding : int, tuple or str, optional
        Rows and columns of zeros around the image: a number for all sides, (vertical, horizontal), or ((top, bottom), (left,
        right)). "valid" is none. "same" gives ceil(h / stride) rows; an odd one is at the bottom or right, as in TensorFlow.
    dilation : int or tuple of int, optional
        Steps from tap to tap of the kernel, likewise.
    groups : int, optional
        A divisor of c and k. Each of so many groups of filters sees its own c / groups channels; c is depthwise.
    algorithm : {"auto", "im2col", "direct", "winograd"}, optional
        How to compute, as in `conv2d`.
    wrt : str or iterable of str, optional
        The variables to compute: one or several of "x", "W" and "b".

    Returns
    -------
    dict of ndarray
        By the names in `wrt`, arrays of the shapes of x, W and b, (k,): float32 where all arrays are float32, float16 or bfloat16,
        else float64.

    Raises
    ------
    TypeError
        If an array does not hold real numbers, or an option is of another type.
    ValueError
        If shapes do not fit, or an option has no such value.

    See Also
    --------
    conv2d, conv2d_jac_mv

    Examples
    --------
    >>> import numpy as np
    >>> import fastlec
    >>> x, W = np.arange(9.0).reshape(1, 1, 3, 3), np.ones((1, 1, 2, 2))
    >>> fastlec.conv2d_jac_tmv(np.ones((1, 1, 2, 2)), x, W, wrt="x")["x"]  # in how many windows each pixel lies
    array([[[[1., 2., 1.],
             [2., 4., 2.],
             [1., 2., 1.]]]])
    """
    wrt = _check.names(wrt, "wrt")
    for name in wrt:
        if name not in ("x", "W", "b"):
            raise ValueError(f"wrt has {_check.shown(name)}; expected names out of x, W, b")
    options, what = (stride, padding, dilation, groups, algorithm), ("tmv", *dict.fromkeys(wrt))
    found = functions.call(key_of(what, (v, x, W), options), (v, x, W))
    if found is None:
        arrays = {name: _check.as_array(a, name) for name, a in (("v", v), ("x", x), ("W", W))}
        dtype = _check.common_dtype(**arrays)
        g = geometry(arrays["x"].shape, arrays["W"].shape, stride, padding, dilation, groups)
        code = algorithm_code(algorithm)
        _check.shape(arrays["v"], "v", g.y_shape)

        def add(plan, v, x, W, *results):
            for name, result in zip(what[1:], results, strict=True):
                if name == "x":
                    kernels.data_gradient(plan, g, v, W, result, algorithm=code)
                elif name == "W":
                    kernels.weight_gradient(plan, g, v, x, result, algorithm=code)
                else:
                    channel_sums.slope(plan, v, total=result)

        shapes = {"x": g.x_shape, "W": g.w_shape, "b": (g.k,)}
        shapes = [shapes[name] for name in what[1:]]
        found = _results(what, arrays, dtype, options, shapes, [None] * len(shapes), add)
    return dict(zip(what[1:], found, strict=True))


@overload
def im2col(
    x: Single,
    kernel_size: Pair,
    *,
    stride: Pair = 1,
    padding: Padding = 0,
    dilation: Pair = 1,
    out: Out[np.float32] = None,
) -> NDArray[np.float32]: ...
@overload
def im2col(
    x: ArrayLike,
    kernel_size: Pair,
    *,
    stride: Pair = 1,
    padding: Padding = 0,
    dilation: Pair = 1,
    out: Out[np.float64] = None,
) -> NDArray[np.float64]: ...
def im2col(
    x: ArrayLike,
    kernel_size: Pair,
    *,
    stride: Pair = 1,
    padding: Padding = 0,
    dilation: Pair = 1,
    out: Out[Any] = None,
) -> FloatArray:
    """Windows of images as the columns of matrices.

    Parameters
    ----------
    x : array_like, shape (n, c, h, w)
        The images; n may be 0.
    kernel_size : int or tuple of int
        The size of a window: (r, s), or a number for both.
    stride : int or tuple of int, optional
        Steps from window to window, at least 1: for both axes, or (vertical, horizontal).
    padding : int, tuple or str, optional
        Rows and columns of zeros around the image: a number for all sides, (vertical, horizontal), or ((top, bottom), (left,
        right)). "valid" is none. "same" gives ceil(h / stride) rows; an odd one is at the bottom or right, as in TensorFlow.
    dilation : int or tuple of int, optional
        Steps from tap to tap of the kernel, likewise.
    out : ndarray or tuple of one ndarray, shape (n, c r s, oh ow), optional
        Where to write the result, in its dtype. It may share memory with `x`.

    Returns
    -------
    ndarray, shape (n, c r s, oh ow)
        Row (c, i, j), in C order, is what tap (i, j) of the window sees of channel c. Column (a, b) is the window of pixel (a, b)
        of the output. float32 for float32, float16 and bfloat16, else float64.

    Raises
    ------
    TypeError
        If `x` does not hold real numbers, `out` has another dtype than the result, or an option is of another type.
    ValueError
        If shapes do not fit, or an option has no such value.
    MemoryError
        If the matrices are more than memory can hold. `conv2d` itself never makes them.

    See Also
    --------
    col2im, conv2d

    Examples
    --------
    `conv2d` is the filters as a matrix times these columns:

    >>> import numpy as np
    >>> import fastlec
    >>> x, W = np.arange(9.0).reshape(1, 1, 3, 3), np.array([[[[1.0, 0.0], [0.0, -1.0]]]])
    >>> fastlec.im2col(x, 2)[0]
    array([[0., 1., 3., 4.],
           [1., 2., 4., 5.],
           [3., 4., 6., 7.],
           [4., 5., 7., 8.]])
    >>> W.reshape(1, 4) @ fastlec.im2col(x, 2)[0], fastlec.conv2d(x, W).ravel()
    (array([[-4., -4., -4., -4.]]), array([-4., -4., -4., -4.]))
    """
    x, out = _check.as_array(x, "x"), _check.one(out)
    dtype = _check.float_dtype(x.dtype, "x")
    g = _windows(x.shape, "x", kernel_size, stride, padding, dilation)
    if out is None:
        _check.memory(math.prod(g.columns_shape) * dtype.itemsize, f"columns of shape {g.columns_shape}")
    x = _check.plain(x, dtype, "x")
    plan = Plan(dtype.num)
    columns = _check.kernel_output(out, g.columns_shape, dtype, plan, (x,))
    columns_kernels.im2col(plan, g, x, columns)
    plan.run()
    return columns if columns is out else _check.fill(out, columns)


@overload
def col2im(
    columns: Single,
    shape: tuple[int, int, int, int],
    kernel_size: Pair,
    *,
    stride: Pair = 1,
    padding: Padding = 0,
    dilation: Pair = 1,
    out: Out[np.float32] = None,
) -> NDArray[np.float32]: ...
@overload
def col2im(
    columns: ArrayLike,
    shape: tuple[int, int, int, int],
    kernel_size: Pair,
    *,
    stride: Pair = 1,
    padding: Padding = 0,
    dilation: Pair = 1,
    out: Out[np.float64] = None,
) -> NDArray[np.float64]: ...
def col2im(
    columns: ArrayLike,
    shape: tuple[int, int, int, int],
    kernel_size: Pair,
    *,
    stride: Pair = 1,
    padding: Padding = 0,
    dilation: Pair = 1,
    out: Out[Any] = None,
) -> FloatArray:
    """Images whose pixels are sums over windows: the transpose of `im2col`.

    Parameters
    ----------
    columns : array_like, shape (n, c r s, oh ow)
        Windows as columns, in the order of `im2col`.
    shape : tuple of int
        The shape (n, c, h, w) of the images.
    kernel_size : int or tuple of int
        The size of a window: (r, s), or a number for both.
    stride : int or tuple of int, optional
        Steps from window to window, at least 1: for both axes, or (vertical, horizontal).
    padding : int, tuple or str, optional
        Rows and columns of zeros around the image: a number for all sides, (vertical, horizontal), or ((top, bottom), (left,
        right)). "valid" is none. "same" gives ceil(h / stride) rows; an odd one is at the bottom or right, as in TensorFlow.
    dilation : int or tuple of int, optional
        Steps from tap to tap of the kernel, likewise.
    out : ndarray or tuple of one ndarray, shape (n, c, h, w), optional
        Where to write the result, in its dtype. It may share memory with `columns`.

    Returns
    -------
    ndarray, shape (n, c, h, w)
        Each pixel is the sum of all places that `im2col` copies it to. float32 for float32, float16 and bfloat16, else float64.

    Raises
    ------
    TypeError
        If `columns` does not hold real numbers, `out` has another dtype than the result, or an option is of another type.
    ValueError
        If shapes do not fit, or an option has no such value.
    MemoryError
        If columns of these windows are more than memory can hold.

    See Also
    --------
    im2col, conv2d_jac_tmv

    Notes
    -----
    It undoes `im2col` only where windows do not overlap.

    Examples
    --------
    >>> import numpy as np
    >>> import fastlec
    >>> fastlec.col2im(np.ones((1, 4, 4)), (1, 1, 3, 3), 2)[0, 0]  # four windows of 2 x 2
    array([[1., 2., 1.],
           [2., 4., 2.],
           [1., 2., 1.]])
    """
    columns, out = _check.as_array(columns, "columns"), _check.one(out)
    dtype = _check.float_dtype(columns.dtype, "columns")
    try:
        shape = tuple(shape)
    except TypeError:
        raise TypeError(f"shape is {_check.shown(shape)}; expected (n, c, h, w)") from None
    shape = tuple(_check.count(n, f"shape[{i}]", 0) for i, n in enumerate(shape))
    g = _windows(shape, "shape", kernel_size, stride, padding, dilation)
    _check.shape(columns, "columns", g.columns_shape)
    columns = _check.plain(columns, dtype, "columns")
    plan = Plan(dtype.num)
    x = _check.kernel_output(out, g.x_shape, dtype, plan, (columns,))
    columns_kernels.col2im(plan, g, columns, x)
    plan.run()
    return x if x is out else _check.fill(out, x)


def set_conv_algorithm(algorithm: Literal["auto", "im2col", "direct"]) -> None:
    """Set what the algorithm "auto" of convolutions is, for the whole process.

    Parameters
    ----------
    algorithm : {"auto", "direct", "im2col"}
        "auto" is the fastest that keeps its promises of accuracy. It counts from the next call on, in layers, networks and training
        steps too.

    Raises
    ------
    ValueError
        If `algorithm` is another one. "winograd" is for 3x3 kernels without stride alone, and is asked for where there is one.

    See Also
    --------
    get_conv_algorithm, conv2d

    Examples
    --------
    >>> import fastlec
    >>> fastlec.set_conv_algorithm("direct")
    >>> fastlec.get_conv_algorithm()
    'direct'
    >>> fastlec.set_conv_algorithm("auto")
    """
    if algorithm_code(algorithm) == kernels.WINOGRAD:
        raise ValueError("algorithm is 'winograd'; expected auto, direct or im2col, which any convolution can take")
    kernels.set_default(ALGORITHMS[algorithm])


def get_conv_algorithm() -> str:
    """What the algorithm "auto" of convolutions is.

    Returns
    -------
    str
        "auto", unless `set_conv_algorithm` has set another one.

    See Also
    --------
    set_conv_algorithm

    Examples
    --------
    >>> import fastlec
    >>> fastlec.get_conv_algorithm()
    'auto'
    """
    return next(name for name, code in ALGORITHMS.items() if code == kernels.get_default())


def algorithm_code(algorithm):
    """The kernels' number of an algorithm. ValueError for a name that there is not."""
    return ALGORITHMS[_check.choice(algorithm, ALGORITHMS, "algorithm")]


def _windows(shape, name, kernel_size, stride, padding, dilation):
    g = window_geometry(shape, kernel_size, stride, padding, dilation, name)
    if math.prod(g.columns_shape) > MOST_ELEMENTS:
        raise MemoryError(f"columns of shape {g.columns_shape} are more than memory can hold")
    return g


def _results(what, arrays, dtype, options, shapes, outs, add):
    """What a plan gives for these arrays, a kept one or a new one, to which `add` adds the jobs. It is kept unless the options are
    such as other calls cannot be compared with."""
    inputs = [_check.plain(a, dtype, name) for name, a in arrays.items()]
    return functions.results(key_of(what, inputs, options), dtype.num, inputs, shapes, outs, add)
