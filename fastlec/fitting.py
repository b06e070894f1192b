"""Training a network over shuffled mini-batches (lecture 3.2): validation, early stopping, checkpoints, a record of it all."""

from __future__ import annotations

import json
import math
import os
import re
import sys
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np

from . import _check, io
from .data import split
from .losses import SoftmaxCrossEntropy
from .network import Network
from .optim import SGD
from .step import training_step

_LISTS = ("train_loss", "val_loss", "val_accuracy", "seconds", "learning_rate")  # of History
_MONITORS = ("val_loss", "train_loss", "val_accuracy")
_CHUNK = 1024  # validation samples that are evaluated at once: what the layers keep of them is bounded


@dataclass(eq=False)
class History:
    """What was measured in each epoch: lists of one length, but for those that are empty, for nothing was measured.

    train_loss : mean over the epoch's samples of the loss that their batch had before its step.
    val_loss, val_accuracy : after the epoch, on the validation samples; the share of classes that are right, in [0, 1],
    where the targets are classes.  seconds : of training and validation.  learning_rate : at the epoch's first step.
    best_epoch : the best one, from 1, by early stopping's monitor or else by val_loss, or train_loss where there is none.
    """

    train_loss: list[float] = field(default_factory=list)
    val_loss: list[float] = field(default_factory=list)
    val_accuracy: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    learning_rate: list[float] = field(default_factory=list)
    best_epoch: int | None = None

    def __len__(self) -> int:
        return len(self.train_loss)

    def plot(self, ax=None):
        """Losses and accuracy over the epochs, on the Axes ``ax`` or in a new figure that pyplot does not know; the Axes."""
        from .plot import loss_curves

        return loss_curves(self, ax)


@dataclass(frozen=True)
class EarlyStopping:
    """Stops a training once ``monitor`` has not improved by more than min_delta for ``patience`` epochs.

    monitor : "val_loss", "train_loss" or "val_accuracy".
    restore_best : whether net.theta and net.buffers end as they were after the best epoch, also where the epochs or a callback
    end the training.
    """

    patience: int = 10
    min_delta: float = 0.0
    monitor: str = "val_loss"
    restore_best: bool = True

    def __post_init__(self):
        _check.count(self.patience, "patience", 1)
        _check.non_negative(self.min_delta, "min_delta")
        if self.monitor not in _MONITORS:
            raise ValueError(f"monitor is {self.monitor!r}; expected one of {', '.join(_MONITORS)}")

    def improves(self, value: float, best: float) -> bool:
        """Whether ``value`` of the monitor is better than ``best`` by more than min_delta."""
        gain = value - best if self.monitor == "val_accuracy" else best - value
        return gain > self.min_delta


@dataclass(frozen=True, eq=False)
class Progress:
    """What a callback of :func:`fit` is told: ``epoch`` (from 1) of ``epochs`` has just ended, with this history."""

    epoch: int
    epochs: int
    history: History
    net: Any
    step: Any


