/* bands.h: bands of images as registers, one for each place in the image, a lane for each image. */
#ifndef FL_BANDS_H
#define FL_BANDS_H

#include "kernels/conv/conv.h"
#include "shared/blocks.h"
#include "simd/simd.h"

/* Rows of images `step` apart to registers of out, `width` for a row: zeros but for the `columns` from `before` on. Zeros for
 * images that are not there. */
FL_SHARED void images_in(real *out, fl_int width, fl_int before, const real *x, fl_int step, fl_int images, fl_int columns,
                         fl_int rows)
{
    const fl_int n = rows * columns;
    for (fl_int p = 0; p < rows; p++) {
        real *row = out + p * width * VL;
        for (fl_int q = 0; q < before; q++) vstore(row + q * VL, vset(0));
        for (fl_int q = before + columns; q < width; q++) vstore(row + q * VL, vset(0));
    }
    out += before * VL;
    for (fl_int t = 0, column = 0; t < n; t += VL) {
        const fl_int left = fl_min(n - t, VL);
        vec v[VL];
        for (fl_int i = 0; i < VL; i++) {
            const real *at = x + i * step + t;
            v[i] = i >= images ? vset(0) : left == VL ? vload(at) : vload_n(at, left, 0);
        }
        vtranspose(v);
        for (fl_int p = 0; p < left; p++) {
            vstore(out, v[p]);
            out += VL;
            if (++column == columns) {
                column = 0;
                out += (width - columns) * VL;
            }
        }
    }
}

/* The band of rows [a0, a0 + high) of y and the rows of x from `low` on that they read. */
typedef struct {
    fl_int first, images, a0, high, low, plane_rows;
} images_band;

FL_INLINE images_band images_band_of(const fl_conv_bands *G, fl_int unit)
{
    const fl_int bands = ceil_div(G->oh, G->tile_rows), first = unit / bands * VL, a0 = unit % bands * G->tile_rows;
    const fl_int high = fl_min(G->oh - a0, G->tile_rows);
    const fl_int above = fl_max(a0 - G->top, 0), low = fl_min(above, G->h);
    const fl_int below = a0 + high + G->ext_rows - G->top, end = fl_min(below, G->h);
    return (images_band){first, fl_min(G->images - first, VL), a0, high, low, fl_max(end - low, 0)};
}

/* The planes of some channels for a band. x: the first of them in the first of all images, `step` from one to the next. */
FL_SHARED void images_planes(real *planes, const fl_conv_bands *G, const images_band *B, const real *x, fl_int step,
                             fl_int channels)
{
    for (fl_int c = 0; c < channels; c++)
        images_in(planes + c * G->plane_rows * G->width * VL, G->width, G->before, x + B->first * step + (c * G->h + B->low) * G->w,
                  step, B->images, G->w, B->plane_rows);
}

#endif
