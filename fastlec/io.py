"""Model files: named arrays and a few facts in one ``.npz`` or ``.safetensors``, read without pickle and written all or nothing.

``save_arrays`` and ``load_arrays`` know nothing of models; ``save_model`` and ``load_model`` leave the
arrays and facts of a model to its class, which has registered itself. A file is believed only where its parts agree: the size of
every array follows from its header and is compared with the archive's own sizes before any memory is asked for.

All that fastlec writes, models, pictures, predictions, tables, goes through :func:`replacing`, and all that it reads is opened by
:func:`open_file`.
"""

from __future__ import annotations

import errno
import fcntl
import importlib
import itertools
import json
import math
import os
import re
import secrets
import stat
import zipfile
import zlib
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, TypeVar

import numpy as np

from . import _check
from ._check import memory_size

if TYPE_CHECKING:
    from ._typing import ArrayLike, NDArray

__all__ = ["ModelError", "load_arrays", "load_model", "save_arrays", "save_model"]

FORMAT, VERSION = "fastlec", 1
DEFLATE_RATIO = 1032  # deflate cannot pack more than 1032 bytes into one: a header that claims more is lying
_META_BYTES = 1 << 20  # of text that is packed smaller than it is; other text may be as long as the file is
_WITH_CHECKSUM = re.compile(r'(.*), "(.{5})": "(.{8})"}', re.DOTALL)  # also where a bit of the checksum itself has changed
_TEMPORARY = re.compile(r"\.fastlec-[0-9a-f]{16}\.tmp")


def __dir__() -> list[str]:
    return __all__


class ModelError(ValueError):
    """A model file that cannot be read, written or believed; the text names the file and what was expected.

    See Also
    --------
    fastlec.io.load_model, fastlec.Network.load

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     try:
    ...         fastlec.Network.load(Path(folder, "none.npz"))
    ...     except fastlec.io.ModelError as error:
    ...         print("No such file" in str(error))
    True
    """


class _Storable(Protocol):
    def to_file(self) -> tuple[dict[str, Any], dict[str, Any]]: ...


Class = TypeVar("Class", bound=type)
_models: dict[str, Any] = {}  # kind -> the class whose models are of that kind


def register_model(kind: str) -> Callable[[Class], Class]:
    """A decorator for a class whose models `save_model` writes, and `load_model` reads, as files of that kind.

    The class has a method ``to_file() -> (arrays, facts)``, the arrays by name and a dict of what JSON can hold, and a class method
    ``from_file(path, arrays, facts)``, which makes a model of them, or raises ModelError where they are none; path is for its text.
    """

    def registered(cls: Class) -> Class:
        _models[kind] = cls
        return cls

    return registered


def requirement(path: str | os.PathLike[str]) -> Callable[[bool, str], None]:
    """A function require(condition, text) that raises ModelError, which names the file, unless the condition holds."""

    def require(condition: bool, text: str) -> None:
        if not condition:
            raise ModelError(f"{path}: {text}")

    return require


def save_model(path: str | os.PathLike[str], model: _Storable) -> None:
    """Write a model of the course to a file, all or nothing.

    A file already there is replaced only once the new one is complete. A network has a method of its own, `Network.save`.

    Parameters
    ----------
    path : path_like
        The file, .safetensors (by that library) or .npz.
    model : SoftmaxModel or another of a registered class
        The model.

    Raises
    ------
    TypeError
        It is of another class.
    ModelError
        The model is not one that `load_model` would accept, or the file cannot be written.

    See Also
    --------
    load_model, save_arrays, fastlec.Network.save

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> import numpy as np
    >>> from fastlec.course.models import SoftmaxModel
    >>> with TemporaryDirectory() as folder:
    ...     fastlec.io.save_model(Path(folder, "model.npz"), SoftmaxModel(np.eye(2), np.zeros(2)))
    ...     again = fastlec.io.load_model(Path(folder, "model.npz"))
    >>> again.W
    array([[1., 0.],
           [0., 1.]])
    """
    kinds = {cls: kind for kind, cls in _models.items()}
    if type(model) not in kinds:
        raise TypeError(f"model is a {type(model).__name__}; expected a model of a kind that files hold")
    arrays, facts = model.to_file()
    meta = {"kind": kinds[type(model)], **facts}
    model.from_file(path, arrays, meta)
    save(path, arrays, meta)


