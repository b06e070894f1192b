/* layer_norm.c: layer normalisation (Ba, Kiros and Hinton 2016) and its derivative; fl_layer_norm_job in layer_norm.h says what
 * each kernel gives. Rows are gone over several at a time, each by itself: a row's numbers do not depend on the others. */
#include "kernels/layer_norm.h"
#include "shared/blocks.h"
#include "shared/finish.h"

#include <math.h>

#define NORM_ROWS 2   /* of a row group of the forward map: vsum4 adds two sums of each */
#define NORM_NEAR 4   /* registers of a row whose mean deviations are taken from */
#define NORM_FAR 0.75 /* share of the squares that may cancel: two bits */
#define NORM_AHEAD \
    8192 /* bytes: of x, v and y as much is in use and as much prefetched; 16384 slowed 128x784 in float64 by a fifth */
#define NORM_BACK_ROWS (REGISTERS > 16 ? 4 : 2) /* of the way back: for each row two sums and three constants */
#define NORM_PIECE 2048                         /* columns that are summed in registers, at most; pieces are added in double */
#define NORM_SMALL ((double)REAL_MIN * 1e16)    /* squares below this have lost digits, or are lost */

/* How far from a row group's rows those of the next lie, which are prefetched where the cache has room for them beside it; or 0. */
FL_INLINE fl_int rows_ahead(fl_int n, fl_int rows) { return rows * n * (fl_int)sizeof(real) <= NORM_AHEAD ? rows * n : 0; }

/* A row as z sees it: z = (x - centre) times inverse + shift, where shift holds what the mean has beyond the dtype's digits. */
typedef struct {
    vec centre, inverse, shift;
} norm_row;

FL_INLINE norm_row norm_row_of(const double *moments)
{
    const real centre = (real)moments[0];
    return (norm_row){vset(centre), vset((real)moments[1]), vset((real)(((double)centre - moments[0]) * moments[1]))};
}

FL_INLINE vec normalised(const norm_row *row, vec x) { return (x - row->centre) * row->inverse + row->shift; }

/* VL elements, or (part) the first `left` of them and zeros. */
FL_INLINE vec norm_load(const real *p, fl_int left, const int part) { return part ? vload_n(p, left, 0) : vload(p); }

FL_INLINE void norm_store(real *p, vec v, fl_int left, const int part)
{
    if (part) vstore_n(p, v, left);
    else vstore(p, v);
}

/* Mean and inverse of a row whose squares leave the dtype's range, or are so small that eps does not hide what they lose: in
 * double, relative to a power of two near the largest element. NaN where an element is not finite. */
FL_APART void far_moments(const real *x, fl_int n, double eps, double *moments)
{
    double top = 0, sum = 0, squares = 0;
    int exponent;
    for (fl_int i = 0; i < n; i++) {
        sum += (double)x[i] * 0; /* NaN where x is not finite */
        top = fmax(top, fabs((double)x[i]));
    }
    (void)frexp(sum == 0 ? top : 1, &exponent);
    for (fl_int i = 0; i < n; i++) sum += ldexp((double)x[i], -exponent);
    const double mean = sum / (double)n;
    for (fl_int i = 0; i < n; i++) {
        const double d = ldexp((double)x[i], -exponent) - mean;
        squares += d * d;
    }
    const double relative_eps = ldexp(eps, -2 * exponent);
    moments[0] = ldexp(mean, exponent);
    moments[1] = isinf(relative_eps) ? 1 / sqrt(eps) : ldexp(1 / sqrt(squares / (double)n + relative_eps), -exponent);
}

/* A number near the mean of a row: the mean of up to NORM_NEAR registers, which lie evenly spread. */
FL_INLINE real norm_near(const real *x, fl_int n)
{
    vec sum = vset(0);
    if (n < NORM_NEAR * VL) {
        for (fl_int i = 0; i < n; i += VL) sum += vload_n(x + i, fl_min(n - i, VL), 0);
        return vsum(sum) / (real)n;
    }
    for (fl_int k = 0; k < NORM_NEAR; k++) sum += vload(x + k * (n - VL) / (NORM_NEAR - 1));
    return vsum(sum) / (real)(NORM_NEAR * VL);
}

