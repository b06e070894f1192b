"""fit: what it trains on, what it measures, when it ends. Stopped and continued: test_checkpoints.py."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from fastlec import _check, data, io, plot
from fastlec.layers import BatchNorm2d, Conv2d, Dense, Flatten, Residual
from fastlec.network import Network
from fastlec.training import (
    SGD,
    Adam,
    CosineDecay,
    EarlyStopping,
    History,
    MeanSquaredError,
    SoftmaxCrossEntropy,
    TrainingStep,
    fit,
    run,
    training_step,
)

MEASURED = ("train_loss", "val_loss", "val_accuracy", "learning_rate", "train_accuracy")


def network(dtype=np.float64, n_in=64, n_out=10, activation="tanh"):
    first, last = Dense(n_in, 12, activation, dtype=dtype, rng=1), Dense(12, n_out, "identity", dtype=dtype, rng=2)
    return Network([first, Residual(12, dtype=dtype, rng=3), last])


@pytest.fixture
def batches(monkeypatch):
    """Copies of the batches (X, y) that any training step has been given."""
    seen = []

    class Recorder(TrainingStep):
        def _on_weighted(self, X, y, weight):
            seen.append((X.copy(), y.copy()))
            return super()._on_weighted(X, y, weight)

    monkeypatch.setattr(run, "TrainingStep", Recorder)
    return seen


def regression(m=40, seed=0):
    X = np.random.default_rng(seed).normal(size=(m, 3))
    return X, X @ np.array([1.0, -2.0, 0.5])


def linear():
    return Network([Dense(3, 1, "identity", rng=0)])


def assert_same(first, second):
    """Two histories, but for the seconds."""
    assert [getattr(first, name) for name in MEASURED] == [getattr(second, name) for name in MEASURED]
    assert first.best_epoch == second.best_epoch


def test_digits_are_learnt(dtype, frozen):
    X, y = frozen(*data.load_digits())
    net = network(dtype)
    history = fit(net, X, y, epochs=15, validation=0.2)
    assert history.val_accuracy[-1] > 0.93
    assert net.theta.dtype == dtype
    assert len(history) == len(history.val_loss) == len(history.val_accuracy) == len(history.seconds) == 15
    assert history.learning_rate == [0.01] * 15
    assert history.train_loss[-1] < 0.2 < 1 < history.train_loss[0]
    assert history.best_epoch == 1 + np.argmin(history.val_loss)
    assert min(history.seconds) > 0


def test_an_epoch_sees_every_sample_once_in_a_new_order(batches):
    X, y = np.arange(20.0).reshape(10, 2), np.arange(10.0)
    net = Network([Dense(2, 1, "identity", rng=0)])
    fit(net, X, y, loss=MeanSquaredError(), optimizer=SGD(1e-5), batch_size=4, epochs=2)
    assert [len(batch) for batch, _ in batches] == [4, 4, 2, 4, 4, 2]
    first, second = (np.concatenate([batch for batch, _ in part]) for part in (batches[:3], batches[3:]))
    assert sorted(first[:, 0]) == sorted(second[:, 0]) == X[:, 0].tolist()
    assert first.tolist() != second.tolist()
    for batch, targets in batches:
        np.testing.assert_array_equal(targets.ravel(), batch[:, 0] / 2)


def test_fit_is_training_steps(batches, digits):
    X, y = digits
    net, other = network(), network()
    history = fit(net, X, y, loss=SoftmaxCrossEntropy(), optimizer=Adam(0.01), batch_size=64, epochs=2)
    step = training_step(other, SoftmaxCrossEntropy(), Adam(0.01), 64)
    losses = [step(*batch) * len(batch[0]) / 300 for batch in batches]
    np.testing.assert_array_equal(net.theta, other.theta)
    assert history.train_loss == pytest.approx([sum(losses[:5]), sum(losses[5:])], rel=1e-14)
    assert history.val_loss == history.val_accuracy == []
    assert history.best_epoch == 1 + np.argmin(history.train_loss)


def test_a_seed_gives_the_same_training(digits):
    first, second, other = network(), network(), network()
    assert_same(fit(first, *digits, epochs=2, rng=3), fit(second, *digits, epochs=2, rng=np.random.default_rng(3)))
    fit(other, *digits, epochs=2, rng=4)
    np.testing.assert_array_equal(first.theta, second.theta)
    assert not np.array_equal(first.theta, other.theta)


def test_a_second_call_goes_on_from_theta_with_a_fresh_optimizer(digits, batches):
    net, other = network(), network()
    fit(net, *digits, epochs=1)
    fit(net, *digits, epochs=1)
    for part in (batches[:10], batches[10:]):
        step = training_step(other, SoftmaxCrossEntropy(), SGD(0.01, momentum=0.9), 32)
        for batch in part:
            step(*batch)
    np.testing.assert_array_equal(net.theta, other.theta)


@pytest.mark.parametrize("kind", [np.int32, bool, np.float32, ">f8"])
def test_samples_of_any_dtype(digits, kind):
    X, y = (16 * digits[0][:, ::2]).astype(kind), digits[1].astype(np.int8)
    net, other = network(n_in=32), network(n_in=32)
    fit(net, X, y, epochs=1)
    fit(other, X.astype(np.float64), y.astype(np.int64), epochs=1)
    np.testing.assert_array_equal(net.theta, other.theta)


def test_no_epochs(digits, tmp_path):
    net, before = network(), network().theta
    history = fit(net, *digits, epochs=0, validation=0.2, early_stopping=EarlyStopping(), checkpoint=tmp_path / "run.npz")
    assert len(history) == 0
    assert history.best_epoch is None
    np.testing.assert_array_equal(net.theta, before)
    assert not (tmp_path / "run.npz").exists()


def test_the_learning_rate_of_a_schedule_is_noted(digits):
    schedule = CosineDecay(0.1, 30)
    history = fit(network(), *digits, optimizer=SGD(schedule), epochs=4)
    assert history.learning_rate == [schedule(step) for step in (0, 10, 20, 30)]


# ---- validation


def test_validation_of_a_pair(digits):
    X, y = digits
    net = network()
    history = fit(net, X[:200], y[:200], epochs=2, validation=(X[200:], y[200:]))
    output = net(X[200:])
    assert history.val_loss[-1] == pytest.approx(SoftmaxCrossEntropy().value(output, y[200:]), rel=1e-12)
    assert history.val_accuracy[-1] == np.mean(output.argmax(axis=1) == y[200:])


def test_validation_is_a_mean_over_all_chunks(monkeypatch, digits):
    whole = fit(network(), *digits, epochs=1, validation=digits)
    monkeypatch.setattr(run, "CHUNK", 7)
    parts = fit(network(), *digits, epochs=1, validation=digits)
    assert parts.val_loss == pytest.approx(whole.val_loss, rel=1e-12)
    assert parts.val_accuracy == whole.val_accuracy


def test_a_share_of_every_class_is_set_aside(digits, batches):
    X, y = digits
    history = fit(network(), X, y, epochs=1, validation=0.25)
    trained = np.concatenate([labels for _, labels in batches])
    for label, count in enumerate(np.bincount(y)):
        assert np.sum(trained == label) == count - round(count / 4)
    assert len(history.val_accuracy) == 1
    fit(network(), X, np.eye(10)[y], epochs=1, validation=0.25)
    np.testing.assert_array_equal(np.concatenate([t.argmax(axis=1) for _, t in batches[len(batches) // 2 :]]), trained)


def test_what_is_set_aside_is_not_trained_on_and_is_validated_with(batches):
    X, y = regression()
    net = linear()
    history = fit(net, X, y, loss=MeanSquaredError(), optimizer=SGD(0.05), epochs=2, validation=0.3, batch_size=7)
    trained = np.concatenate([batch for batch, _ in batches])
    aside = ~np.isin(X[:, 0], trained[:, 0])
    assert (len(trained), aside.sum()) == (2 * 28, 12)
    assert history.val_loss[-1] == pytest.approx(np.mean((net(X[aside])[:, 0] - y[aside]) ** 2), rel=1e-12)
    assert history.val_accuracy == []


def test_probabilities_have_an_accuracy(digits):
    X, y = digits
    soft = 0.8 * np.eye(10)[y] + 0.02
    net = network()
    history = fit(net, X, soft, epochs=2, validation=(X, soft))
    assert history.val_accuracy[-1] == np.mean(net(X).argmax(axis=1) == y)


@pytest.mark.parametrize("kind", ["labels", "probabilities", "own loss", "own layer"])
def test_training_accuracy_is_that_of_the_batches_before_their_steps(kind, digits, batches, dtype):
    class OwnLoss(SoftmaxCrossEntropy):
        def value_and_gradient(self, output, y):
            return super().value_and_gradient(output, y)

    class OwnLayer(Dense):
        def evaluate(self, x):
            return super().evaluate(x)

    X, y = digits
    loss = OwnLoss() if kind == "own loss" else SoftmaxCrossEntropy()
    net = network(dtype)
    if kind == "own layer":
        net = Network([*net.layers[:-1], OwnLayer(12, 10, "identity", dtype=dtype, rng=2)])
    other = net.with_params(net.params)
    history = fit(net, X, 0.5 * np.eye(10)[y] + 0.05 if kind == "probabilities" else y, loss=loss, epochs=2, batch_size=64)
    step, right = training_step(other, loss, SGD(0.01, momentum=0.9), 64), []
    for batch, targets in list(batches):
        classes = targets if targets.ndim == 1 else targets.argmax(axis=1)
        right.append(np.count_nonzero(other(batch).argmax(axis=1) == classes))
        step(batch, targets)
    assert history.train_accuracy == [sum(right[:5]) / 300, sum(right[5:]) / 300]
    assert 0.05 < history.train_accuracy[0] < history.train_accuracy[1]
    np.testing.assert_array_equal(net.theta, other.theta)


def test_targets_that_are_no_classes_have_no_accuracy():
    X, y = regression()
    history = fit(linear(), X, y, loss=MeanSquaredError(), epochs=1, validation=0.2)
    assert history.train_accuracy == history.val_accuracy == []


class Own:
    """The squares of what is missing to a number, one for each sample."""

    def targets(self, y, shape, dtype):
        return np.asarray(y)

    def value_and_gradient(self, output, y):
        missing = output - y.reshape(len(y), *(1,) * (output.ndim - 1))
        return float((missing**2).mean()), 2 * missing / missing.size


class Classes(Own):
    """The same of labels, or of whatever the function gives."""

    def __init__(self, classes=lambda y: y):
        self.classes = classes


@pytest.mark.parametrize("loss", [Own(), Classes()], ids=["own", "classes"])
def test_outputs_of_other_axes_than_classes_have_no_accuracy(loss):
    net, settings = Network([Conv2d(1, 3, 1)], rng=0), {"loss": loss, "validation": 0.5, "epochs": 1}
    history = fit(net, np.ones((8, 1, 2, 2)), np.zeros(8, int), **settings)
    assert len(history.val_loss) == 1
    assert history.train_accuracy == history.val_accuracy == []


@pytest.mark.parametrize("loss", [Own(), Classes()], ids=["own", "classes"])
def test_integers_are_classes_where_the_loss_says_so(loss):
    X, y = np.ones((8, 3)), np.arange(8) % 2
    history = fit(Network([Dense(3, 2)], rng=0), X, y, loss=loss, validation=0.5, epochs=2)
    assert len(history.train_accuracy) == len(history.val_accuracy) == (0 if type(loss) is Own else 2)


def test_a_checkpoint_with_accuracies_needs_a_loss_of_classes(tmp_path):
    """An earlier version took integers for classes whatever the loss, and set other samples aside."""
    path, settings = tmp_path / "c.npz", {"checkpoint": tmp_path / "c.npz", "epochs": 1}
    Named = type("Named", (Own,), {"__repr__": lambda self: "a loss", "classes": lambda self, y: y})
    net = Network([Dense(3, 2)], rng=0)
    fit(net, np.ones((8, 3)), np.arange(8) % 2, loss=Named(), **settings)
    del Named.classes
    with pytest.raises(io.ModelError, match=f"{path.name}: holds accuracies; expected none"):
        fit(net, np.ones((8, 3)), np.arange(8) % 2, loss=Named(), **settings)


@pytest.mark.parametrize(
    ("error", "text", "found"),
    [
        (ValueError, r"what Classes.classes gave has shape \(8, 1\); expected \(8,\)", lambda y: y[:, None]),
        (TypeError, "what Classes.classes gave has dtype float64; expected integers", lambda y: y / 2),
        (TypeError, "what Classes.classes gave has dtype object; expected integers", lambda y: None),
        (ValueError, "what Classes.classes gave has values from 0 to 2; expected 0 to 1", lambda y: y * 2),
        (ValueError, "what Classes.classes gave has values from -1 to 0; expected 0 to 1", lambda y: -y),
    ],
)
def test_what_a_loss_takes_for_classes_is_checked(error, text, found):
    with pytest.raises(error, match=text):
        fit(Network([Dense(3, 2)], rng=0), np.ones((8, 3)), np.arange(8) % 2, loss=Classes(found), epochs=1)


# ---- early stopping


def overfitted(tmp_path=None, **settings):
    """Few noisy samples, a validation loss that falls, then climbs."""
    rng = np.random.default_rng(0)
    X, X_val = rng.normal(size=(2, 30, 8))
    y, y_val = ((a[:, 0] + 2 * rng.normal(size=30) > 0).astype(int) for a in (X, X_val))
    net = network(n_in=8, n_out=2)
    thetas = []
    settings = {"epochs": 60, "batch_size": 10, "validation": (X_val, y_val), **settings}
    history = fit(net, X, y, callbacks=[lambda told: thetas.append(told.net.theta.copy())], **settings)
    return net, history, thetas


@pytest.mark.parametrize("monitor", ["val_loss", "train_loss", "val_accuracy"])
def test_early_stopping_goes_back_to_the_best_epoch(monitor):
    net, history, thetas = overfitted(early_stopping=EarlyStopping(patience=4, monitor=monitor))
    values = np.array(getattr(history, monitor))
    best = values.argmax() if monitor == "val_accuracy" else values.argmin()
    assert history.best_epoch == best + 1
    assert len(history) == min(best + 1 + 4, 60)
    assert len(history) < 60 or monitor == "train_loss"
    np.testing.assert_array_equal(net.theta, thetas[best])


def test_early_stopping_may_leave_theta_where_it_ended():
    net, history, thetas = overfitted(early_stopping=EarlyStopping(patience=4, restore_best=False))
    assert history.best_epoch == len(history) - 4
    np.testing.assert_array_equal(net.theta, thetas[-1])


def test_the_best_is_restored_where_the_epochs_or_a_callback_end_the_training():
    _, whole, thetas = overfitted()
    assert whole.best_epoch < 20
    net, history, _ = overfitted(early_stopping=EarlyStopping(patience=50), epochs=20)
    assert len(history) == 20
    np.testing.assert_array_equal(net.theta, thetas[whole.best_epoch - 1])


def test_small_improvements_do_not_count():
    _, history, _ = overfitted(early_stopping=EarlyStopping(patience=3, min_delta=1e9))
    assert (len(history), history.best_epoch) == (4, 1)
    rule = EarlyStopping(min_delta=0.5)
    assert rule.improves(1.0, 2.0)
    assert not rule.improves(1.5, 2.0)
    assert EarlyStopping(monitor="val_accuracy").improves(0.6, 0.5)


# ---- callbacks and progress


def test_callbacks_are_told_and_may_stop(digits):
    seen = []

    def stop(told):
        return told.epoch == 3

    net = network()
    history = fit(net, *digits, epochs=5, callbacks=[stop, seen.append])
    assert len(history) == 3
    assert [told.epoch for told in seen] == [1, 2, 3]
    last = seen[-1]
    assert (last.epochs, last.history, last.net) == (5, history, net)
    assert last.step.state["count"] == 30


def test_what_a_callback_raises_gets_out(digits, tmp_path):
    def fail(told):
        if told.epoch == 2:
            raise RuntimeError("enough")

    net = network()
    with pytest.raises(RuntimeError, match="enough") as caught:
        fit(net, *digits, callbacks=[fail], checkpoint=tmp_path / "run.npz")
    two = network()
    expected = fit(two, *digits, epochs=2)
    np.testing.assert_array_equal(net.theta, two.theta)
    assert_same(caught.value.history, expected)
    assert io.load_arrays(tmp_path / "run.npz")[0]["history.train_loss"].size == 2


def test_silent_by_default_and_progress_on_stderr(digits, capfd, monkeypatch):
    fit(network(), *digits, epochs=2, validation=0.2)
    assert capfd.readouterr() == ("", "")
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "rich.progress", None)
        history = fit(network(), *digits, epochs=2, validation=0.2, progress=True)
    out, err = capfd.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 2
    assert err.startswith(f"epoch 1/2: loss {history.train_loss[0]:.4g}, validation {history.val_loss[0]:.4g}, accuracy ")
    pytest.importorskip("rich")
    fit(network(), *digits, epochs=2, progress=True)
    out, err = capfd.readouterr()
    assert out == ""
    assert "2/2" in err


# ---- divergence


def diverging(step, rate, **settings):
    """A training of ten steps an epoch, whose rate is far too high at one step (from 0); the network and the thetas before."""
    net, thetas = linear(), [linear().theta]
    X, y = regression()
    optimizer = SGD(lambda count: rate if count == step else 1e-3)
    callbacks = [lambda told: thetas.append(told.net.theta.copy())]
    settings = {"loss": MeanSquaredError(), "optimizer": optimizer, "batch_size": 4, "callbacks": callbacks, **settings}
    with pytest.raises(FloatingPointError) as caught:
        fit(net, X, 100 * y, **settings)
    return net, thetas, str(caught.value)


def test_divergence_names_the_step_and_goes_back_to_the_start_of_the_epoch():
    net, thetas, text = diverging(13, 1e200)
    assert text.startswith("training diverged at epoch 2, step 15: the loss is inf; a lower learning rate than 0.001 may help")
    assert text.endswith("net.theta is as it was at the start of the epoch")
    assert len(thetas) == 2
    np.testing.assert_array_equal(net.theta, thetas[-1])


def test_divergence_in_the_last_step_of_an_epoch_is_seen(tmp_path):
    net, thetas, text = diverging(9, 1e308, checkpoint=tmp_path / "run.npz")
    assert text.startswith("training diverged at epoch 1, step 10: theta has NaN or infinity")
    np.testing.assert_array_equal(net.theta, thetas[0])
    assert not (tmp_path / "run.npz").exists()


def test_divergence_leaves_the_checkpoint_of_the_last_epoch(tmp_path):
    path = tmp_path / "run.npz"
    net, thetas, _ = diverging(25, 1e200, checkpoint=path)
    np.testing.assert_array_equal(io.load_arrays(path)[0]["theta"], thetas[2])
    np.testing.assert_array_equal(net.theta, thetas[2])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_not_finite_are_refused(value, digits, monkeypatch):
    """tanh and relu make finite numbers of infinity, so the loss would not show it."""
    X, y = digits
    bad = np.where(np.arange(300)[:, None] == 5, value, X)
    net = network()
    for part in (1 << 20, 100):
        monkeypatch.setattr(_check, "PART_VALUES", part)
        with pytest.raises(FloatingPointError, match=r"^X\[5, 0\] is -?(nan|inf) as float64; expected finite"):
            fit(net, bad, y)
        with pytest.raises(FloatingPointError, match=r"^validation: X\[5, 0\] is "):
            fit(net, X, y, validation=(bad, y))
        with pytest.raises(FloatingPointError, match=r"^y\[5, 0\] is "):
            fit(net, X, bad[:, :10], loss=MeanSquaredError())
    np.testing.assert_array_equal(net.theta, network().theta)


def test_samples_too_large_for_the_dtype_are_refused(digits):
    X, y = digits
    with pytest.raises(FloatingPointError, match=r"^X\[\d+, \d+\] is inf as float32"):
        fit(network(np.float32), X * 1e300, y)


# ---- whatever ends a training


def stopped(net, X, y, count, error, **settings):
    """What a training raises in its step number ``count`` (from 0), where the schedule raises ``error``."""

    def schedule(step):
        if step == count and sys._getframe(1).f_back.f_code.co_name != "epoch":  # which asks for the epoch's first rate too
            raise error
        return 0.05

    with pytest.raises(type(error)) as caught:
        fit(net, X, y, optimizer=SGD(schedule, momentum=0.9), **settings)
    return caught.value


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("a"), SystemExit(3), MemoryError()], ids=repr)
def test_an_exception_within_an_epoch_leaves_whole_epochs(error, digits):
    net, two = network(), network()
    raised = stopped(net, *digits, 25, error, validation=0.2, batch_size=24, epochs=9)
    assert raised is error
    expected = fit(two, *digits, epochs=2, batch_size=24, optimizer=SGD(0.05, momentum=0.9), validation=0.2)
    assert_same(raised.history, expected)
    np.testing.assert_array_equal(net.theta, two.theta)


class Sealed(Exception):
    """An exception that takes no attributes but Python's own."""

    def __setattr__(self, name, value):
        if not name.startswith("__"):
            raise TypeError("sealed")
        super().__setattr__(name, value)


