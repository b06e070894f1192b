/* softmax_tmpl.h: softmax, log-softmax and log-sum-exp (lecture 2.2, eq. 10), shifted by the largest value so that nothing
 * overflows. log-sum-exp is top + log1p(sum without the top): the form that keeps small probabilities (Blanchard, Higham and
 * Higham 2021). NaN and infinity come out as in scipy.special. Three ways, by where the reduced axis lies:
 *   short rows   VL rows at a time, transposed in registers, so that lanes are rows and nothing is summed across lanes;
 *   long rows    one row at a time in L1 or L2: top, exp and sum, scale;
 *   columns      lanes are neighbouring columns, a strip of them in scratch. */

#undef SHORT_ROW
#undef SUM_RUN
#undef FL_ADD_BELOW_TOP
#define SHORT_ROW 40 /* rows up to this long go the transposed way */
#define SUM_RUN 32   /* vectors added plainly before they join a sum that is kept more accurately */

/* t[j * VL + r] = x[r * ldx + j] for j < n, r < rows <= VL; lanes of missing rows are 0. */
FL_INLINE void load_transposed(real *t, const real *x, fl_int ldx, fl_int n, fl_int rows)
{
    if (rows < VL || n < QUAD) {
        memset(t, 0, (size_t)(n * VL) * sizeof *t);
        for (fl_int r = 0; r < rows; r++)
            for (fl_int j = 0; j < n; j++) t[j * VL + r] = x[r * ldx + j];
        return;
    }
    for (fl_int j = 0; j < n; j += QUAD) {
        vec a[16 / sizeof(real)];
        fl_int c = j + QUAD <= n ? j : n - QUAD; /* the last piece overlaps the one before */
        for (fl_int r = 0; r < QUAD; r++) a[r] = vgather128(x + r * ldx + c, QUAD * ldx);
        vtranspose128(a);
        for (fl_int r = 0; r < QUAD; r++) vstore(t + (c + r) * VL, a[r]);
    }
}

FL_INLINE void store_transposed(real *y, fl_int ldy, const real *t, fl_int n, fl_int rows)
{
    if (rows < VL || n < QUAD) {
        for (fl_int r = 0; r < rows; r++)
            for (fl_int j = 0; j < n; j++) y[r * ldy + j] = t[j * VL + r];
        return;
    }
    for (fl_int j = 0; j < n; j += QUAD) {
        vec a[16 / sizeof(real)];
        fl_int c = j + QUAD <= n ? j : n - QUAD;
        for (fl_int r = 0; r < QUAD; r++) a[r] = vload(t + (c + r) * VL);
        vtranspose128(a);
        for (fl_int r = 0; r < QUAD; r++) vscatter128(y + r * ldy + c, QUAD * ldy, a[r]);
    }
}

/* Adds e, but for the lanes where a is the top: those are counted, since each is exactly 1 and the first is log1p's. */
#define FL_ADD_BELOW_TOP(sum, ties, e, a, top)        \
    do {                                              \
        vmask tie_ = vequal(a, top);                  \
        (sum) += vselect(tie_, vset(0), e);           \
        (ties) += vselect(tie_, vset(1), vset(0));    \
    } while (0)

/* VL independent problems, one a lane: t[j * ld], j < n, n >= 1. */
FL_INLINE vec FL_FN(lanes_top)(const real *t, fl_int ld, fl_int n)
{
    vec top = vload(t);
    for (fl_int j = 1; j < n; j++) top = vmax(top, vload(t + j * ld));
    return top;
}

/* Sum of exp(t - top), which FL_SOFTMAX leaves in t. The other modes leave t alone and return the sum less 1 (the top's own
 * term), so that log-sum-exp is top + log1p of it. */
FL_INLINE vec FL_FN(lanes_exp)(real *t, fl_int ld, fl_int n, vec top, const int mode)
{
    vec total = vset(0), lost = total, ties = total;
    for (fl_int from = 0; from < n; from += SUM_RUN) {
        fl_int to = from + SUM_RUN < n ? from + SUM_RUN : n;
        vec sum = vset(0);
        for (fl_int j = from; j < to; j++) {
            vec a = vload(t + j * ld), e = vexp_nonpositive(a - top);
            if (mode == FL_SOFTMAX) sum += e, vstore(t + j * ld, e);
            else FL_ADD_BELOW_TOP(sum, ties, e, a, top);
        }
        vec next = total + sum, part = next - total; /* two-sum: what the addition rounds off is kept */
        lost += (total - (next - part)) + (sum - part);
        total = next;
    }
    total += lost;
    if (mode != FL_SOFTMAX) total += ties - 1;
    return total;
}

FL_INLINE void FL_FN(lanes_scale)(real *t, fl_int ld, fl_int n, vec scale)
{
    for (fl_int j = 0; j < n; j++) vstore(t + j * ld, vload(t + j * ld) * scale);
}