/* off[q], squares[q]: the sums of what NORM_ROWS rows deviate from near[q], and of its squares. */
FL_INLINE void norm_deviations(const real *const *x, fl_int n, const real *near, double *off, double *squares)
{
    for (int q = 0; q < NORM_ROWS; q++) off[q] = squares[q] = 0;
    for (fl_int from = 0; from < n; from += NORM_PIECE) {
        const fl_int to = fl_min(n, from + NORM_PIECE);
        vec sum[NORM_ROWS], square[NORM_ROWS];
        real total[4];
        fl_int i = from;
        for (int q = 0; q < NORM_ROWS; q++) sum[q] = square[q] = vset(0);
        for (; i + VL <= to; i += VL)
            for (int q = 0; q < NORM_ROWS; q++) {
                const vec d = vload(x[q] + i) - near[q];
                sum[q] += d;
                square[q] += d * d;
            }
        for (int q = 0; i < to && q < NORM_ROWS; q++) {
            const vec d = vload_n(x[q] + i, to - i, near[q]) - near[q];
            sum[q] += d;
            square[q] += d * d;
        }
        vsum4(total, sum[0], square[0], sum[1], square[1]);
        for (int q = 0; q < NORM_ROWS; q++) {
            off[q] += (double)total[2 * q];
            squares[q] += (double)total[2 * q + 1];
        }
    }
}

/* moments of NORM_ROWS rows, by the corrected formula (Chan, Golub and LeVeque 1983) relative to a number near the mean; where that
 * was too far off, so that the difference of squares lost digits, once more relative to the mean it gave. */
FL_INLINE void norm_moments(const real *const *x, fl_int n, double eps, double (*moments)[2])
{
    double off[NORM_ROWS], squares[NORM_ROWS];
    real near[NORM_ROWS];
    for (int q = 0; q < NORM_ROWS; q++) near[q] = norm_near(x[q], n);
    for (int again = 1; again >= 0; again--) {
        int far = 0;
        norm_deviations(x, n, near, off, squares);
        for (int q = 0; again && q < NORM_ROWS; q++) {
            const double rest = off[q] / (double)n;
            if (rest * rest <= squares[q] / (double)n * NORM_FAR) continue;
            near[q] = (real)((double)near[q] + rest);
            far = 1;
        }
        if (!far) break;
    }
    for (int q = 0; q < NORM_ROWS; q++) {
        const double rest = off[q] / (double)n, var = squares[q] / (double)n - rest * rest;
        if (!isfinite(var) || (var < NORM_SMALL && eps < NORM_SMALL)) far_moments(x[q], n, eps, moments[q]);
        else {
            moments[q][0] = (double)near[q] + rest;
            moments[q][1] = 1 / sqrt((var < 0 ? 0 : var) + eps);
        }
    }
}

/* The last group of a block repeats its last row, whose numbers are the same each time. */
void FL_ENTRY(layer_norm)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_layer_norm_job *job = (const fl_layer_norm_job *)head;
    const fl_int n = job->n, last = fl_min((block + 1) * job->per_block, job->m) - 1;
    const fl_int ahead = rows_ahead(n, NORM_ROWS);
    const real *gamma = job->gamma, *beta = job->beta;
    (void)scratch;
    for (fl_int i = block * job->per_block; i <= last; i += NORM_ROWS) {
        const real *x[NORM_ROWS];
        real *y[NORM_ROWS];
        norm_row row[NORM_ROWS];
        double moments[NORM_ROWS][2];
        for (int q = 0; q < NORM_ROWS; q++) {
            const fl_int at = fl_min(i + q, last) * n;
            x[q] = (const real *)job->x + at;
            y[q] = (real *)job->out + at;
        }
        norm_moments(x, n, job->eps, moments);
        for (int q = 0; q < NORM_ROWS; q++) {
            memcpy(job->moments + 2 * fl_min(i + q, last), moments[q], sizeof moments[q]);
            row[q] = norm_row_of(moments[q]);
        }
        fl_int j = 0;
        for (; j + VL <= n; j += VL) {
            const vec g = vload(gamma + j), b = vload(beta + j);
            for (int q = 0; q < NORM_ROWS; q++) {
                if (ahead) __builtin_prefetch(x[q] + ahead + j, 0, 3);
                if (ahead) __builtin_prefetch(y[q] + ahead + j, 1, 3);
                vstore(y[q] + j, normalised(row + q, vload(x[q] + j)) * g + b);
            }
        }
        if (j < n) {
            const vec g = vload_n(gamma + j, n - j, 0), b = vload_n(beta + j, n - j, 0);
            for (int q = 0; q < NORM_ROWS; q++) vstore_n(y[q] + j, normalised(row + q, vload_n(x[q] + j, n - j, 0)) * g + b, n - j);
        }
    }
}

