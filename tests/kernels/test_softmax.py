"""softmax, log_softmax and logsumexp against fastlec.reference and scipy.special, in every layout, in place, for every team."""

from functools import partial

import cases
import numpy as np
import pytest
import scipy.special
from numpy.lib.array_utils import normalize_axis_tuple
from numpy.testing import assert_array_equal

import fastlec
from fastlec import reference

FUNCTIONS = (fastlec.softmax, fastlec.log_softmax, fastlec.logsumexp)
function = pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
SAME_SHAPE = pytest.mark.parametrize("function", FUNCTIONS[:2], ids=lambda f: f.__name__)
SCIPY = {
    fastlec.softmax: scipy.special.softmax,
    fastlec.log_softmax: scipy.special.log_softmax,
    fastlec.logsumexp: scipy.special.logsumexp,
}


def axes_of(x, axis):
    return tuple(range(x.ndim)) if axis is None else normalize_axis_tuple(axis, x.ndim)


def as_rows(x, axis):
    """(rows, back): x as rows to reduce, which NumPy sums pairwise, and what brings a result of that shape back to x's."""
    axes = axes_of(x, axis)
    order = [i for i in range(x.ndim) if i not in axes] + list(axes)
    moved = x.transpose(order)
    rows = moved.reshape(-1, int(np.prod([x.shape[i] for i in axes])))
    return np.ascontiguousarray(rows), lambda y: y.reshape(moved.shape).transpose(np.argsort(order))


def expected(function, x, axis, units):
    """(the reference's result, how far another may be from it). units: tolerance of a name.

    x_j - top is rounded, so exp of it is off by eps |x_j - top| / 2, and the log of their sum by the mean of that.
    """
    rows, back = as_rows(x.astype(np.float64), axis)
    eps, least = np.finfo(x.dtype).eps, np.finfo(x.dtype).smallest_subnormal
    below = rows.max(axis=1, keepdims=True) - rows
    p = reference.softmax(rows)
    if function is fastlec.softmax:
        return back(p), back(p * (units("softmax") + eps * below) + least)
    log_sum = reference.logsumexp(-below)[:, None]
    shift = eps * np.sum(p * below, axis=1, keepdims=True)
    if function is fastlec.log_softmax:
        y = reference.log_softmax(rows)
        return back(y), back(units("log") * (np.abs(y) + log_sum) + shift)
    y = reference.logsumexp(rows)[:, None]
    bound = units("log") * (np.abs(y) + log_sum) + shift
    shape = tuple(n for i, n in enumerate(x.shape) if i not in axes_of(x, axis))
    return y.reshape(shape), bound.reshape(shape)


def assert_close(y, expected):
    y_expected, bound = expected
    assert y.shape == y_expected.shape
    error = np.abs(y.astype(np.float64) - y_expected)
    assert (error <= bound).all(), f"{np.max(error / bound):.3g} times the tolerance"


def logits(rng, shape, dtype):
    return (4 * rng.standard_normal(shape)).astype(dtype)


# --- values ----------------------------------------------------------------------------------------------------------


@function
@cases.parametrize("case", cases.REDUCTIONS + cases.TUPLES)
def test_agrees_with_the_reference(function, case, isa, dtype, rng, frozen, tolerance):
    """Fresh, into `out` and in place: the same bits, near the reference; the input stays as it was."""
    x = frozen(logits(rng, case.shape, dtype))
    y = function(x, axis=case.axis)
    assert y.dtype == dtype
    assert_close(y, expected(function, x, case.axis, partial(tolerance, dtype=dtype)))
    out = np.full(y.shape, np.nan, dtype)
    assert function(x, axis=case.axis, out=out) is out
    assert_array_equal(out, y)
    if function is not fastlec.logsumexp:
        own = x.copy()
        assert function(own, axis=case.axis, out=own) is own
        assert_array_equal(own, y)