def test_an_exception_that_takes_no_history_is_raised_as_it_is(digits):
    assert isinstance(stopped(network(), *digits, 25, Sealed(), epochs=9), Sealed)


def images():
    """A network with buffers, samples and labels of two classes."""
    rng = np.random.default_rng(0)
    y = np.arange(40) % 2
    X = rng.normal(size=(40, 1, 4, 4)) + y[:, None, None, None]
    layers = [Conv2d(1, 3, 3, "relu", padding=1, rng=0), BatchNorm2d(3), Flatten(), Dense(48, 2, "identity", rng=1)]
    return Network(layers), X, y


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), ZeroDivisionError(), FloatingPointError("theirs")], ids=repr)
@pytest.mark.parametrize("where", ["callback", "step"])
def test_the_best_parameters_and_buffers_are_there_whatever_ends_the_training(where, stop):
    net, X, y = images()
    seen = []

    def note(told):
        seen.append((told.history.val_loss[-1], net.theta.copy(), {name: a.copy() for name, a in net.buffers.items()}))
        if where == "callback" and told.epoch == 6:
            raise stop

    settings = {
        "validation": 0.5,
        "batch_size": 5,
        "epochs": 50,
        "early_stopping": EarlyStopping(patience=50),
        "callbacks": [note],
    }
    raised = stopped(net, X, y, 4 * 6 + 2 if where == "step" else -1, stop, **settings)
    assert len(seen) == len(raised.history) == 6
    best = min(seen, key=lambda values: values[0])
    assert raised.history.best_epoch == 1 + [values[0] for values in seen].index(best[0])
    np.testing.assert_array_equal(net.theta, best[1])
    for name, a in net.buffers.items():
        np.testing.assert_array_equal(a, best[2][name])


