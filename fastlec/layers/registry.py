"""The kinds of layers that a file may hold, by name: those of fastlec, and those of a user's own that are registered."""

from __future__ import annotations

import inspect
import json
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from .. import _check

if TYPE_CHECKING:
    from .base import Layer

LayerClass = TypeVar("LayerClass", bound="type[Layer]")
KINDS: dict[str, Any] = {}
NO_SETTINGS = ("dtype", "rng")  # arguments of constructors that files do not keep


def kind(layer_class: LayerClass) -> LayerClass:
    """Decorator of a layer's class: files may hold such layers. See `PlannedLayer` for what it must say of itself."""
    KINDS[layer_class.__name__] = layer_class
    return layer_class


def register_layer(layer_class: LayerClass) -> LayerClass:
    """Decorate a class of layers of your own, so that files hold them by its name.

    Files are those of `Network.save`, and checkpoints. The class must be registered before a file is read. Loading calls the
    constructor, then parameters and buffers are put in place.

    Parameters
    ----------
    layer_class : type
        A subclass of `Layer`. The arguments of its constructor, but for dtype and rng, are read from attributes of their names,
        or given by a method ``config()`` that returns them as a dict. JSON must be able to hold them: numbers, text, lists, None.

    Returns
    -------
    type
        The class.

    Raises
    ------
    TypeError
        If layer_class is no subclass of `Layer`.
    ValueError
        If one of fastlec's layers has its name, or its constructor has an argument "kind".

    See Also
    --------
    Layer, Network.save

    Examples
    --------
    >>> import fastlec
    >>> @fastlec.register_layer
    ... class Power(fastlec.Layer):
    ...     "y = x^p, without parameters."
    ...     def __init__(self, p):
    ...         self.p = p
    ...         super().__init__()
    ...     def output_shape(self, shape):
    ...         return shape
    ...     def evaluate(self, x):
    ...         return x**self.p, x
    ...     def mv(self, x, directions):
    ...         return self.p * x ** (self.p - 1) * directions["x"]
    ...     def tmv(self, x, v, wrt):
    ...         return {name: self.p * x ** (self.p - 1) * v for name in wrt}
    >>> fastlec.Network([fastlec.Dense(2, 3), Power(2)]).config()["layers"][1]
    {'kind': 'Power', 'p': 2}
    """
    from .base import Layer  # which imports this module

    if not (isinstance(layer_class, type) and issubclass(layer_class, Layer)):
        raise TypeError(f"layer_class is {_check.shown(layer_class)}; expected a subclass of Layer")
    name = layer_class.__name__
    if name in KINDS and KINDS[name]._of_fastlec:
        raise ValueError(f"the class has the name {name}, which is that of a layer of fastlec's; expected another one")
    if "kind" in inspect.signature(layer_class).parameters:
        raise ValueError(f"the constructor of {name} has an argument kind, which files use themselves; expected another name")
    return kind(layer_class)


def described(layer: Layer) -> dict[str, Any] | None:
    """A registered layer as what JSON can hold; None for one that is not registered."""
    name = type(layer).__name__
    if KINDS.get(name) is not type(layer):
        return None
    settings = layer.config() if hasattr(layer, "config") else _attributes(layer)
    if isinstance(settings.get("activation"), KINDS["Activation"]):
        settings = settings | {"activation": settings["activation"]._described()}
    for argument, value in settings.items():
        try:
            json.dumps(value)
        except (TypeError, ValueError):
            raise TypeError(
                f"{argument} of a {name} is {_check.shown(value)}; expected what JSON can hold, for files"
            ) from None
    return {"kind": name, **settings}


def written(layer: Layer) -> str:
    """A layer as the call that makes such a layer: an activation, and what is not as by default."""
    arguments = inspect.signature(type(layer)).parameters
    names = [name for name in arguments if name not in ("params", "buffers", *NO_SETTINGS) and hasattr(layer, name)]
    settings = layer.config() if hasattr(layer, "config") else {name: getattr(layer, name) for name in names}
    shown = {name: _short(value) if type(layer)._of_fastlec else value for name, value in settings.items()}
    changed = {
        name: repr(value)
        for name, value in shown.items()
        if name == "activation" or name not in arguments or repr(value) != repr(arguments[name].default)
    }
    dtypes = {a.dtype for a in (layer.params | layer.buffers).values()}
    if "dtype" in arguments and any(dtype != np.dtype(arguments["dtype"].default) for dtype in dtypes):
        changed["dtype"] = repr(str(dtypes.pop()))
    return f"{type(layer).__name__}({', '.join(f'{name}={value}' for name, value in changed.items())})"


def _short(value: Any) -> Any:
    """A setting by axes as briefly as constructors take it: (1, 1) as 1."""
    if not value or not isinstance(value, tuple | list):
        return value
    first, *rest = value = tuple(map(_short, value))
    return first if len(rest) == 1 and type(first) is int and rest[0] == first else value


def _attributes(layer):
    """The arguments of a layer's constructor, from its attributes."""
    arguments = [name for name in inspect.signature(type(layer)).parameters if name not in NO_SETTINGS]
    for name in arguments:
        if not hasattr(layer, name):
            what = f"a {type(layer).__name__} has no attribute {name}"
            raise TypeError(f"{what}; expected one for each argument of its constructor, for files")
    return {name: getattr(layer, name) for name in arguments}


def made(kind: str, config: dict[str, Any], dtype: Any = None) -> Any:
    """A layer of a kind by its constructor's arguments, in this dtype where the constructor takes one."""
    takes_dtype = dtype is not None and "dtype" in inspect.signature(KINDS[kind]).parameters
    return KINDS[kind](**config, **({"dtype": dtype} if takes_dtype else {}))
