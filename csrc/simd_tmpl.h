/* simd_tmpl.h: one register of reals for each ISA and dtype. Arithmetic is the compilers' vector extension (a * b + c
 * becomes one FMA where there is one); what that lacks is here. Without AVX2 everything is portable code. */

#undef VBYTES
#undef REAL_BITS
#undef REAL_EXPONENT_SHIFT
#undef REAL_BIAS
#undef REAL_MIN
#undef REAL_MAX
#undef REAL_INF
#undef VL
#undef QUAD

#define VBYTES VECTOR_BYTES

#if FL_IS_F32
typedef float real;
typedef int32_t bits;
#define REAL_BITS 32
#define REAL_EXPONENT_SHIFT 23
#define REAL_BIAS 127
#define REAL_MIN FLT_MIN
#define REAL_MAX FLT_MAX
#define REAL_INF ((real)INFINITY)
#else
typedef double real;
typedef int64_t bits;
#define REAL_BITS 64
#define REAL_EXPONENT_SHIFT 52
#define REAL_BIAS 1023
#define REAL_MIN DBL_MIN
#define REAL_MAX DBL_MAX
#define REAL_INF ((real)INFINITY)
#endif

typedef real vec __attribute__((vector_size(VBYTES), may_alias));
typedef bits ivec __attribute__((vector_size(VBYTES), may_alias));

#define VL ((fl_int)(VBYTES / sizeof(real)))  /* reals in a register */
#define QUAD ((fl_int)(16 / sizeof(real)))    /* reals in 16 bytes */

/* FL_I(add) is the intrinsic of this ISA and dtype. */
#if defined __AVX512F__ && FL_IS_F32
#define FL_I(op) _mm512_##op##_ps
#elif defined __AVX512F__
#define FL_I(op) _mm512_##op##_pd
#elif defined __AVX2__ && FL_IS_F32
#define FL_I(op) _mm256_##op##_ps
#elif defined __AVX2__
#define FL_I(op) _mm256_##op##_pd
#endif

FL_INLINE vec vset(real x) { return x - (vec){0}; }

FL_INLINE vec vload(const real *p)
{
    vec v;
    memcpy(&v, p, sizeof v);
    return v;
}

FL_INLINE void vstore(real *p, vec v) { memcpy(p, &v, sizeof v); }

/* The first n lanes, 0 <= n <= VL; the others are fill. Nothing beyond p[n - 1] is touched. */
FL_INLINE vec vload_n(const real *p, fl_int n, real fill)
{
#if defined __AVX512F__ && FL_IS_F32
    return _mm512_mask_loadu_ps(vset(fill), (__mmask16)((1u << n) - 1), p);
#elif defined __AVX512F__
    return _mm512_mask_loadu_pd(vset(fill), (__mmask8)((1u << n) - 1), p);
#elif defined __AVX2__ && FL_IS_F32
    __m256i m = _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
    return _mm256_blendv_ps(vset(fill), _mm256_maskload_ps(p, m), (__m256)m);
#elif defined __AVX2__
    __m256i m = _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), _mm256_setr_epi64x(0, 1, 2, 3));
    return _mm256_blendv_pd(vset(fill), _mm256_maskload_pd(p, m), (__m256d)m);
#else
    real lanes[VL];
    for (fl_int i = 0; i < VL; i++) lanes[i] = i < n ? p[i] : fill;
    return vload(lanes);
#endif
}

/* The lanes lo <= l < hi, as a value to keep; vload_range: those, zeros elsewhere, where nothing is touched. */
#if defined __AVX512F__
#if FL_IS_F32
typedef __mmask16 vrange;
#define FL_LOAD_RANGE _mm512_maskz_loadu_ps
#else
typedef __mmask8 vrange;
#define FL_LOAD_RANGE _mm512_maskz_loadu_pd
#endif
FL_INLINE vrange vrange_of(fl_int lo, fl_int hi) { return (vrange)(((1u << hi) - 1) & ~((1u << lo) - 1)); }
FL_INLINE vec vload_range(const real *p, vrange range) { return FL_LOAD_RANGE(range, p); }
#undef FL_LOAD_RANGE
#else
typedef ivec vrange;
FL_INLINE vrange vrange_of(fl_int lo, fl_int hi)
{
    bits lanes[VL];
    vrange range;
    for (fl_int i = 0; i < VL; i++) lanes[i] = i >= lo && i < hi ? -1 : 0;
    memcpy(&range, lanes, sizeof range);
    return range;
}
FL_INLINE vec vload_range(const real *p, vrange range)
{
#if defined __AVX2__
    return FL_I(maskload)(p, (__m256i)range);
#else
    real lanes[VL];
    bits which[VL];
    memcpy(which, &range, sizeof range);
    for (fl_int i = 0; i < VL; i++) lanes[i] = which[i] ? p[i] : 0;
    return vload(lanes);
#endif
}
#endif

