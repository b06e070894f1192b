/* dense.h: checks of elementwise kernels, of rows and columns, and of products. */
#include "check.h"

static void check_map(void)
{
    const fl_int n = 133;
    for (int function = 0; function < FL_FUNCTIONS; function++)
        for (int special = 0; special < 2; special++) {
            fl_map_job job = {.function = function, .alpha = FL_ALPHA(function), .n = n, .per_block = 64};
            real *x = function == FL_LOG ? numbers_in(n, 0.1, 9) : numbers_in(n, -9, 9);
            if (special) with_specials(x, n, 4);
            job.x = x, job.y = room(n), job.dy = room(n);
            run(FL_KERNEL_map, &job.head, ceil_div(n, 64), 0);
            for (fl_int i = 0; special && i < n; i++) { /* one by one, for they differ in size */
                reals("values of specials", (real *)job.y + i, 1, 64);
                if (fabs((double)x[i]) > 9) ((real *)job.dy)[i] = 0;
            }
            if (special) reals("derivatives of specials", job.dy, n, 16);
            if (special) continue;
            reals("values", job.y, n, 8);
            reals("derivatives", job.dy, n, 8);
        }
}

static void check_softmax(void)
{
    static const fl_int lengths[] = {1, 3, 17, 40, 41, 300}, inners[] = {2, 7, 70, 200};
    const fl_int m = 37;
    for (int mode = FL_SOFTMAX; mode <= FL_LOGSUMEXP; mode++)
        for (int stream = 0; stream < 2; stream++) {
            for (fl_int l = 0; l < COUNT(lengths); l++) {
                const fl_int n = lengths[l], ldx = n + 3, size = mode == FL_LOGSUMEXP ? m : m * n;
                fl_softmax_job job = {.mode = mode, .m = m, .n = n, .ldx = ldx, .ldy = n, .per_block = 16, .parts = 1, .part = n};
                job.stream = stream && n > FL_SHORT_ROW && mode != FL_LOGSUMEXP;
                job.outer = m, job.inner = 1;
                job.x = with_specials(numbers_in(m * ldx, -9, 9), m * ldx, 30 * n);
                job.y = room(size);
                run(FL_KERNEL_softmax_rows, &job.head, ceil_div(m, 16), fl_max(FL_SHORT_ROW * FL_WIDE * 64, n * SIZE));
                for (fl_int i = 0; i < m; i++) reals("rows", (real *)job.y + i * (size / m), size / m, 16);
            }
            for (fl_int l = 0; l < COUNT(inners); l++) {
                const fl_int outer = 3, n = 5, inner = inners[l], size = (mode == FL_LOGSUMEXP ? 1 : n) * outer * inner;
                fl_softmax_job job = {.mode = mode, .outer = outer, .n = n, .inner = inner, .per_block = 4, .parts = 1, .part = n};
                job.stream = stream && mode != FL_LOGSUMEXP;
                job.x = numbers_in(outer * n * inner, -9, 9), job.y = room(size);
                run(FL_KERNEL_softmax_cols, &job.head, outer * ceil_div(inner * SIZE, 4 * 64), 2 * n * FL_WIDE * 64);
                reals("columns", job.y, size, 16);
            }
        }
}

static void check_softmax_parts(void)
{
    static const fl_int inners[] = {1, 37};
    const fl_int outer = 3, n = 50, part = 16, parts = 4;
    for (int mode = FL_SOFTMAX; mode <= FL_LOGSUMEXP; mode++)
        for (int i = 0; i < 2; i++) {
            const fl_int inner = inners[i], strips = ceil_div(inner * SIZE, 4 * 64);
            const fl_int size = (mode == FL_LOGSUMEXP ? 1 : n) * outer * inner;
            fl_softmax_job job = {.mode = mode, .m = outer, .n = n, .ldx = n, .ldy = n, .outer = outer, .inner = inner};
            job.per_block = 4, job.parts = parts, job.part = part;
            job.x = numbers_in(outer * n * inner, -9, 9), job.y = room(size);
            job.partial = room(2 * outer * parts * inner);
            run(FL_KERNEL_softmax_part, &job.head, outer * strips * parts, 2 * part * FL_WIDE * 64);
            run(FL_KERNEL_softmax_join, &job.head, outer * strips, 0);
            if (mode != FL_LOGSUMEXP) run(FL_KERNEL_softmax_last, &job.head, outer * strips * parts, 0);
            reals("long columns", job.y, size, 16);
        }
}

