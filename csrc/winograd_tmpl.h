/* winograd_tmpl.h: 3 x 3 convolutions of 4 x 4 pixels with a quarter of the multiplications (Winograd 1980; Lavin and Gray 2015).
 * The points 0, 1, -1, 1/2, -2 and infinity lose least of the usual ones (Barabasz et al. 2020). A tile's 6 x 6 pixels d become
 * B' d B, the taps g become G g G', their products over the channels m become A' m A; lanes lie along the tiles. */

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

/* In double, whatever the dtype: W's transforms are then as good as W. A register of doubles has PART lanes: of floats it is half. */
#undef PART
#define PART (VBYTES / (fl_int)sizeof(double))
typedef double FL_FN(wide) __attribute__((vector_size(VBYTES)));
typedef real FL_FN(half) __attribute__((vector_size(VBYTES / sizeof(double) * sizeof(real)), aligned(sizeof(real)), may_alias));
#define wide FL_FN(wide)
#define half FL_FN(half)

FL_INLINE half FL_FN(half_load)(const real *p) { return *(const half *)p; }
FL_INLINE wide FL_FN(widen)(const real *p) { return __builtin_convertvector(FL_FN(half_load)(p), wide); }
FL_INLINE void FL_FN(narrow)(real *p, wide v) { *(half *)p = __builtin_convertvector(v, half); }

typedef bits FL_FN(half_bits) __attribute__((vector_size(VBYTES / sizeof(double) * sizeof(real)), aligned(sizeof(real)), may_alias));

FL_INLINE half FL_FN(half_abs)(half v) { return (half)((FL_FN(half_bits))v & ~((bits)1 << (REAL_BITS - 1))); }

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
 * point. sums: adds the rows' |w|, and FL_WINO_ROWS on their w^2. g: 9 * FL_WINO_RUN * mr reals and a line. */
static void FL_FN(wino_taps_in)(real *u, fl_int step, const fl_conv_taps *T, const real *w, fl_int channels, fl_int valid, real *sums,
                                real *g)
{
    const fl_int mr = T->mr;
    for (fl_int from = 0; from < channels; from += FL_WINO_RUN) {
        const fl_int here = channels - from < FL_WINO_RUN ? channels - from : FL_WINO_RUN;
        FL_FN(conv_pack_panel)(g, T, w + from * T->channel_step, here, 9, valid);
        for (fl_int c = 0; c < here; c++)
            for (fl_int t = 0; t < mr; t += PART) {
                const real *at = g + c * 9 * mr + t;
                real *to = u + (from + c) * mr + t;
                half *sum = (half *)(sums + t), *squares = (half *)(sums + FL_WINO_ROWS + t);
                wide columns[3][6];
                for (int j = 0; j < 3; j++)
                    FL_FN(wino_taps)(columns[j], FL_FN(widen)(at + T->place[j] * mr), FL_FN(widen)(at + T->place[3 + j] * mr),
                                     FL_FN(widen)(at + T->place[6 + j] * mr));
                half s = *sum, q = *squares;
                for (int p = 0; p < 9; p++) {
                    const half tap = FL_FN(half_load)(at + p * mr);
                    s += FL_FN(half_abs)(tap);
                    q += tap * tap;
                }
                *sum = s;
                *squares = q;
                for (int a = 0; a < 6; a++) {
                    wide out[6];
                    FL_FN(wino_taps)(out, columns[0][a], columns[1][a], columns[2][a]);
                    for (int b = 0; b < 6; b++) FL_FN(narrow)(to + (6 * a + b) * step, out[b]);
                }
            }
    }
}

/* The densities of `valid` rows from what wino_taps_in summed over all channels. */
FL_INLINE void FL_FN(wino_densities)(real *density, const real *sums, fl_int channels, fl_int valid)
{
    for (fl_int r = 0; r < valid; r++) density[r] = FL_FN(density)((double)sums[r], (double)sums[FL_WINO_ROWS + r], 9 * channels);
}

