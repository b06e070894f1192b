"""The kinds of benchmark cases about second derivatives, many directions and single samples; and what is right, in float64.

Networks are those of `nets` and `image_nets`, with tanh and average pooling.
"""

import math
from dataclasses import dataclass

import numpy as np

from fastlec import reference

from . import image_nets, kinds, nets
from .images import Images
from .kinds import SIZE, Case
from .nets import Dense


@dataclass(frozen=True)
class Derivative(Case):
    """A derivative of a network. shape : (X's shape, net)."""

    modes = ("fresh",)

    @property
    def flops(self):
        (m, *shape), net = self.shape
        first, *others = image_nets.flops(net, shape)
        times = PRODUCTS.get(self.op)
        return times and m * (times[0] * first + times[1] * sum(others))

    @property
    def sizes(self):
        """How many numbers X, theta and the output have."""
        x_shape, net = self.shape
        return math.prod(x_shape), nets.n_params(net), x_shape[0] * net[-1].n_out

    def expected(self, inputs):
        return OPS[self.op](self.shape[1], *(a.astype(np.float64) if a.dtype.kind == "f" else a for a in inputs))

    def _start(self, rng, dtype):
        """(X, theta)"""
        x_shape, net = self.shape
        return rng.random(x_shape, dtype=dtype), nets.start(net, rng, dtype)


@dataclass(frozen=True)
class Loss(Derivative):
    """What follows from the mean cross-entropy as a function of theta. Inputs: X, y, theta, to which products add the direction v.
    Products are at a theta at which the loss has been linearized."""

    def bytes(self, dtype):
        x, theta, _ = self.sizes
        m = self.shape[0][0]
        more = {"objective": theta, "sample_gradients": m * theta, "sample_norms": m}.get(self.op, 2 * theta)
        return (x + theta + more) * SIZE[dtype]

    def make(self, rng, dtype):
        X, theta = self._start(rng, dtype)
        y = rng.integers(0, self.shape[1][-1].n_out, len(X))
        return X, y, theta, *((rng.standard_normal(len(theta), dtype=dtype),) if self.op.endswith("_mv") else ())


@dataclass(frozen=True)
class ImageLoss(Loss, Images):
    """That of a network of images."""


@dataclass(frozen=True)
class Point(Derivative):
    """Linearized at X, one product with the Jacobian by X and one with its transpose, by X and theta. Inputs: X, theta, dX, v. The
    result: y, dy, and the parts for X and each parameter."""

    def bytes(self, dtype):
        x, theta, y = self.sizes
        return (3 * x + 2 * theta + 3 * y) * SIZE[dtype]

    def make(self, rng, dtype):
        X, theta = self._start(rng, dtype)
        return X, theta, *(rng.standard_normal(shape, dtype=dtype) for shape in (X.shape, (len(X), self.shape[1][-1].n_out)))


@dataclass(frozen=True)
class Directions(Derivative):
    """k products with the Jacobian by X, or with its transpose, where the network has been linearized. Inputs: X, theta, V."""

    k: int = 32

    @property
    def flops(self):
        return self.k * super().flops

    def bytes(self, dtype):
        x, theta, y = self.sizes
        return (x + theta + self.k * (x + y)) * SIZE[dtype]

    def make(self, rng, dtype):
        X, theta = self._start(rng, dtype)
        shape = X.shape if self.op == "mv_many" else (len(X), self.shape[1][-1].n_out)
        return X, theta, rng.standard_normal((self.k, *shape), dtype=dtype)


@dataclass(frozen=True)
class Explicit(Derivative):
    """The Jacobian of each sample by itself, (m, outputs, inputs), or that of the batch by theta, (m outputs, n_params). Inputs: X,
    theta."""

    def bytes(self, dtype):
        x, theta, y = self.sizes
        by = x // self.shape[0][0] if self.op == "sample_jacobians" else theta
        return (x + theta + y * by) * SIZE[dtype]

    def make(self, rng, dtype):
        return self._start(rng, dtype)


@dataclass(frozen=True)
class Columns(kinds.Objective):
    """The Hessian of softmax regression times k columns, at a theta whose probabilities have been kept. shape : (m, n, l). Inputs:
    X, y, theta, V."""

    k: int = 8

    modes = ("fresh",)

    @property
    def flops(self):
        return self.k * 4 * math.prod(self.shape)

    def make(self, rng, dtype):
        X, y, theta, _ = super().make(rng, dtype)
        return X, y, theta, rng.standard_normal((len(theta), self.k), dtype=dtype)

    def expected(self, inputs):
        return OPS[self.op](self.shape[2], *inputs)


def _residual(logits, y):
    """(the loss, its gradient by the logits), for each sample."""
    at, log_p = (np.arange(len(y)), y), reference.log_softmax(logits)
    residual = np.exp(log_p)
    residual[at] -= 1
    return -log_p[at], residual


def _objective(net, X, y, theta):
    output, kept = image_nets.forward(net, theta, X)
    losses, residual = _residual(output, y)
    return losses.mean(), image_nets.backward(net, theta, kept, residual / len(y))[1]


