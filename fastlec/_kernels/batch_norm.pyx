# cython: freethreading_compatible=True
"""Batch normalisation: jobs for a plan. Images are x (n, c, h, w), samples without are x (m, c); everything else is (c,); all in C
order, of the plan's dtype.

A pass is a sweep over the images that sums, a small job for the channels, and a sweep that writes.
"""

cimport numpy as cnp

from fastlec._kernels cimport memory
from fastlec._kernels.epilogue cimport DERIVATIVE, Epilogue, checked
from fastlec._kernels.fl cimport *
from fastlec._kernels.plan cimport Plan, blocks, up

cnp.import_array()

cdef enum:
    PIECE = 2048        # pixels of a plane that are summed in registers, at most: they stay in L1 meanwhile
    LEAST_ROWS = 16     # of a piece of samples: what it leaves is written once for so many
    MOST_ROWS = 128     # longer sums lose more
    BLOCK = 1 << 14     # pixels of a block, at least: some microseconds of work


cdef cnp.ndarray doubles(cnp.npy_intp m, cnp.npy_intp n):
    cdef cnp.npy_intp dims[2]
    dims[0], dims[1] = m, n
    return memory.empty(2, dims, cnp.NPY_DOUBLE)


cdef class _Images:
    """The images of a plan: their shape, and how they are cut. Samples x (m, c) are one image, of m pixels, in another order."""
    cdef Plan plan
    cdef fl_int n, c, pixels, pieces, piece
    cdef bint dense

    def __cinit__(self, Plan plan not None, cnp.ndarray x not None):
        self.dense = cnp.PyArray_NDIM(x) == 2
        plan.check(x, "x", 2 if self.dense else 4)
        self.plan = plan
        self.n, self.c = cnp.PyArray_DIM(x, 0), cnp.PyArray_DIM(x, 1)
        if self.dense:
            self.n, self.pixels = 1, cnp.PyArray_DIM(x, 0)
            self.piece = min(max(2 * BLOCK // max(self.c, 1), LEAST_ROWS), MOST_ROWS)
            self.pieces = blocks(self.pixels, self.piece)
        else:
            self.pixels = cnp.PyArray_DIM(x, 2) * cnp.PyArray_DIM(x, 3)
            self.pieces = blocks(self.pixels, PIECE)
            self.piece = min(up(blocks(self.pixels, max(self.pieces, 1)), 64), self.pixels)

    cdef int check(self, cnp.ndarray a, str name, cnp.ndarray x) except -1:
        """a is like x, or None."""
        if a is not None:
            self.plan.check(a, name, cnp.PyArray_NDIM(x))
            self.plan.check_size(a, name, x)
        return 0

    cdef cnp.ndarray or_all(self, cnp.ndarray a, double instead):
        """a or, where it is None, an array (c,) of one number."""
        if a is None:
            a = self.plan.empty(self.c)
            a[...] = instead
        return a

    cdef int point(self, const void **field, cnp.ndarray a, str name) except -1:
        """a, (c,) or None, for a field of the last job."""
        if a is not None:
            self.plan.check(a, name, 1)
            if cnp.PyArray_DIM(a, 0) != self.c:
                raise ValueError(f"{name} has {cnp.PyArray_DIM(a, 0)} elements; expected {self.c}")
            self.plan.point(field, a)
        return 0

    cdef fl_batch_norm_job *sweep(self, int which, cnp.ndarray x, cnp.ndarray v, cnp.ndarray moments, double work) except NULL:
        """A new job; work: nanoseconds for four bytes."""
        cdef fl_batch_norm_job *job = <fl_batch_norm_job *>self.plan.add(which)
        cdef fl_int unit = self.piece * self.c if self.dense else self.piece
        job.c, job.pixels, job.pieces, job.piece = self.c, self.pixels, self.pieces, self.piece
        job.units = self.pieces if self.dense else self.n * self.c * self.pieces
        job.per_block = max(BLOCK // max(unit, 1), 1)
        if self.dense:
            job.head.scratch = 4 * FL_NORM_STRIP * self.plan.size
        if x is not None:
            self.plan.point(&job.x, x)
        if v is not None:
            self.plan.point(&job.v, v)
        if moments is not None:
            self.plan.point(<const void **>&job.moments, moments)
        job.head.n_blocks = blocks(job.units, job.per_block)
        job.head.work = work * self.plan.size / 4 * self.n * self.c * (self.pixels + 20)
        return job

    cdef cnp.ndarray partial(self):
        return doubles(self.n * self.c * self.pieces, 2)

    cdef fl_batch_norm_channels_job *channels(self, int which, cnp.ndarray moments, cnp.ndarray partial,
                                              cnp.ndarray factors) except NULL:
        """A new job."""
        cdef fl_batch_norm_channels_job *job = <fl_batch_norm_channels_job *>self.plan.add(which)
        job.n, job.c, job.pixels, job.pieces, job.piece = self.n, self.c, self.pixels, self.pieces, self.piece
        job.channel_step = 1 if self.dense else self.pieces
        job.piece_step = self.c if self.dense else 1
        self.plan.point(<const void **>&job.moments, moments)
        if partial is not None:
            self.plan.point(<const void **>&job.partial, partial)
        if factors is not None:
            self.plan.point(<const void **>&job.factors, factors)
        job.head.n_blocks = blocks(self.c, FL_NORM_CHANNELS)
        job.head.work = self.c * (20.0 + (0 if partial is None else 3.0 * self.n * self.pieces))
        return job

    cdef int map(self, cnp.ndarray x, cnp.ndarray v, cnp.ndarray moments, cnp.ndarray factors, cnp.ndarray out,
                 Epilogue after) except -1:
        cdef int which = FL_KERNEL_batch_norm_dense_map if self.dense else FL_KERNEL_batch_norm_map
        cdef fl_batch_norm_job *job = self.sweep(which, x, v, moments, 0.15)
        self.plan.point(<const void **>&job.factors, factors)
        self.plan.point(<const void **>&job.out, out)
        after.point(self.plan, &job.after)
        return 0


def forward(Plan plan not None, cnp.ndarray x not None, cnp.ndarray y not None, cnp.ndarray gamma, cnp.ndarray beta,
            cnp.ndarray running_mean not None, cnp.ndarray running_var not None, double eps, *, bint batch):
    """y = gamma (x - mean) / sqrt(var + eps) + beta, where mean and var are those of x (batch), or the running ones; gamma None:
    ones, beta None: zeros. Returns the array (2, c), float64, that will hold mean and var."""
    cdef _Images images = _Images(plan, x)
    cdef cnp.ndarray moments = doubles(2, images.c), factors = doubles(3, images.c), partial = None
    cdef fl_batch_norm_job *sweep
    cdef fl_batch_norm_channels_job *job
    images.check(y, "y", x)
    if batch:
        if not images.n * images.pixels:
            what = "sample" if images.dense else "pixel"
            raise ValueError(f"x has shape {(<object>x).shape}; expected one {what} or more, whose mean and variance are taken")
        partial = images.partial()
        which = FL_KERNEL_batch_norm_dense_moments if images.dense else FL_KERNEL_batch_norm_moments
        sweep = images.sweep(which, x, None, None, 0.15)
        plan.point(<const void **>&sweep.partial, partial)
    job = images.channels(FL_KERNEL_batch_norm_forward, moments, partial, factors)
    job.eps = eps
    images.point(&job.gamma, images.or_all(gamma, 1), "gamma")
    images.point(&job.beta, images.or_all(beta, 0), "beta")
    images.point(<const void **>&job.running_mean, running_mean, "running_mean")
    images.point(<const void **>&job.running_var, running_var, "running_var")
    images.map(x, None, moments, factors, y, Epilogue())
    return moments


def derivative(Plan plan not None, cnp.ndarray x not None, cnp.ndarray moments not None, cnp.ndarray gamma,
               cnp.ndarray v, cnp.ndarray out, double eps, *, bint batch, cnp.ndarray dgamma=None, cnp.ndarray dbeta=None,
               cnp.ndarray total_gamma=None, cnp.ndarray total_beta=None, bint update=False, Epilogue after=None):
    """What is wanted of J v and J' v at x, where moments and batch are those of `forward`.

    J v: out = J times the directions v of x, dgamma and dbeta; any of them may be None.
    J' v: out = J' v by x, times derivative'(of), or None. total_gamma, total_beta: J' v by gamma and beta; update: they are those
    parameters, and take the optimizer's step."""
    cdef _Images images = _Images(plan, x)
    cdef cnp.ndarray factors = doubles(3, images.c), partial = None
    cdef fl_batch_norm_job *sweep
    cdef fl_batch_norm_channels_job *job
    for a, name in ((v, "v"), (out, "out")):
        images.check(a, name, x)
    after = checked(after, plan, "batch_norm.derivative", x, DERIVATIVE)
    if v is not None and (total_gamma is not None or total_beta is not None or (batch and out is not None)):
        partial = images.partial()
        which = FL_KERNEL_batch_norm_dense_sums if images.dense else FL_KERNEL_batch_norm_sums
        sweep = images.sweep(which, x, v, moments, 0.2)
        plan.point(<const void **>&sweep.partial, partial)
    job = images.channels(FL_KERNEL_batch_norm_derivative, moments, partial, factors)
    job.batch, job.eps = batch, eps
    images.point(&job.gamma, images.or_all(gamma, 1), "gamma")
    images.point(&job.dgamma, dgamma, "dgamma")
    images.point(&job.dbeta, dbeta, "dbeta")
    images.point(<const void **>&job.total_gamma, total_gamma, "total_gamma")
    images.point(<const void **>&job.total_beta, total_beta, "total_beta")
    if update:
        job.update = &plan.rule
    if out is not None:
        x = x if dgamma is not None or (batch and v is not None) else None
        images.map(x, v, moments, factors, out, after)


def running(Plan plan not None, cnp.ndarray x not None, cnp.ndarray moments not None, cnp.ndarray running_mean not None,
            cnp.ndarray running_var not None, double momentum):
    """running <- (1 - momentum) running + momentum times the moments of x, the variance that of the population."""
    cdef _Images images = _Images(plan, x)
    cdef fl_batch_norm_channels_job *job = images.channels(FL_KERNEL_batch_norm_running, moments, None, None)
    job.momentum = momentum
    images.point(<const void **>&job.running_mean, running_mean, "running_mean")
    images.point(<const void **>&job.running_var, running_var, "running_var")
