/* unit.h: what a kernel file is compiled for, once for each dtype (FL_DTYPE: f32, f64) and each instruction set (FL_ISA: base,
 * ...); setup.py defines the two. */
#ifndef FL_UNIT_H
#define FL_UNIT_H

#define FL_STRING_OF(text) #text
#define FL_STRING(text) FL_STRING_OF(text)
/* clang-format off */
#define FL_SIMD_HEADER(name) FL_STRING(simd/name.h)
/* clang-format on */
#define FL_NAME_OF(name, dtype, isa) fl_##name##_##dtype##_##isa
#define FL_NAME(name, dtype, isa) FL_NAME_OF(name, dtype, isa)

/* The name by which the table and other kernel files know a function: fl_gemm_f32_avx512. All others are static. */
#define FL_ENTRY(name) FL_NAME(name, FL_DTYPE, FL_ISA)

#define FL_INLINE static inline __attribute__((always_inline, unused))
#define FL_SHARED static __attribute__((unused))  /* of a header, not to be inlined everywhere */
#define FL_APART static __attribute__((noinline)) /* one variant of many, which compile faster apart than in one function */

/* gcc leaves independent vectors one after the other on x86 unless asked to schedule them: 5 to 10 % for the elementwise
 * functions, which wait for long chains; the matrix products are better without. clang interleaves by itself. */
#if defined __GNUC__ && !defined __clang__ && defined __OPTIMIZE__
#define FL_INTERLEAVED __attribute__((optimize("schedule-insns", "sched-pressure")))
#else
#define FL_INTERLEAVED
#endif

#endif
