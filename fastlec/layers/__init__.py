"""Layers: the contract is in `base`, the layers of dense and residual networks in `dense`, batch normalisation in `norm`."""

from .base import Jacobian, Layer
from .dense import Activation, Dense, ProjectedResidual, Residual
from .norm import BatchNorm2d

__all__ = ["Activation", "BatchNorm2d", "Dense", "Jacobian", "Layer", "ProjectedResidual", "Residual"]
