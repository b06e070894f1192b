/* linear.h: the job of linear.c. */
#ifndef FL_LINEAR_H
#define FL_LINEAR_H

#include "fl.h"

enum { FL_STRIP = 64 }; /* samples whose logits are computed together, at most */

/* Softmax regression over blocks of samples, one pass over X. Labels as in fl_xent_job. */
enum { FL_VALUE, FL_GRADIENT, FL_HESSIAN_MV, FL_DATA_GRADIENT, FL_PROBABILITIES };

typedef struct {
    fl_job head;
    int mode;
    const void *X;         /* (m, n), row stride ldx */
    const int64_t *labels; /* (m,) */
    const double *weight;  /* (m,) or NULL for ones */
    const void *W, *b;     /* (free, n) and (free,) or NULL. Classes free..l-1 have logit 0 */
    const void *V, *vb;    /* FL_HESSIAN_MV: the first direction, as W and b; the next ones v_step elements apart */
    const void *P;         /* FL_HESSIAN_MV: (m, l) probabilities at W and b, which are then not read; or NULL for one direction */
    double *loss;          /* FL_VALUE, FL_GRADIENT: one per block, sum of w_i l_i */
    void *grad;            /* FL_GRADIENT, FL_HESSIAN_MV: (n_blocks, directions, free * n + free), sums over each block */
    void *out;             /* FL_DATA_GRADIENT (m, n), C order; FL_PROBABILITIES (m, l), C order */
    double scale;          /* FL_DATA_GRADIENT only */
    fl_int m, n, ldx, l, free, per_block;
    fl_int directions, v_step; /* 1 but for FL_HESSIAN_MV */
} fl_linear_job;

#endif
