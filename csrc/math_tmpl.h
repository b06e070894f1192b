/* math_tmpl.h: exp, log, tanh, sigmoid of one register. exp and log at most 1 ULP, tanh and sigmoid at most 2 (tested over bit
 * patterns on each ISA). Coefficients: minimax.py. NaN gives NaN; nothing traps, subnormal results are kept.
 *
 * Reduction: x = n ln 2 + r, ln 2 in two parts of which n times the first is exact (Cody and Waite 1980); expm1(r) = r + r^2 q(r).
 * n is rounded by adding a number so large that its last mantissa bit is n's. */

#undef EXP_LOWEST
#undef EXP_HIGHEST
#undef LN2_UPPER
#undef LN2_LOWER
#undef LOG2_E
#undef ROUND_MAGIC
#undef EXP_Q
#undef EXPM1_Q
#undef LOG_P

#define LOG2_E ((real)1.4426950408889634074)
#if FL_IS_F32
#define EXP_LOWEST (-105.0f)  /* exp is 0 from here down, */
#define EXP_HIGHEST 89.0f     /* and infinite from here up */
#define LN2_UPPER 0x1.62ep-1f /* 12 bits */
#define LN2_LOWER 0x1.0bfbe8p-15f
#define LOG_P(z) ((0.2987172758f * z + 0.3997754158f) * z + 0.6666677638f)
#else
#define EXP_LOWEST (-746.0)
#define EXP_HIGHEST 710.0
#define LN2_UPPER 0x1.62e42fefap-1 /* 36 bits */
#define LN2_LOWER 0x1.cf79abc9e3b3ap-40
#define LOG_P(z) \
    (((((((0.13251159988152552603 * z + 0.1325013654530075343) * z + 0.15387089949982167332) * z + 0.18181775683749139335) * z \
        + 0.22222222646572138207) * z + 0.28571428569087347795) * z + 0.40000000000006242436) * z \
     + 0.6666666666666666098)
#endif

/* With AVX-512 n has four fractional bits: 2^(j/16) comes from a table in registers, and r and its polynomial shrink. The table
 * holds the nearest float and what that leaves. EXP_Q is enough for exp, EXPM1_Q for expm1 itself, relative to a small r. */
#if defined __AVX512F__
#define ROUND_MAGIC ((real)0.09375 * (real)((int64_t)1 << REAL_EXPONENT_SHIFT))
#if FL_IS_F32
#define EXP_Q(r) (0.1666705806f * r + 0.5000162025f)
#define EXPM1_Q(r) ((0.04166644294f * r + 0.166669909f) * r + 0.5000000003f)
#else
#define EXP_Q(r) \
    ((((0.0013889129156193673508 * r + 0.0083334720619830497255) * r + 0.041666666659647944901) * r + 0.1666666666441336366) * r \
     + 0.50000000000000056599)
#define EXPM1_Q(r) \
    (((((1.9841292008326835396e-4 * r + 0.0013889092636648277441) * r + 0.0083333333341666320037) * r \
       + 0.041666666661886341449) * r + 0.16666666666666649178) * r + 0.50000000000000028003)
