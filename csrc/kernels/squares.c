/* squares.c: the squared error and its gradient. */
#include "kernels/squares.h"
#include "shared/blocks.h"
#include "simd/simd.h"

void FL_ENTRY(squares)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_squares_job *job = (const fl_squares_job *)head;
    const fl_int from = block * job->per_block, to = fl_min(from + job->per_block, job->n);
    const real *x = job->x, *t = job->t;
    real *grad = job->grad;
    double loss = 0;
    (void)scratch;
    for (fl_int i = from; i < to; i += VL) {
        const fl_int left = fl_min(to - i, VL);
        real lanes[VL];
        vec d = vload_n(x + i, left, 0) - vload_n(t + i, left, 0);
        if (grad) vstore_n(grad + i, d * (real)job->scale, left);
        vstore(lanes, d);
        for (fl_int q = 0; q < VL; q++) loss += (double)lanes[q] * (double)lanes[q]; /* in double: sums are long */
    }
    job->loss[block] = loss;
}