/* A block transforms one panel of one group. */
static void FL_FN(winograd_pack)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_winograd_pack_job *job = (const fl_winograd_pack_job *)head;
    const fl_conv_taps *T = &job->taps;
    const fl_int panel = block % job->panels, group = block / job->panels, row = panel * T->mr, step = T->mr * job->channels + LINE;
    const fl_int valid = job->rows - row < T->mr ? job->rows - row : T->mr;
    real sums[2 * FL_WINO_ROWS] = {0};
    FL_FN(wino_taps_in)((real *)job->u + (group * job->panels + panel) * FL_WINO_POINTS * step, step, T,
                        (const real *)T->w + group * T->group_step + row * T->row_step, job->channels, valid, sums, scratch);
    FL_FN(wino_densities)((real *)job->density + group * job->rows + row, sums, job->channels, valid);
}

/* --- transforms of tiles -------------------------------------------------------------------------------------------------- */

/* v[point * step + tile] = B' d B. */
static void FL_FN(wino_in)(real *v, fl_int step, real *d, const FL_FN(wino_source) *S, fl_int first, fl_int end)
{
    const fl_int tiles = (end - first) * S->tiles->cols, ld = FL_FN(wino_pitch)(tiles);
    FL_FN(wino_tiles)(d, ld, S, first, end, 6);
    for (fl_int t = 0; t < tiles; t += VL) {
        vec columns[6][6];
#pragma GCC unroll 6
        for (int b = 0; b < 6; b++) {
            const real *at = d + b * ld + t;
            FL_FN(wino_data)(columns[b], vload(at), vload(at + 6 * ld), vload(at + 12 * ld), vload(at + 18 * ld), vload(at + 24 * ld),
                             vload(at + 30 * ld));
        }
#pragma GCC unroll 6
        for (int a = 0; a < 6; a++) {
            vec out[6];
            FL_FN(wino_data)(out, columns[0][a], columns[1][a], columns[2][a], columns[3][a], columns[4][a], columns[5][a]);
            for (int b = 0; b < 6; b++) vstore(v + (6 * a + b) * step + t, out[b]);
        }
    }
}

/* lines[a * ld + 4 tile + b] = start + pixel (a, b) of A' m A, or of what was summed directly, direct[(4 a + b) * pitch + tile], where
 * a tile's bound is beyond the density; direct may be NULL, and then none is. */
static void FL_FN(wino_lines)(real *lines, fl_int ld, const real *m, fl_int step, fl_int tiles, real start, const real *direct,
                              fl_int pitch, const real *bounds, real density)
{
    for (fl_int t = 0; t < tiles; t += VL) {
        vec rows[4][6];
#pragma GCC unroll 6
        for (int b = 0; b < 6; b++) {
            const real *at = m + b * step + t;
            vec column[4];
            FL_FN(wino_pixels)(column, vload(at), vload(at + 6 * step), vload(at + 12 * step), vload(at + 18 * step), vload(at + 24 * step),
                               vload(at + 30 * step));
            for (int a = 0; a < 4; a++) rows[a][b] = column[a];
        }
#pragma GCC unroll 4
        for (int a = 0; a < 4; a++) {
            real *to = lines + a * ld + 4 * t;
            vec pixels[4];
            FL_FN(wino_pixels)(pixels, rows[a][0], rows[a][1], rows[a][2], rows[a][3], rows[a][4], rows[a][5]);
            if (direct) {
                const vmask beyond = vbelow(vset(density), vload_n(bounds + t, tiles - t < VL ? tiles - t : VL, 0));
                for (int b = 0; b < 4; b++) pixels[b] = vselect(beyond, vload(direct + (4 * a + b) * pitch + t), pixels[b]);
            }
            for (int b = 0; b < 4; b++) pixels[b] += start;
#if FL_IS_F32
            vinterleave4(pixels);
            for (int b = 0; b < 4; b++) vstore(to + b * VL, pixels[b]);
#else
            real four[4][VL];
            for (int b = 0; b < 4; b++) vstore(four[b], pixels[b]);
            for (fl_int q = 0; q < 4 * VL; q++) to[q] = four[q % 4][q / 4];
#endif
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
                                NULL, 0, zeros, add || c > 0, mr, nv);
    }
}

