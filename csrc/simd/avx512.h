/* avx512.h: x86-64-v4, 64-byte vectors. base.h and portable.h say what each function does. */

/* The facts: fl_facts in fl.h and, below, what only kernels need. */
#define VECTOR_BYTES 64
#define REGISTERS 32
#define GEMM_ROWS 12
#define GEMM_PACKS 0
#define GEMM_DEPTH_F32 384
#define GEMM_DEPTH_F64 192
#define CONV_ROWS 8
#define RUN_PIXELS 14
#define DOT_ROWS 4
#define DOT_COLUMNS 5       /* linear, gemm_dots: 20 sums, 4 of x, 1 of w */
#define DOT_BYTES 16384     /* linear: of w in a tile, that stay in L1 while all rows of a strip pass */
#define OUTER_ROWS 10       /* linear: for 2 registers of columns: 20 sums, 2 of X, 1 residual */
#define DOT_TAPS 6          /* conv_weights: for 4 rows of v: 24 sums, 4 of v, 1 of the image */
#define LANE_TAPS 9         /* conv_weights_channels: for 2 registers of rows: as many pointers as stay in registers */
#define DEPTHWISE_VECTORS 2 /* depthwise: of columns, 3 x 3 taps: for each 4 sums, beside 9 taps and 1 of the image */
#define STENCIL_VECTORS 4   /* stencil: of pixels: 16 sums, 4 of the image, 1 tap */
#define EXP_TABLE 16        /* entries of the table of exp */

#ifdef FL_DTYPE
#include <immintrin.h>

#include "simd/vector.h"

/* I(add) is the intrinsic of this dtype; vmask, of which vrange is one, has a bit for each lane. */
#if FL_IS_F32
#define I(op) _mm512_##op##_ps
#define COMPARE(a, b, how) _mm512_cmp_ps_mask(a, b, how)
typedef __mmask16 vmask;
#else
#define I(op) _mm512_##op##_pd
#define COMPARE(a, b, how) _mm512_cmp_pd_mask(a, b, how)
typedef __mmask8 vmask;
#endif
typedef vmask vrange;

FL_INLINE vec vload_n(const real *p, fl_int n, real fill) { return I(mask_loadu)(vset(fill), (vmask)((1u << n) - 1), p); }
FL_INLINE void vstore_n(real *p, vec v, fl_int n) { I(mask_storeu)(p, (vmask)((1u << n) - 1), v); }

FL_INLINE vrange vrange_of(fl_int lo, fl_int hi) { return (vrange)(((1u << hi) - 1) & ~((1u << lo) - 1)); }
FL_INLINE vec vload_range(const real *p, vrange range) { return I(maskz_loadu)(range, p); }

FL_INLINE void vstream(real *p, vec v) { I(stream)(p, v); }
FL_INLINE void vstream_end(void) { _mm_sfence(); }

FL_INLINE vec vmax(vec a, vec b) { return I(max)(a, b); }
FL_INLINE vec vmin(vec a, vec b) { return I(min)(a, b); }
FL_INLINE vec vsqrt(vec a) { return I(sqrt)(a); }
FL_INLINE vec vsquare_lost(vec a, vec square) { return I(fmsub)(a, a, square); }

FL_INLINE vmask vequal(vec a, vec b) { return COMPARE(a, b, _CMP_EQ_OQ); }
FL_INLINE vmask vbelow(vec a, vec b) { return COMPARE(a, b, _CMP_LT_OQ); }
FL_INLINE vmask vbeyond(vec a, vec b) { return COMPARE(a, b, _CMP_NLE_UQ); }
FL_INLINE vec vselect(vmask m, vec a, vec b) { return I(mask_blend)(m, b, a); }
#if FL_IS_F32
FL_INLINE vmask vnegative(vec a) { return _mm512_movepi32_mask((__m512i)a); }
#else
FL_INLINE vmask vnegative(vec a) { return _mm512_movepi64_mask((__m512i)a); }
#endif

FL_INLINE vec vldexp(vec x, vec n) { return I(scalef)(x, n); }
FL_INLINE real vsum(vec v) { return I(reduce_add)(v); }
FL_INLINE real vtop(vec v) { return I(reduce_max)(v); }

#if FL_IS_F32
FL_INLINE __m256 add_halves(vec v) { return _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1)); }

FL_INLINE void vsum4(real *out, vec v0, vec v1, vec v2, vec v3)
{
    __m256 s01 = _mm256_hadd_ps(add_halves(v0), add_halves(v1)), s23 = _mm256_hadd_ps(add_halves(v2), add_halves(v3));
    __m256 s = _mm256_hadd_ps(s01, s23);
    _mm_storeu_ps(out, _mm_add_ps(_mm256_castps256_ps128(s), _mm256_extractf128_ps(s, 1)));
}

FL_INLINE vec vgather128(const real *p, fl_int step)
{
    __m256 lower = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(p)), _mm_loadu_ps(p + step), 1);
    __m256 upper = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(p + 2 * step)), _mm_loadu_ps(p + 3 * step), 1);
    return _mm512_insertf32x8(_mm512_castps256_ps512(lower), upper, 1);
}

FL_INLINE void vscatter128(real *p, fl_int step, vec v)
{
    _mm_storeu_ps(p, _mm512_castps512_ps128(v));
    _mm_storeu_ps(p + step, _mm512_extractf32x4_ps(v, 1));
    _mm_storeu_ps(p + 2 * step, _mm512_extractf32x4_ps(v, 2));
    _mm_storeu_ps(p + 3 * step, _mm512_extractf32x4_ps(v, 3));
}