@function
@cases.parametrize("case", cases.TEAM)
def test_teams_agree_bit_by_bit(function, case, isa, dtype, threads, rng, tolerance):
    x = logits(rng, case.shape, dtype)
    y = function(x, axis=case.axis)
    assert_close(y, expected(function, x, case.axis, partial(tolerance, dtype=dtype)))
    fastlec.set_num_threads(1)
    assert_array_equal(function(x, axis=case.axis), y)
    if function is not fastlec.logsumexp:
        fastlec.set_num_threads(threads)
        assert_array_equal(function(x, axis=case.axis, out=x), y)


def distance_to_one(y, axis):
    rows, _ = as_rows(y, axis)
    return float(np.abs(rows.astype(np.longdouble).sum(axis=1) - 1).max())


@cases.parametrize("case", cases.REDUCTIONS + cases.TEAM)
def test_probabilities_sum_to_one(case, isa, dtype, rng, tolerance):
    y = fastlec.softmax(logits(rng, case.shape, dtype), axis=case.axis)
    assert (y >= 0).all()
    assert distance_to_one(y, case.axis) <= tolerance("row_sum", dtype)


@pytest.mark.parametrize("spread", [0.0, 1e-6, 0.3, 30.0])
@pytest.mark.parametrize("n", [1000, 32000, 200_000])
def test_long_rows_sum_to_one(n, spread, isa, dtype, rng, tolerance):
    """Nearly equal elements: the rounding of every addition counts."""
    x = (spread * rng.standard_normal((2, n))).astype(dtype)
    assert distance_to_one(fastlec.softmax(x), 1) <= tolerance("row_sum", dtype)
    columns = np.repeat(x.T, 3, axis=1)
    assert distance_to_one(fastlec.softmax(columns, axis=0), 0) <= tolerance("row_sum", dtype)


@function
@pytest.mark.parametrize("n", [1, 3, 10, 39, 40, 41, 100, 1000])
@pytest.mark.parametrize("axis", [0, 1])
def test_a_row_does_not_depend_on_its_neighbours(function, n, axis, isa, dtype, rng):
    """Alone or in any place among others, NaN and infinity among them, a row gives the same bits; so does a column."""
    row = logits(rng, n, dtype)
    others = [logits(rng, n, dtype), np.full(n, np.nan, dtype), np.full(n, np.inf, dtype), np.zeros(n, dtype)]
    alone = None
    for m, places in (
        (2 - axis, [0]),
        (2, [0, 1]),
        (5, range(5)),
        (16, [0, 15]),
        (17, [16]),
        (67, [0, 15, 16, 31, 40, 63, 64, 66]),
    ):
        for place in places:
            x = np.array([others[i % 4] for i in range(m)])
            x[place] = row
            x = x if axis == 1 else np.ascontiguousarray(x.T)
            y = np.take(function(x, axis=axis), place, axis=0 if function is fastlec.logsumexp else 1 - axis)
            alone = y if alone is None else alone
            assert_array_equal(y, alone)


@function
def test_small_probabilities_keep_their_accuracy(function, isa, dtype):
    """One class nearly certain: the log of its probability is the small number that it should be, not 0."""
    x = np.array([[0.0, -30.0, -31.0], [-50.0, 0.0, -60.0]], dtype).repeat(9, axis=0)
    rest = np.array([np.exp(-30.0) + np.exp(-31.0), np.exp(-50.0) + np.exp(-60.0)]).repeat(9)
    y = {
        fastlec.softmax: lambda: function(x).min(axis=1),
        fastlec.log_softmax: lambda: -function(x).max(axis=1),
        fastlec.logsumexp: lambda: function(x),
    }[function]()
    exactly = np.exp(x.min(axis=1).astype(np.float64)) / (1 + rest) if function is fastlec.softmax else np.log1p(rest)
    np.testing.assert_allclose(y, exactly, rtol=8 * np.finfo(dtype).eps)


LONG = [cases.Case((2, (1 << 20) + 1)), cases.Case((65_537, 3), 0), cases.Case((2, 66_000, 5), 1)]


