"""Networks as plain descriptions, a tuple of layers, which every contender builds in its own way; and what is right, in float64.

The parameters of a network are one flat theta, layer after layer, each in the order of `shapes`.
"""

import itertools
from dataclasses import dataclass
from math import prod

import numpy as np

RATE = 0.01  # of learning: so small that a timed step can be repeated for as long as it takes


@dataclass(frozen=True)
class Dense:
    """y = activation(x W' + b)"""

    n_in: int
    n_out: int
    activation: str

    @property
    def shapes(self):
        """Of W and b."""
        return (self.n_out, self.n_in), (self.n_out,)


@dataclass(frozen=True)
class Residual:
    """y = x + activation(x W1' + b) W2'"""

    n: int
    activation: str

    @property
    def shapes(self):
        """Of W1, b and W2."""
        return (self.n, self.n), (self.n,), (self.n, self.n)

    @property
    def n_in(self):
        return self.n

    @property
    def n_out(self):
        return self.n


def chain(widths, activation, blocks=0):
    """Dense layers of these widths, the last one linear, with `blocks` residual layers before that one."""
    *hidden, last = itertools.pairwise(widths)
    residual = (Residual(widths[-2], activation),) * blocks
    return (*(Dense(*pair, activation) for pair in hidden), *residual, Dense(*last, "identity"))


def n_params(net):
    return sum(prod(shape) for layer in net for shape in layer.shapes)


def weights(layer):
    """How many entries the layer's matrices have."""
    return sum(prod(shape) for shape in layer.shapes if len(shape) == 2)


def split(net, theta):
    """The parameters of every layer, a list of tuples of views of theta, whichever library's array that is."""
    parts, start = [], 0
    for layer in net:
        views = []
        for shape in layer.shapes:
            views.append(theta[start : start + prod(shape)].reshape(shape))
            start += prod(shape)
        parts.append(tuple(views))
    return parts


def start(net, rng, dtype):
    """A theta from which training goes well: the deeper the layers, the less they add."""
    theta = 0.1 * rng.standard_normal(n_params(net), dtype=dtype)
    for W in (part for parts in split(net, theta) for part in parts if part.ndim > 1):
        W *= 5 / np.sqrt(prod(W.shape[1:]), dtype=dtype)
    return theta


ACTIVATIONS = {  # the function of z and its derivative from its value y
    "tanh": (np.tanh, lambda y: 1 - y**2),
    "relu": (lambda z: np.maximum(z, 0), lambda y: y > 0),
    "identity": (lambda z: z, np.ones_like),
}


def forward(net, theta, x):
    """(the output, what each layer had as its input and as its activation)."""
    kept = []
    for layer, (W, b, *W2) in zip(net, split(net, theta), strict=True):
        hidden = ACTIVATIONS[layer.activation][0](x @ W.T + b)
        kept.append((x, hidden))
        x = x + hidden @ W2[0].T if W2 else hidden
    return x, kept


def directional(net, theta, kept, dx, dtheta):
    """The derivative of the output in the direction dx, dtheta. For dense layers alone."""
    for layer, (W, _), (dW, db), (x, hidden) in zip(net, split(net, theta), split(net, dtheta), kept, strict=True):
        dx = ACTIVATIONS[layer.activation][1](hidden) * (dx @ W.T + x @ dW.T + db)
    return dx


def backward(net, theta, kept, gradient):
    """(the gradient with respect to the input, that with respect to theta), from the gradient with respect to the output."""
    parts = []
    for layer, (W, _, *W2), (x, hidden) in zip(net[::-1], split(net, theta)[::-1], kept[::-1], strict=True):
        inner = (gradient @ W2[0] if W2 else gradient) * ACTIVATIONS[layer.activation][1](hidden)
        parts.append((inner.T @ x, inner.sum(axis=0), *((gradient.T @ hidden,) if W2 else ())))
        gradient = inner @ W + (gradient if W2 else 0)
    return gradient, np.concatenate([part.ravel() for layer in parts[::-1] for part in layer])
