"""What stands between raw samples and a model: how its features were scaled, and which labels its classes have.

One object of :class:`Preprocessing` goes with the data, with the model that is trained on them, and into the model's file.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from . import _check, _labels, io

if TYPE_CHECKING:
    from typing import Self

    from ._typing import FloatArray, NDArray

__all__ = ["DataError", "Preprocessing"]

_SHOWN = 10  # labels in a message


def __dir__() -> list[str]:
    return __all__


class DataError(ValueError):
    """Data that cannot be read or believed; the text, one line, names the file and what was expected.

    Parameters
    ----------
    text : str
        The message.

    See Also
    --------
    fastlec.data.load

    Examples
    --------
    >>> fastlec.data.class_count([0, 0], "my data")
    Traceback (most recent call last):
    fastlec.preprocessing.DataError: my data: every label is 0; expected two classes or more
    """

    def __init__(self, text: str) -> None:
        super().__init__(re.sub(r"[\r\n]+", " ", text))  # which labels and names of columns may hold


@dataclass(frozen=True)
class Preprocessing:
    """How raw samples (m, n) become what a model takes, (X / scale - mean) / std, and what its outputs stand for.

    Parameters
    ----------
    scale : float
        Number by which raw features are divided: 255 for bytes, 1 for features as they are.
    image_shape : tuple of int or None
        (height, width), or (height, width, channels), of a sample; None where samples are no images.
    mean, std : tuple of float or None
        The n means and standard deviations; None for features that are not standardised.
    classes : tuple or None
        Labels, text, integers or booleans, in the order of the model's outputs; None for 0, 1, 2, ...
    columns : tuple of str or None
        Names of the n features, in their order.
    label : str
        Column of the labels: its name, "first" or "last".

    See Also
    --------
    fastlec.data.load, fastlec.data.Dataset

    Examples
    --------
    >>> from fastlec.preprocessing import Preprocessing
    >>> own = Preprocessing(mean=(1.0, 20.0), std=(2.0, 10.0), classes=("no", "yes"))
    >>> own.features([[3, 10], [1, 20]])
    array([[ 1., -1.],
           [ 0.,  0.]])
    >>> own.codes(["yes", "no", "yes"]), own.labels([1, 0])
    (array([1, 0, 1]), array(['yes', 'no'], dtype='<U3'))
    """

    scale: float = 1.0
    image_shape: tuple[int, ...] | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    classes: tuple[str | int | bool, ...] | None = None
    columns: tuple[str, ...] | None = None
    label: str = "last"

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Preprocessing of the model in a file which ``fastlec train`` wrote.

        ``Network.load`` reads the network of the same file: of one that takes rows ``net.predict(own.features(X, net.dtype))``
        gives the numbers of classes, and ``own.labels`` of these their labels. ``course.models.load_model`` and ``predict`` do so
        for every model.

        Parameters
        ----------
        path : path_like
            The file.

        Returns
        -------
        Preprocessing
            That of the model.

        Raises
        ------
        io.ModelError
            The file holds none.
        """
        arrays, meta = io.load(path)
        try:
            network = meta["kind"] == "network"
            said = meta["facts"] if network else meta
            n, n_classes = said["n_features"] if network else arrays["W"].shape[1], said["n_classes"]
        except (LookupError, TypeError):
            n = n_classes = None
        io.requirement(path)(type(n) is type(n_classes) is int, "holds no model that fastlec train wrote")
        return cls.from_json(path, said, n, n_classes)

    def features(self, X: ArrayLike, dtype: DTypeLike = np.float64, name: str = "X") -> FloatArray:
        """Raw samples as the model takes them.

        Parameters
        ----------
        X : array_like, shape (m, n)
            Samples; what overflows is not finite.
        dtype : dtype
            Float32 or float64, of the result.
        name : str
            What messages call X.

        Returns
        -------
        ndarray, shape (m, n)
            The features.

        Raises
        ------
        ValueError
            Samples have another length than mean.
        """
        dtype, X = _check.layer_dtype(dtype), _check.as_array(X, name)
        _check.float_dtype(X.dtype, name)
        if self.mean is None:
            with np.errstate(all="ignore"):
                X = X.astype(dtype)
                X /= X.dtype.type(self.scale)
            return X
        if X.ndim != 2 or X.shape[1] != len(self.mean):
            raise ValueError(f"{name} has shape {X.shape}; expected (m, {len(self.mean)})")
        with np.errstate(all="ignore"):
            X = X / np.float64(self.scale)
            X -= self.mean
            X /= self.std
            return X.astype(dtype, copy=False)

    def codes(self, y: ArrayLike, name: str = "y") -> NDArray[np.int64]:
        """Numbers 0, 1, 2, ... of the classes that labels name.

        Parameters
        ----------
        y : array_like, shape (m,)
            Labels: text, whole numbers or booleans.
        name : str
            What messages call y.

        Returns
        -------
        ndarray, shape (m,)
            The numbers, int64.

        Raises
        ------
        DataError
            A label is none of the classes.
        """
        found, which = _distinct(y, name)
        if self.classes is None:
            known = {label: label for label in found if isinstance(label, int) and label >= 0}
        else:
            known = {label: i for i, label in enumerate(self.classes)}
            if found and isinstance(found[0], str) != isinstance(self.classes[0], str):  # written as text, or read as numbers
                known = {str(label): i for label, i in known.items()}
                found = [str(label) for label in found]
        for label in found:
            if label not in known:
                raise DataError(f"{name}: has the label {label}; the model knows {shown(self.classes)}")
        return np.array([known[label] for label in found], np.int64)[which]

    def labels(self, codes: ArrayLike) -> NDArray[Any]:
        """Labels of classes that are given by number, as they were in the data.

        Parameters
        ----------
        codes : array_like of int, shape (m,)
            Numbers of classes.

        Returns
        -------
        ndarray, shape (m,)
            The labels.
        """
        codes = _check.as_array(codes, "codes")
        n_classes = None if self.classes is None else len(self.classes)
        codes = _check.labels(codes, codes.size, n_classes, "codes")
        return codes if self.classes is None else np.array(self.classes)[codes]

    def to_json(self) -> dict[str, Any]:
        """What JSON holds of it, without loss.

        Returns
        -------
        dict
            The settings that are not None.
        """
        shape = self.image_shape and tuple(int(size) for size in self.image_shape)
        said = {name: value for name, value in asdict(self).items() if value is not None}
        return said | {"image_shape": shape, "scale": float(self.scale)}

    @classmethod
    def from_json(cls, path: str | os.PathLike[str], said: Mapping[str, Any], n: int, n_classes: int) -> Self:
        """Preprocessing that a file says; what an older file does not say is as by default.

        Parameters
        ----------
        path : path_like
            The file, for messages.
        said : dict
            What the file says, as of `to_json`.
        n, n_classes : int
            Number of features, and of classes: 0, 1, 2, ... by default.

        Returns
        -------
        Preprocessing
            The settings.

        Raises
        ------
        io.ModelError
            They are not possible.
        """
        require = io.requirement(path)
        known = {field.name: said[field.name] for field in fields(cls) if field.name in said}
        found = cls(**{name: tuple(value) if isinstance(value, list) else value for name, value in known.items()})
        shape, scale = found.image_shape, found.scale
        whole = type(shape) is tuple and 2 <= len(shape) <= 3 and all(type(size) is int and size > 0 for size in shape)
        require(
            shape is None or (whole and math.prod(shape) == n),
            f"'meta' says image shape {known.get('image_shape')}; samples have {n} features",
        )
        require("scale" in known and _positive(scale), f"'meta' says scale {known.get('scale')}; expected a positive number")
        require((found.mean is None) == (found.std is None), "'meta' says one of mean and std; expected both or neither")
        for name, right in (("mean", _finite), ("std", _positive)):
            value = getattr(found, name)
            fits = value is None or (type(value) is tuple and len(value) == n and all(map(right, value)))
            require(fits, f"'meta' says a {name} that is not {n} finite numbers, std above 0")
        classes, columns = found.classes, found.columns
        kinds = {type(label) for label in classes} if type(classes) is tuple else {None}
        fits = classes is None or (len(kinds) == 1 and kinds <= {str, int, bool} and len(set(classes)) == n_classes)
        found = found if classes else replace(found, classes=tuple(range(n_classes)))
        require(fits and len(classes or ()) in (0, n_classes), f"'meta' says classes that are not {n_classes} different labels")
        fits = columns is None or (type(columns) is tuple and len(columns) == n and all(type(c) is str for c in columns))
        require(fits, f"'meta' says columns that are not {n} names")
        require(type(found.label) is str, f"'meta' says label {found.label!r}; expected a column's name")
        return found


