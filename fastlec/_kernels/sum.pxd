cimport numpy as cnp

from fastlec._kernels.fl cimport fl_int
from fastlec._kernels.plan cimport Plan

cdef int sum_parts(Plan plan, cnp.ndarray partial, fl_int parts, fl_int n, cnp.ndarray out) except -1
