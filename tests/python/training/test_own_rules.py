"""Optimizers and losses as a user writes them, in NumPy: against their formulas, and beside the jobs of fastlec's own."""

from dataclasses import dataclass

import nets
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fastlec import (
    SGD,
    Adam,
    BatchNorm2d,
    Conv2d,
    CosineDecay,
    Dense,
    Flatten,
    MeanSquaredError,
    Network,
    Objective,
    Optimizer,
    SoftmaxCrossEntropy,
    fit,
    training_step,
)
from fastlec.training.step import _Planned

pytestmark = pytest.mark.filterwarnings("ignore:net ends with")  # networks here end in any activation, whatever the loss


@dataclass(frozen=True)
class Lion(Optimizer):
    """Chen et al., "Symbolic discovery of optimization algorithms", 2023."""

    lr: float = 1e-2
    betas: tuple = (0.9, 0.99)
    weight_decay: float = 0.1
    state_arrays = 1

    def step(self, theta, gradient, states, count):
        (mean,) = states
        beta1, beta2 = self.betas
        theta -= self.rate(count) * (np.sign(beta1 * mean + (1 - beta1) * gradient) + self.weight_decay * theta)
        mean *= beta2
        mean += (1 - beta2) * gradient


class RMSprop(Optimizer):
    """No dataclass, and with a second state that only counts; Hinton's lecture 6e of 2012."""

    state_arrays = 2

    def __init__(self, lr):
        self.lr = lr

    def step(self, theta, gradient, states, count):
        square, steps = states
        if count == 0:
            square += gradient**2
        square += 0.1 * (gradient**2 - square)
        steps += 1
        theta -= self.rate(count) * gradient / (np.sqrt(square) + 1e-6)


class OwnSGD(SGD):
    """A subclass that overrides the rule in Python alone is what trains."""

    def step(self, theta, gradient, states, count):
        super().step(theta, gradient, states, count)
        theta *= 0.5


class OwnLoss:
    """What it wraps, without what plans need."""

    def __init__(self, loss):
        self.loss, self.seen = loss, []

    def targets(self, y, shape, dtype):
        return self.loss.targets(y, shape, dtype)

    def value_and_gradient(self, output, y):
        self.seen.append(output)
        return self.loss.value_and_gradient(output, y)


OPTIMIZERS = {"Lion": Lion, "RMSprop": lambda: RMSprop(CosineDecay(0.02, steps=8, warmup=2)), "SGD": lambda: OwnSGD(0.1, 0.9)}
BUILT_IN = {
    "sgd": SGD(0.1, weight_decay=0.01),
    "momentum": SGD(0.1, 0.9, 0.01),
    "nesterov": SGD(CosineDecay(0.1, 6), 0.9, 0.01, nesterov=True),
    "adam": Adam(0.01, weight_decay=0.01),
}
NETS = {name: (nets.PLANNED | nets.OWN)[name] for name in ("dense", "residual", "nested", "cube", "scale")}


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    return np.dtype(request.param)


def samples(rng, dtype, m=20):
    return rng.standard_normal((m, 5)).astype(dtype), rng.integers(0, 3, m)


@pytest.mark.parametrize("trainable", [None, [0, -1]], ids=str)
@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("net", NETS)
def test_an_optimizer_of_ones_own_is_its_formula(net, name, trainable, dtype, rng):
    """On the objective's gradient, whatever the network is made of; what is not trained keeps its bits, and its states are zero."""
    net, optimizer, loss = nets.network(NETS[net], dtype, rng), OPTIMIZERS[name](), SoftmaxCrossEntropy()
    X, y = samples(rng, dtype)
    step = training_step(net, loss, optimizer, len(X), trainable)
    trained = np.concatenate([np.full(a.size, trainable is None or key in step.trainable) for key, a in net.params.items()])
    start, objective = net.theta.copy(), Objective(net, loss, X, y)
    theta, states = net.theta[trained], tuple(np.zeros(trained.sum(), dtype) for _ in range(optimizer.state_arrays))
    for count in range(4):
        whole = net.theta.copy()
        expected, gradient = objective.value_and_gradient(whole)
        assert step(X, y) == pytest.approx(expected, rel=1e-6 if dtype == np.float32 else 1e-14)
        optimizer.step(theta, gradient[trained], states, count)
        assert_allclose(net.theta[trained], theta, rtol=0, atol=2e-5 if dtype == np.float32 else 1e-12)
        theta[...] = net.theta[trained]
    assert_array_equal(net.theta[~trained], start[~trained])
    state = step.state
    assert state.keys() == {"count", *(f"state{i}" for i in range(optimizer.state_arrays))}
    assert all(a.dtype == dtype and not a[~trained].any() for key, a in state.items() if key != "count")


