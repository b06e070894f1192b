/* samples.h: rows of fl_samples as they count, and how far they are. */
#ifndef FL_SAMPLES_H
#define FL_SAMPLES_H

#include "kernels/kmeans.h"
#include "simd/simd.h"

FL_INLINE real root(real x) { return FL_IS_F32 ? (real)__builtin_sqrtf((float)x) : (real)__builtin_sqrt((double)x); }
FL_INLINE real fl_larger(real a, real b) { return a > b ? a : b; }

/* A part of a row, from feature p on, as it counts. */
FL_INLINE void shifted(real *out, const real *x, const fl_samples *samples, fl_int p, fl_int n)
{
    const real *shift = (const real *)samples->shift + p, scale = (real)samples->scale;
    for (fl_int j = 0; j < n; j++) out[j] = x[j] * scale - shift[j];
}

/* |x - c|^2 of a row x as it counts. */
FL_SHARED real square_distance(const real *x, const real *c, const fl_samples *samples)
{
    const fl_int n = samples->n;
    const real *shift = samples->shift, scale = (real)samples->scale;
    vec s[4] = {vset(0), vset(0), vset(0), vset(0)};
    for (fl_int p = 0; p < n; p += 4 * VL)
        for (int q = 0; q < 4; q++) {
            const fl_int at = p + q * VL, left = n - at < VL ? n - at : VL;
            vec d;
            if (left <= 0) break;
            d = left == VL ? vload(x + at) : vload_n(x + at, left, 0);
            if (shift) d = d * vset(scale) - (left == VL ? vload(shift + at) : vload_n(shift + at, left, 0));
            d -= left == VL ? vload(c + at) : vload_n(c + at, left, 0);
            s[q] += d * d;
        }
    return vsum(s[0] + s[1] + (s[2] + s[3]));
}

#endif
