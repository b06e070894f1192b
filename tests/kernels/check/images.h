/* images.h: checks of kernels of images but for convolutions. */
#include "check.h"

static void check_im2col(void)
{
    static const fl_int widths[] = {3, 9, 37};
    for (fl_int i = 0; i < COUNT(widths); i++)
        for (int stride = 1; stride <= 3; stride++)
            for (int dilation = 1; dilation <= 2; dilation++) {
                const fl_int planes = 4, h = 7, w = widths[i], r = 3, s = 2, top = 1, left = 1;
                fl_columns_job job = {.h = h, .w = w, .r = r, .s = s, .sh = stride, .sw = stride, .top = top, .left = left};
                job.dh = job.dw = dilation;
                job.oh = (h + 2 * top - dilation * (r - 1) - 1) / stride + 1,
                job.ow = (w + 2 * left - dilation * (s - 1) - 1) / stride + 1;
                const fl_int size = planes * r * s * job.oh * job.ow;
                job.x = numbers(planes * h * w), job.columns = room(size);
                job.rows = planes * r * s * job.oh, job.per_block = 5;
                for (job.stream = 0; job.stream < 2; job.stream++) {
                    job.columns = room(size), job.per_piece = 2;
                    run(FL_KERNEL_im2col, &job.head, ceil_div(job.rows, 5), job.stream ? 2 * job.ow * SIZE : 0);
                    reals("columns", job.columns, size, 0);
                }
                job.columns = numbers(size), job.x = room(planes * h * w), job.rows = planes * h;
                run(FL_KERNEL_col2im, &job.head, ceil_div(job.rows, 5), 0);
                reals("image", job.x, planes * h * w, 0);
            }
}

static void check_pool(void)
{
    static const fl_int widths[] = {4, 23, 70};
    for (int round = 0; round < 180; round++) {
        const int mode = round % 5, maximum = mode >= FL_MAXIMUM, back = mode == FL_MEAN_TMV || mode == FL_MAXIMUM_TMV;
        const fl_int planes = 5, h = 9, w = widths[below(3)], r = 2 + below(2), s = 2 + below(2), step = 1 + below(3),
                     pad = below(2);
        fl_pool_job job = {.mode = mode, .planes = planes, .per_block = 2, .h = h, .w = w, .r = r, .s = s, .sh = step, .sw = step};
        job.dh = job.dw = maximum ? 1 + below(2) : 1;
        if (job.dw * (s - 1) >= w) job.dh = job.dw = 1;
        job.dilated = job.dh > 1, job.high = job.dh * (r - 1) + 1, job.top = job.left = pad;
        job.oh = (h + 2 * pad - job.high) / step + 1, job.ow = (w + 2 * pad - job.dw * (s - 1) - 1) / step + 1;
        if (!maximum && below(2)) job.above = job.below = job.before = job.behind = pad;
        job.whole = pad <= job.above && (job.oh - 1) * step + r <= pad + h + job.below && pad <= job.before
                    && (job.ow - 1) * step + s <= pad + w + job.behind;
        if (step <= fl_min(s, 2) || (maximum && 2 * s <= job.ow)) {
            job.inner = ceil_div(pad, step);
            job.outer = w + pad >= s ? fl_min((w + pad - s) / step + 1, job.ow) : 0;
            job.inner = fl_min(job.inner, fl_max(job.outer, 0));
        }
        const fl_int x_size = planes * h * w, y_size = planes * job.oh * job.ow, size = back ? x_size : y_size;
        job.x = with_specials(numbers(x_size), x_size, 50);
        job.source = back ? numbers(y_size) : mode == FL_MEAN ? numbers(x_size) : job.x, job.to = room(size);
        if (mode < FL_MAXIMUM || back) job.after = epilogue(below(2) ? SLOPED : PLAIN, NULL, planes, size / planes, 0);
        job.band = back ? h : job.oh, job.bands = 1;
        run(FL_KERNEL_pool, &job.head, ceil_div(planes, 2), mode == FL_MEAN_TMV ? w * SIZE : 0);
        reals("windows", job.to, size, maximum && !job.after.of ? 0 : 16);
    }
}

static void check_stencil(void)
{
    static const fl_int sides[][2] = {{3, 3}, {5, 5}, {7, 3}, {9, 5}, {11, 11}, {2, 4}, {1, 7}, {13, 1}}, widths[] = {3, 19, 90};
    for (fl_int i = 0; i < COUNT(sides); i++)
        for (fl_int j = 0; j < COUNT(widths); j++)
            for (int border = FL_CONSTANT; border <= FL_MIRROR; border++) {
                const fl_int images = 2, h = 13, w = widths[j], r = sides[i][0], s = sides[i][1], rows = 8, cols = fl_min(w, 48);
                fl_stencil_job job = {.h = h, .w = w, .r = r, .s = s, .tile_rows = rows, .tile_cols = cols, .border = border};
                job.tiles_down = ceil_div(h, rows), job.tiles_across = ceil_div(w, cols), job.cval = 0.5;
                job.weights = numbers(r * s), job.x = numbers(images * h * w), job.y = room(images * h * w);
                job.list = round_up((rows + r - 1) * (fl_int)sizeof(void *), 64) / SIZE;
                job.ld = round_up(fl_min(cols, s + 2 * lanes) + s, lanes) + lanes;
                run(FL_KERNEL_stencil, &job.head, images * job.tiles_down * job.tiles_across,
                    SIZE * (job.list + cols + s + lanes + (rows + r) * job.ld));
                reals("filtered", job.y, images * h * w, 32);
            }
}

