"""Networks: derivatives, theta and its views, threads, parts of samples, layers of a user's own. Files: test_network_files.py."""

import copy
import itertools
import pickle
import re
from concurrent.futures import ThreadPoolExecutor

import cases
import nets
import numpy as np
import pytest
from bounds import Bounds, linearized
from nets import NET, answers, assert_same, data
from numpy.testing import assert_allclose, assert_array_equal
from signals import Alarm, forked, needs_fork, needs_signals

import fastlec
from fastlec import (
    SGD,
    Activation,
    AvgPool2d,
    BatchNorm2d,
    Conv2d,
    ConvResidual,
    Dense,
    Flatten,
    MaxPool2d,
    MeanSquaredError,
    Network,
    ProjectedConvResidual,
    ProjectedResidual,
    Residual,
    SoftmaxCrossEntropy,
    training_step,
)
from fastlec import network as network_module
from fastlec._kernels.calls import key_of
from fastlec.network import files, forward
from fastlec.network.container import MOST_IDLE
from fastlec.testing import check_layer

ALL = nets.PLANNED | nets.OWN
planned = pytest.mark.parametrize("layers", nets.PLANNED.values(), ids=nets.PLANNED)
own = pytest.mark.parametrize("layers", nets.OWN.values(), ids=nets.OWN)
every = pytest.mark.parametrize("layers", ALL.values(), ids=ALL)


def normals(rng, shape, dtype):
    return rng.standard_normal(shape).astype(dtype)


# --- derivatives -----------------------------------------------------------------------------------------------------


@planned
@pytest.mark.parametrize("m", [0, 1, 13, 70])
def test_agrees_with_the_reference(layers, m, isa, dtype, rng, frozen, tolerance):
    """Back-propagation over all layers, by every variable."""
    net = nets.network(layers, dtype, rng)
    x, v, directions, direction = data(net, rng, m)
    x, v = frozen(x, v)
    theta = net.theta.copy()
    expected = linearized(net, x, Bounds(tolerance, dtype))
    y, jac = net.linearize(x)
    expected.y.check(y)
    assert_array_equal(net(x), y, strict=True)
    for given in (directions, *({name: d} for name, d in directions.items())):
        expected.mv(given).check(jac.mv(**given))
    named = network_module.views(direction, net.params)
    expected.mv(named).check(jac.mv(theta=direction))
    assert_array_equal(jac.mv(theta=direction), jac.mv(**named))
    bounds, found = expected.tmv(v), jac.tmv(v)
    assert list(found) == ["x", *net.params, "theta"][: len(found)]
    for name, near in bounds.items():
        near.check(found[name])
    flat = jac.tmv(v, ("theta", "x"))
    assert list(flat) == ["theta", "x"]
    assert_array_equal(flat["theta"], np.concatenate([found[name].ravel() for name in net.params]))
    assert_array_equal(flat["x"], found["x"])
    assert_array_equal(net.theta, theta)


@every
def test_every_choice_of_variables(layers, isa, dtype, rng):
    """wrt picks from the same bits: the pass goes as far down as it must."""
    net = nets.network(layers, dtype, rng)
    x, v, directions, _ = data(net, rng)
    _, jac = net.linearize(x)
    everything = jac.tmv(v, jac.variables)
    assert list(everything) == list(jac.variables) == ["x", *net.params, "theta"]
    for names in (*itertools.combinations(jac.variables, 1), *itertools.combinations(jac.variables, 2)):
        found = jac.tmv(v, names)
        assert tuple(found) == names
        for name, g in found.items():
            assert_array_equal(g, everything[name], strict=True)
    assert jac.tmv(v, ()) == {}
    both = jac.mv(theta=jac.tmv(v, "theta")["theta"], x=directions["x"])
    parts = jac.mv(x=directions["x"], **{name: everything[name] for name in net.params})
    assert_array_equal(both, parts)


@every
def test_theta_and_a_parameter_of_it_add_up(layers, dtype, rng):
    net = nets.network(layers, dtype, rng)
    x, _, directions, direction = data(net, rng)
    _, jac = net.linearize(x)
    name = list(net.params)[-1]
    both = direction.copy()
    network_module.views(both, net.params)[name][...] += directions[name]
    assert_array_equal(jac.mv(theta=direction, **{name: directions[name]}), jac.mv(theta=both))


@pytest.mark.parametrize("name", ["residual", "activations", "nested", "scale"])
def test_the_three_tests_of_the_lecture(name, rng):
    """In float64: float32 sees relu's kinks in the steps that it can tell apart."""
    net = nets.network(ALL[name], np.float64, rng)
    check_layer(net, rng.standard_normal((4, 5)), rng=1).assert_passed()


@every
def test_explicit_matrices_and_operators(layers, dtype, rng):
    net = nets.network(layers, dtype, rng)
    x, v, directions, direction = data(net, rng, 4)
    y, jac = net.linearize(x)
    for name, d in (directions | {"theta": direction}).items():
        operator, J = jac.operator(name), jac.matrix(name)
        assert operator.shape == J.shape == (y.size, d.size)
        assert operator.dtype == J.dtype == dtype
        assert_array_equal(operator @ d.ravel(), jac.mv(**{name: d}).ravel())
        assert_array_equal(operator.T @ v.ravel(), jac.tmv(v, name)[name].ravel())
        size = np.abs(J).astype(float) @ np.abs(d.ravel())
        assert_allclose(J @ d.ravel(), operator @ d.ravel(), rtol=0, atol=20 * np.finfo(dtype).eps * size.max())
    assert_array_equal(jac.matrix("theta"), np.hstack([jac.matrix(name) for name in net.params]))