/* The same with lanes along the rows of A: m[tile * mr + row]. Tiles take the place of a panel's rows. */
FL_INLINE void FL_FN(wino_turned_products)(real *m, const fl_winograd_job *job, const real *u, const real *v, fl_int channels, fl_int tiles,
                                           int add)
{
    const real zeros[FL_CONV_ROWS] = {0};
    const fl_int mr = job->taps.mr;
    for (fl_int c = 0; c < channels; c += FL_WINO_RUN)
        FL_FN(conv_tile_of)(m, mr, v + c * job->pitch, u + c * mr, 0, 1, job->along_rows,
                            channels - c < FL_WINO_RUN ? channels - c : FL_WINO_RUN, job->offset, 0, zeros, add || c > 0, tiles, mr / VL);
}

/* A row of y from that of its tiles, whose phases are `length` pixels long. */
FL_INLINE void FL_FN(wino_put)(real *y, const real *from, fl_int length, fl_int ow, fl_int dw, int add)
{
    if (dw == 1) FL_FN(conv_put)(y, from, ow, add);
    else if (dw == 2)
        for (fl_int q = 0; 2 * q < ow; q += VL) {
            vec a, b;
            real both[2 * VL];
            vzip(vload(from + q), vload(from + length + q), &a, &b);
            vstore(both, a);
            vstore(both + VL, b);
            FL_FN(conv_put)(y + 2 * q, both, ow - 2 * q < 2 * VL ? ow - 2 * q : 2 * VL, add);
        }
    else
        for (fl_int f = 0; f < dw && f < ow; f++)
            for (fl_int q = 0; f + q * dw < ow; q++) y[f + q * dw] = from[f * length + q] + (add ? y[f + q * dw] : 0);
}

/* A row of A: its planes of y, and the rows of tiles [first, end) of all images, from lines. */
static void FL_FN(wino_store)(const fl_winograd_job *job, const real *lines, fl_int k, fl_int first, fl_int end)
{
    const fl_wino_tiles *T = &job->tiles;
    const fl_int oh = T->oh, ow = T->ow, size = oh * ow, ld = 4 * FL_FN(wino_pitch)((end - first) * T->cols);
    const fl_gemm_job last = FL_FN(conv_last)(&job->finish, job->y, size);
    for (fl_int i = first; i < end; i++) {
        const FL_FN(wino_place) P = FL_FN(wino_place_of)(T, i);
        const fl_int plane = P.image * job->groups * job->rows + k, top = P.row * FL_WINO_TILE * T->dh + P.phase;
        const fl_int bottom = top + FL_WINO_TILE * T->dh < oh ? top + FL_WINO_TILE * T->dh : oh;
        real *y = (real *)job->y + plane * size;
        const real *line = lines + (i - first) * 4 * T->cols;
        for (fl_int p = top; p < bottom; p += T->dh, line += ld)
            FL_FN(wino_put)(y + p * ow, line, 4 * T->across, ow, T->dw, job->finish.accumulate);
        const fl_int together = T->dh == 1 ? bottom - top : 1; /* rows that lie one after another */
        for (fl_int p = top; p < bottom && FL_FN(conv_finishes)(&job->finish); p += together * T->dh)
            FL_FN(gemm_finish)(&last, y + p * ow, size, plane, 1, p * ow, together * ow);
    }
}

/* The pixels of `rows` rows of A from `row` on, rows of tiles [first, end) of all images, from m[point * step + row * pitch + tile]; those
 * of tiles whose bounds are beyond the densities of the rows are summed directly. scratch: lines, or what wino_tiles wants, then the
 * direct sums: FL_WINO_DIRECT * 16 * pitch reals. */
