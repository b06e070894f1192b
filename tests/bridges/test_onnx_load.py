"""fastlec.onnx.load: models as networks; what is none, as a model; what is neither, by name and place."""

import re

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import fastlec
from fastlec import SGD, Activation, Concat, Conv2d, Dense, Dropout, Network, Sum, fit
from fastlec.io import ModelError

onnx = pytest.importorskip("onnx")
from onnx_models import LAYERS, assert_close, made, model, node, saved  # noqa: E402

W, b = np.arange(12.0, dtype=np.float32).reshape(4, 3) / 10, np.array([1, -2, 3], np.float32)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "net.onnx"


@pytest.fixture
def loaded(path):
    """loaded(nodes, shape, ...): what load makes of such a model."""
    return lambda *arguments, **named: fastlec.onnx.load(saved(model(*arguments, **named), path))


@pytest.mark.parametrize("name", LAYERS)
def test_what_was_exported(name, path, dtype, rng):
    layer, x = made(name, dtype, rng)
    fastlec.onnx.export(layer, path, x.shape[1:])
    net, expected = fastlec.onnx.load(path), layer(x)
    assert isinstance(net, Network) or name in ("AvgPool2d one last window outside, one beyond", "MaxPool2d much padding")
    assert_close(net(x), expected, units=2)
    assert_close(net(x[:0]), expected[:0])
    assert_close(net(np.asfortranarray(x[::-1])), expected[::-1], units=2)


def test_layers_and_weights_are_those_that_were_exported(path):
    layers = [
        Conv2d(1, 4, 3, "relu", padding=1),
        fastlec.BatchNorm2d(4),
        fastlec.Flatten(),
        Dropout(0.25),
        Dense(64, 3, "identity"),
    ]
    net = Network(layers, rng=0)
    fastlec.onnx.export(net, path, (1, 4, 4))
    same = fastlec.onnx.load(path)
    assert [type(layer) for layer in same.layers] == [type(layer) for layer in net.layers]
    assert_array_equal(same.theta, net.theta)
    assert same.layers[3].p == 0.25
    assert (same.theta.dtype, list(same.params)) == (net.theta.dtype, list(net.params))
    y = np.arange(60) % 3
    X = y[:, None, None, None] * np.ones((1, 4, 4))
    same.buffers["3.seed"][...] = 1  # the file has none
    history = fit(same, X, y, optimizer=SGD(0.05), epochs=30, rng=0)
    assert history.train_loss[-1] < history.train_loss[0] / 2


def test_activations_become_part_of_the_layer_before(loaded):
    net = loaded([node("Gemm", "x W b", "h"), node("Relu", "h", "y")], (4,), {"W": W, "b": b})
    assert repr(net) == "Network([Dense(n_in=4, n_out=3, activation='relu', dtype='float32')])"
    x = np.ones((2, 4), np.float32)
    assert_allclose(net(x), np.maximum(x @ W + b, 0), rtol=1e-6)


def test_products_and_what_is_added(loaded):
    nodes = [node("MatMul", "x W", "h"), node("Add", "b h", "g"), node("Sigmoid", "g", "s"), node("Mul", "g s", "y")]
    net = loaded(nodes, (4,), {"W": W, "b": b})
    assert repr(net) == "Network([Dense(n_in=4, n_out=3, activation='silu', dtype='float32')])"
    assert_array_equal(net.params["0.b"], b)
    scaled = loaded([node("Gemm", "x W b", "y", alpha=0.5, beta=2.0, transB=1)], (4,), {"W": W.T, "b": b[None]})
    assert_allclose(scaled(np.ones((1, 4), np.float32))[0], W.sum(0) / 2 + 2 * b, rtol=1e-6)


BRANCHES = {
    "residual": (["Relu x h", "Tanh h g", "Add h g y"], "Network([Activation('relu'), Sum([i, Activation('tanh')])])"),
    "itself": (["Add x x y"], "Network([Sum([i, i])])"),
    "three": (["Relu x a", "Tanh x b", "Sum x a b y"], "Network([Sum([i, Activation('relu'), Activation('tanh')])])"),
    "within": (
        ["Relu x a", "Tanh a b", "Add a b c", "Sigmoid x d", "Add c d e", "Relu e y"],
        "Network([Sum([Network([Activation('relu'), Sum([i, Activation('tanh')])]), Activation('sigmoid')]), Activation('relu')])",
    ),
    "dense": (
        ["Relu x a", "Add x a b", "Tanh b c", "Add b c y"],
        "Network([Sum([i, Activation('relu')]), Sum([i, Activation('tanh')])])",
    ),
}


