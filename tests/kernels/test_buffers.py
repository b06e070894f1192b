"""Running statistics and other buffers: training steps alone change them; networks share them, files and checkpoints hold them."""

import copy
import json
import pickle
from concurrent.futures import ThreadPoolExecutor

import nets
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from test_batch_norm import forms, made, normals

from fastlec import (
    SGD,
    Activation,
    Adam,
    BatchNorm2d,
    Conv2d,
    Dense,
    EarlyStopping,
    Layer,
    MeanSquaredError,
    Network,
    Objective,
    fit,
    io,
    reference,
    training_step,
)
from fastlec.network.forward import MOST_CHUNK
from fastlec.testing import check_layer
from fastlec.training import objective


def network(dtype, rng, **options):
    """Of images (3, 4, 5): normalised twice, and a network inside it."""
    inner = Network([Activation("tanh"), made(3, dtype, rng, **options)])
    return Network([made(3, dtype, rng, momentum=0.3), inner])


# --- running statistics and training ---------------------------------------------------------------------------------


class OwnLoss:
    """A loss as a user writes it, without what plans need."""

    def __init__(self):
        loss = MeanSquaredError()
        self.targets, self.value, self.value_and_gradient = loss.targets, loss.value, loss.value_and_gradient


class Counter(Layer):
    """y = x of samples of any shape: a layer of the user's own that counts its steps, and sees how large x was at the last one."""

    def __init__(self, dtype=np.float64):
        super().__init__(buffers={"steps": np.zeros((), dtype), "largest": np.zeros(1, dtype)})

    def output_shape(self, shape):
        return shape

    def evaluate(self, x):
        return x.copy(), x

    def mv(self, kept, directions):
        return directions["x"].copy()

    def tmv(self, kept, v, wrt):
        return dict.fromkeys(wrt, v)

    def update_buffers(self, kept):
        self.buffers["steps"][...] += 1
        self.buffers["largest"][...] = kept.max()


WAYS = {  # in which a step goes over the layers: (the loss, the layers after BatchNorm2d)
    "planned": (MeanSquaredError, []),
    "own loss": (OwnLoss, []),
    "own layer": (MeanSquaredError, [nets.Same()]),
    "own layer inside": (OwnLoss, [Network([nets.Same(), Activation("identity")])]),
}
ways = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)


@ways
def test_steps_against_numpy(way, dtype, rng):
    """gamma, beta and the running statistics after each step, at different batch sizes."""
    loss, more = way
    layer = made(3, dtype, rng, momentum=0.3)
    net = Network([layer, *more])
    gamma, beta, mean, var = (a.astype(float) for a in (*layer.params.values(), *layer.buffers.values()))
    step = training_step(net, loss(), SGD(0.2), 7)
    for m in (7, 1, 4, 7):
        X, target = normals(rng, (m, 3, 4, 5), dtype, 2, 1), normals(rng, (m, 3, 4, 5), dtype)
        output = reference.batch_norm2d(X, gamma, beta)
        expected, v = reference.mean_squared_error(output.reshape(m, -1), target.reshape(m, -1))
        gradient = reference.batch_norm2d_jac_tmv(v.reshape(X.shape), X, gamma, beta)
        gamma, beta = gamma - 0.2 * gradient["gamma"], beta - 0.2 * gradient["beta"]
        mean = 0.7 * mean + 0.3 * X.mean(axis=(0, 2, 3), dtype=float)
        var = 0.7 * var + 0.3 * X.var(axis=(0, 2, 3), dtype=float, ddof=1)
        close = {"rtol": 100 * np.finfo(dtype).eps, "atol": 100 * np.finfo(dtype).eps}
        np.testing.assert_allclose(step(X, target), expected, **close)
        found = [*net.params.values(), *net.buffers.values()]
        for a, b in zip(found, (gamma, beta, mean, var), strict=True):
            np.testing.assert_allclose(a, b, **close)
    found = net(X)
    z = (X - mean.reshape(3, 1, 1)) / np.sqrt(var + 1e-5).reshape(3, 1, 1)
    np.testing.assert_allclose(found, gamma.reshape(3, 1, 1) * z + beta.reshape(3, 1, 1), rtol=1e-3, atol=1e-3)
    assert not any(np.array_equal(a, b) for a, b in zip(layer.buffers.values(), net.buffers.values(), strict=True))


