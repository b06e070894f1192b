/* vector.h: the types, and the few functions that <isa>.h builds on. */
typedef real vec __attribute__((vector_size(VECTOR_BYTES), may_alias));
typedef bits ivec __attribute__((vector_size(VECTOR_BYTES), may_alias));

#define VL ((fl_int)(VECTOR_BYTES / sizeof(real))) /* reals in a register */
#define QUAD ((fl_int)(16 / sizeof(real)))         /* reals in 16 bytes */

FL_INLINE vec vset(real x) { return x - (vec){0}; }

FL_INLINE vec vload(const real *p)
{
    vec v;
    memcpy(&v, p, sizeof v);
    return v;
}

FL_INLINE void vstore(real *p, vec v) { memcpy(p, &v, sizeof v); }
