"""Files of estimators: everything comes back; what `fastlec train` writes is an estimator, and `fastlec predict` takes what an
estimator writes. Pickles, joblib and skops hold estimators, too."""

import copy
import json
import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

import fastlec
from fastlec import io
from fastlec.sklearn import (
    ConvNetClassifier,
    KMeans,
    NetClassifier,
    NetRegressor,
    RobustRegressor,
    SoftmaxClassifier,
    load,
    save,
)

NUMBERS = NetRegressor, RobustRegressor
MODELS = {
    "softmax": SoftmaxClassifier(0.5, class_weight={"zero": 2.0}),
    "sgd": SoftmaxClassifier(solver="sgd", max_iter=2, learning_rate=fastlec.StepDecay(0.1, every=10), random_state=1),
    "net": NetClassifier((8, 4), epochs=2, activation="tanh", random_state=0),
    "residual": NetClassifier(
        (8, 8), residual=True, epochs=2, optimizer=fastlec.SGD(fastlec.CosineDecay(0.1, 40), momentum=0.5)
    ),
    "between": NetClassifier((8, 4), epochs=2, normalization="batch", dropout=0.25, random_state=0),
    "stopped": NetClassifier(4, epochs=2, early_stopping=fastlec.EarlyStopping(3), dtype="float64", random_state=0),
    "layers": NetClassifier([fastlec.Dense(64, 8), fastlec.Residual(8)], epochs=1, random_state=0),
    "images": ConvNetClassifier((8,), filters=(4,), image_shape=(8, 8), epochs=1, random_state=0),
    "signals": ConvNetClassifier((8,), filters=(4,), epochs=1, random_state=0),
    "numbers": NetRegressor((8,), epochs=2, early_stopping=True, random_state=0),
    "absolute": NetRegressor((), epochs=2, loss="absolute_error", optimizer="sgd", random_state=0),
    "huber": NetRegressor(
        (), epochs=2, loss=fastlec.Huber(0.5), optimizer=fastlec.ClipNorm(fastlec.RMSprop(0.1), 1.0), random_state=0
    ),
    "squares": NetRegressor((), epochs=2, loss=fastlec.MeanSquaredError(), optimizer=fastlec.AdamW(0.1), random_state=0),
    "plateau": NetClassifier(4, epochs=2, learning_rate=fastlec.ReduceOnPlateau(0.1, monitor="train_loss"), random_state=0),
    "clusters": KMeans(3, random_state=0),
    "given": KMeans(2, init=np.eye(2, 64, dtype=np.float32)),
    "robust": RobustRegressor("cauchy", scale=2.0),
}
FITTED = (
    "classes_",
    "coef_",
    "intercept_",
    "n_iter_",
    "loss_curve_",
    "validation_scores_",
    "cluster_centers_",
    "labels_",
    "inertia_",
)


class Doubled(fastlec.Layer):
    """y = 2 x."""

    def output_shape(self, shape):
        return shape

    def evaluate(self, x):
        return 2 * x, None

    def mv(self, kept, directions):
        return 2 * directions["x"]

    def tmv(self, kept, v, wrt):
        return dict.fromkeys(wrt, 2 * v)


@pytest.fixture(params=MODELS)
def model(request):
    return clone(MODELS[request.param])


@pytest.fixture
def samples(model, digits):
    X, y = digits
    return X, (y == "zero") * 1.0 if isinstance(model, NUMBERS) else y


def assert_same(found, model, X):
    assert type(found) is type(model)
    given, again = model.get_params(), found.get_params()
    assert given.keys() == again.keys()
    for name in given:
        if name.split("__")[-1] not in ("hidden", "init", "dtype") and not hasattr(given[name], "fit") and name != "steps":
            assert given[name] == again[name], name
    for method in ("predict", "predict_proba", "transform"):
        if hasattr(model, method):
            before, after = getattr(model, method)(X), getattr(found, method)(X)
            assert before.dtype == after.dtype
            assert (before == after).all(), method
    one, other = (part[-1] if isinstance(part, Pipeline) else part for part in (model, found))
    for name in FITTED:
        if hasattr(one, name):
            assert np.array_equal(getattr(one, name), getattr(other, name)), name
    assert getattr(model, "n_features_in_", None) == getattr(found, "n_features_in_", None)


@pytest.mark.parametrize("ending", ["npz", "safetensors"])
@pytest.mark.parametrize("scaled", [False, True], ids=["alone", "scaled"])
def test_everything_comes_back(ending, scaled, model, samples, tmp_path):
    if ending == "safetensors":
        pytest.importorskip("safetensors")
    X, y = samples
    path = tmp_path / f"model.{ending}"
    if scaled:
        model = make_pipeline(StandardScaler(), model).fit(X, y)
        save(path, model)
    else:
        model.fit(X, y).save(path)
        assert_same(type(model).load(path), model, X)
    found = load(path)
    assert_same(found, model, X)
    if hasattr(found, "partial_fit"):
        found.partial_fit(X, y)