@cases.parametrize("case", LONG)
def test_long_rows_and_columns_in_parts(case, isa, dtype, rng, tolerance):
    """Those that are cut into parts: near the reference, in place and for every team the same bits."""
    x = logits(rng, case.shape, dtype)
    for function in FUNCTIONS:
        y = function(x, axis=case.axis)
        assert_close(y, expected(function, x, case.axis, partial(tolerance, dtype=dtype)))
        fastlec.set_num_threads(1)
        assert_array_equal(function(x, axis=case.axis), y)
        fastlec.set_num_threads(None)
        if function is fastlec.softmax:
            assert distance_to_one(y, case.axis) <= tolerance("row_sum", dtype)
        if function is not fastlec.logsumexp:
            own = x.copy()
            assert_array_equal(function(own, axis=case.axis, out=own), y)


# --- special values --------------------------------------------------------------------------------------------------

SPECIAL = [
    [0.0, np.nan, 1.0],
    [np.nan, np.nan, np.nan],
    [0.0, np.inf, 1.0],
    [np.inf, np.inf, 1.0],
    [0.0, -np.inf, 1.0],
    [-np.inf, -np.inf, -np.inf],
    [-np.inf, np.inf, 0.0],
    [np.nan, np.inf, -np.inf],
    [np.nan, -np.inf, -np.inf],
]


