/* smooth.h: the smooth activations of one register: gelu, silu, softplus, elu, and their derivatives. Errors and coefficients as in
 * math.h. Where a product with an exponential may be subnormal, its power of two comes last: it loses no more digits than it must.
 */
#ifndef FL_SMOOTH_H
#define FL_SMOOTH_H

#include "simd/math.h"

/* expm1(x) for x <= 0 or NaN.
 *   float32, float64: at most 2 ULP. -0: -0. -inf: -1. */
FL_INLINE vec vexpm1_nonpositive(vec x)
{
    vec y = vmax(vset(TANH_LOWEST), x), t = y * LOG2_E + ROUND_MAGIC, n = t - ROUND_MAGIC;
    vec r = (y - n * LN2_UPPER) - n * LN2_LOWER;
    vec lower, upper = exp2_fraction(t, &lower);
    vec p = r + (r * r * EXPM1_Q(r) + (lower * r + lower)), s = scale_normal(upper, t, n);
    return vcopysign(s * p + (s - 1), x);
}

/* x where x > 0, alpha expm1(x) elsewhere. The derivative at 0 is alpha.
 *   float32, float64: at most 2 ULP. */
FL_INLINE vec velu(vec x, vec *derivative, vec alpha)
{
    vmask above = vbelow(vset(0), x);
    vec below = vmin(vset(0), x);
    *derivative = vselect(above, vset(1), alpha * vexp_nonpositive(below));
    return vselect(above, x, alpha * vexpm1_nonpositive(below));
}

/* log(1 + u) for 0 <= u <= 1 or NaN, as vlog: what the rounded sum lost is divided by it, in a way that is exact where that counts.
 */
FL_INLINE vec vlog1p_unit(vec u)
{
    vec w = u + 1, lost = u - (w - 1);
    vmask high = vbelow(vset((real)1.4142135623730950488), w);
    vec k = vselect(high, vset(1), vset(0)), f = vselect(high, w * (real)0.5, w) - 1;
    vec s = f / (f + 2), z = s * s, half = (real)0.5 * f * f;
    return f - (half - (s * (half + z * LOG_P(z)) + (k * LN2_LOWER + lost * ((real)1.5 - (real)0.5 * w)))) + k * LN2_UPPER;
}

/* log(1 + exp(x)); the derivative is sigmoid(x).
 *   float32, float64: at most 2 ULP. -inf, +inf: 0, +inf. */
FL_INLINE vec vsoftplus(vec x, vec *derivative)
{
    vec e = vexp_nonpositive(vminus_abs(x)), b = vselect(vnegative(x), e, vset(1));
    *derivative = b - b * (e / (e + 1));
    return vmax(vset(0), x) + vlog1p_unit(e);
}

/* x sigmoid(z), and in *derivative that by x, for x no less than where it is 0. bounded = min(x, most), where sigmoid(most) is 1; z
 * and its derivative by x, slope, are of it. What x is more than most is added again, exactly: most is the number below a power of
 * two, so what a rounding of the difference loses is less than half of x's last digit. sigmoid(z) = 1 / (1 + exp(-z)) = SMALL /
 * (SMALL + e): nothing overflows, and the last product alone may be subnormal. */
FL_INLINE vec gated(vec x, vec bounded, vec z, vec slope, vec *derivative)
{
    vec power, m = exp_parts(-z, NULL, &power, 0), e = exp_reduced(m, power), share = 1 / (e + SMALL),
               value = bounded * share * SMALL;
    *derivative = share * SMALL + value * slope * (e * share);
    return value - (bounded - x); /* in this order -0 stays -0 */
}

#define SILU_LEAST ((real)(FL_IS_F32 ? -110 : -752)) /* down from here x sigmoid(x) is 0 */
#define SILU_MOST ((real)(FL_IS_F32 ? 0x1.fffffep+4 : 0x1.fffffffffffffp+5))

/* x sigmoid(x).
 *   float32, float64: at most 3 ULP; the derivative 3 eps times the sum of its two terms' sizes, of which one may be negative.
 * -inf: -0. +inf: +inf. */
FL_INLINE vec vsilu(vec x, vec *derivative)
{
    vec above = vmax(vset(SILU_LEAST), x), bounded = vmin(vset(SILU_MOST), above);
    return gated(above, bounded, bounded, vset(1), derivative);
}

#define GELU_TANH_LEAST ((real)(FL_IS_F32 ? -11 : -22)) /* likewise */
#define GELU_TANH_MOST ((real)(FL_IS_F32 ? 0x1.fffffep+2 : 0x1.fffffffffffffp+3))
#define GELU_TANH_FULL ((real)(FL_IS_F32 ? 30 : 50)) /* sigmoid of it is 1 */

/* x (1 + tanh(u)) / 2 = x sigmoid(2 u), u = sqrt(2 / pi) (x + 0.044715 x^3).
 *   float32, float64: at most 5 (1 + |u|) ULP, for so often a rounding of u counts. -inf: -0. +inf: +inf. */
FL_INLINE vec vgelu_tanh(vec x, vec *derivative)
{
    const real c = (real)1.5957691216057307117, cubic = (real)0.071354816272600248774; /* 2 sqrt(2 / pi), and times 0.044715 */
    vec above = vmax(vset(GELU_TANH_LEAST), x), bounded = vmin(vset(GELU_TANH_MOST), above), square = bounded * bounded;
    vec z = vmin(vset(GELU_TANH_FULL), bounded * (square * cubic + c));
    return gated(above, bounded, z, square * (3 * cubic) + c, derivative);
}

