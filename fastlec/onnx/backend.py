"""The interface by which ONNX's own tests, and other programs, run a model: ``fastlec.onnx.backend.prepare(model).run(inputs)``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray
from onnx import ModelProto, NodeProto, helper
from onnx.backend import base

from .. import io
from .model import Model, build
from .reader import of_model
from .writer import IR_VERSION, OPSET

JOINS = ("Add", "Concat", "Sum")  # what takes several arrays that are computed


class Representation(base.BackendRep):
    """A model that was read. Of its inputs all but the first are constants, as weights are, unless they are for a node that takes
    several arrays."""

    def __init__(self, model: ModelProto) -> None:
        self._model = model
        graph = of_model(model)
        for name, (kind, _) in graph.outputs.items():
            if kind is None:
                raise io.ModelError(f"model: the output {name!r} is no tensor; expected tensors")
        joined = {name for node in graph.nodes if node.op_type in JOINS for name in node.input}
        self._inputs, self._outputs = list(graph.inputs), graph.outputs
        self._bound = [name for name in self._inputs[1:] if name not in joined]
        self._made = None if self._bound else build(graph, list(graph.outputs))

    def run(self, inputs: Sequence[ArrayLike], **kwargs: Any) -> tuple[NDArray[Any], ...]:
        """The outputs for arrays that are the model's inputs, in the dtypes that it says."""
        given = dict(zip(self._inputs, inputs, strict=True))
        bound = {name: given.pop(name) for name in self._bound}
        made = self._made or build(of_model(self._model), list(self._outputs), bound)
        found = made.values(*given.values()) if isinstance(made, Model) else (made(*given.values()),)
        kinds = [helper.tensor_dtype_to_np_dtype(kind) for kind, _ in self._outputs.values()]
        return tuple(np.asarray(a, dtype) for a, dtype in zip(found, kinds, strict=True))


class Backend(base.Backend):
    """A backend of ONNX that computes with fastlec, for the models that `fastlec.onnx.load` reads.

    It is the interface by which ONNX's own tests, and other programs, run a model.

    See Also
    --------
    load

    Examples
    --------
    >>> import numpy as np
    >>> from onnx import helper
    >>> node = helper.make_node("Relu", ["x"], ["y"])
    >>> fastlec.onnx.Backend.run_node(node, [np.array([[-1.0, 2.0]], np.float32)])
    (array([[0., 2.]], dtype=float32),)
    """

    @classmethod
    def prepare(cls, model: ModelProto, device: str = "CPU", **kwargs: Any) -> Representation:
        """A model as an object that has ``run(inputs)``.

        Parameters
        ----------
        model : onnx.ModelProto
            The model.
        device : str
            Only "CPU" is supported.
        **kwargs : object
            Not used.

        Returns
        -------
        Representation
            What runs the model.

        Raises
        ------
        fastlec.io.ModelError
            If `load` would refuse it.
        """
        return Representation(model)

    @classmethod
    def run_model(
        cls, model: ModelProto, inputs: Sequence[ArrayLike], device: str = "CPU", **kwargs: Any
    ) -> tuple[NDArray[Any], ...]:
        """The outputs of a model for these inputs.

        Parameters
        ----------
        model : onnx.ModelProto
            The model.
        inputs : sequence of array_like
            An array for each input.
        device : str
            Only "CPU" is supported.
        **kwargs : object
            Not used.

        Returns
        -------
        tuple of ndarray
            The outputs, in the dtypes that the model says.
        """
        return cls.prepare(model, device).run(inputs)

    @classmethod
    def run_node(
        cls,
        node: NodeProto,
        inputs: Sequence[ArrayLike],
        device: str = "CPU",
        outputs_info: Sequence[tuple[DTypeLike, tuple[int, ...]]] | None = None,
        *,
        opset_version: int = OPSET,
        **kwargs: Any,
    ) -> tuple[NDArray[Any], ...]:
        """The outputs of one node.

        Parameters
        ----------
        node : onnx.NodeProto
            The node.
        inputs : sequence of array_like
            An array for each input.
        device : str
            Only "CPU" is supported.
        outputs_info : sequence of (dtype, shape), optional
            What the outputs are; by default of the first input's dtype.
        opset_version : int
            The version of the operators.
        **kwargs : object
            Not used.

        Returns
        -------
        tuple of ndarray
            The outputs.
        """
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
    def supports_device(cls, device: str) -> bool:
        """Whether models run on a device, which is the CPU alone.

        Parameters
        ----------
        device : str
            Its name, such as "CPU".

        Returns
        -------
        bool
            True for the CPU.
        """
        return base.Device(device).type == base.DeviceType.CPU


prepare, run_model, run_node, supports_device = Backend.prepare, Backend.run_model, Backend.run_node, Backend.supports_device