/* means[2 q] and means[2 q + 1]: the means of w and of w z over row q, w = v gamma, or v itself where gamma is NULL. With totals,
 * v z and v are added to total_gamma and total_beta. rows and totals are constants at every call. */
FL_INLINE void norm_means(const fl_layer_norm_job *job, fl_int i, const norm_row *row, const real *gamma, real *total_gamma,
                          real *total_beta, double *means, const int rows, const int totals)
{
    const fl_int n = job->n;
    const real *x = (const real *)job->x + i * n, *v = (const real *)job->v + i * n;
    for (int k = 0; k < 2 * rows; k++) means[k] = 0;
    for (fl_int from = 0; from < n; from += NORM_PIECE) {
        const fl_int to = fl_min(n, from + NORM_PIECE);
        vec sum[2 * NORM_BACK_ROWS];
        fl_int j = from;
        for (int k = 0; k < 2 * rows; k++) sum[k] = vset(0);
#define FL_NORM_MEANS(part)                                                          \
    do {                                                                             \
        const fl_int left = to - j;                                                  \
        const vec g = gamma ? norm_load(gamma + j, left, part) : vset(1);            \
        vec by_gamma, by_beta;                                                       \
        if (totals) by_gamma = norm_load(total_gamma + j, left, part);               \
        if (totals) by_beta = norm_load(total_beta + j, left, part);                 \
        for (int q = 0; q < rows; q++) {                                             \
            const vec z = normalised(row + q, norm_load(x + q * n + j, left, part)); \
            const vec d = norm_load(v + q * n + j, left, part), w = d * g;           \
            sum[2 * q] += w;                                                         \
            sum[2 * q + 1] += w * z;                                                 \
            if (totals) by_gamma += d * z;                                           \
            if (totals) by_beta += d;                                                \
        }                                                                            \
        if (totals) norm_store(total_gamma + j, by_gamma, left, part);               \
        if (totals) norm_store(total_beta + j, by_beta, left, part);                 \
    } while (0)
        for (; j + VL <= to; j += VL) FL_NORM_MEANS(0);
        if (j < to) FL_NORM_MEANS(1);
#undef FL_NORM_MEANS
        for (int q = 0; q < rows; q += 2) { /* two rows at a time, or one twice */
            const int next = q + 1 < rows ? q + 1 : q;
            real total[4];
            vsum4(total, sum[2 * q], sum[2 * q + 1], sum[2 * next], sum[2 * next + 1]);
            for (int k = 0; k < 4 && k < 2 * (rows - q); k++) means[2 * q + k] += (double)total[k];
        }
    }
    const double share = 1 / (double)n;
    for (int k = 0; k < 2 * rows; k++) means[k] *= share;
}

