# cython: freethreading_compatible=True
"""Convolutions of one channel for each row of A, without stride."""

cimport numpy as cnp

from fastlec._kernels.epilogue cimport Epilogue
from fastlec._kernels.fl cimport *
from fastlec._kernels.layout cimport ELEMENTS, Layout, entries, new_table
from fastlec._kernels.plan cimport Plan, blocks

cnp.import_array()

cdef enum:
    MOST_ROWS = 4           # of A for a channel; with more of them its planes are worth copying


cdef bint fits(Layout L) noexcept:
    """One channel to a row of A, and several taps in a grid."""
    return L.channels == 1 and L.rows <= MOST_ROWS and L.r * L.s > 1 and L.sh == L.sw == L.down == L.across == 1


cdef bint weights_fit(Layout L) noexcept:
    return L.channels == 1 and L.groups > 1 and L.is_3x3() and L.dh == L.dw == 1 and L.top <= 2


cdef int convolve(Plan plan, Layout L, cnp.ndarray x, cnp.ndarray W, cnp.ndarray y, Epilogue after) except -1:
    cdef fl_depthwise_job *job
    cdef cnp.ndarray place = new_table(L.total)
    cdef fl_int *table = entries(place)
    cdef fl_int i
    for i in range(L.total):
        table[L.ty[i] // L.dh * L.s + L.tx[i] // L.dw] = L.where[i]
    job = <fl_depthwise_job *>plan.add(FL_KERNEL_depthwise)
    job.images, job.groups, job.rows = L.images, L.groups, L.rows
    job.h, job.w, job.top, job.left, job.oh, job.ow = L.h, L.w, L.top, L.left, L.oh, L.ow
    job.r, job.s, job.dh, job.dw = L.r, L.s, L.dh, L.dw
    plan.point(&job.weights, W)
    job.place = table
    plan.point(&job.x, x)
    plan.point(<const void **>&job.y, y)
    after.point(plan, &job.finish)
    job.per_block = max(ELEMENTS // (L.oh * L.ow), 1)
    job.head.n_blocks = blocks(L.images * L.groups * L.rows, job.per_block)
    job.head.work = cnp.PyArray_SIZE(y) * (0.03 * L.total + after.work()) * plan.size / 4
    job.head.scratch = L.total * plan.size
    plan.keep(place)
    return 0


cdef int weight_gradient(Plan plan, Layout L, cnp.ndarray v, cnp.ndarray x, cnp.ndarray dW) except -1:
    cdef fl_depthwise_weights_job *job = <fl_depthwise_weights_job *>plan.add(FL_KERNEL_depthwise_weights)
    job.images, job.groups, job.rows = L.images, L.groups, L.rows
    job.h, job.w, job.top, job.left, job.oh, job.ow = L.h, L.w, L.top, L.left, L.oh, L.ow
    plan.point(&job.v, v)
    plan.point(&job.x, x)
    plan.point(<const void **>&job.dw, dW)
    job.per_block = max(ELEMENTS // (L.images * L.oh * L.ow), 1)
    job.head.n_blocks = blocks(L.groups * L.rows, job.per_block)
    job.head.work = 0.4 * plan.size / 4 * cnp.PyArray_SIZE(v)
    return 0
