/* im2col.c: windows of images as the columns of a matrix, and back (lecture chapter 5: a convolution is a matrix).
 *
 * Row (p, i, j) of the columns is plane p, moved by tap (i, j) of the window, at every sh-th row and sw-th column. */
#include "kernels/im2col.h"
#include "shared/blocks.h"
#include "simd/simd.h"

/* The first of 0..n whose place at * step + offset is not below `from`. */
FL_INLINE fl_int first_at(fl_int from, fl_int step, fl_int offset, fl_int n)
{
    const fl_int ahead = from - offset, at = ahead <= 0 ? 0 : step == 1 ? ahead : ceil_div(ahead, step);
    return fl_min(at, n);
}

FL_INLINE void copy_run(real *y, const real *x, fl_int n)
{
    fl_int i = 0;
    for (; i + VL <= n; i += VL) vstore(y + i, vload(x + i));
    vstore_n(y + i, vload_n(x + i, n - i, 0), n - i);
}

FL_INLINE void add_run(real *y, const real *x, fl_int n)
{
    fl_int i = 0;
    for (; i + VL <= n; i += VL) vstore(y + i, vload(y + i) + vload(x + i));
    vstore_n(y + i, vload_n(y + i, n - i, 0) + vload_n(x + i, n - i, 0), n - i);
}

FL_INLINE void zero_run(real *y, fl_int n)
{
    fl_int i = 0;
    for (; i + VL <= n; i += VL) vstore(y + i, vset(0));
    vstore_n(y + i, vset(0), n - i);
}

/* y past the caches, from x in them. */
FL_INLINE void stream_run(real *y, const real *x, fl_int n)
{
    fl_int i = (fl_int)(-(uintptr_t)y % VECTOR_BYTES / sizeof(real));
    i = fl_min(i, n);
    copy_run(y, x, i);
    for (; i + VL <= n; i += VL) vstream(y + i, vload(x + i));
    copy_run(y + i, x + i, n - i);
}

/* `count` rows of ow elements, from row a on, of what tap (i, j) sees of the plane x. */
FL_INLINE void tap_rows(const fl_columns_job *job, real *out, const real *x, fl_int i, fl_int j, fl_int a, fl_int count)
{
    const fl_int h = job->h, w = job->w, sh = job->sh, sw = job->sw, ow = job->ow;
    const fl_int down = job->dh * i - job->top + sh * a, right = job->dw * j - job->left;
    const fl_int b = first_at(0, sw, right, ow), end = first_at(w, sw, right, ow); /* inside the image */
    const fl_int above = b < end ? first_at(0, sh, down, count) : count, below = first_at(h, sh, down, count);

    if (above >= below) {
        zero_run(out, count * ow);
        return;
    }
    zero_run(out, above * ow);
    zero_run(out + below * ow, (count - below) * ow);
    x += (above * sh + down) * w + b * sw + right;
    out += above * ow;
    if (sh == 1 && sw == 1 && ow == w) { /* the rows are as far apart here as there: what lies between is overwritten */
        copy_run(out + b, x, (below - above - 1) * w + end - b);
    } else {
        for (fl_int q = 0; q < below - above; q++) {
            const real *from = x + q * sh * w;
            real *to = out + q * ow + b;
            if (sw == 1) copy_run(to, from, end - b);
            else if (sw == 2)
                for (fl_int k = 0; k < end - b; k++) to[k] = from[2 * k];
            else
                for (fl_int k = 0; k < end - b; k++) to[k] = from[k * sw];
        }
    }
    for (fl_int q = 0; q < below - above && (b > 0 || end < ow); q++) {
        for (fl_int k = 0; k < b; k++) out[q * ow + k] = 0;
        for (fl_int k = end; k < ow; k++) out[q * ow + k] = 0;
    }
}

/* scratch where `stream`: per_piece rows. */
void FL_ENTRY(im2col)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_columns_job *job = (const fl_columns_job *)head;
    const fl_int oh = job->oh, ow = job->ow, taps = job->r * job->s, plane = job->h * job->w;
    const fl_int from = block * job->per_block, to = fl_min(from + job->per_block, job->rows);
    for (fl_int row = from, count; row < to; row += count) {
        const fl_int tap = row / oh, a = row % oh, most = job->stream ? job->per_piece : to - row;
        real *out = (real *)job->columns + row * ow;
        count = fl_min(oh - a, to - row);
        count = fl_min(count, most);
        tap_rows(job, job->stream ? scratch : out, (const real *)job->x + tap / taps * plane, tap % taps / job->s, tap % job->s, a,
                 count);
        if (job->stream) stream_run(out, scratch, count * ow);
    }
    if (job->stream) vstream_end();
}

/* One row of x at a time: every tap adds what it saw there, in order. */
void FL_ENTRY(col2im)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_columns_job *job = (const fl_columns_job *)head;
    const fl_int h = job->h, w = job->w, sw = job->sw, oh = job->oh, ow = job->ow;
    const fl_int from = block * job->per_block, to = fl_min(from + job->per_block, job->rows);
    (void)scratch;
    for (fl_int row = from; row < to; row++) {
        real *x = (real *)job->x + row * w;
        zero_run(x, w);
        for (fl_int i = 0; i < job->r; i++) {
            const fl_int down = row % h + job->top - job->dh * i, a = job->sh == 1 ? down : down / job->sh;
            if (down < 0 || a * job->sh != down || a >= oh) continue;
            const real *seen = (const real *)job->columns + ((row / h * job->r + i) * job->s * oh + a) * ow;
            for (fl_int j = 0; j < job->s; j++, seen += oh * ow) {
                const fl_int right = job->dw * j - job->left;
                const fl_int b = first_at(0, sw, right, ow), end = first_at(w, sw, right, ow);
                if (b >= end) continue;
                real *to_x = x + b * sw + right;
                if (sw == 1) add_run(to_x, seen + b, end - b);
                else
                    for (fl_int k = 0; k < end - b; k++) to_x[k * sw] += seen[b + k];
            }
        }
    }
}
