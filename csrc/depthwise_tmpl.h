/* depthwise_tmpl.h: convolutions of one channel each, without stride. There is nothing to share between rows of A, so the image is
 * read in place, with masks at its borders, and each of its rows serves several rows of pixels from registers. */

#undef DEEP
#define DEEP 4 /* rows of pixels at a time */

/* DEEP rows of nv registers of pixels from (a, b) on, 3 x 3 taps without dilation. */
FL_INLINE void FL_FN(depthwise_3x3)(vec (*s)[2], const fl_depthwise_job *job, const real *x, const real *w, fl_int a, fl_int b,
                                    const int nv)
{
    fl_int lo[3][2], hi[3][2];
    for (int j = 0; j < 3; j++)
        for (int u = 0; u < nv; u++) {
            const fl_int first = job->left - j - b - u * VL, end = job->w + first;
            lo[j][u] = first < 0 ? 0 : first > VL ? VL : first;
            hi[j][u] = end < 0 ? 0 : end > VL ? VL : end;
        }
#pragma GCC unroll 6
    for (int p = 0; p < DEEP + 2; p++) {
        const fl_int row = a + p - job->top;
        if (row < 0 || row >= job->h) continue;
#pragma GCC unroll 3
        for (int j = 0; j < 3; j++)
#pragma GCC unroll 2
            for (int u = 0; u < nv; u++) {
                const vec d = vload_range(x + row * job->w + b + u * VL + j - job->left, lo[j][u], hi[j][u]);
#pragma GCC unroll 4
                for (int q = 0; q < DEEP; q++)
                    if (p - q >= 0 && p - q < 3) s[q][u] += vset(w[(p - q) * 3 + j]) * d;
            }
    }
}

/* The same for any taps. */
static void FL_FN(depthwise_any)(vec (*s)[2], const fl_depthwise_job *job, const real *x, const real *w, fl_int a, fl_int b)
{
    for (fl_int j = 0; j < job->s; j++) {
        const fl_int first = job->left - j * job->dw - b, end = job->w + first;
        const fl_int lo = first < 0 ? 0 : first > VL ? VL : first, hi = end < lo ? lo : end > VL ? VL : end;
        for (fl_int i = 0; i < job->r; i++)
            for (int q = 0; q < DEEP; q++) {
                const fl_int row = a + q + i * job->dh - job->top;
                if (row >= 0 && row < job->h)
                    s[q][0] += vset(w[i * job->s + j]) * vload_range(x + row * job->w + b + j * job->dw - job->left, lo, hi);
            }
    }
}

/* scratch: r * s reals. */
static void FL_FN(depthwise)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_depthwise_job *job = (const fl_depthwise_job *)head;
    const fl_int planes = job->images * job->groups * job->rows, from = block * job->per_block;
    const fl_int to = from + job->per_block < planes ? from + job->per_block : planes, size = job->oh * job->ow, taps = job->r * job->s;
    const int small = job->r == 3 && job->s == 3 && job->dh == 1 && job->dw == 1;
    fl_gemm_job last = {.c = job->y, .ldc = size, .op = job->op, .r = job->residual, .ldr = size, .y = job->slope, .ldy = size,
                        .op2 = job->op2};
    real *w = scratch;
    for (fl_int plane = from; plane < to; plane++) {
        const fl_int k = plane % (job->groups * job->rows);
        const real *x = (const real *)job->x + plane / job->rows * job->h * job->w;
        real *y = (real *)job->y + plane * size;
        const vec start = vset(job->bias ? ((const real *)job->bias)[k] : 0);
        for (fl_int q = 0; q < taps; q++) w[q] = ((const real *)job->weights)[k * taps + job->place[q]];
        for (fl_int b = 0, nv; b < job->ow; b += nv * VL) {
            nv = small && job->ow - b > VL ? 2 : 1;
            for (fl_int a = 0; a < job->oh; a += DEEP) {
                vec s[DEEP][2];
                for (int q = 0; q < DEEP; q++) s[q][0] = s[q][1] = start;
                if (!small) FL_FN(depthwise_any)(s, job, x, w, a, b);
                else if (nv == 2) FL_FN(depthwise_3x3)(s, job, x, w, a, b, 2);
                else FL_FN(depthwise_3x3)(s, job, x, w, a, b, 1);
                for (fl_int q = 0; q < DEEP && a + q < job->oh; q++)
                    for (fl_int u = 0; u < nv; u++) {
                        const fl_int left = job->ow - b - u * VL < VL ? job->ow - b - u * VL : VL;
                        real *out = y + (a + q) * job->ow + b + u * VL;
                        if (job->accumulate) s[q][u] += vload_n(out, left, 0);
                        vstore_n(out, s[q][u], left);
                    }
            }
        }
        if (job->op != FL_IDENTITY || job->residual || job->slope) FL_FN(gemm_finish)(&last, y, size, plane, 1, 0, size);
    }
}

