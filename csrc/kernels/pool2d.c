/* pool2d.c: maxima and means of windows, and their derivatives. VL windows of a row are worked on together, a lane for each;
 * those that reach beyond the plane, and large ones far apart, one by one; and with a dilation, pixel by pixel. */
#include "kernels/pool2d.h"
#include "shared/activate.h"
#include "shared/blocks.h"

#define POOL_ROW 1   /* windows one column apart: a tap of all lanes is a part of a row */
#define POOL_PAIRS 2 /* two columns: two taps are the even and the odd elements of a part of a row */
#define POOL_APART 3 /* any number of columns */

/* Where b is larger than a, or the first NaN. */
FL_INLINE vmask pool_better(vec b, vec a) { return vbeyond(b, a) & vequal(a, a); }

/* The larger one, or the sum. */
FL_INLINE vec pool_join(vec a, vec b, const int maximum)
{
    if (!maximum) return a + b;
    return vselect(pool_better(b, a), b, a);
}

/* VL elements of each row, or (part) n of them, step apart if not (near) adjacent: joined over the rows. */
FL_INLINE vec pool_column(const real *p, fl_int w, fl_int n, fl_int rows, fl_int step, const int near, const int maximum,
                          const int part)
{
    vec column = vset(0);
    for (fl_int i = 0; i < rows; i++, p += w) {
        vec row;
        if (near) {
            row = part ? vload_n(p, n, 0) : vload(p);
        } else {
            real lanes[VL] = {0};
            for (fl_int q = 0; q < (part ? n : VL); q++) lanes[q] = p[q * step];
            row = vload(lanes);
        }
        column = i ? pool_join(column, row, maximum) : row;
    }
    return column;
}

/* A tap of VL windows, or (part) `left` of them: taps[0][q] = p[q step]. POOL_PAIRS: taps[1][q] = p[q step + 1]. Joined over
 * the rows. */
FL_INLINE void pool_load(vec *taps, const real *p, fl_int w, fl_int left, fl_int rows, fl_int step, const int kind,
                         const int maximum, const int part)
{
    if (kind == POOL_PAIRS) {
        const fl_int na = fl_min(2 * left, VL), nb = 2 * left - na;
        const vec a = pool_column(p, w, na, rows, 1, 1, maximum, part);
        const vec b = pool_column(p + VL, w, nb, rows, 1, 1, maximum, part);
        vunzip(a, b, taps, taps + 1);
    } else {
        taps[0] = pool_column(p, w, left, rows, step, kind == POOL_ROW, maximum, part);
    }
}

/* The taps to where pool_load finds them: added or (fresh) written. */
FL_INLINE void pool_store(const vec *taps, real *p, fl_int left, const int kind, const int fresh, const int part)
{
    vec a = taps[0], b = vset(0);
    const fl_int n = kind == POOL_PAIRS ? 2 * left : left, na = fl_min(n, VL), nb = n - na;
    if (kind == POOL_PAIRS) vzip(taps[0], taps[1], &a, &b);
    if (!fresh) a += part ? vload_n(p, na, 0) : vload(p);
    if (part) vstore_n(p, a, na);
    else vstore(p, a);
    if (kind != POOL_PAIRS) return;
    if (!fresh) b += part ? vload_n(p + VL, nb, 0) : vload(p + VL);
    if (part) vstore_n(p + VL, b, nb);
    else vstore(p + VL, b);
}

/* In the loops over columns: of POOL_PAIRS, the last of an odd number comes with the one before it: nothing beyond is read. */
#define POOL_ALONE(j, s, kind) ((kind) == POOL_PAIRS && (j) + 1 == (s))

/* The maxima or sums of VL windows. */
FL_INLINE vec pool_windows(const real *x, fl_int w, fl_int left, fl_int rows, fl_int s, fl_int step, const int kind,
                           const int maximum, const int part)
{
    vec total = vset(0);
    for (fl_int j = 0; j < s; j += kind == POOL_PAIRS ? 2 : 1) {
        const fl_int alone = POOL_ALONE(j, s, kind);
        vec taps[2];
        pool_load(taps, x + j - alone, w, left, rows, step, kind, maximum, part);
        if (!alone) total = j ? pool_join(total, taps[0], maximum) : taps[0];
        if (kind == POOL_PAIRS) total = pool_join(total, taps[1], maximum);
    }
    return total;
}

