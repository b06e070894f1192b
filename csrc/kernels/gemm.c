/* gemm.c: matrix products. A tile of C, GEMM_ROWS x 2 registers, stays in registers while a panel of A is broadcast against
 * a panel of B. Rows first: the panel of A, GEMM_ROWS x strip, stays in L1 while those of B stream from L2. Panels first (Goto and
 * van de Geijn 2008): the panel of B stays in L1 while those of A stream from L2, which narrow tiles read less often. Each element
 * of C adds its products in the order of p, whatever tile it falls into. */
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

/* out[p * GEMM_ROWS + i] = a[i * a_row + p] for `rows` rows, zeros beyond: a panel of rows as the tile reads it. What is stored
 * beyond a column is overwritten by the next one. */
FL_INLINE void pack_rows(real *out, const real *a, fl_int a_row, fl_int k, fl_int rows)
{
    for (fl_int p = 0; p < k; p += VL) {
        const fl_int left = fl_min(k - p, VL);
        vec t[ceil_div(GEMM_ROWS, VL)][VL];
        for (fl_int g = 0; g * VL < GEMM_ROWS; g++) {
            for (fl_int i = 0; i < VL; i++) {
                const fl_int row = g * VL + i;
                t[g][i] = row >= rows ? vset(0) : left == VL ? vload(a + row * a_row + p) : vload_n(a + row * a_row + p, left, 0);
            }
            vtranspose(t[g]);
        }
        for (fl_int c = 0; c < left; c++)
            for (fl_int g = 0; g * VL < GEMM_ROWS; g++) {
                if (p + c < k - 1) vstore(out + (p + c) * GEMM_ROWS + g * VL, t[g][c]);
                else vstore_n(out + (p + c) * GEMM_ROWS + g * VL, t[g][c], fl_min(GEMM_ROWS - g * VL, VL));
            }
    }
}

