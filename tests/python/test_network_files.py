"""Files of networks, .npz and .safetensors: what is written comes back, and what is not to be believed is refused."""

import json
import struct
import zipfile

import nets
import numpy as np
import pytest
from nets import NET, answers, assert_same, data
from numpy.testing import assert_array_equal

from fastlec import Activation, Dense, Network, io
from fastlec.course import models
from fastlec.io import ModelError

planned = pytest.mark.parametrize("layers", nets.PLANNED.values(), ids=nets.PLANNED)
own = pytest.mark.parametrize("layers", nets.OWN.values(), ids=nets.OWN)

FORMATS = ("npz", "safetensors")


@pytest.fixture(params=FORMATS)
def path(request, tmp_path):
    if request.param == "safetensors":
        pytest.importorskip("safetensors")
    return tmp_path / f"net.{request.param}"


def refused(path, text="."):
    with pytest.raises(ModelError, match=text) as info:
        Network.load(path)
    assert str(path) in str(info.value)
    assert "\n" not in str(info.value)


def described(net):
    return {"kind": "network", "dtype": str(net.theta.dtype), **net.config()}


@planned
def test_round_trip_is_exact(layers, path, dtype, rng):
    net = nets.network(layers, dtype, rng)
    net.save(path)
    before = path.read_bytes()
    found = Network.load(path)
    assert_array_equal(found.theta, net.theta, strict=True)
    assert list(found.params) == list(net.params)
    assert found.config() == net.config()
    given = data(net, rng)
    assert_same(answers(found, *given), answers(net, *given))
    assert found.theta.flags.writeable
    found.save(path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_others_read_the_files(tmp_path, rng):
    net = nets.network(nets.PLANNED["nested"], np.float32, rng)
    net.save(tmp_path / "net.npz")
    with np.load(tmp_path / "net.npz", allow_pickle=False) as archive:
        assert set(archive) == {"meta", *net.params}
        for name, a in net.params.items():
            assert_array_equal(archive[name], a, strict=True)
        assert json.loads(str(archive["meta"]))["layers"] == net.config()["layers"]
    safetensors = pytest.importorskip("safetensors.numpy")
    net.save(tmp_path / "net.safetensors")
    found = safetensors.load_file(tmp_path / "net.safetensors")
    assert found.keys() == net.params.keys()
    for name, a in net.params.items():
        assert_array_equal(found[name], a, strict=True)


@own
def test_layers_of_a_users_own_are_not_saved(layers, path, rng):
    net = nets.network(layers, np.float64, rng)
    with pytest.raises(TypeError, match="only layers of fastlec's own can be saved: save theta"):
        net.save(path)
    assert not path.exists()


def test_a_subclass_is_a_layer_of_a_users_own(path):
    class Mine(Dense):
        pass

    with pytest.raises(TypeError, match="a layer is a Mine; only layers of fastlec's own"):
        Network([Mine(3, 2)]).save(path)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_network_that_would_not_load_is_not_saved(value, path, rng):
    """The file that is there stays."""
    net = nets.network(nets.PLANNED["dense"], np.float64, rng)
    net.save(path)
    before = path.read_bytes()
    net.theta[3] = value
    with pytest.raises(ModelError, match=r"0\.W holds NaN or infinity"):
        net.save(path)
    assert path.read_bytes() == before


def test_a_failure_leaves_the_old_file_and_no_other(path, rng, monkeypatch):
    net = nets.network(nets.PLANNED["dense"], np.float64, rng)
    net.save(path)
    before = path.read_bytes()

    def fail(*args):
        raise OSError(28, "No space left on device")

    net.theta += 1
    for stage in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(io.os, stage, fail)
            with pytest.raises(ModelError, match="cannot be written: No space left on device"):
                net.save(path)
        assert path.read_bytes() == before
        assert list(path.parent.iterdir()) == [path]


def test_paths_that_cannot_be_written(path):
    with pytest.raises(ModelError, match="no folder"):
        NET.save(path.parent / "nowhere" / path.name)
    path.mkdir()
    with pytest.raises(ModelError, match="not a regular file"):
        NET.save(path)


def test_files_that_are_no_networks(path, tmp_path):
    refused(path)
    NET.save(path)
    content = path.read_bytes()
    for broken in (b"", b"PK", content[:40], content[: len(content) // 2], content[:-1], content[::-1]):
        path.write_bytes(broken)
        refused(path, f"as {path.suffix}")
    io.save(path, dict(NET.params), {"kind": "softmax"})
    refused(path, "kind 'softmax'; expected 'network'")
    if path.suffix == ".npz":
        np.savez(path, **NET.params)
        refused(path, "no fastlec model")
        io.save_model(path, models.SoftmaxModel(np.ones((3, 4)), np.ones(3)))
        refused(path, "kind 'softmax'")
    else:
        import safetensors.numpy

        safetensors.numpy.save_file(dict(NET.params), path)
        refused(path, "no fastlec model")
    (tmp_path / "other.npz").write_bytes(content if path.suffix == ".safetensors" else b"{}")
    refused(tmp_path / "other.npz", "as .npz")


def test_flipped_bytes_are_refused_or_harmless(path, rng):
    """Anywhere: both formats have checksums."""
    net = Network([Dense(2, 2, rng=0), Activation("tanh")])
    net.save(path)
    content = path.read_bytes()
    for position in range(0, len(content), 3):
        path.write_bytes(content[:position] + bytes([content[position] ^ 0x41]) + content[position + 1 :])
        try:
            found = Network.load(path)
        except ModelError:
            continue
        assert_array_equal(found.theta, net.theta)
        assert [type(layer) for layer in found.layers] == [Dense, Activation]


@pytest.mark.parametrize("bit", range(8))
def test_every_flipped_bit_of_the_numbers_is_found(path, bit):
    net = Network([Dense(3, 2, rng=0)])
    net.save(path)
    content = path.read_bytes()
    start = content.index(net.params["0.W"].tobytes())
    for position in range(start, start + net.params["0.W"].nbytes, 5):
        path.write_bytes(content[:position] + bytes([content[position] ^ 1 << bit]) + content[position + 1 :])
        refused(path, "CRC|checksum|NaN or infinity")


def test_every_flipped_bit_of_the_checksum_is_found(tmp_path):
    pytest.importorskip("safetensors")
    path = tmp_path / "net.safetensors"
    NET.save(path)
    content = path.read_bytes()
    start = content.index(b"crc32")
    for position in range(start, content.index(b"}", start)):
        for bit in range(8):
            path.write_bytes(content[:position] + bytes([content[position] ^ 1 << bit]) + content[position + 1 :])
            refused(path, "as .safetensors|no fastlec model|not JSON")


def test_safetensors_of_before_there_was_a_checksum(tmp_path):
    library = pytest.importorskip("safetensors.numpy")
    path, meta = tmp_path / "net.safetensors", {"format": "fastlec", "version": 1, **described(NET)}
    library.save_file(dict(NET.params), path, {"meta": json.dumps(meta)})
    assert_array_equal(Network.load(path).theta, NET.theta)
    library.save_file(dict(NET.params), path, {"meta": json.dumps(meta | {"crc32": "00000000"})})
    refused(path, "its checksum is not that of its content")


def layer_of(**changes):
    """The facts of NET with changes in its first layer."""
    meta = described(NET)
    return {**meta, "layers": [{**meta["layers"][0], **changes}, *meta["layers"][1:]]}


DEEP = {"kind": "Activation", "activation": "tanh"}
for _ in range(400):
    DEEP = {"kind": "Network", "layers": [DEEP]}
META = {
    "format": ({**described(NET), "format": "other"}, "format"),
    "version": ({**described(NET), "version": 2}, "version 1"),
    "no layers": ({"kind": "network", "dtype": "float64"}, "describes no network"),
    "empty": ({**described(NET), "layers": []}, "holds the arrays"),
    "layers are text": ({**described(NET), "layers": "Dense"}, "describes no network"),
    "layers are numbers": ({**described(NET), "layers": [1, 2]}, "describes no network"),
    "layers are nothing": ({**described(NET), "layers": None}, "describes no network"),
    "layers are a dict": ({**described(NET), "layers": {"0": 1}}, "describes no network"),
    "without a kind": ({**described(NET), "layers": [{"n_in": 5}]}, "describes no network"),
    "dtype": ({**described(NET), "dtype": "float32"}, "is float64 of shape .*; expected float32"),
    "dtype object": ({**described(NET), "dtype": "object"}, "dtype 'object'; expected"),
    "dtype list": ({**described(NET), "dtype": ["float64"]}, "dtype .*; expected"),
    "one layer less": ({**described(NET), "layers": described(NET)["layers"][:1]}, "holds the arrays"),
    "one layer more": ({**described(NET), "layers": described(NET)["layers"] * 2}, "holds the arrays"),
    "unknown kind": (layer_of(kind="Conv3d"), "there is no layer 'Conv3d'"),
    "kind of a module": (layer_of(kind="os.system"), "there is no layer 'os.system'"),
    "kind list": (layer_of(kind=["Dense"]), "describes no network"),
    "other kind": (layer_of(kind="Residual"), "describes no network"),
    "n_in": (layer_of(n_in=6), r"0\.W is float64 of shape \(4, 5\); expected float64 of shape \(4, 6\)"),
    "n_in huge": (layer_of(n_in=10**12), r"0\.W is float64 of shape"),
    "n_in beyond all": (layer_of(n_in=10**400), "describes no network: n_in is an integer of 1329 bits; expected at most"),
    "n_in negative": (layer_of(n_in=-5), "describes no network: n_in is -5; expected at least 1"),
    "n_in float": (layer_of(n_in=5.0), "describes no network: n_in is 5.0; expected an integer"),
    "n_in text": (layer_of(n_in="5"), "describes no network: n_in is '5'; expected an integer"),
    "n_in list": (layer_of(n_in=[5]), r"describes no network: n_in is \[5\]; expected an integer"),
    "bias beyond all": (layer_of(activation=10**400), "describes no network"),
    "no bias": (layer_of(bias=False), "holds the arrays"),
    "activation": (layer_of(activation="exec"), "describes no network: activation is 'exec'"),
    "activation list": (layer_of(activation=["tanh"]), "describes no network: activation is"),
    "more arguments": (layer_of(rng=3), r"describes no network: Dense has no arguments \['rng'\]; expected n_in, n_out, "),
    "dtype of a layer": (layer_of(dtype="float32"), "describes no network"),
}


@pytest.mark.parametrize(("meta", "text"), META.values(), ids=META)
def test_facts_that_do_not_fit_are_refused(meta, text, path):
    io.save(path, dict(NET.params), meta)
    refused(path, text)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"0.b": None}, "holds the arrays"),
        ({"2.W": np.ones(3)}, "holds the arrays"),
        ({"0.W": np.ones((5, 4))}, r"0\.W is float64 of shape \(5, 4\); expected float64 of shape \(4, 5\)"),
        ({"0.b": np.ones((4, 1))}, r"0\.b is float64 of shape \(4, 1\)"),
        ({"0.b": np.ones(0)}, r"0\.b is float64 of shape \(0,\)"),
        ({"0.b": np.ones(4, np.float32)}, r"0\.b is float32 of shape \(4,\); expected float64"),
        ({"0.b": np.ones(4, np.int64)}, r"0\.b is int64"),
        ({"0.b": np.array([0, 1, np.nan, 1])}, r"0\.b holds NaN or infinity"),
        ({"1.W": np.full((3, 4), -np.inf)}, r"1\.W holds NaN or infinity"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(path, changes, text):
    io.save(path, {name: a for name, a in {**NET.params, **changes}.items() if a is not None}, described(NET))
    refused(path, text)


def test_thousands_of_layers(path):
    """What describes them may be as long as the file is, but not packed text that is longer."""
    net = Network([Dense(2, 2, rng=0), *6000 * [Activation("tanh")]])
    net.save(path)
    found = Network.load(path)
    assert_array_equal(found.theta, net.theta)
    assert len(found.layers) == 6001
    if path.suffix == ".npz":
        with np.load(path) as archive:
            np.savez_compressed(path, **archive)
        refused(path, "entry 'meta.npy' has dtype <U")


def test_layers_that_do_not_fit_each_other_are_refused(path):
    meta = described(NET)
    meta["layers"][1]["n_in"] = 5
    io.save(path, NET.params | {"1.W": np.ones((3, 5))}, meta)
    refused(path, r"'meta' describes no network: layers\[1\]: x has samples of shape \(4,\); expected \(5,\)")


def test_layers_within_layers_without_end(path):
    """Refused, or loaded where Python's stack allows it; no crash."""
    io.save(path, {"x": np.ones(1)}, {"kind": "network", "dtype": "float64", "layers": [DEEP]})
    refused(path)
    deep = DEEP
    for _ in range(330):
        deep = deep["layers"][0]
    io.save(path, {}, {"kind": "network", "dtype": "float64", "layers": [deep]})
    refused(path, "nests networks 64 deep; expected at most 63")
    text = '{"format": "fastlec", "version": 1, "kind": "network", "dtype": "float64", "layers": ' + "[" * 200_000
    if path.suffix == ".npz":
        np.savez(path, meta=np.array(text))
        refused(path, "'meta' is not JSON")


def test_headers_are_checked_before_memory_is_asked_for(tmp_path):
    """Sizes that the file cannot hold."""
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000, 1000000000), }"
    with zipfile.ZipFile(tmp_path / "net.npz", "w") as archive:
        archive.writestr("0.W.npy", b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header)
    refused(tmp_path / "net.npz", "its header says")
    pytest.importorskip("safetensors")
    entry = {"dtype": "F64", "shape": [10**9, 10**9], "data_offsets": [0, 8 * 10**18]}
    text = json.dumps({"__metadata__": {"meta": json.dumps(described(NET))}, "0.W": entry}).encode()
    (tmp_path / "net.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + bytes(16))
    refused(tmp_path / "net.safetensors", "as .safetensors")
    (tmp_path / "net.safetensors").write_bytes(struct.pack("<Q", 2**62) + text)
    refused(tmp_path / "net.safetensors", "as .safetensors")


def test_pickled_objects_are_refused(tmp_path):
    np.savez(tmp_path / "net.npz", **{"0.W": np.array([{}], dtype=object)})
    refused(tmp_path / "net.npz", "object")
