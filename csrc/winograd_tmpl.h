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

/* In double, whatever the dtype: W's transforms are then as good as W. */
typedef double FL_FN(wide) __attribute__((vector_size(VBYTES / sizeof(real) * sizeof(double))));
#define wide FL_FN(wide)

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

/* A block transforms one panel of one group. Up to a line more is read of scratch and written of u. */
static void FL_FN(winograd_pack)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_winograd_pack_job *job = (const fl_winograd_pack_job *)head;
    const fl_int panel = block % job->panels, group = block / job->panels, mr = job->mr, row = panel * mr;
    const fl_int valid = job->rows - row < mr ? job->rows - row : mr, n = mr * job->channels, step = n + LINE;
    const real *w = (const real *)job->w + group * job->group_step + row * job->row_step;
    real *g = scratch, *u = (real *)job->u + (group * job->panels + panel) * FL_WINO_POINTS * step;
    for (fl_int c = 0; c < job->channels; c++)
        for (fl_int i = 0; i < mr; i++)
            for (fl_int q = 0; q < 9; q++)
                g[q * step + c * mr + i] = i < valid ? w[i * job->row_step + c * job->channel_step + job->place[q]] : 0;
    for (fl_int t = 0; t < n; t += VL) {
        wide columns[3][6];
        for (int j = 0; j < 3; j++)
            FL_FN(wino_taps)(columns[j], __builtin_convertvector(vload(g + j * step + t), wide),
                             __builtin_convertvector(vload(g + (3 + j) * step + t), wide),
                             __builtin_convertvector(vload(g + (6 + j) * step + t), wide));
        for (int a = 0; a < 6; a++) {
            wide out[6];
            FL_FN(wino_taps)(out, columns[0][a], columns[1][a], columns[2][a]);
            for (int b = 0; b < 6; b++) vstore(u + (6 * a + b) * step + t, __builtin_convertvector(out[b], vec));
        }
    }
}

/* The transforms of a row of tiles of one channel: v[point * step + tile]; a register more may be written of each. */
static void FL_FN(wino_row_in)(real *v, fl_int step, const real *x, const fl_winograd_job *job, fl_int i, real *phases)
{
    const fl_int n = job->across + 1, ld = (n + VL - 1) / VL * VL + VL;
    for (fl_int p = 0; p < 6; p++) {
        const fl_int row = FL_WINO_TILE * i + p - job->top;
        if (row < 0 || row >= job->h)
            for (fl_int q = 0; q < 4 * ld; q += VL) vstore(phases + p * 4 * ld + q, vset(0));
        else FL_FN(row_by_fours)(phases + p * 4 * ld, ld, n, x + row * job->w, job->w, -job->left);
    }
    for (fl_int t = 0; t < job->across; t += VL) {
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
            FL_FN(wino_store)(y + (FL_WINO_TILE * i + a) * job->ow + 4 * t, pixels, valid, job->accumulate);
        }
    }
}

/* scratch: transforms of the channels and of the rows of A, FL_WINO_POINTS times them times pitch, and a line; then six rows of an image. */
static void FL_FN(winograd)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_winograd_job *job = (const fl_winograd_job *)head;
    const fl_int parts = (job->panels + job->panels_block - 1) / job->panels_block, part = block % parts;
    const fl_int total = job->images * job->down, per_group = (total + job->per_block - 1) / job->per_block;
    const fl_int first = block / parts % per_group * job->per_block, group = block / parts / per_group;
    const fl_int end = first + job->per_block < total ? first + job->per_block : total, tiles = (end - first) * job->across;
    const fl_int from = part * job->panels_block, to = from + job->panels_block < job->panels ? from + job->panels_block : job->panels;
    const fl_int mr = job->mr, pitch = job->pitch, size = job->oh * job->ow;
    const fl_int v_step = job->channels * pitch + LINE, m_step = (to - from) * mr * pitch + LINE;
    real *v = scratch, *m = v + FL_WINO_POINTS * v_step, *phases = m + FL_WINO_POINTS * m_step;
    const fl_int u_step = job->channels * mr + LINE;
    const real *u = (const real *)job->u + group * job->panels * FL_WINO_POINTS * u_step;
    const real zeros[FL_CONV_ROWS] = {0};
    fl_gemm_job last = {.c = job->y, .ldc = size, .op = job->op, .r = job->r, .ldr = size, .y = job->slope, .ldy = size, .op2 = job->op2};

    for (fl_int c = 0; c < job->channels; c++)
        for (fl_int i = first; i < end; i++) {
            const fl_int channel = (i / job->down * job->groups + group) * job->channels + c;
            FL_FN(wino_row_in)(v + c * pitch + (i - first) * job->across, v_step, (const real *)job->x + channel * job->h * job->w, job,
                               i % job->down, phases);
        }
    for (fl_int point = 0; point < FL_WINO_POINTS; point++)
        for (fl_int panel = from; panel < to; panel++)
            for (fl_int t = 0, nv; t < tiles; t += nv * VL) {
                nv = FL_FN(conv_wide)(mr, (tiles - t + VL - 1) / VL);
                FL_FN(conv_tile_of)(m + point * m_step + (panel - from) * mr * pitch + t, pitch,
                                    u + (panel * FL_WINO_POINTS + point) * u_step, v + point * v_step + t, 0, 1, job->offset,
                                    job->channels, zeros, 0, mr, nv);
            }
    for (fl_int row = from * mr; row < to * mr && row < job->rows; row++)
        for (fl_int i = first; i < end; i++) {
            const fl_int k = group * job->rows + row, plane = i / job->down * job->groups * job->rows + k, at = i % job->down;
            const fl_int top = FL_WINO_TILE * at, bottom = top + FL_WINO_TILE < job->oh ? top + FL_WINO_TILE : job->oh;
            real *y = (real *)job->y + plane * size;
            FL_FN(wino_row_out)(y, m + (row - from * mr) * pitch + (i - first) * job->across, m_step, job, at,
                                job->bias ? ((const real *)job->bias)[k] : 0);
            if (job->op != FL_IDENTITY || job->r || job->slope)
                FL_FN(gemm_finish)(&last, y + top * job->ow, size, plane, 1, top * job->ow, (bottom - top) * job->ow);
        }
}
#undef wide
