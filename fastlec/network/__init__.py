"""Networks. `network` has the layer made of layers, `forward` how much of a forward pass is computed at a time, `jacobian` its
derivative, `description` networks as what JSON can hold, `files` networks in files."""

from ..layers.parameters import views
from ..layers.registry import KINDS
from .description import build, shapes
from .network import MOST_DEPTH, Layers, Network

__all__ = ["KINDS", "MOST_DEPTH", "Layers", "Network", "build", "shapes", "views"]
