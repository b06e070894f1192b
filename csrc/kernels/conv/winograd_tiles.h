/* winograd_tiles.h: the pixels of Winograd's tiles, each at one place of all tiles: lanes lie along the tiles. */
#ifndef FL_WINOGRAD_TILES_H
#define FL_WINOGRAD_TILES_H

#include "kernels/conv/winograd.h"
#include "shared/blocks.h"
#include "shared/image_rows.h"

#define LINE (64 / (fl_int)sizeof(real)) /* apart from multiples of it, arrays fall into other sets of the caches */

/* One channel: images of h x w pixels `step` apart, whose tiles of 4 x 4 begin `top` rows and `left` columns before them. */
typedef struct {
    const real *x;
    fl_int step, h, w, top, left;
    const fl_wino_tiles *tiles;
} wino_source;

/* A row of tiles: the i-th of all images. */
typedef struct {
    fl_int image, phase, row;
} wino_place;

FL_INLINE wino_place wino_place_of(const fl_wino_tiles *T, fl_int i)
{
    return (wino_place){i / T->rows, i % T->rows / T->down, i % T->rows % T->down};
}

/* A row of w pixels, NULL: of zeros, to out[b * ld + q] = column 4 q + b - left, b < span, q < across, and to `also` unless that is
 * NULL. Up to a register more is written of each. */
FL_INLINE void wino_row(real *out, real *also, fl_int ld, fl_int across, const real *row, fl_int w, fl_int left, const int span)
{
#if FL_IS_F32
    if (VL == 16 && across <= VL / 4) { /* all columns lie in two registers */
        const fl_int at = -left;
        const vec lo = row ? load_in_row(row + at, at, w) : vset(0);
        const vec hi = row && span > 4 ? load_in_row(row + at + VL, at + VL, w) : vset(0);
        vspread4(out, ld, lo, hi, span);
        if (also) vspread4(also, ld, lo, hi, span);
        return;
    }
#endif
    vec here[4], next[4] = {vset(0), vset(0), vset(0), vset(0)};
    for (fl_int q = 0; q < across; q += VL) {
        const fl_int from = q == 0 || span == 4 ? 0 : 1, to = span > 4 && q + VL <= across ? 2 : 1;
        for (int f = 0; f < 4; f++) here[f] = next[f];
        for (fl_int g = from; row && g < to; g++) {
            vec v[4];
            for (int f = 0; f < 4; f++) {
                const fl_int at = 4 * (q + g * VL) + f * VL - left;
                v[f] = load_in_row(row + at, at, w);
            }
            vdeinterleave4(v);
            for (int f = 0; f < 4; f++) *(g == 0 ? here + f : next + f) = v[f];
        }
        for (int b = 0; b < span; b++) {
            const vec v = b < 4 ? here[b] : vnext(here[b - 4], next[b - 4]);
            vstore(out + b * ld + q, v);
            if (also) vstore(also + b * ld + q, v);
        }
    }
}

/* wino_row for each phase of the dilation. line: scratch for the pixels of a phase. */
FL_INLINE void wino_phases(real *out, real *also, fl_int ld, const wino_source *S, const real *row, const int span, real *line)
{
    const fl_wino_tiles *T = S->tiles;
    if (T->dw == 1) {
        wino_row(out, also, ld, T->across, row, S->w, S->left, span);
        return;
    }
    const fl_int width = 4 * T->across + span - 4;
    for (fl_int f = 0; f * T->across < T->cols; f++) {
        if (row) row_in_zeros(line, width, row, S->w, T->dw, f - S->left);
        wino_row(out + f * T->across, also ? also + f * T->across : NULL, ld, T->across, row ? line : NULL, width, 0, span);
    }
}

/* d[(a * span + b) * ld + tile]: pixel (a, b) of the tiles of rows [first, end) of all images. Two of the six
 * rows of a tile belong to the next tile, too. */
FL_INLINE void wino_tiles(real *d, fl_int ld, const wino_source *S, fl_int first, fl_int end, const int span)
{
    const fl_wino_tiles *T = S->tiles;
    for (fl_int i = first; i < end; i++) { /* in order: the tail of a row spills into the next, which is written later */
        const wino_place P = wino_place_of(T, i);
        const fl_int tile = (i - first) * T->cols;
        for (fl_int a = span > 4 && i > first && P.row > 0 ? 2 : 0; a < span; a++) {
            const fl_int at = (FL_WINO_TILE * P.row + a) * T->dh + P.phase - S->top;
            const int shared = a >= FL_WINO_TILE && i + 1 < end && P.row + 1 < T->down;
            wino_phases(d + a * span * ld + tile, shared ? d + (a - FL_WINO_TILE) * span * ld + tile + T->cols : NULL, ld, S,
                        at >= 0 && at < S->h ? S->x + P.image * S->step + at * S->w : NULL, span, d + FL_WINO_POINTS * ld);
        }
    }
}

/* The pitch of d. */
FL_INLINE fl_int wino_pitch(fl_int tiles) { return round_up(tiles, VL) + VL; }

/* Channel c of the images x, which have `channels` channels. */
FL_INLINE wino_source wino_image(const fl_wino_tiles *T, const void *x, fl_int c, fl_int channels)
{
    return (wino_source){(const real *)x + c * T->h * T->w, channels * T->h * T->w, T->h, T->w, T->top, T->left, T};
}

/* Channel c of a group of x. */
FL_INLINE wino_source wino_channel(const fl_winograd_job *job, fl_int group, fl_int c)
{
    return wino_image(&job->tiles, job->x, group * job->channels + c, job->groups * job->channels);
}

#endif