def _tangent(net, theta, v, kept):
    """What the input of each layer changes by along v, and last the output; and that before the layer's activation."""
    dx, found = np.zeros_like(kept[0][0]), []
    for layer, parts, moved, (x, y) in zip(net, nets.split(net, theta), nets.split(net, v), kept, strict=True):
        match layer:
            case image_nets.Conv():
                dy = reference.conv2d_jac_mv(x, parts[0], dx, moved[0], **layer.options) + moved[1][:, None, None]
            case image_nets.Pool():
                dy = reference.avg_pool2d(dx, layer.size)
            case image_nets.Flatten():
                dy = dx.reshape(y.shape)
            case Dense():
                dy = dx @ parts[0].T + x @ moved[0].T + moved[1]
        found.append((dx, dy))
        dx = nets.ACTIVATIONS[layer.activation][1](y) * dy if parts else dy
    return found, dx


def _gauss_newton_mv(net, X, y, theta, v):
    output, kept = image_nets.forward(net, theta, X)
    return (image_nets.backward(net, theta, kept, _moved(output, _tangent(net, theta, v, kept)[1]))[1],)


def _moved(logits, d_logits):
    """The Hessian of the loss by the logits times their change."""
    p = reference.softmax(logits)
    return p * (d_logits - (p * d_logits).sum(axis=1, keepdims=True)) / len(p)


def _hessian_mv(net, X, y, theta, v):
    """The derivative of what `image_nets.backward` does, layer by layer (Pearlmutter 1994): of g, which comes back to a layer."""
    output, kept = image_nets.forward(net, theta, X)
    tangent, d_output = _tangent(net, theta, v, kept)
    g, dg, found = _residual(output, y)[1] / len(y), _moved(output, d_output), []
    stack = zip(net, nets.split(net, theta), nets.split(net, v), kept, tangent, strict=True)
    for layer, parts, moved, (x, value), (dx, dz) in reversed(list(stack)):
        if isinstance(layer, image_nets.Flatten):
            g, dg = g.reshape(x.shape), dg.reshape(x.shape)
            continue
        if isinstance(layer, image_nets.Pool):
            g, dg = (reference.avg_pool2d_jac_tmv(a, x, layer.size)["x"] for a in (g, dg))
            continue
        slope = nets.ACTIVATIONS[layer.activation][1](value)
        bend = -2 * value * slope if layer.activation == "tanh" else 0
        inner, d_inner = g * slope, dg * slope + g * bend * dz
        first, second = _transposed(layer, d_inner, x, parts[0]), _transposed(layer, inner, dx, moved[0])
        g, dg = _transposed(layer, inner, x, parts[0])[0], first[0] + second[0]
        found.append(((first[1] + second[1]).ravel(), first[2]))
    return (np.concatenate([part for parts in reversed(found) for part in parts]),)


def _transposed(layer, g, x, W):
    """(W' g, g x', the sum of g)."""
    if isinstance(layer, Dense):
        return g @ W, g.T @ x, g.sum(axis=0)
    return tuple(reference.conv2d_jac_tmv(g, x, W, **layer.options).values())


def _sample_gradients(net, X, y, theta):
    parts = [(X[i : i + 1], y[i : i + 1]) for i in range(len(X))]
    return (np.stack([_objective(net, *part, theta)[1] for part in parts]),)


def _sample_norms(net, X, y, theta):
    return ((_sample_gradients(net, X, y, theta)[0] ** 2).sum(axis=1),)


def _directional(net, theta, kept, dX):
    return nets.directional(net, theta, kept, dX, np.zeros_like(theta))


def _point(net, X, theta, dX, v):
    y, kept = nets.forward(net, theta, X)
    by_x, by_theta = nets.backward(net, theta, kept, v)
    parts = (part for parts in nets.split(net, by_theta) for part in parts)
    return y, _directional(net, theta, kept, dX), by_x, *parts


def _mv_many(net, X, theta, V):
    kept = nets.forward(net, theta, X)[1]
    return (np.stack([_directional(net, theta, kept, dX) for dX in V]),)


def _tmv_many(net, X, theta, V):
    kept = nets.forward(net, theta, X)[1]
    return (np.stack([nets.backward(net, theta, kept, v)[0] for v in V]),)


def _sample_jacobians(net, X, theta):
    y, kept = nets.forward(net, theta, X)
    units = np.eye(y.shape[1])
    return (np.stack([nets.backward(net, theta, kept, np.tile(unit, (len(X), 1)))[0] for unit in units], axis=1),)


def _theta_jacobian(net, X, theta):
    y, kept = nets.forward(net, theta, X)
    units = np.eye(y.size).reshape(y.size, *y.shape)
    return (np.stack([nets.backward(net, theta, kept, unit)[1] for unit in units]),)


def _hessian_columns(n_classes, X, y, theta, V):
    return (np.stack([reference.softmax_regression_hessian_mv(theta, v, X, y, n_classes) for v in V.T], axis=1),)


OPS = {
    "objective": _objective,
    "objective_hessian_mv": _hessian_mv,
    "objective_gauss_newton_mv": _gauss_newton_mv,
    "sample_gradients": _sample_gradients,
    "sample_norms": _sample_norms,
    "point": _point,
    "mv_many": _mv_many,
    "tmv_many": _tmv_many,
    "sample_jacobians": _sample_jacobians,
    "theta_jacobian": _theta_jacobian,
    "hessian_columns": _hessian_columns,
}
# op -> how often the weights of the first layer, and of the others, take part in a product with a batch
PRODUCTS = {
    "objective": (2, 3),
    "objective_hessian_mv": (2, 6),
    "objective_gauss_newton_mv": (2, 4),
    "sample_gradients": (2, 3),
    "sample_norms": (1, 2),
    "point": (4, 4),
    "mv_many": (1, 1),
    "tmv_many": (1, 1),
}
