"""Layers and networks in PyTorch's autograd, by their own derivatives (lecture 4.2): backward is JacTMV, and jvp is JacMV.

It needs PyTorch, the extra ``torch``. Arrays and tensors of the CPU share memory: x, the parameters of a layer, and v go in as they
lie where they are contiguous, and what a layer of fastlec's own computes comes out as it lies.
"""

try:
    import torch
    from torch.autograd import forward_ad  # which a folder of the name torch has not
except ImportError as error:
    raise ImportError("fastlec.torch needs PyTorch: pip install 'fastlec[torch]'") from error

import copyreg
import inspect

import numpy as np

from . import _check
from .layers import Layer

__all__ = ["function"]

DTYPES = (torch.float32, torch.float64)
TWICE = (
    "trying to differentiate twice a function of fastlec.torch, which is once_differentiable: it has first derivatives alone"
)
VMAP = "vmap over a function of fastlec.torch, or over its derivatives, is not supported: its x has samples in rows"


def function(layer):
    """y = f(theta, x) as a subclass of torch.autograd.Function, for ``loss.backward()``, ``torch.autograd.forward_ad`` and
    ``torch.func.grad``, ``vjp`` and ``jvp``.

    layer : a layer or a network, also of one's own. It gives the function its settings and its buffers, which calls leave as they
    are: batch normalisation with ``training=True`` normalises by the batch and moves no running statistics.

    The result f takes x and one tensor for each of ``layer.params``, in their order, which is that of theta: ``f.apply(x, W, b)``,
    or ``f(x, W, b)``. Shapes are those that the layer takes. All tensors are of the CPU and of one dtype, torch.float32 or
    torch.float64, whatever the layer's own is, and so is y.

    Contiguous tensors are not copied, but for a network's parameters, which go into one theta unless they are the memory of
    ``net.params`` already, as in the example.

    Between a call and its backward pass none of them, nor y, nor buffers, may be written to. What PyTorch writes it refuses
    afterwards, with a RuntimeError, or keeps a copy of the old values, within ``allow_mutation_on_saved_tensors``. **What NumPy or
    fastlec writes into that memory it does not see**: after ``net.theta = ...``, ``W.numpy()[...] = ...`` or a `training_step` a
    backward pass of an earlier call is wrong without a word. So go backward first.

    f can be pickled, by pickle and torch.save, where the layer can be: what is loaded is the function of a copy.

    TypeError for what is no such tensor, another number of them, or tensors by name; ValueError for shapes that do not fit. A
    derivative of a derivative is a RuntimeError when it is asked for, and so is vmap.

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
    own = [(a.ctypes.data, a.shape, getattr(torch, a.dtype.name)) for a in layer.params.values()]
    return _Kind(f"{type(layer).__name__}Function", (_OfLayer,), {"layer": layer, "own": own})


class _Call:
    """One call of a layer: what `forward` leaves to the derivatives. own : the memory of the layer's parameters (`_memory`).
    dual : whether forward AD had tangents of what it got."""

    def __init__(self, layer, own):
        self.layer, self.own, self.dual = layer, own, False

    def linearized(self, x, *params):
        """The layer's Jacobian at these tensors."""
        x, layer = _array(x), self.layer
        if list(map(_memory, params)) != self.own:
            layer = layer.with_params(dict(zip(layer.params, map(_array, params), strict=True)))
        # A planned layer's linearize makes y read-only; of a tensor, PyTorch sees to it that what is saved is not written to.
        return (Layer.linearize(layer, x) if _plans(layer) else layer.linearize(x))[1]

    def evaluate(self, *tensors):
        """y, and keeps the Jacobian, whose arrays are the memory of the tensors and of y."""
        self.jac = self.linearized(*tensors)
        y = _tensor(self.jac.y, self.layer)
        self.at = _pointers(*tensors, y)
        return y

    def jacobian(self, *saved):
        """The Jacobian of the call, by what PyTorch has saved: the tensors and y. Where it gives copies, because of hooks or since
        the tensors were written to, it is computed anew: they, not the memory of the call, have the values of then."""
        return self.jac if _pointers(*saved) == self.at else self.linearized(*saved[:-1])


def _arguments(forward):
    """Says beforehand what `apply` asks of a signature at each call, which takes longer than a small layer."""
    forward.__signature__ = inspect.Signature([inspect.Parameter("arguments", inspect.Parameter.VAR_POSITIONAL)])
    return forward


