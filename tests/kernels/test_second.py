"""Second derivatives: `Jacobian.hessian_mv` of every layer, exact Hessian and Gauss-Newton products of objectives."""

import copy
import pickle

import nets
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from test_layers import MADE

import fastlec
from fastlec import (
    Activation,
    AvgPool2d,
    BatchNorm,
    BatchNorm2d,
    BinaryCrossEntropy,
    Concat,
    Conv2d,
    ConvResidual,
    ConvTranspose2d,
    Dense,
    Dropout,
    Flatten,
    Huber,
    Layer,
    LayerNorm,
    MeanAbsoluteError,
    MeanSquaredError,
    Network,
    Objective,
    ProjectedResidual,
    Residual,
    SoftmaxCrossEntropy,
    Sum,
    Upsample2d,
)
from fastlec._activations import ACTIVATIONS
from fastlec._kernels import curvature
from fastlec._kernels.plan import Plan
from fastlec.testing import gradient_test, jacobian_test


def samples(layer, m=4, seed=0):
    """Samples that the layer takes; its parameters drawn anew, so that none is 0 or 1."""
    rng = np.random.default_rng(seed)
    for a in layer.params.values():
        a += 0.4 * rng.standard_normal(a.shape).astype(a.dtype)
    shape = layer.input_shape or (3,)
    shape = tuple(n or (2 if i == 0 else 6) for i, n in enumerate(shape))
    return rng.standard_normal((m, *shape)).astype(layer.dtype or np.float64)


def deep(dtype=np.float64, training=True):
    """A network of all kinds of layer whose second derivatives are not zero."""
    layers = [
        Conv2d(1, 3, 3, "tanh", dtype=dtype),
        BatchNorm2d(3, training=training, dtype=dtype),
        ConvResidual(3, activation="softplus", dtype=dtype),
        AvgPool2d(2),
        Flatten(),
        Dense(27, 6, "gelu", dtype=dtype),
        BatchNorm(6, training=training, dtype=dtype),
        LayerNorm(6, dtype=dtype),
        Network([Residual(6, activation="silu", dtype=dtype), Activation("sigmoid")]),
        ProjectedResidual(6, 5, dtype=dtype),
        Dense(5, 3, "identity", dtype=dtype),
    ]
    net = Network(layers, rng=0)
    return net, np.random.default_rng(1).standard_normal((4, 1, 8, 8)).astype(dtype)


class At:
    """<v, f> as a function of the flat vector of x and all parameters: its gradient by tmv, its Hessian by hessian_mv."""

    def __init__(self, layer, x, seed=2):
        self.layer, self.names = layer, layer.variables
        _, jac = layer.linearize(x)
        self.shapes = {name: jac.shape_of(name) for name in self.names}
        self.start = self.joined({"x": x, **layer.params})
        self.v = np.random.default_rng(seed).standard_normal(jac.y.shape).astype(x.dtype)

    def joined(self, arrays):
        return np.concatenate([arrays[name].ravel() for name in self.names])

    def split(self, z):
        ends = np.cumsum([int(np.prod(shape)) for shape in self.shapes.values()])
        parts = np.split(z, ends[:-1])
        return {name: part.reshape(shape) for (name, shape), part in zip(self.shapes.items(), parts, strict=True)}

    def jacobian(self, z):
        named = self.split(z)
        x = named.pop("x")
        layer = self.layer.with_params(named) if named else self.layer
        return layer.linearize(x)[1]

    def gradient(self, z):
        return self.joined(self.jacobian(z).tmv(self.v, self.names))

    def hessian_mv(self, z, d):
        return self.joined(self.jacobian(z).hessian_mv(self.v, self.names, **self.split(d)))


@pytest.mark.parametrize("name", MADE)
def test_each_layer_passes_the_jacobian_test_of_its_gradient(name, isa, threads, dtype):
    layer = MADE[name]({"dtype": dtype, "rng": 0})
    x = samples(layer)
    at = At(layer, x.astype(dtype))
    if not at.hessian_mv(at.start, np.ones_like(at.start)).any():  # piecewise linear, without parameters
        pools = {f"{kind}Pool{axes}d" for kind in ("Avg", "Max") for axes in (1, 2)}
        assert name in {"Dropout", "Flatten", "GlobalAvgPool2d", "Upsample2d"} | pools
        return
    jacobian_test(at.gradient, at.hessian_mv, at.start).assert_passed()


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("kind", [Activation, Dense, Residual, ProjectedResidual, Conv2d, ConvResidual])
def test_each_activation(kind, activation, isa, dtype):
    arguments = {
        Activation: (),
        Dense: (3, 4),
        Residual: (3, 5),
        ProjectedResidual: (3, 4),
        Conv2d: (2, 3, 2),
        ConvResidual: (2,),
    }
    if kind is Activation:
        layer = Activation(activation)
    else:
        layer = kind(*arguments[kind], activation=activation, dtype=dtype, rng=1)
    at = At(layer, samples(layer, 3).astype(dtype))
    d = np.random.default_rng(3).standard_normal(at.start.shape).astype(dtype)
    double = At(layer.with_params({n: a.astype(float) for n, a in layer.params.items()}), at.split(at.start)["x"].astype(float))
    double.v = at.v.astype(float)
    got, z, along = at.hessian_mv(at.start, d), at.start.astype(float), d.astype(float)
    step = 1e-5
    expected = (double.gradient(z + step * along) - double.gradient(z - step * along)) / (2 * step)
    tolerance = 1e-8 if dtype == np.float64 else 1e-5
    assert_allclose(got, expected, rtol=0, atol=tolerance * max(np.abs(expected).max(), 1))


