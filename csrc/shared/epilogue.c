/* epilogue.c: what follows the sums of a matrix product or a convolution: bias, activation, residual, the derivative sigma' (which
 * follows from the output y = sigma(z), so z is not kept), the optimizer's step. */
#include "shared/activate.h"
#include "shared/blocks.h"
#include "shared/epilogue.h"
#include "shared/step.h"

/* A rectangle of C, `rows` x `cols` at (i, j), from the product z, which may be C itself. op and op2 are constants. */
FL_INLINE void finish_range(const fl_gemm_job *job, const real *z, fl_int ldz, fl_int i, fl_int rows, fl_int j, fl_int cols,
                            const int op, const int op2)
{
    const real *bias = job->bias ? (const real *)job->bias + j : NULL;
    for (fl_int q = 0; q < rows; q++) {
        real *c = (real *)job->c + (i + q) * job->ldc + j;
        const real *zq = z + q * ldz;
        const real *r = job->r ? (const real *)job->r + (i + q) * job->ldr + j : NULL;
        const real *y = op2 != FL_IDENTITY ? (const real *)job->y + (i + q) * job->ldy + j : NULL;
        for (fl_int v = 0; v < cols; v += VL) {
            const fl_int left = fl_min(cols - v, VL);
            vec x = vload_n(zq + v, left, 0);
            if (job->accumulate) x += vload_n(c + v, left, 0);
            if (bias) x += vload_n(bias + v, left, 0);
            x = activate(x, op);
            if (r) x += vload_n(r + v, left, 0);
            if (op2 != FL_IDENTITY) x *= slope_of(vload_n(y + v, left, 0), op2);
            vstore_n(c + v, x, left);
        }
    }
}

/* A rectangle of the parameters C, whose gradient is the product z. */
FL_INLINE void finish_update(const fl_gemm_job *job, const real *z, fl_int ldz, fl_int i, fl_int rows, fl_int j, fl_int cols)
{
    const stepper step = stepper_of(job->update);
    for (fl_int q = 0; q < rows; q++) update_row(&step, (real *)job->c + (i + q) * job->ldc + j, z + q * ldz, cols);
}

/* C, whose gradient is the product of a column (elements a_row apart) and a row: without a tile between. */
FL_INLINE void outer_update(const fl_gemm_job *job, fl_int i, fl_int rows, fl_int j, fl_int cols, const int rule)
{
    const stepper step = stepper_of(job->update);
    const real *a = (const real *)job->a + i * job->a_row, *b = (const real *)job->b + j;
    for (fl_int q = 0; q < rows; q++) {
        real *c = (real *)job->c + (i + q) * job->ldc + j;
        const vec aq = vset(a[q * job->a_row]);
        fl_int v = 0;
        for (; v + VL <= cols; v += VL) update_vector(&step, c + v, aq * vload(b + v), VL, rule, 0);
        if (v < cols) update_vector(&step, c + v, aq * vload_n(b + v, cols - v, 0), cols - v, rule, 1);
    }
}

void FL_ENTRY(gemm_outer_update)(const fl_gemm_job *job, fl_int i, fl_int rows, fl_int j, fl_int cols)
{
    if (job->update->rule == FL_ADAM) outer_update(job, i, rows, j, cols, FL_ADAM);
    else if (job->update->s) outer_update(job, i, rows, j, cols, FL_MOMENTUM);
    else outer_update(job, i, rows, j, cols, FL_SGD);
}

FL_INTERLEAVED void FL_ENTRY(gemm_finish)(const fl_gemm_job *job, const real *z, fl_int ldz, fl_int i, fl_int rows, fl_int j,
                                          fl_int cols)
{
    if (job->update) {
        finish_update(job, z, ldz, i, rows, j, cols);
        return;
    }
    if (job->y) { /* derivatives follow no activation */
        switch (job->op2) {
        case FL_TANH: finish_range(job, z, ldz, i, rows, j, cols, FL_IDENTITY, FL_TANH); return;
        case FL_SIGMOID: finish_range(job, z, ldz, i, rows, j, cols, FL_IDENTITY, FL_SIGMOID); return;
        case FL_RELU: finish_range(job, z, ldz, i, rows, j, cols, FL_IDENTITY, FL_RELU); return;
        default: break;
        }
    }
    switch (job->op) {
    case FL_TANH: finish_range(job, z, ldz, i, rows, j, cols, FL_TANH, FL_IDENTITY); break;
    case FL_SIGMOID: finish_range(job, z, ldz, i, rows, j, cols, FL_SIGMOID, FL_IDENTITY); break;
    case FL_RELU: finish_range(job, z, ldz, i, rows, j, cols, FL_RELU, FL_IDENTITY); break;
    default: finish_range(job, z, ldz, i, rows, j, cols, FL_IDENTITY, FL_IDENTITY); break;
    }
}