#endif
static const real FL_FN(exp2_upper)[16] __attribute__((aligned(64))) = {
#if FL_IS_F32
    0x1.0p+0f, 0x1.0b5586p+0f, 0x1.172b84p+0f, 0x1.2387a6p+0f, 0x1.306fep+0f, 0x1.3dea64p+0f, 0x1.4bfdaep+0f, 0x1.5ab07ep+0f,
    0x1.6a09e6p+0f, 0x1.7a1148p+0f, 0x1.8ace54p+0f, 0x1.9c4918p+0f, 0x1.ae89fap+0f, 0x1.c199bep+0f, 0x1.d5818ep+0f,
    0x1.ea4afap+0f,
#else
    0x1.0p+0, 0x1.0b5586cf9890fp+0, 0x1.172b83c7d517bp+0, 0x1.2387a6e756238p+0, 0x1.306fe0a31b715p+0, 0x1.3dea64c123422p+0,
    0x1.4bfdad5362a27p+0, 0x1.5ab07dd485429p+0, 0x1.6a09e667f3bcdp+0, 0x1.7a11473eb0187p+0, 0x1.8ace5422aa0dbp+0,
    0x1.9c49182a3f09p+0, 0x1.ae89f995ad3adp+0, 0x1.c199bdd85529cp+0, 0x1.d5818dcfba487p+0, 0x1.ea4afa2a490dap+0,
#endif
};
static const real FL_FN(exp2_lower)[16] __attribute__((aligned(64))) = {
#if FL_IS_F32
    0x0.0p+0f, 0x1.9f3122p-25f, -0x1.c15742p-27f, 0x1.ceac48p-25f, 0x1.4636e2p-25f, 0x1.824684p-25f, -0x1.593abcp-25f,
    -0x1.5bd5ecp-27f, 0x1.9fcef4p-26f, -0x1.829fdp-25f, 0x1.15506ep-27f, 0x1.51f848p-27f, -0x1.a94b14p-26f, -0x1.3d56b2p-27f,
    -0x1.822dbcp-27f, 0x1.52486cp-27f,
#else
    0x0.0p+0, 0x1.8a62e4adc610bp-54, -0x1.19041b9d78a76p-55, 0x1.9b07eb6c70573p-54, 0x1.6f46ad23182e4p-55,
    0x1.ada0911f09ebcp-55, 0x1.d4397afec42e2p-56, 0x1.6324c054647adp-54, -0x1.bdd3413b26456p-54, -0x1.41577ee04992fp-55,
    0x1.6e9f156864b27p-54, 0x1.c7c46b071f2bep-56, 0x1.7a1cd345dcc81p-54, 0x1.11065895048ddp-55, 0x1.2ed02d75b3707p-55,
    -0x1.e9c23179c2893p-54,
#endif
};
#else
#define ROUND_MAGIC ((real)1.5 * (real)((int64_t)1 << REAL_EXPONENT_SHIFT))
#if FL_IS_F32
#define EXP_Q(r) ((((1.388251608e-3f * r + 8.366547107e-3f) * r + 4.166720072e-2f) * r + 0.1666654342f) * r + 0.4999999815f)
#else
#define EXP_Q(r) \
    (((((((((2.5053776504761009483e-8 * r + 2.7626092770906222396e-7) * r + 2.7557407683593137354e-6) * r \
           + 2.4801505142838924627e-5) * r + 1.9841269718713417836e-4) * r + 1.3888888931667006241e-3) * r \
        + 8.3333333333897322672e-3) * r + 4.1666666666576468146e-2) * r + 0.16666666666666588969) * r \
     + 0.50000000000000051999)
#endif
#define EXPM1_Q(r) EXP_Q(r)
#endif

/* exp(x) = 2^n (upper + lower) for finite x within [EXP_LOWEST, EXP_HIGHEST]; 2^n upper is exact and is 1 for x near 0. The
 * integer part of *n is the exponent, as vldexp takes it. */
FL_INLINE vec FL_FN(exp_parts)(vec x, vec *n, vec *lower, const int small_too)
{
    vec t = x * LOG2_E + ROUND_MAGIC;
    *n = t - ROUND_MAGIC;
    vec r = x - *n * LN2_UPPER;
    r -= *n * LN2_LOWER;
    vec q = small_too ? EXPM1_Q(r) : EXP_Q(r);
    vec p = r * r * q + r;
#if defined __AVX512F__ && FL_IS_F32
    vec upper = _mm512_permutexvar_ps((__m512i)t, _mm512_load_ps(FL_FN(exp2_upper)));
    *lower = upper * p + (vec)_mm512_permutexvar_ps((__m512i)t, _mm512_load_ps(FL_FN(exp2_lower)));
    return upper;
#elif defined __AVX512F__
    const real *u = FL_FN(exp2_upper), *l = FL_FN(exp2_lower);
    vec upper = _mm512_permutex2var_pd(_mm512_load_pd(u), (__m512i)t, _mm512_load_pd(u + 8));
    *lower = upper * p + (vec)_mm512_permutex2var_pd(_mm512_load_pd(l), (__m512i)t, _mm512_load_pd(l + 8));
    return upper;
#else
    *lower = p;
    return vset(1);
#endif
}

