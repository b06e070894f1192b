"""Pooling of images and signals, Upsample2d, Flatten: against fastlec.reference, in networks, at the edges of images and memory."""

import ctypes
import itertools
import math
import mmap

import cases
import numpy as np
import pytest
import scipy.sparse
from numpy.testing import assert_allclose, assert_array_equal

import fastlec
from fastlec import (
    SGD,
    Activation,
    AvgPool1d,
    AvgPool2d,
    Dense,
    Flatten,
    GlobalAvgPool2d,
    MaxPool1d,
    MaxPool2d,
    MeanSquaredError,
    Network,
    SoftmaxCrossEntropy,
    Upsample2d,
    io,
    reference,
    training_step,
)
from fastlec._geometry import window_geometry
from fastlec._kernels import plan as kernels
from fastlec.testing import check_layer

pytestmark = pytest.mark.filterwarnings("ignore:net ends with")  # networks here end in any activation, whatever the loss

CASES = [  # (shape of x, kernel_size, stride, padding)
    ((2, 3, 6, 8), 2, None, 0),
    ((2, 3, 7, 9), 2, None, 0),
    ((3, 2, 28, 28), 2, None, 0),
    ((1, 2, 5, 71), 2, None, 0),
    ((1, 2, 5, 64), 2, 2, 1),
    ((2, 2, 7, 9), 3, 2, 0),
    ((2, 2, 7, 9), 3, 2, 1),
    ((1, 2, 8, 70), 3, 2, 1),
    ((2, 2, 8, 67), 3, 2, 0),
    ((2, 3, 5, 36), 3, 1, 1),
    ((2, 2, 9, 10), (2, 3), (1, 2), (1, 0)),
    ((2, 2, 9, 40), (5, 4), (2, 1), 2),
    ((2, 2, 9, 41), (5, 4), (3, 2), 2),
    ((1, 2, 11, 43), (1, 5), (1, 2), (0, 2)),
    ((2, 2, 9, 11), 2, 3, 0),
    ((2, 2, 9, 12), 3, None, 1),
    ((1, 3, 6, 7), 1, 2, 0),
    ((1, 3, 6, 7), 1, 1, 0),
    ((4, 5, 7, 7), 7, None, 0),
    ((1, 2, 20, 23), (17, 19), 1, 4),
    ((1, 2, 1, 3), 2, None, 1),
    ((2, 1, 1, 1), 1, None, 0),
    ((0, 2, 6, 6), 2, None, 0),
]
SAME = [
    ((2, 2, 7, 9), 3, 2, "same"),
    ((1, 2, 6, 40), (2, 4), 1, "same"),
]


def pool(name, shape, kernel_size, stride, padding, others):
    return name, shape, {"kernel_size": kernel_size, "stride": stride, "padding": padding} | others


KINDS = {"avg_pool2d": AvgPool2d, "max_pool2d": MaxPool2d}
kinds = pytest.mark.parametrize("name", KINDS)
ONE_KIND = [  # (kind, shape of x, kernel_size, stride, padding, other settings)
    ("avg_pool2d", (2, 2, 7, 9), 3, 2, 1, {"count_include_pad": False}),
    ("avg_pool2d", (1, 2, 6, 41), (3, 4), (1, 2), (1, 2), {"count_include_pad": False}),
    ("avg_pool2d", (1, 2, 7, 40), (2, 5), (2, 1), "same", {"count_include_pad": False}),
    ("avg_pool2d", (1, 2, 9, 12), (3, 4), (4, 5), 1, {"count_include_pad": False}),
    ("avg_pool2d", (2, 2, 7, 9), 2, None, 0, {"ceil_mode": True}),
    ("avg_pool2d", (1, 2, 7, 38), (4, 3), 3, (2, 1), {"ceil_mode": True}),
    ("avg_pool2d", (1, 2, 8, 39), 4, 3, 1, {"ceil_mode": True, "count_include_pad": False}),
    ("avg_pool2d", (1, 2, 2, 3), (3, 4), 2, 0, {"ceil_mode": True}),
    ("max_pool2d", (2, 2, 7, 9), 2, None, 0, {"ceil_mode": True}),
    ("max_pool2d", (1, 2, 8, 39), 3, 2, 1, {"ceil_mode": True}),
    ("max_pool2d", (1, 2, 2, 3), (3, 4), 2, 0, {"ceil_mode": True}),
    ("max_pool2d", (2, 2, 9, 38), 3, 1, 2, {"dilation": 2}),
    ("max_pool2d", (2, 2, 9, 38), 2, 2, "same", {"dilation": (1, 3)}),
    ("max_pool2d", (1, 2, 12, 10), (3, 2), (3, 2), (3, 1), {"dilation": (3, 2), "ceil_mode": True}),
    ("max_pool2d", (1, 2, 1, 9), (3, 1), 1, (2, 0), {"dilation": (2, 5)}),
]
POOLS = [(name, *case, {}) for case in CASES + SAME for name in KINDS] + ONE_KIND
pools = pytest.mark.parametrize(("name", "shape", "settings"), [pool(*case) for case in POOLS], ids=str)
ACTIVATIONS = ("tanh", "sigmoid", "relu")
WINDOWS = [(2,), (3, 2), (3, 2, 1), (3, 1, 1), (3, 3)]
windows = pytest.mark.parametrize("settings", WINDOWS, ids=str)


