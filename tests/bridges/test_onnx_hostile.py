"""ONNX files that are broken, or that somebody made to do harm: one line that says what is wrong, no crash, no large allocation."""

import os
import random
import re
import tracemalloc

import numpy as np
import pytest

import fastlec
from fastlec import Conv2d, Dense, Flatten, MaxPool2d, Network, Sum
from fastlec.io import ModelError

onnx = pytest.importorskip("onnx")
from onnx_models import assert_close, model, node, saved  # noqa: E402

W = np.arange(12.0, dtype=np.float32).reshape(4, 3)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "net.onnx"


def refused(path, text):
    with pytest.raises(ModelError, match=f"^{re.escape(str(path))}: {text}") as caught:
        fastlec.onnx.load(path)
    assert "\n" not in str(caught.value)


def net():
    branch = Network([Dense(8, 5, "relu"), Dense(5, 8, "identity")])
    return Network([Conv2d(1, 2, 3), MaxPool2d(2), Flatten(), Sum([branch, Dense(8, 8, "gelu")])], rng=0)


def test_files_that_are_none(path, tmp_path):
    refused(path, "cannot be read as ONNX: No such file or directory")
    refused(tmp_path, "cannot be read as ONNX: Is a directory")
    os.mkfifo(tmp_path / "pipe")
    refused(tmp_path / "pipe", "cannot be read as ONNX: it is not a regular file")
    for content in (b"", b"x", b"PK\x03\x04", bytes(1000)):
        path.write_bytes(content)
        refused(path, "")
    with pytest.raises(TypeError, match="path is 3"):
        fastlec.onnx.load(3)


@pytest.mark.parametrize("part", [0.05, 0.5, 0.9, 0.999])
def test_truncated_files(part, path):
    fastlec.onnx.export(net(), path, (1, 6, 6))
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    refused(path, "")


def test_files_that_were_broken_at_random(path):
    """Either an error in one line, or a network, which then computes or says what does not fit."""
    fastlec.onnx.export(net(), path, (1, 6, 6))
    content, rng, refusals, others = path.read_bytes(), random.Random(0), [], []
    tokens = [b"\0" * 8, b"\xff" * 8, b"-1", b"\x80" * 9 + b"\x01", b"Conv", b"\x7f\x80\0\0"]
    for _ in range(250):
        broken = bytearray(content)
        for _ in range(rng.choice([1, 1, 2, 5])):
            at, kind = rng.randrange(len(broken)), rng.randrange(4)
            if kind == 0:
                broken[at] ^= 1 << rng.randrange(8)
            elif kind == 1:
                broken[at:at] = rng.choice(tokens)
            elif kind == 2:
                token = rng.choice(tokens)
                broken[at : at + len(token)] = token
            else:
                del broken[at : at + rng.randrange(1, 20)]
        path.write_bytes(bytes(broken))
        try:
            with np.errstate(all="ignore"):
                fastlec.onnx.load(path)(np.ones((2, 1, 6, 6)))
        except ModelError as error:
            refusals.append(str(error))
        except (ValueError, TypeError) as error:
            others.append(str(error))
    assert len(refusals) > 150
    for text in refusals:
        assert str(path) in text
        assert "\n" not in text
    for text in others:
        assert re.search("shape|expected|broadcast", text)


def test_cycles_and_values_that_nobody_makes(path):
    saved(model([node("Add", "x h", "g"), node("Relu", "g", "h"), node("Tanh", "h", "y")], (4,)), path)
    refused(path, "is no ONNX model: Nodes in a graph must be topologically sorted")
    saved(model([node("Add", "x none", "y")], (4,)), path)
    refused(path, "is no ONNX model: Nodes in a graph must be topologically sorted")
    saved(model([node("Relu", "x", "y"), node("Tanh", "x", "y")], (4,)), path)
    refused(path, "is no ONNX model: Graph must be in single static assignment")


def claims(dims, raw=b"1234"):
    """A model whose weights claim a shape."""
    made = model([node("Gemm", "x W", "y")], (4,), {"W": W})
    made.graph.initializer[0].dims[:] = dims
    made.graph.initializer[0].raw_data = raw
    return made


@pytest.mark.parametrize("dims", [[1 << 40, 1 << 40], [1 << 62, 4], [1 << 31, 1 << 31], [4, 3, 1 << 20], [-1, 4]])
def test_weights_that_claim_to_be_large_take_no_memory(dims, path):
    saved(claims(dims), path)
    tracemalloc.start()
    refused(path, "")
    assert tracemalloc.get_traced_memory()[1] < 1 << 22
    tracemalloc.stop()


HUGE = {
    "kernel": node("AveragePool", "x", "y", kernel_shape=[1 << 40, 1 << 40]),
    "strides": node("MaxPool", "x", "y", kernel_shape=[2, 2], strides=[1 << 62, 1]),
    "dilations": node("MaxPool", "x", "y", kernel_shape=[2, 2], dilations=[1 << 62, 1]),
    "pads": node("AveragePool", "x", "y", kernel_shape=[2, 2], pads=[1 << 40, 0, 1 << 40, 0]),
    "negative pads": node("Conv", "x V", "y", pads=[-1, 0, 0, 0]),
    "pads of conv": node("Conv", "x V", "y", pads=[1 << 45, 0, 0, 0]),
    "group": node("Conv", "x V", "y", group=1 << 40),
    "group 0": node("Conv", "x V", "y", group=0),
    "kernel_shape": node("Conv", "x V", "y", kernel_shape=[1 << 40, 1]),
    "output_shape": node("ConvTranspose", "x V", "y", output_shape=[1 << 50, 1 << 50]),
    "output_padding": node("ConvTranspose", "x V", "y", output_padding=[1 << 50, 0], strides=[1 << 51, 1]),
}


