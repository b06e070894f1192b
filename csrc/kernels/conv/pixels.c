/* pixels.c: convolutions, as matrix products that read the image itself (an implicit im2col; the offsets are those of Dukhan
 * 2019, moved to the summed axis). Lanes lie along the pixels: no layout changes, no channels are filled up. */
#include "kernels/conv/part.h"
#include "kernels/conv/planes.h"
#include "kernels/conv/tile.h"
#include "shared/blocks.h"

/* scratch: a tile, FL_CONV_ROWS + 1 rows of FL_CONV_BYTES, then the planes of `chunk` channels and FL_CONV_BYTES more. */
void FL_ENTRY(conv)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_conv_job *job = (const fl_conv_job *)head;
    const fl_conv_planes *P = &job->planes;
    const conv_part at = conv_part_of(job, block);
    const fl_int a0 = at.a0, b0 = at.b0, high = at.high, wide = at.wide, image = at.image, group = at.group;
    const fl_int plane_rows = P->plane_rows - P->tile_rows + high, per_channel = P->phases_y * P->phases_x * P->plane;
    const fl_int size = job->oh * job->ow, mr = job->mr;
    const real *x = (const real *)job->x + (image * job->groups + group) * job->channels * P->h * P->w;
    real *y = (real *)job->y + (image * job->groups + group) * job->rows * size;
    const fl_int ldb = FL_CONV_BYTES / (fl_int)sizeof(real);
    real *buffer = scratch, *planes = buffer + (FL_CONV_ROWS + 1) * ldb;
    const fl_epilogue *after = &job->after;
    const int finishes = epilogue_follows_bias(after);

    for (fl_int c = 0; c == 0 || c < job->channels; c += job->chunk) {
        const fl_int channels = fl_min(job->channels - c, job->chunk);
        const int last = c + job->chunk >= job->channels;
        for (fl_int i = 0; i < channels; i++)
            planes_of(planes + i * per_channel, P->plane, x + (c + i) * P->h * P->w, P, a0, b0, plane_rows);
        for (fl_int f = 0; f < job->phases; f++) {
            const fl_conv_phase *phase = job->phase + f;
            const fl_int rows = fl_min(phase->rows - a0, high);
            const fl_int cols = fl_min(phase->cols - b0, wide);
            const int whole = job->across == 1 && job->down == 1 && cols == job->ow, dense = whole && cols == P->pitch;
            const fl_int runs = rows <= 0 || cols <= 0 ? 0 : job->by_row ? rows : 1;
            const fl_int lanes = job->by_row ? cols : (rows - 1) * P->pitch + cols;
            const fl_int depth = job->channels * phase->taps * mr;
            const real *a = (const real *)job->a + phase->panels + group * job->panels * depth + c * phase->taps * mr;
            real *first = y + ((a0 * job->down + phase->row) * job->ow + b0 * job->across + phase->col);
            for (fl_int panel = at.from; panel < at.to; panel++) {
                const fl_int row = panel * mr, valid = fl_min(job->rows - row, mr);
                const int add = c > 0 || after->accumulate;
                real start[FL_CONV_ROWS] = {0};
                if (after->bias && c == 0)
                    for (fl_int i = 0; i < valid; i++) start[i] = ((const real *)after->bias)[group * job->rows + row + i];
                for (fl_int run = 0; run < runs; run++) {
                    /* the tail of a row may spill into the next, which is written later */
                    const int spill = whole && job->by_row && !add && (rows - 1 - run) * cols >= VL;
                    real *to_run = first + row * size + run * job->down * job->ow;
                    const conv_target target = {to_run, size, P->pitch, cols, job->down * job->ow, job->across, add};
                    for (fl_int t = 0, nv; t < lanes; t += nv * VL) {
                        const fl_int rest = lanes - t, n = conv_wide(mr, ceil_div(rest, VL));
                        const fl_int here = fl_min(rest, n * VL);
                        const int direct = valid == mr && (spill || (dense && here == n * VL));
                        nv = n;
                        FL_ENTRY(conv_tile)(direct ? to_run + t : buffer, direct ? size : ldb, a + panel * depth,
                                            planes + run * P->pitch + t, job->flat ? 0 : per_channel, job->flat ? 1 : channels,
                                            job->offset + phase->first, job->flat ? channels : phase->taps, start, direct && add,
                                            mr, nv);
                        if (!direct) conv_scatter(&target, buffer, ldb, valid, t, here);
                    }
                }
                if (finishes && last && f == job->phases - 1)
                    conv_finish_part(job, (image * job->groups + group) * job->rows + row, valid, a0, high, b0, wide);
            }
        }
    }
}
