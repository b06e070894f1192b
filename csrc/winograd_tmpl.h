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

/* In double, whatever the dtype: W's transforms are then as good as W. A register of doubles has PART lanes: of floats it is half. */
#undef PART
#define PART (VBYTES / (fl_int)sizeof(double))
typedef double FL_FN(wide) __attribute__((vector_size(VBYTES)));
typedef real FL_FN(half) __attribute__((vector_size(VBYTES / sizeof(double) * sizeof(real)), aligned(sizeof(real)), may_alias));
#define wide FL_FN(wide)
#define half FL_FN(half)

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
static void FL_FN(wino_taps_in)(real *u, fl_int step, const fl_conv_taps *T, const real *w, fl_int channels, fl_int valid, real *g)
{
    const fl_int mr = T->mr;
    for (fl_int from = 0; from < channels; from += FL_WINO_RUN) {
        const fl_int here = channels - from < FL_WINO_RUN ? channels - from : FL_WINO_RUN;
        FL_FN(conv_pack_panel)(g, T, w + from * T->channel_step, here, 9, valid);
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
    const fl_conv_taps *T = &job->taps;
    const fl_int panel = block % job->panels, group = block / job->panels, row = panel * T->mr, step = T->mr * job->channels + LINE;
    FL_FN(wino_taps_in)((real *)job->u + (group * job->panels + panel) * FL_WINO_POINTS * step, step, T,
                        (const real *)T->w + group * T->group_step + row * T->row_step, job->channels,
                        job->rows - row < T->mr ? job->rows - row : T->mr, scratch);
}

/* --- pixels of tiles, and their transforms ------------------------------------------------------------------------------- */

/* One channel: images of h x w pixels `step` apart, whose tiles of 4 x 4 begin `top` rows and `left` columns before them. */
typedef struct {
    const real *x;
    fl_int step, h, w, top, left;
    const fl_wino_tiles *tiles;
} FL_FN(wino_source);

/* A row of tiles: the i-th of all images. */
typedef struct {
    fl_int image, phase, row;
} FL_FN(wino_place);

FL_INLINE FL_FN(wino_place) FL_FN(wino_place_of)(const fl_wino_tiles *T, fl_int i)
{
    return (FL_FN(wino_place)){i / T->rows, i % T->rows / T->down, i % T->rows % T->down};
}

#if FL_IS_F32 && defined __AVX512F__
/* Four reals to each out[b * ld], b < span: those of v, then those of w. */
FL_INLINE void FL_FN(wino_fours)(real *out, fl_int ld, __m512 v, __m512 w, const int span)
{
    _mm_storeu_ps(out, _mm512_castps512_ps128(v));
    _mm_storeu_ps(out + ld, _mm512_extractf32x4_ps(v, 1));
    _mm_storeu_ps(out + 2 * ld, _mm512_extractf32x4_ps(v, 2));
    _mm_storeu_ps(out + 3 * ld, _mm512_extractf32x4_ps(v, 3));
    if (span > 4) {
        _mm_storeu_ps(out + 4 * ld, _mm512_castps512_ps128(w));
        _mm_storeu_ps(out + 5 * ld, _mm512_extractf32x4_ps(w, 1));
    }
}
#endif

/* A row of w pixels, NULL: of zeros, to out[b * ld + q] = column 4 q + b - left, b < span, q < across, and to `also` unless that is NULL.
 * Up to a register more is written of each. */
FL_INLINE void FL_FN(wino_row)(real *out, real *also, fl_int ld, fl_int across, const real *row, fl_int w, fl_int left, const int span)
{
#if FL_IS_F32
#if defined __AVX512F__
    if (across <= 4) { /* all columns lie in two registers */
        const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
        const fl_int at = -left;
        const vec lo = row ? FL_FN(load_in_row)(row + at, at, w) : vset(0);
        const vec hi = row && span > 4 ? FL_FN(load_in_row)(row + at + VL, at + VL, w) : vset(0);
        const __m512 v = _mm512_permutexvar_ps(order, lo), more = _mm512_permutex2var_ps(lo, _mm512_add_epi32(order, _mm512_set1_epi32(4)), hi);
        FL_FN(wino_fours)(out, ld, v, more, span);
        if (also) FL_FN(wino_fours)(also, ld, v, more, span);
        return;
    }
#endif
    vec here[4], next[4] = {vset(0), vset(0), vset(0), vset(0)};
    for (fl_int q = 0; q < across; q += VL) {
        const fl_int from = q == 0 || span == 4 ? 0 : 1, to = span > 4 && q + VL <= across ? 2 : 1;
        for (int f = 0; f < 4; f++) here[f] = next[f];
        for (fl_int g = from; row && g < to; g++) {
            vec v[4];
            for (int f = 0; f < 4; f++) {
                const fl_int at = 4 * (q + g * VL) + f * VL - left;
                v[f] = FL_FN(load_in_row)(row + at, at, w);
            }
            vdeinterleave4(v);
            for (int f = 0; f < 4; f++) *(g == 0 ? here + f : next + f) = v[f];
        }
        for (int b = 0; b < span; b++) {
            const vec v = b < 4 ? here[b] : vnext(here[b - 4], next[b - 4]);
            vstore(out + b * ld + q, v);
            if (also) vstore(also + b * ld + q, v);
        }
    }
#else
    for (int b = 0; b < span; b++)
        for (fl_int q = 0; q < across; q++) {
            const fl_int at = 4 * q + b - left;
            out[b * ld + q] = row && at >= 0 && at < w ? row[at] : 0;
            if (also) also[b * ld + q] = out[b * ld + q];
        }
#endif
}

/* The same for each phase of the dilation. line: scratch for the pixels of a phase. */
FL_INLINE void FL_FN(wino_phases)(real *out, real *also, fl_int ld, const FL_FN(wino_source) *S, const real *row, const int span, real *line)
{
    const fl_wino_tiles *T = S->tiles;
    if (T->dw == 1) {
        FL_FN(wino_row)(out, also, ld, T->across, row, S->w, S->left, span);
        return;
    }
    const fl_int width = 4 * T->across + span - 4;
    for (fl_int f = 0; f * T->across < T->cols; f++) {
        if (row) FL_FN(row_in_zeros)(line, width, row, S->w, T->dw, f - S->left);
        FL_FN(wino_row)(out + f * T->across, also ? also + f * T->across : NULL, ld, T->across, row ? line : NULL, width, 0, span);
    }
}

/* d[(a * span + b) * ld + tile]: pixel (a, b) of the tiles of rows [first, end) of all images. Two of six rows are the next tiles' as well. */
FL_INLINE void FL_FN(wino_tiles)(real *d, fl_int ld, const FL_FN(wino_source) *S, fl_int first, fl_int end, const int span)
{
    const fl_wino_tiles *T = S->tiles;
    for (fl_int i = first; i < end; i++) { /* in this order: what is too much of a row the next one overwrites */
        const FL_FN(wino_place) P = FL_FN(wino_place_of)(T, i);
        const fl_int tile = (i - first) * T->cols;
        for (fl_int a = span > 4 && i > first && P.row > 0 ? 2 : 0; a < span; a++) {
            const fl_int at = (FL_WINO_TILE * P.row + a) * T->dh + P.phase - S->top;
            const int shared = a >= FL_WINO_TILE && i + 1 < end && P.row + 1 < T->down;
            FL_FN(wino_phases)(d + a * span * ld + tile, shared ? d + (a - FL_WINO_TILE) * span * ld + tile + T->cols : NULL, ld, S,
                               at >= 0 && at < S->h ? S->x + P.image * S->step + at * S->w : NULL, span, d + FL_WINO_POINTS * ld);
        }
    }
}

/* The pitch of d. */
FL_INLINE fl_int FL_FN(wino_pitch)(fl_int tiles) { return (tiles + VL - 1) / VL * VL + VL; }

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

/* lines[a * ld + 4 tile + b] = start + pixel (a, b) of A' m A. */
FL_INLINE void FL_FN(wino_lines)(real *lines, fl_int ld, const real *m, fl_int step, fl_int tiles, real start)
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

/* The pixels of `rows` rows of A from `row` on, rows of tiles [first, end) of all images, from m[point * step + row * pitch + tile]. */
static void FL_FN(wino_out)(const fl_winograd_job *job, const real *m, fl_int step, fl_int group, fl_int row, fl_int rows, fl_int first,
                            fl_int end, real *lines)
{
    const fl_wino_tiles *T = &job->tiles;
    const fl_int oh = T->oh, ow = T->ow, size = oh * ow, tiles = (end - first) * T->cols, ld = 4 * FL_FN(wino_pitch)(tiles);
    const fl_gemm_job last = FL_FN(conv_last)(&job->finish, job->y, size);
    for (fl_int r = 0; r < rows; r++) {
        const fl_int k = group * job->rows + row + r;
        FL_FN(wino_lines)(lines, ld, m + r * job->pitch, step, tiles, job->finish.bias ? ((const real *)job->finish.bias)[k] : 0);
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
}

/* Channel c of images of so many channels: of x, */
FL_INLINE FL_FN(wino_source) FL_FN(wino_image)(const fl_wino_tiles *T, const void *x, fl_int c, fl_int channels)
{
    return (FL_FN(wino_source)){(const real *)x + c * T->h * T->w, channels * T->h * T->w, T->h, T->w, T->top, T->left, T};
}

/* Channel c of a group of x. */
FL_INLINE FL_FN(wino_source) FL_FN(wino_channel)(const fl_winograd_job *job, fl_int group, fl_int c)
{
    return FL_FN(wino_image)(&job->tiles, job->x, group * job->channels + c, job->groups * job->channels);
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
    FL_FN(wino_out)(job, m, m_step, group, 0, job->rows, first, end, pixels);
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
 * tiles, and a line; then what wino_taps_in needs, or the pixels of a row of A. */
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
    real *g = turned + FL_WINO_POINTS * turned_step;

    for (fl_int c = 0; c < job->channels; c += FL_WINO_CHANNELS, v += FL_WINO_POINTS * v_step) {
        const fl_int channels = job->channels - c < FL_WINO_CHANNELS ? job->channels - c : FL_WINO_CHANNELS;
        for (fl_int p = 0; p < panels; p++)
            FL_FN(wino_taps_in)(u + p * FL_WINO_POINTS * u_step, u_step, T, w + p * mr * T->row_step + c * T->channel_step, channels,
                                rows - p * mr < mr ? rows - p * mr : mr, g);
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
    FL_FN(wino_out)(job, m, m_step, group, row, rows, 0, total, g);
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

/* A block sums over a part of the rows of tiles, for some rows of A and some channels. scratch, in reals, pitch being that of the tiles
 * of `together` rows and ld that of channel_chunk channels: the transforms, points * ((rows + channels) * pitch + 2 lines); for one point its
 * operands, pitch * (rows up to whole panels + ld) and a line; the sums, points * (rows up to whole panels * ld + a line); the pixels of
 * a channel, points * their pitch. */
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
    const real zeros[FL_CONV_ROWS] = {0};

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
    for (fl_int k = 0; k < rows; k++)
        FL_FN(wino_weights_out)((real *)job->dw + (R.at + k * all->channels) * 9, sums + k * ld, sum_step, channels);
}
#undef wide
#undef half
