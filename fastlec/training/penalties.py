"""What an Objective adds to its loss: half the square of a linear function of theta. In float64, whatever theta's dtype."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from .. import _check

if TYPE_CHECKING:
    from scipy.sparse import sparray, spmatrix
    from scipy.sparse.linalg import LinearOperator

    from .._typing import ArrayLike, FloatArray, NDArray

Linear: TypeAlias = "sparray | spmatrix | LinearOperator"  # beside arrays


class Ridge:
    """l2/2 times the sum of the squares of what `among`, booleans, chooses of theta."""

    def __init__(self, l2: float, among: NDArray[np.bool_]) -> None:
        self._factors, self._root, self._at = l2 * among, np.sqrt(l2), np.flatnonzero(among)
        self.rows: int = len(self._at)

    def value(self, theta: FloatArray) -> float:
        return float((self._factors * theta * theta).sum()) / 2

    def gradient(self, theta: FloatArray) -> FloatArray:
        return self._factors * theta

    def mv(self, V: FloatArray) -> FloatArray:
        """The Hessian times the rows of V (k, n)."""
        return self._factors * V

    def residuals(self, theta: FloatArray) -> FloatArray:
        """(rows,), whose squares' sum is twice the value."""
        return self.forward(theta)

    def forward(self, v: FloatArray) -> FloatArray:
        """The derivative of the residuals times v."""
        return self._root * v[self._at]

    def transposed(self, u: FloatArray) -> FloatArray:
        product = np.zeros(len(self._factors))
        product[self._at] = self._root * u
        return product

    def matrix(self) -> FloatArray:
        """The Hessian."""
        return np.diag(self._factors)

    def diagonal(self) -> FloatArray:
        return self._factors


class Prior:
    """1/2 |L (theta - theta0)|^2."""

    def __init__(self, L: ArrayLike | Linear, theta0: ArrayLike | None, n_params: int) -> None:
        self._L, self.rows = _linear(L, n_params)
        self._theta0 = np.zeros(n_params)
        if theta0 is not None:
            self._theta0 = _check.values(theta0, "theta0", n_params, ": all parameters of the network").astype(np.float64)

    def value(self, theta: FloatArray) -> float:
        r = self.residuals(theta)
        return float(r @ r) / 2

    def gradient(self, theta: FloatArray) -> FloatArray:
        return self.transposed(self.residuals(theta))

    def mv(self, V: FloatArray) -> FloatArray:
        return (self._L.T @ (self._L @ V.T.astype(np.float64))).T

    def residuals(self, theta: FloatArray) -> FloatArray:
        return self.forward(theta - self._theta0)

    def forward(self, v: FloatArray) -> FloatArray:
        return np.ravel(self._L @ np.asarray(v, np.float64))

    def transposed(self, u: FloatArray) -> FloatArray:
        return np.ravel(self._L.T @ np.asarray(u, np.float64))

    def matrix(self) -> FloatArray:
        return self.mv(np.eye(len(self._theta0)))

    def diagonal(self) -> FloatArray:
        if hasattr(self._L, "power"):  # sparse
            return np.ravel(self._L.power(2).sum(axis=0))
        return (self._L**2).sum(axis=0) if isinstance(self._L, np.ndarray) else np.diagonal(self.matrix())


def _linear(L, n):
    """(L in float64, its rows): an array or a sparse one, copied, or a LinearOperator."""
    if hasattr(L, "matvec") or hasattr(L, "tocsr"):
        shape, dtype = L.shape, L.dtype
    else:
        L = _check.as_array(L, "L")
        shape, dtype = L.shape, L.dtype
    if len(shape) != 2 or shape[1] != n:
        raise ValueError(f"L has shape {tuple(shape)}; expected (rows, {n}): all parameters of the network")
    _check.float_dtype(np.dtype(dtype), "L")
    if isinstance(L, np.ndarray):
        L = np.array(L, np.float64)
        _check.finite(L, "L")
    elif hasattr(L, "tocsr"):
        L = L.tocsr().astype(np.float64)  # a copy
        _check.finite(L.data, "L.data")
    else:
        try:
            L.T @ np.zeros(shape[0])
        except NotImplementedError:
            raise TypeError("L has no rmatvec; expected an operator with products with its transpose, too") from None
    return L, shape[0]
