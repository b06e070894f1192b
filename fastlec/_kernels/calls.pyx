# cython: freethreading_compatible=True
"""Plans that are kept for the next call with arrays of the same shapes: planning takes far longer than small calls compute.

Whoever uses a plan has taken it off the list, so no two threads, and no signal handler and what it interrupts, run one plan at
once; a plan whose run raised is not given back.
"""

cimport numpy as cnp
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.string cimport memcmp

from numpy import copyto

from fastlec._kernels.plan cimport Plan
from fastlec._kernels.runner cimport facts

from fastlec._kernels.conv2d import get_default

cnp.import_array()

cdef enum:
    LENGTHS = 64            # of all arrays of a key together


def settings():
    """What plans depend on besides their arguments: the instruction set in use, and what "auto" is of convolutions."""
    return <size_t>facts(), get_default()


cdef bint exact(object value):
    """Whether value is of Python's own integers, strings and tuples of such: what is equal to it then means the same."""
    if type(value) is tuple:
        for item in <tuple>value:
            if not exact(item):
                return False
        return True
    return type(value) is int or type(value) is str


def key_of(what, arrays, options):
    """What tells a call from others: what is computed, dtypes and shapes of the arrays, the options, `settings`. None where an
    array is no ndarray, or options are not made of integers, strings and tuples alone."""
    cdef cnp.npy_intp lengths[LENGTHS]
    cdef int n = 0, i
    cdef cnp.ndarray a
    if not exact(options):
        return None
    for item in arrays:
        if not cnp.PyArray_CheckExact(item):
            return None
        a = <cnp.ndarray>item
        if n + 2 + cnp.PyArray_NDIM(a) > LENGTHS:
            return None
        lengths[n], lengths[n + 1] = cnp.PyArray_TYPE(a), cnp.PyArray_NDIM(a)
        n += 2
        for i in range(cnp.PyArray_NDIM(a)):
            lengths[n] = cnp.PyArray_DIM(a, i)
            n += 1
    return PyBytes_FromStringAndSize(<const char *>lengths, n * sizeof(cnp.npy_intp)), what, options, <size_t>facts(), get_default()


def same(cnp.ndarray a not None, cnp.ndarray b not None):
    """Whether two arrays of one shape and dtype, in C order, are the same to the bit."""
    return not memcmp(cnp.PyArray_DATA(a), cnp.PyArray_DATA(b), cnp.PyArray_NBYTES(a))


cdef class Calls:
    """The plans that nobody uses at the moment, the last used one last: `most` of them at most, which hold n_bytes at most. A plan
    that holds more by itself computes for so long that planning it again is nothing. Copies and pickles begin with none. Threads
    may find and give at once: each change of the list is one call, and so is atomic."""
    cdef readonly list idle
    cdef readonly Py_ssize_t most
    cdef readonly size_t n_bytes

    def __init__(self, Py_ssize_t most=8, size_t n_bytes=1 << 22):
        self.idle, self.most, self.n_bytes = [], most, n_bytes

    def __reduce__(self):
        return type(self), (self.most, self.n_bytes)

    def find(self, object key):
        """A plan of this key, which is off the list then, or None; there is none of the key None."""
        cdef Plan plan
        if key is None:
            return None
        for plan in reversed(self.idle):
            if plan.key == key:
                try:
                    self.idle.remove(plan)
                    return plan
                except ValueError:      # another thread was faster
                    continue
        return None

    def give(self, Plan plan not None):
        """Keeps a plan for the next call, and those used before as far as the bounds allow."""
        if plan.key is None or plan.n_bytes > self.n_bytes:
            return
        self.idle.append(plan)
        while len(self.idle) > self.most or self.held() > self.n_bytes:
            self.idle[:1] = []

    def clear(self):
        """Keeps none."""
        self.idle[:] = []

    cdef size_t held(self):
        cdef size_t total = 0
        cdef Plan plan
        for plan in self.idle:
            total += plan.n_bytes
        return total

    def call(self, object key, inputs, outs=None):
        """`Plan.call` of a plan of this key; None where there is none, or its own None."""
        cdef Plan plan = self.find(key)
        if plan is None:
            return None
        found = plan.call(inputs, outs)
        self.give(plan)
        return found

    def results(self, key, int typenum, inputs, shapes, outs, add):
        """As `call`, for plain inputs, with a new plan where none of this key is kept: add(plan, *slots) adds its jobs, for slots
        like the inputs, then of these shapes. outs, which fit in shape and dtype, are copied into where jobs cannot write there."""
        cdef Plan plan = self.find(key)
        if plan is None:
            plan = Plan(typenum)
            add(plan, *[plan.place(*shape) for shape in (*[a.shape for a in inputs], *shapes)])
            plan.key = key
            plan.settle()
        found = plan.call(inputs, outs)
        if found is None:
            found = plan.call(inputs)
            for i, out in enumerate(outs):
                if out is not None:
                    copyto(out, found[i])
                    found[i] = out
        self.give(plan)
        return found


functions = Calls(64, 1 << 24)      # of those functions of fastlec that belong to no object
