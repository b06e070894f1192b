"""Labels of classes, numbers or text, and what stands for them: columns of probabilities, integers from 0 on."""

from numbers import Integral

import numpy as np

from . import _check

ROUND_OFF = 1e-5  # by which probabilities may be beyond 0 and 1: single precision
_NUMBERS = (Integral, np.bool_, float, np.floating)


def distinct(y, name, m, each="point"):
    """Labels (m,), numbers or text, as (the different ones in sorted order, a list; which of them each is, (m,)). They stay what
    they are: bool, integers of any size."""
    y = _check.shape(_check.as_array(y, name), name, (m,), f", one label for each {each}")
    y = y.astype(object) if y.dtype.kind == "T" else y
    if y.dtype == object:
        numbers = all(isinstance(label, _NUMBERS) for label in y)
        if numbers:
            _check.finite(np.array([label if isinstance(label, float | np.floating) else 0 for label in y], np.float64), name)
        known = numbers or all(isinstance(label, str) for label in y)
    else:
        known = y.dtype.kind in "biufU"
    if not known:
        raise TypeError(f"{name} has dtype {y.dtype}; expected labels that are numbers or text")
    if y.dtype.kind == "f":
        _check.finite(y, name)
    names, which = np.unique(y, return_inverse=True)
    return names.tolist(), which


def probabilities(found, count):
    """What predict gave, checked: (count, l) in [0, 1], but for round-off."""
    name = "what predict gave"
    _check.shape(found, name, (count, found.shape[1]), ", a row of probabilities for each point")
    _check.float_dtype(found.dtype, name)
    if not found.size:
        raise ValueError(f"{name} has shape {found.shape}; expected a column for each class")
    _check.finite(found, name)
    low, high = float(found.min()), float(found.max())
    if low < -ROUND_OFF or high > 1 + ROUND_OFF:
        raise ValueError(
            f"{name} has values from {low:g} to {high:g}; expected probabilities, in [0, 1]: pass net.predict_proba"
        )
    return found


def in_order(given, name):
    """The labels of columns, in their order, as a list."""
    given = _check.as_array(given, name)
    names, which = distinct(given, name, given.size, "class")
    if not 0 < len(names) == len(which):
        raise ValueError(f"{name} is {_check.shown(given.tolist())}; expected labels that differ, at least one")
    return [names[i] for i in which]


def of_columns(predict, columns, labels, count):
    """The labels that columns of probabilities stand for: those given, or those that the classifier tells, or those in y."""
    name, own = "classes", getattr(getattr(predict, "__self__", None), "classes_", None)
    if columns is None and own is not None:
        name = "predict.__self__.classes_"
        columns = in_order(own, name)
    if columns is not None:
        if len(columns) != count:
            raise ValueError(
                f"{name} is {_check.shown(columns)}; expected {count} labels, one for each column that predict gave"
            )
        return columns
    if len(labels) == count:
        return labels
    if _are_indices(labels, count, flags=True):
        return list(range(count))
    own = _check.shown(labels)
    raise ValueError(
        f"predict gave probabilities of {count} classes, and y has the labels {own}; pass classes=, the columns' labels"
    )


def of_one_kind(names, labels, columns):
    """(names, labels), what predict gave and what y has, both text or both numbers. Where text is given for columns, or else in y,
    integers from 0 on stand for that."""
    texts = next((some for some in (columns, labels) if some and isinstance(some[0], str)), ())
    found = [[texts[i] for i in some] if _are_indices(some, len(texts)) else some for some in (names, labels)]
    if len({isinstance(some[0], str) for some in found}) == 2:
        names, labels = map(_check.shown, (names, labels))
        which = f", or integers from 0 to {len(texts) - 1}, which stand for text" if texts else ", or classes="
        raise ValueError(f"predict gave the labels {names}, and y has {labels}; expected all text or all numbers{which}")
    return found


def _are_indices(labels, count, flags=False):
    """Whether all are integers from 0 to count - 1. flags: whether bool is one."""
    return all(isinstance(n, Integral) and (flags or not isinstance(n, bool)) and 0 <= n < count for n in labels)
