/* transpose.h: rows as columns: lanes along the rows. */
#ifndef FL_TRANSPOSE_H
#define FL_TRANSPOSE_H

#include "simd/simd.h"

/* t[j * ld + r] = x[r * ldx + j] for j < n, r < rows <= VL; lanes of missing rows are 0. */
FL_INLINE void load_transposed(real *t, fl_int ld, const real *x, fl_int ldx, fl_int n, fl_int rows)
{
    if (rows < VL || n < QUAD) {
        for (fl_int j = 0; j < n; j++)
            for (fl_int r = 0; r < VL; r++) t[j * ld + r] = r < rows ? x[r * ldx + j] : 0;
        return;
    }
    for (fl_int j = 0; j < n; j += QUAD) {
        vec a[16 / sizeof(real)];
        fl_int c = j + QUAD <= n ? j : n - QUAD; /* the last piece overlaps the one before */
        for (fl_int r = 0; r < QUAD; r++) a[r] = vgather128(x + r * ldx + c, QUAD * ldx);
        vtranspose128(a);
        for (fl_int r = 0; r < QUAD; r++) vstore(t + (c + r) * ld, a[r]);
    }
}

#endif