@own
def test_layers_of_a_users_own_are_composed(layers, isa, dtype, rng):
    """As the layers one after the other, forward and backward."""
    net = nets.network(layers, dtype, rng)
    x, v, _, _ = data(net, rng)
    jacs, y = [], x
    for layer in net.layers:
        y, jac = layer.linearize(y)
        jacs.append(jac)
    assert_array_equal(net(x), y)
    assert net(x).dtype == dtype
    found, u = net.jac_tmv(x, v), v
    for i, jac in reversed(list(enumerate(jacs))):
        parts = jac.tmv(u)
        for name in net.layers[i].params:
            assert_array_equal(found[f"{i}.{name}"], parts[name])
        u = parts["x"]
    assert_array_equal(found["x"], u)


@planned
def test_a_layer_of_ones_own_among_planned_ones_changes_no_bit(layers, isa, dtype, rng):
    """One list of jobs, or each layer by itself."""
    net = nets.network(layers, dtype, rng)
    mixed = Network([nets.Same(), *net.layers])
    assert (net._planned, mixed._planned) == (True, False)
    x, v, directions, direction = data(net, rng)

    def renamed(name):
        i, _, rest = name.partition(".")
        return f"{int(i) + 1}.{rest}" if rest else name

    moved = {renamed(name): d for name, d in directions.items()}
    found, expected = answers(mixed, x, v, moved, direction), answers(net, x, v, directions, direction)
    for name in ("y", "linearize", "mv", "theta", "tmv theta", "tmv x"):
        assert_array_equal(found[name], expected[name], err_msg=name)


@every
def test_one_call_forms_give_the_same_bits(layers, isa, dtype, rng):
    net = nets.network(layers, dtype, rng)
    x, v, directions, direction = data(net, rng)
    y, jac = net.linearize(x)
    for given in (directions, {"x": directions["x"]}, {"theta": direction}):
        assert_array_equal(net.jac_mv(x, **given), jac.mv(**given))
        value, dy = net.value_and_jac_mv(x, **given)
        assert_array_equal(value, y)
        assert_array_equal(dy, jac.mv(**given))
    assert_same(net.jac_tmv(x, v), jac.tmv(v))
    assert_same(net.jac_tmv(x, v, "theta"), jac.tmv(v, "theta"))


@every
def test_activations_are_what_each_layer_gives(layers, isa, dtype, rng):
    net = nets.network(layers, dtype, rng)
    x = normals(rng, (9, 5), dtype)
    given, values = x.copy(), net.activations(x)
    assert len(values) == len(net.layers)
    for layer, value in zip(net.layers, values, strict=True):
        assert_array_equal(value, layer(x), strict=True)
        x = value
    assert_array_equal(values[-1], net(given), strict=True)
    assert net.activations(given.astype(np.float64))[-1].dtype == np.float64


@every
def test_buffers(layers, isa, dtype, rng):
    """Into given arrays, which may be the inputs: the bits of fresh ones."""
    net = nets.network(layers, dtype, rng)
    x, v, directions, _ = data(net, rng)
    y, jac = net.linearize(x)
    out = np.full(y.shape, np.nan, dtype)
    assert net(x, out=out) is out
    assert_array_equal(out, y)
    assert jac.mv(**directions, out=out) is out
    assert_array_equal(out, jac.mv(**directions))
    expected = jac.tmv(v, jac.variables)
    buffers = {name: np.full(g.shape, np.nan, dtype) for name, g in expected.items()}
    found = jac.tmv(v, out=buffers)
    assert all(found[name] is a for name, a in buffers.items())
    assert_same(buffers, expected)
    memory = np.zeros(100, dtype)
    own_v = memory[:27].reshape(v.shape)
    for names in (("x",), ("theta", "x")):
        own_v[...] = v
        jac.tmv(own_v, names, out={"x": memory[5:50].reshape(x.shape)})
        assert_array_equal(memory[5:50].reshape(x.shape), expected["x"])
    mine = x.copy()
    net(mine, out=mine[:, ::2])
    assert_array_equal(mine[:, ::2], y)


@every
@cases.layouts
def test_any_layout_gives_the_same_bits(layout, layers, dtype, rng):
    net = nets.network(layers, dtype, rng)
    x, v, directions, direction = data(net, rng)
    given = {name: layout(d) for name, d in directions.items()}
    assert_same(answers(net, layout(x), layout(v), given, layout(direction)), answers(net, x, v, directions, direction))


def test_mixed_dtypes(isa, rng):
    """x and theta of two dtypes are computed in float64; the network stays as it is."""
    net = nets.network(nets.PLANNED["residual"], np.float32, rng)
    wide = net.with_params({name: a.astype(np.float64) for name, a in net.params.items()})
    x, v, directions, direction = data(net, rng)
    for given, samples in ((net, x.astype(np.float64)), (wide, x), (net, x.astype(np.float64).tolist())):
        assert_same(
            answers(given, samples, v, directions, direction), answers(wide, x.astype(np.float64), v, directions, direction)
        )
    assert net.theta.dtype == net.dtype == np.float32
    assert net(x.astype(np.float16)).dtype == np.float32


