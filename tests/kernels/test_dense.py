"""Dense, Residual, ProjectedResidual, Activation: against fastlec.reference, on any arrays, into any buffers, refusing the rest."""

import itertools
import re

import cases
import numpy as np
import pytest
from bounds import ACTIVATIONS, Bounds, linearized
from numpy.testing import assert_allclose, assert_array_equal

from fastlec import Activation, Dense, ProjectedResidual, Residual, reference
from fastlec.testing import check_layer

KINDS = {  # of n inputs and k outputs, where they need not be equal
    "Dense": lambda n, k, activation, **options: Dense(n, k, activation, **options),
    "Dense without bias": lambda n, k, activation, **options: Dense(n, k, activation, bias=False, **options),
    "Residual": lambda n, k, activation, **options: Residual(n, k, activation, **options),
    "ProjectedResidual": lambda n, k, activation, **options: ProjectedResidual(n, k, activation, **options),
}
kinds = pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
activations = pytest.mark.parametrize("activation", ACTIVATIONS)
REFERENCES = {"Dense": "dense", "Residual": "residual", "ProjectedResidual": "projected_residual"}


def made(make, n, k, activation, dtype, rng):
    """A layer with random parameters, biases too."""
    layer = make(n, k, activation, dtype=dtype, rng=rng)
    scales = {name: 1 if a.ndim == 1 else 1 / np.sqrt(a.shape[1]) for name, a in layer.params.items()}
    return layer.with_params({name: normals(rng, a.shape, dtype, scales[name]) for name, a in layer.params.items()})


def normals(rng, shape, dtype, scale=1.0):
    return (scale * rng.standard_normal(shape)).astype(dtype)


def directions_of(layer, x, rng):
    """A random direction for x and for each parameter."""
    return {name: normals(rng, a.shape, x.dtype) for name, a in {"x": x, **layer.params}.items()}


def subsets(names):
    """All but the empty one."""
    return itertools.chain.from_iterable(itertools.combinations(names, size) for size in range(1, len(names) + 1))


def small(rng, dtype, make=KINDS["Dense"], activation="tanh"):
    """(layer, x, v) of a layer that takes and gives 6 numbers."""
    layer = made(make, 6, 6, activation, dtype, rng)
    return layer, normals(rng, (5, 6), dtype), normals(rng, (5, 6), dtype)


def answers(layer, x, v, directions):
    """Everything that a layer computes, by name."""
    y, jac = layer.linearize(x)
    found = {"y": layer(x), "linearize": y, "mv": jac.mv(**directions)}
    found |= {f"mv {name}": jac.mv(**{name: d}) for name, d in directions.items()}
    return found | {f"tmv {name}": g for name, g in jac.tmv(v).items()}


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name, a in found.items():
        assert_array_equal(a, expected[name], err_msg=name, strict=True)


# --- against the reference -------------------------------------------------------------------------------------------


def reference_of(layer, which="", *args, **options):
    """The reference's function for a layer, of its parameters."""
    function = getattr(reference, REFERENCES[type(layer).__name__] + which)
    before = args[: 2 if which == "_jac_tmv" else 1]
    params = [layer.params.get(name) for name in ("W", "b")] if isinstance(layer, Dense) else [*layer.params.values()]
    return function(*before, *params, layer.activation, *args[len(before) :], **options)


@kinds
@cases.parametrize("shape", cases.DENSE)
def test_agrees_with_the_reference(shape, make, isa, dtype, rng, frozen, tolerance):
    """y, J times a direction for one variable and for all, J' v; nothing that is given changes."""
    m, n, k = shape
    x = frozen(normals(rng, (m, n), dtype))
    for activation in ACTIVATIONS:
        layer = made(make, n, k, activation, dtype, rng)
        for a in layer.params.values():
            a.flags.writeable = False
        expected = linearized(layer, x, Bounds(tolerance, dtype))
        y, jac = layer.linearize(x)
        expected.y.check(y)
        assert_array_equal(layer(x), y, strict=True)
        directions = {name: frozen(d) for name, d in directions_of(layer, x, rng).items()}
        for given in (directions, *({name: d} for name, d in directions.items())):
            dy = jac.mv(**given)
            assert dy.dtype == dtype
            expected.mv(given).check(dy)
        v = frozen(normals(rng, y.shape, dtype))
        found, bounds = jac.tmv(v), expected.tmv(v)
        assert list(found) == ["x", *layer.params]
        for name, g in found.items():
            assert g.dtype == dtype
            bounds[name].check(g)


