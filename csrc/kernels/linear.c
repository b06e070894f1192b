/* linear.c: softmax regression, one pass over X (lecture 2.2 and 2.3): for each strip of samples that fits in L2
 *   Z = W X_s' + b        dots, lanes along the features, DOT_ROWS samples x DOT_COLUMNS classes in registers
 *   P = softmax(Z), loss  lanes along the samples: Z is class-major
 *   G += (P - C) X_s      outer products, lanes along the features, OUTER_ROWS classes x 2 vectors in registers
 * and meanwhile the next strip is prefetched, one half during the dots, the other during the products. Logistic regression is the
 * case of two classes whose second weight vector is zero (Remark 2). */
#include "kernels/linear.h"
#include "shared/blocks.h"
#include "shared/dots.h"
#include "shared/exp_sums.h"
#include "shared/labels.h"
#include "shared/transpose.h"

#define ROWS 4 /* of X that the data gradient computes at a time */

/* Z of a strip; rows beyond `rows` repeat the last one, up to a multiple of DOT_ROWS. ahead: the next strip, as long as this one,
 * of which the first half is prefetched here, or all of it where nothing else will (`alone`); or NULL. */
static void strip_logits(real *z, const real *x, fl_int ldx, fl_int rows, const real *w, fl_int ldw, fl_int n, fl_int classes,
                         const real *ahead, int alone)
{
    const fl_int features = round_up(even_piece(n, DOT_BYTES / (DOT_COLUMNS * (fl_int)sizeof(real))), VL);
    for (fl_int k = 0; k < n; k += features) {
        const fl_int here = fl_min(n - k, features);
        for (fl_int c = 0; c < classes; c += DOT_COLUMNS) {
            const fl_int columns = fl_min(classes - c, DOT_COLUMNS);
            const int both = alone && classes <= DOT_COLUMNS, second = c == DOT_COLUMNS;
            const int fetch = !ahead || c > DOT_COLUMNS || (second && !alone) ? 0 : both ? DOT_ROWS : DOT_ROWS / 2;
            for (fl_int i = 0; i < rows; i += DOT_ROWS) {
                const real *group[DOT_ROWS];
                for (fl_int r = 0; r < DOT_ROWS; r++) group[r] = x + fl_min(i + r, rows - 1) * ldx + k;
                const real *next = fetch ? ahead + (both ? i : i / 2 + (second ? rows / 2 : 0)) * ldx + k : NULL;
                real out[DOT_SUMS], *zc = z + c * FL_STRIP + i;
                dots_tile_of(out, group, w + c * ldw + k, ldw, here, next, ldx, fetch, columns);
                for (fl_int q = 0; q < columns; q++)
                    for (fl_int r = 0; r < DOT_ROWS; r++) {
                        const real sum = out[q * DOT_ROWS + r];
                        zc[q * FL_STRIP + r] = k > 0 ? zc[q * FL_STRIP + r] + sum : sum;
                    }
            }
        }
    }
}

/* g[c * n + k ..] = or += sum_i r[c * FL_STRIP + i] x[i * ldx + k ..] over `vectors` vectors of features, the last one of
 * `left` <= VL lanes. ahead: the same features of the next strip, whose second half is prefetched here; or NULL. */
FL_INLINE void outer(real *g, fl_int n, const real *r, const real *x, fl_int ldx, fl_int rows, fl_int left, const real *ahead,
                     int first, const int classes, const int vectors)
{
    vec s[OUTER_ROWS][2];
    const real *next = ahead ? ahead + rows / 2 * ldx : NULL;
    fl_int step = VL; /* to the second register of a row, and from there to the first of the next row */
    for (int c = 0; c < classes; c++) s[c][0] = s[c][1] = vset(0);
    for (fl_int i = 0; i < rows; i++) {
        const real *xi = x + i * ldx;
        vec a0 = vectors == 2 || left == VL ? vload(xi) : vload_n(xi, left, 0), a1 = vset(0);
        if (vectors == 2) a1 = left == VL ? vload(xi + VL) : vload_n(xi + VL, left, 0);
        if (next) {
            __builtin_prefetch(next, 0, 2);
            next += step;
            step = ldx - step;
        }
        for (int c = 0; c < classes; c++) {
            vec v = vset(r[c * FL_STRIP + i]);
            s[c][0] += v * a0;
            if (vectors == 2) s[c][1] += v * a1;
        }
    }
    for (int c = 0; c < classes; c++) {
        real *gc = g + c * n;
        for (int v = 0; v < vectors; v++) {
            fl_int lanes = v == vectors - 1 ? left : VL;
            if (!first) s[c][v] += vload_n(gc + v * VL, lanes, 0);
            vstore_n(gc + v * VL, s[c][v], lanes);
        }
    }
}

#define FL_OUTER_CASE(classes)                                                              \
    case classes:                                                                           \
        if (n - k > VL) outer(gk, n, rc, x + k, ldx, rows, left, fetch, first, classes, 2); \
        else outer(gk, n, rc, x + k, ldx, rows, left, fetch, first, classes, 1);            \
        break;

