"""Which of a network's parameters and buffers a training changes: names, patterns and layers as the names that they stand for."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, TypeAlias

from .. import _check
from ..layers.base import Layer
from ..network import Container

if TYPE_CHECKING:
    from ..network import Network

Trainable: TypeAlias = str | int | Layer | Iterable[str | int | Layer] | None

MOST_NAMES = 50  # of parameters that an error lists


def trainable_names(net: Network, trainable: Trainable) -> tuple[str, ...] | None:
    """Names of a network's parameters and buffers that change in a training.

    Parameters
    ----------
    net : Network
        The network.
    trainable : str, Layer, int or a sequence of these, or None
        What is trained, as in `training_step`.

    Returns
    -------
    tuple of str or None
        The names, in the order of ``net.params`` and ``net.buffers``; None for all of them.

    Raises
    ------
    ValueError or TypeError
        A name or pattern fits nothing, or there is nothing to train.

    See Also
    --------
    fastlec.training_step, fastlec.fit

    Examples
    --------
    >>> net = fastlec.Network([fastlec.Dense(4, 3), fastlec.Dense(3, 2, "identity")], rng=0)
    >>> fastlec.training.trainable_names(net, [-1, "0.b"])
    ('0.b', '1.W', '1.b')
    """
    names = (*net.params, *net.buffers)
    if trainable is None:
        return None
    if isinstance(trainable, Mapping):
        raise TypeError("trainable is a dict; expected names, patterns, layers or their indices: what it names is trained")
    several = isinstance(trainable, Iterable) and not isinstance(trainable, str | bytes | Layer)
    chosen = set()
    for item in trainable if several else [trainable]:
        chosen.update(_named(net, item, names))
    if chosen.isdisjoint(net.params):
        raise ValueError(
            f"trainable is {_check.shown(trainable)}, which leaves nothing to train; expected one or more of {_listed(net)}"
        )
    chosen.update(_untrained(net))
    layers = {name.rpartition(".")[0] for name in chosen}
    changed = tuple(name for name in names if name in chosen or (name in net.buffers and name.rpartition(".")[0] in layers))
    return None if changed == names else changed


def _named(net, item, names):
    """The names that one item of ``trainable`` stands for."""
    if isinstance(item, str):
        found = [name for name in names if name == item] or [name for name in names if fnmatchcase(name, item)]
        if not found:
            raise ValueError(
                f"trainable has {_check.shown(item)}, which names no parameter; expected names or patterns of {_listed(net)}"
            )
        return found
    if isinstance(item, Layer):
        prefix = _prefix(net, item)
        if prefix is None:
            kind = type(item).__name__
            raise ValueError(f"trainable has a {kind} that is no layer of net; expected one of net.layers: they are copies")
    else:
        try:
            index = operator.index(None if isinstance(item, bool) else item)
        except TypeError:
            raise TypeError(f"trainable has {_check.shown(item)}; expected names, patterns, layers or their indices") from None
        count = len(net.layers)
        if not -count <= index < count:
            raise ValueError(f"trainable has the index {_check.shown(index)}; net has {count} layers")
        prefix = f"{index % count}."
    return [name for name in names if name.startswith(prefix)]


def _prefix(net, layer):
    """What the names of a layer's parameters begin with; None where it is no layer of net."""
    if layer is net:
        return ""
    for i, own in enumerate(net.layers):
        inner = _prefix(own, layer) if isinstance(own, Container) else "" if own is layer else None
        if inner is not None:
            return f"{i}.{inner}"
    return None


def _untrained(net, prefix=""):
    """The names of the buffers that training changes whatever is trained."""
    for i, layer in enumerate(net.layers):
        if isinstance(layer, Container):
            yield from _untrained(layer, f"{prefix}{i}.")
        elif layer.changes_untrained:
            yield from (f"{prefix}{i}.{name}" for name in layer.buffers)


def _listed(net):
    names = list(net.params)
    more = [f"and {len(names) - MOST_NAMES} more"] if len(names) > MOST_NAMES else []
    return ", ".join(names[:MOST_NAMES] + more) or "none: net has no parameters"
