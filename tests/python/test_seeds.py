"""Network(layers, rng=...): which layers draw weights from it, and that one seed gives one network."""

import copy
import pickle

import numpy as np
import pytest
from interpreter import output

from fastlec import (
    SGD,
    Activation,
    AvgPool2d,
    BatchNorm2d,
    Conv2d,
    ConvResidual,
    Dense,
    Flatten,
    Layer,
    MeanSquaredError,
    Network,
    ProjectedConvResidual,
    ProjectedResidual,
    Residual,
    fit,
)


def dense(dtype=np.float64):
    """All layers of features, one of them a network."""
    first, second = ProjectedResidual(3, 8, dtype=dtype), Residual(8, 5, dtype=dtype)
    inner = Network([Dense(8, 8, "relu", dtype=dtype), Dense(8, 8, dtype=dtype)])
    return [first, second, Activation("tanh"), inner, Dense(8, 2, "identity", bias=False, dtype=dtype)]


def images(dtype=np.float64):
    o = {"dtype": dtype}
    layers = [Conv2d(1, 4, 3, padding=1, **o), BatchNorm2d(4, **o), ConvResidual(4, **o), ProjectedConvResidual(4, 6, **o)]
    return [*layers, AvgPool2d(2), Flatten(), Dense(6 * 9, 2, "identity", **o)]


every = pytest.mark.parametrize("layers", [dense, images], ids=["dense", "images"])
RANDOM = ("W", "W1", "W2")


def weights(net):
    return {name: a for name, a in net.params.items() if name.rpartition(".")[2] in RANDOM}


@every
def test_a_seed_gives_the_same_network(layers, dtype):
    net, same, other = (Network(layers(dtype), rng=rng) for rng in (7, np.random.default_rng(7), 8))
    np.testing.assert_array_equal(net.theta, same.theta)
    assert net.theta.dtype == dtype
    for name, a in net.params.items():
        assert np.array_equal(a, other.params[name]) == (name not in weights(net))


@every
def test_without_one_every_network_is_another(layers):
    first, second = Network(layers()), Network(layers())
    assert not any(np.array_equal(a, second.params[name]) for name, a in weights(first).items())


def test_another_process_has_the_same_network():
    code = "import fastlec; print(fastlec.Network([fastlec.Dense(3, 4), fastlec.Residual(4)], rng=3).theta.tolist())"
    assert output(code) == output(code)
    np.testing.assert_array_equal(eval(output(code)), Network([Dense(3, 4), Residual(4)], rng=3).theta)


def test_float32_has_the_rounded_weights_of_float64():
    np.testing.assert_array_equal(Network(dense(np.float32), rng=0).theta, Network(dense(), rng=0).theta.astype(np.float32))


def test_weights_have_the_size_that_the_layers_draw():
    net = Network([Dense(200, 300, "relu"), Dense(300, 200), Residual(200)], rng=0)
    sizes = {"0.W": np.sqrt(2 / 200), "1.W": np.sqrt(1 / 300), "2.W1": np.sqrt(1 / 200), "2.W2": 0.1 * np.sqrt(1 / 200)}
    for name, a in net.params.items():
        assert a.std() == pytest.approx(sizes.get(name, 0), rel=0.02)


def test_places_draw_from_streams_of_their_own():
    """One layer given often gets weights for each place, independent of each other; and none of a layer's depends on another's."""
    layer = Dense(50, 50)
    net = Network([layer, layer, Network([layer, layer])], rng=0)
    rows = np.array([a.ravel() for a in weights(net).values()])
    correlations = np.corrcoef(rows)[np.triu_indices(4, 1)]
    assert np.abs(correlations).max() < 0.07  # of 2500 pairs: 3.5 standard deviations
    other = Network([Dense(50, 50, rng=9), layer, Network([Dense(50, 50, rng=9), layer])], rng=0)
    assert [np.array_equal(a, b) for a, b in zip(weights(net).values(), weights(other).values(), strict=True)] == [
        False, True, False, True,
    ]  # fmt: skip


def test_the_layers_given_stay_as_they_are():
    layers = dense()
    before = [{name: a.copy() for name, a in layer.params.items()} for layer in layers]
    Network(layers, rng=0)
    for layer, params in zip(layers, before, strict=True):
        for name, a in params.items():
            np.testing.assert_array_equal(layer.params[name], a)


class Scale(Layer):
    """y = s x."""

    def __init__(self, n):
        super().__init__({"s": np.random.default_rng().normal(size=n)})

    def output_shape(self, shape):
        return shape

    def evaluate(self, x):
        return x * self.params["s"], x

    def mv(self, kept, directions):
        return directions.get("x", 0) * self.params["s"] + kept * directions.get("s", 0)

    def tmv(self, kept, v, wrt):
        return {name: v * self.params["s"] if name == "x" else (v * kept).sum(axis=0) for name in wrt}


def assigned():
    layer = Dense(4, 4)
    layer.params["W"][0, 0] += 1
    return layer


def bias_assigned():
    layer = Dense(4, 4)
    layer.params["b"][...] = 1
    return layer


