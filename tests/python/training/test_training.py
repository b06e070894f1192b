"""Optimisation, scores and pictures of softmax regression on real digits."""

import re
import sys

import numpy as np
import pytest
import scipy.optimize  # noqa: F401  its BLAS must be loaded to be limited
from threadpoolctl import threadpool_limits

from fastlec import History, LogisticObjective, SoftmaxObjective, data, plot, testing, training
from fastlec.course import classifier, softmax
from fastlec.course.models import SoftmaxModel, predict
from fastlec.course.trained import accuracy, confusion_matrix
from fastlec.data import DataError, Dataset
from fastlec.training import solvers


class Quadratic:
    """Mean over samples c_i of |theta - c_i|^2 / 2: a step of gradient descent on it is known exactly."""

    def __init__(self, centres):
        self.centres, self.n_samples, self.batches = centres, len(centres), []

    def value_and_gradient(self, theta, batch=slice(None)):
        self.batches.append(batch)
        away = theta - self.centres[batch]
        return 0.5 * float((away**2).sum(axis=1).mean()), away.mean(axis=0)


@pytest.fixture(scope="module")
def digits():
    return data.digits()


@pytest.fixture(autouse=True, scope="module")
def one_blas_thread():
    """Threads of BLAS, on the short vectors of L-BFGS, only spin on the cores that the objective uses."""
    with threadpool_limits(1, user_api="blas"):
        yield


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_sgd_is_the_formula(rng):
    centre, theta = np.array([[3.0, -1.0]]), np.array([1.0, 1.0])
    seen = []
    settings = {"epochs": 3, "batch_size": 4, "lr": 0.25, "momentum": 0.5}
    found = softmax.minimize_sgd(Quadratic(centre), theta, **settings, rng=rng, callback=lambda *a: seen.append(a[::2]))
    expected, velocity, losses = theta, 0, []
    for _ in range(3):
        losses.append(0.5 * ((expected - centre[0]) ** 2).sum())
        velocity = 0.5 * velocity - 0.25 * (expected - centre[0])
        expected = expected + velocity
    np.testing.assert_allclose(found, expected, rtol=1e-15)
    assert seen == [(1, pytest.approx(losses[0])), (2, pytest.approx(losses[1])), (3, pytest.approx(losses[2]))]
    assert theta.tolist() == [1, 1]


def test_sgd_sees_every_sample_once_an_epoch_in_a_new_order(rng):
    objective = Quadratic(np.zeros((10, 2)))
    softmax.minimize_sgd(objective, np.ones(2), epochs=2, batch_size=4, lr=0.1, rng=rng)
    assert [len(batch) for batch in objective.batches] == [4, 4, 2, 4, 4, 2]
    first, second = np.concatenate(objective.batches[:3]), np.concatenate(objective.batches[3:])
    assert sorted(first) == sorted(second) == list(range(10))
    assert first.tolist() != second.tolist()


def test_sgd_stops_where_the_loss_is_not_finite(rng):
    objective = Quadratic(np.ones((6, 2)))
    with pytest.raises(FloatingPointError, match=r"epoch \d+, step [123].*learning rate than 1e\+60"):
        softmax.minimize_sgd(objective, np.zeros(2), epochs=9, batch_size=2, lr=1e60, rng=rng)
    objective.centres[:] = np.nan
    with pytest.raises(FloatingPointError, match="epoch 1, step 1: the loss is nan"):
        softmax.minimize_sgd(objective, np.zeros(2), epochs=1, batch_size=2, lr=0.1, rng=rng)


@pytest.mark.parametrize("solver", ["lbfgs", "newton-cg"])
def test_scipy_solvers_reach_the_optimum(digits, solver):
    objective = SoftmaxObjective(digits.X, digits.y, l2=1e-2)
    seen = []
    theta, message = training.minimize_scipy(objective, np.zeros(650), solver, max_iter=500, callback=lambda *a: seen.append(a))
    assert message.startswith(f"{len(seen)} iterations, ")  # whether it "converged" or met round-off first depends on the ISA
    assert "not converged" not in message
    assert np.abs(objective.gradient(theta)).max() < 1e-7  # convex: then theta is the optimum
    assert [entry[0] for entry in seen] == list(range(1, len(seen) + 1))
    assert seen[-1][2] == pytest.approx(objective.value(theta), abs=1e-12)


