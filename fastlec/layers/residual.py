"""Layers that add what they compute to (a projection of) x: y = x + W2 sigma(W1 x + b) (lecture eq. 22) and y = W2 x +
sigma(W1 x + b) (eq. 23), of features and, with convolutions, of images (chapter 5). The derivatives are those of 4.1.3."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import _check
from .._geometry import pair
from .._kernels.epilogue import KEEP_Z, Epilogue
from .._kernels.plan import Plan
from .._typing import ActivationName, DTypeLike, Pair, Seed, Shape
from ..convolution import algorithm_code
from ._maps import Convolution, Matrix, differential, plan_sum
from .activation import Activated, Activation, settled
from .conv import Algorithm
from .parameters import Initial
from .planned import activated, computed, curved, features, images, multiply
from .registry import kind

RESIDUAL_GAIN = 0.1  # of W2: a deep network starts near the identity, and its steps stay bounded (Zhang, Dauphin and Ma 2019)


class _Hidden(Activated):
    """W1, b, W2 and h = sigma(W1 x + b), of which y is made; `_first` and `_second` are the maps of W1 and W2.

    Kept are x, h and what sigma' follows from, `of`: h itself, or W1 x + b."""

    activation: ActivationName | Activation
    _takes_epilogue = True

    def __init__(
        self,
        shape1: Shape,
        shape2: Shape,
        gain2: float,
        activation: ActivationName | Activation,
        dtype: DTypeLike,
        rng: Seed | None,
    ) -> None:
        self.activation = settled(activation)
        params = {"W1": Initial(shape1, self._entry.gain), "b": Initial(shape1[:1]), "W2": Initial(shape2, gain2)}
        super().__init__(params, dtype=dtype, rng=rng)

    def _evaluate_own(self, x):
        shape = self._first.output_shape(x, self.params["W1"])
        z = computed(x.dtype, shape, lambda plan, z: self._linear()._plan_hidden(plan, x, z))
        h = self.activation._values("activation", z)
        shape = len(x), *self.output_shape(x.shape[1:])
        return computed(x.dtype, shape, lambda plan, y: self._plan_above(plan, x, h, y)), (x, h, z)

    def _mv_own(self, kept, directions):
        (x, h, z), dh = kept, None
        if directions.keys() & {"x", "W1", "b"}:
            dh = computed(h.dtype, h.shape, lambda plan, dh: self._linear()._plan_hidden_mv(plan, x, z, directions, dh))
            dh *= self._entry.slope(z)
        shape = len(x), *self.output_shape(x.shape[1:])
        return computed(x.dtype, shape, lambda plan, dy: self._plan_above_mv(plan, x, h, directions, dh, dy))

    def _tmv_own(self, kept, v, wrt):
        (x, h, z), plan, g = kept, Plan(v.dtype.num), None
        if not {"x", "W1", "b"}.isdisjoint(wrt):
            g = computed(h.dtype, h.shape, lambda plan, g: self._plan_to_hidden(plan, v, g, Epilogue()))
            g *= self._entry.slope(z)
        out = {name: plan.empty(*(x if name == "x" else self.params[name]).shape) for name in wrt}
        if "b" in out:
            self._first.bias(plan, g, out["b"])
        self._plan_below(plan, x, h, v, g, out, None)
        plan.run()
        return out

    def _plan_hidden(self, plan, x, h=None):
        W1, b, _ = self.params.values()
        h = plan.empty(*self._first.output_shape(x, W1)) if h is None else h
        after, of = activated(plan, h, b, self._entry)
        self._first.forward(plan, x, W1, h, after)
        return h, of

    def _plan_hidden_mv(self, plan, x, of, directions, dh):
        """dh, along the directions; returns the derivative of what sigma' follows from."""
        terms = differential(self._first.forward, x, self.params["W1"], directions.get("x"), directions.get("W1"))
        terms, bias = terms or [self._first.zero(plan, dh)], directions.get("b")
        if self._entry.code not in KEEP_Z:
            plan_sum(plan, terms, dh, bias=bias, **self._entry.after(of))
            return dh
        dz = plan.empty(*dh.shape)
        plan_sum(plan, terms, dz, bias=bias)
        multiply(plan, dz, dh, Epilogue(**self._entry.after(of)))
        return dz

    def _plan_mv(self, plan, kept, directions, dy):
        self._plan_tangent(plan, kept, directions, dy)

    def _plan_adjoint(self, plan, y, kept, v, out, wrt):
        x, h, of = kept
        u, g = self._plan_share(plan, v, h), plan.empty(*h.shape)
        self._first.bias(plan, u, out.get("b"), g=g, after=Epilogue(**self._entry.after(of)))
        self._plan_below(plan, x, h, v, g, out, None)
        return v, u, g

    def _plan_samples(self, plan, y, kept, v, out, samples):
        (x, h, _), (_, _, g) = kept, self._plan_adjoint(plan, y, kept, v, out, ())
        self._first.samples(plan, "W1", g, x, samples)
        self._first.bias_samples(plan, "b", g, samples)
        self._second.samples(plan, "W2", v, self._second_takes(x, h), samples)

    def _plan_curved(self, plan, y, kept, adjoint, tangent, dv, out):
        """With u what comes back to h, and g = sigma' u: each product of these, v, weights and what these multiply is derived."""
        (x, h, of), (v, u, g), (directions, dh, dof) = kept, adjoint, tangent
        dx = directions.get("x")
        if out.keys() & {"x", "W1", "b"}:
            du = self._plan_share_along(plan, v, dv, h, directions)
            dg = curved(plan, u, du, of, dof, self._entry)
            if "b" in out:
                self._first.bias(plan, dg, out["b"])
            if "x" in out:
                terms = differential(self._first.backward, g, self.params["W1"], dg, directions.get("W1"))
                self._plan_dx_along(plan, terms, v, dv, directions, out["x"])
            if "W1" in out:
                self._first.weights_sum(plan, [(dg, x)] if dx is None else [(dg, x), (g, dx)], out["W1"])
        if "W2" in out:
            taken, moved = self._second_takes(x, h), self._second_takes(dx, dh)
            self._second.weights_sum(plan, [(dv, taken)] if moved is None else [(dv, taken), (v, moved)], out["W2"])

    def _by_hidden(self, x, of, name):
        """The Jacobian of h by x, W1 or b."""
        by = {"x": self._first.by_x, "W1": self._first.by_W, "b": self._first.by_b}[name]
        return self._first.scaled(self._entry.slope(of), by(x, self.params["W1"]))


