"""Network.predict and predict_proba: classes and probabilities of any number of samples, in memory that does not grow with it."""

import tracemalloc

import numpy as np
import pytest

from fastlec import (
    SGD,
    Activation,
    Conv2d,
    Dense,
    Flatten,
    Layer,
    Network,
    Objective,
    SoftmaxCrossEntropy,
    fit,
    softmax,
    training_step,
)


def network(dtype=np.float64, n_classes=5):
    return Network([Dense(6, 9, dtype=dtype), Dense(9, n_classes, "identity", dtype=dtype)], rng=0)


def images(dtype=np.float64):
    return Network([Conv2d(2, 3, 3, dtype=dtype), Flatten(), Dense(3 * 4 * 4, 4, "identity", dtype=dtype)], rng=0)


class Own(Layer):
    """y = x, a layer as users write them."""

    def output_shape(self, shape):
        return shape

    def evaluate(self, x):
        return x, None

    def mv(self, kept, directions):
        return directions["x"]

    def tmv(self, kept, v, wrt):
        return {"x": v}


NETS = {
    "dense": (network, (6,)),
    "images": (images, (2, 6, 6)),
    "two classes": (lambda dtype=np.float64: network(dtype, 2), (6,)),
    "own": (lambda dtype=np.float64: Network([network(dtype), Own()]), (6,)),
    "no parameters": (lambda dtype=np.float64: Network([Activation("identity")]), (3,)),
}
every = pytest.mark.parametrize("name", NETS)


@every
@pytest.mark.parametrize("m", [0, 1, 7, 5000])
def test_predictions_are_those_of_the_outputs(name, m, dtype, rng, frozen):
    make, shape = NETS[name]
    net, X = make(dtype), frozen(rng.standard_normal((m, *shape)).astype(dtype))
    y, classes, P = net(X), net.predict(X), net.predict_proba(X)
    assert (classes.shape, classes.dtype, P.shape, P.dtype) == ((m,), np.int64, y.shape, dtype)
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(P, softmax(y), rtol=200 * eps, atol=eps)
    np.testing.assert_allclose(P.sum(axis=1), 1, rtol=8 * eps)
    top = np.sort(y, axis=1)
    clear = top[:, -1] - top[:, -2] > 1e-4  # of sums that the size of a part may round otherwise
    np.testing.assert_array_equal(classes[clear], y.argmax(axis=1)[clear])
    assert m < 100 or clear.mean() > 0.99


def test_of_equal_outputs_the_first():
    net = Network([Activation("identity")])
    assert net.predict([[1, 3, 3], [2, 2, 2], [0, 0, 1]]).tolist() == [1, 0, 2]


@pytest.mark.parametrize(
    "convert",
    [
        lambda X: X.tolist(),
        lambda X: X.astype(">f8"),
        lambda X: np.asfortranarray(X),
        lambda X: np.repeat(X, 2, axis=0)[::2],
        lambda X: X[::-1][::-1],
    ],
    ids=["list", "byte order", "Fortran", "strided", "backwards"],
)
def test_samples_in_any_form(convert, rng):
    net, X = network(), rng.standard_normal((30, 6))
    np.testing.assert_array_equal(net.predict(convert(X)), net.predict(X))
    np.testing.assert_array_equal(net.predict_proba(convert(X)), net.predict_proba(X))


@pytest.mark.parametrize("kind", [np.uint8, np.int64, np.float16, np.float64, bool])
def test_dtypes_are_those_of_a_call(kind):
    net, X = network(np.float32), (np.arange(60).reshape(10, 6) % 7).astype(kind)
    P = net.predict_proba(X)
    assert P.dtype == net(X).dtype
    np.testing.assert_allclose(P, softmax(net(X)), rtol=1e-6)


