/* vector.h: the types, and the few functions that <isa>.h builds on. */
typedef real vec __attribute__((vector_size(VECTOR_BYTES), may_alias));
typedef bits ivec __attribute__((vector_size(VECTOR_BYTES), may_alias));

#define VL ((fl_int)(VECTOR_BYTES / sizeof(real))) /* reals in a register */
#define QUAD ((fl_int)(16 / sizeof(real)))         /* reals in 16 bytes */

FL_INLINE vec vset(real x) { return x - (vec){0}; }

#ifdef FL_ARM64
/* gcc keeps registers that memcpy copies on aarch64 as integers: sums of a tile then live in memory. */
typedef real vec_anywhere __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(real)), may_alias));

FL_INLINE vec vload(const real *p) { return *(const vec_anywhere *)p; }
FL_INLINE void vstore(real *p, vec v) { *(vec_anywhere *)p = v; }
#else
FL_INLINE vec vload(const real *p)
{
    vec v;
    memcpy(&v, p, sizeof v);
    return v;
}

FL_INLINE void vstore(real *p, vec v) { memcpy(p, &v, sizeof v); }
#endif