def test_the_best_parameters_are_there_after_a_divergence():
    settings = {"validation": 0.2, "early_stopping": EarlyStopping(), "epochs": 20}
    net, thetas, text = diverging(36, 1e200, **settings)
    epoch = int(text.split("after epoch ")[1].split(",")[0])
    assert text.endswith(f"net.theta is as it was after epoch {epoch}, the best")
    np.testing.assert_array_equal(net.theta, thetas[epoch])
    net, thetas, text = diverging(0, np.float64(1e200), **settings)
    assert text.endswith("net.theta is as it was at the start of the epoch")
    np.testing.assert_array_equal(net.theta, thetas[0])


@pytest.mark.parametrize("rate", [np.nan, np.inf, -1.0, None, "0.1", 10**400])
def test_a_schedule_that_gives_no_rate(rate, digits):
    net = network()
    with pytest.raises((ValueError, TypeError), match=r"^lr\(12\) is ") as caught:
        fit(net, *digits, optimizer=SGD(lambda step: rate if step == 12 else 0.1), epochs=3)
    one = network()
    expected = fit(one, *digits, optimizer=SGD(0.1), epochs=1)
    np.testing.assert_array_equal(net.theta, one.theta)
    assert_same(caught.value.history, expected)


def test_labels_are_owned(digits):
    """What a callback writes into y is of no consequence."""
    X, y = digits[0], digits[1].copy()
    net, other = network(), network()

    def spoil(told):
        y[:] = 10**9

    spoilt, expected = fit(net, X, y, epochs=3, callbacks=[spoil]), fit(other, *digits, epochs=3)
    assert_same(spoilt, expected)
    np.testing.assert_array_equal(net.theta, other.theta)


