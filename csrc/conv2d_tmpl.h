/* conv2d_tmpl.h: convolutions, as matrix products that read the image itself (an implicit im2col; the offsets are those of Dukhan
 * 2019, moved to the summed axis). Lanes lie along the pixels: no layout changes, no channels are filled up. */

#undef CONV_FULL
#if defined __AVX512F__
#define CONV_FULL(mr) ((mr) == 1 || (mr) == 2 ? 8 : (mr) <= 4 ? 6 : (mr) <= 6 ? 4 : 3) /* registers of pixels: 24 sums or fewer */
#else
#define CONV_FULL(mr) ((mr) == 1 ? 6 : (mr) == 2 ? 4 : (mr) <= 4 ? 3 : 2) /* mr <= 6: 12 sums */
#endif

/* --- the product ------------------------------------------------------------------------------------------------------- */

/* out = or += start + A B for mr rows and nv registers of pixels. place: where in A each tap is, from channel to channel `depth` apart;
 * NULL: one after the other. */
FL_INLINE void FL_FN(conv_tile)(real *out, fl_int ldo, const real *a, const real *x, fl_int plane, fl_int channels,
                                const fl_int *offset, fl_int taps, const fl_int *place, fl_int depth, const real *start, int add,
                                const int mr, const int nv)
{
    vec s[FL_CONV_ROWS][8];
#pragma GCC unroll 8
    for (int i = 0; i < mr; i++)
#pragma GCC unroll 8
        for (int j = 0; j < nv; j++) s[i][j] = vset(start[i]);
    for (fl_int c = 0; c < channels; c++, x += plane, a += place ? depth : taps * mr)
        for (fl_int q = 0; q < taps; q++) {
            const real *at = x + offset[q], *w = a + (place ? place[q] : q * mr);
            vec b[8];
#pragma GCC unroll 8
            for (int j = 0; j < nv; j++) b[j] = vload(at + j * VL);
#pragma GCC unroll 8
            for (int i = 0; i < mr; i++) {
                vec ai = vset(w[i]);
#pragma GCC unroll 8
                for (int j = 0; j < nv; j++) s[i][j] += ai * b[j];
            }
        }
#pragma GCC unroll 8
    for (int i = 0; i < mr; i++) {
        real *to = out + i * ldo;
#pragma GCC unroll 8
        for (int j = 0; j < nv; j++) {
            if (add) s[i][j] += vload(to + j * VL);
            vstore(to + j * VL, s[i][j]);
        }
    }
}

#undef CONV_WIDTH
#undef CONV_CASE
#define CONV_WIDTH(mr, width)                                                                                            \
    do {                                                                                                                \
        if (place) FL_FN(conv_tile)(out, ldo, a, x, plane, channels, offset, taps, place, depth, start, add, mr, width); \
        else FL_FN(conv_tile)(out, ldo, a, x, plane, channels, offset, taps, NULL, 0, start, add, mr, width);            \
    } while (0)
#define CONV_CASE(mr)                                             \
    case mr:                                                      \
        if (nv == CONV_FULL(mr)) CONV_WIDTH(mr, CONV_FULL(mr));   \
        else if (CONV_FULL(mr) > 4 && nv == 4) CONV_WIDTH(mr, 4); \
        else if (CONV_FULL(mr) > 2 && nv == 2) CONV_WIDTH(mr, 2); \
        else CONV_WIDTH(mr, 1);                                   \
        break;

static void FL_FN(conv_tile_of)(real *out, fl_int ldo, const real *a, const real *x, fl_int plane, fl_int channels,
                                const fl_int *offset, fl_int taps, const fl_int *place, fl_int depth, const real *start, int add,
                                fl_int mr, fl_int nv)
{
    switch (mr) {
        CONV_CASE(1)
        CONV_CASE(2)
        CONV_CASE(3)
        CONV_CASE(4)
        CONV_CASE(5)
        CONV_CASE(6)
#if defined __AVX512F__
        CONV_CASE(7)
        CONV_CASE(8)
#endif
    }
}

/* How many of the registers left the next tile takes. */
FL_INLINE fl_int FL_FN(conv_wide)(fl_int mr, fl_int vectors)
{
    const fl_int full = CONV_FULL(mr);
    return vectors >= full ? full : vectors >= 4 ? 4 : vectors >= 2 ? 2 : 1;
}

