/* weights_channels.c: the gradient of a convolution's weights with lanes along the rows of A: none is empty if these fill
 * registers, and v has no gaps. */
#include "kernels/conv/pack.h"
#include "kernels/conv/transposed.h"
#include "kernels/conv/weights.h"
#include "shared/blocks.h"

/* out[j * ldo + lane] = or += the sum over the runs of v's lanes times x_j, for j < here <= nq taps and nv registers. v: one pixel
 * after the other. */
FL_INLINE void conv_taps(real *out, fl_int ldo, const real *v, const real *const *x, const conv_runs *runs, fl_int here, int add,
                         const int nq, const int nv)
{
    vec s[LANE_TAPS][2];
    const real *at[LANE_TAPS];
#pragma GCC unroll 9
    for (int j = 0; j < nq; j++) {
        at[j] = x[j];
#pragma GCC unroll 2
        for (int u = 0; u < nv; u++) s[j][u] = vset(0);
    }
    for (fl_int image = 0; image < runs->images; image++)
        for (fl_int row = 0; row < runs->rows; row++) {
            const fl_int from = image * runs->image_step + row * runs->row_step;
            for (fl_int t = from; t < from + runs->lanes * runs->step; t += runs->step, v += nv * VL) {
                vec w[2];
#pragma GCC unroll 2
                for (int u = 0; u < nv; u++) w[u] = vload(v + u * VL);
#pragma GCC unroll 9
                for (int j = 0; j < nq; j++) {
                    const vec d = vset(at[j][t]);
#pragma GCC unroll 2
                    for (int u = 0; u < nv; u++) s[j][u] += d * w[u];
                }
            }
        }
#pragma GCC unroll 9
    for (int j = 0; j < nq; j++)
        if (j < here)
#pragma GCC unroll 2
            for (int u = 0; u < nv; u++) {
                real *to = out + j * ldo + u * VL;
                if (add) s[j][u] += vload(to);
                vstore(to, s[j][u]);
            }
}

#define CONV_TAPS(nq)                                                   \
    do {                                                                \
        if (mr == VL) conv_taps(out, VL, v, x, runs, here, add, nq, 1); \
        else conv_taps(out, 2 * VL, v, x, runs, here, add, nq, 2);      \
    } while (0)

static void conv_taps_of(real *out, fl_int mr, const real *v, const real *const *x, const conv_runs *runs, fl_int here, int add)
{
    if (here > 6) CONV_TAPS(LANE_TAPS);
    else if (here > 3) CONV_TAPS(6);
    else if (here > 1) CONV_TAPS(3);
    else CONV_TAPS(1);
}

/* scratch: the sums, rows in whole panels times channel_chunk times taps, and VL panel rows; v, rows in whole panels times the
 * pixels of `together` images; the planes of channel_chunk channels, `together` images, 64 bytes for each, FL_CONV_BYTES more. */
void FL_ENTRY(conv_weights_channels)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_conv_weights_job *job = (const fl_conv_weights_job *)head;
    const fl_conv_planes *P = &job->planes;
    const fl_conv_regions *all = &job->regions;
    const conv_region R = conv_region_of(all, block);
    const fl_int mr = job->mr, panels = ceil_div(R.rows, mr), total = R.channels * job->taps;
    const fl_int first = R.part * job->part_images, size = job->grid_rows * job->grid_cols;
    const fl_int end = fl_min(first + job->part_images, job->images);
    const fl_int ldv = P->plane * job->together + 64 / (fl_int)sizeof(real), image_step = all->groups * all->channels * P->h * P->w;
    const fl_int ldx = job->in_place ? P->h * P->w : P->phases_y * P->phases_x * ldv;
    const real *x = (const real *)job->x + (R.group * all->channels + R.channel) * P->h * P->w;
    real *sums = scratch, *transposed = sums + (panels * total + VL) * mr;
    real *copies = transposed + panels * mr * job->together * P->tile_rows * job->grid_cols;
    int add = 0;

    for (fl_int n = first; n < end; n += job->together) {
        const fl_int images = fl_min(end - n, job->together);
        for (fl_int a0 = 0; a0 < job->grid_rows; a0 += P->tile_rows, add = 1) {
            const fl_int high = fl_min(job->grid_rows - a0, P->tile_rows), pixels = high * job->grid_cols;
            const conv_runs runs = {images,   job->in_place ? image_step : P->plane, high, P->pitch * P->step_y, job->grid_cols,
                                    P->step_x};
            const real *planes = copies;
            if (job->in_place) planes = x + n * image_step + a0 * P->pitch * P->step_y;
            else conv_weights_planes(job, &R, n, images, a0, P->plane_rows - (P->tile_rows - high) * P->step_y, ldv, copies, NULL);
            for (fl_int p = 0; p < panels; p++) {
                const fl_int valid = fl_min(R.rows - p * mr, mr);
                for (fl_int m = 0; m < images; m++) {
                    const fl_int row = ((n + m) * all->groups + R.group) * all->rows + R.row + p * mr;
                    conv_pack_rows(transposed + (p * images + m) * pixels * mr,
                                   (const real *)job->v + row * size + a0 * job->grid_cols, size, pixels, mr, valid);
                }
            }
            for (fl_int p = 0; p < panels; p++)
                for (fl_int q = 0, here; q < total; q += here) {
                    const real *taps[LANE_TAPS];
                    here = even_piece(total - q, LANE_TAPS);
                    for (fl_int j = 0; j < LANE_TAPS; j++) {
                        const fl_int at = q + fl_min(j, here - 1);
                        taps[j] = planes + at / job->taps * ldx + job->offset[at % job->taps];
                    }
                    conv_taps_of(sums + (p * total + q) * mr, mr, transposed + p * images * pixels * mr, taps, &runs, here, add);
                }
        }
    }
    for (fl_int p = 0; p < panels; p++) {
        real *dw = (real *)job->dw + (R.at + p * mr * all->channels) * job->taps;
        const conv_target target = {.y = dw, .plane = all->channels * job->taps, .pitch = total, .cols = total, .col_step = 1};
        conv_scatter_transposed(&target, sums + p * total * mr, mr, fl_min(R.rows - p * mr, mr), total);
    }
}