@pytest.mark.parametrize("training", [False, True])
def test_a_deep_network_is_exact_and_symmetric(training, isa, threads):
    net, x = deep(training=training)
    for a in net.params.values():
        a += 0.2 * np.random.default_rng(a.size).standard_normal(a.shape)
    at, rng = At(net, x), np.random.default_rng(4)
    jacobian_test(at.gradient, at.hessian_mv, at.start).assert_passed()
    d, e = rng.standard_normal((2, at.start.size))
    assert_allclose(e @ at.hessian_mv(at.start, d), d @ at.hessian_mv(at.start, e), rtol=1e-10)


def branched(training=True):
    """A residual block with batch normalisation, and a small U-Net, with an activation between."""
    first = [Conv2d(1, 3, 3, padding=1), BatchNorm2d(3, training=training), Activation("tanh")]
    block = Sum([Network([*first, Conv2d(3, 2, 3, "silu", padding=1)]), Conv2d(1, 2, 1), Network([Conv2d(1, 2, 1, "sigmoid")])])
    down = Network([AvgPool2d(2), Conv2d(2, 3, 3, "softplus", padding=1), Upsample2d(2)])
    up = ConvTranspose2d(5, 1, 3, "gelu", stride=2, padding=1)
    net = Network([block, Activation("tanh"), Concat([Activation("identity"), down]), up, Flatten()], rng=0)
    return net, np.random.default_rng(1).standard_normal((3, 1, 4, 6))


@pytest.mark.parametrize("training", [False, True])
def test_branches_are_exact_and_symmetric(training, isa, threads):
    net, x = branched(training)
    at, rng = At(net, x), np.random.default_rng(4)
    jacobian_test(at.gradient, at.hessian_mv, at.start).assert_passed()
    d, e = rng.standard_normal((2, at.start.size))
    assert_allclose(e @ at.hessian_mv(at.start, d), d @ at.hessian_mv(at.start, e), rtol=1e-10)
    if not training:
        _, jac = net.linearize(x)
        v = rng.standard_normal(jac.y.shape)
        found = jac.tmv(v, "theta", per_sample=True)["theta"]
        assert_allclose(found.sum(axis=0), jac.tmv(v, "theta")["theta"], rtol=0, atol=1e-12)
        assert_allclose(jac.sample_norms(v, "theta"), (found**2).sum(axis=1), rtol=1e-12)


def test_branches_with_layers_of_ones_own():
    net = Network(
        [Sum([Dense(3, 4, "tanh", rng=0), Network([Dense(3, 4, rng=1), Exact()])]), Concat([Exact(), Dense(4, 2, rng=2)])]
    )
    at = At(net, np.random.default_rng(0).standard_normal((5, 3)))
    jacobian_test(at.gradient, at.hessian_mv, at.start).assert_passed()


def test_parts_of_the_variables_are_parts_of_the_product():
    net, x = deep()
    _, jac = net.linearize(x)
    rng = np.random.default_rng(0)
    v = rng.standard_normal(jac.y.shape)
    along = {name: rng.standard_normal(jac.shape_of(name)) for name in ("x", "0.W", "5.b", "8.0.W1", "theta")}
    whole = jac.hessian_mv(v, **along)
    assert list(whole) == list(net.variables)
    for wrt in ("x", "theta", "10.W", ("5.W", "x")):
        for name, a in jac.hessian_mv(v, wrt, **along).items():
            expected = np.concatenate([whole[own].ravel() for own in net.params]) if name == "theta" else whole[name]
            assert_allclose(a, expected, rtol=1e-12, atol=1e-12 * np.abs(expected).max())
    parts = [jac.hessian_mv(v, "theta", **{name: a})["theta"] for name, a in along.items()]
    assert_allclose(np.sum(parts, axis=0), jac.hessian_mv(v, "theta", **along)["theta"], rtol=0, atol=1e-11)


def test_the_same_bits_for_any_number_of_threads(isa, dtype, alone):
    net, x = deep(dtype)
    x = np.tile(x, (16, 1, 1, 1))
    v, d = np.ones((len(x), 3), dtype), np.linspace(-1, 1, net.n_params).astype(dtype)
    y = np.arange(len(x)) % 3

    def results():
        jac = net.linearize(x)[1]
        at = Objective(net, SoftmaxCrossEntropy(), x, y, l2=0.1).at(net.theta)
        return [*jac.hessian_mv(v, theta=d).values(), at.gradient, at.hessian_mv(d), at.gauss_newton_mv(d)]

    with alone():
        expected = results()
    for a, b in zip(results(), expected, strict=True):
        assert_array_equal(a, b)


