"""Layers and networks as functions of PyTorch's autograd (lecture 4.2): backward is JacTMV, and jvp is JacMV."""

from __future__ import annotations

import copyreg

import torch

from .. import _check
from ..layers import Layer
from .products import Call, Function, evaluated
from .tensors import check, places


def function(layer: Layer) -> type[_OfLayer]:
    """A layer or network y = f(theta, x) as a function of PyTorch's autograd (lecture 4.2): backward is JacTMV, jvp is JacMV.

    It is a subclass of torch.autograd.Function, for ``loss.backward()``, ``torch.autograd.forward_ad`` and ``torch.func.grad``,
    ``vjp``, ``jvp`` and ``vmap``.

    Parameters
    ----------
    layer : Layer
        A layer or a network, also of one's own. It gives the function its settings and its buffers, which calls leave as they are:
        batch normalisation with ``training=True`` normalises by the batch and moves no running statistics.

    Returns
    -------
    type
        The function f. It takes x and one tensor for each of ``layer.params``, in their order, which is that of theta:
        ``f.apply(x, W, b)``, or ``f(x, W, b)``. Shapes are those that the layer takes. All tensors are of the CPU and of one dtype,
        torch.float32 or torch.float64, whatever the layer's own is, and so is y.

    Raises
    ------
    TypeError
        If layer is none. Of f: if an argument is no such tensor, there are more or fewer, or one is given by name.
    ValueError
        Of f: if shapes do not fit.
    RuntimeError
        Of f: within torch.autocast, and for what has no exact derivative, when it is asked for. These are forward over forward,
        third derivatives, and second ones of a layer of one's own that has no ``hessian_mv``.

    See Also
    --------
    Module, fastlec.Layer

    Notes
    -----
    Derivatives of derivatives are exact too, by the products of `Jacobian.hessian_mv`: backward over backward, backward over
    forward and forward over backward. vmap folds the mapped axis of x into that of the samples, where they do not depend on each
    other and x alone is mapped, and several vectors v or directions are one call; else it is a loop.

    Contiguous tensors are not copied, but for a network's parameters, which go into one theta unless they are the memory of
    ``net.params`` already, as in the example.

    Between a call and its backward pass none of them, nor y, nor buffers, may be written to. What PyTorch writes it refuses
    afterwards, with a RuntimeError, or keeps a copy of the old values, within ``allow_mutation_on_saved_tensors``. **What NumPy or
    fastlec writes into that memory it does not see**: after ``net.theta = ...``, ``W.numpy()[...] = ...`` or a
    `fastlec.training_step` a backward pass of an earlier call is wrong without a word. So go backward first.

    f can be pickled, by pickle and torch.save, where the layer can be: what is loaded is the function of a copy.

    Examples
    --------
    >>> import torch
    >>> layer = fastlec.Dense(3, 2, "tanh", rng=0)
    >>> f = fastlec.torch.function(layer)
    >>> params = [torch.from_numpy(a).requires_grad_() for a in layer.params.values()]
    >>> f(torch.ones(5, 3, dtype=torch.float64), *params).sum().backward()
    >>> [tuple(p.grad.shape) for p in params]
    [(2, 3), (2,)]
    """
    check_layer(layer)
    return _Kind(f"{type(layer).__name__}Function", (_OfLayer,), {"layer": layer, "own": places(layer)})


def check_layer(layer: Layer, name: str = "layer") -> None:
    """TypeError unless it is one."""
    if not isinstance(layer, Layer):
        raise TypeError(f"{name} is {_check.shown(layer)}; expected a Layer or a Network")


class _OfLayer(Function):
    """What users call. PyTorch's transforms call `Function`, by the arguments that this gives it."""

    def __new__(cls, *tensors: torch.Tensor, **named: torch.Tensor) -> torch.Tensor:
        return cls.apply(*tensors, **named)

    @classmethod
    def apply(cls, *tensors: torch.Tensor, **named: torch.Tensor) -> torch.Tensor:
        if named:
            expected = ", ".join(cls.layer.variables)
            raise TypeError(f"{', '.join(named)} is given by name; expected tensors by position, {expected}")
        check(cls.layer.variables, tensors)
        return evaluated(Call(cls.layer, cls.own), *tensors)


class _Kind(type(_OfLayer)):
    """The type of what `function` makes, by which pickle knows it."""


def _reduced(made):
    """For pickle: a function by its layer; a class that somebody derived from one by its name, as classes are."""
    return (function, (made.layer,)) if "layer" in vars(made) else made.__qualname__


copyreg.pickle(_Kind, _reduced)