# L-BFGS compares values of F, whose round-off hides changes of the biases, which nothing penalises, of a few 1e-6
@pytest.mark.parametrize(("solver", "bias_error"), [("lbfgs", 1e-5), ("newton-cg", 1e-6)])
def test_the_optimum_is_that_of_scikit_learn(digits, solver, bias_error):
    linear_model = pytest.importorskip("sklearn.linear_model")
    l2 = 1e-3
    objective = SoftmaxObjective(digits.X, digits.y, l2=l2)
    theta, _ = training.minimize_scipy(objective, np.zeros(650), solver, max_iter=1000, tol=1e-9)
    peer = linear_model.LogisticRegression(C=1 / (l2 * 1797), solver="newton-cholesky", tol=1e-12).fit(digits.X, digits.y)
    parts = objective.unpack(theta)
    np.testing.assert_allclose(parts["W"], peer.coef_, rtol=0, atol=1e-6)
    np.testing.assert_allclose(
        parts["b"] - parts["b"].mean(), peer.intercept_ - peer.intercept_.mean(), rtol=0, atol=bias_error
    )
    assert objective.value(theta) == pytest.approx(objective.value(np.r_[peer.coef_.ravel(), peer.intercept_]), abs=1e-12)


def test_scipy_solvers_say_when_they_were_cut_short(digits):
    objective = SoftmaxObjective(digits.X, digits.y)
    theta, message = training.minimize_scipy(objective, np.zeros(650), "lbfgs", max_iter=3)
    assert re.fullmatch(r"3 iterations, not converged: gradient \d\.\de-01 of its start", message)
    assert objective.value(theta) < np.log(10)
    _, message = training.minimize_scipy(objective, np.zeros(650), "lbfgs", max_iter=0)
    assert message == "0 iterations, not converged: gradient 1.0e+00 of its start"
    with pytest.raises(ValueError, match="solver is 'adam'; expected one of lbfgs, newton-cg"):
        training.minimize_scipy(objective, np.zeros(650), "adam")


def unscaled(rng, centre):
    """Ten features with deviations from 1e-3 to 1e6 and means of up to ``centre`` times that; the same features, standardised."""
    y = rng.integers(0, 3, 400)
    Z = rng.normal(size=(400, 10))
    Z[:, 0] += y
    Z[:, 9] -= y
    Z = (Z - Z.mean(axis=0)) / Z.std(axis=0)
    return (Z + np.linspace(0, centre, 10)) * np.logspace(-3, 6, 10), Z, y


def newton(objective):
    """The least loss, by Newton's method with the whole Hessian."""
    theta = np.zeros(objective.n_params)
    for _ in range(20):
        theta -= np.linalg.lstsq(objective.hessian(theta), objective.gradient(theta), rcond=1e-12)[0]
    return objective.value(theta)


@pytest.mark.parametrize("centre", [0, 3, 30])
@pytest.mark.parametrize("solver", ["lbfgs", "newton-cg"])
def test_features_of_any_scale(solver, centre, rng):
    X, Z, y = unscaled(rng, centre)
    objective = SoftmaxObjective(X, y)
    theta, message = training.minimize_scipy(objective, np.zeros(33), solver, max_iter=100)
    assert " converged: gradient" in message
    assert "not" not in message
    assert objective.value(theta) == pytest.approx(newton(SoftmaxObjective(Z, y)), rel=1e-9)
    start = np.abs(objective.gradient(np.zeros(33))).max()
    assert np.abs(objective.gradient(theta)).max() <= 1e-6 * start


