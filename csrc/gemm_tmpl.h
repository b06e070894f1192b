/* gemm_tmpl.h: matrix products. A tile of C, TILE_ROWS x 2 registers, stays in registers while a panel of A is broadcast against
 * a panel of B (Goto and van de Geijn 2008, with the roles of L1 and L2 as in BLIS): the panel of A, TILE_ROWS x strip, stays in
 * L1 while those of B stream from L2. Each element of C adds its products in the order of p, whatever tile it falls into.
 * Where B is given by columns and C is narrow or flat, `gemm_dots` has its lanes along p instead, and nothing is packed. */

#undef TILE_ROWS
#undef TILE_COLS
#define TILE_ROWS GEMM_ROWS /* 24 sums, 2 of B, 1 of A in 32 registers; or 12, 2 and 1 in 16 */
#define TILE_COLS (2 * VL)

/* c = or += A B for mr rows and nv registers of columns; masked: the last register has `left` lanes. by_row: A's rows lie a_row
 * apart and a_step is 1; else its columns lie a_step apart and a_row is 1. The loops over the tile must be unrolled early: gcc
 * keeps the sums in memory otherwise. ahead: how far on the B of the next strip lies, to be fetched; or 0. */
FL_INLINE void FL_FN(tile)(real *c, fl_int ldc, const real *a, fl_int a_row, fl_int a_step, const real *b, fl_int ldb, fl_int k,
                           fl_int left, int add, fl_int ahead, const int by_row, const int mr, const int nv, const int masked)
{
    vec s[TILE_ROWS][2];
#pragma GCC unroll 12
    for (int i = 0; i < mr; i++) s[i][0] = s[i][1] = vset(0);
    for (fl_int p = 0; p < k; p++, b += ldb) {
        vec b0 = masked && nv == 1 ? vload_n(b, left, 0) : vload(b), b1 = vset(0);
        if (nv == 2) b1 = masked ? vload_n(b + VL, left, 0) : vload(b + VL);
        if (ahead) {
            __builtin_prefetch(b + ahead, 0, 2);
            if (nv == 2) __builtin_prefetch(b + ahead + VL, 0, 2);
        }
#pragma GCC unroll 12
        for (int i = 0; i < mr; i++) {
            vec ai = vset(by_row ? a[i * a_row + p] : a[p * a_step + i]);
            s[i][0] += ai * b0;
            if (nv == 2) s[i][1] += ai * b1;
        }
    }
#pragma GCC unroll 12
    for (int i = 0; i < mr; i++) {
        real *ci = c + i * ldc, *last = ci + (nv - 1) * VL;
        if (add) {
            if (nv == 2) s[i][0] += vload(ci);
            s[i][nv - 1] += masked ? vload_n(last, left, 0) : vload(last);
        }
        if (nv == 2) vstore(ci, s[i][0]);
        if (masked) vstore_n(last, s[i][nv - 1], left);
        else vstore(last, s[i][nv - 1]);
    }
}

/* The columns of one group of rows. */
FL_INLINE void FL_FN(tiles)(real *c, fl_int ldc, const real *a, fl_int a_row, fl_int a_step, const real *b, fl_int ldb, fl_int panel,
                            fl_int k, fl_int cols, int add, fl_int ahead, const int by_row, const int mr)
{
    fl_int j = 0;
    for (; j + TILE_COLS <= cols; j += TILE_COLS, b += panel)
        FL_FN(tile)(c + j, ldc, a, a_row, a_step, b, ldb, k, VL, add, ahead, by_row, mr, 2, 0);
    if (cols - j > VL) FL_FN(tile)(c + j, ldc, a, a_row, a_step, b, ldb, k, cols - j - VL, add, ahead, by_row, mr, 2, 1);
    else if (cols > j) FL_FN(tile)(c + j, ldc, a, a_row, a_step, b, ldb, k, cols - j, add, ahead, by_row, mr, 1, 1);
}

#undef FL_TILES_CASE
#define FL_TILES_CASE(mr)                                                                                            \
    case mr:                                                                                                         \
        if (a_step == 1 && a_row != 1) FL_FN(tiles)(c, ldc, a, a_row, 1, b, ldb, panel, k, cols, add, ahead, 1, mr); \
        else FL_FN(tiles)(c, ldc, a, 1, a_step, b, ldb, panel, k, cols, add, ahead, 0, mr);         \
        break;

