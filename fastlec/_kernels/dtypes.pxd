# What Cython knows of a dtype, and how fast kernels are in it.
from fastlec._kernels.fl cimport FL_DTYPES, fl_int

cdef struct Dtype:
    int typenum
    fl_int size             # bytes of an element
    const char *name
    double macs_per_ns      # multiplications with an addition, on one core with AVX-512
    double function_ns      # for an exponential, logarithm or activation of an element
    double pass_ns          # for an element that is read and written

cdef Dtype dtypes[FL_DTYPES]
