# cython: freethreading_compatible=True
"""Products of matrices as jobs of a plan, with an epilogue."""

cimport numpy as cnp

from fastlec._kernels.epilogue cimport ACCUMULATE, ACTIVATION, BIAS, DERIVATIVE, RESIDUAL, UPDATE, Z, Epilogue, checked
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
    cdef fl_int m, n, k
    cdef bint by_row, by_column, bare, plain
    cdef cnp.ndarray sums = c, packed = None
    cdef Blocking cut
    cdef fl_gemm_job *job
    plan.check(a, "a", 2, True)
    plan.check(b, "b", 2, True)
    m, k, n = cnp.PyArray_DIM(a, 0), cnp.PyArray_DIM(a, 1), cnp.PyArray_DIM(b, 1)
    if cnp.PyArray_DIM(b, 0) != k:
        raise ValueError(f"b has shape {(<object>b).shape}; expected ({k}, {n}) to match a of shape {(<object>a).shape}")
    plan.check_shape(c, "c", m, n)
    after = checked(after, plan, "gemm.product", c, BIAS | ACTIVATION | RESIDUAL | ACCUMULATE | DERIVATIVE | UPDATE | Z)
    if not m or not n:
        return
    by_row = cnp.PyArray_IS_C_CONTIGUOUS(a)
    by_column = cnp.PyArray_IS_F_CONTIGUOUS(b) and (k > 1 or not cnp.PyArray_IS_C_CONTIGUOUS(b))
    bare = not after.parts() & ~(ACCUMULATE | UPDATE)
    plain = bare and not after.accumulate
    cut = choose_blocking(m, n, k, by_row, by_column, plan.size, plain, facts().gemm_packs)
    if cut.pack_b:
        packed = panels(plan, b, k, n, by_column)
    if cut.parts > 1:
        sums = plan.empty(cut.parts, m, n)

    job = <fl_gemm_job *>plan.add(FL_KERNEL_gemm_dots if cut.dots else FL_KERNEL_gemm)
    plan.because(cut.why)
    job.m, job.n, job.k = m, n, k
    job.a_row = k if by_row else 1
    job.a_step = 1 if by_row else m
    plan.point(&job.a, a)
    plan.point(&job.b, packed if cut.pack_b else b)
    job.ldb = 0 if cut.pack_b else k if cut.dots else n
    plan.point(<const void **>&job.c, sums)
    job.ldc = n
    if cut.parts == 1:
        after.point(plan, &job.after)
    if after.update:
        plan.packed = None          # of parameters that change
    job.rows, job.cols, job.strip, job.pack = cut.rows, cut.cols, cut.strip, cut.pack_a
    job.depth = blocks(k, cut.parts)
    job.part = m * n
    job.head.n_blocks = blocks(m, cut.rows) * blocks(n, cut.cols) * cut.parts
    job.head.work = <double>m * n * k / macs_per_ns(plan.dtype) + <double>m * n * after.work()
    if cut.dots:
        job.head.scratch = 0 if plain and not after.update else cut.rows * cut.cols * plan.size
    else:
        if not bare or job.after.update is not NULL:
            job.keep = cut.keep
            job.head.scratch = (up(cut.rows, FL_TILE_ROWS) if cut.keep else FL_TILE_ROWS) * cut.cols * plan.size
        if cut.pack_a:
            job.head.scratch += (FL_TILE_ROWS * min(k, FL_DEPTH_BYTES // <fl_int>plan.size) + 64) * plan.size

    if cut.parts > 1:
        total = plan.empty(m, n) if after.update else c
        sum_parts(plan, sums, cut.parts, m * n, total)
        if after.update:
            step(plan, c, total)


cdef cnp.ndarray panels(Plan plan, cnp.ndarray b, fl_int k, fl_int n, bint by_column):
    """B packed: by a new job, or by one that is there already."""
    cdef fl_int tile = FL_TILE_BYTES // plan.size
    cdef cnp.ndarray packed
    cdef fl_pack_job *job
    key = <size_t>cnp.PyArray_DATA(b), k, n, by_column
    if plan.packed is None:
        plan.packed = {}
    elif key in plan.packed:
        return plan.packed[key]
    packed = plan.empty(k * up(n, tile))
    plan.packed[key] = packed
    job = <fl_pack_job *>plan.add(FL_KERNEL_gemm_pack)
    job.n, job.k = n, k
    job.b_step = 1 if by_column else n
    job.b_col = k if by_column else 1
    job.cols = max(up(PACK_BLOCK // max(k, 1), tile), tile)
    job.head.n_blocks = blocks(n, job.cols)
    job.head.work = <double>k * n * 0.1
    plan.point(&job.b, b)
    plan.point(<const void **>&job.out, packed)
    return packed
