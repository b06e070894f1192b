/* outer.h: the job of outer.c. */
#ifndef FL_OUTER_H
#define FL_OUTER_H

#include "fl.h"

/* For each row i of g (m, k) and x (m, n): the outer product g_i x_i', k x n, to out + i ld; or, where norms is given, its squared
 * Frobenius norm |g_i|^2 |x_i|^2 to norms[i], added to what is there if `accumulate`. x NULL: n = 1, of ones. */
typedef struct {
    fl_job head;
    const void *g, *x;
    void *out;
    double *norms;
    fl_int m, k, n, ld, per_block;
    int accumulate;
} fl_outer_job;

#endif
