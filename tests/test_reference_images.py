"""fastlec.reference for images against explicit loops, SciPy, numbers worked by hand, and finite differences of itself."""

import itertools

import cases
import numpy as np
import pytest
import scipy.ndimage
import scipy.signal
import scipy.sparse
from numpy.testing import assert_allclose, assert_array_equal
from test_reference import DIFFERENCE, central_difference

from fastlec import reference
from fastlec._geometry import geometry

conv = cases.parametrize("case", cases.CONVOLUTIONS)
DIRECTIONS = ("dx", "dgamma", "dbeta")


def integers(rng, *shape):
    """In float64 all sums of their products are exact."""
    return rng.integers(-9, 10, shape).astype(float)


def places(case):
    """(output, window, weight, pixel): the flat index in y, in im2col's columns, in W and in x of every product of the convolution."""
    (n, c, h, w), (k, per_group, r, s) = case.x, case.W
    g = geometry(case.x, case.W, **case.options)
    found = []
    for image, filter_, a, b in itertools.product(range(n), range(k), range(g.oh), range(g.ow)):
        output = ((image * k + filter_) * g.oh + a) * g.ow + b
        for channel, i, j in itertools.product(range(per_group), range(r), range(s)):
            of_x = filter_ // (k // case.groups) * per_group + channel
            y, x = a * g.sh + i * g.dh - g.top, b * g.sw + j * g.dw - g.left
            if 0 <= y < h and 0 <= x < w:
                window = (((image * c + of_x) * r + i) * s + j) * g.oh * g.ow + a * g.ow + b
                weight = ((filter_ * per_group + channel) * r + i) * s + j
                found.append((output, window, weight, ((image * c + of_x) * h + y) * w + x))
    return np.array(found, int).reshape(-1, 4).T


def gathered(at, products, shape):
    return np.bincount(at, products, int(np.prod(shape))).reshape(shape)


# --- convolution -----------------------------------------------------------------------------------------------------


@conv
def test_convolution_is_its_sum_over_places(case, rng):
    """The forward map, both products with its Jacobian, the Jacobian and im2col, from one list of who meets whom."""
    output, window, weight, pixel = places(case)
    x, W, b = integers(rng, *case.x), integers(rng, *case.W), integers(rng, case.W[0])
    dx, dW, db = integers(rng, *case.x), integers(rng, *case.W), integers(rng, case.W[0])
    y = reference.conv2d(x, W, **case.options)
    assert_array_equal(y, gathered(output, W.flat[weight] * x.flat[pixel], y.shape), strict=True)
    assert_array_equal(reference.conv2d(x, W, b, **case.options), y + b[:, None, None])
    dy = gathered(output, W.flat[weight] * dx.flat[pixel] + dW.flat[weight] * x.flat[pixel], y.shape)
    assert_array_equal(reference.conv2d_jac_mv(x, W, dx, dW, db, **case.options), dy + db[:, None, None])
    v = integers(rng, *y.shape)
    products = reference.conv2d_jac_tmv(v, x, W, **case.options)
    assert list(products) == ["x", "W", "b"]
    assert_array_equal(products["x"], gathered(pixel, W.flat[weight] * v.flat[output], x.shape), strict=True)
    assert_array_equal(products["W"], gathered(weight, v.flat[output] * x.flat[pixel], W.shape), strict=True)
    assert_array_equal(products["b"], v.sum(axis=(0, 2, 3)), strict=True)
    M = scipy.sparse.coo_array((W.flat[weight], (output, pixel)), (y.size, x.size)).toarray()
    assert_array_equal(reference.conv2d_jacobian(x, W, "x", **case.options).toarray(), M)
    M = scipy.sparse.coo_array((x.flat[pixel], (output, weight)), (y.size, W.size)).toarray()
    assert_array_equal(reference.conv2d_jacobian(x, W, "W", **case.options).toarray(), M)
    columns = reference.im2col(x, case.W[2:], **case.windows)
    expected = np.zeros(columns.shape)
    expected.flat[window] = x.flat[pixel]
    assert_array_equal(columns, expected)
    u = integers(rng, *columns.shape)
    once = dict(zip(window, pixel, strict=True))  # every filter of a group reads the same windows
    expected = gathered([*once.values()], u.flat[[*once]], x.shape)
    assert_array_equal(reference.col2im(u, x.shape, case.W[2:], **case.windows), expected)


@conv
def test_convolution_is_a_sparse_matrix(case, rng):
    """The lecture's: times vec(x) it is the convolution, transposed its transpose, and no row has more entries than a filter."""
    x, W = integers(rng, *case.x), integers(rng, *case.W)
    y = reference.conv2d(x, W, **case.options)
    M = reference.conv2d_matrix(W, x.shape, **case.options)
    assert isinstance(M, scipy.sparse.csr_array)
    assert M.shape == (y.size, x.size)
    assert_array_equal(M @ x.ravel(), y.ravel())
    v = integers(rng, *y.shape)
    assert_array_equal(M.T @ v.ravel(), reference.conv2d_jac_tmv(v, x, W, **case.options)["x"].ravel())
    assert np.diff(M.indptr).max() <= np.prod(case.W[1:])


