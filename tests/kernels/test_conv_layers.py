"""Layers of convolutions, transposed ones, and of signals: against NumPy in float64, as sparse matrices, on arrays of any kind."""

import itertools
import json
import math
import re
from concurrent.futures import ThreadPoolExecutor

import cases
import numpy as np
import pytest
from bounds import ACTIVATIONS, Bounds, linearized
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from test_dense import answers, assert_same, directions_of, normals, subsets

from fastlec import (
    Conv1d,
    Conv2d,
    ConvResidual,
    ConvTranspose2d,
    Network,
    ProjectedConvResidual,
    io,
)
from fastlec.layers import jacobian
from fastlec.testing import check_layer

LAYERS = {  # (the layer, the shape of a sample)
    "3x3": (lambda **o: Conv2d(3, 4, 3, **o), (3, 6, 5)),
    "1x1": (lambda **o: Conv2d(4, 3, 1, **o), (4, 3, 4)),
    "first layer": (lambda **o: Conv2d(1, 5, 5, padding=2, **o), (1, 6, 7)),
    "no bias": (lambda **o: Conv2d(2, 3, (2, 3), bias=False, padding="valid", **o), (2, 4, 5)),
    "same": (lambda **o: Conv2d(3, 2, (3, 5), padding="same", **o), (3, 4, 6)),
    "stride": (lambda **o: Conv2d(3, 4, 3, stride=2, padding=1, **o), (3, 7, 6)),
    "gaps": (lambda **o: Conv2d(2, 3, (1, 2), stride=(2, 3), **o), (2, 6, 8)),
    "uneven padding": (lambda **o: Conv2d(2, 3, 3, stride=(1, 2), padding=((0, 2), (3, 1)), **o), (2, 4, 5)),
    "dilation": (lambda **o: Conv2d(2, 3, (3, 2), padding=(2, 1), dilation=(2, 3), **o), (2, 5, 6)),
    "groups": (lambda **o: Conv2d(4, 6, 3, stride=2, padding=1, groups=2, **o), (4, 5, 6)),
    "depthwise": (lambda **o: Conv2d(4, 4, 3, padding=1, groups=4, **o), (4, 4, 5)),
    "more filters": (lambda **o: Conv2d(3, 6, 3, groups=3, bias=False, **o), (3, 4, 4)),
    "image of one pixel": (lambda **o: Conv2d(3, 2, 3, padding=1, **o), (3, 1, 1)),
    "im2col": (lambda **o: Conv2d(3, 4, 3, padding=1, algorithm="im2col", **o), (3, 5, 6)),
    "direct": (lambda **o: Conv2d(3, 4, 3, padding=1, algorithm="direct", **o), (3, 5, 6)),
    "winograd": (lambda **o: Conv2d(3, 4, 3, padding=1, algorithm="winograd", **o), (3, 5, 6)),
    "transposed": (lambda **o: ConvTranspose2d(3, 4, 3, **o), (3, 4, 5)),
    "transposed, 1x1": (lambda **o: ConvTranspose2d(4, 3, 1, **o), (4, 3, 4)),
    "transposed, stride": (lambda **o: ConvTranspose2d(4, 6, (4, 3), stride=2, padding=1, groups=2, **o), (4, 3, 4)),
    "transposed, gaps": (lambda **o: ConvTranspose2d(2, 3, (1, 2), stride=(2, 3), output_padding=(1, 2), **o), (2, 3, 4)),
    "transposed, gaps, no bias": (lambda **o: ConvTranspose2d(2, 3, 1, bias=False, stride=2, **o), (2, 3, 4)),
    "transposed, dilation": (
        lambda **o: ConvTranspose2d(2, 3, (3, 2), padding=(2, 1), dilation=(2, 3), output_padding=(1, 2), **o),
        (2, 3, 4),
    ),
    "transposed, more rows": (lambda **o: ConvTranspose2d(3, 2, 1, dilation=3, output_padding=2, **o), (3, 2, 4)),
    "transposed, uneven padding": (
        lambda **o: ConvTranspose2d(3, 2, 4, bias=False, stride=(1, 2), padding=((0, 2), (3, 1)), **o),
        (3, 4, 5),
    ),
    "transposed, depthwise": (lambda **o: ConvTranspose2d(4, 4, 3, padding=1, groups=4, **o), (4, 4, 5)),
    "transposed, one pixel": (lambda **o: ConvTranspose2d(3, 2, 4, **o), (3, 1, 1)),
    "signals": (lambda **o: Conv1d(3, 4, 3, **o), (3, 9)),
    "signals, 1": (lambda **o: Conv1d(4, 3, 1, bias=False, **o), (4, 5)),
    "signals, stride": (lambda **o: Conv1d(4, 6, 5, stride=3, padding=2, groups=2, **o), (4, 17)),
    "signals, dilation": (lambda **o: Conv1d(2, 3, 3, dilation=4, padding=(3, 6), **o), (2, 8)),
    "signals, same": (lambda **o: Conv1d(2, 3, 4, stride=2, padding="same", **o), (2, 9)),
    "signals, depthwise": (lambda **o: Conv1d(3, 3, 3, padding=1, groups=3, algorithm="im2col", **o), (3, 8)),
    "residual": (lambda **o: ConvResidual(3, **o), (3, 4, 5)),
    "wider residual": (lambda **o: ConvResidual(2, 5, (3, 1), **o), (2, 3, 4)),
    "even residual": (lambda **o: ConvResidual(2, 3, (2, 4), **o), (2, 5, 4)),
    "projected": (lambda **o: ProjectedConvResidual(3, 4, **o), (3, 4, 5)),
    "projected, stride": (lambda **o: ProjectedConvResidual(2, 3, stride=2, **o), (2, 5, 6)),
    "projected, even": (lambda **o: ProjectedConvResidual(2, 3, (4, 5), stride=(2, 3), **o), (2, 6, 7)),
}
layers = pytest.mark.parametrize(("make", "shape"), LAYERS.values(), ids=LAYERS)
activations = pytest.mark.parametrize("activation", ACTIVATIONS)
ONE_OF_EACH = pytest.mark.parametrize(
    "name", ["groups", "transposed, stride", "signals, stride", "even residual", "projected, stride"]
)