/* Logits, labels or targets, and weights. */
static fl_xent_job xent_job(fl_int m, fl_int n, int by_label, int weighted)
{
    fl_xent_job job = {.m = m, .n = n, .ldx = n + 2, .scale = 0.5};
    job.x = numbers_in(m * (n + 2), -4, 4);
    if (by_label) job.labels = labels_below(m, n);
    else job.targets = shares(m * n);
    if (weighted) job.weight = weights(m);
    job.grad = room(m * n);
    return job;
}

static void check_xent(void)
{
    static const fl_int lengths[] = {1, 3, 10, 40, 41, 200};
    const fl_int m = 45;
    for (fl_int l = 0; l < COUNT(lengths); l++)
        for (int kind = 0; kind < 8; kind++) {
            const fl_int n = lengths[l], n_blocks = ceil_div(m, 16);
            fl_xent_job job = xent_job(m, n, kind & 1, kind & 2);
            if (kind & 4) job.stream = n > FL_SHORT_ROW && job.labels;
            if ((kind & 5) == 5) ((int64_t *)job.labels)[5] = -1; /* no class */
            job.per_block = 16, job.loss = take((size_t)n_blocks * sizeof(double));
            run(FL_KERNEL_xent, &job.head, n_blocks, fl_max(2 * FL_SHORT_ROW * FL_WIDE * 64, n * SIZE));
            doubles("losses", job.loss, n_blocks, 64);
            reals("gradient", job.grad, m * n, 64);
        }
}

static void check_xent_parts(void)
{
    const fl_int m = 9, n = 100, part = 32, parts = 4;
    for (int kind = 0; kind < 4; kind++) {
        fl_xent_job job = xent_job(m, n, kind & 1, kind & 2);
        job.parts = parts, job.part = part;
        job.loss = take((size_t)m * sizeof(double)), job.partial = room(4 * m * parts);
        run(FL_KERNEL_xent_part, &job.head, m * parts, 0);
        run(FL_KERNEL_xent_join, &job.head, m, 0);
        run(FL_KERNEL_xent_last, &job.head, m * parts, 0);
        doubles("losses", job.loss, m, 64);
        reals("gradient", job.grad, m * n, 64);
    }
}

static void check_linear(void)
{
    static const fl_int features[] = {1, 5, 37, 130}, classes[] = {2, 5, 11, 23};
    const fl_int m = 150;
    for (fl_int f = 0; f < COUNT(features); f++)
        for (fl_int c = 0; c < COUNT(classes); c++)
            for (int reduced = 0; reduced < 2; reduced++) {
                const fl_int n = features[f], l = classes[c], free_ = l - reduced, size = free_ * n + free_,
                             ldw = round_up(n, LINE_REALS);
                const fl_int n_blocks = ceil_div(m, FL_STRIP), directions = 3;
                const real *theta = numbers(size), *v = numbers(directions * size);
                fl_linear_job job = {.m = m, .n = n, .ldx = n + 1, .l = l, .free = free_, .per_block = FL_STRIP, .scale = 0.5};
                job.X = numbers(m * (n + 1)), job.labels = labels_below(m, l), job.weight = reduced ? weights(m) : NULL;
                job.W = theta, job.b = theta + free_ * n, job.V = v, job.vb = v + free_ * n, job.v_step = size;
                for (job.mode = FL_VALUE; job.mode <= FL_PROBABILITIES; job.mode++) {
                    const int mv = job.mode == FL_HESSIAN_MV;
                    for (job.directions = 1; job.directions <= (mv ? directions : 1); job.directions += directions - 1) {
                        const fl_int numbers_out = job.mode == FL_DATA_GRADIENT ? m * n : m * l;
                        const fl_int rows = l + (mv ? free_ : 0), matrices = mv ? 1 + job.directions : 1;
                        job.loss = take((size_t)n_blocks * sizeof(double));
                        job.grad = room(n_blocks * job.directions * size), job.out = room(numbers_out);
                        if (job.directions > 1) job.P = shares(m * l);
                        run(FL_KERNEL_linear, &job.head, n_blocks, SIZE * (FL_STRIP * rows + matrices * free_ * ldw));
                        if (job.mode <= FL_GRADIENT) doubles("losses", job.loss, n_blocks, 64);
                        if (job.mode == FL_GRADIENT || mv) reals("gradients", job.grad, n_blocks * job.directions * size, 64);
                        if (job.mode > FL_HESSIAN_MV) reals("rows", job.out, numbers_out, 64);
                        job.P = NULL;
                    }
                }
            }
}