def test_a_nested_network_computes_in_the_wider_dtype(rng):
    """Of x and the parameters, as every layer does."""
    inner = Network([Dense(4, 4, dtype=np.float32, rng=0)])
    net, x = Network([inner, Dense(4, 3, "identity", dtype=np.float32, rng=1)]), rng.standard_normal((6, 4))
    y, jac = net.linearize(x)
    assert y.dtype == net(x).dtype == np.float64
    assert jac.tmv(y, "theta")["theta"].dtype == np.float64
    assert_array_equal(net(np.ones((6, 4), int)), net(np.ones((6, 4))))


# --- theta and its views ---------------------------------------------------------------------------------------------


def test_names_and_views(dtype, rng):
    net = nets.network(nets.PLANNED["nested"], dtype, rng)
    names = ["0.W", "0.b", "1.0.W1", "1.0.b", "1.0.W2", "1.2.0.W", "1.2.0.b", "3.0.W1", "3.0.b", "3.0.W2"]
    assert list(net.params) == names
    assert net.n_params == net.theta.size == sum(a.size for a in net.params.values())
    assert net.dtype == net.theta.dtype == dtype
    assert net.theta.flags.writeable
    net.theta[:] = np.arange(net.n_params)
    assert_array_equal(np.concatenate([a.ravel() for a in net.params.values()]), np.arange(net.n_params))
    inner = net.layers[1]
    assert_array_equal(inner.theta, np.concatenate([inner.params[name].ravel() for name in inner.params]))
    for name, deep in (("1.0.W1", inner.layers[0].params["W1"]), ("1.2.0.b", inner.layers[2].layers[0].params["b"])):
        net.params[name][...] = -7
        assert (deep == -7).all()
        assert np.shares_memory(deep, net.theta)
    assert (inner.theta == -7).sum() == (net.theta == -7).sum() == net.params["1.0.W1"].size + net.params["1.2.0.b"].size


@every
def test_changes_of_theta_are_seen_at_once(layers, isa, dtype, rng):
    """By calls whose plans were made before."""
    net = nets.network(layers, dtype, rng)
    x, v, directions, direction = data(net, rng)
    net(x)
    net.theta *= 0.5
    assert_same(answers(net, x, v, directions, direction), answers(Network(net.layers), x, v, directions, direction))
    net.theta = np.linspace(-1, 1, net.n_params)
    other = net.with_theta(np.linspace(-1, 1, net.n_params).astype(dtype))
    assert_same(answers(net, x, v, directions, direction), answers(other, x, v, directions, direction))


def test_layers_are_copied_into_a_network(dtype, rng):
    layer = Dense(4, 4, dtype=dtype, rng=rng)
    before = layer.params["W"].copy()
    net = Network([layer, layer])
    net.theta[:] = 0
    assert_array_equal(layer.params["W"], before)
    net.params["0.W"][...] = 1
    assert not net.params["1.W"].any()
    again = Network(net.layers)
    again.theta[:] = 5
    assert (net.params["0.W"] == 1).all()


@every
def test_with_theta(layers, dtype, rng):
    """A view of the array that is given; the network itself is not touched."""
    net = nets.network(layers, dtype, rng)
    x = normals(rng, (6, 5), dtype)
    before, y, theta = net.theta.copy(), net(x), normals(rng, net.n_params, dtype)
    other = net.with_theta(theta)
    assert other.theta is theta or np.shares_memory(other.theta, theta)
    assert list(other.params) == list(net.params)
    expected = other(x)
    assert not np.array_equal(expected, y)
    theta[:] = before
    assert_array_equal(other(x), y)
    assert_array_equal(net.theta, before)
    wide = net.with_theta(before.astype(np.float64).tolist())
    assert wide.theta.dtype == dtype
    assert_array_equal(wide(x), y)
    frozen_theta = theta.copy()
    frozen_theta.flags.writeable = False
    assert_array_equal(net.with_theta(frozen_theta)(x), y)


@every
def test_with_params(layers, dtype, rng):
    """Copied into a theta of its own."""
    net = nets.network(layers, dtype, rng)
    x = normals(rng, (6, 5), dtype)
    before = net.theta.copy()
    other = net.with_params({name: 2 * a for name, a in net.params.items()})
    assert_array_equal(other.theta, 2 * before)
    other.theta[:] = 0
    assert_array_equal(net.theta, before)
    assert_array_equal(net.with_params(net.params)(x), net(x))
    assert not np.shares_memory(net.with_params(net.params).theta, net.theta)


COPIES = {"deep": copy.deepcopy, "copy": copy.copy, "pickle": lambda net: pickle.loads(pickle.dumps(net))}


@every
@pytest.mark.parametrize("how", COPIES.values(), ids=COPIES)
def test_copies(how, layers, dtype, rng):
    """Networks of their own, with the same bits."""
    net = nets.network(layers, dtype, rng)
    given = data(net, rng)
    expected = answers(net, *given)
    other = how(net)
    assert type(other) is Network
    assert_same(answers(other, *given), expected)
    assert not np.shares_memory(other.theta, net.theta)
    assert all(np.shares_memory(a, other.theta) for a in other.params.values())
    other.theta[:] = 0
    assert_same(answers(net, *given), expected)


