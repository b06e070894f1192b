/* gemm.h: the jobs of gemm.c and gemm_dots.c. */
#ifndef FL_GEMM_H
#define FL_GEMM_H

#include "fl.h"
#include "shared/epilogue.h"

enum {
    FL_TILE_ROWS = 12,    /* rows of the largest tile of C of any instruction set */
    FL_TILE_BYTES = 128,  /* bytes of a row of the widest tile: packed panels are that wide, or narrower */
    FL_DEPTH_BYTES = 1536 /* of a row of A that a tile sums over at a time, at most */
};

/* C = A B: the matrix product and what follows it, a block of C at a time. */
typedef struct {
    fl_job head;
    fl_int m, n, k;
    const void *a; /* (m, k): A[i, p] = a[i * a_row + p * a_step], one of the two is 1 */
    fl_int a_row, a_step;
    int pack;      /* the rows of a tile are to be interleaved in scratch first */
    const void *b; /* (k, n): B[p, j] = b[p * ldb + j]. gemm_dots: B[p, j] = b[j * ldb + p] */
    fl_int ldb;    /* 0: b is what gemm_pack made of B */
    void *c;       /* (m, n), row stride ldc */
    fl_int ldc;
    fl_epilogue after;
    fl_int rows, cols, depth; /* of a block: cols a multiple of the tile's; depth < k: one C for each part of k, */
    fl_int part;              /* this many elements apart, to be added by `sum` */
    int keep;                 /* the whole block of C waits in scratch until it is finished; else a few rows at a time */
    fl_int strip;             /* of the depth that is summed in registers at a time; at most FL_DEPTH_BYTES of a row */
} fl_gemm_job;

/* B (k, n) in panels of a tile's width, zeros beyond n: out[q][p][j] = B[p, q * width + j], B[p, j] = b[p * b_step + j * b_col],
 * one of the two is 1. out holds k * (n rounded up to FL_TILE_BYTES) elements. */
typedef struct {
    fl_job head;
    fl_int n, k;
    const void *b;
    fl_int b_step, b_col;
    void *out;
    fl_int cols; /* of a block, a multiple of FL_TILE_BYTES / size */
} fl_pack_job;

#endif
