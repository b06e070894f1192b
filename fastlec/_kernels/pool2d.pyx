# cython: freethreading_compatible=True
"""Means, sums and maxima of windows of images, as jobs of a plan.

g is a `fastlec._geometry.Geometry` of windows: x (n, c, h, w), y (n, c, oh, ow); every window has a pixel inside x, and
(dh (r - 1) + 1) w < 2^31. Means have no dilation; counted: whether the padding counts in them. Arrays are those of a plan: its
dtype, C order, aligned.
"""

cimport numpy as cnp

from fastlec._kernels.dtypes cimport dtypes
from fastlec._kernels.epilogue cimport DERIVATIVE, Epilogue, checked
from fastlec._kernels.fl cimport *
from fastlec._kernels.plan cimport Plan, blocks, up

cnp.import_array()

cdef enum:
    BLOCK = 1 << 14         # pixels of a block, at least: some microseconds of work
    LONG = 1 << 22          # pixels and taps of a plane from which on it is cut into bands
    BAND = 1 << 20          # pixels and taps of such a band, about


cdef int add(Plan plan, object g, int mode, cnp.ndarray x, cnp.ndarray source, cnp.ndarray to, Epilogue after,
             bint counted=False, bint sums=False) except -1:
    cdef fl_pool_job *job = <fl_pool_job *>plan.add(FL_KERNEL_pool)
    cdef fl_int rows
    cdef double size
    cdef bint back
    job.mode = mode
    plan.point(&job.x, x)
    plan.point(&job.source, source)
    plan.point(<const void **>&job.to, to)
    after.point(plan, &job.after)
    job.planes = g.n * g.c
    job.h, job.w, job.oh, job.ow = g.h, g.w, g.oh, g.ow
    job.sums = sums
    job.r, job.s, job.sh, job.sw, job.top, job.left = g.r, g.s, g.sh, g.sw, g.top, g.left
    job.dh, job.dw = g.dh, g.dw
    job.dilated = (job.dh > 1 and job.r > 1) or (job.dw > 1 and job.s > 1)
    job.high = job.dh * (job.r - 1) + 1
    if counted:
        job.above, job.below, job.before, job.behind = g.top, g.bottom, g.left, g.right
    job.whole = job.top <= job.above and (job.oh - 1) * job.sh + job.r <= job.top + job.h + job.below
    job.whole &= job.left <= job.before and (job.ow - 1) * job.sw + job.s <= job.left + job.w + job.behind
    if job.sw <= min(job.s, 2) or (mode >= FL_MAXIMUM and 2 * job.s <= job.ow):     # else faster one by one
        job.inner = blocks(job.left, job.sw)
        job.outer = min((job.w + job.left - job.s) // job.sw + 1, job.ow) if job.w + job.left >= job.s else 0
        job.inner = min(job.inner, max(job.outer, 0))
    back = mode == FL_MEAN_TMV or mode == FL_MAXIMUM_TMV
    rows = job.h if back else job.oh
    size = job.h * job.w + <double>job.oh * job.ow * job.r * job.s
    job.per_block = blocks(BLOCK, job.h * job.w)
    job.band = rows
    if size > LONG:
        job.band = min(max(<fl_int>(BAND / size * rows), 1), rows)
        if back:        # windows that reach into two bands are computed twice: a quarter of them at most
            job.band = min(up(max(job.band, 4 * job.high), 2), rows)
    job.bands = blocks(rows, job.band)
    if mode == FL_MEAN_TMV:
        job.head.scratch = job.w * plan.size
    elif mode == FL_MAXIMUM_TMV and job.bands > 1:
        job.head.scratch = (job.band + 2 * job.high) * job.w * plan.size
    job.head.n_blocks = blocks(job.planes, job.per_block) * job.bands
    job.head.work = job.planes * size * dtypes[plan.dtype].pass_ns / 2
    return 0


def forward(Plan plan not None, g, cnp.ndarray x not None, cnp.ndarray y not None, *, bint maximum, bint counted=True,
            bint sums=False, Epilogue after=None):
    """y = the maxima of the windows of x, or their means or (sums) sums, these times derivative'(of)."""
    plan.check_image(x, "x", g.n, g.c, g.h, g.w)
    plan.check_image(y, "y", g.n, g.c, g.oh, g.ow)
    after = checked(after, plan, "pool2d.forward", y, 0 if maximum else DERIVATIVE)
    add(plan, g, FL_MAXIMUM if maximum else FL_MEAN, x, x, y, after, counted, sums)


def mv(Plan plan not None, g, cnp.ndarray x not None, cnp.ndarray dx not None, cnp.ndarray dy not None):
    """dy = the elements of dx that lie where the maxima of x do. For means, which are linear, it is `forward`."""
    plan.check_image(x, "x", g.n, g.c, g.h, g.w)
    plan.check_image(dx, "dx", g.n, g.c, g.h, g.w)
    plan.check_image(dy, "dy", g.n, g.c, g.oh, g.ow)
    add(plan, g, FL_MAXIMUM_MV, x, dx, dy, Epilogue())


def tmv(Plan plan not None, g, cnp.ndarray x, cnp.ndarray v not None, cnp.ndarray dx not None, *, bint counted=True,
        bint sums=False, Epilogue after=None):
    """dx = J' v * derivative'(of), with J of the maxima of x, or of means or (sums) sums where x is None."""
    plan.check_image(v, "v", g.n, g.c, g.oh, g.ow)
    plan.check_image(dx, "dx", g.n, g.c, g.h, g.w)
    if x is not None:
        plan.check_image(x, "x", g.n, g.c, g.h, g.w)
    after = checked(after, plan, "pool2d.tmv", dx, DERIVATIVE)
    add(plan, g, FL_MEAN_TMV if x is None else FL_MAXIMUM_TMV, dx if x is None else x, v, dx, after, counted, sums)
