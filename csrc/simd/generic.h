/* generic.h: what all instruction sets share. */

/* The same, in a register from here on: else gcc may load what it multiplies once for each product. */
FL_INLINE vec vkeep(vec x)
{
#if defined __GNUC__ && (defined __x86_64__ || defined __i386__) && VECTOR_BYTES <= 64
    __asm__("" : "+v"(x));
#endif
    return x;
}

FL_INLINE vec vabs(vec x) { return (vec)((ivec)x & ~(ivec)vset((real)-0.0)); }
FL_INLINE vec vminus_abs(vec x) { return (vec)((ivec)x | (ivec)vset((real)-0.0)); } /* -|x| */

/* |x| with the sign of s; x must not be negative. */
FL_INLINE vec vcopysign(vec x, vec s) { return (vec)((ivec)x | ((ivec)s & (ivec)vset((real)-0.0))); }

/* a and b one after the other: the reals at even and at odd positions; and back. */
#define FL_EVERY2(i) (i), (i) + 2, (i) + 4, (i) + 6
#define FL_PAIRS(i) (i), VL + (i), (i) + 1, VL + (i) + 1
#if VECTOR_BYTES * 8 / REAL_BITS == 16
#define FL_UNZIP(i) FL_EVERY2(i), FL_EVERY2((i) + 8), FL_EVERY2((i) + 16), FL_EVERY2((i) + 24)
#define FL_ZIP(i) FL_PAIRS(i), FL_PAIRS((i) + 2), FL_PAIRS((i) + 4), FL_PAIRS((i) + 6)
#elif VECTOR_BYTES * 8 / REAL_BITS == 8
#define FL_UNZIP(i) FL_EVERY2(i), FL_EVERY2((i) + 8)
#define FL_ZIP(i) FL_PAIRS(i), FL_PAIRS((i) + 2)
#elif VECTOR_BYTES * 8 / REAL_BITS == 4
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

#if !FL_IS_F32 /* float32 has its own, with fewer instructions */
/* a[0..3], 4 VL consecutive reals, to those with index 0, 1, 2, 3 mod 4. */
FL_INLINE void vdeinterleave4(vec *a)
{
    vec even[2], odd[2];
    vunzip(a[0], a[1], even, odd);
    vunzip(a[2], a[3], even + 1, odd + 1);
    vunzip(even[0], even[1], a, a + 2);
    vunzip(odd[0], odd[1], a + 1, a + 3);
}

/* And back. */
FL_INLINE void vinterleave4(vec *a)
{
    vec even[2], odd[2];
    vzip(a[0], a[2], even, even + 1);
    vzip(a[1], a[3], odd, odd + 1);
    vzip(even[0], odd[0], a, a + 1);
    vzip(even[1], odd[1], a + 2, a + 3);
}
#endif

#if VECTOR_BYTES * 8 / REAL_BITS == 16
#define FL_AFTER 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16
#elif VECTOR_BYTES * 8 / REAL_BITS == 8
#define FL_AFTER 1, 2, 3, 4, 5, 6, 7, 8
#elif VECTOR_BYTES * 8 / REAL_BITS == 4
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
