/* base.h: 16-byte vectors in portable C, for any CPU. Here and in portable.h stands what each function must do. */

/* The facts: fl_facts in fl.h and, below, what only kernels need. */
#define VECTOR_BYTES 16
#define REGISTERS 16
#define GEMM_ROWS 6
#define GEMM_PACKS 0
#define GEMM_DEPTH_F32 384
#define GEMM_DEPTH_F64 192
#define CONV_ROWS 6
#define RUN_PIXELS 6
#define DOT_ROWS 4
#define DOT_COLUMNS 2       /* linear, gemm_dots: 8 sums, 4 of x, 1 of w */
#define DOT_BYTES 16384     /* linear: of w in a tile, that stay in L1 while all rows of a strip pass */
#define OUTER_ROWS 5        /* linear: for 2 registers of columns: 10 sums, 2 of X, 1 residual */
#define DOT_TAPS 3          /* conv_weights: for 4 rows of v: 12 sums, 4 of v, 1 of the image */
#define LANE_TAPS 6         /* conv_weights_channels: for 2 registers of rows: 12 sums, 2 of v, 1 pixel */
#define DEPTHWISE_VECTORS 1 /* depthwise: of columns, 3 x 3 taps: for each 4 sums, beside 9 taps and 1 of the image */
#define STENCIL_VECTORS 2   /* stencil: of pixels */
#define EXP_TABLE 1         /* entries of the table of exp; 1: none */

#ifdef FL_DTYPE
#include "simd/portable.h"

/* What is done lane by lane stays out of line: inlined, it was a quarter of the kernels, and loops that are mostly of whole
 * registers took up to seven times as long. */
#define APART static __attribute__((noinline, unused))

APART vec load_lanes(const real *p, fl_int n, real fill)
{
    real lanes[VL];
    for (fl_int i = 0; i < VL; i++) lanes[i] = i < n ? p[i] : fill;
    return vload(lanes);
}

APART void store_lanes(real *p, vec v, fl_int n)
{
    real lanes[VL];
    vstore(lanes, v);
    for (fl_int i = 0; i < n; i++) p[i] = lanes[i];
}

/* The first n lanes, 0 <= n <= VL; the others are fill. Nothing beyond p[n - 1] is touched. */
FL_INLINE vec vload_n(const real *p, fl_int n, real fill)
{
    return __builtin_expect(n == VL, 1) ? vload(p) : load_lanes(p, n, fill);
}

/* The first n lanes, 0 <= n <= VL. Nothing beyond p[n - 1] is touched. */
FL_INLINE void vstore_n(real *p, vec v, fl_int n)
{
    if (__builtin_expect(n == VL, 1)) vstore(p, v);
    else store_lanes(p, v, n);
}

/* The lanes of a range of the VL reals at p, zeros elsewhere, where nothing is touched. */
APART vec vload_range(const real *p, vrange range)
{
    real lanes[VL];
    bits which[VL];
    memcpy(which, &range, sizeof range);
    for (fl_int i = 0; i < VL; i++) lanes[i] = which[i] ? p[i] : 0;
    return vload(lanes);
}

/* A store past the caches; p must be aligned to VECTOR_BYTES. vstream_end before anyone else reads. */
FL_INLINE void vstream(real *p, vec v) { vstore(p, v); }
FL_INLINE void vstream_end(void) {}

/* a > b ? a : b, lane by lane: b where either is NaN, so that vmax(bound, x) keeps a NaN of x; vmin likewise. */
FL_INLINE vec vmax(vec a, vec b)
{
    ivec m = a > b;
    return (vec)(((ivec)a & m) | ((ivec)b & ~m));
}

FL_INLINE vec vmin(vec a, vec b)
{
    ivec m = a < b;
    return (vec)(((ivec)a & m) | ((ivec)b & ~m));
}

/* a a - square, which is a a rounded: by the upper half of a, whose square is exact (Dekker 1971). */
FL_INLINE vec vsquare_lost(vec a, vec square)
{
    const vec upper = (vec)((ivec)a & (bits)(FL_IS_F32 ? 0xfffff000 : 0xfffffffff8000000));
    return (upper * upper - square) + (a - upper) * (a + upper);
}

FL_INLINE vec vsqrt(vec a)
{
    for (fl_int i = 0; i < VL; i++) a[i] = FL_IS_F32 ? (real)__builtin_sqrtf((float)a[i]) : (real)__builtin_sqrt((double)a[i]);
    return a;
}

/* out[k] = the sum of the lanes of v_k. */
FL_INLINE void vsum4(real *out, vec v0, vec v1, vec v2, vec v3)
{
    out[0] = vsum(v0);
    out[1] = vsum(v1);
    out[2] = vsum(v2);
    out[3] = vsum(v3);
}

#include "simd/quads.h"

#endif
