"""Layers of a user's own: what is missing of one, or wrong in what it gives, is named."""

import functools
import re

import nets
import numpy as np
import pytest

from fastlec import SGD, Activation, Dense, Layer, MeanSquaredError, Network, training_step

X = np.linspace(-1, 1, 12).reshape(4, 3)


def without(*names):
    """The class of a layer that lacks these methods."""
    methods = {name: a for name, a in vars(nets.Same).items() if name not in names}
    return type("Lacking", (Layer,), methods)


@pytest.mark.parametrize("names", [("output_shape",), ("evaluate",), ("mv",), ("tmv",), ("mv", "tmv")])
def test_missing_methods(names):
    text = f"class Lacking defines no {', '.join(names)}; a Layer needs output_shape, evaluate, mv and tmv"
    with pytest.raises(TypeError, match=f"^{text}$"):
        without(*names)()


def test_the_base_class_is_no_layer():
    with pytest.raises(TypeError, match="class Layer defines no output_shape, evaluate, mv, tmv; a Layer needs"):
        Layer({"a": np.ones(2)})


def test_a_constructor_that_makes_no_layer():
    class Forgetful(nets.Same):
        def __init__(self):
            self.n = 3

    with pytest.raises(TypeError, match=r"class Forgetful: its __init__ does not call super\(\).__init__\(params\)"):
        Forgetful()


def test_methods_that_are_not_there_may_be_asked_for():
    with pytest.raises(NotImplementedError, match=r"class Dense defines no tmv; linearize\(x\) gives what has mv and tmv"):
        Dense(3, 2).tmv(None, X, ("x",))


PARAMS = {
    "no dict": ([1.0], TypeError, "params is a list; expected a dict of arrays by name"),
    "a number as a name": ({1: np.ones(2)}, TypeError, "params has the name 1; expected text"),
    "x": ({"x": np.ones(2)}, ValueError, "params has the name 'x', which means something else"),
    "integers": ({"a": np.ones(2, int)}, TypeError, "params['a'] has dtype int64; expected float32 or float64"),
}


@pytest.mark.parametrize(("params", "error", "text"), PARAMS.values(), ids=PARAMS)
def test_parameters(params, error, text):
    class Mine(nets.Same):
        def __init__(self):
            Layer.__init__(self, params)

    with pytest.raises(error, match=f"^{re.escape(text)}"):
        Mine()


def spoiled(**methods):
    """A layer of features (3,) with these methods."""
    return type("Mine", (nets.Scale,), methods)(3)


def both(layer):
    """By itself, and within a network; a name for each variable."""
    return ((layer, ""), (Network([layer]), "0."))


RESULTS = {  # (methods, error, text), of y
    "y alone": ({"evaluate": lambda s, x: x}, TypeError, "Mine.evaluate gave a ndarray; expected a pair (y, kept)"),
    "nothing": ({"evaluate": lambda s, x: None}, TypeError, "Mine.evaluate gave a NoneType; expected a pair (y, kept)"),
    "no y": ({"evaluate": lambda s, x: (None, x)}, TypeError, "Mine.evaluate gave a NoneType; expected an array"),
    "a list": ({"evaluate": lambda s, x: (x.tolist(), x)}, TypeError, "Mine.evaluate gave a list; expected an array"),
    "a mask": (
        {"evaluate": lambda s, x: (np.ma.array(x), x)},
        TypeError,
        "Mine.evaluate gave a MaskedArray; expected an array",
    ),
    "y's shape": (
        {"evaluate": lambda s, x: (x[:, :2], x)},
        ValueError,
        "Mine.evaluate gave shape (4, 2); expected (4, 3), by output_shape",
    ),
    "y's dtype": (
        {"evaluate": lambda s, x: (x.astype("f4"), x)},
        TypeError,
        "Mine.evaluate gave dtype float32; expected float64",
    ),
    "no shape": ({"output_shape": lambda s, shape: None}, TypeError, "Mine.output_shape gave None; expected a tuple of int"),
    "a number": ({"output_shape": lambda s, shape: 3}, TypeError, "Mine.output_shape gave 3; expected a tuple of integers"),
    "halves": ({"output_shape": lambda s, shape: (1.5,)}, TypeError, "Mine.output_shape gave (1.5,); expected a tuple of"),
}


@pytest.mark.parametrize(("methods", "error", "text"), RESULTS.values(), ids=RESULTS)
def test_what_evaluate_gives(methods, error, text):
    for layer, _ in both(spoiled(**methods)):
        for call in (layer, layer.linearize):
            with pytest.raises(error, match=f"^{re.escape(text)}"):
                call(X)