def test_ways_agree(dtype, rng):
    """The same statistics, bit by bit, whichever way a step goes."""
    layer, X, y = made(3, dtype, rng), normals(rng, (6, 3, 4, 5), dtype), normals(rng, (6, 3, 4, 5), dtype)
    found = []
    nets_and_losses = [(Network([layer, *more]), loss()) for loss, more in WAYS.values()]
    for net, loss in [*nets_and_losses, (Network([nets.Same(), Network([layer])]), MeanSquaredError())]:
        training_step(net, loss, SGD(0.1), 6)(X, y)
        found.append([*net.buffers.values()])
    for other in found[1:]:
        assert_array_equal(other, found[0])


SINGLE = r"x has shape \(1, 3, 1, 1\); expected more than one value of each channel, whose variance a training step takes"


@pytest.mark.parametrize("training", [False, True], ids=["inference", "training"])
@ways
def test_a_single_value_has_no_variance(way, training, dtype, rng):
    """So no step is made with it, and nothing is changed; in every other way it may be used."""
    loss, more = way
    net = Network([Activation("tanh"), Network([made(3, dtype, rng, training=training)]), *more])
    step = training_step(net, loss(), SGD(0.1), 5)
    one, two = normals(rng, (1, 3, 1, 1), dtype), normals(rng, (2, 3, 1, 1), dtype)
    before = [a.copy() for a in (net.theta, *net.buffers.values())]
    for _ in range(2):
        with pytest.raises(ValueError, match=rf"^layers\[1\]: {SINGLE}"):
            step(one, one)
    for a, same in zip((net.theta, *net.buffers.values()), before, strict=True):
        assert_array_equal(a, same)
    assert step.count == 0
    assert net(one).shape == net.linearize(one)[0].shape == one.shape
    step(two, two)
    step(normals(rng, (1, 3, 1, 2), dtype), np.zeros((1, 3, 1, 2), dtype))
    assert step.count == 2
    layer = BatchNorm2d(3, training=True, dtype=dtype)
    with pytest.raises(ValueError, match=SINGLE):
        layer.update_buffers(layer.linearize(one)[1].kept)


def test_an_epoch_that_would_end_in_a_single_value_is_not_begun(rng):
    X, y = normals(rng, (9, 3, 1, 1), np.float32), normals(rng, (9, 3, 1, 1), np.float32)
    net = network(np.float32, rng)
    before = [a.copy() for a in (net.theta, *net.buffers.values())]
    for batch_size, m, size in ((2, 9, 1), (1, 4, 1), (5, 1, 1)):
        text = rf"batch_size is {min(batch_size, m)}, which makes batches of {size} of {m} samples: {SINGLE}"
        with pytest.raises(ValueError, match=text):
            fit(net, X[:m], y[:m], loss=MeanSquaredError(), batch_size=batch_size, epochs=1)
    with pytest.raises(ValueError, match="batch_size is 1, which makes batches of 1 of 8 samples"):
        fit(net, X, y, loss=MeanSquaredError(), batch_size=1, epochs=1, validation=0.1)
    for a, same in zip((net.theta, *net.buffers.values()), before, strict=True):
        assert_array_equal(a, same)
    for batch_size, m in ((4, 8), (5, 9), (9, 9), (100, 9)):
        fit(net, X[:m], y[:m], loss=MeanSquaredError(), batch_size=batch_size, epochs=1)
    assert not np.array_equal(net.theta, before[0])


