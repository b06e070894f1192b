/* gemm_dots.c: matrix products where B is given by columns and C is narrow or flat: lanes lie along p, and nothing is packed. */
#include "kernels/gemm.h"
#include "shared/blocks.h"
#include "shared/dots.h"
#include "shared/finish.h"

/* scratch: rows * cols reals where anything follows the product. */
void FL_ENTRY(gemm_dots)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_gemm_job *job = (const fl_gemm_job *)head;
    const fl_int down = ceil_div(job->m, job->rows), i0 = block % down * job->rows, j0 = block / down * job->cols;
    const fl_int rows = fl_min(job->m - i0, job->rows), cols = fl_min(job->n - j0, job->cols);
    const int plain = !job->after.accumulate && !epilogue_follows(&job->after);
    const int flat = rows < DOT_ROWS; /* then the rows that go DOT_ROWS at a time are B's columns */
    const fl_int ldx = flat ? job->b_col : job->a_row, ldw = flat ? job->a_row : job->b_col, nx = flat ? cols : rows,
                 nw = flat ? rows : cols;
    const real *a = (const real *)job->a + i0 * job->a_row, *b = (const real *)job->b + j0 * job->b_col;
    const real *x = flat ? b : a, *w = flat ? a : b;
    real *c = plain ? (real *)job->c + i0 * job->ldc + j0 : scratch;
    const fl_int ldc = plain ? job->ldc : job->cols, step_x = flat ? 1 : ldc, step_w = flat ? ldc : 1;
    const fl_int group_rows = flat && nw == 1 ? DOT_ALONE : DOT_ROWS;
    for (fl_int i = 0; i < nx; i += group_rows) {
        const real *group[DOT_ALONE > DOT_ROWS ? DOT_ALONE : DOT_ROWS];
        for (fl_int r = 0; r < group_rows; r++) group[r] = x + fl_min(i + r, nx - 1) * ldx;
        for (fl_int j = 0; j < nw; j += DOT_COLUMNS) {
            real out[DOT_SUMS];
            const fl_int count = fl_min(nw - j, DOT_COLUMNS), valid = fl_min(nx - i, group_rows);
            const fl_int ahead = j == 0 && i + 3 * group_rows <= nx ? 2 * group_rows * ldx : 0;
            if (group_rows == DOT_ALONE)
                dots_tile(out, group, w, ldw, job->k, group[0] + ahead, ldx, ahead ? DOT_ALONE : 0, DOT_ALONE, 1);
            else dots_tile_of(out, group, w + j * ldw, ldw, job->k, group[0] + ahead, ldx, ahead ? DOT_ROWS : 0, count);
            for (fl_int q = 0; q < count; q++)
                for (fl_int r = 0; r < valid; r++) c[(i + r) * step_x + (j + q) * step_w] = out[q * group_rows + r];
        }
    }
    if (!plain) FL_ENTRY(finish)(&job->after, job->c, job->ldc, c, ldc, i0, rows, j0, cols);
}
