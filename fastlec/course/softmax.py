"""Training of softmax regression (lecture 2.1 to 2.3): by mini-batches, or on all samples at once through SciPy."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from .. import _check
from ..data import Dataset, class_count, split
from ..linear import SoftmaxObjective
from ..training import History, minimize_scipy
from ..training.solvers import Convergence, check_callback
from .models import SoftmaxModel, predict
from .trained import Trained, accuracy, default_epochs

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
    """Softmax regression on four fifths of the samples of each class; the rest validates, the same ones whatever the seed, so
    that no training that goes on from a model is on what that one has set aside.

    start : go on from this model; by default from zero.
    solver : "sgd" (epochs over mini-batches), "lbfgs" or "newton-cg" (at most ``epochs`` iterations).
    epochs : by default 60 for sgd, 1000 for lbfgs, 100 for newton-cg; callback(epoch, history) is called after each.
    The same arguments give the same model. Its message says how far the gradient has fallen, relative to its start, and whether
    that is convergence: to 1e-6, in float32 to 1e-4, as in :func:`minimize_scipy`.

    Raises ValueError or TypeError, before anything is computed, for arguments and samples that do not fit, samples that are not
    finite among them; DataError if data and model do not match; FloatingPointError if a loss stops being finite. Whatever
    is raised once training has begun (by Ctrl-C or a callback, too) has as ``history`` and ``model`` those after the last
    whole epoch.
    """
    _check.choice(solver, SOLVERS, "solver")
    epochs = default_epochs("softmax", solver) if epochs is None else _check.count(epochs, "epochs", 0)
    seed = _check.count(seed, "seed", 0)
    check_callback(callback)
    dataset = _checked(dataset)
    n_classes = _matching_classes(dataset, start)
    X, y = dataset.X, dataset.y
    train, validation = split(y)
    objective = SoftmaxObjective(X[train], y[train], n_classes, l2=l2)
    held_out = SoftmaxObjective(X[validation], y[validation], n_classes)
    y_val, history = y[validation], History()
    theta = begin = np.zeros(objective.n_params, X.dtype) if start is None else start.theta.astype(X.dtype)

    def model() -> SoftmaxModel:
        parts = objective.unpack(theta)
        image_shape = dataset.image_shape or (start.image_shape if start else None)
        return SoftmaxModel(parts["W"], parts["b"], image_shape, dataset.scale)

    def record(epoch: int, found: np.ndarray, loss: float) -> None:
        nonlocal theta
        val_loss = held_out.value(found)
        if not math.isfinite(val_loss):
            raise FloatingPointError(f"training diverged at epoch {epoch}: the validation loss is {val_loss}")
        val_accuracy = accuracy(y_val, held_out.predict(found))
        theta = found.astype(X.dtype)
        history.train_loss.append(loss)
        history.val_loss.append(val_loss)
        history.val_accuracy.append(val_accuracy)
        if callback:
            callback(epoch, history)

    try:
        if solver == "sgd":
            rng = _check.generator(seed, "seed")
            settings = {"epochs": epochs, "batch_size": batch_size, "lr": lr, "momentum": momentum}
            theta = minimize_sgd(objective, theta, **settings, rng=rng, callback=record)
            convergence = Convergence(objective, begin, objective.gradient(begin))
            message = f"{epochs} epochs, {convergence.verdict(objective.gradient(theta))}"
        else:
            found, message = minimize_scipy(objective, theta, solver, max_iter=epochs, callback=record)
            theta = found.astype(X.dtype)
    except BaseException as error:
        whole = min(map(len, (history.train_loss, history.val_loss, history.val_accuracy)))  # it may come between two of them
        for values in (history.train_loss, history.val_loss, history.val_accuracy):
            del values[whole:]
        error.history, error.model = history, model()
        raise
    test = None if dataset.X_test is None else accuracy(dataset.y_test, predict(model(), dataset.X_test))
    return Trained(model(), history, len(train), y_val, held_out.predict(theta), test, message)


def minimize_sgd(
    objective,
    theta: np.ndarray,
    *,
    epochs: int,
    batch_size: int,
    lr: float,
    momentum: float = 0.0,
    rng: np.random.Generator | int,
    callback: Callable[[int, np.ndarray, float], None] | None = None,
) -> np.ndarray:
    """Stochastic gradient descent with momentum over shuffled mini-batches (lecture 3.2).

        velocity <- momentum velocity - lr gradient;  theta <- theta + velocity

    objective : has n_samples and value_and_gradient(theta, batch=indices).  theta : the start, not modified.
    callback(epoch, theta, loss) is called after each epoch, from 1, with a copy of theta and the mean loss of the batches; what
    it raises ends the training.
    Raises FloatingPointError, naming epoch and step, once the loss or theta is not finite, ValueError if theta begins so.
    """
    epochs, batch_size = _check.count(epochs, "epochs", 0), _check.count(batch_size, "batch_size", 1)
    lr, momentum = _check.non_negative(lr, "lr"), _check.non_negative(momentum, "momentum")
    if momentum >= 1:
        raise ValueError(f"momentum is {momentum}; expected a number below 1")
    check_callback(callback)
    rng = _check.generator(rng)
    theta = _check.as_array(theta, "theta")
    theta = np.array(theta, _check.float_dtype(theta.dtype, "theta"))
    _check.finite(theta, "theta")
    velocity = np.zeros_like(theta)
    m = objective.n_samples
    for epoch in range(1, epochs + 1):
        order, total = rng.permutation(m), 0.0
        with np.errstate(over="ignore", invalid="ignore"):  # what overflows is reported below, once
            for step, first in enumerate(range(0, m, batch_size), 1):
                batch = order[first : first + batch_size]
                loss, gradient = objective.value_and_gradient(theta, batch=batch)
                velocity *= momentum
                velocity -= lr * gradient
                theta += velocity
                if not (math.isfinite(loss) and np.isfinite(theta).all()):
                    advice = f"a lower learning rate than {lr:g} may help"
                    raise FloatingPointError(f"training diverged at epoch {epoch}, step {step}: the loss is {loss}; {advice}")
                total += loss * len(batch)
        if callback:
            callback(epoch, theta.copy(), total / m)
    return theta


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
        return class_count(dataset.y, dataset.name)
    if not isinstance(start, SoftmaxModel):
        raise TypeError(f"start is a {type(start).__name__}; expected a SoftmaxModel")
    start.check("start")
    start.facts.check(dataset)
    return len(start.b)
