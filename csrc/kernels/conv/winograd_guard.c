/* winograd_guard.c: which of Winograd's tiles are summed directly, because its errors there could exceed three times those of
 * direct summation.
 *
 * The transforms spread each value of a tile over all of its pixels: a tile's error follows its largest values, while a pixel's
 * error by direct summation follows what this pixel sees. And direct summation of few terms hardly rounds at all. So a tile is
 * summed directly where its largest |x| is more than FL_WINO_FAR times that of a third of the tiles; where its energy is so large,
 * and the terms are so few, that its error could be the largest of the call; where transforms could overflow or lose digits to
 * subnormal numbers, and where it holds NaN or infinity; and all of them where the numbers have so few bits (integers, weights of
 * one size) that direct summation is exact, or nearly so. Three short jobs before the convolution tell which: maps of x over the
 * channels, measures of the tiles, bounds. */
#include "kernels/conv/winograd_bounds.h"
#include "kernels/conv/winograd_tiles.h"
#include "shared/blocks.h"

/* A register of pixels, or their last n if that is not 0, of `channels` planes that lie `step` apart: adds them to the maps and, if
 * wanted, to the sums of each plane. */
FL_INLINE void map_pixels(real *maps, const real *x, fl_int step, const fl_int n, int first, vec *sum, vec *squares,
                          const int channels, const int planes)
{
    vec m[FL_WINO_MAPS];
    for (int i = 0; i < FL_WINO_MAPS; i++) m[i] = first ? vset(0) : n ? vload_n(maps + i * step, n, 0) : vload(maps + i * step);
    for (int c = 0; c < channels; c++) {
        const vec a = vabs(n ? vload_n(x + c * step, n, 0) : vload(x + c * step));
        m[FL_WINO_LARGEST] = vmax(m[FL_WINO_LARGEST], a);
        m[FL_WINO_SUM] += a;
        m[FL_WINO_SQUARES] += a * a;
        if (planes) sum[c] += a;
        if (planes) squares[c] += a * a;
    }
    for (int i = 0; i < FL_WINO_MAPS; i++) {
        if (n) vstore_n(maps + i * step, m[i], n);
        else vstore(maps + i * step, m[i]);
    }
}

/* All pixels of a block, of some channels. totals: as fl_winograd_maps_job has them, if `planes`. */
FL_INLINE void map_channels(real *maps, const real *x, fl_int step, fl_int n, int first, double *totals, const int channels,
                            const int planes)
{
    vec sum[4], squares[4];
    for (int c = 0; c < channels; c++) sum[c] = squares[c] = vset(0);
    fl_int i = 0;
    for (; i + VL <= n; i += VL) map_pixels(maps + i, x + i, step, 0, first, sum, squares, channels, planes);
    if (i < n) map_pixels(maps + i, x + i, step, n - i, first, sum, squares, channels, planes);
    for (int c = 0; planes && c < channels; c++) {
        const double s = (double)vsum(sum[c]);
        totals[0] += s * s / (double)n;
        totals[1] += (double)vsum(squares[c]);
    }
}

FL_INLINE void map_block(real *maps, const real *x, fl_int step, fl_int n, fl_int channels, double *totals, const int planes)
{
    fl_int c = 0;
    for (; c + 4 <= channels; c += 4) map_channels(maps, x + c * step, step, n, c == 0, totals, 4, planes);
    for (; c < channels; c++) map_channels(maps, x + c * step, step, n, c == 0, totals, 1, planes);
}

void FL_ENTRY(winograd_maps)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_winograd_maps_job *job = (const fl_winograd_maps_job *)head;
    const fl_int pieces = ceil_div(job->pixels, job->per_block), from = block % pieces * job->per_block;
    const fl_int n = fl_min(job->pixels - from, job->per_block);
    const fl_int image = block / pieces % job->images, group = block / pieces / job->images;
    const real *x = (const real *)job->x + (image * job->groups + group) * job->channels * job->pixels + from;
    real *maps = (real *)job->maps + (group * job->images + image) * FL_WINO_MAPS * job->pixels + from;
    double *totals = job->totals ? job->totals + 2 * block : NULL;
    (void)scratch;
    if (!totals) {
        map_block(maps, x, job->pixels, n, job->channels, NULL, 0);
        return;
    }
    totals[0] = totals[1] = 0;
    map_block(maps, x, job->pixels, n, job->channels, totals, 1);
}

