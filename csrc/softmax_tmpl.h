/* softmax_tmpl.h: softmax, log-softmax and log-sum-exp (lecture 2.2, eq. 10), shifted by the largest value so that nothing
 * overflows. log-sum-exp is top + log1p(sum without the top): the form that keeps small probabilities (Blanchard, Higham and
 * Higham 2021). NaN and infinity come out as in scipy.special. Three ways, by where the reduced axis lies:
 *   short rows   FL_WIDE * VL rows at a time, transposed in registers, so that lanes are rows and nothing is summed across lanes;
 *   long rows    one row at a time in L1 or L2: top, exp and sum, scale;
 *   columns      lanes are neighbouring columns, a strip of them in scratch.
 * Very long rows and columns are cut into parts, each with its own top, so that no block takes long: of all parts together follows
 * what each is to be multiplied with. */

#undef FL_GRADIENT_OF_LABEL
#undef SUM_RUN
#undef FETCH
#undef FL_ADD_BELOW_TOP
#define FL_GRADIENT_OF_LABEL -1 /* a mode of the last step that xent_tmpl.h adds */
#define SUM_RUN 8               /* vectors added plainly before they join a sum that keeps what it rounds off */
#define FETCH 8                 /* rows ahead that a strip of columns is fetched */

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

/* What the last step of each mode takes besides v, which earlier steps left: e = exp(x - top), or x itself. */
typedef struct {
    vec factor;       /* FL_SOFTMAX 1/sum; FL_GRADIENT_OF_LABEL scale/sum; FL_LOG_SOFTMAX the log-sum less the top */
    vec top;          /* FL_LOG_SOFTMAX */
    vec label, scale; /* FL_GRADIENT_OF_LABEL: the class as a real, and what its element loses */
} FL_FN(last);

FL_INLINE vec FL_FN(finish)(vec v, const FL_FN(last) *last, fl_int j, const int mode)
{
    if (mode == FL_SOFTMAX) return v * last->factor;
    if (mode == FL_GRADIENT_OF_LABEL)
        return v * last->factor - vselect(vequal(last->label, vset((real)j)), last->scale, vset(0));
    return (v - last->top) - last->factor;
}

