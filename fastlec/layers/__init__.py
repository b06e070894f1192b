"""Layers: the contract is in `base`, the layers of dense and residual networks in `dense`."""

from .base import Jacobian, Layer
from .dense import Activation, Dense, ProjectedResidual, Residual

__all__ = ["Activation", "Dense", "Jacobian", "Layer", "ProjectedResidual", "Residual"]