static void FL_FN(tiles_of)(real *c, fl_int ldc, const real *a, fl_int a_row, fl_int a_step, const real *b, fl_int ldb, fl_int panel,
                            fl_int k, fl_int rows, fl_int cols, int add, fl_int ahead)
{
    switch (rows) {
        FL_TILES_CASE(1)
        FL_TILES_CASE(2)
        FL_TILES_CASE(4)
#if defined __AVX512F__
        FL_TILES_CASE(8)
        FL_TILES_CASE(10)
        FL_TILES_CASE(12)
#else
        FL_TILES_CASE(6)
#endif
    }
}

/* How many of the rows left the next tile takes. */
FL_INLINE fl_int FL_FN(tile_rows)(fl_int rows)
{
    if (rows >= TILE_ROWS) return TILE_ROWS;
    if (TILE_ROWS > 6 && rows >= 8) return rows >= 10 ? 10 : 8;
    return rows >= 4 ? 4 : rows >= 2 ? 2 : 1;
}

/* out[p * TILE_ROWS + i] = a[i * a_row + p]: a panel of whole rows as the tile reads it. What is stored beyond a column is
 * overwritten by the next one; beyond the last one out has VL elements more. */
FL_INLINE void FL_FN(pack_panel)(real *out, const real *a, fl_int a_row, fl_int k)
{
    for (fl_int p = 0; p < k; p += VL) {
        const fl_int left = k - p < VL ? k - p : VL;
        vec t[(TILE_ROWS + VL - 1) / VL][VL];
        for (fl_int g = 0; g * VL < TILE_ROWS; g++) {
            for (fl_int i = 0; i < VL; i++) {
                const fl_int row = g * VL + i;
                t[g][i] = row >= TILE_ROWS ? vset(0) : left == VL ? vload(a + row * a_row + p) : vload_n(a + row * a_row + p, left, 0);
            }
            vtranspose(t[g]);
        }
        for (fl_int c = 0; c < left; c++)
            for (fl_int g = 0; g * VL < TILE_ROWS; g++) vstore(out + (p + c) * TILE_ROWS + g * VL, t[g][c]);
    }
}

/* out[p * TILE_COLS + j] = b[j * b_col + p] for `lanes` columns, zeros beyond: a register's width of a panel. */
FL_INLINE void FL_FN(pack_columns)(real *out, const real *b, fl_int b_col, fl_int k, fl_int lanes)
{
    for (fl_int p = 0; p < k; p += VL) {
        const fl_int left = k - p < VL ? k - p : VL;
        vec t[VL];
        for (fl_int j = 0; j < VL; j++)
            t[j] = j >= lanes ? vset(0) : left == VL ? vload(b + j * b_col + p) : vload_n(b + j * b_col + p, left, 0);
        vtranspose(t);
        for (fl_int c = 0; c < left; c++) vstore(out + (p + c) * TILE_COLS, t[c]);
    }
}

/* Fetches what will be read where the product goes: parameters, R, Y. Rows i.., columns j... */
FL_INLINE void FL_FN(fetch_rows)(const void *base, fl_int ld, fl_int i, fl_int rows, fl_int j, fl_int cols)
{
    for (fl_int q = 0; q < rows; q++)
        for (fl_int v = 0; v < cols; v += 64 / (fl_int)sizeof(real)) __builtin_prefetch((const real *)base + (i + q) * ld + j + v);
}

/* scratch, in reals: for what follows the product, rows (keep; rounded up to FL_TILE_ROWS) or FL_TILE_ROWS times cols; and where A
 * is packed, FL_TILE_ROWS * strip and a register more. */