/* y[r * ldy + j] = finish(t[j * ld + r]). */
FL_INLINE void store_transposed(real *y, fl_int ldy, const real *t, fl_int ld, fl_int n, fl_int rows, const FL_FN(last) *with,
                                const int mode)
{
    const FL_FN(last) last = *with; /* in registers: y might overlap it, as far as the compiler knows */
    if (rows < VL || n < QUAD) {
        for (fl_int j = 0; j < n; j++) {
            real lanes[VL];
            vstore(lanes, FL_FN(finish)(vload(t + j * ld), &last, j, mode));
            for (fl_int r = 0; r < rows; r++) y[r * ldy + j] = lanes[r];
        }
        return;
    }
    for (fl_int j = 0; j < n; j += QUAD) {
        vec a[16 / sizeof(real)];
        fl_int c = j + QUAD <= n ? j : n - QUAD;
        for (fl_int r = 0; r < QUAD; r++) a[r] = FL_FN(finish)(vload(t + (c + r) * ld), &last, c + r, mode);
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

/* The lanes functions work on `wide` vectors of independent problems, one a lane: t[j * ld + v * VL], j < n, n >= 1, v < wide,
 * a constant at each call: several vectors at once keep the pipes full where n is small. */
FL_INLINE void FL_FN(lanes_top)(vec *top, const real *t, fl_int ld, fl_int n, const int wide)
{
    for (int v = 0; v < wide; v++) top[v] = vload(t + v * VL);
    for (fl_int j = 1; j < n; j++)
        for (int v = 0; v < wide; v++) top[v] = vmax(top[v], vload(t + j * ld + v * VL));
}

/* sum + lost += part (Knuth's two-sum: lost gets what the addition rounds off). */
FL_INLINE void FL_FN(add_exactly)(vec *sum, vec *lost, vec part)
{
    vec total = *sum + part, added = total - *sum;
    *lost += (*sum - (total - added)) + (part - added);
    *sum = total;
}

/* x[j * inner], j < n, copied to t[j * ld] row by row, and their tops: what comes next, fetched while something else computes. */
typedef struct {
    const real *x;
    real *t;
    vec *top;
    fl_int inner;
} FL_FN(coming);

FL_INLINE void FL_FN(copy_row)(const FL_FN(coming) *next, fl_int j, fl_int n, fl_int ld, fl_int lanes, const int wide)
{
    const real *row = next->x + j * next->inner, *ahead = row + (j + FETCH < n ? FETCH * next->inner : 0);
    for (int v = 0; v < wide; v++) {
        __builtin_prefetch(ahead + v * VL, 0, 3);
        vec a = lanes == VL ? vload(row + v * VL) : vload_n(row + v * VL, lanes, 0);
        vstore(next->t + j * ld + v * VL, a);
        next->top[v] = vmax(next->top[v], a);
    }
}

/* sum[v] = the sum of exp(t - top), which FL_SOFTMAX leaves in t. The other modes leave t alone and give the sum less 1 (the
 * top's own term), so that log-sum-exp is top + log1p of it. next: see above, or NULL. */
FL_INLINE void FL_FN(lanes_exp)(vec *sum, real *t, fl_int ld, fl_int n, const vec *top, const FL_FN(coming) *next, const int mode,
                                const int wide)
{
    vec lost[FL_WIDE], ties[FL_WIDE];
    for (int v = 0; v < wide; v++) sum[v] = lost[v] = ties[v] = vset(0);
    for (fl_int from = 0; from < n; from += SUM_RUN) {
        fl_int to = from + SUM_RUN < n ? from + SUM_RUN : n;
        vec run[FL_WIDE];
        for (int v = 0; v < wide; v++) run[v] = vset(0);
        for (fl_int j = from; j < to; j++) {
            if (next) FL_FN(copy_row)(next, j, n, ld, VL, wide);
            for (int v = 0; v < wide; v++) {
                real *p = t + j * ld + v * VL;
                vec a = vload(p), e = vexp_nonpositive(a - top[v]);
                if (mode == FL_SOFTMAX) run[v] += e, vstore(p, e);
                else FL_ADD_BELOW_TOP(run[v], ties[v], e, a, top[v]);
            }
        }
        for (int v = 0; v < wide; v++) FL_FN(add_exactly)(sum + v, lost + v, run[v]);
    }
    for (int v = 0; v < wide; v++) {
        sum[v] += lost[v];
        if (mode != FL_SOFTMAX) sum[v] += ties[v] - 1;
    }
}

/* last[v] from the tops. */
FL_INLINE void FL_FN(lanes_last)(FL_FN(last) *last, const vec *top, real *t, fl_int ld, fl_int n, const FL_FN(coming) *next,
                                 const int mode, const int wide)
{
    vec sum[FL_WIDE];
    FL_FN(lanes_exp)(sum, t, ld, n, top, next, mode, wide);
    for (int v = 0; v < wide; v++) {
        last[v].top = top[v];
        if (mode == FL_SOFTMAX) last[v].factor = 1 / sum[v];
        else last[v].factor = vlog1p(sum[v]);
    }
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
    vec total = vset(0), lost = total, ties = total;
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
        FL_FN(add_exactly)(&total, &lost, s0 + s1);
    }
    double sum = 0;
    for (fl_int v = 0; v < VL; v++) sum += (double)total[v] + (double)lost[v];
    if (mode != FL_SOFTMAX) sum += (double)vsum(ties) - 1;
    return sum;
}

/* y = finish(x); with stream past the caches, once y is aligned. */
FL_INLINE void FL_FN(row_store)(real *y, const real *x, fl_int n, real factor, real top, const int mode, int stream)
{
    const FL_FN(last) last = {.factor = vset(factor), .top = vset(top)};
    fl_int j = 0;
    if (stream) {
        j = (fl_int)(-(uintptr_t)y % VBYTES / sizeof(real));
        j = j < n ? j : n;
        vstore_n(y, FL_FN(finish)(vload_n(x, j, 0), &last, 0, mode), j); /* fewer than VL */
        for (; j + VL <= n; j += VL) vstream(y + j, FL_FN(finish)(vload(x + j), &last, j, mode));
    }
    for (; j + VL <= n; j += VL) vstore(y + j, FL_FN(finish)(vload(x + j), &last, j, mode));
    if (j < n) vstore_n(y + j, FL_FN(finish)(vload_n(x + j, n - j, 0), &last, j, mode), n - j);
}

FL_INLINE void FL_FN(softmax_long_row)(real *y, const real *x, fl_int n, const real *ahead, const int mode, int stream, real *scratch)
{
    real top = FL_FN(row_top)(x, n);
    if (mode == FL_SOFTMAX) {
        real *e = stream ? scratch : y;
        double sum = FL_FN(row_exp)(e, x, n, top, ahead, mode);
        FL_FN(row_store)(y, e, n, (real)(1 / sum), 0, mode, stream);
        return;
    }
    real log_sum = vlog1p(vset((real)FL_FN(row_exp)(NULL, x, n, top, ahead, mode)))[0];
    if (mode == FL_LOGSUMEXP) *y = top + log_sum;
    else FL_FN(row_store)(y, x, n, log_sum, top, mode, stream);
}

FL_INLINE void FL_FN(softmax_rows_range)(const fl_softmax_job *job, fl_int from, fl_int to, real *scratch, const int mode)
{
    const fl_int n = job->n, ldx = job->ldx, ldy = mode == FL_LOGSUMEXP ? 1 : job->ldy;
    const real *x = job->x;
    real *y = job->y;
    if (n > FL_SHORT_ROW) {
        for (fl_int i = from; i < to; i++)
            FL_FN(softmax_long_row)(y + i * ldy, x + i * ldx, n, x + (i + 1 < job->m ? i + 1 : i) * ldx, mode, job->stream, scratch);
        if (job->stream) vstream_end();
        return;
    }
    const fl_int ld = FL_WIDE * VL;
    for (fl_int i = from; i < to; i += ld) {
        const fl_int rows = to - i < ld ? to - i : ld;
        vec top[FL_WIDE];
        FL_FN(last) last[FL_WIDE];
        for (fl_int r = 0; r < rows; r += VL)
            load_transposed(scratch + r, ld, x + (i + r) * ldx, ldx, n, rows - r < VL ? rows - r : VL);
        if (rows > ld - VL) {
            FL_FN(lanes_top)(top, scratch, ld, n, FL_WIDE);
            FL_FN(lanes_last)(last, top, scratch, ld, n, NULL, mode, FL_WIDE);
        } else {
            for (fl_int v = 0; v * VL < rows; v++) {
                FL_FN(lanes_top)(top + v, scratch + v * VL, ld, n, 1);
                FL_FN(lanes_last)(last + v, top + v, scratch + v * VL, ld, n, NULL, mode, 1);
            }
        }
        for (fl_int v = 0; v * VL < rows; v++) {
            const fl_int r = v * VL, here = rows - r < VL ? rows - r : VL;
            if (mode == FL_LOGSUMEXP) vstore_n(y + i + r, top[v] + last[v].factor, here);
            else store_transposed(y + (i + r) * ldy, ldy, scratch + r, ld, n, here, last + v, mode);
        }
    }
}

/* scratch: max(FL_SHORT_ROW * FL_WIDE * 64, stream ? n * sizeof(real) : 0) bytes. */
FL_INTERLEAVED static void FL_FN(softmax_rows)(const fl_job *head, fl_int block, void *scratch)
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

/* A finite number in the place of -inf: relative to that, elements of -inf are -inf, not NaN. */
FL_INLINE vec FL_FN(finite_top)(vec top) { return vmax(vset(-REAL_MAX), top); }

/* `wide` vectors of columns from t, where they are neighbours; the last vector has `lanes` lanes. cut: they are parts of columns,
 * whose tops and sums go to `partial` and `partial + sums`, and y becomes exp(x - top) in mode FL_SOFTMAX only. */
FL_INLINE void FL_FN(softmax_columns)(real *y, fl_int inner, fl_int n, fl_int lanes, real *t, const vec *top, const FL_FN(coming) *next,
                                      real *partial, fl_int sums, const int mode, int stream, const int wide, const int cut)
{
    const fl_int ld = wide * VL;
    FL_FN(last) last[FL_WIDE];
    if (cut) {
        vec finite[FL_WIDE], sum[FL_WIDE];
        for (int v = 0; v < wide; v++) finite[v] = FL_FN(finite_top)(top[v]);
        FL_FN(lanes_exp)(sum, t, ld, n, finite, next, mode, wide);
        for (int v = 0; v < wide; v++) {
            vstore_n(partial + v * VL, finite[v], lanes);
            vstore_n(partial + sums + v * VL, sum[v], lanes);
            last[v].factor = vset(1);
        }
        if (mode != FL_SOFTMAX) return;
    } else {
        FL_FN(lanes_last)(last, top, t, ld, n, next, mode, wide);
    }
    if (mode == FL_LOGSUMEXP) {
        for (int v = 0; v < wide; v++) vstore_n(y + v * VL, top[v] + last[v].factor, lanes);
        return;
    }
    for (fl_int j = 0; j < n; j++) {
        for (int v = 0; v < wide; v++) {
            vec a = FL_FN(finish)(vload(t + j * ld + v * VL), last + v, j, mode);
            if (stream) vstream(y + j * inner + v * VL, a);
            else if (lanes == VL) vstore(y + j * inner + v * VL, a);
            else vstore_n(y + j * inner + v * VL, a, lanes);
        }
    }
}

/* FL_WIDE vectors at a time of n rows of `width` columns, each copied to scratch while the one before computes where both fit. */
FL_INLINE void FL_FN(softmax_strip)(const fl_softmax_job *job, const real *x, real *y, fl_int n, fl_int width, real *t, real *partial,
                                    fl_int sums, const int mode, const int cut)
{
    const fl_int inner = job->inner, whole = FL_WIDE * VL;
    const int stream = job->stream && (uintptr_t)y % VBYTES == 0 && inner % VL == 0;
    const int overlap = n * whole * (fl_int)sizeof(real) <= 1 << 18; /* two strips in half of L2 */
    vec tops[2][FL_WIDE];
    fl_int c = 0;
    for (int now = 0; c + whole <= width; c += whole, now = !now) {
        FL_FN(coming) next = {x + c, t + now * n * whole, tops[now], inner};
        if (c == 0 || !overlap) {
            for (int v = 0; v < FL_WIDE; v++) next.top[v] = vset(-REAL_INF);
            for (fl_int j = 0; j < n; j++) FL_FN(copy_row)(&next, j, n, whole, VL, FL_WIDE);
        }
        const int more = overlap && c + 2 * whole <= width;
        next = (FL_FN(coming)){x + c + whole, t + !now * n * whole, tops[!now], inner};
        for (int v = 0; v < FL_WIDE; v++) next.top[v] = vset(-REAL_INF);
        FL_FN(softmax_columns)(y + c, inner, n, VL, t + now * n * whole, tops[now], more ? &next : NULL, cut ? partial + c : NULL, sums,
                               mode, stream, FL_WIDE, cut);
    }
    for (; c < width; c += VL) {
        const fl_int lanes = width - c < VL ? width - c : VL;
        FL_FN(coming) next = {x + c, t, tops[0], inner};
        tops[0][0] = vset(-REAL_INF);
        for (fl_int j = 0; j < n; j++) FL_FN(copy_row)(&next, j, n, VL, lanes, 1);
        FL_FN(softmax_columns)(y + c, inner, n, lanes, t, tops[0], NULL, cut ? partial + c : NULL, sums, mode, 0, 1, cut);
    }
    if (stream) vstream_end();
}

/* Neighbouring columns, or parts of them, that a block works on. */
typedef struct {
    fl_int outer, part;
    fl_int from, width; /* along inner */
    fl_int begin, n;    /* along the reduced axis */
} FL_FN(region);

/* parts: of each column, or 1 for whole columns. */
FL_INLINE FL_FN(region) FL_FN(region_of)(const fl_softmax_job *job, fl_int block, fl_int parts)
{
    const fl_int wide = job->per_block * (64 / (fl_int)sizeof(real)), strips = (job->inner + wide - 1) / wide, number = block / strips;
    const fl_int from = block % strips * wide, width = job->inner - from < wide ? job->inner - from : wide;
    const fl_int part = number % parts, begin = part * job->part;
    const fl_int n = part + 1 < parts ? job->part : job->n - begin;
    return (FL_FN(region)){number / parts, part, from, width, begin, n};
}

/* scratch: 2 * n * FL_WIDE * 64 bytes. */
FL_INTERLEAVED static void FL_FN(softmax_cols)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_softmax_job *job = (const fl_softmax_job *)head;
    const FL_FN(region) R = FL_FN(region_of)(job, block, 1);
    const real *x = (const real *)job->x + R.outer * job->n * job->inner + R.from;
    real *y = (real *)job->y + R.outer * (job->mode == FL_LOGSUMEXP ? 1 : job->n) * job->inner + R.from;
    assert(job->n >= 1 && R.width >= 1);
    switch (job->mode) {
    case FL_SOFTMAX: FL_FN(softmax_strip)(job, x, y, job->n, R.width, scratch, NULL, 0, FL_SOFTMAX, 0); break;
    case FL_LOG_SOFTMAX: FL_FN(softmax_strip)(job, x, y, job->n, R.width, scratch, NULL, 0, FL_LOG_SOFTMAX, 0); break;
    default: FL_FN(softmax_strip)(job, x, y, job->n, R.width, scratch, NULL, 0, FL_LOGSUMEXP, 0); break;
    }
}

