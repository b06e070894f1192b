# cython: freethreading_compatible=True
"""Convolutions of 3 x 3 taps, without stride or dilation, by Winograd's minimal filtering."""

cimport numpy as cnp

from fastlec._kernels.fl cimport *
from fastlec._kernels.layout cimport ENOUGH, MOST_MACS, MOST_PARTIAL, MOST_SCRATCH, Finish, Layout
from fastlec._kernels.layout cimport entries, lanes_of, new_table, rows_of_panel
from fastlec._kernels.plan cimport Plan, blocks, up

cnp.import_array()

cdef enum:
    LEAST_ROWS = 16         # of A, for which it pays,
    LEAST_CHANNELS = 32     # and channels: few of them lose more digits to the transforms than direct summation does;
    LEAST_PIXELS = 256      # of all images, likewise, for the weights' gradient
    TRANSFORMS = 5 << 20    # bytes of them in a block,
    MOST_TILES = 128        # whose tiles are no more than these,
    PART_ROWS = 128         # and rows of A no fewer than these
    SIDE = 128              # rows of A or channels whose gradients a block sums,
    BATCH = 48              # from so many tiles at a time,
    MOST_COLS = 1024        # of images whose tiles of one row fit that
    CYCLES_IN = 30          # of a lane for the transforms of a tile of x,
    CYCLES_OUT = 20         # of one of y,
    CYCLES_SUM = 100        # for what becomes of a sum,
    CYCLES_TAPS = 640       # for the transforms of taps,
    CYCLES_FAR_TAPS = 1800  # of more of them than the caches hold,
    CACHED = 16 << 20       # which is so many bytes


cdef bint pays(Plan plan, Layout L) except -1:
    """Whether transforms are made up for, by estimates in cycles of a lane. Few channels would also lose more digits to them."""
    cdef double pixels = <double>L.images * L.oh * L.ow, pairs = <double>L.rows * L.channels
    cdef double tiles = up(L.images * blocks(L.oh, FL_WINO_TILE) * blocks(L.ow, FL_WINO_TILE), lanes_of(plan))
    cdef double taps = CYCLES_TAPS if FL_WINO_POINTS * L.groups * pairs * plan.size < CACHED else CYCLES_FAR_TAPS
    if (plan.dtype != FL_F32 or not L.is_3x3() or L.rows < LEAST_ROWS or L.channels < LEAST_CHANNELS
            or scratch_of(plan, L, 1) > MOST_SCRATCH):
        return False
    return tiles * (1.1 * FL_WINO_POINTS * pairs + CYCLES_IN * L.channels + CYCLES_OUT * L.rows) + taps * pairs < 1.2 * 9 * pairs * pixels


cdef size_t scratch_of(Plan plan, Layout L, fl_int tile_rows):
    cdef fl_int pitch = up(tile_rows * blocks(L.ow, FL_WINO_TILE), lanes_of(plan))
    cdef fl_int row = up(blocks(L.ow, FL_WINO_TILE) + 1, 16) + 16
    return plan.size * (FL_WINO_POINTS * (L.channels + L.rows + FL_CONV_ROWS) * pitch + 24 * row) + 2 * FL_WINO_POINTS * 64 + 64


cdef fl_int rows_of_block(Plan plan, Layout L, fl_int across, fl_int total):
    """Rows of tiles in a block: few lanes empty, few blocks that read all of W's transforms, an even number of them."""
    cdef fl_int rows, best = 1, tiles, count
    cdef double cost, least = 0
    for rows in range(1, total + 1):
        tiles, count = rows * across, blocks(total, rows)
        if rows > 1 and (tiles > MOST_TILES or scratch_of(plan, L, rows) > TRANSFORMS):
            break
        cost = <double>up(tiles, lanes_of(plan)) / tiles * (1 + 3.0 / tiles) * up(count, 2) / count
        if rows == 1 or cost < least:
            best, least = rows, cost
    return best


