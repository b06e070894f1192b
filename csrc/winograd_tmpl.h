/* winograd_tmpl.h: 3 x 3 convolutions of 4 x 4 pixels with a quarter of the multiplications (Winograd 1980; Lavin and Gray 2015).
 * The points 0, 1, -1, 1/2, -2 and infinity lose least of the usual ones (Barabasz et al. 2020). A tile's 6 x 6 pixels d become
 * B' d B, the taps g become G g G', their products over the channels m become A' m A; lanes lie along the tiles. */

#undef LINE
#define LINE (64 / (fl_int)sizeof(real)) /* apart from multiples of it, arrays fall into other sets of the caches */

/* B': the coefficients of the product of (x - p) over the other points p. */
FL_INLINE void FL_FN(wino_data)(vec *r, vec d0, vec d1, vec d2, vec d3, vec d4, vec d5)
{
    const vec u = d3 - d1, w = d4 - d2;
    r[0] = d0 + d4 + (real)1.5 * u - 2 * d2;
    r[1] = d4 - d1 + (real)0.5 * d2 + (real)2.5 * d3;
    r[2] = d4 + d1 - (real)2.5 * d2 + (real)0.5 * d3;
    r[3] = w + 2 * u;
    r[4] = w - (real)0.5 * u;
    r[5] = d1 + d5 + (real)1.5 * w - 2 * d3;
}

/* A': the powers of the points. */
FL_INLINE void FL_FN(wino_pixels)(vec *y, vec m0, vec m1, vec m2, vec m3, vec m4, vec m5)
{
    const vec sum = m1 + m2, difference = m1 - m2;
    y[0] = m0 + sum + m3 + m4;
    y[1] = difference + (real)0.5 * m3 - 2 * m4;
    y[2] = sum + (real)0.25 * m3 + 4 * m4;
    y[3] = difference + (real)0.125 * m3 - 8 * m4 + m5;
}

/* In double, whatever the dtype: W's transforms are then as good as W. PART lanes of one register of doubles. */
#undef PART
#define PART (VBYTES / (fl_int)sizeof(double))
typedef double FL_FN(wide) __attribute__((vector_size(VBYTES)));
typedef real FL_FN(part) __attribute__((vector_size(VBYTES / sizeof(double) * sizeof(real)), aligned(sizeof(real)), may_alias));
#define wide FL_FN(wide)
#define half FL_FN(part)

FL_INLINE wide FL_FN(widen)(const real *p) { return __builtin_convertvector(*(const half *)p, wide); }
FL_INLINE void FL_FN(narrow)(real *p, wide v) { *(half *)p = __builtin_convertvector(v, half); }

/* G: the powers of the points, over the products of their differences. */
FL_INLINE void FL_FN(wino_taps)(wide *u, const wide g0, const wide g1, const wide g2)
{
    const wide outer = g0 + g2;
    u[0] = g0;
    u[1] = (outer + g1) * (1.0 / 3);
    u[2] = (outer - g1) * (-1.0 / 3);
    u[3] = (g0 + 0.5 * g1 + 0.25 * g2) * (-16.0 / 15);
    u[4] = (g0 - 2 * g1 + 4 * g2) * (1.0 / 15);
    u[5] = g2;
}

/* The transforms u[point * step + c * mr + i] of the taps of `valid` rows of A and some channels. Up to a line more is written of each
 * point. g: 9 * FL_WINO_RUN * mr reals and a line. */
static void FL_FN(wino_taps_in)(real *u, fl_int step, const fl_winograd_taps *T, const real *w, fl_int channels, fl_int valid, real *g)
{
    const fl_int mr = T->mr;
    for (fl_int from = 0; from < channels; from += FL_WINO_RUN) {
        const fl_int here = channels - from < FL_WINO_RUN ? channels - from : FL_WINO_RUN;
        if (T->channel_step == 9) FL_FN(conv_pack_rows)(g, w + from * 9, T->row_step, here * 9, mr, valid);
        else
            for (fl_int c = 0; c < here; c++)
                FL_FN(conv_pack_rows)(g + c * 9 * mr, w + (from + c) * T->channel_step, T->row_step, 9, mr, valid);
        for (fl_int c = 0; c < here; c++)
            for (fl_int t = 0; t < mr; t += PART) {
                const real *at = g + c * 9 * mr + t;
                real *to = u + (from + c) * mr + t;
                wide columns[3][6];
                for (int j = 0; j < 3; j++)
                    FL_FN(wino_taps)(columns[j], FL_FN(widen)(at + T->place[j] * mr), FL_FN(widen)(at + T->place[3 + j] * mr),
                                     FL_FN(widen)(at + T->place[6 + j] * mr));
                for (int a = 0; a < 6; a++) {
                    wide out[6];
                    FL_FN(wino_taps)(out, columns[0][a], columns[1][a], columns[2][a]);
                    for (int b = 0; b < 6; b++) FL_FN(narrow)(to + (6 * a + b) * step, out[b]);
                }
            }
    }
}

