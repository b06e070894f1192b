"""A layer's value, its products J' v and J d and their derivative, each as what one `torch.autograd.Function` computes of tensors.

    Call      y = f(x, *params)            backward and jvp: Tmv and Mv
    Tmv       J' v for some variables      backward and jvp: Mv by v, Second by x and the parameters
    Mv        J d                          backward: Tmv by d, Second by x and the parameters; jvp: Mv by d
    Second    the derivative of J' v along directions, exact (`Jacobian.hessian_mv`)

The tensors of products are vectors, then the point: x, the parameters and y, which depends on these.
"""

import copy
import inspect
from contextlib import suppress

import numpy as np
import torch
from torch.autograd import forward_ad

from ..layers import Layer
from ..layers.planned import PlannedLayer
from ..network.container import Container
from .tensors import Unreadable, array, place, pointers, tensor

ONCE = "trying to differentiate twice a function of fastlec.torch, which is once_differentiable: {}"
NO_SECOND = "a {} has no exact second derivative; give it a method hessian_mv(kept, v, directions, wrt)"
FORWARD = "take backward over forward, or forward over backward, which are exact, and not forward over forward"
THIRD = "trying to differentiate three times a function of fastlec.torch, whose second derivatives are once_differentiable"

SMALL = 1 << 16  # values of x and parameters: up to so many, copies for plans that are kept take less time than new plans


def _arguments(forward):
    """Says beforehand what `apply` asks of a signature at each call, which takes longer than a small layer."""
    forward.__signature__ = inspect.Signature([inspect.Parameter("arguments", inspect.Parameter.VAR_POSITIONAL)])
    return forward


class Function(torch.autograd.Function):
    """What one of the classes below computes of tensors."""

    @staticmethod
    @_arguments
    def forward(call, *tensors):
        return call.value(*tensors)

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.call, *tensors = inputs
        ctx.transformed = not isinstance(ctx, torch.autograd.function.FunctionCtx)  # by torch.func
        ctx.set_materialize_grads(False)
        # The arrays of the Jacobian are the memory of these, and PyTorch tells who writes to them.
        saved = ctx.call.point(tensors, output)
        ctx.save_for_backward(*saved)
        ctx.save_for_forward(*saved)

    @staticmethod
    def backward(ctx, *v):
        wanted = ctx.needs_input_grad[1:]
        if not any(wanted) or all(a is None for a in v):
            return (None,) * (1 + len(wanted))
        return None, *ctx.call.backward(v, wanted, ctx.saved_tensors, ctx.transformed)

    @staticmethod
    def jvp(ctx, _, *directions):
        return ctx.call.jvp(directions, ctx.saved_tensors)

    @staticmethod
    def vmap(info, in_dims, call, *tensors):
        mapped = [dim is not None for dim in in_dims[1:]]
        fronts = [t if dim is None else t.movedim(dim, 0) for t, dim in zip(tensors, in_dims[1:], strict=True)]
        found = over(call, info.batch_size, mapped, fronts)
        return found, tuple(0 for _ in found) if isinstance(found, tuple) else 0


def applied(call, *tensors):
    """`Function` of them, also within PyTorch's older vmap, that of gradcheck and is_grads_batched, which passes by the method of
    that name."""
    try:
        return Function.apply(call, *tensors)
    except Unreadable:
        level = torch._C._vmapmode_increment_nesting() - 1
        torch._C._vmapmode_decrement_nesting()
        if not level:
            raise
    size, fronts = 0, tensors
    while level and not size:
        fronts = [torch._remove_batch_dim(t, level, 0, 0) for t in tensors]  # no rows of what is not mapped at this level
        size, level = max(map(len, fronts)), level - 1
    mapped = [len(front) > 0 for front in fronts]
    found = over(call, size, mapped, [front if m else t for front, m, t in zip(fronts, mapped, tensors, strict=True)])
    one = not isinstance(found, tuple)
    found = tuple(torch._add_batch_dim(a, 0, level + 1) for a in ((found,) if one else found))
    return found[0] if one else found


def evaluated(call, x, *params):
    """`applied` of a layer's call, or its value alone where nobody can ask for a derivative."""
    if not (torch.is_grad_enabled() or torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0):
        with suppress(Unreadable):
            return tensor(call.at_params(params)(array(x)), call.layer)
    return applied(call, x, *params)


def over(call, size, mapped, tensors):
    """What vmap makes of it: results along a first axis of this size, which the tensors have that are mapped."""
    found = call.together(size, mapped, tensors)
    if found is not None:
        return found

    def row(i):
        taken = [t if not m else t[i] if size else t.new_zeros(t.shape[1:]) for t, m in zip(tensors, mapped, strict=True)]
        return applied(call.row(i, mapped), *taken)

    rows = [row(i) for i in range(max(size, 1))]
    if isinstance(rows[0], tuple):
        return tuple(torch.stack(column)[:size] for column in zip(*rows, strict=True))
    return torch.stack(rows)[:size]


