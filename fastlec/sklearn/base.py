"""What the estimators share: samples, labels and weights as fastlec takes them, randomness, and the way to files."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn import base
from sklearn.preprocessing import LabelEncoder
from sklearn.utils import check_array, check_consistent_length, check_random_state, column_or_1d
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import validate_data

from .. import _check
from .._stream import Stream, streamed
from .._typing import FloatArray
from .callbacks import CallbackSupportMixin, Method

RandomState: TypeAlias = int | np.random.RandomState | None
ClassWeight: TypeAlias = Mapping[Any, float] | Literal["balanced"] | None

SEED_WORDS = 4  # of 31 bits: what a random_state gives to seed our generators with


if TYPE_CHECKING:  # scikit-learn has no types: these are what users call of its mixins

    class ClassifierMixin(base.ClassifierMixin):
        def score(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float: ...

    class RegressorMixin(base.RegressorMixin):
        def score(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float: ...

    class ClusterMixin(base.ClusterMixin):
        def fit_predict(self, X: ArrayLike, y: object = None, **kwargs: Any) -> NDArray[np.int32]: ...

    class TransformerMixin(base.TransformerMixin):
        def fit_transform(self, X: ArrayLike, y: object = None, **fit_params: Any) -> FloatArray: ...

else:
    ClassifierMixin, RegressorMixin = base.ClassifierMixin, base.RegressorMixin
    ClusterMixin, TransformerMixin = base.ClusterMixin, base.TransformerMixin


class Estimator(CallbackSupportMixin, base.BaseEstimator):
    """An estimator whose fitted form a file holds."""

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted estimator to a file.

        Parameters
        ----------
        path : path-like
            The file, .npz or .safetensors. It is written whole or not at all.

        Raises
        ------
        TypeError
            If a file cannot hold a parameter, such as an optimizer of one's own.
        fastlec.io.ModelError
            If the file cannot be written.

        See Also
        --------
        fastlec.sklearn.save, fastlec.sklearn.load
        """
        from .files import save

        save(path, self)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """The fitted estimator that a file holds.

        Parameters
        ----------
        path : path-like
            A file that `save` wrote.

        Returns
        -------
        estimator
            The estimator, of this class.

        Raises
        ------
        TypeError
            If the file holds an estimator of another class.
        fastlec.io.ModelError
            If the file holds none.

        See Also
        --------
        fastlec.sklearn.load, fastlec.sklearn.save
        """
        from .files import load

        found = load(path)
        if not isinstance(found, cls):
            raise TypeError(f"{path}: holds a {type(found).__name__}; expected a {cls.__name__}: fastlec.sklearn.load reads it")
        return found

    def _image_shape(self):
        """That of a sample, where samples are images."""
        return None

    def _dtypes(self):
        """What `validate_data` is to let through: float32 and float64, others become float64; or the argument ``dtype`` alone."""
        wanted = getattr(self, "dtype", None)
        return [np.float64, np.float32] if wanted is None else _check.layer_dtype(wanted)

    def _samples(self, X, dtype=None):
        """X (m, n) to predict, checked, in C order, or a `Stream`."""
        return validated(self, X, dtype=dtype or self._dtypes(), reset=False)


def validated(estimator, X, y="no_validation", **given):
    """`validate_data` in C order; of a `Stream`, and what `streamed` makes one of, of the first sample, and of y."""
    X, _ = streamed(X)
    if not isinstance(X, Stream):
        return validate_data(estimator, X, y, order="C", **given)
    if isinstance(y, str):
        return X.astype(validate_data(estimator, X[:1], order="C", **given).dtype)
    _, own = streamed(X, y)
    first, _ = validate_data(estimator, X[:1], own[:1], order="C", **given)
    y = check_array(own, ensure_2d=False, dtype=None, input_name="y")
    check_consistent_length(X, y)
    return X.astype(first.dtype), y if given.get("multi_output") else column_or_1d(y, warn=True)