/* Columns in parts. partial[0, outer, part, c] is the top of a part, finite or +inf, partial[1, ...] its sum as lanes_exp gives it.
 * softmax_join puts there what `finish` takes: the top and the factor of a part (FL_SOFTMAX) or, in part 0, of the column.
 * scratch: 2 * part * FL_WIDE * 64 bytes, where columns are no rows. */
FL_INTERLEAVED static void FL_FN(softmax_part)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_softmax_job *job = (const fl_softmax_job *)head;
    const FL_FN(region) R = FL_FN(region_of)(job, block, job->parts);
    const fl_int at = (R.outer * job->n + R.begin) * job->inner + R.from, sums = job->outer * job->parts * job->inner;
    const real *x = (const real *)job->x + at;
    real *y = (real *)job->y + (job->mode == FL_SOFTMAX ? at : 0);
    real *partial = (real *)job->partial + (R.outer * job->parts + R.part) * job->inner + R.from;
    if (job->inner == 1) {
        partial[0] = FL_FN(finite_top)(vset(FL_FN(row_top)(x, R.n)))[0];
        if (job->mode == FL_SOFTMAX) partial[sums] = (real)FL_FN(row_exp)(y, x, R.n, partial[0], x, FL_SOFTMAX);
        else partial[sums] = (real)FL_FN(row_exp)(NULL, x, R.n, partial[0], x, FL_LOGSUMEXP);
    } else if (job->mode == FL_SOFTMAX) {
        FL_FN(softmax_strip)(job, x, y, R.n, R.width, scratch, partial, sums, FL_SOFTMAX, 1);
    } else {
        FL_FN(softmax_strip)(job, x, y, R.n, R.width, scratch, partial, sums, FL_LOGSUMEXP, 1);
    }
}

