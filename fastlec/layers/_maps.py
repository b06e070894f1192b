"""The linear maps of layers, for which these are written once: W x of samples as rows, W * x of images and signals, its transpose.

A map adds jobs to a plan, which end with the epilogue `after`:

    forward(plan, x, W, y)       y = W x
    backward(plan, v, W, dx)     dx = W' v, the transpose of the derivative by x
    weights(plan, v, x, dW)      dW = v x', the transpose of the derivative by W
    weights_sum(plan, terms, dW) dW = the sum of v x' over the terms (v, x)
    samples, bias_samples        v x', and the sum of v, for each sample alone, as `_samples.py` says
    bias(plan, v, db)            db = the sum of v over all places where the bias is added; with g, of g = v and the epilogue.
                                 g or db may be None; update: db is the bias, which takes the optimizer's step

It has the matrices of these derivatives too, for the explicit Jacobians of 4.1: `by_x`, `by_W` and `by_b`, which @ and + take, and
`scaled` multiplies by an activation's derivative from the left; `whole` makes the layer's Jacobian of them.
"""

import functools
import math
from dataclasses import dataclass

import numpy as np

from .._geometry import geometry, transposed_geometry
from .._kernels import channel_sums, conv2d, gemm, slope
from .._kernels.epilogue import Epilogue
from .._kernels.sum import add
from ..convolution import algorithm_code, im2col

# asked for in each call; settings of layers are numbers and tuples
_window, _transposed_window = (functools.lru_cache(maxsize=256)(made) for made in (geometry, transposed_geometry))


def plan_sum(plan, terms, y, **parts):
    """y = the sum of the terms (method of a map, its first and its second argument), and the epilogue with these parts."""
    for i, (product, a, b) in enumerate(terms, 1):
        product(plan, a, b, y, Epilogue(accumulate=i > 1, **(parts if i == len(terms) else {})))


def differential(product, a, b, da, db):
    """The terms of which the differential of a map's product of a and b is the sum: those of the directions that are not None."""
    return ([(product, da, b)] if da is not None else []) + ([(product, a, db)] if db is not None else [])


class Matrix:
    """W x for samples as rows: x (m, n) times W' (n, k).

    The parts of explicit Jacobians are blocks (m, k, columns), one for each sample, or (k, columns) where samples share one.
    """

    def output_shape(self, x, W):
        return len(x), len(W)

    def forward(self, plan, x, W, y, after=None):
        gemm.product(plan, x, W.T, y, after=after)

    def backward(self, plan, v, W, dx, after=None):
        gemm.product(plan, v, W, dx, after=after)

    def weights(self, plan, v, x, dW, after=None):
        gemm.product(plan, v.T, x, dW, after=after)

    def weights_sum(self, plan, terms, dW):
        plan_sum(plan, [(self.weights, *term) for term in terms], dW)

    def samples(self, plan, name, v, x, samples):
        samples.outer(name, v, x)

    def bias_samples(self, plan, name, v, samples):
        samples.outer(name, v, None)

    def bias(self, plan, v, db, update=False, *, g=None, after=None):
        slope.slope(plan, v, g, after=after, total=db, update=update)

    def zero(self, plan, y):
        """A term that is zero, for sums without others: a product of depth 0."""
        return self.forward, np.empty((len(y), 0), y.dtype), np.empty((y.shape[1], 0), y.dtype)

    def by_x(self, x, W):
        return W

    def by_W(self, x, W):
        """x' kron I of the lecture, whose columns are those of vec(W), one column of W after the other, put in C order."""
        (m, n), k = x.shape, len(W)
        return np.kron(x, np.eye(k, dtype=x.dtype)).reshape(m, k, n, k).swapaxes(2, 3).reshape(m, k, k * n)

    def by_b(self, x, W):
        return np.eye(len(W), dtype=x.dtype)

    def identity(self, x):
        return np.eye(x.shape[1], dtype=x.dtype)

    def scaled(self, values, J):
        return values[:, :, None] * J

    def whole(self, J, m, by_samples):
        """The matrix of m blocks: on its diagonal where the variable has samples as well, else one below the other."""
        k, n = J.shape[-2:]
        J = np.broadcast_to(J, (m, k, n))
        if not by_samples:
            return J.reshape(m * k, n)
        diagonal = np.zeros((m, k, m, n), J.dtype)
        diagonal[np.arange(m), :, np.arange(m)] = J
        return diagonal.reshape(m * k, m * n)


