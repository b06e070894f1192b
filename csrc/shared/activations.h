/* activations.h: the elementwise functions, those of layers among them. */
#ifndef FL_ACTIVATIONS_H
#define FL_ACTIVATIONS_H

enum { FL_EXP, FL_LOG, FL_TANH, FL_SIGMOID, FL_RELU, FL_IDENTITY };

#endif
