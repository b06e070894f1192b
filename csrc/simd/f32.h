/* f32.h: float32. */
#include <float.h>
#include <math.h>
#include <stdint.h>

#define FL_IS_F32 1
#define REAL_BITS 32
#define REAL_EXPONENT_SHIFT 23
#define REAL_BIAS 127
#define REAL_MIN FLT_MIN
#define REAL_MAX FLT_MAX
#define REAL_INF ((real)INFINITY)

typedef float real;
typedef int32_t bits; /* the signed integer of its size */
