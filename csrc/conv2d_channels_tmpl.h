/* conv2d_channels_tmpl.h: the same product with lanes along the channels of y and a run of pixels, read one by one, in the place of
 * rows of A: none is computed in vain whatever the size of the image, if the channels fill registers. What comes out is turned. */

/* out[i * ldo + lane] = start[lane] + the sum over channels and taps of A's lanes times pixel i, for `pixels` of each of `rows` rows,
 * and nv registers. */
FL_INLINE void FL_FN(conv_run)(real *out, fl_int ldo, const real *a, const real *x, fl_int plane, fl_int channels,
                               const fl_int *offset, fl_int taps, const real *start, fl_int pitch, fl_int ahead, const int pixels,
                               const int rows, const int step, const int nv)
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

#undef CONV_RUN_CASE
#define CONV_RUN_CASE(step, rows, pixels)                                                                                     \
    case (step * 2 + rows) * 16 + pixels:                                                                                     \
        if (mr == VL) FL_FN(conv_run)(out, ldo, a, x, plane, channels, offset, taps, start, pitch, ahead, pixels, rows, step, 1); \
        else FL_FN(conv_run)(out, ldo, a, x, plane, channels, offset, taps, start, pitch, ahead, pixels, rows, step, 2);      \
        break;
#undef CONV_RUN_STEPS
#define CONV_RUN_STEPS(pixels) CONV_RUN_CASE(1, 1, pixels) CONV_RUN_CASE(2, 1, pixels)

static void FL_FN(conv_run_of)(real *out, fl_int ldo, fl_int mr, const real *a, const real *x, fl_int plane, fl_int channels,
                               const fl_int *offset, fl_int taps, const real *start, fl_int pitch, fl_int step, fl_int ahead, fl_int pixels,
                               fl_int rows)
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
#if defined __AVX512F__
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

/* n in pieces as equal as can be, none larger than most. */
FL_INLINE fl_int FL_FN(even_piece)(fl_int n, fl_int most)
{
    const fl_int pieces = (n + most - 1) / most;
    return (n + pieces - 1) / pieces;
}

/* So that n pixels of some rows are in L1 when they are stored. */
FL_INLINE void FL_FN(conv_fetch)(const real *y, fl_int size, fl_int rows, fl_int n)
{
    for (fl_int i = 0; i < rows; i++)
        for (fl_int t = n - 1; t >= 0; t -= 64 / (fl_int)sizeof(real)) __builtin_prefetch(y + i * size + t, 1);
}

/* `pixels` of `valid` channels from out[pixel * width + channel] to y, of each `pitch` the first `cols`, in rows that lie row_step apart.
 * Of out up to a register more is read. */
static void FL_FN(conv_turn)(const real *out, fl_int width, real *y, fl_int size, fl_int valid, fl_int pixels, fl_int pitch, fl_int cols,
                             fl_int row_step, fl_int col_step, int add)
{
    real turned[(VL + 1) * VL]; /* conv_scatter reads up to a register more */
    for (fl_int k = 0; k < valid; k += VL)
        for (fl_int t = 0; t < pixels; t += VL) {
            vec v[VL];
            for (int i = 0; i < VL; i++) v[i] = vload(out + (t + i) * width + k);
            vtranspose(v);
            for (int i = 0; i < VL; i++) vstore(turned + i * VL, v[i]);
            FL_FN(conv_scatter)(turned, VL, y + k * size, size, valid - k < VL ? valid - k : VL, t, pixels - t < VL ? pixels - t : VL,
                                pitch, cols, row_step, col_step, add);
        }
}

/* Rows of `cols` pixels of one phase, in runs, to out[pixel * ldo + channel]. x: where the first pixel's taps begin. y: where they will
 * go, if that is to be fetched, as the next run's pixels are. */
static void FL_FN(conv_strip)(const fl_conv_job *job, const fl_conv_phase *phase, real *out, fl_int ldo, const real *a, const real *x,
                              fl_int channels, const real *start, fl_int rows, fl_int cols, fl_int run, const real *y, fl_int valid)
{
    const fl_conv_planes *P = &job->planes;
    const fl_int down = P->pitch * P->step_y, per_channel = P->phases_y * P->phases_x * P->plane, least = cols < run ? cols : run;
    const fl_int two = 2 * cols <= RUN_PIXELS && rows > 1 && P->step_x == 1 ? 2 : 1;
    for (fl_int i = 0; i < rows; i += two) /* the last runs compute some pixels again */
        for (fl_int j = 0; j < cols; j += least) {
            const fl_int p = i + two <= rows ? i : rows - two, q = j + least <= cols ? j : cols - least;
            if (y) FL_FN(conv_fetch)(y + q, job->oh * job->ow, valid, least);
            FL_FN(conv_run_of)(out + (p * cols + q) * ldo, ldo, job->mr, a, x + p * down + q * P->step_x, job->flat ? 0 : per_channel,
                               job->flat ? 1 : channels, job->offset + phase->first, job->flat ? channels : phase->taps, start, down,
                               P->step_x, y ? least : 0, least, two);
        }
}

