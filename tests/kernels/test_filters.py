"""The kernels of image processing: the pages' numbers, and what SciPy's filters of the same purpose give."""

import re

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import ndimage

import fastlec
from fastlec import filter2d, filters


@pytest.fixture
def image(rng):
    return rng.uniform(0, 1, (40, 50))


def test_the_numbers_of_the_page():
    page = {
        "identity": [[0, 0, 0], [0, 1, 0], [0, 0, 0]],
        "ridge": [[0, -1, 0], [-1, 4, -1], [0, -1, 0]],
        "edge": [[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]],
        "sharpen": [[0, -1, 0], [-1, 5, -1], [0, -1, 0]],
        "box": np.ones((3, 3)) / 9,
        "gaussian": np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]]) / 16,
        "sobel_x": [[1, 0, -1], [2, 0, -2], [1, 0, -1]],
        "sobel_y": [[1, 2, 1], [0, 0, 0], [-1, -2, -1]],
        "unsharp": np.array([[1, 4, 6, 4, 1], [4, 16, 24, 16, 4], [6, 24, -476, 24, 6], [4, 16, 24, 16, 4], [1, 4, 6, 4, 1]])
        / -256,
    }
    for name, kernel in page.items():
        assert_array_equal(filters.KERNELS[name](), kernel, strict=False)
    five = [[1, 4, 6, 4, 1], [4, 16, 24, 16, 4], [6, 24, 36, 24, 6], [4, 16, 24, 16, 4], [1, 4, 6, 4, 1]]
    assert_array_equal(filters.gaussian(5), np.array(five) / 256)


def test_every_name_gives_a_new_float64_array_of_its_sum():
    sums = {"ridge": 0, "edge": 0, "sobel_x": 0, "sobel_y": 0}
    for name, function in filters.KERNELS.items():
        kernel = function()
        assert function is getattr(filters, name)
        assert (kernel.dtype, kernel.ndim) == (np.float64, 2)
        assert kernel.sum() == pytest.approx(sums.get(name, 1), abs=1e-15)
        kernel[:] = 7
        assert not np.array_equal(function(), kernel)


def test_the_module_comes_with_the_package():
    assert fastlec.filters is filters


@pytest.mark.parametrize("mode", filters.MODES)
def test_against_the_filters_of_scipy(image, mode):
    options = {"mode": mode}
    near = {"rtol": 1e-12, "atol": 1e-14}
    for sigma in (0.7, 1.5, 3):
        expected = ndimage.gaussian_filter(image, sigma, **options)
        assert_allclose(filter2d(image, filters.gaussian(sigma=sigma), **options), expected, **near)
    for size in (1, 3, 7):
        assert_allclose(filter2d(image, filters.box(size), **options), ndimage.uniform_filter(image, size, **options), **near)
    assert_allclose(filter2d(image, filters.sobel_x(), **options), ndimage.sobel(image, 1, **options), **near)
    assert_allclose(filter2d(image, filters.sobel_y(), **options), ndimage.sobel(image, 0, **options), **near)
    assert_allclose(filter2d(image, filters.ridge(), **options), -ndimage.laplace(image, **options), **near)


def test_amounts(image):
    blurred = ndimage.gaussian_filter(image, 2)
    found = filter2d(image, filters.unsharp(0.3, size=None, sigma=2))
    assert_allclose(found, image + 0.3 * (image - blurred), rtol=1e-12)
    assert_allclose(
        filter2d(image, filters.sharpen(0.3)), image - 0.3 * ndimage.laplace(image, mode="reflect"), rtol=1e-12, atol=1e-14
    )
    assert_array_equal(filters.sharpen(0), filters.identity())
    assert_array_equal(filters.unsharp(0, 3), filters.identity())


def test_sobel_is_8_times_the_slope():
    y, x = np.mgrid[:9, :9].astype(np.float64)
    inside = (slice(1, -1), slice(1, -1))
    assert (filter2d(3 * x - 5 * y, filters.sobel_x())[inside] == 24).all()
    assert (filter2d(3 * x - 5 * y, filters.sobel_y())[inside] == -40).all()


def test_emboss_lights_the_upper_left():
    block = np.zeros((12, 12))
    block[4:8, 4:8] = 1
    relief = filter2d(block, filters.emboss())
    assert relief[4, 4] > 1  # the block's upper left corner
    assert relief[8, 8] < 0  # the shadow at the lower right
    assert (filter2d(np.ones((5, 5)), filters.emboss()) == 1).all()