@function
@pytest.mark.parametrize("row", SPECIAL, ids=str)
@pytest.mark.parametrize("n", [3, 30, 50, 400])
@pytest.mark.parametrize("axis", [0, 1])
def test_nan_and_infinity_as_in_scipy(function, row, n, axis, isa, dtype, rng):
    for place in {0, min(1, n - 3), n // 2 - 1, n - 3}:
        x = np.full((20, n), -np.inf if np.isneginf(row).all() else -3.0, dtype)
        x[:, place : place + 3] = row
        x = x if axis == 1 else np.ascontiguousarray(x.T)
        with np.errstate(invalid="ignore"):
            theirs = SCIPY[function](x, axis=axis)
        np.testing.assert_allclose(function(x, axis=axis), theirs, rtol=1e-5, atol=1e-38)


@function
@pytest.mark.parametrize("axis", [0, 1])
def test_nan_and_infinity_in_parts(function, axis, isa, dtype):
    """In one part or two of a long row, the others finite, or all -inf."""
    n, apart = ((1 << 20) + 70, 1 << 17) if axis == 1 else ((1 << 16) + 70, 1 << 12)
    rows = [*SPECIAL, [np.finfo(dtype).max, -np.finfo(dtype).max, 0]]
    for i in range(10) if axis == 0 else (3, 5, 9):
        x = np.full((n, 2 - axis), -np.inf if i % 2 else -3, dtype)
        x[:3, 0] = x[n - 3 :, -1] = x[apart : apart + 3, -1] = rows[i]
        x = x if axis == 0 else np.ascontiguousarray(x.T)
        with np.errstate(invalid="ignore", over="ignore"):
            theirs = SCIPY[function](x.astype(np.float64), axis=axis).astype(dtype)
        np.testing.assert_allclose(function(x, axis=axis), theirs, rtol=1e-5, atol=1e-38)


@function
def test_single_special_values_as_in_scipy(function, isa, dtype):
    x = np.array([[np.nan], [np.inf], [-np.inf], [3.0]], dtype)
    with np.errstate(invalid="ignore"):
        assert_array_equal(function(x), SCIPY[function](x, axis=1))


@function
@pytest.mark.parametrize("n", [4, 40, 44, 400])
def test_huge_logits(function, n, isa, dtype, rng, tolerance):
    """exp of them overflows, or is 0; the difference to the largest decides. Differences may overflow too."""
    huge = np.finfo(dtype).max
    for shift in (-1e4, 1e4, 1e6):
        x = (logits(rng, (17, n), dtype) + dtype.type(shift)).astype(dtype)
        assert_close(function(x), expected(function, x, -1, partial(tolerance, dtype=dtype)))
    x = np.tile(np.array([huge, -huge, huge, 0], dtype), (17, n // 4))
    k = n // 4 * 2
    y = {
        fastlec.softmax: np.where(x == huge, 1 / k, 0),
        fastlec.log_softmax: np.where(x == huge, -np.log(k), np.where(x == 0, -huge, -np.inf)),
        fastlec.logsumexp: np.full(17, huge),
    }[function]
    np.testing.assert_allclose(function(x), y.astype(dtype), rtol=4 * np.finfo(dtype).eps)


def test_subnormal_probabilities_are_kept(isa, dtype):
    info = np.finfo(dtype)
    deep = np.log(np.float64(info.tiny)) - np.linspace(0.5, 5, 8)
    x = np.concatenate([[0.0], deep]).astype(dtype)
    for n in (9, 60):
        rows = np.full((18, n), -np.inf, dtype)
        rows[:, :9] = x
        for y in (fastlec.softmax(rows), fastlec.softmax(rows.T.copy(), axis=0).T):
            assert ((y[:, 1:9] > 0) & (y[:, 1:9] < info.tiny)).all()
            error = np.abs(y[:, 1:9].astype(np.longdouble) - np.exp(x[1:].astype(np.longdouble)))
            assert (error <= 2 * info.smallest_subnormal).all()


def test_subnormal_logits(isa, dtype):
    x = np.array([[1, -3, 2]], dtype) * np.finfo(dtype).smallest_subnormal
    np.testing.assert_allclose(fastlec.softmax(x), np.full((1, 3), 1 / 3), rtol=2 * np.finfo(dtype).eps)


# --- layouts, dtypes, out --------------------------------------------------------------------------------------------


@function
@cases.layouts
@pytest.mark.parametrize("shape", [(6, 7), (3, 50), (2, 5, 6)])
def test_any_layout(function, layout, shape, isa, dtype, rng, tolerance):
    x = logits(rng, shape, dtype)
    given = layout(x)
    for axis in (*range(len(shape)), None, (0, 1)):
        y = function(given, axis=axis)
        assert type(y) is (np.ndarray if y.shape else dtype.type)
        assert y.dtype == dtype
        assert_close(y, expected(function, x, axis, partial(tolerance, dtype=dtype)))
        assert_array_equal(given, x)


@function
@cases.writeable_layouts
@pytest.mark.parametrize("axis", [0, 1, -1, None])
def test_out_of_any_layout(function, layout, axis, isa, dtype, rng, frozen):
    x = frozen(logits(rng, (6, 7), dtype))
    y = function(x, axis=axis)
    out = layout(np.full(y.shape, np.nan, dtype))
    assert function(x, axis=axis, out=out) is out
    assert_array_equal(out, y)


@SAME_SHAPE
@pytest.mark.parametrize("shift", [1, 7, 64, 70])
@pytest.mark.parametrize("axis", [0, 1])
def test_overlapping_out(function, shift, axis, isa, dtype, rng):
    """As if they did not overlap, whichever of them begins first."""
    for begin_x, begin_y in ((0, shift), (shift, 0)):
        memory = logits(rng, 7 * 64 + shift, dtype)
        x = memory[begin_x : begin_x + 7 * 64].reshape(7, 64)
        out = memory[begin_y : begin_y + 7 * 64].reshape(7, 64)
        y = function(x.copy(), axis=axis)
        function(x, axis=axis, out=out)
        assert_array_equal(out, y)


@SAME_SHAPE
def test_out_that_is_the_input_in_another_order(function, isa, dtype, rng):
    for flip in (lambda a: a.T, lambda a: a[::-1], lambda a: a[:, ::-1]):
        x = logits(rng, (12, 12), dtype)
        y = function(x.copy())
        function(x, out=flip(x))
        assert_array_equal(flip(x), y)


LOGSUMEXPS = [cases.Case((3000, 50)), cases.Case((3000, 10)), cases.Case((100, 7, 400), 1), cases.Case((7, 5000), 0)]


@cases.parametrize("case", LOGSUMEXPS)
def test_logsumexp_into_its_input(case, isa, dtype, threads, rng):
    """Whose memory a smaller result shares from its first element, or further on."""
    for begin in (0, 5):
        x = logits(rng, case.shape, dtype)
        y = fastlec.logsumexp(x.copy(), axis=case.axis)
        out = x.reshape(-1)[begin : begin + y.size].reshape(y.shape)
        fastlec.logsumexp(x, axis=case.axis, out=out)
        assert_array_equal(out, y)


@function
@pytest.mark.parametrize("kind", [np.int8, np.uint16, np.int64, np.bool_, np.float16, list])
def test_other_dtypes(function, kind, isa, rng):
    x = rng.integers(0, 2, (4, 6))
    x = x.tolist() if kind is list else x.astype(kind)
    plain = np.asarray(x, np.float32 if kind is np.float16 else np.float64)
    y = function(x)
    assert y.dtype == plain.dtype
    assert_array_equal(y, function(plain))


@function
@cases.parametrize("case", cases.EMPTY)
def test_empty(function, case, dtype):
    axes = axes_of(np.empty(case.shape), case.axis)
    shape = case.shape
    if function is fastlec.logsumexp:
        shape = tuple(n for i, n in enumerate(shape) if i not in axes)
    y = function(np.empty(case.shape, dtype), axis=case.axis)
    assert y.shape == shape
    assert y.dtype == dtype
    out = np.empty(shape, dtype)
    assert function(np.empty(case.shape, dtype), axis=case.axis, out=out) is out


@cases.parametrize("case", cases.NOTHING_TO_REDUCE)
def test_nothing_to_reduce(case, dtype):
    x = np.empty(case.shape, dtype)
    assert fastlec.softmax(x, axis=case.axis).shape == case.shape
    assert fastlec.log_softmax(x, axis=case.axis).shape == case.shape
    y = fastlec.logsumexp(x, axis=case.axis)
    assert y.dtype == dtype
    assert_array_equal(y, np.full(np.sum(x, axis=case.axis).shape, -np.inf))
    assert_array_equal(y, reference.logsumexp(x, axis=case.axis))
    out = np.zeros(y.shape, dtype)
    assert fastlec.logsumexp(x, axis=case.axis, out=out) is out
    assert_array_equal(out, y)


# --- NumPy's and SciPy's habits ----------------------------------------------------------------------------------------

WEIGHTED = [
    cases.Case((4, 6)),
    cases.Case((4, 6), 0),
    cases.Case((2, 3, 5, 4), (0, 2)),
    cases.Case((3, 7), None),
    cases.Case((9,)),
]


@function
def test_axis_by_position(function, dtype, rng):
    x = logits(rng, (4, 6), dtype)
    for axis in (0, -1, None, (0, 1)):
        assert_array_equal(function(x, axis), function(x, axis=axis))


@cases.parametrize("case", cases.REDUCTIONS[::9] + cases.TUPLES + cases.NOTHING_TO_REDUCE + cases.EMPTY)
def test_logsumexp_keeps_dimensions(case, dtype, rng):
    x = logits(rng, case.shape, dtype)
    y = fastlec.logsumexp(x, case.axis)
    kept = fastlec.logsumexp(x, case.axis, keepdims=True)
    assert kept.shape == np.sum(x, axis=case.axis, keepdims=True).shape
    assert kept.dtype == dtype
    assert_array_equal(np.ravel(kept), np.ravel(y))
    assert np.shape(reference.logsumexp(x, case.axis, keepdims=True)) == kept.shape
    out = np.empty(kept.shape, dtype)
    assert fastlec.logsumexp(x, case.axis, keepdims=True, out=out) is out
    assert_array_equal(out, kept)


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("signed", [False, True], ids=["positive", "signed"])
@cases.parametrize("case", WEIGHTED)
def test_weighted_logsumexp_as_scipy(case, signed, keepdims, dtype, rng):
    x = logits(rng, case.shape, dtype)
    b = (rng.standard_normal(case.shape) if signed else rng.random(case.shape)).astype(dtype)
    b[..., ::3] = 0
    theirs = scipy.special.logsumexp(
        x.astype(np.float64), case.axis, b=b.astype(np.float64), keepdims=keepdims, return_sign=True
    )
    for function in (fastlec.logsumexp, reference.logsumexp):
        y, sign = function(x, case.axis, b=b, keepdims=keepdims, return_sign=True)
        np.testing.assert_allclose(y, theirs[0], rtol=64 * np.finfo(dtype).eps, atol=64 * np.finfo(dtype).eps)
        assert_array_equal(sign, theirs[1])
        assert_array_equal(function(x, case.axis, b=b, keepdims=keepdims), np.where(sign < 0, np.nan, y))
    y, sign = fastlec.logsumexp(x, case.axis, b=b, keepdims=keepdims, return_sign=True)
    assert y.dtype == sign.dtype == dtype
    out = np.empty(np.shape(y), dtype)
    found = fastlec.logsumexp(x, case.axis, b=b, keepdims=keepdims, return_sign=True, out=out)
    assert found[0] is out
    assert_array_equal(out, y)


WEIGHTS = {  # x, b, the sum's sign and the logarithm of its size
    "nothing left": ([0.3, 0.3, 0.3], [1, 1, -2], 0, -np.inf),
    "nearly nothing left": ([0.3, 0.3], [1, 2.0**-40 - 1], 1, 0.3 - 40 * np.log(2)),
    "near 1": ([0.0, -30.0], [1, 1], 1, np.log1p(np.exp(-30.0))),
    "a small weight of the largest": ([1.0, 0.0], [1e-20, 1], 1, 1e-20 * np.e),
    "beyond exp": ([1000.0, 1001.0], [2, -3], -1, 1001 + np.log(3 - 2 / np.e)),
    "weight 0 of infinity": ([np.inf, 0.0], [0, 2], 1, np.log(2)),
    "weight 0 of NaN": ([np.nan, 0.0], [0, -2], -1, np.log(2)),
    "weight 0 of all": ([np.nan, np.inf], [0, 0], 0, -np.inf),
    "nothing": ([], [], 0, -np.inf),
    "minus infinity": ([-np.inf, -np.inf], [1, -1], 0, -np.inf),
    "infinity less a large number": ([np.inf, 800.0], [1, -1], 1, np.inf),
    "minus infinity of the weight": ([0.0, 1.0], [-np.inf, 1], -1, np.inf),
    "infinity less infinity": ([np.inf, np.inf], [1, -1], np.nan, np.nan),
    "NaN": ([np.nan, 1.0], [1, 1], np.nan, np.nan),
    "weight NaN": ([0.0, 1.0], [1, np.nan], np.nan, np.nan),
}


@pytest.mark.parametrize(("x", "b", "sign", "log"), WEIGHTS.values(), ids=WEIGHTS)
@pytest.mark.parametrize("function", [fastlec.logsumexp, reference.logsumexp], ids=["fastlec", "reference"])
def test_special_weights(function, x, b, sign, log):
    found = function(x, b=b, return_sign=True)
    assert_array_equal(found[1], sign)
    np.testing.assert_allclose(found[0], log, rtol=1e-15, atol=0)
    np.testing.assert_allclose(function(x, b=b), np.nan if sign == -1 else log, rtol=1e-15)


def test_signs_without_weights(isa, dtype):
    x = np.array([[0, 1], [-np.inf, -np.inf], [np.inf, 0], [np.nan, 0]], dtype)
    log, sign = fastlec.logsumexp(x, return_sign=True)
    assert sign.dtype == dtype
    assert_array_equal(sign, [1, 0, 1, np.nan])
    assert_array_equal(log, fastlec.logsumexp(x))
    assert_array_equal(reference.logsumexp(x, return_sign=True)[1], sign)


def test_weights_of_other_shapes_and_dtypes(rng):
    x = logits(rng, (4, 6), np.float32)
    for b in (2, 2.5, True):  # Python's numbers have no dtype
        y = fastlec.logsumexp(x, b=b)
        assert y.dtype == np.float32
        np.testing.assert_allclose(y, fastlec.logsumexp(x) + np.log(np.float32(b)), rtol=1e-5)
    for b in (np.float64(2), np.ones(6), np.ones((4, 1), int), np.ones((3, 4, 6))):
        y = fastlec.logsumexp(x, b=b)
        assert y.dtype == np.float64
        np.testing.assert_allclose(y, scipy.special.logsumexp(x.astype(np.float64), axis=-1, b=b), rtol=1e-12)
    with pytest.raises(ValueError, match=r"^b has shape \(5,\); expected one that broadcasts with x of shape \(4, 6\)"):
        fastlec.logsumexp(x, b=np.ones(5))
    with pytest.raises(TypeError, match=r"^b has dtype complex128"):
        fastlec.logsumexp(x, b=1j)
    for name in ("keepdims", "return_sign"):
        with pytest.raises(TypeError, match=f"^{name} is 1; expected True or False"):
            fastlec.logsumexp(x, **{name: 1})


@function
def test_scalars_of_what_has_no_axes(function, dtype, rng):
    for x in (logits(rng, (), dtype), dtype.type(0.5)):
        y = function(x, axis=None)
        assert type(y) is dtype.type
        out = np.zeros((), dtype)
        assert function(x, axis=None, out=out) is out
        assert out == y
    x = logits(rng, 7, dtype)
    for y in (fastlec.logsumexp(x), fastlec.logsumexp(x[::2]), fastlec.logsumexp(x, b=x, return_sign=True)[1]):
        assert type(y) is dtype.type
    assert type(fastlec.logsumexp(np.zeros(0, dtype))) is dtype.type
    assert type(fastlec.logsumexp(x, keepdims=True)) is np.ndarray


@function
def test_out_in_a_tuple(function, dtype, rng):
    x = logits(rng, (4, 6), dtype)
    y = function(x)
    out = np.empty_like(y)
    assert function(x, out=(out,)) is out
    assert_array_equal(out, y)
    assert_array_equal(function(x, out=(None,)), y)
    for wrong in ((), (out, out), [out]):
        with pytest.raises(TypeError, match=r"^out is a (tuple|list); expected an ndarray"):
            function(x, out=wrong)


@function
@pytest.mark.parametrize("axes", [33, 64])
def test_many_axes(function, axes, dtype, rng):
    """As many as NumPy has, in any order of memory, also where none of them is reduced."""
    flat = logits(rng, (2, 3, 4), dtype)
    shape = (2, *(1,) * (axes - 3), 3, 4)
    for x in (flat.reshape(shape), flat.T.reshape(shape[::-1]).T):
        for axis, own in ((-1, 2), (axes - 2, 1), (0, 0), (-axes, 0), ((0, -1), (0, 2)), (None, None), ((), ())):
            y = function(x, axis=axis)
            assert_array_equal(y.ravel(), function(flat, axis=own).ravel())
            assert_array_equal(function(x, axis=axis, out=np.empty_like(y)), y)
        with pytest.raises(np.exceptions.AxisError):
            function(x, axis=axes)


# --- outputs beyond the caches ---------------------------------------------------------------------------------------


@SAME_SHAPE
@pytest.mark.parametrize("axis", [1, 0])
def test_large_outputs(function, axis, isa, dtype, rng):
    """Written past the caches, to aligned memory or not: the same bits as in pieces that are not."""
    n, size = (2003, 26_000_000) if axis == 1 else (64, 9_000_000)
    m = size // dtype.itemsize // n
    x = logits(rng, (m, n) if axis == 1 else (n, m), dtype)
    cut = range(300, x.shape[0], 300) if axis == 1 else [m // 4, m // 2 + 1]
    pieces = [function(np.ascontiguousarray(piece), axis=axis) for piece in np.split(x, cut, axis=1 - axis)]
    whole = np.concatenate(pieces, axis=1 - axis)
    assert_array_equal(function(x, axis=axis), whole)
    out = cases.unaligned(np.zeros_like(x))
    assert_array_equal(function(x, axis=axis, out=out), whole)
    assert_array_equal(function(x, axis=axis, out=x), whole)
