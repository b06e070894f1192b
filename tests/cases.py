"""THE table of cases: shapes and axes at the edges of what the kernels do, and the memory layouts that arrays come in.

The edges: 2 and 4 elements to 16 bytes, 2 to 16 to a register, four registers together, rows of 40 (the longest that are
transposed), sums in runs of 8 and 16 registers, strips of 64 samples, blocks of 256 samples or 16384 elements.
"""

import tempfile
from dataclasses import dataclass, replace

import numpy as np
import pytest

import fastlec
from fastlec._geometry import geometry

ALONG_AXIS = (fastlec.softmax, fastlec.log_softmax, fastlec.logsumexp)
MAPS = (
    fastlec.tanh,
    fastlec.sigmoid,
    fastlec.relu,
    fastlec.tanh_derivative,
    fastlec.sigmoid_derivative,
    fastlec.relu_derivative,
)

LANES = (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17)
RUNS = (31, 32, 33, 63, 64, 65)
SHORT_ROW = (39, 40, 41)


@dataclass(frozen=True)
class Case:
    """Something reduced along an axis of an array of this shape."""

    shape: tuple
    axis: int | tuple | None = -1

    def __str__(self):
        return "x".join(map(str, self.shape)) + f"@{self.axis}".replace(" ", "")


def rows(*lengths, m):
    return [Case((m, n)) for n in lengths]


def columns(*lengths, inner, outer=1):
    return [Case((outer, n, inner), 1) for n in lengths]


REDUCTIONS = [
    *rows(*LANES, 31, 32, *SHORT_ROW, *RUNS, 127, 128, m=19),
    *rows(255, 256, 257, 511, 512, 513, 1023, 1024, 1025, 2049, 5000, m=3),
    *(Case((m, n)) for m in (1, 15, 16, 17, 39, 40, 41, 63, 64, 65, 66, 257) for n in (3, 10, 40, 41)),
    *columns(*RUNS, 1, 2, 10, 100, inner=21),
    *(Case((2, 10, inner), 1) for inner in (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 66, 127, 129, 257, 1025)),
    *(Case((7,), axis) for axis in (0, -1)),
    *(Case((5, 6), axis) for axis in (0, 1, -1, -2)),
    *(Case((3, 1, 4), axis) for axis in (0, 1, 2, -3)),
    *(Case((2, 3, 5, 4), axis) for axis in (0, 1, 2, 3)),
]
TUPLES = [
    Case((4, 6), None),
    Case((4, 6), (0, 1)),
    Case((4, 6), (1, 0)),
    Case((4, 6), (-1,)),
    Case((2, 3, 5, 4), (0, 2)),
    Case((2, 3, 5, 4), (3, 1)),
    Case((2, 3, 5, 4), (-1, -2, 0)),
    Case((2, 3, 5, 4), None),
    Case((9,), None),
    Case((), None),
    Case((3, 4), ()),
]
EMPTY = [Case((0, 5)), Case((0, 5), 1), Case((3, 0), 0), Case((2, 0, 4), 0), Case((0, 0, 3), 2), Case((2, 3, 0), (0, 1))]
NOTHING_TO_REDUCE = [Case((5, 0)), Case((0, 5), 0), Case((0,)), Case((2, 0, 4), 1), Case((2, 0, 3), (1, 2)), Case((0,), None)]
# Large enough for a team, in more than one block.
TEAM = [Case((5000, 10)), Case((400, 1000)), Case((37, 11000)), Case((300, 2050), 0), Case((3, 50, 1111), 1), Case((70000, 3))]

SIZES = (0, *LANES, *SHORT_ROW, *RUNS, 66, 127, 255, 256, 257, 1000, 16383, 16384, 16385)
SHAPES = [(), (0,), (3, 0, 2), (5,), (4, 7), (2, 3, 5), (2, 1, 3, 4)]

CROSS_ENTROPY = [  # (samples, classes)
    *((m, n) for m in (1, 3, 16, 17, 63, 64, 65, 66, 257) for n in (2, 10)),
    *((19, n) for n in (1, *LANES[2:], *RUNS, *SHORT_ROW, 127, 128, 255, 257, 1000, 1025, 3000)),
    *((m, n) for m in (1, 300) for n in (40, 41)),
]
CROSS_ENTROPY_TEAM = [(6000, 10), (500, 1000), (25, 20000)]