/* Where the first maxima of VL windows are: how far from each window's first pixel. */
FL_INLINE ivec pool_firsts(const real *x, fl_int w, fl_int left, fl_int rows, fl_int s, fl_int step, const int kind, const int part)
{
    vec best = vset(-REAL_INF);
    ivec first = {0}, at = {0};
    for (fl_int i = 0; i < rows; i++, at += (bits)(w - s))
        for (fl_int j = 0; j < s; j += kind == POOL_PAIRS ? 2 : 1) {
            const fl_int alone = POOL_ALONE(j, s, kind);
            vec taps[2];
            pool_load(taps, x + i * w + j - alone, w, left, 1, step, kind, 1, part);
            for (int q = (int)alone; q < (kind == POOL_PAIRS ? 2 : 1); q++, at += 1) {
                const vmask better = pool_better(taps[q], best);
                best = vselect(better, taps[q], best);
                first = (ivec)vselect(better, (vec)at, (vec)first);
            }
        }
    return first;
}

/* VL windows of a row, or (part) `left` of them. x, image: their first pixels; value: one for each. size: what means are divided
 * by. */
FL_INLINE void pool_vector(const fl_pool_job *job, const real *x, real *image, real *value, fl_int left, fl_int rows, fl_int s,
                           real size, const int kind, const int mode, const int part)
{
    const fl_int w = job->w, step = kind == POOL_APART ? job->sw : kind;
    if (mode == FL_MEAN || mode == FL_MAXIMUM) {
        vec v = pool_windows(x, w, left, rows, s, step, kind, mode == FL_MAXIMUM, part);
        if (mode == FL_MEAN) v = v / size;
        if (part) vstore_n(value, v, left);
        else vstore(value, v);
    } else if (mode == FL_MEAN_TMV) {
        const vec v = (part ? vload_n(value, left, 0) : vload(value)) / size;
        for (fl_int j = 0; j < s; j += step) {
            const fl_int alone = POOL_ALONE(j, s, kind);
            const vec taps[2] = {alone ? vset(0) : v, v};
            pool_store(taps, image + j - alone, left, kind, 0, part);
        }
    } else {
        const ivec first = pool_firsts(x, w, left, rows, s, step, kind, part);
        bits at[VL];
        memcpy(at, &first, sizeof at);
        for (fl_int q = 0; q < (part ? left : VL); q++) {
            if (mode == FL_MAXIMUM_MV) value[q] = image[step * q + at[q]];
            else image[step * q + at[q]] += value[q];
        }
    }
}

FL_INLINE void pool_vectors(const fl_pool_job *job, const real *x, real *image, real *value, fl_int rows, fl_int s, real size,
                            const int kind, const int mode)
{
    const fl_int sw = job->sw, at = job->inner * sw - job->left;
    fl_int b = job->inner;
    x += at, image += at;
    for (; b + VL <= job->outer; b += VL, x += sw * VL, image += sw * VL)
        pool_vector(job, x, image, value + b, VL, rows, s, size, kind, mode, 0);
    if (b < job->outer) pool_vector(job, x, image, value + b, job->outer - b, rows, s, size, kind, mode, 1);
}

/* The sum of a window: of its rows, then of the lanes. */
FL_INLINE real pool_sum(const real *x, fl_int w, fl_int rows, fl_int cols)
{
    vec sum = vset(0);
    for (fl_int i = 0; i < rows; i++)
        for (fl_int j = 0; j < cols; j += VL) sum += vload_n(x + i * w + j, fl_min(cols - j, VL), 0);
    return vsum(sum);
}