def test_no_samples():
    net, x = deep(training=False)
    y, jac = net.linearize(x[:0])
    found = jac.hessian_mv(np.empty((0, 3)), theta=np.ones(net.n_params))
    assert found["x"].shape == (0, 1, 8, 8)
    assert not any(a.any() for a in found.values())
    assert jac.blocks("x").shape == (0, 3, 64)
    assert jac.blocks("theta").shape == (0, 3, net.n_params)
    assert jac.sample_norms(y).shape == (0,)
    assert jac.tmv(y, "0.W", per_sample=True)["0.W"].shape == (0, 3, 1, 3, 3)
    A = jac.operator(("x", "theta"))
    assert not (A.T @ np.empty((0, 2))).any()
    assert (A @ np.ones((net.n_params, 2))).shape == (0, 2)


@pytest.mark.parametrize("how", [copy.copy, copy.deepcopy, lambda a: pickle.loads(pickle.dumps(a))])
def test_copies_and_pickles_of_points(how):
    net, x = mixed()
    f = Objective(net, SoftmaxCrossEntropy(), x, np.arange(4) % 3)
    jac, at, d = net.linearize(x)[1], f.at(net.theta), np.linspace(-1, 1, net.n_params)
    expected = jac.hessian_mv(jac.y, theta=d)["x"], jac.mv(theta=d), at.hessian_mv(d)
    for jac_copy, at_copy in ((how(jac), how(at)), (jac, at)):  # the copies are gone when the others compute
        assert_array_equal(jac_copy.hessian_mv(jac.y, theta=d)["x"], expected[0])
        assert_array_equal(jac_copy.mv(theta=d), expected[1])
        assert_array_equal(at_copy.hessian_mv(d), expected[2])
        del jac_copy, at_copy
        net.linearize(2 * x)
        f.at(2 * net.theta)


def test_the_point_stays_where_it_was():
    net, x = deep()
    _, jac = net.linearize(x)
    v, d = np.ones((4, 3)), np.linspace(-1, 1, net.n_params)
    before = [jac.mv(theta=d), *jac.tmv(v).values(), *jac.hessian_mv(v, theta=d).values()]
    x *= 2
    net.theta *= 3
    other = net.linearize(x)[1].mv(theta=d)  # takes no plan that is in use
    after = [jac.mv(theta=d), *jac.tmv(v).values(), *jac.hessian_mv(v, theta=d).values()]
    for a, b in zip(before, after, strict=True):
        assert_array_equal(a, b)
    assert np.abs(other - before[0]).max() > 0.1


# --- layers of one's own -----------------------------------------------------------------------------------------------


class Exact(nets.Cube):
    def hessian_mv(self, x, v, directions, wrt):
        return {name: 2 * x * v * directions["x"] for name in wrt}


class Wrong(nets.Cube):
    def hessian_mv(self, x, v, directions, wrt):
        return {}


class OwnHessian(Dense):
    def hessian_mv(self, kept, v, directions, wrt):
        return {name: np.full_like({"x": kept[0], **self.params}[name], 7) for name in wrt}


class OwnProducts(OwnHessian):
    def tmv(self, kept, v, wrt):
        return Dense(self.n_in, self.n_out).with_params(dict(self.params)).tmv(kept, v, wrt)


@pytest.mark.parametrize("kind", [OwnHessian, OwnProducts])
def test_a_subclass_may_have_second_derivatives_of_its_own(kind):
    x, v = np.ones((2, 3)), np.ones((2, 4))
    layer = kind(3, 4, rng=0)
    for found in (layer.linearize(x)[1].hessian_mv(v, x=x), Network([layer]).linearize(x)[1].hessian_mv(v, x=x)):
        assert all((a == 7).all() for a in found.values())


@pytest.mark.parametrize(("kind", "digits"), [(nets.Cube, 1e-7), (Exact, 1e-13)])
def test_layers_of_ones_own(kind, digits):
    same = Network([Dense(3, 4, "sigmoid", rng=0), kind(), Dense(4, 2, "silu", rng=1)])
    x = np.random.default_rng(0).standard_normal((5, 3))
    at = At(same, x)
    d = np.random.default_rng(1).standard_normal(at.start.shape)
    z, step = at.start, 1e-3
    terms = [(at.gradient(z + k * step * d) - at.gradient(z - k * step * d)) / (2 * k * step) for k in (1, 2, 3)]
    expected = (15 * terms[0] - 6 * terms[1] + terms[2]) / 10
    assert_allclose(at.hessian_mv(z, d), expected, rtol=0, atol=max(digits, 1e-9) * np.abs(expected).max())


def test_a_layers_own_function_has_differences():
    net = Network([Dense(3, 4, "sigmoid", rng=0), Activation(np.sin, np.cos), Dense(4, 2, "identity", rng=1)])
    at = At(net, np.random.default_rng(0).standard_normal((5, 3)))
    jacobian_test(at.gradient, at.hessian_mv, at.start, steps=12)
    d = np.ones_like(at.start)
    expected = (at.gradient(at.start + 1e-5 * d) - at.gradient(at.start - 1e-5 * d)) / 2e-5
    assert_allclose(at.hessian_mv(at.start, d), expected, rtol=0, atol=1e-7)


def test_a_wrong_method_is_named():
    _, jac = Wrong().linearize(np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"Wrong.hessian_mv gave nothing for 'x'"):
        jac.hessian_mv(np.ones((2, 3)), x=np.ones((2, 3)))


