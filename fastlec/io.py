"""Model files: named arrays and a few facts in one ``.npz``, read without pickle and written all or nothing.

``save_arrays`` and ``load_arrays`` know nothing of models; ``save_model`` and ``load_model`` add the softmax
regression's names and checks. A file is believed only where its parts agree with each other: the size of every
array follows from its header and is compared with the archive's own sizes before any memory is asked for.
"""

from __future__ import annotations

import json
import math
import os
import secrets
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ._check import memory_size

FORMAT, VERSION = "fastlec", 1
DEFLATE_RATIO = 1032  # deflate cannot pack more than 1032 bytes into one: a header that claims more is lying
_META_BYTES = 1 << 20
_UNREADABLE = (OSError, EOFError, ValueError, KeyError, RuntimeError, NotImplementedError, OverflowError)
_UNREADABLE += (struct.error, zlib.error, zipfile.BadZipFile)


class ModelError(ValueError):
    """A model file that cannot be read, written or believed; the text names the file and what was expected."""


@dataclass(frozen=True, eq=False)
class SoftmaxModel:
    """A trained softmax regression.

    W : (l, n) float32 or float64, one row of weights for each class.  b : (l,), same dtype.
    image_shape : (height, width), or (height, width, channels), of a sample, or None.
    scale : the model expects raw features divided by this number (255 for bytes, 1 for features as they are).
    """

    W: np.ndarray
    b: np.ndarray
    image_shape: tuple[int, ...] | None = None
    scale: float = 1.0

    @property
    def theta(self) -> np.ndarray:
        """W raveled in C order, then b: the vector that ``SoftmaxObjective`` takes."""
        return np.concatenate([self.W.ravel(), self.b])


def save_model(path: str | os.PathLike, model: SoftmaxModel) -> None:
    """Write ``model`` to ``path``; a file already there is replaced only once the new one is complete.

    Raises ModelError if the model is not one that ``load_model`` would accept, or the file cannot be written.
    """
    meta = {
        "kind": "softmax",
        "n_classes": len(model.b),
        "dtype": str(model.W.dtype),
        "image_shape": model.image_shape and [int(size) for size in model.image_shape],
        "scale": float(model.scale),
    }
    _softmax_model(path, {"W": model.W, "b": model.b}, meta)
    save_arrays(path, {"W": model.W, "b": model.b}, meta)


def load_model(path: str | os.PathLike) -> SoftmaxModel:
    """Read a model that :func:`save_model` wrote; ModelError if any name, shape, dtype or value is not as expected."""
    return _softmax_model(path, *load_arrays(path))


def save_network(path: str | os.PathLike, net, facts: Mapping[str, Any] | None = None) -> None:
    """Write a `Network` of fastlec's own layers to ``path``, all or nothing: .safetensors by that library, else .npz.

    facts : what else :func:`read_network` is to give back, which JSON can hold.
    """
    meta = {"kind": "network", "dtype": str(net.theta.dtype), **net.config(), "facts": dict(facts or {})}
    arrays = net.params | net.buffers
    _require_finite(path, arrays)
    if Path(path).suffix == ".safetensors":
        _save_safetensors(path, arrays, meta)
    else:
        save_arrays(path, arrays, meta)


def load_network(path: str | os.PathLike):
    """The `Network` that :func:`save_network` wrote. ModelError if any name, shape, dtype or value is not as expected."""
    return read_network(path)[0]


def read_network(path: str | os.PathLike) -> tuple[Any, dict[str, Any]]:
    """As :func:`load_network`, and the facts that came with the network, unchecked."""
    from .network import build, shapes

    arrays, meta = _load(path)
    if meta.get("kind") != "network":
        raise ModelError(f"{path}: holds a model of kind {meta.get('kind')!r}; expected 'network'")
    if meta.get("dtype") not in ("float32", "float64"):
        raise ModelError(f"{path}: 'meta' says dtype {meta.get('dtype')!r}; expected 'float32' or 'float64'")
    try:
        expected = shapes(meta)
        if set(arrays) != set(expected):
            raise ModelError(f"{path}: holds the arrays {sorted(arrays)}; expected {sorted(expected)}")
        for name, array in arrays.items():
            if array.shape != expected[name] or array.dtype != np.dtype(meta["dtype"]):
                text = f"{name} is {array.dtype} of shape {array.shape}; expected {meta['dtype']} of shape {expected[name]}"
                raise ModelError(f"{path}: {text}")
        facts = meta.get("facts")
        return build(meta, arrays), facts if isinstance(facts, dict) else {}
    except ModelError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ModelError(f"{path}: 'meta' describes no network: {error}") from error


