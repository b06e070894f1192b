# cython: freethreading_compatible=True
"""The squared error: loss and gradient, as a job of a plan."""

cimport numpy as cnp

from fastlec._kernels.fl cimport *
from fastlec._kernels.plan cimport BLOCK, Plan, blocks

cnp.import_array()


def loss(Plan plan not None, cnp.ndarray x not None, cnp.ndarray t not None, cnp.ndarray grad=None, double count=1):
    """The plan's loss: sum (x - t)^2 / count, and grad, its gradient by x, which it may overwrite. All of one size, C order."""
    cdef fl_squares_job *job
    plan.check_size(x, "x", x)
    plan.check_size(t, "t", x)
    job = <fl_squares_job *>plan.add(FL_KERNEL_squares)
    plan.point(&job.x, x)
    plan.point(&job.t, t)
    if grad is not None:
        plan.check_size(grad, "grad", x)
        plan.point(<const void **>&job.grad, grad)
    job.scale = 2 / count
    job.n = cnp.PyArray_SIZE(x)
    job.per_block = BLOCK
    job.head.n_blocks = blocks(job.n, BLOCK)
    job.head.work = job.n * 0.5
    job.loss = plan.take_losses(max(job.head.n_blocks, 1), count)