def one_line(made):
    """Its repr, whose lines are those of a list of layers."""
    return " ".join(repr(made).split()).replace("[ ", "[").replace(", ])", "])")


@pytest.mark.parametrize("name", BRANCHES)
def test_branches(name, loaded, rng):
    lines, expected = BRANCHES[name]
    net = loaded(nodes_of(lines), (4,))
    shown = one_line(net).replace("activation=", "").replace("Activation('identity')", "i")
    assert shown == expected
    x = rng.standard_normal((3, 4)).astype(np.float32)
    assert_close(net(x), computed(lines, x))


def nodes_of(lines):
    return [node(operator, " ".join(names[:-1]), names[-1]) for operator, *names in map(str.split, lines)]


def computed(lines, x):
    """What such nodes give, by NumPy."""
    functions = {"Relu": lambda a: np.maximum(a, 0), "Tanh": np.tanh, "Sigmoid": lambda a: 1 / (1 + np.exp(-a)), "Add": np.add}
    values = {"x": x, "Sum": None}
    for operator, *names in map(str.split, lines):
        given = [values[name] for name in names[:-1]]
        values[names[-1]] = sum(given[1:], start=given[0]) if operator == "Sum" else functions[operator](*given)
    return values["y"]


@pytest.mark.parametrize(
    "lines",
    [
        ["Relu x a", "Tanh a b", "Sigmoid x c", "Add a c d", "Add b d y"],  # a goes into both
        ["Relu x a", "Tanh x b", "Add a b c", "Tanh a e", "Sigmoid b f", "Add e f d", "Add c d y"],
    ],
)
def test_values_that_branches_share_are_computed_once(lines, loaded, rng):
    net = loaded(nodes_of(lines), (4,))
    assert isinstance(net, fastlec.onnx.Model)
    assert net.net is None
    x = rng.standard_normal((3, 4)).astype(np.float32)
    assert_close(net(x), computed(lines, x))


def test_channels_side_by_side(loaded, rng):
    V = rng.standard_normal((3, 2, 3, 3)).astype(np.float32)
    nodes = [
        node("Conv", "x V", "a", pads=[1, 1, 1, 1]),
        node("Concat", "x a", "b", axis=1),
        node("LeakyRelu", "b", "y", alpha=0.2),
    ]
    net = loaded(nodes, (2, 5, 5), {"V": V})
    assert [type(layer) for layer in net.layers] == [Concat, Activation]
    assert net.layers[1].negative_slope == 0.2
    x = rng.standard_normal((3, 2, 5, 5)).astype(np.float32)
    y = np.concatenate([x, fastlec.conv2d(x, V, padding=1)], axis=1)
    assert_close(net(x), np.where(y > 0, y, y * np.float32(0.2)))


def test_probabilities_and_the_network_before_them(loaded, rng):
    nodes = [node("Gemm", "x W b", "h"), node("Softmax", "h", "y")]
    classifier = loaded(nodes, (4,), {"W": W, "b": b})
    x = rng.standard_normal((5, 4)).astype(np.float32)
    logits = x @ W + b
    assert isinstance(classifier, fastlec.onnx.Model)
    assert_close(classifier(x), fastlec.softmax(logits))
    assert isinstance(classifier.net, Network)
    assert_close(classifier.net(x), logits)
    assert_close(classifier.net.predict_proba(x), classifier(x))
    assert (classifier.inputs, classifier.outputs) == ({"x": (4,)}, ["y"])
    assert repr(classifier) == f"Model({classifier.net!r}, Softmax)"
    assert classifier(x[:0]).shape == (0, 3)
    assert classifier(x.astype(np.float64)).dtype == np.float64
    with pytest.raises(ValueError, match=r"x has shape \(5, 3\); expected \(m, 4\)"):
        classifier(x[:, :3])
    with pytest.raises(TypeError, match="2 arrays are given; expected 1, x"):
        classifier(x, x)
    with pytest.raises(TypeError, match="x has dtype complex"):
        classifier(x * 1j)


