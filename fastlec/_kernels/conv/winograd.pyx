# cython: freethreading_compatible=True
"""Convolutions of 3 x 3 taps, without stride, by Winograd's minimal filtering."""

cimport numpy as cnp
from libc.math cimport INFINITY

from fastlec._kernels.conv.layout cimport Layout, entries, lanes_of, new_table
from fastlec._kernels.conv.limits cimport ENOUGH, MOST_MACS, MOST_PARTIAL, MOST_SCRATCH
from fastlec._kernels.conv.pack cimport rows_of_panel, taps_of
from fastlec._kernels.conv.winograd_guard cimport bounds, choose, new_flag, pitch_of, pixels_of, weights_bounds
from fastlec._kernels.epilogue cimport Epilogue
from fastlec._kernels.fl cimport *
from fastlec._kernels.plan cimport Plan, blocks, up
from fastlec._kernels.runner cimport facts, macs_per_ns
from fastlec._kernels.sum cimport sum_parts

cnp.import_array()

# Found by timing on Zen 4 with AVX-512, unless a comment says more.
cdef enum:
    LEAST_ROWS = 16             # rows of A for which transforms pay
    LEAST_CHANNELS = 32         # channels for which they pay; few of them lose more digits to transforms than to sums,
    LEAST_CHANNELS_F64 = 48     # and more so in float64, whose transforms of taps are rounded as well
    PACKED_TILES = 5            # for which they pay, forward, where products pack: one image of 512 channels of 7 x 7 has 4
    LEAST_PIXELS = 768          # of all images, for the weights' gradient: fewer lose more digits than direct summation does
    BLOCK_BYTES = 5 << 20       # bytes of transforms in a block, at most
    BLOCK_TILES = 128           # tiles of a block, at most
    FEW_TILES = 128             # tiles up to which each block transforms the taps that it uses, if these are more than CACHED
    CACHED = 1 << 20            # bytes of transforms of taps that stay in the caches
    FEW_ROWS = 32               # rows of A in a block that transforms its own taps
    SIDE = 128                  # rows of A and channels whose gradients a block sums, at most
    BATCH = 48                  # tiles that are transformed at a time for the weights' gradient
    MOST_COLS = 256             # tiles in a row, at most, for the weights' gradient

# Costs, in the time of a product of one lane: fitted to the times of 18 shapes of 16 to 256 channels and 14 to 56 pixels across, in
# both dtypes, with AVX2 and AVX-512 on Zen 4, which they meet within 10 % (standard deviation), but for the weights' transforms,
# which are half above the fit, for sums over images and channels take a quarter less than their estimates there.
cdef double PRODUCT = 1.15      # for a product of transforms
cdef double WEIGHTS_PRODUCT = 1.2   # for one of the weights' gradient
cdef double TILE_IN = 600       # for the transform of a tile of x
cdef double TILE_OUT = 150      # for that of a tile of y
cdef double WEIGHTS_TILE = 1100  # for that of a tile of x or v for the weights' gradient
cdef double SUM_OUT = 100       # for the transform of a sum of the weights' gradient
cdef double TAPS = 250          # for the transform of taps
cdef double FAR_TAPS = 1000     # for the transform of taps that is written to and read from beyond the caches

cdef double GUARD_NS = 7000     # for the jobs that choose between transforms and direct summation, however few the tiles

# The share of tiles summed directly from which on the whole call is: such tiles take about eight times as long as by transforms,
# the whole call 2.3 times (64 channels of 56 x 56, AVX-512), or 1.3 times where there are few tiles (512 channels of 7 x 7).
cdef double MOST_DIRECT = 1.0 / 6


cdef str EXACT_ENOUGH = "if the transforms lose few digits of these data"