def load_model(path: str | os.PathLike[str]) -> Any:
    """Read a model that `save_model` or ``fastlec train`` wrote.

    Parameters
    ----------
    path : path_like
        The file.

    Returns
    -------
    SoftmaxModel or another of a registered class
        The model. A file that ``fastlec train`` wrote for softmax regression gives a `fastlec.course.models.SoftmaxModel`.

    Raises
    ------
    ModelError
        A name, shape, dtype or value is not as expected, or the file is a network's, which `Network.load` reads.
    ImportError
        The library that reads .safetensors is missing.

    See Also
    --------
    save_model, fastlec.Network.load

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> import numpy as np
    >>> from fastlec.course.models import SoftmaxModel
    >>> with TemporaryDirectory() as folder:
    ...     fastlec.io.save_model(Path(folder, "model.npz"), SoftmaxModel(np.eye(2), np.zeros(2)))
    ...     fastlec.io.load_model(Path(folder, "model.npz")).b
    array([0., 0.])
    """
    arrays, meta = load(path)
    kind = meta.get("kind")
    if kind not in _models:
        importlib.import_module("fastlec.course.models")  # whose kinds are then registered
    if kind not in _models:
        raise ModelError(f"{path}: holds a model of kind {kind!r}; expected {' or '.join(map(repr, _models))}")
    return _models[kind].from_file(path, arrays, meta)


def file_kind(path: str | os.PathLike[str]) -> Any:
    """What kind of model a file says it holds: "softmax", "network", ... ModelError if it holds none."""
    return load(path)[1].get("kind")


def check_path(path: str | os.PathLike[str]) -> None:
    """Before long work: ModelError if no model can be written to ``path``, ImportError without the library that this takes."""
    if _is_safetensors(path, writing=True):
        _safetensors()
    writable(path)


def _is_safetensors(path, writing: bool = False) -> bool:
    suffix = Path(_check.path(path)).suffix.lower()
    if writing and suffix not in ("", ".npz", ".safetensors"):
        raise ModelError(f"{path}: cannot be written: a model's name ends with .npz or .safetensors")
    return suffix == ".safetensors"


