"""Networks as what JSON can hold: {"layers": [{"kind": "Dense", "n_in": ...}, ...]}, of which a network may itself be one."""

import numpy as np

from ..layers.registry import KINDS


def shapes(described, prefix=""):
    """{name: shape} of the parameters and buffers of a described network, without making any. ValueError, TypeError or KeyError
    for what describes none."""
    found = {}
    for i, layer in enumerate(described["layers"]):
        kind, config, start = _parts(layer, prefix, i)
        if kind == "Network":
            found |= shapes(config, start)
        elif kind in KINDS:
            params, buffers = KINDS[kind].declared(**config)
            found |= {start + name: initial.shape for name, initial in (params | buffers).items()}
        else:
            raise ValueError(f"there is no layer {kind!r}; expected one of {', '.join(KINDS)}")
    return found


def build(described, arrays, prefix=""):
    """The described network with these parameters and buffers, which have the shapes that `shapes` says."""
    layers = []
    for i, layer in enumerate(described["layers"]):
        kind, config, start = _parts(layer, prefix, i)
        if kind == "Network":
            layers.append(build(config, arrays, start))
            continue
        own = {name: arrays[start + name] for name in KINDS[kind].declared(**config)[0]}
        made = KINDS[kind](**config, **({"dtype": next(iter(own.values())).dtype} if own else {}))
        for name, a in made.buffers.items():
            a[...] = arrays[start + name]
        layers.append(made.with_params({name: np.ascontiguousarray(a) for name, a in own.items()}))
    return KINDS["Network"](layers)


def made_anew(described):
    """The layers of the described network with parameters and buffers as their constructors make them."""
    parts = [_parts(layer, "", i)[:2] for i, layer in enumerate(described["layers"])]
    return [KINDS[kind](**({"layers": made_anew(config)} if kind == "Network" else config)) for kind, config in parts]


def _parts(layer, prefix, i):
    """(kind, arguments, what the names of its arrays begin with) of a described layer."""
    config = dict(layer)
    return config.pop("kind"), config, f"{prefix}{i}."
