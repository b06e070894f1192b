/* norm_channels.c: batch normalisation, what belongs to a channel: fl_batch_norm_channels_job in norm.h says what each kernel
 * gives. Pieces are added in double, in their order. */
#include "kernels/norm.h"
#include "shared/blocks.h"
#include "shared/step.h"

/* The pair of piece j of image i, and channel k. */
FL_INLINE const double *pair_of(const fl_batch_norm_channels_job *job, fl_int i, fl_int j, fl_int k)
{
    return job->partial + 2 * (i * job->c * job->pieces + k * job->channel_step + j * job->piece_step);
}

/* The blocks of channels: a few side by side, for each addition of a sum waits for the one before. */
void FL_ENTRY(batch_norm_forward)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_batch_norm_channels_job *job = (const fl_batch_norm_channels_job *)head;
    const fl_int k = block * FL_NORM_CHANNELS, here = fl_min(job->c - k, FL_NORM_CHANNELS);
    const fl_int last = job->pixels - (job->pieces - 1) * job->piece; /* pixels of a plane's last piece */
    const double count = (double)job->n * (double)job->pixels;
    double mean[FL_NORM_CHANNELS], var[FL_NORM_CHANNELS], rest[FL_NORM_CHANNELS] = {0}, squares[FL_NORM_CHANNELS] = {0};
    (void)scratch;
    for (fl_int q = 0; q < here; q++) {
        mean[q] = job->partial ? job->partial[2 * (k + q) * job->channel_step] : (double)((const real *)job->running_mean)[k + q];
        var[q] = job->partial ? 0 : (double)((const real *)job->running_var)[k + q];
    }
    if (job->partial) { /* the mean first, relative to that of the first piece; then what the pieces' means deviate from it */
        for (fl_int i = 0; i < job->n; i++)
            for (fl_int j = 0; j < job->pieces; j++) {
                const double *pair = pair_of(job, i, j, k), size = (double)(j + 1 < job->pieces ? job->piece : last);
                for (fl_int q = 0; q < here; q++, pair += 2 * job->channel_step) rest[q] += size * (pair[0] - mean[q]);
            }
        for (fl_int q = 0; q < here; q++) mean[q] += rest[q] / count;
        for (fl_int i = 0; i < job->n; i++)
            for (fl_int j = 0; j < job->pieces; j++) {
                const double *pair = pair_of(job, i, j, k), size = (double)(j + 1 < job->pieces ? job->piece : last);
                for (fl_int q = 0; q < here; q++, pair += 2 * job->channel_step) {
                    const double d = pair[0] - mean[q];
                    squares[q] += pair[1] + size * (d * d);
                }
            }
        for (fl_int q = 0; q < here; q++) var[q] = squares[q] / count;
    }
    for (fl_int q = 0; q < here; q++) {
        const double scale = (double)((const real *)job->gamma)[k + q] / sqrt(var[q] + job->eps);
        job->moments[k + q] = mean[q];
        job->moments[job->c + k + q] = var[q];
        job->factors[k + q] = 0;
        job->factors[job->c + k + q] = scale;
        job->factors[2 * job->c + k + q] = (double)((const real *)job->beta)[k + q] - scale * (mean[q] - (double)(real)mean[q]);
    }
}

/* With z = (x - mean) / sqrt(var + eps), s = gamma / sqrt(var + eps), and sums over a channel's `count` values:
 *   J' v by beta = sum v, by gamma = sum v z; by x = s v, and in batch form s (v - sum v / count - z sum v z / count);
 *   J v = what that is for v, the direction of x, + z dgamma + dbeta: by x the Jacobian of a channel is symmetric. */
void FL_ENTRY(batch_norm_derivative)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_batch_norm_channels_job *job = (const fl_batch_norm_channels_job *)head;
    const fl_int k = block * FL_NORM_CHANNELS, here = fl_min(job->c - k, FL_NORM_CHANNELS);
    const double count = (double)job->n * (double)job->pixels;
    double sum[FL_NORM_CHANNELS] = {0}, product[FL_NORM_CHANNELS] = {0};
    real by_gamma[FL_NORM_CHANNELS], by_beta[FL_NORM_CHANNELS];
    (void)scratch;
    for (fl_int i = 0; job->partial && i < job->n; i++)
        for (fl_int j = 0; j < job->pieces; j++) {
            const double *pair = pair_of(job, i, j, k);
            for (fl_int q = 0; q < here; q++, pair += 2 * job->channel_step) {
                sum[q] += pair[0];
                product[q] += pair[1];
            }
        }
    for (fl_int q = 0; q < here; q++) {
        const double inverse = 1 / sqrt(job->moments[job->c + k + q] + job->eps), mean = job->moments[k + q];
        const double beyond = mean - (double)(real)mean; /* of the mean, beyond the centre */
        const double scale = (double)((const real *)job->gamma)[k + q] * inverse;
        double of_x = job->dgamma ? inverse * (double)((const real *)job->dgamma)[k + q] : 0;
        double plus = job->dbeta ? (double)((const real *)job->dbeta)[k + q] : 0;
        product[q] = inverse * (product[q] - beyond * sum[q]);
        if (job->batch && job->partial) {
            of_x -= scale * inverse * product[q] / count;
            plus -= scale * sum[q] / count;
        }
        job->factors[k + q] = scale;
        job->factors[job->c + k + q] = of_x;
        job->factors[2 * job->c + k + q] = plus - of_x * beyond;
        by_gamma[q] = (real)product[q];
        by_beta[q] = (real)sum[q];
    }
    if (job->update) { /* all reads of gamma are done: it may be updated */
        const stepper step = stepper_of(job->update);
        if (job->total_gamma) update_row(&step, (real *)job->total_gamma + k, by_gamma, here);
        if (job->total_beta) update_row(&step, (real *)job->total_beta + k, by_beta, here);
    } else {
        if (job->total_gamma) memcpy((real *)job->total_gamma + k, by_gamma, (size_t)here * sizeof(real));
        if (job->total_beta) memcpy((real *)job->total_beta + k, by_beta, (size_t)here * sizeof(real));
    }
}

/* The variance of the population, not of the sample: times count / (count - 1), where there are two values or more. */
void FL_ENTRY(batch_norm_running)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_batch_norm_channels_job *job = (const fl_batch_norm_channels_job *)head;
    const fl_int k = block * FL_NORM_CHANNELS, to = fl_min(k + FL_NORM_CHANNELS, job->c);
    const double count = (double)job->n * (double)job->pixels, unbiased = count > 1 ? count / (count - 1) : 1;
    real *mean = job->running_mean, *var = job->running_var;
    (void)scratch;
    for (fl_int q = k; q < to; q++) {
        mean[q] = (real)((1 - job->momentum) * (double)mean[q] + job->momentum * job->moments[q]);
        var[q] = (real)((1 - job->momentum) * (double)var[q] + job->momentum * unbiased * job->moments[job->c + q]);
    }
}
