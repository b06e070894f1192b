# cython: freethreading_compatible=True
"""Sums of what blocks have left, one after the other, in the order of the blocks; and of two matrices."""

cimport numpy as cnp

from fastlec._kernels.dtypes cimport dtypes
from fastlec._kernels.fl cimport *
from fastlec._kernels.plan cimport BLOCK, Plan, blocks

cnp.import_array()


cdef int sum_parts(Plan plan, cnp.ndarray partial, fl_int parts, fl_int n, cnp.ndarray out) except -1:
    """out = the sum of the parts, in order."""
    cdef fl_sum_job *job = <fl_sum_job *>plan.add(FL_KERNEL_sum)
    plan.point(&job.part, partial)
    plan.point(<const void **>&job.out, out)
    job.scale = 1
    job.parts, job.stride, job.len = parts, n, n
    job.per_block = 1024
    job.head.n_blocks = blocks(n, job.per_block)
    job.head.work = 0.3 * parts * n
    job.head.scratch = job.per_block * sizeof(double)
    return 0


def add(Plan plan not None, cnp.ndarray a not None, cnp.ndarray b, cnp.ndarray out not None):
    """out = a + b, or a for b None: (m, n), b in C order; a and out may be some columns of larger matrices. out may be a or b."""
    cdef fl_add_job *job
    cdef fl_int m, n, a_row = rows_apart(plan, a, "a"), out_row = rows_apart(plan, out, "out")
    m, n = cnp.PyArray_DIM(out, 0), cnp.PyArray_DIM(out, 1)
    if cnp.PyArray_DIM(a, 0) != m or cnp.PyArray_DIM(a, 1) != n:
        raise ValueError(f"a has shape {(<object>a).shape}; expected ({m}, {n})")
    if b is not None:
        plan.check_shape(b, "b", m, n)
    if not m or not n:
        return
    job = <fl_add_job *>plan.add(FL_KERNEL_add)
    job.m, job.n, job.a_row, job.out_row = m, n, a_row, out_row
    plan.point(&job.a, a)
    if b is not None:
        plan.point(&job.b, b)
    plan.point(<const void **>&job.out, out)
    job.cols = min(n, BLOCK)
    job.rows = max(BLOCK // job.cols, 1)
    job.head.n_blocks = blocks(m, job.rows) * blocks(n, job.cols)
    job.head.work = dtypes[plan.dtype].pass_ns * m * n


cdef fl_int rows_apart(Plan plan, cnp.ndarray a, str name) except -1:
    """From a row of a matrix to the next one, in elements. ValueError for what is no matrix, or one whose rows have gaps."""
    cdef fl_int size = plan.size
    if (cnp.PyArray_NDIM(a) != 2 or cnp.PyArray_IS_C_CONTIGUOUS(a) or cnp.PyArray_TYPE(a) != plan.typenum
            or not cnp.PyArray_ISALIGNED(a) or cnp.PyArray_STRIDE(a, 0) % size
            or cnp.PyArray_STRIDE(a, 0) < size * cnp.PyArray_DIM(a, 1)
            or cnp.PyArray_STRIDE(a, 1) != size and cnp.PyArray_DIM(a, 1) > 1):
        plan.check(a, name, 2)
        return cnp.PyArray_DIM(a, 1)
    return cnp.PyArray_STRIDE(a, 0) // size
