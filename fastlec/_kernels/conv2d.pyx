# cython: freethreading_compatible=True
"""Convolutions as jobs of a plan: forward map, data's and weights' gradients, by the algorithm that fits.

x (n, c, h, w), W (k, c / groups, r, s), y and v (n, k, oh, ow), all in C order, aligned and of the plan's dtype. g is the
`Geometry` of fastlec._geometry.
"""

cimport numpy as cnp

from fastlec._kernels cimport by_images, depthwise, winograd
from fastlec._kernels.dense cimport sum_parts
from fastlec._kernels.epilogue cimport ACCUMULATE, ACTIVATION, BIAS, DERIVATIVE, RESIDUAL, UPDATE, Epilogue, checked
from fastlec._kernels.fl cimport *
from fastlec._kernels.layout cimport ENOUGH, LEAST_MACS, MOST_MACS, MOST_PARTIAL, MOST_SCRATCH, SCRATCH, Layout
from fastlec._kernels.layout cimport check_image, choose_tile, data_layout, depth_of, entries, forward_layout, lanes_of
from fastlec._kernels.layout cimport new_table, packed, rows_of_panel
from fastlec._kernels.plan cimport Plan, blocks, up
from fastlec._kernels.runner cimport vector_bytes

from fastlec._kernels.dense import slope
from fastlec._kernels.gemm import product
from fastlec._kernels.im2col import im2col as _im2col
from fastlec._kernels.update import step

cnp.import_array()

cdef enum:
    AUTO_CODE, IM2COL_CODE, DIRECT_CODE, WINOGRAD_CODE

AUTO, IM2COL, DIRECT, WINOGRAD = AUTO_CODE, IM2COL_CODE, DIRECT_CODE, WINOGRAD_CODE

cdef int default = AUTO_CODE    # the process's choice: what "auto" is


def set_default(int algorithm):
    """What plans take for AUTO from now on; those that are there stay as they are."""
    global default
    default = algorithm


def get_default():
    """What plans take for AUTO."""
    return default

cdef double DOTS = 1.08     # of dots, whose loads take longer than their products
cdef double GAIN = 0.95     # where lanes along the images pay

cdef enum:
    RUN = 14                # pixels at a time where lanes lie along the channels,
    RUN_AVX2 = 6            # or with 16 registers;
    MOST_STEP = 2           # from one to the next
    TURN = 18               # products that such a pixel's turning into rows of y costs
    COPY = 32               # and that of a register of pixels to a plane, which these lanes can do without if nothing is padded,
    STORE = 3               # and its way from sums to y,
    SCATTER = 20            # or pixel by pixel, if they lie apart;
    TURN_V = 4              # the turning of a pixel of v for the weights' gradient,
    COPY_V = 24             # and its copy to a plane
    DOTS_PIXELS = 1024      # in a sum, if its end is to cost little: with lanes along the pixels,
    TAPS_PIXELS = 256       # or the channels
    ROW_STORE = 2           # cycles of a register that is stored as it is,
    PART_STORE = 8          # or by way of a buffer, since it holds parts of several rows


cdef bint reads_in_place(Layout L) noexcept:
    """For lanes along the channels: every pixel that an output reads is there."""
    return (L.sw <= MOST_STEP and L.top == L.left == 0
            and (L.grid_rows - 1) * L.sh + L.far_y < L.h and (L.grid_cols - 1) * L.sw + L.far_x < L.w)


cdef bint reads_one_plane(Layout L, fl_conv_planes *P) noexcept:
    """For them likewise: no phases of a stride, but steps. Not if the plane would have rows or columns that no tap reads."""
    return (L.sh * L.sw > 1 and L.sw <= MOST_STEP and L.phases_y == L.sh and L.phases_x == L.sw
            and P.from_y is NULL and P.from_x is NULL)


cdef double share(Layout L, fl_conv_planes *P):
    """Planes of the source for each of y."""
    return <double>L.channels * P.phases_y * P.phases_x / L.rows


cdef double share_along_channels(Layout L, fl_conv_planes *P):
    """The same for lanes along the channels; one plane is copied in half the time of its phases."""
    return 0 if reads_in_place(L) else share(L, P) / 2 if reads_one_plane(L, P) else share(L, P)


