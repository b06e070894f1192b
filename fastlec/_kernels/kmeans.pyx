# cython: freethreading_compatible=True
"""K-means: labels and sums of samples, distances and moments, a segment of the samples at a time.

X is a segment: (rows, n) float32 or float64, aligned, unit stride along a row. `shift`, (n,) of its dtype, and `scale` say that its
rows count as x * scale - shift; shift None: as they are. Weights are float64 or None, labels int32; both begin with the segment.
"""

cimport numpy as cnp
from libc.stdint cimport int32_t, int64_t

from fastlec._kernels cimport memory
from fastlec._kernels.dtypes cimport dtypes
from fastlec._kernels.fl cimport *
from fastlec._kernels.plan cimport blocks, up
from fastlec._kernels.runner cimport facts, kernel, macs_per_ns, run_job, start_job

cnp.import_array()

cdef enum:
    TILE_ROWS = 48          # a multiple of the rows of all tiles, and of the lanes of all registers
    STRIP = 48              # samples whose scores wait in L1, or L2
    LISTED = 240            # the same where most samples keep their labels: enough for whole tiles of the others
    CHUNK = 128             # columns whose scores wait
    CHUNK_BYTES = 3 << 17   # of centers that stay in L2 while the samples of a strip pass
    # Of a sample whose products are added up apart: sums of sums lose fewer digits. A panel of such a depth stays in L1 while the
    # samples of a strip pass; one panel alone is not read again, and fewer parts are faster. By timing.
    DEPTH_BYTES = 512
    DEPTH_BYTES_ALONE = 2048
    GROUPS = 32             # of bounds of a sample, at most
    PARTS = 64              # blocks of a segment, each with sums of its own: enough for the teams there are,
    FEW_PARTS = 16
    SUMS = 1 << 24          # bytes of all sums, where that leaves enough blocks
    MOST_SUMS = 1 << 28
    SEGMENT = 1 << 26       # bytes of a segment, at most
    BLOCK_WORK = 5000000    # nanoseconds of a block, at most: it cannot be interrupted
    SUM_BLOCK = 1024        # elements of the sums that a block adds up


MOST_GROUPS = GROUPS


cdef int check(cnp.ndarray a, int typenum, fl_int size, str name) except -1:
    if not cnp.PyArray_ISCARRAY_RO(a) or cnp.PyArray_TYPE(a) != typenum or cnp.PyArray_SIZE(a) < size:
        raise ValueError(f"{name}: expected {size} elements in C order, of the right dtype")
    return 0


cdef int point(fl_samples *samples, cnp.ndarray X, cnp.ndarray shift, double scale, cnp.ndarray weight) except -1:
    cdef int typenum = cnp.PyArray_TYPE(X)
    cdef fl_int size = cnp.PyArray_ITEMSIZE(X)
    if (cnp.PyArray_NDIM(X) != 2 or typenum not in (cnp.NPY_FLOAT, cnp.NPY_DOUBLE) or not cnp.PyArray_ISALIGNED(X)
            or not cnp.PyArray_ISNOTSWAPPED(X) or cnp.PyArray_SIZE(X) == 0):
        raise ValueError("X: expected an aligned (m, n) array of float32 or float64 with m, n >= 1")
    samples.m = cnp.PyArray_DIM(X, 0)
    samples.n = cnp.PyArray_DIM(X, 1)
    if (samples.n > 1 and cnp.PyArray_STRIDE(X, 1) != size) or (samples.m > 1 and cnp.PyArray_STRIDE(X, 0) % size):
        raise ValueError("X: expected unit stride along a row")
    samples.x = cnp.PyArray_DATA(X)
    samples.ldx = cnp.PyArray_STRIDE(X, 0) // size if samples.m > 1 else samples.n
    samples.scale = scale
    if shift is not None:
        check(shift, typenum, samples.n, "shift")
        samples.shift = cnp.PyArray_DATA(shift)
    if weight is not None:
        check(weight, cnp.NPY_DOUBLE, samples.m, "weight")
        samples.weight = <const double *>cnp.PyArray_DATA(weight)
    return 0


cdef cnp.ndarray new(fl_int m, fl_int n, int typenum):
    cdef cnp.npy_intp dims[2]
    dims[0] = m
    dims[1] = n
    return memory.empty(2, dims, typenum)