def _finite(value) -> bool:
    return type(value) is float and math.isfinite(value)


def _positive(value) -> bool:
    return _finite(value) and value > 0


def statistics(X: NDArray[Any], scale: float, name: str, columns: Sequence[str] | None = None) -> dict[str, tuple[float, ...]]:
    """``mean`` and ``std`` of the features X (m, n) divided by scale; std is 1 for a feature that does not vary. DataError for a
    feature so large that they overflow."""
    with np.errstate(all="ignore"):
        X = X / np.float64(scale)
        mean, std = X.mean(axis=0), X.std(axis=0)
    for j in np.flatnonzero(~(np.isfinite(mean) & np.isfinite(std))):
        what = f"feature {j}" if columns is None else f"column {columns[j]!r}"
        raise DataError(f"{name}: {what} reaches {np.abs(X[:, j]).max():g}, too large to be standardised")
    varies = (X[:1] != X).any(axis=0) & (std > 0)
    return {"mean": tuple(mean.tolist()), "std": tuple(np.where(varies, std, 1.0).tolist())}


def classes_of(y: ArrayLike, name: str) -> tuple[str | int | bool, ...]:
    """The different labels in y (m,), in order. DataError, which begins with ``name``, for what are no labels."""
    return tuple(_distinct(y, name)[0])


def _distinct(y: ArrayLike, name: str) -> tuple[list, NDArray[Any]]:
    """The different labels, text, int or bool, in order, and which of them each is."""
    y = _check.as_array(y, name)
    try:
        found, which = _labels.distinct(y, name, y.size, "sample")
    except (TypeError, ValueError) as error:
        raise DataError(str(error)) from error
    if y.dtype.kind == "f":
        parts = y != np.rint(y)
        if parts.any():
            row = int(np.argmax(parts))
            raise DataError(f"{name}[{row}] is {y[row]}; expected a class: a whole number or text")
        found = [int(label) for label in found]
    return found, which.reshape(y.shape)


def shown(classes: Sequence | None) -> str:
    """The classes in a message: "the classes 0..9", "the classes setosa, versicolor"."""
    if classes is None:
        return "the classes 0, 1, 2, ..."
    if len(classes) > 2 and all(type(label) is int for label in classes) and classes[-1] - classes[0] == len(classes) - 1:
        return f"the classes {classes[0]}..{classes[-1]}"
    more = f", ... ({len(classes)} in all)" if len(classes) > _SHOWN else ""
    return f"the classes {', '.join(map(str, classes[:_SHOWN]))}{more}"