/* In place; returns log-sum-exp where that is the mode. */
FL_INLINE vec FL_FN(softmax_lanes)(real *t, fl_int n, const int mode)
{
    vec top = FL_FN(lanes_top)(t, VL, n), sum = FL_FN(lanes_exp)(t, VL, n, top, mode);
    if (mode == FL_SOFTMAX) {
        FL_FN(lanes_scale)(t, VL, n, 1 / sum);
        return sum;
    }
    vec log_sum = vlog1p(sum);
    if (mode == FL_LOG_SOFTMAX)
        for (fl_int j = 0; j < n; j++) vstore(t + j * VL, vload(t + j * VL) - top - log_sum);
    return top + log_sum;
}

/* The largest of a row; a NaN may be lost (the sum then has it). */
FL_INLINE real FL_FN(row_top)(const real *x, fl_int n)
{
    const vec lowest = vset(-REAL_INF);
    vec t0 = lowest, t1 = lowest, t2 = lowest, t3 = lowest;
    fl_int j = 0;
    for (; j + 4 * VL <= n; j += 4 * VL) {
        t0 = vmax(t0, vload(x + j));
        t1 = vmax(t1, vload(x + j + VL));
        t2 = vmax(t2, vload(x + j + 2 * VL));
        t3 = vmax(t3, vload(x + j + 3 * VL));
    }
    for (; j + VL <= n; j += VL) t0 = vmax(t0, vload(x + j));
    if (j < n) t1 = vmax(t1, vload_n(x + j, n - j, -REAL_INF));
    return vtop(vmax(vmax(t0, t1), vmax(t2, t3)));
}

/* Sum of exp(x - top), less 1 if not FL_SOFTMAX (see lanes_exp); stored to e unless that is NULL. Meanwhile the same part of
 * `ahead`, the row that comes next, is fetched: this sweep leaves the memory idle. */
FL_INLINE double FL_FN(row_exp)(real *e, const real *x, fl_int n, real top_, const real *ahead, const int mode)
{
    const vec top = vset(top_);
    double total = 0;
    vec ties = vset(0);
    for (fl_int from = 0; from < n; from += 2 * SUM_RUN * VL) {
        fl_int to = from + 2 * SUM_RUN * VL < n ? from + 2 * SUM_RUN * VL : n, j = from;
        vec s0 = vset(0), s1 = s0;
        for (; j + 2 * VL <= to; j += 2 * VL) {
            vec a = vload(x + j), b = vload(x + j + VL), ea = vexp_nonpositive(a - top), eb = vexp_nonpositive(b - top);
            for (fl_int k = 0; k < 2 * VBYTES; k += 64) __builtin_prefetch((const char *)(ahead + j) + k, 0, 2);
            if (e) vstore(e + j, ea), vstore(e + j + VL, eb);
            if (mode == FL_SOFTMAX) {
                s0 += ea;
                s1 += eb;
            } else {
                FL_ADD_BELOW_TOP(s0, ties, ea, a, top);
                FL_ADD_BELOW_TOP(s1, ties, eb, b, top);
            }
        }
        for (; j < to; j += VL) {
            fl_int left = to - j < VL ? to - j : VL;
            vec a = vload_n(x + j, left, -REAL_INF), ea = vexp_nonpositive(a - top);
            if (e) vstore_n(e + j, ea, left);
            if (mode == FL_SOFTMAX) s0 += ea;
            else FL_ADD_BELOW_TOP(s0, ties, ea, a, top);
        }
        total += (double)vsum(s0 + s1);
    }
    return mode == FL_SOFTMAX ? total : total + ((double)vsum(ties) - 1);
}

/* y = x * scale, or (x - top) - log_sum; with stream past the caches, once y is aligned. */
FL_INLINE void FL_FN(row_store)(real *y, const real *x, fl_int n, real scale, real top, real log_sum, const int mode, int stream)
{
#define FL_ROW_STORE(v) (mode == FL_SOFTMAX ? (v) * scale : ((v) - top) - log_sum)
    fl_int j = 0;
    if (stream) {
        fl_int peel = (fl_int)(-(uintptr_t)y % VBYTES / sizeof(real));
        peel = peel < n ? peel : n;
        for (; j < peel; j++) y[j] = FL_ROW_STORE(x[j]);
        for (; j + VL <= n; j += VL) vstream(y + j, FL_ROW_STORE(vload(x + j)));
    }
    for (; j + VL <= n; j += VL) vstore(y + j, FL_ROW_STORE(vload(x + j)));
    if (j < n) vstore_n(y + j, FL_ROW_STORE(vload_n(x + j, n - j, 0)), n - j);
#undef FL_ROW_STORE
}

FL_INLINE void FL_FN(softmax_long_row)(real *y, const real *x, fl_int n, const real *ahead, const int mode, int stream, real *scratch)
{
    real top = FL_FN(row_top)(x, n);
    if (mode == FL_SOFTMAX) {
        real *e = stream ? scratch : y;
        double sum = FL_FN(row_exp)(e, x, n, top, ahead, mode);
        FL_FN(row_store)(y, e, n, (real)(1 / sum), 0, 0, mode, stream);
        return;
    }
    real log_sum = vlog1p(vset((real)FL_FN(row_exp)(NULL, x, n, top, ahead, mode)))[0];
    if (mode == FL_LOGSUMEXP) *y = top + log_sum;
    else FL_FN(row_store)(y, x, n, 1, top, log_sum, mode, stream);
}

