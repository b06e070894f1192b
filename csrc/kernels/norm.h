/* norm.h: the jobs of norm.c, norm_dense.c and norm_channels.c. */
#ifndef FL_NORM_H
#define FL_NORM_H

#include "fl.h"
#include "shared/epilogue.h"

enum {
    FL_NORM_CHANNELS = 8, /* of a block of the jobs for channels */
    FL_NORM_STRIP = 512   /* features whose numbers a block of samples keeps in scratch */
};

/* Batch normalisation of images x (n, c, pixels), channel by channel: y = gamma (x - mean) / sqrt(var + eps) + beta.
 * A sweep goes over memory in pieces of planes, a whole plane where it is small; `partial` and `unit` number
 * the pieces in that order. What belongs to a channel is computed between two sweeps, in double.
 * batch_norm_dense_<...> take samples x (pixels, c) instead, as if of one image: a piece is so many samples, with all their
 * features, there are `pieces` units, and `partial` is (pieces, c, 2). scratch: 4 FL_NORM_STRIP reals. */
typedef struct {
    fl_job head;
    fl_int c, pixels, pieces, piece; /* pieces of a plane, and pixels of one; the last may have fewer */
    fl_int units, per_block;         /* n * c * pieces */
    const void *x, *v;               /* (n, c, pixels) or, where the map does not need it, NULL */
    const double *moments;           /* (2, c): mean and variance */
    double *partial;                 /* (units, 2). batch_norm_moments: mean and sum of squared deviations from it of a piece of x.
                                      * batch_norm_sums: sum v and sum v (x - centre), centre = the mean in x's dtype */
    const double *factors;           /* batch_norm_map: (3, c), and */
    void *out;                       /* out = (factors[0] v + factors[1] (x - centre) + factors[2]) * derivative'(of) */
    fl_epilogue after;               /* of out: a derivative, or nothing */
} fl_batch_norm_job;

/* All for a channel, in blocks of FL_NORM_CHANNELS. batch_norm_forward: moments of x, from `partial` or, without, the running
 * ones; factors of y. batch_norm_derivative: totals, and the factors of J' v, or of J v where v is the direction of x; `partial`
 * NULL: there is no v, or (not `batch`) no total is wanted. batch_norm_running: running <- (1 - momentum) running + momentum *
 * moments. */
typedef struct {
    fl_job head;
    fl_int n, c, pixels, pieces, piece;
    fl_int channel_step, piece_step; /* in `partial`, from pair to pair */
    int batch;                       /* moments are those of x, and change with it */
    double eps, momentum;
    const double *partial;     /* (n, c, pieces, 2), of samples (pieces, c, 2), or NULL */
    double *moments, *factors; /* (2, c), (3, c) */
    const void *gamma, *beta;  /* these and the following: (c,) */
    void *running_mean, *running_var;
    const void *dgamma, *dbeta;     /* directions, or NULL */
    void *total_gamma, *total_beta; /* J' v, or NULL */
    const fl_update *update;        /* or NULL; else the totals are gradients of the parameters at total_gamma and total_beta */
} fl_batch_norm_channels_job;

#endif