def test_the_largest_part_that_is_a_network(loaded, rng):
    lines = ["Relu x a", "Mul a two b", "Tanh b c", "Sigmoid b d", "Add c d e", "Relu e f", "Softmax f g", "Tanh g y"]
    model, x = loaded(nodes_of(lines), (4,), {"two": np.float32(2)}), rng.standard_normal((3, 4)).astype(np.float32)
    part = "Network([Sum([Activation(activation='tanh'), Activation(activation='sigmoid')]), Activation(activation='relu')])"
    assert one_line(model) == f"Model(Relu, Mul, {part}, Softmax, Tanh)"
    b = np.maximum(x, 0) * 2
    f = np.maximum(np.tanh(b) + 1 / (1 + np.exp(-b)), 0)
    assert_close(model(x), np.tanh(fastlec.softmax(f)))
    assert_close(model.net(b), f)


def test_softmax_before_opset_13_is_of_all_that_follows_an_axis(loaded, rng):
    x = rng.standard_normal((2, 3, 4)).astype(np.float32)
    old, new = (loaded([node("Softmax", "x", "y")], (3, 4), opset=opset) for opset in (12, 13))
    assert_close(old(x), fastlec.softmax(x.reshape(2, 12)).reshape(x.shape))
    assert_close(new(x), fastlec.softmax(x))


def test_several_inputs_and_outputs(path, rng):
    nodes = [node("Add", "x z", "s"), node("Relu", "s", "y"), node("Tanh", "s", "t")]
    saved(model(nodes, (4,), outputs=("y", "t"), more_inputs=("z",)), path)
    with pytest.raises(ModelError, match=r"has 2 floating outputs, \['y', 't'\], of 2; expected one, or output= with a name"):
        fastlec.onnx.load(path)
    with pytest.raises(ValueError, match="output is 'w'; expected one of y, t"):
        fastlec.onnx.load(path, output="w")
    x, z = rng.standard_normal((2, 3, 4)).astype(np.float32)
    assert_close(fastlec.onnx.load(path, output="t")(x, z), np.tanh(x + z))
    nodes = [node("Tanh", "x", "scores"), node("Softmax", "x", "Probabilities")]
    saved(model(nodes, (4,), outputs=("scores", "Probabilities")), path)
    assert_close(fastlec.onnx.load(path)(x), fastlec.softmax(x))


RESHAPES = {
    "flat": ([0, -1], (2, 3), (6,)),
    "as many": ([-1, 6], (2, 3), (6,)),
    "apart": ([0, 2, -1], (6,), (2, 3)),
    "other axes": ([-1, 3, 2], (2, 3), (3, 2)),
    "as they were": ([0, 0, -1], (2, 3), (2, 3)),
}


@pytest.mark.parametrize("name", RESHAPES)
def test_how_many_samples_there_are_is_free(name, loaded):
    target, before, after = RESHAPES[name]
    net = loaded([node("Reshape", "x s", "h"), node("Relu", "h", "y")], before, {"s": np.array(target)})
    for m in (0, 1, 5):
        x = np.arange(m * 6.0, dtype=np.float32).reshape(m, *before)
        assert_array_equal(net(x), x.reshape(m, *after))
    assert isinstance(net, Network) == (len(after) == 1)


def test_a_number_of_samples_that_a_file_fixes_is_free(path):
    made = model([node("Reshape", "x s", "y")], (2, 3), {"s": np.array([7, -1])})
    made.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 7
    net = fastlec.onnx.load(saved(made, path))
    assert net(np.ones((2, 2, 3), np.float32)).shape == (2, 6)


def test_shapes_that_exporters_compute(loaded):
    nodes = [
        node("Shape", "x", "shape"),
        node("Gather", "shape zero", "m"),
        node("Unsqueeze", "m axes", "n"),
        node("Concat", "n rest", "target", axis=0),
        node("Reshape", "x target", "h"),
        node("Gemm", "h W", "y"),
    ]
    constants = {"zero": np.array(0), "axes": np.array([0]), "rest": np.array([-1]), "W": W}
    net = loaded(nodes, (2, 2), constants)
    assert [type(layer).__name__ for layer in net.layers] == ["Flatten", "Dense"]
    assert net(np.ones((5, 2, 2), np.float32)).shape == (5, 3)


def test_a_value_of_which_only_the_shape_is_asked_for(loaded):
    nodes = [
        node("Relu", "x", "h"),
        node("Tanh", "h", "t"),
        node("Shape", "t", "s"),
        node("Sigmoid", "h", "g"),
        node("Reshape", "g s", "f"),
        node("Softmax", "f", "y"),
    ]
    net, x = loaded(nodes, (4,)), np.ones((2, 4), np.float32)
    assert_close(net(x), np.full_like(x, 0.25))
    assert "tanh" not in repr(net)


