"""The windows of an image: the references loop over its r s taps (i, j) and leave the rest to NumPy."""

import numpy as np


def padded_shape(g):
    """Of the images with their padding, and with what windows reach beyond it, where g is the geometry."""
    rows = max(g.top + g.h + g.bottom, g.sh * (g.oh - 1) + g.dh * (g.r - 1) + 1)
    cols = max(g.left + g.w + g.right, g.sw * (g.ow - 1) + g.dw * (g.s - 1) + 1)
    return g.n, g.c, rows, cols


def pad(x, g, fill=0.0):
    """x in its padding, which holds `fill`."""
    padded = np.full(padded_shape(g), fill, np.result_type(x, fill))
    interior(padded, g)[...] = x
    return padded


def interior(padded, g):
    """The image in its padding: a view."""
    return padded[:, :, g.top : g.top + g.h, g.left : g.left + g.w]


def taps(padded, g):
    """(i, j, pixels) for each tap: the view (n, c, oh, ow) of all pixels that it meets."""
    for i in range(g.r):
        for j in range(g.s):
            rows = slice(g.dh * i, g.dh * i + g.sh * (g.oh - 1) + 1, g.sh)
            yield i, j, padded[:, :, rows, g.dw * j : g.dw * j + g.sw * (g.ow - 1) + 1 : g.sw]
