"""Training of softmax regression (lecture 2.1 to 2.3): by mini-batches, or on all samples at once through SciPy."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from .. import _check
from ..data import Dataset, class_count
from ..layers import Dense
from ..linear import SoftmaxObjective
from ..network import Network
from ..training import History, minimize_scipy
from ..training.optim import PenalisedSGD
from ..training.solvers import Convergence, check_callback
from .models import SoftmaxModel, predict
from .trained import Trained, accuracy, default_epochs, fit_model, of_training, split_of

SOLVERS = ("sgd", "lbfgs", "newton-cg")


def train_softmax(
    dataset: Dataset,
    *,
    start: SoftmaxModel | None = None,
    solver: str = "sgd",
    epochs: int | None = None,
    batch_size: int = 32,
    lr: float = 0.1,
    momentum: float = 0.9,
    l2: float = 1e-4,
    seed: int = 0,
    callback: Callable[[int, History], None] | None = None,
) -> Trained:
    """Softmax regression on the samples of a data set (lecture 2.1 to 2.3).

    Four fifths of the samples of each class are trained on; the rest validates. These are the same ones whatever the seed, so that
    no training that goes on from a model is on what that one has set aside.

    Parameters
    ----------
    dataset : fastlec.data.Dataset
        The samples and their classes.
    start : SoftmaxModel, optional
        The model to go on from; by default the weights are zero.
    solver : {"sgd", "lbfgs", "newton-cg"}
        "sgd" is `fastlec.fit` over mini-batches with SGD(lr, momentum); the others see all samples at once.
    epochs : int, optional
        Epochs, or iterations at most. By default 60 of sgd, 1000 of lbfgs, 100 of newton-cg.
    batch_size : int
        The samples of a mini-batch of sgd.
    lr : float
        The learning rate of sgd.
    momentum : float
        The momentum of sgd.
    l2 : float
        The weight of the penalty l2/2 ||W||^2, which the losses in the history do not have in them.
    seed : int
        What the order of samples is drawn with.
    callback : callable, optional
        Called after each epoch or iteration as callback(epoch, history).

    Returns
    -------
    Trained
        The model, its history and scores. Its message says how far the gradient has fallen, relative to its start, and whether that
        is convergence: to 1e-6, in float32 to 1e-4, as in `fastlec.training.minimize_scipy`.

    Raises
    ------
    ValueError, TypeError
        If arguments or samples do not fit, samples that are not finite among them; before anything is computed.
    fastlec.data.DataError
        If data and model do not match.
    FloatingPointError
        If a loss stops being finite.

    See Also
    --------
    fastlec.SoftmaxObjective, fastlec.fit, fastlec.sklearn.SoftmaxClassifier

    Notes
    -----
    The same arguments give the same model. With "lbfgs" and "newton-cg" the history's train_loss and train_accuracy are those after
    the iteration, else those met within the epoch. Whatever is raised once training has begun, by Ctrl-C or a callback, too, has as
    ``history`` and ``model`` those after the last whole epoch.

    Examples
    --------
    >>> trained = fastlec.training.train_softmax(fastlec.data.digits(), epochs=10)
    >>> trained.history.val_accuracy[-1] > 0.9
    True
    """
    _check.choice(solver, SOLVERS, "solver")
    epochs = default_epochs("softmax", solver) if epochs is None else _check.count(epochs, "epochs", 0)
    seed, l2 = _check.count(seed, "seed", 0), _check.non_negative(l2, "l2")
    check_callback(callback)
    dataset = _checked(dataset)
    n_classes = _matching_classes(dataset, start)
    X, y = dataset.X, dataset.y
    train, validation = split_of(dataset)
    objective = SoftmaxObjective(X[train], y[train], n_classes, l2=l2)
    net = Network([Dense(X.shape[1], n_classes, "identity", dtype=X.dtype)])
    net.theta = begin = np.zeros(net.n_params) if start is None else start.theta
    preprocessing = of_training(dataset, start)

    def model() -> SoftmaxModel:
        W, b = (array.copy() for array in net.params.values())
        return SoftmaxModel(W, b, preprocessing)

    if solver == "sgd":
        history = fit_model(
            net,
            model,
            X[train],
            y[train],
            lr=lr,
            callback=callback,
            optimizer=PenalisedSGD(lr, momentum, l2=l2, n_weights=X.shape[1] * n_classes),
            batch_size=batch_size,
            epochs=epochs,
            validation=(X[validation], y[validation]),
            rng=seed,
        )
        convergence = Convergence(objective, begin, objective.gradient(begin))
        message = f"{epochs} epochs, {convergence.verdict(objective.gradient(net.theta))}"
    else:
        held_out = SoftmaxObjective(X[validation], y[validation], n_classes)
        history, message = _minimised(net, model, objective, held_out, solver, epochs, callback)
    found = model()
    test = None if dataset.X_test is None else accuracy(dataset.y_test, predict(found, dataset.X_test))
    return Trained(found, history, len(train), y[validation], predict(found, X[validation]), test, message)


def _minimised(net, model, objective, held_out, solver, max_iter, callback) -> tuple[History, str]:
    """The history of a solver that sees all samples at once, whose iterations count as epochs, and how it ended; net.theta is what
    it has found. Whatever is raised has ``history`` and ``model`` after the last whole iteration."""
    history = History()
    history.unit = "iteration"

    def record(iteration: int, theta: np.ndarray, loss: float) -> None:
        val_loss = held_out.value(theta)
        if not math.isfinite(val_loss):
            raise FloatingPointError(f"training diverged at iteration {iteration}: the validation loss is {val_loss}")
        W = theta[: objective.n_classes * objective.X.shape[1]]
        measured = {"train_loss": loss - float(objective.l2 / 2 * (W @ W)), "val_loss": val_loss}
        for name, f in {"train_accuracy": objective, "val_accuracy": held_out}.items():
            measured[name] = accuracy(f.y, f.predict(theta))
        try:
            for name, value in measured.items():
                getattr(history, name).append(value)
            net.theta = theta
        except BaseException:  # it may come between two of them
            history.cut(iteration - 1)
            raise
        if callback:
            callback(iteration, history)

    try:
        net.theta, message = minimize_scipy(objective, net.theta, solver, max_iter=max_iter, callback=record)
    except BaseException as error:
        error.history, error.model = history, model()
        raise
    return history, message


def _checked(dataset: Dataset) -> Dataset:
    """The same samples as arrays that can be trained on and tested; ValueError or TypeError for others."""
    if not isinstance(dataset, Dataset):
        raise TypeError(f"dataset is a {type(dataset).__name__}; expected a Dataset")
    checked, n = {"name": dataset.name or "dataset"}, None
    for end in ("", "_test") if dataset.X_test is not None else ("",):
        X, y = f"X{end}", f"y{end}"
        checked[X] = _check.samples(_check.matrix(getattr(dataset, X), X, columns=n), X)
        _check.finite(checked[X], X)
        m, n = checked[X].shape
        checked[y] = _check.labels(getattr(dataset, y), m, None, y)
    return replace(dataset, **checked)


def _matching_classes(dataset: Dataset, start: SoftmaxModel | None) -> int:
    if start is None:
        return class_count(dataset.y, dataset.name, dataset.classes)
    if not isinstance(start, SoftmaxModel):
        raise TypeError(f"start is a {type(start).__name__}; expected a SoftmaxModel")
    start.check("start")
    start.facts.check(dataset)
    return len(start.b)