def trained(tmp_path=None):
    net = Network([Dense(4, 4)])
    fit(net, np.ones((3, 4)), np.zeros((3, 4)), loss=MeanSquaredError(), optimizer=SGD(0.1), epochs=1)
    return net.layers[0]


def zero_assigned():
    layer = Dense(4, 4)
    layer.params["b"][...] = -0.0
    return layer


def left_by_a_training(inner=False):
    layers = [Dense(4, 4), Dense(4, 2, "identity")]
    net = Network([Network(layers[:1]), layers[1]] if inner else layers)
    fit(net, np.ones((3, 4)), np.zeros(3, int), epochs=1, trainable=-1)
    return net.layers[0]


def loaded(tmp_path):
    Network([Dense(4, 4)]).save(tmp_path / "net.npz")
    return Network.load(tmp_path / "net.npz").layers[0]


KEPT = {
    "a seed": lambda path: Dense(4, 4, rng=0),
    "a generator": lambda path: Dense(4, 4, rng=np.random.default_rng()),
    "of another network's rng": lambda path: Network([Dense(4, 4)], rng=5).layers[0],
    "assigned": lambda path: assigned(),
    "bias assigned": lambda path: bias_assigned(),
    "minus zero assigned": lambda path: zero_assigned(),
    "features of a training": lambda path: left_by_a_training(),
    "a network of features": lambda path: left_by_a_training(inner=True),
    "a copy of features": lambda path: copy.deepcopy(left_by_a_training()),
    "with_params": lambda path: Dense(4, 4).with_params({"W": np.eye(4), "b": np.ones(4)}),
    "another layer's params": lambda path: Dense(4, 4).with_params(Dense(4, 4).params),
    "trained": lambda path: trained(),
    "loaded": loaded,
    "another dtype": lambda path: Dense(4, 4).with_params({"W": np.ones((4, 4), np.float32), "b": np.ones(4, np.float32)}),
    "with_settings of a seeded one": lambda path: Dense(4, 4, rng=0).with_settings(activation="relu"),
    "of one's own": lambda path: Scale(4),
}


@pytest.mark.parametrize("made", KEPT.values(), ids=KEPT)
def test_what_was_drawn_or_assigned_stays(made, tmp_path):
    layer = made(tmp_path)
    before = {name: a.copy() for name, a in layer.params.items()}
    for net in (Network([layer], rng=1), Network([Network([layer])], rng=1).layers[0]):
        for name, a in net.layers[0].params.items():
            assert a.tobytes() == before[name].tobytes()


DRAWN = {
    "a new one": lambda layer: layer,
    "of a network": lambda layer: Network([layer]).layers[0],
    "of a network of the same theta": lambda layer: (net := Network([layer])).with_theta(net.theta.copy()).layers[0],
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda layer: pickle.loads(pickle.dumps(layer)),
    "with_params of its own": lambda layer: layer.with_params(layer.params),
}


@pytest.mark.parametrize("copied", DRAWN.values(), ids=DRAWN)
def test_copies_of_what_was_never_drawn_or_assigned_are_drawn(copied):
    expected = Network([Dense(4, 4)], rng=1)
    np.testing.assert_array_equal(Network([copied(Dense(4, 4))], rng=1).theta, expected.theta)


def test_layers_given_to_a_network_that_is_trained_are_drawn_for_the_next():
    layers = [Dense(4, 4), Dense(4, 2, "identity")]
    fit(Network(layers), np.ones((3, 4)), np.zeros(3, int), epochs=1)
    np.testing.assert_array_equal(Network(layers, rng=1).theta, Network([Dense(4, 4), Dense(4, 2, "identity")], rng=1).theta)


def test_other_settings_draw_as_those_do():
    """with_settings has the parameters of the layer before; drawn anew, they are as large as its own settings want them."""
    net = Network([Dense(4, 4).with_settings(activation="relu").with_settings(n_in=4)], rng=1)
    np.testing.assert_array_equal(net.theta, Network([Dense(4, 4, "relu")], rng=1).theta)


def test_buffers_and_constants_are_kept():
    layer = BatchNorm2d(3)
    layer.buffers["running_mean"][...] = 5
    layer.params["gamma"][...] = 2
    net = Network([layer, Conv2d(3, 2, 3)], rng=0)
    assert net.buffers["0.running_mean"].tolist() == [5] * 3
    assert net.params["0.gamma"].tolist() == [2] * 3


UNSPLIT = np.random.Generator(np.random.RandomState(0)._bit_generator)


@pytest.mark.parametrize(
    ("error", "text", "rng"),
    [
        (TypeError, "rng is 'a'; expected a seed", "a"),
        (ValueError, "rng is -1; expected a seed", -1),
        (TypeError, "rng is 1.5; expected a seed", 1.5),
        (TypeError, r"rng is Generator\(MT19937\).*; expected a seed .*, or a Generator that can be split", UNSPLIT),
        (TypeError, r"rng is RandomState\(MT19937\).*; expected a seed .*, or a Generator", np.random.RandomState(0)),
        (TypeError, "rng is True; expected a seed", True),
        (TypeError, "rng is np.False_; expected a seed", np.False_),
    ],
)
def test_bad_seeds(error, text, rng):
    with pytest.raises(error, match=text):
        Network([Dense(2, 2)], rng=rng)
