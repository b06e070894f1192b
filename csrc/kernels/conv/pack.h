/* pack.h: panels of A. */
#ifndef FL_PACK_H
#define FL_PACK_H

#include "kernels/conv/conv.h"
#include "shared/blocks.h"
#include "simd/simd.h"

/* out[q * mr + i] = w[i * step + q], zeros for i >= valid. */
FL_INLINE void conv_pack_rows(real *out, const real *w, fl_int step, fl_int n, fl_int mr, fl_int valid)
{
    if (step == 1 && n == 1) { /* as it is */
        for (fl_int g = 0; g < mr; g += VL)
            vstore_n(out + g, g < valid ? vload_n(w + g, fl_min(valid - g, VL), 0) : vset(0), fl_min(mr - g, VL));
        return;
    }
    for (fl_int g = 0; g < mr; g += VL) {
        for (fl_int q = 0; q < n; q += VL) {
            const fl_int left = fl_min(n - q, VL);
            vec t[VL];
            for (fl_int i = 0; i < VL; i++) t[i] = g + i < valid ? vload_n(w + (g + i) * step + q, left, 0) : vset(0);
            vtranspose(t);
            for (fl_int p = 0; p < left; p++) {
                const fl_int room = fl_min(mr - g, VL);
                vstore_n(out + (q + p) * mr + g, t[p], room);
            }
        }
    }
}

/* `taps` consecutive taps of `valid` rows of A and some channels, w on: out[(c * taps + q) * mr + i]. */
FL_SHARED void conv_pack_panel(real *out, const fl_conv_taps *T, const real *w, fl_int channels, fl_int taps, fl_int valid)
{
    if (T->order == FL_PACK_ROWS) conv_pack_rows(out, w, T->row_step, channels * taps, T->mr, valid);
    else
        for (fl_int c = 0; c < channels; c++)
            conv_pack_rows(out + c * taps * T->mr, w + c * T->channel_step, T->row_step, taps, T->mr, valid);
}

#endif
