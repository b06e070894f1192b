/* kmeans.c: labels and sums of K-means. Scores of some samples for some columns, centers that are packed as for gemm, are computed
 * in tiles that stay in registers, wait in scratch for their maxima, and are forgotten. Each score adds its products in the order
 * of the features, whatever tile it falls into, so that bounds, which leave out most scores, change no bit of a label. */
#include "kernels/kmeans.h"
#include "shared/blocks.h"
#include "shared/samples.h"
#include "simd/simd.h"

#define TILE_COLS (2 * VL)
#define TOGETHER_FROM 128 /* features from which on samples of a cluster are added together, */
#define FETCH_FROM 64     /* and those that follow are prefetched; found by timing */

/* c = bias or c, + the products of GEMM_ROWS rows and nv registers of columns of a panel. ahead: as many rows that will be used,
 * one after the other, and are prefetched; or NULL. */
FL_INLINE void tile(real *c, fl_int ldc, const real *const *rows, const real *b, const real *bias, fl_int n, const real *ahead,
                    const int nv)
{
    vec s[GEMM_ROWS][2];
#pragma GCC unroll 12
    for (int i = 0; i < GEMM_ROWS; i++) s[i][0] = s[i][1] = vset(0);
    for (fl_int p = 0; p < n; p++, b += TILE_COLS) {
        vec b0 = vload(b), b1 = nv == 2 ? vload(b + VL) : vset(0);
        if (ahead) {
            __builtin_prefetch(ahead + p * GEMM_ROWS, 0, 2);
            if (GEMM_ROWS * sizeof(real) > 64) __builtin_prefetch(ahead + p * GEMM_ROWS + 64 / sizeof(real), 0, 2);
        }
#pragma GCC unroll 12
        for (int i = 0; i < GEMM_ROWS; i++) {
            vec a = vset(rows[i][p]);
            s[i][0] += a * b0;
            if (nv == 2) s[i][1] += a * b1;
        }
    }
#pragma GCC unroll 12
    for (int i = 0; i < GEMM_ROWS; i++) {
        real *ci = c + i * ldc;
        const real *from = bias ? bias : ci;
        vstore(ci, vload(from) + s[i][0]);
        if (nv == 2) vstore(ci + VL, vload(from + VL) + s[i][1]);
    }
}

/* What a block works with. Arrays of samples have room for `strip`, rounded up to whole tiles and registers. */
typedef struct {
    real *scores;                    /* (strip, chunk) */
    real *lanes, *minus_lanes;       /* (strip, VL) */
    real *shifted;                   /* (strip, depth) */
    real *top, *minus, *second;      /* (strip,): of the last scan */
    real *best, *number, *runner_up; /* (strip,): of all scans */
    real *spare;
    const real **rows;                        /* (strip,) */
    fl_int *group, *sample, *listed, *former; /* (strip,) */
    double *share;                            /* (strip,): weights */
    fl_int *next;                             /* (strip,): the next sample of the same cluster, or -1 */
    int32_t *head;                            /* (k,): the first one */
} room;

static room room_of(const fl_kmeans_job *job, void *scratch)
{
    const fl_int rows = round_up(job->strip, 48);
    room at = {.rows = scratch};
    at.group = (fl_int *)(at.rows + rows);
    at.sample = at.group + rows;
    at.listed = at.sample + rows;
    at.former = at.listed + rows;
    at.next = at.former + rows;
    at.share = (double *)(at.next + rows);
    at.scores = (real *)(at.share + rows);
    at.lanes = at.scores + rows * job->chunk;
    at.minus_lanes = at.lanes + rows * VL;
    at.top = at.minus_lanes + rows * VL;
    at.minus = at.top + rows;
    at.second = at.minus + rows;
    at.best = at.second + rows;
    at.number = at.best + rows;
    at.runner_up = at.number + rows;
    at.spare = at.runner_up + rows;
    at.head = (int32_t *)(at.spare + rows);
    at.shifted = (real *)(at.head + round_up(job->k, 16));
    return at;
}