FL_INLINE void vtranspose128(vec *a)
{
#define PAIRS(op, x, y) (vec) _mm512_##op##_pd((__m512d)(x), (__m512d)(y))
    vec t0 = _mm512_unpacklo_ps(a[0], a[1]), t1 = _mm512_unpackhi_ps(a[0], a[1]);
    vec t2 = _mm512_unpacklo_ps(a[2], a[3]), t3 = _mm512_unpackhi_ps(a[2], a[3]);
    a[0] = PAIRS(unpacklo, t0, t2);
    a[1] = PAIRS(unpackhi, t0, t2);
    a[2] = PAIRS(unpacklo, t1, t3);
    a[3] = PAIRS(unpackhi, t1, t3);
#undef PAIRS
}
#else
FL_INLINE __m256d add_halves(vec v) { return _mm256_add_pd(_mm512_castpd512_pd256(v), _mm512_extractf64x4_pd(v, 1)); }

FL_INLINE void vsum4(real *out, vec v0, vec v1, vec v2, vec v3)
{
    __m256d s01 = _mm256_hadd_pd(add_halves(v0), add_halves(v1)), s23 = _mm256_hadd_pd(add_halves(v2), add_halves(v3));
    _mm256_storeu_pd(out, _mm256_add_pd(_mm256_permute2f128_pd(s01, s23, 0x20), _mm256_permute2f128_pd(s01, s23, 0x31)));
}

FL_INLINE vec vgather128(const real *p, fl_int step)
{
    __m256d lower = _mm256_insertf128_pd(_mm256_castpd128_pd256(_mm_loadu_pd(p)), _mm_loadu_pd(p + step), 1);
    __m256d upper = _mm256_insertf128_pd(_mm256_castpd128_pd256(_mm_loadu_pd(p + 2 * step)), _mm_loadu_pd(p + 3 * step), 1);
    return _mm512_insertf64x4(_mm512_castpd256_pd512(lower), upper, 1);
}

FL_INLINE void vscatter128(real *p, fl_int step, vec v)
{
    _mm_storeu_pd(p, _mm512_castpd512_pd128(v));
    _mm_storeu_pd(p + step, _mm512_extractf64x2_pd(v, 1));
    _mm_storeu_pd(p + 2 * step, _mm512_extractf64x2_pd(v, 2));
    _mm_storeu_pd(p + 3 * step, _mm512_extractf64x2_pd(v, 3));
}

FL_INLINE void vtranspose128(vec *a)
{
    vec t = _mm512_unpacklo_pd(a[0], a[1]);
    a[1] = _mm512_unpackhi_pd(a[0], a[1]);
    a[0] = t;
}
#endif

/* Within the 128-bit parts first, then the parts. */
FL_INLINE void vtranspose(vec *a)
{
#define PARTS(x, y, which) (vec) _mm512_shuffle_f32x4((__m512)(x), (__m512)(y), which)
    for (fl_int g = 0; g < VL; g += QUAD) vtranspose128(a + g);
    for (fl_int q = 0; q < QUAD; q++) {
        vec t0 = PARTS(a[q], a[QUAD + q], 0x44), t1 = PARTS(a[q], a[QUAD + q], 0xEE);
        vec t2 = PARTS(a[2 * QUAD + q], a[3 * QUAD + q], 0x44), t3 = PARTS(a[2 * QUAD + q], a[3 * QUAD + q], 0xEE);
        a[q] = PARTS(t0, t2, 0x88);
        a[QUAD + q] = PARTS(t0, t2, 0xDD);
        a[2 * QUAD + q] = PARTS(t1, t3, 0x88);
        a[3 * QUAD + q] = PARTS(t1, t3, 0xDD);
    }
#undef PARTS
}

#if FL_IS_F32
FL_INLINE __m512i every_fourth(void) { return _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15); }

FL_INLINE void vdeinterleave4(vec *a)
{
    vtranspose128(a);
    for (int i = 0; i < 4; i++) a[i] = _mm512_permutexvar_ps(every_fourth(), a[i]);
}

FL_INLINE void vinterleave4(vec *a)
{
    for (int i = 0; i < 4; i++) a[i] = _mm512_permutexvar_ps(every_fourth(), a[i]);
    vtranspose128(a);
}

FL_INLINE void vspread4(real *out, fl_int ld, vec lo, vec hi, const int span)
{
    const vec v = _mm512_permutexvar_ps(every_fourth(), lo);
    vscatter128(out, ld, v);
    if (span > 4) {
        const vec w = _mm512_permutex2var_ps(lo, _mm512_add_epi32(every_fourth(), _mm512_set1_epi32(4)), hi);
        _mm_storeu_ps(out + 4 * ld, _mm512_castps512_ps128(w));
        _mm_storeu_ps(out + 5 * ld, _mm512_extractf32x4_ps(w, 1));
    }
}
#endif

FL_INLINE vec vlookup(const real *table, ivec t)
{
#if FL_IS_F32
    return _mm512_permutexvar_ps((__m512i)t, _mm512_load_ps(table));
#else
    return _mm512_permutex2var_pd(_mm512_load_pd(table), (__m512i)t, _mm512_load_pd(table + VL));
#endif
}

#undef COMPARE
#undef I
#endif
