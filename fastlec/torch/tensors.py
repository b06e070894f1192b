"""Tensors as arrays and back, in place where they can be, and which tensors are taken."""

import numpy as np
import torch

from .. import _check

DTYPES = (torch.float32, torch.float64)
AUTOCAST = "torch.autocast is on for the CPU, whose low precision fastlec does not compute in: call it within"


class Unreadable(RuntimeError):
    """A tensor has no memory that NumPy could read."""


def array(tensor):
    """The tensor as an array, in place where it has its strides."""
    try:
        return tensor.numpy(force=True)
    except RuntimeError as error:
        raise Unreadable(f"NumPy cannot read a tensor: {error}") from error


def tensor(array, layer):
    """What a layer computed, as a tensor: in place where it is new memory, as all is that jobs have filled. A method of a user's
    own may give an array that others hold."""
    return torch.from_numpy(array if getattr(layer, "_planned", False) else np.array(array, order="C"))


def pointers(*tensors):
    """Where they lie."""
    return [t.data_ptr() for t in tensors]


def place(tensor):
    """What says where a tensor lies, and how, or None if it is not as arrays of parameters are."""
    return (tensor.data_ptr(), tensor.shape, tensor.dtype) if tensor.is_contiguous() and not tensor.is_neg() else None


def places(layer):
    """The same of a layer's parameters."""
    return [(a.ctypes.data, a.shape, getattr(torch, a.dtype.name)) for a in layer.params.values()]


def check(names, tensors):
    """TypeError unless these are tensors of these names that NumPy can read, all of one dtype. RuntimeError within autocast."""
    if len(tensors) != len(names):
        raise TypeError(f"{len(tensors)} tensors are given; expected {len(names)}, of {_check.shown(names)}")
    for name, t in zip(names, tensors, strict=True):
        if not isinstance(t, torch.Tensor):
            raise TypeError(f"{name} is a {type(t).__name__}; expected a torch.Tensor")
        if not t.is_cpu:
            raise TypeError(f"{name} is on the device {t.device}; expected a tensor of the CPU: pass {name}.cpu()")
        if t.layout != torch.strided:
            raise TypeError(f"{name} has the layout {t.layout}; expected a dense tensor: pass {name}.to_dense()")
        if t.dtype not in DTYPES:
            raise TypeError(f"{name} has dtype {t.dtype}; expected {' or '.join(map(str, DTYPES))}")
        if t.dtype != tensors[0].dtype:
            raise TypeError(f"{name} has dtype {t.dtype}; expected {tensors[0].dtype}, that of {names[0]}")
    if torch.is_autocast_enabled("cpu"):
        raise RuntimeError(f"{AUTOCAST} torch.autocast('cpu', enabled=False), on tensors of {tensors[0].dtype}")
