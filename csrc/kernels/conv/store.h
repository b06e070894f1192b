/* store.h: pixels from scratch to their places in y. */
#ifndef FL_STORE_H
#define FL_STORE_H

#include "kernels/conv/conv.h"
#include "shared/blocks.h"
#include "simd/simd.h"

/* to = or += n pixels; up to a register more is read. */
FL_INLINE void conv_put(real *to, const real *from, fl_int n, int add)
{
    for (fl_int q = 0; q < n; q += VL) {
        const fl_int left = fl_min(n - q, VL);
        vec z = vload(from + q);
        if (add) z += vload_n(to + q, left, 0);
        vstore_n(to + q, z, left);
    }
}

/* Where in y the pixels of a tile belong: those of row p of the tile's planes, `pitch` in scratch, `cols` of them wanted, lie in y
 * from p * row_step on, col_step apart. */
typedef struct {
    real *y;
    fl_int plane; /* from one plane of y to the next */
    fl_int pitch, cols, row_step, col_step;
    int add; /* to what is there */
} conv_target;

/* The pixels t .. t + lanes of `rows` planes, from[plane * ld + pixel - t], to y. Up to a register more is read of each. */
FL_INLINE void conv_scatter(const conv_target *target, const real *from, fl_int ld, fl_int rows, fl_int t, fl_int lanes)
{
    const fl_int pitch = target->pitch, col_step = target->col_step;
    for (fl_int at = 0; at < lanes;) {
        const fl_int a = (t + at) / pitch, b = (t + at) % pitch, n = fl_min(pitch - b, lanes - at);
        const fl_int valid = fl_min(target->cols - b, n);
        real *to = target->y + a * target->row_step + b * col_step;
        for (fl_int i = 0; i < rows; i++, to += target->plane) {
            const real *pixels = from + i * ld + at;
            if (col_step != 1)
                for (fl_int q = 0; q < valid; q++) to[q * col_step] = target->add ? to[q * col_step] + pixels[q] : pixels[q];
            else conv_put(to, pixels, valid, target->add);
        }
        at += n;
    }
}

#endif
