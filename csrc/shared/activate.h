/* activate.h: the activations of layers, and their derivatives. */
#ifndef FL_ACTIVATE_H
#define FL_ACTIVATE_H

#include "shared/activations.h"
#include "simd/math.h"

FL_INLINE vec relu_derivative(vec x) /* 1 where x > 0, 0 elsewhere, NaN where x is */
{
    return (vec)(((ivec)vset(1) & (x > 0)) | ((ivec)x & (x != x)));
}

/* sigma'(z) where y = sigma(z): 1 - y^2, y (1 - y), or 1 where y > 0. NaN where y is. */
FL_INLINE vec slope_of(vec y, const int op)
{
    switch (op) {
    case FL_TANH: return 1 - y * y;
    case FL_SIGMOID: return y - y * y;
    case FL_RELU: return relu_derivative(y);
    default: return vset(1);
    }
}

FL_INLINE vec activate(vec z, const int op)
{
    vec derivative;
    switch (op) {
    case FL_TANH: return vtanh(z, &derivative);
    case FL_SIGMOID: return vsigmoid(z, &derivative);
    case FL_RELU: return vmax(vset(0), z);
    default: return z;
    }
}

#endif
