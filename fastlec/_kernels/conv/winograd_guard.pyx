# cython: freethreading_compatible=True
"""Which tiles of a Winograd convolution are summed directly: jobs that find out before it runs
(csrc/kernels/conv/winograd_guard.c)."""

cimport numpy as cnp

from fastlec._kernels.conv.layout cimport Layout, lanes_of
from fastlec._kernels.fl cimport *
from fastlec._kernels.plan cimport Plan, blocks, up

cnp.import_array()

cdef enum:
    MAP_PIXELS = 2048       # pixels of a block: its maps stay in L1 while the channels are read
    MEASURED_TILES = 128    # tiles of a block: their pixels stay in L1 or L2


cdef size_t pixels_of(Plan plan, fl_int pitch):
    """Bytes of the pixels of `pitch` tiles of a channel, and of a row of them as it lies in the image."""
    return plan.size * (FL_WINO_POINTS + FL_WINO_TILE) * (pitch + lanes_of(plan))


cdef fl_int pitch_of(Plan plan, Layout L, fl_wino_tiles T) noexcept:
    """Tiles of all images, rounded up to registers."""
    return up(L.images * T.rows * T.cols, lanes_of(plan))


cdef cnp.ndarray measures(Plan plan, Layout L, fl_wino_tiles T, cnp.ndarray x, fl_int channels, int span, cnp.ndarray totals):
    """Of the tiles of x, by two jobs. totals: float64 for the sums of each block of the first one, or None."""
    cdef fl_int pixels = T.h * T.w, pitch = pitch_of(plan, L, T), total = L.images * T.rows
    cdef fl_int rows = max(min(MEASURED_TILES // T.cols, total), 1)
    cdef cnp.ndarray maps = plan.empty(L.groups * L.images * FL_WINO_MAPS * pixels)
    cdef cnp.ndarray found = plan.empty(L.groups * FL_WINO_MAPS * pitch)
    cdef fl_winograd_maps_job *sums = <fl_winograd_maps_job *>plan.add(FL_KERNEL_winograd_maps)
    cdef fl_winograd_measure_job *job
    sums.images, sums.groups, sums.channels, sums.pixels, sums.per_block = L.images, L.groups, channels, pixels, MAP_PIXELS
    plan.point(&sums.x, x)
    plan.point(<const void **>&sums.maps, maps)
    if totals is not None:
        plan.keep(totals)
        sums.totals = <double *>cnp.PyArray_DATA(totals)
    sums.head.n_blocks = parts_of(L, pixels) * L.groups
    sums.head.work = 0.015 * plan.size * cnp.PyArray_SIZE(x)

    job = <fl_winograd_measure_job *>plan.add(FL_KERNEL_winograd_measure)
    job.images, job.span, job.tiles, job.per_block, job.pitch = L.images, span, T, rows, pitch
    plan.point(&job.maps, maps)
    plan.point(<const void **>&job.measures, found)
    job.head.n_blocks = L.groups * blocks(total, rows)
    job.head.work = 10.0 * L.groups * total * T.cols
    job.head.scratch = pixels_of(plan, up(rows * T.cols, lanes_of(plan)))
    return found


cdef fl_int parts_of(Layout L, fl_int pixels) noexcept:
    """Blocks of maps for each group."""
    return L.images * blocks(pixels, MAP_PIXELS)


cdef fl_winograd_bounds_job *new_bounds(Plan plan, Layout L, fl_wino_tiles T, int kernel, cnp.ndarray found,
                                        cnp.ndarray out) except NULL:
    cdef fl_winograd_bounds_job *job = <fl_winograd_bounds_job *>plan.add(kernel)
    job.images, job.tiles, job.groups, job.channels, job.rows = L.images, T, L.groups, L.channels, L.rows
    job.count, job.pitch = L.images * T.rows * T.cols, pitch_of(plan, L, T)
    plan.point(&job.measures, found)
    plan.point(<const void **>&job.bounds, out)
    job.head.n_blocks = L.groups
    job.head.work = 5.0 * L.groups * job.count
    job.head.scratch = FL_WINO_BUCKETS * sizeof(int)
    return job


cdef cnp.ndarray bounds(Plan plan, Layout L, fl_wino_tiles T, cnp.ndarray x, bint few):
    """[group][pitch_of(plan, L, T)]: of each tile, for the convolution of x. few: also for tiles of few terms. Three jobs."""
    cdef cnp.ndarray out = plan.empty(L.groups * pitch_of(plan, L, T))
    cdef cnp.ndarray found = measures(plan, L, T, x, L.channels, 6, None)
    cdef fl_winograd_bounds_job *job = new_bounds(plan, L, T, FL_KERNEL_winograd_bounds, found, out)
    if few:
        job.terms = FL_WINO_TERMS if plan.dtype == FL_F32 else FL_WINO_TERMS_F64
    return out


cdef cnp.ndarray new_flag():
    """An int32 that a job will write."""
    cdef cnp.npy_intp size = 1
    return cnp.PyArray_EMPTY(1, &size, cnp.NPY_INT32, 0)


cdef cnp.ndarray choose(Plan plan, Layout L, fl_wino_tiles T, cnp.ndarray x, cnp.ndarray W, cnp.ndarray found, cnp.ndarray density,
                        double most, bint few):
    """A flag: whether x and W are convolved directly, because more than the share `most` of the registers of tiles would be, or
    (few) because direct summation hardly rounds. density: of A's rows, None if unknown."""
    cdef fl_winograd_choose_job *job = <fl_winograd_choose_job *>plan.add(FL_KERNEL_winograd_choose)
    cdef cnp.ndarray flag = new_flag()
    job.groups, job.rows, job.count, job.pitch = L.groups, L.rows, L.images * T.rows * T.cols, pitch_of(plan, L, T)
    plan.point(&job.bounds, found)
    if density is not None:
        plan.point(&job.density, density)
    job.most = most
    plan.point(&job.x, x)
    plan.point(&job.w, W)
    job.x_size, job.w_size = cnp.PyArray_SIZE(x), cnp.PyArray_SIZE(W) if few else 0
    plan.keep(flag)
    job.direct = <int *>cnp.PyArray_DATA(flag)
    job.head.n_blocks = 1
    job.head.work = 0.5 * L.groups * job.count
    return flag


cdef cnp.ndarray new_totals(Layout L, fl_int pixels):
    cdef cnp.npy_intp size = 2 * L.groups * parts_of(L, pixels)
    return cnp.PyArray_EMPTY(1, &size, cnp.NPY_DOUBLE, 0)


cdef cnp.ndarray weights_bounds(Plan plan, Layout L, fl_wino_tiles T, cnp.ndarray v, cnp.ndarray x, bint few, cnp.ndarray flag):
    """For the weights' gradient of v and x: 1 for tiles that are summed directly, else 0; flag: whether all are. Five jobs."""
    cdef fl_wino_tiles V = T
    cdef cnp.ndarray out = plan.empty(L.groups * pitch_of(plan, L, T)), found, v_found
    cdef cnp.ndarray totals = new_totals(L, T.h * T.w), v_totals = new_totals(L, T.oh * T.ow)
    cdef fl_winograd_bounds_job *job
    V.h, V.w, V.top, V.left = T.oh, T.ow, 0, 0
    found = measures(plan, L, T, x, L.channels, 6, totals)
    v_found = measures(plan, L, V, v, L.rows, FL_WINO_TILE, v_totals)
    job = new_bounds(plan, L, T, FL_KERNEL_winograd_weights_bounds, found, out)
    plan.point(&job.v_measures, v_found)
    job.totals, job.v_totals = <double *>cnp.PyArray_DATA(totals), <double *>cnp.PyArray_DATA(v_totals)
    job.x_parts, job.v_parts = parts_of(L, T.h * T.w), parts_of(L, T.oh * T.ow)
    job.head.n_blocks = 1
    plan.point(&job.x, x)
    plan.point(&job.v, v)
    job.x_size, job.v_size = cnp.PyArray_SIZE(x), cnp.PyArray_SIZE(v)
    job.terms = FL_WINO_WEIGHT_TERMS if few else 0
    plan.keep(flag)
    job.direct = <int *>cnp.PyArray_DATA(flag)
    return out