def fit(
    net,
    X,
    y,
    *,
    loss=None,
    optimizer=None,
    batch_size: int = 32,
    epochs: int = 10,
    validation=None,
    callbacks: Iterable[Callable[[Progress], object]] = (),
    rng=0,
    early_stopping: EarlyStopping | None = None,
    checkpoint: str | os.PathLike | None = None,
    progress: bool = False,
) -> History:
    """Train ``net`` on the samples X and targets y; net.theta and net.buffers go on from where they are, and are changed in place.

    X : (m, ...) real numbers, one sample a row, converted once to the network's dtype.  y : (m,) or (m, k), as the loss takes it.
    loss : by default SoftmaxCrossEntropy(); a mean over samples.  optimizer : by default SGD(0.01, momentum=0.9). Its state
    begins anew in every call.
    batch_size, epochs : every epoch sees every sample once, in a new order, batch_size at a time (the last batch may be smaller).
    validation : None; the share, in (0, 1), of samples to set aside, the same of every class; or a pair (X_val, y_val).
    callbacks : callback(progress) is called after each epoch with a :class:`Progress`; if it returns True, training ends.
    rng : a seed or a Generator; the same one gives the same training.
    early_stopping : an :class:`EarlyStopping`, or None.
    checkpoint : a file that holds, after every epoch, all that it takes to go on: parameters, buffers, optimizer, random numbers,
    history. If it exists, the training goes on from it instead of from net.theta and rng, and ends bitwise as one that was
    never stopped. ``epochs``, which counts from the very first, and the patience of early stopping may have changed; a seed
    may not, a Generator is set to where it was. Of functions and layers of your own it knows little more than the name.
    progress : show a bar (rich, where installed, or else lines) on stderr.

    Returns the :class:`History`. Raises ValueError or TypeError, before anything is changed, for arguments that do not fit
    or a checkpoint of another run; FloatingPointError, which names epoch and step (counted from 1, over all epochs), once the
    loss, the parameters, buffers or the optimizer's state are not finite: net.theta and net.buffers are then what they were at
    the start of that epoch.
    Other exceptions (Ctrl-C, or a callback's) leave net.theta as far as it has come, and the checkpoint of the last
    whole epoch.
    """
    if not isinstance(net, Network):
        raise TypeError(f"net is a {type(net).__name__}; expected a Network")
    loss = SoftmaxCrossEntropy() if loss is None else loss
    optimizer = SGD(0.01, momentum=0.9) if optimizer is None else optimizer
    _check.loss(loss)
    _check.optimizer(optimizer)
    batch_size = _check.count(batch_size, "batch_size", 1)
    epochs = _check.count(epochs, "epochs", 0)
    callbacks = list(callbacks)
    for callback in callbacks:
        if not callable(callback):
            raise TypeError(f"callbacks holds {callback!r}; expected functions")
    samples = _samples(net, loss, X, y)
    held_out = _validation(net, loss, validation)
    scored = held_out if isinstance(held_out, _Samples) else samples
    rule = _stopping_rule(early_stopping, held_out, scored.classes)
    path = None if checkpoint is None else io.writable(checkpoint)
    run = _Run(net, loss, optimizer, min(batch_size, len(samples)), rule, np.random.default_rng(rng))
    settings = path and {
        "dtype": str(net.theta.dtype),
        "network": _structure(net),
        "loss": _text(loss),
        "optimizer": _text(optimizer),
        "batch_size": batch_size,
        "samples": samples.fingerprint(),
        "validation": held_out.fingerprint() if isinstance(held_out, _Samples) else held_out,
        "early_stopping": early_stopping and [rule.monitor, float(rule.min_delta), bool(rule.restore_best)],
        "rng": "a generator" if rng is None or hasattr(rng, "bit_generator") else _text(rng),
    }
    if path and path.exists():
        run.load(path, settings, epochs)
    else:
        run.split_seed = int(run.rng.integers(1 << 63))
    rows = np.arange(len(samples))
    if isinstance(held_out, float):
        rows, aside = _split(samples, held_out, run.split_seed)
        held_out = samples[aside]
    _check_batches(net.for_training(), len(rows), run.batch_size, samples.X.shape[1:])

    with _shown(progress, run.history, epochs) as show:
        while len(run.history) < epochs and not run.out_of_patience():
            run.epoch(samples, rows, held_out)
            show()
            told = Progress(len(run.history), epochs, run.history, net, run.step)
            stop = any([callback(told) for callback in callbacks])
            if path:
                run.save(path, settings)
            if stop:
                break
    if run.best is not None:
        run.restore(run.best)
    return run.history


@dataclass(frozen=True, eq=False)
class _Samples:
    """X (m, ...) in the network's dtype; y as the loss takes it; classes (m,), or None where the targets are no classes."""

    X: np.ndarray
    y: np.ndarray
    classes: np.ndarray | None

    def __len__(self) -> int:
        return len(self.X)

    def __getitem__(self, rows) -> _Samples:
        return _Samples(self.X[rows], self.y[rows], None if self.classes is None else self.classes[rows])

    def fingerprint(self) -> str:
        return f"X {self.X.shape}, y {self.y.shape}, checksum {zlib.crc32(self.y, zlib.crc32(self.X)):08x}"


