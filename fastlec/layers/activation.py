"""Activation: an activation as a layer by itself."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, Literal, overload

import numpy as np

from .. import _check
from .._activations import ACTIVATIONS, Entry, known
from .._kernels import map as kernels
from .._kernels.calls import Calls
from .._kernels.epilogue import IDENTITY, KEEP_Z, Epilogue
from .._typing import ActivationName, ArrayLike, FloatArray, Shape
from .jacobian import Jacobian
from .planned import PlannedLayer, curved, multiply
from .registry import kind


def settled(activation: Any) -> Any:
    """What a layer keeps of its argument `activation`: the name where that says all, else the `Activation`."""
    if type(activation) not in (Activation, FunctionActivation):
        return known(activation)
    return activation if len(activation.config()) > 1 else activation.activation


def entry_of(activation: ActivationName | Activation) -> Entry:
    """The `Entry` of what `settled` gave."""
    return activation._entry if isinstance(activation, Activation) else ACTIVATIONS[activation]


def layer_of(activation: ActivationName | Activation) -> Activation:
    """An argument `activation` of other layers as a layer by itself."""
    return activation if isinstance(activation, Activation) else Activation(activation)


@kind
class Activation(PlannedLayer):
    """Activation layer y = sigma(x) of each element, for samples of any shape (lecture example 1).

    It is also an activation with its parameter, for other layers::

        forward    y = sigma(x)
        JacMV      sigma'(x) * dx
        JacTMV     sigma'(x) * v

    Parameters
    ----------
    activation : str or callable
        "tanh", "sigmoid", "relu", "gelu", "gelu_tanh", "silu", "softplus", "elu", "leaky_relu" or "identity", as in all layers that
        have an activation; or a function of an array that gives an array of its shape.
    derivative : callable, optional
        The derivative of a function. A layer with such an activation is computed in Python, and files do not hold it: for that,
        make it a class of your own (`register_layer`).
    alpha : float, optional
        The parameter of "elu", at least 0, by default 1.
    negative_slope : float, optional
        The parameter of "leaky_relu", at least 0, by default 0.01.
    approximate : {"none", "tanh"}, optional
        The form of "gelu", by default "none"; with "tanh" it is "gelu_tanh".

    Raises
    ------
    ValueError
        If there is no such activation, or a parameter is out of range or that of another one.
    TypeError
        If a function is given without its derivative, or a name with one.

    See Also
    --------
    Dense, value_and_derivative, register_layer

    Examples
    --------
    >>> import numpy as np
    >>> import fastlec
    >>> fastlec.Activation("gelu")(np.array([[-1.0, 0.0, 1.0]])).round(4)
    array([[-0.1587,  0.    ,  0.8413]])
    >>> fastlec.Dense(2, 3, fastlec.Activation("leaky_relu", negative_slope=0.1))
    Dense(n_in=2, n_out=3, activation=Activation(activation='leaky_relu', negative_slope=0.1))
    >>> net = fastlec.Network([fastlec.Dense(2, 3, "identity"), fastlec.Activation(np.sin, np.cos)], rng=0)
    >>> fastlec.testing.check_layer(net, np.ones((2, 2)), rng=0).passed
    True
    """

    activation: Any  # its name, or the function
    derivative: Callable[[FloatArray], ArrayLike] | None
    alpha: float | None = None
    negative_slope: float | None = None
    _elementwise = True

    def __new__(cls, activation: Any = None, derivative: Any = None, **parameters: Any) -> Activation:
        return object.__new__(FunctionActivation if cls is Activation and callable(activation) else cls)

    @overload
    def __init__(
        self,
        activation: ActivationName,
        derivative: None = None,
        *,
        alpha: float | None = None,
        negative_slope: float | None = None,
        approximate: Literal["none", "tanh"] | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self, activation: Callable[[FloatArray], ArrayLike], derivative: Callable[[FloatArray], ArrayLike]
    ) -> None: ...
    def __init__(
        self,
        activation: ActivationName | Callable[[FloatArray], ArrayLike],
        derivative: Callable[[FloatArray], ArrayLike] | None = None,
        *,
        alpha: float | None = None,
        negative_slope: float | None = None,
        approximate: Literal["none", "tanh"] | None = None,
    ) -> None:
        if derivative is not None:
            what = f"activation is {_check.shown(activation)} and derivative is given"
            raise TypeError(f"{what}; expected a function, or no derivative")
        self.activation, self.derivative = known(activation), None
        if approximate is not None:
            self._only("gelu", "approximate", approximate)
            if _check.choice(approximate, ("none", "tanh"), "approximate") == "tanh":
                self.activation = "gelu_tanh"
        self.alpha = self._parameter("elu", "alpha", alpha)
        self.negative_slope = self._parameter("leaky_relu", "negative_slope", negative_slope)
        super().__init__()

    def _only(self, owner, name, value):
        if self.activation != owner:
            what = f"{name} is {_check.shown(value)} and activation is {self.activation!r}"
            raise ValueError(f"{what}; expected {name} with {owner!r} alone")

    def _parameter(self, owner, name, value):
        """The parameter of one activation, None for others."""
        if value is None:
            return ACTIVATIONS[owner].alpha if self.activation == owner else None
        self._only(owner, name, value)
        return _check.non_negative(value, name)

    @property
    def _entry(self):
        """What layers compute by."""
        entry = ACTIVATIONS[self.activation]
        return entry.with_alpha(getattr(self, entry.parameter)) if entry.parameter else entry

    def config(self) -> dict[str, Any]:
        """Return the arguments that make such a layer, a parameter only where it is not the default.

        Returns
        -------
        dict
            The arguments of the constructor by name.
        """
        config, entry = {"activation": self.activation}, self._entry
        return config if entry.alpha == ACTIVATIONS[self.activation].alpha else config | {entry.parameter: entry.alpha}

    @property
    def _outermost(self):
        return self._entry.code

    @property
    def _outer_alpha(self):
        return self._entry.alpha

    @property
    def linear_in_x(self) -> bool:
        """Whether the activation is "identity"."""
        return self._outermost == IDENTITY

    _reshapes = linear_in_x

    def output_shape(self, shape: Shape) -> Shape:
        return _check.sizes(shape)

    def _partly(self, shape):
        return shape

    def _plan_forward(self, plan, x, y):
        if self._outermost == IDENTITY:
            multiply(plan, x, y)
        else:
            kernels.forward(plan, self._outermost, x, y, self._entry.alpha)
        return x, x if self._outermost in KEEP_Z else y

    def _plan_mv(self, plan, kept, directions, dy):
        multiply(plan, directions["x"], dy, Epilogue(**self._entry.after(kept[1])))

    def _plan_tmv(self, plan, kept, v, out, after=None):
        if "x" in out:
            multiply(plan, v, out["x"])

    def _plan_backward(self, plan, y, kept, v, out):
        if "x" in out:
            multiply(plan, v, out["x"], self._outer_derivative(y, kept))

    def _plan_tangent(self, plan, kept, directions, dy):
        self._plan_mv(plan, kept, directions, dy)
        return directions["x"] if self._outermost in KEEP_Z else dy

    def _plan_curved(self, plan, y, kept, adjoint, tangent, dv, out):
        if "x" in out:
            multiply(plan, curved(plan, adjoint, dv, kept[1], tangent, self._entry), out["x"])

    def _explicit(self, kept, name):
        """diag(sigma')."""
        return np.diag(self._entry.slope(kept[1]).ravel())


class FunctionActivation(Activation):
    """What `Activation` makes of two functions."""

    activation: Any
    derivative: Any
    _planned = _elementwise = _reshapes = linear_in_x = False
    _outermost = None

    def __init__(self, activation: Callable[[FloatArray], ArrayLike], derivative: Any = None) -> None:
        for name, function in (("activation", activation), ("derivative", derivative)):
            if not callable(function):
                raise TypeError(f"{name} is {_check.shown(function)}; expected a function of arrays")
        self.activation, self.derivative = activation, derivative
        PlannedLayer.__init__(self)

    @property
    def _entry(self):
        return Entry(None, lambda z, _: self._values("derivative", z))

    _outer_alpha = None

    def __repr__(self) -> str:
        return f"Activation({self.activation!r}, {self.derivative!r})"

    def config(self) -> dict[str, Any]:
        return {"activation": self.activation, "derivative": self.derivative}

    def _described(self):
        what = "an Activation of functions of your own, which files do not hold"
        raise TypeError(f"a layer is {what}: make it a class of your own, registered by fastlec.register_layer")

    def evaluate(self, x: FloatArray) -> tuple[FloatArray, Any]:
        return self._values("activation", x), x

    def mv(self, kept: Any, directions: dict[str, FloatArray]) -> FloatArray:
        return self._values("derivative", kept) * directions["x"]

    def tmv(self, kept: Any, v: FloatArray, wrt: tuple[str, ...]) -> dict[str, FloatArray]:
        return {name: self._values("derivative", kept) * v for name in wrt}

    def _jacobian_of(self, x, y, kept):
        return Jacobian(self, x, y, kept)

    def _explicit(self, kept, name):
        return np.diag(self._values("derivative", kept).ravel())

    def _values(self, name, x):
        """What one of the functions gives of x, in x's dtype."""
        found = _check.as_array(getattr(self, name)(x), f"what {name} gave")
        if not _check.is_real(found.dtype):
            raise TypeError(f"{name} gave dtype {found.dtype}; expected {x.dtype}")
        return _check.shape(found.astype(x.dtype, copy=False), f"what {name} gave", x.shape)


class Activated(PlannedLayer):
    """A layer with an activation among others. Where that is one of functions of the user's own, the layer is computed in Python
    between lists of jobs: by _evaluate_own, _mv_own and _tmv_own, which a subclass has for this."""

    @property
    def _by_jobs(self):
        return not isinstance(self.activation, FunctionActivation)

    _planned = _by_jobs

    @property
    def _entry(self):
        return entry_of(self.activation)

    def _linear(self):
        """The same layer, on the same parameters, without the activation."""
        other = copy.copy(self)
        vars(other).update(activation="identity", _calls=Calls())
        return other

    def evaluate(self, x: FloatArray) -> tuple[FloatArray, Any]:
        return super().evaluate(x) if self._by_jobs else self._evaluate_own(x)

    def mv(self, kept: Any, directions: dict[str, FloatArray]) -> FloatArray:
        return super().mv(kept, directions) if self._by_jobs else self._mv_own(kept, directions)

    def tmv(self, kept: Any, v: FloatArray, wrt: tuple[str, ...]) -> dict[str, FloatArray]:
        return super().tmv(kept, v, wrt) if self._by_jobs else self._tmv_own(kept, v, wrt)

    def _jacobian_of(self, x, y, kept):
        return super()._jacobian_of(x, y, kept) if self._by_jobs else Jacobian(self, x, y, kept)
