/* slope.c: the derivative of an activation and the sums of columns: the backward step of a dense layer besides its products. */
#include "kernels/slope.h"
#include "shared/activate.h"
#include "shared/blocks.h"
#include "shared/step.h"

#define SLOPE_WIDE 4

/* `wide` registers of columns of the rows from..to, the last one of `left` lanes. Sums of runs of 128 rows are added to the
 * total: long sums lose less so. */
FL_INLINE void slope_columns(const fl_slope_job *job, fl_int from, fl_int to, fl_int j, fl_int left, real *total,
                             const int activation, const int wide)
{
    const fl_int n = job->n;
    const real *v = (const real *)job->v + j, *of = activation == FL_IDENTITY ? NULL : (const real *)job->after.of + j;
    real *g = job->g ? (real *)job->g + j : NULL;
    const sigma s = sigma_of(&job->after);
    vec sum[SLOPE_WIDE];
    for (int w = 0; w < wide; w++) sum[w] = vset(0);
    for (fl_int i = from; i < to;) {
        vec run[SLOPE_WIDE];
        for (int w = 0; w < wide; w++) run[w] = vset(0);
        for (fl_int end = fl_min(i + 128, to); i < end; i++)
            for (int w = 0; w < wide; w++) {
                const fl_int at = i * n + w * VL;
                vec d = wide > 1 ? vload(v + at) : vload_n(v + at, left, 0);
                if (activation != FL_IDENTITY)
                    d *= activation_derivative(wide > 1 ? vload(of + at) : vload_n(of + at, left, 0), &s, activation);
                if (g && wide > 1) vstore(g + at, d);
                else if (g) vstore_n(g + at, d, left);
                run[w] += d;
            }
        for (int w = 0; w < wide; w++) sum[w] += run[w];
    }
    for (int w = 0; w < wide; w++) vstore(total + w * VL, sum[w]);
}

FL_INLINE void slope_range(const fl_slope_job *job, fl_int i, fl_int to, fl_int from, fl_int end, real *out, const int activation)
{
    stepper step;
    if (job->update) step = stepper_of(job->update);
    for (fl_int j = from, here; j < end; j += here) {
        real total[SLOPE_WIDE * VL];
        here = end - j >= SLOPE_WIDE * VL ? SLOPE_WIDE * VL : fl_min(end - j, VL);
        if (here > VL) slope_columns(job, i, to, j, VL, total, activation, SLOPE_WIDE);
        else slope_columns(job, i, to, j, here, total, activation, 1);
        if (out && job->update) update_row(&step, out + j, total, here);
        else if (out) memcpy(out + j, total, (size_t)here * sizeof(real));
    }
}

void FL_ENTRY(slope)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_slope_job *job = (const fl_slope_job *)head;
    const fl_int across = ceil_div(job->n, job->cols), part = block / across;
    const fl_int i = part * job->rows, to = fl_min(i + job->rows, job->m);
    const fl_int from = block % across * job->cols, end = fl_min(from + job->cols, job->n);
    real *out = job->total ? (real *)job->total + part * job->n : NULL;
    (void)scratch;
    FL_WITH_ACTIVATION(job->after.derivative, slope_range(job, i, to, from, end, out, activation))
}