FL_INLINE void vstore_n(real *p, vec v, fl_int n)
{
#if defined __AVX512F__ && FL_IS_F32
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), v);
#elif defined __AVX512F__
    _mm512_mask_storeu_pd(p, (__mmask8)((1u << n) - 1), v);
#elif defined __AVX2__ && FL_IS_F32
    _mm256_maskstore_ps(p, _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)), v);
#elif defined __AVX2__
    _mm256_maskstore_pd(p, _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), _mm256_setr_epi64x(0, 1, 2, 3)), v);
#else
    real lanes[VL];
    vstore(lanes, v);
    for (fl_int i = 0; i < n; i++) p[i] = lanes[i];
#endif
}

/* Past the caches; p must be aligned to VBYTES. vstream_end before anyone else reads. */
FL_INLINE void vstream(real *p, vec v)
{
#if defined __AVX2__
    FL_I(stream)(p, v);
#else
    vstore(p, v);
#endif
}

FL_INLINE void vstream_end(void)
{
#if defined __AVX2__
    _mm_sfence();
#endif
}

/* Where either is NaN, b: vmax(bound, x) keeps a NaN of x. */
FL_INLINE vec vmax(vec a, vec b)
{
#if defined __AVX2__
    return FL_I(max)(a, b);
#else
    ivec m = a > b;
    return (vec)(((ivec)a & m) | ((ivec)b & ~m));
#endif
}

FL_INLINE vec vmin(vec a, vec b)
{
#if defined __AVX2__
    return FL_I(min)(a, b);
#else
    ivec m = a < b;
    return (vec)(((ivec)a & m) | ((ivec)b & ~m));
#endif
}

FL_INLINE vec vsqrt(vec a)
{
#if defined __AVX2__
    return FL_I(sqrt)(a);
#else
    for (fl_int i = 0; i < VL; i++) a[i] = FL_IS_F32 ? (real)__builtin_sqrtf((float)a[i]) : (real)__builtin_sqrt((double)a[i]);
    return a;
#endif
}

