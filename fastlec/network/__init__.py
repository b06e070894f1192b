"""Networks. `container` has what all layers made of layers share, `network` those one after the other, `branches` those side by
side, `forward` how much of a forward pass is computed at a time, `jacobian` the derivative, `description` networks as what JSON can
hold, `files` networks in files."""

from ..layers.parameters import views
from ..layers.registry import KINDS
from .branches import Concat, Sum
from .container import MOST_DEPTH, Container, Layers
from .description import build, shapes
from .network import Network

__all__ = ["KINDS", "MOST_DEPTH", "Concat", "Container", "Layers", "Network", "Sum", "build", "shapes", "views"]
