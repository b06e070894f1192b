"""The samples of a training as the network and the loss take them, and those that are set aside to validate with."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import pairwise
from numbers import Integral, Real

import numpy as np

from .. import _check
from .._comm import Group
from .._stream import Stream, streamed
from .losses import check_weighted, classes_of, counted, mean_of, n_classes


@dataclass(frozen=True, eq=False)
class Samples:
    """X (m, ...) in the network's dtype; y as the loss takes it; classes (m,), or None where the targets are no classes; weight
    float64 (m,), of mean 1 over the samples that are averaged, or None for ones; scale : what they were divided by."""

    X: np.ndarray
    y: np.ndarray
    classes: np.ndarray | None
    weight: np.ndarray | None = None
    scale: float = 1.0

    def __len__(self) -> int:
        return len(self.X)

    def __getitem__(self, rows) -> Samples:
        own = (None if a is None else a[rows] for a in (self.classes, self.weight))
        return Samples(self.X[rows], self.y[rows], *own, self.scale)

    def shuffled(self, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """These rows in the order of an epoch."""
        return rng.permutation(rows)

    def batches(
        self, order: np.ndarray, ends: list[int], first: int = 0
    ) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """(rows, X, y) of each batch, from number `first` on, in arrays that the next one takes."""
        X, y = self._buffers(ends)
        for start, end in list(pairwise([0, *ends]))[first:]:
            rows = order[start:end]
            x, targets = X[: len(rows)], y[: len(rows)]
            self.X.take(rows, 0, x, "clip")  # "raise" would gather into a copy first
            self.y.take(rows, 0, targets, "clip")
            yield rows, x, targets

    def _buffers(self, ends: list[int]) -> Iterator[np.ndarray]:
        most = max(end - start for start, end in pairwise([0, *ends]))
        return (np.empty((most, *a.shape[1:]), a.dtype) for a in (self.X, self.y))

    def parts(self, size: int) -> Iterator[Samples]:
        """So many samples at a time, in order."""
        for start in range(0, len(self), size):
            yield self[start : start + size]

    def fingerprint(self, group: Group) -> tuple[str, str]:
        """What tells the samples of all ranks from others in a checkpoint, whichever rank holds which; and their order, which the
        first comprises of Streams."""
        if group.any(isinstance(self.X, Stream)):
            return " ".join(group.gather(self.in_order())), ""
        arrays = [self.X, self.y]
        if self.weight is not None:  # as logarithms, to few digits, which no division changes; those of weights of 1 are 0
            with np.errstate(divide="ignore"):
                arrays.append(np.log(self.weight * self.scale).astype(np.float16) + np.float16(0))
        total = np.zeros(len(self), np.uint64)
        for number, a in enumerate(arrays):
            if a.size:
                words = np.ascontiguousarray(a).reshape(len(a), -1).view(np.uint8)
                words = words.view(f"u{math.gcd(4, words.shape[1])}")
                factors = np.random.default_rng(number).integers(1 << 63, size=words.shape[1], dtype=np.uint64)
                total += np.einsum("ij,j->i", words, factors | np.uint64(1))
        total ^= total >> np.uint64(29)
        total *= np.uint64(0xBF58476D1CE4E5B9)
        joint = group.sum(np.array([total.sum(dtype=np.uint64).astype(np.int64), len(self)]))
        shapes = f"X {(int(joint[1]), *self.X.shape[1:])}, y {(int(joint[1]), *self.y.shape[1:])}"
        order = " ".join(group.gather(f"{zlib.crc32(total):08x}"))
        return f"{shapes}, checksum of rows {zlib.crc32(joint[:1]):08x}", order

    def in_order(self) -> str:
        """What tells one process's samples and their order; earlier versions wrote this."""
        weight = "" if self.weight is None else f", weights {zlib.crc32(self.weight):08x}"
        return f"X {self.X.shape}, y {self.y.shape}, checksum {zlib.crc32(self.y, zlib.crc32(self.X)):08x}{weight}"

    def weighed_by_class(self, by_class: np.ndarray | None) -> Samples:
        """With weights times those of their classes (l,), if there are any."""
        if by_class is None:
            return self
        weight, name = by_class[self.classes], "class_weight"
        if self.weight is not None:
            weight, name = weight * self.weight, "class_weight times sample_weight"
        scale = self.scale * float(weight.mean())
        return replace(self, weight=_check.mean_weights(weight, len(self), name), scale=scale)

    def averaged(self, rows, what: str) -> Samples:
        """With weights of mean 1 over these rows. ValueError where all of them are 0."""
        if self.weight is None:
            return self
        mean = float(self.weight[rows].mean())
        if not mean:
            raise ValueError(f"all samples that {what} have weight 0; expected one that has more")
        return replace(self, weight=self.weight / mean)


