"""Labelled samples for classification: the embedded digits, other people's files, and a fair split.

Every reader here treats its file as hostile: sizes are checked before memory is asked for, and whatever is wrong
ends in a :class:`DataError` of one line that names the file and what was expected.
"""

from __future__ import annotations

import gzip
import io
import math
import os
import re
import stat
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import DTypeLike

from . import _check
from ._check import memory_size
from .io import DEFLATE_RATIO, open_file, read_npz, words

_IDX_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_MOST_AXES = 4  # of samples: height, width and channels of images
_IDX_NAME = re.compile(r"(train|t10k)-(images|labels)[-.]idx\d-ubyte(\.gz)?")


class DataError(ValueError):
    """Data that cannot be read or believed; the text names the file and what was expected."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """Samples as rows, with their labels.

    X : (m, n) float32 or float64, grey levels scaled to [0, 1].  y : (m,) int64, classes 0, 1, 2, ...; None only where
    the caller of :func:`load` said that labels may be missing.  X_test, y_test : a test set that came along, or None.
    image_shape : (height, width), or (height, width, channels), of a sample, or None where samples are no images.
    scale : the number by which the raw features were divided.
    """

    X: np.ndarray
    y: np.ndarray | None
    X_test: np.ndarray | None = None
    y_test: np.ndarray | None = None
    image_shape: tuple[int, ...] | None = None
    name: str = ""
    scale: float = 1.0


def load_digits() -> tuple[np.ndarray, np.ndarray]:
    """The 1797 handwritten digits of 8 x 8 grey levels that come with fastlec.

    Returns X (1797, 64) float64 in [0, 1] (the levels 0..16 divided by 16) and y (1797,) int64 in 0..9. DataError if the file with
    them is missing or damaged.

    >>> X, y = fastlec.data.load_digits()
    >>> X.shape, X.min(), X.max(), y[:5]
    ((1797, 64), 0.0, 1.0, array([0, 1, 2, 3, 4]))

    E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998,
    licence CC BY 4.0. This is the test part of that collection.
    """
    arrays = read_npz(Path(__file__).with_name("digits.npz"), DataError)
    return arrays["X"] / 16.0, arrays["y"].astype(np.int64)


def digits(dtype: DTypeLike = np.float64) -> Dataset:
    """The digits of :func:`load_digits` as a :class:`Dataset`, X in dtype (float32 or float64)."""
    X, y = load_digits()
    return Dataset(X.astype(_check.layer_dtype(dtype)), y, image_shape=(8, 8), name="digits (UCI, 8 x 8)", scale=16.0)


def load(
    path: str | os.PathLike, *, dtype: DTypeLike = np.float64, scale: float | None = None, n_features: int | None = None
) -> Dataset:
    """Read labelled samples from ``path``, which may be

    - a folder with ``train-images-idx3-ubyte`` and ``train-labels-idx1-ubyte`` (MNIST and its relatives), and perhaps
      the same for ``t10k``; with a dot for the last hyphen but one, and gzip-compressed (``.gz``), or not;
    - an ``.npz`` with X (m, n) or images (m, height, width) and y (m,), and perhaps X_test and y_test;
    - a ``.csv`` or ``.csv.gz`` of numbers, the label in the last column, with or without a line of names on top.

    dtype : float32 or float64, of X.
    scale : divisor of the raw features. Without it, whole numbers that span 0..255 are taken for pixels and divided by
        255 (by 16 if none is above 16, by 1 if none is above 1), of square images where n is a square; other features are left
        as they are.
    n_features : given, labels may be missing: a CSV of exactly that many columns, an ``.npz`` without y, or one IDX
        file of images; and samples of another length are refused.

    Raises DataError if anything is missing, malformed, not finite, or of shapes that do not match.
    """
    dtype, path = _check.layer_dtype(dtype), Path(_check.path(path))
    scale = None if scale is None else _check.positive(scale, "scale")
    n_features = None if n_features is None else _check.count(n_features, "n_features", 1)
    name = path.name.lower().removesuffix(".gz")
    kind = _file_type(path)
    idx = kind == stat.S_IFDIR or re.search(r"idx\d-ubyte$", name)
    if kind == stat.S_IFDIR:
        raw = _read_folder(path)
    elif kind != stat.S_IFREG:
        raise DataError(f"{path}: is neither a file nor a folder")
    elif idx:
        raw = {"X": _read_idx(path)}
    elif name.endswith(".npz"):
        raw = read_npz(path, DataError)
    elif name.endswith(".csv"):
        raw = _read_csv(path, n_features)
    else:
        raise DataError(f"{path}: is of no known kind; expected a folder of IDX files, .npz, .csv or .csv.gz")
    if "X" not in raw or ("y" not in raw and n_features is None):
        raise DataError(f"{path}: holds {', '.join(sorted(raw)) or 'nothing'}; expected X and y")
    if ("X_test" in raw) != ("y_test" in raw):
        raise DataError(f"{path}: holds one of X_test and y_test; expected both or neither")

    X = _samples(path, "X", raw["X"])
    n = math.prod(X.shape[1:])
    if n_features not in (None, n):
        raise DataError(f"{path}: its samples have {n} features; expected {n_features}")
    image_shape = X.shape[1:] if X.ndim > 2 else None
    if scale is None:
        scale = 255.0 if idx and X.dtype == np.uint8 else _grey_levels(X)
        if image_shape is None and scale != 1:
            image_shape = square(n)
    parts = {"X": _features(path, "X", X, n, scale, dtype), "y": None}
    if "X_test" in raw:
        parts["X_test"] = _features(path, "X_test", _samples(path, "X_test", raw["X_test"]), n, scale, dtype)
    for labels, features in (("y", "X"), ("y_test", "X_test")):
        if labels in raw:
            parts[labels] = _labels(path, labels, raw[labels], len(parts[features]))
    return Dataset(**parts, image_shape=image_shape, name=path.name, scale=float(scale))


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


def class_count(y: np.ndarray, name: str) -> int:
    """Number of classes in the labels ``y`` of the data called ``name``: the largest label + 1.

    Raises DataError if there is one class only, or more classes than samples: labels that are no class numbers.
    """
    y = _whole_labels(y)
    n_classes, m = int(y.max(initial=0)) + 1, len(y)
    if n_classes < 2:
        raise DataError(f"{name}: every label is 0; expected two classes or more")
    if n_classes > m:
        raise DataError(f"{name}: has the label {n_classes - 1} among {m} samples; expected class numbers 0, 1, ... below {m}")
    return n_classes


def split(y: np.ndarray, *, fraction: float = 0.2, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Stratified split into a training and a validation part: every class gives the same share.

    y : (m,) integer labels.  fraction : share of the validation part, in (0, 1); a class of two samples or more gives at
    least one sample to each part, a class of one sample gives it to the training part.
    Returns two sorted arrays of row numbers, the same ones for the same labels, fraction and seed.
    Raises ValueError if fraction is not inside (0, 1), DataError if no class has two samples.
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


def _read_folder(path: Path) -> dict[str, np.ndarray]:
    found = {}
    try:
        files = sorted(path.iterdir(), reverse=True)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {words(error)}") from error
    for file in files:  # so that a plain file comes after, and replaces, its .gz
        if match := _IDX_NAME.fullmatch(file.name.lower()):
            found[match[1], match[2]] = file
    if not {("train", "images"), ("train", "labels")} <= set(found):
        raise DataError(f"{path}: expected the files train-images-idx3-ubyte and train-labels-idx1-ubyte (or .gz) in it")
    if (("t10k", "images") in found) != (("t10k", "labels") in found):
        raise DataError(f"{path}: has t10k images or labels, not both")
    names = {("train", "images"): "X", ("train", "labels"): "y", ("t10k", "images"): "X_test", ("t10k", "labels"): "y_test"}
    return {names[role]: _read_idx(file) for role, file in found.items()}


def _read_csv(path: Path, n_features: int | None) -> dict[str, np.ndarray]:
    def lines(text: io.TextIOWrapper) -> Iterator[str]:
        left = memory_size() // 8  # a value takes two characters or more, and eight bytes twice over
        while line := text.readline(left):
            left -= len(line)
            if left <= 0:
                raise DataError(f"{path}: is too large for this machine's memory")
            if line.strip():
                yield line

    with _open(path) as stream, io.TextIOWrapper(stream, encoding="utf-8") as text:
        try:
            rows = lines(text)
            first = next(rows, "")
            if not any(map(_is_number, first.split(","))):  # a line of names
                first = next(rows, "")
            if not first:
                raise DataError(f"{path}: holds no samples")
            table = np.loadtxt(chain([first], rows), delimiter=",", comments=None, ndmin=2)
        except DataError:
            raise
        except ValueError as error:
            raise DataError(f"{path}: expected a table of numbers: {str(error).split(';')[0]}") from error
    if table.shape[1] == n_features:
        return {"X": table}
    return {"X": table[:, :-1], "y": table[:, -1]}


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _samples(path: Path, what: str, X: np.ndarray) -> np.ndarray:
    if X.dtype.kind not in "biuf":
        raise DataError(f"{path}: {what} has dtype {X.dtype}; expected real numbers")
    if not 2 <= X.ndim <= _MOST_AXES or X.size == 0:
        raise DataError(f"{path}: {what} has shape {X.shape}; expected (samples, features) or (samples, height, width)")
    return X


def _grey_levels(X: np.ndarray) -> float:
    """255 or 16 if X holds whole grey levels from 0 to at most that, else 1."""
    low, top = X.min(), X.max()
    if low < 0 or not 1 < top <= 255 or (X.dtype.kind == "f" and (np.rint(X) != X).any()):
        return 1.0
    return 16.0 if top <= 16 else 255.0


def _features(path: Path, what: str, X: np.ndarray, n: int, scale: float, dtype: DTypeLike) -> np.ndarray:
    if math.prod(X.shape[1:]) != n:
        raise DataError(f"{path}: {what} has shape {X.shape}; expected samples of {n} features, as in X")
    size = X.size * np.dtype(dtype).itemsize
    if X.nbytes + 2 * size > memory_size():  # as it is, converted, and split into the parts that are trained on and not
        raise DataError(f"{path}: {what} takes {size} bytes as {np.dtype(dtype)}, too many for this machine's memory")
    with np.errstate(all="ignore"):  # what comes of it is looked at next
        X = X.reshape(len(X), n).astype(dtype)
        X /= X.dtype.type(scale)
    _check.finite(X, f"{path}: {what}", error=DataError)
    return X


def _labels(path: Path, what: str, y: np.ndarray, m: int) -> np.ndarray:
    if y.dtype.kind not in "biuf" or y.ndim != 1:
        raise DataError(f"{path}: {what} has dtype {y.dtype} and shape {y.shape}; expected ({m},) class numbers")
    if len(y) != m:
        raise DataError(f"{path}: {what} has {len(y)} labels; expected {m}, one for each sample")
    valid = (y >= 0) & (y < 2**31) & (y == np.rint(y))
    if not valid.all():
        row = int(np.argmin(valid))
        raise DataError(f"{path}: {what}[{row}] is {y[row]}; expected a class number 0, 1, 2, ...")
    return y.astype(np.int64)
