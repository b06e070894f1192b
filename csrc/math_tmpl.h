/* math_tmpl.h: exp, log, tanh, sigmoid of one register. exp and log at most 1 ULP, tanh and sigmoid at most 2 (tested over bit
 * patterns on each ISA). Coefficients: minimax.py. NaN gives NaN; nothing traps, subnormal results are kept.
 *
 * Reduction: x = n ln 2 + r with |r| <= ln 2 / 2, ln 2 in two parts of which n times the first is exact (Cody and Waite 1980);
 * expm1(r) = r + r^2 q(r). Adding 1.5 * 2^(mantissa bits) rounds to the nearest integer. */

#undef EXP_LOWEST
#undef EXP_HIGHEST
#undef LN2_UPPER
#undef LN2_LOWER
#undef ROUND_MAGIC
#undef EXPM1_Q
#undef LOG_P
#undef LOG2_E
#undef FL_EXPM1_PARTS

#define ROUND_MAGIC ((real)1.5 * (real)((int64_t)1 << REAL_EXPONENT_SHIFT))
#define LOG2_E ((real)1.4426950408889634074)
#if FL_IS_F32
#define EXP_LOWEST (-105.0f)  /* exp is 0 from here down, */
#define EXP_HIGHEST 89.0f     /* and infinite from here up */
#define LN2_UPPER 0x1.62ep-1f /* 12 bits */
#define LN2_LOWER 0x1.0bfbe8p-15f
#define EXPM1_Q(r) ((((1.388251608e-3f * r + 8.366547107e-3f) * r + 4.166720072e-2f) * r + 0.1666654342f) * r + 0.4999999815f)
#define LOG_P(z) ((0.2987172758f * z + 0.3997754158f) * z + 0.6666677638f)
#else
#define EXP_LOWEST (-746.0)
#define EXP_HIGHEST 710.0
#define LN2_UPPER 0x1.62e42fefap-1 /* 36 bits */
#define LN2_LOWER 0x1.cf79abc9e3b3ap-40
#define EXPM1_Q(r) \
    (((((((((2.5053776504761009483e-8 * r + 2.7626092770906222396e-7) * r + 2.7557407683593137354e-6) * r \
           + 2.4801505142838924627e-5) * r + 1.9841269718713417836e-4) * r + 1.3888888931667006241e-3) * r \
        + 8.3333333333897322672e-3) * r + 4.1666666666576468146e-2) * r + 0.16666666666666588969) * r \
     + 0.50000000000000051999)
#define LOG_P(z) \
    (((((((0.13251159988152552603 * z + 0.1325013654530075343) * z + 0.15387089949982167332) * z + 0.18181775683749139335) * z \
        + 0.22222222646572138207) * z + 0.28571428569087347795) * z + 0.40000000000006242436) * z \
     + 0.6666666666666666098)
#endif

/* The common part: n and r + r^2 q(r) = expm1(r) for x = n ln 2 + r, finite and within [EXP_LOWEST, EXP_HIGHEST]. */
#define FL_EXPM1_PARTS(x, n, p)                          \
    vec n = x * LOG2_E + ROUND_MAGIC;                    \
    n -= ROUND_MAGIC;                                    \
    vec r_ = x - n * LN2_UPPER;                          \
    r_ -= n * LN2_LOWER;                                 \
    vec q_ = EXPM1_Q(r_);                                \
    vec p = r_ * r_ * q_ + r_;

/* exp(x) for x <= 0 or NaN: the softmax family's, one operation less. */
FL_INLINE vec vexp_nonpositive(vec x)
{
    x = vmax(vset(EXP_LOWEST), x);
    FL_EXPM1_PARTS(x, n, p)
    return vldexp(p + 1, n);
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

/* tanh |x| = e / (2 - e), e = -expm1(-2 |x|) = (1 - 2^n) - 2^n p: no cancellation, one path for every x. */
FL_INLINE vec vtanh(vec x)
{
    vec y = vmax(vset(EXP_LOWEST / 4), vabs(x) * -2);
    FL_EXPM1_PARTS(y, n, p)
    vec scale = vldexp(vset(1), n);
    vec e = (1 - scale) - scale * p;
    return vcopysign(e / (2 - e), x);
}

/* 1 / (1 + exp(-x)) = e / (1 + e) for x < 0, 1 / (1 + e) else, e = exp(-|x|). */
FL_INLINE vec vsigmoid(vec x)
{
    vec e = vexp_nonpositive(-vabs(x));
    return vselect(vnegative(x), e, vset(1)) / (e + 1);
}
