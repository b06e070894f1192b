"""Fits after the first: what they keep, what they refuse, and that nothing changes where they fail."""

import copy

import numpy as np
import pytest
from sklearn.base import clone

import fastlec
from fastlec.sklearn import ConvNetClassifier, KMeans, NetClassifier, NetRegressor, RobustRegressor, SoftmaxClassifier

MODELS = {
    "softmax": SoftmaxClassifier(),
    "sgd": SoftmaxClassifier(solver="sgd", max_iter=2),
    "net": NetClassifier((8,), epochs=1, random_state=0),
    "images": ConvNetClassifier((8,), filters=(4,), epochs=1, random_state=0),
    "numbers": NetRegressor((8,), epochs=1, random_state=0),
    "clusters": KMeans(3, random_state=0),
    "robust": RobustRegressor(),
}


def interrupted(step):
    """A schedule whose third step Ctrl-C comes in."""
    if step >= 2:
        raise KeyboardInterrupt
    return 0.01


@pytest.fixture(params=MODELS)
def model(request):
    return clone(MODELS[request.param])


@pytest.fixture
def samples(model, digits):
    X, y = digits
    return X, (y == "zero") * 1.0 if isinstance(model, NetRegressor | RobustRegressor) else y


def test_a_fit_that_fails_leaves_the_last_one(model, samples):
    X, y = samples
    negative = np.full(len(X), -1.0)
    fresh = vars(model).copy()
    with pytest.raises(ValueError, match="sample_weight"):
        model.fit(X, y, sample_weight=negative)
    assert vars(model) == fresh
    before, predicted = vars(model.fit(X, y)).copy(), model.predict(X)
    for method in (model.fit, getattr(model, "partial_fit", model.fit)):
        with pytest.raises(ValueError, match="sample_weight"):
            method(X[:, :32] if method == model.fit else X, y, sample_weight=negative)
    assert vars(model).keys() == before.keys()
    assert all(vars(model)[name] is value for name, value in before.items())
    assert (model.predict(X) == predicted).all()


@pytest.mark.parametrize("name", ["sgd", "net", "images", "numbers"])
def test_ctrl_c_leaves_the_last_fit(name, digits):
    X, y = digits
    model = clone(MODELS[name])
    y = (y == "zero") * 1.0 if name == "numbers" else y
    model.fit(X, y)
    before, predicted = vars(model).copy(), model.predict(X)
    state = copy.deepcopy(model._optimizer_state)
    model.learning_rate = before["learning_rate"] = interrupted
    for act in (lambda: model.fit(X[:, :32], y), lambda: model.partial_fit(X, y)):
        with pytest.raises(KeyboardInterrupt):
            act()
        assert vars(model).keys() == before.keys()
        assert all(vars(model)[name] is value for name, value in before.items())
        assert (model.predict(X) == predicted).all()
        assert all((model._optimizer_state[name] == value).all() for name, value in state.items())


@pytest.mark.parametrize(
    ("model", "changed"),
    [
        ("net", {"hidden": (5,)}),
        ("net", {"hidden": [fastlec.Dense(64, 8)]}),
        ("net", {"activation": "tanh"}),
        ("net", {"residual": True}),
        ("net", {"dtype": "float64"}),
        ("numbers", {"hidden": ()}),
        ("images", {"filters": (2,)}),
        ("images", {"kernel_size": 5}),
        ("images", {"image_shape": (8, 8)}),
    ],
    ids=str,
)
def test_what_a_network_is_made_by_stays(model, changed, digits, tmp_path):
    """It is refused where it would have no effect; what was fitted predicts as before."""
    X, y = digits
    model = clone(MODELS[model]).set_params(warm_start=True)
    y = (y == "zero") * 1.0 if isinstance(model, NetRegressor) else y
    before = model.fit(X, y).predict(X)
    model.set_params(**changed)
    (name,) = changed
    for act in (lambda: model.fit(X, y), lambda: model.partial_fit(X, y), lambda: model.save(tmp_path / "model.npz")):
        with pytest.raises(ValueError, match=rf"^{name} is .*; expected .*, by which the network was made: .* fit a clone$"):
            act()
    assert (model.predict(X) == before).all()
    assert not list(tmp_path.iterdir())
    assert model.set_params(warm_start=False).fit(X, y).n_iter_ == 1


def test_what_a_network_is_made_by_may_be_written_otherwise(digits):
    X, y = digits
    layers = [fastlec.Dense(64, 8)]
    for first, second in (
        ({"hidden": 8, "dtype": "float32"}, {"hidden": [8], "dtype": np.float32}),
        ({"hidden": (8, 4)}, {"hidden": np.array([8, 4])}),
        ({"hidden": layers}, {"hidden": tuple(layers)}),
    ):
        model = NetClassifier(epochs=1, warm_start=True, **first).fit(X, y)
        assert copy.deepcopy(model).fit(X, y).n_iter_ == 2
        assert model.set_params(**second, batch_size=50, learning_rate=0.1, class_weight="balanced").fit(X, y).n_iter_ == 2
        assert model.partial_fit(X, y).n_iter_ == 3


def test_a_fit_at_once_leaves_nothing_of_steps(digits):
    X, y = digits
    model = SoftmaxClassifier(solver="sgd", max_iter=2).fit(X, y)
    assert len(model.loss_curve_) == 2
    fresh = SoftmaxClassifier().fit(X, y)
    model.set_params(solver="lbfgs", max_iter=None).fit(X, y)
    assert vars(model).keys() == vars(fresh).keys()
    assert (model.coef_ == fresh.coef_).all()


def test_a_warm_start_in_another_dtype(digits):
    X, y = digits
    for solver in ("lbfgs", "sgd"):
        model = SoftmaxClassifier(solver=solver, warm_start=True, max_iter=None if solver == "lbfgs" else 2)
        assert model.fit(X.astype(np.float64), y).coef_.dtype == np.float64
        assert model.fit(X, y).coef_.dtype == model.intercept_.dtype == np.float32


@pytest.mark.parametrize("name", ["sgd", "net"])
def test_the_classes_of_parts(name, digits):
    X, y = digits
    labels = np.unique(y)
    model = clone(MODELS[name]).partial_fit(X, y, classes=labels[::-1].tolist())
    model.partial_fit(X, y, classes=labels)
    assert model.n_iter_ == 2
    for classes, match in (
        (labels[:2], r"^classes is \['one', 'three'\]; expected those that are known, \['one', 'three', 'two', 'zero'\]$"),
        (range(4), r"^classes is \[0, 1, 2, 3\]; expected those that are known"),
        ([labels], r"^classes has shape \(1, 4\); expected \(l,\), one label for each class$"),
        ([0.0, np.nan], r"^classes\[1\] is nan"),
    ):
        with pytest.raises(ValueError, match=match):
            model.partial_fit(X, y, classes=classes)
    assert model.n_iter_ == 2


@pytest.mark.parametrize("model", [NetRegressor((4,), epochs=1), RobustRegressor()], ids=["net", "robust"])
def test_targets_too_large_for_float32(model, digits):
    X, y = digits
    with pytest.raises((FloatingPointError, ValueError), match=r"^y\[.*\] is inf as float32; expected finite numbers$"):
        model.fit(X, 1e300 * (y == "zero"))
