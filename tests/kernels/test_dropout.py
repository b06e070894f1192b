"""Dropout: masks against the reference, and how they go on from step to step, copy to copy, file to file."""

import copy

import nets
import numpy as np
import pytest
from numpy.testing import assert_array_equal

import fastlec
from fastlec import SGD, Activation, Dense, Dropout, Flatten, MeanSquaredError, Network, reference, training_step
from fastlec.testing import check_layer

SHAPES = [(1, 1), (3, 1), (1, 63), (1, 64), (1, 65), (7, 19), (300, 70), (2, 3, 4, 5), (20, 2048)]


def integer(digits):
    return sum(int(digit) << 16 * k for k, digit in enumerate(digits))


def expected(layer, x):
    return reference.dropout(x, layer.p, integer(layer.buffers["seed"]), integer(layer.buffers["count"]))


def network(dtype, rng=None, p=0.4):
    layers = [
        Dense(5, 70, "relu", dtype=dtype),
        Dropout(p),
        Dense(70, 6, "tanh", dtype=dtype),
        Dropout(p),
        Dense(6, 2, "identity", dtype=dtype),
    ]
    return Network(layers, rng=rng)


def data(rng, dtype, m=80):
    return rng.standard_normal((m, 5)).astype(dtype), rng.standard_normal((m, 2)).astype(dtype)


def steps(net, X, y, count):
    step = training_step(net, MeanSquaredError(), SGD(0.1, momentum=0.5), len(X))
    for _ in range(count):
        step(X, y)
    return net


# --- masks -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_agrees_with_the_reference(shape, isa, dtype, threads, rng, frozen):
    layer = Dropout(0.3, rng=1, training=True)
    layer.buffers["count"][...] = (65535, 7, 3)
    x, v = frozen(*rng.standard_normal((2, *shape)).astype(dtype))
    y, jac = layer.linearize(x)
    mask = expected(layer, x) != 0
    scaled = x * dtype.type(1 / 0.7)
    assert_array_equal(y, np.where(mask, scaled, 0), strict=True)
    assert_array_equal(layer(x), y, strict=True)
    for product in (jac.mv(x=v), jac.tmv(v)["x"], layer.jac_mv(x, x=v), layer.jac_tmv(x, v)["x"]):
        assert_array_equal(product, np.where(mask, v * dtype.type(1 / 0.7), 0), strict=True)


