/* activate.h: the elementwise functions of functions.def and their derivatives. */
#ifndef FL_ACTIVATE_H
#define FL_ACTIVATE_H

#include "shared/activations.h"
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

FL_INLINE vec leaky_relu_derivative(vec x) /* in layers, of y and of z alike */
{
    vec d;
    (void)leaky_relu(x, &d, vset((real)FL_ALPHA(FL_LEAKY_RELU)));
    return d;
}

static __attribute__((noinline, unused)) vec gelu_derivative(vec z)
{
    vec d;
    (void)vgelu(z, &d);
    return d;
}

static __attribute__((noinline, unused)) vec silu_derivative(vec z)
{
    vec d;
    (void)vsilu(z, &d);
    return d;
}

/* phi(z) (2 - z^2), phi the normal density. */
static __attribute__((noinline, unused)) vec gelu_second(vec z)
{
    const vec t = vmin(vset(GELU_MOST), vabs(z));
    return vexp_nonpositive(t * t * (real)-0.5) * (2 - t * t) * (real)0.39894228040143267794;
}

/* s (1 - s) (2 + z (1 - 2 s)), s = sigmoid(z), from e = exp(-|z|). */
static __attribute__((noinline, unused)) vec silu_second(vec z)
{
    const vec t = vmin(vset(SILU_MOST), vabs(z)), e = vexp_nonpositive(-t), share = 1 / (1 + e);
    return e * share * share * (2 - t * ((1 - e) * share));
}

/* f(z), and f'(z) to *d. alpha: the parameter of those that have one. function is a constant at every call of this and the
 * following. */
FL_INLINE vec value_and_derivative(vec z, vec *d, vec alpha, const int function)
{
    (void)alpha;
#define FL_VALUE_CASE(NAME, name, kept, value, ...) \
    case FL_##NAME: return value;
    switch (function) {
        FL_EACH_FUNCTION(FL_VALUE_CASE)
    default: return z;
    }
#undef FL_VALUE_CASE
}

/* The longer ones stay out of line, once in each file: inlined where something may follow sums, they were a tenth of all kernels.
 */
static __attribute__((noinline, unused)) vec activate_apart(vec z, int activation)
{
    vec d;
    switch (activation) {
    case FL_GELU: return vgelu(z, &d);
    case FL_SILU: return vsilu(z, &d);
    case FL_SOFTPLUS: return vsoftplus(z, &d);
    default: return velu(z, &d, vset((real)FL_ALPHA(FL_ELU)));
    }
}

FL_INLINE vec activate(vec z, const int activation)
{
    vec derivative;
    if (activation >= FL_GELU && activation <= FL_ELU) return activate_apart(z, activation);
    return value_and_derivative(z, &derivative, vset((real)FL_ALPHA(activation)), activation);
}

/* sigma'(z) from what is kept of the activation: y or z. NaN where that is. */
FL_INLINE vec activation_derivative(vec kept, const int activation)
{
#define FL_DERIVATIVE_CASE(NAME, name, of, value, derivative, ...) \
    case FL_##NAME: return derivative;
    switch (activation) {
        FL_EACH_ACTIVATION(FL_DERIVATIVE_CASE)
    default: return vset(1);
    }
#undef FL_DERIVATIVE_CASE
}

/* The derivative of `activation_derivative` by what is kept. */
FL_INLINE vec activation_second(vec kept, const int activation)
{
#define FL_SECOND_CASE(NAME, name, of, value, derivative, second, ...) \
    case FL_##NAME: return second;
    (void)kept;
    switch (activation) {
        FL_EACH_ACTIVATION(FL_SECOND_CASE)
    default: return vset(0);
    }
#undef FL_SECOND_CASE
}

/* Runs a statement for one activation of many, `number`: in the statement `activation` is that number as a constant, so that each
 * loop holds one activation. */
#define FL_WITH_ACTIVATION(number, ...)                     \
    switch (number) {                                       \
        FL_EACH_ACTIVATION(FL_ACTIVATION_CASE, __VA_ARGS__) \
    }
#define FL_ACTIVATION_CASE(NAME, name, kept, value, derivative, second, ...) \
    case FL_##NAME: {                                                        \
        enum { activation = FL_##NAME };                                     \
        __VA_ARGS__;                                                         \
    } break;

#endif