static void check_sums(void)
{
    const fl_int len = 77, stride = 80, m = 5, n = 37;
    fl_sum_job job = {.part = numbers(3 * stride), .theta = numbers(len), .out = room(len), .scale = 0.3, .l2 = 0.7};
    job.parts = 3, job.stride = stride, job.len = len, job.penalised = 50, job.per_block = 32;
    run(FL_KERNEL_sum, &job.head, ceil_div(len, 32), 32 * (fl_int)sizeof(double));
    reals("sum", job.out, len, 2);
    for (int both = 0; both < 2; both++) {
        fl_add_job add = {.m = m, .n = n, .a = with_specials(numbers(m * 40), m * 40, 9), .b = both ? numbers(m * n) : NULL};
        real *out = numbers(m * 41);
        add.out = out, add.a_row = 40, add.out_row = 41, add.rows = 2, add.cols = 16;
        run(FL_KERNEL_add, &add.head, ceil_div(m, 2) * ceil_div(n, 16), 0);
        reals("added", out, m * 41, 0);
    }
}

/* B's columns or A's rows as gemm reads them. */
static real *packed_by(int rows, const real *source, fl_int n, fl_int k, int along)
{
    const fl_int width = rows ? FL_TILE_ROWS : FL_TILE_BYTES / SIZE;
    fl_pack_job job = {.n = n, .k = k, .source = source, .apart = along ? k : 1, .step = along ? 1 : n, .rows = rows};
    job.out = room(k * round_up(n, width)), job.per_block = width;
    run(FL_KERNEL_gemm_pack, &job.head, ceil_div(n, width), 0);
    return job.out;
}

enum { ROWS_FIRST, PACKING_A, PACKED_B, PANELS_FIRST, PANELS_FIRST_PACKED_A, PANELS_FIRST_PACKED_B, WAYS };

static void check_gemm(void)
{
    static const fl_int ms[] = {1, 2, 5, 12, 13, 24, 37, 61}, ns[] = {1, 3, 8, 17, 31, 64, 70}, ks[] = {1, 3, 16, 33, 100};
    const fl_int tile = FL_TILE_BYTES / SIZE;
    for (int round = 0; round < 400; round++) {
        const int way = round % WAYS, kind = (int)below(EPILOGUES), by_row = (int)below(2), halves = below(3) == 0 && kind == PLAIN;
        const int by_column = way > PACKING_A && below(2), panels = way >= PANELS_FIRST, in_strips = (int)below(2);
        const int wide = (int)below(2), packed_a = way == PANELS_FIRST_PACKED_A,
                  packed_b = way == PACKED_B || way == PANELS_FIRST_PACKED_B;
        const fl_int m = ms[below(COUNT(ms))], n = ns[below(COUNT(ns))], k = ks[below(COUNT(ks))], parts = halves && k > 1 ? 2 : 1;
        const real *a = numbers(m * k), *b = numbers(k * n);
        real *c = parts > 1 ? room(parts * m * n) : numbers(m * n);
        fl_gemm_job job = {.m = m, .n = n, .k = k, .a = a, .b = b, .c = c, .ldc = n, .packed_a = packed_a, .packed_b = packed_b};
        job.a_row = by_row ? k : 1, job.a_step = by_row ? 1 : m, job.b_step = by_column ? 1 : n, job.b_col = by_column ? k : 1;
        if (packed_a) job.a = packed_by(1, a, m, k, by_row);
        if (packed_b) job.b = packed_by(0, b, n, k, by_column);
        job.after = epilogue(kind, c, m, n, n);
        job.rows = packed_a ? m : below(2) ? 24 : 18;
        job.cols = tile * (1 + wide), job.strip = in_strips ? 16 : 128, job.depth = ceil_div(k, parts), job.part = m * n;
        job.pack_a = panels || way == PACKING_A, job.panels_first = panels;
        job.keep = k > job.strip || below(2);
        const int plain = kind == PLAIN || kind == ADDED, blocks = panels || (job.keep && !plain);
        const fl_int rows = blocks ? round_up(job.rows, FL_TILE_ROWS) : FL_TILE_ROWS, depth = fl_min(k, job.strip);
        const fl_int waiting = panels && !job.keep ? FL_FINISH_BYTES : job.cols * SIZE;
        const fl_int scratch = (plain ? 0 : rows * waiting) + (job.pack_a && !packed_a ? rows * depth * SIZE : 0)
                               + (panels && !packed_b ? depth * job.cols * SIZE : 0);
        if (plain) job.keep = 0;
        run(FL_KERNEL_gemm, &job.head, ceil_div(m, job.rows) * ceil_div(n, job.cols) * parts, scratch);
        reals("product", parts > 1 ? summed(c, parts, m * n) : c, m * n, 64);
        if (kind == WITH_Z) reals("z", job.after.z, m * n, 64);
    }
}

