"""Networks that the tests share, of fastlec's layers and of a user's own."""

import math

import numpy as np
from numpy.testing import assert_array_equal

from fastlec import Activation, Concat, Dense, Layer, Network, ProjectedResidual, Residual, Sum


class Cube(Layer):
    """y = x^3 / 3 of samples of any shape."""

    def output_shape(self, shape):
        return shape

    def evaluate(self, x):
        return x**3 / 3, x

    def mv(self, x, directions):
        return x**2 * directions["x"]

    def tmv(self, x, v, wrt):
        return {name: x**2 * v for name in wrt}


class Scale(Layer):
    """y = a x + c of samples (m, n): a is a number, c (n,)."""

    def __init__(self, n, dtype=np.float64):
        super().__init__({"a": np.array(1.5, dtype), "c": np.linspace(-1, 1, n).astype(dtype)})

    def output_shape(self, shape):
        if tuple(shape) != self.params["c"].shape:
            raise ValueError(f"x has samples of shape {tuple(shape)}; expected {self.params['c'].shape}")
        return shape

    def evaluate(self, x):
        return self.params["a"] * x + self.params["c"], x

    def mv(self, x, directions):
        products = {"x": lambda d: self.params["a"] * d, "a": lambda d: d * x, "c": lambda d: d}
        return sum(products[name](d) for name, d in directions.items()) + np.zeros_like(x)

    def tmv(self, x, v, wrt):
        products = {
            "x": lambda: self.params["a"] * v,
            "a": lambda: np.array((v * x).sum(), x.dtype),
            "c": lambda: v.sum(axis=0),
        }
        return {name: products[name]() for name in wrt}


class Same(Layer):
    """y = x: a layer of the user's own that changes no bit."""

    def output_shape(self, shape):
        return shape

    def evaluate(self, x):
        return x.copy(), None

    def mv(self, kept, directions):
        return directions["x"].copy()

    def tmv(self, kept, v, wrt):
        return dict.fromkeys(wrt, v)


class Rows(Layer):
    """y = x, samples of any shape as vectors."""

    def output_shape(self, shape):
        return (math.prod(shape),)

    def evaluate(self, x):
        return x.reshape(len(x), -1), x.shape

    def mv(self, shape, directions):
        return directions["x"].reshape(shape[0], -1)

    def tmv(self, shape, v, wrt):
        return {name: v.reshape(shape) for name in wrt}


def _nested(o):
    inner = Network([Residual(6, 4, "sigmoid", **o), Activation("tanh"), Network([Dense(6, 4, "relu", **o)])])
    return [Dense(5, 6, "identity", **o), inner, Activation("sigmoid"), Network([ProjectedResidual(4, 3, **o)])]


def _branches(o):
    """Sums and joints within each other: of identities, activations, and layers that add their share of dx and that do not."""
    inner = Concat([Activation("identity"), Network([Residual(6, 2, **o), Dense(6, 2, "sigmoid", **o)]), Activation("tanh")])
    outer = Sum([Network([inner, Dense(14, 6, "identity", **o)]), Activation("identity"), Dense(6, 6, "gelu", **o)])
    heads = [Dense(6, 1, **o), Network([Activation("relu"), Dense(6, 2, "identity", **o)])]
    return [Dense(5, 6, "tanh", **o), outer, Activation("sigmoid"), Concat(heads)]


PLANNED = {  # of 5 features and 3 outputs
    "one layer": lambda o: [Dense(5, 3, "sigmoid", **o)],
    "dense": lambda o: [Dense(5, 17, **o), Dense(17, 8, "relu", **o), Dense(8, 3, "identity", **o)],
    "without biases": lambda o: [Dense(5, 9, "sigmoid", bias=False, **o), Dense(9, 3, bias=False, **o)],
    "residual": lambda o: [
        ProjectedResidual(5, 8, "sigmoid", **o),
        Residual(8, **o),
        Residual(8, 3, "relu", **o),
        Dense(8, 3, **o),
    ],
    "ends in a residual": lambda o: [Dense(5, 3, "relu", **o), Residual(3, 6, **o)],
    "activations": lambda o: [
        Activation("tanh"),
        Dense(5, 6, "identity", **o),
        Activation("sigmoid"),
        Activation("tanh"),
        Dense(6, 3, **o),
        Activation("relu"),
    ],
    "identities": lambda o: [Activation("identity"), Dense(5, 3, **o), Activation("identity")],
    "nested": _nested,
    "branches": _branches,
}
OWN = {
    "cube": lambda o: [Dense(5, 6, **o), Cube(), Residual(6, **o), Dense(6, 3, "identity", **o)],
    "scale": lambda o: [Scale(5, **_dtype(o)), Dense(5, 3, **o), Scale(3, **_dtype(o))],
    "nested own": lambda o: [
        Network([Dense(5, 4, **o), Network([Cube(), Scale(4, **_dtype(o))])]),
        Dense(4, 3, "sigmoid", **o),
    ],
    "branches own": lambda o: [
        Sum([Network([Dense(5, 4, **o), Dense(4, 5, "identity", **o)]), Scale(5, **_dtype(o)), Activation("identity")]),
        Concat([Dense(5, 2, "relu", **o), Network([Cube(), Dense(5, 1, **o)])]),
    ],
}


def _dtype(options):
    return {"dtype": options["dtype"]}


def network(layers, dtype, rng):
    """A network of PLANNED or OWN with random parameters, biases too."""
    net = Network(layers({"dtype": dtype, "rng": rng}))
    for a in net.params.values():
        if a.ndim == 1:
            a[...] = rng.standard_normal(a.shape) / 2
    return net


NET = Network([Dense(5, 4, rng=0), Dense(4, 3, rng=1)])


def data(net, rng, m=9):
    """x, v, a direction for each variable and for theta."""
    dtype = net.theta.dtype
    x, v = _normals(rng, (m, 5), dtype), _normals(rng, (m, 3), dtype)
    directions = {name: _normals(rng, a.shape, dtype) for name, a in {"x": x, **net.params}.items()}
    return x, v, directions, _normals(rng, net.n_params, dtype)


def answers(net, x, v, directions, direction):
    """Everything that a network computes, by name."""
    y, jac = net.linearize(x)
    found = {"y": net(x), "linearize": y, "mv": jac.mv(**directions), "theta": jac.mv(theta=direction)}
    found |= {f"tmv {name}": g for name, g in jac.tmv(v).items()}
    return found | {"tmv theta": jac.tmv(v, "theta")["theta"]}


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name, a in found.items():
        assert_array_equal(a, expected[name], err_msg=name, strict=True)


def _normals(rng, shape, dtype):
    return rng.standard_normal(shape).astype(dtype)
