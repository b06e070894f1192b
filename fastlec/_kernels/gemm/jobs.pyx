# cython: freethreading_compatible=True
"""Products of matrices as jobs of a plan, with an epilogue."""

cimport numpy as cnp

from fastlec._kernels.epilogue cimport (
    ACCUMULATE, ACTIVATION, BIAS, DERIVATIVE, REPEATED_OF, RESIDUAL, UPDATE, Z, Epilogue, checked
)
from fastlec._kernels.fl cimport *
from fastlec._kernels.gemm.blocking cimport Blocking, choose_blocking
from fastlec._kernels.plan cimport Plan, blocks, up
from fastlec._kernels.runner cimport facts, macs_per_ns
from fastlec._kernels.sum cimport sum_parts

from fastlec._kernels.update import step

cnp.import_array()

cdef enum:
    PACK_BLOCK = 4096       # elements of B that a block packs: about a microsecond


def product(Plan plan not None, cnp.ndarray a not None, cnp.ndarray b not None, cnp.ndarray c not None, *, Epilogue after=None):
    """c = a b and the epilogue `after`. a (m, k) and b (k, n), in C or Fortran order; c (m, n)."""
    cdef fl_int m, n, k, waiting
    cdef bint by_row, by_column, bare, plain, packed_a, packed_b
    cdef cnp.ndarray sums = c, a_panels, b_panels
    cdef Blocking cut
    cdef fl_gemm_job *job
    plan.check(a, "a", 2, True)
    plan.check(b, "b", 2, True)
    m, k, n = cnp.PyArray_DIM(a, 0), cnp.PyArray_DIM(a, 1), cnp.PyArray_DIM(b, 1)
    if cnp.PyArray_DIM(b, 0) != k:
        raise ValueError(f"b has shape {(<object>b).shape}; expected ({k}, {n}) to match a of shape {(<object>a).shape}")
    plan.check_shape(c, "c", m, n)
    after = checked(after, plan, "gemm.product", c,
                    BIAS | ACTIVATION | RESIDUAL | ACCUMULATE | DERIVATIVE | REPEATED_OF | UPDATE | Z)
    if not m or not n:
        return
    by_row = cnp.PyArray_IS_C_CONTIGUOUS(a)
    by_column = cnp.PyArray_IS_F_CONTIGUOUS(b) and (k > 1 or not cnp.PyArray_IS_C_CONTIGUOUS(b))
    bare = not after.parts() & ~(ACCUMULATE | UPDATE)
    plain = bare and not after.accumulate
    cut = choose_blocking(m, n, k, by_row, by_column, plan.size, plain, facts().gemm_packs * facts().gemm_rows,
                          facts().gemm_depth[plan.dtype])
    packed_a = cut.panels_first and cut.few_rows and cut.cols < n
    packed_b = cut.pack_b and not (cut.panels_first and cut.few_rows)
    a_panels = panels(plan, a, m, k, by_row, True) if packed_a else None
    b_panels = panels(plan, b, n, k, by_column, False) if packed_b else None
    if cut.parts > 1:
        sums = plan.empty(cut.parts, m, n)

    job = <fl_gemm_job *>plan.add(FL_KERNEL_gemm_dots if cut.dots else FL_KERNEL_gemm)
    plan.because(cut.why)
    job.m, job.n, job.k = m, n, k
    job.a_row = k if by_row else 1
    job.a_step = 1 if by_row else m
    job.b_step = 1 if by_column else n
    job.b_col = k if by_column else 1
    plan.point(&job.a, a_panels if packed_a else a)
    plan.point(&job.b, b_panels if packed_b else b)
    job.packed_a, job.packed_b = packed_a, packed_b
    plan.point(<const void **>&job.c, sums)
    job.ldc = n
    if cut.parts == 1:
        after.point(plan, &job.after)
        job.after.of_rows = after.of_rows(m)
    job.rows, job.cols, job.strip = cut.rows, cut.cols, cut.strip
    job.pack_a, job.panels_first = cut.pack_a, cut.panels_first
    job.depth = blocks(k, cut.parts)
    job.part = m * n
    job.head.n_blocks = blocks(m, cut.rows) * blocks(n, cut.cols) * cut.parts
    job.head.work = <double>m * n * k / macs_per_ns(plan.dtype) + <double>m * n * after.work()
    if cut.dots:
        job.head.scratch = 0 if plain and not after.update else cut.rows * cut.cols * plan.size
    else:
        if not bare or job.after.update is not NULL:
            job.keep = cut.keep
            waiting = FL_FINISH_BYTES if cut.panels_first and not cut.keep else cut.cols * plan.size
            job.head.scratch = waiting * (up(cut.rows, FL_TILE_ROWS) if cut.keep or cut.panels_first else FL_TILE_ROWS)
        if cut.pack_a and not packed_a:
            job.head.scratch += (up(cut.rows, FL_TILE_ROWS) if cut.panels_first else FL_TILE_ROWS) * min(k, cut.strip) * plan.size
        if cut.panels_first and not packed_b:
            job.head.scratch += min(k, cut.strip) * cut.cols * plan.size

    if cut.parts > 1:
        total = plan.empty(m, n) if after.update else c
        sum_parts(plan, sums, cut.parts, m * n, total)
        if after.update:
            step(plan, c, total)


cdef cnp.ndarray panels(Plan plan, cnp.ndarray matrix, fl_int n, fl_int k, bint along, bint rows):
    """The n rows of A, or columns of B, each of k elements, packed: by a new job, or by one that is there already. along : they lie
    one after the other in memory."""
    cdef fl_int width = FL_TILE_ROWS if rows else FL_TILE_BYTES // plan.size
    cdef cnp.ndarray packed
    cdef fl_pack_job *job
    key = <size_t>cnp.PyArray_DATA(matrix), k, n, along, rows
    if plan.packed is None:
        plan.packed = {}
    elif key in plan.packed:
        return plan.packed[key][1]
    packed = plan.empty(k * up(n, width))
    job = <fl_pack_job *>plan.add(FL_KERNEL_gemm_pack)
    job.n, job.k, job.rows = n, k, rows
    job.apart = k if along else 1
    job.step = 1 if along else n
    job.per_block = max(up(PACK_BLOCK // max(k, 1), width), width)
    job.head.n_blocks = blocks(n, job.per_block)
    job.head.work = <double>k * n * 0.1
    plan.point(&job.source, matrix)
    plan.point(<const void **>&job.out, packed)
    plan.packed[key] = matrix, packed
    return packed
