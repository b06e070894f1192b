"""fit with weights of samples and of classes: what is minimised, what is measured, checkpoints. Losses and steps:
tests/kernels/test_weights.py."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fastlec import data, io
from fastlec.layers import BatchNorm2d, Dense, Flatten
from fastlec.network import Network
from fastlec.training import (
    SGD,
    Adam,
    MeanSquaredError,
    Objective,
    SoftmaxCrossEntropy,
    TrainingStep,
    fit,
    run,
)
from fastlec.training.samples import samples_of

STILL = SGD(1e-9)  # so slow that all batches of an epoch see the same parameters


def network(dtype=np.float64):
    return Network([Dense(5, 6, dtype=dtype, rng=1), Dense(6, 3, "identity", dtype=dtype, rng=2)])


def problem(m=90, seed=0, dtype=np.float64):
    """(X, y, weights): classes of which there are more and fewer, some weights 0."""
    rng = np.random.default_rng(seed)
    y = rng.choice(3, m, p=[0.6, 0.3, 0.1])
    y[:3] = 0, 1, 2
    weight = rng.uniform(0, 3, m) * (rng.random(m) < 0.8)
    weight[:3] = 1
    return rng.standard_normal((m, 5)).astype(dtype), y, weight


class OwnLoss:
    """The cross-entropy as a loss in Python."""

    def __init__(self):
        cross = SoftmaxCrossEntropy()
        self.targets, self.classes, self.value_and_gradient = cross.targets, cross.classes, cross.value_and_gradient


losses = pytest.mark.parametrize("loss", [SoftmaxCrossEntropy(), OwnLoss()], ids=["kernels", "Python"])


# --- what is minimised -----------------------------------------------------------------------------------------------


@losses
@pytest.mark.parametrize("batch_size", [1, 9, 30, 90])
def test_an_epoch_goes_along_the_gradient_of_the_weighted_mean(batch_size, loss):
    """Also where some batches have no weight at all, as some of one sample: the mean of their gradients is that of all."""
    X, y, weight = problem()
    net = network()
    before = net.theta.copy()
    value, gradient = Objective(net, loss, X, y, sample_weight=weight).value_and_gradient(before)
    history = fit(net, X, y, sample_weight=weight, loss=loss, optimizer=STILL, batch_size=batch_size, epochs=1)
    assert_allclose(history.train_loss, [value], rtol=1e-6)
    change = (net.theta - before) / (-1e-9 * 90 / batch_size)
    assert_allclose(change, gradient, rtol=0, atol=1e-5 * np.abs(gradient).max())


@losses
def test_integers_are_repetitions(loss):
    """All samples in each batch, so that the order does not matter."""
    X, y, _ = problem()
    weight = np.random.default_rng(1).integers(0, 4, 90)
    rows = np.repeat(np.arange(90), weight)
    one, two = network(), network()
    settings = {"loss": loss, "optimizer": Adam(0.01), "epochs": 20, "batch_size": 10**6}
    first, second = fit(one, X, y, sample_weight=weight, **settings), fit(two, X[rows], y[rows], **settings)
    assert_allclose(first.train_loss, second.train_loss, rtol=1e-9)
    assert_allclose(one.theta, two.theta, rtol=0, atol=1e-9)


@pytest.mark.parametrize("scale", [1.0, 2.0**-1060, 1e300])
def test_equal_weights_are_none(scale):
    X, y, _ = problem()
    one, two = network(np.float32), network(np.float32)
    settings = {"optimizer": Adam(0.01), "epochs": 3, "validation": 0.3}
    first, second = fit(one, X, y, sample_weight=np.full(90, scale), **settings), fit(two, X, y, **settings)
    assert_allclose(first.train_loss, second.train_loss, rtol=1e-6)
    assert_allclose(first.val_loss, second.val_loss, rtol=1e-6)
    assert_allclose(one.theta, two.theta, rtol=0, atol=1e-5)


def test_squares_and_layers_in_a_training_form():
    """Normalisation counts samples, not their weights; the loss counts weights."""
    X, _, weight = problem()
    y = X @ np.arange(5.0)
    X, net = X.reshape(90, 5, 1, 1), Network([BatchNorm2d(5), Flatten(), Dense(5, 1, "identity", rng=0)])
    loss = MeanSquaredError()
    expected = loss.value(net.for_training()(X), y, weight)
    history = fit(net, X, y, sample_weight=weight, loss=loss, optimizer=STILL, batch_size=90, epochs=1)
    assert_allclose(history.train_loss, [expected], rtol=1e-6)
    assert net.buffers["0.running_mean"].any()


# --- classes ---------------------------------------------------------------------------------------------------------


def trained(*, weight=None, y=None, **more):
    X, labels, _ = problem()
    net = network()
    history = fit(net, X, labels if y is None else y, sample_weight=weight, optimizer=SGD(0.1), epochs=3, **more)
    return net.theta, history


@pytest.mark.parametrize(
    ("given", "by_class"),
    [
        ({0: 1.0, 1: 2.0, 2: 5.0}, [1, 2, 5]),
        ({np.int64(2): 5}, [1, 1, 5]),
        ({}, [1, 1, 1]),
        ([1, 2, 5], [1, 2, 5]),
        (np.array([0.0, 2.0, 5.0], np.float32), [0, 2, 5]),
        ("balanced", None),
    ],
    ids=str,
)
def test_weights_of_classes_are_weights_of_their_samples(given, by_class):
    """And are multiplied with those that samples have."""
    _, y, weight = problem()
    by_class = len(y) / (3 * np.bincount(y)) if by_class is None else np.array(by_class, float)
    for own, same in ((None, by_class[y]), (weight, weight * by_class[y])):
        theta, history = trained(weight=own, class_weight=given)
        expected, as_samples = trained(weight=same)
        assert_allclose(theta, expected, rtol=0, atol=1e-13)
        assert_allclose(history.train_loss, as_samples.train_loss, rtol=1e-13)
        assert history.train_accuracy == as_samples.train_accuracy


def test_balanced_is_that_of_scikit_learn():
    utils = pytest.importorskip("sklearn.utils")
    _, y, _ = problem()
    weight = utils.compute_class_weight("balanced", classes=np.arange(3), y=y)
    assert_allclose(trained(class_weight="balanced")[0], trained(class_weight=weight)[0], rtol=0, atol=1e-13)


def test_rows_of_probabilities_weigh_as_their_class():
    _, y, _ = problem()
    rows = 0.8 * np.eye(3)[y] + 0.1
    theta, _ = trained(y=rows, class_weight=[1, 2, 5])
    assert_allclose(theta, trained(y=rows, weight=np.array([1, 2, 5])[y])[0], rtol=0, atol=1e-13)


# --- what is measured ------------------------------------------------------------------------------------------------


def test_validation_samples_have_weights():
    """Of a triple those given, of a pair none, times the weights of classes; accuracies count samples."""
    (X, y, weight), (X_val, y_val, w_val) = problem(), problem(40, 1)
    loss, by_class = SoftmaxCrossEntropy(), np.array([1.0, 2.0, 5.0])
    for validation, class_weight, expected in (
        ((X_val, y_val), None, None),
        ((X_val, y_val, None), None, None),
        ((X_val, y_val, w_val), None, w_val),
        ([X_val, y_val], by_class, by_class[y_val]),
        ((X_val, y_val, w_val), by_class, w_val * by_class[y_val]),
    ):
        net = network()
        history = fit(net, X, y, sample_weight=weight, class_weight=class_weight, epochs=1, validation=validation)
        output = net(X_val)
        assert_allclose(history.val_loss, [loss.value(output, y_val, expected)], rtol=1e-13)
        assert history.val_accuracy == [np.mean(output.argmax(axis=1) == y_val)]


def test_validation_in_chunks(monkeypatch):
    """Of which some have no weight at all."""
    (X, y, _), (X_val, y_val, w_val) = problem(), problem(40, 1)
    w_val[10:25] = 0
    found = []
    for chunk in (1000, 7, 1):
        monkeypatch.setattr(run, "CHUNK", chunk)
        found += fit(network(), X, y, epochs=1, validation=(X_val, y_val, w_val)).val_loss
    assert_allclose(found, found[0], rtol=1e-13)


def test_samples_that_are_set_aside_keep_their_weights():
    X, y, weight = problem()
    rows, aside = data.split(y, fraction=0.3)
    net, same = network(), network()
    history = fit(net, X, y, sample_weight=weight, epochs=4, validation=0.3)
    assert_allclose(history.val_loss[-1], SoftmaxCrossEntropy().value(net(X[aside]), y[aside], weight[aside]), rtol=1e-13)
    still = fit(same, X, y, sample_weight=weight, epochs=1, validation=0.3, optimizer=STILL)
    expected = SoftmaxCrossEntropy().value(network()(X[rows]), y[rows], weight[rows])
    assert_allclose(still.train_loss, [expected], rtol=1e-6)


def test_training_accuracy_counts_samples():
    X, y, weight = problem()
    history = fit(network(), X, y, sample_weight=weight, epochs=1, optimizer=STILL)
    assert history.train_accuracy == [np.mean(network()(X).argmax(axis=1) == y)]


# --- checkpoints -----------------------------------------------------------------------------------------------------


def test_a_weighted_training_goes_on_to_the_same_bits(tmp_path):
    X, y, weight = problem()
    settings = {"sample_weight": weight, "class_weight": "balanced", "optimizer": Adam(0.01), "validation": 0.3}
    whole, half = network(), network()
    expected = fit(whole, X, y, epochs=6, **settings)
    for epochs in (3, 6):
        history = fit(half, X, y, epochs=epochs, checkpoint=tmp_path / "run.npz", **settings)
    assert history.train_loss == expected.train_loss
    assert_array_equal(half.theta, whole.theta)


def test_weights_are_part_of_the_samples(tmp_path):
    """Others, or none, are another training."""
    X, y, weight = problem()
    path, validation = tmp_path / "run.npz", (X, y, weight)
    fit(network(), X, y, epochs=1, sample_weight=weight, validation=validation, checkpoint=path)
    for name, changed in (
        ("samples", {"sample_weight": None}),
        ("samples", {"sample_weight": weight + 1}),
        ("samples", {"class_weight": "balanced"}),
        ("validation", {"validation": (X, y)}),
        ("validation", {"validation": (X, y, weight + 1)}),
    ):
        settings = {"sample_weight": weight, "validation": validation, **changed}
        with pytest.raises(io.ModelError, match=f"is the checkpoint of another training: its {name} is"):
            fit(network(), X, y, epochs=2, checkpoint=path, **settings)
    fit(network(), X, y, epochs=2, sample_weight=weight.tolist(), validation=validation, checkpoint=path)


@pytest.mark.parametrize("weighted", [False, True])
def test_checkpoints_of_an_earlier_version(weighted, tmp_path):
    """Its checksums of samples are others."""
    X, y, weight = problem()
    path, settings = tmp_path / "run.npz", {"sample_weight": weight} if weighted else {}
    fit(network(), X, y, epochs=1, validation=(X, y), checkpoint=path, **settings)
    arrays, meta = io.load_arrays(path)
    for name, weights in (("samples", settings.values()), ("validation", ())):
        meta["settings"][name] = samples_of(network(), SoftmaxCrossEntropy(), X, y, *weights).in_order()
    io.save_arrays(path, arrays, meta)
    with pytest.raises(io.ModelError, match="its samples is"):
        fit(network(), X + 1, y, epochs=2, validation=(X, y), checkpoint=path, **settings)
    assert len(fit(network(), X, y, epochs=2, validation=(X, y), checkpoint=path, **settings)) == 2


# --- what cannot be --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "text", "given"),
    [
        (ValueError, "class_weight is 'equal'; expected one of balanced", "equal"),
        (ValueError, r"class_weight has shape \(2,\); expected \(3,\)", [1, 2]),
        (ValueError, r"class_weight has shape \(\); expected \(3,\)", 2.0),
        (ValueError, "class_weight has values from -1.0 to 1.0; expected finite weights >= 0", [1, -1, 1]),
        (ValueError, "class_weight has values from 0.0 to 0.0", [0, 0, 0]),
        (ValueError, "class_weight has values from 0.0 to 0.0", {0: 0, 1: 0, 2: 0}),
        (TypeError, "class_weight has dtype complex128", np.ones(3) + 0j),
        (ValueError, "class_weight has the class 3; expected integers from 0 to 2", {3: 1.0}),
        (ValueError, "class_weight has the class -1; expected", {-1: 1.0}),
        (ValueError, "class_weight has the class 'a'; expected", {"a": 1.0}),
        (ValueError, "class_weight has the class 1.0; expected", {1.0: 1.0}),
        (ValueError, "class_weight has the class True; expected", {True: 1.0}),
        (ValueError, r"class_weight\[1\] is -1.0; expected a finite number >= 0", {1: -1}),
        (ValueError, r"class_weight\[1\] is nan; expected a finite number >= 0", {1: float("nan")}),
        (TypeError, r"class_weight\[1\] is 'a'", {1: "a"}),
    ],
    ids=str,
)
def test_bad_weights_of_classes(error, text, given):
    X, y, _ = problem()
    net = network()
    before = net.theta.copy()
    with pytest.raises(error, match=f"^{text}"):
        fit(net, X, y, class_weight=given)
    assert_array_equal(net.theta, before)


def test_nothing_has_weight():
    """Of the samples that are left, in one way or another."""
    X, y, _ = problem()
    in_aside = np.isin(np.arange(90), data.split(y, fraction=0.3)[1])
    for settings, text in (
        ({"class_weight": {0: 0}, "y": np.zeros(90, int)}, "class_weight has values from 0.0 to 0.0"),
        ({"class_weight": {0: 0}, "sample_weight": y == 0}, "class_weight times sample_weight has values from 0.0 to 0.0"),
        ({"sample_weight": in_aside, "validation": 0.3}, "all samples that are trained on have weight 0"),
        (
            {"sample_weight": ~in_aside, "validation": 0.3},
            "all samples that validation sets aside have weight 0",
        ),
    ):
        settings = {"y": y, **settings}
        with pytest.raises(ValueError, match=f"^{text}"):
            fit(network(), X, epochs=1, **settings)


def test_classes_that_there_are_not():
    X, _, _ = problem()
    with pytest.raises(
        ValueError, match=r"^class_weight is given, and y holds no classes; expected outputs \(m, l\) and a loss"
    ):
        fit(network(), X, np.zeros((90, 3)), loss=MeanSquaredError(), class_weight="balanced")


def test_a_step_is_what_fit_makes():
    """A batch of all samples: sum w l / sum w; its step is the public one."""
    X, y, weight = problem()
    one, two = network(), network()
    fit(one, X, y, sample_weight=weight, optimizer=SGD(0.1), batch_size=90, epochs=1)
    TrainingStep(two, SoftmaxCrossEntropy(), SGD(0.1), 90)(X, y, weight)
    assert_allclose(one.theta, two.theta, rtol=0, atol=1e-14)
