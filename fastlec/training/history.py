"""What a training measures, epoch by epoch, and the rule that says which epoch was the best and when to stop."""

from __future__ import annotations

from dataclasses import dataclass, field

from .. import _check

MEASURED = ("train_loss", "val_loss", "val_accuracy", "seconds", "learning_rate", "train_accuracy")  # the lists of a History
MONITORS = ("val_loss", "train_loss", "val_accuracy")


def better(monitor: str, value: float, best: float, least: float) -> bool:
    """Whether ``value`` of the monitor is better than ``best`` by more than ``least``."""
    gain = value - best if monitor == "val_accuracy" else best - value
    return gain > least


@dataclass(eq=False)
class History:
    """What was measured in each epoch: lists with one entry an epoch; a list is empty where nothing was to be measured.

    train_loss, train_accuracy : over the epoch's samples, the mean of the loss that their batch had before its step, and the share
    of classes that were right then. Where samples have weights, losses are weighted means; accuracies count each sample once. A
    training that goes on from an earlier version's checkpoint has no train_accuracy.
    val_loss, val_accuracy : after the epoch, on the validation samples. Accuracies are shares of classes that are right, in [0, 1],
    where outputs are (m, l) and the loss says which classes the targets are, as `SoftmaxCrossEntropy` does, or one of your own with
    a method ``classes(y)``.  seconds : of training and validation.  learning_rate : at the epoch's first step.
    best_epoch : the best one, from 1, by early stopping's monitor or else by val_loss, or train_loss where there is none.
    unit : what the entries are of: "epoch", or "iteration" of a solver that sees all samples at once.
    notes : a line of text for each setting that a call which went on from a checkpoint has changed, such as
    "from epoch 6 on lr is 0.001; it was 0.01".

    >>> X, y = fastlec.datasets.make_blobs(100, 2)
    >>> net = fastlec.Network([fastlec.Dense(2, 2, "identity")], rng=0)
    >>> history = fastlec.fit(net, X, y, epochs=3, validation=0.2)
    >>> len(history), len(history.val_accuracy), history.train_loss[-1] < history.train_loss[0]
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

    def cut(self, epochs: int) -> None:
        """Forget what was measured after that many epochs."""
        for name in MEASURED:
            del getattr(self, name)[epochs:]

    def plot(self, ax=None):
        """Losses and accuracy over the epochs, on the Axes ``ax`` or pyplot's; the Axes."""
        from ..plot import loss_curves

        return loss_curves(self, ax)


@dataclass(frozen=True)
class EarlyStopping:
    """Stops a training once ``monitor`` has not improved by more than min_delta for ``patience`` epochs.

    monitor : "val_loss", "train_loss" or "val_accuracy".
    restore_best : whether net.theta and net.buffers end as they were after the best epoch, whatever ends the training: the epochs,
    a callback, divergence, Ctrl-C or any other exception. (Before there was an epoch: as they were at the start.)

    >>> fastlec.EarlyStopping(patience=5, monitor="val_accuracy").improves(0.91, best=0.90)
    True
    """

    patience: int = 10
    min_delta: float = 0.0
    monitor: str = "val_loss"
    restore_best: bool = True

    def __post_init__(self):
        _check.count(self.patience, "patience", 1)
        _check.non_negative(self.min_delta, "min_delta")
        _check.flag(self.restore_best, "restore_best")
        _check.choice(self.monitor, MONITORS, "monitor")

    def improves(self, value: float, best: float) -> bool:
        """Whether ``value`` of the monitor is better than ``best`` by more than min_delta."""
        return better(self.monitor, value, best, self.min_delta)

    def exhausted(self, history: History) -> bool:
        """Whether the last ``patience`` epochs of a history were no better than one before them."""
        return len(history) - (history.best_epoch or 0) >= self.patience
