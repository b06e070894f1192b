/* add_check.c: calls for test_add.py of what its rows have added to the lists of csrc: compiled with them for one ISA and dtype. */
#include "kernels/elementwise.h"
#include "kernels/gemm.h"
#include "kernels/residuals.h"
#include "kernels/slope.h"
#include "kernels/update.h"
#include "simd/simd.h"

typedef void block_fn(const fl_job *job, fl_int block, void *scratch);
block_fn FL_ENTRY(gemm), FL_ENTRY(slope), FL_ENTRY(map), FL_ENTRY(update), FL_ENTRY(residuals);

static _Alignas(64) real scratch[1 << 16];

/* y = swish(z), z = x w + bias, which is stored. */
void forward(fl_int m, fl_int n, fl_int k, const real *x, const real *w, const real *bias, real *z, real *y)
{
    const fl_gemm_job job = {
        .m = m,
        .n = n,
        .k = k,
        .a = x,
        .a_row = k,
        .a_step = 1,
        .b = w,
        .b_step = n,
        .b_col = 1,
        .c = y,
        .ldc = n,
        .after = {.bias = bias, .z = z, .activation = FL_SWISH},
        .rows = m,
        .cols = n + FL_TILE_BYTES,
        .depth = k,
        .strip = k,
    };
    FL_ENTRY(gemm)(&job.head, 0, scratch);
}

/* g = v * swish'(z), and its sums. */
void backward(fl_int m, fl_int n, const real *v, const real *z, real *g, real *total)
{
    const fl_slope_job job = {
        .m = m, .n = n, .v = v, .g = g, .after = {.of = z, .derivative = FL_SWISH}, .total = total, .rows = m, .cols = n};
    FL_ENTRY(slope)(&job.head, 0, scratch);
}

void map(fl_int n, const real *x, real *y, real *dy)
{
    const fl_map_job job = {.function = FL_SWISH, .x = x, .y = y, .dy = dy, .n = n, .per_block = n};
    FL_ENTRY(map)(&job.head, 0, scratch);
}

void step(fl_int n, real *w, const real *g, real *square, double rate, double beta, double eps)
{
    const fl_update update = {.rule = FL_SCALED, .c = {rate, 0, beta, 1 - beta, eps}, .state = {(char *)square - (char *)w}};
    const fl_update_job job = {.update = &update, .w = w, .g = g, .n = n, .per_block = n};
    FL_ENTRY(update)(&job.head, 0, scratch);
}

double loss(fl_int n, const real *x, const real *t, real *grad, double count)
{
    double sum;
    const fl_residuals_job job = {
        .loss = FL_LOG_COSH, .x = x, .t = t, .grad = grad, .scale = 1 / count, .sums = &sum, .n = n, .per_block = n};
    FL_ENTRY(residuals)(&job.head, 0, scratch);
    return sum / count;
}
