/* dots.h: dot products, lanes along the sum: a tile of DOT_ROWS rows of x and DOT_COLUMNS of w stays in registers. */
#ifndef FL_DOTS_H
#define FL_DOTS_H

#include "shared/blocks.h"
#include "simd/simd.h"

#define DOT_ALONE 8 /* rows of x in a tile with a single row of w: as many sums as two FMA pipes of 4 cycles need */
#define DOT_SUMS (DOT_ROWS * DOT_COLUMNS > DOT_ALONE ? DOT_ROWS * DOT_COLUMNS : DOT_ALONE)

/* s[c * rows + r] += a[r] * w_c for one register of elements, of which the first `left` count. */
FL_INLINE void dots_step(vec *s, const vec *a, const real *w, fl_int ldw, fl_int left, const int rows, const int columns)
{
    for (int c = 0; c < columns; c++) {
        vec v = vkeep(left == VL ? vload(w + c * ldw) : vload_n(w + c * ldw, left, 0));
        for (int r = 0; r < rows; r++) s[c * rows + r] += v * a[r];
    }
}

/* out[c * rows + r] = <x_r, w_c>, n elements each. Prefetches as many elements of the first `fetch` of the rows ahead. */
FL_INLINE void dots_tile(real *out, const real *const *x, const real *w, fl_int ldw, fl_int n, const real *ahead, fl_int ld_ahead,
                         int fetch, const int rows, const int columns)
{
    vec s[DOT_SUMS], a[DOT_SUMS];
    fl_int k = 0;
    for (int i = 0; i < rows * columns; i++) s[i] = vset(0);
    for (; k + VL <= n; k += VL) {
        for (int r = 0; r < rows; r++) a[r] = vload(x[r] + k);
        for (int q = 0; q < fetch; q++) __builtin_prefetch(ahead + q * ld_ahead + k, 0, 2);
        dots_step(s, a, w + k, ldw, VL, rows, columns);
    }
    if (k < n) {
        for (int r = 0; r < rows; r++) a[r] = vload_n(x[r] + k, n - k, 0);
        dots_step(s, a, w + k, ldw, n - k, rows, columns);
    }
    for (int i = 0; i + 4 <= rows * columns; i += 4) vsum4(out + i, s[i], s[i + 1], s[i + 2], s[i + 3]);
    if (rows * columns % 4) { /* two, as rows are even */
        const int i = rows * columns - 2;
        real last[4];
        vsum4(last, s[i], s[i + 1], vset(0), vset(0));
        memcpy(out + i, last, 2 * sizeof *out);
    }
}

/* DOT_ROWS rows of x and 1 to DOT_COLUMNS of w. */
FL_INLINE void dots_tile_of(real *out, const real *const *x, const real *w, fl_int ldw, fl_int n, const real *ahead,
                            fl_int ld_ahead, int fetch, fl_int columns)
{
    switch (columns) {
    case 1: dots_tile(out, x, w, ldw, n, ahead, ld_ahead, fetch, DOT_ROWS, 1); break;
#if DOT_COLUMNS > 2
    case 2: dots_tile(out, x, w, ldw, n, ahead, ld_ahead, fetch, DOT_ROWS, 2); break;
    case 3: dots_tile(out, x, w, ldw, n, ahead, ld_ahead, fetch, DOT_ROWS, 3); break;
    case 4: dots_tile(out, x, w, ldw, n, ahead, ld_ahead, fetch, DOT_ROWS, 4); break;
#endif
    default: dots_tile(out, x, w, ldw, n, ahead, ld_ahead, fetch, DOT_ROWS, DOT_COLUMNS); break;
    }
}

#endif
