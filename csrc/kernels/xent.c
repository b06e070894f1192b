/* xent.c: cross-entropy of the softmax and its gradient from logits, in one sweep with one exp for each logit (lecture
 * eq. 11 and 2.3.2 with respect to the logits): l_i = log sum_j exp(x_ij) - x_iy, grad_i = w_i (softmax(x_i) - onehot(y)).
 * With target rows t: l_i = sum_j t_j (lse - x_ij), grad_i = w_i (softmax(x_i) sum_j t_j - t). Very long rows in parts, as the
 * softmax's. */
#include "kernels/xent.h"
#include "shared/blocks.h"
#include "shared/labels.h"
#include "shared/softmax_steps.h"

/* Targets of one vector of problems: adds sum t_j (top - x_j) to *loss and returns sum t_j. A target of 0 weighs nothing, even
 * against a logit of -inf. */
FL_INLINE vec target_terms(vec t, vec x, vec top, vec *loss)
{
    *loss += vselect(vequal(t, vset(0)), vset(0), t * (top - x));
    return t;
}

/* `wide` vectors of rows, transposed: loss[v] their losses, last[v] for store_transposed, z ready for it. t: the targets as z, or
 * NULL, and then last[v].label. Labels are compared with each class, lane by lane: reading and writing z by label would make vector
 * loads wait for scalar stores. A label that is no class leaves NaN. last[v].scale is given. */
FL_INLINE void xent_lanes(vec *loss, last_step *last, real *z, const real *t, fl_int n, const int wide)
{
    const fl_int ld = FL_WIDE * VL;
    vec top[FL_WIDE], mass[FL_WIDE], sum[FL_WIDE];
    for (int v = 0; v < wide; v++) {
        top[v] = vload(z + v * VL);
        loss[v] = t ? vset(0) : vselect(vequal(last[v].label, vset(0)), top[v], vset((real)NAN));
        mass[v] = vset(1);
    }
    for (fl_int j = 1; j < n; j++)
        for (int v = 0; v < wide; v++) {
            vec a = vload(z + j * ld + v * VL);
            top[v] = vmax(top[v], a);
            if (!t) loss[v] = vselect(vequal(last[v].label, vset((real)j)), a, loss[v]);
        }
    if (t) {
        for (int v = 0; v < wide; v++) mass[v] = vset(0);
        for (fl_int j = 0; j < n; j++)
            for (int v = 0; v < wide; v++)
                mass[v] += target_terms(vload(t + j * ld + v * VL), vload(z + j * ld + v * VL), top[v], loss + v);
    }
    lanes_exp(sum, z, ld, n, top, NULL, FL_SOFTMAX, wide);
    for (int v = 0; v < wide; v++) {
        if (!t) loss[v] = top[v] - loss[v];
        loss[v] += mass[v] * vlog(sum[v]);
        last[v].factor = last[v].scale / sum[v]; /* for targets z times the mass is stored */
    }
    if (t) {
        for (fl_int j = 0; j < n; j++)
            for (int v = 0; v < wide; v++) {
                real *p = z + j * ld + v * VL;
                vstore(p, vload(p) * mass[v] - vload(t + j * ld + v * VL) * sum[v]);
            }
    }
}

/* VL labels as reals, exact since a short row has few classes; class 0 for missing rows. */
FL_INLINE vec labels_of(const int64_t *labels, fl_int rows)
{
    typedef int64_t labels_vec __attribute__((vector_size(VECTOR_BYTES / sizeof(real) * 8)));
    labels_vec l = {0};
    if (rows == VL) memcpy(&l, labels, sizeof l);
    else memcpy(&l, labels, (size_t)rows * sizeof *labels);
    return __builtin_convertvector(l, vec);
}

/* VL weights, 1 if there are none; 0 for missing rows. */
FL_INLINE vec weights_of(const double *weight, fl_int rows)
{
    real w[VL];
    if (!weight && rows == VL) return vset(1);
    for (fl_int r = 0; r < VL; r++) w[r] = r >= rows ? 0 : weight ? (real)weight[r] : 1;
    return vload(w);
}

