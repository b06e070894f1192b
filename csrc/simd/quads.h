/* quads.h: what moves the 128-bit parts of a register where it has one alone, 16 bytes, in portable C. */

/* 16 bytes to each 128-bit part of a register: part j from p + j * step. */
FL_INLINE vec vgather128(const real *p, fl_int step)
{
    (void)step;
    return vload(p);
}

/* And back: part j to p + j * step. */
FL_INLINE void vscatter128(real *p, fl_int step, vec v)
{
    (void)step;
    vstore(p, v);
}

/* Transposes the QUAD x QUAD reals of each 128-bit part across a[0..QUAD-1]. */
FL_INLINE void vtranspose128(vec *a)
{
#if FL_IS_F32
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

/* Transposes the VL x VL reals of a[0..VL-1]. */
FL_INLINE void vtranspose(vec *a) { vtranspose128(a); }

#if FL_IS_F32
/* a[0..3], 4 VL consecutive reals, to those with index 0, 1, 2, 3 mod 4. */
FL_INLINE void vdeinterleave4(vec *a) { vtranspose128(a); }

/* And back. */
FL_INLINE void vinterleave4(vec *a) { vtranspose128(a); }
#endif
