/* convolutions.h: checks of convolutions, planned as fastlec/_kernels/conv does, but for what only saves memory or time. */
#include "check.h"

/* A convolution of x (images, groups * channels, h, w) to y (images, groups * rows, oh, ow). */
typedef struct {
    fl_int images, groups, rows, channels, h, w, r, s, step, dilation, pad, oh, ow, taps;
    fl_int *ty, *tx, *place;
    real *x, *weights, *y;
} shape;

static shape shape_of(fl_int images, fl_int groups, fl_int rows, fl_int channels, fl_int h, fl_int w, fl_int side, fl_int step,
                      fl_int dilation, fl_int pad)
{
    shape S = {images, groups, rows, channels, h, w, side, side, step, dilation, pad, .taps = side * side};
    S.oh = (h + 2 * pad - dilation * (side - 1) - 1) / step + 1, S.ow = (w + 2 * pad - dilation * (side - 1) - 1) / step + 1;
    S.ty = table_of(S.taps, 0), S.tx = table_of(S.taps, 0), S.place = table_of(S.taps, 1);
    for (fl_int q = 0; q < S.taps; q++) S.ty[q] = dilation * (q / side), S.tx[q] = dilation * (q % side);
    S.x = numbers(images * groups * channels * h * w);
    S.weights = numbers(groups * rows * channels * S.taps);
    S.y = numbers(images * groups * rows * S.oh * S.ow);
    return S;
}

static fl_int outputs(const shape *S) { return S->images * S->groups * S->rows * S->oh * S->ow; }
static fl_int all_weights(const shape *S) { return S->groups * S->rows * S->channels * S->taps; }

/* Planes for parts of the grid; single: one plane with steps instead of one for each phase of the stride. */
static fl_conv_planes planes_for(const shape *S, fl_int rows, fl_int cols, int single)
{
    const fl_int far = S->dilation * (S->r - 1), beyond = far / S->step;
    fl_conv_planes P = {
        .h = S->h, .w = S->w, .sh = S->step, .sw = S->step, .top = S->pad, .left = S->pad, .step_y = 1, .step_x = 1};
    P.tile_rows = rows, P.tile_cols = cols, P.phases_y = P.phases_x = fl_min(S->step, far + 1);
    P.plane_rows = rows + beyond, P.width = P.pitch = cols + beyond;
    if (single) {
        P.sh = P.sw = P.phases_y = P.phases_x = 1;
        P.step_y = P.step_x = S->step;
        P.plane_rows = (rows - 1) * S->step + far + 1, P.width = (cols - 1) * S->step + far + 1;
        P.pitch = round_up(P.width, 16);
    }
    P.plane = P.plane_rows * P.pitch + P.width - fl_min(P.pitch, P.width);
    return P;
}

/* Where each tap reads in planes whose phases lie `apart`. */
static fl_int *offsets(const shape *S, const fl_conv_planes *P, fl_int apart)
{
    fl_int *offset = table_of(S->taps, 0);
    for (fl_int q = 0; q < S->taps; q++)
        offset[q] = (S->ty[q] % P->sh * P->phases_x + S->tx[q] % P->sw) * apart + S->ty[q] / P->sh * P->pitch + S->tx[q] / P->sw;
    return offset;
}

static fl_conv_taps taps_of(const shape *S, fl_int mr)
{
    const fl_int row = S->channels * S->taps;
    return (fl_conv_taps){S->weights, S->rows * row, row, S->taps, S->place, FL_PACK_ROWS, mr};
}

static real *panels_of(const shape *S, fl_conv_phase *phase, fl_int mr)
{
    const fl_int panels = ceil_div(S->rows, mr);
    fl_conv_pack_job job = {.phase = phase, .phases = 1, .groups = S->groups, .rows = S->rows, .channels = S->channels};
    *phase = (fl_conv_phase){0, 0, S->oh, S->ow, S->taps, 0, 0};
    job.panels = panels, job.taps = taps_of(S, mr), job.a = room(S->groups * panels * S->channels * S->taps * mr + 16);
    run(FL_KERNEL_conv_pack, &job.head, S->groups * panels, 0);
    return job.a;
}

static fl_epilogue after_conv(const shape *S, int kind)
{
    return epilogue(kind, S->y, S->images * S->groups * S->rows, S->oh * S->ow, S->groups * S->rows);
}

static const int kinds[] = {PLAIN, BIAS, ACTIVATED, WITH_RESIDUAL, SLOPED, ADDED, WITH_Z}; /* that follow convolutions */

