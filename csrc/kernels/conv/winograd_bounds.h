/* winograd_bounds.h: whether tiles are summed directly: their bounds against the densities of weights. */
#ifndef FL_WINOGRAD_BOUNDS_H
#define FL_WINOGRAD_BOUNDS_H

#include "shared/blocks.h"
#include "simd/simd.h"

/* Whether any of n tiles has a bound beyond this density. */
FL_INLINE int any_beyond(const real *bounds, fl_int n, real density)
{
    vec most = vset(0);
    for (fl_int t = 0; t < n; t += VL) most = vmax(most, vload_n(bounds + t, fl_min(n - t, VL), 0));
    return vtop(most) > density;
}

#endif
