# cython: freethreading_compatible=True
"""im2col and its transpose, as jobs of a plan."""

cimport numpy as cnp

from fastlec._kernels.fl cimport *
from fastlec._kernels.plan cimport Plan, blocks

cnp.import_array()

cdef enum:
    BLOCK = 1 << 14         # elements that a block of im2col writes, or one of col2im reads
    PIECE = 8192            # bytes that wait in L1 until they are streamed
    STREAM_FROM = 24 << 20  # bytes of columns that are streamed past the caches, which would not keep them


def im2col(Plan plan not None, g, cnp.ndarray x not None, cnp.ndarray columns not None):
    """columns (n, c r s, oh ow) = the windows of x (n, c, h, w). g: a Geometry."""
    cdef fl_columns_job *job = add(plan, FL_KERNEL_im2col, g, x, columns)
    cdef fl_int size = plan.size
    job.rows = <fl_int>g.n * g.c * g.r * g.s * g.oh
    job.per_block = max(BLOCK // job.ow, 1)
    job.head.n_blocks = blocks(job.rows, job.per_block)
    job.head.work = <double>job.rows * job.ow * size * 0.05
    job.stream = <double>job.rows * job.ow * size >= STREAM_FROM
    if job.stream:
        job.per_piece = max(PIECE // (job.ow * size), 1)
        job.head.scratch = job.per_piece * job.ow * size


def col2im(Plan plan not None, g, cnp.ndarray columns not None, cnp.ndarray x not None):
    """x (n, c, h, w) = the sum of what columns (n, c r s, oh ow) hold of each pixel: the transpose of im2col."""
    cdef fl_columns_job *job = add(plan, FL_KERNEL_col2im, g, x, columns)
    cdef double elements = <double>g.n * g.c * g.r * g.s * job.oh * job.ow, pixels = cnp.PyArray_SIZE(x)
    job.rows = <fl_int>g.n * g.c * g.h
    job.per_block = max(<fl_int>(job.rows * BLOCK / max(elements, pixels, 1)), 1)
    job.head.n_blocks = blocks(job.rows, job.per_block)
    job.head.work = (elements * (0.05 if job.sw == 1 else 0.2) + pixels * 0.05) * plan.size


cdef fl_columns_job *add(Plan plan, int kernel, g, cnp.ndarray x, cnp.ndarray columns) except NULL:
    cdef fl_columns_job *job
    plan.check(x, "x", 4)
    plan.check(columns, "columns", 3)
    if (<object>x).shape != g.x_shape or (<object>columns).shape != g.columns_shape:
        raise ValueError(f"x and columns have shapes {(<object>x).shape} and {(<object>columns).shape}; "
                         f"expected {g.x_shape} and {g.columns_shape}")
    job = <fl_columns_job *>plan.add(kernel)
    plan.point(<const void **>&job.x, x)
    plan.point(<const void **>&job.columns, columns)
    job.h, job.w, job.r, job.s = g.h, g.w, g.r, g.s
    job.sh, job.sw, job.top, job.left, job.dh, job.dw = g.sh, g.sw, g.top, g.left, g.dh, g.dw
    job.oh, job.ow = g.oh, g.ow
    return job