def test_a_network_without_parameters(dtype, rng):
    net = Network([Activation("tanh"), Activation("sigmoid")])
    x = normals(rng, (4, 2, 3), dtype)
    assert net.n_params == 0
    assert net.params == {}
    assert_array_equal(net(x), fastlec.sigmoid(fastlec.tanh(x)), strict=True)
    _, jac = net.linearize(x)
    assert jac.tmv(x, "theta")["theta"].shape == (0,)


def test_a_network_without_parameters_takes_either_dtype():
    """Of one shape after the other: what was planned for one is not for the other."""
    net, x = Network([Activation("tanh")]), np.linspace(-1, 1, 6).reshape(3, 2)
    for kind in (np.float64, np.float32, np.float64):
        y = net(x.astype(kind))
        assert y.dtype == kind
        assert_array_equal(y, fastlec.tanh(x.astype(kind)))


def test_numbers_as_parameters(dtype, rng):
    """A parameter with no axis, the widest of them all."""
    net = Network([nets.Scale(1, dtype)])
    assert_array_equal(net.theta, np.array([1.5, -1], dtype))
    assert net.params["0.a"].shape == ()
    net.theta[0] = 3
    assert_array_equal(net(np.ones((2, 1), dtype)), [[2], [2]])
    assert Network([nets.network(nets.OWN["scale"], dtype, rng).layers[0]]).n_params == 6


def test_summary():
    net = Network([Dense(5, 6, "relu"), Network([Residual(6, 2), Activation("tanh")]), ProjectedResidual(6, 3)])
    rows = [line.split() for line in net.summary().splitlines()]
    expected = [
        "0 Dense relu (m, 6) 36 W 6 x 5, b 6",
        "1 Network (m, 6) 26 0.W1 2 x 6, 0.b 2, 0.W2 6 x 2",
        "2 ProjectedResidual tanh (m, 3) 39 W1 3 x 6, b 3, W2 3 x 6",
        "total 101 float64",
    ]
    assert [" ".join(row) for row in rows[1:]] == expected
    assert {"layer", "output", "parameters"} <= set(rows[0])
    assert "(m" not in Network([Activation("tanh")]).summary()  # which tells no input


def test_a_summary_shows_itself():
    class Cube(nets.Cube):
        pass

    Cube.__name__ = "<b>Cube"
    table = Network([Dense(5, 6, Activation("leaky_relu", negative_slope=0.1)), Cube()]).summary()
    assert repr(table) == str(table) == table
    assert table.splitlines()[1].startswith("0 Dense leaky_relu  (m, 6)")
    for other in (copy.copy(table), pickle.loads(pickle.dumps(table))):
        assert (other, other._repr_html_()) == (table, table._repr_html_())
    html = table._repr_html_()
    assert html.startswith("<table>\n<tr><th>layer</th><th>output</th>")
    assert "<td>1 &lt;b&gt;Cube</td>" in html
    assert html.count("<tr>") == len(table.splitlines()) == 4


def test_affine_in_theta():
    """Only where one identity Dense has all the parameters, and what follows is the identity."""
    o = {"dtype": np.float64, "rng": 0}
    identity, tanh = Dense(4, 3, "identity", **o), Activation("tanh")
    assert Network([identity]).affine_in_theta
    assert Network([tanh, identity, Activation("identity")]).affine_in_theta
    assert Network([Network([tanh, identity]), Network([Activation("identity")])]).affine_in_theta
    for layers in (
        [Dense(4, 3, **o)],
        [identity, tanh],
        [identity, Network([tanh, Activation("identity")])],
        [Network([identity, tanh]), Activation("identity")],
        [identity, nets.Cube()],
        [identity, nets.Scale(3)],
        [Residual(4, activation="identity", **o)],
        [identity, Dense(3, 2, "identity", **o)],
        [nets.Scale(4), identity],
    ):
        assert not Network(layers).affine_in_theta


def test_parameters_are_written_into_and_never_exchanged():
    net = Network([Dense(4, 3, rng=0)])
    for params, name in ((net.params, "0.W"), (net.layers[0].params, "W")):
        with pytest.raises(TypeError, match=re.escape("write into them: params['W'][...] = values")):
            params[name] = np.ones((3, 4))
        params[name][...] = 2
    assert (net.theta[:12] == 2).all()


