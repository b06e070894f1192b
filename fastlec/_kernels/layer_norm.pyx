# cython: freethreading_compatible=True
"""Layer normalisation: jobs for a plan. x and what is like it are (m, n), gamma and beta (n,); all in C order, of the plan's dtype.
"""

cimport numpy as cnp

from fastlec._kernels cimport memory
from fastlec._kernels.epilogue cimport DERIVATIVE, Epilogue, checked
from fastlec._kernels.fl cimport *
from fastlec._kernels.plan cimport BLOCK, Plan, blocks
from fastlec._kernels.sum cimport sum_parts

from fastlec._kernels.update import step

cnp.import_array()

cdef enum:
    LEAST_ROWS = 8      # of a block: its sums for gamma and beta are written once for so many rows
    MOST_ROWS = 128     # longer sums lose more


cdef fl_int block_rows(fl_int n) noexcept:
    return min(max(BLOCK // max(n, 1), LEAST_ROWS), MOST_ROWS)


cdef cnp.ndarray like_columns(Plan plan, cnp.ndarray a, str name, fl_int n, double instead):
    """a, (n,), or where it is None an array of so many of a number."""
    if a is None:
        a = plan.empty(n)
        a[...] = instead
    plan.check(a, name, 1)
    if cnp.PyArray_DIM(a, 0) != n:
        raise ValueError(f"{name} has {cnp.PyArray_DIM(a, 0)} elements; expected {n}")
    return a


cdef fl_layer_norm_job *new(Plan plan, int which, cnp.ndarray x, cnp.ndarray moments, cnp.ndarray out,
                            double work) except NULL:
    """A new job; work: nanoseconds for four bytes."""
    cdef fl_layer_norm_job *job = <fl_layer_norm_job *>plan.add(which)
    job.m, job.n = cnp.PyArray_DIM(x, 0), cnp.PyArray_DIM(x, 1)
    job.per_block = block_rows(job.n)
    plan.point(&job.x, x)
    plan.point(<const void **>&job.moments, moments)
    if out is not None:
        plan.point(<const void **>&job.out, out)
    job.head.n_blocks = blocks(job.m, job.per_block)
    job.head.work = job.m * (work * plan.size / 4 * job.n + 20)
    return job


def forward(Plan plan not None, cnp.ndarray x not None, cnp.ndarray y not None, cnp.ndarray gamma, cnp.ndarray beta,
            double eps):
    """y = gamma (x - mean) / sqrt(var + eps) + beta, where mean and var are those of each row; gamma None: ones, beta None: zeros.
    Returns the array (m, 2), float64, that will hold mean and 1 / sqrt(var + eps)."""
    cdef cnp.npy_intp dims[2]
    cdef cnp.ndarray moments
    cdef fl_layer_norm_job *job
    plan.check(x, "x", 2)
    plan.check_shape(y, "y", cnp.PyArray_DIM(x, 0), cnp.PyArray_DIM(x, 1))
    dims[0], dims[1] = cnp.PyArray_DIM(x, 0), 2
    moments = memory.empty(2, dims, cnp.NPY_DOUBLE)
    gamma = like_columns(plan, gamma, "gamma", cnp.PyArray_DIM(x, 1), 1)
    beta = like_columns(plan, beta, "beta", cnp.PyArray_DIM(x, 1), 0)
    job = new(plan, FL_KERNEL_layer_norm, x, moments, y, 0.15)
    job.eps = eps
    plan.point(&job.gamma, gamma)
    plan.point(&job.beta, beta)
    return moments


def mv(Plan plan not None, cnp.ndarray x not None, cnp.ndarray moments not None, cnp.ndarray gamma, cnp.ndarray dy not None, *,
       cnp.ndarray dx=None, cnp.ndarray dgamma=None, cnp.ndarray dbeta=None):
    """dy = J times the directions, any of which may be None, at x, where moments are those of `forward`."""
    cdef fl_int m, n
    cdef fl_layer_norm_job *job
    plan.check(x, "x", 2)
    m, n = cnp.PyArray_DIM(x, 0), cnp.PyArray_DIM(x, 1)
    plan.check_shape(dy, "dy", m, n)
    if dx is not None:
        plan.check_shape(dx, "dx", m, n)
    gamma = like_columns(plan, gamma, "gamma", n, 1)
    dgamma = like_columns(plan, dgamma, "dgamma", n, 0)
    dbeta = like_columns(plan, dbeta, "dbeta", n, 0)
    job = new(plan, FL_KERNEL_layer_norm_mv, x, moments, dy, 0.4)
    if dx is not None:
        plan.point(&job.v, dx)
    plan.point(&job.gamma, gamma)
    plan.point(&job.dgamma, dgamma)
    plan.point(&job.dbeta, dbeta)


def tmv(Plan plan not None, cnp.ndarray x not None, cnp.ndarray moments not None, cnp.ndarray gamma, cnp.ndarray v not None,
        cnp.ndarray out, *, cnp.ndarray total_gamma=None, cnp.ndarray total_beta=None, bint update=False, Epilogue after=None):
    """J' v at x, where moments are those of `forward`: out = that by x times derivative'(of), or None; total_gamma, total_beta:
    that by gamma and beta; update: they are those parameters, and take the optimizer's step."""
    cdef fl_int m, n, parts
    cdef cnp.ndarray partial_gamma, partial_beta
    cdef fl_layer_norm_job *job
    plan.check(x, "x", 2)
    m, n = cnp.PyArray_DIM(x, 0), cnp.PyArray_DIM(x, 1)
    for a, name in ((v, "v"), (out, "out")):
        if a is not None:
            plan.check_shape(a, name, m, n)
    after = checked(after, plan, "layer_norm.tmv", x, DERIVATIVE)
    gamma = like_columns(plan, gamma, "gamma", n, 1)
    job = new(plan, FL_KERNEL_layer_norm_tmv, x, moments, out, 0.4)
    plan.point(&job.v, v)
    plan.point(&job.gamma, gamma)
    after.point(plan, &job.after)
    if total_gamma is None and total_beta is None:
        return
    parts = job.head.n_blocks
    partial_gamma, partial_beta = plan.empty(parts, n), plan.empty(parts, n)
    plan.point(<const void **>&job.total_gamma, partial_gamma)
    plan.point(<const void **>&job.total_beta, partial_beta)
    for total, partial, name in ((total_gamma, partial_gamma, "total_gamma"), (total_beta, partial_beta, "total_beta")):
        if total is not None:
            like_columns(plan, total, name, n, 0)
            whole = plan.empty(n) if update else total
            sum_parts(plan, partial, parts, n, whole)
            if update:
                step(plan, total, whole)
