/* pool_tmpl.h: maxima and means of windows, and their derivatives: a row of windows at a time. Windows that are inside the plane
 * and one or two columns apart go VL at a time, one lane for each; the others one by one. */

/* b if it is larger than a or NaN, else a: a NaN is never lost. Or the sum. */
FL_INLINE vec FL_FN(pool_join)(vec a, vec b, const int maximum)
{
    if (!maximum) return a + b;
    return vselect(vbelow(a, b) | ~vequal(b, b), b, a);
}

/* VL pixels of each row, joined over the rows; or (part) the first n of them. */
FL_INLINE vec FL_FN(pool_column)(const real *p, fl_int w, fl_int n, fl_int rows, const int maximum, const int part)
{
    vec column = part ? vload_n(p, n, 0) : vload(p);
    for (fl_int i = 1; i < rows; i++) column = FL_FN(pool_join)(column, part ? vload_n(p + i * w, n, 0) : vload(p + i * w), maximum);
    return column;
}

/* One pixel of each of VL windows that are sw columns apart: taps[0][q] = p[sw q]. For sw 2 its neighbour too: taps[1][q] =
 * p[2 q + 1]. Or (part) those of `left` windows. Joined over the rows. */
FL_INLINE void FL_FN(pool_load)(vec *taps, const real *p, fl_int w, fl_int left, fl_int rows, const int sw, const int maximum,
                                const int part)
{
    if (sw == 1) {
        taps[0] = FL_FN(pool_column)(p, w, left, rows, maximum, part);
    } else {
        const fl_int na = 2 * left < VL ? 2 * left : VL, nb = 2 * left - na;
        const vec a = FL_FN(pool_column)(p, w, na, rows, maximum, part);
        const vec b = FL_FN(pool_column)(p + VL, w, nb, rows, maximum, part);
        vunzip(a, b, taps, taps + 1);
    }
}

/* Adds the taps to where pool_load finds them. */
FL_INLINE void FL_FN(pool_add)(vec *taps, real *p, fl_int left, const int sw, const int part)
{
    if (sw == 1) {
        if (part) vstore_n(p, vload_n(p, left, 0) + taps[0], left);
        else vstore(p, vload(p) + taps[0]);
    } else {
        const fl_int na = 2 * left < VL ? 2 * left : VL, nb = 2 * left - na;
        vec a, b;
        vzip(taps[0], taps[1], &a, &b);
        if (part) {
            vstore_n(p, vload_n(p, na, 0) + a, na);
            vstore_n(p + VL, vload_n(p + VL, nb, 0) + b, nb);
        } else {
            vstore(p, vload(p) + a);
            vstore(p + VL, vload(p + VL) + b);
        }
    }
}

/* The maxima or sums of VL windows. The last of an odd number of columns comes with the one before it: nothing is read beyond. */
FL_INLINE vec FL_FN(pool_windows)(const real *x, fl_int w, fl_int left, fl_int rows, fl_int s, const int sw, const int maximum,
                                  const int part)
{
    vec total = vset(maximum ? -REAL_INF : 0);
    for (fl_int j = 0; j < s; j += sw) {
        const fl_int alone = sw == 2 && j + 1 == s;
        vec taps[2];
        FL_FN(pool_load)(taps, x + j - alone, w, left, rows, sw, maximum, part);
        if (!alone) total = FL_FN(pool_join)(total, taps[0], maximum);
        if (sw == 2) total = FL_FN(pool_join)(total, taps[1], maximum);
    }
    return total;
}

/* The windows whose maximum, `top`, is this tap, and was not found before. */
FL_INLINE vmask FL_FN(pool_hit)(vec x, vec top, vmask *found)
{
    const vmask hit = (vequal(x, top) | ~vequal(x, x)) & ~*found;
    *found |= hit;
    return hit;
}

