/* weights.c: the gradient of a convolution's weights, in dot form: lanes lie along the pixels, so they are full for any
 * number of channels. v lies at the pitch of the planes, zeros in the gaps: one sum runs over a whole part of an image. */
#include "kernels/conv/dots.h"
#include "kernels/conv/weights.h"
#include "shared/blocks.h"

/* v at the pitch of the planes, zeros in the gaps. Up to a register more is written. */
static void conv_spread(real *out, const real *v, fl_int rows, fl_int cols, fl_int pitch)
{
    if (pitch == cols) row_in_zeros(out, rows * cols, v, rows * cols, 1, 0);
    else
        for (fl_int p = 0; p < rows; p++) row_in_zeros(out + p * pitch, pitch, v + p * cols, cols, 1, 0);
}

/* scratch: the planes of channel_chunk channels and row_chunk rows of v, `together` images and 64 bytes for each, FL_CONV_BYTES
 * more. */
void FL_ENTRY(conv_weights)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_conv_weights_job *job = (const fl_conv_weights_job *)head;
    const fl_conv_planes *P = &job->planes;
    const fl_conv_regions *all = &job->regions;
    const conv_region R = conv_region_of(all, block);
    const fl_int rows = R.rows, channels = R.channels;
    const fl_int first = R.part * job->part_images;
    const fl_int end = fl_min(first + job->part_images, job->images);
    const fl_int size = job->grid_rows * job->grid_cols, total = channels * job->taps;
    const fl_int ldv = P->plane * job->together + 64 / (fl_int)sizeof(real), ldx = P->phases_y * P->phases_x * ldv;
    real *planes = scratch, *spread = planes + channels * ldx + FL_CONV_BYTES / (fl_int)sizeof(real);
    real *dw = (real *)job->dw + R.at * job->taps;
    int add = 0;

    for (fl_int n = first; n < end; n += job->together) {
        const fl_int images = fl_min(end - n, job->together);
        for (fl_int a0 = 0; a0 < job->grid_rows; a0 += P->tile_rows, add = 1) {
            const fl_int high = fl_min(job->grid_rows - a0, P->tile_rows);
            const fl_int lanes = (high - 1) * P->pitch + job->grid_cols;
            int finite = 1;
            conv_weights_planes(job, &R, n, images, a0, P->plane_rows - P->tile_rows + high, ldv, planes, &finite);
            for (fl_int i = 0; i < rows; i++)
                for (fl_int m = 0; m < images; m++) {
                    const fl_int row = ((n + m) * all->groups + R.group) * all->rows + R.row + i;
                    conv_spread(spread + i * ldv + m * P->plane, (const real *)job->v + row * size + a0 * job->grid_cols, high,
                                job->grid_cols, P->pitch);
                }
            for (fl_int i = 0; i < rows; i += 4) {
                const fl_int mr = fl_min(rows - i, 4), even = even_piece(total, DOT_TAPS);
                for (fl_int q = 0; q < total; q += even) {
                    const fl_int here = fl_min(total - q, even);
                    const real *x[DOT_TAPS];
                    real out[DOT_TAPS][4];
                    /* gaps in v are zeros, which must not be multiplied by infinities of the image */
                    const conv_runs flat = {images, P->plane, 1, 0, lanes, 1},
                                    rowwise = {images, P->plane, high, P->pitch, job->grid_cols, 1};
                    for (fl_int j = 0; j < DOT_TAPS; j++) {
                        const fl_int at = q + fl_min(j, here - 1);
                        x[j] = planes + at / job->taps * ldx + job->offset[at % job->taps];
                    }
                    FL_ENTRY(conv_dots)(out, spread + i * ldv, ldv, x, finite ? &flat : &rowwise, mr, even);
                    for (fl_int r = 0; r < mr; r++)
                        for (fl_int j = 0; j < here; j++) {
                            real *to = dw + (i + r) * all->channels * job->taps + q + j;
                            *to = add ? *to + out[j][r] : out[j][r];
                        }
                }
            }
        }
    }
}
