"""Values in float64 with how far from them a computation in float32 or float64 may be: errors go where the values go.

The units are those of conftest.UNITS; a sum is off by "product" times the sum of its absolute terms.
"""

import numpy as np
from numpy.testing import assert_array_less

from fastlec import reference

ACTIVATIONS = ("tanh", "sigmoid", "relu", "identity")


class Near:
    """A float64 array, and for each element a bound of the error."""

    def __init__(self, value, error=0.0):
        self.value = np.asarray(value, np.float64)
        self.error = np.broadcast_to(error, self.value.shape)

    @property
    def size(self):
        return np.abs(self.value) + self.error

    @property
    def T(self):
        return Near(self.value.T, self.error.T)

    def check(self, found):
        """found is as near as that."""
        found = np.asarray(found)
        assert found.shape == self.value.shape
        excess = np.abs(found - self.value) - self.error
        assert_array_less(excess, np.finfo(found.dtype).smallest_normal, err_msg="beyond the bound by")


class Bounds:
    """Arithmetic of `Near` for one dtype. tolerance: the fixture."""

    def __init__(self, tolerance, dtype):
        self.sum, self.map, self.slope = (tolerance(name, dtype) for name in ("product", "map", "slope"))
        self.eps = float(np.finfo(dtype).eps)

    def _sum(self, n):
        return min(self.sum, n * self.eps)

    def product(self, a, b):
        value = a.value @ b.value
        error = a.error @ b.size + np.abs(a.value) @ b.error + self._sum(len(b.value)) * (a.size @ b.size)
        return Near(value, error)

    def add(self, *terms):
        value = sum(t.value for t in terms)
        return Near(value, sum(t.error for t in terms) + self._sum(len(terms)) * sum(t.size for t in terms))

    def times(self, a, b):
        value = a.value * b.value
        return Near(value, a.error * b.size + np.abs(a.value) * b.error + self.eps * np.abs(value))

    def total(self, a):
        """The sum of the rows."""
        return Near(a.value.sum(axis=0, dtype=np.longdouble), (a.error + self._sum(len(a.value)) * a.size).sum(axis=0))

    def activate(self, z, name):
        """(sigma(z), sigma'(z) as it follows from sigma(z)). No sigma is steeper than 1; relu' may be either near its kink."""
        y, slope = reference.value_and_derivative(z.value, name)
        y = Near(y, z.error + (0 if name in ("relu", "identity") else self.map) * np.abs(y))
        if name == "identity":
            return y, Near(slope)
        if name == "relu":
            return y, Near(slope, np.abs(z.value) <= z.error)
        return y, Near(slope, 2 * y.error + self.slope)
