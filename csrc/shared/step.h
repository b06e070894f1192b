/* step.h: one step of an optimizer, elementwise; rules.h says them. The matrix products call it for
 * each tile of a gradient, so that gradients of weights are never written. */
#ifndef FL_STEP_H
#define FL_STEP_H

#include "shared/rules.h"
#include "simd/simd.h"

#define FL_MOMENTUM -1 /* FL_SGD with a state: a rule of its own here, so that each loop holds one */

/* The rule as the loops want it: by value, for what they write might be it, as far as the compiler knows. */
typedef struct {
    int rule, nesterov, decays;
    ptrdiff_t s, t;
    vec rate, momentum, decay, beta1, rest1, beta2, rest2, unbias1, unbias2, eps;
} stepper;

FL_INLINE stepper stepper_of(const fl_update *u)
{
    stepper s = {
        .rule = u->rule == FL_SGD && u->s ? FL_MOMENTUM : u->rule,
        .nesterov = u->nesterov,
        .decays = u->decay != 0,
        .s = u->s,
        .t = u->t,
        .rate = vset((real)u->rate),
        .momentum = vset((real)u->momentum),
        .decay = vset((real)u->decay),
        .beta1 = vset((real)u->beta1),
        .rest1 = vset((real)(1 - u->beta1)),
        .beta2 = vset((real)u->beta2),
        .rest2 = vset((real)(1 - u->beta2)),
        .unbias1 = vset((real)u->unbias1),
        .unbias2 = vset((real)u->unbias2),
        .eps = vset((real)u->eps),
    };
    return s;
}

/* VL parameters at w, whose gradient is g; or (part) the first `left` of them. */
FL_INLINE void update_vector(const stepper *step, real *w, vec g, fl_int left, const int rule, const int part)
{
#define FL_LOAD(p) (part ? vload_n(p, left, 0) : vload(p))
#define FL_STORE(p, v) (part ? vstore_n(p, v, left) : vstore(p, v))
    real *s = (real *)((char *)w + step->s), *t = (real *)((char *)w + step->t);
    vec now = FL_LOAD(w);
    if (rule == FL_ADAM) {
        vec mean = step->beta1 * FL_LOAD(s) + step->rest1 * g, square = step->beta2 * FL_LOAD(t) + step->rest2 * (g * g);
        FL_STORE(s, mean);
        FL_STORE(t, square);
        g = mean * step->unbias1 / (vsqrt(square * step->unbias2) + step->eps);
        if (step->decays) g += step->decay * now;
    } else {
        if (step->decays) g += step->decay * now;
        if (rule == FL_MOMENTUM) {
            vec velocity = step->momentum * FL_LOAD(s) + g;
            FL_STORE(s, velocity);
            if (step->nesterov) g += step->momentum * velocity;
            else g = velocity;
        }
    }
    FL_STORE(w, now - step->rate * g);
#undef FL_STORE
}

FL_INLINE void update_range(const stepper *step, real *w, const real *g, fl_int n, const int rule)
{
    fl_int i = 0;
    for (; i + VL <= n; i += VL) update_vector(step, w + i, vload(g + i), VL, rule, 0);
    if (i < n) update_vector(step, w + i, vload_n(g + i, n - i, 0), n - i, rule, 1);
}

/* n parameters at w with gradient g. */
FL_INLINE void update_row(const stepper *step, real *w, const real *g, fl_int n)
{
    switch (step->rule) {
    case FL_SGD: update_range(step, w, g, n, FL_SGD); break;
    case FL_MOMENTUM: update_range(step, w, g, n, FL_MOMENTUM); break;
    default: update_range(step, w, g, n, FL_ADAM); break;
    }
}

#endif
