"""Flatten: the layer between images and vectors, which has no parameters."""

from __future__ import annotations

import math

from .. import _check
from .._typing import Shape
from .planned import PlannedLayer, multiply
from .registry import kind


@kind
class Flatten(PlannedLayer):
    """Flatten layer: y has the elements of each sample in C order, between images and vectors.

    x is (m, ...) and y (m, the product of the others). JacMV and JacTMV are dx and v in the other's shape. A network moves nothing
    for it, unless it is the last layer.

    See Also
    --------
    GlobalAvgPool2d, Dense

    Examples
    --------
    >>> import numpy as np
    >>> import fastlec
    >>> fastlec.Flatten()(np.arange(4.0).reshape(1, 1, 2, 2))
    array([[0., 1., 2., 3.]])
    """

    _reshapes = linear_in_x = _takes_epilogue = True

    def __init__(self) -> None:
        super().__init__()

    def output_shape(self, shape: Shape) -> Shape:
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
