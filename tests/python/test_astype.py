"""Network.astype."""

import nets
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fastlec import BatchNorm2d, Conv2d, Dense, Flatten, Network, SoftmaxCrossEntropy, fit

OTHER = {np.dtype("float32"): np.dtype("float64"), np.dtype("float64"): np.dtype("float32")}


def images(dtype):
    body = Network([Conv2d(1, 3, 3, dtype=dtype, rng=0), BatchNorm2d(3, dtype=dtype)])
    net = Network([body, Flatten(), Dense(3 * 4 * 4, 2, "identity", dtype=dtype, rng=1)])
    net.theta += np.random.default_rng(0).standard_normal(net.n_params).astype(dtype)
    net.buffers["0.1.running_mean"][...] = 0.3
    return net


@pytest.mark.parametrize("to", ["float32", np.float64, np.dtype("float32")])
def test_a_copy_in_another_dtype(to, dtype, rng):
    net = images(dtype)
    other = net.astype(to)
    assert {a.dtype for a in (other.theta, *other.params.values(), *other.buffers.values())} == {np.dtype(to)}
    for name, a in (net.params | net.buffers).items():
        assert_array_equal((other.params | other.buffers)[name], a.astype(to))
        assert not np.shares_memory((other.params | other.buffers)[name], a)
    x = rng.standard_normal((5, 1, 6, 6)).astype(to)
    assert other(x).dtype == to
    fit(other, x, np.arange(5) % 2, loss=SoftmaxCrossEntropy(), epochs=1)
    assert_array_equal(net.theta, images(dtype).theta)  # whatever becomes of the copy


def test_layers_of_ones_own_and_none(dtype, rng):
    net = Network([nets.Same(), Dense(3, 2, dtype=dtype, rng=0)])
    assert net.astype(OTHER[dtype])(rng.standard_normal((2, 3)).astype(OTHER[dtype])).dtype == OTHER[dtype]
    flat = Network([Flatten()]).astype(dtype)
    assert flat(np.zeros((2, 3, 4), dtype)).dtype == dtype


def test_nothing_is_lost():
    net = Network([Dense(2, 2, rng=0)])
    net.theta[0] = 1e39
    with pytest.raises(ValueError, match=r"^0.W has numbers that float32 cannot hold; expected at most 3.4e\+38"):
        net.astype("float32")
    net.theta[0] = np.inf
    assert net.astype("float32").theta[0] == np.inf
    for bad in ("int32", None, "half"):
        with pytest.raises(TypeError, match=r"^dtype is "):
            net.astype(bad)
