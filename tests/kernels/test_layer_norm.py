"""LayerNorm: values and derivatives against the reference, and where rows are hard."""

import itertools

import cases
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal, assert_array_less

from fastlec import SGD, Activation, Dense, LayerNorm, MeanSquaredError, Network, reference, training_step
from fastlec.testing import check_layer

forms = pytest.mark.parametrize(
    "form", [{}, {"bias": False}, {"elementwise_affine": False}], ids=["affine", "no bias", "no parameters"]
)


def normals(rng, shape, dtype, scale=1.0, mean=0.0):
    return (mean + scale * rng.standard_normal(shape)).astype(dtype)


def made(n, dtype, rng, **options):
    """A layer whose parameters are random."""
    layer = LayerNorm(n, dtype=dtype, **options)
    for a in layer.params.values():
        a[...] = rng.uniform(0.5, 2, n) * rng.choice([-1, 1], n)
    return layer


def given(layer):
    """What the reference takes besides x."""
    return {"gamma": layer.params.get("gamma"), "beta": layer.params.get("beta"), "eps": layer.eps}


def assert_near(found, expected, bound, dtype):
    assert found.dtype == dtype
    assert found.shape == expected.shape
    assert_array_less(np.abs(found - expected), bound + np.finfo(dtype).smallest_normal)


class Sizes:
    """What errors are relative to. z is off by unit (|z| + mean |z|), and by unit |mean| / s where the mean has no digits beyond
    the dtype's: each sum is off by unit times the sum of its terms' sizes."""

    def __init__(self, layer, x, unit):
        x = x.astype(float)
        mean, s = x.mean(axis=1, keepdims=True), np.sqrt(x.var(axis=1, keepdims=True) + layer.eps)
        ones = np.ones(layer.n)
        self.z = np.abs(x - mean) / s
        self.z = self.z + self.z.mean(axis=1, keepdims=True)
        if unit < np.finfo(np.float32).eps:
            self.z = self.z + np.abs(mean) / s
        self.unit, self.s = unit, s
        self.gamma, self.beta = np.abs(layer.params.get("gamma", ones)), np.abs(layer.params.get("beta", 0 * ones))

    def y(self):
        return self.unit * (self.gamma * self.z + self.beta)

    def through(self, w):
        """Of (w - mean(w) - z mean(w z)) / s; the last is a product of three numbers that are each off by that."""
        means = [a.mean(axis=1, keepdims=True) for a in (w, w * self.z)]
        return self.unit / self.s * (w + means[0] + 3 * self.z * means[1])

    def mv(self, directions):
        bound = np.zeros(self.z.shape)
        if "x" in directions:
            bound += self.gamma * self.through(np.abs(directions["x"]))
        for name, size in (("gamma", self.z), ("beta", 1.0)):
            if name in directions:
                bound += self.unit * size * np.abs(directions[name])
        return bound

    def tmv(self, v):
        v = np.abs(v)
        sums = {name: self.unit * (v * size).sum(axis=0) for name, size in (("gamma", self.z), ("beta", 1.0))}
        return {"x": self.through(self.gamma * v), **sums}


def check_against_the_reference(layer, x, rng, unit):
    dtype, sizes, others = x.dtype, Sizes(layer, x, unit), given(layer)
    y, jac = layer.linearize(x)
    assert_near(y, reference.layer_norm(x, **others), sizes.y(), dtype)
    assert_array_equal(layer(x), y, strict=True)
    v = normals(rng, x.shape, dtype)
    found, expected = jac.tmv(v), reference.layer_norm_jac_tmv(v, x, **others)
    assert list(found) == ["x", *layer.params]
    bounds = sizes.tmv(v)
    for name, a in found.items():
        assert_near(a, expected[name], bounds[name], dtype)
        assert_array_equal(jac.tmv(v, name)[name], a)
    every = {name: normals(rng, jac.shape_of(name), dtype) for name in jac.variables}
    for count in range(1, len(every) + 1):
        for names in itertools.combinations(every, count):
            directions = {name: every[name] for name in names}
            dy = reference.layer_norm_jac_mv(x, **others, **{f"d{name}": d for name, d in directions.items()})
            assert_near(jac.mv(**directions), dy, sizes.mv(directions), dtype)


@forms
@cases.parametrize("shape", cases.LAYER_NORM)
def test_agrees_with_the_reference(shape, form, isa, dtype, rng, frozen, tolerance):
    layer = made(shape[1], dtype, rng, eps=0.01, **form)
    for a in layer.params.values():
        a.flags.writeable = False
    check_against_the_reference(layer, frozen(normals(rng, shape, dtype, 1.5, 0.7)), rng, tolerance("product", dtype))


