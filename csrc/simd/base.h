/* base.h: 16-byte vectors in portable C, for any CPU. The facts that kernels and, through the table, Cython plan with: fl_facts in fl.h says what they are. */
#define VECTOR_BYTES 16
#define REGISTERS 16
#define GEMM_ROWS 6
#define GEMM_PACKS 0
#define CONV_ROWS 6
#define RUN_PIXELS 6
