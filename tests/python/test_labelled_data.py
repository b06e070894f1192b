"""Arrays, IDX files and folders of images as other programs write them, with labels of any kind."""

import gzip
import struct

import numpy as np
import pytest

from fastlec import data
from fastlec.data import DataError
from fastlec.preprocessing import Preprocessing, classes_of, statistics

RNG = np.random.default_rng(3)
X, Y = RNG.normal(size=(6, 3)), np.array([1, 0, 2, 1, 0, 2])
IMAGES = RNG.integers(0, 256, (6, 5, 4), dtype=np.uint8)


@pytest.fixture
def npz(tmp_path):
    def load(arrays, **options):
        np.savez(tmp_path / "a.npz", **arrays)
        return data.load(tmp_path / "a.npz", **options)

    return load


LABELS = {
    "-1, 1": (np.where(Y > 0, 1, -1), (-1, 1)),
    "from 1 on": (Y + 1, (1, 2, 3)),
    "gaps": (Y * 100, (0, 100, 200)),
    "booleans": (Y > 0, (False, True)),
    "text": (np.array(["rose", "tree", "lily"])[Y], ("lily", "rose", "tree")),
    "bytes": (np.array([b"rose", b"tree", b"lily"])[Y], ("lily", "rose", "tree")),
    "one-hot": (np.eye(3)[Y], (0, 1, 2)),
    "one-hot, a class without samples": (np.eye(4, dtype=bool)[Y + (Y > 0)], (0, 2, 3)),
    "one column": (Y[:, None], (0, 1, 2)),
    "floats": (Y.astype(float), (0, 1, 2)),
    "half precision": (Y.astype(np.float16), (0, 1, 2)),
    "big-endian": (Y.astype(">i4"), (0, 1, 2)),
    "unsigned": (np.uint64(2**63) + Y.astype(np.uint64), (2**63, 2**63 + 1, 2**63 + 2)),
}


@pytest.mark.parametrize(("y", "classes"), LABELS.values(), ids=LABELS)
def test_labels_of_any_kind(npz, y, classes):
    found = npz({"X": X, "y": y})
    assert found.classes == classes
    assert [type(label) for label in found.classes] == [type(label) for label in classes]
    flat = y.argmax(axis=1) if y.shape[1:] > (1,) else y.ravel()
    flat = flat.astype(str) if y.dtype.kind == "S" else flat
    np.testing.assert_array_equal(found.preprocessing.labels(found.y), flat)
    np.testing.assert_array_equal(np.unique(found.y), range(len(classes)))
    np.testing.assert_array_equal(found.preprocessing.codes(flat), found.y)


