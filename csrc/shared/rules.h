/* rules.h: the rules of optimizers. */
#ifndef FL_RULES_H
#define FL_RULES_H

#include "fl.h"

/* One step of an optimizer for parameters w with gradient g, elementwise, w and the states s, t having one layout.
 *   FL_SGD   g += decay * w;  s = momentum * s + g;  w -= rate * (nesterov ? g + momentum * s : s)
 *   FL_ADAM  s = beta1 s + (1 - beta1) g;  t = beta2 t + (1 - beta2) g^2;  w -= rate * (s * unbias1 / (sqrt(t * unbias2) + eps) +
 * decay * w) */
enum { FL_SGD, FL_ADAM };

typedef struct {
    int rule, nesterov;
    double rate, momentum, decay;
    double beta1, beta2, unbias1, unbias2, eps;
    ptrdiff_t s, t; /* bytes from a parameter to its states; 0: FL_SGD without momentum has none */
} fl_update;

#endif