/* The top and the sum of up to VL neighbouring columns from those of their parts, which lie `step` apart; in the place of a part's
 * sum exp(part's top - top), which is 1 where both are +inf. In every mode but FL_SOFTMAX sums are less 1, the top's own term. */
FL_INLINE void FL_FN(join_parts)(vec *top, vec *sum, const real *tops, real *sums, fl_int parts, fl_int step, fl_int lanes, const int mode)
{
    vec lost = vset(0);
    vmask found = {0};
    *top = vset(-REAL_MAX);
    *sum = vset(0);
    for (fl_int p = 0; p < parts; p++) *top = vmax(*top, vload_n(tops + p * step, lanes, 0));
    for (fl_int p = 0; p < parts; p++) {
        const vec t = vload_n(tops + p * step, lanes, 0), s = vload_n(sums + p * step, lanes, 0);
        const vmask same = vequal(t, *top);
        const vec e = vselect(same, vset(1), vexp_nonpositive(t - *top));
        if (mode == FL_SOFTMAX) FL_FN(add_exactly)(sum, &lost, s * e);
        else FL_FN(add_exactly)(sum, &lost, vselect(same & ~found, s, (s + 1) * e));
        found |= same;
        vstore_n(sums + p * step, e, lanes);
    }
    *sum += lost;
}

