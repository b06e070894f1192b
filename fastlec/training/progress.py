"""How a training is followed while it runs: what its callbacks are told, and the bar on stderr."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .history import History

if TYPE_CHECKING:
    from ..network import Network
    from .step import TrainingStep


@dataclass(frozen=True, eq=False)
class Progress:
    """What `fit` tells its callbacks after an epoch.

    Parameters
    ----------
    epoch, epochs : int
        Number of the epoch that has just ended, from 1, and of all epochs.
    history : History
        What was measured so far.
    net : Network
        The network, as it is now.
    step : TrainingStep
        The training step, which has the optimizer's state.

    See Also
    --------
    fastlec.fit

    Examples
    --------
    >>> X, y = fastlec.datasets.make_blobs(100, 2)
    >>> net = fastlec.Network([fastlec.Dense(2, 2, "identity")], rng=0)
    >>> def show(progress):
    ...     print(progress)
    >>> history = fastlec.fit(net, X, y, epochs=2, callbacks=[show])
    Progress(epoch=1, epochs=2)
    Progress(epoch=2, epochs=2)
    """

    epoch: int
    epochs: int
    history: History = field(repr=False)
    net: Network = field(repr=False)
    step: TrainingStep = field(repr=False)


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
