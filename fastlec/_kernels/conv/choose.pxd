# The choice of an algorithm, for conv2d.pyx.
cimport numpy as cnp

from fastlec._kernels.conv.layout cimport Layout
from fastlec._kernels.epilogue cimport Epilogue
from fastlec._kernels.plan cimport Plan

cdef enum:
    AUTO_CODE, IM2COL_CODE, DIRECT_CODE, WINOGRAD_CODE          # what users ask for
    DEPTHWISE_CODE, PIXELS_CODE, CHANNELS_CODE, IMAGES_CODE, PRODUCTS_CODE, COLUMNS_CODE  # the other algorithms, by name: for tests

cdef int add_convolution(Plan plan, Layout L, int algorithm, cnp.ndarray x, cnp.ndarray W, cnp.ndarray y, Epilogue after) except -1
cdef int add_weights(Plan plan, Layout L, int algorithm, cnp.ndarray v, cnp.ndarray x, cnp.ndarray dW) except -1
