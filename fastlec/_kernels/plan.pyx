# cython: freethreading_compatible=True
"""Lists of jobs: matrix products with what surrounds them, planned once and run by one call, as often as wanted.

A plan holds the arrays that its jobs point into. Arrays are float32 or float64, all of the plan's dtype, aligned; matrices are in C
order, or transposed views of such (Fortran order) where a product reads them. Everything is checked when a job is added, nothing
when it runs. A plan is not for two threads at once.
"""

cimport numpy as cnp
from libc.stdlib cimport free, malloc
from libc.string cimport memset

from fastlec._kernels cimport pool
from fastlec._kernels.fl cimport *
from fastlec._kernels.runner cimport kernel, run_jobs, vector_bytes
from fastlec._kernels.xent cimport plan_xent, xent_jobs, xent_losses, xent_partial

cnp.import_array()

TANH, SIGMOID, RELU, IDENTITY = FL_TANH, FL_SIGMOID, FL_RELU, FL_IDENTITY
SGD, ADAM = FL_SGD, FL_ADAM

cdef enum:
    AXES = 64               # of an array, at most: NumPy's own limit
    BLOCK = 16384           # elements of an elementwise block
    PIECE = 4096            # and of one that packs, or sums columns
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
    SLOPE_ROWS = 4096       # rows whose columns are summed in one block

cdef double BLOCK_MACS = 3e5    # multiplications in a block of a product: about 5 us


cdef shape(object a):
    return a.shape


