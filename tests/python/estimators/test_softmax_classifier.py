"""SoftmaxClassifier: the solution of LogisticRegression, by each solver; labels, weights, steps."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

import fastlec
from fastlec.sklearn import SoftmaxClassifier

PRECISE = LogisticRegression(solver="newton-cg", tol=1e-12, max_iter=1000)


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("C", [0.1, 10.0])
@pytest.mark.parametrize("bias", [True, False], ids=["intercept", "none"])
@pytest.mark.parametrize("solver", ["lbfgs", "newton-cg"])
def test_coefficients_are_those_of_logistic_regression(solver, bias, C, classes, digits):
    X, y = digits
    chosen = np.isin(y, np.unique(y)[:classes])
    X, y = X[chosen].astype(np.float64), y[chosen]
    w = np.random.default_rng(0).integers(0, 4, len(y))
    options = {"C": C, "fit_intercept": bias, "class_weight": {y[0]: 3.0}}
    right = clone(PRECISE).set_params(**options).fit(X, y, w)
    found = SoftmaxClassifier(solver=solver, tol=1e-11, **options).fit(X, y, w)
    assert found.coef_.shape == right.coef_.shape
    assert found.intercept_.shape == right.intercept_.shape
    np.testing.assert_allclose(found.coef_, right.coef_, rtol=0, atol=1e-6)
    np.testing.assert_allclose(found.intercept_, right.intercept_, rtol=0, atol=1e-6)
    np.testing.assert_allclose(found.predict_proba(X), right.predict_proba(X), rtol=0, atol=1e-6)
    np.testing.assert_allclose(found.predict_log_proba(X), right.predict_log_proba(X), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.decision_function(X), right.decision_function(X), rtol=0, atol=1e-4)
    assert (found.predict(X) == right.predict(X)).all()
    assert isinstance(found.n_iter_, int)


def test_balanced_classes(digits):
    """As scikit-learn has them from 1.7 on: a weight of 2 counts as two samples."""
    X, y = digits
    X = X.astype(np.float64)
    rare = np.flatnonzero(y == "zero")[5:]
    X, y = np.delete(X, rare, axis=0), np.delete(y, rare)
    right = clone(PRECISE).set_params(class_weight="balanced").fit(X, y)
    model = SoftmaxClassifier(class_weight="balanced", tol=1e-11)
    np.testing.assert_allclose(model.fit(X, y).coef_, right.coef_, rtol=0, atol=1e-6)
    w = np.random.default_rng(0).integers(0, 4, len(y))
    repeated = model.fit(X.repeat(w, axis=0), y.repeat(w)).coef_
    np.testing.assert_allclose(model.fit(X, y, w).coef_, repeated, rtol=0, atol=1e-6)


@pytest.mark.parametrize("classes", [2, 4])
def test_sgd_goes_to_the_same_solution(classes, digits):
    X, y = digits
    chosen = np.isin(y, np.unique(y)[:classes])
    X, y = StandardScaler().fit_transform(X[chosen].astype(np.float64)), y[chosen]
    right = clone(PRECISE).set_params(C=0.01).fit(X, y)
    found = SoftmaxClassifier(0.01, "sgd", batch_size=600, max_iter=300, learning_rate=0.05, random_state=0).fit(X, y)
    np.testing.assert_allclose(found.coef_, right.coef_, rtol=0, atol=1e-3)
    assert found.n_iter_ == len(found.loss_curve_) == 300
    assert found.loss_curve_[-1] < found.loss_curve_[0] / 2


def test_parts_that_come_one_after_the_other(digits):
    X, y = digits
    model = SoftmaxClassifier(solver="sgd", random_state=0)
    for part in range(0, 600, 100):
        model.partial_fit(X[part : part + 100], y[part : part + 100], classes=np.unique(y))
    assert model.score(X, y) > 0.9
    assert model.n_iter_ == 6
    assert model.coef_.dtype == model.predict_proba(X).dtype == np.float32
    with pytest.raises(ValueError, match="previously unseen labels"):
        model.partial_fit(X[:1], ["seven"])
    assert not hasattr(SoftmaxClassifier(), "partial_fit")


def test_momentum_goes_on_from_part_to_part(digits):
    X, y = digits
    whole = SoftmaxClassifier(solver="sgd", batch_size=600, max_iter=5, random_state=0).fit(X, y)
    parts = SoftmaxClassifier(solver="sgd", batch_size=600, random_state=0)
    for _ in range(5):
        parts.partial_fit(X, y)
    np.testing.assert_allclose(parts.coef_, whole.coef_, rtol=1e-4, atol=1e-6)


def test_a_warm_start_goes_on(digits):
    X, y = digits
    model = SoftmaxClassifier(warm_start=True).fit(X, y)
    first = model.n_iter_
    assert model.fit(X, y).n_iter_ < first / 2
    with pytest.raises(ValueError, match="features"):
        model.fit(X[:, :3], y)


def test_no_penalty_and_too_few_iterations(digits):
    X, y = digits
    with pytest.warns(ConvergenceWarning, match=r"lbfgs: 3 iterations, not converged.*max_iter"):
        SoftmaxClassifier(np.inf, max_iter=3).fit(X, y)


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"C": 0}, ValueError, r"^C is 0.0; expected a number > 0$"),
        ({"C": "1"}, TypeError, r"^C is '1'; expected a number$"),
        ({"solver": "adam"}, ValueError, r"^solver is 'adam'; expected one of lbfgs, newton-cg, sgd$"),
        ({"max_iter": 0}, ValueError, r"^max_iter is 0; expected at least 1$"),
        ({"solver": "sgd", "learning_rate": 0}, ValueError, r"^learning_rate is 0; expected a number > 0$"),
        ({"solver": "sgd", "learning_rate": fastlec.CosineDecay}, TypeError, r"^learning_rate is <class"),
        ({"fit_intercept": 1}, TypeError, r"^fit_intercept is 1; expected True or False$"),
        ({"warm_start": "no"}, TypeError, r"^warm_start is 'no'; expected True or False$"),
        ({"class_weight": "even"}, ValueError, r"^class_weight is 'even'; expected None, 'balanced' or a dict"),
        ({"class_weight": [1, 2, 3, 4]}, ValueError, r"^class_weight is \[1, 2, 3, 4\]; expected None, 'balanced' or a dict"),
        ({"class_weight": {"zero": -1}}, ValueError, r"^class_weight\['zero'\] is -1.0; expected a finite number >= 0$"),
        ({"class_weight": {"zero": "1"}}, TypeError, r"^class_weight\['zero'\] is '1'; expected a number$"),
        ({"dtype": np.int32}, TypeError, r"^dtype is int32; expected float32 or float64$"),
    ],
)
def test_what_cannot_be(options, error, match, digits):
    model = SoftmaxClassifier(**options)
    with pytest.raises(error, match=match):
        model.fit(*digits)
    assert not hasattr(model, "coef_")


@pytest.mark.parametrize(
    ("w", "match"),
    [
        (np.zeros(600), r"^sample_weight is zero for all samples"),
        (-np.ones(600), r"^sample_weight has values from -1.0 to -1.0; expected finite weights >= 0$"),
        (np.full(600, np.nan), r"^sample_weight has values from nan"),
        (np.ones(599), r"^sample_weight has shape \(599,\); expected \(600,\), one weight for each sample$"),
    ],
)
def test_weights_that_cannot_be(w, match, digits):
    with pytest.raises(ValueError, match=match):
        SoftmaxClassifier().fit(*digits, w)


def test_one_class_is_refused(digits):
    X, y = digits
    with pytest.raises(ValueError, match=r"^y has one class, 'zero'; expected two or more classes$"):
        SoftmaxClassifier().fit(X[y == "zero"], y[y == "zero"])


def test_float32_is_kept_and_dtype_decides(digits):
    X, y = digits
    assert SoftmaxClassifier().fit(X, y).predict_proba(X.astype(np.float64)).dtype == np.float32
    assert SoftmaxClassifier(dtype="float64").fit(X, y).coef_.dtype == np.float64
    assert SoftmaxClassifier().fit((16 * X).astype(int), y).coef_.dtype == np.float64


@pytest.mark.parametrize("solver", ["lbfgs", "newton-cg"])
def test_tol_bounds_the_gradient(solver, digits):
    X, y = digits
    objective = fastlec.SoftmaxObjective(X, np.unique(y, return_inverse=True)[1], l2=1 / len(y))
    sizes = []
    for tol in (1e-3, 1e-4):
        model = SoftmaxClassifier(solver=solver, tol=tol).fit(X, y)
        theta = np.concatenate([model.coef_.ravel(), model.intercept_])
        sizes.append(np.abs(objective.gradient(theta)).max())
        assert sizes[-1] <= 1.01 * tol
    assert sizes[1] < sizes[0]
    assert SoftmaxClassifier(solver=solver).fit(0 * X, y).n_iter_ >= 0
