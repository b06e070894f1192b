# cython: freethreading_compatible=True
"""Dropout: jobs for a plan. Arrays of any shape in C order, of the plan's dtype."""

cimport numpy as cnp

from fastlec._kernels.epilogue cimport DERIVATIVE, Epilogue, checked
from fastlec._kernels.fl cimport *
from fastlec._kernels.plan cimport BLOCK, Plan, blocks

cnp.import_array()


cdef fl_dropout_job *new(Plan plan, int which, cnp.ndarray x, cnp.ndarray out, cnp.ndarray keep, double p,
                         double work) except NULL:
    """A new job; work: nanoseconds for an element."""
    cdef fl_dropout_job *job
    plan.check_size(x, "x", x)
    plan.check_size(out, "out", x)
    job = <fl_dropout_job *>plan.add(which)
    job.n, job.per_block, job.p = cnp.PyArray_SIZE(x), BLOCK, p
    plan.point(&job.x, x)
    plan.point(<const void **>&job.out, out)
    plan.point(<const void **>&job.keep, keep)
    job.head.n_blocks = blocks(job.n, BLOCK)
    job.head.work = work * job.n
    return job


cdef cnp.ndarray digits(Plan plan, cnp.ndarray a, str name, int n):
    plan.check(a, name, 1)
    if cnp.PyArray_DIM(a, 0) != n:
        raise ValueError(f"{name} has {cnp.PyArray_DIM(a, 0)} elements; expected {n}")
    return a


def draw(Plan plan not None, cnp.ndarray x not None, cnp.ndarray y not None, double p, cnp.ndarray seed not None,
         cnp.ndarray count not None):
    """y = x / (1 - p) where an element is kept, which it is with the probability 1 - p, else 0. seed (4,) and count (3,): digits of
    16 bits, the lowest first. Returns the array whose memory will hold a byte for each element, 1 where it is kept."""
    cdef cnp.ndarray keep = plan.empty(blocks(cnp.PyArray_SIZE(x), plan.size))
    cdef fl_dropout_job *job = new(plan, FL_KERNEL_dropout_draw, x, y, keep, p, 1)
    plan.point(&job.seed, digits(plan, seed, "seed", 4))
    plan.point(<const void **>&job.count, digits(plan, count, "count", 3))
    return keep


def apply(Plan plan not None, cnp.ndarray x not None, cnp.ndarray out not None, cnp.ndarray keep not None, double p, *,
          Epilogue after=None):
    """out = x / (1 - p) where an element is kept, else 0, times derivative'(of). keep: as `draw` gave it."""
    cdef fl_dropout_job *job
    after = checked(after, plan, "dropout.apply", x, DERIVATIVE)
    job = new(plan, FL_KERNEL_dropout, x, out, keep, p, 0.2)
    after.point(plan, &job.after)


def count_up(Plan plan not None, cnp.ndarray count not None):
    """count, as in `draw`, goes up by 1."""
    cdef fl_dropout_job *job = <fl_dropout_job *>plan.add(FL_KERNEL_dropout_count)
    plan.point(<const void **>&job.count, digits(plan, count, "count", 3))
    job.head.n_blocks, job.head.work = 1, 10
