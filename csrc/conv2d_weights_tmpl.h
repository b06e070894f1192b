/* conv2d_weights_tmpl.h: the gradient of a convolution's weights, in dot form: lanes lie along the pixels, so they are full for any
 * number of channels. v lies at the pitch of the planes, zeros in the gaps: one sum runs over a whole part of an image. */

/* What block `block` sums. at: (row, channel) in [part][groups * rows][channels]. */
typedef struct {
    fl_int part, group, row, channel, rows, channels, at;
} FL_FN(conv_region);

FL_INLINE FL_FN(conv_region) FL_FN(conv_region_of)(const fl_conv_regions *R, fl_int block)
{
    const fl_int down = (R->rows + R->row_chunk - 1) / R->row_chunk, across = (R->channels + R->channel_chunk - 1) / R->channel_chunk;
    FL_FN(conv_region) region = {.row = block % down * R->row_chunk, .channel = block / down % across * R->channel_chunk};
    region.group = block / down / across % R->groups;
    region.part = block / down / across / R->groups;
    region.rows = R->rows - region.row < R->row_chunk ? R->rows - region.row : R->row_chunk;
    region.channels = R->channels - region.channel < R->channel_chunk ? R->channels - region.channel : R->channel_chunk;
    region.at = ((region.part * R->groups + region.group) * R->rows + region.row) * R->channels + region.channel;
    return region;
}

#undef DOTS_Q
#if defined __AVX512F__
#define DOTS_Q 6               /* taps at a time, for 4 rows: 24 sums, 4 of v, 1 of the image */
#else
#define DOTS_Q 3
#endif

/* What a sum runs over: `images` times `rows` runs of `lanes` pixels, `step` apart for conv_taps. */
typedef struct {
    fl_int images, image_step, rows, row_step, lanes, step;
} FL_FN(conv_runs);
#define conv_runs FL_FN(conv_runs)

/* out[i][j] = sum of v_i * x_j over the runs, for mr <= 4 rows of v and nq taps. */
FL_INLINE void FL_FN(conv_dots)(real (*out)[4], const real *v, fl_int ldv, const real *const *x, const conv_runs *runs, const int mr,
                                const int nq)
{
    vec s[DOTS_Q][4];
#pragma GCC unroll 8
    for (int j = 0; j < nq; j++)
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++) s[j][i] = vset(0);
    for (fl_int image = 0; image < runs->images; image++)
        for (fl_int row = 0; row < runs->rows; row++) {
            const fl_int from = image * runs->image_step + row * runs->row_step, full = runs->lanes / VL * VL, left = runs->lanes - full;
            for (fl_int t = from; t < from + full; t += VL) {
                vec a[4];
#pragma GCC unroll 4
                for (int i = 0; i < mr; i++) a[i] = vload(v + i * ldv + t);
#pragma GCC unroll 8
                for (int j = 0; j < nq; j++) {
                    vec b = vload(x[j] + t);
#pragma GCC unroll 4
                    for (int i = 0; i < mr; i++) s[j][i] += a[i] * b;
                }
            }
            if (left) {
                vec a[4];
#pragma GCC unroll 4
                for (int i = 0; i < mr; i++) a[i] = vload_n(v + i * ldv + from + full, left, 0);
#pragma GCC unroll 8
                for (int j = 0; j < nq; j++) {
                    vec b = vload_n(x[j] + from + full, left, 0);
#pragma GCC unroll 4
                    for (int i = 0; i < mr; i++) s[j][i] += a[i] * b;
                }
            }
        }
#pragma GCC unroll 8
    for (int j = 0; j < nq; j++) vsum4(out[j], s[j][0], s[j][1], s[j][2], s[j][3]);
}

#undef CONV_DOTS_CASE
#define CONV_DOTS_CASE(mr)                                                                            \
    case mr:                                                                                          \
        if (nq == DOTS_Q) FL_FN(conv_dots)(out, v, ldv, x, runs, mr, DOTS_Q);                         \
        else if (DOTS_Q > 3 && nq == DOTS_Q - 1) FL_FN(conv_dots)(out, v, ldv, x, runs, mr, DOTS_Q - 1); \
        else if (DOTS_Q > 3 && nq == DOTS_Q - 2) FL_FN(conv_dots)(out, v, ldv, x, runs, mr, DOTS_Q - 2); \
        else if (nq > 1) FL_FN(conv_dots)(out, v, ldv, x, runs, mr, 3);                               \
        else FL_FN(conv_dots)(out, v, ldv, x, runs, mr, 1);                                           \
        break;