def save(path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
    """Write named arrays and ``meta`` (what JSON can hold) to ``path``, all or nothing: .safetensors by that library, else .npz."""
    (_save_safetensors if _is_safetensors(path, writing=True) else save_arrays)(path, arrays, meta)


def load(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read the arrays, by name, and the facts of a file that :func:`save` wrote. ModelError if it is none, or not complete."""
    return (_load_safetensors if _is_safetensors(path) else load_arrays)(path)


def save_arrays(path: str | os.PathLike[str], arrays: Mapping[str, ArrayLike], meta: Mapping[str, Any]) -> None:
    """Write named arrays and facts to an .npz file, all or nothing.

    A failure, whenever it comes, leaves an older file as it was.

    Parameters
    ----------
    path : path_like
        The file.
    arrays : dict of str to array_like
        The arrays, of numbers or text. The name "meta" is taken.
    meta : dict
        Facts: what JSON can hold.

    Raises
    ------
    ModelError
        The file cannot be written.
    TypeError
        An argument is no dict, or holds something else.

    See Also
    --------
    load_arrays, save_model

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     fastlec.io.save_arrays(Path(folder, "a.npz"), {"a": [1.0, 2.0]}, {"unit": "m"})
    ...     arrays, meta = fastlec.io.load_arrays(Path(folder, "a.npz"))
    >>> arrays, meta["unit"]
    ({'a': array([1., 2.])}, 'm')
    """
    for name, given in (("arrays", arrays), ("meta", meta)):
        if not isinstance(given, Mapping):
            raise TypeError(f"{name} is a {type(given).__name__}; expected a dict")
    text, arrays = _meta_text(meta), {name: _check.as_array(a, f"arrays[{name!r}]") for name, a in arrays.items()}
    for name, a in arrays.items():
        if a.dtype.hasobject:
            raise TypeError(f"arrays[{name!r}] has dtype {a.dtype}; expected numbers or text")
    with replacing(path) as file:
        archive = zipfile.ZipFile(file, "w")
        try:
            for name, array in {"meta": np.array(text), **arrays}.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, _check.as_array(array, name), allow_pickle=False)
            archive.close()
        finally:
            archive.fp = None  # else, where an exception left an entry open, closing would raise another one in its place


class FreeName(os.PathLike):
    """A path to save to where no file is ever replaced: while there is one, model.npz, the name counts up, model-2.npz,
    model-3.npz, ... Whatever saves takes it for a path; from then on it is the path that was written."""

    def __init__(self, path: str | os.PathLike[str]):
        self.path = Path(path)

    def __fspath__(self) -> str:
        return os.fspath(self.path)

    def __str__(self) -> str:
        return str(self.path)


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A new file beside ``path``, open for writing, which takes the place of the one at ``path`` once all went well: it is then
    complete and on the disk.

    What a process that was killed here has left in the folder is removed by the next one. Raises ModelError where the system
    refuses to write.
    """
    target = _target(path)
    try:
        with _temporary(target.parent) as file:
            with suppress(OSError):  # there is none yet
                os.fchmod(file.fileno(), stat.S_IMODE(target.stat().st_mode))
            yield file
            file.flush()
            os.fsync(file.fileno())
            if isinstance(path, FreeName):
                name = _move_to_free_name(file.name, target)
                path.path = name if path.path.is_symlink() else path.path.with_name(name.name)
            else:
                os.replace(file.name, target)
    except OSError as error:
        raise ModelError(f"{path}: cannot be written: {words(error)}") from error


def save_text(path: str | os.PathLike[str], text: str) -> None:
    """Write text in UTF-8, all or nothing. ModelError if the file cannot be written."""
    with replacing(path) as file:
        file.write(text.encode())


def writable(path: str | os.PathLike[str], n_bytes: int = 0) -> Path:
    """``path`` with links followed; ModelError unless a file can be written, or replaced, there, and the disk has as much room."""
    target = _target(path)
    try:
        with _temporary(target.parent):
            disk = os.statvfs(target.parent)
    except OSError as error:
        raise ModelError(f"{path}: cannot be written: {words(error)}") from error
    free = disk.f_bfree * disk.f_frsize
    if disk.f_blocks and free < n_bytes:  # a file system that does not say has 0 blocks
        raise ModelError(f"{path}: cannot be written: it takes {n_bytes} bytes, and {free} are left on the disk")
    return target


def _target(path: str | os.PathLike[str]) -> Path:
    """``path`` with links followed; ModelError unless it is in a folder, and free, or a file that may be replaced."""
    try:
        target = Path(os.path.realpath(_check.path(path)))
        there = _status(target)
        folder = target.parent.is_dir()
    except (OSError, ValueError) as error:  # ValueError: a null byte
        raise ModelError(f"{path}: cannot be written: {words(error)}") from error
    if not folder:
        raise ModelError(f"{path}: cannot be written: there is no folder {target.parent}")
    if there and not isinstance(path, FreeName):
        if not stat.S_ISREG(there.st_mode):
            raise ModelError(f"{path}: cannot be written: it is not a regular file")
        if not os.access(target, os.W_OK):
            raise ModelError(f"{path}: cannot be written: {os.strerror(errno.EACCES)}")
    return target


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None


@contextmanager
def _temporary(folder: Path) -> Iterator[BinaryIO]:
    """A new file in ``folder``, open for writing, whose name is gone in the end. It is locked as long as its process lives: those
    of processes that were killed are known by that, and removed."""
    with suppress(OSError):  # a folder that may not be listed
        for entry in os.scandir(folder):
            if _TEMPORARY.fullmatch(entry.name):
                _remove_if_unlocked(entry.path)
    while True:
        path = folder / f".fastlec-{secrets.token_hex(8)}.tmp"
        file = open(path, "xb")  # noqa: SIM115, closed below
        with suppress(OSError):  # a file system without locks: then nobody gets one, and nothing is removed
            fcntl.flock(file, fcntl.LOCK_EX)
        if os.fstat(file.fileno()).st_nlink:
            break
        file.close()  # another process saw it before it was locked, and removed it
    try:
        with file:
            yield file
    finally:
        path.unlink(missing_ok=True)


def _remove_if_unlocked(path: str) -> None:
    """Remove a file, unless a process has it locked, or it is another user's."""
    with suppress(OSError), open(path, "rb+", opener=_open_regular) as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(path)


def _move_to_free_name(source: str, target: Path) -> Path:
    """The file's new name: ``target``, or the first that is free of those that count up from it."""
    for number in itertools.count(1):
        name = target if number == 1 else target.with_name(f"{target.stem}-{number}{target.suffix}")
        if os.path.lexists(name):
            continue
        try:
            os.link(source, name)  # which, unlike a rename, never replaces a file that has just come
        except FileExistsError:
            continue
        except OSError:  # a file system without hard links
            os.rename(source, name)
        return name


def open_file(path: str | os.PathLike[str]) -> BinaryIO:
    """``path`` open for reading. OSError, at once, for what is no regular file: a device or a pipe may never begin or never end."""
    return open(_check.path(path), "rb", opener=_open_regular)


def _open_regular(path, flags: int) -> int:
    descriptor = os.open(path, flags | os.O_NONBLOCK)
    mode = os.fstat(descriptor).st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):  # open() itself refuses folders
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is not a regular file", path)
    os.set_blocking(descriptor, True)
    return descriptor


def words(error: BaseException) -> str:
    """What an exception says, without the number and the file of an OSError."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _safetensors():
    try:
        import safetensors.numpy
    except ImportError as error:
        raise ImportError(".safetensors files need that library: pip install 'fastlec[safetensors]'") from error
    return safetensors


def _save_safetensors(path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
    arrays = {name: np.ascontiguousarray(a, a.dtype.newbyteorder("=")) for name, a in arrays.items()}
    facts = _meta_text(meta).removesuffix("}")
    text = f'{facts}, "crc32": "{_checksum(facts, arrays)}"}}'
    content = _safetensors().numpy.save(arrays, {"meta": text})
    with replacing(path) as file:
        file.write(content)


def _load_safetensors(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """As load_arrays. A file without a checksum is one from before there were any."""
    arrays, text = _read_safetensors(path)
    meta = _meta(path, text)
    require_finite(path, arrays)
    return arrays, meta


def _read_safetensors(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], str | None]:
    """The arrays of any such file, and the text of the facts where there is one. The library compares every size with the file's
    before it makes an array."""
    library = _safetensors()
    try:
        with open_file(path) as file:
            if os.fstat(file.fileno()).st_size > memory_size():
                raise ValueError("it is larger than this machine's memory")
            content = file.read()
        arrays = library.numpy.load(content)
        start = 8 + int.from_bytes(content[:8], "little")
        text = (json.loads(content[8:start]).get("__metadata__") or {}).get("meta")
        said = text and _WITH_CHECKSUM.fullmatch(text)
        if said and said.groups()[1:] != ("crc32", _checksum(said[1], arrays)):
            raise ValueError("its checksum is not that of its content")
    except MemoryError:
        raise
    except Exception as error:  # the library's own, and those of NumPy for dtypes that it lacks
        raise ModelError(f"{path}: cannot be read as .safetensors: {words(error)}") from error
    return arrays, text


def read_tensors(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """The arrays of any .safetensors or .npz file, whoever wrote it. Raises ModelError if it cannot be read."""
    if _is_safetensors(path):
        return _read_safetensors(path)[0]
    return {name: a for name, a in read_npz(path).items() if a.dtype.kind != "U"}


def _checksum(facts: str, arrays: Mapping[str, np.ndarray]) -> str:
    """Of the facts, and of every array with its name, dtype and shape, in whatever order they are."""
    crc = zlib.crc32(facts.encode())
    for name in sorted(arrays):
        a = arrays[name]
        crc = zlib.crc32(a, zlib.crc32(f"{name} {a.dtype} {a.shape}".encode(), crc))
    return f"{crc:08x}"


def load_arrays(path: str | os.PathLike[str]) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Read the arrays and facts that `save_arrays` wrote.

    Parameters
    ----------
    path : path_like
        The file.

    Returns
    -------
    arrays : dict of str to ndarray
        The arrays, by name.
    meta : dict
        The facts.

    Raises
    ------
    ModelError
        The file is not complete, is of another format or version, or holds numbers that are not finite.

    See Also
    --------
    save_arrays, load_model

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     fastlec.io.save_arrays(Path(folder, "a.npz"), {"a": [1.0, 2.0]}, {})
    ...     arrays, meta = fastlec.io.load_arrays(Path(folder, "a.npz"))
    >>> arrays["a"]
    array([1., 2.])
    """
    arrays = read_npz(path)
    text = arrays.pop("meta", None)
    meta = _meta(path, None if text is None or text.dtype.kind != "U" else str(text))
    require_finite(path, arrays)
    return arrays, meta


def _meta_text(meta: Mapping[str, Any]) -> str:
    try:
        return json.dumps({"format": FORMAT, "version": VERSION, **meta})
    except (TypeError, ValueError, RecursionError) as error:
        raise TypeError(f"meta holds what JSON cannot: {error}") from None


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


def require_finite(path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray]) -> None:
    """ModelError, which names the array, unless all numbers are finite."""
    for name, array in arrays.items():
        if array.dtype.kind not in "biuf":
            raise ModelError(f"{path}: {name} has dtype {array.dtype}; expected real numbers")
        if not np.isfinite(array).all():
            raise ModelError(f"{path}: {name} holds NaN or infinity; expected finite numbers")


