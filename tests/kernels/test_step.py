"""The training step: each one against plain NumPy, planned or layer by layer, resumed, refused. Settings: test_optim.py."""

import copy
import itertools
import pickle
import re
import signal
import threading
import tracemalloc
from types import FunctionType

import nets
import numpy as np
import pytest
from bounds import Bounds, Near, linearized, loss_of
from interpreter import output
from numpy.testing import assert_allclose, assert_array_equal

import fastlec
from fastlec import (
    SGD,
    Activation,
    Adam,
    AdamW,
    BatchNorm2d,
    Conv2d,
    CosineDecay,
    Dense,
    Flatten,
    MeanSquaredError,
    Network,
    Residual,
    RMSprop,
    SoftmaxCrossEntropy,
    StepDecay,
    reference,
    training_step,
)
from fastlec import network as network_module
from fastlec._kernels import memory
from fastlec._kernels import plan as kernels
from fastlec.training import TrainingStep, trainable_names
from fastlec.training import step as step_module

pytestmark = pytest.mark.filterwarnings("ignore:net ends with")  # networks here end in any activation, whatever the loss

OPTIMIZERS = {
    "sgd": SGD(0.1),
    "decay": SGD(0.1, weight_decay=0.05),
    "momentum": SGD(0.05, momentum=0.9),
    "momentum and decay": SGD(0.05, momentum=0.9, weight_decay=0.05),
    "nesterov": SGD(0.05, 0.9, 0.05, nesterov=True),
    "schedule": SGD(StepDecay(0.2, 2, 0.5, warmup=2), momentum=0.5),
    "adam": Adam(0.01),
    "adam, betas": Adam(0.01, (0.5, 0.75), 1e-4),
    "adam, decay": Adam(CosineDecay(0.05, 5, warmup=1), weight_decay=0.1),
    "adamw": AdamW(0.01),
    "rmsprop": RMSprop(0.01),
    "rmsprop, momentum and decay": RMSprop(0.01, 0.75, 1e-3, 0.05, 0.9),
}
optimizers = pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
LOSSES = {"cross-entropy": SoftmaxCrossEntropy(), "squares": MeanSquaredError()}
losses = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
planned = pytest.mark.parametrize("layers", nets.PLANNED.values(), ids=nets.PLANNED)
every = pytest.mark.parametrize("layers", (nets.PLANNED | nets.OWN).values(), ids=nets.PLANNED | nets.OWN)


class OwnLoss:
    """A loss as a user writes it: what it wraps, without what plans need."""

    def __init__(self, loss):
        self.targets, self.value_and_gradient = loss.targets, loss.value_and_gradient


def batch(loss, m, dtype, rng, n=5, k=3):
    X = rng.standard_normal((m, n)).astype(dtype)
    if isinstance(loss, MeanSquaredError):
        return X, rng.standard_normal((m, k)).astype(dtype)
    return X, rng.integers(0, k, m)


def state_of(step):
    return [step.state[f"state{i}"] for i in range(step.optimizer.state_arrays)]


def plain_step(optimizer, count, theta, states, g):
    """One step of an optimizer in NumPy, as its docstring says it: (theta, states)."""
    rate = optimizer.lr(count) if callable(optimizer.lr) else optimizer.lr
    if isinstance(optimizer, SGD):
        g = g + optimizer.weight_decay * theta
        if not optimizer.momentum:
            return theta - rate * g, []
        v = optimizer.momentum * states[0] + g
        return theta - rate * (g + optimizer.momentum * v if optimizer.nesterov else v), [v]
    if isinstance(optimizer, RMSprop):
        g = g + optimizer.weight_decay * theta
        s = optimizer.alpha * states[0] + (1 - optimizer.alpha) * g**2
        change = g / (np.sqrt(s) + optimizer.eps)
        if not optimizer.momentum:
            return theta - rate * change, [s]
        v = optimizer.momentum * states[1] + change
        return theta - rate * v, [s, v]
    (b1, b2), t = optimizer.betas, count + 1
    m, s = b1 * states[0] + (1 - b1) * g, b2 * states[1] + (1 - b2) * g**2
    move = m / (1 - b1**t) / (np.sqrt(s / (1 - b2**t)) + optimizer.eps) + optimizer.weight_decay * theta
    return theta - rate * move, [m, s]


def sizes_of_step(optimizer, count, theta, states, g, new_states):
    """plain_step with all terms added as absolute values, which those given are: what its roundings are relative to."""
    rate = optimizer.rate(count)
    if isinstance(optimizer, SGD):
        g = g + optimizer.weight_decay * theta
        v = optimizer.momentum * states[0] + g if states else g
        return theta + rate * (g + optimizer.momentum * v), [v] * len(states)
    if isinstance(optimizer, RMSprop):
        g = g + optimizer.weight_decay * theta
        change = g / (np.sqrt(new_states[0]) + optimizer.eps)
        v = optimizer.momentum * states[1] + change if optimizer.momentum else change
        return theta + rate * v, [optimizer.alpha * states[0] + (1 - optimizer.alpha) * g**2, v][: len(states)]
    (b1, b2), t = optimizer.betas, count + 1
    m, s = b1 * states[0] + (1 - b1) * g, new_states[1]
    move = m / (1 - b1**t) / (np.sqrt(s / (1 - b2**t)) + optimizer.eps) + optimizer.weight_decay * theta
    return theta + rate * move, [m, s]


def check_step(optimizer, count, before, gradient, after, eps):
    """(theta, states) after a step against plain_step of those before it, wherever the gradient is within its bound."""
    theta, states = before[0].astype(np.float64), [a.astype(np.float64) for a in before[1]]
    expected, ends = plain_step(optimizer, count, theta, states, gradient.value), []
    for end in (gradient.value - gradient.error, gradient.value + gradient.error):
        ends.append(plain_step(optimizer, count, theta, states, end))
    sizes = sizes_of_step(optimizer, count, np.abs(theta), [np.abs(a) for a in states], np.abs(gradient.value), expected[1])
    for i, (found, value) in enumerate(zip((after[0], *after[1]), (expected[0], *expected[1]), strict=True)):
        at_ends = [(end[0], *end[1])[i] for end in ends]
        error = np.maximum(*(np.abs(a - value) for a in at_ends))
        Near(value, error + 6 * eps * (sizes[0], *sizes[1])[i]).check(found)


