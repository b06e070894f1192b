# Planes of the source, for lanes along the pixels and along the channels.
cimport numpy as cnp

from fastlec._kernels.conv.layout cimport Layout
from fastlec._kernels.epilogue cimport Epilogue
from fastlec._kernels.fl cimport fl_conv_planes, fl_int
from fastlec._kernels.plan cimport Plan

cdef fl_conv_planes *choose_tile(Plan plan, Layout L) except NULL
cdef bint reads_in_place(Layout L) noexcept
cdef bint reads_one_plane(Layout L, fl_conv_planes *P) noexcept
cdef double share(Layout L, fl_conv_planes *P)
cdef double share_along_channels(Layout L, fl_conv_planes *P)
cdef fl_int panel_along_channels(fl_int rows, fl_int lanes) noexcept
cdef int add_tiles(Plan plan, Layout L, cnp.ndarray x, cnp.ndarray W, cnp.ndarray y, Epilogue after, bint by_channel,
                   double ns) except -1
