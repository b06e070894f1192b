"""How a training is followed while it runs: what its callbacks are told, and the bar on stderr."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from .history import History


@dataclass(frozen=True, eq=False)
class Progress:
    """What a callback of :func:`fit` is told: ``epoch`` (from 1) of ``epochs`` has just ended, with this history."""

    epoch: int
    epochs: int
    history: History
    net: Any
    step: Any


@contextmanager
def progress_bar(wanted: bool, history: History, epochs: int) -> Iterator[Callable[[], None]]:
    """A function to call after each epoch, which shows on stderr how the training goes: a bar of rich where that is installed, else
    lines; nothing unless wanted."""

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
