"""Losses of linear models over samples that are read block by block."""

import numpy as np

from . import _check
from ._kernels.linear import Problem
from ._stream import parts


class StreamedProblem:
    """As `Problem`, of the samples of a `Stream`: a problem for each block, whose sums are added in order."""

    def __init__(self, X, y, weight, n_classes, free, bias):
        self.X, self.y, self.weight, self.l, self.free, self.bias = X, y, weight, n_classes, free, bias
        self.m, self.n = X.shape
        self.n_params = free * self.n + (free if bias else 0)

    def _blocks(self):
        """(rows, the problem of these samples)."""
        for rows, X in parts(self.X, self.m):
            weight = None if self.weight is None else self.weight[rows]
            yield rows, Problem(X, self.y[rows], weight, self.l, self.free, self.bias)

    def _sum(self, term, l2):
        """Of an array for each problem, which the penalty is asked of once."""
        total = 0.0
        for rows, problem in self._blocks():
            total = total + term(rows, problem, 0 if rows.start else l2)
        return total

    def value(self, theta):
        return sum(problem.value(theta) for _, problem in self._blocks())

    def gradient(self, theta, scale, l2):
        loss = 0.0

        def term(_, problem, l2):
            nonlocal loss
            own, gradient = problem.gradient(theta, scale, l2)
            loss += own
            return gradient.astype(np.float64)

        total = self._sum(term, l2)
        return loss, total.astype(self.X.dtype)

    def hessian_mv(self, theta, v, scale, l2):
        return self._sum(lambda _, problem, l2: problem.hessian_mv(theta, v, scale, l2).astype(np.float64), l2).astype(
            self.X.dtype
        )

    def hessian_mv_at(self, P, V, scale, l2):
        return self._sum(lambda rows, problem, l2: problem.hessian_mv_at(P[rows], V, scale, l2).astype(np.float64), l2).astype(
            self.X.dtype
        )

    def data_gradient(self, theta, scale):
        return self._rows(self.n, lambda problem: problem.data_gradient(theta, scale))

    def probabilities(self, theta):
        return self._rows(self.l, lambda problem: problem.probabilities(theta))

    def _rows(self, width, compute):
        _check.memory(self.m * width * self.X.dtype.itemsize, f"{width} numbers for each of {self.m} samples")
        found = np.empty((self.m, width), self.X.dtype)
        for rows, problem in self._blocks():
            found[rows] = compute(problem)
        return found
