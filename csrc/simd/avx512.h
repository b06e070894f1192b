/* avx512.h: x86-64-v4. The facts that kernels and, through the table, Cython plan with: fl_facts in fl.h says what they are. */
#define VECTOR_BYTES 64
#define REGISTERS 32
#define GEMM_ROWS 12
#define GEMM_PACKS 0
#define CONV_ROWS 8
#define RUN_PIXELS 14