static void convolve(shape S, int by_channel, int single, fl_int mr, int kind)
{
    const fl_int rows = fl_min(S.oh, 3), cols = fl_min(S.ow, 40), chunk = ceil_div(S.channels, 2), panels = ceil_div(S.rows, mr);
    fl_conv_phase phase;
    fl_conv_job job = {.images = S.images, .groups = S.groups, .rows = S.rows, .channels = S.channels, .mr = mr, .panels = panels};
    job.a = panels_of(&S, &phase, mr), job.phase = &phase, job.planes = planes_for(&S, rows, cols, single);
    job.grid_rows = job.oh = S.oh, job.grid_cols = job.ow = S.ow;
    job.tiles_down = ceil_div(S.oh, rows), job.tiles_across = ceil_div(S.ow, cols);
    job.phases = job.down = job.across = job.beside = 1, job.per_block = ceil_div(panels, 2), job.chunk = chunk;
    const fl_int per_channel = job.planes.phases_y * job.planes.phases_x * job.planes.plane;
    job.flat = S.taps == 1;
    job.offset = job.flat ? table_of(chunk, per_channel) : offsets(&S, &job.planes, job.planes.plane);
    job.x = S.x, job.y = S.y, job.after = after_conv(&S, kind), job.by_row = mr % 2;
    run(by_channel ? FL_KERNEL_conv_channels : FL_KERNEL_conv, &job.head,
        S.images * S.groups * job.tiles_down * job.tiles_across * ceil_div(panels, job.per_block),
        (FL_CONV_ROWS + 2) * FL_CONV_BYTES + (by_channel ? 2 * (FL_CONV_STRIP + lanes) * lanes * SIZE : 0)
            + SIZE * chunk * per_channel);
    reals("y", S.y, outputs(&S), 64);
    if (kind == WITH_Z) reals("z", job.after.z, outputs(&S), 64);
}

static void check_conv(void)
{
    for (int round = 0; round < 84; round++) {
        const fl_int side = 1 + below(3), step = side == 1 ? 1 : 1 + below(2), dilation = 1 + below(2), pad = below(side),
                     groups = 1 + below(2);
        const fl_int width = 9 + below(60), mr = 1 + below(table->facts.conv_rows);
        convolve(shape_of(2, groups, 1 + below(11), 1 + below(5), 8, width, side, step, dilation, pad), 0, 0, mr,
                 kinds[round % COUNT(kinds)]);
    }
    for (int round = 0; round < 84; round++) {
        const fl_int side = 1 + below(3), step = side == 1 ? 1 : 1 + below(2), dilation = 1 + below(2), pad = below(side),
                     wide = 1 + below(2);
        const fl_int width = 9 + below(60), rows = 1 + below(40), channels = 1 + below(5);
        convolve(shape_of(2, 1, rows, channels, 8, width, side, step, dilation, pad), 1, step > 1 && below(2), wide * lanes,
                 kinds[round % COUNT(kinds)]);
    }
}

static fl_conv_bands bands_for(const shape *S, fl_int rows)
{
    const fl_int beyond = S->dilation * (S->r - 1), before = S->pad;
    fl_conv_bands G = {S->images, S->h, S->w, S->pad, S->pad, S->oh, S->ow, .taps = S->taps, .ext_rows = beyond};
    G.ty = S->ty, G.tx = S->tx, G.tile_rows = rows, G.plane_rows = fl_min(rows + beyond, S->h), G.before = before;
    G.width = before + fl_max(S->w, S->ow + beyond - S->pad);
    return G;
}