/* A block transforms one panel of one group. */
static void FL_FN(winograd_pack)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_winograd_pack_job *job = (const fl_winograd_pack_job *)head;
    const fl_winograd_taps *T = &job->taps;
    const fl_int panel = block % job->panels, group = block / job->panels, row = panel * T->mr, step = T->mr * job->channels + LINE;
    FL_FN(wino_taps_in)((real *)job->u + (group * job->panels + panel) * FL_WINO_POINTS * step, step, T,
                        (const real *)T->w + group * T->group_step + row * T->row_step, job->channels,
                        job->rows - row < T->mr ? job->rows - row : T->mr, scratch);
}

/* `rows` rows of an image (h, w) from `top` on, columns from `left` on, zeros around it: phases[(4 p + f) * ld + q] = column 4 q + f. */
FL_INLINE void FL_FN(wino_rows)(real *phases, fl_int ld, fl_int n, const real *x, fl_int h, fl_int w, fl_int top, fl_int left, fl_int rows)
{
    for (fl_int p = 0; p < rows; p++)
        if (top + p < 0 || top + p >= h)
            for (fl_int q = 0; q < 4 * ld; q += VL) vstore(phases + p * 4 * ld + q, vset(0));
        else FL_FN(row_by_fours)(phases + p * 4 * ld, ld, n, x + (top + p) * w, w, left);
}

/* The pitch of a phase of `across` tiles and one more. */
FL_INLINE fl_int FL_FN(wino_pitch)(fl_int across) { return (across + VL) / VL * VL + VL; }

/* B' d B of a row of tiles of one channel, from row `top` and column `left` of x on: v[point * step + tile]; a register more may be
 * written of each. */
static void FL_FN(wino_row_in)(real *v, fl_int step, const real *x, fl_int h, fl_int w, fl_int top, fl_int left, fl_int across,
                               real *phases)
{
    const fl_int ld = FL_FN(wino_pitch)(across);
    FL_FN(wino_rows)(phases, ld, across + 1, x, h, w, top, left, 6);
    for (fl_int t = 0; t < across; t += VL) {
        vec columns[6][6];
#pragma GCC unroll 6
        for (int q = 0; q < 6; q++) {
            const real *at = phases + q % 4 * ld + q / 4 + t;
            FL_FN(wino_data)(columns[q], vload(at), vload(at + 4 * ld), vload(at + 8 * ld), vload(at + 12 * ld), vload(at + 16 * ld),
                             vload(at + 20 * ld));
        }
#pragma GCC unroll 6
        for (int a = 0; a < 6; a++) {
            vec out[6];
            FL_FN(wino_data)(out, columns[0][a], columns[1][a], columns[2][a], columns[3][a], columns[4][a], columns[5][a]);
            for (int b = 0; b < 6; b++) vstore(v + (6 * a + b) * step + t, out[b]);
        }
    }
}

/* Four pixels of each of VL tiles, `valid` pixels in all. */
FL_INLINE void FL_FN(wino_store)(real *y, vec *pixels, fl_int valid, int add)
{
#if FL_IS_F32
    vinterleave4(pixels);
    for (fl_int f = 0; f < 4 && f * VL < valid; f++) {
        const fl_int left = valid - f * VL < VL ? valid - f * VL : VL;
        if (add) pixels[f] += vload_n(y + f * VL, left, 0);
        if (left == VL) vstore(y + f * VL, pixels[f]);
        else vstore_n(y + f * VL, pixels[f], left);
    }
#else
    real four[4][VL];
    for (fl_int f = 0; f < 4; f++) vstore(four[f], pixels[f]);
    for (fl_int q = 0; q < valid; q++) y[q] = add ? y[q] + four[q % 4][q / 4] : four[q % 4][q / 4];
#endif
}

