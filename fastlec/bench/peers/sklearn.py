"""scikit-learn."""

import importlib
import warnings

import numpy as np

from ..kinds import unpack
from .base import Peer
from .numpy import NumPy


class ScikitLearn(Peer):
    """Its losses and linear models through the private modules that its own estimators use."""

    name, module = "scikit-learn", "sklearn"
    HELD = NumPy.HELD  # whose products it takes, and SciPy's; its own code has no kernels for single instruction sets

    def _loss(self, classes):
        return importlib.import_module("sklearn._loss").HalfMultinomialLoss(n_classes=classes)

    def _model(self, classes):
        return importlib.import_module("sklearn.linear_model._linear_loss").LinearModelLoss(
            self._loss(classes), fit_intercept=True
        )

    @staticmethod
    def _coefficients(theta, case):
        W, b = unpack(theta, case)
        return np.asfortranarray(np.column_stack([W, b]))

    def cross_entropy(self, case, logits, labels, out):
        loss, m = self._loss(logits.shape[1]), len(logits)
        y, weight, losses = labels.astype(logits.dtype), np.full(m, 1 / m, logits.dtype), np.empty(m, logits.dtype)

        def work():
            gradient = np.empty_like(logits) if out is None else out
            loss.loss_gradient(y, logits, weight, losses, gradient, self.threads)
            return losses.sum(), gradient

        return work

    def value_and_gradient(self, case, X, y, theta, out):
        model, y, coefficients = self._model(case.shape[2]), y.astype(X.dtype), self._coefficients(theta, case)

        def work():
            value, gradient = model.loss_gradient(coefficients, X, y, n_threads=self.threads)
            return value, gradient[:, :-1], gradient[:, -1]

        return work

    def hessian_mv(self, case, X, y, theta, v, out):
        model, y = self._model(case.shape[2]), y.astype(X.dtype)
        coefficients, direction = self._coefficients(theta, case), self._coefficients(v, case)

        def work():
            product = model.gradient_hessian_product(coefficients, X, y, n_threads=self.threads)[1](direction)
            return product[:, :-1], product[:, -1]

        return work

    def kmeans(self, case, X, start, out):
        _, _, k, iterations = case.shape
        cluster = importlib.import_module("sklearn.cluster")
        options = {"init": start, "n_init": 1, "max_iter": iterations, "tol": 0, "algorithm": "lloyd"}
        return lambda: cluster.KMeans(k, **options).fit(X).inertia_

    def hessian_mv_frozen(self, case, X, y, theta, v, out):
        model, direction = self._model(case.shape[2]), self._coefficients(v, case)
        hessian_mv = model.gradient_hessian_product(
            self._coefficients(theta, case), X, y.astype(X.dtype), n_threads=self.threads
        )[1]

        def work():
            product = hessian_mv(direction)
            return product[:, :-1], product[:, -1]

        return work

    def robust_lstsq(self, case, A, y, out):
        model = importlib.import_module("sklearn.linear_model").HuberRegressor(alpha=0, fit_intercept=False)
        return lambda: model.fit(A, y).coef_.astype(A.dtype, copy=False)

    def fit_net(self, case, X, y, out):
        """As many epochs as asked for, whatever the loss does."""
        _, _, hidden, batch_size, epochs, rate = case.shape
        neural_network = importlib.import_module("sklearn.neural_network")
        options = {"batch_size": batch_size, "max_iter": epochs, "learning_rate_init": rate, "random_state": 0}

        def work():
            model = neural_network.MLPClassifier(hidden, n_iter_no_change=epochs + 1, **options)
            with warnings.catch_warnings(action="ignore"):  # that it has not converged
                return model.fit(X, y), X, y

        return work

    def fit_softmax(self, case, X, y, out):
        linear_model = importlib.import_module("sklearn.linear_model")
        return lambda: (linear_model.LogisticRegression(C=case.shape[2], max_iter=1000).fit(X, y), X, y)

    def arrays(self, case, result):
        return case.result(result) if case.op.startswith("fit_") else result
