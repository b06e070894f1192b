/* math.h: exp, log, tanh, sigmoid of one register. Coefficients: minimax.py; errors: tests/kernels/test_math.py, over bit patterns
 * on each instruction set. For every function NaN gives NaN, nothing traps, and subnormal results are kept.
 *
 * Reduction: x = n ln 2 + r, ln 2 in two parts of which n times the first is exact (Cody and Waite 1980); expm1(r) = r + r^2 q(r).
 * n is rounded by adding a number so large that its last mantissa bit is n's. */
#ifndef FL_MATH_H
#define FL_MATH_H

#include "simd/simd.h"

#define LOG2_E ((real)1.4426950408889634074)
#define LN2 0.69314718055994530942f
#if FL_IS_F32
#define EXP_LOWEST (-105.0f)  /* exp is 0 from here down, */
#define EXP_HIGHEST 89.0f     /* and infinite from here up */
#define TANH_LOWEST (-40.0f)  /* expm1 is -1 long before */
#define LN2_UPPER 0x1.62ep-1f /* 12 bits */
#define LN2_LOWER 0x1.0bfbe8p-15f
#define LOG_P(z) ((0.2987172758f * z + 0.3997754158f) * z + 0.6666677638f)
#else
#define EXP_LOWEST (-746.0)
#define EXP_HIGHEST 710.0
#define TANH_LOWEST (-90.0)
#define LN2_UPPER 0x1.62e42fefap-1 /* 36 bits */
#define LN2_LOWER 0x1.cf79abc9e3b3ap-40
#define LOG_P(z)                                                                                                               \
    (((((((0.13251159988152552603 * z + 0.1325013654530075343) * z + 0.15387089949982167332) * z + 0.18181775683749139335) * z \
        + 0.22222222646572138207)                                                                                              \
           * z                                                                                                                 \
       + 0.28571428569087347795)                                                                                               \
          * z                                                                                                                  \
      + 0.40000000000006242436)                                                                                                \
         * z                                                                                                                   \
     + 0.6666666666666666098)
#endif

/* With a table n has four fractional bits: 2^(j/16) is looked up, and r and its polynomial shrink. The table holds the rounded
 * power and, relative to it, what rounding left. EXPM1_Q is accurate relative to a small r. */
#if EXP_TABLE == 16
#if FL_IS_F32
#define EXP_Q(r) (0.1666705806f * r + 0.5000162025f)
#define EXPM1_Q(r) ((0.04166644294f * r + 0.166669909f) * r + 0.5000000003f)
#else
#define EXP_Q(r)                                                                                                                 \
    ((((0.0013889129156193673508 * r + 0.0083334720619830497255) * r + 0.041666666659647944901) * r + 0.1666666666441336366) * r \
     + 0.50000000000000056599)
#define EXPM1_Q(r)                                                                                                               \
    (((((1.9841292008326835396e-4 * r + 0.0013889092636648277441) * r + 0.0083333333341666320037) * r + 0.041666666661886341449) \
          * r                                                                                                                    \
      + 0.16666666666666649178)                                                                                                  \
         * r                                                                                                                     \
     + 0.50000000000000028003)
#endif
static const real exp2_upper[EXP_TABLE] __attribute__((aligned(64))) = {
#if FL_IS_F32
    0x1.0p+0f,      0x1.0b5588p+0f, 0x1.172b8p+0f,  0x1.2387a8p+0f, 0x1.306fep+0f,  0x1.3dea68p+0f, 0x1.4bfdbp+0f, 0x1.5ab08p+0f,
    0x1.6a09e8p+0f, 0x1.7a1148p+0f, 0x1.8ace58p+0f, 0x1.9c4918p+0f, 0x1.ae89f8p+0f, 0x1.c199cp+0f,  0x1.d5819p+0f, 0x1.ea4af8p+0f,
#else
    0x1.0p+0,
    0x1.0b5586cf9891p+0,
    0x1.172b83c7d517cp+0,
    0x1.2387a6e756238p+0,
    0x1.306fe0a31b714p+0,
    0x1.3dea64c123424p+0,
    0x1.4bfdad5362a28p+0,
    0x1.5ab07dd485428p+0,
    0x1.6a09e667f3bccp+0,
    0x1.7a11473eb0188p+0,
    0x1.8ace5422aa0dcp+0,
    0x1.9c49182a3f09p+0,
    0x1.ae89f995ad3acp+0,
    0x1.c199bdd85529cp+0,
    0x1.d5818dcfba488p+0,
    0x1.ea4afa2a490d8p+0,
#endif
};
static const real exp2_lower[EXP_TABLE] __attribute__((aligned(64))) = {
#if FL_IS_F32
    0x0.0p+0f,        -0x1.237f9p-24f,  0x1.bbc0d2p-23f,  -0x1.ecea76p-25f, 0x1.125002p-25f,  -0x1.4e861cp-23f,
    -0x1.07f47cp-23f, -0x1.9a2c5ap-24f, -0x1.20888ep-24f, -0x1.05cb44p-25f, -0x1.40c09cp-23f, 0x1.a3b5e4p-28f,
    0x1.e26fp-25f,    -0x1.3a1dc2p-24f, -0x1.317d9ap-24f, 0x1.2169bp-24f,
#else
    0x0.0p+0,
    -0x1.2d75c73e2d323p-53,
    -0x1.0af6f2bd284acp-52,
    0x1.68efde3a8a894p-54,
    0x1.fbbfcecc6fe9ep-53,
    -0x1.710a86dbea701p-52,
    -0x1.5dacb6abb4ae5p-53,
    0x1.fd30564f92b8dp-53,
    0x1.98d4d0da05571p-54,
    -0x1.91163747208ccp-53,
    -0x1.aa41dc973def4p-54,
    0x1.1affc2b91ce27p-56,
    0x1.a0d9beee483f8p-53,
    0x1.36eae30af0cb3p-56,
    -0x1.dbc8f0f6b610bp-54,
    0x1.96cec35fe2da4p-53,
#endif
};
#else
#if FL_IS_F32
#define EXP_Q(r) ((((1.388251608e-3f * r + 8.366547107e-3f) * r + 4.166720072e-2f) * r + 0.1666654342f) * r + 0.4999999815f)
#else
#define EXP_Q(r)                                                                                          \
    (((((((((2.5053776504761009483e-8 * r + 2.7626092770906222396e-7) * r + 2.7557407683593137354e-6) * r \
           + 2.4801505142838924627e-5)                                                                    \
              * r                                                                                         \
          + 1.9841269718713417836e-4)                                                                     \
             * r                                                                                          \
         + 1.3888888931667006241e-3)                                                                      \
            * r                                                                                           \
        + 8.3333333333897322672e-3)                                                                       \
           * r                                                                                            \
       + 4.1666666666576468146e-2)                                                                        \
          * r                                                                                             \
      + 0.16666666666666588969)                                                                           \
         * r                                                                                              \
     + 0.50000000000000051999)
