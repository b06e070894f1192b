"""Labelled samples for classification: the embedded digits, other people's files, and a fair split.

Every reader here treats its file as hostile: sizes are checked before memory is asked for, and whatever is wrong
ends in a :class:`DataError` of one line that names the file and what was expected.
"""

from __future__ import annotations

import gzip
import math
import os
import re
import stat
import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from numpy.typing import DTypeLike

from . import _check, image_folders, tables
from ._check import memory_size
from ._stream import Stream
from .io import DEFLATE_RATIO, open_file, read_npz, words
from .preprocessing import DataError, Preprocessing, classes_of, shown, statistics

if TYPE_CHECKING:
    from ._typing import ArrayLike, FloatArray, IntArray, NDArray, Seed

__all__ = ["DataError", "Dataset", "Stream", "class_count", "digits", "load", "load_digits", "split"]

_IDX_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_MOST_AXES = 4  # of samples: height, width and channels of images
_IDX_NAME = re.compile(r"(?:(?P<set>.+)-)?(?P<part>train|t10k|test)-(?P<what>images|labels)[-.]idx\d-(?:ubyte|int)(?:\.gz)?")
_NPZ_NAMES = {  # of arrays, in lower case, the first that is there
    "X": ("x", "x_train", "train_images", "images", "data"),
    "y": ("y", "y_train", "train_labels", "labels", "label", "target"),
    "X_test": ("x_test", "test_images"),
    "y_test": ("y_test", "test_labels"),
}


def __dir__() -> list[str]:
    return __all__


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Samples as rows, with their labels: what `load` and `digits` return.

    Parameters
    ----------
    X : ndarray, shape (m, n)
        Features, float32 or float64; grey levels are scaled to [0, 1].
    y : ndarray of shape (m,) or None
        Classes 0, 1, 2, ..., int64; None only where the caller of `load` said that labels may be missing.
    X_test, y_test : ndarray or None
        A test set that came along.
    image_shape : tuple of int or None
        (height, width), or (height, width, channels), of a sample; None where samples are no images.
    name : str
        What the samples are called.
    scale : float
        Number by which the raw features were divided.
    classes : tuple or None
        Labels that the numbers in y stand for, in order; None where they are the labels.
    columns : tuple of str or None
        Names of the features in a table.
    label : str
        Column of the labels in a table: its name, "first" or "last".
    mean, std : tuple of float or None
        What the features were standardised by.
    files : tuple of str or None
        File of each sample, where they come from a folder of images.
    note : str
        What the reader took for granted, in words.

    See Also
    --------
    load, split, fastlec.preprocessing.Preprocessing

    Examples
    --------
    >>> digits = fastlec.data.digits()
    >>> digits
    <Dataset digits (UCI, 8 x 8): 1797 samples of 64 features, 10 classes>
    >>> digits.image_shape, digits.scale
    ((8, 8), 16.0)
    """

    X: FloatArray
    y: NDArray[np.int64] | None
    X_test: FloatArray | None = None
    y_test: NDArray[np.int64] | None = None
    image_shape: tuple[int, ...] | None = None
    name: str = ""
    scale: float = 1.0
    classes: tuple[str | int | bool, ...] | None = None
    columns: tuple[str, ...] | None = None
    label: str = "last"
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    files: tuple[str, ...] | None = None
    note: str = ""

    def __repr__(self) -> str:
        name, (m, *shape) = f" {self.name}" if self.name else "", self.X.shape
        count = len(self.classes or ()) or (0 if self.y is None else len(np.unique(self.y)))
        tested = "" if self.X_test is None else f", {len(self.X_test)} to test"
        return f"<Dataset{name}: {m} samples of {math.prod(shape)} features, {count or 'no'} classes{tested}>"

    @property
    def preprocessing(self) -> Preprocessing:
        """How raw samples become such as these, as a Preprocessing."""
        return Preprocessing(**{field.name: getattr(self, field.name) for field in fields(Preprocessing)})


def load_digits() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The 1797 handwritten digits of 8 x 8 grey levels that come with fastlec.

    Returns
    -------
    X : ndarray, shape (1797, 64)
        Grey levels in [0, 1], float64: the levels 0 to 16 divided by 16.
    y : ndarray, shape (1797,)
        Digits 0 to 9, int64.

    Raises
    ------
    DataError
        The file with them is missing or damaged.

    See Also
    --------
    digits, load, fastlec.datasets.make_blobs

    References
    ----------
    E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998, licence CC BY 4.0.
    This is the test part of that collection.

    Examples
    --------
    >>> X, y = fastlec.data.load_digits()
    >>> X.shape, X.min(), X.max(), y[:5]
    ((1797, 64), 0.0, 1.0, array([0, 1, 2, 3, 4]))
    """
    arrays = read_npz(Path(__file__).with_name("digits.npz"), DataError)
    return arrays["X"] / 16.0, arrays["y"].astype(np.int64)