class _Run:
    """A network in training, and all that changes on the way: what a checkpoint holds.

    best : the values of `values` after the best epoch, or None where nobody wants them back.
    split_seed : of the validation part, so that it is the same one after a stop, whatever became of the Generator.
    """

    def __init__(self, net, loss, optimizer, batch_size: int, rule: EarlyStopping, rng: np.random.Generator):
        self.net, self.loss, self.optimizer, self.batch_size, self.rule = net, loss, optimizer, batch_size, rule
        self.step = training_step(net, loss, optimizer, batch_size)
        self.history = History()
        self.best = self.values() if rule.restore_best else None
        self.rng, self.split_seed = rng, 0

    def values(self) -> dict[str, np.ndarray]:
        """Copies of all that training changes of the network."""
        return {"theta": self.net.theta.copy(), **{f"buffers.{name}": array.copy() for name, array in self.net.buffers.items()}}

    def restore(self, values: dict[str, np.ndarray]) -> None:
        """The network as it was."""
        self.net.theta = values["theta"]
        for name, array in self.net.buffers.items():
            array[...] = values[f"buffers.{name}"]

    def out_of_patience(self) -> bool:
        return len(self.history) - (self.history.best_epoch or 0) >= self.rule.patience

    def epoch(self, samples: _Samples, rows: np.ndarray, held_out: _Samples | None) -> None:
        """Train on those rows of the samples, measure, take note. FloatingPointError leaves the network as it was before."""
        began, before, history = time.perf_counter(), self.values(), self.history
        n_batches = math.ceil(len(rows) / self.batch_size)
        first = len(history) * n_batches
        rate = self.optimizer.rate(first)
        try:
            with np.errstate(over="ignore", invalid="ignore"):  # what overflows is reported, once
                train_loss = self._train(samples, self.rng.permutation(rows), first, rate)
                val_loss, val_accuracy = (None, None) if held_out is None else _evaluate(self.net, self.loss, held_out)
            numbers = {**self.values(), **self.step.state, "the validation loss": val_loss or 0.0}
            for name, values in numbers.items():
                if not np.isfinite(values).all():
                    raise self._diverged(first + n_batches, f"{name} has NaN or infinity", rate)
        except FloatingPointError:
            self.restore(before)
            raise
        history.train_loss.append(train_loss)
        if val_loss is not None:
            history.val_loss.append(val_loss)
        if val_accuracy is not None:
            history.val_accuracy.append(val_accuracy)
        history.seconds.append(time.perf_counter() - began)
        history.learning_rate.append(rate)
        values = getattr(history, self.rule.monitor)
        if history.best_epoch is None or self.rule.improves(values[-1], values[history.best_epoch - 1]):
            history.best_epoch = len(history)
            if self.best is not None:
                self.best = self.values()

    def _train(self, samples: _Samples, order: np.ndarray, first: int, rate: float) -> float:
        """One step for every batch of rows, in that order; the mean loss of the samples. first : steps done before."""
        X, y = (np.empty((self.batch_size, *a.shape[1:]), a.dtype) for a in (samples.X, samples.y))
        total = 0.0
        for count, start in enumerate(range(0, len(order), self.batch_size), first + 1):
            rows = order[start : start + self.batch_size]
            x, targets = X[: len(rows)], y[: len(rows)]
            samples.X.take(rows, 0, x, "clip")  # "raise" would gather into a copy first
            samples.y.take(rows, 0, targets, "clip")
            loss = self.step(x, targets)
            if not math.isfinite(loss):
                raise self._diverged(count, f"the loss is {loss}", rate)
            total += loss * len(rows)
        return total / len(order)

    def _diverged(self, count: int, what: str, rate: float) -> FloatingPointError:
        advice = f"a lower learning rate than {rate:g} may help, if the samples are finite"
        return FloatingPointError(
            f"training diverged at epoch {len(self.history) + 1}, step {count}: {what}; {advice}; "
            "net.theta is as it was at the start of the epoch"
        )

    def _arrays(self) -> dict[str, np.ndarray]:
        """What of a checkpoint has one shape, however long the training."""
        best = {_best(name): array for name, array in (self.best or {}).items()}
        return {**self.values(), **best, **{f"state.{name}": array for name, array in self.step.state.items()}}

    def save(self, path: Path, settings: dict[str, Any]) -> None:
        """Write a checkpoint, all or nothing."""
        lists = {f"history.{name}": np.array(getattr(self.history, name), np.float64) for name in _LISTS}
        facts = {"best_epoch": self.history.best_epoch, "split_seed": self.split_seed, "rng": self.rng.bit_generator.state}
        facts = json.loads(json.dumps(facts, default=lambda array: array.tolist()))  # some bit generators' states are arrays
        io.save_arrays(path, self._arrays() | lists, {"kind": "checkpoint", "settings": settings, **facts})

    def load(self, path: Path, settings: dict[str, Any], epochs: int) -> None:
        """Go on from a checkpoint. ModelError, and nothing is changed, unless it is complete and of a run with these settings."""

        def require(condition: bool, text: str) -> None:
            if not condition:
                raise io.ModelError(f"{path}: {text}")

        arrays, meta = io.load_arrays(path)
        theirs = meta.get("settings")
        require(meta.get("kind") == "checkpoint" and isinstance(theirs, dict), "is not a checkpoint of fit")
        for name, ours in settings.items():
            text = f"is the checkpoint of another training: its {name} is {theirs.get(name)}, that of this one is {ours}"
            require(theirs.get(name) == ours, text)
        expected = self._arrays()
        lists = {name: arrays.pop(f"history.{name}", np.empty((0, 0))) for name in _LISTS}
        require(set(arrays) == set(expected), f"holds the arrays {sorted(arrays)}; expected {sorted(expected)}")
        for name, array in arrays.items():
            found, wanted = (f"{a.dtype} of shape {a.shape}" for a in (array, expected[name]))
            require(found == wanted, f"{name} is {found}; expected {wanted}")
        done, best_epoch, split_seed = lists["train_loss"].size, meta.get("best_epoch"), meta.get("split_seed")
        for name, values in lists.items():
            unmeasured = name.startswith("val_") and name != self.rule.monitor and not values.size
            fits = values.dtype == np.float64 and (values.shape == (done,) or unmeasured)
            require(fits, f"history.{name} is {values.dtype} of shape {values.shape}; expected float64 of shape {(done,)}")
        require(type(best_epoch) is int and 1 <= best_epoch <= done, f"best_epoch is {best_epoch!r}; expected 1 to {done}")
        require(type(split_seed) is int and split_seed >= 0, f"split_seed is {split_seed!r}; expected an integer >= 0")
        require(done <= epochs, f"holds {done} epochs of training; epochs is {epochs}, expected at least as many")
        rng = type(self.rng.bit_generator)()
        try:
            rng.state = meta.get("rng")
        except (TypeError, ValueError, LookupError, ArithmeticError, AttributeError) as error:
            raise io.ModelError(f"{path}: the random state is not one of {type(rng).__name__}: {error}") from None

        self.step.state = {name.removeprefix("state."): arrays[name] for name in arrays if name.startswith("state.")}
        self.restore(arrays)
        self.best = self.best and {name: arrays[_best(name)] for name in self.best}
        self.history = History(**{name: values.tolist() for name, values in lists.items()}, best_epoch=best_epoch)
        self.rng.bit_generator.state = rng.state
        self.split_seed = split_seed


