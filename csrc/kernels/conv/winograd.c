/* winograd.c: 3 x 3 convolutions of 4 x 4 pixels with a quarter of the multiplications (Winograd 1980; Lavin and Gray 2015).
 * The points 0, 1, -1, 1/2, -2 and infinity lose least of the usual ones (Barabasz et al. 2020). A tile's 6 x 6 pixels d become
 * B' d B, the taps g become G g G', their products over the channels m become A' m A; lanes lie along the tiles. */
#include "kernels/conv/pack.h"
#include "kernels/conv/store.h"
#include "kernels/conv/tile.h"
#include "kernels/conv/winograd_bounds.h"
#include "kernels/conv/winograd_data.h"
#include "kernels/conv/winograd_taps.h"
#include "shared/blocks.h"
#include "shared/finish.h"

/* A': the powers of the points. */
FL_INLINE void wino_pixels(vec *y, vec m0, vec m1, vec m2, vec m3, vec m4, vec m5)
{
    const vec sum = m1 + m2, difference = m1 - m2;
    y[0] = m0 + sum + m3 + m4;
    y[1] = difference + (real)0.5 * m3 - 2 * m4;
    y[2] = sum + (real)0.25 * m3 + 4 * m4;
    y[3] = difference + (real)0.125 * m3 - 8 * m4 + m5;
}

/* sums[(row * 16 + pixel) * pitch + tile] of `rows` rows of A, at w, and the tiles of rows [first, end) of all images, for all
 * registers of tiles of which one has a bound beyond the density. d: as wino_tiles wants it. */
static void wino_direct(real *sums, fl_int pitch, const fl_winograd_job *job, const real *w, fl_int rows, fl_int group,
                        fl_int first, fl_int end, const real *bounds, real density, real *d)
{
    const fl_conv_taps *W = &job->taps;
    const fl_int tiles = (end - first) * job->tiles.cols, ld = wino_pitch(tiles);
    for (fl_int c = 0; c < job->channels; c++) {
        const wino_source source = wino_channel(job, group, c);
        wino_tiles(d, ld, &source, first, end, 6);
        for (fl_int t = 0; t < tiles; t += VL) {
            if (!any_beyond(bounds + t, fl_min(tiles - t, VL), density)) continue;
            for (fl_int r = 0; r < rows; r++)
                for (int a = 0; a < FL_WINO_TILE; a++) {
                    real *to = sums + (r * FL_WINO_TILE + a) * FL_WINO_TILE * pitch + t;
                    vec s[FL_WINO_TILE];
                    for (int b = 0; b < FL_WINO_TILE; b++) s[b] = c == 0 ? vset(0) : vload(to + b * pitch);
                    for (int i = 0; i < 3; i++)
                        for (int j = 0; j < 3; j++) {
                            const vec tap = vset(w[r * W->row_step + c * W->channel_step + W->place[3 * i + j]]);
                            for (int b = 0; b < FL_WINO_TILE; b++) s[b] += tap * vload(d + (6 * (a + i) + b + j) * ld + t);
                        }
                    for (int b = 0; b < FL_WINO_TILE; b++) vstore(to + b * pitch, s[b]);
                }
        }
    }
}

/* lines[a * ld + 4 tile + b] = start + pixel (a, b) of A' m A, or of what was summed directly, direct[(4 a + b) * pitch + tile],
 * where a tile's bound is beyond the density; direct may be NULL, and then none is. */
static void wino_lines(real *lines, fl_int ld, const real *m, fl_int step, fl_int tiles, real start, const real *direct,
                       fl_int pitch, const real *bounds, real density)
{
    for (fl_int t = 0; t < tiles; t += VL) {
        vec rows[4][6];
#pragma GCC unroll 6
        for (int b = 0; b < 6; b++) {
            const real *at = m + b * step + t;
            vec column[4];
            wino_pixels(column, vload(at), vload(at + 6 * step), vload(at + 12 * step), vload(at + 18 * step),
                        vload(at + 24 * step), vload(at + 30 * step));
            for (int a = 0; a < 4; a++) rows[a][b] = column[a];
        }
#pragma GCC unroll 4
        for (int a = 0; a < 4; a++) {
            real *to = lines + a * ld + 4 * t;
            vec pixels[4];
            wino_pixels(pixels, rows[a][0], rows[a][1], rows[a][2], rows[a][3], rows[a][4], rows[a][5]);
            if (direct) {
                const vmask beyond = vbelow(vset(density), vload_n(bounds + t, fl_min(tiles - t, VL), 0));
                for (int b = 0; b < 4; b++) pixels[b] = vselect(beyond, vload(direct + (4 * a + b) * pitch + t), pixels[b]);
            }
            for (int b = 0; b < 4; b++) pixels[b] += start;
            vinterleave4(pixels);
            for (int b = 0; b < 4; b++) vstore(to + b * VL, pixels[b]);
        }
    }
}