def digits(dtype: DTypeLike = np.float64) -> Dataset:
    """The digits of `load_digits` as a Dataset.

    Parameters
    ----------
    dtype : dtype
        Float32 or float64, of X.

    Returns
    -------
    Dataset
        The digits.

    See Also
    --------
    load_digits, load

    Examples
    --------
    >>> fastlec.data.digits("float32").X.dtype
    dtype('float32')
    """
    X, y = load_digits()
    return Dataset(X.astype(_check.layer_dtype(dtype)), y, image_shape=(8, 8), name="digits (UCI, 8 x 8)", scale=16.0)


def load(
    path: str | os.PathLike[str],
    *,
    dtype: DTypeLike = np.float64,
    scale: float | None = None,
    n_features: int | None = None,
    label: str | None = None,
    header: bool | None = None,
    encoding: str | None = None,
    size: tuple[int, int] | str | None = None,
    standardise: bool = False,
    like: Preprocessing | None = None,
) -> Dataset:
    r"""Read labelled samples from a file or folder: IDX, images, .npz or a table of text.

    Parameters
    ----------
    path : path_like
        The file or folder; see Notes for what it may be.
    dtype : dtype
        Float32 or float64, of X.
    scale : float, optional
        Divisor of the raw features. By default images whose whole numbers span 0..255 are divided by 255 (by 16 if none is above
        16, by 1 if none is above 1), and uint16 beyond 255 by 2^bits - 1 of as many bits; tables are left as they are.
    n_features : int, optional
        Number of features. Given, labels may be missing: a table of exactly that many columns, an .npz without y, one IDX file of
        images, one image or a folder of them; and samples of another length are refused.
    label : str, optional
        Column of a table that has the labels: its name, "first" or "last". By default the one that is called label, class or
        target, else the last.
    header : bool, optional
        Whether the first line of a table has names. By default it has where it holds text above a number, no number at all, or 0,
        1, 2, ...; ``note`` says what was found.
    encoding : str, optional
        That of a table, such as "latin-1" or "cp1252". By default UTF-8, or UTF-16 where the file begins with its mark.
    size : tuple of int or "square", optional
        (height, width) to which the images of a folder are resized, or which rows (m, n) are images of; "square": rows are images
        of that shape. Rows are no images by default.
    standardise : bool
        Whether features of samples that are no images get mean 0 and standard deviation 1, those of the part that `split` leaves
        for training.
    like : Preprocessing, optional
        How the samples of a model were prepared: these are in the same way. Columns are found by name where they have names.

    Returns
    -------
    Dataset
        X, y and what belongs to them. The numbers 0, 1, 2, ... in y are those of ``classes``, the labels in order.

    Raises
    ------
    DataError
        Something is missing, malformed, not finite, or of shapes that do not match. The message names the file and, where there are
        such, line and column.
    ImportError
        The library that reads it is missing.
    ValueError or TypeError
        An argument is of another kind.

    See Also
    --------
    load_digits, split, class_count

    Notes
    -----
    The path may be

    - a folder with ``train-images-idx3-ubyte`` and ``train-labels-idx1-ubyte`` (MNIST and its relatives, also with the names of
      EMNIST and QMNIST), and perhaps the same for ``t10k`` or ``test``; with a dot for the last hyphen but one, and
      gzip-compressed (``.gz``), or not. Where it holds several sets with names, the file with the images of one;
    - a folder with a subfolder of images (.png, .jpg, ...) for each class, by whose name it is called, or ``train`` and
      ``test`` (or ``val``) with such subfolders; transparent pixels are as on white paper; with the extra ``image``;
    - an ``.npz`` with X (m, n) or images (m, height, width) and y (m,), or y (m, k) of one 1 in each row of 0, and perhaps
      X_test and y_test; or x_train, y_train, ...; or images, labels; or data, target; other arrays are left alone;
    - a table of text, ``.csv``, ``.tsv`` or ``.txt``, or these with ``.gz``: features are numbers, separated by comma,
      semicolon, tab or blanks; with the extra ``table``.

    Labels may be text, whole numbers or booleans. Those of the test set are among those of y, and with ``like`` all among its
    classes; others are refused, for no answer to them could be right.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "flowers.csv")
    ...     _ = path.write_text("length;colour;kind\n1.5;3;rose\n2.5;4;lily\n")
    ...     flowers = fastlec.data.load(path)
    >>> flowers.X.tolist(), flowers.y.tolist(), flowers.classes, flowers.columns
    ([[1.5, 3.0], [2.5, 4.0]], [1, 0], ('lily', 'rose'), ('length', 'colour'))
    """
    dtype, path = _check.layer_dtype(dtype), Path(_check.path(path))
    scale = None if scale is None else _check.positive(scale, "scale")
    n_features = None if n_features is None else _check.count(n_features, "n_features", 1)
    size = _sides(size)
    if label is not None and (not isinstance(label, str) or not label):
        raise ValueError(f"label is {_check.shown(label)}; expected the name of a column, 'first' or 'last'")
    if header is not None:
        _check.flag(header, "header")
    _check.flag(standardise, "standardise")
    if not isinstance(like, Preprocessing | None):
        raise TypeError(f"like is a {type(like).__name__}; expected a Preprocessing")
    if like is not None:
        scale = like.scale
    raw, facts, images = _read(path, n_features, label, header, encoding, size, like)
    if ("X_test" in raw) != ("y_test" in raw):
        raise DataError(f"{path}: holds one of X_test and y_test; expected both or neither")

    X = _samples(path, "X", raw["X"])
    n = math.prod(X.shape[1:])
    if n_features not in (None, n):
        raise DataError(f"{path}: its samples have {n} features; expected {n_features}")
    if like and like.image_shape and X.ndim == 2 and n != math.prod(like.image_shape):
        raise DataError(f"{path}: its samples have {n} features; the model takes {math.prod(like.image_shape)}")
    image_shape = _image_shape(path, X.shape[1:], like.image_shape if like and X.ndim == 2 else size)
    if scale is None:
        scale = 255.0 if images and X.dtype == np.uint8 else 1.0 if image_shape is None else _grey_levels(X)
    classes = like.classes if like else None
    if "y" in raw:
        y = _labels(path, "y", raw["y"], len(X))
        classes = classes or classes_of(y, f"{path}: y")
    facts |= {"image_shape": image_shape, "scale": float(scale), "classes": classes}
    if like:
        facts |= {"mean": like.mean, "std": like.std}
    own = Preprocessing(**{name: value for name, value in facts.items() if name in Preprocessing.__dataclass_fields__})
    parts = {"X": X, "y": own.codes(y, str(path)) if "y" in raw else None}
    if standardise and not like and image_shape is None:
        _check.finite(X.astype(np.float64), f"{path}: X", error=DataError)
        facts |= statistics(_training_part(X, parts["y"]), scale, str(path), facts.get("columns"))
        own = replace(own, mean=facts["mean"], std=facts["std"])
    parts["X"] = _features(path, "X", X, n, own, dtype)
    if "X_test" in raw:
        parts["X_test"] = _features(path, "X_test", _samples(path, "X_test", raw["X_test"]), n, own, dtype)
        y_test = _labels(path, "y_test", raw["y_test"], len(parts["X_test"]))
        for unknown in set(classes_of(y_test, f"{path}: y_test")) - set(classes):
            raise DataError(f"{path}: y_test has the label {unknown}; y has {shown(classes)}")
        parts["y_test"] = own.codes(y_test, f"{path}: y_test")
    return Dataset(**parts, **facts, name=path.name)


