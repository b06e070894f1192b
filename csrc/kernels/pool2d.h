/* pool2d.h: the job of pool2d.c. */
#ifndef FL_POOL2D_H
#define FL_POOL2D_H

#include "fl.h"
#include "shared/epilogue.h"

/* Windows of r x s pixels, sh and sw apart, of planes (h, w): one value for each of oh x ow windows, or back. What lies outside
 * is zero for means and nothing for maxima; every window begins above h and left of w, and has a pixel inside. The derivative goes
 * to the first maximum in the order of memory, to the first NaN where there is one. high w < 2^31.
 *   FL_MEAN          to (oh, ow) = the means of `source` (h, w), of the elements inside and in the padding that counts;
 *                    or (sums) their sums
 *   FL_MEAN_TMV      to (h, w) = the transpose of that times `source` (oh, ow)
 *   FL_MAXIMUM       to (oh, ow) = the maxima of `x` (h, w)
 *   FL_MAXIMUM_MV    to (oh, ow) = the elements of `source` (h, w) that lie where the maxima of `x` do
 *   FL_MAXIMUM_TMV   to (h, w) = the transpose of that times `source` (oh, ow)
 * Means and transposes are multiplied by derivative'(of). */
enum { FL_MEAN, FL_MEAN_TMV, FL_MAXIMUM, FL_MAXIMUM_MV, FL_MAXIMUM_TMV };

typedef struct {
    fl_job head;
    int mode;
    const void *x, *source; /* (planes, ...), C order */
    void *to;
    fl_epilogue after; /* of means and transposes: a derivative, or nothing */
    fl_int planes, per_block;
    fl_int bands, band; /* of a plane, so that no block takes long; and rows of one: of windows, for transposes of pixels */
    fl_int h, w, oh, ow, r, s, sh, sw;
    int sums;                            /* means: they are not divided; every window lies inside */
    int dilated;                         /* means: 0 */
    fl_int dh, dw;                       /* rows and columns from one pixel of a window to the next */
    fl_int high;                         /* rows from the first of a window to its last */
    fl_int top, left;                    /* of the first window, above and left of the plane */
    fl_int above, below, before, behind; /* rows and columns around the plane that count in means */
    int whole;                           /* whether all r s elements of every window do */
    fl_int inner, outer; /* windows [inner, outer) of a row lie inside it, and are worked on together; means: if sw <= 2, s */
} fl_pool_job;

#endif
