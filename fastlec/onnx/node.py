"""What an ONNX operator is in fastlec: one table, `OPERATORS`, from names of operators to functions of a `Node`. They are in
operators.py and images.py, and each returns

    a layer              with the constants of the node as parameters
    a Join               of several values: `Sum` or `Concat`
    a Function           of arrays, where there is no such layer
    Before(a layer)      which takes the place of the layer before this node as well
    a list of these      one after the other
    None                 where nothing is done: the value is the first input itself
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from .. import _check
from .reader import Refused

OPERATORS = {}


class Function(NamedTuple):
    """apply : of the arrays that are computed; it gives an array, or a tuple of them where the node has several outputs. shape : of
    one sample of what it gives, as far as that is known."""

    apply: Callable
    shape: tuple | None = None


class Join(NamedTuple):
    """kind : the layer of branches. apply, shape : as of a `Function`."""

    kind: type
    apply: Callable
    shape: tuple | None = None


class Before(NamedTuple):
    layer: object


class Node(NamedTuple):
    """operator : its name. attributes : by name. constants : of each input the array, or None of one that is computed; inputs that
    are left out at the end are not there, others are Ellipsis. shapes : of one sample of each input that is computed, as far as it
    is known. before : the layer that gives the first of these, where that is for this node alone, and made by the operator
    `before_operator`. batch : the number of samples that the model's input has, where it says one. outputs : how many of its
    outputs are asked for."""

    operator: str
    attributes: dict
    constants: list
    shapes: list
    before: object
    before_operator: str | None
    batch: int | None
    opset: int
    outputs: int

    @property
    def shape(self):
        return self.shapes[0]

    def get(self, name, default):
        """An attribute."""
        return self.attributes.get(name, default)

    def has(self, i):
        """Whether there is an input i."""
        return i < len(self.constants) and self.constants[i] is not Ellipsis

    def constant(self, i, name, default=None):
        """An input that must be constant, or the default where there is none."""
        if not self.has(i):
            return default
        if self.constants[i] is None:
            raise Refused(f"its input {i}, {name}, is computed; expected a constant")
        return self.constants[i]

    def parameter(self, i, name):
        """A constant of numbers, which there must be."""
        a = self.constant(i, name)
        if a is None:
            raise Refused(f"it has no input {i}, {name}")
        return a.astype(_check.float_dtype(a.dtype, name), copy=False)


def operator(*names):
    """A decorator: the function is for nodes of these operators."""

    def registered(function):
        OPERATORS.update(dict.fromkeys(names, function))
        return function

    return registered


def made(kind, arrays, *arguments, **settings):
    """A layer with these parameters and buffers."""
    made = kind(*arguments, **settings, dtype=_check.common_dtype(**arrays))
    for name, a in made.buffers.items():
        np.copyto(a, _check.shape(arrays[name], name, a.shape))
    return made.with_params({name: np.ascontiguousarray(arrays[name], a.dtype) for name, a in made.params.items()})