def test_bad_arguments():
    net, x = deep()
    _, jac = net.linearize(x)
    v = np.ones((4, 3))
    with pytest.raises(ValueError, match="no direction is given"):
        jac.hessian_mv(v)
    with pytest.raises(ValueError, match="there is no variable 'W'"):
        jac.hessian_mv(v, "W", x=x)
    with pytest.raises(ValueError, match=r"theta has shape \(3,\)"):
        jac.hessian_mv(v, theta=np.ones(3))
    with pytest.raises(TypeError, match="v has dtype complex128"):
        jac.hessian_mv(1j * v, x=x)


# --- objectives --------------------------------------------------------------------------------------------------------

LOSSES = {
    "softmax": (SoftmaxCrossEntropy(), "labels"),
    "smooth": (SoftmaxCrossEntropy(label_smoothing=0.2, ignore_index=1), "labels"),
    "rows": (SoftmaxCrossEntropy(label_smoothing=0.1), "rows"),
    "squares": (MeanSquaredError(), "rows"),
    "huber": (Huber(0.7), "rows"),
    "absolute": (MeanAbsoluteError(), "rows"),
    "binary": (BinaryCrossEntropy((0.5, 2.0, 1.0)), "unit"),
}


def problem(loss="softmax", dtype=np.float64, **arguments):
    rng, (loss, kind) = np.random.default_rng(5), LOSSES[loss]
    net = Network(
        [Dense(4, 6, "tanh", dtype=dtype), Residual(6, 5, "gelu", dtype=dtype), Dense(6, 3, "identity", dtype=dtype)], rng=0
    )
    net.theta += 0.3 * rng.standard_normal(net.n_params).astype(dtype)
    X = rng.standard_normal((30, 4))
    y = {"labels": rng.integers(0, 3, 30), "rows": rng.standard_normal((30, 3)), "unit": rng.random((30, 3))}[kind]
    weight = rng.random(30) + 0.1
    return Objective(net, loss, X.astype(dtype), y, l2=0.03, sample_weight=weight, **arguments), net.theta.copy()


@pytest.mark.parametrize("loss", LOSSES)
def test_the_hessian_of_every_loss(loss, isa, threads, dtype):
    f, theta = problem(loss, dtype)
    d = np.random.default_rng(1).standard_normal(theta.shape).astype(dtype)
    f64, at = problem(loss)[0], f.at(theta)
    z, step = theta.astype(float), 1e-5
    expected = (f64.gradient(z + step * d) - f64.gradient(z - step * d)) / (2 * step)
    tolerance = (1e-7 if dtype == np.float64 else 2e-5) * np.abs(expected).max()
    assert_allclose(at.hessian_mv(d), expected, rtol=0, atol=tolerance)
    assert at.hessian_mv(d).dtype == dtype
    assert_array_equal(f.hessian_mv(theta, d), at.hessian_mv(d))
    assert_allclose(at.value, f.value(theta), rtol=8 * np.finfo(dtype).eps)
    assert_allclose(at.gradient, f.gradient(theta), rtol=0, atol=1e3 * np.finfo(dtype).eps)


@pytest.mark.parametrize("loss", LOSSES)
def test_the_gauss_newton_product_is_that_of_explicit_matrices(loss):
    f, theta = problem(loss)
    net = f.net.with_theta(theta)
    output, jac = net.linearize(f.X)
    J = jac.matrix("theta")
    units = np.eye(output.size).reshape(-1, *output.shape)
    weight = np.ones(len(f.X)) if f.sample_weight is None else f.sample_weight
    H = np.array([f.loss.hessian_mv(output, f.y, u, sample_weight=weight).ravel() for u in units])
    scale = weight.mean() if f.sample_weight is not None else 1
    penalty = np.concatenate([np.full(a.size, f.l2 * (a.ndim > 1)) for a in net.params.values()])
    expected = scale * J.T @ H @ J + np.diag(penalty)
    assert_allclose(f.gauss_newton_operator(theta) @ np.eye(len(theta)), expected, rtol=0, atol=1e-12)


def test_parts_of_large_data_add_up(monkeypatch):
    f, theta = problem()
    V = np.random.default_rng(2).standard_normal((len(theta), 5))
    whole = f.at(theta)
    products = [whole.hessian_operator() @ V, whole.gauss_newton_operator(0.5) @ V]
    f, _ = problem()
    f._part = 7
    for kept in (1 << 28, 0):  # all parts are kept, or one
        monkeypatch.setattr("fastlec.training.linearized.KEPT_BYTES", kept)
        at = f.at(theta)
        assert_allclose(at.value, whole.value, rtol=1e-14)
        assert_allclose(at.gradient, whole.gradient, rtol=0, atol=1e-15)
        for operator, expected in zip((at.hessian_operator(), at.gauss_newton_operator(0.5)), products, strict=True):
            assert_allclose(operator @ V, expected, rtol=0, atol=1e-14)
            assert_allclose(operator @ V[:, 0], expected[:, 0], rtol=0, atol=1e-14)
            assert operator.T is not None
            assert_allclose(operator.T @ V, expected, rtol=0, atol=1e-14)


