# cython: freethreading_compatible=True
"""The dtypes of kernels."""

cimport numpy as cnp

from fastlec._kernels.fl cimport *

# Rates are those of one core of Zen 4 with AVX-512, rounded: they decide between ways to compute the same, and for how many threads
# work is enough, where a fifth more or less does not matter.
dtypes[FL_F32] = Dtype(cnp.NPY_FLOAT, 4, "float32", 50, 0.3, 0.2)
dtypes[FL_F64] = Dtype(cnp.NPY_DOUBLE, 8, "float64", 25, 0.9, 0.4)
