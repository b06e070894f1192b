"""scikit-learn's callbacks: when they are called, with what, and that they can end a fit."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastlec import EarlyStopping
from fastlec.sklearn import KMeans, NetClassifier, NetRegressor, RobustRegressor, SoftmaxClassifier

callback = pytest.importorskip("sklearn.callback", reason="scikit-learn has callbacks from 1.9 on")


class Recorder:
    """Notes what is called; asks for an end after so many epochs."""

    def __init__(self, stop_after=None):
        self.calls, self.fitted, self.stop_after = [], [], stop_after

    def setup(self, estimator, context):
        self.calls.append("setup")

    def on_fit_task_begin(self, estimator, context, *, X=None, y=None, metadata=None, fitted_estimator=None):
        self.calls.append(f"begin {context.task_name} {context.task_id}")
        self.seen = X, y, metadata

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        self.calls.append(f"end {context.task_name} {context.task_id}")
        self.fitted.append(fitted_estimator)
        return self.stop_after is not None and context.task_id + 1 == self.stop_after and context.parent is not None

    def teardown(self, estimator, context):
        self.calls.append("teardown")


def epochs(count):
    return [f"{when} epoch {i}" for i in range(count) for when in ("begin", "end")]


@pytest.mark.parametrize(
    "model", [NetClassifier((8,), epochs=3), SoftmaxClassifier(solver="sgd", max_iter=3)], ids=["net", "sgd"]
)
def test_each_epoch_begins_and_ends(model, digits):
    X, y = digits
    recorder = Recorder()
    assert model.set_callbacks(recorder) is model
    model.fit(X, y, np.ones(len(y)))
    assert recorder.calls == ["setup", "begin fit 0", *epochs(3), "end fit 0", "teardown"]
    X_seen, y_seen, metadata = recorder.seen
    assert (X_seen == X).all()
    assert (y_seen == y).all()
    assert metadata["sample_weight"].shape == y.shape
    assert [fitted.n_iter_ for fitted in recorder.fitted] == [1, 2, 3, 3]
    scores = [fitted.score(X, y) for fitted in recorder.fitted]
    assert scores[-2] == scores[-1] == model.score(X, y)
    assert scores[0] < scores[-1]


def test_a_callback_ends_the_fit(digits):
    recorder = Recorder(stop_after=2)
    model = NetClassifier((8,), epochs=5).set_callbacks(recorder).fit(*digits)
    assert recorder.calls == ["setup", "begin fit 0", *epochs(2), "end fit 0", "teardown"]
    assert model.n_iter_ == 2


def test_no_epoch_begins_that_early_stopping_leaves_out(digits):
    recorder = Recorder()
    rule = EarlyStopping(patience=1, min_delta=10, monitor="train_loss")
    model = NetClassifier((8,), epochs=5, early_stopping=rule).set_callbacks(recorder).fit(*digits)
    assert recorder.calls == ["setup", "begin fit 0", *epochs(model.n_iter_), "end fit 0", "teardown"]
    assert model.n_iter_ == 2


def test_the_callback_is_told_where_a_fit_fails(digits):
    X, y = digits
    recorder = Recorder()
    with pytest.raises(FloatingPointError):
        NetRegressor(epochs=2).set_callbacks(recorder).fit(X, 1e30 * (y == "zero"))
    assert recorder.calls[-1] == "teardown"


@pytest.mark.parametrize("solver", ["lbfgs", "newton-cg"])
def test_iterations_of_solvers(solver, digits):
    """As of scikit-learn's own, the last subtask is one that nothing came of."""
    recorder = Recorder()
    model = SoftmaxClassifier(solver=solver).set_callbacks(recorder).fit(*digits)
    assert recorder.calls.count("setup") == recorder.calls.count("teardown") == 1
    subtasks = [call for call in recorder.calls if "iteration" in call]
    assert subtasks == [f"{when} iteration {i}" for i in range(model.n_iter_ + 1) for when in ("begin", "end")]
    assert recorder.fitted[0].score(*digits) <= model.score(*digits)
    stopped = SoftmaxClassifier(solver=solver).set_callbacks(Recorder(stop_after=2)).fit(*digits)
    assert stopped.n_iter_ == 2


@pytest.mark.parametrize("model", [KMeans(3), RobustRegressor()], ids=lambda model: type(model).__name__)
def test_a_fit_without_subtasks(model, table):
    recorder = Recorder()
    model.set_callbacks(recorder).fit(*table)
    assert recorder.calls == ["setup", "begin fit 0", "end fit 0", "teardown"]
    assert isinstance(recorder.fitted[0], BaseEstimator)
    assert (recorder.fitted[0].predict(table[0]) == model.predict(table[0])).all()


def test_callbacks_of_scikit_learn(digits):
    X, y = digits
    monitor = callback.ScoringMonitor(scoring="accuracy")
    model = NetClassifier((8,), epochs=3, random_state=0).set_callbacks(monitor)
    make_pipeline(StandardScaler(), model).fit(X, y)
    scores = [row["accuracy"] for row in monitor.get_logs().data if row["task_name"] == "epoch"]
    assert scores[-1] == model.score(StandardScaler().fit_transform(X), y)
    assert len(scores) == 3