@kinds
@activations
def test_bounds_are_around_the_values_of_the_reference(make, activation, rng, tolerance):
    """What the test above holds the kernels against is reference.dense and its like."""
    layer = made(make, 7, 4, activation, np.float64, rng)
    x = rng.standard_normal((5, 7))
    expected = linearized(layer, x, Bounds(tolerance, np.float64))
    close = {"rtol": 1e-13, "atol": 1e-13}
    assert_allclose(expected.y.value, reference_of(layer, "", x), **close)
    v, directions = rng.standard_normal(expected.y.value.shape), directions_of(layer, x, rng)
    for names in subsets(directions):
        given = {name: directions[name] for name in names}
        found = reference_of(layer, "_jac_mv", x, **{f"d{name}": d for name, d in given.items()})
        assert_allclose(expected.mv(given).value, found, **close)
    found = reference_of(layer, "_jac_tmv", v, x)
    assert found.keys() == expected.tmv(v).keys()
    for name, near in expected.tmv(v).items():
        assert_allclose(near.value, found[name], **close)


@kinds
@activations
def test_explicit_matrices(make, activation, isa, dtype, rng, tolerance):
    """The reference's Kronecker formulas; each column J times a unit vector, each row J' times one."""
    layer, x = made(make, 4, 3, activation, dtype, rng), normals(rng, (3, 4), dtype)
    expected = linearized(layer, x, Bounds(tolerance, dtype))
    y, jac = layer.linearize(x)
    for name in jac.variables:
        J = jac.matrix(name)
        shape = x.shape if name == "x" else layer.params[name].shape
        assert J.shape == (y.size, int(np.prod(shape)))
        assert J.dtype == dtype
        exact = reference_of(layer, "_jacobian", x, variable=name)
        for i in range(J.shape[1]):
            near = expected.mv({name: np.eye(J.shape[1])[i].reshape(shape)})
            assert_allclose(near.value.ravel(), exact[:, i], rtol=1e-12, atol=1e-13)
            near.check(J[:, i].reshape(y.shape))
        for i, row in enumerate(np.eye(y.size)):
            near = expected.tmv(row.reshape(y.shape))[name]
            near.check(J[i].reshape(shape))


@kinds
def test_explicit_matrices_of_no_samples(make, dtype, rng):
    layer = made(make, 4, 3, "tanh", dtype, rng)
    jac = layer.linearize(np.empty((0, 4), dtype))[1]
    for name in jac.variables:
        assert jac.matrix(name).shape == (0, int(np.prod(jac.shape_of(name))))


@activations
@pytest.mark.parametrize(
    "shape", [(0, 3), (1,), (7,), (5, 4), (3, 2, 1, 5), (2, 0, 3), (40, 1000), (2, *(1,) * 62, 3)], ids=str
)
def test_activation_of_any_shape(activation, shape, isa, dtype, rng, frozen, tolerance):
    layer, x = Activation(activation), frozen(normals(rng, shape, dtype, 3))
    expected = linearized(layer, x, Bounds(tolerance, dtype))
    y, jac = layer.linearize(x)
    assert y.dtype == dtype
    expected.y.check(y)
    assert_array_equal(layer(x), y)
    d = frozen(normals(rng, shape, dtype))
    expected.mv({"x": d}).check(jac.mv(x=d))
    expected.tmv(d)["x"].check(jac.tmv(d)["x"])
    assert layer.jac_tmv(x, d).keys() == {"x"}
    assert layer.n_params == 0
    assert layer.dtype is None
    if 0 < x.size < 100:
        assert_allclose(jac.matrix("x"), np.diag(expected.slope.value.ravel()), rtol=0, atol=expected.slope.error.max() + 1e-30)