def test_many_columns_are_planned_some_at_a_time(monkeypatch):
    f, theta = problem()
    at, V = f.at(theta), np.random.default_rng(0).standard_normal((len(theta), 9))
    expected = [at.hessian_mv(v) for v in V.T]
    calls = at._points[0].at.calls
    one = max(plan.n_bytes for plan in calls.idle)
    for size in (1, 3 * at._points[0].n_bytes):
        monkeypatch.setattr("fastlec.layers.jacobian.MANY_BYTES", size)
        assert_array_equal((at.hessian_operator() @ V).T, expected)
        assert max(plan.n_bytes for plan in calls.idle) < 4 * one


def test_operators_add_up_and_tell_what_they_are():
    f, theta = problem()
    at, v = f.at(theta), np.ones(len(theta))
    both = at.hessian_operator() - 2 * at.gauss_newton_operator()
    assert_allclose(both @ v, at.hessian_mv(v) - 2 * at.gauss_newton_mv(v), rtol=0, atol=1e-14)
    assert repr(at.hessian_operator(0.1)) == f"<{len(v)}x{len(v)} Operator of float64: Hessian + 0.1 I>"
    with pytest.raises(TypeError, match="Hessian: the vector has dtype complex128; expected real numbers"):
        at.hessian_operator() @ (1j * v)
    with pytest.raises(ValueError, match="damping is -1"):
        at.hessian_operator(-1)


def test_what_is_written_later_changes_nothing_at_a_point():
    f, theta = problem()
    X, at, v = f.X, f.at(theta), np.ones(len(theta))
    for own in (at.theta, at.gradient):
        with pytest.raises(ValueError, match="read-only"):
            own[0] = 1
    before = at.hessian_mv(v), f.hessian_mv(theta, v)
    theta += 1
    X *= 2
    assert_array_equal(at.hessian_mv(v), before[0])
    changed = f.hessian_mv(theta - 1, v)  # of the samples as they are now
    assert np.abs(changed - before[1]).max() > 1e-3
    X /= 2
    assert_allclose(f.hessian_mv(theta - 1, v), before[1], rtol=1e-10, atol=1e-12)


def test_a_point_is_of_the_buffers_as_they_are():
    rng = np.random.default_rng(0)
    layers = [Dense(4, 5, rng=0), BatchNorm(5), Dropout(0.5, training=True, rng=0), Dense(5, 3, "identity", rng=1)]
    net, X, y = Network(layers), rng.standard_normal((8, 4)), rng.integers(0, 3, 8)
    f, theta, d = Objective(net, SoftmaxCrossEntropy(), X, y), net.theta.copy(), rng.standard_normal(net.n_params)
    first = f.at(theta)
    before = first.hessian_mv(d)
    f.at(2 * theta)  # gives its plan back
    for name, value in (("1.running_mean", 0.3), ("2.count", 1)):
        net.buffers[name][...] = value
        at = f.at(theta)
        assert_allclose(at.value, f.value(theta), rtol=1e-14)
        assert_allclose(at.gradient, f.gradient(theta), rtol=0, atol=1e-14)
        jacobian_test(f.gradient, f.hessian_mv, theta).assert_passed()
    assert_array_equal(first.hessian_mv(d), before)


def test_two_points_of_one_objective():
    f, theta = problem()
    v = np.ones(len(theta))
    first, second = f.at(theta), f.at(theta + 0.1)
    a, b = first.hessian_mv(v), second.hessian_mv(v)
    assert_array_equal(f.at(theta).hessian_mv(v), a)
    assert_array_equal(first.hessian_mv(v), a)
    assert np.abs(a - b).max() > 1e-4


def test_objectives_with_layers_or_losses_of_ones_own():
    class Cubic:
        def targets(self, y, shape, dtype):
            return np.asarray(y, dtype)

        def value_and_gradient(self, output, y):
            d = output - y
            return float((d**3).sum() / 3), d**2

        def hessian_mv(self, output, y, v):
            return 2 * (output - y) * v

    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((9, 3)), rng.standard_normal((9, 2))
    for layers in ([Dense(3, 4, rng=0), Dense(4, 2, "identity", rng=1)], [Dense(3, 4, rng=0), Exact(), Dense(4, 2, rng=1)]):
        for loss in (Cubic(), MeanSquaredError()):
            f = Objective(Network(layers), loss, X, y, l2=0.1)
            theta = f.net.theta.copy()
            jacobian_test(f.gradient, f.hessian_mv, theta).assert_passed()
            gradient_test(f.value, lambda t, f=f: f.at(t).gradient, theta).assert_passed()


def test_a_loss_without_second_derivatives_is_named():
    class Plain:
        def targets(self, y, shape, dtype):
            return y

        def value_and_gradient(self, output, y):
            return float(((output - y) ** 2).sum()), 2 * (output - y)

    f = Objective(Network([Dense(2, 2, rng=0)]), Plain(), np.ones((3, 2)), np.ones((3, 2)))
    with pytest.raises(TypeError, match="loss is a Plain, which has no hessian_mv"):
        f.hessian_mv(f.net.theta, f.net.theta)


# --- many directions, single samples -----------------------------------------------------------------------------------


