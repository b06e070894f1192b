/* slope.h: the job of slope.c. */
#ifndef FL_SLOPE_H
#define FL_SLOPE_H

#include "fl.h"
#include "shared/epilogue.h"

/* g = v * derivative'(of) and, where total is given, total[q] = the sum of part q of g's rows, or that as a gradient of
 * parameters. */
typedef struct {
    fl_job head;
    fl_int m, n;
    const void *v;           /* (m, n) */
    void *g;                 /* (m, n), may be v; or NULL */
    fl_epilogue after;       /* of g: a derivative, or nothing */
    void *total;             /* (parts, n) or NULL */
    const fl_update *update; /* or NULL: then total is written */
    fl_int rows, cols;       /* of a block: a part of the rows, a multiple of 64 bytes of columns */
} fl_slope_job;

#endif