static void check_conv_images(void)
{
    for (int round = 0; round < 42; round++) {
        const fl_int side = 1 + 2 * below(2), dilation = 1 + below(2), mr = 1 + below(table->facts.conv_rows), rows = 3;
        const int kind = kinds[round % COUNT(kinds)];
        shape S =
            shape_of(1 + below(21), 1 + below(2), 1 + below(11), 1 + below(5), 7, 5 + below(9), side, 1, dilation, below(side));
        const fl_int band_rows = fl_min(rows, S.oh), panels = ceil_div(S.rows, mr), chunk = ceil_div(S.channels, 2);
        const fl_int units = ceil_div(S.images, lanes) * ceil_div(S.oh, band_rows), list = round_up(2 * S.taps * 8, 64) / SIZE;
        fl_conv_phase phase;
        fl_conv_images_job job = {.groups = S.groups, .rows = S.rows, .channels = S.channels, .mr = mr, .panels = panels};
        job.bands = bands_for(&S, band_rows), job.a = panels_of(&S, &phase, mr), job.x = S.x, job.y = S.y;
        job.after = after_conv(&S, kind), job.chunk = chunk, job.list = list;
        const fl_conv_bands *G = &job.bands;
        run(FL_KERNEL_conv_images, &job.head, S.groups * units,
            SIZE * (list + lanes * (panels * mr * G->tile_rows + chunk * G->plane_rows) * G->width));
        reals("y", S.y, outputs(&S), 64);
        if (kind == WITH_Z) reals("z", job.after.z, outputs(&S), 64);

        fl_conv_weights_images_job back = {.groups = S.groups, .rows = S.rows, .channels = S.channels, .bands = *G, .across = S.s};
        const fl_int per_part = 2, parts = ceil_div(units, per_part), size = all_weights(&S);
        back.v = numbers(outputs(&S)), back.x = S.x, back.dw = room(parts * size);
        back.units = units, back.per_part = per_part, back.chunk = chunk;
        run(FL_KERNEL_conv_weights_images, &back.head, parts * S.groups,
            SIZE * (list + lanes * (S.rows * G->tile_rows + chunk * G->plane_rows) * G->width));
        reals("of the weights", summed(back.dw, parts, size), size, 64);
    }
}

static void check_conv_weights(void)
{
    for (int round = 0; round < 60; round++) {
        const int by_channel = round % 2, single = by_channel && below(2);
        const fl_int side = 1 + below(3), step = side == 1 ? 1 : 1 + below(2), mr = (1 + below(2)) * lanes, whole = below(2);
        shape S = shape_of(3, 1 + below(2), 1 + below(20), 1 + below(7), 8, 9 + below(30), side, step, 1 + below(2), below(side));
        const fl_int rows = whole ? S.oh : fl_min(S.oh, 3), together = whole ? 2 : 1, part_images = 2, parts = 2;
        fl_conv_weights_job job = {.images = S.images, .taps = S.taps, .grid_rows = S.oh, .grid_cols = S.ow, .mr = mr};
        const fl_int row_chunk = by_channel ? mr : 8, channel_chunk = ceil_div(S.channels, 2), size = all_weights(&S);
        job.regions = (fl_conv_regions){S.groups, S.rows, S.channels, row_chunk, channel_chunk};
        job.planes = planes_for(&S, rows, S.ow, single && step > 1);
        const fl_conv_planes *P = &job.planes;
        const fl_int phases = P->phases_y * P->phases_x,
                     regions = S.groups * ceil_div(S.rows, row_chunk) * ceil_div(S.channels, channel_chunk);
        job.offset = offsets(&S, P, P->plane * together + LINE_REALS);
        job.v = numbers(outputs(&S)), job.x = S.x, job.dw = room(parts * size), job.part_images = part_images,
        job.together = together;
        if (round % 10 == 4) ((real *)job.v)[7] = REAL_INF;
        fl_int scratch = 3 * FL_CONV_BYTES + (SIZE * together * P->plane + 64) * channel_chunk * phases;
        if (by_channel) scratch += SIZE * (row_chunk * channel_chunk * S.taps + lanes * mr + row_chunk * together * rows * S.ow);
        else scratch += row_chunk * (SIZE * together * P->plane + 64);
        run(by_channel ? FL_KERNEL_conv_weights_channels : FL_KERNEL_conv_weights, &job.head, parts * regions, scratch);
        reals("of the weights", job.dw, parts * size, 64);
    }
}