/* By x the Jacobian of z is symmetric: 1 / sqrt(var + eps) (w - mean(w) - z mean(w z)). */
FL_INLINE void norm_back_rows(const fl_layer_norm_job *job, fl_int i, real *total_gamma, real *total_beta, const int rows,
                              const int totals)
{
    const fl_int n = job->n, ahead = rows_ahead(n, rows);
    const real *gamma = job->gamma;
    norm_row row[NORM_BACK_ROWS];
    double means[2 * NORM_BACK_ROWS];
    for (int q = 0; q < rows; q++) row[q] = norm_row_of(job->moments + 2 * (i + q));
    norm_means(job, i, row, gamma, total_gamma, total_beta, means, rows, totals);
    if (!job->out) return;
    const real *x = (const real *)job->x + i * n, *v = (const real *)job->v + i * n;
    real *out = (real *)job->out + i * n;
    vec mean[NORM_BACK_ROWS], product[NORM_BACK_ROWS];
    for (int q = 0; q < rows; q++) {
        mean[q] = row[q].inverse * (real)means[2 * q];
        product[q] = row[q].inverse * (real)means[2 * q + 1];
    }
#define FL_NORM_BACK(part)                                                                          \
    do {                                                                                            \
        const fl_int left = n - j;                                                                  \
        const vec g = norm_load(gamma + j, left, part);                                             \
        for (int q = 0; q < rows; q++) {                                                            \
            if (ahead && !part) {                                                                   \
                __builtin_prefetch(x + q * n + ahead + j, 0, 3);                                    \
                __builtin_prefetch(v + q * n + ahead + j, 0, 3);                                    \
                __builtin_prefetch(out + q * n + ahead + j, 1, 3);                                  \
            }                                                                                       \
            const vec z = normalised(row + q, norm_load(x + q * n + j, left, part));                \
            const vec w = norm_load(v + q * n + j, left, part) * g;                                 \
            norm_store(out + q * n + j, w * row[q].inverse - mean[q] - z * product[q], left, part); \
        }                                                                                           \
    } while (0)
    fl_int j = 0;
    for (; j + VL <= n; j += VL) FL_NORM_BACK(0);
    if (j < n) FL_NORM_BACK(1);
#undef FL_NORM_BACK
    if (job->after.of) FL_ENTRY(finish)(&job->after, job->out, n, out, n, i, rows, 0, n);
}

FL_INLINE void norm_back(const fl_layer_norm_job *job, fl_int i, fl_int to, real *total_gamma, real *total_beta, const int totals)
{
    for (; i + NORM_BACK_ROWS <= to; i += NORM_BACK_ROWS) norm_back_rows(job, i, total_gamma, total_beta, NORM_BACK_ROWS, totals);
    for (; i < to; i++) norm_back_rows(job, i, total_gamma, total_beta, 1, totals);
}

void FL_ENTRY(layer_norm_tmv)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_layer_norm_job *job = (const fl_layer_norm_job *)head;
    const fl_int i = block * job->per_block, to = fl_min(i + job->per_block, job->m), n = job->n;
    (void)scratch;
    if (job->total_gamma) {
        real *total_gamma = (real *)job->total_gamma + block * n, *total_beta = (real *)job->total_beta + block * n;
        for (fl_int j = 0; j < n; j++) total_gamma[j] = total_beta[j] = 0;
        norm_back(job, i, to, total_gamma, total_beta, 1);
    } else norm_back(job, i, to, NULL, NULL, 0);
}

/* gamma dz + z dgamma + dbeta, where dz is what tmv has of w = v. */
void FL_ENTRY(layer_norm_mv)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_layer_norm_job *job = (const fl_layer_norm_job *)head;
    const fl_int from = block * job->per_block, to = fl_min(from + job->per_block, job->m), n = job->n;
    const real *gamma = job->gamma, *dgamma = job->dgamma, *dbeta = job->dbeta;
    (void)scratch;
    for (fl_int i = from; i < to; i++) {
        const norm_row row = norm_row_of(job->moments + 2 * i);
        const real *x = (const real *)job->x + i * n, *v = job->v ? (const real *)job->v + i * n : NULL;
        real *out = (real *)job->out + i * n;
        double means[2] = {0};
        if (v) norm_means(job, i, &row, NULL, NULL, NULL, means, 1, 0);
        for (fl_int j = 0; j < n; j += VL) {
            const fl_int left = fl_min(n - j, VL);
            const vec z = normalised(&row, vload_n(x + j, left, 0));
            vec dy = z * vload_n(dgamma + j, left, 0) + vload_n(dbeta + j, left, 0);
            if (v) {
                const vec dz = row.inverse * (vload_n(v + j, left, 0) - (real)means[0] - z * (real)means[1]);
                dy += vload_n(gamma + j, left, 0) * dz;
            }
            vstore_n(out + j, dy, left);
        }
    }
}
