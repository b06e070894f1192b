"""Functions of fastlec as operators of PyTorch (torch.library), which torch.compile takes into one graph, with their derivatives.

They are ``torch.ops.fastlec.conv2d`` and so on as well. Tensors are of the CPU and of one dtype, torch.float32 or torch.float64.
`softmax` and `softmax_cross_entropy` can be differentiated twice, the others once: a second derivative of these is a RuntimeError.
`fastlec.torch.function` of a layer has second derivatives and vmap.
"""

from __future__ import annotations

import functools
from typing import Literal

import numpy as np
import torch
from torch.library import custom_op

from .. import _check, convolution, filters, functional
from .._activations import ACTIVATIONS
from .._geometry import pair
from .._kernels.epilogue import KEEP_Z
from ..layers import Dense
from .tensors import array, check

__all__ = ["conv2d", "dense", "filter2d", "softmax", "softmax_cross_entropy"]


def _op(name, schema):
    return custom_op(f"fastlec::{name}", mutates_args=(), device_types="cpu", schema=schema)


def _new(a):
    """What fastlec gave, new memory, as a tensor in C order."""
    return torch.from_numpy(np.ascontiguousarray(a))


def _given(**tensors):
    """The arrays of tensors, checked, but for those that are None."""
    named = {name: t for name, t in tensors.items() if t is not None}
    check(tuple(named), tuple(named.values()))
    return [None if t is None else array(t) for t in tensors.values()]


def _wanted(ctx, names):
    return [name for name, needed in zip(names, ctx.needs_input_grad, strict=False) if needed]


def _gradients(found, names, wanted, arguments):
    """The gradients found of the names wanted, as autograd takes them for this many arguments."""
    found = dict(zip(wanted, found, strict=True))
    return *(found.get(name) for name in names), *(None for _ in range(arguments - len(names)))


# --- convolutions ----------------------------------------------------------------------------------------------------


