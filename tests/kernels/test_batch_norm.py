"""BatchNorm2d, and BatchNorm of samples (m, n): both forms against the reference, and derivatives."""

import itertools

import cases
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal, assert_array_less

from fastlec import (
    SGD,
    Activation,
    BatchNorm,
    BatchNorm2d,
    Dense,
    Layer,
    MeanSquaredError,
    Network,
    reference,
    training_step,
)
from fastlec.testing import check_layer

forms = pytest.mark.parametrize("training", [False, True], ids=["inference", "training"])


def normals(rng, shape, dtype, scale=1.0, mean=0.0):
    return (mean + scale * rng.standard_normal(shape)).astype(dtype)


def made(c, dtype, rng, kind=BatchNorm2d, **options):
    """A layer whose parameters and running statistics are random."""
    layer = kind(c, dtype=dtype, **options)
    for a in (*layer.params.values(), *layer.buffers.values()):
        a[...] = rng.uniform(0.5, 2, c) * (1 if a is layer.buffers["running_var"] else rng.choice([-1, 1], c))
    return layer


def made_for(shape, dtype, rng, **options):
    """The layer for x of this shape."""
    return made(shape[1], dtype, rng, {2: BatchNorm, 4: BatchNorm2d}[len(shape)], **options)


REFERENCE = {
    2: (reference.batch_norm, reference.batch_norm_jac_mv, reference.batch_norm_jac_tmv),
    4: (reference.batch_norm2d, reference.batch_norm2d_jac_mv, reference.batch_norm2d_jac_tmv),
}


def statistics(layer):
    """What the reference takes for mean and var."""
    return () if layer.training else tuple(layer.buffers.values())


def assert_near(found, expected, bound, dtype):
    assert found.dtype == dtype
    assert found.shape == expected.shape
    assert_array_less(np.abs(found - expected), bound + np.finfo(dtype).smallest_normal)


class Sizes:
    """What errors are relative to. Every sum is off by unit times the sum of its terms' sizes, the mean, a sum of deviations, too:
    z is off by unit (|z| + mean |z|) and, where the mean has no digits beyond the dtype's, by unit |mean| / s."""

    def __init__(self, layer, x, unit):
        self.axes, self.ones = (0, *range(2, x.ndim)), (1,) * (x.ndim - 2)
        mean, var = statistics(layer) or (x.mean(axis=self.axes, dtype=float), x.var(axis=self.axes, dtype=float))
        mean, s, gamma, beta = (
            np.reshape(a, (-1, *self.ones)).astype(float)
            for a in (mean, np.sqrt(np.add(var, layer.eps, dtype=float)), *layer.params.values())
        )
        self.layer, self.unit = layer, unit
        self.z = np.abs(x - mean) / s
        if layer.training:
            self.z = self.z + self.z.mean(axis=self.axes, keepdims=True)
        if x.dtype == np.float64:
            self.z = self.z + np.abs(mean) / s
        self.scale, self.gamma, self.beta = np.abs(gamma) / s, np.abs(gamma), np.abs(beta)

    def y(self):
        return self.unit * (self.gamma * self.z + self.beta)

    def by_x(self, v):
        """The three terms of the derivative; the last is a product of three numbers that are each off by that."""
        v = np.abs(v)
        if not self.layer.training:
            return self.unit * self.scale * v
        means = [a.mean(axis=self.axes, keepdims=True) for a in (v, v * self.z)]
        return self.unit * self.scale * (v + means[0] + 3 * self.z * means[1])

    def mv(self, directions):
        bound = 0.0
        if "x" in directions:
            bound = bound + self.by_x(directions["x"])
        for name, size in (("gamma", self.z), ("beta", np.ones_like(self.z))):
            if name in directions:
                bound = bound + self.unit * size * np.reshape(np.abs(directions[name]), (-1, *self.ones))
        return bound

    def tmv(self, v):
        sums = {name: self.unit * (np.abs(v) * size).sum(axis=self.axes) for name, size in (("gamma", self.z), ("beta", 1.0))}
        return {"x": self.by_x(v), **sums}


