# cython: freethreading_compatible=True
"""The derivative of an activation times what comes back, and the sum of its rows: of dense layers, beside products."""

cimport numpy as cnp

from fastlec._kernels.dtypes cimport dtypes
from fastlec._kernels.epilogue cimport DERIVATIVE, Epilogue, checked
from fastlec._kernels.fl cimport *
from fastlec._kernels.plan cimport Plan, blocks, up
from fastlec._kernels.sum cimport sum_parts

from fastlec._kernels.update import step

cnp.import_array()

cdef enum:
    PIECE = 4096            # elements of a block that sums columns
    SLOPE_ROWS = 4096       # rows whose columns are summed in one block


def slope(Plan plan not None, cnp.ndarray v not None, cnp.ndarray g=None, *, Epilogue after=None,
          cnp.ndarray total=None, bint update=False):
    """g = v * derivative'(of); total = the sum of the rows of that, or (update) total are parameters and that sum their gradient.
    v and g (m, n), total (n,); g may be v, and need not be given."""
    cdef fl_int m, n, parts, tile = 64 // plan.size
    cdef cnp.ndarray partial = total
    cdef fl_slope_job *job
    plan.check(v, "v", 2)
    m, n = cnp.PyArray_DIM(v, 0), cnp.PyArray_DIM(v, 1)
    if g is not None:
        plan.check_shape(g, "g", m, n)
    after = checked(after, plan, "slope.slope", v, DERIVATIVE)
    if total is not None:
        plan.check(total, "total", 1)
        if cnp.PyArray_DIM(total, 0) != n:
            raise ValueError(f"total has shape {(<object>total).shape}; expected ({n},)")
    if not n:
        return
    parts = max(blocks(m, SLOPE_ROWS), 1)
    if total is not None and parts > 1:
        partial = plan.empty(parts, n)
    job = <fl_slope_job *>plan.add(FL_KERNEL_slope)
    job.m, job.n = m, n
    job.rows = SLOPE_ROWS
    job.cols = up(max(PIECE // max(min(m, SLOPE_ROWS), 1), 1), 4 * tile)
    plan.point(&job.v, v)
    after.point(plan, &job.after)
    if g is not None:
        plan.point(<const void **>&job.g, g)
    if total is not None:
        plan.point(<const void **>&job.total, partial)
    if update and parts == 1:
        job.update = &plan.rule
    job.head.n_blocks = parts * blocks(n, job.cols)
    job.head.work = <double>m * n * dtypes[plan.dtype].pass_ns
    if total is not None and parts > 1:
        whole = plan.empty(n) if update else total
        sum_parts(plan, partial, parts, n, whole)
        if update:
            step(plan, total, whole)