def randomised(layer, rng):
    """With random biases too."""
    for a in layer.params.values():
        if a.ndim == 1:
            a[...] = rng.standard_normal(a.shape) / 2
    return layer


def small(name, dtype, rng, activation="tanh", m=2):
    """(layer, x, v)"""
    make, shape = LAYERS[name]
    layer = randomised(make(activation=activation, dtype=dtype, rng=rng), rng)
    return layer, normals(rng, (m, *shape), dtype), normals(rng, (m, *layer.output_shape(shape)), dtype)


def check(layer, x, v, directions, bounds, each):
    """All that a layer computes against `Linearized`; J times each choice of directions that `each` picks."""
    expected = linearized(layer, x, bounds)
    y, jac = layer.linearize(x)
    expected.y.check(y)
    assert y.dtype == x.dtype
    assert_array_equal(layer(x), y, strict=True)
    for names in each(directions):
        given = {name: directions[name] for name in names}
        expected.mv(given).check(jac.mv(**given))
    found, near = jac.tmv(v), expected.tmv(v)
    assert list(found) == ["x", *layer.params]
    for name, g in found.items():
        assert g.dtype == x.dtype
        near[name].check(g)


# --- against NumPy ---------------------------------------------------------------------------------------------------


@layers
@pytest.mark.parametrize("m", [0, 3])
def test_agrees_with_numpy(make, shape, m, isa, dtype, rng, frozen, tolerance):
    """y, J times a direction for each variable and for all, J' v; nothing that is given changes."""
    for activation in ACTIVATIONS:
        layer = randomised(make(activation=activation, dtype=dtype, rng=rng), rng)
        for a in layer.params.values():
            a.flags.writeable = False
        x = frozen(normals(rng, (m, *shape), dtype))
        v = frozen(normals(rng, (m, *layer.output_shape(shape)), dtype))
        directions = {name: frozen(d) for name, d in directions_of(layer, x, rng).items()}
        check(layer, x, v, directions, Bounds(tolerance, dtype), lambda given: [tuple(given), *((name,) for name in given)])


@ONE_OF_EACH
@activations
def test_every_choice_of_variables(name, activation, dtype, rng, tolerance):
    """wrt and directions in all combinations: J' v has the bits that it has with all, J v is the sum over those given."""
    layer, x, v = small(name, dtype, rng, activation)
    check(layer, x, v, directions_of(layer, x, rng), Bounds(tolerance, dtype), subsets)
    _, jac = layer.linearize(x)
    everything = jac.tmv(v)
    for names in subsets(jac.variables):
        found = jac.tmv(v, names)
        assert tuple(found) == names
        for variable, g in found.items():
            assert_array_equal(g, everything[variable])


@layers
def test_the_contract_of_layers(make, shape, dtype, rng):
    """check_layer: the lecture's three tests among others. relu by itself below."""
    layer = randomised(make(activation="tanh", dtype=dtype, rng=rng), rng)
    check_layer(layer, normals(rng, (2, *shape), dtype), rng=3).assert_passed()