def read_npz(
    path: str | os.PathLike[str],
    error: type[ValueError] = ModelError,
    wanted: Callable[[list[str]], Container[str]] | None = None,
) -> dict[str, np.ndarray]:
    """The arrays of any ``.npz``: numbers of every shape, and single strings; nothing that needs pickle.

    wanted : of the names of all arrays those to read, which may be text of any shape; the other entries are not looked into.

    Every header is checked against the sizes in the archive, and their sum against the machine's memory, before
    the first array is allocated. Raises ``error`` (ModelError, or the caller's own kind) with one line.
    """
    try:
        with open_file(path) as file, zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            if wanted is not None:
                members = [member for member in members if member.filename.endswith(".npy")]
                chosen = wanted([member.filename.removesuffix(".npy") for member in members])
                members = [member for member in members if member.filename.removesuffix(".npy") in chosen]
            for member in members:
                _check_member(archive, member, texts=wanted is not None)
            if sum(member.file_size for member in members) > memory_size():
                raise ValueError("its arrays are larger than this machine's memory")
            if len({member.filename for member in members}) < len(members):
                raise ValueError("two entries have the same name")
            return {member.filename.removesuffix(".npy"): _read_member(archive, member) for member in members}
    except MemoryError:
        raise
    except Exception as problem:  # hostile bytes surface as nearly anything
        raise error(f"{path}: cannot be read as .npz: {words(problem)}") from problem