@pytest.mark.parametrize("name", BUILT_IN)
def test_rules_in_numpy_are_those_of_the_kernels(name, dtype, rng):
    """A subclass that only repeats the rule in Python computes the same, to rounding, and its states are the same arrays."""
    optimizer = BUILT_IN[name]
    kind = type(optimizer)
    own = type("Own", (kind,), {"step": kind.step})
    X, y = samples(rng, dtype)
    steps = []
    for chosen in (optimizer, own(**vars(optimizer))):
        net = nets.network(nets.PLANNED["dense"], dtype, np.random.default_rng(3))
        steps.append(training_step(net, SoftmaxCrossEntropy(), chosen, len(X)))
        for _ in range(5):
            steps[-1](X, y)
    tolerance = {"rtol": 1e-4, "atol": 1e-5} if dtype == np.float32 else {"rtol": 1e-11, "atol": 1e-13}
    assert_allclose(steps[1].net.theta, steps[0].net.theta, **tolerance)
    for key, a in steps[0].state.items():
        assert_allclose(steps[1].state[key], a, **tolerance)


def images(rng, dtype):
    o = {"dtype": dtype, "rng": np.random.default_rng(1)}
    net = Network([Conv2d(1, 4, 3, **o), BatchNorm2d(4, dtype=dtype), Flatten(), Dense(4 * 4 * 4, 3, "tanh", **o)])
    return net, rng.standard_normal((12, 1, 6, 6)).astype(dtype), np.arange(12) % 3


@pytest.mark.parametrize("loss", [SoftmaxCrossEntropy(), MeanSquaredError()], ids=repr)
@pytest.mark.parametrize("optimizer", [*BUILT_IN.values(), Lion()], ids=repr)
@pytest.mark.parametrize("net", [*nets.PLANNED, "images"])
def test_a_loss_in_python_changes_no_bit(net, optimizer, loss, dtype, rng):
    """Where it gives what the kernels' loss gives, all of the network being fastlec's own."""
    found = []
    X, y = samples(rng, dtype)
    if isinstance(loss, MeanSquaredError):
        y = rng.standard_normal((len(X), 3)).astype(dtype)
    for chosen in (loss, OwnLoss(loss)):
        made = nets.network(nets.PLANNED[net], dtype, np.random.default_rng(2)) if net != "images" else None
        if made is None:
            made, X, labels = images(np.random.default_rng(4), dtype)
            y = labels if y.ndim == 1 else y[: len(X)]
        step = training_step(made, chosen, optimizer, len(X))
        losses = [step(X, y) for _ in range(3)]
        assert isinstance(next(iter(step._plans.values())), _Planned)
        found.append((losses, made.theta, *made.buffers.values(), *step.state.values()))
    for a, b in zip(*found, strict=True):
        assert_array_equal(a, b)


def test_what_a_loss_is_given_cannot_be_written_into(rng):
    X, y = samples(rng, np.float64)
    loss = OwnLoss(SoftmaxCrossEntropy())
    training_step(nets.network(nets.PLANNED["dense"], np.float64, rng), loss, SGD(0.1), len(X))(X, y)
    with pytest.raises(ValueError, match="read-only"):
        loss.seen[0][...] = 0


class Raises(Lion):
    def step(self, theta, gradient, states, count):
        super().step(theta, gradient, states, count)
        if count == 2:
            raise KeyError("enough")


