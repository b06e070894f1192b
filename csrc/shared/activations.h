/* activations.h: the numbers of the elementwise functions; those of layers, the activations, come first. */
#ifndef FL_ACTIVATIONS_H
#define FL_ACTIVATIONS_H

#include "functions.def"

#define FL_FUNCTION_NUMBER(NAME, ...) FL_##NAME,
enum { FL_EACH_FUNCTION(FL_FUNCTION_NUMBER) FL_FUNCTIONS }; /* FL_IDENTITY, FL_TANH ... */
#undef FL_FUNCTION_NUMBER

#endif
