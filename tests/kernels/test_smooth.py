"""gelu, silu, softplus, elu, leaky_relu and their derivatives: their errors in units in the last place (ULP) against mpmath on each
instruction set, special values, arguments."""

from functools import cache, partial

import cases
import mpmath
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from test_math import ulps, worst

import fastlec
from fastlec import reference

CUBIC = mpmath.mpf("0.044715")


def normal(x):
    return mpmath.erfc(-x / mpmath.sqrt(2)) / 2


def density(x):
    return mpmath.exp(-x * x / 2) / mpmath.sqrt(2 * mpmath.pi)


def sigmoid(x):
    return 1 / (1 + mpmath.exp(-x))


def argument(x):
    """2 u of gelu by tanh."""
    return mpmath.sqrt(8 / mpmath.pi) * (x + CUBIC * x**3)


def gelu_tanh_derivative(x):
    z = argument(x)
    return sigmoid(z), x * sigmoid(z) * sigmoid(-z) * mpmath.sqrt(8 / mpmath.pi) * (1 + 3 * CUBIC * x**2)


def elu(x):
    return x if x > 0 else mpmath.expm1(x)


def softplus(x):
    return mpmath.log1p(mpmath.exp(-abs(x))) + max(x, 0)


gelu_tanh = partial(fastlec.gelu, approximate="tanh")
gelu_tanh_slope = partial(fastlec.gelu_derivative, approximate="tanh")

# name: (value, in mpmath, most ULP; derivative, its terms in mpmath, most eps of their sizes together); by tanh of 1 + |u| each.
FUNCTIONS = {
    "gelu": (fastlec.gelu, lambda x: x * normal(x), 6, fastlec.gelu_derivative, lambda x: (normal(x), x * density(x)), 5),
    "gelu_tanh": (gelu_tanh, lambda x: x * sigmoid(argument(x)), 5, gelu_tanh_slope, gelu_tanh_derivative, 5),
    "silu": (
        fastlec.silu,
        lambda x: x * sigmoid(x),
        3,
        fastlec.silu_derivative,
        lambda x: (sigmoid(x), x * sigmoid(x) * sigmoid(-x)),
        3,
    ),
    "softplus": (fastlec.softplus, softplus, 2, fastlec.softplus_derivative, lambda x: (sigmoid(x), 0), 2),
    "erf": (
        fastlec.erf,
        mpmath.erf,
        2,
        fastlec.erf_derivative,
        lambda x: (2 * mpmath.exp(-x * x) / mpmath.sqrt(mpmath.pi), 0),
        3,
    ),
    "elu": (fastlec.elu, elu, 2, fastlec.elu_derivative, lambda x: (mpmath.exp(min(x, 0)), 0), 1),
}
each = pytest.mark.parametrize("name", FUNCTIONS)
VALUES = (fastlec.gelu, gelu_tanh, fastlec.silu, fastlec.softplus, fastlec.elu, fastlec.leaky_relu, fastlec.erf)
SLOPES = (
    fastlec.gelu_derivative,
    gelu_tanh_slope,
    fastlec.silu_derivative,
    fastlec.softplus_derivative,
    fastlec.elu_derivative,
    fastlec.leaky_relu_derivative,
    fastlec.erf_derivative,
)


def of_reference(function, x):
    if isinstance(function, partial):
        return getattr(reference, function.func.__name__)(x, **function.keywords)
    return getattr(reference, function.__name__)(x)


@cache
def points(dtype):
    """Both tails down to where results are 0, all of the middle, and all sizes; of either sign."""
    end = 106 if dtype == np.float32 else 752
    random = np.random.default_rng(0)
    parts = [np.linspace(0, 8, 300), np.geomspace(1e-37, 2 * end, 300), np.linspace(0.8 * end, 1.03 * end, 150)]
    parts += [random.uniform(0, 3, 250), random.uniform(0, 40, 200), np.linspace(10, 15, 100), np.linspace(36, 39.5, 100)]
    x = np.concatenate(parts).astype(dtype)
    return np.concatenate([x, -x])


def wide(n):
    return np.longdouble(mpmath.nstr(n, 30) if abs(n) > mpmath.mpf(10) ** -4900 else 0)


@cache
def exact(name, dtype):
    """(values, derivatives, the sizes of their terms together, 1 + |u|) at the points, as long doubles."""
    _, value, _, _, terms, _ = FUNCTIONS[name]
    with mpmath.workprec(200):
        rows = []
        for x in map(mpmath.mpf, points(dtype).tolist()):
            a, b = terms(x)
            u = argument(x) / 2 if name == "gelu_tanh" else 0
            numbers = value(x), a + b, abs(a) + abs(b), 1 + abs(u)
            rows.append(
                [np.longdouble(mpmath.nstr(n, 30)) if abs(n) > mpmath.mpf(10) ** -4900 else np.longdouble(0) for n in numbers]
            )
    return np.array(rows).T


@each
def test_values_are_within_their_bounds(name, isa, dtype):
    x, most = points(dtype), FUNCTIONS[name][2]
    y, expected, factor = FUNCTIONS[name][0](x), exact(name, dtype)[0], exact(name, dtype)[3].astype(float)
    if name == "gelu_tanh":
        error = ulps(y, expected) / factor
        assert error.max() <= most, (x[error.argmax()], error.max())
    else:
        error, where = worst(x, y, expected)
        assert error <= most, where