def test_a_large_mean_costs_no_digits(isa, dtype, rng, tolerance):
    """10^4 deviations away in single precision, where a tenth of them is all that x resolves."""
    layer = made(99, dtype, rng, eps=1e-12)
    check_against_the_reference(layer, normals(rng, (7, 99), dtype, 1e-2, 100.0), rng, tolerance("product", dtype))


def test_a_row_far_from_what_its_deviations_are_taken_from(isa, dtype, rng, tolerance):
    """The mean of a few evenly spread registers, on each instruction set: here those hold nothing but outliers."""
    n = 60_000
    x = normals(rng, (3, n), dtype)
    for lanes in (2, 4, 8, 16):
        for k in range(4):
            x[1, k * (n - lanes) // 3 :][:lanes] = 1000
    check_against_the_reference(LayerNorm(n, dtype=dtype), x, rng, tolerance("product", dtype))


@cases.parametrize("shape", cases.LAYER_NORM_TEAM)
def test_teams_agree_bit_by_bit(shape, isa, dtype, rng, alone):
    layer, x, v = made(shape[1], dtype, rng), normals(rng, shape, dtype), normals(rng, shape, dtype)

    def answers():
        y, jac = layer.linearize(x)
        return [layer(x), y, *jac.tmv(v).values(), jac.mv(x=v, gamma=v[0]), jac.mv(x=v)]

    team = answers()
    with alone():
        for single, a in zip(answers(), team, strict=True):
            assert_array_equal(single, a, strict=True)


def test_a_row_does_not_depend_on_the_others(isa, dtype, rng):
    layer, x, v = made(37, dtype, rng), normals(rng, (11, 37), dtype), normals(rng, (11, 37), dtype)
    y, jac = layer.linearize(x)
    dx = jac.tmv(v, "x")["x"]
    for i in range(11):
        alone, own = layer.linearize(x[i : i + 1])
        assert_array_equal(alone[0], y[i])
        assert_array_equal(own.tmv(v[i : i + 1], "x")["x"][0], dx[i])


@forms
@pytest.mark.parametrize("shape", [(4, 7), (1, 5)], ids=str)
def test_derivatives(shape, form, dtype, rng):
    check_layer(made(shape[1], dtype, rng, eps=0.1, **form), normals(rng, shape, dtype)).assert_passed()


@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "relu", "identity"])
def test_derivatives_above_and_below_others(activation, isa, dtype, rng):
    """The derivative of what is below is taken beside the rows."""
    net = Network([Activation(activation), made(9, dtype, rng), Activation("tanh")])
    x = normals(rng, (5, 9), dtype)
    check_layer(net, x + np.copysign(dtype.type(0.1), x)).assert_passed()  # off relu's kink


def test_a_training_step_moves_gamma_and_beta_along_their_gradient(isa, dtype, rng):
    net = Network([Dense(5, 6, "tanh", dtype=dtype, rng=0), made(6, dtype, rng), Dense(6, 2, "identity", dtype=dtype, rng=1)])
    X, y = normals(rng, (40, 5), dtype), normals(rng, (40, 2), dtype)
    output, jac = net.linearize(X)
    gradient = jac.tmv(MeanSquaredError().value_and_gradient(output, y)[1])
    expected = {name: a - dtype.type(0.5) * gradient[name] for name, a in net.params.items()}
    training_step(net, MeanSquaredError(), SGD(0.5), 40)(X, y)
    for name, a in net.params.items():
        assert_allclose(a, expected[name], atol=20 * np.finfo(dtype).eps)


# --- values ----------------------------------------------------------------------------------------------------------


def test_constant_rows_become_beta(isa, dtype, rng):
    layer = made(21, dtype, rng)
    x = np.repeat(np.array([0.1, -3e4, 1 / 3, 0.0, 1e30], dtype)[:, None], 21, axis=1)
    y, jac = layer.linearize(x)
    assert_array_equal(y, np.broadcast_to(layer.params["beta"], x.shape))
    v = normals(rng, x.shape, dtype)
    assert np.isfinite(jac.tmv(v)["x"]).all()
    assert_array_equal(jac.tmv(v)["gamma"], np.zeros(21))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_stay_in_their_row(value, isa, dtype, rng):
    x, v = normals(rng, (7, 30), dtype), normals(rng, (7, 30), dtype)
    spoilt = x.copy()
    spoilt[2, 13] = value
    other = [0, 1, 3, 4, 5, 6]
    layer = made(30, dtype, rng)
    (y, jac), (good, good_jac) = layer.linearize(spoilt), layer.linearize(x)
    assert np.isnan(y[2]).all()
    assert_array_equal(y[other], good[other])
    assert_array_equal(jac.tmv(v)["x"][other], good_jac.tmv(v)["x"][other])
    assert_array_equal(jac.mv(x=v)[other], good_jac.mv(x=v)[other])


