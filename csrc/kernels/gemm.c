/* gemm.c: matrix products. A tile of C, GEMM_ROWS x 2 registers, stays in registers while a panel of A is broadcast against
 * a panel of B (Goto and van de Geijn 2008, with the roles of L1 and L2 as in BLIS): the panel of A, GEMM_ROWS x strip, stays in
 * L1 while those of B stream from L2. Each element of C adds its products in the order of p, whatever tile it falls into. */
#include "kernels/gemm.h"
#include "shared/blocks.h"
#include "shared/finish.h"
#include "simd/simd.h"

/* A tile has GEMM_ROWS rows: 24 sums, 2 of B, 1 of A in 32 registers; or 12, 2 and 1 in 16. */
#define TILE_COLS (2 * VL)

/* c = or += A B for mr rows and nv registers of columns; masked: the last register has `left` lanes. by_row: A's rows lie a_row
 * apart and a_step is 1; else its columns lie a_step apart and a_row is 1. The loops over the tile must be unrolled early: gcc
 * keeps the sums in memory otherwise. ahead: distance of the part of B to prefetch; or 0. */
FL_INLINE void tile(real *c, fl_int ldc, const real *a, fl_int a_row, fl_int a_step, const real *b, fl_int ldb, fl_int k,
                    fl_int left, int add, fl_int ahead, const int by_row, const int mr, const int nv, const int masked)
{
    vec s[GEMM_ROWS][2];
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
FL_INLINE void tiles(real *c, fl_int ldc, const real *a, fl_int a_row, fl_int a_step, const real *b, fl_int ldb, fl_int panel,
                     fl_int k, fl_int cols, int add, fl_int ahead, const int by_row, const int mr)
{
    fl_int j = 0;
    for (; j + TILE_COLS <= cols; j += TILE_COLS, b += panel)
        tile(c + j, ldc, a, a_row, a_step, b, ldb, k, VL, add, ahead, by_row, mr, 2, 0);
    if (cols - j > VL) tile(c + j, ldc, a, a_row, a_step, b, ldb, k, cols - j - VL, add, ahead, by_row, mr, 2, 1);
    else if (cols > j) tile(c + j, ldc, a, a_row, a_step, b, ldb, k, cols - j, add, ahead, by_row, mr, 1, 1);
}

#define FL_TILES_CASE(mr)                                                                                     \
    case mr:                                                                                                  \
        if (a_step == 1 && a_row != 1) tiles(c, ldc, a, a_row, 1, b, ldb, panel, k, cols, add, ahead, 1, mr); \
        else tiles(c, ldc, a, 1, a_step, b, ldb, panel, k, cols, add, ahead, 0, mr);                          \
        break;

static void tiles_of(real *c, fl_int ldc, const real *a, fl_int a_row, fl_int a_step, const real *b, fl_int ldb, fl_int panel,
                     fl_int k, fl_int rows, fl_int cols, int add, fl_int ahead)
{
    switch (rows) {
        FL_TILES_CASE(1)
        FL_TILES_CASE(2)
        FL_TILES_CASE(4)
#if GEMM_ROWS == 12
        FL_TILES_CASE(8)
        FL_TILES_CASE(10)
        FL_TILES_CASE(12)
#else
        FL_TILES_CASE(6)
#endif
    }
}

/* How many of the rows left the next tile takes. */
FL_INLINE fl_int tile_rows(fl_int rows)
{
    if (rows >= GEMM_ROWS) return GEMM_ROWS;
    if (GEMM_ROWS > 6 && rows >= 8) return rows >= 10 ? 10 : 8;
    return rows >= 4 ? 4 : rows >= 2 ? 2 : 1;
}

/* out[p * GEMM_ROWS + i] = a[i * a_row + p]: a panel of whole rows as the tile reads it. What is stored beyond a column is
 * overwritten by the next one; beyond the last one out has VL elements more. */
FL_INLINE void pack_panel(real *out, const real *a, fl_int a_row, fl_int k)
{
    for (fl_int p = 0; p < k; p += VL) {
        const fl_int left = fl_min(k - p, VL);
        vec t[ceil_div(GEMM_ROWS, VL)][VL];
        for (fl_int g = 0; g * VL < GEMM_ROWS; g++) {
            for (fl_int i = 0; i < VL; i++) {
                const fl_int row = g * VL + i;
                t[g][i] = row >= GEMM_ROWS ? vset(0)
                          : left == VL     ? vload(a + row * a_row + p)
                                           : vload_n(a + row * a_row + p, left, 0);
            }
            vtranspose(t[g]);
        }
        for (fl_int c = 0; c < left; c++)
            for (fl_int g = 0; g * VL < GEMM_ROWS; g++) vstore(out + (p + c) * GEMM_ROWS + g * VL, t[g][c]);
    }
}

/* out[p * TILE_COLS + j] = b[j * b_col + p] for `lanes` columns, zeros beyond: a register's width of a panel. */
FL_INLINE void pack_columns(real *out, const real *b, fl_int b_col, fl_int k, fl_int lanes)
{
    for (fl_int p = 0; p < k; p += VL) {
        const fl_int left = fl_min(k - p, VL);
        vec t[VL];
        for (fl_int j = 0; j < VL; j++)
            t[j] = j >= lanes ? vset(0) : left == VL ? vload(b + j * b_col + p) : vload_n(b + j * b_col + p, left, 0);
        vtranspose(t);
        for (fl_int c = 0; c < left; c++) vstore(out + (p + c) * TILE_COLS, t[c]);
    }
}

/* Prefetches what the epilogue will read at rows i.., columns j.. of an array that is laid out as C. */
FL_INLINE void prefetch_rows(const void *base, fl_int ld, fl_int i, fl_int rows, fl_int j, fl_int cols)
{
    for (fl_int q = 0; q < rows; q++)
        for (fl_int v = 0; v < cols; v += 64 / (fl_int)sizeof(real)) __builtin_prefetch((const real *)base + (i + q) * ld + j + v);
}

/* scratch, in reals: for the epilogue, rows (keep; rounded up to FL_TILE_ROWS) or FL_TILE_ROWS times cols; and where A
 * is packed, FL_TILE_ROWS * strip and a register more. */
void FL_ENTRY(gemm)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_gemm_job *job = (const fl_gemm_job *)head;
    const fl_int down = ceil_div(job->m, job->rows), across = ceil_div(job->n, job->cols);
    const fl_int i0 = block % down * job->rows, j0 = block / down % across * job->cols, part = block / down / across;
    const fl_int rows = fl_min(job->m - i0, job->rows), cols = fl_min(job->n - j0, job->cols);
    const fl_int p0 = part * job->depth, depth = fl_min(job->k - p0, job->depth);
    const fl_int a_row = job->a_row, a_step = job->a_step, packed = !job->ldb, ldb = packed ? TILE_COLS : job->ldb;
    const real *a = (const real *)job->a + i0 * a_row + p0 * a_step;
    const real *b = (const real *)job->b + (packed ? j0 * job->k + p0 * TILE_COLS : p0 * ldb + j0);
    const fl_int panel = packed ? job->k * TILE_COLS : TILE_COLS;
    const fl_epilogue *after = &job->after;
    const int plain = !epilogue_follows(after);
    const int keep = job->keep, finish_now = !plain && !keep;
    real *sums = scratch, *panel_a = sums + (plain ? 0 : (keep ? ceil_div(rows, GEMM_ROWS) : 1) * GEMM_ROWS * job->cols);
    real *c = plain ? (real *)job->c + part * job->part + i0 * job->ldc + j0 : sums;
    const fl_int ldc = plain ? job->ldc : job->cols, across_tiles = plain ? cols : 8 * TILE_COLS;

    if (after->update && job->k == 1 && !packed) {
        FL_ENTRY(update_outer)(after->update, (real *)job->c + i0 * job->ldc + j0, job->ldc, a, a_row, b, rows, cols);
        return;
    }
    for (fl_int p = 0; p == 0 || p < depth; p += job->strip) {
        const fl_int k = fl_min(depth - p, job->strip);
        const int add = p > 0 || (plain && after->accumulate);
        /* the next strip where each is used once, else the next panel while the first rows are computed */
        const fl_int strip_ahead = rows <= GEMM_ROWS && !packed && p + 2 * k <= depth ? k * ldb : 0;
        for (fl_int i = 0, here; i < rows; i += here) {
            const real *ai = a + i * a_row + p * a_step;
            fl_int row = a_row, step = a_step;
            here = tile_rows(rows - i);
            if (job->pack && here == GEMM_ROWS) {
                if (a_step == 1) pack_panel(panel_a, ai, a_row, k);
                else
                    for (fl_int q = 0; q < k; q++) memcpy(panel_a + q * GEMM_ROWS, ai + q * a_step, GEMM_ROWS * sizeof(real));
                ai = panel_a, row = 1, step = GEMM_ROWS;
            }
            for (fl_int j = 0; j < cols; j += across_tiles) { /* so that the epilogue finds it in L1 */
                const fl_int wide = fl_min(cols - j, across_tiles);
                real *cj = c + (plain || keep ? i * ldc : 0) + j;
                if (finish_now) {
                    if (after->update || after->accumulate) prefetch_rows(job->c, job->ldc, i0 + i, here, j0 + j, wide);
                    if (after->residual) prefetch_rows(after->residual, job->ldc, i0 + i, here, j0 + j, wide);
                    if (after->of) prefetch_rows(after->of, job->ldc, i0 + i, here, j0 + j, wide);
                }
                tiles_of(cj, ldc, ai, row, step, b + p * ldb + j / TILE_COLS * panel, ldb, panel, k, here, wide, add,
                         strip_ahead ? strip_ahead
                         : i == 0    ? panel
                                     : 0);
                if (finish_now) FL_ENTRY(finish)(after, job->c, job->ldc, cj, ldc, i0 + i, here, j0 + j, wide);
            }
        }
    }
    if (keep) FL_ENTRY(finish)(after, job->c, job->ldc, sums, ldc, i0, rows, j0, cols);
}

void FL_ENTRY(gemm_pack)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_pack_job *job = (const fl_pack_job *)head;
    const fl_int k = job->k, from = block * job->cols, to = fl_min(from + job->cols, job->n);
    (void)scratch;
    for (fl_int j = from; j < to; j += VL) {
        const fl_int lanes = fl_min(to - j, VL);
        const real *b = (const real *)job->b + j * job->b_col;
        real *out = (real *)job->out + j / TILE_COLS * TILE_COLS * k + j % TILE_COLS;
        if (job->b_step == 1) pack_columns(out, b, job->b_col, k, lanes);
        else
            for (fl_int p = 0; p < k; p++) vstore(out + p * TILE_COLS, vload_n(b + p * job->b_step, lanes, 0));
    }
}
