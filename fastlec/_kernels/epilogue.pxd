# What follows a kernel's sums, for the modules that plan such kernels.
cimport numpy as cnp

from fastlec._kernels.fl cimport fl_epilogue, fl_int
from fastlec._kernels.plan cimport Plan

cdef enum:              # parts of an epilogue
    BIAS = 1
    ACTIVATION = 2
    RESIDUAL = 4
    ACCUMULATE = 8
    DERIVATIVE = 16
    UPDATE = 32
    Z = 64
    REPEATED_OF = 128       # of a kernel: `of` may have fewer rows than the output


cdef class Epilogue:
    cdef readonly cnp.ndarray bias, residual, of, z
    cdef readonly int activation, derivative
    cdef readonly double alpha
    cdef readonly bint accumulate, update, by_row

    cdef int parts(self) noexcept
    cpdef Epilogue part(self, object index, tuple shape)
    cdef Epilogue rows(self, object index, tuple shape, object channels)
    cdef int point(self, Plan plan, fl_epilogue *e) except -1
    cdef fl_int of_rows(self, fl_int m) noexcept
    cdef double work(self) noexcept


cdef Epilogue checked(Epilogue after, Plan plan, str kernel, cnp.ndarray out, int allowed)
