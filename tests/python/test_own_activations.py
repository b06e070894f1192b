"""Activation(f, df): an activation of a user's own functions."""

import copy
import pickle
import re

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fastlec import (
    Activation,
    Conv2d,
    ConvResidual,
    Dense,
    Flatten,
    Network,
    ProjectedConvResidual,
    ProjectedResidual,
    Residual,
    fit,
)
from fastlec.testing import check_layer


def relu(x):
    return np.maximum(x, 0)


def positive(x):
    return x > 0  # converted to the dtype of x


def test_every_derivative(dtype, rng):
    sine = Activation(np.sin, np.cos)
    check_layer(sine, rng.standard_normal((4, 2, 3)).astype(dtype)).assert_passed()
    net = Network([Conv2d(1, 2, 3, rng=0, dtype=dtype), sine, Flatten(), Dense(8, 3, "identity", rng=1, dtype=dtype)])
    check_layer(net, rng.standard_normal((4, 1, 4, 4)).astype(dtype)).assert_passed()


def test_it_trains_as_the_one_that_is_known_by_name(dtype, rng):
    X, y = rng.standard_normal((50, 4)).astype(dtype), rng.integers(0, 3, 50)
    o = {"dtype": dtype}
    found = []
    for between in (Activation("relu"), Activation(relu, positive)):
        net = Network([Dense(4, 8, "identity", **o, rng=0), between, Dense(8, 3, "identity", **o, rng=1)])
        found.append((fit(net, X, y, epochs=3).train_loss, net.theta))
    assert_allclose(found[1][0], found[0][0], rtol=32 * np.finfo(dtype).eps)
    assert_allclose(found[1][1], found[0][1], rtol=0, atol=64 * np.finfo(dtype).eps)


LAYERS = {  # with an activation, and the shape of samples
    "Dense": (lambda a, **o: Dense(4, 3, a, **o), (5, 4)),
    "Dense without bias": (lambda a, **o: Dense(4, 3, a, False, **o), (5, 4)),
    "Residual": (lambda a, **o: Residual(4, 3, a, **o), (5, 4)),
    "ProjectedResidual": (lambda a, **o: ProjectedResidual(4, 3, a, **o), (5, 4)),
    "Conv2d": (lambda a, **o: Conv2d(2, 3, 3, a, **o), (3, 2, 4, 5)),
    "ConvResidual": (lambda a, **o: ConvResidual(2, 3, activation=a, **o), (3, 2, 4, 5)),
    "ProjectedConvResidual": (lambda a, **o: ProjectedConvResidual(2, 3, activation=a, stride=2, **o), (3, 2, 4, 5)),
}
layers = pytest.mark.parametrize(("make", "shape"), LAYERS.values(), ids=LAYERS)


@layers
def test_every_derivative_of_layers_that_have_one(make, shape, dtype, rng):
    x = rng.standard_normal(shape).astype(dtype)
    check_layer(make(Activation(np.sin, np.cos), rng=0, dtype=dtype), x, rng=0).assert_passed()


@layers
@pytest.mark.parametrize("m", [0, 1, 3])
def test_layers_that_have_one_compute_what_they_do_with_the_name(make, shape, m, dtype, rng):
    x = rng.standard_normal((m, *shape[1:])).astype(dtype)
    named, own = (make(a, rng=0, dtype=dtype) for a in ("relu", Activation(relu, positive)))
    own = own.with_params(named.params)  # which are drawn for other gains
    tolerance = {"rtol": 32 * np.finfo(dtype).eps, "atol": 64 * np.finfo(dtype).eps}
    (y, jac), (expected, other) = own.linearize(x), named.linearize(x)
    assert_allclose(y, expected, **tolerance)
    v = rng.standard_normal(y.shape).astype(dtype)
    for name, g in jac.tmv(v).items():
        assert_allclose(g, other.tmv(v, name)[name], **tolerance)
        d = rng.standard_normal(g.shape).astype(dtype)
        assert_allclose(jac.mv(**{name: d}), other.mv(**{name: d}), **tolerance)


def test_networks_of_layers_that_have_one_train(dtype, rng, tmp_path):
    X, y = rng.standard_normal((50, 4)).astype(dtype), rng.integers(0, 3, 50)
    nets = [
        Network([Dense(4, 8, a, dtype=dtype), Residual(8, 5, a, dtype=dtype), Dense(8, 3, "identity", dtype=dtype)])
        for a in ("relu", Activation(relu, positive))
    ]
    nets[1].theta[...] = nets[0].theta
    named, own = (fit(net, X, y, epochs=3).train_loss for net in nets)
    assert_allclose(own, named, rtol=32 * np.finfo(dtype).eps)
    assert_allclose(nets[1].theta, nets[0].theta, rtol=0, atol=64 * np.finfo(dtype).eps)
    with pytest.raises(TypeError, match=r"^a layer is an Activation of functions"):
        nets[1].save(tmp_path / "net.npz")
    again = pickle.loads(pickle.dumps(nets[1]))
    assert_array_equal(again(X), nets[1](X))


def test_copies_and_settings(rng):
    x = rng.standard_normal((3, 4))
    made = Activation(relu, positive)
    for again in (copy.copy(made), copy.deepcopy(made), pickle.loads(pickle.dumps(made)), made.with_settings()):
        assert_array_equal(again(x), made(x))
    assert isinstance(made, Activation)
    assert repr(Activation("relu")) == "Activation(activation='relu')"
    assert Activation("relu").config() == {"activation": "relu"}
    assert "relu" in repr(made)
    with pytest.raises(AttributeError):
        made.activation = np.sin


REFUSED = {
    "no derivative": (lambda x: Activation(np.sin), TypeError, "derivative is None; expected a function of arrays"),
    "a name and a derivative": (
        lambda x: Activation("relu", np.cos),
        TypeError,
        "activation is 'relu' and derivative is given",
    ),
    "shape": (lambda x: Activation(np.sum, np.cos)(x), ValueError, "what activation gave has shape (); expected (3, 4)"),
    "shape of the derivative": (
        lambda x: Activation(np.sin, np.sum).jac_tmv(x, x),
        ValueError,
        "what derivative gave has shape (); expected (3, 4)",
    ),
    "dtype": (
        lambda x: Activation(lambda x: x + 1j, np.cos)(x),
        TypeError,
        "activation gave dtype complex128; expected float64",
    ),
    "files": (
        lambda x: Network([Activation(np.sin, np.cos)]).save("net.npz"),
        TypeError,
        "a layer is an Activation of functions",
    ),
}


@pytest.mark.parametrize(("call", "error", "match"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be(call, error, match, rng):
    with pytest.raises(error, match=f"^{re.escape(match)}"):
        call(rng.standard_normal((3, 4)))
