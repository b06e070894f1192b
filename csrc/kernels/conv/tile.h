/* tile.h: the tile of a convolution's product: tile.c and tile_placed.c. */
#ifndef FL_TILE_H
#define FL_TILE_H

#include "kernels/conv/conv.h"
#include "simd/simd.h"

#if REGISTERS == 32
#define CONV_FULL(mr) ((mr) == 1 || (mr) == 2 ? 8 : (mr) <= 4 ? 6 : (mr) <= 6 ? 4 : 3) /* registers of pixels: 24 sums or fewer */
#else
#define CONV_FULL(mr) ((mr) == 1 ? 6 : (mr) == 2 ? 4 : (mr) <= 4 ? 3 : 2) /* mr <= 6: 12 sums */
#endif

/* How many of the registers left the next tile takes. */
FL_INLINE fl_int conv_wide(fl_int mr, fl_int vectors)
{
    const fl_int full = CONV_FULL(mr);
    return vectors >= full ? full : vectors >= 4 ? 4 : vectors >= 2 ? 2 : 1;
}

/* out = or += start + A B for mr rows and nv registers of pixels; A's taps lie one after the other. */
void FL_ENTRY(conv_tile)(real *out, fl_int ldo, const real *a, const real *x, fl_int plane, fl_int channels, const fl_int *offset,
                         fl_int taps, const real *start, int add, fl_int mr, fl_int nv);

/* As conv_tile; tap q of a channel lies at place[q] in A, and channels lie `depth` apart. */
void FL_ENTRY(conv_tile_placed)(real *out, fl_int ldo, const real *a, const real *x, fl_int plane, fl_int channels,
                                const fl_int *offset, fl_int taps, const fl_int *place, fl_int depth, const real *start, int add,
                                fl_int mr, fl_int nv);

#endif