static void FL_FN(gemm)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_gemm_job *job = (const fl_gemm_job *)head;
    const fl_int down = (job->m + job->rows - 1) / job->rows, across = (job->n + job->cols - 1) / job->cols;
    const fl_int i0 = block % down * job->rows, j0 = block / down % across * job->cols, part = block / down / across;
    const fl_int rows = job->m - i0 < job->rows ? job->m - i0 : job->rows, cols = job->n - j0 < job->cols ? job->n - j0 : job->cols;
    const fl_int p0 = part * job->depth, depth = job->k - p0 < job->depth ? job->k - p0 : job->depth;
    const fl_int a_row = job->a_row, a_step = job->a_step, packed = !job->ldb, ldb = packed ? TILE_COLS : job->ldb;
    const real *a = (const real *)job->a + i0 * a_row + p0 * a_step;
    const real *b = (const real *)job->b + (packed ? j0 * job->k + p0 * TILE_COLS : p0 * ldb + j0);
    const fl_int panel = packed ? job->k * TILE_COLS : TILE_COLS;
    const int plain = !(job->update || job->bias || job->r || job->y || job->op != FL_IDENTITY);
    const int keep = job->keep, finish_now = !plain && !keep;
    real *sums = scratch, *panel_a = sums + (plain ? 0 : (keep ? (rows + TILE_ROWS - 1) / TILE_ROWS : 1) * TILE_ROWS * job->cols);
    real *c = plain ? (real *)job->c + part * job->part + i0 * job->ldc + j0 : sums;
    const fl_int ldc = plain ? job->ldc : job->cols, across_tiles = plain ? cols : 8 * TILE_COLS;

    if (job->update && job->k == 1 && !packed) {
        FL_FN(gemm_outer_update)(job, i0, rows, j0, cols);
        return;
    }
    for (fl_int p = 0; p == 0 || p < depth; p += job->strip) {
        const fl_int k = depth - p < job->strip ? depth - p : job->strip;
        const int add = p > 0 || (plain && job->accumulate);
        /* the next strip where each is used once, else the next panel while the first rows are computed */
        const fl_int strip_ahead = rows <= TILE_ROWS && !packed && p + 2 * k <= depth ? k * ldb : 0;
        for (fl_int i = 0, here; i < rows; i += here) {
            const real *ai = a + i * a_row + p * a_step;
            fl_int row = a_row, step = a_step;
            here = FL_FN(tile_rows)(rows - i);
            if (job->pack && here == TILE_ROWS) {
                if (a_step == 1) FL_FN(pack_panel)(panel_a, ai, a_row, k);
                else
                    for (fl_int q = 0; q < k; q++) memcpy(panel_a + q * TILE_ROWS, ai + q * a_step, TILE_ROWS * sizeof(real));
                ai = panel_a, row = 1, step = TILE_ROWS;
            }
            for (fl_int j = 0; j < cols; j += across_tiles) { /* what follows the product finds it in L1 */
                const fl_int wide = cols - j < across_tiles ? cols - j : across_tiles;
                real *cj = c + (plain || keep ? i * ldc : 0) + j;
                if (finish_now) {
                    if (job->update || job->accumulate) FL_FN(fetch_rows)(job->c, job->ldc, i0 + i, here, j0 + j, wide);
                    if (job->r) FL_FN(fetch_rows)(job->r, job->ldr, i0 + i, here, j0 + j, wide);
                    if (job->y) FL_FN(fetch_rows)(job->y, job->ldy, i0 + i, here, j0 + j, wide);
                }
                FL_FN(tiles_of)(cj, ldc, ai, row, step, b + p * ldb + j / TILE_COLS * panel, ldb, panel, k, here, wide, add,
                                 strip_ahead ? strip_ahead : i == 0 ? panel : 0);
                if (finish_now) FL_FN(gemm_finish)(job, cj, ldc, i0 + i, here, j0 + j, wide);
            }
        }
    }
    if (keep) FL_FN(gemm_finish)(job, sums, ldc, i0, rows, j0, cols);
}

static void FL_FN(gemm_pack)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_pack_job *job = (const fl_pack_job *)head;
    const fl_int k = job->k, from = block * job->cols, to = from + job->cols < job->n ? from + job->cols : job->n;
    (void)scratch;
    for (fl_int j = from; j < to; j += VL) {
        const fl_int lanes = to - j < VL ? to - j : VL;
        const real *b = (const real *)job->b + j * job->b_col;
        real *out = (real *)job->out + j / TILE_COLS * TILE_COLS * k + j % TILE_COLS;
        if (job->b_step == 1) FL_FN(pack_columns)(out, b, job->b_col, k, lanes);
        else
            for (fl_int p = 0; p < k; p++) vstore(out + p * TILE_COLS, vload_n(b + p * job->b_step, lanes, 0));
    }
}