def test_a_last_sample_is_given_a_second_one_where_it_cannot_be_alone(rng):
    """4, 3 and 2 samples of 9; where one can be alone, the last batch has one."""
    X, y = normals(rng, (9, 3, 1, 1), np.float64), normals(rng, (9, 3, 1, 1), np.float64)
    for layers, sizes in (([BatchNorm2d(3)], (4, 3, 2)), ([Activation("tanh")], (4, 4, 1))):
        net = Network([Conv2d(3, 3, 1, "identity", rng=0), *layers])
        same, order = net.with_params(net.params), np.random.default_rng(5).permutation(9)
        fit(net, X, y, loss=MeanSquaredError(), optimizer=SGD(0.1), batch_size=4, epochs=1, rng=5)
        step = training_step(same, MeanSquaredError(), SGD(0.1), 4)
        for rows in np.split(order, np.cumsum(sizes)[:-1]):
            step(X[rows], y[rows])
        assert_array_equal(net.theta, same.theta)


def test_only_steps_change_the_statistics(dtype, rng):
    net, x = network(dtype, rng), normals(rng, (5, 3, 4, 5), dtype)
    before = copy.deepcopy(dict(net.buffers))
    for form in (net, net.for_training()):
        form(x)
        y, jac = form.linearize(x)
        jac.tmv(y)
        form.jac_mv(x, x=x)
        form.value_and_jac_mv(x, x=x)
    f = Objective(net, MeanSquaredError(), x, x)
    f.value_and_gradient(net.theta)
    for name, a in before.items():
        assert_array_equal(net.buffers[name], a)
    training_step(net, MeanSquaredError(), SGD(0.1), 5)(x, x)
    for name, a in before.items():
        assert not np.array_equal(net.buffers[name], a)


def test_the_network_that_trains_and_the_one_that_is_evaluated(dtype, rng):
    """Two forms on one theta and one set of buffers; what is evaluated afterwards has seen the steps."""
    net, x = network(dtype, rng), normals(rng, (5, 3, 4, 5), dtype)
    form = net.for_training()
    assert form.theta is net.theta
    for name, a in net.buffers.items():
        assert form.buffers[name] is a
    assert (net.couples_samples, form.couples_samples) == (False, True)
    assert form.for_training() is form
    assert Network([Dense(3, 2)]).for_training().couples_samples is False
    outputs = [net(x)]
    step = training_step(net, MeanSquaredError(), SGD(0.1), 5)
    for _ in range(2):
        step(x, np.zeros_like(x))
        outputs.append(net(x))
        assert not np.array_equal(outputs[-1], outputs[-2])
    assert_array_equal(net(x), Network(net.layers)(x))


def test_buffers_are_shared_where_theta_is(dtype, rng):
    net = network(dtype, rng)
    shared, other = net.with_theta(net.theta), net.with_params(net.params)
    wide = net.with_params({name: a.astype(np.float64) for name, a in net.params.items()})
    copies = [other, wide, Network(net.layers), Network([net]), copy.deepcopy(net), pickle.loads(pickle.dumps(net))]
    for name, a in net.buffers.items():
        assert shared.buffers[name] is a
    for same in copies:
        for a, b in zip(same.buffers.values(), net.buffers.values(), strict=True):
            assert not np.shares_memory(a, b)
            assert_array_equal(a, b)
            assert a.dtype == same.dtype
    assert list(net.buffers) == ["0.running_mean", "0.running_var", "1.1.running_mean", "1.1.running_var"]
    assert list(Network([net]).buffers)[-1] == "0.1.1.running_var"
    assert_array_equal([*Network([net]).buffers.values()], [*net.buffers.values()])
    x = normals(rng, (3, 3, 4, 5), dtype)
    training_step(other, MeanSquaredError(), SGD(0.1), 3)(x, x)
    assert_array_equal(copies[-1](x), net(x))
    assert not np.array_equal(other(x), net(x))


