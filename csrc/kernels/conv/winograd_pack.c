/* winograd_pack.c: transforms of taps in panels. */
#include "kernels/conv/winograd_taps.h"
#include "kernels/conv/winograd_tiles.h"
#include "shared/blocks.h"

/* A block transforms one panel of one group. */
void FL_ENTRY(winograd_pack)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_winograd_pack_job *job = (const fl_winograd_pack_job *)head;
    const fl_conv_taps *T = &job->taps;
    const fl_int panel = block % job->panels, group = block / job->panels, row = panel * T->mr, step = T->mr * job->channels + LINE;
    const fl_int valid = fl_min(job->rows - row, T->mr);
    real sums[2 * FL_WINO_ROWS] = {0};
    wino_taps_in((real *)job->u + (group * job->panels + panel) * FL_WINO_POINTS * step, step, T,
                 (const real *)T->w + group * T->group_step + row * T->row_step, job->channels, valid, sums, scratch);
    wino_densities((real *)job->density + group * job->rows + row, sums, job->channels, valid);
}
