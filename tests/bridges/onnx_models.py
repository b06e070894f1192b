"""ONNX models that the tests make, and how they are run and compared."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from fastlec import (
    Activation,
    AvgPool1d,
    AvgPool2d,
    BatchNorm,
    BatchNorm2d,
    Concat,
    Conv1d,
    Conv2d,
    ConvResidual,
    ConvTranspose2d,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool2d,
    LayerNorm,
    MaxPool1d,
    MaxPool2d,
    Network,
    ProjectedConvResidual,
    ProjectedResidual,
    Residual,
    Sum,
    Upsample2d,
)
from fastlec._activations import ACTIVATIONS

FEATURES, IMAGES, SIGNALS = (4,), (2, 7, 6), (2, 9)


def _norms(o):
    return {"dtype": o["dtype"]}


LAYERS = {  # (a layer of these settings, the shape of a sample); several of a kind, numbered, where settings matter
    **{f"Dense {name}": (lambda o, name=name: Dense(4, 3, name, **o), FEATURES) for name in ACTIVATIONS},
    "Dense bias": (lambda o: Dense(4, 3, Activation("leaky_relu", negative_slope=0.2), False, **o), FEATURES),
    "Activation": (lambda o: Activation("elu", alpha=0.3), IMAGES),
    "Activation identity": (lambda o: Activation("identity"), FEATURES),
    "Residual": (lambda o: Residual(4, 3, "relu", **o), FEATURES),
    "ProjectedResidual": (lambda o: ProjectedResidual(4, 3, "sigmoid", **o), FEATURES),
    "BatchNorm": (lambda o: BatchNorm(4, 0.1, **_norms(o)), FEATURES),
    "BatchNorm affine": (lambda o: BatchNorm(4, 0.1, 0.3, affine=False, **_norms(o)), FEATURES),
    "BatchNorm2d": (lambda o: BatchNorm2d(2, **_norms(o)), IMAGES),
    "LayerNorm": (lambda o: LayerNorm(4, **_norms(o)), FEATURES),
    "LayerNorm bias": (lambda o: LayerNorm(4, bias=False, **_norms(o)), FEATURES),
    "LayerNorm affine": (lambda o: LayerNorm(4, elementwise_affine=False, **_norms(o)), FEATURES),
    "Dropout": (lambda o: Dropout(0.3, rng=0), FEATURES),
    "Conv2d": (lambda o: Conv2d(2, 4, (3, 2), "relu", stride=2, padding="same", groups=2, **o), IMAGES),
    "Conv2d pads": (lambda o: Conv2d(2, 3, 3, bias=False, padding=((1, 2), (0, 1)), dilation=(1, 2), **o), IMAGES),
    "Conv1d": (lambda o: Conv1d(2, 4, 3, "relu", False, stride=2, padding=(1, 2), dilation=2, groups=2, **o), SIGNALS),
    "Conv1d same": (lambda o: Conv1d(2, 4, 4, padding="same", **o), SIGNALS),
    "ConvTranspose2d": (
        lambda o: ConvTranspose2d(
            2, 4, (3, 2), "tanh", stride=2, padding=((1, 0), (0, 1)), output_padding=(1, 0), dilation=(1, 2), groups=2, **o
        ),
        IMAGES,
    ),
    "ConvResidual": (lambda o: ConvResidual(2, 3, (2, 3), **o), IMAGES),
    "ProjectedConvResidual": (lambda o: ProjectedConvResidual(2, 3, (3, 2), stride=2, **o), IMAGES),
    "GlobalAvgPool2d": (lambda o: GlobalAvgPool2d(), IMAGES),
    "Upsample2d": (lambda o: Upsample2d((2, 3)), IMAGES),
    "Flatten": (lambda o: Flatten(), IMAGES),
    "AvgPool1d": (lambda o: AvgPool1d(3, 2, 1), SIGNALS),
    "MaxPool1d": (lambda o: MaxPool1d(3, 2, 1), SIGNALS),
    "AvgPool2d": (lambda o: AvgPool2d(2), IMAGES),
    "AvgPool2d not counted": (lambda o: AvgPool2d(3, 2, 1, True, False), IMAGES),
    "AvgPool2d counted": (lambda o: AvgPool2d(3, 2, 1, True, True), IMAGES),
    "AvgPool2d same": (lambda o: AvgPool2d((2, 3), 2, "same"), IMAGES),
    "AvgPool2d same not counted": (lambda o: AvgPool2d((2, 3), 2, "same", False, False), IMAGES),
    "AvgPool2d last window outside": (lambda o: AvgPool2d(2, 3, 1, ceil_mode=True), IMAGES),
    "AvgPool2d one last window outside": (lambda o: AvgPool2d((4, 2), (4, 3), (1, 1), ceil_mode=True), IMAGES),
    "AvgPool2d one last window outside, one beyond": (lambda o: AvgPool2d((2, 3), (3, 2), (1, 1), ceil_mode=True), IMAGES),
    "MaxPool2d": (lambda o: MaxPool2d(2), IMAGES),
    "MaxPool2d beyond": (lambda o: MaxPool2d(3, 2, 1, ceil_mode=True), IMAGES),
    "MaxPool2d same": (lambda o: MaxPool2d((2, 3), padding="same", dilation=(1, 2)), IMAGES),
    "MaxPool2d much padding": (lambda o: MaxPool2d(2, 1, 2, 3), IMAGES),
    "MaxPool2d last window outside": (lambda o: MaxPool2d((4, 2), (4, 3), (1, 1), ceil_mode=True), IMAGES),
    "Network": (lambda o: Network([Dense(4, 5, **o), Network([Activation("relu"), Dense(5, 2, "identity", **o)])]), FEATURES),
    "Sum": (lambda o: Sum([Dense(4, 4, **o), Activation("identity"), Dense(4, 4, "relu", **o)]), FEATURES),
    "Sum of one": (lambda o: Sum([Dense(4, 4, **o)]), FEATURES),
    "Concat": (lambda o: Concat([Activation("identity"), Network([Conv2d(2, 3, 3, padding=1, **o)])]), IMAGES),
}


def made(name, dtype, rng):
    """(a layer of the table with all parameters and statistics random, samples)."""
    make, shape = LAYERS[name]
    layer = make({"dtype": dtype, "rng": rng})
    for key, a in (layer.params | layer.buffers).items():
        if a.ndim == 1 and "seed" not in key and "count" not in key:
            a[...] = rng.uniform(0.5, 1.5, a.shape)
    return layer, rng.standard_normal((3, *shape)).astype(layer.dtype or np.float32)


def assert_close(found, expected, units=20):
    """To rounding: so many units of eps of the largest value."""
    assert found.shape == expected.shape
    assert found.dtype == expected.dtype
    atol = units * np.finfo(expected.dtype).eps * max(1, np.abs(expected).max(initial=0))
    np.testing.assert_allclose(found, expected, rtol=0, atol=atol)


def session(path):
    """ONNX Runtime's of a file."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def run(path, x):
    """What ONNX Runtime gives."""
    at = session(path)
    return at.run(None, {at.get_inputs()[0].name: x})


def node(operator, inputs, outputs, **attributes):
    """A node; names in one text, with blanks between them."""
    return helper.make_node(operator, inputs.split(" "), outputs.split(" "), **attributes)


def model(nodes, shape, constants=None, outputs=("y",), opset=20, more_inputs=(), dtype=TensorProto.FLOAT):
    """A model of an input x (N, *shape), and of others of that shape."""
    inputs = [helper.make_tensor_value_info(name, dtype, ["N", *shape]) for name in ("x", *more_inputs)]
    tensors = [numpy_helper.from_array(np.asarray(a), name) for name, a in (constants or {}).items()]
    values = [helper.make_tensor_value_info(name, dtype, ["N", "n"]) for name in outputs]  # which nobody looks at
    graph = helper.make_graph(nodes, "g", inputs, values, tensors)
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


def saved(made, path):
    """The path, as text, of a file that holds the model."""
    onnx.save(made, path)
    return str(path)