def test_constants_that_other_nodes_make(loaded, rng):
    nodes = [
        node("Identity", "W0", "W1"),
        node("Transpose", "W1", "W2", perm=[1, 0]),
        node("Cast", "W2", "W3", to=onnx.TensorProto.FLOAT),
        node("Gemm", "x W3", "y"),
    ]
    net = loaded(nodes, (4,), {"W0": W.T.astype(np.float64)})
    x = rng.standard_normal((3, 4)).astype(np.float32)
    assert_close(net(x), x @ W)


def test_batch_and_layer_normalisation_of_any_axes(loaded, rng):
    x = rng.standard_normal((3, 2, 5)).astype(np.float32)
    scale, shift, mean, var = rng.uniform(0.5, 1.5, (4, 2)).astype(np.float32)
    names = {"a": scale, "b": shift, "c": mean, "d": var}
    signals = loaded([node("BatchNormalization", "x a b c d", "y", epsilon=0.5)], (2, 5), names)
    c = (slice(None), None)
    assert_close(signals(x), scale[c] * (x - mean[c]) / np.sqrt(var[c] + np.float32(0.5)) + shift[c])
    whole = loaded([node("LayerNormalization", "x a", "y", axis=1)], (2, 5), {"a": np.ones((2, 5), np.float32)})
    centred = x - x.mean(axis=(1, 2), keepdims=True)
    assert_close(whole(x), centred / np.sqrt((centred**2).mean(axis=(1, 2), keepdims=True) + np.float32(1e-5)))


def test_padding_before_which_the_odd_pixel_is(loaded, rng):
    x, V = rng.standard_normal((2, 1, 5, 4)).astype(np.float32), rng.standard_normal((1, 1, 2, 2)).astype(np.float32)
    lower = loaded([node("Conv", "x V", "y", auto_pad="SAME_LOWER")], (1, 5, 4), {"V": V})
    assert_close(lower(x), fastlec.conv2d(x, V, padding=((1, 0), (1, 0))))
    upper = loaded([node("Conv", "x V", "y", auto_pad="SAME_UPPER")], (1, 5, 4), {"V": V})
    assert upper.layers[0].padding == "same"
    with pytest.raises(ModelError, match="auto_pad is SAME_LOWER, and how large the images are is not known"):
        loaded([node("Conv", "x V", "y", auto_pad="SAME_LOWER")], (1, "h", "w"), {"V": V})


def test_images_of_any_size(loaded, rng):
    V = rng.standard_normal((3, 2, 3, 3)).astype(np.float32)
    nodes = [node("Conv", "x V", "a"), node("Relu", "a", "b"), node("GlobalAveragePool", "b", "c"), node("Flatten", "c", "y")]
    net = loaded(nodes, (2, "h", "w"), {"V": V})
    assert [type(layer).__name__ for layer in net.layers] == ["Conv2d", "GlobalAvgPool2d"]
    for size in (5, 8):
        assert net(np.ones((2, 2, size, size), np.float32)).shape == (2, 3)


