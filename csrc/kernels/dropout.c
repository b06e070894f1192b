/* dropout.c: dropout (Srivastava et al. 2014) by the counter-based generator Philox 4x32-10 (Salmon et al. 2011, "Parallel random
 * numbers: as easy as 1, 2, 3"): a word depends on seed, count and place alone, so blocks are drawn in any order. Loops over the
 * FL_DROPOUT_LANES blocks of a group are left to the compiler, which makes vectors of them. */
#include "kernels/dropout.h"
#include "shared/blocks.h"
#include "shared/finish.h"

#define FL_DROPOUT_LANES (FL_DROPOUT_GROUP / 4)
#define DIGIT 65536

/* An integer from its digits; what is none counts as 0. */
FL_INLINE uint64_t of_digits(const real *digits, int n)
{
    uint64_t value = 0;
    for (int k = n - 1; k >= 0; k--) value = value << 16 | (digits[k] >= 0 && digits[k] < DIGIT ? (uint64_t)digits[k] : 0);
    return value;
}

/* words[k][t]: word k of block first + t, with the counter (block, count) and the key seed. */
FL_INLINE void philox(uint64_t seed, uint64_t count, uint64_t first, uint32_t words[4][FL_DROPOUT_LANES])
{
    uint32_t key0 = (uint32_t)seed, key1 = (uint32_t)(seed >> 32);
#pragma omp simd
    for (int t = 0; t < FL_DROPOUT_LANES; t++) {
        words[0][t] = (uint32_t)(first + (uint64_t)t);
        words[1][t] = (uint32_t)((first + (uint64_t)t) >> 32);
        words[2][t] = (uint32_t)count;
        words[3][t] = (uint32_t)(count >> 32);
    }
    for (int round = 0; round < 10; round++) {
#pragma omp simd
        for (int t = 0; t < FL_DROPOUT_LANES; t++) {
            const uint64_t a = (uint64_t)words[0][t] * 0xD2511F53u, b = (uint64_t)words[2][t] * 0xCD9E8D57u;
            words[0][t] = (uint32_t)(b >> 32) ^ words[1][t] ^ key0;
            words[1][t] = (uint32_t)b;
            words[2][t] = (uint32_t)(a >> 32) ^ words[3][t] ^ key1;
            words[3][t] = (uint32_t)a;
        }
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
}

FL_INLINE void drop(const real *x, real *out, const unsigned char *keep, fl_int n, real scale)
{
#pragma omp simd
    for (fl_int i = 0; i < n; i++) {
        const real kept = x[i] * scale;
        out[i] = keep[i] ? kept : 0;
    }
}

void FL_ENTRY(dropout_draw)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_dropout_job *job = (const fl_dropout_job *)head;
    const uint64_t seed = of_digits(job->seed, 4), count = of_digits(job->count, 3);
    const double bound = job->p * 4294967296.0 + 0.5;
    const uint32_t least = bound < 4294967295.0 ? (uint32_t)bound : 0xFFFFFFFFu;
    const real scale = (real)(1 / (1 - job->p));
    const fl_int from = block * job->per_block, to = fl_min(from + job->per_block, job->n);
    (void)scratch;
    for (fl_int i = from; i < to; i += FL_DROPOUT_GROUP) {
        const fl_int here = fl_min(to - i, FL_DROPOUT_GROUP);
        uint32_t words[4][FL_DROPOUT_LANES];
        unsigned char keep[FL_DROPOUT_GROUP];
        philox(seed, count, (uint64_t)(i / 4), words);
        for (int k = 0; k < 4; k++) {
#pragma omp simd
            for (int t = 0; t < FL_DROPOUT_LANES; t++) keep[k * FL_DROPOUT_LANES + t] = words[k][t] >= least;
        }
        memcpy(job->keep + i, keep, (size_t)here);
        if (here == FL_DROPOUT_GROUP) drop((const real *)job->x + i, (real *)job->out + i, keep, FL_DROPOUT_GROUP, scale);
        else drop((const real *)job->x + i, (real *)job->out + i, keep, here, scale);
    }
}

void FL_ENTRY(dropout)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_dropout_job *job = (const fl_dropout_job *)head;
    const fl_int from = block * job->per_block, n = fl_min(job->n - from, job->per_block);
    real *out = (real *)job->out + from;
    (void)scratch;
    drop((const real *)job->x + from, out, job->keep + from, n, (real)(1 / (1 - job->p)));
    if (job->after.of) FL_ENTRY(finish)(&job->after, job->out, job->n, out, job->n, 0, 1, from, n);
}

void FL_ENTRY(dropout_count)(const fl_job *head, fl_int block, void *scratch)
{
    real *count = ((const fl_dropout_job *)head)->count;
    (void)block;
    (void)scratch;
    for (int k = 0; k < 3; k++) {
        count[k] += 1;
        if (count[k] < DIGIT) return;
        count[k] = 0;
    }
}
