"""Checkpoints of fit: a training that was stopped goes on as if it had not been, and a file of another one is refused."""

import errno
import json
import os

import numpy as np
import pytest
from interpreter import output, run
from test_loop import assert_same, images, network, overfitted, regression

from fastlec import io
from fastlec.layers import Dense, Layer
from fastlec.network import Network
from fastlec.training import SGD, Adam, CosineDecay, EarlyStopping, MeanSquaredError, TrainingStep, fit
from fastlec.training import run as run_module


class Scale(Layer):
    """y = s x, a layer as users write them."""

    def __init__(self, n):
        super().__init__({"s": np.ones(n)})

    def output_shape(self, shape):
        return shape

    def evaluate(self, x):
        return x * self.params["s"], x

    def mv(self, kept, directions):
        return directions.get("x", 0) * self.params["s"] + kept * directions.get("s", 0)

    def tmv(self, kept, v, wrt):
        return {name: v * self.params["s"] if name == "x" else (v * kept).sum(axis=0) for name in wrt}


class FourthPower:
    """The mean of (z - y)^4, a loss as users write them."""

    targets = MeanSquaredError.targets

    def value(self, output, y):
        return float(np.mean((output - y) ** 4))

    def value_and_gradient(self, output, y, *, grad_out=None):
        return self.value(output, y), 4 * (output - y) ** 3 / output.size


def test_layers_and_losses_of_ones_own(tmp_path):
    X, y = regression()
    path, settings = tmp_path / "run.npz", {"optimizer": SGD(0.01, momentum=0.5), "validation": 0.2, "batch_size": 10}

    def own():
        return Network([Dense(3, 4, rng=0), Scale(4), Network([Dense(4, 1, "identity", rng=1)])])

    whole, net = own(), own()
    expected = fit(whole, X, y, loss=FourthPower(), epochs=20, **settings)
    assert expected.train_loss[-1] < 0.2 * expected.train_loss[0]
    fit(own(), X, y, loss=FourthPower(), epochs=12, checkpoint=path, **settings)
    assert_same(fit(net, X, y, loss=FourthPower(), epochs=20, checkpoint=path, **settings), expected)
    np.testing.assert_array_equal(net.theta, whole.theta)


RUNS = {
    "trainable": {"optimizer": Adam(0.01, weight_decay=0.1), "trainable": ["1.W?", -1], "validation": 0.2},
    "sgd": {"optimizer": SGD(0.05)},
    "momentum": {"optimizer": SGD(0.05, momentum=0.9, weight_decay=1e-3), "validation": 0.2},
    "adam": {"optimizer": Adam(CosineDecay(0.01, 50)), "batch_size": 50, "validation": 0.2},
    "function": {"optimizer": SGD(lambda step: 0.1 / (1 + step), momentum=0.5)},
    "stopping": {"optimizer": Adam(0.05), "validation": 0.5, "early_stopping": EarlyStopping(patience=2)},
    "MT19937": {"rng": np.random.MT19937},
    "Philox": {"rng": np.random.Philox, "validation": 0.2},
    "SFC64": {"rng": np.random.SFC64},
}


def started(name, X, y, path, **more):
    """One call of fit, on a new network as a new process has it; network and history."""
    settings = {**RUNS[name], **more}
    if "rng" in RUNS[name]:
        settings["rng"] = np.random.Generator(RUNS[name]["rng"](7))
    net = network(more.pop("dtype", np.float64))
    settings.pop("dtype", None)
    return net, fit(net, X, y, checkpoint=path, **settings)


@pytest.mark.parametrize("name", RUNS)
def test_stop_and_continue_is_bitwise_the_run_that_was_not_stopped(name, digits, tmp_path, dtype):
    def interrupt(told):
        if told.epoch == 6:
            raise KeyboardInterrupt

    whole, expected = started(name, *digits, None, epochs=8, dtype=dtype)
    path = tmp_path / "run.npz"
    started(name, *digits, path, epochs=2, dtype=dtype)
    started(name, *digits, path, epochs=8, dtype=dtype, callbacks=[lambda told: told.epoch == 4])
    if len(expected) >= 6:
        with pytest.raises(KeyboardInterrupt):
            started(name, *digits, path, epochs=8, dtype=dtype, callbacks=[interrupt])
    net, history = started(name, *digits, path, epochs=8, dtype=dtype)
    np.testing.assert_array_equal(net.theta, whole.theta)
    assert_same(history, expected)
    again, history = started(name, *digits, path, epochs=8, dtype=dtype)
    np.testing.assert_array_equal(again.theta, whole.theta)
    assert_same(history, expected)


