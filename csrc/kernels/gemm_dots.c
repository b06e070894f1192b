/* gemm_dots.c: matrix products where B is given by columns and C is narrow or flat: lanes lie along p, and nothing is packed. */
#include "kernels/gemm.h"
#include "shared/blocks.h"
#include "shared/finish.h"
#include "simd/simd.h"

#define ROWS 4 /* of which vsum4 makes sums at a time */

/* s[c][r] += x_r * w_c for one register of p. */
FL_INLINE void pairs_step(vec (*s)[ROWS], const vec *a, const real *w, fl_int ldw, fl_int left, const int count)
{
    for (int c = 0; c < count; c++) {
        vec v = left == VL ? vload(w + c * ldw) : vload_n(w + c * ldw, left, 0);
        for (int r = 0; r < ROWS; r++) s[c][r] += v * a[r];
    }
}

/* out[c * ROWS + r] = <x_r, w_c> for ROWS rows of x and `count` of w. ahead: distance of the rows to
 * prefetch; or 0. */
FL_INLINE void pairs(real *out, const real *const *x, const real *w, fl_int ldw, fl_int k, fl_int ahead, const int count)
{
    vec s[DOT_COLUMNS][ROWS], a[ROWS];
    fl_int p = 0;
    for (int c = 0; c < count; c++)
        for (int r = 0; r < ROWS; r++) s[c][r] = vset(0);
    for (; p + VL <= k; p += VL) {
        for (int r = 0; r < ROWS; r++) a[r] = vload(x[r] + p);
        if (ahead)
            for (int r = 0; r < ROWS; r++) __builtin_prefetch(x[r] + p + ahead, 0, 2);
        pairs_step(s, a, w + p, ldw, VL, count);
    }
    if (p < k) {
        for (int r = 0; r < ROWS; r++) a[r] = vload_n(x[r] + p, k - p, 0);
        pairs_step(s, a, w + p, ldw, k - p, count);
    }
    for (int c = 0; c < count; c++) vsum4(out + c * ROWS, s[c][0], s[c][1], s[c][2], s[c][3]);
}

/* scratch: rows * cols reals where anything follows the product. */
void FL_ENTRY(gemm_dots)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_gemm_job *job = (const fl_gemm_job *)head;
    const fl_int down = ceil_div(job->m, job->rows), i0 = block % down * job->rows, j0 = block / down * job->cols;
    const fl_int rows = fl_min(job->m - i0, job->rows), cols = fl_min(job->n - j0, job->cols);
    const int plain = !job->after.accumulate && !epilogue_follows(&job->after);
    const int flat = rows < ROWS; /* then the rows that go ROWS at a time are B's columns */
    const fl_int ldx = flat ? job->b_col : job->a_row, ldw = flat ? job->a_row : job->b_col, nx = flat ? cols : rows,
                 nw = flat ? rows : cols;
    const real *a = (const real *)job->a + i0 * job->a_row, *b = (const real *)job->b + j0 * job->b_col;
    const real *x = flat ? b : a, *w = flat ? a : b;
    real *c = plain ? (real *)job->c + i0 * job->ldc + j0 : scratch;
    const fl_int ldc = plain ? job->ldc : job->cols, step_x = flat ? 1 : ldc, step_w = flat ? ldc : 1;
    for (fl_int i = 0; i < nx; i += ROWS) {
        const real *group[ROWS];
        for (fl_int r = 0; r < ROWS; r++) group[r] = x + fl_min(i + r, nx - 1) * ldx;
        for (fl_int j = 0; j < nw; j += DOT_COLUMNS) {
            real out[DOT_COLUMNS * ROWS];
            const fl_int count = fl_min(nw - j, DOT_COLUMNS), valid = fl_min(nx - i, ROWS);
            const fl_int ahead = j == 0 && i + 3 * ROWS <= nx ? 2 * ROWS * ldx : 0;
            switch (count) {
            case 1: pairs(out, group, w + j * ldw, ldw, job->k, ahead, 1); break;
#if DOT_COLUMNS > 2
            case 2: pairs(out, group, w + j * ldw, ldw, job->k, ahead, 2); break;
            case 3: pairs(out, group, w + j * ldw, ldw, job->k, ahead, 3); break;
            case 4: pairs(out, group, w + j * ldw, ldw, job->k, ahead, 4); break;
#endif
            default: pairs(out, group, w + j * ldw, ldw, job->k, ahead, DOT_COLUMNS); break;
            }
            for (fl_int q = 0; q < count; q++)
                for (fl_int r = 0; r < valid; r++) c[(i + r) * step_x + (j + q) * step_w] = out[q * ROWS + r];
        }
    }
    if (!plain) FL_ENTRY(finish)(&job->after, job->c, job->ldc, c, ldc, i0, rows, j0, cols);
}
