# cython: freethreading_compatible=True
"""Sums of what blocks have left: one after the other, in the order of the blocks."""

cimport numpy as cnp

from fastlec._kernels.fl cimport *
from fastlec._kernels.plan cimport Plan, blocks

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


def total(Plan plan not None, cnp.ndarray parts not None, cnp.ndarray out not None):
    """out = the sum of the arrays parts[0], parts[1], ..., all of out's shape and in C order."""
    plan.check(parts, "parts", cnp.PyArray_NDIM(out) + 1)
    plan.check_size(parts[0], "parts[0]", out)
    sum_parts(plan, parts, len(parts), cnp.PyArray_SIZE(out), out)
