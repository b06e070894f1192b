"""y = sigma(W x + b): Dense (lecture eq. 21), and what the layers of convolutions W * x (conv.py) share with it.

The derivatives are those of 4.1.2 with samples as rows: where the lecture has W' (sigma' * v) and (sigma' * v) x' for one column,
here are (sigma' * V) W and (sigma' * V)' X for all rows. Where sigma' follows from y = sigma(z), z is not kept.
"""

from __future__ import annotations

import numpy as np

from .. import _check
from .._kernels.epilogue import IDENTITY, KEEP_Z, Epilogue
from .._kernels.plan import Plan
from .._typing import ActivationName, DTypeLike, Seed, Shape
from ._maps import Matrix, differential, plan_sum
from .activation import Activated, Activation, settled
from .parameters import Initial
from .planned import activated, computed, curved, features, multiply
from .registry import kind


class Affine(Activated):
    """y = sigma(W x + b), where `_map` is W x as jobs and as matrices."""

    activation: ActivationName | Activation
    _takes_epilogue = _takes_sum = True

    def __init__(
        self,
        shape: Shape,
        activation: ActivationName | Activation,
        bias: bool,
        dtype: DTypeLike,
        rng: Seed | None,
        n_out: int | None = None,
        gain: float = 1.0,
    ) -> None:
        """n_out : the numbers of b, by default the rows of W. gain : of W, beside that of the activation."""
        self.activation = settled(activation)
        params = {"W": Initial(shape, gain * self._entry.gain)}
        b = {"b": Initial((n_out or shape[0],))} if _check.flag(bias, "bias") else {}
        super().__init__(params | b, dtype=dtype, rng=rng)

    @property
    def bias(self) -> bool:
        """Whether there is a parameter b."""
        return "b" in self.params

    @property
    def _outermost(self):
        return self._entry.code

    @property
    def _outer_alpha(self):
        return self._entry.alpha

    @property
    def affine_in_theta(self) -> bool:
        """Whether the activation is "identity": then y is an affine function of the parameters, and of x."""
        return self._outermost == IDENTITY

    linear_in_x = affine_in_theta

    def _evaluate_own(self, x):
        z, _ = self._linear().evaluate(x)
        return self.activation._values("activation", z), (x, z)

    def _mv_own(self, kept, directions):
        dz = computed(kept[0].dtype, kept[1].shape, lambda plan, dz: self._linear()._plan_mv(plan, kept, directions, dz))
        return self._entry.slope(kept[1]) * dz

    def _tmv_own(self, kept, v, wrt):
        (x, z), plan = kept, Plan(v.dtype.num)
        out = {name: plan.empty(*(x if name == "x" else self.params[name]).shape) for name in wrt}
        self._linear()._plan_tmv(plan, kept, self._entry.slope(z) * v, out)
        plan.run()
        return out

    def _plan_forward(self, plan, x, y):
        after, of = activated(plan, y, self.params.get("b"), self._entry)
        self._map.forward(plan, x, self.params["W"], y, after)
        return x, of

    def _plan_mv(self, plan, kept, directions, dy):
        x, of = kept
        self._plan_sums(plan, x, directions, dy, **self._entry.after(of))

    def _plan_sums(self, plan, x, directions, dz, **parts):
        """dz = the differential of W x + b, and the epilogue with these parts."""
        terms = differential(self._map.forward, x, self.params["W"], directions.get("x"), directions.get("W"))
        plan_sum(plan, terms or [self._map.zero(plan, dz)], dz, bias=directions.get("b"), **parts)

    def _plan_tmv(self, plan, kept, v, out, after=None):
        (x, _), update = kept, self._steps(out)
        if "b" in out:
            self._map.bias(plan, v, out["b"], update)
        if "x" in out:
            self._map.backward(plan, v, self.params["W"], out["x"], after)
        if "W" in out:
            self._map.weights(plan, v, x, out["W"], Epilogue(update=update))

    def _plan_backward(self, plan, y, kept, v, out):
        outer = self._outer_derivative(y, kept)
        if outer is None or "b" not in out:
            super()._plan_backward(plan, y, kept, v, out)
            return
        g = plan.empty(*v.shape)
        self._map.bias(plan, v, out["b"], self._steps(out), g=g, after=outer)  # both in one sweep
        self._plan_tmv(plan, kept, g, {name: a for name, a in out.items() if name != "b"})

    def _plan_tangent(self, plan, kept, directions, dy):
        if self._outermost not in KEEP_Z:
            self._plan_mv(plan, kept, directions, dy)
            return directions, dy
        dz = plan.empty(*dy.shape)
        self._plan_sums(plan, kept[0], directions, dz)
        multiply(plan, dz, dy, Epilogue(**self._entry.after(kept[1])))
        return directions, dz

    def _plan_adjoint(self, plan, y, kept, v, out, wrt):
        outer = self._outer_derivative(y, kept)
        g = v if outer is None else plan.empty(*v.shape)
        if "b" in out:
            self._map.bias(plan, v, out["b"], g=None if outer is None else g, after=outer)
        elif outer is not None:
            multiply(plan, v, g, outer)
        self._plan_tmv(plan, kept, g, {name: a for name, a in out.items() if name != "b"})
        return v, g

    def _plan_samples(self, plan, y, kept, v, out, samples):
        _, g = self._plan_adjoint(plan, y, kept, v, out, ())
        self._map.samples(plan, "W", g, kept[0], samples)
        self._map.bias_samples(plan, "b", g, samples)

    def _plan_curved(self, plan, y, kept, adjoint, tangent, dv, out):
        """With g = sigma' v the derivatives of W' g and g x' are W' dg + dW' g and dg x' + g dx'."""
        (x, of), (v, g), (directions, dof) = kept, adjoint, tangent
        dg = curved(plan, v, dv, of, dof, self._entry)
        if "b" in out:
            self._map.bias(plan, dg, out["b"])
        if "x" in out:
            plan_sum(plan, differential(self._map.backward, g, self.params["W"], dg, directions.get("W")), out["x"])
        if "W" in out:
            dx = directions.get("x")
            self._map.weights_sum(plan, [(dg, x)] if dx is None else [(dg, x), (g, dx)], out["W"])

    def _explicit(self, kept, name):
        """diag(sigma') times the Jacobian of W x + b."""
        (x, of), W = kept, self.params["W"]
        part = getattr(self._map, f"by_{name}")(x, W)
        J = self._map.scaled(self._entry.slope(of), part)
        return self._map.whole(J, len(x), name == "x")


