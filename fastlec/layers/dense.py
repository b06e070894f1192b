"""The layers of a dense network: Dense (lecture eq. 21), Residual (eq. 22), ProjectedResidual (eq. 23) and Activation.

Their derivatives are those of 4.1.2 and 4.1.3 with samples as rows: where the lecture has W^T (sigma' * v) and (sigma' * v) x^T for
one column, here are (sigma' * V) W and (sigma' * V)^T X for all rows. sigma' follows from y = sigma(z), so z is never kept.
"""

import numpy as np

from .. import _check
from .._kernels import dense, gemm, map
from .._kernels.epilogue import IDENTITY, Epilogue
from .base import GAIN, RESIDUAL_GAIN, PlannedLayer, activation_code, initial_weights, setting, slope_of, times


def _features(shape, n):
    shape = _check.shape(shape)
    if shape != (n,):
        raise ValueError(f"x has samples of shape {shape}; expected ({n},)")


def _by_input(slope, W):
    """The Jacobian of sigma(W x + b) by x, all samples: blocks diag(sigma') W on the diagonal."""
    return _diagonal(slope[:, :, None] * W)


def _diagonal(blocks):
    """The matrix of these blocks (m, k, n) on the diagonal: samples do not depend on each other."""
    m, k, n = blocks.shape
    J = np.zeros((m, k, m, n), blocks.dtype)
    J[np.arange(m), :, np.arange(m)] = blocks
    return J.reshape(m * k, m * n)


def _by_weights(slope, x):
    """The Jacobian by W: diag(sigma') (x^T kron I) of the lecture for each sample, its columns (those of vec(W), one column of W
    after the other) put in C order."""
    (m, k), n = slope.shape, x.shape[1]
    J = np.kron(x, np.eye(k, dtype=x.dtype)).reshape(m * k, n, k).swapaxes(1, 2).reshape(m * k, k * n)
    return slope.reshape(-1, 1) * J


def _by_bias(slope):
    """The Jacobian by b: diag(sigma') for each sample."""
    return slope.reshape(-1, 1) * np.tile(np.eye(slope.shape[1], dtype=slope.dtype), (len(slope), 1))


def _terms(x, W, dx, dW):
    """The products whose sum is the differential of x W': those of the directions that are given."""
    return ([(dx, W.T)] if dx is not None else []) + ([(x, dW.T)] if dW is not None else [])


def _plan_sum(plan, terms, c, **last):
    """c = the sum of the products a b and the epilogue with the parts `last`; without any, of a product of depth 0."""
    if not terms:
        terms = [(np.empty((len(c), 0), c.dtype), np.empty((0, c.shape[1]), c.dtype))]
    for i, (a, b) in enumerate(terms):
        gemm.product(plan, a, b, c, after=Epilogue(accumulate=i > 0, **(last if i == len(terms) - 1 else {})))


class Dense(PlannedLayer):
    """y = sigma(W x + b) (lecture eq. 21): x (m, n_in), y (m, n_out).

    params : W (n_out, n_in), random, and b (n_out,), zeros; no b with bias=False. activation : "tanh", "sigmoid", "relu" or
    "identity". dtype : float32 or float64. rng : seed or numpy.random.Generator of the weights.
    """

    def __init__(self, n_in, n_out, activation="tanh", bias=True, *, dtype=np.float64, rng=None):
        self.n_in, self.n_out = _check.count(n_in, "n_in", 1), _check.count(n_out, "n_out", 1)
        op, dtype, rng = setting(activation, dtype, rng)
        self.activation, self.outermost, bias = activation, op, _check.flag(bias, "bias")
        params = {"W": initial_weights(rng, self.n_out, self.n_in, dtype, GAIN.get(activation, 1.0))}
        super().__init__(params | {"b": np.zeros(self.n_out, dtype)} if bias else params)

    @staticmethod
    def shapes(n_in, n_out, activation="tanh", bias=True):
        """{name: shape} of the parameters for these arguments."""
        return {"W": (n_out, n_in)} | ({"b": (n_out,)} if bias else {})

    def config(self):
        """The arguments that make such a layer."""
        return {"n_in": self.n_in, "n_out": self.n_out, "activation": self.activation, "bias": "b" in self.params}

    @property
    def input_shape(self):
        return (self.n_in,)

    def output_shape(self, shape):
        _features(shape, self.n_in)
        return (self.n_out,)

    def plan_forward(self, plan, x, y):
        gemm.product(plan, x, self.params["W"].T, y, after=Epilogue(self.params.get("b"), self.outermost))
        return x, y

    def plan_mv(self, plan, kept, directions, dy):
        x, y = kept
        terms = _terms(x, self.params["W"], directions.get("x"), directions.get("W"))
        _plan_sum(plan, terms, dy, bias=directions.get("b"), derivative=self.outermost, of=y)

    def plan_tmv(self, plan, kept, v, out, update=False, fold=None, folded=False):
        x, y = kept
        W, op = self.params["W"], IDENTITY if folded else self.outermost
        g = v if op == IDENTITY else plan.empty(*v.shape)
        if g is not v or "b" in out:
            after = Epilogue(derivative=op, of=y)
            dense.slope(plan, v, None if g is v else g, after=after, total=out.get("b"), update=update)
        if "x" in out:
            gemm.product(plan, g, W, out["x"], after=times(fold))
        if "W" in out:
            gemm.product(plan, g.T, x, out["W"], after=Epilogue(update=update))

    def explicit(self, kept, name):
        """The Jacobian by a variable from the formulas of 4.1.2."""
        x, y = kept
        slope = slope_of(y, self.outermost)
        if name == "x":
            return _by_input(slope, self.params["W"])
        return _by_weights(slope, x) if name == "W" else _by_bias(slope)


