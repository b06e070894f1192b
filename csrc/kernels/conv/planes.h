/* planes.h: parts of images in scratch, with zeros around them, one plane for each phase of a stride. */
#ifndef FL_PLANES_H
#define FL_PLANES_H

#include "kernels/conv/conv.h"
#include "shared/image_rows.h"

/* Where plane f begins. */
FL_INLINE fl_int plane_from(const fl_int *from, fl_int f) { return from ? from[f] : f; }

/* The planes of one channel, `step` apart, for the part of the grid at (a0, b0), of `rows` plane rows. */
FL_SHARED void planes_of(real *out, fl_int step, const real *x, const fl_conv_planes *P, fl_int a0, fl_int b0, fl_int rows)
{
    const int both = P->sw == 2 && P->phases_x == 2 && !P->from_x;
    const int one = P->phases_y == 1 && P->phases_x == 1 && P->pitch == P->w;
    const fl_int top = a0 * P->step_y - P->top;
    if (one && P->sw == 1 && P->sh == 1 && P->width == P->w && P->left == b0 && top >= 0 && top + rows <= P->h) { /* as it is */
        row_in_zeros(out, rows * P->w, x + top * P->w, rows * P->w, 1, 0);
        return;
    }
    for (fl_int fy = 0; fy < P->phases_y; fy++)
        for (fl_int fx = 0; fx < P->phases_x; fx += 1 + both, out += (1 + both) * step) {
            const fl_int start = b0 * P->step_x * P->sw + plane_from(P->from_x, fx) - P->left, last = (rows - 1) * P->pitch;
            for (fl_int p = 0; p < rows; p++) { /* in order: the tail of a row spills into the next, which is written later */
                const fl_int i = (a0 * P->step_y + p) * P->sh + plane_from(P->from_y, fy) - P->top;
                real *row = out + p * P->pitch;
                if (i < 0 || i >= P->h) {
                    fill_row(row, P->pitch, 0);
                    if (both) fill_row(row + step, P->pitch, 0);
                } else if (both) rows_by_twos(row, row + step, P->pitch, x + i * P->w, P->w, start);
                else row_in_zeros(row, P->pitch, x + i * P->w, P->w, P->sw, start);
            }
            /* the zeros that the last row shares with nobody */
            fill_row(out + last + P->pitch, P->width - P->pitch, 0);
            if (both) fill_row(out + step + last + P->pitch, P->width - P->pitch, 0);
        }
}

#endif