class _Identity(_Hidden):
    """y = x + W2 h."""

    def _partly(self, shape):
        return shape

    def _plan_forward(self, plan, x, y):
        h, of = self._plan_hidden(plan, x)
        self._plan_above(plan, x, h, y)
        return x, h, of

    def _plan_above(self, plan, x, h, y):
        self._second.forward(plan, h, self.params["W2"], y, Epilogue(residual=x))

    def _plan_tangent(self, plan, kept, directions, dy):
        x, h, of = kept
        dh = dof = None
        if directions.keys() & {"x", "W1", "b"}:
            dh = plan.empty(len(dy), *h.shape[1:])
            dof = self._plan_hidden_mv(plan, x, of, directions, dh)
        self._plan_above_mv(plan, x, h, directions, dh, dy)
        return directions, dh, dof

    def _plan_above_mv(self, plan, x, h, directions, dh, dy):
        terms = differential(self._second.forward, h, self.params["W2"], dh, directions.get("W2"))
        plan_sum(plan, terms, dy, residual=directions.get("x"))

    def _plan_tmv(self, plan, kept, v, out, after=None):
        (x, h, of), g = kept, None
        if out.keys() & {"x", "W1", "b"}:
            g = plan.empty(len(v), *h.shape[1:])
            self._plan_to_hidden(plan, v, g, Epilogue(**self._entry.after(of)))
            if "b" in out:
                self._first.bias(plan, g, out["b"], self._steps(out))
        self._plan_below(plan, x, h, v, g, out, after)

    def _plan_to_hidden(self, plan, v, g, after):
        """g = the part of h in J' v, and the epilogue."""
        self._second.backward(plan, v, self.params["W2"], g, after)

    def _plan_below(self, plan, x, h, v, g, out, after):
        """What follows from g, but for b."""
        W1, update = self.params["W1"], self._steps(out)
        if "x" in out:
            self._first.backward(plan, g, W1, out["x"], following(after, residual=v))
        if "W1" in out:
            self._first.weights(plan, g, x, out["W1"], Epilogue(update=update))
        if "W2" in out:
            self._second.weights(plan, v, h, out["W2"], Epilogue(update=update))

    def _second_takes(self, x, h):
        return h

    def _plan_share(self, plan, v, h):
        """What comes back to h, of v."""
        u = plan.empty(*h.shape)
        self._plan_to_hidden(plan, v, u, None)
        return u

    def _plan_share_along(self, plan, v, dv, h, directions):
        """The derivative of that."""
        du = plan.empty(*h.shape)
        plan_sum(plan, differential(self._second.backward, v, self.params["W2"], dv, directions.get("W2")), du)
        return du

    def _plan_dx_along(self, plan, terms, v, dv, directions, dx):
        """The derivative of J' v by x, of which the part through h is the sum of the terms."""
        plan_sum(plan, terms, dx, residual=dv)

    def _explicit(self, kept, name):
        """That of h, times W2 from the left; by x the identity is added."""
        (x, h, of), second = kept, self._second
        if name == "W2":
            J = second.by_W(h, self.params["W2"])
        else:
            J = second.by_x(h, self.params["W2"]) @ self._by_hidden(x, of, name)
        return second.whole(J + second.identity(x) if name == "x" else J, len(x), name == "x")


