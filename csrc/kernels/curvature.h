/* curvature.h: the jobs of curvature.c: what derivatives of derivatives take besides products. */
#ifndef FL_CURVATURE_H
#define FL_CURVATURE_H

#include "fl.h"
#include "shared/activations.h"

/* out = sigma'(z) dv + v d(sigma'(z)), elementwise: the derivative of sigma'(z) v. of: what sigma' follows from, y = sigma(z) or z
 * (activations.def); dof: the derivative of that; dv: that of v, or NULL for zeros. */
typedef struct {
    fl_job head;
    int activation;
    double alpha; /* its parameter */
    const void *v, *dv, *of, *dof;
    void *out;
    fl_int n, per_block;
} fl_curve_job;

/* out = the Hessian of the cross-entropy by the logits x, times u: scale w_i t_i p (u - p'u), p = softmax(x), for each row.
 * t_i: share times the sum of the row of targets, plus floor; 1 where targets is NULL. weight: w, or NULL for ones. out is not u.
 */
typedef struct {
    fl_job head;
    const void *x, *u, *targets;
    const double *weight;
    double scale, share, floor;
    void *out;
    fl_int m, n, per_block;
} fl_curve_softmax_job;

/* Normalisation z = (x - mean) / sqrt(var + eps) over the groups of x (outer, groups, inner), y = gamma z + beta: the derivatives
 * of J' v by x and by gamma, along dx, dgamma and dv. */
typedef struct {
    fl_job head;
    fl_int outer, groups, inner, per_block;
    int by_group; /* gamma has a number for each group; else for each place in inner */
    double eps;
    const void *x, *v, *dv;      /* dv NULL: zeros */
    const void *dx;              /* or NULL */
    const void *gamma, *dgamma;  /* NULL: ones, zeros */
    const void *mean, *variance; /* (groups,), which do not depend on x; NULL: those of x */
    void *out;                   /* the derivative of J' v by x; or NULL */
    void *products;              /* (outer, groups, inner): of v z, whose sums are J' v by gamma; or NULL */
} fl_curve_norm_job;

#endif
