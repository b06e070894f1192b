# cython: freethreading_compatible=True
"""Softmax regression over X in one pass: value, gradient, Hessian-vector product, data gradient, probabilities."""

cimport numpy as cnp
from libc.stdint cimport int64_t
from libc.stdlib cimport malloc
from libc.stdlib cimport free as release

from fastlec._kernels cimport memory
from fastlec._kernels.args cimport dtype_of
from fastlec._kernels.dtypes cimport dtypes
from fastlec._kernels.fl cimport *
from fastlec._kernels.plan cimport blocks, up
from fastlec._kernels.runner cimport run_jobs, start_job

import numpy as np

cnp.import_array()

cdef enum:
    BLOCKS = 64             # blocks, each with a gradient of its own: enough for the teams there are
    BLOCK_WORK = 10000000   # nanoseconds of a block, at most: it cannot be interrupted
    PARTIALS = 64 << 20     # bytes of the blocks' gradients, at most
    SUM_BLOCK = 1024        # elements of the gradient that a block adds up
    DIRECTIONS = 16         # that one pass over X takes, at most
    DIRECTION_BYTES = 1 << 18   # of their weights, which stay in L2 beside a strip of X


ctypedef fused real:
    float
    double


cdef int check(cnp.ndarray a, int typenum, fl_int size, str name) except -1:
    if not cnp.PyArray_ISCARRAY_RO(a) or cnp.PyArray_TYPE(a) != typenum or cnp.PyArray_SIZE(a) != size:
        raise ValueError(f"{name}: expected {size} aligned elements of X's dtype in C order")
    return 0


cdef fl_int first_nan(const real *p, fl_int rows, fl_int step) noexcept nogil:
    cdef fl_int i
    for i in range(rows):
        if p[i * step] != p[i * step]:
            return i
    return -1


def nan_row(cnp.ndarray P not None):
    """The first row of probabilities P (m, l) that is NaN, or -1. One NaN among the logits makes the whole row NaN."""
    cdef fl_int m = cnp.PyArray_DIM(P, 0), l = cnp.PyArray_DIM(P, 1)
    check(P, cnp.PyArray_TYPE(P), m * l, "P")
    if cnp.PyArray_TYPE(P) == cnp.NPY_FLOAT:
        return first_nan(<const float *>cnp.PyArray_DATA(P), m, l)
    return first_nan(<const double *>cnp.PyArray_DATA(P), m, l)


