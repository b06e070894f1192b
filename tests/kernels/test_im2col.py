"""fastlec.im2col and its transpose col2im. im2col copies, so it must be exact; col2im is exact for integers."""

import itertools
import re

import cases
import numpy as np
import pytest
from bounds import Bounds, Near
from numpy.lib.stride_tricks import sliding_window_view
from numpy.testing import assert_array_equal

import fastlec
from fastlec import reference

conv = cases.parametrize("case", cases.CONVOLUTIONS)
TEAM = [  # large enough for a team; few planes and many, rows longer than a block
    (cases.Conv((1, 1, 300, 301), (1, 1, 5, 5), padding=2)),
    (cases.Conv((3, 70, 19, 23), (1, 70, 3, 3), padding=1, stride=(1, 2))),
    (cases.Conv((1, 2, 3, 40000), (1, 2, 2, 3), dilation=(1, 7))),
]
# More than 24 MiB of columns even in float32, which are written past the caches: rows that are no multiple of 64 bytes.
LARGE = [
    cases.Conv((1, 5, 201, 203), (1, 5, 6, 6)),
    cases.Conv((1, 3, 11, 90001), (1, 3, 3, 2), stride=(2, 1)),
    cases.Conv((2, 60, 57, 60), (1, 60, 5, 4), padding="same"),
]


def integers(rng, shape, dtype):
    return rng.integers(-9, 10, shape).astype(dtype)


def columns_of(x, case):
    return fastlec.im2col(x, case.W[2:], **case.windows)


def images_of(columns, case):
    return fastlec.col2im(columns, case.x, case.W[2:], **case.windows)


@conv
def test_columns_and_back(case, isa, dtype, rng, frozen, tolerance):
    """Exact; col2im of numbers that round near the sum in float64; the two are transposes of each other."""
    x = frozen(integers(rng, case.x, dtype))
    columns = columns_of(x, case)
    assert columns.dtype == dtype
    assert columns.flags.c_contiguous
    assert_array_equal(columns, reference.im2col(x, case.W[2:], **case.windows))
    u, w = frozen(integers(rng, columns.shape, dtype), rng.standard_normal(columns.shape).astype(dtype))
    back = images_of(u, case)
    assert back.dtype == dtype
    assert_array_equal(back, reference.col2im(u, case.x, case.W[2:], **case.windows))
    assert np.sum(u.astype(float) * columns) == np.sum(back.astype(float) * x)
    sums, sizes = (reference.col2im(a, case.x, case.W[2:], **case.windows) for a in (w, np.abs(w)))
    bounds = Bounds(tolerance, dtype)
    Near(sums, min(bounds.sum, case.W[2] * case.W[3] * bounds.eps) * sizes).check(images_of(w, case))


@pytest.mark.parametrize("case", cases.CONV_EDGES[::5], ids=str)
def test_nothing_is_written_beside_out(case, isa, dtype, rng):
    x = integers(rng, case.x, dtype)
    expected = reference.im2col(x, case.W[2:], **case.windows).astype(dtype)
    memory = np.full(expected.size + 128, 7, dtype)
    for begin in (32, 33):
        out = memory[begin:][: expected.size].reshape(expected.shape)
        assert fastlec.im2col(x, case.W[2:], **case.windows, out=out) is out
        assert_array_equal(out, expected)
        assert (memory[:begin] == 7).all()
        assert (memory[begin + expected.size :] == 7).all()
        memory[:] = 7
    memory = np.full(x.size + 128, 7, dtype)
    out = memory[33:][: x.size].reshape(x.shape)
    assert fastlec.col2im(expected, x.shape, case.W[2:], **case.windows, out=out) is out
    assert_array_equal(out, reference.col2im(expected, case.x, case.W[2:], **case.windows))
    assert (memory[:33] == 7).all()
    assert (memory[33 + x.size :] == 7).all()


@cases.parametrize("case", TEAM)
def test_teams_agree_bit_by_bit(case, isa, dtype, rng, alone):
    """On numbers that round."""
    x = rng.standard_normal(case.x).astype(dtype)
    columns = columns_of(x, case)
    assert_array_equal(columns, reference.im2col(x, case.W[2:], **case.windows))
    u = rng.standard_normal(columns.shape).astype(dtype)
    back = images_of(u, case)
    with alone():
        assert_array_equal(columns_of(x, case), columns)
        assert_array_equal(images_of(u, case), back)


@cases.parametrize("case", LARGE)
def test_columns_too_large_for_the_caches(case, isa, dtype, rng):
    x = rng.standard_normal(case.x).astype(dtype)
    g = fastlec._geometry.geometry(case.x, case.W, **case.options)
    padded = np.pad(x, ((0, 0), (0, 0), (g.top, g.bottom), (g.left, g.right)))
    windows = sliding_window_view(padded, case.W[2:], (2, 3))[:, :, :: g.sh, :: g.sw].transpose(0, 1, 4, 5, 2, 3)
    columns = columns_of(x, case)
    assert columns.nbytes >= 24 << 20
    assert_array_equal(columns.reshape(windows.shape), windows)