DERIVATIVES = {  # (methods, error, text), of mv and tmv
    "mv none": ({"mv": lambda s, kept, d: None}, TypeError, "Mine.mv gave a NoneType; expected an array"),
    "mv list": ({"mv": lambda s, kept, d: [1.0]}, TypeError, "Mine.mv gave a list; expected an array"),
    "mv shape": ({"mv": lambda s, kept, d: np.ones(3)}, ValueError, "Mine.mv gave shape (3,); expected (4, 3)"),
    "mv dtype": ({"mv": lambda s, kept, d: np.ones((4, 3), int)}, TypeError, "Mine.mv gave dtype int64; expected float64"),
    "tmv none": ({"tmv": lambda s, kept, v, wrt: None}, TypeError, "Mine.tmv gave a NoneType; expected a dict of arrays by"),
    "tmv array": ({"tmv": lambda s, kept, v, wrt: v}, TypeError, "Mine.tmv gave a ndarray; expected a dict of arrays by"),
    "tmv empty": ({"tmv": lambda s, kept, v, wrt: {}}, ValueError, "Mine.tmv gave nothing for 'a'; expected arrays for a, c"),
    "tmv of none": (
        {"tmv": lambda s, kept, v, wrt: dict.fromkeys(wrt)},
        TypeError,
        "Mine.tmv by 'a' gave a NoneType; expected an array",
    ),
    "tmv shape": ({"tmv": lambda s, kept, v, wrt: dict.fromkeys(wrt, v)}, ValueError, "Mine.tmv by 'a' gave shape (4, 3); exp"),
    "tmv dtype": (
        {"tmv": lambda s, kept, v, wrt: dict.fromkeys(wrt, np.float32(1))},
        TypeError,
        "Mine.tmv by 'a' gave dtype float32; expected float64",
    ),
}


@pytest.mark.parametrize(("methods", "error", "text"), DERIVATIVES.values(), ids=DERIVATIVES)
def test_what_mv_and_tmv_give(methods, error, text):
    for layer, prefix in both(spoiled(**methods)):
        _, jac = layer.linearize(X)
        product = (
            functools.partial(jac.mv, x=X) if "mv" in methods else functools.partial(jac.tmv, X, (f"{prefix}a", f"{prefix}c"))
        )
        with pytest.raises(error, match=f"^{re.escape(text)}"):
            product()


def test_numbers_for_parameters_without_axes():
    """NumPy's sums give scalars, which are taken."""
    layer = spoiled(tmv=lambda s, x, v, wrt: {"x": v, "a": (v * x).sum(), "c": v.sum(axis=0)})
    found = layer.jac_tmv(X, X)
    assert isinstance(found["a"], np.ndarray)
    assert found["a"] == (X * X).sum()


def test_a_form_for_training_that_is_none():
    net = Network([spoiled(for_training=lambda s: None)])
    with pytest.raises(TypeError, match=r"Mine\.for_training gave a NoneType; expected a Layer"):
        training_step(net, MeanSquaredError(), SGD(0.1), 4)


def test_a_batch_that_a_layer_cannot_train_with():
    class Pairs(nets.Scale):
        def check_batch(self, m, shape):
            if m % 2:
                raise ValueError(f"x has {m} samples of shape {shape}; expected pairs")

    net = Network([Activation("tanh"), Pairs(3), Dense(3, 2)])
    step = training_step(net, MeanSquaredError(), SGD(0.1), 4)
    step(X, X[:, :2])
    theta = net.theta.copy()
    with pytest.raises(ValueError, match=r"layers\[1\]: x has 3 samples of shape \(3,\); expected pairs"):
        step(X[:3], X[:3, :2])
    assert (net.theta == theta).all()


@pytest.mark.parametrize(
    "call",
    [
        lambda net, jac: jac.shape_of(),
        lambda net, jac: jac.matrix(),
        lambda net, jac: jac.mv(1),
        lambda net, jac: jac.tmv(),
        lambda net, jac: jac.operator(),
        lambda net, jac: net.output_shape(),
        lambda net, jac: net._fits(),
    ],
)
def test_errors_name_no_private_class(call):
    for layers in ([Dense(3, 2)], [nets.Cube()]):
        net = Network(layers)
        with pytest.raises(TypeError) as caught:
            call(net, net.linearize(X)[1])
        assert not re.search(r"\b_[A-Z]", str(caught.value))


class AsItIs(Layer):
    """y = x, the array itself."""

    def output_shape(self, shape):
        return shape

    def evaluate(self, x):
        return x, None

    def mv(self, kept, directions):
        return directions["x"]

    def tmv(self, kept, v, wrt):
        return dict.fromkeys(wrt, v)


class InPlace(AsItIs):
    """y = 2 x, written over x."""

    def evaluate(self, x):
        x *= 2
        return x, None


@pytest.mark.parametrize(
    "layer", [AsItIs(), Activation(lambda x: x, np.ones_like), Network([AsItIs()])], ids=["layer", "functions", "network"]
)
def test_what_a_layer_gives_is_never_x_itself(layer):
    x = np.arange(6.0).reshape(2, 3)
    for y in (layer(x), layer.linearize(x)[0]):
        np.testing.assert_array_equal(y, x)
        assert not np.shares_memory(x, y)
        y += 1
    np.testing.assert_array_equal(x, np.arange(6.0).reshape(2, 3))


@pytest.mark.parametrize(
    "layer",
    [InPlace(), Activation(InPlace().evaluate, np.ones_like), Network([InPlace()])],
    ids=["layer", "functions", "network"],
)
def test_no_layer_writes_into_x(layer):
    x = np.arange(6.0).reshape(2, 3)
    for call in (layer, layer.linearize):
        with pytest.raises(ValueError, match="read-only"):
            call(x)
    np.testing.assert_array_equal(x, np.arange(6.0).reshape(2, 3))
