/* softmax.c: softmax, log-softmax and log-sum-exp (lecture 2.2, eq. 10), shifted by the largest value so that nothing
 * overflows. log-sum-exp is top + log1p(sum without the top): the form that keeps small probabilities (Blanchard, Higham and
 * Higham 2021). NaN and infinity come out as in scipy.special. Three ways, by where the reduced axis lies:
 *   short rows   FL_WIDE * VL rows at a time, transposed in registers, so that lanes are rows and nothing is summed across lanes;
 *   long rows    one row at a time in L1 or L2: top, exp and sum, scale;
 *   columns      lanes are neighbouring columns, a strip of them in scratch.
 * Very long rows and columns are cut into parts, each with its own top, so that no block takes long: of all parts together follows
 * what each is to be multiplied with. */
#include "kernels/softmax.h"
#include "shared/blocks.h"
#include "shared/softmax_steps.h"

/* Below, `mode` is a constant: FL_SOFTMAX, or FL_LOG_SOFTMAX, which FL_LOGSUMEXP shares until something is stored. */
FL_INLINE int stores_sums_alone(const fl_softmax_job *job, const int mode)
{
    return mode != FL_SOFTMAX && job->mode == FL_LOGSUMEXP;
}

/* last[v] from the tops. */
FL_INLINE void lanes_last(last_step *last, const vec *top, real *t, fl_int ld, fl_int n, const next_columns *next, const int mode,
                          const int wide)
{
    vec sum[FL_WIDE];
    lanes_exp(sum, t, ld, n, top, next, mode, wide);
    for (int v = 0; v < wide; v++) {
        last[v].top = top[v];
        if (mode == FL_SOFTMAX) last[v].factor = 1 / sum[v];
        else last[v].factor = vlog1p(sum[v]);
    }
}

FL_INLINE void softmax_long_row(const fl_softmax_job *job, real *y, const real *x, const real *ahead, real *scratch, const int mode)
{
    const fl_int n = job->n;
    const int stream = job->stream;
    real top = row_top(x, n);
    if (mode == FL_SOFTMAX) {
        real *e = stream ? scratch : y;
        double sum = row_exp(e, x, n, top, ahead, mode);
        row_store(y, e, n, (real)(1 / sum), 0, mode, stream);
        return;
    }
    real log_sum = vlog1p(vset((real)row_exp(NULL, x, n, top, ahead, mode)))[0];
    if (stores_sums_alone(job, mode)) *y = top + log_sum;
    else row_store(y, x, n, log_sum, top, mode, stream);
}

FL_INLINE void softmax_rows_range(const fl_softmax_job *job, fl_int from, fl_int to, real *scratch, const int mode)
{
    const int sums = stores_sums_alone(job, mode);
    const fl_int n = job->n, ldx = job->ldx, ldy = sums ? 1 : job->ldy;
    const real *x = job->x;
    real *y = job->y;
    if (n > FL_SHORT_ROW) {
        for (fl_int i = from; i < to; i++)
            softmax_long_row(job, y + i * ldy, x + i * ldx, x + fl_min(i + 1, job->m - 1) * ldx, scratch, mode);
        if (job->stream) vstream_end();
        return;
    }
    const fl_int ld = FL_WIDE * VL;
    for (fl_int i = from; i < to; i += ld) {
        const fl_int rows = fl_min(to - i, ld);
        vec top[FL_WIDE];
        last_step last[FL_WIDE];
        for (fl_int r = 0; r < rows; r += VL) load_transposed(scratch + r, ld, x + (i + r) * ldx, ldx, n, fl_min(rows - r, VL));
        if (rows > ld - VL) {
            lanes_top(top, scratch, ld, n, FL_WIDE);
            lanes_last(last, top, scratch, ld, n, NULL, mode, FL_WIDE);
        } else {
            for (fl_int v = 0; v * VL < rows; v++) {
                lanes_top(top + v, scratch + v * VL, ld, n, 1);
                lanes_last(last + v, top + v, scratch + v * VL, ld, n, NULL, mode, 1);
            }
        }
        for (fl_int v = 0; v * VL < rows; v++) {
            const fl_int r = v * VL, here = fl_min(rows - r, VL);
            if (sums) vstore_n(y + i + r, top[v] + last[v].factor, here);
            else store_transposed(y + (i + r) * ldy, ldy, scratch + r, ld, n, here, last + v, mode);
        }
    }
}

