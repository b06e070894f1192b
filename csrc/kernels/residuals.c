/* residuals.c: losses that are sums over elements, mostly over residuals, and their gradients. */
#include "kernels/residuals.h"
#include "shared/blocks.h"
#include "simd/math.h"

FL_INLINE vec sign_of(vec d) /* 0 where d is, NaN where d is */
{
    return vselect(vbelow(vset(0), vabs(d)), vcopysign(vset(1), d), d);
}

FL_INLINE double huber(double d, double c) { return fabs(d) <= c ? d * d / 2 : c * (fabs(d) - c / 2); }

/* The cross-entropy of t and sigmoid(x): (1 - t) log(1 + exp(x)) + c t log(1 + exp(-x)). A weight of 0 counts nothing, even against
 * an infinite logit. */
FL_INLINE vec binary(vec x, vec t, vec c)
{
    const vec zero = vset(0), yes = c * t, no = 1 - t, more = vlog1p(vexp_nonpositive(vminus_abs(x)));
    return vselect(vequal(no, zero), zero, no * (vmax(zero, x) + more))
           + vselect(vequal(yes, zero), zero, yes * (vmax(zero, -x) + more));
}

/* (1 - t) sigmoid(x) - c t sigmoid(-x), neither of them as a difference from 1. */
FL_INLINE vec binary_derivative(vec x, vec t, vec c)
{
    const vec e = vexp_nonpositive(vminus_abs(x)), large = 1 / (1 + e), small = e * large;
    const vmask negative = vnegative(x);
    return (1 - t) * vselect(negative, small, large) - c * t * vselect(negative, large, small);
}

FL_INLINE vec inside(vec d, vec c) /* 1 where |d| <= c, else 0; NaN where d is */
{
    return vselect(vbelow(c, vabs(d)), vset(0), vselect(vequal(d, d), vset(1), d));
}

/* (1 - t + c t) sigmoid'(x) */
FL_INLINE vec binary_second(vec x, vec t, vec c)
{
    const vec e = vexp_nonpositive(vminus_abs(x)), share = 1 / (1 + e);
    return (1 - t + c * t) * (e * share * share);
}

/* loss is a constant at every call of these. */
FL_INLINE vec kept_of(vec x, vec t, vec d, vec c, const int loss)
{
#define FL_KEPT_CASE(NAME, name, kept, ...) \
    case FL_##NAME: return kept;
    (void)x, (void)t, (void)c;
    switch (loss) {
        FL_EACH_LOSS(FL_KEPT_CASE)
    default: return d;
    }
#undef FL_KEPT_CASE
}

FL_INLINE double loss_value(double kept, double c, const int loss)
{
#define FL_VALUE_CASE(NAME, name, of, value, ...) \
    case FL_##NAME: return value;
    (void)c;
    switch (loss) {
        FL_EACH_LOSS(FL_VALUE_CASE)
    default: return 0;
    }
#undef FL_VALUE_CASE
}

FL_INLINE vec loss_derivative(vec x, vec t, vec d, vec c, const int loss)
{
#define FL_DERIVATIVE_CASE(NAME, name, kept, value, factor, derivative, ...) \
    case FL_##NAME: return derivative;
    (void)x, (void)t, (void)c;
    switch (loss) {
        FL_EACH_LOSS(FL_DERIVATIVE_CASE)
    default: return d;
    }
#undef FL_DERIVATIVE_CASE
}

FL_INLINE vec loss_second(vec x, vec t, vec d, vec c, const int loss)
{
#define FL_SECOND_CASE(NAME, name, kept, value, factor, derivative, second, ...) \
    case FL_##NAME: return second;
    (void)x, (void)t, (void)d, (void)c;
    switch (loss) {
        FL_EACH_LOSS(FL_SECOND_CASE)
    default: return vset(1);
    }
#undef FL_SECOND_CASE
}

FL_INLINE real none_of(const int loss)
{
#define FL_NONE_CASE(NAME, name, kept, value, factor, derivative, second, functions, none, ...) \
    case FL_##NAME: return none;
    switch (loss) {
        FL_EACH_LOSS(FL_NONE_CASE)
    default: return 0;
    }
#undef FL_NONE_CASE
}

