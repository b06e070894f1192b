/* conv2d_images_tmpl.h: the same product with lanes along the images of a batch: pixels lie in memory as registers, one for each place in
 * the image, so that no size of the image or number of channels leaves lanes empty, and taps beyond the image are left out. */

/* Rows of images `step` apart to registers of out, `width` for a row: zeros but for the `columns` from `before` on. Zeros for images that
 * are not there. */
static void FL_FN(images_in)(real *out, fl_int width, fl_int before, const real *x, fl_int step, fl_int images, fl_int columns, fl_int rows)
{
    const fl_int n = rows * columns;
    for (fl_int p = 0; p < rows; p++) {
        real *row = out + p * width * VL;
        for (fl_int q = 0; q < before; q++) vstore(row + q * VL, vset(0));
        for (fl_int q = before + columns; q < width; q++) vstore(row + q * VL, vset(0));
    }
    out += before * VL;
    for (fl_int t = 0, column = 0; t < n; t += VL) {
        const fl_int left = n - t < VL ? n - t : VL;
        vec v[VL];
        for (fl_int i = 0; i < VL; i++) {
            const real *at = x + i * step + t;
            v[i] = i >= images ? vset(0) : left == VL ? vload(at) : vload_n(at, left, 0);
        }
        vtranspose(v);
        for (fl_int p = 0; p < left; p++) {
            vstore(out, v[p]);
            out += VL;
            if (++column == columns) {
                column = 0;
                out += (width - columns) * VL;
            }
        }
    }
}

/* The way back: n pixels to y + lane * step, or added to them. */
static void FL_FN(images_out)(real *y, fl_int step, fl_int images, const real *from, fl_int n, int add)
{
    for (fl_int t = 0; t < n; t += VL) {
        const fl_int left = n - t < VL ? n - t : VL;
        vec v[VL];
        for (fl_int p = 0; p < VL; p++) v[p] = vload(from + (t + (p < left ? p : left - 1)) * VL);
        vtranspose(v);
        for (fl_int i = 0; i < images; i++) {
            real *to = y + i * step + t;
            if (add) v[i] += left == VL ? vload(to) : vload_n(to, left, 0);
            if (left == VL) vstore(to, v[i]);
            else vstore_n(to, v[i], left);
        }
    }
}

/* The taps that meet the image for pixels b .. b + pixels - 1 of row a: where in a plane that begins with row `low`, and in A. */
FL_INLINE fl_int FL_FN(images_taps)(const fl_conv_bands *G, fl_int mr, fl_int a, fl_int b, fl_int pixels, fl_int low, fl_int *offset, fl_int *place)
{
    fl_int n = 0;
    for (fl_int q = 0; q < G->taps; q++) {
        const fl_int row = a + G->ty[q] - G->top, column = b + G->tx[q] - G->left;
        if (row < 0 || row >= G->h || column + pixels <= 0 || column >= G->w) continue;
        offset[n] = ((row - low) * G->width + column + G->before) * VL;
        place[n++] = q * mr;
    }
    return n;
}

/* The band of rows [a0, a0 + high) of y and the rows of x from `low` on that they read. */
typedef struct {
    fl_int first, images, a0, high, low, plane_rows;
} FL_FN(images_band);

FL_INLINE FL_FN(images_band) FL_FN(images_band_of)(const fl_conv_bands *G, fl_int unit)
{
    const fl_int bands = (G->oh + G->tile_rows - 1) / G->tile_rows, first = unit / bands * VL, a0 = unit % bands * G->tile_rows;
    const fl_int high = G->oh - a0 < G->tile_rows ? G->oh - a0 : G->tile_rows;
    const fl_int above = a0 - G->top > 0 ? a0 - G->top : 0, low = above < G->h ? above : G->h;
    const fl_int below = a0 + high + G->ext_rows - G->top, end = below < G->h ? below : G->h;
    return (FL_FN(images_band)){first, G->images - first < VL ? G->images - first : VL, a0, high, low, end > low ? end - low : 0};
}

