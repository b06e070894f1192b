/* dots.h: sums of products over pixels: dots.c. */
#ifndef FL_DOTS_H
#define FL_DOTS_H

#include "kernels/conv/regions.h"

/* out[i][j] = sum of v_i * x_j over the runs, for mr <= 4 rows of v and nq taps. */
void FL_ENTRY(conv_dots)(real (*out)[4], const real *v, fl_int ldv, const real *const *x, const conv_runs *runs, fl_int mr,
                         fl_int nq);

#endif
