/* transposed.h: pixels by channels, as kernels with lanes along the channels leave them, transposed to y. */
#ifndef FL_TRANSPOSED_H
#define FL_TRANSPOSED_H

#include "kernels/conv/store.h"
#include "shared/blocks.h"

/* `pixels` of `channels`, from[pixel * width + channel], to their planes in y. Up to a register more is read of each. */
FL_SHARED void conv_scatter_transposed(const conv_target *target, const real *from, fl_int width, fl_int channels, fl_int pixels)
{
    real planes[(VL + 1) * VL]; /* conv_scatter reads up to a register more */
    for (fl_int k = 0; k < channels; k += VL) {
        conv_target part = *target;
        part.y += k * part.plane;
        for (fl_int t = 0; t < pixels; t += VL) {
            vec v[VL];
            for (int i = 0; i < VL; i++) v[i] = vload(from + (t + i) * width + k);
            vtranspose(v);
            for (int i = 0; i < VL; i++) vstore(planes + i * VL, v[i]);
            conv_scatter(&part, planes, VL, fl_min(channels - k, VL), t, fl_min(pixels - t, VL));
        }
    }
}

#endif
