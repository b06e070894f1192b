"""Least squares fits of all degrees from one basis, their errors, and the turn of the L by degree (lecture 1, figures 1 and 2)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, overload

import numpy as np

from .. import _check
from .bases import PolynomialBasis

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .._typing import ArrayLike, FloatArray, IntArray, NDArray
    from .bases import Kind

MOST_DEGREE = 100  # by default
MOST_LEVERAGE = 1 - np.finfo(float).eps ** 0.5  # beyond it half of the digits of 1 - leverage are lost
ROUNDING = 16 * np.finfo(float).eps  # residuals are no less than this part of the largest |y|: what fits needs no higher degree


@dataclass(frozen=True, eq=False, repr=False)
class PolynomialFits:
    """Polynomials of several degrees, each the best in least squares: what `fit_polynomials` returns.

    Parameters
    ----------
    degrees : ndarray of int, shape (p,)
        The degrees, increasing.
    train_mse : ndarray, shape (p,)
        Mean square of the residuals on the sample.
    test_mse : ndarray of shape (p,) or None
        The same on the test set, if there is one.
    loo : ndarray, shape (p,)
        The same where each sample is left out of the fit that it is compared with (leave-one-out cross-validation), in closed form:
        the mean of (r_i / (1 - h_i))^2, h = diag(Q Q') the leverages. Infinite where the other samples do not determine the fit, as
        far as float64 tells: 1 - h_i below 1.5e-8.
    gcv : ndarray, shape (p,)
        With the mean of the leverages in place of each (generalized cross-validation, Golub, Heath and Wahba 1979).
    criterion : ndarray, shape (p,)
        Low at the corner; infinite where n is too small for it.
    corner : int or None
        Degree at the turn of the training curve, found without a test set; None where the criterion is finite for less than two
        degrees.
    basis : PolynomialBasis
        The orthonormal polynomials.
    coefficients : ndarray, shape (max degree + 1,)
        Q'y; the fit of degree k takes the first k + 1.

    See Also
    --------
    fit_polynomials, fastlec.plot.errors_by_degree

    Notes
    -----
    The training error falls steeply as long as a degree adds what the function has, and slowly once it adds what the noise has. The
    corner is where the slope of log(train_mse) by degree becomes that of noise: at the minimum of Hannan and Quinn's criterion
    (1979), corrected for small samples (McQuarrie and Tsai 1998)::

        criterion = log(train_mse) + 2 (k + 1) log(log(n)) / (n - k - 3)

    Where several degrees come close to the minimum, the corner is between them: it is the degree next to their mean with weights
    exp(-n criterion / 4), none beyond the first that fits to rounding. These are the roots of the weights of Burnham and Anderson
    (2002), for the likelihood of a model that is only nearly right says too much (Gruenwald 2012, The safe Bayesian).

    Arrays but degrees are float64. Errors are also infinite where float64 does not hold the squares.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlec.regression import fit_polynomials
    >>> x = np.arange(8.0)
    >>> fits = fit_polynomials(x, [1, 2, 5, 10, 17, 26, 37, 50], [0, 1, 2, 3])  # 1 + x^2
    >>> fits
    <PolynomialFits: 4 degrees from 0 to 3, corner 2>
    >>> fits.train_mse + 0.0 > 1e-20
    array([ True,  True, False, False])
    >>> fits.alpha()
    array([1., 0., 1.])
    """

    degrees: IntArray
    train_mse: NDArray[np.float64]
    test_mse: NDArray[np.float64] | None
    loo: NDArray[np.float64]
    gcv: NDArray[np.float64]
    criterion: NDArray[np.float64]
    corner: int | None
    basis: PolynomialBasis
    coefficients: NDArray[np.float64]

    def __repr__(self) -> str:
        ends = f"{self.degrees[0]} to {self.degrees[-1]}"
        return f"<PolynomialFits: {len(self.degrees)} degrees from {ends}, corner {self.corner}>"

    @overload
    def predict(self, x: NDArray[np.float32], degree: int | None = None) -> NDArray[np.float32]: ...
    @overload
    def predict(self, x: ArrayLike, degree: int | None = None) -> NDArray[np.float64]: ...
    def predict(self, x: ArrayLike, degree: int | None = None) -> FloatArray:
        """Values of a fit at other points.

        Parameters
        ----------
        x : array_like, shape (m,)
            Points, as `PolynomialBasis.evaluate` takes them.
        degree : int, optional
            Any degree up to the largest that was fitted; by default the corner.

        Returns
        -------
        ndarray, shape (m,)
            The values, float32 where x is, else float64.

        Raises
        ------
        ValueError
            The degree is None and there is no corner, or x does not fit.
        """
        degree = self._degree(degree)
        values = self.basis.evaluate(x)
        with np.errstate(over="ignore", invalid="ignore"):
            y = (values @ np.where(np.arange(self.basis.degree + 1) <= degree, self.coefficients, 0)).astype(
                values.dtype, copy=False
            )
        _check.finite(y, "predict(x)")
        return y

    def alpha(self, degree: int | None = None) -> NDArray[np.float64]:
        """Coefficients of a fit by the functions of the basis's kind (eq. 2), as `PolynomialBasis.coefficients`.

        Parameters
        ----------
        degree : int, optional
            Any degree up to the largest that was fitted; by default the corner.

        Returns
        -------
        ndarray, shape (degree + 1,)
            The coefficients.
        """
        degree = self._degree(degree)
        return self.basis.coefficients(self.coefficients[: degree + 1])

    def _degree(self, degree):
        if degree is not None:
            return _check.count(degree, "degree", 0, self.basis.degree)
        if self.corner is None:
            raise ValueError(f"degree is None; expected one up to {self.basis.degree}, for these fits have no corner")
        return self.corner


def fit_polynomials(
    x: ArrayLike,
    y: ArrayLike,
    degrees: Iterable[int] | None = None,
    *,
    kind: Kind = "monomial",
    x_test: ArrayLike | None = None,
    y_test: ArrayLike | None = None,
) -> PolynomialFits:
    """Fit polynomials of several degrees by least squares, with their errors and the corner by degree (lecture 1).

    Parameters
    ----------
    x, y : array_like, shape (n,)
        The sample.
    degrees : sequence of int, optional
        Degrees >= 0, increasing; by default all from 0 to 100, or to one less than there are different points.
    kind : {"monomial", "chebyshev", "fourier"}
        As of `PolynomialBasis`.
    x_test, y_test : array_like, shape (m,), optional
        Other samples to measure the errors of; the points are x if y_test alone is given, as in the lecture.

    Returns
    -------
    PolynomialFits
        The fits, their errors, and the corner.

    Raises
    ------
    TypeError or ValueError
        An argument is no such array, samples have different lengths, or x does not determine a degree.

    See Also
    --------
    PolynomialFits, ridge_path, fastlec.plot.errors_by_degree

    Notes
    -----
    For 96 of 100 of the lecture's samples (101 points, noise 0.5) the corner is within 2 degrees of the one with the least expected
    test error (86 with noise 2; 96 to 99 with noise 0.1, with 31, and with 1001 points). On a test set as noisy and small as the
    sample chance has a say in which degree is best: the corner is within 2 of that for 72, the degree of the least expected error
    itself for 74, and the error at the corner is 3 % above the least on average. For functions whose coefficients fall slowly
    (Runge's, or the lecture's by kind "fourier") the error has a flat minimum, and the corner is within 2 of it for only 28 to 72,
    mostly below, with 1.2 to 1.5 times the least mean square error to the function.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlec.regression import fit_polynomials, generate_true_model
    >>> x = np.linspace(0.01, 1.01, 101)
    >>> fits = fit_polynomials(x, generate_true_model(x, rng=0).y_noisy)
    >>> fits.corner
    7
    >>> fits.predict([0.5])
    array([0.78702827])
    """
    x = _check.values(x, "x")
    y = _check.values(y, "y", len(x), f" to match x of shape {x.shape}").astype(float)
    degrees = _degrees(np.arange(min(np.unique(x).size - 1, MOST_DEGREE) + 1) if degrees is None else degrees)
    basis = PolynomialBasis(x, degrees[-1], kind)
    if y_test is None and x_test is not None:
        raise ValueError("x_test is given without y_test; expected both, or y_test alone")
    columns = basis._columns()
    if y_test is not None:
        tested = columns if x_test is None else basis._evaluate(_check.values(x_test, "x_test").astype(float), "x_test")
        y_test = _check.values(y_test, "y_test", len(tested), ", one number for each test point").astype(float)

    scale = max(np.abs(y).max(), np.finfo(float).tiny)  # squares of y / scale neither overflow nor vanish
    residual, leverage, coefficients, measured = y / scale, np.zeros(len(x)), np.empty(basis.degree + 1), []
    for k, column in enumerate(columns.T):
        coefficients[k] = column @ residual
        residual -= coefficients[k] * column
        leverage += column**2
        if k in degrees:
            determined = leverage.max() < MOST_LEVERAGE
            left_out = np.mean((residual / (1 - leverage)) ** 2) if determined else np.inf
            measured.append((np.mean(residual**2), left_out))
    train, loo = np.array(measured).T
    with np.errstate(over="ignore", under="ignore", divide="ignore", invalid="ignore"):
        criterion = _criterion(np.maximum(train, ROUNDING**2), degrees, len(x)) + 2 * np.log(scale)
        corner = _corner(criterion, train <= ROUNDING**2, degrees, len(x))
        train, loo = scale**2 * train, scale**2 * loo
        gcv = np.where(degrees < len(x) - 1, train / (1 - (degrees + 1) / len(x)) ** 2, np.inf)
        test = None if y_test is None else _errors(tested, coefficients, y_test, scale)[degrees]
        coefficients = scale * coefficients
    if not np.isfinite(coefficients).all():
        raise ValueError(f"y has values up to {scale:g}; expected less, for the coefficients are too large for float64")
    return PolynomialFits(
        degrees=degrees,
        train_mse=train,
        test_mse=test,
        loo=loo,
        gcv=gcv,
        criterion=criterion,
        corner=corner,
        basis=basis,
        coefficients=coefficients,
    )


def _errors(columns, coefficients, y, scale):
    """Mean squares of y less the first 1, 2, ... columns times their coefficients times the scale."""
    unit = max(np.abs(y).max(), scale)
    y, coefficients, mse = y / unit, scale / unit * coefficients, np.empty(len(coefficients))
    for k, part in enumerate(coefficients):
        y = y - part * columns[:, k]
        mse[k] = np.mean(y**2)
        if not np.isfinite(mse[k]):
            raise ValueError(f"x_test has points so far from x that the error of degree {k} is too large for float64")
    return unit**2 * mse


def _criterion(mse, degrees, n):
    """Hannan and Quinn's, corrected for small samples; infinite where the correction is."""
    left = n - degrees - 3.0
    return np.where(left > 0, np.log(mse) + 2 * (degrees + 1) * np.log(np.log(n)) / left, np.inf)


def _corner(criterion, exact, degrees, n):
    """The degree next to the weighted mean; None where the criterion compares no degrees. exact : which fit to rounding."""
    if np.isfinite(criterion).sum() < 2:
        return None
    criterion = np.where(np.cumsum(exact) - exact > 0, np.inf, criterion)
    weights = np.exp(-n / 4 * (criterion - criterion.min()))
    return int(degrees[np.argmin(np.abs(degrees - weights @ degrees / weights.sum()))])


def _degrees(degrees):
    """The argument as an array of ints."""
    found = [_check.count(degree, f"degrees[{i}]", 0) for i, degree in enumerate(_check.several(degrees, "degrees"))]
    for before, degree in pairwise(found):
        if degree <= before:
            raise ValueError(f"degrees has {degree} after {before}; expected integers that increase")
    return np.array(found)
