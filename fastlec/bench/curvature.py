"""The kinds of benchmark cases about curvature at work: Gram matrices of Jacobians, Gauss-Newton steps, fits by Levenberg and
Marquardt's method, and Laplace's approximation; and what is right, in float64. Networks are those of `nets`, of dense layers alone.
"""

from dataclasses import dataclass

import numpy as np

from fastlec import reference

from . import nets
from .kinds import SIZE
from .second import Derivative

DAMPING = 1.0  # of steps that all contenders take alike


@dataclass(frozen=True)
class Gram(Derivative):
    """J J' of all samples and outputs, J the Jacobian by theta; "gram_of_matrix" by making J. Inputs: X, theta."""

    def bytes(self, dtype):
        x, theta, y = self.sizes
        return (x + theta + y * y) * SIZE[dtype]

    def make(self, rng, dtype):
        return self._start(rng, dtype)

    def expected(self, inputs):
        X, theta = (a.astype(np.float64) for a in inputs)
        K, q = 0, self.shape[1][-1].n_out
        for inner, x in _factors(self.shape[1], X, theta):
            D = inner.reshape(len(X) * q, -1)
            K = K + D @ D.T * np.kron(x @ x.T + 1, np.ones((q, q)))
        return (K,)


@dataclass(frozen=True)
class Iterations(Derivative):
    """k damped Gauss-Newton steps, by J' J as a matrix, for the mean squared error. Inputs: X, y, theta; the result is the last
    theta."""

    k: int = 10

    def bytes(self, dtype):
        x, theta, y = self.sizes
        return (x + 2 * theta + y) * SIZE[dtype]

    def make(self, rng, dtype):
        X, theta = self._start(rng, dtype)
        return X, rng.random((len(X), self.shape[1][-1].n_out), dtype=dtype), theta

    def expected(self, inputs):
        X, y, theta = (a.astype(np.float64) for a in inputs)
        net, scale = self.shape[1], 2 / y.size
        for _ in range(self.k):
            residual, J = nets.forward(net, theta, X)[0] - y, _jacobian(net, X, theta)
            theta = theta - np.linalg.solve(scale * J.T @ J + DAMPING * np.eye(len(theta)), scale * J.T @ residual.ravel())
        return (theta,)


@dataclass(frozen=True)
class Fit(Iterations):
    """Least squares for `datasets.peaks` until the gradient's largest entry is a small part of what it was. Inputs: X, y, theta.
    The call returns (theta, X, y, the first theta); the result are these two entries. Contenders who do not come so far in `most`
    evaluations are wrong."""

    most: int = 200

    tolerance = {"float32": 1e-4, "float64": 1.01e-8}  # noqa: RUF012

    def make(self, rng, dtype):
        from fastlec.datasets import peaks

        X, theta = self._start(rng, dtype)
        X = 6 * X - 3
        return X, peaks(*X.T[:2])[:, None].astype(dtype), theta

    def _largest(self, X, y, theta):
        output, kept = nets.forward(self.shape[1], theta, X)
        return abs(nets.backward(self.shape[1], theta, kept, 2 / y.size * (output - y))[1]).max()

    def expected(self, inputs):
        return (np.array([self._largest(*(a.astype(np.float64) for a in inputs)), 0.0]),)

    def result(self, found):
        theta, X, y, start = (np.asarray(a) for a in found)
        X, y, theta, first = (a.astype(np.float64) for a in (X, y, theta, start))
        return (np.array([self._largest(X, y, first), self._largest(X, y, theta)], start.dtype),)


@dataclass(frozen=True)
class Predictive(Derivative):
    """Variances of a classifier's outputs under Laplace's approximation for the last layer, of precision 1 before data. Inputs: X,
    the training set's X and y, theta. The approximation is made before."""

    trained: int = 1000

    def bytes(self, dtype):
        x, theta, y = self.sizes
        return (x + theta + y) * SIZE[dtype]

    def make(self, rng, dtype):
        X, theta = self._start(rng, dtype)
        trained = min(self.trained, 10 * len(X))
        return X, rng.random((trained, X.shape[1]), dtype=dtype), rng.integers(0, self.shape[1][-1].n_out, trained), theta

    def expected(self, inputs):
        X, known, _, theta = (a.astype(np.float64) for a in inputs)
        net, own = self.shape[1], nets.n_params(self.shape[1][-1:])
        p, J = (
            reference.softmax(nets.forward(net, theta, known)[0]),
            _jacobian(net[-1:], self._last(known, theta), theta[-own:]),
        )
        J = J.reshape(len(known), -1, own)
        HJ = p[:, :, None] * (J - np.einsum("ic,icn->in", p, J)[:, None])
        precision = np.tensordot(J, HJ, ((0, 1), (0, 1))) + np.eye(own)
        J = _jacobian(net[-1:], self._last(X, theta), theta[-own:])
        return (np.einsum("in,ni->i", J, np.linalg.solve(precision, J.T)).reshape(len(X), -1),)

    def _last(self, X, theta):
        """What the last layer takes."""
        return nets.forward(self.shape[1], theta, X)[1][-1][0]


def _factors(net, X, theta):
    """(g, x), layer by layer from the last: the gradient of output c of sample i is g_ic x_i' by weights, and g_ic by biases."""
    y, kept = nets.forward(net, theta, X)
    g = np.broadcast_to(np.eye(y.shape[1]), (*y.shape, y.shape[1]))
    for layer, (W, _), (x, hidden) in zip(net[::-1], nets.split(net, theta)[::-1], kept[::-1], strict=True):
        inner = g * nets.ACTIVATIONS[layer.activation][1](hidden)[:, None]
        yield inner, x
        g = inner @ W


def _jacobian(net, X, theta):
    """By theta, (m outputs, n_params)."""
    parts = []
    for inner, x in _factors(net, X, theta):
        rows = inner.shape[0] * inner.shape[1]
        parts.append(np.concatenate([(inner[..., None] * x[:, None, None]).reshape(rows, -1), inner.reshape(rows, -1)], axis=1))
    return np.concatenate(parts[::-1], axis=1)


OPS = ("gram", "gram_of_matrix", "gauss_newton_iterations", "least_squares", "laplace_variance")