@dataclass(frozen=True)
class Convolution:
    """W * x for images, as `fastlec.conv2d` has it, "a sparse matrix with a specific structure" times vec(x) (chapter 5).

    The parts of explicit Jacobians are scipy.sparse arrays in CSR form, of all samples.
    """

    stride: tuple[int, int] = (1, 1)
    padding: object = 0
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    algorithm: str = "auto"

    def window(self, x_shape, W_shape):
        return _window(x_shape, W_shape, self.stride, self.padding, self.dilation, self.groups)

    def output_shape(self, x, W):
        return self.window(x.shape, W.shape).y_shape

    def forward(self, plan, x, W, y, after=None):
        conv2d.forward(plan, self.window(x.shape, W.shape), x, W, y, algorithm=algorithm_code(self.algorithm), after=after)

    def backward(self, plan, v, W, dx, after=None):
        code = algorithm_code(self.algorithm)
        conv2d.data_gradient(plan, self.window(dx.shape, W.shape), v, W, dx, algorithm=code, after=after)

    def weights(self, plan, v, x, dW, after=None):
        code = algorithm_code(self.algorithm)
        conv2d.weight_gradient(plan, self.window(x.shape, dW.shape), v, x, dW, algorithm=code, after=after)

    def weights_sum(self, plan, terms, dW):
        for i, (v, x) in enumerate(terms):
            part = plan.empty(*dW.shape) if i else dW
            self.weights(plan, v, x, part)
            if i:
                add(plan, part.reshape(1, -1), dW.reshape(1, -1), dW.reshape(1, -1))

    in_windows = True  # whether samples is told of the windows whose products add up

    def samples(self, plan, name, v, x, samples):
        self._samples(name, v, x, lambda i, dW: self.weights(plan, v[i : i + 1], x[i : i + 1], dW), samples)

    def bias_samples(self, plan, name, v, samples):
        self._samples(name, v, None, lambda i, db: self.bias(plan, v[i : i + 1], db), samples)

    def _samples(self, name, v, x, compute, samples):
        if self.in_windows:
            samples.windows(name, self, v, x, compute)
        else:
            samples.each(name, compute)

    def bias(self, plan, v, db, update=False, *, g=None, after=None):
        channel_sums.slope(plan, v, g, after=after, total=db, update=update)

    def zero(self, plan, y):
        """A term that is zero, for sums without others: of 1x1 weights."""
        x, W = plan.empty(len(y), 1, *y.shape[2:]), plan.empty(y.shape[1], 1, 1, 1)
        x[...] = W[...] = 0
        return Convolution().forward, x, W

    def by_x(self, x, W):
        return _convolution(self.window(x.shape, W.shape), W)

    def by_W(self, x, W):
        """In the row of each pixel, in the columns of its channel's weights, what these are multiplied by."""
        return _by_channel(np.repeat(self.seen(x, W.shape), len(W) // self.groups, axis=1))

    def seen(self, x, W_shape):
        """What the weights of each group are multiplied by for each pixel of W * x: (m, groups, pixels, weights of a filter)."""
        g = self.window(x.shape, W_shape)
        padding = (g.top, g.bottom), (g.left, g.right)
        seen = im2col(x, (g.r, g.s), stride=(g.sh, g.sw), padding=padding, dilation=(g.dh, g.dw))
        return seen.reshape(g.n, g.groups, g.c // g.groups * g.r * g.s, g.oh * g.ow).swapaxes(2, 3)

    def by_b(self, x, W):
        """A 1 in the column of each pixel's channel."""
        g = self.window(x.shape, W.shape)
        return _by_channel(np.ones((g.n, g.k, g.oh * g.ow, 1), x.dtype))

    def identity(self, x):
        return _diagonal(np.ones(x.size, x.dtype))

    def scaled(self, values, J):
        return _diagonal(values) @ J

    def whole(self, J, m, by_samples):
        return J


@dataclass(frozen=True)
class Transposed(Convolution):
    """The transpose by the data of a convolution of y, for images x: W is (channels of x, channels of y / groups, r, s)."""

    output_padding: tuple[int, int] = (0, 0)
    in_windows = False

    def window(self, x_shape, W_shape):
        """Of the convolution, whose images are y."""
        settings = self.stride, self.padding, self.output_padding, self.dilation, self.groups
        return _transposed_window(x_shape, W_shape, *settings)

    def output_shape(self, x, W):
        return self.window(x.shape, W.shape).x_shape

    def forward(self, plan, x, W, y, after=None):
        conv2d.data_gradient(plan, self.window(x.shape, W.shape), x, W, y, after=after)

    def backward(self, plan, v, W, dx, after=None):
        conv2d.forward(plan, self.window(dx.shape, W.shape), v, W, dx, after=after)

    def weights(self, plan, v, x, dW, after=None):
        conv2d.weight_gradient(plan, self.window(x.shape, dW.shape), x, v, dW, after=after)

    def by_x(self, x, W):
        return _convolution(self.window(x.shape, W.shape), W).T.tocsr()

    def by_W(self, x, W):
        """In the row of each pixel of y, in the columns of its channel's weights, the pixels of x that these take there."""
        from scipy import sparse

        g = self.window(x.shape, W.shape)
        per_group, filters = g.c // g.groups, g.k // g.groups
        n, group, k, c, i, j, a, b = np.ogrid[: g.n, : g.groups, :filters, :per_group, : g.r, : g.s, : g.oh, : g.ow]
        down, across = g.sh * a + g.dh * i - g.top, g.sw * b + g.dw * j - g.left
        inside = (down >= 0) & (down < g.h) & (across >= 0) & (across < g.w)
        pixel = (((n * g.groups + group) * per_group + c) * g.h + down) * g.w + across
        weight = (((group * filters + k) * per_group + c) * g.r + i) * g.s + j
        values = x.reshape(g.n, g.groups, filters, 1, 1, 1, g.oh, g.ow)
        values, pixel, weight, inside = np.broadcast_arrays(values, pixel, weight, inside)
        shape = math.prod(g.x_shape), W.size
        return sparse.csr_array((values[inside], (pixel[inside], weight[inside])), shape=shape)

    def by_b(self, x, W):
        g = self.window(x.shape, W.shape)
        return _by_channel(np.ones((g.n, g.c, g.h * g.w, 1), x.dtype))


class Signals(Convolution):
    """W * x for signals x (m, c, length), with W (k, c / groups, s): images of one row."""

    in_windows = False

    def forward(self, plan, x, W, y, after=None):
        super().forward(plan, one_row(x), one_row(W), one_row(y), _one_row(after, y))

    def backward(self, plan, v, W, dx, after=None):
        super().backward(plan, one_row(v), one_row(W), one_row(dx), _one_row(after, dx))

    def weights(self, plan, v, x, dW, after=None):
        super().weights(plan, one_row(v), one_row(x), one_row(dW), after)

    def bias(self, plan, v, db, update=False, *, g=None, after=None):
        g = None if g is None else one_row(g)
        super().bias(plan, one_row(v), db, update, g=g, after=_one_row(after, v))

    def zero(self, plan, y):
        _, x, W = super().zero(plan, one_row(y))
        return Signals().forward, x[:, :, 0], W[:, :, 0]

    def by_x(self, x, W):
        return super().by_x(one_row(x), one_row(W))

    def by_W(self, x, W):
        return super().by_W(one_row(x), one_row(W))

    def by_b(self, x, W):
        return super().by_b(one_row(x), one_row(W))


def one_row(signals):
    """Signals (m, c, length) as images of one row: a view."""
    return signals[:, :, None]


def _one_row(after, y):
    """The epilogue of signals y, for images of one row."""
    return after and after.part(..., one_row(y).shape)


def _convolution(g, W):
    """The sum over the taps (i, j) of W[:, :, i, j] kron (the selection of the pixels that the tap meets), for each sample."""
    from scipy import sparse

    rows = [_selection(g.oh, g.h, g.sh, g.dh * i - g.top, W.dtype) for i in range(g.r)]
    columns = [_selection(g.ow, g.w, g.sw, g.dw * j - g.left, W.dtype) for j in range(g.s)]
    groups = W.reshape(g.groups, -1, *W.shape[1:])
    matrix = sparse.csr_array((math.prod(g.y_shape[1:]), math.prod(g.x_shape[1:])), dtype=W.dtype)
    for i, selected_rows in enumerate(rows):
        for j, selected_columns in enumerate(columns):
            mixing = sparse.csr_array(sparse.block_diag(groups[..., i, j]))
            matrix += sparse.kron(mixing, sparse.kron(selected_rows, selected_columns), format="csr")
    matrix = sparse.kron(_diagonal(np.ones(g.n, W.dtype)), matrix, format="csr")
    return matrix.astype(W.dtype, copy=False)  # kron of a matrix without entries is float64


def _selection(n_out, n_in, step, first, dtype):
    """(n_out, n_in): row a has a 1 in column step * a + first, where there is such a column."""
    from scipy import sparse

    at = step * np.arange(n_out) + first
    inside = np.flatnonzero((at >= 0) & (at < n_in))
    return sparse.csr_array((np.ones(inside.size, dtype), (inside, at[inside])), shape=(n_out, n_in))


def _by_channel(values):
    """The matrix with values[n, c, p] in row (n, c, p), in the columns of channel c."""
    from scipy import sparse

    n, k, pixels, length = values.shape
    columns = np.arange(k * length).reshape(1, k, 1, length)
    indices = np.broadcast_to(columns, values.shape)
    starts = np.arange(n * k * pixels + 1) * length
    return sparse.csr_array((values.ravel(), indices.ravel(), starts), shape=(n * k * pixels, k * length))


def _diagonal(values):
    from scipy import sparse

    return sparse.diags_array(values.ravel(), format="csr")
