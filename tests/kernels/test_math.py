"""exp, log, tanh and sigmoid of each instruction set, in units in the last place (ULP): over bit patterns that step through the
whole format, and at the points where range reduction, rounding or the format changes.

One ULP is the distance of neighbouring floats in the binade of the exact value, which comes from float64 for float32, from long
double for float64, and from mpmath at the hard points.
"""

from functools import cache

import mpmath
import numpy as np
import pytest

import fastlec
from fastlec._kernels import map as kernels

N = 1_000_000
LN2 = float(np.log(2))


def exp(x):
    return kernels.value(kernels.FUNCTIONS["exp"], x, None)


def log(x):
    return kernels.value(kernels.FUNCTIONS["log"], x, None)


def exact_sigmoid(x):
    return 1 / (1 + np.exp(-x))


def exact_tanh_derivative(x):
    e = np.exp(-2 * np.abs(x))
    return 4 * e / (1 + e) ** 2


def exact_sigmoid_derivative(x):
    e = np.exp(-np.abs(x))
    return e / (1 + e) ** 2


# function: (the exact one, in the precision of its argument; the same in mpmath; most ULP)
FUNCTIONS = {
    exp: (np.exp, mpmath.exp, 1),
    log: (np.log, mpmath.log, 1),
    fastlec.tanh: (np.tanh, mpmath.tanh, 2),
    fastlec.sigmoid: (exact_sigmoid, lambda x: 1 / (1 + mpmath.exp(-x)), 2),
    fastlec.tanh_derivative: (exact_tanh_derivative, lambda x: mpmath.sech(x) ** 2, 5),
    fastlec.sigmoid_derivative: (exact_sigmoid_derivative, lambda x: mpmath.sech(x / 2) ** 2 / 4, 5),
}
function = pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)


