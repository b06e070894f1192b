"""Training steps through layers of a user's own and the lists of jobs between them: the bits of layer by layer."""

import nets
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fastlec import (
    SGD,
    Adam,
    BatchNorm2d,
    Conv2d,
    Dense,
    Flatten,
    MeanSquaredError,
    Network,
    SoftmaxCrossEntropy,
    training_step,
)
from fastlec.training import step as step_module


def features(first, last, dtype):
    """Layers of a user's own first, last, one after the other and within a network."""
    o = {"dtype": dtype, "rng": np.random.default_rng(1)}
    middle = [Dense(5, 4, "relu", **o), nets.Scale(4, dtype), nets.Same(), Dense(4, 4, **o), Dense(4, 3, "identity", **o)]
    return Network([nets.Scale(5, dtype)] * first + middle + [Network([Dense(3, 3, **o), nets.Scale(3, dtype)])] * last)


def images(dtype):
    o = {"dtype": dtype, "rng": np.random.default_rng(1)}
    body = [Conv2d(1, 2, 3, "tanh", **o), BatchNorm2d(2, dtype=dtype), nets.Same(), BatchNorm2d(2, dtype=dtype), Flatten()]
    return Network([*body, Dense(32, 3, "identity", **o)])


NETS = {"middle": (features, False, False), "all": (features, True, True), "last": (features, False, True), "images": (images,)}


def trained(made, trainable, loss, optimizer, dtype, weighted):
    make, *options = made
    net, rng = make(*options, dtype), np.random.default_rng(2)
    step = training_step(net, loss, optimizer, 12, trainable)
    values = []
    for m in (12, 12, 5, 12):
        X = rng.standard_normal((m, 1, 6, 6) if make is images else (m, 5)).astype(dtype)
        y = rng.integers(0, 3, m) if isinstance(loss, SoftmaxCrossEntropy) else rng.standard_normal((m, 3)).astype(dtype)
        values.append(step(X, y, rng.uniform(0.5, 2, m)) if weighted else step(X, y))
    return step, values, [net.theta, *net.buffers.values(), *step.state.values()]


@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
@pytest.mark.parametrize("loss", [SoftmaxCrossEntropy(), MeanSquaredError()], ids=repr)
@pytest.mark.parametrize("trainable", [None, -1, 1, [0, -1]], ids=str)
@pytest.mark.parametrize("made", NETS.values(), ids=NETS)
def test_the_bits_of_layer_by_layer(made, trainable, loss, weighted, dtype, monkeypatch):
    for optimizer in (SGD(0.1, momentum=0.9), Adam(0.01)):
        step, values, arrays = trained(made, trainable, loss, optimizer, dtype, weighted)
        assert {type(plan).__name__ for plan in step._plans.values()} == {"_ByParts"}
        with monkeypatch.context() as patch:
            patch.setattr(step_module, "_ByParts", step_module._ByLayers)
            _, expected, others = trained(made, trainable, loss, optimizer, dtype, weighted)
        assert values == expected
        for a, b in zip(arrays, others, strict=True):
            assert_array_equal(a, b)


class Stops(nets.Same):
    """Raises in its third backward pass."""

    calls = 0

    def tmv(self, x, v, wrt):
        self.calls += 1
        if self.calls == 3:
            raise KeyError("enough")
        return super().tmv(x, v, wrt)


def test_a_layer_that_raises_leaves_everything_as_it_was(dtype, rng):
    net = Network([*images(dtype).layers[:5], Stops(), Dense(32, 3, "identity", dtype=dtype, rng=1)])
    step = training_step(net, SoftmaxCrossEntropy(), Adam(0.01), 9)
    X, y = rng.standard_normal((9, 1, 6, 6)).astype(dtype), rng.integers(0, 3, 9)
    step(X, y)
    step(X, y)
    before = [a.copy() for a in (net.theta, *net.buffers.values(), *step.state.values())]
    with pytest.raises(KeyError, match="enough"):
        step(X, y)
    for a, b in zip(before, (net.theta, *net.buffers.values(), *step.state.values()), strict=True):
        assert_array_equal(a, b)
    step(X, y)


def test_what_a_layer_is_given_cannot_be_written_into(rng):
    class Writes(nets.Same):
        def evaluate(self, x):
            x[...] = 0
            return super().evaluate(x)

    net = Network([Dense(3, 3, rng=0), Writes(), Dense(3, 2, "identity", rng=1)])
    with pytest.raises(ValueError, match="read-only"):
        training_step(net, SoftmaxCrossEntropy(), SGD(0.1), 4)(rng.standard_normal((4, 3)), np.arange(4) % 2)