def test_a_new_head_on_trained_layers(dtype, rng):
    """Transfer learning: a new network copies parameters and buffers of the layers that it is made of."""
    images, labels = normals(rng, (12, 2, 4, 4), dtype), np.arange(12) % 3
    layers = [Conv2d(2, 4, 3, "relu", dtype=dtype, rng=rng), BatchNorm2d(4, dtype=dtype), Flatten()]
    net = Network([*layers, Dense(16, 3, "identity", dtype=dtype, rng=rng)])
    training_step(net, SoftmaxCrossEntropy(), SGD(0.1), 12)(images, labels)
    other = Network([*net.layers[:-1], Dense(16, 5, "identity", dtype=dtype, rng=rng)])
    arrays, mine = net.params | net.buffers, other.params | other.buffers
    assert arrays.keys() == mine.keys()
    for name, a in arrays.items():
        if not name.startswith("3."):
            assert_array_equal(mine[name], a, strict=True)
            assert not np.shares_memory(mine[name], a)
    assert_array_equal(other.activations(images)[-2], net.activations(images)[-2])
    theta, buffers = net.theta.copy(), [a.copy() for a in net.buffers.values()]
    training_step(other, SoftmaxCrossEntropy(), SGD(0.1), 12)(images, labels + 2)
    assert_array_equal(net.theta, theta)
    assert_array_equal([*net.buffers.values()], buffers)
    assert not np.array_equal(other.params["0.W"], net.params["0.W"])


MISFITS = {
    "dense": ([Dense(5, 4), Dense(5, 3)], "layers[1]: x has samples of shape (4,); expected (5,)"),
    "residual": ([Dense(5, 4), Activation("tanh"), Residual(5)], "layers[2]: x has samples of shape (4,); expected (5,)"),
    "channels": ([Conv2d(1, 4, 3), MaxPool2d(2), Conv2d(3, 2, 3)], "layers[2]: x has samples of shape (4, h, w); expected (3,"),
    "normalised": ([ConvResidual(4), BatchNorm2d(3)], "layers[1]: x has samples of shape (4, h, w); expected (3, h, w)"),
    "not flat": ([Conv2d(1, 4, 3), Dense(4, 2)], "layers[1]: x has samples of shape (4, h, w); expected (4,)"),
    "flat": ([Flatten(), Conv2d(1, 4, 3)], "layers[1]: x has samples of shape (n,); expected (1, h, w)"),
    "pool": ([Dense(5, 4), AvgPool2d(2)], "layers[1]: x has samples of shape (4,); expected (c, h, w)"),
    "nested": ([Network([Dense(5, 4), Activation("tanh")]), Dense(3, 2)], "layers[1]: x has samples of shape (4,); expected"),
    "inside": ([Dense(5, 4), Network([Dense(3, 2)])], "layers[1]: x has samples of shape (4,); expected (3,)"),
    "own": ([Dense(5, 4), nets.Scale(3)], "layers[1]: x has samples of shape (4,); expected (3,)"),
}


@pytest.mark.parametrize(("layers", "text"), MISFITS.values(), ids=MISFITS)
def test_layers_that_do_not_fit_each_other(layers, text):
    with pytest.raises(ValueError, match=f"^{re.escape(text)}"):
        Network(layers)


def test_layers_that_tell_their_input_only_in_part():
    """Sizes of images, and what layers of a user's own make of them, are known only when samples come."""
    for layers, shape in (
        ([Conv2d(1, 4, 3), MaxPool2d(2), Flatten(), Dense(36, 2)], (1, 8, 8)),
        ([Flatten(), Dense(18, 3)], (2, 3, 3)),
        ([ProjectedConvResidual(2, 3, stride=2), BatchNorm2d(3), AvgPool2d(2), nets.Rows(), Dense(12, 2)], (2, 8, 8)),
        ([nets.Cube(), Dense(4, 2), nets.Cube(), Dense(2, 2)], (4,)),
    ):
        net = Network(layers)
        assert len(net.output_shape(shape)) == 1
        assert net._fits(None) == net.output_shape(shape)
        with pytest.raises(ValueError, match="x has samples of shape"):
            net.output_shape((7, 7, 7, 7))


# --- many layers, and networks within networks -----------------------------------------------------------------------


def test_many_layers(rng):
    net = Network([layer for i in range(500) for layer in (Dense(2, 2, "identity"), Residual(2, 1, rng=i), Flatten())])
    net.theta[:] = 0
    for name, a in net.params.items():
        if name.endswith("W"):
            a[...] = np.eye(2)
    x, v = rng.standard_normal((3, 2)), rng.standard_normal((3, 2))
    y, jac = net.linearize(x)
    assert_array_equal(y, x)
    assert_array_equal(net(x), x)
    found = jac.tmv(v)
    assert len(found) == 1 + 5 * 500
    assert_array_equal(found["x"], v)
    assert_allclose(found["600.W"], v.T @ x)
    buffers = {name: np.full(g.shape, np.nan) for name, g in found.items()}
    assert_same(jac.tmv(v, out=buffers), found)
    assert_allclose(jac.mv(x=v, **{name: np.zeros(a.shape) for name, a in net.params.items()}), v)
    assert_allclose(jac.mv(theta=np.zeros(net.n_params)), 0 * v)
    loss = training_step(net, MeanSquaredError(), SGD(0.01), 3)(x, np.zeros((3, 2)))
    assert_allclose(loss, (x**2).mean())
    other = pickle.loads(pickle.dumps(net))
    assert_array_equal(other.theta, net.theta)
    assert len(net.summary().splitlines()) == 1502


