/* epilogue.c: what follows the sums of a matrix product or a convolution: fl_epilogue in epilogue.h says it. */
#include "shared/activate.h"
#include "shared/blocks.h"
#include "shared/finish.h"
#include "shared/step.h"

/* activation and derivative are constants at every call. */
FL_INLINE void finish_range(const fl_epilogue *e, real *c0, fl_int ldc, const real *sums, fl_int lds, fl_int i, fl_int rows,
                            fl_int j, fl_int cols, const int activation, const int derivative)
{
    const real *bias = e->bias && !e->by_row ? (const real *)e->bias + j : NULL;
    const real *row_bias = e->bias && e->by_row ? (const real *)e->bias + i : NULL;
    const int accumulate = e->accumulate; /* what is stored might be it, as far as the compiler knows */
    for (fl_int q = 0; q < rows; q++) {
        const fl_int at = (i + q) * ldc + j;
        real *c = c0 + at;
        const real *s = sums + q * lds, *residual = e->residual ? (const real *)e->residual + at : NULL;
        const real *of = derivative != FL_IDENTITY ? (const real *)e->of + at : NULL;
        for (fl_int v = 0; v < cols; v += VL) {
            const fl_int left = fl_min(cols - v, VL);
            vec x = vload_n(s + v, left, 0);
            if (accumulate) x += vload_n(c + v, left, 0);
            if (bias) x += vload_n(bias + v, left, 0);
            if (row_bias) x += vset(row_bias[q]);
            x = activate(x, activation);
            if (residual) x += vload_n(residual + v, left, 0);
            if (derivative != FL_IDENTITY) x *= activation_derivative(vload_n(of + v, left, 0), derivative);
            vstore_n(c + v, x, left);
        }
    }
}

FL_INTERLEAVED void FL_ENTRY(finish)(const fl_epilogue *e, void *c, fl_int ldc, const real *sums, fl_int lds, fl_int i, fl_int rows,
                                     fl_int j, fl_int cols)
{
    if (e->update) {
        const stepper step = stepper_of(e->update);
        for (fl_int q = 0; q < rows; q++) update_row(&step, (real *)c + (i + q) * ldc + j, sums + q * lds, cols);
    } else if (e->z) { /* by way of C: a loop that might store z as well would be slower for all others */
        const fl_epilogue argument = {.bias = e->bias, .by_row = e->by_row, .accumulate = e->accumulate};
        const fl_epilogue rest = {.residual = e->residual, .activation = e->activation};
        FL_ENTRY(finish)(&argument, c, ldc, sums, lds, i, rows, j, cols);
        for (fl_int at = i * ldc + j; at < (i + rows) * ldc; at += ldc)
            memcpy((real *)e->z + at, (const real *)c + at, (size_t)cols * sizeof(real));
        FL_ENTRY(finish)(&rest, c, ldc, (const real *)c + i * ldc + j, ldc, i, rows, j, cols);
    } else if (e->of)
        FL_WITH_ACTIVATION(e->derivative, finish_range(e, c, ldc, sums, lds, i, rows, j, cols, FL_IDENTITY, activation))
    else FL_WITH_ACTIVATION(e->activation, finish_range(e, c, ldc, sums, lds, i, rows, j, cols, activation, FL_IDENTITY))
}

void FL_ENTRY(finish_planes)(const fl_epilogue *e, void *y, fl_int size, fl_int i, fl_int rows, fl_int j, fl_int cols)
{
    fl_epilogue rest = *e;
    rest.bias = NULL;
    rest.accumulate = 0;
    FL_ENTRY(finish)(&rest, y, size, (const real *)y + i * size + j, size, i, rows, j, cols);
}

FL_INLINE void outer_range(const stepper *step, real *c, fl_int ldc, const real *a, fl_int a_row, const real *b, fl_int rows,
                           fl_int cols, const int rule)
{
    for (fl_int q = 0; q < rows; q++, c += ldc) {
        const vec aq = vset(a[q * a_row]);
        fl_int v = 0;
        for (; v + VL <= cols; v += VL) update_vector(step, c + v, aq * vload(b + v), VL, rule, 0);
        if (v < cols) update_vector(step, c + v, aq * vload_n(b + v, cols - v, 0), cols - v, rule, 1);
    }
}

void FL_ENTRY(update_outer)(const fl_update *update, real *c, fl_int ldc, const real *a, fl_int a_row, const real *b, fl_int rows,
                            fl_int cols)
{
    const stepper step = stepper_of(update);
    FL_WITH_RULE(step.rule, outer_range(&step, c, ldc, a, a_row, b, rows, cols, rule))
}