def mixed(dtype=np.float64):
    net, x = deep(dtype, training=False)
    for a in net.params.values():
        a += 0.2 * np.random.default_rng(a.size).standard_normal(a.shape).astype(dtype)
    return net, x


@pytest.mark.parametrize("chunk", [1, 3, 64])
def test_many_directions(chunk, isa, threads, dtype, monkeypatch):
    monkeypatch.setattr("fastlec.layers.jacobian.MOST_DIRECTIONS", chunk)
    net, x = mixed(dtype)
    y, jac = net.linearize(x)
    rng = np.random.default_rng(0)
    DX, DT, V = (rng.standard_normal((7, *shape)).astype(dtype) for shape in (x.shape, (net.n_params,), y.shape))
    for directions in (
        {"x": DX},
        {"theta": DT},
        {"x": DX, "theta": DT},
        {"5.W": DT[:, : 27 * 6].reshape(7, 6, 27), "theta": DT},
    ):
        expected = [jac.mv(**{name: a[i] for name, a in directions.items()}) for i in range(7)]
        assert_array_equal(jac.mv_many(**directions), expected)
    for wrt in (None, "x", ("theta", "x"), ("theta", "5.W")):
        found = jac.tmv_many(V, wrt)
        for name, a in found.items():
            assert_array_equal(a, [jac.tmv(v, name)[name] for v in V])


@pytest.mark.parametrize("m", [0, 1, 5, 40])
@pytest.mark.parametrize("activation", ["tanh", "gelu", "leaky_relu"])
def test_many_directions_through_layers_that_stack_them(activation, m, isa, threads, dtype, monkeypatch):
    layers = [
        Dense(7, 9, activation),
        Residual(9, 5, activation),
        Activation(activation),
        Network([Flatten(), Dense(9, 6, activation, bias=False)]),
        LayerNorm(6),
        Dense(6, 11, activation),
    ]
    net = Network(layers, rng=0).astype(dtype)
    rng = np.random.default_rng(m)
    x, DX, V = (rng.standard_normal(shape).astype(dtype) for shape in ((m, 7), (5, m, 7), (5, m, 11)))
    _, jac = net.linearize(x)
    assert_array_equal(jac.mv_many(x=DX), np.reshape([jac.mv(x=d) for d in DX], (5, m, 11)))
    found = jac.tmv_many(V, ("x", "theta"))
    for name, a in found.items():
        assert_array_equal(a, [jac.tmv(v, name)[name] for v in V])
    assert_array_equal(jac.tmv_many(V, "0.b")["0.b"], [jac.tmv(v, "0.b")["0.b"] for v in V])
    blocks, part = jac.blocks("x"), Network(layers[:1], rng=0).astype(dtype)
    assert_allclose(np.einsum("iqn,kin->kiq", blocks, DX), jac.mv_many(x=DX), rtol=0, atol=1e3 * np.finfo(dtype).eps)
    by_columns = part.linearize(x)[1].blocks("x")  # fewer inputs than outputs
    monkeypatch.setattr("fastlec.layers.jacobian.MOST_DIRECTIONS", 3)
    for layer, expected in ((net, blocks), (part, by_columns)):
        for _ in range(2):  # the second time by the same plans
            assert_array_equal(layer.linearize(x)[1].blocks("x"), expected)
    assert_allclose(
        part.linearize(x)[1].tmv_many(np.eye(9, dtype=dtype)[:, None].repeat(m, 1), "x")["x"].swapaxes(0, 1),
        by_columns,
        rtol=0,
        atol=1e2 * np.finfo(dtype).eps,
    )


def test_a_layer_that_plans_itself_has_each_direction_alone():
    class Doubled(Dense):
        def _plan_mv(self, plan, kept, directions, dy):
            assert directions["x"].shape == kept[0].shape
            super()._plan_mv(plan, kept, directions, dy)

    class Own(Network):
        def _plan_backward(self, plan, y, kept, v, out):
            assert v.shape == y.shape
            super()._plan_backward(plan, y, kept, v, out)

    x, V = np.random.default_rng(0).standard_normal((4, 3)), np.random.default_rng(1).standard_normal((2, 4, 3))
    for net in (Network([Doubled(3, 3, rng=0)]), Own([Dense(3, 3, rng=0)])):
        _, jac = net.linearize(x)
        assert_array_equal(jac.mv_many(x=V), [jac.mv(x=v) for v in V])
        assert_array_equal(jac.tmv_many(V, "x")["x"], [jac.tmv(v, "x")["x"] for v in V])


def test_many_directions_of_nothing_and_of_wrong_shapes():
    net, x = mixed()
    y, jac = net.linearize(x)
    assert jac.mv_many(x=np.empty((0, *x.shape))).shape == (0, *y.shape)
    assert jac.tmv_many(np.empty((0, *y.shape)))["0.W"].shape == (0, 3, 1, 3, 3)
    with pytest.raises(ValueError, match=r"x has shape \(4, 1, 8, 8\); expected \(k, 4, 1, 8, 8\), k directions"):
        jac.mv_many(x=x)
    with pytest.raises(ValueError, match=r"directions have \[1, 2\] rows"):
        jac.mv_many(x=x[None], theta=np.ones((2, net.n_params)))
    with pytest.raises(ValueError, match="no direction is given"):
        jac.mv_many()