static void check_depthwise(void)
{
    for (int round = 0; round < 42; round++) {
        const fl_int side = round % 3 ? 3 : 5, dilation = side == 3 ? 1 : 1 + below(2), groups = 3;
        const int kind = kinds[round % COUNT(kinds)];
        shape S = shape_of(2, groups, 1 + below(3), 1, 9, 10 + below(60), side, 1, dilation, below(side));
        fl_depthwise_job job = {.images = S.images, .groups = S.groups, .rows = S.rows, .h = S.h, .w = S.w, .oh = S.oh, .ow = S.ow};
        job.top = job.left = S.pad, job.r = job.s = side, job.dh = job.dw = dilation, job.weights = S.weights, job.place = S.place;
        job.x = S.x, job.y = S.y, job.after = after_conv(&S, kind), job.per_block = 2;
        run(FL_KERNEL_depthwise, &job.head, ceil_div(S.images * groups * S.rows, 2), S.taps * SIZE);
        reals("y", S.y, outputs(&S), 64);
        if (kind == WITH_Z) reals("z", job.after.z, outputs(&S), 64);
        if (side != 3) continue;
        fl_depthwise_weights_job back = {.images = S.images, .groups = groups, .rows = S.rows, .h = S.h, .w = S.w, .oh = S.oh};
        back.ow = S.ow, back.top = back.left = S.pad, back.v = numbers(outputs(&S)), back.x = S.x, back.dw = room(all_weights(&S));
        back.per_block = 2;
        run(FL_KERNEL_depthwise_weights, &back.head, ceil_div(groups * S.rows, 2), 0);
        reals("of the weights", back.dw, all_weights(&S), 64);
    }
}

/* --- Winograd's ----------------------------------------------------------------------------------------------------- */

static fl_wino_tiles tiles_of(const shape *S)
{
    const fl_int d = S->dilation;
    fl_wino_tiles T = {S->h, S->w, S->pad, S->pad, S->oh, S->ow, d, d, .down = ceil_div(ceil_div(S->oh, d), FL_WINO_TILE)};
    T.across = ceil_div(ceil_div(S->ow, d), FL_WINO_TILE), T.rows = T.down * fl_min(d, S->oh), T.cols = T.across * fl_min(d, S->ow);
    return T;
}

static fl_int pixel_bytes(fl_int pitch) { return SIZE * (FL_WINO_POINTS + FL_WINO_TILE) * (pitch + lanes); }
static fl_int direct_bytes(fl_int pitch) { return SIZE * FL_WINO_DIRECT * FL_WINO_TILE * FL_WINO_TILE * pitch; }

/* The measures of the tiles of x, of `channels` channels in each group. */
static real *measured(const shape *S, fl_wino_tiles T, const real *x, fl_int channels, int span, double *totals, fl_int pitch)
{
    const fl_int pixels = T.h * T.w, per_block = 64, parts = S->images * ceil_div(pixels, per_block);
    fl_winograd_maps_job maps = {.images = S->images, .groups = S->groups, .channels = channels, .pixels = pixels};
    maps.per_block = per_block, maps.x = x, maps.maps = room(S->groups * S->images * FL_WINO_MAPS * pixels), maps.totals = totals;
    run(FL_KERNEL_winograd_maps, &maps.head, parts * S->groups, 0);
    reals("maps", maps.maps, S->groups * S->images * FL_WINO_MAPS * pixels, 64);
    fl_winograd_measure_job job = {
        .images = S->images, .span = span, .tiles = T, .per_block = 2, .maps = maps.maps, .pitch = pitch};
    job.measures = room(S->groups * FL_WINO_MAPS * pitch);
    run(FL_KERNEL_winograd_measure, &job.head, S->groups * ceil_div(S->images * T.rows, 2),
        pixel_bytes(round_up(2 * T.cols, lanes)));
    return job.measures;
}

static fl_winograd_job winograd_job(const shape *S, fl_int tile_rows, const real *bounds, fl_int pitch)
{
    fl_winograd_job job = {
        .images = S->images, .groups = S->groups, .rows = S->rows, .channels = S->channels, .tiles = tiles_of(S)};
    job.pitch = round_up(tile_rows * job.tiles.cols, lanes), job.offset = table_of(S->channels, job.pitch);
    job.x = S->x, job.bounds = bounds, job.bounds_pitch = pitch;
    return job;
}