def check_against_the_reference(layer, x, rng, unit):
    dtype, params, sizes = x.dtype, layer.params.values(), Sizes(layer, x, unit)
    given = (*params, *statistics(layer))
    options = {"eps": layer.eps}
    value, jac_mv, jac_tmv = REFERENCE[x.ndim]
    y, jac = layer.linearize(x)
    assert_near(y, value(x, *given, **options), sizes.y(), dtype)
    assert_array_equal(layer(x), y, strict=True)
    v = normals(rng, x.shape, dtype)
    found, expected = jac.tmv(v), jac_tmv(v, x, *given, **options)
    assert list(found) == ["x", "gamma", "beta"]
    for name, bound in sizes.tmv(v).items():
        assert_near(found[name], expected[name], bound, dtype)
        assert_array_equal(jac.tmv(v, name)[name], found[name])
    every = {name: normals(rng, jac.shape_of(name), dtype) for name in jac.variables}
    for count in (1, 2, 3):
        for names in itertools.combinations(every, count):
            directions = {name: every[name] for name in names}
            dy = jac_mv(x, *given, **options, **{f"d{name}": d for name, d in directions.items()})
            assert_near(jac.mv(**directions), dy, sizes.mv(directions), dtype)


@forms
@cases.parametrize("shape", cases.BATCH_NORM + cases.BATCH_NORM_DENSE)
def test_agrees_with_the_reference(shape, training, isa, dtype, rng, frozen, tolerance):
    layer = made_for(shape, dtype, rng, training=training)
    for a in (*layer.params.values(), *layer.buffers.values()):
        a.flags.writeable = False
    x = frozen(normals(rng, shape, dtype, 1.5, 0.7))
    check_against_the_reference(layer, x, rng, tolerance("product", dtype))


@forms
@pytest.mark.parametrize("shape", [(20, 5, 9, 11), (300, 5)], ids=str)
def test_a_large_mean_costs_no_digits(shape, training, isa, dtype, rng, tolerance):
    """10^4 deviations away in single precision, where a tenth of them is all that x resolves."""
    layer = made_for(shape, dtype, rng, training=training, eps=1e-12)
    x = normals(rng, shape, dtype, 1e-2, 100.0)
    layer.buffers["running_mean"][...] = 100
    layer.buffers["running_var"][...] = 1e-4
    check_against_the_reference(layer, x, rng, tolerance("product", dtype))


@forms
@cases.parametrize("shape", cases.BATCH_NORM_TEAM)
def test_teams_agree_bit_by_bit(shape, training, isa, dtype, rng, alone):
    layer, x, v = (made_for(shape, dtype, rng, training=training), *(normals(rng, shape, dtype) for _ in range(2)))

    def answers():
        y, jac = layer.linearize(x)
        return [layer(x), y, *jac.tmv(v).values(), jac.mv(x=v, gamma=v[0].reshape(shape[1], -1)[:, 0]), jac.mv(x=v)]

    team = answers()
    with alone():
        for single, a in zip(answers(), team, strict=True):
            assert_array_equal(single, a, strict=True)


@forms
@pytest.mark.parametrize("shape", [(4, 3, 2, 3), (7, 3)], ids=str)
def test_derivatives(shape, training, dtype, rng):
    check_layer(made_for(shape, dtype, rng, training=training), normals(rng, shape, dtype)).assert_passed()


@forms
@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "relu", "identity"])
@pytest.mark.parametrize("shape", [(3, 2, 4, 5), (11, 9)], ids=str)
def test_derivatives_above_and_below_others(shape, activation, training, isa, dtype, rng):
    """The derivative of what is below is taken in the same sweep."""
    net = Network([Activation(activation), made_for(shape, dtype, rng, training=training), Activation("tanh")])
    x = normals(rng, shape, dtype)
    check_layer(net, x + np.copysign(dtype.type(0.1), x)).assert_passed()  # off relu's kink


def test_a_layer_that_changes_its_statistics_when_it_is_used_is_found_out(rng):
    class Moving(BatchNorm2d):
        def evaluate(self, x):
            self.buffers["running_mean"][...] += x.mean(axis=(0, 2, 3))
            return super().evaluate(x)

    result = check_layer(Moving(3), normals(rng, (4, 3, 2, 3), np.float64))
    assert not result.passed
    assert "unmodified input" in result.reason
    assert "the buffer running_mean" in str(result)


# --- values ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1, 4, 1, 1), (5, 4, 1, 1), (2, 4, 50, 60), (1, 4, 3, 3), (1, 4), (300, 4)], ids=str)
def test_constant_channels_become_beta(shape, isa, dtype, rng):
    """Also a single value, whose variance is 0: nothing is divided by it."""
    layer, ones = made_for(shape, dtype, rng, training=True), (1,) * (len(shape) - 2)
    x = np.broadcast_to(np.array([0.1, -3e4, 1 / 3, 0.0], dtype).reshape(4, *ones), shape)
    y, jac = layer.linearize(x)
    assert_array_equal(y, np.broadcast_to(layer.params["beta"].reshape(4, *ones), shape))
    v = normals(rng, shape, dtype)
    assert np.isfinite(jac.tmv(v)["x"]).all()
    assert_array_equal(jac.tmv(v)["gamma"], np.zeros(4))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("shape", [(3, 4, 5, 6), (30, 4)], ids=str)
