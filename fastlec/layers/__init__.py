"""Layers: the contract is in `base`, the layers of dense and residual networks in `dense`, those of images in `conv`, batch
normalization in `norm`."""

from .base import Jacobian, Layer
from .conv import Conv2d, ConvResidual, ProjectedConvResidual
from .dense import Activation, Dense, ProjectedResidual, Residual
from .norm import BatchNorm2d

__all__ = [
    "Activation",
    "BatchNorm2d",
    "Conv2d",
    "ConvResidual",
    "Dense",
    "Jacobian",
    "Layer",
    "ProjectedConvResidual",
    "ProjectedResidual",
    "Residual",
]
