"""The layers of a convolutional network (lecture chapter 5): Conv2d, ConvResidual, ProjectedConvResidual. Samples are images
(m, c, h, w); the convolution is that of `fastlec.conv2d`, written * here.

A convolution is "a sparse matrix with a specific structure" times vec(x), so these are the layers of `dense` with W x exchanged
for W * x: their derivatives are the same formulas, their explicit Jacobians the same products, of sparse matrices.
"""

import functools
import math

import numpy as np

from .. import _check
from .._geometry import geometry, pair
from .._kernels import channel_sums, conv2d
from .._kernels.epilogue import IDENTITY, Epilogue
from ..convolution import algorithm_code, im2col
from .base import GAIN, RESIDUAL_GAIN, PlannedLayer, initial_weights, setting, slope_of, times

_window = functools.lru_cache(maxsize=256)(geometry)  # asked for in each call; settings of layers are numbers and tuples


def _weights(rng, shape, dtype, gain):
    """Initial weights (k, c / groups, r, s): each sum has c / groups * r * s terms."""
    return initial_weights(rng, shape[0], math.prod(shape[1:]), dtype, gain).reshape(shape)


def _images(shape, c):
    shape = _check.shape(shape)
    if len(shape) != 3 or shape[0] != c or 0 in shape:
        raise ValueError(f"x has samples of shape {shape}; expected ({c}, h, w), neither h nor w 0")
    return shape


# --- jobs ------------------------------------------------------------------------------------------------------------


def _terms(window, x, W, dx, dW):
    """The convolutions whose sum is the differential of W * x: those of the directions that are given."""
    return ([(window, dx, W)] if dx is not None else []) + ([(window, x, dW)] if dW is not None else [])


def _plan_sum(plan, terms, y, bias=None, algorithm=conv2d.AUTO, **last):
    """y = the sum of the convolutions and the epilogue with the bias and the parts `last`."""
    if not terms:  # a bias alone is 1x1 weights, of an image of ones
        ones, W = plan.empty(len(y), 1, *y.shape[2:]), bias.reshape(-1, 1, 1, 1)
        ones[...] = 1
        terms, bias, algorithm = [(_window(ones.shape, W.shape), ones, W)], None, conv2d.AUTO
    for i, (window, x, W) in enumerate(terms):
        end = {"bias": bias, **last} if i == len(terms) - 1 else {}
        conv2d.forward(plan, window, x, W, y, algorithm=algorithm, after=Epilogue(accumulate=i > 0, **end))


# --- explicit Jacobians, scipy.sparse arrays in CSR form -------------------------------------------------------------


def _by_input(window, W):
    """The matrix of a convolution: W * x raveled is it times x raveled. The sum over the elements (i, j) of the kernel of
    W[:, :, i, j] kron (the selection of the pixels that (i, j) meets), the same block for each sample."""
    from scipy import sparse

    rows = [_selection(window.oh, window.h, window.sh, window.dh * i - window.top, W.dtype) for i in range(window.r)]
    columns = [_selection(window.ow, window.w, window.sw, window.dw * j - window.left, W.dtype) for j in range(window.s)]
    groups = W.reshape(window.groups, -1, *W.shape[1:])
    matrix = sparse.csr_array((math.prod(window.y_shape[1:]), math.prod(window.x_shape[1:])), dtype=W.dtype)
    for i, selected_rows in enumerate(rows):
        for j, selected_columns in enumerate(columns):
            mixing = sparse.csr_array(sparse.block_diag(groups[..., i, j]))
            matrix += sparse.kron(mixing, sparse.kron(selected_rows, selected_columns), format="csr")
    matrix = sparse.kron(_identity(window.n, W.dtype), matrix, format="csr")
    return matrix.astype(W.dtype, copy=False)  # kron of a matrix without entries is float64


def _selection(n_out, n_in, step, first, dtype):
    """(n_out, n_in): row a has a 1 in column step * a + first, where there is such a column."""
    from scipy import sparse

    at = step * np.arange(n_out) + first
    inside = np.flatnonzero((at >= 0) & (at < n_in))
    return sparse.csr_array((np.ones(inside.size, dtype), (inside, at[inside])), shape=(n_out, n_in))