#endif
#define EXPM1_Q(r) EXP_Q(r)
#endif
#define ROUND_MAGIC ((real)1.5 * (real)((int64_t)1 << REAL_EXPONENT_SHIFT) / EXP_TABLE)

/* 2^(j/EXP_TABLE) for the fraction in the last bits of t = n + ROUND_MAGIC, and what the float leaves of it, relative. */
FL_INLINE vec exp2_fraction(vec t, vec *lower)
{
#if EXP_TABLE == 16
    *lower = vlookup(exp2_lower, (ivec)t);
    return vlookup(exp2_upper, (ivec)t);
#else
    (void)t;
    *lower = vset(0);
    return vset(1);
#endif
}

/* exp(x + *low) = m 2^n for |x| < 2 |EXP_LOWEST| or NaN, *power = n + ROUND_MAGIC: m. low, what a rounding of x lost, or NULL.
 * kept, a constant: what the rounding of r + 1 loses is added again, for another half ULP. */
FL_INLINE vec exp_parts(vec x, const vec *low, vec *power, const int kept)
{
    vec t = x * LOG2_E + ROUND_MAGIC, n = t - ROUND_MAGIC;
    *power = t;
    vec r = (x - n * LN2_UPPER) - n * LN2_LOWER;
    if (low) r += *low;
#if EXP_TABLE == 1
    if (!kept) return r * (r * EXP_Q(r) + 1) + 1;
    vec sum = r + 1, lost = r - (sum - 1); /* p = r + r^2 q is not small: its rounding would show */
    return sum + (r * r * EXP_Q(r) + lost);
#else
    (void)kept;
    vec lower, upper = exp2_fraction(t, &lower);
    vec p = r + (r * r * EXP_Q(r) + lower);
    return upper * p + upper;
#endif
}

/* m 2^n and m 2^n / SMALL for power = n + ROUND_MAGIC, where the second is normal: SMALL times it is rounded once, for subnormal
 * results too, and takes fewer operations than vldexp where that is no instruction. */
#define SMALL ((real)(FL_IS_F32 ? 0x1p-64 : 0x1p-512))
FL_INLINE vec exp_enlarged(vec m, vec power)
{
#if EXP_TABLE == 16
    return vldexp(m, power - ROUND_MAGIC + (FL_IS_F32 ? 64 : 512));
#else
    return m * (vec)(((ivec)power << REAL_EXPONENT_SHIFT) + (ivec)vset(1 / SMALL));
#endif
}

/* m 2^n SMALL, likewise: for what would overflow. */
FL_INLINE vec exp_reduced(vec m, vec power)
{
#if EXP_TABLE == 16
    return vldexp(m, power - ROUND_MAGIC - (FL_IS_F32 ? 64 : 512));
#else
    return m * (vec)(((ivec)power << REAL_EXPONENT_SHIFT) + (ivec)vset(SMALL));
#endif
}

FL_INLINE vec exp_whole(vec m, vec power)
{
#if EXP_TABLE == 16
    return vldexp(m, power - ROUND_MAGIC);
#else
    return exp_enlarged(m, power) * SMALL;
#endif
}