@forms
def test_a_large_batch_is_one_batch(training, dtype, rng, monkeypatch):
    """A network goes over many samples in parts, an objective too; with statistics of the batch they may not."""
    layer, x = made(2, dtype, rng, training=training), normals(rng, (5000, 2, 1, 2), dtype)
    net = Network([layer])
    assert len(x) > MOST_CHUNK
    assert_array_equal(net(x), layer(x))
    target, loss = np.zeros_like(x), MeanSquaredError()
    monkeypatch.setattr(objective, "PART_VALUES", 1)
    f = Objective(net, loss, x, target)
    assert f._part == (5000 if training else 64)
    np.testing.assert_allclose(f.value(net.theta), loss.value(layer(x), target), rtol=1e-5)


def test_a_users_own_layer_may_have_buffers(dtype, rng):
    net = Network([BatchNorm2d(3, dtype=dtype), Network([Counter(dtype)]), Counter(dtype)])
    assert list(net.buffers)[-4:] == ["1.0.steps", "1.0.largest", "2.steps", "2.largest"]
    step, x = training_step(net, MeanSquaredError(), SGD(0.1), 5), normals(rng, (5, 3, 4, 5), dtype)
    net(x)
    for _ in range(3):
        largest = net.for_training()(x).max()
        step(x, x)
    for i in ("1.0", "2"):
        assert net.buffers[f"{i}.steps"] == 3
        assert net.buffers[f"{i}.largest"] == largest
    check_layer(Counter(), x).assert_passed()


def test_threads_that_evaluate_at_once(dtype, rng):
    net = network(dtype, rng)
    images = [normals(rng, (m, 3, 4, 5), dtype) for m in (1, 8, 8, 30)]
    expected = [(net(x), net.jac_tmv(x, x)["x"]) for x in images]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(20):
            for found, same in zip(pool.map(lambda x: (net(x), net.jac_tmv(x, x)["x"]), images), expected, strict=True):
                assert_array_equal(found[0], same[0])
                assert_array_equal(found[1], same[1])


# --- files -----------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["npz", "safetensors"])
def path(request, tmp_path):
    if request.param == "safetensors":
        pytest.importorskip("safetensors")
    return tmp_path / f"net.{request.param}"


def test_statistics_are_saved(path, dtype, rng):
    net = Network([network(dtype, rng, eps=1e-3, momentum=0.25, training=True), made(3, dtype, rng)])
    net.save(path)
    found = Network.load(path)
    assert found.config() == net.config()
    assert list(found.buffers) == list(net.buffers)
    for name, a in {**net.params, **net.buffers}.items():
        assert_array_equal({**found.params, **found.buffers}[name], a, strict=True)
    x = normals(rng, (3, 3, 4, 5), dtype)
    assert_array_equal(found(x), net(x))


def test_spoilt_statistics_are_refused(path, dtype, rng):
    net = network(dtype, rng)
    meta = {"kind": "network", "dtype": str(dtype), **net.config()}
    arrays = {**net.params, **net.buffers}
    name = "0.running_var"
    for change, text in (
        ({name: np.ones(4, dtype)}, rf"0\.running_var is {dtype} of shape \(4,\); expected {dtype} of shape \(3,\)"),
        ({name: np.ones(3, np.float16)}, r"0\.running_var is float16 of shape .*; expected"),
        ({name: np.full(3, np.nan, dtype)}, r"0\.running_var holds NaN or infinity"),
        ({"0.running": np.ones(3, dtype)}, "holds the arrays .*; expected"),
    ):
        io.save(path, arrays | change, meta)
        with pytest.raises(io.ModelError, match=text):
            Network.load(path)
    io.save(path, dict(net.params), meta)
    with pytest.raises(io.ModelError, match=r"holds the arrays .*; expected .*running_mean"):
        Network.load(path)
    for change in ({"c": 4}, {"c": "3"}, {"c": -3}, {"eps": -1}, {"eps": None}, {"momentum": 7}, {"height": 3}):
        layers = [{**meta["layers"][0], **change}, *meta["layers"][1:]]
        io.save(path, arrays, {**meta, "layers": json.loads(json.dumps(layers))})
        with pytest.raises(io.ModelError):
            Network.load(path)
    net.buffers[name][1] = np.inf
    path.unlink()
    with pytest.raises(io.ModelError, match=r"0\.running_var holds NaN or infinity"):
        net.save(path)
    assert not path.exists()