static void check_channels(void)
{
    static const fl_int lengths[] = {1, 37, 2100};
    for (fl_int l = 0; l < COUNT(lengths); l++)
        for (int sloped = 0; sloped < 2; sloped++) {
            const fl_int rows = 10, n = lengths[l];
            fl_channels_job job = {.rows = rows, .n = n, .v = numbers(rows * n), .out = room(rows * n), .total = room(rows)};
            job.per_block = 4, job.after = epilogue(sloped ? SLOPED : PLAIN, NULL, rows, n, 0);
            run(FL_KERNEL_channels, &job.head, ceil_div(rows, 4), 0);
            reals("out", job.out, rows * n, 16);
            reals("totals", job.total, rows, 64);
        }
}

static void check_batch_norm(void)
{
    for (int dense = 0; dense < 2; dense++)
        for (int kind = 0; kind < 4; kind++) {
            const fl_int n = dense ? 1 : 3, c = dense ? 37 : 11, pixels = dense ? 41 : 70, piece = dense ? 16 : 32;
            const fl_int pieces = ceil_div(pixels, piece), units = dense ? pieces : n * c * pieces, all = n * c * pixels;
            const fl_int n_blocks = ceil_div(units, 4), pairs = n * c * pieces, scratch = dense ? 4 * FL_NORM_STRIP * SIZE : 0;
            const int batch = kind & 1;
            double *moments = take((size_t)(2 * c) * sizeof(double));
            fl_batch_norm_job sweep = {.c = c, .pixels = pixels, .pieces = pieces, .piece = piece, .units = units, .per_block = 4};
            fl_batch_norm_channels_job job = {.n = n, .c = c, .pixels = pixels, .pieces = pieces, .piece = piece};
            job.channel_step = dense ? 1 : pieces, job.piece_step = dense ? c : 1, job.batch = batch, job.eps = 1e-3;
            job.momentum = 0.1, job.moments = moments, job.gamma = numbers(c), job.beta = numbers(c);
            job.running_mean = numbers(c), job.running_var = shares(c), job.factors = take((size_t)(3 * c) * sizeof(double));
            sweep.x = numbers_in(all, -1, 3), sweep.moments = moments, sweep.factors = job.factors;

            sweep.partial = take((size_t)(2 * pairs) * sizeof(double)), job.partial = batch ? sweep.partial : NULL;
            run(dense ? FL_KERNEL_batch_norm_dense_moments : FL_KERNEL_batch_norm_moments, &sweep.head, n_blocks, scratch);
            doubles("partial", sweep.partial, 2 * pairs, 64);
            run(FL_KERNEL_batch_norm_forward, &job.head, ceil_div(c, FL_NORM_CHANNELS), 0);
            doubles("moments", memcpy(take((size_t)(2 * c) * sizeof(double)), moments, (size_t)(2 * c) * sizeof(double)), 2 * c,
                    64);
            sweep.out = room(all);
            run(dense ? FL_KERNEL_batch_norm_dense_map : FL_KERNEL_batch_norm_map, &sweep.head, n_blocks, scratch);
            reals("y", sweep.out, all, 64);

            sweep.v = numbers(all), sweep.partial = take((size_t)(2 * pairs) * sizeof(double)), job.partial = sweep.partial;
            run(dense ? FL_KERNEL_batch_norm_dense_sums : FL_KERNEL_batch_norm_sums, &sweep.head, n_blocks, scratch);
            doubles("sums", sweep.partial, 2 * pairs, 64);
            real *gamma = numbers(2 * c);
            job.total_gamma = gamma, job.total_beta = gamma + c, job.factors = take((size_t)(3 * c) * sizeof(double));
            if (kind & 2) job.dgamma = numbers(c), job.dbeta = numbers(c), job.total_gamma = job.total_beta = NULL;
            else job.update = update_of(FL_SGD, gamma, 2 * c);
            run(FL_KERNEL_batch_norm_derivative, &job.head, ceil_div(c, FL_NORM_CHANNELS), 0);
            doubles("factors", job.factors, 3 * c, 256);
            reals("parameters", gamma, 2 * c, 256);
            sweep.factors = job.factors, sweep.out = room(all);
            sweep.after = epilogue(kind & 2 ? PLAIN : SLOPED, NULL, n * c, pixels, 0);
            run(dense ? FL_KERNEL_batch_norm_dense_map : FL_KERNEL_batch_norm_map, &sweep.head, n_blocks, scratch);
            reals("derivative", sweep.out, all, 256);
            run(FL_KERNEL_batch_norm_running, &job.head, ceil_div(c, FL_NORM_CHANNELS), 0);
            reals("running mean", job.running_mean, c, 64);
            reals("running variance", job.running_var, c, 64);
        }
}
