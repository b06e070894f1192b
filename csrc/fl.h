/* fl.h: the whole contract between the C kernels and their callers.
 *
 * A kernel call is a job: a plain struct whose first member is an fl_job. The caller fills it, looks the block function
 * up in a table, and runs every block once, in any order and on any thread. Kernels compute; they never fail, allocate,
 * start threads or know Python. SPDX-License-Identifier: BSD-3-Clause */
#ifndef FL_H
#define FL_H

#include <stddef.h>
#include <stdint.h>

typedef ptrdiff_t fl_int;
typedef struct fl_job fl_job;

/* Computes one block of the job. scratch: the job's scratch bytes, 64-byte aligned, this thread's own, uninitialised. */
typedef void (*fl_block_fn)(const fl_job *job, fl_int block, void *scratch);

struct fl_job {
    fl_block_fn run;
    fl_int n_blocks; /* depends on the problem alone, never on the team: results are the same for every team */
    double work;     /* estimated nanoseconds of all blocks on one core */
    size_t scratch;  /* bytes that one thread needs */
};

/* What callers and kernels must agree on, to plan blocks and scratch. */
enum {
    FL_SHORT_ROW = 40, /* rows up to this long are worked on transposed, many at a time */
    FL_WIDE = 4,       /* 64-byte vectors of independent problems that are worked on together, at most */
    FL_STRIP = 64,     /* samples whose logits are computed together, at most */
    FL_TILE_ROWS = 12, /* rows of the largest tile of a matrix product, */
    FL_TILE_BYTES = 128, /* and bytes of a row of it: packed panels are that wide, or narrower */
    FL_DEPTH_BYTES = 1536 /* of a row that a tile sums over at a time */
};

/* y[i,:] or y[:,i] = softmax, log-softmax or (one number each) log-sum-exp. softmax_tmpl.h */
enum { FL_SOFTMAX, FL_LOG_SOFTMAX, FL_LOGSUMEXP };

typedef struct {
    fl_job head;
    int mode;
    int stream;                /* y is too large for the caches: write past them */
    const void *x;             /* rows: (m, n), row stride ldx. columns: (outer, n, inner), C order, reduced over n */
    void *y;                   /* as x; FL_LOGSUMEXP: rows (m,), columns (outer, inner). May be x itself */
    fl_int m, n, ldx, ldy;     /* rows */
    fl_int outer, inner;       /* columns */
    fl_int per_block;          /* rows: rows of a block. columns: vectors of 64 bytes along inner */
} fl_softmax_job;

/* loss[block] = sum_i w_i l_i and grad[i,:] = scale * w_i * (softmax(x[i,:]) - target_i). xent_tmpl.h */
typedef struct {
    fl_job head;
    int stream;
    const void *x;             /* logits (m, n), row stride ldx */
    const int64_t *labels;     /* (m,), each in [0, n); or NULL, and then */
    const void *targets;       /* (m, n), C order: probabilities */
    const double *weight;      /* (m,) or NULL for ones */
    double scale;
    double *loss;              /* one per block */
    void *grad;                /* (m, n), C order, or NULL. May be x itself */
    fl_int m, n, ldx, per_block;
} fl_xent_job;

/* y = f(x) and, where dy is given, dy = f'(x), elementwise. map_tmpl.h */
enum { FL_EXP, FL_LOG, FL_TANH, FL_SIGMOID, FL_RELU, FL_IDENTITY };

typedef struct {
    fl_job head;
    int op;
    const void *x;
    void *y, *dy;              /* either may be NULL; either may be x itself */
    fl_int n, per_block;
} fl_map_job;

/* Softmax regression over blocks of samples, one pass over X. linear_tmpl.h */
enum { FL_VALUE, FL_GRADIENT, FL_HESSIAN_MV, FL_DATA_GRADIENT, FL_PROBABILITIES };

