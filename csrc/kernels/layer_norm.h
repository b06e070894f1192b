/* layer_norm.h: the jobs of layer_norm.c. */
#ifndef FL_LAYER_NORM_H
#define FL_LAYER_NORM_H

#include "fl.h"
#include "shared/epilogue.h"

/* Layer normalisation of the rows of x (m, n): y = gamma z + beta, z = (x - mean) / sqrt(var + eps) with the row's mean and var, in
 * blocks of per_block rows. layer_norm fills y and moments. layer_norm_tmv: J' v for the v of y, by x times derivative'(of), and
 * each block's sums for gamma and beta. layer_norm_mv: J times the directions of x, gamma and beta. */
typedef struct {
    fl_job head;
    fl_int m, n, per_block;
    double eps;
    const void *x, *v;              /* (m, n); v: also the direction of x, or NULL */
    double *moments;                /* (m, 2): mean and 1 / sqrt(var + eps) */
    const void *gamma, *beta;       /* (n,) */
    const void *dgamma, *dbeta;     /* (n,): of layer_norm_mv */
    void *out;                      /* (m, n); layer_norm_tmv: or NULL */
    void *total_gamma, *total_beta; /* layer_norm_tmv: (blocks, n), both or neither */
    fl_epilogue after;              /* layer_norm_tmv: of out, a derivative, or nothing */
} fl_layer_norm_job;

#endif
