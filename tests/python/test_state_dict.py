"""Network.load_state_dict: arrays by name and by order, all or nothing, and what does not match."""

import numpy as np
import pytest

from fastlec import BatchNorm, Dense, Dropout, Network, Residual


@pytest.fixture
def net():
    return Network([Dense(2, 3), BatchNorm(3), Dropout(0.5), Dense(3, 3, "identity", bias=False), Dense(3, 1)], rng=0)


@pytest.fixture
def state(rng):
    """That of the same layers in PyTorch."""
    shapes = {
        "a.weight": (3, 2), "a.bias": (3,), "norm.weight": (3,), "norm.bias": (3,), "norm.running_mean": (3,),
        "norm.running_var": (3,), "norm.num_batches_tracked": (), "b.weight": (3, 3), "c.weight": (1, 3), "c.bias": (1,),
    }  # fmt: skip
    return {name: rng.standard_normal(shape) for name, shape in shapes.items()}


PLACES = {
    "a.weight": "0.W", "a.bias": "0.b", "norm.weight": "1.gamma", "norm.bias": "1.beta", "norm.running_mean": "1.running_mean",
    "norm.running_var": "1.running_var", "b.weight": "3.W", "c.weight": "4.W", "c.bias": "4.b",
}  # fmt: skip


def holds(net, state):
    arrays = net.params | net.buffers
    return all(np.array_equal(arrays[here], state[there].astype(arrays[here].dtype)) for there, here in PLACES.items())


def test_by_order(net, state, dtype):
    net, seed = net.astype(dtype), net.buffers["2.seed"].copy()
    net.load_state_dict(state)
    assert holds(net, state)
    assert np.array_equal(net.buffers["2.seed"], seed)


def test_what_was_loaded_is_kept_by_networks_with_rng(net, state):
    net.load_state_dict(state)
    assert holds(Network(net.layers, rng=5), state)


def test_by_names(net, state):
    backwards = dict(reversed(state.items()))
    for names in (
        {"a": "0", "norm": "1", "b": "3", "c": "4"},
        {"c": "4", "a.bias": "0.b", "a.weight": "0.W", "norm": "1", "b.weight": "3.W"},
        list(state),
    ):
        net.theta = 0 * net.theta
        net.load_state_dict(backwards, names)
        assert holds(net, state)


def test_by_its_own_names(net):
    other = Network(net.layers, rng=1)
    other.load_state_dict(net.params | net.buffers)
    assert np.array_equal(other.theta, net.theta)
    assert np.array_equal(other.buffers["2.seed"], net.buffers["2.seed"])


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_from_files(net, state, suffix, tmp_path, rng):
    """Those of others, in any order, and those that `save` wrote."""
    path = tmp_path / f"weights{suffix}"
    if suffix == ".npz":
        np.savez(path, **state)
    else:
        pytest.importorskip("safetensors.numpy").save_file(state, path)
    net.load_state_dict(path)
    assert holds(net, state)
    other = Network(net.layers, rng=1)
    path = tmp_path / f"model{suffix}"
    net.save(path)
    other.theta = 0 * other.theta
    other.load_state_dict(str(path))
    assert np.array_equal(other.theta, net.theta)


def test_numbers_tell_the_order_in_a_file_of_tensors(tmp_path, rng):
    save = pytest.importorskip("safetensors.numpy").save_file
    weights = {f"layers.{i}.weight": rng.standard_normal((3, 3)) for i in (0, 2, 10, 30)}
    save(weights, tmp_path / "a.safetensors")
    net = Network([Dense(3, 3, bias=False) for _ in weights])
    net.load_state_dict(tmp_path / "a.safetensors")
    assert np.array_equal(net.theta, np.concatenate([a.ravel() for a in weights.values()]))
    save({name.replace("2", "x"): a for name, a in weights.items()}, tmp_path / "b.safetensors")
    with pytest.raises(ValueError, match=r"0 has shapes .*, which in the file have .*; expected one layer.*pass names="):
        net.load_state_dict(tmp_path / "b.safetensors")


def wrong_shape(state):
    state["a.weight"] = state["a.weight"].T


def missing(state):
    del state["c.bias"]


def too_large(state):
    state["b.weight"] = state["b.weight"] + 1e300


def of_text(state):
    state["norm.bias"] = np.array(["a", "b", "c"])


def unknown(state):
    state["norm.other"] = np.ones(3)


@pytest.mark.parametrize(("change", "message"), [
    (wrong_shape, r"\n    a\.weight of shape \(2, 3\), for 0\.W of shape \(3, 2\)"),
    (missing, r"\n    nothing for 4\.b of shape \(1,\)"),
    (too_large, r"\n    b\.weight with numbers that float32 cannot hold"),
    (of_text, r"\n    norm\.bias of dtype <U1"),
    (unknown, r"\n    norm\.other, for which there is no place"),
])  # fmt: skip
def test_what_does_not_match_is_listed_and_changes_nothing(change, message, net, state):
    net = net.astype("float32")
    before = net.theta.copy()
    change(state)
    state["a.bias"] = np.ones(7)
    with pytest.raises(ValueError, match=rf"state does not fit the network; it has[^$]*{message}") as error:
        net.load_state_dict(state)
    assert "a.bias of shape (7,), for 0.b of shape (3,)" in str(error.value)
    assert np.array_equal(net.theta, before)


def test_other_numbers_of_layers_are_listed(net, state):
    del state["b.weight"]
    with pytest.raises(ValueError, match=r"state has 3 layers: a, norm, c\nthe network has 4: 0, 1, 3, 4\nexpected as many"):
        net.load_state_dict(state)
    with pytest.raises(ValueError, match=r"nothing for 0\.W1 of shape \(3, 3\)\n"):
        Network([Residual(3)]).load_state_dict({"a.weight": np.ones((3, 3)), "a.bias": np.ones(3)})


def test_long_lists_are_cut():
    net = Network([Dense(1, 1) for _ in range(30)])
    with pytest.raises(ValueError, match=r"\n    and 40 more$"):
        net.load_state_dict({f"{i}.weight": np.ones((2, 2)) for i in range(30)})


@pytest.mark.parametrize(("state", "names", "error", "message"), [
    ([1, 2], None, TypeError, "state is a list; expected a dict of arrays or tensors by name, or a path"),
    ({"a.weight": np.ones((1, 1))}, "a", TypeError, "names is a str; expected a dict"),
    ({"a.weight": np.ones((1, 1))}, {"b": "0"}, ValueError, "names has 'b': '0'; expected a tensor or a layer in state"),
    ({"a.weight": np.ones((1, 1))}, {"a": "5"}, ValueError, "names has 'a': '5'"),
    ({"a.weight": [[1], [1, 2]]}, None, ValueError, r"a\.weight is no rectangular array"),
    ("there/is/none.safetensors", None, ValueError, "cannot be read as .safetensors"),
    ("there/is/none.npz", None, ValueError, "cannot be read as .npz"),
    ({}, None, ValueError, "state has 0 layers: \nthe network has 1: 0"),
])  # fmt: skip
def test_what_is_refused(state, names, error, message):
    with pytest.raises(error, match=message):
        Network([Dense(1, 1)]).load_state_dict(state, names)
