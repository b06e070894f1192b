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
    NetRegressor(),
    ConvNetClassifier((16,), filters=(4,), epochs=30),
    KMeans(),
    RobustRegressor(),
    RobustRegressor(loss="cauchy"),
]
OF_ITS_OWN = {
    "KMeans": {"check_sample_weight_equivalence_on_dense_data": "a start is drawn from samples, not from their weights"}
}


@pytest.mark.filterwarnings("ignore:.*array API dispatch:UserWarning")
@parametrize_with_checks(ESTIMATORS, expected_failed_checks=lambda estimator: OF_ITS_OWN.get(type(estimator).__name__, {}))
def test_check(estimator, check):
    check(estimator)