/* Where the first maximum of a window is: those of its columns, a vector of them at a time, then the first of the largest. */
FL_INLINE fl_int pool_first(const real *x, fl_int w, fl_int rows, fl_int cols)
{
    fl_int first = 0;
    for (fl_int j = 0; j < cols; j += VL) {
        const fl_int n = fl_min(cols - j, VL);
        const ivec column = pool_firsts(x + j, w, n, rows, 1, 1, POOL_ROW, 1);
        bits at[VL];
        memcpy(at, &column, sizeof at);
        for (fl_int q = 0; q < n; q++) {
            const fl_int here = at[q] + j + q;
            const real v = x[here], top = x[first];
            const int better = (v > top) | ((v != v) & (top == top)), same = (v == top) | ((v != v) & (top != top));
            first = better | (same & (here < first)) ? here : first;
        }
    }
    return first;
}

/* One window, of which rows x cols pixels are inside. */
FL_INLINE void pool_one(const fl_pool_job *job, const real *x, real *image, real *value, fl_int rows, fl_int cols, real size,
                        const int mode)
{
    if (mode == FL_MEAN) {
        *value = pool_sum(x, job->w, rows, cols) / size;
    } else if (mode == FL_MEAN_TMV) {
        const real v = *value / size;
        for (fl_int j = 0; j < cols; j++) image[j] += v;
    } else if (cols <= 4) { /* faster in a lane of a vector than with branches that nobody can foresee */
        pool_vector(job, x, image, value, 1, rows, cols, size, POOL_ROW, mode, 1);
    } else {
        const fl_int first = pool_first(x, job->w, rows, cols);
        if (mode == FL_MAXIMUM_TMV) image[first] += *value;
        else *value = mode == FL_MAXIMUM ? x[first] : image[first];
    }
}

/* Of n rows or columns of a window from `begin` on: how many of the plane's `length` there are, and (first) the first of them. */
FL_INLINE fl_int pool_inside(fl_int begin, fl_int n, fl_int length, fl_int *first)
{
    *first = begin;
    if (begin >= 0 && begin + n <= length) return n;
    *first = fl_max(begin, 0);
    return fl_min(begin + n, length) - *first;
}

/* Of n rows or columns of a window from `begin` on, those that count in means: the plane's, and so many before and behind it. */
FL_INLINE fl_int pool_counted(fl_int begin, fl_int n, fl_int length, fl_int before, fl_int behind)
{
    return fl_min(begin + n, length + behind) - fl_max(begin, -before);
}

FL_INLINE fl_int pool_counted_rows(const fl_pool_job *job, fl_int begin)
{
    return job->whole ? job->r : pool_counted(begin, job->r, job->h, job->above, job->below);
}

/* The windows of which these rows, from x and image on, are inside, and `counted` rows count in means. */
FL_INLINE void pool_row(const fl_pool_job *job, const real *x, real *image, real *value, fl_int rows, fl_int counted,
                        const int mode)
{
    const int mean = mode == FL_MEAN || mode == FL_MEAN_TMV, apart = !mean && (job->sw > 2 || job->s < 2);
    const int fixed = mode != FL_MEAN_TMV && mode != FL_MAXIMUM_MV; /* one of a transpose has a row; the other is rare */
    const fl_int s = job->s, sw = job->sw;
    const real size = job->sums ? 1 : (real)(counted * s);
    if (job->inner < job->outer) {
        if (sw == 1) pool_vectors(job, x, image, value, rows, s, size, POOL_ROW, mode);
        else if (apart) pool_vectors(job, x, image, value, rows, s, size, POOL_APART, mode);
        else if (fixed && rows == 2 && s == 2) pool_vectors(job, x, image, value, 2, 2, size, POOL_PAIRS, mode);
        else if (fixed && rows == 3 && s == 3) pool_vectors(job, x, image, value, 3, 3, size, POOL_PAIRS, mode);
        else pool_vectors(job, x, image, value, rows, s, size, POOL_PAIRS, mode);
    }
    for (fl_int b = 0; (b = b == job->inner ? job->outer : b) < job->ow; b++) {
        const fl_int begin = b * sw - job->left;
        fl_int from;
        const fl_int cols = pool_inside(begin, s, job->w, &from);
        real own = size;
        if (mean && !job->whole) own = (real)(counted * pool_counted(begin, s, job->w, job->before, job->behind));
        pool_one(job, x + from, image + from, value + b, rows, cols, own, mode);
    }
}