def npz_headers(path: str | os.PathLike) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
    """{name: (shape, dtype)} of the arrays in an ``.npz``, of which only the headers are read. ValueError if that cannot be."""
    try:
        with open_file(path) as file, zipfile.ZipFile(file) as archive:
            found = {}
            for member in archive.infolist():
                if member.filename.endswith(".npy"):
                    with archive.open(member) as stream:
                        found[member.filename.removesuffix(".npy")] = _header(stream, member.filename)
            return found
    except Exception as problem:  # as in read_npz
        raise ValueError(f"{path}: cannot be read as .npz: {words(problem)}") from problem


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


def _check_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, texts: bool) -> None:
    name = member.filename
    if not name.endswith(".npy"):
        raise ValueError(f"entry {name!r} is not an array (.npy)")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"entry {name!r} is packed in a way that NumPy does not write")
    with archive.open(member) as stream:
        shape, dtype = _header(stream, name)
        size = math.prod(shape) * dtype.itemsize
        header = stream.tell()
    text = dtype.kind in "US" and (
        texts or (dtype.kind == "U" and shape == () and size <= max(_META_BYTES, member.compress_size))
    )
    if dtype.kind not in "biuf" and not text:
        pickled = ", which is pickled" if dtype.hasobject else ""
        raise ValueError(f"entry {name!r} has dtype {dtype}{pickled}; expected real numbers{' or text' if texts else ''}")
    if min(shape, default=0) < 0 or header + size != member.file_size:
        raise ValueError(f"entry {name!r} has {member.file_size} bytes; its header says shape {shape}, {header + size} bytes")
    if member.file_size > DEFLATE_RATIO * (member.compress_size + 64):
        raise ValueError(f"entry {name!r} cannot hold the {member.file_size} bytes that it claims")


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    with archive.open(member) as stream:
        array = np.lib.format.read_array(stream, allow_pickle=False)
        stream.read()  # the end of the entry is where zipfile compares its checksum
    if array.dtype.kind == "U" and array.shape == ():
        str(array)  # ValueError for what is no text
    return array
