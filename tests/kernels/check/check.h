/* check.h: what the checks of kernels are written with. A check plans jobs for the table under test, by its facts, from seeded
 * numbers, runs them, and reports what they give; main.c compares what each table gives with what the base table does. */
#ifndef CHECK_H
#define CHECK_H

#include "kernels/conv/winograd.h"
#include "kernels/curvature.h"
#include "kernels/dropout.h"
#include "kernels/elementwise.h"
#include "kernels/gemm.h"
#include "kernels/im2col.h"
#include "kernels/kmeans.h"
#include "kernels/layer_norm.h"
#include "kernels/linear.h"
#include "kernels/norm.h"
#include "kernels/outer.h"
#include "kernels/pool2d.h"
#include "kernels/residuals.h"
#include "kernels/slope.h"
#include "kernels/smooth.h"
#include "kernels/softmax.h"
#include "kernels/stencil.h"
#include "kernels/sum.h"
#include "kernels/update.h"
#include "kernels/xent.h"
#include "shared/blocks.h"
#include "table.h"
#include "unit.h"

#include FL_SIMD_HEADER(FL_DTYPE)

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DTYPE (FL_IS_F32 ? FL_F32 : FL_F64)
#define SIZE ((fl_int)sizeof(real))
#define LINE_REALS (64 / SIZE)
#define COUNT(array) ((fl_int)(sizeof(array) / sizeof *(array)))

/* The table under test, what a register of it holds, a kernel that is left out (or -1), and those that the check has run. */
extern const fl_table fl_table_base;

static const fl_table *table;
static fl_int lanes;
static int omitted;
static unsigned char used[FL_KERNELS];

/* --- memory: aligned, full of NaN, with guards on both sides ------------------------------------------------------- */

enum { GUARD = 64, BUFFERS = 1 << 15 };
static struct {
    unsigned char *start;
    size_t size;
} buffers[BUFFERS];
static int n_buffers;

static void *take(size_t size)
{
    unsigned char *start = NULL;
    if (n_buffers == BUFFERS || posix_memalign((void **)&start, 64, size + 2 * GUARD + 64)) abort();
    memset(start, 0xA5, size + 2 * GUARD);
    memset(start + GUARD, 0xFF, size);
    buffers[n_buffers].start = start;
    buffers[n_buffers++].size = size;
    return start + GUARD;
}

static real *room(fl_int n) { return take((size_t)(n * SIZE)); }

/* Gives all memory back; whether nothing was written beside it. */
static int release(void)
{
    int intact = 1;
    while (n_buffers) {
        const unsigned char *start = buffers[--n_buffers].start, *end = start + GUARD + buffers[n_buffers].size;
        for (int i = 0; i < GUARD; i++) intact &= start[i] == 0xA5 && end[i] == 0xA5;
        free(buffers[n_buffers].start);
    }
    return intact;
}

/* --- seeded numbers (splitmix64) ----------------------------------------------------------------------------------- */

static uint64_t state;