static void FL_FN(conv_dots_of)(real (*out)[4], const real *v, fl_int ldv, const real *const *x, const conv_runs *runs, fl_int mr,
                                fl_int nq)
{
    switch (mr) {
        CONV_DOTS_CASE(1)
        CONV_DOTS_CASE(2)
        CONV_DOTS_CASE(3)
        CONV_DOTS_CASE(4)
    }
}

/* v at the pitch of the planes, zeros in the gaps. Up to a register more is written. */
static void FL_FN(conv_spread)(real *out, const real *v, fl_int rows, fl_int cols, fl_int pitch)
{
    if (pitch == cols) FL_FN(row_in_zeros)(out, rows * cols, v, rows * cols, 1, 0);
    else
        for (fl_int p = 0; p < rows; p++) FL_FN(row_in_zeros)(out + p * pitch, pitch, v + p * cols, cols, 1, 0);
}

/* Whether a product with zero is a number for all of them. */
FL_INLINE int FL_FN(all_finite)(const real *x, fl_int n)
{
    vec s = vset(0);
    fl_int q = 0;
    for (; q + VL <= n; q += VL) s += vload(x + q) * 0;
    if (q < n) s += vload_n(x + q, n - q, 0) * 0;
    return vsum(s) == 0;
}

/* The planes of a block's channels in `images` images from n on, for the rows of the grid from a0 on: [channel][phase][image][plane], a
 * phase ldv long. finite, if wanted: whether all of them are. */
static void FL_FN(conv_weights_planes)(const fl_conv_weights_job *job, const FL_FN(conv_region) *R, fl_int n, fl_int images, fl_int a0,
                                       fl_int plane_rows, fl_int ldv, real *planes, int *finite)
{
    const fl_conv_planes *P = &job->planes;
    const fl_int phases = P->phases_y * P->phases_x;
    for (fl_int c = 0; c < R->channels; c++)
        for (fl_int m = 0; m < images; m++) {
            const fl_int channel = ((n + m) * job->regions.groups + R->group) * job->regions.channels + R->channel + c;
            real *out = planes + c * phases * ldv + m * P->plane;
            FL_FN(planes_of)(out, ldv, (const real *)job->x + channel * P->h * P->w, P, a0, 0, plane_rows);
            for (fl_int f = 0; finite && *finite && f < phases; f++) *finite = FL_FN(all_finite)(out + f * ldv, plane_rows * P->pitch);
        }
}

