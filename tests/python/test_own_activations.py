"""Activation(f, df): an activation of a user's own functions."""

import copy
import pickle
import re

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fastlec import Activation, Conv2d, Dense, Flatten, Network, fit
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