@pytest.mark.parametrize("targets", ["classes", "numbers"])
def test_no_rng_ever_trains_on_what_another_one_has_set_aside(targets, digits, batches):
    X, y = digits
    loss = SoftmaxCrossEntropy() if targets == "classes" else MeanSquaredError()
    y = y if targets == "classes" else np.linspace(0, 1, 300)[:, None] * np.ones(10)
    found = []
    for rng in (0, 1, None, np.random.default_rng(2)):
        fit(network(), X, y, loss=loss, epochs=1, validation=0.2, rng=rng)
        found.append({row.tobytes() for batch, _ in batches for row in batch})
        batches.clear()
    assert len(found[0]) < 270
    assert found == [found[0]] * 4


# ---- what is trained


@pytest.mark.parametrize("optimizer", [SGD(0.1, momentum=0.9, weight_decay=0.1), Adam(0.01, weight_decay=0.1)], ids=repr)
def test_only_what_is_trainable_is_trained(optimizer):
    """A new head on trained layers: theirs keep their bits, parameters and buffers, and the head learns."""
    base, X, y = images()
    fit(base, X, y, epochs=3)
    net = Network([*base.layers[:-1], Dense(48, 2, "identity", rng=7)])
    head, before = net.layers[-1], {name: a.copy() for name, a in (net.params | net.buffers).items()}
    history = fit(net, X, y, epochs=20, optimizer=optimizer, trainable=head)
    assert history.train_loss[-1] < 0.7 * history.train_loss[0]
    for name, a in (net.params | net.buffers).items():
        assert np.array_equal(a, before[name]) == (not name.startswith("3."))


