/* conv.h: the jobs of convolutions: all but Winograd's. */
#ifndef FL_CONV_H
#define FL_CONV_H

#include "fl.h"
#include "shared/epilogue.h"

/* A convolution as a matrix product whose right operand, the im2col matrix, is read in place through a table of offsets: of each
 * channel a part of the image is copied to scratch, with its zeros around it, one plane for each phase of the stride; then
 * y[k, t] = sum_c sum_tap A[k, c, tap] * plane[c][t + offset[tap]], t over the pixels of the part.
 * The data's gradient is such a convolution of v, one for each phase of the pixels of x. */
enum {
    FL_CONV_ROWS = 8,    /* rows of A in a panel, at most, of any instruction set */
    FL_CONV_STRIP = 112, /* pixels of a strip where lanes lie along the channels (conv_channels) */
    FL_CONV_BYTES = 512  /* bytes of a row of a tile, at most: how far a kernel may read beyond the end of a plane */
};

/* Output pixels (row + a * down, col + b * across), a < rows, b < cols, and their taps. */
typedef struct {
    fl_int row, col, rows, cols;
    fl_int taps, first; /* in the table of offsets, and in that of the taps' places in W */
    fl_int panels;      /* of all groups: elements before them in A */
} fl_conv_phase;

/* The part of an image that a block works on. Plane (c, fy, fx), `plane` elements, holds in row p, column q the source pixel
 * (a0 * step_y + p) * sh + from_y[fy] - top, (b0 * step_x + q) * sw + from_x[fx] - left, fy < phases_y, fx < phases_x. from_y NULL:
 * fy itself, the phases of the stride; else where the rows of taps begin, if these lie so far apart that each has planes of its
 * own; from_x in the other direction. A convolution's stride is that of the planes, or that of the steps from one pixel of the grid
 * to the next in the only plane: the other is 1. */
typedef struct {
    fl_int h, w, sh, sw, top, left, phases_y, phases_x;
    const fl_int *from_y, *from_x;   /* or NULL */
    fl_int tile_rows, tile_cols;     /* of the grid */
    fl_int plane_rows, pitch, width; /* the last width - pitch columns are zeros, shared with the next row */
    fl_int plane;
    fl_int step_y, step_x;
} fl_conv_planes;

/* A[row, c, tap] = w[group * group_step + row * row_step + c * channel_step + place[tap]], in panels of mr rows. In w a row's
 * elements are consecutive in the order of A, or those taps of a row and channel are, or none. */
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
    fl_int images, groups, rows, channels; /* rows of A in a group */
    fl_conv_planes planes;
    fl_int grid_rows, grid_cols, tiles_down, tiles_across;
    const fl_conv_phase *phase;
    fl_int phases, down, across;
    fl_int beside; /* conv_channels: phases, neighbours in a row of y, that are stored together */
    const fl_int *offset;
    const void *a;                /* [phase][group][panel][channel][tap][mr], zeros beyond the last row */
    fl_int mr, panels, per_block; /* rows of a panel; panels of a group, and of a block */
    const void *x;                /* (images, groups * channels, h, w) */
    void *y;                      /* (images, groups * rows, oh, ow) */
    fl_int oh, ow;
    fl_epilogue after; /* of y; bias: one for each row of A */
    fl_int chunk;      /* channels whose planes are in scratch at a time */
    int in_place;      /* conv_channels: x has all pixels that are read: no planes */
    int flat;          /* one tap: offset has that of each channel of a chunk */
    int by_row;        /* a tile is part of one row of pixels */
} fl_conv_job;

/* conv_images, without stride: bands of rows of y for VL images at a time, and the planes of x that they read. A row of a plane has
 * `width` columns, of which the first `before` are zeros. */
typedef struct {
    fl_int images, h, w, top, left, oh, ow;
    fl_int taps, ext_rows;
    const fl_int *ty, *tx;        /* y[a, b] = sum over the taps of x[a + ty - top, b + tx - left] */
    fl_int tile_rows, plane_rows; /* rows of y in a band, and of x for it */
    fl_int before, width;
} fl_conv_bands;

typedef struct {
    fl_job head;
    fl_int groups, rows, channels;
    fl_conv_bands bands;
    const void *a; /* [group][panel][channel][tap][mr] */
    fl_int mr, panels;
    const void *x;
    void *y;
    fl_epilogue after; /* of y; bias: one for each row of A */
    fl_int chunk;      /* channels whose planes are in scratch at a time */
    fl_int list;       /* reals that the list of taps takes in scratch */
} fl_conv_images_job;

typedef struct {
    fl_job head;
    fl_int groups, rows, channels;
    fl_conv_bands bands;
    fl_int across; /* taps of a row */
    const void *v, *x;
    void *dw;               /* [part][groups * rows][channels][tap] */
    fl_int units, per_part; /* bands of registers of images, in all and in a part */
    fl_int chunk;
} fl_conv_weights_images_job;

/* The panels of A, zeros beyond the last row. */
typedef struct {
    fl_job head;
    const fl_conv_phase *phase;
    fl_int phases, groups, rows, channels, panels;
    fl_conv_taps taps;
    void *a;
} fl_conv_pack_job;

/* The part of the weights' gradient that a block sums: some rows of A, some channels of one group, one part of the images. */
typedef struct {
    fl_int groups, rows, channels; /* of a group */
    fl_int row_chunk, channel_chunk;
} fl_conv_regions;

/* The weights' gradient: dW[k, c, tap] = sum_t v[k, t] * plane[c][t + offset[tap]], lanes along t. A block sums over a part of the
 * images for some k and c. */
typedef struct {
    fl_job head;
    fl_conv_regions regions;
    fl_int images, taps;
    fl_conv_planes planes;
    fl_int grid_rows, grid_cols;
    const fl_int *offset;
    const void *v, *x;  /* (images, groups * rows, grid_rows, grid_cols), (images, groups * channels, h, w) */
    void *dw;           /* [part][groups * rows][channels][taps] */
    fl_int part_images; /* in a part */
    fl_int together;    /* images whose planes are in scratch at a time */
    fl_int mr;          /* conv_weights_channels: lanes of a panel of rows, one register or two */
    int in_place;       /* conv_weights_channels: x has all pixels that are read: no planes */
} fl_conv_weights_job;

/* depthwise: each row of A has one channel; without stride; the rows of the image are read in place. */
typedef struct {
    fl_job head;
    fl_int images, groups, rows;
    fl_int h, w, top, left, oh, ow;
    fl_int r, s, dh, dw;
    const void *weights; /* (groups * rows, r * s), tap (i, j) at place[i * s + j] */
    const fl_int *place;
    const void *x;     /* (images, groups, h, w) */
    void *y;           /* (images, groups * rows, oh, ow) */
    fl_epilogue after; /* of y; bias: one for each row of A */
    fl_int per_block;  /* planes of y */
} fl_depthwise_job;

/* The depthwise weights' gradient, for 3 x 3 taps without dilation: a block is per_block rows of dw, all images. */
typedef struct {
    fl_job head;
    fl_int images, groups, rows;
    fl_int h, w, top, left, oh, ow;
    const void *v, *x;
    void *dw;
    fl_int per_block;
} fl_depthwise_weights_job;

/* out = v * derivative'(of) and total[row] = the sum of row `row` of that, for rows of n elements. */
typedef struct {
    fl_job head;
    fl_int rows, n;
    const void *v;     /* (rows, n) */
    void *out;         /* may be v; or NULL */
    fl_epilogue after; /* of out: a derivative, or nothing */
    void *total;       /* (rows,) or NULL */
    fl_int per_block;
} fl_channels_job;

#endif
