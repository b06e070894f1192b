# cython: freethreading_compatible=True
"""The product of two matrices by itself."""

cimport numpy as cnp

from fastlec._kernels cimport memory
from fastlec._kernels.args cimport dtype_of
from fastlec._kernels.fl cimport *
from fastlec._kernels.plan cimport Plan, up
from fastlec._kernels.runner cimport facts, macs_per_ns, run_job, start_job

from fastlec._kernels.gemm.jobs import product

cnp.import_array()

cdef double SMALL = 3e5         # multiplications of a product that is not worth a plan


cdef inline bint readable(cnp.ndarray a) noexcept:
    cdef int typenum = cnp.PyArray_TYPE(a)
    return ((typenum == cnp.NPY_FLOAT or typenum == cnp.NPY_DOUBLE) and cnp.PyArray_ISALIGNED(a) and cnp.PyArray_ISNOTSWAPPED(a)
            and (cnp.PyArray_IS_C_CONTIGUOUS(a) or cnp.PyArray_IS_F_CONTIGUOUS(a)))


cdef inline bint apart(cnp.ndarray a, cnp.ndarray b) noexcept:
    cdef char *pa = <char *>cnp.PyArray_DATA(a)
    cdef char *pb = <char *>cnp.PyArray_DATA(b)
    return pa + cnp.PyArray_NBYTES(a) <= pb or pb + cnp.PyArray_NBYTES(b) <= pa


def matmul(object a, object b, object out):
    """The product of two matrices in `out` or a new array; None if the arguments are not plain: float32 or float64, both the same,
    aligned, each in C or Fortran order; out in C order and apart from both."""
    cdef cnp.npy_intp dims[2]
    cdef cnp.ndarray c
    if not (cnp.PyArray_CheckExact(a) and cnp.PyArray_CheckExact(b)) or cnp.PyArray_NDIM(a) != 2 or cnp.PyArray_NDIM(b) != 2:
        return None
    if (cnp.PyArray_TYPE(a) != cnp.PyArray_TYPE(b) or not readable(a) or not readable(b)
            or cnp.PyArray_DIM(a, 1) != cnp.PyArray_DIM(b, 0)):
        return None
    dims[0], dims[1] = cnp.PyArray_DIM(a, 0), cnp.PyArray_DIM(b, 1)
    if out is None:
        c = memory.empty(2, dims, cnp.PyArray_TYPE(a))
    else:
        if (not cnp.PyArray_CheckExact(out) or not cnp.PyArray_ISCARRAY(out) or cnp.PyArray_TYPE(out) != cnp.PyArray_TYPE(a)
                or cnp.PyArray_NDIM(out) != 2 or cnp.PyArray_DIM(out, 0) != dims[0] or cnp.PyArray_DIM(out, 1) != dims[1]
                or not apart(a, out) or not apart(b, out)):
            return None
        c = <cnp.ndarray>out
    if (cnp.PyArray_IS_C_CONTIGUOUS(a) and cnp.PyArray_IS_C_CONTIGUOUS(b) and dims[1] > 1
            and <double>dims[0] * dims[1] * cnp.PyArray_DIM(a, 1) < SMALL):
        small_product(a, b, c)
        return c
    plan = Plan(cnp.PyArray_TYPE(a))
    product(plan, a, b, c)
    plan.run()
    return c


cdef int small_product(cnp.ndarray a, cnp.ndarray b, cnp.ndarray c) except -1:
    """c = a b, all in C order, as one block of one job on the stack: a plan would cost as much as the product."""
    cdef fl_gemm_job job
    cdef fl_int size = cnp.PyArray_ITEMSIZE(a), tile = FL_TILE_BYTES // size
    start_job(&job, sizeof(job), FL_KERNEL_gemm, dtype_of(a))
    job.m, job.n, job.k = cnp.PyArray_DIM(c, 0), cnp.PyArray_DIM(c, 1), cnp.PyArray_DIM(a, 1)
    if not job.m:
        return 0
    job.a = cnp.PyArray_DATA(a)
    job.b = cnp.PyArray_DATA(b)
    job.c = cnp.PyArray_DATA(c)
    job.a_row = job.k
    job.a_step = 1
    job.b_step = job.ldc = job.n
    job.b_col = 1
    job.rows = job.m
    job.cols = up(job.n, tile)
    job.depth = job.k
    job.strip = facts().gemm_depth[dtype_of(a)]
    job.head.n_blocks = 1
    job.head.work = <double>job.m * job.n * job.k / macs_per_ns(dtype_of(a))
    return run_job(&job)