static void check_gemm_dots(void)
{
    static const fl_int ms[] = {1, 2, 3, 5, 9, 13}, ks[] = {1, 3, 16, 33, 100};
    for (int round = 0; round < 120; round++) {
        const int kind = (int)below(EPILOGUES), plain = kind == PLAIN;
        const fl_int m = ms[below(COUNT(ms))], n = ms[below(COUNT(ms))], k = ks[below(COUNT(ks))];
        real *c = numbers(m * n);
        fl_gemm_job job = {.m = m, .n = n, .k = k, .a = numbers(m * k), .b = numbers(k * n), .c = c, .ldc = n};
        job.a_row = k, job.a_step = 1, job.b_step = 1, job.b_col = k, job.depth = k;
        job.after = epilogue(kind, c, m, n, n);
        job.rows = below(2) ? m : 5, job.cols = below(2) ? n : 4;
        run(FL_KERNEL_gemm_dots, &job.head, ceil_div(m, job.rows) * ceil_div(n, job.cols), plain ? 0 : job.rows * job.cols * SIZE);
        reals("product", c, m * n, 64);
        if (kind == WITH_Z) reals("z", job.after.z, m * n, 64);
    }
}

static void check_slope(void)
{
    const fl_int m = 70, n = 83;
    for (int round = 0; round < 24; round++) {
        const int stepped = round % 3 == 2;
        fl_slope_job job = {
            .m = m, .n = n, .v = numbers(m * n), .g = room(m * n), .rows = stepped ? m : 32, .cols = 4 * LINE_REALS};
        const fl_int parts = ceil_div(m, job.rows);
        real *total = stepped ? numbers(n) : room(parts * n);
        job.after = epilogue(round % 3 == 0 ? PLAIN : SLOPED, NULL, m, n, 0);
        job.total = total, job.update = stepped ? update_of((int)below(FL_RULES), total, n) : NULL;
        run(FL_KERNEL_slope, &job.head, parts * ceil_div(n, job.cols), 0);
        reals("g", job.g, m * n, 16);
        reals("total", total, parts * n, 64);
    }
}

static void check_update(void)
{
    const fl_int n = 133;
    for (int rule = 0; rule < FL_RULES; rule++) {
        real *w = numbers(n);
        fl_update_job job = {.update = update_of(rule, w, n), .w = w, .g = numbers(n), .n = n, .per_block = 64};
        run(FL_KERNEL_update, &job.head, ceil_div(n, 64), 0);
        reals("parameters", w, n, 64);
        for (int k = 0; k < FL_STATES; k++) reals("states", (char *)w + job.update->state[k], n, 8);
    }
}