/* The maxima of row a of windows, pixel by pixel. image: of a plane, from its row `base` on. */
FL_APART void pool_dilated(const fl_pool_job *job, const real *x, real *image, fl_int base, real *value, fl_int a, int mode)
{
    const fl_int w = job->w, dh = job->dh, dw = job->dw, up = a * job->sh - job->top, bottom = fl_min(up + job->high, job->h);
    const fl_int top = up < 0 ? up + ceil_div(-up, dh) * dh : up;
    for (fl_int b = 0; b < job->ow; b++) {
        const fl_int begin = b * job->sw - job->left, right = fl_min(begin + dw * (job->s - 1) + 1, w);
        const fl_int left = begin < 0 ? begin + ceil_div(-begin, dw) * dw : begin;
        fl_int first = top * w + left;
        real best = x[first];
        for (fl_int i = top; i < bottom; i += dh)
            for (fl_int j = left; j < right; j += dw)
                if (!(x[i * w + j] <= best) && best == best) first = i * w + j, best = x[first]; /* larger, or the first NaN */
        if (mode == FL_MAXIMUM_TMV) image[first - base * w] += value[b];
        else value[b] = mode == FL_MAXIMUM ? best : image[first];
    }
}

/* Rows a to end of windows. image: of a plane, from its row `base` on. */
FL_INLINE void pool_rows(const fl_pool_job *job, const real *x, real *image, fl_int base, real *value, fl_int a, fl_int end,
                         const int mode)
{
    if (mode != FL_MEAN && job->dilated) {
        for (; a < end; a++) pool_dilated(job, x, image, base, value + a * job->ow, a, mode);
        return;
    }
    for (; a < end; a++) {
        const fl_int begin = a * job->sh - job->top;
        fl_int from;
        const fl_int rows = pool_inside(begin, job->r, job->h, &from), counted = pool_counted_rows(job, begin);
        pool_row(job, x + from * job->w, image + (from - base) * job->w, value + a * job->ow, rows, counted, mode);
    }
}

/* The first row of windows that reaches row i of the image, or one below it. */
FL_INLINE fl_int pool_reaches(const fl_pool_job *job, fl_int i)
{
    const fl_int above = i + job->top - job->high; /* where windows begin that end above row i */
    const fl_int a = above < 0 ? 0 : above / job->sh + 1;
    return fl_min(a, job->oh);
}

/* The first row of windows that begins at row i of the image, or below it. */
FL_INLINE fl_int pool_begins(const fl_pool_job *job, fl_int i)
{
    const fl_int a = ceil_div(i + job->top, job->sh);
    return fl_min(a, job->oh);
}

/* A row of windows is spread over one row of pixels, and that is added to those rows of the image, out of top to bottom, that the
 * windows reach. */
FL_INLINE void pool_spread(const fl_pool_job *job, real *image, real *value, real *row, fl_int top, fl_int bottom)
{
    const fl_int w = job->w, last = pool_begins(job, bottom);
    fl_int written = top; /* rows of the image before this one */
    for (fl_int a = pool_reaches(job, top); a < last; a++) {
        const fl_int begin = a * job->sh - job->top, end = begin + job->r;
        const fl_int from = fl_max(begin, top), to = fl_min(end, bottom);
        memset(row, 0, (size_t)w * sizeof(real));
        pool_row(job, row, row, value + a * job->ow, 1, pool_counted_rows(job, begin), FL_MEAN_TMV);
        for (; written < from; written++) memset(image + written * w, 0, (size_t)w * sizeof(real));
        for (fl_int i = from; i < written; i++)
            for (fl_int j = 0; j < w; j++) image[i * w + j] += row[j];
        for (; written < to; written++) memcpy(image + written * w, row, (size_t)w * sizeof(real));
    }
    memset(image + written * w, 0, (size_t)((bottom - written) * w) * sizeof(real));
}

/* The transpose of maxima for the rows top to bottom of the image. Of a band, windows reach beyond it: their pixels wait in
 * scratch, where each gets its terms in the order of all windows. */