LINEAR = [  # (samples, features, classes)
    *((m, 5, 3) for m in (1, 2, 3, 4, 5, 15, 16, 17, 63, 64, 65, 66, 127, 128, 129, 300, 1000)),
    *((37, n, 4) for n in (*LANES, 31, 32, 33, 34, 47, 48, 63, 64, 65, 130)),
    *((70, 19, k) for k in (2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 16, 21, 25, 40, 50)),
    (40, 3500, 3),
    (3, 1, 2),
]
LINEAR_TEAM = [(3000, 50, 10), (700, 784, 3)]

# Matrix products (m, k) by (k, n). The edges: tiles of 6 or 12 rows (their rest in 10, 8, 4, 2, 1) by 4 to 32 columns, depth in
# strips of 192 or 384 and, for up to 12 rows, of fewer; rows are packed from 512 bytes of columns on, blocks are 2048 bytes wide;
# from a depth of 64 on columns that lie in memory are read in place, if there are up to 16 of them or up to 32 rows, 4 rows and 2
# or 5 columns at a time; depths of 4096 and more are split into parts of 1024 where C has few blocks. Rows a multiple of 2048 bytes
# long and columns a multiple of 1024 are copied together first.
STRIPS = (191, 192, 193, 383, 384, 385)
PRODUCTS = [  # (m, n, k)
    *((m, 33, 17) for m in (*range(1, 14), 22, 23, 24, 25, 34, 35, 36, 37, 97)),
    *((13, n, 17) for n in (*LANES, *RUNS, 66, 127, 128, 129, 130, 257)),
    *((13, 34, k) for k in (0, *LANES, *RUNS, *STRIPS, 769)),
    *((3, 19, k) for k in STRIPS),
    *((m, 17, k) for m in (1, 3, 4, 5, 31, 32, 33) for k in (63, 64, 65)),
    *((35, n, k) for n in (*range(1, 12), 15, 16) for k in (64, 71)),
    *((25, n, 20) for n in (511, 512, 513, 1023, 1024, 1025)),
    *((12, n, 300) for n in (512, 1025)),
    *((70, 2, k) for k in (300, 1000)),
    *((m, n, k) for m, n in ((2, 3), (14, 18)) for k in (4095, 4096, 4097, 5119, 9000)),
    (3, 2, 66000),
    (300, 40, 385),
    *((m, n, 20) for m in (47, 48, 50) for n in (512, 1024)),
    *((m, 130, k) for m in (128, 256) for k in (192, 193, 384, 400)),
    (150, 512, 300),
    (1, 1, 1),
    (1, 300, 1),
    (300, 1, 1),
]
PRODUCTS_TEAM = [(300, 200, 400), (3000, 10, 784), (20, 15, 20000), (12, 1500, 700), (32, 1200, 500)]

DENSE = [  # (samples, features, outputs)
    *((m, 5, 3) for m in (0, 1, 2, 3, 5, 12, 13, 25, 64, 65, 130)),
    *((7, n, 4) for n in (1, 2, 8, 16, 17, 33, 63, 64, 65, 200, 385)),
    *((7, 19, k) for k in (1, 2, 3, 8, 15, 16, 17, 33, 65, 129)),
    (1, 1, 1),
    (34, 70, 17),
    (33, 70, 16),
]
DENSE_TEAM = [(300, 200, 150), (5000, 20, 30), (9000, 3, 2)]

# Images to normalise. The edges: registers of pixels, four of them together, pieces of planes of 2048 pixels, 8 channels at a time,
# blocks of 16384 pixels.
BATCH_NORM = [  # (samples, channels, height, width)
    *((3, 2, 1, w) for w in (*LANES, *RUNS, 127, 129)),
    *((2, 3, h, w) for h, w in ((2047, 1), (32, 64), (2049, 1), (64, 65), (50, 123))),
    *((4, c, 3, 5) for c in (1, 7, 8, 9, 17)),
    *((n, 3, 4, 6) for n in (1, 2, 100)),
    (700, 2, 1, 1),
    (40, 9, 7, 7),
]
# Samples without pixels. The edges: rows added four at a time, pieces of 16 to 128 rows, strips of 512 features.
BATCH_NORM_DENSE = [  # (samples, features)
    *((3, n) for n in (*LANES, *RUNS)),
    *((m, 6) for m in (2, 4, 5, 8, 9, 127, 128, 129, 300)),
    *((18, n) for n in (511, 512, 513, 2100)),
    (60, 1999),
]
LAYER_NORM = [  # (samples, features). The edges: registers, groups of 4 rows, blocks of 8 to 128 rows, pieces of 2048 features.
    *((3, n) for n in (*LANES, *RUNS)),
    *((m, 6) for m in (1, 2, 4, 5, 127, 128, 129, 300)),
    *((2, n) for n in (2047, 2048, 2049, 5000)),
    (30, 1999),
]
LAYER_NORM_TEAM = [(5000, 20), (700, 300), (9, 20000)]
BATCH_NORM_TEAM = [(6, 20, 50, 70), (64, 33, 7, 7), (1, 3, 300, 200), (5000, 20), (300, 700), (40, 20000)]


