"""Samples that are read block by block: files, stores and iterables that need not fit into memory."""

from __future__ import annotations

import copy
import itertools
import math
import mmap
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from . import _check
from ._typing import ArrayLike, FloatArray, IntArray, NDArray

if TYPE_CHECKING:
    from concurrent.futures import Future

BLOCK_BYTES = 1 << 25  # of samples as they are read
STREAMED_FROM = 1 << 30  # bytes of a memmap, or of what has rows and is no array, from which it is read block by block


class Block(NamedTuple):
    """A stream's block i: its samples from row start on."""

    i: int
    start: int
    X: FloatArray


class Stream:
    """Samples in files or stores, which are read block by block and ahead of what computes.

    Objectives, `fastlec.fit`, predictions, `fastlec.kmeans` and the estimators take one in place of X, and make one of their own
    of a memmap, or of anything with rows that is no array (of h5py or zarr), of more than 1 GiB. At most ``readers + 3`` blocks are
    in memory at a time. Targets are held in memory.

    Parameters
    ----------
    X : object
        Where the samples are: a memmap; anything with ``shape``, ``dtype`` and slices of rows, such as a dataset of h5py or an
        array of zarr; a list of paths of ``.npy`` files, or of ``.npz`` files with an array ``X``, one after the other; an
        iterable with a length of batches ``x`` or ``(x, y)``, which is gone through anew in every pass, and must give the same; or
        another stream, whose samples are then read in other blocks, or have other targets.
    y : array_like, optional
        The targets of all samples, of the first axis of X's length. None where there are none, or the files (as an array ``y``)
        or batches hold them.
    block_bytes : int, optional
        The size of a block. Blocks end where files and batches do: an ``.npz`` file, and a batch, is one block whatever its size.
    readers : int, optional
        The threads that read. Results do not depend on them.

    Attributes
    ----------
    shape : tuple of int
        Of all samples together.
    dtype : dtype
        float32 or float64, which the samples are converted to as they are read.
    y : ndarray or None
        The targets.

    Raises
    ------
    TypeError
        X is none of these.
    ValueError
        Files or batches do not fit together, or the number of targets is another.

    See Also
    --------
    fastlec.fit : Training, which shuffles blocks and the samples within them.
    fastlec.data.load : Whole data sets in memory.

    Examples
    --------
    >>> import numpy as np
    >>> import fastlec
    >>> batches = [(np.full((2, 3), i), np.full(2, i)) for i in range(4)]
    >>> stream = fastlec.data.Stream(batches)
    >>> stream
    Stream of 8 samples of shape (3,) and dtype float64, in 4 blocks
    >>> stream.y
    array([0, 0, 1, 1, 2, 2, 3, 3])
    """

    def __init__(self, X: object, y: ArrayLike | None = None, *, block_bytes: int = BLOCK_BYTES, readers: int = 1) -> None:
        block_bytes = _check.count(block_bytes, "block_bytes", 1)
        self.readers: int = _check.count(readers, "readers", 1, 64)
        self._parts: list[_Rows] = _parts(X)
        if not self._parts:
            raise ValueError("X has no files or batches; expected at least one")
        first = self._parts[0]
        for part in self._parts:
            if part.shape[1:] != first.shape[1:] or part.dtype != first.dtype:
                raise ValueError(
                    f"{part.name} holds {part.dtype} {part.shape}; "
                    f"expected samples as in {first.name}: {first.dtype} {first.shape[1:]}"
                )
        self.shape: tuple[int, ...] = (sum(len(part) for part in self._parts), *first.shape[1:])
        self.dtype: np.dtype[np.floating[Any]] = _check.float_dtype(first.dtype, "X")
        if 0 in self.shape:
            raise ValueError(f"X has shape {self.shape}; expected (samples, features), or more axes, none of them 0")
        self._functions: tuple[Callable[[NDArray[Any]], ArrayLike], ...] = ()  # that change samples as they are read
        if isinstance(X, Stream):
            self.shape, self.dtype, self._functions, y = X.shape, X.dtype, X._functions, X.y if y is None else y
        self.y: NDArray[Any] | None = _targets(self._parts, y, len(self))
        # of each block: the part that has it, that part's first row in the stream, the block's first and last row in the part
        self._ranges: list[tuple[_Rows, int, int, int]] = []
        start = 0
        for part in self._parts:
            rows = part.whole or max(block_bytes // max(part.row_bytes, 1), 1)
            for low in range(0, len(part), rows):
                self._ranges.append((part, start, low, min(low + rows, len(part))))
            start += len(part)
        self.in_order: bool = isinstance(first, _Batch)
        if self.in_order:
            self.readers = 1
        self._last: Block | None = None  # the block that rows were last asked of

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of values."""
        return math.prod(self.shape)

    @property
    def starts(self) -> list[int]:
        """The first row of each block."""
        return [start + low for _, start, low, _ in self._ranges]

    def __repr__(self) -> str:
        blocks = len(self._ranges)
        samples = f"{len(self)} samples of shape {self.shape[1:]} and dtype {self.dtype}"
        return f"Stream of {samples}, in {blocks} block{'s' * (blocks > 1)}"

    def astype(self, dtype: DTypeLike) -> Stream:
        """The same samples in another dtype.

        Parameters
        ----------
        dtype : dtype
            What they are converted to as they are read: float32 or float64.

        Returns
        -------
        Stream
            One of the same files, stores or batches.
        """
        other = copy.copy(self)
        other.dtype, other._last = _check.layer_dtype(dtype), None
        return other

    def map(self, function: Callable[[NDArray[Any]], ArrayLike]) -> Stream:
        """The same samples, changed as they are read: scaled, or shaped as images, say.

        Parameters
        ----------
        function : callable
            Takes the samples of a block, and gives as many; of one sample alone it must give what it gives of that sample in any
            block. Threads that read call it.

        Returns
        -------
        Stream
            One of the same files, stores or batches.

        Examples
        --------
        >>> import numpy as np
        >>> import fastlec
        >>> pixels = fastlec.data.Stream(np.full((4, 9), 255, np.uint8))
        >>> pixels.map(lambda x: x.reshape(-1, 1, 3, 3) / 255)[0]
        array([[[1., 1., 1.],
                [1., 1., 1.],
                [1., 1., 1.]]])
        """
        other = copy.copy(self)
        other._functions, other._last = (*self._functions, _check.function(function, "function")), None
        other.shape = (len(self), *other._changed(self[:1])[0].shape)
        return other

    def _changed(self, X: NDArray[Any]) -> FloatArray:
        """Samples as all functions leave them."""
        for function in self._functions:
            m, X = len(X), _check.as_array(function(X), "the result of function")
            if not X.ndim or len(X) != m:
                raise ValueError(f"function gave shape {X.shape} of {m} samples; expected as many")
        return _check.plain(X, self.dtype, "X")

    def __getitem__(self, which: int | slice | Sequence[int] | IntArray) -> FloatArray:
        """The samples of an index, a slice or an array of indices, in memory."""
        rows = np.arange(len(self))[which]
        found = np.empty((*rows.shape, *self.shape[1:]), self.dtype)
        of_block = np.searchsorted(self.starts, rows, "right") - 1
        wanted = np.unique(of_block)
        last = self._last
        blocks = [last] if last is not None and wanted.tolist() == [last.i] else self.blocks(wanted)
        for last in blocks:
            here = of_block == last.i
            found[here] = last.X[rows[here] - last.start]
        self._last = last
        return found

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("a Stream cannot become an array without a copy")
        _check.memory(self.size * self.dtype.itemsize, "X")
        return self[:] if dtype is None else self[:].astype(dtype, copy=False)

    def blocks(self, which: Iterable[int] | None = None) -> Iterator[Block]:
        """The samples, block by block, read ahead.

        Parameters
        ----------
        which : iterable of int, optional
            The numbers of blocks, in the order wanted. By default all.

        Yields
        ------
        Block
            ``i``, its number; ``start``, its first row; ``X``, its samples.
        """
        from concurrent.futures import ThreadPoolExecutor  # here: it takes long to import

        def read(i: int) -> Block:
            part, start, low, high = self._ranges[i]
            with np.errstate(over="ignore"):  # infinity is then found
                return Block(i, start + low, self._changed(part.read(low, high)))

        which = iter(range(len(self._ranges)) if which is None else which)
        with ThreadPoolExecutor(self.readers, thread_name_prefix="fastlec-read") as pool:
            ahead: deque[Future[Block]] = deque()
            try:
                for i in which:
                    ahead.append(pool.submit(read, i))
                    if len(ahead) > self.readers:
                        yield ahead.popleft().result()
                while ahead:
                    yield ahead.popleft().result()
            finally:
                for future in ahead:
                    future.cancel()


class _Rows:
    """Samples of one file, store or batch: what they are called, and their shape and dtype. whole : how many are read together,
    where that is given."""

    whole: int | None = None

    def __init__(self, name: str, shape, dtype):
        self.name, self.shape, self.dtype = name, tuple(map(int, shape)), np.dtype(dtype)
        if not self.shape:
            raise ValueError(f"{name} is a number; expected samples")

    def __len__(self):
        return self.shape[0]

    @property
    def row_bytes(self):
        return math.prod(self.shape[1:]) * self.dtype.itemsize

    def read(self, low: int, high: int) -> np.ndarray:
        raise NotImplementedError

    def targets(self) -> np.ndarray | None:
        return None


class _Sliced(_Rows):
    """Whatever has rows."""

    def __init__(self, X, name="X"):
        super().__init__(name, X.shape, X.dtype)
        self.X = X

    def read(self, low, high):
        return np.asarray(self.X[low:high])


class _File(_Rows):
    """A memmap in C order, which is read as a file: what has been read does not stay in memory as pages of a map do."""

    def __init__(self, X: np.memmap, name: str):
        super().__init__(name, X.shape, X.dtype)
        first = X.__array_interface__["data"][0] - np.frombuffer(X._mmap, np.uint8).ctypes.data
        self.path, self.offset = X.filename, X.offset - X.offset % mmap.ALLOCATIONGRANULARITY + first

    def read(self, low, high):
        a = np.empty((high - low, *self.shape[1:]), self.dtype)
        rest = memoryview(a.view(np.ndarray).reshape(-1).view(np.uint8))
        with open(self.path, "rb", buffering=0) as file:
            file.seek(self.offset + low * self.row_bytes)
            while len(rest):
                count = file.readinto(rest)
                if not count:
                    raise ValueError(f"{self.name}: the file ends before sample {high - 1}; expected {len(self)} samples")
                rest = rest[count:]
        return a


class _Archive(_Rows):
    """The array X of an .npz, and y."""

    def __init__(self, path):
        from .io import npz_headers

        headers = npz_headers(path)
        if "X" not in headers:
            raise ValueError(f"{path}: holds the arrays {', '.join(headers) or '(none)'}; expected X")
        super().__init__(str(path), *headers["X"])
        self.path, self.labelled, self.whole = path, "y" in headers, self.shape[0]

    def read(self, low, high):
        return self._array("X")

    def targets(self):
        return self._array("y") if self.labelled else None

    def _array(self, name):
        from .io import read_npz

        return read_npz(self.path, ValueError, lambda names: {name})[name]


class _Batch(_Rows):
    """A batch of an iterable, which all of its batches share."""

    def __init__(self, source: _Passes, i: int, x, y):
        super().__init__(f"batch {i}", x.shape, x.dtype)
        self.source, self.i, self.y, self.whole = source, i, y, self.shape[0]

    def read(self, low, high):
        x, y = self.source.batch(self.i)
        if x.shape != self.shape or x.dtype != self.dtype or not _same(y, self.y):
            raise ValueError(f"{self.name} is another than in the first pass; expected the same batches in every pass")
        return x

    def targets(self):
        return self.y


class _Passes:
    """An iterable of batches, gone through again and again."""

    def __init__(self, batches):
        self.batches, self.next, self.iterator = batches, 0, None

    def batch(self, i: int):
        """(x, y or None) of batch i: the next, or what comes later, or of a new pass."""
        if i < self.next or self.iterator is None:
            self.iterator, self.next = iter(self.batches), 0
        for found in self.iterator:
            self.next += 1
            if self.next > i:
                x, y = found if isinstance(found, tuple | list) and len(found) == 2 else (found, None)
                return _check.as_array(x, f"batch {i}"), None if y is None else _check.as_array(y, f"y of batch {i}")
        raise ValueError(f"X ended after {self.next} batches; expected {len(self.batches)}, as its length says")


def _same(y, other):
    return y is other if y is None or other is None else np.array_equal(y, other)


def _parts(X) -> list[_Rows]:
    """What holds the samples."""
    if isinstance(X, Stream):
        return X._parts
    if isinstance(X, str | os.PathLike):
        X = [X]
    if isinstance(X, np.memmap):
        return [_mapped(X, "X")]
    if isinstance(X, np.ndarray) or has_rows(X):
        return [_Sliced(X)]
    if not (hasattr(X, "__iter__") and hasattr(X, "__len__")):
        raise TypeError(
            f"X is {_check.shown(X)}; expected an array, an object with rows (h5py, zarr), paths of .npy or .npz files, "
            "or an iterable of batches with a length"
        )
    if isinstance(X, list | tuple) and all(isinstance(item, str | os.PathLike) for item in X):
        return [_shard(path) for path in X]
    source, parts = _Passes(X), []
    for i in range(len(X)):
        x, y = source.batch(i)
        parts.append(_Batch(source, i, x, y))
    return parts


def has_rows(X) -> bool:
    """Whether X is no array or `Stream`, and has shape, dtype and slices, as datasets of h5py and arrays of zarr."""
    if isinstance(X, np.ndarray | Stream) or any(
        hasattr(X, name) for name in ("__array_interface__", "__dlpack__", "dtypes", "requires_grad")
    ):
        return False
    return (
        isinstance(getattr(X, "shape", None), tuple)
        and isinstance(getattr(X, "dtype", None), np.dtype)
        and hasattr(X, "__getitem__")
    )


def _mapped(X: np.memmap, name: str) -> _Rows:
    on_disk = X.filename is not None and X.mode == "r" and getattr(X, "_mmap", None) is not None
    return _File(X, name) if on_disk and X.flags.c_contiguous and X.size else _Sliced(X, name)


def _shard(path) -> _Rows:
    if os.fspath(path).endswith(".npz"):
        return _Archive(path)
    try:
        X = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f"{path}: cannot be read as .npy: {error}") from error
    if not isinstance(X, np.memmap):
        raise ValueError(f"{path}: is no .npy file of samples; expected .npy or .npz")
    return _mapped(X, str(path))


def _targets(parts, y, m) -> np.ndarray | None:
    """The targets of all parts: those given, or their own."""
    if y is not None:
        y = _check.as_array(y, "y")
        if not y.ndim or len(y) != m:
            raise ValueError(f"y has shape {y.shape}; expected {m} targets, one for each sample of X")
        return y
    own = [part.targets() for part in parts]
    if all(y is None for y in own):
        return None
    for part, y in zip(parts, own, strict=True):
        if y is None or not y.ndim or len(y) != len(part):
            shape = "none" if y is None else f"shape {y.shape}"
            raise ValueError(f"{part.name}: its targets have {shape}; expected {len(part)}, one for each sample")
    return np.concatenate(own)


def streamed(X, y=()):
    """(X, y) as they are, or a `Stream` and its targets: where X is one, a list of paths, an iterable of batches, or large and in a
    file or store. TypeError where y is None and there are no targets."""
    large = (has_rows(X) or isinstance(X, np.memmap)) and X.size * X.dtype.itemsize > STREAMED_FROM
    paths = isinstance(X, list | tuple) and X and all(isinstance(item, str | os.PathLike) for item in X)
    if large or paths or _is_iterable(X):
        X = Stream(X)
    if y is None:
        y = X.y if isinstance(X, Stream) else None
        if y is None:
            raise TypeError(f"y is None{', and the stream X has no targets' * isinstance(X, Stream)}; expected targets")
    return X, y


def _is_iterable(X) -> bool:
    """Whether X is an iterable with a length, and neither an array nor a sequence or collection of Python's own."""
    others = ("__getitem__", "__array__", "__array_interface__", "__dlpack__")
    return (
        hasattr(X, "__iter__")
        and hasattr(X, "__len__")
        and not isinstance(X, Set)
        and not any(hasattr(X, name) for name in others)
    )


def matrix(X):
    """X (m, n), checked: a `Stream` as `streamed` makes one, else an array."""
    X, _ = streamed(X)
    if not isinstance(X, Stream):
        return _check.matrix(X, "X")
    if X.ndim != 2:
        raise ValueError(f"X has shape {X.shape}; expected (samples, features)")
    return X


def draws(X, size: int, rng: np.random.Generator, among: np.ndarray | None = None):
    """Rows of X, so many at a time, at random, without end: those of a `Stream` of one block after the other. among : the rows that
    may be drawn, in order; None for all."""

    def drawn(start, end):
        if among is None:
            return rng.integers(start, end, size)
        return among[rng.integers(*np.searchsorted(among, [start, end]), size)]

    while not isinstance(X, Stream):
        yield drawn(0, len(X))
    bounds = list(itertools.pairwise([*X.starts, len(X)]))
    while True:
        for i in range(len(bounds)) if X.in_order else rng.permutation(len(bounds)):
            start, end = bounds[i]
            held = end - start if among is None else np.subtract(*np.searchsorted(among, [end, start]))
            for _ in range(math.ceil(held / size)):
                yield drawn(start, end)


def parts(X, size: int):
    """(rows, X[rows]) for parts of at most this many samples, in order; those of a `Stream` read ahead."""
    if not isinstance(X, Stream):
        if len(X) <= size:
            yield slice(0, len(X)), X
            return
        blocks = [Block(0, 0, X)]
    else:
        blocks = X.blocks()
    for _, start, block in blocks:
        for i in range(0, len(block), size):
            part = block[i : i + size]
            yield slice(start + i, start + i + len(part)), part
