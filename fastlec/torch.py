"""Layers and networks in PyTorch's autograd, by their own derivatives (lecture 4.2): backward is JacTMV, and jvp is JacMV.

It needs PyTorch, the extra ``torch``. Arrays and tensors of the CPU share memory: x, the parameters of a layer, and v go in as they
lie where they are contiguous, and what a layer of fastlec's own computes comes out as it lies.
"""

try:
    import torch
except ImportError as error:
    raise ImportError("fastlec.torch needs PyTorch: pip install 'fastlec[torch]'") from error

import numpy as np

from . import _check
from .layers import Layer

__all__ = ["function"]

DTYPES = (torch.float32, torch.float64)
TWICE = (
    "trying to differentiate twice a function of fastlec.torch, which is once_differentiable: it has first derivatives alone"
)


def function(layer):
    """y = f(theta, x) as a subclass of torch.autograd.Function, for ``loss.backward()``, ``torch.autograd.forward_ad`` and
    ``torch.func.grad``, ``vjp`` and ``jvp``.

    layer : a layer or a network, also of one's own. It gives the function its settings and its buffers, which calls leave as they
    are: batch normalisation with ``training=True`` normalises by the batch and moves no running statistics.

    The result f takes x and one tensor for each of ``layer.params``, in their order, which is that of theta: ``f.apply(x, W, b)``,
    or ``f(x, W, b)``. Shapes are those that the layer takes. All tensors are of the CPU and of one dtype, torch.float32 or
    torch.float64, whatever the layer's own is, and so is y.

    Contiguous tensors are not copied, but for a network's parameters, which go into one theta unless they are the memory of
    ``net.params`` already, as in the example. Between a call and its backward pass none may be written to: PyTorch refuses that.

    TypeError for what is no such tensor, or another number of them; ValueError for shapes that do not fit. A derivative of a
    derivative is a RuntimeError when it is asked for.

    >>> import torch
    >>> layer = fastlec.Dense(3, 2, "tanh", rng=0)
    >>> f = fastlec.torch.function(layer)
    >>> params = [torch.from_numpy(a).requires_grad_() for a in layer.params.values()]
    >>> f(torch.ones(5, 3, dtype=torch.float64), *params).sum().backward()
    >>> [tuple(p.grad.shape) for p in params]
    [(2, 3), (2,)]
    """
    if not isinstance(layer, Layer):
        raise TypeError(f"layer is {_check.shown(layer)}; expected a Layer or a Network")
    return type(f"{type(layer).__name__}Function", (_OfLayer,), {"layer": layer})


class _Call:
    """One call of a layer: what `forward` leaves to the derivatives."""

    def __init__(self, layer):
        self.layer, self.jac = layer, None


class _LayerFunction(torch.autograd.Function):
    @staticmethod
    def forward(call, *tensors):
        x, *params = map(_array, tensors)
        layer = _with(call.layer, params)
        # A planned layer's linearize makes y read-only; of a tensor, PyTorch sees to it that what is saved is not written to.
        y, call.jac = Layer.linearize(layer, x) if _plans(layer) else layer.linearize(x)
        return _tensor(y, layer)

    @staticmethod
    def setup_context(ctx, inputs, y):
        call, *tensors = inputs
        ctx.jac = call.jac
        ctx.set_materialize_grads(False)
        # The arrays of jac are the memory of these, and PyTorch tells who writes to them.
        ctx.save_for_backward(*tensors, y)
        ctx.save_for_forward(*tensors, y)

    @staticmethod
    def backward(ctx, v):
        jac, wanted = ctx.jac, ctx.needs_input_grad[1:]
        wrt = [name for name, needed in zip(jac.layer.variables, wanted, strict=True) if needed]

        def tmv(v):
            found = jac.tmv(_array(v), wrt)
            return tuple(_tensor(found[name], jac.layer) for name in wrt)

        gradients = iter(() if v is None else _Product.apply(tmv, 1, v, *ctx.saved_tensors))
        return None, *(next(gradients, None) if needed else None for needed in wanted)

    @staticmethod
    def jvp(ctx, _, *directions):
        jac = ctx.jac
        given = {name: d for name, d in zip(jac.layer.variables, directions, strict=True) if d is not None}

        def mv(*directions):
            return _tensor(jac.mv(**dict(zip(given, map(_array, directions), strict=True))), jac.layer)

        return _Product.apply(mv, len(given), *given.values(), *ctx.saved_tensors)


class _OfLayer(_LayerFunction):
    """What users call. PyTorch's transforms call `_LayerFunction`, by the arguments that this gives it."""

    layer = None

    def __new__(cls, *tensors):
        return cls.apply(*tensors)

    @classmethod
    def apply(cls, *tensors):
        _check_tensors(cls.layer, tensors)
        return _LayerFunction.apply(_Call(cls.layer), *tensors)


class _Product(torch.autograd.Function):
    """product(*vectors), with a Jacobian at a point: it depends on both, and the derivative by either is refused, not zero."""

    @staticmethod
    def forward(product, n_vectors, *tensors):
        return product(*tensors[:n_vectors])

    @staticmethod
    def setup_context(ctx, inputs, output):
        pass

    @staticmethod
    def backward(ctx, *v):
        raise RuntimeError(TWICE)

    @staticmethod
    def jvp(ctx, *directions):
        raise RuntimeError(TWICE)


def _check_tensors(layer, tensors):
    """TypeError unless these are x and the parameters, as tensors that NumPy can read, all of one dtype."""
    names = layer.variables
    if len(tensors) != len(names):
        raise TypeError(f"{len(tensors)} tensors are given; expected {len(names)}, of {_check.shown(names)}")
    for name, tensor in zip(names, tensors, strict=True):
        if not isinstance(tensor, torch.Tensor):
            raise TypeError(f"{name} is a {type(tensor).__name__}; expected a torch.Tensor")
        if tensor.device.type != "cpu":
            raise TypeError(f"{name} is on the device {tensor.device}; expected a tensor of the CPU: pass {name}.cpu()")
        if tensor.layout != torch.strided:
            raise TypeError(f"{name} has the layout {tensor.layout}; expected a dense tensor: pass {name}.to_dense()")
        if tensor.dtype not in DTYPES:
            raise TypeError(f"{name} has dtype {tensor.dtype}; expected {' or '.join(map(str, DTYPES))}")
        if tensor.dtype != tensors[0].dtype:
            raise TypeError(f"{name} has dtype {tensor.dtype}; expected {tensors[0].dtype}, that of x")


def _with(layer, params):
    """The layer with these arrays for its parameters: itself where they are its own memory."""
    own = layer.params.values()
    if all(a.__array_interface__ == b.__array_interface__ for a, b in zip(own, params, strict=True)):
        return layer
    return layer.with_params(dict(zip(layer.params, params, strict=True)))


def _array(tensor):
    return tensor.detach().resolve_neg().numpy()


def _tensor(array, layer):
    """What a layer computed, as a tensor: in place where it is new memory, as all is that jobs have filled. A method of a user's
    own may give an array that others hold."""
    return torch.from_numpy(array if _plans(layer) else np.array(array, order="C"))


def _plans(layer):
    """Whether jobs compute the layer."""
    return getattr(layer, "planned", False)
