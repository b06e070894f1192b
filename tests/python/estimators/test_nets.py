"""NetClassifier, NetRegressor and ConvNetClassifier: layers, training, weights, parts, early stopping."""

import pickle

import numpy as np
import pytest
from sklearn.metrics import r2_score
from sklearn.neural_network import MLPClassifier

import fastlec
from fastlec import Activation, BatchNorm, Dense, Dropout, EarlyStopping, LayerNorm, ProjectedResidual, Residual
from fastlec.sklearn import ConvNetClassifier, NetClassifier, NetRegressor, SoftmaxClassifier


@pytest.mark.parametrize("labels", [None, "int", "bool", "object", "float"])
def test_labels_of_any_kind(labels, digits):
    X, y = digits
    kinds = {
        "int": np.unique(y, return_inverse=True)[1] * 7 - 3,
        "bool": y == "zero",
        "object": y.astype(object),
        "float": (y == "one") * 2.0 - 1,
    }
    y = kinds.get(labels, y)
    model = NetClassifier((32,), epochs=10, learning_rate=0.01, random_state=0).fit(X, y)
    assert model.classes_.tolist() == np.unique(y).tolist()
    assert model.predict(X).dtype == y.dtype
    assert model.score(X, y) > 0.95
    p = model.predict_proba(X)
    assert p.shape == (600, len(model.classes_))
    assert p.dtype == np.float32
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(np.exp(model.predict_log_proba(X)), p, rtol=1e-5, atol=1e-7)


def test_the_layers():
    X, y = np.zeros((4, 3)), [0, 1, 0, 1]

    def kinds(**options):
        net = NetClassifier(epochs=1, **options).fit(X, y).net_
        return [(type(layer), layer.n_in if type(layer) is not Residual else layer.n) for layer in net.layers]

    assert kinds(hidden=(5, 6)) == [(Dense, 3), (Dense, 5), (Dense, 6)]
    assert kinds(hidden=5) == [(Dense, 3), (Dense, 5)]
    assert kinds(hidden=()) == [(Dense, 3)]
    assert kinds(hidden=(5, 5, 6), residual=True) == [(Dense, 3), (Residual, 5), (ProjectedResidual, 5), (Dense, 6)]
    assert kinds(hidden=[Dense(3, 7), Residual(7)]) == [(Dense, 3), (Residual, 7), (Dense, 7)]


@pytest.mark.parametrize("normalization", [None, "batch", "layer"])
@pytest.mark.parametrize("dropout", [0.0, 0.25])
def test_what_stands_between_the_hidden_layers(normalization, dropout, digits):
    X, y = digits
    options = {"normalization": normalization, "dropout": dropout, "learning_rate": 0.01, "random_state": 0}
    first, second = (NetClassifier((32, 16), epochs=10, **options).fit(X, y) for _ in range(2))
    norm = {None: [], "batch": [BatchNorm, Activation], "layer": [LayerNorm, Activation]}[normalization]
    hidden = [Dense, *norm, *([Dropout] if dropout else [])]
    assert [type(layer) for layer in first.net_.layers] == [*hidden, *hidden, Dense]
    assert all(layer.p == 0.25 for layer in first.net_.layers if type(layer) is Dropout)
    assert all(
        list(layer.params) == ["W"] for layer in first.net_.layers[:-1] if type(layer) is Dense and normalization == "batch"
    )
    assert first.score(X, y) > 0.9
    np.testing.assert_array_equal(first.predict_proba(X), second.predict_proba(X))
    blocks = NetClassifier((8, 8), residual=True, dropout=0.5, epochs=1).fit(X, y)
    assert [type(layer) for layer in blocks.net_.layers] == [Dense, Dropout, Residual, Dropout, Dense]


def test_dropout_goes_on_in_parts_and_after_pickles(digits):
    X, y = digits
    model = NetClassifier(8, dropout=0.5, normalization="batch", random_state=0)
    model.partial_fit(X, y)
    counted = lambda model: {name: a.tolist() for name, a in model.net_.buffers.items()}  # noqa: E731
    assert counted(model)["3.count"][0] == 19
    again = pickle.loads(pickle.dumps(model))
    assert counted(again) == counted(model)
    for one in (again, model):
        one.partial_fit(X, y)
    assert counted(again) == counted(model)
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    regressor = NetRegressor(32, dropout=0.1, normalization="layer", epochs=20, learning_rate=0.01, random_state=0)
    assert regressor.fit(X, X[:, 20]).score(X, X[:, 20]) > 0.8


