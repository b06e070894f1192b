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
    fl_block_fn then; /* of a conditional job, whose run is the kernel `conditional`: what runs if *flag == wanted */
    const int *flag;
    int wanted;
};

/* What callers and kernels must agree on, to plan blocks and scratch. */
enum {
    FL_SHORT_ROW = 40, /* rows up to this long are worked on transposed, many at a time */
    FL_LONG_ROW = 1 << 20, /* rows longer than this are cut into parts, so that no block takes long, */
    FL_ROW_PART = 1 << 16, /* of so many elements */
    FL_WIDE = 4,       /* 64-byte vectors of independent problems that are worked on together, at most */
    FL_STRIP = 64,     /* samples whose logits are computed together, at most */
    FL_TILE_ROWS = 12, /* rows of the largest tile of a matrix product, */
    FL_TILE_BYTES = 128, /* and bytes of a row of it: packed panels are that wide, or narrower */
    FL_DEPTH_BYTES = 1536, /* of a row that a tile sums over at a time */
    FL_NORM_CHANNELS = 8      /* of a block of batch normalisation's jobs for channels */
};

/* y[i,:] or y[:,i] = softmax, log-softmax or (one number each) log-sum-exp. softmax_tmpl.h
 * Long ones are cut into parts and computed by three jobs, from the columns' fields alone (rows have inner = 1): softmax_part,
 * softmax_join and, but for FL_LOGSUMEXP, softmax_last. */
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
    fl_int parts, part;        /* of each column, and elements of one; the last may have fewer */
    void *partial;             /* (2, outer, parts, inner): what is passed on from job to job */
} fl_softmax_job;

/* loss[block] = sum_i w_i l_i and grad[i,:] = scale * w_i * (softmax(x[i,:]) - target_i). xent_tmpl.h
 * The labels may change at any time: one outside [0, n) makes the loss NaN and is no class's in the gradient.
 * Long rows are cut into parts and computed by three jobs: xent_part, xent_join (a block for each row) and, for grad, xent_last. */
