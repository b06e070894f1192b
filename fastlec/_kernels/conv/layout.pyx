# cython: freethreading_compatible=True
"""Which pixels each output of a convolution reads, forward and by the data's gradient, and the planes that hold copies of them."""

cimport numpy as cnp

from fastlec._kernels.fl cimport *
from fastlec._kernels.plan cimport Plan, blocks, up
from fastlec._kernels.runner cimport facts

cnp.import_array()

cdef enum:
    MOST_BESIDE = 4         # phases of columns that are stored together, at most


cdef class Layout:
    """Which pixels of the source each output of a convolution reads, and where its weights lie in W. A convolution is a product for
    each group: A, rows of weights, times the pixels that they read.
    """

    cdef int allot(self, fl_int n_phases, fl_int total) except -1:
        self.n_phases, self.total = n_phases, total
        self.phases = new_table(n_phases * sizeof(fl_conv_phase) // sizeof(fl_int))
        self.taps_y, self.taps_x, self.place = new_table(total), new_table(total), new_table(total)
        self.phase = <fl_conv_phase *>entries(self.phases)
        self.ty = entries(self.taps_y)
        self.tx = entries(self.taps_x)
        self.where = entries(self.place)
        return 0

    cdef int extend(self) except -1:
        """How far the taps reach, how many phases of the source they read, and where they begin if that is far apart."""
        cdef fl_int q
        self.far_y = self.far_x = 0
        for q in range(self.total):
            self.far_y, self.far_x = max(self.far_y, self.ty[q]), max(self.far_x, self.tx[q])
        self.ext_rows, self.ext_cols = self.far_y // self.sh, self.far_x // self.sw
        self.phases_y, self.phases_x = min(self.sh, self.far_y + 1), min(self.sw, self.far_x + 1)
        self.rows_from = beginnings(self.ty, self.total) if apart(self.r, 1, self.phases_y, self.ext_rows) else None
        self.cols_from = beginnings(self.tx, self.total) if apart(self.s, 1, self.phases_x, self.ext_cols) else None
        return 0

    cdef void fill_planes(self, fl_conv_planes *P, fl_int tile_rows, fl_int tile_cols) noexcept:
        """The planes for such parts of the grid. Zeros at the right of one row serve as those at the left of the next."""
        cdef fl_int fx, before, behind, shared, rows = 0, cols = 0
        if self.rows_from is not None:
            rows = cnp.PyArray_SIZE(self.rows_from)
        if self.cols_from is not None:
            cols = cnp.PyArray_SIZE(self.cols_from)
        P.h, P.w, P.sh, P.sw, P.top, P.left = self.h, self.w, self.sh, self.sw, self.top, self.left
        P.phases_y, P.phases_x = self.phases_y, self.phases_x
        P.step_y = P.step_x = 1
        P.tile_rows, P.tile_cols = tile_rows, tile_cols
        P.plane_rows, P.width = tile_rows + self.ext_rows, tile_cols + self.ext_cols
        P.from_y = P.from_x = NULL
        if rows and apart(rows, tile_rows, self.phases_y, self.ext_rows):
            P.phases_y, P.plane_rows, P.from_y = rows, tile_rows, entries(self.rows_from)
        if cols and apart(cols, tile_cols, self.phases_x, self.ext_cols):
            P.phases_x, P.width, P.from_x = cols, tile_cols, entries(self.cols_from)
        shared = 0
        if tile_cols == self.grid_cols and P.from_x is NULL:
            shared = self.ext_cols
            for fx in range(self.phases_x):
                before = max(blocks(self.left - fx, self.sw), 0)
                behind = max(P.width - max(blocks(self.w - fx + self.left, self.sw), 0), 0)
                shared = min(shared, min(before, behind))
        P.pitch = P.width - shared
        P.plane = P.plane_rows * P.pitch + P.width - P.pitch

    cdef void one_plane(self, fl_conv_planes *P) noexcept:
        """A single plane with steps instead of one for each phase, for kernels that read pixels one by one."""
        P.sh = P.sw = P.phases_y = P.phases_x = 1
        P.from_y = P.from_x = NULL
        P.step_y, P.step_x = self.sh, self.sw
        P.plane_rows = (P.tile_rows - 1) * self.sh + self.far_y + 1
        P.width = (P.tile_cols - 1) * self.sw + self.far_x + 1
        P.pitch = up(P.width, 16)
        P.plane = P.plane_rows * P.pitch

    cdef int keep_planes(self, Plan plan) except -1:
        """The plan's last job has planes."""
        plan.keep(self.rows_from)
        plan.keep(self.cols_from)
        return 0

    cdef object offsets(self, fl_conv_planes *P, fl_int phase_step):
        """Where each tap reads, from the pixel's place in a channel's first plane on."""
        table = new_table(self.total)
        cdef fl_int *offset = entries(table)
        cdef fl_int q, f
        cdef dict down = {} if P.from_y is NULL else {first: f for f, first in enumerate(self.rows_from.tolist())}
        cdef dict across = {} if P.from_x is NULL else {first: f for f, first in enumerate(self.cols_from.tolist())}
        for q in range(self.total):
            f = (self.ty[q] % P.sh if P.from_y is NULL else <fl_int>down[self.ty[q]]) * P.phases_x
            f += self.tx[q] % P.sw if P.from_x is NULL else <fl_int>across[self.tx[q]]
            offset[q] = f * phase_step
            if P.from_y is NULL:
                offset[q] += self.ty[q] // P.sh * P.pitch
            if P.from_x is NULL:
                offset[q] += self.tx[q] // P.sw
        return table

    cdef fl_int depth(self) noexcept:
        """The products that an element of y sums."""
        return self.channels * self.total // self.n_phases

    cdef double macs(self) noexcept:
        """The products of all outputs."""
        return <double>self.images * self.groups * self.rows * self.channels * self.total * self.grid_rows * self.grid_cols

    cdef bint is_3x3(self) noexcept:
        """Whether the weights are 3 x 3, without stride."""
        return self.r == self.s == 3 and self.sh == self.sw == self.down == self.across == 1


cdef bint apart(fl_int taps, fl_int tile, fl_int phases, fl_int ext) noexcept:
    """Whether taps along an axis lie so far apart that planes for each of them are less than half of those for the phases."""
    return 2.0 * taps * tile < <double>phases * (tile + ext)


cdef cnp.ndarray beginnings(const fl_int *first, fl_int n):
    """The different ones of n numbers, sorted."""
    cdef fl_int q
    cdef list different = sorted({first[q] for q in range(n)})
    cdef cnp.ndarray table = new_table(len(different))
    for q in range(len(different)):
        entries(table)[q] = different[q]
    return table


cdef list phases_with_taps(fl_int taps, fl_int dilation, fl_int before, fl_int stride, fl_int most):
    """(phase, its taps) for each phase < most of a stride that tap i has a pixel of: dilation * i - before is one."""
    cdef dict found = {}
    cdef fl_int i, phase
    for i in range(taps):
        phase = (dilation * i - before) % stride    # C's remainder has the dividend's sign
        phase += stride if phase < 0 else 0
        if phase < most:
            found.setdefault(phase, []).append(i)
    return sorted(found.items())


cdef cnp.ndarray new_table(fl_int n):
    cdef cnp.npy_intp size = n
    return cnp.PyArray_EMPTY(1, &size, cnp.NPY_INTP, 0)


cdef fl_int *entries(object table):
    return <fl_int *>cnp.PyArray_DATA(<cnp.ndarray>table)


cdef fl_int lanes_of(Plan plan) noexcept:
    """Elements in a register."""
    return facts().vector_bytes // <fl_int>plan.size


cdef Layout forward_layout(object g, bint flat=True):
    """y[a, b] = sum W x[sh a + dh i - top, sw b + dw j - left]. flat: the image as one row, if its taps allow that."""
    cdef Layout L = Layout()
    cdef fl_int i, j, q = 0, r = g.r, s = g.s, dh = g.dh, dw = g.dw
    L.g = g
    L.images, L.groups, L.rows, L.channels = g.n, g.groups, g.k // g.groups, g.c // g.groups
    L.h, L.w, L.sh, L.sw, L.top, L.left = g.h, g.w, g.sh, g.sw, g.top, g.left
    L.grid_rows, L.grid_cols, L.oh, L.ow, L.down, L.across = g.oh, g.ow, g.oh, g.ow, 1, 1
    L.r, L.s, L.dh, L.dw = r, s, dh, dw
    L.row_step, L.channel_step, L.order = L.channels * r * s, r * s, FL_PACK_ROWS
    L.allot(1, r * s)
    L.whole, L.beside = True, 1
    L.phase[0].row = L.phase[0].col = L.phase[0].first = 0
    L.phase[0].rows, L.phase[0].cols, L.phase[0].taps = g.oh, g.ow, r * s
    for i in range(r):
        for j in range(s):
            L.ty[q], L.tx[q], L.where[q] = dh * i, dw * j, q
            q += 1
    L.extend()
    if flat and is_pointwise(g):
        flatten(L)
    return L


cdef Layout data_layout(object g):
    """dx[sh a + p, sw b + q] = sum W v[(sh a + p + top - dh i) / sh, ...] over the taps that divide: one phase for each p, q that
    has such taps."""
    cdef Layout L = Layout()
    cdef fl_int i, j, p, q, n = 0, f = 0, low_y = 0, low_x = 0
    cdef list down, across, rows, cols
    cdef fl_int r = g.r, s = g.s, dh = g.dh, dw = g.dw, sh = g.sh, sw = g.sw, top = g.top, left = g.left
    L.g, L.transposed = g, True
    L.images, L.groups, L.rows, L.channels = g.n, g.groups, g.c // g.groups, g.k // g.groups
    L.h, L.w, L.sh, L.sw = g.oh, g.ow, 1, 1
    L.grid_rows, L.grid_cols, L.oh, L.ow, L.down, L.across = blocks(g.h, sh), blocks(g.w, sw), g.h, g.w, sh, sw
    L.r, L.s, L.dh, L.dw = r, s, dh, dw
    L.row_step, L.channel_step = r * s, L.rows * r * s
    down = phases_with_taps(r, dh, top, sh, min(sh, L.oh))
    across = phases_with_taps(s, dw, left, sw, min(sw, L.ow))
    L.whole = len(down) == min(sh, L.oh) and len(across) == min(sw, L.ow)
    L.beside = len(across) if len(across) == min(sw, L.ow) and len(across) <= MOST_BESIDE else 1
    L.allot(len(down) * len(across), r * s)
    for p, rows in down:
        for q, cols in across:
            L.phase[f].row, L.phase[f].col, L.phase[f].first = p, q, n
            L.phase[f].rows, L.phase[f].cols = blocks(L.oh - p, sh), blocks(L.ow - q, sw)
            for i in rows:
                for j in cols:
                    L.ty[n], L.tx[n], L.where[n] = (p + top - dh * i) // sh, (q + left - dw * j) // sw, i * s + j
                    low_y, low_x = (min(low_y, L.ty[n]), min(low_x, L.tx[n])) if n else (L.ty[0], L.tx[0])
                    n += 1
            L.phase[f].taps = n - L.phase[f].first
            f += 1
    L.total = n     # fewer than r s where a stride skips pixels at the border
    L.order = FL_PACK_TAPS if L.n_phases == 1 and n == r * s else FL_PACK_PLACES
    for i in range(n):
        L.ty[i] -= low_y
        L.tx[i] -= low_x
    L.top, L.left = -low_y, -low_x
    L.extend()
    if is_pointwise(g):
        flatten(L)
    return L


cdef bint is_pointwise(object g):
    return g.r == g.s == g.sh == g.sw == 1 and g.top == g.left == 0 and g.oh == g.h and g.ow == g.w


cdef void flatten(Layout L) noexcept:
    """One tap that reads its own pixel: the image is one row."""
    L.w, L.h = L.h * L.w, 1
    L.grid_cols, L.grid_rows = L.grid_rows * L.grid_cols, 1
    L.ow, L.oh = L.oh * L.ow, 1
    L.phase[0].rows, L.phase[0].cols = 1, L.ow
