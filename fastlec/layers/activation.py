"""Activation: an activation as a layer by itself."""

import numpy as np

from .. import _check
from .._activations import ACTIVATIONS, known
from .._kernels import map as kernels
from .._kernels.epilogue import IDENTITY, KEEP_Z, Epilogue
from .jacobian import Jacobian
from .planned import PlannedLayer, curved, multiply
from .registry import kind


@kind
class Activation(PlannedLayer):
    """y = sigma(x), elementwise, samples of any shape.

    activation : "tanh", "sigmoid", "relu", "gelu", "silu", "softplus", "elu" (of alpha 1), "leaky_relu" (of slope 0.01) or
    "identity", as in all layers that have one.

    Or two functions of arrays, activation and its derivative, which give arrays of x's shape: Activation(np.sin, np.cos). Such a
    layer is computed in Python, and files do not hold it: for that, make it a class of your own (`register_layer`).

    >>> import numpy as np
    >>> fastlec.Activation("gelu")(np.array([[-1.0, 0.0, 1.0]])).round(4)
    array([[-0.1587,  0.    ,  0.8413]])
    >>> net = fastlec.Network([fastlec.Dense(2, 3, "identity"), fastlec.Activation(np.sin, np.cos)], rng=0)
    >>> fastlec.testing.check_layer(net, np.ones((2, 2)), rng=0).passed
    True
    """

    elementwise = True

    def __new__(cls, activation=None, derivative=None):
        return object.__new__(FunctionActivation if cls is Activation and callable(activation) else cls)

    def __init__(self, activation, derivative=None):
        if derivative is not None:
            what = f"activation is {_check.shown(activation)} and derivative is given"
            raise TypeError(f"{what}; expected a function, or no derivative")
        self.activation, self.derivative = known(activation), None
        super().__init__()

    def config(self):
        return {"activation": self.activation}

    @property
    def outermost(self):
        return ACTIVATIONS[self.activation].code

    @property
    def linear_in_x(self):
        return self.outermost == IDENTITY

    reshapes = linear_in_x

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

    def plan_tangent(self, plan, kept, directions, dy):
        self.plan_mv(plan, kept, directions, dy)
        return directions["x"] if self.outermost in KEEP_Z else dy

    def plan_curved(self, plan, y, kept, adjoint, tangent, dv, out):
        if "x" in out:
            multiply(plan, curved(plan, adjoint, dv, kept[1], tangent, self.outermost), out["x"])

    def explicit(self, kept, name):
        """diag(sigma')."""
        return np.diag(ACTIVATIONS[self.activation].derivative(kept[1]).ravel())


class FunctionActivation(Activation):
    """What `Activation` makes of two functions."""

    planned = elementwise = reshapes = linear_in_x = False
    outermost = None

    def __init__(self, activation, derivative=None):
        for name, function in (("activation", activation), ("derivative", derivative)):
            if not callable(function):
                raise TypeError(f"{name} is {_check.shown(function)}; expected a function of arrays")
        self.activation, self.derivative = activation, derivative
        PlannedLayer.__init__(self)

    def config(self):
        return {"activation": self.activation, "derivative": self.derivative}

    def described(self):
        what = "an Activation of functions of your own, which files do not hold"
        raise TypeError(f"a layer is {what}: make it a class of your own, registered by fastlec.register_layer")

    def evaluate(self, x):
        return self._values("activation", x), x

    def mv(self, x, directions):
        return self._values("derivative", x) * directions["x"]

    def tmv(self, x, v, wrt):
        return {name: self._values("derivative", x) * v for name in wrt}

    def jacobian(self, x, y, kept):
        return Jacobian(self, x, y, kept)

    def explicit(self, kept, name):
        return np.diag(self._values("derivative", kept).ravel())

    def _values(self, name, x):
        """What one of the functions gives of x, in x's dtype."""
        found = _check.as_array(getattr(self, name)(x), f"what {name} gave")
        if found.dtype.kind not in "fiub":
            raise TypeError(f"{name} gave dtype {found.dtype}; expected {x.dtype}")
        return _check.shape(found.astype(x.dtype, copy=False), f"what {name} gave", x.shape)