@ONE_OF_EACH
@pytest.mark.parametrize("activation", ["sigmoid", "relu", "identity"])
def test_the_contract_with_other_activations(name, activation, rng):
    """In float64: float32 sees relu's kinks in the steps that it can tell apart."""
    layer, x, _ = small(name, np.float64, rng, activation)
    check_layer(layer, x, rng=3).assert_passed()


# --- as matrices -----------------------------------------------------------------------------------------------------


@layers
def test_explicit_jacobians_are_sparse_and_right(make, shape, dtype, rng, tolerance):
    """Each column J times a unit vector, each row J' times one."""
    for activation in ("relu", "tanh"):
        layer = randomised(make(activation=activation, dtype=dtype, rng=rng), rng)
        x = normals(rng, (2, *shape), dtype)
        expected = linearized(layer, x, Bounds(tolerance, dtype))
        y, jac = layer.linearize(x)
        for name in jac.variables:
            J = jac.matrix(name)
            assert isinstance(J, sparse.csr_array)
            value = x if name == "x" else layer.params[name]
            assert J.shape == (y.size, value.size)
            assert J.dtype == dtype
            assert J.nnz <= layer._nonzeros(jac.kept, name)
            J = J.toarray()
            for i, column in enumerate(np.eye(value.size)[:12]):
                expected.mv({name: column.reshape(value.shape)}).check(J[:, i].reshape(y.shape))
            for i, row in enumerate(np.eye(y.size)[:12]):
                expected.tmv(row.reshape(y.shape))[name].check(J[i].reshape(value.shape))


@pytest.mark.parametrize("name", [name for name, (make, _) in LAYERS.items() if "W" in make().params and name != "winograd"])
def test_a_convolution_is_a_sparse_matrix(name, isa, dtype, rng):
    """times vec(x), its transpose times vec(v) is JacTMV: exactly, of whole numbers."""
    make, shape = LAYERS[name]
    layer = make(activation="identity", dtype=dtype, rng=0)
    for a in layer.params.values():
        a[...] = rng.integers(-3, 4, a.shape) if a.ndim > 1 else 0
    x = rng.integers(-3, 4, (3, *shape)).astype(dtype)
    y, jac = layer.linearize(x)
    M, W = jac.matrix("x"), layer.params["W"]
    assert_array_equal(M @ x.ravel(), y.ravel(), strict=True)
    assert_array_equal(jac.matrix("W") @ W.ravel(), y.ravel())
    v = rng.integers(-3, 4, y.shape).astype(dtype)
    for variable, g in jac.tmv(v).items():
        assert_array_equal(jac.matrix(variable).T @ v.ravel(), g.ravel())
    assert M.nnz <= layer._nonzeros(jac.kept, "x")
    # samples do not mix, and all have the same block
    one = layer.linearize(x[:1])[1].matrix("x")
    assert abs(M - sparse.block_diag([one] * 3)).max() == 0


def test_the_structure_of_a_convolution(rng):
    """3x3 on a plane: nine diagonals, Toeplitz blocks of Toeplitz bands; "wrong" elements at the border are left out."""
    layer = Conv2d(1, 1, 3, bias=False, padding=1).with_params({"W": np.arange(1.0, 10).reshape(1, 1, 3, 3)})
    M = layer.linearize(np.zeros((1, 1, 5, 6)))[1].matrix("x").toarray()
    for (a, b), (p, q) in itertools.product(itertools.product(range(5), range(6)), repeat=2):
        i, j = p - a + 1, q - b + 1
        assert M[6 * a + b, 6 * p + q] == (3 * i + j + 1 if 0 <= i < 3 and 0 <= j < 3 else 0)


def test_matrices_of_no_samples(dtype):
    for name in ("groups", "transposed", "signals", "residual", "projected"):
        layer, x, _ = small(name, dtype, np.random.default_rng(0), m=0)
        _, jac = layer.linearize(x)
        for variable in jac.variables:
            M = jac.matrix(variable)
            assert M.shape == (0, 0 if variable == "x" else layer.params[variable].size)
            assert M.dtype == dtype


def test_how_large_a_matrix_may_be(rng, monkeypatch):
    """What counts is what is stored: 2 GiB of a dense matrix would be 16 x 64 x 64 pixels of one channel."""
    x = rng.standard_normal((20, 1, 64, 64))
    _, jac = Conv2d(1, 1, 3, padding=1, rng=0).linearize(x)
    M = jac.matrix("x")
    assert math.prod(M.shape) * 8 > jacobian.MATRIX_BYTES
    assert_allclose(M @ x.ravel(), jac.y.ravel(), rtol=1e-12, atol=1e-12)
    monkeypatch.setattr(jacobian, "MATRIX_BYTES", M.nnz * 12 - 1)
    for name in ("x", "W"):
        with pytest.raises(MemoryError, match=f"^the Jacobian by '{name}' is larger than 2 GiB; use mv, tmv or operator"):
            jac.matrix(name)
    assert jac.matrix("b").shape == (x.size, 1)


