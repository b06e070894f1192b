/* depthwise.c: convolutions of one channel each, without stride. There is nothing to share between rows of A, so the image is
 * read in place, with masks at its borders, and each of its rows serves several rows of pixels from registers. */
#include "kernels/conv/store.h"
#include "shared/blocks.h"
#include "shared/finish.h"

#define DEEP 4 /* rows of pixels at a time */

/* The lanes that lie in a row of w columns, the first one at column `at`, and before lane `most`. */
FL_INLINE vrange in_row(fl_int at, fl_int w, fl_int most)
{
    const fl_int lo = fl_max(0, fl_min(-at, VL)), hi = fl_min(w - at, most);
    return vrange_of(lo, fl_max(lo, hi));
}

/* `rows` <= DEEP rows of pixels, `left` lanes in the last register, from s. */
FL_INLINE void depthwise_store(real *y, const fl_depthwise_job *job, vec (*s)[2], fl_int rows, fl_int left, const int nv)
{
#pragma GCC unroll 4
    for (int q = 0; q < DEEP; q++)
        if (q < rows) {
            real *to = y + q * job->ow, *last = to + (nv - 1) * VL;
            if (job->after.accumulate) {
                if (nv == 2) s[q][0] += vload(to);
                s[q][nv - 1] += vload_n(last, left, 0);
            }
            if (nv == 2) vstore(to, s[q][0]);
            vstore_n(last, s[q][nv - 1], left);
        }
}

/* The pixels of nv registers of columns from b on, 3 x 3 taps without dilation. */
FL_INLINE void depthwise_3x3(real *y, const fl_depthwise_job *job, const real *x, const real *weights, fl_int b, vec start,
                             const int nv)
{
    vec w[9];
    vrange range[3][2];
#pragma GCC unroll 9
    for (int q = 0; q < 9; q++) w[q] = vset(weights[q]);
#pragma GCC unroll 3
    for (int j = 0; j < 3; j++)
#pragma GCC unroll 2
        for (int u = 0; u < nv; u++) range[j][u] = in_row(b + u * VL + j - job->left, job->w, VL);
    for (fl_int a = 0; a < job->oh; a += DEEP) {
        vec s[DEEP][2];
#pragma GCC unroll 4
        for (int q = 0; q < DEEP; q++) s[q][0] = s[q][1] = start;
#pragma GCC unroll 6
        for (int p = 0; p < DEEP + 2; p++) {
            const fl_int row = a + p - job->top;
            if (row < 0 || row >= job->h) continue;
#pragma GCC unroll 3
            for (int j = 0; j < 3; j++)
#pragma GCC unroll 2
                for (int u = 0; u < nv; u++) {
                    const vec d = vload_range(x + row * job->w + b + u * VL + j - job->left, range[j][u]);
#pragma GCC unroll 4
                    for (int q = 0; q < DEEP; q++)
                        if (p - q >= 0 && p - q < 3) s[q][u] += w[(p - q) * 3 + j] * d;
                }
        }
        depthwise_store(y + a * job->ow + b, job, s, job->oh - a, fl_min(job->ow - b - (nv - 1) * VL, VL), nv);
    }
}

/* The pixels of one register of columns, any taps. */
static void depthwise_any(real *y, const fl_depthwise_job *job, const real *x, const real *w, fl_int b, vec start)
{
    for (fl_int a = 0; a < job->oh; a += DEEP) {
        vec s[DEEP][2];
        for (int q = 0; q < DEEP; q++) s[q][0] = start;
        for (fl_int j = 0; j < job->s; j++) {
            const fl_int at = b + j * job->dw - job->left;
            const vrange range = in_row(at, job->w, VL);
            for (fl_int i = 0; i < job->r; i++)
#pragma GCC unroll 4
                for (int q = 0; q < DEEP; q++) {
                    const fl_int row = a + q + i * job->dh - job->top;
                    if (row >= 0 && row < job->h) s[q][0] += vset(w[i * job->s + j]) * vload_range(x + row * job->w + at, range);
                }
        }
        depthwise_store(y + a * job->ow + b, job, s, job->oh - a, fl_min(job->ow - b, VL), 1);
    }
}