/* s[i][j] += the sum over a register's columns, all rows, of v at (a, b + lane) times x at (a + i - top, b + lane + j - left). */
FL_INLINE void FL_FN(depthwise_dots)(vec (*s)[3], const fl_depthwise_weights_job *job, const real *v, const real *x, fl_int b)
{
    const fl_int left = job->ow - b < VL ? job->ow - b : VL;
    fl_int lo[3], hi[3];
    vec last[3] = {vset(0), vset(0), vset(0)}; /* v for the row of the image minus i */
    for (int j = 0; j < 3; j++) {
        const fl_int first = job->left - j - b, end = job->w + first;
        lo[j] = first < 0 ? 0 : first > VL ? VL : first;
        hi[j] = end < lo[j] ? lo[j] : end > left ? left : end; /* not where v has no pixel: an infinity may be there */
    }
    for (fl_int row = 0; row < job->h; row++) {
        const fl_int a = row + job->top;
        last[2] = last[1];
        last[1] = last[0];
        if (row == 0) { /* the rows of v above have met the zeros above the image alone */
            if (a - 1 >= 0 && a - 1 < job->oh) last[1] = vload_n(v + (a - 1) * job->ow + b, left, 0);
            if (a - 2 >= 0 && a - 2 < job->oh) last[2] = vload_n(v + (a - 2) * job->ow + b, left, 0);
        }
        if (a < job->oh) last[0] = vload_n(v + a * job->ow + b, left, 0);
        for (int j = 0; j < 3; j++) {
            const vec d = vload_range(x + row * job->w + b + j - job->left, lo[j], hi[j]);
            for (int i = 0; i < 3; i++)
                if (a - i >= 0 && a - i < job->oh) s[i][j] += last[i] * d;
        }
    }
}

static void FL_FN(depthwise_weights)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_depthwise_weights_job *job = (const fl_depthwise_weights_job *)head;
    const fl_int all = job->groups * job->rows, from = block * job->per_block;
    const fl_int to = from + job->per_block < all ? from + job->per_block : all;
    (void)scratch;
    for (fl_int k = from; k < to; k++) {
        real *dw = (real *)job->dw + 9 * k;
        double total[9] = {0};
        for (fl_int n = 0; n < job->images; n++) {
            const real *v = (const real *)job->v + (n * all + k) * job->oh * job->ow;
            const real *x = (const real *)job->x + (n * job->groups + k / job->rows) * job->h * job->w;
            vec s[3][3];
            for (int q = 0; q < 9; q++) s[q / 3][q % 3] = vset(0);
            for (fl_int b = 0; b < job->ow; b += VL) FL_FN(depthwise_dots)(s, job, v, x, b);
            for (int q = 0; q < 9; q++) total[q] += (double)vsum(s[q / 3][q % 3]);
        }
        for (int q = 0; q < 9; q++) dw[q] = (real)total[q];
    }
}