class _Projected(_Hidden):
    """y = W2 x + h."""

    def _plan_forward(self, plan, x, y):
        h, of = self._plan_hidden(plan, x)
        self._plan_above(plan, x, h, y)
        return x, h, of

    def _plan_above(self, plan, x, h, y):
        self._second.forward(plan, x, self.params["W2"], y, Epilogue(residual=h))

    def _plan_tangent(self, plan, kept, directions, dy):
        x, h, of = kept
        dh = dof = None
        if directions.keys() & {"x", "W1", "b"}:
            dh = plan.empty(*h.shape) if directions.keys() & {"x", "W2"} else dy
            dof = self._plan_hidden_mv(plan, x, of, directions, dh)
        self._plan_above_mv(plan, x, h, directions, dh, dy)
        return directions, dh, dof

    def _plan_above_mv(self, plan, x, h, directions, dh, dy):
        terms = differential(self._second.forward, x, self.params["W2"], directions.get("x"), directions.get("W2"))
        if terms:
            plan_sum(plan, terms, dy, residual=dh)
        elif dh is not dy:
            multiply(plan, dh, dy)

    def _plan_tmv(self, plan, kept, v, out, after=None):
        (x, h, of), g = kept, None
        if out.keys() & {"x", "W1", "b"}:
            g = plan.empty(*h.shape)
            self._first.bias(plan, v, out.get("b"), self._steps(out), g=g, after=Epilogue(**self._entry.after(of)))
        self._plan_below(plan, x, h, v, g, out, after)

    def _plan_to_hidden(self, plan, v, g, after):
        multiply(plan, v, g, after)

    def _plan_below(self, plan, x, h, v, g, out, after):
        W1, _, W2 = self.params.values()
        update = self._steps(out)
        if "x" in out:
            self._second.backward(plan, v, W2, out["x"])
            self._first.backward(plan, g, W1, out["x"], following(after, accumulate=True))
        if "W1" in out:
            self._first.weights(plan, g, x, out["W1"], Epilogue(update=update))
        if "W2" in out:
            self._second.weights(plan, v, x, out["W2"], Epilogue(update=update))

    def _second_takes(self, x, h):
        return x

    def _plan_share(self, plan, v, h):
        return v

    def _plan_share_along(self, plan, v, dv, h, directions):
        return dv

    def _plan_dx_along(self, plan, terms, v, dv, directions, dx):
        plan_sum(plan, [*differential(self._second.backward, v, self.params["W2"], dv, directions.get("W2")), *terms], dx)

    def _explicit(self, kept, name):
        """That of h; by x that of W2 x is added."""
        (x, _, of), W2 = kept, self.params["W2"]
        J = self._second.by_W(x, W2) if name == "W2" else self._by_hidden(x, of, name)
        return self._first.whole(J + self._second.by_x(x, W2) if name == "x" else J, len(x), name == "x")


def following(after: Epilogue | None, **parts: Any) -> Epilogue:
    """The epilogue with these parts before those of `after`, which is None or multiplies by an activation's derivative."""
    return (
        Epilogue(**parts) if after is None else Epilogue(derivative=after.derivative, of=after.of, alpha=after.alpha, **parts)
    )