FL_INLINE void pool_scatter(const fl_pool_job *job, const real *x, real *image, real *value, real *scratch, fl_int top,
                            fl_int bottom)
{
    const fl_int w = job->w, a = pool_reaches(job, top), last = pool_begins(job, bottom);
    const fl_int first = a * job->sh - job->top, end = (last - 1) * job->sh - job->top + job->high;
    const fl_int above = fl_max(first, 0), below = fl_min(end, job->h);
    const fl_int from = fl_max(above, top), to = fl_min(below, bottom);
    const int band = job->bands > 1;
    memset(image + top * w, 0, (size_t)((bottom - top) * w) * sizeof(real));
    if (a >= last) return;
    if (band) memset(scratch, 0, (size_t)((below - above) * w) * sizeof(real));
    pool_rows(job, x, band ? scratch : image, band ? above : 0, value, a, last, FL_MAXIMUM_TMV);
    if (band && from < to) memcpy(image + from * w, scratch + (from - above) * w, (size_t)((to - from) * w) * sizeof(real));
}

/* The derivatives for VL windows of 2 x 2, or (part) `left` of them, that share no pixel: transposes write each pixel once. factor:
 * of FL_MEAN_TMV, 1 or 1/4, which is exact. */
FL_INLINE void pool_quarter(const real *x, real *image, real *value, fl_int w, fl_int left, real factor, const int mode,
                            const int part)
{
    vec upper[2], lower[2], v = vset(0);
    vmask second = {0}, third = {0}, fourth = {0};
    if (mode != FL_MEAN_TMV) {
        pool_load(upper, x, w, left, 1, 2, POOL_PAIRS, 1, part);
        pool_load(lower, x + w, w, left, 1, 2, POOL_PAIRS, 1, part);
        second = pool_better(upper[1], upper[0]);
        vec best = vselect(second, upper[1], upper[0]);
        third = pool_better(lower[0], best);
        best = vselect(third, lower[0], best);
        fourth = pool_better(lower[1], best);
    }
    if (mode == FL_MAXIMUM_MV) {
        pool_load(upper, image, w, left, 1, 2, POOL_PAIRS, 1, part);
        pool_load(lower, image + w, w, left, 1, 2, POOL_PAIRS, 1, part);
        v = vselect(fourth, lower[1], vselect(third, lower[0], vselect(second, upper[1], upper[0])));
        if (part) vstore_n(value, v, left);
        else vstore(value, v);
        return;
    }
    v = part ? vload_n(value, left, 0) : vload(value);
    if (mode == FL_MEAN_TMV) {
        upper[0] = upper[1] = lower[0] = lower[1] = v * factor;
    } else {
        const vec none = vset(0);
        upper[0] = vselect(second | third | fourth, none, v);
        upper[1] = vselect(second & ~(third | fourth), v, none);
        lower[0] = vselect(third & ~fourth, v, none);
        lower[1] = vselect(fourth, v, none);
    }
    pool_store(upper, image, left, POOL_PAIRS, 1, part);
    pool_store(lower, image + w, left, POOL_PAIRS, 1, part);
}

/* Rows a to end of windows; transposes write the rows from 2 a to `bottom` of the image. */
FL_INLINE void pool_quarters(const fl_pool_job *job, const real *x, real *image, real *value, fl_int a, fl_int end, fl_int bottom,
                             const int mode)
{
    const fl_int w = job->w, ow = job->ow;
    const real factor = job->sums ? 1 : (real)0.25;
    x += 2 * a * w, image += 2 * a * w, value += a * ow;
    for (; a < end; a++, x += 2 * w, image += 2 * w, value += ow) {
        fl_int b = 0;
        for (; b + VL <= ow; b += VL) pool_quarter(x + 2 * b, image + 2 * b, value + b, w, VL, factor, mode, 0);
        if (b < ow) pool_quarter(x + 2 * b, image + 2 * b, value + b, w, ow - b, factor, mode, 1);
        if (mode != FL_MAXIMUM_MV && w > 2 * ow) image[w - 1] = image[2 * w - 1] = 0;
    }
    if (mode != FL_MAXIMUM_MV && bottom > 2 * end) memset(image, 0, (size_t)w * sizeof(real));
}

