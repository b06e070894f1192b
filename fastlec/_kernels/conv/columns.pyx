# cython: freethreading_compatible=True
"""Convolutions as a product of matrices for each image and group: W times the image's windows as columns.

Where products pack what they read they are faster than the tiles of other algorithms, by more than the columns cost. Not for the
gradient by the data: adding up the windows of W' v costs as much as that gains.
"""

cimport numpy as cnp

from fastlec._kernels.conv cimport products
from fastlec._kernels.conv.layout cimport Layout, forward_layout
from fastlec._kernels.epilogue cimport Epilogue
from fastlec._kernels.fl cimport *
from fastlec._kernels.plan cimport Plan, up
from fastlec._kernels.runner cimport facts, macs_per_ns

from fastlec._kernels.im2col import im2col

cnp.import_array()

# Found by timing on Sapphire Rapids held to AVX2: convolutions of 64 to 512 channels, with and without strides.
cdef enum:
    LEAST_ROWS = 48         # of W, that pay for packing the columns
    LEAST_BYTES = 1 << 15   # of an image's columns, that L1 does not hold
    MOST_BYTES = 1 << 24    # of them, that are worth the memory
    MANY_PIXELS = 128       # of one of several images, that pay for packing W for each
    PACK = 4                # for packing an element, in products of a register
    COPY = 36               # for an element of the columns
    JOB_NS = 4000           # for the jobs of an image

cdef double TILE = 0.65     # a product of registers, in those of convolutions' tiles, whose operands lie farther apart


cdef bint fits(Plan plan, Layout L) except -1:
    """One image, or a stride: without one, other algorithms read W once for all images, and are as fast or faster."""
    cdef fl_int pixels = L.g.oh * L.g.ow, taps = L.r * L.s
    cdef double columns = <double>L.channels * taps * pixels * plan.size
    return (facts().gemm_packs and not L.transposed and L.rows >= LEAST_ROWS and LEAST_BYTES < columns <= MOST_BYTES
            and ((L.images == 1 and taps > 1) or (L.g.sh * L.g.sw > 1 and (L.images == 1 or pixels >= MANY_PIXELS))))


cdef double cost_ns(Plan plan, Layout L) except -1:
    """Products, also those of pixels of a tile that stay empty, and copies."""
    cdef fl_int pixels = L.g.oh * L.g.ow, width = 2 * facts().vector_bytes // plan.size, taps = L.r * L.s
    cdef double pairs = <double>L.rows * L.channels * taps, columns = L.channels * taps
    cdef double cost = up(pixels, width) * (TILE * pairs + (PACK + COPY) * columns) + PACK * pairs
    return L.images * L.groups * (cost / macs_per_ns(plan.dtype) + JOB_NS)


cdef int each_image(Plan plan, object g, cnp.ndarray x, cnp.ndarray W, cnp.ndarray y, Epilogue after, Add add) except -1:
    """The windows of one image at a time as columns, of which a convolution of 1 x 1 weights makes pixels, added by `add`."""
    cdef fl_int i, pixels = g.oh * g.ow
    one = g._replace(n=1)
    flat = one._replace(c=g.c * g.r * g.s, h=1, w=pixels, r=1, s=1, sh=1, sw=1, top=0, bottom=0, left=0, right=0, dh=1, dw=1,
                        oh=1, ow=pixels)
    columns = plan.empty(*one.columns_shape)
    for i in range(g.n):
        im2col(plan, one, x[i:i + 1], columns)
        add(plan, forward_layout(flat), columns.reshape(1, -1, 1, pixels), W, y[i].reshape(1, g.k, 1, pixels),
            after.part(i, (1, g.k, 1, pixels)))
    return 0


cdef cnp.ndarray add(Plan plan, Layout L, cnp.ndarray x, cnp.ndarray W, cnp.ndarray y, Epilogue after):
    each_image(plan, L.g, x, W, y, after, products.add)
