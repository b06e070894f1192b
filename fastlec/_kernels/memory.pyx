# cython: freethreading_compatible=True
"""Memory for outputs and scratch: 64-byte aligned, on huge pages from 1 MiB, kept for the next call up to a bound.

A fresh page costs more than most kernels that fill it (a page fault is 2 us on a virtual machine), so freed buffers stay on a
short list, oldest out first. Everything here runs with the lock held and never calls Python while it is.
"""

cimport cython
cimport numpy as cnp
from libc.stdlib cimport free

from fastlec._kernels.dtypes cimport dtypes
from fastlec._kernels.fl cimport FL_F32, FL_F64

cnp.import_array()

cdef extern from *:
    """
    #include <stdlib.h>
    #if defined __linux__
    #include <sys/mman.h>
    #endif
    static void *fl_aligned(size_t align, size_t size)
    {
        void *p = NULL;
        if (posix_memalign(&p, align, size)) return NULL;
    #if defined __linux__ && defined MADV_HUGEPAGE
        if (align >= (size_t)1 << 21) madvise(p, size, MADV_HUGEPAGE);
    #endif
        return p;
    }
    """
    void *fl_aligned(size_t align, size_t size) nogil

cdef enum:
    SLOTS = 64
    SMALL = 1 << 16       # below this NumPy's own allocator is as good
    HUGE_FROM = 1 << 20
    HUGE_PAGE = 1 << 21

cdef struct Slot:
    void *data
    size_t size

cdef Slot kept[SLOTS]     # oldest first
cdef int n_kept = 0
cdef size_t kept_bytes = 0
cdef size_t bound = 256 << 20
cdef cython.pymutex lock


cdef size_t rounded(size_t size) noexcept nogil:
    """The size class: at most an eighth more than asked for, whole pages, whole huge pages from HUGE_FROM."""
    cdef size_t step = 4096
    while step * 16 <= size:
        step *= 2
    if size >= HUGE_FROM and step < HUGE_PAGE:
        step = HUGE_PAGE
    return (size + step - 1) // step * step


cdef void *take(size_t size) except NULL:
    """At least `size` bytes, aligned to 64 or better. MemoryError if there are none."""
    global n_kept, kept_bytes
    cdef void *data = NULL
    cdef int i
    if size > (<size_t>1 << 62):
        raise MemoryError(f"cannot allocate {size} bytes")
    size = rounded(size)
    with lock:
        for i in range(n_kept - 1, -1, -1):
            if kept[i].size == size:
                data = kept[i].data
                forget(i)
                break
    if data is NULL:
        data = fl_aligned(HUGE_PAGE if size >= HUGE_FROM else 4096, size)
        if data is NULL:
            raise MemoryError(f"cannot allocate {size} bytes")
    return data


cdef void give(void *data, size_t size) noexcept:
    """Returns what take(size) gave."""
    global n_kept, kept_bytes
    size = rounded(size)
    with lock:
        while size <= bound and n_kept and (n_kept == SLOTS or kept_bytes + size > bound):
            free(kept[0].data)
            forget(0)
        if size <= bound:
            kept[n_kept].data = data
            kept[n_kept].size = size
            n_kept += 1
            kept_bytes += size
            data = NULL
    free(data)


cdef void forget(int i) noexcept:
    """Takes slot i off the list; the order of the others stays."""
    global n_kept, kept_bytes
    kept_bytes -= kept[i].size
    n_kept -= 1
    while i < n_kept:
        kept[i] = kept[i + 1]
        i += 1


@cython.final
cdef class Buffer:
    """Owns one allocation: the base of an output array."""
    cdef void *data
    cdef size_t size

    def __dealloc__(self):
        if self.data is not NULL:
            give(self.data, self.size)


cdef cnp.ndarray empty(int ndim, cnp.npy_intp *dims, int typenum):
    """A new C-ordered float32 or float64 array; its values are whatever the memory held. MemoryError if there is no such size."""
    cdef size_t size = dtypes[FL_F32 if typenum == cnp.NPY_FLOAT else FL_F64].size, most = <size_t>1 << 62
    cdef int i
    cdef Buffer buffer
    cdef cnp.ndarray array
    for i in range(ndim):
        if dims[i] and size > most // <size_t>dims[i]:
            raise MemoryError(f"cannot allocate an array of shape {tuple([dims[i] for i in range(ndim)])}")
        size *= <size_t>dims[i]
    if size < SMALL:
        return cnp.PyArray_EMPTY(ndim, dims, typenum, 0)
    buffer = Buffer.__new__(Buffer)
    buffer.data = take(size)
    buffer.size = size
    array = cnp.PyArray_SimpleNewFromData(ndim, dims, typenum, buffer.data)
    cnp.set_array_base(array, buffer)
    return array


def set_bound(size_t n_bytes):
    """How many bytes of freed buffers are kept for reuse (256 MiB at first); 0 turns the pool off. Returns the former bound."""
    global bound, n_kept, kept_bytes
    cdef size_t former = bound
    with lock:
        bound = n_bytes
        while n_kept and kept_bytes > bound:
            free(kept[0].data)
            forget(0)
    return former


def info():
    """Bytes kept, buffers kept, the bound."""
    return {"kept_bytes": kept_bytes, "kept_buffers": n_kept, "bound_bytes": bound}
