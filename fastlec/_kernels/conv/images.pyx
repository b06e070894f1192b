# cython: freethreading_compatible=True
"""Convolutions with lanes along the images, without stride: a register holds a pixel of as many images, and taps that lie beyond
the image are left out."""

cimport numpy as cnp

from fastlec._kernels.conv.layout cimport Layout, lanes_of
from fastlec._kernels.conv.limits cimport ENOUGH, LEAST_MACS, MOST_MACS, MOST_PARTIAL, MOST_SCRATCH
from fastlec._kernels.conv.pack cimport packed, rows_of_panel
from fastlec._kernels.epilogue cimport Epilogue
from fastlec._kernels.fl cimport *
from fastlec._kernels.plan cimport Plan, blocks, up
from fastlec._kernels.runner cimport facts, macs_per_ns
from fastlec._kernels.sum cimport sum_parts

cnp.import_array()

# Found by timing on Zen 4 with AVX-512, float32, in products of a register.
cdef enum:
    TRANSPOSE = 10          # for a register of pixels, transposed either way
    SUM = 2                 # for a product of sums of the weights' gradient with the end of its sum
    LEAST_ROWS = 4          # rows of y in a block: at a border, rows of x are transposed for two blocks
    LEAST_CHUNK = 8         # channels at a time
    MOST_BYTES = 1 << 19    # bytes of a block's planes, so that they stay in L2

# The weights' gradient takes twice the time where a register for each row and channel is so many bytes, which L1 does not hold.
cdef double FAR_BYTES = 1 << 16
cdef double GAIN = 0.95     # lanes along the images are taken where the estimate promises 5 % or more


cdef bint fits(Plan plan, Layout L) except -1:
    """Without stride, and with blocks that can be interrupted."""
    return (L.n_phases == 1 and L.sh == L.sw == L.down == L.across == 1
            and <double>L.depth() * L.rows * L.ow * lanes_of(plan) <= MOST_MACS
            and scratch_of(plan, L, up(L.rows, rows_of_panel(L.rows)), 1, min(L.channels, LEAST_CHUNK)) <= MOST_SCRATCH)


cdef double met(fl_int n, fl_int size, fl_int first, const fl_int *tap, fl_int taps, fl_int run):
    """The share of the taps that meet a source of `size` pixels, over n outputs that are computed in runs."""
    cdef fl_int q, before, end
    cdef double count = 0
    for q in range(taps):
        before = max(first - tap[q], 0) // run                                  # whole runs that end before the source,
        end = min(blocks(max(size + first - tap[q], 0), run), blocks(n, run))   # and all that begin before its end
        count += max(end - before, 0)
    return count / (<double>taps * blocks(n, run))


cdef double transposes(Layout L):
    """The transposes of x and y, in products for each one that is wanted."""
    return TRANSPOSE * (<double>L.channels * L.h * L.w / (L.rows * L.oh * L.ow) + 1) / L.depth()


cdef double cost_ns(Plan plan, Layout L) except -1:
    """Products, without those of taps beyond the image, and transposes."""
    cdef fl_int mr = rows_of_panel(L.rows)
    cdef double cost = <double>up(L.images, lanes_of(plan)) / L.images * blocks(L.rows, mr) * (mr + 0.3) / L.rows
    cost = cost * met(L.oh, L.h, L.top, L.ty, L.total, 1) * met(L.ow, L.w, L.left, L.tx, L.total, 4) + transposes(L)
    return cost / GAIN * L.macs() / macs_per_ns(plan.dtype)


cdef bint weights_fits(Plan plan, Layout L) except -1:
    return fits(plan, L)


cdef double weights_cost_ns(Plan plan, Layout L) except -1:
    """Products, without those of rows beyond the image, transposes, the ends of sums, and what L1 does not hold of the pixels that
    are multiplied: measured on Zen 4 with 16 to 512 channels, AVX2 and AVX-512, in both dtypes."""
    cdef double cost = <double>up(L.images, lanes_of(plan)) / L.images * up(L.rows, 2) / L.rows
    cost = cost * met(L.oh, L.h, L.top, L.ty, L.total, 1) + transposes(L) + <double>SUM / (L.oh * L.ow)
    cost *= 1 + (L.rows + L.channels) * facts().vector_bytes / FAR_BYTES
    return cost * L.macs() / macs_per_ns(plan.dtype)


cdef size_t list_of(Plan plan, Layout L):
    """Reals that the list of taps takes."""
    return up(2 * L.total * sizeof(fl_int), 64) // plan.size


cdef fl_int width_of(Layout L):
    return max(L.left, 0) + max(L.w, L.ow + L.ext_cols - L.left)


cdef size_t scratch_of(Plan plan, Layout L, fl_int y_planes, fl_int rows, fl_int chunk):
    """Bytes of scratch for `y_planes` planes of y, `rows` of their rows, and `chunk` channels of x."""
    return plan.size * (list_of(plan, L) + lanes_of(plan) * (y_planes * rows + chunk * min(rows + L.ext_rows, L.h)) * width_of(L))