def _read(path: Path, n_features, label, header, encoding, size, like):
    """The arrays X, y, ... in a file or folder, what else it tells of them, and whether they are images of bytes."""
    name = path.name.lower().removesuffix(".gz")
    kind = _file_type(path)
    folder, is_table = kind == stat.S_IFDIR, tables.is_named(path)
    if (label, header, encoding) != (None, None, None) and (folder or not is_table):
        raise DataError(f"{path}: is no table of text; label, header and encoding are of such")
    if kind not in (stat.S_IFDIR, stat.S_IFREG):
        raise DataError(f"{path}: is neither a file nor a folder")
    if re.search(r"idx\d-(ubyte|int)$", name) and not folder:
        match = _IDX_NAME.fullmatch(path.name.lower())
        if n_features is None and match:
            return _read_idx_set(path, _idx_files(path.parent), match["set"]), {}, True
        return {"X": _read_idx(path)}, {}, True
    if folder and (files := _idx_files(path)):
        sets = {match["set"] for match in files}
        if len(sets) > 1 and None not in sets:
            text = f"holds several sets of IDX files ({', '.join(sorted(sets))}); name the file with the images of one"
            raise DataError(f"{path}: {text}")
        return _read_idx_set(path, files, None if None in sets else sets.pop()), {}, True
    if folder or name.endswith(image_folders.SUFFIXES):
        raw, files = image_folders.read(path, size, like, labelled=n_features is None)
        return raw, {"files": files}, True
    if name.endswith(".npz"):
        return _read_npz(path, n_features is None), {}, False
    if is_table:
        with _open(path) as stream:
            options = {"label": label, "header": header, "encoding": tables.check_encoding(encoding)}
            table = tables.read(path, stream, **options, n_features=n_features, like=like)
        raw = {"X": table.X} if table.y is None else {"X": table.X, "y": table.y}
        return raw, {"columns": table.columns, "label": table.label, "note": table.note}, False
    raise DataError(f"{path}: is of no known kind; expected a folder of IDX files or of images, .npz, .csv or .csv.gz")


