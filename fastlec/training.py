"""Minimising an objective with mini-batches or through SciPy, and the record, scores and model that come of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from . import _check
from .data import DataError, Dataset, class_count, split
from .fitting import History
from .io import SoftmaxModel
from .linear import SoftmaxObjective

SCIPY_METHODS = {"lbfgs": "L-BFGS-B", "newton-cg": "Newton-CG"}
DEFAULT_EPOCHS = {"sgd": 60, "lbfgs": 1000, "newton-cg": 100}


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained model and how it does on samples that it was not trained on.

    y_val, predicted : (m_val,) labels of the validation part, and the model's.  n_train : samples trained on.
    test_accuracy : on the data's own test set, or None.  message : how the solver ended.
    """

    model: SoftmaxModel
    history: History
    n_train: int
    y_val: np.ndarray
    predicted: np.ndarray
    test_accuracy: float | None
    message: str


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
    """Softmax regression on four fifths of the samples of each class; the rest validates.

    start : go on from this model; by default from zero.
    solver : "sgd" (epochs over mini-batches), "lbfgs" or "newton-cg" (at most ``epochs`` iterations).
    epochs : by default 60 for sgd, 1000 for lbfgs, 100 for newton-cg; callback(epoch, history) is called after each.
    The same arguments give the same model. Raises DataError if data and model do not match, FloatingPointError if the
    loss stops being finite.
    """
    if not isinstance(solver, str) or solver not in DEFAULT_EPOCHS:
        raise ValueError(f"solver is {_check.shown(solver)}; expected one of {', '.join(DEFAULT_EPOCHS)}")
    epochs = DEFAULT_EPOCHS[solver] if epochs is None else _check.count(epochs, "epochs", 1)
    n_classes = _matching_classes(dataset, start)
    train, validation = split(dataset.y, seed=seed)
    objective = SoftmaxObjective(dataset.X[train], dataset.y[train], n_classes, l2=l2)
    held_out = SoftmaxObjective(dataset.X[validation], dataset.y[validation], n_classes)
    y_val, history = dataset.y[validation], History()
    theta = np.zeros(objective.n_params, dataset.X.dtype) if start is None else start.theta.astype(dataset.X.dtype)

    def record(epoch: int, theta: np.ndarray, loss: float) -> None:
        history.train_loss.append(loss)
        history.val_loss.append(held_out.value(theta))
        history.val_accuracy.append(accuracy(y_val, held_out.predict(theta)))
        if callback:
            callback(epoch, history)

    if solver == "sgd":
        rng = np.random.default_rng(seed)
        settings = {"epochs": epochs, "batch_size": batch_size, "lr": lr, "momentum": momentum}
        theta = minimize_sgd(objective, theta, **settings, rng=rng, callback=record)
        message = f"{epochs} epochs"
    else:
        theta, message = minimize_scipy(objective, theta, solver, max_iter=epochs, callback=record)
        theta = theta.astype(dataset.X.dtype)
    parts = objective.unpack(theta)
    image_shape = dataset.image_shape or (start.image_shape if start else None)
    model = SoftmaxModel(parts["W"], parts["b"], image_shape, dataset.scale)
    test = None if dataset.X_test is None else accuracy(dataset.y_test, predict(model, dataset.X_test))
    return Trained(model, history, len(train), y_val, held_out.predict(theta), test, message)


def minimize_sgd(
    objective,
    theta: np.ndarray,
    *,
    epochs: int,
    batch_size: int,
    lr: float,
    momentum: float = 0.0,
    rng: np.random.Generator,
    callback: Callable[[int, np.ndarray, float], None] | None = None,
) -> np.ndarray:
    """Stochastic gradient descent with momentum over shuffled mini-batches (lecture 3.2).

        velocity <- momentum velocity - lr gradient;  theta <- theta + velocity

    objective : has n_samples and value_and_gradient(theta, batch=indices).  theta : the start, not modified.
    callback(epoch, theta, loss) is called after each epoch, from 1, with the mean loss of its batches.
    Raises FloatingPointError, naming epoch and step, once the loss or theta is not finite.
    """
    theta = np.array(theta)
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
            callback(epoch, theta, total / m)
    return theta


