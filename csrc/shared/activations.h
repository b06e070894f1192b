/* activations.h: the numbers of the elementwise functions; those of layers, the activations, come first. */
#ifndef FL_ACTIVATIONS_H
#define FL_ACTIVATIONS_H

#include "functions.def"

#define FL_FUNCTION_NUMBER(NAME, ...) FL_##NAME,
enum { FL_EACH_FUNCTION(FL_FUNCTION_NUMBER) FL_FUNCTIONS }; /* FL_IDENTITY, FL_TANH ... */
#undef FL_FUNCTION_NUMBER

/* The parameter where none is given: alpha of elu, the slope of leaky_relu below 0. */
#define FL_ALPHA(function) ((function) == FL_ELU ? 1.0 : (function) == FL_LEAKY_RELU ? 0.01 : 0.0)

#endif
