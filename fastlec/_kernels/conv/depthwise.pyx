# cython: freethreading_compatible=True
"""Convolutions of one channel for each row of A, without stride: pixels are read in place."""

cimport numpy as cnp

from fastlec._kernels.conv.layout cimport Layout, entries, new_table
from fastlec._kernels.conv.limits cimport ELEMENTS
from fastlec._kernels.epilogue cimport Epilogue
from fastlec._kernels.fl cimport *
from fastlec._kernels.plan cimport Plan, blocks
from fastlec._kernels.runner cimport facts

cnp.import_array()

cdef enum:
    MOST_ROWS = 4           # rows of A for a channel: with more of them its planes are worth copying

# Nanoseconds for four bytes, one entry for registers of 16, 32 and 64 bytes, found by timing against lanes along the pixels and the
# images on a Xeon of 2023 (Sapphire Rapids). Portable C has no masked loads: it is 3 times as slow as others with 3 x 3 taps, 50
# times with more. With AVX2 and AVX-512, 3 x 3 taps took 0.2 to 0.8 of the others' time, 5 x 5 taps 1.4 to 4 times as long.
cdef double TAP_NS[3]       # for a tap of a pixel of y, 3 x 3 without dilation
cdef double FAR_TAP_NS[3]   # for a tap of any others
cdef double WEIGHTS_NS[3]   # for a pixel of v, all taps
TAP_NS[:] = [1.25, 0.035, 0.025]
FAR_TAP_NS[:] = [10, 0.12, 0.075]
WEIGHTS_NS[:] = [14, 0.4, 0.4]


cdef double pixels_of(Plan plan, Layout L) noexcept:
    """Those of y, in units of four bytes."""
    return <double>L.images * L.groups * L.rows * L.oh * L.ow * plan.size / 4


cdef bint fits(Plan plan, Layout L) except -1:
    """One channel to a row of A, and several taps in a grid."""
    return L.channels == 1 and L.rows <= MOST_ROWS and L.r * L.s > 1 and L.sh == L.sw == L.down == L.across == 1


cdef bint weights_fits(Plan plan, Layout L) except -1:
    return L.channels == 1 and L.groups > 1 and L.is_3x3() and L.dh == L.dw == 1 and L.top <= 2


cdef double cost_ns(Plan plan, Layout L) except -1:
    cdef int width = facts().vector_bytes // 32
    return pixels_of(plan, L) * L.total * (TAP_NS[width] if L.is_3x3() and L.dh == L.dw == 1 else FAR_TAP_NS[width])


cdef double weights_cost_ns(Plan plan, Layout L) except -1:
    return pixels_of(plan, L) * WEIGHTS_NS[facts().vector_bytes // 32]


cdef cnp.ndarray add(Plan plan, Layout L, cnp.ndarray x, cnp.ndarray W, cnp.ndarray y, Epilogue after):
    cdef fl_depthwise_job *job
    cdef cnp.ndarray place = new_table(L.total)
    cdef fl_int *table = entries(place)
    cdef fl_int i
    for i in range(L.total):
        table[L.ty[i] // L.dh * L.s + L.tx[i] // L.dw] = L.where[i]
    job = <fl_depthwise_job *>plan.add(FL_KERNEL_depthwise)
    plan.because(L.why)
    job.images, job.groups, job.rows = L.images, L.groups, L.rows
    job.h, job.w, job.top, job.left, job.oh, job.ow = L.h, L.w, L.top, L.left, L.oh, L.ow
    job.r, job.s, job.dh, job.dw = L.r, L.s, L.dh, L.dw
    plan.point(&job.weights, W)
    job.place = table
    plan.point(&job.x, x)
    plan.point(<const void **>&job.y, y)
    after.point(plan, &job.after)
    job.per_block = max(ELEMENTS // (L.oh * L.ow), 1)
    job.head.n_blocks = blocks(L.images * L.groups * L.rows, job.per_block)
    job.head.work = cost_ns(plan, L) + cnp.PyArray_SIZE(y) * after.work()
    job.head.scratch = L.total * plan.size
    plan.keep(place)


cdef cnp.ndarray add_weights(Plan plan, Layout L, cnp.ndarray v, cnp.ndarray x, cnp.ndarray dW, Epilogue after):
    cdef fl_depthwise_weights_job *job = <fl_depthwise_weights_job *>plan.add(FL_KERNEL_depthwise_weights)
    plan.because(L.why)
    job.images, job.groups, job.rows = L.images, L.groups, L.rows
    job.h, job.w, job.top, job.left, job.oh, job.ow = L.h, L.w, L.top, L.left, L.oh, L.ow
    plan.point(&job.v, v)
    plan.point(&job.x, x)
    plan.point(<const void **>&job.dw, dW)
    job.per_block = max(ELEMENTS // (L.images * L.oh * L.ow), 1)
    job.head.n_blocks = blocks(L.groups * L.rows, job.per_block)
    job.head.work = weights_cost_ns(plan, L)
