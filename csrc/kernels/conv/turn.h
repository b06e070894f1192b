/* turn.h: pixels by channels, transposed to y. */
#ifndef FL_TURN_H
#define FL_TURN_H

#include "kernels/conv/store.h"

/* `pixels` of `valid` channels from out[pixel * width + channel] to y, of each `pitch` the first `cols`, in rows that lie row_step apart.
 * Of out up to a register more is read. */
FL_SHARED void conv_turn(const real *out, fl_int width, real *y, fl_int size, fl_int valid, fl_int pixels, fl_int pitch, fl_int cols,
                             fl_int row_step, fl_int col_step, int add)
{
    real turned[(VL + 1) * VL]; /* conv_scatter reads up to a register more */
    for (fl_int k = 0; k < valid; k += VL)
        for (fl_int t = 0; t < pixels; t += VL) {
            vec v[VL];
            for (int i = 0; i < VL; i++) v[i] = vload(out + (t + i) * width + k);
            vtranspose(v);
            for (int i = 0; i < VL; i++) vstore(turned + i * VL, v[i]);
            conv_scatter(turned, VL, y + k * size, size, valid - k < VL ? valid - k : VL, t, pixels - t < VL ? pixels - t : VL,
                                pitch, cols, row_step, col_step, add);
        }
}

#endif
