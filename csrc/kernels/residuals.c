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

FL_INLINE double residuals_range(const fl_residuals_job *job, fl_int from, fl_int to, const int loss)
{
    const real *x = job->x, *t = job->t;
    real *grad = job->grad;
    double sum = 0;
    for (fl_int i = from; i < to; i += VL) {
        const fl_int left = fl_min(to - i, VL);
        real lanes[VL];
        const vec d = vload_n(x + i, left, 0) - vload_n(t + i, left, 0);
        if (grad) vstore_n(grad + i, loss_derivative(d, loss) * (real)job->scale, left);
        vstore(lanes, d);
        for (fl_int q = 0; q < VL; q++) sum += loss_value((double)lanes[q], loss); /* in double: sums are long */
    }
    return sum;
}

void FL_ENTRY(residuals)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_residuals_job *job = (const fl_residuals_job *)head;
    const fl_int from = block * job->per_block, to = fl_min(from + job->per_block, job->n);
    (void)scratch;
#define FL_LOSS_CASE(NAME, ...) \
    case FL_##NAME: job->sums[block] = residuals_range(job, from, to, FL_##NAME); break;
    switch (job->loss) {
        FL_EACH_LOSS(FL_LOSS_CASE)
    }
#undef FL_LOSS_CASE
}
