/* outer.c: the gradient of a matrix by each sample alone, and its norm. */
#include "kernels/outer.h"
#include "shared/blocks.h"
#include "simd/simd.h"

/* The sum of x_j^2 in double, as 16 sums: one alone would be a chain of n additions. */
static double squares(const real *x, fl_int n)
{
    double sums[16] = {0}, sum = 0;
    fl_int j = 0;
    for (; j + 16 <= n; j += 16)
        for (int q = 0; q < 16; q++) sums[q] += (double)x[j + q] * (double)x[j + q];
    for (; j < n; j++) sum += (double)x[j] * (double)x[j];
    for (int q = 0; q < 16; q++) sum += sums[q];
    return sum;
}

void FL_ENTRY(outer)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_outer_job *job = (const fl_outer_job *)head;
    const fl_int k = job->k, n = job->n, from = block * job->per_block, to = fl_min(from + job->per_block, job->m);
    (void)scratch;
    for (fl_int i = from; i < to; i++) {
        const real *g = (const real *)job->g + i * k, *x = job->x ? (const real *)job->x + i * n : NULL;
        if (job->norms) {
            job->norms[i] = (job->accumulate ? job->norms[i] : 0) + squares(g, k) * (x ? squares(x, n) : 1);
            continue;
        }
        real *out = (real *)job->out + i * job->ld;
        if (!x) memcpy(out, g, (size_t)k * sizeof(real));
        else
            for (fl_int p = 0; p < k; p++, out += n) {
                const real factor = g[p];
                for (fl_int j = 0; j < n; j++) out[j] = factor * x[j];
            }
    }
}
