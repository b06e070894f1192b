cimport numpy as cnp

from fastlec._kernels.conv.layout cimport Layout
from fastlec._kernels.fl cimport fl_int, fl_wino_tiles
from fastlec._kernels.plan cimport Plan

cdef fl_int pitch_of(Plan plan, Layout L, fl_wino_tiles T) noexcept
cdef cnp.ndarray bounds(Plan plan, Layout L, fl_wino_tiles T, cnp.ndarray x, bint few)
cdef cnp.ndarray choose(Plan plan, Layout L, fl_wino_tiles T, cnp.ndarray x, cnp.ndarray W, cnp.ndarray found, cnp.ndarray density,
                        double most, bint few)
cdef cnp.ndarray weights_bounds(Plan plan, Layout L, fl_wino_tiles T, cnp.ndarray v, cnp.ndarray x, bint few, cnp.ndarray flag)
cdef cnp.ndarray new_flag()
cdef size_t pixels_of(Plan plan, fl_int pitch)
