"""y = sigma(W x + b): Dense (lecture eq. 21) and, with a convolution W * x, Conv2d (chapter 5).

The derivatives are those of 4.1.2 with samples as rows: where the lecture has W' (sigma' * v) and (sigma' * v) x' for one column,
here are (sigma' * V) W and (sigma' * V)' X for all rows. Where sigma' follows from y = sigma(z), z is not kept.
"""

import numpy as np

from .. import _check
from .._geometry import geometry, pair
from .._kernels.epilogue import IDENTITY, Epilogue
from .._kernels.plan import Plan
from ..convolution import algorithm_code
from .activation import Activated, settled
from .maps import Convolution, Matrix, differential, plan_sum
from .parameters import Initial
from .planned import activated, computed, features, images
from .registry import kind


class _Affine(Activated):
    """y = sigma(W x + b), where `_map` is W x as jobs and as matrices."""

    takes_epilogue = True

    def __init__(self, shape, activation, bias, dtype, rng):
        self.activation = settled(activation)
        params = {"W": Initial(shape, self._entry.gain)}
        super().__init__(params | ({"b": Initial(shape[:1])} if _check.flag(bias, "bias") else {}), dtype=dtype, rng=rng)

    @property
    def bias(self):
        """Whether there is a b."""
        return "b" in self.params

    @property
    def outermost(self):
        return self._entry.code

    @property
    def outer_alpha(self):
        return self._entry.alpha

    @property
    def affine_in_theta(self):
        return self.outermost == IDENTITY

    linear_in_x = affine_in_theta

    def _evaluate_own(self, x):
        z, _ = self._linear().evaluate(x)
        return self.activation.values("activation", z), (x, z)

    def _mv_own(self, kept, directions):
        dz = computed(kept[0].dtype, kept[1].shape, lambda plan, dz: self._linear().plan_mv(plan, kept, directions, dz))
        return self._entry.slope(kept[1]) * dz

    def _tmv_own(self, kept, v, wrt):
        (x, z), plan = kept, Plan(v.dtype.num)
        out = {name: plan.empty(*(x if name == "x" else self.params[name]).shape) for name in wrt}
        self._linear().plan_tmv(plan, kept, self._entry.slope(z) * v, out)
        plan.run()
        return out

    def plan_forward(self, plan, x, y):
        after, of = activated(plan, y, self.params.get("b"), self._entry)
        self._map.forward(plan, x, self.params["W"], y, after)
        return x, of

    def plan_mv(self, plan, kept, directions, dy):
        x, of = kept
        terms = differential(self._map, x, self.params["W"], directions.get("x"), directions.get("W"))
        terms = terms or [self._map.zero(plan, dy)]
        plan_sum(plan, terms, dy, bias=directions.get("b"), **self._entry.after(of))

    def plan_tmv(self, plan, kept, v, out, after=None):
        (x, _), update = kept, self.steps(out)
        if "b" in out:
            self._map.bias(plan, v, out["b"], update)
        if "x" in out:
            self._map.backward(plan, v, self.params["W"], out["x"], after)
        if "W" in out:
            self._map.weights(plan, v, x, out["W"], Epilogue(update=update))

    def plan_backward(self, plan, y, kept, v, out):
        outer = self.outer_derivative(y, kept)
        if outer is None or "b" not in out:
            super().plan_backward(plan, y, kept, v, out)
            return
        g = plan.empty(*v.shape)
        self._map.bias(plan, v, out["b"], self.steps(out), g=g, after=outer)  # both in one sweep
        self.plan_tmv(plan, kept, g, {name: a for name, a in out.items() if name != "b"})

    def explicit(self, kept, name):
        """diag(sigma') times the Jacobian of W x + b."""
        (x, of), W = kept, self.params["W"]
        part = getattr(self._map, f"by_{name}")(x, W)
        J = self._map.scaled(self._entry.slope(of), part)
        return self._map.whole(J, len(x), name == "x")


@kind
class Dense(_Affine):
    """y = sigma(W x + b) (lecture eq. 21): x (m, n_in), y (m, n_out).

    params : W (n_out, n_in), random, and b (n_out,), zeros; no b with bias=False. activation : a name, as in
    `Activation`, or an `Activation`. dtype : float32 or float64. rng : seed or numpy.random.Generator of the weights.
    """

    _map = Matrix()

    def __init__(self, n_in, n_out, activation="tanh", bias=True, *, dtype=np.float64, rng=None):
        self.n_in, self.n_out = _check.count(n_in, "n_in", 1), _check.count(n_out, "n_out", 1)
        super().__init__((self.n_out, self.n_in), activation, bias, dtype, rng)

    @property
    def input_shape(self):
        return (self.n_in,)

    def output_shape(self, shape):
        features(shape, self.n_in)
        return (self.n_out,)


@kind
class Conv2d(_Affine):
    """y = sigma(W * x + b): x (m, c_in, h, w), y (m, c_out, oh, ow).

    params : W (c_out, c_in / groups, r, s), random, and b (c_out,), zeros; no b with bias=False. kernel_size : int or (r, s).
    activation : as in `Dense`. stride, dilation : int or (vertical, horizontal). padding : int,
    (vertical, horizontal), ((top, bottom), (left, right)), "same" or "valid". groups : a divisor of c_in and c_out: filters of a
    group see its channels only. algorithm : "auto", "im2col", "direct" or "winograd". All as in `fastlec.conv2d`. dtype : float32
    or float64. rng : seed or numpy.random.Generator of the weights.
    """

    def __init__(
        self,
        c_in,
        c_out,
        kernel_size,
        activation="identity",
        bias=True,
        *,
        stride=1,
        padding=0,
        dilation=1,
        groups=1,
        algorithm="auto",
        dtype=np.float64,
        rng=None,
    ):
        c_in, c_out, groups = (_check.count(n, name, 1) for n, name in ((c_in, "c_in"), (c_out, "c_out"), (groups, "groups")))
        if c_in % groups or c_out % groups:
            raise ValueError(f"groups is {groups}; expected a divisor of c_in, which is {c_in}, and of c_out, which is {c_out}")
        algorithm_code(algorithm)  # checks it
        self.c_in, self.c_out, self.groups, self.algorithm = c_in, c_out, groups, algorithm
        self.kernel_size, self.dilation = pair(kernel_size, "kernel_size", 1), pair(dilation, "dilation", 1)
        smallest = [step * (taps - 1) + 1 for step, taps in zip(self.dilation, self.kernel_size, strict=True)]
        shape = c_out, c_in // groups, *self.kernel_size
        g = geometry((1, c_in, *smallest), shape, stride, padding, self.dilation, groups)  # checks the others
        self.stride = g.sh, g.sw
        self.padding = padding if isinstance(padding, str) else ((g.top, g.bottom), (g.left, g.right))
        self._map = Convolution(self.stride, self.padding, self.dilation, groups, algorithm)
        super().__init__(shape, activation, bias, dtype, rng)

    @property
    def input_shape(self):
        return (self.c_in, None, None)

    def _partly(self, shape):
        return (self.c_out, None, None)

    def output_shape(self, shape):
        return self._map.window((1, *images(shape, self.c_in)), self.params["W"].shape).y_shape[1:]

    def nonzeros(self, kept, name):
        size = kept[1].size  # that of y
        return size if name == "b" else size * self.params["W"][0].size