@kinds
@cases.parametrize("shape", cases.DENSE_TEAM)
def test_teams_agree_bit_by_bit(shape, make, isa, dtype, rng, alone):
    m, n, k = shape
    layer, x = made(make, n, k, "sigmoid", dtype, rng), normals(rng, (m, n), dtype)
    v, directions = normals(rng, layer(x[:1]).shape[1:], dtype) * np.ones((m, 1), dtype), directions_of(layer, x, rng)
    team = answers(layer, x, v, directions)
    with alone():
        assert_same(answers(layer, x, v, directions), team)


@kinds
@activations
def test_every_choice_of_variables(make, activation, isa, dtype, rng, tolerance):
    """wrt and directions in all combinations: J' v has the bits that it has with all, J v is the sum over those given."""
    layer, x = made(make, 9, 5, activation, dtype, rng), normals(rng, (6, 9), dtype)
    expected = linearized(layer, x, Bounds(tolerance, dtype))
    y, jac = layer.linearize(x)
    v, directions = normals(rng, y.shape, dtype), directions_of(layer, x, rng)
    everything = jac.tmv(v)
    for names in subsets(jac.variables):
        found = jac.tmv(v, wrt=names)
        assert tuple(found) == names
        for name, g in found.items():
            assert_array_equal(g, everything[name])
        given = {name: directions[name] for name in names}
        expected.mv(given).check(jac.mv(**given))
    assert jac.tmv(v, ()) == {}
    assert_array_equal(jac.tmv(v, "x")["x"], everything["x"])
    assert_array_equal(jac.tmv(v, wrt=["x"])["x"], everything["x"])


@kinds
@activations
def test_one_call_forms_give_the_same_bits(make, activation, isa, dtype, rng):
    layer, x, v = small(rng, dtype, make, activation)
    directions = directions_of(layer, x, rng)
    y, jac = layer.linearize(x)
    assert_array_equal(layer.jac_mv(x, **directions), jac.mv(**directions))
    for given in (directions, {"x": directions["x"]}):
        value, dy = layer.value_and_jac_mv(x, **given)
        assert_array_equal(value, y)
        assert_array_equal(dy, jac.mv(**given))
    for wrt in (None, ("x",), tuple(layer.params)):
        found = layer.jac_tmv(x, v, wrt)
        assert_same(found, jac.tmv(v, wrt))
        assert tuple(found) == (wrt or layer.variables)


@kinds
def test_operators(make, dtype, rng):
    layer, x, v = small(rng, dtype, make)
    y, jac = layer.linearize(x)
    for name, d in directions_of(layer, x, rng).items():
        operator = jac.operator(name)
        assert operator.shape == (y.size, d.size)
        assert operator.dtype == dtype
        assert_array_equal(operator @ d.ravel(), jac.mv(**{name: d}).ravel())
        assert_array_equal(operator.T @ v.ravel(), jac.tmv(v)[name].ravel())
        assert (operator @ d.ravel()).dtype == dtype


@kinds
@activations
@pytest.mark.parametrize("name", ["float32", "float64"])
def test_the_three_tests_of_the_lecture(make, activation, name, rng):
    """check_layer; relu is far from its kinks, for x with its parameters is scaled up."""
    layer = made(make, 5, 4, activation, np.dtype(name), rng)
    check_layer(layer, normals(rng, (4, 5), np.dtype(name)), rng=3).assert_passed()


# --- NaN and infinity ------------------------------------------------------------------------------------------------


@kinds
@activations
def test_nan_stays_in_its_row(make, activation, isa, dtype, rng):
    layer, x, v = small(rng, dtype, make, activation)
    clean, bad = layer(x), x.copy()
    bad[2, 3] = np.nan
    y, jac = layer.linearize(bad)
    assert np.isnan(y[2]).all()
    assert_array_equal(np.delete(y, 2, axis=0), np.delete(clean, 2, axis=0))
    found = jac.tmv(v)
    assert np.isnan(found["x"][2]).all() or activation == "identity"
    assert np.isfinite(np.delete(found["x"], 2, axis=0)).all()
    first = "W" if isinstance(layer, Dense) else "W1"
    assert np.isnan(found[first][:, 3]).all()
    bad_v = v.copy()
    bad_v[2] = np.nan
    found = layer.jac_tmv(x, bad_v)
    assert np.isnan(found["x"][2]).all()
    assert np.isfinite(np.delete(found["x"], 2, axis=0)).all()