/* Up to FL_WIDE vectors of short rows; returns the weighted sum of their losses. */
FL_INLINE double xent_short_rows(const fl_xent_job *job, fl_int i, fl_int rows, real *z)
{
    const fl_int n = job->n, ldx = job->ldx, ld = FL_WIDE * VL;
    const real *x = (const real *)job->x + i * ldx, *targets = job->targets ? (const real *)job->targets + i * n : NULL;
    real *t = targets ? z + n * ld : NULL;
    vec loss[FL_WIDE], weight[FL_WIDE];
    last_step last[FL_WIDE];
    double sum = 0;
    for (fl_int v = 0; v * VL < rows; v++) {
        const fl_int r = v * VL, here = fl_min(rows - r, VL);
        load_transposed(z + r, ld, x + r * ldx, ldx, n, here);
        if (t) load_transposed(t + r, ld, targets + r * n, n, n, here);
        else last[v].label = labels_of(job->labels + i + r, here);
        weight[v] = weights_of(job->weight ? job->weight + i + r : NULL, here);
        last[v].scale = weight[v] * (real)job->scale;
    }
    if (rows > ld - VL) xent_lanes(loss, last, z, t, n, FL_WIDE);
    else
        for (fl_int v = 0; v * VL < rows; v++) xent_lanes(loss + v, last + v, z + v * VL, t ? t + v * VL : NULL, n, 1);
    for (fl_int v = 0; v * VL < rows; v++) {
        const fl_int r = v * VL, here = fl_min(rows - r, VL);
        real *g = job->grad ? (real *)job->grad + (i + r) * n : NULL;
        if (g && t) store_transposed(g, n, z + r, ld, n, here, last + v, FL_SOFTMAX);
        else if (g) store_transposed(g, n, z + r, ld, n, here, last + v, FL_GRADIENT_OF_LABEL);
        sum += (double)vsum(vselect(vequal(weight[v], vset(0)), vset(0), loss[v] * weight[v]));
    }
    return sum;
}

/* The targets of a row, or of a part of it: *loss = sum t_j (top - x_j), *mass = sum t_j. */
FL_INLINE void target_row(const real *targets, const real *x, fl_int n, real top, double *loss, double *mass)
{
    vec l = vset(0), t = l;
    for (fl_int j = 0; j < n; j += VL) {
        fl_int left = fl_min(n - j, VL);
        t += target_terms(vload_n(targets + j, left, 0), vload_n(x + j, left, 0), vset(top), &l);
    }
    *loss = (double)vsum(l);
    *mass = (double)vsum(t);
}

/* grad = (e * factor - targets) * scale. e may be grad. */
FL_INLINE void target_gradient(real *grad, const real *e, const real *targets, fl_int n, real factor, real scale)
{
    for (fl_int j = 0; j < n; j += VL) {
        fl_int left = fl_min(n - j, VL);
        vstore_n(grad + j, (vload_n(e + j, left, 0) * factor - vload_n(targets + j, left, 0)) * scale, left);
    }
}

/* One long row. e: where the exponentials go, grad itself or scratch; grad may be NULL, and then e is too. */
FL_INLINE double xent_long_row(real *grad, real *e, const real *x, const real *targets, fl_int label, fl_int n, double scale,
                               const real *ahead, int stream)
{
    real top = row_top(x, n);
    double loss = 0, mass = 1;
    if (targets) target_row(targets, x, n, top, &loss, &mass);
    else loss = label < 0 ? (double)NAN : (double)(top - x[label]);
    double sum = row_exp(e, x, n, top, ahead, FL_SOFTMAX);
    loss += mass * (double)vlog(vset((real)sum))[0];
    if (!grad) return loss;
    if (targets) {
        target_gradient(grad, e, targets, n, (real)(mass / sum), (real)scale);
    } else {
        if (label >= 0) e[label] -= (real)sum;
        row_store(grad, e, n, (real)(scale / sum), 0, FL_SOFTMAX, stream);
    }
    return loss;
}

/* scratch: 2 * FL_SHORT_ROW * FL_WIDE * 64 bytes, or n * sizeof(real) where stream. */
FL_INTERLEAVED void FL_ENTRY(xent)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_xent_job *job = (const fl_xent_job *)head;
    const fl_int from = block * job->per_block, to = fl_min(from + job->per_block, job->m);
    const fl_int n = job->n, ldx = job->ldx, together = FL_WIDE * VL;
    const real *x = job->x, *targets = job->targets;
    real *grad = job->grad;
    double loss = 0;
    assert(n >= 1 && from < to);
    if (n <= FL_SHORT_ROW) {
        for (fl_int i = from; i < to; i += together) loss += xent_short_rows(job, i, fl_min(to - i, together), scratch);
    } else {
        for (fl_int i = from; i < to; i++) {
            double w = job->weight ? job->weight[i] : 1;
            real *g = grad ? grad + i * n : NULL;
            double l = xent_long_row(g, g && job->stream ? scratch : g, x + i * ldx, targets ? targets + i * n : NULL,
                                     targets ? -1 : label_of(job->labels, i, n), n, w * job->scale,
                                     x + fl_min(i + 1, job->m - 1) * ldx, job->stream);
            if (w != 0) loss += w * l;
        }
        if (job->stream) vstream_end();
    }
    job->loss[block] = loss;
}

