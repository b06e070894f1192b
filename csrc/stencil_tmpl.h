/* stencil_tmpl.h: one kernel of any size over planes, as image filters are. A register of the image, loaded once, serves the taps of
 * several rows of pixels. */

#undef STENCIL_WIDE
#if defined __AVX512F__
#define STENCIL_WIDE 4 /* 16 sums, 4 of the image, 1 tap */
#else
#define STENCIL_WIDE 2
#endif

/* What row p of the image adds to the rows lo..hi of pixels. */
#undef STENCIL_CASE
#define STENCIL_CASE(lo, hi)                                                                     \
    case lo * 4 + hi:                                                                            \
        for (fl_int j = 0; j < taps; j++) {                                                      \
            vec d[STENCIL_WIDE];                                                                 \
            _Pragma("GCC unroll 4") for (int u = 0; u < nv; u++) d[u] = vload(x + j + u * VL);   \
            _Pragma("GCC unroll 4") for (int q = lo; q <= hi; q++)                               \
            {                                                                                    \
                const vec tap = vset(w[(p - q) * taps + j]);                                     \
                _Pragma("GCC unroll 4") for (int u = 0; u < nv; u++) s[q][u] += tap * d[u];      \
            }                                                                                    \
        }                                                                                        \
        break;

/* FL_STENCIL_ROWS rows of nv registers of pixels, of which `rows` and, in the last register, `left` lanes are stored. */
FL_INLINE void FL_FN(stencil_tile)(real *y, fl_int ldy, const real *x, fl_int pitch, const real *w, fl_int r, fl_int taps, fl_int rows,
                                   fl_int left, const int nv)
{
    vec s[FL_STENCIL_ROWS][STENCIL_WIDE];
#pragma GCC unroll 4
    for (int q = 0; q < FL_STENCIL_ROWS; q++)
#pragma GCC unroll 4
        for (int u = 0; u < nv; u++) s[q][u] = vset(0);
    for (fl_int p = 0; p < r + FL_STENCIL_ROWS - 1; p++, x += pitch) {
        const fl_int lo = p < r ? 0 : p - r + 1, hi = p < FL_STENCIL_ROWS ? p : FL_STENCIL_ROWS - 1;
        switch (lo * 4 + hi) {
            STENCIL_CASE(0, 0)
            STENCIL_CASE(0, 1)
            STENCIL_CASE(0, 2)
            STENCIL_CASE(0, 3)
            STENCIL_CASE(1, 1)
            STENCIL_CASE(1, 2)
            STENCIL_CASE(1, 3)
            STENCIL_CASE(2, 2)
            STENCIL_CASE(2, 3)
            STENCIL_CASE(3, 3)
        }
    }
#pragma GCC unroll 4
    for (int q = 0; q < FL_STENCIL_ROWS; q++)
        if (q < rows) {
#pragma GCC unroll 4
            for (int u = 0; u < nv - 1; u++) vstore(y + q * ldy + u * VL, s[q][u]);
            vstore_n(y + q * ldy + (nv - 1) * VL, s[q][nv - 1], left);
        }
}

static void FL_FN(stencil)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_stencil_job *job = (const fl_stencil_job *)head;
    const fl_conv_planes *P = &job->planes;
    const fl_int tiles = job->tiles_down * job->tiles_across, image = block / tiles, tile = block % tiles;
    const fl_int a0 = tile / job->tiles_across * P->tile_rows, b0 = tile % job->tiles_across * P->tile_cols;
    const fl_int high = P->h - a0 < P->tile_rows ? P->h - a0 : P->tile_rows, wide = P->w - b0 < P->tile_cols ? P->w - b0 : P->tile_cols;
    const real *w = job->weights;
    real *plane = scratch;
    FL_FN(planes_of)(plane, P->plane, (const real *)job->x + image * P->h * P->w, P, a0, b0, P->plane_rows - P->tile_rows + high);
    for (fl_int a = 0; a < high; a += FL_STENCIL_ROWS)
        for (fl_int b = 0, nv; b < wide; b += nv * VL) {
            real *y = (real *)job->y + (image * P->h + a0 + a) * P->w + b0 + b;
            const real *x = plane + a * P->pitch + b;
            const fl_int lanes = wide - b;
            nv = lanes >= STENCIL_WIDE * VL ? STENCIL_WIDE : lanes > VL ? 2 : 1;
            const fl_int last = lanes - (nv - 1) * VL, left = last < VL ? last : VL;
            if (nv == STENCIL_WIDE) FL_FN(stencil_tile)(y, P->w, x, P->pitch, w, job->r, job->s, high - a, left, STENCIL_WIDE);
            else if (nv == 2) FL_FN(stencil_tile)(y, P->w, x, P->pitch, w, job->r, job->s, high - a, left, 2);
            else FL_FN(stencil_tile)(y, P->w, x, P->pitch, w, job->r, job->s, high - a, left, 1);
        }
}
