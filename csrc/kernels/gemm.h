/* gemm.h: the jobs of gemm.c and gemm_dots.c. */
#ifndef FL_GEMM_H
#define FL_GEMM_H

#include "fl.h"
#include "shared/epilogue.h"

enum {
    FL_TILE_ROWS = 12,    /* rows of the largest tile of C of any instruction set */
    FL_TILE_BYTES = 128,  /* bytes of a row of the widest tile: packed panels are that wide, or narrower */
    FL_FINISH_BYTES = 128 /* of a row of a block of C that waits for the epilogue, where the panels of B come first */
};

/* C = A B: the matrix product and what follows it, a block of C at a time. */
typedef struct {
    fl_job head;
    fl_int m, n, k;
    const void *a, *b;      /* A (m, k): A[i, p] = a[i * a_row + p * a_step]; B (k, n): B[p, j] = b[p * b_step + j * b_col] */
    fl_int a_row, a_step;   /* one of the two is 1 */
    fl_int b_step, b_col;   /* likewise */
    int packed_a, packed_b; /* a, b are what gemm_pack made of A, B */
    int pack_a;             /* rows first: whether the rows of a tile are packed in scratch */
    int panels_first; /* all rows of a block meet one panel of B after the other; A and B are packed in scratch if not before */
    void *c;          /* (m, n), row stride ldc */
    fl_int ldc;
    fl_epilogue after;
    fl_int rows, cols, depth; /* of a block: cols a multiple of the tile's; depth < k: one C for each part of k, */
    fl_int part;              /* this many elements apart, to be added by `sum` */
    int keep;                 /* the whole block of C waits in scratch until it is finished; else a few rows or columns at a time */
    fl_int strip;             /* of the depth that is summed in registers at a time */
} fl_gemm_job;

/* n rows of A or columns of B, each of k elements, in panels of a tile's rows or columns: out[q][p][j] is element p of the one with
 * number q * width + j, source[(q * width + j) * apart + p * step]. What is beyond n in the last panel is undefined, but for zeros
 * in B's registers that have a column. out holds k * (n rounded up to FL_TILE_BYTES or FL_TILE_ROWS) elements. */
typedef struct {
    fl_job head;
    fl_int n, k;
    const void *source;
    fl_int apart, step; /* one of the two is 1 */
    void *out;
    int rows;         /* A's rows, else B's columns */
    fl_int per_block; /* rows or columns, whole panels */
} fl_pack_job;

#endif
