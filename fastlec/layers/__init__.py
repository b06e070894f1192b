"""Layers: the contract is in `base`, the layers of dense and residual networks in `dense`, those that pool images in `pool`."""

from .base import Jacobian, Layer
from .dense import Activation, Dense, ProjectedResidual, Residual
from .pool import AvgPool2d, Flatten, MaxPool2d

__all__ = ["Activation", "AvgPool2d", "Dense", "Flatten", "Jacobian", "Layer", "MaxPool2d", "ProjectedResidual", "Residual"]
