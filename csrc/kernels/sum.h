/* sum.h: the job of sum.c. */
#ifndef FL_SUM_H
#define FL_SUM_H

#include "fl.h"

/* out[j] = scale * sum_p part[p * stride + j] + l2 * theta[j] for j < len, parts in order, in double; theta's term only where
 * j < penalised, and theta may be NULL. scratch: per_block doubles. */
typedef struct {
    fl_job head;
    const void *part, *theta;
    void *out;
    double scale, l2;
    fl_int parts, stride, len, penalised, per_block;
} fl_sum_job;

/* out = a + b, or a alone where b is NULL: (m, n), rows of a and of out a_row and out_row apart. out may be a or b. */
typedef struct {
    fl_job head;
    fl_int m, n;
    const void *a, *b;
    void *out;
    fl_int a_row, out_row;
    fl_int rows, cols; /* of a block */
} fl_add_job;

#endif
