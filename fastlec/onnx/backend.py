"""The interface by which ONNX's own tests, and other programs, run a model: ``fastlec.onnx.backend.prepare(model).run(inputs)``."""

import numpy as np
from onnx import helper
from onnx.backend import base

from .. import io
from .model import Model, build
from .reader import of_model
from .writer import IR_VERSION, OPSET

JOINS = ("Add", "Concat", "Sum")  # what takes several arrays that are computed


class Representation(base.BackendRep):
    """A model that was read. Of its inputs all but the first are constants, as weights are, unless they are for a node that takes
    several arrays."""

    def __init__(self, model):
        self._model = model
        graph = of_model(model)
        for name, (kind, _) in graph.outputs.items():
            if kind is None:
                raise io.ModelError(f"model: the output {name!r} is no tensor; expected tensors")
        joined = {name for node in graph.nodes if node.op_type in JOINS for name in node.input}
        self._inputs, self._outputs = list(graph.inputs), graph.outputs
        self._bound = [name for name in self._inputs[1:] if name not in joined]
        self._made = None if self._bound else build(graph, list(graph.outputs))

    def run(self, inputs, **kwargs):
        """The outputs for arrays that are the model's inputs, in the dtypes that it says."""
        given = dict(zip(self._inputs, inputs, strict=True))
        bound = {name: given.pop(name) for name in self._bound}
        made = self._made or build(of_model(self._model), list(self._outputs), bound)
        found = made.values(*given.values()) if isinstance(made, Model) else (made(*given.values()),)
        kinds = [helper.tensor_dtype_to_np_dtype(kind) for kind, _ in self._outputs.values()]
        return tuple(np.asarray(a, dtype) for a, dtype in zip(found, kinds, strict=True))


class Backend(base.Backend):
    """fastlec as ONNX's backend: of the models that `fastlec.onnx.load` reads."""

    @classmethod
    def prepare(cls, model, device="CPU", **kwargs):
        """The model as what has ``run(inputs)``. io.ModelError for what `load` refuses."""
        return Representation(model)

    @classmethod
    def run_model(cls, model, inputs, device="CPU", **kwargs):
        """The outputs of a model for these inputs."""
        return cls.prepare(model, device).run(inputs)

    @classmethod
    def run_node(cls, node, inputs, device="CPU", outputs_info=None, *, opset_version=OPSET, **kwargs):
        """The outputs of one node. outputs_info : [(dtype, shape) of each], by default of the first input's dtype."""
        arrays = [np.asarray(a) for a in inputs]
        names = [name for name in node.input if name]
        kinds = [(arrays[0].dtype, ()) for _ in node.output] if outputs_info is None else outputs_info
        values = [
            [
                helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape)
                for name, (dtype, shape) in each
            ]
            for each in (zip(names, ((a.dtype, a.shape) for a in arrays), strict=True), zip(node.output, kinds, strict=True))
        ]
        opsets = [helper.make_opsetid(node.domain, opset_version)]
        model = helper.make_model(helper.make_graph([node], "node", *values), opset_imports=opsets, ir_version=IR_VERSION)
        return cls.run_model(model, arrays, device)

    @classmethod
    def supports_device(cls, device):
        """The CPU alone."""
        return base.Device(device).type == base.DeviceType.CPU


prepare, run_model, run_node, supports_device = Backend.prepare, Backend.run_model, Backend.run_node, Backend.supports_device