/* top[r], minus[r] = the larger of the VL lanes, and of equal ones the larger of minus, for so many rows, and a few more. */
static void largest_lanes(real *top, real *minus, const real *lanes, const real *minus_lanes, fl_int rows)
{
    for (fl_int r = 0; r < rows; r += VL) {
        vec t[VL], u[VL];
        for (fl_int i = 0; i < VL; i++) {
            t[i] = vload(lanes + (r + i) * VL);
            u[i] = vload(minus_lanes + (r + i) * VL);
        }
        vtranspose(t);
        vtranspose(u);
        for (fl_int i = 1; i < VL; i++) {
            const vec both = vmax(t[0], t[i]), lowest = vset(-REAL_INF);
            u[0] = vmax(vselect(vequal(t[0], both), u[0], lowest), vselect(vequal(t[i], both), u[i], lowest));
            t[0] = both;
        }
        vstore(top + r, t[0]);
        vstore(minus + r, u[0]);
    }
}

/* Of the scores of each of so many rows: the largest, and of equal ones that of the largest minus, which falls from column to
 * column of every lane. without: minus the numbers of the columns that do not count; or NULL. */
static void largest(real *top, real *minus, const room *at, const real *numbers, const real *without, fl_int ld, fl_int rows,
                    fl_int cols)
{
    for (fl_int r = 0; r < rows; r++) {
        const real *score = at->scores + r * ld;
        vec best = vset(-REAL_INF), number = best, lowest = best, left_out = vset(without ? without[r] : 1);
        for (fl_int j = 0; j < cols; j += VL) {
            vec v = vload(score + j), u = vload(numbers + j);
            if (without) v = vselect(vequal(u, left_out), lowest, v);
            number = vselect(vbelow(best, v), u, number);
            best = vmax(best, v);
        }
        vstore(at->lanes + r * VL, best);
        vstore(at->minus_lanes + r * VL, number);
    }
    largest_lanes(top, minus, at->lanes, at->minus_lanes, rows);
}

/* Scores of the listed samples, numbers of rows from x on, for `cols` columns from `from` on. fetch: whether the rows after the
 * last one will be used next. */
FL_APART void score(const fl_kmeans_job *job, const real *x, const fl_int *listed, fl_int count, fl_int from, fl_int cols,
                    const room *at, int fetch)
{
    const fl_samples *samples = &job->samples;
    const fl_int n = samples->n, ld = job->chunk, last = round_up(count, 12); /* whole tiles */
    for (fl_int p = 0; p < n; p += job->depth) {
        const fl_int depth = fl_min(n - p, job->depth);
        const real *panels = (const real *)job->panels + from * n + p * TILE_COLS, *bias = (const real *)job->bias + from;
        for (fl_int r = 0; r < count; r++) {
            at->rows[r] = x + listed[r] * samples->ldx + p;
            if (samples->shift) {
                real *row = at->shifted + r * job->depth;
                shifted(row, at->rows[r], samples, p, depth);
                at->rows[r] = row;
            }
        }
        for (fl_int r = count; r < last; r++) at->rows[r] = at->rows[count - 1];
        for (fl_int j = 0; j < cols; j += TILE_COLS) {
            real *c = at->scores + j;
            const real *b = panels + j * n, *start = p ? NULL : bias + j;
            for (fl_int i = 0; i < count; i += GEMM_ROWS) {
                const real *ahead = fetch && !j ? x + (i + count) * samples->ldx + p * GEMM_ROWS : NULL;
                if (cols - j > VL) tile(c + i * ld, ld, at->rows + i, b, start, depth, ahead, 2);
                else tile(c + i * ld, ld, at->rows + i, b, start, depth, ahead, 1);
            }
        }
    }
}