@activations
def test_infinity_saturates(activation, isa, dtype):
    layer = Dense(1, 2, activation, dtype=dtype).with_params({"W": np.array([[1], [-1]], dtype), "b": np.zeros(2, dtype)})
    y, jac = layer.linearize(np.array([[np.inf]], dtype))
    below = {"tanh": -1, "elu": -1, "identity": -np.inf, "leaky_relu": -np.inf}
    assert_array_equal(y, [[1 if activation in ("tanh", "sigmoid") else np.inf, below.get(activation, 0)]])
    if activation in ("tanh", "sigmoid"):
        assert_array_equal(jac.tmv(np.ones((1, 2), dtype), "b")["b"], [0, 0])


# --- arrays of any kind ----------------------------------------------------------------------------------------------


@kinds
@cases.layouts
def test_any_layout_gives_the_same_bits(layout, make, isa, dtype, rng):
    layer, x, v = small(rng, dtype, make)
    directions = directions_of(layer, x, rng)
    given = {name: layout(d) for name, d in directions.items()}
    assert_same(answers(layer, layout(x), layout(v), given), answers(layer, x, v, directions))


@kinds
@cases.writeable_layouts
def test_out_of_any_layout(layout, make, isa, dtype, rng):
    layer, x, v = small(rng, dtype, make)
    directions = directions_of(layer, x, rng)
    y, jac = layer.linearize(x)
    out = layout(np.full(y.shape, np.nan, dtype))
    assert layer(x, out=out) is out
    assert_array_equal(out, y)
    out = layout(np.full(y.shape, np.nan, dtype))
    assert jac.mv(**directions, out=out) is out
    assert_array_equal(out, jac.mv(**directions))
    expected = jac.tmv(v)
    buffers = {name: layout(np.full(g.shape, np.nan, dtype)) for name, g in expected.items()}
    found = jac.tmv(v, out=buffers)
    assert all(found[name] is a for name, a in buffers.items())
    assert_same({name: np.array(a) for name, a in buffers.items()}, expected)


def test_buffers_for_some_variables(dtype, rng):
    """out without wrt computes its names; with it, others come in new arrays, and names beyond wrt are not touched."""
    layer, x, v = small(rng, dtype)
    _, jac = layer.linearize(x)
    expected = jac.tmv(v)
    b = np.full(6, np.nan, dtype)
    found = jac.tmv(v, out={"b": b})
    assert list(found) == ["b"]
    assert found["b"] is b
    assert_array_equal(b, expected["b"])
    W = np.full((6, 6), np.nan, dtype)
    found = jac.tmv(v, ("x", "W"), out={"W": W})
    assert found["W"] is W
    assert_array_equal(W, expected["W"])
    assert_array_equal(found["x"], expected["x"])
    untouched = np.full((6, 6), 7, dtype)
    jac.tmv(v, ("x",), out={"W": untouched})
    assert (untouched == 7).all()


@kinds
@activations
def test_out_may_be_or_overlap_an_input(make, activation, isa, dtype, rng):
    """As if it did not, whatever it is: x, v, a direction, y, one another's memory."""
    layer, x, v = small(rng, dtype, make, activation)
    directions = directions_of(layer, x, rng)
    expected = answers(layer, x, v, directions)
    own = x.copy()
    assert layer(own, out=own) is own
    assert_array_equal(own, expected["y"])
    own = x.copy()
    layer(own, out=own[::-1])
    assert_array_equal(own[::-1], expected["y"])
    memory = np.zeros(60, dtype)
    shifted, out = memory[1:31].reshape(5, 6), memory[4:34].reshape(5, 6)
    shifted[...] = x
    layer(shifted, out=out)
    assert_array_equal(out, expected["y"])
    _, jac = layer.linearize(x)
    for given in (directions, {"x": directions["x"]}):
        own = directions["x"].copy()
        dy = jac.mv(**given)
        assert_array_equal(jac.mv(**(given | {"x": own}), out=own), dy)
    own = v.copy()
    found = jac.tmv(own, out={"x": own})
    assert found["x"] is own
    assert_array_equal(own, expected["tmv x"])
    own = v.copy()
    everything = {name: np.empty(np.shape(a), dtype) for name, a in {"x": x, **layer.params}.items()} | {"x": own[::-1]}
    found = jac.tmv(own, out=everything)
    for name, g in found.items():
        assert_array_equal(g, expected[f"tmv {name}"])


