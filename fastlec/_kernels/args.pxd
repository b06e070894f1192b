# What every binding asks of an array before it takes its pointer. "Plain": an exact ndarray of native float32 or float64, aligned
# and in C order. Anything else is declined, and fastlec/_check.py makes it plain.
cimport numpy as cnp
from fastlec._kernels.fl cimport FL_F32, FL_F64

cdef inline bint is_plain(object a):
    return (cnp.PyArray_CheckExact(a) and cnp.PyArray_ISCARRAY_RO(<cnp.ndarray>a)
            and (cnp.PyArray_TYPE(<cnp.ndarray>a) == cnp.NPY_FLOAT or cnp.PyArray_TYPE(<cnp.ndarray>a) == cnp.NPY_DOUBLE))

cdef inline bint is_plain_out(object a, int typenum):
    return (cnp.PyArray_CheckExact(a) and cnp.PyArray_ISCARRAY(<cnp.ndarray>a)
            and cnp.PyArray_TYPE(<cnp.ndarray>a) == typenum)

cdef inline int dtype_of(cnp.ndarray a) noexcept:
    return FL_F32 if cnp.PyArray_TYPE(a) == cnp.NPY_FLOAT else FL_F64

cdef inline bint same_shape(cnp.ndarray a, cnp.ndarray b) noexcept:
    cdef int i, n = cnp.PyArray_NDIM(a)
    if cnp.PyArray_NDIM(b) != n:
        return False
    for i in range(n):
        if cnp.PyArray_DIM(a, i) != cnp.PyArray_DIM(b, i):
            return False
    return True

cdef inline object returned(cnp.ndarray y, object out):
    """What a function of arrays returns: out, a new array, or of one that is 0-d its element, as NumPy's functions do."""
    return y if out is not None or cnp.PyArray_NDIM(y) else y[()]

cdef inline bint apart_or_same(cnp.ndarray a, cnp.ndarray b) noexcept:
    """The two share no byte, or begin at the same one."""
    cdef char *pa = <char *>cnp.PyArray_DATA(a)
    cdef char *pb = <char *>cnp.PyArray_DATA(b)
    return pa == pb or pa + cnp.PyArray_NBYTES(a) <= pb or pb + cnp.PyArray_NBYTES(b) <= pa
