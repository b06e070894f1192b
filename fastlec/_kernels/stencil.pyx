# cython: freethreading_compatible=True
"""Image filters: one kernel over every plane, as jobs of a plan."""

cimport numpy as cnp

from fastlec._kernels.conv.layout cimport lanes_of
from fastlec._kernels.conv.limits cimport ENOUGH, LEAST_MACS, MOST_MACS
from fastlec._kernels.fl cimport *
from fastlec._kernels.plan cimport Plan, blocks, up

cnp.import_array()

cdef enum:
    PIXELS = 1 << 16        # pixels of a tile, so that it and what it reads stay in L2
    COLUMNS = 1 << 12       # columns of a tile, at most


def filter2d(Plan plan not None, cnp.ndarray x not None, cnp.ndarray K not None, cnp.ndarray y not None, int mode=FL_CONSTANT,
             double cval=0):
    """y[p, a, b] = sum_ij K[i, j] x[p, a + i - r // 2, b + j - s // 2], beyond the image as `mode` says. x, y (planes, h, w), none
    of these 0; K (r, s)."""
    cdef fl_stencil_job *job
    cdef fl_int i, images, h, w, r, s, rows, cols, parts, lanes = lanes_of(plan)
    cdef double taps
    plan.check(x, "x", 3)
    plan.check(y, "y", 3)
    plan.check(K, "K", 2)
    for i in range(3):
        if cnp.PyArray_DIM(y, <int>i) != cnp.PyArray_DIM(x, <int>i) or not cnp.PyArray_DIM(x, <int>i):
            raise ValueError(f"y has shape {(<object>y).shape}; expected {(<object>x).shape}, none of them 0")
    if not FL_CONSTANT <= mode <= FL_MIRROR:
        raise ValueError(f"mode is {mode}; expected 0 to {FL_MIRROR}")
    r, s = cnp.PyArray_DIM(K, 0), cnp.PyArray_DIM(K, 1)
    if not r or not s:
        raise ValueError(f"K has shape {(<object>K).shape}; expected one element or more")
    images, h, w, taps = cnp.PyArray_DIM(x, 0), cnp.PyArray_DIM(x, 1), cnp.PyArray_DIM(x, 2), <double>r * s
    cols = min(w, COLUMNS)
    while cols > 4 * lanes and FL_STENCIL_ROWS * cols * taps > MOST_MACS:
        cols = up(blocks(cols, 2), lanes)
    rows = max(min(PIXELS // cols, <fl_int>(MOST_MACS / (cols * taps))), FL_STENCIL_ROWS)
    rows = blocks(h, blocks(h, rows))
    parts = images * blocks(h, rows) * blocks(w, cols)
    if parts < ENOUGH:
        rows = min(max(blocks(rows, blocks(ENOUGH, parts)), <fl_int>(LEAST_MACS / (cols * taps)) + 1), rows)
    rows = up(rows, FL_STENCIL_ROWS)
    job = <fl_stencil_job *>plan.add(FL_KERNEL_stencil)
    job.h, job.w, job.r, job.s = h, w, r, s
    job.tile_rows, job.tile_cols, job.tiles_down, job.tiles_across = rows, cols, blocks(h, rows), blocks(w, cols)
    plan.point(&job.weights, K)
    plan.point(&job.x, x)
    plan.point(<const void **>&job.y, y)
    job.border, job.cval = mode, cval
    job.list = up((rows + r - 1) * sizeof(void *), 64) // plan.size
    job.ld = up(min(cols, s + 2 * lanes) + s, lanes) + lanes
    job.head.n_blocks = images * job.tiles_down * job.tiles_across
    job.head.work = <double>cnp.PyArray_SIZE(y) * (taps * 0.02 + 0.5) * plan.size / 4
    job.head.scratch = plan.size * (job.list + cols + s + lanes + (rows + r) * job.ld)