/* mr: lanes of a panel, one register or two. scratch: FL_CONV_STRIP + VL pixels of 2 VL lanes; then as for conv, or no planes where pixels
 * are read in place. */
static void FL_FN(conv_channels)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_conv_job *job = (const fl_conv_job *)head;
    const fl_conv_planes *P = &job->planes;
    const FL_FN(conv_part) at = FL_FN(conv_part_of)(job, block);
    const fl_int plane_rows = P->plane_rows - (P->tile_rows - at.high) * P->step_y, per_channel = P->phases_y * P->phases_x * P->plane;
    const fl_int size = job->oh * job->ow, mr = job->mr, first_row = (at.image * job->groups + at.group) * job->rows;
    const fl_int down = P->pitch * P->step_y; /* to the pixels of the grid's next row */
    const fl_int beside = job->beside;
    const real *x = (const real *)job->x + (at.image * job->groups + at.group) * job->channels * P->h * P->w;
    real *buffer = scratch, *copies = buffer + (FL_CONV_STRIP + VL) * 2 * VL;
    const fl_conv_finish *F = &job->finish;

    for (fl_int c = 0; c == 0 || c < job->channels; c += job->chunk) {
        const fl_int channels = job->channels - c < job->chunk ? job->channels - c : job->chunk;
        const real *planes = copies;
        if (job->in_place) planes = x + c * P->plane + at.a0 * down + at.b0 * P->step_x;
        else
            for (fl_int i = 0; i < channels; i++)
                FL_FN(planes_of)(copies + i * per_channel, P->plane, x + (c + i) * P->h * P->w, P, at.a0, at.b0, plane_rows);
        for (fl_int f = 0; f < job->phases; f += beside) { /* phases of columns go to y together: the first has most */
            const fl_conv_phase *phase = job->phase + f;
            const fl_int rows = phase->rows - at.a0 < at.high ? phase->rows - at.a0 : at.high;
            const fl_int cols = phase->cols - at.b0 < at.wide ? phase->cols - at.b0 : at.wide;
            if (rows <= 0 || cols <= 0) continue;
            const fl_int wide = FL_FN(even_piece)(cols, FL_CONV_STRIP / beside), high = FL_CONV_STRIP / (wide * beside);
            const fl_int run = FL_FN(even_piece)(wide, RUN_PIXELS);
            for (fl_int panel = at.from; panel < at.to; panel++) {
                const fl_int row = panel * mr, valid = job->rows - row < mr ? job->rows - row : mr;
                real start[2 * VL] = {0};
                if (F->bias && c == 0)
                    for (fl_int i = 0; i < valid; i++) start[i] = ((const real *)F->bias)[at.group * job->rows + row + i];
                for (fl_int p = 0; p < rows; p += high)
                    for (fl_int q = 0; q < cols; q += wide) {
                        const fl_int here = rows - p < high ? rows - p : high, across = cols - q < wide ? cols - q : wide;
                        const fl_int pitch = across * beside, column = (at.b0 + q) * job->across + phase->col;
                        const fl_int there = beside > 1 && job->ow - column < pitch ? job->ow - column : pitch;
                        const int dense = pitch == job->ow && there == pitch && job->down == 1 && (beside > 1 || job->across == 1);
                        real *y = (real *)job->y + (first_row + row) * size + ((at.a0 + p) * job->down + phase->row) * job->ow + column;
                        for (fl_int s = 0; s < beside; s++) {
                            const fl_int depth = job->channels * phase[s].taps * mr;
                            const real *a = (const real *)job->a + phase[s].panels + (at.group * job->panels + panel) * depth;
                            FL_FN(conv_strip)(job, phase + s, buffer + s * mr, beside * mr, a + c * phase[s].taps * mr,
                                              planes + p * down + q * P->step_x, channels, start, here, across, run,
                                              job->flat ? y : NULL, valid);
                        }
                        FL_FN(conv_turn)(buffer, mr, y, size, valid, here * pitch, dense ? here * pitch : pitch,
                                         dense ? here * pitch : there, job->down * job->ow, beside > 1 ? 1 : job->across,
                                         c > 0 || F->accumulate);
                    }
                if (FL_FN(conv_finishes)(F) && c + job->chunk >= job->channels && f + beside >= job->phases)
                    FL_FN(conv_finish_part)(job, first_row + row, valid, at.a0, at.high, at.b0, at.wide);
            }
        }
    }
}
