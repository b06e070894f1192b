"""ONNX files as graphs: what is read is checked here, as far as it can be without knowing what the operators do."""

import math
import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from onnx import ModelProto, TensorProto, checker, helper, numpy_helper

from .. import _check, io

FLOATS = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16)
OLDEST = 9  # opset, of 2018: before it Add and BatchNormalization meant something else
MOST_BYTES = 1 << 31
ML = "ai.onnx.ml"


class Refused(ValueError):
    """What a node asks for and fastlec has not; the text says what, and `Graph.refuse` adds where."""


@dataclass
class Graph:
    """nodes : in the order in which they are computed. constants : by name, as arrays, or as what becomes one when it is asked for.
    inputs : {name: shape}, None for each length that may be any, or None. outputs : {name: (element type, shape)}, where the type
    is None of what is no tensor."""

    path: str
    nodes: list
    constants: dict
    inputs: dict
    outputs: dict
    opsets: dict = field(default_factory=dict)

    def array(self, name):
        """A constant."""
        tensor = self.constants[name]
        if isinstance(tensor, TensorProto):
            try:
                self.constants[name] = to_array(tensor)
            except Exception as error:  # of whatever is in the file
                shape = _check.shown(tuple(tensor.dims))
                raise Refused(f"the constant {name!r} of shape {shape} cannot be read: {_line(error)}") from error
        return self.constants[name]

    def refuse(self, node, error):
        """The error that says at which node."""
        name = f" {node.name!r}" if node.name else ""
        index = next(i for i, other in enumerate(self.nodes) if other is node)
        return io.ModelError(f"{self.path}: node {index}{name}, {node.op_type}: {_line(error)}")

    def opset(self, node):
        """That of the node's operator."""
        return self.opsets[_domain(node.domain)]


def read(path):
    """The `Graph` in a file. io.ModelError for what is none."""
    _check.path(path)
    try:
        with io.open_file(path) as file:
            if os.fstat(file.fileno()).st_size > MOST_BYTES:
                raise ValueError("it is larger than 2 GiB, which no such file is")
            content = file.read()
        model = ModelProto.FromString(content)
    except MemoryError:
        raise
    except Exception as error:  # those of the system, and of Protocol Buffers
        raise io.ModelError(f"{path}: cannot be read as ONNX: {_line(error)}") from error
    for tensor in model.graph.initializer:
        if tensor.data_location == TensorProto.EXTERNAL:
            _take_in(path, tensor)
    return of_model(model, str(path))


def of_model(model, path="model"):
    """The `Graph` of what onnx has read."""
    try:
        checker.check_model(model)
        graph = model.graph
        constants = {tensor.name: tensor for tensor in graph.initializer}
        inputs = {value.name: _shape(value) for value in graph.input if value.name not in constants}
        outputs = {value.name: (_element_type(value), _shape(value)) for value in graph.output}
    except Exception as error:  # the checker's, and those of whatever is in the file
        raise io.ModelError(f"{path}: is no ONNX model: {_line(error)}") from error
    opsets = {_domain(entry.domain): entry.version for entry in model.opset_import}
    if opsets.get("", OLDEST) < OLDEST:
        raise io.ModelError(f"{path}: has operators of opset {opsets['']}; expected {OLDEST} or later")
    return Graph(path, list(graph.node), constants, inputs, outputs, opsets)


def _line(error):
    """What an exception says, in one line."""
    return io.words(error).strip().splitlines()[0]


def to_array(tensor):
    """A constant that is in the model itself: what is in other files is taken in before."""
    if tensor.data_location == TensorProto.EXTERNAL:
        raise ValueError("it lies in another file; expected it in the model")
    return numpy_helper.to_array(tensor)


def attributes(node):
    """{name: value}, text as str."""
    found = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    return {name: value.decode(errors="replace") if isinstance(value, bytes) else value for name, value in found.items()}


def _domain(name):
    return "" if name == "ai.onnx" else name


def _element_type(value):
    return value.type.tensor_type.elem_type if value.type.WhichOneof("value") == "tensor_type" else None


def _shape(value):
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        return None
    return tuple(d.dim_value if d.HasField("dim_value") and d.dim_value > 0 else None for d in tensor.shape.dim)


def _take_in(path, tensor):
    """A constant whose bytes lie in another file, which must be in the model's own folder and hold them."""
    said = {entry.key: entry.value for entry in tensor.external_data}
    name = said.get("location", "")
    try:
        size = math.prod(tensor.dims) * helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
        offset, length = int(said.get("offset", 0)), int(said.get("length", size))
        if not name or Path(name).name != name or name in (".", ".."):
            raise ValueError("expected the name of a file in the model's folder")
        place = Path(os.fspath(path)).parent / name
        if place.is_symlink():
            raise ValueError("expected a file, not a link")
        with io.open_file(place) as file:
            there = os.fstat(file.fileno()).st_size
            if length != size or offset < 0 or size < 0 or offset + size > there:
                what = f"it has {there} bytes, of which {length} from {offset} on are asked for"
                raise ValueError(f"{what}; expected the {size} of an array of shape {tuple(tensor.dims)}")
            file.seek(offset)
            tensor.raw_data = file.read(size)
    except MemoryError:
        raise
    except Exception as error:
        what = f"the constant {tensor.name!r} lies in {_check.shown(name)}"
        raise io.ModelError(f"{path}: {what}, which cannot be read: {io.words(error)}") from error
    tensor.data_location = TensorProto.DEFAULT
    del tensor.external_data[:]


def decimal(value):
    """An attribute, which is float32, as the shortest decimal fraction that is it: 0.1, where float64 would be
    0.10000000149011612."""
    return float(str(np.float32(value)))