/* scratch: max(FL_SHORT_ROW * FL_WIDE * 64, stream ? n * sizeof(real) : 0) bytes. */
FL_INTERLEAVED void FL_ENTRY(softmax_rows)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_softmax_job *job = (const fl_softmax_job *)head;
    fl_int from = block * job->per_block, to = fl_min(from + job->per_block, job->m);
    assert(job->n >= 1 && from < to);
    if (job->mode == FL_SOFTMAX) softmax_rows_range(job, from, to, scratch, FL_SOFTMAX);
    else softmax_rows_range(job, from, to, scratch, FL_LOG_SOFTMAX);
}

/* `wide` vectors of columns from t, where they are neighbours; the last vector has `lanes` lanes. cut: they are parts of columns,
 * whose tops and sums go to `partial` and `partial + sums`, and y becomes exp(x - top) in mode FL_SOFTMAX only. */
FL_INLINE void softmax_columns(const fl_softmax_job *job, real *y, fl_int n, fl_int lanes, real *t, const vec *top,
                               const next_columns *next, real *partial, fl_int sums, int stream, const int mode, const int wide,
                               const int cut)
{
    const fl_int inner = job->inner, ld = wide * VL;
    last_step last[FL_WIDE];
    if (cut) {
        vec finite[FL_WIDE], sum[FL_WIDE];
        for (int v = 0; v < wide; v++) finite[v] = finite_top(top[v]);
        lanes_exp(sum, t, ld, n, finite, next, mode, wide);
        for (int v = 0; v < wide; v++) {
            vstore_n(partial + v * VL, finite[v], lanes);
            vstore_n(partial + sums + v * VL, sum[v], lanes);
            last[v].factor = vset(1);
        }
        if (mode != FL_SOFTMAX) return;
    } else {
        lanes_last(last, top, t, ld, n, next, mode, wide);
    }
    if (stores_sums_alone(job, mode)) {
        for (int v = 0; v < wide; v++) vstore_n(y + v * VL, top[v] + last[v].factor, lanes);
        return;
    }
    for (fl_int j = 0; j < n; j++) {
        for (int v = 0; v < wide; v++) {
            vec a = finish(vload(t + j * ld + v * VL), last + v, j, mode);
            if (stream) vstream(y + j * inner + v * VL, a);
            else if (lanes == VL) vstore(y + j * inner + v * VL, a);
            else vstore_n(y + j * inner + v * VL, a, lanes);
        }
    }
}

