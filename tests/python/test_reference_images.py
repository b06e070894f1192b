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
from fastlec._geometry import geometry, window_geometry

# NumPy loops over the taps alone: of the cases made for kernels, which cut channels, filters and images too, few of these will do.
conv = cases.parametrize("case", dict.fromkeys(case.small() for case in cases.CONVOLUTIONS))


def integers(rng, *shape):
    """In float64 all sums of their products are exact."""
    return rng.integers(-9, 10, shape).astype(float)


def places(case):
    """(output, window, weight, pixel) of every product of the convolution: flat indices in y, im2col's columns, W and x."""
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
    return np.bincount(at, products, int(np.prod(shape))).astype(float).reshape(shape)


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
    M = scipy.sparse.coo_array((W.flat[weight], (output, pixel)), (y.size, x.size)).tocsr()
    assert (reference.conv2d_jacobian(x, W, "x", **case.options) != M).nnz == 0
    M = scipy.sparse.coo_array((x.flat[pixel], (output, weight)), (y.size, W.size)).tocsr()
    assert (reference.conv2d_jacobian(x, W, "W", **case.options) != M).nnz == 0
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


TRANSPOSED = [  # (shape of x, shape of W, options)
    ((2, 3, 4, 5), (3, 2, 3, 3), {}),
    ((2, 4, 3, 4), (4, 3, 4, 3), {"stride": 2, "padding": 1, "groups": 2}),
    ((1, 2, 3, 4), (2, 3, 1, 2), {"stride": (2, 3), "output_padding": (1, 2)}),
    ((1, 2, 2, 3), (2, 3, 3, 2), {"padding": (2, 1), "dilation": (2, 3), "output_padding": (1, 2)}),
    ((1, 2, 3, 4), (2, 1, 3, 4), {"stride": (1, 2), "padding": ((0, 2), (3, 1))}),
    ((0, 2, 3, 4), (2, 1, 2, 2), {}),
]