def all_or_nothing(method: Method) -> Method:
    """The method of an estimator, which leaves its attributes as they were where it raises an exception, Ctrl-C too: the last fit
    is not lost to one that fails."""

    @functools.wraps(method)
    def kept(self, *args, **kwargs):
        before = vars(self).copy()
        try:
            return method(self, *args, **kwargs)
        except BaseException:
            vars(self).clear()
            vars(self).update(before)
            raise

    return kept  # type: ignore[return-value]


def classes_of_parts(estimator, classes):
    """The classes (l,) of all calls of partial_fit: the argument ``classes`` of the first, which later calls may repeat; None if no
    call has said them yet."""
    known = getattr(estimator, "classes_", None)
    if classes is None:
        return known
    classes = np.asarray(classes)
    if classes.ndim != 1:
        raise ValueError(f"classes has shape {classes.shape}; expected (l,), one label for each class")
    if classes.dtype.kind == "f":
        _check.finite(classes, "classes")
    classes = np.unique(classes)
    if known is not None and not np.array_equal(classes, known):
        now, before = map(_check.shown, (classes.tolist(), known.tolist()))
        raise ValueError(f"classes is {now}; expected those that are known, {before}")
    return classes if known is None else known


def fitted_labels(estimator, X, y, *, reset, classes=None):
    """(X, y as they are, numbers of the classes (m,), the classes) of the arguments of a classifier's fit.

    classes : those that there are; by default those in y. ValueError for a label that is none of them, or a single class.
    """
    X, y = validated(estimator, X, y, dtype=estimator._dtypes(), reset=reset)
    check_classification_targets(y)
    encoder = LabelEncoder()
    if classes is None:
        codes = encoder.fit_transform(y)
    else:
        encoder.classes_ = classes
        codes = encoder.transform(y)
    if len(encoder.classes_) < 2:
        raise ValueError(f"y has one class, {encoder.classes_.tolist()[0]!r}; expected two or more classes")
    return X, y, codes, encoder.classes_


def checked_weights(sample_weight, m):
    """sample_weight as float64 (m,), finite, >= 0, not all zero; or None."""
    if sample_weight is None:
        return None
    w = _check.as_array(sample_weight, "sample_weight")
    _check.float_dtype(w.dtype, "sample_weight")
    w = _check.shape(w, "sample_weight", (m,), ", one weight for each sample").astype(np.float64)
    low, high = w.min(), w.max()
    if not (low >= 0 and high < np.inf):
        raise ValueError(f"sample_weight has values from {low} to {high}; expected finite weights >= 0")
    if not high:
        raise ValueError("sample_weight is zero for all samples; expected one that is not")
    return w


def class_weights(class_weight, classes, codes, y, w):
    """The weights of samples: sample_weight w (m,), or None, times their classes', or None where there are neither.

    class_weight : None; {label: weight}, 1 for others; or "balanced": the total weight of the samples is spread evenly over the
    classes that have any.
    """
    if class_weight is None:
        return w
    if isinstance(class_weight, str) and class_weight == "balanced":
        sums = np.bincount(codes, w, minlength=len(classes)).astype(np.float64)
        there = sums > 0
        by_class = np.divide(sums.sum() / np.count_nonzero(there), sums, out=np.zeros(len(classes)), where=there)
    elif isinstance(class_weight, Mapping):
        for label, weight in class_weight.items():
            _check.non_negative(weight, f"class_weight[{_check.shown(label)}]")
        by_class = compute_class_weight(dict(class_weight), classes=classes, y=y)
    else:
        raise ValueError(f"class_weight is {_check.shown(class_weight)}; expected None, 'balanced' or a dict {{label: weight}}")
    found = by_class[codes] if w is None else by_class[codes] * w
    if not found.any():
        raise ValueError("class_weight and sample_weight are zero for all samples; expected one that is not")
    return found


def generators(random_state, count):
    """So many independent generators, from what scikit-learn takes for randomness: None, an int or a RandomState."""
    words = check_random_state(random_state).randint(np.iinfo(np.int32).max, size=SEED_WORDS)
    return np.random.default_rng(words.tolist()).spawn(count)
