"""scikit-learn's own checks, on every estimator, with no failure but those that scikit-learn declares for its own counterpart."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from fastlec.sklearn import ConvNetClassifier, KMeans, NetClassifier, NetRegressor, RobustRegressor, SoftmaxClassifier

ESTIMATORS = [
    SoftmaxClassifier(),
    SoftmaxClassifier(solver="newton-cg"),
    SoftmaxClassifier(solver="sgd", batch_size=100),
    NetClassifier(),
    NetClassifier((16, 16), residual=True, learning_rate=0.01),
    NetClassifier((32,), normalization="batch", dropout=0.1, learning_rate=0.01),
    NetRegressor(),
    NetRegressor((32,), normalization="layer", dropout=0.1),
    ConvNetClassifier((16,), filters=(4,), epochs=30),
    KMeans(),
    RobustRegressor(),
    RobustRegressor(loss="cauchy"),
]
WEIGHTS = "check_sample_weight_equivalence_on_dense_data"
OF_ITS_OWN = {"KMeans": {WEIGHTS: "a start is drawn from samples, not from their weights"}}
OF_DROPOUT = {WEIGHTS: "a mask is drawn for each sample, once for one that is there once, whatever its weight"}


def expected(estimator):
    """What fails, and why."""
    return OF_DROPOUT if getattr(estimator, "dropout", 0) else OF_ITS_OWN.get(type(estimator).__name__, {})


@pytest.mark.filterwarnings("ignore:.*array API dispatch:UserWarning")
@parametrize_with_checks(ESTIMATORS, expected_failed_checks=expected)
def test_check(estimator, check):
    check(estimator)