@dataclass(frozen=True, eq=False)
class StreamedSamples(Samples):
    """The same where X is a `Stream`. rows : those that count, in order, or None for all."""

    X: Stream
    rows: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.X) if self.rows is None else len(self.rows)

    def __getitem__(self, rows) -> Samples:
        return replace(self, rows=np.arange(len(self.X))[rows])

    def in_order(self):
        """As of samples in memory, but that of X only the ends are looked at."""
        ends = self.X[[0, -1]]
        weight = "" if self.weight is None else f", weights {zlib.crc32(self.weight):08x}"
        return f"stream X {self.X.shape}, y {self.y.shape}, checksum {zlib.crc32(self.y, zlib.crc32(ends)):08x}{weight}"

    def shuffled(self, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Blocks in a random order, unless they are batches of an iterable, and the rows of each in a random order."""
        by_block = np.split(rows, np.searchsorted(rows, self.X.starts[1:]))
        order = range(len(by_block)) if self.X.in_order else rng.permutation(len(by_block))
        return np.concatenate([rng.permutation(by_block[i]) for i in order])

    def batches(self, order, ends, first=0):
        """As of samples in memory; FloatingPointError where they are not finite."""
        bounds = list(pairwise([0, *ends]))[first:]
        X, y = self._buffers(ends)
        begin = bounds[0][0]
        of_block = np.searchsorted(self.X.starts, order[begin:], "right") - 1
        cuts = [0, *(np.flatnonzero(np.diff(of_block)) + 1), len(of_block)]
        with closing(self.X.blocks(of_block[cuts[:-1]])) as blocks:
            last = begin  # where the rows of the block at hand end in the order
            for start, end in bounds:
                rows, at = order[start:end], start
                while at < end:
                    if at == last:
                        block = next(blocks)
                        _check.finite(block.X, "X", first=block.start, error=FloatingPointError)
                        last = begin + cuts[cuts.index(at - begin) + 1]
                    stop = min(end, last)
                    block.X.take(order[at:stop] - block.start, 0, X[at - start : stop - start], "clip")
                    at = stop
                self.y.take(rows, 0, y[: len(rows)], "clip")
                yield rows, X[: len(rows)], y[: len(rows)]

    def parts(self, size):
        """As of samples in memory; FloatingPointError where they are not finite."""
        rows = np.arange(len(self.X)) if self.rows is None else self.rows
        order_of_blocks = np.unique(np.searchsorted(self.X.starts, rows, "right") - 1)
        with closing(self.X.blocks(order_of_blocks)) as blocks:
            for block in blocks:
                _check.finite(block.X, "X", first=block.start, error=FloatingPointError)
                low, high = np.searchsorted(rows, [block.start, block.start + len(block.X)])
                for i in range(low, high, size):
                    here = rows[i : min(i + size, high)]
                    own = (None if a is None else a[here] for a in (self.classes, self.weight))
                    yield Samples(block.X[here - block.start], self.y[here], *own)


def samples_of(net, loss, X, y, sample_weight=None) -> Samples:
    """X and y checked and converted, once; y copied. Samples that do not count for the loss are left out. FloatingPointError where
    they are not finite."""
    X, y = streamed(X, y)
    reads = isinstance(X, Stream)
    X = X if reads else _check.as_array(X, "X")
    _check.float_dtype(X.dtype, "X")
    if X.ndim < 2 or 0 in X.shape:
        raise ValueError(f"X has shape {X.shape}; expected (samples, features), or more axes, none of them 0")
    shape, dtype = (len(X), *_check.of_X(net.output_shape, X.shape[1:])), net.theta.dtype
    with np.errstate(over="ignore"):  # infinity is then found
        X = X.astype(dtype) if reads else _check.plain(X, dtype, "X")
    y = np.array(loss.targets(y, shape, dtype), order="C")
    if not reads:
        _check.finite(X, "X", error=FloatingPointError)
    _check.finite(y, "y", error=FloatingPointError)
    scale = 1.0
    if sample_weight is not None:
        check_weighted(loss)
        given, sample_weight = sample_weight, _check.mean_weights(sample_weight, len(X))
        scale = mean_of(given, None, len(X))
    mask = counted(loss, y)
    if reads:
        if mask is not None:
            raise ValueError("X is a Stream, and the loss leaves samples out; expected targets that all count")
        return StreamedSamples(X, y, classes_of(loss, y, shape), sample_weight, scale)
    if mask is not None:
        X, y, shape = X[mask], y[mask], (np.count_nonzero(mask), *shape[1:])
        if sample_weight is not None:
            scale *= mean_of(sample_weight[mask], None, len(X))
            sample_weight = _check.mean_weights(sample_weight[mask], len(X))
    return Samples(X, y, classes_of(loss, y, shape), sample_weight, scale)


def class_weights(net, loss, samples: Samples, class_weight, group=None) -> np.ndarray | None:
    """The weight of each class, float64 (l,), that the argument ``class_weight`` of fit says; None where it is None. group : the
    ranks whose samples are counted, or None for these here."""
    if class_weight is None:
        return None
    check_weighted(loss, "class_weight")
    if samples.classes is None:
        raise ValueError("class_weight is given, and y holds no classes; expected outputs (m, l) and a loss with classes(y)")
    count = n_classes((len(samples), *net.output_shape(samples.X.shape[1:])))
    if isinstance(class_weight, str):
        _check.choice(class_weight, ("balanced",), "class_weight")
        counts = np.bincount(samples.classes, minlength=count)
        counts = counts if group is None else group.sum(counts)
        return counts.sum() / (count * np.maximum(counts, 1))
    if not isinstance(class_weight, Mapping):
        return _check.weights(class_weight, count, "class_weight")[0]
    found = np.ones(count)
    for label, weight in class_weight.items():
        if isinstance(label, bool) or not isinstance(label, Integral) or not 0 <= label < count:
            raise ValueError(f"class_weight has the class {_check.shown(label)}; expected integers from 0 to {count - 1}")
        found[label] = _check.non_negative(weight, f"class_weight[{label}]")
    return _check.weights(found, count, "class_weight")[0]


def validation_of(net, loss, validation) -> Samples | float | None:
    """The argument ``validation`` of fit: the samples of a pair; the share of the training samples to set aside, a float; None."""
    if validation is None:
        return None
    if isinstance(validation, Real):
        if not 0 < validation < 1:
            raise ValueError(
                f"validation is {_check.shown(validation)}; expected a share between 0 and 1, or a pair (X_val, y_val)"
            )
        return float(validation)
    if not isinstance(validation, tuple | list) or len(validation) not in (2, 3):
        kind = type(validation).__name__
        raise TypeError(f"validation is a {kind}; expected None, a share, (X_val, y_val) or (X_val, y_val, weight_val)")
    try:
        return samples_of(net, loss, *validation)
    except (TypeError, ValueError, FloatingPointError) as error:
        raise type(error)(f"validation: {error}") from None


def split_rows(samples: Samples, share: float) -> tuple[np.ndarray, np.ndarray]:
    """The rows to train on and those to validate with: of every class the same share, where there are classes.

    Always the same rows: a second training that goes on from the first one's theta must not train on what that one has set aside.
    """
    if samples.classes is not None:
        from ..data import split

        return split(samples.classes, fraction=share)
    m = len(samples)
    if m < 2:
        raise ValueError(f"validation is {share}, of {m} sample; expected two samples or more, or a pair (X_val, y_val)")
    order = np.random.default_rng(0).permutation(m)
    count = min(max(round(m * share), 1), m - 1)
    return np.sort(order[count:]), np.sort(order[:count])