static void check_residuals(void)
{
    const fl_int n = 120, n_blocks = 3;
    for (int loss = 0; loss < FL_LOSSES; loss++)
        for (int kind = 0; kind < 8; kind++) {
            fl_residuals_job job = {
                .loss = loss, .x = numbers_in(n, -3, 3), .grad = room(n), .scale = 0.5, .n = n, .per_block = 44};
            if (kind & 1) job.t = shares(n);
            if (kind & 2) job.weight = weights(n / 4);
            job.width = 4, job.n_parameters = kind & 4 ? 4 : 1;
            job.parameters = weights(4);
            ((double *)job.parameters)[3] = 1;
            job.sums = take((size_t)n_blocks * sizeof(double)), job.v = numbers(n);
            run(FL_KERNEL_residuals, &job.head, n_blocks, 0);
            doubles("sums", job.sums, n_blocks, 64);
            reals("gradient", job.grad, n, 16);
            job.grad = room(n);
            run(FL_KERNEL_residuals_mv, &job.head, n_blocks, 0);
            reals("second derivative", job.grad, n, 64);
        }
}

static void check_smooth(void)
{
    const fl_int m = 9, n = 13;
    for (int by_label = 0; by_label < 2; by_label++) {
        fl_smooth_job job = {.labels = by_label ? labels_below(m, n) : NULL, .targets = shares(m * n), .out = room(m * n)};
        job.share = 0.9, job.floor = 0.1 / n, job.m = m, job.n = n, job.per_block = 4;
        run(FL_KERNEL_smooth, &job.head, ceil_div(m, 4), 0);
        reals("targets", job.out, m * n, 2);
    }
}

static void check_curvature(void)
{
    const fl_int n = 133, m = 9, classes = 13, outer = 3, groups = 5, inner = 7, all = 105;
    for (int activation = 0; activation < FL_EXP; activation++) {
        fl_curve_job job = {.activation = activation, .alpha = FL_ALPHA(activation), .n = n, .per_block = 64};
        job.v = numbers(n), job.dv = activation % 2 ? numbers(n) : NULL, job.of = shares(n), job.dof = numbers(n),
        job.out = room(n);
        run(FL_KERNEL_curve, &job.head, ceil_div(n, 64), 0);
        reals("activation", job.out, n, 64);
    }
    for (int kind = 0; kind < 2; kind++) {
        fl_curve_softmax_job job = {.x = numbers_in(m * classes, -4, 4), .u = numbers(m * classes), .out = room(m * classes)};
        if (kind) job.targets = shares(m * classes), job.weight = weights(m);
        job.scale = 0.5, job.share = 0.9, job.floor = 0.1, job.m = m, job.n = classes, job.per_block = 4;
        run(FL_KERNEL_curve_softmax, &job.head, ceil_div(m, 4), 0);
        reals("softmax", job.out, m * classes, 64);
    }
    for (int kind = 0; kind < 4; kind++) {
        const fl_int features = kind & 1 ? groups : inner;
        fl_curve_norm_job job = {
            .outer = outer, .groups = groups, .inner = inner, .per_block = 2, .by_group = kind & 1, .eps = 1e-5};
        job.x = numbers(all), job.v = numbers(all), job.dv = numbers(all), job.dx = numbers(all), job.gamma = numbers(features);
        job.dgamma = numbers(features), job.out = room(all), job.products = room(all);
        if (kind & 2) job.mean = numbers(groups), job.variance = shares(groups);
        run(FL_KERNEL_curve_norm, &job.head, ceil_div(groups, 2), 0);
        reals("normalisation", job.out, all, 256);
        reals("its products", job.products, all, 256);
    }
}

static void check_outer(void)
{
    const fl_int m = 5, k = 3, n = 37, ld = k * n + 2;
    for (int kind = 0; kind < 4; kind++) {
        fl_outer_job job = {.g = numbers(m * k), .x = kind & 1 ? numbers(m * n) : NULL, .m = m, .k = k, .n = kind & 1 ? n : 1};
        job.ld = ld, job.per_block = 2, job.accumulate = 1;
        if (kind & 2) job.norms = weights(m);
        else job.out = numbers(m * ld);
        run(FL_KERNEL_outer, &job.head, ceil_div(m, 2), 0);
        if (kind & 2) doubles("norms", job.norms, m, 16);
        else reals("products", job.out, m * ld, 0);
    }
}

