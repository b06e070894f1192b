"""Every public function on any array that NumPy can describe: shapes, strides, byte orders, overlaps that Hypothesis draws."""

import numpy as np
from cases import ALONG_AXIS, MAPS
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.lib.stride_tricks import as_strided

import fastlec
from fastlec import SoftmaxObjective, reference


@st.composite
def any_array(draw, min_dims=0):
    """Any shape, also with axes of length 0 and 1, over memory of its own, with strides of any sign and size, also 0."""
    dtype = np.dtype(draw(st.sampled_from(["f4", "f8", ">f4", ">f8", "f2", "i4", "u1", "?"])))
    shape = draw(hnp.array_shapes(min_dims=min_dims, max_dims=4, min_side=0, max_side=6))
    size = dtype.itemsize
    strides = [size * draw(st.integers(-9, 9)) for _ in shape]
    if shape and draw(st.booleans()):  # the rows apart, by no whole number of elements
        apart = sum(abs(s) * max(n - 1, 0) for n, s in zip(shape[1:], strides[1:], strict=True)) + size
        strides[0] = draw(st.sampled_from([1, -1])) * (apart + draw(st.integers(0, 9)))
    strides = [s if n > 1 else draw(st.sampled_from([0, s, -s, 10**15, 7])) for n, s in zip(shape, strides, strict=True)]
    reach = [s * (n - 1) for n, s in zip(shape, strides, strict=True) if n > 1]
    memory = np.zeros(sum(map(abs, reach)) + size + 8, np.uint8)
    begin = draw(st.integers(0, 8)) - sum(r for r in reach if r < 0)
    values = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    x = np.zeros(shape, dtype)
    if x.size:
        x = as_strided(memory[begin:][:size].view(dtype), shape, strides)
        x[...] = values.uniform(-80, 80, shape) if dtype.kind == "f" else values.integers(0, 2, shape)
    if draw(st.booleans()):
        x.flags.writeable = False
    return x


def result_dtype(x):
    return np.dtype(np.float32 if x.dtype.kind == "f" and x.dtype.itemsize < 8 else np.float64)


def rtol(x, units):
    return units * np.finfo(result_dtype(x)).eps


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_reductions_of_any_array(data):
    x = data.draw(any_array(min_dims=1))
    function = data.draw(st.sampled_from(ALONG_AXIS))
    axes = st.sets(st.integers(0, x.ndim - 1)).map(tuple)
    axis = data.draw(st.one_of(st.integers(-x.ndim, x.ndim - 1), st.none(), axes))
    before = x.copy()
    over = range(x.ndim) if axis is None else {a % x.ndim for a in np.atleast_1d(np.array(axis, int))}
    lengths, kept = [x.shape[i] for i in over], [n for i, n in enumerate(x.shape) if i not in over]
    y = function(x, axis=axis)
    assert y.dtype == result_dtype(x)
    assert y.shape == tuple(kept if function is fastlec.logsumexp else x.shape)
    np.testing.assert_array_equal(x, before)
    if 0 in lengths and function is fastlec.logsumexp:
        assert np.all(np.isneginf(y))
    if not x.size:
        return
    rows = np.moveaxis(x.astype(np.float64), list(over), range(x.ndim - len(lengths), x.ndim)).reshape(*kept, -1)
    expected = getattr(reference, function.__name__)(rows)
    if function is fastlec.logsumexp:
        np.testing.assert_allclose(y, expected, rtol=rtol(x, 20), atol=rtol(x, 20))
    else:
        expected = np.moveaxis(expected.reshape(*kept, *lengths), range(x.ndim - len(lengths), x.ndim), list(over))
        np.testing.assert_allclose(y, expected, rtol=rtol(x, 600), atol=np.finfo(y.dtype).tiny)


@settings(max_examples=300, deadline=None)
@given(any_array(), st.sampled_from(MAPS))
def test_maps_of_any_array(x, function):
    before = x.copy()
    y = function(x)
    assert y.dtype == result_dtype(x)
    assert y.shape == x.shape
    np.testing.assert_array_equal(x, before)
    expected = getattr(reference, function.__name__)(x)
    np.testing.assert_allclose(y, expected, rtol=rtol(x, 6), atol=6 * np.finfo(y.dtype).smallest_subnormal)


@settings(max_examples=200, deadline=None)
@given(st.data(), st.sampled_from([fastlec.softmax, fastlec.log_softmax, *MAPS]))
def test_out_that_overlaps_in_any_way(data, function):
    """Input and output are windows on one memory, of any strides that leave the output's elements apart."""
    m, n = data.draw(st.tuples(st.integers(1, 5), st.integers(1, 5)))
    memory = np.random.default_rng(m * n).standard_normal(400).astype(data.draw(st.sampled_from(["f4", "f8"])))

    def window():
        column = data.draw(st.sampled_from([1, -1, 2, -3]))
        row = data.draw(st.sampled_from([1, -1])) * (abs(column) * n + data.draw(st.integers(0, 2)))
        begin = 200 + data.draw(st.integers(-20, 20))
        view = as_strided(memory[begin:], (m, n), (row * memory.itemsize, column * memory.itemsize))
        return view.T if data.draw(st.booleans()) and m == n else view

    x, out = window(), window()
    expected = function(x.copy())
    function(x, out=out)
    np.testing.assert_allclose(out, expected, rtol=8 * np.finfo(memory.dtype).eps)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_objectives_of_any_matrix(data):
    x = data.draw(any_array(min_dims=2).filter(lambda x: x.ndim == 2 and x.size))
    m, n = x.shape
    rng = np.random.default_rng(m + n)
    y = rng.integers(0, 3, m)
    f = SoftmaxObjective(x, y, 3, reduced=data.draw(st.booleans()), fit_bias=data.draw(st.booleans()))
    theta = rng.standard_normal(f.n_params) / 100
    options = {"fit_bias": f.fit_bias, "reduced": f.reduced}
    scale = 1 + float(np.abs(x).max()) ** 2
    value, gradient = f.value_and_gradient(theta)
    expected = reference.softmax_regression_gradient(theta, x, y, 3, **options)
    np.testing.assert_allclose(value, reference.softmax_regression_value(theta, x, y, 3, **options), rtol=rtol(x, 40 * scale))
    np.testing.assert_allclose(gradient, expected, rtol=0, atol=rtol(x, 40 * scale))
