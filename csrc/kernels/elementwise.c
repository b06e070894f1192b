/* elementwise.c: elementwise functions and their derivatives. */
#include "kernels/elementwise.h"
#include "shared/activate.h"
#include "shared/blocks.h"

/* Registers side by side, which keep the pipes full: two are enough where one takes some fifty instructions. Found by timing on Zen
 * 4: of 16 registers, tanh spills some of 4. */
#define IS_LONG(function) ((function) == FL_GELU || (function) == FL_SOFTPLUS || (function) == FL_ERF)
#define MAP_WIDE(function) (IS_LONG(function) ? 2 : REGISTERS > 16 || (function) != FL_TANH ? 4 : FL_IS_F32 ? 3 : 2)

/* Whether the derivative without the value has a loop of its own: others are smaller. */
#define IS_ALONE(function) ((function) <= FL_RELU || (function) == FL_EXP || (function) == FL_LOG)

/* function is a constant at every call below, so each loop holds one function. */
FL_INLINE void map_range(const real *x, real *y, real *dy, fl_int n, vec alpha, const int function)
{
    const int wide = MAP_WIDE(function);
    fl_int i = 0;
    for (; i + wide * VL <= n; i += wide * VL) {
        vec v[4], d[4];
        for (int k = 0; k < wide; k++) v[k] = value_and_derivative(vload(x + i + k * VL), d + k, alpha, function);
        for (int k = 0; k < wide; k++) {
            if (y) vstore(y + i + k * VL, v[k]);
            if (dy) vstore(dy + i + k * VL, d[k]);
        }
    }
    for (; i < n; i += VL) {
        fl_int left = fl_min(n - i, VL);
        vec d, v = value_and_derivative(vload_n(x + i, left, 0), &d, alpha, function);
        if (y) vstore_n(y + i, v, left);
        if (dy) vstore_n(dy + i, d, left);
    }
}

FL_INTERLEAVED void FL_ENTRY(map)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_map_job *job = (const fl_map_job *)head;
    fl_int from = block * job->per_block, n = fl_min(job->n - from, job->per_block);
    const real *x = (const real *)job->x + from;
    real *y = job->y ? (real *)job->y + from : NULL, *dy = job->dy ? (real *)job->dy + from : NULL;
    const vec alpha = vset((real)job->alpha);
    (void)scratch;
#define FL_MAP_CASE(NAME, ...)                                                           \
    case FL_##NAME:                                                                      \
        if (!dy) map_range(x, y, NULL, n, alpha, FL_##NAME);                             \
        else if (!y && IS_ALONE(FL_##NAME)) map_range(x, NULL, dy, n, alpha, FL_##NAME); \
        else map_range(x, y, dy, n, alpha, FL_##NAME);                                   \
        break;
    switch (job->function) {
        FL_EACH_FUNCTION(FL_MAP_CASE)
    }
#undef FL_MAP_CASE
}
