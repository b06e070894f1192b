/* epilogue.h: what follows the sums of a matrix product, a convolution, or another kernel: epilogue.c. */
#ifndef FL_EPILOGUE_H
#define FL_EPILOGUE_H

#include "shared/activations.h"
#include "shared/rules.h"

/* C = (activation(z) + residual) * derivative'(of) with z = sums + [C] + bias, and z is stored where asked. residual, of and z have
 * the layout of C; each pointer may be NULL. With a derivative there are neither an activation nor z; with z, residual is not C
 * itself. All zeros: C = sums.
 * With `update`, C holds parameters and the sums are their gradient: C takes the optimizer's step, and nothing else follows. */
typedef struct {
    const void *bias; /* one for each column of C, or each channel of images; by_row: each row of C, in `finish` */
    const void *residual;
    const void *of; /* what the derivative follows from: y = derivative(.), or its argument (activations.def) */
    fl_int of_rows; /* of matrices: that many rows, over and over; 0: as many as C has */
    void *z;
    int accumulate; /* [C] */
    int by_row;
    int activation, derivative;
    double alpha; /* the parameter of the one or the other, of those that have one */
    const fl_update *update;
} fl_epilogue;

#endif
