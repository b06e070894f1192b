/* regions.h: the part of the weights' gradient that a block computes, and what its sums run over. */
#ifndef FL_REGIONS_H
#define FL_REGIONS_H

#include "kernels/conv/conv.h"
#include "shared/blocks.h"
#include "simd/simd.h"

/* What block `block` sums. at: (row, channel) in [part][groups * rows][channels]. */
typedef struct {
    fl_int part, group, row, channel, rows, channels, at;
} conv_region;

FL_INLINE conv_region conv_region_of(const fl_conv_regions *R, fl_int block)
{
    const fl_int down = ceil_div(R->rows, R->row_chunk), across = ceil_div(R->channels, R->channel_chunk);
    conv_region region = {.row = block % down * R->row_chunk, .channel = block / down % across * R->channel_chunk};
    region.group = block / down / across % R->groups;
    region.part = block / down / across / R->groups;
    region.rows = fl_min(R->rows - region.row, R->row_chunk);
    region.channels = fl_min(R->channels - region.channel, R->channel_chunk);
    region.at = ((region.part * R->groups + region.group) * R->rows + region.row) * R->channels + region.channel;
    return region;
}

/* What a sum runs over: `images` times `rows` runs of `lanes` pixels, `step` apart for conv_taps. */
typedef struct {
    fl_int images, image_step, rows, row_step, lanes, step;
} conv_runs;

#endif
