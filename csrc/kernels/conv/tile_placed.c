/* tile_placed.c: the tile of a convolution's product, its taps at any places in A. */
#include "kernels/conv/tile_loop.h"

void FL_ENTRY(conv_tile_placed)(real *out, fl_int ldo, const real *a, const real *x, fl_int plane, fl_int channels,
                                const fl_int *offset, fl_int taps, const fl_int *place, fl_int depth, const real *start, int add,
                                fl_int mr, fl_int nv)
{
#define CALL(mr, nv) conv_tile(out, ldo, a, x, plane, channels, offset, taps, place, depth, start, add, mr, nv)
    switch (mr) {
        CONV_CASES(CALL)
    }
}
