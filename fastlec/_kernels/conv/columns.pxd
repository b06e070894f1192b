# Products of W and the windows of an image as columns: an algorithm of choose.pyx.
cimport numpy as cnp

from fastlec._kernels.conv.layout cimport Layout
from fastlec._kernels.epilogue cimport Epilogue
from fastlec._kernels.plan cimport Plan

ctypedef cnp.ndarray (*Add)(Plan plan, Layout L, cnp.ndarray x, cnp.ndarray W, cnp.ndarray y, Epilogue after)

cdef int each_image(Plan plan, object g, cnp.ndarray x, cnp.ndarray W, cnp.ndarray y, Epilogue after, Add add) except -1
cdef bint fits(Plan plan, Layout L) except -1
cdef double cost_ns(Plan plan, Layout L) except -1
cdef cnp.ndarray add(Plan plan, Layout L, cnp.ndarray x, cnp.ndarray W, cnp.ndarray y, Epilogue after)
