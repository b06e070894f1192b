/* f64.h: float64. */
#include <float.h>
#include <math.h>
#include <stdint.h>

#define FL_IS_F32 0
#define REAL_BITS 64
#define REAL_EXPONENT_SHIFT 52
#define REAL_BIAS 1023
#define REAL_MIN DBL_MIN
#define REAL_MAX DBL_MAX
#define REAL_INF ((real)INFINITY)

typedef double real;
typedef int64_t bits; /* the signed integer of its size */
