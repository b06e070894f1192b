/* isa.h: the body of isa_*.c, which define FL_ISA first. Every template once for each dtype, then the table. */
#include "fl.h"

#include <assert.h>
#include <float.h>
#include <math.h>
#include <string.h>
#if defined __AVX2__
#include <immintrin.h>
#endif

#define FL_PASTE2(name, dtype, isa) name##_##dtype##_##isa
#define FL_PASTE(name, dtype, isa) FL_PASTE2(name, dtype, isa)
#define FL_FN(name) FL_PASTE(name, FL_DTYPE, FL_ISA)
#define FL_STRING2(s) #s
#define FL_STRING(s) FL_STRING2(s)
/* gcc leaves independent vectors one after the other on x86 unless asked to schedule them: 5 to 10 % for the elementwise
 * functions, which wait for long chains; the matrix products are better without. clang interleaves by itself. */
#if defined __GNUC__ && !defined __clang__ && defined __OPTIMIZE__
#define FL_INTERLEAVED __attribute__((optimize("schedule-insns", "sched-pressure")))
#else
#define FL_INTERLEAVED
#endif
#define FL_INLINE static inline __attribute__((always_inline, unused))

#include FL_STRING(simd/FL_ISA.h)
#include "names.h"

#define FL_DTYPE f32
#define FL_IS_F32 1
#include "templates.h"
#undef FL_DTYPE
#undef FL_IS_F32

#define FL_DTYPE f64
#define FL_IS_F32 0
#include "templates.h"
#undef FL_DTYPE
#undef FL_IS_F32

#define FL_TABLE2(isa) fl_table_##isa
#define FL_TABLE(isa) FL_TABLE2(isa)
extern const fl_table FL_TABLE(FL_ISA);
const fl_table FL_TABLE(FL_ISA) = {
    FL_STRING(FL_ISA),
    {
        .vector_bytes = VECTOR_BYTES,
        .registers = REGISTERS,
        .gemm_rows = GEMM_ROWS,
        .gemm_packs = GEMM_PACKS,
        .conv_rows = CONV_ROWS,
        .run_pixels = RUN_PIXELS,
    },
    {
#define FL_KERNEL(name) {FL_PASTE(name, f32, FL_ISA), FL_PASTE(name, f64, FL_ISA)},
#include "kernels.def"
#undef FL_KERNEL
    },
};
