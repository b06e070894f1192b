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
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, fields, is_dataclass
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np

from . import _check, io, losses
from .data import split
from .losses import SoftmaxCrossEntropy
from .network import Network
from .optim import SGD
from .step import trainable_names, training_step

_LISTS = ("train_loss", "val_loss", "val_accuracy", "seconds", "learning_rate")  # of History
_MONITORS = ("val_loss", "train_loss", "val_accuracy")
_MAY_CHANGE = ("lr", "batch_size")  # between the calls that go on with one checkpoint
_CHUNK = 1024  # validation samples that are evaluated at once: what the layers keep of them is bounded


@dataclass(eq=False)
class History:
    """What was measured in each epoch: lists of one length, but for those that are empty, for nothing was measured.

    train_loss : mean over the epoch's samples of the loss that their batch had before its step.
    val_loss, val_accuracy : after the epoch, on the validation samples; the share of classes that are right, in [0, 1],
    where the targets are classes.  seconds : of training and validation.  learning_rate : at the epoch's first step.
    best_epoch : the best one, from 1, by early stopping's monitor or else by val_loss, or train_loss where there is none.
    notes : a line of text for each setting that a call which went on from a checkpoint has changed, such as
    "from epoch 6 on lr is 0.001; it was 0.01".
    """

    train_loss: list[float] = field(default_factory=list)
    val_loss: list[float] = field(default_factory=list)
    val_accuracy: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    learning_rate: list[float] = field(default_factory=list)
    best_epoch: int | None = None
    notes: list[str] = field(default_factory=list)

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
    restore_best : whether net.theta and net.buffers end as they were after the best epoch, whatever ends the training: the epochs,
    a callback, divergence, Ctrl-C or any other exception. (Before there was an epoch: as they were at the start.)
    """

    patience: int = 10
    min_delta: float = 0.0
    monitor: str = "val_loss"
    restore_best: bool = True

    def __post_init__(self):
        _check.count(self.patience, "patience", 1)
        _check.non_negative(self.min_delta, "min_delta")
        _check.flag(self.restore_best, "restore_best")
        _check.choice(self.monitor, _MONITORS, "monitor")

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
    resume: bool = True,
    trainable=None,
    progress: bool = False,
) -> History:
    """Train ``net`` on the samples X and targets y; net.theta and net.buffers go on from where they are, and are changed in place.

    X : (m, ...) real numbers, one sample a row, converted once to the network's dtype, and read in place where it is that already:
    do not change it meanwhile.  y : (m,) or (m, k), as the loss takes it; copied.
    loss : by default SoftmaxCrossEntropy(); a mean over samples.  optimizer : by default SGD(0.01, momentum=0.9). Its state
    begins anew in every call.
    batch_size, epochs : every epoch sees every sample once, in a new order, batch_size at a time (the last batch may be smaller).
    validation : None; the share, in (0, 1), of samples to set aside, the same of every class; or a pair (X_val, y_val). Which
    samples are set aside depends on their number, their classes and the share alone, so that no later call trains on them.
    callbacks : callback(progress) is called after each epoch with a :class:`Progress`; if it returns True, training ends.
    rng : a seed or a Generator; the same one gives the same training.
    early_stopping : an :class:`EarlyStopping`, or None.
    checkpoint : an .npz file that holds, after every epoch and its callbacks, all that it takes to go on: parameters, buffers,
    optimizer, random numbers, history. If it exists, the training goes on from it instead of from net.theta and rng, and ends
    bitwise as one that was never stopped. These may have changed: ``epochs``, which counts from the very first; the patience of
    early stopping; the optimizer's lr, a number or a schedule, which is asked for the steps that follow; batch_size. The last two
    are noted in history.notes. Nothing else may; a Generator is set to where it was. Of functions and layers of your own it knows
    little more than the name. ``Network.load`` reads the network from it: the best where early stopping restores that, else
    the last.
    resume : whether to go on from a checkpoint that exists. If not, the training begins anew and replaces it after its first epoch.
    trainable : what is trained, by default everything: names, patterns, layers, as in :func:`training_step`.
    progress : show a bar (rich, where installed, or else lines) on stderr.

    Returns the :class:`History`. Raises ValueError or TypeError, before anything is changed, for arguments that do not fit
    or a checkpoint of another run; FloatingPointError, likewise, if X or real targets have NaN or infinity, and, naming epoch and
    step (counted from 1, over all epochs), once the loss, the parameters, buffers or the optimizer's state are not finite;
    io.ModelError if the checkpoint cannot be written, which leaves an older one as it was.
    Whatever exception ends the training, Ctrl-C and those of callbacks too: net.theta and net.buffers are what they were after the
    last whole epoch, or the best one where early stopping restores that; ``error.history`` is the History of the whole epochs;
    the checkpoint is that of the last whole epoch.
    """
    if not isinstance(net, Network):
        raise TypeError(f"net is a {type(net).__name__}; expected a Network")
    loss = SoftmaxCrossEntropy() if loss is None else loss
    optimizer = SGD(0.01, momentum=0.9) if optimizer is None else optimizer
    _check.loss(loss)
    _check.optimizer(optimizer, "rate")
    batch_size = _check.count(batch_size, "batch_size", 1, math.inf)
    epochs = _check.count(epochs, "epochs", 0)
    progress = _check.flag(progress, "progress")
    if callable(callbacks) or not isinstance(callbacks, Iterable) or isinstance(callbacks, np.ndarray):
        raise TypeError(f"callbacks is {_check.shown(callbacks)}; expected a sequence of functions")
    callbacks = list(callbacks)
    for callback in callbacks:
        if not callable(callback):
            raise TypeError(f"callbacks holds {_check.shown(callback)}; expected functions")
    samples = _samples(net, loss, X, y)
    held_out = _validation(net, loss, validation)
    scored = held_out if isinstance(held_out, _Samples) else samples
    rule = _stopping_rule(early_stopping, held_out, scored.classes)
    path = None if checkpoint is None else _checkpoint_path(checkpoint)
    resume = _check.flag(resume, "resume")
    trainable = trainable_names(net, trainable)
    batch_size = min(batch_size, len(samples))
    run = _Run(net, loss, optimizer, batch_size, trainable, rule, _check.generator(rng))
    settings = path and {
        "dtype": str(net.theta.dtype),
        "net": _structure(net),
        "loss": _text(loss),
        "optimizer": _without_rate(optimizer),
        "lr": _text(getattr(optimizer, "lr", None)),
        "batch_size": batch_size,
        "samples": samples.fingerprint(),
        "validation": held_out.fingerprint() if isinstance(held_out, _Samples) else held_out,
        "early_stopping": early_stopping and [rule.monitor, float(rule.min_delta), bool(rule.restore_best)],
        "trainable": trainable and list(trainable),
        "rng": _seed(rng),
    }
    if path and resume and path.exists():
        run.load(path, settings, epochs)
    rows = np.arange(len(samples))
    if isinstance(held_out, float):
        rows, aside = _split(samples, held_out)
        held_out = samples[aside]
    _check_batches(net.for_training(trainable), len(rows), run.batch_size, samples.X.shape[1:])

    try:
        with _shown(progress, run.history, epochs) as show:
            while len(run.history) < epochs and not run.out_of_patience():
                run.epoch(samples, rows, held_out)
                told = Progress(len(run.history), epochs, run.history, net, run.step)
                try:
                    show()
                    stop = any([callback(told) for callback in callbacks])
                finally:  # whatever they raise, the epoch is done
                    if path:
                        run.save(path, settings)
                if stop:
                    break
    except BaseException as error:
        with suppress(Exception):  # there are exceptions that take no attributes
            error.history = run.history
        raise
    finally:
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

    best : the values of `values` after the best epoch, or None where nobody wants them back. steps : how many were made.
    began : the number of the last epoch's first step, of which history.learning_rate tells.
    """

    def __init__(self, net, loss, optimizer, batch_size: int, trainable, rule: EarlyStopping, rng: np.random.Generator):
        self.net, self.loss, self.optimizer, self.batch_size, self.rule = net, loss, optimizer, batch_size, rule
        self.step = training_step(net, loss, optimizer, batch_size, trainable)
        self.history = History()
        self.best = self.values() if rule.restore_best else None
        self.rng, self.began, self.steps = rng, 0, 0

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
        """Train on those rows of the samples, measure, take note. An exception leaves all as if the epoch had not begun."""
        began, before, history = time.perf_counter(), self.values(), self.history
        done, best, best_epoch = len(history), self.best, history.best_epoch
        try:
            rate = self.optimizer.rate(self.steps)
            with np.errstate(over="ignore", invalid="ignore"):  # what overflows is reported, once
                train_loss = self._train(samples, self.rng.permutation(rows), rate)
                val_loss, val_accuracy = (None, None) if held_out is None else _evaluate(self.net, self.loss, held_out)
            steps = self.steps + math.ceil(len(rows) / self.batch_size)
            spoilt = _not_finite({**self.values(), **self.step.state, "the validation loss": val_loss or 0.0})
            if spoilt:
                raise self._diverged(steps, f"{spoilt} has NaN or infinity", rate)
            measured = (train_loss, val_loss, val_accuracy, time.perf_counter() - began, rate)
            for name, value in zip(_LISTS, measured, strict=True):
                if value is not None:
                    getattr(history, name).append(value)
            values = getattr(history, self.rule.monitor)
            if best_epoch is None or self.rule.improves(values[-1], values[best_epoch - 1]):
                history.best_epoch = len(history)
                if best is not None:
                    self.best = self.values()
            self.began, self.steps = self.steps, steps
        except BaseException:
            self.restore(before)
            self.best, history.best_epoch = best, best_epoch
            for name in _LISTS:
                del getattr(history, name)[done:]
            raise

    def _train(self, samples: _Samples, order: np.ndarray, rate: float) -> float:
        """One step for every batch of rows, in that order; the mean loss of the samples."""
        X, y = (np.empty((self.batch_size, *a.shape[1:]), a.dtype) for a in (samples.X, samples.y))
        total = 0.0
        for count, start in enumerate(range(0, len(order), self.batch_size), self.steps + 1):
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
        best, end = self.history.best_epoch, "net.theta is as it was at the start of the epoch"
        if self.best is not None and best is not None:
            end = f"net.theta is as it was after epoch {best}, the best"
        return FloatingPointError(
            f"training diverged at epoch {len(self.history) + 1}, step {count}: {what}; "
            f"a lower learning rate than {rate:g} may help; {end}"
        )

    def _arrays(self) -> dict[str, np.ndarray]:
        """What of a checkpoint has one shape, however long the training."""
        best = {_best(name): array for name, array in (self.best or {}).items()}
        return {**self.values(), **best, **{f"state.{name}": array for name, array in self.step.state.items()}}

    def save(self, path: Path, settings: dict[str, Any]) -> None:
        """Write a checkpoint, all or nothing."""
        arrays, done = self._arrays(), len(self.history)
        spoilt = _not_finite(arrays)
        if spoilt:
            raise FloatingPointError(
                f"{spoilt} has NaN or infinity after the callbacks of epoch {done}; {path} is left as it was"
            )
        lists = {f"history.{name}": np.array(getattr(self.history, name), np.float64) for name in _LISTS}
        facts = {"best_epoch": self.history.best_epoch, "notes": self.history.notes, "began": self.began}
        facts["rng"] = self.rng.bit_generator.state
        facts = json.loads(json.dumps(facts, default=lambda array: array.tolist()))  # some bit generators' states are arrays
        io.save_arrays(path, arrays | lists, {"kind": "checkpoint", "settings": settings, **facts})

    def load(self, path: Path, settings: dict[str, Any], epochs: int) -> None:
        """Go on from a checkpoint. ModelError, and nothing is changed, unless it is complete and of a run with these settings."""

        def require(condition: bool, text: str) -> None:
            if not condition:
                raise io.ModelError(f"{path}: {text}")

        arrays, meta = io.load_arrays(path)
        theirs = meta.get("settings")
        require(meta.get("kind") == "checkpoint" and isinstance(theirs, dict), "is not a checkpoint of fit")
        settings = json.loads(json.dumps(settings))  # as the file has it: lists for tuples
        changes = [name for name, ours in settings.items() if theirs.get(name) != ours]
        for name in changes:
            found, wanted = _where_they_differ(str(theirs.get(name)), str(settings[name]))
            text = f"is the checkpoint of another training: its {name} is {found}, that of this one is {wanted}"
            require(name in _MAY_CHANGE, f"{text}; only lr, batch_size, epochs and patience may change")
        expected = self._arrays()
        lists = {name: arrays.pop(f"history.{name}", np.empty((0, 0))) for name in _LISTS}
        require(set(arrays) == set(expected), f"holds the arrays {sorted(arrays)}; expected {sorted(expected)}")
        for name, array in arrays.items():
            found, wanted = (f"{a.dtype} of shape {a.shape}" for a in (array, expected[name]))
            require(found == wanted, f"{name} is {found}; expected {wanted}")
        done, best_epoch, notes = lists["train_loss"].size, meta.get("best_epoch"), meta.get("notes")
        began, count = meta.get("began"), arrays["state.count"]
        for name, values in lists.items():
            unmeasured = name.startswith("val_") and name != self.rule.monitor and not values.size
            fits = values.dtype == np.float64 and (values.shape == (done,) or unmeasured)
            require(fits, f"history.{name} is {values.dtype} of shape {values.shape}; expected float64 of shape {(done,)}")
        require(type(best_epoch) is int and 1 <= best_epoch <= done, f"best_epoch is {best_epoch!r}; expected 1 to {done}")
        texts = isinstance(notes, list) and all(isinstance(note, str) for note in notes)
        require(texts, f"notes is {notes!r}; expected a list of texts")
        require(count >= 0, f"state.count is {count}; expected an integer >= 0")
        require(type(began) is int and 0 <= began <= count, f"began is {began!r}; expected 0 to {count}")
        require(done <= epochs, f"holds {done} epochs of training; epochs is {epochs}, expected at least as many")
        rng = type(self.rng.bit_generator)()
        try:
            rng.state = meta.get("rng")
        except (TypeError, ValueError, LookupError, ArithmeticError, AttributeError) as error:
            raise io.ModelError(f"{path}: the random state is not one of {type(rng).__name__}: {error}") from None

        self.step.state = {name.removeprefix("state."): arrays[name] for name in arrays if name.startswith("state.")}
        self.restore(arrays)
        self.best = self.best and {name: arrays[_best(name)] for name in self.best}
        notes += [f"from epoch {done + 1} on {name} is {settings[name]}; it was {theirs.get(name)}" for name in changes]
        if "lr" not in changes:  # functions of one's own may look the same
            now, before = _rate(self.optimizer, began), float(lists["learning_rate"][-1])
            if now != before:
                notes.append(f"from epoch {done + 1} on lr is another function: {now} for step {began}; it was {before}")
        measured = {name: values.tolist() for name, values in lists.items()}
        self.history = History(**measured, best_epoch=best_epoch, notes=notes)
        self.rng.bit_generator.state = rng.state
        self.began, self.steps = began, int(count)


