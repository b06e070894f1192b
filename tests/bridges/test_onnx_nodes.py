"""ONNX's own tests of its operators, with fastlec as the backend: those of float32 and float64 of the operators that are here."""

import re
import warnings

import numpy as np
import pytest

from fastlec.io import ModelError

onnx = pytest.importorskip("onnx")
from onnx.backend.test.loader import load_model_tests  # noqa: E402
from onnx.backend.test.runner import Runner  # noqa: E402

from fastlec.onnx import backend  # noqa: E402

OPERATORS = {
    *("Gemm", "MatMul", "Conv", "ConvTranspose", "BatchNormalization", "LayerNormalization", "Add", "Sub", "Mul", "Div", "Sum"),
    *("AveragePool", "MaxPool", "GlobalAveragePool", "GlobalMaxPool", "Concat", "Flatten", "Reshape", "Dropout", "Identity"),
    *("Relu", "Sigmoid", "Tanh", "Softplus", "Elu", "LeakyRelu", "Gelu", "Swish", "Softmax", "LogSoftmax", "Cast"),
}
FLOATS = {onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE}
LEFT_OUT = {  # a pattern of names: the reason
    "(pool|transpose)_3d": "volumes: fastlec has images and signals",
    "matmul_(3d|4d|bcast|1d_3d|4d_1d|1d_1d)": "stacks of matrices, and vectors: fastlec has samples times a matrix",
    "training_dropout(_default)?(_mask)?$": "masks of another generator than fastlec's, in training",
}


def types(case):
    """The element types of a case's values, None of what is no tensor; without shapes and axes, which are integers."""
    values = [*case.model.graph.input[:1], *case.model.graph.output[:1]]
    return {value.type.tensor_type.elem_type if value.type.HasField("tensor_type") else None for value in values}


def collected():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what other cases are made with
        cases = load_model_tests(kind="node")
    return {
        case.name: case for case in cases if {n.op_type for n in case.model.graph.node} <= OPERATORS and types(case) <= FLOATS
    }


CASES = collected()


def reason(name):
    return next((why for pattern, why in LEFT_OUT.items() if re.search(pattern, name)), None)


def arrays(values):
    return [onnx.numpy_helper.to_array(a) if isinstance(a, onnx.TensorProto) else a for a in values]


@pytest.mark.parametrize("name", [name for name in CASES if not reason(name)])
def test_a_node(name):
    case = CASES[name]
    made = backend.prepare(case.model)
    for inputs, outputs in case.data_sets:
        Runner.assert_similar_outputs(arrays(outputs), made.run(arrays(inputs)), case.rtol, case.atol)


@pytest.mark.parametrize("name", [name for name in CASES if reason(name)])
def test_a_node_that_is_left_out_is_refused(name):
    case = CASES[name]
    inputs, _ = case.data_sets[0]
    with pytest.raises(ModelError, match="node 0, "):
        backend.run_model(case.model, arrays(inputs))


def test_how_many_there_are():
    tested = [CASES[name] for name in CASES if not reason(name)]
    assert len(tested) > 150
    without = OPERATORS - {node.op_type for case in tested for node in case.model.graph.node}
    assert not without


def test_the_backend_is_of_the_cpu():
    assert backend.supports_device("CPU")
    assert not backend.supports_device("CUDA")
    model = CASES["test_relu"].model
    (y,) = backend.run_model(model, [np.full((3, 4, 5), -1.0, np.float32)])
    assert (y.dtype, y.max()) == (np.float32, 0)


def test_one_node():
    x, W = np.array([[1.0, 2.0]]), np.array([[1.0, 0.0], [2.0, -1.0]])
    node = onnx.helper.make_node("Gemm", ["x", "W"], ["y"], transB=1)
    (y,) = backend.run_node(node, [x, W])
    np.testing.assert_array_equal(y, x @ W.T, strict=True)
    (y,) = backend.run_node(node, [x, W], outputs_info=[(np.float32, (1, 2))])
    assert y.dtype == np.float32
