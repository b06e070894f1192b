"""Layers: the contract is in `base`, the layers of dense and residual networks in `dense`, those of images in `conv` and `pool`,
batch normalization in `norm`."""

from .base import Jacobian, Layer
from .conv import Conv2d, ConvResidual, ProjectedConvResidual
from .dense import Activation, Dense, ProjectedResidual, Residual
from .norm import BatchNorm2d
from .pool import AvgPool2d, Flatten, MaxPool2d

__all__ = [
    "Activation",
    "AvgPool2d",
    "BatchNorm2d",
    "Conv2d",
    "ConvResidual",
    "Dense",
    "Flatten",
    "Jacobian",
    "Layer",
    "MaxPool2d",
    "ProjectedConvResidual",
    "ProjectedResidual",
    "Residual",
]