/* The loss's parameters for VL elements from i on. */
FL_INLINE vec parameters_of(const fl_residuals_job *job, fl_int i)
{
    real lanes[VL];
    if (job->n_parameters <= 1) return vset(job->n_parameters ? (real)job->parameters[0] : 0);
    for (fl_int q = 0; q < VL; q++) lanes[q] = (real)job->parameters[(i + q) % job->n_parameters];
    return vload(lanes);
}

/* w: the weights of the next `left` elements, of which the first is `column` of the sample `row`, and 0 beyond; moves these on. */
FL_INLINE void next_weights(double *w, const fl_residuals_job *job, fl_int *row, fl_int *column, fl_int left)
{
    for (fl_int q = 0; q < VL; q++) {
        w[q] = q < left ? job->weight[*row] : 0;
        if (++*column == job->width) *column = 0, ++*row;
    }
}

/* What the derivatives of the next `left` elements are multiplied by. */
FL_INLINE vec scale_of(const fl_residuals_job *job, double *w, fl_int *row, fl_int *column, fl_int left)
{
    real lanes[VL];
    next_weights(w, job, row, column, left);
    for (fl_int q = 0; q < VL; q++) lanes[q] = (real)(w[q] * job->scale);
    return vload(lanes);
}

/* weighted, too, is a constant: a product with 1 would be rounded elsewhere. */
FL_INLINE double residuals_range(const fl_residuals_job *job, fl_int from, fl_int to, const int loss, const int weighted)
{
    const real *xs = job->x, *ts = job->t;
    const double parameter = job->n_parameters ? job->parameters[0] : 0;
    real *grad = job->grad;
    fl_int row = weighted ? from / job->width : 0, column = weighted ? from % job->width : 0;
    double sum = 0;
    for (fl_int i = from; i < to; i += VL) {
        const fl_int left = fl_min(to - i, VL);
        real lanes[VL];
        double w[VL];
        vec scale = vset((real)job->scale);
        const vec x = vload_n(xs + i, left, none_of(loss)), t = ts ? vload_n(ts + i, left, 0) : vset(0), d = x - t,
                  c = parameters_of(job, i);
        const vec kept = kept_of(x, t, d, c, loss); /* before grad, which may be x, is written */
        if (weighted) scale = scale_of(job, w, &row, &column, left);
        if (grad) vstore_n(grad + i, loss_derivative(x, t, d, c, loss) * scale, left);
        vstore(lanes, kept);
        for (fl_int q = 0; q < VL; q++) { /* in double: sums are long */
            const double value = loss_value((double)lanes[q], parameter, loss);
            if (weighted) sum += w[q] != 0 ? w[q] * value : 0;
            else sum += value;
        }
    }
    return sum;
}

void FL_ENTRY(residuals)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_residuals_job *job = (const fl_residuals_job *)head;
    const fl_int from = block * job->per_block, to = fl_min(from + job->per_block, job->n);
    (void)scratch;
#define FL_LOSS_CASE(NAME, ...)                                                                                        \
    case FL_##NAME:                                                                                                    \
        job->sums[block] =                                                                                             \
            job->weight ? residuals_range(job, from, to, FL_##NAME, 1) : residuals_range(job, from, to, FL_##NAME, 0); \
        break;
    switch (job->loss) {
        FL_EACH_LOSS(FL_LOSS_CASE)
    }
#undef FL_LOSS_CASE
}

/* Small rather than fast: the loss is no constant. */
void FL_ENTRY(residuals_mv)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_residuals_job *job = (const fl_residuals_job *)head;
    const fl_int from = block * job->per_block, to = fl_min(from + job->per_block, job->n);
    fl_int row = job->weight ? from / job->width : 0, column = job->weight ? from % job->width : 0;
    (void)scratch;
    for (fl_int i = from; i < to; i += VL) {
        const fl_int left = fl_min(to - i, VL);
        double w[VL];
        const vec x = vload_n((const real *)job->x + i, left, 0), t = job->t ? vload_n((const real *)job->t + i, left, 0) : vset(0),
                  v = vload_n((const real *)job->v + i, left, 0);
        const vec scale = job->weight ? scale_of(job, w, &row, &column, left) : vset((real)job->scale);
        vstore_n((real *)job->grad + i, loss_second(x, t, x - t, parameters_of(job, i), job->loss) * v * scale, left);
    }
}
