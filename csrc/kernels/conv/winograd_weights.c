/* winograd_weights.c: the weights' gradient by Winograd's transforms: G' (A v A' times B' d B, summed over the tiles) G. */
#include "kernels/conv/pack.h"
#include "kernels/conv/regions.h"
#include "kernels/conv/tile.h"
#include "kernels/conv/winograd_bounds.h"
#include "kernels/conv/winograd_data.h"
#include "kernels/conv/winograd_doubles.h"
#include "shared/blocks.h"

/* A, the transpose of what gives pixels. */
FL_INLINE void wino_pixels_back(vec *m, vec v0, vec v1, vec v2, vec v3)
{
    const vec even = v0 + v2, odd = v1 + v3;
    m[0] = v0;
    m[1] = even + odd;
    m[2] = even - odd;
    m[3] = v0 + (real)0.5 * v1 + (real)0.25 * v2 + (real)0.125 * v3;
    m[4] = v0 - 2 * v1 + 4 * v2 - 8 * v3;
    m[5] = v3;
}

/* G', the transpose of what transforms taps. */
FL_INLINE void wino_taps_back(doubles *g, const doubles m0, const doubles m1, const doubles m2, const doubles m3, const doubles m4,
                              const doubles m5)
{
    const doubles third = (m1 - m2) * (1.0 / 3);
    g[0] = m0 + third - m3 * (16.0 / 15) + m4 * (1.0 / 15);
    g[1] = (m1 + m2) * (1.0 / 3) - m3 * (8.0 / 15) - m4 * (2.0 / 15);
    g[2] = third - m3 * (4.0 / 15) + m4 * (4.0 / 15) + m5;
}

/* m[point * step + tile] = A v A'. */
static void wino_back(real *m, fl_int step, real *d, const wino_source *S, fl_int first, fl_int end)
{
    const fl_int tiles = (end - first) * S->tiles->cols, ld = wino_pitch(tiles);
    wino_tiles(d, ld, S, first, end, FL_WINO_TILE);
    for (fl_int t = 0; t < tiles; t += VL) {
        vec columns[4][6];
#pragma GCC unroll 4
        for (int b = 0; b < 4; b++) {
            const real *at = d + b * ld + t;
            wino_pixels_back(columns[b], vload(at), vload(at + 4 * ld), vload(at + 8 * ld), vload(at + 12 * ld));
        }
#pragma GCC unroll 6
        for (int a = 0; a < 6; a++) {
            vec out[6];
            wino_pixels_back(out, columns[0][a], columns[1][a], columns[2][a], columns[3][a]);
            for (int b = 0; b < 6; b++) vstore(m + (6 * a + b) * step + t, out[b]);
        }
    }
}

/* dw[c * 9 + tap] for `channels` of a row of A, from sums[point * step + c]; up to a register more is read. */
static void wino_weights_out(real *dw, const real *sums, fl_int step, fl_int channels)
{
    for (fl_int c = 0; c < channels; c += PART) {
        doubles columns[6][3];
        real taps[9][PART];
        const fl_int left = fl_min(channels - c, PART);
        for (int b = 0; b < 6; b++) {
            doubles m[6];
            for (int a = 0; a < 6; a++) m[a] = widen(sums + (6 * a + b) * step + c);
            wino_taps_back(columns[b], m[0], m[1], m[2], m[3], m[4], m[5]);
        }
        for (int a = 0; a < 3; a++) {
            doubles g[3];
            wino_taps_back(g, columns[0][a], columns[1][a], columns[2][a], columns[3][a], columns[4][a], columns[5][a]);
            for (int b = 0; b < 3; b++) narrow(taps[3 * a + b], g[b]);
        }
        for (fl_int lane = 0; lane < left; lane++)
            for (fl_int q = 0; q < 9; q++) dw[(c + lane) * 9 + q] = taps[q][lane];
    }
}

/* Adds the products of one tile, the i-th row's t-th, to direct[(row * 9 + tap) * ld + channel]. patch: 36 * ld reals. */
static void wino_direct_weights(real *direct, fl_int ld, const fl_winograd_weights_job *job, const conv_region *R, fl_int i,
                                fl_int t, real *patch)
{
    const fl_conv_regions *all = &job->regions;
    const fl_wino_tiles *T = &job->tiles;
    const wino_place P = wino_place_of(T, i);
    const fl_int top = P.row * FL_WINO_TILE * T->dh + P.phase, left = t % T->across * FL_WINO_TILE * T->dw + t / T->across;
    const real *x = (const real *)job->x + ((P.image * all->groups + R->group) * all->channels + R->channel) * T->h * T->w;
    const real *v = (const real *)job->v + ((P.image * all->groups + R->group) * all->rows + R->row) * T->oh * T->ow;
    for (int a = 0; a < 6; a++)
        for (int b = 0; b < 6; b++) {
            const fl_int p = top + a * T->dh - T->top, q = left + b * T->dw - T->left;
            const int inside = p >= 0 && p < T->h && q >= 0 && q < T->w;
            for (fl_int c = 0; c < ld; c++)
                patch[(6 * a + b) * ld + c] = inside && c < R->channels ? x[(c * T->h + p) * T->w + q] : 0;
        }
    for (fl_int k = 0; k < R->rows; k++)
        for (int a = 0; a < FL_WINO_TILE && top + a * T->dh < T->oh; a++)
            for (int b = 0; b < FL_WINO_TILE && left + b * T->dw < T->ow; b++) {
                const vec one = vset(v[(k * T->oh + top + a * T->dh) * T->ow + left + b * T->dw]);
                for (int tap = 0; tap < 9; tap++)
                    for (fl_int c = 0; c < ld; c += VL) {
                        real *to = direct + (k * 9 + tap) * ld + c;
                        vstore(to, vload(to) + one * vload(patch + (6 * (a + tap / 3) + b + tap % 3) * ld + c));
                    }
            }
}