static void winograd_many(shape S, int kind, const real *bounds, fl_int pitch, fl_int mr)
{
    const fl_int panels = ceil_div(S.rows, mr), per_block = 2;
    fl_winograd_pack_job pack = {
        .groups = S.groups, .rows = S.rows, .channels = S.channels, .panels = panels, .taps = taps_of(&S, mr)};
    pack.u = room(S.groups * FL_WINO_POINTS * panels * (mr * S.channels + LINE_REALS)), pack.density = room(S.groups * S.rows);
    run(FL_KERNEL_winograd_pack, &pack.head, S.groups * panels, SIZE * (9 * FL_WINO_RUN * mr + LINE_REALS));
    reals("densities", pack.density, S.groups * S.rows, 64);

    fl_winograd_job job = winograd_job(&S, per_block, bounds, pitch);
    fl_winograd_choose_job choose = {.groups = S.groups, .rows = S.rows, .count = S.images * job.tiles.rows * job.tiles.cols};
    choose.pitch = pitch, choose.bounds = bounds, choose.density = pack.density, choose.direct = take(sizeof(int)),
    choose.most = 0; /* whatever the lanes */
    choose.x = S.x, choose.w = S.weights, choose.x_size = S.images * S.groups * S.channels * S.h * S.w,
    choose.w_size = all_weights(&S);
    run(FL_KERNEL_winograd_choose, &choose.head, 1, 0);
    bytes("choice", choose.direct, sizeof(int));

    job.per_block = per_block, job.taps = taps_of(&S, mr), job.panels = panels, job.u = pack.u, job.density = pack.density;
    job.y = S.y, job.after = after_conv(&S, kind);
    run(FL_KERNEL_winograd, &job.head, S.groups * ceil_div(S.images * job.tiles.rows, per_block),
        SIZE * FL_WINO_POINTS * (S.channels + S.rows + FL_CONV_ROWS) * job.pitch + 2 * FL_WINO_POINTS * 64 + pixel_bytes(job.pitch)
            + direct_bytes(job.pitch));
    reals("y", S.y, outputs(&S), 1024);
    if (kind == WITH_Z) reals("z", job.after.z, outputs(&S), 1024);
}

static void winograd_few(shape S, int kind, const real *bounds, fl_int pitch, int transposed)
{
    const fl_wino_tiles T = tiles_of(&S);
    const fl_int total = S.images * T.rows, tiles = total * T.cols, parts = ceil_div(S.channels, FL_WINO_CHANNELS);
    const fl_int mr = transposed ? 2 * lanes : table->facts.conv_rows, panels = ceil_div(S.rows, mr),
                 per_block = ceil_div(panels, 2);
    fl_winograd_job in = winograd_job(&S, total, NULL, 0), job = winograd_job(&S, total, bounds, pitch);
    in.v = room(S.groups * parts * FL_WINO_POINTS * (FL_WINO_CHANNELS * in.pitch + LINE_REALS));
    run(FL_KERNEL_winograd_in, &in.head, S.groups * parts, pixel_bytes(in.pitch));
    job.per_block = per_block, job.taps = taps_of(&S, mr), job.panels = panels, job.v = in.v, job.y = S.y;
    job.along_rows = transposed ? table_of(FL_WINO_RUN, mr) : NULL, job.after = after_conv(&S, kind);
    const fl_int apart = per_block * FL_WINO_POINTS * (FL_WINO_CHANNELS * mr + LINE_REALS);
    const fl_int sums = FL_WINO_POINTS * (per_block * mr * (job.pitch + (transposed ? tiles : 0)) + 2 * LINE_REALS);
    const fl_int packing = SIZE * (9 * FL_WINO_RUN * mr + LINE_REALS);
    run(FL_KERNEL_winograd_few, &job.head, S.groups * ceil_div(panels, per_block),
        SIZE * (apart + sums + per_block * (2 * FL_WINO_ROWS + mr))
            + fl_max(packing, pixel_bytes(job.pitch) + direct_bytes(job.pitch)));
    reals("y", S.y, outputs(&S), 1024);
    if (kind == WITH_Z) reals("z", job.after.z, outputs(&S), 1024);
}

static void check_winograd(void)
{
    for (int round = 0; round < 28; round++) {
        const int kind = kinds[round % COUNT(kinds)], spiky = round % 4 == 3;
        const fl_int groups = 1 + below(2), rows = 3 + below(30), channels = 2 + below(40), side = 6 + below(12),
                     dilation = 1 + below(2);
        shape S = shape_of(2, groups, rows, channels, 7, side, 3, 1, dilation, 1 + below(2));
        if (spiky) S.x[S.w + 3] = (real)1e6; /* far larger than all others: its tile is summed directly */
        const fl_wino_tiles T = tiles_of(&S);
        const fl_int count = S.images * T.rows * T.cols, pitch = round_up(count, lanes);
        fl_winograd_bounds_job job = {.images = S.images, .tiles = T, .groups = groups, .channels = channels, .rows = rows};
        job.count = count, job.pitch = pitch, job.measures = measured(&S, T, S.x, channels, 6, NULL, pitch);
        job.bounds = room(groups * pitch);
        run(FL_KERNEL_winograd_bounds, &job.head, groups, FL_WINO_BUCKETS * (fl_int)sizeof(int));
        for (fl_int g = 0; g < groups; g++) reals("bounds", (real *)job.bounds + g * pitch, count, 64);
        if (round % 2) winograd_many(S, kind, job.bounds, pitch, 1 + below(table->facts.conv_rows));
        else winograd_few(S, kind, job.bounds, pitch, round % 4 == 2 && count <= table->facts.conv_rows);
    }
    for (int round = 0; round < 4; round++) { /* few tiles, lanes along the rows of A */
        shape S = shape_of(1, 1, 5 + below(60), 2 + below(40), 4, 3 + below(2), 3, 1, 1, 1);
        winograd_few(S, PLAIN, memset(room(64), 0, (size_t)(64 * SIZE)), 64, 1);
    }
}

