# csrc's jobs and tables as Cython sees them, in the order of the headers.
from libc.stdint cimport int32_t, int64_t

cdef extern from "fl.h" nogil:
    ctypedef Py_ssize_t fl_int
    ctypedef struct fl_job
    ctypedef void (*fl_block_fn)(const fl_job *job, fl_int block, void *scratch) noexcept
    ctypedef struct fl_job:
        fl_block_fn run
        fl_int n_blocks
        double work
        size_t scratch
        fl_block_fn then
        const int *flag
        int wanted

cdef extern from "table.h" nogil:
    enum: FL_F32, FL_F64, FL_DTYPES
    enum: FL_KERNEL_softmax_rows, FL_KERNEL_softmax_cols, FL_KERNEL_softmax_part, FL_KERNEL_softmax_join, FL_KERNEL_softmax_last
    enum: FL_KERNEL_xent, FL_KERNEL_xent_part, FL_KERNEL_xent_join, FL_KERNEL_xent_last
    enum: FL_KERNEL_map, FL_KERNEL_linear, FL_KERNEL_sum, FL_KERNEL_add
    enum: FL_KERNEL_gemm, FL_KERNEL_gemm_dots, FL_KERNEL_gemm_pack
    enum: FL_KERNEL_slope, FL_KERNEL_update, FL_KERNEL_residuals, FL_KERNEL_residuals_mv, FL_KERNEL_smooth
    enum: FL_KERNEL_curve, FL_KERNEL_curve_softmax, FL_KERNEL_curve_norm, FL_KERNEL_outer
    enum: FL_KERNEL_im2col, FL_KERNEL_col2im
    enum: FL_KERNEL_conv, FL_KERNEL_conv_channels, FL_KERNEL_conv_images, FL_KERNEL_conv_pack, FL_KERNEL_conv_weights
    enum: FL_KERNEL_conv_weights_channels, FL_KERNEL_conv_weights_images
    enum: FL_KERNEL_channels
    enum: FL_KERNEL_winograd, FL_KERNEL_winograd_in, FL_KERNEL_winograd_few, FL_KERNEL_winograd_pack, FL_KERNEL_winograd_weights
    enum: FL_KERNEL_winograd_maps, FL_KERNEL_winograd_measure, FL_KERNEL_winograd_bounds, FL_KERNEL_winograd_weights_bounds
    enum: FL_KERNEL_winograd_choose
    enum: FL_KERNEL_conditional
    enum: FL_KERNEL_depthwise, FL_KERNEL_depthwise_weights
    enum: FL_KERNEL_stencil
    enum: FL_KERNEL_batch_norm_moments, FL_KERNEL_batch_norm_sums, FL_KERNEL_batch_norm_map
    enum: FL_KERNEL_batch_norm_dense_moments, FL_KERNEL_batch_norm_dense_sums, FL_KERNEL_batch_norm_dense_map
    enum: FL_KERNEL_batch_norm_forward, FL_KERNEL_batch_norm_derivative, FL_KERNEL_batch_norm_running
    enum: FL_KERNEL_layer_norm, FL_KERNEL_layer_norm_mv, FL_KERNEL_layer_norm_tmv
    enum: FL_KERNEL_dropout_draw, FL_KERNEL_dropout, FL_KERNEL_dropout_count
    enum: FL_KERNEL_pool
    enum: FL_KERNEL_kmeans, FL_KERNEL_kmeans_seed, FL_KERNEL_kmeans_distances, FL_KERNEL_kmeans_moments
    enum: FL_KERNELS
    ctypedef struct fl_facts:
        int vector_bytes
        int registers
        int gemm_rows
        int gemm_packs
        int gemm_depth[2]
        int conv_rows
        int run_pixels

    ctypedef struct fl_table:
        const char *isa
        fl_facts facts
        fl_block_fn fn[FL_KERNELS][FL_DTYPES]

    const fl_table *fl_tables[]
    const fl_table *fl_active
    int fl_runs_here(const fl_table *table)