def test_a_killed_process_is_taken_up_by_another(tmp_path):
    code = """
        import os
        from fastlec import data
        from fastlec.training import fit
        from fastlec.layers import Dense
        from fastlec.network import Network

        def kill(told):
            if told.epoch == 3 and not os.path.exists("killed"):
                open("killed", "w").close()
                os._exit(9)

        X, y = data.load_digits()
        net = Network([Dense(64, 10, "identity", rng=0)])
        fit(net, X[:300], y[:300], epochs=4, validation=0.2, checkpoint=CHECKPOINT, callbacks=[kill])
        print(net.theta.tobytes().hex())
    """
    checkpointed = code.replace("CHECKPOINT", "'run.npz'")
    assert run(checkpointed, cwd=tmp_path).returncode == 9
    resumed = output(checkpointed, cwd=tmp_path)
    assert resumed == output(code.replace("CHECKPOINT", "None"), cwd=tmp_path)


def test_an_interrupted_epoch_is_done_again(digits, tmp_path, monkeypatch):
    path, whole, net = tmp_path / "run.npz", network(), network()
    expected = fit(whole, *digits, epochs=3)

    class Interrupted(TrainingStep):
        def _on_weighted(self, X, y, weight):
            if self.count == 25:
                raise KeyboardInterrupt
            return super()._on_weighted(X, y, weight)

    monkeypatch.setattr(run_module, "TrainingStep", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        fit(net, *digits, epochs=3, checkpoint=path)
    monkeypatch.undo()
    two = network()
    fit(two, *digits, epochs=2)
    np.testing.assert_array_equal(net.theta, two.theta)
    assert_same(fit(net, *digits, epochs=3, checkpoint=path), expected)
    np.testing.assert_array_equal(net.theta, whole.theta)


def test_a_generator_that_has_gone_on_still_sets_the_same_samples_aside(digits, tmp_path):
    whole, net, path = network(), network(), tmp_path / "run.npz"
    expected = fit(whole, *digits, epochs=4, validation=0.2, rng=np.random.default_rng(5))
    rng = np.random.default_rng(5)
    fit(net, *digits, epochs=2, validation=0.2, rng=rng, checkpoint=path)
    rng.random(100)
    assert_same(fit(net, *digits, epochs=4, validation=0.2, rng=rng, checkpoint=path), expected)
    np.testing.assert_array_equal(net.theta, whole.theta)


def test_a_stopped_training_stays_stopped_until_there_is_more_patience(tmp_path):
    path = tmp_path / "run.npz"
    net, history, _ = overfitted(early_stopping=EarlyStopping(patience=2), checkpoint=path)
    again, same, none = overfitted(early_stopping=EarlyStopping(patience=2), checkpoint=path)
    assert none == []
    assert_same(history, same)
    np.testing.assert_array_equal(net.theta, again.theta)
    _, more, _ = overfitted(early_stopping=EarlyStopping(patience=5), checkpoint=path)
    _, expected, _ = overfitted(early_stopping=EarlyStopping(patience=5))
    assert_same(more, expected)
    assert len(more) > len(history)


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("dtype", {"net": network(np.float32)}),
        ("net", {"net": network(activation="sigmoid")}),
        ("net", {"net": Network([Dense(64, 10, "identity", rng=0)])}),
        ("net", {"net": Network([network()])}),
        ("loss", {"loss": MeanSquaredError(), "y": np.zeros((300, 10))}),
        ("optimizer", {"optimizer": SGD(0.01)}),
        ("optimizer", {"optimizer": SGD(0.01, momentum=0.9, nesterov=True)}),
        ("optimizer", {"optimizer": SGD(0.1, momentum=0.95)}),
        ("optimizer", {"optimizer": Adam()}),
        ("trainable", {"trainable": -1}),
        ("samples", {"X": np.zeros((300, 64))}),
        ("samples", {"y": np.zeros(300, dtype=int)}),
        ("validation", {"validation": 0.3}),
        ("validation", {"validation": (np.zeros((5, 64)), np.zeros(5, dtype=int))}),
        ("early_stopping", {"early_stopping": EarlyStopping()}),
        ("rng", {"rng": 1}),
        ("rng", {"rng": np.random.default_rng(0)}),
    ],
)
def test_the_checkpoint_of_another_training_is_refused(name, other, digits, tmp_path):
    path = tmp_path / "run.npz"
    settings = {"X": digits[0], "y": digits[1], "validation": 0.2, "epochs": 1, "checkpoint": path}
    fit(network(), **settings)
    written, settings = path.read_bytes(), {"net": network(), **settings, **other}
    theta, rng = settings["net"].theta.copy(), settings.get("rng")
    state = rng.bit_generator.state if hasattr(rng, "bit_generator") else None
    with pytest.raises(
        ValueError, match=rf"run\.npz: is the checkpoint of another training: its {name} is .*, that of this one is"
    ):
        fit(**settings)
    np.testing.assert_array_equal(settings["net"].theta, theta)
    assert path.read_bytes() == written
    assert state is None or rng.bit_generator.state == state


