/* norm_dense.c: the sweeps of batch normalisation over samples (pixels, c), features side by side in memory: fl_batch_norm_job in
 * norm.h. Lanes along the features: what belongs to them lies in scratch, a strip at a time, and rows are added four at a time. */
#include "kernels/norm.h"
#include "shared/blocks.h"
#include "shared/finish.h"

#define DENSE_ROWS 4       /* that share what is loaded and stored of the features */
#define DENSE_NEAR 1048576 /* bytes of x: at 128x784 prefetching cost 8 %, at 4096x256 it gained 20 (float64, AVX2) */
#define DENSE_FIRST \
    8 /* rows whose mean is the centre of a piece's moments: its squares are at most 1 / 8 of the rows' as far off */

/* VL reals, or (part) the first `left` of them and zeros. */
FL_INLINE vec dense_load(const real *p, fl_int left, const int part) { return part ? vload_n(p, left, 0) : vload(p); }

/* Runs a statement for each register of `here` columns, from column j on; in it `part` is a constant, the last register may be one.
 */
#define FL_DENSE_COLUMNS(here, ...)         \
    do {                                    \
        fl_int j = 0;                       \
        for (; j + VL <= (here); j += VL) { \
            enum { part = 0 };              \
            const fl_int left = VL;         \
            __VA_ARGS__;                    \
        }                                   \
        if (j < (here)) {                   \
            enum { part = 1 };              \
            const fl_int left = (here) - j; \
            __VA_ARGS__;                    \
        }                                   \
    } while (0)

/* How far from a row the one lies that is prefetched with it; 0 where all of x may be in a cache. */
FL_INLINE fl_int dense_ahead(const fl_batch_norm_job *job)
{
    return job->pixels * job->c * (fl_int)sizeof(real) > DENSE_NEAR ? DENSE_ROWS * job->c : 0;
}

/* Adds `rows` rows of a and of a b to sum and product; a = x - centre and b = a, or (has_v) a = v and b = x - centre. */
FL_INLINE void dense_add(const real *x, const real *v, fl_int stride, fl_int here, fl_int ahead, const real *centre, real *sum,
                         real *product, const int rows, const int has_v)
{
    FL_DENSE_COLUMNS(here, {
        const vec c = vload(centre + j);
        vec s = vset(0), p = vload(product + j);
        for (int q = 0; q < rows; q++) {
            if (ahead) __builtin_prefetch(x + q * stride + ahead + j);
            if (ahead && has_v) __builtin_prefetch(v + q * stride + ahead + j);
            const vec b = dense_load(x + q * stride + j, left, part) - c;
            const vec a = has_v ? dense_load(v + q * stride + j, left, part) : b;
            s += a;
            p += a * b;
        }
        vstore(sum + j, vload(sum + j) + s);
        vstore(product + j, p);
    });
}

FL_INLINE void dense_pieces(const fl_batch_norm_job *job, fl_int block, real *scratch, const int has_v)
{
    const fl_int c = job->c, ahead = dense_ahead(job), last = fl_min((block + 1) * job->per_block, job->units);
    real *centre = scratch, *sum = centre + FL_NORM_STRIP, *product = sum + FL_NORM_STRIP;
    for (fl_int unit = block * job->per_block; unit < last; unit++)
        for (fl_int from = 0; from < c; from += FL_NORM_STRIP) {
            const fl_int here = fl_min(c - from, FL_NORM_STRIP), first = unit * job->piece;
            const fl_int rows = fl_min(job->pixels - first, job->piece), few = fl_min(rows, DENSE_FIRST);
            const real *x = (const real *)job->x + first * c + from, *v = has_v ? (const real *)job->v + first * c + from : NULL;
            fl_int i = 0;
            for (fl_int j = 0; j < round_up(here, VL); j++) sum[j] = product[j] = centre[j] = 0;
            if (has_v)
                for (fl_int j = 0; j < here; j++) centre[j] = (real)job->moments[from + j];
            else
                FL_DENSE_COLUMNS(here, {
                    vec s = vset(0);
                    for (fl_int q = 0; q < few; q++) s += dense_load(x + q * c + j, left, part);
                    vstore(centre + j, s / (real)few);
                });
            for (; i + DENSE_ROWS <= rows; i += DENSE_ROWS)
                dense_add(x + i * c, has_v ? v + i * c : NULL, c, here, ahead, centre, sum, product, DENSE_ROWS, has_v);
            for (; i < rows; i++) dense_add(x + i * c, has_v ? v + i * c : NULL, c, here, ahead, centre, sum, product, 1, has_v);
            double *partial = job->partial + 2 * (unit * c + from);
            const double share = 1 / (double)rows;
            for (fl_int j = 0; j < here; j++) {
                const double s = (double)sum[j], p = (double)product[j], off = s * share, squares = p - s * off;
                partial[2 * j] = has_v ? s : (double)centre[j] + off;
                partial[2 * j + 1] = has_v ? p : squares < 0 ? 0 : squares; /* NaN stays NaN */
            }
        }
}