def _best(name: str) -> str:
    """The name that the best epoch's array of that name has in a checkpoint."""
    return "best" if name == "theta" else f"best.{name}"


def _samples(net, loss, X, y) -> _Samples:
    X = _check.as_array(X, "X")
    _check.float_dtype(X.dtype, "X")
    if X.ndim < 2 or 0 in X.shape:
        raise ValueError(f"X has shape {X.shape}; expected (samples, features), or more axes, none of them 0")
    shape, dtype = (len(X), *net.output_shape(X.shape[1:])), net.theta.dtype
    with np.errstate(over="ignore"):  # infinity is then found in the loss
        X = _check.plain(X, dtype, "X")
    y = np.ascontiguousarray(loss.targets(y, shape, dtype))
    classes = None
    if y.ndim == 1 and y.dtype.kind in "iu" and shape[-1] > 1:
        classes = y
    elif isinstance(loss, SoftmaxCrossEntropy):
        classes = y.argmax(axis=1)
    return _Samples(X, y, classes)


def _validation(net, loss, validation) -> _Samples | float | None:
    """The samples of a pair; a share of the samples that are trained on as a float."""
    if validation is None:
        return None
    if isinstance(validation, Real):
        if not 0 < validation < 1:
            raise ValueError(f"validation is {validation}; expected a share between 0 and 1, or a pair (X_val, y_val)")
        return float(validation)
    if not isinstance(validation, tuple | list) or len(validation) != 2:
        raise TypeError(f"validation is a {type(validation).__name__}; expected None, a share, or a pair (X_val, y_val)")
    try:
        return _samples(net, loss, *validation)
    except (TypeError, ValueError) as error:
        raise type(error)(f"validation: {error}") from None


