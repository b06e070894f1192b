"""Training of softmax regression: what is learnt of real digits, what is refused, what an exception leaves; predictions, scores."""

import re

import numpy as np
import pytest
from scipy import special
from threadpoolctl import threadpool_limits

import fastlec
from fastlec import History, data
from fastlec.course import classifier, softmax
from fastlec.course.models import SoftmaxModel, predict
from fastlec.course.trained import accuracy, confusion_matrix
from fastlec.data import DataError, Dataset
from fastlec.training import run


@pytest.fixture(scope="module")
def digits():
    return data.digits()


@pytest.fixture(autouse=True, scope="module")
def one_blas_thread():
    """Threads of BLAS, on the short vectors of L-BFGS, only spin on the cores that the objective uses."""
    with threadpool_limits(1, user_api="blas"):
        yield


X, Y = np.random.default_rng(0).normal(size=(30, 2)), np.arange(30) % 3
NAN, INFINITE = X.copy(), X.copy()
NAN[7, 1], INFINITE[3, 0] = np.nan, -np.inf


def test_sgd_is_the_formula():
    """v = m v + g, theta -= lr v, on the cross-entropy and l2/2 ||W||^2: every sample once an epoch, in a new order."""
    dataset = Dataset(X, Y)
    found = softmax.train_softmax(dataset, epochs=3, batch_size=7, lr=0.25, momentum=0.5, l2=0.1, seed=5)
    train, validation = data.split(Y)
    W, b, velocities, rng, losses = np.zeros((3, 2)), np.zeros(3), [0, 0], np.random.default_rng(5), []
    for _ in range(3):
        order, total = rng.permutation(len(train)), 0
        for start in range(0, len(train), 7):
            rows = train[order[start : start + 7]]
            x, y = X[rows], Y[rows]
            p = special.softmax(x @ W.T + b, axis=1)
            total -= np.log(p[np.arange(len(y)), y]).sum()
            p[np.arange(len(y)), y] -= 1
            gradients = p.T @ x / len(y) + 0.1 * W, p.mean(axis=0)
            velocities = [0.5 * v + g for v, g in zip(velocities, gradients, strict=True)]
            W, b = W - 0.25 * velocities[0], b - 0.25 * velocities[1]
        losses.append(total / len(train))
    np.testing.assert_allclose(found.model.W, W, rtol=1e-12)
    np.testing.assert_allclose(found.model.b, b, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(found.history.train_loss, losses, rtol=1e-12)
    assert found.history.learning_rate == [0.25] * 3
    assert found.n_train == len(train) == 30 - len(validation)


@pytest.mark.parametrize("solver", ["sgd", "lbfgs", "newton-cg"])
def test_what_was_reached_is_said(digits, solver):
    short, long = (softmax.train_softmax(digits, solver=solver, epochs=epochs, l2=1e-2).message for epochs in (1, 60))
    assert "not converged: gradient" in short
    assert ("not converged" in long) == (solver == "sgd")
    assert float(re.search(r"gradient (\S+) of its start", long)[1]) < 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("solver", ["sgd", "lbfgs", "newton-cg"])
def test_digits_are_learnt(solver, dtype):
    epochs = 60 if solver == "sgd" else 30
    trained = softmax.train_softmax(data.digits(dtype), solver=solver, epochs=epochs, seed=1)
    assert accuracy(trained.y_val, trained.predicted) > 0.95
    assert trained.model.W.dtype == dtype
    assert (trained.model.image_shape, trained.model.scale) == ((8, 8), 16)
    history = trained.history
    assert len(history.train_loss) == len(history.val_loss) == len(history.val_accuracy) <= epochs
    assert history.train_loss[-1] < 0.2 < history.train_loss[0]
    assert history.val_accuracy[-1] == pytest.approx(np.mean(trained.y_val == trained.predicted))


class Left(BaseException):
    pass


@pytest.mark.parametrize("solver", ["sgd", "lbfgs", "newton-cg"])
@pytest.mark.parametrize("error", [Left, KeyboardInterrupt, ValueError])
def test_what_is_done_survives_an_exception(digits, solver, error):
    def leave(epoch, history):
        if epoch == 3:
            raise error("enough")

    with pytest.raises(error, match="enough") as raised:
        softmax.train_softmax(digits, solver=solver, epochs=5, callback=leave)
    whole = softmax.train_softmax(digits, solver=solver, epochs=3)
    assert raised.value.history.train_loss == whole.history.train_loss
    assert raised.value.history.val_accuracy == whole.history.val_accuracy
    np.testing.assert_array_equal(raised.value.model.theta, whole.model.theta)
    assert raised.value.model.image_shape == (8, 8)


@pytest.mark.parametrize("solver", ["lbfgs", "newton-cg"])
def test_solvers_measure_the_training_accuracy(digits, solver):
    models = []
    trained = softmax.train_softmax(
        digits, solver=solver, epochs=4, callback=lambda epoch, history: models.append(len(history))
    )
    train, _ = data.split(digits.y)
    history = trained.history
    assert len(history.train_accuracy) == len(history) == len(models) == 4
    assert history.train_accuracy[-1] == np.mean(predict(trained.model, digits.X[train]) == digits.y[train])
    assert 0.5 < history.train_accuracy[0] < history.train_accuracy[-1]


@pytest.mark.parametrize("solver", ["lbfgs", "newton-cg"])
def test_losses_have_no_penalty_in_them(digits, solver):
    trained = softmax.train_softmax(digits, solver=solver, epochs=3, l2=0.1)
    train, _ = data.split(digits.y)
    expected = fastlec.SoftmaxObjective(digits.X[train], digits.y[train]).value(trained.model.theta)
    assert trained.history.train_loss[-1] == pytest.approx(expected)


def test_what_is_done_survives_divergence(digits):
    start = softmax.train_softmax(digits, epochs=2).model
    with pytest.raises(
        FloatingPointError, match=r"diverged at epoch 1, step \d+: .*; a lower learning rate than 1e\+300 may help$"
    ) as raised:
        softmax.train_softmax(digits, start=start, lr=1e300, epochs=3)
    assert raised.value.history.train_loss == []
    np.testing.assert_array_equal(raised.value.model.theta, start.theta)


@pytest.mark.parametrize("solver", ["sgd", "lbfgs"])
def test_an_interruption_between_two_measurements(digits, monkeypatch, solver):
    """Leaves the lists of the history equally long."""

    class Interrupted(list):
        def append(self, value):
            if len(self) == 2:
                raise KeyboardInterrupt
            super().append(value)

    for module in (softmax, run):
        monkeypatch.setattr(module, "History", lambda: History(val_loss=Interrupted()))
    with pytest.raises(KeyboardInterrupt) as raised:
        softmax.train_softmax(digits, solver=solver, epochs=5)
    history = raised.value.history
    assert [len(history.train_loss), len(history.val_loss), len(history.val_accuracy)] == [2, 2, 2]
    np.testing.assert_array_equal(raised.value.model.theta, softmax.train_softmax(digits, solver=solver, epochs=2).model.theta)


def test_training_is_deterministic(digits):
    first, second, other = (softmax.train_softmax(digits, epochs=2, seed=seed).model.theta for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("seed", [0, 7])
def test_validation_samples_are_not_trained_on(digits, seed):
    """The same ones whatever the seed: a training that goes on with another one is not on what the first has set aside."""
    _, validation = data.split(digits.y)
    X = digits.X.copy()
    X[validation] = 0
    blind = Dataset(X, digits.y, image_shape=(8, 8), scale=16.0)
    kept, blinded = (softmax.train_softmax(dataset, epochs=2, seed=seed) for dataset in (digits, blind))
    np.testing.assert_array_equal(kept.model.W, blinded.model.W)
    start = classifier.new_network(digits, "mlp", depth=1, width=4, seed=0)
    kept, blinded = (classifier.train_network(dataset, start, epochs=1, seed=seed) for dataset in (digits, blind))
    np.testing.assert_array_equal(kept.model.net.theta, blinded.model.net.theta)


def test_a_network_that_diverges_has_its_history(digits):
    start = classifier.new_network(digits, "mlp", depth=1, width=4, seed=0)
    with pytest.raises(FloatingPointError, match="a lower learning rate than 1e") as caught:
        classifier.train_network(digits, start, epochs=2, lr=1e300)
    assert len(caught.value.history) == 0


def test_training_goes_on_from_a_model(digits):
    start = softmax.train_softmax(digits, epochs=5).model
    more = softmax.train_softmax(digits, start=start, solver="newton-cg", epochs=1)
    assert more.history.train_loss[0] < softmax.train_softmax(digits, epochs=5).history.train_loss[-1]
    np.testing.assert_array_equal(start.theta, softmax.train_softmax(digits, epochs=5).model.theta)


def test_model_and_data_must_match(digits):
    with pytest.raises(DataError, match="64 features; the model takes 3"):
        softmax.train_softmax(digits, start=SoftmaxModel(np.ones((10, 3)), np.ones(10)))
    with pytest.raises(DataError, match=r"the label 9; the model knows the classes 0\.\.4"):
        softmax.train_softmax(digits, start=SoftmaxModel(np.ones((5, 64)), np.ones(5)))


DATASETS = {
    "NaN": ({"X": NAN}, ValueError, r"^X\[7, 1\] is nan as float\d\d; expected finite numbers"),
    "infinity": ({"X": INFINITE}, ValueError, r"^X\[3, 0\] is -inf as float\d\d; expected finite numbers"),
    "NaN to test": ({"X_test": NAN, "y_test": Y}, ValueError, r"^X_test\[7, 1\] is nan"),
    "other features to test": (
        {"X_test": X[:, :1], "y_test": Y},
        ValueError,
        r"^X_test has shape \(30, 1\); expected \(30, 2\)",
    ),
    "no labels to test": ({"X_test": X}, TypeError, "^y_test has dtype object; expected integers"),
    "no labels": ({"y": None}, TypeError, "^y has dtype object; expected integers"),
    "float labels": ({"y": Y + 0.0}, TypeError, "^y has dtype float64; expected integers"),
    "text for labels": ({"y": Y.astype(str)}, TypeError, "^y has dtype <U.*; expected integers"),
    "negative labels": ({"y": Y - 1}, ValueError, "^y has values from -1 to 1; expected 0 or more"),
    "few labels": ({"y": Y[:9]}, ValueError, r"^y has shape \(9,\); expected \(30,\)"),
    "huge labels": ({"y": Y + 10**9}, DataError, "^dataset: has the label 1000000002 among 30 samples"),
    "one class": ({"y": Y * 0}, DataError, "^dataset: every label is 0; expected two classes or more"),
    "flat": ({"X": X[0]}, ValueError, r"^X has shape \(2,\)"),
    "empty": ({"X": X[:0], "y": Y[:0]}, ValueError, r"^X has shape \(0, 2\)"),
    "object": ({"X": X.astype(object)}, TypeError, "^X has dtype object"),
}


@pytest.mark.parametrize("solver", ["sgd", "lbfgs"])
@pytest.mark.parametrize(("changed", "error", "match"), DATASETS.values(), ids=DATASETS)
def test_data_that_cannot_be_trained_on(changed, error, match, solver):
    with pytest.raises(error, match=match):
        softmax.train_softmax(Dataset(**({"X": X, "y": Y} | changed)), solver=solver, epochs=1)


def test_data_of_other_types():
    """Lists and integers are converted."""
    whole = np.round(4 * X)
    expected = softmax.train_softmax(Dataset(whole, Y), epochs=2).model.theta
    for given in (Dataset(whole.astype(int), Y), Dataset(whole.tolist(), Y.tolist()), Dataset(whole.astype(">f8"), Y)):
        np.testing.assert_array_equal(softmax.train_softmax(given, epochs=2).model.theta, expected)
    with pytest.raises(TypeError, match=r"^dataset is a tuple; expected a Dataset"):
        softmax.train_softmax((X, Y))


SETTINGS = {
    "solver": ("adam", ValueError, "^solver is 'adam'; expected one of sgd, lbfgs, newton-cg"),
    "epochs": (-1, ValueError, "^epochs is -1; expected at least 0"),
    "batch_size": (0, ValueError, "^batch_size is 0; expected at least 1"),
    "lr": (np.nan, ValueError, "^lr is nan; expected a finite number >= 0"),
    "momentum": (1, ValueError, "^momentum is 1.0; expected a number >= 0 and < 1"),
    "l2": (10**400, ValueError, "^l2 is "),
    "seed": (1.5, TypeError, "^seed is 1.5; expected an integer"),
    "callback": (3, TypeError, "^callback is 3; expected a function or None"),
}


@pytest.mark.parametrize(("name", "value", "error", "match"), [(name, *row) for name, row in SETTINGS.items()], ids=SETTINGS)
def test_settings_that_cannot_be(name, value, error, match):
    with pytest.raises(error, match=match):
        softmax.train_softmax(Dataset(X, Y), **{name: value})


MODELS = {
    "NaN": ((np.full((3, 2), np.nan), np.zeros(3)), ValueError, r"\.W\[0, 0\] is nan as float\d\d; expected finite numbers"),
    "flat": ((np.zeros(6), np.zeros(3)), ValueError, r"\.W has shape \(6,\), .*\.b \(3,\); expected \(classes, features\)"),
    "few biases": ((np.zeros((3, 2)), np.zeros(2)), ValueError, r"\.W has shape \(3, 2\), .*\.b \(2,\); expected"),
    "object": ((np.zeros((3, 2), object), np.zeros(3)), TypeError, r"\.W has dtype object"),
}


@pytest.mark.parametrize(("arrays", "error", "match"), MODELS.values(), ids=MODELS)
def test_models_that_cannot_be(arrays, error, match):
    with pytest.raises(error, match="^start" + match):
        softmax.train_softmax(Dataset(X, Y), start=SoftmaxModel(*arrays))
    with pytest.raises(error, match="^model" + match):
        predict(SoftmaxModel(*arrays), X)


def test_samples_that_cannot_be_predicted():
    model = SoftmaxModel(np.ones((3, 2)), np.zeros(3))
    for wrong, match in (
        (NAN, r"^X\[7, 1\] is nan as float\d\d; expected finite numbers"),
        (np.full((1, 2), np.inf), r"^X\[0, 0\] is inf as float\d\d; expected finite numbers"),
        (X[:, :1], r"^X has shape \(30, 1\); expected \(30, 2\)"),
        (X[0], r"^X has shape \(2,\)"),
    ):
        with pytest.raises(ValueError, match=match):
            predict(model, wrong)
    with pytest.raises(TypeError, match=r"^model is a tuple; expected a SoftmaxModel"):
        predict((model.W, model.b), X)


def test_scores_of_labels_that_do_not_fit():
    for y, predicted in ((Y, Y[:9]), (Y, Y[:, None]), (Y, 3), ([], [])):
        with pytest.raises(ValueError, match=r"^y has shape .*expected \(m,\) labels of the same samples"):
            accuracy(y, predicted)
    for y, predicted, n_classes, error, match in (
        (Y, Y, 2, ValueError, "^y has values from 0 to 2; expected 0 to 1"),
        (Y, Y + 1, 3, ValueError, "^predicted has values from 1 to 3; expected 0 to 2"),
        (Y, Y[:9], 3, ValueError, r"^predicted has shape \(9,\); expected \(30,\)"),
        (Y, Y + 0.0, 3, TypeError, "^predicted has dtype float64"),
        (Y, Y, 10**9, MemoryError, "^a matrix of 1000000000 x 1000000000 counts"),
    ):
        with pytest.raises(error, match=match):
            confusion_matrix(y, predicted, n_classes)


def test_the_test_set_is_scored(digits):
    dataset = Dataset(digits.X[:1500], digits.y[:1500], digits.X[1500:], digits.y[1500:])
    trained = softmax.train_softmax(dataset, epochs=20)
    predicted = np.argmax(dataset.X_test @ trained.model.W.T + trained.model.b, axis=1)
    np.testing.assert_array_equal(predict(trained.model, dataset.X_test), predicted)
    assert trained.test_accuracy == np.mean(predicted == dataset.y_test) > 0.85


def test_confusion_matrix_counts_true_classes_down():
    y, predicted = np.array([0, 0, 1, 2, 2, 2]), np.array([0, 1, 1, 2, 0, 2])
    assert confusion_matrix(y, predicted, 4).tolist() == [[1, 1, 0, 0], [0, 1, 0, 0], [1, 0, 2, 0], [0, 0, 0, 0]]
    assert accuracy(y, predicted) == pytest.approx(4 / 6)


def test_where_people_import_it_from():
    assert fastlec.training.train_softmax is softmax.train_softmax