/* The products of `channels` channels at one point for the tiles of a panel: m = or += u v. Sums of sums: what A' makes of their
 * rounding is larger than that of the sums itself. */
FL_INLINE void wino_products(real *m, fl_int pitch, const real *u, const real *v, const fl_int *offset, fl_int channels,
                             fl_int tiles, fl_int mr, int add)
{
    const real zeros[FL_CONV_ROWS] = {0};
    for (fl_int t = 0, nv; t < tiles; t += nv * VL) {
        nv = conv_wide(mr, ceil_div(tiles - t, VL));
        for (fl_int c = 0; c < channels; c += FL_WINO_RUN)
            FL_ENTRY(conv_tile)(m + t, pitch, u + c * mr, v + t, 0, 1, offset + c, fl_min(channels - c, FL_WINO_RUN), zeros,
                                add || c > 0, mr, nv);
    }
}

/* wino_products with lanes along the rows of A: m[tile * mr + row]. Tiles take the place of a panel's rows. */
FL_INLINE void wino_transposed_products(real *m, const fl_winograd_job *job, const real *u, const real *v, fl_int channels,
                                        fl_int tiles, int add)
{
    const real zeros[FL_CONV_ROWS] = {0};
    const fl_int mr = job->taps.mr;
    for (fl_int c = 0; c < channels; c += FL_WINO_RUN)
        FL_ENTRY(conv_tile_placed)(m, mr, v + c * job->pitch, u + c * mr, 0, 1, job->along_rows, fl_min(channels - c, FL_WINO_RUN),
                                   job->offset, 0, zeros, add || c > 0, tiles, mr / VL);
}

/* A row of y from that of its tiles, whose phases are `length` pixels long. */
FL_INLINE void wino_put(real *y, const real *from, fl_int length, fl_int ow, fl_int dw, int add)
{
    if (dw == 1) conv_put(y, from, ow, add);
    else if (dw == 2)
        for (fl_int q = 0; 2 * q < ow; q += VL) {
            vec a, b;
            real both[2 * VL];
            vzip(vload(from + q), vload(from + length + q), &a, &b);
            vstore(both, a);
            vstore(both + VL, b);
            conv_put(y + 2 * q, both, fl_min(ow - 2 * q, 2 * VL), add);
        }
    else
        for (fl_int f = 0; f < dw && f < ow; f++)
            for (fl_int q = 0; f + q * dw < ow; q++) y[f + q * dw] = from[f * length + q] + (add ? y[f + q * dw] : 0);
}

/* A row of A: its planes of y, and the rows of tiles [first, end) of all images, from lines. */
static void wino_store(const fl_winograd_job *job, const real *lines, fl_int k, fl_int first, fl_int end)
{
    const fl_wino_tiles *T = &job->tiles;
    const fl_int oh = T->oh, ow = T->ow, size = oh * ow, ld = 4 * wino_pitch((end - first) * T->cols);
    for (fl_int i = first; i < end; i++) {
        const wino_place P = wino_place_of(T, i);
        const fl_int plane = P.image * job->groups * job->rows + k, top = P.row * FL_WINO_TILE * T->dh + P.phase;
        const fl_int bottom = fl_min(top + FL_WINO_TILE * T->dh, oh);
        real *y = (real *)job->y + plane * size;
        const real *line = lines + (i - first) * 4 * T->cols;
        for (fl_int p = top; p < bottom; p += T->dh, line += ld)
            wino_put(y + p * ow, line, 4 * T->across, ow, T->dw, job->after.accumulate);
        const fl_int together = T->dh == 1 ? bottom - top : 1; /* rows that lie one after another */
        for (fl_int p = top; p < bottom && epilogue_follows_bias(&job->after); p += together * T->dh)
            FL_ENTRY(finish_planes)(&job->after, job->y, size, plane, 1, p * ow, together * ow);
    }
}

/* The pixels of `rows` rows of A from `row` on, rows of tiles [first, end) of all images, from m[point * step + row * pitch +
 * tile]; those of tiles whose bounds are beyond the densities of the rows are summed directly. scratch: lines, or what wino_tiles
 * wants, then the direct sums: FL_WINO_DIRECT * 16 * pitch reals. */
