"""Nodes whose inputs are constants, as exporters leave them to say shapes and weights: one function of NumPy each."""

import numpy as np
from onnx import helper

from .reader import Refused, to_array

MOST_VALUES = 1 << 20  # of a constant that is put together of others


def shape_of(shape):
    """What Shape gives of a value whose samples have this shape: 0 for how many there are, which Reshape takes for as many as its
    input has, and -2 for each other length that is not known, which nothing takes."""
    if shape is None:
        raise Refused("the shape of its input is not known")
    return np.array([0, *(-2 if n is None else n for n in shape)])


def _constant(attributes):
    for name, value in attributes.items():
        if name == "value":
            return to_array(value)
        if name.startswith(("value_int", "value_float")):
            return np.array(value, np.float32 if "float" in name else np.int64)
    raise Refused(f"it holds {list(attributes)}; expected value, value_ints or value_floats")


def _concat(attributes, *arrays):
    _check_size(sum(a.size for a in arrays))
    return np.concatenate(arrays, attributes["axis"])


def _gather(attributes, a, indices):
    axis = attributes.get("axis", 0)
    _check_size(indices.size * (a.size // max(a.shape[axis], 1)))
    return np.take(a, indices, axis)


def _check_size(n):
    """Shapes are small: a file of few bytes shall not make large arrays."""
    if n > MOST_VALUES:
        raise Refused(f"it makes a constant of {n} values; expected at most {MOST_VALUES}")


def _axes(attributes, axes):
    return tuple(int(axis) for axis in np.ravel(attributes["axes"] if axes is None else axes))


FOLDED = {
    "Constant": _constant,
    "Identity": lambda attributes, a: a,
    "Cast": lambda attributes, a: a.astype(helper.tensor_dtype_to_np_dtype(attributes["to"])),
    "Concat": _concat,
    "Gather": _gather,
    "Reshape": lambda attributes, a, shape: a.reshape([a.shape[i] if n == 0 else n for i, n in enumerate(shape.tolist())]),
    "Shape": lambda attributes, a: a[attributes.get("start", 0) : attributes.get("end", len(a))],
    "Squeeze": lambda attributes, a, axes=None: np.squeeze(a, _axes(attributes, axes)),
    "Transpose": lambda attributes, a: np.transpose(a, attributes.get("perm", None)),
    "Unsqueeze": lambda attributes, a, axes=None: np.expand_dims(a, _axes(attributes, axes)),
}
