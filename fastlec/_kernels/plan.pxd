# Plan, for the modules that add jobs of their own to one. A family of kernels adds its struct to any_job.
cimport numpy as cnp

from fastlec._kernels.fl cimport *

cdef enum:
    FEW = 3                 # jobs that need no memory of their own
    BLOCK = 1 << 14         # elements of an elementwise block: some microseconds of work

ctypedef union any_job:
    fl_job head
    fl_gemm_job gemm
    fl_pack_job pack
    fl_slope_job slope
    fl_update_job update
    fl_residuals_job residuals
    fl_smooth_job smooth
    fl_curve_job curve
    fl_curve_softmax_job curve_softmax
    fl_curve_norm_job curve_norm
    fl_outer_job outer
    fl_sum_job sum
    fl_add_job add
    fl_map_job map
    fl_xent_job xent
    fl_columns_job columns
    fl_conv_job conv
    fl_conv_images_job conv_images
    fl_conv_weights_images_job conv_weights_images
    fl_conv_pack_job conv_pack
    fl_conv_weights_job conv_weights
    fl_channels_job channels
    fl_winograd_job winograd
    fl_winograd_pack_job winograd_pack
    fl_winograd_weights_job winograd_weights
    fl_winograd_maps_job winograd_maps
    fl_winograd_measure_job winograd_measure
    fl_winograd_bounds_job winograd_bounds
    fl_winograd_choose_job winograd_choose
    fl_depthwise_job depthwise
    fl_depthwise_weights_job depthwise_weights
    fl_stencil_job stencil
    fl_batch_norm_job batch_norm
    fl_batch_norm_channels_job batch_norm_channels
    fl_layer_norm_job layer_norm
    fl_dropout_job dropout
    fl_pool_job pool


cdef inline fl_int up(fl_int n, fl_int step) noexcept:
    return (n + step - 1) // step * step


cdef inline fl_int blocks(fl_int n, fl_int step) noexcept:
    return (n + step - 1) // step


cdef struct binding:            # a pointer of a job into a slot
    int slot
    Py_ssize_t field            # its place from `jobs`
    Py_ssize_t within           # of what it points to, from the slot's start


cdef class Plan:
    cdef any_job few[FEW]
    cdef any_job *jobs
    cdef int n, room
    cdef int dtype, typenum
    cdef size_t size
    cdef fl_update rule
    cdef list arrays            # all that the jobs point into
    cdef list slots             # arrays that can be exchanged
    cdef binding *bindings
    cdef int n_bindings, bindings_room
    cdef public object key      # under which `Calls` keeps it
    cdef public object state    # what its jobs compute, of which products are taken later
    cdef public double value    # the loss in that state
    cdef readonly size_t n_bytes        # of its own: jobs, their tables, arrays that `empty` gave
    cdef dict packed            # {(address, ...) of a matrix: (it, its panels)}, until a job points to it, and may write
    cdef tuple states           # of the optimizer
    cdef list kernels           # the number of each job's kernel
    cdef dict whys              # {job: why it is as it is}
    cdef dict conditions        # {job: when it runs}
    cdef dict layers            # {job: the layer that it belongs to}
    cdef public str layer       # that of the jobs that are added next, or None
    cdef double *losses
    cdef fl_int n_losses
    cdef double loss_count
    cdef readonly double loss   # that of the last `call`

    cdef any_job *add(self, int which) except NULL
    cdef cnp.ndarray new(self, tuple shape)
    cdef int add_binding(self, int slot, Py_ssize_t field, Py_ssize_t within) except -1
    cdef int keep(self, cnp.ndarray a) except -1
    cdef int hold(self, cnp.ndarray a) except -1
    cdef int because(self, object why) except -1
    cdef int only_if(self, int first, cnp.ndarray flag, int wanted, str condition) except -1
    cdef int point(self, const void **field, cnp.ndarray a) except -1
    cdef int forget(self, cnp.ndarray a) except -1
    cdef int check(self, cnp.ndarray a, str name, int ndim, bint transposed=*) except -1
    cdef int check_shape(self, cnp.ndarray a, str name, fl_int m, fl_int n) except -1
    cdef int check_image(self, cnp.ndarray a, str name, fl_int n, fl_int c, fl_int h, fl_int w) except -1
    cdef int check_weights(self, cnp.ndarray a, str name) except -1
    cdef int check_size(self, cnp.ndarray a, str name, cnp.ndarray like) except -1
    cdef double *take_losses(self, fl_int n, double count) except NULL
