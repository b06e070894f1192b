/* stencil.c: one kernel of any size over planes, as image filters are. A register of the image, loaded once, serves the taps of
 * several rows of pixels. */
#include "kernels/stencil.h"
#include "shared/blocks.h"
#include "shared/image_rows.h"

/* Where a pixel beyond the image is taken from, 0 <= result < n; -1: nowhere. */
FL_INLINE fl_int border_index(fl_int i, fl_int n, int border)
{
    if (i >= 0 && i < n) return i;
    switch (border) {
    case FL_NEAREST: return i < 0 ? 0 : n - 1;
    case FL_WRAP: return (i % n + n) % n;
    case FL_REFLECT: i = (i % (2 * n) + 2 * n) % (2 * n); return i < n ? i : 2 * n - 1 - i;
    case FL_MIRROR:
        if (n == 1) return 0;
        i = (i % (2 * n - 2) + 2 * n - 2) % (2 * n - 2);
        return i < n ? i : 2 * n - 2 - i;
    default: return -1;
    }
}

/* Columns from `start` on of a row of w, with what lies around it. Up to a register more is written. */
static void row_in_border(real *out, fl_int width, const real *from, fl_int w, fl_int start, int border, real cval)
{
    for (fl_int q = 0; q < width;) {
        const fl_int at = q + start;
        if (at >= 0 && at + VL <= w) {
            vstore(out + q, vload(from + at));
            q += VL;
        } else {
            const fl_int i = border_index(at, w, border);
            out[q++] = i < 0 ? cval : from[i];
        }
    }
}

/* Of FL_STENCIL_ROWS rows of nv registers `rows` and, of the last register, `left` lanes. */
FL_INLINE void stencil_store(real *y, fl_int ldy, vec (*s)[STENCIL_VECTORS], fl_int rows, fl_int left, const int nv)
{
#pragma GCC unroll 4
    for (int q = 0; q < FL_STENCIL_ROWS; q++)
        if (q < rows) {
#pragma GCC unroll 4
            for (int u = 0; u < nv - 1; u++) vstore(y + q * ldy + u * VL, s[q][u]);
            vstore_n(y + q * ldy + (nv - 1) * VL, s[q][nv - 1], left);
        }
}

/* What row p of the image, from x on, adds to the rows lo..hi of pixels. */
#define STENCIL_CASE(lo, hi)                                                                   \
    case lo * 4 + hi:                                                                          \
        for (fl_int j = 0; j < taps; j++) {                                                    \
            vec d[STENCIL_VECTORS];                                                            \
            _Pragma("GCC unroll 4") for (int u = 0; u < nv; u++) d[u] = vload(x + j + u * VL); \
            _Pragma("GCC unroll 4") for (int q = lo; q <= hi; q++)                             \
            {                                                                                  \
                const vec tap = vset(w[(p - q) * taps + j]);                                   \
                _Pragma("GCC unroll 4") for (int u = 0; u < nv; u++) s[q][u] += tap * d[u];    \
            }                                                                                  \
        }                                                                                      \
        break;