@kind
class Dense(Affine):
    """Dense layer y = sigma(W x + b), the classical step of a network (lecture eq. 21).

    Samples are rows: for x (m, n_in), v (m, n_out) and z = x W' + b, it has (lecture section 4.1.2)::

        forward    y = sigma(z)
        JacMV      sigma'(z) * (dx W' + x dW' + db)
        JacTMV     with g = sigma'(z) * v:  x: g W,  W: g' x,  b: the sum of the rows of g

    Parameters
    ----------
    n_in : int
        The number of features of a sample of x.
    n_out : int
        The number of features of a sample of y.
    activation : str or Activation, default "tanh"
        The activation sigma: a name, as in `Activation`, or an `Activation`.
    bias : bool, default True
        Whether there is a parameter b.
    dtype : dtype, default float64
        The dtype of the parameters: float32 or float64.
    rng : int or numpy.random.Generator, optional
        A seed or generator from which the weights are drawn.

    Attributes
    ----------
    params : dict of arrays
        W (n_out, n_in), random, and b (n_out,), zeros.

    Raises
    ------
    ValueError
        If a size is not positive, or there is no such activation.

    See Also
    --------
    Residual, Conv2d, Network

    Examples
    --------
    >>> import numpy as np
    >>> import fastlec
    >>> layer = fastlec.Dense(3, 2, "relu")
    >>> layer.params["W"][...] = [[1.0, 0.0, -1.0], [0.0, 1.0, 0.0]]
    >>> x = np.array([[5.0, -1.0, 2.0]])
    >>> layer(x)
    array([[3., 0.]])
    >>> layer.jac_tmv(x, [[1.0, 1.0]])["W"]
    array([[ 5., -1.,  2.],
           [ 0.,  0.,  0.]])
    """

    n_in: int
    n_out: int
    _map = Matrix()
    _stacks = True

    def __init__(
        self,
        n_in: int,
        n_out: int,
        activation: ActivationName | Activation = "tanh",
        bias: bool = True,
        *,
        dtype: DTypeLike = np.float64,
        rng: Seed | None = None,
    ) -> None:
        self.n_in, self.n_out = _check.count(n_in, "n_in", 1), _check.count(n_out, "n_out", 1)
        super().__init__((self.n_out, self.n_in), activation, bias, dtype, rng)

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """The shape of one sample of x, with None for each length that may be any."""
        return (self.n_in,)

    def output_shape(self, shape: Shape) -> Shape:
        features(shape, self.n_in)
        return (self.n_out,)
