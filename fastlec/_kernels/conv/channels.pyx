# cython: freethreading_compatible=True
"""Convolutions with lanes along the channels of y, where these fill registers: a run of pixels is broadcast against them."""

cimport numpy as cnp

from fastlec._kernels.conv.layout cimport Layout, lanes_of
from fastlec._kernels.conv.planes cimport add_tiles, choose_tile, share_along_channels
from fastlec._kernels.conv.weights cimport add_regions, channels_of_region
from fastlec._kernels.epilogue cimport Epilogue
from fastlec._kernels.fl cimport *
from fastlec._kernels.plan cimport Plan, blocks, up
from fastlec._kernels.runner cimport facts, macs_per_ns

cnp.import_array()

# Found by timing on Zen 4 with AVX-512, float32, in products of a register.
cdef enum:
    TRANSPOSE = 18          # for a register of sums, transposed to rows of y
    COPY = 32               # for the copy of a register of pixels to a plane
    WEIGHTS_TRANSPOSE = 4   # for a pixel of v, transposed for the weights' gradient
    WEIGHTS_COPY = 24       # for the copy of a register of x to a plane, for the weights' gradient


cdef bint fits(Plan plan, Layout L) except -1:
    return True


cdef double cost_ns(Plan plan, Layout L) except -1:
    """Products, also those of lanes and pixels of a run that stay empty, transposes and copies."""
    cdef fl_conv_planes *P = choose_tile(plan, L)
    cdef fl_int runs = blocks(P.tile_cols, facts().run_pixels), lanes = lanes_of(plan)
    cdef double cost = <double>up(L.rows, lanes) / L.rows * runs * blocks(P.tile_cols, runs) / P.tile_cols
    cost = cost * (1 + <double>TRANSPOSE / L.depth()) + COPY * share_along_channels(L, P) / L.depth()
    return cost * L.macs() / macs_per_ns(plan.dtype)


cdef cnp.ndarray add(Plan plan, Layout L, cnp.ndarray x, cnp.ndarray W, cnp.ndarray y, Epilogue after):
    add_tiles(plan, L, x, W, y, after, True, cost_ns(plan, L))


cdef bint weights_fits(Plan plan, Layout L) except -1:
    return True


cdef double weights_cost_ns(Plan plan, Layout L) except -1:
    """Products, also those of lanes that stay empty, the transpose of v, without its gaps, and copies of x."""
    cdef fl_conv_planes P
    cdef double cost = <double>up(L.rows, lanes_of(plan)) / L.rows
    L.fill_planes(&P, L.grid_rows, L.grid_cols)
    cost = cost * (1 + <double>WEIGHTS_TRANSPOSE / (channels_of_region(L) * L.total))
    cost += WEIGHTS_COPY * share_along_channels(L, &P) / L.depth()
    return cost * L.macs() / macs_per_ns(plan.dtype)


cdef cnp.ndarray add_weights(Plan plan, Layout L, cnp.ndarray v, cnp.ndarray x, cnp.ndarray dW, Epilogue after):
    add_regions(plan, L, v, x, dW, True, weights_cost_ns(plan, L))
