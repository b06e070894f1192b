# cython: freethreading_compatible=True
"""What the derivative of a convolutional layer needs beside convolutions: multiplication by an activation's derivative, and
the sums over the pixels of a channel."""

cimport numpy as cnp

from fastlec._kernels.conv.limits cimport ELEMENTS
from fastlec._kernels.dtypes cimport dtypes
from fastlec._kernels.epilogue cimport DERIVATIVE, Epilogue, checked
from fastlec._kernels.fl cimport *
from fastlec._kernels.plan cimport Plan, blocks
from fastlec._kernels.sum cimport sum_parts

from fastlec._kernels.update import step

cnp.import_array()


def slope(Plan plan not None, cnp.ndarray v not None, cnp.ndarray out=None, *, Epilogue after=None, cnp.ndarray total=None,
          bint update=False):
    """out = v * derivative'(of); total (k,) = the sums of that over images and pixels, or (update) total are parameters and that
    sum their gradient. v and out (n, k, h, w); out may be v, and need not be given."""
    cdef fl_channels_job *job
    cdef fl_int n, k, size
    cdef cnp.ndarray partial = None, target = total
    plan.check(v, "v", 4)
    n, k, size = cnp.PyArray_DIM(v, 0), cnp.PyArray_DIM(v, 1), cnp.PyArray_DIM(v, 2) * cnp.PyArray_DIM(v, 3)
    if out is not None:
        plan.check_image(out, "out", n, k, cnp.PyArray_DIM(v, 2), cnp.PyArray_DIM(v, 3))
    after = checked(after, plan, "channel_sums.slope", v, DERIVATIVE)
    if total is not None:
        plan.check(total, "total", 1)
        if cnp.PyArray_DIM(total, 0) != k:
            raise ValueError(f"total has shape {(<object>total).shape}; expected ({k},)")
        if update:
            target = plan.empty(k)
        partial = plan.empty(n, k)
    job = <fl_channels_job *>plan.add(FL_KERNEL_channels)
    job.rows, job.n = n * k, size
    plan.point(&job.v, v)
    after.point(plan, &job.after)
    if out is not None:
        plan.point(<const void **>&job.out, out)
    if total is not None:
        plan.point(<const void **>&job.total, partial)
    job.per_block = max(ELEMENTS // max(size, 1), 1)
    job.head.n_blocks = blocks(n * k, job.per_block)
    job.head.work = dtypes[plan.dtype].pass_ns * n * k * size
    if total is not None:
        sum_parts(plan, partial, n, k, target)
        if update:
            step(plan, total, target)
