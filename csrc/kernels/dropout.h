/* dropout.h: the jobs of dropout.c. */
#ifndef FL_DROPOUT_H
#define FL_DROPOUT_H

#include "fl.h"
#include "shared/epilogue.h"

/* FL_DROPOUT_GROUP elements are drawn together: element 64 g + 16 k + t, numbered through the whole batch, is kept if word k of the
 * generator's block 16 g + t is not below p 2^32. */
enum { FL_DROPOUT_GROUP = 64 };

/* dropout_draw: keep, and out = scale x where it is 1, else 0. dropout: the same out by the keep that there is, times
 * derivative'(of). Blocks of per_block elements, a multiple of FL_DROPOUT_GROUP. dropout_count: one block, the count goes up by 1.
 */
typedef struct {
    fl_job head;
    fl_int n, per_block;
    double p;
    const void *x;
    void *out;
    unsigned char *keep; /* (n,) */
    const void *seed;    /* 4 digits of 16 bits, the lowest first, as reals */
    void *count;         /* 3 of them: how many training steps were made */
    fl_epilogue after;   /* of dropout: a derivative, or nothing */
} fl_dropout_job;

#endif
