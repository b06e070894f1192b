/* residuals.c: losses that are sums over residuals, and their gradients. */
#include "kernels/residuals.h"
#include "shared/blocks.h"
#include "simd/simd.h"

/* loss is a constant at every call of these. */
FL_INLINE double loss_value(double d, const int loss)
{
#define FL_VALUE_CASE(NAME, name, value, ...) \
    case FL_##NAME: return value;
    switch (loss) {
        FL_EACH_LOSS(FL_VALUE_CASE)
    default: return 0;
    }
#undef FL_VALUE_CASE
}

FL_INLINE vec loss_derivative(vec d, const int loss)
{
#define FL_DERIVATIVE_CASE(NAME, name, value, factor, derivative, ...) \
    case FL_##NAME: return derivative;
    switch (loss) {
        FL_EACH_LOSS(FL_DERIVATIVE_CASE)
    default: return d;
    }
#undef FL_DERIVATIVE_CASE
}

/* w: the weights of the next `left` elements, of which the first is `column` of the sample `row`, and 0 beyond; moves these on. */
FL_INLINE void next_weights(double *w, const fl_residuals_job *job, fl_int *row, fl_int *column, fl_int left)
{
    for (fl_int q = 0; q < VL; q++) {
        w[q] = q < left ? job->weight[*row] : 0;
        if (++*column == job->width) *column = 0, ++*row;
    }
}

/* weighted, too, is a constant: a product with 1 would be rounded elsewhere. */
FL_INLINE double residuals_range(const fl_residuals_job *job, fl_int from, fl_int to, const int loss, const int weighted)
{
    const real *x = job->x, *t = job->t;
    real *grad = job->grad;
    fl_int row = weighted ? from / job->width : 0, column = weighted ? from % job->width : 0;
    double sum = 0;
    for (fl_int i = from; i < to; i += VL) {
        const fl_int left = fl_min(to - i, VL);
        real lanes[VL];
        double w[VL];
        vec scale = vset((real)job->scale);
        const vec d = vload_n(x + i, left, 0) - vload_n(t + i, left, 0);
        if (weighted) {
            next_weights(w, job, &row, &column, left);
            for (fl_int q = 0; q < VL; q++) lanes[q] = (real)(w[q] * job->scale);
            scale = vload(lanes);
        }
        if (grad) vstore_n(grad + i, loss_derivative(d, loss) * scale, left);
        vstore(lanes, d);
        for (fl_int q = 0; q < VL; q++) { /* in double: sums are long */
            const double value = loss_value((double)lanes[q], loss);
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