class _LayerFunction(torch.autograd.Function):
    @staticmethod
    @_arguments
    def forward(call, *tensors):
        return call.evaluate(*tensors)

    @staticmethod
    def setup_context(ctx, inputs, y):
        ctx.call, *tensors = inputs
        ctx.transformed = not isinstance(ctx, torch.autograd.function.FunctionCtx)  # by torch.func
        ctx.set_materialize_grads(False)
        # The arrays of the Jacobian are the memory of these, and PyTorch tells who writes to them.
        ctx.save_for_backward(*tensors, y)
        ctx.save_for_forward(*tensors, y)

    @staticmethod
    def backward(ctx, v):
        layer, wanted, saved = ctx.call.layer, ctx.needs_input_grad[1:], ctx.saved_tensors
        wrt = [name for name, needed in zip(layer.variables, wanted, strict=True) if needed]

        def tmv(v, *saved):
            found = ctx.call.jacobian(*saved).tmv(_array(v), wrt)
            return tuple(_tensor(found[name], layer) for name in wrt)

        if v is None:
            gradients = iter(())
        elif ctx.transformed or torch.is_grad_enabled() or ctx.call.dual or forward_ad.unpack_dual(v).tangent is not None:
            gradients = iter(_Product.apply(tmv, v, *saved))
        else:  # nobody can ask for a derivative of this
            gradients = iter(tmv(v, *saved))
        return None, *(next(gradients, None) if needed else None for needed in wanted)

    @staticmethod
    def jvp(ctx, _, *directions):
        layer, call = ctx.call.layer, ctx.call
        call.dual = True
        given = [name for name, d in zip(layer.variables, directions, strict=True) if d is not None]

        def mv(*tensors):
            directions, saved = tensors[: len(given)], tensors[len(given) :]
            return _tensor(call.jacobian(*saved).mv(**dict(zip(given, map(_array, directions), strict=True))), layer)

        return _Product.apply(mv, *(d for d in directions if d is not None), *ctx.saved_tensors)

    @staticmethod
    def vmap(info, in_dims, *arguments):
        raise RuntimeError(VMAP)


class _OfLayer(_LayerFunction):
    """What users call. PyTorch's transforms call `_LayerFunction`, by the arguments that this gives it."""

    def __new__(cls, *tensors, **named):
        return cls.apply(*tensors, **named)

    @classmethod
    def apply(cls, *tensors, **named):
        if named:
            expected = ", ".join(cls.layer.variables)
            raise TypeError(f"{', '.join(named)} is given by name; expected tensors by position, {expected}")
        _check_tensors(cls.layer, tensors)
        return _LayerFunction.apply(_Call(cls.layer, cls.own), *tensors)


class _Kind(type(_OfLayer)):
    """The type of what `function` makes, by which pickle knows it."""


def _reduced(made):
    """For pickle: a function by its layer; a class that somebody derived from one by its name, as classes are."""
    return (function, (made.layer,)) if "layer" in vars(made) else made.__qualname__


copyreg.pickle(_Kind, _reduced)


class _Product(torch.autograd.Function):
    """product(*vectors, *point), with a Jacobian at a point: it depends on both, and the derivative by either is refused, not
    zero."""

    @staticmethod
    @_arguments
    def forward(product, *tensors):
        return product(*tensors)

    @staticmethod
    def setup_context(ctx, inputs, output):
        pass

    @staticmethod
    def backward(ctx, *v):
        raise RuntimeError(TWICE)

    @staticmethod
    def jvp(ctx, *directions):
        raise RuntimeError(TWICE)

    @staticmethod
    def vmap(info, in_dims, *arguments):
        raise RuntimeError(VMAP)


def _check_tensors(layer, tensors):
    """TypeError unless these are x and the parameters, as tensors that NumPy can read, all of one dtype."""
    names = layer.variables
    if len(tensors) != len(names):
        raise TypeError(f"{len(tensors)} tensors are given; expected {len(names)}, of {_check.shown(names)}")
    for name, tensor in zip(names, tensors, strict=True):
        if not isinstance(tensor, torch.Tensor):
            raise TypeError(f"{name} is a {type(tensor).__name__}; expected a torch.Tensor")
        if not tensor.is_cpu:
            raise TypeError(f"{name} is on the device {tensor.device}; expected a tensor of the CPU: pass {name}.cpu()")
        if tensor.layout != torch.strided:
            raise TypeError(f"{name} has the layout {tensor.layout}; expected a dense tensor: pass {name}.to_dense()")
        if tensor.dtype not in DTYPES:
            raise TypeError(f"{name} has dtype {tensor.dtype}; expected {' or '.join(map(str, DTYPES))}")
        if tensor.dtype != tensors[0].dtype:
            raise TypeError(f"{name} has dtype {tensor.dtype}; expected {tensors[0].dtype}, that of x")


def _array(tensor):
    try:
        return tensor.numpy(force=True)
    except RuntimeError as error:  # of tensors without memory; PyTorch's older vmap passes by the method of that name
        raise RuntimeError(f"NumPy cannot read a tensor: {error}; {VMAP}") from error


def _pointers(*tensors):
    return [t.data_ptr() for t in tensors]


def _memory(tensor):
    """What says where a tensor lies, and how, or None if it is not as arrays of parameters are."""
    return (tensor.data_ptr(), tensor.shape, tensor.dtype) if tensor.is_contiguous() and not tensor.is_neg() else None


def _tensor(array, layer):
    """What a layer computed, as a tensor: in place where it is new memory, as all is that jobs have filled. A method of a user's
    own may give an array that others hold."""
    return torch.from_numpy(array if _plans(layer) else np.array(array, order="C"))


def _plans(layer):
    """Whether jobs compute the layer."""
    return getattr(layer, "planned", False)
