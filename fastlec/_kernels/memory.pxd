from libc.stddef cimport size_t
cimport numpy as cnp

cdef void *take(size_t size) except NULL
cdef void give(void *data, size_t size) noexcept
cdef cnp.ndarray empty(int ndim, cnp.npy_intp *dims, int typenum)
