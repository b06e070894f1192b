/* images.c: convolutions with lanes along the images of a batch: pixels lie in memory as registers, one for each place in
 * the image, so that no size of the image or number of channels leaves lanes empty, and taps beyond the image are left out. */
#include "kernels/conv/bands.h"
#include "kernels/conv/store.h"
#include "kernels/conv/tile.h"
#include "shared/blocks.h"
#include "shared/finish.h"

/* n pixels from registers to y + lane * step, or added to what is there. */
static void images_out(real *y, fl_int step, fl_int images, const real *from, fl_int n, int add)
{
    for (fl_int t = 0; t < n; t += VL) {
        const fl_int left = fl_min(n - t, VL);
        vec v[VL];
        for (fl_int p = 0; p < VL; p++) v[p] = vload(from + (t + fl_min(p, left - 1)) * VL);
        vtranspose(v);
        for (fl_int i = 0; i < images; i++) {
            real *to = y + i * step + t;
            if (add) v[i] += left == VL ? vload(to) : vload_n(to, left, 0);
            if (left == VL) vstore(to, v[i]);
            else vstore_n(to, v[i], left);
        }
    }
}

/* The taps that meet the image for pixels b .. b + pixels - 1 of row a: where in a plane that begins with row `low`, and in A. */
FL_INLINE fl_int images_taps(const fl_conv_bands *G, fl_int mr, fl_int a, fl_int b, fl_int pixels, fl_int low, fl_int *offset,
                             fl_int *place)
{
    fl_int n = 0;
    for (fl_int q = 0; q < G->taps; q++) {
        const fl_int row = a + G->ty[q] - G->top, column = b + G->tx[q] - G->left;
        if (row < 0 || row >= G->h || column + pixels <= 0 || column >= G->w) continue;
        offset[n] = ((row - low) * G->width + column + G->before) * VL;
        place[n++] = q * mr;
    }
    return n;
}

/* A block: tile_rows rows of y of VL images of one group. scratch: the taps, twice their number of fl_int, rounded up to registers;
 * y, panels * mr rows of tile_rows * ow registers; the planes of `chunk` channels, plane_rows * width registers each. */
void FL_ENTRY(conv_images)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_conv_images_job *job = (const fl_conv_images_job *)head;
    const fl_conv_bands *G = &job->bands;
    const fl_int group = block % job->groups, mr = job->mr, size = G->oh * G->ow, depth = job->channels * G->taps * mr;
    const images_band B = images_band_of(G, block / job->groups);
    const fl_int pixels = B.high * G->ow, plane = G->plane_rows * G->width * VL, y_step = job->groups * job->rows * size;
    const real *x = (const real *)job->x + group * job->channels * G->h * G->w,
               *a = (const real *)job->a + group * job->panels * depth;
    real *y = (real *)job->y + B.first * y_step + group * job->rows * size + B.a0 * G->ow;
    fl_int *offset = scratch, *place = offset + G->taps;
    real *out = (real *)scratch + job->list, *planes = out + job->panels * mr * G->tile_rows * G->ow * VL;
    const fl_epilogue *after = &job->after;

    for (fl_int c = 0; c == 0 || c < job->channels; c += job->chunk) {
        const fl_int channels = fl_min(job->channels - c, job->chunk);
        images_planes(planes, G, &B, x + c * G->h * G->w, job->groups * job->channels * G->h * G->w, channels);
        for (fl_int panel = 0; panel < job->panels; panel++) {
            const fl_int row = panel * mr, valid = fl_min(job->rows - row, mr);
            real start[FL_CONV_ROWS] = {0};
            if (after->bias && c == 0)
                for (fl_int i = 0; i < valid; i++) start[i] = ((const real *)after->bias)[group * job->rows + row + i];
            for (fl_int p = 0; p < B.high; p++)
                for (fl_int b = 0, nv; b < G->ow; b += nv) {
                    nv = conv_wide(mr, G->ow - b);
                    const fl_int taps = images_taps(G, mr, B.a0 + p, b, nv, B.low, offset, place);
                    FL_ENTRY(conv_tile_placed)(out + (row * pixels + p * G->ow + b) * VL, pixels * VL,
                                               a + panel * depth + c * G->taps * mr, planes, plane, channels, offset, taps, place,
                                               G->taps * mr, start, c > 0, mr, nv);
                }
        }
    }
    for (fl_int k = 0; k < job->rows; k++)
        images_out(y + k * size, y_step, B.images, out + k * pixels * VL, pixels, after->accumulate);
    for (fl_int i = 0; i < B.images && epilogue_follows_bias(after); i++)
        FL_ENTRY(finish_planes)(after, job->y, size, ((B.first + i) * job->groups + group) * job->rows, job->rows, B.a0 * G->ow,
                                pixels);
}
