/* xent_tmpl.h: cross-entropy of the softmax and its gradient from logits, in one sweep with one exp for each logit (lecture
 * eq. 11 and 2.3.2 with respect to the logits): l_i = log sum_j exp(x_ij) - x_iy, grad_i = w_i (softmax(x_i) - onehot(y)).
 * With target rows t: l_i = sum_j t_j (lse - x_ij), grad_i = w_i (softmax(x_i) sum_j t_j - t). */

/* Targets of one vector of problems: adds sum t_j (top - x_j) to *loss and returns sum t_j. A target of 0 weighs nothing, even
 * against a logit of -inf. */
FL_INLINE vec FL_FN(target_terms)(vec t, vec x, vec top, vec *loss)
{
    *loss += vselect(vequal(t, vset(0)), vset(0), t * (top - x));
    return t;
}

/* VL rows, transposed: z becomes the gradient unless want_grad is 0. s: VL reals of scale * weight. Returns the losses. */
FL_INLINE vec FL_FN(xent_lanes)(real *z, const real *targets, const int64_t *labels, fl_int n, fl_int rows, vec scale, int want_grad)
{
    vec top = FL_FN(lanes_top)(z, VL, n), loss = vset(0), mass = vset(1), sum;
    real lanes[VL] __attribute__((aligned(64)));
    if (targets) {
        mass = vset(0);
        for (fl_int j = 0; j < n; j++) mass += FL_FN(target_terms)(vload(targets + j * VL), vload(z + j * VL), top, &loss);
    } else {
        vstore(lanes, top);
        for (fl_int r = 0; r < rows; r++) lanes[r] = z[labels[r] * VL + r];
        loss = top - vload(lanes);
    }
    sum = FL_FN(lanes_exp)(z, VL, n, top, FL_SOFTMAX);
    loss += mass * vlog(sum);
    if (!want_grad) return loss;
    if (targets) {
        vec inverse = mass / sum;
        for (fl_int j = 0; j < n; j++)
            vstore(z + j * VL, (vload(z + j * VL) * inverse - vload(targets + j * VL)) * scale);
    } else {
        vstore(lanes, sum);
        for (fl_int r = 0; r < rows; r++) z[labels[r] * VL + r] -= lanes[r];
        FL_FN(lanes_scale)(z, VL, n, scale / sum);
    }
    return loss;
}

/* One long row. e: where the exponentials go, grad itself or scratch; grad may be NULL, and then e is too. */
FL_INLINE double FL_FN(xent_long_row)(real *grad, real *e, const real *x, const real *targets, fl_int label, fl_int n, double scale,
                                      const real *ahead, int stream)
{
    real top = FL_FN(row_top)(x, n);
    double loss = 0, mass = 1;
    if (targets) {
        vec l = vset(0), t = l;
        for (fl_int j = 0; j < n; j += VL) {
            fl_int left = n - j < VL ? n - j : VL;
            t += FL_FN(target_terms)(vload_n(targets + j, left, 0), vload_n(x + j, left, 0), vset(top), &l);
        }
        loss = (double)vsum(l);
        mass = (double)vsum(t);
    } else {
        loss = (double)(top - x[label]);
    }
    double sum = FL_FN(row_exp)(e, x, n, top, ahead, FL_SOFTMAX);
    loss += mass * (double)vlog(vset((real)sum))[0];
    if (!grad) return loss;
    if (targets) {
        vec inverse = vset((real)(mass / sum)), s = vset((real)scale);
        for (fl_int j = 0; j < n; j += VL) {
            fl_int left = n - j < VL ? n - j : VL;
            vstore_n(grad + j, (vload_n(e + j, left, 0) * inverse - vload_n(targets + j, left, 0)) * s, left);
        }
    } else {
        e[label] -= (real)sum;
        FL_FN(row_store)(grad, e, n, (real)(scale / sum), 0, 0, FL_SOFTMAX, stream);
    }
    return loss;
}

/* scratch: 2 * SHORT_ROW * 64 bytes, or n * sizeof(real) where stream. */
static void FL_FN(xent)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_xent_job *job = (const fl_xent_job *)head;
    const fl_int from = block * job->per_block, to = from + job->per_block < job->m ? from + job->per_block : job->m;
    const fl_int n = job->n, ldx = job->ldx;
    const real *x = job->x, *targets = job->targets;
    real *grad = job->grad, *z = scratch, *t = z + SHORT_ROW * VL;
    double loss = 0;
    assert(n >= 1 && from < to);
    if (n > SHORT_ROW) {
        for (fl_int i = from; i < to; i++) {
            double w = job->weight ? job->weight[i] : 1;
            real *g = grad ? grad + i * n : NULL;
            loss += w * FL_FN(xent_long_row)(g, g && job->stream ? z : g, x + i * ldx, targets ? targets + i * n : NULL,
                                             targets ? 0 : job->labels[i], n, w * job->scale,
                                             x + (i + 1 < job->m ? i + 1 : i) * ldx, job->stream);
        }
        if (job->stream) vstream_end();
    } else {
        for (fl_int i = from; i < to; i += VL) {
            fl_int rows = to - i < VL ? to - i : VL;
            real s[VL], l[VL];
            for (fl_int r = 0; r < VL; r++) s[r] = (real)(job->scale * (job->weight && r < rows ? job->weight[i + r] : 1));
            load_transposed(z, x + i * ldx, ldx, n, rows);
            if (targets) load_transposed(t, targets + i * n, n, n, rows);
            vstore(l, FL_FN(xent_lanes)(z, targets ? t : NULL, targets ? NULL : job->labels + i, n, rows, vload(s), grad != NULL));
            if (grad) store_transposed(grad + i * n, n, z, n, rows);
            for (fl_int r = 0; r < rows; r++) loss += (job->weight ? job->weight[i + r] : 1) * (double)l[r];
        }
    }
    job->loss[block] = loss;
}
