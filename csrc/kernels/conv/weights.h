/* weights.h: the planes of the weights' gradient. */
#ifndef FL_WEIGHTS_H
#define FL_WEIGHTS_H

#include "kernels/conv/planes.h"
#include "kernels/conv/regions.h"

/* Whether x holds neither NaN nor infinity. */
FL_INLINE int all_finite(const real *x, fl_int n)
{
    vec s = vset(0);
    fl_int q = 0;
    for (; q + VL <= n; q += VL) s += vload(x + q) * 0;
    if (q < n) s += vload_n(x + q, n - q, 0) * 0;
    return vsum(s) == 0;
}

/* The planes of a block's channels in `images` images from n on, for the rows of the grid from a0 on:
 * [channel][phase][image][plane], a phase ldv long. *finite, unless NULL, becomes 0 if one of them is not. */
FL_SHARED void conv_weights_planes(const fl_conv_weights_job *job, const conv_region *R, fl_int n, fl_int images, fl_int a0,
                                   fl_int plane_rows, fl_int ldv, real *planes, int *finite)
{
    const fl_conv_planes *P = &job->planes;
    const fl_int phases = P->phases_y * P->phases_x;
    for (fl_int c = 0; c < R->channels; c++)
        for (fl_int m = 0; m < images; m++) {
            const fl_int channel = ((n + m) * job->regions.groups + R->group) * job->regions.channels + R->channel + c;
            real *out = planes + c * phases * ldv + m * P->plane;
            planes_of(out, ldv, (const real *)job->x + channel * P->h * P->w, P, a0, 0, plane_rows);
            for (fl_int f = 0; finite && *finite && f < phases; f++) *finite = all_finite(out + f * ldv, plane_rows * P->pitch);
        }
}

#endif
