/* table.h: the tables of kernels, one for each instruction set, and the chosen one. Cython reads them; kernels do not know them. */
#ifndef FL_TABLE_H
#define FL_TABLE_H

#include "dtypes.def"
#include "fl.h"

/* The numbers of the kernels and of the dtypes: FL_KERNEL_gemm, FL_F32 ... */
enum {
#define FL_KERNEL(name) FL_KERNEL_##name,
#include "kernels.def"
#undef FL_KERNEL
    FL_KERNELS
};

#define FL_DTYPE_NUMBER(name, NAME, ...) FL_##NAME,
enum { FL_EACH_DTYPE(FL_DTYPE_NUMBER) FL_DTYPES };
#undef FL_DTYPE_NUMBER

/* What callers must know of an instruction set to plan blocks and scratch for its kernels; simd/<isa>.h has the values. */
typedef struct {
    int vector_bytes; /* of a vector register */
    int registers;    /* vector registers */
    int gemm_rows;    /* of a tile of C that gemm keeps in registers */
    int gemm_packs;   /* whether packing A and B pays for large products wherever they lie: B's panels are then kept in L1 */
    int gemm_depth[FL_DTYPES]; /* products that a tile of C adds in registers before it is stored */
    int conv_rows;             /* of A in a panel, at most: conv and all that use its tile */
    int run_pixels;            /* of a run that conv_channels keeps in registers, at most */
} fl_facts;

/* All kernels of one instruction set; table.c makes it. */
typedef struct {
    const char *isa;
    fl_facts facts;
    fl_block_fn fn[FL_KERNELS][FL_DTYPES];
} fl_table;

/* dispatch.c: the tables that were compiled in, best first and closed by NULL; whether this CPU can run one; the chosen one. */
extern const fl_table *const fl_tables[];
extern const fl_table *fl_active;
int fl_runs_here(const fl_table *table);

#endif