def test_fewer_epochs_than_the_checkpoint_has_are_refused(digits, tmp_path):
    path, net = tmp_path / "run.npz", network()
    fit(network(), *digits, epochs=2, checkpoint=path)
    with pytest.raises(ValueError, match="holds 2 epochs of training; epochs is 1"):
        fit(net, *digits, epochs=1, checkpoint=path)
    np.testing.assert_array_equal(net.theta, network().theta)


def spoil(text, **changes):
    return pytest.param(changes, text, id=" ".join(changes) + " " + text[:20])


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        spoil("is not a checkpoint of fit", kind="softmax"),
        spoil("is not a checkpoint of fit", settings=[1]),
        spoil("its dtype is None", settings={}),
        spoil("best_epoch is 3; expected 1 to 2", best_epoch=3),
        spoil("best_epoch is None", best_epoch=None),
        spoil("best_epoch is True", best_epoch=True),
        spoil("notes is 'a'; expected a list of texts", notes="a"),
        spoil("notes is .1.; expected a list of texts", notes=[1]),
        spoil("state.count is -1", **{"state.count": np.array(-1)}),
        spoil("the random state is not one of PCG64", rng=None),
        spoil("the random state is not one of PCG64", rng={"bit_generator": "MT19937"}),
        spoil("the random state is not one of PCG64", rng={"bit_generator": "PCG64", "state": {"state": "x"}}),
        spoil("the random state is not one of PCG64", rng={"bit_generator": "PCG64", "state": {"state": -1, "inc": 1 << 200}}),
        spoil("theta is float64 of shape .4,.; expected", theta=np.zeros(4)),
        spoil("theta is float32", theta=network(np.float32).theta),
        spoil("theta holds NaN", theta=np.full(network().n_params, np.nan)),
        spoil("state.count is float64 of shape", **{"state.count": np.zeros(())}),
        spoil("holds the arrays", extra=np.zeros(3)),
        spoil("history.seconds is float64 of shape .1,.; expected float64 of shape .2,.", **{"history.seconds": np.zeros(1)}),
        spoil("history.train_loss is int64", **{"history.train_loss": np.zeros(2, np.int64)}),
        spoil("history.val_loss is float64 of shape .0,.", **{"history.val_loss": np.zeros(0)}),
        spoil("history.lr", **{"history.lr": np.zeros(2)}),
        spoil("history.train_loss", **{"history.train_loss": np.zeros((2, 2))}),
    ],
)
def test_a_spoilt_checkpoint_is_refused(changes, text, digits, tmp_path):
    path, net, rng = tmp_path / "run.npz", network(), np.random.default_rng(0)
    fit(network(), *digits, epochs=2, validation=0.2, checkpoint=path, rng=np.random.default_rng(0))
    arrays, meta = io.load_arrays(path)
    arrays |= {name: value for name, value in changes.items() if isinstance(value, np.ndarray)}
    meta |= {name: value for name, value in changes.items() if not isinstance(value, np.ndarray)}
    io.save_arrays(path, arrays, meta)
    written, state = path.read_bytes(), rng.bit_generator.state
    with pytest.raises(io.ModelError, match=text):
        fit(net, *digits, epochs=3, validation=0.2, checkpoint=path, rng=rng)
    np.testing.assert_array_equal(net.theta, network().theta)
    assert path.read_bytes() == written
    assert rng.bit_generator.state == state


