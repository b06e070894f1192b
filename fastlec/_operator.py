"""Linear operators of SciPy whose products, with one vector or several, are functions of fastlec's.

Imported where one is made: importing scipy.sparse takes longer than importing all of fastlec.
"""

import numpy as np
from scipy.sparse.linalg import LinearOperator

from . import _check


class Operator(LinearOperator):
    """A @ v = mv(v) and A.T @ u = tmv(u), flat real vectors; many, tmany : the same of the rows of a matrix, (k, n) to (k, m), or
    None. name : what it is, for repr and messages. A symmetric one has no tmv."""

    def __init__(self, shape, dtype, mv, tmv=None, many=None, tmany=None, *, name):
        super().__init__(dtype, shape)
        symmetric = tmv is None
        self._mv, self._tmv = mv, mv if symmetric else tmv
        self._many, self._tmany = many, many if symmetric else tmany
        self.name = name

    def _real(self, v):
        v = np.asarray(v)
        if not _check.is_real(v.dtype):
            raise TypeError(f"{self.name}: the vector has dtype {v.dtype}; expected real numbers")
        return v

    def _matvec(self, v):
        return np.ravel(self._mv(self._real(v).ravel()))

    def _rmatvec(self, u):
        return np.ravel(self._tmv(self._real(u).ravel()))

    def _matmat(self, V):
        return self._rows(self._many, self._mv, V, self.shape[0])

    def _rmatmat(self, U):
        return self._rows(self._tmany, self._tmv, U, self.shape[1])

    def _rows(self, many, one, V, length):
        V = np.ascontiguousarray(self._real(V).T)
        if many is not None and len(V):
            return np.asarray(many(V)).reshape(len(V), length).T
        result = np.empty((len(V), length), self.dtype)
        for row, v in zip(result, V, strict=True):
            row[...] = np.ravel(one(v))
        return result.T

    def __repr__(self):
        return f"<{self.shape[0]}x{self.shape[1]} {type(self).__name__} of {self.dtype}: {self.name}>"


def identity_plus(operator, damping):
    """operator + damping times the identity, of a symmetric one."""
    damping = _check.non_negative(damping, "damping")
    if not damping:
        return operator
    return Operator(
        operator.shape,
        operator.dtype,
        lambda v: operator._matvec(v) + damping * v,
        many=lambda V: operator._matmat(V.T).T + damping * V,
        name=f"{operator.name} + {damping:g} I",
    )
