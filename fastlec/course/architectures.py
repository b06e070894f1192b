"""The networks that ``fastlec train`` knows, as lists of layers' kinds and arguments, for `network.shapes` and `network.build`.

    mlp         depth layers Dense (lecture eq. 21) of one width, then Dense to the classes
    resnet      Dense, depth blocks Residual (eq. 22) of one width, then Dense to the classes
    lenet       Conv2d of 6 filters 5x5, AvgPool2d, Conv2d of 16 filters 5x5, AvgPool2d, Dense 120 and 84, then to the classes
    cnn         Conv2d of 32 filters 3x3, MaxPool2d, Conv2d of 64 filters 3x3, MaxPool2d, Dense 128, then to the classes
    resnet-cnn  Conv2d of width filters 3x3, depth blocks ConvResidual of as many, AvgPool2d, Dense to the classes; for images of 16
                pixels or more with MaxPool2d in front of the blocks

lenet is LeNet-5 (Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, "Gradient-based learning applied to document recognition", 1998) as it
is built today: every filter sees all channels, pooling has no weights, the last layer is dense.

Images may have any size. Convolutions keep it, by padding; only lenet's second one is not padded for images of 28 pixels or more,
and gives the paper's 10 x 10 for 28 x 28. Pooling halves it, and is left out where it would leave less than 4 pixels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from .. import _check

Described = list[dict[str, Any]]
_LEAST_SIDE = 4  # that pooling leaves


def _dense_layers(n: int, widths: Sequence[int], activation: str, n_classes: int) -> Described:
    """Hidden layers of these widths, and one to the classes."""
    sizes = (n, *widths, n_classes)
    activations = [*len(widths) * [activation], "identity"]
    return [_dense(*between, name) for between, name in zip(pairwise(sizes), activations, strict=True)]


def _dense(n_in: int, n_out: int, activation: str) -> dict[str, Any]:
    return {"kind": "Dense", "n_in": n_in, "n_out": n_out, "activation": activation}


def _mlp(n: int, n_classes: int, depth: int, width: int, activation: str) -> Described:
    return _dense_layers(n, depth * [width], activation, n_classes)


def _resnet(n: int, n_classes: int, depth: int, width: int, activation: str) -> Described:
    first, last = _dense_layers(n, [width], activation, n_classes)
    return [first, *({"kind": "Residual", "n": width, "activation": activation} for _ in range(depth)), last]


class _Images:
    """Layers one after the other, and the shape (c, h, w) of a sample after the last of them."""

    def __init__(self, c: int, h: int, w: int):
        self.layers, self.shape = [], (c, h, w)

    def convolution(self, filters: int, size: int, activation: str, padded: bool = True) -> None:
        c, h, w = self.shape
        sizes = {"c_in": c, "c_out": filters, "kernel_size": size, "padding": "same" if padded else 0}
        self.layers.append({"kind": "Conv2d", **sizes, "activation": activation})
        self.shape = (filters, h, w) if padded else (filters, h - size + 1, w - size + 1)

    def pool(self, kind: str) -> None:
        c, h, w = self.shape
        if min(h, w) // 2 >= _LEAST_SIDE:
            self.layers.append({"kind": kind, "kernel_size": 2})
            self.shape = c, h // 2, w // 2

    def residual(self, activation: str) -> None:
        self.layers.append({"kind": "ConvResidual", "c": self.shape[0], "activation": activation})

    def dense(self, *widths: int, activation: str, n_classes: int) -> Described:
        """All layers: these, hidden ones of the widths, and one to the classes."""
        return [*self.layers, {"kind": "Flatten"}, *_dense_layers(math.prod(self.shape), widths, activation, n_classes)]


def _lenet(shape: tuple[int, int, int], n_classes: int, activation: str) -> Described:
    images = _Images(*shape)
    images.convolution(6, 5, activation)
    images.pool("AvgPool2d")
    images.convolution(16, 5, activation, padded=min(shape[1:]) < 28)
    images.pool("AvgPool2d")
    return images.dense(120, 84, activation=activation, n_classes=n_classes)


def _cnn(shape: tuple[int, int, int], n_classes: int, activation: str) -> Described:
    images = _Images(*shape)
    for filters in (32, 64):
        images.convolution(filters, 3, activation)
        images.pool("MaxPool2d")
    return images.dense(128, activation=activation, n_classes=n_classes)


def _resnet_cnn(shape: tuple[int, int, int], n_classes: int, depth: int, width: int, activation: str) -> Described:
    images = _Images(*shape)
    images.convolution(width, 3, activation)
    if min(shape[1:]) >= 16:
        images.pool("MaxPool2d")
    for _ in range(depth):
        images.residual(activation)
    images.pool("AvgPool2d")
    return images.dense(activation=activation, n_classes=n_classes)


_MAKERS: dict[str, tuple[Callable[..., Described], dict[str, Any]]] = {  # the function, the options and their defaults
    "mlp": (_mlp, {"depth": 2, "width": 128, "activation": "relu"}),
    "resnet": (_resnet, {"depth": 2, "width": 128, "activation": "relu"}),
    "lenet": (_lenet, {"activation": "relu"}),
    "cnn": (_cnn, {"activation": "relu"}),
    "resnet-cnn": (_resnet_cnn, {"depth": 2, "width": 32, "activation": "relu"}),
}
NAMES = tuple(_MAKERS)
OF_IMAGES = ("lenet", "cnn", "resnet-cnn")
OPTIONS = {name: options for name, (_, options) in _MAKERS.items()}


def describe(name: str, sample: tuple[int, ...], n_classes: int, **options) -> Described:
    """The layers of the architecture called ``name``, for samples (n,), or (c, h, w) if it is one of `OF_IMAGES`.

    options : of `OPTIONS`[name], which has the defaults.  ValueError for an unknown name, or an option that it does not have.
    """
    make, defaults = _MAKERS[_check.choice(name, NAMES, "architecture")]
    for option in options.keys() - defaults.keys():
        raise ValueError(f"architecture {name} has no option {option}; expected {', '.join(defaults)}")
    return make(sample if name in OF_IMAGES else sample[0], n_classes, **defaults | options)
