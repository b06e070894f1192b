"""Files of networks: a description and the arrays, or a checkpoint of `fit`, which has both as well."""

import math
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from .. import io
from .container import Container
from .description import build, shapes


def save(path: str | os.PathLike[str], net: Container, facts: Mapping[str, Any] | None = None) -> None:
    """Write a `Network` of fastlec's own layers to ``path``, all or nothing: .safetensors by that library, else .npz.

    facts : what else :func:`read` is to give back, which JSON can hold.
    """
    meta = {"kind": "network", "dtype": str(net.theta.dtype), **net.config(), "facts": dict(facts or {})}
    arrays = net.params | net.buffers
    io.require_finite(path, arrays)
    io.save(path, arrays, meta)


def read(path: str | os.PathLike[str]) -> tuple[Any, dict[str, Any]]:
    """The `Network` that :func:`save` wrote, or that of a checkpoint, and the facts that came with it, unchecked. io.ModelError if
    any name, shape, dtype or value is not as expected."""
    arrays, meta = io.load(path)
    if meta.get("kind") == "checkpoint":
        arrays, meta = _of_checkpoint(path, arrays, meta)
    if meta.get("kind") != "network":
        raise io.ModelError(f"{path}: holds a model of kind {meta.get('kind')!r}; expected 'network'")
    if meta.get("dtype") not in ("float32", "float64"):
        raise io.ModelError(f"{path}: 'meta' says dtype {meta.get('dtype')!r}; expected 'float32' or 'float64'")
    try:
        expected = shapes(meta)
        if set(arrays) != set(expected):
            raise io.ModelError(f"{path}: holds the arrays {sorted(arrays)}; expected {sorted(expected)}")
        for name, array in arrays.items():
            if array.shape != expected[name] or array.dtype != np.dtype(meta["dtype"]):
                text = f"{name} is {array.dtype} of shape {array.shape}; expected {meta['dtype']} of shape {expected[name]}"
                raise io.ModelError(f"{path}: {text}")
        facts = meta.get("facts")
        return build(meta, arrays), facts if isinstance(facts, dict) else {}
    except io.ModelError:
        raise
    except Exception as error:  # layers of any kind are made here of any arguments
        raise io.ModelError(f"{path}: 'meta' describes no network: {io.words(error)}") from error


def _of_checkpoint(path, arrays: dict[str, np.ndarray], meta: dict[str, Any]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The network in a checkpoint of ``fit`` as :func:`save` writes it: the best one where that is kept, else the last one."""
    settings = meta.get("settings")
    described = settings.get("net") if isinstance(settings, dict) else None
    if not isinstance(described, dict):
        text = "its network has layers of one's own: build the network, and give fit this file as checkpoint"
        raise io.ModelError(f"{path}: is a checkpoint that no network can be made from; {text}")
    prefix = "best." if "best" in arrays else ""
    theta = arrays.get("best" if prefix else "theta", np.empty(0)).ravel()
    named, start = {}, 0
    try:
        for name, shape in shapes(described).items():
            buffer = arrays.get(f"{prefix}buffers.{name}")
            size = 0 if buffer is not None else math.prod(shape)
            named[name] = theta[start : start + size].reshape(shape) if buffer is None else buffer
            start += size
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise io.ModelError(f"{path}: is no checkpoint of the network that it describes: {error}") from error
    if start != theta.size:
        raise io.ModelError(f"{path}: theta has {theta.size} numbers; its network has {start}")
    return named, {"kind": "network", "dtype": settings.get("dtype"), **described}
