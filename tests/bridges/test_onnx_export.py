"""fastlec.onnx.export: models that ONNX's checker accepts and that ONNX Runtime computes to rounding."""

from pathlib import Path

import nets
import numpy as np
import pytest

import fastlec
from fastlec import (
    SGD,
    Activation,
    AvgPool2d,
    BatchNorm2d,
    Concat,
    Conv2d,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool2d,
    MaxPool2d,
    Network,
    Sum,
    Upsample2d,
    fit,
)
from fastlec.io import ModelError
from fastlec.layers.registry import KINDS

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
from onnx_models import LAYERS, assert_close, made, run, session  # noqa: E402

IN_FLOAT32 = ("gelu", "softplus", "elu", "leaky_relu", "bias", "Activation", "Conv", "Concat", "AvgPool2d", "AvgPool1d")


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "net.onnx")


def test_every_kind_is_here():
    assert {name.partition(" ")[0] for name in LAYERS} == {name for name, kind in KINDS.items() if kind._of_fastlec}


@pytest.mark.parametrize("name", LAYERS)
def test_every_layer_in_float32(name, path, rng):
    layer, x = made(name, "float32", rng)
    fastlec.onnx.export(layer, path, x.shape[1:])
    onnx.checker.check_model(onnx.load(path), full_check=True)
    y = layer(x)
    assert_close(run(path, x)[0], y)
    assert_close(run(path, x[:1])[0], y[:1])


@pytest.mark.parametrize("name", [name for name in LAYERS if not any(word in name for word in IN_FLOAT32)])
def test_layers_that_onnx_runtime_has_in_float64(name, path, rng):
    layer, x = made(name, "float64", rng)
    fastlec.onnx.export(layer, path, x.shape[1:])
    assert_close(run(path, x)[0], layer(x), units=1e5 if "LayerNorm" in name else 20)  # its eps is float32 in ONNX


@pytest.mark.parametrize("name", ["Conv2d", "Conv2d pads", "Conv1d", "ConvResidual", "ProjectedConvResidual"])
def test_convolutions_in_float64_by_the_reference_of_onnx(name, path, rng):
    layer, x = made(name, "float64", rng)
    fastlec.onnx.export(layer, path, x.shape[1:])
    found = pytest.importorskip("onnx.reference").ReferenceEvaluator(path).run(None, {"x": x})[0]
    assert_close(found, layer(x))


def lenet():
    convolutions = [Conv2d(1, 6, 5, padding=2), AvgPool2d(2), Conv2d(6, 16, 3, "relu"), MaxPool2d(2)]
    return Network([*convolutions, Flatten(), Dense(16, 12, "relu"), Dropout(0.2), Dense(12, 3, "identity")], rng=0)


def resnet():
    def block(c):
        inner = [Conv2d(c, c, 3, padding=1, bias=False), BatchNorm2d(c), Activation("relu")]
        inner += [Conv2d(c, c, 3, padding=1, bias=False), BatchNorm2d(c)]
        return [Sum([Network(inner), Activation("identity")]), Activation("relu")]

    return Network([Conv2d(1, 4, 3, padding=1), *block(4), *block(4), GlobalAvgPool2d(), Dense(4, 3, "identity")], rng=0)


def unet():
    below = Network([MaxPool2d(2), Conv2d(4, 6, 3, "silu", padding=1), Upsample2d(2)])
    both = Concat([Activation("identity"), below])
    return Network([Conv2d(1, 4, 3, "gelu", padding=1), both, Conv2d(10, 1, 1), Flatten(), Dense(64, 3, "identity")], rng=0)


@pytest.mark.parametrize("make", [lenet, resnet, unet])
def test_networks_that_were_trained(make, path, rng):
    X, y = rng.standard_normal((40, 1, 8, 8)).astype(np.float32), np.arange(40) % 3
    net = make().astype("float32")
    fit(net, X, y, optimizer=SGD(0.05), epochs=2, batch_size=10, rng=0)
    fastlec.onnx.export(net, path, (1, 8, 8))
    assert_close(run(path, X)[0], net(X), units=100)
    constants = {tensor.name for tensor in onnx.load(path).graph.initializer}
    assert set(net.params) <= constants