static uint64_t draw(void)
{
    uint64_t z = state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

static fl_int below(fl_int n) { return (fl_int)(draw() % (uint64_t)n); }
static double uniform(void) { return (double)(draw() >> 11) * 0x1p-53; }

/* n numbers in (from, to). */
static real *numbers_in(fl_int n, double from, double to)
{
    real *a = room(n);
    for (fl_int i = 0; i < n; i++) a[i] = (real)(from + (to - from) * uniform());
    return a;
}

static real *numbers(fl_int n) { return numbers_in(n, -1, 1); }
static real *shares(fl_int n) { return numbers_in(n, 0.05, 0.95); }

static double *weights(fl_int n)
{
    double *a = take((size_t)n * sizeof *a);
    for (fl_int i = 0; i < n; i++) a[i] = i % 7 == 3 ? 0 : 2 * uniform();
    return a;
}

/* a with one element in `every` replaced by a special one. */
static real *with_specials(real *a, fl_int n, fl_int every)
{
    static const real specials[] = {(real)NAN, REAL_INF, -REAL_INF, 0, (real)-0.0, REAL_MIN, -REAL_MIN / 4, REAL_MAX, -REAL_MAX};
    for (fl_int i = below(every); i < n; i += 1 + below(2 * every)) a[i] = specials[below(COUNT(specials))];
    return a;
}

static int64_t *labels_below(fl_int m, fl_int n)
{
    int64_t *a = take((size_t)m * sizeof *a);
    for (fl_int i = 0; i < m; i++) a[i] = below(n);
    return a;
}

static real *copy(const real *a, fl_int n) { return memcpy(room(n), a, (size_t)(n * SIZE)); }

static fl_int *table_of(fl_int n, fl_int step)
{
    fl_int *a = take((size_t)n * sizeof *a);
    for (fl_int i = 0; i < n; i++) a[i] = i * step;
    return a;
}

/* --- what follows sums --------------------------------------------------------------------------------------------- */

/* A rule's coefficients and states, for n parameters. */
static fl_update *update_of(int rule, real *w, fl_int n)
{
    static const double c[FL_RULES][FL_COEFFICIENTS] = {
        [FL_SGD] = {0.1, 0.01},
        [FL_MOMENTUM] = {0.1, 0.01, 0.9},
        [FL_NESTEROV] = {0.1, 0, 0.9},
        [FL_ADAM] = {0.1, 0.01, 0.9, 0.1, 0.99, 0.01, 2, 3, 1e-2},
        [FL_RMSPROP] = {0.1, 0.01, 0.9, 0.1, 1e-2},
        [FL_RMSPROP_MOMENTUM] = {0.1, 0, 0.9, 0.1, 1e-2, 0.8},
    };
    fl_update *u = take(sizeof *u);
    u->rule = rule;
    memcpy(u->c, c[rule], sizeof u->c);
    for (int k = 0; k < FL_STATES; k++) u->state[k] = (char *)shares(n) - (char *)w;
    return u;
}

enum { PLAIN, BIAS, ACTIVATED, WITH_RESIDUAL, SLOPED, ADDED, WITH_Z, STEPPED, EPILOGUES };

/* An epilogue of this kind for C (rows, cols) with a bias of so many. */
static fl_epilogue epilogue(int kind, real *c, fl_int rows, fl_int cols, fl_int biases)
{
    fl_epilogue e = {0};
    const int activation = (int)below(FL_EXP); /* those of layers */
    if (kind == BIAS || kind == ACTIVATED || kind == WITH_Z) e.bias = numbers(biases);
    if (kind == ACTIVATED || kind == WITH_RESIDUAL || kind == WITH_Z) e.activation = activation;
    if (kind == WITH_RESIDUAL) e.residual = numbers(rows * cols);
    if (kind == SLOPED) e.derivative = activation == FL_IDENTITY ? FL_TANH : activation, e.of = shares(rows * cols);
    if (kind == WITH_Z) e.z = room(rows * cols);
    if (kind == STEPPED) e.update = update_of((int)below(FL_RULES), c, rows * cols);
    e.accumulate = kind == ADDED;
    e.alpha = FL_ALPHA(activation);
    return e;
}

/* --- jobs and findings --------------------------------------------------------------------------------------------- */

/* Runs all blocks of a job, those of tables under test from the last to the first. */
static void run(int kernel, fl_job *head, fl_int n_blocks, fl_int scratch)
{
    void *memory = take((size_t)scratch);
    used[kernel] = 1;
    head->run = table->fn[kernel][DTYPE];
    head->n_blocks = n_blocks;
    if (kernel == omitted) return;
    for (fl_int b = 0; b < n_blocks; b++) head->run(head, table == &fl_table_base ? b : n_blocks - 1 - b, memory);
}

typedef struct {
    const char *name;
    const void *data;
    fl_int n;
    enum { REALS, DOUBLES, BYTES } kind;
    double ulps; /* of the largest number, by which each may differ; 0: none, bit by bit */
} finding;

enum { FINDINGS = 1 << 13 };
static finding findings[2][FINDINGS];
static int n_findings[2], now;

static void found(const char *name, const void *data, fl_int n, int kind, double ulps)
{
    if (n_findings[now] == FINDINGS) abort();
    findings[now][n_findings[now]++] = (finding){name, data, n, kind, ulps};
}

static void reals(const char *name, const void *data, fl_int n, double ulps) { found(name, data, n, REALS, ulps); }
static void doubles(const char *name, const void *data, fl_int n, double ulps) { found(name, data, n, DOUBLES, ulps); }
static void bytes(const char *name, const void *data, size_t n) { found(name, data, (fl_int)n, BYTES, 0); }

/* out (n,) = the sum of parts (parts, n), by the table. */
static real *summed(const real *parts, fl_int count, fl_int n)
{
    fl_sum_job job = {.part = parts, .out = room(n), .scale = 1, .parts = count, .stride = n, .len = n, .per_block = 64};
    run(FL_KERNEL_sum, &job.head, ceil_div(n, 64), 64 * (fl_int)sizeof(double));
    return job.out;
}

#endif
