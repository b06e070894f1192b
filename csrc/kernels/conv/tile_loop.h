/* tile_loop.h: what tile.c and tile_placed.c share: a loop for each number of rows and of registers. */
#ifndef FL_TILE_LOOP_H
#define FL_TILE_LOOP_H

#include "kernels/conv/tile.h"

/* FL_ENTRY(conv_tile) or, unless place is NULL, FL_ENTRY(conv_tile_placed) for constants mr and nv. */
FL_INLINE void conv_tile(real *out, fl_int ldo, const real *a, const real *x, fl_int plane, fl_int channels, const fl_int *offset,
                         fl_int taps, const fl_int *place, fl_int depth, const real *start, int add, const int mr, const int nv)
{
    vec s[FL_CONV_ROWS][8];
#pragma GCC unroll 8
    for (int i = 0; i < mr; i++)
#pragma GCC unroll 8
        for (int j = 0; j < nv; j++) s[i][j] = vset(start[i]);
    for (fl_int c = 0; c < channels; c++, x += plane, a += place ? depth : taps * mr)
        for (fl_int q = 0; q < taps; q++) {
            const real *at = x + offset[q], *w = a + (place ? place[q] : q * mr);
            vec b[8];
#pragma GCC unroll 8
            for (int j = 0; j < nv; j++) b[j] = vload(at + j * VL);
#pragma GCC unroll 8
            for (int i = 0; i < mr; i++) {
                vec ai = vset(w[i]);
#pragma GCC unroll 8
                for (int j = 0; j < nv; j++) s[i][j] += ai * b[j];
            }
        }
#pragma GCC unroll 8
    for (int i = 0; i < mr; i++) {
        real *to = out + i * ldo;
#pragma GCC unroll 8
        for (int j = 0; j < nv; j++) {
            if (add) s[i][j] += vload(to + j * VL);
            vstore(to + j * VL, s[i][j]);
        }
    }
}

/* CALL(mr, nv) for the constants that mr and nv are. */
#define CONV_CASE(mr, CALL)                                 \
    case mr:                                                \
        if (nv == CONV_FULL(mr)) CALL(mr, CONV_FULL(mr));   \
        else if (CONV_FULL(mr) > 4 && nv == 4) CALL(mr, 4); \
        else if (CONV_FULL(mr) > 2 && nv == 2) CALL(mr, 2); \
        else CALL(mr, 1);                                   \
        break;
#if CONV_ROWS == 8
#define CONV_CASES_7_8(CALL) CONV_CASE(7, CALL) CONV_CASE(8, CALL)
#else
#define CONV_CASES_7_8(CALL)
#endif
#define CONV_CASES(CALL) \
    CONV_CASE(1, CALL)   \
    CONV_CASE(2, CALL)   \
    CONV_CASE(3, CALL)   \
    CONV_CASE(4, CALL)   \
    CONV_CASE(5, CALL)   \
    CONV_CASE(6, CALL)   \
    CONV_CASES_7_8(CALL)

#endif