/* VL windows, or (part) `left` of them. x, image: their first pixels; value: one for each. image and value are from and to. */
FL_INLINE void FL_FN(pool_vector)(const fl_pool_job *job, const real *x, real *image, real *value, fl_int left, fl_int rows, fl_int s,
                                  const int sw, const int mode, const int part)
{
    const fl_int w = job->w;
    const real size = (real)(job->r * job->s);
    const int back = mode == FL_MEAN_TMV || mode == FL_MAXIMUM_TMV, maximum = mode != FL_MEAN && mode != FL_MEAN_TMV;
    vec v = vset(0), top = vset(0);
    vmask found = {0};
    if (mode == FL_MEAN) v = FL_FN(pool_windows)(image, w, left, rows, s, sw, 0, part) / size;
    if (maximum) top = FL_FN(pool_windows)(x, w, left, rows, s, sw, 1, part);
    if (mode == FL_MAXIMUM) v = top;
    if (back) v = part ? vload_n(value, left, 0) : vload(value);
    if (mode == FL_MEAN_TMV) v = v / size;
    if (mode == FL_MAXIMUM_MV || back)
        for (fl_int i = 0; i < rows; i++)
            for (fl_int j = 0; j < s; j += sw) {
                const fl_int alone = sw == 2 && j + 1 == s, at = i * w + j - alone;
                vec here[2], taps[2];
                if (maximum) FL_FN(pool_load)(here, x + at, w, left, 1, sw, 1, part);
                if (mode == FL_MAXIMUM_MV) FL_FN(pool_load)(taps, image + at, w, left, 1, sw, 1, part);
                for (int q = 0; q < sw; q++) {
                    if (q == 0 && alone) taps[q] = vset(0);
                    else if (mode == FL_MEAN_TMV) taps[q] = v;
                    else if (mode == FL_MAXIMUM_TMV) taps[q] = vselect(FL_FN(pool_hit)(here[q], top, &found), v, vset(0));
                    else v = vselect(FL_FN(pool_hit)(here[q], top, &found), taps[q], v);
                }
                if (back) FL_FN(pool_add)(taps, image + at, left, sw, part);
            }
    if (back) return;
    if (part) vstore_n(value, v, left);
    else vstore(value, v);
}

FL_INLINE void FL_FN(pool_vectors)(const fl_pool_job *job, const real *x, real *image, real *value, fl_int count, fl_int rows, fl_int s,
                                   const int sw, const int mode)
{
    fl_int b = 0;
    for (; b + VL <= count; b += VL) FL_FN(pool_vector)(job, x + sw * b, image + sw * b, value + b, VL, rows, s, sw, mode, 0);
    if (b < count) FL_FN(pool_vector)(job, x + sw * b, image + sw * b, value + b, count - b, rows, s, sw, mode, 1);
}

/* The first maximum of a window: how far from its first pixel. */
FL_INLINE fl_int FL_FN(pool_first)(const real *x, fl_int w, fl_int rows, fl_int cols)
{
    fl_int first = 0;
    for (fl_int i = 0; i < rows; i++)
        for (fl_int j = 0; j < cols; j++) {
            const real here = x[i * w + j], best = x[first];
            if (best == best && (here > best || here != here)) first = i * w + j;
        }
    return first;
}

/* The sum of a window: of its rows, then of the lanes. */
FL_INLINE real FL_FN(pool_sum)(const real *x, fl_int w, fl_int rows, fl_int cols)
{
    vec sum = vset(0);
    for (fl_int i = 0; i < rows; i++)
        for (fl_int j = 0; j < cols; j += VL) sum += vload_n(x + i * w + j, cols - j < VL ? cols - j : VL, 0);
    return vsum(sum);
}

/* One window, of which rows x cols pixels are inside. */
FL_INLINE void FL_FN(pool_one)(const fl_pool_job *job, const real *x, real *image, real *value, fl_int rows, fl_int cols, const int mode)
{
    const fl_int w = job->w;
    const real size = (real)(job->r * job->s);
    switch (mode) {
    case FL_MEAN: *value = FL_FN(pool_sum)(image, w, rows, cols) / size; break;
    case FL_MEAN_TMV:
        for (fl_int i = 0; i < rows; i++)
            for (fl_int j = 0; j < cols; j++) image[i * w + j] += *value / size;
        break;
    case FL_MAXIMUM: *value = x[FL_FN(pool_first)(x, w, rows, cols)]; break;
    case FL_MAXIMUM_MV: *value = image[FL_FN(pool_first)(x, w, rows, cols)]; break;
    default: image[FL_FN(pool_first)(x, w, rows, cols)] += *value; break;
    }
}

