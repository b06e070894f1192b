/* elementwise.h: the job of elementwise.c. */
#ifndef FL_ELEMENTWISE_H
#define FL_ELEMENTWISE_H

#include "fl.h"
#include "shared/activations.h"

/* y = f(x) and, where dy is given, dy = f'(x), elementwise. */
typedef struct {
    fl_job head;
    int function;
    double alpha; /* of functions that have a parameter */
    const void *x;
    void *y, *dy; /* either may be NULL; either may be x itself */
    fl_int n, per_block;
} fl_map_job;

#endif