static void FL_FN(wino_out)(const fl_winograd_job *job, const real *m, fl_int step, fl_int group, fl_int row, fl_int rows, fl_int first,
                            fl_int end, const real *density, real *scratch)
{
    const fl_conv_taps *W = &job->taps;
    const fl_int tiles = (end - first) * job->tiles.cols, ld = FL_FN(wino_pitch)(tiles), k0 = group * job->rows + row;
    const real *bounds = (const real *)job->bounds + group * job->bounds_pitch + first * job->tiles.cols;
    real *sums = scratch + (FL_WINO_POINTS + FL_WINO_TILE) * ld;
    for (fl_int r0 = 0; r0 < rows; r0 += FL_WINO_DIRECT) {
        const fl_int here = rows - r0 < FL_WINO_DIRECT ? rows - r0 : FL_WINO_DIRECT;
        real least = density[r0];
        for (fl_int r = 1; r < here; r++) least = density[r0 + r] < least ? density[r0 + r] : least;
        const int direct = FL_FN(any_beyond)(bounds, tiles, least);
        if (direct)
            FL_FN(wino_direct)(sums, job->pitch, job, (const real *)W->w + group * W->group_step + (row + r0) * W->row_step, here, group,
                               first, end, bounds, least, scratch);
        for (fl_int r = r0; r < r0 + here; r++) {
            FL_FN(wino_lines)(scratch, 4 * ld, m + r * job->pitch, step, tiles,
                              job->finish.bias ? ((const real *)job->finish.bias)[k0 + r] : 0,
                              direct ? sums + (r - r0) * 16 * job->pitch : NULL, job->pitch, bounds, density[r]);
            FL_FN(wino_store)(job, scratch, k0 + r, first, end);
        }
    }
}

/* Many tiles: a block transforms some of them, for all rows of A, whose transforms u it is given. scratch: transforms of the channels and
 * of the rows of A, FL_WINO_POINTS times them times pitch, and a line; the pixels of a channel, FL_WINO_POINTS times their pitch. */
static void FL_FN(winograd)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_winograd_job *job = (const fl_winograd_job *)head;
    const fl_int total = job->images * job->tiles.rows, per_group = (total + job->per_block - 1) / job->per_block;
    const fl_int first = block % per_group * job->per_block, group = block / per_group, mr = job->taps.mr;
    const fl_int end = first + job->per_block < total ? first + job->per_block : total, tiles = (end - first) * job->tiles.cols;
    const fl_int v_step = job->channels * job->pitch + LINE, m_step = job->panels * mr * job->pitch + LINE;
    const fl_int u_step = job->channels * mr + LINE;
    const real *u = (const real *)job->u + group * job->panels * FL_WINO_POINTS * u_step;
    real *v = scratch, *m = v + FL_WINO_POINTS * v_step, *pixels = m + FL_WINO_POINTS * m_step;

    for (fl_int c = 0; c < job->channels; c++) {
        const FL_FN(wino_source) source = FL_FN(wino_channel)(job, group, c);
        FL_FN(wino_in)(v + c * job->pitch, v_step, pixels, &source, first, end);
    }
    for (fl_int point = 0; point < FL_WINO_POINTS; point++)
        for (fl_int panel = 0; panel < job->panels; panel++)
            FL_FN(wino_products)(m + point * m_step + panel * mr * job->pitch, job->pitch, u + (panel * FL_WINO_POINTS + point) * u_step,
                                 v + point * v_step, job->offset, job->channels, tiles, mr, 0);
    FL_FN(wino_out)(job, m, m_step, group, 0, job->rows, first, end, (const real *)job->density + group * job->rows, pixels);
}

/* Few tiles: a first job transforms them all, a block some channels. v: [group][part of the channels][point][channel][pitch], a line
 * after each point. scratch: the pixels of a channel, FL_WINO_POINTS times their pitch. */
static void FL_FN(winograd_in)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_winograd_job *job = (const fl_winograd_job *)head;
    const fl_int parts = (job->channels + FL_WINO_CHANNELS - 1) / FL_WINO_CHANNELS, from = block % parts * FL_WINO_CHANNELS;
    const fl_int channels = job->channels - from < FL_WINO_CHANNELS ? job->channels - from : FL_WINO_CHANNELS;
    const fl_int step = FL_WINO_CHANNELS * job->pitch + LINE;
    real *v = (real *)job->v + block * FL_WINO_POINTS * step;
    for (fl_int c = 0; c < channels; c++) {
        const FL_FN(wino_source) source = FL_FN(wino_channel)(job, block / parts, from + c);
        FL_FN(wino_in)(v + c * job->pitch, step, scratch, &source, 0, job->images * job->tiles.rows);
    }
}

