# What the jobs of convolutions have in common, for the modules that plan them.
cimport numpy as cnp

from fastlec._kernels.fl cimport *
from fastlec._kernels.plan cimport Plan

cdef enum:
    SCRATCH = 1 << 18       # bytes of planes that stay in L2 beside what is read of the weights
    MOST_SCRATCH = 8 << 20  # of any job, where it has a choice
    MOST_PARTIAL = 64 << 20 # of sums over parts of the images
    ENOUGH = 8              # blocks that keep teams of 2, 4 and 8 busy
    ELEMENTS = 1 << 14      # of an elementwise block
    LEAST_MACS = 400000     # multiplications in a block that is worth its share of copying: about 7 us,
    MOST_MACS = 300000000   # and in one that can still be interrupted: about 6 ms


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

    cdef int allot(self, fl_int n_phases, fl_int total) except -1
    cdef int extend(self) except -1
    cdef void fill_planes(self, fl_conv_planes *P, fl_int tile_rows, fl_int tile_cols) noexcept
    cdef void one_plane(self, fl_conv_planes *P) noexcept
    cdef int keep_planes(self, Plan plan) except -1
    cdef object offsets(self, fl_conv_planes *P, fl_int phase_step)
    cdef bint is_3x3(self) noexcept


cdef cnp.ndarray new_table(fl_int n)
cdef fl_int *entries(object table)
cdef Layout forward_layout(object g, bint flat=*)
cdef Layout data_layout(object g)
cdef fl_int most_rows_of_panel() noexcept
cdef fl_int rows_of_panel(fl_int rows)
cdef fl_int depth_of(Layout L)
cdef cnp.ndarray packed(Plan plan, Layout L, cnp.ndarray W, fl_int mr)
cdef fl_conv_taps taps_of(Layout L, cnp.ndarray W, fl_int mr)
cdef int choose_tile(Layout L, fl_conv_planes *P, fl_int *chunk, size_t size) except -1
cdef fl_int lanes_of(Plan plan) noexcept
cdef int check_image(Plan plan, cnp.ndarray a, str name, fl_int n, fl_int c, fl_int h, fl_int w) except -1
