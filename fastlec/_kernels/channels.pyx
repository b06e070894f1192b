# cython: freethreading_compatible=True
"""What a convolution needs on the way back besides products: sigma' and the sums over the pixels of a channel."""

cimport numpy as cnp

from fastlec._kernels.fl cimport *
from fastlec._kernels.layout cimport ELEMENTS, check_image
from fastlec._kernels.plan cimport Plan, blocks

cnp.import_array()


def slope(Plan plan not None, cnp.ndarray v not None, cnp.ndarray out=None, *, cnp.ndarray y=None, int op=FL_IDENTITY,
          cnp.ndarray total=None, bint update=False):
    """out = v * op'(y), op' from its value y; total (k,) = the sums of that over images and pixels, or (update) total are parameters
    and that is their gradient. v, y, out (n, k, h, w); out may be v."""
    cdef fl_channels_job *job
    cdef fl_int n, k, size
    cdef cnp.ndarray partial = None, target = total
    plan.check(v, "v", 4)
    n, k, size = cnp.PyArray_DIM(v, 0), cnp.PyArray_DIM(v, 1), cnp.PyArray_DIM(v, 2) * cnp.PyArray_DIM(v, 3)
    for other, name in ((out, "out"), (y, "y")):
        if other is not None:
            check_image(plan, other, name, n, k, cnp.PyArray_DIM(v, 2), cnp.PyArray_DIM(v, 3))
    if total is not None:
        plan.check(total, "total", 1)
        if cnp.PyArray_DIM(total, 0) != k:
            raise ValueError(f"total has shape {(<object>total).shape}; expected ({k},)")
        if update:
            target = plan.empty(k)
        partial = plan.empty(n, k)
    job = <fl_channels_job *>plan.add(FL_KERNEL_channels)
    job.rows, job.n, job.op = n * k, size, op
    plan.point(&job.v, v)
    if y is not None:
        plan.point(&job.y, y)
    if out is not None:
        plan.point(<const void **>&job.out, out)
    if total is not None:
        plan.point(<const void **>&job.total, partial)
    job.per_block = max(ELEMENTS // max(size, 1), 1)
    job.head.n_blocks = blocks(n * k, job.per_block)
    job.head.work = 0.2 * plan.size / 4 * n * k * size
    if total is not None:
        plan.sum(partial, n, k, target)
        if update:
            plan.update(total, target)
