/* stencil.h: the job of stencil.c. */
#ifndef FL_STENCIL_H
#define FL_STENCIL_H

#include "fl.h"

/* What lies beyond the image, as in scipy.ndimage. */
enum { FL_CONSTANT, FL_REFLECT, FL_NEAREST, FL_WRAP, FL_MIRROR };

/* y = a kernel of r x s taps over each of `images` planes, its middle (r / 2, s / 2) at the pixel. */
enum { FL_STENCIL_ROWS = 4 };

typedef struct {
    fl_job head;
    fl_int h, w, r, s;
    fl_int tile_rows, tile_cols, tiles_down, tiles_across;
    const void *weights; /* (r, s) */
    const void *x;
    void *y; /* (images, h, w), as x */
    int border;
    double cval;
    fl_int list, ld; /* reals in scratch: for the list of rows; of a copy of one */
} fl_stencil_job;

#endif