/* G = or += R X_s for all classes, then the bias part. */
static void strip_gradient(real *g, fl_int n, const real *r, const real *x, fl_int ldx, fl_int rows, fl_int classes,
                           const real *ahead, int first)
{
    for (fl_int k = 0; k < n; k += 2 * VL) {
        const fl_int rest = n - k, left = rest >= 2 * VL || rest == VL ? VL : rest > VL ? rest - VL : rest;
        for (fl_int c = 0; c < classes; c += OUTER_ROWS) {
            const real *fetch = ahead && c == 0 ? ahead + k : NULL;
            const real *rc = r + c * FL_STRIP;
            real *gk = g + c * n + k;
            switch (fl_min(classes - c, OUTER_ROWS)) {
                FL_OUTER_CASE(1)
                FL_OUTER_CASE(2)
                FL_OUTER_CASE(3)
                FL_OUTER_CASE(4)
                FL_OUTER_CASE(5)
#if OUTER_ROWS > 5
                FL_OUTER_CASE(6)
                FL_OUTER_CASE(7)
                FL_OUTER_CASE(8)
                FL_OUTER_CASE(9)
                FL_OUTER_CASE(10)
#endif
            }
        }
    }
    for (fl_int c = 0; c < classes; c++) {
        real sum = 0;
        for (fl_int i = 0; i < rows; i++) sum += r[c * FL_STRIP + i];
        g[classes * n + c] = first ? sum : g[classes * n + c] + sum;
    }
}

/* dx[i, :] = scale * sum_c r[c, i] w[c, :] (lecture 2.3.3). */
static void strip_data_gradient(real *dx, fl_int n, const real *r, const real *w, fl_int ldw, fl_int rows, fl_int classes,
                                real scale)
{
    for (fl_int i = 0; i < rows; i += ROWS) {
        const fl_int here = fl_min(rows - i, ROWS);
        for (fl_int k = 0; k < n; k += VL) {
            vec s[ROWS] = {vset(0), vset(0), vset(0), vset(0)};
            for (fl_int c = 0; c < classes; c++) {
                vec v = vload(w + c * ldw + k);
                const real *rc = r + c * FL_STRIP + i; /* Z is padded to ROWS */
                for (int q = 0; q < ROWS; q++) s[q] += v * rc[q];
            }
            for (fl_int q = 0; q < here; q++) vstore_n(dx + (i + q) * n + k, s[q] * scale, fl_min(n - k, VL));
        }
    }
}

/* VL samples of Z, class-major: bias, softmax (unless z holds P), loss; leaves in z what the mode asks for. u: the direction's
 * logits without its bias vb, or NULL. w: VL weights, 0 beyond the last sample. Returns the losses. */
FL_INLINE vec strip_softmax(const fl_linear_job *job, real *z, real *u, const real *vb, const int64_t *labels, fl_int rows, vec w,
                            const int mode)
{
    const fl_int ld = FL_STRIP, l = job->l, free = job->free;
    const real *b = job->b;
    real lanes[VL];
    fl_int label[VL];
    vec top = vset(0), sum = vset(1), loss = vset(0);
    if (mode == FL_VALUE || mode == FL_GRADIENT || mode == FL_DATA_GRADIENT)
        for (fl_int r = 0; r < rows; r++) label[r] = label_of(labels, r, l);
    if (!job->P) {
        for (fl_int c = 0; c < l; c++) {
            if (c >= free) vstore(z + c * ld, vset(0));
            else if (b) vstore(z + c * ld, vload(z + c * ld) + b[c]);
        }
        lanes_top(&top, z, ld, l, 1);
    }
    if (mode == FL_VALUE || mode == FL_GRADIENT) {
        vstore(lanes, top);
        for (fl_int r = 0; r < rows; r++) lanes[r] = label[r] < 0 ? (real)NAN : z[label[r] * ld + r];
        loss = top - vload(lanes);
    }
    if (!job->P) lanes_exp(&sum, z, ld, l, &top, NULL, FL_SOFTMAX, 1);
    if (mode == FL_VALUE || mode == FL_GRADIENT) loss += vlog(sum);
    if (mode == FL_GRADIENT || mode == FL_DATA_GRADIENT) {
        vstore(lanes, sum);
        for (fl_int r = 0; r < rows; r++)
            if (label[r] >= 0) z[label[r] * ld + r] -= lanes[r];
        sum = w / sum;
        for (fl_int c = 0; c < l; c++) vstore(z + c * ld, vload(z + c * ld) * sum);
    } else if (mode == FL_PROBABILITIES) {
        sum = 1 / sum;
        for (fl_int c = 0; c < l; c++) vstore(z + c * ld, vload(z + c * ld) * sum);
    } else if (mode == FL_HESSIAN_MV) {
        vec mean = vset(0), inverse = 1 / sum;
        for (fl_int c = 0; c < free; c++) {
            vec p = vload(z + c * ld) * inverse, d = vload(u + c * ld) + (vb ? vset(vb[c]) : vset(0));
            vstore(z + c * ld, p);
            vstore(u + c * ld, d);
            mean += p * d;
        }
        for (fl_int c = 0; c < free; c++) vstore(z + c * ld, vload(z + c * ld) * (vload(u + c * ld) - mean) * w);
    }
    return loss;
}

