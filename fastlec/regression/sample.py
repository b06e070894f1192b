"""The lecture's noisy sample of a function that is known, and the oracle that knows it (lecture 1, eq. 1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, overload

import numpy as np

from .. import _check

if TYPE_CHECKING:
    from .._typing import ArrayLike, FloatArray, NDArray, Seed

ALPHA = (0.3, 1.0, 0.5)  # of the lecture's program
NOISE = 0.5


class TrueModel(NamedTuple):
    """The lecture's sample of a function that is known: what `generate_true_model` returns.

    Parameters
    ----------
    A : ndarray, shape (n, 3)
        The functions x, sin(10 x) and exp(2 x) at the points.
    y_true : ndarray, shape (n,)
        A alpha.
    y_noisy : ndarray, shape (n,)
        Y_true plus noise.

    See Also
    --------
    generate_true_model

    Examples
    --------
    >>> from fastlec.regression import generate_true_model
    >>> sample = generate_true_model([0.0, 0.5], alpha=[2, 0, 1], noise=0)
    >>> sample.y_true
    array([1.        , 3.71828183])
    >>> bool((sample.y_noisy == sample.y_true).all())
    True
    """

    A: FloatArray
    y_true: FloatArray
    y_noisy: FloatArray

    def __repr__(self) -> str:
        return f"<TrueModel: {len(self.A)} points>"


@overload
def true_basis(x: NDArray[np.float32]) -> NDArray[np.float32]: ...
@overload
def true_basis(x: ArrayLike) -> NDArray[np.float64]: ...
def true_basis(x: ArrayLike) -> FloatArray:
    """The functions of the lecture's eq. 1 at the points x: A = [x | sin(10 x) | exp(2 x)].

    Parameters
    ----------
    x : array_like, shape (n,)
        Points, finite.

    Returns
    -------
    ndarray, shape (n, 3)
        A, float32 where x is, else float64.

    Raises
    ------
    ValueError
        Points are not finite, or so large that exp is not.

    See Also
    --------
    generate_true_model, oracle

    Examples
    --------
    >>> from fastlec.regression import true_basis
    >>> true_basis([0.0, 0.5])
    array([[ 0.        ,  0.        ,  1.        ],
           [ 0.5       , -0.95892427,  2.71828183]])
    """
    x = _check.values(x, "x")
    if x.max() > np.log(np.finfo(x.dtype).max) / 2:
        raise ValueError(f"x has values up to {x.max():g}; expected less, for exp(2 x) is too large for {x.dtype}")
    with np.errstate(over="ignore", invalid="ignore"):
        A = np.stack([x, np.sin(10 * x), np.exp(2 * x)], axis=1)
    _check.finite(A, "true_basis(x)")
    return A


def generate_true_model(x: ArrayLike, alpha: ArrayLike = ALPHA, *, noise: float = NOISE, rng: Seed | None = None) -> TrueModel:
    """Sample of alpha_1 x + alpha_2 sin(10 x) + alpha_3 exp(2 x) with normal noise (lecture 1, eq. 1, generateTrueModel).

    Parameters
    ----------
    x : array_like, shape (n,)
        Points, finite.
    alpha : array_like, shape (3,)
        Coefficients of the three functions.
    noise : float
        Standard deviation, >= 0.
    rng : int or numpy.random.Generator, optional
        Seed; by default another sample at every call.

    Returns
    -------
    TrueModel
        (A, y_true, y_noisy), in the dtype of `true_basis`.

    Raises
    ------
    ValueError
        Alpha has another length; points, alpha or noise are not finite, or so large that the sample is not.
    TypeError
        An argument is no real number or array of such.

    See Also
    --------
    true_basis, oracle, fit_polynomials

    Examples
    --------
    >>> import numpy as np
    >>> from fastlec.regression import generate_true_model
    >>> A, y_true, y_noisy = generate_true_model(np.linspace(0.01, 1.01, 101), rng=0)
    >>> print(A.shape, round(float(np.std(y_noisy - y_true)), 2))
    (101, 3) 0.48
    """
    A = true_basis(x)
    alpha = _check.values(alpha, "alpha", 3, ": of x, sin(10 x) and exp(2 x)")
    noise, rng = _check.non_negative(noise, "noise"), _check.generator(rng)
    with np.errstate(over="ignore", invalid="ignore"):
        y_true = (A @ alpha).astype(A.dtype, copy=False)
        y_noisy = (y_true + noise * rng.standard_normal(len(A))).astype(A.dtype, copy=False)
    if not np.isfinite(y_true).all():
        raise ValueError(
            f"alpha has values up to {np.abs(alpha).max():g}; expected less, for A alpha is too large for {A.dtype}"
        )
    if not np.isfinite(y_noisy).all():
        raise ValueError(f"noise is {noise:g}; expected less, for the sample is too large for {A.dtype}")
    return TrueModel(A, y_true, y_noisy)


def oracle(x: ArrayLike, y_noisy: ArrayLike) -> FloatArray:
    """Least squares with the true functions: argmin of ``|A alpha - y_noisy|^2`` over alpha (lecture 1).

    Parameters
    ----------
    x : array_like, shape (n,)
        Points, three or more.
    y_noisy : array_like, shape (n,)
        Noisy values.

    Returns
    -------
    ndarray, shape (3,)
        The coefficients.

    Raises
    ------
    ValueError
        The points do not determine alpha, or it is too large for its dtype.

    See Also
    --------
    generate_true_model, true_basis

    Examples
    --------
    >>> import numpy as np
    >>> from fastlec.regression import generate_true_model, oracle
    >>> x = np.linspace(0.01, 1.01, 101)
    >>> oracle(x, generate_true_model(x, noise=0).y_noisy)
    array([0.3, 1. , 0.5])
    """
    A = true_basis(x)
    y = _check.values(y_noisy, "y_noisy", len(A), f" to match x of shape ({len(A)},)")
    scale = max(np.abs(y).max(), np.finfo(y.dtype).tiny)
    alpha, _, rank, _ = np.linalg.lstsq(A, y / scale)
    if rank < 3:
        raise ValueError(f"x has {len(A)} points with {rank} independent rows of A; expected 3, which determine alpha")
    with np.errstate(over="ignore"):
        alpha = alpha * scale
    if not np.isfinite(alpha).all():
        raise ValueError(f"y_noisy has values up to {scale:g}; expected less, for alpha is too large for {alpha.dtype}")
    return alpha