@cases.layouts
def test_any_layout(layout, isa, dtype, rng):
    for case in cases.CONV_EDGES[5:40:9]:
        x = integers(rng, case.x, dtype)
        columns = columns_of(x, case)
        given = layout(x)
        found = columns_of(given, case)
        assert type(found) is np.ndarray
        assert_array_equal(found, columns, strict=True)
        assert_array_equal(given, x)
        given = layout(columns)
        assert_array_equal(images_of(given, case), images_of(columns, case), strict=True)
        assert_array_equal(given, columns)


@cases.writeable_layouts
def test_out_of_any_layout(layout, isa, dtype, rng):
    for case in cases.CONV_EDGES[5:40:9]:
        x = integers(rng, case.x, dtype)
        columns = columns_of(x, case)
        out = layout(np.full(columns.shape, np.nan, dtype))
        assert fastlec.im2col(x, case.W[2:], **case.windows, out=out) is out
        assert_array_equal(out, columns)
        back = images_of(columns, case)
        out = layout(np.full(x.shape, np.nan, dtype))
        assert fastlec.col2im(columns, x.shape, case.W[2:], **case.windows, out=out) is out
        assert_array_equal(out, back)


def test_out_may_be_or_overlap_the_input(isa, dtype, rng):
    """With windows of one pixel, the columns have x's size."""
    x = integers(rng, (2, 3, 4, 5), dtype)
    expected = x.reshape(2, 3, 20)
    for shift in (0, 1, 7, 60):
        memory = np.zeros(400, dtype)
        given, out = memory[60:180].reshape(x.shape), memory[60 + shift : 180 + shift].reshape(expected.shape)
        given[...] = x
        assert fastlec.im2col(given, 1, out=out) is out
        assert_array_equal(out, expected)
        given, out = memory[60:180].reshape(expected.shape), memory[60 + shift : 180 + shift].reshape(x.shape)
        given[...] = expected
        assert fastlec.col2im(given, x.shape, 1, out=out) is out
        assert_array_equal(out, x)
    x = integers(rng, (1, 1, 9, 9), dtype)
    expected = reference.im2col(x, 3)
    memory = np.zeros(81 * 8, dtype)
    memory[200:281] = x.ravel()
    assert_array_equal(fastlec.im2col(memory[200:281].reshape(x.shape), 3, out=memory[: 9 * 49].reshape(1, 9, 49)), expected)


def test_values_are_copied_bit_by_bit(isa, dtype):
    """NaN with what it carries, infinity, -0, subnormals; each lands in its windows alone. col2im adds them as they are."""
    special = np.array([np.nan, np.inf, -np.inf, -0.0, np.finfo(dtype).smallest_subnormal], dtype)
    x = np.zeros((1, 1, 5, 6), dtype)
    x[0, 0, :, 2] = special
    x.view(f"u{dtype.itemsize}")[0, 0, 0, 2] += 5
    columns = fastlec.im2col(x, 1, padding=1).reshape(7, 8)
    assert columns[1:6, 1:7].tobytes() == x.tobytes()
    assert (columns[1:6, 3].view(f"u{dtype.itemsize}") == x[0, 0, :, 2].view(f"u{dtype.itemsize}")).all()
    back = fastlec.col2im(fastlec.im2col(x, (1, 2)), x.shape, (1, 2))
    assert_array_equal(back[0, 0, :, 2], 2 * special)
    assert_array_equal(np.delete(back[0, 0], 2, 1), 0)


def test_no_images(dtype):
    columns = fastlec.im2col(np.zeros((0, 2, 5, 6), dtype), 3)
    assert_array_equal(columns, np.zeros((0, 18, 12), dtype), strict=True)
    assert_array_equal(fastlec.col2im(columns, (0, 2, 5, 6), 3), np.zeros((0, 2, 5, 6), dtype), strict=True)


def test_results_are_fresh(isa, dtype, rng):
    x = integers(rng, (2, 3, 40, 41), dtype)
    columns = fastlec.im2col(x, 3)
    copy, back = columns.copy(), fastlec.col2im(columns, x.shape, 3)
    kept = back.copy()
    fastlec.im2col(x + 1, 3)
    fastlec.col2im(columns + 1, x.shape, 3)
    assert_array_equal(columns, copy)
    assert_array_equal(back, kept)


@pytest.mark.parametrize("kind", [np.int8, np.uint16, np.int64, np.bool_, np.float16, list])
def test_other_dtypes(kind, rng):
    x = rng.integers(0, 2, (1, 2, 5, 6))
    given = x.tolist() if kind is list else x.astype(kind)
    dtype = np.float32 if kind is np.float16 else np.float64
    columns = fastlec.im2col(given, 3)
    assert_array_equal(columns, reference.im2col(x, 3).astype(dtype), strict=True)
    given = columns.tolist() if kind is list else columns.astype(kind)
    assert_array_equal(fastlec.col2im(given, x.shape, 3), reference.col2im(columns, x.shape, 3).astype(dtype), strict=True)