static void check_layer_norm(void)
{
    static const fl_int lengths[] = {3, 5, 37, 200};
    const fl_int m = 13, per_block = 4, n_blocks = 4;
    for (fl_int l = 0; l < COUNT(lengths); l++)
        for (int sloped = 0; sloped < 2; sloped++) {
            const fl_int n = lengths[l];
            fl_layer_norm_job job = {.m = m, .n = n, .per_block = per_block, .eps = 1e-3, .x = numbers(m * n), .out = room(m * n)};
            job.moments = take((size_t)(2 * m) * sizeof(double)), job.gamma = numbers(n), job.beta = numbers(n);
            job.dgamma = numbers(n), job.dbeta = numbers(n);
            run(FL_KERNEL_layer_norm, &job.head, n_blocks, 0);
            reals("y", job.out, m * n, 64);
            doubles("moments", job.moments, 2 * m, 64);
            job.v = numbers(m * n), job.out = room(m * n);
            run(FL_KERNEL_layer_norm_mv, &job.head, n_blocks, 0);
            reals("J v", job.out, m * n, 256);
            job.out = room(m * n), job.total_gamma = room(n_blocks * n), job.total_beta = room(n_blocks * n);
            if (sloped) job.after = epilogue(SLOPED, NULL, m, n, 0);
            run(FL_KERNEL_layer_norm_tmv, &job.head, n_blocks, 0);
            reals("J' v", job.out, m * n, 256);
            reals("of gamma", job.total_gamma, n_blocks * n, 64);
            reals("of beta", job.total_beta, n_blocks * n, 64);
        }
}

static void check_dropout(void)
{
    const fl_int n = 333, per_block = 2 * FL_DROPOUT_GROUP;
    for (int sloped = 0; sloped < 2; sloped++) {
        fl_dropout_job job = {.n = n, .per_block = per_block, .p = 0.3, .x = numbers(n), .out = room(n), .keep = take((size_t)n)};
        real *seed = room(4), *count = room(3);
        for (int i = 0; i < 4; i++) seed[i] = (real)below(65536);
        count[0] = 65535, count[1] = 7, count[2] = 0;
        job.seed = seed, job.count = count;
        run(FL_KERNEL_dropout_draw, &job.head, ceil_div(n, per_block), 0);
        bytes("kept", job.keep, (size_t)n);
        reals("drawn", job.out, n, 0);
        job.out = room(n), job.after = epilogue(sloped ? SLOPED : PLAIN, NULL, 1, n, 0);
        for (fl_int i = 0; i < n; i++) job.keep[i] = i % 3 != 1;
        run(FL_KERNEL_dropout, &job.head, ceil_div(n, per_block), 0);
        reals("dropped", job.out, n, 16);
        run(FL_KERNEL_dropout_count, &job.head, 1, 0);
        reals("count", count, 3, 0);
    }
}

static void check_conditional(void)
{
    const fl_int n = 37;
    for (int flag = 0; flag < 2; flag++) {
        fl_map_job job = {.function = FL_RELU, .x = numbers(n), .y = numbers(n), .n = n, .per_block = n};
        job.head.then = table->fn[FL_KERNEL_map][DTYPE], job.head.flag = &flag, job.head.wanted = 1;
        run(FL_KERNEL_conditional, &job.head, 1, 0);
        reals("if wanted", job.y, n, 0);
    }
}