FUNCTIONS = {  # nodes, shape of a sample, constants, the same by NumPy
    "rows of a sample": ([node("MatMul", "x W", "y")], (2, 4), {"W": W}, lambda x: x @ W),
    "largest of signals": ([node("GlobalMaxPool", "x", "y")], (2, "n"), {}, lambda x: x.max(axis=2, keepdims=True)),
    "means of signals": ([node("GlobalAveragePool", "x", "y")], (2, "n"), {}, lambda x: x.mean(axis=2, keepdims=True)),
    "means of images": (
        [node("ReduceMean", "x a", "y")],
        (2, 5, 4),
        {"a": np.array([-1, -2])},
        lambda x: x.mean(axis=(2, 3), keepdims=True),
    ),
    "scaled": (
        [onnx.helper.make_node("Scaler", ["x"], ["y"], domain="ai.onnx.ml", offset=[1.0, 2.0, 3.0], scale=[2.0, 2.0, 4.0])],
        (3,),
        {},
        lambda x: (x - np.float32([1, 2, 3])) * np.float32([2, 2, 4]),
    ),
    "norms": (
        [onnx.helper.make_node("Normalizer", ["x"], ["y"], domain="ai.onnx.ml", norm="L2")],
        (3,),
        {},
        lambda x: x / np.sqrt((x**2).sum(axis=1, keepdims=True)),
    ),
    "gelu in parts": (
        [
            node("Div", "x r", "a"),
            node("Erf", "a", "b"),
            node("Add", "b one", "c"),
            node("Mul", "x c", "d"),
            node("Mul", "d half", "y"),
        ],
        (3,),
        {"r": np.float32(2**0.5), "one": np.float32(1), "half": np.float32(0.5)},
        fastlec.gelu,
    ),
    "constants": (
        [
            node("Squeeze", "A axes", "b"),
            onnx.helper.make_node("Constant", [], ["k"], value_ints=[1, 0]),
            node("Transpose", "b", "c", perm=[1, 0]),
            node("Gather", "c k", "d", axis=1),
            node("Gemm", "x d", "y"),
        ],
        (4,),
        {"A": W.T[None, :2], "axes": np.array([0])},
        lambda x: x @ W[:, [1, 0]],
    ),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_of_a_model(name, loaded, rng):
    nodes, shape, constants, expected = FUNCTIONS[name]
    x = rng.standard_normal((3, *(6 if n == "n" else n for n in shape))).astype(np.float32)
    assert_close(loaded(nodes, shape, constants)(x), expected(x))


def test_pads_and_enlargement_as_they_were_before_opset_11(loaded, rng):
    x = rng.standard_normal((2, 1, 3, 2)).astype(np.float32)
    padded = loaded([node("Pad", "x", "y", pads=[0, 0, 1, 0, 0, 0, 0, 2], value=3.0)], (1, 3, 2), opset=10)
    assert_close(padded(x), np.pad(x, [(0, 0), (0, 0), (1, 0), (0, 2)], constant_values=3))
    large = loaded([node("Upsample", "x s", "y")], (1, 3, 2), {"s": np.array([1, 1, 2, 3], np.float32)}, opset=9)
    assert_close(large(x), x.repeat(2, axis=2).repeat(3, axis=3))


def test_pools_say_which_images_are_too_small(loaded):
    net = loaded([node("AveragePool", "x", "y", kernel_shape=[3, 3], pads=[0, 0, 1, 1])], (1, "h", "w"))
    with pytest.raises(ValueError, match=r"x has shape \(2, 1, 1, 4\); expected 3 pixels or more with the padding"):
        net(np.ones((2, 1, 1, 4), np.float32))


def test_half_precision_computes_in_single(loaded):
    net = loaded([node("Gemm", "x W", "y")], (4,), {"W": W.astype(np.float16)}, dtype=onnx.TensorProto.FLOAT16)
    assert net.theta.dtype == np.float32


# --- what is refused ---------------------------------------------------------------------------------------------------

REFUSED = {
    "operator": (
        [node("Relu", "x", "h"), node("Sin", "h", "y")],
        {},
        r"node 1, Sin: fastlec has no such operator; expected Add, Av",
    ),
    "weights that are computed": (
        [node("Relu", "x", "h"), node("Gemm", "x h", "y")],
        {},
        "node 1, Gemm: its input 1, B, is computed",
    ),
    "shapes": ([node("Gemm", "x W", "y", transB=1)], {"W": W}, r"node 0, Gemm: x has samples of shape \(4,\); expected \(3,\)"),
    "sizes": ([node("Gemm", "x W b", "y")], {"W": W, "b": np.ones(2, np.float32)}, "node 0, Gemm: .*shape"),
    "weights of text": ([node("Gemm", "x W", "y")], {"W": W.astype(str).astype(object)}, "node 0, Gemm: B has dtype object"),
    "integers": (
        [node("Cast", "x", "h", to=6), node("Cast", "h", "y", to=1)],
        {},
        "node 0, Cast: it makes other numbers than float32",
    ),
    "in training": (
        [node("Dropout", "x p t", "y")],
        {"p": np.array(0.5, np.float32), "t": np.array(True)},
        "node 0, Dropout: training_mode is true; expected a model for inference",
    ),
    "constants alone": (
        [node("Tanh", "W", "h"), node("Gemm", "x h", "y")],
        {"W": W},
        "node 0, Tanh: it is computed of constants alone",
    ),
    "a constant": ([node("Identity", "W", "y")], {"W": W}, "the output 'y' is a constant"),
    "vectors": (
        [node("MatMul", "x b", "y")],
        {"b": np.ones(4, np.float32)},
        r"node 0, MatMul: B has shape \(4,\); expected a matrix",
    ),
    "coefficients": (
        [
            onnx.helper.make_node(
                "LinearClassifier", ["x"], ["l", "y"], domain="ai.onnx.ml", coefficients=[1.0] * 4, intercepts=[0.0]
            )
        ],
        {},
        "node 0, LinearClassifier: it has 4 coefficients and 1 intercepts; expected two",
    ),
    "how it ends": (
        [
            onnx.helper.make_node(
                "LinearClassifier",
                ["x"],
                ["l", "y"],
                domain="ai.onnx.ml",
                coefficients=[1.0] * 8,
                intercepts=[0.0, 1.0],
                post_transform="PROBIT",
            )
        ],
        {},
        "node 0, LinearClassifier: post_transform is 'PROBIT'; expected one of NONE, LOGISTIC, SOFTMAX",
    ),
    "auto_pad": (
        [node("MaxPool", "x", "y", kernel_shape=[2, 2], auto_pad="MIDDLE")],
        {},
        "node 0, MaxPool: auto_pad is 'MIDDLE'; expected NOTSET",
    ),
    "reflected": ([node("Pad", "x p", "y", mode="reflect")], {"p": np.zeros(4, int)}, "node 0, Pad: it has a mode, or axes"),
    "less than nothing": (
        [node("Pad", "x p", "y")],
        {"p": np.array([0, -1, 0, 0])},
        "node 0, Pad: pads is .*; expected integers of at",
    ),
    "computed places": (
        [
            node("Relu", "x", "r"),
            node("Resize", "x r s", "y", coordinate_transformation_mode="asymmetric", nearest_mode="floor"),
        ],
        {"s": np.ones(4, np.float32)},
        "node 1, Resize: 2 of its inputs are computed; expected one",
    ),
    "three axes": (
        [node("MaxPool", "x", "y", kernel_shape=[2, 2, 2])],
        {},
        "node 0, MaxPool: it is for 3 axes; expected images",
    ),
    "pads": (
        [node("MaxPool", "x", "y", kernel_shape=[2, 2], pads=[0, 0, 10**9, 0])],
        {},
        r"node 0, MaxPool: pads is .*; expected less than the windows",
    ),
    "scales": (
        [node("Resize", "x  s", "y", mode="linear")],
        {"s": np.ones(4, np.float32)},
        "node 0, Resize: it is linear, half_pixel, round_prefer_floor; expected nearest",
    ),
    "shape": (
        [node("Reshape", "x s", "y")],
        {"s": np.array([-2, 3])},
        "node 0, Reshape: shape is .*; expected integers, at most one",
    ),
    "axes": (
        [node("ReduceMean", "x s", "y")],
        {"s": np.array([1])},
        r"node 0, ReduceMean: axes is \[1\]; expected those of images",
    ),
    "large constants": (
        [node("Gather", "W i", "a"), node("Gather", "a j", "h"), node("Gemm", "x h", "y")],
        {"W": W, "i": np.zeros((1000, 1000), int), "j": np.zeros((1000, 1000), int)},
        "node [01], Gather: it makes a constant of 3000000 values",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_by_name_and_place(name, path, loaded):
    nodes, constants, text = REFUSED[name]
    with pytest.raises(ModelError, match=f"^{re.escape(str(path))}: {text}"):
        loaded(nodes, (4,), constants)


def test_operators_of_other_domains_and_old_opsets(path, loaded):
    made = model([onnx.helper.make_node("Gelu", ["x"], ["y"], "act", domain="com.example")], (4,))
    made.opset_import.append(onnx.helper.make_opsetid("com.example", 1))
    with pytest.raises(ModelError, match="node 0 'act', Gelu: its domain is 'com"):
        fastlec.onnx.load(saved(made, path))
    with pytest.raises(ModelError, match="has operators of opset 8; expected 9 or later"):
        loaded([node("Relu", "x", "y")], (4,), opset=8)


def test_what_is_not_asked_for_may_be_anything(loaded):
    nodes = [node("Relu", "x", "y"), node("ArgMax", "y", "label"), node("Sin", "x", "z")]
    assert repr(loaded(nodes, (4,))) == "Network([Activation(activation='relu')])"


def test_images_too_large_for_memory(loaded):
    net = loaded([node("Resize", "x  s", "y", mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor")],
                 (1, 2, 2), {"s": np.array([1, 1, 2**20, 2**20], np.float32)})  # fmt: skip
    with pytest.raises(MemoryError):
        net(np.ones((1, 1, 2, 2), np.float32))
    assert isinstance(net.layers[0], fastlec.Upsample2d)
    assert isinstance(loaded([node("Add", "x x", "y")], (4,)).layers[0], Sum)