def test_a_truncated_checkpoint_is_refused(digits, tmp_path):
    path = tmp_path / "run.npz"
    fit(network(), *digits, epochs=1, checkpoint=path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(io.ModelError, match="cannot be read"):
        fit(network(), *digits, epochs=2, checkpoint=path)


def test_a_checkpoint_that_cannot_be_written_is_known_before_training(digits, tmp_path):
    net = network()
    with pytest.raises(io.ModelError, match="there is no folder"):
        fit(net, *digits, epochs=1, checkpoint=tmp_path / "nowhere" / "run.npz")
    np.testing.assert_array_equal(net.theta, network().theta)


def test_a_checkpoint_is_plain_arrays_and_json(digits, tmp_path):
    path = tmp_path / "run.npz"
    fit(network(), *digits, epochs=1, validation=0.2, checkpoint=path)
    with np.load(path, allow_pickle=False) as archive:
        meta = json.loads(str(archive["meta"]))
        assert meta["settings"]["batch_size"] == 32
        assert archive["theta"].shape == network().theta.shape


# ---- what may change


def test_a_lower_rate_another_schedule_and_batch_size_are_taken_and_noted(digits, tmp_path):
    path, net, alone = tmp_path / "run.npz", network(), network()
    settings = {"validation": 0.2, "checkpoint": path}
    fit(net, *digits, epochs=2, optimizer=Adam(0.01), **settings)  # 240 samples: 8 steps an epoch
    asked = []

    def schedule(step):
        asked.append(step)
        return 0.002

    fit(net, *digits, epochs=3, optimizer=Adam(0.001), **settings)
    fit(net, *digits, epochs=4, optimizer=Adam(schedule), batch_size=24, **settings)
    history = fit(net, *digits, epochs=5, optimizer=Adam(CosineDecay(0.01, 40)), batch_size=np.int64(24), **settings)
    assert asked == [24, *range(24, 34)]  # for the history, then for each step
    assert history.learning_rate == [0.01, 0.01, 0.001, 0.002, CosineDecay(0.01, 40)(34)]
    function = "<function test_a_lower_rate_another_schedule_and_batch_size_are_taken_and_noted.<locals>.schedule>"
    assert history.notes == [
        "from epoch 3 on lr is 0.001; it was 0.01",
        f"from epoch 4 on lr is {function}; it was 0.001",
        "from epoch 4 on batch_size is 24; it was 32",
        f"from epoch 5 on lr is CosineDecay(lr=0.01, steps=40, floor=0.0, warmup=0); it was {function}",
    ]
    assert fit(alone, *digits, epochs=1, optimizer=Adam(0.01), validation=0.2).notes == []


def test_the_same_settings_in_other_words_are_no_change(digits, tmp_path):
    path = tmp_path / "run.npz"
    fit(network(), *digits, epochs=1, optimizer=SGD(1, 0.5), batch_size=300, checkpoint=path, trainable="*", rng=3)
    optimizer = SGD(np.float64(1), np.float32(0.5))
    more = {"optimizer": optimizer, "batch_size": 10**9, "trainable": [0, "1.*", -1], "rng": np.uint8(3)}
    assert fit(network(), *digits, epochs=2, checkpoint=path, **more).notes == []


def test_another_function_of_the_same_name_is_noted(digits, tmp_path):
    path = tmp_path / "run.npz"

    def constant(rate):
        return SGD(lambda step: rate)

    fit(network(), *digits, epochs=1, optimizer=constant(0.1), checkpoint=path)
    assert fit(network(), *digits, epochs=2, optimizer=constant(0.1), checkpoint=path).notes == []
    history = fit(network(), *digits, epochs=3, optimizer=constant(0.02), batch_size=16, checkpoint=path)
    assert history.learning_rate == [0.1, 0.1, 0.02]
    assert history.notes == [
        "from epoch 3 on batch_size is 16; it was 32",
        "from epoch 3 on lr is another function: 0.02 for step 10; it was 0.1",
    ]


def test_a_checkpoint_without_training_accuracy_goes_on(digits, tmp_path):
    """As versions wrote them that did not measure it: the list stays empty, for it has an entry for every epoch or none."""
    path, net, whole = tmp_path / "run.npz", network(), network()
    expected = fit(whole, *digits, epochs=4)
    fit(network(), *digits, epochs=2, checkpoint=path)
    arrays, meta = io.load_arrays(path)
    assert len(arrays.pop("history.train_accuracy")) == 2
    io.save_arrays(path, arrays, meta)
    assert fit(network(), *digits, epochs=2, checkpoint=path).train_accuracy == []
    for epochs in (3, 4):
        history = fit(net, *digits, epochs=epochs, checkpoint=path)
    np.testing.assert_array_equal(net.theta, whole.theta)
    assert history.train_loss == expected.train_loss
    assert history.train_accuracy == []


def test_the_samples_set_aside_stay_so_when_another_generator_goes_on(digits, tmp_path, monkeypatch):
    X, y = digits
    seen, path = [], tmp_path / "run.npz"

    class Recorder(TrainingStep):
        def _on_weighted(self, X, y, weight):
            seen[-1].update(row.tobytes() for row in X)
            return super()._on_weighted(X, y, weight)

    monkeypatch.setattr(run_module, "TrainingStep", Recorder)
    for epochs, rng in ((1, 5), (2, 6), (3, None)):
        seen.append(set())
        fit(network(), X, y, epochs=epochs, validation=0.2, rng=np.random.default_rng(rng), checkpoint=path)
    assert seen == [seen[0]] * 3


# ---- writing


def test_without_resume_a_training_begins_anew_and_the_old_checkpoint_stays_until_it_is_replaced(digits, tmp_path):
    path, net, alone = tmp_path / "run.npz", network(), network()
    fit(network(), *digits, epochs=3, checkpoint=path)
    before = path.read_bytes()
    with pytest.raises(FloatingPointError):
        fit(network(), *digits, optimizer=SGD(1e300), epochs=1, checkpoint=path, resume=False)
    assert path.read_bytes() == before
    history = fit(net, *digits, epochs=1, rng=7, checkpoint=path, resume=False)
    assert len(history) == 1
    assert io.load_arrays(path)[0]["history.train_loss"].shape == (1,)
    fit(alone, *digits, epochs=1, rng=7)
    np.testing.assert_array_equal(net.theta, alone.theta)


@pytest.mark.parametrize("best", [False, True])
def test_a_full_disk_loses_no_epoch(best, digits, tmp_path, monkeypatch):
    """The file is that of an epoch before, net and history have all of them, and the training goes on when there is room."""
    path, whole, net = tmp_path / "run.npz", network(), network()
    settings = {"validation": 0.2, "early_stopping": EarlyStopping(restore_best=best)}
    expected = fit(whole, *digits, epochs=4, **settings)

    def fsync(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as context:

        def fill(told):
            if told.epoch == 3:
                context.setattr(os, "fsync", fsync)

        with pytest.raises(io.ModelError, match=r"run\.npz: cannot be written: No space left on device") as caught:
            fit(net, *digits, epochs=4, callbacks=[fill], checkpoint=path, **settings)
    three = network()
    assert_same(caught.value.history, fit(three, *digits, epochs=3, **settings))
    np.testing.assert_array_equal(net.theta, three.theta)
    assert [file.name for file in tmp_path.iterdir()] == ["run.npz"]
    assert io.load_arrays(path)[0]["history.train_loss"].size == 2
    assert_same(fit(net, *digits, epochs=4, checkpoint=path, **settings), expected)
    np.testing.assert_array_equal(net.theta, whole.theta)


def test_what_a_callback_spoils_is_not_written(digits, tmp_path):
    path, net = tmp_path / "run.npz", network()

    def spoil(told):
        if told.epoch == 2:
            told.net.theta[3] = np.nan

    with pytest.raises(FloatingPointError, match=r"^theta has NaN or infinity after the callbacks of epoch 2; .* is left"):
        fit(net, *digits, epochs=3, callbacks=[spoil], checkpoint=path)
    assert io.load_arrays(path)[0]["history.train_loss"].size == 1


def test_callbacks_come_before_the_checkpoint(digits, tmp_path):
    """What they change of the network is in it."""
    path, net = tmp_path / "run.npz", network()
    fit(net, *digits, epochs=2, callbacks=[lambda told: told.net.theta.fill(told.epoch)], checkpoint=path)
    assert (io.load_arrays(path)[0]["theta"] == 2).all()


def test_a_checkpoint_is_an_npz_file(digits, tmp_path):
    for name in ("run.safetensors", "run.SafeTensors"):
        with pytest.raises(ValueError, match=r"^checkpoint is .*run\.[\w]+'; expected another ending: checkpoints are \.npz"):
            fit(network(), *digits, epochs=1, checkpoint=tmp_path / name)


# ---- the network of a checkpoint


@pytest.mark.parametrize("best", [True, False])
def test_a_network_is_loaded_from_a_checkpoint(best, tmp_path):
    """The best one where that is restored; buffers too."""
    net, X, y = images()
    path, kept = tmp_path / "run.npz", []

    def note(told):
        kept.append((net.theta.copy(), {name: a.copy() for name, a in net.buffers.items()}))

    settings = {"epochs": 12, "batch_size": 5, "validation": 0.5, "callbacks": [note], "checkpoint": path}
    history = fit(net, X, y, early_stopping=EarlyStopping(restore_best=best, patience=20), optimizer=SGD(0.1), **settings)
    assert history.best_epoch < 12
    theta, buffers = kept[history.best_epoch - 1 if best else -1]
    loaded = Network.load(path)
    assert [type(layer) for layer in loaded.layers] == [type(layer) for layer in net.layers]
    np.testing.assert_array_equal(loaded.theta, theta)
    assert buffers
    for name, a in loaded.buffers.items():
        np.testing.assert_array_equal(a, buffers[name])
    np.testing.assert_array_equal(loaded(X), net(X))


def test_no_network_is_loaded_from_a_checkpoint_of_layers_of_ones_own(tmp_path):
    path, net = tmp_path / "run.npz", Network([Scale(3), Dense(3, 1, "identity", rng=0)])
    fit(net, *regression(), loss=MeanSquaredError(), epochs=1, checkpoint=path)
    with pytest.raises(
        io.ModelError, match=r"run\.npz: is a checkpoint that no network can be made from; .* layers of one's own"
    ):
        Network.load(path)


@pytest.mark.parametrize(
    ("text", "theta", "settings"),
    [
        ("its network has layers of one's own", None, {"net": 3}),
        ("is no checkpoint of the network that it describes", None, {"net": {"layers": [{"kind": "Dense"}]}}),
        ("is no checkpoint of the network that it describes", np.zeros(7), {}),
        ("theta has 5000 numbers; its network has", np.zeros(5000), {}),
        ("'meta' says dtype 'int8'", None, {"dtype": "int8"}),
    ],
)
def test_a_spoilt_network_of_a_checkpoint_is_refused(text, theta, settings, digits, tmp_path):
    path = tmp_path / "run.npz"
    fit(network(), *digits, epochs=1, checkpoint=path)
    arrays, meta = io.load_arrays(path)
    arrays |= {} if theta is None else {"theta": theta}
    io.save_arrays(path, arrays, meta | {"settings": meta["settings"] | settings})
    with pytest.raises(io.ModelError, match=text):
        Network.load(path)