/* The pixels times the derivative that follows from `of`. */
FL_INLINE void pool_fold(real *image, const real *of, fl_int n, const sigma *s, const int activation)
{
    fl_int i = 0;
    for (; i + VL <= n; i += VL) vstore(image + i, vload(image + i) * activation_derivative(vload(of + i), s, activation));
    if (i < n) {
        const vec d = activation_derivative(vload_n(of + i, n - i, 0), s, activation);
        vstore_n(image + i, vload_n(image + i, n - i, 0) * d, n - i);
    }
}

/* What a block does with rows first to end of a plane: of windows, or of the image for transposes. */
#define POOL_ROWS_ARGUMENTS \
    const fl_pool_job *job, const real *x, real *from, real *to, real *scratch, fl_int first, fl_int end, int quarters
FL_APART void pool_mean(POOL_ROWS_ARGUMENTS)
{
    (void)scratch, (void)quarters;
    pool_rows(job, x, from, 0, to, first, end, FL_MEAN);
}

FL_APART void pool_mean_tmv(POOL_ROWS_ARGUMENTS)
{
    if (quarters) pool_quarters(job, x, to, from, first / 2, fl_min(end / 2, job->oh), end, FL_MEAN_TMV);
    else pool_spread(job, to, from, scratch, first, end);
}

FL_APART void pool_maximum(POOL_ROWS_ARGUMENTS)
{
    (void)scratch, (void)quarters;
    pool_rows(job, x, from, 0, to, first, end, FL_MAXIMUM);
}

FL_APART void pool_maximum_mv(POOL_ROWS_ARGUMENTS)
{
    (void)scratch;
    if (quarters) pool_quarters(job, x, from, to, first, end, 0, FL_MAXIMUM_MV);
    else pool_rows(job, x, from, 0, to, first, end, FL_MAXIMUM_MV);
}

FL_APART void pool_maximum_tmv(POOL_ROWS_ARGUMENTS)
{
    if (quarters) pool_quarters(job, x, to, from, first / 2, fl_min(end / 2, job->oh), end, FL_MAXIMUM_TMV);
    else pool_scatter(job, x, to, from, scratch, first, end);
}

/* Planes stay in L1 or L2 from the first pass over them to the last. scratch: w reals for FL_MEAN_TMV, w (band + 2 high)
 * for FL_MAXIMUM_TMV in bands. */
void FL_ENTRY(pool)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_pool_job *job = (const fl_pool_job *)head;
    const fl_int pixels = job->h * job->w, windows = job->oh * job->ow, begin = block / job->bands * job->per_block;
    const fl_int end = fl_min(begin + job->per_block, job->planes);
    const int back = job->mode == FL_MEAN_TMV || job->mode == FL_MAXIMUM_TMV;
    const int quarters = job->r == 2 && job->s == 2 && job->sh == 2 && job->sw == 2 && !job->dilated && !job->top && !job->left
                         && 2 * job->oh <= job->h && 2 * job->ow <= job->w;
    const fl_int rows = back ? job->h : job->oh, first = block % job->bands * job->band;
    const fl_int last = fl_min(first + job->band, rows);
    for (fl_int p = begin; p < end; p++) {
        const real *x = (const real *)job->x + p * pixels;
        real *from = (real *)job->source + p * (back ? windows : pixels), *to = (real *)job->to + p * (back ? pixels : windows);
        switch (job->mode) {
        case FL_MEAN: pool_mean(job, x, from, to, scratch, first, last, quarters); break;
        case FL_MEAN_TMV: pool_mean_tmv(job, x, from, to, scratch, first, last, quarters); break;
        case FL_MAXIMUM: pool_maximum(job, x, from, to, scratch, first, last, quarters); break;
        case FL_MAXIMUM_MV: pool_maximum_mv(job, x, from, to, scratch, first, last, quarters); break;
        default: pool_maximum_tmv(job, x, from, to, scratch, first, last, quarters);
        }
        if (job->after.of) {
            const fl_int w = back ? job->w : job->ow, at = first * w, n = (last - first) * w;
            const real *of = (const real *)job->after.of + p * (back ? pixels : windows) + at;
            const sigma s = sigma_of(&job->after);
            FL_WITH_ACTIVATION(job->after.derivative, pool_fold(to + at, of, n, &s, activation))
        }
    }
}