def test_pickles_and_copies(model, samples):
    X, y = samples
    model.fit(X, y)
    for found in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model), copy.copy(model)):
        assert_same(found, model, X)
        if hasattr(model, "partial_fit") and model.random_state is not None:
            before, expected = copy.deepcopy(model), copy.deepcopy(model).partial_fit(X, y)
            assert (found.partial_fit(X, y).predict(X) == expected.predict(X)).all()
            assert (model.predict(X) == before.predict(X)).all()
    joblib = pytest.importorskip("joblib")
    (found,) = joblib.Parallel(n_jobs=1)([joblib.delayed(copy.deepcopy)(model)])
    assert_same(found, model, X)


def test_skops(model, samples):
    skops = pytest.importorskip("skops.io", reason="skops is not installed")
    X, y = samples
    if isinstance(getattr(model, "hidden", None), list):
        pytest.skip("layers of one's own are no parameters that skops holds")
    model = make_pipeline(StandardScaler(), model).fit(X, y)
    content = skops.dumps(model)
    unknown = skops.get_untrusted_types(data=content)
    assert all(name.startswith(("fastlec.sklearn.", "fastlec.training.", "fastlec.cluster.KMeansResult")) for name in unknown)
    assert_same(skops.loads(content, trusted=unknown), model, X)


def test_layers_of_ones_own_are_pickled_and_not_saved(digits, tmp_path):
    model = NetClassifier([fastlec.Dense(64, 8), Doubled()], epochs=1).fit(*digits)
    found = pickle.loads(pickle.dumps(model))
    assert (found.predict(digits[0]) == model.predict(digits[0])).all()
    with pytest.raises((TypeError, ValueError), match="Doubled"):
        model.save(tmp_path / "model.npz")


def test_a_fit_of_what_was_read_begins_anew(digits, tmp_path, command):
    """Layers among the parameters of a file's estimator are not those that were trained."""
    X, y = digits
    path = tmp_path / "model.npz"
    inner = fastlec.Network([fastlec.Dense(8, 8), fastlec.Residual(8)])
    given = NetClassifier([fastlec.Dense(64, 8), inner], epochs=2, random_state=0).fit(X, y)
    given.save(path)
    models = [load(path), pickle.loads(pickle.dumps(given))]
    first = [clone(model).fit(X, y).net_.theta for model in (given, *models)]
    assert (first[0] == first[1]).all()
    assert (first[0] == first[2]).all()
    command("train", "--model", "mlp", "--epochs", "1", "--save", tmp_path / "trained.npz")
    models.append(load(tmp_path / "trained.npz")[-1])
    for model in models:
        starts = [clone(model).set_params(epochs=0, random_state=seed).fit(X, y).net_.params["0.W"] for seed in (0, 0, 1)]
        assert (starts[0] == starts[1]).all()
        assert (starts[0] != starts[2]).all()
        assert (starts[0] != model.net_.params["0.W"]).any()
        assert not any(np.shares_memory(a, model.net_.theta) for layer in model.hidden for a in layer.params.values())


@pytest.mark.parametrize("labels", ["int", "bool", "object", "float", "int8"])
def test_labels_come_back_in_their_dtype(labels, digits, tmp_path):
    X, y = digits
    kinds = {"int": (y == "one") * 5 - 2, "bool": y == "one", "object": y.astype(object), "float": (y == "one") - 1.0}
    y = kinds[labels] if labels in kinds else kinds["int"].astype(labels)
    model = SoftmaxClassifier().fit(X, y)
    model.save(tmp_path / "model.npz")
    found = load(tmp_path / "model.npz")
    assert_same(found, model, X)
    assert found.classes_.dtype == y.dtype


def test_names_of_features_and_steps(digits, tmp_path):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(digits[0]).rename(columns="pixel {}".format)
    model = Pipeline([("scaler", StandardScaler(with_mean=False)), ("net", NetClassifier((4,), epochs=1))]).fit(
        frame, digits[1]
    )
    save(tmp_path / "model.npz", model)
    found = load(tmp_path / "model.npz")
    assert_same(found, model, frame)
    assert list(found.named_steps) == ["scaler", "net"]
    assert found.feature_names_in_.tolist() == frame.columns.tolist()


@pytest.mark.parametrize(
    ("model", "error", "match"),
    [
        (
            make_pipeline(MinMaxScaler(), NetClassifier(epochs=1)),
            TypeError,
            r"^model is a Pipeline of MinMaxScaler, NetClassifier; expected an estimator",
        ),
        (StandardScaler(), TypeError, r"^model is a StandardScaler; expected an estimator of fastlec.sklearn"),
        (
            NetClassifier(epochs=1, random_state=np.random.RandomState(0)),
            TypeError,
            r"^random_state is RandomState.*a file does not hold",
        ),
    ],
    ids=["MinMaxScaler", "no estimator", "random_state"],
)
def test_what_a_file_does_not_hold(model, error, match, digits, tmp_path):
    model.fit(*digits)
    with pytest.raises(error, match=match):
        save(tmp_path / "model.npz", model)
    assert not list(tmp_path.iterdir())


def test_what_is_not_fitted(tmp_path):
    from sklearn.exceptions import NotFittedError

    with pytest.raises(NotFittedError):
        NetClassifier().save(tmp_path / "model.npz")