def check_against_numpy(step, count, X, y, tolerance):
    """Makes a step, the count-th one: its loss, theta and the optimizer's state against those that follow from what was there."""
    net, dtype = step.net, step.net.theta.dtype
    bounds = Bounds(tolerance, dtype)
    before = net.theta.copy(), state_of(step)
    expected = linearized(net, X, bounds)
    value, v = loss_of(expected.y, y, bounds, tolerance, dtype)
    gradient = expected.theta(expected.tmv(v))
    found = step(X, y)
    assert type(found) is float
    value.check(np.float64(found))
    check_step(step.optimizer, count, before, gradient, (net.theta, state_of(step)), np.finfo(dtype).eps)


# --- against plain NumPy ---------------------------------------------------------------------------------------------


@optimizers
@losses
@planned
def test_every_step_is_that_of_numpy(layers, loss, optimizer, dtype, rng, tolerance):
    """Loss, theta and the optimizer's state after each of six steps from those before it, in float64; batches of several sizes."""
    net = nets.network(layers, dtype, rng)
    step = training_step(net, loss, optimizer, 12)
    for count, m in enumerate((12, 12, 5, 1, 12, 5)):
        check_against_numpy(step, count, *batch(loss, m, dtype, rng), tolerance)
    assert step.count == 6


@pytest.mark.parametrize("m", [1, 7, 64, 130, 300])
@pytest.mark.parametrize("name", ["momentum and decay", "adam, decay", "rmsprop, momentum and decay"])
@losses
def test_steps_of_larger_networks(loss, name, m, isa, dtype, rng, tolerance):
    """Through every kernel: parts of the depth, packed rows, dots, batches of one."""
    optimizer = OPTIMIZERS[name]
    options = {"dtype": dtype, "rng": rng}
    net = Network([Dense(70, 150, "relu", **options), Residual(150, 20, **options), Dense(150, 3, "identity", **options)])
    step = training_step(net, loss, optimizer, m)
    for count in range(2):
        check_against_numpy(step, count, *batch(loss, m, dtype, rng, n=70), tolerance)


EXACT = {
    "sgd": SGD(0.25),
    "decay": SGD(0.25, weight_decay=0.5),
    "momentum": SGD(0.25, momentum=0.5),
    "nesterov": SGD(lambda step: 0.5 ** (step + 1), 0.5, 0.5, nesterov=True),
}


@pytest.mark.parametrize("optimizer", EXACT.values(), ids=EXACT)
def test_a_loop_in_numpy_to_the_last_bit(optimizer, isa, dtype, rng):
    """Two steps of small dyadic fractions, which nothing rounds: relu, squares, rates and means that are powers of two."""
    net = Network([Dense(3, 4, "relu", dtype=dtype), Dense(4, 2, "identity", dtype=dtype)])
    net.theta[:] = rng.integers(-1, 2, net.n_params)
    W1, b1, W2, b2 = (a.astype(np.float64) for a in net.params.values())
    theta, states = net.theta.astype(np.float64), [np.zeros(net.n_params)] * optimizer.state_arrays
    step = training_step(net, MeanSquaredError(), optimizer, 4)
    for count in range(2):
        X, y = rng.integers(-1, 2, (4, 3)).astype(dtype), rng.integers(-1, 2, (4, 2)).astype(dtype)
        z = X @ W1.T + b1
        h = np.maximum(z, 0)
        d = h @ W2.T + b2 - y
        v = 2 * d / 8
        s = (v @ W2) * (z > 0)
        g = np.concatenate([a.ravel() for a in (s.T @ X, s.sum(axis=0), v.T @ h, v.sum(axis=0))])
        theta, states = plain_step(optimizer, count, theta, states, g)
        assert step(X, y) == np.mean(d**2)
        assert_array_equal(net.theta, theta)
        for found, expected in zip(state_of(step), states, strict=True):
            assert_array_equal(found, expected)
        W1, b1, W2, b2 = theta[:12].reshape(4, 3), theta[12:16], theta[16:24].reshape(2, 4), theta[24:]


def test_targets_in_all_their_forms(isa, dtype, rng):
    """One step object; labels, probabilities, lists, other dtypes, a column or a vector: as the loss takes them."""
    X = rng.standard_normal((6, 5)).astype(dtype)
    labels = rng.integers(0, 3, 6)
    sure = np.eye(3)[labels]
    forms = [labels, labels.astype(np.uint8), labels.tolist(), sure, sure.astype(np.float32), sure.tolist(), labels]
    for loss, ys in ((SoftmaxCrossEntropy(), forms), (MeanSquaredError(), [sure, sure.astype(int), sure.tolist()])):
        net = nets.network(nets.PLANNED["dense"], dtype, rng)
        start, step, found = net.theta.copy(), training_step(net, loss, SGD(0.1), 6), []
        for y in ys:
            net.theta = start
            found.append((step(X, y), net.theta.copy()))
        for value, theta in found:
            assert value == pytest.approx(found[0][0], rel=8 * float(np.finfo(dtype).eps))
            assert_allclose(theta, found[0][1], rtol=0, atol=8 * np.finfo(dtype).eps)
    net = Network([Dense(5, 1, dtype=dtype, rng=1)])
    step, start = training_step(net, MeanSquaredError(), SGD(0.1), 6), net.theta.copy()
    first = step(X, labels), net.theta.copy()
    net.theta = start
    assert step(X, labels[:, None]) == first[0]
    assert_array_equal(net.theta, first[1])


@every
def test_samples_of_any_kind(layers, dtype, rng):
    """Other dtypes and strides: converted to the network's, never changed."""
    X, y = batch(LOSSES["cross-entropy"], 8, dtype, rng)
    X = rng.integers(-2, 3, X.shape).astype(dtype)
    found = []
    larger = np.zeros((16, 10), dtype)
    larger[::2, ::2] = X
    for given in (
        X,
        X.astype(np.float64),
        X.astype(np.float32),
        X.astype(int),
        X.tolist(),
        np.asfortranarray(X),
        larger[::2, ::2],
    ):
        net = nets.network(layers, dtype, np.random.default_rng(1))
        step = training_step(net, SoftmaxCrossEntropy(), SGD(0.1, 0.9), 8)
        found.append((step(given, y), step(given, y), net.theta.tobytes()))
    assert len(set(found)) == 1
    assert_array_equal(larger[::2, ::2], X)


