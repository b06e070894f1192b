"""Models of PyTorch as networks, and networks as models of PyTorch, parameters and running statistics included."""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import nn

from .. import _check, layers
from ..network import Concat, Network, Sum
from ..network.state import THEIRS
from . import modules
from .modules import Module
from .tensors import DTYPES, array

# --- from PyTorch ----------------------------------------------------------------------------------------------------


def from_torch(module: nn.Module) -> Network:
    """The network that computes what a module of PyTorch does, with copies of its parameters and running statistics.

    net(x) is module.eval()(x), and its form for training is module.train()(x), to rounding, dropout's masks aside.

    Parameters
    ----------
    module : torch.nn.Module
        A Linear, Conv1d, Conv2d, ConvTranspose2d, BatchNorm1d (of features), BatchNorm2d, LayerNorm (of one axis), MaxPool1d,
        MaxPool2d, AvgPool1d, AvgPool2d, AdaptiveAvgPool2d(1) before Flatten, Upsample (nearest), Flatten, Dropout, Identity, ReLU,
        LeakyReLU, ELU, GELU, SiLU, Sigmoid, Softplus (that of fastlec, without a threshold), Tanh, Sequential, or a
        `fastlec.torch.Module`, `Sum` or `Concat`; of the CPU, in torch.float32 or torch.float64.

    Returns
    -------
    Network
        The network, of the module's dtype. An activation after a Linear or a convolution becomes that layer's own.

    Raises
    ------
    TypeError
        If there is another module, which it names with its place, or another dtype.
    ValueError
        If fastlec has not a setting, or parameters are used twice.

    See Also
    --------
    to_torch, Module

    Notes
    -----
    A module of one's own, such as a residual block, says in a method ``to_fastlec()`` which modules or layers compute it one after
    the other: one of them, or a list.

    Examples
    --------
    >>> from torch import nn
    >>> net = fastlec.torch.from_torch(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)))
    >>> net.layers[0].activation, net.output_shape((4,))
    ('relu', (3,))

    >>> class Block(nn.Module):
    ...     def __init__(self, n):
    ...         super().__init__()
    ...         self.inner = nn.Sequential(nn.Linear(n, n), nn.ReLU(), nn.Linear(n, n))
    ...     def forward(self, x):
    ...         return torch.relu(x + self.inner(x))
    ...     def to_fastlec(self):
    ...         return [fastlec.torch.Sum(nn.Identity(), self.inner), nn.ReLU()]
    >>> fastlec.torch.from_torch(nn.Sequential(nn.Linear(2, 8), Block(8), nn.Linear(8, 3))).output_shape((2,))
    (3,)
    """
    if not isinstance(module, nn.Module):
        raise TypeError(f"module is {_check.shown(module)}; expected a torch.nn.Module")
    found = [(name, t.dtype) for name, t in module.named_parameters()]
    for name, dtype in found:
        if dtype not in DTYPES or dtype != found[0][1]:
            raise TypeError(f"{name} has dtype {dtype}; expected torch.float32 or torch.float64, one for all")
    dtype = np.dtype(str(found[0][1]).removeprefix("torch.")) if found else np.dtype(np.float32)
    return Network(_Reading(dtype).layers(module, "") or [layers.Activation("identity")])