@pytest.mark.parametrize("centre", [0, 3, 30])
@pytest.mark.parametrize("solver", ["lbfgs", "newton-cg"])
def test_features_of_any_scale_in_single_precision(solver, centre, rng):
    """The optimum, too; whether the gradient can be seen to vanish depends on how far the means are from 0."""
    X, Z, y = unscaled(rng, centre)
    objective = SoftmaxObjective(X.astype(np.float32), y)
    theta, message = training.minimize_scipy(objective, np.zeros(33), solver, max_iter=100)
    assert objective.value(theta) == pytest.approx(newton(SoftmaxObjective(Z, y)), rel=1e-4)
    assert centre == 30 or " converged: gradient" in message


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("l2", [1e-4, 0])
def test_age_and_salary(l2, dtype, rng):
    """Where SciPy's Newton-CG takes its small steps for the optimum: solvers agree on what it is."""
    y = rng.integers(0, 2, 200)
    X = np.c_[rng.normal(40, 10, 200) + 5 * y, rng.normal(60000, 15000, 200) + 30000 * y]
    objective = SoftmaxObjective(X.astype(dtype), y, l2=l2)
    losses = []
    for solver in ("lbfgs", "newton-cg"):
        theta, message = training.minimize_scipy(objective, np.zeros(6), solver)
        assert " converged: gradient" in message
        losses.append(objective.value(theta))
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    assert losses[0] < 0.5


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("solver", ["lbfgs", "newton-cg"])
def test_separable_classes(solver, dtype, rng):
    """Without a penalty the loss has no minimum, and the gradient vanishes on the way to 0."""
    y = rng.integers(0, 2, 300)
    X = rng.normal(size=(300, 4))
    X[:, 0] += 20 * y
    objective = SoftmaxObjective((X * [1e3, 1, 1e-2, 1]).astype(dtype), y)
    theta, message = training.minimize_scipy(objective, np.zeros(10), solver)
    assert " converged: gradient" in message
    assert objective.value(theta) < {np.float32: 1e-3, np.float64: 1e-5}[dtype]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("solver", ["lbfgs", "newton-cg"])
def test_constant_features_do_not_matter(solver, dtype, rng):
    y = rng.integers(0, 3, 100)
    X = rng.normal(size=(100, 4)).astype(dtype)
    X[:, 0] += y
    X[:, 1:3] = 0, 1e5
    objective, without = SoftmaxObjective(X, y), SoftmaxObjective(X[:, [0, 3]].astype(float), y)
    theta, message = training.minimize_scipy(objective, np.zeros(15), solver)
    assert " converged: gradient" in message
    assert objective.value(theta) == pytest.approx(newton(without), rel=1e-5)


FORMS = ({}, {"fit_bias": False}, {"reduced": True}, {"l2": 0.1, "sample_weight": np.arange(50) % 3})


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_standardised_parameters(form, rng):
    """Give the logits of standardised features; of_theta is the inverse of theta, gradient its transpose."""
    X = rng.normal(3, [1e-3, 1, 1e4], (50, 3))
    f = SoftmaxObjective(X, np.arange(50) % 4, **form)
    variables = solvers._Standardised(f)
    u, theta, g = rng.normal(size=(3, f.n_params))
    np.testing.assert_allclose(variables.theta(variables.of_theta(theta)), theta, rtol=1e-9, atol=1e-9)
    assert variables.gradient(g) @ u == pytest.approx(g @ variables.theta(u), rel=1e-9)
    Z = (X - variables.mean) / variables.deviation
    standard = SoftmaxObjective(Z, f.y, **form)
    np.testing.assert_allclose(f.predict_proba(variables.theta(u)), standard.predict_proba(u), rtol=1e-7)
    if form.get("fit_bias", True):
        np.testing.assert_allclose(np.average(Z, axis=0, weights=f.sample_weight), 0, atol=1e-9)
    if not form.get("l2"):
        np.testing.assert_allclose((Z**2).mean(axis=0), 1, rtol=1e-5)


@pytest.mark.parametrize("solver", ["lbfgs", "newton-cg"])
def test_a_start_at_the_optimum(digits, solver):
    """Is seen to be one, though no gradient can be made much smaller than its own."""
    objective = SoftmaxObjective(digits.X, digits.y, l2=1e-2)
    theta, _ = training.minimize_scipy(objective, np.zeros(650), solver)
    again, message = training.minimize_scipy(objective, theta, solver)
    assert re.fullmatch(r"0 iterations, converged: gradient \d\.\de-(0[789]|1\d) of that at theta = 0", message)
    np.testing.assert_array_equal(again, theta)
    balanced = LogisticObjective([[1.0], [1.0]], [0, 1])
    _, message = training.minimize_scipy(balanced, np.zeros(2), solver)
    assert message == "0 iterations, converged: gradient 0.0e+00 of its start"


def test_other_objectives_are_minimised_as_they_are(rng):
    centres = rng.normal(size=(20, 3))
    theta, message = training.minimize_scipy(Quadratic(centres), np.ones(3), "lbfgs")
    assert " converged: gradient" in message
    np.testing.assert_allclose(theta, centres.mean(axis=0), atol=1e-5)


