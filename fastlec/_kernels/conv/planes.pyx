# cython: freethreading_compatible=True
"""Convolutions from planes: copies of a part of the source, padded and sorted by the phases of a stride, that stay in L2."""

cimport numpy as cnp

from fastlec._kernels.conv.layout cimport Layout, entries, lanes_of, new_table
from fastlec._kernels.conv.limits cimport ENOUGH, LEAST_MACS, MOST_MACS, SCRATCH
from fastlec._kernels.conv.pack cimport packed, rows_of_panel
from fastlec._kernels.epilogue cimport Epilogue
from fastlec._kernels.fl cimport *
from fastlec._kernels.plan cimport Plan, blocks, up

cnp.import_array()

cdef enum:
    MOST_PIXELS = 1 << 12   # pixels of a part, so that finished rows are still in L2
    LEAST_COLS = 64         # pixels of a row of a part, if the image has as many
    MOST_STEP = 2           # from one pixel to the next, for lanes along the channels: beyond, phases are faster
    ROW_STORE = 2           # cycles for a register that is stored as it is
    PART_STORE = 8          # cycles for a register that goes through a buffer, because it holds parts of several rows


cdef fl_conv_planes *choose_tile(Plan plan, Layout L) except NULL:
    """L.tile, parts of the grid whose planes stay in L2, with as few pixels that are copied or computed in vain as possible, and
    L.chunk, the channels whose planes are there at a time."""
    cdef fl_int size = plan.size, lanes = lanes_of(plan), cols = L.grid_cols, rows, best_rows = 0, best_cols = 0, most
    cdef double cost, least = 0, per_pixel = <double>L.rows * L.total / L.n_phases, area
    cdef fl_conv_planes *P = &L.tile
    if L.tiled:
        return P
    L.tiled = True
    L.chunk = L.channels
    while True:
        # as many rows as fit, then as evenly as they divide
        L.fill_planes(P, 1, cols)
        most = SCRATCH // (size * L.chunk * P.phases_y * P.phases_x * P.pitch) - (P.plane_rows - 1)
        if most >= 1 or cols <= LEAST_COLS:
            rows = max(min(most, min(L.grid_rows, max(MOST_PIXELS // cols, 1))), 1)
            rows = blocks(L.grid_rows, blocks(L.grid_rows, rows))
            L.fill_planes(P, rows, cols)
            area = <double>rows * cols
            cost = up((rows - 1) * P.pitch + cols, lanes) * (per_pixel + 0.5) + 4.0 * P.phases_y * P.phases_x * P.plane
            if best_rows == 0 or cost / area < least:
                best_rows, best_cols, least = rows, cols, cost / area
        if cols <= LEAST_COLS:
            break
        cols = up(blocks(cols, 2), lanes)
    L.fill_planes(P, best_rows, best_cols)
    while L.chunk > 1 and size * L.chunk * P.phases_y * P.phases_x * P.plane > 4 * SCRATCH:
        L.chunk = blocks(L.chunk, 2)
    return P


cdef bint reads_in_place(Layout L) noexcept:
    """Whether every pixel that an output reads is in the image, so that lanes along the channels need no planes."""
    return (L.sw <= MOST_STEP and L.top == L.left == 0
            and (L.grid_rows - 1) * L.sh + L.far_y < L.h and (L.grid_cols - 1) * L.sw + L.far_x < L.w)


cdef bint reads_one_plane(Layout L, fl_conv_planes *P) noexcept:
    """Whether lanes along the channels step through one plane instead of one for each phase of a stride: not if it would have rows
    or columns that no tap reads."""
    return (L.sh * L.sw > 1 and L.sw <= MOST_STEP and L.phases_y == L.sh and L.phases_x == L.sw
            and P.from_y is NULL and P.from_x is NULL)


cdef double share(Layout L, fl_conv_planes *P):
    """Planes of the source for each one of y."""
    return <double>L.channels * P.phases_y * P.phases_x / L.rows


cdef double share_along_channels(Layout L, fl_conv_planes *P):
    """`share` for lanes along the channels. One plane is copied in half the time of its phases."""
    return 0 if reads_in_place(L) else share(L, P) / 2 if reads_one_plane(L, P) else share(L, P)


cdef fl_int panel_along_channels(fl_int rows, fl_int lanes) noexcept:
    """Two registers, if that leaves none empty."""
    return 2 * lanes if blocks(rows, lanes) % 2 == 0 else lanes


cdef int add_tiles(Plan plan, Layout L, cnp.ndarray x, cnp.ndarray W, cnp.ndarray y, Epilogue after, bint by_channel,
                   double ns) except -1:
    """Two jobs that take so many nanoseconds: the panels of A, and the product, with lanes along the channels or the pixels."""
    cdef fl_conv_planes P = choose_tile(plan, L)[0]
    cdef fl_int mr, panels, f, chunk = L.chunk, per_block, rows, parts, lanes = lanes_of(plan)
    cdef bint in_place = by_channel and reads_in_place(L), flat
    cdef fl_conv_job *job
    cdef cnp.ndarray a
    cdef double macs
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
    plan.because(L.why)
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
    after.point(plan, &job.after)
    job.chunk = chunk
    job.in_place, job.flat = in_place, flat
    job.by_row = up(P.tile_cols, lanes) * L.depth() + ROW_STORE * lanes < P.pitch * L.depth() + PART_STORE * lanes
    job.head.n_blocks = L.images * L.groups * job.tiles_down * job.tiles_across * blocks(panels, per_block)
    job.head.work = ns + cnp.PyArray_SIZE(y) * after.work()
    job.head.scratch = (FL_CONV_ROWS + 2) * FL_CONV_BYTES
    if by_channel:
        job.head.scratch += 2 * (FL_CONV_STRIP + lanes) * lanes * plan.size
    if not in_place:
        job.head.scratch += plan.size * chunk * P.phases_y * P.phases_x * P.plane
    plan.keep(offset)
    L.keep_planes(plan)
    return 0
