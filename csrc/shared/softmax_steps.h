/* softmax_steps.h: the last step of softmax, which cross-entropy shares: what is stored for each mode. */
#ifndef FL_SOFTMAX_STEPS_H
#define FL_SOFTMAX_STEPS_H

#include "kernels/softmax.h"
#include "shared/blocks.h"
#include "shared/exp_sums.h"
#include "shared/transpose.h"

#define FL_GRADIENT_OF_LABEL -1 /* a mode of the last step that cross-entropy adds */

/* What the last step of each mode takes besides v, which earlier steps left: e = exp(x - top), or x itself. */
typedef struct {
    vec factor;       /* FL_SOFTMAX 1/sum; FL_GRADIENT_OF_LABEL scale/sum; FL_LOG_SOFTMAX the log-sum less the top */
    vec top;          /* FL_LOG_SOFTMAX */
    vec label, scale; /* FL_GRADIENT_OF_LABEL: the class as a real, and what its element loses */
} last_step;

FL_INLINE vec finish(vec v, const last_step *last, fl_int j, const int mode)
{
    if (mode == FL_SOFTMAX) return v * last->factor;
    if (mode == FL_GRADIENT_OF_LABEL) return v * last->factor - vselect(vequal(last->label, vset((real)j)), last->scale, vset(0));
    return (v - last->top) - last->factor;
}

/* y[r * ldy + j] = finish(t[j * ld + r]). */
FL_INLINE void store_transposed(real *y, fl_int ldy, const real *t, fl_int ld, fl_int n, fl_int rows, const last_step *with,
                                const int mode)
{
    const last_step last = *with; /* in registers: y might overlap it, as far as the compiler knows */
    if (rows < VL || n < QUAD) {
        for (fl_int j = 0; j < n; j++) {
            real lanes[VL];
            vstore(lanes, finish(vload(t + j * ld), &last, j, mode));
            for (fl_int r = 0; r < rows; r++) y[r * ldy + j] = lanes[r];
        }
        return;
    }
    for (fl_int j = 0; j < n; j += QUAD) {
        vec a[16 / sizeof(real)];
        fl_int c = j + QUAD <= n ? j : n - QUAD;
        for (fl_int r = 0; r < QUAD; r++) a[r] = finish(vload(t + (c + r) * ld), &last, c + r, mode);
        vtranspose128(a);
        for (fl_int r = 0; r < QUAD; r++) vscatter128(y + r * ldy + c, QUAD * ldy, a[r]);
    }
}

/* y = finish(x); with stream past the caches, once y is aligned. */
FL_INLINE void row_store(real *y, const real *x, fl_int n, real factor, real top, const int mode, int stream)
{
    const last_step last = {.factor = vset(factor), .top = vset(top)};
    fl_int j = 0;
    if (stream) {
        j = (fl_int)(-(uintptr_t)y % VECTOR_BYTES / sizeof(real));
        j = fl_min(j, n);
        vstore_n(y, finish(vload_n(x, j, 0), &last, 0, mode), j); /* fewer than VL */
        for (; j + VL <= n; j += VL) vstream(y + j, finish(vload(x + j), &last, j, mode));
    }
    for (; j + VL <= n; j += VL) vstore(y + j, finish(vload(x + j), &last, j, mode));
    if (j < n) vstore_n(y + j, finish(vload_n(x + j, n - j, 0), &last, j, mode), n - j);
}

#endif
