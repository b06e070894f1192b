"""Networks as what JSON can hold: {"layers": [{"kind": "Dense", "n_in": ...}, ...]}; the layers of one that is made of layers, such
as a network, are told likewise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .._typing import FloatArray, Shape
from ..layers.base import Layer
from ..layers.registry import KINDS, made
from .container import Container


def shapes(described: Mapping[str, Any], prefix: str = "") -> dict[str, Shape]:
    """{name: shape} of the parameters and buffers of a described network, without making any. ValueError, TypeError or KeyError
    for what describes none."""
    found = {}
    for i, layer in enumerate(described["layers"]):
        kind, config, start = _parts(layer, prefix, i)
        if _nests(kind):
            found |= shapes(config, start)
        elif kind in KINDS:
            found |= {start + name: a.shape for arrays in _declared(kind, config) for name, a in arrays.items()}
        else:
            what = f"there is no layer {kind!r}; expected one of {', '.join(KINDS)}"
            raise ValueError(f"{what}: register one of your own before, by fastlec.register_layer")
    return found


def build(described: Mapping[str, Any], arrays: Mapping[str, FloatArray], prefix: str = "", kind: str = "Network") -> Container:
    """The described network, or layer of that kind, with these parameters and buffers, which have the shapes that `shapes` says."""
    layers = []
    for i, layer in enumerate(described["layers"]):
        inner, config, start = _parts(layer, prefix, i)
        if _nests(inner):
            layers.append(build(config, arrays, start, inner))
            continue
        own = {name: arrays[start + name] for name in _declared(inner, config)[0]}
        layer = made(inner, config, next(iter(own.values())).dtype if own else None)
        for name, a in layer.buffers.items():
            a[...] = arrays[start + name]
        layers.append(layer.with_params({name: np.ascontiguousarray(a) for name, a in own.items()}))
    return KINDS[kind](layers)


def made_anew(described: Mapping[str, Any]) -> list[Layer]:
    """The layers of the described network with parameters and buffers as their constructors make them."""
    parts = [_parts(layer, "", i)[:2] for i, layer in enumerate(described["layers"])]
    return [made(kind, {"layers": made_anew(config)} if _nests(kind) else config) for kind, config in parts]


def _nests(kind):
    """Whether layers of this kind are made of layers."""
    return kind in KINDS and issubclass(KINDS[kind], Container)


def _declared(kind, config):
    """(parameters, buffers) of a layer, each {name: what has their shape}; of fastlec's own none is made."""
    if KINDS[kind]._of_fastlec:
        return KINDS[kind]._declared(**config)
    layer = made(kind, config)
    return layer.params, layer.buffers


def _parts(layer, prefix, i):
    """(kind, arguments, what the names of its arrays begin with) of a described layer."""
    config = dict(layer)
    if isinstance(config.get("activation"), dict):  # one with a parameter
        kind, arguments, _ = _parts(config["activation"], "", 0)
        if kind != "Activation":
            raise ValueError(f"activation is a {kind}; expected a name or an Activation")
        config["activation"] = made(kind, arguments)
    return config.pop("kind"), config, f"{prefix}{i}."
