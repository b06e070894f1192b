# cython: freethreading_compatible=True
"""Convolutions with lanes along the pixels of a row: for any shape, best where rows are long."""

cimport numpy as cnp

from fastlec._kernels.conv.layout cimport Layout, lanes_of
from fastlec._kernels.conv.pack cimport rows_of_panel
from fastlec._kernels.conv.planes cimport add_tiles, choose_tile, share
from fastlec._kernels.conv.weights cimport DOTS, add_regions
from fastlec._kernels.epilogue cimport Epilogue
from fastlec._kernels.fl cimport *
from fastlec._kernels.plan cimport Plan, blocks, up
from fastlec._kernels.runner cimport macs_per_ns

cnp.import_array()

# Found by timing on Zen 4 with AVX-512, float32, in products of a register.
cdef enum:
    COPY = 32               # for the copy of a register of pixels to a plane
    STORE = 3               # for a register of sums on its way to y
    SCATTER = 20            # for one whose pixels lie apart in y
    WEIGHTS_COPY = 24       # for the copy of a register of x or v to a plane, for the weights' gradient


cdef bint fits(Plan plan, Layout L) except -1:
    return True


cdef double cost_ns(Plan plan, Layout L) except -1:
    """Products, also those computed in vain, copies and stores."""
    cdef fl_conv_planes *P = choose_tile(plan, L)
    cdef fl_int cols = P.tile_cols, mr = rows_of_panel(L.rows), lanes = lanes_of(plan)
    cdef double cost = min(<double>P.tile_rows * up(cols, lanes), <double>up((P.tile_rows - 1) * P.pitch + cols, lanes))
    cost *= blocks(L.rows, mr) * (mr + 0.3) / L.rows / (<double>P.tile_rows * cols)
    cost += (COPY * share(L, P) + (STORE if L.across == 1 else SCATTER)) / L.depth()
    return cost * L.macs() / macs_per_ns(plan.dtype)


cdef cnp.ndarray add(Plan plan, Layout L, cnp.ndarray x, cnp.ndarray W, cnp.ndarray y, Epilogue after):
    add_tiles(plan, L, x, W, y, after, False, cost_ns(plan, L))


cdef bint weights_fits(Plan plan, Layout L) except -1:
    return True


cdef double weights_cost_ns(Plan plan, Layout L) except -1:
    """Products, also those computed in vain, and copies of x and v."""
    cdef fl_conv_planes P
    cdef double cost
    L.fill_planes(&P, L.grid_rows, L.grid_cols)
    cost = DOTS * up((P.tile_rows - 1) * P.pitch + L.grid_cols, lanes_of(plan)) / (P.tile_rows * L.grid_cols)
    cost *= <double>up(L.rows, 4) / L.rows
    cost += <double>WEIGHTS_COPY * (share(L, &P) + 1) / L.depth()
    return cost * L.macs() / macs_per_ns(plan.dtype)


cdef cnp.ndarray add_weights(Plan plan, Layout L, cnp.ndarray v, cnp.ndarray x, cnp.ndarray dW, Epilogue after):
    add_regions(plan, L, v, x, dW, False, weights_cost_ns(plan, L))