/* The largest of these scores, minus the number of its center, and if wanted the second largest score. */
FL_APART void scan(const fl_kmeans_job *job, const real *x, const fl_int *listed, fl_int count, fl_int from, fl_int cols,
                   const room *at, int fetch, int second)
{
    const fl_int used = fl_min(cols, round_up(job->k - from, VL));
    const real *minus = (const real *)job->minus + from;
    score(job, x, listed, count, from, used, at, fetch);
    largest(at->top, at->minus, at, minus, NULL, job->chunk, count, used);
    if (second) largest(at->second, at->spare, at, minus, at->minus, job->chunk, count, used);
}

/* s += the sum of w[q] x[q] over a few rows, one after the other. */
FL_INLINE void add_few(double *s, const real *const *x, const double *w, const fl_samples *samples, const int few)
{
    const fl_int n = samples->n;
    const real *shift = samples->shift, scale = (real)samples->scale;
    if (shift) {
#pragma omp simd
        for (fl_int j = 0; j < n; j++) {
            double sum = s[j];
            for (int q = 0; q < few; q++) sum += w[q] * (double)(x[q][j] * scale - shift[j]);
            s[j] = sum;
        }
    } else {
#pragma omp simd
        for (fl_int j = 0; j < n; j++) {
            double sum = s[j];
            for (int q = 0; q < few; q++) sum += w[q] * (double)x[q][j];
            s[j] = sum;
        }
    }
}

/* Adds the rows from `entry` on, times their shares, to the sums of a cluster, s and *total. */
static void add_rows(double *s, double *total, const fl_samples *samples, const room *at, fl_int entry)
{
    while (entry >= 0) {
        const real *x[4];
        double w[4];
        int few = 0;
        for (; few < 4 && entry >= 0; few++, entry = at->next[entry]) {
            x[few] = at->rows[entry];
            w[few] = at->share[entry];
            *total += w[few];
        }
        if (few == 4) add_few(s, x, w, samples, 4);
        else {
            if (few >= 2) add_few(s, x, w, samples, 2);
            if (few & 1) add_few(s, x + (few & 2), w + (few & 2), samples, 1);
        }
    }
}

/* Adds the samples i0 .. i0 + count to the sums of their clusters, in their order; those of a cluster together if they are long. */
static void add_samples(double *sums, const fl_kmeans_job *job, fl_int i0, fl_int count, const room *at)
{
    const fl_samples *samples = &job->samples;
    const int32_t *labels = job->labels + i0;
    const fl_int n = samples->n;
    double *totals = sums + job->k * n;
    for (fl_int i = count - 1; i >= 0; i--) {
        at->rows[i] = (const real *)samples->x + (i0 + i) * samples->ldx;
        at->share[i] = samples->weight ? samples->weight[i0 + i] : 1;
        if (n < TOGETHER_FROM) continue;
        at->next[i] = at->head[labels[i]];
        at->head[labels[i]] = (int32_t)i;
    }
    for (fl_int i = 0; i < count; i++) {
        const fl_int c = labels[i];
        if (n < TOGETHER_FROM) {
            add_few(sums + c * n, at->rows + i, at->share + i, samples, 1);
            totals[c] += at->share[i];
        } else if (at->head[c] >= 0) {
            add_rows(sums + c * n, totals + c, samples, at, at->head[c]);
            at->head[c] = -1;
        }
    }
}

/* Rounding that keeps a bound a bound. */
#define ULPS(count) ((real)(count) * (FL_IS_F32 ? (real)FLT_EPSILON : (real)DBL_EPSILON))

/* Bounds of a distance whose square is computed as d2, off by at most e. */
FL_INLINE real above(real d2, real e) { return root(fl_larger(d2, 0) + e) * (1 + ULPS(4)); }
FL_INLINE real below(real d2, real e) { return root(fl_larger(d2 - e, 0)) * (1 - ULPS(4)); }

/* Whether no center whose distance is at least `lower` can have as large a score as that at a distance of at most `upper`: each
 * score is off by half of e, at most. */
FL_INLINE int farther(real lower, real upper, real e) { return lower > upper && (lower - upper) * (lower + upper) > 3 * e; }

FL_INLINE real error_of(const fl_kmeans_bounds *bounds, real square)
{
    const real reach = root(square) + (real)bounds->reach;
    return (real)bounds->error * reach * reach;
}

