# cython: freethreading_compatible=True
"""The optimizer's step: parameters from their gradients."""

cimport numpy as cnp

from fastlec._kernels.fl cimport *
from fastlec._kernels.plan cimport BLOCK, Plan, blocks

cnp.import_array()


def step(Plan plan not None, cnp.ndarray w not None, cnp.ndarray g not None):
    """The optimizer's step for parameters w with gradient g, of one shape, in C order."""
    cdef fl_update_job *job
    plan.check_size(w, "w", w)
    plan.check_size(g, "g", w)
    job = <fl_update_job *>plan.add(FL_KERNEL_update)
    job.update = &plan.rule
    plan.point(<const void **>&job.w, w)
    plan.point(&job.g, g)
    job.n = cnp.PyArray_SIZE(w)
    job.per_block = BLOCK
    job.head.n_blocks = blocks(job.n, BLOCK)
    job.head.work = job.n * 0.5