def moments(cnp.ndarray X not None, cnp.ndarray squares not None, cnp.ndarray shift=None, double scale=1):
    """(blocks, n + 2), float64: column sums, sum of squares and largest |x * scale|, to be added up (and the last compared).
    squares, of X's dtype, becomes |x|^2 of each sample."""
    cdef fl_moments_job job
    cdef cnp.ndarray sums
    start_job(&job, sizeof(job), FL_KERNEL_kmeans_moments, FL_F32 if cnp.PyArray_TYPE(X) == cnp.NPY_FLOAT else FL_F64)
    point(&job.samples, X, shift, scale, None)
    check(squares, cnp.PyArray_TYPE(X), job.samples.m, "squares")
    job.squares = cnp.PyArray_DATA(squares)
    job.per_block = max(blocks(job.samples.m, PARTS), 1 + (1 << 14) // job.samples.n)
    job.head.n_blocks = blocks(job.samples.m, job.per_block)
    job.head.work = <double>job.samples.m * job.samples.n * 0.4
    sums = new(job.head.n_blocks, job.samples.n + 2, cnp.NPY_DOUBLE)
    job.sums = <double *>cnp.PyArray_DATA(sums)
    run_job(&job)
    return sums


def distances(cnp.ndarray X not None, cnp.ndarray centers not None, cnp.ndarray labels not None, cnp.ndarray weight=None,
              cnp.ndarray shift=None, double scale=1, cnp.ndarray out=None):
    """The weighted sum of the squared distances to the centers (k, n) of the labels, which must be below k. out, float64, becomes
    the distances."""
    cdef fl_distances_job job
    cdef cnp.ndarray totals
    cdef int typenum = cnp.PyArray_TYPE(X)
    start_job(&job, sizeof(job), FL_KERNEL_kmeans_distances, FL_F32 if typenum == cnp.NPY_FLOAT else FL_F64)
    point(&job.samples, X, shift, scale, weight)
    check(centers, typenum, job.samples.n, "centers")
    check(labels, cnp.NPY_INT32, job.samples.m, "labels")
    job.centers = cnp.PyArray_DATA(centers)
    job.labels = <const int32_t *>cnp.PyArray_DATA(labels)
    if out is not None:
        check(out, cnp.NPY_DOUBLE, job.samples.m, "out")
        job.distance = <double *>cnp.PyArray_DATA(out)
    job.per_block = max(1 + (1 << 16) // job.samples.n, min(blocks(job.samples.m, PARTS), 1 + (1 << 22) // job.samples.n))
    job.head.n_blocks = blocks(job.samples.m, job.per_block)
    job.head.work = <double>job.samples.m * job.samples.n * 0.4
    totals = new(job.head.n_blocks, 1, cnp.NPY_DOUBLE)
    job.totals = <double *>cnp.PyArray_DATA(totals)
    run_job(&job)
    return float(totals.sum())


cdef class Clusters:
    """What is computed with k centers for m samples of n features, and the memory for it.

    segment : rows of X that are passed at a time. columns : of the panels of centers, k rounded up to whole panels.
    groups, group_columns : of the bounds of each sample, and of the centers that one of them is for; groups is 0 without bounds.
    """
    cdef readonly fl_int m, n, k, segment, columns, groups, group_columns
    cdef fl_int parts, used, size, tile
    cdef int typenum, dtype
    cdef cnp.ndarray panels, sums, changes, total, upper, lower
    cdef tuple kept             # what the job points to
    cdef fl_kmeans_job job

    def __init__(self, int typenum, fl_int m, fl_int n, fl_int k):
        cdef fl_int sums = (k * n + k) * sizeof(double), per_block
        cdef double row_work
        self.typenum, self.dtype = typenum, FL_F32 if typenum == cnp.NPY_FLOAT else FL_F64
        self.m, self.n, self.k = m, n, k
        self.size = dtypes[self.dtype].size
        self.tile = 2 * facts().vector_bytes // self.size
        self.columns = up(k, self.tile)
        start_job(&self.job, sizeof(self.job), FL_KERNEL_kmeans, self.dtype)
        self.job.k = k
        self.job.columns = self.columns
        self.job.depth = blocks(n, blocks(n, (DEPTH_BYTES_ALONE if self.columns == self.tile else DEPTH_BYTES) // self.size))
        self.job.noise = 4 * (1e-7 if self.dtype == FL_F32 else 2e-16)
        self.cut(STRIP, min(CHUNK, CHUNK_BYTES // (self.job.depth * self.size)) // self.tile * self.tile)
        # blocks: by the problem alone, so that every team adds the same partial sums
        self.parts = min(max(SUMS // sums, FEW_PARTS), PARTS)
        if self.parts * sums > MOST_SUMS:
            self.parts = max(MOST_SUMS // sums, 1)
        row_work = <double>self.columns * n / macs_per_ns(self.dtype) + 0.5 * n + 20
        per_block = min(<fl_int>(BLOCK_WORK / row_work), SEGMENT // (self.parts * n * self.size)) // TILE_ROWS * TILE_ROWS
        per_block = min(max(per_block, TILE_ROWS), up(blocks(m, self.parts), TILE_ROWS))
        self.segment = self.parts * per_block
        self.panels = new(self.columns, n, typenum)
        self.sums = new(min(self.parts, blocks(m, per_block)), k * n + k, cnp.NPY_DOUBLE)
        self.total = new(1, k * n + k, cnp.NPY_DOUBLE)
        self.changes = new(1, self.parts, cnp.NPY_DOUBLE).view("i8")[0]

    cdef int cut(self, fl_int strip, fl_int chunk) except -1:
        cdef fl_int rows = up(strip, TILE_ROWS)
        self.job.strip = strip
        self.job.chunk = min(max(chunk, self.tile), self.columns)
        self.job.head.scratch = (
            rows * ((self.job.chunk + 2 * facts().vector_bytes // self.size + 7 + self.job.depth) * self.size
                    + 6 * sizeof(fl_int) + sizeof(double))
            + up(self.k, 16) * sizeof(int32_t))
        return 0

    def use_bounds(self):
        """From now on labels are found by bounds: memory for them, which the next run fills."""
        self.cut(LISTED, blocks(self.columns // self.tile, GROUPS) * self.tile)
        self.group_columns = self.job.chunk
        self.groups = blocks(self.columns, self.group_columns)
        self.upper, self.lower = new(self.m, 1, self.typenum), new(self.m, self.groups, self.typenum)

    def set_centers(self, cnp.ndarray centers not None, cnp.ndarray order not None, cnp.ndarray columns not None):
        """Packs `order` (k, n), the centers in the order of the panels' columns, from wherever they are measured. centers (k, n) :
        as samples count. columns (2, self.columns): the bias of the scores, -infinity where there is no center, and minus the
        number of the center."""
        cdef fl_pack_job pack
        check(centers, self.typenum, self.k * self.n, "centers")
        check(order, self.typenum, self.k * self.n, "order")
        check(columns, self.typenum, 2 * self.columns, "columns")
        start_job(&pack, sizeof(pack), FL_KERNEL_gemm_pack, self.dtype)
        pack.n = self.k
        pack.k = self.n
        pack.source = cnp.PyArray_DATA(order)
        pack.step = 1
        pack.apart = self.n
        pack.out = cnp.PyArray_DATA(self.panels)
        pack.per_block = self.tile
        pack.head.n_blocks = self.columns // self.tile
        pack.head.work = 0.3 * self.k * self.n
        run_job(&pack)
        self.kept = centers, columns
        self.job.panels = pack.out
        self.job.centers = cnp.PyArray_DATA(centers)
        self.job.bias = cnp.PyArray_DATA(columns)
        self.job.minus = cnp.PyArray_BYTES(columns) + self.columns * self.size

    def set_drift(self, cnp.ndarray drift not None, cnp.ndarray group_drift not None, cnp.ndarray group not None, double reach,
                  double error, bint fresh):
        """For bounds, after set_centers: how far each center has moved (k,) and the farthest of each group (groups,); the group of
        each center, int32. reach : the largest |c|. error : of squared distances. fresh : there are no bounds yet."""
        check(drift, self.typenum, self.k, "drift")
        check(group_drift, self.typenum, self.groups, "group_drift")
        check(group, cnp.NPY_INT32, self.k, "group")
        self.kept += drift, group_drift, group
        self.job.bounds.drift = cnp.PyArray_DATA(drift)
        self.job.bounds.group_drift = cnp.PyArray_DATA(group_drift)
        self.job.bounds.group = <const int32_t *>cnp.PyArray_DATA(group)
        self.job.bounds.reach = reach
        self.job.bounds.error = error
        self.job.bounds.fresh = fresh

    cdef int segment_job(self, fl_kmeans_job *job, cnp.ndarray X, cnp.ndarray weight, cnp.ndarray shift, double scale) except -1:
        job[0] = self.job
        point(&job.samples, X, shift, scale, weight)
        if cnp.PyArray_TYPE(X) != self.typenum or job.samples.n != self.n or job.samples.m > self.segment:
            raise ValueError("X: expected a segment of the samples")
        if job.panels is NULL:
            raise ValueError("set_centers comes first")
        job.per_block = up(blocks(job.samples.m, self.parts), TILE_ROWS)
        job.head.n_blocks = blocks(job.samples.m, job.per_block)
        job.head.work = job.samples.m * (<double>self.columns * self.n / macs_per_ns(self.dtype) + 0.5 * self.n)
        return 0

    def run(self, cnp.ndarray X not None, fl_int start, cnp.ndarray labels not None, cnp.ndarray weight=None,
            cnp.ndarray shift=None, double scale=1, bint assign=True, bint sums=True, cnp.ndarray squares=None):
        """The segment of the samples from number `start` on. assign : labels are found, else taken; they are below k. sums : the
        samples' sums are added to those of the segments before, which start 0 begins anew. squares : |x|^2, for bounds."""
        cdef fl_kmeans_job job
        self.segment_job(&job, X, weight, shift, scale)
        check(labels, cnp.NPY_INT32, job.samples.m, "labels")
        if not cnp.PyArray_ISWRITEABLE(labels):
            raise ValueError("labels: expected a writeable array")
        job.labels = <int32_t *>cnp.PyArray_DATA(labels)
        job.assign = assign
        job.first = start == 0
        if start == 0:
            self.used = job.head.n_blocks
            self.changes[:] = 0
        if job.head.n_blocks > self.used or self.used > len(self.sums):
            raise ValueError("X: expected no more rows than in the first segment")
        if sums:
            job.sums = <double *>cnp.PyArray_DATA(self.sums)
        job.changes = <int64_t *>cnp.PyArray_DATA(self.changes)
        if assign and self.groups:
            if start + job.samples.m > self.m or len(self.kept) < 5:
                raise ValueError("set_drift comes first; X: expected a segment of the samples")
            check(squares, self.typenum, job.samples.m, "squares")
            job.squares = cnp.PyArray_DATA(squares)
            job.bounds.upper = cnp.PyArray_BYTES(self.upper) + start * self.size
            job.bounds.lower = cnp.PyArray_BYTES(self.lower) + start * self.groups * self.size
            job.bounds.groups = self.groups
            if not job.bounds.fresh:
                job.head.work /= 4
        run_job(&job)

    def seed(self, cnp.ndarray X not None, cnp.ndarray squares not None, cnp.ndarray nearest not None, cnp.ndarray weight=None,
             cnp.ndarray shift=None, double scale=1, double mean_square=0, bint keep=False):
        """For a segment the sums (k,), float64, of the weighted squared distances to each of the k candidates, or to the nearest
        center until now, if that is nearer. squares : |x - mean|^2. mean_square : |mean|^2. keep : `nearest` becomes those of
        the only candidate."""
        cdef fl_kmeans_job job
        cdef cnp.ndarray totals
        self.segment_job(&job, X, weight, shift, scale)
        job.head.run = kernel(FL_KERNEL_kmeans_seed, self.dtype)
        check(squares, self.typenum, job.samples.m, "squares")
        check(nearest, self.typenum, job.samples.m, "nearest")
        if job.chunk != self.columns or (keep and (self.k > 1 or not cnp.PyArray_ISWRITEABLE(nearest))):
            raise ValueError("k: expected few candidates, or one; nearest: a writeable array")
        job.squares = cnp.PyArray_DATA(squares)
        job.nearest = cnp.PyArray_DATA(nearest)
        job.assign = keep
        job.mean_square = mean_square
        totals = new(job.head.n_blocks, self.k, cnp.NPY_DOUBLE)
        job.sums = <double *>cnp.PyArray_DATA(totals)
        run_job(&job)
        return totals.sum(axis=0)

    def changed(self):
        """How many labels have changed since the first segment."""
        return int(self.changes.sum())

    def totals(self):
        """(k * n + k,) float64: the sums of w x of each cluster, then of w, of all segments; overwritten by the next call."""
        cdef fl_sum_job job
        start_job(&job, sizeof(job), FL_KERNEL_sum, FL_F64)
        job.part = cnp.PyArray_DATA(self.sums)
        job.out = cnp.PyArray_DATA(self.total)
        job.scale = 1
        job.parts = self.used
        job.stride = job.len = self.k * self.n + self.k
        job.per_block = SUM_BLOCK
        job.head.n_blocks = blocks(job.len, SUM_BLOCK)
        job.head.work = 0.3 * job.parts * job.len
        job.head.scratch = SUM_BLOCK * sizeof(double)
        run_job(&job)
        return self.total[0]
