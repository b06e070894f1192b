"""What comes of training a classifier, and its scores."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from .. import _check
from .._comm import Communicator
from ..data import DataError, Dataset, class_count, split
from ..network import Network
from ..preprocessing import Preprocessing
from ..training import History, Progress, fit
from .models import NetworkModel, SoftmaxModel

EPOCHS = {"softmax": 60, "mlp": 40, "resnet": 40, "lenet": 40, "cnn": 20, "resnet-cnn": 20}  # fewer where an epoch costs most
_FAR = 10  # times the loss of chance: nothing was learnt
_NEAR = 0.9  # times the loss of chance: little was learnt
_LARGE = 100  # features far beyond this are no standardised ones
ITERATIONS = {"lbfgs": 1000, "newton-cg": 100}  # at most, of solvers that see all samples at once


def default_epochs(architecture: str, solver: str) -> int:
    """The epochs of a training where nobody says otherwise, or the iterations at most."""
    return ITERATIONS.get(solver) or EPOCHS[architecture]


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained model and how it does on samples that it was not trained on.

    y_val, predicted : (m_val,) labels of the validation part, and the model's.  n_train : samples trained on.
    test_accuracy : on the data's own test set, or None.  message : how the solver ended.
    """

    model: SoftmaxModel | NetworkModel
    history: History
    n_train: int
    y_val: np.ndarray
    predicted: np.ndarray
    test_accuracy: float | None
    message: str


def of_training(dataset: Dataset, start: SoftmaxModel | NetworkModel | None) -> Preprocessing:
    """Of the model that is trained on the data, from ``start`` if there is one: the data's, with what only ``start`` knows."""
    own = dataset.preprocessing
    if start is None:
        return own if own.classes else replace(own, classes=tuple(range(class_count(dataset.y, dataset.name))))
    return replace(
        own,
        image_shape=own.image_shape or start.preprocessing.image_shape,
        classes=own.classes or start.preprocessing.classes,
        columns=own.columns or start.preprocessing.columns,
    )


def fit_model(
    net: Network,
    model: Callable[[], SoftmaxModel | NetworkModel],
    X: np.ndarray,
    y: np.ndarray,
    *,
    lr: float,
    callback: Callable[[int, History], None] | None,
    **settings,
) -> History:
    """`fastlec.fit` with a callback(epoch, history); a loss that ends far above that of chance is noted. What is raised once
    training has begun has the model, ``model()``, after the last whole epoch; lr : that its text advises to lower, for a schedule's
    rate of one epoch says little."""

    def report(progress: Progress) -> None:
        if callback:
            callback(progress.epoch, progress.history)

    try:
        history = fit(net, X, y, callbacks=[report], **settings)
        chance = math.log(net.output_shape(X.shape[1:])[0])
        if history.train_loss:
            last, own = history.train_loss[-1], model().preprocessing
            reached = f"the loss ends at {last:.3g}, that of chance is {chance:.3g}"
            if last > _FAR * chance:
                history.notes.append(f"diverged: {reached}; {_remedy(X, lr, own)}")
            elif last > _NEAR * chance and (cause := _too_large(X, own)):
                history.notes.append(f"little was learnt: {reached}; {cause}")
        return history
    except BaseException as error:
        if hasattr(error, "history"):  # else training has not begun
            error.model = model()
            if isinstance(error, FloatingPointError):
                error.args = (f"{str(error).split(';')[0]}; {_remedy(X, lr, error.model.preprocessing)}",)
        raise


def _remedy(X: np.ndarray, lr: float, own: Preprocessing) -> str:
    """What may keep a training on the samples X, prepared like this, from diverging."""
    return _too_large(X, own) or f"a lower learning rate than {lr:g} may help"


def _too_large(X: np.ndarray, own: Preprocessing) -> str | None:
    """What to do about samples that are too large, if they are."""
    largest = np.abs(X).max()
    if largest <= _LARGE or own.mean is not None:
        return None
    if own.image_shape is not None:
        return f"the pixels reach {largest:.3g}: expected grey levels from 0 to 1, or bytes"
    return f"the features reach {largest:.3g}: standardise them (fastlec train does, without --no-scale)"


def split_of(dataset: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """The rows of the training and of the validation part, as `data.split` gives them. DataError, which names the data."""
    try:
        return split(dataset.y)
    except DataError as error:
        raise DataError(f"{dataset.name}: {error}") from error


def share_of(rows: np.ndarray, comm: Communicator | None) -> np.ndarray:
    """Those of the rows that this rank has."""
    return rows if comm is None else rows[comm.rank :: comm.size]


def accuracy(y: np.ndarray, predicted: np.ndarray) -> float:
    """Share of the labels y (m,) that ``predicted`` (m,) gets right, in [0, 1]."""
    y, predicted = _check.as_array(y, "y"), _check.as_array(predicted, "predicted")
    if y.ndim != 1 or not y.size or predicted.shape != y.shape:
        raise ValueError(
            f"y has shape {y.shape}, predicted {predicted.shape}; expected (m,) labels of the same samples, m >= 1"
        )
    return float(np.mean(y == predicted))


def confusion_matrix(y: np.ndarray, predicted: np.ndarray, n_classes: int) -> np.ndarray:
    """(l, l) counts: row the true class, column the predicted one. y, predicted : (m,) integers in [0, n_classes)."""
    n_classes = _check.count(n_classes, "n_classes", 1)
    y = _check.labels(y, np.size(y), n_classes, "y")
    predicted = _check.labels(predicted, len(y), n_classes, "predicted")
    _check.memory(8 * n_classes**2, f"a matrix of {n_classes} x {n_classes} counts")
    return np.bincount(y * n_classes + predicted, minlength=n_classes**2).reshape(n_classes, n_classes)
