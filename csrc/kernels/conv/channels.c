/* channels.c: convolutions with lanes along the channels of y and a run of pixels, read one by one, in the place of the rows of A:
 * no lane is wasted whatever the size of the image, if the channels fill registers. The result is transposed. */
#include "kernels/conv/part.h"
#include "kernels/conv/planes.h"
#include "kernels/conv/transposed.h"
#include "shared/blocks.h"

/* out[i * ldo + lane] = start[lane] + the sum over channels and taps of A's lanes times pixel i, for `pixels` of each of `rows`
 * rows, and nv registers. */
FL_INLINE void conv_run(real *out, fl_int ldo, const real *a, const real *x, fl_int plane, fl_int channels, const fl_int *offset,
                        fl_int taps, const real *start, fl_int pitch, fl_int ahead, const int pixels, const int rows,
                        const int step, const int nv)
{
    vec s[RUN_PIXELS][2];
#pragma GCC unroll 14
    for (int i = 0; i < rows * pixels; i++)
#pragma GCC unroll 2
        for (int j = 0; j < nv; j++) s[i][j] = vload(start + j * VL);
    for (fl_int c = 0; c < channels; c++, x += plane)
        for (fl_int q = 0; q < taps; q++, a += nv * VL) {
            const real *at = x + offset[q];
            vec w[2];
            __builtin_prefetch(at + ahead);
#pragma GCC unroll 2
            for (int j = 0; j < nv; j++) w[j] = vload(a + j * VL);
#pragma GCC unroll 14
            for (int i = 0; i < rows * pixels; i++) {
                const vec d = vset(at[i / pixels * pitch + i % pixels * step]);
#pragma GCC unroll 2
                for (int j = 0; j < nv; j++) s[i][j] += d * w[j];
            }
        }
#pragma GCC unroll 14
    for (int i = 0; i < rows * pixels; i++)
#pragma GCC unroll 2
        for (int j = 0; j < nv; j++) vstore(out + i * ldo + j * VL, s[i][j]);
}

#define CONV_RUN_CASE(step, rows, pixels)                                                                                  \
    case (step * 2 + rows) * 16 + pixels:                                                                                  \
        if (mr == VL) conv_run(out, ldo, a, x, plane, channels, offset, taps, start, pitch, ahead, pixels, rows, step, 1); \
        else conv_run(out, ldo, a, x, plane, channels, offset, taps, start, pitch, ahead, pixels, rows, step, 2);          \
        break;
#define CONV_RUN_STEPS(pixels) CONV_RUN_CASE(1, 1, pixels) CONV_RUN_CASE(2, 1, pixels)

static void conv_run_of(real *out, fl_int ldo, fl_int mr, const real *a, const real *x, fl_int plane, fl_int channels,
                        const fl_int *offset, fl_int taps, const real *start, fl_int pitch, fl_int step, fl_int ahead,
                        fl_int pixels, fl_int rows)
{
    switch ((step * 2 + rows) * 16 + pixels) {
        CONV_RUN_STEPS(1)
        CONV_RUN_STEPS(2)
        CONV_RUN_STEPS(3)
        CONV_RUN_STEPS(4)
        CONV_RUN_STEPS(5)
        CONV_RUN_STEPS(6)
        CONV_RUN_CASE(1, 2, 1)
        CONV_RUN_CASE(1, 2, 2)
        CONV_RUN_CASE(1, 2, 3)
#if RUN_PIXELS == 14
        CONV_RUN_STEPS(7)
        CONV_RUN_STEPS(8)
        CONV_RUN_STEPS(9)
        CONV_RUN_STEPS(10)
        CONV_RUN_STEPS(11)
        CONV_RUN_STEPS(12)
        CONV_RUN_STEPS(13)
        CONV_RUN_STEPS(14)
        CONV_RUN_CASE(1, 2, 4)
        CONV_RUN_CASE(1, 2, 5)
        CONV_RUN_CASE(1, 2, 6)
        CONV_RUN_CASE(1, 2, 7)
#endif
    }
}

/* Prefetches n pixels of some rows, which will be stored. */
FL_INLINE void conv_prefetch(const real *y, fl_int size, fl_int rows, fl_int n)
{
    for (fl_int i = 0; i < rows; i++)
        for (fl_int t = n - 1; t >= 0; t -= 64 / (fl_int)sizeof(real)) __builtin_prefetch(y + i * size + t, 1);
}

/* Rows of pixels of one phase and one panel of channels. */
typedef struct {
    real *out; /* pixel (i, j), channel k at out[(i * cols + j) * ldo + k] */
    fl_int ldo;
    const real *a, *x, *start; /* x: where the taps of pixel (0, 0) begin */
    fl_int channels, rows, cols;
    fl_int run;    /* pixels of a run, at most */
    const real *y; /* prefetched, as are the pixels of the next run, for `valid` channels: where they will be stored; or NULL */
    fl_int valid;
} conv_strip;