def test_networks_within_networks(tmp_path, rng):
    """As deep as they may be, from deep within a program: everything works; one more is refused."""
    net = Dense(2, 2, rng=0)
    for _ in range(network_module.MOST_DEPTH):
        net = Network([net, Activation("identity")])
    for layers in ([net], [Network([Dense(2, 2)]), net]):
        with pytest.raises(ValueError, match=r"layers\[\d\] nests networks 64 deep; expected at most 63"):
            Network(layers)
    x, v = rng.standard_normal((3, 2)), np.ones((3, 2))

    def use():
        for how in COPIES.values():
            assert_array_equal(how(net).theta, net.theta)
        net.save(tmp_path / "net.npz")
        other = Network.load(tmp_path / "net.npz")
        _, jac = other.linearize(x)
        assert_allclose(other(x), np.tanh(x @ net.theta[:4].reshape(2, 2).T), rtol=1e-14)
        assert_allclose(np.vdot(jac.tmv(v, "theta")["theta"], net.theta), np.vdot(v, jac.mv(theta=net.theta)))
        training_step(other, MeanSquaredError(), SGD(0.1), 3)(x, v)
        assert repr(net).count("Network") == 64
        assert "W 2 x 2" in net.summary()
        assert not net.affine_in_theta

    def deeper(frames):
        return deeper(frames - 1) if frames else use()

    deeper(200)


# --- classes of a user's own ------------------------------------------------------------------------------------------


class Mine(Network):
    """With attributes of its own; two of them are layers."""

    def __init__(self, width, *, dtype):
        self.width = width
        self.first = Dense(5, width, dtype=dtype, rng=0)
        super().__init__([self.first, Activation("sigmoid"), Dense(width, 3, dtype=dtype, rng=1)])
        self.last, self.notes = self.layers[-1], ["made"]

    def hidden(self, x):
        return self.first(x)


KEPT = COPIES | {
    "with_theta": lambda net: net.with_theta(net.theta.copy()),
    "with_params": lambda net: net.with_params(net.params),
    "float64": lambda net: net.with_params({name: a.astype(float) for name, a in net.params.items()}),
    "nested": lambda net: pickle.loads(pickle.dumps(Network([net]))).layers[0],
    "in a network": lambda net: Network([net]).layers[0],
}


@pytest.mark.parametrize("how", KEPT.values(), ids=KEPT)
def test_copies_of_a_subclass_keep_class_and_attributes(how, dtype, rng):
    """And attributes that are layers go on being layers of the network itself."""
    net = Mine(4, dtype=dtype)
    assert net.first is net.layers[0]
    net.notes.append("used")
    net.later = "assigned later"
    other = how(net)
    assert type(other) is Mine
    assert (other.width, other.notes, other.later) == (4, ["made", "used"], "assigned later")
    assert other.first is other.layers[0]
    assert other.last is other.layers[-1]
    x = normals(rng, (6, 5), dtype)
    assert_allclose(other(x), net(x), rtol=1e-5)
    other.theta[:] = 0
    assert not other.hidden(x).any()
    assert net.hidden(x).any()
    assert_array_equal(net.hidden(x), net.activations(x)[0])


def test_copies_of_layers_of_a_users_own_keep_class_and_attributes():
    class Named(nets.Scale):
        def __init__(self):
            super().__init__(5)
            self.name, self.table = "mine", np.arange(3)

    layer = Named()
    net = Network([layer, Network([layer])])
    forms = [layer, net.layers[0], net.layers[1].layers[0], layer.with_params(layer.params), copy.deepcopy(net).layers[0]]
    forms += [net.for_training().layers[0], Network([BatchNorm2d(1), nets.Rows(), layer]).for_training().layers[2]]
    for found in forms:
        assert type(found) is Named
        assert found.name == "mine"
        assert_array_equal(found.table, np.arange(3))


def test_a_subclass_is_not_saved(tmp_path, dtype):
    """It would be another class when it comes back."""
    net = Mine(4, dtype=dtype)
    for made in (net, Network([net, Activation("tanh")])):
        with pytest.raises(TypeError, match=r"a network is a Mine, which a file does not hold: save Network\(net\.layers\)"):
            made.save(tmp_path / "net.npz")
        with pytest.raises(TypeError, match="a network is a Mine"):
            files.save(tmp_path / "net.npz", made)
    assert not any(tmp_path.iterdir())
    Network(net.layers).save(tmp_path / "net.npz")
    with pytest.raises(TypeError, match=r"a file holds no Mine; make one of Network\.load\(path\)\.layers"):
        Mine.load(tmp_path / "net.npz")
    assert_array_equal(Network.load(tmp_path / "net.npz").theta, net.theta)


def test_repr():
    net = Network([Dense(5, 4), nets.Cube(), Network([Activation("tanh")])])
    inner = "Network([Activation(activation='tanh')])"
    assert repr(net) == f"Network([\n    Dense(n_in=5, n_out=4, activation='tanh'),\n    Cube(),\n    {inner},\n])"
    assert repr(Network([net.layers[2]])) == f"Network([{inner}])"
    lines = repr(Network([net, nets.Cube()])).splitlines()
    assert lines[:3] == ["Network([", "    Network([", "        Dense(n_in=5, n_out=4, activation='tanh'),"]
    assert lines[-3:] == ["    ]),", "    Cube(),", "])"]


# --- samples in parts ------------------------------------------------------------------------------------------------