/* w[c * ldw + k] = source[c * n + k], zeros from n to ldw. */
FL_INLINE void pack_rows(real *w, fl_int ldw, const real *source, fl_int n, fl_int classes)
{
    for (fl_int c = 0; c < classes; c++) {
        memcpy(w + c * ldw, source + c * n, (size_t)n * sizeof *w);
        memset(w + c * ldw + n, 0, (size_t)(ldw - n) * sizeof *w);
    }
}

FL_INLINE void linear_range(const fl_linear_job *job, fl_int block, real *scratch, const int mode)
{
    const fl_int from = block * job->per_block, to = fl_min(from + job->per_block, job->m);
    const fl_int n = job->n, ldx = job->ldx, l = job->l, free = job->free;
    const fl_int line = 64 / (fl_int)sizeof(real), ldw = round_up(n, line), length = free * n + free;
    const fl_int directions = mode == FL_HESSIAN_MV ? job->directions : 1;
    real *z = scratch, *u = z + l * FL_STRIP, *w = u + (mode == FL_HESSIAN_MV ? free * FL_STRIP : 0), *v = w + free * ldw;
    double loss = 0;
    fl_int strip = FL_STRIP;
    while (strip > 16 && strip * n * (fl_int)sizeof(real) > 400000) strip /= 2; /* two strips in 1 MiB of L2 */

    pack_rows(w, ldw, job->W, n, free);
    for (fl_int d = 0; mode == FL_HESSIAN_MV && d < directions; d++)
        pack_rows(v + d * free * ldw, ldw, (const real *)job->V + d * job->v_step, n, free);
    for (fl_int i = from; i < to; i += strip) {
        const fl_int rows = fl_min(to - i, strip);
        const real *x = (const real *)job->X + i * ldx;
        const int products = mode == FL_GRADIENT || mode == FL_HESSIAN_MV;
        const real *p = mode == FL_HESSIAN_MV ? job->P : NULL;
        for (fl_int d = 0; d < directions; d++) { /* the strip stays in L2 */
            const real *ahead = d == 0 && i + 2 * rows <= to ? x + rows * ldx : NULL;
            const real *vb = mode == FL_HESSIAN_MV && job->vb ? (const real *)job->vb + d * job->v_step : NULL;
            if (p)
                for (fl_int r = 0; r < rows; r += VL) load_transposed(z + r, FL_STRIP, p + (i + r) * l, l, l, fl_min(rows - r, VL));
            else strip_logits(z, x, ldx, rows, w, ldw, n, free, ahead, !products);
            if (mode == FL_HESSIAN_MV) strip_logits(u, x, ldx, rows, v + d * free * ldw, ldw, n, free, p ? ahead : NULL, 0);
            for (fl_int r = 0; r < rows; r += VL) {
                const fl_int here = fl_min(rows - r, VL);
                real weights[VL], losses[VL];
                for (fl_int q = 0; q < VL; q++) weights[q] = q >= here ? 0 : job->weight ? (real)job->weight[i + r + q] : 1;
                vstore(losses, strip_softmax(job, z + r, u + r, vb, job->labels + i + r, here, vload(weights), mode));
                if (mode == FL_VALUE || mode == FL_GRADIENT)
                    for (fl_int q = 0; q < here; q++) loss += (job->weight ? job->weight[i + r + q] : 1) * (double)losses[q];
            }
            if (products)
                strip_gradient((real *)job->grad + (block * directions + d) * length, n, z, x, ldx, rows, free, ahead, i == from);
        }
        if (mode == FL_DATA_GRADIENT) strip_data_gradient((real *)job->out + i * n, n, z, w, ldw, rows, free, (real)job->scale);
        if (mode == FL_PROBABILITIES)
            for (fl_int r = 0; r < rows; r++)
                for (fl_int c = 0; c < l; c++) ((real *)job->out)[(i + r) * l + c] = z[c * FL_STRIP + r];
    }
    if (mode == FL_VALUE || mode == FL_GRADIENT) job->loss[block] = loss;
}

/* scratch, in reals: FL_STRIP * (l + (mv ? free : 0)) + (mv ? 1 + directions : 1) * free * (n rounded up to 64 bytes). */
void FL_ENTRY(linear)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_linear_job *job = (const fl_linear_job *)head;
    assert(job->m >= 1 && job->n >= 1 && 1 <= job->free && job->free <= job->l);
    switch (job->mode) {
    case FL_VALUE: linear_range(job, block, scratch, FL_VALUE); break;
    case FL_GRADIENT: linear_range(job, block, scratch, FL_GRADIENT); break;
    case FL_HESSIAN_MV: linear_range(job, block, scratch, FL_HESSIAN_MV); break;
    case FL_DATA_GRADIENT: linear_range(job, block, scratch, FL_DATA_GRADIENT); break;
    default: linear_range(job, block, scratch, FL_PROBABILITIES); break;
    }
}
