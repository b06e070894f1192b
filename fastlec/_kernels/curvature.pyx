# cython: freethreading_compatible=True
"""Derivatives of what comes back through activations, softmax cross-entropy and normalisations, as jobs of a plan. All arrays in C
order, of the plan's dtype, unless said otherwise."""

cimport numpy as cnp

from fastlec._kernels.dtypes cimport dtypes
from fastlec._kernels.fl cimport *
from fastlec._kernels.plan cimport BLOCK, Plan, blocks

cnp.import_array()


def activation(Plan plan not None, int activation, cnp.ndarray v not None, cnp.ndarray dv, cnp.ndarray of not None,
               cnp.ndarray dof not None, cnp.ndarray out not None, double alpha):
    """out = sigma'(of) dv + v d(sigma'(of)) along dof: the derivative of sigma' v. Arrays of one size; dv None for zeros. of: what
    sigma' follows from, the activation's value or, for those in KEEP_Z, its argument. alpha: its
    parameter."""
    cdef fl_curve_job *job
    for a, name in ((v, "v"), (dv, "dv"), (of, "of"), (dof, "dof"), (out, "out")):
        if a is not None:
            plan.check_size(a, name, out)
    job = <fl_curve_job *>plan.add(FL_KERNEL_curve)
    job.activation, job.alpha = activation, alpha
    plan.point(&job.v, v)
    if dv is not None:
        plan.point(&job.dv, dv)
    plan.point(&job.of, of)
    plan.point(&job.dof, dof)
    plan.point(<const void **>&job.out, out)
    job.n, job.per_block = cnp.PyArray_SIZE(out), BLOCK
    job.head.n_blocks = blocks(job.n, BLOCK)
    job.head.work = 2 * job.n * dtypes[plan.dtype].pass_ns


def softmax(Plan plan not None, cnp.ndarray x not None, cnp.ndarray targets not None, cnp.ndarray u not None,
            cnp.ndarray out not None, double count, cnp.ndarray weight=None, double smoothing=0):
    """out = the Hessian of the softmax cross-entropy by its logits x (m, n) times u, over count: p (u - p'u) for each row, times
    the sum of its targets, rows (m, n) or int64 labels (m,), and its weight, float64. out is not u."""
    cdef fl_curve_softmax_job *job
    cdef fl_int m, n
    plan.check(x, "x", 2)
    m, n = cnp.PyArray_DIM(x, 0), cnp.PyArray_DIM(x, 1)
    plan.check_shape(u, "u", m, n)
    plan.check_shape(out, "out", m, n)
    job = <fl_curve_softmax_job *>plan.add(FL_KERNEL_curve_softmax)
    plan.point(&job.x, x)
    plan.point(&job.u, u)
    plan.point(<const void **>&job.out, out)
    if cnp.PyArray_TYPE(targets) != cnp.NPY_INT64:
        plan.check_shape(targets, "targets", m, n)
        plan.point(&job.targets, targets)
        job.share, job.floor = 1 - smoothing, smoothing
    if weight is not None:
        plan.check_weights(weight, "weight")
        plan.point(<const void **>&job.weight, weight)
    job.scale = 1 / count if count else 0
    job.m, job.n, job.per_block = m, n, max(BLOCK // max(n, 1), 1)
    job.head.n_blocks = blocks(m, job.per_block) if n else 0
    job.head.work = <double>m * (n * dtypes[plan.dtype].function_ns + 10)


def norm(Plan plan not None, cnp.ndarray x not None, cnp.ndarray v not None, dv, dx, gamma, dgamma, out, products, double eps, *,
         bint rows, moments=None):
    """The derivative of J' v of a normalisation with parameters gamma and beta along dx, dgamma and dv, each an array or None for
    zeros (gamma None: ones): out, that by x, or None; products, an array like x whose sums, over all but the axis of gamma, are
    that by gamma, or None. rows: each row of x (m, n) is normalised by itself, else each feature, of images (m, c, h, w) each
    channel. moments: (mean, variance), each (c,), which do not depend on x; None: those of x."""
    cdef fl_curve_norm_job *job
    cdef fl_int inner = 1
    for i in range(2, cnp.PyArray_NDIM(x)):
        inner *= cnp.PyArray_DIM(x, i)
    for a, name in ((x, "x"), (v, "v"), (dv, "dv"), (dx, "dx"), (out, "out"), (products, "products")):
        if a is not None:
            plan.check_size(a, name, x)
    mean, variance = (None, None) if moments is None else moments
    for a, name in ((gamma, "gamma"), (dgamma, "dgamma"), (mean, "mean"), (variance, "variance")):
        if a is not None:
            plan.check(a, name, 1)
            if len(a) != cnp.PyArray_DIM(x, 1):
                raise ValueError(f"{name} has {len(a)} elements; expected {cnp.PyArray_DIM(x, 1)}")
    job = <fl_curve_norm_job *>plan.add(FL_KERNEL_curve_norm)
    if rows:
        job.outer, job.groups, job.inner = 1, cnp.PyArray_DIM(x, 0), cnp.PyArray_DIM(x, 1)
    else:
        job.outer, job.groups, job.inner = cnp.PyArray_DIM(x, 0), cnp.PyArray_DIM(x, 1), inner
    job.by_group, job.eps = not rows, eps
    plan.point(&job.x, x)
    plan.point(&job.v, v)
    if dv is not None:
        plan.point(&job.dv, dv)
    if dx is not None:
        plan.point(&job.dx, dx)
    if gamma is not None:
        plan.point(&job.gamma, gamma)
    if dgamma is not None:
        plan.point(&job.dgamma, dgamma)
    if mean is not None:
        plan.point(&job.mean, mean)
        plan.point(&job.variance, variance)
    if out is not None:
        plan.point(<const void **>&job.out, out)
    if products is not None:
        plan.point(<const void **>&job.products, products)
    job.per_block = max(BLOCK // 8 // max(job.outer * job.inner, 1), 1)
    job.head.n_blocks = blocks(job.groups, job.per_block)
    job.head.work = 5.0 * cnp.PyArray_SIZE(x)
