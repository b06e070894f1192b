/* image_rows.h: rows of images in scratch, with zeros around them. */
#ifndef FL_IMAGE_ROWS_H
#define FL_IMAGE_ROWS_H

#include "shared/blocks.h"
#include "simd/simd.h"

/* VL elements at p, zeros where column `at` + lane is not in a row of w. */
FL_INLINE vec load_in_row(const real *p, fl_int at, fl_int w)
{
    if (at >= 0 && at + VL <= w) return vload(p);
    if (at >= w || at + VL <= 0) return vset(0);
    if (at >= 0) return vload_n(p, w - at, 0);
    return vload_range(p, vrange_of(-at, fl_min(w - at, VL)));
}

/* row_in_zeros for a step of 2 or more; a step of 2 with two loads and a permutation. */
FL_SHARED void row_by_steps(real *out, fl_int width, const real *from, fl_int w, fl_int step, fl_int start)
{
    for (fl_int q = 0; q < width; q += VL) {
        const fl_int at = q * step + start;
        if (step == 2) {
            vec even, odd;
            vunzip(load_in_row(from + at, at, w), load_in_row(from + at + VL, at + VL, w), &even, &odd);
            vstore(out + q, even);
        } else
            for (fl_int i = 0; i < VL; i++) out[q + i] = at + i * step >= 0 && at + i * step < w ? from[at + i * step] : 0;
    }
}

/* One row of a plane: `width` columns, column q from column q * step + start of a row of w, zeros around it. Writes up to a
 * register more. */
FL_INLINE void row_in_zeros(real *out, fl_int width, const real *from, fl_int w, fl_int step, fl_int start)
{
    const fl_int before = start >= 0 ? 0 : fl_min(-start, width), first = before + start;
    const fl_int n = fl_min(w - first, width - before);
    fl_int t = before;
    if (step != 1) {
        row_by_steps(out, width, from, w, step, start);
        return;
    }
    for (fl_int q = 0; q < before; q += VL) vstore(out + q, vset(0));
    for (; t - before + VL <= n; t += VL) vstore(out + t, vload(from + start + t));
    if (t - before < n) {
        vstore(out + t, vload_n(from + start + t, n - (t - before), 0));
        t += VL;
    }
    for (; t < width; t += VL) vstore(out + t, vset(0));
}

/* Two rows, for a step of 2: columns 2 q + start to even, columns 2 q + 1 + start to odd. Writes no more than `width`. */
FL_SHARED void rows_by_twos(real *even, real *odd, fl_int width, const real *from, fl_int w, fl_int start)
{
    for (fl_int q = 0; q < width; q += VL) {
        const fl_int at = 2 * q + start, left = fl_min(width - q, VL);
        vec a, b;
        vunzip(load_in_row(from + at, at, w), load_in_row(from + at + VL, at + VL, w), &a, &b);
        vstore_n(even + q, a, left);
        vstore_n(odd + q, b, left);
    }
}

FL_INLINE void fill_row(real *row, fl_int n, real value)
{
    for (fl_int q = 0; q < n; q += VL) vstore_n(row + q, vset(value), fl_min(n - q, VL));
}

#endif