cdef fl_int choose_band(Plan plan, Layout L, fl_int y_planes, fl_int *chunk):
    """Rows of y, and channels at a time, whose planes stay in L2; enough blocks, none too long."""
    cdef fl_int rows = L.oh, parts = blocks(L.images, lanes_of(plan)) * L.groups
    cdef double macs = <double>L.depth() * L.rows * L.ow * lanes_of(plan)     # of a row
    chunk[0] = L.channels
    while scratch_of(plan, L, y_planes, rows, chunk[0]) > MOST_BYTES and (rows > 1 or chunk[0] > LEAST_CHUNK):
        if rows > LEAST_ROWS or chunk[0] <= LEAST_CHUNK:
            rows = blocks(rows, 2)
        else:
            chunk[0] = blocks(chunk[0], 2)
    if parts * blocks(L.oh, rows) < ENOUGH:
        rows = min(rows, max(blocks(L.oh, blocks(ENOUGH, parts)), LEAST_ROWS, <fl_int>(LEAST_MACS / macs) + 1))
    rows = max(min(rows, <fl_int>(MOST_MACS / macs)), 1)
    return blocks(L.oh, blocks(L.oh, rows))


cdef fl_conv_bands bands_of(Plan plan, Layout L, fl_int rows):
    """For the plan's last job."""
    cdef fl_conv_bands G
    G.images, G.h, G.w, G.top, G.left, G.oh, G.ow = L.images, L.h, L.w, L.top, L.left, L.oh, L.ow
    G.taps, G.ext_rows, G.ty, G.tx = L.total, L.ext_rows, L.ty, L.tx
    G.tile_rows, G.plane_rows, G.before, G.width = rows, min(rows + L.ext_rows, L.h), max(L.left, 0), width_of(L)
    plan.keep(L.taps_y)
    plan.keep(L.taps_x)
    return G


cdef cnp.ndarray add(Plan plan, Layout L, cnp.ndarray x, cnp.ndarray W, cnp.ndarray y, Epilogue after):
    """Two jobs: the panels of A, and the product."""
    cdef fl_int mr = rows_of_panel(L.rows), panels = blocks(L.rows, mr), chunk, rows = choose_band(plan, L, panels * mr, &chunk)
    cdef fl_conv_images_job *job
    cdef cnp.ndarray a = packed(plan, L, W, mr)
    job = <fl_conv_images_job *>plan.add(FL_KERNEL_conv_images)
    plan.because(L.why)
    job.groups, job.rows, job.channels = L.groups, L.rows, L.channels
    job.bands = bands_of(plan, L, rows)
    plan.point(&job.a, a)
    job.mr, job.panels = mr, panels
    plan.point(&job.x, x)
    plan.point(<const void **>&job.y, y)
    after.point(plan, &job.after)
    job.chunk, job.list = chunk, list_of(plan, L)
    job.head.n_blocks = L.groups * blocks(L.images, lanes_of(plan)) * blocks(L.oh, rows)
    job.head.work = cost_ns(plan, L) + cnp.PyArray_SIZE(y) * after.work()
    job.head.scratch = scratch_of(plan, L, panels * mr, rows, chunk)


cdef cnp.ndarray add_weights(Plan plan, Layout L, cnp.ndarray v, cnp.ndarray x, cnp.ndarray dW, Epilogue after):
    """A job, and one that adds the sums over parts of the images."""
    cdef fl_int chunk, rows = choose_band(plan, L, L.rows, &chunk), units = blocks(L.images, lanes_of(plan)) * blocks(L.oh, rows)
    cdef fl_int per_part = blocks(units, max(MOST_PARTIAL // <fl_int>(cnp.PyArray_SIZE(dW) * plan.size), 1)), parts
    cdef fl_conv_weights_images_job *job
    cdef cnp.ndarray partial = dW
    parts = blocks(units, per_part)
    if parts > 1:
        partial = plan.empty(parts, cnp.PyArray_SIZE(dW))
    job = <fl_conv_weights_images_job *>plan.add(FL_KERNEL_conv_weights_images)
    plan.because(L.why)
    job.groups, job.rows, job.channels = L.groups, L.rows, L.channels
    job.bands = bands_of(plan, L, rows)
    job.across = L.s
    plan.point(&job.v, v)
    plan.point(&job.x, x)
    plan.point(<const void **>&job.dw, partial)
    job.units, job.per_part, job.chunk = units, per_part, chunk
    job.head.n_blocks = parts * L.groups
    job.head.work = weights_cost_ns(plan, L)
    job.head.scratch = scratch_of(plan, L, L.rows, rows, chunk)
    if parts > 1:
        sum_parts(plan, partial, parts, cnp.PyArray_SIZE(dW), dW)
