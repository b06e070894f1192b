/* winograd_doubles.h: transforms of taps are computed in double, whatever the dtype. */
#ifndef FL_WINOGRAD_DOUBLES_H
#define FL_WINOGRAD_DOUBLES_H

#include "simd/simd.h"

/* In double, whatever the dtype: W's transforms are then as good as W. A register of doubles has PART lanes: of floats it is
 * halfvec. */
#define PART (VECTOR_BYTES / (fl_int)sizeof(double))
typedef double doubles __attribute__((vector_size(VECTOR_BYTES)));
typedef real halfvec __attribute__((vector_size(VECTOR_BYTES / sizeof(double) * sizeof(real)), aligned(sizeof(real)), may_alias));

FL_INLINE halfvec half_load(const real *p) { return *(const halfvec *)p; }
FL_INLINE doubles widen(const real *p) { return __builtin_convertvector(half_load(p), doubles); }
FL_INLINE void narrow(real *p, doubles v) { *(halfvec *)p = __builtin_convertvector(v, halfvec); }

typedef bits halfbits __attribute__((vector_size(VECTOR_BYTES / sizeof(double) * sizeof(real)), aligned(sizeof(real)), may_alias));

FL_INLINE halfvec half_abs(halfvec v) { return (halfvec)((halfbits)v & ~((bits)1 << (REAL_BITS - 1))); }

#endif
