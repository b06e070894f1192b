"""tanh, sigmoid, relu and their derivatives on arrays: sizes, layouts, out=, overlap, teams. Their accuracy: test_math.py."""

import cases
import numpy as np
import pytest
from numpy.testing import assert_array_equal

import fastlec
from fastlec import reference

function = pytest.mark.parametrize("function", cases.MAPS, ids=lambda f: f.__name__)
activation = pytest.mark.parametrize("activation", ["tanh", "sigmoid", "relu"])


def pair(activation):
    return getattr(fastlec, activation), getattr(fastlec, f"{activation}_derivative")


def arguments(rng, shape, dtype):
    return np.asarray(4 * rng.standard_normal(shape)).astype(dtype)


def assert_close(y, function, x, tolerance):
    assert y.shape == x.shape
    assert y.dtype == x.dtype
    np.testing.assert_allclose(y, getattr(reference, function.__name__)(x), rtol=tolerance("map", x.dtype))


@function
@cases.parametrize("n", cases.SIZES)
def test_agrees_with_the_reference(function, n, isa, dtype, rng, frozen, tolerance):
    """Fresh, into `out` and in place: the same bits, near the reference; the input stays as it was."""
    x = frozen(arguments(rng, n, dtype))
    y = function(x)
    assert_close(y, function, x, tolerance)
    out, own = np.full(n, np.nan, dtype), x.copy()
    assert function(x, out=out) is out
    assert_array_equal(out, y)
    assert function(own, out=own) is own
    assert_array_equal(own, y)


@function
@cases.parametrize("shape", cases.SHAPES)
def test_any_shape(function, shape, isa, dtype, rng, tolerance):
    x = arguments(rng, shape, dtype)
    assert_close(function(x), function, x, tolerance)


@function
@pytest.mark.parametrize("axes", [33, 64])
def test_many_axes(function, axes, dtype, rng):
    flat = arguments(rng, (2, 3), dtype)
    for x in (flat.reshape(2, *(1,) * (axes - 2), 3), flat.T.reshape(3, *(1,) * (axes - 2), 2).T):
        y = function(x)
        assert y.shape == x.shape
        assert_array_equal(y.ravel(), function(flat).ravel())
        assert_array_equal(function(x, out=np.empty_like(x)), y)


@function
def test_an_element_does_not_depend_on_its_place(function, isa, dtype, rng):
    """in a register, or in the part of one that is left over."""
    x = arguments(rng, 150, dtype)
    y = function(x)
    for begin in range(0, 150, 7):
        assert_array_equal(function(x[begin:]), y[begin:])
        assert_array_equal(function(x[begin : begin + 1]), y[begin : begin + 1])


@function
def test_teams_agree_bit_by_bit(function, isa, dtype, threads, rng, tolerance):
    x = arguments(rng, 600_001, dtype)
    y = function(x)
    assert_close(y, function, x, tolerance)
    fastlec.set_num_threads(1)
    assert_array_equal(function(x), y)


@function
@cases.layouts
def test_any_layout_gives_the_same_bits(function, layout, isa, dtype, rng):
    for shape in ((), (9,), (5, 7), (2, 3, 20)):
        x = arguments(rng, shape, dtype)
        given = layout(x)
        y = function(given)
        assert type(y) is (np.ndarray if shape else dtype.type)
        assert y.dtype == dtype
        assert_array_equal(y, function(x))
        assert_array_equal(given, x)


@function
@cases.writeable_layouts
def test_out_of_any_layout(function, layout, isa, dtype, rng, frozen):
    for shape in ((), (9,), (5, 7), (2, 3, 20)):
        x = frozen(arguments(rng, shape, dtype))
        out = layout(np.full(shape, np.nan, dtype))
        assert function(x, out=out) is out
        assert_array_equal(out, function(x))


@function
@pytest.mark.parametrize("shift", [1, 3, 16, 40])
def test_overlapping_out(function, shift, isa, dtype, threads, rng):
    """As if they did not overlap, whichever of them begins first, or ends."""
    n = 100_000
    for begin_x, begin_y in ((0, shift), (shift, 0)):
        memory = arguments(rng, n + shift, dtype)
        x, out = memory[begin_x : begin_x + n], memory[begin_y : begin_y + n]
        y = function(x.copy())
        function(x, out=out)
        assert_array_equal(out, y)
    x = arguments(rng, n, dtype)
    y = function(x.copy())
    function(x, out=x[::-1])
    assert_array_equal(x[::-1], y)