# --- fit -------------------------------------------------------------------------------------------------------------


def images(rng, m=60):
    """(X, y) of single precision."""
    X = normals(rng, (m, 3, 4, 5), np.float32, 2, 1)
    return X, np.tanh(X[:, ::-1] - X)


RUNS = {
    "sgd": {"optimizer": SGD(0.1, momentum=0.9), "validation": 0.2},
    "stopping": {"optimizer": Adam(0.1), "validation": 0.5, "early_stopping": EarlyStopping(patience=3)},
    "own loss": {"optimizer": Adam(0.05), "loss": OwnLoss()},
}


@pytest.mark.parametrize("name", RUNS)
def test_a_resumed_training_is_bitwise_the_whole_one(name, rng, tmp_path):
    X, y = images(rng)
    start = network(np.float32, rng)
    options = {"loss": MeanSquaredError(), "batch_size": 7, **RUNS[name]}
    whole, path = start.with_params(start.params), tmp_path / "run.npz"
    expected = fit(whole, X, y, epochs=9, **options)
    for epochs in (2, 5, 9):
        net = start.with_params(start.params)
        history = fit(net, X, y, epochs=epochs, checkpoint=path, **options)
    assert history.train_loss == expected.train_loss
    assert history.val_loss == expected.val_loss
    assert_array_equal(net.theta, whole.theta)
    for buffer, a in whole.buffers.items():
        assert_array_equal(net.buffers[buffer], a, strict=True)
        assert not np.array_equal(start.buffers[buffer], a)


def test_a_checkpoint_without_the_statistics_is_refused(rng, tmp_path):
    X, y = images(rng)
    net, path = network(np.float32, rng), tmp_path / "run.npz"
    other = net.with_params(net.params)
    fit(net, X, y, loss=MeanSquaredError(), epochs=1, checkpoint=path)
    arrays, meta = io.load_arrays(path)
    del arrays["buffers.0.running_mean"]
    io.save_arrays(path, arrays, meta)
    before = copy.deepcopy(dict(other.buffers))
    with pytest.raises(io.ModelError, match=r"holds the arrays .*; expected .*buffers\.0\.running_mean"):
        fit(other, X, y, loss=MeanSquaredError(), epochs=2, checkpoint=path)
    for name, a in before.items():
        assert_array_equal(other.buffers[name], a)


def test_the_best_epoch_has_its_statistics(rng):
    """Restored, the network gives the validation loss of that epoch again."""
    X, y = images(rng)
    X_val, y_val = images(rng, 20)
    net = network(np.float32, rng)
    rule = EarlyStopping(patience=2)
    history = fit(
        net, X, y, loss=MeanSquaredError(), optimizer=SGD(2.0), epochs=30, validation=(X_val, y_val), early_stopping=rule
    )
    assert history.best_epoch < len(history)
    assert MeanSquaredError().value(net(X_val), y_val) == history.val_loss[history.best_epoch - 1]


def test_a_training_that_diverges_leaves_the_statistics_of_the_epoch_before(rng):
    X, y = images(rng)
    X[-1] = 1e30  # its square is beyond single precision
    net = network(np.float32, rng)
    before = copy.deepcopy(dict(net.buffers))
    with pytest.raises(FloatingPointError, match="training diverged at epoch 1"):
        fit(net, X, y, loss=MeanSquaredError(), epochs=2)
    for name, a in before.items():
        assert_array_equal(net.buffers[name], a)


def test_validation_uses_the_running_statistics(rng):
    X, y = images(rng)
    net = network(np.float32, rng)
    history = fit(net, X, y, loss=MeanSquaredError(), epochs=1, validation=(X[:9], y[:9]))
    assert history.val_loss == [MeanSquaredError().value(net(X[:9]), y[:9])]
