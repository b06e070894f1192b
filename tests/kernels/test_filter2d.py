"""filter2d against scipy.ndimage.convolve: every mode, sizes of image and kernel, layouts, dtypes, in place, for every team."""

import itertools
import re

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy import ndimage

import fastlec
from fastlec import filter2d, filters

mode = pytest.mark.parametrize("mode", filters.MODES)
IMAGES = [(1, 1), (1, 7), (6, 1), (2, 3), (9, 13), (33, 40), (6, 150), (2, 4200)]
SIZES = [(1, 1), (1, 2), (2, 1), (3, 3), (2, 5), (4, 4), (5, 1), (1, 9), (5, 5), (7, 6), (9, 2), (11, 11), (14, 31), (90, 3)]
CVAL = 1.5


def convolve(x, kernel, mode="reflect", cval=0.0):
    """scipy.ndimage.convolve in float64.

    Its "reflect" reads beside the array where a border is wider than two images (SciPy 1.17): that is "wrap" of image and mirror.
    """
    h, w = x.shape
    if mode == "reflect" and (kernel.shape[0] > 4 * h or kernel.shape[1] > 4 * w):
        x, mode = np.block([[x, x[:, ::-1]], [x[::-1], x[::-1, ::-1]]]), "wrap"
    return ndimage.convolve(x.astype(np.float64), kernel.astype(np.float64), mode=mode, cval=cval)[:h, :w]


def check(y, x, kernel, tolerance, mode="reflect", cval=0.0):
    """y is as near to SciPy's convolution as a sum of so many terms in y's dtype, with a rounded kernel, can be."""
    expected, size = convolve(x, kernel, mode, cval), convolve(np.abs(x), np.abs(kernel), mode, abs(cval))
    bound = min(tolerance("product", y.dtype), (kernel.size + 1) * np.finfo(y.dtype).eps) * size
    assert y.shape == x.shape
    assert (np.abs(y - expected) <= bound).all()


@mode
def test_against_scipy(isa, dtype, mode, rng, tolerance):
    for shape in IMAGES:
        x = rng.standard_normal(shape).astype(dtype)
        for size in SIZES:
            kernel = rng.standard_normal(size)
            y = filter2d(x, kernel, mode=mode, cval=CVAL)
            assert y.dtype == dtype
            check(y, x, kernel, tolerance, mode=mode, cval=CVAL)


@mode
def test_kernels_of_rank_one_against_scipy(isa, dtype, mode, rng, tolerance):
    for shape in IMAGES:
        x = rng.standard_normal(shape).astype(dtype)
        for r, s in [(5, 5), (6, 5), (4, 9), (7, 8), (3, 40)]:
            column, row = rng.standard_normal(r), rng.standard_normal(s)
            column[1] = 0
            for kernel in (np.outer(column, row), np.outer(np.arange(1, r + 1) / 7, row)):
                check(filter2d(x, kernel, mode=mode, cval=CVAL), x, kernel, tolerance, mode=mode, cval=CVAL)


def test_a_kernel_is_taken_apart_only_if_every_element_of_it_allows_that():
    kernel = np.outer(10.0 ** -np.arange(7), 10.0 ** -np.arange(9))
    eps = np.finfo(np.float64).eps
    assert filters._factors(kernel, eps) is not None
    assert filters._factors(kernel[:2], eps) is None  # no less work
    kernel[-1, -1] *= 1.001  # 1e-17 of the largest: it counts where the image is large
    assert filters._factors(kernel, eps) is None
    x = np.zeros((30, 30))
    x[12, 12] = 1e20
    assert filter2d(x, kernel)[15, 16] == 1e20 * kernel[-1, -1]
    for bad in (np.zeros((5, 5)), np.full((5, 5), np.nan), np.full((5, 5), np.inf)):
        with np.errstate(all="ignore"):
            assert filters._factors(bad, eps) is None