class _Reading:
    """The layers of modules, in a dtype."""

    def __init__(self, dtype):
        self.dtype, self.seen = dtype, {}

    def layers(self, module, where, following=None):
        """The layers, one after the other, of a module at this place; following : the module after it."""
        place = f"{where or 'module'}, a {type(module).__name__}"
        if isinstance(module, layers.Layer):
            return [module]
        if not isinstance(module, nn.Module):
            raise TypeError(f"{place}, is neither a module nor a layer")
        if module._parameters and self.seen.setdefault(id(module), where) != where:
            raise ValueError(f"{place}, is {self.seen[id(module)]} too; expected parameters that are used once")
        if hasattr(module, "to_fastlec"):
            parts = module.to_fastlec()
            parts = parts if isinstance(parts, list | tuple) else [parts]
            return self.chain([(f"{where}[{i}]", part) for i, part in enumerate(parts)])
        if isinstance(module, nn.Sequential):
            return self.chain([(f"{where}.{name}".lstrip("."), part) for name, part in module._modules.items()])
        if isinstance(module, Module):
            return list(module.layer.layers) if type(module.layer) is Network else [module.layer]
        if isinstance(module, modules.Branches):
            kind = Sum if isinstance(module, modules.Sum) else Concat
            return [kind([self.one(part, f"{where}.{name}".lstrip(".")) for name, part in module._modules.items()])]
        if isinstance(module, nn.AdaptiveAvgPool2d) and not isinstance(following, nn.Flatten):
            raise ValueError(f"{place}, has no Flatten after it; expected one, for GlobalAvgPool2d gives features")
        for kind, (make, only) in _READERS.items():
            if type(module) is kind:
                for name, values in only.items():
                    if getattr(module, name) not in values:
                        given = f"{name}={getattr(module, name)!r}"
                        raise ValueError(f"{place}, has {given}; expected {' or '.join(map(repr, values))}")
                try:
                    return [self.filled(layer, module) for layer in make(module, self.dtype)]
                except (TypeError, ValueError) as error:
                    raise type(error)(f"{place}: {error}") from None
        names = ", ".join(kind.__name__ for kind in _READERS)
        raise TypeError(
            f"{place}, has no layer of fastlec's; expected {names}, or a Sequential of them; forward is not"
            " read: give the class a method to_fastlec() that says its parts, or load what torch.onnx.export writes of it"
        )

    def chain(self, parts):
        found = []
        for i, (where, part) in enumerate(parts):
            following = next((module for _, module in parts[i + 1 :] if not isinstance(module, nn.Identity)), None)
            for layer in self.layers(part, where, following):
                last = found[-1] if found else None
                straight = isinstance(last, layers.affine.Affine) and last.activation == "identity"
                if straight and type(layer) is layers.Activation and layer.activation != "identity":
                    found[-1] = last.with_settings(activation=layers.activation.settled(layer))
                else:
                    found.append(layer)
        return found

    def one(self, module, where):
        """A module as one layer."""
        found = self.layers(module, where) or [layers.Activation("identity")]
        return found[0] if len(found) == 1 else Network(found)

    def filled(self, layer, module):
        """The layer, with what the module holds."""
        held = {name: t for name, t in (module._parameters | module._buffers).items() if t is not None and t.ndim}
        own = {THEIRS[name]: a for name, a in (layer.params | layer.buffers).items() if name in THEIRS}
        if held.keys() != own.keys():
            raise ValueError(f"it holds {', '.join(held) or 'nothing'}; expected {', '.join(own) or 'nothing'}")
        for name, t in held.items():
            own[name][...] = array(t)
        layer._keep_params()
        return layer


def _first(values):
    """Of a setting of signals: a number, or a tuple with one."""
    return values if isinstance(values, int | str) else values[0]


def _convolution(kind, names, value=lambda a: a):
    def make(m, dtype):
        settings = {name: value(getattr(m, name)) for name in names}
        given = m.in_channels, m.out_channels, value(m.kernel_size)
        return [kind(*given, bias=m.bias is not None, dtype=dtype, **settings)]

    return make


def _layer_norm(m, dtype):
    if len(m.normalized_shape) != 1:
        raise ValueError(f"normalized_shape is {m.normalized_shape}; expected one axis")
    return [layers.LayerNorm(*m.normalized_shape, m.eps, m.elementwise_affine, m.bias is not None, dtype=dtype)]


def _activation(name, *parameters):
    return lambda m, _: [layers.Activation(name, **{own: getattr(m, own) for own in parameters})]


