"""The kinds of benchmark cases about what stands between a network's layers: normalisation and dropout, in training."""

import math
from dataclasses import dataclass

import numpy as np

from fastlec import reference

from .kinds import SIZE, Case

EPS = 1e-5  # of normalisation


@dataclass(frozen=True)
class Norm(Case):
    """Layer or batch normalisation, of a batch's own statistics, or JacTMV for the input and both parameters, where it was computed
    before. shape : (m, n). Inputs: x, gamma, beta, to which JacTMV adds v. No library offers to reuse all of the results."""

    modes = ("fresh",)

    def bytes(self, dtype):
        return (3 if self.op.endswith("jac_tmv") else 2) * math.prod(self.shape) * SIZE[dtype]

    def make(self, rng, dtype):
        m, n = self.shape
        x, v = 3 * rng.standard_normal((2, m, n), dtype=dtype) + 1
        gamma, beta = rng.standard_normal((2, n), dtype=dtype)
        return (x, gamma, beta, v) if self.op.endswith("jac_tmv") else (x, gamma, beta)

    @property
    def axis(self):
        """What is averaged over."""
        return 1 if self.op.startswith("layer_norm") else 0

    def expected(self, inputs):
        function, (x, gamma, beta, *v) = getattr(reference, self.op), inputs
        found = function(*v, x, gamma, beta, eps=EPS)
        return tuple(found.values()) if v else (found,)


@dataclass(frozen=True)
class Dropped(Case):
    """Dropout of half of all elements, another half in every library. shape : of x. Inputs: x. The call returns (x, y)."""

    modes = ("fresh",)
    p = 0.5

    def bytes(self, dtype):
        return 2 * math.prod(self.shape) * SIZE[dtype]

    def make(self, rng, dtype):
        return (1 + rng.random(self.shape, dtype=dtype),)

    def expected(self, inputs):
        return (inputs[0].astype(np.float64) / (1 - self.p),)

    def result(self, dropped):
        """What each element is that was kept, and those that were not would be; NaN where another share than 1 - p was kept."""
        x, y = map(np.asarray, dropped)
        kept = y != 0
        right = abs(kept.mean() - (1 - self.p)) <= 6 * math.sqrt(self.p * (1 - self.p) / kept.size)
        return np.where(kept, y, x / (1 - x.dtype.type(self.p))) if right else np.full_like(x, np.nan)


OPS = ("layer_norm", "layer_norm_jac_tmv", "batch_norm", "batch_norm_jac_tmv", "dropout")