def test_nan_and_infinity_stay_in_their_channel(shape, value, isa, dtype, rng):
    x, v = normals(rng, shape, dtype), normals(rng, shape, dtype)
    spoilt, at = x.copy(), (1, 2, 3, 4)[: len(shape)]
    spoilt[at] = value
    other = [0, 1, 3]
    layer = made_for(shape, dtype, rng, training=True)
    (y, jac), (good, good_jac) = layer.linearize(spoilt), layer.linearize(x)
    assert np.isnan(y[:, 2]).all()
    assert_array_equal(y[:, other], good[:, other])
    assert_array_equal(jac.tmv(v)["x"][:, other], good_jac.tmv(v)["x"][:, other])
    layer = made_for(shape, dtype, rng)
    y, good = layer(spoilt), layer(x)
    expected = good.copy()
    expected[at] = value * layer.params["gamma"][2]
    assert_array_equal(y, expected)


@pytest.mark.parametrize("shape", [(0, 3, 4, 5), (2, 3, 0, 5), (0, 3)], ids=str)
def test_nothing_to_normalise(shape, dtype):
    kind, of = (BatchNorm, "sample") if len(shape) == 2 else (BatchNorm2d, "pixel")
    layer, x = kind(3, dtype=dtype), np.zeros(shape, dtype)
    y, jac = layer.linearize(x)
    assert y.shape == jac.mv(x=x, beta=np.ones(3)).shape == layer(x).shape == shape
    found = jac.tmv(x)
    assert found["x"].shape == shape
    assert_array_equal(found["gamma"], np.zeros(3))
    assert_array_equal(found["beta"], np.zeros(3))
    for use in (kind(3, dtype=dtype, training=True), Network([layer]).for_training()):
        for call in (use, use.linearize):
            with pytest.raises(ValueError, match=rf"x has shape \(.*\); expected one {of} or more, whose mean and variance"):
                call(x)


def test_images_of_another_dtype(rng):
    layer = made(3, np.float32, rng)
    x = normals(rng, (2, 3, 4, 5), np.float64)
    y = layer(x)
    wide = made(3, np.float64, rng).with_params({name: a.astype(float) for name, a in layer.params.items()})
    for name, a in layer.buffers.items():
        wide.buffers[name][...] = a
    assert_array_equal(y, wide(x), strict=True)
    assert layer.buffers["running_mean"].dtype == np.float32
    assert_array_equal(layer(x.astype(np.float16)), layer(x.astype(np.float16).astype(np.float32)), strict=True)


@cases.layouts
def test_images_of_any_layout(layout, dtype, rng):
    layer, x = made(3, dtype, rng, training=True), normals(rng, (4, 3, 5, 7), dtype)
    given = layout(x)
    assert_array_equal(layer(given), layer(x), strict=True)


def test_without_parameters(isa, dtype, rng, tmp_path):
    """gamma and beta are ones and zeros. The buffers have the dtype of the network, or, of a layer alone, that of the samples."""
    layer = BatchNorm(5, affine=False, dtype=dtype)
    assert not layer.params
    same, x, v = BatchNorm(5, dtype=dtype), normals(rng, (8, 5), dtype), normals(rng, (8, 5), dtype)
    for name, a in layer.buffers.items():
        a[...] = same.buffers[name][...] = rng.uniform(1, 2, 5)
    for form, other in ((layer, same), (layer.for_training(), same.for_training())):
        assert_array_equal(form(x), other(x), strict=True)
        assert_array_equal(form.jac_tmv(x, v)["x"], other.jac_tmv(x, v, "x")["x"], strict=True)
        assert_array_equal(form.jac_mv(x, x=v), other.jac_mv(x, x=v), strict=True)
    for given in (np.float32, np.float64):
        assert layer(x.astype(given)).dtype == given
    for given in (np.float32, np.float64):
        net = Network([Dense(4, 5, dtype=given, rng=0), layer])
        assert all(a.dtype == given for a in net.buffers.values())
        X = normals(rng, (8, 4), given)
        training_step(net, MeanSquaredError(), SGD(0.1), 8)(X, x)
        net.save(tmp_path / "net.npz")
        again = Network.load(tmp_path / "net.npz")
        assert_array_equal(again(X), net(X), strict=True)
        assert_array_equal(net(X.astype(np.float64)).dtype, np.float64)