/* The planes of some channels for a band. x: the first of them in the first of all images, `step` from one to the next. */
static void FL_FN(images_planes)(real *planes, const fl_conv_bands *G, const FL_FN(images_band) *B, const real *x, fl_int step, fl_int channels)
{
    for (fl_int c = 0; c < channels; c++)
        FL_FN(images_in)(planes + c * G->plane_rows * G->width * VL, G->width, G->before, x + B->first * step + (c * G->h + B->low) * G->w,
                         step, B->images, G->w, B->plane_rows);
}

/* A block: tile_rows rows of y of VL images of one group. scratch: the taps, twice their number of fl_int, rounded up to registers; y,
 * panels * mr rows of tile_rows * ow registers; the planes of `chunk` channels, plane_rows * width registers each. */
static void FL_FN(conv_images)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_conv_images_job *job = (const fl_conv_images_job *)head;
    const fl_conv_bands *G = &job->bands;
    const fl_int group = block % job->groups, mr = job->mr, size = G->oh * G->ow, depth = job->channels * G->taps * mr;
    const FL_FN(images_band) B = FL_FN(images_band_of)(G, block / job->groups);
    const fl_int pixels = B.high * G->ow, plane = G->plane_rows * G->width * VL, y_step = job->groups * job->rows * size;
    const real *x = (const real *)job->x + group * job->channels * G->h * G->w, *a = (const real *)job->a + group * job->panels * depth;
    real *y = (real *)job->y + B.first * y_step + group * job->rows * size + B.a0 * G->ow;
    fl_int *offset = scratch, *place = offset + G->taps;
    real *out = (real *)scratch + job->list, *planes = out + job->panels * mr * G->tile_rows * G->ow * VL;
    const fl_conv_finish *F = &job->finish;

    for (fl_int c = 0; c == 0 || c < job->channels; c += job->chunk) {
        const fl_int channels = job->channels - c < job->chunk ? job->channels - c : job->chunk;
        FL_FN(images_planes)(planes, G, &B, x + c * G->h * G->w, job->groups * job->channels * G->h * G->w, channels);
        for (fl_int panel = 0; panel < job->panels; panel++) {
            const fl_int row = panel * mr, valid = job->rows - row < mr ? job->rows - row : mr;
            real start[FL_CONV_ROWS] = {0};
            if (F->bias && c == 0)
                for (fl_int i = 0; i < valid; i++) start[i] = ((const real *)F->bias)[group * job->rows + row + i];
            for (fl_int p = 0; p < B.high; p++)
                for (fl_int b = 0, nv; b < G->ow; b += nv) {
                    nv = FL_FN(conv_wide)(mr, G->ow - b);
                    const fl_int taps = FL_FN(images_taps)(G, mr, B.a0 + p, b, nv, B.low, offset, place);
                    FL_FN(conv_tile_of)(out + (row * pixels + p * G->ow + b) * VL, pixels * VL, a + panel * depth + c * G->taps * mr,
                                        planes, plane, channels, offset, taps, place, G->taps * mr, start, c > 0, mr, nv);
                }
        }
    }
    for (fl_int k = 0; k < job->rows; k++)
        FL_FN(images_out)(y + k * size, y_step, B.images, out + k * pixels * VL, pixels, F->accumulate);
    if (FL_FN(conv_finishes)(F)) {
        const fl_gemm_job last = FL_FN(conv_last)(F, job->y, size);
        for (fl_int i = 0; i < B.images; i++)
            FL_FN(gemm_finish)(&last, y + i * y_step, size, ((B.first + i) * job->groups + group) * job->rows, job->rows, B.a0 * G->ow, pixels);
    }
}

