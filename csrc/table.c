/* table.c: the table of the instruction set FL_ISA, compiled once for each: all kernels of kernels.def for all dtypes of
 * dtypes.def, and the facts of simd/<isa>.h. */
#include "table.h"
#include "unit.h"

#include FL_SIMD_HEADER(FL_ISA)

typedef void block_fn(const fl_job *job, fl_int block, void *scratch);

#define DECLARED(dtype, DTYPE, kernel) block_fn FL_NAME(kernel, dtype, FL_ISA);
#define FL_KERNEL(name) FL_EACH_DTYPE(DECLARED, name)
#include "kernels.def"
#undef FL_KERNEL

#define ENTERED(dtype, DTYPE, kernel) [FL_##DTYPE] = FL_NAME(kernel, dtype, FL_ISA),
#define FL_KERNEL(name) [FL_KERNEL_##name] = {FL_EACH_DTYPE(ENTERED, name)},
#define NAME_OF(isa) fl_table_##isa
#define NAME(isa) NAME_OF(isa)
extern const fl_table NAME(FL_ISA);
const fl_table NAME(FL_ISA) = {
    .isa = FL_STRING(FL_ISA),
    .facts =
        {
            .vector_bytes = VECTOR_BYTES,
            .registers = REGISTERS,
            .gemm_rows = GEMM_ROWS,
            .gemm_packs = GEMM_PACKS,
            .gemm_depth = {[FL_F32] = GEMM_DEPTH_F32, [FL_F64] = GEMM_DEPTH_F64},
            .conv_rows = CONV_ROWS,
            .run_pixels = RUN_PIXELS,
        },
    .fn =
        {
#include "kernels.def"
        },
};
#undef FL_KERNEL