_CONV = ("stride", "padding", "dilation", "groups")
_ZEROS = {"padding_mode": ("zeros",)}
_TRACKED = {"track_running_stats": (True,)}
_READERS = {
    nn.Linear: (
        lambda m, dtype: [layers.Dense(m.in_features, m.out_features, "identity", m.bias is not None, dtype=dtype)],
        {},
    ),
    nn.Conv1d: (_convolution(layers.Conv1d, _CONV, _first), _ZEROS),
    nn.Conv2d: (_convolution(layers.Conv2d, _CONV), _ZEROS),
    nn.ConvTranspose2d: (_convolution(layers.ConvTranspose2d, (*_CONV, "output_padding")), _ZEROS),
    nn.BatchNorm1d: (lambda m, dtype: [layers.BatchNorm(m.num_features, m.eps, m.momentum, m.affine, dtype=dtype)], _TRACKED),
    nn.BatchNorm2d: (
        lambda m, dtype: [layers.BatchNorm2d(m.num_features, m.eps, m.momentum, dtype=dtype)],
        _TRACKED | {"affine": (True,)},
    ),
    nn.LayerNorm: (_layer_norm, {}),
    nn.MaxPool1d: (
        lambda m, _: [layers.MaxPool1d(_first(m.kernel_size), _first(m.stride), _first(m.padding))],
        {"dilation": (1,), "ceil_mode": (False,), "return_indices": (False,)},
    ),
    nn.MaxPool2d: (
        lambda m, _: [layers.MaxPool2d(m.kernel_size, m.stride, m.padding, dilation=m.dilation, ceil_mode=m.ceil_mode)],
        {"return_indices": (False,)},
    ),
    nn.AvgPool1d: (
        lambda m, _: [layers.AvgPool1d(_first(m.kernel_size), _first(m.stride), _first(m.padding))],
        {"ceil_mode": (False,), "count_include_pad": (True,)},
    ),
    nn.AvgPool2d: (
        lambda m, _: [layers.AvgPool2d(m.kernel_size, m.stride, m.padding, m.ceil_mode, m.count_include_pad)],
        {"divisor_override": (None,)},
    ),
    nn.AdaptiveAvgPool2d: (lambda m, _: [layers.GlobalAvgPool2d()], {"output_size": (1, (1, 1))}),
    nn.Upsample: (lambda m, _: [layers.Upsample2d(_whole(m.scale_factor))], {"mode": ("nearest",), "size": (None,)}),
    nn.Flatten: (lambda m, _: [layers.Flatten()], {"start_dim": (1,), "end_dim": (-1,)}),
    nn.Dropout: (lambda m, _: [layers.Dropout(m.p)], {}),
    nn.Identity: (lambda m, _: [], {}),
    nn.ReLU: (_activation("relu"), {}),
    nn.LeakyReLU: (_activation("leaky_relu", "negative_slope"), {}),
    nn.ELU: (_activation("elu", "alpha"), {}),
    nn.GELU: (_activation("gelu", "approximate"), {}),
    nn.SiLU: (_activation("silu"), {}),
    nn.Sigmoid: (_activation("sigmoid"), {}),
    nn.Softplus: (_activation("softplus"), {"beta": (1,)}),
    nn.Tanh: (_activation("tanh"), {}),
}


def _whole(factor):
    """A scale factor, which PyTorch keeps as floats, as whole numbers where it is such."""
    factors = tuple(int(f) if f == int(f) else f for f in (factor if isinstance(factor, tuple) else (factor,)))
    return factors if len(factors) > 1 else factors[0]


# --- to PyTorch ------------------------------------------------------------------------------------------------------


