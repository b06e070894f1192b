/* epilogue.c: what follows the sums of a matrix product or a convolution: fl_epilogue in epilogue.h says it. */
#include "shared/activate.h"
#include "shared/blocks.h"
#include "shared/finish.h"
#include "shared/step.h"

vec FL_ENTRY(activate_apart)(vec z, vec alpha, int number)
{
    vec slope, *d = &slope;
    (void)alpha;
    switch (number) {
        FL_EACH_ACTIVATION_APART(FL_VALUE_CASE)
    default: return z;
    }
}

vec FL_ENTRY(derivative_apart)(vec kept, vec alpha, int number)
{
    vec slope, *d = &slope;
    (void)alpha;
    switch (number) {
        FL_EACH_ACTIVATION_APART(FL_DERIVATIVE_CASE)
    default: return vset(1);
    }
}

/* Registers side by side: of activations two of 16 hide each other's waits, and spill little. */
#define FINISH_WIDE(activation) (REGISTERS > 16 || (activation) == FL_IDENTITY ? 1 : 2)

/* What follows the sums in a row of C, from its column j on; NULL: nothing of that kind. */
typedef struct {
    real *c;
    const real *sums, *bias, *residual, *of;
    vec row_bias;
    sigma s;
    int accumulate, by_row;
} finish_row;

/* A register of a row from column v on, or the first `left` of it, if that is not 0. */
FL_INLINE vec finish_vector(const finish_row *row, fl_int v, const fl_int left, const int activation, const int derivative,
                            const int adds)
{
#define LOAD(p) (left ? vload_n((p) + v, left, 0) : vload((p) + v))
    vec x = LOAD(row->sums);
    if (adds && row->accumulate) x += LOAD(row->c);
    if (adds && row->bias) x += LOAD(row->bias);
    if (adds && row->by_row) x += row->row_bias;
    x = activate(x, &row->s, activation);
    if (adds && row->residual) x += LOAD(row->residual);
    if (derivative != FL_IDENTITY) x *= activation_derivative(LOAD(row->of), &row->s, derivative);
    return x;
#undef LOAD
}

/* activation, derivative and adds, whether anything is added to the sums, are constants at every call. */
FL_INLINE void finish_range(const fl_epilogue *e, real *c, fl_int ldc, const real *sums, fl_int lds, fl_int i, fl_int rows,
                            fl_int j, fl_int cols, const int activation, const int derivative, const int adds)
{
    const real *bias = e->bias;
    finish_row row = {
        .s = sigma_of(e), .bias = bias && !e->by_row ? bias + j : NULL, .accumulate = e->accumulate, .by_row = bias && e->by_row};
    for (fl_int q = 0; q < rows; q++) {
        const fl_int at = (i + q) * ldc + j;
        fl_int v = 0;
        row.c = c + at;
        row.sums = sums + q * lds;
        row.residual = e->residual ? (const real *)e->residual + at : NULL;
        if (derivative != FL_IDENTITY) row.of = (const real *)e->of + of_row(e, i + q) * ldc + j;
        if (row.by_row) row.row_bias = vset(bias[i + q]);
        if (FINISH_WIDE(activation) == 1) {
            for (; v + VL <= cols; v += VL) vstore(row.c + v, finish_vector(&row, v, 0, activation, derivative, adds));
            if (v < cols) vstore_n(row.c + v, finish_vector(&row, v, cols - v, activation, derivative, adds), cols - v);
            continue;
        }
        for (; v + 2 * VL <= cols; v += 2 * VL) {
            const vec first = finish_vector(&row, v, 0, activation, derivative, adds);
            const vec second = finish_vector(&row, v + VL, 0, activation, derivative, adds);
            vstore(row.c + v, first);
            vstore(row.c + v + VL, second);
        }
        for (; v < cols; v += VL) {
            const fl_int left = fl_min(cols - v, VL);
            vstore_n(row.c + v, finish_vector(&row, v, left, activation, derivative, adds), left);
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
        const fl_epilogue rest = {.residual = e->residual, .activation = e->activation, .alpha = e->alpha};
        FL_ENTRY(finish)(&argument, c, ldc, sums, lds, i, rows, j, cols);
        for (fl_int at = i * ldc + j; at < (i + rows) * ldc; at += ldc)
            memcpy((real *)e->z + at, (const real *)c + at, (size_t)cols * sizeof(real));
        FL_ENTRY(finish)(&rest, c, ldc, (const real *)c + i * ldc + j, ldc, i, rows, j, cols);
    } else if (e->of && !e->accumulate && !e->bias && !e->residual)
        FL_WITH_ACTIVATION(e->derivative, finish_range(e, c, ldc, sums, lds, i, rows, j, cols, FL_IDENTITY, activation, 0))
    else if (e->of)
        FL_WITH_ACTIVATION(e->derivative, finish_range(e, c, ldc, sums, lds, i, rows, j, cols, FL_IDENTITY, activation, 1))
    else FL_WITH_ACTIVATION(e->activation, finish_range(e, c, ldc, sums, lds, i, rows, j, cols, activation, FL_IDENTITY, 1))
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