typedef struct {
    fl_job head;
    int mode;
    const void *X;             /* (m, n), row stride ldx */
    const int64_t *labels;     /* (m,), each in [0, l) */
    const double *weight;      /* (m,) or NULL for ones */
    const void *W, *b;         /* (free, n) and (free,) or NULL. Classes free..l-1 have logit 0 */
    const void *V, *vb;        /* FL_HESSIAN_MV: direction, as W and b */
    const void *P;             /* FL_HESSIAN_MV: (m, l) probabilities at W and b, which are then not read; or NULL */
    double *loss;              /* FL_VALUE, FL_GRADIENT: one per block, sum of w_i l_i */
    void *grad;                /* FL_GRADIENT, FL_HESSIAN_MV: (n_blocks, free * n + free), sums over each block */
    void *out;                 /* FL_DATA_GRADIENT (m, n), C order; FL_PROBABILITIES (m, l), C order */
    double scale;              /* FL_DATA_GRADIENT only */
    fl_int m, n, ldx, l, free, per_block;
} fl_linear_job;

/* out[j] = scale * sum_p part[p * stride + j] + l2 * theta[j] for j < len, parts in order, in double; theta's term only where
 * j < penalised, and theta may be NULL. scratch: per_block doubles. linear_tmpl.h */
typedef struct {
    fl_job head;
    const void *part, *theta;
    void *out;
    double scale, l2;
    fl_int parts, stride, len, penalised, per_block;
} fl_sum_job;

/* One step of an optimizer for parameters w with gradient g, elementwise, w and the states s, t having one layout. update_tmpl.h
 *   FL_SGD   g += decay * w;  s = momentum * s + g;  w -= rate * (nesterov ? g + momentum * s : s)
 *   FL_ADAM  s = beta1 s + (1 - beta1) g;  t = beta2 t + (1 - beta2) g^2;  w -= rate * (s * unbias1 / (sqrt(t * unbias2) + eps) + decay * w) */
enum { FL_SGD, FL_ADAM };

typedef struct {
    int rule, nesterov;
    double rate, momentum, decay;
    double beta1, beta2, unbias1, unbias2, eps;
    ptrdiff_t s, t;            /* bytes from a parameter to its states; 0: FL_SGD without momentum has none */
} fl_update;

/* C = (op(A B + [C] + bias) + R) * op2'(Y): the matrix product and what follows it, a block of C at a time. gemm_tmpl.h
 * With `update`, C holds parameters and A B is their gradient. */
typedef struct {
    fl_job head;
    fl_int m, n, k;
    const void *a;             /* (m, k): A[i, p] = a[i * a_row + p * a_step], one of the two is 1 */
    fl_int a_row, a_step;
    int pack;                  /* the rows of a tile are to be interleaved in scratch first */
    const void *b;             /* (k, n): B[p, j] = b[p * ldb + j]. gemm_dots: B[p, j] = b[j * ldb + p] */
    fl_int ldb;                /* 0: b is what gemm_pack made of B */
    void *c;                   /* (m, n), row stride ldc */
    fl_int ldc;
    int accumulate;            /* [C] */
    int op;                    /* FL_TANH, FL_SIGMOID, FL_RELU, FL_IDENTITY */
    const void *bias;          /* (n,) or NULL */
    const void *r;             /* R (m, n) or NULL, row stride ldr */
    fl_int ldr;
    const void *y;             /* Y = op2(.) (m, n) or NULL, row stride ldy: op2' follows from Y */
    fl_int ldy;
    int op2;
    const fl_update *update;   /* or NULL */
    fl_int rows, cols, depth;  /* of a block: cols a multiple of the tile's; depth < k: one C for each part of k, */
    fl_int part;               /* this many elements apart, to be added by `sum` */
    int keep;                  /* the whole block of C waits in scratch until it is finished; else a few rows at a time */
    fl_int strip;              /* of the depth that is summed in registers at a time; at most FL_DEPTH_BYTES of a row */
} fl_gemm_job;