def to_torch(net: layers.Layer) -> nn.Sequential:
    """The torch.nn.Sequential that computes what a layer or network does, of PyTorch's own modules.

    It has copies of the parameters and running statistics, in their dtype. module.eval()(x) is net(x), and module.train()(x) is its
    form for training, to rounding, dropout's masks aside.

    Parameters
    ----------
    net : Layer
        A layer or a network.

    Returns
    -------
    torch.nn.Sequential
        The module. Residual layers and branches become `fastlec.torch.Sum` and `Concat` of modules. What PyTorch has no module for,
        such as a layer of one's own or padding "same" of pools, becomes a `fastlec.torch.Module` of a copy.

    Raises
    ------
    TypeError
        If net is no layer.

    See Also
    --------
    from_torch, Module

    Examples
    --------
    >>> fastlec.torch.to_torch(fastlec.Network([fastlec.Dense(4, 8, "relu"), fastlec.Dense(8, 3, "identity")]))
    Sequential(
      (0): Linear(in_features=4, out_features=8, bias=True)
      (1): ReLU()
      (2): Linear(in_features=8, out_features=3, bias=True)
    )
    """
    if not isinstance(net, layers.Layer):
        raise TypeError(f"net is {_check.shown(net)}; expected a Layer or a Network")
    return nn.Sequential(*_modules(net))


def _modules(layer):
    if type(layer) is Network:
        return [module for inner in layer.layers for module in _modules(inner)]
    if type(layer) in (Sum, Concat):
        return [(modules.Sum if type(layer) is Sum else modules.Concat)(*map(_branch, layer.layers))]
    writer = _WRITERS.get(type(layer))
    found = writer(layer) if writer and not getattr(layer, "training", False) else None
    return [Module(copy.deepcopy(layer))] if found is None else found


def _branch(layer):
    found = _modules(layer)
    return found[0] if len(found) == 1 else nn.Sequential(*found)


def _with(module, *arrays):
    """The module, holding these: its parameters and then its buffers; None for one that it has not."""
    names = [name for held in (module._parameters, module._buffers) for name in held if held[name] is None or held[name].ndim]
    for name, a in zip(names, arrays, strict=True):
        if a is not None:
            held = module._parameters if name in module._parameters else module._buffers
            t = torch.tensor(a)
            held[name] = nn.Parameter(t) if held is module._parameters else t
    return module


def _activated(module, layer):
    """[the module, the activation of the layer]; None where that is the user's own."""
    activation = layers.activation.layer_of(layer.activation)
    after = _written_activation(activation)
    return None if after is None else [*(module if isinstance(module, list) else [module]), *after]


def _written_activation(layer):
    if type(layer) is not layers.Activation:
        return None
    if layer.activation == "identity":
        return []
    kind, *names = _ACTIVATIONS[layer.activation]
    return [kind(*(getattr(layer, name) for name in names))]


def _linear(W, b=None):
    return _with(nn.utils.skip_init(nn.Linear, W.shape[1], W.shape[0], b is not None), W, b)


def _conv(kind, W, b, padding, **settings):
    """[a convolution, where it needs one after its padding]; None where PyTorch has none such."""
    before, signals = [], kind is nn.Conv1d
    if padding == "same" and set(np.ravel(settings["stride"])) != {1}:
        return None
    if not isinstance(padding, str):
        pairs = (padding,) if signals else padding
        if all(a == b for a, b in pairs):
            padding = tuple(a for a, _ in pairs)
        else:
            pad = nn.ConstantPad1d if signals else nn.ConstantPad2d
            before, padding = [pad([n for pair in reversed(pairs) for n in pair], 0.0)], 0
    groups = settings.get("groups", 1)
    made = nn.utils.skip_init(
        kind, W.shape[1] * groups, W.shape[0], W.shape[2:], padding=padding, bias=b is not None, **settings
    )
    return [*before, _with(made, W, b)]


def _written_conv(kind):
    def write(layer):
        settings = {name: getattr(layer, name) for name in ("stride", "dilation", "groups")}
        made = _conv(kind, layer.params["W"], layer.params.get("b"), layer.padding, **settings)
        return made and _activated(made, layer)

    return write


def _written_transposed(layer):
    (top, bottom), (left, right) = layer.padding
    if top != bottom or left != right:
        return None
    settings = {name: getattr(layer, name) for name in ("stride", "output_padding", "groups", "dilation")}
    given = layer.c_in, layer.c_out, layer.kernel_size
    made = nn.utils.skip_init(nn.ConvTranspose2d, *given, padding=(top, left), bias=layer.bias, **settings)
    return _activated(_with(made, layer.params["W"], layer.params.get("b")), layer)