static void wino_out(const fl_winograd_job *job, const real *m, fl_int step, fl_int group, fl_int row, fl_int rows, fl_int first,
                     fl_int end, const real *density, real *scratch)
{
    const fl_conv_taps *W = &job->taps;
    const fl_int tiles = (end - first) * job->tiles.cols, ld = wino_pitch(tiles), k0 = group * job->rows + row;
    const real *bounds = (const real *)job->bounds + group * job->bounds_pitch + first * job->tiles.cols;
    real *sums = scratch + (FL_WINO_POINTS + FL_WINO_TILE) * ld;
    for (fl_int r0 = 0; r0 < rows; r0 += FL_WINO_DIRECT) {
        const fl_int here = fl_min(rows - r0, FL_WINO_DIRECT);
        real least = density[r0];
        for (fl_int r = 1; r < here; r++) least = density[r0 + r] < least ? density[r0 + r] : least;
        const int direct = any_beyond(bounds, tiles, least);
        if (direct)
            wino_direct(sums, job->pitch, job, (const real *)W->w + group * W->group_step + (row + r0) * W->row_step, here, group,
                        first, end, bounds, least, scratch);
        for (fl_int r = r0; r < r0 + here; r++) {
            wino_lines(scratch, 4 * ld, m + r * job->pitch, step, tiles,
                       job->after.bias ? ((const real *)job->after.bias)[k0 + r] : 0,
                       direct ? sums + (r - r0) * 16 * job->pitch : NULL, job->pitch, bounds, density[r]);
            wino_store(job, scratch, k0 + r, first, end);
        }
    }
}

/* winograd, for many tiles: a block transforms some of them, for all rows of A, whose transforms u it is given. scratch: transforms
 * of the channels and of the rows of A, FL_WINO_POINTS times them times pitch, and a line; the pixels of a channel, FL_WINO_POINTS
 * times their pitch. */
void FL_ENTRY(winograd)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_winograd_job *job = (const fl_winograd_job *)head;
    const fl_int total = job->images * job->tiles.rows, per_group = ceil_div(total, job->per_block);
    const fl_int first = block % per_group * job->per_block, group = block / per_group, mr = job->taps.mr;
    const fl_int end = fl_min(first + job->per_block, total), tiles = (end - first) * job->tiles.cols;
    const fl_int v_step = job->channels * job->pitch + LINE, m_step = job->panels * mr * job->pitch + LINE;
    const fl_int u_step = job->channels * mr + LINE;
    const real *u = (const real *)job->u + group * job->panels * FL_WINO_POINTS * u_step;
    real *v = scratch, *m = v + FL_WINO_POINTS * v_step, *pixels = m + FL_WINO_POINTS * m_step;

    for (fl_int c = 0; c < job->channels; c++) {
        const wino_source source = wino_channel(job, group, c);
        wino_in(v + c * job->pitch, v_step, pixels, &source, first, end);
    }
    for (fl_int point = 0; point < FL_WINO_POINTS; point++)
        for (fl_int panel = 0; panel < job->panels; panel++)
            wino_products(m + point * m_step + panel * mr * job->pitch, job->pitch, u + (panel * FL_WINO_POINTS + point) * u_step,
                          v + point * v_step, job->offset, job->channels, tiles, mr, 0);
    wino_out(job, m, m_step, group, 0, job->rows, first, end, (const real *)job->density + group * job->rows, pixels);
}

/* winograd_in, the first job for few tiles: transforms them all, a block some channels. v: [group][part of the
 * channels][point][channel][pitch], a line after each point. scratch: the pixels of a channel, FL_WINO_POINTS times their pitch. */
void FL_ENTRY(winograd_in)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_winograd_job *job = (const fl_winograd_job *)head;
    const fl_int parts = ceil_div(job->channels, FL_WINO_CHANNELS), from = block % parts * FL_WINO_CHANNELS;
    const fl_int channels = fl_min(job->channels - from, FL_WINO_CHANNELS);
    const fl_int step = FL_WINO_CHANNELS * job->pitch + LINE;
    real *v = (real *)job->v + block * FL_WINO_POINTS * step;
    for (fl_int c = 0; c < channels; c++) {
        const wino_source source = wino_channel(job, block / parts, from + c);
        wino_in(v + c * job->pitch, step, scratch, &source, 0, job->images * job->tiles.rows);
    }
}