@pytest.mark.parametrize(("shape", "W_shape", "options"), TRANSPOSED, ids=str)
def test_transposed_convolution(shape, W_shape, options, rng):
    """Each weight takes each pixel to one place; its products with vectors are those of this sum."""
    x, W, b = integers(rng, *shape), integers(rng, *W_shape), integers(rng, W_shape[1] * options.get("groups", 1))
    (n, k, oh, ow), (_, per_group, r, s), groups = shape, W_shape, options.get("groups", 1)
    y = reference.conv_transpose2d(x, W, **options)
    g = geometry(y.shape, W_shape, **{name: value for name, value in options.items() if name != "output_padding"})
    dx, dW, db, v = integers(rng, *shape), integers(rng, *W_shape), integers(rng, *b.shape), integers(rng, *y.shape)
    expected, dy, by_x, by_W = np.zeros(y.shape), np.zeros(y.shape), np.zeros(shape), np.zeros(W_shape)
    for image, filter_, a, q, c, i, j in np.ndindex(n, k, oh, ow, per_group, r, s):
        p = g.sh * a + g.dh * i - g.top, g.sw * q + g.dw * j - g.left
        if 0 <= p[0] < y.shape[2] and 0 <= p[1] < y.shape[3]:
            to, of, by = (image, filter_ // (k // groups) * per_group + c, *p), (image, filter_, a, q), (filter_, c, i, j)
            expected[to] += W[by] * x[of]
            dy[to] += W[by] * dx[of] + dW[by] * x[of]
            by_x[of] += W[by] * v[to]
            by_W[by] += x[of] * v[to]
    assert_array_equal(y, expected)
    assert_array_equal(reference.conv_transpose2d(x, W, b, **options), y + b[:, None, None])
    assert_array_equal(reference.conv_transpose2d_jac_mv(x, W, dx, dW, db, **options), dy + db[:, None, None])
    found = reference.conv_transpose2d_jac_tmv(v, x, W, **options)
    for name, g in {"x": by_x, "W": by_W, "b": v.sum(axis=(0, 2, 3))}.items():
        assert_array_equal(found[name], g, strict=True)


def test_a_transposed_convolution_is_a_transposed_matrix(rng):
    W = rng.standard_normal((3, 2, 3, 4))
    x = rng.standard_normal((2, 3, 4, 5))
    y = reference.conv_transpose2d(x, W, stride=(2, 1), padding=1)
    M = reference.conv2d_matrix(W, y.shape, stride=(2, 1), padding=1)
    assert_allclose(M.T @ x.ravel(), y.ravel(), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize(("n", "taps", "padding"), [(9, 3, 0), (8, 4, 2), (5, 5, (0, 3)), (7, 4, "same"), (6, 2, "valid")])
def test_convolution_of_signals(n, taps, padding, rng):
    x, w = integers(rng, 1, 1, n), integers(rng, 1, 1, taps)
    sides = {"same": ((taps - 1) // 2, taps // 2), "valid": (0, 0)}.get(padding, padding)
    padded = np.pad(x[0, 0], sides)
    assert_array_equal(reference.conv1d(x, w, [3.0], padding=padding)[0, 0], np.correlate(padded, w[0, 0]) + 3)
    x, W, dx, dW, db = (integers(rng, *s) for s in ((2, 4, 11), (6, 2, 3), (2, 4, 11), (6, 2, 3), (6,)))
    options = {"stride": 2, "padding": (1, 2), "dilation": 2, "groups": 2}
    images = {"stride": (1, 2), "padding": ((0, 0), (1, 2)), "dilation": (1, 2), "groups": 2}
    row = lambda a: a[:, :, None]  # noqa: E731
    dy = reference.conv1d_jac_mv(x, W, dx, dW, db, **options)
    assert_array_equal(dy, reference.conv2d_jac_mv(row(x), row(W), row(dx), row(dW), db, **images)[:, :, 0])
    v = integers(rng, *dy.shape)
    found, expected = reference.conv1d_jac_tmv(v, x, W, **options), reference.conv2d_jac_tmv(row(v), row(x), row(W), **images)
    for name, g in found.items():
        assert_array_equal(g, expected[name].reshape(g.shape))


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


def windows(shape, size, stride, padding):
    """(index of y, slices of the padded image), and the padding as np.pad takes it."""
    g = window_geometry(shape, size, size if stride is None else stride, padding)
    around = (0, 0), (0, 0), (g.top, g.bottom), (g.left, g.right)
    at = [
        ((n, c, a, b), (n, c, slice(a * g.sh, a * g.sh + g.r), slice(b * g.sw, b * g.sw + g.s)))
        for n, c, a, b in np.ndindex(g.y_shape)
    ]
    return g.y_shape, at, around


def inside(around, shape):
    """Where the image is in its padding."""
    return tuple(slice(low, low + n) for (low, _), n in zip(around, shape, strict=True))


def test_pooling_with_all_settings(rng):
    """Windows that reach beyond the padding, by the elements that there are."""
    x = rng.standard_normal((1, 1, 5, 7))
    expected = np.empty((1, 1, 3, 3))
    whole, image, largest = expected.copy(), expected.copy(), expected.copy()
    for a, b in np.ndindex(3, 3):
        rows, cols = slice(max(2 * a - 1, 0), 2 * a + 2), slice(max(3 * b - 1, 0), 3 * b + 2)
        inside = x[0, 0, rows, cols]
        whole[0, 0, a, b] = inside.sum() / 9
        image[0, 0, a, b] = inside.mean()
        largest[0, 0, a, b] = x[
            0, 0, max(2 * a - 1, 1 - 2 * a) : 2 * a + 2 : 2, max(3 * b - 1, 1 - 3 * b) : 3 * b + 2 : 2
        ].max()
    assert_allclose(reference.avg_pool2d(x, 3, (2, 3), 1, True), whole, rtol=1e-13)
    assert_allclose(reference.avg_pool2d(x, 3, (2, 3), 1, True, False), image, rtol=1e-13)
    assert_array_equal(reference.max_pool2d(x, 2, (2, 3), 1, 2, True), largest)
    ones = np.ones((1, 1, 5, 5))
    assert_array_equal(reference.avg_pool2d(ones, 2, 2, 0, True), np.ones((1, 1, 3, 3)))  # what hangs over does not count
    assert_array_equal(reference.avg_pool2d(ones, 3, 2, 1, True)[0, 0, 0], [4 / 9, 6 / 9, 4 / 9])  # the padding does
    assert_array_equal(reference.avg_pool2d(ones, 3, 2, 1, True, False), ones[:, :, :3, :3])


@pools
def test_average_pooling(shape, size, stride, padding, rng):
    x, dx = rng.standard_normal((2, *shape))
    y_shape, at, around = windows(shape, size, stride, padding)
    v, larger = rng.standard_normal(y_shape), np.pad(x, around)
    y, back = np.zeros(y_shape), np.zeros(larger.shape)
    for index, window in at:
        y[index] = larger[window].mean()
        back[window] += v[index] / larger[window].size
    assert_allclose(reference.avg_pool2d(x, size, stride, padding), y, rtol=1e-13, atol=1e-15)
    dy = reference.avg_pool2d_jac_mv(x, size, stride, padding, dx=dx)
    assert_array_equal(dy, reference.avg_pool2d(dx, size, stride, padding))
    found = reference.avg_pool2d_jac_tmv(v, x, size, stride, padding)["x"]
    assert_allclose(found, back[inside(around, shape)], rtol=1e-13, atol=1e-15)


@pools
@pytest.mark.parametrize("ties", [False, True], ids=["distinct", "ties"])
def test_max_pooling(shape, size, stride, padding, ties, rng):
    x, dx = rng.standard_normal((2, *shape))
    if ties:
        x = np.sign(x)
    y_shape, at, around = windows(shape, size, stride, padding)
    y, dy, back = np.full(y_shape, -np.inf), np.zeros(y_shape), np.zeros(np.pad(x, around).shape)
    v, larger, of_dx = rng.standard_normal(y_shape), np.pad(x, around, constant_values=-np.inf), np.pad(dx, around)
    for index, window in at:
        y[index] = larger[window].max()
        if np.isfinite(y[index]):
            first = np.unravel_index(np.argmax(larger[window]), larger[window].shape)
            dy[index] = of_dx[window][first]
            back[window][first] += v[index]
    assert_array_equal(reference.max_pool2d(x, size, stride, padding), y)
    assert_array_equal(reference.max_pool2d_jac_mv(x, size, stride, padding, dx=dx), dy)
    found = reference.max_pool2d_jac_tmv(v, x, size, stride, padding)["x"]
    assert_allclose(found, back[inside(around, shape)], rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("kind", ["avg", "max"])
@pytest.mark.parametrize(("size", "stride", "padding"), [(2, None, 0), (3, 2, 1), (5, 1, 2)], ids=str)
def test_pooling_of_signals(kind, size, stride, padding, rng):
    x, dx = rng.standard_normal((2, 2, 3, 11))
    f, jac_mv, jac_tmv = (getattr(reference, f"{kind}_pool1d{which}") for which in ("", "_jac_mv", "_jac_tmv"))
    fill, joined = (-np.inf, np.max) if kind == "max" else (0.0, np.mean)
    padded = np.pad(x, ((0, 0), (0, 0), (padding, padding)), constant_values=fill)
    views = np.lib.stride_tricks.sliding_window_view(padded, size, axis=2)[:, :, :: stride or size]
    y = f(x, size, stride, padding)
    assert_allclose(y, joined(views, axis=3), rtol=1e-14, atol=1e-15)
    v, h = rng.standard_normal(y.shape), 1e-6
    dy = jac_mv(x, size, stride, padding, dx=dx)
    near = (f(x + h * dx, size, stride, padding) - f(x - h * dx, size, stride, padding)) / (2 * h)
    assert_allclose(dy, near, rtol=1e-8, atol=1e-8)
    assert_allclose((jac_tmv(v, x, size, stride, padding)["x"] * dx).sum(), (v * dy).sum(), rtol=1e-12)


@pytest.mark.parametrize("scale", [1, 2, (1, 3), (3, 2)])
def test_nearest_neighbours(scale, rng):
    x, dx = rng.standard_normal((2, 2, 3, 4, 5))
    down, across = scale if isinstance(scale, tuple) else (scale, scale)
    y = reference.upsample2d(x, scale)
    assert y.shape == (2, 3, 4 * down, 5 * across)
    for n, c, i, j in np.ndindex(y.shape):
        assert y[n, c, i, j] == x[n, c, i // down, j // across]
    v = rng.standard_normal(y.shape)
    dy = reference.upsample2d_jac_mv(x, scale, dx=dx)
    assert_array_equal(dy, reference.upsample2d(dx, scale))
    assert_allclose((reference.upsample2d_jac_tmv(v, x, scale)["x"] * dx).sum(), (v * dy).sum(), rtol=1e-12)


def test_global_average_pooling(rng):
    x, dx, v = rng.standard_normal((2, 3, 4, 5)), rng.standard_normal((2, 3, 4, 5)), rng.standard_normal((2, 3))
    y = reference.global_avg_pool2d(x)
    for n, c in np.ndindex(2, 3):
        assert_allclose(y[n, c], sum(x[n, c].ravel()) / 20, rtol=1e-13, atol=1e-15)
    dy = reference.global_avg_pool2d_jac_mv(x, dx=dx)
    assert_array_equal(dy, reference.global_avg_pool2d(dx))
    assert_allclose((reference.global_avg_pool2d_jac_tmv(v, x)["x"] * dx).sum(), (v * dy).sum(), rtol=1e-12)


def test_max_pooling_of_nan_and_infinity():
    """NaN wins; -inf of the image wins over the padding, so that its derivative is not lost; a window without pixels has none."""
    x = np.array([[[[1.0, np.nan, -np.inf], [np.nan, 5.0, -np.inf]]]])
    assert_array_equal(reference.max_pool2d(x, 2, 1), [[[[np.nan, np.nan]]]])
    assert_array_equal(reference.max_pool2d_jac_tmv([[[[1.0, 10.0]]]], x, 2, 1)["x"], [[[[0, 11, 0], [0, 0, 0]]]])
    x = np.full((1, 1, 1, 1), -np.inf)
    assert_array_equal(reference.max_pool2d(x, 1, 1, 1), np.full((1, 1, 3, 3), -np.inf))
    assert_array_equal(reference.max_pool2d_jac_tmv(np.ones((1, 1, 3, 3)), x, 1, 1, 1)["x"], [[[[1]]]])
    assert_array_equal(reference.max_pool2d_jac_tmv(np.ones((1, 1, 2, 2)), x, 2, 1, 1)["x"], [[[[4]]]])


# --- batch normalization ---------------------------------------------------------------------------------------------


def batch_norm_problem(rng, given):
    x, (gamma, beta) = 2 + 3 * rng.standard_normal((3, 2, 4, 5)), rng.standard_normal((2, 2))
    return x, gamma, beta, *((rng.standard_normal(2), rng.uniform(0.5, 2, 2)) if given else (None, None))


statistics = pytest.mark.parametrize("given", [False, True], ids=["of the batch", "given"])


def test_batch_normalization_normalizes(rng):
    x, gamma, beta, _, _ = batch_norm_problem(rng, False)
    mean, var = reference.batch_statistics(x)
    for channel in range(2):
        pixels = [x[n, channel, a, b] for n, a, b in np.ndindex(3, 4, 5)]
        assert_allclose(mean[channel], sum(pixels) / 60, rtol=1e-13)
        assert_allclose(var[channel], sum((p - mean[channel]) ** 2 for p in pixels) / 60, rtol=1e-13)
    y = reference.batch_norm2d(x, gamma, beta, eps=0)
    assert_allclose(reference.batch_statistics(y), [beta, gamma**2], rtol=1e-12)
    assert_allclose(reference.batch_norm2d(x, gamma, beta, mean, var, eps=0.3), reference.batch_norm2d(x, gamma, beta, eps=0.3))
    one = reference.batch_norm2d(np.full((1, 1, 1, 1), 7.0), [2.0], [3.0], [5.0], [3.75], eps=0.25)
    assert_array_equal(one, [[[[2 * (7 - 5) / 2 + 3]]]])


@statistics
def test_batch_normalization_derivatives(given, rng):
    """Of every variable, with statistics that depend on x and that do not; a large eps, for it must be where it belongs."""
    x, gamma, beta, mean, var = batch_norm_problem(rng, given)
    eps, v = 0.5, rng.standard_normal(x.shape)
    at = {"x": x, "gamma": gamma, "beta": beta}
    products = reference.batch_norm2d_jac_tmv(v, x, gamma, beta, mean, var, eps)
    assert list(products) == list(at)
    directions = {name: rng.standard_normal(value.shape) for name, value in at.items()}
    whole = 0
    for name, d in directions.items():

        def of_one(value, name=name):
            return reference.batch_norm2d(**(at | {name: value}), mean=mean, var=var, eps=eps)

        J = central_difference(of_one, at[name])
        dy = reference.batch_norm2d_jac_mv(x, gamma, beta, mean, var, eps, **{f"d{name}": d})
        assert_allclose(dy, np.tensordot(J, d, d.ndim), atol=DIFFERENCE)
        assert_allclose(products[name], np.tensordot(v, J, v.ndim), atol=DIFFERENCE)
        whole = whole + dy
    all_three = {f"d{name}": d for name, d in directions.items()}
    assert_allclose(reference.batch_norm2d_jac_mv(x, gamma, beta, mean, var, eps, **all_three), whole, rtol=1e-12, atol=1e-13)


def test_layer_normalization_derivatives(rng):
    """Those of rows are those of batch normalization whose channels are the samples, but for gamma and beta."""
    x, v, dx = rng.standard_normal((3, 4, 6))
    gamma, dgamma, beta, dbeta = rng.standard_normal((4, 6))
    assert_allclose(reference.layer_norm(x, eps=0).mean(axis=1), 0, atol=1e-14)
    assert_allclose(reference.layer_norm(x, eps=0).var(axis=1), 1, rtol=1e-13)
    at, directions = {"x": x, "gamma": gamma, "beta": beta}, {"x": dx, "gamma": dgamma, "beta": dbeta}
    products = reference.layer_norm_jac_tmv(v, **at, eps=0.3)
    for name, d in directions.items():

        def of_one(value, name=name):
            return reference.layer_norm(**(at | {name: value}), eps=0.3)

        J = central_difference(of_one, at[name])
        dy = reference.layer_norm_jac_mv(**at, eps=0.3, **{f"d{name}": d})
        assert_allclose(dy, np.tensordot(J, d, d.ndim), atol=DIFFERENCE)
        assert_allclose(products[name], np.tensordot(v, J, v.ndim), atol=DIFFERENCE)


# --- filters ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["reflect", "mirror", "nearest", "wrap", "constant"])
@pytest.mark.parametrize(
    "shape", [((9, 8), (3, 3)), ((9, 8), (2, 4)), ((5, 6, 3), (3, 5)), ((3, 4), (9, 11)), ((1, 5), (3, 1))]
)
def test_filters_are_scipys_correlation(mode, shape, rng):
    """Kernels larger than the image, too, whose border repeats more than once; each channel by itself."""
    image, kernel = rng.standard_normal(shape[0]), rng.standard_normal(shape[1])
    of_each = kernel.reshape(kernel.shape + (1,) * (image.ndim - 2))
    expected = scipy.ndimage.correlate(image, of_each, mode=mode, cval=0.7)
    assert_allclose(reference.filter2d(image, kernel, mode, 0.7), expected, rtol=1e-12, atol=1e-12)


# --- all of them -----------------------------------------------------------------------------------------------------


def test_single_precision_is_computed_in_float64(rng, frozen):
    """From the same numbers, and what comes in is neither changed nor returned."""
    x, v = frozen(*rng.standard_normal((2, 2, 4, 5, 6)).astype(np.float32))
    W, b = frozen(rng.standard_normal((4, 4, 1, 1)).astype(np.float32), rng.standard_normal(4).astype(np.float32))
    kernel = W[:3, :3, 0, 0]

    def results(x, v, W, b, kernel):
        yield from (reference.conv2d(x, W, b), reference.conv2d_jac_mv(x, W, x, W, b), reference.conv2d_matrix(W, x.shape).data)
        yield from (*reference.conv2d_jac_tmv(v, x, W).values(), reference.conv2d_jacobian(x, W, "W").data)
        yield from (reference.im2col(x, 1), reference.col2im(x, (2, 4, 5, 6), 1), reference.filter2d(x[0, 0], kernel))
        yield from (reference.avg_pool2d(x, 1), reference.avg_pool2d_jac_tmv(v, x, 1)["x"])
        yield from (reference.max_pool2d(x, 1), reference.max_pool2d_jac_mv(x, 1, dx=v))
        yield from (reference.max_pool2d_jac_tmv(v, x, 1)["x"], reference.batch_norm2d(x, b, b))
        yield from (
            reference.batch_norm2d_jac_mv(x, b, b, dx=v, dgamma=b),
            *reference.batch_norm2d_jac_tmv(v, x, b, b).values(),
        )
        rows, n = x.reshape(2, -1), v.reshape(2, -1)
        yield from (reference.layer_norm(rows, n[0], n[1]), reference.layer_norm_jac_mv(rows, n[0], n[1], 0.1, n, n[0], n[1]))
        yield from reference.layer_norm_jac_tmv(n, rows, n[0], n[1]).values()

    given = x, v, W, b, kernel
    doubles = results(*(a.astype(np.float64) for a in given))
    for found, expected in zip(results(*given), doubles, strict=True):
        assert_array_equal(found, expected, strict=True)
        assert found.dtype == np.float64
        assert not any(np.shares_memory(found, a) for a in given)
    for found in results(*(a.astype(np.float64) for a in given)):
        assert found.flags.writeable
