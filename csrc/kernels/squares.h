/* squares.h: the job of squares.c. */
#ifndef FL_SQUARES_H
#define FL_SQUARES_H

#include "fl.h"

/* loss[block] = sum (x - t)^2 and grad = scale * (x - t), elementwise. */
typedef struct {
    fl_job head;
    const void *x, *t;
    void *grad; /* or NULL; may be x */
    double scale;
    double *loss;
    fl_int n, per_block;
} fl_squares_job;

#endif