/* scratch: the planes of channel_chunk channels and row_chunk rows of v, `together` images and 64 bytes for each, FL_CONV_BYTES more. */
static void FL_FN(conv_weights)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_conv_weights_job *job = (const fl_conv_weights_job *)head;
    const fl_conv_planes *P = &job->planes;
    const fl_conv_regions *all = &job->regions;
    const FL_FN(conv_region) R = FL_FN(conv_region_of)(all, block);
    const fl_int rows = R.rows, channels = R.channels;
    const fl_int first = R.part * job->part_images;
    const fl_int end = first + job->part_images < job->images ? first + job->part_images : job->images;
    const fl_int size = job->grid_rows * job->grid_cols, total = channels * job->taps;
    const fl_int ldv = P->plane * job->together + 64 / (fl_int)sizeof(real), ldx = P->phases_y * P->phases_x * ldv;
    real *planes = scratch, *spread = planes + channels * ldx + FL_CONV_BYTES / (fl_int)sizeof(real);
    real *dw = (real *)job->dw + R.at * job->taps;
    int add = 0;

    for (fl_int n = first; n < end; n += job->together) {
        const fl_int images = end - n < job->together ? end - n : job->together;
        for (fl_int a0 = 0; a0 < job->grid_rows; a0 += P->tile_rows, add = 1) {
            const fl_int high = job->grid_rows - a0 < P->tile_rows ? job->grid_rows - a0 : P->tile_rows;
            const fl_int lanes = (high - 1) * P->pitch + job->grid_cols;
            int finite = 1;
            FL_FN(conv_weights_planes)(job, &R, n, images, a0, P->plane_rows - P->tile_rows + high, ldv, planes, &finite);
            for (fl_int i = 0; i < rows; i++)
                for (fl_int m = 0; m < images; m++) {
                    const fl_int row = ((n + m) * all->groups + R.group) * all->rows + R.row + i;
                    FL_FN(conv_spread)(spread + i * ldv + m * P->plane, (const real *)job->v + row * size + a0 * job->grid_cols, high,
                                       job->grid_cols, P->pitch);
                }
            for (fl_int i = 0; i < rows; i += 4) {
                const fl_int mr = rows - i < 4 ? rows - i : 4, even = FL_FN(even_piece)(total, DOTS_Q);
                for (fl_int q = 0; q < total; q += even) {
                    const fl_int here = total - q < even ? total - q : even;
                    const real *x[DOTS_Q];
                    real out[DOTS_Q][4];
                    /* gaps in v are zeros, which infinities in the image must not meet */
                    const conv_runs flat = {images, P->plane, 1, 0, lanes, 1}, rowwise = {images, P->plane, high, P->pitch, job->grid_cols, 1};
                    for (fl_int j = 0; j < DOTS_Q; j++) {
                        const fl_int at = q + (j < here ? j : here - 1);
                        x[j] = planes + at / job->taps * ldx + job->offset[at % job->taps];
                    }
                    FL_FN(conv_dots_of)(out, spread + i * ldv, ldv, x, finite ? &flat : &rowwise, mr, even);
                    for (fl_int r = 0; r < mr; r++)
                        for (fl_int j = 0; j < here; j++) {
                            real *to = dw + (i + r) * all->channels * job->taps + q + j;
                            *to = add ? *to + out[j][r] : out[j][r];
                        }
                }
            }
        }
    }
}

/* --- with lanes along the rows of A: none is empty if these fill registers, and v has no gaps --------------------------------- */

#undef TAPS_Q
#if defined __AVX512F__
#define TAPS_Q 9               /* taps at a time, for 2 registers of rows: as many pointers as stay in registers */
#else
#define TAPS_Q 6
#endif

/* out[j * ldo + lane] = or += the sum over the runs of v's lanes times x_j, for j < here <= nq taps and nv registers. v: one pixel after
 * the other. */
FL_INLINE void FL_FN(conv_taps)(real *out, fl_int ldo, const real *v, const real *const *x, const conv_runs *runs, fl_int here, int add,
                                const int nq, const int nv)
{
    vec s[TAPS_Q][2];
    const real *at[TAPS_Q];
#pragma GCC unroll 9
    for (int j = 0; j < nq; j++) {
        at[j] = x[j];
#pragma GCC unroll 2
        for (int u = 0; u < nv; u++) s[j][u] = vset(0);
    }
    for (fl_int image = 0; image < runs->images; image++)
        for (fl_int row = 0; row < runs->rows; row++) {
            const fl_int from = image * runs->image_step + row * runs->row_step;
            for (fl_int t = from; t < from + runs->lanes * runs->step; t += runs->step, v += nv * VL) {
                vec w[2];
#pragma GCC unroll 2
                for (int u = 0; u < nv; u++) w[u] = vload(v + u * VL);
#pragma GCC unroll 9
                for (int j = 0; j < nq; j++) {
                    const vec d = vset(at[j][t]);
#pragma GCC unroll 2
                    for (int u = 0; u < nv; u++) s[j][u] += d * w[u];
                }
            }
        }
#pragma GCC unroll 9
    for (int j = 0; j < nq; j++)
        if (j < here)
#pragma GCC unroll 2
            for (int u = 0; u < nv; u++) {
                real *to = out + j * ldo + u * VL;
                if (add) s[j][u] += vload(to);
                vstore(to, s[j][u]);
            }
}

#undef CONV_TAPS
#define CONV_TAPS(nq)                                                                 \
    do {                                                                              \
        if (mr == VL) FL_FN(conv_taps)(out, VL, v, x, runs, here, add, nq, 1);        \
        else FL_FN(conv_taps)(out, 2 * VL, v, x, runs, here, add, nq, 2);             \
    } while (0)