def test_files_of_others_are_refused(digits, tmp_path):
    path = tmp_path / "model.npz"
    KMeans(2).fit(digits[0]).save(path)
    with pytest.raises(TypeError, match=r"holds a KMeans; expected a NetClassifier"):
        NetClassifier.load(path)
    fastlec.Network([fastlec.Dense(3, 2)]).save(path)
    with pytest.raises(io.ModelError, match="describes no estimator"):
        load(path)
    io.save_arrays(path, {"a": np.ones(3)}, {"kind": "other"})
    with pytest.raises(io.ModelError, match="'other', which no estimator has"):
        load(path)


@pytest.mark.parametrize("name", ["softmax", "net", "images", "clusters", "robust", "numbers"])
def test_files_that_lie_are_refused(name, digits, tmp_path):
    """Whatever of the facts is replaced by something else: a ModelError, or an estimator that predicts or says why not."""
    X, y = digits
    path, model = tmp_path / "model.npz", clone(MODELS[name])
    model.fit(X, (y == "zero") * 1.0 if isinstance(model, NUMBERS) else y).save(path)
    arrays, meta = io.load(path)

    def places(value, at=()):
        yield at
        for key, inner in value.items() if isinstance(value, dict) else ():
            yield from places(inner, (*at, key))

    refused = 0
    for at in list(places(meta))[1:]:
        for lie in (None, -1, "x", [1], {}, 1e300):
            changed = json.loads(json.dumps(meta))
            inner = changed
            for key in at[:-1]:
                inner = inner[key]
            inner[at[-1]] = lie
            io.save(path, arrays, changed)
            try:
                load(path).predict(X)
            except (io.ModelError, ValueError, TypeError):
                refused += 1
    assert refused > 20


def test_a_table_of_fastlec_train_is_a_pipeline(tmp_path, command):
    """`fastlec train` on a table equals StandardScaler and the estimator; each reads the other's files."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((150, 4)) * [1, 10, 0.1, 5] + [0, 100, 0, -3]
    y = np.array(["no", "perhaps", "yes"])[np.digitize(X[:, 0] + 0.1 * (X[:, 1] - 100), [-0.5, 0.5])]
    table = tmp_path / "table.csv"
    rows = [",".join([*map(repr, x.tolist()), label]) for x, label in zip(X, y, strict=True)]
    table.write_text("\n".join(["a,b,c,d,answer", *rows]) + "\n")
    path = tmp_path / "model.npz"
    command("train", "--data", table, "--solver", "lbfgs", "--l2", "0.01", "--save", path)

    train, _ = fastlec.data.split(np.unique(y, return_inverse=True)[1])
    codes = np.unique(y, return_inverse=True)[1]
    objective = fastlec.SoftmaxObjective(StandardScaler().fit_transform(X[train]), codes[train], l2=0.01)
    tol = 1e-6 * np.abs(objective.gradient(np.zeros(objective.n_params))).max()  # where `fastlec train` ends
    ours = make_pipeline(StandardScaler(), SoftmaxClassifier(1 / (0.01 * len(train)), tol=tol)).fit(X[train], y[train])
    found = load(path)
    assert [type(step) for _, step in found.steps] == [StandardScaler, SoftmaxClassifier]
    np.testing.assert_allclose(found[0].mean_, ours[0].mean_, rtol=1e-12)
    np.testing.assert_allclose(found[0].scale_, ours[0].scale_, rtol=1e-12)
    np.testing.assert_allclose(found[1].coef_, ours[1].coef_, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found[1].intercept_, ours[1].intercept_, rtol=1e-9, atol=1e-12)
    assert found.classes_.tolist() == ["no", "perhaps", "yes"]

    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=list("abcd"))
    for model in (SoftmaxClassifier(), NetClassifier((8,), epochs=5, random_state=0)):
        model = make_pipeline(StandardScaler(), model).fit(frame, y)
        path = tmp_path / f"{type(model[1]).__name__}.npz"
        save(path, model)
        command("predict", path, table, "--proba", "--save", tmp_path / "out.csv", "--overwrite")
        told = pandas.read_csv(tmp_path / "out.csv")
        assert (told["class"] == model.predict(frame)).all()
        np.testing.assert_allclose(told[["p(no)", "p(perhaps)", "p(yes)"]], model.predict_proba(frame), rtol=0, atol=2e-6)


def test_networks_of_fastlec_train(tmp_path, command):
    X, _ = fastlec.data.load_digits()
    for kind, expected in (("mlp", NetClassifier), ("lenet", ConvNetClassifier)):
        path = tmp_path / f"{kind}.npz"
        command("train", "--model", kind, "--epochs", "1", "--save", path)
        found = load(path)
        net = fastlec.Network.load(path)
        raw = np.rint(16 * X)
        X_net = X.astype(np.float32)
        right = net.predict(X_net if kind == "mlp" else X_net.reshape(-1, 1, 8, 8))
        assert isinstance(found[-1] if isinstance(found, Pipeline) else found, expected)
        assert (found.predict(raw if isinstance(found, Pipeline) else X) == right).all()