@pytest.mark.parametrize("solver", ["sgd", "lbfgs", "newton-cg"])
def test_what_was_reached_is_said(digits, solver):
    short, long = (training.train_softmax(digits, solver=solver, epochs=epochs, l2=1e-2).message for epochs in (1, 60))
    assert "not converged: gradient" in short
    assert ("not converged" in long) == (solver == "sgd")
    assert float(re.search(r"gradient (\S+) of its start", long)[1]) < 1


def test_scipy_solvers_stop_where_the_loss_is_not_finite():
    with pytest.raises(FloatingPointError, match="iteration 1: the loss is nan"):
        training.minimize_scipy(Quadratic(np.full((2, 2), np.nan)), np.zeros(2), "lbfgs")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("solver", ["sgd", "lbfgs", "newton-cg"])
def test_digits_are_learnt(solver, dtype):
    epochs = 60 if solver == "sgd" else 30
    trained = training.train_softmax(data.digits(dtype), solver=solver, epochs=epochs, seed=1)
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
        training.train_softmax(digits, solver=solver, epochs=5, callback=leave)
    whole = training.train_softmax(digits, solver=solver, epochs=3)
    assert raised.value.history.train_loss == whole.history.train_loss
    assert raised.value.history.val_accuracy == whole.history.val_accuracy
    np.testing.assert_array_equal(raised.value.model.theta, whole.model.theta)
    assert raised.value.model.image_shape == (8, 8)


def test_what_is_done_survives_divergence(digits):
    start = training.train_softmax(digits, epochs=2).model
    with pytest.raises(FloatingPointError, match="diverged") as raised:
        training.train_softmax(digits, start=start, lr=1e300, epochs=3)
    assert raised.value.history.train_loss == []
    np.testing.assert_array_equal(raised.value.model.theta, start.theta)


def test_an_interruption_between_two_measurements(digits, monkeypatch):
    """Leaves the lists of the history equally long."""

    class Interrupted(list):
        def append(self, value):
            if len(self) == 2:
                raise KeyboardInterrupt
            super().append(value)

    monkeypatch.setattr(softmax, "History", lambda: History(val_loss=Interrupted()))
    with pytest.raises(KeyboardInterrupt) as raised:
        training.train_softmax(digits, epochs=5)
    history = raised.value.history
    assert [len(history.train_loss), len(history.val_loss), len(history.val_accuracy)] == [2, 2, 2]


@pytest.mark.parametrize("solver", ["lbfgs", "newton-cg", "sgd"])
def test_callbacks_may_keep_theta(digits, solver):
    """And change it: it is a copy."""
    objective, kept = SoftmaxObjective(digits.X, digits.y), []

    def callback(iteration, theta, loss):
        kept.append(theta.copy())
        theta[:] = np.nan

    if solver == "sgd":
        settings = {"epochs": 3, "batch_size": 100, "lr": 0.1, "rng": np.random.default_rng(0)}
        found = softmax.minimize_sgd(objective, np.zeros(650), callback=callback, **settings)
    else:
        found, _ = training.minimize_scipy(objective, np.zeros(650), solver, max_iter=3, callback=callback)
    np.testing.assert_array_equal(found, kept[-1])
    assert not np.array_equal(kept[0], kept[1])


