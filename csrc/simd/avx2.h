/* avx2.h: x86-64-v3. The facts that kernels and, through the table, Cython plan with: fl_facts in fl.h says what they are. */
#define VECTOR_BYTES 32
#define REGISTERS 16
#define GEMM_ROWS 6
#define GEMM_PACKS 1
#define CONV_ROWS 6
#define RUN_PIXELS 6