/* FL_WIDE vectors at a time of n rows of `width` columns, each copied to scratch while the one before computes where both fit. */
FL_INLINE void softmax_strip(const fl_softmax_job *job, const real *x, real *y, fl_int n, fl_int width, real *t, real *partial,
                             fl_int sums, const int mode, const int cut)
{
    const fl_int inner = job->inner, whole = FL_WIDE * VL;
    const int stream = job->stream && (uintptr_t)y % VECTOR_BYTES == 0 && inner % VL == 0;
    const int overlap = n * whole * (fl_int)sizeof(real) <= 1 << 18; /* two strips in half of L2 */
    vec tops[2][FL_WIDE];
    fl_int c = 0;
    for (int now = 0; c + whole <= width; c += whole, now = !now) {
        next_columns next = {x + c, t + now * n * whole, tops[now], inner};
        if (c == 0 || !overlap) {
            for (int v = 0; v < FL_WIDE; v++) next.top[v] = vset(-REAL_INF);
            for (fl_int j = 0; j < n; j++) copy_row(&next, j, n, whole, VL, FL_WIDE);
        }
        const int more = overlap && c + 2 * whole <= width;
        next = (next_columns){x + c + whole, t + !now * n * whole, tops[!now], inner};
        for (int v = 0; v < FL_WIDE; v++) next.top[v] = vset(-REAL_INF);
        softmax_columns(job, y + c, n, VL, t + now * n * whole, tops[now], more ? &next : NULL, cut ? partial + c : NULL, sums,
                        stream, mode, FL_WIDE, cut);
    }
    for (; c < width; c += VL) {
        const fl_int lanes = fl_min(width - c, VL);
        next_columns next = {x + c, t, tops[0], inner};
        tops[0][0] = vset(-REAL_INF);
        for (fl_int j = 0; j < n; j++) copy_row(&next, j, n, VL, lanes, 1);
        softmax_columns(job, y + c, n, lanes, t, tops[0], NULL, cut ? partial + c : NULL, sums, 0, mode, 1, cut);
    }
    if (stream) vstream_end();
}

/* Neighbouring columns, or parts of them, that a block works on. */
typedef struct {
    fl_int outer, part;
    fl_int from, width; /* along inner */
    fl_int begin, n;    /* along the reduced axis */
} region;

/* parts: of each column, or 1 for whole columns. */
FL_INLINE region region_of(const fl_softmax_job *job, fl_int block, fl_int parts)
{
    const fl_int wide = job->per_block * (64 / (fl_int)sizeof(real)), strips = ceil_div(job->inner, wide), number = block / strips;
    const fl_int from = block % strips * wide, width = fl_min(job->inner - from, wide);
    const fl_int part = number % parts, begin = part * job->part;
    const fl_int n = part + 1 < parts ? job->part : job->n - begin;
    return (region){number / parts, part, from, width, begin, n};
}

/* scratch: 2 * n * FL_WIDE * 64 bytes. */
FL_INTERLEAVED void FL_ENTRY(softmax_cols)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_softmax_job *job = (const fl_softmax_job *)head;
    const region R = region_of(job, block, 1);
    const real *x = (const real *)job->x + R.outer * job->n * job->inner + R.from;
    real *y = (real *)job->y + R.outer * (job->mode == FL_LOGSUMEXP ? 1 : job->n) * job->inner + R.from;
    assert(job->n >= 1 && R.width >= 1);
    if (job->mode == FL_SOFTMAX) softmax_strip(job, x, y, job->n, R.width, scratch, NULL, 0, FL_SOFTMAX, 0);
    else softmax_strip(job, x, y, job->n, R.width, scratch, NULL, 0, FL_LOG_SOFTMAX, 0);
}

/* Columns in parts. partial[0, outer, part, c] is the top of a part, finite or +inf, partial[1, ...] its sum as lanes_exp gives it.
 * softmax_join puts there what `finish` takes: the top and the factor of a part (FL_SOFTMAX) or, in part 0, of the column.
 * scratch: 2 * part * FL_WIDE * 64 bytes, where columns are no rows. */
FL_INTERLEAVED void FL_ENTRY(softmax_part)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_softmax_job *job = (const fl_softmax_job *)head;
    const region R = region_of(job, block, job->parts);
    const fl_int at = (R.outer * job->n + R.begin) * job->inner + R.from, sums = job->outer * job->parts * job->inner;
    const real *x = (const real *)job->x + at;
    real *y = (real *)job->y + (job->mode == FL_SOFTMAX ? at : 0);
    real *partial = (real *)job->partial + (R.outer * job->parts + R.part) * job->inner + R.from;
    if (job->inner == 1) {
        partial[0] = finite_top(vset(row_top(x, R.n)))[0];
        if (job->mode == FL_SOFTMAX) partial[sums] = (real)row_exp(y, x, R.n, partial[0], x, FL_SOFTMAX);
        else partial[sums] = (real)row_exp(NULL, x, R.n, partial[0], x, FL_LOGSUMEXP);
    } else if (job->mode == FL_SOFTMAX) {
        softmax_strip(job, x, y, R.n, R.width, scratch, partial, sums, FL_SOFTMAX, 1);
    } else {
        softmax_strip(job, x, y, R.n, R.width, scratch, partial, sums, FL_LOG_SOFTMAX, 1);
    }
}

