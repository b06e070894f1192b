/* avx2.h: x86-64-v3, 32-byte vectors. base.h and portable.h say what each function does. */

/* The facts: fl_facts in fl.h and, below, what only kernels need. */
#define VECTOR_BYTES 32
#define REGISTERS 16
#define GEMM_ROWS 6
#define GEMM_PACKS 1
#define GEMM_DEPTH_F32 256
#define GEMM_DEPTH_F64 256
#define CONV_ROWS 6
#define RUN_PIXELS 6
#define DOT_ROWS 2
#define DOT_COLUMNS 5       /* linear, gemm_dots: 10 sums, as two FMA pipes of 4 cycles need 8; 2 of x, 1 of w */
#define DOT_BYTES 16384     /* linear: of w in a tile, that stay in L1 while all rows of a strip pass */
#define OUTER_ROWS 5        /* linear: for 2 registers of columns: 10 sums, 2 of X, 1 residual */
#define DOT_TAPS 3          /* conv_weights: for 4 rows of v: 12 sums, 4 of v, 1 of the image */
#define LANE_TAPS 6         /* conv_weights_channels: for 2 registers of rows: 12 sums, 2 of v, 1 pixel */
#define DEPTHWISE_VECTORS 1 /* depthwise: of columns, 3 x 3 taps: for each 4 sums, beside 9 taps and 1 of the image */
#define STENCIL_VECTORS 2   /* stencil: of pixels */
#define EXP_TABLE 1         /* entries of the table of exp; 1: none */

#ifdef FL_DTYPE
#include <immintrin.h>

#include "simd/portable.h"

/* I(add) is the intrinsic of this dtype. */
#if FL_IS_F32
#define I(op) _mm256_##op##_ps
#else
#define I(op) _mm256_##op##_pd
#endif

/* The lanes below n. */
FL_INLINE __m256i first_lanes(fl_int n)
{
#if FL_IS_F32
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
#else
    return _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), _mm256_setr_epi64x(0, 1, 2, 3));
#endif
}

FL_INLINE vec vload_n(const real *p, fl_int n, real fill)
{
    __m256i m = first_lanes(n);
    return I(blendv)(vset(fill), I(maskload)(p, m), (vec)m);
}

/* In halves: a masked store takes more than ten cycles on AMD's Zen. */
FL_INLINE void vstore_n(real *p, vec v, fl_int n)
{
    if (n >= VL) {
        vstore(p, v);
        return;
    }
#if FL_IS_F32
    __m128 rest = _mm256_castps256_ps128(v);
    if (n & 4) {
        _mm_storeu_ps(p, rest);
        rest = _mm256_extractf128_ps(v, 1);
        p += 4;
    }
    if (n & 2) {
        _mm_storel_pi((__m64 *)p, rest);
        rest = _mm_movehl_ps(rest, rest);
        p += 2;
    }
    if (n & 1) _mm_store_ss(p, rest);
#else
    __m128d rest = _mm256_castpd256_pd128(v);
    if (n & 2) {
        _mm_storeu_pd(p, rest);
        rest = _mm256_extractf128_pd(v, 1);
        p += 2;
    }
    if (n & 1) _mm_store_sd(p, rest);
#endif
}

FL_INLINE vec vload_range(const real *p, vrange range) { return I(maskload)(p, (__m256i)range); }

FL_INLINE void vstream(real *p, vec v) { I(stream)(p, v); }
FL_INLINE void vstream_end(void) { _mm_sfence(); }

FL_INLINE vec vmax(vec a, vec b) { return I(max)(a, b); }
FL_INLINE vec vmin(vec a, vec b) { return I(min)(a, b); }
FL_INLINE vec vsqrt(vec a) { return I(sqrt)(a); }
FL_INLINE vec vsquare_lost(vec a, vec square) { return I(fmsub)(a, a, square); }

FL_INLINE void vsum4(real *out, vec v0, vec v1, vec v2, vec v3)
{
#if FL_IS_F32
    __m256 s = _mm256_hadd_ps(_mm256_hadd_ps(v0, v1), _mm256_hadd_ps(v2, v3));
    _mm_storeu_ps(out, _mm_add_ps(_mm256_castps256_ps128(s), _mm256_extractf128_ps(s, 1)));
#else
    __m256d s01 = _mm256_hadd_pd(v0, v1), s23 = _mm256_hadd_pd(v2, v3);
    _mm256_storeu_pd(out, _mm256_add_pd(_mm256_permute2f128_pd(s01, s23, 0x20), _mm256_permute2f128_pd(s01, s23, 0x31)));
#endif
}

FL_INLINE vec vgather128(const real *p, fl_int step)
{
#if FL_IS_F32
    return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(p)), _mm_loadu_ps(p + step), 1);
#else
    return _mm256_insertf128_pd(_mm256_castpd128_pd256(_mm_loadu_pd(p)), _mm_loadu_pd(p + step), 1);
#endif
}

FL_INLINE void vscatter128(real *p, fl_int step, vec v)
{
#if FL_IS_F32
    _mm_storeu_ps(p, _mm256_castps256_ps128(v));
    _mm_storeu_ps(p + step, _mm256_extractf128_ps(v, 1));
#else
    _mm_storeu_pd(p, _mm256_castpd256_pd128(v));
    _mm_storeu_pd(p + step, _mm256_extractf128_pd(v, 1));
#endif
}

FL_INLINE void vtranspose128(vec *a)
{
#if FL_IS_F32
#define PAIRS(op, x, y) (vec) _mm256_##op##_pd((__m256d)(x), (__m256d)(y))
    vec t0 = _mm256_unpacklo_ps(a[0], a[1]), t1 = _mm256_unpackhi_ps(a[0], a[1]);
    vec t2 = _mm256_unpacklo_ps(a[2], a[3]), t3 = _mm256_unpackhi_ps(a[2], a[3]);
    a[0] = PAIRS(unpacklo, t0, t2);
    a[1] = PAIRS(unpackhi, t0, t2);
    a[2] = PAIRS(unpacklo, t1, t3);
    a[3] = PAIRS(unpackhi, t1, t3);
#undef PAIRS
#else
    vec t = _mm256_unpacklo_pd(a[0], a[1]);
    a[1] = _mm256_unpackhi_pd(a[0], a[1]);
    a[0] = t;
#endif
}

/* Within the 128-bit parts first, then the parts. */
FL_INLINE void vtranspose(vec *a)
{
#define PARTS(x, y, which) (vec) _mm256_permute2f128_ps((__m256)(x), (__m256)(y), which)
    for (fl_int g = 0; g < VL; g += QUAD) vtranspose128(a + g);
    for (fl_int q = 0; q < QUAD; q++) {
        vec t = PARTS(a[q], a[QUAD + q], 0x20);
        a[QUAD + q] = PARTS(a[q], a[QUAD + q], 0x31);
        a[q] = t;
    }
#undef PARTS
}

#if FL_IS_F32
FL_INLINE void vdeinterleave4(vec *a)
{
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    vtranspose128(a);
    for (int i = 0; i < 4; i++) a[i] = _mm256_permutevar8x32_ps(a[i], order);
}

FL_INLINE void vinterleave4(vec *a)
{
    const __m256i order = _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7);
    for (int i = 0; i < 4; i++) a[i] = _mm256_permutevar8x32_ps(a[i], order);
    vtranspose128(a);
}
#endif

#undef I
#endif