@each
def test_derivatives_are_within_their_bounds(name, isa, dtype):
    """Where one term of two is negative there is a zero, near which errors are relative to the terms."""
    x, info, most = points(dtype), np.finfo(dtype), FUNCTIONS[name][5]
    _, expected, size, factor = exact(name, dtype)
    error = np.abs(FUNCTIONS[name][3](x).astype(np.longdouble) - expected) / (np.maximum(size, info.tiny) * info.eps * factor)
    assert error.max() <= most, (x[error.argmax()], float(error.max()))


@pytest.mark.parametrize(
    ("function", "y", "slope"),
    [
        (0, [0.0, -0.0, np.inf, -0.0, np.nan, 1e30, -0.0], [0.5, 0.5, 1, 0, np.nan, 1, 0]),
        (1, [0.0, -0.0, np.inf, -0.0, np.nan, 1e30, -0.0], [0.5, 0.5, 1, 0, np.nan, 1, 0]),
        (2, [0.0, -0.0, np.inf, -0.0, np.nan, 1e30, -0.0], [0.5, 0.5, 1, 0, np.nan, 1, 0]),
        (3, [np.log(2), np.log(2), np.inf, 0, np.nan, 1e30, 0], [0.5, 0.5, 1, 0, np.nan, 1, 0]),
        (4, [0.0, -0.0, np.inf, -1, np.nan, 1e30, -1], [1, 1, 1, 0, np.nan, 1, 0]),
        (5, [0.0, -0.0, np.inf, -np.inf, np.nan, 1e30, -1e28], [0.01, 0.01, 1, 0.01, np.nan, 1, 0.01]),
        (6, [0.0, -0.0, 1, -1, np.nan, 1, -1], [2 / np.pi**0.5, 2 / np.pi**0.5, 0, 0, np.nan, 0, 0]),
    ],
)
@pytest.mark.parametrize("copies", [1, 40])
def test_special_values(function, y, slope, copies, isa, dtype):
    x = np.repeat(np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1e30, -1e30], dtype), copies)
    y, slope = (np.repeat(np.array(a, dtype), copies) for a in (y, slope))
    found = VALUES[function](x)
    assert_allclose(found, y, rtol=2 * np.finfo(dtype).eps, atol=0)
    assert_array_equal(np.signbit(found[y == 0]), np.signbit(y[y == 0]))
    assert_allclose(SLOPES[function](x), slope, rtol=2 * np.finfo(dtype).eps, atol=0)


@pytest.mark.parametrize("n", [0, 1, 7, 64, 65, 40_000])
def test_agrees_with_the_reference(n, isa, dtype, threads, rng, frozen):
    """Fresh, into `out` and in place, with the derivative and without: the same bits."""
    x = frozen((3 * rng.standard_normal(n)).astype(dtype))
    for function, slope, name in zip(
        VALUES, SLOPES, ("gelu", "gelu_tanh", "silu", "softplus", "elu", "leaky_relu", None), strict=True
    ):
        y, d, own = function(x), slope(x), x.copy()
        eps = 64 * float(np.finfo(dtype).eps)
        assert_allclose(y, of_reference(function, x), rtol=eps, atol=eps)
        assert_allclose(d, of_reference(slope, x), rtol=eps, atol=eps)
        assert function(own, out=own) is own
        assert_array_equal(own, y, strict=True)
        if name:
            both = fastlec.value_and_derivative(x, name)
            assert_array_equal(both[0], y, strict=True)
            assert_array_equal(both[1], d, strict=True)


@cases.layouts
def test_any_layout_gives_the_same_bits(layout, dtype, rng):
    x = rng.standard_normal((23, 6)).astype(dtype)
    for function in (*VALUES, *SLOPES):
        assert_array_equal(function(layout(x)), function(x), strict=True)


@pytest.mark.parametrize("parameter", [0, 0.3, -2.0, np.float32(1.5)])
def test_parameters(parameter, isa, dtype, rng):
    x = rng.standard_normal(50).astype(dtype)
    rtol = 4 * np.finfo(dtype).eps
    for name, kind in (("alpha", "elu"), ("negative_slope", "leaky_relu")):
        for full in (kind, f"{kind}_derivative"):
            found = getattr(fastlec, full)(x, **{name: parameter})
            assert_allclose(found, getattr(reference, full)(x, float(parameter)), rtol=rtol)


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda x: fastlec.gelu(x, approximate="erf"), ValueError, "^approximate is 'erf'; expected one of none, tanh"),
        (lambda x: fastlec.gelu(x, approximate=None), ValueError, "^approximate is None; expected one of none, tanh"),
        (lambda x: fastlec.elu(x, alpha=np.nan), ValueError, "^alpha is nan; expected a finite number"),
        (lambda x: fastlec.elu_derivative(x, alpha="a"), TypeError, "^alpha is 'a'; expected a number"),
        (
            lambda x: fastlec.leaky_relu(x, negative_slope=np.inf),
            ValueError,
            "^negative_slope is inf; expected a finite number",
        ),
        (lambda x: fastlec.silu(x, out=np.zeros(2)), ValueError, r"^out has shape \(2,\); expected \(3,\)"),
        (lambda x: fastlec.softplus(x + 0j), TypeError, "^x has dtype complex128"),
        (lambda x: fastlec.value_and_derivative(x, "mish"), ValueError, "^activation is 'mish'; expected one of tanh"),
    ],
)
def test_bad_arguments(call, error, match):
    with pytest.raises(error, match=match):
        call(np.zeros(3))