def test_outputs_over_parameters(isa, dtype, rng):
    """out is a part of W, which the product still reads in other blocks."""
    layer = Dense(1024, 1024, "identity", bias=False, dtype=dtype, rng=rng)
    x, dx, before = normals(rng, (32, 1024), dtype), normals(rng, (32, 1024), dtype), layer.params["W"].copy()
    y, jac = layer.linearize(x)
    dy = jac.mv(x=dx)
    out = layer.params["W"][100:132]
    jac.mv(x=dx, out=out)
    assert_array_equal(out, dy)
    layer.params["W"][...] = before
    layer(x, out=out)
    assert_array_equal(out, y)
    layer.params["W"][...] = before
    expected = jac.tmv(y, "x")["x"]
    jac.tmv(y, out={"x": out})
    assert_array_equal(out, expected)


@kinds
def test_results_are_fresh_and_jacobians_their_own(make, isa, dtype, rng):
    """A layer that is used in between, at other samples, changes nothing that an earlier Jacobian gives."""
    layer, x, v = small(rng, dtype, make)
    directions = directions_of(layer, x, rng)
    y, jac = layer.linearize(x)
    first = {"y": y, "mv": jac.mv(**directions), **jac.tmv(v)}
    copies = {name: a.copy() for name, a in first.items()}
    answers(layer, 2 * x, v, directions)
    layer.linearize(-x)
    again = {"y": jac.y, "mv": jac.mv(**directions), **jac.tmv(v)}
    assert_same(first, copies)
    assert_same(again, copies)
    assert not any(np.shares_memory(again[name], first[name]) for name in copies if name != "y")


@kinds
@pytest.mark.parametrize("kind", [np.int8, np.uint16, np.int64, np.bool_, np.float16, list])
def test_other_dtypes(kind, make, isa, dtype, rng):
    """Computed in float64 for integers, in float32 for float16; float64 if the parameters are."""
    layer, _, _ = small(rng, dtype, make)
    x = rng.integers(0, 2, (5, 6))
    given = x.tolist() if kind is list else x.astype(kind)
    plain = np.result_type(dtype, np.float32 if kind is np.float16 else np.float64)
    y, jac = layer.linearize(given)
    assert y.dtype == plain
    wide = layer.with_params({name: a.astype(plain) for name, a in layer.params.items()})
    assert_array_equal(y, wide(x.astype(plain)))
    assert_array_equal(layer(given), y)
    v = rng.integers(-3, 4, (5, 6))
    for name, g in jac.tmv(v).items():
        assert_array_equal(g, wide.jac_tmv(x.astype(plain), v.astype(plain))[name], strict=True)


@kinds
def test_mixed_dtypes(make, isa, rng):
    """x and parameters of two dtypes are computed in float64; the layer's own parameters stay."""
    narrow, x, v = small(rng, np.float32, make)
    wide = narrow.with_params({name: a.astype(np.float64) for name, a in narrow.params.items()})
    directions = directions_of(narrow, x, rng)
    for layer, samples in ((narrow, x.astype(np.float64)), (wide, x)):
        assert_same(answers(layer, samples, v, directions), answers(wide, x.astype(np.float64), v, directions))
    assert narrow.dtype == np.float32
    assert all(a.dtype == np.float32 for a in narrow.params.values())
    # what is given to a Jacobian is taken in its dtype
    _, jac = narrow.linearize(x)
    assert_array_equal(jac.mv(x=x.astype(np.float64)), jac.mv(x=x), strict=True)


