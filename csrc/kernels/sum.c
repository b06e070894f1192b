/* sum.c: sums of the parts that blocks have left, in order, and of two matrices. */
#include "kernels/sum.h"
#include "shared/blocks.h"
#include "simd/simd.h"

void FL_ENTRY(sum)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_sum_job *job = (const fl_sum_job *)head;
    const fl_int from = block * job->per_block, len = fl_min(job->len - from, job->per_block);
    const real *part = (const real *)job->part + from, *theta = (const real *)job->theta;
    real *out = (real *)job->out + from;
    double *sums = scratch;
    for (fl_int j = 0; j < len; j++) sums[j] = 0;
    for (fl_int p = 0; p < job->parts; p++)
        for (fl_int j = 0; j < len; j++) sums[j] += (double)part[p * job->stride + j];
    /* one product in each sum: of two, a loop's vector and scalar forms, which memory's overlap chooses from, might fuse either */
    const fl_int left = theta ? job->penalised - from : 0, penalised = fl_max(0, fl_min(left, len));
    for (fl_int j = 0; j < len; j++) sums[j] *= job->scale;
    for (fl_int j = 0; j < penalised; j++) out[j] = (real)(sums[j] + job->l2 * (double)theta[from + j]);
    for (fl_int j = penalised; j < len; j++) out[j] = (real)sums[j];
}

void FL_ENTRY(add)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_add_job *job = (const fl_add_job *)head;
    const fl_int across = ceil_div(job->n, job->cols), from = block % across * job->cols, end = fl_min(from + job->cols, job->n);
    const fl_int first = block / across * job->rows, to = fl_min(first + job->rows, job->m);
    (void)scratch;
    for (fl_int i = first; i < to; i++) {
        const real *a = (const real *)job->a + i * job->a_row, *b = job->b ? (const real *)job->b + i * job->n : NULL;
        real *out = (real *)job->out + i * job->out_row;
        for (fl_int j = from; j < end; j += VL) {
            const fl_int here = fl_min(end - j, VL);
            vec sum = here == VL ? (vec)vload(a + j) : vload_n(a + j, here, 0);
            if (b) sum += here == VL ? (vec)vload(b + j) : vload_n(b + j, here, 0);
            if (here == VL) vstore(out + j, sum);
            else vstore_n(out + j, sum, here);
        }
    }
}