/* exp(x) for x <= 0 or NaN: the softmax family's, one operation less. */
FL_INLINE vec vexp_nonpositive(vec x)
{
    vec n, lower, upper = FL_FN(exp_parts)(vmax(vset(EXP_LOWEST), x), &n, &lower, 0);
    return vldexp(upper + lower, n);
}

FL_INLINE vec vexp(vec x)
{
    return vexp_nonpositive(vmin(vset(EXP_HIGHEST), x));
}

/* x = 2^k (1 + f), 1 + f in [sqrt(1/2), sqrt(2)), s = f / (2 + f); log(1 + f) = f - (f^2/2 - s (f^2/2 + z p(z))), z = s^2
 * (the arrangement of fdlibm's e_log.c, which loses least). log of 0 is -inf, of a negative number NaN. */
FL_INLINE vec vlog(vec x)
{
    const real tiny_scale = (real)((int64_t)1 << (REAL_EXPONENT_SHIFT + 1));
    ivec tiny = x < vset(REAL_MIN);
    vec y = (vec)(((ivec)(x * tiny_scale) & tiny) | ((ivec)x & ~tiny));
    ivec i = (ivec)y - (ivec)vset((real)0.70710678118654752440);
    ivec k = (i >> REAL_EXPONENT_SHIFT) - (tiny & (REAL_EXPONENT_SHIFT + 1));
    vec f = (vec)((ivec)y - (i & (bits)((uint64_t)-1 << REAL_EXPONENT_SHIFT))) - 1;
    vec kf = __builtin_convertvector(k, vec);
    vec s = f / (f + 2), z = s * s, half = (real)0.5 * f * f;
    vec r = f - (half - (s * (half + z * LOG_P(z)) + kf * LN2_LOWER)) + kf * LN2_UPPER;
    r = vselect(vequal(x, vset(0)), vset(-REAL_INF), r);
    r = vselect(vequal(x, vset(REAL_INF)), x, r);
    return (vec)((ivec)r | ~(x >= 0)); /* all bits set: NaN */
}

/* log(1 + u) for u >= 0: the log of the rounded sum, and what the rounding lost to first order. */
FL_INLINE vec vlog1p(vec u)
{
    vec w = u + 1;
    vec r = vlog(w) + (u - (w - 1)) / w;
    return vselect(vequal(u, vset(REAL_INF)), u, r);
}

/* tanh |x| = e / (2 - e), e = -expm1(-2 |x|) = (1 - 2^n upper) - 2^n lower: no cancellation, one path for every x. The derivative
 * is 4 exp(-2 |x|) / (1 + exp(-2 |x|))^2, accurate where tanh is nearly 1. */
FL_INLINE vec vtanh(vec x, vec *derivative)
{
    vec minus = -vabs(x), n, lower;
    vec upper = FL_FN(exp_parts)(vmax(vset(EXP_LOWEST), minus + minus), &n, &lower, 1);
    vec e = (1 - vldexp(upper, n)) - vldexp(lower, n), below = 2 - e;
    *derivative = 4 * vldexp(upper + lower, n) / (below * below);
    return vcopysign(e / below, x);
}

/* 1 / (1 + exp(-x)) = e / (1 + e) for x < 0, 1 / (1 + e) else, e = exp(-|x|); its derivative is e / (1 + e)^2. */
FL_INLINE vec vsigmoid(vec x, vec *derivative)
{
    vec e = vexp_nonpositive(-vabs(x)), below = e + 1;
    *derivative = e / (below * below);
    return vselect(vnegative(x), e, vset(1)) / below;
}
