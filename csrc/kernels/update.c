/* update.c: one step of an optimizer. */
#include "kernels/update.h"
#include "shared/blocks.h"
#include "shared/step.h"

void FL_ENTRY(update)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_update_job *job = (const fl_update_job *)head;
    const fl_int from = block * job->per_block, to = fl_min(from + job->per_block, job->n);
    const stepper step = stepper_of(job->update);
    (void)scratch;
    update_row(&step, (real *)job->w + from, (const real *)job->g + from, to - from);
}