/* Lanes that hold; vselect: a where m holds, else b. */
#if defined __AVX512F__ && FL_IS_F32
typedef __mmask16 vmask;
FL_INLINE vmask vequal(vec a, vec b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ); }
FL_INLINE vmask vbelow(vec a, vec b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
FL_INLINE vmask vbeyond(vec a, vec b) { return _mm512_cmp_ps_mask(a, b, _CMP_NLE_UQ); }
FL_INLINE vmask vnegative(vec a) { return _mm512_movepi32_mask((__m512i)a); }
FL_INLINE vec vselect(vmask m, vec a, vec b) { return _mm512_mask_blend_ps(m, b, a); }
#elif defined __AVX512F__
typedef __mmask8 vmask;
FL_INLINE vmask vequal(vec a, vec b) { return _mm512_cmp_pd_mask(a, b, _CMP_EQ_OQ); }
FL_INLINE vmask vbelow(vec a, vec b) { return _mm512_cmp_pd_mask(a, b, _CMP_LT_OQ); }
FL_INLINE vmask vbeyond(vec a, vec b) { return _mm512_cmp_pd_mask(a, b, _CMP_NLE_UQ); }
FL_INLINE vmask vnegative(vec a) { return _mm512_movepi64_mask((__m512i)a); }
FL_INLINE vec vselect(vmask m, vec a, vec b) { return _mm512_mask_blend_pd(m, b, a); }
#else
typedef ivec vmask;
FL_INLINE vmask vequal(vec a, vec b) { return a == b; }
FL_INLINE vmask vbelow(vec a, vec b) { return a < b; }
FL_INLINE vmask vbeyond(vec a, vec b) { return ~(a <= b); } /* a > b, or one of them is NaN */
FL_INLINE vmask vnegative(vec a) { return (ivec)a >> (REAL_BITS - 1); } /* by the sign bit */
FL_INLINE vec vselect(vmask m, vec a, vec b) { return (vec)(((ivec)a & m) | ((ivec)b & ~m)); }
#endif

FL_INLINE vec vabs(vec x) { return (vec)((ivec)x & ~(ivec)vset((real)-0.0)); }
FL_INLINE vec vminus_abs(vec x) { return (vec)((ivec)x | (ivec)vset((real)-0.0)); } /* -|x| */

/* |x| with the sign of s; x must not be negative. */
FL_INLINE vec vcopysign(vec x, vec s) { return (vec)((ivec)x | ((ivec)s & (ivec)vset((real)-0.0))); }

/* x * 2^n for integral n in [-2 * REAL_BIAS, 2 * REAL_BIAS - 2], rounded once, subnormal results included. */
FL_INLINE vec vldexp(vec x, vec n)
{
#if defined __AVX512F__
    return FL_I(scalef)(x, n);
#else
    /* 2^n in two factors, so that neither over- nor underflows; adding 1.5 * 2^(mantissa bits) leaves the integer in the low bits */
    const real magic = (real)1.5 * (real)((int64_t)1 << REAL_EXPONENT_SHIFT);
    ivec i = (ivec)(n + magic) - (ivec)vset(magic);
    ivec half = i >> 1;
    vec lower = (vec)((half + REAL_BIAS) << REAL_EXPONENT_SHIFT);
    vec upper = (vec)((i - half + REAL_BIAS) << REAL_EXPONENT_SHIFT);
    return x * lower * upper;
#endif
}

FL_INLINE real vsum(vec v)
{
#if defined __AVX512F__
    return FL_I(reduce_add)(v);
#else
    real lanes[VL];
    vstore(lanes, v);
    for (fl_int width = VL / 2; width; width /= 2)
        for (fl_int i = 0; i < width; i++) lanes[i] += lanes[i + width];
    return lanes[0];
#endif
}

/* The largest lane; any lane where there is a NaN. */
FL_INLINE real vtop(vec v)
{
#if defined __AVX512F__
    return FL_I(reduce_max)(v);
#else
    real lanes[VL], top;
    vstore(lanes, v);
    top = lanes[0];
    for (fl_int i = 1; i < VL; i++) top = lanes[i] > top ? lanes[i] : top;
    return top;
#endif
}

/* out[k] = sum of the lanes of v_k. */
FL_INLINE void vsum4(real *out, vec v0, vec v1, vec v2, vec v3)
{
#if defined __AVX2__ && FL_IS_F32
#if defined __AVX512F__
#define FL_HALVES(v) _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1))
#else
#define FL_HALVES(v) (v)
#endif
    __m256 s = _mm256_hadd_ps(_mm256_hadd_ps(FL_HALVES(v0), FL_HALVES(v1)), _mm256_hadd_ps(FL_HALVES(v2), FL_HALVES(v3)));
    _mm_storeu_ps(out, _mm_add_ps(_mm256_castps256_ps128(s), _mm256_extractf128_ps(s, 1)));
#undef FL_HALVES
#elif defined __AVX2__
#if defined __AVX512F__
#define FL_HALVES(v) _mm256_add_pd(_mm512_castpd512_pd256(v), _mm512_extractf64x4_pd(v, 1))
#else
#define FL_HALVES(v) (v)
#endif
    __m256d s01 = _mm256_hadd_pd(FL_HALVES(v0), FL_HALVES(v1)), s23 = _mm256_hadd_pd(FL_HALVES(v2), FL_HALVES(v3));
    _mm256_storeu_pd(out, _mm256_add_pd(_mm256_permute2f128_pd(s01, s23, 0x20), _mm256_permute2f128_pd(s01, s23, 0x31)));
#undef FL_HALVES
#else
    out[0] = vsum(v0);
    out[1] = vsum(v1);
    out[2] = vsum(v2);
    out[3] = vsum(v3);
#endif
}

/* One 16-byte piece to each 128-bit lane: lane j from p + j * step. */
FL_INLINE vec vgather128(const real *p, fl_int step)
{
#if defined __AVX512F__ && FL_IS_F32
    __m256 lower = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(p)), _mm_loadu_ps(p + step), 1);
    __m256 upper = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(p + 2 * step)), _mm_loadu_ps(p + 3 * step), 1);
    return _mm512_insertf32x8(_mm512_castps256_ps512(lower), upper, 1);
#elif defined __AVX512F__
    __m256d lower = _mm256_insertf128_pd(_mm256_castpd128_pd256(_mm_loadu_pd(p)), _mm_loadu_pd(p + step), 1);
    __m256d upper = _mm256_insertf128_pd(_mm256_castpd128_pd256(_mm_loadu_pd(p + 2 * step)), _mm_loadu_pd(p + 3 * step), 1);
    return _mm512_insertf64x4(_mm512_castpd256_pd512(lower), upper, 1);
#elif defined __AVX2__ && FL_IS_F32
    return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(p)), _mm_loadu_ps(p + step), 1);
