/* norm.c: batch normalisation (Ioffe and Szegedy 2015) and its derivative, the sweeps over memory; fl_batch_norm_job in norm.h says
 * what each kernel gives. Sums over a piece of a plane are made in registers, side by side. x is taken relative to a centre near
 * its mean before anything else, so a large mean costs no digits. */
#include "kernels/norm.h"
#include "shared/activate.h"
#include "shared/blocks.h"

#define NORM_WIDE 4

/* A piece of a plane: where it begins in x, how many pixels it has, its channel. */
typedef struct {
    fl_int at, n, channel, number; /* number: of its plane's pieces */
} piece;

FL_INLINE piece piece_of(const fl_batch_norm_job *job, fl_int unit)
{
    const fl_int plane = unit / job->pieces, number = unit % job->pieces, from = number * job->piece;
    const fl_int n = fl_min(job->pixels - from, job->piece);
    return (piece){plane * job->pixels + from, n, plane % job->c, number};
}

/* The piece after this one: without divisions. */
FL_INLINE void next_piece(const fl_batch_norm_job *job, piece *p)
{
    p->at += p->n;
    if (++p->number == job->pieces) {
        p->number = 0;
        if (++p->channel == job->c) p->channel = 0;
    }
    const fl_int left = job->pixels - p->number * job->piece;
    p->n = fl_min(left, job->piece);
}

FL_INLINE double norm_total(const vec *s) { return (double)vsum((s[0] + s[1]) + (s[2] + s[3])); }

/* mean_and_squares: the mean of x and the sum of squared deviations from it, by the corrected two-pass formula (Chan, Golub and
 * LeVeque 1983): the first mean need only be near. */
FL_INLINE void piece_moments(const real *x, fl_int n, double *mean_and_squares)
{
    vec sum[NORM_WIDE] = {{0}}, off[NORM_WIDE] = {{0}}, squares[NORM_WIDE] = {{0}};
    fl_int i = 0;
    for (; i + NORM_WIDE * VL <= n; i += NORM_WIDE * VL)
        for (int w = 0; w < NORM_WIDE; w++) sum[w] += vload(x + i + w * VL);
    for (; i < n; i += VL) sum[0] += vload_n(x + i, fl_min(n - i, VL), 0);
    const real near = (real)(norm_total(sum) / (double)n);
    for (i = 0; i + NORM_WIDE * VL <= n; i += NORM_WIDE * VL)
        for (int w = 0; w < NORM_WIDE; w++) {
            const vec d = vload(x + i + w * VL) - near;
            off[w] += d;
            squares[w] += d * d;
        }
    for (; i < n; i += VL) {
        const vec d = vload_n(x + i, fl_min(n - i, VL), near) - near;
        off[0] += d;
        squares[0] += d * d;
    }
    const double rest = norm_total(off), square = norm_total(squares) - rest * rest / (double)n;
    mean_and_squares[0] = (double)near + rest / (double)n;
    mean_and_squares[1] = square < 0 ? 0 : square;
}

void FL_ENTRY(batch_norm_moments)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_batch_norm_job *job = (const fl_batch_norm_job *)head;
    const fl_int from = block * job->per_block, to = fl_min(from + job->per_block, job->units);
    piece p = piece_of(job, from);
    (void)scratch;
    for (fl_int unit = from; unit < to; unit++, next_piece(job, &p))
        piece_moments((const real *)job->x + p.at, p.n, job->partial + 2 * unit);
}

void FL_ENTRY(batch_norm_sums)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_batch_norm_job *job = (const fl_batch_norm_job *)head;
    const fl_int from = block * job->per_block, to = fl_min(from + job->per_block, job->units);
    piece p = piece_of(job, from);
    (void)scratch;
    for (fl_int unit = from; unit < to; unit++, next_piece(job, &p)) {
        const real *x = (const real *)job->x + p.at, *v = (const real *)job->v + p.at, centre = (real)job->moments[p.channel];
        vec sum[NORM_WIDE] = {{0}}, product[NORM_WIDE] = {{0}};
        fl_int i = 0;
        for (; i + NORM_WIDE * VL <= p.n; i += NORM_WIDE * VL)
            for (int w = 0; w < NORM_WIDE; w++) {
                const vec a = vload(v + i + w * VL);
                sum[w] += a;
                product[w] += a * (vload(x + i + w * VL) - centre);
            }
        for (; i < p.n; i += VL) {
            const fl_int left = fl_min(p.n - i, VL);
            const vec a = vload_n(v + i, left, 0);
            sum[0] += a;
            product[0] += a * (vload_n(x + i, left, centre) - centre);
        }
        job->partial[2 * unit] = norm_total(sum);
        job->partial[2 * unit + 1] = norm_total(product);
    }
}

/* has_v, has_x and activation are constants at every call. */
FL_INLINE void norm_map_range(const fl_batch_norm_job *job, fl_int from, fl_int to, const int has_v, const int has_x,
                              const int activation)
{
    const sigma s = sigma_of(&job->after);
    piece p = piece_of(job, from);
    for (fl_int unit = from; unit < to; unit++, next_piece(job, &p)) {
        const double *factors = job->factors + p.channel;
        const vec of_v = vset((real)factors[0]), of_x = vset((real)factors[job->c]), plus = vset((real)factors[2 * job->c]);
        const vec centre = vset((real)job->moments[p.channel]);
        const real *v = has_v ? (const real *)job->v + p.at : NULL, *x = has_x ? (const real *)job->x + p.at : NULL;
        const real *of = activation != FL_IDENTITY ? (const real *)job->after.of + p.at : NULL;
        real *out = (real *)job->out + p.at;
#define FL_NORM_MAP(load, store)                                                             \
    do {                                                                                     \
        vec y = plus;                                                                        \
        if (has_x) y += of_x * (load(x) - centre);                                           \
        if (has_v) y += of_v * load(v);                                                      \
        if (activation != FL_IDENTITY) y *= activation_derivative(load(of), &s, activation); \
        store(y);                                                                            \
    } while (0)
#define FL_WHOLE(a) vload(a + i)
#define FL_STORE_WHOLE(y) vstore(out + i, y)
#define FL_PART(a) vload_n(a + i, p.n - i, 0)
#define FL_STORE_PART(y) vstore_n(out + i, y, p.n - i)
        fl_int i = 0;
        for (; i + VL <= p.n; i += VL) FL_NORM_MAP(FL_WHOLE, FL_STORE_WHOLE);
        if (i < p.n) FL_NORM_MAP(FL_PART, FL_STORE_PART);
#undef FL_STORE_PART
    }
}

void FL_ENTRY(batch_norm_map)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_batch_norm_job *job = (const fl_batch_norm_job *)head;
    const fl_int from = (head->n_blocks - 1 - block) * job->per_block; /* backwards: a cache still holds what the sums read last */
    const fl_int to = fl_min(from + job->per_block, job->units);
    (void)scratch;
    assert(job->v || !job->after.of); /* what has an activation below it is J' v */
    if (!job->v && job->x) norm_map_range(job, from, to, 0, 1, FL_IDENTITY);
    else if (!job->v) norm_map_range(job, from, to, 0, 0, FL_IDENTITY);
    else if (job->x) FL_WITH_ACTIVATION(job->after.derivative, norm_map_range(job, from, to, 1, 1, activation))
    else FL_WITH_ACTIVATION(job->after.derivative, norm_map_range(job, from, to, 1, 0, activation))
}