# ---- arguments


@pytest.mark.parametrize(
    ("error", "text", "arguments"),
    [
        (TypeError, "net is a Dense; expected a Network", {"net": Dense(64, 10, rng=0)}),
        (ValueError, r"X has shape \(64,\)", {"X": np.zeros(64)}),
        (ValueError, r"X has shape \(0, 64\)", {"X": np.zeros((0, 64)), "y": np.zeros(0, dtype=int)}),
        (TypeError, "X has dtype complex128", {"X": np.zeros((300, 64), complex)}),
        (ValueError, "63", {"X": np.zeros((300, 63))}),
        (ValueError, r"y has shape \(299,\)", {"y": np.zeros(299, dtype=int)}),
        (ValueError, "y has values", {"y": np.full(300, 10)}),
        (TypeError, "y has dtype", {"y": np.full(300, "a")}),
        (ValueError, "batch_size is 0; expected at least 1", {"batch_size": 0}),
        (TypeError, "batch_size is 1.5; expected an integer", {"batch_size": 1.5}),
        (ValueError, "epochs is -1", {"epochs": -1}),
        (ValueError, "validation is 0; expected a share", {"validation": 0}),
        (ValueError, "validation is 1.0; expected a share", {"validation": 1.0}),
        (ValueError, "validation is nan; expected a share", {"validation": float("nan")}),
        (TypeError, "validation is a str", {"validation": "0.2"}),
        (TypeError, "validation is a tuple; expected None, a share", {"validation": (1, 2, 3, 4)}),
        (TypeError, "validation is a tuple; expected None, a share", {"validation": (1,)}),
        (ValueError, r"validation: X has shape \(64,\)", {"validation": (np.zeros(64), np.zeros(1, dtype=int))}),
        (ValueError, "validation: y has shape", {"validation": (np.zeros((3, 64)), np.zeros(2, dtype=int))}),
        (TypeError, "callbacks holds 3; expected functions", {"callbacks": [3]}),
        (TypeError, "callbacks is <function .*; expected a sequence of functions", {"callbacks": lambda told: None}),
        (TypeError, "callbacks is 3; expected a sequence of functions", {"callbacks": 3}),
        (TypeError, "rng is 'a'; expected a seed", {"rng": "a"}),
        (ValueError, "rng is -1; expected a seed", {"rng": -1}),
        (TypeError, "checkpoint is 5; expected the path of a file", {"checkpoint": 5}),
        (ValueError, "trainable has '7.W', which names no parameter", {"trainable": "7.W"}),
        (TypeError, "loss is .*MeanSquaredError'>, a class; expected", {"loss": MeanSquaredError}),
        (TypeError, "optimizer is .*SGD'>, a class; expected", {"optimizer": SGD}),
        (TypeError, "optimizer is .*; expected .*: it has no step, state_arrays, rate", {"optimizer": 0.1}),
        (TypeError, "early_stopping is 5", {"early_stopping": 5}),
        (ValueError, "early_stopping monitors val_loss and validation is None", {"early_stopping": EarlyStopping()}),
        (
            ValueError,
            "early_stopping monitors val_accuracy; expected outputs",
            {
                "loss": MeanSquaredError(),
                "y": np.zeros((300, 10)),
                "validation": 0.2,
                "early_stopping": EarlyStopping(monitor="val_accuracy"),
            },
        ),
    ],
)
def test_bad_arguments(error, text, arguments, digits):
    settings = {"net": network(), "X": digits[0], "y": digits[1], **arguments}
    with pytest.raises(error, match=text):
        fit(**settings)
    if isinstance(settings["net"], Network):
        np.testing.assert_array_equal(settings["net"].theta, network().theta)