class _TwoWeights(PlannedLayer):
    """W1, b, W2 and h = sigma(W1 x + b), which both residual layers have."""

    def __init__(self, n_in, hidden, shape2, gain2, activation, dtype, rng):
        op, dtype, rng = setting(activation, dtype, rng)
        self.activation, self._op = activation, op
        W1 = initial_weights(rng, hidden, n_in, dtype, GAIN.get(activation, 1.0))
        W2 = initial_weights(rng, *shape2, dtype, gain2)
        super().__init__({"W1": W1, "b": np.zeros(hidden, dtype), "W2": W2})

    def _plan_hidden(self, plan, x):
        W1, b, _ = self.params.values()
        h = plan.empty(len(x), len(b))
        gemm.product(plan, x, W1.T, h, after=Epilogue(b, self._op))
        return h

    def _plan_hidden_mv(self, plan, x, h, directions, dh):
        terms = _terms(x, self.params["W1"], directions.get("x"), directions.get("W1"))
        _plan_sum(plan, terms, dh, bias=directions.get("b"), derivative=self._op, of=h)


class Residual(_TwoWeights):
    """y = x + W2 sigma(W1 x + b) (lecture eq. 22): x and y (m, n).

    params : W1 (hidden, n), random, b (hidden,), zeros, W2 (n, hidden), random, a tenth of the usual size. hidden : by default n,
    as in the lecture. activation, dtype, rng as in `Dense`.
    """

    def __init__(self, n, hidden=None, activation="tanh", *, dtype=np.float64, rng=None):
        self.n = _check.count(n, "n", 1)
        self.hidden = self.n if hidden is None else _check.count(hidden, "hidden", 1)
        super().__init__(self.n, self.hidden, (self.n, self.hidden), RESIDUAL_GAIN, activation, dtype, rng)

    @staticmethod
    def shapes(n, hidden=None, activation="tanh"):
        """{name: shape} of the parameters for these arguments."""
        hidden = n if hidden is None else hidden
        return {"W1": (hidden, n), "b": (hidden,), "W2": (n, hidden)}

    def config(self):
        """The arguments that make such a layer."""
        return {"n": self.n, "hidden": self.hidden, "activation": self.activation}

    @property
    def input_shape(self):
        return (self.n,)

    def output_shape(self, shape):
        _features(shape, self.n)
        return (self.n,)

    def plan_forward(self, plan, x, y):
        h = self._plan_hidden(plan, x)
        gemm.product(plan, h, self.params["W2"].T, y, after=Epilogue(residual=x))
        return x, h

    def plan_mv(self, plan, kept, directions, dy):
        x, h = kept
        dh = None
        if directions.keys() & {"x", "W1", "b"}:
            dh = plan.empty(*h.shape)
            self._plan_hidden_mv(plan, x, h, directions, dh)
        _plan_sum(plan, _terms(h, self.params["W2"], dh, directions.get("W2")), dy, residual=directions.get("x"))

    def plan_tmv(self, plan, kept, v, out, update=False, fold=None, folded=False):
        x, h = kept
        W1, _, W2 = self.params.values()
        if out.keys() & {"x", "W1", "b"}:
            g = plan.empty(*h.shape)
            gemm.product(plan, v, W2, g, after=Epilogue(derivative=self._op, of=h))
            if "b" in out:
                dense.slope(plan, g, total=out["b"], update=update)
            if "x" in out:
                gemm.product(plan, g, W1, out["x"], after=times(fold, residual=v))
            if "W1" in out:
                gemm.product(plan, g.T, x, out["W1"], after=Epilogue(update=update))
        if "W2" in out:
            gemm.product(plan, v.T, h, out["W2"], after=Epilogue(update=update))

    def explicit(self, kept, name):
        """The Jacobian by a variable from the formulas of 4.1.3."""
        x, h = kept
        W1, _, W2 = self.params.values()
        if name == "W2":
            return _by_weights(np.ones_like(x), h)
        outer = slope_of(h, self._op)[:, None, :] * W2  # W2 diag(sigma') of each sample: (m, n, hidden)
        if name == "x":
            return np.eye(x.size, dtype=x.dtype) + _diagonal(outer @ W1)
        if name == "b":
            return outer.reshape(x.size, self.hidden)
        return (outer[:, :, :, None] * x[:, None, None, :]).reshape(x.size, W1.size)  # times x' kron I


