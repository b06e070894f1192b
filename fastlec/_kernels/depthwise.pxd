cimport numpy as cnp

from fastlec._kernels.epilogue cimport Epilogue
from fastlec._kernels.layout cimport Layout
from fastlec._kernels.plan cimport Plan

cdef bint fits(Layout L) noexcept
cdef bint weights_fit(Layout L) noexcept
cdef int convolve(Plan plan, Layout L, cnp.ndarray x, cnp.ndarray W, cnp.ndarray y, Epilogue after) except -1
cdef int weight_gradient(Plan plan, Layout L, cnp.ndarray v, cnp.ndarray x, cnp.ndarray dW) except -1