static void conv_compute_strip(const fl_conv_job *job, const fl_conv_phase *phase, const conv_strip *S)
{
    const fl_conv_planes *P = &job->planes;
    const fl_int cols = S->cols, rows = S->rows, down = P->pitch * P->step_y, run = fl_min(cols, S->run);
    const fl_int plane = job->flat ? 0 : P->phases_y * P->phases_x * P->plane;
    const fl_int channels = job->flat ? 1 : S->channels, taps = job->flat ? S->channels : phase->taps;
    const fl_int two = 2 * cols <= RUN_PIXELS && rows > 1 && P->step_x == 1 ? 2 : 1;
    for (fl_int i = 0; i < rows; i += two) /* the last runs compute some pixels again */
        for (fl_int j = 0; j < cols; j += run) {
            const fl_int p = fl_min(i, rows - two), q = fl_min(j, cols - run);
            if (S->y) conv_prefetch(S->y + q, job->oh * job->ow, S->valid, run);
            conv_run_of(S->out + (p * cols + q) * S->ldo, S->ldo, job->mr, S->a, S->x + p * down + q * P->step_x, plane, channels,
                        job->offset + phase->first, taps, S->start, down, P->step_x, S->y ? run : 0, run, two);
        }
}

/* mr: lanes of a panel, one register or two. scratch: FL_CONV_STRIP + VL pixels of 2 VL lanes; then as for conv, or no planes where
 * pixels are read in place. */
void FL_ENTRY(conv_channels)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_conv_job *job = (const fl_conv_job *)head;
    const fl_conv_planes *P = &job->planes;
    const conv_part at = conv_part_of(job, block);
    const fl_int plane_rows = P->plane_rows - (P->tile_rows - at.high) * P->step_y,
                 per_channel = P->phases_y * P->phases_x * P->plane;
    const fl_int size = job->oh * job->ow, mr = job->mr, first_row = (at.image * job->groups + at.group) * job->rows;
    const fl_int down = P->pitch * P->step_y; /* to the pixels of the grid's next row */
    const fl_int beside = job->beside;
    const real *x = (const real *)job->x + (at.image * job->groups + at.group) * job->channels * P->h * P->w;
    real *buffer = scratch, *copies = buffer + (FL_CONV_STRIP + VL) * 2 * VL;
    const fl_epilogue *after = &job->after;

    for (fl_int c = 0; c == 0 || c < job->channels; c += job->chunk) {
        const fl_int channels = fl_min(job->channels - c, job->chunk);
        const real *planes = copies;
        if (job->in_place) planes = x + c * P->plane + at.a0 * down + at.b0 * P->step_x;
        else
            for (fl_int i = 0; i < channels; i++)
                planes_of(copies + i * per_channel, P->plane, x + (c + i) * P->h * P->w, P, at.a0, at.b0, plane_rows);
        for (fl_int f = 0; f < job->phases; f += beside) { /* phases of columns go to y together: the first has most */
            const fl_conv_phase *phase = job->phase + f;
            const fl_int rows = fl_min(phase->rows - at.a0, at.high);
            const fl_int cols = fl_min(phase->cols - at.b0, at.wide); /* neither need be positive: the epilogue follows even then */
            const fl_int wide = even_piece(fl_max(cols, 1), FL_CONV_STRIP / beside), high = FL_CONV_STRIP / (wide * beside);
            const fl_int run = even_piece(wide, RUN_PIXELS);
            for (fl_int panel = at.from; panel < at.to; panel++) {
                const fl_int row = panel * mr, valid = fl_min(job->rows - row, mr);
                real start[2 * VL] = {0};
                if (after->bias && c == 0)
                    for (fl_int i = 0; i < valid; i++) start[i] = ((const real *)after->bias)[at.group * job->rows + row + i];
                for (fl_int p = 0; p < rows; p += high)
                    for (fl_int q = 0; q < cols; q += wide) {
                        const fl_int here = fl_min(rows - p, high), across = fl_min(cols - q, wide);
                        const fl_int pitch = across * beside, column = (at.b0 + q) * job->across + phase->col;
                        const fl_int there = beside > 1 && job->ow - column < pitch ? job->ow - column : pitch;
                        const int dense = pitch == job->ow && there == pitch && job->down == 1 && (beside > 1 || job->across == 1);
                        real *y =
                            (real *)job->y + (first_row + row) * size + ((at.a0 + p) * job->down + phase->row) * job->ow + column;
                        for (fl_int s = 0; s < beside; s++) {
                            const fl_int depth = job->channels * phase[s].taps * mr;
                            const real *a = (const real *)job->a + phase[s].panels + (at.group * job->panels + panel) * depth;
                            const conv_strip strip = {
                                .out = buffer + s * mr,
                                .ldo = beside * mr,
                                .a = a + c * phase[s].taps * mr,
                                .x = planes + p * down + q * P->step_x,
                                .start = start,
                                .channels = channels,
                                .rows = here,
                                .cols = across,
                                .run = run,
                                .y = job->flat ? y : NULL,
                                .valid = valid,
                            };
                            conv_compute_strip(job, phase + s, &strip);
                        }
                        const conv_target target = {
                            .y = y,
                            .plane = size,
                            .pitch = dense ? here * pitch : pitch,
                            .cols = dense ? here * pitch : there,
                            .row_step = job->down * job->ow,
                            .col_step = beside > 1 ? 1 : job->across,
                            .add = c > 0 || after->accumulate,
                        };
                        conv_scatter_transposed(&target, buffer, mr, valid, here * pitch);
                    }
                if (epilogue_follows_bias(after) && c + job->chunk >= job->channels && f + beside >= job->phases)
                    conv_finish_part(job, first_row + row, valid, at.a0, at.high, at.b0, at.wide);
            }
        }
    }
}
