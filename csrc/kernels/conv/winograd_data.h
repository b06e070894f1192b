/* winograd_data.h: transforms of tiles. */
#ifndef FL_WINOGRAD_DATA_H
#define FL_WINOGRAD_DATA_H

#include "kernels/conv/winograd_tiles.h"

/* B': the coefficients of the product of (x - p) over the other points p. */
FL_INLINE void wino_data(vec *r, vec d0, vec d1, vec d2, vec d3, vec d4, vec d5)
{
    const vec u = d3 - d1, w = d4 - d2;
    r[0] = d0 + d4 + (real)1.5 * u - 2 * d2;
    r[1] = d4 - d1 + (real)0.5 * d2 + (real)2.5 * d3;
    r[2] = d4 + d1 - (real)2.5 * d2 + (real)0.5 * d3;
    r[3] = w + 2 * u;
    r[4] = w - (real)0.5 * u;
    r[5] = d1 + d5 + (real)1.5 * w - 2 * d3;
}

/* v[point * step + tile] = B' d B. */
FL_SHARED void wino_in(real *v, fl_int step, real *d, const wino_source *S, fl_int first, fl_int end)
{
    const fl_int tiles = (end - first) * S->tiles->cols, ld = wino_pitch(tiles);
    wino_tiles(d, ld, S, first, end, 6);
    for (fl_int t = 0; t < tiles; t += VL) {
        vec columns[6][6];
#pragma GCC unroll 6
        for (int b = 0; b < 6; b++) {
            const real *at = d + b * ld + t;
            wino_data(columns[b], vload(at), vload(at + 6 * ld), vload(at + 12 * ld), vload(at + 18 * ld), vload(at + 24 * ld),
                      vload(at + 30 * ld));
        }
#pragma GCC unroll 6
        for (int a = 0; a < 6; a++) {
            vec out[6];
            wino_data(out, columns[0][a], columns[1][a], columns[2][a], columns[3][a], columns[4][a], columns[5][a]);
            for (int b = 0; b < 6; b++) vstore(v + (6 * a + b) * step + t, out[b]);
        }
    }
}

#endif