def _split(samples: _Samples, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The rows to train on and those to validate with: of every class the same share, where there are classes."""
    if samples.classes is not None:
        return split(samples.classes, fraction=share, seed=seed)
    m = len(samples)
    if m < 2:
        raise ValueError(f"validation is {share}, of {m} sample; expected two samples or more, or a pair (X_val, y_val)")
    order = np.random.default_rng(seed).permutation(m)
    count = min(max(round(m * share), 1), m - 1)
    return np.sort(order[count:]), np.sort(order[:count])


def _check_batches(form, m: int, batch_size: int, shape: tuple[int, ...]) -> None:
    """ValueError where a layer cannot train on one of the batches that m samples of this shape make. form : what trains."""
    for size in {min(batch_size, m), m % batch_size or batch_size}:
        try:
            form.check_batch(size, shape)
        except ValueError as error:
            raise ValueError(f"batch_size is {batch_size}, which makes batches of {size} of {m} samples: {error}") from None


def _stopping_rule(early_stopping, held_out, classes) -> EarlyStopping:
    """What decides which epoch is the best: early_stopping, or one that never stops."""
    if early_stopping is None:
        monitor = "train_loss" if held_out is None else "val_loss"
        return EarlyStopping(patience=sys.maxsize, monitor=monitor, restore_best=False)
    if not isinstance(early_stopping, EarlyStopping):
        raise TypeError(f"early_stopping is {early_stopping!r}; expected None or an EarlyStopping")
    monitor = early_stopping.monitor
    if monitor.startswith("val_") and held_out is None:
        raise ValueError(f"early_stopping monitors {monitor} and validation is None; expected validation samples")
    if monitor == "val_accuracy" and classes is None:
        raise ValueError("early_stopping monitors val_accuracy; expected targets that are classes")
    return early_stopping


def _evaluate(net, loss, samples: _Samples) -> tuple[float, float | None]:
    """The mean loss, and the share of classes that are right, or None where there are no classes."""
    total, right = 0.0, 0
    chunk = len(samples) if net.couples_samples else _CHUNK
    for start in range(0, len(samples), chunk):
        part = samples[start : start + chunk]
        output = net(part.X)
        total += loss.value(output, part.y) * len(part)
        if part.classes is not None:
            right += np.count_nonzero(output.argmax(axis=-1) == part.classes)
    return total / len(samples), None if samples.classes is None else right / len(samples)


def _structure(layer) -> str | list:
    """A layer's kind, settings and parameters; of a network, a list of those of its layers."""
    if isinstance(layer, Network):
        return [_structure(part) for part in layer.layers]
    settings = _text(layer.config()) if hasattr(layer, "config") else ""
    return " ".join([type(layer).__name__, settings, *(f"{name} {array.shape}" for name, array in layer.params.items())])


def _text(value: object) -> str:
    """repr without the addresses of objects, which are others in the next process."""
    return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))


@contextmanager
def _shown(wanted: bool, history: History, epochs: int) -> Iterator[Callable[[], None]]:
    """A function to call after each epoch, that shows on stderr how the training goes."""

    def scores() -> str:
        text = f"loss {history.train_loss[-1]:.4g}"
        text += f", validation {history.val_loss[-1]:.4g}" if history.val_loss else ""
        return text + (f", accuracy {history.val_accuracy[-1]:.2%}" if history.val_accuracy else "")

    if not wanted:
        yield lambda: None
        return
    try:
        import rich.console
        import rich.progress
    except ImportError:
        rich = None
    if rich is None:
        yield lambda: print(f"epoch {len(history)}/{epochs}: {scores()}", file=sys.stderr)
        return
    columns = (rich.progress.BarColumn(), rich.progress.MofNCompleteColumn(), rich.progress.TimeElapsedColumn())
    text = rich.progress.TextColumn("{task.description}")
    with rich.progress.Progress(*columns, text, console=rich.console.Console(stderr=True)) as bar:
        task = bar.add_task("", total=epochs, completed=len(history))
        yield lambda: bar.update(task, completed=len(history), description=scores())