cdef class Problem:
    """X, its labels and weights, checked once; every method is one or two jobs and holds no state between calls.

    IN X (m, n) float32 or float64, aligned, unit stride along a row; y, int64 (m,), each in [0, l), while any other makes the loss
    NaN; weight, float64 (m,) or None.
    free: how many classes have weights, l or l - 1. theta arguments: free * n weights, then `free` biases if bias, X's dtype.
    """
    cdef readonly cnp.ndarray X, y, weight
    cdef readonly fl_int m, n, l, free
    cdef readonly bint bias
    cdef fl_int ldx
    cdef int dtype, typenum
    cdef size_t size

    def __init__(self, cnp.ndarray X not None, cnp.ndarray y not None, cnp.ndarray weight, fl_int l, fl_int free, bint bias):
        self.typenum = cnp.PyArray_TYPE(X)
        self.size = dtypes[dtype_of(X)].size
        if (cnp.PyArray_NDIM(X) != 2 or self.typenum not in (cnp.NPY_FLOAT, cnp.NPY_DOUBLE) or not cnp.PyArray_ISALIGNED(X)
                or not cnp.PyArray_ISNOTSWAPPED(X) or cnp.PyArray_SIZE(X) == 0):
            raise ValueError("X: expected an aligned (m, n) array of float32 or float64 with m, n >= 1")
        self.m = cnp.PyArray_DIM(X, 0)
        self.n = cnp.PyArray_DIM(X, 1)
        if ((self.n > 1 and cnp.PyArray_STRIDE(X, 1) != <fl_int>self.size)
                or (self.m > 1 and cnp.PyArray_STRIDE(X, 0) % <fl_int>self.size)):   # the stride of one row means nothing
            raise ValueError("X: expected unit stride along a row")
        self.ldx = cnp.PyArray_STRIDE(X, 0) // <fl_int>self.size if self.m > 1 else self.n
        if not 1 <= free <= l:
            raise ValueError(f"free is {free}; expected 1 to {l}")
        check(y, cnp.NPY_INT64, self.m, "y")
        if weight is not None:
            check(weight, cnp.NPY_DOUBLE, self.m, "weight")
        self.dtype = dtype_of(X)
        self.X, self.y, self.weight = X, y, weight
        self.l, self.free, self.bias = l, free, bias

    def __reduce__(self):       # X may come back with other strides
        return Problem, (self.X, self.y, self.weight, self.l, self.free, self.bias)

    @property
    def n_params(self):
        return self.free * self.n + (self.free if self.bias else 0)

    cdef fl_int partial(self) noexcept:
        """Elements of a block's gradient."""
        return self.free * self.n + self.free

    cdef int plan(self, fl_linear_job *job, int mode, cnp.ndarray theta, fl_int directions=1) except -1:
        cdef fl_int line = 64 // <fl_int>self.size, ldw = up(self.n, line), count
        cdef bint mv = mode == FL_HESSIAN_MV
        cdef double flops
        check(theta, self.typenum, directions * self.n_params, "theta")
        start_job(job, sizeof(fl_linear_job), FL_KERNEL_linear, self.dtype)
        job.mode = mode
        job.X = cnp.PyArray_DATA(self.X)
        job.labels = <const int64_t *>cnp.PyArray_DATA(self.y)
        if self.weight is not None:
            job.weight = <const double *>cnp.PyArray_DATA(self.weight)
        job.W = cnp.PyArray_DATA(theta)
        if self.bias:
            job.b = <const char *>job.W + self.free * self.n * self.size
        job.m = self.m
        job.n = self.n
        job.ldx = self.ldx
        job.l = self.l
        job.free = self.free
        job.directions, job.v_step = directions, self.n_params
        flops = <double>self.m * self.n * self.free * (6 if mv else 2 if mode in (FL_VALUE, FL_PROBABILITIES) else 4)
        job.head.work = flops / (1.4 * dtypes[self.dtype].macs_per_ns) + <double>self.m * self.l
        # blocks: by the problem alone, so that every team adds the same partial sums, for each direction as for one alone
        count = min(max(BLOCKS, <fl_int>(job.head.work / BLOCK_WORK)), max(self.m // 256, 1))
        if mode == FL_GRADIENT or mv:
            count = min(count, max(PARTIALS // (self.partial() * <fl_int>self.size), 1))
        job.head.work *= directions
        job.per_block = up(blocks(self.m, count), FL_STRIP)
        job.head.n_blocks = blocks(self.m, job.per_block)
        job.head.scratch = FL_STRIP * (self.l + (self.free if mv else 0)) + (1 + directions if mv else 1) * self.free * ldw
        job.head.scratch *= self.size
        return 0

    def value(self, cnp.ndarray theta not None):
        """sum_i w_i l_i."""
        return self.evaluate(theta, None, None, FL_VALUE, 1, 0)[0]

    def gradient(self, cnp.ndarray theta not None, double scale, double l2):
        """(sum_i w_i l_i, scale times its gradient + l2 times the weights)."""
        return self.evaluate(theta, None, None, FL_GRADIENT, scale, l2)

    def hessian_mv(self, cnp.ndarray theta not None, cnp.ndarray v not None, double scale, double l2):
        """scale times the Hessian times v, + l2 times v's weights."""
        return self.evaluate(theta, v, None, FL_HESSIAN_MV, scale, l2)[1]

    def hessian_mv_at(self, cnp.ndarray P not None, cnp.ndarray V not None, double scale, double l2):
        """hessian_mv where the probabilities are P (m, l), in C order and X's dtype, of each row of V (k, n_params): (k, n_params).
        One pass over X for as many rows as fit in a cache beside it."""
        cdef fl_int k = cnp.PyArray_DIM(V, 0), line = 64 // <fl_int>self.size, i
        cdef fl_int most = min(DIRECTION_BYTES // (self.free * up(self.n, line)), PARTIALS // (BLOCKS * self.partial()))
        check(P, self.typenum, self.m * self.l, "P")
        most = min(max(most // <fl_int>self.size, 1), DIRECTIONS)
        parts = [self.evaluate(V[i:i + most], V[i:i + most], P, FL_HESSIAN_MV, scale, l2)[1] for i in range(0, k, most)]
        return parts[0] if len(parts) == 1 else np.concatenate([np.empty((0, self.n_params), V.dtype), *parts])

    cdef tuple evaluate(self, cnp.ndarray theta, cnp.ndarray v, cnp.ndarray P, int mode, double scale, double l2):
        """(loss, None or what mode says): for a matrix v (k, n_params) a matrix likewise, of at most DIRECTIONS rows."""
        cdef fl_linear_job job
        cdef fl_sum_job totals[DIRECTIONS]
        cdef fl_sum_job *total
        cdef fl_job *jobs[1 + DIRECTIONS]
        cdef fl_int stride = self.partial(), length = self.n_params, b, directions = 1, d
        cdef cnp.npy_intp dims[2]
        cdef int ndim = 1
        cdef cnp.ndarray out = None
        cdef size_t partials = 0
        cdef double loss = 0
        if v is not None and cnp.PyArray_NDIM(v) == 2:
            ndim, directions = 2, cnp.PyArray_DIM(v, 0)
        dims[0], dims[ndim - 1] = directions, length
        self.plan(&job, mode, theta, directions)
        jobs[0] = &job.head
        if v is not None:
            check(v, self.typenum, directions * length, "v")
            job.V = cnp.PyArray_DATA(v)
            if self.bias:
                job.vb = <const char *>job.V + self.free * self.n * self.size
        if P is not None:
            job.P = cnp.PyArray_DATA(P)
        job.loss = <double *>malloc(job.head.n_blocks * sizeof(double))
        if job.loss is NULL:
            raise MemoryError(f"cannot allocate {job.head.n_blocks * sizeof(double)} bytes")
        try:
            if mode != FL_VALUE:
                out = memory.empty(ndim, dims, self.typenum)
                partials = <size_t>job.head.n_blocks * <size_t>(directions * stride) * self.size
                job.grad = memory.take(partials)
                for d in range(directions):
                    total = totals + d
                    jobs[1 + d] = &total.head
                    start_job(total, sizeof(totals[0]), FL_KERNEL_sum, self.dtype)
                    total.part = <const char *>job.grad + d * stride * self.size
                    total.theta = <const char *>job.V + d * length * self.size if v is not None else job.W
                    total.out = cnp.PyArray_BYTES(out) + d * length * self.size
                    total.scale = scale
                    total.l2 = l2
                    total.parts = job.head.n_blocks
                    total.stride = directions * stride
                    total.len = length
                    total.penalised = self.free * self.n if l2 != 0 else 0
                    total.per_block = SUM_BLOCK
                    total.head.n_blocks = blocks(length, SUM_BLOCK)
                    total.head.work = 0.3 * total.parts * length
                    total.head.scratch = SUM_BLOCK * sizeof(double)
            run_jobs(jobs, 1 if mode == FL_VALUE else 1 + directions)
            if mode != FL_HESSIAN_MV:
                for b in range(job.head.n_blocks):
                    loss += job.loss[b]
        finally:
            release(job.loss)
            if job.grad is not NULL:
                memory.give(job.grad, partials)
        return loss, out

    def data_gradient(self, cnp.ndarray theta not None, double scale):
        """scale times the gradient of sum_i w_i l_i with respect to X: (m, n)."""
        cdef cnp.npy_intp dims[2]
        dims[0] = self.m
        dims[1] = self.n
        return self.rows(theta, FL_DATA_GRADIENT, scale, dims)

    def probabilities(self, cnp.ndarray theta not None):
        """(m, l)."""
        cdef cnp.npy_intp dims[2]
        dims[0] = self.m
        dims[1] = self.l
        return self.rows(theta, FL_PROBABILITIES, 1, dims)

    cdef cnp.ndarray rows(self, cnp.ndarray theta, int mode, double scale, cnp.npy_intp *dims):
        cdef fl_linear_job job
        cdef fl_job *jobs[1]
        cdef cnp.ndarray out
        self.plan(&job, mode, theta)
        out = memory.empty(2, dims, self.typenum)
        job.out = cnp.PyArray_DATA(out)
        job.scale = scale
        jobs[0] = &job.head
        run_jobs(jobs, 1)
        return out