# --- arrays of any kind ----------------------------------------------------------------------------------------------


@ONE_OF_EACH
@cases.layouts
def test_any_layout_gives_the_same_bits(name, layout, dtype, rng):
    layer, x, v = small(name, dtype, rng)
    directions = directions_of(layer, x, rng)
    given = {variable: layout(d) for variable, d in directions.items()}
    assert_same(answers(layer, layout(x), layout(v), given), answers(layer, x, v, directions))


@ONE_OF_EACH
@cases.writeable_layouts
def test_out_of_any_layout(name, layout, dtype, rng):
    layer, x, v = small(name, dtype, rng)
    directions = directions_of(layer, x, rng)
    y, jac = layer.linearize(x)
    for call, expected in (
        (lambda out: layer(x, out=out), y),
        (lambda out: jac.mv(**directions, out=out), jac.mv(**directions)),
    ):
        out = layout(np.full(y.shape, np.nan, dtype))
        assert call(out) is out
        assert_array_equal(out, expected)
    expected = jac.tmv(v)
    buffers = {variable: layout(np.full(g.shape, np.nan, dtype)) for variable, g in expected.items()}
    found = jac.tmv(v, out=buffers)
    assert all(found[variable] is a for variable, a in buffers.items())
    assert_same({variable: np.array(a) for variable, a in buffers.items()}, expected)


def test_out_may_be_or_overlap_an_input(isa, dtype, rng):
    """As if it did not: x, v, a direction."""
    layer, x, _ = small("residual", dtype, rng)
    v, directions = normals(rng, x.shape, dtype), directions_of(layer, x, rng)
    expected = answers(layer, x, v, directions)
    own = x.copy()
    assert layer(own, out=own) is own
    assert_array_equal(own, expected["y"])
    own = x.copy()
    layer(own, out=own[::-1])
    assert_array_equal(own[::-1], expected["y"])
    _, jac = layer.linearize(x)
    own = directions["x"].copy()
    jac.mv(**(directions | {"x": own}), out=own)
    assert_array_equal(own, expected["mv"])
    own = v.copy()
    jac.tmv(own, out={"x": own})
    assert_array_equal(own, expected["tmv x"])


@ONE_OF_EACH
def test_dtypes(name, rng):
    """Computed in the wider one of x and the parameters, one after the other; integers in float64, float16 in float32."""
    layer, x, v = small(name, np.float32, rng)
    wide = layer.with_params({variable: a.astype(np.float64) for variable, a in layer.params.items()})
    directions, x64 = directions_of(layer, x, rng), x.astype(np.float64)
    narrow = answers(layer, x, v, directions)
    assert {a.dtype for a in narrow.values()} == {np.dtype(np.float32)}
    expected = answers(wide, x64, v, directions)
    for own, samples in ((layer, x64), (wide, x)):
        assert_same(answers(own, samples, v, directions), expected)
    assert_same(answers(layer, x, v, directions), narrow)
    whole = rng.integers(-3, 4, x.shape)
    assert_array_equal(layer(whole), wide(whole.astype(np.float64)), strict=True)
    assert_array_equal(layer(whole.astype(np.float16)), layer(whole.astype(np.float32)), strict=True)


@ONE_OF_EACH
def test_teams_agree_bit_by_bit(name, isa, dtype, rng, alone):
    layer, _, _ = small(name, dtype, rng)
    c, *lengths = LAYERS[name][1]
    x = normals(rng, (3, c, *(61, 70)[-len(lengths) :]) if len(lengths) > 1 else (3, c, 61 * 70), dtype)
    v, directions = normals(rng, layer(x).shape, dtype), directions_of(layer, x, rng)
    team = answers(layer, x, v, directions)
    with alone():
        assert_same(answers(layer, x, v, directions), team)


@ONE_OF_EACH
def test_python_threads_share_a_layer_and_get_the_same_bits(name, dtype, rng):
    layer, _, _ = small(name, dtype, rng)
    given = {}
    for m, side in ((1, 9), (4, 20), (9, 33)):
        c, *lengths = LAYERS[name][1]
        x = normals(rng, (m, c, *[side] * len(lengths)), dtype)
        given[m] = x, normals(rng, layer(x).shape, dtype), directions_of(layer, x, rng)

    def bits(m):
        return {what: a.tobytes() for what, a in answers(layer, *given[m]).items()}

    expected = {m: bits(m) for m in given}
    with ThreadPoolExecutor(4) as pool:
        order = [*given] * 6
        assert all(found == expected[m] for m, found in zip(order, pool.map(bits, order), strict=True))


