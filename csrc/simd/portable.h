/* portable.h: functions in portable C for any size of vector, for the instruction sets that have no better way: masks are vectors
 * whose lanes are 0 or -1. */
#include "simd/vector.h"

/* The lanes lo <= l < hi, as a value to keep, 0 <= lo <= hi <= VL. */
typedef ivec vrange;

FL_INLINE vrange vrange_of(fl_int lo, fl_int hi)
{
    bits lanes[VL];
    vrange range;
    for (fl_int i = 0; i < VL; i++) lanes[i] = i >= lo && i < hi ? -1 : 0;
    memcpy(&range, lanes, sizeof range);
    return range;
}

/* The lanes where a comparison holds; &, | and ~ combine them. */
typedef ivec vmask;
FL_INLINE vmask vequal(vec a, vec b) { return a == b; }
FL_INLINE vmask vbelow(vec a, vec b) { return a < b; }
FL_INLINE vmask vbeyond(vec a, vec b) { return ~(a <= b); }             /* a > b, or one of them is NaN */
FL_INLINE vmask vnegative(vec a) { return (ivec)a >> (REAL_BITS - 1); } /* by the sign bit */

/* a where m holds, else b. */
FL_INLINE vec vselect(vmask m, vec a, vec b) { return (vec)(((ivec)a & m) | ((ivec)b & ~m)); }

/* x * 2^n for integral n in [-2 * REAL_BIAS, 2 * REAL_BIAS - 2], rounded once, subnormal results included. */
FL_INLINE vec vldexp(vec x, vec n)
{
    /* 2^n in two factors, so that neither over- nor underflows; adding 1.5 * 2^(mantissa bits) leaves the integer in the low bits
     */
    const real magic = (real)1.5 * (real)((int64_t)1 << REAL_EXPONENT_SHIFT);
    ivec i = (ivec)(n + magic) - (ivec)vset(magic);
    ivec half = i >> 1;
    vec lower = (vec)((half + REAL_BIAS) << REAL_EXPONENT_SHIFT);
    vec upper = (vec)((i - half + REAL_BIAS) << REAL_EXPONENT_SHIFT);
    return x * lower * upper;
}

/* The sum of the lanes: halves are added to each other. */
FL_INLINE real vsum(vec v)
{
    real lanes[VL];
    vstore(lanes, v);
    for (fl_int width = VL / 2; width; width /= 2)
        for (fl_int i = 0; i < width; i++) lanes[i] += lanes[i + width];
    return lanes[0];
}

/* The largest lane; any lane where there is a NaN. */
FL_INLINE real vtop(vec v)
{
    real lanes[VL], top;
    vstore(lanes, v);
    top = lanes[0];
    for (fl_int i = 1; i < VL; i++) top = lanes[i] > top ? lanes[i] : top;
    return top;
}

#if FL_IS_F32
/* Element 4 q + b of the 2 VL reals of lo and hi to out[b * ld + q], q < VL / 4, b < span, span 4 or 6. */
FL_INLINE void vspread4(real *out, fl_int ld, vec lo, vec hi, const int span)
{
    real both[2 * VL];
    vstore(both, lo);
    vstore(both + VL, hi);
    for (int b = 0; b < span; b++)
        for (fl_int q = 0; q < VL / 4; q++) out[b * ld + q] = both[4 * q + b];
}
#endif

/* Lane by lane the entry of a table of 16, aligned to 64 bytes, whose number the last four bits of t are. */
FL_INLINE vec vlookup(const real *table, ivec t)
{
    real lanes[VL];
    bits numbers[VL];
    memcpy(numbers, &t, sizeof numbers);
    for (fl_int i = 0; i < VL; i++) lanes[i] = table[numbers[i] & 15];
    return vload(lanes);
}
