from fastlec._kernels.fl cimport fl_int


cdef class Blocking:
    cdef readonly fl_int rows, cols, parts, strip
    cdef readonly bint dots, pack_a, pack_b, panels_first, few_rows, keep
    cdef readonly str why


cpdef Blocking choose_blocking(fl_int m, fl_int n, fl_int k, bint by_row, bint by_column, fl_int size, bint plain, fl_int packs,
                               fl_int depth)
