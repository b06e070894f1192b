cimport numpy as cnp

from fastlec._kernels.conv.layout cimport Layout
from fastlec._kernels.fl cimport fl_conv_taps, fl_int
from fastlec._kernels.plan cimport Plan

cdef fl_int rows_of_panel(fl_int rows)
cdef fl_conv_taps taps_of(Layout L, cnp.ndarray W, fl_int mr)
cdef cnp.ndarray packed(Plan plan, Layout L, cnp.ndarray W, fl_int mr)