@pytest.mark.parametrize("eps", [0.0, 1e-30, 1e-5])
@pytest.mark.parametrize("exponent", [-30, -18, 18, 30, 37, 200, -160])
def test_rows_whose_squares_the_dtype_does_not_hold(exponent, eps, isa, dtype, rng):
    if abs(exponent) > 37 and dtype == np.float32:
        exponent //= 6
    x = rng.uniform(0.5, 2, (5, 40)) * rng.choice([-1, 1], (5, 40)) * 10.0**exponent
    layer, x = LayerNorm(40, eps, dtype=dtype), x.astype(dtype)
    scale = 2.0 ** np.frexp(10.0**exponent)[1]
    with np.errstate(over="ignore"):
        relative_eps = eps / np.float64(scale) / scale
    expected = reference.layer_norm(x / scale, eps=relative_eps) if np.isfinite(relative_eps) else np.zeros(x.shape)
    assert_allclose(layer(x), expected, rtol=64 * np.finfo(dtype).eps, atol=64 * np.finfo(dtype).eps)


def test_no_samples(dtype):
    layer, x = LayerNorm(3, dtype=dtype), np.zeros((0, 3), dtype)
    y, jac = layer.linearize(x)
    assert y.shape == layer(x).shape == jac.mv(x=x, beta=np.ones(3)).shape == (0, 3)
    assert_array_equal(jac.tmv(x)["gamma"], np.zeros(3))
    assert_array_equal(jac.tmv(x)["beta"], np.zeros(3))


@cases.layouts
def test_samples_of_any_layout(layout, dtype, rng):
    layer, x = made(13, dtype, rng), normals(rng, (6, 13), dtype)
    assert_array_equal(layer(layout(x)), layer(x), strict=True)


def test_samples_of_another_dtype(rng):
    layer, x = made(5, np.float32, rng), normals(rng, (4, 5), np.float64)
    wide = LayerNorm(5).with_params({name: a.astype(float) for name, a in layer.params.items()})
    assert_array_equal(layer(x), wide(x), strict=True)
    bare = LayerNorm(5, elementwise_affine=False)
    assert bare.dtype is None
    assert bare(x.astype(np.float32)).dtype == np.float32


def test_files(tmp_path, dtype, rng):
    layers = [made(4, dtype, rng), Dense(4, 3, "identity", dtype=dtype, rng=0), LayerNorm(3, 0.1, False, dtype=dtype)]
    net, x = Network(layers), normals(rng, (5, 4), dtype)
    net.save(tmp_path / "net.npz")
    again = Network.load(tmp_path / "net.npz")
    assert repr(again) == repr(net)
    assert_array_equal(again(x), net(x), strict=True)


def test_arguments():
    for make, kind, text in (
        (lambda: LayerNorm(0), ValueError, "n is 0; expected at least 1"),
        (lambda: LayerNorm(2.5), TypeError, "n is 2.5; expected an integer"),
        (lambda: LayerNorm(3, -1e-5), ValueError, "eps is -1e-05; expected a finite number >= 0"),
        (lambda: LayerNorm(3, elementwise_affine=1), TypeError, "elementwise_affine is 1; expected True or False"),
        (lambda: LayerNorm(3, bias=None), TypeError, "bias is None; expected True or False"),
        (lambda: LayerNorm(3, dtype=int), TypeError, "dtype is int64; expected float32 or float64"),
        (lambda: LayerNorm(3)(np.ones((2, 4))), ValueError, r"samples of shape \(4,\); expected \(3,\)"),
        (lambda: LayerNorm(3)(np.ones((2, 3, 1))), ValueError, r"samples of shape \(3, 1\); expected \(3,\)"),
        (
            lambda: Network([Dense(4, 3), LayerNorm(4)]),
            ValueError,
            r"layers\[1\]: x has samples of shape \(3,\); expected \(4,\)",
        ),
    ):
        with pytest.raises(kind, match=text):
            make()
    assert repr(LayerNorm(3)) == "LayerNorm(n=3)"
