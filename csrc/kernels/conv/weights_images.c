/* weights_images.c: the gradient of a convolution's weights with lanes along the images of a batch. */
#include "kernels/conv/bands.h"
#include "kernels/conv/dots.h"
#include "shared/blocks.h"

/* dw = or += the sums over a band, for mr <= 4 planes of v and all taps of some channels. */
static void images_dots(const fl_conv_weights_images_job *job, real *dw, const real *v, fl_int mr, const real *planes,
                        fl_int channels, const images_band *B, int add)
{
    const fl_conv_bands *G = &job->bands;
    const fl_int across = job->across, plane = G->plane_rows * G->width * VL, streams = channels * across, last = B->a0 + B->high;
    for (fl_int tap = 0; tap < G->taps;
         tap += across) { /* a row of taps: all of them read rows of the image for one range of rows of v */
        const fl_int shift = G->ty[tap] - G->top, from = fl_max(B->a0, -shift), end = fl_min(last, G->h - shift);
        const conv_runs runs = {1, 0, fl_max(end - from, 0), G->width * VL, G->ow * VL, 1};
        const real *row = planes + ((from + shift - B->low) * G->width - G->left + G->before) * VL;
        for (fl_int q = 0, here, c = 0, j = 0; q < streams; q += here) {
            const real *at[DOT_TAPS] = {0};
            fl_int where[DOT_TAPS];
            real out[DOT_TAPS][4];
            here = even_piece(streams - q, DOT_TAPS);
            for (fl_int i = 0; i < here; i++) {
                at[i] = row + c * plane + G->tx[tap + j] * VL;
                where[i] = c * G->taps + tap + j;
                if (++j == across) j = 0, c++;
            }
            for (fl_int i = here; i < DOT_TAPS; i++) at[i] = at[0];
            FL_ENTRY(conv_dots)(out, v + (from - B->a0) * G->width * VL, G->tile_rows * G->width * VL, at, &runs, mr, here);
            for (fl_int r = 0; r < mr; r++)
                for (fl_int i = 0; i < here; i++) {
                    real *sum = dw + r * job->channels * G->taps + where[i];
                    *sum = add ? *sum + out[i][r] : out[i][r];
                }
        }
    }
}

/* The weights' gradient: sums over pixels of registers times registers, then over the lanes. A block: some bands, for one group.
 * scratch: v, rows times tile_rows * width registers; the planes of `chunk` channels. */
void FL_ENTRY(conv_weights_images)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_conv_weights_images_job *job = (const fl_conv_weights_images_job *)head;
    const fl_conv_bands *G = &job->bands;
    const fl_int group = block % job->groups, first = block / job->groups * job->per_part;
    const fl_int end = fl_min(first + job->per_part, job->units), ldv = G->tile_rows * G->width * VL;
    const fl_int v_size = G->oh * G->ow, x_size = G->h * G->w, v_step = job->groups * job->rows * v_size;
    const real *v = (const real *)job->v + group * job->rows * v_size, *x = (const real *)job->x + group * job->channels * x_size;
    real *dw = (real *)job->dw + block * job->rows * job->channels * G->taps, *vs = scratch, *planes = vs + job->rows * ldv;

    for (fl_int unit = first; unit < end; unit++) {
        const images_band B = images_band_of(G, unit);
        for (fl_int k = 0; k < job->rows; k++)
            images_in(vs + k * ldv, G->width, 0, v + B.first * v_step + k * v_size + B.a0 * G->ow, v_step, B.images, G->ow, B.high);
        for (fl_int c = 0; c < job->channels; c += job->chunk) {
            const fl_int channels = fl_min(job->channels - c, job->chunk);
            images_planes(planes, G, &B, x + c * x_size, job->groups * job->channels * x_size, channels);
            for (fl_int k = 0; k < job->rows; k += 4)
                images_dots(job, dw + (k * job->channels + c) * G->taps, vs + k * ldv, fl_min(job->rows - k, 4), planes, channels,
                            &B, unit > first);
        }
    }
}