static void FL_FN(softmax_join)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_softmax_job *job = (const fl_softmax_job *)head;
    const FL_FN(region) R = FL_FN(region_of)(job, block, 1);
    const fl_int inner = job->inner, parts = job->parts;
    real *tops = (real *)job->partial + R.outer * parts * inner + R.from, *sums = tops + job->outer * parts * inner;
    (void)scratch;
    for (fl_int c = 0; c < R.width; c += VL) {
        const fl_int lanes = R.width - c < VL ? R.width - c : VL;
        vec top, sum;
        FL_FN(join_parts)(&top, &sum, tops + c, sums + c, parts, inner, lanes, job->mode);
        if (job->mode == FL_SOFTMAX) {
            for (fl_int p = 0; p < parts; p++)
                vstore_n(sums + p * inner + c, vload_n(sums + p * inner + c, lanes, 0) / sum, lanes);
            continue;
        }
        const vec log_sum = vselect(vequal(sum, vset(-1)), vset(-REAL_INF), vlog1p(sum)); /* -1: all elements are -inf */
        if (job->mode == FL_LOGSUMEXP) vstore_n((real *)job->y + R.outer * inner + R.from + c, top + log_sum, lanes);
        vstore_n(tops + c, top, lanes);
        vstore_n(sums + c, log_sum, lanes);
    }
}