# --- making layers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", np.float64])
def test_parameters(dtype):
    layer = Conv2d(4, 6, (3, 5), groups=2, dtype=dtype, rng=0)
    assert {name: a.shape for name, a in layer.params.items()} == {"W": (6, 2, 3, 5), "b": (6,)}
    assert list(Conv2d(4, 6, 3, bias=False).params) == ["W"]
    assert {name: a.shape for name, a in ConvTranspose2d(4, 6, (3, 5), groups=2).params.items()} == {
        "W": (4, 3, 3, 5),
        "b": (6,),
    }
    assert {name: a.shape for name, a in Conv1d(4, 6, 3, groups=2).params.items()} == {"W": (6, 2, 3), "b": (6,)}
    shapes = {"W1": (5, 4, 3, 3), "b": (5,), "W2": (4, 5, 3, 3)}
    assert {name: a.shape for name, a in ConvResidual(4, 5).params.items()} == shapes
    assert ConvResidual(4).params["W1"].shape == (4, 4, 3, 3)
    shapes = {"W1": (6, 4, 3, 3), "b": (6,), "W2": (6, 4, 1, 1)}
    assert {name: a.shape for name, a in ProjectedConvResidual(4, 6, stride=2).params.items()} == shapes
    assert all(a.dtype == dtype and a.flags.c_contiguous for a in layer.params.values())
    assert (layer.dtype, layer.n_params, layer.variables) == (dtype, 186, ("x", "W", "b"))
    assert not layer.params["b"].any()
    assert Conv2d(1, 1, 1).activation == "identity"
    assert ConvResidual(1).activation == ProjectedConvResidual(1, 1).activation == "tanh"


@pytest.mark.parametrize(("activation", "gain"), [("tanh", 1), ("sigmoid", 1), ("identity", 1), ("relu", np.sqrt(2))])
def test_the_size_of_initial_weights(activation, gain):
    """Of variance gain^2 / (c / groups * r * s), a hundred thousand of them and more; W2 of a residual a tenth of the usual."""
    o = {"activation": activation, "rng": 1}
    for W, terms in (
        (Conv2d(64, 200, 3, **o).params["W"], 64 * 9),
        (Conv2d(64, 400, (5, 3), groups=2, **o).params["W"], 32 * 15),
        (Conv1d(64, 400, 3, groups=2, **o).params["W"], 32 * 3),
        (ConvTranspose2d(64, 400, (4, 3), stride=(2, 1), groups=2, **o).params["W"], 32 * 6),
        (ConvTranspose2d(128, 400, 2, stride=3, **o).params["W"], 128),
        (ConvResidual(64, 200, **o).params["W1"], 64 * 9),
        (ProjectedConvResidual(64, 200, **o).params["W1"], 64 * 9),
    ):
        assert W.std() * np.sqrt(terms) == pytest.approx(gain, rel=0.01)
        assert abs(W.mean()) < 0.02 * W.std()
    assert ConvResidual(64, 200, **o).params["W2"].std() * np.sqrt(200 * 9) == pytest.approx(0.1, rel=0.01)
    assert ProjectedConvResidual(200, 400, **o).params["W2"].std() * np.sqrt(200) == pytest.approx(1, rel=0.02)


@pytest.mark.parametrize("kind", [lambda **o: ConvResidual(16, **o), lambda **o: ProjectedConvResidual(16, 16, **o)])
def test_the_algorithm_of_all_convolutions_of_a_block(kind, dtype, rng):
    """Forward and in every derivative: Winograd's has other bits than direct summation, and nearly its values."""
    layer, x = kind(dtype=dtype, rng=rng), normals(rng, (2, 16, 9, 8), dtype)
    v, directions = normals(rng, x.shape, dtype), directions_of(layer, x, rng)

    def products(algorithm):
        other = layer.with_settings(algorithm=algorithm)
        assert other.config()["algorithm"] == algorithm
        y, jac = other.linearize(x)
        found = {"y": y} | {f"mv {name}": jac.mv(**{name: d}) for name, d in directions.items()}
        return found | {f"tmv {name}": g for name, g in jac.tmv(v).items()}

    direct, winograd, columns = (products(name) for name in ("direct", "winograd", "im2col"))
    for name, a in direct.items():
        close = {"rtol": 0, "atol": 2e3 * np.finfo(dtype).eps * np.abs(a).max()}
        assert_allclose(winograd[name], a, **close, err_msg=name)
        assert_allclose(columns[name], a, **close, err_msg=name)
        if not name.endswith((" b", "W2")):
            assert not np.array_equal(winograd[name], a), name
    assert np.array_equal(winograd["tmv W2"], direct["tmv W2"]) == isinstance(layer, ProjectedConvResidual)