def _written_residual(layer):
    W1, b, W2 = layer.params.values()
    images, projected = W1.ndim == 4, "Projected" in type(layer).__name__
    if images:
        centred = [tuple(((taps - 1) // 2, taps // 2) for taps in W.shape[2:]) for W in (W1, W2)]
        strides = [layer.stride] * 2 if projected else [(1, 1)] * 2
        first, second = (
            _conv(nn.Conv2d, W, bias, padding, stride=stride)
            for W, bias, padding, stride in zip((W1, W2), (b, None), centred, strides, strict=True)
        )
    else:
        first, second = [_linear(W1, b)], [_linear(W2)]
    first = _activated(first, layer)
    if first is None:
        return None
    if projected:
        return [modules.Sum(nn.Sequential(*second), nn.Sequential(*first))]
    return [modules.Sum(nn.Identity(), nn.Sequential(*first, *second))]


def _written_norm(kind):
    def write(layer):
        arrays = [layer.params.get("gamma"), layer.params.get("beta"), *layer.buffers.values()]
        if kind is nn.LayerNorm:
            made = kind(layer.n, layer.eps, layer.elementwise_affine, layer.bias)
        else:
            made = kind(*layer.buffers["running_mean"].shape, layer.eps, layer.momentum, bool(layer.params))
        return [_with(made, *arrays)]

    return write


def _written_pool(kind, *names):
    def write(layer):
        settings = {name: getattr(layer, name) for name in names}
        return None if settings["padding"] == "same" else [kind(**settings)]

    return write


_POOL = ("kernel_size", "stride", "padding")
_WRITERS = {
    layers.Dense: lambda layer: _activated(_linear(*layer.params.values()), layer),
    layers.Conv1d: _written_conv(nn.Conv1d),
    layers.Conv2d: _written_conv(nn.Conv2d),
    layers.ConvTranspose2d: _written_transposed,
    layers.Residual: _written_residual,
    layers.ProjectedResidual: _written_residual,
    layers.ConvResidual: _written_residual,
    layers.ProjectedConvResidual: _written_residual,
    layers.BatchNorm: _written_norm(nn.BatchNorm1d),
    layers.BatchNorm2d: _written_norm(nn.BatchNorm2d),
    layers.LayerNorm: _written_norm(nn.LayerNorm),
    layers.MaxPool1d: _written_pool(nn.MaxPool1d, *_POOL),
    layers.AvgPool1d: _written_pool(nn.AvgPool1d, *_POOL),
    layers.MaxPool2d: _written_pool(nn.MaxPool2d, *_POOL, "dilation", "ceil_mode"),
    layers.AvgPool2d: _written_pool(nn.AvgPool2d, *_POOL, "ceil_mode", "count_include_pad"),
    layers.GlobalAvgPool2d: lambda layer: [nn.AdaptiveAvgPool2d(1), nn.Flatten()],
    layers.Upsample2d: lambda layer: [nn.Upsample(scale_factor=tuple(map(float, layer.scale_factor)))],
    layers.Flatten: lambda layer: [nn.Flatten()],
    layers.Dropout: lambda layer: [nn.Dropout(layer.p)],
    layers.Activation: lambda layer: _written_activation(layer) or [nn.Identity()],
}
_ACTIVATIONS = {
    "relu": (nn.ReLU,),
    "leaky_relu": (nn.LeakyReLU, "negative_slope"),
    "elu": (nn.ELU, "alpha"),
    "gelu": (nn.GELU,),
    "gelu_tanh": (lambda: nn.GELU("tanh"),),
    "silu": (nn.SiLU,),
    "sigmoid": (nn.Sigmoid,),
    "softplus": (lambda: nn.Softplus(threshold=40),),  # above which it is z in float64 as well
    "tanh": (nn.Tanh,),
}
