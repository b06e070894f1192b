/* step.h: one step of an optimizer, elementwise: the rules of rules.def. The matrix products call it for each tile of a gradient,
 * so that gradients of weights are never written. */
#ifndef FL_STEP_H
#define FL_STEP_H

#include "shared/rules.h"
#include "simd/simd.h"

/* The rule as the loops want it: by value, for what they write might be it, as far as the compiler knows. */
typedef struct {
    int rule, decays;
    ptrdiff_t state[FL_STATES];
    vec c[FL_COEFFICIENTS];
} stepper;

FL_INLINE stepper stepper_of(const fl_update *u)
{
    stepper s = {.rule = u->rule, .decays = u->c[FL_DECAY] != 0, .state = {u->state[0], u->state[1]}};
#pragma GCC unroll 10
    for (int k = 0; k < FL_COEFFICIENTS; k++) s.c[k] = vset((real)u->c[k]);
    return s;
}

/* The rules: the new w from w, its gradient g and its states, which are changed.
 * A decay of 0 adds nothing, not even 0 w: w may be infinite. gcc fuses a product and a sum to an FMA where both are on one side of
 * the branch on that: `decayed` comes first where it can. */

FL_INLINE vec decayed(const stepper *step, vec g, vec w)
{
    if (step->decays) g += step->c[FL_DECAY] * w;
    return g;
}

/* w -= rate (g + decay w) */
FL_INLINE vec sgd_step(const stepper *step, vec w, vec g, vec *state)
{
    (void)state;
    return w - step->c[FL_RATE] * decayed(step, g, w);
}

/* v = momentum v + g + decay w;  w -= rate v.  c: rate, decay, momentum */
FL_INLINE vec momentum_step(const stepper *step, vec w, vec g, vec *state)
{
    g = decayed(step, g, w);
    state[0] = step->c[2] * state[0] + g;
    return w - step->c[FL_RATE] * state[0];
}

/* v as above;  w -= rate (g + decay w + momentum v) */
FL_INLINE vec nesterov_step(const stepper *step, vec w, vec g, vec *state)
{
    g = decayed(step, g, w);
    state[0] = step->c[2] * state[0] + g;
    return w - step->c[FL_RATE] * (g + step->c[2] * state[0]);
}

/* m = beta1 m + (1 - beta1) g;  s = beta2 s + (1 - beta2) g^2;  w -= rate (m unbias1 / (sqrt(s unbias2) + eps) + decay w).
 * c: rate, decay, beta1, 1 - beta1, beta2, 1 - beta2, unbias1, unbias2, eps */
FL_INLINE vec adam_step(const stepper *step, vec w, vec g, vec *state)
{
    const vec *c = step->c;
    state[0] = c[2] * state[0] + c[3] * g;
    state[1] = c[4] * state[1] + c[5] * (g * g);
    return w - c[FL_RATE] * decayed(step, state[0] * c[6] / (vsqrt(state[1] * c[7]) + c[8]), w);
}

/* s = alpha s + (1 - alpha) g^2, g with decay w; gives g / (sqrt(s) + eps).  c: rate, decay, alpha, 1 - alpha, eps */
FL_INLINE vec rmsprop_change(const stepper *step, vec w, vec g, vec *state)
{
    const vec *c = step->c;
    g = decayed(step, g, w);
    state[0] = c[2] * state[0] + c[3] * (g * g);
    return g / (vsqrt(state[0]) + c[4]);
}

/* w -= rate g / (sqrt(s) + eps) */
FL_INLINE vec rmsprop_step(const stepper *step, vec w, vec g, vec *state)
{
    return w - step->c[FL_RATE] * rmsprop_change(step, w, g, state);
}

/* v = momentum v + g / (sqrt(s) + eps);  w -= rate v.  c: those above, momentum */
FL_INLINE vec rmsprop_momentum_step(const stepper *step, vec w, vec g, vec *state)
{
    state[1] = step->c[5] * state[1] + rmsprop_change(step, w, g, state);
    return w - step->c[FL_RATE] * state[1];
}

/* --- loops ---------------------------------------------------------------------------------------------------- */

/* Runs a statement for one rule of many, `number`: in the statement `rule` is that number as a constant. */
#define FL_WITH_RULE(number, ...)               \
    switch (number) {                           \
        FL_EACH_RULE(FL_RULE_CASE, __VA_ARGS__) \
    }
#define FL_RULE_CASE(NAME, name, states, function, ...) \
    case FL_##NAME: {                                   \
        enum { rule = FL_##NAME };                      \
        __VA_ARGS__;                                    \
    } break;

/* VL parameters at w, whose gradient is g; or (part) the first `left` of them. rule and part are constants at every call. */
FL_INLINE void update_vector(const stepper *step, real *w, vec g, fl_int left, const int rule, const int part)
{
#define FL_LOAD(p) (part ? vload_n(p, left, 0) : vload(p))
#define FL_STORE(p, v) (part ? vstore_n(p, v, left) : vstore(p, v))
#define FL_STEP_CASE(NAME, name, states, function, ...)                                                  \
    case FL_##NAME: {                                                                                    \
        vec state[FL_STATES];                                                                            \
        for (int k = 0; k < states; k++) state[k] = FL_LOAD((const real *)((char *)w + step->state[k])); \
        const vec now = function(step, FL_LOAD(w), g, state);                                            \
        for (int k = 0; k < states; k++) FL_STORE((real *)((char *)w + step->state[k]), state[k]);       \
        FL_STORE(w, now);                                                                                \
    } break;
    switch (rule) {
        FL_EACH_RULE(FL_STEP_CASE)
    }
#undef FL_STEP_CASE
#undef FL_STORE
#undef FL_LOAD
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
    FL_WITH_RULE(step->rule, update_range(step, w, g, n, rule))
}

#endif
