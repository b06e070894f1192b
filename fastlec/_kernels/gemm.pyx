# cython: freethreading_compatible=True
"""Products of matrices: as jobs of a plan, with an epilogue, or one by itself."""

cimport numpy as cnp
from libc.string cimport memset

from fastlec._kernels cimport pool
from fastlec._kernels.args cimport dtype_of
from fastlec._kernels.dense cimport sum_parts
from fastlec._kernels.epilogue cimport ACCUMULATE, ACTIVATION, BIAS, DERIVATIVE, RESIDUAL, UPDATE, Epilogue, checked
from fastlec._kernels.fl cimport *
from fastlec._kernels.plan cimport Plan, blocks, up
from fastlec._kernels.runner cimport kernel, run_job, vector_bytes

from fastlec._kernels.update import step

cnp.import_array()

cdef enum:
    PIECE = 4096            # elements of a block that packs
    DOTS_COLS = 16          # up to so many columns, or
    DOTS_ROWS = 32          # so many rows, a product with B's columns in place is faster than packing them,
    DOTS_DEPTH = 64         # from this depth on
    PACK_FROM = 512         # bytes of a row of C from which on rows of A are packed
    STRIP_BYTES = 1 << 18   # of B, of which one strip is used while the next one is fetched
    PACK_ROWS = 48          # of C that make packing B worth its while where it lies badly
    PACK_BYTES = 3 << 16    # and bytes of C with which it is, wherever B lies, for tiles of 6 rows, which read B twice as often: on
                            # Zen 4 held to AVX2, packing took products of 512 and 1024 from 70 and 50 % of the speed of 256 to 95;
                            # with a smaller C it cost up to 15 %
    PACK_FROM_B = 1 << 15   # if B is larger than this, L1
    MOST_ROWS = 96          # of C in a block,
    COLS_BYTES = 4096       # and bytes of a row of it, so that what is summed over at a time of B stays in L2
    PANEL_BYTES = 1 << 19   # of B for a block that stay in L2 as a whole
    KEEP_BYTES = 1 << 14    # of a block of C that is finished at once
    EVEN = 8                # blocks in multiples of so many keep teams of 2, 4 and 8 busy to the end
    SPLIT_DEPTH = 1024      # of each part of a product whose C is so small that only its depth can be shared out

cdef double BLOCK_MACS = 3e5    # multiplications in a block of a product: about 5 us
cdef double SMALL = 3e5         # multiplications of a product that is not worth a plan