@function
@pytest.mark.parametrize("kind", [np.int8, np.uint16, np.int64, np.bool_, np.float16, float, list])
def test_other_dtypes(function, kind, isa, rng):
    x = rng.integers(0, 2, (4, 6))
    x = x.tolist() if kind is list else 0.5 if kind is float else x.astype(kind)
    plain = np.asarray(x, np.float32 if kind is np.float16 else np.float64)
    y = function(x)
    assert y.dtype == plain.dtype
    assert_array_equal(y, function(plain))


@function
def test_numbers_give_numbers(function, isa, dtype):
    """As NumPy's own functions; an array without axes counts as a number."""
    y = function(np.full(1, 0.5, dtype))[0]
    for x in (dtype.type(0.5), np.array(0.5, dtype), np.array([0.5, 0], dtype)[:1].reshape(())):
        assert type(function(x)) is dtype.type
        assert function(x) == y
        out = np.zeros((), dtype)
        assert function(x, out=out) is out
        assert out == y
    for x in (0.5, 1, True):
        assert type(function(x)) is np.float64


@function
def test_out_in_a_tuple(function, isa, dtype, rng):
    x = arguments(rng, (4, 5), dtype)
    out = np.empty_like(x)
    assert function(x, out=(out,)) is out
    assert_array_equal(out, function(x))
    assert_array_equal(function(x, out=(None,)), out)


@activation
def test_value_and_derivative_of_a_number(activation, dtype):
    for x, kind in ((dtype.type(0.5), dtype.type), (0.5, np.float64)):
        found = fastlec.value_and_derivative(x, activation)
        assert [type(a) for a in found] == [kind, kind]
        assert found == tuple(a[0] for a in fastlec.value_and_derivative([x] if kind is np.float64 else x[None], activation))
        out = np.zeros((), kind)
        assert fastlec.value_and_derivative(x, activation, out=(None, out))[1] is out
        assert out == found[1]


@activation
@cases.parametrize("n", (0, 1, 3, 16, 17, 65, 256, 16385))
def test_value_and_derivative(activation, n, isa, dtype, rng, frozen):
    """In one sweep the same bits as in two; either output may be the input."""
    x = frozen(arguments(rng, n, dtype))
    value, derivative = (f(x) for f in pair(activation))
    y, dy = fastlec.value_and_derivative(x, activation)
    assert_array_equal(y, value)
    assert_array_equal(dy, derivative)
    for own in range(2):
        out = [np.full(n, np.nan, dtype), np.full(n, np.nan, dtype)]
        out[own] = x.copy()
        result = fastlec.value_and_derivative(out[own], activation, out=tuple(out))
        assert result[0] is out[0]
        assert result[1] is out[1]
        assert_array_equal(out[0], value)
        assert_array_equal(out[1], derivative)
    y, dy = fastlec.value_and_derivative(x, activation, out=(None, out[1]))
    assert dy is out[1]
    assert_array_equal(y, value)


@activation
@cases.writeable_layouts
def test_value_and_derivative_into_any_layout(activation, layout, isa, dtype, rng):
    x = arguments(rng, (5, 7), dtype)
    out = layout(np.zeros_like(x)), layout(np.zeros_like(x))
    result = fastlec.value_and_derivative(layout(x), activation, out=out)
    for given, returned, f in zip(out, result, pair(activation), strict=True):
        assert returned is given
        assert_array_equal(given, f(x))


@activation
def test_value_and_derivative_for_any_team(activation, isa, dtype, threads, rng):
    x = arguments(rng, 600_001, dtype)
    for result, f in zip(fastlec.value_and_derivative(x, activation), pair(activation), strict=True):
        assert_array_equal(result, f(x))


@activation
def test_overlap_of_the_input_with_two_outputs(activation, isa, dtype, rng):
    memory = arguments(rng, 3000, dtype)
    x, y, dy = memory[500:1500], memory[:1000], memory[1000:2000]
    value, derivative = (f(x.copy()) for f in pair(activation))
    fastlec.value_and_derivative(x, activation, out=(y, dy))
    assert_array_equal(y, value)
    assert_array_equal(dy, derivative)


def test_outputs_side_by_side(isa, dtype, rng):
    """Two outputs that alternate in memory share no element."""
    x, out = arguments(rng, 50, dtype), np.zeros((50, 2), dtype)
    fastlec.value_and_derivative(x, "tanh", out=(out[:, 0], out[:, 1]))
    assert_array_equal(out, np.stack([fastlec.tanh(x), fastlec.tanh_derivative(x)], axis=1))


@pytest.mark.parametrize("begin", [0, 1, 49])
def test_outputs_that_share_memory_are_refused(begin, dtype, rng):
    x, memory = arguments(rng, 50, dtype), np.zeros(100, dtype)
    with pytest.raises(ValueError, match="out holds two arrays that share memory"):
        fastlec.value_and_derivative(x, "tanh", out=(memory[:50], memory[begin : begin + 50]))
    assert not memory.any()