/* y = finish(x) for `wide` vectors of columns, the last one of `lanes` lanes. */
FL_INLINE void FL_FN(softmax_finish)(real *y, const real *x, fl_int inner, fl_int n, fl_int lanes, const real *tops, const real *factors,
                                     const int mode, const int wide)
{
    FL_FN(last) last[FL_WIDE];
    for (int v = 0; v < wide; v++) {
        last[v].top = vload_n(tops + v * VL, lanes, 0);
        last[v].factor = vload_n(factors + v * VL, lanes, 0);
    }
    for (fl_int j = 0; j < n; j++)
        for (int v = 0; v < wide; v++) {
            const fl_int at = j * inner + v * VL;
            vstore_n(y + at, FL_FN(finish)(vload_n(x + at, lanes, 0), last + v, j, mode), lanes);
        }
}

FL_INLINE void FL_FN(softmax_last_part)(const fl_softmax_job *job, const FL_FN(region) *R, const int mode)
{
    const fl_int inner = job->inner, at = (R->outer * job->n + R->begin) * inner + R->from, whole = FL_WIDE * VL;
    const fl_int part = R->outer * job->parts + (mode == FL_SOFTMAX ? R->part : 0);
    const real *tops = (const real *)job->partial + part * inner + R->from, *factors = tops + job->outer * job->parts * inner;
    real *y = (real *)job->y + at;
    const real *x = mode == FL_SOFTMAX ? y : (const real *)job->x + at;
    fl_int c = 0;
    if (inner == 1) {
        FL_FN(row_store)(y, x, R->n, factors[0], tops[0], mode, 0);
        return;
    }
    for (; c + whole <= R->width; c += whole)
        FL_FN(softmax_finish)(y + c, x + c, inner, R->n, VL, tops + c, factors + c, mode, FL_WIDE);
    for (; c < R->width; c += VL) {
        const fl_int lanes = R->width - c < VL ? R->width - c : VL;
        FL_FN(softmax_finish)(y + c, x + c, inner, R->n, lanes, tops + c, factors + c, mode, 1);
    }
}

static void FL_FN(softmax_last)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_softmax_job *job = (const fl_softmax_job *)head;
    const FL_FN(region) R = FL_FN(region_of)(job, block, job->parts);
    (void)scratch;
    if (job->mode == FL_SOFTMAX) FL_FN(softmax_last_part)(job, &R, FL_SOFTMAX);
    else FL_FN(softmax_last_part)(job, &R, FL_LOG_SOFTMAX);
}