cdef fl_wino_tiles tiles_of(Layout L) noexcept:
    """Of each phase of the dilation, rounded up to whole tiles."""
    cdef fl_wino_tiles T
    T.h, T.w, T.top, T.left, T.oh, T.ow, T.dh, T.dw = L.h, L.w, L.top, L.left, L.oh, L.ow, L.dh, L.dw
    T.down, T.across = blocks(blocks(L.oh, L.dh), FL_WINO_TILE), blocks(blocks(L.ow, L.dw), FL_WINO_TILE)
    T.rows, T.cols = T.down * min(L.dh, L.oh), T.across * min(L.dw, L.ow)
    return T


cdef fl_int number_of(Layout L, fl_wino_tiles T) noexcept:
    return L.images * T.rows * T.cols


cdef bint few(Plan plan, Layout L):
    return number_of(L, tiles_of(L)) <= FEW_TILES and FL_WINO_POINTS * L.rows * L.channels * plan.size > CACHED


cdef double along_tiles(Plan plan, Layout L):
    """Lanes of products for each row of A and channel."""
    return up(number_of(L, tiles_of(L)), lanes_of(plan))


cdef double along_rows(Plan plan, Layout L):
    """Lanes of products where they lie along the rows of A, if that can be."""
    cdef fl_int tiles = number_of(L, tiles_of(L))
    return <double>tiles * up(L.rows, 2 * lanes_of(plan)) / L.rows if few(plan, L) and tiles <= facts().conv_rows else INFINITY


cdef bint fits(Plan plan, Layout L) except -1:
    """Whether transforms keep their promises of accuracy and memory. Asked for by name, they are taken without them."""
    return (L.is_3x3() and L.rows >= LEAST_ROWS and L.channels >= (LEAST_CHANNELS if plan.dtype == FL_F32 else LEAST_CHANNELS_F64)
            and scratch_of(plan, L, 1) <= MOST_SCRATCH
            and (L.transposed or not facts().gemm_packs or number_of(L, tiles_of(L)) >= PACKED_TILES))


cdef double cost_ns(Plan plan, Layout L) except -1:
    """Transforms and their products."""
    cdef double pairs = <double>L.rows * L.channels, tiles = min(along_tiles(plan, L), along_rows(plan, L)), taps = TAPS
    if FL_WINO_POINTS * pairs * plan.size > CACHED and not few(plan, L):
        taps = FAR_TAPS
    return GUARD_NS + L.groups / macs_per_ns(plan.dtype) * (
        tiles * (PRODUCT * FL_WINO_POINTS * pairs + TILE_IN * L.channels + TILE_OUT * L.rows) + taps * pairs)


cdef size_t scratch_of(Plan plan, Layout L, fl_int tile_rows):
    cdef fl_int pitch = up(tile_rows * tiles_of(L).cols, lanes_of(plan))
    return (plan.size * (FL_WINO_POINTS * (L.channels + L.rows + FL_CONV_ROWS) * pitch) + 2 * FL_WINO_POINTS * 64
            + pixels_of(plan, pitch))


cdef fl_int rows_of_block(Plan plan, Layout L, fl_int across, fl_int total):
    """Rows of tiles in a block: few lanes empty, few blocks that read all of W's transforms, an even number of them."""
    cdef fl_int rows, best = 1, tiles, count
    cdef double cost, least = 0
    for rows in range(1, total + 1):
        tiles, count = rows * across, blocks(total, rows)
        if rows > 1 and (tiles > BLOCK_TILES or scratch_of(plan, L, rows) > BLOCK_BYTES):
            break
        cost = <double>up(tiles, lanes_of(plan)) / tiles * (1 + 3.0 / tiles) * up(count, 2) / count
        if rows == 1 or cost < least:
            best, least = rows, cost
    return best


cdef size_t direct_of(Plan plan, fl_int pitch):
    """Bytes of the direct sums of some rows of A for `pitch` tiles."""
    return plan.size * FL_WINO_DIRECT * FL_WINO_TILE * FL_WINO_TILE * pitch


cdef int guard(Plan plan, Layout L, fl_winograd_job *job, cnp.ndarray found) except -1:
    """For the plan's last job."""
    plan.point(&job.bounds, found)
    job.bounds_pitch = pitch_of(plan, L, job.tiles)
    return 0