@pytest.mark.parametrize("shape", [(8, 3, 2, 2), (8, 3)], ids=str)
def test_the_form_for_training_has_plans_of_its_own(shape, dtype, rng):
    """Whatever the layer was used for before."""
    layer, x, v = made_for(shape, dtype, rng), normals(rng, shape, dtype), normals(rng, shape, dtype)
    calls = [
        lambda form: form(x),
        lambda form: form.jac_tmv(x, v)["x"],
        lambda form: form.jac_mv(x, x=v),
    ]
    other = made_for(shape, dtype, rng, training=True)
    for mine, its in ((layer.params, other.params), (layer.buffers, other.buffers)):
        for name, a in mine.items():
            its[name][...] = a
    for call in calls:
        before = call(layer)
        assert_array_equal(call(layer.for_training()), call(other), strict=True)
        assert_array_equal(call(layer), before, strict=True)
        assert not np.array_equal(call(other), before)


def test_training_steps_move_the_statistics_of_samples(isa, dtype, rng):
    net = Network([BatchNorm(3, momentum=0.25, dtype=dtype), Dense(3, 2, "identity", dtype=dtype, rng=0)])
    X, y = normals(rng, (200, 3), dtype, 2.0, 1.0), normals(rng, (200, 2), dtype)
    output, jac = net.for_training().linearize(X)
    gradient = jac.tmv(MeanSquaredError().value_and_gradient(output, y)[1])
    expected = {name: a - dtype.type(0.5) * gradient[name] for name, a in net.params.items()}
    training_step(net, MeanSquaredError(), SGD(0.5), 200)(X, y)
    units = 20 * np.finfo(dtype).eps
    assert_allclose(net.buffers["0.running_mean"], 0.25 * X.mean(axis=0, dtype=float), rtol=units)
    assert_allclose(net.buffers["0.running_var"], 0.75 + 0.25 * X.var(axis=0, ddof=1, dtype=float), rtol=units)
    for name, a in net.params.items():
        assert_allclose(a, expected[name], atol=units)
    with pytest.raises(ValueError, match=r"x has shape \(1, 3\); expected more than one value of each feature"):
        training_step(net, MeanSquaredError(), SGD(0.5), 200)(X[:1], y[:1])


def test_arguments():
    for make, kind, text in (
        (lambda: BatchNorm2d(0), ValueError, "c is 0; expected at least 1"),
        (lambda: BatchNorm2d(2.5), TypeError, "c is 2.5; expected an integer"),
        (lambda: BatchNorm2d(3, -1e-5), ValueError, "eps is -1e-05; expected a finite number >= 0"),
        (lambda: BatchNorm2d(3, momentum=1.5), ValueError, "momentum is 1.5; expected a share between 0 and 1"),
        (lambda: BatchNorm2d(3, momentum=None), TypeError, "momentum is None; expected a number"),
        (lambda: BatchNorm2d(3, dtype=int), TypeError, "dtype is int64; expected float32 or float64"),
        (
            lambda: BatchNorm2d(3)(np.ones((2, 4, 5, 5))),
            ValueError,
            r"samples of shape \(4, 5, 5\); expected \(3, height, width\)",
        ),
        (lambda: BatchNorm(0), ValueError, "n is 0; expected at least 1"),
        (lambda: BatchNorm(3, affine=2), TypeError, "affine is 2; expected True or False"),
        (lambda: BatchNorm(3)(np.ones((2, 4))), ValueError, r"samples of shape \(4,\); expected \(3,\)"),
        (lambda: Network([Dense(4, 3), BatchNorm(4)]), ValueError, r"layers\[1\]: x has samples of shape \(3,\)"),
        (lambda: BatchNorm2d(3)(np.ones((2, 3))), ValueError, r"samples of shape \(3,\); expected \(3, height, width\)"),
        (lambda: Layer({"a": np.ones(2)}, {"a": np.ones(2)}), ValueError, "buffers has the names .*; expected others than"),
        (lambda: Layer(buffers={"count": np.ones(2, int)}), TypeError, r"buffers\['count'\] has dtype int64; expected float32"),
        (lambda: BatchNorm2d(3).buffers.update(running_mean=1), TypeError, "buffers cannot be exchanged"),
    ):
        with pytest.raises(kind, match=text):
            make()
    assert repr(BatchNorm(3, 1e-3)) == "BatchNorm(n=3, eps=0.001)"
    assert repr(BatchNorm2d(3, training=True)) == "BatchNorm2d(c=3, training=True)"
