/* activate.h: the elementwise functions of functions.def and their derivatives. */
#ifndef FL_ACTIVATE_H
#define FL_ACTIVATE_H

#include "shared/epilogue.h"
#include "simd/math.h"
#include "simd/smooth.h"

FL_INLINE vec relu_derivative(vec x) /* 1 where x > 0, 0 elsewhere, NaN where x is: of y and of z alike */
{
    return (vec)(((ivec)vset(1) & (x > 0)) | ((ivec)x & (x != x)));
}

FL_INLINE vec relu(vec z, vec *d)
{
    *d = relu_derivative(z);
    return vmax(vset(0), z);
}

/* x where x > 0, alpha x elsewhere. The derivative at 0 is alpha, and NaN where x is. */
FL_INLINE vec leaky_relu(vec x, vec *d, vec alpha)
{
    const vmask above = vbelow(vset(0), x);
    *d = vselect(above, vset(1), vselect(vequal(x, x), alpha, x));
    return vselect(above, x, alpha * x);
}

#define FL_VALUE_CASE(NAME, name, kept, value, ...) \
    case FL_##NAME: return value;
#define FL_DERIVATIVE_CASE(NAME, name, of, value, derivative, ...) \
    case FL_##NAME: return derivative;

/* f(z), and f'(z) to *d. alpha: the parameter of those that have one. function is a constant at every call of this and the
 * following. */
FL_INLINE vec value_and_derivative(vec z, vec *d, vec alpha, const int function)
{
    (void)alpha;
    switch (function) {
        FL_EACH_FUNCTION(FL_VALUE_CASE)
    default: return z;
    }
}

/* The activation of an epilogue, or the one whose derivative it has: its number, and its parameter. */
typedef struct {
    int number;
    vec alpha;
} sigma;

FL_INLINE sigma sigma_of(const fl_epilogue *e) { return (sigma){e->of ? e->derivative : e->activation, vset((real)e->alpha)}; }

#define FL_ANY_APART (-1) /* in the place of the number: any of those apart */

/* Those of FL_EACH_ACTIVATION_APART, in epilogue.c: inlined where something may follow sums, they were a tenth of all kernels. */
vec FL_ENTRY(activate_apart)(vec z, vec alpha, int number);
vec FL_ENTRY(derivative_apart)(vec kept, vec alpha, int number);

FL_INLINE vec activate(vec z, const sigma *s, const int activation)
{
    vec d;
    if (activation == FL_ANY_APART) return FL_ENTRY(activate_apart)(z, s->alpha, s->number);
    return value_and_derivative(z, &d, s->alpha, activation);
}

/* sigma'(z) from what is kept of the activation: y or z. NaN where that is. */
FL_INLINE vec activation_derivative(vec kept, const sigma *s, const int activation)
{
    vec slope, *d = &slope;
    const vec alpha = s->alpha;
    (void)d, (void)alpha;
    switch (activation) {
        FL_EACH_ACTIVATION_INLINE(FL_DERIVATIVE_CASE)
    default: return FL_ENTRY(derivative_apart)(kept, alpha, s->number);
    }
}

/* Runs a statement for one activation of many, `number`: in the statement `activation` is that number as a constant, so that each
 * loop holds one activation; or FL_ANY_APART, which have one loop together. */
#define FL_WITH_ACTIVATION(number, ...)                            \
    switch (number) {                                              \
        FL_EACH_ACTIVATION_INLINE(FL_ACTIVATION_CASE, __VA_ARGS__) \
    default: {                                                     \
        enum { activation = FL_ANY_APART };                        \
        __VA_ARGS__;                                               \
    }                                                              \
    }
#define FL_ACTIVATION_CASE(NAME, name, kept, value, derivative, second, ...) \
    case FL_##NAME: {                                                        \
        enum { activation = FL_##NAME };                                     \
        __VA_ARGS__;                                                         \
    } break;

#endif
