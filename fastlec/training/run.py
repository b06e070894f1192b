"""A network in training: its epochs, and all that changes on the way."""

from __future__ import annotations

import math
import sys
import time
from typing import Any, NamedTuple

import numpy as np

from . import losses
from .history import MEASURED, EarlyStopping, History
from .optim import for_epochs
from .samples import Samples, StreamedSamples
from .step import TrainingStep

CHUNK = 1024  # validation samples that are evaluated at once: what the layers keep of them is bounded


class NotFinite(FloatingPointError):
    """A loss that is not finite, which the message says."""


class Within(NamedTuple):
    """A place inside an epoch: the steps that are done, the sums of their samples' losses and right classes, and the state of the
    random numbers before the epoch."""

    steps: int
    total: float
    right: int
    rng: dict[str, Any]


class Run:
    """A network in training, and all that changes on the way: what a checkpoint holds.

    best : the values of `values` after the best epoch, or None where nobody wants them back. steps : how many were made.
    began : the number of the last epoch's first step, of which history.learning_rate tells. counts : whether there are classes.
    form : what trains. within : the place inside an epoch that the next one goes on from, if any. every : how many steps, counted
    over all epochs, lie between two calls of `save(run)`.
    """

    def __init__(self, net, loss, optimizer, batch_size: int, trainable, rule: EarlyStopping, rng, counts, group=None):
        self.net, self.loss, self.optimizer = net, loss, optimizer
        self.batch_size, self.trainable, self.rule = batch_size, trainable, rule
        own, self.epoch_rate = for_epochs(optimizer)
        self.step = TrainingStep(net, loss, own, batch_size, trainable, keeps_output=counts, group=group)
        self.form = net.for_training(trainable)
        self.history = History()
        self.best = self.values() if rule.restore_best else None
        self.rng, self.began, self.steps, self.counts = rng, 0, 0, counts
        self.within: Within | None = None
        self.every, self.save = sys.maxsize, lambda run: None

    def values(self) -> dict[str, np.ndarray]:
        """Copies of all that training changes of the network."""
        return {"theta": self.net.theta.copy(), **{f"buffers.{name}": array.copy() for name, array in self.net.buffers.items()}}

    def restore(self, values: dict[str, np.ndarray]) -> None:
        """Put back into the network what `values` gave."""
        self.net.theta = values["theta"]
        for name, array in self.net.buffers.items():
            array[...] = values[f"buffers.{name}"]

    def rate(self, history: History, step: int) -> float:
        """The learning rate of a step in the epoch that follows those of a history."""
        if self.epoch_rate:
            self.epoch_rate.begin(history)
        return self.step.optimizer.rate(step)

    def out_of_patience(self) -> bool:
        return self.rule.exhausted(self.history)

    def epoch(self, samples: Samples, rows: np.ndarray, held_out: Samples | None) -> None:
        """Train on those rows of the samples, measure, take note. An exception leaves all as if the epoch had not begun, or as it
        was where the epoch went on from."""
        began, before, history = time.perf_counter(), self.values(), self.history
        done, best, best_epoch = len(history), self.best, history.best_epoch
        try:
            rate = self.rate(history, self.steps)
            with np.errstate(over="ignore", invalid="ignore"):  # what overflows is reported, once
                if self.within is None:
                    self.within = Within(0, 0.0, 0, self.rng.bit_generator.state)
                else:
                    self.rng.bit_generator.state = self.within.rng
                train_loss, train_accuracy = self._train(samples, self._order(samples, rows), rate)
                val_loss, val_accuracy = (None, None) if held_out is None else self._evaluate(held_out)
            steps = self.steps + self._steps(len(rows))
            spoilt = not_finite({**self.values(), **self.step.state, "the validation loss": val_loss or 0.0})
            if spoilt:
                raise self._diverged(steps, f"{spoilt} has NaN or infinity", rate)
            seconds = self._seconds(time.perf_counter() - began)
            measured = (train_loss, val_loss, val_accuracy, seconds, rate, train_accuracy)
            for name, value in zip(MEASURED, measured, strict=True):
                values = getattr(history, name)
                if value is not None and len(values) == done:  # an earlier version's checkpoint may lack the epochs before
                    values.append(value)
            values = getattr(history, self.rule.monitor)
            if best_epoch is None or self.rule.improves(values[-1], values[best_epoch - 1]):
                history.best_epoch = len(history)
                if best is not None:
                    self.best = self.values()
            self.began, self.steps = self.steps, steps
        except BaseException:
            self.restore(before)
            self.best, history.best_epoch = best, best_epoch
            history.cut(done)
            raise
        finally:
            self.within = None

    def _train(self, samples: Samples, order: np.ndarray, rate: float) -> tuple[float, float | None]:
        """One step for every batch of rows, in that order; the samples' mean loss, and the share of classes that were right.

        With weights, of mean 1 over all rows, a batch's loss is the mean of w_i l_i: its expectation over random batches, and the
        mean over an epoch, is the weighted mean over all rows. sum w_i l_i / sum w_i of the batch alone would not be unbiased.
        """
        classes, (first, total, right, state) = samples.classes, self.within
        ends = self._ends(len(order), samples.X.shape[1:])
        for count, (rows, x, targets) in enumerate(samples.batches(order, ends, first), first):
            weight = None if samples.weight is None else samples.weight[rows]
            try:
                loss = self._step_on(x, targets, weight, count)
            except NotFinite as error:
                raise self._diverged(self.steps + count + 1, str(error), rate) from None
            total += loss * len(rows)
            if classes is not None:
                right += losses.count_right(self.step.output, targets if classes is samples.y else classes[rows])
            if (self.steps + count + 1) % self.every == 0 and count + 1 < len(ends):
                self.within = self._place(Within(count + 1, total, right, state))
                if self.leads:
                    self.save(self)
        return total / len(order), None if classes is None else right / len(order)

    def _order(self, samples: Samples, rows: np.ndarray) -> np.ndarray:
        """These rows of the samples in the order of an epoch."""
        return samples.shuffled(rows, self.rng)

    def _ends(self, m: int, shape: tuple[int, ...]) -> list[int]:
        """Where each batch of an epoch ends."""
        return batch_ends(self.form, m, self.batch_size, shape)

    def _steps(self, m: int) -> int:
        """How many steps an epoch has."""
        return math.ceil(m / self.batch_size)

    def _step_on(self, x, targets, weight, count: int) -> float:
        """The loss of one step, the epoch's number `count` from 0. NotFinite where it is not finite."""
        loss = self.step._on_weighted(x, targets, weight)
        if not math.isfinite(loss):
            raise NotFinite(f"the loss is {loss}")
        return loss

    def _place(self, within: Within) -> Within:
        """What a checkpoint says of a place inside an epoch."""
        return within

    def _evaluate(self, held_out: Samples) -> tuple[float, float | None]:
        return evaluate(self.net, self.loss, held_out)

    def _seconds(self, seconds: float) -> float:
        """What the history says of the time that an epoch took."""
        return seconds

    def arrays(self) -> dict[str, np.ndarray]:
        """What of a checkpoint has one shape, however long the training: values, the best ones, the optimizer's state."""
        best = {best_name(name): array for name, array in (self.best or {}).items()}
        return {**self.values(), **best, **{f"state.{name}": array for name, array in self.step.state.items()}}

    leads, ranks = True, 0  # whether it writes and shows; how many train together, 0 without comm

    def settle(self, m: int, shape: tuple[int, ...]) -> None:
        """With m samples of this shape to train on. ValueError where a layer cannot train on one of the batches."""
        ends = batch_ends(self.form, m, self.batch_size, shape)
        self.steps_of_epoch = len(ends)
        for size in {end - start for start, end in zip([0, *ends], ends, strict=False)}:
            try:
                self.form.check_batch(size, shape)
            except ValueError as error:
                text = f"batch_size is {self.batch_size}, which makes batches of {size} of {m} samples: {error}"
                raise ValueError(text) from None

    def averaged(self, samples: Samples, rows, what: str) -> Samples:
        return samples.averaged(rows, what)

    def load(self, saved, epochs: int) -> None:
        """Go on from a checkpoint."""
        saved.load(self, epochs)

    def agreed(self, stop: bool) -> bool:
        """Whether the training ends, if callbacks wish so."""
        return stop

    def end(self) -> None:
        """What comes last, whatever ends the training."""

    def set_arrays(self, arrays: dict[str, np.ndarray]) -> None:
        """Go to where `arrays` were."""
        self.step.state = {name.removeprefix("state."): a for name, a in arrays.items() if name.startswith("state.")}
        self.restore(arrays)
        self.best = self.best and {name: arrays[best_name(name)] for name in self.best}

    def _diverged(self, count: int, what: str, rate: float) -> FloatingPointError:
        best, end = self.history.best_epoch, "net.theta is as it was at the start of the epoch"
        if self.best is not None and best is not None:
            end = f"net.theta is as it was after epoch {best}, the best"
        return FloatingPointError(
            f"training diverged at epoch {len(self.history) + 1}, step {count}: {what}; "
            f"a lower learning rate than {rate:g} may help; {end}"
        )