/* Moves the bounds of a sample as the centers have moved; whether it keeps its label by them. */
FL_INLINE int keeps(const fl_kmeans_bounds *bounds, fl_int i, int32_t label, real square)
{
    const fl_int groups = bounds->groups;
    const real *drift = bounds->group_drift;
    real *lower = (real *)bounds->lower + i * groups, *upper = (real *)bounds->upper + i, least = REAL_INF;
    *upper = (*upper + ((const real *)bounds->drift)[label]) * (1 + ULPS(2));
    for (fl_int g = 0; g < groups; g++) {
        lower[g] = fl_larger(lower[g] - drift[g], 0) * (1 - ULPS(2));
        least = lower[g] < least ? lower[g] : least;
    }
    return farther(least, *upper, error_of(bounds, square));
}

/* 0 where no score is a number, as of samples that have been changed meanwhile. */
FL_INLINE int32_t number_of(real minus) { return minus > -REAL_INF ? (int32_t)-minus : 0; }

/* New labels of the samples i0 .. i0 + count, those whose bounds do not keep them. The bounds' arrays begin with the job's samples.
 */
static void by_bounds(const fl_kmeans_job *job, fl_int i0, fl_int count, const room *at)
{
    const fl_kmeans_bounds *bounds = &job->bounds;
    const fl_samples *samples = &job->samples;
    const fl_int n = samples->n, groups = bounds->groups;
    const real *x = (const real *)samples->x + i0 * samples->ldx;
    real *upper = (real *)bounds->upper + i0, *lower = (real *)bounds->lower + i0 * groups;
    const real *squares = (const real *)job->squares + i0;
    int32_t *labels = job->labels + i0;
    fl_int open = 0;
    for (fl_int i = 0; i < count; i++) {
        if (!bounds->fresh) {
            if (keeps(bounds, i0 + i, labels[i], squares[i])) continue;
            /* by the distance itself */
            const real *c = (const real *)job->centers + labels[i] * n, e = error_of(bounds, squares[i]);
            real least = REAL_INF;
            upper[i] = above(square_distance(x + i * samples->ldx, c, samples), e);
            for (fl_int g = 0; g < groups; g++) least = lower[i * groups + g] < least ? lower[i * groups + g] : least;
            if (farther(least, upper[i], e)) continue;
        }
        at->best[i] = -REAL_INF;
        at->number[i] = -REAL_INF;
        at->runner_up[i] = 0;
        at->group[i] = 0; /* for where no score is a number */
        at->sample[open++] = i;
    }
    for (fl_int g = 0; g < groups && open; g++) {
        const fl_int from = g * job->chunk, cols = fl_min(job->columns - from, job->chunk);
        fl_int chosen = 0;
        for (fl_int q = 0; q < open; q++) {
            const fl_int i = at->sample[q];
            if (bounds->fresh || bounds->group[labels[i]] == g
                || !farther(lower[i * groups + g], upper[i], error_of(bounds, squares[i])))
                at->listed[chosen++] = i;
        }
        if (!chosen) continue;
        scan(job, x, at->listed, chosen, from, cols, at, 0, 1);
        for (fl_int q = 0; q < chosen; q++) {
            const fl_int i = at->listed[q];
            const real top = at->top[q], number = at->minus[q], square = squares[i], e = error_of(bounds, square);
            lower[i * groups + g] = below(square - 2 * top, e);
            if (top > at->best[i] || (top == at->best[i] && number > at->number[i])) {
                at->best[i] = top;
                at->number[i] = number;
                at->runner_up[i] = below(square - 2 * at->second[q], e);
                at->group[i] = g;
            }
        }
    }
    for (fl_int q = 0; q < open; q++) {
        const fl_int i = at->sample[q];
        lower[i * groups + at->group[i]] = at->runner_up[i];
        upper[i] = above(squares[i] - 2 * at->best[i], error_of(bounds, squares[i]));
        labels[i] = number_of(at->number[i]);
    }
}