cdef fl_conv_taps sorted_taps(Layout L, cnp.ndarray W, cnp.ndarray place, fl_int mr):
    """With tap (i, j) at place[3 i + j]."""
    cdef fl_conv_taps taps = taps_of(L, W, mr)
    cdef fl_int i
    taps.place = entries(place)
    for i in range(9):
        entries(place)[L.ty[i] // L.dh * 3 + L.tx[i] // L.dw] = L.where[i]
    return taps


cdef fl_winograd_job *new_job(Plan plan, Layout L, int kernel, fl_int tile_rows) except NULL:
    """A job for `tile_rows` rows of tiles at a time, without its taps and epilogue."""
    cdef fl_winograd_job *job = <fl_winograd_job *>plan.add(kernel)
    cdef fl_int i
    cdef cnp.ndarray offset = new_table(L.channels)
    job.images, job.groups, job.rows, job.channels = L.images, L.groups, L.rows, L.channels
    job.tiles = tiles_of(L)
    job.pitch = up(tile_rows * job.tiles.cols, lanes_of(plan))
    for i in range(L.channels):
        entries(offset)[i] = i * job.pitch
    job.offset = entries(offset)
    plan.keep(offset)
    return job


cdef cnp.ndarray add(Plan plan, Layout L, cnp.ndarray x, cnp.ndarray W, cnp.ndarray y, Epilogue after):
    """Jobs for y, and the flag, int32, that is 1 where they do nothing because the data want direct summation, which the caller
    adds. Unless transforms were asked for, tiles of few terms, which direct summation hardly rounds, want it too."""
    if few(plan, L):
        return convolve_few(plan, L, x, W, y, after, not L.asked)
    return convolve_many(plan, L, x, W, y, after, not L.asked)


cdef cnp.ndarray convolve_many(Plan plan, Layout L, cnp.ndarray x, cnp.ndarray W, cnp.ndarray y, Epilogue after, bint terms):
    """After the guard's, two jobs: the transforms of W, and all the rest."""
    cdef fl_wino_tiles T = tiles_of(L)
    cdef fl_int total = L.images * T.rows, per_block = rows_of_block(plan, L, T.cols, total), line = 64 // <fl_int>plan.size
    cdef fl_winograd_pack_job *pack
    cdef fl_winograd_job *job
    cdef cnp.ndarray u, place = new_table(9), found = bounds(plan, L, T, x, terms), density = plan.empty(L.groups * L.rows)
    cdef fl_conv_taps taps = sorted_taps(L, W, place, rows_of_panel(L.rows))
    cdef fl_int panels = blocks(L.rows, taps.mr)
    cdef cnp.ndarray flag
    cdef int first
    u = plan.empty(L.groups * FL_WINO_POINTS * panels * (taps.mr * L.channels + line))
    pack = <fl_winograd_pack_job *>plan.add(FL_KERNEL_winograd_pack)
    pack.groups, pack.rows, pack.channels, pack.panels = L.groups, L.rows, L.channels, panels
    pack.taps = taps
    plan.point(&pack.taps.w, W)
    plan.point(<const void **>&pack.u, u)
    plan.point(<const void **>&pack.density, density)
    pack.head.n_blocks = L.groups * panels
    pack.head.work = <double>L.groups * panels * taps.mr * L.channels * 5
    pack.head.scratch = plan.size * (9 * FL_WINO_RUN * taps.mr + line)
    plan.keep(place)

    flag = choose(plan, L, T, x, W, found, density, MOST_DIRECT, terms)
    first = plan.n
    job = new_job(plan, L, FL_KERNEL_winograd, per_block)
    plan.because(L.why)
    job.per_block, job.taps, job.panels = per_block, taps, panels
    plan.point(&job.taps.w, W)
    plan.point(&job.u, u)
    plan.point(&job.density, density)
    guard(plan, L, job, found)
    plan.point(&job.x, x)
    plan.point(<const void **>&job.y, y)
    after.point(plan, &job.after)
    job.head.n_blocks = L.groups * blocks(total, per_block)
    job.head.work = cost_ns(plan, L) + cnp.PyArray_SIZE(y) * after.work()
    job.head.scratch = scratch_of(plan, L, per_block) + direct_of(plan, job.pitch)
    plan.only_if(first, flag, 0, EXACT_ENOUGH)
    return flag


cdef cnp.ndarray convolve_few(Plan plan, Layout L, cnp.ndarray x, cnp.ndarray W, cnp.ndarray y, Epilogue after, bint terms):
    """After the guard's, two jobs: the transforms of x, and all the rest."""
    cdef fl_wino_tiles T = tiles_of(L)
    cdef fl_int total = L.images * T.rows, tiles = total * T.cols, line = 64 // <fl_int>plan.size
    cdef fl_winograd_job *job
    cdef cnp.ndarray v, place = new_table(9), offset = None, found = bounds(plan, L, T, x, terms)
    cdef fl_int lanes = lanes_of(plan), i
    cdef bint transposed = along_rows(plan, L) < along_tiles(plan, L)
    cdef fl_conv_taps taps = sorted_taps(L, W, place, 2 * lanes if transposed else rows_of_panel(L.rows))
    cdef fl_int panels = blocks(L.rows, taps.mr), parts = blocks(L.channels, FL_WINO_CHANNELS), per_block
    cdef cnp.ndarray flag = choose(plan, L, T, x, W, found, None, 0, terms)
    cdef int first = plan.n
    plan.keep(place)
    job = new_job(plan, L, FL_KERNEL_winograd_in, total)
    v = plan.empty(L.groups * parts * FL_WINO_POINTS * (FL_WINO_CHANNELS * job.pitch + line))
    plan.point(<const void **>&job.v, v)
    plan.point(&job.x, x)
    job.head.n_blocks = L.groups * parts
    job.head.work = <double>L.groups * L.channels * total * 60
    job.head.scratch = pixels_of(plan, job.pitch)

    per_block = blocks(panels, blocks(panels * taps.mr, FEW_ROWS))
    job = new_job(plan, L, FL_KERNEL_winograd_few, total)
    plan.because(L.why)
    job.per_block, job.taps, job.panels = per_block, taps, panels
    if transposed:
        offset = new_table(FL_WINO_RUN)
        for i in range(FL_WINO_RUN):
            entries(offset)[i] = i * taps.mr
        job.along_rows = entries(offset)
        plan.keep(offset)
    plan.point(&job.taps.w, W)
    plan.point(<const void **>&job.v, v)
    guard(plan, L, job, found)
    plan.point(&job.x, x)
    plan.point(<const void **>&job.y, y)
    after.point(plan, &job.after)
    job.head.n_blocks = L.groups * blocks(panels, per_block)
    job.head.work = cost_ns(plan, L) + cnp.PyArray_SIZE(y) * after.work()
    job.head.scratch = plan.size * (per_block * FL_WINO_POINTS * (FL_WINO_CHANNELS * taps.mr + line) + FL_WINO_POINTS * (
        per_block * taps.mr * (job.pitch + transposed * tiles) + 2 * line)) + plan.size * per_block * (
        2 * FL_WINO_ROWS + taps.mr) + max(
        plan.size * (9 * FL_WINO_RUN * taps.mr + line), pixels_of(plan, job.pitch) + direct_of(plan, job.pitch))
    plan.only_if(first, flag, 0, EXACT_ENOUGH)
    return flag


cdef bint weights_fits(Plan plan, Layout L) except -1:
    return (L.is_3x3() and L.rows >= LEAST_ROWS and L.channels >= LEAST_ROWS
            and tiles_of(L).cols <= MOST_COLS and L.images * L.oh * L.ow >= LEAST_PIXELS)


cdef double weights_cost_ns(Plan plan, Layout L) except -1:
    """Transforms, their products, and the transforms of the sums."""
    cdef double tiles = number_of(L, tiles_of(L)), pairs = <double>L.rows * L.channels, transforms
    transforms = <double>L.channels * blocks(L.rows, SIDE) + <double>L.rows * blocks(L.channels, SIDE)
    return GUARD_NS + L.groups / macs_per_ns(plan.dtype) * (
        tiles * (WEIGHTS_PRODUCT * FL_WINO_POINTS * pairs + WEIGHTS_TILE * transforms) + SUM_OUT * pairs)


cdef cnp.ndarray add_weights(Plan plan, Layout L, cnp.ndarray v, cnp.ndarray x, cnp.ndarray dW, Epilogue after):
    """Jobs for dW, and a flag as that of `add`."""
    cdef fl_int lanes = lanes_of(plan), line = 64 // <fl_int>plan.size, i, regions, total, rows, ld
    cdef fl_wino_tiles T = tiles_of(L)
    cdef fl_int across = T.cols, row_chunk, channel_chunk, together, part_rows
    cdef fl_int most, parts
    cdef double macs
    cdef fl_winograd_weights_job *job
    cdef cnp.ndarray partial = dW, offset, flag = new_flag(), found = weights_bounds(plan, L, T, v, x, not L.asked, flag)
    cdef int first = plan.n
    row_chunk, channel_chunk = blocks(L.rows, blocks(L.rows, SIDE)), blocks(L.channels, blocks(L.channels, SIDE))
    total = L.images * T.rows
    regions = L.groups * blocks(L.rows, row_chunk) * blocks(L.channels, channel_chunk)
    part_rows = total
    if regions < ENOUGH:
        part_rows = max(blocks(total, blocks(ENOUGH, regions)), min(blocks(2 * BATCH, across), total))
    most = max(MOST_PARTIAL // <fl_int>(cnp.PyArray_SIZE(dW) * plan.size), 1)     # parts, so that a block can be interrupted
    macs = <double>FL_WINO_POINTS * across * row_chunk * channel_chunk
    part_rows = max(min(part_rows, max(<fl_int>(MOST_MACS / macs), 1)), blocks(total, max(most, ENOUGH)))
    together = max(min(BATCH // across, part_rows), 1)
    together = blocks(part_rows, blocks(part_rows, together))
    parts = blocks(total, part_rows)
    if parts > 1:
        partial = plan.empty(parts, cnp.PyArray_SIZE(dW))
    job = <fl_winograd_weights_job *>plan.add(FL_KERNEL_winograd_weights)
    plan.because(L.why)
    job.regions.groups, job.regions.rows, job.regions.channels = L.groups, L.rows, L.channels
    job.regions.row_chunk, job.regions.channel_chunk = row_chunk, channel_chunk
    job.images = L.images
    job.tiles = T
    plan.point(&job.v, v)
    plan.point(&job.x, x)
    plan.point(<const void **>&job.dw, partial)
    plan.point(&job.bounds, found)
    job.bounds_pitch = pitch_of(plan, L, T)
    job.part_rows, job.together = part_rows, together
    job.mr = rows_of_panel(row_chunk)
    job.pitch = up(together * across, lanes)
    ld, rows = up(channel_chunk, lanes), up(row_chunk, job.mr)
    offset = new_table(together * across)
    job.offset = entries(offset)
    for i in range(together * across):
        entries(offset)[i] = i * ld
    job.head.n_blocks = parts * regions
    job.head.work = weights_cost_ns(plan, L)
    job.head.scratch = plan.size * (FL_WINO_POINTS * ((row_chunk + channel_chunk) * job.pitch + 2 * line + rows * ld + line)
                                    + job.pitch * (rows + ld) + line + (9 * row_chunk + FL_WINO_POINTS) * ld)
    job.head.scratch += pixels_of(plan, job.pitch)
    plan.keep(offset)
    if parts > 1:
        sum_parts(plan, partial, parts, cnp.PyArray_SIZE(dW), dW)
    plan.only_if(first, flag, 0, EXACT_ENOUGH)
    return flag