/* to = or += n pixels; up to a register more is read. */
FL_INLINE void FL_FN(conv_put)(real *to, const real *from, fl_int n, int add)
{
    for (fl_int q = 0; q < n; q += VL) {
        const fl_int left = n - q < VL ? n - q : VL;
        vec z = vload(from + q);
        if (add) z += vload_n(to + q, left, 0);
        vstore_n(to + q, z, left);
    }
}

/* The pixels t .. t + lanes of a tile from `buffer` to y; `cols` of each `pitch` are pixels. */
FL_INLINE void FL_FN(conv_scatter)(const real *buffer, fl_int ldb, real *y, fl_int ldy, fl_int rows, fl_int t, fl_int lanes, fl_int pitch,
                                   fl_int cols, fl_int row_step, fl_int col_step, int add)
{
    for (fl_int at = 0; at < lanes;) {
        const fl_int a = (t + at) / pitch, b = (t + at) % pitch;
        fl_int n = pitch - b < lanes - at ? pitch - b : lanes - at;
        const fl_int valid = cols - b < n ? cols - b : n;
        real *to = y + a * row_step + b * col_step;
        for (fl_int i = 0; i < rows; i++, to += ldy) {
            const real *from = buffer + i * ldb + at;
            if (col_step != 1)
                for (fl_int q = 0; q < valid; q++) to[q * col_step] = add ? to[q * col_step] + from[q] : from[q];
            else FL_FN(conv_put)(to, from, valid, add);
        }
        at += n;
    }
}

/* Whether anything but bias and [y], which the sums begin with or are added to, follows the sums; and what, for gemm_finish, where
 * C has a row of `size` pixels for each plane of y. */
FL_INLINE int FL_FN(conv_finishes)(const fl_conv_finish *f) { return f->op != FL_IDENTITY || f->r || f->slope; }

FL_INLINE fl_gemm_job FL_FN(conv_last)(const fl_conv_finish *f, void *y, fl_int size)
{
    return (fl_gemm_job){.c = y, .ldc = size, .op = f->op, .r = f->r, .ldr = size, .y = f->slope, .ldy = size, .op2 = f->op2};
}

/* Finishes `rows` planes of y, from plane i on, in the part of the grid at (a0, b0): whole rows of y where it has all columns. */
static void FL_FN(conv_finish_part)(const fl_conv_job *job, fl_int i, fl_int rows, fl_int a0, fl_int high, fl_int b0, fl_int wide)
{
    const fl_int size = job->oh * job->ow, top = a0 * job->down, side = b0 * job->across;
    const fl_int bottom = (a0 + high) * job->down < job->oh ? (a0 + high) * job->down : job->oh;
    const fl_int end = (b0 + wide) * job->across < job->ow ? (b0 + wide) * job->across : job->ow;
    const fl_gemm_job last = FL_FN(conv_last)(&job->finish, job->y, size);
    const real *z = (const real *)job->y + i * size;
    if (end - side == job->ow) FL_FN(gemm_finish)(&last, z + top * job->ow, size, i, rows, top * job->ow, (bottom - top) * job->ow);
    else
        for (fl_int p = top; p < bottom; p++)
            FL_FN(gemm_finish)(&last, z + p * job->ow + side, size, i, rows, p * job->ow + side, end - side);
}

/* What block `block` computes: panels [from, to) of a group, in the part of the grid at (a0, b0), high x wide. */
typedef struct {
    fl_int image, group, a0, b0, high, wide, from, to;
} FL_FN(conv_part);

