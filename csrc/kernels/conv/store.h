/* store.h: pixels from scratch to their places in y, and what follows them. */
#ifndef FL_STORE_H
#define FL_STORE_H

#include "kernels/conv/conv.h"
#include "shared/epilogue.h"

/* to = or += n pixels; up to a register more is read. */
FL_INLINE void conv_put(real *to, const real *from, fl_int n, int add)
{
    for (fl_int q = 0; q < n; q += VL) {
        const fl_int left = n - q < VL ? n - q : VL;
        vec z = vload(from + q);
        if (add) z += vload_n(to + q, left, 0);
        vstore_n(to + q, z, left);
    }
}

/* The pixels t .. t + lanes of a tile from `buffer` to y; `cols` of each `pitch` are pixels. */
FL_INLINE void conv_scatter(const real *buffer, fl_int ldb, real *y, fl_int ldy, fl_int rows, fl_int t, fl_int lanes, fl_int pitch,
                                   fl_int cols, fl_int row_step, fl_int col_step, int add)
{
    for (fl_int at = 0; at < lanes;) {
        const fl_int a = (t + at) / pitch, b = (t + at) % pitch;
        fl_int n = pitch - b < lanes - at ? pitch - b : lanes - at;
        const fl_int valid = cols - b < n ? cols - b : n;
        real *to = y + a * row_step + b * col_step;
        for (fl_int i = 0; i < rows; i++, to += ldy) {
            const real *from = buffer + i * ldb + at;
            if (col_step != 1)
                for (fl_int q = 0; q < valid; q++) to[q * col_step] = add ? to[q * col_step] + from[q] : from[q];
            else conv_put(to, from, valid, add);
        }
        at += n;
    }
}

/* Whether anything but bias and [y], which the sums begin with or are added to, follows the sums; and what, for gemm_finish, where
 * C has a row of `size` pixels for each plane of y. */
FL_INLINE int conv_finishes(const fl_conv_finish *f) { return f->op != FL_IDENTITY || f->r || f->slope; }

FL_INLINE fl_gemm_job conv_last(const fl_conv_finish *f, void *y, fl_int size)
{
    return (fl_gemm_job){.c = y, .ldc = size, .op = f->op, .r = f->r, .ldr = size, .y = f->slope, .ldy = size, .op2 = f->op2};
}

#endif