/* dw = or += the sums over a band, for mr <= 4 planes of v and all taps of some channels. */
static void FL_FN(images_dots)(const fl_conv_weights_images_job *job, real *dw, const real *v, fl_int mr, const real *planes, fl_int channels,
                               const FL_FN(images_band) *B, int add)
{
    const fl_conv_bands *G = &job->bands;
    const fl_int across = job->across, plane = G->plane_rows * G->width * VL, streams = channels * across, last = B->a0 + B->high;
    for (fl_int tap = 0; tap < G->taps; tap += across) { /* a row of taps: they meet the image for the same rows of v */
        const fl_int shift = G->ty[tap] - G->top, from = B->a0 > -shift ? B->a0 : -shift, end = last < G->h - shift ? last : G->h - shift;
        const conv_runs runs = {1, 0, end > from ? end - from : 0, G->width * VL, G->ow * VL, 1};
        const real *row = planes + ((from + shift - B->low) * G->width - G->left + G->before) * VL;
        for (fl_int q = 0, here, c = 0, j = 0; q < streams; q += here) {
            const real *at[DOTS_Q] = {0};
            fl_int where[DOTS_Q];
            real out[DOTS_Q][4];
            here = FL_FN(even_piece)(streams - q, DOTS_Q);
            for (fl_int i = 0; i < here; i++) {
                at[i] = row + c * plane + G->tx[tap + j] * VL;
                where[i] = c * G->taps + tap + j;
                if (++j == across) j = 0, c++;
            }
            for (fl_int i = here; i < DOTS_Q; i++) at[i] = at[0];
            FL_FN(conv_dots_of)(out, v + (from - B->a0) * G->width * VL, G->tile_rows * G->width * VL, at, &runs, mr, here);
            for (fl_int r = 0; r < mr; r++)
                for (fl_int i = 0; i < here; i++) {
                    real *sum = dw + r * job->channels * G->taps + where[i];
                    *sum = add ? *sum + out[i][r] : out[i][r];
                }
        }
    }
}

/* The weights' gradient: sums over pixels of registers times registers, then over the lanes. A block: some bands, for one group. scratch:
 * v, rows times tile_rows * width registers; the planes of `chunk` channels. */
static void FL_FN(conv_weights_images)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_conv_weights_images_job *job = (const fl_conv_weights_images_job *)head;
    const fl_conv_bands *G = &job->bands;
    const fl_int group = block % job->groups, first = block / job->groups * job->per_part;
    const fl_int end = first + job->per_part < job->units ? first + job->per_part : job->units, ldv = G->tile_rows * G->width * VL;
    const fl_int v_size = G->oh * G->ow, x_size = G->h * G->w, v_step = job->groups * job->rows * v_size;
    const real *v = (const real *)job->v + group * job->rows * v_size, *x = (const real *)job->x + group * job->channels * x_size;
    real *dw = (real *)job->dw + block * job->rows * job->channels * G->taps, *vs = scratch, *planes = vs + job->rows * ldv;

    for (fl_int unit = first; unit < end; unit++) {
        const FL_FN(images_band) B = FL_FN(images_band_of)(G, unit);
        for (fl_int k = 0; k < job->rows; k++)
            FL_FN(images_in)(vs + k * ldv, G->width, 0, v + B.first * v_step + k * v_size + B.a0 * G->ow, v_step, B.images, G->ow, B.high);
        for (fl_int c = 0; c < job->channels; c += job->chunk) {
            const fl_int channels = job->channels - c < job->chunk ? job->channels - c : job->chunk;
            FL_FN(images_planes)(planes, G, &B, x + c * x_size, job->groups * job->channels * x_size, channels);
            for (fl_int k = 0; k < job->rows; k += 4)
                FL_FN(images_dots)(job, dw + (k * job->channels + c) * G->taps, vs + k * ldv, job->rows - k < 4 ? job->rows - k : 4,
                                   planes, channels, &B, unit > first);
        }
    }
}
#undef conv_runs
