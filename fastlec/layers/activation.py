"""Activation: an activation as a layer by itself."""

import numpy as np

from .. import _check
from .._activations import ACTIVATIONS, known
from .._kernels import map as kernels
from .._kernels.epilogue import IDENTITY, KEEP_Z, Epilogue
from .planned import PlannedLayer, multiply
from .registry import kind


@kind
class Activation(PlannedLayer):
    """y = sigma(x), elementwise, samples of any shape.

    activation : "tanh", "sigmoid", "relu", "gelu", "silu", "softplus", "elu" (of alpha 1), "leaky_relu" (of slope 0.01) or
    "identity", as in all layers that have one.

    >>> layer = fastlec.Activation("gelu")
    >>> layer([[-1.0, 0.0, 1.0]]).round(4)
    array([[-0.1587,  0.    ,  0.8413]])
    """

    elementwise = True

    def __init__(self, activation):
        self.activation = known(activation)
        super().__init__()

    @property
    def outermost(self):
        return ACTIVATIONS[self.activation].code

    @property
    def linear_in_x(self):
        return self.outermost == IDENTITY

    def output_shape(self, shape):
        return _check.sizes(shape)

    def _partly(self, shape):
        return shape

    def plan_forward(self, plan, x, y):
        if self.outermost == IDENTITY:
            multiply(plan, x, y)
        else:
            kernels.forward(plan, self.outermost, x, y)
        return x, x if self.outermost in KEEP_Z else y

    def plan_mv(self, plan, kept, directions, dy):
        multiply(plan, directions["x"], dy, Epilogue(derivative=self.outermost, of=kept[1]))

    def plan_tmv(self, plan, kept, v, out, after=None):
        if "x" in out:
            multiply(plan, v, out["x"])

    def plan_backward(self, plan, y, kept, v, out):
        if "x" in out:
            multiply(plan, v, out["x"], self.outer_derivative(y, kept))

    def explicit(self, kept, name):
        """diag(sigma')."""
        return np.diag(ACTIVATIONS[self.activation].derivative(kept[1]).ravel())
