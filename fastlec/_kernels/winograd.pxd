cimport numpy as cnp

from fastlec._kernels.epilogue cimport Epilogue
from fastlec._kernels.layout cimport Layout
from fastlec._kernels.plan cimport Plan

cdef bint pays(Plan plan, Layout L) except -1
cdef bint weights_pay(Plan plan, Layout L) except -1
cdef cnp.ndarray convolve(Plan plan, Layout L, cnp.ndarray x, cnp.ndarray W, cnp.ndarray y, Epilogue after, bint terms)
cdef cnp.ndarray weight_gradient(Plan plan, Layout L, cnp.ndarray v, cnp.ndarray x, cnp.ndarray dW, bint terms)
