# cython: freethreading_compatible=True
"""The weights' gradient from planes, with lanes along the pixels or the channels."""

cimport numpy as cnp

from fastlec._kernels.conv.layout cimport Layout, entries, lanes_of
from fastlec._kernels.conv.limits cimport ENOUGH, LEAST_MACS, MOST_MACS, MOST_PARTIAL, MOST_SCRATCH, SCRATCH
from fastlec._kernels.conv.planes cimport panel_along_channels, reads_in_place, reads_one_plane
from fastlec._kernels.fl cimport *
from fastlec._kernels.plan cimport Plan, blocks, up
from fastlec._kernels.sum cimport sum_parts

cnp.import_array()

cdef enum:
    DOTS_PIXELS = 1024      # pixels in a sum with lanes along the pixels, so that its end costs little
    TAPS_PIXELS = 256       # pixels in a sum with lanes along the channels, so that its end costs little

DOTS = 1.08                 # time of a product of pixels, whose loads take longer than it, in that of one of the forward map


cdef fl_int channels_of_region(Layout L) noexcept:
    """Channels whose gradients a block sums, before it looks at its planes."""
    return min(L.channels, max(128 // L.total, 32))


cdef int add_regions(Plan plan, Layout L, cnp.ndarray v, cnp.ndarray x, cnp.ndarray dW, bint by_channel, double ns) except -1:
    """A job that takes so many nanoseconds, and one that adds its sums over parts of the images. A block is some rows of A, some
    channels and a part of the images, with planes of both in L2."""
    cdef fl_conv_planes P
    cdef fl_conv_weights_job *job
    cdef fl_int rows = L.grid_rows, row_chunk = min(L.rows, 128), channel_chunk = channels_of_region(L)
    cdef fl_int lanes = lanes_of(plan), mr = panel_along_channels(L.rows, lanes), together = 1, parts = 1, regions, most
    cdef fl_int images, pixels
    cdef bint in_place
    cdef cnp.ndarray partial = dW
    cdef double macs = L.macs()
    L.fill_planes(&P, L.grid_rows, L.grid_cols)
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
    plan.because(L.why)
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
    job.head.work = ns
    job.mr, job.in_place = mr, in_place
    job.head.scratch = 3 * FL_CONV_BYTES
    if not in_place:
        job.head.scratch += (plan.size * together * P.plane + 64) * channel_chunk * P.phases_y * P.phases_x
    if by_channel:
        job.head.scratch += plan.size * ((row_chunk * channel_chunk * L.total + lanes * mr)
                                         + row_chunk * together * P.tile_rows * L.grid_cols)
    else:
        job.head.scratch += row_chunk * (plan.size * together * P.plane + 64)
    plan.keep(offset)
    L.keep_planes(plan)
    if parts > 1:
        sum_parts(plan, partial, parts, cnp.PyArray_SIZE(dW), dW)
    return 0