class ProjectedResidual(_TwoWeights):
    """y = W2 x + sigma(W1 x + b) (lecture eq. 23), where x (m, n_in) and y (m, n_out) differ in size.

    params : W1 (n_out, n_in), random, b (n_out,), zeros, W2 (n_out, n_in), random. activation, dtype, rng as in `Dense`.
    """

    def __init__(self, n_in, n_out, activation="tanh", *, dtype=np.float64, rng=None):
        self.n_in, self.n_out = _check.count(n_in, "n_in", 1), _check.count(n_out, "n_out", 1)
        super().__init__(self.n_in, self.n_out, (self.n_out, self.n_in), 1.0, activation, dtype, rng)

    @staticmethod
    def shapes(n_in, n_out, activation="tanh"):
        """{name: shape} of the parameters for these arguments."""
        return {"W1": (n_out, n_in), "b": (n_out,), "W2": (n_out, n_in)}

    def config(self):
        """The arguments that make such a layer."""
        return {"n_in": self.n_in, "n_out": self.n_out, "activation": self.activation}

    @property
    def input_shape(self):
        return (self.n_in,)

    def output_shape(self, shape):
        _features(shape, self.n_in)
        return (self.n_out,)

    def plan_forward(self, plan, x, y):
        h = self._plan_hidden(plan, x)
        gemm.product(plan, x, self.params["W2"].T, y, after=Epilogue(residual=h))
        return x, h

    def plan_mv(self, plan, kept, directions, dy):
        x, h = kept
        terms = _terms(x, self.params["W2"], directions.get("x"), directions.get("W2"))
        dh = None
        if directions.keys() & {"x", "W1", "b"}:
            dh = plan.empty(*h.shape) if terms else dy
            self._plan_hidden_mv(plan, x, h, directions, dh)
        if terms:
            _plan_sum(plan, terms, dy, residual=dh)

    def plan_tmv(self, plan, kept, v, out, update=False, fold=None, folded=False):
        x, h = kept
        W1, _, W2 = self.params.values()
        if out.keys() & {"x", "W1", "b"}:
            g = plan.empty(*h.shape)
            dense.slope(plan, v, g, after=Epilogue(derivative=self._op, of=h), total=out.get("b"), update=update)
            if "x" in out:
                gemm.product(plan, v, W2, out["x"])
                gemm.product(plan, g, W1, out["x"], after=times(fold, accumulate=True))
            if "W1" in out:
                gemm.product(plan, g.T, x, out["W1"], after=Epilogue(update=update))
        if "W2" in out:
            gemm.product(plan, v.T, x, out["W2"], after=Epilogue(update=update))

    def explicit(self, kept, name):
        """The Jacobian by a variable from the formulas of 4.1.3."""
        x, h = kept
        W1, _, W2 = self.params.values()
        slope, ones = slope_of(h, self._op), np.ones_like(h)
        if name == "x":
            return _by_input(ones, W2) + _by_input(slope, W1)
        if name == "W2":
            return _by_weights(ones, x)
        return _by_weights(slope, x) if name == "W1" else _by_bias(slope)


class Activation(PlannedLayer):
    """y = sigma(x), elementwise, samples of any shape. activation : "tanh", "sigmoid", "relu" or "identity"."""

    def __init__(self, activation):
        self.activation, self.outermost = activation, activation_code(activation)
        super().__init__()

    @staticmethod
    def shapes(activation):
        """{name: shape} of the parameters: none."""
        return {}

    def config(self):
        """The arguments that make such a layer."""
        return {"activation": self.activation}

    def output_shape(self, shape):
        return _check.shape(shape)

    def _partly(self, shape):
        return shape

    def plan_forward(self, plan, x, y):
        if self.outermost == IDENTITY:
            dense.slope(plan, _flat(x), _flat(y))
        else:
            map.forward(plan, self.outermost, x, y)
        return x, y

    def plan_mv(self, plan, kept, directions, dy):
        dense.slope(plan, _flat(directions["x"]), _flat(dy), after=Epilogue(derivative=self.outermost, of=_flat(kept[1])))

    def plan_tmv(self, plan, kept, v, out, update=False, fold=None, folded=False):
        if "x" not in out:
            return
        dx = _flat(out["x"])
        dense.slope(plan, _flat(v), dx, after=Epilogue(derivative=IDENTITY if folded else self.outermost, of=_flat(kept[1])))
        if fold is not None:
            dense.slope(plan, dx, dx, after=Epilogue(derivative=fold[0], of=_flat(fold[1])))

    def explicit(self, kept, name):
        """diag(sigma')."""
        return np.diag(slope_of(kept[1], self.outermost).ravel())


def _flat(a):
    """The same memory as a matrix, one row a sample."""
    return a.reshape(len(a), a.size // max(len(a), 1))