def between(low, high, n, dtype):
    """n floats from low to high >= low > 0, their bit patterns evenly spaced."""
    bits = np.int32 if dtype == np.float32 else np.int64
    low, high = (int(np.array(v, dtype).view(bits)) for v in (low, high))
    return (low + np.arange(n) * max((high - low) // n, 1)).astype(bits).view(dtype)


@cache
def patterns(dtype):
    """Every part of the format, then more densely what is neither saturated nor linear."""
    tiny, huge = np.finfo(dtype).smallest_subnormal, np.finfo(dtype).max
    everywhere = between(tiny, huge, N // 8, dtype)
    range_of_exp = 110.0 if dtype == np.float32 else 750.0
    linear = between(2.0**-60, 2.0**-8, N // 16, dtype)
    curved = between(2.0**-8, range_of_exp, N // 4, dtype)
    evenly = np.linspace(0, range_of_exp, N // 16).astype(dtype)
    positive = np.concatenate([everywhere, linear, curved, evenly])
    return np.concatenate([positive, -positive])


@cache
def exact(function, dtype):
    """The exact values at the patterns, in a wider float than dtype."""
    with np.errstate(all="ignore"):
        return FUNCTIONS[function][0](patterns(dtype).astype(np.float64 if dtype == np.float32 else np.longdouble))


def ulps(result, exact):
    """|result - exact| in ULP of the exact value, infinite where only one of them is finite or a number."""
    info = np.finfo(result.dtype)
    overflows = np.ldexp(exact.dtype.type(2 - info.eps / 2), info.maxexp - 1)  # what rounds to infinity, and beyond
    exact = np.where(np.abs(exact) >= overflows, np.copysign(exact.dtype.type(np.inf), exact), exact)
    same = (result == exact) | (np.isnan(result) & np.isnan(exact))
    with np.errstate(invalid="ignore", over="ignore"):
        exponent = np.maximum(np.frexp(np.where(np.isfinite(exact), exact, 1))[1], info.minexp + 1)
        error = np.ldexp(np.abs(result.astype(exact.dtype) - exact), info.nmant + 1 - exponent)
    return np.where(same, 0, np.where(np.isfinite(exact) & np.isfinite(result), error, np.inf)).astype(np.float64)


def worst(x, result, exact):
    """(the largest error in ULP, a text that says where it is)."""
    error = ulps(result, exact)
    i = int(np.argmax(error))
    return error[i], f"{error[i]:.3f} ULP at x = {x[i]!r} = {float(x[i]).hex()}: {result[i]!r}, exactly {exact[i]!r}"


def hard_points(dtype):
    """Some thousands of floats of either sign around the places where something changes, close and closer."""
    info = np.finfo(dtype)
    log_max, log_min = float(np.log(info.max)), float(np.log(info.tiny))
    lowest = float(np.log(np.float64(info.smallest_subnormal))) if dtype == np.float32 else -744.4400719213812
    places = [1, 2, np.sqrt(0.5), np.sqrt(2), 0.5, info.tiny, info.max, log_max, log_min, lowest, lowest - LN2, lowest / 2]
    places += [k * LN2 / 2 for k in range(1, 24)] + [k * LN2 / 32 for k in range(1, 64)]
    places += [(k + 0.5) * LN2 / 16 for k in (100, 1000, 1600, 10000, 16000)] + [k * LN2 for k in (60, 126, 127, 1022, 1023)]
    steps = np.concatenate([np.arange(-6, 7) * info.eps, np.geomspace(1e-6, 1e-2, 7), -np.geomspace(1e-6, 1e-2, 7)])
    with np.errstate(over="ignore"):
        near = (np.array(places)[:, None] * (1 + steps)).ravel().astype(dtype)
    deep = np.linspace(lowest - 1, log_min + 1, 400).astype(dtype)  # exp is subnormal
    small = between(info.smallest_subnormal, 1, 400, dtype)
    points = np.abs(np.concatenate([near[np.isfinite(near)], deep, deep / 2, small]))
    return np.unique(np.concatenate([points, -points]))


@function
def test_over_bit_patterns(function, isa, dtype):
    x = patterns(dtype)
    error, where = worst(x, function(x), exact(function, dtype))
    assert error <= FUNCTIONS[function][2], where


@cache
def exact_at_hard_points(function, dtype):
    """mpmath's values as long doubles, which are rounded from 30 digits."""
    _, of_mpmath, _ = FUNCTIONS[function]

    def value(x):
        if function is log and x <= 0:
            return "-inf" if x == 0 else "nan"
        y = of_mpmath(mpmath.mpf(float(x)))
        return mpmath.nstr(y, 30) if not y or abs(mpmath.log10(abs(y))) < 4900 else "inf" if abs(y) > 1 else "0"

    with mpmath.workprec(160):
        return np.array([np.longdouble(value(x)) for x in hard_points(dtype)])


@function
def test_at_hard_points(function, isa, dtype):
    x = hard_points(dtype)
    error, where = worst(x, function(x), exact_at_hard_points(function, dtype))
    assert error <= FUNCTIONS[function][2], where


@pytest.mark.parametrize(
    ("function", "x", "y"),
    [
        (exp, [0.0, -0.0, -np.inf, np.inf, np.nan, 1e30, -1e30], [1, 1, 0, np.inf, np.nan, np.inf, 0]),
        (log, [1.0, 0.0, -0.0, np.inf, -np.inf, np.nan, -1.0], [0, -np.inf, -np.inf, np.inf, np.nan, np.nan, np.nan]),
        (fastlec.tanh, [0.0, -0.0, np.inf, -np.inf, np.nan, 1e30, -1e30], [0.0, -0.0, 1, -1, np.nan, 1, -1]),
        (fastlec.sigmoid, [0.0, -0.0, np.inf, -np.inf, np.nan, 1e30, -1e30], [0.5, 0.5, 1, 0, np.nan, 1, 0]),
        (fastlec.tanh_derivative, [0.0, -0.0, np.inf, -np.inf, np.nan, 1e30, -1e30], [1, 1, 0, 0, np.nan, 0, 0]),
        (fastlec.sigmoid_derivative, [0.0, -0.0, np.inf, -np.inf, np.nan, 1e30], [0.25, 0.25, 0, 0, np.nan, 0]),
        (fastlec.relu, [0.0, -0.0, np.inf, -np.inf, np.nan, 2.0, -2.0], [0, 0, np.inf, 0, np.nan, 2, 0]),
        (fastlec.relu_derivative, [0.0, -0.0, np.inf, -np.inf, np.nan, 2.0, -2.0], [0, 0, 1, 0, np.nan, 1, 0]),
    ],
)
@pytest.mark.parametrize("copies", [1, 40])
def test_special_values(function, x, y, copies, isa, dtype):
    x, y = np.repeat(np.array(x, dtype), copies), np.repeat(np.array(y, dtype), copies)
    result = function(x)
    np.testing.assert_array_equal(result, y)
    if function is fastlec.tanh:
        np.testing.assert_array_equal(np.signbit(result[y == 0]), np.signbit(y[y == 0]))


def test_subnormals_survive(isa, dtype):
    """Results that are subnormal are neither flushed to zero nor rounded to few bits; neither are subnormal arguments."""
    info = np.finfo(dtype)
    tiny, least = float(info.tiny), info.smallest_subnormal
    x = np.linspace(float(np.log(tiny)) - 1, float(np.log(tiny)) - 8, 100).astype(dtype)
    for y in (exp(x), fastlec.sigmoid(x), fastlec.sigmoid_derivative(x), fastlec.tanh_derivative(x / 2) / 4):
        assert ((y > 0) & (y < info.tiny)).all()
        assert len(np.unique(y)) == len(y)
    small = np.array([least, 3 * least, -least, info.tiny / 2], dtype)
    np.testing.assert_array_equal(fastlec.tanh(small), small)
    np.testing.assert_array_equal(fastlec.relu(small), np.maximum(small, 0))
    assert (log(np.abs(small)) < float(np.log(tiny))).all()


@pytest.mark.parametrize(("function", "low", "high"), [(exp, 0, np.inf), (fastlec.tanh, -1, 1), (fastlec.sigmoid, 0, 1)])
def test_stays_within_its_range(function, low, high, isa, dtype):
    y = function(patterns(dtype))
    assert ((low <= y) & (y <= high)).all()