def distinct(rng, shape, dtype):
    """No two elements within 1 of each other: steps of less do not change which is the largest."""
    return rng.permutation(int(np.prod(shape))).reshape(shape).astype(dtype)


def integers(rng, shape, dtype, of=1):
    """Multiples of a number, many of them equal: all sums are exact."""
    return (of * rng.integers(-4, 5, shape)).astype(dtype)


def divisible(layer):
    """A number that the sizes of all of a layer's windows divide."""
    r, s = layer.kernel_size
    if getattr(layer, "count_include_pad", True) and not layer.ceil_mode:
        return r * s
    return math.lcm(*range(1, r + 1)) * math.lcm(*range(1, s + 1))


def referred(name, which, *args, **options):
    return getattr(reference, name + which)(*args, **options)


def answers(layer, x, dx, v):
    y, jac = layer.linearize(x)
    return {"y": y, "call": layer(x), "mv": jac.mv(x=dx), "tmv": jac.tmv(v)["x"]}


# --- against the reference -------------------------------------------------------------------------------------------


@pools
def test_bits_of_integers(name, shape, settings, isa, dtype, rng, frozen):
    """Sums are exact, so means are rounded once; maxima are elements; many of them are ties."""
    layer = KINDS[name](**settings)
    x, dx = frozen(integers(rng, shape, dtype), integers(rng, shape, dtype))
    y, jac = layer.linearize(x)
    assert y.shape == (len(x), *layer.output_shape(shape[1:]))
    v = frozen(integers(rng, y.shape, dtype, divisible(layer)))
    assert_array_equal(y, referred(name, "", x, **settings).astype(dtype), strict=True)
    assert_array_equal(layer(x), y, strict=True)
    assert_array_equal(jac.mv(x=dx), referred(name, "_jac_mv", x, **settings, dx=dx).astype(dtype), strict=True)
    assert_array_equal(jac.tmv(v)["x"], referred(name, "_jac_tmv", v, x, **settings)["x"].astype(dtype), strict=True)


@pytest.mark.parametrize(("name", "shape", "settings"), [pool(*case) for case in POOLS if case[0] == "avg_pool2d"], ids=str)
def test_means_of_reals(name, shape, settings, isa, dtype, rng):
    """n terms, added up in any order and divided: n roundings at most of each, by half an eps."""
    layer = AvgPool2d(**settings)
    x = rng.standard_normal(shape).astype(dtype)
    taps = int(np.prod(layer.kernel_size))
    units = taps * np.finfo(dtype).eps / 2
    y, jac = layer.linearize(x)
    error = np.abs(y - referred(name, "", x, **settings))
    assert (error <= units * referred(name, "", np.abs(x), **settings)).all()
    v = rng.standard_normal(y.shape).astype(dtype)
    error = np.abs(jac.tmv(v)["x"] - referred(name, "_jac_tmv", v, x, **settings)["x"])
    assert (error <= units * referred(name, "_jac_tmv", np.abs(v), x, **settings)["x"]).all()


@pools
def test_the_three_tests_of_the_lecture(name, shape, settings, dtype, rng):
    """check_layer, explicit Jacobians included where they are small."""
    if 0 not in shape:
        check_layer(KINDS[name](**settings), distinct(rng, shape, dtype), rng=3).assert_passed()


@pools
def test_the_matrix_is_sparse(name, shape, settings, dtype, rng):
    """Each row from the reference's J' times a unit vector."""
    layer, x = KINDS[name](**settings), integers(rng, shape, dtype)
    y, jac = layer.linearize(x)
    J = jac.matrix("x")
    assert isinstance(J, scipy.sparse.csr_array)
    assert J.dtype == dtype
    assert J.shape == (y.size, x.size)
    assert J.nnz <= layer._nonzeros(jac.kept, "x")
    for i in rng.permutation(y.size)[:50]:
        v = np.zeros(y.size)
        v[i] = 1
        row = referred(name, "_jac_tmv", v.reshape(y.shape), x, **settings)["x"]
        assert_array_equal(J[[i]].toarray()[0], row.ravel().astype(dtype))
    dx = integers(rng, shape, dtype)
    assert_allclose(J @ dx.ravel(), jac.mv(x=dx).ravel(), rtol=0, atol=8 * np.finfo(dtype).eps)


# --- layers of the same kernels ----------------------------------------------------------------------------------------

