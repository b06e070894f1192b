"""The samples of a training as the network and the loss take them, and those that are set aside to validate with."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from numbers import Real

import numpy as np

from .. import _check
from .losses import classes_of


@dataclass(frozen=True, eq=False)
class Samples:
    """X (m, ...) in the network's dtype; y as the loss takes it; classes (m,), or None where the targets are no classes."""

    X: np.ndarray
    y: np.ndarray
    classes: np.ndarray | None

    def __len__(self) -> int:
        return len(self.X)

    def __getitem__(self, rows) -> Samples:
        return Samples(self.X[rows], self.y[rows], None if self.classes is None else self.classes[rows])

    def fingerprint(self) -> str:
        """What tells these samples from others in a checkpoint."""
        return f"X {self.X.shape}, y {self.y.shape}, checksum {zlib.crc32(self.y, zlib.crc32(self.X)):08x}"


def samples_of(net, loss, X, y) -> Samples:
    """X and y checked and converted, once; y copied. FloatingPointError where they are not finite."""
    X = _check.as_array(X, "X")
    _check.float_dtype(X.dtype, "X")
    if X.ndim < 2 or 0 in X.shape:
        raise ValueError(f"X has shape {X.shape}; expected (samples, features), or more axes, none of them 0")
    shape, dtype = (len(X), *_check.of_X(net.output_shape, X.shape[1:])), net.theta.dtype
    with np.errstate(over="ignore"):  # infinity is then found
        X = _check.plain(X, dtype, "X")
    y = np.array(loss.targets(y, shape, dtype), order="C")
    _check.finite(X, "X", error=FloatingPointError)
    _check.finite(y, "y", error=FloatingPointError)
    return Samples(X, y, classes_of(loss, y, shape))


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
    if not isinstance(validation, tuple | list) or len(validation) != 2:
        raise TypeError(f"validation is a {type(validation).__name__}; expected None, a share, or a pair (X_val, y_val)")
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