def test_the_reference_gives_the_known_answers_of_the_generator():
    """Those that the authors publish with it."""
    for counter, key, words in (
        ([0] * 4, [0] * 2, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
        ([2**32 - 1] * 4, [2**32 - 1] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
        (
            [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
            [0xA4093822, 0x299F31D0],
            [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
        ),
    ):
        assert reference.philox(np.reshape(counter, (4, 1)), key).ravel().tolist() == words


@pytest.mark.parametrize("p", [1e-9, 0.01, 0.5, 0.9, 1 - 1e-12])
def test_the_share_that_is_dropped(p, isa):
    kept = Dropout(p, rng=0, training=True)(np.ones((500, 2000), np.float32)) != 0
    assert abs(kept.mean() - (1 - p)) <= 5 * np.sqrt(p * (1 - p) / kept.size)
    for axis in (0, 1):  # of every unit and every sample, too
        assert np.abs(kept.mean(axis=axis) - (1 - p)).max() <= 6 * np.sqrt(p * (1 - p) / kept.shape[axis]) + 1e-6


def test_masks_of_layers_steps_and_seeds_are_independent():
    ones, masks = np.ones((300, 300)), []
    for seed, count in ((0, 0), (0, 1), (0, 2), (1, 0), (2, 0)):
        layer = Dropout(0.5, rng=seed, training=True)
        layer.buffers["count"][0] = count
        masks.append(layer(ones).ravel() - 1)
    correlations = np.corrcoef(masks) - np.eye(len(masks))
    assert np.abs(correlations).max() < 5 / np.sqrt(ones.size)


def test_what_is_dropped_is_0_whatever_it_was(isa, dtype):
    layer = Dropout(0.5, rng=0, training=True)
    mask = layer(np.ones((4, 50), dtype)) != 0
    for value in (np.nan, np.inf, -np.inf):
        assert_array_equal(layer(np.full((4, 50), value, dtype)), np.where(mask, value, 0))


def test_outside_training_it_is_the_identity(dtype, rng, taken):
    x = rng.standard_normal((6, 5)).astype(dtype)
    for layer in (Dropout(0.5), Dropout(0.0, training=True)):
        assert_array_equal(layer(x), x, strict=True)
        assert_array_equal(layer.jac_tmv(x, x)["x"], x, strict=True)
    net = network(dtype, 0)
    plan = fastlec._kernels.plan.Plan(dtype.num)
    net._plan_forward(plan, x, plan.empty(6, 2))
    assert not any("dropout" in kernel or kernel == "slope" for kernel in taken(plan))
    without = Network([layer for layer in net.layers if not isinstance(layer, Dropout)])
    assert_array_equal(net(x), without(x), strict=True)


@pytest.mark.parametrize("training", [False, True])
def test_derivatives(training, dtype, rng):
    x = rng.standard_normal((5, 9)).astype(dtype)
    check_layer(Dropout(0.3, rng=0, training=training), x).assert_passed()
    net = Network([Activation("tanh"), Dropout(0.3, rng=1, training=training), Activation("sigmoid"), Dropout(0.1, rng=2)])
    check_layer(net, x).assert_passed()
    check_layer(net.for_training(), x).assert_passed()


def test_samples_of_images_and_none(dtype):
    net = Network([Dropout(0.5, rng=0), Flatten(), Dense(12, 2, dtype=dtype, rng=0)]).for_training()
    assert net(np.ones((3, 3, 2, 2), dtype)).shape == (3, 2)
    layer, nothing = Dropout(0.5, training=True), np.zeros((0, 4), dtype)
    y, jac = layer.linearize(nothing)
    assert y.shape == jac.tmv(y)["x"].shape == (0, 4)


# --- from step to step -----------------------------------------------------------------------------------------------


def test_each_step_has_one_mask_and_counts(isa, dtype, rng):
    net, (X, y) = network(dtype, 0), data(rng, dtype)
    step = training_step(net, MeanSquaredError(), SGD(0.5), 80)
    for count in range(3):
        output, jac = net.for_training().linearize(X)
        gradient = jac.tmv(MeanSquaredError().value_and_gradient(output, y)[1])
        wanted = {name: a - dtype.type(0.5) * gradient[name] for name, a in net.params.items()}
        assert [integer(net.buffers[f"{i}.count"]) for i in (1, 3)] == [count, count]
        step(X, y)
        for name, a in net.params.items():
            np.testing.assert_allclose(a, wanted[name], atol=30 * np.finfo(dtype).eps)


def test_the_count_carries(dtype):
    layer = Dropout(0.5, rng=0).for_training()
    for before, after in (((5, 0, 0), (6, 0, 0)), ((65535, 0, 0), (0, 1, 0)), ((65535, 65535, 8), (0, 0, 9))):
        layer.buffers["count"][...] = before
        layer.update_buffers(None)
        assert layer.buffers["count"].tolist() == list(after)


def test_steps_are_the_same_for_any_number_of_threads(isa, dtype, rng, alone):
    X, y = data(rng, dtype, 2000)
    several = steps(network(dtype, 0), X, y, 5)
    with alone():
        single = steps(network(dtype, 0), X, y, 5)
    assert_array_equal(several.theta, single.theta)


def test_copies_files_and_checkpoints_go_on_with_the_same_masks(dtype, rng, tmp_path):
    X, y = data(rng, dtype)
    once = steps(network(dtype, 0), X, y, 6)
    half = steps(network(dtype, 0), X, y, 3)
    half.save(tmp_path / "net.npz")
    plain = {"loss": MeanSquaredError(), "optimizer": SGD(0.1), "batch_size": 16, "rng": 0}
    for other in (copy.deepcopy(half), half.with_params(half.params), Network(half.layers), Network.load(tmp_path / "net.npz")):
        for name, a in half.buffers.items():
            assert_array_equal(other.buffers[name], a, strict=True)
        assert_array_equal(other.for_training()(X), half.for_training()(X), strict=True)
    assert not np.array_equal(half.for_training()(X), once.for_training()(X))
    whole, parts = network(dtype, 0), [network(dtype, 0) for _ in range(2)]
    fastlec.fit(whole, X, y, epochs=4, checkpoint=tmp_path / "whole.npz", **plain)
    for part, epochs in zip(parts, (2, 4), strict=True):
        fastlec.fit(part, X, y, epochs=epochs, checkpoint=tmp_path / "part.npz", **plain)
    assert_array_equal(parts[1].theta, whole.theta, strict=True)


def test_a_layer_in_python_takes_nothing_off_it(dtype, rng):
    X, y = data(rng, dtype)
    planned, python = network(dtype, 0), network(dtype, 0)
    python = Network([*python.layers, nets.Same()])
    assert_array_equal(steps(python, X, y, 3).theta, steps(planned, X, y, 3).theta)
    assert integer(python.buffers["1.count"]) == 3


def test_what_is_trained_does_not_turn_it_off(dtype, rng):
    X, y = data(rng, dtype)
    for nested in (False, True):
        net = network(dtype, 0)
        net = Network([Network(net.layers[:4]), net.layers[4]]) if nested else net
        step = training_step(net, MeanSquaredError(), SGD(0.1), 80, trainable=-1)
        step(X, y)
        counts = [a for name, a in net.buffers.items() if name.endswith("count")]
        assert [integer(a) for a in counts] == [1, 1]
        assert {name for name in step.trainable if name in net.buffers} == set(net.buffers)


# --- seeds -----------------------------------------------------------------------------------------------------------


def test_seeds():
    seeds = lambda net: [integer(net.buffers[f"{i}.seed"]) for i in (1, 3)]  # noqa: E731
    a, b, c = (seeds(network(np.float64, rng)) for rng in (0, 0, 1))
    assert a == b
    assert len({*a, *c}) == 4
    assert integer(Dropout(rng=5).buffers["seed"]) == integer(Dropout(rng=5).buffers["seed"])
    assert integer(Dropout().buffers["seed"]) != integer(Dropout().buffers["seed"])
    given = Dropout(0.5, rng=5)
    kept = Network([given, Dense(3, 2)], rng=0)
    assert_array_equal(kept.buffers["0.seed"], given.buffers["seed"])
    other = Dropout(0.5)
    before = other.buffers["seed"].copy()
    drawn = [Network([layer], rng=0) for layer in (other, other.with_settings(p=0.1))]
    assert_array_equal(other.buffers["seed"], before)
    assert_array_equal(drawn[0].buffers["0.seed"], drawn[1].buffers["0.seed"])
    assigned = Dropout(0.5)
    assigned.buffers["seed"][...] = 1
    assert_array_equal(Network([assigned], rng=0).buffers["0.seed"], np.ones(4))


@pytest.mark.parametrize("digit", [np.nan, np.inf, -1.0, 65536.0, 1e30, 0.5])
def test_digits_that_are_none(digit, isa, dtype):
    """They may be written into the buffers: a digit that is none counts as 0, a fraction is cut."""
    layer, plain = (Dropout(0.5, rng=0, training=True) for _ in range(2))
    ones = np.ones((3, 5), dtype)
    for name in ("seed", "count"):
        layer.buffers[name][1], plain.buffers[name][1] = digit, 0
    assert_array_equal(layer(ones), plain(ones))


def test_arguments():
    for make, kind, text in (
        (lambda: Dropout(1), ValueError, "p is 1; expected a probability of at least 0 and below 1"),
        (lambda: Dropout(1.5), ValueError, "p is 1.5; expected a probability of at least 0 and below 1"),
        (lambda: Dropout(-0.1), ValueError, "p is -0.1; expected a finite number >= 0"),
        (lambda: Dropout(np.nan), ValueError, "p is nan; expected a finite number >= 0"),
        (lambda: Dropout("0.5"), TypeError, "p is '0.5'; expected a number"),
        (lambda: Dropout(0.5, training=1), TypeError, "training is 1; expected True or False"),
        (lambda: Dropout(0.5, rng="x"), (TypeError, ValueError), "rng is 'x'; expected a seed"),
    ):
        with pytest.raises(kind, match=text):
            make()
    assert repr(Dropout()) == "Dropout()"