/* A share of the taps of a panel for the next channels, those that lie together in W one after another. */
FL_INLINE void FL_FN(wino_fetch)(const fl_conv_taps *T, const real *w, fl_int channels, fl_int rows, fl_int share, fl_int shares)
{
    const int by_row = T->order == FL_PACK_ROWS;
    const fl_int pieces = by_row ? rows : channels, step = by_row ? T->row_step : T->channel_step, line = 64 / (fl_int)sizeof(real);
    const fl_int lines = 9 * (by_row ? channels : rows) / line + 1;
    for (fl_int i = share; channels > 0 && i < pieces * lines; i += shares)
        __builtin_prefetch(w + i / lines * step + i % lines * line, 0, 2);
}

/* ... and a block transforms the taps of per_block panels of A, FL_WINO_CHANNELS channels at a time, which are used at once: they would
 * be more to write and read than there is to compute. scratch: their transforms, FL_WINO_POINTS times them, and a line; those of the
 * rows, FL_WINO_POINTS times rows times pitch, and a line; with lanes along the rows of A these as well, FL_WINO_POINTS times rows times
 * tiles, and a line; sums over the rows' taps, 2 * FL_WINO_ROWS a panel, and their densities; then what wino_taps_in needs, or
 * wino_out. */
static void FL_FN(winograd_few)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_winograd_job *job = (const fl_winograd_job *)head;
    const fl_conv_taps *T = &job->taps;
    const fl_int parts = (job->panels + job->per_block - 1) / job->per_block, from = block % parts * job->per_block, group = block / parts;
    const fl_int panels = job->panels - from < job->per_block ? job->panels - from : job->per_block, mr = T->mr, pitch = job->pitch;
    const fl_int total = job->images * job->tiles.rows, tiles = total * job->tiles.cols, row = from * mr, rows = job->rows - row < panels * mr ? job->rows - row : panels * mr;
    const fl_int v_step = FL_WINO_CHANNELS * pitch + LINE, m_step = panels * mr * pitch + LINE, u_step = FL_WINO_CHANNELS * mr + LINE;
    const real *v = (const real *)job->v + group * ((job->channels + FL_WINO_CHANNELS - 1) / FL_WINO_CHANNELS) * FL_WINO_POINTS * v_step;
    const real *w = (const real *)T->w + group * T->group_step + row * T->row_step;
    const fl_int turned_step = job->along_rows ? panels * mr * tiles + LINE : 0;
    real *u = scratch, *m = u + panels * FL_WINO_POINTS * u_step, *turned = m + FL_WINO_POINTS * m_step;
    real *sums = turned + FL_WINO_POINTS * turned_step, *density = sums + panels * 2 * FL_WINO_ROWS, *g = density + panels * mr;
    memset(sums, 0, (size_t)(panels * 2 * FL_WINO_ROWS) * sizeof *sums);

    for (fl_int c = 0; c < job->channels; c += FL_WINO_CHANNELS, v += FL_WINO_POINTS * v_step) {
        const fl_int channels = job->channels - c < FL_WINO_CHANNELS ? job->channels - c : FL_WINO_CHANNELS;
        for (fl_int p = 0; p < panels; p++)
            FL_FN(wino_taps_in)(u + p * FL_WINO_POINTS * u_step, u_step, T, w + p * mr * T->row_step + c * T->channel_step, channels,
                                rows - p * mr < mr ? rows - p * mr : mr, sums + p * 2 * FL_WINO_ROWS, g);
        for (fl_int point = 0; point < FL_WINO_POINTS; point++)
            for (fl_int p = 0; p < panels; p++) {
                const fl_int next = c + channels, left = job->channels - next;
                FL_FN(wino_fetch)(T, w + p * mr * T->row_step + next * T->channel_step, left < FL_WINO_CHANNELS ? left : FL_WINO_CHANNELS,
                                  rows - p * mr < mr ? rows - p * mr : mr, point, FL_WINO_POINTS);
                const real *taps = u + (p * FL_WINO_POINTS + point) * u_step, *pixels = v + point * v_step;
                if (job->along_rows)
                    FL_FN(wino_turned_products)(turned + point * turned_step + p * mr * tiles, job, taps, pixels, channels, tiles, c > 0);
                else
                    FL_FN(wino_products)(m + point * m_step + p * mr * pitch, pitch, taps, pixels, job->offset, channels, tiles, mr, c > 0);
            }
    }
    for (fl_int point = 0; job->along_rows && point < FL_WINO_POINTS; point++)
        for (fl_int p = 0; p < panels; p++)
            FL_FN(conv_pack_rows)(m + point * m_step + p * mr * pitch, turned + point * turned_step + p * mr * tiles, mr, mr, pitch, tiles);
    for (fl_int p = 0; p < panels; p++)
        FL_FN(wino_densities)(density + p * mr, sums + p * 2 * FL_WINO_ROWS, job->channels, rows - p * mr < mr ? rows - p * mr : mr);
    FL_FN(wino_out)(job, m, m_step, group, row, rows, 0, total, density, g);
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

