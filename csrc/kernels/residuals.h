/* residuals.h: the job of residuals.c. */
#ifndef FL_RESIDUALS_H
#define FL_RESIDUALS_H

#include "fl.h"
#include "losses.def"

#define FL_LOSS_NUMBER(NAME, ...) FL_##NAME,
enum { FL_EACH_LOSS(FL_LOSS_NUMBER) FL_LOSSES }; /* FL_SQUARES ... */
#undef FL_LOSS_NUMBER

/* For elements x and targets t: sums[block] = the sum of the values of the loss, and grad = scale times its derivative over its
 * factor (losses.def). Both times the weight of the sample, if there are weights; one of weight 0 adds nothing to the sum.
 * residuals_mv: grad = that scale times the second derivative times v, and no sums. */
typedef struct {
    fl_job head;
    int loss;
    const void *x, *t;        /* t: or NULL for zeros */
    void *grad;               /* or NULL; may be x */
    const double *weight;     /* (n / width,) or NULL for ones */
    fl_int width;             /* elements of a sample */
    const double *parameters; /* of the loss: one for all, or one for each element of a sample, in turns */
    fl_int n_parameters;
    const void *v; /* residuals_mv: may be grad */
    double scale;
    double *sums;
    fl_int n, per_block;
} fl_residuals_job;

#endif
