/* dots.c: sums of products over pixels: lanes lie along the pixels. */
#include "kernels/conv/dots.h"

/* FL_ENTRY(conv_dots) for constants. */
FL_INLINE void conv_dots(real (*out)[4], const real *v, fl_int ldv, const real *const *x, const conv_runs *runs, const int mr,
                         const int nq)
{
    vec s[DOT_TAPS][4];
#pragma GCC unroll 8
    for (int j = 0; j < nq; j++)
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++) s[j][i] = vset(0);
    for (fl_int image = 0; image < runs->images; image++)
        for (fl_int row = 0; row < runs->rows; row++) {
            const fl_int from = image * runs->image_step + row * runs->row_step, full = runs->lanes / VL * VL,
                         left = runs->lanes - full;
            for (fl_int t = from; t < from + full; t += VL) {
                vec a[4];
#pragma GCC unroll 4
                for (int i = 0; i < mr; i++) a[i] = vload(v + i * ldv + t);
#pragma GCC unroll 8
                for (int j = 0; j < nq; j++) {
                    vec b = vload(x[j] + t);
#pragma GCC unroll 4
                    for (int i = 0; i < mr; i++) s[j][i] += a[i] * b;
                }
            }
            if (left) {
                vec a[4];
#pragma GCC unroll 4
                for (int i = 0; i < mr; i++) a[i] = vload_n(v + i * ldv + from + full, left, 0);
#pragma GCC unroll 8
                for (int j = 0; j < nq; j++) {
                    vec b = vload_n(x[j] + from + full, left, 0);
#pragma GCC unroll 4
                    for (int i = 0; i < mr; i++) s[j][i] += a[i] * b;
                }
            }
        }
#pragma GCC unroll 8
    for (int j = 0; j < nq; j++) vsum4(out[j], s[j][0], s[j][1], s[j][2], s[j][3]);
}

#define CONV_DOTS_CASE(mr)                                                                              \
    case mr:                                                                                            \
        if (nq == DOT_TAPS) conv_dots(out, v, ldv, x, runs, mr, DOT_TAPS);                              \
        else if (DOT_TAPS > 3 && nq == DOT_TAPS - 1) conv_dots(out, v, ldv, x, runs, mr, DOT_TAPS - 1); \
        else if (DOT_TAPS > 3 && nq == DOT_TAPS - 2) conv_dots(out, v, ldv, x, runs, mr, DOT_TAPS - 2); \
        else if (nq > 1) conv_dots(out, v, ldv, x, runs, mr, 3);                                        \
        else conv_dots(out, v, ldv, x, runs, mr, 1);                                                    \
        break;

void FL_ENTRY(conv_dots)(real (*out)[4], const real *v, fl_int ldv, const real *const *x, const conv_runs *runs, fl_int mr,
                         fl_int nq)
{
    switch (mr) {
        CONV_DOTS_CASE(1)
        CONV_DOTS_CASE(2)
        CONV_DOTS_CASE(3)
        CONV_DOTS_CASE(4)
    }
}