#elif defined __AVX2__
    return _mm256_insertf128_pd(_mm256_castpd128_pd256(_mm_loadu_pd(p)), _mm_loadu_pd(p + step), 1);
#else
    (void)step;
    return vload(p);
#endif
}

FL_INLINE void vscatter128(real *p, fl_int step, vec v)
{
#if defined __AVX512F__ && FL_IS_F32
    _mm_storeu_ps(p, _mm512_castps512_ps128(v));
    _mm_storeu_ps(p + step, _mm512_extractf32x4_ps(v, 1));
    _mm_storeu_ps(p + 2 * step, _mm512_extractf32x4_ps(v, 2));
    _mm_storeu_ps(p + 3 * step, _mm512_extractf32x4_ps(v, 3));
#elif defined __AVX512F__
    _mm_storeu_pd(p, _mm512_castpd512_pd128(v));
    _mm_storeu_pd(p + step, _mm512_extractf64x2_pd(v, 1));
    _mm_storeu_pd(p + 2 * step, _mm512_extractf64x2_pd(v, 2));
    _mm_storeu_pd(p + 3 * step, _mm512_extractf64x2_pd(v, 3));
#elif defined __AVX2__ && FL_IS_F32
    _mm_storeu_ps(p, _mm256_castps256_ps128(v));
    _mm_storeu_ps(p + step, _mm256_extractf128_ps(v, 1));
#elif defined __AVX2__
    _mm_storeu_pd(p, _mm256_castpd256_pd128(v));
    _mm_storeu_pd(p + step, _mm256_extractf128_pd(v, 1));
#else
    (void)step;
    vstore(p, v);
#endif
}

/* Transposes the QUAD x QUAD reals of each 128-bit lane across a[0..QUAD-1]. */
FL_INLINE void vtranspose128(vec *a)
{
#if defined __AVX2__ && FL_IS_F32
#if defined __AVX512F__
#define FL_PD(op, x, y) (vec)_mm512_##op##_pd((__m512d)(x), (__m512d)(y))
#else
#define FL_PD(op, x, y) (vec)_mm256_##op##_pd((__m256d)(x), (__m256d)(y))
#endif
    vec t0 = FL_I(unpacklo)(a[0], a[1]), t1 = FL_I(unpackhi)(a[0], a[1]);
    vec t2 = FL_I(unpacklo)(a[2], a[3]), t3 = FL_I(unpackhi)(a[2], a[3]);
    a[0] = FL_PD(unpacklo, t0, t2);
    a[1] = FL_PD(unpackhi, t0, t2);
    a[2] = FL_PD(unpacklo, t1, t3);
    a[3] = FL_PD(unpackhi, t1, t3);
#undef FL_PD
#elif defined __AVX2__
    vec t = FL_I(unpacklo)(a[0], a[1]);
    a[1] = FL_I(unpackhi)(a[0], a[1]);
    a[0] = t;
#elif FL_IS_F32
    vec t0 = __builtin_shufflevector(a[0], a[1], 0, 4, 1, 5), t1 = __builtin_shufflevector(a[0], a[1], 2, 6, 3, 7);
    vec t2 = __builtin_shufflevector(a[2], a[3], 0, 4, 1, 5), t3 = __builtin_shufflevector(a[2], a[3], 2, 6, 3, 7);
    a[0] = __builtin_shufflevector(t0, t2, 0, 1, 4, 5);
    a[1] = __builtin_shufflevector(t0, t2, 2, 3, 6, 7);
    a[2] = __builtin_shufflevector(t1, t3, 0, 1, 4, 5);
    a[3] = __builtin_shufflevector(t1, t3, 2, 3, 6, 7);
#else
    vec t = __builtin_shufflevector(a[0], a[1], 0, 2);
    a[1] = __builtin_shufflevector(a[0], a[1], 1, 3);
    a[0] = t;
#endif
}

#if FL_IS_F32
/* a[0..3], 4 VL consecutive reals, to those with index 0, 1, 2, 3 mod 4; and back. */
FL_INLINE void vdeinterleave4(vec *a)
{
    vtranspose128(a);
#if defined __AVX512F__
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    for (int i = 0; i < 4; i++) a[i] = _mm512_permutexvar_ps(order, a[i]);
#elif defined __AVX2__
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    for (int i = 0; i < 4; i++) a[i] = _mm256_permutevar8x32_ps(a[i], order);
#endif
}

