/* neon.h: aarch64, 16-byte vectors, of which there are 32. base.h, quads.h and portable.h say what each function does. */

/* The facts: fl_facts in fl.h and, below, what only kernels need. Tiles are those of 32 registers, and products are packed as for
 * AVX2: two registers of columns are few, so that a panel of A would be read often. */
#define VECTOR_BYTES 16
#define REGISTERS 32
#define GEMM_ROWS 12
#define GEMM_PACKS 1
#define GEMM_DEPTH_F32 256
#define GEMM_DEPTH_F64 256
#define CONV_ROWS 8
#define RUN_PIXELS 14
#define DOT_ROWS 4
#define DOT_COLUMNS 5       /* linear, gemm_dots: 20 sums, 4 of x, 1 of w */
#define DOT_BYTES 16384     /* linear: of w in a tile, that stay in L1 while all rows of a strip pass */
#define OUTER_ROWS 10       /* linear: for 2 registers of columns: 20 sums, 2 of X, 1 residual */
#define DOT_TAPS 6          /* conv_weights: for 4 rows of v: 24 sums, 4 of v, 1 of the image */
#define LANE_TAPS 9         /* conv_weights_channels: for 2 registers of rows: as many pointers as stay in registers */
#define DEPTHWISE_VECTORS 2 /* depthwise: of columns, 3 x 3 taps: for each 4 sums, beside 9 taps and 1 of the image */
#define STENCIL_VECTORS 2   /* stencil: of pixels: 8 sums, 2 of the image, 11 taps */
#define EXP_TABLE 1         /* entries of the table of exp; 1: none */

#ifdef FL_DTYPE
#include <arm_neon.h>

#include "simd/portable.h"

/* I(vsqrt) is the intrinsic of this dtype. */
#if FL_IS_F32
#define I(op) op##q_f32
#define LOAD_LANE(p, v, lane) vld1q_lane_f32(p, v, lane)
#define STORE_LANE(p, v, lane) vst1q_lane_f32(p, v, lane)
#else
#define I(op) op##q_f64
#define LOAD_LANE(p, v, lane) vld1q_lane_f64(p, v, lane)
#define STORE_LANE(p, v, lane) vst1q_lane_f64(p, v, lane)
#endif

/* As in base.h, what is done lane by lane stays out of line. */
#define APART static __attribute__((noinline, unused))

/* 0 <= n < VL */
APART vec load_lanes(const real *p, fl_int n, real fill)
{
    vec v = vset(fill);
#if FL_IS_F32
    if (n & 2) v = vcombine_f32(vld1_f32(p), vget_high_f32(v));
    if (n == 3) return LOAD_LANE(p + 2, v, 2);
#endif
    if (n & 1) return LOAD_LANE(p, v, 0);
    return v;
}

APART void store_lanes(real *p, vec v, fl_int n)
{
#if FL_IS_F32
    if (n == 3) STORE_LANE(p + 2, v, 2);
    if (n & 2) {
        vst1_f32(p, vget_low_f32(v));
        return;
    }
#endif
    if (n & 1) STORE_LANE(p, v, 0);
}

FL_INLINE vec vload_n(const real *p, fl_int n, real fill)
{
    return __builtin_expect(n == VL, 1) ? vload(p) : load_lanes(p, n, fill);
}

FL_INLINE void vstore_n(real *p, vec v, fl_int n)
{
    if (__builtin_expect(n == VL, 1)) vstore(p, v);
    else store_lanes(p, v, n);
}

APART vec vload_range(const real *p, vrange range)
{
    vec v = vset(0);
    if (range[0]) v = LOAD_LANE(p, v, 0);
    if (range[1]) v = LOAD_LANE(p + 1, v, 1);
#if FL_IS_F32
    if (range[2]) v = LOAD_LANE(p + 2, v, 2);
    if (range[3]) v = LOAD_LANE(p + 3, v, 3);
#endif
    return v;
}

FL_INLINE void vstream(real *p, vec v) { vstore(p, v); }
FL_INLINE void vstream_end(void) {}

/* The instructions fmax and fmin would give NaN where either is one. */
FL_INLINE vec vmax(vec a, vec b) { return vselect(a > b, a, b); }
FL_INLINE vec vmin(vec a, vec b) { return vselect(a < b, a, b); }
FL_INLINE vec vsqrt(vec a) { return I(vsqrt)(a); }
FL_INLINE vec vsquare_lost(vec a, vec square) { return I(vfma)(-square, a, a); }

FL_INLINE void vsum4(real *out, vec v0, vec v1, vec v2, vec v3)
{
    const vec s01 = I(vpadd)(v0, v1), s23 = I(vpadd)(v2, v3);
#if FL_IS_F32
    vstore(out, vpaddq_f32(s01, s23));
#else
    vstore(out, s01);
    vstore(out + 2, s23);
#endif
}

#include "simd/quads.h"

#undef LOAD_LANE
#undef STORE_LANE
#undef I
#endif
