"""What prints of losses, optimizers, schedules and rules can be evaluated; what prints of results and objectives is one line."""

import importlib

import numpy as np
import pytest

import fastlec
from fastlec import regression

SETTINGS = [
    fastlec.SoftmaxCrossEntropy(),
    fastlec.SoftmaxCrossEntropy(0.1, ignore_index=-100),
    fastlec.MeanSquaredError(),
    fastlec.MeanAbsoluteError(),
    fastlec.Huber(0.5),
    fastlec.BinaryCrossEntropy([1.0, 2.0]),
    fastlec.SGD(0.1, momentum=0.9, nesterov=True),
    fastlec.Adam(fastlec.CosineDecay(0.1, steps=10, per="epoch"), betas=(0.5, 0.75)),
    fastlec.AdamW(),
    fastlec.RMSprop(fastlec.ReduceOnPlateau(0.1, patience=3)),
    fastlec.ClipNorm(fastlec.SGD(fastlec.StepDecay(0.5, every=3)), 1),
    fastlec.ExponentialDecay(0.5, 0.9, warmup=2),
    fastlec.EarlyStopping(patience=3, monitor="train_loss"),
]


@pytest.mark.parametrize("value", SETTINGS, ids=lambda value: type(value).__name__)
def test_settings_can_be_evaluated(value):
    again = eval(repr(value), vars(fastlec).copy())
    assert type(again) is type(value)
    assert again == value
    assert repr(again) == repr(value)


def objective(l2=0.0):
    X, y = fastlec.datasets.make_blobs(30, 3)
    net = fastlec.Network([fastlec.Dense(2, 3, "identity", dtype=np.float32)], rng=0)
    return fastlec.Objective(net, fastlec.SoftmaxCrossEntropy(), X, y, l2=l2)


def test_an_objective_tells_its_parts():
    assert repr(objective()) == "<Objective: SoftmaxCrossEntropy() of 30 samples, 9 parameters in float32>"
    assert repr(objective(0.5)) == "<Objective: SoftmaxCrossEntropy() of 30 samples, l2 0.5, 9 parameters in float32>"


def test_a_step_tells_how_many_were_made():
    f = objective()
    step = fastlec.training_step(f.net, f.loss, fastlec.SGD(0.5), 30)
    assert repr(step).endswith("nesterov=False), 0 steps made>")
    step(f.X, f.y)
    assert repr(step).endswith("nesterov=False), 1 step made>")


def test_a_history_tells_the_last_epoch():
    assert repr(fastlec.History()) == "<History of 0 epochs: nothing measured>"
    history = fastlec.History([2.0, 1.25], [3.0, 2.0], seconds=[1.0, 1.0], best_epoch=2, train_accuracy=[0.5, 0.75])
    assert repr(history) == "<History of 2 epochs: train_loss 1.25, val_loss 2, train_accuracy 0.75, best epoch 2>"
    assert repr(fastlec.History([1.0], unit="iteration")) == "<History of 1 iteration: train_loss 1>"


def test_notebooks_show_the_last_epochs():
    table = fastlec.History([1.0 / (i + 1) for i in range(50)], val_accuracy=[0.5] * 50, train_accuracy=[1.0])._repr_html_()
    assert table.startswith("<table><tr><th>epoch</th><th>train_loss</th><th>val_accuracy</th></tr><tr><td>31</td>")
    assert table.count("<tr>") == 21
    assert table.endswith("<tr><td>50</td><td>0.02</td><td>0.5</td></tr></table>")
    assert "<th>a &lt; b</th>" in fastlec.History(unit="a < b")._repr_html_()
    assert fastlec.History()._repr_html_() == "<table><tr><th>epoch</th></tr></table>"


def test_results_print_in_a_line():
    found = fastlec.gauss_newton(lambda x: x - np.arange(50.0), np.zeros(50), jac=lambda x: np.eye(50), damping=0)
    assert repr(found).startswith("<GaussNewtonResult: cost 0, 1 iterations, converged")
    assert repr(found).endswith("x = [ 0.  1.  2. ... 47. 48. 49.]>")
    x = np.linspace(0, 1, 20)
    sample = regression.generate_true_model(x, rng=0)
    assert repr(sample) == "<TrueModel: 20 points>"
    fits = regression.fit_polynomials(x, sample.y_noisy, [0, 2, 5])
    assert repr(fits) == f"<PolynomialFits: 3 degrees from 0 to 5, corner {fits.corner}>"
    path = regression.ridge_path(sample.A, sample.y_noisy, [1.0, 0.25])
    assert repr(path) == "<RegularizationPath: ridge of 20 samples, 2 lambdas from 1 to 0.25>"
    assert repr(regression.truncated_svd_path(sample.A, sample.y_noisy)).endswith("3 ranks from 1 to 3>")


def test_a_data_set_prints_in_a_line():
    Dataset = fastlec.data.Dataset
    X, y = np.zeros((4, 2, 3)), np.array([0, 1, 1, 2])
    assert repr(fastlec.data.digits()) == "<Dataset digits (UCI, 8 x 8): 1797 samples of 64 features, 10 classes>"
    assert repr(Dataset(X, y)) == "<Dataset: 4 samples of 6 features, 3 classes>"
    assert repr(Dataset(X, None, name="a")) == "<Dataset a: 4 samples of 6 features, no classes>"
    assert repr(Dataset(X, y, X, y, classes=("a", "b", "c", "d"))) == (
        "<Dataset: 4 samples of 6 features, 4 classes, 4 to test>"
    )


@pytest.mark.parametrize("name", ["curvature", "data", "datasets", "io", "plot", "preprocessing", "regression", "training"])
def test_a_module_lists_what_users_need(name):
    module = importlib.import_module(f"fastlec.{name}")
    assert dir(module) == sorted(module.__all__)
    assert all(hasattr(module, public) for public in module.__all__)
    own = (item for item in map(module.__dict__.get, module.__all__) if item is not None)
    assert all(item.__module__.startswith("fastlec") for item in own)