# --- of features -----------------------------------------------------------------------------------------------------


@kind
class Residual(_Identity):
    """Residual layer y = x + W2 sigma(W1 x + b) (lecture eq. 22).

    x and y are (m, n). For one sample, a column as in the lecture (section 4.1.3), it has::

        forward    z = W1 x + b,  h = sigma(z),  y = x + W2 h
        JacMV      dx + W2 dh + dW2 h,  dh = sigma'(z) * (W1 dx + dW1 x + db)
        JacTMV     with g = sigma'(z) * W2' v:  x: v + W1' g,  W1: g x',  b: g,  W2: v h'

    Parameters
    ----------
    n : int
        The number of features of a sample of x, and of y.
    hidden : int, optional
        The number of rows of W1. By default it is n, as in the lecture.
    activation : str or Activation, default "tanh"
        The activation sigma: a name, as in `Activation`, or an `Activation`.
    dtype : dtype, default float64
        The dtype of the parameters: float32 or float64.
    rng : int or numpy.random.Generator, optional
        A seed or generator from which the weights are drawn.

    Attributes
    ----------
    params : dict of arrays
        W1 (hidden, n), random; b (hidden,), zeros; W2 (n, hidden), random and a tenth of the usual size, so that a deep network
        begins near the identity.

    Raises
    ------
    ValueError
        If a size is not positive, or there is no such activation.

    See Also
    --------
    ProjectedResidual, ConvResidual, Sum

    Examples
    --------
    >>> import numpy as np
    >>> import fastlec
    >>> layer = fastlec.Residual(2)
    >>> layer.params["W2"][...] = 0
    >>> layer(np.array([[3.0, 4.0]]))
    array([[3., 4.]])
    """

    n: int
    hidden: int
    _first = _second = Matrix()
    _stacks = True

    def __init__(
        self,
        n: int,
        hidden: int | None = None,
        activation: ActivationName | Activation = "tanh",
        *,
        dtype: DTypeLike = np.float64,
        rng: Seed | None = None,
    ) -> None:
        self.n = _check.count(n, "n", 1)
        self.hidden = self.n if hidden is None else _check.count(hidden, "hidden", 1)
        super().__init__((self.hidden, self.n), (self.n, self.hidden), RESIDUAL_GAIN, activation, dtype, rng)

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """The shape of one sample of x, with None for each length that may be any."""
        return (self.n,)

    def output_shape(self, shape: Shape) -> Shape:
        features(shape, self.n)
        return (self.n,)


@kind
class ProjectedResidual(_Projected):
    """Residual layer y = W2 x + sigma(W1 x + b) between different sizes (lecture eq. 23).

    x is (m, n_in) and y (m, n_out). For one sample, a column as in the lecture (section 4.1.3), it has::

        forward    z = W1 x + b,  y = W2 x + sigma(z)
        JacMV      W2 dx + dW2 x + sigma'(z) * (W1 dx + dW1 x + db)
        JacTMV     with g = sigma'(z) * v:  x: W2' v + W1' g,  W1: g x',  b: g,  W2: v x'

    Parameters
    ----------
    n_in : int
        The number of features of a sample of x.
    n_out : int
        The number of features of a sample of y.
    activation : str or Activation, default "tanh"
        The activation sigma: a name, as in `Activation`, or an `Activation`.
    dtype : dtype, default float64
        The dtype of the parameters: float32 or float64.
    rng : int or numpy.random.Generator, optional
        A seed or generator from which the weights are drawn.

    Attributes
    ----------
    params : dict of arrays
        W1 (n_out, n_in), random; b (n_out,), zeros; W2 (n_out, n_in), random.

    Raises
    ------
    ValueError
        If a size is not positive, or there is no such activation.

    See Also
    --------
    Residual, ProjectedConvResidual

    Examples
    --------
    >>> import numpy as np
    >>> import fastlec
    >>> layer = fastlec.ProjectedResidual(2, 1, "relu")
    >>> layer.params["W1"][...], layer.params["W2"][...] = [[1.0, -1.0]], [[0.0, 1.0]]
    >>> layer(np.array([[5.0, 2.0]]))
    array([[5.]])
    """

    n_in: int
    n_out: int
    _first = _second = Matrix()

    def __init__(
        self,
        n_in: int,
        n_out: int,
        activation: ActivationName | Activation = "tanh",
        *,
        dtype: DTypeLike = np.float64,
        rng: Seed | None = None,
    ) -> None:
        self.n_in, self.n_out = _check.count(n_in, "n_in", 1), _check.count(n_out, "n_out", 1)
        shape = self.n_out, self.n_in
        super().__init__(shape, shape, 1.0, activation, dtype, rng)

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """The shape of one sample of x, with None for each length that may be any."""
        return (self.n_in,)

    def output_shape(self, shape: Shape) -> Shape:
        features(shape, self.n_in)
        return (self.n_out,)