static void check_kmeans(void)
{
    static const fl_int features[] = {3, 19, 140};
    const fl_int m = 230, k = 7, tile = 2 * lanes, columns = round_up(k, tile), per_block = 96, n_blocks = 3;
    for (fl_int f = 0; f < COUNT(features); f++)
        for (int kind = 0; kind < 4; kind++) { /* shifted and weighted, or not; with bounds, or not */
            const fl_int n = features[f], size = k * n + k;
            const real *x = numbers(m * (n + 1)), *centers = numbers(k * n);
            real *bias = room(columns), *minus = room(columns), *squares = room(m), *shift = kind & 1 ? numbers(n) : NULL;
            const double scale = kind & 1 ? 0.5 : 1;
            fl_kmeans_job job = {.samples = {x, n + 1, m, n, shift, scale, kind & 1 ? weights(m) : NULL}, .k = k};
            fl_moments_job moments = {.samples = job.samples, .per_block = per_block, .squares = room(m)};
            fl_distances_job distances = {.samples = job.samples, .per_block = per_block, .centers = centers};
            const real *zeros = memset(room(columns), 0, (size_t)(columns * SIZE));
            int32_t *labels = take((size_t)m * sizeof *labels), *group = take((size_t)k * sizeof *group), *given;

            moments.sums = take((size_t)(n_blocks * (n + 2)) * sizeof(double));
            run(FL_KERNEL_kmeans_moments, &moments.head, n_blocks, 0);
            doubles("moments", moments.sums, n_blocks * (n + 2), 64);
            reals("squares", moments.squares, m, 64);

            given = take((size_t)m * sizeof *given);
            for (fl_int i = 0; i < m; i++) given[i] = (int32_t)below(k), labels[i] = 0;
            distances.labels = given, distances.distance = take((size_t)m * sizeof(double));
            distances.totals = take((size_t)n_blocks * sizeof(double));
            run(FL_KERNEL_kmeans_distances, &distances.head, n_blocks, 0);
            doubles("distances", distances.distance, m, 64);
            doubles("their sums", distances.totals, n_blocks, 64);

            for (fl_int c = 0; c < columns; c++) {
                double sum = 0;
                for (fl_int j = 0; c < k && j < n; j++) sum += (double)centers[c * n + j] * (double)centers[c * n + j];
                bias[c] = c < k ? (real)(-sum / 2) : -REAL_INF;
                minus[c] = (real)-c;
            }
            for (fl_int i = 0; i < m; i++) {
                double sum = 0;
                for (fl_int j = 0; j < n; j++) {
                    const double d = (double)x[i * (n + 1) + j] * scale - (shift ? (double)shift[j] : 0);
                    sum += d * d;
                }
                squares[i] = (real)sum;
            }
            job.assign = 1, job.centers = centers, job.panels = packed_by(0, centers, k, n, 1), job.bias = bias, job.minus = minus;
            job.columns = columns, job.chunk = tile, job.strip = 40, job.depth = 8, job.per_block = per_block;
            job.labels = labels, job.sums = take((size_t)(n_blocks * size) * sizeof(double)), job.first = 1;
            job.changes = memset(take((size_t)n_blocks * sizeof(int64_t)), 0, (size_t)n_blocks * sizeof(int64_t));
            job.squares = squares;
            const fl_int rows = round_up(job.strip, 48), longs = 6 * (fl_int)sizeof(fl_int) + (fl_int)sizeof(double);
            const fl_int scratch = rows * ((columns + tile + 7 + job.depth) * SIZE + longs) + round_up(k, 16) * 4;
            if (kind & 2) {
                const fl_int groups = columns / tile;
                for (fl_int c = 0; c < k; c++) group[c] = (int32_t)(c / tile);
                job.bounds =
                    (fl_kmeans_bounds){room(m), room(m * groups), zeros, zeros, group, 4, FL_IS_F32 ? 1e-5 : 1e-14, groups, 1};
            }
            for (int pass = 0; pass < 2; pass++, job.bounds.fresh = 0, job.first = 0) {
                run(FL_KERNEL_kmeans, &job.head, n_blocks, scratch);
                bytes("labels", memcpy(take((size_t)m * sizeof *labels), labels, (size_t)m * sizeof *labels),
                      (size_t)m * sizeof *labels);
            }
            doubles("sums", job.sums, n_blocks * size, 64);
            bytes("changes", job.changes, (size_t)n_blocks * sizeof(int64_t));

            job.assign = 0, job.chunk = columns, job.nearest = numbers_in(m, 0, n), job.noise = 1e-7, job.mean_square = 1;
            job.sums = take((size_t)(n_blocks * k) * sizeof(double));
            run(FL_KERNEL_kmeans_seed, &job.head, n_blocks, scratch);
            doubles("distances to candidates", job.sums, n_blocks * k, 256);
        }
}