@planned
def test_samples_in_parts_get_the_same_bits(layers, isa, dtype, rng, monkeypatch):
    """More samples than are computed at a time: the bits of each by itself, and of all together."""
    monkeypatch.setattr(forward, "MOST_CHUNK", 40)
    monkeypatch.setattr(forward, "LEAST_CHUNK", 40)
    net = nets.network(layers, dtype, rng)
    x = normals(rng, (135, 5), dtype)
    y, _ = net.linearize(x)  # in one piece
    for m in (39, 40, 41, 79, 80, 81, 120, 135):
        assert_array_equal(net(x[:m]), y[:m])
        out = np.full((m, 3), np.nan, dtype)
        net(x[:m], out=out)
        assert_array_equal(out, y[:m])
    assert_array_equal(np.concatenate([net(x[i : i + 1]) for i in range(135)]), y)
    own_x = x.copy()
    net(own_x, out=own_x[:, 1:4])
    assert_array_equal(own_x[:, 1:4], y)


@pytest.mark.parametrize("m", [4096, 4097, 9000])
def test_many_samples(m, isa, dtype, threads, rng):
    """In parts of its own choice, with layers so wide that they are packed."""
    net = Network([Dense(5, 70, dtype=dtype, rng=rng), Residual(70, dtype=dtype, rng=rng), Dense(70, 3, dtype=dtype, rng=rng)])
    x = normals(rng, (m, 5), dtype)
    y, _ = net.linearize(x)
    found = net(x)
    assert_allclose(found, y, rtol=0, atol=64 * np.finfo(dtype).eps)  # few rows that are left over may add up in another order
    assert_array_equal(found[:4096], y[:4096])
    fastlec.set_num_threads(1)
    assert_array_equal(net(x), found)


def test_more_shapes_than_plans_are_kept_for(isa, rng):
    net = nets.network(nets.PLANNED["dense"], np.float64, rng)
    x = rng.standard_normal((40, 5))
    y = net(x)
    for m in [*range(1, 41), *range(40, 0, -3)]:
        assert_array_equal(net(x[:m]), y[:m])
        assert len(net._calls.idle) <= MOST_IDLE
    assert [plan.key for plan in net._calls.idle] == [key_of("y", (x[:m],), ()) for m in range(22, 0, -3)]
    assert net.layers[0](x[:1]).shape == (1, 17)


@planned
def test_teams_agree_bit_by_bit(layers, isa, dtype, rng, alone):
    net = nets.network(layers, dtype, rng)
    given = data(net, rng, 6000)
    team = answers(net, *given)
    with alone():
        assert_same(answers(net, *given), team)


# --- threads, forks, signals -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("layers", [nets.PLANNED["nested"], nets.OWN["cube"]], ids=["planned", "own"])
def test_python_threads_share_a_network_and_get_the_same_bits(layers, isa, dtype, rng):
    """Evaluating and differentiating at once, samples of different numbers, and one Jacobian of all."""
    net = nets.network(layers, dtype, rng)
    given = {m: data(net, rng, m) for m in (3, 50, 700, 5000)}
    _, shared = net.linearize(given[700][0])

    def bits(m):
        found = answers(net, *given[m])
        found |= {"shared mv": shared.mv(theta=given[m][3]), "shared tmv": shared.tmv(given[700][1], "theta")["theta"]}
        return {name: a.tobytes() for name, a in found.items()}

    expected = {m: bits(m) for m in given}
    with ThreadPoolExecutor(4) as pool:
        order = [*given] * 8
        assert all(found == expected[m] for m, found in zip(order, pool.map(bits, order), strict=True))


@every
def test_nothing_in_a_network_changes_when_it_is_used(layers, isa, dtype, rng):
    net = nets.network(layers, dtype, rng)
    given = data(net, rng)
    before = pickle.dumps(net)
    objects = [(layer, dict(layer.params)) for layer in net.layers]
    theta = net.theta
    first = answers(net, *given)
    copies = {name: a.copy() for name, a in first.items()}
    x, v, directions, direction = given
    answers(net, 2 * x[:4], v[:4], {**directions, "x": directions["x"][:4]}, direction)
    assert pickle.dumps(net) == before
    assert net.theta is theta
    assert all(layer is now for (layer, _), now in zip(objects, net.layers, strict=True))
    assert all(layer.params[name] is a for layer, params in objects for name, a in params.items())
    assert_same(first, copies)  # no answer is overwritten by a later one
    assert_same(answers(net, *given), copies)


@needs_fork
def test_a_forked_child_gets_the_same_bits():
    code = """
    from fastlec import Dense, MeanSquaredError, Network, Residual, SGD, training_step
    x = np.random.default_rng(0).normal(size=(3000, 20))
    net = Network([Dense(20, 64, rng=0), Residual(64, rng=1), Dense(64, 3, "identity", rng=2)])
    v = np.ones((3000, 3))

    def bits():
        here = Network(net.layers)
        y, jac = here.linearize(x)
        step = training_step(here, MeanSquaredError(), SGD(0.1), 3000)
        losses = [step(x, v) for _ in range(3)]
        return y.tobytes(), here(x).tobytes(), jac.tmv(v, "theta")["theta"].tobytes(), losses, here.theta.tobytes()

    expected = bits()
    assert in_child(lambda: bits() == expected)
    assert bits() == expected
    """
    assert forked(code) == ""