/* A block sums over a part of the rows of tiles, for some rows of A and some channels. scratch, in reals, pitch being that of the
 * tiles of `together` rows and ld that of channel_chunk channels: the transforms, points * ((rows + channels) * pitch + 2 lines);
 * for one point its operands, pitch * (rows up to whole panels + ld) and a line; the sums, points * (rows up to whole panels * ld +
 * a line); the pixels of a channel, points * their pitch; what is summed directly, (9 * rows + points) * ld. */
void FL_ENTRY(winograd_weights)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_winograd_weights_job *job = (const fl_winograd_weights_job *)head;
    const fl_conv_regions *all = &job->regions;
    const conv_region R = conv_region_of(all, block);
    const fl_int k0 = R.row, c0 = R.channel, rows = R.rows, channels = R.channels, group = R.group, groups = all->groups;
    const fl_wino_tiles *T = &job->tiles;
    const fl_int total = job->images * T->rows, first = R.part * job->part_rows;
    const fl_int end = fl_min(first + job->part_rows, total);
    const fl_int mr = job->mr, panels = ceil_div(rows, mr), pitch = job->pitch, ld = round_up(all->channel_chunk, VL);
    const fl_int x_step = channels * pitch + LINE, v_step = rows * pitch + LINE, sum_step = panels * mr * ld + LINE;
    real *xs = scratch, *vs = xs + FL_WINO_POINTS * x_step, *a = vs + FL_WINO_POINTS * v_step, *b = a + panels * mr * pitch + LINE;
    real *sums = b + pitch * ld, *pixels = sums + FL_WINO_POINTS * sum_step;
    real *direct = pixels + (FL_WINO_POINTS + FL_WINO_TILE) * (pitch + VL), *patch = direct + 9 * rows * ld;
    const real *bounds = (const real *)job->bounds + group * job->bounds_pitch;
    const int any = any_beyond(bounds + first * T->cols, (end - first) * T->cols, 0);
    const real zeros[FL_CONV_ROWS] = {0};
    if (any) memset(direct, 0, (size_t)(9 * rows * ld) * sizeof *direct);

    for (fl_int from = first; from < end; from += job->together) {
        const fl_int to = fl_min(from + job->together, end), tiles = (to - from) * T->cols;
        for (fl_int c = 0; c < channels; c++) {
            const wino_source source = wino_image(T, job->x, group * all->channels + c0 + c, groups * all->channels);
            wino_in(xs + c * pitch, x_step, pixels, &source, from, to);
        }
        for (fl_int k = 0; k < rows; k++) {
            const wino_source source = {(const real *)job->v + (group * all->rows + k0 + k) * T->oh * T->ow,
                                        groups * all->rows * T->oh * T->ow,
                                        T->oh,
                                        T->ow,
                                        0,
                                        0,
                                        T};
            wino_back(vs + k * pitch, v_step, pixels, &source, from, to);
        }
        for (fl_int t = 0; any && t < tiles; t++) {
            if (!(bounds[from * T->cols + t] > 0)) continue;
            wino_direct_weights(direct, ld, job, &R, from + t / T->cols, t % T->cols, patch);
            for (fl_int point = 0; point < FL_WINO_POINTS; point++) {
                for (fl_int c = 0; c < channels; c++) xs[point * x_step + c * pitch + t] = 0;
                for (fl_int k = 0; k < rows; k++) vs[point * v_step + k * pitch + t] = 0;
            }
        }
        for (fl_int point = 0; point < FL_WINO_POINTS; point++) {
            for (fl_int panel = 0; panel < panels; panel++)
                conv_pack_rows(a + panel * mr * pitch, vs + point * v_step + panel * mr * pitch, pitch, tiles, mr,
                               fl_min(rows - panel * mr, mr));
            conv_pack_rows(b, xs + point * x_step, pitch, tiles, ld, channels);
            for (fl_int panel = 0; panel < panels; panel++)
                for (fl_int c = 0, nv; c < channels; c += nv * VL) {
                    nv = conv_wide(mr, ceil_div(channels - c, VL));
                    FL_ENTRY(conv_tile)(sums + point * sum_step + panel * mr * ld + c, ld, a + panel * mr * pitch, b + c, 0, 1,
                                        job->offset, tiles, zeros, from > first, mr, nv);
                }
        }
    }
    for (fl_int k = 0; k < rows; k++) {
        real *dw = (real *)job->dw + (R.at + k * all->channels) * 9;
        wino_weights_out(dw, sums + k * ld, sum_step, channels);
        for (fl_int c = 0; any && c < channels; c++)
            for (fl_int tap = 0; tap < 9; tap++) dw[9 * c + tap] += direct[(k * 9 + tap) * ld + c];
    }
}