def _read_npz(path: Path, labelled: bool) -> dict[str, np.ndarray]:
    """The arrays in an .npz that _NPZ_NAMES knows, by what they are."""
    roles, held = {}, []

    def wanted(names: list[str]) -> dict[str, str]:
        held.extend(names)
        found = {name.lower(): name for name in names}
        for role, known in _NPZ_NAMES.items():
            roles.update({found[name]: role for name in [name for name in known if name in found][:1]})
        return roles

    arrays = read_npz(path, DataError, wanted)
    if not ({"X", "y"} if labelled else {"X"}) <= set(roles.values()):
        raise DataError(
            f"{path}: holds the arrays {', '.join(held[:10]) or '(none)'}; expected X{' and y' if labelled else ''}"
        )
    return {roles[name]: array for name, array in arrays.items()}


def _sides(size) -> tuple[int, int] | str | None:
    """(height, width), "square" or None, as `load` takes it; ValueError or TypeError for another."""
    if size is None or size == "square":
        return size
    if not isinstance(size, (tuple, list)) or len(size) != 2:
        raise ValueError(f"size is {_check.shown(size)}; expected (height, width), 'square' or None")
    return tuple(_check.count(side, f"size[{i}]", 1) for i, side in enumerate(size))


def _image_shape(path: Path, shape: tuple[int, ...], size) -> tuple[int, ...] | None:
    """Of a sample of this shape; size says what a row is an image of, or what images must be."""
    n = math.prod(shape)
    if len(shape) > 1:
        if isinstance(size, tuple) and shape[:2] != size:
            raise DataError(f"{path}: its images are {shape[0]} x {shape[1]}; expected {size[0]} x {size[1]}")
        return shape
    if size is None or (size == "square" and square(n) is None):
        return None
    if size == "square":
        return square(n)
    if n % math.prod(size):
        raise DataError(f"{path}: its samples have {n} features; expected images of {size[0]} x {size[1]}")
    channels = n // math.prod(size)
    return tuple(size) if channels == 1 else (*size, channels)