def test_files_that_do_not_tell_the_algorithm_of_a_block(tmp_path):
    net = Network([ConvResidual(3, algorithm="direct", rng=0), ProjectedConvResidual(3, 2, algorithm="winograd", rng=1)])
    net.save(tmp_path / "new.npz")
    assert Network.load(tmp_path / "new.npz").config() == net.config()
    described = net.config()
    for layer in described["layers"]:
        del layer["algorithm"]
    meta = {"kind": "network", "dtype": "float64", **described}
    io.save_arrays(tmp_path / "old.npz", net.params, meta)
    found = Network.load(tmp_path / "old.npz")
    assert [layer.algorithm for layer in found.layers] == ["auto", "auto"]
    assert_array_equal(found.theta, net.theta)


@layers
def test_config_makes_the_same_layer(make, shape, rng):
    """Through JSON, as files have it, and for kernel sizes and paddings of NumPy's integers."""
    layer = make(activation="sigmoid", rng=0)
    config = json.loads(json.dumps(layer.config()))
    again = type(layer)(**config, rng=0)
    assert again.config() == layer.config()
    assert repr(again) == repr(layer)
    assert type(layer).shapes(**config) == {name: a.shape for name, a in layer.params.items()}
    x = rng.standard_normal((2, *shape))
    assert_array_equal(again(x), layer(x))


def test_settings_of_any_form():
    forms = (
        {"kernel_size": 3, "stride": 2, "padding": 1, "dilation": 1},
        {"kernel_size": (3, 3), "stride": [2, 2], "padding": (1, 1), "dilation": (1, 1)},
        {"kernel_size": np.array([3, 3]), "stride": np.int64(2), "padding": ([1, 1], np.array([1, 1])), "dilation": np.int8(1)},
    )
    first, *others = (Conv2d(np.int32(2), 3, **form, rng=0).config() for form in forms)
    assert all(json.dumps(other) == json.dumps(first) for other in others)
    assert first == {
        "c_in": 2,
        "c_out": 3,
        "kernel_size": (3, 3),
        "activation": "identity",
        "bias": True,
        "stride": (2, 2),
        "padding": ((1, 1), (1, 1)),
        "dilation": (1, 1),
        "groups": 1,
        "algorithm": "auto",
    }


@pytest.mark.parametrize(
    ("layer", "shape", "expected"),
    [
        (Conv2d(3, 8, 5), (3, 28, 28), (8, 24, 24)),
        (Conv2d(3, 8, 5, padding="same"), (3, 28, 27), (8, 28, 27)),
        (Conv2d(3, 8, 5, padding="same", stride=2), (3, 28, 27), (8, 14, 14)),
        (Conv2d(3, 8, 7, stride=2, padding=3), (3, 224, 224), (8, 112, 112)),
        (Conv2d(3, 8, 3, dilation=2), (3, 10, 5), (8, 6, 1)),
        (ConvTranspose2d(3, 8, 3), (3, 10, 5), (8, 12, 7)),
        (ConvTranspose2d(3, 8, 4, stride=2, padding=1), (3, 14, 7), (8, 28, 14)),
        (ConvTranspose2d(3, 8, 3, stride=2, padding=1, output_padding=(1, 0)), (3, 14, 7), (8, 28, 13)),
        (ConvTranspose2d(3, 8, (3, 2), stride=(3, 1), padding=((0, 1), (2, 0)), dilation=2), (3, 2, 4), (8, 7, 4)),
        (Conv1d(3, 8, 5), (3, 28), (8, 24)),
        (Conv1d(3, 8, 5, padding="same", stride=2), (3, 27), (8, 14)),
        (Conv1d(3, 8, 3, dilation=2, padding=(1, 0)), (3, 10), (8, 7)),
        (ConvResidual(3, kernel_size=4), (3, 10, 5), (3, 10, 5)),
        (ProjectedConvResidual(3, 8, 4, stride=(2, 3)), (3, 9, 8), (8, 5, 3)),
        (ProjectedConvResidual(3, 8, stride=2), (3, 1, 2), (8, 1, 1)),
    ],
)
def test_output_shapes(layer, shape, expected):
    assert layer.output_shape(shape) == expected
    assert layer(np.zeros((2, *shape))).shape == (2, *expected)


