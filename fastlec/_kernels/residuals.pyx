# cython: freethreading_compatible=True
"""Losses that are sums over elements and their targets: values and gradients, as jobs of a plan."""

import numpy as np

cimport numpy as cnp

from fastlec._kernels.dtypes cimport dtypes
from fastlec._kernels.fl cimport *
from fastlec._kernels.plan cimport BLOCK, Plan, blocks

cnp.import_array()


cdef extern from *:
    """
    #define FL_LOSS_ROW(NAME, name, kept, value, factor, derivative, second, functions, ...) {#name, factor, functions},
    static const struct fl_loss_row { const char *name; double factor; int functions; } fl_losses[] = {FL_EACH_LOSS(FL_LOSS_ROW)};
    #undef FL_LOSS_ROW
    """
    ctypedef struct fl_loss_row:
        const char *name
        double factor
        int functions
    const fl_loss_row fl_losses[FL_LOSSES]

LOSSES = {fl_losses[i].name.decode(): i for i in range(FL_LOSSES)}      # csrc/losses.def: {name: number}


cdef fl_residuals_job *new(Plan plan, int kernel, str name, cnp.ndarray x, cnp.ndarray t, cnp.ndarray grad, double count,
                           cnp.ndarray weight, parameters) except NULL:
    cdef fl_residuals_job *job
    cdef int number = LOSSES[name]
    cdef cnp.ndarray numbers
    plan.check_size(x, "x", x)
    job = <fl_residuals_job *>plan.add(kernel)
    job.loss = number
    plan.point(&job.x, x)
    if t is not None:
        plan.check_size(t, "t", x)
        plan.point(&job.t, t)
    if grad is not None:
        plan.check_size(grad, "grad", x)
        plan.point(<const void **>&job.grad, grad)
    if weight is not None:
        plan.check_weights(weight, "weight")
        job.width = cnp.PyArray_SIZE(x) // max(cnp.PyArray_SIZE(weight), 1)
        if job.width * cnp.PyArray_SIZE(weight) != cnp.PyArray_SIZE(x):
            raise ValueError(f"weight has {len(weight)} elements; expected one for each sample of x")
        plan.point(<const void **>&job.weight, weight)
    if len(parameters):
        numbers = np.array(parameters, np.float64)
        if cnp.PyArray_NDIM(numbers) != 1 or cnp.PyArray_SIZE(x) % cnp.PyArray_SIZE(numbers):
            raise ValueError(f"parameters has shape {np.shape(numbers)}; expected (n,), n a divisor of {cnp.PyArray_SIZE(x)}")
        plan.point(<const void **>&job.parameters, numbers)
        job.n_parameters = cnp.PyArray_SIZE(numbers)
    job.scale = fl_losses[number].factor / count
    job.n = cnp.PyArray_SIZE(x)
    job.per_block = BLOCK
    job.head.n_blocks = blocks(job.n, BLOCK)
    job.head.work = job.n * (0.5 + fl_losses[number].functions * dtypes[plan.dtype].function_ns)
    return job


def loss(Plan plan not None, str name not None, cnp.ndarray x not None, cnp.ndarray t, cnp.ndarray grad=None,
         double count=1, cnp.ndarray weight=None, parameters=()):
    """The plan's loss: the sum of the values for x and t over count, and grad, its gradient by x, which it may overwrite. All of
    one size, C order; t None for zeros. name : of a loss in csrc/losses.def. weight : float64, of each sample, one or more elements
    of x; or None. parameters : of the loss: one number for all, or one for each element of a sample."""
    cdef fl_residuals_job *job = new(plan, FL_KERNEL_residuals, name, x, t, grad, count, weight, parameters)
    job.sums = plan.take_losses(max(job.head.n_blocks, 1), count)


def mv(Plan plan not None, str name not None, cnp.ndarray x not None, cnp.ndarray t, cnp.ndarray v not None,
       cnp.ndarray out not None, double count=1, cnp.ndarray weight=None, parameters=()):
    """out = the Hessian by x of what `loss` adds up, which is diagonal, times v; out may be v."""
    cdef fl_residuals_job *job = new(plan, FL_KERNEL_residuals_mv, name, x, t, out, count, weight, parameters)
    plan.check_size(v, "v", x)
    plan.point(&job.v, v)
