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

/* `rows` <= DEEP rows of nv registers of pixels, `left` lanes in the last one; y has `rest` elements from the first one on. A
 * register that is a whole row goes out whole where y goes on: what lies beyond the row is written again, with the row that begins
 * there. */
FL_INLINE void depthwise_store(real *y, const fl_depthwise_job *job, vec (*s)[2], fl_int rows, fl_int left, fl_int rest,
                               const int nv)
{
    const int whole = left == VL || (job->ow < VL && rest >= (DEEP - 1) * job->ow + VL);
    if (nv == 1 && rows >= DEEP && whole && !job->after.accumulate) {
#pragma GCC unroll 4
        for (int q = 0; q < DEEP; q++) vstore(y + q * job->ow, s[q][0]);
        return;
    }
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

/* s[q][u] += the products of row p of x, of DEEP + 2 rows, with the taps that row q of y has there. */
FL_INLINE void depthwise_row(vec (*s)[2], const real *x, const vec *w, const vrange (*range)[2], const int p, const int nv,
                             const int inside)
{
#pragma GCC unroll 3
    for (int j = 0; j < 3; j++)
#pragma GCC unroll 2
        for (int u = 0; u < nv; u++) {
            const vec d = inside ? vload(x + u * VL + j) : vload_range(x + u * VL + j, range[j][u]);
#pragma GCC unroll 4
            for (int q = 0; q < DEEP; q++)
                if (p - q >= 0 && p - q < 3) s[q][u] += w[(p - q) * 3 + j] * d;
        }
}

/* The pixels of nv registers of columns from b on, 3 x 3 taps without dilation. inside: all columns that they see are the image's.
 * The last rows begin where they end with y, if it is only written. */
FL_INLINE void depthwise_3x3(real *y, const fl_depthwise_job *job, const real *x, const real *weights, fl_int b, vec start,
                             const int nv, const int inside)
{
    const fl_int oh = job->oh, ow = job->ow, last = oh >= DEEP && !job->after.accumulate ? oh - DEEP : oh;
    vec w[9];
    vrange range[3][2];
#pragma GCC unroll 9
    for (int q = 0; q < 9; q++) w[q] = vset(weights[q]);
#pragma GCC unroll 3
    for (int j = 0; j < 3; j++)
#pragma GCC unroll 2
        for (int u = 0; u < nv; u++) range[j][u] = in_row(b + u * VL + j - job->left, job->w, VL);
    for (fl_int at = 0; at < oh; at += DEEP) {
        const fl_int a = fl_min(at, last), top = a - job->top;
        const real *from = x + top * job->w + b - job->left;
        vec s[DEEP][2];
#pragma GCC unroll 4
        for (int q = 0; q < DEEP; q++) s[q][0] = s[q][1] = start;
        if (top >= 0 && top + DEEP + 2 <= job->h) {
#pragma GCC unroll 6
            for (int p = 0; p < DEEP + 2; p++) depthwise_row(s, from + p * job->w, w, range, p, nv, inside);
        } else {
#pragma GCC unroll 6
            for (int p = 0; p < DEEP + 2; p++)
                if (top + p >= 0 && top + p < job->h) depthwise_row(s, from + p * job->w, w, range, p, nv, inside);
        }
        depthwise_store(y + a * ow + b, job, s, oh - a, fl_min(ow - b - (nv - 1) * VL, VL), (oh - a) * ow - b, nv);
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
        depthwise_store(y + a * job->ow + b, job, s, job->oh - a, fl_min(job->ow - b, VL), (job->oh - a) * job->ow - b, 1);
    }
}

/* Whether a register of columns from b on sees columns of the image alone, which needs no masks. Where these have registers of
 * their own they cost nothing, and this does not ask. */
FL_INLINE int sees_inside(fl_int b, fl_int left, fl_int w) { return DEPTHWISE_VECTORS == 1 && b >= left && b + 2 + VL - left <= w; }

/* A register of columns from b on, or those that end with the row, if y is only written. small: 3 x 3 taps without dilation. */
FL_INLINE void depthwise_column(real *y, const fl_depthwise_job *job, const real *x, const real *w, fl_int b, vec start, int small)
{
    if (job->ow - b < VL && job->ow >= VL && !job->after.accumulate) b = job->ow - VL;
    if (!small) depthwise_any(y, job, x, w, b, start);
    else if (sees_inside(b, job->left, job->w)) depthwise_3x3(y, job, x, w, b, start, 1, 1);
    else depthwise_3x3(y, job, x, w, b, start, 1, 0);
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
            if (!small || DEPTHWISE_VECTORS == 1) depthwise_column(y, job, x, w, b, start, small);
            else if (job->ow - b <= VL) depthwise_3x3(y, job, x, w, b, start, 1, 0);
            else {
                depthwise_3x3(y, job, x, w, b, start, 2, 0);
                b += VL;
            }
        if (epilogue_follows_bias(&job->after)) FL_ENTRY(finish_planes)(&job->after, job->y, size, plane, 1, 0, size);
    }
}