X, COLUMNS = np.ones((2, 3, 5, 6)), np.ones((2, 27, 12))
REFUSED = {
    "three axes": (fastlec.im2col, (X[0], 3), {}, ValueError, "x has shape (3, 5, 6); expected (n, c, h, w)"),
    "complex": (fastlec.im2col, (X + 0j, 3), {}, TypeError, "x has dtype complex128; expected"),
    "ragged": (fastlec.im2col, ([[[[1.0], [2.0, 3.0]]]], 1), {}, ValueError, "x is no rectangular array"),
    "kernel": (fastlec.im2col, (X, (3, 7)), {}, ValueError, "kernel_size is (3, 7); expected at most the padded image's 5 x 6"),
    "stride": (fastlec.im2col, (X, 3), {"stride": 0}, ValueError, "stride is 0; expected at least 1"),
    "padding": (fastlec.im2col, (X, 3), {"padding": "SAME"}, ValueError, "padding is 'SAME'; expected"),
    "out's shape": (fastlec.im2col, (X, 3), {"out": X}, ValueError, "out has shape (2, 3, 5, 6); expected (2, 27, 12)"),
    "out's dtype": (
        fastlec.im2col,
        (X, 3),
        {"out": COLUMNS.astype("f4")},
        TypeError,
        "out has dtype float32; expected float64",
    ),
    "out is a list": (fastlec.im2col, (X, 3), {"out": []}, TypeError, "out is a list; expected an ndarray"),
    "out is read-only": (
        fastlec.col2im,
        (COLUMNS, X.shape, 3),
        {"out": np.broadcast_to(0.0, X.shape)},
        ValueError,
        "out is read-only; expected a writeable array",
    ),
    "columns": (fastlec.col2im, (COLUMNS[0], X.shape, 3), {}, ValueError, "columns has shape (27, 12); expected (2, 27, 12)"),
    "columns and shape": (
        fastlec.col2im,
        (COLUMNS, (2, 3, 6, 6), 3),
        {},
        ValueError,
        "columns has shape (2, 27, 12); expected (2, 27, 16)",
    ),
    "object": (fastlec.col2im, (COLUMNS.astype(object), X.shape, 3), {}, TypeError, "columns has dtype object; expected"),
    "no shape": (fastlec.col2im, (COLUMNS, 5, 3), {}, TypeError, "shape is 5; expected (n, c, h, w)"),
    "shape of three": (
        fastlec.col2im,
        (COLUMNS, (3, 5, 6), 3),
        {},
        ValueError,
        "shape has shape (3, 5, 6); expected (n, c, h, w)",
    ),
    "shape of floats": (fastlec.col2im, (COLUMNS, (2, 3, 5.0, 6), 3), {}, TypeError, "shape[2] is 5.0; expected an integer"),
    "negative shape": (fastlec.col2im, (COLUMNS, (-2, 3, 5, 6), 3), {}, ValueError, "shape[0] is -2; expected at least 0"),
}


@pytest.mark.parametrize(("function", "arguments", "options", "error", "match"), REFUSED.values(), ids=REFUSED)
def test_bad_arguments(function, arguments, options, error, match):
    with pytest.raises(error, match=f"^{re.escape(match)}"):
        function(*arguments, **options)


def test_sizes_that_cannot_be_had(dtype):
    """Also where the number of bytes is small modulo 2^64."""
    for n, size in itertools.product((1, 2**10, 2**20), (2**12, 2**13)):
        x = np.broadcast_to(np.zeros((), dtype), (n, 1, 2**13, 2**13))
        with pytest.raises(MemoryError, match=r"^columns of shape"):
            fastlec.im2col(x, size, padding=size // 2)
    with pytest.raises(MemoryError):
        fastlec.col2im(np.zeros((1, 1, 1), dtype), (1, 1, 2**24, 2**24), 1, stride=2**24)


def test_strides_and_dilations_beyond_the_image(dtype):
    x = np.arange(1, 19, dtype=dtype).reshape(1, 2, 3, 3)
    for options, taps, pixels in (
        ({"stride": 2**40}, range(4), x[0, :, :2, :2].ravel()),
        ({"dilation": 2**20, "padding": ((0, 2**20), (0, 2**20))}, [0], x[0].reshape(2, 1, 9)),
    ):
        columns = fastlec.im2col(x, 2, **options).reshape(2, 4, -1)
        assert_array_equal(columns[:, taps].ravel(), pixels.ravel())
        assert np.count_nonzero(columns) == pixels.size
        back = fastlec.col2im(columns.reshape(1, 8, -1), x.shape, 2, **options)
        assert_array_equal(back[back != 0], pixels.ravel())


def test_columns_that_memory_cannot_hold(dtype):
    x = np.broadcast_to(np.zeros((), dtype), (1, 1, 2**12, 2**12))
    with pytest.raises(
        MemoryError, match=r"^columns of shape \(1, 16777216, 4198401\) would take more memory than this machine has"
    ):
        fastlec.im2col(x, 2**12, padding=2**10)