/* Pixels of a row of tiles of one row of A, from m[point * step + tile]. */
static void FL_FN(wino_row_out)(real *y, const real *m, fl_int step, const fl_winograd_job *job, fl_int i, real start)
{
    const fl_int high = job->oh - FL_WINO_TILE * i < FL_WINO_TILE ? job->oh - FL_WINO_TILE * i : FL_WINO_TILE;
    for (fl_int t = 0; t < job->across; t += VL) {
        vec rows[4][6];
#pragma GCC unroll 6
        for (int b = 0; b < 6; b++) {
            const real *at = m + b * step + t;
            vec column[4];
            FL_FN(wino_pixels)(column, vload(at), vload(at + 6 * step), vload(at + 12 * step), vload(at + 18 * step), vload(at + 24 * step),
                               vload(at + 30 * step));
            for (int a = 0; a < 4; a++) rows[a][b] = column[a];
        }
        for (fl_int a = 0; a < high; a++) {
            const fl_int valid = job->ow - 4 * t < 4 * VL ? job->ow - 4 * t : 4 * VL;
            vec pixels[4];
            FL_FN(wino_pixels)(pixels, rows[a][0] + start, rows[a][1], rows[a][2], rows[a][3], rows[a][4], rows[a][5]);
            if (start != 0)
                for (int b = 1; b < 4; b++) pixels[b] += start;
            FL_FN(wino_store)(y + (FL_WINO_TILE * i + a) * job->ow + 4 * t, pixels, valid, job->finish.accumulate);
        }
    }
}

/* The products of `channels` channels at one point for the tiles of a panel: m = or += u v. Sums of sums: what A' makes of their
 * rounding is larger than that of the sums itself. */
FL_INLINE void FL_FN(wino_products)(real *m, fl_int pitch, const real *u, const real *v, const fl_int *offset, fl_int channels,
                                    fl_int tiles, fl_int mr, int add)
{
    const real zeros[FL_CONV_ROWS] = {0};
    for (fl_int t = 0, nv; t < tiles; t += nv * VL) {
        nv = FL_FN(conv_wide)(mr, (tiles - t + VL - 1) / VL);
        for (fl_int c = 0; c < channels; c += FL_WINO_RUN)
            FL_FN(conv_tile_of)(m + t, pitch, u + c * mr, v + t, 0, 1, offset + c, channels - c < FL_WINO_RUN ? channels - c : FL_WINO_RUN,
                                zeros, add || c > 0, mr, nv);
    }
}

/* The pixels of `rows` rows of A from `row` on, rows of tiles [first, end) of all images, from m[point * step + row * pitch + tile]. */
static void FL_FN(wino_out)(const fl_winograd_job *job, const real *m, fl_int step, fl_int group, fl_int row, fl_int rows, fl_int first,
                            fl_int end)
{
    const fl_int size = job->oh * job->ow;
    const fl_gemm_job last = FL_FN(conv_last)(&job->finish, job->y, size);
    for (fl_int r = 0; r < rows; r++)
        for (fl_int i = first; i < end; i++) {
            const fl_int k = group * job->rows + row + r, plane = i / job->down * job->groups * job->rows + k, at = i % job->down;
            const fl_int top = FL_WINO_TILE * at, bottom = top + FL_WINO_TILE < job->oh ? top + FL_WINO_TILE : job->oh;
            real *y = (real *)job->y + plane * size;
            FL_FN(wino_row_out)(y, m + r * job->pitch + (i - first) * job->across, step, job, at,
                                job->finish.bias ? ((const real *)job->finish.bias)[k] : 0);
            if (FL_FN(conv_finishes)(&job->finish))
                FL_FN(gemm_finish)(&last, y + top * job->ow, size, plane, 1, top * job->ow, (bottom - top) * job->ow);
        }
}

/* B' d B of channel c of a group, rows of tiles [first, end): v[point * step + tile]. */
FL_INLINE void FL_FN(wino_in)(const fl_winograd_job *job, real *v, fl_int step, fl_int group, fl_int c, fl_int first, fl_int end,
                              real *phases)
{
    for (fl_int i = first; i < end; i++) {
        const fl_int channel = (i / job->down * job->groups + group) * job->channels + c;
        FL_FN(wino_row_in)(v + (i - first) * job->across, step, (const real *)job->x + channel * job->h * job->w, job->h, job->w,
                           i % job->down * FL_WINO_TILE - job->top, -job->left, job->across, phases);
    }
}