@pytest.mark.parametrize("shape", [((9, 8), (3, 3)), ((7, 12), (2, 5)), ((4, 4), (4, 4)), ((6, 1), (3, 1))])
def test_convolution_is_scipys_correlation(shape, rng):
    image, kernel = rng.standard_normal(shape[0]), rng.standard_normal(shape[1])
    x, W = image[None, None], kernel[None, None]
    expected = scipy.signal.correlate2d(image, kernel, "valid")
    assert_allclose(reference.conv2d(x, W)[0, 0], expected, rtol=1e-12, atol=1e-12)
    full = [(n - 1, n - 1) for n in kernel.shape]
    expected = scipy.signal.correlate2d(image, kernel, "full")
    assert_allclose(reference.conv2d(x, W, padding=full)[0, 0], expected, rtol=1e-12, atol=1e-12)


def test_convolution_by_hand():
    """The kernel is not turned around; the padding is zeros; "same" puts the odd row and column at the bottom and the right."""
    x, W = np.arange(1.0, 10).reshape(1, 1, 3, 3), np.array([[[[1.0, 10], [100, 1000]]]])
    assert_array_equal(reference.conv2d(x, W), [[[[5421, 6532], [8754, 9865]]]])
    assert_array_equal(reference.conv2d(x, W, [0.5]), [[[[5421.5, 6532.5], [8754.5, 9865.5]]]])
    same = [[5421, 6532, 603], [8754, 9865, 906], [87, 98, 9]]
    assert_array_equal(reference.conv2d(x, W, padding="same")[0, 0], same)
    assert_array_equal(reference.conv2d(x, W, padding=((0, 1), (0, 1)))[0, 0], same)
    assert_array_equal(reference.conv2d(x, W, stride=2, padding="same")[0, 0], [[5421, 603], [87, 9]])
    assert_array_equal(reference.conv2d(x, W, dilation=2)[0, 0], [[9731]])
    columns = reference.im2col(x, 2)
    assert_array_equal(columns, [[[1, 2, 4, 5], [2, 3, 5, 6], [4, 5, 7, 8], [5, 6, 8, 9]]])
    assert_array_equal(reference.col2im(np.ones((1, 4, 4)), x.shape, 2)[0, 0], [[1, 2, 1], [2, 4, 2], [1, 2, 1]])
    M = reference.conv2d_matrix(W[..., :1, :], (1, 1, 2, 3), padding=((0, 0), (1, 0))).toarray()
    one = [[10, 0, 0], [1, 10, 0], [0, 1, 10]]
    assert_array_equal(M, np.kron(np.eye(2), one))


@pytest.mark.parametrize("groups", [1, 2])
def test_convolution_of_no_images(groups):
    x, W = np.zeros((0, 4, 5, 6)), np.ones((2, 4 // groups, 3, 3))
    assert reference.conv2d(x, W, groups=groups).shape == (0, 2, 3, 4)
    products = reference.conv2d_jac_tmv(np.zeros((0, 2, 3, 4)), x, W, groups=groups)
    for name, of in (("x", x), ("W", W), ("b", np.zeros(2))):
        assert_array_equal(products[name], np.zeros(of.shape), strict=True)
        assert reference.conv2d_jacobian(x, W, name, groups=groups).shape == (0, of.size)


def test_convolution_by_b(rng):
    case = cases.Conv((3, 2, 4, 5), (3, 2, 2, 2))
    x, W, db = integers(rng, *case.x), integers(rng, *case.W), integers(rng, 3)
    M = reference.conv2d_jacobian(x, W, "b")
    assert_array_equal(M @ db, reference.conv2d_jac_mv(x, W, db=db).ravel())


# --- pooling ---------------------------------------------------------------------------------------------------------

POOLS = [  # (shape, kernel_size, stride, padding)
    ((2, 3, 6, 8), 2, None, 0),
    ((2, 3, 7, 9), 2, None, 0),
    ((2, 2, 7, 9), 3, 2, 1),
    ((1, 2, 5, 6), (2, 3), (1, 2), ((0, 1), (2, 1))),
    ((1, 1, 4, 4), 4, None, 0),
    ((1, 2, 3, 3), 3, 1, 1),
    ((1, 1, 1, 1), 1, None, 0),
    ((1, 1, 2, 3), 2, 1, 3),
    ((0, 2, 4, 4), 2, None, 0),
]
pools = pytest.mark.parametrize(("shape", "size", "stride", "padding"), POOLS, ids=str)


def pooled(x, size, stride, padding, function, fill):
    """function of each window, from loops."""
    g = reference._windows_of(x.shape, size, stride, padding)
    larger = np.pad(x, ((0, 0), (0, 0), (g.top, g.bottom), (g.left, g.right)), constant_values=fill)
    y = np.zeros(g.y_shape)
    for n, c, a, b in np.ndindex(y.shape):
        y[n, c, a, b] = function(larger[n, c, a * g.sh : a * g.sh + g.r, b * g.sw : b * g.sw + g.s])
    return y