def test_an_optimizer_that_raises_leaves_everything_as_it_was(dtype, rng):
    """Buffers, too, which only whole steps move."""
    net, X, y = images(rng, dtype)
    step = training_step(net, SoftmaxCrossEntropy(), Raises(), len(X))
    step(X, y)
    step(X, y)
    before = [a.copy() for a in (net.theta, *net.buffers.values(), *step.state.values())]
    with pytest.raises(KeyError, match="enough"):
        step(X, y)
    for a, b in zip(before, (net.theta, *net.buffers.values(), *step.state.values()), strict=True):
        assert_array_equal(a, b)


class Returns(Optimizer):
    lr = 0.1

    def step(self, theta, gradient, states, count):
        return theta - self.lr * gradient


class Negative(Returns):
    state_arrays = -1


class Bare(Optimizer):
    lr = 0.1


def test_optimizers_that_cannot_be(rng):
    X, y = samples(rng, np.float64)
    net = nets.network(nets.PLANNED["dense"], np.float64, rng)
    with pytest.raises(
        TypeError, match=r"^Returns.step gave a ndarray; expected None: it changes theta and the states in place"
    ):
        training_step(net, SoftmaxCrossEntropy(), Returns(), len(X))(X, y)
    with pytest.raises(ValueError, match=r"^optimizer.state_arrays is -1; expected at least 0"):
        training_step(net, SoftmaxCrossEntropy(), Negative(), len(X))
    with pytest.raises(NotImplementedError, match=r"^Bare has no step"):
        training_step(net, SoftmaxCrossEntropy(), Bare(), len(X))(X, y)
    with pytest.raises(TypeError, match=r"^optimizer is .*, a class; expected SGD"):
        training_step(net, SoftmaxCrossEntropy(), Lion, len(X))
    with pytest.raises(TypeError, match=r"^lr is <class '.*CosineDecay'>, a class; expected"):
        Lion(CosineDecay)
    with pytest.raises(ValueError, match=r"^lr is -1.0; expected a finite number >= 0"):
        Lion(-1)


@pytest.mark.parametrize("own", [OwnLoss, lambda loss: loss], ids=["own loss", "loss"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_goes_on_to_the_same_bits(name, own, dtype, rng, tmp_path):
    """Checkpoints hold the states of an optimizer of one's own."""
    X, y = samples(rng, dtype, 60)

    def trained(epochs, path):
        net = nets.network(nets.PLANNED["dense"], dtype, np.random.default_rng(0))
        settings = {"loss": own(SoftmaxCrossEntropy()), "optimizer": OPTIMIZERS[name](), "validation": 0.2, "batch_size": 7}
        return net.theta, fit(net, X, y, epochs=epochs, checkpoint=path, **settings)

    whole, history = trained(6, tmp_path / "whole.npz")
    trained(3, tmp_path / "parts.npz")
    resumed, again = trained(6, tmp_path / "parts.npz")
    assert_array_equal(resumed, whole)
    assert again.train_loss == history.train_loss
    assert again.val_loss == history.val_loss
    assert again.learning_rate == history.learning_rate
    assert again.notes == []


class Halves:
    """A loss with the least that `classes_of` and `Objective.residuals` ask for: squares of what rows of probabilities miss."""

    def targets(self, y, shape, dtype):
        return np.asarray(y, dtype).reshape(shape)

    def value_and_gradient(self, output, y):
        return float(((output - y) ** 2).sum() / 2), output - y

    def classes(self, y):
        return y.argmax(axis=1)

    def residual_scale(self, size):
        return 1.0


def test_what_a_loss_may_say_of_itself(rng):
    """Classes, for accuracies; the scale of its residuals, for least squares."""
    X, y = samples(rng, np.float64)
    net = nets.network(nets.PLANNED["dense"], np.float64, rng)
    history = fit(net, X, np.eye(3)[y], loss=Halves(), optimizer=SGD(0.01), epochs=2, validation=(X, np.eye(3)[y]))
    assert history.val_accuracy[-1] == np.mean(net(X).argmax(axis=1) == y)
    f = Objective(net, Halves(), X, np.eye(3)[y])
    assert (f.residuals(net.theta) ** 2).sum() / 2 == pytest.approx(f.value(net.theta), rel=1e-14)
    with pytest.raises(ValueError, match=r"^loss is SoftmaxCrossEntropy\(\); expected MeanSquaredError"):
        Objective(net, SoftmaxCrossEntropy(), X, y).residuals(net.theta)