def _rate(optimizer, step: int) -> float | None:
    """The learning rate of a step of the past; None where a schedule of one's own has none for it."""
    try:
        return optimizer.rate(step)
    except Exception:
        return None


def _where_they_differ(a: str, b: str, most: int = 200) -> tuple[str, str]:
    """Two texts; of a long one the part from shortly before the first difference on."""
    same = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), 0)
    start = max(same - most // 2, 0) if max(len(a), len(b)) > most else 0
    return tuple("..." * (start > 0) + text[start : start + most] + "..." * (len(text) > start + most) for text in (a, b))


def _best(name: str) -> str:
    """The name that the best epoch's array of that name has in a checkpoint."""
    return "best" if name == "theta" else f"best.{name}"


def _samples(net, loss, X, y) -> _Samples:
    X = _check.as_array(X, "X")
    _check.float_dtype(X.dtype, "X")
    if X.ndim < 2 or 0 in X.shape:
        raise ValueError(f"X has shape {X.shape}; expected (samples, features), or more axes, none of them 0")
    shape, dtype = (len(X), *net.output_shape(X.shape[1:])), net.theta.dtype
    with np.errstate(over="ignore"):  # infinity is then found
        X = _check.plain(X, dtype, "X")
    y = np.array(loss.targets(y, shape, dtype), order="C")
    _check.finite(X, "X", error=FloatingPointError)
    _check.finite(y, "y", error=FloatingPointError)
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
            raise ValueError(
                f"validation is {_check.shown(validation)}; expected a share between 0 and 1, or a pair (X_val, y_val)"
            )
        return float(validation)
    if not isinstance(validation, tuple | list) or len(validation) != 2:
        raise TypeError(f"validation is a {type(validation).__name__}; expected None, a share, or a pair (X_val, y_val)")
    try:
        return _samples(net, loss, *validation)
    except (TypeError, ValueError, FloatingPointError) as error:
        raise type(error)(f"validation: {error}") from None


def _split(samples: _Samples, share: float) -> tuple[np.ndarray, np.ndarray]:
    """The rows to train on and those to validate with: of every class the same share, where there are classes. Always the same
    ones, for a second training that goes on from the first one's theta must not train on what that one has set aside."""
    if samples.classes is not None:
        return split(samples.classes, fraction=share)
    m = len(samples)
    if m < 2:
        raise ValueError(f"validation is {share}, of {m} sample; expected two samples or more, or a pair (X_val, y_val)")
    order = np.random.default_rng(0).permutation(m)
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
        raise TypeError(f"early_stopping is {_check.shown(early_stopping)}; expected None or an EarlyStopping")
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
        total += losses.value(loss, output, part.y) * len(part)
        if part.classes is not None:
            right += np.count_nonzero(output.argmax(axis=-1) == part.classes)
    return total / len(samples), None if samples.classes is None else right / len(samples)


def _not_finite(arrays: dict[str, Any]) -> str | None:
    """The name of the first that has NaN or infinity."""
    return next((name for name, values in arrays.items() if not np.isfinite(values).all()), None)


def _checkpoint_path(checkpoint) -> Path:
    path = io.writable(_check.path(checkpoint, "checkpoint"))
    if path.suffix.lower() == ".safetensors":
        raise ValueError(f"checkpoint is {str(checkpoint)!r}; expected another ending: checkpoints are .npz files")
    return path


def _structure(layer) -> Any:
    """A network as what JSON can hold: what `Network.load` makes it from, or, where a layer is the user's own, the kinds, settings
    and parameters of its layers."""
    if isinstance(layer, Network):
        try:
            return layer.config()
        except TypeError:
            return [_structure(part) for part in layer.layers]
    settings = _text(layer.config()) if hasattr(layer, "config") else ""
    return " ".join([type(layer).__name__, settings, *(f"{name} {array.shape}" for name, array in layer.params.items())])


def _without_rate(optimizer) -> str:
    """An optimizer as text, but for its learning rate, where that is a field of its own."""
    if not is_dataclass(optimizer):
        return _text(optimizer)
    settings = [f"{f.name}={_text(getattr(optimizer, f.name))}" for f in fields(optimizer) if f.name != "lr"]
    return f"{type(optimizer).__name__}({', '.join(settings)})"


def _seed(rng) -> str:
    if rng is None or hasattr(rng, "bit_generator"):
        return "a generator"
    return _text(int(rng) if isinstance(rng, np.integer) else rng)


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
