"""Training a network over shuffled mini-batches (lecture chapter 4): `fit`, from its arguments to its History."""

from __future__ import annotations

import functools
import math
import os
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress

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


@on_ranks
def fit(
    net,
    X,
    y,
    *,
    sample_weight=None,
    class_weight=None,
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
    comm: Communicator | None = None,
) -> History:
    """Train ``net`` on the samples X and targets y; net.theta and net.buffers go on from where they are, and are changed in place.

    X : (m, ...) real numbers, one sample a row, converted once to the network's dtype, and read in place where it is that already:
    do not change it meanwhile.  y : (m,) or (m, k), as the loss takes it; copied.
    sample_weight : (m,) weights, finite, >= 0, not all 0; copied.  class_weight : the weight of each class, (l,), or a dict
    {class: weight}, 1 for those it lacks, or "balanced": m / (l times the samples of that class), as in scikit-learn. Both are
    multiplied, and only ratios matter: train_loss, val_loss and what is minimised are means sum_i w_i l_i / sum_i w_i. Accuracies
    are shares of samples, whatever their weights. TypeError where the loss is your own and takes no sample_weight.
    loss : by default SoftmaxCrossEntropy(); a mean over samples.  optimizer : by default SGD(0.01, momentum=0.9). Its state
    begins anew in every call. Both may be your own, as in :func:`training_step`.
    batch_size, epochs : every epoch sees every sample once, in a new order, batch_size at a time (the last batch may be smaller;
    where batch normalisation refuses a single sample, it has two).
    validation : None; the share, in (0, 1), of samples to set aside, the same of every class, with their weights; or a pair (X_val,
    y_val), or (X_val, y_val, weight_val): class_weight counts there, too. Which samples are set aside depends on their number,
    their classes and the share alone, so that no later call trains on them.
    callbacks : callback(progress) is called after each epoch with a :class:`Progress`; if it returns True, training ends.
    rng : a seed or a Generator; the same one gives the same training.
    early_stopping : an :class:`EarlyStopping`, or None.
    checkpoint : an .npz file that holds, after every epoch and its callbacks, all that it takes to go on: parameters, buffers,
    optimizer, random numbers, history. If it exists, the training goes on from it instead of from net.theta and rng, and ends
    bitwise as one that was never stopped. These may have changed: ``epochs``, which counts from the very first; the patience of
    early stopping; the optimizer's lr, a number or a schedule, which is asked for the steps that follow; batch_size. The last two
    are noted in history.notes. Nothing else may; a Generator is set to where it was. Of functions, layers, losses and optimizers of
    your own it knows little more than what they print. ``Network.load`` reads the network from it: the best where early stopping
    restores that, else the last.
    resume : whether to go on from a checkpoint that exists. If not, the training begins anew and replaces it after its first epoch.
    trainable : what is trained, by default everything: names, patterns, layers, as in :func:`training_step`.
    progress : show a bar (rich, where installed, or else lines) on stderr.
    comm : a communicator of several processes, each of which calls fit with samples of its own: that of `fastlec.shared.run` or
    `fastlec.dask.run`, one of mpi4py, or any object with rank, size and allreduce(array). batch_size is that of the whole batch, of
    which each rank makes a part, in the ratio of its samples. Losses, accuracies, weights and the statistics of batch normalisation
    are those of all ranks. A step is that of one process on the whole batch but for rounding; it has the same bits on all ranks,
    and when it is repeated. The start, rng and checkpoint are those of rank 0, which alone writes and shows progress; any number of
    ranks with the same samples goes on from a checkpoint. Callbacks are called on every rank; True on one of them ends all.

    Returns the :class:`History`. Raises ValueError or TypeError, before anything is changed, for arguments that do not fit
    or a checkpoint of another run; FloatingPointError, likewise, if X or real targets have NaN or infinity, and, naming epoch and
    step (counted from 1, over all epochs), once the loss, the parameters, buffers or the optimizer's state are not finite;
    io.ModelError if the checkpoint cannot be written, which leaves an older one as it was; with comm RankError where another
    rank, which it names, has failed.
    Whatever exception ends the training, Ctrl-C and those of callbacks too: net.theta and net.buffers are what they were after the
    last whole epoch, or the best one where early stopping restores that; ``error.history`` is the History of the whole epochs;
    the checkpoint is that of the last whole epoch.

    >>> X, y = fastlec.data.load_digits()
    >>> net = fastlec.Network([fastlec.Dense(64, 32, rng=0), fastlec.Dense(32, 10, "identity", rng=1)])
    >>> history = fastlec.fit(net, X, y, optimizer=fastlec.SGD(0.1, momentum=0.9), epochs=5, validation=0.2)
    >>> len(history), history.val_accuracy[-1] > 0.9
    (5, True)

    Lecture chapter 4; Bottou, Curtis, Nocedal, "Optimization methods for large-scale machine learning", 2018.
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
    resume = _check.flag(resume, "resume")
    trainable = trainable_names(net, trainable)
    settings = optimizer, min(batch_size, len(samples)), trainable, rule, _check.generator(rng), samples.classes is not None
    fingerprint = Samples.fingerprint
    if comm is None:
        run = Run(net, loss, *settings)
    else:
        from . import ranks

        run = ranks.joined(comm, net, loss, optimizer, batch_size, *settings[2:], samples, held_out, epochs, early_stopping)
        fingerprint = functools.partial(ranks.fingerprint, comm)
    if saved:
        saved.describe(run, samples, held_out, early_stopping, rng, fingerprint)
        if resume and (comm is not None or saved.path.exists()):
            run.load(saved, epochs)
    rows = np.arange(len(samples))
    if isinstance(held_out, float):
        rows, aside = split_rows(samples, held_out)
        held_out = run.averaged(samples[aside], slice(None), "validation sets aside")
        samples = run.averaged(samples, rows, "are trained on")
    elif comm is not None:
        held_out = held_out and run.averaged(held_out, slice(None), "validate")
        samples = run.averaged(samples, rows, "are trained on")
    run.settle(len(rows), samples.X.shape[1:])

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