/* The part of a row that a block works on: it begins at `begin`; `number` is its place in `partial`. */
typedef struct {
    fl_int row, begin, n, number;
} row_part;

FL_INLINE row_part row_part_of(const fl_xent_job *job, fl_int block)
{
    const fl_int begin = block % job->parts * job->part, n = fl_min(job->n - begin, job->part);
    return (row_part){block / job->parts, begin, n, block};
}

/* The exponentials less the part's own top to grad, if that is wanted; to `partial` top, sum, and of the part's own targets the
 * loss relative to its top and the mass. The label is a target of mass 1. */
FL_INTERLEAVED void FL_ENTRY(xent_part)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_xent_job *job = (const fl_xent_job *)head;
    const row_part p = row_part_of(job, block);
    const fl_int all = job->m * job->parts;
    const real *x = (const real *)job->x + p.row * job->ldx + p.begin;
    const real top = finite_top(vset(row_top(x, p.n)))[0];
    real *partial = (real *)job->partial + p.number, *grad = job->grad ? (real *)job->grad + p.row * job->n + p.begin : NULL;
    double loss = 0, mass = 0;
    (void)scratch;
    if (job->targets) {
        target_row((const real *)job->targets + p.row * job->n + p.begin, x, p.n, top, &loss, &mass);
    } else {
        const fl_int label = label_of(job->labels, p.row, job->n) - p.begin;
        if (0 <= label && label < p.n) loss = (double)(top - x[label]), mass = 1;
    }
    partial[0] = top;
    partial[all] = (real)row_exp(grad, x, p.n, top, x, FL_SOFTMAX);
    partial[2 * all] = (real)loss;
    partial[3 * all] = (real)mass;
}

/* The loss of a row, from its parts; their sums become what their exponentials are to be multiplied with. */
void FL_ENTRY(xent_join)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_xent_job *job = (const fl_xent_job *)head;
    const fl_int parts = job->parts, all = job->m * parts;
    const double w = job->weight ? job->weight[block] : 1;
    real *tops = (real *)job->partial + block * parts, *sums = tops + all, *losses = sums + all, *masses = losses + all;
    double loss = 0, mass = 0;
    vec top, sum;
    (void)scratch;
    join_parts(&top, &sum, tops, sums, parts, 1, 1, FL_SOFTMAX);
    for (fl_int p = 0; p < parts; p++) {
        loss += (double)losses[p];
        if (masses[p] != 0) loss += (double)masses[p] * ((double)top[0] - (double)tops[p]);
        mass += (double)masses[p];
    }
    if (!job->targets && mass != 1) loss = (double)NAN, mass = 1; /* a label that is no class */
    loss += mass * (double)vlog(sum)[0];
    for (fl_int p = 0; p < parts; p++) sums[p] = (real)((double)sums[p] * mass / (double)sum[0]);
    job->loss[block] = w != 0 ? w * loss : 0;
}

void FL_ENTRY(xent_last)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_xent_job *job = (const fl_xent_job *)head;
    const row_part p = row_part_of(job, block);
    const real factor = ((const real *)job->partial)[job->m * job->parts + p.number];
    const double scale = (job->weight ? job->weight[p.row] : 1) * job->scale;
    real *grad = (real *)job->grad + p.row * job->n + p.begin;
    (void)scratch;
    if (job->targets) {
        target_gradient(grad, grad, (const real *)job->targets + p.row * job->n + p.begin, p.n, factor, (real)scale);
    } else {
        const fl_int label = label_of(job->labels, p.row, job->n) - p.begin;
        const int here = 0 <= label && label < p.n;
        const double own = here ? (double)grad[label] * (double)factor - 1 : 0;
        row_store(grad, grad, p.n, (real)((double)factor * scale), 0, FL_SOFTMAX, 0);
        if (here) grad[label] = (real)(own * scale);
    }
}
