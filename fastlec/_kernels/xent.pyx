# cython: freethreading_compatible=True
"""Softmax cross-entropy: loss and gradient from logits."""

cimport numpy as cnp
from cython cimport floating
from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport free, malloc

from fastlec._kernels cimport memory
from fastlec._kernels.args cimport apart_or_same, dtype_of, is_plain, is_plain_out, same_shape
from fastlec._kernels.dtypes cimport dtypes
from fastlec._kernels.fl cimport *
from fastlec._kernels.plan cimport BLOCK, Plan, blocks, up
from fastlec._kernels.runner cimport kernel, run_jobs, start_job

cnp.import_array()

cdef enum:
    STREAM_ROW = 1 << 18    # bytes of the longest row whose exponentials wait in scratch until they are streamed
    STREAM_FROM = 24 << 20  # bytes of output that no cache keeps


cdef fl_int parts_of(fl_int n) noexcept:
    """Of a row of n classes, which is cut into more than one where it is long."""
    return blocks(n, FL_ROW_PART) if n > FL_LONG_ROW else 1


cdef fl_int rows_per_block(fl_int n) noexcept:
    return up(BLOCK // n, 16) if n <= FL_SHORT_ROW else max(BLOCK // n, 1)


cdef int xent_jobs(fl_int n, bint gradient) noexcept:
    """How many jobs the loss (and its gradient) takes."""
    return 1 if parts_of(n) == 1 else 3 if gradient else 2


cdef fl_int xent_losses(fl_int m, fl_int n) noexcept:
    """How many numbers the loss is the sum of."""
    return blocks(m, rows_per_block(n))


cdef fl_int xent_partial(fl_int m, fl_int n) noexcept:
    """Elements of a job's `partial`."""
    return 0 if parts_of(n) == 1 else 4 * m * parts_of(n)


cdef void plan_xent(fl_xent_job *job, int i, int dtype, fl_int m, fl_int n) noexcept:
    """All of job i, begun as one of FL_KERNEL_xent, but the pointers and the scale. grad and targets must be there already."""
    cdef fl_int size = dtypes[dtype].size
    cdef int *kernels = [FL_KERNEL_xent_part, FL_KERNEL_xent_join, FL_KERNEL_xent_last]
    job.m = m
    job.n = job.ldx = n
    job.parts = parts_of(n)
    job.part = FL_ROW_PART
    job.per_block = rows_per_block(n)
    job.stream = (job.grad is not NULL and job.targets is NULL and n > FL_SHORT_ROW and n * size <= STREAM_ROW
                  and m * n * size >= STREAM_FROM)
    job.head.work = <double>m * n * dtypes[dtype].function_ns
    if job.parts > 1:
        job.head.run = kernel(kernels[i], dtype)
        job.head.n_blocks = m if i == 1 else m * job.parts
        job.head.work /= 1 if i == 0 else FL_ROW_PART if i == 1 else 4
        job.head.scratch = 0
    else:
        job.head.n_blocks = xent_losses(m, n)
        job.head.scratch = 2 * FL_SHORT_ROW * FL_WIDE * 64 if n <= FL_SHORT_ROW else (n * size if job.stream else 0)


def first_bad_label(cnp.ndarray labels, fl_int n):
    """The position of the first label outside [0, n), or -1. IN labels, int64, C order, aligned."""
    cdef const int64_t *p = <const int64_t *>cnp.PyArray_DATA(labels)
    cdef fl_int i, m = cnp.PyArray_SIZE(labels)
    cdef bint bad = False
    for i in range(m):          # no early exit, so that it becomes vector code
        bad |= <uint64_t>p[i] >= <uint64_t>n
    if bad:
        for i in range(m):
            if <uint64_t>p[i] >= <uint64_t>n:
                return i
    return -1


def mean_weights(object weight, fl_int m):
    """Weights (m,) times what makes their mean 1, as a new array; None unless they are plain, float64, none negative, not all 0,
    and far from overflow and underflow."""
    if not is_plain(weight):
        return None
    cdef cnp.ndarray w = <cnp.ndarray>weight, scaled
    cdef const double *p = <const double *>cnp.PyArray_DATA(w)
    cdef double *q
    cdef double total = 0, part, low = 0
    cdef fl_int i, first
    if cnp.PyArray_TYPE(w) != cnp.NPY_DOUBLE or cnp.PyArray_NDIM(w) != 1 or cnp.PyArray_DIM(w, 0) != m:
        return None
    for first in range(0, m, 256):      # sums of sums, which are rounded less often
        part = 0
        for i in range(first, min(first + 256, m)):
            part += p[i]
            low = p[i] if p[i] < low else low
        total += part
    if low < 0 or not 1e-200 < total < 1e200:       # also where one is NaN or infinite
        return None
    scaled = memory.empty(1, cnp.PyArray_DIMS(w), cnp.NPY_DOUBLE)
    q = <double *>cnp.PyArray_DATA(scaled)
    for i in range(m):
        q[i] = p[i] * (m / total)
    return scaled


cdef fl_int right_rows(const floating *x, const int64_t *classes, fl_int m, fl_int n) noexcept nogil:
    """How many of the rows x (m, n) have their first largest number at their class: no class outside [0, n), no NaN."""
    cdef fl_int i, j, label, right = 0
    cdef floating own
    cdef bint wrong
    for i in range(m):
        label = classes[i]
        if 0 <= label < n:
            own = x[label]
            wrong = own != own
            for j in range(label):
                wrong |= x[j] >= own
            for j in range(label + 1, n):
                wrong |= x[j] > own
            right += not wrong
        x += n
    return right


def count_right(object logits, object classes):
    """How many rows have their largest logit, of equal ones the first, at their class; None if the arguments are not plain.

    IN logits, plain (m, n); classes, int64 (m,), C order.
    """
    if not is_plain(logits) or not cnp.PyArray_CheckExact(classes):
        return None
    cdef cnp.ndarray x = <cnp.ndarray>logits, labels = <cnp.ndarray>classes
    if (cnp.PyArray_NDIM(x) != 2 or cnp.PyArray_NDIM(labels) != 1 or cnp.PyArray_TYPE(labels) != cnp.NPY_INT64
            or not cnp.PyArray_ISCARRAY_RO(labels) or cnp.PyArray_DIM(labels, 0) != cnp.PyArray_DIM(x, 0)):
        return None
    cdef fl_int m = cnp.PyArray_DIM(x, 0), n = cnp.PyArray_DIM(x, 1)
    cdef const int64_t *p = <const int64_t *>cnp.PyArray_DATA(labels)
    cdef const void *data = cnp.PyArray_DATA(x)
    cdef fl_int right
    cdef bint single = cnp.PyArray_TYPE(x) == cnp.NPY_FLOAT
    with nogil:
        if single:
            right = right_rows(<const float *>data, p, m, n)
        else:
            right = right_rows(<const double *>data, p, m, n)
    return right


def loss_and_gradient(object logits, object labels, object weight, double scale, object grad, bint want_grad):
    """(sum_i w_i l_i, gradient with respect to scale times that sum); None if the arguments are not plain.

    IN logits, plain (m, n), m, n >= 1; labels, int64 (m,), each in [0, n), or plain like logits: rows of target probabilities;
    weight, float64 (m,) or None for ones; all in C order. OUT grad, plain (m, n), None for a new one; want_grad=False: none.
    """
    if not is_plain(logits) or not cnp.PyArray_CheckExact(labels):
        return None
    cdef cnp.ndarray x = <cnp.ndarray>logits, t = <cnp.ndarray>labels, g = None, w = <cnp.ndarray>weight
    cdef fl_xent_job job
    cdef fl_xent_job each[3]
    cdef fl_job *jobs[3]
    cdef fl_int m, n, b
    cdef size_t partial
    cdef double loss = 0
    cdef int i, count
    if cnp.PyArray_NDIM(x) != 2 or cnp.PyArray_SIZE(x) == 0:
        return None
    m = cnp.PyArray_DIM(x, 0)
    n = cnp.PyArray_DIM(x, 1)
    if want_grad:
        if grad is None:
            g = memory.empty(2, cnp.PyArray_DIMS(x), cnp.PyArray_TYPE(x))
        elif is_plain_out(grad, cnp.PyArray_TYPE(x)) and same_shape(x, <cnp.ndarray>grad) and apart_or_same(x, <cnp.ndarray>grad):
            g = <cnp.ndarray>grad
        else:
            return None
    if not cnp.PyArray_ISCARRAY_RO(t):
        return None
    if g is not None and (cnp.PyArray_DATA(t) == cnp.PyArray_DATA(g) or not apart_or_same(t, g)):
        return None
    start_job(&job, sizeof(job), FL_KERNEL_xent, dtype_of(x))
    if cnp.PyArray_TYPE(t) == cnp.NPY_INT64 and cnp.PyArray_NDIM(t) == 1 and cnp.PyArray_DIM(t, 0) == m:
        if first_bad_label(t, n) >= 0:
            return None
        job.labels = <const int64_t *>cnp.PyArray_DATA(t)
    elif cnp.PyArray_TYPE(t) == cnp.PyArray_TYPE(x) and same_shape(x, t):
        job.targets = cnp.PyArray_DATA(t)
    else:
        return None
    if w is not None:
        if cnp.PyArray_TYPE(w) != cnp.NPY_DOUBLE or cnp.PyArray_SIZE(w) != m or not cnp.PyArray_ISCARRAY_RO(w):
            return None
        if g is not None and not apart_or_same(w, g):
            return None
        job.weight = <const double *>cnp.PyArray_DATA(w)
    job.x = cnp.PyArray_DATA(x)
    if g is not None:
        job.grad = cnp.PyArray_DATA(g)
    job.scale = scale
    partial = <size_t>xent_partial(m, n) * cnp.PyArray_ITEMSIZE(x)
    job.loss = <double *>malloc(xent_losses(m, n) * sizeof(double))
    if job.loss is NULL:
        raise MemoryError(f"cannot allocate {xent_losses(m, n) * sizeof(double)} bytes")
    try:
        if partial:
            job.partial = memory.take(partial)
        count = xent_jobs(n, want_grad)
        for i in range(count):
            each[i] = job
            plan_xent(&each[i], i, dtype_of(x), m, n)
            jobs[i] = &each[i].head
        run_jobs(jobs, count)
        for b in range(xent_losses(m, n)):
            loss += job.loss[b]
    finally:
        free(job.loss)
        if job.partial is not NULL:
            memory.give(job.partial, partial)
    return loss, g


def loss(Plan plan not None, cnp.ndarray logits not None, cnp.ndarray labels not None, cnp.ndarray grad=None, double count=1,
         cnp.ndarray weight=None):
    """The plan's loss: sum_i w_i l_i / count, and grad, its gradient by the logits (m, n), which it may overwrite. labels: int64
    (m,), each in [0, n) whenever the plan runs (NaN otherwise), or (m, n) probabilities. weight: float64 (m,), or None for ones."""
    cdef fl_xent_job *job
    cdef fl_int m, n
    cdef double *losses
    cdef cnp.ndarray partial = None
    cdef bint by_class = cnp.PyArray_TYPE(labels) == cnp.NPY_INT64
    plan.check(logits, "logits", 2)
    m, n = cnp.PyArray_DIM(logits, 0), cnp.PyArray_DIM(logits, 1)
    if grad is not None:
        plan.check_shape(grad, "grad", m, n)
    if not by_class:
        plan.check_shape(labels, "labels", m, n)
    elif cnp.PyArray_NDIM(labels) != 1 or cnp.PyArray_DIM(labels, 0) != m or not cnp.PyArray_ISCARRAY_RO(labels):
        raise ValueError(f"labels: expected ({m},) in C order")
    if weight is not None:
        plan.check_weights(weight, "weight")
        if len(weight) != m:
            raise ValueError(f"weight has {len(weight)} elements; expected {m}")
    losses = plan.take_losses(xent_losses(m, n), count)
    if xent_partial(m, n):
        partial = plan.empty(xent_partial(m, n))
    for i in range(xent_jobs(n, grad is not None)):
        job = <fl_xent_job *>plan.add(FL_KERNEL_xent)
        plan.point(&job.x, logits)
        if grad is not None:
            plan.point(<const void **>&job.grad, grad)
        plan.point(<const void **>&job.labels if by_class else &job.targets, labels)
        if weight is not None:
            plan.point(<const void **>&job.weight, weight)
        if partial is not None:
            plan.point(<const void **>&job.partial, partial)
        job.scale = 1 / count
        job.loss = losses
        plan_xent(job, i, plan.dtype, m, n)