def batch_ends(form, m: int, batch_size: int, shape: tuple[int, ...]) -> list[int]:
    """Where each batch of m samples of this shape ends: all are full but the last. Where that would be a single sample, of which
    `form`, what trains, takes no step (batch normalisation), the batch before it gives it a second one."""
    ends = [*range(batch_size, m, batch_size), m]
    if m > batch_size > 2 and m % batch_size == 1:
        try:
            form.check_batch(1, shape)
        except ValueError:
            ends[-2] -= 1
    return ends


def evaluate(net, loss, samples: Samples) -> tuple[float, float | None]:
    """The mean loss, and the share of classes that are right, or None where there are no classes."""
    total, right = 0.0, 0
    chunk = len(samples) if net.couples_samples else CHUNK
    if net.couples_samples and isinstance(samples, StreamedSamples):
        raise ValueError("samples depend on each other in net, and those to validate are a Stream; expected them in memory")
    for part in samples.parts(chunk):
        output = net(part.X)
        total += losses.value(loss, output, part.y, part.weight) * len(part)
        if part.classes is not None:
            right += losses.count_right(output, part.classes)
    return total / len(samples), None if samples.classes is None else right / len(samples)


def not_finite(arrays: dict[str, Any]) -> str | None:
    """The name of the first that has NaN or infinity."""
    return next((name for name, values in arrays.items() if not np.isfinite(values).all()), None)


def best_name(name: str) -> str:
    """The name that the best epoch's array of that name has in a checkpoint."""
    return "best" if name == "theta" else f"best.{name}"