# --- planned and by layers -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["sgd", "momentum", "schedule", "adam", "adam, betas", "rmsprop"])
@planned
def test_planned_steps_are_steps_by_layers(layers, name, isa, dtype, rng):
    """A loss, or a layer, of the user's own: the same bits, though every gradient is written before it is used. (Not for a single
    sample, nor with weight decay: there a product is added to the gradient, before it is rounded or after.)"""
    optimizer = OPTIMIZERS[name]
    batches = [batch(LOSSES["cross-entropy"], m, dtype, rng) for m in (9, 9, 4, 2, 9)]
    found = []
    for wrap_loss, wrap_net in ((False, False), (True, False), (False, True)):
        net = nets.network(layers, dtype, np.random.default_rng(3))
        net = Network([nets.Same(), *net.layers]) if wrap_net else net
        loss = OwnLoss(SoftmaxCrossEntropy()) if wrap_loss else SoftmaxCrossEntropy()
        step = training_step(net, loss, optimizer, 9)
        values = [step(X, y) for X, y in batches]
        found.append((values, net.theta, *state_of(step)))
    for other in found[1:]:
        assert other[0] == pytest.approx(found[0][0], rel=2 * np.finfo(np.float64).eps)  # times 1 / m, or divided by m
        for a, b in zip(other[1:], found[0][1:], strict=True):
            assert_array_equal(a, b)


@optimizers
@pytest.mark.parametrize("layers", nets.OWN.values(), ids=nets.OWN)
def test_layers_of_a_users_own(layers, optimizer, dtype, rng):
    """Loss and gradient of the network by itself, then the optimizer's step."""
    net = nets.network(layers, dtype, rng)
    step = training_step(net, SoftmaxCrossEntropy(), optimizer, 9)
    for count, m in enumerate((9, 9, 4, 1)):
        X, y = batch(step.loss, m, dtype, rng)
        before = net.theta.copy(), state_of(step)
        output, jac = net.linearize(X)
        value, v = step.loss.value_and_gradient(output, y)
        gradient = Near(jac.tmv(v, "theta")["theta"])
        assert step(X, y) == value
        check_step(optimizer, count, before, gradient, (net.theta, state_of(step)), np.finfo(dtype).eps)


class Huber:
    """A loss of the user's own, from nothing: sums of sqrt(1 + d^2) - 1."""

    def targets(self, y, shape, dtype):
        return np.asarray(y, dtype).reshape(shape)

    def value_and_gradient(self, output, y):
        root = np.sqrt(1 + (output - y) ** 2)
        return float((root - 1).sum()), (output - y) / root


def test_a_loss_of_a_users_own(dtype, rng):
    net = nets.network(nets.PLANNED["residual"], dtype, rng)
    step = training_step(net, Huber(), Adam(0.01), 20)
    X, y = batch(LOSSES["squares"], 20, dtype, rng)
    values = [step(X, y / 4) for _ in range(150)]
    assert values[-1] < values[0] / 4


# --- smaller batches, order, state -----------------------------------------------------------------------------------


@optimizers
@every
def test_a_step_resumes_bitwise(layers, optimizer, dtype, rng):
    """theta and the state, put into another step, go on as if nothing had been; the state is a copy."""
    loss = SoftmaxCrossEntropy()
    batches = [batch(loss, m, dtype, rng) for m in (8, 8, 3, 8, 8, 3)]
    net = nets.network(layers, dtype, rng)
    step = training_step(net, loss, optimizer, 8)
    for X, y in batches[:3]:
        step(X, y)
    state, theta = step.state, net.theta.copy()
    copies = {name: a.copy() for name, a in state.items()}
    values = [step(X, y) for X, y in batches[3:]]
    assert state.keys() == {"count", *(f"state{i}" for i in range(optimizer.state_arrays))}
    assert state["count"] == 3
    for name, a in state.items():
        assert_array_equal(a, copies[name])
    other = Network(net.layers)
    other.theta = theta
    again = training_step(other, loss, optimizer, 8)
    again(*batches[0])  # whatever it did before
    other.theta, again.state = theta, state
    assert [again(X, y) for X, y in batches[3:]] == values
    assert_array_equal(other.theta, net.theta)
    for name, a in again.state.items():
        assert_array_equal(a, step.state[name])
    for a in state.values():
        a[...] = 7
    assert again.count == 6


def test_steps_of_any_number_of_samples_in_any_order(isa, dtype, rng):
    """Plans of other shapes change nothing: a step is a function of theta, state and batch."""
    loss, optimizer = SoftmaxCrossEntropy(), SGD(0.1, momentum=0.9)
    batches = [batch(loss, m, dtype, rng) for m in (7, 3, 7, 1, 2, 3, 7, 5)]
    net = nets.network(nets.PLANNED["nested"], dtype, rng)
    fresh = Network(net.layers)
    step, state = training_step(net, loss, optimizer, 7), None
    for X, y in batches:
        value = step(X, y)
        once = training_step(fresh, loss, optimizer, 7)
        if state is not None:
            once.state = state
        assert once(X, y) == value
        state = once.state
        assert_array_equal(net.theta, fresh.theta)


def test_theta_may_be_changed_between_steps(isa, dtype, rng):
    """Through theta or a view of it."""
    loss = MeanSquaredError()
    X, y = batch(loss, 6, dtype, rng)
    net = nets.network(nets.PLANNED["residual"], dtype, rng)
    step = training_step(net, loss, SGD(0.1), 6)
    step(X, y)
    start = net.theta.copy()
    first = step(X, y), net.theta.copy()
    net.theta = start
    assert step(X, y) == first[0]
    assert_array_equal(net.theta, first[1])
    net.params["0.b"][...] += 1
    other = Network(net.layers)
    assert step(X, y) == training_step(other, loss, SGD(0.1), 6)(X, y)
    assert_array_equal(net.theta, other.theta)