/* The panel of the rows of A, at most GEMM_ROWS. */
static void pack_a(real *out, const real *a, fl_int a_row, fl_int a_step, fl_int k, fl_int rows)
{
    if (a_step == 1 && rows == GEMM_ROWS) pack_rows(out, a, a_row, k, GEMM_ROWS);
    else if (a_step == 1) pack_rows(out, a, a_row, k, rows);
    else if (rows == GEMM_ROWS)
        for (fl_int p = 0; p < k; p++) memcpy(out + p * GEMM_ROWS, a + p * a_step, GEMM_ROWS * sizeof(real));
    else
        for (fl_int p = 0; p < k; p++) memcpy(out + p * GEMM_ROWS, a + p * a_step, (size_t)rows * sizeof(real));
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

/* The panels of the columns of B, `panel` apart; zeros beyond in a register that has one of them. */
static void pack_b(real *out, fl_int panel, const real *b, fl_int b_step, fl_int b_col, fl_int k, fl_int cols)
{
    if (b_step == 1) {
        for (fl_int j = 0; j < cols; j += VL)
            pack_columns(out + j / TILE_COLS * panel + j % TILE_COLS, b + j * b_col, b_col, k, fl_min(cols - j, VL));
        return;
    }
    for (fl_int p = 0; p < k; p++, b += b_step, out += TILE_COLS) { /* along the rows, as they lie in memory */
        real *to = out;
        fl_int j = 0;
        for (; j + TILE_COLS <= cols; j += TILE_COLS, to += panel) {
            vec b0 = vload(b + j), b1 = vload(b + j + VL);
            vstore(to, b0);
            vstore(to + VL, b1);
        }
        if (j < cols) vstore(to, vload_n(b + j, fl_min(cols - j, VL), 0));
        if (j + VL < cols) vstore(to + VL, vload_n(b + j + VL, cols - j - VL, 0));
    }
}

/* Prefetches what the epilogue will read at rows i.., columns j.. of an array that is laid out as C. */
FL_INLINE void prefetch_rows(const void *base, fl_int ld, fl_int i, fl_int rows, fl_int j, fl_int cols)
{
    for (fl_int q = 0; q < rows; q++)
        for (fl_int v = 0; v < cols; v += 64 / (fl_int)sizeof(real)) __builtin_prefetch((const real *)base + (i + q) * ld + j + v);
}

/* A block of C, as both orders see it: its sums go to c, which is scratch where an epilogue follows them. */
typedef struct {
    const fl_gemm_job *job;
    fl_int i0, j0, rows, cols, depth;
    const real *a, *b;
    fl_int panel; /* from one of B's panels to the next */
    real *c, *packed;
    fl_int ldc;
    int plain, finish_now;
} block_of_c;

FL_INLINE void rows_first(const block_of_c *t)
{
    const fl_gemm_job *job = t->job;
    const fl_epilogue *after = &job->after;
    const fl_int a_row = job->a_row, a_step = job->a_step, across = t->plain ? t->cols : 8 * TILE_COLS;
    const fl_int ldb = job->packed_b ? TILE_COLS : job->b_step;
    for (fl_int p = 0; p == 0 || p < t->depth; p += job->strip) {
        const fl_int k = fl_min(t->depth - p, job->strip);
        const int add = p > 0 || (t->plain && after->accumulate);
        /* while the first rows are computed: the next strip where each is used once, else the next panel */
        const fl_int strip_ahead = t->rows <= FL_TILE_ROWS && !job->packed_b && p + 2 * k <= t->depth ? k * ldb : 0;
        for (fl_int i = 0, here; i < t->rows; i += here) {
            const real *ai = t->a + i * a_row + p * a_step;
            fl_int row = a_row, step = a_step;
            here = tile_rows(t->rows - i);
            if (job->pack_a && here == GEMM_ROWS) {
                pack_a(t->packed, ai, a_row, a_step, k, GEMM_ROWS);
                ai = t->packed, row = 1, step = GEMM_ROWS;
            }
            for (fl_int j = 0; j < t->cols; j += across) { /* so that the epilogue finds it in L1 */
                const fl_int wide = fl_min(t->cols - j, across);
                real *cj = t->c + (t->finish_now ? 0 : i * t->ldc) + j;
                if (t->finish_now) {
                    if (after->update || after->accumulate) prefetch_rows(job->c, job->ldc, t->i0 + i, here, t->j0 + j, wide);
                    if (after->residual) prefetch_rows(after->residual, job->ldc, t->i0 + i, here, t->j0 + j, wide);
                    if (after->of) prefetch_rows(after->of, job->ldc, of_row(after, t->i0 + i), here, t->j0 + j, wide);
                }
                tiles_of(cj, t->ldc, ai, row, step, t->b + p * ldb + j / TILE_COLS * t->panel, ldb, t->panel, k, here, wide, add,
                         i > 0         ? 0
                         : strip_ahead ? strip_ahead
                                       : t->panel);
                if (t->finish_now) FL_ENTRY(finish)(after, job->c, job->ldc, cj, t->ldc, t->i0 + i, here, t->j0 + j, wide);
            }
        }
    }
}

FL_INLINE void panels_first(const block_of_c *t)
{
    const fl_gemm_job *job = t->job;
    const fl_int whole = ceil_div(t->rows, GEMM_ROWS) * GEMM_ROWS;
    const fl_int across = FL_FINISH_BYTES / (fl_int)sizeof(real);
    for (fl_int p = 0; p == 0 || p < t->depth; p += job->strip) {
        const fl_int k = fl_min(t->depth - p, job->strip), a_panel = job->packed_a ? job->k : k;
        const int add = p > 0 || (t->plain && job->after.accumulate);
        const real *a = job->packed_a ? t->a + p * GEMM_ROWS : t->packed, *b = t->b + p * TILE_COLS;
        const fl_int b_panel = (job->packed_b ? job->k : k) * TILE_COLS;
        if (!job->packed_a)
            for (fl_int i = 0; i < t->rows; i += GEMM_ROWS)
                pack_a(t->packed + i * k, t->a + i * job->a_row + p * job->a_step, job->a_row, job->a_step, k,
                       fl_min(t->rows - i, GEMM_ROWS));
        if (!job->packed_b) {
            real *packed = t->packed + (job->packed_a ? 0 : whole * k);
            pack_b(packed, b_panel, t->b + p * job->b_step, job->b_step, job->b_col, k, t->cols);
            b = packed;
        }
        for (fl_int j = 0; j < t->cols; j += TILE_COLS, b += b_panel) {
            const fl_int wide = fl_min(t->cols - j, TILE_COLS), from = j / across * across;
            real *cj = t->c + (t->finish_now ? j - from : j);
            for (fl_int i = 0, here; i < t->rows; i += here) {
                real *c = cj + i * t->ldc;
                here = tile_rows(t->rows - i);
                for (fl_int q = 0; q < here; q++) __builtin_prefetch(c + q * t->ldc, 1);
                tiles_of(c, t->ldc, a + i / GEMM_ROWS * GEMM_ROWS * a_panel + i % GEMM_ROWS, 1, GEMM_ROWS, b, TILE_COLS, 0, k, here,
                         wide, add, i == 0 && job->packed_b ? b_panel : 0);
            }
            if (t->finish_now && (j + TILE_COLS >= t->cols || j + TILE_COLS - from == across))
                FL_ENTRY(finish)(&job->after, job->c, job->ldc, t->c, t->ldc, t->i0, t->rows, t->j0 + from, j + wide - from);
        }
    }
}

/* scratch, in reals: the sums that wait for the epilogue, then what is packed in the block. The sums are those of a block where
 * they are kept; else those of a tile's rows or, panels first, of FL_FINISH_BYTES of each row. What is packed are, rows first, a
 * tile's rows of A; else a strip of the block's rows of A and columns of B, unless they are packed already. Rows are rounded up to
 * FL_TILE_ROWS. */
void FL_ENTRY(gemm)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_gemm_job *job = (const fl_gemm_job *)head;
    const fl_int down = ceil_div(job->m, job->rows), across = ceil_div(job->n, job->cols);
    const fl_int i0 = block % down * job->rows, j0 = block / down % across * job->cols, part = block / down / across;
    const fl_int p0 = part * job->depth;
    const int plain = !epilogue_follows(&job->after), narrow = job->panels_first && !job->keep;
    const fl_int lds = narrow ? FL_FINISH_BYTES / (fl_int)sizeof(real) : job->cols;
    const fl_int waiting = job->keep || job->panels_first ? ceil_div(job->rows, FL_TILE_ROWS) * FL_TILE_ROWS : FL_TILE_ROWS;
    const real *a = job->a, *b = job->b;
    const block_of_c t = {
        .job = job,
        .i0 = i0,
        .j0 = j0,
        .rows = fl_min(job->m - i0, job->rows),
        .cols = fl_min(job->n - j0, job->cols),
        .depth = fl_min(job->k - p0, job->depth),
        .a = job->packed_a ? a + i0 * job->k + p0 * GEMM_ROWS : a + i0 * job->a_row + p0 * job->a_step,
        .b = job->packed_b ? b + j0 * job->k + p0 * TILE_COLS : b + p0 * job->b_step + j0 * job->b_col,
        .panel = job->packed_b ? job->k * TILE_COLS : TILE_COLS * job->b_col,
        .c = plain ? (real *)job->c + part * job->part + i0 * job->ldc + j0 : scratch,
        .packed = (real *)scratch + (plain ? 0 : waiting * lds),
        .ldc = plain ? job->ldc : lds,
        .plain = plain,
        .finish_now = !plain && !job->keep,
    };
    if (job->after.update && job->k == 1 && !job->packed_b && job->b_col == 1) {
        FL_ENTRY(update_outer)(job->after.update, (real *)job->c + i0 * job->ldc + j0, job->ldc, t.a, job->a_row, t.b, t.rows,
                               t.cols);
        return;
    }
    if (job->panels_first) panels_first(&t);
    else rows_first(&t);
    if (job->keep) FL_ENTRY(finish)(&job->after, job->c, job->ldc, t.c, t.ldc, i0, t.rows, j0, t.cols);
}

void FL_ENTRY(gemm_pack)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_pack_job *job = (const fl_pack_job *)head;
    const fl_int from = block * job->per_block, to = fl_min(from + job->per_block, job->n);
    const real *source = job->source;
    real *out = job->out;
    (void)scratch;
    if (!job->rows)
        pack_b(out + from * job->k, TILE_COLS * job->k, source + from * job->apart, job->step, job->apart, job->k, to - from);
    else
        for (fl_int i = from; i < to; i += GEMM_ROWS)
            pack_a(out + i * job->k, source + i * job->apart, job->apart, job->step, job->k, fl_min(to - i, GEMM_ROWS));
}