FL_INLINE FL_FN(conv_part) FL_FN(conv_part_of)(const fl_conv_job *job, fl_int block)
{
    const fl_conv_planes *P = &job->planes;
    const fl_int parts = (job->panels + job->per_block - 1) / job->per_block, part = block % parts;
    const fl_int tiles = job->tiles_down * job->tiles_across, tile = block / parts % tiles;
    FL_FN(conv_part) at = {.group = block / parts / tiles % job->groups, .image = block / parts / tiles / job->groups};
    at.a0 = tile / job->tiles_across * P->tile_rows;
    at.b0 = tile % job->tiles_across * P->tile_cols;
    at.high = job->grid_rows - at.a0 < P->tile_rows ? job->grid_rows - at.a0 : P->tile_rows;
    at.wide = job->grid_cols - at.b0 < P->tile_cols ? job->grid_cols - at.b0 : P->tile_cols;
    at.from = part * job->per_block;
    at.to = at.from + job->per_block < job->panels ? at.from + job->per_block : job->panels;
    return at;
}

/* scratch: a tile, FL_CONV_ROWS + 1 rows of FL_CONV_BYTES, then the planes of `chunk` channels and FL_CONV_BYTES more. */
static void FL_FN(conv)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_conv_job *job = (const fl_conv_job *)head;
    const fl_conv_planes *P = &job->planes;
    const FL_FN(conv_part) at = FL_FN(conv_part_of)(job, block);
    const fl_int a0 = at.a0, b0 = at.b0, high = at.high, wide = at.wide, image = at.image, group = at.group;
    const fl_int plane_rows = P->plane_rows - P->tile_rows + high, per_channel = P->phases_y * P->phases_x * P->plane;
    const fl_int size = job->oh * job->ow, mr = job->mr;
    const real *x = (const real *)job->x + (image * job->groups + group) * job->channels * P->h * P->w;
    real *y = (real *)job->y + (image * job->groups + group) * job->rows * size;
    const fl_int ldb = FL_CONV_BYTES / (fl_int)sizeof(real);
    real *buffer = scratch, *planes = buffer + (FL_CONV_ROWS + 1) * ldb;
    const fl_conv_finish *F = &job->finish;
    const int finishes = FL_FN(conv_finishes)(F);

    for (fl_int c = 0; c == 0 || c < job->channels; c += job->chunk) {
        const fl_int channels = job->channels - c < job->chunk ? job->channels - c : job->chunk;
        const int last = c + job->chunk >= job->channels;
        for (fl_int i = 0; i < channels; i++)
            FL_FN(planes_of)(planes + i * per_channel, P->plane, x + (c + i) * P->h * P->w, P, a0, b0, plane_rows);
        for (fl_int f = 0; f < job->phases; f++) {
            const fl_conv_phase *phase = job->phase + f;
            const fl_int rows = phase->rows - a0 < high ? phase->rows - a0 : high;
            const fl_int cols = phase->cols - b0 < wide ? phase->cols - b0 : wide;
            const int whole = job->across == 1 && job->down == 1 && cols == job->ow, dense = whole && cols == P->pitch;
            const fl_int runs = rows <= 0 || cols <= 0 ? 0 : job->by_row ? rows : 1;
            const fl_int lanes = job->by_row ? cols : (rows - 1) * P->pitch + cols;
            const fl_int depth = job->channels * phase->taps * mr;
            const real *a = (const real *)job->a + phase->panels + group * job->panels * depth + c * phase->taps * mr;
            real *first = y + ((a0 * job->down + phase->row) * job->ow + b0 * job->across + phase->col);
            for (fl_int panel = at.from; panel < at.to; panel++) {
                const fl_int row = panel * mr, valid = job->rows - row < mr ? job->rows - row : mr;
                const int add = c > 0 || F->accumulate;
                real start[FL_CONV_ROWS] = {0};
                if (F->bias && c == 0)
                    for (fl_int i = 0; i < valid; i++) start[i] = ((const real *)F->bias)[group * job->rows + row + i];
                for (fl_int run = 0; run < runs; run++) {
                    /* what a row's last register has too many the next row overwrites */
                    const int spill = whole && job->by_row && !add && (rows - 1 - run) * cols >= VL;
                    real *to_run = first + row * size + run * job->down * job->ow;
                    for (fl_int t = 0, nv; t < lanes; t += nv * VL) {
                        const fl_int rest = lanes - t, n = FL_FN(conv_wide)(mr, (rest + VL - 1) / VL);
                        const fl_int here = rest < n * VL ? rest : n * VL;
                        const int direct = valid == mr && (spill || (dense && here == n * VL));
                        nv = n;
                        FL_FN(conv_tile_of)(direct ? to_run + t : buffer, direct ? size : ldb, a + panel * depth,
                                            planes + run * P->pitch + t, job->flat ? 0 : per_channel, job->flat ? 1 : channels,
                                            job->offset + phase->first, job->flat ? channels : phase->taps, NULL, 0, start,
                                            direct && add, mr, nv);
                        if (!direct)
                            FL_FN(conv_scatter)(buffer, ldb, to_run, size, valid, t, here, P->pitch, cols, job->down * job->ow,
                                                job->across, add);
                    }
                }
                if (finishes && last && f == job->phases - 1)
                    FL_FN(conv_finish_part)(job, (image * job->groups + group) * job->rows + row, valid, a0, high, b0, wide);
            }
        }
    }
}

