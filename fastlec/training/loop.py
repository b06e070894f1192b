"""Training a network over shuffled mini-batches (lecture chapter 4): `fit`, from its arguments to its History."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from .. import _check
from .._comm import Communicator, on_ranks
from ..network import Network
from .history import EarlyStopping, History
from .losses import SoftmaxCrossEntropy
from .optim import SGD
from .progress import Progress, progress_bar
from .run import Run
from .samples import Samples, class_weights, samples_of, split_rows, validation_of
from .trainable import trainable_names

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Literal

    from .._stream import Stream
    from .._typing import ArrayLike, Loss, Seed
    from .optim import Optimizer
    from .trainable import Trainable


@on_ranks
def fit(
    net: Network,
    X: ArrayLike | Stream,
    y: ArrayLike | None,
    *,
    sample_weight: ArrayLike | None = None,
    class_weight: ArrayLike | Mapping[int, float] | Literal["balanced"] | None = None,
    loss: Loss | None = None,
    optimizer: Optimizer | None = None,
    batch_size: int = 32,
    epochs: int = 10,
    validation: float | tuple[ArrayLike, ArrayLike] | tuple[ArrayLike, ArrayLike, ArrayLike] | None = None,
    callbacks: Iterable[Callable[[Progress], object]] = (),
    rng: Seed | None = 0,
    early_stopping: EarlyStopping | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    resume: bool = True,
    trainable: Trainable = None,
    progress: bool = False,
    checkpoint_steps: int | None = None,
    comm: Communicator | None = None,
) -> History:
    """Train a network on shuffled mini-batches (lecture chapter 4).

    Training goes on from where ``net.theta`` and ``net.buffers`` are, and changes them in place.

    Parameters
    ----------
    net : Network
        Network to train.
    X : array_like or Stream, shape (m, ...)
        Samples, real and finite, one a row. Converted once to the network's dtype, or read in place where it has that already: do
        not change it meanwhile. Or a `fastlec.data.Stream`, or what one is made of, which is read block by block: blocks in a
        random order, and the samples of each in a random order.
    y : array_like, shape (m,) or (m, k)
        Targets, as the loss takes them; copied. None where the stream has them.
    sample_weight : array_like, shape (m,), optional
        Weights of the samples, finite, >= 0, not all 0; copied. Losses, and what is minimised, are the weighted means
        sum_i w_i l_i / sum_i w_i, so only ratios matter. Accuracies are shares of samples, whatever their weights.
    class_weight : array_like of shape (l,), dict or "balanced", optional
        Weights of the classes, multiplied with those of the samples: one for each class; or a dict {class: weight}, 1 for those it
        lacks; or "balanced": m / (l times the number of samples of that class), as in scikit-learn.
    loss : Loss, optional
        Mean over samples, by default ``SoftmaxCrossEntropy()``. It may be your own, as in `training_step`.
    optimizer : Optimizer, optional
        By default ``SGD(0.01, momentum=0.9)``. It may be your own. Its state begins anew in every call.
    batch_size : int
        Number of samples of a step. The last batch of an epoch may be smaller; where batch normalisation refuses a single sample,
        it has two.
    epochs : int
        Number of epochs. Each sees every sample once, in a new order.
    validation : float or tuple, optional
        Share of the samples, in (0, 1), to set aside, the same of every class, with their weights; or a pair ``(X_val, y_val)`` or
        triple ``(X_val, y_val, weight_val)``; class_weight counts there, too. Which samples are set aside depends on their number,
        their classes and the share alone, so that no later call trains on them.
    callbacks : iterable of callable
        ``callback(progress)`` is called after each epoch with a `training.Progress`. If it returns True, training ends.
    rng : int or numpy.random.Generator
        Seed; the same one gives the same training.
    early_stopping : EarlyStopping, optional
        Rule for when to stop, and whether to restore the best epoch.
    checkpoint : path_like, optional
        An .npz file that holds, after every epoch and its callbacks, all that it takes to go on. See Notes.
    resume : bool
        Whether to go on from a checkpoint that exists. If not, training begins anew and replaces it after its first epoch.
    trainable : str, Layer, int or a sequence of these, optional
        What is trained, by default everything: names, patterns, layers, as in `training_step`.
    progress : bool
        Whether to show a bar on stderr (of rich where that is installed, else lines).
    checkpoint_steps : int, optional
        Number of steps, counted over all epochs, after which the checkpoint is written inside epochs, too.
    comm : Communicator, optional
        The processes that train together, each of which calls fit with samples of its own: what `fastlec.shared.run` or
        `fastlec.dask.run` hands on, a communicator of mpi4py, or any object with rank, size and allreduce(array). See Notes.

    Returns
    -------
    History
        Losses, accuracies and learning rate of each epoch.

    Raises
    ------
    ValueError or TypeError
        An argument does not fit, or the checkpoint is of another run. Nothing has changed. TypeError also where there are weights
        and the loss is your own and takes no ``sample_weight``.
    FloatingPointError
        X or real targets have NaN or infinity; nothing has changed. Or loss, parameters, buffers or the optimizer's state are no
        longer finite; the message names epoch and step, counted from 1.
    io.ModelError
        The checkpoint cannot be read or written; an older one stays as it was.
    RankError
        With comm: another rank, which the message names, has failed.

    See Also
    --------
    training_step, Objective, gauss_newton

    Notes
    -----
    A checkpoint holds parameters, buffers, the optimizer's state, random numbers and history. If the file exists, training goes on
    from it in place of ``net.theta`` and rng, and ends bitwise as one that was never stopped. A Generator is set to where it was.
    Only these may have changed: ``epochs``, which counts from the very first; the patience of early stopping; batch_size; and the
    optimizer's lr, a number or a schedule, which is asked for the steps that follow. Changes of the last two are noted in
    ``history.notes``. A file that was written inside an epoch also needs the same batch_size, number of ranks and order of the
    samples. Of functions, layers, losses and optimizers of your own the file knows little more than what they print.
    ``Network.load`` reads the network from it: the best where early stopping restores that, else the last.

    Whatever exception ends training, Ctrl-C and those of callbacks too, ``net.theta`` and ``net.buffers`` are what they were after
    the last whole epoch, or after the best where early stopping restores that; ``error.history`` is the `History` of the whole
    epochs; and the checkpoint is that of the last whole epoch, or a later one where checkpoint_steps is given.

    With comm, batch_size is that of the whole batch, of which each rank makes a part in the ratio of its samples. Losses,
    accuracies, weights and the statistics of batch normalisation are those of all ranks. A step is that of one process on the whole
    batch but for rounding; it has the same bits on all ranks, and when it is repeated. Start, rng and checkpoint are those of rank
    0, which alone writes and shows progress; any number of ranks with the same samples, and one process without comm, go on from a
    checkpoint, of Streams only with the same parts. Callbacks are called on every rank; True on one of them ends training on all.

    References
    ----------
    Bottou, Curtis, Nocedal, "Optimization methods for large-scale machine learning", 2018.

    Examples
    --------
    >>> X, y = fastlec.data.load_digits()
    >>> net = fastlec.Network([fastlec.Dense(64, 32), fastlec.Dense(32, 10, "identity")], rng=0)
    >>> history = fastlec.fit(net, X, y, optimizer=fastlec.SGD(0.1, momentum=0.9), epochs=5, validation=0.2)
    >>> len(history), history.val_accuracy[-1] > 0.9
    (5, True)
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
    samples = samples_of(net, loss, X, y, sample_weight)
    held_out = validation_of(net, loss, validation)
    by_class = class_weights(net, loss, samples, class_weight, comm)
    samples = samples.weighed_by_class(by_class)
    if isinstance(held_out, Samples):
        held_out = held_out.weighed_by_class(by_class)
    scored = held_out if isinstance(held_out, Samples) else samples
    rule = _stopping_rule(early_stopping, held_out, scored.classes)
    check_monitor(getattr(optimizer, "lr", None), "the optimizer's lr", held_out, scored.classes)
    saved = None
    if checkpoint is not None:
        from .checkpoint import Checkpoint  # and with it io, which takes as long to import as all of training

        saved = Checkpoint(checkpoint)
    elif checkpoint_steps is not None:
        raise ValueError("checkpoint_steps is given, and checkpoint is None; expected a path")
    resume = _check.flag(resume, "resume")
    trainable = trainable_names(net, trainable)
    settings = optimizer, min(batch_size, len(samples)), trainable, rule, _check.generator(rng), samples.classes is not None
    if comm is None:
        run = Run(net, loss, *settings)
    else:
        from . import ranks

        run = ranks.joined(comm, net, loss, optimizer, batch_size, *settings[2:], samples, held_out, epochs, early_stopping)
    if saved:
        saved.describe(run, samples, held_out, early_stopping, rng, comm)
        if checkpoint_steps is not None:
            run.every, run.save = _check.count(checkpoint_steps, "checkpoint_steps", 1), saved.save
    rows = np.arange(len(samples))
    if isinstance(held_out, float):
        rows, aside = split_rows(samples, held_out)
        held_out = run.averaged(samples, aside, "validation sets aside")[aside]
        samples = run.averaged(samples, rows, "are trained on")
    elif comm is not None:
        held_out = held_out and run.averaged(held_out, slice(None), "validate")
        samples = run.averaged(samples, rows, "are trained on")
    run.settle(len(rows), samples.X.shape[1:])
    if saved and resume and (comm is not None or saved.path.exists()):
        run.load(saved, epochs)

    try:
        with progress_bar(progress and run.leads, run.history, epochs) as show:
            while len(run.history) < epochs and not run.out_of_patience():
                run.epoch(samples, rows, held_out)
                told = Progress(len(run.history), epochs, run.history, net, run.step)
                try:
                    show()
                    stop = any([callback(told) for callback in callbacks])
                finally:  # whatever they raise, the epoch is done
                    if saved and run.leads:
                        saved.save(run)
                if run.agreed(stop):
                    break
    except BaseException as error:
        with suppress(Exception):  # there are exceptions that take no attributes
            error.history = run.history
        raise
    finally:
        if run.best is not None:
            run.restore(run.best)
        run.end()
    return run.history


def _stopping_rule(early_stopping, held_out, classes) -> EarlyStopping:
    """What decides which epoch is the best: early_stopping, or one that never stops."""
    if early_stopping is None:
        monitor = "train_loss" if held_out is None else "val_loss"
        return EarlyStopping(patience=sys.maxsize, monitor=monitor, restore_best=False)
    if not isinstance(early_stopping, EarlyStopping):
        raise TypeError(f"early_stopping is {_check.shown(early_stopping)}; expected None or an EarlyStopping")
    check_monitor(early_stopping, "early_stopping", held_out, classes)
    return early_stopping


def check_monitor(rule, name: str, held_out, classes) -> None:
    """ValueError where a rule, called so, monitors what is not measured."""
    monitor = getattr(rule, "monitor", "")
    if monitor.startswith("val_") and held_out is None:
        raise ValueError(f"{name} monitors {monitor} and validation is None; expected validation samples")
    if monitor == "val_accuracy" and classes is None:
        raise ValueError(f"{name} monitors val_accuracy; expected outputs (m, l) and a loss with classes(y)")