cdef double cost_along_pixels(Layout L, fl_conv_planes *P, fl_int lanes):
    """Products computed for each that is wanted, and what else takes their time."""
    cdef fl_int cols = P.tile_cols, mr = rows_of_panel(L.rows)
    cdef double cost = min(<double>P.tile_rows * up(cols, lanes), <double>up((P.tile_rows - 1) * P.pitch + cols, lanes))
    cost *= blocks(L.rows, mr) * (mr + 0.3) / L.rows / (<double>P.tile_rows * cols)
    return cost + (COPY * share(L, P) + (STORE if L.across == 1 else SCATTER)) / depth_of(L)


cdef double cost_along_channels(Layout L, fl_conv_planes *P, fl_int lanes):
    """The same with lanes along the channels of y, each pixel on its own."""
    cdef fl_int runs = blocks(P.tile_cols, RUN if vector_bytes() == 64 else RUN_AVX2)
    cdef double cost = <double>up(L.rows, lanes) / L.rows * runs * blocks(P.tile_cols, runs) / P.tile_cols
    return cost * (1 + <double>TURN / depth_of(L)) + COPY * share_along_channels(L, P) / depth_of(L)


cdef fl_int panel_along_channels(fl_int rows, fl_int lanes) noexcept:
    """Two registers, if that leaves none empty."""
    return 2 * lanes if blocks(rows, lanes) % 2 == 0 else lanes


cdef int convolve_direct(Plan plan, Layout L, cnp.ndarray x, cnp.ndarray W, cnp.ndarray y, Epilogue after) except -1:
    """Two jobs: the panels of A, and the product."""
    cdef fl_int mr, panels, f, chunk, per_block, rows, parts, lanes = lanes_of(plan)
    cdef bint by_channel, in_place, flat
    cdef fl_conv_planes P
    cdef fl_conv_job *job
    cdef cnp.ndarray a
    cdef double macs, pixels, channels
    choose_tile(L, &P, &chunk, plan.size)
    pixels, channels = cost_along_pixels(L, &P, lanes), cost_along_channels(L, &P, lanes)
    if by_images.fits(plan, L) and by_images.cost(L, lanes) < GAIN * min(pixels, channels):
        return by_images.convolve(plan, L, x, W, y, after)
    by_channel = channels < pixels
    in_place = by_channel and reads_in_place(L)
    mr = panel_along_channels(L.rows, lanes) if by_channel else rows_of_panel(L.rows)
    panels = blocks(L.rows, mr)
    a = packed(plan, L, W, mr)
    macs = <double>L.rows * L.channels * L.total        # of a grid pixel
    per_block = panels
    rows = P.tile_rows
    parts = L.images * L.groups * blocks(L.grid_rows, rows) * blocks(L.grid_cols, P.tile_cols)
    if parts < ENOUGH:      # share out the panels of A, then the rows of the image
        per_block = max(blocks(panels, blocks(ENOUGH, parts)), <fl_int>(LEAST_MACS / (macs * rows * P.tile_cols / panels)) + 1)
        per_block = min(per_block, panels)
        parts *= blocks(panels, per_block)
        if parts < ENOUGH:
            rows = min(rows, max(blocks(rows, blocks(ENOUGH, parts)), <fl_int>(LEAST_MACS / (macs * P.tile_cols)) + 1))
            L.fill_planes(&P, rows, P.tile_cols)
    while per_block > 1 and macs * rows * P.tile_cols * per_block / panels > MOST_MACS:
        per_block = blocks(per_block, 2)
    if in_place or (by_channel and reads_one_plane(L, &P)):
        L.one_plane(&P)
    if in_place:
        P.pitch, P.plane, chunk = L.w, L.h * L.w, L.channels
    flat = L.n_phases == 1 and L.total == 1
    if flat:
        offset = new_table(chunk)
        for f in range(chunk):
            entries(offset)[f] = f * P.phases_y * P.phases_x * P.plane
    else:
        offset = L.offsets(&P, P.plane)

    job = <fl_conv_job *>plan.add(FL_KERNEL_conv_channels if by_channel else FL_KERNEL_conv)
    job.images, job.groups, job.rows, job.channels = L.images, L.groups, L.rows, L.channels
    job.planes = P
    job.grid_rows, job.grid_cols = L.grid_rows, L.grid_cols
    job.tiles_down, job.tiles_across = blocks(L.grid_rows, P.tile_rows), blocks(L.grid_cols, P.tile_cols)
    job.phase = L.phase
    job.phases, job.down, job.across, job.beside = L.n_phases, L.down, L.across, L.beside
    job.offset = entries(offset)
    plan.point(&job.a, a)
    job.mr, job.panels, job.per_block = mr, panels, per_block
    plan.point(&job.x, x)
    plan.point(<const void **>&job.y, y)
    job.oh, job.ow = L.oh, L.ow
    after.point(plan, &job.finish)
    job.chunk = chunk
    job.in_place, job.flat = in_place, flat
    job.by_row = up(P.tile_cols, lanes) * depth_of(L) + ROW_STORE * lanes < P.pitch * depth_of(L) + PART_STORE * lanes
    job.head.n_blocks = L.images * L.groups * job.tiles_down * job.tiles_across * blocks(panels, per_block)
    job.head.work = (macs * L.images * L.groups * L.grid_rows * L.grid_cols / (50 if plan.dtype == FL_F32 else 25)
                     + cnp.PyArray_SIZE(y) * after.work() + cnp.PyArray_SIZE(x) * 0.3)
    job.head.scratch = (FL_CONV_ROWS + 2) * FL_CONV_BYTES
    if by_channel:
        job.head.scratch += 2 * (FL_CONV_STRIP + lanes) * lanes * plan.size
    if not in_place:
        job.head.scratch += plan.size * chunk * P.phases_y * P.phases_x * P.plane
    plan.keep(offset)
    L.keep_planes(plan)
    return 0