@pytest.mark.parametrize("m", [33, 65, 64, 3])
def test_a_last_batch_of_one_sample_is_no_obstacle(m):
    X, y = np.random.default_rng(0).standard_normal((m, 3)), np.arange(m) % 2
    model = NetClassifier(4, normalization="batch", epochs=2).fit(X, y)
    assert model.net_.buffers["1.running_var"].min() > 0
    with pytest.raises(ValueError, match=r"x has shape \(1, 4\); expected more than one value of each feature"):
        NetRegressor(4, normalization="batch", epochs=1).fit(X[:1], [1.0])


def test_given_layers_are_drawn_anew_but_for_those_with_a_seed_and_stay_what_they_are(digits):
    X, y = digits
    layers = [Dense(64, 8, rng=0), Dense(8, 8)]
    kept = [layer.params["W"].copy() for layer in layers]
    first, second = (NetClassifier(layers, epochs=0, random_state=seed).fit(X, y).net_ for seed in (0, 1))
    assert (first.params["0.W"] == kept[0].astype(np.float32)).all()
    assert (first.params["1.W"] != second.params["1.W"]).any()
    assert all((layer.params["W"] == W).all() for layer, W in zip(layers, kept, strict=True))
    assert first.theta.dtype == np.float32


def test_initial_weights_are_those_of_scikit_learn_in_distribution():
    X, y = np.random.default_rng(0).standard_normal((4, 300)), [0, 1, 2, 0]
    ours = NetClassifier((200,), epochs=0).fit(X, y).net_.params
    theirs = MLPClassifier((200,), random_state=0, max_iter=1)
    theirs._random_state = np.random.RandomState(0)
    W, b = theirs._init_coef(300, 200, np.float64)
    for own, other in ((ours["0.W"], W), (ours["0.b"], b)):
        assert abs(own.std() / other.std() - 1) < 0.1
        assert abs(np.abs(own).max() / np.abs(other).max() - 1) < 0.05


def test_fit_is_that_of_the_library(digits):
    X, y = digits
    model = NetClassifier((16,), epochs=3, batch_size=50, learning_rate=0.01, l2=0.1, random_state=3)
    start = model.set_params(epochs=0).fit(X, y).net_
    shuffles = model._shuffles
    expected = fastlec.fit(
        start, X, np.unique(y, return_inverse=True)[1],
        optimizer=fastlec.Adam(0.01, weight_decay=0.1), batch_size=50, epochs=3, rng=shuffles,
    )  # fmt: skip
    model.set_params(epochs=3).fit(X, y)
    assert (model.net_.theta == start.theta).all()
    assert model.loss_curve_ == expected.train_loss
    assert model.loss_ == model.loss_curve_[-1]
    assert model.n_iter_ == 3


def test_a_seed_decides(digits):
    X, y = digits
    model = NetClassifier((16,), epochs=2, random_state=5)
    first = model.fit(X, y).net_.theta.copy()
    assert (model.fit(X, y).net_.theta == first).all()
    assert (model.set_params(random_state=6).fit(X, y).net_.theta != first).any()
    state = np.random.RandomState(0)
    model.set_params(random_state=state)
    assert (model.fit(X, y).net_.theta != model.fit(X, y).net_.theta).any()


@pytest.mark.parametrize("make", [NetClassifier, NetRegressor], ids=["classifier", "regressor"])
def test_weights_are_repetitions(make, table):
    X, y = table
    if make is NetClassifier:
        y = y > 0
    w = np.random.default_rng(1).integers(0, 3, len(y))
    model = make((8,), epochs=20, batch_size=1000, learning_rate=0.01, random_state=0)
    repeated = model.fit(X.repeat(w, axis=0), y.repeat(w)).net_.theta.copy()
    np.testing.assert_allclose(model.fit(X, y, sample_weight=w).net_.theta, repeated, rtol=1e-7, atol=1e-9)


def test_class_weights(digits):
    X, y = digits
    rare = np.concatenate([np.flatnonzero(y == "zero")[:10], np.flatnonzero(y == "one")])
    X, y = X[rare], y[rare]
    model = NetClassifier((8,), epochs=3, batch_size=1000, random_state=0)
    balanced = model.set_params(class_weight="balanced").fit(X, y).net_.theta.copy()
    m = len(y)
    by_hand = {"zero": m / 2 / 10, "one": m / 2 / (m - 10)}
    np.testing.assert_allclose(model.set_params(class_weight=by_hand).fit(X, y).net_.theta, balanced, rtol=1e-5)
    w = np.where(y == "zero", by_hand["zero"], by_hand["one"])
    np.testing.assert_allclose(model.set_params(class_weight=None).fit(X, y, w).net_.theta, balanced, rtol=1e-5)
    assert (model.fit(X, y).net_.theta != balanced).any()
    with pytest.raises(ValueError, match="zero for all samples"):
        model.set_params(class_weight={"zero": 0, "one": 0}).fit(X, y)