def _training_part(X: np.ndarray, y: np.ndarray | None) -> np.ndarray:
    """The rows that `split` leaves for training; all where it leaves none aside, or there are no labels."""
    try:
        return X if y is None else X[split(y)[0]]
    except DataError:
        return X


def _file_type(path: Path) -> int:
    try:
        return stat.S_IFMT(path.stat().st_mode)
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file or folder") from None
    except (OSError, ValueError) as error:  # ValueError: a null byte
        raise DataError(f"{path}: cannot be read: {words(error)}") from error


def square(n: int) -> tuple[int, int] | None:
    """(height, width) of a square image of n pixels; None if n is no square."""
    side = math.isqrt(n)
    return (side, side) if side * side == n else None


def _whole_labels(y) -> np.ndarray:
    """Labels (m,) that are not negative."""
    y = _check.as_array(y, "y")
    return _check.labels(y, y.size, None, "y")


def class_count(y: ArrayLike, name: str, classes: Sequence[object] | None = None) -> int:
    """Number of classes in labels: the largest label + 1.

    Parameters
    ----------
    y : array_like of int, shape (m,)
        Labels, >= 0.
    name : str
        What the data is called, for messages.
    classes : sequence, optional
        What the labels stand for, for messages.

    Returns
    -------
    int
        The number.

    Raises
    ------
    DataError
        There is one class only, or there are more classes than samples: labels that are no class numbers.

    See Also
    --------
    load, split

    Examples
    --------
    >>> fastlec.data.class_count([0, 2, 1, 2], "my data")
    3
    """
    y = _whole_labels(y)
    n_classes, m = int(y.max(initial=0)) + 1, len(y)
    if n_classes < 2:
        raise DataError(f"{name}: every label is {classes[0] if classes else 0}; expected two classes or more")
    if n_classes > m:
        raise DataError(f"{name}: has the label {n_classes - 1} among {m} samples; expected class numbers 0, 1, ... below {m}")
    return n_classes