OTHERS = {  # (the layer, its settings, the name of its reference)
    "upsample 2": (Upsample2d, (2,), "upsample2d"),
    "upsample 1": (Upsample2d, (1,), "upsample2d"),
    "upsample 3": (Upsample2d, (3,), "upsample2d"),
    "upsample rows": (Upsample2d, ((2, 1),), "upsample2d"),
    "upsample columns": (Upsample2d, ((1, 2),), "upsample2d"),
    "upsample apart": (Upsample2d, ((5, 9),), "upsample2d"),
    "global": (GlobalAvgPool2d, (), "global_avg_pool2d"),
    "average of signals": (AvgPool1d, (2,), "avg_pool1d"),
    "overlapping average of signals": (AvgPool1d, (5, 2, 2), "avg_pool1d"),
    "maximum of signals": (MaxPool1d, (2,), "max_pool1d"),
    "overlapping maximum of signals": (MaxPool1d, (3, 2, 1), "max_pool1d"),
}
others = pytest.mark.parametrize(("kind", "settings", "name"), OTHERS.values(), ids=OTHERS)
OTHER_SHAPES = [(2, 3, 4, 6), (1, 2, 7, 35), (3, 1, 1, 1), (2, 2, 3, 130), (0, 2, 3, 4)]


@others
@pytest.mark.parametrize("shape", OTHER_SHAPES, ids=str)
def test_layers_of_the_same_kernels(kind, settings, name, shape, isa, dtype, rng, frozen):
    """The bits of the reference, for integers, alone and below an activation; explicit Jacobians; the lecture's tests."""
    layer = kind(*settings)
    if kind in (AvgPool1d, MaxPool1d):
        shape = (*shape[:2], shape[2] * shape[3] + 4)
    x, dx = frozen(integers(rng, shape, dtype), integers(rng, shape, dtype))
    y, jac = layer.linearize(x)
    of = {Upsample2d: 1, GlobalAvgPool2d: int(np.prod(shape[2:]))}.get(kind) or layer.kernel_size
    v = frozen(integers(rng, y.shape, dtype, of))
    dy, g = jac.mv(x=dx), jac.tmv(v)["x"]
    assert y.shape == (len(x), *layer.output_shape(shape[1:]))
    assert_array_equal(y, referred(name, "", x, *settings).astype(dtype), strict=True)
    assert_array_equal(layer(x), y, strict=True)
    assert_array_equal(dy, referred(name, "_jac_mv", x, *settings, dx=dx).astype(dtype), strict=True)
    assert_array_equal(g, referred(name, "_jac_tmv", v, x, *settings)["x"].astype(dtype), strict=True)
    J = jac.matrix("x")
    assert isinstance(J, scipy.sparse.csr_array)
    assert J.dtype == dtype
    assert J.shape == (y.size, x.size)
    assert J.nnz <= layer._nonzeros(jac.kept, "x")
    close = {"rtol": 0, "atol": 40 * np.finfo(dtype).eps * (1 + of)}
    assert_allclose(J @ dx.ravel(), dy.ravel(), **close)
    assert_allclose(J.T @ v.ravel(), g.ravel(), **close)
    net = Network([Activation("relu"), layer])
    positive = layer.linearize(np.maximum(x, 0))[1].tmv(v)["x"] * (x > 0)
    assert_array_equal(net.linearize(x)[1].tmv(v)["x"], positive)


@others
def test_layers_of_the_same_kernels_keep_the_contract(kind, settings, name, dtype, rng):
    shape = (2, 3, 14) if kind in (AvgPool1d, MaxPool1d) else (2, 3, 4, 5)
    check_layer(kind(*settings), distinct(rng, shape, dtype), rng=3).assert_passed()


@others
def test_layers_of_the_same_kernels_in_teams(kind, settings, name, isa, dtype, rng, alone):
    layer = kind(*settings)
    x, dx = rng.standard_normal((2, 4, 17, *((4000,) if kind in (AvgPool1d, MaxPool1d) else (61, 70)))).astype(dtype)
    v = rng.standard_normal((4, *layer.output_shape(x.shape[1:]))).astype(dtype)
    team = answers(layer, x, dx, v)
    with alone():
        for what, a in answers(layer, x, dx, v).items():
            assert_array_equal(a, team[what], err_msg=what)


@others
@cases.layouts
def test_layers_of_the_same_kernels_take_any_layout(kind, settings, name, layout, dtype, rng):
    layer = kind(*settings)
    x, dx = rng.standard_normal((2, 2, 3, *((15,) if kind in (AvgPool1d, MaxPool1d) else (4, 5)))).astype(dtype)
    v = rng.standard_normal(layer(x).shape).astype(dtype)
    expected = answers(layer, x, dx, v)
    for what, a in answers(layer, layout(x), layout(dx), layout(v)).items():
        assert_array_equal(a, expected[what], err_msg=what, strict=True)


@others
def test_nan_and_infinity_in_layers_of_the_same_kernels(kind, settings, name, isa, dtype, rng):
    shape = (2, 3, 20) if kind in (AvgPool1d, MaxPool1d) else (2, 3, 4, 5)
    x = rng.choice([np.nan, np.inf, -np.inf, 1.0], shape, p=[0.05, 0.1, 0.1, 0.75]).astype(dtype)
    with np.errstate(invalid="ignore"):
        assert_array_equal(kind(*settings)(x), referred(name, "", x, *settings).astype(dtype))


