/* channel_sums.c: the activation derivative of images, and the sums over the pixels of a channel: a convolution's backward step. */
#include "kernels/conv/conv.h"
#include "shared/activate.h"
#include "shared/blocks.h"

#define RUN 1024 /* elements whose sum is added to the total at a time: long sums lose less so */

FL_INLINE void channel_row(const fl_channels_job *job, fl_int row, const int activation)
{
    const real *v = (const real *)job->v + row * job->n,
               *of = activation == FL_IDENTITY ? NULL : (const real *)job->after.of + row * job->n;
    real *out = job->out ? (real *)job->out + row * job->n : NULL;
    const sigma s = sigma_of(&job->after);
    double total = 0;
    for (fl_int i = 0; i < job->n;) {
        const fl_int end = fl_min(i + RUN, job->n);
        vec sum = vset(0);
        for (; i < end; i += VL) {
            const fl_int left = fl_min(end - i, VL);
            vec d = vload_n(v + i, left, 0);
            if (activation != FL_IDENTITY) d *= activation_derivative(vload_n(of + i, left, 0), &s, activation);
            if (out) vstore_n(out + i, d, left);
            sum += d;
        }
        i = end;
        total += (double)vsum(sum);
    }
    if (job->total) ((real *)job->total)[row] = (real)total;
}

void FL_ENTRY(channels)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_channels_job *job = (const fl_channels_job *)head;
    const fl_int from = block * job->per_block, to = fl_min(from + job->per_block, job->rows);
    (void)scratch;
    for (fl_int row = from; row < to; row++) FL_WITH_ACTIVATION(job->after.derivative, channel_row(job, row, activation))
}
