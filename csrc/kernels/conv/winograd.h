/* winograd.h: the jobs of Winograd's convolutions. */
#ifndef FL_WINOGRAD_H
#define FL_WINOGRAD_H

#include "kernels/conv/conv.h"

/* Convolutions with 3 x 3 taps, without stride, by Winograd's minimal filtering: tiles of 4 x 4 pixels by 36 products of their
 * transforms (Lavin and Gray 2015), each a matrix product over the channels with the tiles along the lanes. The pixels of a tile
 * lie (dh, dw) apart, so that a dilation is none to it: each phase of the dilation has tiles of its own. */
enum {
    FL_WINO_TILE = 4,
    FL_WINO_POINTS = 36,
    FL_WINO_RUN = 16,       /* channels that are summed at a time, */
    FL_WINO_CHANNELS = 32,  /* and whose transforms a block of winograd_few uses at a time */
    FL_WINO_ROWS = 32,      /* of A in a panel, at most */
    FL_WINO_DIRECT = 16,    /* rows of A that are summed directly at a time */
    FL_WINO_BUCKETS = 2048, /* of a histogram of float patterns: sign, exponent and three bits of the fraction */
    FL_WINO_FAR = 64,       /* times the usual max |x| of a tile: larger ones must not reach what does not see them */
    /* Terms of an output that make direct summation round as much as the transforms do, up to a factor of 3: */
    FL_WINO_TERMS = 54,        /* measured with normal, sparse and scaled data and weights, 32 to 128 channels */
    FL_WINO_TERMS_F64 = 72,    /* of float64, against sums in long double, 40 to 128 channels */
    FL_WINO_WEIGHT_TERMS = 60, /* and those of an element of the weights' gradient, against a sum in order */
    FL_WINO_BITS = 21,         /* of two float32 factors together, with which direct summation rounds less than the transforms do:
                                * measured with integers and short floats, 32 to 128 channels; float64 has 29 more */
    FL_WINO_SAMPLE = 256       /* numbers whose bits are looked at, about */
};

typedef struct {
    fl_int h, w, top, left; /* x */
    fl_int oh, ow;          /* y */
    fl_int dh, dw;
    fl_int down, across; /* tiles of a phase */
    fl_int rows, cols;   /* and of an image: phases times down, phases times across */
} fl_wino_tiles;

typedef struct {
    fl_job head;
    fl_int images, groups, rows, channels;
    fl_wino_tiles tiles;
    fl_int per_block;  /* rows of tiles, of all images; winograd_few: panels */
    fl_conv_taps taps; /* place[3 i + j]: of tap (i, j) */
    fl_int panels;
    const void *u;            /* winograd: [group][panel][point][channel][mr], a line after each point */
    void *v;                  /* winograd_in, winograd_few */
    const fl_int *offset;     /* of each channel: channel * pitch */
    fl_int pitch;             /* tiles of a block, rounded up to registers */
    const fl_int *along_rows; /* winograd_few: if lanes lie along the rows of A, channel * mr */
    const void *x;
    void *y;
    fl_epilogue after;  /* of y; bias: one for each row of A */
    const void *bounds; /* [group][bounds_pitch]: of each tile; summed directly where beyond the density of a row of A */
    fl_int bounds_pitch;
    const void *density; /* winograd: [group][rows]; winograd_few computes them */
} fl_winograd_job;

/* u: the transforms of the taps. scratch: 9 * FL_WINO_RUN * mr reals and a line. */
typedef struct {
    fl_job head;
    fl_int groups, rows, channels, panels;
    fl_conv_taps taps; /* place[3 i + j]: of tap (i, j) */
    void *u;
    void *density; /* [group][rows]: the share of a row's taps that count */
} fl_winograd_pack_job;

/* Maps of x over the channels of a group: max |x|, sum |x|, sum x^2. */
enum { FL_WINO_LARGEST, FL_WINO_SUM, FL_WINO_SQUARES, FL_WINO_MAPS };

#define FL_WINO_DENSITY 0.25 /* of weights, where they are not known yet: those of networks have 0.4 to 0.64 */

/* Which tiles are summed directly: maps of x over the channels of a group, then measures of the tiles, then bounds.
 * */
typedef struct {
    fl_job head;
    fl_int images, groups, channels, pixels; /* pixels: of a plane */
    fl_int per_block;                        /* pixels */
    const void *x;                           /* [image][group][channel][pixels] */
    void *maps;                              /* [group][image][map][pixels] */
    double *totals; /* [block][2]: over its channels, (sum |x|)^2 over the block's pixels, and sum x^2; or NULL */
} fl_winograd_maps_job;

typedef struct {
    fl_job head;
    fl_int images, span; /* span: pixels of a tile across, 6 of x, 4 of v */
    fl_wino_tiles tiles;
    fl_int per_block; /* rows of tiles */
    const void *maps;
    void *measures; /* [group][map][pitch]: the map's measure of each tile, over its pixels */
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
    void *bounds; /* [group][pitch]; winograd_weights: 1 or 0 */
    int *direct;  /* winograd_weights: as below */
    const void *x, *v;
    fl_int x_size, v_size;
} fl_winograd_bounds_job;

/* *direct = whether more than `most` of the registers of tiles would be summed directly, so that it pays to sum all of them
 * directly; or x and w have so few significant bits that direct summation hardly rounds. */
typedef struct {
    fl_job head;
    fl_int groups, rows, count, pitch;
    const void *bounds, *density; /* density: [group][rows], or NULL: FL_WINO_DENSITY for all */
    int *direct;
    double most; /* share of them that may be */
    const void *x, *w;
    fl_int x_size, w_size; /* w_size 0: however few bits, transforms are wanted */
} fl_winograd_choose_job;

/* The weights' gradient by Winograd's transforms: a matrix product over the tiles at each point. */
typedef struct {
    fl_job head;
    fl_conv_regions regions;
    fl_int images;
    fl_wino_tiles tiles;
    const void *v, *x;
    void *dw;             /* [part][groups * rows][channels][9] */
    fl_int part_rows;     /* rows of tiles, of all images, in a part */
    fl_int together;      /* rows of tiles that are transformed at a time */
    fl_int mr, pitch;     /* pitch: tiles of `together` rows, rounded up to registers */
    const fl_int *offset; /* of each tile: tile times the channels of a block, rounded up to registers */
    const void *bounds;   /* [group][bounds_pitch]: 1 of tiles that are summed directly, else 0 */
    fl_int bounds_pitch;
} fl_winograd_weights_job;

#endif