REFUSED = {
    "scale_factor": (lambda: Upsample2d(0), ValueError, "scale_factor is 0; expected at least 1"),
    "scale_factor real": (lambda: Upsample2d(2.0), TypeError, "scale_factor is 2.0; expected an integer or a pair"),
    "scale_factor three": (lambda: Upsample2d((1, 2, 3)), ValueError, r"scale_factor is \(1, 2, 3\)"),
    "beyond memory": (lambda: Upsample2d(2**24).output_shape((1, 1, 2)), MemoryError, "images padded to"),
    "signal to upsample": (lambda: Upsample2d(2)(np.ones((2, 3, 4))), ValueError, r"x has samples of shape \(3, 4\); expected"),
    "no pixels": (
        lambda: GlobalAvgPool2d()(np.ones((2, 3, 0, 4))),
        ValueError,
        r"x has samples of shape \(3, 0, 4\); expected",
    ),
    "kernel_size": (lambda: MaxPool1d((2,)), TypeError, r"kernel_size is \(2,\); expected an integer"),
    "stride": (lambda: AvgPool1d(2, 0), ValueError, "stride is 0; expected at least 1"),
    "padding": (lambda: AvgPool1d(3, padding=2), ValueError, "padding is 2; expected at most half of kernel_size, which is 3"),
    "image": (lambda: MaxPool1d(2)(np.ones((2, 3, 4, 5))), ValueError, r"x has .* \(3, 4, 5\); expected \(channels, length\)"),
    "short": (lambda: AvgPool1d(5, padding=1)(np.ones((2, 3, 2))), ValueError, "kernel_size is 5; expected at most the padded"),
}


@pytest.mark.parametrize(("call", "error", "text"), REFUSED.values(), ids=REFUSED)
def test_what_layers_of_the_same_kernels_refuse(call, error, text):
    with pytest.raises(error, match=f"^{text}"):
        call()


TEAMS = [
    *(kind(*settings) for kind in KINDS.values() for settings in WINDOWS),
    AvgPool2d(3, 2, "same", ceil_mode=True, count_include_pad=False),
    MaxPool2d(3, 2, 2, 2, ceil_mode=True),
]


@pytest.mark.parametrize("layer", TEAMS, ids=str)
def test_teams_agree_bit_by_bit(layer, isa, dtype, rng, alone):
    shape = (16, 32, 33, 35)  # enough work for a team
    x = rng.standard_normal(shape).astype(dtype)
    dx, v = rng.standard_normal(shape).astype(dtype), rng.standard_normal(layer(x).shape).astype(dtype)
    team = answers(layer, x, dx, v)
    with alone():
        for what, a in answers(layer, x, dx, v).items():
            assert_array_equal(a, team[what], err_msg=what)


# --- ties, NaN and infinity ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "stride", "padding"), [(2, 2, 0), (3, 2, 1), (3, 1, 1), (4, 4, 1)], ids=str)
@pytest.mark.parametrize("value", [0.0, -np.inf, np.inf, np.nan])
def test_the_first_of_equal_elements_has_the_derivative(value, size, stride, padding, isa, dtype):
    """In the order of memory, and never a pixel of the padding."""
    layer = MaxPool2d(size, stride, padding)
    x = np.full((1, 1, 8, 40), value, dtype)
    y, jac = layer.linearize(x)
    assert_array_equal(y, np.full_like(y, value))
    v = np.arange(1, 1 + y.size).reshape(y.shape).astype(dtype)
    expected = np.zeros_like(x)
    for _, _, a, b in np.ndindex(y.shape):
        expected[0, 0, max(a * stride - padding, 0), max(b * stride - padding, 0)] += v[0, 0, a, b]
    assert_array_equal(jac.tmv(v)["x"], expected)
    pixels = np.arange(x.size).reshape(x.shape).astype(dtype)
    rows, cols = (np.maximum(np.arange(n) * stride - padding, 0) for n in y.shape[2:])
    assert_array_equal(jac.mv(x=pixels)[0, 0], rows[:, None] * 40 + cols)


@pytest.mark.parametrize("settings", [(2, 2, 0), (3, 2, 1), (3, 1, 1), (4, 4, 1), (3, 2, 2, 2)], ids=str)
def test_nan_and_infinity_among_numbers(settings, isa, dtype, rng):
    """A NaN anywhere in a window is its maximum, whatever stands before and after it."""
    layer = MaxPool2d(*settings)
    x = rng.choice([np.nan, np.inf, -np.inf, 1.0, 2.0], (2, 3, 12, 41), p=[0.1, 0.1, 0.4, 0.2, 0.2]).astype(dtype)
    y, jac = layer.linearize(x)
    assert 0 < np.isnan(y).sum() < y.size
    assert_array_equal(y, referred("max_pool2d", "", x, *settings))
    v, dx = integers(rng, y.shape, dtype), integers(rng, x.shape, dtype)
    assert_array_equal(jac.tmv(v)["x"], referred("max_pool2d", "_jac_tmv", v, x, *settings)["x"])
    assert_array_equal(jac.mv(x=dx), referred("max_pool2d", "_jac_mv", x, *settings, dx=dx))
    J = jac.matrix("x")
    assert_array_equal(J @ dx.ravel(), jac.mv(x=dx).ravel())