/* Row a of v, a register of its columns, or the first `left` of them; zeros where there is no such row. */
FL_INLINE vec row_of_v(const fl_depthwise_weights_job *job, const real *v, fl_int a, fl_int left, const int all, const int inside)
{
    if (!all && (a < 0 || a >= job->oh)) return vset(0);
    return inside ? vload(v + a * job->ow) : vload_n(v + a * job->ow, left, 0);
}

/* s[i][j] += row a - i of v times d_j, for a row of the image; all: v has these rows. last: its rows a - 1 and a - 2, then a and a
 * - 1. */
FL_INLINE void depthwise_dots_row(vec (*s)[3], vec *last, const fl_depthwise_weights_job *job, const real *v, const real *row,
                                  const vrange *range, fl_int a, fl_int left, const int all, const int inside)
{
    const vec of[3] = {row_of_v(job, v, a, left, all, inside), last[0], last[1]};
#pragma GCC unroll 3
    for (int j = 0; j < 3; j++) {
        const vec d = inside ? vload(row + j) : vload_range(row + j, range[j]);
#pragma GCC unroll 3
        for (int i = 0; i < 3; i++)
            if (all || (a - i >= 0 && a - i < job->oh)) s[i][j] += of[i] * d;
    }
    last[1] = last[0];
    last[0] = of[0];
}

/* out[i][j] += the sum over a register's columns, all rows, of v at (a, b + lane) times x at (a + i - top, b + lane + j - left).
 * inside: v has all these columns, and the image all that they see. */
FL_INLINE void depthwise_dots(vec (*out)[3], const fl_depthwise_weights_job *job, const real *v, const real *x, fl_int b,
                              const int inside)
{
    const fl_int left = fl_min(job->ow - b, VL), w = job->w, end = job->top + job->h, whole = fl_min(job->oh, end);
    const real *row = x + b - job->left; /* the image's that meets row a of v by tap 0 */
    vrange range[3];
    fl_int a = job->top;
    vec s[3][3], last[2];
    v += b;
    last[0] = row_of_v(job, v, a - 1, left, 0, inside);
    last[1] = row_of_v(job, v, a - 2, left, 0, inside);
#pragma GCC unroll 3
    for (int j = 0; j < 3; j++) {
        range[j] = in_row(b + j - job->left, w, left); /* not where v has no pixel: an infinity may be there */
        for (int i = 0; i < 3; i++) s[i][j] = out[i][j];
    }
    for (; a < end && a < 2; a++, row += w) depthwise_dots_row(s, last, job, v, row, range, a, left, 0, inside);
    for (; a < whole; a++, row += w) depthwise_dots_row(s, last, job, v, row, range, a, left, 1, inside);
    for (; a < end; a++, row += w) depthwise_dots_row(s, last, job, v, row, range, a, left, 0, inside);
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
            for (fl_int b = 0; b < job->ow; b += VL)
                if (b + VL <= job->ow && sees_inside(b, job->left, job->w)) depthwise_dots(s, job, v, x, b, 1);
                else depthwise_dots(s, job, v, x, b, 0);
        }
        for (int q = 0; q < 9; q++) dw[q] = vsum(s[q / 3][q % 3]);
    }
}