void FL_ENTRY(softmax_join)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_softmax_job *job = (const fl_softmax_job *)head;
    const region R = region_of(job, block, 1);
    const fl_int inner = job->inner, parts = job->parts;
    real *tops = (real *)job->partial + R.outer * parts * inner + R.from, *sums = tops + job->outer * parts * inner;
    (void)scratch;
    for (fl_int c = 0; c < R.width; c += VL) {
        const fl_int lanes = fl_min(R.width - c, VL);
        vec top, sum;
        join_parts(&top, &sum, tops + c, sums + c, parts, inner, lanes, job->mode);
        if (job->mode == FL_SOFTMAX) {
            for (fl_int p = 0; p < parts; p++) vstore_n(sums + p * inner + c, vload_n(sums + p * inner + c, lanes, 0) / sum, lanes);
            continue;
        }
        const vec log_sum = vselect(vequal(sum, vset(-1)), vset(-REAL_INF), vlog1p(sum)); /* -1: all elements are -inf */
        if (job->mode == FL_LOGSUMEXP) vstore_n((real *)job->y + R.outer * inner + R.from + c, top + log_sum, lanes);
        vstore_n(tops + c, top, lanes);
        vstore_n(sums + c, log_sum, lanes);
    }
}

/* y = finish(x) for `wide` vectors of columns, the last one of `lanes` lanes. */
FL_INLINE void softmax_finish(real *y, const real *x, fl_int inner, fl_int n, fl_int lanes, const real *tops, const real *factors,
                              const int mode, const int wide)
{
    last_step last[FL_WIDE];
    for (int v = 0; v < wide; v++) {
        last[v].top = vload_n(tops + v * VL, lanes, 0);
        last[v].factor = vload_n(factors + v * VL, lanes, 0);
    }
    for (fl_int j = 0; j < n; j++)
        for (int v = 0; v < wide; v++) {
            const fl_int at = j * inner + v * VL;
            vstore_n(y + at, finish(vload_n(x + at, lanes, 0), last + v, j, mode), lanes);
        }
}

FL_INLINE void softmax_last_part(const fl_softmax_job *job, const region *R, const int mode)
{
    const fl_int inner = job->inner, at = (R->outer * job->n + R->begin) * inner + R->from, whole = FL_WIDE * VL;
    const fl_int part = R->outer * job->parts + (mode == FL_SOFTMAX ? R->part : 0);
    const real *tops = (const real *)job->partial + part * inner + R->from, *factors = tops + job->outer * job->parts * inner;
    real *y = (real *)job->y + at;
    const real *x = mode == FL_SOFTMAX ? y : (const real *)job->x + at;
    fl_int c = 0;
    if (inner == 1) {
        row_store(y, x, R->n, factors[0], tops[0], mode, 0);
        return;
    }
    for (; c + whole <= R->width; c += whole) softmax_finish(y + c, x + c, inner, R->n, VL, tops + c, factors + c, mode, FL_WIDE);
    for (; c < R->width; c += VL) {
        const fl_int lanes = fl_min(R->width - c, VL);
        softmax_finish(y + c, x + c, inner, R->n, lanes, tops + c, factors + c, mode, 1);
    }
}

void FL_ENTRY(softmax_last)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_softmax_job *job = (const fl_softmax_job *)head;
    const region R = region_of(job, block, job->parts);
    (void)scratch;
    if (job->mode == FL_SOFTMAX) softmax_last_part(job, &R, FL_SOFTMAX);
    else softmax_last_part(job, &R, FL_LOG_SOFTMAX);
}