def test_memory_does_not_grow_with_the_samples(tmp_path):
    """Of bytes in a file, which are converted part by part."""
    m, n = 20000, 1000
    path, net = tmp_path / "X", Network([Dense(n, 50, "relu"), Dense(50, 3, "identity")], rng=0)
    np.memmap(path, np.uint8, "w+", shape=(m, n)).flush()
    X = np.memmap(path, np.uint8, "r", shape=(m, n))
    net.predict(X[:10])
    tracemalloc.start()
    try:
        assert len(net.predict(X)) == len(net.predict_proba(X)) == m
        assert tracemalloc.get_traced_memory()[1] < 0.4 * 8 * m * n
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["predict", "predict_proba"])
@pytest.mark.parametrize(
    ("error", "text", "net", "X"),
    [
        (ValueError, "X is a number; expected an array of samples", network, 3.0),
        (ValueError, r"X has samples of shape \(\); expected \(6,\)", network, np.zeros(6)),
        (ValueError, r"X has samples of shape \(5,\); expected \(6,\)", network, np.zeros((3, 5))),
        (
            ValueError,
            r"X has samples of shape \(2, 6, 5\); expected \(1, h, w\)",
            lambda: Network([Conv2d(1, 3, 1)]),
            np.zeros((9, 2, 6, 5)),
        ),
        (ValueError, r"X has samples of shape \(5,\); expected \(6,\)", network, np.zeros((10**6, 5), np.int8)),
        (TypeError, "X has dtype complex128", network, np.zeros((3, 6), complex)),
        (TypeError, "X has dtype <U1", network, np.full((3, 6), "a")),
        (TypeError, "X has dtype object", network, None),
        (TypeError, "X is a masked array", network, np.ma.zeros((3, 6))),
        (ValueError, "X is no rectangular array", network, [[0] * 6, [0] * 5]),
        (ValueError, r"net gives outputs of shape \(1,\) for each sample", lambda: network(n_classes=1), np.zeros((3, 6))),
        (ValueError, r"net gives outputs of shape \(3, 2, 2\)", lambda: Network([Conv2d(1, 3, 1)]), np.zeros((1, 1, 2, 2))),
        (ValueError, r"net\(X\)\[0, 0\] is nan as float64; expected finite", network, np.full((3, 6), np.nan)),
    ],
)
def test_bad_arguments(name, error, text, net, X):
    with pytest.raises(error, match=text):
        getattr(net(), name)(X)


@pytest.mark.parametrize(
    "call",
    [
        lambda net, X, y: fit(net, X, y),
        lambda net, X, y: fit(net, np.ones((3, 6)), y, validation=(X, y)),
        lambda net, X, y: training_step(net, SoftmaxCrossEntropy(), SGD(0.1), 3)(X, y),
        lambda net, X, y: Objective(net, SoftmaxCrossEntropy(), X, y),
    ],
    ids=["fit", "validation", "step", "objective"],
)
def test_others_that_take_samples_name_them_so_too(call):
    with pytest.raises(ValueError, match=r"^(validation: )?X has samples of shape \(5,\); expected \(6,\)"):
        call(network(), np.zeros((3, 5)), np.zeros(3, int))


def test_what_is_not_finite_is_named_wherever_it_is(rng):
    X = rng.standard_normal((9000, 6))
    X[8123, 2] = np.nan
    with pytest.raises(ValueError, match=r"net\(X\)\[8123, 0\] is nan"):
        network().predict(X)


def test_a_single_output_has_no_classes_by_itself():
    """Of a network that BinaryCrossEntropy trained it is a logit: who asks is told how to read it."""
    net = Network([Dense(6, 1, "identity")])
    for method in (net.predict, net.predict_proba):
        with pytest.raises(ValueError, match=r"of two classes or more: with BinaryCrossEntropy, net\(X\) > 0 says class 1"):
            method(np.zeros((3, 6)))
    with pytest.raises(ValueError, match=r"of two classes or more$"):
        Network([Conv2d(2, 3, 3)]).predict(np.zeros((1, 2, 6, 6)))