cdef int convolve(Plan plan, Layout L, cnp.ndarray x, cnp.ndarray W, cnp.ndarray y, Finish after) except -1:
    """Two jobs: the transforms of W, and all the rest."""
    cdef fl_int mr = rows_of_panel(L.rows), panels = blocks(L.rows, mr), down = blocks(L.oh, FL_WINO_TILE), i
    cdef fl_int across = blocks(L.ow, FL_WINO_TILE), per_block, panels_block = panels, parts
    cdef fl_winograd_pack_job *pack
    cdef fl_winograd_job *job
    cdef fl_int *table
    cdef cnp.ndarray u, place = new_table(9), offset = new_table(L.channels)
    table = entries(place)
    for i in range(9):
        table[L.ty[i] * 3 + L.tx[i]] = L.where[i]
    u = plan.empty(L.groups * FL_WINO_POINTS * panels * (mr * L.channels + 64 // <fl_int>plan.size))
    pack = <fl_winograd_pack_job *>plan.add(FL_KERNEL_winograd_pack)
    pack.groups, pack.rows, pack.channels, pack.mr, pack.panels = L.groups, L.rows, L.channels, mr, panels
    plan.point(&pack.w, W)
    pack.group_step, pack.row_step, pack.channel_step = cnp.PyArray_SIZE(W) // L.groups, L.row_step, L.channel_step
    pack.place = table
    plan.point(<const void **>&pack.u, u)
    pack.head.n_blocks = L.groups * panels
    pack.head.work = <double>L.groups * panels * mr * L.channels * 10
    pack.head.scratch = 9 * (plan.size * mr * L.channels + 64)

    per_block = rows_of_block(plan, L, across, L.images * down)
    parts = L.groups * blocks(L.images * down, per_block)
    if parts < ENOUGH // 2 and L.rows >= 2 * PART_ROWS:     # the rows of A in parts: each transforms the image again
        panels_block = max(blocks(panels, blocks(ENOUGH // 2, parts)), PART_ROWS // mr)
    job = <fl_winograd_job *>plan.add(FL_KERNEL_winograd)
    job.images, job.groups, job.rows, job.channels = L.images, L.groups, L.rows, L.channels
    job.h, job.w, job.top, job.left, job.down, job.across = L.h, L.w, L.top, L.left, down, across
    job.per_block = per_block
    plan.point(&job.u, u)
    job.mr, job.panels, job.panels_block = mr, panels, panels_block
    job.pitch = up(per_block * across, lanes_of(plan))
    table = entries(offset)
    for i in range(L.channels):
        table[i] = i * job.pitch
    job.offset = table
    plan.point(&job.x, x)
    plan.point(<const void **>&job.y, y)
    job.oh, job.ow = L.oh, L.ow
    after.point(plan, &job.finish)
    job.head.n_blocks = L.groups * blocks(L.images * down, per_block) * blocks(panels, panels_block)
    job.head.work = (<double>L.images * down * across * FL_WINO_POINTS * L.rows * L.channels * L.groups
                     / (40 if plan.dtype == FL_F32 else 20))
    job.head.scratch = scratch_of(plan, L, per_block)
    plan.arrays.extend((place, offset))
    return 0


cdef bint weights_pay(Plan plan, Layout L) except -1:
    cdef double tiles = <double>L.images * blocks(L.oh, FL_WINO_TILE) * blocks(L.ow, FL_WINO_TILE), pairs = <double>L.rows * L.channels
    if plan.dtype != FL_F32 or not L.is_3x3() or L.rows < LEAST_ROWS or L.channels < LEAST_ROWS or L.ow > MOST_COLS:
        return False
    if L.images * L.oh * L.ow < LEAST_PIXELS:
        return False
    return (tiles * (1.2 * FL_WINO_POINTS * pairs + 2 * CYCLES_IN * (L.channels * blocks(L.rows, SIDE) + L.rows *
                     blocks(L.channels, SIDE))) + CYCLES_SUM * pairs < 1.2 * 9 * pairs * L.images * L.oh * L.ow)


cdef int weight_gradient(Plan plan, Layout L, cnp.ndarray v, cnp.ndarray x, cnp.ndarray dW) except -1:
    cdef fl_int lanes = lanes_of(plan), line = 64 // <fl_int>plan.size, i, regions, total, rows, ld
    cdef fl_int across = blocks(L.ow, FL_WINO_TILE), down = blocks(L.oh, FL_WINO_TILE), row_chunk, channel_chunk, together, part_rows
    cdef fl_int most, parts
    cdef double macs
    cdef fl_winograd_weights_job *job
    cdef cnp.ndarray partial = dW, offset
    row_chunk, channel_chunk = blocks(L.rows, blocks(L.rows, SIDE)), blocks(L.channels, blocks(L.channels, SIDE))
    total = L.images * down
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
    job.regions.groups, job.regions.rows, job.regions.channels = L.groups, L.rows, L.channels
    job.regions.row_chunk, job.regions.channel_chunk = row_chunk, channel_chunk
    job.images = L.images
    job.h, job.w, job.top, job.left, job.oh, job.ow = L.h, L.w, L.top, L.left, L.oh, L.ow
    job.down, job.across = down, across
    plan.point(&job.v, v)
    plan.point(&job.x, x)
    plan.point(<const void **>&job.dw, partial)
    job.part_rows, job.together = part_rows, together
    job.mr = rows_of_panel(row_chunk)
    job.pitch = up(together * across, lanes)
    ld, rows = up(channel_chunk, lanes), up(row_chunk, job.mr)
    offset = new_table(together * across)
    job.offset = entries(offset)
    for i in range(together * across):
        entries(offset)[i] = i * ld
    job.head.n_blocks = parts * regions
    job.head.work = <double>total * across * FL_WINO_POINTS * L.rows * L.channels * L.groups / (35 if plan.dtype == FL_F32 else 17)
    job.head.scratch = plan.size * (FL_WINO_POINTS * ((row_chunk + channel_chunk) * job.pitch + 2 * line + rows * ld + line)
                                    + job.pitch * (rows + ld) + line + 24 * (across + 3 * lanes) + line)
    plan.arrays.append(offset)
    if parts > 1:
        plan.sum(partial, parts, cnp.PyArray_SIZE(dW), dW)
    return 0