/* m[point * step + tile] = A v A'. */
static void FL_FN(wino_back)(real *m, fl_int step, real *d, const FL_FN(wino_source) *S, fl_int first, fl_int end)
{
    const fl_int tiles = (end - first) * S->tiles->cols, ld = FL_FN(wino_pitch)(tiles);
    FL_FN(wino_tiles)(d, ld, S, first, end, FL_WINO_TILE);
    for (fl_int t = 0; t < tiles; t += VL) {
        vec columns[4][6];
#pragma GCC unroll 4
        for (int b = 0; b < 4; b++) {
            const real *at = d + b * ld + t;
            FL_FN(wino_pixels_back)(columns[b], vload(at), vload(at + 4 * ld), vload(at + 8 * ld), vload(at + 12 * ld));
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

/* Adds the products of one tile, the i-th row's t-th, to direct[(row * 9 + tap) * ld + channel]. patch: 36 * ld reals. */
static void FL_FN(wino_direct_weights)(real *direct, fl_int ld, const fl_winograd_weights_job *job, const FL_FN(conv_region) *R, fl_int i,
                                       fl_int t, real *patch)
{
    const fl_conv_regions *all = &job->regions;
    const fl_wino_tiles *T = &job->tiles;
    const FL_FN(wino_place) P = FL_FN(wino_place_of)(T, i);
    const fl_int top = P.row * FL_WINO_TILE * T->dh + P.phase, left = t % T->across * FL_WINO_TILE * T->dw + t / T->across;
    const real *x = (const real *)job->x + ((P.image * all->groups + R->group) * all->channels + R->channel) * T->h * T->w;
    const real *v = (const real *)job->v + ((P.image * all->groups + R->group) * all->rows + R->row) * T->oh * T->ow;
    for (int a = 0; a < 6; a++)
        for (int b = 0; b < 6; b++) {
            const fl_int p = top + a * T->dh - T->top, q = left + b * T->dw - T->left;
            const int inside = p >= 0 && p < T->h && q >= 0 && q < T->w;
            for (fl_int c = 0; c < ld; c++)
                patch[(6 * a + b) * ld + c] = inside && c < R->channels ? x[(c * T->h + p) * T->w + q] : 0;
        }
    for (fl_int k = 0; k < R->rows; k++)
        for (int a = 0; a < FL_WINO_TILE && top + a * T->dh < T->oh; a++)
            for (int b = 0; b < FL_WINO_TILE && left + b * T->dw < T->ow; b++) {
                const vec one = vset(v[(k * T->oh + top + a * T->dh) * T->ow + left + b * T->dw]);
                for (int tap = 0; tap < 9; tap++)
                    for (fl_int c = 0; c < ld; c += VL) {
                        real *to = direct + (k * 9 + tap) * ld + c;
                        vstore(to, vload(to) + one * vload(patch + (6 * (a + tap / 3) + b + tap % 3) * ld + c));
                    }
            }
}

/* A block sums over a part of the rows of tiles, for some rows of A and some channels. scratch, in reals, pitch being that of the tiles
 * of `together` rows and ld that of channel_chunk channels: the transforms, points * ((rows + channels) * pitch + 2 lines); for one point its
 * operands, pitch * (rows up to whole panels + ld) and a line; the sums, points * (rows up to whole panels * ld + a line); the pixels of
 * a channel, points * their pitch; what is summed directly, (9 * rows + points) * ld. */
static void FL_FN(winograd_weights)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_winograd_weights_job *job = (const fl_winograd_weights_job *)head;
    const fl_conv_regions *all = &job->regions;
    const FL_FN(conv_region) R = FL_FN(conv_region_of)(all, block);
    const fl_int k0 = R.row, c0 = R.channel, rows = R.rows, channels = R.channels, group = R.group, groups = all->groups;
    const fl_wino_tiles *T = &job->tiles;
    const fl_int total = job->images * T->rows, first = R.part * job->part_rows;
    const fl_int end = first + job->part_rows < total ? first + job->part_rows : total;
    const fl_int mr = job->mr, panels = (rows + mr - 1) / mr, pitch = job->pitch, ld = (all->channel_chunk + VL - 1) / VL * VL;
    const fl_int x_step = channels * pitch + LINE, v_step = rows * pitch + LINE, sum_step = panels * mr * ld + LINE;
    real *xs = scratch, *vs = xs + FL_WINO_POINTS * x_step, *a = vs + FL_WINO_POINTS * v_step, *b = a + panels * mr * pitch + LINE;
    real *sums = b + pitch * ld, *pixels = sums + FL_WINO_POINTS * sum_step;
    real *direct = pixels + (FL_WINO_POINTS + FL_WINO_TILE) * (pitch + VL), *patch = direct + 9 * rows * ld;
    const real *bounds = (const real *)job->bounds + group * job->bounds_pitch;
    const int any = FL_FN(any_beyond)(bounds + first * T->cols, (end - first) * T->cols, 0);
    const real zeros[FL_CONV_ROWS] = {0};
    if (any) memset(direct, 0, (size_t)(9 * rows * ld) * sizeof *direct);

    for (fl_int from = first; from < end; from += job->together) {
        const fl_int to = from + job->together < end ? from + job->together : end, tiles = (to - from) * T->cols;
        for (fl_int c = 0; c < channels; c++) {
            const FL_FN(wino_source) source = FL_FN(wino_image)(T, job->x, group * all->channels + c0 + c, groups * all->channels);
            FL_FN(wino_in)(xs + c * pitch, x_step, pixels, &source, from, to);
        }
        for (fl_int k = 0; k < rows; k++) {
            const FL_FN(wino_source) source = {(const real *)job->v + (group * all->rows + k0 + k) * T->oh * T->ow,
                                               groups * all->rows * T->oh * T->ow, T->oh, T->ow, 0, 0, T};
            FL_FN(wino_back)(vs + k * pitch, v_step, pixels, &source, from, to);
        }
        for (fl_int t = 0; any && t < tiles; t++) {
            if (!(bounds[from * T->cols + t] > 0)) continue;
            FL_FN(wino_direct_weights)(direct, ld, job, &R, from + t / T->cols, t % T->cols, patch);
            for (fl_int point = 0; point < FL_WINO_POINTS; point++) {
                for (fl_int c = 0; c < channels; c++) xs[point * x_step + c * pitch + t] = 0;
                for (fl_int k = 0; k < rows; k++) vs[point * v_step + k * pitch + t] = 0;
            }
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
                                        tiles, NULL, 0, zeros, from > first, mr, nv);
                }
        }
    }
    for (fl_int k = 0; k < rows; k++) {
        real *dw = (real *)job->dw + (R.at + k * all->channels) * 9;
        FL_FN(wino_weights_out)(dw, sums + k * ld, sum_step, channels);
        for (fl_int c = 0; any && c < channels; c++)
            for (fl_int tap = 0; tap < 9; tap++) dw[9 * c + tap] += direct[(k * 9 + tap) * ld + c];
    }
}
#undef wide
#undef half