cdef class Plan:
    def __cinit__(self, int typenum):
        if typenum != cnp.NPY_FLOAT and typenum != cnp.NPY_DOUBLE:
            raise ValueError("typenum: expected that of float32 or float64")
        self.jobs = self.few
        self.room = FEW
        self.typenum = typenum
        self.dtype = FL_F32 if typenum == cnp.NPY_FLOAT else FL_F64
        self.size = 4 if self.dtype == FL_F32 else 8

    def __dealloc__(self):
        if self.jobs != self.few:
            free(self.jobs)
        free(self.losses)

    # --- memory ------------------------------------------------------------------------------------------------------

    cdef any_job *add(self, int which) except NULL:
        """The next job, all zeros but its kernel."""
        cdef any_job *more
        cdef any_job *job
        if self.n == self.room:
            more = <any_job *>malloc(2 * self.room * sizeof(any_job))
            if more is NULL:
                raise MemoryError(f"cannot allocate {2 * self.room * sizeof(any_job)} bytes")
            for i in range(self.n):
                more[i] = self.jobs[i]
            if self.jobs != self.few:
                free(self.jobs)
            self.jobs = more
            self.room *= 2
        job = self.jobs + self.n
        memset(job, 0, sizeof(any_job))
        job.head.run = kernel(which, self.dtype)
        self.n += 1
        return job

    cdef int point(self, const void **field, cnp.ndarray a) except -1:
        """Makes a field of the last job point to a's data, and remembers to exchange it if a is a slot."""
        cdef Py_ssize_t within
        cdef cnp.ndarray slot
        field[0] = cnp.PyArray_DATA(a)
        if self.slots is not None:
            for i, slot in enumerate(self.slots):
                within = <char *>field[0] - cnp.PyArray_BYTES(slot)
                if within == 0 or 0 < within < cnp.PyArray_NBYTES(slot):    # a, or some of it, in any shape
                    self.bindings.append((i, <char *>field - <char *>self.jobs, within))
                    return 0
        self.keep(a)
        return 0

    cdef int keep(self, object a) except -1:
        """Jobs point into a."""
        if self.arrays is None:
            self.arrays = []
        self.arrays.append(a)
        return 0

    cdef int only_if(self, int first, cnp.ndarray flag, int wanted) except -1:
        """Makes the jobs from number `first` on run only if flag, an int32 that a job before them writes, then has this value."""
        cdef int j
        for j in range(first, self.n):
            self.jobs[j].head.then = self.jobs[j].head.run
            self.jobs[j].head.run = kernel(FL_KERNEL_conditional, self.dtype)
            self.jobs[j].head.flag = <const int *>cnp.PyArray_DATA(flag)
            self.jobs[j].head.wanted = wanted
        self.keep(flag)
        return 0

    def empty(self, *shape):
        """A new array (uninitialised) of the plan's dtype for its jobs to write; it lives as long as somebody holds it."""
        cdef cnp.npy_intp dims[AXES]
        if len(shape) > AXES:
            raise ValueError(f"shape {shape} has more than {AXES} axes")
        for i, n in enumerate(shape):
            dims[i] = n
        return pool.empty(len(shape), dims, self.typenum)

    def slot(self, cnp.ndarray a not None):
        """Declares that `bind` may put another array in a's place; before any job uses it. Returns its number."""
        if self.slots is None:
            self.slots, self.bindings = [], []
        self.slots.append(a)
        return len(self.slots) - 1

    def bind(self, int slot, cnp.ndarray a not None):
        """Puts a in the place of a slot: same dtype and shape, C order, aligned. The caller keeps it alive."""
        cdef cnp.ndarray old
        cdef Py_ssize_t offset, within
        cdef int i
        if self.slots is None or not 0 <= slot < len(self.slots):
            raise ValueError(f"slot is {slot}; the plan has {0 if self.slots is None else len(self.slots)}")
        old = <cnp.ndarray>self.slots[slot]
        if (not cnp.PyArray_ISCARRAY_RO(a) or cnp.PyArray_TYPE(a) != cnp.PyArray_TYPE(old)
                or cnp.PyArray_NDIM(a) != cnp.PyArray_NDIM(old)):
            raise ValueError("an array to bind: expected dtype, axes and order of the slot's")
        for i in range(cnp.PyArray_NDIM(a)):
            if cnp.PyArray_DIM(a, i) != cnp.PyArray_DIM(old, i):
                raise ValueError(f"an array to bind has shape {shape(a)}; expected {shape(old)}")
        for number, offset, within in self.bindings:
            if number == slot:
                (<char **>(<char *>self.jobs + offset))[0] = cnp.PyArray_BYTES(a) + within

    cdef int check(self, cnp.ndarray a, str name, int ndim, bint transposed=False) except -1:
        if (cnp.PyArray_TYPE(a) != self.typenum or cnp.PyArray_NDIM(a) != ndim or not cnp.PyArray_ISALIGNED(a)
                or not cnp.PyArray_ISNOTSWAPPED(a)):
            raise ValueError(f"{name}: expected an aligned array of the plan's dtype with {ndim} axes")
        if not (cnp.PyArray_IS_C_CONTIGUOUS(a) or (transposed and cnp.PyArray_IS_F_CONTIGUOUS(a))):
            raise ValueError(f"{name}: expected C order")
        return 0

    cdef int check_shape(self, cnp.ndarray a, str name, fl_int m, fl_int n) except -1:
        self.check(a, name, 2)
        if cnp.PyArray_DIM(a, 0) != m or cnp.PyArray_DIM(a, 1) != n:
            raise ValueError(f"{name} has shape {shape(a)}; expected ({m}, {n})")
        return 0

    cdef int check_size(self, cnp.ndarray a, str name, cnp.ndarray like) except -1:
        """For jobs that work elementwise."""
        self.check(a, name, cnp.PyArray_NDIM(a))
        if cnp.PyArray_SIZE(a) != cnp.PyArray_SIZE(like):
            raise ValueError(f"{name} has shape {shape(a)}; expected {shape(like)}")
        return 0

    # --- jobs --------------------------------------------------------------------------------------------------------

    def set_rule(self, int rule, double rate, double momentum=0, double decay=0, bint nesterov=False, double beta1=0,
                 double beta2=0, double unbias1=1, double unbias2=1, double eps=0):
        """How jobs with update=True change their parameters, from the next run on."""
        self.rule.rule = rule
        self.rule.rate = rate
        self.rule.momentum = momentum
        self.rule.decay = decay
        self.rule.nesterov = nesterov
        self.rule.beta1 = beta1
        self.rule.beta2 = beta2
        self.rule.unbias1 = unbias1
        self.rule.unbias2 = unbias2
        self.rule.eps = eps

    def set_states(self, cnp.ndarray theta not None, tuple states):
        """The optimizer's arrays, flat as theta: where a parameter lies in theta its states lie in them."""
        self.check(theta, "theta", 1)
        for state in states:
            self.check(state, "state", 1)
            if len(state) != len(theta):
                raise ValueError(f"a state has {len(state)} elements; theta has {len(theta)}")
        self.states = states
        self.rule.s = cnp.PyArray_BYTES(states[0]) - cnp.PyArray_BYTES(theta) if states else 0
        self.rule.t = cnp.PyArray_BYTES(states[1]) - cnp.PyArray_BYTES(theta) if len(states) > 1 else 0

    def product(self, cnp.ndarray a not None, cnp.ndarray b not None, cnp.ndarray c not None, *, cnp.ndarray bias=None,
                int op=FL_IDENTITY, cnp.ndarray residual=None, cnp.ndarray y=None, int op2=FL_IDENTITY, bint accumulate=False,
                bint update=False):
        """c = (op(a b + [c] + bias) + residual) * op2'(y), where op2' follows from its value y. [c]: if accumulate.
        update: c are parameters, a b is their gradient. a (m, k), b (k, n), any of them transposed; c, residual, y (m, n)."""
        cdef fl_int m, n, k, down, across, parts = 1, tile = FL_TILE_BYTES // self.size, depth = FL_DEPTH_BYTES // self.size
        cdef fl_int cols, rows, count
        cdef bint dots, plain, bare, by_row, by_column, pack
        cdef cnp.ndarray partial = None, packed
        cdef fl_gemm_job *job
        cdef double macs
        self.check(a, "a", 2, True)
        self.check(b, "b", 2, True)
        m, k, n = cnp.PyArray_DIM(a, 0), cnp.PyArray_DIM(a, 1), cnp.PyArray_DIM(b, 1)
        if cnp.PyArray_DIM(b, 0) != k:
            raise ValueError(f"b has shape {shape(b)}; expected ({k}, {n}) to match a of shape {shape(a)}")
        self.check_shape(c, "c", m, n)
        if not m or not n:
            return
        macs = <double>m * n * k
        by_row = cnp.PyArray_IS_C_CONTIGUOUS(a)
        by_column = cnp.PyArray_IS_F_CONTIGUOUS(b) and (k > 1 or not cnp.PyArray_IS_C_CONTIGUOUS(b))
        dots = by_row and by_column and k >= DOTS_DEPTH and (n <= DOTS_COLS or m <= DOTS_ROWS)
        bare = op == FL_IDENTITY and bias is None and residual is None and y is None
        plain = bare and not accumulate
        if by_column and not dots and cnp.PyArray_IS_C_CONTIGUOUS(b):
            by_column = False

        # blocks: by the problem alone, so that every team computes the same
        cols = up(n, tile)
        if cols * <fl_int>self.size > COLS_BYTES:
            cols = up(blocks(cols, blocks(cols * <fl_int>self.size, COLS_BYTES)), tile)
        rows = min(max(<fl_int>(BLOCK_MACS / (<double>cols * max(k, 1))), FL_TILE_ROWS), MOST_ROWS)
        if <double>k * cols * self.size > PANEL_BYTES:      # B comes from L3 or memory each time: for many rows, then
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
        pack = by_column and not dots or (across > 1 and n * self.size % 2048 == 0 and m >= PACK_ROWS)
        if vector_bytes() == 32 and not dots and m >= PACK_ROWS:
            pack = pack or (<double>m * n * self.size >= PACK_BYTES and <double>k * n * self.size > PACK_FROM_B)
        if plain and not dots and down * across < 16 and k >= 4 * SPLIT_DEPTH:
            parts = min(blocks(k, SPLIT_DEPTH), 64)

        if pack:
            packed = self.panels(b, k, n, by_column)
        if parts > 1:
            partial = self.empty(parts, m, n)
        job = <fl_gemm_job *>self.add(FL_KERNEL_gemm_dots if dots else FL_KERNEL_gemm)
        job.m, job.n, job.k = m, n, k
        job.a_row = k if by_row else 1
        job.a_step = 1 if by_row else m
        self.point(&job.a, a)
        if pack:
            self.point(&job.b, packed)
            job.ldb = 0
        else:
            self.point(&job.b, b)
            job.ldb = k if dots else n
        self.point(<const void **>&job.c, c if partial is None else partial)
        job.ldc = n
        job.accumulate = accumulate
        job.op, job.op2 = op, op2
        if bias is not None:
            self.check(bias, "bias", 1)
            if cnp.PyArray_DIM(bias, 0) != n:
                raise ValueError(f"bias has shape {shape(bias)}; expected ({n},)")
            self.point(&job.bias, bias)
        if residual is not None:
            self.check_shape(residual, "residual", m, n)
            self.point(&job.r, residual)
            job.ldr = n
        if y is not None:
            self.check_shape(y, "y", m, n)
            self.point(&job.y, y)
            job.ldy = n
        if update:
            self.packed = None
        if update and parts == 1:
            job.update = &self.rule
        job.rows, job.cols = rows, cols
        job.depth = blocks(k, parts) if parts > 1 else k
        job.part = m * n
        job.strip = depth
        if m <= FL_TILE_ROWS and not by_column:     # each row of B is used once: a strip of them waits in L2
            job.strip = min(depth, max(STRIP_BYTES // (cols * <fl_int>self.size), 32))
        job.head.n_blocks = down * across * parts
        job.head.work = macs / (50 if self.dtype == FL_F32 else 25) + <double>m * n * (0.3 if op == FL_IDENTITY else 1)
        if dots:
            job.head.scratch = 0 if plain and not update else rows * cols * self.size
        else:
            if not bare or job.update is not NULL:
                job.keep = k > job.strip or rows * cols * <fl_int>self.size <= KEEP_BYTES
                job.head.scratch = (up(rows, FL_TILE_ROWS) if job.keep else FL_TILE_ROWS) * cols * self.size
            # a row of A is read by many tiles; its columns are read in place, unless they all fall into the same few sets of L1
            job.pack = (min(cols, n) * <fl_int>self.size >= PACK_FROM
                        and (by_row or (k > FL_DEPTH_BYTES // <fl_int>self.size and m * self.size % 1024 == 0)))
            if job.pack:
                job.head.scratch += (FL_TILE_ROWS * min(k, depth) + 64) * self.size
        if parts > 1:
            total = self.empty(m, n) if update else c
            self.sum(partial, parts, m * n, total)
            if update:
                self.update(c, total)

    cdef cnp.ndarray panels(self, cnp.ndarray b, fl_int k, fl_int n, bint by_column):
        """B packed: by a new job, or by one that is there already."""
        cdef fl_int tile = FL_TILE_BYTES // self.size
        cdef cnp.ndarray packed
        cdef fl_pack_job *job
        key = <size_t>cnp.PyArray_DATA(b), k, n, by_column
        if self.packed is None:
            self.packed = {}
        elif key in self.packed:
            return self.packed[key]
        packed = self.empty(k * up(n, tile))
        self.packed[key] = packed
        job = <fl_pack_job *>self.add(FL_KERNEL_gemm_pack)
        job.n, job.k = n, k
        job.b_step = 1 if by_column else n
        job.b_col = k if by_column else 1
        job.cols = max(up(PIECE // max(k, 1), tile), tile)
        job.head.n_blocks = blocks(n, job.cols)
        job.head.work = <double>k * n * 0.1
        self.point(&job.b, b)
        self.point(<const void **>&job.out, packed)
        return packed

    cdef int sum(self, cnp.ndarray partial, fl_int parts, fl_int n, cnp.ndarray out) except -1:
        """out = the sum of the parts, in order."""
        cdef fl_sum_job *job = <fl_sum_job *>self.add(FL_KERNEL_sum)
        self.point(&job.part, partial)
        self.point(<const void **>&job.out, out)
        job.scale = 1
        job.parts, job.stride, job.len = parts, n, n
        job.per_block = 1024
        job.head.n_blocks = blocks(n, job.per_block)
        job.head.work = 0.3 * parts * n
        job.head.scratch = job.per_block * sizeof(double)
        return 0

    def update(self, cnp.ndarray w not None, cnp.ndarray g not None):
        """The optimizer's step for parameters w with gradient g, of one shape, in C order."""
        cdef fl_update_job *job
        self.check_size(w, "w", w)
        self.check_size(g, "g", w)
        job = <fl_update_job *>self.add(FL_KERNEL_update)
        job.update = &self.rule
        self.point(<const void **>&job.w, w)
        self.point(&job.g, g)
        job.n = cnp.PyArray_SIZE(w)
        job.per_block = BLOCK
        job.head.n_blocks = blocks(job.n, BLOCK)
        job.head.work = job.n * 0.5

    def slope(self, cnp.ndarray v not None, cnp.ndarray g=None, *, cnp.ndarray y=None, int op=FL_IDENTITY, cnp.ndarray total=None,
              bint update=False):
        """g = v * op'(y), where op' follows from its value y; total = the sum of its rows, or (update) total are parameters and
        that is their gradient. v, y, g (m, n), total (n,); g may be v. Without y, g = v, and need not be given."""
        cdef fl_int m, n, parts, tile = 64 // self.size
        cdef cnp.ndarray partial = total
        cdef fl_slope_job *job
        self.check(v, "v", 2)
        m, n = cnp.PyArray_DIM(v, 0), cnp.PyArray_DIM(v, 1)
        for other, name in ((g, "g"), (y, "y")):
            if other is not None:
                self.check_shape(other, name, m, n)
        if total is not None:
            self.check(total, "total", 1)
            if cnp.PyArray_DIM(total, 0) != n:
                raise ValueError(f"total has shape {shape(total)}; expected ({n},)")
        if not n:
            return
        parts = max(blocks(m, SLOPE_ROWS), 1)
        if total is not None and parts > 1:
            partial = self.empty(parts, n)
        job = <fl_slope_job *>self.add(FL_KERNEL_slope)
        job.m, job.n, job.op = m, n, op
        job.rows = SLOPE_ROWS
        job.cols = up(max(PIECE // max(min(m, SLOPE_ROWS), 1), 1), 4 * tile)
        self.point(&job.v, v)
        if y is not None:
            self.point(&job.y, y)
        if g is not None:
            self.point(<const void **>&job.g, g)
        if total is not None:
            self.point(<const void **>&job.total, partial)
        if update and parts == 1:
            job.update = &self.rule
        job.head.n_blocks = parts * blocks(n, job.cols)
        job.head.work = <double>m * n * (0.2 if self.dtype == FL_F32 else 0.4)
        if total is not None and parts > 1:
            whole = self.empty(n) if update else total
            self.sum(partial, parts, n, whole)
            if update:
                self.update(total, whole)

    def map(self, int op, cnp.ndarray x not None, cnp.ndarray y not None):
        """y = op(x), elementwise."""
        cdef fl_map_job *job
        self.check_size(x, "x", x)
        self.check_size(y, "y", x)
        job = <fl_map_job *>self.add(FL_KERNEL_map)
        job.op = op
        self.point(&job.x, x)
        self.point(<const void **>&job.y, y)
        job.n = cnp.PyArray_SIZE(x)
        job.per_block = BLOCK
        job.head.n_blocks = blocks(job.n, BLOCK)
        job.head.work = job.n * (0.3 if self.dtype == FL_F32 else 0.9)

    cdef double *take_losses(self, fl_int n, double count) except NULL:
        free(self.losses)
        self.losses = <double *>malloc(n * sizeof(double))
        if self.losses is NULL:
            self.n_losses = 0
            raise MemoryError(f"cannot allocate {n * sizeof(double)} bytes")
        memset(self.losses, 0, n * sizeof(double))
        self.n_losses = n
        self.loss_count = count
        return self.losses

    def cross_entropy(self, cnp.ndarray logits not None, cnp.ndarray labels not None, cnp.ndarray grad=None, double count=1):
        """The plan's loss: sum_i l_i / count, and grad, its gradient by the logits (m, n), which it may overwrite. labels: int64
        (m,), each in [0, n) whenever the plan runs (NaN otherwise), or (m, n) probabilities."""
        cdef fl_xent_job *job
        cdef fl_int m, n
        cdef double *losses
        cdef cnp.ndarray partial = None
        cdef bint by_class = cnp.PyArray_TYPE(labels) == cnp.NPY_INT64
        self.check(logits, "logits", 2)
        m, n = cnp.PyArray_DIM(logits, 0), cnp.PyArray_DIM(logits, 1)
        if grad is not None:
            self.check_shape(grad, "grad", m, n)
        if not by_class:
            self.check_shape(labels, "labels", m, n)
        elif cnp.PyArray_NDIM(labels) != 1 or cnp.PyArray_DIM(labels, 0) != m or not cnp.PyArray_ISCARRAY_RO(labels):
            raise ValueError(f"labels: expected ({m},) in C order")
        losses = self.take_losses(xent_losses(m, n), count)
        if xent_partial(m, n):
            partial = self.empty(xent_partial(m, n))
        for i in range(xent_jobs(n, grad is not None)):
            job = <fl_xent_job *>self.add(FL_KERNEL_xent)
            self.point(&job.x, logits)
            if grad is not None:
                self.point(<const void **>&job.grad, grad)
            self.point(<const void **>&job.labels if by_class else &job.targets, labels)
            if partial is not None:
                self.point(<const void **>&job.partial, partial)
            job.scale = 1 / count
            job.loss = losses
            plan_xent(job, i, self.dtype, m, n)

    def squares(self, cnp.ndarray x not None, cnp.ndarray t not None, cnp.ndarray grad=None, double count=1):
        """The plan's loss: sum (x - t)^2 / count, and grad, its gradient by x, which it may overwrite. All of one size, C order."""
        cdef fl_squares_job *job
        self.check_size(x, "x", x)
        self.check_size(t, "t", x)
        job = <fl_squares_job *>self.add(FL_KERNEL_squares)
        self.point(&job.x, x)
        self.point(&job.t, t)
        if grad is not None:
            self.check_size(grad, "grad", x)
            self.point(<const void **>&job.grad, grad)
        job.scale = 2 / count
        job.n = cnp.PyArray_SIZE(x)
        job.per_block = BLOCK
        job.head.n_blocks = blocks(job.n, BLOCK)
        job.head.work = job.n * 0.5
        job.loss = self.take_losses(max(job.head.n_blocks, 1), count)

    # --- running -----------------------------------------------------------------------------------------------------

    def run(self):
        """Runs all jobs in order; returns the loss where one was planned, else 0. What a signal handler raises comes through:
        results are then incomplete."""
        cdef fl_job *few[8 * FEW]
        cdef fl_job **jobs = few
        cdef double loss = 0
        cdef fl_int b
        cdef int i
        if self.n > 8 * FEW:
            jobs = <fl_job **>malloc(self.n * sizeof(fl_job *))
            if jobs is NULL:
                raise MemoryError(f"cannot allocate {self.n * sizeof(fl_job *)} bytes")
        for i in range(self.n):
            jobs[i] = &self.jobs[i].head
        try:
            run_jobs(jobs, self.n)
        finally:
            if jobs != few:
                free(jobs)
        for b in range(self.n_losses):
            loss += self.losses[b]
        return loss / self.loss_count if self.n_losses else 0.0

    def __len__(self):
        return self.n


def is_plain(object a):
    """Whether a is an ndarray, no subclass, in C order, aligned and of native byte order: read in place by all kernels of its dtype."""
    return bool(cnp.PyArray_CheckExact(a) and cnp.PyArray_ISCARRAY_RO(<cnp.ndarray>a))