def minimize_scipy(
    objective,
    theta: np.ndarray,
    solver: str,
    *,
    max_iter: int = 200,
    tol: float = 1e-8,
    callback: Callable[[int, np.ndarray, float], None] | None = None,
) -> tuple[np.ndarray, str]:
    """Full-batch minimisation by scipy.optimize.minimize.

    solver : "lbfgs" (stops at a gradient of at most tol in each entry) or "newton-cg" (at a mean step of at most tol;
    needs objective.hessian_mv).  callback(iteration, theta, loss) is called after each iteration, from 1.
    Returns theta in float64 and a line that says how it ended. Raises ValueError for another solver,
    FloatingPointError, naming the iteration, if the loss is not finite.
    """
    from scipy.optimize import minimize

    if solver not in SCIPY_METHODS:
        raise ValueError(f"solver is {solver!r}; expected one of {', '.join(SCIPY_METHODS)}")
    iteration = 0
    # SciPy's Newton-CG takes a curvature d'Hd below 7e-16 for zero, so that a mean stops it early; a sum is far above that
    scale = objective.n_samples if solver == "newton-cg" else 1

    def value_and_gradient(theta):
        loss, gradient = objective.value_and_gradient(theta)
        if not math.isfinite(loss):
            raise FloatingPointError(f"training diverged at iteration {iteration + 1}: the loss is {loss}")
        return scale * loss, scale * gradient

    def hessian_mv(theta, v):
        return scale * objective.hessian_mv(theta, v)

    def after_iteration(intermediate_result):
        nonlocal iteration
        iteration += 1
        if callback:
            callback(iteration, intermediate_result.x, float(intermediate_result.fun) / scale)

    stop = {"gtol": tol, "ftol": np.finfo(float).eps, "maxfun": 20 * max_iter} if solver == "lbfgs" else {"xtol": tol}
    result = minimize(
        value_and_gradient,
        np.asarray(theta, dtype=np.float64),
        jac=True,
        method=SCIPY_METHODS[solver],
        hessp=hessian_mv if solver == "newton-cg" else None,
        callback=after_iteration,
        options={"maxiter": max_iter, **stop},
    )
    cut_short = "not converged" if result.nit >= max_iter else f"as far as {objective.dtype} can tell"
    return result.x, f"{result.nit} iterations, {'converged' if result.success else cut_short}"


def predict(model: SoftmaxModel, X: np.ndarray) -> np.ndarray:
    """The most probable class (m,) int64 of each row of X (m, n), scaled as the model expects (``model.scale``)."""
    return SoftmaxObjective(X, np.zeros(len(X), dtype=np.int64), len(model.b)).predict(model.theta)


def accuracy(y: np.ndarray, predicted: np.ndarray) -> float:
    """Share of the labels y (m,) that ``predicted`` (m,) gets right, in [0, 1]."""
    return float(np.mean(y == predicted))


def confusion_matrix(y: np.ndarray, predicted: np.ndarray, n_classes: int) -> np.ndarray:
    """(l, l) counts: row the true class, column the predicted one. y, predicted : (m,) integers in [0, n_classes)."""
    return np.bincount(y * n_classes + predicted, minlength=n_classes**2).reshape(n_classes, n_classes)


def check_samples(dataset: Dataset, n_features: int, n_classes: int) -> None:
    """DataError unless the samples have the model's features, and labels among its classes 0..n_classes-1."""
    n = dataset.X.shape[1]
    if n != n_features:
        raise DataError(f"{dataset.name}: its samples have {n} features; the model takes {n_features}")
    check_labels(dataset.y, n_classes, dataset.name)


def check_labels(y: np.ndarray, n_classes: int, name: str) -> None:
    """DataError if the data called ``name`` has a label outside of the model's classes 0..n_classes-1."""
    if y.max() >= n_classes:
        raise DataError(f"{name}: has the label {y.max()}; the model knows the classes 0..{n_classes - 1}")


def _matching_classes(dataset: Dataset, start: SoftmaxModel | None) -> int:
    if start is None:
        return class_count(dataset.y, dataset.name)
    check_samples(dataset, start.W.shape[1], len(start.b))
    return len(start.b)