cdef int convolve_part(Plan plan, Layout L, cnp.ndarray x, cnp.ndarray W, cnp.ndarray y, Epilogue after) except -1:
    """Where no tap belongs to some pixels of y: zeros first, then the others, and for all of them what follows the sums."""
    cdef cnp.ndarray pixels = y.reshape(-1, L.ow), nothing = plan.empty(len(pixels), 0), none = plan.empty(0, L.ow)
    if not after.accumulate:
        product(plan, nothing, none, pixels)
    if L.total:
        convolve_direct(plan, L, x, W, y, Epilogue(accumulate=after.accumulate))
    if after.residual is not None or after.of is not None:
        rest = after.part(..., (<object>pixels).shape)
        product(plan, nothing, none, pixels, after=Epilogue(residual=rest.residual, accumulate=True, derivative=rest.derivative,
                                                            of=rest.of))
    return 0


cdef int check_all(Plan plan, object g, cnp.ndarray x, cnp.ndarray W, cnp.ndarray y) except -1:
    check_image(plan, x, "x", g.n, g.c, g.h, g.w)
    check_image(plan, W, "W", g.k, g.c // g.groups, g.r, g.s)
    check_image(plan, y, "y", g.n, g.k, g.oh, g.ow)
    return 0


cdef int convolve_columns(Plan plan, object g, cnp.ndarray x, cnp.ndarray W, cnp.ndarray y, Epilogue after) except -1:
    """The windows of one image at a time as columns, of which W makes pixels."""
    cdef fl_int i, depth = g.c // g.groups * g.r * g.s, pixels = g.oh * g.ow
    one = g._replace(n=1)
    pointwise = one._replace(c=g.groups * depth, h=1, w=pixels, r=1, s=1, sh=1, sw=1, top=0, bottom=0, left=0, right=0, dh=1, dw=1,
                             oh=1, ow=pixels)
    columns = plan.empty(*one.columns_shape)
    for i in range(g.n):
        _im2col(plan, one, x[i:i + 1], columns)
        convolve_direct(plan, forward_layout(pointwise), columns.reshape(1, -1, 1, pixels), W, y[i].reshape(1, g.k, 1, pixels),
                        after.part(i, (1, g.k, 1, pixels)))
    return 0


cdef int check_winograd(Layout L) except -1:
    if not L.is_3x3():
        raise ValueError("algorithm is 'winograd'; expected another one, for it is for 3 x 3 weights and stride 1")
    return 0


cdef int convolve(Plan plan, Layout L, int algorithm, cnp.ndarray x, cnp.ndarray W, cnp.ndarray y, Epilogue after) except -1:
    """By the algorithm, or the one that is thought fastest; directly where Winograd's would lose too many digits of these data."""
    cdef cnp.ndarray flag
    cdef int first
    if algorithm == AUTO_CODE:
        algorithm = default
    if algorithm == WINOGRAD_CODE:
        check_winograd(L)
    if not cnp.PyArray_SIZE(y):
        return 0
    if not L.whole:
        return convolve_part(plan, L, x, W, y, after)
    if algorithm == AUTO_CODE and depthwise.fits(L):
        return depthwise.convolve(plan, L, x, W, y, after)
    if algorithm == WINOGRAD_CODE or (algorithm == AUTO_CODE and winograd.pays(plan, L)):
        flag = winograd.convolve(plan, L, x, W, y, after, algorithm == AUTO_CODE)
        first = plan.n
        convolve_direct(plan, L, x, W, y, after)
        return plan.only_if(first, flag, 1)
    return convolve_direct(plan, L, x, W, y, after)


def forward(Plan plan not None, g, cnp.ndarray x not None, cnp.ndarray W not None, cnp.ndarray y not None, *, int algorithm=0,
            Epilogue after=None):
    """y = W * x and the epilogue `after`."""
    check_all(plan, g, x, W, y)
    after = checked(after, plan, "conv2d.forward", y, BIAS | ACTIVATION | RESIDUAL | ACCUMULATE | DERIVATIVE)
    if (default if algorithm == AUTO_CODE else algorithm) == IM2COL_CODE:
        convolve_columns(plan, g, x, W, y, after)
    else:
        convolve(plan, forward_layout(g), algorithm, x, W, y, after)


def data_gradient(Plan plan not None, g, cnp.ndarray v not None, cnp.ndarray W not None, cnp.ndarray dx not None, *, int algorithm=0,
                  Epilogue after=None):
    """dx = the transpose of the convolution by x, of v, and the epilogue `after`."""
    check_all(plan, g, dx, W, v)
    after = checked(after, plan, "conv2d.data_gradient", dx, RESIDUAL | ACCUMULATE | DERIVATIVE)
    convolve(plan, data_layout(g), algorithm, v, W, dx, after)


cdef double weights_cost_along_pixels(Layout L, fl_conv_planes *P, fl_int lanes):
    """The same for the weights' gradient: v has planes as x has."""
    return (DOTS * up((P.tile_rows - 1) * P.pitch + L.grid_cols, lanes) / (P.tile_rows * L.grid_cols) * up(L.rows, 4) / L.rows
            + <double>COPY_V * (share(L, P) + 1) / depth_of(L))


cdef double weights_cost_along_channels(Layout L, fl_conv_planes *P, fl_int channels, fl_int lanes):
    """And here v is turned, its gaps are left out."""
    return (<double>up(L.rows, lanes) / L.rows * (1 + <double>TURN_V / (channels * L.total))
            + COPY_V * share_along_channels(L, P) / depth_of(L))


cdef int weight_gradient_direct(Plan plan, Layout L, cnp.ndarray v, cnp.ndarray x, cnp.ndarray dW) except -1:
    """A block: some rows of A, some channels, a part of the images; planes of both in L2."""
    cdef fl_conv_planes P
    cdef fl_conv_weights_job *job
    cdef fl_int rows = L.grid_rows, row_chunk = min(L.rows, 128), channel_chunk = min(L.channels, max(128 // L.total, 32))
    cdef fl_int lanes = lanes_of(plan), mr = panel_along_channels(L.rows, lanes), together = 1, parts = 1, regions, most, images, pixels
    cdef bint by_channel, in_place
    cdef cnp.ndarray partial = dW
    cdef double macs = <double>cnp.PyArray_SIZE(v) * L.channels * L.total, along_pixels, along_channels
    L.fill_planes(&P, L.grid_rows, L.grid_cols)
    along_pixels, along_channels = weights_cost_along_pixels(L, &P, lanes), weights_cost_along_channels(L, &P, channel_chunk, lanes)
    if by_images.fits(plan, L) and DOTS * by_images.weights_cost(L, lanes) < GAIN * min(along_pixels, along_channels):
        return by_images.weight_gradient(plan, L, v, x, dW)
    by_channel = along_channels < along_pixels
    pixels = TAPS_PIXELS if by_channel else DOTS_PIXELS
    while rows > 1 and (row_chunk + channel_chunk * P.phases_y * P.phases_x) * P.plane * plan.size > SCRATCH * 3 // 2:
        if rows * P.pitch <= pixels and (row_chunk > 16 or channel_chunk > 8):
            if row_chunk > 4 * channel_chunk * P.phases_y * P.phases_x:
                row_chunk = up(blocks(row_chunk, 2), 4)
            else:
                channel_chunk = blocks(channel_chunk, 2)
        else:
            rows = blocks(rows, 2)
        L.fill_planes(&P, rows, L.grid_cols)
    while ((row_chunk > 4 or channel_chunk > 1)
           and (row_chunk + channel_chunk * P.phases_y * P.phases_x) * P.plane * <fl_int>plan.size > MOST_SCRATCH):
        row_chunk, channel_chunk = up(blocks(row_chunk, 2), 4), blocks(channel_chunk, 2)
    if rows == L.grid_rows:
        most = SCRATCH // <fl_int>((row_chunk + channel_chunk * P.phases_y * P.phases_x) * P.plane * plan.size)
        together = min(max(min(most, DOTS_PIXELS // (rows * P.pitch) + 1), 1), L.images)
    if by_channel:
        row_chunk = up(row_chunk, mr)
    regions = L.groups * blocks(L.rows, row_chunk) * blocks(L.channels, channel_chunk)
    if regions < ENOUGH and macs > 2 * LEAST_MACS:
        parts = min(L.images, blocks(ENOUGH, regions))
    most = max(MOST_PARTIAL // <fl_int>(cnp.PyArray_SIZE(dW) * plan.size), 1)
    while parts < min(L.images, most) and macs / (parts * regions) > MOST_MACS:
        parts += 1
    images = blocks(L.images, parts)
    together = min(together, images)
    parts = blocks(L.images, images)
    if parts > 1:
        partial = plan.empty(parts, cnp.PyArray_SIZE(dW))
    in_place = by_channel and reads_in_place(L)
    if in_place or (by_channel and reads_one_plane(L, &P)):
        L.one_plane(&P)
    if in_place:
        P.pitch = L.w
    offset = L.offsets(&P, P.plane * together + 64 // <fl_int>plan.size)

    job = <fl_conv_weights_job *>plan.add(FL_KERNEL_conv_weights_channels if by_channel else FL_KERNEL_conv_weights)
    job.regions.groups, job.regions.rows, job.regions.channels = L.groups, L.rows, L.channels
    job.regions.row_chunk, job.regions.channel_chunk = row_chunk, channel_chunk
    job.images, job.taps = L.images, L.total
    job.planes = P
    job.grid_rows, job.grid_cols = L.grid_rows, L.grid_cols
    job.offset = entries(offset)
    plan.point(&job.v, v)
    plan.point(&job.x, x)
    plan.point(<const void **>&job.dw, partial)
    job.part_images, job.together = images, together
    job.head.n_blocks = parts * regions
    job.head.work = macs / (45 if plan.dtype == FL_F32 else 22) + 0.5 * (cnp.PyArray_SIZE(x) + cnp.PyArray_SIZE(v))
    job.mr, job.in_place = mr, in_place
    job.head.scratch = 3 * FL_CONV_BYTES
    if not in_place:
        job.head.scratch += (plan.size * together * P.plane + 64) * channel_chunk * P.phases_y * P.phases_x
    if by_channel:
        job.head.scratch += plan.size * ((row_chunk * channel_chunk * L.total + lanes * mr) + row_chunk * together * P.tile_rows * L.grid_cols)
    else:
        job.head.scratch += row_chunk * (plan.size * together * P.plane + 64)
    plan.keep(offset)
    L.keep_planes(plan)
    if parts > 1:
        sum_parts(plan, partial, parts, cnp.PyArray_SIZE(dW), dW)
    return 0


def weight_gradient(Plan plan not None, g, cnp.ndarray v not None, cnp.ndarray x not None, cnp.ndarray dW not None, *,
                    int algorithm=0, Epilogue after=None):
    """dW = the transpose of the convolution by W, of v, and the epilogue `after`."""
    cdef Layout L
    cdef cnp.ndarray target = dW, flag
    cdef int first
    check_all(plan, g, x, dW, v)
    after = checked(after, plan, "conv2d.weight_gradient", dW, UPDATE)
    L = forward_layout(g, False)
    if algorithm == AUTO_CODE:
        algorithm = default
    if algorithm == WINOGRAD_CODE:
        check_winograd(L)
    if not cnp.PyArray_SIZE(v):
        flat = dW.reshape(1, -1)
        slope(plan, flat[:0], total=flat[0], update=after.update)
        return
    if after.update:
        target = plan.empty(g.k, g.c // g.groups, g.r, g.s)
    if algorithm == AUTO_CODE and depthwise.weights_fit(L):
        depthwise.weight_gradient(plan, L, v, x, target)
    elif algorithm == WINOGRAD_CODE or (algorithm == AUTO_CODE and winograd.weights_pay(plan, L)):
        flag = winograd.weight_gradient(plan, L, v, x, target, algorithm == AUTO_CODE)
        first = plan.n
        weight_gradient_direct(plan, L, v, x, target)
        plan.only_if(first, flag, 1)
    else:
        weight_gradient_direct(plan, L, v, x, target)
    if after.update:
        step(plan, dW, target)