# --- making layers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", np.float64])
def test_parameters(dtype):
    layer = Dense(4, 3, dtype=dtype, rng=0)
    assert {name: a.shape for name, a in layer.params.items()} == {"W": (3, 4), "b": (3,)}
    assert list(Dense(4, 3, bias=False).params) == ["W"]
    assert {name: a.shape for name, a in Residual(4).params.items()} == {"W1": (4, 4), "b": (4,), "W2": (4, 4)}
    assert {name: a.shape for name, a in Residual(4, 7).params.items()} == {"W1": (7, 4), "b": (7,), "W2": (4, 7)}
    found = ProjectedResidual(4, 3).params
    assert {name: a.shape for name, a in found.items()} == {"W1": (3, 4), "b": (3,), "W2": (3, 4)}
    assert all(a.dtype == dtype for a in layer.params.values())
    assert layer.dtype == dtype
    assert layer.n_params == 15
    assert layer.variables == ("x", "W", "b")
    assert (layer.activation, layer.config()["activation"]) == ("tanh", "tanh")
    assert not layer.params["b"].any()


@kinds
def test_seeds(make):
    def params(rng):
        return [a.tolist() for a in make(5, 4, "tanh", rng=rng).params.values()]

    assert params(3) == params(3) == params(np.random.default_rng(3))
    assert params(3) != params(4)
    assert params(None) != params(None)
    generator = np.random.default_rng(3)
    assert params(generator) != params(generator)


@pytest.mark.parametrize(("activation", "gain"), [("tanh", 1), ("sigmoid", 1), ("identity", 1), ("relu", np.sqrt(2))])
def test_the_size_of_initial_weights(activation, gain):
    """Of variance gain^2 / n_in: a million of them, so that 1 % is five standard deviations and more."""
    for W in (Dense(500, 2000, activation, rng=1).params["W"], Residual(500, 2000, activation, rng=2).params["W1"]):
        assert W.std() * np.sqrt(500) == pytest.approx(gain, rel=0.01)
        assert abs(W.mean()) < 0.01 * W.std()


@kinds
def test_with_params(make, dtype, rng):
    """A copy with other arrays, which are not copied; the layer stays as it was."""
    layer, x, _ = small(rng, dtype, make)
    before, y = dict(layer.params), layer(x)
    params = {name: 2 * a for name, a in before.items()}
    other = layer.with_params(params)
    assert type(other) is type(layer)
    assert all(other.params[name] is a for name, a in params.items())
    assert all(layer.params[name] is a for name, a in before.items())
    assert_array_equal(layer(x), y)
    assert not np.array_equal(other(x), y)
    fortran = {name: np.asfortranarray(a) for name, a in before.items()}
    v, directions = normals(rng, y.shape, dtype), directions_of(layer, x, rng)
    assert_same(answers(layer.with_params(fortran), x, v, directions), answers(layer, x, v, directions))


# --- what they cannot take -------------------------------------------------------------------------------------------

LAYER = Dense(4, 3, rng=0)
X, Y = np.ones((5, 4)), np.ones((5, 3))


def jacobian():
    return LAYER.linearize(X)[1]