def _final(tensors):
    """Whether nobody can ask for a derivative of what is computed of these."""
    return not any(
        torch._C._functorch.is_functorch_wrapped_tensor(t)
        or (t.requires_grad and torch.is_grad_enabled())
        or forward_ad.unpack_dual(t).tangent is not None
        for t in tensors
    )


def _folded(tensors, mapped):
    """Those that are mapped, with the mapped axis and that of their samples as one."""
    return [t.flatten(0, 1) if m else t for t, m in zip(tensors, mapped, strict=True)]


class Call:
    """One call of a layer: its value, and what that leaves to the derivatives. own : the places of the layer's parameters
    (`tensors.places`). buffers : arrays, where the layer's may have changed since the call. dual : whether forward AD had tangents
    of what it got."""

    def __init__(self, layer, own, buffers=None):
        self.layer, self.own, self.buffers = layer, own, buffers
        self.dual, self.at, self.jac, self.inner = False, None, None, {}

    def within(self, key):
        """A call that is a part of this one, or this one for all that vmap maps, always the same for its derivatives."""
        return self.inner.setdefault(key, Call(self.layer, self.own, self.buffers))

    def at_params(self, params):
        """The layer with these parameters: itself where they are its own."""
        if list(map(place, params)) == self.own:
            return self.layer
        return self.layer.with_params(dict(zip(self.layer.params, map(array, params), strict=True)))

    def linearized(self, x, *params):
        """The layer's Jacobian at these tensors."""
        x, layer = array(x), self.at_params(params)
        if self.jac is not None and self.buffers is not None:
            layer = copy.deepcopy(layer)
            for a, then in zip(layer.buffers.values(), self.buffers, strict=True):
                np.copyto(a, then)
        if not getattr(layer, "_planned", False):
            return layer.linearize(x)[1]
        # A planned layer's linearize makes y read-only; of a tensor, PyTorch sees to it that what is saved is not written to.
        small = layer is self.layer and x.size + layer.n_params <= SMALL
        return (layer._linearized(x) if small else Layer.linearize(layer, x))[1]

    def jacobian(self, *point):
        """The Jacobian of the call, by what PyTorch has saved: the tensors and y. Where it gives copies, because of hooks or since
        the tensors were written to, it is computed anew: they, not the memory of the call, have the values of then."""
        return self.jac if pointers(*point) == self.at else self.linearized(*point[:-1])

    def value(self, *tensors):
        """y, and keeps the Jacobian, whose arrays are the memory of the tensors and of y."""
        self.jac = self.linearized(*tensors)
        y = tensor(self.jac.y, self.layer)
        self.at = pointers(*tensors, y)
        return y

    def point(self, tensors, y):
        return (*tensors, y)

    def backward(self, v, wanted, point, transformed):
        names = _chosen(self.layer.variables, wanted)
        product = Tmv(self, names)
        if transformed or torch.is_grad_enabled() or self.dual or forward_ad.unpack_dual(v[0]).tangent is not None:
            found = applied(product, *v, *point)
        else:  # nobody can ask for a derivative of this
            try:
                found = product.value(*v, *point)
            except Unreadable:
                found = applied(product, *v, *point)
        return _placed(found, wanted)

    def jvp(self, directions, point):
        self.dual = True
        names, given = _given(self.layer.variables, directions)
        return applied(Mv(self, names), *given, *point)

    def row(self, i, mapped):
        return self.within(i)

    def together(self, size, mapped, tensors):
        if any(mapped[1:]) or self.layer.couples_samples or tensors[0].ndim < 2:
            return None
        x, *params = tensors
        y = applied(self.within("all"), x.flatten(0, 1), *params)
        return y.reshape(*x.shape[:2], *y.shape[1:])


class _Product:
    """What products have in common. names : of the variables whose J' v or directions there are. count : of vectors."""

    def __init__(self, call, names):
        self.call, self.names, self.count = call, names, 1

    def point(self, tensors, output):
        return tensors

    def split(self, tensors):
        """(the vectors, the point)."""
        return tensors[: self.count], tensors[self.count :]

    def row(self, i, mapped):
        if not any(mapped[self.count :]):
            return self
        other = copy.copy(self)
        other.call = self.call.within(i)
        return other

    def _folds(self, mapped):
        """Whether the mapped axis may be one with that of the samples: of x and y it is, and of no parameter."""
        at, *params, _ = mapped[self.count :]
        return at and not any(params) and not self.call.layer.couples_samples

    def second(self, v, wanted, given, directions, point):
        """The derivative of <v, J d> by the variables wanted."""
        names = _chosen(self.call.layer.variables, wanted)
        return _placed(applied(Second(self.call, given, names), v, *directions, *point) if names else (), wanted)