def test_a_step_trains_the_array_that_with_theta_was_given(dtype, rng):
    net = nets.network(nets.PLANNED["dense"], dtype, rng)
    theta, before = net.theta.copy(), net.theta.copy()
    training_step(net.with_theta(theta), SoftmaxCrossEntropy(), SGD(0.1), 6)(*batch(SoftmaxCrossEntropy(), 6, dtype, rng))
    assert not np.array_equal(theta, before)
    assert_array_equal(net.theta, before)


def test_inputs_stay_as_they_are(isa, dtype, rng, frozen):
    for loss in LOSSES.values():
        X, y = frozen(*batch(loss, 6, dtype, rng))
        copies = X.copy(), y.copy()
        step = training_step(nets.network(nets.PLANNED["identities"], dtype, rng), loss, SGD(0.1), 6)
        step(X, y)
        step(X, y)
        assert_array_equal(X, copies[0])
        assert_array_equal(y, copies[1])


def test_nan_is_seen_in_the_loss(isa, dtype, rng):
    for loss in LOSSES.values():
        X, y = batch(loss, 6, dtype, rng)
        X[2, 1] = np.nan
        assert np.isnan(training_step(nets.network(nets.PLANNED["dense"], dtype, rng), loss, SGD(0.1), 6)(X, y))


# --- threads and memory ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["momentum", "adam"])
def test_teams_agree_bit_by_bit(name, isa, dtype, rng, alone):
    loss = SoftmaxCrossEntropy()
    batches = [batch(loss, m, dtype, rng, n=100, k=10) for m in (200, 200, 70)]
    start = Network([Dense(100, 120, "relu", dtype=dtype, rng=rng), Residual(120, dtype=dtype, rng=rng)])
    start = Network([*start.layers, Dense(120, 10, "identity", dtype=dtype, rng=rng)])

    def trained():
        net = Network(start.layers)
        step = training_step(net, loss, OPTIMIZERS[name], 200)
        return [step(X, y) for X, y in batches], net.theta.tobytes(), [a.tobytes() for a in state_of(step)]

    team = trained()
    with alone():
        assert trained() == team