static void check_winograd_weights(void)
{
    for (int round = 0; round < 16; round++) {
        const fl_int groups = 1 + below(2), rows = 3 + below(20), channels = 2 + below(20), dilation = 1 + below(2), part_rows = 3,
                     together = 2;
        shape S = shape_of(2, groups, rows, channels, 9, 6 + below(12), 3, 1, dilation, 1);
        fl_wino_tiles T = tiles_of(&S), V = T;
        const fl_int count = S.images * T.rows * T.cols, pitch = round_up(count, lanes), size = all_weights(&S);
        real *v = numbers(outputs(&S));
        if (round % 4 == 3) S.x[0] = (real)1e6;
        V.h = T.oh, V.w = T.ow, V.top = V.left = 0;
        fl_winograd_bounds_job guard = {.images = S.images, .tiles = T, .groups = groups, .channels = channels, .rows = rows};
        const fl_int x_parts = S.images * ceil_div(T.h * T.w, 64), v_parts = S.images * ceil_div(T.oh * T.ow, 64);
        double *totals = take((size_t)(2 * groups * x_parts) * sizeof(double)),
               *v_totals = take((size_t)(2 * groups * v_parts) * sizeof(double));
        guard.count = count, guard.pitch = pitch, guard.totals = totals, guard.v_totals = v_totals;
        guard.measures = measured(&S, T, S.x, channels, 6, totals, pitch);
        guard.v_measures = measured(&S, V, v, rows, FL_WINO_TILE, v_totals, pitch);
        guard.x_parts = x_parts, guard.v_parts = v_parts, guard.bounds = room(groups * pitch), guard.direct = take(sizeof(int));
        guard.x = S.x, guard.v = v, guard.x_size = S.images * groups * channels * S.h * S.w, guard.v_size = outputs(&S);
        run(FL_KERNEL_winograd_weights_bounds, &guard.head, 1, FL_WINO_BUCKETS * (fl_int)sizeof(int));
        bytes("choice", guard.direct, sizeof(int));
        doubles("totals", totals, 2 * groups * x_parts, 64);
        for (fl_int g = 0; g < groups; g++) reals("bounds", (real *)guard.bounds + g * pitch, count, 0);

        const fl_int row_chunk = ceil_div(rows, 2), channel_chunk = ceil_div(channels, 2),
                     mr = fl_min(row_chunk, table->facts.conv_rows);
        const fl_int total = S.images * T.rows, parts = ceil_div(total, part_rows), across = T.cols;
        const fl_int ld = round_up(channel_chunk, lanes), whole = round_up(row_chunk, mr);
        const fl_int regions = groups * ceil_div(rows, row_chunk) * ceil_div(channels, channel_chunk);
        fl_winograd_weights_job job = {
            .images = S.images, .tiles = T, .v = v, .x = S.x, .dw = room(parts * size), .part_rows = part_rows};
        job.regions = (fl_conv_regions){groups, rows, channels, row_chunk, channel_chunk};
        job.together = together, job.mr = mr, job.pitch = round_up(together * across, lanes),
        job.offset = table_of(together * across, ld);
        job.bounds = guard.bounds, job.bounds_pitch = pitch;
        run(FL_KERNEL_winograd_weights, &job.head, parts * regions,
            SIZE
                    * (FL_WINO_POINTS * ((row_chunk + channel_chunk) * job.pitch + 2 * LINE_REALS + whole * ld + LINE_REALS)
                       + job.pitch * (whole + ld) + LINE_REALS + (9 * row_chunk + FL_WINO_POINTS) * ld)
                + pixel_bytes(job.pitch));
        reals("of the weights", job.dw, parts * size, 4096);
    }
}
