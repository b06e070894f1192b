/* im2col.h: the job of im2col.c. */
#ifndef FL_IM2COL_H
#define FL_IM2COL_H

#include "fl.h"

/* im2col: columns (planes * r * s, oh * ow), in row (p, i, j) at (a, b)  x[p, sh * a + dh * i - top, sw * b + dw * j - left], or 0
 * outside x (planes, h, w). col2im: x = the transpose of that times columns. */
typedef struct {
    fl_job head;
    void *x, *columns;
    fl_int h, w, r, s, sh, sw, top, left, dh, dw, oh, ow;
    fl_int rows;      /* im2col: planes * r * s * oh of columns; col2im: planes * h of x */
    fl_int per_block; /* rows of a block */
    int stream;       /* im2col: columns are too large for the caches: write past them */
    fl_int per_piece; /* rows that are written at a time where `stream` */
} fl_columns_job;

#endif
