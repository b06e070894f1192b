/* elementwise.c: elementwise functions and their derivatives. */
#include "kernels/elementwise.h"
#include "shared/activate.h"
#include "shared/blocks.h"

#define MAP_WIDE 4

/* op is a constant at every call below, so each loop holds one function. v: the value; d: the derivative. */
FL_INLINE void map_one(vec x, vec *v, vec *d, const int op)
{
    switch (op) {
    case FL_EXP: *v = *d = vexp(x); break;
    case FL_LOG: *v = vlog(x), *d = 1 / x; break;
    case FL_TANH: *v = vtanh(x, d); break;
    case FL_SIGMOID: *v = vsigmoid(x, d); break;
    default: *v = vmax(vset(0), x), *d = relu_derivative(x); break;
    }
}

FL_INLINE void map_range(const real *x, real *y, real *dy, fl_int n, const int op)
{
    fl_int i = 0;
    for (; i + MAP_WIDE * VL <= n; i += MAP_WIDE * VL) { /* independent vectors side by side keep the pipes full */
        vec v[MAP_WIDE], d[MAP_WIDE];
        for (int k = 0; k < MAP_WIDE; k++) map_one(vload(x + i + k * VL), v + k, d + k, op);
        for (int k = 0; k < MAP_WIDE; k++) {
            if (y) vstore(y + i + k * VL, v[k]);
            if (dy) vstore(dy + i + k * VL, d[k]);
        }
    }
    for (; i < n; i += VL) {
        fl_int left = fl_min(n - i, VL);
        vec v, d;
        map_one(vload_n(x + i, left, 0), &v, &d, op);
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
    (void)scratch;
#define FL_MAP_CASE(op)                             \
    case op:                                        \
        if (!dy) map_range(x, y, NULL, n, op);      \
        else if (!y) map_range(x, NULL, dy, n, op); \
        else map_range(x, y, dy, n, op);            \
        break;
    switch (job->op) {
        FL_MAP_CASE(FL_EXP)
        FL_MAP_CASE(FL_LOG)
        FL_MAP_CASE(FL_TANH)
        FL_MAP_CASE(FL_SIGMOID)
        FL_MAP_CASE(FL_RELU)
    }
#undef FL_MAP_CASE
}