# --- of images -------------------------------------------------------------------------------------------------------


def _centred(kernel_size, stride=(1, 1), algorithm="auto"):
    """A convolution that lets images keep their size (before the stride). The odd row or column of padding is at the bottom or
    right, whatever the stride."""
    return Convolution(stride, tuple(((taps - 1) // 2, taps // 2) for taps in kernel_size), algorithm=algorithm)


@kind
class ConvResidual(_Identity):
    """Residual layer of images, y = x + W2 * sigma(W1 * x + b) (lecture eq. 22 with the convolutions of chapter 5).

    x and y are (m, c, h, w): the convolutions are padded to keep h and w. The derivatives are those of `Residual` with convolutions
    in the place of products::

        forward    z = W1 * x + b,  h = sigma(z),  y = x + W2 * h
        JacMV      dx + W2 * dh + dW2 * h,  dh = sigma'(z) (W1 * dx + dW1 * x + db)
        JacTMV     with g = sigma'(z) (W2' * v):  x: v + W1' * g,  W1, b and W2 as in Conv2d

    Parameters
    ----------
    c : int
        The number of channels of x, and of y.
    hidden : int, optional
        The number of channels of W1 * x, by default c.
    kernel_size : int or (int, int), default 3
        The size of the windows, (r, s).
    activation : str or Activation, default "tanh"
        The activation sigma: a name, as in `Activation`, or an `Activation`.
    algorithm : {"auto", "im2col", "direct", "winograd"}, default "auto"
        How W * x is computed, as in `conv2d`.
    dtype : dtype, default float64
        The dtype of the parameters: float32 or float64.
    rng : int or numpy.random.Generator, optional
        A seed or generator from which the weights are drawn.

    Attributes
    ----------
    params : dict of arrays
        W1 (hidden, c, r, s), random; b (hidden,), zeros; W2 (c, hidden, r, s), random and a tenth of the usual size.

    Raises
    ------
    ValueError
        If an argument is out of range, or there is no such activation.

    See Also
    --------
    Residual, ProjectedConvResidual, Conv2d

    Examples
    --------
    >>> import numpy as np
    >>> import fastlec
    >>> layer = fastlec.ConvResidual(1, rng=0)
    >>> layer.params["W2"][...] = 0
    >>> layer(np.array([[[[1.0, 2.0]]]]))
    array([[[[1., 2.]]]])
    >>> layer.params["W1"].shape
    (1, 1, 3, 3)
    """

    c: int
    hidden: int
    algorithm: Algorithm
    kernel_size: tuple[int, int]

    def __init__(
        self,
        c: int,
        hidden: int | None = None,
        kernel_size: Pair = 3,
        activation: ActivationName | Activation = "tanh",
        *,
        algorithm: Algorithm = "auto",
        dtype: DTypeLike = np.float64,
        rng: Seed | None = None,
    ) -> None:
        self.c, self.kernel_size = _check.count(c, "c", 1), pair(kernel_size, "kernel_size", 1)
        self.hidden = self.c if hidden is None else _check.count(hidden, "hidden", 1)
        algorithm_code(algorithm)  # checks it
        self.algorithm = algorithm
        self._first = self._second = _centred(self.kernel_size, algorithm=algorithm)
        shapes = (self.hidden, self.c, *self.kernel_size), (self.c, self.hidden, *self.kernel_size)
        super().__init__(*shapes, RESIDUAL_GAIN, activation, dtype, rng)

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """The shape of one sample of x, with None for each length that may be any."""
        return (self.c, None, None)

    def output_shape(self, shape: Shape) -> Shape:
        return images(shape, self.c)

    def _nonzeros(self, kept, name):
        x = kept[0]
        if name == "x":  # two windows, one through the other
            lengths = zip(self.kernel_size, x.shape[2:], strict=True)
            return x.size * self.c * math.prod(min(2 * taps - 1, n) for taps, n in lengths)
        return x.size * (self.params["W2"][0] if name == "W2" else self.params[name]).size


@kind
class ProjectedConvResidual(_Projected):
    """Residual layer of images, y = W2 * x + sigma(W1 * x + b) (lecture eq. 23 with the convolutions of chapter 5).

    x is (m, c_in, h, w) and y (m, c_out, ceil(h / stride), ceil(w / stride)). W2 * x is 1x1 with the stride: it takes the pixels
    that the windows of W1 are centred at. The derivatives are those of `ProjectedResidual` with convolutions in the place of
    products::

        forward    z = W1 * x + b,  y = W2 * x + sigma(z)
        JacMV      W2 * dx + dW2 * x + sigma'(z) (W1 * dx + dW1 * x + db)
        JacTMV     with g = sigma'(z) v:  x: W2' * v + W1' * g,  W1, b and W2 as in Conv2d

    Parameters
    ----------
    c_in : int
        The number of channels of x.
    c_out : int
        The number of channels of y.
    kernel_size : int or (int, int), default 3
        The size of the windows of W1, (r, s).
    activation : str or Activation, default "tanh"
        The activation sigma: a name, as in `Activation`, or an `Activation`.
    stride : int or (int, int), default 1
        The distance from window to window, (vertical, horizontal).
    algorithm : {"auto", "im2col", "direct", "winograd"}, default "auto"
        How W1 * x is computed, as in `conv2d`.
    dtype : dtype, default float64
        The dtype of the parameters: float32 or float64.
    rng : int or numpy.random.Generator, optional
        A seed or generator from which the weights are drawn.

    Attributes
    ----------
    params : dict of arrays
        W1 (c_out, c_in, r, s), random; b (c_out,), zeros; W2 (c_out, c_in, 1, 1), random.

    Raises
    ------
    ValueError
        If an argument is out of range, or there is no such activation.

    See Also
    --------
    ProjectedResidual, ConvResidual, Conv2d

    Examples
    --------
    >>> import numpy as np
    >>> import fastlec
    >>> layer = fastlec.ProjectedConvResidual(1, 1, stride=2)
    >>> layer.params["W1"][...], layer.params["W2"][...] = 0, 2
    >>> layer(np.arange(8.0).reshape(1, 1, 2, 4))
    array([[[[0., 4.]]]])
    """

    c_in: int
    c_out: int
    algorithm: Algorithm
    kernel_size: tuple[int, int]
    stride: tuple[int, int]

    def __init__(
        self,
        c_in: int,
        c_out: int,
        kernel_size: Pair = 3,
        activation: ActivationName | Activation = "tanh",
        *,
        stride: Pair = 1,
        algorithm: Algorithm = "auto",
        dtype: DTypeLike = np.float64,
        rng: Seed | None = None,
    ) -> None:
        self.c_in, self.c_out = _check.count(c_in, "c_in", 1), _check.count(c_out, "c_out", 1)
        self.kernel_size, self.stride = pair(kernel_size, "kernel_size", 1), pair(stride, "stride", 1)
        algorithm_code(algorithm)  # checks it
        self.algorithm = algorithm
        self._first, self._second = _centred(self.kernel_size, self.stride, algorithm), _centred((1, 1), self.stride)
        shapes = (self.c_out, self.c_in, *self.kernel_size), (self.c_out, self.c_in, 1, 1)
        super().__init__(*shapes, 1.0, activation, dtype, rng)

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """The shape of one sample of x, with None for each length that may be any."""
        return (self.c_in, None, None)

    def _partly(self, shape):
        return (self.c_out, None, None)

    def output_shape(self, shape: Shape) -> Shape:
        return self._first.window((1, *images(shape, self.c_in)), self.params["W1"].shape).y_shape[1:]

    def _nonzeros(self, kept, name):
        h = kept[1]
        if name == "x":
            return h.size * (self.params["W1"][0].size + self.c_in)
        return h.size * (1 if name == "b" else self.params[name][0].size)