def test_parts_that_come_one_after_the_other(digits):
    """They are the epochs of a fit: Adam's moments and its count go on."""
    X, y = digits
    options = {"batch_size": 64, "learning_rate": 0.01, "random_state": 0}
    whole = NetClassifier((16,), epochs=4, **options).fit(X, y)
    parts = NetClassifier((16,), **options)
    for _ in range(4):
        parts.partial_fit(X, y)
    assert (parts.net_.theta == whole.net_.theta).all()
    assert parts.loss_curve_ == whole.loss_curve_
    whole.partial_fit(X, y)
    assert (parts.partial_fit(X, y).net_.theta == whole.net_.theta).all()
    assert parts.n_iter_ == whole.n_iter_ == 5
    parts.set_params(optimizer=fastlec.SGD(0.1)).partial_fit(X, y)  # which has other states


def test_the_classes_of_the_first_part(digits):
    X, y = digits
    some = np.isin(y, ["zero", "one"])
    model = NetClassifier((8,)).partial_fit(X[some], y[some], classes=["three", "two", "one", "zero"])
    assert model.classes_.tolist() == ["one", "three", "two", "zero"]
    assert model.predict_proba(X[:2]).shape == (2, 4)
    with pytest.raises(ValueError, match="previously unseen labels"):
        NetClassifier((8,)).partial_fit(X[some], y[some]).partial_fit(X, y)


def test_a_warm_start_goes_on(digits):
    X, y = digits
    model = NetClassifier((16,), epochs=2, warm_start=True, random_state=0).fit(X, y)
    first = model.net_
    model.fit(X, y)
    assert model.n_iter_ == len(model.loss_curve_) == 4
    assert model.loss_curve_[2] < model.loss_curve_[1]
    assert model.net_ is not first
    assert model.set_params(warm_start=False).fit(X, y).n_iter_ == 2


def test_early_stopping(digits, table):
    X, y = digits
    model = NetClassifier(
        (32,), epochs=200, learning_rate=0.02, early_stopping=True, validation_fraction=0.2, random_state=0
    ).fit(X, y)
    assert model.n_iter_ == len(model.validation_scores_) < 200
    assert model.n_iter_ == 10 + 1 + int(np.argmax(model.validation_scores_))
    assert NetClassifier(epochs=1).fit(X, y).validation_scores_ is None
    rule = EarlyStopping(patience=2, min_delta=1.0, monitor="train_loss")
    model.set_params(early_stopping=rule).fit(X, y)
    assert model.n_iter_ == 3
    assert model.validation_scores_ is None

    X, y = table
    model = NetRegressor((16,), epochs=30, early_stopping=True, validation_fraction=0.25, random_state=0).fit(X, y)
    samples = fastlec.training.samples.samples_of(model.net_, fastlec.MeanSquaredError(), X, y)
    _, aside = fastlec.training.samples.split_rows(samples, 0.25)
    assert len(aside) == 50
    assert max(model.validation_scores_) == pytest.approx(r2_score(y[aside], model.predict(X[aside])), rel=1e-9)


@pytest.mark.parametrize("outputs", [None, 1, 3])
def test_regression(outputs, table):
    X, y = table
    if outputs:
        y = np.stack([(k + 1) * y for k in range(outputs)], axis=1)
    model = NetRegressor((32,), epochs=100, learning_rate=0.01, random_state=0).fit(X, y)
    assert model.predict(X).shape == y.shape
    assert model.score(X, y) > 0.9
    assert NetRegressor((4,), epochs=1).fit(X.astype(np.float32), y).predict(X).dtype == np.float32
    parts = NetRegressor((32,), learning_rate=0.01, random_state=0)
    for _ in range(100):
        parts.partial_fit(X, y)
    assert (parts.predict(X) == model.predict(X)).all()
    with pytest.raises(ValueError, match=r"^y has 2 outputs; expected as many as before$"):
        parts.partial_fit(X, np.zeros((200, 2)))