static void FL_FN(conv_taps_of)(real *out, fl_int mr, const real *v, const real *const *x, const conv_runs *runs, fl_int here, int add)
{
    if (here > 6) CONV_TAPS(TAPS_Q);
    else if (here > 3) CONV_TAPS(6);
    else if (here > 1) CONV_TAPS(3);
    else CONV_TAPS(1);
}

/* scratch: the sums, rows in whole panels times channel_chunk times taps, and VL panel rows; v, rows in whole panels times the pixels of
 * `together` images; the planes of channel_chunk channels, `together` images and 64 bytes for each, FL_CONV_BYTES more. */
static void FL_FN(conv_weights_channels)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_conv_weights_job *job = (const fl_conv_weights_job *)head;
    const fl_conv_planes *P = &job->planes;
    const fl_conv_regions *all = &job->regions;
    const FL_FN(conv_region) R = FL_FN(conv_region_of)(all, block);
    const fl_int mr = job->mr, panels = (R.rows + mr - 1) / mr, total = R.channels * job->taps;
    const fl_int first = R.part * job->part_images, size = job->grid_rows * job->grid_cols;
    const fl_int end = first + job->part_images < job->images ? first + job->part_images : job->images;
    const fl_int ldv = P->plane * job->together + 64 / (fl_int)sizeof(real), image_step = all->groups * all->channels * P->h * P->w;
    const fl_int ldx = job->in_place ? P->h * P->w : P->phases_y * P->phases_x * ldv;
    const real *x = (const real *)job->x + (R.group * all->channels + R.channel) * P->h * P->w;
    real *sums = scratch, *turned = sums + (panels * total + VL) * mr;
    real *copies = turned + panels * mr * job->together * P->tile_rows * job->grid_cols;
    int add = 0;

    for (fl_int n = first; n < end; n += job->together) {
        const fl_int images = end - n < job->together ? end - n : job->together;
        for (fl_int a0 = 0; a0 < job->grid_rows; a0 += P->tile_rows, add = 1) {
            const fl_int high = job->grid_rows - a0 < P->tile_rows ? job->grid_rows - a0 : P->tile_rows, pixels = high * job->grid_cols;
            const conv_runs runs = {images, job->in_place ? image_step : P->plane, high, P->pitch * P->step_y, job->grid_cols, P->step_x};
            const real *planes = copies;
            if (job->in_place) planes = x + n * image_step + a0 * P->pitch * P->step_y;
            else FL_FN(conv_weights_planes)(job, &R, n, images, a0, P->plane_rows - (P->tile_rows - high) * P->step_y, ldv, copies, NULL);
            for (fl_int p = 0; p < panels; p++) {
                const fl_int valid = R.rows - p * mr < mr ? R.rows - p * mr : mr;
                for (fl_int m = 0; m < images; m++) {
                    const fl_int row = ((n + m) * all->groups + R.group) * all->rows + R.row + p * mr;
                    FL_FN(conv_pack_rows)(turned + (p * images + m) * pixels * mr, (const real *)job->v + row * size + a0 * job->grid_cols,
                                          size, pixels, mr, valid);
                }
            }
            for (fl_int p = 0; p < panels; p++)
                for (fl_int q = 0, here; q < total; q += here) {
                    const real *taps[TAPS_Q];
                    here = FL_FN(even_piece)(total - q, TAPS_Q);
                    for (fl_int j = 0; j < TAPS_Q; j++) {
                        const fl_int at = q + (j < here ? j : here - 1);
                        taps[j] = planes + at / job->taps * ldx + job->offset[at % job->taps];
                    }
                    FL_FN(conv_taps_of)(sums + (p * total + q) * mr, mr, turned + p * images * pixels * mr, taps, &runs, here, add);
                }
        }
    }
    for (fl_int p = 0; p < panels; p++)
        FL_FN(conv_turn)(sums + p * total * mr, mr, (real *)job->dw + (R.at + p * mr * all->channels) * job->taps, all->channels * job->taps,
                         R.rows - p * mr < mr ? R.rows - p * mr : mr, total, total, total, 0, 1, 0);
}
