"""The lecture's experiment on over-fitting (section 1): polynomials of all degrees through a noisy sample of a known function.

Train and test error by degree are its two L-shaped curves. Beside them: the oracle, which knows the functions in eq. 1, for more
and more samples; and all degrees at once, regularized, where the L-curve tells the amount in place of the degree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .. import _check, regression
from ..regression.sample import ALPHA, NOISE
from .universal import HIGH, LOW, TARGET

__all__ = ["DEGREES", "HIGH", "LOW", "NOISE", "TARGET", "Experiment", "OracleError", "experiment", "oracle_errors"]

DEGREES = (1, 3, 5, 7, 10, 15, 20, 50, 100)
STEPS = (0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001)  # between the samples of the oracle
DRAWS = 100  # samples of each size, over which the oracle's error is averaged
SMOOTHNESS = 2  # degree k is penalized by (k + 1)^(2 * 2): coefficients of smooth functions fall with the degree


@dataclass(frozen=True, eq=False)
class Experiment:
    """A sample, the fits to it, and a regularization path.

    x, y_true, y : (n,) the points, the function and the sample there.
    fits : of degrees 0, 1, ... up to the largest, with the error on a test set at the same points.
    path : ridge on all of these degrees, degree k penalized by (k + 1)^4.  path_test_mse : its error on the test set.
    corner : of the path's L-curve, or None where it has none.
    """

    x: np.ndarray
    y_true: np.ndarray
    y: np.ndarray
    fits: regression.PolynomialFits
    path: regression.RegularizationPath
    path_test_mse: np.ndarray
    corner: regression.Corner | None

    @property
    def best_degree(self) -> int:
        """Of the least error on the test set."""
        return int(np.argmin(self.fits.test_mse))


def experiment(
    degree: int = DEGREES[-1], *, samples: int = 101, noise: float = NOISE, kind: str = "monomial", seed=0
) -> Experiment:
    """The lecture's program: fits of all degrees up to ``degree`` to evenly spaced samples.

    samples : more than degree.  noise : standard deviation.  kind : of the basis, as in `regression.PolynomialBasis`.
    seed : of the sample's noise and that of the test set.
    """
    samples = _check.count(samples, "samples", 2)
    degree = _check.count(degree, "degree", 0, samples - 1)
    x, rng = np.linspace(LOW, HIGH, samples), _check.generator(seed, "seed")
    _, y_true, y = regression.generate_true_model(x, noise=noise, rng=rng)
    y_test = regression.generate_true_model(x, noise=noise, rng=rng).y_noisy
    fits = regression.fit_polynomials(x, y, range(degree + 1), kind=kind, y_test=y_test)
    A = fits.basis.Q / np.arange(1, degree + 2) ** float(SMOOTHNESS)
    path = regression.ridge_path(A, y)
    try:
        corner = regression.l_curve_corner(path)
    except ValueError:
        corner = None
    return Experiment(x, y_true, y, fits, path, path.mse(A, y_test), corner)


@dataclass(frozen=True, eq=False)
class OracleError:
    """Least squares with the true functions on so many samples.

    alpha : (3,) found from one sample.  mse : of its function to the true one, on a fine grid.  mean_mse : over 100 samples.
    """

    samples: int
    alpha: np.ndarray
    mse: float
    mean_mse: float


def oracle_errors(steps: Sequence[float] = STEPS, *, noise: float = NOISE, seed=0) -> list[OracleError]:
    """The lecture's table: the error of the oracle for samples at 0.01, 0.01 + step, ... up to 1."""
    rng = _check.generator(seed, "seed")
    fine = regression.true_basis(np.linspace(LOW, HIGH, 1001))
    rows = []
    for step in steps:
        x = np.arange(LOW, 1 + step / 2, step)
        x = x[x < 1 + 1e-9]
        found = [regression.oracle(x, regression.generate_true_model(x, noise=noise, rng=rng).y_noisy) for _ in range(DRAWS)]
        errors = [np.mean((fine @ (alpha - ALPHA)) ** 2) for alpha in found]
        rows.append(OracleError(len(x), found[0], float(errors[0]), float(np.mean(errors))))
    return rows
