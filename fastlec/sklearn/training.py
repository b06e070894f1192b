"""Networks trained for an estimator: by `fit` with scikit-learn's callbacks, or one pass that goes on from where the last ended."""

import numpy as np

from .. import _check
from ..training import EarlyStopping, fit
from ..training.loop import check_monitor
from ..training.run import Run
from ..training.samples import samples_of

ALL_EPOCHS = EarlyStopping(patience=1 << 62, monitor="train_loss", restore_best=False)


def checked_rate(learning_rate):
    """The argument learning_rate, a number > 0 or a schedule, which the optimizer asks."""
    if (callable(learning_rate) or hasattr(learning_rate, "in_epoch")) and not isinstance(learning_rate, type):
        return learning_rate
    return _check.positive(learning_rate, "learning_rate")


def train(net, X, y, tasks, fitted, *, epochs, early_stopping=None, **options):
    """`fit`, which tells ``tasks`` of each epoch. Returns (its History, the optimizer's state at the end, or None without epochs).

    fitted : fitted(epochs done) -> the fitted attributes of the moment, for callbacks.
    """
    rule, last = early_stopping or ALL_EPOCHS, None

    def after_epoch(progress):
        nonlocal last
        last = progress
        stop = tasks.end(lambda: fitted(progress.epoch))
        if not (stop or progress.epoch == epochs or rule.exhausted(progress.history)):
            tasks.begin(lambda: fitted(progress.epoch))
        return stop

    tasks.begin(lambda: fitted(0))
    history = fit(net, X, y, epochs=epochs, early_stopping=early_stopping, callbacks=[after_epoch], **options)
    return history, None if last is None else last.step.state


def train_further(net, X, y, sample_weight, state, curve, *, loss, optimizer, batch_size, rng):
    """One epoch from net.theta and the optimizer's state on; None begins that anew, and so does an optimizer with other states.
    curve : the losses of the epochs since the optimizer began, by which its learning rate may go; that of this epoch, which the
    samples had on the way, is the last of those returned. Returns (losses, the state)."""
    samples = samples_of(net, loss, X, y, sample_weight)
    check_monitor(getattr(optimizer, "lr", None), "the optimizer's lr", None, samples.classes)
    run = Run(net, loss, optimizer, min(batch_size, len(samples)), None, ALL_EPOCHS, rng, samples.classes is not None)
    if state is not None and state.keys() == run.step.state.keys():
        run.history.train_loss[:] = curve
        run.step.state = state
        run.steps = run.step.count
    run.epoch(samples, np.arange(len(samples)), None)
    return run.history.train_loss, run.step.state
