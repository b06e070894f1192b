"""The windows of an image: the references loop over its r s taps (i, j) and leave the rest to NumPy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .._geometry import Geometry

Pair: TypeAlias = int | tuple[int, int]
Padding: TypeAlias = Pair | tuple[Pair, Pair] | Literal["same", "valid"]


def padded_shape(g: Geometry) -> tuple[int, int, int, int]:
    """Of the images with their padding, and with what windows reach beyond it, where g is the geometry."""
    rows = max(g.top + g.h + g.bottom, g.sh * (g.oh - 1) + g.dh * (g.r - 1) + 1)
    cols = max(g.left + g.w + g.right, g.sw * (g.ow - 1) + g.dw * (g.s - 1) + 1)
    return g.n, g.c, rows, cols


def pad(x: NDArray[Any], g: Geometry, fill: float = 0.0) -> NDArray[Any]:
    """x in its padding, which holds `fill`."""
    padded = np.full(padded_shape(g), fill, np.result_type(x, fill))
    interior(padded, g)[...] = x
    return padded


def interior(padded: NDArray[Any], g: Geometry) -> NDArray[Any]:
    """The image in its padding: a view."""
    return padded[:, :, g.top : g.top + g.h, g.left : g.left + g.w]


def taps(padded: NDArray[Any], g: Geometry) -> Iterator[tuple[int, int, NDArray[Any]]]:
    """(i, j, pixels) for each tap: the view (n, c, oh, ow) of all pixels that it meets."""
    for i in range(g.r):
        for j in range(g.s):
            rows = slice(g.dh * i, g.dh * i + g.sh * (g.oh - 1) + 1, g.sh)
            yield i, j, padded[:, :, rows, g.dw * j : g.dw * j + g.sw * (g.ow - 1) + 1 : g.sw]