/* Prefetches a share of the taps of a panel for the next channels, in the order in which they lie in W. */
FL_INLINE void wino_prefetch(const fl_conv_taps *T, const real *w, fl_int channels, fl_int rows, fl_int share, fl_int shares)
{
    const int by_row = T->order == FL_PACK_ROWS;
    const fl_int pieces = by_row ? rows : channels, step = by_row ? T->row_step : T->channel_step, line = 64 / (fl_int)sizeof(real);
    const fl_int lines = 9 * (by_row ? channels : rows) / line + 1;
    for (fl_int i = share; channels > 0 && i < pieces * lines; i += shares)
        __builtin_prefetch(w + i / lines * step + i % lines * line, 0, 2);
}

/* winograd_few: a block transforms the taps of per_block panels of A, FL_WINO_CHANNELS channels at a time, and uses them at once:
 * to write and read them would take longer than to compute them. scratch: their transforms, FL_WINO_POINTS times them, and a line;
 * those of the rows, FL_WINO_POINTS times rows times pitch, and a line; with lanes along the rows of A these as well,
 * FL_WINO_POINTS times rows times tiles, and a line; sums over the rows' taps, 2 * FL_WINO_ROWS a panel, and their densities; then
 * what wino_taps_in needs, or wino_out. */
void FL_ENTRY(winograd_few)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_winograd_job *job = (const fl_winograd_job *)head;
    const fl_conv_taps *T = &job->taps;
    const fl_int parts = ceil_div(job->panels, job->per_block), from = block % parts * job->per_block, group = block / parts;
    const fl_int panels = fl_min(job->panels - from, job->per_block), mr = T->mr, pitch = job->pitch;
    const fl_int total = job->images * job->tiles.rows, tiles = total * job->tiles.cols, row = from * mr,
                 rows = fl_min(job->rows - row, panels * mr);
    const fl_int v_step = FL_WINO_CHANNELS * pitch + LINE, m_step = panels * mr * pitch + LINE,
                 u_step = FL_WINO_CHANNELS * mr + LINE;
    const real *v = (const real *)job->v + group * (ceil_div(job->channels, FL_WINO_CHANNELS)) * FL_WINO_POINTS * v_step;
    const real *w = (const real *)T->w + group * T->group_step + row * T->row_step;
    const fl_int transposed_step = job->along_rows ? panels * mr * tiles + LINE : 0;
    real *u = scratch, *m = u + panels * FL_WINO_POINTS * u_step, *transposed = m + FL_WINO_POINTS * m_step;
    real *sums = transposed + FL_WINO_POINTS * transposed_step, *density = sums + panels * 2 * FL_WINO_ROWS,
         *g = density + panels * mr;
    memset(sums, 0, (size_t)(panels * 2 * FL_WINO_ROWS) * sizeof *sums);

    for (fl_int c = 0; c < job->channels; c += FL_WINO_CHANNELS, v += FL_WINO_POINTS * v_step) {
        const fl_int channels = fl_min(job->channels - c, FL_WINO_CHANNELS);
        for (fl_int p = 0; p < panels; p++)
            wino_taps_in(u + p * FL_WINO_POINTS * u_step, u_step, T, w + p * mr * T->row_step + c * T->channel_step, channels,
                         fl_min(rows - p * mr, mr), sums + p * 2 * FL_WINO_ROWS, g);
        for (fl_int point = 0; point < FL_WINO_POINTS; point++)
            for (fl_int p = 0; p < panels; p++) {
                const fl_int next = c + channels, left = job->channels - next;
                wino_prefetch(T, w + p * mr * T->row_step + next * T->channel_step, fl_min(left, FL_WINO_CHANNELS),
                              fl_min(rows - p * mr, mr), point, FL_WINO_POINTS);
                const real *taps = u + (p * FL_WINO_POINTS + point) * u_step, *pixels = v + point * v_step;
                if (job->along_rows)
                    wino_transposed_products(transposed + point * transposed_step + p * mr * tiles, job, taps, pixels, channels,
                                             tiles, c > 0);
                else
                    wino_products(m + point * m_step + p * mr * pitch, pitch, taps, pixels, job->offset, channels, tiles, mr,
                                  c > 0);
            }
    }
    for (fl_int point = 0; job->along_rows && point < FL_WINO_POINTS; point++)
        for (fl_int p = 0; p < panels; p++)
            conv_pack_rows(m + point * m_step + p * mr * pitch, transposed + point * transposed_step + p * mr * tiles, mr, mr,
                           pitch, tiles);
    for (fl_int p = 0; p < panels; p++)
        wino_densities(density + p * mr, sums + p * 2 * FL_WINO_ROWS, job->channels, fl_min(rows - p * mr, mr));
    wino_out(job, m, m_step, group, row, rows, 0, total, density, g);
}