def split(y: ArrayLike, *, fraction: float = 0.2, seed: Seed = 0) -> tuple[IntArray, IntArray]:
    """Stratified split into a training and a validation part: every class gives the same share.

    Parameters
    ----------
    y : array_like of int, shape (m,)
        Labels, >= 0.
    fraction : float
        Share of the validation part, in (0, 1). A class of two samples or more gives at least one sample to each part, a class of
        one sample gives it to the training part.
    seed : int or numpy.random.Generator
        Seed; the same labels, fraction and seed give the same rows.

    Returns
    -------
    training : ndarray
        Sorted row numbers of the training part.
    validation : ndarray
        Those of the validation part.

    Raises
    ------
    ValueError
        The fraction is not inside (0, 1).
    DataError
        No class has two samples.

    See Also
    --------
    load, fastlec.fit

    Examples
    --------
    >>> import numpy as np
    >>> y = np.array([0, 0, 0, 0, 0, 1, 1, 1, 1, 1])
    >>> training, validation = fastlec.data.split(y, fraction=0.4)
    >>> y[training], y[validation]
    (array([0, 0, 0, 1, 1, 1]), array([0, 0, 1, 1]))
    """
    y, fraction = _whole_labels(y), _check.number(fraction, "fraction")
    if not 0 < fraction < 1:
        raise ValueError(f"fraction is {fraction}; expected a number between 0 and 1")
    rng = _check.generator(seed, "seed")
    validation = np.zeros(len(y), dtype=bool)
    for label in np.unique(y):
        rows = np.flatnonzero(y == label)
        count = min(max(round(len(rows) * fraction), 1), len(rows) - 1)
        validation[rng.permutation(rows)[:count]] = True
    if not validation.any():
        raise DataError(f"y has {len(y)} labels and no class of two samples; too few to set a validation part aside")
    return np.flatnonzero(~validation), np.flatnonzero(validation)


@contextmanager
def _open(path: Path) -> Iterator[BinaryIO]:
    """The bytes of ``path``, unpacked if they are gzip's; whatever goes wrong while they are read is a DataError."""
    try:
        with open_file(path) as file:
            packed = file.peek(2)[:2] == b"\x1f\x8b"
            if path.suffix == ".gz" and not packed:
                raise DataError(f"{path}: is not gzip-compressed, as its name says")
            yield gzip.GzipFile(fileobj=file) if packed else file
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read: {words(error)}") from error


def _read_idx(path: Path) -> np.ndarray:
    """One IDX file: two zero bytes, a type, the number of axes, the axes (big-endian uint32), the values."""
    with _open(path) as stream:
        magic = stream.read(4)
        if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _IDX_TYPES or magic[3] == 0:
            raise DataError(f"{path}: begins with {magic.hex(' ') or 'nothing'}; expected the IDX magic 00 00 TYPE AXES")
        if magic[3] > _MOST_AXES:
            raise DataError(f"{path}: its header says {magic[3]} axes; expected 1 to {_MOST_AXES}")
        dtype, axes = np.dtype(_IDX_TYPES[magic[2]]), stream.read(4 * magic[3])
        if len(axes) < 4 * magic[3]:
            raise DataError(f"{path}: ends inside its header; expected {magic[3]} sizes")
        shape = struct.unpack(f">{magic[3]}I", axes)
        if 0 in shape:
            raise DataError(f"{path}: its header says shape {shape}; expected one sample or more")
        size = math.prod(shape) * dtype.itemsize
        most = os.fstat(stream.fileno()).st_size * (DEFLATE_RATIO if isinstance(stream, gzip.GzipFile) else 1)
        if most >= size > memory_size():
            raise DataError(f"{path}: its header says shape {shape}, {size} bytes: more than this machine's memory")
        values = stream.read(size) if size <= most else b""
        if len(values) < size:
            raise DataError(f"{path}: is truncated; its header says shape {shape}, {size} bytes of values")
        if stream.read(1):
            raise DataError(f"{path}: goes on after the {size} bytes of values that its header says, shape {shape}")
    return np.frombuffer(values, dtype).reshape(shape)


def _idx_files(path: Path) -> dict[re.Match, Path]:
    """The files in a folder that have the names of IDX files, in an order in which a plain file comes after its .gz."""
    try:
        files = sorted(path.iterdir(), reverse=True)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {words(error)}") from error
    matches = {_IDX_NAME.fullmatch(file.name.lower()): file for file in files if not file.is_dir()}
    return {match: file for match, file in matches.items() if match}