@pytest.mark.parametrize("kind", ["<f8", ">f8", "<f4", ">f4", "<f2", ">f2", "<i2", ">i8", "u1"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_of_any_layout(npz, kind, order):
    values = np.array(np.round(10 * np.abs(X)), kind, order=order)
    found = npz({"X": values, "y": Y}, dtype=np.float32)
    assert found.X.dtype == np.float32
    np.testing.assert_array_equal(found.X, values)
    found = npz({"X": np.asfortranarray(IMAGES), "y": Y})
    np.testing.assert_array_equal(found.X, IMAGES.reshape(6, 20) / 255)


NAMES = {
    "Keras": ("x_train", "y_train", "x_test", "y_test"),
    "capitals": ("X_train", "Y_train", "X_test", "Y_test"),
    "MedMNIST": ("train_images", "train_labels", "test_images", "test_labels"),
    "scikit-learn": ("data", "target", "x_test", "y_test"),
    "images": ("images", "labels", "test_images", "test_labels"),
    "ours": ("X", "y", "X_test", "y_test"),
}


@pytest.mark.parametrize("names", NAMES.values(), ids=NAMES)
def test_names_of_arrays(npz, names):
    others = {"ids": np.array([{}], object), "names": np.array(["a", "b"]), "x_val": np.eye(2), "when": np.datetime64(0, "D")}
    found = npz(dict(zip(names, (X, Y, X[:2], Y[:2]), strict=True)) | others)
    np.testing.assert_array_equal(found.X, X)
    np.testing.assert_array_equal(found.X_test, X[:2])
    assert (found.y.tolist(), found.y_test.tolist()) == (Y.tolist(), Y[:2].tolist())


def idx(array, code=8):
    return struct.pack(f">4B{array.ndim}I", 0, 0, code, array.ndim, *array.shape) + array.tobytes()


@pytest.mark.parametrize(("start", "test"), [("emnist-letters-", "test"), ("", "t10k"), ("kmnist-", "t10k"), ("", "test")])
def test_names_of_idx_files(tmp_path, start, test):
    images, labels = "{}-images-idx3-ubyte.gz", "{}-labels-idx1-ubyte.gz"
    for part, rows in ((start + "train", slice(4)), (start + test, slice(4, 6))):
        (tmp_path / images.format(part)).write_bytes(gzip.compress(idx(IMAGES[rows])))
        (tmp_path / labels.format(part)).write_bytes(gzip.compress(idx(np.uint8([7, 9, 7, 9, 7, 9])[rows])))
    for beside in ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "more"):
        (tmp_path / beside).mkdir()
    for path in (tmp_path, tmp_path / images.format(start + "train")):
        found = data.load(path)
        np.testing.assert_array_equal(found.X, IMAGES[:4].reshape(4, 20) / 255)
        assert (found.classes, found.y.tolist(), found.y_test.tolist()) == ((7, 9), [0, 1, 0, 1], [0, 1])
    (tmp_path / "other-train-images-idx3-ubyte").write_bytes(idx(IMAGES))
    if start:
        with pytest.raises(
            DataError, match=rf"several sets of IDX files \({start[:-1]}, other\); name the file with the images"
        ):
            data.load(tmp_path)
    else:
        assert data.load(tmp_path).y.tolist() == [0, 1, 0, 1]
    assert data.load(tmp_path / images.format(start + "train")).y.tolist() == [0, 1, 0, 1]
    with pytest.raises(DataError, match="expected the files other-train-images"):
        data.load(tmp_path / "other-train-images-idx3-ubyte")


def test_labels_of_qmnist(tmp_path):
    (tmp_path / "qmnist-train-images-idx3-ubyte").write_bytes(idx(IMAGES))
    labels = np.stack([Y, *7 * [np.full(6, 100)]], axis=1).astype(">i4")
    (tmp_path / "qmnist-train-labels-idx2-int").write_bytes(idx(labels, 0x0C))
    assert data.load(tmp_path).y.tolist() == Y.tolist()


@pytest.fixture
def pictures(tmp_path):
    """write(names and arrays) makes image files."""
    pil = pytest.importorskip("PIL.Image")

    def write(images):
        for name, pixels in images.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            pil.fromarray(pixels).save(tmp_path / name)
        return tmp_path

    return write


def test_folders_of_images(pictures):
    folder = pictures({f"{name}/{i}.png": IMAGES[i] for i, name in enumerate(["dog", "cat", "dog", "cat", "ape", "ape"])})
    (folder / "notes.txt").touch()
    (folder / "dog" / ".DS_Store").touch()
    (folder / "__MACOSX").mkdir()
    found = data.load(folder)
    assert (found.image_shape, found.scale, found.classes) == ((5, 4), 255, ("ape", "cat", "dog"))
    assert found.files == ("ape/4.png", "ape/5.png", "cat/1.png", "cat/3.png", "dog/0.png", "dog/2.png")
    np.testing.assert_array_equal(found.X, IMAGES[[4, 5, 1, 3, 0, 2]].reshape(6, 20) / 255)
    assert found.y.tolist() == [0, 0, 1, 1, 2, 2]
    small = data.load(folder, size=(3, 2))
    assert (small.X.shape, small.image_shape) == ((6, 6), (3, 2))
    np.testing.assert_allclose(small.X.mean(), found.X.mean(), atol=0.05)


def test_folders_of_images_of_many_sizes_and_colours(pictures):
    colour = np.repeat(IMAGES[0][..., None], 3, axis=2)
    colour[..., 0] = 200
    alpha = np.concatenate([colour, np.full_like(colour[..., :1], 255)], axis=2)
    folder = pictures({"a/1.png": IMAGES[0], "a/2.png": IMAGES[0].astype(np.uint16) * 257, "b/1.png": colour, "b/2.png": alpha})
    found = data.load(folder)
    assert (found.image_shape, found.X.shape) == ((5, 4, 3), (4, 60))
    np.testing.assert_array_equal(255 * found.X[0].reshape(5, 4, 3), np.repeat(IMAGES[0][..., None], 3, axis=2))
    np.testing.assert_array_equal(found.X[0], found.X[1])
    np.testing.assert_array_equal(found.X[2], found.X[3])
    pictures({"b/3.png": IMAGES[0, :4]})
    with pytest.raises(DataError, match=r"3\.png: is 4 x 4, 1\.png is 5 x 4; expected one size, or --size"):
        data.load(folder)
    assert data.load(folder, size=(4, 4)).X.shape == (5, 48)
    (folder / "b" / "4.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"4\.png: cannot be read as an image"):
        data.load(folder, size=(4, 4))


def test_transparent_pixels_are_as_on_white_paper(pictures):
    """Ink on nothing is no black image, whatever colours are hidden."""
    pil = pytest.importorskip("PIL.Image")
    colour, alpha = RNG.integers(0, 256, (5, 4, 3), dtype=np.uint8), RNG.integers(0, 256, (5, 4, 1), dtype=np.uint8)
    alpha[0], colour[0], alpha[1] = 0, 0, 255
    folder = pictures({"a/1.png": np.concatenate([colour, alpha], axis=2), "b/1.png": colour})
    found = 255 * data.load(folder).X[0].reshape(5, 4, 3)
    np.testing.assert_array_equal(found[:2], [np.full((4, 3), 255), colour[1]])
    paper = pil.new("RGBA", (4, 5), "white")
    paper.alpha_composite(pil.open(folder / "a/1.png"))
    np.testing.assert_allclose(found, np.asarray(paper)[..., :3], atol=1)
    pictures({"a/1.png": np.concatenate([colour[..., :1], alpha], axis=2), "b/1.png": IMAGES[0]})
    assert data.load(folder).image_shape == (5, 4)
    np.testing.assert_array_equal(data.load(folder).X[0].reshape(5, 4)[:2] * 255, [[255] * 4, colour[1, :, 0]])


def test_folders_called_by_numbers(pictures):
    found = data.load(pictures({f"{name}/1.png": image for name, image in zip((10, 9, -1), IMAGES, strict=False)}))
    assert (found.classes, found.y.tolist()) == ((-1, 9, 10), [0, 2, 1])
    assert data.load(pictures({"09/1.png": IMAGES[3]})).classes == ("-1", "09", "10", "9")


def test_folders_around_folders_of_images(pictures):
    folder = pictures({"set/train/a/1.png": IMAGES[0], "set/train/b/1.png": IMAGES[1], "set/test/1.png": IMAGES[2]})
    found = data.load(folder / "set")
    assert (found.classes, found.X_test) == (("a", "b"), None)
    pictures({"set/val/b/1.png": IMAGES[2]})
    assert data.load(folder / "set").y_test.tolist() == [1]
    pictures({"more/a/1.png": IMAGES[0]})
    (folder / "more").rename(folder / "around")
    (folder / "set").rename(folder / "around" / "set")
    with pytest.raises(DataError, match="a subfolder of images for each class, in it; around in it has such"):
        data.load(folder)


@pytest.mark.parametrize("size", [(0, 3), (3,), (2, 2, 3), "large", 5, (2.5, 3), (2, -1)])
def test_sizes_that_are_none(npz, size):
    with pytest.raises((ValueError, TypeError), match=r"^size"):
        npz({"X": X, "y": Y}, size=size)


def test_folders_of_images_with_a_test_set(pictures):
    names = ["train/cat/a.png", "train/cat/b.png", "train/dog/a.png", "test/dog/a.png", "train/dog/b.png", "val/dog/c.png"]
    folder = pictures(dict(zip(names, IMAGES, strict=True)))
    found = data.load(folder)
    assert (found.classes, found.y.tolist(), found.y_test.tolist()) == (("cat", "dog"), [0, 0, 1, 1], [1])
    np.testing.assert_array_equal(found.X_test, IMAGES[3:4].reshape(1, 20) / 255)


def test_images_for_a_model(pictures):
    """They get its size and colours; a folder without classes, and a single file, will do."""
    colour = np.repeat(IMAGES[0][..., None], 3, axis=2)
    folder = pictures({"1.png": IMAGES[1], "2.png": colour})
    own = Preprocessing(255.0, (5, 4), classes=("a", "b"))
    found = data.load(folder, n_features=20, like=own)
    np.testing.assert_array_equal(found.X, IMAGES[[1, 0]].reshape(2, 20) / 255)
    assert (found.y, found.files) == (None, ("1.png", "2.png"))
    assert data.load(folder / "1.png", n_features=48, like=Preprocessing(255.0, (4, 4, 3))).X.shape == (1, 48)
    with pytest.raises(DataError, match="is one image; expected a folder"):
        data.load(folder / "1.png")
    with pytest.raises(DataError, match="a subfolder of images for each class"):
        data.load(folder)
    with pytest.raises(DataError, match="holds images; the model takes samples that are none"):
        data.load(folder, n_features=20, like=Preprocessing())


def test_tables_are_standardised_by_their_training_part(npz):
    values = np.concatenate([1e9 + RNG.normal(size=(40, 1)), np.full((40, 1), 0.1), RNG.normal(size=(40, 1)) * 1e-6], axis=1)
    y = np.arange(40) % 2
    found = npz({"X": values, "y": y, "X_test": values[:3], "y_test": y[:3]}, standardise=True, dtype=np.float32)
    train, _ = data.split(y)
    np.testing.assert_allclose(found.mean, values[train].mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.X[train].mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(found.X[train].std(axis=0), [1, 0, 1], rtol=1e-6, atol=1e-12)
    np.testing.assert_array_equal(found.X_test, found.X[:3])
    same = npz({"X": values, "y": y}, like=found.preprocessing, dtype=np.float32)
    np.testing.assert_array_equal(same.X, found.X)
    assert npz({"X": IMAGES, "y": Y}, standardise=True).mean is None
    with pytest.raises(DataError, match=r"feature 1 reaches 1e\+300, too large to be standardised"):
        npz({"X": [[1, 1e300], [2, -1e300]], "y": [0, 1]}, standardise=True)
    with pytest.raises(DataError, match=r"X\[1, 0\] is nan"):
        npz(
            {"X": [[1, 2], [np.nan, 3], [1, 3], [2, 5]], "y": [0, 1, 0, 1]}, like=Preprocessing(mean=(1.0, 1.0), std=(1.0, 1.0))
        )


def test_statistics_of_what_does_not_vary():
    assert statistics(np.full((3, 2), 0.1), 1.0, "a")["std"] == (1.0, 1.0)


@pytest.mark.parametrize(
    ("y", "text"),
    [
        ([0.5, 1], r"y\[0\] is 0.5; expected a class: a whole number or text"),
        ([0, np.nan], r"y\[1\] is nan"),
        ([1j], "complex"),
        ([None, 1], "object"),
        (["a", 1.5], None),
    ],
)
def test_what_are_no_labels(y, text):
    if text is None:
        assert classes_of(y, "y") == ("1.5", "a")  # NumPy makes text of both
        return
    with pytest.raises(DataError, match=text):
        classes_of(y, "y")


def test_labels_a_model_does_not_know():
    with pytest.raises(DataError, match=r"^y: has the label 10; the model knows the classes 0\.\.9"):
        Preprocessing(classes=tuple(range(10))).codes([1, 10], "y")
    with pytest.raises(DataError, match=r"^y: has the label -1; the model knows the classes 0, 1, 2, \.\.\."):
        Preprocessing().codes([1, -1], "y")
    with pytest.raises(ValueError, match=r"codes has values from 0 to 2; expected 0 to 1"):
        Preprocessing(classes=("a", "b")).labels([0, 2])
    with pytest.raises(ValueError, match=r"^X has shape \(1, 3\); expected \(m, 2\)"):
        Preprocessing(mean=(0.0, 0.0), std=(1.0, 1.0)).features([[1, 2, 3]])