cdef extern from "shared/activations.h" nogil:
    enum: FL_IDENTITY, FL_FUNCTIONS
    double FL_ALPHA(int function)

cdef extern from "shared/rules.h" nogil:
    enum: FL_RULES, FL_COEFFICIENTS, FL_STATES
    ctypedef struct fl_update:
        int rule
        double c[FL_COEFFICIENTS]
        Py_ssize_t state[FL_STATES]

cdef extern from "shared/epilogue.h" nogil:
    ctypedef struct fl_epilogue:
        const void *bias
        const void *residual
        const void *of
        fl_int of_rows
        void *z
        int accumulate, by_row, activation, derivative
        double alpha
        const fl_update *update

cdef extern from "kernels/softmax.h" nogil:
    enum: FL_SHORT_ROW, FL_LONG_ROW, FL_ROW_PART, FL_WIDE
    enum: FL_SOFTMAX, FL_LOG_SOFTMAX, FL_LOGSUMEXP
    ctypedef struct fl_softmax_job:
        fl_job head
        int mode
        int stream
        const void *x
        void *y
        fl_int m, n, ldx, ldy
        fl_int outer, inner
        fl_int per_block
        fl_int parts, part
        void *partial

cdef extern from "kernels/xent.h" nogil:
    ctypedef struct fl_xent_job:
        fl_job head
        int stream
        const void *x
        const int64_t *labels
        const void *targets
        const double *weight
        double scale
        double *loss
        void *grad
        fl_int m, n, ldx, per_block
        fl_int parts, part
        void *partial

cdef extern from "kernels/elementwise.h" nogil:
    ctypedef struct fl_map_job:
        fl_job head
        int function
        double alpha
        const void *x
        void *y
        void *dy
        fl_int n, per_block

cdef extern from "kernels/linear.h" nogil:
    enum: FL_STRIP
    enum: FL_VALUE, FL_GRADIENT, FL_HESSIAN_MV, FL_DATA_GRADIENT, FL_PROBABILITIES
    ctypedef struct fl_linear_job:
        fl_job head
        int mode
        const void *X
        const int64_t *labels
        const double *weight
        const void *W
        const void *b
        const void *V
        const void *vb
        const void *P
        double *loss
        void *grad
        void *out
        double scale
        fl_int m, n, ldx, l, free, per_block
        fl_int directions, v_step

cdef extern from "kernels/kmeans.h" nogil:
    ctypedef struct fl_samples:
        const void *x
        fl_int ldx, m, n
        const void *shift
        double scale
        const double *weight

    ctypedef struct fl_kmeans_bounds:
        void *upper
        void *lower
        const void *drift
        const void *group_drift
        const int32_t *group
        double reach
        double error
        fl_int groups
        int fresh

    ctypedef struct fl_kmeans_job:
        fl_job head
        fl_samples samples
        fl_int k, per_block
        int assign
        const void *centers
        const void *panels
        const void *bias
        const void *minus
        fl_int columns
        fl_int chunk
        fl_int strip, depth
        int32_t *labels
        double *sums
        int first
        int64_t *changes
        fl_kmeans_bounds bounds
        const void *squares
        void *nearest
        double noise
        double mean_square

    ctypedef struct fl_distances_job:
        fl_job head
        fl_samples samples
        fl_int per_block
        const void *centers
        const int32_t *labels
        double *distance
        double *totals

    ctypedef struct fl_moments_job:
        fl_job head
        fl_samples samples
        fl_int per_block
        double *sums
        void *squares

cdef extern from "kernels/sum.h" nogil:
    ctypedef struct fl_sum_job:
        fl_job head
        const void *part
        const void *theta
        void *out
        double scale, l2
        fl_int parts, stride, len, penalised, per_block
    ctypedef struct fl_add_job:
        fl_job head
        fl_int m, n
        const void *a
        const void *b
        void *out
        fl_int a_row, out_row
        fl_int rows, cols