/* B (k, n) in panels of a tile's width, zeros beyond n: out[q][p][j] = B[p, q * width + j], B[p, j] = b[p * b_step + j * b_col],
 * one of the two is 1. out holds k * (n rounded up to FL_TILE_BYTES) elements. gemm_tmpl.h */
typedef struct {
    fl_job head;
    fl_int n, k;
    const void *b;
    fl_int b_step, b_col;
    void *out;
    fl_int cols;               /* of a block, a multiple of FL_TILE_BYTES / size */
} fl_pack_job;

/* g = v * op'(Y) and, where total is given, total[q] = the sum of part q of g's rows, or that as a gradient of parameters.
 * dense_tmpl.h */
typedef struct {
    fl_job head;
    fl_int m, n;
    const void *v;             /* (m, n) */
    const void *y;             /* Y = op(.) (m, n), or NULL: g = v */
    int op;
    void *g;                   /* (m, n), may be v; or NULL */
    void *total;               /* (parts, n) or NULL */
    const fl_update *update;   /* or NULL: then total is written */
    fl_int rows, cols;         /* of a block: a part of the rows, a multiple of 64 bytes of columns */
} fl_slope_job;

/* The optimizer's step for n parameters w with gradient g. update_tmpl.h */
typedef struct {
    fl_job head;
    const fl_update *update;
    void *w;
    const void *g;
    fl_int n, per_block;
} fl_update_job;

/* loss[block] = sum (x - t)^2 and grad = scale * (x - t), elementwise. squares_tmpl.h */
typedef struct {
    fl_job head;
    const void *x, *t;
    void *grad;                /* or NULL; may be x */
    double scale;
    double *loss;
    fl_int n, per_block;
} fl_squares_job;

/* Windows of r x s pixels, sh and sw apart, of planes (h, w): one value for each of oh x ow windows, or back. What lies outside
 * counts nothing; every window has a pixel inside. The derivative goes to the first maximum in the order of memory, to the first
 * NaN where there is one. r w < 2^31. pool_tmpl.h
 *   FL_MEAN          to (oh, ow) = the means of `from` (h, w), of r s elements wherever the window lies
 *   FL_MEAN_TMV      to (h, w) = the transpose of that times `from` (oh, ow)
 *   FL_MAXIMUM       to (oh, ow) = the maxima of `x` (h, w)
 *   FL_MAXIMUM_MV    to (oh, ow) = the elements of `from` (h, w) that lie where the maxima of `x` do
 *   FL_MAXIMUM_TMV   to (h, w) = the transpose of that times `from` (oh, ow)
 * The transposes are multiplied by op'(Y). */
enum { FL_MEAN, FL_MEAN_TMV, FL_MAXIMUM, FL_MAXIMUM_MV, FL_MAXIMUM_TMV };

typedef struct {
    fl_job head;
    int mode;
    const void *x, *from;      /* (planes, ...), C order */
    void *to;
    const void *y;             /* Y = op(.) (planes, h, w); only where op is not FL_IDENTITY */
    int op;
    fl_int planes, per_block;
    fl_int h, w, oh, ow, r, s, sh, sw;
    fl_int top, left;          /* of the first window, above and left of the plane */
    fl_int inner, outer;       /* windows [inner, outer) of a row lie inside it, and are worked on together; means: if sw <= 2, s */
} fl_pool_job;

/* One table for each instruction set: fn[kernel][dtype]. kernels.def is the list. */
enum { FL_F32, FL_F64, FL_DTYPES };

enum {
#define FL_KERNEL(name) FL_KERNEL_##name,
#include "kernels.def"
#undef FL_KERNEL
    FL_KERNELS
};

typedef struct {
    const char *isa;
    fl_block_fn fn[FL_KERNELS][FL_DTYPES];
} fl_table;

/* dispatch.c: the tables that were compiled in, best first and closed by NULL; whether this CPU can run one; the chosen one. */
extern const fl_table *const fl_tables[];
extern const fl_table *fl_active;
int fl_runs_here(const fl_table *table);

#endif
