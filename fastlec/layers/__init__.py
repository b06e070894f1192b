"""Layers: the contract is in `base`, the layers of dense and residual networks in `dense`, those of images in `conv`."""

from .base import Jacobian, Layer
from .conv import Conv2d, ConvResidual, ProjectedConvResidual
from .dense import Activation, Dense, ProjectedResidual, Residual

__all__ = [
    "Activation",
    "Conv2d",
    "ConvResidual",
    "Dense",
    "Jacobian",
    "Layer",
    "ProjectedConvResidual",
    "ProjectedResidual",
    "Residual",
]
