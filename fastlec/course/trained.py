"""What comes of training a classifier, and its scores."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .. import _check
from ..network import Network
from ..training import History, Progress, fit
from .models import NetworkModel, SoftmaxModel

EPOCHS = {"softmax": 60, "mlp": 40, "resnet": 40, "lenet": 40, "cnn": 20, "resnet-cnn": 20}  # fewer where an epoch costs most
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
    """`fastlec.fit` with a callback(epoch, history). What is raised once training has begun has the model, ``model()``, after the
    last whole epoch; lr : that its text advises to lower, for a schedule's rate of one epoch says little."""

    def report(progress: Progress) -> None:
        if callback:
            callback(progress.epoch, progress.history)

    try:
        return fit(net, X, y, callbacks=[report], **settings)
    except BaseException as error:
        if hasattr(error, "history"):  # else training has not begun
            error.model = model()
            if isinstance(error, FloatingPointError):
                error.args = (f"{str(error).split(';')[0]}; a lower learning rate than {lr:g} may help",)
        raise


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