void FL_ENTRY(batch_norm_dense_moments)(const fl_job *head, fl_int block, void *scratch)
{
    dense_pieces((const fl_batch_norm_job *)head, block, scratch, 0);
}

void FL_ENTRY(batch_norm_dense_sums)(const fl_job *head, fl_int block, void *scratch)
{
    dense_pieces((const fl_batch_norm_job *)head, block, scratch, 1);
}

/* has_v and has_x are constants at every call. */
FL_INLINE void dense_map(const fl_batch_norm_job *job, fl_int block, real *scratch, const int has_v, const int has_x)
{
    const fl_int c = job->c, ahead = dense_ahead(job), at_end = job->head.n_blocks - 1 - block;
    const fl_int first = at_end * job->per_block * job->piece; /* backwards: a cache still holds what the sums read last */
    const fl_int to = fl_min(first + job->per_block * job->piece, job->pixels);
    real *of_v = scratch, *of_x = of_v + FL_NORM_STRIP, *plus = of_x + FL_NORM_STRIP, *centre = plus + FL_NORM_STRIP;
    for (fl_int from = 0; from < c; from += FL_NORM_STRIP) {
        const fl_int here = fl_min(c - from, FL_NORM_STRIP);
        const double *factors = job->factors + from;
        for (fl_int j = 0; j < here; j++) {
            of_v[j] = (real)factors[j];
            of_x[j] = (real)factors[c + j];
            plus[j] = (real)factors[2 * c + j];
            centre[j] = (real)job->moments[from + j];
        }
        for (fl_int i = first; i < to; i += DENSE_ROWS) {
            const fl_int rows = fl_min(to - i, DENSE_ROWS), at = i * c + from;
            const real *x = has_x ? (const real *)job->x + at : NULL, *v = has_v ? (const real *)job->v + at : NULL;
            real *out = (real *)job->out + at;
            FL_DENSE_COLUMNS(here, {
                const vec f_v = vload(of_v + j), f_x = vload(of_x + j), p = vload(plus + j), m = vload(centre + j);
                for (fl_int q = 0; q < rows; q++) {
                    if (ahead && has_x) __builtin_prefetch(x + q * c + ahead + j);
                    if (ahead && has_v) __builtin_prefetch(v + q * c + ahead + j);
                    if (ahead) __builtin_prefetch(out + q * c + ahead + j, 1);
                    vec y = p;
                    if (has_x) y += f_x * (dense_load(x + q * c + j, left, part) - m);
                    if (has_v) y += f_v * dense_load(v + q * c + j, left, part);
                    if (part) vstore_n(out + q * c + j, y, left);
                    else vstore(out + q * c + j, y);
                }
            });
            if (job->after.of) FL_ENTRY(finish)(&job->after, job->out, c, out, c, i, rows, from, here);
        }
    }
}

void FL_ENTRY(batch_norm_dense_map)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_batch_norm_job *job = (const fl_batch_norm_job *)head;
    if (job->v && job->x) dense_map(job, block, scratch, 1, 1);
    else if (job->v) dense_map(job, block, scratch, 1, 0);
    else if (job->x) dense_map(job, block, scratch, 0, 1);
    else dense_map(job, block, scratch, 0, 0);
}