def file_kind(path: str | os.PathLike) -> Any:
    """What kind of model a file says it holds: "softmax", "network", ... ModelError if it holds none."""
    return _load(path)[1].get("kind")


def _load(path: str | os.PathLike) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    return _load_safetensors(path) if Path(path).suffix == ".safetensors" else load_arrays(path)


def save_arrays(path: str | os.PathLike, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
    """Write named arrays and ``meta`` (what JSON can hold) to an ``.npz`` at ``path``, all or nothing.

    The file is written beside ``path``, flushed to the disk, then renamed over it, so that a failure, whenever it
    comes, leaves an older file as it was. The name "meta" is taken. Raises ModelError if it cannot be written.
    """
    text = json.dumps({"format": FORMAT, "version": VERSION, **meta})
    if 4 * len(text) > _META_BYTES:
        raise ModelError(f"{path}: cannot be written: 'meta' has {len(text)} characters; expected at most {_META_BYTES // 4}")
    with replacing(path) as beside, open(beside, "xb") as file:
        with zipfile.ZipFile(file, "w") as archive:
            for name, array in {"meta": np.array(text), **arrays}.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, np.asarray(array), allow_pickle=False)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """A new name beside ``path`` to write to; the file there replaces the one at ``path`` once all went well.

    Raises ModelError where the system refuses it.
    """
    path = writable(path)
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        yield beside
        os.replace(beside, path)
    except OSError as error:
        raise ModelError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        beside.unlink(missing_ok=True)


def _safetensors():
    try:
        import safetensors.numpy
    except ImportError as error:
        raise ImportError(".safetensors files need that library: pip install 'fastlec[safetensors]'") from error
    return safetensors