def test_two_networks_trained_by_two_threads(dtype, rng):
    """At once: the bits of one after the other."""
    loss = SoftmaxCrossEntropy()
    start = nets.network(nets.PLANNED["nested"], dtype, rng)
    batches = [batch(loss, 50, dtype, rng) for _ in range(40)]

    def trained():
        net = Network(start.layers)
        step = training_step(net, loss, Adam(0.01), 50)
        return [step(X, y) for X, y in batches], net.theta.tobytes()

    expected, found = trained(), []
    threads = [threading.Thread(target=lambda: found.append(trained())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 4


def test_steps_from_several_threads_follow_one_another(dtype, rng):
    """One step object: no step is lost, and the batch being one, their order does not matter."""
    loss = SoftmaxCrossEntropy()
    net = nets.network(nets.PLANNED["dense"], dtype, rng)
    alone = Network(net.layers)
    X, y = batch(loss, 50, dtype, rng)
    step, other = training_step(net, loss, SGD(0.1, 0.9), 50), training_step(alone, loss, SGD(0.1, 0.9), 50)
    threads = [threading.Thread(target=lambda: [step(X, y) for _ in range(25)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for _ in range(100):
        other(X, y)
    assert step.count == 100
    assert_array_equal(net.theta, alone.theta)


@pytest.mark.parametrize("name", ["sgd", "momentum", "adam"])
@losses
def test_no_array_is_allocated_after_the_first_step(loss, name, dtype, rng):
    """Neither by NumPy (small ones) nor from the pool (those of 64 KiB and more): each array of a step has 8 KiB or more."""
    options = {"dtype": dtype, "rng": rng}
    fastlec.set_num_threads(1)  # a team's scratch would come from the pool
    try:
        for m in (64, 2048):
            net = Network([Dense(16, 32, "relu", **options), Residual(32, **options), Dense(32, 32, "identity", **options)])
            step = training_step(net, loss, OPTIMIZERS[name], m)
            X, y = batch(loss, m, dtype, rng, n=16, k=32)
            step(X, y)
            step(X, y)
            fastlec.release_memory()
            tracemalloc.start()
            before = tracemalloc.get_traced_memory()[0]
            step(X, y)
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert peak - before < 4096
            assert memory.info()["kept_bytes"] < 1 << 16  # what it takes it would have given back: only scratch is smaller
    finally:
        tracemalloc.stop()
        fastlec.set_num_threads(None)


# --- schedules and optimizers --------------------------------------------------------------------------------------


def test_a_step_asks_its_schedule_for_every_step(dtype, rng):
    """From 0 on, or from the state's count; any callable."""
    asked = []
    optimizer = SGD(lambda step: asked.append(step) or 0.1)
    net = nets.network(nets.PLANNED["dense"], dtype, rng)
    step = training_step(net, SoftmaxCrossEntropy(), optimizer, 6)
    X, y = batch(SoftmaxCrossEntropy(), 6, dtype, rng)
    for m in (6, 6, 2):
        step(X[:m], y[:m])
    step.state = {"count": np.array(17)}
    step(X, y)
    assert asked == [0, 1, 2, 17]
    assert optimizer.rate(5) == 0.1


def test_optimizers_hold_no_state(rng):
    assert [OPTIMIZERS[name].state_arrays for name in ("sgd", "decay", "momentum", "nesterov", "adam")] == [0, 0, 1, 1, 2]
    assert SGD(0.1) == SGD(0.1, 0.0, 0.0)
    with pytest.raises(AttributeError):
        SGD(0.1).lr = 2
    optimizer = Adam(0.01)
    first, second = (nets.network(nets.PLANNED["dense"], np.float64, np.random.default_rng(1)) for _ in range(2))
    X, y = batch(SoftmaxCrossEntropy(), 6, np.float64, rng)
    steps = [training_step(net, SoftmaxCrossEntropy(), optimizer, 6) for net in (first, second)]
    for step, _ in itertools.product(steps, range(3)):
        step(X, y)
    assert_array_equal(first.theta, second.theta)


def test_descent(dtype):
    """The lecture's point of it all: every optimizer learns two moons apart."""
    rng = np.random.default_rng(0)
    y = np.arange(200) % 2
    angle = rng.uniform(0, np.pi, 200)
    X = np.stack([np.cos(angle) * (1 - 2 * y) + y, np.sin(angle) * (1 - 2 * y) + 0.5 * y], axis=1).astype(dtype)
    for optimizer in (SGD(0.5), SGD(0.1, 0.9, nesterov=True), Adam(0.02)):
        net = Network([Dense(2, 16, dtype=dtype, rng=1), Dense(16, 2, "identity", dtype=dtype, rng=2)])
        step = training_step(net, SoftmaxCrossEntropy(), optimizer, 200)
        for _ in range(400):
            step(X, y)
        assert (net(X).argmax(axis=1) == y).mean() > 0.97
        assert_allclose(reference.softmax_cross_entropy(net(X), y)[0], SoftmaxCrossEntropy().value(net(X), y), rtol=1e-5)


# --- what they cannot take -------------------------------------------------------------------------------------------


def frozen_net():
    net = Network([Dense(5, 3, rng=0)])
    theta = net.theta.copy()
    theta.flags.writeable = False
    return net.with_theta(theta)


def test_bad_steps():
    net, loss = Network([Dense(5, 3, rng=0)]), SoftmaxCrossEntropy()
    for arguments, error, match in (
        ((Dense(5, 3), loss, SGD(0.1), 5), TypeError, "^net is a Dense; expected a Network"),
        ((frozen_net(), loss, SGD(0.1), 5), ValueError, "^net.theta is read-only; expected a network that can be trained"),
        ((net, loss, SGD(0.1), 0), ValueError, "^batch_size is 0; expected at least 1"),
        ((net, loss, SGD(0.1), 2.0), TypeError, "^batch_size is 2.0; expected an integer"),
    ):
        with pytest.raises(error, match=match):
            training_step(*arguments)


X, Y, T = np.ones((5, 5)), np.array([0, 1, 2, 1, 0]), np.ones((5, 3))
BATCHES = {
    "too many samples": (0, np.ones((6, 5)), np.zeros(6, int), ValueError, r"^X has shape \(6, 5\); expected 1 to 5 samples"),
    "no samples": (0, X[:0], Y[:0], ValueError, r"^X has shape \(0, 5\); expected 1 to 5 samples"),
    "a number": (0, 1.0, Y, ValueError, r"^X has shape \(\); expected 1 to 5 samples"),
    "features": (0, X[:, :4], Y, ValueError, r"has samples of shape \(4,\); expected \(5,\)"),
    "one sample": (0, X[0], Y, ValueError, r"has samples of shape \(\); expected \(5,\)"),
    "complex": (0, X + 0j, Y, TypeError, "^X has dtype complex128"),
    "text": (0, X.astype(str), Y, TypeError, "^X has dtype"),
    "a dict": (0, {}, Y, TypeError, "^X has dtype object"),
    "ragged": (0, [[1.0], [1.0, 2.0]], Y, ValueError, "^X is no rectangular array"),
    "label too large": (0, X, Y + 1, ValueError, "^y has values from 1 to 3; expected 0 to 2"),
    "label negative": (0, X, Y - 1, ValueError, "^y has values from -1 to 1; expected 0 to 2"),
    "labels too few": (0, X, Y[:4], ValueError, r"^y has shape \(4,\); expected \(5,\)"),
    "labels too many": (0, X[:4], Y, ValueError, r"^y has shape \(5,\); expected \(4,\)"),
    "float labels": (0, X, Y + 0.0, TypeError, r"^y has dtype float64; expected integers, or probabilities of shape \(5, 3\)"),
    "no labels": (0, X, None, TypeError, "^y has dtype object"),
    "targets": (1, X, T[:, :2], ValueError, r"^y has shape \(5, 2\); expected \(5, 3\)"),
    "a vector of targets": (1, X, T[:, 0], ValueError, r"^y has shape \(5,\); expected \(5, 3\)"),
    "ragged targets": (0, X, [[1.0], [1.0, 2.0]], ValueError, "^y is no rectangular array"),
    "complex targets": (1, X, T + 0j, TypeError, "^y has dtype complex128"),
}


@pytest.mark.parametrize("own", [False, True], ids=["planned", "by layers"])
@pytest.mark.parametrize(("which", "samples", "targets", "error", "match"), BATCHES.values(), ids=BATCHES)
def test_bad_batches(which, samples, targets, error, match, own):
    """Before a first step and after one: theta, state and count are as if nothing had been asked."""
    loss = [*LOSSES.values()][which]
    net = Network([Dense(5, 3, rng=0)])
    step = training_step(net, OwnLoss(loss) if own else loss, SGD(0.1, 0.9), 5)
    for _ in range(2):
        theta, state = net.theta.copy(), step.state
        with pytest.raises(error, match=match):
            step(samples, targets)
        assert_array_equal(net.theta, theta)
        for name, a in step.state.items():
            assert_array_equal(a, state[name])
        step(X, T if which else Y)


GOOD = {"count": np.array(3), "state0": np.ones(18), "state1": np.ones(18)}
STATES = {
    "nothing": ({}, ValueError, "^state has"),
    "one array": ({"count": np.array(3), "state0": np.ones(18)}, ValueError, "^state has .*'state0'.*; expected"),
    "one more": (GOOD | {"state2": np.ones(18)}, ValueError, "^state has .*state2"),
    "shape": (
        GOOD | {"state1": np.ones(17)},
        ValueError,
        r"^state1 is float64 of shape \(17,\); expected float64 of shape \(18,\)",
    ),
    "axes": (GOOD | {"state0": np.ones((18, 1))}, ValueError, r"^state0 is float64 of shape \(18, 1\); expected"),
    "dtype": (GOOD | {"state0": np.ones(18, np.float32)}, ValueError, "^state0 is float32 of shape .*; expected float64"),
    "count": (GOOD | {"count": np.array(-1)}, ValueError, "^count is -1; expected at least 0"),
    "count huge": (GOOD | {"count": 10**400}, ValueError, "^count is an integer of 1329 bits; expected at most"),
    "counts": (GOOD | {"count": np.zeros(2, int)}, ValueError, r"^count has shape \(2,\); expected an integer"),
    "no dict": (None, TypeError, "^state is a NoneType; expected a dict"),
    "a list": (["count"], TypeError, "^state is a list; expected a dict"),
    "count float": (GOOD | {"count": np.array(1.5)}, TypeError, "^count is 1.5; expected an integer"),
}


@pytest.mark.parametrize(("state", "error", "match"), STATES.values(), ids=STATES)
def test_bad_states(state, error, match):
    """Nothing of them is taken."""
    net = Network([Dense(5, 3, rng=0)])
    step = training_step(net, SoftmaxCrossEntropy(), Adam(), 5)
    step(X, Y)
    before = step.state
    with pytest.raises(error, match=match):
        step.state = state
    assert step.count == 1
    for name, a in step.state.items():
        assert_array_equal(a, before[name])


# --- what is trained -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["momentum and decay", "adam, decay"])
@every
def test_only_what_is_trainable_is_trained(layers, name, dtype, rng):
    """Each parameter alone, then all of the last layer: these take the step that they take where all are trained, to the last
    bit; the others, and their states, keep theirs for good."""
    loss = SoftmaxCrossEntropy()
    start = nets.network(layers, dtype, rng)
    X, y = batch(loss, 7, dtype, rng)
    whole = Network(start.layers)
    value = training_step(whole, loss, OPTIMIZERS[name], 7)(X, y)
    for trainable in (*start.params, -1):
        net = Network(start.layers)
        last = {n for n in net.params if n.startswith(f"{len(net.layers) - 1}.")}
        chosen = last if trainable == -1 else {trainable}
        if not chosen:
            continue
        step = training_step(net, loss, OPTIMIZERS[name], 7, trainable)
        assert set(step.trainable or net.params) == chosen
        assert step(X, y) == value
        for other, a in net.params.items():
            assert_array_equal(a, (whole if other in chosen else start).params[other], err_msg=other)
        step(X, y)
        for other, a in net.params.items():
            if other not in chosen:
                assert_array_equal(a, start.params[other], err_msg=other)
        for state in state_of(step):
            for other, a in network_module.views(state, net.params).items():
                assert other in chosen or not a.any()


class OfFeatures(BatchNorm2d):
    """Takes features, so that there are buffers between dense layers."""

    def output_shape(self, shape):
        return shape


def named(trainable):
    inner = Network([Residual(4, rng=0), Dense(4, 3, "identity", rng=0)])
    net = Network([Dense(5, 4, rng=0), OfFeatures(2), inner, Dense(3, 2, "identity", rng=0)])
    return trainable_names(net, trainable(net) if isinstance(trainable, FunctionType) else trainable)


HEAD = ("3.W", "3.b")
NAMED = {
    "all": (None, None),
    "all by pattern": ("*", None),
    "all by indices": (range(4), None),
    "the network itself": (lambda net: net, None),
    "a name": ("0.W", ("0.W",)),
    "an inner name": ("2.0.W2", ("2.0.W2",)),
    "a pattern": ("*.W", ("0.W", "2.1.W", "3.W")),
    "another pattern": ("[03].b", ("0.b", "3.b")),
    "an index": (3, HEAD),
    "a NumPy index": (np.int64(3), HEAD),
    "from the end": (-1, HEAD),
    "a layer": (lambda net: net.layers[3], HEAD),
    "layers": (lambda net: net.layers[2:], ("2.0.W1", "2.0.b", "2.0.W2", "2.1.W", "2.1.b", *HEAD)),
    "an inner layer": (lambda net: net.layers[2].layers[1], ("2.1.W", "2.1.b")),
    "several kinds, twice": (lambda net: ["3.*", 3, net.layers[3], "3.W"], HEAD),
    "a set": ({"0.b", "3.b"}, ("0.b", "3.b")),
    "all parameters": (lambda net: list(net.params), None),
    "in part": ("1.beta", ("1.beta", "1.running_mean", "1.running_var")),
    "with its buffers": (1, ("1.gamma", "1.beta", "1.running_mean", "1.running_var")),
}


@pytest.mark.parametrize(("trainable", "expected"), NAMED.values(), ids=NAMED)
def test_ways_to_say_what_is_trainable(trainable, expected):
    assert named(trainable) == expected


ALL = "0.W, 0.b, 1.gamma, 1.beta, 2.0.W1, 2.0.b, 2.0.W2, 2.1.W, 2.1.b, 3.W, 3.b"
NOT_NAMED = {
    "another name": ("4.W", ValueError, f"trainable has '4.W', which names no parameter; expected names or patterns of {ALL}"),
    "one of several": (["0.W", "w"], ValueError, "trainable has 'w', which names no parameter"),
    "nothing": ((), ValueError, f"trainable is (), which leaves nothing to train; expected one or more of {ALL}"),
    "a buffer alone": ("1.running_*", ValueError, "trainable is '1.running_*', which leaves nothing to train"),
    "another layer": (Dense(3, 2), ValueError, "trainable has a Dense that is no layer of net; expected one of net.layers"),
    "an index too high": (4, ValueError, "trainable has the index 4; net has 4 layers"),
    "an index too low": (-5, ValueError, "trainable has the index -5; net has 4 layers"),
    "a huge index": (10**400, ValueError, "trainable has the index an integer of 1329 bits"),
    "True": (True, TypeError, "trainable has True; expected names, patterns, layers or their indices"),
    "a float": (1.0, TypeError, "trainable has 1.0; expected names"),
    "bytes": (b"0.W", TypeError, "trainable has b'0.W'; expected names"),
    "None within": ([None], TypeError, "trainable has None; expected names"),
    "a class": (Dense, TypeError, "trainable has <class"),
    "a dict": ({"0.W": False}, TypeError, "trainable is a dict; expected names"),
}


@pytest.mark.parametrize(("trainable", "error", "match"), NOT_NAMED.values(), ids=NOT_NAMED)
def test_what_cannot_be_trainable(trainable, error, match):
    with pytest.raises(error, match=f"^{re.escape(match)}") as caught:
        named(trainable)
    assert caught.type is error


def test_derivatives_stop_at_the_first_layer_that_is_trained(dtype):
    """However many layers are below it, they add no job but those of the forward pass; nor does a user's layer compute any."""

    def jobs(depth, trainable):
        layers = [Residual(5, dtype=dtype, rng=0) for _ in range(depth)]
        net = Network([*layers, Network([Dense(5, 4, dtype=dtype, rng=0), Dense(4, 3, "identity", dtype=dtype, rng=0)])])
        step = training_step(net, SoftmaxCrossEntropy(), SGD(0.1), 4, trainable)
        step(np.ones((4, 5), dtype), np.zeros(4, int))
        forward = kernels.Plan(dtype.num)
        net._plan_forward(forward, np.ones((4, 5), dtype), np.empty((4, 3), dtype))
        return len(next(iter(step._plans.values()))._forward) - len(forward)

    assert jobs(1, "*.1.W") == jobs(5, "*.1.W") == 2  # the loss, and W's gradient
    assert jobs(1, -1) == jobs(5, -1) < jobs(1, None) < jobs(5, None)

    class NoDerivative(nets.Cube):
        def tmv(self, x, v, wrt):
            raise AssertionError("a derivative that nobody needs")

    net = Network([NoDerivative(), Dense(5, 3, "identity", rng=0)])
    training_step(net, SoftmaxCrossEntropy(), SGD(0.1), 4, -1)(np.ones((4, 5)), np.zeros(4, int))


@pytest.mark.parametrize("own", [False, True], ids=["planned", "by layers"])
@pytest.mark.parametrize("nested", [False, True])
def test_frozen_batch_normalisation_is_that_of_evaluation(own, nested, dtype, rng):
    """The running statistics normalise, and stay; those of a layer that is trained, if only in part, move."""
    conv = Conv2d(1, 3, 3, "relu", padding=1, dtype=dtype, rng=rng)
    first, second = BatchNorm2d(3, dtype=dtype), BatchNorm2d(3, dtype=dtype)
    body = [conv, first, second]
    body = [Network(body)] if nested else body
    prefix = "0." if nested else ""
    start = Network([*body, *([nets.Same()] if own else []), Flatten(), Dense(48, 2, "identity", dtype=dtype, rng=rng)])
    for a in start.buffers.values():
        a[...] = rng.uniform(0.5, 2, a.shape)
    X, y = rng.standard_normal((6, 1, 4, 4)).astype(dtype), np.arange(6) % 2
    loss = SoftmaxCrossEntropy()
    cases = {-1: (), f"{prefix}0.*": (), f"{prefix}2.beta": (2,), f"{prefix}1.*": (1,), None: (1, 2)}
    for trainable, moving in cases.items():
        net = Network(start.layers)
        step = training_step(net, loss, SGD(0.1), 6, trainable)
        assert (step(X, y) == loss.value(start(X), y)) == (not moving)
        for i, statistic in itertools.product((1, 2), ("running_mean", "running_var")):
            name = f"{prefix}{i}.{statistic}"
            assert np.array_equal(net.buffers[name], start.buffers[name]) == (i not in moving)


# --- one step at a time ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["step", "state", "set state", "copy"])
def test_a_step_within_itself_is_refused(what, rng):
    """It would wait for itself for ever. The step around it is made."""
    loss, net = SoftmaxCrossEntropy(), nets.network(nets.PLANNED["dense"], np.float64, rng)
    X, y = batch(loss, 4, np.float64, rng)
    asked = []

    def within(*arguments):
        ways = {
            "step": lambda: step(X, y),
            "state": lambda: step.state,
            "set state": lambda: setattr(step, "state", {}),
            "copy": lambda: copy.copy(step),
        }
        with pytest.raises(RuntimeError, match=r"^this training step is running: a signal handler, schedule, loss or layer"):
            ways[what]()
        asked.append(step.count)

    def schedule(count):
        signal.raise_signal(signal.SIGUSR1)
        return 0.1

    step, other = training_step(net, loss, SGD(schedule), 4), Network(net.layers)
    before = signal.signal(signal.SIGUSR1, within)
    try:
        values = [step(X, y) for _ in range(2)]
    finally:
        signal.signal(signal.SIGUSR1, before)
    alone = training_step(other, loss, SGD(0.1), 4)
    assert values == [alone(X, y) for _ in range(2)]
    assert asked == [0, 1]
    assert_array_equal(net.theta, other.theta)


def test_a_step_that_failed_may_be_made_again(rng):
    loss, net = SoftmaxCrossEntropy(), nets.network(nets.PLANNED["dense"], np.float64, rng)
    X, y = batch(loss, 4, np.float64, rng)
    start, rates = net.theta.copy(), iter([np.nan, KeyboardInterrupt(), 0.1])

    def schedule(count):
        rate = next(rates)
        if isinstance(rate, BaseException):
            raise rate
        return rate

    step = training_step(net, loss, SGD(schedule, momentum=0.5), 4)
    with pytest.raises(ValueError, match=r"^lr\(0\) is nan"):
        step(X, y)
    with pytest.raises(KeyboardInterrupt):
        step(X, y)
    assert step.count == 0
    assert_array_equal(net.theta, start)
    step(X, y)
    assert step.count == 1


def test_a_child_forked_during_another_threads_step_makes_its_own():
    """The lock that the other thread has is never released in the child."""
    code = """
        import os, signal, threading
        import numpy as np
        from fastlec import SGD, Dense, Network, SoftmaxCrossEntropy, training_step

        parent, inside, go_on = os.getpid(), threading.Event(), threading.Event()

        def schedule(count):
            if os.getpid() == parent:
                inside.set()
                go_on.wait(60)
            return 0.1

        X, y = np.ones((4, 5)), np.zeros(4, int)
        step = training_step(Network([Dense(5, 3, "identity", rng=0)]), SoftmaxCrossEntropy(), SGD(schedule), 4)
        thread = threading.Thread(target=step, args=(X, y))
        thread.start()
        inside.wait(60)
        child = os.fork()
        if not child:
            signal.alarm(30)  # which ends it
            step(X, y)
            os._exit(step.count)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        go_on.set()
        thread.join()
        print(step.count)
    """
    assert output(code, flags=(), timeout=60).split() == ["1", "1"]


# --- copies, settings ------------------------------------------------------------------------------------------------


class Counted(TrainingStep):
    """A user's subclass, with an attribute of its own."""

    calls = 0

    def __call__(self, X, y):
        self.calls += 1
        return super().__call__(X, y)


COPIES = {"copy": copy.copy, "deepcopy": copy.deepcopy, "pickle": lambda step: pickle.loads(pickle.dumps(step))}


@pytest.mark.parametrize("way", COPIES)
@pytest.mark.parametrize("layers", [nets.PLANNED["nested"], nets.OWN["scale"]], ids=["planned", "by layers"])
def test_a_copied_step_goes_on_bitwise(layers, way, dtype, rng):
    loss = SoftmaxCrossEntropy()
    net = nets.network(layers, dtype, rng)
    X, y = batch(loss, 6, dtype, rng)
    step = Counted(net, loss, Adam(0.01), 6, "*.b" if way == "pickle" else None)
    step(X, y)
    again = COPIES[way](step)
    assert type(again) is Counted
    assert (again.count, again.calls, again.trainable) == (1, 1, step.trainable)
    assert (again.net is net) == (way == "copy")
    theta, state = net.theta.copy(), step.state
    values = [step(X, y), step(X, y)]
    assert again.count == 1
    for name, a in again.state.items():
        assert_array_equal(a, state[name])
    again.net.theta = theta
    expected = net.theta.copy() if way != "copy" else None
    if way == "copy":  # one network
        net.theta = theta
    assert [again(X, y), again(X, y)] == values
    if expected is not None:
        assert_array_equal(again.net.theta, expected)


def test_the_settings_of_a_step_are_refused_with_the_way_to_change_them():
    step = training_step(Network([Dense(5, 3, rng=0)]), SoftmaxCrossEntropy(), SGD(0.1), 4)
    for name in ("net", "loss", "optimizer", "batch_size", "trainable"):
        value = getattr(step, name)
        with pytest.raises(AttributeError, match=rf"^TrainingStep\.{name} cannot be assigned: make a new step, and"):
            setattr(step, name, value)
        with pytest.raises(AttributeError, match=rf"^TrainingStep\.{name} cannot be deleted: make a new step, and"):
            delattr(step, name)
        assert getattr(step, name) is value
    with pytest.raises(AttributeError):
        step.count = 3


def test_plans_are_kept_for_a_few_shapes(rng):
    """Those used last."""
    loss = SoftmaxCrossEntropy()
    step = training_step(nets.network(nets.PLANNED["dense"], np.float64, rng), loss, SGD(0.1), 40)
    for m in range(1, 40):
        step(*batch(loss, m, np.float64, rng))
        assert len(step._plans) <= step_module.MOST_PLANS
        assert ((m, 5), 1) in {key[:2] for key in step._plans}


def test_samples_without_values_are_refused():
    """Their mean would be NaN."""
    step = training_step(Network([Activation("tanh")]), MeanSquaredError(), SGD(0.1), 4)
    with pytest.raises(ValueError, match=r"^X has shape \(3, 0\), of which net makes no values"):
        step(np.ones((3, 0)), np.ones((3, 0)))
    assert step(X=np.ones((3, 1)), y=np.ones(3)) > 0


class Odd(Huber):
    """A loss of the user's own that gives something else."""

    def __init__(self, found):
        self.found = found

    def value_and_gradient(self, output, y):
        return self.found


ODD = {
    "a number": (1.0, TypeError, "Odd.value_and_gradient gave a float; expected .loss, its gradient by the output"),
    "three": ((1, 2, 3), TypeError, "Odd.value_and_gradient gave a tuple"),
    "no number": ((None, np.zeros((5, 3))), TypeError, "the loss that Odd.value_and_gradient gave is None; expected a number"),
    "losses": ((np.ones(5), np.zeros((5, 3))), TypeError, "the loss that Odd.value_and_gradient gave is array"),
    "gradient": ((1.0, np.zeros(3)), ValueError, r"Odd.value_and_gradient gave a gradient of shape \(3,\); expected \(5, 3\)"),
}


@pytest.mark.parametrize(("found", "error", "match"), ODD.values(), ids=ODD)
def test_losses_that_give_something_else(found, error, match):
    net = Network([Dense(5, 3, rng=0)])
    start = net.theta.copy()
    with pytest.raises(error, match=f"^{match}"):
        training_step(net, Odd(found), SGD(0.1), 5)(X, T)
    assert_array_equal(net.theta, start)


def test_an_error_lists_some_of_the_names():
    net = Network([Dense(2, 2, rng=0) for _ in range(30)])
    with pytest.raises(ValueError, match=r"names or patterns of 0\.W, 0\.b, .*, 24\.b, and 10 more$"):
        trainable_names(net, "a")


class Weighted(MeanSquaredError):
    """A loss of fastlec's with another value and gradient."""

    def value_and_gradient(self, output, y, *, grad_out=None):
        loss, gradient = super().value_and_gradient(output, y)
        return 10 * loss, 10 * gradient


class Planned(Weighted):
    """That says itself which jobs it is."""

    def value_and_gradient(self, output, y, *, grad_out=None):
        return MeanSquaredError.value_and_gradient(self, output, y, grad_out=grad_out)

    def plan(self, plan, output, y, grad):
        super().plan(plan, output, y, grad)


def test_a_loss_that_is_a_subclass_is_what_trains(rng):
    """Jobs of the base class would not know what it overrides."""
    X, y = rng.normal(size=(6, 3)), rng.normal(size=(6, 2))
    start = Network([Dense(3, 2, rng=0)])
    change = {}
    for loss in (MeanSquaredError(), Weighted(), Planned()):
        net = start.with_theta(start.theta.copy())
        value = training_step(net, loss, SGD(0.01), 6)(X, y)
        change[type(loss)] = np.array([value, *(net.theta - start.theta)])
    np.testing.assert_allclose(change[Weighted], 10 * change[MeanSquaredError], rtol=1e-9)
    np.testing.assert_array_equal(change[Planned], change[MeanSquaredError])
