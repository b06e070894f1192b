/* xent.h: the jobs of xent.c. */
#ifndef FL_XENT_H
#define FL_XENT_H

#include "fl.h"
#include "shared/rows.h"

/* loss[block] = sum_i w_i l_i and grad[i,:] = scale * w_i * (softmax(x[i,:]) - target_i).
 * The labels may change at any time: one outside [0, n) makes the loss NaN and is no class's in the gradient.
 * Long rows are cut into parts and computed by three jobs: xent_part, xent_join (a block for each row) and, for grad, xent_last. */
typedef struct {
    fl_job head;
    int stream;
    const void *x;         /* logits (m, n), row stride ldx */
    const int64_t *labels; /* (m,); or NULL, and then */
    const void *targets;   /* (m, n), C order: probabilities */
    const double *weight;  /* (m,) or NULL for ones */
    double scale;
    double *loss; /* one per block */
    void *grad;   /* (m, n), C order, or NULL. May be x itself */
    fl_int m, n, ldx, per_block;
    fl_int parts, part; /* of a row, and elements of one; the last may have fewer */
    void *partial;      /* (4, m, parts): what is passed on from job to job */
} fl_xent_job;

#endif