/* s[c][r] += x_r * w_c for one register of p. */
FL_INLINE void FL_FN(pairs_step)(vec (*s)[ROWS], const vec *a, const real *w, fl_int ldw, fl_int left, const int count)
{
    for (int c = 0; c < count; c++) {
        vec v = left == VL ? vload(w + c * ldw) : vload_n(w + c * ldw, left, 0);
        for (int r = 0; r < ROWS; r++) s[c][r] += v * a[r];
    }
}

/* out[c * ROWS + r] = <x_r, w_c> for ROWS rows of x and `count` of w. ahead: how far on the rows lie that come soon, to be
 * fetched; or 0. */
FL_INLINE void FL_FN(pairs)(real *out, const real *const *x, const real *w, fl_int ldw, fl_int k, fl_int ahead, const int count)
{
    vec s[DOTS][ROWS], a[ROWS];
    fl_int p = 0;
    for (int c = 0; c < count; c++)
        for (int r = 0; r < ROWS; r++) s[c][r] = vset(0);
    for (; p + VL <= k; p += VL) {
        for (int r = 0; r < ROWS; r++) a[r] = vload(x[r] + p);
        if (ahead)
            for (int r = 0; r < ROWS; r++) __builtin_prefetch(x[r] + p + ahead, 0, 2);
        FL_FN(pairs_step)(s, a, w + p, ldw, VL, count);
    }
    if (p < k) {
        for (int r = 0; r < ROWS; r++) a[r] = vload_n(x[r] + p, k - p, 0);
        FL_FN(pairs_step)(s, a, w + p, ldw, k - p, count);
    }
    for (int c = 0; c < count; c++) vsum4(out + c * ROWS, s[c][0], s[c][1], s[c][2], s[c][3]);
}

/* scratch: rows * cols reals where anything follows the product. */
static void FL_FN(gemm_dots)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_gemm_job *job = (const fl_gemm_job *)head;
    const fl_int down = (job->m + job->rows - 1) / job->rows, i0 = block % down * job->rows, j0 = block / down * job->cols;
    const fl_int rows = job->m - i0 < job->rows ? job->m - i0 : job->rows, cols = job->n - j0 < job->cols ? job->n - j0 : job->cols;
    const int plain = !(job->accumulate || job->update || job->bias || job->r || job->y || job->op != FL_IDENTITY);
    const int flat = rows < ROWS; /* then the rows that go ROWS at a time are B's columns */
    const fl_int ldx = flat ? job->ldb : job->a_row, ldw = flat ? job->a_row : job->ldb, nx = flat ? cols : rows, nw = flat ? rows : cols;
    const real *a = (const real *)job->a + i0 * job->a_row, *b = (const real *)job->b + j0 * job->ldb;
    const real *x = flat ? b : a, *w = flat ? a : b;
    real *c = plain ? (real *)job->c + i0 * job->ldc + j0 : scratch;
    const fl_int ldc = plain ? job->ldc : job->cols, step_x = flat ? 1 : ldc, step_w = flat ? ldc : 1;
    for (fl_int i = 0; i < nx; i += ROWS) {
        const real *group[ROWS];
        for (fl_int r = 0; r < ROWS; r++) group[r] = x + (i + r < nx ? i + r : nx - 1) * ldx;
        for (fl_int j = 0; j < nw; j += DOTS) {
            real out[DOTS * ROWS];
            const fl_int count = nw - j < DOTS ? nw - j : DOTS, valid = nx - i < ROWS ? nx - i : ROWS;
            const fl_int ahead = j == 0 && i + 3 * ROWS <= nx ? 2 * ROWS * ldx : 0;
            switch (count) {
            case 1: FL_FN(pairs)(out, group, w + j * ldw, ldw, job->k, ahead, 1); break;
#if DOTS > 2
            case 2: FL_FN(pairs)(out, group, w + j * ldw, ldw, job->k, ahead, 2); break;
            case 3: FL_FN(pairs)(out, group, w + j * ldw, ldw, job->k, ahead, 3); break;
            case 4: FL_FN(pairs)(out, group, w + j * ldw, ldw, job->k, ahead, 4); break;
#endif
            default: FL_FN(pairs)(out, group, w + j * ldw, ldw, job->k, ahead, DOTS); break;
            }
            for (fl_int q = 0; q < count; q++)
                for (fl_int r = 0; r < valid; r++) c[(i + r) * step_x + (j + q) * step_w] = out[q * ROWS + r];
        }
    }
    if (!plain) FL_FN(gemm_finish)(job, c, ldc, i0, rows, j0, cols);
}
