/* winograd_taps.h: transforms of taps, and the densities of the rows of A. */
#ifndef FL_WINOGRAD_TAPS_H
#define FL_WINOGRAD_TAPS_H

#include "kernels/conv/pack.h"
#include "kernels/conv/winograd.h"
#include "kernels/conv/winograd_doubles.h"
#include "shared/blocks.h"

/* The share of a row's n taps that count: 1 if all are of one size, or zeros, which round nothing; -1 if transforms could overflow
 * or lose digits. sum, squares: of |w| and of w^2. */
FL_INLINE real density_of(double sum, double squares, fl_int n)
{
    if (squares == 0 && sum == 0) return 1;
    const double size = sqrt(squares / (double)n);
    return (real)(size >= 1e-15 && size <= 1e13 ? sum * sum / squares / (double)n : -1);
}

/* G: the powers of the points, over the products of their differences. */
FL_INLINE void wino_taps(doubles *u, const doubles g0, const doubles g1, const doubles g2)
{
    const doubles outer = g0 + g2;
    u[0] = g0;
    u[1] = (outer + g1) * (1.0 / 3);
    u[2] = (outer - g1) * (-1.0 / 3);
    u[3] = (g0 + 0.5 * g1 + 0.25 * g2) * (-16.0 / 15);
    u[4] = (g0 - 2 * g1 + 4 * g2) * (1.0 / 15);
    u[5] = g2;
}

/* The transforms u[point * step + c * mr + i] of the taps of `valid` rows of A and some channels. Up to a line more is written of
 * each point. sums: adds the rows' |w|, and FL_WINO_ROWS on their w^2. g: 9 * FL_WINO_RUN * mr reals and a line. */
FL_SHARED void wino_taps_in(real *u, fl_int step, const fl_conv_taps *T, const real *w, fl_int channels, fl_int valid, real *sums,
                            real *g)
{
    const fl_int mr = T->mr;
    for (fl_int from = 0; from < channels; from += FL_WINO_RUN) {
        const fl_int here = fl_min(channels - from, FL_WINO_RUN);
        conv_pack_panel(g, T, w + from * T->channel_step, here, 9, valid);
        for (fl_int c = 0; c < here; c++)
            for (fl_int t = 0; t < mr; t += PART) {
                const real *at = g + c * 9 * mr + t;
                real *to = u + (from + c) * mr + t;
                halfvec *sum = (halfvec *)(sums + t), *squares = (halfvec *)(sums + FL_WINO_ROWS + t);
                doubles columns[3][6];
                for (int j = 0; j < 3; j++)
                    wino_taps(columns[j], widen(at + T->place[j] * mr), widen(at + T->place[3 + j] * mr),
                              widen(at + T->place[6 + j] * mr));
                halfvec s = *sum, q = *squares;
                for (int p = 0; p < 9; p++) {
                    const halfvec tap = half_load(at + p * mr);
                    s += half_abs(tap);
                    q += tap * tap;
                }
                *sum = s;
                *squares = q;
                for (int a = 0; a < 6; a++) {
                    doubles out[6];
                    wino_taps(out, columns[0][a], columns[1][a], columns[2][a]);
                    for (int b = 0; b < 6; b++) narrow(to + (6 * a + b) * step, out[b]);
                }
            }
    }
}

/* The densities of `valid` rows from what wino_taps_in summed over all channels. */
FL_INLINE void wino_densities(real *density, const real *sums, fl_int channels, fl_int valid)
{
    for (fl_int r = 0; r < valid; r++) density[r] = density_of((double)sums[r], (double)sums[FL_WINO_ROWS + r], 9 * channels);
}

#endif
