/* epilogue.h: what follows the sums of a matrix product or a convolution: epilogue.c. */
#ifndef FL_EPILOGUE_H
#define FL_EPILOGUE_H

#include "kernels/gemm.h"
#include "simd/simd.h"

/* Finishes the rectangle of C, rows x cols at (i, j), from the product z, which may be C itself. */
void FL_ENTRY(gemm_finish)(const fl_gemm_job *job, const real *z, fl_int ldz, fl_int i, fl_int rows, fl_int j, fl_int cols);

/* C, whose gradient is the product of a column (elements a_row apart) and a row, is updated without a tile between. */
void FL_ENTRY(gemm_outer_update)(const fl_gemm_job *job, fl_int i, fl_int rows, fl_int j, fl_int cols);

#endif
