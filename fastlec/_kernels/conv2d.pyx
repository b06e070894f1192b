# cython: freethreading_compatible=True
"""Convolutions as jobs of a plan: forward map, data's and weights' gradients, sums over the channels.

x (n, c, h, w), W (k, c / groups, r, s), y and v (n, k, oh, ow), all in C order, aligned and of the plan's dtype. g is the
`Geometry` of fastlec._geometry.
"""

cimport numpy as cnp

from fastlec._kernels.fl cimport *
from fastlec._kernels.plan cimport Plan, blocks, up
from fastlec._kernels.runner cimport vector_bytes

from fastlec._kernels.im2col import im2col as _im2col

cnp.import_array()

cdef enum:
    AUTO_CODE, IM2COL_CODE, DIRECT_CODE, WINOGRAD_CODE

AUTO, IM2COL, DIRECT, WINOGRAD = AUTO_CODE, IM2COL_CODE, DIRECT_CODE, WINOGRAD_CODE

cdef enum:
    SCRATCH = 1 << 18       # bytes of planes that stay in L2 beside what is read of the weights
    MOST_LANES = 1 << 12    # pixels of a part, so that the finished rows are still in L2
    ENOUGH = 8              # blocks that keep teams of 2, 4 and 8 busy
    LEAST_COLS = 64         # of a part of a row
    ELEMENTS = 1 << 14      # of an elementwise block

cdef enum:
    ROW_STORE = 2           # cycles of a register that is stored as it is,
    PART_STORE = 8          # or by way of a buffer, since it holds parts of several rows
    MOST_SCRATCH = 8 << 20  # of any job, where it has a choice
    MOST_PARTIAL = 64 << 20 # of sums over parts of the images
    WINO_SCRATCH = 5 << 20  # of transforms,
    WINO_TILES = 128        # tiles in a block,
    WINO_ROWS = 128         # rows of A in one;
    WINO_SIDE = 128         # rows of A or channels whose gradients a block sums,
    WINO_BATCH = 48         # from so many tiles at a time;
    WINO_WEIGHTS = 100      # cycles of a lane for what becomes of a sum
    MOST_TILE_COLS = 1024   # of an image whose tiles of one row fit that
    WINO_IN = 30            # cycles of a lane for the transforms of a tile of x,
    WINO_OUT = 20           # of one of y,
    WINO_TAPS = 640         # of taps,
    WINO_FAR_TAPS = 1800    # of more of them than the caches hold,
    WINO_CACHED = 16 << 20  # which is so many bytes

cdef double LEAST_MACS = 4e5        # multiplications in a block that is worth its share of copying: about 7 us
cdef double MOST_MACS = 3e8         # and in one that can still be interrupted: about 6 ms