@pytest.mark.parametrize("loss", ["absolute_error", "huber", fastlec.Huber(0.1)], ids=str)
def test_losses_that_outliers_move_less(loss, table):
    X, y = table
    spoilt = y.copy()
    spoilt[::10] += 1000
    options = {"hidden": (), "epochs": 100, "learning_rate": 0.05, "random_state": 0}
    squares, other = (NetRegressor(loss=name, **options).fit(X, spoilt) for name in ("squared_error", loss))
    assert np.median(np.abs(other.predict(X) - y)) < np.median(np.abs(squares.predict(X) - y)) / 2
    assert NetRegressor(**options).fit(X, spoilt).loss_curve_ == squares.loss_curve_
    options |= {"early_stopping": True, "epochs": 3}
    stopped = NetRegressor(loss=loss, **options).fit(X, y)
    own = {"absolute_error": fastlec.MeanAbsoluteError(), "huber": fastlec.Huber()}.get(loss, loss)
    _, aside = fastlec.training.samples.split_rows(fastlec.training.samples.samples_of(stopped.net_, own, X, y), 0.1)
    assert max(stopped.validation_scores_) == -own.value(stopped.predict(X[aside]), y[aside])


@pytest.mark.parametrize(
    ("name", "optimizer"),
    [
        ("adam", fastlec.Adam(0.01, weight_decay=0.1)),
        ("adamw", fastlec.AdamW(0.01, weight_decay=0.1)),
        ("rmsprop", fastlec.RMSprop(0.01, weight_decay=0.1)),
        ("sgd", fastlec.SGD(0.01, momentum=0.9, weight_decay=0.1)),
    ],
)
def test_optimizers_by_name(name, optimizer, digits):
    options = {"hidden": 8, "epochs": 3, "random_state": 0}
    named = NetClassifier(optimizer=name, learning_rate=0.01, l2=0.1, **options).fit(*digits)
    given = NetClassifier(optimizer=optimizer, **options).fit(*digits)
    assert named.loss_curve_ == given.loss_curve_
    assert (named.net_.theta == given.net_.theta).all()


@pytest.mark.parametrize("rate", [fastlec.StepDecay(0.1, 2, per="epoch"), fastlec.ReduceOnPlateau(0.5, 0.1, 0, "train_loss")])
@pytest.mark.parametrize("make", [NetClassifier, SoftmaxClassifier], ids=lambda make: make.__name__)
def test_rates_that_go_by_epochs_go_on_in_parts(make, rate, digits):
    X, y = digits
    options = {"solver": "sgd", "max_iter": 6} if make is SoftmaxClassifier else {"hidden": 8, "optimizer": "sgd", "epochs": 6}
    whole = make(learning_rate=rate, random_state=0, **options).fit(X, y)
    parts = make(learning_rate=rate, random_state=0, **options)
    for _ in range(3):
        parts.partial_fit(X, y)
    parts = pickle.loads(pickle.dumps(parts))
    for _ in range(3):
        parts.partial_fit(X, y)
    assert parts.loss_curve_ == whole.loss_curve_
    assert (parts.predict_proba(X) == whole.predict_proba(X)).all()
    with pytest.raises(ValueError, match=r"^the optimizer's lr monitors val_loss and validation is None"):
        parts.set_params(learning_rate=fastlec.ReduceOnPlateau(0.1)).partial_fit(X, y)


def test_images(digits):
    X, y = digits
    model = ConvNetClassifier((16,), filters=(4, 8), image_shape=(8, 8), epochs=8, learning_rate=0.01, random_state=0).fit(X, y)
    assert [type(layer).__name__ for layer in model.net_.layers] == (
        ["Conv2d", "MaxPool2d", "Conv2d", "MaxPool2d", "Flatten", "Dense", "Dense"]
    )
    assert model.net_.params["5.W"].shape == (16, 8 * 2 * 2)
    assert model.score(X, y) > 0.95


def test_signals_and_pictures_in_colour():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((20, 48)), np.arange(20) % 2
    model = ConvNetClassifier((), filters=(2,), epochs=0).fit(X, y)
    assert model.net_.params["0.W"].shape == (2, 1, 1, 3)
    assert model.net_.params["3.W"].shape == (2, 2 * 24)
    model = ConvNetClassifier((), filters=(2,), image_shape=(4, 4, 3), epochs=0).fit(X, y)
    pixels = X.reshape(20, 4, 4, 3).transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(model.predict_proba(X), model.net_.predict_proba(pixels))
    model = ConvNetClassifier([fastlec.Conv2d(3, 2, 3), fastlec.AvgPool2d(2)], image_shape=(4, 4, 3), epochs=1).fit(X, y)
    assert [type(layer).__name__ for layer in model.net_.layers] == ["Conv2d", "AvgPool2d", "Flatten", "Dense"]
    assert ConvNetClassifier(epochs=1).fit(X[:, :1], y).predict(X[:, :1]).shape == (20,)


