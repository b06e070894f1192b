"""A warning where values of a bounded activation are taken for logits; none where they are not."""

import warnings

import numpy as np
import pytest

from fastlec import (
    SGD,
    Activation,
    AvgPool2d,
    Conv2d,
    Dense,
    Flatten,
    GlobalAvgPool2d,
    Layer,
    MaxPool2d,
    MeanSquaredError,
    Network,
    Objective,
    ProjectedResidual,
    Residual,
    SoftmaxCrossEntropy,
    Upsample2d,
    fit,
    training_step,
)

X, y = np.ones((4, 3)), np.array([0, 1, 1, 0])
IMAGES = np.ones((4, 1, 4, 4))
CALLS = {
    "fit": lambda net, loss, X: fit(net, X, y, loss=loss, epochs=2, batch_size=2, validation=0.5),
    "training_step": lambda net, loss, X: training_step(net, loss, SGD(0.1), 4)(X, y),
    "Objective": lambda net, loss, X: Objective(net, loss, X, y).value(net.theta),
}
calls = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


class OwnDense(Dense):
    """Another function than its activation says."""

    def evaluate(self, x):
        y, kept = super().evaluate(x)
        return 100 * y, kept


class OwnNetwork(Network):
    def evaluate(self, x):
        y, kept = super().evaluate(x)
        return 100 * y, kept


class Own(Layer):
    """y = x."""

    def output_shape(self, shape):
        return shape

    def evaluate(self, x):
        return x, None

    def mv(self, kept, directions):
        return directions["x"]

    def tmv(self, kept, v, wrt):
        return {"x": v}


class OwnLoss(SoftmaxCrossEntropy):
    pass


BOUNDED = {
    "tanh": ([Dense(3, 2)], X, SoftmaxCrossEntropy(), r"net ends with tanh, whose values lie in \[-1, 1\], and Soft"),
    "sigmoid": ([Dense(3, 2, "sigmoid")], X, OwnLoss(), r"net ends with sigmoid, whose values lie in \[0, 1\], and OwnLoss takes"),
    "a layer": ([Dense(3, 2, "identity"), Activation("tanh")], X, SoftmaxCrossEntropy(), "ends with tanh"),
    "inner": ([Network([Dense(3, 2, "relu"), Dense(2, 2)])], X, SoftmaxCrossEntropy(), "ends with tanh"),
    "identity": ([Dense(3, 2), Activation("identity")], X, SoftmaxCrossEntropy(), "ends with tanh"),
    "inner that reshapes": ([Dense(3, 2), Network([Flatten()])], X, SoftmaxCrossEntropy(), "ends with tanh"),
    "inner identity": ([Network([Dense(3, 2)]), Network([Network([Activation("identity")])])], X, SoftmaxCrossEntropy(), "tanh"),
    "relu of tanh": ([Dense(3, 2), Activation("relu")], X, SoftmaxCrossEntropy(), r"ends with tanh, whose values lie in \[-1, 1\]"),
    "inner of an own layer": ([Network([Own(), Dense(3, 2)])], X, SoftmaxCrossEntropy(), "ends with tanh"),
    "upsampled": ([Conv2d(1, 2, 1, "tanh"), Upsample2d(2), GlobalAvgPool2d()], IMAGES, SoftmaxCrossEntropy(), "ends with tanh"),
    "pooled": ([Conv2d(1, 2, 1, "tanh"), AvgPool2d(2), MaxPool2d(2), Flatten()], IMAGES, SoftmaxCrossEntropy(), "ends with tanh"),
}  # fmt: skip


@calls
@pytest.mark.parametrize(("layers", "X", "loss", "text"), BOUNDED.values(), ids=BOUNDED)
def test_a_bounded_end_is_told_once_and_in_the_callers_line(call, layers, X, loss, text):
    with pytest.warns(UserWarning, match=text) as told:
        call(Network(layers), loss, X)
    assert len(told) == 1
    assert told[0].filename == __file__
    assert 'End with activation "identity"' in str(told[0].message)


def test_python_shows_it_once_for_a_line():
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("default")
        for _ in range(3):
            fit(Network([Dense(3, 2)]), X, y, epochs=1)
    assert len(told) == 1


UNBOUNDED = {
    "identity": ([Dense(3, 2, "identity")], SoftmaxCrossEntropy()),
    "relu": ([Dense(3, 2, "relu")], SoftmaxCrossEntropy()),
    "residual": ([Dense(3, 2), Residual(2)], SoftmaxCrossEntropy()),
    "projected": ([ProjectedResidual(3, 2)], SoftmaxCrossEntropy()),
    "inner": ([Dense(3, 4), Network([Dense(4, 2, "identity")])], SoftmaxCrossEntropy()),
    "own layer": ([OwnDense(3, 2)], SoftmaxCrossEntropy()),
    "relu of relu": ([Dense(3, 2, "relu"), Network([Activation("relu")])], SoftmaxCrossEntropy()),
    "own layer in a network": ([Dense(3, 2), Network([Own()])], SoftmaxCrossEntropy()),
    "own network": ([OwnNetwork([Dense(3, 2)])], SoftmaxCrossEntropy()),
    "nothing known": ([Dense(3, 2, "identity"), Activation("identity")], SoftmaxCrossEntropy()),
}


@calls
@pytest.mark.parametrize(("layers", "loss"), UNBOUNDED.values(), ids=UNBOUNDED)
def test_other_ends_are_silent(call, layers, loss):
    call(Network(layers), loss, X)  # a warning is an error here


def test_other_losses_are_silent():
    training_step(Network([Dense(3, 2)]), MeanSquaredError(), SGD(0.1), 4)(X, np.ones((4, 2)))
    Objective(Network([Dense(3, 2)]), MeanSquaredError(), X, np.ones((4, 2)))


def test_copies_of_a_step_are_silent():
    import copy

    with pytest.warns(UserWarning, match="net ends with tanh"):
        step = training_step(Network([Dense(3, 2)]), SoftmaxCrossEntropy(), SGD(0.1), 4)
    copy.deepcopy(step)(X, y)
