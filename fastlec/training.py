"""Minimising an objective with mini-batches or through SciPy, and the record, scores and model that come of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from . import _check
from .data import DataError, Dataset, class_count, split
from .fitting import History
from .io import SoftmaxModel
from .linear import SoftmaxObjective

SCIPY_METHODS = {"lbfgs": "L-BFGS-B", "newton-cg": "Newton-CG"}
DEFAULT_EPOCHS = {"sgd": 60, "lbfgs": 1000, "newton-cg": 100}
TOLERANCE = {"float32": 1e-4, "float64": 1e-6}  # of a gradient relative to its start: then a training has converged


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
    default = DEFAULT_EPOCHS[_check.choice(solver, DEFAULT_EPOCHS, "solver")]
    epochs = default if epochs is None else _check.count(epochs, "epochs", 0)
    seed = _check.count(seed, "seed", 0)
    _check_callback(callback)
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
            progress = _Progress(objective, begin, objective.gradient(begin))
            message = f"{epochs} epochs, {progress.verdict(objective.gradient(theta))}"
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
    _check_callback(callback)
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


def minimize_scipy(
    objective,
    theta: np.ndarray,
    solver: str,
    *,
    max_iter: int = 200,
    tol: float | None = None,
    callback: Callable[[int, np.ndarray, float], None] | None = None,
) -> tuple[np.ndarray, str]:
    """Full-batch minimisation by scipy.optimize.minimize.

    objective : has value_and_gradient(theta), and hessian_mv(theta, v) for "newton-cg". Of a `SoftmaxObjective`, the solvers see
    the parameters of standardised features, so that features of any scale do.
    solver : "lbfgs" or "newton-cg". It goes on until the gradient's largest entry is at most tol of what it was at the start (or is
    at theta = 0, if that is larger), by theta and by the parameters of standardised features; until max_iter iterations; or
    until no step lowers the loss.
    tol : by default 1e-6, where the objective computes in float32 1e-4.
    callback(iteration, theta, loss) is called after each iteration, from 1; what it raises ends the minimisation.

    Returns theta in float64 and a line that says how it ended: "35 iterations, converged: gradient 3.2e-09 of its start".
    Raises ValueError for another solver, or a theta that is not finite; FloatingPointError, naming the iteration, if the loss is
    not finite.
    """
    from scipy.optimize import minimize

    method = SCIPY_METHODS[_check.choice(solver, SCIPY_METHODS, "solver")]
    max_iter = _check.count(max_iter, "max_iter", 0)
    _check_callback(callback)
    iteration, ended = 0, False

    def evaluate(theta):
        with np.errstate(over="ignore", invalid="ignore"):  # what overflows is reported here, once
            loss, gradient = objective.value_and_gradient(theta)
        if not math.isfinite(loss):
            raise FloatingPointError(f"training diverged at iteration {iteration + 1}: the loss is {loss}")
        return loss, np.asarray(gradient, np.float64)

    theta = _check.as_array(theta, "theta")
    _check.float_dtype(theta.dtype, "theta")
    _check.finite(theta, "theta")
    theta = theta.astype(np.float64)
    loss, gradient = evaluate(theta)
    progress = _Progress(objective, theta, gradient, tol)
    variables = progress.variables
    latest = None  # what SciPy asked for last: mostly the point that it then goes to

    def value_and_gradient(u):
        nonlocal latest
        latest = u.copy(), *evaluate(variables.theta(u))
        return scale * latest[1], scale * variables.gradient(latest[2])

    def hessian_mv(u, v):
        return scale * variables.gradient(objective.hessian_mv(variables.theta(u), variables.theta(v)))

    def after_iteration(intermediate_result):
        nonlocal iteration, ended, theta, loss, gradient
        if not np.array_equal(latest[0], intermediate_result.x):
            value_and_gradient(intermediate_result.x)
        u, loss, gradient = latest
        theta = variables.theta(u)
        iteration, ended = iteration + 1, True  # also if callback raises StopIteration, which SciPy takes for a wish to end
        if callback:
            callback(iteration, theta.copy(), loss)
        ended = progress.converged(gradient)
        if ended:
            raise StopIteration

    # So SciPy does not end for want of change, which says nothing of the optimum. But it gives up where a line search fails, and
    # takes a curvature below 7e-16 for zero: as long as that helps it begins anew, scaled so that the gradient is 1.
    stop = {"gtol": 0, "ftol": 0, "maxfun": 20 * max_iter} if solver == "lbfgs" else {"xtol": 0}
    lower, ended = True, progress.converged(gradient)
    while lower and not ended and iteration < max_iter:
        before, scale = loss, 1 / np.abs(variables.gradient(gradient)).max()
        minimize(
            value_and_gradient,
            variables.of_theta(theta),
            jac=True,
            method=method,
            hessp=hessian_mv if solver == "newton-cg" else None,
            callback=after_iteration,
            options={"maxiter": max_iter - iteration, **stop},
        )
        lower = loss < before
    stuck = "" if lower else f"; no step lowers the loss any more in {progress.dtype}"
    return theta, f"{iteration} iterations, {progress.verdict(gradient)}{stuck}"


class _AsTheyAre:
    """Parameters that are theta itself."""

    def theta(self, u):
        return u

    gradient = of_theta = theta


class _Standardised:
    """Parameters u of a linear objective's features, had these mean 0 and deviation 1: W = U / deviation, b = c - W mean.

    The objective is far better conditioned in u, whatever the features' units. deviation^2 counts, beside the variance of a
    feature, 4 l2, since the curvature of the loss is at most variance / 4 + l2, and what round-off leaves of a constant feature.
    """

    def __init__(self, objective: SoftmaxObjective):
        X, weight = objective.X, objective.sample_weight
        m, n = X.shape
        share = np.full(m, 1 / m) if weight is None else weight / weight.sum()
        step = max((1 << 15) // n, 1)

        def average(function):  # over samples, in blocks that stay in cache
            blocks = (slice(first, first + step) for first in range(0, m, step))
            return sum(np.einsum("i,ij->j", share[rows], function(X[rows].astype(np.float64))) for rows in blocks)

        with np.errstate(over="ignore", invalid="ignore"):
            mean = average(lambda x: x) if objective.fit_bias else np.zeros(n)
            variance = average(lambda x: np.square(x - mean))
            square = variance + 4 * objective.l2 + 100 * np.finfo(X.dtype).eps * mean**2
        known = np.isfinite(square) & (square > 0)
        self.mean, self.deviation = np.where(known, mean, 0), np.sqrt(square, out=np.ones(n), where=known)
        self.shape = objective.unpack(np.zeros(objective.n_params))["W"].shape

    def _split(self, flat):
        size = self.shape[0] * self.shape[1]
        return flat[:size].reshape(self.shape), flat[size:]

    def theta(self, u):
        """Of u; the map is linear, so directions go the same way."""
        U, c = self._split(u)
        W = U / self.deviation
        return np.concatenate([W.ravel(), c - (W * self.mean).sum(axis=1)[: c.size]])

    def of_theta(self, theta):
        W, b = self._split(theta)
        return np.concatenate([(W * self.deviation).ravel(), b + (W * self.mean).sum(axis=1)[: b.size]])

    def gradient(self, gradient):
        """By u, of that by theta."""
        W, b = self._split(gradient)
        shifted = W - np.outer(b, self.mean) if b.size else W
        return np.concatenate([(shifted / self.deviation).ravel(), b])


class _Progress:
    """How far gradients are from zero: their largest entry relative to that at the start, or at theta = 0 if that is larger (for a
    start may be near the optimum), by theta or by standardised parameters, whichever is further.

    Relative to theta's gradient alone, a feature of large values would hide that the others are not fitted at all.
    """

    def __init__(self, objective, start, gradient, tol=None):
        self.variables = _Standardised(objective) if isinstance(objective, SoftmaxObjective) else _AsTheyAre()
        self.dtype = np.dtype(getattr(objective, "dtype", np.float64))
        self.tol = TOLERANCE[self.dtype.name] if tol is None else _check.non_negative(tol, "tol")
        at_start = at_zero = self._sizes(gradient)
        if start.any():
            at_zero = self._sizes(objective.value_and_gradient(np.zeros_like(start))[1])
        self.reference = np.maximum(at_start, at_zero)
        self.of = "its start" if (at_start >= at_zero).all() else "that at theta = 0"

    def _sizes(self, gradient):
        return np.array([np.abs(g).max() for g in (gradient, self.variables.gradient(gradient))])

    def _relative(self, gradient):
        sizes = self._sizes(gradient)
        with np.errstate(divide="ignore"):
            return np.divide(sizes, self.reference, out=np.zeros(2), where=sizes > 0).max()

    def converged(self, gradient) -> bool:
        return bool(self._relative(gradient) <= self.tol)

    def verdict(self, gradient) -> str:
        judged = "converged" if self.converged(gradient) else "not converged"
        return f"{judged}: gradient {self._relative(gradient):.1e} of {self.of}"


def predict(model: SoftmaxModel, X: np.ndarray) -> np.ndarray:
    """The most probable class (m,) int64 of each row of X (m, n), scaled as the model expects (``model.scale``).

    ValueError, which names the row, for samples that have no probabilities: NaN, or infinite.
    """
    _check_model(model, "model")
    X = _check.matrix(X, "X", columns=model.W.shape[1])
    return SoftmaxObjective(X, np.zeros(len(X), dtype=np.int64), len(model.b)).predict(model.theta)


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


def _check_model(model: SoftmaxModel, name: str) -> None:
    if not isinstance(model, SoftmaxModel):
        raise TypeError(f"{name} is a {type(model).__name__}; expected a SoftmaxModel")
    arrays = {f"{name}.W": _check.as_array(model.W, f"{name}.W"), f"{name}.b": _check.as_array(model.b, f"{name}.b")}
    _check.common_dtype(**arrays)
    W, b = arrays.values()
    if W.ndim != 2 or b.shape != W.shape[:1]:
        raise ValueError(f"{name}.W has shape {W.shape}, {name}.b {b.shape}; expected (classes, features) and (classes,)")
    for what, array in arrays.items():
        _check.finite(array, what)


def _check_callback(callback) -> None:
    if callback is not None and not callable(callback):
        raise TypeError(f"callback is {_check.shown(callback)}; expected a function or None")


def _matching_classes(dataset: Dataset, start: SoftmaxModel | None) -> int:
    if start is None:
        return class_count(dataset.y, dataset.name)
    _check_model(start, "start")
    check_samples(dataset, start.W.shape[1], len(start.b))
    return len(start.b)
