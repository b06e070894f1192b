# cython: freethreading_compatible=True
"""Label smoothing, as a job of a plan."""

cimport numpy as cnp

from fastlec._kernels.fl cimport *
from fastlec._kernels.plan cimport BLOCK, Plan, blocks

cnp.import_array()


def targets(Plan plan not None, cnp.ndarray labels not None, fl_int n, double smoothing):
    """Rows of targets (m, n): (1 - smoothing) times those of labels, int64 (m,) or rows of probabilities (m, n), plus
    smoothing / n."""
    cdef fl_smooth_job *job
    cdef fl_int m = cnp.PyArray_DIM(labels, 0)
    cdef bint by_class = cnp.PyArray_TYPE(labels) == cnp.NPY_INT64
    cdef cnp.ndarray out
    if not by_class:
        plan.check_shape(labels, "labels", m, n)
    elif cnp.PyArray_NDIM(labels) != 1 or not cnp.PyArray_ISCARRAY_RO(labels):
        raise ValueError(f"labels: expected ({m},) in C order")
    out = plan.empty(m, n)
    job = <fl_smooth_job *>plan.add(FL_KERNEL_smooth)
    plan.point(<const void **>&job.labels if by_class else &job.targets, labels)
    plan.point(<const void **>&job.out, out)
    job.share, job.floor = 1 - smoothing, smoothing / n
    job.m, job.n, job.per_block = m, n, max(BLOCK // n, 1)
    job.head.n_blocks = blocks(m, job.per_block)
    job.head.work = 0.3 * m * n
    return out