def conv2d(
    x: torch.Tensor,
    W: torch.Tensor,
    b: torch.Tensor | None = None,
    stride: int | tuple[int, int] = 1,
    padding: int | tuple[int, int] | tuple[tuple[int, int], tuple[int, int]] | Literal["valid", "same"] = 0,
    dilation: int | tuple[int, int] = 1,
    groups: int = 1,
) -> torch.Tensor:
    """A convolution as an operator of PyTorch: `fastlec.conv2d`, as torch.nn.functional.conv2d.

    Parameters
    ----------
    x : torch.Tensor, shape (n, c, h, w)
        Images.
    W : torch.Tensor, shape (k, c / groups, r, s)
        Kernels.
    b : torch.Tensor, shape (k,), optional
        Bias.
    stride : int or (vertical, horizontal)
        From pixel to pixel of y.
    padding : int, (vertical, horizontal), ((top, bottom), (left, right)), "valid" or "same"
        Zeros around x; "same" with stride 1.
    dilation : int or (vertical, horizontal)
        From tap to tap.
    groups : int
        A divisor of c and k.

    Returns
    -------
    torch.Tensor, shape (n, k, oh, ow)
        The output y.

    Raises
    ------
    ValueError
        If padding is "same" with another stride, or shapes do not fit.

    See Also
    --------
    fastlec.conv2d

    Examples
    --------
    >>> import torch
    >>> x, W = torch.ones(1, 1, 3, 3), torch.ones(1, 1, 2, 2, requires_grad=True)
    >>> fastlec.torch.ops.conv2d(x, W).sum().backward()
    >>> W.grad.tolist()
    [[[[4.0, 4.0], [4.0, 4.0]]]]
    """
    stride, dilation = pair(stride, "stride", 1), pair(dilation, "dilation", 1)
    if padding == "same":
        if stride != (1, 1):
            raise ValueError(f'padding is "same" and stride is {stride}; expected a stride of 1 with it')
        extents = [step * (taps - 1) for step, taps in zip(dilation, W.shape[2:], strict=True)]
        padding = [(n // 2, n - n // 2) for n in extents]
    elif padding == "valid":
        padding = 0
    if isinstance(padding, int) or all(isinstance(p, int) for p in padding):
        padding = [(p, p) for p in pair(padding, "padding", 0)]
    return _conv2d(x, W, b, stride, [p for sides in padding for p in sides], dilation, groups)


_SETTINGS = "int[] stride, int[] padding, int[] dilation, int groups"


def _settings(stride, padding, dilation, groups):
    padding = tuple(padding[:2]), tuple(padding[2:])
    return {"stride": tuple(stride), "padding": padding, "dilation": tuple(dilation), "groups": groups}


@_op("conv2d", f"(Tensor x, Tensor W, Tensor? b, {_SETTINGS}) -> Tensor")
def _conv2d(x, W, b, stride, padding, dilation, groups):
    return _new(convolution.conv2d(*_given(x=x, W=W, b=b), **_settings(stride, padding, dilation, groups)))


@_conv2d.register_fake
def _(x, W, b, stride, padding, dilation, groups):
    sizes = zip(x.shape[2:], W.shape[2:], stride, (padding[:2], padding[2:]), dilation, strict=True)
    return x.new_empty(
        x.shape[0], W.shape[0], *((n + sum(p) - step * (taps - 1) - 1) // s + 1 for n, taps, s, p, step in sizes)
    )


@_op("conv2d_backward", f"(Tensor v, Tensor x, Tensor W, {_SETTINGS}, str wanted) -> Tensor[]")
def _conv2d_backward(v, x, W, stride, padding, dilation, groups, wanted):
    settings = _settings(stride, padding, dilation, groups)
    found = convolution.conv2d_jac_tmv(*_given(v=v, x=x, W=W), wrt=tuple(wanted), **settings)
    return [_new(found[name]) for name in wanted]


@_conv2d_backward.register_fake
def _(v, x, W, stride, padding, dilation, groups, wanted):
    shapes = {"x": x.shape, "W": W.shape, "b": W.shape[:1]}
    return [x.new_empty(shapes[name]) for name in wanted]


def _keep_conv2d(ctx, inputs, output):
    x, W, _, *ctx.settings = inputs
    ctx.save_for_backward(x, W)


def _back_conv2d(ctx, v):
    wanted = _wanted(ctx, "xWb")
    return _gradients(_conv2d_backward(v, *ctx.saved_tensors, *ctx.settings, "".join(wanted)), "xWb", wanted, 7)


_conv2d.register_autograd(_back_conv2d, setup_context=_keep_conv2d)


# --- softmax and its loss --------------------------------------------------------------------------------------------


def softmax(x: torch.Tensor, dim: int = -1) -> torch.Tensor:
    """Softmax as an operator of PyTorch: `fastlec.softmax` along an axis, as torch.softmax.

    Parameters
    ----------
    x : torch.Tensor
        Logits, of any shape.
    dim : int
        The axis.

    Returns
    -------
    torch.Tensor, shape of x
        The probabilities.

    See Also
    --------
    fastlec.softmax, softmax_cross_entropy

    Examples
    --------
    >>> import torch
    >>> fastlec.torch.ops.softmax(torch.zeros(1, 4))
    tensor([[0.2500, 0.2500, 0.2500, 0.2500]])
    """
    return _softmax(x, dim)


@_op("softmax", "(Tensor x, int dim) -> Tensor")
def _softmax(x, dim):
    return _new(functional.softmax(*_given(x=x), axis=dim))


@_softmax.register_fake
def _(x, dim):
    return x.new_empty(x.shape)


def _times_softmax(p, v, dim):
    """The Jacobian of softmax, where it is p, which is symmetric, times v."""
    g = p * v
    return g - p * g.sum(dim, keepdim=True)


def _keep_softmax(ctx, inputs, output):
    ctx.dim = inputs[1]
    ctx.save_for_backward(output)


def _back_softmax(ctx, v):
    return _times_softmax(*ctx.saved_tensors, v, ctx.dim), None


_softmax.register_autograd(_back_softmax, setup_context=_keep_softmax)


def softmax_cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The mean cross-entropy of the softmax of logits (lecture eq. 11), as torch.nn.functional.cross_entropy.

    Its value and its gradient are computed in one sweep.

    Parameters
    ----------
    logits : torch.Tensor, shape (m, n)
        The logits.
    labels : torch.Tensor, shape (m,) or (m, n)
        Integers in [0, n), or rows of target probabilities of the dtype of logits, which must not require grad.

    Returns
    -------
    torch.Tensor, shape ()
        The loss.

    Raises
    ------
    TypeError
        If labels require grad, or dtypes do not fit.
    ValueError
        If shapes do not fit, or a label is out of range.

    See Also
    --------
    fastlec.softmax_cross_entropy, softmax

    Examples
    --------
    >>> import torch
    >>> logits = torch.zeros(2, 4, requires_grad=True)
    >>> loss = fastlec.torch.ops.softmax_cross_entropy(logits, torch.tensor([0, 3]))
    >>> bool(torch.isclose(loss, torch.tensor(4.0).log()))
    True
    >>> loss.backward()
    >>> logits.grad[0].tolist()
    [-0.375, 0.125, 0.125, 0.125]
    """
    if getattr(labels, "requires_grad", False):
        raise TypeError("labels requires grad; expected labels or probabilities that do not: pass labels.detach()")
    return _softmax_cross_entropy(logits, labels)[0]


@_op("softmax_cross_entropy", "(Tensor logits, Tensor labels) -> (Tensor, Tensor)")
def _softmax_cross_entropy(logits, labels):
    given = _given(logits=logits, labels=labels if labels.is_floating_point() else None)
    loss, gradient = functional.softmax_cross_entropy(given[0], array(labels))
    return torch.tensor(loss, dtype=logits.dtype), _new(gradient)


@_softmax_cross_entropy.register_fake
def _(logits, labels):
    return logits.new_empty(()), logits.new_empty(logits.shape)


def _keep_loss(ctx, inputs, output):
    ctx.save_for_backward(*inputs, output[1])
    ctx.set_materialize_grads(False)


def _back_loss(ctx, v, u):
    """Of the loss, and of its gradient, whose derivative along u is the loss's Hessian times u."""
    logits, labels, gradient = ctx.saved_tensors
    terms = [] if v is None else [v * gradient]
    if u is not None:
        curved = _times_softmax(_softmax(logits, 1), u, 1) / len(logits)
        terms.append(curved * labels.sum(1, keepdim=True) if labels.is_floating_point() else curved)
    return sum(terms[1:], terms[0]) if terms else None, None


_softmax_cross_entropy.register_autograd(_back_loss, setup_context=_keep_loss)


# --- dense layers ----------------------------------------------------------------------------------------------------


def dense(x: torch.Tensor, W: torch.Tensor, b: torch.Tensor | None = None, activation: str = "identity") -> torch.Tensor:
    """A dense layer sigma(W x + b) in one pass: torch.nn.functional.linear with an activation after it.

    Parameters
    ----------
    x : torch.Tensor, shape (..., n)
        The samples.
    W : torch.Tensor, shape (k, n)
        Weights.
    b : torch.Tensor, shape (k,), optional
        Bias.
    activation : str
        A name, as in `fastlec.Activation`.

    Returns
    -------
    torch.Tensor, shape (..., k)
        The output y.

    See Also
    --------
    fastlec.Dense, fastlec.torch.Module

    Examples
    --------
    >>> import torch
    >>> fastlec.torch.ops.dense(torch.ones(2, 3), torch.ones(1, 3), torch.ones(1), "relu").tolist()
    [[4.0], [4.0]]
    """
    _check.choice(activation, ACTIVATIONS, "activation")
    rows = x if x.ndim == 2 else x.reshape(-1, x.shape[-1])
    y = _dense(rows, W, b, activation)[0]
    return y if x.ndim == 2 else y.reshape(*x.shape[:-1], y.shape[-1])


@functools.lru_cache
def _layer(n_in, n_out, activation, bias, dtype):
    return Dense(n_in, n_out, activation, bias, dtype=dtype, rng=0)


def _with(x, W, b, activation):
    k, n = _check.matrix(W, "W").shape
    params = {"W": W} if b is None else {"W": W, "b": b}
    return _layer(n, k, activation, b is not None, x.dtype).with_params(params)


@_op("dense", "(Tensor x, Tensor W, Tensor? b, str activation) -> (Tensor, Tensor)")
def _dense(x, W, b, activation):
    """y, and z where the activation's derivative follows from that, else nothing."""
    x, W, b = _given(x=x, W=W, b=b)
    layer, x = _with(x, W, b, activation).prepared(x)
    y, (_, of) = layer._evaluated(x)
    return torch.from_numpy(y), _new(y[:0] if of is y else of)


@_dense.register_fake
def _(x, W, b, activation):
    y = x.new_empty(x.shape[0], W.shape[0])
    return y, torch.empty_like(y) if ACTIVATIONS[activation].code in KEEP_Z else y.new_empty(0, W.shape[0])


@_op(
    "dense_backward",
    "(Tensor v, Tensor x, Tensor W, Tensor? b, Tensor y, Tensor z, str activation, str wanted) -> Tensor[]",
)
def _dense_backward(v, x, W, b, y, z, activation, wanted):
    v, x, W, b, y, z = _given(v=v, x=x, W=W, b=b, y=y, z=z)
    layer, x = _with(x, W, b, activation).prepared(x)
    jac = layer.jacobian(x, y, (x, z if len(z) else y))
    found = jac.tmv(v, tuple(wanted))
    return [_new(found[name]) for name in wanted]


@_dense_backward.register_fake
def _(v, x, W, b, y, z, activation, wanted):
    shapes = {"x": x.shape, "W": W.shape, "b": W.shape[:1]}
    return [x.new_empty(shapes[name]) for name in wanted]


def _keep_dense(ctx, inputs, output):
    *tensors, ctx.activation = inputs
    ctx.save_for_backward(*tensors, *output)


def _back_dense(ctx, v, _):
    wanted = _wanted(ctx, "xWb")
    found = _dense_backward(v, *ctx.saved_tensors, ctx.activation, "".join(wanted))
    return _gradients(found, "xWb", wanted, 4)


_dense.register_autograd(_back_dense, setup_context=_keep_dense)


# --- filters ---------------------------------------------------------------------------------------------------------


def filter2d(
    image: torch.Tensor,
    kernel: torch.Tensor,
    mode: Literal["reflect", "mirror", "nearest", "wrap", "constant"] = "reflect",
    cval: float = 0.0,
) -> torch.Tensor:
    """The convolution of an image with a kernel, which is turned, as an operator of PyTorch: `fastlec.filter2d`.

    Parameters
    ----------
    image : torch.Tensor, shape (h, w) or (h, w, c)
        The image.
    kernel : torch.Tensor, shape (r, s)
        The weights.
    mode : {"reflect", "mirror", "nearest", "wrap", "constant"}
        What lies outside the image.
    cval : float
        The value outside, of mode "constant".

    Returns
    -------
    torch.Tensor, shape of image
        The filtered image.

    See Also
    --------
    fastlec.filter2d

    Examples
    --------
    >>> import torch
    >>> image = torch.tensor([[0.0, 0.0, 1.0, 0.0, 0.0]])
    >>> fastlec.torch.ops.filter2d(image, torch.tensor([[1.0, 2.0]])).tolist()
    [[0.0, 1.0, 2.0, 0.0, 0.0]]
    """
    return _filter2d(image, kernel, mode, cval)


@_op("filter2d", "(Tensor image, Tensor kernel, str mode, float cval) -> Tensor")
def _filter2d(image, kernel, mode, cval):
    image, kernel = _given(image=image, kernel=kernel)
    return _new(filters.filter2d(image, kernel, mode=mode, cval=cval))


@_filter2d.register_fake
def _(image, kernel, mode, cval):
    return image.new_empty(image.shape)


@_op("filter2d_backward", "(Tensor v, Tensor image, Tensor kernel, str mode, float cval, str wanted) -> Tensor[]")
def _filter2d_backward(v, image, kernel, mode, cval, wanted):
    v, image, kernel = _given(v=v, image=image, kernel=kernel)
    found = filters.filter2d_jac_tmv(v, image, kernel, mode=mode, cval=cval, wrt=tuple(wanted.split()))
    return [_new(found[name]) for name in wanted.split()]


@_filter2d_backward.register_fake
def _(v, image, kernel, mode, cval, wanted):
    shapes = {"image": image.shape, "kernel": kernel.shape}
    return [image.new_empty(shapes[name]) for name in wanted.split()]


def _keep_filter2d(ctx, inputs, output):
    *tensors, ctx.mode, ctx.cval = inputs
    ctx.save_for_backward(*tensors)


def _back_filter2d(ctx, v):
    names = ("image", "kernel")
    wanted = _wanted(ctx, names)
    return _gradients(_filter2d_backward(v, *ctx.saved_tensors, ctx.mode, ctx.cval, " ".join(wanted)), names, wanted, 4)


_filter2d.register_autograd(_back_filter2d, setup_context=_keep_filter2d)
