"""register_layer: files and checkpoints of networks with layers of one's own."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import fastlec
from fastlec import Dense, Layer, Network, fit, io
from fastlec.layers import registry


@pytest.fixture(autouse=True)
def kinds(monkeypatch):
    monkeypatch.setattr(registry, "KINDS", registry.KINDS.copy())
    monkeypatch.setattr("fastlec.network.description.KINDS", registry.KINDS)


class Scale(Layer):
    """y = s x + shift, with a buffer that counts steps."""

    def __init__(self, n, shift=0.5, *, dtype=np.float64):
        self.n, self.shift = n, shift
        super().__init__({"s": np.ones(n, dtype)}, {"steps": np.zeros(1)})

    def output_shape(self, shape):
        return shape

    def evaluate(self, x):
        return self.params["s"] * x + x.dtype.type(self.shift), x

    def mv(self, x, directions):
        terms = {"x": lambda d: self.params["s"] * d, "s": lambda d: d * x}
        return sum(terms[name](d) for name, d in directions.items())

    def tmv(self, x, v, wrt):
        terms = {"x": lambda: self.params["s"] * v, "s": lambda: (v * x).sum(axis=0)}
        return {name: terms[name]() for name in wrt}

    def update_buffers(self, kept):
        self.buffers["steps"][...] += 1


def trained(dtype, rng, **options):
    net = Network([Dense(4, 3, dtype=dtype, rng=0), Network([Scale(3, 0.25, dtype=dtype)])])
    X = rng.standard_normal((20, 4)).astype(dtype)
    fit(net, X, np.arange(20) % 3, epochs=2, **options)
    return net, X


@pytest.mark.parametrize("ending", ["npz", "safetensors"])
def test_files(ending, dtype, rng, tmp_path):
    """Settings, parameters, buffers, dtype; not before the class is registered."""
    if ending == "safetensors":
        pytest.importorskip("safetensors")
    net, X = trained(dtype, rng)
    path = tmp_path / f"net.{ending}"
    with pytest.raises(
        TypeError, match=r"a layer is a Scale; only layers of fastlec's own can be saved.*fastlec.register_layer$"
    ):
        net.save(path)
    assert fastlec.register_layer(Scale) is Scale
    net.save(path)
    again = Network.load(path)
    assert again.layers[1].layers[0].shift == 0.25
    assert_array_equal(again(X), net(X), strict=True)
    assert again.buffers["1.0.steps"] == net.buffers["1.0.steps"] == 2
    assert again.dtype == dtype
    del registry.KINDS["Scale"]
    with pytest.raises(io.ModelError, match=r"there is no layer 'Scale'; expected one of .*fastlec.register_layer$"):
        Network.load(path)


def test_checkpoints(rng, tmp_path):
    fastlec.register_layer(Scale)
    net, X = trained(np.float64, rng, checkpoint=tmp_path / "run.npz")
    assert_array_equal(Network.load(tmp_path / "run.npz")(X), net(X))


def test_a_class_of_the_same_name_takes_its_place(rng, tmp_path):
    """As where a cell of a notebook runs again. Layers of the former class are no longer registered."""
    before = fastlec.register_layer(Scale)
    again = fastlec.register_layer(type("Scale", (Scale,), {}))
    Network([again(3)]).save(tmp_path / "net")
    assert type(Network.load(tmp_path / "net").layers[0]) is again
    with pytest.raises(TypeError, match="only layers of fastlec's own"):
        Network([before(3)]).save(tmp_path / "other")


def test_a_config_of_ones_own(tmp_path):
    @fastlec.register_layer
    class Pair(Scale):
        def __init__(self, sizes):
            self.hidden = tuple(sizes)
            super().__init__(sum(sizes))

        def config(self):
            return {"sizes": list(self.hidden)}

    Network([Pair((1, 2))]).save(tmp_path / "net")
    assert Network.load(tmp_path / "net").layers[0].hidden == (1, 2)


def test_what_cannot_be_registered_or_told():
    with pytest.raises(TypeError, match=r"^layer_class is 3; expected a subclass of Layer"):
        fastlec.register_layer(3)
    with pytest.raises(ValueError, match=r"^the class has the name Dense, which is that of a layer of fastlec's"):
        fastlec.register_layer(type("Dense", (Scale,), {}))
    with pytest.raises(ValueError, match=r"^the constructor of Of has an argument kind, which files use themselves"):
        fastlec.register_layer(type("Of", (Scale,), {"__init__": lambda self, kind: None}))

    @fastlec.register_layer
    class Forgets(Scale):
        def __init__(self, size):
            super().__init__(size)

    with pytest.raises(TypeError, match=r"^a Forgets has no attribute size; expected one for each argument"):
        Forgets(3)._described()
    with pytest.raises(TypeError, match=r"^shift of a Scale is array\(0.5\); expected what JSON can hold"):
        fastlec.register_layer(Scale)(3, np.array(0.5))._described()