def test_training_is_deterministic(digits):
    first, second, other = (training.train_softmax(digits, epochs=2, seed=seed).model.theta for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("seed", [0, 7])
def test_validation_samples_are_not_trained_on(digits, seed):
    """The same ones whatever the seed: a training that goes on with another one is not on what the first has set aside."""
    _, validation = data.split(digits.y)
    X = digits.X.copy()
    X[validation] = 0
    blind = Dataset(X, digits.y, image_shape=(8, 8), scale=16.0)
    kept, blinded = (training.train_softmax(dataset, epochs=2, seed=seed) for dataset in (digits, blind))
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
    start = training.train_softmax(digits, epochs=5).model
    more = training.train_softmax(digits, start=start, solver="newton-cg", epochs=1)
    assert more.history.train_loss[0] < training.train_softmax(digits, epochs=5).history.train_loss[-1]
    np.testing.assert_array_equal(start.theta, training.train_softmax(digits, epochs=5).model.theta)


def test_model_and_data_must_match(digits):
    with pytest.raises(DataError, match="64 features; the model takes 3"):
        training.train_softmax(digits, start=SoftmaxModel(np.ones((10, 3)), np.ones(10)))
    with pytest.raises(DataError, match=r"the label 9; the model knows the classes 0\.\.4"):
        training.train_softmax(digits, start=SoftmaxModel(np.ones((5, 64)), np.ones(5)))


X, Y = np.random.default_rng(0).normal(size=(30, 2)), np.arange(30) % 3
NAN, INFINITE = X.copy(), X.copy()
NAN[7, 1], INFINITE[3, 0] = np.nan, -np.inf
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
        training.train_softmax(Dataset(**({"X": X, "y": Y} | changed)), solver=solver, epochs=1)


def test_data_of_other_types():
    """Lists and integers are converted."""
    whole = np.round(4 * X)
    expected = training.train_softmax(Dataset(whole, Y), epochs=2).model.theta
    for given in (Dataset(whole.astype(int), Y), Dataset(whole.tolist(), Y.tolist()), Dataset(whole.astype(">f8"), Y)):
        np.testing.assert_array_equal(training.train_softmax(given, epochs=2).model.theta, expected)
    with pytest.raises(TypeError, match=r"^dataset is a tuple; expected a Dataset"):
        training.train_softmax((X, Y))


SETTINGS = {
    "solver": ("adam", ValueError, "^solver is 'adam'; expected one of sgd, lbfgs, newton-cg"),
    "epochs": (-1, ValueError, "^epochs is -1; expected at least 0"),
    "batch_size": (0, ValueError, "^batch_size is 0; expected at least 1"),
    "lr": (np.nan, ValueError, "^lr is nan; expected a finite number >= 0"),
    "momentum": (1, ValueError, "^momentum is 1.0; expected a number below 1"),
    "l2": (10**400, ValueError, "^l2 is "),
    "seed": (1.5, TypeError, "^seed is 1.5; expected an integer"),
    "callback": (3, TypeError, "^callback is 3; expected a function or None"),
}


@pytest.mark.parametrize(("name", "value", "error", "match"), [(name, *row) for name, row in SETTINGS.items()], ids=SETTINGS)
def test_settings_that_cannot_be(name, value, error, match):
    with pytest.raises(error, match=match):
        training.train_softmax(Dataset(X, Y), **{name: value})


MODELS = {
    "NaN": ((np.full((3, 2), np.nan), np.zeros(3)), ValueError, r"\.W\[0, 0\] is nan as float\d\d; expected finite numbers"),
    "flat": ((np.zeros(6), np.zeros(3)), ValueError, r"\.W has shape \(6,\), .*\.b \(3,\); expected \(classes, features\)"),
    "few biases": ((np.zeros((3, 2)), np.zeros(2)), ValueError, r"\.W has shape \(3, 2\), .*\.b \(2,\); expected"),
    "object": ((np.zeros((3, 2), object), np.zeros(3)), TypeError, r"\.W has dtype object"),
}


@pytest.mark.parametrize(("arrays", "error", "match"), MODELS.values(), ids=MODELS)
def test_models_that_cannot_be(arrays, error, match):
    with pytest.raises(error, match="^start" + match):
        training.train_softmax(Dataset(X, Y), start=SoftmaxModel(*arrays))
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


@pytest.mark.parametrize("minimize", ["lbfgs", "newton-cg", "sgd"])
def test_starts_that_cannot_be(minimize):
    objective, theta = SoftmaxObjective(X, Y), np.zeros(9)

    def run(theta, objective=objective, **options):
        if minimize == "sgd":
            settings = {"epochs": 1, "batch_size": 4, "lr": 0.1, "rng": 0} | options
            return softmax.minimize_sgd(objective, theta, **settings)
        return training.minimize_scipy(objective, theta, minimize, **options)[0]

    for wrong, error, match in (
        (theta + np.nan, ValueError, r"^theta\[0\] is nan as float\d\d; expected finite numbers"),
        (theta[:2], ValueError, r"^theta has shape \(2,\); expected \(9,\)"),
        (theta.astype(str), TypeError, "^theta has dtype <U"),
        (None, TypeError, "^theta has dtype object"),
    ):
        with pytest.raises(error, match=match):
            run(wrong)
    with pytest.raises(TypeError, match=r"^callback is 3; expected a function or None"):
        run(theta, callback=3)
    with pytest.raises(ValueError, match=r"^X\[7, 1\] is nan as float\d\d; expected finite numbers"):
        run(theta, SoftmaxObjective(NAN, Y))
    np.testing.assert_array_equal(run(theta.astype(int)), run(theta))


def test_settings_of_scipy_solvers_that_cannot_be():
    objective = SoftmaxObjective(X, Y)
    for options, error in (({"max_iter": -1}, ValueError), ({"max_iter": 1.5}, TypeError), ({"tol": np.nan}, ValueError)):
        with pytest.raises(error, match=f"^{next(iter(options))} is "):
            training.minimize_scipy(objective, np.zeros(9), "lbfgs", **options)


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
    trained = training.train_softmax(dataset, epochs=20)
    predicted = np.argmax(dataset.X_test @ trained.model.W.T + trained.model.b, axis=1)
    np.testing.assert_array_equal(predict(trained.model, dataset.X_test), predicted)
    assert trained.test_accuracy == np.mean(predicted == dataset.y_test) > 0.85


def test_confusion_matrix_counts_true_classes_down():
    y, predicted = np.array([0, 0, 1, 2, 2, 2]), np.array([0, 1, 1, 2, 0, 2])
    assert confusion_matrix(y, predicted, 4).tolist() == [[1, 1, 0, 0], [0, 1, 0, 0], [1, 0, 2, 0], [0, 0, 0, 0]]
    assert accuracy(y, predicted) == pytest.approx(4 / 6)


def test_plots_draw_on_the_axes_they_are_given(rng):
    pytest.importorskip("matplotlib")
    history = History([1.0, 0.5], [1.1, 0.8], [0.5, 0.75])
    axes = plot.new_figure().subplots(3)
    assert plot.loss_curves(history, axes[0]) is axes[0]
    assert [line.get_ydata().tolist() for line in axes[0].lines] == [[1.0, 0.5], [1.1, 0.8]]
    assert plot.confusion_matrix(np.array([[3, 1], [0, 4]]), axes[1]) is axes[1]
    assert [text.get_text() for text in axes[1].texts] == ["3", "1", "4"]
    W = rng.normal(size=(3, 6))
    shown = plot.weight_images(W, (2, 3)).images[0].get_array()
    np.testing.assert_allclose(shown[:2, :3], W[0].reshape(2, 3) / np.abs(W[0]).max())
    assert plot.weight_images(np.zeros((2, 12)), (2, 2, 3)).images[0].get_array().max() == 0


def test_plot_of_derivative_tests_names_what_failed(tmp_path, rng):
    pytest.importorskip("matplotlib")
    x = rng.normal(size=5)
    good = testing.gradient_test(lambda x: float(np.sum(np.sin(x))), np.cos, x, name="good")
    bad = testing.gradient_test(lambda x: float(np.sum(np.sin(x))), np.sin, x, name="bad")
    ax = plot.derivative_tests([("good", good), ("bad", bad)])
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["failed: bad", "zeroth order: slope 1", "first order: slope 2"]
    np.testing.assert_allclose(ax.lines[0].get_ydata(), good.zeroth_errors / good.zeroth_errors[0])
    plot.derivative_report(tmp_path / "checks.png", [("good", good), ("bad", bad)])
    assert (tmp_path / "checks.png").read_bytes().startswith(b"\x89PNG")


def test_plots_leave_pyplot_alone(tmp_path, digits):
    pytest.importorskip("matplotlib")
    before = sys.modules.get("matplotlib.pyplot")
    trained = training.train_softmax(digits, epochs=2)
    counts = confusion_matrix(trained.y_val, trained.predicted, 10)
    plot.training_report(tmp_path / "a.png", trained.history, trained.model, counts)
    plot.training_report(tmp_path / "b.svg", trained.history, SoftmaxModel(trained.model.W, trained.model.b), counts)
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in (tmp_path / "b.svg").read_bytes()
    assert sys.modules.get("matplotlib.pyplot") is before


def test_without_matplotlib_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"pip install 'fastlec\[plot\]'"):
        plot.check_path("a.png")
