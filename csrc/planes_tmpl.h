/* planes_tmpl.h: parts of images in scratch, with what lies around them: zeros, one plane for each phase of a stride; or rows with the
 * borders of image processing. */

/* Where a pixel beyond the image is taken from, 0 <= result < n; -1: nowhere. */
FL_INLINE fl_int FL_FN(border_index)(fl_int i, fl_int n, int border)
{
    if (i >= 0 && i < n) return i;
    switch (border) {
    case FL_NEAREST: return i < 0 ? 0 : n - 1;
    case FL_WRAP: return (i % n + n) % n;
    case FL_REFLECT:
        i = (i % (2 * n) + 2 * n) % (2 * n);
        return i < n ? i : 2 * n - 1 - i;
    case FL_MIRROR:
        if (n == 1) return 0;
        i = (i % (2 * n - 2) + 2 * n - 2) % (2 * n - 2);
        return i < n ? i : 2 * n - 2 - i;
    default: return -1;
    }
}

/* VL elements at p, zeros where column `at` + lane is not in a row of w. */
FL_INLINE vec FL_FN(load_in_row)(const real *p, fl_int at, fl_int w)
{
    if (at >= 0 && at + VL <= w) return vload(p);
    if (at >= w || at + VL <= 0) return vset(0);
    if (at >= 0) return vload_n(p, w - at, 0);
    return vload_range(p, vrange_of(-at, w - at < VL ? w - at : VL));
}

/* row_in_zeros for a step of 2 or more. */
static void FL_FN(row_by_steps)(real *out, fl_int width, const real *from, fl_int w, fl_int step, fl_int start)
{
    for (fl_int q = 0; q < width; q += VL) {
        const fl_int at = q * step + start;
        if (step == 2) {
            vec even, odd;
            vunzip(FL_FN(load_in_row)(from + at, at, w), FL_FN(load_in_row)(from + at + VL, at + VL, w), &even, &odd);
            vstore(out + q, even);
        } else
            for (fl_int i = 0; i < VL; i++) out[q + i] = at + i * step >= 0 && at + i * step < w ? from[at + i * step] : 0;
    }
}

/* One row of a plane: `width` columns, column q from column q * step + start of a row of w, zeros around it. Up to a register more is
 * written. */
FL_INLINE void FL_FN(row_in_zeros)(real *out, fl_int width, const real *from, fl_int w, fl_int step, fl_int start)
{
    const fl_int before = start >= 0 ? 0 : -start < width ? -start : width, first = before + start;
    const fl_int n = w - first < width - before ? w - first : width - before;
    fl_int t = before;
    if (step != 1) {
        FL_FN(row_by_steps)(out, width, from, w, step, start);
        return;
    }
    for (fl_int q = 0; q < before; q += VL) vstore(out + q, vset(0));
    for (; t - before + VL <= n; t += VL) vstore(out + t, vload(from + start + t));
    if (t - before < n) {
        vstore(out + t, vload_n(from + start + t, n - (t - before), 0));
        t += VL;
    }
    for (; t < width; t += VL) vstore(out + t, vset(0));
}

/* The same for a step of 2 and two planes at once: columns 2 q + start and those after them. No more is written. */
static void FL_FN(rows_by_twos)(real *even, real *odd, fl_int width, const real *from, fl_int w, fl_int start)
{
    for (fl_int q = 0; q < width; q += VL) {
        const fl_int at = 2 * q + start, left = width - q < VL ? width - q : VL;
        vec a, b;
        vunzip(FL_FN(load_in_row)(from + at, at, w), FL_FN(load_in_row)(from + at + VL, at + VL, w), &a, &b);
        vstore_n(even + q, a, left);
        vstore_n(odd + q, b, left);
    }
}

/* Columns from `start` on of a row of w, with what lies around it. Up to a register more is written. */
static void FL_FN(row_in_border)(real *out, fl_int width, const real *from, fl_int w, fl_int start, int border, real cval)
{
    for (fl_int q = 0; q < width;) {
        const fl_int at = q + start;
        if (at >= 0 && at + VL <= w) {
            vstore(out + q, vload(from + at));
            q += VL;
        } else {
            const fl_int i = FL_FN(border_index)(at, w, border);
            out[q++] = i < 0 ? cval : from[i];
        }
    }
}

FL_INLINE void FL_FN(fill_row)(real *row, fl_int n, real value)
{
    for (fl_int q = 0; q < n; q += VL) vstore_n(row + q, vset(value), n - q < VL ? n - q : VL);
}

/* Where plane f begins. */
FL_INLINE fl_int FL_FN(plane_from)(const fl_int *from, fl_int f) { return from ? from[f] : f; }

/* The planes of one channel, `step` apart, for the part of the grid at (a0, b0), of `rows` plane rows. */
static void FL_FN(planes_of)(real *out, fl_int step, const real *x, const fl_conv_planes *P, fl_int a0, fl_int b0, fl_int rows)
{
    const int both = P->sw == 2 && P->phases_x == 2 && !P->from_x, one = P->phases_y == 1 && P->phases_x == 1;
    const fl_int top = a0 * P->step_y - P->top;
    if (one && P->sw == 1 && P->sh == 1 && P->width == P->w && P->left == b0 && top >= 0 && top + rows <= P->h) { /* as it is */
        FL_FN(row_in_zeros)(out, rows * P->w, x + top * P->w, rows * P->w, 1, 0);
        return;
    }
    for (fl_int fy = 0; fy < P->phases_y; fy++)
        for (fl_int fx = 0; fx < P->phases_x; fx += 1 + both, out += (1 + both) * step) {
            const fl_int start = b0 * P->step_x * P->sw + FL_FN(plane_from)(P->from_x, fx) - P->left, last = (rows - 1) * P->pitch;
            for (fl_int p = 0; p < rows; p++) { /* in order: what is too much of a row the next one overwrites */
                const fl_int i = (a0 * P->step_y + p) * P->sh + FL_FN(plane_from)(P->from_y, fy) - P->top;
                real *row = out + p * P->pitch;
                if (i < 0 || i >= P->h) {
                    FL_FN(fill_row)(row, P->pitch, 0);
                    if (both) FL_FN(fill_row)(row + step, P->pitch, 0);
                } else if (both) FL_FN(rows_by_twos)(row, row + step, P->pitch, x + i * P->w, P->w, start);
                else FL_FN(row_in_zeros)(row, P->pitch, x + i * P->w, P->w, P->sw, start);
            }
            /* the zeros that the last row shares with nobody */
            FL_FN(fill_row)(out + last + P->pitch, P->width - P->pitch, 0);
            if (both) FL_FN(fill_row)(out + step + last + P->pitch, P->width - P->pitch, 0);
        }
}
