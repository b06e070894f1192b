# What follows a kernel's sums, for the modules that plan such kernels.
cimport numpy as cnp

from fastlec._kernels.fl cimport fl_epilogue
from fastlec._kernels.plan cimport Plan

cdef enum:              # parts of an epilogue
    BIAS = 1
    ACTIVATION = 2
    RESIDUAL = 4
    ACCUMULATE = 8
    DERIVATIVE = 16
    UPDATE = 32
    Z = 64


cdef class Epilogue:
    cdef readonly cnp.ndarray bias, residual, of, z
    cdef readonly int activation, derivative
    cdef readonly double alpha
    cdef readonly bint accumulate, update, by_row

    cdef int parts(self) noexcept
    cpdef Epilogue part(self, object index, tuple shape)
    cdef Epilogue rows(self, object index, tuple shape, object channels)
    cdef int point(self, Plan plan, fl_epilogue *e) except -1
    cdef double work(self) noexcept


cdef Epilogue checked(Epilogue after, Plan plan, str kernel, cnp.ndarray out, int allowed)
