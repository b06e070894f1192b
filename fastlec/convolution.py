"""Convolution of images with exact derivatives, and the matrices that it is made of (lecture chapter 5).

Images are x (n, c, h, w), filters W (k, c / groups, r, s), results y (n, k, oh, ow):

    y[n, k, a, b] = b[k] + sum_{c, i, j} W[k, c, i, j] x[n, c, sh a + dh i - top, sw b + dw j - left]

with zeros outside the image: the cross-correlation of deep learning, which does not turn the kernel around. Everywhere

    stride, dilation : int or (vertical, horizontal), at least 1: (sh, sw) and (dh, dw).
    padding : int, (vertical, horizontal), ((top, bottom), (left, right)), "valid" (none), or "same": oh = ceil(h / sh), the odd row
        or column at the bottom or the right, as TensorFlow and XLA have it.
    groups : int that divides c and k: each group of k / groups filters sees its own c / groups channels; c: depthwise.

and oh = (h + top + bottom - dh (r - 1) - 1) // sh + 1, ow likewise. Dtypes, layouts and `out` are as in `fastlec.functional`; n may
be 0, the other lengths may not. A ValueError or TypeError names the argument that does not fit.
"""

import math

import numpy as np

from . import _check
from ._geometry import MOST_ELEMENTS, geometry, window_geometry
from ._kernels import channel_sums
from ._kernels import conv2d as kernels
from ._kernels import im2col as columns_kernels
from ._kernels.calls import functions, key_of
from ._kernels.epilogue import Epilogue
from ._kernels.plan import Plan

ALGORITHMS = {"auto": kernels.AUTO, "im2col": kernels.IM2COL, "direct": kernels.DIRECT, "winograd": kernels.WINOGRAD}


def conv2d(x, W, b=None, *, stride=1, padding=0, dilation=1, groups=1, algorithm="auto", out=None):
    """The convolution y (n, k, oh, ow) of images x (n, c, h, w) with filters W (k, c / groups, r, s) and biases b (k,) or None.

    stride, padding, dilation, groups : see `fastlec.convolution`. algorithm : "auto", or "im2col" (a matrix product with the
    windows of one image at a time; derivatives go the direct way), "direct" (the same product, which reads the image itself) or
    "winograd" (Lavin and Gray 2016, for 3x3 kernels without stride; fewer multiplications, more rounding). "auto" takes the
    last one from 32 channels on, in float64 from 48 on (for the weights' gradient: from 16 channels and 768 pixels on). By
    either name it looks at the data first and sums tiles directly where they hold far larger values than others, NaN, or what
    could overflow: no value spoils a pixel that does not see it; "auto" does so too where terms, or their bits, are so few that
    its errors could exceed three times those of "direct". `set_conv_algorithm` says for the whole process what "auto" is. out :
    array of y's shape and dtype, or None.
    """
    options = stride, padding, dilation, groups, algorithm
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


def conv2d_jac_mv(x, W, *, dx=None, dW=None, db=None, stride=1, padding=0, dilation=1, groups=1, algorithm="auto", out=None):
    """JacMV of conv2d: conv(dx, W) + conv(x, dW) + db of the directions given, which have the shapes of x, W and b: (n, k, oh, ow).

    At least one of them must be given. The other arguments as conv2d's; x is read for dW alone, W for dx alone.
    """
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


def conv2d_jac_tmv(v, x, W, *, stride=1, padding=0, dilation=1, groups=1, algorithm="auto", wrt=("x", "W", "b")):
    """JacTMV of conv2d: {"x": (n, c, h, w), "W": (k, c / groups, r, s), "b": (k,)}, J' v for v of y's shape (n, k, oh, ow).

    wrt : the names, or the one, to compute. The other arguments as conv2d's. Of x only the shape is read unless "W" is among the
    names, of W unless "x" is.
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


def im2col(x, kernel_size, *, stride=1, padding=0, dilation=1, out=None):
    """The windows of images x (n, c, h, w) as columns: (n, c r s, oh ow), so that conv2d is W as a matrix (k, c r s) times them.

    kernel_size : int or (r, s). Row (c, i, j), in C order, is what tap (i, j) of the window sees of channel c; column (a, b) is the
    window of y[.., a, b]. MemoryError where that is more than memory can hold: conv2d itself never makes this matrix.
    """
    x = _check.as_array(x, "x")
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


def col2im(columns, shape, kernel_size, *, stride=1, padding=0, dilation=1, out=None):
    """The transpose of im2col: images of this shape (n, c, h, w), each pixel the sum of all places of the columns (n, c r s, oh ow)
    that im2col copies it to. So it undoes im2col only where windows do not overlap."""
    columns = _check.as_array(columns, "columns")
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


def set_conv_algorithm(algorithm):
    """What "auto" is from the next call on, in all convolutions of the process, those of layers, networks and training steps too.

    algorithm : "auto", the fastest that keeps its promises, "direct", or "im2col". ValueError for another one: "winograd" is
    for 3x3 kernels without stride alone, and is asked for where there is one.
    """
    if algorithm_code(algorithm) == kernels.WINOGRAD:
        raise ValueError("algorithm is 'winograd'; expected auto, direct or im2col, which any convolution can take")
    kernels.set_default(ALGORITHMS[algorithm])


def get_conv_algorithm():
    """What "auto" is: "auto" unless :func:`set_conv_algorithm` was called."""
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