cdef extern from "kernels/gemm.h" nogil:
    enum: FL_TILE_ROWS, FL_TILE_BYTES, FL_FINISH_BYTES
    ctypedef struct fl_gemm_job:
        fl_job head
        fl_int m, n, k
        const void *a
        const void *b
        fl_int a_row, a_step
        fl_int b_step, b_col
        int packed_a, packed_b
        int pack_a
        int panels_first
        void *c
        fl_int ldc
        fl_epilogue after
        fl_int rows, cols, depth
        fl_int part
        int keep
        fl_int strip

    ctypedef struct fl_pack_job:
        fl_job head
        fl_int n, k
        const void *source
        fl_int apart, step
        void *out
        int rows
        fl_int per_block

cdef extern from "kernels/slope.h" nogil:
    ctypedef struct fl_slope_job:
        fl_job head
        fl_int m, n
        const void *v
        void *g
        fl_epilogue after
        void *total
        const fl_update *update
        fl_int rows, cols

cdef extern from "kernels/update.h" nogil:
    ctypedef struct fl_update_job:
        fl_job head
        const fl_update *update
        void *w
        const void *g
        fl_int n, per_block

cdef extern from "kernels/residuals.h" nogil:
    enum: FL_LOSSES
    ctypedef struct fl_residuals_job:
        fl_job head
        int loss
        const void *x
        const void *t
        void *grad
        const double *weight
        fl_int width
        const double *parameters
        fl_int n_parameters
        const void *v
        double scale
        double *sums
        fl_int n, per_block

cdef extern from "kernels/smooth.h" nogil:
    ctypedef struct fl_smooth_job:
        fl_job head
        const int64_t *labels
        const void *targets
        void *out
        double share, floor
        fl_int m, n, per_block

cdef extern from "kernels/curvature.h" nogil:
    ctypedef struct fl_curve_job:
        fl_job head
        int activation
        double alpha
        const void *v
        const void *dv
        const void *of
        const void *dof
        void *out
        fl_int n, per_block

    ctypedef struct fl_curve_softmax_job:
        fl_job head
        const void *x
        const void *u
        const void *targets
        const double *weight
        double scale, share, floor
        void *out
        fl_int m, n, per_block

    ctypedef struct fl_curve_norm_job:
        fl_job head
        fl_int outer, groups, inner, per_block
        int by_group
        double eps
        const void *x
        const void *v
        const void *dv
        const void *dx
        const void *gamma
        const void *dgamma
        const void *mean
        const void *variance
        void *out
        void *products

cdef extern from "kernels/outer.h" nogil:
    ctypedef struct fl_outer_job:
        fl_job head
        const void *g
        const void *x
        void *out
        double *norms
        fl_int m, k, n, ld, per_block
        int accumulate

cdef extern from "kernels/im2col.h" nogil:
    ctypedef struct fl_columns_job:
        fl_job head
        void *x
        void *columns
        fl_int h, w, r, s, sh, sw, top, left, dh, dw, oh, ow
        fl_int rows
        fl_int per_block
        int stream
        fl_int per_piece

cdef extern from "kernels/norm.h" nogil:
    enum: FL_NORM_CHANNELS, FL_NORM_STRIP
    ctypedef struct fl_batch_norm_job:
        fl_job head
        fl_int c, pixels, pieces, piece
        fl_int units, per_block
        const void *x
        const void *v
        const double *moments
        double *partial
        const double *factors
        void *out
        fl_epilogue after

    ctypedef struct fl_batch_norm_channels_job:
        fl_job head
        fl_int n, c, pixels, pieces, piece
        fl_int channel_step, piece_step
        int batch
        double eps, momentum
        const double *partial
        double *moments
        double *factors
        const void *gamma
        const void *beta
        void *running_mean
        void *running_var
        const void *dgamma
        const void *dbeta
        void *total_gamma
        void *total_beta
        const fl_update *update