FL_INLINE void vinterleave4(vec *a)
{
#if defined __AVX512F__
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    for (int i = 0; i < 4; i++) a[i] = _mm512_permutexvar_ps(order, a[i]);
#elif defined __AVX2__
    const __m256i order = _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7);
    for (int i = 0; i < 4; i++) a[i] = _mm256_permutevar8x32_ps(a[i], order);
#endif
    vtranspose128(a);
}
#endif

/* Transposes the VL x VL reals of a[0..VL-1]: within the 128-bit lanes first, then the lanes. */
FL_INLINE void vtranspose(vec *a)
{
#if defined __AVX512F__
#define FL_LANES(x, y, which) (vec)_mm512_shuffle_f32x4((__m512)(x), (__m512)(y), which)
    for (fl_int g = 0; g < VL; g += QUAD) vtranspose128(a + g);
    for (fl_int q = 0; q < QUAD; q++) {
        vec t0 = FL_LANES(a[q], a[QUAD + q], 0x44), t1 = FL_LANES(a[q], a[QUAD + q], 0xEE);
        vec t2 = FL_LANES(a[2 * QUAD + q], a[3 * QUAD + q], 0x44), t3 = FL_LANES(a[2 * QUAD + q], a[3 * QUAD + q], 0xEE);
        a[q] = FL_LANES(t0, t2, 0x88);
        a[QUAD + q] = FL_LANES(t0, t2, 0xDD);
        a[2 * QUAD + q] = FL_LANES(t1, t3, 0x88);
        a[3 * QUAD + q] = FL_LANES(t1, t3, 0xDD);
    }
#undef FL_LANES
#elif defined __AVX2__
#define FL_LANES(x, y, which) (vec)_mm256_permute2f128_ps((__m256)(x), (__m256)(y), which)
    for (fl_int g = 0; g < VL; g += QUAD) vtranspose128(a + g);
    for (fl_int q = 0; q < QUAD; q++) {
        vec t = FL_LANES(a[q], a[QUAD + q], 0x20);
        a[QUAD + q] = FL_LANES(a[q], a[QUAD + q], 0x31);
        a[q] = t;
    }
#undef FL_LANES
#else
    vtranspose128(a);
#endif
}

/* a and b one after the other: the reals at even and at odd positions; and back. */
#define FL_EVERY2(i) (i), (i) + 2, (i) + 4, (i) + 6
#define FL_PAIRS(i) (i), VL + (i), (i) + 1, VL + (i) + 1
#if VBYTES * 8 / REAL_BITS == 16
#define FL_UNZIP(i) FL_EVERY2(i), FL_EVERY2((i) + 8), FL_EVERY2((i) + 16), FL_EVERY2((i) + 24)
#define FL_ZIP(i) FL_PAIRS(i), FL_PAIRS((i) + 2), FL_PAIRS((i) + 4), FL_PAIRS((i) + 6)
#elif VBYTES * 8 / REAL_BITS == 8
#define FL_UNZIP(i) FL_EVERY2(i), FL_EVERY2((i) + 8)
#define FL_ZIP(i) FL_PAIRS(i), FL_PAIRS((i) + 2)
#elif VBYTES * 8 / REAL_BITS == 4
#define FL_UNZIP(i) FL_EVERY2(i)
#define FL_ZIP(i) FL_PAIRS(i)
#else
#define FL_UNZIP(i) (i), (i) + 2
#define FL_ZIP(i) (i), VL + (i)
#endif
FL_INLINE void vunzip(vec a, vec b, vec *even, vec *odd)
{
    *even = __builtin_shufflevector(a, b, FL_UNZIP(0));
    *odd = __builtin_shufflevector(a, b, FL_UNZIP(1));
}

FL_INLINE void vzip(vec even, vec odd, vec *a, vec *b)
{
    *a = __builtin_shufflevector(even, odd, FL_ZIP(0));
    *b = __builtin_shufflevector(even, odd, FL_ZIP(VL / 2));
}

#if VBYTES * 8 / REAL_BITS == 16
#define FL_AFTER 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16
#elif VBYTES * 8 / REAL_BITS == 8
#define FL_AFTER 1, 2, 3, 4, 5, 6, 7, 8
#elif VBYTES * 8 / REAL_BITS == 4
#define FL_AFTER 1, 2, 3, 4
#else
#define FL_AFTER 1, 2
#endif
/* The reals after each one where b follows a. */
FL_INLINE vec vnext(vec a, vec b) { return __builtin_shufflevector(a, b, FL_AFTER); }
#undef FL_AFTER
#undef FL_EVERY2
#undef FL_PAIRS
#undef FL_UNZIP
#undef FL_ZIP

#undef FL_I