def _read_idx_set(path: Path, files: dict[re.Match, Path], name: str | None) -> dict[str, np.ndarray]:
    found = {}
    for match, file in files.items():
        if match["set"] == name:
            found["train" if match["part"] == "train" else "test", match["what"]] = file
    if not {("train", "images"), ("train", "labels")} <= set(found):
        before = f"{name}-" if name else ""
        text = f"expected the files {before}train-images-idx3-ubyte and {before}train-labels-idx1-ubyte (or .gz) in it"
        raise DataError(f"{path}: {text}")
    if (("test", "images") in found) != (("test", "labels") in found):
        raise DataError(f"{path}: has test images or labels (t10k), not both")
    raw = {}
    for (part, what), file in found.items():
        array = _read_idx(file)
        if what == "labels" and array.ndim == 2:  # QMNIST: the digit, then who wrote it
            array = array[:, 0]
        raw[("X" if what == "images" else "y") + ("_test" if part == "test" else "")] = array
    return raw


def _samples(path: Path, what: str, X: np.ndarray) -> np.ndarray:
    if X.dtype.kind not in "biuf" or X.dtype.itemsize > 8:
        raise DataError(f"{path}: {what} has dtype {X.dtype}; expected real numbers of at most 64 bits")
    if not 2 <= X.ndim <= _MOST_AXES or X.size == 0:
        raise DataError(f"{path}: {what} has shape {X.shape}; expected (samples, features) or (samples, height, width)")
    return X


def _grey_levels(X: np.ndarray) -> float:
    """255 or 16 if X holds whole grey levels from 0 to at most that; for uint16 beyond 255 the most of as many bits, such as 4095;
    else 1."""
    low, top = X.min(), X.max()
    if X.dtype.kind == "u" and X.dtype.itemsize == 2 and top > 255:
        return 2.0 ** int(top).bit_length() - 1
    if low < 0 or not 1 < top <= 255 or (X.dtype.kind == "f" and (np.rint(X) != X).any()):
        return 1.0
    return 16.0 if top <= 16 else 255.0


def _features(path: Path, what: str, X: np.ndarray, n: int, own: Preprocessing, dtype: DTypeLike) -> np.ndarray:
    if math.prod(X.shape[1:]) != n:
        raise DataError(f"{path}: {what} has shape {X.shape}; expected samples of {n} features, as in X")
    if own.mean is not None and len(own.mean) != n:
        raise DataError(f"{path}: its samples have {n} features; the model takes {len(own.mean)}")
    size = X.size * np.dtype(dtype).itemsize
    if X.nbytes + 2 * size > memory_size():  # as it is, converted, and split into the parts that are trained on and not
        raise DataError(f"{path}: {what} takes {size} bytes as {np.dtype(dtype)}, too many for this machine's memory")
    X = X.reshape(len(X), n)
    made = own.features(X, dtype)
    if own.mean is not None and not np.isfinite(made).all():
        _check.finite(X.astype(np.float64), f"{path}: {what}", error=DataError)
    _check.finite(made, f"{path}: {what}", error=DataError)
    return made


def _labels(path: Path, what: str, y: np.ndarray, m: int) -> np.ndarray:
    """Labels (m,) of classes, as text or numbers; of one-hot rows the numbers of their columns."""
    y = y.reshape(len(y)) if y.ndim == 2 and y.shape[1] == 1 else y
    if y.ndim == 2 and y.dtype.kind in "biuf":
        if not (((y == 0) | (y == 1)).all() and (np.count_nonzero(y, axis=1) == 1).all()):
            raise DataError(f"{path}: {what} has shape {y.shape}; expected ({m},) labels of classes, or one 1 in each row of 0")
        y = y.argmax(axis=1)
    if y.dtype.kind not in "biufUS" or y.ndim != 1:
        raise DataError(f"{path}: {what} has dtype {y.dtype} and shape {y.shape}; expected ({m},) labels of classes")
    if len(y) != m:
        raise DataError(f"{path}: {what} has {len(y)} labels; expected {m}, one for each sample")
    if y.dtype.kind == "S":
        y = np.char.decode(y, "utf-8", "backslashreplace")
    return y