cdef extern from "kernels/layer_norm.h" nogil:
    ctypedef struct fl_layer_norm_job:
        fl_job head
        fl_int m, n, per_block
        double eps
        const void *x
        const void *v
        double *moments
        const void *gamma
        const void *beta
        const void *dgamma
        const void *dbeta
        void *out
        void *total_gamma
        void *total_beta
        fl_epilogue after

cdef extern from "kernels/dropout.h" nogil:
    ctypedef struct fl_dropout_job:
        fl_job head
        fl_int n, per_block
        double p
        const void *x
        void *out
        unsigned char *keep
        const void *seed
        void *count
        fl_epilogue after

cdef extern from "kernels/pool2d.h" nogil:
    enum: FL_MEAN, FL_MEAN_TMV, FL_MAXIMUM, FL_MAXIMUM_MV, FL_MAXIMUM_TMV
    ctypedef struct fl_pool_job:
        fl_job head
        int mode
        const void *x
        const void *source
        void *to
        fl_epilogue after
        fl_int planes, per_block
        fl_int bands, band
        fl_int h, w, oh, ow, r, s, sh, sw
        int sums
        int dilated
        fl_int dh, dw
        fl_int high
        fl_int top, left
        fl_int above, below, before, behind
        int whole
        fl_int inner, outer

cdef extern from "kernels/stencil.h" nogil:
    enum: FL_CONSTANT, FL_REFLECT, FL_NEAREST, FL_WRAP, FL_MIRROR
    enum: FL_STENCIL_ROWS
    ctypedef struct fl_stencil_job:
        fl_job head
        fl_int h, w, r, s
        fl_int tile_rows, tile_cols, tiles_down, tiles_across
        const void *weights
        const void *x
        void *y
        int border
        double cval
        fl_int list, ld

cdef extern from "kernels/conv/conv.h" nogil:
    enum: FL_CONV_ROWS, FL_CONV_STRIP, FL_CONV_BYTES
    ctypedef struct fl_conv_phase:
        fl_int row, col, rows, cols
        fl_int taps, first
        fl_int panels

    ctypedef struct fl_conv_planes:
        fl_int h, w, sh, sw, top, left, phases_y, phases_x
        const fl_int *from_y
        const fl_int *from_x
        fl_int tile_rows, tile_cols
        fl_int plane_rows, pitch, width
        fl_int plane
        fl_int step_y, step_x

    enum: FL_PACK_ROWS, FL_PACK_TAPS, FL_PACK_PLACES
    ctypedef struct fl_conv_taps:
        const void *w
        fl_int group_step, row_step, channel_step
        const fl_int *place
        int order
        fl_int mr

    ctypedef struct fl_conv_job:
        fl_job head
        fl_int images, groups, rows, channels
        fl_conv_planes planes
        fl_int grid_rows, grid_cols, tiles_down, tiles_across
        const fl_conv_phase *phase
        fl_int phases, down, across, beside
        const fl_int *offset
        const void *a
        fl_int mr, panels, per_block
        const void *x
        void *y
        fl_int oh, ow
        fl_epilogue after
        fl_int chunk
        int in_place, flat, by_row

    ctypedef struct fl_conv_bands:
        fl_int images, h, w, top, left, oh, ow
        fl_int taps, ext_rows
        const fl_int *ty
        const fl_int *tx
        fl_int tile_rows, plane_rows
        fl_int before, width

    ctypedef struct fl_conv_images_job:
        fl_job head
        fl_int groups, rows, channels
        fl_conv_bands bands
        const void *a
        fl_int mr, panels
        const void *x
        void *y
        fl_epilogue after
        fl_int chunk
        fl_int list

    ctypedef struct fl_conv_weights_images_job:
        fl_job head
        fl_int groups, rows, channels
        fl_conv_bands bands
        fl_int across
        const void *v
        const void *x
        void *dw
        fl_int units, per_part
        fl_int chunk

    ctypedef struct fl_conv_pack_job:
        fl_job head
        const fl_conv_phase *phase
        fl_int phases, groups, rows, channels, panels
        fl_conv_taps taps
        void *a

    ctypedef struct fl_conv_regions:
        fl_int groups, rows, channels
        fl_int row_chunk, channel_chunk

    ctypedef struct fl_depthwise_job:
        fl_job head
        fl_int images, groups, rows
        fl_int h, w, top, left, oh, ow
        fl_int r, s, dh, dw
        const void *weights
        const fl_int *place
        const void *x
        void *y
        fl_epilogue after
        fl_int per_block

    ctypedef struct fl_depthwise_weights_job:
        fl_job head
        fl_int images, groups, rows
        fl_int h, w, top, left, oh, ow
        const void *v
        const void *x
        void *dw
        fl_int per_block

    ctypedef struct fl_conv_weights_job:
        fl_job head
        fl_conv_regions regions
        fl_int images, taps
        fl_conv_planes planes
        fl_int grid_rows, grid_cols
        const fl_int *offset
        const void *v
        const void *x
        void *dw
        fl_int part_images
        fl_int together
        fl_int mr
        bint in_place

    ctypedef struct fl_channels_job:
        fl_job head
        fl_int rows, n
        const void *v
        void *out
        fl_epilogue after
        void *total
        fl_int per_block