/* exp(x) for x <= 0 or NaN: the softmax family's.
 *   float32, float64: at most 1 ULP. -inf: 0. Below EXP_LOWEST: 0. */
FL_INLINE vec vexp_nonpositive(vec x)
{
    vec power, m = exp_parts(vmax(vset(EXP_LOWEST), x), NULL, &power, 1);
    return exp_whole(m, power);
}

/* exp(x).
 *   float32, float64: at most 1 ULP for every x. -inf: 0. +inf and beyond EXP_HIGHEST: +inf. */
FL_INLINE vec vexp(vec x)
{
    vec power, m = exp_parts(vmax(vset(EXP_LOWEST), vmin(vset(EXP_HIGHEST), x)), NULL, &power, 1);
    return vldexp(m, power - ROUND_MAGIC);
}

/* log(x).
 *   float32, float64: at most 1 ULP for every x, subnormal ones included. 0 and -0: -inf. Negative: NaN. +inf: +inf.
 * x = 2^k (1 + f), 1 + f in [sqrt(1/2), sqrt(2)), s = f / (2 + f); log(1 + f) = f - (f^2/2 - s (f^2/2 + z p(z))), z = s^2
 * (the arrangement of fdlibm's e_log.c, which loses least). */
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

/* log(1 + u) for u >= 0.
 *   float32, float64: a few ULP (log-sum-exp's error bounds cover it). 0: 0. +inf: +inf.
 * The log of the rounded sum, and to first order what the rounding lost. */
FL_INLINE vec vlog1p(vec u)
{
    vec w = u + 1;
    vec r = vlog(w) + (u - (w - 1)) / w;
    return vselect(vequal(u, vset(REAL_INF)), u, r);
}

/* upper * 2^n for n >= -REAL_BIAS / 2, t = n + ROUND_MAGIC: no subnormal results. */
FL_INLINE vec scale_normal(vec upper, vec t, vec n)
{
#if EXP_TABLE == 16
    (void)t;
    return vldexp(upper, n);
#else
    (void)n;
    return (vec)((ivec)upper + (((ivec)t - (ivec)vset(ROUND_MAGIC)) << REAL_EXPONENT_SHIFT));
#endif
}

/* tanh(x) and, in *derivative, 1 - tanh(x)^2.
 *   float32, float64: at most 2 ULP for every x; the derivative is accurate where tanh is nearly 1. -0: -0. -inf, +inf: -1, 1.
 * tanh |x| = (1 - d) / (1 + d) with d = exp(-2 |x|) = s (1 + p), s = 2^n. Where tanh < 1/2 the numerator is e = (1 - s) - s p, free
 * of cancellation, and the quotient q = e / (1 + d) enters as e/2 + e/2 q; elsewhere it is 1 - 2 q, q = d / (1 + d): both ways a
 * rounding of q counts little. (All in halves here, which saves a product.) In float32 one part of ln 2 is enough: its
 * error counts n times, but s shrinks faster. The derivative is 4 d / (1 + d)^2. */
FL_INLINE vec vtanh(vec x, vec *derivative)
{
    vec minus = vminus_abs(x), twice = minus + minus, y = vmax(vset(TANH_LOWEST), twice);
    vec t = y * LOG2_E + ROUND_MAGIC, n = t - ROUND_MAGIC;
#if FL_IS_F32
    vec r = y - n * LN2;
#else
    vec r = (y - n * LN2_UPPER) - n * LN2_LOWER;
#endif
#if EXP_TABLE == 1
    vec upper = vset(1), p = r + r * r * EXPM1_Q(r);
#else
    vec lower, upper = exp2_fraction(t, &lower);
    vec p = r + (r * r * EXPM1_Q(r) + (lower * r + lower));
#endif
    vec s = scale_normal(upper, t - 1, n - 1), d = s * p + s, above = (real)0.5 - s, e = above - s * p;
    vmask far = vbelow(y, vset((real)-1.0986122886681098)); /* ln 1/3 */
    vec q = vselect(far, d, e) / (d + (real)0.5), full = vexp_nonpositive(twice);
    vec slope = vselect(far, vset(-2), e), start = vselect(far, vset(1), e);
#if EXP_TABLE == 1
    vec lost = vselect(far, vset(0), (above - e) - s * p); /* by e: without the table there is less room below 2 ULP */
    q = start + (slope * q + lost);
#else
    q = slope * q + start;
#endif
    *derivative = 4 * full / ((full + 1) * (full + 1));
    return vcopysign(q, x);
}

/* 1 / (1 + exp(-x)) and, in *derivative, its derivative.
 *   float32, float64: at most 2 ULP for every x. -inf, +inf: 0, 1.
 * It is b (1 - q), q = e / (1 + e), e = exp(-|x|), b = e for x < 0 and 1 else: a rounding of q counts little. The
 * derivative is e / (1 + e)^2. */
FL_INLINE vec vsigmoid(vec x, vec *derivative)
{
    vec e = vexp_nonpositive(vminus_abs(x)), q = e / (e + 1), b = vselect(vnegative(x), e, vset(1));
    *derivative = q / (e + 1);
    return b - b * q;
}

#endif