def _by_weights(window, x):
    """The Jacobian of W * x by W: in the row of each pixel, in the columns of its channel's weights, what these are times."""
    g, padding = window, ((window.top, window.bottom), (window.left, window.right))
    seen = im2col(x, (g.r, g.s), stride=(g.sh, g.sw), padding=padding, dilation=(g.dh, g.dw))
    seen = seen.reshape(g.n, g.groups, g.c // g.groups * g.r * g.s, g.oh * g.ow).swapaxes(2, 3)
    return _rows(np.repeat(seen, g.k // g.groups, axis=1))


def _by_bias(window, dtype):
    """The Jacobian of W * x + b by b: a 1 in the column of each pixel's channel."""
    return _rows(np.ones((window.n, window.k, window.oh * window.ow, 1), dtype))


def _rows(values):
    """The matrix with values[n, c, p] in row (n, c, p), in the columns of channel c."""
    from scipy import sparse

    n, k, pixels, length = values.shape
    columns = np.arange(k * length).reshape(1, k, 1, length)
    indices = np.broadcast_to(columns, values.shape)
    starts = np.arange(n * k * pixels + 1) * length
    return sparse.csr_array((values.ravel(), indices.ravel(), starts), shape=(n * k * pixels, k * length))


def _identity(n, dtype):
    return _diagonal(np.ones(n, dtype))


def _diagonal(values):
    from scipy import sparse

    return sparse.diags_array(values.ravel(), format="csr")


# --- layers ----------------------------------------------------------------------------------------------------------


class _Convolving(PlannedLayer):
    """A layer with the setting `algorithm`, of `fastlec.conv2d`."""

    @property
    def _code(self):
        return algorithm_code(self.algorithm)


class Conv2d(_Convolving):
    """y = sigma(W * x + b): x (m, c_in, h, w), y (m, c_out, oh, ow).

    params : W (c_out, c_in / groups, r, s), random, and b (c_out,), zeros; no b with bias=False. kernel_size : int or (r, s).
    activation : "identity", "tanh", "sigmoid" or "relu". stride, dilation : int or (vertical, horizontal). padding : int,
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
        op, dtype, rng = setting(activation, dtype, rng)
        algorithm_code(algorithm)  # checks it
        bias = _check.flag(bias, "bias")
        shapes = self.shapes(c_in, c_out, kernel_size, bias=bias, groups=groups)
        self.groups, self.algorithm = _check.count(groups, "groups", 1), algorithm
        self.c_out, self.c_in = shapes["W"][0], shapes["W"][1] * self.groups
        self.kernel_size, self.dilation = shapes["W"][2:], pair(dilation, "dilation", 1)
        smallest = [step * (taps - 1) + 1 for step, taps in zip(self.dilation, self.kernel_size, strict=True)]
        g = geometry((1, self.c_in, *smallest), shapes["W"], stride, padding, self.dilation, self.groups)  # checks all of them
        self.stride = g.sh, g.sw
        self.padding = padding if isinstance(padding, str) else ((g.top, g.bottom), (g.left, g.right))
        self.activation, self.outermost = activation, op
        params = {"W": _weights(rng, shapes["W"], dtype, GAIN.get(activation, 1.0))}
        super().__init__(params | {"b": np.zeros(shapes["b"], dtype)} if bias else params)

    @staticmethod
    def shapes(c_in, c_out, kernel_size, activation="identity", bias=True, *, groups=1, **settings):
        """{name: shape} of the parameters for these arguments."""
        c_in, c_out, groups = (_check.count(n, name, 1) for n, name in ((c_in, "c_in"), (c_out, "c_out"), (groups, "groups")))
        if c_in % groups or c_out % groups:
            raise ValueError(f"groups is {groups}; expected a divisor of c_in, which is {c_in}, and of c_out, which is {c_out}")
        return {"W": (c_out, c_in // groups, *pair(kernel_size, "kernel_size", 1))} | ({"b": (c_out,)} if bias else {})

    def config(self):
        """The arguments that make such a layer."""
        names = ("c_in", "c_out", "kernel_size", "activation", "bias", "stride", "padding", "dilation", "groups", "algorithm")
        return {name: "b" in self.params if name == "bias" else getattr(self, name) for name in names}

    @property
    def input_shape(self):
        return (self.c_in, None, None)

    def _partly(self, shape):
        return (self.c_out, None, None)

    def output_shape(self, shape):
        return self._window((1, *_images(shape, self.c_in))).y_shape[1:]

    def _window(self, x_shape):
        return _window(x_shape, self.params["W"].shape, self.stride, self.padding, self.dilation, self.groups)

    def plan_forward(self, plan, x, y):
        window, b = self._window(x.shape), self.params.get("b")
        conv2d.forward(plan, window, x, self.params["W"], y, after=Epilogue(b, self.outermost), algorithm=self._code)
        return x, y

    def plan_mv(self, plan, kept, directions, dy):
        x, y = kept
        terms = _terms(self._window(x.shape), x, self.params["W"], directions.get("x"), directions.get("W"))
        _plan_sum(plan, terms, dy, bias=directions.get("b"), derivative=self.outermost, of=y, algorithm=self._code)

    def plan_tmv(self, plan, kept, v, out, update=False, fold=None, folded=False):
        x, y = kept
        window, op = self._window(x.shape), IDENTITY if folded else self.outermost
        g = v if op == IDENTITY else plan.empty(*v.shape)
        if g is not v or "b" in out:
            after = Epilogue(derivative=op, of=y)
            channel_sums.slope(plan, v, None if g is v else g, after=after, total=out.get("b"), update=update)
        if "x" in out:
            conv2d.data_gradient(plan, window, g, self.params["W"], out["x"], algorithm=self._code, after=times(fold))
        if "W" in out:
            conv2d.weight_gradient(plan, window, g, x, out["W"], after=Epilogue(update=update), algorithm=self._code)

    def explicit(self, kept, name):
        """The Jacobian by a variable: diag(sigma') times that of W * x + b, sparse."""
        x, y = kept
        window = self._window(x.shape)
        if name == "x":
            linear = _by_input(window, self.params["W"])
        else:
            linear = _by_weights(window, x) if name == "W" else _by_bias(window, x.dtype)
        return _diagonal(slope_of(y, self.outermost)) @ linear

    def nonzeros(self, kept, name):
        _, y = kept
        return y.size if name == "b" else y.size * self.params["W"][0].size


class _TwoConvolutions(_Convolving):
    """W1, b, W2 and h = sigma(W1 * x + b), which both residual layers have. Their kernels are centred: padding that lets an image
    keep its size, the odd row or column at the bottom or right, whatever the stride."""

    def __init__(self, shapes, gain2, activation, algorithm, dtype, rng):
        op, dtype, rng = setting(activation, dtype, rng)
        algorithm_code(algorithm)  # checks it
        self.activation, self._op, self.algorithm = activation, op, algorithm
        self.kernel_size = shapes["W1"][2:]
        W1 = _weights(rng, shapes["W1"], dtype, GAIN.get(activation, 1.0))
        super().__init__({"W1": W1, "b": np.zeros(shapes["b"], dtype), "W2": _weights(rng, shapes["W2"], dtype, gain2)})

    def _centred(self, x_shape, W, stride=1):
        return _window(x_shape, W.shape, stride, tuple(((taps - 1) // 2, taps // 2) for taps in W.shape[2:]))

    def _plan_hidden(self, plan, window, x):
        W1, b, _ = self.params.values()
        h = plan.empty(*window.y_shape)
        conv2d.forward(plan, window, x, W1, h, after=Epilogue(b, self._op), algorithm=self._code)
        return h

    def _plan_hidden_mv(self, plan, window, x, h, directions, dh):
        terms = _terms(window, x, self.params["W1"], directions.get("x"), directions.get("W1"))
        _plan_sum(plan, terms, dh, bias=directions.get("b"), derivative=self._op, of=h, algorithm=self._code)

    def _hidden_explicit(self, window, x, h, name):
        """The Jacobian of h by x, W1 or b."""
        if name == "x":
            linear = _by_input(window, self.params["W1"])
        else:
            linear = _by_weights(window, x) if name == "W1" else _by_bias(window, x.dtype)
        return _diagonal(slope_of(h, self._op)) @ linear


class ConvResidual(_TwoConvolutions):
    """y = x + W2 * sigma(W1 * x + b) (lecture eq. 22 with convolutions): x and y (m, c, h, w), padded to keep h and w.

    params : W1 (hidden, c, r, s), random, b (hidden,), zeros, W2 (c, hidden, r, s), random, a tenth of the usual size. hidden : by
    default c. kernel_size : int or (r, s). activation, algorithm, dtype, rng as in `Conv2d`.
    """

    def __init__(self, c, hidden=None, kernel_size=3, activation="tanh", *, algorithm="auto", dtype=np.float64, rng=None):
        super().__init__(self.shapes(c, hidden, kernel_size), RESIDUAL_GAIN, activation, algorithm, dtype, rng)
        self.hidden, self.c = self.params["W1"].shape[:2]

    @staticmethod
    def shapes(c, hidden=None, kernel_size=3, activation="tanh", *, algorithm="auto"):
        """{name: shape} of the parameters for these arguments."""
        c, size = _check.count(c, "c", 1), pair(kernel_size, "kernel_size", 1)
        hidden = c if hidden is None else _check.count(hidden, "hidden", 1)
        return {"W1": (hidden, c, *size), "b": (hidden,), "W2": (c, hidden, *size)}

    def config(self):
        """The arguments that make such a layer."""
        return {name: getattr(self, name) for name in ("c", "hidden", "kernel_size", "activation", "algorithm")}

    @property
    def input_shape(self):
        return (self.c, None, None)

    def _partly(self, shape):
        return shape

    def output_shape(self, shape):
        return _images(shape, self.c)

    def _windows(self, x):
        first = self._centred(x.shape, self.params["W1"])
        return first, self._centred(first.y_shape, self.params["W2"])

    def plan_forward(self, plan, x, y):
        first, second = self._windows(x)
        h = self._plan_hidden(plan, first, x)
        conv2d.forward(plan, second, h, self.params["W2"], y, after=Epilogue(residual=x), algorithm=self._code)
        return x, h

    def plan_mv(self, plan, kept, directions, dy):
        x, h = kept
        first, second = self._windows(x)
        dh = None
        if directions.keys() & {"x", "W1", "b"}:
            dh = plan.empty(*h.shape)
            self._plan_hidden_mv(plan, first, x, h, directions, dh)
        terms = _terms(second, h, self.params["W2"], dh, directions.get("W2"))
        _plan_sum(plan, terms, dy, residual=directions.get("x"), algorithm=self._code)

    def plan_tmv(self, plan, kept, v, out, update=False, fold=None, folded=False):
        x, h = kept
        first, second = self._windows(x)
        (W1, _, W2), code = self.params.values(), self._code
        if out.keys() & {"x", "W1", "b"}:
            g = plan.empty(*h.shape)
            conv2d.data_gradient(plan, second, v, W2, g, after=Epilogue(derivative=self._op, of=h), algorithm=code)
            if "b" in out:
                channel_sums.slope(plan, g, total=out["b"], update=update)
            if "x" in out:
                conv2d.data_gradient(plan, first, g, W1, out["x"], algorithm=code, after=times(fold, residual=v))
            if "W1" in out:
                conv2d.weight_gradient(plan, first, g, x, out["W1"], after=Epilogue(update=update), algorithm=code)
        if "W2" in out:
            conv2d.weight_gradient(plan, second, v, h, out["W2"], after=Epilogue(update=update), algorithm=code)

    def explicit(self, kept, name):
        """The Jacobian by a variable, sparse: that of h through the matrix of W2."""
        x, h = kept
        first, second = self._windows(x)
        if name == "W2":
            return _by_weights(second, h)
        through = _by_input(second, self.params["W2"]) @ self._hidden_explicit(first, x, h, name)
        return _identity(x.size, x.dtype) + through if name == "x" else through

    def nonzeros(self, kept, name):
        x, _ = kept
        if name == "x":  # two windows, one through the other
            return (
                x.size * self.c * math.prod(min(2 * taps - 1, n) for taps, n in zip(self.kernel_size, x.shape[2:], strict=True))
            )
        return x.size * (self.params["W2"][0] if name == "W2" else self.params[name]).size


class ProjectedConvResidual(_TwoConvolutions):
    """y = W2 * x + sigma(W1 * x + b) (lecture eq. 23 with convolutions): x (m, c_in, h, w), y (m, c_out, ceil(h / stride),
    ceil(w / stride)). W2 * x is 1x1 with the stride, and takes the pixels that the windows of W1 are centred at.

    params : W1 (c_out, c_in, r, s), random, b (c_out,), zeros, W2 (c_out, c_in, 1, 1), random. kernel_size : int or (r, s).
    stride : int or (vertical, horizontal). algorithm : of W1 * x; activation, dtype, rng : as in `Conv2d`.
    """

    def __init__(
        self, c_in, c_out, kernel_size=3, activation="tanh", *, stride=1, algorithm="auto", dtype=np.float64, rng=None
    ):
        self.stride = pair(stride, "stride", 1)
        super().__init__(self.shapes(c_in, c_out, kernel_size), 1.0, activation, algorithm, dtype, rng)
        self.c_out, self.c_in = self.params["W1"].shape[:2]

    @staticmethod
    def shapes(c_in, c_out, kernel_size=3, activation="tanh", *, stride=1, algorithm="auto"):
        """{name: shape} of the parameters for these arguments."""
        c_in, c_out = _check.count(c_in, "c_in", 1), _check.count(c_out, "c_out", 1)
        return {"W1": (c_out, c_in, *pair(kernel_size, "kernel_size", 1)), "b": (c_out,), "W2": (c_out, c_in, 1, 1)}

    def config(self):
        """The arguments that make such a layer."""
        return {name: getattr(self, name) for name in ("c_in", "c_out", "kernel_size", "activation", "stride", "algorithm")}

    @property
    def input_shape(self):
        return (self.c_in, None, None)

    def _partly(self, shape):
        return (self.c_out, None, None)

    def output_shape(self, shape):
        return self._centred((1, *_images(shape, self.c_in)), self.params["W1"], self.stride).y_shape[1:]

    def _windows(self, x):
        return tuple(self._centred(x.shape, self.params[name], self.stride) for name in ("W1", "W2"))

    def plan_forward(self, plan, x, y):
        first, second = self._windows(x)
        h = self._plan_hidden(plan, first, x)
        conv2d.forward(plan, second, x, self.params["W2"], y, after=Epilogue(residual=h))
        return x, h

    def plan_mv(self, plan, kept, directions, dy):
        x, h = kept
        first, second = self._windows(x)
        terms = _terms(second, x, self.params["W2"], directions.get("x"), directions.get("W2"))
        dh = None
        if directions.keys() & {"x", "W1", "b"}:
            dh = plan.empty(*h.shape) if terms else dy
            self._plan_hidden_mv(plan, first, x, h, directions, dh)
        if terms:
            _plan_sum(plan, terms, dy, residual=dh)

    def plan_tmv(self, plan, kept, v, out, update=False, fold=None, folded=False):
        x, h = kept
        first, second = self._windows(x)
        (W1, _, W2), code = self.params.values(), self._code
        if out.keys() & {"x", "W1", "b"}:
            g = plan.empty(*h.shape)
            channel_sums.slope(plan, v, g, after=Epilogue(derivative=self._op, of=h), total=out.get("b"), update=update)
            if "x" in out:
                conv2d.data_gradient(plan, second, v, W2, out["x"])
                conv2d.data_gradient(plan, first, g, W1, out["x"], algorithm=code, after=times(fold, accumulate=True))
            if "W1" in out:
                conv2d.weight_gradient(plan, first, g, x, out["W1"], after=Epilogue(update=update), algorithm=code)
        if "W2" in out:
            conv2d.weight_gradient(plan, second, v, x, out["W2"], after=Epilogue(update=update))

    def explicit(self, kept, name):
        """The Jacobian by a variable, sparse: those of both convolutions, added up."""
        x, h = kept
        first, second = self._windows(x)
        if name == "W2":
            return _by_weights(second, x)
        hidden = self._hidden_explicit(first, x, h, name)
        return _by_input(second, self.params["W2"]) + hidden if name == "x" else hidden

    def nonzeros(self, kept, name):
        _, h = kept
        if name == "x":
            return h.size * (self.params["W1"][0].size + self.c_in)
        return h.size * (1 if name == "b" else self.params[name][0].size)
