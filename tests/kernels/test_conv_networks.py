"""Networks of convolutions: against NumPy in float64, trained, in parts, saved."""

import nets
import numpy as np
import pytest
from bounds import Bounds
from numpy.testing import assert_allclose, assert_array_equal
from test_conv_layers import check, randomised
from test_dense import directions_of, normals
from test_step import OPTIMIZERS, check_against_numpy

import fastlec
from fastlec import (
    SGD,
    Activation,
    AvgPool2d,
    Concat,
    Conv1d,
    Conv2d,
    ConvResidual,
    ConvTranspose2d,
    Dense,
    Flatten,
    MaxPool2d,
    MeanSquaredError,
    Network,
    Objective,
    ProjectedConvResidual,
    SoftmaxCrossEntropy,
    Sum,
    fit,
    training_step,
)
from fastlec.network import forward
from fastlec.testing import check_layer, jacobian_test

NETWORKS = {
    "plain": (lambda o: [Conv2d(2, 5, 3, "relu", padding=1, **o), Conv2d(5, 3, 3, "identity", stride=2, **o)], (2, 7, 6)),
    "residual": (
        lambda o: [
            Conv2d(2, 4, 3, "tanh", padding=1, bias=False, **o),
            ConvResidual(4, 3, activation="relu", **o),
            Activation("sigmoid"),
            ProjectedConvResidual(4, 3, stride=2, **o),
            ConvResidual(3, 2, **o),
        ],
        (2, 5, 4),
    ),
    "flattened": (
        lambda o: [
            Conv2d(2, 4, 3, "relu", stride=2, padding=1, **o),
            Flatten(),
            Dense(36, 6, "tanh", **o),
            Network([Dense(6, 3, "identity", **o)]),
        ],
        (2, 5, 6),
    ),
    "decoder": (
        lambda o: [
            Conv2d(2, 4, 3, "relu", stride=2, padding=1, **o),
            ConvTranspose2d(4, 3, 4, "tanh", stride=2, padding=1, **o),
            ConvTranspose2d(3, 2, 3, "relu", bias=False, **o),
        ],
        (2, 6, 4),
    ),
    "signals": (
        lambda o: [
            Conv1d(2, 5, 3, "relu", stride=2, **o),
            Conv1d(5, 4, 3, "sigmoid", bias=False, padding="same", **o),
            Flatten(),
            Dense(20, 3, "identity", **o),
        ],
        (2, 11),
    ),
    "nested": (
        lambda o: [
            Network([Conv2d(2, 4, 3, "relu", **o), Network([Conv2d(4, 4, 1, "sigmoid", **o)])]),
            Activation("tanh"),
            Conv2d(4, 2, (2, 1), "tanh", groups=2, **o),
        ],
        (2, 6, 4),
    ),
    "branches": (
        lambda o: [
            Conv2d(2, 3, 3, "sigmoid", padding=1, **o),
            Sum(
                [
                    Network([Conv2d(3, 4, 3, "relu", padding=1, **o), Conv2d(4, 3, 3, padding=1, **o)]),
                    Activation("identity"),
                    ProjectedConvResidual(3, 3, **o),
                ]
            ),
            Activation("tanh"),
            Concat([Activation("identity"), Conv2d(3, 2, 1, "tanh", **o), Conv2d(3, 1, 3, padding=1, **o)]),
            Concat([Flatten(), Network([Conv2d(6, 1, 2, "sigmoid", **o), Flatten()])]),
            Dense(6 * 20 + 12, 3, "identity", **o),
        ],
        (2, 5, 4),
    ),
}
networks = pytest.mark.parametrize(("build", "shape"), NETWORKS.values(), ids=NETWORKS)


def network(build, dtype, rng):
    return randomised(Network(build({"dtype": dtype, "rng": rng})), rng)


@networks
@pytest.mark.parametrize("m", [0, 1, 3])
def test_networks_agree_with_numpy(build, shape, m, isa, dtype, rng, tolerance):
    net = network(build, dtype, rng)
    x, v = normals(rng, (m, *shape), dtype), normals(rng, (m, *net.output_shape(shape)), dtype)
    directions = directions_of(net, x, rng)
    check(net, x, v, directions, Bounds(tolerance, dtype), lambda given: [tuple(given), *((name,) for name in given)])


