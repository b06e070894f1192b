"""Networks of all kinds of layers, and objectives of them, for tests of curvature; what is right, by explicit Jacobians."""

import nets
import numpy as np
import pytest
from numpy.testing import assert_allclose

from fastlec import (
    Activation,
    AvgPool1d,
    AvgPool2d,
    BatchNorm,
    BatchNorm2d,
    BinaryCrossEntropy,
    Concat,
    Conv1d,
    Conv2d,
    ConvResidual,
    ConvTranspose2d,
    Dense,
    Flatten,
    GlobalAvgPool2d,
    Huber,
    LayerNorm,
    MaxPool2d,
    MeanSquaredError,
    Network,
    Objective,
    ProjectedConvResidual,
    ProjectedResidual,
    Residual,
    SoftmaxCrossEntropy,
    Sum,
)

IMAGE = (2, 6, 5)
NETS = {
    "dense": ((5,), lambda: [Dense(5, 9), Dense(9, 4, "gelu", bias=False), Dense(4, 3, "identity")]),
    "residual": ((5,), lambda: [ProjectedResidual(5, 6), Residual(6, 2), LayerNorm(6), Network([Dense(6, 3)])]),
    "inference norm": ((5,), lambda: [Dense(5, 7, "identity"), BatchNorm(7), Dense(7, 1)]),
    "images": (IMAGE, lambda: [Conv2d(2, 3, 3, "tanh"), AvgPool2d(2), ConvResidual(3), Flatten(), Dense(6, 3)]),
    "groups": (IMAGE, lambda: [Conv2d(2, 4, 3, "silu", groups=2, bias=False, stride=2), Flatten(), Dense(16, 2, "identity")]),
    "strides": (
        IMAGE,
        lambda: [
            Conv2d(2, 4, 3, stride=2),
            BatchNorm2d(4),
            ProjectedConvResidual(4, 3, stride=2),
            MaxPool2d(1),
            Flatten(),
            Dense(3, 2),
        ],
    ),
    "image outputs": (IMAGE, lambda: [Conv2d(2, 2, (2, 3), "tanh", padding="same", dilation=2)]),
    "signals": ((2, 8), lambda: [Conv1d(2, 3, 3, "tanh", padding=1), AvgPool1d(2), Flatten(), Dense(12, 2, "gelu")]),
    "transposed": ((2, 3, 2), lambda: [ConvTranspose2d(2, 2, 3, "sigmoid", stride=2), GlobalAvgPool2d(), Dense(2, 2)]),
    "branches": (
        IMAGE,
        lambda: [
            Sum([Network([Conv2d(2, 2, 3, "tanh", padding=1), BatchNorm2d(2)]), Activation("identity")]),
            Concat([MaxPool2d(2), Network([AvgPool2d(2), Conv2d(2, 1, 1, "softplus")])]),
            Flatten(),
            Dense(18, 2),
        ],
    ),
    "own": ((5,), lambda: [Dense(5, 4), nets.Scale(4), nets.Cube(), Dense(4, 2)]),
}  # fmt: skip
every = pytest.mark.parametrize("name", NETS)


def made(name, dtype=np.float64, m=7):
    shape, layers = NETS[name]
    net = Network(layers(), rng=0).astype(dtype)
    rng = np.random.default_rng(1)
    for a in net.params.values():
        a += 0.3 * rng.standard_normal(a.shape).astype(dtype)
    return net, rng.standard_normal((m, *shape)).astype(dtype)


def jacobian(net, x):
    """J by theta, (m, q, n), by products."""
    _, jac = net.linearize(x)
    J = jac.mv_many(theta=np.eye(net.n_params))
    return J.reshape(len(J), len(x), -1).transpose(1, 2, 0).astype(np.float64)


def close(found, expected, dtype=np.float64):
    assert found.shape == expected.shape
    assert_allclose(found, expected, rtol=0, atol=200 * np.finfo(dtype).eps * max(abs(expected).max(initial=0), 1e-300))


LOSSES = {
    "classes": SoftmaxCrossEntropy(label_smoothing=0.1, ignore_index=-1),
    "squares": MeanSquaredError(),
    "huber": Huber(0.5),
    "binary": BinaryCrossEntropy(),
}
losses = pytest.mark.parametrize("loss", LOSSES)


def objective_of(name, loss, weighted=False, m=9, dtype=np.float64, **options):
    net, X = made(name, dtype, m)
    rng = np.random.default_rng(2)
    shape = net.output_shape(X.shape[1:])
    y = rng.random((m, *shape))
    if loss == "classes":
        y = rng.integers(0, shape[0], m)
        y[1] = -1
    weight = rng.random(m) if weighted else None
    if weighted:
        weight[3] = 0
    return Objective(net, LOSSES[loss], X, y, sample_weight=weight, **options)