FL_INLINE void FL_FN(pool_plane)(const fl_pool_job *job, const real *x, real *image, real *value, const int mode)
{
    const fl_int h = job->h, w = job->w, r = job->r, s = job->s, sh = job->sh, sw = job->sw;
    /* windows [inner, outer) of a row go by vectors */
    fl_int inner = (job->left + sw - 1) / sw, outer = w + job->left < s ? 0 : (w + job->left - s) / sw + 1;
    if (outer > job->ow) outer = job->ow;
    if (inner > outer || sw > 2 || s < sw) inner = outer = 0;
    for (fl_int a = 0; a < job->oh; a++) {
        const fl_int begin = a * sh > job->top ? a * sh - job->top : 0, end = a * sh - job->top + r < h ? a * sh - job->top + r : h;
        const fl_int rows = end - begin, at = begin * w + inner * sw - job->left, count = outer - inner;
        if (count) {
            real *first = value + a * job->ow + inner;
            if (sw == 2 && rows == 2 && s == 2) FL_FN(pool_vectors)(job, x + at, image + at, first, count, 2, 2, 2, mode);
            else if (sw == 2 && rows == 3 && s == 3) FL_FN(pool_vectors)(job, x + at, image + at, first, count, 3, 3, 2, mode);
            else if (sw == 2) FL_FN(pool_vectors)(job, x + at, image + at, first, count, rows, s, 2, mode);
            else FL_FN(pool_vectors)(job, x + at, image + at, first, count, rows, s, 1, mode);
        }
        for (fl_int b = 0; (b = b == inner ? outer : b) < job->ow; b++) {
            const fl_int from = b * sw > job->left ? b * sw - job->left : 0, to = b * sw - job->left + s < w ? b * sw - job->left + s : w;
            FL_FN(pool_one)(job, x + begin * w + from, image + begin * w + from, value + a * job->ow + b, rows, to - from, mode);
        }
    }
}

/* The pixels times op'(y). */
FL_INLINE void FL_FN(pool_fold)(real *image, const real *y, fl_int n, const int op)
{
    for (fl_int i = 0; i < n; i += VL) {
        const fl_int left = n - i < VL ? n - i : VL;
        vstore_n(image + i, vload_n(image + i, left, 0) * FL_FN(slope_of)(vload_n(y + i, left, 0), op), left);
    }
}

/* Planes stay in L1 or L2 from the first pass over them to the last. */
static void FL_FN(pool)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_pool_job *job = (const fl_pool_job *)head;
    const fl_int pixels = job->h * job->w, windows = job->oh * job->ow, begin = block * job->per_block;
    const fl_int end = begin + job->per_block < job->planes ? begin + job->per_block : job->planes;
    const int back = job->mode == FL_MEAN_TMV || job->mode == FL_MAXIMUM_TMV;
    (void)scratch;
    for (fl_int p = begin; p < end; p++) {
        const real *x = (const real *)job->x + p * pixels;
        real *from = (real *)job->from + p * (back ? windows : pixels), *to = (real *)job->to + p * (back ? pixels : windows);
        if (back) memset(to, 0, (size_t)pixels * sizeof(real));
        switch (job->mode) {
        case FL_MEAN: FL_FN(pool_plane)(job, x, from, to, FL_MEAN); break;
        case FL_MEAN_TMV: FL_FN(pool_plane)(job, x, to, from, FL_MEAN_TMV); break;
        case FL_MAXIMUM: FL_FN(pool_plane)(job, x, from, to, FL_MAXIMUM); break;
        case FL_MAXIMUM_MV: FL_FN(pool_plane)(job, x, from, to, FL_MAXIMUM_MV); break;
        default: FL_FN(pool_plane)(job, x, to, from, FL_MAXIMUM_TMV); break;
        }
        if (back && job->op != FL_IDENTITY) {
            const real *y = (const real *)job->y + p * pixels;
            switch (job->op) {
            case FL_TANH: FL_FN(pool_fold)(to, y, pixels, FL_TANH); break;
            case FL_SIGMOID: FL_FN(pool_fold)(to, y, pixels, FL_SIGMOID); break;
            default: FL_FN(pool_fold)(to, y, pixels, FL_RELU); break;
            }
        }
    }
}