def test_one_sample_cannot_be_split():
    X, y = regression(1)
    with pytest.raises(ValueError, match="expected two samples or more"):
        fit(linear(), X, y, loss=MeanSquaredError(), validation=0.5)


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("monitor is 'loss'; expected one of val_loss, train_loss, val_accuracy", {"monitor": "loss"}),
        ("patience is 0; expected at least 1", {"patience": 0}),
        ("min_delta is -1", {"min_delta": -1}),
        ("min_delta is nan", {"min_delta": float("nan")}),
        ("min_delta is an integer of 1329 bits; expected a number that float64 holds", {"min_delta": 10**400}),
    ],
)
def test_bad_rules_of_early_stopping(text, arguments):
    with pytest.raises(ValueError, match=text):
        EarlyStopping(**arguments)


# ---- pictures


def test_a_history_draws_what_it_has():
    pytest.importorskip("matplotlib")
    before = sys.modules.get("matplotlib.pyplot")
    axes = plot.new_figure().subplots(3)
    full = History([1.0, 0.5], [1.1, 0.8], [0.5, 0.75], [0.1, 0.1], [0.1, 0.1], 2, train_accuracy=[0.25, 1.0])
    assert full.plot(axes[0]) is axes[0]
    assert [line.get_ydata().tolist() for line in axes[0].lines] == [[1.0, 0.5], [1.1, 0.8]]
    (accuracies,) = {*axes[0].figure.axes} - {*axes}
    assert [line.get_ydata().tolist() for line in accuracies.lines] == [[25.0, 100.0], [50.0, 75.0]]
    labels = [text.get_text() for text in accuracies.get_legend().get_texts()]
    assert labels == ["training loss", "validation loss", "training accuracy", "validation accuracy"]
    assert axes[0].get_title() == "Loss and accuracy"
    History([1.0, 0.5], [1.1, 0.8]).plot(axes[1])
    assert axes[1].get_title() == "Loss"
    assert len(axes[1].lines) == 2
    assert len(axes[1].figure.axes) == 4  # an axis for the accuracy beside the first only
    History([1.0, 0.5]).plot(axes[2])
    assert [text.get_text() for text in axes[2].get_legend().get_texts()] == ["training loss"]
    assert sys.modules.get("matplotlib.pyplot") is before
    assert len(History().plot().lines) == 1
    assert len(plot.loss_curves(SimpleNamespace(train_loss=[1.0, 0.5])).lines) == 1
    older = plot.loss_curves(SimpleNamespace(train_loss=[1.0, 0.5], val_loss=[1.0, 0.5], val_accuracy=[0.5, 1.0]))
    assert [text.get_text() for text in older.figure.axes[1].get_legend().get_texts()][-1] == "validation accuracy"