def test_losses_that_cannot_be(table):
    for loss, error, match in (
        ("poisson", ValueError, "^loss is 'poisson'; expected one of squared_error, absolute_error, huber$"),
        (fastlec.Huber, TypeError, "^loss is <class.*, a class; expected"),
        (None, TypeError, "^loss is None; expected"),
    ):
        with pytest.raises(error, match=match):
            NetRegressor(loss=loss, epochs=1).fit(*table)


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"hidden": (8, 0)}, ValueError, r"^hidden\[1\] is 0; expected at least 1$"),
        ({"hidden": "8"}, TypeError, r"^hidden is '8'; expected sizes, such as \(100,\), or a list of layers$"),
        ({"hidden": None}, TypeError, r"^hidden is None; expected sizes"),
        ({"hidden": [8, Dense(8, 8)]}, TypeError, r"^hidden is \[8, Dense.*expected sizes"),
        ({"hidden": [Dense(9, 8)]}, ValueError, r"^X has samples of shape \(64,\); expected \(9,\)"),
        ({"hidden": [Dense(64, 8)], "residual": True}, ValueError, r"^residual is True and hidden a list of layers"),
        ({"normalization": "group"}, ValueError, r"^normalization is 'group'; expected 'batch', 'layer' or None$"),
        ({"normalization": 1}, ValueError, r"^normalization is 1; expected 'batch', 'layer' or None$"),
        (
            {"normalization": "batch", "residual": True},
            ValueError,
            r"^normalization is 'batch' and residual True; expected None",
        ),
        (
            {"hidden": [Dense(64, 8)], "normalization": "layer"},
            ValueError,
            r"^normalization is 'layer' and hidden a list of lay",
        ),
        (
            {"hidden": [Dense(64, 8)], "dropout": 0.5},
            ValueError,
            r"^dropout is 0.5 and hidden a list of layers; expected sizes",
        ),
        ({"dropout": 1.0}, ValueError, r"^dropout is 1.0; expected a probability of at least 0 and below 1$"),
        ({"dropout": None}, TypeError, r"^dropout is None; expected a number$"),
        ({"residual": 1}, TypeError, r"^residual is 1; expected True or False$"),
        ({"activation": "step"}, ValueError, r"^activation"),
        ({"optimizer": fastlec.SGD(0.1), "l2": 0.1}, ValueError, r"^l2 is 0.1 and optimizer SGD\(.*expected l2=0"),
        ({"optimizer": fastlec.SGD}, TypeError, r"^optimizer is <class.*, a class; expected"),
        ({"optimizer": "lbfgs"}, ValueError, r"^optimizer is 'lbfgs'; expected one of adam, adamw, rmsprop, sgd$"),
        ({"learning_rate": -1}, ValueError, r"^learning_rate is -1"),
        ({"epochs": -1}, ValueError, r"^epochs is -1; expected at least 0$"),
        ({"l2": -1}, ValueError, r"^l2 is -1.0; expected a finite number >= 0$"),
        ({"early_stopping": "yes"}, TypeError, r"^early_stopping is 'yes'; expected True or False$"),
        ({"early_stopping": True, "validation_fraction": 2}, ValueError, r"^validation_fraction is 2.0; expected a share"),
        ({"warm_start": None}, TypeError, r"^warm_start is None; expected True or False$"),
        ({"dtype": "int"}, TypeError, r"^dtype is int64; expected float32 or float64$"),
    ],
)
def test_what_cannot_be(options, error, match, digits):
    model = NetClassifier(**{"epochs": 1} | options)
    with pytest.raises(error, match=match):
        model.fit(*digits)
    assert not hasattr(model, "net_")


@pytest.mark.parametrize("shape", [(8,), (8, 9), (4, 4, 5), (8, 8, 1, 1), "88"])
def test_image_shapes_that_cannot_be(shape, digits):
    with pytest.raises((ValueError, TypeError), match=r"^image_shape is"):
        ConvNetClassifier(image_shape=shape, epochs=1).fit(*digits)


def test_an_error_leaves_the_last_fit(digits):
    X, y = digits
    model = NetClassifier((8,), epochs=1, warm_start=True, random_state=0).fit(X, y)
    theta = model.net_.theta.copy()
    with pytest.raises(FloatingPointError, match="diverged"):
        model.set_params(optimizer=fastlec.SGD(1e30)).fit(X, y)
    assert (model.net_.theta == theta).all()
    assert model.n_iter_ == 1


def test_verbose_shows_epochs(digits, capsys):
    NetClassifier((8,), epochs=2, verbose=True).fit(*digits)
    assert "2/2" in capsys.readouterr().err
    NetClassifier((8,), epochs=2).fit(*digits)
    assert capsys.readouterr() == ("", "")
