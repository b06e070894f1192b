"""Checkpoints that are written inside epochs: a training that was stopped there ends bitwise as one that was not."""

import json

import numpy as np
import pytest
from test_loop import assert_same, network

from fastlec import io
from fastlec.data import Stream
from fastlec.training import Adam, SoftmaxCrossEntropy, fit


class Stops(SoftmaxCrossEntropy):
    """Raises in the step of that number, from 1, as a process that is killed there."""

    def __init__(self, number):
        object.__setattr__(self, "left", number)

    def __repr__(self):
        return repr(SoftmaxCrossEntropy())

    def value_and_gradient(self, *given, **named):
        object.__setattr__(self, "left", self.left - 1)
        if not self.left:
            raise KeyboardInterrupt
        return super().value_and_gradient(*given, **named)

    def value(self, *given, **named):  # to validate: no step
        return SoftmaxCrossEntropy().value_and_gradient(*given, **named)[0]


def own():
    """Settings of a training of 4 epochs; the loss is in Python, so that all trainings have the same steps."""
    return {"optimizer": Adam(0.01), "batch_size": 16, "epochs": 4, "validation": 0.2, "checkpoint_steps": 7}


@pytest.mark.parametrize("stop", [3, 8, 20, 40, 61])
@pytest.mark.parametrize("streamed", [False, True])
def test_a_training_that_was_stopped_inside_an_epoch_ends_as_one_that_was_not(stop, streamed, digits, tmp_path):
    X, y = np.tile(digits[0], (5, 1))[:500], np.tile(digits[1], 5)[:500]  # 400 to train on, 25 steps
    X = Stream(X, block_bytes=X[:37].nbytes) if streamed else X
    whole, net = network(), network()
    expected = fit(whole, X, y, loss=Stops(0), checkpoint=tmp_path / "whole.npz", **own())
    path = tmp_path / "part.npz"
    with pytest.raises(KeyboardInterrupt):
        fit(network(), X, y, loss=Stops(stop), checkpoint=path, **own())
    assert path.exists() == (stop > 7)
    if path.exists():
        _, meta = io.load_arrays(path)
        last = 25 * ((stop - 1) // 25)  # the end of the epoch before
        assert meta.get("within", {"steps": 0})["steps"] == max((stop - 1) // 7 * 7 - last, 0)
    history = fit(net, X, y, loss=Stops(0), checkpoint=path, **own())
    np.testing.assert_array_equal(net.theta, whole.theta)
    assert_same(history, expected)


def test_what_may_not_change_inside_an_epoch(digits, tmp_path):
    path, net = tmp_path / "part.npz", network()
    with pytest.raises(KeyboardInterrupt):
        fit(net, *digits, loss=Stops(10), checkpoint=path, **own())
    theta = net.theta.copy()
    with pytest.raises(io.ModelError, match="is of a place inside an epoch, with another batch_size; expected the same"):
        fit(net, *digits, loss=Stops(0), checkpoint=path, **{**own(), "batch_size": 32})
    with pytest.raises(io.ModelError, match="holds 1 epochs of training; epochs is 0"):
        fit(net, *digits, loss=Stops(0), checkpoint=path, **{**own(), "epochs": 0})
    np.testing.assert_array_equal(net.theta, theta)
    for checkpoint_steps, error in ((0, ValueError), (1.5, TypeError)):
        with pytest.raises(error, match=r"^checkpoint_steps is"):
            fit(net, *digits, checkpoint=path, checkpoint_steps=checkpoint_steps)
    with pytest.raises(ValueError, match=r"^checkpoint_steps is given, and checkpoint is None"):
        fit(net, *digits, checkpoint_steps=3)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"steps": 10**9}, "within is no place inside an epoch"),
        ({"steps": 0}, "within is no place inside an epoch"),
        ({"steps": "7"}, "within is no place inside an epoch"),
        ({"total": None}, "within is no place inside an epoch"),
        ({"total": float("inf")}, "within is no place inside an epoch"),
        ({"right": -1}, "within is no place inside an epoch"),
        ({"rng": {"bit_generator": "other"}}, "within is no place inside an epoch"),
        ({"ranks": 2}, "with 2 ranks, not one process; expected the same"),
        ({"order": ""}, "with samples in another order; expected the same"),
        (None, "within is no place inside an epoch"),
    ],
)
def test_hostile_places(change, text, digits, tmp_path):
    path, net = tmp_path / "part.npz", network()
    with pytest.raises(KeyboardInterrupt):
        fit(net, *digits, loss=Stops(10), checkpoint=path, **own())
    arrays, meta = io.load_arrays(path)
    meta = json.loads(json.dumps(meta))
    meta["within"] = [1, 2] if change is None else meta["within"] | change
    io.save_arrays(path, arrays, meta)
    theta = net.theta.copy()
    with pytest.raises(ValueError, match=text):
        fit(net, *digits, loss=Stops(0), checkpoint=path, **own())
    np.testing.assert_array_equal(net.theta, theta)