CONV = Conv2d(3, 4, 3, rng=0)
X = np.ones((2, 3, 5, 6))
REFUSED = {
    "c_in": (lambda: Conv2d(0, 4, 3), ValueError, "c_in is 0; expected at least 1"),
    "c_out": (lambda: Conv2d(3, 4.0, 3), TypeError, "c_out is 4.0; expected an integer"),
    "c": (lambda: ConvResidual(0), ValueError, "c is 0; expected at least 1"),
    "hidden": (lambda: ConvResidual(2, 0), ValueError, "hidden is 0; expected at least 1"),
    "projected": (lambda: ProjectedConvResidual(2, -1), ValueError, "c_out is -1; expected at least 1"),
    "kernel_size": (lambda: Conv2d(3, 4, 0), ValueError, "kernel_size is 0; expected at least 1"),
    "kernel_size three": (lambda: Conv2d(3, 4, (3, 3, 3)), ValueError, "kernel_size is (3, 3, 3); expected"),
    "kernel_size text": (lambda: ConvResidual(3, kernel_size="3"), TypeError, "kernel_size is '3'; expected"),
    "kernel_size pair": (lambda: ProjectedConvResidual(3, 4, (3, 0)), ValueError, "kernel_size[1] is 0; expected at least 1"),
    "activation": (lambda: Conv2d(3, 4, 3, "swish"), ValueError, "activation is 'swish'; expected one of tanh, sigmoid"),
    "bias in its place": (lambda: Conv2d(3, 4, 3, False), ValueError, "activation is False; expected one of"),
    "stride": (lambda: Conv2d(3, 4, 3, stride=0), ValueError, "stride is 0; expected at least 1"),
    "projected's stride": (lambda: ProjectedConvResidual(3, 4, stride=(1, 0)), ValueError, "stride[1] is 0; expected"),
    "padding": (lambda: Conv2d(3, 4, 3, padding=-1), ValueError, "padding is -1; expected at least 0"),
    "padding text": (lambda: Conv2d(3, 4, 3, padding="SAME"), ValueError, "padding is 'SAME'; expected"),
    "dilation": (lambda: Conv2d(3, 4, 3, dilation=(1, 0)), ValueError, "dilation[1] is 0; expected at least 1"),
    "groups": (
        lambda: Conv2d(3, 4, 3, groups=2),
        ValueError,
        "groups is 2; expected a divisor of c_in, which is 3, and of c_out, which is 4",
    ),
    "groups 0": (lambda: Conv2d(3, 4, 3, groups=0), ValueError, "groups is 0; expected at least 1"),
    "transposed's groups": (lambda: ConvTranspose2d(4, 3, 3, groups=2), ValueError, "groups is 2; expected a divisor of c_in"),
    "transposed's stride": (lambda: ConvTranspose2d(3, 4, 3, stride=(1, 0)), ValueError, "stride[1] is 0; expected at least 1"),
    "transposed's padding": (
        lambda: ConvTranspose2d(3, 4, 3, padding="same"),
        TypeError,
        "padding is 'same'; expected an integer, a pair or a pair of pairs of integers",
    ),
    "negative padding": (lambda: ConvTranspose2d(3, 4, 3, padding=((0, -1), (0, 0))), ValueError, "padding[0][1] is -1"),
    "output_padding": (
        lambda: ConvTranspose2d(3, 4, 3, stride=2, output_padding=(0, 2)),
        ValueError,
        "output_padding is (0, 2); expected less than stride, (2, 2), or dilation, (1, 1)",
    ),
    "negative output_padding": (
        lambda: ConvTranspose2d(3, 4, 3, output_padding=-1),
        ValueError,
        "output_padding is -1; expected",
    ),
    "transposed's x": (
        lambda: ConvTranspose2d(4, 3, 3)(X),
        ValueError,
        "x has samples of shape (3, 5, 6); expected (4, h, w), neither h nor w 0",
    ),
    "nothing left": (
        lambda: ConvTranspose2d(3, 4, 3, padding=(4, 1))(X),
        ValueError,
        "x has samples of shape (3, 5, 6); expected larger ones, for y would be -1 x 6",
    ),
    "beyond memory": (lambda: ConvTranspose2d(3, 4, 3, stride=2**40)(X), MemoryError, "images padded to"),
    "signals' kernel_size": (lambda: Conv1d(3, 4, (3,)), TypeError, "kernel_size is (3,); expected an integer"),
    "signals' padding": (
        lambda: Conv1d(3, 4, 3, padding="full"),
        ValueError,
        'padding is \'full\'; expected an integer, a pair of them, "same" or "valid"',
    ),
    "signals' sides": (lambda: Conv1d(3, 4, 3, padding=(1, -1)), ValueError, "padding[1] is -1; expected at least 0"),
    "signals' algorithm": (lambda: Conv1d(3, 4, 3, algorithm="fft"), ValueError, "algorithm is 'fft'; expected one of"),
    "images for signals": (
        lambda: Conv1d(3, 4, 3)(X),
        ValueError,
        "x has samples of shape (3, 5, 6); expected (3, length), length not 0",
    ),
    "a short signal": (
        lambda: Conv1d(3, 4, 3, dilation=3, padding=1)(X[:, :, 0, :4]),
        ValueError,
        "x has samples of shape (3, 4), padding is (1, 1); expected to reach over 7 values",
    ),
    "signals within a network": (
        lambda: Network([Conv1d(3, 4, 3), Conv1d(3, 4, 3)]),
        ValueError,
        "layers[1]: x has samples of shape (4, length); expected (3, length)",
    ),
    "algorithm": (lambda: Conv2d(3, 4, 3, algorithm="fft"), ValueError, "algorithm is 'fft'; expected one of auto, im2col,"),
    "residual's algorithm": (lambda: ConvResidual(3, algorithm=3), ValueError, "algorithm is 3; expected one of auto, im2col,"),
    "projected's algorithm": (lambda: ProjectedConvResidual(3, 4, algorithm="fft"), ValueError, "algorithm is 'fft'; expected"),
    "winograd": (lambda: Conv2d(3, 4, 1, algorithm="winograd")(X), ValueError, "algorithm is 'winograd'; expected another one"),
    "dtype": (lambda: Conv2d(3, 4, 3, dtype=np.float16), TypeError, "dtype is float16; expected float32 or float64"),
    "channels": (
        lambda: CONV(np.ones((2, 4, 5, 6))),
        ValueError,
        "x has samples of shape (4, 5, 6); expected (3, h, w), neither h nor w 0",
    ),
    "one image": (lambda: CONV(X[0]), ValueError, "x has samples of shape (5, 6); expected (3, h, w)"),
    "no pixels": (lambda: CONV(X[:, :, :0]), ValueError, "x has samples of shape (3, 0, 6); expected (3, h, w)"),
    "a small image": (
        lambda: CONV(X[:, :, :2]),
        ValueError,
        "W has shape (4, 3, 3, 3); expected at most the padded image's 2 x 6",
    ),
    "residual's x": (lambda: ConvResidual(4)(X), ValueError, "x has samples of shape (3, 5, 6); expected (4, h, w)"),
    "projected's x": (
        lambda: ProjectedConvResidual(4, 2)(X),
        ValueError,
        "x has samples of shape (3, 5, 6); expected (4, h, w)",
    ),
    "x complex": (lambda: CONV(X + 0j), TypeError, "x has dtype complex128; expected"),
    "out": (lambda: CONV(X, out=X.copy()), ValueError, "out has shape (2, 3, 5, 6); expected (2, 4, 3, 4)"),
    "direction": (lambda: CONV.jac_mv(X, W=X), ValueError, "W has shape (2, 3, 5, 6); expected (4, 3, 3, 3)"),
    "v": (lambda: CONV.jac_tmv(X, X), ValueError, "v has shape (2, 3, 5, 6); expected (2, 4, 3, 4)"),
    "params": (
        lambda: CONV.with_params({"W": np.ones((4, 3, 3, 1)), "b": np.zeros(4)}),
        ValueError,
        "params['W'] has shape (4, 3, 3, 1); expected (4, 3, 3, 3)",
    ),
    "within a network": (
        lambda: Network([CONV, ConvResidual(3)])(X),
        ValueError,
        "layers[1]: x has samples of shape (4, h, w); expected (3, h, w)",
    ),
    "summary": (lambda: Network([CONV]).summary((4, 5, 6)), ValueError, "x has samples of shape (4, 5, 6); expected (3, h, w)"),
    "summary within": (
        lambda: Network([CONV, ConvResidual(3)]).summary((3, 5, 6)),
        ValueError,
        "layers[1]: x has samples of shape (4, h, w); expected (3, h, w)",
    ),
    "summary's size": (lambda: Network([CONV]).summary((3, 5, 0)), ValueError, "input_shape[2] is 0; expected at least 1"),
}


@pytest.mark.parametrize(("call", "error", "match"), REFUSED.values(), ids=REFUSED)
def test_bad_arguments(call, error, match):
    with pytest.raises(error, match=f"^{re.escape(match)}") as caught:
        call()
    assert caught.type is error