/* --- packing A --------------------------------------------------------------------------------------------------------- */

/* out[q * mr + i] = w[i * step + q], zeros for i >= valid. */
FL_INLINE void FL_FN(conv_pack_rows)(real *out, const real *w, fl_int step, fl_int n, fl_int mr, fl_int valid)
{
    if (step == 1 && n == 1) { /* as it is */
        for (fl_int g = 0; g < mr; g += VL)
            vstore_n(out + g, g < valid ? vload_n(w + g, valid - g < VL ? valid - g : VL, 0) : vset(0), mr - g < VL ? mr - g : VL);
        return;
    }
    for (fl_int g = 0; g < mr; g += VL) {
        for (fl_int q = 0; q < n; q += VL) {
            const fl_int left = n - q < VL ? n - q : VL;
            vec t[VL];
            for (fl_int i = 0; i < VL; i++) t[i] = g + i < valid ? vload_n(w + (g + i) * step + q, left, 0) : vset(0);
            vtranspose(t);
            for (fl_int p = 0; p < left; p++) {
                const fl_int room = mr - g < VL ? mr - g : VL;
                vstore_n(out + (q + p) * mr + g, t[p], room);
            }
        }
    }
}

/* `taps` consecutive taps of `valid` rows of A and some channels, w on: out[(c * taps + q) * mr + i]. */
static void FL_FN(conv_pack_panel)(real *out, const fl_conv_taps *T, const real *w, fl_int channels, fl_int taps, fl_int valid)
{
    if (T->order == FL_PACK_ROWS) FL_FN(conv_pack_rows)(out, w, T->row_step, channels * taps, T->mr, valid);
    else
        for (fl_int c = 0; c < channels; c++)
            FL_FN(conv_pack_rows)(out + c * taps * T->mr, w + c * T->channel_step, T->row_step, taps, T->mr, valid);
}

/* A block packs one panel of one group where a row's elements are consecutive in w, else all panels' share of one channel: w is read
 * in order, for all phases. */
static void FL_FN(conv_pack)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_conv_pack_job *job = (const fl_conv_pack_job *)head;
    const fl_conv_taps *T = &job->taps;
    const int by_row = T->order == FL_PACK_ROWS;
    const fl_int parts = by_row ? job->panels : job->channels, part = block % parts, group = block / parts, mr = T->mr;
    const real *w = (const real *)T->w + group * T->group_step;
    (void)scratch;
    for (fl_int f = 0; f < job->phases; f++) {
        const fl_conv_phase *phase = job->phase + f;
        const fl_int depth = job->channels * phase->taps * mr;
        for (fl_int panel = by_row ? part : 0; panel < (by_row ? part + 1 : job->panels); panel++) {
            const fl_int row = panel * mr, valid = job->rows - row < mr ? job->rows - row : mr;
            const real *from = w + row * T->row_step + (by_row ? 0 : part) * T->channel_step;
            real *out = (real *)job->a + phase->panels + (group * job->panels + panel) * depth + (by_row ? 0 : part) * phase->taps * mr;
            if (T->order != FL_PACK_PLACES) FL_FN(conv_pack_panel)(out, T, from, by_row ? job->channels : 1, phase->taps, valid);
            else
                for (fl_int q = 0; q < phase->taps; q++, out += mr)
                    for (fl_int i = 0; i < mr; i++) out[i] = i < valid ? from[i * T->row_step + T->place[phase->first + q]] : 0;
        }
    }
}