def _save_safetensors(path: str | os.PathLike, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
    library, text = _safetensors(), json.dumps({"format": FORMAT, "version": VERSION, **meta})
    with replacing(path) as beside:
        library.numpy.save_file({name: np.ascontiguousarray(a) for name, a in arrays.items()}, beside, {"meta": text})
        with open(beside, "rb+") as file:
            os.fsync(file.fileno())


def _load_safetensors(path: str | os.PathLike) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """As load_arrays. The library compares every size with the file's before it makes an array."""
    library = _safetensors()
    try:
        with library.safe_open(path, framework="numpy") as file:
            meta = _meta(path, (file.metadata() or {}).get("meta"))
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, a handle is no dict
    except ModelError:
        raise
    except (
        OSError,
        library.SafetensorError,
        TypeError,
        AttributeError,
        ValueError,
    ) as error:  # the last three: dtypes NumPy lacks
        raise ModelError(f"{path}: cannot be read as .safetensors: {error}") from error
    _require_finite(path, arrays)
    return arrays, meta


def load_arrays(path: str | os.PathLike) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read the arrays, by name, and the facts that :func:`save_arrays` wrote.

    Raises ModelError unless the file is complete, of this format and version, and every number in it is finite.
    """
    arrays = read_npz(path)
    text = arrays.pop("meta", None)
    meta = _meta(path, None if text is None or text.dtype.kind != "U" else str(text))
    _require_finite(path, arrays)
    return arrays, meta


def _meta(path, text: str | None) -> dict[str, Any]:
    """The facts that come with a model's arrays, checked to be this release's."""
    if text is None:
        raise ModelError(f"{path}: holds no fastlec model; expected the entry 'meta' and the parameters")
    try:
        meta = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path}: 'meta' is not JSON: {error}") from error
    if not isinstance(meta, dict) or meta.get("format") != FORMAT or meta.get("version") != VERSION:
        raise ModelError(f"{path}: 'meta' does not say format {FORMAT!r}, version {VERSION}, the one that this release reads")
    return meta


def _require_finite(path, arrays: Mapping[str, np.ndarray]) -> None:
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise ModelError(f"{path}: {name} holds NaN or infinity; expected finite numbers")


def read_npz(path: str | os.PathLike, error: type[ValueError] = ModelError) -> dict[str, np.ndarray]:
    """The arrays of any ``.npz``: numbers of every shape, and single strings; nothing that needs pickle.

    Every header is checked against the sizes in the archive, and their sum against the machine's memory, before
    the first array is allocated. Raises ``error`` (ModelError, or the caller's own kind) with one line.
    """
    try:
        with open(path, "rb") as file, zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            for member in members:
                _check_member(archive, member)
            if sum(member.file_size for member in members) > memory_size():
                raise ValueError("its arrays are larger than this machine's memory")
            if len({member.filename for member in members}) < len(members):
                raise ValueError("two entries have the same name")
            return {member.filename.removesuffix(".npy"): _read_member(archive, member) for member in members}
    except _UNREADABLE as problem:
        text = getattr(problem, "strerror", None) or problem or type(problem).__name__
        raise error(f"{path}: cannot be read as .npz: {text}") from problem


def writable(path: str | os.PathLike) -> Path:
    """``path`` with links followed; ModelError unless a file can be written, or replaced, there."""
    path = Path(os.path.realpath(path))
    if not path.parent.is_dir():
        raise ModelError(f"{path}: cannot be written: there is no folder {path.parent}")
    if path.exists() and not stat.S_ISREG(path.stat().st_mode):
        raise ModelError(f"{path}: cannot be written: it is not a regular file")
    return path


def _header(stream, name: str) -> tuple[tuple[int, ...], np.dtype]:
    try:
        version = np.lib.format.read_magic(stream)
        read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
        shape, _, dtype = read(stream)
    except (zipfile.BadZipFile, zlib.error):
        raise
    except Exception as error:  # NumPy hands hostile text to Python's own parser, which fails in many ways
        raise ValueError(f"entry {name!r} has no valid npy header") from error
    return shape, dtype


def _check_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    name = member.filename
    if not name.endswith(".npy"):
        raise ValueError(f"entry {name!r} is not an array (.npy)")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"entry {name!r} is packed in a way that NumPy does not write")
    with archive.open(member) as stream:
        shape, dtype = _header(stream, name)
        size = math.prod(shape) * dtype.itemsize
        header = stream.tell()
    text = dtype.kind == "U" and shape == () and size <= _META_BYTES
    if dtype.kind not in "biuf" and not text:
        raise ValueError(f"entry {name!r} has dtype {dtype}; expected real numbers")
    if min(shape, default=0) < 0 or header + size != member.file_size:
        raise ValueError(f"entry {name!r} has {member.file_size} bytes; its header says shape {shape}, {header + size} bytes")
    if member.file_size > DEFLATE_RATIO * (member.compress_size + 64):
        raise ValueError(f"entry {name!r} cannot hold the {member.file_size} bytes that it claims")


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    with archive.open(member) as stream:
        array = np.lib.format.read_array(stream, allow_pickle=False)
        stream.read()  # the end of the entry is where zipfile compares its checksum
    return array


def _softmax_model(path, arrays: dict[str, np.ndarray], meta: dict[str, Any]) -> SoftmaxModel:
    def require(condition: bool, text: str) -> None:
        if not condition:
            raise ModelError(f"{path}: {text}")

    kind, dtype = meta.get("kind"), meta.get("dtype")
    require(kind == "softmax", f"holds a model of kind {kind!r}; expected 'softmax'")
    require(set(arrays) == {"W", "b"}, f"holds the arrays {sorted(arrays)}; expected ['W', 'b']")
    W, b = arrays["W"], arrays["b"]
    require(W.ndim == 2 and W.size > 0, f"W has shape {W.shape}; expected (classes, features)")
    require(b.shape == W.shape[:1], f"b has shape {b.shape}; expected {W.shape[:1]} to match W of shape {W.shape}")
    require(meta.get("n_classes") == len(W), f"'meta' says {meta.get('n_classes')} classes; W has {len(W)} rows")
    require(dtype in ("float32", "float64"), f"'meta' says dtype {dtype!r}; expected 'float32' or 'float64'")
    require(W.dtype == b.dtype == np.dtype(dtype), f"W is {W.dtype} and b {b.dtype}; expected {dtype}")
    require(bool(np.isfinite(W).all() and np.isfinite(b).all()), "W or b holds NaN or infinity; expected finite numbers")
    return SoftmaxModel(W, b, *image_facts(path, meta, W.shape[1], f"W has {W.shape[1]} columns"))


def image_facts(path: str | os.PathLike, meta: Mapping[str, Any], n: int, whose: str) -> tuple[tuple[int, ...] | None, float]:
    """(image_shape or None, scale) of a model that takes n features; ModelError if they are not possible."""
    shape, scale = meta.get("image_shape"), meta.get("scale")
    whole = isinstance(shape, list) and 2 <= len(shape) <= 3 and all(type(size) is int and size > 0 for size in shape)
    if shape is not None and not (whole and math.prod(shape) == n):
        raise ModelError(f"{path}: 'meta' says image shape {shape}; {whose}")
    if not (isinstance(scale, float) and 0 < scale < math.inf):
        raise ModelError(f"{path}: 'meta' says scale {scale}; expected a positive number")
    return tuple(shape) if shape else None, scale