cdef extern from "kernels/conv/winograd.h" nogil:
    enum: FL_WINO_TILE, FL_WINO_POINTS, FL_WINO_RUN, FL_WINO_CHANNELS, FL_WINO_ROWS, FL_WINO_DIRECT
    enum: FL_WINO_MAPS, FL_WINO_BUCKETS, FL_WINO_TERMS, FL_WINO_TERMS_F64, FL_WINO_WEIGHT_TERMS
    ctypedef struct fl_wino_tiles:
        fl_int h, w, top, left
        fl_int oh, ow
        fl_int dh, dw
        fl_int down, across
        fl_int rows, cols

    ctypedef struct fl_winograd_job:
        fl_job head
        fl_int images, groups, rows, channels
        fl_wino_tiles tiles
        fl_int per_block
        fl_conv_taps taps
        fl_int panels
        const void *u
        void *v
        const fl_int *offset
        fl_int pitch
        const fl_int *along_rows
        const void *x
        void *y
        fl_epilogue after
        const void *bounds
        fl_int bounds_pitch
        const void *density

    ctypedef struct fl_winograd_pack_job:
        fl_job head
        fl_int groups, rows, channels, panels
        fl_conv_taps taps
        void *u
        void *density

    ctypedef struct fl_winograd_maps_job:
        fl_job head
        fl_int images, groups, channels, pixels
        fl_int per_block
        const void *x
        void *maps
        double *totals

    ctypedef struct fl_winograd_measure_job:
        fl_job head
        fl_int images, span
        fl_wino_tiles tiles
        fl_int per_block
        const void *maps
        void *measures
        fl_int pitch

    ctypedef struct fl_winograd_bounds_job:
        fl_job head
        fl_int images
        fl_wino_tiles tiles
        fl_int groups, channels, rows
        double terms
        fl_int count, pitch
        const void *measures
        const void *v_measures
        const double *totals
        const double *v_totals
        fl_int x_parts, v_parts
        void *bounds
        int *direct
        const void *x
        const void *v
        fl_int x_size, v_size

    ctypedef struct fl_winograd_choose_job:
        fl_job head
        fl_int groups, rows, count, pitch
        const void *bounds
        const void *density
        int *direct
        double most
        const void *x
        const void *w
        fl_int x_size, w_size

    ctypedef struct fl_winograd_weights_job:
        fl_job head
        fl_conv_regions regions
        fl_int images
        fl_wino_tiles tiles
        const void *v
        const void *x
        void *dw
        fl_int part_rows
        fl_int together
        fl_int mr, pitch
        const fl_int *offset
        const void *bounds
        fl_int bounds_pitch