def product(Plan plan not None, cnp.ndarray a not None, cnp.ndarray b not None, cnp.ndarray c not None, *, Epilogue after=None):
    """c = a b and the epilogue `after`. a (m, k) and b (k, n), in C or Fortran order; c (m, n)."""
    cdef fl_int m, n, k, down, across, parts = 1, tile = FL_TILE_BYTES // plan.size, depth = FL_DEPTH_BYTES // plan.size
    cdef fl_int cols, rows, count
    cdef bint dots, plain, bare, by_row, by_column, pack
    cdef cnp.ndarray partial = None, packed
    cdef fl_gemm_job *job
    cdef double macs
    plan.check(a, "a", 2, True)
    plan.check(b, "b", 2, True)
    m, k, n = cnp.PyArray_DIM(a, 0), cnp.PyArray_DIM(a, 1), cnp.PyArray_DIM(b, 1)
    if cnp.PyArray_DIM(b, 0) != k:
        raise ValueError(f"b has shape {(<object>b).shape}; expected ({k}, {n}) to match a of shape {(<object>a).shape}")
    plan.check_shape(c, "c", m, n)
    after = checked(after, plan, "gemm.product", c, BIAS | ACTIVATION | RESIDUAL | ACCUMULATE | DERIVATIVE | UPDATE)
    if not m or not n:
        return
    macs = <double>m * n * k
    by_row = cnp.PyArray_IS_C_CONTIGUOUS(a)
    by_column = cnp.PyArray_IS_F_CONTIGUOUS(b) and (k > 1 or not cnp.PyArray_IS_C_CONTIGUOUS(b))
    dots = by_row and by_column and k >= DOTS_DEPTH and (n <= DOTS_COLS or m <= DOTS_ROWS)
    bare = not after.parts() & ~(ACCUMULATE | UPDATE)
    plain = bare and not after.accumulate
    if by_column and not dots and cnp.PyArray_IS_C_CONTIGUOUS(b):
        by_column = False

    # blocks: by the problem alone, so that every team computes the same
    cols = up(n, tile)
    if cols * <fl_int>plan.size > COLS_BYTES:
        cols = up(blocks(cols, blocks(cols * <fl_int>plan.size, COLS_BYTES)), tile)
    rows = min(max(<fl_int>(BLOCK_MACS / (<double>cols * max(k, 1))), FL_TILE_ROWS), MOST_ROWS)
    if <double>k * cols * plan.size > PANEL_BYTES:      # B comes from L3 or memory each time: for many rows, then
        rows = max(rows, min(m // 4, MOST_ROWS))
    count = m // rows
    if count >= 4 * EVEN:           # so many that an odd one does not matter: whole tiles
        rows = rows // FL_TILE_ROWS * FL_TILE_ROWS
    elif count > 1:
        rows = up(blocks(m, count - count % (EVEN if count >= EVEN else 4 if count >= 4 else 2)), 4)
    else:
        rows = m
    if dots and m <= DOTS_ROWS:
        rows = m
        cols = min(cols, max(up(<fl_int>(BLOCK_MACS / (<double>m * k)), tile), tile))
    down, across = blocks(m, rows), blocks(n, cols)
    # parts of rows that lie a power of two apart would all fall into the same few sets of the caches
    pack = by_column and not dots or (across > 1 and n * plan.size % 2048 == 0 and m >= PACK_ROWS)
    if vector_bytes() == 32 and not dots and m >= PACK_ROWS:
        pack = pack or (<double>m * n * plan.size >= PACK_BYTES and <double>k * n * plan.size > PACK_FROM_B)
    if plain and not dots and down * across < 16 and k >= 4 * SPLIT_DEPTH:
        parts = min(blocks(k, SPLIT_DEPTH), 64)

    if pack:
        packed = panels(plan, b, k, n, by_column)
    if parts > 1:
        partial = plan.empty(parts, m, n)
    job = <fl_gemm_job *>plan.add(FL_KERNEL_gemm_dots if dots else FL_KERNEL_gemm)
    job.m, job.n, job.k = m, n, k
    job.a_row = k if by_row else 1
    job.a_step = 1 if by_row else m
    plan.point(&job.a, a)
    if pack:
        plan.point(&job.b, packed)
        job.ldb = 0
    else:
        plan.point(&job.b, b)
        job.ldb = k if dots else n
    plan.point(<const void **>&job.c, c if partial is None else partial)
    job.ldc = n
    job.accumulate, job.op, job.op2 = after.accumulate, after.activation, after.derivative
    job.ldr = job.ldy = n
    if after.bias is not None:
        plan.point(&job.bias, after.bias)
    if after.residual is not None:
        plan.point(&job.r, after.residual)
    if after.of is not None:
        plan.point(&job.y, after.of)
    if after.update:
        plan.packed = None
    if after.update and parts == 1:
        job.update = &plan.rule
    job.rows, job.cols = rows, cols
    job.depth = blocks(k, parts) if parts > 1 else k
    job.part = m * n
    job.strip = depth
    if m <= FL_TILE_ROWS and not by_column:     # each row of B is used once: a strip of them waits in L2
        job.strip = min(depth, max(STRIP_BYTES // (cols * <fl_int>plan.size), 32))
    job.head.n_blocks = down * across * parts
    job.head.work = macs / (50 if plan.dtype == FL_F32 else 25) + <double>m * n * after.work()
    if dots:
        job.head.scratch = 0 if plain and not after.update else rows * cols * plan.size
    else:
        if not bare or job.update is not NULL:
            job.keep = k > job.strip or rows * cols * <fl_int>plan.size <= KEEP_BYTES
            job.head.scratch = (up(rows, FL_TILE_ROWS) if job.keep else FL_TILE_ROWS) * cols * plan.size
        # a row of A is read by many tiles; its columns are read in place, unless they all fall into the same few sets of L1
        job.pack = (min(cols, n) * <fl_int>plan.size >= PACK_FROM
                    and (by_row or (k > FL_DEPTH_BYTES // <fl_int>plan.size and m * plan.size % 1024 == 0)))
        if job.pack:
            job.head.scratch += (FL_TILE_ROWS * min(k, depth) + 64) * plan.size
    if parts > 1:
        total = plan.empty(m, n) if after.update else c
        sum_parts(plan, partial, parts, m * n, total)
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
    job.cols = max(up(PIECE // max(k, 1), tile), tile)
    job.head.n_blocks = blocks(n, job.cols)
    job.head.work = <double>k * n * 0.1
    plan.point(&job.b, b)
    plan.point(<const void **>&job.out, packed)
    return packed


cdef inline bint readable(cnp.ndarray a) noexcept:
    cdef int typenum = cnp.PyArray_TYPE(a)
    return ((typenum == cnp.NPY_FLOAT or typenum == cnp.NPY_DOUBLE) and cnp.PyArray_ISALIGNED(a) and cnp.PyArray_ISNOTSWAPPED(a)
            and (cnp.PyArray_IS_C_CONTIGUOUS(a) or cnp.PyArray_IS_F_CONTIGUOUS(a)))


cdef inline bint apart(cnp.ndarray a, cnp.ndarray b) noexcept:
    cdef char *pa = <char *>cnp.PyArray_DATA(a)
    cdef char *pb = <char *>cnp.PyArray_DATA(b)
    return pa + cnp.PyArray_NBYTES(a) <= pb or pb + cnp.PyArray_NBYTES(b) <= pa


def matmul(object a, object b, object out):
    """The product of two matrices in `out` or a new array; None if the arguments are not plain: float32 or float64, both the same,
    aligned, each in C or Fortran order; out in C order and apart from both."""
    cdef cnp.npy_intp dims[2]
    cdef cnp.ndarray c
    if not (cnp.PyArray_CheckExact(a) and cnp.PyArray_CheckExact(b)) or cnp.PyArray_NDIM(a) != 2 or cnp.PyArray_NDIM(b) != 2:
        return None
    if (cnp.PyArray_TYPE(a) != cnp.PyArray_TYPE(b) or not readable(a) or not readable(b)
            or cnp.PyArray_DIM(a, 1) != cnp.PyArray_DIM(b, 0)):
        return None
    dims[0], dims[1] = cnp.PyArray_DIM(a, 0), cnp.PyArray_DIM(b, 1)
    if out is None:
        c = pool.empty(2, dims, cnp.PyArray_TYPE(a))
    else:
        if (not cnp.PyArray_CheckExact(out) or not cnp.PyArray_ISCARRAY(out) or cnp.PyArray_TYPE(out) != cnp.PyArray_TYPE(a)
                or cnp.PyArray_NDIM(out) != 2 or cnp.PyArray_DIM(out, 0) != dims[0] or cnp.PyArray_DIM(out, 1) != dims[1]
                or not apart(a, out) or not apart(b, out)):
            return None
        c = <cnp.ndarray>out
    if (cnp.PyArray_IS_C_CONTIGUOUS(a) and cnp.PyArray_IS_C_CONTIGUOUS(b) and dims[1] > 1
            and <double>dims[0] * dims[1] * cnp.PyArray_DIM(a, 1) < SMALL):
        small_product(a, b, c)
        return c
    plan = Plan(cnp.PyArray_TYPE(a))
    product(plan, a, b, c)
    plan.run()
    return c


cdef int small_product(cnp.ndarray a, cnp.ndarray b, cnp.ndarray c) except -1:
    """c = a b, all in C order, as one block of one job on the stack: a plan would cost as much as the product."""
    cdef fl_gemm_job job
    cdef fl_int size = cnp.PyArray_ITEMSIZE(a), tile = FL_TILE_BYTES // size
    memset(&job, 0, sizeof(job))
    job.m, job.n, job.k = cnp.PyArray_DIM(c, 0), cnp.PyArray_DIM(c, 1), cnp.PyArray_DIM(a, 1)
    if not job.m:
        return 0
    job.a = cnp.PyArray_DATA(a)
    job.b = cnp.PyArray_DATA(b)
    job.c = cnp.PyArray_DATA(c)
    job.a_row = job.k
    job.a_step = 1
    job.ldb = job.ldc = job.n
    job.op = job.op2 = FL_IDENTITY
    job.rows = job.m
    job.cols = (job.n + tile - 1) // tile * tile
    job.depth = job.k
    job.strip = FL_DEPTH_BYTES // size
    job.head.run = kernel(FL_KERNEL_gemm, dtype_of(a))
    job.head.n_blocks = 1
    job.head.work = <double>job.m * job.n * job.k / 50
    return run_job(&job)
