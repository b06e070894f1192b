/* finish.h: the functions of epilogue.c, for kernels whose sums an epilogue follows. */
#ifndef FL_FINISH_H
#define FL_FINISH_H

#include "shared/epilogue.h"
#include "simd/simd.h"

/* Whether anything follows the sums, accumulation aside. */
FL_INLINE int epilogue_follows(const fl_epilogue *e)
{
    return e->update || e->bias || e->residual || e->of || e->z || e->activation != FL_IDENTITY;
}

/* Whether anything follows sums that began with the bias, as those of convolutions do, accumulation aside. */
FL_INLINE int epilogue_follows_bias(const fl_epilogue *e) { return e->residual || e->of || e->z || e->activation != FL_IDENTITY; }

/* The row of `of` for row i of C. */
FL_INLINE fl_int of_row(const fl_epilogue *e, fl_int i) { return e->of_rows ? i % e->of_rows : i; }

/* Finishes the rectangle of C, rows x cols at (i, j), row stride ldc, from the sums, which may be C's own rectangle. */
void FL_ENTRY(finish)(const fl_epilogue *e, void *c, fl_int ldc, const real *sums, fl_int lds, fl_int i, fl_int rows, fl_int j,
                      fl_int cols);

/* Finishes a rectangle of images y, a row of `size` pixels for each plane, which hold the sums, the bias and what was to be
 * accumulated already. */
void FL_ENTRY(finish_planes)(const fl_epilogue *e, void *y, fl_int size, fl_int i, fl_int rows, fl_int j, fl_int cols);

/* Parameters C, rows x cols with row stride ldc, whose gradient is the product of the column a, elements a_row apart, and the row
 * b: without a tile between. */
void FL_ENTRY(update_outer)(const fl_update *update, real *c, fl_int ldc, const real *a, fl_int a_row, const real *b, fl_int rows,
                            fl_int cols);

#endif