def test_operators_of_several_variables():
    net, x = mixed()
    _, jac = net.linearize(x)
    J = np.hstack([jac.matrix("x").toarray(), jac.matrix("theta")])
    A = jac.operator(("x", "theta"))
    assert A.shape == J.shape
    rng = np.random.default_rng(0)
    V, U = rng.standard_normal((J.shape[1], 3)), rng.standard_normal((J.shape[0], 3))
    assert_allclose(A @ V, J @ V, rtol=0, atol=1e-12)
    for B in (A.T, A.H):
        assert_allclose(B @ U, J.T @ U, rtol=0, atol=1e-12)
        assert_allclose(B @ U[:, 0], J.T @ U[:, 0], rtol=0, atol=1e-12)
    part = jac.operator(("5.b", "0.W"))
    names = [jac.tmv(U[:, 0].reshape(4, 3), name)[name].ravel() for name in ("5.b", "0.W")]
    assert_allclose(part.T @ U[:, 0], np.concatenate(names), rtol=0, atol=1e-13)
    assert repr(part) == "<12x33 Operator of float64: Jacobian of Network by 5.b, 0.W>"
    with pytest.raises(TypeError, match="Jacobian of Network by x, theta: the vector has dtype complex128"):
        A @ (1j * V)
    with pytest.raises(ValueError, match="there is no variable 'W'"):
        jac.operator(("x", "W"))
    with pytest.raises(ValueError, match="name is empty; expected one or more of x, "):
        jac.operator(())


def test_blocks_by_parameters_some_outputs_at_a_time(isa, monkeypatch):
    net, x = mixed()
    _, jac = net.linearize(x)
    expected = [jac.blocks(name) for name in ("theta", "0.W")]
    monkeypatch.setattr("fastlec.layers.jacobian.MOST_DIRECTIONS", 2)
    for name, blocks in zip(("theta", "0.W"), expected, strict=True):
        assert_array_equal(jac.blocks(name), blocks)


@pytest.mark.parametrize("name", [name for name in MADE if name not in ("BatchNorm", "BatchNorm2d", "Dropout")])
def test_blocks_and_single_samples_of_each_layer(name, isa, dtype):
    layer = MADE[name]({"dtype": dtype, "rng": 0})
    x = samples(layer, 3).astype(dtype)
    y, jac = layer.linearize(x)
    eps = 1e3 * np.finfo(dtype).eps
    v = np.random.default_rng(0).standard_normal(y.shape).astype(dtype)
    found, norms = jac.tmv(v, per_sample=True), jac.sample_norms(v)
    alone = [layer.linearize(x[i : i + 1])[1] for i in range(3)]
    assert list(found) == list(layer.params)
    squares = np.zeros(3)
    for own, a in found.items():
        assert_allclose(a, [jac_i.tmv(v[i : i + 1], own)[own] for i, jac_i in enumerate(alone)], rtol=0, atol=eps)
        squares += (a.reshape(3, -1).astype(float) ** 2).sum(axis=1)
    assert_allclose(norms, squares, rtol=eps)
    for own in layer.variables:
        blocks = jac.blocks(own)
        expected = [
            np.stack([jac_i.mv(**{own: e.reshape(jac_i.shape_of(own))}).ravel() for e in units], axis=-1)
            for jac_i in alone
            for units in [np.eye(int(np.prod(jac_i.shape_of(own))), dtype=dtype)]
        ]
        assert_allclose(blocks, expected, rtol=0, atol=eps)


def test_single_samples_of_a_network(isa, threads, dtype):
    net, x = mixed(dtype)
    y, jac = net.linearize(x)
    v = np.random.default_rng(0).standard_normal(y.shape).astype(dtype)
    found = jac.tmv(v, "theta", per_sample=True)["theta"]
    eps = 1e4 * np.finfo(dtype).eps
    expected = [net.linearize(x[i : i + 1])[1].tmv(v[i : i + 1], "theta")["theta"] for i in range(4)]
    assert_allclose(found, expected, rtol=0, atol=eps)
    assert_allclose(jac.sample_norms(v, "theta"), (found.astype(float) ** 2).sum(axis=1), rtol=eps)
    named = jac.tmv(v, ("5.W", "8.0.W2"), per_sample=True)
    assert_array_equal(named["5.W"].shape, (4, 6, 27))
    assert_allclose(named["8.0.W2"].sum(axis=0), jac.tmv(v, "8.0.W2")["8.0.W2"], rtol=0, atol=eps)
    J = np.stack([jac.mv(theta=e).ravel() for e in np.eye(net.n_params, dtype=dtype)], axis=1)
    assert_allclose(jac.matrix("theta"), J, rtol=0, atol=eps)
    by_x = np.stack([jac.mv(x=e.reshape(x.shape)).ravel() for e in np.eye(x.size, dtype=dtype)], axis=1)
    assert jac.matrix("x").format == "bsr"
    assert_allclose(jac.matrix("x").toarray(), by_x, rtol=0, atol=eps)


