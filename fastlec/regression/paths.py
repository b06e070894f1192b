"""Regularized least squares for many parameters from one singular value decomposition: ridge and truncated SVD."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _check

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .._typing import ArrayLike, FloatArray, NDArray

N_LAMBDAS = 200  # of a path by default, as in Hansen's Regularization Tools


@dataclass(frozen=True, eq=False, repr=False)
class RegularizationPath:
    """Solutions x of A x = y with more and less regularization: what `ridge_path` and `truncated_svd_path` return.

    With A = U S V', each is x = V diag(f / s) U'y; the filter factors f say how much of each component is let through. There are p
    parameters, and A (m, n) has r singular values above max(m, n) eps times the largest; the others are left out.

    Parameters
    ----------
    kind : str
        "ridge" or "truncated SVD".
    parameters : ndarray, shape (p,)
        The lambdas, or ranks.
    coefficients : ndarray, shape (p, n)
        The solutions, float32 where A and y are. All that follows is float64.
    residual_norms, solution_norms : ndarray, shape (p,)
        The norms of A x - y and x: the L-curve.
    degrees_of_freedom : ndarray, shape (p,)
        The sums of the filter factors.
    train_mse : ndarray, shape (p,)
        Mean square errors, residual_norms^2 / m.
    loo : ndarray, shape (p,)
        The mean square of r_i / (1 - h_i), r = A x - y, h = diag(U diag(f) U'). For ridge it is the error of leave-one-out
        cross-validation; for truncated SVD it is that with the components of all samples. Infinite where 1 - h_i is below the root
        of the dtype's eps: the other samples do not determine the solution.
    gcv : ndarray, shape (p,)
        With the mean of h in place of h_i (generalized cross-validation, Golub, Heath and Wahba 1979).
    singular_values, projections : ndarray, shape (r,)
        The s, decreasing, and U'y: what a Picard plot shows.
    least_residual_norm : float
        That of A x - y for any x, ``|y - U U'y|``.
    n_samples : int
        The m.

    See Also
    --------
    ridge_path, truncated_svd_path, l_curve_corner

    Notes
    -----
    Errors, which are squares, are also infinite where float64 does not hold them.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlec.regression import truncated_svd_path
    >>> A = np.diag([1.0, 0.1, 0.001])
    >>> path = truncated_svd_path(A, A @ [1, 1, 1] + 0.01)
    >>> path
    <RegularizationPath: truncated SVD of 3 samples, 3 ranks from 1 to 3>
    >>> path.solution_norms  # the noise in the last component is 10 times what is there
    array([ 1.01      ,  1.49736435, 11.10139631])
    """

    kind: str
    parameters: NDArray[Any]
    coefficients: FloatArray
    residual_norms: NDArray[np.float64]
    solution_norms: NDArray[np.float64]
    degrees_of_freedom: NDArray[np.float64]
    train_mse: NDArray[np.float64]
    loo: NDArray[np.float64]
    gcv: NDArray[np.float64]
    singular_values: NDArray[np.float64]
    projections: NDArray[np.float64]
    least_residual_norm: float
    n_samples: int

    def __repr__(self) -> str:
        what = "lambdas" if self.kind == "ridge" else "ranks"
        ends = f"{self.parameters[0]:.4g} to {self.parameters[-1]:.4g}"
        return f"<RegularizationPath: {self.kind} of {self.n_samples} samples, {len(self.parameters)} {what} from {ends}>"

    def mse(self, A: ArrayLike, y: ArrayLike) -> NDArray[np.float64]:
        """Mean square errors on other samples: on a test set the test error.

        Parameters
        ----------
        A : array_like, shape (m, n)
            Features.
        y : array_like, shape (m,)
            Targets.

        Returns
        -------
        ndarray, shape (p,)
            The errors, infinite where float64 does not hold them.

        Examples
        --------
        >>> import numpy as np
        >>> from fastlec.regression import ridge_path
        >>> A, y = np.eye(2), np.ones(2)
        >>> ridge_path(A, y, [0, 1]).mse(A, y)
        array([0.  , 0.25])
        """
        A, y = _system(A, y, self.coefficients.shape[1])
        _check.memory(A.itemsize * len(A) * len(self.parameters), f"{len(self.parameters)} predictions of {len(A)} samples")
        with np.errstate(over="ignore", invalid="ignore"):
            errors = (A @ self.coefficients.T - y[:, None]).astype(float, copy=False)
            mse = np.mean(errors**2, axis=0)
        return np.where(np.isnan(mse), np.inf, mse)


def ridge_path(A: ArrayLike, y: ArrayLike, lambdas: ArrayLike | None = None) -> RegularizationPath:
    """Ridge regression for many lambdas from one factorization: argmin of ``|A x - y|^2 + lambda |x|^2``.

    Parameters
    ----------
    A : array_like, shape (m, n)
        The columns are taken as they are, none is added for an intercept.
    y : array_like, shape (m,)
        Right-hand side.
    lambdas : array_like, shape (p,), optional
        Finite numbers >= 0, scikit-learn's alpha, the square of Hansen's lambda; at 0 the solution of least norm. By default 200
        with equal ratios, from ten times the square of the largest singular value down to a tenth of that of the smallest above
        rounding.

    Returns
    -------
    RegularizationPath
        The solutions, their norms and errors.

    Raises
    ------
    TypeError or ValueError
        An argument is not of finite real numbers or of such a shape; the largest singular value is outside of 1e-100 to 1e100
        (1e-15 to 1e15 in float32); or y is so large that solutions or norms are not finite.

    See Also
    --------
    truncated_svd_path, l_curve_corner

    Examples
    --------
    >>> from fastlec.regression import ridge_path
    >>> path = ridge_path([[1, 0], [0, 2], [0, 0]], [1, 1, 1], [0, 1])
    >>> path.coefficients
    array([[1. , 0.5],
           [0.5, 0.4]])
    >>> path.residual_norms**2
    array([1.  , 1.29])
    """
    A, y = _system(A, y)
    U, s, Vt = _factors(A)
    if lambdas is None:
        lambdas = np.geomspace(10 * s[0] ** 2, s[-1] ** 2 / 10, N_LAMBDAS)
    else:
        lambdas = _check.values(lambdas, "lambdas").astype(float)
        if lambdas.min() < 0:
            raise ValueError(f"lambdas has {lambdas.min()}; expected numbers >= 0")
    stopped = lambdas[:, None] / (s**2 + lambdas[:, None])
    return _path("ridge", lambdas, U, s, Vt, y, s**2 / (s**2 + lambdas[:, None]), stopped)


def truncated_svd_path(A: ArrayLike, y: ArrayLike, ranks: Iterable[int] | None = None) -> RegularizationPath:
    """Least squares with the largest singular values of A alone, for many ranks from one factorization.

    Parameters
    ----------
    A : array_like, shape (m, n)
        The matrix.
    y : array_like, shape (m,)
        Right-hand side.
    ranks : sequence of int, optional
        From 0 to the rank of A; by default all from 1 on.

    Returns
    -------
    RegularizationPath
        The solutions, their norms and errors.

    Raises
    ------
    TypeError or ValueError
        As of `ridge_path`.

    See Also
    --------
    ridge_path, l_curve_corner

    Examples
    --------
    >>> from fastlec.regression import truncated_svd_path
    >>> truncated_svd_path([[1, 0], [0, 2], [0, 0]], [1, 1, 1]).coefficients + 0.0
    array([[0. , 0.5],
           [1. , 0.5]])
    """
    A, y = _system(A, y)
    U, s, Vt = _factors(A)
    if ranks is None:
        ranks = np.arange(1, len(s) + 1)
    else:
        ranks = np.array([_check.count(k, f"ranks[{i}]", 0, len(s)) for i, k in enumerate(_check.several(ranks, "ranks"))])
    passed = np.arange(len(s)) < ranks[:, None]
    return _path("truncated SVD", ranks, U, s, Vt, y, passed.astype(float), 1.0 - passed)


def _system(A, y, n=None):
    """A (m, n) and y (m,) in the dtype that they are computed in."""
    A = _check.samples(A, "A")
    if n is not None:
        _check.shape(A, "A", (len(A), n), ", a column for each coefficient")
    y = _check.values(y, "y", len(A), f" to match A of shape {A.shape}")
    dtype = np.result_type(A, y)
    _check.finite(A, "A")
    return A.astype(dtype, copy=False), y.astype(dtype, copy=False)


def _factors(A):
    """U, s, V' with the singular values above rounding, s in float64."""
    U, s, Vt = np.linalg.svd(A, full_matrices=False)
    s, info = s.astype(float), np.finfo(A.dtype)
    most = 1e100 if A.dtype == np.float64 else 1e15
    if not 1 / most <= s[0] <= most:
        raise ValueError(f"A has the largest singular value {s[0]:g}; expected {1 / most:g} to {most:g}: scale it")
    rank = np.count_nonzero(s > max(A.shape) * info.eps * s[0])
    return U[:, :rank], s[:rank], Vt[:rank]


def _path(kind, parameters, U, s, Vt, y, passed, stopped):
    """The path of the filter factors ``passed`` (p, r); stopped = 1 - passed, without cancellation."""
    m = len(y)
    scale = max(np.abs(y).max(), np.finfo(y.dtype).tiny)  # squares of y / scale neither overflow nor vanish
    y = y / scale
    projections = U.T @ y
    outside = np.linalg.norm(y - U @ projections)
    projections = projections.astype(float)
    components = passed * (projections / s)
    residual_norms = np.hypot(np.linalg.norm(stopped * projections, axis=1), outside)
    degrees = passed.sum(axis=1)
    with np.errstate(over="ignore", under="ignore", divide="ignore", invalid="ignore"):
        gcv = np.where(degrees < m, residual_norms**2 / m / (1 - degrees / m) ** 2, np.inf)
        path = RegularizationPath(
            kind=kind,
            parameters=parameters,
            coefficients=(scale * (components.astype(y.dtype) @ Vt)).astype(y.dtype, copy=False),
            residual_norms=scale * residual_norms,
            solution_norms=scale * np.linalg.norm(components, axis=1),
            degrees_of_freedom=degrees,
            train_mse=scale**2 * (residual_norms**2 / m),
            loo=scale**2 * _left_out(U, y, passed, projections),
            gcv=scale**2 * gcv,
            singular_values=s,
            projections=scale * projections,
            least_residual_norm=float(scale * outside),
            n_samples=m,
        )
    for name in ("coefficients", "residual_norms", "solution_norms", "projections", "least_residual_norm"):
        values = np.asarray(getattr(path, name))
        if not np.isfinite(values).all():
            raise ValueError(f"y has values up to {scale:g}; expected less, for {name} are too large for {values.dtype}")
    return path


def _left_out(U, y, passed, projections):
    """Mean squares of r / (1 - h) for each row of filter factors, in blocks of samples."""
    total, most = np.zeros(len(passed)), 1 - np.finfo(y.dtype).eps ** 0.5
    step = max(_check.PART_VALUES // passed.size, 1)
    for start in range(0, len(y), step):
        rows = U[start : start + step].astype(float)
        residuals = y[start : start + step, None] - rows @ (passed * projections).T
        leverages = rows**2 @ passed.T
        total += np.sum(np.where(leverages < most, residuals / (1 - leverages), np.inf) ** 2, axis=0)
    return total / len(y)
