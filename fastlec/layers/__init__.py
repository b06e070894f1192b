"""Layers. `base` has the contract of every layer, `planned` that of fastlec's own, `jacobian` their derivatives. The layers are in
`affine`, `conv`, `residual`, `activation`, `norm`, `dropout`, `pool`, `upsample` and `shape`, the linear maps that they are made of
in `_maps`. See README.md."""

from .activation import Activation
from .affine import Dense
from .base import Layer
from .conv import Conv1d, Conv2d, ConvTranspose2d
from .dropout import Dropout
from .jacobian import Jacobian
from .norm import BatchNorm, BatchNorm2d, LayerNorm
from .pool import AvgPool1d, AvgPool2d, GlobalAvgPool2d, MaxPool1d, MaxPool2d
from .residual import ConvResidual, ProjectedConvResidual, ProjectedResidual, Residual
from .shape import Flatten
from .upsample import Upsample2d

__all__ = [
    "Activation",
    "AvgPool1d",
    "AvgPool2d",
    "BatchNorm",
    "BatchNorm2d",
    "Conv1d",
    "Conv2d",
    "ConvResidual",
    "ConvTranspose2d",
    "Dense",
    "Dropout",
    "Flatten",
    "GlobalAvgPool2d",
    "Jacobian",
    "Layer",
    "LayerNorm",
    "MaxPool1d",
    "MaxPool2d",
    "ProjectedConvResidual",
    "ProjectedResidual",
    "Residual",
    "Upsample2d",
]


def __dir__() -> list[str]:
    return sorted(__all__)
