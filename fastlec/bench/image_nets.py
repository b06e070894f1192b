"""Convolution layers and networks of images as plain descriptions, beside those of `nets`; and what is right, in float64.

Images are (m, channels, height, width).
"""

from dataclasses import dataclass
from math import prod

import numpy as np

from fastlec import reference

from .nets import ACTIVATIONS, Dense, chain, split


@dataclass(frozen=True)
class Conv:
    """y = activation(W * x + b), with kernels of size x size and as much padding on every side."""

    n_in: int
    n_out: int
    size: int
    padding: int = 0
    activation: str = "identity"
    stride: int = 1
    dilation: int = 1
    groups: int = 1

    @property
    def shapes(self):
        """Of W and b."""
        return (self.n_out, self.n_in // self.groups, self.size, self.size), (self.n_out,)

    @property
    def options(self):
        """What says, together with W, which convolution it is."""
        return {name: getattr(self, name) for name in ("stride", "padding", "dilation", "groups")}

    def out(self, shape):
        """The shape of one image's result, from the image's."""
        _, *lengths = shape
        reach = self.dilation * (self.size - 1) + 1
        return self.n_out, *((length + 2 * self.padding - reach) // self.stride + 1 for length in lengths)

    def flops(self, shape):
        """Of the product with W, for one image of this shape."""
        return 2 * prod(self.shapes[0]) * prod(self.out(shape)[1:])


@dataclass(frozen=True)
class Pool:
    """The "average" or the "max" of every square of size x size pixels."""

    kind: str
    size: int = 2

    shapes = ()

    def out(self, shape):
        channels, *lengths = shape
        return channels, *(length // self.size for length in lengths)

    def flops(self, shape):
        return 0


@dataclass(frozen=True)
class Flatten:
    """Images become rows, in C order."""

    shapes = ()

    def out(self, shape):
        return (prod(shape),)

    def flops(self, shape):
        return 0


def lenet(pixels=28, channels=(6, 16), widths=(120, 84, 10)):
    """5x5 convolutions, average pooling, dense layers; tanh throughout."""
    first, second = channels
    rows = second * ((pixels // 2 - 4) // 2) ** 2
    convolutions = Conv(1, first, 5, 2, "tanh"), Pool("average"), Conv(first, second, 5, 0, "tanh"), Pool("average")
    return *convolutions, Flatten(), *chain((rows, *widths), "tanh")


def cnn(pixels=28, channels=(32, 64), widths=(128, 10)):
    """3x3 convolutions, max pooling, dense layers; relu throughout."""
    first, second = channels
    rows = second * (pixels // 4) ** 2
    convolutions = Conv(1, first, 3, 1, "relu"), Pool("max"), Conv(first, second, 3, 1, "relu"), Pool("max")
    return *convolutions, Flatten(), *chain((rows, *widths), "relu")


def shapes(net, shape):
    """Of one image or row, before each layer."""
    before = []
    for layer in net:
        before.append(shape)
        shape = (layer.n_out,) if isinstance(layer, Dense) else layer.out(shape)
    return before


def flops(net, shape):
    """Of the product with each layer's weights, for one image of this shape."""
    return [
        2 * prod(layer.shapes[0]) if isinstance(layer, Dense) else layer.flops(before)
        for layer, before in zip(net, shapes(net, shape), strict=True)
    ]


POOLS = {  # the function and its transposed product
    "average": (reference.avg_pool2d, reference.avg_pool2d_jac_tmv),
    "max": (reference.max_pool2d, reference.max_pool2d_jac_tmv),
}


def forward(net, theta, x):
    """(the output, what each layer had as its input and as its output)."""
    kept = []
    for layer, parts in zip(net, split(net, theta), strict=True):
        match layer:
            case Conv():
                y = ACTIVATIONS[layer.activation][0](reference.conv2d(x, *parts, **layer.options))
            case Pool():
                y = POOLS[layer.kind][0](x, layer.size)
            case Flatten():
                y = x.reshape(len(x), -1)
            case Dense():
                W, b = parts
                y = ACTIVATIONS[layer.activation][0](x @ W.T + b)
        kept.append((x, y))
        x = y
    return x, kept


def backward(net, theta, kept, gradient):
    """(the gradient with respect to the input, that with respect to theta), from the gradient with respect to the output."""
    parts = []
    for layer, weights, (x, y) in zip(net[::-1], split(net, theta)[::-1], kept[::-1], strict=True):
        match layer:
            case Conv():
                inner = gradient * ACTIVATIONS[layer.activation][1](y)
                gradient, *own = reference.conv2d_jac_tmv(inner, x, weights[0], **layer.options).values()
                parts.append(own)
            case Pool():
                gradient = POOLS[layer.kind][1](gradient, x, layer.size)["x"]
            case Flatten():
                gradient = gradient.reshape(x.shape)
            case Dense():
                inner = gradient * ACTIVATIONS[layer.activation][1](y)
                parts.append((inner.T @ x, inner.sum(axis=0)))
                gradient = inner @ weights[0]
    return gradient, np.concatenate([part.ravel() for own in parts[::-1] for part in own])