class Tmv(_Product):
    """J' v for the variables `names`."""

    def value(self, v, *point):
        found = self.call.jacobian(*point).tmv(array(v), self.names)
        return tuple(tensor(found[name], self.call.layer) for name in self.names)

    def backward(self, u, wanted, tensors, transformed):
        (v,), point = self.split(tensors)
        names, given = _given(self.names, u)
        by_v = applied(Mv(self.call, names), *given, *point) if wanted[0] else None
        return by_v, *self.second(v, wanted[1:], names, given, point)

    def jvp(self, directions, tensors):
        (v,), point = self.split(tensors)
        terms, (names, given) = [], _given(self.call.layer.variables, directions[1:])
        if directions[0] is not None:
            terms.append(applied(self, directions[0], *point))
        if given:
            terms.append(applied(Second(self.call, names, self.names), v, *given, *point))
        return tuple(sum(parts[1:], parts[0]) for parts in zip(*terms, strict=True))

    def together(self, size, mapped, tensors):
        (v, *point), layer = tensors, self.call.layer
        if not any(mapped[1:]):
            if not _final(tensors):
                return None
            found = self.call.jacobian(*point).tmv_many(array(v), self.names)
            return tuple(tensor(found[name], layer) for name in self.names)
        params = tuple(name for name in self.names if name != "x")
        one = not params or (point[0].ndim > 1 and point[0].shape[1] == 1 and _final(tensors))
        if not self._folds(mapped) or not one or point[0].ndim < 2:
            return None
        v = v if mapped[0] else v.expand(size, *v.shape)
        product, parts = Tmv(self.call.within("all"), ("x",)), _folded([v, *point], [True, *mapped[1:]])
        found = {}
        if "x" in self.names:
            found["x"] = applied(product, *parts)[0].reshape(point[0].shape)
        if params:  # samples by themselves, each alone in its row
            gradients = product.call.jacobian(*parts[1:]).tmv(array(parts[0]), params, per_sample=True)
            found |= {name: tensor(a, layer) for name, a in gradients.items()}
        return tuple(found[name] for name in self.names)


class Mv(_Product):
    """J times directions of the variables `names`, their sum."""

    def __init__(self, call, names):
        super().__init__(call, names)
        self.count = len(names)

    def value(self, *tensors):
        directions, point = self.split(tensors)
        return tensor(
            self.call.jacobian(*point).mv(**dict(zip(self.names, map(array, directions), strict=True))), self.call.layer
        )

    def backward(self, v, wanted, tensors, transformed):
        directions, point = self.split(tensors)
        names = _chosen(self.names, wanted)
        found = applied(Tmv(self.call, names), *v, *point) if names else ()
        by_directions = _placed(found, wanted[: self.count])
        return *by_directions, *self.second(*v, wanted[self.count :], self.names, directions, point)

    def jvp(self, directions, tensors):
        moved, by_point = self.split(directions)
        if any(d is not None for d in by_point):
            raise RuntimeError(ONCE.format(FORWARD))
        names, given = _given(self.names, moved)
        return applied(Mv(self.call, names), *given, *self.split(tensors)[1])

    def together(self, size, mapped, tensors):
        directions, point = self.split(tensors)
        if not any(mapped[self.count :]):
            if not _final(tensors):
                return None
            many = [d if m else d.expand(size, *d.shape) for d, m in zip(directions, mapped, strict=False)]
            found = self.call.jacobian(*point).mv_many(**dict(zip(self.names, map(array, many), strict=True)))
            return tensor(found, self.call.layer)
        if self.names != ("x",) or not self._folds(mapped) or point[0].ndim < 2:
            return None
        (dx,) = directions
        parts = _folded([dx if mapped[0] else dx.expand(size, *dx.shape), *point], [True, *mapped[1:]])
        dy = applied(Mv(self.call.within("all"), self.names), *parts)
        return dy.reshape(point[-1].shape)


class Second(_Product):
    """The derivative of J' v, for the variables wrt, along directions of the variables `names`."""

    def __init__(self, call, names, wrt):
        super().__init__(call, names)
        self.count, self.wrt = 1 + len(names), wrt

    def value(self, *tensors):
        for layer in _inexact(self.call.layer):
            raise RuntimeError(ONCE.format(NO_SECOND.format(type(layer).__name__)))
        (v, *directions), point = self.split(tensors)
        directions = dict(zip(self.names, map(array, directions), strict=True))
        found = self.call.jacobian(*point).hessian_mv(array(v), self.wrt, **directions)
        return tuple(tensor(found[name], self.call.layer) for name in self.wrt)

    def backward(self, *arguments):
        raise RuntimeError(THIRD)

    jvp = backward

    def together(self, size, mapped, tensors):
        return None


def _inexact(layer):
    """The layers in it whose `Jacobian.hessian_mv` is of differences."""
    if isinstance(layer, Container) and not layer._planned:
        return [inner for own in layer.layers for inner in _inexact(own)]
    if isinstance(layer, PlannedLayer):
        exact = layer._plans_second or "hessian_mv" in layer._overridden
    else:
        exact = hasattr(layer, "hessian_mv")
    return [] if exact else [layer]


def _chosen(names, wanted):
    return tuple(name for name, needed in zip(names, wanted, strict=False) if needed)


def _given(names, tensors):
    """(the names, the tensors) of those that there are."""
    pairs = [(name, t) for name, t in zip(names, tensors, strict=False) if t is not None]
    return tuple(name for name, _ in pairs), [t for _, t in pairs]


def _placed(found, wanted):
    """What was found in the places where it is wanted, else None."""
    found = iter(found)
    return tuple(next(found, None) if needed else None for needed in wanted)