@pytest.mark.parametrize("size", [1, 2, 4, 7])
@pytest.mark.parametrize("sigma", [None, 0.5, 100.0])
def test_blurs_are_symmetric_of_sum_1(size, sigma):
    kernel = filters.gaussian(size, sigma)
    assert kernel.shape == (size, size)
    assert_allclose(kernel, kernel[::-1, ::-1].T, rtol=1e-15)
    assert kernel.sum() == pytest.approx(1, abs=1e-14)
    assert (kernel >= 0).all()


def test_the_variance_of_a_blur():
    at = np.arange(9) - 4
    assert filters.gaussian(9).sum(axis=0) @ at**2 == pytest.approx(2)
    at = np.arange(41) - 20
    assert filters.gaussian(sigma=5).sum(axis=0) @ at**2 == pytest.approx(25, rel=1e-2)


@pytest.mark.parametrize(
    ("error", "text", "call"),
    [
        (ValueError, "size is 0; expected at least 1", lambda: filters.box(0)),
        (TypeError, "size is 3.0; expected an integer", lambda: filters.gaussian(3.0)),
        (ValueError, "sigma is 0; expected a number > 0", lambda: filters.gaussian(sigma=0)),
        (ValueError, "sigma is -1.0; expected a finite number >= 0", lambda: filters.gaussian(sigma=-1)),
        (TypeError, "sigma is 'a'; expected a number", lambda: filters.gaussian(sigma="a")),
        (ValueError, "amount is nan; expected a finite number >= 0", lambda: filters.sharpen(float("nan"))),
        (ValueError, "amount is -1.0; expected a finite number >= 0", lambda: filters.unsharp(-1)),
        (ValueError, "size is 4; expected an odd number", lambda: filters.unsharp(size=4)),
        (ValueError, "size is an integer of 1329 bits; expected at most", lambda: filters.box(10**400)),
        (
            ValueError,
            "sigma is an integer of 1329 bits; expected a number that float64 holds",
            lambda: filters.gaussian(sigma=10**400),
        ),
        (ValueError, "amount is 1e+308; expected at most", lambda: filters.sharpen(1e308)),
        (MemoryError, "a kernel of 1099511627776 x 1099511627776 would take more memory than", lambda: filters.gaussian(2**40)),
        (MemoryError, "a kernel of 1099511627776 x 1099511627776 would take more memory than", lambda: filters.box(2**40)),
        (MemoryError, "a kernel of 1099511627775 x 1099511627775 would take", lambda: filters.unsharp(size=2**40 - 1)),
        (MemoryError, "a kernel of 4611686018427387904 x", lambda: filters.gaussian(2**62, sigma=1)),
        (MemoryError, "a kernel of sigma 1e+300 would take", lambda: filters.gaussian(sigma=1e300)),
    ],
)
@pytest.mark.filterwarnings("error")
def test_bad_arguments(error, text, call):
    with pytest.raises(error, match=f"^{re.escape(text)}"):
        call()


@pytest.mark.filterwarnings("error")
def test_extreme_blurs():
    assert_array_equal(filters.gaussian(3, 1e-320), filters.identity())
    assert_array_equal(filters.gaussian(4, 1e-3), np.pad(filters.box(2), 1))
    assert_array_equal(filters.gaussian(4, 1e-320), np.pad(filters.box(2), 1))
    assert_allclose(filters.gaussian(5, 1e308), filters.box(5), rtol=1e-15)
    wide = filters.gaussian(1201)  # the outer coefficients are subnormal, and 0
    assert wide.sum() == pytest.approx(1, abs=1e-12)
    assert_array_equal(wide, wide[::-1, ::-1])
    assert np.isfinite(filters.unsharp(1.7e308)).all()


@pytest.mark.parametrize("mode", filters.MODES)
def test_gradient_magnitude_is_scipys(image, mode, rng):
    colour = rng.uniform(0, 1, (9, 10, 3)).astype(np.float32)
    for x in (image, colour[..., 1], np.zeros((0, 4))):
        found = filters.gradient_magnitude(x, mode=mode)
        assert found.dtype == x.dtype
        expected = ndimage.generic_gradient_magnitude(x.astype(float), ndimage.sobel, mode=mode)
        assert_allclose(found, expected, atol=20 * np.finfo(x.dtype).eps)
    assert_array_equal(filters.gradient_magnitude(colour)[..., 1], filters.gradient_magnitude(colour[..., 1]))


def test_gradient_magnitude_in_bytes():
    x = np.zeros((4, 6), np.uint8)
    x[:, 3:] = [[2], [2], [100], [100]]
    expected = np.rint(filters.gradient_magnitude(x)).clip(0, 255)
    assert expected.max() == 255
    assert filters.gradient_magnitude(x, out=x) is x
    assert_array_equal(x, expected)
    with pytest.raises(TypeError, match=r"^out has dtype float32; expected float64"):
        filters.gradient_magnitude(x, out=np.empty((4, 6), np.float32))