@dataclass(frozen=True)
class Conv:
    """A convolution of x (n, c, h, w) with W (k, c / groups, r, s)."""

    x: tuple
    W: tuple
    stride: object = 1
    padding: object = 0
    dilation: object = 1
    groups: int = 1

    @property
    def options(self):
        return {name: getattr(self, name) for name in ("stride", "padding", "dilation", "groups")}

    @property
    def windows(self):
        """The options that im2col has too."""
        return {name: getattr(self, name) for name in ("stride", "padding", "dilation")}

    def small(self):
        """The same windows; fewer images, channels, filters and groups where a loop over all products would take long."""
        (n, _, h, w), (k, per_group, r, s) = self.x, self.W
        if np.prod(geometry(self.x, self.W, **self.options).y_shape) * per_group * r * s <= 50_000:
            return self
        few = min(self.groups, 3)
        W = few * min(k // self.groups, 2), min(per_group, 2), r, s
        return replace(self, x=(min(n, 2), few * W[1], h, w), W=W, groups=few)

    def __str__(self):
        options = {"s": self.stride, "p": self.padding, "d": self.dilation, "g": self.groups}
        words = [f"{name}{value}" for name, value in options.items() if value != {"p": 0}.get(name, 1)]
        return " ".join(["x".join(map(str, self.x)), "x".join(map(str, self.W)), *words]).replace(", ", ",")


def random_convolution(rng):
    """Any geometry that there is, small: odd sizes, paddings that differ from side to side and are larger than the kernel, strides
    beyond it, groups, depthwise."""
    groups, per_group, per_filter = rng.choice([1, 1, 1, 2, 3]), *rng.integers(1, 6, 2)
    if rng.random() < 0.2:
        groups, per_group = rng.integers(2, 9), 1
    size, stride, dilation = rng.integers(1, 6, 2), rng.integers(1, 5, 2), rng.choice([1, 1, 1, 2, 3], 2)
    padding = rng.integers(0, 4, (2, 2)) * rng.integers(0, 2)
    extent = dilation * (size - 1) + 1
    h, w = np.maximum(extent - padding.sum(axis=1), 1) + rng.integers(0, 20, 2)
    x = (int(rng.integers(1, 4)), int(groups * per_group), int(h), int(w))
    W = (int(groups * per_filter), int(per_group), *map(int, size))
    padding = tuple(map(tuple, padding.tolist())) if padding.any() else "same" if rng.random() < 0.3 else 0
    return Conv(x, W, tuple(stride.tolist()), padding, tuple(dilation.tolist()), int(groups))


# The edges: images of one pixel, kernels as large as the padded image, padding that holds whole windows, rows shorter and longer
# than registers, blocks and strips, strides that skip pixels, odd channels, groups, depthwise; channels that fill registers, with
# runs of up to 6 or 14 pixels, one or two rows of them, and strips of 112; weights whose transforms are more than 1 MB; strides and
# dilations beyond the kernel and beyond the image.
CONV_EDGES = [
    Conv((1, 1, 1, 1), (1, 1, 1, 1)),
    Conv((1, 1, 1, 1), (1, 1, 3, 3), padding=1),
    Conv((2, 3, 1, 1), (2, 3, 1, 1), padding=2),
    Conv((1, 2, 1, 1), (3, 2, 2, 3), padding=5, stride=4),
    Conv((2, 2, 3, 4), (3, 2, 3, 4)),
    Conv((2, 2, 3, 4), (3, 2, 5, 6), padding=1),
    Conv((1, 2, 5, 5), (2, 2, 3, 3), padding=((0, 7), (6, 0)), stride=(2, 3)),
    Conv((1, 2, 5, 5), (2, 2, 3, 3), padding=((3, 0), (0, 4)), dilation=(2, 1)),
    Conv((1, 1, 7, 1), (1, 1, 3, 1)),
    Conv((1, 1, 1, 40), (2, 1, 1, 7), padding=(0, 3)),
    Conv((3, 2, 9, 9), (4, 2, 3, 3), stride=4),
    Conv((2, 3, 10, 11), (4, 3, 2, 2), stride=5, padding="same"),
    Conv((2, 3, 10, 11), (4, 3, 4, 4), padding="same"),
    Conv((1, 2, 9, 12), (2, 2, 3, 3), padding="same", dilation=3, stride=2),
    *(Conv((2, 3, 6, w), (5, 3, 3, 3), padding=1) for w in (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 130)),
    *(Conv((1, 2, h, 9), (3, 2, 3, 3)) for h in (3, 4, 5, 8, 13, 40, 70)),
    *(Conv((2, c, 7, 6), (3, c, 3, 3), padding=1) for c in (1, 2, 4, 7, 8, 15, 16, 17, 33)),
    *(Conv((2, 3, 7, 6), (k, 3, 3, 3), padding=1) for k in (1, 2, 4, 5, 6, 7, 8, 11, 12, 13, 15, 16, 17, 24, 33)),
    *(
        Conv((2, 3, 8, 7), (4, 3, r, s), padding=3)
        for r, s in ((1, 1), (1, 2), (2, 1), (2, 2), (5, 5), (7, 7), (1, 7), (11, 3))
    ),
    *(Conv((2, 3, 13, 14), (4, 3, 3, 3), stride=s, padding=1) for s in (2, 3, (1, 2), (2, 1))),
    *(Conv((2, 3, 17, 20), (4, 3, 3, 3), dilation=d, padding=p) for d in (2, (1, 3), 4) for p in (0, "same")),
    *(Conv((2, 5, 9, 10), (6, 5, 1, 1), stride=s, padding=p) for s, p in ((1, 0), (2, 0), (1, 1), ((3, 2), 1))),
    *(
        Conv((2, g * c, 8, 9), (g * k, c, 3, 3), padding=1, groups=g)
        for g, c, k in ((2, 2, 3), (3, 1, 2), (4, 4, 4), (2, 9, 17))
    ),
    *(Conv((2, c, 9, w), (c, 1, 3, 3), padding=1, groups=c) for c in (2, 3, 8, 17) for w in (5, 16, 35)),
    *(Conv((2, 6, 11, 12), (12, 1, 5, 5), stride=s, padding=2, groups=6) for s in (1, 2, 3)),
    Conv((2, 8, 14, 15), (12, 2, 3, 3), stride=2, padding=1, groups=4),
    Conv((1, 6, 30, 20), (6, 1, 3, 3), dilation=(2, 3), groups=6),
    *(Conv((2, 16, 5, w), (32, 16, 3, 3), padding=1) for w in (1, 2, 3, 5, 6, 7, 8, 13, 14, 15, 29)),
    Conv((1, 32, 3, 230), (48, 32, 3, 3), padding=(0, 1)),
    Conv((3, 8, 13, 10), (16, 8, 5, 5)),
    *(Conv((2, 64, h, 10), (48, 64, 1, 1)) for h in (1, 9, 30)),
    *(Conv((2, 32, 13, 14), (32, 16, 3, 3), stride=s, padding=1, groups=2) for s in (1, 2, 3, (1, 2))),
    Conv((2, 16, 17, 20), (24, 16, 3, 3), dilation=2),
    *(
        Conv((2, 32, 17, w), (17, 32, 3, 3), dilation=d, padding="same")
        for d, w in ((2, 19), (2, 70), ((1, 2), 36), ((3, 5), 31), (20, 9))
    ),
    Conv((1, 90, 24, 13), (91, 90, 3, 3), dilation=(2, 3), padding=((2, 5), (0, 7))),
    Conv((3, 90, 9, 13), (91, 90, 3, 3), padding=((2, 0), (0, 1))),
    *(Conv((n, 90, 7, w), (k, 90, 3, 3), padding=1) for n, w, k in ((1, 5, 91), (2, 8, 97), (1, 4, 128))),
    Conv((1, 2 * 96, 6, 5), (2 * 80, 96, 3, 3), padding=1, groups=2),
    *(Conv((n, 3, 7, 9), (5, 3, 3, 3), padding=1) for n in (4, 7, 8, 9, 15, 16, 17, 33)),
    *(Conv((17, 3, 5, w), (k, 3, 3, 3), padding=1) for w, k in ((1, 1), (2, 4), (5, 6), (15, 8), (18, 11))),
    *(Conv((33, 4, 1, 1), (6, 4, r, r), padding=p) for r, p in ((1, 0), (3, 1), (3, 4))),
    *(Conv((16, 2, 5, 4), (3, 2, 3, 3), padding=p) for p in (((6, 0), (0, 7)), ((0, 5), (9, 0)), (3, 0))),
    *(Conv((24, 6, 8, 9), (9, 2, 3, 3), dilation=d, padding="same", groups=3) for d in (1, (2, 3))),
    *(
        Conv((1, 16, 21, w), (k, 16, r, 3), stride=s, padding=p)
        for w, k, r, s, p in (
            (70, 48, 3, 2, 1),
            (61, 32, 2, 2, 0),
            (33, 17, 3, (1, 3), 2),
            (30, 32, 4, (2, 1), 0),
            (27, 16, 1, 5, 1),
        )
    ),
    *(Conv((2, 24, 15, 32), (32, 24, 1, 1), stride=s, padding=p) for s, p in ((2, 0), (2, 1), ((3, 1), 0))),
    Conv((16, 12, 16, 16), (20, 12, 3, 3), padding=1),
    Conv((8, 40, 20, 21), (23, 40, 3, 3), padding=1),
    Conv((2, 3, 40, 37), (4, 3, 3, 3), stride=17),
    Conv((1, 2, 9, 40), (17, 2, 3, 3), stride=(1, 19), padding=1),
    Conv((2, 3, 12, 11), (4, 3, 3, 2), dilation=(40, 29), padding=((40, 41), (15, 15))),
    Conv((2, 17, 9, 9), (16, 17, 3, 3), dilation=(31, 1), padding=(30, 1), stride=(7, 2)),
    Conv((1, 4, 23, 50), (8, 2, 2, 2), dilation=(9, 30), padding="same", stride=(20, 16), groups=2),
    Conv((1, 24, 40, 17), (24, 24, 3, 3), padding=((2, 0), (0, 0)), stride=2),
]
CONVOLUTIONS = [*CONV_EDGES, *(random_convolution(np.random.default_rng(seed)) for seed in range(60))]


def parametrize(name, values):
    """A parameter that runs through a part of the table, with readable ids."""

    def label(value):
        return "x".join(map(str, value)) or "scalar" if isinstance(value, tuple) else str(value)

    return pytest.mark.parametrize(name, values, ids=label)


def strided(a):
    """Every second element along each axis of something larger."""
    return _placed(a, [2 * n + 1 for n in a.shape], [slice(1, 2 * n + 1, 2) for n in a.shape])


def gapped(a):
    """Rows apart, each of them contiguous."""
    shape = a.shape[:-1] + tuple(n + 3 for n in a.shape[-1:])
    return _placed(a, shape, [slice(None)] * max(a.ndim - 1, 0) + [slice(1, n + 1) for n in a.shape[-1:]])


def reversed_(a):
    """Negative strides."""
    flip = (slice(None, None, -1),) * a.ndim
    return np.array(a[flip], order="C")[(*flip, ...)]


def fortran(a):
    return np.array(a, order="F")


def swapped(a):
    """The other byte order."""
    return a.astype(a.dtype.newbyteorder("S"))


def misaligned(a):
    """One byte off."""
    memory = np.zeros(a.nbytes + 1, np.uint8)[1:]
    copy = memory.view(a.dtype).reshape(a.shape)
    copy[...] = a
    return copy


def unaligned(a):
    """One element beyond 64 bytes: aligned for its dtype, for no register."""
    memory = np.zeros(a.nbytes + 128, np.uint8)
    memory = memory[(-memory.ctypes.data) % 64 + a.itemsize :][: a.nbytes]
    copy = memory.view(a.dtype).reshape(a.shape)
    copy[...] = a
    return copy


def mapped(a):
    """A file, mapped read-only."""
    with tempfile.TemporaryFile() as file:
        file.write(b"header.." + a.tobytes())
        file.flush()
        return np.memmap(file, a.dtype, "r", 8, a.shape)


def _placed(a, shape, where):
    larger = np.full(shape, 99, a.dtype)
    view = larger[(*where, ...)]
    view[...] = a
    return view


LAYOUTS = {
    "strided": strided,
    "gapped": gapped,
    "reversed": reversed_,
    "fortran": fortran,
    "swapped": swapped,
    "misaligned": misaligned,
    "unaligned": unaligned,
    "mapped": mapped,
    "subclass": lambda a: a.copy().view(_Subclass),
    "swapped fortran": lambda a: swapped(fortran(a)),
}
_WRITEABLE = ("strided", "gapped", "reversed", "fortran", "unaligned", "subclass", "misaligned")
WRITEABLE = {name: LAYOUTS[name] for name in _WRITEABLE}


class _Subclass(np.ndarray):
    pass


layouts = pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
writeable_layouts = pytest.mark.parametrize("layout", WRITEABLE.values(), ids=WRITEABLE)