FL_INLINE void FL_FN(softmax_rows_range)(const fl_softmax_job *job, fl_int from, fl_int to, real *scratch, const int mode)
{
    const fl_int n = job->n, ldx = job->ldx, ldy = mode == FL_LOGSUMEXP ? 1 : job->ldy;
    const real *x = job->x;
    real *y = job->y;
    if (n > SHORT_ROW) {
        for (fl_int i = from; i < to; i++)
            FL_FN(softmax_long_row)(y + i * ldy, x + i * ldx, n, x + (i + 1 < job->m ? i + 1 : i) * ldx, mode, job->stream, scratch);
        if (job->stream) vstream_end();
        return;
    }
    for (fl_int i = from; i < to; i += VL) {
        fl_int rows = to - i < VL ? to - i : VL;
        load_transposed(scratch, x + i * ldx, ldx, n, rows);
        vec sums = FL_FN(softmax_lanes)(scratch, n, mode);
        if (mode == FL_LOGSUMEXP) vstore_n(y + i, sums, rows);
        else store_transposed(y + i * ldy, ldy, scratch, n, rows);
    }
}

/* scratch: max(SHORT_ROW * 64, stream ? n * sizeof(real) : 0) bytes. */
static void FL_FN(softmax_rows)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_softmax_job *job = (const fl_softmax_job *)head;
    fl_int from = block * job->per_block, to = from + job->per_block < job->m ? from + job->per_block : job->m;
    assert(job->n >= 1 && from < to);
    switch (job->mode) {
    case FL_SOFTMAX: FL_FN(softmax_rows_range)(job, from, to, scratch, FL_SOFTMAX); break;
    case FL_LOG_SOFTMAX: FL_FN(softmax_rows_range)(job, from, to, scratch, FL_LOG_SOFTMAX); break;
    default: FL_FN(softmax_rows_range)(job, from, to, scratch, FL_LOGSUMEXP); break;
    }
}

/* One strip of columns: copied to scratch so that its lines are neighbours, worked on there, copied back.
 * scratch: n * per_block * 64 bytes. */
FL_INLINE void FL_FN(softmax_strip)(const fl_softmax_job *job, fl_int outer, fl_int from, fl_int width, real *t, const int mode)
{
    const fl_int n = job->n, inner = job->inner, ld = n * VL;
    const real *x = (const real *)job->x + outer * n * inner + from;
    const fl_int full = width / VL, rest = width % VL;
    for (fl_int j = 0; j < n; j++) {
        const real *row = x + j * inner, *ahead = row + (j + 8 < n ? 8 * inner : 0);
        for (fl_int v = 0; v < full; v++) {
            __builtin_prefetch(ahead + v * VL, 0, 3);
            vstore(t + v * ld + j * VL, vload(row + v * VL));
        }
        if (rest) vstore(t + full * ld + j * VL, vload_n(row + full * VL, rest, 0));
    }
    for (fl_int v = 0; v < full + (rest > 0); v++) {
        vec sums = FL_FN(softmax_lanes)(t + v * ld, n, mode);
        if (mode == FL_LOGSUMEXP) vstore_n((real *)job->y + outer * inner + from + v * VL, sums, v < full ? VL : rest);
    }
    if (mode == FL_LOGSUMEXP) return;
    real *y = (real *)job->y + outer * n * inner + from;
    const int stream = job->stream && (uintptr_t)y % VBYTES == 0 && inner % VL == 0;
    for (fl_int j = 0; j < n; j++) {
        real *row = y + j * inner;
        for (fl_int v = 0; v < full; v++) {
            vec a = vload(t + v * ld + j * VL);
            if (stream) vstream(row + v * VL, a);
            else vstore(row + v * VL, a);
        }
        if (rest) vstore_n(row + full * VL, vload(t + full * ld + j * VL), rest);
    }
    if (stream) vstream_end();
}

static void FL_FN(softmax_cols)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_softmax_job *job = (const fl_softmax_job *)head;
    fl_int wide = job->per_block * (64 / (fl_int)sizeof(real)), strips = (job->inner + wide - 1) / wide;
    fl_int outer = block / strips, from = block % strips * wide, width = job->inner - from < wide ? job->inner - from : wide;
    assert(job->n >= 1 && width >= 1);
    switch (job->mode) {
    case FL_SOFTMAX: FL_FN(softmax_strip)(job, outer, from, width, scratch, FL_SOFTMAX); break;
    case FL_LOG_SOFTMAX: FL_FN(softmax_strip)(job, outer, from, width, scratch, FL_LOG_SOFTMAX); break;
    default: FL_FN(softmax_strip)(job, outer, from, width, scratch, FL_LOGSUMEXP); break;
    }
}