/* scratch: as wino_tiles wants it. */
void FL_ENTRY(winograd_measure)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_winograd_measure_job *job = (const fl_winograd_measure_job *)head;
    const fl_wino_tiles *T = &job->tiles;
    const fl_int total = job->images * T->rows, per_group = ceil_div(total, job->per_block);
    const fl_int first = block % per_group * job->per_block, group = block / per_group, span = job->span;
    const fl_int end = fl_min(first + job->per_block, total), tiles = (end - first) * T->cols;
    const fl_int ld = wino_pitch(tiles);
    real *d = scratch, *out = (real *)job->measures + group * FL_WINO_MAPS * job->pitch + first * T->cols;
    for (int map = 0; map < FL_WINO_MAPS; map++) {
        const wino_source source = {(const real *)job->maps + (group * job->images * FL_WINO_MAPS + map) * T->h * T->w,
                                    FL_WINO_MAPS * T->h * T->w,
                                    T->h,
                                    T->w,
                                    T->top,
                                    T->left,
                                    T};
        if (span == 6) wino_tiles(d, ld, &source, first, end, 6);
        else wino_tiles(d, ld, &source, first, end, FL_WINO_TILE);
        for (fl_int t = 0; t < tiles; t += VL) {
            const fl_int n = fl_min(tiles - t, VL);
            vec all = vset(0);
            for (fl_int i = 0; i < span * span; i++) {
                const vec pixel = vload(d + i * ld + t);
                if (map == FL_WINO_LARGEST) all = vmax(all, pixel);
                else all += pixel;
            }
            vstore_n(out + map * job->pitch + t, all, n);
        }
    }
}

/* FL_WINO_FAR times what a third of n numbers do not exceed, from below, to an eighth: no more than the median, however the tiles
 * lie, for those at the border are many of a small image's, and of a dilated one's phases. counts: FL_WINO_BUCKETS. */
FL_INLINE double far_from_usual(const real *a, fl_int n, int32_t *counts)
{
    fl_int left = (n + 2) / 3;
    uint32_t bucket = 0;
    memset(counts, 0, FL_WINO_BUCKETS * sizeof *counts);
    for (fl_int i = 0; i < n; i++) {
        const float one = (float)a[i];
        uint32_t pattern;
        memcpy(&pattern, &one, sizeof pattern);
        pattern = (pattern & 0x7fffffff) >> 20; /* exponent and three bits of the fraction */
        counts[pattern]++;
    }
    for (; bucket < FL_WINO_BUCKETS - 1 && left > counts[bucket]; bucket++) left -= counts[bucket];
    float lower;
    bucket <<= 20;
    memcpy(&lower, &bucket, sizeof lower);
    return FL_WINO_FAR * (double)lower;
}

/* Whether numbers up to this size, times weights in their own range, keep clear of overflow and of subnormal numbers. */
FL_INLINE int in_range(double largest, double most) { return largest == 0 || (largest >= 1e-15 && largest <= most); }

/* A block is a group. scratch: FL_WINO_BUCKETS of int32_t. */
void FL_ENTRY(winograd_bounds)(const fl_job *head, fl_int group, void *scratch)
{
    const fl_winograd_bounds_job *job = (const fl_winograd_bounds_job *)head;
    const fl_int n = job->count, pitch = job->pitch;
    const real *largest = (const real *)job->measures + group * FL_WINO_MAPS * pitch, *sum = largest + pitch;
    const real *energy = sum + pitch;
    real *bound = (real *)job->bounds + group * pitch;
    const double far = far_from_usual(largest, n, scratch);
    double most = 0;
    for (fl_int t = 0; t < n; t++) {
        const int fits = (double)largest[t] <= far && in_range((double)largest[t], 1e15) && energy[t] <= FLT_MAX;
        bound[t] = fits ? energy[t] : (real)INFINITY;
        if (fits && most < (double)sum[t] * (double)sum[t]) most = (double)sum[t] * (double)sum[t];
    }
    for (fl_int t = 0; t < n; t++)
        if (bound[t] > 0 && bound[t] <= (real)FLT_MAX) bound[t] = (real)((double)bound[t] * 4 * job->terms / most);
    for (fl_int t = n; t < pitch; t++) bound[t] = 0;
}

/* Significant bits of n numbers: as many as 15 in 16 of them need, of a sample and without zeros; at least 1. Those as large as the
 * first one of the sample count as one bit. */
FL_INLINE int bits_of(const real *a, fl_int n)
{
    const int fraction = FL_IS_F32 ? 23 : 52;
    int counts[54] = {0}, all = 0, found = 1;
    bits unit = 0;
    for (fl_int i = 0; i < n; i += n / FL_WINO_SAMPLE | 1) {
        bits one;
        memcpy(&one, a + i, sizeof one);
        one &= ~((bits)1 << (REAL_BITS - 1));
        if (one == 0) continue;
        if (unit == 0) unit = one;
        counts[one == unit ? 1 : fraction + 1 - __builtin_ctzll(one | (bits)1 << fraction)]++;
        all++;
    }
    for (int beyond = all - counts[1]; 16 * beyond > all; beyond -= counts[found]) found++;
    return found;
}

