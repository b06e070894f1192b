# cython: freethreading_compatible=True
"""Elementwise functions and their derivatives."""

cimport numpy as cnp

from fastlec._kernels cimport memory
from fastlec._kernels.args cimport apart_or_same, dtype_of, is_plain, is_plain_out, returned, same_shape
from fastlec._kernels.dtypes cimport dtypes
from fastlec._kernels.fl cimport *
from fastlec._kernels.plan cimport BLOCK, Plan, blocks
from fastlec._kernels.runner cimport run_job, start_job

cnp.import_array()

cdef extern from *:
    """
    #define FL_FUNCTION_NAME(NAME, name, ...) #name,
    static const char *const fl_functions[] = {FL_EACH_FUNCTION(FL_FUNCTION_NAME)};
    #undef FL_FUNCTION_NAME
    """
    const char *fl_functions[FL_FUNCTIONS]

FUNCTIONS = {fl_functions[i].decode(): i for i in range(FL_FUNCTIONS)}      # csrc/functions.def: {name: number}
ALPHA = {name: FL_ALPHA(i) for name, i in FUNCTIONS.items()}                # their parameter where none is given, or 0


cdef cnp.ndarray output(cnp.ndarray x, object out):
    """out itself if the kernel may write to it, a new array for None, else None."""
    if out is None:
        return memory.empty(cnp.PyArray_NDIM(x), cnp.PyArray_DIMS(x), cnp.PyArray_TYPE(x))
    if is_plain_out(out, cnp.PyArray_TYPE(x)) and same_shape(x, <cnp.ndarray>out) and apart_or_same(x, <cnp.ndarray>out):
        return <cnp.ndarray>out
    return None


cdef void fill(fl_map_job *job, int function, double alpha, cnp.ndarray x, void *y, void *dy) noexcept:
    """All of a new job but its kernel, and x where the job is a plan's."""
    job.function, job.alpha, job.x, job.y, job.dy = function, alpha, cnp.PyArray_DATA(x), y, dy
    job.n, job.per_block = cnp.PyArray_SIZE(x), BLOCK
    job.head.n_blocks = blocks(job.n, BLOCK)
    job.head.work = job.n * dtypes[dtype_of(x)].function_ns


cdef int compute(int function, double alpha, cnp.ndarray x, void *y, void *dy) except -1:
    cdef fl_map_job job
    start_job(&job, sizeof(job), FL_KERNEL_map, dtype_of(x))
    fill(&job, function, alpha, x, y, dy)
    return run_job(&job)


cdef object one(int function, double alpha, object x, object out, bint derivative):
    cdef cnp.ndarray y = output(<cnp.ndarray>x, out) if is_plain(x) else None
    if y is None:
        return None
    compute(function, alpha, <cnp.ndarray>x, NULL if derivative else cnp.PyArray_DATA(y),
            cnp.PyArray_DATA(y) if derivative else NULL)
    return returned(y, out)


def value(int function, object x, object out, double alpha=0):
    """f(x) in `out` or a new array, or a scalar; None if the arguments are not plain. IN x, plain. OUT out, plain, of x's shape, or
    None. alpha: the parameter of a function that has one."""
    return one(function, alpha, x, out, False)


def derivative(int function, object x, object out, double alpha=0):
    """f'(x), as value."""
    return one(function, alpha, x, out, True)


def both(int function, object x, object out, object derivative_out, double alpha=0):
    """(f(x), f'(x)) in one sweep, as value. The two outputs must not share memory."""
    cdef cnp.ndarray y, dy
    if not is_plain(x):
        return None
    y = output(<cnp.ndarray>x, out)
    dy = output(<cnp.ndarray>x, derivative_out)
    if y is None or dy is None:
        return None
    if cnp.PyArray_DATA(y) == cnp.PyArray_DATA(dy) or not apart_or_same(y, dy):
        return None
    compute(function, alpha, <cnp.ndarray>x, cnp.PyArray_DATA(y), cnp.PyArray_DATA(dy))
    return returned(y, out), returned(dy, derivative_out)


def forward(Plan plan not None, int function, cnp.ndarray x not None, cnp.ndarray y not None, double alpha=0):
    """y = f(x), elementwise, as a job of a plan. alpha: as of value."""
    cdef fl_map_job *job
    plan.check_size(x, "x", x)
    plan.check_size(y, "y", x)
    job = <fl_map_job *>plan.add(FL_KERNEL_map)
    fill(job, function, alpha, x, NULL, NULL)
    plan.point(&job.x, x)
    plan.point(<const void **>&job.y, y)
