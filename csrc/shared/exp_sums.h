/* exp_sums.h: sums of exponentials relative to the largest value, with which softmax, cross-entropy and softmax regression begin.
 * Lanes are independent problems, or neighbours in one row. */
#ifndef FL_EXP_SUMS_H
#define FL_EXP_SUMS_H

#include "kernels/softmax.h"
#include "shared/blocks.h"
#include "simd/math.h"

#define SUM_RUN 8 /* vectors added plainly before they join a sum that keeps what it rounds off */
#define FETCH 8   /* rows ahead that a strip of columns is prefetched */

/* Adds e, but for the lanes where a is the top: those are counted, since each is exactly 1 and the first is log1p's. */
#define FL_ADD_BELOW_TOP(sum, ties, e, a, top)     \
    do {                                           \
        vmask tie_ = vequal(a, top);               \
        (sum) += vselect(tie_, vset(0), e);        \
        (ties) += vselect(tie_, vset(1), vset(0)); \
    } while (0)

/* The lanes functions work on `wide` vectors of independent problems, one a lane: t[j * ld + v * VL], j < n, n >= 1, v < wide,
 * a constant at each call: several vectors at once keep the pipes full where n is small. */
FL_INLINE void lanes_top(vec *top, const real *t, fl_int ld, fl_int n, const int wide)
{
    for (int v = 0; v < wide; v++) top[v] = vload(t + v * VL);
    for (fl_int j = 1; j < n; j++)
        for (int v = 0; v < wide; v++) top[v] = vmax(top[v], vload(t + j * ld + v * VL));
}

/* sum + lost += part (Knuth's two-sum: lost gets what the addition rounds off). */
FL_INLINE void add_exactly(vec *sum, vec *lost, vec part)
{
    vec total = *sum + part, added = total - *sum;
    *lost += (*sum - (total - added)) + (part - added);
    *sum = total;
}

/* x[j * inner], j < n, copied to t[j * ld] row by row, and their tops: copied while the columns before them are computed. */
typedef struct {
    const real *x;
    real *t;
    vec *top;
    fl_int inner;
} next_columns;

FL_INLINE void copy_row(const next_columns *next, fl_int j, fl_int n, fl_int ld, fl_int lanes, const int wide)
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
 * top's own term), so that log-sum-exp is top + log1p of it. next: columns to be copied meanwhile, or NULL. */
FL_INLINE void lanes_exp(vec *sum, real *t, fl_int ld, fl_int n, const vec *top, const next_columns *next, const int mode,
                         const int wide)
{
    vec lost[FL_WIDE], ties[FL_WIDE];
    for (int v = 0; v < wide; v++) sum[v] = lost[v] = ties[v] = vset(0);
    for (fl_int from = 0; from < n; from += SUM_RUN) {
        fl_int to = fl_min(from + SUM_RUN, n);
        vec run[FL_WIDE];
        for (int v = 0; v < wide; v++) run[v] = vset(0);
        for (fl_int j = from; j < to; j++) {
            if (next) copy_row(next, j, n, ld, VL, wide);
            for (int v = 0; v < wide; v++) {
                real *p = t + j * ld + v * VL;
                vec a = vload(p), e = vexp_nonpositive(a - top[v]);
                if (mode == FL_SOFTMAX) run[v] += e, vstore(p, e);
                else FL_ADD_BELOW_TOP(run[v], ties[v], e, a, top[v]);
            }
        }
        for (int v = 0; v < wide; v++) add_exactly(sum + v, lost + v, run[v]);
    }
    for (int v = 0; v < wide; v++) {
        sum[v] += lost[v];
        if (mode != FL_SOFTMAX) sum[v] += ties[v] - 1;
    }
}

/* The largest of a row; a NaN may be lost (the sum then has it). */
FL_INLINE real row_top(const real *x, fl_int n)
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

/* Sum of exp(x - top), less 1 if not FL_SOFTMAX (see lanes_exp); stored to e unless that is NULL. Prefetches the
 * corresponding part of `ahead`, the next row: this sweep leaves the memory idle. */
FL_INLINE double row_exp(real *e, const real *x, fl_int n, real top_, const real *ahead, const int mode)
{
    const vec top = vset(top_);
    vec total = vset(0), lost = total, ties = total;
    for (fl_int from = 0; from < n; from += 2 * SUM_RUN * VL) {
        fl_int to = fl_min(from + 2 * SUM_RUN * VL, n), j = from;
        vec s0 = vset(0), s1 = s0;
        for (; j + 2 * VL <= to; j += 2 * VL) {
            vec a = vload(x + j), b = vload(x + j + VL), ea = vexp_nonpositive(a - top), eb = vexp_nonpositive(b - top);
            for (fl_int k = 0; k < 2 * VECTOR_BYTES; k += 64) __builtin_prefetch((const char *)(ahead + j) + k, 0, 2);
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
            fl_int left = fl_min(to - j, VL);
            vec a = vload_n(x + j, left, -REAL_INF), ea = vexp_nonpositive(a - top);
            if (e) vstore_n(e + j, ea, left);
            if (mode == FL_SOFTMAX) s0 += ea;
            else FL_ADD_BELOW_TOP(s0, ties, ea, a, top);
        }
        add_exactly(&total, &lost, s0 + s1);
    }
    double sum = 0;
    for (fl_int v = 0; v < VL; v++) sum += (double)total[v] + (double)lost[v];
    if (mode != FL_SOFTMAX) sum += (double)vsum(ties) - 1;
    return sum;
}

/* A finite number in the place of -inf: relative to that, elements of -inf are -inf, not NaN. */
FL_INLINE vec finite_top(vec top) { return vmax(vset(-REAL_MAX), top); }

/* The top and the sum of up to VL neighbouring columns from those of their parts, which lie `step` apart; in the place of a part's
 * sum exp(part's top - top), which is 1 where both are +inf. In every mode but FL_SOFTMAX sums are less 1, the top's own term. */
FL_INLINE void join_parts(vec *top, vec *sum, const real *tops, real *sums, fl_int parts, fl_int step, fl_int lanes, const int mode)
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
        if (mode == FL_SOFTMAX) add_exactly(sum, &lost, s * e);
        else add_exactly(sum, &lost, vselect(same & ~found, s, (s + 1) * e));
        found |= same;
        vstore_n(sums + p * step, e, lanes);
    }
    *sum += lost;
}

#endif
