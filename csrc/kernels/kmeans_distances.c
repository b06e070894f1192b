/* kmeans_distances.c: squared distances from differences, and moments, in double. */
#include "shared/blocks.h"
#include "shared/samples.h"

/* |x - c|^2 of a row as it counts, minus a center. */
static double difference(const real *x, const real *c, const fl_samples *samples)
{
    const fl_int n = samples->n;
    const real *shift = samples->shift;
    const double scale = samples->scale;
    double total = 0;
    if (shift) {
#pragma omp simd reduction(+ : total)
        for (fl_int j = 0; j < n; j++) {
            const double d = (double)x[j] * scale - (double)shift[j] - (double)c[j];
            total += d * d;
        }
    } else {
#pragma omp simd reduction(+ : total)
        for (fl_int j = 0; j < n; j++) {
            const double d = (double)x[j] - (double)c[j];
            total += d * d;
        }
    }
    return total;
}

void FL_ENTRY(kmeans_distances)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_distances_job *job = (const fl_distances_job *)head;
    const fl_samples *samples = &job->samples;
    const fl_int from = block * job->per_block, to = fl_min(from + job->per_block, samples->m), n = samples->n;
    double total = 0;
    (void)scratch;
    for (fl_int i = from; i < to; i++) {
        const real *x = (const real *)samples->x + i * samples->ldx;
        const double d = difference(x, (const real *)job->centers + job->labels[i] * n, samples);
        if (job->distance) job->distance[i] = d;
        total += (samples->weight ? samples->weight[i] : 1) * d;
    }
    job->totals[block] = total;
}

void FL_ENTRY(kmeans_moments)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_moments_job *job = (const fl_moments_job *)head;
    const fl_samples *samples = &job->samples;
    const fl_int from = block * job->per_block, to = fl_min(from + job->per_block, samples->m), n = samples->n;
    const real *shift = samples->shift;
    const double scale = samples->scale;
    double *sums = job->sums + block * (n + 2), total = 0;
    real *out = job->squares, top = 0;
    (void)scratch;
    for (fl_int j = 0; j < n; j++) sums[j] = 0;
    for (fl_int i = from; i < to; i++) {
        const real *x = (const real *)samples->x + i * samples->ldx;
        double squares = 0;
#pragma omp simd reduction(+ : squares)
        for (fl_int j = 0; j < n; j++) {
            const double d = (double)x[j] * scale - (shift ? (double)shift[j] : 0);
            sums[j] += d;
            squares += d * d;
        }
#pragma omp simd reduction(max : top)
        for (fl_int j = 0; j < n; j++) {
            const real size = FL_IS_F32 ? (real)__builtin_fabsf((float)x[j]) : (real)__builtin_fabs((double)x[j]);
            top = size > top ? size : top;
        }
        out[i] = (real)squares;
        total += squares;
    }
    sums[n] = total;
    sums[n + 1] = (double)top * scale;
}