def test_samples_that_depend_on_each_other():
    net, x = deep(training=True)
    _, jac = net.linearize(x)
    for call in (lambda: jac.tmv(jac.y, per_sample=True), lambda: jac.blocks(), lambda: jac.sample_norms(jac.y)):
        with pytest.raises(ValueError, match="samples of y depend on several samples of x"):
            call()


def test_bad_arguments_of_single_samples():
    net, x = mixed()
    _, jac = net.linearize(x)
    with pytest.raises(ValueError, match="wrt has 'x'; expected parameters"):
        jac.tmv(jac.y, ("x",), per_sample=True)
    with pytest.raises(ValueError, match="out is given; expected None with per_sample=True"):
        jac.tmv(jac.y, out={}, per_sample=True)


@pytest.mark.parametrize("own", [False, True])
def test_gradients_of_samples_of_an_objective(own):
    rng = np.random.default_rng(0)
    X, y, weight = rng.standard_normal((11, 3)), rng.integers(0, 4, 11), rng.random(11)
    net = Network([Dense(3, 5, rng=0), *([nets.Cube()] if own else []), Dense(5, 4, "identity", rng=1)])
    f = Objective(net, SoftmaxCrossEntropy(), X, y, sample_weight=weight, l2=0.1)
    f._part = 4
    theta = net.theta.copy()
    found = f.sample_gradients(theta)
    penalty = np.concatenate([np.full(a.size, 0.1 * (a.ndim > 1)) for a in net.params.values()]) * theta
    assert_allclose(found.mean(axis=0) + penalty, f.gradient(theta), rtol=0, atol=1e-14)
    one = Objective(net, SoftmaxCrossEntropy(), X[5:6], y[5:6])
    assert_allclose(found[5], weight[5] / weight.mean() * one.gradient(theta), rtol=0, atol=1e-14)
    assert_allclose(f.sample_gradient_norms(theta), (found**2).sum(axis=1), rtol=1e-12)


def test_norms_of_gradients_of_samples_are_of_the_arrays_of_the_call(isa, threads, dtype):
    net, X = mixed(dtype)
    y = np.arange(len(X)) % net.output_shape(X.shape[1:])[0]
    f = Objective(net, SoftmaxCrossEntropy(), X, y)
    _, jac = net.linearize(X)
    for theta in (net.theta, net.theta / 2, net.theta):
        found = f.sample_gradients(theta)
        assert_allclose(f.sample_gradient_norms(theta), (found.astype(float) ** 2).sum(axis=1), rtol=1e3 * np.finfo(dtype).eps)
    former = [jac.sample_norms(v) for v in (jac.y, -2 * jac.y)]
    assert_allclose(former[1], 4 * former[0], rtol=1e-12)
    f.X[...] = X[::-1]
    assert_allclose(
        f.sample_gradient_norms(theta),
        (f.sample_gradients(theta).astype(float) ** 2).sum(axis=1),
        rtol=1e3 * np.finfo(dtype).eps,
    )


@pytest.mark.parametrize("n", [2, 4, 8, 10, 17])
def test_the_hessian_of_cross_entropy_where_logits_are_infinite(n, isa, dtype):
    rng = np.random.default_rng(n)
    x, u = (rng.standard_normal((6, n)).astype(dtype) for _ in range(2))
    x[1, 0] = x[3, n - 1] = -np.inf
    x[4, 1], x[5] = np.inf, -np.inf
    plan, out = Plan(np.dtype(dtype).num), np.full((6, n), 7, dtype)
    curvature.softmax(plan, x, np.zeros(6, int), u, out, 6)
    plan.run()
    assert np.isnan(out[4:]).all()
    p = fastlec.softmax(x[:4].astype(float))
    expected = p * (u[:4] - (p * u[:4]).sum(axis=1, keepdims=True)) / 6
    assert_allclose(out[:4], expected, rtol=0, atol=4 * np.finfo(dtype).eps)


def test_trust_region_newton():
    from scipy.optimize import minimize

    X, y = fastlec.datasets.make_blobs(60, 3)
    net = Network([Dense(2, 6), Dense(6, 3, "identity")], rng=0)
    f = Objective(net, SoftmaxCrossEntropy(), X, y, l2=1e-2)
    found = minimize(f.value_and_gradient, net.theta, jac=True, hessp=f.hessian_mv, method="trust-ncg", options={"gtol": 1e-9})
    assert found.success
    assert np.linalg.eigvalsh(f.hessian_operator(found.x) @ np.eye(f.n_params)).min() > -1e-9


def test_a_layer_of_ones_own_has_many_directions_too():
    layer, x = nets.Scale(3), np.random.default_rng(0).standard_normal((4, 3))
    assert isinstance(layer, Layer)
    _, jac = layer.linearize(x)
    V = np.random.default_rng(1).standard_normal((2, 4, 3))
    assert_allclose(jac.mv_many(x=V), 1.5 * V)
    assert_allclose(jac.tmv_many(V, "c")["c"], V.sum(axis=1))
    assert_allclose(jac.blocks("x"), np.tile(1.5 * np.eye(3), (4, 1, 1)))
    assert_allclose(jac.tmv(V[0], "c", per_sample=True)["c"], V[0])
    assert_allclose(jac.blocks("c"), np.tile(np.eye(3), (4, 1, 1)))
