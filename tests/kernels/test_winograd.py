"""What Winograd's filtering promises of any data (docs/conventions.md): its largest error is at most three times that of direct
summation, over a call, and over the outputs that see no value beyond a limit of 64 times what is usual there."""

import numpy as np
import pytest

import fastlec
from fastlec import SGD, AvgPool2d, Conv2d, ConvResidual, Flatten, Network, SoftmaxCrossEntropy, training_step

FAR = 64


def shifted(x, i, j):
    """What tap (i, j) of a 3 x 3 convolution with padding 1 reads of images x, as a matrix of their channels by all pixels."""
    h, w = x.shape[2:]
    return np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))[:, :, i : i + h, j : j + w].swapaxes(0, 1).reshape(x.shape[1], -1)


def exact(compute, a, b):
    """compute(a, b, algorithm) in a wider dtype: float64, or long double, which has no algorithm but the formula."""
    if a.dtype == np.float32:
        return compute(a.astype(np.float64), b.astype(np.float64), algorithm="direct")
    a, b = a.astype(np.longdouble), b.astype(np.longdouble)
    taps = [(i, j) for i in range(3) for j in range(3)]
    if compute is weight_gradient:
        rows = a.swapaxes(0, 1).reshape(a.shape[1], -1)
        return np.stack([rows @ shifted(b, i, j).T for i, j in taps], axis=-1).reshape(len(rows), b.shape[1], 3, 3)
    W = b if compute is forward else b.swapaxes(0, 1)[..., ::-1, ::-1]
    y = sum(W[:, :, i, j] @ shifted(a, i, j) for i, j in taps)
    return y.reshape(len(W), len(a), *a.shape[2:]).swapaxes(0, 1)


def forward(x, W, algorithm, **options):
    return fastlec.conv2d(x, W, padding=1, algorithm=algorithm, **options)


def data_gradient(v, W, algorithm, **options):
    """Of the images v: W is (channels of v, channels of the result, 3, 3)."""
    x = np.broadcast_to(np.zeros((), v.dtype), (len(v), W.shape[1], *v.shape[2:]))
    return fastlec.conv2d_jac_tmv(v, x, W, padding=1, algorithm=algorithm, wrt="x", **options)["x"]


def weight_gradient(v, x, algorithm):
    W = np.broadcast_to(np.zeros((), x.dtype), (v.shape[1], x.shape[1], 3, 3))
    return fastlec.conv2d_jac_tmv(v, x, W, padding=1, algorithm=algorithm, wrt="W")["W"]


# With 32 channels, the fewest that "auto" takes in float32, the largest error of one call in a hundred is more than 3 times
# that of direct summation (normal data: up to 3.3 times, on the base instruction set 4); from 40 channels on none of 150 calls
# was beyond 2.9.
def images(rng, dtype, channels=48, size=16, count=1):
    return rng.normal(size=(count, channels, size, size)).astype(dtype)


def weights(rng, dtype, channels=48, filters=32):
    return rng.normal(size=(filters, channels, 3, 3)).astype(dtype)


def seen(x):
    """The largest |x| that each pixel of a 3 x 3 convolution with padding 1 reads, NaN as infinity: (m, h, w)."""
    size = np.nan_to_num(np.abs(x), nan=np.inf).max(axis=1).astype(np.float64)
    padded = np.pad(size, ((0, 0), (1, 1), (1, 1)))
    h, w = size.shape[1:]
    return np.max([padded[:, i : i + h, j : j + w] for i in range(3) for j in range(3)], axis=0)


def usual(x):
    """The median over tiles of the largest |x| that they read."""
    size = np.nan_to_num(np.abs(x), nan=np.inf).max(axis=1)
    padded = np.pad(size, ((0, 0), (1, 5), (1, 5)))
    h, w = size.shape[1:]
    tiles = [padded[:, i : i + 6, j : j + 6].max(axis=(1, 2)) for i in range(0, h, 4) for j in range(0, w, 4)]
    return float(np.median(tiles))