/* Phi(-t) = exp(-t^2 / 2) W(t) for t up to GELU_MOST, where exp is 0; normal_ratio: W(t) SMALL for 0 <= t or NaN. Coefficients,
 * those of the highest powers first. */
#if FL_IS_F32
#define GELU_MOST 14.7f
static const float normal_over[] = {0.004131238445f, 0.04073357012f, 0.1835324228f, 0.4386956216f, 0.500000003f};
static const float normal_under[] = {0.01035536268f, 0.1021102301f, 0.4702555461f, 1.203736991f, 1.675276235f, 1};

/* A ratio of polynomials, all of whose coefficients are positive: nothing cancels. */
FL_INLINE vec normal_ratio(vec t)
{
    vec over = vset(normal_over[0] * SMALL), under = vset(normal_under[0]);
    for (int i = 1; i < 5; i++) over = over * t + normal_over[i] * SMALL;
    for (int i = 1; i < 6; i++) under = under * t + normal_under[i];
    return over / under;
}
#else
#define GELU_MOST 38.7
#define GELU_AT 5
static const double normal_tail[] = {
    2.0225330239931361692e-9,  7.2020880011002703085e-9,  -1.022295193474798765e-8,    -6.5376450222261057194e-8,
    4.3606971519999309304e-8,  4.327542515404070052e-7,   -3.3772150154226329984e-7,   -2.7691003742792421743e-6,
    3.9814723874674847324e-6,  0.00001668116316809552559, -0.000049763001899213955642, -0.000059375715953571288955,
    0.00054489910377098838554, -0.0007978694007393882048, -0.0029933767753961603565,   0.02079506680017292826,
    -0.069118638705974635583,  0.16502036617036497497,    -0.31353315667131497159,     0.49530561596997693034,
    -0.66538250289005660743,   0.7691930497500629564,
};

/* W = p(s) / (t + GELU_AT), s = (t - GELU_AT) / (t + GELU_AT): even and odd powers apart, for one chain would take twice as long.
 */
FL_INLINE vec normal_ratio(vec t)
{
    const int terms = (int)(sizeof normal_tail / sizeof *normal_tail); /* an even number */
    vec share = 1 / (t + GELU_AT), s = (t - GELU_AT) * share, square = s * s;
    vec odd = vset(normal_tail[0] * SMALL), even = vset(normal_tail[1] * SMALL);
    for (int i = 2; i < terms; i += 2) {
        odd = odd * square + normal_tail[i] * SMALL;
        even = even * square + normal_tail[i + 1] * SMALL;
    }
    return (odd * s + even) * share;
}
#endif

/* x Phi(x) = x (1 + erf(x / sqrt(2))) / 2, Phi the normal distribution, as max(x, 0) - t Phi(-t), t = |x|; the derivative is
 * Phi(x) + x phi(x).
 *   float32, float64: at most 6 ULP; the derivative 5 eps times the sum of its two terms' sizes. -inf: -0. +inf: +inf.
 * What the rounding of t^2 loses counts as often as its exponent says. The last product alone may be subnormal. */
FL_INLINE vec vgelu(vec x, vec *derivative)
{
    vec t = vmin(vset(GELU_MOST), vabs(x)), square = t * t, low = (real)-0.5 * vsquare_lost(t, square), w = normal_ratio(t);
    vec power, m = exp_parts((real)-0.5 * square, &low, &power, 0), e = exp_enlarged(m, power), tail = e * w, by_t = t * e;
    *derivative = vselect(vnegative(x), tail, 1 - tail) + vcopysign(by_t, x) * (SMALL * (real)0.39894228040143267794);
    return vmax(vset((real)-0.0), x) - by_t * w;
}

/* erf(x) / x - 1 as a polynomial of x^2 for |x| <= ERF_NEAR. */
#define ERF_NEAR ((real)0.75)
#if FL_IS_F32
static const float erf_near[] = {-0.0006749514002f, 0.005114345652f, -0.02683462461f, 0.1128337658f, -0.3761261876f, 0.128379165f};
#else
static const double erf_near[] = {
    1.1463755232676515324e-8,  -1.5937599185901919541e-7,  1.6430388103414834412e-6, -0.000014924176628949496875,
    0.00012055288776866504222, -0.00085483261690821292793, 0.005223977615122154139,  -0.026866170644402468084,
    0.1128379167095248071,     -0.37612638903183714935,    0.128379167095512573,
};
#endif

/* erf(x) = 1 - 2 Phi(-sqrt(2) x) for x > ERF_NEAR; the derivative is 2 exp(-x^2) / sqrt(pi).
 *   float32, float64: at most 2 ULP; the derivative 3 ULP. -0: -0. -inf, +inf: -1, 1. */
FL_INLINE vec verf(vec x, vec *derivative)
{
    vec a = vmin(vset(GELU_MOST * (real)0.70710678118654752440), vabs(x)), square = a * a, low = -vsquare_lost(a, square);
    vec power, m = exp_parts(-square, &low, &power, 1), e = exp_enlarged(m, power), near = vset(erf_near[0]);
    for (int i = 1; i < (int)(sizeof erf_near / sizeof *erf_near); i++) near = near * square + erf_near[i];
    *derivative = e * (SMALL * (real)1.1283791670955125739);
    vec far = 1 - 2 * e * normal_ratio(a * (real)1.4142135623730950488);
    return vselect(vbelow(a, vset(ERF_NEAR)), x * near + x, vcopysign(far, x));
}

#endif