def test_means_of_nan_and_infinity(isa, dtype, rng):
    x = rng.choice([np.nan, np.inf, -np.inf, 1.0], (2, 3, 12, 41), p=[0.05, 0.1, 0.1, 0.75]).astype(dtype)
    with np.errstate(invalid="ignore"):
        assert_array_equal(AvgPool2d(3, 2, 1)(x), referred("avg_pool2d", "", x, 3, 2, 1).astype(dtype))


# --- memory ----------------------------------------------------------------------------------------------------------


class Guarded:
    """An array that ends where a page begins that nobody may touch, or begins where one ends."""

    def __init__(self, a, at_end):
        page = mmap.PAGESIZE
        inside = -(-a.nbytes // page) * page
        self._memory = mmap.mmap(-1, inside + 2 * page)
        begin = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        libc = ctypes.CDLL(None, use_errno=True)
        for guard in (begin, begin + page + inside):
            assert libc.mprotect(ctypes.c_void_p(guard), ctypes.c_size_t(page), 0) == 0
        offset = page + (inside - a.nbytes if at_end else 0)
        self.array = np.frombuffer(self._memory, a.dtype, a.size, offset).reshape(a.shape)
        self.array[...] = a


@pytest.mark.skipif(not hasattr(mmap, "PROT_READ"), reason="needs POSIX memory protection")
@pytest.mark.parametrize("at_end", [False, True])
@pools
def test_nothing_outside_the_arrays_is_touched(name, shape, settings, at_end, isa, dtype, rng):
    if 0 in shape:
        return
    layer, x = KINDS[name](**settings), integers(rng, shape, dtype)
    y, jac = layer.linearize(x)
    v, dx = integers(rng, y.shape, dtype), integers(rng, shape, dtype)
    guarded = {what: Guarded(a, at_end).array for what, a in {"x": x, "y": y, "v": v, "dx": dx, "dy": y, "g": x}.items()}
    assert layer(guarded["x"], out=guarded["y"]) is guarded["y"]
    _, own = layer.linearize(guarded["x"])
    own.mv(x=guarded["dx"], out=guarded["dy"])
    own.tmv(guarded["v"], out={"x": guarded["g"]})
    assert_array_equal(guarded["y"], y)
    assert_array_equal(guarded["dy"], jac.mv(x=dx))
    assert_array_equal(guarded["g"], jac.tmv(v)["x"])


@kinds
@cases.layouts
def test_any_layout_gives_the_same_bits(layout, name, isa, dtype, rng):
    layer = KINDS[name](3, 2, 1)
    x, dx = rng.standard_normal((2, 2, 3, 7, 9)).astype(dtype)
    v = rng.standard_normal(layer(x).shape).astype(dtype)
    expected = answers(layer, x, dx, v)
    for what, a in answers(layer, layout(x), layout(dx), layout(v)).items():
        assert_array_equal(a, expected[what], err_msg=what, strict=True)


@kinds
def test_other_dtypes_and_outputs(name, rng):
    layer, x = KINDS[name](2), rng.integers(0, 9, (2, 3, 4, 6))
    for kind, computed in ((np.int8, np.float64), (np.bool_, np.float64), (np.float16, np.float32)):
        assert_array_equal(layer(x.astype(kind)), layer(x.astype(kind).astype(computed)), strict=True)
    own = rng.standard_normal((2, 3, 4, 6))
    expected, out = layer(own), own[:, :, ::2, ::2]
    layer(own, out=out)
    assert_array_equal(out, expected)


# --- errors ----------------------------------------------------------------------------------------------------------


@kinds
def test_settings_that_make_no_layer(name):
    for args, error, text in (
        ((0,), ValueError, "kernel_size is 0; expected at least 1"),
        ((2.0,), TypeError, "kernel_size is 2.0; expected an integer or a pair"),
        (("22",), TypeError, "kernel_size is '22'"),
        (((2, 2, 2),), ValueError, r"kernel_size is \(2, 2, 2\)"),
        ((2, 0), ValueError, "stride is 0; expected at least 1"),
        ((2, (1, -1)), ValueError, r"stride\[1\] is -1; expected at least 1"),
        ((2, None, -1), ValueError, "padding is -1; expected at least 0"),
        ((3, None, 2), ValueError, r"padding is \(2, 2\); expected at most half of kernel_size, which is \(3, 3\)"),
        (((4, 1), None, (2, 1)), ValueError, r"padding is \(2, 1\); expected at most half of kernel_size, which is \(4, 1\)"),
        ((2, None, "full"), ValueError, r"padding is 'full'; expected an integer, a pair of integers or \"same\""),
    ):
        with pytest.raises(error, match=f"^{text}"):
            KINDS[name](*args)


def test_settings_of_one_kind_that_make_no_layer():
    for make, error, text in (
        (lambda: MaxPool2d(2, dilation=0), ValueError, "dilation is 0; expected at least 1"),
        (lambda: MaxPool2d(2, dilation="2"), TypeError, "dilation is '2'; expected an integer or a pair"),
        (lambda: MaxPool2d(3, 1, 3, 2), ValueError, r"padding is \(3, 3\); expected at most half of what a window .* \(5, 5\)"),
        (lambda: MaxPool2d(2, ceil_mode=1), TypeError, "ceil_mode is 1; expected True or False"),
        (lambda: AvgPool2d(2, ceil_mode="yes"), TypeError, "ceil_mode is 'yes'; expected True or False"),
        (lambda: AvgPool2d(2, count_include_pad=None), TypeError, "count_include_pad is None; expected True or False"),
    ):
        with pytest.raises(error, match=f"^{text}"):
            make()


def test_every_window_has_a_pixel():
    """Or there is no maximum: as many windows as there may be are looked at, one by one."""
    sizes = range(1, 9), (2, 3, 4), (1, 2, 3), range(1, 10), (False, True)
    for height, taps, stride, dilation, ceil_mode in itertools.product(*sizes):
        for padding in range((dilation * (taps - 1) + 1) // 2 + 1):
            layer = MaxPool2d((taps, 1), (stride, 1), (padding, 0), (dilation, 1), ceil_mode=ceil_mode)
            try:
                g = window_geometry((1, 1, height, 1), (taps, 1), (stride, 1), (padding, 0), (dilation, 1), ceil_mode=ceil_mode)
            except ValueError:  # larger than the padded image
                continue
            begins = stride * np.arange(g.oh) - padding
            rows = begins[:, None] + dilation * np.arange(taps)
            if ((rows >= 0) & (rows < height)).any(axis=1).all():
                assert layer.output_shape((1, height, 1)) == (1, g.oh, 1)
            else:
                with pytest.raises(ValueError, match="has no pixel of an image of"):
                    layer.output_shape((1, height, 1))


@kinds
def test_samples_that_do_not_fit(name):
    layer = KINDS[name]((3, 4), padding=1)
    assert layer.output_shape((2, 1, 2)) == (2, 1, 1)
    for shape in ((2, 0), (2, 3, 4, 5), (0, 5, 5), (2, 5, 0)):
        with pytest.raises(ValueError, match=r"^x has samples of shape .*; expected \(channels, height, width\)"):
            layer.output_shape(shape)
    with pytest.raises(ValueError, match=r"^kernel_size is \(3, 4\); expected at most the padded image's 4 x 3"):
        layer(np.zeros((1, 1, 2, 1)))
    with pytest.raises(ValueError, match=r"hold more than 2\^31 - 1 pixels"):
        layer.output_shape((1, 3, 2**30))
    with pytest.raises(ValueError, match=r"^kernel_size is \(3, 4\); expected .* 1 x 5, and less than a stride more"):
        KINDS[name]((3, 4), 2, ceil_mode=True).output_shape((2, 1, 5))
    with pytest.raises(TypeError, match="x has dtype complex128"):
        layer(np.zeros((1, 1, 5, 5), complex))
    _, jac = layer.linearize(np.zeros((1, 1, 5, 5)))
    with pytest.raises(ValueError, match=r"v has shape \(1, 1, 5, 5\); expected \(1, 1, 2, 1\)"):
        jac.tmv(np.zeros((1, 1, 5, 5)))


def test_a_network_says_which_layer_does_not_fit():
    with pytest.raises(ValueError, match=r"layers\[1\]: kernel_size is \(4, 4\); expected at most"):
        Network([MaxPool2d(2), AvgPool2d(4)])(np.zeros((1, 1, 6, 6)))


# --- flatten, networks -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(3, 2, 4, 5), (4, 7), (3, 1), (0, 2, 3), (2, 0, 3), (5,)], ids=str)
def test_flatten(shape, isa, dtype, rng):
    x = rng.standard_normal(shape).astype(dtype)
    layer = Flatten()
    y, jac = layer.linearize(x)
    flat = x.reshape(len(x), int(np.prod(shape[1:])))
    assert_array_equal(y, flat, strict=True)
    assert not np.shares_memory(x, y)
    assert_array_equal(layer(x), y)
    assert_array_equal(jac.mv(x=-x), -flat)
    assert_array_equal(jac.tmv(-flat)["x"], -x)
    assert_array_equal(jac.matrix("x").toarray(), np.eye(x.size, dtype=dtype))
    if x.size:
        check_layer(layer, x).assert_passed()


def image_net(kind, activation, dtype, rng, settings=(3, 2, 1)):
    """5 x 6 images of 2 channels to 3 classes; derivatives of activations are taken by pools, through reshapes, and by a copy."""
    layers = [
        Flatten(),
        Dense(60, 48, activation, dtype=dtype, rng=rng),
        Flatten(),
        Reshape((2, 4, 6)),
        kind(*settings),
        Flatten(),
        Activation(activation),
        Flatten(),
        Dense(int(np.prod(kind(*settings).output_shape((2, 4, 6)))), 3, activation, dtype=dtype, rng=rng),
    ]
    return Network(layers)


class Reshape(Flatten):
    """Samples in a given shape."""

    def __init__(self, shape):
        self.shape = shape
        super().__init__()

    def output_shape(self, shape):
        return self.shape


class OwnPool(fastlec.Layer):
    """A pool or Reshape as a user writes it, from the layer's own methods: a network of it is computed layer by layer."""

    def __init__(self, layer):
        self.layer = layer
        super().__init__()

    def output_shape(self, shape):
        return self.layer.output_shape(shape)

    def evaluate(self, x):
        return self.layer.linearize(x)

    def mv(self, kept, directions):
        return kept.mv(**directions)

    def tmv(self, kept, v, wrt):
        return kept.tmv(v, wrt)


def by_layers(net):
    """The same network, not planned as one."""
    return Network([OwnPool(layer) if isinstance(layer, Flatten) else layer for layer in net.layers]).with_params(net.params)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@windows
def test_networks_fold_derivatives_through_pools(settings, kind, activation, isa, dtype, rng):
    net = image_net(kind, activation, dtype, rng, settings)
    x, plain = rng.standard_normal((4, 2, 5, 6)).astype(dtype), by_layers(net)
    assert net._planned
    assert not plain._planned
    y, jac = net.linearize(x)
    assert_array_equal(net(x), y)
    assert_array_equal(y, plain(x))
    other = plain.linearize(x)[1]
    v = rng.standard_normal(y.shape).astype(dtype)
    found, expected = jac.tmv(v), other.tmv(v)
    close = {"rtol": 0, "atol": 20 * np.finfo(dtype).eps}
    for name, g in found.items():
        assert_allclose(g, expected[name], **close, err_msg=name)
    assert_array_equal(jac.tmv(v, "x")["x"], found["x"])
    assert_array_equal(jac.tmv(v, "1.W")["1.W"], found["1.W"])
    directions = {name: rng.standard_normal(g.shape).astype(dtype) / 8 for name, g in found.items()}
    assert_allclose(jac.mv(**directions), other.mv(**directions), **close)
    assert_allclose(jac.mv(x=directions["x"]), other.mv(x=directions["x"]), **close)
    inner = Network([Activation(activation), Network([Flatten(), net.layers[1]])])
    outer = by_layers(Network([Activation(activation), Flatten(), net.layers[1]]))
    v = rng.standard_normal((4, 48)).astype(dtype)
    assert_allclose(inner.jac_tmv(x, v)["x"], outer.jac_tmv(x, v)["x"], **close)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("loss", [SoftmaxCrossEntropy(), MeanSquaredError()], ids=repr)
def test_training_steps(loss, kind, isa, dtype, rng):
    """Against gradients that are computed layer by layer; the pool or its Flatten may be last, where the loss overwrites y."""
    x = rng.standard_normal((6, 2, 5, 6)).astype(dtype)
    first = image_net(kind, "tanh", dtype, rng)
    for end in (len(first.layers), 5, 6, 7):
        net = Network(first.layers[:end])
        if isinstance(loss, SoftmaxCrossEntropy):
            if len(net.output_shape(x.shape[1:])) > 1:
                continue
            t = rng.integers(0, 3, 6)
        else:
            t = rng.standard_normal((6, *net.output_shape(x.shape[1:]))).astype(dtype)
        plain = by_layers(net)
        steps = [training_step(n, loss, SGD(0.1), 6) for n in (net, plain)]
        for _ in range(3):
            values = [step(x, t) for step in steps]
            assert_allclose(values[0], values[1], rtol=50 * np.finfo(dtype).eps)
        assert_allclose(net.theta, plain.theta, rtol=0, atol=50 * np.finfo(dtype).eps)
        assert not np.array_equal(net.theta, Network(first.layers[:end]).theta)


def test_flatten_takes_no_job_within_a_network(rng):
    x = rng.standard_normal((3, 2, 4, 4))
    lengths = []
    for layers in ([MaxPool2d(2), Flatten(), Dense(8, 2)], [MaxPool2d(2), Dense(8, 2)]):
        plan = kernels.Plan(x.dtype.num)
        if len(layers) == 3:
            net = Network(layers)
            kept = net._plan_forward(plan, x, plan.empty(3, 2))
            net._plan_tmv(plan, kept, plan.empty(3, 2), {"x": plan.empty(*x.shape)})
        else:
            y = plan.empty(3, 2, 2, 2)
            kept = [layers[0]._plan_forward(plan, x, y), layers[1]._plan_forward(plan, y.reshape(3, 8), plan.empty(3, 2))]
            layers[1]._plan_tmv(plan, kept[1], plan.empty(3, 2), {"x": y.reshape(3, 8)})
            layers[0]._plan_tmv(plan, kept[0], y, {"x": plan.empty(*x.shape)})
        lengths.append(len(plan))
    assert lengths[0] == lengths[1]


@pytest.mark.parametrize("suffix", ["npz", "safetensors"])
def test_files(suffix, tmp_path, dtype, rng):
    if suffix == "safetensors":
        pytest.importorskip("safetensors")
    others = MaxPool2d(2, 1, "same", (1, 2), ceil_mode=True), AvgPool2d(2, 1, ceil_mode=True, count_include_pad=False)
    layers = [MaxPool2d((2, 3), padding=(1, 0)), AvgPool2d(2, 1), *others, Flatten(), Dense(4, 3, dtype=dtype, rng=rng)]
    net, path = Network(layers), tmp_path / f"net.{suffix}"
    net.save(path)
    found = Network.load(path)
    assert found.config() == net.config()
    x = rng.standard_normal((4, 2, 6, 9)).astype(dtype)
    assert_array_equal(found(x), net(x), strict=True)
    expected = "MaxPool2d(kernel_size=(2, 3), stride=(2, 3), padding=(1, 0))"
    assert repr(found.layers[0]) == expected
    assert repr(found.layers[1]) == "AvgPool2d(kernel_size=2, stride=1)"


def test_files_without_the_settings_that_came_later(tmp_path):
    described = [{"kind": kind.__name__, "kernel_size": [2, 3], "stride": 1, "padding": 1} for kind in KINDS.values()]
    io.save(tmp_path / "net.npz", {}, {"kind": "network", "dtype": "float64", "layers": described})
    found = Network.load(tmp_path / "net.npz")
    assert found.config() == Network([AvgPool2d((2, 3), 1, 1), MaxPool2d((2, 3), 1, 1)]).config()


def test_other_samples_with_the_plan_that_is_kept(rng):
    """A network's forward plan is used again: its views follow the samples that are bound."""
    net = Network([Flatten(), Dense(18, 16, rng=0), Reshape((1, 4, 4)), MaxPool2d(2), Flatten()])
    for _ in range(3):
        x = rng.standard_normal((5, 2, 3, 3))
        dense = net.layers[1](x.reshape(5, 18)).reshape(5, 1, 4, 4)
        assert_array_equal(net(x), referred("max_pool2d", "", dense, 2).reshape(5, 4))


LARGE = [
    ((1403, 1510), 2, 2, 0),
    ((1404, 1510), 2, 2, 0),
    ((1403, 307), 3, 1, 1),
    ((703, 1900), (7, 2), (2, 3), (3, 1)),
    ((1403, 2099), 2, 3, 1),
]


@pytest.mark.parametrize(("shape", "size", "stride", "padding"), LARGE, ids=str)
@kinds
def test_large_planes_in_bands(shape, size, stride, padding, name, isa, rng):
    """Several blocks a plane: as NumPy has it. The numbers are integers, so sums are exact in any order."""
    (r, s), (sh, sw), (top, left) = (np.broadcast_to(a, 2) for a in (size, stride, padding))
    (h, w), maximum = shape, name == "max_pool2d"
    layer = KINDS[name](size, stride, padding)
    x = rng.integers(1, 99, (1, 1, h, w)).astype(np.float32)
    y, jac = layer.linearize(x)
    v = (rng.integers(-9, 9, y.shape) * r * s).astype(np.float32)
    padded = np.pad(x[0, 0], ((top, top), (left, left)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (r, s))[::sh, ::sw]
    taps = np.stack([windows[..., i, j] for i in range(r) for j in range(s)])
    first = taps.argmax(axis=0)
    assert_array_equal(y[0, 0], taps.max(axis=0) if maximum else taps.sum(axis=0) / np.float32(r * s))
    back = np.zeros_like(padded)
    oh, ow = first.shape
    for q in range(r * s):
        share = np.where(first == q, v[0, 0], 0) if maximum else v[0, 0] / (r * s)
        back[q // s :, q % s :][: sh * oh : sh, : sw * ow : sw] += share
    dx = back[top : top + h, left : left + w]
    assert_array_equal(jac.tmv(v)["x"][0, 0], dx)
    assert_array_equal(jac.mv(x=x)[0, 0], y[0, 0])
    folded = Network([Activation("relu"), layer]).linearize(x)[1].tmv(v)["x"]  # by the pool, with the derivative of relu
    assert_array_equal(folded[0, 0], dx)


@pytest.mark.parametrize("dilation", [(2, 3), (400, 1)], ids=str)
def test_large_planes_with_a_dilation(dilation, isa, rng):
    layer = MaxPool2d(3, (2, 1), (2, 1), dilation, ceil_mode=True)
    x = rng.integers(-99, 99, (1, 1, 1004, 1103)).astype(np.float32)
    y, jac = layer.linearize(x)
    v, dx = integers(rng, y.shape, np.float32), integers(rng, x.shape, np.float32)
    settings = 3, (2, 1), (2, 1), dilation, True
    assert_array_equal(y, referred("max_pool2d", "", x, *settings))
    assert_array_equal(jac.mv(x=dx), referred("max_pool2d", "_jac_mv", x, *settings, dx=dx))
    assert_array_equal(jac.tmv(v)["x"], referred("max_pool2d", "_jac_tmv", v, x, *settings)["x"])