READ_ONLY = np.broadcast_to(0.0, (5, 3))
W, B = np.ones((3, 4)), np.zeros(3)
REFUSED = {
    "n_in": (lambda: Dense(0, 3), ValueError, "n_in is 0; expected at least 1"),
    "n_out": (lambda: Dense(4, -1), ValueError, "n_out is -1; expected at least 1"),
    "n_in float": (lambda: Dense(4.0, 3), TypeError, "n_in is 4.0; expected an integer"),
    "n": (lambda: Residual(0), ValueError, "n is 0; expected at least 1"),
    "hidden": (lambda: Residual(4, 0), ValueError, "hidden is 0; expected at least 1"),
    "hidden text": (lambda: Residual(4, "4"), TypeError, "hidden is '4'; expected an integer"),
    "projected": (lambda: ProjectedResidual(4, 0), ValueError, "n_out is 0; expected at least 1"),
    "activation": (
        lambda: Dense(4, 3, "Tanh"),
        ValueError,
        "activation is 'Tanh'; expected one of tanh, sigmoid, relu, gelu, gelu_tanh, silu, softplus, elu, leaky_relu, identity",
    ),
    "activation None": (lambda: Activation(None), ValueError, "activation is None; expected one of"),
    "activation list": (lambda: Residual(4, activation=["relu"]), ValueError, "activation is ['relu']; expected one of"),
    "dtype": (lambda: Dense(4, 3, dtype=np.float16), TypeError, "dtype is float16; expected float32 or float64"),
    "dtype int": (lambda: ProjectedResidual(4, 3, dtype=int), TypeError, "dtype is int64; expected float32 or float64"),
    "dtype swapped": (lambda: Dense(4, 3, dtype=">f4"), TypeError, "dtype is >f4; expected float32 or float64"),
    "x's features": (lambda: LAYER(np.ones((5, 3))), ValueError, "x has samples of shape (3,); expected (4,)"),
    "x's axes": (lambda: LAYER(np.ones((5, 4, 1))), ValueError, "x has samples of shape (4, 1); expected (4,)"),
    "one sample": (lambda: LAYER(np.ones(4)), ValueError, "x has samples of shape (); expected (4,)"),
    "a number": (lambda: LAYER(1.0), ValueError, "x is a number; expected an array of samples"),
    "Residual's x": (lambda: Residual(4)(Y), ValueError, "x has samples of shape (3,); expected (4,)"),
    "Projected's x": (lambda: ProjectedResidual(4, 3)(Y), ValueError, "x has samples of shape (3,); expected (4,)"),
    "activation of a number": (lambda: Activation("relu")(2.0), ValueError, "x is a number; expected an array of samples"),
    "x complex": (lambda: LAYER(X + 0j), TypeError, "x has dtype complex128; expected"),
    "x text": (lambda: LAYER(X.astype(str)), TypeError, "x has dtype"),
    "x ragged": (lambda: LAYER([[1.0], [1.0, 2.0]]), ValueError, "x is no rectangular array"),
    "linearize": (lambda: LAYER.linearize(Y), ValueError, "x has samples of shape (3,); expected (4,)"),
    "out's shape": (lambda: LAYER(X, out=np.zeros((5, 4))), ValueError, "out has shape (5, 4); expected (5, 3)"),
    "out's dtype": (lambda: LAYER(X, out=np.zeros((5, 3), "f4")), TypeError, "out has dtype float32; expected float64"),
    "out fixed": (lambda: LAYER(X, out=READ_ONLY), ValueError, "out is read-only; expected a writeable array"),
    "out a list": (lambda: LAYER(X, out=Y.tolist()), TypeError, "out is a list; expected an ndarray"),
    "no direction": (lambda: jacobian().mv(), ValueError, "no direction is given; expected one or more of x, W, b"),
    "no such direction": (lambda: jacobian().mv(c=B), ValueError, "there is no variable 'c'; expected one of x, W, b"),
    "direction's shape": (lambda: jacobian().mv(W=W.T), ValueError, "W has shape (4, 3); expected (3, 4)"),
    "direction of x": (lambda: jacobian().mv(x=Y), ValueError, "x has shape (5, 3); expected (5, 4)"),
    "direction's dtype": (lambda: jacobian().mv(b=B + 0j), TypeError, "b has dtype complex128; expected"),
    "mv's out": (lambda: jacobian().mv(b=B, out=X.copy()), ValueError, "out has shape (5, 4); expected (5, 3)"),
    "jac_mv": (lambda: LAYER.jac_mv(X, W=B), ValueError, "W has shape (3,); expected (3, 4)"),
    "value_and_jac_mv": (
        lambda: LAYER.value_and_jac_mv(X),
        ValueError,
        "no direction is given; expected one or more of x, W, b",
    ),
    "v's shape": (lambda: jacobian().tmv(X), ValueError, "v has shape (5, 4); expected (5, 3)"),
    "v's dtype": (lambda: jacobian().tmv(Y.astype(object)), TypeError, "v has dtype object; expected"),
    "wrt": (lambda: jacobian().tmv(Y, ("x", "w")), ValueError, "there is no variable 'w'; expected one of x, W, b"),
    "tmv's out": (lambda: jacobian().tmv(Y, out={"W": B}), ValueError, "out['W'] has shape (3,); expected (3, 4)"),
    "tmv's out's name": (
        lambda: jacobian().tmv(Y, out={"V": B}),
        ValueError,
        "there is no variable 'V'; expected one of x, W, b",
    ),
    "tmv's out's dtype": (
        lambda: jacobian().tmv(Y, out={"b": np.zeros(3, "f4")}),
        TypeError,
        "out['b'] has dtype float32; expected float64",
    ),
    "operator": (lambda: jacobian().operator("c"), ValueError, "there is no variable 'c'; expected one of x, W, b"),
    "matrix": (lambda: jacobian().matrix("c"), ValueError, "there is no variable 'c'; expected one of x, W, b"),
    "params' names": (
        lambda: LAYER.with_params({"W": W}),
        ValueError,
        "params has the names ['W']; expected ['W', 'b']",
    ),
    "params' shapes": (
        lambda: LAYER.with_params({"W": W.T, "b": B}),
        ValueError,
        "params['W'] has shape (4, 3); expected (3, 4)",
    ),
    "params' dtypes": (lambda: LAYER.with_params({"W": W, "b": B.astype("f4")}), TypeError, "params have dtypes"),
    "params of integers": (
        lambda: LAYER.with_params({"W": W.astype(int), "b": B.astype(int)}),
        TypeError,
        "params['W'] has dtype int64; expected float32 or float64",
    ),
}


