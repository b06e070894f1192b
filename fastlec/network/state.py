"""A network's parameters and buffers from another library's, by name or by order."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _check, io

if TYPE_CHECKING:
    from .network import Network

THEIRS = {  # what PyTorch calls the arrays of one layer
    "W": "weight",
    "gamma": "weight",
    "b": "bias",
    "beta": "bias",
    "running_mean": "running_mean",
    "running_var": "running_var",
}
DRAWN = ("seed", "count")  # of dropout, which other libraries do not keep
PASSED_OVER = "num_batches_tracked"
MOST_LINES = 20  # of an error


def load(net: Network, state: Mapping[str, Any] | str | os.PathLike[str], names: Any = None) -> None:
    """`Network.load_state_dict`."""
    ordered = not isinstance(state, str | os.PathLike)
    if not ordered:
        state = io.read_tensors(state)
    if not isinstance(state, Mapping):
        raise TypeError(f"state is a {type(state).__name__}; expected a dict of arrays or tensors by name, or a path")
    given = {str(name): _array(a, name) for name, a in state.items() if str(name).rpartition(".")[2] != PASSED_OVER}
    if isinstance(names, list | tuple):
        given = {name: given[name] for name in names if name in given} | given
        ordered, names = True, None
    own = net.params | net.buffers
    own = {name: a for name, a in own.items() if name in given or name.rpartition(".")[2] not in DRAWN}
    taken = _paired(own, given, names, ordered)
    problems = [f"nothing for {name} of shape {a.shape}" for name, a in own.items() if name not in taken.values()]
    problems += [f"{name}, for which there is no place" for name in given if name not in taken]
    values = {}
    for name, here in taken.items():
        a, to = given[name], own[here]
        if not _check.is_real(a.dtype):
            problems.append(f"{name} of dtype {a.dtype}")
        elif a.shape != to.shape:
            problems.append(f"{name} of shape {a.shape}, for {here} of shape {to.shape}")
        else:
            with np.errstate(over="ignore"):
                values[here] = a.astype(to.dtype)
            if not np.array_equal(np.isfinite(values[here]), np.isfinite(a)):
                problems.append(f"{name} with numbers that {to.dtype} cannot hold")
    if problems:
        more = [f"and {len(problems) - MOST_LINES} more"] if len(problems) > MOST_LINES else []
        raise ValueError("\n    ".join(["state does not fit the network; it has", *problems[:MOST_LINES], *more]))
    for name, a in values.items():
        own[name][...] = a
    net._keep_params()


def _paired(own, given, names, ordered):
    """{name there: name here}, as far as there are such."""
    if names is not None:
        return _by_names(own, given, names)
    if any(name in given for name in own if name.rpartition(".")[2] not in THEIRS.values()):
        return {name: name for name in own if name in given}
    here, there = _groups({name: own[name] for name in sorted(own, key=_place)}), _groups(given)
    if len(here) != len(there):
        what = f"state has {len(there)} layers: {_listed(there)}"
        raise ValueError(f"{what}\nthe network has {len(here)}: {_listed(here)}\nexpected as many, or names=")
    pairs = {}
    for layer, module in zip(here, _in_order(here, there, ordered), strict=True):
        called = {THEIRS.get(name, name): f"{layer}{name}" for name in here[layer]}
        pairs |= {f"{module}{name}": called[name] for name in there[module] if name in called}
    return pairs


def _in_order(here, there, ordered):
    """The groups there in the order of those here. A .safetensors file has tensors in the order of their names: there the numbers
    in these tell, where they differ in nothing else, or else shapes. ValueError where these do not."""
    if ordered:
        return list(there)
    if len({re.sub(r"\d+", "0", module) for module in there}) == 1:
        return sorted(there, key=lambda module: [int(digits) for digits in re.findall(r"\d+", module)])
    shapes = {module: {name: a.shape for name, a in group.items()} for module, group in there.items()}
    found = []
    for layer, group in here.items():
        wanted = {THEIRS.get(name, name): a.shape for name, a in group.items()}
        fitting = [module for module, given in shapes.items() if given == wanted]
        if len(fitting) != 1:
            what = f"{layer.rstrip('.')} has shapes {wanted}, which in the file have {_listed(fitting) or 'none'}"
            raise ValueError(f"{what}; expected one layer, for a file does not tell their order: pass names=")
        found += fitting
    return found


def _by_names(own, given, names):
    if not isinstance(names, Mapping):
        raise TypeError(
            f"names is a {type(names).__name__}; expected a dict, name in state: name in the network, or a list of the former"
        )
    pairs = {}
    for there, here in names.items():
        if there in given and here in own:
            found = {there: here}
        else:
            called = {THEIRS.get(name.rpartition(".")[2], name): name for name in own if name.rpartition(".")[0] == here}
            parts = [name for name in given if name.rpartition(".")[0] == there]
            found = {name: called[name.rpartition(".")[2]] for name in parts if name.rpartition(".")[2] in called}
        if not found:
            raise ValueError(f"names has {there!r}: {here!r}; expected a tensor or a layer in state, and one of the network")
        pairs |= found
    return pairs


def _groups(arrays):
    """{"3.": {"W": array, "b": array}}, in order."""
    groups = {}
    for name, a in arrays.items():
        before, dot, last = name.rpartition(".")
        groups.setdefault(before + dot, {})[last] = a
    return groups


def _listed(groups):
    return ", ".join(before.rstrip(".") for before in groups)


def _place(name):
    """The layers on the way to a parameter, as numbers, so that they are in the order of the network."""
    return [int(part) for part in name.split(".")[:-1]]


def _array(a, name):
    """An array or a tensor, which may require grad, as an array."""
    try:
        return _check.as_array(a.detach() if hasattr(a, "detach") else a, name)
    except (TypeError, RuntimeError) as error:  # of tensors in bfloat16, or of another device
        raise TypeError(f"{name} is nothing that NumPy can read: {error}") from None
