# csrc/fl.h as Cython sees it, in the same order.
from libc.stdint cimport int64_t

cdef extern from "fl.h" nogil:
    ctypedef Py_ssize_t fl_int
    ctypedef struct fl_job
    ctypedef void (*fl_block_fn)(const fl_job *job, fl_int block, void *scratch) noexcept
    ctypedef struct fl_job:
        fl_block_fn run
        fl_int n_blocks
        double work
        size_t scratch

    enum: FL_SHORT_ROW, FL_WIDE, FL_STRIP, FL_TILE_ROWS, FL_TILE_BYTES, FL_DEPTH_BYTES

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

    enum: FL_EXP, FL_LOG, FL_TANH, FL_SIGMOID, FL_RELU, FL_IDENTITY
    ctypedef struct fl_map_job:
        fl_job head
        int op
        const void *x
        void *y
        void *dy
        fl_int n, per_block

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

    ctypedef struct fl_sum_job:
        fl_job head
        const void *part
        const void *theta
        void *out
        double scale, l2
        fl_int parts, stride, len, penalised, per_block

    enum: FL_SGD, FL_ADAM
    ctypedef struct fl_update:
        int rule, nesterov
        double rate, momentum, decay
        double beta1, beta2, unbias1, unbias2, eps
        Py_ssize_t s, t

    ctypedef struct fl_gemm_job:
        fl_job head
        fl_int m, n, k
        const void *a
        fl_int a_row, a_step
        int pack
        const void *b
        fl_int ldb
        void *c
        fl_int ldc
        int accumulate
        int op
        const void *bias
        const void *r
        fl_int ldr
        const void *y
        fl_int ldy
        int op2
        const fl_update *update
        fl_int rows, cols, depth
        fl_int part
        int keep
        fl_int strip

    ctypedef struct fl_pack_job:
        fl_job head
        fl_int n, k
        const void *b
        fl_int b_step, b_col
        void *out
        fl_int cols

    ctypedef struct fl_slope_job:
        fl_job head
        fl_int m, n
        const void *v
        const void *y
        int op
        void *g
        void *total
        const fl_update *update
        fl_int rows, cols

    ctypedef struct fl_update_job:
        fl_job head
        const fl_update *update
        void *w
        const void *g
        fl_int n, per_block

    ctypedef struct fl_squares_job:
        fl_job head
        const void *x
        const void *t
        void *grad
        double scale
        double *loss
        fl_int n, per_block

    enum: FL_MEAN, FL_MEAN_TMV, FL_MAXIMUM, FL_MAXIMUM_MV, FL_MAXIMUM_TMV
    ctypedef struct fl_pool_job:
        fl_job head
        int mode
        const void *x
        const void *from_ "from"
        void *to
        const void *y
        int op
        fl_int planes, per_block
        fl_int h, w, oh, ow, r, s, sh, sw
        fl_int top, left
        fl_int inner, outer

    enum: FL_F32, FL_F64, FL_DTYPES
    enum: FL_KERNEL_softmax_rows, FL_KERNEL_softmax_cols, FL_KERNEL_xent, FL_KERNEL_map, FL_KERNEL_linear, FL_KERNEL_sum
    enum: FL_KERNEL_gemm, FL_KERNEL_gemm_dots, FL_KERNEL_gemm_pack, FL_KERNEL_slope, FL_KERNEL_update, FL_KERNEL_squares
    enum: FL_KERNEL_pool
    enum: FL_KERNELS
    ctypedef struct fl_table:
        const char *isa
        fl_block_fn fn[FL_KERNELS][FL_DTYPES]

    const fl_table *fl_tables[]
    const fl_table *fl_active
    int fl_runs_here(const fl_table *table)
