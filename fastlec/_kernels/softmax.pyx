# cython: freethreading_compatible=True
"""softmax, log-softmax and log-sum-exp along one axis."""

cimport numpy as cnp

from fastlec._kernels cimport memory
from fastlec._kernels.args cimport apart_or_same, dtype_of, is_plain, is_plain_out, returned
from fastlec._kernels.dtypes cimport dtypes
from fastlec._kernels.fl cimport *
from fastlec._kernels.plan cimport BLOCK, blocks, up
from fastlec._kernels.runner cimport kernel, run_job, run_jobs, start_job

cnp.import_array()

SOFTMAX, LOG_SOFTMAX, LOGSUMEXP = FL_SOFTMAX, FL_LOG_SOFTMAX, FL_LOGSUMEXP

cdef enum:
    STRIPS = 4                  # strips of columns in a block: each is fetched while the one before it is computed
    LONG_COLUMN = 1 << 16       # elements of a column that is not cut into parts
    COLUMN_PART = 1 << 10       # elements of such a part: a strip of it, twice, stays in L2
    STREAM_ROW = 1 << 18        # bytes of the longest row whose exponentials wait in scratch until they are streamed
    STREAM_ROWS_FROM = 24 << 20  # bytes of output, by rows, that no cache keeps beside the input
    STREAM_COLS_FROM = 8 << 20  # bytes of output, by columns: pieces too short for the memory to fetch by itself


def along_axis(int mode, object x, object axis, object out):
    """The result of `mode` along `axis`, in `out` or a new array, or a scalar; None if the arguments are not plain, or the axis is
    empty and the result is not.

    IN x, plain, any shape with at least one axis; axis, a plain int. OUT out, plain, of the result's shape, or None.
    """
    if not is_plain(x) or type(axis) is not int:
        return None
    cdef cnp.ndarray a = <cnp.ndarray>x, y
    cdef int ndim = cnp.PyArray_NDIM(a), typenum = cnp.PyArray_TYPE(a), i, k
    if not -64 <= axis < 64:
        return None
    cdef int at = axis
    if at < 0:
        at += ndim
    if not 0 <= at < ndim:
        return None
    cdef fl_int outer = 1, inner = 1, n = cnp.PyArray_DIM(a, at)
    cdef cnp.npy_intp dims[64]
    k = 0
    for i in range(ndim):
        if i < at:
            outer *= cnp.PyArray_DIM(a, i)
        elif i > at:
            inner *= cnp.PyArray_DIM(a, i)
        if i != at or mode != FL_LOGSUMEXP:
            dims[k] = cnp.PyArray_DIM(a, i)
            k += 1
    if n == 0 and outer * inner > 0:
        return None
    if out is None:
        y = memory.empty(k, dims, typenum)
    else:
        if not is_plain_out(out, typenum) or not apart_or_same(a, <cnp.ndarray>out):
            return None
        y = <cnp.ndarray>out
        if mode == FL_LOGSUMEXP and cnp.PyArray_DATA(y) == cnp.PyArray_DATA(a):
            return None     # smaller than x: one block would write over what another has yet to read
        if cnp.PyArray_NDIM(y) != k:
            return None
        for i in range(k):
            if cnp.PyArray_DIM(y, i) != dims[i]:
                return None
    if outer * inner == 0 or n == 0:
        return y
    plan_and_run(mode, dtype_of(a), cnp.PyArray_DATA(a), cnp.PyArray_DATA(y), outer, n, inner)
    return returned(y, out)


cdef int plan_and_run(int mode, int dtype, const void *x, void *y, fl_int outer, fl_int n, fl_int inner) except -1:
    cdef fl_softmax_job job
    cdef fl_int size = dtypes[dtype].size, strips
    start_job(&job, sizeof(job), FL_KERNEL_softmax_rows if inner == 1 else FL_KERNEL_softmax_cols, dtype)
    job.mode = mode
    job.x = x
    job.y = y
    job.m = outer
    job.n = job.ldx = job.ldy = n
    job.outer = outer
    job.inner = inner
    job.head.work = <double>outer * n * inner * dtypes[dtype].function_ns
    job.parts, job.part = 1, n
    if n > (FL_LONG_ROW if inner == 1 else LONG_COLUMN):
        return run_parts(&job, dtype)
    job.stream = mode != FL_LOGSUMEXP and <double>outer * n * inner * size >= (STREAM_ROWS_FROM if inner == 1 else STREAM_COLS_FROM)
    if inner == 1:
        job.per_block = up(BLOCK // n, 16) if n <= FL_SHORT_ROW else max(BLOCK // n, 1)
        job.head.n_blocks = blocks(outer, job.per_block)
        if n <= FL_SHORT_ROW:
            job.head.scratch = FL_SHORT_ROW * FL_WIDE * 64
        else:
            job.stream = job.stream and n * size <= STREAM_ROW
            job.head.scratch = n * size if job.stream else 0
    else:
        job.per_block = FL_WIDE * STRIPS
        strips = blocks(inner * size, job.per_block * 64)
        job.head.n_blocks = outer * strips
        job.head.scratch = 2 * n * FL_WIDE * 64
    return run_job(&job)


cdef int run_parts(const fl_softmax_job *whole, int dtype) except -1:
    """plan_and_run for long rows or columns, as three jobs."""
    cdef fl_softmax_job job[3]
    cdef fl_job *jobs[3]
    cdef int kernels[3]
    cdef int i
    cdef fl_int size = dtypes[dtype].size, part = FL_ROW_PART if whole.inner == 1 else COLUMN_PART
    cdef fl_int parts = blocks(whole.n, part), strips = blocks(whole.inner * size, FL_WIDE * STRIPS * 64)
    cdef size_t partial = <size_t>2 * whole.outer * parts * whole.inner * size
    cdef void *taken = memory.take(partial)
    kernels[:] = [FL_KERNEL_softmax_part, FL_KERNEL_softmax_join, FL_KERNEL_softmax_last]
    for i in range(3):
        job[i] = whole[0]
        job[i].stream = False
        job[i].per_block = FL_WIDE * STRIPS
        job[i].parts, job[i].part = parts, part
        job[i].partial = taken
        job[i].head.run = kernel(kernels[i], dtype)
        job[i].head.n_blocks = whole.outer * strips * (1 if i == 1 else parts)
        job[i].head.work = whole.head.work / (1 if i == 0 else part if i == 1 else 4)
        job[i].head.scratch = 2 * part * FL_WIDE * 64 if i == 0 and whole.inner > 1 else 0
        jobs[i] = &job[i].head
    try:
        return run_jobs(jobs, 2 if whole.mode == FL_LOGSUMEXP else 3)
    finally:
        memory.give(taken, partial)