@networks
def test_the_contract_of_networks(build, shape, rng):
    net = network(build, np.float64, rng)
    check_layer(net, rng.standard_normal((2, *shape)), rng=1).assert_passed()


@networks
@pytest.mark.parametrize("name", ["sgd", "momentum and decay", "adam, decay"])
def test_every_step_is_that_of_numpy(build, shape, name, isa, dtype, rng, tolerance):
    """Loss, theta and the optimizer's state after each step from those before it; batches of several sizes."""
    net = network(build, dtype, rng)
    step = training_step(net, MeanSquaredError(), OPTIMIZERS[name], 6)
    for count, m in enumerate((6, 2, 6)):
        X, y = normals(rng, (m, *shape), dtype), normals(rng, (m, *net.output_shape(shape)), dtype)
        check_against_numpy(step, count, X, y, tolerance)


def test_a_classifier_of_images(dtype, rng):
    """Convolutions, a layer of the user's own that makes vectors, a dense layer: check_layer, and steps of cross-entropy against
    SGD by the gradients of the loss and jac.tmv."""
    o = {"dtype": dtype, "rng": rng}
    convolutions = [Conv2d(1, 3, 3, "tanh", padding=1, **o), ProjectedConvResidual(3, 2, stride=2, **o)]
    net = randomised(Network([*convolutions, nets.Rows(), Dense(2 * 9, 4, "identity", **o)]), rng)
    x, y, loss = normals(rng, (5, 1, 5, 6), dtype), rng.integers(0, 4, 5), SoftmaxCrossEntropy()
    check_layer(net, x, rng=2).assert_passed()
    step, eps = training_step(net, loss, SGD(0.5), 5), float(np.finfo(dtype).eps)
    for _ in range(3):
        output, jac = net.linearize(x)
        value, v = loss.value_and_gradient(output, y)
        expected = net.theta - dtype.type(0.5) * jac.tmv(v, "theta")["theta"]
        assert step(x, y) == pytest.approx(value, rel=4 * eps)
        assert_allclose(net.theta, expected, rtol=2 * eps, atol=2 * eps)


@networks
def test_samples_in_parts_get_the_same_bits(build, shape, isa, dtype, rng, monkeypatch):
    monkeypatch.setattr(forward, "MOST_CHUNK", 4)
    net = network(build, dtype, rng)
    x = normals(rng, (11, *shape), dtype)
    y, _ = net.linearize(x)
    for m in (3, 4, 5, 8, 11):
        assert_array_equal(net(x[:m]), y[:m])


def test_how_many_samples_are_computed_at_once():
    """By the values of the widest layer, planes and all: 2^18, but 256 samples where that is not more than 2^22 values."""
    o = {"dtype": np.float32, "rng": 0}
    images = Network([Conv2d(1, 32, 3, padding=1, **o), Conv2d(32, 4, 3, stride=2, **o)])
    assert images._widest((1, 28, 28)) == 32 * 28 * 28
    assert forward.chunk_size(images, (1, 28, 28)) == (1 << 22) // (32 * 28 * 28)
    assert forward.chunk_size(images, (1, 1000, 1000)) == 1
    assert forward.chunk_size(images, (1, 3, 3)) == (1 << 18) // (32 * 9)
    assert Network([Conv2d(2, 2, 1, **o), ConvResidual(2, 50, **o)])._widest((2, 5, 6)) == 50 * 30
    assert Network([Network([ConvResidual(2, 50, **o)]), Conv2d(2, 60, (5, 6), **o)])._widest((2, 5, 6)) == 50 * 30
    assert Network([Activation("tanh")])._widest((7, 2)) == 14
    assert forward.chunk_size(Network([Dense(5, 3000, **o), Dense(3000, 2, **o)]), (5,)) == 256
    assert forward.chunk_size(Network([Dense(5, 2, **o)]), (5,)) == 4096


@pytest.mark.parametrize("suffix", ["npz", "safetensors"])
@networks
def test_files(build, shape, suffix, dtype, rng, tmp_path):
    if suffix == "safetensors":
        pytest.importorskip("safetensors")
    net = network(build, dtype, rng)
    net.save(tmp_path / f"net.{suffix}")
    found = Network.load(tmp_path / f"net.{suffix}")
    assert_array_equal(found.theta, net.theta, strict=True)
    assert list(found.params) == list(net.params)
    assert found.config() == net.config()
    x = normals(rng, (3, *shape), dtype)
    assert_array_equal(found(x), net(x), strict=True)