/* Many tiles: a block transforms some of them, for all rows of A, whose transforms u it is given. scratch: transforms of the channels and
 * of the rows of A, FL_WINO_POINTS times them times pitch, and a line; then six rows of an image. */
static void FL_FN(winograd)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_winograd_job *job = (const fl_winograd_job *)head;
    const fl_int total = job->images * job->down, per_group = (total + job->per_block - 1) / job->per_block;
    const fl_int first = block % per_group * job->per_block, group = block / per_group, mr = job->taps.mr;
    const fl_int end = first + job->per_block < total ? first + job->per_block : total, tiles = (end - first) * job->across;
    const fl_int v_step = job->channels * job->pitch + LINE, m_step = job->panels * mr * job->pitch + LINE;
    const fl_int u_step = job->channels * mr + LINE;
    const real *u = (const real *)job->u + group * job->panels * FL_WINO_POINTS * u_step;
    real *v = scratch, *m = v + FL_WINO_POINTS * v_step, *phases = m + FL_WINO_POINTS * m_step;

    for (fl_int c = 0; c < job->channels; c++) FL_FN(wino_in)(job, v + c * job->pitch, v_step, group, c, first, end, phases);
    for (fl_int point = 0; point < FL_WINO_POINTS; point++)
        for (fl_int panel = 0; panel < job->panels; panel++)
            FL_FN(wino_products)(m + point * m_step + panel * mr * job->pitch, job->pitch, u + (panel * FL_WINO_POINTS + point) * u_step,
                                 v + point * v_step, job->offset, job->channels, tiles, mr, 0);
    FL_FN(wino_out)(job, m, m_step, group, 0, job->rows, first, end);
}

/* Few tiles: a first job transforms them all, a block some channels. v: [group][part of the channels][point][channel][pitch], a line
 * after each point. scratch: six rows of an image. */
static void FL_FN(winograd_in)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_winograd_job *job = (const fl_winograd_job *)head;
    const fl_int parts = (job->channels + FL_WINO_CHANNELS - 1) / FL_WINO_CHANNELS, from = block % parts * FL_WINO_CHANNELS;
    const fl_int channels = job->channels - from < FL_WINO_CHANNELS ? job->channels - from : FL_WINO_CHANNELS;
    const fl_int step = FL_WINO_CHANNELS * job->pitch + LINE;
    real *v = (real *)job->v + block * FL_WINO_POINTS * step;
    for (fl_int c = 0; c < channels; c++)
        FL_FN(wino_in)(job, v + c * job->pitch, step, block / parts, from + c, 0, job->images * job->down, scratch);
}

/* ... and a block transforms the taps of per_block panels of A, FL_WINO_CHANNELS channels at a time, which are used at once: they would
 * be more to write and read than there is to compute. scratch: their transforms, FL_WINO_POINTS times them, and a line; those of the
 * rows, FL_WINO_POINTS times rows times pitch, and a line; then what wino_taps_in needs. */
static void FL_FN(winograd_few)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_winograd_job *job = (const fl_winograd_job *)head;
    const fl_winograd_taps *T = &job->taps;
    const fl_int parts = (job->panels + job->per_block - 1) / job->per_block, from = block % parts * job->per_block, group = block / parts;
    const fl_int panels = job->panels - from < job->per_block ? job->panels - from : job->per_block, mr = T->mr, pitch = job->pitch;
    const fl_int tiles = job->images * job->down * job->across, row = from * mr, rows = job->rows - row < panels * mr ? job->rows - row : panels * mr;
    const fl_int v_step = FL_WINO_CHANNELS * pitch + LINE, m_step = panels * mr * pitch + LINE, u_step = FL_WINO_CHANNELS * mr + LINE;
    const real *v = (const real *)job->v + group * ((job->channels + FL_WINO_CHANNELS - 1) / FL_WINO_CHANNELS) * FL_WINO_POINTS * v_step;
    const real *w = (const real *)T->w + group * T->group_step + row * T->row_step;
    real *u = scratch, *m = u + panels * FL_WINO_POINTS * u_step, *g = m + FL_WINO_POINTS * m_step;

    for (fl_int c = 0; c < job->channels; c += FL_WINO_CHANNELS, v += FL_WINO_POINTS * v_step) {
        const fl_int channels = job->channels - c < FL_WINO_CHANNELS ? job->channels - c : FL_WINO_CHANNELS;
        for (fl_int p = 0; p < panels; p++)
            FL_FN(wino_taps_in)(u + p * FL_WINO_POINTS * u_step, u_step, T, w + p * mr * T->row_step + c * T->channel_step, channels,
                                rows - p * mr < mr ? rows - p * mr : mr, g);
        for (fl_int point = 0; point < FL_WINO_POINTS; point++)
            for (fl_int p = 0; p < panels; p++)
                FL_FN(wino_products)(m + point * m_step + p * mr * pitch, pitch, u + (p * FL_WINO_POINTS + point) * u_step,
                                     v + point * v_step, job->offset, channels, tiles, mr, c > 0);
    }
    FL_FN(wino_out)(job, m, m_step, group, row, rows, 0, job->images * job->down);
}

