"""Flatten: the layer between images and vectors, which has no parameters."""

import math

from .. import _check
from .planned import PlannedLayer, multiply
from .registry import kind


@kind
class Flatten(PlannedLayer):
    """y = the elements of each sample in C order: x (m, ...), y (m, product of the others). A network moves nothing for it, unless
    it is the last layer."""

    _reshapes = linear_in_x = _takes_epilogue = True

    def __init__(self):
        super().__init__()

    def output_shape(self, shape):
        return (math.prod(_check.sizes(shape)),)

    def _partly(self, shape):
        return (None,)

    def _plan_forward(self, plan, x, y):
        multiply(plan, x, y)
        return y

    def _plan_mv(self, plan, kept, directions, dy):
        multiply(plan, directions["x"], dy)

    def _plan_tmv(self, plan, kept, v, out, after=None):
        if "x" in out:
            multiply(plan, v, out["x"], after)

    def _explicit(self, kept, name):
        """The identity: a scipy.sparse.csr_array."""
        from scipy.sparse import csr_array, identity

        return csr_array(identity(kept.size, kept.dtype))

    def _nonzeros(self, kept, name):
        return kept.size
