"""Networks. `container` has what all layers made of layers share, `network` those one after the other, `branches` those side by
side, `summary` their table, `forward` how much of a forward pass is computed at a time, `jacobian` the derivative, `description`
networks as what JSON can hold, `files` networks in files."""

from ..layers.parameters import views as views
from ..layers.registry import KINDS as KINDS
from .branches import Concat, Sum
from .container import MOST_DEPTH as MOST_DEPTH
from .container import Container as Container
from .container import Layers as Layers
from .description import build as build
from .description import shapes as shapes
from .network import Network

__all__ = ["Concat", "Network", "Sum"]


def __dir__() -> list[str]:
    return sorted(__all__)