def test_the_largest_and_the_smallest_numbers(dtype):
    limits = np.finfo(dtype)
    for kernel in (filters.box(5), filters.gaussian(9), filters.gaussian(sigma=2), 0.9 * filters.box(3)):
        y = filter2d(np.full((20, 20), limits.max * 0.99, dtype), kernel)
        np.testing.assert_allclose(y, limits.max * (0.99 * kernel.sum()), rtol=50 * limits.eps)
        y = filter2d(np.ones((20, 20), dtype), kernel * limits.tiny * 2**20)
        np.testing.assert_allclose(y, limits.tiny * (2.0**20 * kernel.sum()), rtol=50 * limits.eps)


def test_a_kernel_of_single_precision_is_what_it_says(rng, tolerance):
    kernel = np.outer(rng.standard_normal(9), rng.standard_normal(9)).astype(np.float32)
    x = rng.standard_normal((20, 20))
    check(filter2d(x, kernel), x, kernel, tolerance)


def test_an_impulse_gives_the_kernel_and_so_is_no_correlation():
    kernel = np.arange(1.0, 13).reshape(4, 3)
    impulse = np.zeros((9, 8))
    impulse[4, 5] = 1
    expected = np.zeros((9, 8))
    expected[2:6, 4:7] = kernel
    assert_array_equal(filter2d(impulse, kernel), expected)
    odd = kernel[:3]
    x = np.random.default_rng(0).integers(-9, 9, (20, 30)).astype(np.float64)
    assert_array_equal(filter2d(x, odd[::-1, ::-1]), ndimage.correlate(x, odd, mode="reflect"))


SMALL = [(1, 1), (2, 2), (3, 3), (4, 4), (2, 5), (4, 3), (1, 6)]