/* --- the weights' gradient: G' (A v A' times B' d B, summed over the tiles) G ------------------------------------------- */

/* A, the transpose of what gives pixels. */
FL_INLINE void FL_FN(wino_pixels_back)(vec *m, vec v0, vec v1, vec v2, vec v3)
{
    const vec even = v0 + v2, odd = v1 + v3;
    m[0] = v0;
    m[1] = even + odd;
    m[2] = even - odd;
    m[3] = v0 + (real)0.5 * v1 + (real)0.25 * v2 + (real)0.125 * v3;
    m[4] = v0 - 2 * v1 + 4 * v2 - 8 * v3;
    m[5] = v3;
}

/* G', the transpose of what transforms taps. */
FL_INLINE void FL_FN(wino_taps_back)(wide *g, const wide m0, const wide m1, const wide m2, const wide m3, const wide m4, const wide m5)
{
    const wide third = (m1 - m2) * (1.0 / 3);
    g[0] = m0 + third - m3 * (16.0 / 15) + m4 * (1.0 / 15);
    g[1] = (m1 + m2) * (1.0 / 3) - m3 * (8.0 / 15) - m4 * (2.0 / 15);
    g[2] = third - m3 * (4.0 / 15) + m4 * (4.0 / 15) + m5;
}

/* A v A' of a row of tiles of one row of A. */
static void FL_FN(wino_row_back)(real *m, fl_int step, const real *v, fl_int oh, fl_int ow, fl_int top, fl_int across, real *phases)
{
    const fl_int ld = FL_FN(wino_pitch)(across);
    FL_FN(wino_rows)(phases, ld, across + 1, v, oh, ow, top, 0, FL_WINO_TILE);
    for (fl_int t = 0; t < across; t += VL) {
        vec columns[4][6];
#pragma GCC unroll 4
        for (int q = 0; q < 4; q++) {
            const real *at = phases + q * ld + t;
            FL_FN(wino_pixels_back)(columns[q], vload(at), vload(at + 4 * ld), vload(at + 8 * ld), vload(at + 12 * ld));
        }
#pragma GCC unroll 6
        for (int a = 0; a < 6; a++) {
            vec out[6];
            FL_FN(wino_pixels_back)(out, columns[0][a], columns[1][a], columns[2][a], columns[3][a]);
            for (int b = 0; b < 6; b++) vstore(m + (6 * a + b) * step + t, out[b]);
        }
    }
}

/* dw[c * 9 + tap] for `channels` of a row of A, from sums[point * step + c]; up to a register more is read. */
static void FL_FN(wino_weights_out)(real *dw, const real *sums, fl_int step, fl_int channels)
{
    for (fl_int c = 0; c < channels; c += PART) {
        wide columns[6][3];
        real taps[9][PART];
        const fl_int left = channels - c < PART ? channels - c : PART;
        for (int b = 0; b < 6; b++) {
            wide m[6];
            for (int a = 0; a < 6; a++) m[a] = FL_FN(widen)(sums + (6 * a + b) * step + c);
            FL_FN(wino_taps_back)(columns[b], m[0], m[1], m[2], m[3], m[4], m[5]);
        }
        for (int a = 0; a < 3; a++) {
            wide g[3];
            FL_FN(wino_taps_back)(g, columns[0][a], columns[1][a], columns[2][a], columns[3][a], columns[4][a], columns[5][a]);
            for (int b = 0; b < 3; b++) FL_FN(narrow)(taps[3 * a + b], g[b]);
        }
        for (fl_int lane = 0; lane < left; lane++)
            for (fl_int q = 0; q < 9; q++) dw[(c + lane) * 9 + q] = taps[q][lane];
    }
}

