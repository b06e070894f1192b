"""The file that a training goes on from, to the same bits: what it holds, and which settings must be as they were."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from .. import _check, io
from .._comm import alone
from ..network import Container
from .history import MEASURED, EarlyStopping, History
from .optim import Optimizer
from .run import Run, Within, not_finite
from .samples import Samples

MAY_CHANGE = ("lr", "batch_size")  # between the calls that go on with one checkpoint


class Checkpoint:
    """A checkpoint of a run with these settings.

    The file, an .npz, holds the run's arrays (`Run.arrays`), the lists of its history as "history.train_loss", ..., and as facts
    the settings, the best epoch, the notes, the number of the last epoch's first step and the state of the random numbers.
    """

    def __init__(self, path):
        """ValueError or io.ModelError unless such a file can be written to ``path``."""
        self.path = io.writable(_check.path(path, "checkpoint"))
        if self.path.suffix.lower() == ".safetensors":
            raise ValueError(f"checkpoint is {str(path)!r}; expected another ending: checkpoints are .npz files")
        self.settings: dict[str, Any] = {}
        self._order = ""  # of the samples, which only a place inside an epoch needs
        self._earlier: dict[str, Callable[[], str]] = {}  # fingerprints as files of earlier versions have them

    def describe(self, run: Run, samples: Samples, held_out, early_stopping: EarlyStopping | None, rng, group) -> None:
        """Note the settings of the run: what must be the same in the call that goes on with it, but for `MAY_CHANGE`. group : the
        ranks that train, or None for one process."""
        rule, given = run.rule, {"samples": samples, "validation": held_out}
        given = {name: a for name, a in given.items() if isinstance(a, Samples)}
        prints = {name: a.fingerprint(group or alone()) for name, a in given.items()}
        self._order = prints["samples"][1]
        if group is None:
            self._earlier = {name: a.in_order for name, a in given.items()}
        self.settings = {
            "dtype": str(run.net.theta.dtype),
            "net": _structure(run.net),
            "loss": _text(run.loss),
            "optimizer": _without_rate(run.optimizer),
            "lr": _text(getattr(run.optimizer, "lr", None)),
            "batch_size": run.batch_size,
            "samples": prints["samples"][0],
            "validation": prints["validation"][0] if "validation" in prints else held_out,
            "early_stopping": early_stopping and [rule.monitor, float(rule.min_delta), bool(rule.restore_best)],
            "trainable": run.trainable and list(run.trainable),
            "rng": _seed(rng),
        }

    def save(self, run: Run) -> None:
        """Write what ``run`` is now, all or nothing. FloatingPointError, and the file stays, where that is not finite."""
        arrays, done = run.arrays(), len(run.history)
        spoilt = not_finite(arrays)
        if spoilt:
            raise FloatingPointError(
                f"{spoilt} has NaN or infinity after the callbacks of epoch {done}; {self.path} is left as it was"
            )
        lists = {f"history.{name}": np.array(getattr(run.history, name), np.float64) for name in MEASURED}
        facts = {"best_epoch": run.history.best_epoch, "notes": run.history.notes, "began": run.began}
        facts["rng"] = run.rng.bit_generator.state
        if run.within:
            facts["within"] = {**run.within._asdict(), "ranks": run.ranks, "order": self._order}
        facts = json.loads(json.dumps(facts, default=lambda array: array.tolist()))  # some bit generators' states are arrays
        io.save_arrays(self.path, arrays | lists, {"kind": "checkpoint", "settings": self.settings, **facts})

    def load(self, run: Run, epochs: int) -> None:
        """Set ``run`` to where the file says it was. ModelError, and nothing is changed, unless the file is complete, of a run with
        these settings, and of no more than ``epochs`` epochs."""

        def require(condition: bool, text: str) -> None:
            if not condition:
                raise io.ModelError(f"{self.path}: {text}")

        arrays, meta = io.load_arrays(self.path)
        theirs = meta.get("settings")
        require(meta.get("kind") == "checkpoint" and isinstance(theirs, dict), "is not a checkpoint of fit")
        settings = json.loads(json.dumps(self.settings))  # as the file has it: lists for tuples
        changes = [name for name, ours in settings.items() if theirs.get(name) != ours]
        changes = [name for name in changes if name not in self._earlier or theirs.get(name) != self._earlier[name]()]
        for name in changes:
            found, wanted = _where_they_differ(str(theirs.get(name)), str(settings[name]))
            text = f"is the checkpoint of another training: its {name} is {found}, that of this one is {wanted}"
            require(name in MAY_CHANGE, f"{text}; only lr, batch_size, epochs and patience may change")
        expected = run.arrays()
        lists = {name: arrays.pop(f"history.{name}", np.empty((0, 0))) for name in MEASURED}
        require(set(arrays) == set(expected), f"holds the arrays {sorted(arrays)}; expected {sorted(expected)}")
        for name, array in arrays.items():
            found, wanted = (f"{a.dtype} of shape {a.shape}" for a in (array, expected[name]))
            require(found == wanted, f"{name} is {found}; expected {wanted}")
        done, best_epoch, notes = lists["train_loss"].size, meta.get("best_epoch"), meta.get("notes")
        began, count = meta.get("began"), arrays["state.count"]
        for name, values in lists.items():
            unmeasured = name.startswith(("val_", "train_accuracy")) and name != run.rule.monitor and not values.size
            fits = values.dtype == np.float64 and (values.shape == (done,) or unmeasured)
            require(fits, f"history.{name} is {values.dtype} of shape {values.shape}; expected float64 of shape {(done,)}")
        counted = lists["train_accuracy"].size or lists["val_accuracy"].size
        require(run.counts or not counted, "holds accuracies; expected none, for the loss has no classes(y)")
        within = self._within(run, meta.get("within"), "batch_size" in changes)
        none = within is not None and done == 0 and best_epoch is None
        fits = none or (type(best_epoch) is int and 1 <= best_epoch <= done)
        require(fits, f"best_epoch is {best_epoch!r}; expected 1 to {done}")
        texts = isinstance(notes, list) and all(isinstance(note, str) for note in notes)
        require(texts, f"notes is {notes!r}; expected a list of texts")
        require(count >= 0, f"state.count is {count}; expected an integer >= 0")
        require(type(began) is int and 0 <= began <= count, f"began is {began!r}; expected 0 to {count}")
        most = done + (within is not None)
        require(most <= epochs, f"holds {most} epochs of training; epochs is {epochs}, expected at least as many")
        rng = type(run.rng.bit_generator)()
        try:
            rng.state = meta.get("rng")
        except (TypeError, ValueError, LookupError, ArithmeticError, AttributeError) as error:
            raise io.ModelError(f"{self.path}: the random state is not one of {type(rng).__name__}: {error}") from None

        run.set_arrays(arrays)
        notes += [f"from epoch {done + 1} on {name} is {settings[name]}; it was {theirs.get(name)}" for name in changes]
        if "lr" not in changes and done:  # functions of one's own may look the same
            past = History(**{name: values[: done - 1].tolist() for name, values in lists.items()})
            now, before = _rate(run, past, began), float(lists["learning_rate"][-1])
            if now != before:
                notes.append(f"from epoch {done + 1} on lr is another function: {now} for step {began}; it was {before}")
        measured = {name: values.tolist() for name, values in lists.items()}
        run.history = History(**measured, best_epoch=best_epoch, notes=notes)
        run.rng.bit_generator.state = rng.state
        run.began, run.steps, run.within = began, int(count) - (within.steps if within else 0), within

    def _within(self, run: Run, found, other_batches: bool) -> Within | None:
        """The place inside an epoch that the file says it is of, or None. other_batches : whether batches are other ones now."""
        if found is None:
            return None
        try:
            within = Within(*(found[name] for name in Within._fields))
            valid = (
                type(within.steps) is int
                and 0 < within.steps < run.steps_of_epoch
                and type(within.right) is int
                and within.right >= 0
            )
            valid = valid and math.isfinite(within.total)
            type(run.rng.bit_generator)().state = within.rng
        except (TypeError, ValueError, LookupError, ArithmeticError, AttributeError):
            valid = False
        if not valid:
            raise io.ModelError(f"{self.path}: within is no place inside an epoch")
        what = "another batch_size" if other_batches else None
        if found.get("ranks") != run.ranks:
            before, now = (f"{n} rank{'s' * (n != 1)}" if n else "one process" for n in (found.get("ranks"), run.ranks))
            what = f"{before}, not {now}"
        elif found.get("order") != self._order:
            what = what or "samples in another order"
        if what:
            raise io.ModelError(f"{self.path}: is of a place inside an epoch, with {what}; expected the same")
        return within


def _rate(run: Run, past: History, step: int) -> float | None:
    """The learning rate of a step in the epoch after those of the past; None where a schedule of one's own has none for it."""
    try:
        return run.rate(past, step)
    except Exception:
        return None


def _where_they_differ(a: str, b: str, most: int = 200) -> tuple[str, str]:
    """Two texts; of a long one the part from shortly before the first difference on."""
    same = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), 0)
    start = max(same - most // 2, 0) if max(len(a), len(b)) > most else 0
    return tuple("..." * (start > 0) + text[start : start + most] + "..." * (len(text) > start + most) for text in (a, b))


def _structure(layer) -> Any:
    """A network as what JSON can hold: what `Network.load` makes it from, or, where a layer is the user's own, the kinds, settings
    and parameters of its layers."""
    if isinstance(layer, Container):
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
    values = [(f.name, getattr(optimizer, f.name)) for f in fields(optimizer) if f.name != "lr"]
    settings = [f"{name}={_without_rate(a) if isinstance(a, Optimizer) else _text(a)}" for name, a in values]
    return f"{type(optimizer).__name__}({', '.join(settings)})"


def _seed(rng) -> str:
    if rng is None or hasattr(rng, "bit_generator"):
        return "a generator"
    return _text(int(rng) if isinstance(rng, np.integer) else rng)


def _text(value: object) -> str:
    """repr without the addresses of objects, which are others in the next process."""
    return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))
