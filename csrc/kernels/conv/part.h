/* part.h: the part of a convolution that a block computes: of conv and conv_channels. */
#ifndef FL_PART_H
#define FL_PART_H

#include "kernels/conv/store.h"
#include "shared/blocks.h"
#include "shared/finish.h"

/* Finishes `rows` planes of y, from plane i on, in the part of the grid at (a0, b0): whole rows of y where it has all columns. */
FL_SHARED void conv_finish_part(const fl_conv_job *job, fl_int i, fl_int rows, fl_int a0, fl_int high, fl_int b0, fl_int wide)
{
    const fl_int size = job->oh * job->ow, top = a0 * job->down, side = b0 * job->across;
    const fl_int bottom = fl_min((a0 + high) * job->down, job->oh);
    const fl_int end = fl_min((b0 + wide) * job->across, job->ow);
    if (end - side == job->ow) FL_ENTRY(finish_planes)(&job->after, job->y, size, i, rows, top * job->ow, (bottom - top) * job->ow);
    else
        for (fl_int p = top; p < bottom; p++)
            FL_ENTRY(finish_planes)(&job->after, job->y, size, i, rows, p * job->ow + side, end - side);
}

/* What block `block` computes: panels [from, to) of a group, in the part of the grid at (a0, b0), high x wide. */
typedef struct {
    fl_int image, group, a0, b0, high, wide, from, to;
} conv_part;

FL_INLINE conv_part conv_part_of(const fl_conv_job *job, fl_int block)
{
    const fl_conv_planes *P = &job->planes;
    const fl_int parts = ceil_div(job->panels, job->per_block), part = block % parts;
    const fl_int tiles = job->tiles_down * job->tiles_across, tile = block / parts % tiles;
    conv_part at = {.group = block / parts / tiles % job->groups, .image = block / parts / tiles / job->groups};
    at.a0 = tile / job->tiles_across * P->tile_rows;
    at.b0 = tile % job->tiles_across * P->tile_cols;
    at.high = fl_min(job->grid_rows - at.a0, P->tile_rows);
    at.wide = fl_min(job->grid_cols - at.b0, P->tile_cols);
    at.from = part * job->per_block;
    at.to = fl_min(at.from + job->per_block, job->panels);
    return at;
}

#endif
