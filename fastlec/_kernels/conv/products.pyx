# cython: freethreading_compatible=True
"""Convolutions with 1 x 1 weights as products of matrices, one for each image and group: y = W x, where the rows of x are its
channels. Where products pack what they read: many planes that lie apart are read once then, in long pieces."""

cimport numpy as cnp

from fastlec._kernels.conv.layout cimport Layout
from fastlec._kernels.epilogue cimport Epilogue
from fastlec._kernels.fl cimport *
from fastlec._kernels.plan cimport Plan, up
from fastlec._kernels.runner cimport facts, macs_per_ns

from fastlec._kernels.gemm import product

cnp.import_array()

# Found by timing on Sapphire Rapids held to AVX2.
cdef enum:
    LEAST_ROWS = 48         # of W, that pay for packing x
    LEAST_BYTES = 1 << 15   # of an image's channels, that L1 does not hold
    PACK = 4                # for packing an element of x, in products of a register
    JOB_NS = 2000           # for the jobs of an image

cdef double TILE = 0.8      # a product of registers, in those of convolutions' tiles, whose operands lie farther apart


cdef bint fits(Plan plan, Layout L) except -1:
    """Not where float64's y is most of what moves: 64 channels to 256 rows took 1.15 times as long as lanes along the pixels."""
    return (facts().gemm_packs and L.r == 1 and L.s == 1 and L.sh == 1 and L.sw == 1 and L.top == 0 and L.left == 0
            and L.h == L.oh and L.w == L.ow and (plan.dtype == FL_F32 or L.channels >= L.rows)
            and L.rows >= LEAST_ROWS and L.channels * L.h * L.w * plan.size > LEAST_BYTES)


cdef double cost_ns(Plan plan, Layout L) except -1:
    """Products, also those of pixels of a tile that stay empty, and what surrounds them."""
    cdef fl_int pixels = L.h * L.w, width = 2 * facts().vector_bytes // plan.size
    cdef double cost = TILE * up(pixels, width) / pixels * (1 + <double>PACK / L.rows)
    return cost * L.macs() / macs_per_ns(plan.dtype) + <double>JOB_NS * L.images * L.groups


cdef cnp.ndarray add(Plan plan, Layout L, cnp.ndarray x, cnp.ndarray W, cnp.ndarray y, Epilogue after):
    cdef fl_int pixels = L.h * L.w, i, g
    transposed = L.row_step < L.channel_step
    weights = W.reshape(L.groups, L.channels, L.rows).transpose(0, 2, 1) if transposed else W.reshape(L.groups, L.rows, L.channels)
    sources, targets = x.reshape(L.images, L.groups, L.channels, pixels), y.reshape(L.images, L.groups, L.rows, pixels)
    for i in range(L.images):
        for g in range(L.groups):
            rows = slice(g * L.rows, (g + 1) * L.rows)
            product(plan, weights[g], sources[i, g], targets[i, g], after=after.rows((i, rows), (L.rows, pixels), rows))
