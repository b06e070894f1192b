# cython: freethreading_compatible=True
"""Image filters: one kernel over every plane, as jobs of a plan."""

cimport numpy as cnp

from fastlec._kernels.fl cimport *
from fastlec._kernels.layout cimport ENOUGH, LEAST_MACS, Layout, choose_tile
from fastlec._kernels.plan cimport Plan, blocks, up

cnp.import_array()


def filter2d(Plan plan not None, cnp.ndarray x not None, cnp.ndarray K not None, cnp.ndarray y not None, int mode=FL_CONSTANT,
             double cval=0):
    """y[p, a, b] = sum_ij K[i, j] x[p, a + i - r // 2, b + j - s // 2], beyond the image as `mode` says. x, y (planes, h, w), neither
    0; K (r, s)."""
    cdef Layout L = Layout()
    cdef fl_stencil_job *job
    cdef fl_conv_planes P
    cdef fl_int i, j, q = 0, r, s, chunk, parts, rows
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
    L.images, L.groups, L.rows, L.channels = cnp.PyArray_DIM(x, 0), 1, 1, 1
    L.h, L.w, L.sh, L.sw, L.top, L.left = cnp.PyArray_DIM(x, 1), cnp.PyArray_DIM(x, 2), 1, 1, r // 2, s // 2
    L.grid_rows, L.grid_cols, L.oh, L.ow, L.down, L.across = L.h, L.w, L.h, L.w, 1, 1
    L.border, L.cval = mode, cval
    L.allot(1, r * s)
    L.phase[0].row = L.phase[0].col = L.phase[0].first = 0
    L.phase[0].rows, L.phase[0].cols, L.phase[0].taps = L.h, L.w, r * s
    for i in range(r):
        for j in range(s):
            L.ty[q], L.tx[q], L.where[q] = i, j, q
            q += 1
    L.extend()
    choose_tile(L, &P, &chunk, plan.size)
    parts = L.images * blocks(L.h, P.tile_rows) * blocks(L.w, P.tile_cols)
    if parts < ENOUGH:
        rows = max(blocks(P.tile_rows, blocks(ENOUGH, parts)), <fl_int>(LEAST_MACS / (<double>P.tile_cols * r * s)) + 1)
        L.fill_planes(&P, min(up(rows, FL_STENCIL_ROWS), P.tile_rows), P.tile_cols)
    P.pitch, P.plane = P.width, P.plane_rows * P.width
    job = <fl_stencil_job *>plan.add(FL_KERNEL_stencil)
    job.planes = P
    job.tiles_down, job.tiles_across = blocks(L.h, P.tile_rows), blocks(L.w, P.tile_cols)
    job.r, job.s = r, s
    plan.point(&job.weights, K)
    plan.point(&job.x, x)
    plan.point(<const void **>&job.y, y)
    job.head.n_blocks = L.images * job.tiles_down * job.tiles_across
    job.head.work = <double>cnp.PyArray_SIZE(y) * (r * s * 0.02 + 0.5) * plan.size / 4
    job.head.scratch = plan.size * (P.plane + FL_STENCIL_ROWS * P.pitch) + FL_CONV_BYTES
