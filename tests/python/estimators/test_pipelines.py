"""Estimators within scikit-learn's tools: pipelines, searches, calibration, validation, tables of pandas, processes and threads."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import VotingClassifier
from sklearn.metrics import adjusted_rand_score
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import fastlec
from fastlec import datasets
from fastlec.sklearn import ConvNetClassifier, KMeans, NetClassifier, NetRegressor, RobustRegressor, SoftmaxClassifier

CLASSIFIERS = [
    SoftmaxClassifier(),
    NetClassifier((16,), epochs=8, learning_rate=0.01, random_state=0),
    ConvNetClassifier((16,), filters=(4,), image_shape=(8, 8), epochs=4, learning_rate=0.01, random_state=0),
]


@pytest.mark.parametrize("model", CLASSIFIERS, ids=lambda model: type(model).__name__)
def test_a_pipeline_is_calibrated_and_validated(model, digits):
    X, y = digits
    pipeline = make_pipeline(StandardScaler(), model)
    assert cross_val_score(pipeline, X, y, cv=3).min() > 0.9
    calibrated = CalibratedClassifierCV(pipeline, method="sigmoid", cv=3).fit(X, y)
    assert calibrated.score(X, y) > 0.95
    assert calibrated.predict_proba(X).shape == (600, 4)


@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_a_search_over_parameters(backend, n_jobs, digits):
    """In processes and in threads the results are those of one after the other."""
    joblib = pytest.importorskip("joblib")
    X, y = digits
    model = NetClassifier((8,), epochs=2, random_state=0)
    grid = {"hidden": [(8,), (8, 8)], "optimizer": [None, fastlec.SGD(0.1, momentum=0.9)]}
    with joblib.parallel_backend(backend, n_jobs=n_jobs):
        search = GridSearchCV(model, grid, cv=2).fit(X, y)
    alone = [cross_val_score(clone(model).set_params(**one), X, y, cv=2).mean() for one in search.cv_results_["params"]]
    assert search.cv_results_["mean_test_score"].tolist() == alone
    best = clone(model).set_params(**search.best_params_).fit(X, y)
    assert (search.predict_proba(X) == best.predict_proba(X)).all()


def test_workers_of_joblib_share_the_cores_out():
    joblib = pytest.importorskip("joblib")
    cpus, n_jobs = joblib.cpu_count(), 2
    most = joblib.Parallel(n_jobs=n_jobs)(joblib.delayed(fastlec.get_num_threads)() for _ in range(4))
    assert max(most) <= max(cpus // n_jobs, 1)


def test_threads_that_fit_at_once(digits):
    X, y = digits
    joblib = pytest.importorskip("joblib")
    models = [NetClassifier((64,), epochs=3, random_state=seed) for seed in range(4)]
    alone = [clone(model).fit(X, y).net_.theta for model in models]
    fitted = joblib.Parallel(n_jobs=4, backend="threading")(joblib.delayed(model.fit)(X, y) for model in models)
    assert all((model.net_.theta == theta).all() for model, theta in zip(fitted, alone, strict=True))


def test_regressors_in_a_pipeline(table):
    X, y = table
    scaled = TransformedTargetRegressor(
        NetRegressor((16,), epochs=60, learning_rate=0.01, random_state=0), transformer=StandardScaler()
    )
    assert cross_val_score(make_pipeline(StandardScaler(), scaled), 100 * X + 7, 1000 * y + 3, cv=3).min() > 0.8
    assert cross_val_score(RobustRegressor(), X, y, cv=3).min() > 0.5


def test_an_ensemble_with_weights(digits):
    X, y = digits
    model = VotingClassifier([(type(model).__name__, model) for model in CLASSIFIERS[:2]], voting="soft")
    assert model.fit(X, y, sample_weight=np.ones(len(y))).score(X, y) > 0.95


def test_tables_of_pandas(digits):
    pandas = pytest.importorskip("pandas")
    X, y = digits
    frame = pandas.DataFrame(X, columns=[f"pixel {i}" for i in range(64)])
    model = NetClassifier((8,), epochs=1, random_state=0).fit(frame, pandas.Series(y, dtype="string"))
    assert model.feature_names_in_.tolist() == list(frame.columns)
    assert (model.predict(frame) == NetClassifier((8,), epochs=1, random_state=0).fit(X, y).predict(X)).all()
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame.rename(columns={"pixel 3": "pixel"}))
    distances = KMeans(3, random_state=0).set_output(transform="pandas").fit(frame).transform(frame)
    assert distances.columns.tolist() == ["kmeans0", "kmeans1", "kmeans2"]
    assert distances.to_numpy().dtype == np.float32


@pytest.mark.parametrize("model", [*CLASSIFIERS, NetRegressor((4,), epochs=1), KMeans(), RobustRegressor()], ids=str)
def test_a_table_of_pandas_is_fitted_without_a_warning(model, digits):
    pandas = pytest.importorskip("pandas")
    X, y = digits
    frame = pandas.DataFrame(X, columns=[f"pixel {i}" for i in range(64)])
    y = y if hasattr(model, "predict_proba") else (y == "zero") * 1.0
    model = clone(model).fit(frame, y)
    assert model.feature_names_in_.tolist() == list(frame.columns)
    assert len(model.predict(frame)) == len(frame)
    assert np.isfinite(model.score(frame, y))


@pytest.mark.parametrize("model", [*CLASSIFIERS, NetRegressor(), KMeans()], ids=lambda model: type(model).__name__)
def test_sparse_samples_are_refused_by_name(model):
    sparse = pytest.importorskip("scipy.sparse")
    with pytest.raises(TypeError, match="Sparse data was passed for X"):
        model.fit(sparse.eye_array(64, format="csr"), np.arange(64) % 2)


def test_robust_regression_of_sparse_samples(table):
    sparse = pytest.importorskip("scipy.sparse")
    X, y = table
    X = np.where(np.abs(X) > 1, X, 0)
    y = y + 100 * (np.arange(200) % 10 == 0)
    for bias in (True, False):
        dense = RobustRegressor(fit_intercept=bias).fit(X, y)
        found = RobustRegressor(fit_intercept=bias).fit(sparse.csr_array(X), y)
        np.testing.assert_allclose(found.coef_, dense.coef_, rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(found.predict(sparse.csr_array(X)), dense.predict(X), rtol=1e-5, atol=1e-7)
    assert dense.intercept_ == 0
    assert (np.flatnonzero(dense.outliers_)[:20] >= 0).all()
    assert dense.outliers_[::10].all()


def test_clusters():
    X, y = datasets.make_blobs(300, 3)
    model = KMeans(3, random_state=0)
    assert adjusted_rand_score(y, model.fit_predict(X)) == 1
    assert model.score(X) == pytest.approx(-model.inertia_)
    assert model.score(X, sample_weight=np.full(300, 2)) == pytest.approx(-2 * model.inertia_)
    w = np.where(np.arange(300) < 10, 0, 3.0)
    weighted = KMeans(3, random_state=0).fit(X, sample_weight=w)
    assert weighted.inertia_ == pytest.approx(-weighted.score(X, sample_weight=w))
    assert KMeans(3, init="random", random_state=0).fit(X).inertia_ == pytest.approx(model.inertia_)
    assert KMeans(3, init=X[:3]).fit(X.astype(np.float32)).cluster_centers_.dtype == np.float32
