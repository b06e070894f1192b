/* update_tmpl.h: one step of an optimizer, elementwise; fl_update in fl.h says the rules. The matrix products call it for
 * each tile of a gradient, so that gradients of weights are never written. */

typedef struct {
    const fl_update *rule;
    vec rate, momentum, decay, beta1, rest1, beta2, rest2, unbias1, unbias2, eps;
} FL_FN(stepper);

FL_INLINE FL_FN(stepper) FL_FN(stepper_of)(const fl_update *u)
{
    FL_FN(stepper) s = {
        .rule = u,
        .rate = vset((real)u->rate),
        .momentum = vset((real)u->momentum),
        .decay = vset((real)u->decay),
        .beta1 = vset((real)u->beta1),
        .rest1 = vset((real)(1 - u->beta1)),
        .beta2 = vset((real)u->beta2),
        .rest2 = vset((real)(1 - u->beta2)),
        .unbias1 = vset((real)u->unbias1),
        .unbias2 = vset((real)u->unbias2),
        .eps = vset((real)u->eps),
    };
    return s;
}

/* The first `left` parameters at w, whose gradient is g. */
FL_INLINE void FL_FN(update_one)(const FL_FN(stepper) *step, real *w, vec g, fl_int left)
{
    const fl_update *u = step->rule;
    real *s = (real *)((char *)w + u->s), *t = (real *)((char *)w + u->t);
    vec now = vload_n(w, left, 0);
    if (u->rule == FL_ADAM) {
        vec mean = step->beta1 * vload_n(s, left, 0) + step->rest1 * g;
        vec square = step->beta2 * vload_n(t, left, 0) + step->rest2 * (g * g);
        vstore_n(s, mean, left);
        vstore_n(t, square, left);
        g = mean * step->unbias1 / (vsqrt(square * step->unbias2) + step->eps) + step->decay * now;
    } else {
        if (u->decay != 0) g += step->decay * now;
        if (u->s) {
            vec velocity = step->momentum * vload_n(s, left, 0) + g;
            vstore_n(s, velocity, left);
            if (u->nesterov) g += step->momentum * velocity;
            else g = velocity;
        }
    }
    vstore_n(w, now - step->rate * g, left);
}

static void FL_FN(update)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_update_job *job = (const fl_update_job *)head;
    const fl_int from = block * job->per_block, to = from + job->per_block < job->n ? from + job->per_block : job->n;
    const FL_FN(stepper) step = FL_FN(stepper_of)(job->update);
    const real *g = job->g;
    (void)scratch;
    for (fl_int i = from; i < to; i += VL) {
        const fl_int left = to - i < VL ? to - i : VL;
        FL_FN(update_one)(&step, (real *)job->w + i, vload_n(g + i, left, 0), left);
    }
}
