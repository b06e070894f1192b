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

/* Adds a row as it counts to the sums of the columns; |x|^2. */
FL_INLINE double add_row(double *sums, const real *x, const fl_samples *samples, const int shifted)
{
    const real *shift = samples->shift;
    const double scale = samples->scale;
    double square = 0;
#pragma omp simd reduction(+ : square)
    for (fl_int j = 0; j < samples->n; j++) {
        const double d = (double)x[j] * scale - (shifted ? (double)shift[j] : 0);
        sums[j] += d;
        square += d * d;
    }
    return square;
}

void FL_ENTRY(kmeans_moments)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_moments_job *job = (const fl_moments_job *)head;
    const fl_samples *samples = &job->samples;
    const fl_int from = block * job->per_block, to = fl_min(from + job->per_block, samples->m), n = samples->n;
    double *sums = job->sums + block * (n + 2), total = 0;
    vec top = vset(0);
    (void)scratch;
    for (fl_int j = 0; j < n; j++) sums[j] = 0;
    for (fl_int i = from; i < to; i++) {
        const real *x = (const real *)samples->x + i * samples->ldx;
        const double square = samples->shift ? add_row(sums, x, samples, 1) : add_row(sums, x, samples, 0);
        fl_int j = 0;
        for (; j + VL <= n; j += VL) top = vmax(top, vabs(vload(x + j)));
        if (j < n) top = vmax(top, vabs(vload_n(x + j, n - j, 0)));
        ((real *)job->squares)[i] = (real)square;
        total += square;
    }
    sums[n] = total;
    sums[n + 1] = (double)vtop(top) * samples->scale;
}
