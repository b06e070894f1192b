/* smooth.c: label smoothing: targets mixed with the uniform distribution. */
#include "kernels/smooth.h"
#include "shared/blocks.h"
#include "shared/labels.h"

void FL_ENTRY(smooth)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_smooth_job *job = (const fl_smooth_job *)head;
    const fl_int n = job->n, from = block * job->per_block, to = fl_min(from + job->per_block, job->m);
    const real share = (real)job->share, floor = (real)job->floor;
    (void)scratch;
    for (fl_int i = from; i < to; i++) {
        real *out = (real *)job->out + i * n;
        if (job->targets) {
            const real *target = (const real *)job->targets + i * n;
            for (fl_int j = 0; j < n; j++) out[j] = floor + share * target[j];
        } else {
            const fl_int label = label_of(job->labels, i, n);
            for (fl_int j = 0; j < n; j++) out[j] = floor;
            if (label >= 0) out[label] += share;
        }
    }
}
