"""Layers. `base` has the contract of every layer, `planned` that of fastlec's own, `jacobian` their derivatives. The layers are in
`affine`, `residual`, `activation`, `norm`, `dropout`, `pool` and `shape`, the linear maps of which they are made in `maps`. See
README.md."""

from .activation import Activation
from .affine import Conv2d, Dense
from .base import Layer
from .dropout import Dropout
from .jacobian import Jacobian
from .norm import BatchNorm, BatchNorm2d, LayerNorm
from .pool import AvgPool2d, MaxPool2d
from .residual import ConvResidual, ProjectedConvResidual, ProjectedResidual, Residual
from .shape import Flatten

__all__ = [
    "Activation",
    "AvgPool2d",
    "BatchNorm",
    "BatchNorm2d",
    "Conv2d",
    "ConvResidual",
    "Dense",
    "Dropout",
    "Flatten",
    "Jacobian",
    "Layer",
    "LayerNorm",
    "MaxPool2d",
    "ProjectedConvResidual",
    "ProjectedResidual",
    "Residual",
]