def test_what_a_file_says_of_itself(path):
    fastlec.onnx.export(Network([Dense(4, 3, rng=0)]).astype("float32"), path, [4])
    model = onnx.load(path)
    assert (model.producer_name, model.producer_version) == ("fastlec", fastlec.__version__)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 20)]
    at = session(path)
    assert [(a.name, a.shape, a.type) for a in at.get_inputs()] == [("x", ["N", 4], "tensor(float)")]
    assert [(a.name, a.shape, a.type) for a in at.get_outputs()] == [("y", ["N", 3], "tensor(float)")]


def test_a_class_of_networks(path):
    class Pair(Network):
        def __init__(self):
            super().__init__([Dense(4, 3, rng=0), Dense(3, 2, rng=1)])

    net, x = Pair(), np.ones((2, 4))
    fastlec.onnx.export(net, path, (4,))
    assert_close(run(path, x)[0], net(x))


@pytest.mark.parametrize(
    ("net", "shape", "error", "text"),
    [
        ("x", (4,), TypeError, "net is a str; expected a Network or another layer"),
        (nets.Cube(), (4,), TypeError, "net is a Cube; expected one of fastlec's own layers"),
        (Network([Dense(4, 3), Network([nets.Cube()])]), (4,), TypeError, "layer 1.0 Cube is of one's own; expected"),
        (Network([Dense(4, 3, Activation(np.sin, np.cos))]), (4,), TypeError, "layer 0 Dense is of one's own"),
        (Network([Activation(np.sin, np.cos)]), (4,), TypeError, "layer 0 FunctionActivation is of one's own"),
        (Network([BatchNorm2d(1)]).for_training(), (1, 2, 2), ValueError, "layer 0 BatchNorm2d is in its form for training"),
        (Dropout(0.5, training=True), (4,), ValueError, "layer Dropout is in its form for training"),
        (Dense(4, 3), (5,), ValueError, r"x has samples of shape \(5,\); expected \(4,\)"),
        (Dense(4, 3), 4, TypeError, "input_shape is 4; expected a tuple of integers"),
        (Dense(4, 3), (0,), ValueError, r"input_shape\[0\] is 0; expected at least 1"),
    ],
)
def test_what_is_refused(net, shape, error, text, path, tmp_path):
    with pytest.raises(error, match=text):
        fastlec.onnx.export(net, path, shape)
    assert not list(tmp_path.iterdir())


def test_an_activation_that_onnx_has_not(path, monkeypatch):
    from fastlec.onnx import writer

    monkeypatch.delitem(writer.FUNCTIONS, "gelu")
    with pytest.raises(TypeError, match="layer 0 Dense has the activation 'gelu', which ONNX has no operator for"):
        fastlec.onnx.export(Network([Dense(4, 3, "gelu")]), path, (4,))


def test_numbers_that_are_not_finite_and_places_where_no_file_can_be(path, tmp_path):
    layer = Dense(4, 3)
    layer.params["b"][1] = np.nan
    with pytest.raises(ModelError, match="b holds NaN or infinity"):
        fastlec.onnx.export(layer, path, (4,))
    with pytest.raises(ModelError, match="there is no folder"):
        fastlec.onnx.export(Dense(4, 3), tmp_path / "none" / "net.onnx", (4,))


def test_a_file_that_is_there_is_replaced_only_by_a_whole_one(path):
    fastlec.onnx.export(Dense(4, 3, rng=0), path, (4,))
    before = Path(path).read_bytes()
    with pytest.raises(TypeError, match="Cube"):
        fastlec.onnx.export(Network([nets.Cube()]), path, (4,))
    assert Path(path).read_bytes() == before
