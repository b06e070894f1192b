# cython: freethreading_compatible=True
"""Gradients of matrices by each sample alone, as jobs of a plan."""

cimport numpy as cnp

from fastlec._kernels.dtypes cimport dtypes
from fastlec._kernels.fl cimport *
from fastlec._kernels.plan cimport BLOCK, Plan, blocks

cnp.import_array()


cdef fl_outer_job *new(Plan plan, cnp.ndarray g, cnp.ndarray x, fl_int written) except NULL:
    """A job for the rows of g (m, k) and x (m, n), or None for ones; written: elements of a row of the result."""
    cdef fl_outer_job *job
    plan.check(g, "g", 2)
    if x is not None:
        plan.check(x, "x", 2)
        if cnp.PyArray_DIM(x, 0) != cnp.PyArray_DIM(g, 0):
            raise ValueError(f"x has {cnp.PyArray_DIM(x, 0)} rows; expected {cnp.PyArray_DIM(g, 0)}")
    job = <fl_outer_job *>plan.add(FL_KERNEL_outer)
    job.m, job.k = cnp.PyArray_DIM(g, 0), cnp.PyArray_DIM(g, 1)
    job.n = 1 if x is None else cnp.PyArray_DIM(x, 1)
    plan.point(&job.g, g)
    if x is not None:
        plan.point(&job.x, x)
    job.per_block = max(BLOCK // max(written, 1), 1)
    job.head.n_blocks = blocks(job.m, job.per_block)
    job.head.work = <double>job.m * written * dtypes[plan.dtype].pass_ns
    return job


def products(Plan plan not None, cnp.ndarray g not None, cnp.ndarray x, cnp.ndarray out not None):
    """out[i] = g_i x_i' for each row; x None: g_i. out (m, ...): of each sample k n elements in C order, samples any distance
    apart."""
    cdef fl_outer_job *job
    cdef fl_int size = cnp.PyArray_DIM(g, 1) * (1 if x is None else cnp.PyArray_DIM(x, 1))
    cdef fl_int m = cnp.PyArray_DIM(g, 0)
    if cnp.PyArray_DIM(out, 0) != m or (m and (out[0].size != size or not out[0].flags.c_contiguous)):
        raise ValueError(f"out has shape {(<object>out).shape}; expected {m} samples of {size} elements in C order")
    if cnp.PyArray_TYPE(out) != plan.typenum or not cnp.PyArray_ISALIGNED(out):
        raise ValueError("out: expected an aligned array of the plan's dtype")
    job = new(plan, g, x, size)
    job.ld = cnp.PyArray_STRIDE(out, 0) // <fl_int>plan.size
    plan.point(<const void **>&job.out, out)


def norms(Plan plan not None, cnp.ndarray g not None, cnp.ndarray x, cnp.ndarray out not None, bint accumulate):
    """out[i], float64, = |g_i|^2 |x_i|^2 for each row, added to what is there if `accumulate`; x None: |g_i|^2."""
    cdef fl_outer_job *job
    plan.check_weights(out, "out")
    if cnp.PyArray_DIM(out, 0) != cnp.PyArray_DIM(g, 0):
        raise ValueError(f"out has {cnp.PyArray_DIM(out, 0)} elements; expected {cnp.PyArray_DIM(g, 0)}")
    job = new(plan, g, x, cnp.PyArray_DIM(g, 1) + (0 if x is None else cnp.PyArray_DIM(x, 1)))
    job.accumulate = accumulate
    plan.point(<const void **>&job.norms, out)