/* scratch: r * s reals. */
void FL_ENTRY(depthwise)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_depthwise_job *job = (const fl_depthwise_job *)head;
    const fl_int planes = job->images * job->groups * job->rows, from = block * job->per_block;
    const fl_int to = fl_min(from + job->per_block, planes), size = job->oh * job->ow, taps = job->r * job->s;
    const int small = job->r == 3 && job->s == 3 && job->dh == 1 && job->dw == 1;
    real *w = scratch;
    for (fl_int plane = from; plane < to; plane++) {
        const fl_int k = plane % (job->groups * job->rows);
        const real *x = (const real *)job->x + plane / job->rows * job->h * job->w;
        real *y = (real *)job->y + plane * size;
        const vec start = vset(job->after.bias ? ((const real *)job->after.bias)[k] : 0);
        for (fl_int q = 0; q < taps; q++) w[q] = ((const real *)job->weights)[k * taps + job->place[q]];
        for (fl_int b = 0; b < job->ow; b += VL)
            if (!small) depthwise_any(y, job, x, w, b, start);
            else if (job->ow - b <= VL) depthwise_3x3(y, job, x, w, b, start, 1);
            else {
                depthwise_3x3(y, job, x, w, b, start, 2);
                b += VL;
            }
        if (epilogue_follows_bias(&job->after)) FL_ENTRY(finish_planes)(&job->after, job->y, size, plane, 1, 0, size);
    }
}

/* s[i][j] += v_i * d_j for a row of the image; all: rows a, a - 1, a - 2 of v are there. */
FL_INLINE void depthwise_dots_row(vec (*s)[3], const vec *v, const real *row, const vrange *range, fl_int a, fl_int oh,
                                  const int all)
{
#pragma GCC unroll 3
    for (int j = 0; j < 3; j++) {
        const vec d = vload_range(row + j, range[j]);
#pragma GCC unroll 3
        for (int i = 0; i < 3; i++)
            if (all || (a - i >= 0 && a - i < oh)) s[i][j] += v[i] * d;
    }
}

/* out[i][j] += the sum over a register's columns, all rows, of v at (a, b + lane) times x at (a + i - top, b + lane + j - left). */
FL_INLINE void depthwise_dots(vec (*out)[3], const fl_depthwise_weights_job *job, const real *v, const real *x, fl_int b)
{
    const fl_int left = fl_min(job->ow - b, VL);
    vrange range[3];
    vec s[3][3], last[3] = {vset(0), vset(0), vset(0)}; /* v for the row of the image minus i */
#pragma GCC unroll 3
    for (int j = 0; j < 3; j++) {
        range[j] = in_row(b + j - job->left, job->w, left); /* not where v has no pixel: an infinity may be there */
        for (int i = 0; i < 3; i++) s[i][j] = out[i][j];
    }
    for (fl_int a = job->top - 1; a < job->top + job->h; a++) { /* the row of v that meets tap 0 in a row of the image */
        const real *row = x + (a - job->top) * job->w + b - job->left;
        last[2] = last[1];
        last[1] = last[0];
        if (a >= 0 && a < job->oh) last[0] = vload_n(v + a * job->ow + b, left, 0);
        if (a < job->top) { /* rows of v above it */
            if (a > 0) last[1] = vload_n(v + (a - 1) * job->ow + b, left, 0);
        } else if (a >= 2 && a < job->oh) depthwise_dots_row(s, last, row, range, a, job->oh, 1);
        else depthwise_dots_row(s, last, row, range, a, job->oh, 0);
    }
#pragma GCC unroll 3
    for (int j = 0; j < 3; j++)
        for (int i = 0; i < 3; i++) out[i][j] = s[i][j];
}

void FL_ENTRY(depthwise_weights)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_depthwise_weights_job *job = (const fl_depthwise_weights_job *)head;
    const fl_int all = job->groups * job->rows, from = block * job->per_block;
    const fl_int to = fl_min(from + job->per_block, all);
    (void)scratch;
    for (fl_int k = from; k < to; k++) {
        real *dw = (real *)job->dw + 9 * k;
        vec s[3][3];
        for (int q = 0; q < 9; q++) s[q / 3][q % 3] = vset(0);
        for (fl_int n = 0; n < job->images; n++) {
            const real *v = (const real *)job->v + (n * all + k) * job->oh * job->ow;
            const real *x = (const real *)job->x + (n * job->groups + k / job->rows) * job->h * job->w;
            for (fl_int b = 0; b < job->ow; b += VL) depthwise_dots(s, job, v, x, b);
        }
        for (int q = 0; q < 9; q++) dw[q] = vsum(s[q / 3][q % 3]);
    }
}