/* Whether products of x and w have so few bits that sums of them are rounded less than usual, or not at all. */
FL_INLINE int nearly_exact(const real *x, fl_int n, const real *w, fl_int m)
{
    return bits_of(x, n) + bits_of(w, m) <= (FL_IS_F32 ? FL_WINO_BITS : FL_WINO_BITS + 29);
}

/* Registers of bounds, of all groups and some rows of A at a time, that hold one beyond a density. */
void FL_ENTRY(winograd_choose)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_winograd_choose_job *job = (const fl_winograd_choose_job *)head;
    fl_int beyond = 0, all = 0;
    (void)block, (void)scratch;
    for (fl_int group = 0; group < job->groups; group++) {
        const real *bounds = (const real *)job->bounds + group * job->pitch;
        const real *density = job->density ? (const real *)job->density + group * job->rows : NULL;
        for (fl_int r0 = 0; r0 < (density ? job->rows : 1); r0 += FL_WINO_DIRECT) {
            real least = density ? density[r0] : (real)FL_WINO_DENSITY;
            for (fl_int r = r0; density && r < r0 + FL_WINO_DIRECT && r < job->rows; r++)
                least = density[r] < least ? density[r] : least;
            for (fl_int t = 0; t < job->count; t += VL, all++) beyond += any_beyond(bounds + t, fl_min(job->count - t, VL), least);
        }
    }
    *job->direct = (double)beyond > job->most * (double)all;
    if (job->w_size) *job->direct |= bits_of(job->w, job->w_size) == 1 || nearly_exact(job->x, job->x_size, job->w, job->w_size);
}

/* Whether few of a tile's n values make nearly all of its energy. */
FL_INLINE int is_spike(double sum, double energy, fl_int n) { return sum * sum * 16 < energy * (double)n; }

/* The bounds of the weights' gradient. There every tap sees nearly all of a plane: tiles of far larger values can only spoil one
 * that does not see them at the border, or where single values round less than the transforms do. Terms are counted over the whole
 * call. One block. */
void FL_ENTRY(winograd_weights_bounds)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_winograd_bounds_job *job = (const fl_winograd_bounds_job *)head;
    const fl_wino_tiles *T = &job->tiles;
    const fl_int n = job->count, pitch = job->pitch;
    fl_int direct = 0;
    (void)block;
    for (fl_int group = 0; group < job->groups; group++) {
        const real *x = (const real *)job->measures + group * FL_WINO_MAPS * pitch;
        const real *v = (const real *)job->v_measures + group * FL_WINO_MAPS * pitch;
        real *bound = (real *)job->bounds + group * pitch;
        const double far = far_from_usual(x, n, scratch), v_far = far_from_usual(v, n, scratch);
        double shares[2] = {0, 0}, v_shares[2] = {0, 0};
        for (fl_int i = 0; i < 2 * job->x_parts; i++) shares[i % 2] += job->totals[2 * group * job->x_parts + i];
        for (fl_int i = 0; i < 2 * job->v_parts; i++) v_shares[i % 2] += job->v_totals[2 * group * job->v_parts + i];
        const double terms = (double)(job->images * T->oh * T->ow) * shares[0] * v_shares[0];
        const int few = !(terms >= job->terms * shares[1] * v_shares[1]);
        for (fl_int t = 0; t < n; t++) {
            const fl_int row = t / T->cols % T->rows % T->down, col = t % T->cols % T->across;
            const int border = row == 0 || row >= T->down - 2 || col == 0 || col >= T->across - 2;
            const int spike = is_spike((double)x[pitch + t], (double)x[2 * pitch + t], 36 * job->channels);
            const int v_spike = is_spike((double)v[pitch + t], (double)v[2 * pitch + t], 16 * job->rows);
            const int spoils = ((double)x[t] > far && (border || spike)) || ((double)v[t] > v_far && (border || v_spike));
            bound[t] = few || spoils || !in_range((double)x[t], 1e13) || !in_range((double)v[t], 1e13);
            direct += bound[t] > 0;
        }
        for (fl_int t = n; t < pitch; t++) bound[t] = 0;
    }
    *job->direct = 16 * direct > n * job->groups; /* tile by tile they cost more than the whole transforms from some 5 % on */
    *job->direct |= job->terms > 0 && nearly_exact(job->x, job->x_size, job->v, job->v_size);
}