@mode
@pytest.mark.parametrize("size", SMALL, ids=str)
def test_every_origin_is_scipys(mode, size, rng):
    x, kernel = rng.integers(-9, 10, (5, 8)).astype(float), rng.integers(-9, 10, size)
    for origin in itertools.product(*(range(-(n // 2), (n + 1) // 2) for n in size)):
        expected = ndimage.convolve(x, kernel, mode=mode, cval=7, origin=origin)
        assert_array_equal(filter2d(x, kernel, mode=mode, cval=7, origin=origin), expected)
        expected = ndimage.correlate(x, kernel, mode=mode, cval=7, origin=origin)
        assert_array_equal(filters.correlate2d(x, kernel, mode=mode, cval=7, origin=origin), expected)
    assert_array_equal(filter2d(x, np.ones((3, 3)), origin=1), ndimage.convolve(x, np.ones((3, 3)), origin=1))


@pytest.mark.parametrize("size", SMALL, ids=str)
def test_correlations_of_others_are_filters_as_documented(size, rng):
    """Even kernels, too: the turned kernel, moved by one pixel along its even sides."""
    x, kernel = rng.integers(-9, 10, (9, 8)).astype(float), rng.integers(-9, 10, size).astype(float)
    found = filter2d(x, kernel[::-1, ::-1], origin=(size[0] % 2 - 1, size[1] % 2 - 1))
    assert_array_equal(found, ndimage.correlate(x, kernel))
    colour = np.stack([x, -x, 2 * x], axis=2)
    assert_array_equal(filters.correlate2d(colour, kernel), np.stack([found, -found, 2 * found], axis=2))
    cv2 = pytest.importorskip("cv2")
    modes = {"reflect": cv2.BORDER_REFLECT, "mirror": cv2.BORDER_DEFAULT, "nearest": cv2.BORDER_REPLICATE}
    for mode, border in modes.items():
        assert_array_equal(filters.correlate2d(x, kernel, mode=mode), cv2.filter2D(x, -1, kernel, borderType=border))


def test_it_is_the_convolution_of_the_layers_with_the_kernel_turned(rng):
    x, kernel = rng.integers(-9, 9, (12, 15)), rng.integers(-9, 9, (3, 5))
    padded = np.pad(x, [(1, 1), (2, 2)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 5))
    assert_array_equal(filter2d(x, kernel, mode="constant"), (windows * kernel[::-1, ::-1]).sum(axis=(2, 3)))


@mode
@pytest.mark.parametrize("size", [(3, 3), (4, 4), (5, 5), (7, 8)])
def test_whole_numbers_are_exact(isa, dtype, mode, size, rng):
    x = rng.integers(0, 256, (40, 37))
    for kernel in (rng.integers(-9, 10, size), np.outer(rng.integers(1, 5, size[0]), rng.integers(1, 5, size[1]))):
        assert_array_equal(filter2d(x.astype(dtype), kernel, mode=mode, cval=7), convolve(x, kernel, mode, 7))


@mode
@pytest.mark.parametrize("size", [(3, 3), (4, 5), (1, 6), (8, 1)], ids=str)
def test_single_taps(isa, dtype, mode, size, rng):
    x = rng.standard_normal((5, 23)).astype(dtype)
    for at in np.ndindex(size):
        kernel = np.zeros(size)
        kernel[at] = 2
        assert_array_equal(filter2d(x, kernel, mode=mode, cval=CVAL), convolve(x, kernel, mode, CVAL))


@mode
def test_a_kernel_of_zeros_hides_all(dtype, mode):
    x = np.full((4, 5), np.nan, dtype)
    assert_array_equal(filter2d(x, np.zeros((3, 3)), mode=mode), np.zeros((4, 5)))
    x[:] = np.arange(5)
    far = np.zeros((1, 31))
    far[0, 0] = 1
    assert_array_equal(filter2d(x, far, mode="constant", cval=7), np.full((4, 5), 7))


def special_images(rng):
    x = rng.standard_normal((24, 25))
    for value, at in [(np.nan, (0, 3)), (np.inf, (12, 12)), (-np.inf, (13, 14)), (np.nan, (20, 24)), (np.inf, (12, 17))]:
        y = x.copy()
        y[at] = value
        yield y
    x[12, 12], x[13, 14], x[3, 2] = np.inf, -np.inf, np.nan
    yield x


@mode
def test_nan_and_infinity_stay_where_they_are(isa, dtype, mode, rng):
    holes = rng.standard_normal((5, 6)) * (rng.uniform(size=(5, 6)) < 0.5)
    sparse = np.outer([1.0, 0, -1, 0, 2], [3.0, 0, 0, 1, -1])
    for kernel in (rng.standard_normal((3, 3)), filters.sharpen(), holes, sparse, filters.gaussian(5), filters.gaussian(8)):
        for x in special_images(rng):
            y = filter2d(x.astype(dtype), kernel, mode=mode)
            with np.errstate(invalid="ignore"):
                expected = convolve(x, kernel, mode)
            np.testing.assert_allclose(y, expected, atol=200 * np.finfo(dtype).eps)


@pytest.mark.parametrize("cval", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_beyond_the_image(dtype, cval, rng):
    x = rng.standard_normal((14, 15)).astype(dtype)
    for kernel in (filters.sharpen(), filters.gaussian(5), np.outer([1.0, 2, -1, 3, 1], [1.0, -2, 4, 1, 1])):
        with np.errstate(invalid="ignore"):
            expected = convolve(x, kernel, "constant", cval)
        np.testing.assert_allclose(filter2d(x, kernel, mode="constant", cval=cval), expected, atol=200 * np.finfo(dtype).eps)


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 17])
def test_colours_are_filtered_each_by_itself(dtype, channels, rng):
    x = rng.standard_normal((19, 22, channels)).astype(dtype)
    for kernel in (rng.standard_normal((3, 3)), filters.gaussian(9)):
        y = filter2d(x, kernel, mode="mirror")
        assert y.shape == x.shape
        assert y.flags.c_contiguous
        for i in range(channels):
            assert_array_equal(y[..., i], filter2d(x[..., i], kernel, mode="mirror"))


LAYOUTS = {
    "reversed, every second": lambda x: np.repeat(x, 2, axis=1)[:, ::2][::-1][::-1],
    "transposed": lambda x: np.ascontiguousarray(x.swapaxes(0, 1)).swapaxes(0, 1),
    "other byte order": lambda x: x.astype(x.dtype.newbyteorder()),
    "unaligned": lambda x: np.frombuffer(b"\0" + x.tobytes(), x.dtype, x.size, 1).reshape(x.shape),
    "list": lambda x: x.tolist(),
    "subclass": lambda x: x.view(np.memmap),
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("shape", [(20, 17), (20, 17, 3)], ids=str)
def test_layouts(layout, shape, rng):
    x, kernel = rng.standard_normal(shape), rng.standard_normal((3, 3))
    expected = filter2d(x, kernel)
    assert_array_equal(filter2d(layout(x), kernel), expected)
    assert type(filter2d(layout(x), kernel)) is np.ndarray
    assert_array_equal(filter2d(x, layout(kernel)), expected)


@pytest.mark.parametrize("given", ["?", "u1", "i1", "u2", "i2", "i4", "u4", "i8", "f2", "f4", "f8"])
def test_dtypes(given, rng):
    x = rng.integers(0, 2, (9, 10)).astype(given)
    expected = convolve(x, filters.sharpen())
    for kernel in (filters.sharpen(), filters.sharpen().astype(np.float32), filters.sharpen().astype(np.int8)):
        y = filter2d(x, kernel)
        assert y.dtype == (np.float32 if given in ("f2", "f4") else np.float64)
        assert_array_equal(y, expected)


@pytest.mark.parametrize("shape", [(30, 31), (30, 31, 3)], ids=str)
@pytest.mark.parametrize("size", [3, 9])
def test_out(dtype, shape, size, rng):
    x, kernel = rng.standard_normal(shape).astype(dtype), filters.box(size)
    expected = filter2d(x, kernel)
    for out in (np.full(shape, 7, dtype), np.full((*shape, 2), 7, dtype)[..., 0], np.full(shape[::-1], 7, dtype).T):
        assert filter2d(x, kernel, out=out) is out
        assert_array_equal(out, expected)
    memory = np.concatenate([x, np.zeros_like(x[:2])])
    assert_array_equal(filter2d(memory[:-2], kernel, out=memory[2:]), expected)
    assert filter2d(x, kernel, out=x) is x
    assert_array_equal(x, expected)


@pytest.mark.parametrize("given", ["u1", "i1", "u2", "i2", "u4", "i4"])
def test_integers_are_rounded_and_clipped(given):
    limits = np.iinfo(given)
    x = np.array([[limits.min, limits.max, 0, 1, 3, 5, 7]], given)
    out = np.empty_like(x)
    assert filter2d(x, [[0.5]], out=out) is out
    assert_array_equal(out, [[round(limits.min / 2), round(limits.max / 2), 0, 0, 2, 2, 4]])
    filter2d(x, [[1.5]], out=out)
    assert_array_equal(out, [[max(round(1.5 * limits.min), limits.min), limits.max, 0, 2, 4, 8, 10]])
    filter2d(x, [[-1e300]], out=x)
    assert_array_equal(x[0, 1:], [limits.min, 0, *4 * [limits.min]])
    bright = np.full((1, 1), 3e38, np.float32)
    assert filter2d(bright, [[1.0]], out=np.empty((1, 1), given)) == limits.max
    assert filter2d(bright, [[100.0]], out=np.empty((1, 1), given)) == limits.max  # infinity in float32


def test_nan_is_not_written_into_integers():
    out = np.full((4, 4), 5, np.uint8)
    x = np.zeros((4, 4))
    x[2, 2] = np.nan
    with pytest.raises(ValueError, match=r"the result holds NaN, which out, of dtype uint8, cannot; expected out of float64"):
        filter2d(x, filters.sharpen(), out=out)
    assert (out == 5).all()


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (0, 0), (0, 4, 3), (4, 0, 3), (4, 5, 0)], ids=str)
@mode
def test_empty_images(shape, mode):
    y = filter2d(np.empty(shape, np.float32), np.ones((5, 5)), mode=mode)
    assert (y.shape, y.dtype) == (shape, np.float32)
    out = np.empty(shape, np.uint8)
    assert filter2d(out, np.ones((2, 2)), out=out) is out


def test_the_same_for_any_number_of_threads(dtype, rng):
    x = rng.standard_normal((500, 431, 3)).astype(dtype)
    for kernel in (rng.standard_normal((3, 3)), rng.standard_normal((4, 7)), filters.gaussian(9)):
        results = []
        for n in (1, 2):
            fastlec.set_num_threads(n)
            results.append(filter2d(x, kernel))
        fastlec.set_num_threads(None)
        assert_array_equal(*results)


def test_inputs_are_not_modified(frozen, rng):
    x, kernel = frozen(rng.standard_normal((9, 9)), rng.standard_normal((5, 5)))
    assert_array_equal(filter2d(x, kernel), filter2d(x.copy(), kernel.copy()))


X, K = np.zeros((4, 5)), np.ones((3, 3))


@pytest.mark.parametrize(
    ("error", "text", "arguments", "options"),
    [
        (ValueError, "image has shape (5,); expected (height, width) or (height, width, channels)", (X[0], K), {}),
        (ValueError, "image has shape (1, 1, 4, 5); expected", (X[None, None], K), {}),
        (TypeError, "image has dtype complex128; expected", (X.astype(complex), K), {}),
        (TypeError, "image has dtype object; expected", (X.astype(object), K), {}),
        (ValueError, "kernel has shape (3,); expected (rows, columns), neither of them 0", (X, K[0]), {}),
        (ValueError, "kernel has shape (0, 3); expected (rows, columns)", (X, K[:0]), {}),
        (TypeError, "kernel has dtype complex64; expected", (X, K.astype("c8")), {}),
        (ValueError, "mode is 'edge'; expected one of constant, reflect, nearest, wrap, mirror", (X, K), {"mode": "edge"}),
        (ValueError, "mode is None; expected one of", (X, K), {"mode": None}),
        (ValueError, "origin[0] is 2; expected at most 1", (X, K), {"origin": 2}),
        (ValueError, "origin[1] is -2; expected at least -1", (X, K), {"origin": (0, -2)}),
        (ValueError, "origin[1] is 1; expected at most 0", (X, K[:, :2]), {"origin": 1}),
        (ValueError, "origin is (0,); expected an int or a pair of them", (X, K), {"origin": (0,)}),
        (TypeError, "origin[0] is 0.5; expected an integer", (X, K), {"origin": 0.5}),
        (TypeError, "cval is '1'; expected a number", (X, K), {"cval": "1"}),
        (TypeError, "cval is None; expected a number", (X, K), {"cval": None}),
        (TypeError, "out is a list; expected an ndarray", (X, K), {"out": [1]}),
        (ValueError, "out has shape (5, 4); expected (4, 5)", (X, K), {"out": np.empty((5, 4))}),
        (ValueError, "out has shape (5, 4); expected (4, 5)", (X, K), {"out": np.empty((5, 4), np.uint8)}),
        (TypeError, "out has dtype float32; expected float64", (X, K), {"out": np.empty((4, 5), np.float32)}),
        (TypeError, "out has dtype int64; expected float64", (X, K), {"out": np.empty((4, 5), np.int64)}),
        (ValueError, "out is read-only; expected a writeable array", (X, K), {"out": np.broadcast_to(X[:1], (4, 5))}),
    ],
)
def test_bad_arguments(error, text, arguments, options):
    for function in (filter2d, filters.correlate2d):
        with pytest.raises(error, match="^" + re.escape(text)):
            function(*arguments, **options)


def test_bad_modes_that_cannot_be_hashed_or_compared():
    for bad in (["reflect"], np.array(["reflect", "wrap"])):
        with pytest.raises(ValueError, match=r"^mode is "):
            filter2d(X, K, mode=bad)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("mode", filters.MODES)
def test_huge_kernels_overflow_only_where_the_result_does(mode, dtype):
    """Neither products nor sums on the way to a number that there is are infinite or NaN."""
    image = np.full((5, 6), 200, dtype)
    image[2, 3] = 100
    difference = np.array([[0, 0, 0], [0, 1, -1], [0, 0, 0]]) * 2.0**1023  # whose products are exact
    y = filter2d(image, difference, mode=mode, cval=200)
    assert_array_equal(y[2, 2:5], [0, -np.inf, np.inf])
    assert (y[[0, 1, 3, 4]] == 0).all()
    column = np.array([[1.0], [-1], [0]]) * float(np.finfo(dtype).max)
    assert_array_equal(np.isnan(filter2d(image, column @ np.ones((1, 7)), mode=mode, cval=200)), False)
    out = np.zeros((5, 6), np.uint8)
    filter2d(image, difference, mode=mode, cval=200, out=out)
    assert_array_equal(np.argwhere(out), [[2, 4]])
    assert out[2, 4] == 255