def check(compute, x, W):
    """The promise, for x that compute convolves with W."""
    with np.errstate(all="ignore"):
        y, direct, wanted = compute(x, W, "auto"), compute(x, W, "direct"), exact(compute, x, W)
        errors, limits = np.abs(y - wanted), np.abs(direct - wanted)
    reach = seen(x)
    finite = np.isfinite(direct)
    assert np.isfinite(y[finite]).all()
    np.testing.assert_array_equal(np.isnan(y) | np.isinf(y), ~finite)
    steps = np.unique(reach[np.isfinite(reach)])
    limit = FAR * usual(x)
    for t in (*steps[steps >= limit][:8], limit, np.inf):
        among = np.broadcast_to(((reach <= t) & (reach > 0))[:, None], y.shape) & finite
        if among.any():
            assert errors[among].max() <= 3 * limits[among].max(), t


OUTLIERS = [-9999.0, 300.0, 1e6, 1e15, -3.4028235e38, np.inf, np.nan]


@pytest.mark.parametrize("value", OUTLIERS)
@pytest.mark.parametrize("compute", [forward, data_gradient])
def test_a_value_far_away_spoils_nothing_that_does_not_see_it(compute, value, isa, dtype, rng):
    for size, count in ((32, 1), (7, 1), (9, 6)):
        x = images(rng, dtype, size=size, count=count)
        x[0, 3, size // 2, size // 3] = value
        check(compute, x, weights(rng, dtype) if compute is forward else weights(rng, dtype, 32, 48))


def at_the_border(rng, dtype):
    x = images(rng, dtype)
    x[:, :, :, 0] *= 1e6
    return x


def in_one_image(rng, dtype):
    x = images(rng, dtype, count=4)
    x[1] *= 1e5
    return x


def half_dark(rng, dtype):
    x = images(rng, dtype, count=2)
    x[:, :, :, :9] *= 1e-4
    return x


def a_square_of_light(rng, dtype):
    x = images(rng, dtype, size=32)
    x[:, :, 10:15, 13:19] *= 1e4
    return x


def one_channel(rng, dtype):
    x = images(rng, dtype)
    x[:, 1:] = 0
    return x


def channels_of_all_sizes(rng, dtype):
    return images(rng, dtype) * np.logspace(-6, 6, 48, dtype=dtype)[:, None, None]


def pixels_of_all_sizes(rng, dtype):
    return images(rng, dtype) * (10 ** rng.uniform(-12, 12, (1, 1, 16, 16))).astype(dtype)


def sparse(rng, dtype):
    return np.maximum(images(rng, dtype, channels=64) - 1.3, 0)


def few_pixels(rng, dtype):
    x = np.zeros((1, 48, 24, 24), dtype)
    x[0, 5, 11, 13], x[0, 6, 12, 13] = 1, -3e3
    return x


DATA = [at_the_border, in_one_image, half_dark, a_square_of_light, one_channel, channels_of_all_sizes, pixels_of_all_sizes]
DATA += [sparse, few_pixels]


@pytest.mark.parametrize("make", DATA)
def test_data_of_all_sizes(make, isa, dtype, rng):
    x = make(rng, dtype)
    check(forward, x, weights(rng, dtype, x.shape[1]))
    check(data_gradient, x, weights(rng, dtype, 32, x.shape[1]))


def one_tap(W, rng):
    W[:, 1:] = W[:, 0, [0, 2]] = W[:, 0, 1, [0, 2]] = 0


def pruned(W, rng):
    W *= rng.random(W.shape) < 0.1


def one_pruned_filter(W, rng):
    W[5] *= rng.random(W.shape[1:]) < 0.05


def a_large_tap(W, rng):
    W[3, 30, 1, 2] = 1e6


def decades(W, rng):
    W *= 10 ** rng.uniform(-4, 0, W.shape)


@pytest.mark.parametrize("change", [one_tap, pruned, one_pruned_filter, a_large_tap, decades])
@pytest.mark.parametrize("size", [7, 16])
def test_weights_of_all_sizes(change, size, isa, dtype, rng):
    x, W = images(rng, dtype, size=size), weights(rng, dtype)
    change(W, rng)
    check(forward, x, W)


@pytest.mark.parametrize("scales", [(2.5e37, 1e-3), (1e-36, 1.0), (1e30, 1e-30), (1e-30, 1e30), (1.0, 1e-38), (1e20, 1e17)])
def test_it_overflows_where_direct_summation_does(scales, isa, dtype, rng):
    x, W = images(rng, dtype) * dtype.type(scales[0]), weights(rng, dtype) * dtype.type(scales[1])
    check(forward, x, W)
    W[3, 2, 1, 1] = np.inf
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(np.isfinite(forward(x, W, "auto")), np.isfinite(forward(x, W, "direct")))


def whole(rng, shape):
    return rng.integers(0, 256, shape)


def signs(rng, shape):
    return rng.choice([-1, 1], shape)


def halves(rng, shape):
    return rng.normal(size=shape).astype(np.float16)


def constant(rng, shape):
    return np.full(shape, 3.7)


def checkered(rng, shape):
    return np.indices(shape).sum(axis=0) % 2 - 0.5


SHORT = [whole, signs, halves, constant, checkered]
TAPS = {
    "small": lambda rng, shape: rng.integers(-2, 3, shape),
    "signs": signs,
    "box": lambda rng, shape: np.full(shape, 1 / 9),
    "normal": lambda rng, shape: rng.normal(size=shape),
}


@pytest.mark.parametrize("name", TAPS)
@pytest.mark.parametrize("make", SHORT)
def test_numbers_of_few_bits_whose_sums_are_exact(make, name, isa, dtype, rng):
    """With and without a value that marks missing ones."""
    for size in (16, 48) if dtype == np.float32 else (16,):  # the tiles that see it are few of the larger image's
        x, W = make(rng, (1, 48, size, size)).astype(dtype), TAPS[name](rng, (32, 48, 3, 3)).astype(dtype)
        check(forward, x, W)
        x[0, 7, 3, 9] = np.finfo(dtype).min
        check(forward, x, W)
        check(data_gradient, x, np.ascontiguousarray(W.swapaxes(0, 1)))


@pytest.mark.parametrize("make", [whole, signs])
def test_weights_gradients_of_few_bits(make, isa, dtype, rng):
    x, v = make(rng, (2, 16, 24, 24)).astype(dtype), rng.integers(-3, 4, (2, 16, 24, 24)).astype(dtype)
    np.testing.assert_array_equal(weight_gradient(v, x, "auto"), exact(weight_gradient, v, x))


def test_the_median_is_over_all_tiles(isa, dtype, rng):
    """Those of zeros alone as well: here the tiles that hold something are mostly of large values."""
    x = np.zeros((1, 48, 32, 32), dtype)
    x[..., :6] = 300
    x[..., 12:14] = rng.normal(size=(48, 32, 2))
    check(forward, x, weights(rng, dtype))
    check(data_gradient, x, weights(rng, dtype, 32, 48))


def test_a_border_that_more_than_half_of_the_tiles_see(isa, rng):
    """Of a dilated convolution, whose phases have tiles of their own; by pixels it is little of the image."""
    dtype = np.dtype(np.float32)
    x, W = images(rng, dtype, size=31, count=2), weights(rng, dtype)
    x = x[..., :26].copy()
    x[..., 0, :] = x[..., -1, :] = x[..., 0] = x[..., -1] = 1e4
    options = {"padding": (2, 3), "dilation": (2, 1)}
    y, direct = (fastlec.conv2d(x, W, algorithm=name, **options) for name in ("auto", "direct"))
    wanted = fastlec.conv2d(x.astype(float), W.astype(float), algorithm="direct", **options)
    inside = np.s_[..., 3:-3, 4:-4]  # what does not see it
    assert np.abs(y - wanted)[inside].max() <= 3 * np.abs(direct - wanted)[inside].max()


def spoil_x(x, v):
    x[0, 2, 5, 6] = 1e6


def spoil_v(x, v):
    v[0, 2, 5, 6] = -1e6


def spoil_both(x, v):
    x[0, 2, 5, 6] = v[0, 9, 5, 7] = 3e4


def spoil_a_column(x, v):
    x[..., 0] *= 1e5


def spoil_a_corner(x, v):
    x[0, :, -1, -1] = 1e7


def leave_one_pixel(x, v):
    x[...] = 0
    x[0, 1, 8, 9] = 1


def thin_out(x, v):
    x[...] = np.maximum(x - 1.3, 0)


@pytest.mark.parametrize(
    "change",
    [spoil_x, spoil_v, spoil_both, spoil_a_column, spoil_a_corner, leave_one_pixel, thin_out],
    ids=lambda f: f.__name__,
)
def test_weights_gradients_of_all_sizes(change, isa, dtype, rng):
    """By a sum in order; planes that hold no such value, and taps that do not reach it, are as good as ever."""
    x, v = images(rng, dtype, 16, 24, 2), images(rng, dtype, 16, 24, 2)
    change(x, v)
    wanted = exact(weight_gradient, v, x)
    errors = np.abs(weight_gradient(v, x, "auto") - wanted)
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    terms = [padded[:, :, i : i + 24, j : j + 24].swapaxes(0, 1).reshape(16, -1) for i in range(3) for j in range(3)]
    rows = v.swapaxes(0, 1).reshape(16, -1)
    in_order = np.stack([(rows[:, None] * term).cumsum(axis=-1, dtype=dtype)[..., -1] for term in terms], axis=-1)
    limits = np.abs(in_order.reshape(wanted.shape) - wanted)
    assert errors.max() <= 3 * limits.max()
    far = FAR * max(usual(x), 1e-30), FAR * usual(v)
    read = [np.abs(term).max(axis=-1) for term in terms]  # the largest |x| that a tap reads of each plane
    largest = np.stack(read, axis=-1).reshape(1, 16, 3, 3)
    among = (largest <= far[0]) & (np.abs(rows).max(axis=-1) <= far[1]).reshape(16, 1, 1, 1)
    assert errors[among].max() <= 3 * limits[among].max()


@pytest.mark.parametrize("value", [np.nan, np.inf, 3e38])
def test_weights_gradient_of_what_is_not_finite(value, isa, dtype, rng):
    """NaN and infinity reach the rows or columns of dW that read them, and no others."""
    x, v = images(rng, dtype, 16, 24, 2), images(rng, dtype, 16, 24, 2)
    x[0, 3, 7, 7] = value
    with np.errstate(all="ignore"):
        found, direct = weight_gradient(v, x, "auto"), weight_gradient(v, x, "direct")
    np.testing.assert_array_equal(np.isfinite(found), np.isfinite(direct))
    assert np.isfinite(np.delete(found, 3, axis=1)).all()


@pytest.mark.parametrize("options", [{}, {"dilation": 2}, {"dilation": (1, 3)}, {"groups": 2}], ids=str)
@pytest.mark.parametrize("value", [1e4, 1e5, np.nan])
def test_some_tiles_of_a_call_are_summed_directly(options, value, isa, dtype, rng):
    """With dilations, groups, biases and activations, in both dtypes: as a call that is direct altogether."""
    x = rng.normal(size=(3, 16, 21, 26)).astype(dtype)
    x[1, 1, 3, 20], x[2, 12, 20, 0] = value, -value
    padding = options.get("dilation", 1)
    made = [
        Conv2d(16, 18, 3, "relu", padding=padding, algorithm=name, dtype=dtype, rng=0, **options)
        for name in ("winograd", "direct")
    ]
    with np.errstate(all="ignore"):
        y, direct = (layer(x) for layer in made)
    finite = np.isfinite(direct)
    np.testing.assert_array_equal(np.isfinite(y), finite)
    scale = np.nanmax(np.abs(np.where(finite, direct, 0)))
    np.testing.assert_allclose(y[finite], direct[finite], rtol=0, atol=200 * np.finfo(dtype).eps * scale)
    far = np.ones(x.shape[2:], bool)
    far[:9, 14:], far[14:, :7] = False, False
    usual_values = direct[..., far]
    np.testing.assert_allclose(y[..., far], usual_values, rtol=0, atol=200 * np.finfo(dtype).eps * np.abs(usual_values).max())


@pytest.mark.parametrize("make", [lambda rng, dtype: images(rng, dtype, 64, 28, 2), half_dark, pixels_of_all_sizes, sparse])
def test_the_same_bits_for_any_team(make, isa, alone, dtype, rng):
    x = make(rng, dtype)
    x[0, 0, 3, 3] = 1e5
    v, W = images(rng, dtype, 32, x.shape[2], len(x)), weights(rng, dtype, x.shape[1])
    calls = [lambda: forward(x, W, "auto"), lambda: data_gradient(v, W, "auto"), lambda: weight_gradient(v, x, "auto")]
    together = [call() for call in calls]
    with alone():
        for call, bits in zip(calls, together, strict=True):
            np.testing.assert_array_equal(call(), bits)


@pytest.mark.parametrize("channels", [48, 64])
def test_ordinary_data_go_by_transforms(channels, isa, dtype, rng):
    """Images, and activations after relu with their zeros: hardly an output has the bits of direct summation."""
    W = weights(rng, dtype, channels)
    signed = images(rng, dtype, channels, 24)
    for x in (signed, np.maximum(signed, 0), rng.random(signed.shape, dtype)):
        same = forward(x, W, "auto") == forward(x, W, "direct")
        assert same.mean() < 0.5


def test_residual_layers_are_guarded_as_well(dtype, rng):
    layer = ConvResidual(48, activation="identity", dtype=dtype, rng=0)
    x = images(rng, dtype, size=20)
    clean = layer(x)
    x[0, 0, 1, 1] = 1e7
    spoilt = layer(x)
    assert np.abs(spoilt - clean)[..., 8:, 8:].max() <= 1e-4


@pytest.fixture
def conv_algorithm():
    yield fastlec.set_conv_algorithm
    fastlec.set_conv_algorithm("auto")


def test_a_choice_for_the_whole_process(conv_algorithm, dtype, rng):
    """It holds for functions, layers, networks and steps, those that have plans of these shapes already as well."""
    x, W, y = images(rng, dtype, 64, 20), weights(rng, dtype, 64), np.zeros(1, int)
    first, second = Conv2d(64, 48, 3, padding=1, dtype=dtype, rng=0), ConvResidual(48, dtype=dtype, rng=1)
    net = Network([first, second, AvgPool2d(20), Flatten()])
    step = training_step(net, SoftmaxCrossEntropy(), SGD(0.0001), 1)
    step(x, y)
    fast = forward(x, W, "auto"), net(x), net.linearize(x)[0]
    conv_algorithm("direct")
    assert fastlec.get_conv_algorithm() == "direct"
    slow = forward(x, W, "auto"), net(x), net.linearize(x)[0]
    np.testing.assert_array_equal(slow[0], forward(x, W, "direct"))
    for a, b in zip(fast, slow, strict=True):
        assert (a != b).any()
        np.testing.assert_allclose(a, b, rtol=0, atol=1e4 * np.finfo(dtype).eps)
    theta = net.theta.copy()
    again = Network(net.layers)
    step(x, y)
    training_step(again, SoftmaxCrossEntropy(), SGD(0.0001), 1)(x, y)
    assert (net.theta != theta).any()
    np.testing.assert_array_equal(net.theta, again.theta)
    conv_algorithm("im2col")
    np.testing.assert_array_equal(forward(x, W, "auto"), forward(x, W, "im2col"))
    conv_algorithm("auto")
    np.testing.assert_array_equal(forward(x, W, "auto"), fast[0])


@pytest.mark.parametrize("name", ["winograd", "fft", None, 3])
def test_choices_that_are_none(conv_algorithm, name):
    with pytest.raises(ValueError, match=r"algorithm is .*expected"):
        conv_algorithm(name)
    assert fastlec.get_conv_algorithm() == "auto"
