# The layout of a convolution, for the modules that plan one.
cimport numpy as cnp

from fastlec._kernels.fl cimport *
from fastlec._kernels.plan cimport Plan

cdef class Layout:
    cdef fl_int images, groups, rows, channels          # of a group
    cdef fl_int h, w, sh, sw, top, left                 # source
    cdef fl_int grid_rows, grid_cols, oh, ow, down, across
    cdef fl_int r, s, dh, dw
    cdef fl_int row_step, channel_step                  # of W
    cdef int order                                      # FL_PACK_ROWS, ...: what of A is consecutive in W
    cdef fl_int n_phases, total
    cdef bint whole                                     # every pixel of the result is in one of the phases
    cdef fl_int beside                                  # phases, neighbours in a row, that may be stored together
    cdef fl_int far_y, far_x, ext_rows, ext_cols, phases_y, phases_x
    cdef cnp.ndarray rows_from, cols_from               # where taps begin that lie far apart, or None
    cdef object phases, taps_y, taps_x, place           # intp arrays
    cdef fl_conv_phase *phase
    cdef fl_int *ty
    cdef fl_int *tx
    cdef fl_int *where
    cdef object g                                       # the Geometry
    cdef bint transposed                                # the gradient by the data
    cdef object why                                     # why its algorithm was chosen: for Plan.because
    cdef bint asked                                     # whether the user named the algorithm
    cdef bint tiled                                     # whether `tile` and `chunk` are chosen (planes.choose_tile)
    cdef fl_conv_planes tile
    cdef fl_int chunk

    cdef int allot(self, fl_int n_phases, fl_int total) except -1
    cdef int extend(self) except -1
    cdef void fill_planes(self, fl_conv_planes *P, fl_int tile_rows, fl_int tile_cols) noexcept
    cdef void one_plane(self, fl_conv_planes *P) noexcept
    cdef int keep_planes(self, Plan plan) except -1
    cdef object offsets(self, fl_conv_planes *P, fl_int phase_step)
    cdef fl_int depth(self) noexcept
    cdef double macs(self) noexcept
    cdef bint is_3x3(self) noexcept


cdef cnp.ndarray new_table(fl_int n)
cdef fl_int *entries(object table)
cdef Layout forward_layout(object g, bint flat=*)
cdef Layout data_layout(object g)
cdef fl_int lanes_of(Plan plan) noexcept