@pytest.mark.parametrize(("call", "error", "match"), REFUSED.values(), ids=REFUSED)
def test_bad_arguments(call, error, match):
    with pytest.raises(error, match=f"^{re.escape(match)}") as caught:
        call()
    assert caught.type is error


NOT_PLAIN = {"list": [[1.0] * 4] * 3, "strided": np.ones((6, 8))[::2, ::2], "reversed": np.ones((3, 4))[:, ::-1]}


@pytest.mark.parametrize("given", NOT_PLAIN.values(), ids=NOT_PLAIN)
def test_params_that_are_no_plain_arrays(given):
    """are copied to such: they are right in everything that a layer computes."""
    layer, plain = (LAYER.with_params({"W": W, "b": B}) for W in (given, np.array(given, order="C")))
    rng = np.random.default_rng(1)
    directions = directions_of(LAYER, X, rng)
    assert_same(answers(layer, X, Y, directions), answers(plain, X, Y, directions))


def test_a_refusal_leaves_out_alone():
    out, buffers = np.full((5, 3), 7.0), {"W": np.full((3, 4), 7.0), "b": np.full(4, 7.0)}
    for call in (
        lambda: LAYER(Y, out=out),
        lambda: LAYER(X + 0j, out=out),
        lambda: jacobian().mv(W=B, out=out),
        lambda: jacobian().tmv(X, out={"W": buffers["W"]}),
        lambda: jacobian().tmv(Y, out=buffers),
    ):
        with pytest.raises((TypeError, ValueError)):
            call()
    assert (out == 7).all()
    assert all((a == 7).all() for a in buffers.values())


def test_a_matrix_too_large():
    layer = Dense(400, 1000, rng=0)
    _, jac = layer.linearize(np.ones((1000, 400)))
    with pytest.raises(MemoryError, match=r"^the Jacobian by 'W' is larger than 2 GiB; use mv, tmv or operator"):
        jac.matrix("W")


def test_the_value_that_a_jacobian_needs_cannot_be_overwritten(dtype, rng):
    """Its slopes are taken from it: y -= target would spoil them silently."""
    layer = Dense(3, 2, dtype=dtype, rng=0)
    y, jac = layer.linearize(rng.standard_normal((4, 3)).astype(dtype))
    with pytest.raises(ValueError, match="read-only"):
        y -= 1
    assert jac.y is y
    assert layer(jac.x).flags.writeable