typedef struct {
    fl_job head;
    int stream;
    const void *x;             /* logits (m, n), row stride ldx */
    const int64_t *labels;     /* (m,); or NULL, and then */
    const void *targets;       /* (m, n), C order: probabilities */
    const double *weight;      /* (m,) or NULL for ones */
    double scale;
    double *loss;              /* one per block */
    void *grad;                /* (m, n), C order, or NULL. May be x itself */
    fl_int m, n, ldx, per_block;
    fl_int parts, part;        /* of a row, and elements of one; the last may have fewer */
    void *partial;             /* (4, m, parts): what is passed on from job to job */
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

/* Softmax regression over blocks of samples, one pass over X. Labels as in fl_xent_job. linear_tmpl.h */
enum { FL_VALUE, FL_GRADIENT, FL_HESSIAN_MV, FL_DATA_GRADIENT, FL_PROBABILITIES };

typedef struct {
    fl_job head;
    int mode;
    const void *X;             /* (m, n), row stride ldx */
    const int64_t *labels;     /* (m,) */
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

/* A convolution as a matrix product whose right operand, the im2col matrix, is read in place through a table of offsets: of each
 * channel a part of the image is copied to scratch, with its zeros around it, one plane for each phase of the stride; then
 * y[k, t] = sum_c sum_tap A[k, c, tap] * plane[c][t + offset[tap]], t over the pixels of the part. conv2d_tmpl.h
 * The data's gradient is such a convolution of v, one for each phase of the pixels of x. */
enum {
    FL_CONV_ROWS = 8,          /* of A in a panel, at most */
    FL_CONV_STRIP = 112,       /* pixels at a time, of a run's and a panel's lanes of channels */
    FL_CONV_BYTES = 512        /* of a row of a tile, at most: what may be read beyond the end of a plane */
};
enum { FL_CONSTANT, FL_REFLECT, FL_NEAREST, FL_WRAP, FL_MIRROR }; /* what lies beyond the image, as in scipy.ndimage */

/* Output pixels (row + a * down, col + b * across), a < rows, b < cols, and their taps. */
typedef struct {
    fl_int row, col, rows, cols;
    fl_int taps, first;        /* in the table of offsets, and in that of the taps' places in W */
    fl_int panels;             /* of all groups: elements before them in A */
} fl_conv_phase;

/* The part of an image that a block works on. Plane (c, fy, fx), `plane` elements, holds in row p, column q the source pixel
 * (a0 * step_y + p) * sh + from_y[fy] - top, (b0 * step_x + q) * sw + from_x[fx] - left, fy < phases_y, fx < phases_x. from_y NULL: fy
 * itself, the phases of the stride; else where the rows of taps begin, if these lie so far apart that each has planes of its own; from_x
 * likewise. A convolution's stride is that of the planes, or that of the steps from one pixel of the grid to the next in the only plane:
 * the other is 1. */
typedef struct {
    fl_int h, w, sh, sw, top, left, phases_y, phases_x;
    const fl_int *from_y, *from_x;     /* or NULL */
    fl_int tile_rows, tile_cols;       /* of the grid */
    fl_int plane_rows, pitch, width;   /* width - pitch columns of zeros are the next row's as well */
    fl_int plane;
    fl_int step_y, step_x;
} fl_conv_planes;

/* What follows the sums of every convolution: y = (op(sums + [y] + bias) + r) * op2'(slope), r and slope of y's shape or NULL. */
typedef struct {
    const void *bias;                  /* one for each row of A, or NULL */
    const void *r, *slope;
    int accumulate, op, op2;
} fl_conv_finish;

/* A[row, c, tap] = w[group * group_step + row * row_step + c * channel_step + place[tap]], in panels of mr rows. In w a row's elements are
 * consecutive in the order of A, or those taps of a row and channel are, or none. */
enum { FL_PACK_ROWS, FL_PACK_TAPS, FL_PACK_PLACES };

typedef struct {
    const void *w;
    fl_int group_step, row_step, channel_step;
    const fl_int *place;
    int order;
    fl_int mr;
} fl_conv_taps;

typedef struct {
    fl_job head;
    fl_int images, groups, rows, channels;      /* rows of A in a group */
    fl_conv_planes planes;
    fl_int grid_rows, grid_cols, tiles_down, tiles_across;
    const fl_conv_phase *phase;
    fl_int phases, down, across;
    fl_int beside;                     /* conv_channels: phases, neighbours in a row of y, that are stored together */
    const fl_int *offset;
    const void *a;                     /* [phase][group][panel][channel][tap][mr], zeros beyond the last row */
    fl_int mr, panels, per_block;      /* rows of a panel; panels of a group, and of a block */
    const void *x;                     /* (images, groups * channels, h, w) */
    void *y;                           /* (images, groups * rows, oh, ow) */
    fl_int oh, ow;
    fl_conv_finish finish;
    fl_int chunk;                      /* channels whose planes are in scratch at a time */
    int in_place;                      /* conv_channels: x has all pixels that are read: no planes */
    int flat;                          /* one tap: offset has that of each channel of a chunk */
    int by_row;                        /* a tile is part of one row of pixels */
} fl_conv_job;

/* The same without stride, with lanes along the images: bands of rows of y, and the planes of x that they read, with `before` columns of
 * zeros on the left of `width` in all. conv2d_images_tmpl.h */
typedef struct {
    fl_int images, h, w, top, left, oh, ow;
    fl_int taps, ext_rows;
    const fl_int *ty, *tx;             /* y[a, b] = sum over the taps of x[a + ty - top, b + tx - left] */
    fl_int tile_rows, plane_rows;      /* rows of y in a band, and of x for it */
    fl_int before, width;
} fl_conv_bands;

typedef struct {
    fl_job head;
    fl_int groups, rows, channels;
    fl_conv_bands bands;
    const void *a;                     /* [group][panel][channel][tap][mr] */
    fl_int mr, panels;
    const void *x;
    void *y;
    fl_conv_finish finish;
    fl_int chunk;                      /* channels whose planes are in scratch at a time */
    fl_int list;                       /* reals that the list of taps takes in scratch */
} fl_conv_images_job;

typedef struct {
    fl_job head;
    fl_int groups, rows, channels;
    fl_conv_bands bands;
    fl_int across;                     /* taps of a row */
    const void *v, *x;
    void *dw;                          /* [part][groups * rows][channels][tap] */
    fl_int units, per_part;            /* bands of registers of images, in all and in a part */
    fl_int chunk;
} fl_conv_weights_images_job;

/* The panels of A, zeros beyond the last row. conv2d_tmpl.h */
typedef struct {
    fl_job head;
    const fl_conv_phase *phase;
    fl_int phases, groups, rows, channels, panels;
    fl_conv_taps taps;
    void *a;
} fl_conv_pack_job;

/* The same for 3 x 3 taps without stride by Winograd's minimal filtering: tiles of 4 x 4 pixels by 36 products of their transforms
 * (Lavin and Gray 2015), each a matrix product over the channels with the tiles along the lanes. The pixels of a tile lie (dh, dw)
 * apart, so that a dilation is none to it: each phase of the dilation has tiles of its own. winograd_tmpl.h */
enum {
    FL_WINO_TILE = 4,
    FL_WINO_POINTS = 36,
    FL_WINO_RUN = 16,                  /* channels that are summed at a time, */
    FL_WINO_CHANNELS = 32,             /* and whose transforms a block of winograd_few uses at a time */
    FL_WINO_ROWS = 32,                 /* of A in a panel, at most */
    FL_WINO_DIRECT = 16,               /* rows of A that are summed directly at a time */
    FL_WINO_BUCKETS = 2048,            /* of a histogram of float patterns: sign, exponent and three bits of the fraction */
    FL_WINO_FAR = 64,                  /* times the usual max |x| of a tile: larger ones must not reach what does not see them */
    /* Terms of an output that make direct summation round as much as the transforms do, up to a factor of 3: */
    FL_WINO_TERMS = 54,                /* measured with normal, sparse and scaled data and weights, 32 to 128 channels */
    FL_WINO_WEIGHT_TERMS = 60,         /* and those of an element of the weights' gradient, against a sum in order */
    FL_WINO_BITS = 21,                 /* of two float32 factors together, with which direct summation rounds less than the transforms do:
                                        * measured with integers and short floats, 32 to 128 channels; float64 has 29 more */
    FL_WINO_SAMPLE = 256               /* numbers whose bits are looked at, about */
};

typedef struct {
    fl_int h, w, top, left;            /* x */
    fl_int oh, ow;                     /* y */
    fl_int dh, dw;
    fl_int down, across;               /* tiles of a phase */
    fl_int rows, cols;                 /* and of an image: phases times down, phases times across */
} fl_wino_tiles;

typedef struct {
    fl_job head;
    fl_int images, groups, rows, channels;
    fl_wino_tiles tiles;
    fl_int per_block;                  /* rows of tiles, of all images; winograd_few: panels */
    fl_conv_taps taps;                 /* place[3 i + j]: of tap (i, j) */
    fl_int panels;
    const void *u;                     /* winograd: [group][panel][point][channel][mr], a line after each point */
    void *v;                           /* winograd_in, winograd_few */
    const fl_int *offset;              /* of each channel: channel * pitch */
    fl_int pitch;                      /* tiles of a block, rounded up to registers */
    const fl_int *along_rows;          /* winograd_few: if lanes lie along the rows of A, channel * mr */
    const void *x;
    void *y;
    fl_conv_finish finish;
    const void *bounds;                /* [group][bounds_pitch]: of each tile; summed directly where beyond the density of a row of A */
    fl_int bounds_pitch;
    const void *density;               /* winograd: [group][rows]; winograd_few computes them */
} fl_winograd_job;

/* u: the transforms of the taps. scratch: 9 * FL_WINO_RUN * mr reals and a line. */
typedef struct {
    fl_job head;
    fl_int groups, rows, channels, panels;
    fl_conv_taps taps;                 /* place[3 i + j]: of tap (i, j) */
    void *u;
    void *density;                     /* [group][rows]: the share of a row's taps that count */
} fl_winograd_pack_job;

/* Maps of x over the channels of a group: max |x|, sum |x|, sum x^2. */
enum { FL_WINO_LARGEST, FL_WINO_SUM, FL_WINO_SQUARES, FL_WINO_MAPS };

#define FL_WINO_DENSITY 0.25 /* of weights, where they are not known yet: those of networks have 0.4 to 0.64 */

/* Which tiles are summed directly: maps of x over the channels of a group, then measures of the tiles, then bounds.
 * winograd_guard_tmpl.h */
typedef struct {
    fl_job head;
    fl_int images, groups, channels, pixels; /* pixels: of a plane */
    fl_int per_block;                  /* pixels */
    const void *x;                     /* [image][group][channel][pixels] */
    void *maps;                        /* [group][image][map][pixels] */
    double *totals;                    /* [block][2]: over its channels, (sum |x|)^2 over the block's pixels, and sum x^2; or NULL */
} fl_winograd_maps_job;

typedef struct {
    fl_job head;
    fl_int images, span;               /* span: pixels of a tile across, 6 of x, 4 of v */
    fl_wino_tiles tiles;
    fl_int per_block;                  /* rows of tiles */
    const void *maps;
    void *measures;                    /* [group][map][pitch]: the same of each tile, over its pixels */
    fl_int pitch;
} fl_winograd_measure_job;

typedef struct {
    fl_job head;
    fl_int images;
    fl_wino_tiles tiles;
    fl_int groups, channels, rows;     /* channels of a group of x, rows of one of A */
    double terms;                      /* FL_WINO_TERMS or FL_WINO_WEIGHT_TERMS; 0: however few, transforms are wanted */
    fl_int count, pitch;               /* tiles of all images, and rounded up to registers */
    const void *measures, *v_measures; /* v_measures, totals: of the weights' gradient */
    const double *totals, *v_totals;   /* [group][part][2] */
    fl_int x_parts, v_parts;
    void *bounds;                      /* [group][pitch]; winograd_weights: 1 or 0 */
    int *direct;                       /* winograd_weights: as below */
    const void *x, *v;
    fl_int x_size, v_size;
} fl_winograd_bounds_job;

/* *direct = whether so many registers of tiles would be summed directly that all of the call had better be, or x and w have so few
 * significant bits that direct summation hardly rounds. */
typedef struct {
    fl_job head;
    fl_int groups, rows, count, pitch;
    const void *bounds, *density;      /* density: [group][rows], or NULL: FL_WINO_DENSITY for all */
    int *direct;
    double most;                       /* share of them that may be */
    const void *x, *w;
    fl_int x_size, w_size;             /* w_size 0: however few bits, transforms are wanted */
} fl_winograd_choose_job;

/* The part of the weights' gradient that a block sums: some rows of A and some channels of one group, over one part of the images. */
typedef struct {
    fl_int groups, rows, channels;     /* of a group */
    fl_int row_chunk, channel_chunk;
} fl_conv_regions;

/* The weights' gradient in the same way: a matrix product over the tiles at each point. winograd_tmpl.h */
typedef struct {
    fl_job head;
    fl_conv_regions regions;
    fl_int images;
    fl_wino_tiles tiles;
    const void *v, *x;
    void *dw;                          /* [part][groups * rows][channels][9] */
    fl_int part_rows;                  /* rows of tiles, of all images, in a part */
    fl_int together;                   /* rows of tiles that are transformed at a time */
    fl_int mr, pitch;                  /* pitch: tiles of `together` rows, rounded up to registers */
    const fl_int *offset;              /* of each tile: tile times the channels of a block, rounded up to registers */
    const void *bounds;                /* [group][bounds_pitch]: 1 of tiles that are summed directly, else 0 */
    fl_int bounds_pitch;
} fl_winograd_weights_job;

/* The same where each row of A has one channel, without stride: rows of the image are read in place. depthwise_tmpl.h */
typedef struct {
    fl_job head;
    fl_int images, groups, rows;
    fl_int h, w, top, left, oh, ow;
    fl_int r, s, dh, dw;
    const void *weights;               /* (groups * rows, r * s), tap (i, j) at place[i * s + j] */
    const fl_int *place;
    const void *x;                     /* (images, groups, h, w) */
    void *y;                           /* (images, groups * rows, oh, ow) */
    fl_conv_finish finish;
    fl_int per_block;                  /* planes of y */
} fl_depthwise_job;

/* y = a kernel of r x s taps over each of `images` planes, its middle (r / 2, s / 2) at the pixel. stencil_tmpl.h */
enum { FL_STENCIL_ROWS = 4 };

typedef struct {
    fl_job head;
    fl_int h, w, r, s;
    fl_int tile_rows, tile_cols, tiles_down, tiles_across;
    const void *weights;               /* (r, s) */
    const void *x;
    void *y;                           /* (images, h, w), as x */
    int border;
    double cval;
    fl_int list, ld;                   /* reals in scratch: for the list of rows; of a copy of one */
} fl_stencil_job;

/* The depthwise weights' gradient, for 3 x 3 taps without dilation: a block is per_block rows of dw, all images. depthwise_tmpl.h */
typedef struct {
    fl_job head;
    fl_int images, groups, rows;
    fl_int h, w, top, left, oh, ow;
    const void *v, *x;
    void *dw;
    fl_int per_block;
} fl_depthwise_weights_job;

/* The weights' gradient: dW[k, c, tap] = sum_t v[k, t] * plane[c][t + offset[tap]], lanes along t. A block sums over a part of the
 * images for some k and c. conv2d_weights_tmpl.h */
typedef struct {
    fl_job head;
    fl_conv_regions regions;
    fl_int images, taps;
    fl_conv_planes planes;
    fl_int grid_rows, grid_cols;
    const fl_int *offset;
    const void *v, *x;                 /* (images, groups * rows, grid_rows, grid_cols), (images, groups * channels, h, w) */
    void *dw;                          /* [part][groups * rows][channels][taps] */
    fl_int part_images;                /* in a part */
    fl_int together;                   /* images whose planes are in scratch at a time */
    fl_int mr;                         /* conv_weights_channels: lanes of a panel of rows, one register or two; */
    int in_place;                      /* x has all pixels that are read: no planes */
} fl_conv_weights_job;

/* out = v * op'(Y) and total[row] = the sum of row `row` of that, for rows of n elements. channels_tmpl.h */
typedef struct {
    fl_job head;
    fl_int rows, n;
    const void *v;             /* (rows, n) */
    const void *y;             /* Y = op(.), or NULL: out = v */
    int op;
    void *out;                 /* may be v; or NULL */
    void *total;               /* (rows,) or NULL */
    fl_int per_block;
} fl_channels_job;

/* im2col: columns (planes * r * s, oh * ow), in row (p, i, j) at (a, b)  x[p, sh * a + dh * i - top, sw * b + dw * j - left], or 0
 * outside x (planes, h, w). col2im: x = the transpose of that times columns. im2col_tmpl.h */
typedef struct {
    fl_job head;
    void *x, *columns;
    fl_int h, w, r, s, sh, sw, top, left, dh, dw, oh, ow;
    fl_int rows;               /* planes * r * s * oh of columns, or planes * h of x, */
    fl_int per_block;          /* and of a block */
    int stream;                /* im2col: columns are too large for the caches: write past them, */
    fl_int per_piece;          /* so many rows at a time */
} fl_columns_job;
/* Batch normalisation of images x (n, c, pixels), channel by channel: y = gamma (x - mean) / sqrt(var + eps) + beta.
 * batch_norm_tmpl.h. A sweep goes over memory in pieces of planes, a whole plane where it is small; `partial` and `unit` number
 * the pieces in that order. What belongs to a channel is computed between two sweeps, in double. */
typedef struct {
    fl_job head;
    fl_int c, pixels, pieces, piece; /* pieces of a plane, and pixels of one; the last may have fewer */
    fl_int units, per_block;   /* n * c * pieces */
    const void *x, *v;         /* (n, c, pixels) or, where the map does not need it, NULL */
    const double *moments;     /* (2, c): mean and variance */
    double *partial;           /* (units, 2). batch_norm_moments: mean and sum of squared deviations from it of a piece of x.
                                * batch_norm_sums: sum v and sum v (x - centre), centre = the mean in x's dtype */
    const double *factors;     /* batch_norm_map: (3, c), and */
    void *out;                 /* out = (factors[0] v + factors[1] (x - centre) + factors[2]) * op'(below) */
    const void *below;         /* = op(.) or NULL: op' follows from it */
    int op;
} fl_batch_norm_job;

/* All for a channel, in blocks of FL_NORM_CHANNELS. batch_norm_forward: moments of x, from `partial` or, without, the running
 * ones; factors of y. batch_norm_derivative: totals, and the factors of J' v, or of J v where v is the direction of x; `partial`
 * NULL: there is no v, or (not `batch`) no total is wanted. batch_norm_running: running <- (1 - momentum) running + momentum *
 * moments. */
typedef struct {
    fl_job head;
    fl_int n, c, pixels, pieces, piece;
    int batch;                 /* moments are those of x, and change with it */
    double eps, momentum;
    const double *partial;     /* (n, c, pieces, 2) or NULL */
    double *moments, *factors; /* (2, c), (3, c) */
    const void *gamma, *beta;  /* these and the following: (c,) */
    void *running_mean, *running_var;
    const void *dgamma, *dbeta; /* directions, or NULL */
    void *total_gamma, *total_beta; /* J' v, or NULL */
    const fl_update *update;   /* or NULL; else the totals are gradients of the parameters at total_gamma and total_beta */
} fl_batch_norm_channels_job;
/* Windows of r x s pixels, sh and sw apart, of planes (h, w): one value for each of oh x ow windows, or back. What lies outside
 * counts nothing; every window has a pixel inside. The derivative goes to the first maximum in the order of memory, to the first
 * NaN where there is one. r w < 2^31. pool_tmpl.h
 *   FL_MEAN          to (oh, ow) = the means of `source` (h, w), of r s elements wherever the window lies
 *   FL_MEAN_TMV      to (h, w) = the transpose of that times `source` (oh, ow)
 *   FL_MAXIMUM       to (oh, ow) = the maxima of `x` (h, w)
 *   FL_MAXIMUM_MV    to (oh, ow) = the elements of `source` (h, w) that lie where the maxima of `x` do
 *   FL_MAXIMUM_TMV   to (h, w) = the transpose of that times `source` (oh, ow)
 * The transposes are multiplied by op'(Y). */
enum { FL_MEAN, FL_MEAN_TMV, FL_MAXIMUM, FL_MAXIMUM_MV, FL_MAXIMUM_TMV };

typedef struct {
    fl_job head;
    int mode;
    const void *x, *source;    /* (planes, ...), C order */
    void *to;
    const void *y;             /* Y = op(.) (planes, h, w); only where op is not FL_IDENTITY */
    int op;
    fl_int planes, per_block;
    fl_int bands, band;        /* of a plane, so that no block takes long; and rows of one: of windows, for transposes of pixels */
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

/* What callers must know of an instruction set to plan blocks and scratch for its kernels; simd/<isa>.h has the values. */
typedef struct {
    int vector_bytes; /* of a vector register */
    int registers;    /* vector registers */
    int gemm_rows;    /* of a tile of C that gemm keeps in registers */
    int gemm_packs;   /* whether interleaving the rows of A pays for large products */
    int conv_rows;    /* of A in a panel, at most: conv and all that use its tile */
    int run_pixels;   /* of a run that conv_channels keeps in registers, at most */
} fl_facts;

typedef struct {
    const char *isa;
    fl_facts facts;
    fl_block_fn fn[FL_KERNELS][FL_DTYPES];
} fl_table;

/* dispatch.c: the tables that were compiled in, best first and closed by NULL; whether this CPU can run one; the chosen one. */
extern const fl_table *const fl_tables[];
extern const fl_table *fl_active;
int fl_runs_here(const fl_table *table);

#endif
