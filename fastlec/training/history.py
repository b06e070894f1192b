"""What a training measures, epoch by epoch, and the rule that says which epoch was the best and when to stop."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from .. import _check

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_ROWS = 20  # that a notebook shows
MEASURED = ("train_loss", "val_loss", "val_accuracy", "seconds", "learning_rate", "train_accuracy")  # the lists of a History
Monitor = Literal["val_loss", "train_loss", "val_accuracy"]
MONITORS: tuple[Monitor, ...] = ("val_loss", "train_loss", "val_accuracy")


def better(monitor: str, value: float, best: float, least: float) -> bool:
    """Whether ``value`` of the monitor is better than ``best`` by more than ``least``."""
    gain = value - best if monitor == "val_accuracy" else best - value
    return gain > least


@dataclass(eq=False, repr=False)
class History:
    """The measurements of a training, epoch by epoch: what `fit` returns.

    Each list has one entry for each epoch, or is empty where there was nothing to measure.

    Parameters
    ----------
    train_loss, val_loss : list of float
        Mean loss. That of training is over the epoch's samples, each with the loss that its batch had before its step; that of
        validation is measured after the epoch. Where samples have weights, it is the weighted mean.
    val_accuracy : list of float
        Share of validation samples whose class is right, in [0, 1]; weights do not count. Measured where outputs are (m, l) and
        the loss has a method ``classes(y)``, as `SoftmaxCrossEntropy` has.
    seconds : list of float
        Time of training and validation.
    learning_rate : list of float
        Learning rate of the epoch's first step.
    best_epoch : int or None
        Best epoch, counted from 1, by early stopping's monitor; without early stopping by ``val_loss``, or else by ``train_loss``.
    notes : list of str
        A line for each setting that a call which went on from a checkpoint has changed, such as "from epoch 6 on lr is 0.001; it
        was 0.01".
    train_accuracy : list of float
        The same of the epoch's samples, each before its batch's step.
    unit : str
        What an entry belongs to: "epoch", or "iteration" of a solver that sees all samples at once.

    See Also
    --------
    fastlec.fit, fastlec.plot.loss_curves

    Notes
    -----
    A training that goes on from an earlier version's checkpoint has no ``train_accuracy``.

    Examples
    --------
    >>> X, y = fastlec.datasets.make_blobs(100, 2)
    >>> net = fastlec.Network([fastlec.Dense(2, 2, "identity")], rng=0)
    >>> history = fastlec.fit(net, X, y, epochs=3, validation=0.2)
    >>> len(history), history.best_epoch, history.train_loss[-1] < history.train_loss[0]
    (3, 3, True)
    """

    train_loss: list[float] = field(default_factory=list)
    val_loss: list[float] = field(default_factory=list)
    val_accuracy: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    learning_rate: list[float] = field(default_factory=list)
    best_epoch: int | None = None
    notes: list[str] = field(default_factory=list)
    train_accuracy: list[float] = field(default_factory=list)
    unit: str = "epoch"

    def __len__(self) -> int:
        return len(self.train_loss)

    def __repr__(self) -> str:
        last = (f"{name} {getattr(self, name)[-1]:.4g}" for name in MEASURED if name != "seconds" and getattr(self, name))
        best = () if self.best_epoch is None else (f"best {self.unit} {self.best_epoch}",)
        count = f"{len(self)} {self.unit}{'s' * (len(self) != 1)}"
        return f"<History of {count}: {', '.join([*last, *best]) or 'nothing measured'}>"

    def _repr_html_(self) -> str:
        """What notebooks show: a table of the last epochs."""
        from html import escape

        shown = [name for name in MEASURED if len(getattr(self, name)) == len(self) > 0]
        first = max(len(self) - MOST_ROWS, 0)
        rows = [[i + 1, *(f"{getattr(self, name)[i]:.4g}" for name in shown)] for i in range(first, len(self))]
        cells = [
            f"<tr>{''.join(f'<{tag}>{cell}</{tag}>' for cell in row)}</tr>"
            for tag, row in [("th", [escape(self.unit), *shown]), *(("td", row) for row in rows)]
        ]
        return f"<table>{''.join(cells)}</table>"

    def cut(self, epochs: int) -> None:
        """Forget what was measured after some epoch.

        Parameters
        ----------
        epochs : int
            Number of epochs to keep.
        """
        for name in MEASURED:
            del getattr(self, name)[epochs:]

    def plot(self, ax: Axes | None = None) -> Axes:
        """Plot losses and accuracies over the epochs.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Axes to draw on; by default pyplot's.

        Returns
        -------
        matplotlib.axes.Axes
            The Axes.
        """
        from ..plot import loss_curves

        return loss_curves(self, ax)


@dataclass(frozen=True)
class EarlyStopping:
    """A rule for `fit`: stop once the monitored quantity has not improved for some epochs.

    Parameters
    ----------
    patience : int
        Number of epochs without improvement after which training stops, at least 1.
    min_delta : float
        An improvement is a change for the better by more than this, >= 0.
    monitor : {"val_loss", "train_loss", "val_accuracy"}
        Quantity to watch.
    restore_best : bool
        Whether ``net.theta`` and ``net.buffers`` end as they were after the best epoch, whatever ends the training: the number of
        epochs, a callback, divergence, Ctrl-C or any other exception. Before the first epoch has ended they are as at the start.

    Raises
    ------
    ValueError or TypeError
        A setting does not fit; the message names it.

    See Also
    --------
    fastlec.fit, fastlec.ReduceOnPlateau

    Examples
    --------
    >>> stop = fastlec.EarlyStopping(patience=5, monitor="val_accuracy")
    >>> stop.improves(0.91, best=0.90), stop.improves(0.90, best=0.90)
    (True, False)
    """

    patience: int = 10
    min_delta: float = 0.0
    monitor: Monitor = "val_loss"
    restore_best: bool = True

    def __post_init__(self) -> None:
        _check.count(self.patience, "patience", 1)
        _check.non_negative(self.min_delta, "min_delta")
        _check.flag(self.restore_best, "restore_best")
        _check.choice(self.monitor, MONITORS, "monitor")

    def improves(self, value: float, best: float) -> bool:
        """Whether a value of the monitor is better than the best one by more than ``min_delta``.

        Parameters
        ----------
        value, best : float
            The new value, and the best one before it.

        Returns
        -------
        bool
            Whether it is.
        """
        return better(self.monitor, value, best, self.min_delta)

    def exhausted(self, history: History) -> bool:
        """Whether the last ``patience`` epochs were no better than one before them.

        Parameters
        ----------
        history : History
            The measurements so far.

        Returns
        -------
        bool
            Whether training should stop.
        """
        return len(history) - (history.best_epoch or 0) >= self.patience