@pytest.mark.parametrize("name", HUGE)
def test_settings_that_no_image_has(name, path):
    saved(model([HUGE[name]], (1, 5, 5), {"V": np.ones((1, 1, 2, 2), np.float32)}), path)
    refused(path, "node 0, ")


@pytest.mark.parametrize("scale", [1e9, np.inf, np.nan, -1.0, 0.0, 1.5])
def test_images_that_are_scaled_by_what_no_image_is(scale, path):
    settings = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    saved(model([node("Resize", "x  s", "y", **settings)], (1, 5, 5), {"s": np.array([1, 1, scale, scale], np.float32)}), path)
    if scale == 1e9:
        refused(path, "node 0, Resize: .*memory")
    else:
        refused(path, "node 0, Resize: ")


def test_padding_that_no_memory_holds(path):
    saved(model([node("Pad", "x p", "y")], (1, 5, 5), {"p": np.array([0, 0, 0, 0, 0, 0, 1 << 30, 1 << 30])}), path)
    made = fastlec.onnx.load(path)
    with pytest.raises(MemoryError, match="x padded to"):
        made(np.ones((1, 1, 5, 5), np.float32))


def test_many_branches_within_each_other_and_beside_each_other(path):
    nodes, value = [], "x"
    for i in range(300):
        nodes += [node("Relu", value, f"a{i}"), node("Add", f"x a{i}", f"b{i}")]
        value = f"b{i}"
    nodes.append(node("Identity", value, "y"))
    saved(model(nodes, (4,)), path)
    made, x = fastlec.onnx.load(path), np.ones((2, 4), np.float32)
    assert isinstance(made, fastlec.onnx.Model)  # networks nest 64 deep
    assert_close(made(x), 301 * x)
    nodes, value = [], "x"
    for i in range(40):  # 2^40 ways lead through it
        nodes.append(node("Add", f"{value} {value}", f"b{i}"))
        value = f"b{i}"
    saved(model([*nodes, node("Tanh", value, "y")], (4,)), path)
    assert_close(fastlec.onnx.load(path)(x), x)


# --- constants in other files ------------------------------------------------------------------------------------------


def outside(path, location, **more):
    """A model whose weights are at this place."""
    made = model([node("Gemm", "x W", "y")], (4,), {"W": W})
    tensor = made.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in {"location": location, **more}.items():
        entry = tensor.external_data.add()
        entry.key, entry.value = key, str(value)
    path.write_bytes(made.SerializeToString())
    return path


def test_constants_in_a_file_beside_the_model(path, tmp_path):
    (tmp_path / "net.data").write_bytes(b"12345678" + W.tobytes())
    x = np.ones((2, 4), np.float32)
    for more in ({"offset": 8, "length": W.nbytes}, {"offset": 8}):
        assert_close(fastlec.onnx.load(outside(path, "net.data", **more))(x), x @ W)


def test_a_constant_of_a_node_that_lies_in_another_file(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.data").write_bytes(W.tobytes())
    tensor = onnx.load(outside(path, "net.data"), load_external_data=False).graph.initializer[0]
    made = model([onnx.helper.make_node("Constant", [], ["W"], value=tensor), node("Gemm", "x W", "y")], (4,))
    path.write_bytes(made.SerializeToString())
    refused(path, "")


def test_files_that_are_too_large(path, tmp_path):
    with open(path, "wb") as file:
        file.truncate(1 << 36)
    refused(path, "cannot be read as ONNX: it is larger than 2 GiB, which no such file is")
    with open(tmp_path / "net.data", "wb") as file:
        file.truncate(1 << 36)
    refused(outside(path, "net.data", length=1 << 36), "the constant 'W' lies in 'net.data', which cannot be read: it has")


@pytest.mark.parametrize("location", ["../secret", "/etc/passwd", "sub/net.data", "..", ".", "", "net.data\0", "none.data"])
def test_constants_in_files_elsewhere(location, path, tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "net.data").write_bytes(W.tobytes())
    refused(outside(path, location), "the constant 'W' lies in .*, which cannot be read")


@pytest.mark.parametrize("more", [{"offset": 1 << 62}, {"offset": -8}, {"length": 1 << 40}, {"offset": "x"}, {"length": 8}])
def test_parts_of_files_that_are_not_there(more, path, tmp_path):
    (tmp_path / "net.data").write_bytes(W.tobytes())
    refused(outside(path, "net.data", **more), "")


def test_links_to_other_files(path, tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "secret").write_bytes(W.tobytes())
    (tmp_path / "net.data").symlink_to(tmp_path / "sub" / "secret")
    refused(outside(path, "net.data"), "the constant 'W' lies in 'net.data', which cannot be read: expected a file, not a link")
