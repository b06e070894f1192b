"""How much of a network's forward pass is computed at a time."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .._typing import Shape
    from ..layers.base import Layer

CHUNK_VALUES = 1 << 18  # values of the widest layer that are computed at a time, so that they stay in cache
LEAST_CHUNK = 256  # samples, though that may be more values: weights are read once for each chunk
MOST_VALUES = 1 << 22  # values of LEAST_CHUNK samples, at most: images may have more, and take smaller chunks
MOST_CHUNK = 4096  # samples


def chunk_size(net: Layer, shape: Shape) -> int:
    """How many samples of this shape are computed at a time: few enough to stay in cache, enough to read the weights rarely."""
    if net.couples_samples:
        return sys.maxsize
    widest = net._widest(shape)
    return min(max(CHUNK_VALUES // widest, min(LEAST_CHUNK, MOST_VALUES // widest), 1), MOST_CHUNK)