cdef class _Layout:
    """What the jobs of one convolution have in common: which pixels they read for which outputs."""
    cdef fl_int images, groups, rows, channels          # of a group
    cdef fl_int h, w, sh, sw, top, left                 # source
    cdef fl_int grid_rows, grid_cols, oh, ow, down, across
    cdef fl_int n_phases, total
    cdef fl_int ext_rows, ext_cols, phases_y, phases_x
    cdef object phases, taps_y, taps_x, place           # intp arrays
    cdef fl_conv_phase *phase
    cdef fl_int *ty
    cdef fl_int *tx
    cdef fl_int *where
    cdef int border
    cdef double cval

    cdef int allot(self, fl_int n_phases, fl_int total) except -1:
        self.n_phases, self.total = n_phases, total
        self.phases = new_table(n_phases * sizeof(fl_conv_phase) // sizeof(fl_int))
        self.taps_y, self.taps_x, self.place = new_table(total), new_table(total), new_table(total)
        self.phase = <fl_conv_phase *>cnp.PyArray_DATA(self.phases)
        self.ty = <fl_int *>cnp.PyArray_DATA(self.taps_y)
        self.tx = <fl_int *>cnp.PyArray_DATA(self.taps_x)
        self.where = <fl_int *>cnp.PyArray_DATA(self.place)
        return 0

    cdef void extend(self) noexcept:
        """How far the taps reach, and how many phases of the source they read."""
        cdef fl_int far_y = 0, far_x = 0, q
        for q in range(self.total):
            far_y, far_x = max(far_y, self.ty[q]), max(far_x, self.tx[q])
        self.ext_rows, self.ext_cols = far_y // self.sh, far_x // self.sw
        self.phases_y, self.phases_x = min(self.sh, far_y + 1), min(self.sw, far_x + 1)

    cdef void fill_planes(self, fl_conv_planes *P, fl_int tile_rows, fl_int tile_cols) noexcept:
        """The planes for such parts of the grid. Zeros at the right of one row serve as those at the left of the next."""
        cdef fl_int fx, before, behind, shared
        P.h, P.w, P.sh, P.sw, P.top, P.left = self.h, self.w, self.sh, self.sw, self.top, self.left
        P.phases_y, P.phases_x = self.phases_y, self.phases_x
        P.tile_rows, P.tile_cols = tile_rows, tile_cols
        P.plane_rows, P.width = tile_rows + self.ext_rows, tile_cols + self.ext_cols
        P.border, P.cval = self.border, self.cval
        shared = 0
        if tile_cols == self.grid_cols and self.border == FL_CONSTANT and self.cval == 0:
            shared = self.ext_cols
            for fx in range(self.phases_x):
                before = max(blocks(self.left - fx, self.sw), 0)
                behind = max(P.width - max(blocks(self.w - fx + self.left, self.sw), 0), 0)
                shared = min(shared, min(before, behind))
        P.pitch = P.width - shared
        P.plane = P.plane_rows * P.pitch + P.width - P.pitch

    cdef object offsets(self, fl_conv_planes *P, fl_int phase_step):
        """Where each tap reads, from the pixel's place in a channel's first plane on."""
        table = new_table(self.total)
        cdef fl_int *offset = <fl_int *>cnp.PyArray_DATA(table)
        cdef fl_int q, f
        for q in range(self.total):
            f = self.ty[q] % self.sh * self.phases_x + self.tx[q] % self.sw
            offset[q] = f * phase_step + self.ty[q] // self.sh * P.pitch + self.tx[q] // self.sw
        return table


cdef cnp.ndarray new_table(fl_int n):
    cdef cnp.npy_intp size = n
    return cnp.PyArray_EMPTY(1, &size, cnp.NPY_INTP, 0)


cdef _Layout forward_layout(object g):
    """y[a, b] = sum W x[sh a + dh i - top, sw b + dw j - left]."""
    cdef _Layout L = _Layout()
    cdef fl_int i, j, q = 0, r = g.r, s = g.s, dh = g.dh, dw = g.dw
    L.images, L.groups, L.rows, L.channels = g.n, g.groups, g.k // g.groups, g.c // g.groups
    L.h, L.w, L.sh, L.sw, L.top, L.left = g.h, g.w, g.sh, g.sw, g.top, g.left
    L.grid_rows, L.grid_cols, L.oh, L.ow, L.down, L.across = g.oh, g.ow, g.oh, g.ow, 1, 1
    L.allot(1, r * s)
    L.phase[0].row = L.phase[0].col = L.phase[0].first = 0
    L.phase[0].rows, L.phase[0].cols, L.phase[0].taps = g.oh, g.ow, r * s
    for i in range(r):
        for j in range(s):
            L.ty[q], L.tx[q], L.where[q] = dh * i, dw * j, q
            q += 1
    L.extend()
    if is_pointwise(g):
        flatten(L)
    return L


cdef _Layout data_layout(object g):
    """dx[sh a + p, sw b + q] = sum W v[(sh a + p + top - dh i) / sh, ...] over the taps that divide: one phase for each p, q."""
    cdef _Layout L = _Layout()
    cdef fl_int i, j, p, q, y, x, n = 0, f = 0, low_y, low_x
    cdef fl_int r = g.r, s = g.s, dh = g.dh, dw = g.dw, sh = g.sh, sw = g.sw, top = g.top, left = g.left
    L.images, L.groups, L.rows, L.channels = g.n, g.groups, g.c // g.groups, g.k // g.groups
    L.h, L.w, L.sh, L.sw = g.oh, g.ow, 1, 1
    L.grid_rows, L.grid_cols, L.oh, L.ow, L.down, L.across = blocks(g.h, sh), blocks(g.w, sw), g.h, g.w, sh, sw
    L.allot(min(sh, L.oh) * min(sw, L.ow), r * s)
    for p in range(min(sh, L.oh)):
        for q in range(min(sw, L.ow)):
            L.phase[f].row, L.phase[f].col, L.phase[f].first = p, q, n
            L.phase[f].rows, L.phase[f].cols = blocks(L.oh - p, sh), blocks(L.ow - q, sw)
            for i in range(r):
                for j in range(s):
                    y, x = p + top - dh * i, q + left - dw * j
                    if y % sh == 0 and x % sw == 0:
                        L.ty[n], L.tx[n], L.where[n] = y // sh, x // sw, i * s + j
                        low_y, low_x = (min(low_y, L.ty[n]), min(low_x, L.tx[n])) if n else (L.ty[0], L.tx[0])
                        n += 1
            L.phase[f].taps = n - L.phase[f].first
            f += 1
    if not n:
        low_y = low_x = 0
    L.total = n     # fewer than r s where a stride skips pixels at the border
    for i in range(n):
        L.ty[i] -= low_y
        L.tx[i] -= low_x
    L.top, L.left = -low_y, -low_x
    L.extend()
    if is_pointwise(g):
        flatten(L)
    return L


cdef bint is_pointwise(object g):
    return g.r == g.s == g.sh == g.sw == 1 and g.top == g.bottom == g.left == g.right == 0


cdef void flatten(_Layout L) noexcept:
    """One tap that reads its own pixel: the image is one row."""
    L.w, L.h = L.h * L.w, 1
    L.grid_cols, L.grid_rows = L.grid_rows * L.grid_cols, 1
    L.ow, L.oh = L.oh * L.ow, 1
    L.phase[0].rows, L.phase[0].cols = 1, L.ow


cdef fl_int rows_of_panel(fl_int rows):
    """The height of A's panels that wastes least: a row of zeros costs as much as any, and tiles of few rows wait for loads."""
    cdef fl_int mr, best = 1
    cdef double cost, least = 0
    for mr in range(1, (FL_CONV_ROWS if vector_bytes() == 64 else 6) + 1):
        cost = blocks(rows, mr) * (max(<double>mr, 1.7) + 0.3)
        if mr == 1 or cost < least:
            best, least = mr, cost
    return best


cdef int choose_tile(_Layout L, fl_conv_planes *P, fl_int *chunk, size_t size) except -1:
    """Parts of the grid whose planes stay in L2, of as few pixels that are copied or computed in vain as possible."""
    cdef fl_int lanes = vector_bytes() // <fl_int>size, cols = L.grid_cols, rows, best_rows = 0, best_cols = 0, n, most
    cdef double cost, least = 0, per_pixel = <double>L.rows * L.total / max(L.n_phases, 1), area
    chunk[0] = L.channels
    while True:
        # as many rows as fit, then as evenly as they divide
        P.tile_rows = 0
        L.fill_planes(P, 1, cols)
        most = SCRATCH // <fl_int>(size * chunk[0] * L.phases_y * L.phases_x * P.pitch) - L.ext_rows
        if most >= 1 or cols <= LEAST_COLS:
            rows = max(min(most, min(L.grid_rows, max(MOST_LANES // cols, 1))), 1)
            rows = blocks(L.grid_rows, blocks(L.grid_rows, rows))
            L.fill_planes(P, rows, cols)
            area = <double>rows * cols
            cost = up((rows - 1) * P.pitch + cols, lanes) * (per_pixel + 0.5) + 4.0 * L.phases_y * L.phases_x * P.plane
            if best_rows == 0 or cost / area < least:
                best_rows, best_cols, least = rows, cols, cost / area
        if cols <= LEAST_COLS:
            break
        cols = up(blocks(cols, 2), lanes)
    L.fill_planes(P, best_rows, best_cols)
    while chunk[0] > 1 and size * chunk[0] * L.phases_y * L.phases_x * P.plane > 4 * SCRATCH:
        chunk[0] = blocks(chunk[0], 2)
    return 0


cdef fl_int depth_of(_Layout L):
    """The products that an element of y sums."""
    return L.channels * L.total // L.n_phases


cdef int convolve(Plan plan, _Layout L, cnp.ndarray x, cnp.ndarray W, cnp.ndarray y, fl_int row_step, fl_int channel_step, bint in_order,
                  cnp.ndarray bias, int op, cnp.ndarray residual, bint accumulate, cnp.ndarray slope, int op2) except -1:
    """Two jobs: the panels of A, and the product."""
    cdef fl_int mr = rows_of_panel(L.rows), panels = blocks(L.rows, mr), elements = 0, f, chunk, per_block, rows, parts, lanes
    cdef bint flat
    cdef fl_conv_planes P
    cdef fl_conv_pack_job *pack
    cdef fl_conv_job *job
    cdef cnp.ndarray a
    cdef double macs
    if not cnp.PyArray_SIZE(y):
        return 0
    for f in range(L.n_phases):
        L.phase[f].panels = elements
        elements += L.groups * panels * L.channels * L.phase[f].taps * mr
    a = plan.empty(elements + 16)
    pack = <fl_conv_pack_job *>plan.add(FL_KERNEL_conv_pack)
    pack.phases, pack.groups, pack.rows, pack.channels, pack.mr, pack.panels = L.n_phases, L.groups, L.rows, L.channels, mr, panels
    pack.phase = L.phase
    pack.place = L.where
    plan.point(&pack.w, W)
    plan.point(<const void **>&pack.a, a)
    pack.group_step = cnp.PyArray_SIZE(W) // L.groups
    pack.row_step, pack.channel_step = row_step, channel_step
    pack.in_order = in_order
    pack.head.n_blocks = L.groups * (panels if in_order else L.channels)
    pack.head.work = 0.2 * elements

    choose_tile(L, &P, &chunk, plan.size)
    macs = <double>L.rows * L.channels * L.total / max(L.down * L.across, 1)     # of a grid pixel's share
    macs *= L.down * L.across
    per_block = panels
    rows = P.tile_rows
    parts = L.images * L.groups * blocks(L.grid_rows, rows) * blocks(L.grid_cols, P.tile_cols)
    if parts < ENOUGH:      # share out the panels of A, then the rows of the image
        per_block = max(blocks(panels, blocks(ENOUGH, parts)), <fl_int>(LEAST_MACS / (macs * rows * P.tile_cols / panels)) + 1)
        per_block = min(per_block, panels)
        parts *= blocks(panels, per_block)
        if parts < ENOUGH:
            rows = min(rows, max(blocks(rows, blocks(ENOUGH, parts)), <fl_int>(LEAST_MACS / (macs * P.tile_cols)) + 1))
            L.fill_planes(&P, rows, P.tile_cols)
    while per_block > 1 and macs * rows * P.tile_cols * per_block / panels > MOST_MACS:
        per_block = blocks(per_block, 2)
    flat = L.n_phases == 1 and L.total == 1
    if flat:
        offset = new_table(chunk)
        for f in range(chunk):
            (<fl_int *>cnp.PyArray_DATA(<cnp.ndarray>offset))[f] = f * L.phases_y * L.phases_x * P.plane
    else:
        offset = L.offsets(&P, P.plane)

    job = <fl_conv_job *>plan.add(FL_KERNEL_conv)
    job.images, job.groups, job.rows, job.channels = L.images, L.groups, L.rows, L.channels
    job.planes = P
    job.grid_rows, job.grid_cols = L.grid_rows, L.grid_cols
    job.tiles_down, job.tiles_across = blocks(L.grid_rows, P.tile_rows), blocks(L.grid_cols, P.tile_cols)
    job.phase = L.phase
    job.phases, job.down, job.across = L.n_phases, L.down, L.across
    job.offset = <const fl_int *>cnp.PyArray_DATA(<cnp.ndarray>offset)
    plan.point(&job.a, a)
    job.mr, job.panels, job.per_block = mr, panels, per_block
    plan.point(&job.x, x)
    plan.point(<const void **>&job.y, y)
    job.oh, job.ow = L.oh, L.ow
    if bias is not None:
        plan.point(&job.bias, bias)
    if residual is not None:
        plan.point(&job.r, residual)
    if slope is not None:
        plan.point(&job.slope, slope)
    job.accumulate, job.op, job.op2 = accumulate, op, op2
    job.chunk = chunk
    job.flat = flat
    lanes = vector_bytes() // <fl_int>plan.size
    job.by_row = up(P.tile_cols, lanes) * depth_of(L) + ROW_STORE * lanes < P.pitch * depth_of(L) + PART_STORE * lanes
    job.head.n_blocks = L.images * L.groups * job.tiles_down * job.tiles_across * blocks(panels, per_block)
    job.head.work = (macs * L.images * L.groups * L.grid_rows * L.grid_cols / (50 if plan.dtype == FL_F32 else 25)
                     + cnp.PyArray_SIZE(y) * (0.3 if op == FL_IDENTITY else 1) + cnp.PyArray_SIZE(x) * 0.3)
    job.head.scratch = ((FL_CONV_ROWS + 2) * FL_CONV_BYTES + plan.size * chunk * L.phases_y * L.phases_x * P.plane)
    plan.arrays.extend((L.phases, L.place, offset))
    return 0


cdef int check_image(Plan plan, cnp.ndarray a, str name, fl_int n, fl_int c, fl_int h, fl_int w) except -1:
    plan.check(a, name, 4)
    if (cnp.PyArray_DIM(a, 0) != n or cnp.PyArray_DIM(a, 1) != c or cnp.PyArray_DIM(a, 2) != h or cnp.PyArray_DIM(a, 3) != w):
        raise ValueError(f"{name} has shape {(<object>a).shape}; expected ({n}, {c}, {h}, {w})")
    return 0


cdef int check_all(Plan plan, object g, cnp.ndarray x, cnp.ndarray W, cnp.ndarray y) except -1:
    check_image(plan, x, "x", g.n, g.c, g.h, g.w)
    check_image(plan, W, "W", g.k, g.c // g.groups, g.r, g.s)
    check_image(plan, y, "y", g.n, g.k, g.oh, g.ow)
    return 0


cdef bint fits_winograd(object g) except -1:
    return g.r == g.s == 3 and g.sh == g.sw == g.dh == g.dw == 1


cdef bint fits_depthwise(object g, _Layout L) except -1:
    """One channel to a row of A, and taps in a grid."""
    return L.channels == 1 and g.sh == g.sw == 1 and g.r * g.s > 1 and L.rows <= 4


cdef int convolve_depthwise(Plan plan, object g, _Layout L, cnp.ndarray x, cnp.ndarray W, cnp.ndarray y, cnp.ndarray bias, int op,
                            cnp.ndarray residual, bint accumulate, cnp.ndarray slope, int op2) except -1:
    cdef fl_depthwise_job *job
    cdef cnp.ndarray place = new_table(L.total)
    cdef fl_int *table = <fl_int *>cnp.PyArray_DATA(place)
    cdef fl_int i, s = g.s, dh = g.dh, dw = g.dw
    if not cnp.PyArray_SIZE(y):
        return 0
    for i in range(L.total):
        table[L.ty[i] // dh * s + L.tx[i] // dw] = L.where[i]
    job = <fl_depthwise_job *>plan.add(FL_KERNEL_depthwise)
    job.images, job.groups, job.rows = L.images, L.groups, L.rows
    job.h, job.w, job.top, job.left, job.oh, job.ow = L.h, L.w, L.top, L.left, L.oh, L.ow
    job.r, job.s, job.dh, job.dw = g.r, s, dh, dw
    plan.point(&job.weights, W)
    job.place = table
    plan.point(&job.x, x)
    plan.point(<const void **>&job.y, y)
    if bias is not None:
        plan.point(&job.bias, bias)
    if residual is not None:
        plan.point(&job.residual, residual)
    if slope is not None:
        plan.point(&job.slope, slope)
    job.accumulate, job.op, job.op2 = accumulate, op, op2
    job.per_block = max(ELEMENTS // (L.oh * L.ow), 1)
    job.head.n_blocks = blocks(L.images * L.groups * L.rows, job.per_block)
    job.head.work = cnp.PyArray_SIZE(y) * (0.03 * L.total + (0.3 if op == FL_IDENTITY else 1)) * plan.size / 4
    job.head.scratch = L.total * plan.size
    plan.arrays.append(place)
    return 0


cdef int check_winograd(object g) except -1:
    if not fits_winograd(g):
        raise ValueError("algorithm is 'winograd'; expected another one, for it is for 3 x 3 weights, stride 1 and dilation 1")
    return 0


cdef bint use_winograd(Plan plan, object g, _Layout L, int algorithm) except -1:
    if algorithm == WINOGRAD_CODE:
        check_winograd(g)
    return algorithm == WINOGRAD_CODE or (algorithm == AUTO_CODE and fits_winograd(g) and winograd_pays(plan, L))


cdef bint winograd_pays(Plan plan, _Layout L) except -1:
    """Whether transforms are made up for, by estimates in cycles of a lane. Few channels would also lose more digits to them."""
    cdef double pixels = <double>L.images * L.oh * L.ow, pairs = <double>L.rows * L.channels
    cdef double tiles = up(L.images * blocks(L.oh, FL_WINO_TILE) * blocks(L.ow, FL_WINO_TILE), vector_bytes() // <fl_int>plan.size)
    cdef double taps = WINO_TAPS if FL_WINO_POINTS * L.groups * pairs * plan.size < WINO_CACHED else WINO_FAR_TAPS
    if plan.dtype != FL_F32 or L.rows < 16 or L.channels < 32 or winograd_scratch(plan, L, 1) > MOST_SCRATCH:
        return False
    return tiles * (1.1 * FL_WINO_POINTS * pairs + WINO_IN * L.channels + WINO_OUT * L.rows) + taps * pairs < 1.2 * 9 * pairs * pixels


cdef size_t winograd_scratch(Plan plan, _Layout L, fl_int tile_rows):
    cdef fl_int pitch = up(tile_rows * blocks(L.ow, FL_WINO_TILE), vector_bytes() // <fl_int>plan.size)
    cdef fl_int row = up(blocks(L.ow, FL_WINO_TILE) + 1, 16) + 16
    return plan.size * (FL_WINO_POINTS * (L.channels + L.rows + FL_CONV_ROWS) * pitch + 24 * row) + 2 * FL_WINO_POINTS * 64 + 64


cdef fl_int winograd_rows(Plan plan, _Layout L, fl_int across, fl_int total):
    """Rows of tiles in a block: few lanes empty, few blocks that read all of W's transforms, an even number of them."""
    cdef fl_int rows, best = 1, tiles, count
    cdef double cost, least = 0
    for rows in range(1, total + 1):
        tiles, count = rows * across, blocks(total, rows)
        if rows > 1 and (tiles > WINO_TILES or winograd_scratch(plan, L, rows) > WINO_SCRATCH):
            break
        cost = <double>up(tiles, vector_bytes() // <fl_int>plan.size) / tiles * (1 + 3.0 / tiles) * up(count, 2) / count
        if rows == 1 or cost < least:
            best, least = rows, cost
    return best


cdef int convolve_winograd(Plan plan, _Layout L, cnp.ndarray x, cnp.ndarray W, cnp.ndarray y, fl_int row_step, fl_int channel_step,
                           cnp.ndarray bias, int op, cnp.ndarray residual, bint accumulate, cnp.ndarray slope, int op2) except -1:
    """Two jobs: the transforms of W, and all the rest."""
    cdef fl_int mr = rows_of_panel(L.rows), panels = blocks(L.rows, mr), down = blocks(L.oh, FL_WINO_TILE), i
    cdef fl_int across = blocks(L.ow, FL_WINO_TILE), per_block, panels_block = panels, parts
    cdef fl_winograd_pack_job *pack
    cdef fl_winograd_job *job
    cdef fl_int *table
    cdef cnp.ndarray u, place = new_table(9), offset = new_table(L.channels)
    if not cnp.PyArray_SIZE(y):
        return 0
    table = <fl_int *>cnp.PyArray_DATA(place)
    for i in range(9):
        table[L.ty[i] * 3 + L.tx[i]] = L.where[i]
    u = plan.empty(L.groups * FL_WINO_POINTS * panels * (mr * L.channels + 64 // <fl_int>plan.size))
    pack = <fl_winograd_pack_job *>plan.add(FL_KERNEL_winograd_pack)
    pack.groups, pack.rows, pack.channels, pack.mr, pack.panels = L.groups, L.rows, L.channels, mr, panels
    plan.point(&pack.w, W)
    pack.group_step, pack.row_step, pack.channel_step = cnp.PyArray_SIZE(W) // L.groups, row_step, channel_step
    pack.place = table
    plan.point(<const void **>&pack.u, u)
    pack.head.n_blocks = L.groups * panels
    pack.head.work = <double>L.groups * panels * mr * L.channels * 10
    pack.head.scratch = 9 * (plan.size * mr * L.channels + 64)

    per_block = winograd_rows(plan, L, across, L.images * down)
    parts = L.groups * blocks(L.images * down, per_block)
    if parts < ENOUGH // 2 and L.rows >= 2 * WINO_ROWS:     # the rows of A in parts: each transforms the image again
        panels_block = max(blocks(panels, blocks(ENOUGH // 2, parts)), WINO_ROWS // mr)
    job = <fl_winograd_job *>plan.add(FL_KERNEL_winograd)
    job.images, job.groups, job.rows, job.channels = L.images, L.groups, L.rows, L.channels
    job.h, job.w, job.top, job.left, job.down, job.across = L.h, L.w, L.top, L.left, down, across
    job.per_block = per_block
    plan.point(&job.u, u)
    job.mr, job.panels, job.panels_block = mr, panels, panels_block
    job.pitch = up(per_block * across, vector_bytes() // <fl_int>plan.size)
    table = <fl_int *>cnp.PyArray_DATA(offset)
    for i in range(L.channels):
        table[i] = i * job.pitch
    job.offset = table
    plan.point(&job.x, x)
    plan.point(<const void **>&job.y, y)
    job.oh, job.ow = L.oh, L.ow
    if bias is not None:
        plan.point(&job.bias, bias)
    if residual is not None:
        plan.point(&job.r, residual)
    if slope is not None:
        plan.point(&job.slope, slope)
    job.accumulate, job.op, job.op2 = accumulate, op, op2
    job.head.n_blocks = L.groups * blocks(L.images * down, per_block) * blocks(panels, panels_block)
    job.head.work = (<double>L.images * down * across * FL_WINO_POINTS * L.rows * L.channels * L.groups
                     / (40 if plan.dtype == FL_F32 else 20))
    job.head.scratch = winograd_scratch(plan, L, per_block)
    plan.arrays.extend((place, offset))
    return 0


cdef int convolve_columns(Plan plan, object g, cnp.ndarray x, cnp.ndarray W, cnp.ndarray y, cnp.ndarray bias, int op,
                          cnp.ndarray residual, bint accumulate, cnp.ndarray slope, int op2) except -1:
    """The windows of one image at a time as columns, of which W makes pixels."""
    cdef fl_int i, depth = g.c // g.groups * g.r * g.s, pixels = g.oh * g.ow
    one = g._replace(n=1)
    pointwise = one._replace(c=g.groups * depth, h=1, w=pixels, r=1, s=1, sh=1, sw=1, top=0, bottom=0, left=0, right=0, dh=1, dw=1,
                             oh=1, ow=pixels)
    columns = plan.empty(*one.columns_shape)
    for i in range(g.n):
        _im2col(plan, one, x[i:i + 1], columns)
        parts = [None if a is None else a[i:i + 1].reshape(1, g.k, 1, pixels) for a in (y, residual, slope)]
        convolve(plan, forward_layout(pointwise), columns.reshape(1, -1, 1, pixels), W, parts[0], depth, 1, True, bias, op, parts[1],
                 accumulate, parts[2], op2)
    return 0


def forward(Plan plan not None, g, cnp.ndarray x not None, cnp.ndarray W not None, cnp.ndarray y not None, *, int algorithm=0,
            cnp.ndarray bias=None, int op=FL_IDENTITY, cnp.ndarray residual=None, bint accumulate=False, cnp.ndarray slope=None,
            int op2=FL_IDENTITY):
    """y = (op(W * x + [y] + bias) + residual) * op2'(slope), op2' from its value. [y]: if accumulate."""
    cdef _Layout L
    check_all(plan, g, x, W, y)
    if bias is not None:
        plan.check(bias, "bias", 1)
        if cnp.PyArray_DIM(bias, 0) != g.k:
            raise ValueError(f"bias has shape {(<object>bias).shape}; expected ({g.k},)")
    if residual is not None:
        check_image(plan, residual, "residual", g.n, g.k, g.oh, g.ow)
    if slope is not None:
        check_image(plan, slope, "slope", g.n, g.k, g.oh, g.ow)
    L = forward_layout(g)
    if algorithm == IM2COL_CODE:
        convolve_columns(plan, g, x, W, y, bias, op, residual, accumulate, slope, op2)
    elif algorithm == AUTO_CODE and fits_depthwise(g, L):
        convolve_depthwise(plan, g, L, x, W, y, bias, op, residual, accumulate, slope, op2)
    elif use_winograd(plan, g, L, algorithm):
        convolve_winograd(plan, L, x, W, y, (g.c // g.groups) * 9, 9, bias, op, residual, accumulate, slope, op2)
    else:
        convolve(plan, L, x, W, y, (g.c // g.groups) * g.r * g.s, g.r * g.s, True, bias, op, residual, accumulate, slope, op2)


def data_gradient(Plan plan not None, g, cnp.ndarray v not None, cnp.ndarray W not None, cnp.ndarray dx not None, *, int algorithm=0,
                  cnp.ndarray residual=None, bint accumulate=False, cnp.ndarray slope=None, int op2=FL_IDENTITY):
    """dx = (W *' v + [dx] + residual) * op2'(slope), *' the transpose of the convolution by x."""
    cdef _Layout L
    check_all(plan, g, dx, W, v)
    if residual is not None:
        check_image(plan, residual, "residual", g.n, g.c, g.h, g.w)
    if slope is not None:
        check_image(plan, slope, "slope", g.n, g.c, g.h, g.w)
    L = data_layout(g)
    if algorithm == AUTO_CODE and fits_depthwise(g, L):
        convolve_depthwise(plan, g, L, v, W, dx, None, FL_IDENTITY, residual, accumulate, slope, op2)
    elif use_winograd(plan, g, L, algorithm):
        convolve_winograd(plan, L, v, W, dx, 9, (g.c // g.groups) * 9, None, FL_IDENTITY, residual, accumulate, slope, op2)
    else:
        convolve(plan, L, v, W, dx, g.r * g.s, (g.c // g.groups) * g.r * g.s, False, None, FL_IDENTITY, residual, accumulate, slope, op2)


cdef int weight_gradient_depthwise(Plan plan, _Layout L, cnp.ndarray v, cnp.ndarray x, cnp.ndarray dW) except -1:
    cdef fl_depthwise_weights_job *job = <fl_depthwise_weights_job *>plan.add(FL_KERNEL_depthwise_weights)
    job.images, job.groups, job.rows = L.images, L.groups, L.rows
    job.h, job.w, job.top, job.left, job.oh, job.ow = L.h, L.w, L.top, L.left, L.oh, L.ow
    plan.point(&job.v, v)
    plan.point(&job.x, x)
    plan.point(<const void **>&job.dw, dW)
    job.per_block = max(ELEMENTS // (L.images * L.oh * L.ow), 1)
    job.head.n_blocks = blocks(L.groups * L.rows, job.per_block)
    job.head.work = 0.4 * plan.size / 4 * cnp.PyArray_SIZE(v)
    return 0


cdef int weight_gradient_direct(Plan plan, _Layout L, cnp.ndarray v, cnp.ndarray x, cnp.ndarray dW) except -1:
    """A block: some rows of A, some channels, a part of the images; planes of both in L2."""
    cdef fl_conv_planes P
    cdef fl_conv_weights_job *job
    cdef fl_int rows = L.grid_rows, row_chunk = min(L.rows, 128), channel_chunk = min(L.channels, 32), together = 1, parts = 1
    cdef fl_int regions, most, images
    cdef cnp.ndarray partial = dW
    cdef double macs = <double>cnp.PyArray_SIZE(v) * L.channels * L.total
    L.fill_planes(&P, L.grid_rows, L.grid_cols)
    while rows > 1 and (row_chunk + channel_chunk * L.phases_y * L.phases_x) * P.plane * plan.size > SCRATCH * 3 // 2:
        if rows * P.pitch <= 1024 and (row_chunk > 16 or channel_chunk > 8):
            if row_chunk > 4 * channel_chunk * L.phases_y * L.phases_x:
                row_chunk = up(blocks(row_chunk, 2), 4)
            else:
                channel_chunk = blocks(channel_chunk, 2)
        else:
            rows = blocks(rows, 2)
        L.fill_planes(&P, rows, L.grid_cols)
    while ((row_chunk > 4 or channel_chunk > 1)
           and (row_chunk + channel_chunk * L.phases_y * L.phases_x) * P.plane * <fl_int>plan.size > MOST_SCRATCH):
        row_chunk, channel_chunk = up(blocks(row_chunk, 2), 4), blocks(channel_chunk, 2)
    if rows == L.grid_rows:
        most = SCRATCH // <fl_int>((row_chunk + channel_chunk * L.phases_y * L.phases_x) * P.plane * plan.size)
        together = min(max(min(most, 1024 // (rows * P.pitch) + 1), 1), L.images)
    regions = L.groups * blocks(L.rows, row_chunk) * blocks(L.channels, channel_chunk)
    if regions < ENOUGH and macs > 2 * LEAST_MACS:
        parts = min(L.images, blocks(ENOUGH, regions))
    most = max(MOST_PARTIAL // <fl_int>(cnp.PyArray_SIZE(dW) * plan.size), 1)
    while parts < min(L.images, most) and macs / (parts * regions) > MOST_MACS:
        parts += 1
    images = blocks(L.images, parts)
    together = min(together, images)
    parts = blocks(L.images, images)
    if parts > 1:
        partial = plan.empty(parts, cnp.PyArray_SIZE(dW))
    offset = L.offsets(&P, P.plane * together + 64 // <fl_int>plan.size)

    job = <fl_conv_weights_job *>plan.add(FL_KERNEL_conv_weights)
    job.images, job.groups, job.rows, job.channels, job.taps = L.images, L.groups, L.rows, L.channels, L.total
    job.planes = P
    job.grid_rows, job.grid_cols = L.grid_rows, L.grid_cols
    job.offset = <const fl_int *>cnp.PyArray_DATA(<cnp.ndarray>offset)
    plan.point(&job.v, v)
    plan.point(&job.x, x)
    plan.point(<const void **>&job.dw, partial)
    job.part_images, job.parts = images, parts
    job.row_chunk, job.channel_chunk, job.together = row_chunk, channel_chunk, together
    job.head.n_blocks = parts * regions
    job.head.work = macs / (45 if plan.dtype == FL_F32 else 22) + 0.5 * (cnp.PyArray_SIZE(x) + cnp.PyArray_SIZE(v))
    job.head.scratch = 3 * FL_CONV_BYTES + (plan.size * together * P.plane + 64) * (row_chunk + channel_chunk * L.phases_y * L.phases_x)
    plan.arrays.append(offset)
    if parts > 1:
        plan.sum(partial, parts, cnp.PyArray_SIZE(dW), dW)
    return 0


cdef bint winograd_weights_pays(Plan plan, _Layout L) except -1:
    cdef double tiles = <double>L.images * blocks(L.oh, FL_WINO_TILE) * blocks(L.ow, FL_WINO_TILE), pairs = <double>L.rows * L.channels
    if plan.dtype != FL_F32 or L.rows < 16 or L.channels < 16 or L.ow > MOST_TILE_COLS:
        return False
    return (tiles * (1.2 * FL_WINO_POINTS * pairs + 2 * WINO_IN * (L.channels * blocks(L.rows, WINO_SIDE) + L.rows *
                     blocks(L.channels, WINO_SIDE))) + WINO_WEIGHTS * pairs < 1.2 * 9 * pairs * L.images * L.oh * L.ow)


cdef int weight_gradient_winograd(Plan plan, _Layout L, cnp.ndarray v, cnp.ndarray x, cnp.ndarray dW) except -1:
    cdef fl_int lanes = vector_bytes() // <fl_int>plan.size, line = 64 // <fl_int>plan.size, i, regions, total, rows, ld
    cdef fl_int across = blocks(L.ow, FL_WINO_TILE), down = blocks(L.oh, FL_WINO_TILE), row_chunk, channel_chunk, together, part_rows
    cdef fl_int most
    cdef double macs
    cdef fl_winograd_weights_job *job
    cdef cnp.ndarray partial = dW, offset
    row_chunk, channel_chunk = blocks(L.rows, blocks(L.rows, WINO_SIDE)), blocks(L.channels, blocks(L.channels, WINO_SIDE))
    total = L.images * down
    regions = L.groups * blocks(L.rows, row_chunk) * blocks(L.channels, channel_chunk)
    part_rows = total
    if regions < ENOUGH:
        part_rows = max(blocks(total, blocks(ENOUGH, regions)), min(blocks(2 * WINO_BATCH, across), total))
    most = max(MOST_PARTIAL // <fl_int>(cnp.PyArray_SIZE(dW) * plan.size), 1)     # parts, so that a block can be interrupted
    macs = <double>FL_WINO_POINTS * across * row_chunk * channel_chunk
    part_rows = max(min(part_rows, max(<fl_int>(MOST_MACS / macs), 1)), blocks(total, max(most, ENOUGH)))
    together = max(min(WINO_BATCH // across, part_rows), 1)
    together = blocks(part_rows, blocks(part_rows, together))
    if blocks(total, part_rows) > 1:
        partial = plan.empty(blocks(total, part_rows), cnp.PyArray_SIZE(dW))
    job = <fl_winograd_weights_job *>plan.add(FL_KERNEL_winograd_weights)
    job.images, job.groups, job.rows, job.channels = L.images, L.groups, L.rows, L.channels
    job.h, job.w, job.top, job.left, job.oh, job.ow = L.h, L.w, L.top, L.left, L.oh, L.ow
    job.down, job.across = down, across
    plan.point(&job.v, v)
    plan.point(&job.x, x)
    plan.point(<const void **>&job.dw, partial)
    job.part_rows, job.parts = part_rows, blocks(total, part_rows)
    job.row_chunk, job.channel_chunk, job.together = row_chunk, channel_chunk, together
    job.mr = rows_of_panel(row_chunk)
    job.pitch = up(together * across, lanes)
    ld, rows = up(channel_chunk, lanes), up(row_chunk, job.mr)
    offset = new_table(together * across)
    job.offset = <const fl_int *>cnp.PyArray_DATA(offset)
    for i in range(together * across):
        (<fl_int *>job.offset)[i] = i * ld
    job.head.n_blocks = job.parts * regions
    job.head.work = <double>total * across * FL_WINO_POINTS * L.rows * L.channels * L.groups / (35 if plan.dtype == FL_F32 else 17)
    job.head.scratch = plan.size * (FL_WINO_POINTS * ((row_chunk + channel_chunk) * job.pitch + 2 * line + rows * ld + line)
                                    + job.pitch * (rows + ld) + line + 24 * (across + 3 * lanes) + line)
    plan.arrays.append(offset)
    if job.parts > 1:
        plan.sum(partial, blocks(total, part_rows), cnp.PyArray_SIZE(dW), dW)
    return 0


def weight_gradient(Plan plan not None, g, cnp.ndarray v not None, cnp.ndarray x not None, cnp.ndarray dW not None, *,
                    int algorithm=0, bint update=False):
    """dW = the transpose of the convolution by W, of v; update: dW are parameters and that is their gradient."""
    cdef _Layout L
    cdef cnp.ndarray target = dW
    check_all(plan, g, x, dW, v)
    if not cnp.PyArray_SIZE(dW):
        return
    if not cnp.PyArray_SIZE(v):
        flat = dW.reshape(1, -1)
        plan.slope(flat[:0], total=flat[0], update=update)
        return
    if algorithm == WINOGRAD_CODE:
        check_winograd(g)
    L = forward_layout(g)
    if update:
        target = plan.empty(g.k, g.c // g.groups, g.r, g.s)
    if algorithm == AUTO_CODE and L.channels == 1 and g.groups > 1 and fits_winograd(g) and g.top <= 2:
        weight_gradient_depthwise(plan, L, v, x, target)
    elif algorithm == WINOGRAD_CODE or (algorithm == AUTO_CODE and fits_winograd(g) and winograd_weights_pays(plan, L)):
        weight_gradient_winograd(plan, L, v, x, target)
    else:
        weight_gradient_direct(plan, L, v, x, target)
    if update:
        plan.update(dW, target)


def slope(Plan plan not None, cnp.ndarray v not None, cnp.ndarray out=None, *, cnp.ndarray y=None, int op=FL_IDENTITY,
          cnp.ndarray total=None, bint update=False):
    """out = v * op'(y), op' from its value y; total (k,) = the sums of that over images and pixels, or (update) total are parameters
    and that is their gradient. v, y, out (n, k, h, w); out may be v."""
    cdef fl_channels_job *job
    cdef fl_int n, k, size
    cdef cnp.ndarray partial = None, target = total
    plan.check(v, "v", 4)
    n, k, size = cnp.PyArray_DIM(v, 0), cnp.PyArray_DIM(v, 1), cnp.PyArray_DIM(v, 2) * cnp.PyArray_DIM(v, 3)
    for other, name in ((out, "out"), (y, "y")):
        if other is not None:
            check_image(plan, other, name, n, k, cnp.PyArray_DIM(v, 2), cnp.PyArray_DIM(v, 3))
    if total is not None:
        plan.check(total, "total", 1)
        if cnp.PyArray_DIM(total, 0) != k:
            raise ValueError(f"total has shape {(<object>total).shape}; expected ({k},)")
        if update:
            target = plan.empty(k)
        partial = plan.empty(n, k)
    job = <fl_channels_job *>plan.add(FL_KERNEL_channels)
    job.rows, job.n, job.op = n * k, size, op
    plan.point(&job.v, v)
    if y is not None:
        plan.point(&job.y, y)
    if out is not None:
        plan.point(<const void **>&job.out, out)
    if total is not None:
        plan.point(<const void **>&job.total, partial)
    job.per_block = max(ELEMENTS // max(size, 1), 1)
    job.head.n_blocks = blocks(n * k, job.per_block)
    job.head.work = 0.2 * plan.size / 4 * n * k * size
    if total is not None:
        plan.sum(partial, n, k, target)
        if update:
            plan.update(total, target)


def filter2d(Plan plan not None, cnp.ndarray x not None, cnp.ndarray K not None, cnp.ndarray y not None, int mode=FL_CONSTANT,
             double cval=0):
    """y[p, a, b] = sum_ij K[i, j] x[p, a + i - r // 2, b + j - s // 2], beyond the image as `mode` says. x, y (planes, h, w), neither
    0; K (r, s)."""
    cdef _Layout L = _Layout()
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