/* A block sums over a part of the rows of tiles, for some rows of A and some channels. scratch, in reals, pitch being that of the tiles
 * of `together` rows and ld that of channel_chunk channels: the transforms, points * ((rows + channels) * pitch + 2 lines); for one point its
 * operands, pitch * (rows up to whole panels + ld) and a line; the sums, points * (rows up to whole panels * ld + a line); six rows. */
static void FL_FN(winograd_weights)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_winograd_weights_job *job = (const fl_winograd_weights_job *)head;
    const FL_FN(conv_region) R = FL_FN(conv_region_of)(&job->regions, block);
    const fl_int k0 = R.row, c0 = R.channel, rows = R.rows, channels = R.channels, group = R.group, groups = job->regions.groups;
    const fl_int total = job->images * job->down, first = R.part * job->part_rows;
    const fl_int end = first + job->part_rows < total ? first + job->part_rows : total;
    const fl_int mr = job->mr, panels = (rows + mr - 1) / mr, pitch = job->pitch, ld = (job->regions.channel_chunk + VL - 1) / VL * VL;
    const fl_int x_step = channels * pitch + LINE, v_step = rows * pitch + LINE, sum_step = panels * mr * ld + LINE;
    real *xs = scratch, *vs = xs + FL_WINO_POINTS * x_step, *a = vs + FL_WINO_POINTS * v_step, *b = a + panels * mr * pitch + LINE;
    real *sums = b + pitch * ld, *phases = sums + FL_WINO_POINTS * sum_step;
    const real zeros[FL_CONV_ROWS] = {0};

    for (fl_int from = first; from < end; from += job->together) {
        const fl_int to = from + job->together < end ? from + job->together : end, tiles = (to - from) * job->across;
        /* in the order of memory: what is too much of a row of tiles the next one overwrites */
        for (fl_int c = 0; c < channels; c++)
            for (fl_int i = from; i < to; i++) {
                const fl_int channel = (i / job->down * groups + group) * job->regions.channels + c0 + c, top = i % job->down * FL_WINO_TILE;
                FL_FN(wino_row_in)(xs + c * pitch + (i - from) * job->across, x_step, (const real *)job->x + channel * job->h * job->w,
                                   job->h, job->w, top - job->top, -job->left, job->across, phases);
            }
        for (fl_int k = 0; k < rows; k++)
            for (fl_int i = from; i < to; i++) {
                const fl_int row = (i / job->down * groups + group) * job->regions.rows + k0 + k;
                FL_FN(wino_row_back)(vs + k * pitch + (i - from) * job->across, v_step, (const real *)job->v + row * job->oh * job->ow,
                                     job->oh, job->ow, i % job->down * FL_WINO_TILE, job->across, phases);
            }
        for (fl_int point = 0; point < FL_WINO_POINTS; point++) {
            for (fl_int panel = 0; panel < panels; panel++)
                FL_FN(conv_pack_rows)(a + panel * mr * pitch, vs + point * v_step + panel * mr * pitch, pitch, tiles, mr,
                                      rows - panel * mr < mr ? rows - panel * mr : mr);
            FL_FN(conv_pack_rows)(b, xs + point * x_step, pitch, tiles, ld, channels);
            for (fl_int panel = 0; panel < panels; panel++)
                for (fl_int c = 0, nv; c < channels; c += nv * VL) {
                    nv = FL_FN(conv_wide)(mr, (channels - c + VL - 1) / VL);
                    FL_FN(conv_tile_of)(sums + point * sum_step + panel * mr * ld + c, ld, a + panel * mr * pitch, b + c, 0, 1, job->offset,
                                        tiles, zeros, from > first, mr, nv);
                }
        }
    }
    for (fl_int k = 0; k < rows; k++)
        FL_FN(wino_weights_out)((real *)job->dw + (R.at + k * job->regions.channels) * 9, sums + k * ld, sum_step, channels);
}
#undef wide
#undef half
