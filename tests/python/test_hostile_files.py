"""Files that were broken at random: whatever reads them says so in one line, in the words that its docstring promises."""

import gzip
import io as memory
import random
import struct
import zipfile

import numpy as np
import pytest

from fastlec import Conv2d, Dense, Flatten, Network, data, images, io, preprocessing
from fastlec.course import models

TOKENS = [
    b"\0" * 8,
    b"\xff" * 8,
    b"\xff\xff\xff\x7f",
    b"nan",
    b"1e999",
    b"-1",
    b"NaN",
    b"Infinity",
    b"{",
    b"[",
    b"9" * 400,
    b"'",
]
TOKENS += [b'"', b"(", b",", b"\n", b"<U9", b"|O8", b"<c16", b">f8", b"|b1", b"<M8", b"\xed\xa0\x80"]


def csv(path):
    path.write_text("a,b,label\n1,2,0\n3,4.5,1\n-2,1e3,0\n")


def packed(path):
    path.write_bytes(gzip.compress(struct.pack(">4B3I", 0, 0, 8, 3, 3, 2, 2) + bytes(12)))


def samples(path):
    np.savez_compressed(path, X=np.arange(24).reshape(4, 6) % 17, y=[0, 1, 0, 1])


def softmax(path):
    io.save_model(path, models.SoftmaxModel(np.ones((3, 6)), np.ones(3), preprocessing.Preprocessing(255.0, (2, 3))))


def network(path):
    Network([Conv2d(1, 2, 3), Flatten(), Dense(8, 2)]).save(path)


def picture(path):
    images.write(path, images.Picture(np.arange(90, dtype=np.uint8).reshape(6, 5, 3)))


READERS = {  # what writes a file, its name, what reads it, and the error that it may raise
    "csv": (csv, "a.csv", lambda path: data.load(path, n_features=2), data.DataError),
    "idx": (packed, "t10k-images-idx3-ubyte.gz", lambda path: data.load(path, n_features=4), data.DataError),
    "samples": (samples, "a.npz", data.load, data.DataError),
    "softmax": (softmax, "a.npz", io.load_model, io.ModelError),
    "network": (network, "a.npz", Network.load, io.ModelError),
    "softmax safetensors": (softmax, "a.safetensors", io.load_model, io.ModelError),
    "network safetensors": (network, "a.safetensors", Network.load, io.ModelError),
    "png": (picture, "a.png", images.read, images.ImageError),
    "jpg": (picture, "a.jpg", images.read, images.ImageError),
    "gif": (picture, "a.gif", images.read, images.ImageError),
}


def broken(content, rng):
    """The bytes after a few changes, mostly near their beginning, where headers are."""
    for _ in range(rng.choice([1, 1, 2, 5])):
        content = bytearray(content or b"x")
        at = rng.randrange(len(content)) if rng.random() < 0.4 else rng.randrange(min(len(content), 400))
        token, kind = rng.choice(TOKENS), rng.randrange(5)
        if kind == 0:
            content[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            content[at : at + len(token)] = token
        elif kind == 2:
            content[at:at] = token
        elif kind == 3:
            del content[at : at + rng.randrange(1, 20)]
        else:
            del content[at + 1 :]
    return bytes(content)


def broken_within(archive, rng):
    """A zip archive with one entry broken and all checksums right."""
    result = memory.BytesIO()
    with zipfile.ZipFile(memory.BytesIO(archive)) as before, zipfile.ZipFile(result, "w") as after:
        chosen = rng.choice(before.namelist())
        for name in before.namelist():
            content = before.read(name)
            after.writestr(name, broken(content, rng) if name == chosen else content)
    return result.getvalue()


@pytest.mark.parametrize("reader", READERS)
def test_broken_files_are_refused_or_read(tmp_path, reader):
    write, name, read, error = READERS[reader]
    if reader in ("png", "jpg", "gif"):
        pytest.importorskip("PIL")
    if "safetensors" in reader:
        pytest.importorskip("safetensors")
    path, rng, texts = tmp_path / name, random.Random(reader), []
    write(path)
    read(path)
    content = path.read_bytes()
    for i in range(120):
        within = path.suffix == ".npz" and i % 3
        path.write_bytes(broken_within(content, rng) if within else broken(content, rng))
        try:
            read(path)
        except error as problem:
            texts.append(str(problem))
    assert len(texts) > 20
    for text in texts:
        assert str(path) in text
        assert "\n" not in text
        assert "Errno" not in text