@needs_signals
def test_a_long_call_is_interrupted(threads, alarm, rng):
    """In the middle: what comes after the signal is not computed. The network goes on working."""
    net = Network([Dense(512, 512, dtype=np.float32, rng=rng) for _ in range(8)])
    x = normals(rng, (30_000, 512), np.float32)
    few = net(x[:50])
    out = np.full((30_000, 512), np.nan, np.float32)

    def interrupt(*_):
        raise Alarm

    alarm(interrupt, 0.05)
    with pytest.raises(Alarm):
        net(x, out=out)
    assert np.isnan(out[-1]).all()
    assert_array_equal(net(x[:50]), few)
    alarm(interrupt, 0.05)
    with pytest.raises(Alarm):
        net.linearize(x)
    assert_array_equal(net(x[:50]), few)


# --- what they cannot take -------------------------------------------------------------------------------------------

X, V = np.ones((6, 5)), np.ones((6, 3))
REFUSED = {
    "no layers": (lambda: Network([]), ValueError, "layers is empty; expected one layer or more"),
    "no layer": (lambda: Network([Dense(5, 4), "tanh"]), TypeError, "layers[1] is a str; expected a Layer"),
    "a class": (lambda: Network([Dense]), TypeError, "layers[0] is a type; expected a Layer"),
    "two dtypes": (
        lambda: Network([Dense(5, 4), Dense(4, 3, dtype=np.float32)]),
        TypeError,
        "layers have dtypes ['float32', 'float64']; expected one",
    ),
    "features": (lambda: NET(V), ValueError, "x has samples of shape (3,); expected (5,)"),
    "features within": (
        lambda: Network([Dense(5, 4), Dense(5, 3)])(X),
        ValueError,
        "layers[1]: x has samples of shape (4,); expected (5,)",
    ),
    "a number": (lambda: NET(1.0), ValueError, "x is a number; expected an array of samples"),
    "x complex": (lambda: NET(X + 0j), TypeError, "x has dtype complex128; expected"),
    "out": (lambda: NET(X, out=np.zeros((6, 4))), ValueError, "out has shape (6, 4); expected (6, 3)"),
    "out's dtype": (lambda: NET(X, out=np.zeros((6, 3), "f4")), TypeError, "out has dtype float32; expected float64"),
    "theta": (lambda: setattr(NET, "theta", np.zeros(3)), ValueError, "theta has shape (3,); expected (39,)"),
    "theta complex": (lambda: setattr(NET, "theta", np.zeros(39) + 0j), TypeError, "theta has dtype complex128"),
    "with_theta": (lambda: NET.with_theta(np.zeros((39, 1))), ValueError, "theta has shape (39, 1); expected (39,)"),
    "with_params": (
        lambda: NET.with_params({"W": V}),
        ValueError,
        "params has the names ['W']; expected ['0.W',",
    ),
    "params' dtypes": (
        lambda: NET.with_params(NET.params | {"1.b": np.zeros(3, "f4")}),
        TypeError,
        "params have dtypes ['float32', 'float64']; expected one",
    ),
    "params' shapes": (
        lambda: NET.with_params(NET.params | {"1.b": np.zeros(4)}),
        ValueError,
        "params['1.b'] has shape (4,); expected (3,)",
    ),
    "direction": (
        lambda: NET.jac_mv(X, W=V),
        ValueError,
        "there is no variable 'W'; expected one of x, 0.W, 0.b, 1.W, 1.b, theta",
    ),
    "direction's shape": (lambda: NET.jac_mv(X, theta=V), ValueError, "theta has shape (6, 3); expected (39,)"),
    "no direction": (lambda: NET.jac_mv(X), ValueError, "no direction is given"),
    "v": (lambda: NET.jac_tmv(X, X), ValueError, "v has shape (6, 5); expected (6, 3)"),
    "wrt": (lambda: NET.jac_tmv(X, V, "2.W"), ValueError, "there is no variable '2.W'; expected one of"),
    "tmv's out": (
        lambda: NET.linearize(X)[1].tmv(V, out={"theta": np.zeros(38)}),
        ValueError,
        "out['theta'] has shape (38,); expected (39,)",
    ),
}


@pytest.mark.parametrize(("call", "error", "match"), REFUSED.values(), ids=REFUSED)
def test_bad_arguments(call, error, match):
    theta = NET.theta.copy()
    with pytest.raises(error, match=f"^{re.escape(match)}") as caught:
        call()
    assert caught.type is error
    assert_array_equal(NET.theta, theta)


@pytest.mark.parametrize("layers", [[Activation("tanh")], [fastlec.Flatten(), Activation("relu")], [nets.Cube()]], ids=str)
def test_the_derivative_by_no_parameters_is_zero(layers, dtype, rng):
    net, x = Network(layers), normals(rng, (3, 4), dtype)
    y, jac = net.linearize(x)
    out = np.full_like(y, np.nan)
    assert_array_equal(jac.mv(theta=np.zeros(0), out=out), np.zeros_like(y), strict=True)
    assert not out.any()
    assert not net.value_and_jac_mv(x, theta=np.zeros(0))[1].any()
    assert not (jac.operator("theta") @ np.zeros(0)).any()
    assert jac.tmv(y, "theta")["theta"].shape == (0,)
    assert_array_equal(jac.matrix("theta"), np.zeros((y.size, 0), dtype), strict=True)
