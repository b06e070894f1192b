# The weights' gradient from planes, for lanes along the pixels and along the channels.
cimport numpy as cnp

from fastlec._kernels.conv.layout cimport Layout
from fastlec._kernels.fl cimport fl_int
from fastlec._kernels.plan cimport Plan

cdef double DOTS

cdef fl_int channels_of_region(Layout L) noexcept
cdef int add_regions(Plan plan, Layout L, cnp.ndarray v, cnp.ndarray x, cnp.ndarray dW, bint by_channel, double ns) except -1