@pytest.mark.parametrize(
    "settings",
    [{"groups": 0}, {"groups": 2}, {"kernel_size": "3"}, {"kernel_size": [3, 3, 3]}, {"stride": 0}, {"padding": "full"}],
    ids=str,
)
def test_files_that_describe_no_layer(settings, tmp_path):
    net = Network([Conv2d(3, 4, 3, rng=0)])
    layer = net.config()["layers"][0] | settings
    meta = {"kind": "network", "dtype": "float64", "layers": [layer]}
    fastlec.io.save_arrays(tmp_path / "net.npz", net.params, meta)
    with pytest.raises(fastlec.io.ModelError, match="'meta' describes no network"):
        Network.load(tmp_path / "net.npz")


def test_summary():
    net = Network([Conv2d(1, 4, 3, "relu", padding=1), Network([ProjectedConvResidual(4, 6, stride=2)]), ConvResidual(6)])
    rows = [" ".join(line.split()) for line in net.summary((1, 9, 8)).splitlines()]
    assert rows[1:] == [
        "0 Conv2d relu (m, 4, 9, 8) 40 W 4 x 1 x 3 x 3, b 4",
        "1 Network (m, 6, 5, 4) 246 0.W1 6 x 4 x 3 x 3, 0.b 6, 0.W2 6 x 4 x 1 x 1",
        "2 ConvResidual tanh (m, 6, 5, 4) 654 W1 6 x 6 x 3 x 3, b 6, W2 6 x 6 x 3 x 3",
        "total 940 float64",
    ]
    assert "(m" not in net.summary()
    assert "(m, 2)" in Network([Activation("tanh"), Dense(5, 2)]).summary(5)


def test_affine_in_theta(rng):
    """One convolution with "identity" qualifies as one Dense does, what is linear may follow: the Hessian is exact there."""
    identity = Conv2d(2, 3, 3, rng=0)
    assert Network([Activation("tanh"), identity, Activation("identity")]).affine_in_theta
    for others in (
        [Conv2d(2, 3, 3, "tanh")],
        [identity, Conv2d(3, 2, 1)],
        [ConvResidual(2, activation="identity")],
        [identity, MaxPool2d(2)],
    ):
        assert not Network(others).affine_in_theta
    net = Network([MaxPool2d(2), identity, Network([AvgPool2d(2), Flatten()])])
    assert net.affine_in_theta
    objective = Objective(net, SoftmaxCrossEntropy(), rng.standard_normal((7, 2, 8, 8)), rng.integers(0, 3, 7))
    theta = rng.standard_normal(net.n_params)
    jacobian_test(objective.gradient, objective.hessian_mv, theta, rng=1).assert_passed()


def test_a_network_learns_to_blur(rng):
    """fit finds the kernel that made the targets."""
    x, kernel = rng.standard_normal((64, 1, 8, 8)), np.outer([1, 2, 1], [1, 2, 1]) / 16
    blur = Conv2d(1, 1, 3, bias=False, padding=1).with_params({"W": kernel.reshape(1, 1, 3, 3)})
    net = Network([Conv2d(1, 1, 3, bias=False, padding=1, rng=0)])
    fit(net, x, blur(x), loss=MeanSquaredError(), optimizer=SGD(0.3), batch_size=16, epochs=30, rng=0)
    assert_allclose(net.params["0.W"][0, 0], kernel, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("side", "channels", "m"), [(9, 48, 2), (13, 34, 1), (25, 24, 1), (27, 16, 4)])
def test_derivatives_reach_the_last_row_of_odd_images(side, channels, m, isa, dtype, rng):
    """The part of a gradient that holds this row alone has no pixels of the other phase of a stride."""
    conv = Conv2d(channels, channels, 3, stride=2, padding=1, algorithm="direct", dtype=dtype, rng=rng)
    net, x = Network([Activation("relu"), conv]), normals(rng, (m, channels, side, side), dtype)
    y, jac = net.linearize(x)
    v = normals(rng, y.shape, dtype)
    below = conv.linearize(np.maximum(x, 0))[1].tmv(v, "x")["x"]
    assert_array_equal(jac.tmv(v, "x")["x"], below * (x > 0))
