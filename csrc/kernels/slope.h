/* slope.h: the job of slope.c. */
#ifndef FL_SLOPE_H
#define FL_SLOPE_H

#include "fl.h"
#include "shared/activations.h"
#include "shared/rules.h"

/* g = v * op'(Y) and, where total is given, total[q] = the sum of part q of g's rows, or that as a gradient of parameters.
 * */
typedef struct {
    fl_job head;
    fl_int m, n;
    const void *v; /* (m, n) */
    const void *y; /* Y = op(.) (m, n), or NULL: g = v */
    int op;
    void *g;                 /* (m, n), may be v; or NULL */
    void *total;             /* (parts, n) or NULL */
    const fl_update *update; /* or NULL: then total is written */
    fl_int rows, cols;       /* of a block: a part of the rows, a multiple of 64 bytes of columns */
} fl_slope_job;

#endif