/* New labels of the samples i0 .. i0 + count, by all scores. fetch: whether as many follow. */
static void by_scores(const fl_kmeans_job *job, fl_int i0, fl_int count, const room *at, int fetch)
{
    const real *x = (const real *)job->samples.x + i0 * job->samples.ldx;
    for (fl_int i = 0; i < count; i++) {
        at->listed[i] = i;
        at->best[i] = -REAL_INF;
        at->number[i] = -REAL_INF;
    }
    for (fl_int from = 0; from < job->columns; from += job->chunk) {
        scan(job, x, at->listed, count, from, fl_min(job->columns - from, job->chunk), at, fetch && !from, 0);
        for (fl_int i = 0; i < count; i++)
            if (at->top[i] > at->best[i] || (at->top[i] == at->best[i] && at->minus[i] > at->number[i])) {
                at->best[i] = at->top[i];
                at->number[i] = at->minus[i];
            }
    }
    for (fl_int i = 0; i < count; i++) job->labels[i0 + i] = number_of(at->number[i]);
}

/* scratch: what room_of takes of it. */
void FL_ENTRY(kmeans)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_kmeans_job *job = (const fl_kmeans_job *)head;
    const fl_samples *samples = &job->samples;
    const fl_int from = block * job->per_block, to = fl_min(from + job->per_block, samples->m), size = job->k * samples->n + job->k;
    double *sums = job->sums ? job->sums + block * size : NULL;
    room at = room_of(job, scratch);
    int64_t changes = 0;
    for (fl_int c = 0; c < job->k; c++) at.head[c] = -1;
    if (sums && job->first) memset(sums, 0, (size_t)size * sizeof *sums);
    for (fl_int i = from; i < to; i += job->strip) {
        const fl_int count = fl_min(to - i, job->strip);
        const int32_t *labels = job->labels + i;
        for (fl_int r = 0; r < count; r++) at.former[r] = labels[r];
        if (job->assign) {
            if (job->bounds.groups) by_bounds(job, i, count, &at);
            else by_scores(job, i, count, &at, to - i >= 2 * count && samples->n >= FETCH_FROM);
        }
        for (fl_int r = 0; r < count; r++) changes += labels[r] != at.former[r];
        if (sums) add_samples(sums, job, i, count, &at);
    }
    if (job->changes) job->changes[block] += changes;
}

/* Squared distances of the samples to the candidates, from the scores, no larger than those to the nearest center until now; what
 * is left of rounding where they are 0 counts as 0. Their sums with the weights; the new nearest ones where there is one candidate.
 */
void FL_ENTRY(kmeans_seed)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_kmeans_job *job = (const fl_kmeans_job *)head;
    const fl_samples *samples = &job->samples;
    const fl_int from = block * job->per_block, to = fl_min(from + job->per_block, samples->m), k = job->k;
    double *totals = job->sums + block * k;
    real *nearest = job->nearest;
    room at = room_of(job, scratch);
    for (fl_int c = 0; c < k; c++) totals[c] = 0;
    for (fl_int i = 0; i < job->strip; i++) at.listed[i] = i;
    for (fl_int i0 = from; i0 < to; i0 += job->strip) {
        const fl_int count = fl_min(to - i0, job->strip);
        score(job, (const real *)samples->x + i0 * samples->ldx, at.listed, count, 0, round_up(k, VL), &at,
              to - i0 >= 2 * count && samples->n >= FETCH_FROM);
        for (fl_int i = 0; i < count; i++) {
            const real square = ((const real *)job->squares)[i0 + i], most = nearest[i0 + i];
            const real *s = at.scores + i * job->chunk, noise = (real)job->noise * (square + (real)job->mean_square);
            const double w = samples->weight ? samples->weight[i0 + i] : 1;
            for (fl_int c = 0; c < k; c++) {
                real d = square - 2 * s[c];
                d = d > noise ? d : 0;
                d = d < most ? d : most;
                totals[c] += w * (double)d;
                if (job->assign) nearest[i0 + i] = d;
            }
        }
    }
}