/* FL_STENCIL_ROWS rows of nv registers of pixels. The taps of pixel b in row p begin with rows_of_x[p][at + b]. */
FL_INLINE void stencil_tile(real *y, fl_int ldy, const real *const *rows_of_x, fl_int at, const real *w, fl_int r, fl_int taps,
                            fl_int rows, fl_int left, const int nv)
{
    vec s[FL_STENCIL_ROWS][STENCIL_VECTORS];
#pragma GCC unroll 4
    for (int q = 0; q < FL_STENCIL_ROWS; q++)
#pragma GCC unroll 4
        for (int u = 0; u < nv; u++) s[q][u] = vset(0);
    for (fl_int p = 0; p < r + FL_STENCIL_ROWS - 1; p++) {
        const real *x = rows_of_x[p] + at;
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
    stencil_store(y, ldy, s, rows, left, nv);
}

/* stencil_tile for few rows of taps, r: the taps of one column stay in registers. */
FL_INLINE void stencil_few(real *y, fl_int ldy, const real *const *rows_of_x, fl_int at, const real *w, fl_int taps, fl_int rows,
                           fl_int left, const int r, const int nv)
{
    vec s[FL_STENCIL_ROWS][STENCIL_VECTORS];
#pragma GCC unroll 4
    for (int q = 0; q < FL_STENCIL_ROWS; q++)
#pragma GCC unroll 4
        for (int u = 0; u < nv; u++) s[q][u] = vset(0);
    for (fl_int j = 0; j < taps; j++) {
        vec tap[11];
#pragma GCC unroll 11
        for (int i = 0; i < r; i++) tap[i] = vset(w[i * taps + j]);
#pragma GCC unroll 16
        for (int p = 0; p < r + FL_STENCIL_ROWS - 1; p++) {
            const real *x = rows_of_x[p] + at + j;
            vec d[STENCIL_VECTORS];
#pragma GCC unroll 4
            for (int u = 0; u < nv; u++) d[u] = vload(x + u * VL);
#pragma GCC unroll 4
            for (int q = p < r ? 0 : p - r + 1; q <= (p < FL_STENCIL_ROWS ? p : FL_STENCIL_ROWS - 1); q++)
#pragma GCC unroll 4
                for (int u = 0; u < nv; u++) s[q][u] += tap[p - q] * d[u];
        }
    }
    stencil_store(y, ldy, s, rows, left, nv);
}

#define STENCIL_FEW(r, nv) \
    case r: stencil_few(to, job->w, x + a, b, job->weights, job->s, high - a, left, r, nv); break;
#if REGISTERS == 32
#define STENCIL_MORE(nv) STENCIL_FEW(9, nv) STENCIL_FEW(11, nv)
#else
#define STENCIL_MORE(nv)
#endif
#define STENCIL_TILE(nv)                                                                                  \
    switch (job->r) {                                                                                     \
        STENCIL_FEW(3, nv)                                                                                \
        STENCIL_FEW(5, nv)                                                                                \
        STENCIL_FEW(7, nv)                                                                                \
        STENCIL_MORE(nv)                                                                                  \
    default: stencil_tile(to, job->w, x + a, b, job->weights, job->r, job->s, high - a, left, nv); break; \
    }

/* high x wide pixels; x[p] is where the first of them in row p - i begins for row i of taps. */
static void stencil_strip(const fl_stencil_job *job, real *y, const real *const *x, fl_int high, fl_int wide)
{
    for (fl_int a = 0; a < high; a += FL_STENCIL_ROWS)
        for (fl_int b = 0, nv; b < wide; b += nv * VL) {
            const fl_int lanes = wide - b;
            real *to = y + a * job->w + b;
            nv = lanes >= STENCIL_VECTORS * VL ? STENCIL_VECTORS : lanes > VL ? 2 : 1;
            const fl_int last = lanes - (nv - 1) * VL, left = fl_min(last, VL);
            if (STENCIL_VECTORS > 2 && nv == STENCIL_VECTORS) STENCIL_TILE(STENCIL_VECTORS)
            else if (nv == 2) STENCIL_TILE(2)
            else STENCIL_TILE(1)
        }
}

/* A block: tile_rows x tile_cols pixels. Columns whose taps all meet the image read it in place, by a list of rows; those beside
 * them read copies with the border. scratch: the list, tile_rows up to FL_STENCIL_ROWS + r - 1; a row of cval, tile_cols + s and a
 * register; the copies, as many rows as the list of job->ld. */
void FL_ENTRY(stencil)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_stencil_job *job = (const fl_stencil_job *)head;
    const fl_int tiles = job->tiles_down * job->tiles_across, image = block / tiles, tile = block % tiles, h = job->h, w = job->w;
    const fl_int a0 = tile / job->tiles_across * job->tile_rows, b0 = tile % job->tiles_across * job->tile_cols;
    const fl_int high = fl_min(h - a0, job->tile_rows), wide = fl_min(w - b0, job->tile_cols);
    const fl_int top = job->r / 2, left = job->s / 2, rows = round_up(high, FL_STENCIL_ROWS) + job->r - 1;
    /* strips of columns [0, lo), [lo, hi), [hi, wide): the second in place */
    const fl_int outside = left > b0 ? round_up(left - b0, VL) : 0, lo = fl_min(outside, wide);
    const fl_int reach = w - b0 - (job->s - 1 - left), most = fl_min(reach, wide), hi = most > lo ? lo + (most - lo) / VL * VL : lo;
    const fl_int from[] = {0, lo, hi, wide};
    const real *x = (const real *)job->x + image * h * w, **list = scratch;
    real *row = (real *)scratch + job->list, *copies = row + job->tile_cols + job->s + VL;
    real *y = (real *)job->y + (image * h + a0) * w + b0;

    if (job->border == FL_CONSTANT) fill_row(row, hi - lo + job->s - 1, (real)job->cval);
    for (int strip = 0; strip < 3; strip++) {
        const fl_int b = from[strip], n = from[strip + 1] - b;
        if (n == 0) continue;
        for (fl_int p = 0; p < rows; p++) {
            const fl_int i = border_index(a0 + p - top, h, job->border);
            real *copy = copies + p * job->ld;
            if (strip == 1) list[p] = i < 0 ? row : x + i * w + b0 + b - left;
            else {
                if (i < 0) fill_row(copy, n + job->s - 1, (real)job->cval);
                else row_in_border(copy, n + job->s - 1, x + i * w, w, b0 + b - left, job->border, (real)job->cval);
                list[p] = copy;
            }
        }
        stencil_strip(job, y + b, list, high, n);
    }
}
