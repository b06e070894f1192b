"""Optimizers and learning-rate schedules (lecture chapter 4, stochastic gradient descent).

An optimizer is a rule and its settings; it holds no state. The training step that applies it keeps the state: velocities or
moments, as long as theta, and the count of steps.

A schedule is a function of the step's number 0, 1, 2, ... that gives the learning rate; any callable will do. One that goes by
epochs has a method ``in_epoch(history)`` instead, which gives the rate of the epoch after those of a `History`: `fit` asks it.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol, TypeAlias

import numpy as np

from .. import _check
from .history import MONITORS, History, Monitor, better

if TYPE_CHECKING:
    from typing import Any, Self

    from .._typing import FloatArray


class EpochSchedule(Protocol):
    """A learning rate that goes by epochs."""

    def in_epoch(self, history: Any, /) -> float: ...


LearningRate: TypeAlias = float | Callable[[int], float] | EpochSchedule
MOST_EXPONENT = 1 << 1000  # a float still holds it


def _number(value, name, low, high=math.inf, *, open_low=False):
    value = _check.non_negative(value, name)
    if value < low or value >= high or (open_low and value == low):
        limit = f" and < {high:g}" if high < math.inf else ""
        raise ValueError(f"{name} is {value}; expected a number {'>' if open_low else '>='} {low:g}{limit}")
    return value


def _count(value, name, least):
    """An integer of any size: schedules go on for ever."""
    return _check.count(value, name, least, most=math.inf)


class _Settings:
    """What optimizers and schedules share: frozen dataclasses, whose settings are kept as plain numbers once they are checked."""

    def _keep(self, **settings):
        for name, value in settings.items():
            object.__setattr__(self, name, value)


class Schedule(_Settings):
    """Base class of fastlec's schedules: a warmup, then lr times a factor of the step.

    Over the warmup the rate rises linearly to lr. A schedule is a function of the step's number; with ``per="epoch"`` epochs take
    the place of steps, which `fit` alone counts.

    See Also
    --------
    fastlec.CosineDecay, fastlec.ExponentialDecay, fastlec.StepDecay

    Examples
    --------
    >>> rate = fastlec.CosineDecay(0.5, steps=100, warmup=2)
    >>> isinstance(rate, fastlec.training.Schedule), rate(0), rate(1), rate(52)
    (True, 0.25, 0.5, 0.25)
    """

    def __repr__(self) -> str:
        settings = [(f.name, getattr(self, f.name)) for f in fields(self)]
        shown = (f"{name}={value!r}" for name, value in settings if (name, value) != ("per", "step"))
        return f"{type(self).__name__}({', '.join(shown)})"

    @property
    def in_epoch(self) -> Callable[[History], float] | None:
        """None of a schedule of steps; else a function that gives the rate of the epoch that follows those of a History."""
        return None if self.per == "step" else lambda history: self(len(history))

    def __call__(self, step: int) -> float:
        """Learning rate of a step.

        Parameters
        ----------
        step : int
            Number of the step, or epoch, from 0.

        Returns
        -------
        float
            The rate.

        Raises
        ------
        ValueError
            It is too large for a float.
        """
        step = _count(step, "step", 0)
        if step < self.warmup:
            return self.lr * ((step + 1) / self.warmup)
        try:
            rate = self.lr * self._factor(step - self.warmup)
        except OverflowError:
            rate = math.inf
        if rate == math.inf:
            raise ValueError(f"lr({step}) is {rate}; expected a finite number")
        return rate

    def _check(self):
        lr, warmup = _number(self.lr, "lr", 0, open_low=True), _count(self.warmup, "warmup", 0)
        self._keep(lr=lr, warmup=warmup, per=_check.choice(self.per, ("step", "epoch"), "per"))


@dataclass(frozen=True, repr=False)
class StepDecay(Schedule):
    """Learning rate that is multiplied by a factor after every so many steps.

    Parameters
    ----------
    lr : float
        First learning rate, > 0.
    every : int
        Number of steps between changes, at least 1.
    factor : float
        What the rate is multiplied by, > 0.
    warmup : int
        Number of steps over which the rate rises linearly to lr, before all others.
    per : {"step", "epoch"}
        Whether steps or, in `fit`, epochs are counted.

    Raises
    ------
    ValueError or TypeError
        A setting does not fit; the message names it.

    See Also
    --------
    fastlec.ExponentialDecay, fastlec.CosineDecay, fastlec.ReduceOnPlateau

    Examples
    --------
    >>> rate = fastlec.StepDecay(0.5, every=10, factor=0.5)
    >>> rate(9), rate(10), rate(20)
    (0.5, 0.25, 0.125)
    """

    lr: float
    every: int
    factor: float = 0.1
    warmup: int = 0
    per: Literal["step", "epoch"] = "step"

    def __post_init__(self) -> None:
        self._check()
        every, factor = _count(self.every, "every", 1), _number(self.factor, "factor", 0, open_low=True)
        self._keep(every=every, factor=factor)

    def _factor(self, step):
        return self.factor ** min(step // self.every, MOST_EXPONENT)


@dataclass(frozen=True, repr=False)
class ExponentialDecay(Schedule):
    """Learning rate lr factor^step.

    Parameters
    ----------
    lr : float
        First learning rate, > 0.
    factor : float
        What the rate is multiplied by after each step, > 0.
    warmup : int
        Number of steps over which the rate rises linearly to lr, before all others.
    per : {"step", "epoch"}
        Whether steps or, in `fit`, epochs are counted.

    Raises
    ------
    ValueError or TypeError
        A setting does not fit; the message names it.

    See Also
    --------
    fastlec.StepDecay, fastlec.CosineDecay, fastlec.ReduceOnPlateau

    Examples
    --------
    >>> rate = fastlec.ExponentialDecay(0.5, factor=0.5, warmup=2)
    >>> [rate(step) for step in range(5)]
    [0.25, 0.5, 0.5, 0.25, 0.125]
    """

    lr: float
    factor: float
    warmup: int = 0
    per: Literal["step", "epoch"] = "step"

    def __post_init__(self) -> None:
        self._check()
        self._keep(factor=_number(self.factor, "factor", 0, open_low=True))

    def _factor(self, step):
        return self.factor ** min(step, MOST_EXPONENT)


@dataclass(frozen=True, repr=False)
class CosineDecay(Schedule):
    """Learning rate that falls from lr to floor * lr along half a cosine, and then stays there.

    Parameters
    ----------
    lr : float
        First learning rate, > 0.
    steps : int
        Number of steps of the half cosine, at least 1.
    floor : float
        Last learning rate relative to lr, in [0, 1).
    warmup : int
        Number of steps over which the rate rises linearly to lr, before all others.
    per : {"step", "epoch"}
        Whether steps or, in `fit`, epochs are counted.

    Raises
    ------
    ValueError or TypeError
        A setting does not fit; the message names it.

    See Also
    --------
    fastlec.StepDecay, fastlec.ExponentialDecay, fastlec.ReduceOnPlateau

    References
    ----------
    Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts", 2017; here without restarts.

    Examples
    --------
    >>> rate = fastlec.CosineDecay(0.5, steps=100, floor=0.1)
    >>> round(rate(0), 3), round(rate(50), 3), round(rate(100), 3)
    (0.5, 0.275, 0.05)
    """

    lr: float
    steps: int
    floor: float = 0.0
    warmup: int = 0
    per: Literal["step", "epoch"] = "step"

    def __post_init__(self) -> None:
        self._check()
        self._keep(steps=_count(self.steps, "steps", 1), floor=_number(self.floor, "floor", 0, 1))

    def _factor(self, step):
        share = step / self.steps if step < self.steps else 1.0
        return self.floor + (1 - self.floor) * 0.5 * (1 + math.cos(math.pi * share))


@dataclass(frozen=True)
class ReduceOnPlateau(_Settings):
    """Learning rate that is reduced when a measured quantity stops improving: PyTorch's ReduceLROnPlateau.

    It is for `fit`, which measures the quantity.

    Parameters
    ----------
    lr : float
        First learning rate, > 0.
    factor : float
        What the rate is multiplied by at a reduction, in (0, 1).
    patience : int
        The rate is reduced after more than this number of epochs without improvement.
    monitor : {"val_loss", "train_loss", "val_accuracy"}
        Quantity to watch.
    threshold : float
        Relative change that counts as an improvement, in [0, 1).
    cooldown : int
        Number of epochs after a reduction that are not looked at.
    min_lr : float
        The rate does not fall below it.

    Raises
    ------
    ValueError or TypeError
        A setting does not fit; the message names it.

    See Also
    --------
    fastlec.EarlyStopping, fastlec.StepDecay

    Examples
    --------
    >>> X, y = fastlec.datasets.make_blobs(100, 2)
    >>> net = fastlec.Network([fastlec.Dense(2, 2, "identity")], rng=0)
    >>> rate = fastlec.ReduceOnPlateau(4.0, factor=0.5, patience=1, monitor="val_accuracy")
    >>> history = fastlec.fit(net, X, y, optimizer=fastlec.SGD(rate), epochs=8, validation=0.2)
    >>> history.learning_rate[0], history.learning_rate[-1] < 4.0
    (4.0, True)
    """

    lr: float
    factor: float = 0.1
    patience: int = 10
    monitor: Monitor = "val_loss"
    threshold: float = 1e-4
    cooldown: int = 0
    min_lr: float = 0.0

    def __post_init__(self) -> None:
        self._keep(
            lr=_number(self.lr, "lr", 0, open_low=True),
            factor=_number(self.factor, "factor", 0, 1, open_low=True),
            patience=_count(self.patience, "patience", 0),
            monitor=_check.choice(self.monitor, MONITORS, "monitor"),
            threshold=_number(self.threshold, "threshold", 0, 1),
            cooldown=_count(self.cooldown, "cooldown", 0),
            min_lr=_number(self.min_lr, "min_lr", 0),
        )

    def in_epoch(self, history: History) -> float:
        """Learning rate of the epoch that follows those of a History.

        Parameters
        ----------
        history : History
            The measurements so far.

        Returns
        -------
        float
            The rate.
        """
        rate, best, bad, resting = self.lr, None, 0, 0
        for value in getattr(history, self.monitor):
            if best is None or better(self.monitor, value, best, self.threshold * abs(best)):
                best, bad = value, 0
            else:
                bad += 1
            if resting:
                resting, bad = resting - 1, 0
            if bad > self.patience:
                rate, bad, resting = max(rate * self.factor, min(self.min_lr, rate)), 0, self.cooldown
        return rate


class Optimizer(_Settings):
    """Base class of optimizers, your own among them: a rule, in NumPy, for one step.

    A subclass has `step`, an attribute ``lr`` or a method `rate` of its own, and says in ``state_arrays`` how many arrays like
    theta the rule keeps from one step to the next. If it is a dataclass, checkpoints note its settings, and its ``lr`` is checked.
    An optimizer holds no state: the training step that applies it does.

    See Also
    --------
    fastlec.SGD, fastlec.Adam, fastlec.training_step

    Notes
    -----
    Fastlec's own optimizers also tell the kernels their rule, so that parameters change inside the matrix products that are their
    gradients. A subclass of theirs with a `step` of its own goes by that.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> import numpy as np
    >>> @dataclass(frozen=True)
    ... class Lion(fastlec.Optimizer):
    ...     "Signs of a running mean of gradients (Chen et al. 2023)."
    ...     lr: float = 1e-3
    ...     betas: tuple = (0.9, 0.99)
    ...     state_arrays = 1
    ...
    ...     def step(self, theta, gradient, states, count):
    ...         (mean,) = states
    ...         theta -= self.rate(count) * np.sign(self.betas[0] * mean + (1 - self.betas[0]) * gradient)
    ...         mean *= self.betas[1]
    ...         mean += (1 - self.betas[1]) * gradient
    >>> X, y = fastlec.data.load_digits()
    >>> net = fastlec.Network([fastlec.Dense(64, 10, "identity")], rng=0)
    >>> history = fastlec.fit(net, X, y, optimizer=Lion(), epochs=5)
    >>> history.train_loss[-1] < history.train_loss[0] / 2
    True
    """

    state_arrays: int = 0

    def __post_init__(self) -> None:
        if isinstance(getattr(self, "lr", None), type):
            raise TypeError(
                f"lr is {_check.shown(self.lr)}, a class; expected a number, or a schedule such as CosineDecay(0.1, steps=1000)"
            )
        if hasattr(self, "lr") and not callable(self.lr) and not _by_epoch(self.lr):
            self._keep(lr=_number(self.lr, "lr", 0, open_low=True))

    def rate(self, count: int) -> float:
        """Learning rate of a step.

        Parameters
        ----------
        count : int
            Number of the step, from 0.

        Returns
        -------
        float
            The rate.

        Raises
        ------
        ValueError
            The rate goes by epochs: `fit` alone knows it.
        """
        if _by_epoch(self.lr):
            what = f"lr is {self.lr!r}, which goes by epochs"
            raise ValueError(f"{what}; expected a number or a schedule of steps: only fit has epochs")
        return _number(self.lr(count), f"lr({count})", 0) if callable(self.lr) else float(self.lr)

    def step(self, theta: FloatArray, gradient: FloatArray, states: tuple[FloatArray, ...], count: int) -> None:
        """Change theta and the states in place, and return nothing.

        Where it raises, the network stays as it was: the arrays, flat and of one dtype, are the call's own.

        Parameters
        ----------
        theta : ndarray, shape (n,)
            All parameters that are trained.
        gradient : ndarray, shape (n,)
            The loss's gradient by them, which may be overwritten.
        states : tuple of ndarray, shape (n,)
            What the rule keeps: ``state_arrays`` arrays, zero at first.
        count : int
            Number of steps before this one.
        """
        raise NotImplementedError(f"{type(self).__name__} has no step")

    def with_lr(self, lr: LearningRate) -> Self:
        """Make the same optimizer with another learning rate.

        Parameters
        ----------
        lr : float, callable or schedule
            The learning rate.

        Returns
        -------
        Optimizer
            A copy that has it.
        """
        other = copy.copy(self)
        other._keep(lr=lr)
        return other


def _by_epoch(lr):
    """What gives the rate of an epoch, of a learning rate that goes by epochs; else None."""
    return getattr(lr, "in_epoch", None)


class EpochRate:
    """A learning rate that `fit` sets before each epoch: ``value``, whatever the step."""

    def __init__(self, lr: EpochSchedule) -> None:
        self.lr: EpochSchedule = lr
        self.value: float | None = None

    def __call__(self, step: int) -> float | None:
        return self.value

    def begin(self, history: History) -> None:
        """Sets the rate of the epoch that follows those of a history."""
        self.value = _number(self.lr.in_epoch(history), f"lr in epoch {len(history) + 1}", 0)


def for_epochs(optimizer: Optimizer) -> tuple[Optimizer, EpochRate | None]:
    """(the optimizer as a training step takes it, its `EpochRate` or None): where its learning rate goes by epochs, that takes its
    place."""
    lr = getattr(optimizer, "lr", None)
    if not _by_epoch(lr):
        return optimizer, None
    if not hasattr(optimizer, "with_lr"):
        raise TypeError(f"optimizer is a {type(optimizer).__name__}, whose lr goes by epochs; expected a subclass of Optimizer")
    rate = EpochRate(lr)
    return optimizer.with_lr(rate), rate


@dataclass(frozen=True)
class SGD(Optimizer):
    """Stochastic gradient descent with momentum (lecture chapter 4), as in PyTorch.

    A step is::

        g = gradient + weight_decay theta
        v = momentum v + g
        theta -= lr v                                    (nesterov: lr (g + momentum v))

    Parameters
    ----------
    lr : float, callable or schedule
        Learning rate > 0, or a schedule.
    momentum : float
        What is kept of the velocity v, in [0, 1).
    weight_decay : float
        Factor of theta in the gradient, >= 0.
    nesterov : bool
        Whether the step looks ahead along the velocity; needs momentum.

    Raises
    ------
    ValueError or TypeError
        A setting does not fit; the message names it.

    See Also
    --------
    fastlec.Adam, fastlec.CosineDecay, fastlec.ClipNorm

    References
    ----------
    Sutskever, Martens, Dahl, Hinton, "On the importance of initialization and momentum in deep learning", 2013.

    Examples
    --------
    >>> fastlec.SGD(0.1, momentum=0.9)
    SGD(lr=0.1, momentum=0.9, weight_decay=0.0, nesterov=False)
    >>> fastlec.SGD(fastlec.CosineDecay(0.1, steps=100)).rate(50)
    0.05
    """

    lr: LearningRate
    momentum: float = 0.0
    weight_decay: float = 0.0
    nesterov: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        momentum, weight_decay = _number(self.momentum, "momentum", 0, 1), _number(self.weight_decay, "weight_decay", 0)
        self._keep(momentum=momentum, weight_decay=weight_decay, nesterov=_check.flag(self.nesterov, "nesterov"))
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov is True and momentum 0; expected momentum > 0")

    @property
    def state_arrays(self) -> int:
        """Number of arrays that the rule keeps: the velocity, with momentum."""
        return 1 if self.momentum else 0

    def step(self, theta: FloatArray, gradient: FloatArray, states: tuple[FloatArray, ...], count: int) -> None:
        if self.weight_decay:
            gradient += self.weight_decay * theta
        if self.momentum:
            (velocity,) = states
            velocity *= self.momentum
            velocity += gradient
            gradient = gradient + self.momentum * velocity if self.nesterov else velocity
        theta -= self.rate(count) * gradient

    def _set_rule(self, plan, count):
        """Tells a plan what step number ``count`` does."""
        rule = "nesterov" if self.nesterov else "momentum" if self.momentum else "sgd"
        plan.set_rule(rule, (self.rate(count), self.weight_decay, self.momentum))


@dataclass(frozen=True)
class PenalisedSGD(SGD):
    """SGD on the loss of softmax regression and l2/2 ||W||^2: the weights, which theta begins with, are penalised, the biases are
    not."""

    l2: float = 0.0
    n_weights: int = 0

    def step(self, theta: FloatArray, gradient: FloatArray, states: tuple[FloatArray, ...], count: int) -> None:
        gradient[: self.n_weights] += self.l2 * theta[: self.n_weights]
        super().step(theta, gradient, states, count)


@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam: steps by running means of gradients and of their squares, with decoupled weight decay.

    Step t = 1, 2, ... is::

        m = b1 m + (1 - b1) g
        s = b2 s + (1 - b2) g^2
        theta -= lr (m / (1 - b1^t) / (sqrt(s / (1 - b2^t)) + eps) + weight_decay theta)

    Parameters
    ----------
    lr : float, callable or schedule
        Learning rate > 0, or a schedule.
    betas : tuple of float
        The pair (b1, b2), each in [0, 1).
    eps : float
        What keeps the denominator from 0, > 0.
    weight_decay : float
        Decay >= 0, times the learning rate. PyTorch's Adam, unlike its AdamW, adds it to the gradient.

    Raises
    ------
    ValueError or TypeError
        A setting does not fit; the message names it.

    See Also
    --------
    fastlec.AdamW, fastlec.RMSprop, fastlec.SGD

    References
    ----------
    Kingma and Ba, "Adam: a method for stochastic optimization", 2015; Loshchilov and Hutter, "Decoupled weight decay
    regularization", 2019.

    Examples
    --------
    >>> fastlec.Adam(fastlec.CosineDecay(0.002, steps=100)).rate(50)
    0.001
    """

    lr: LearningRate = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    state_arrays: ClassVar[int] = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.betas, (tuple, list)) or len(self.betas) != 2:
            raise ValueError(f"betas is {_check.shown(self.betas)}; expected two numbers")
        betas = tuple(_number(beta, f"betas[{i}]", 0, 1) for i, beta in enumerate(self.betas))
        eps, weight_decay = _number(self.eps, "eps", 0, open_low=True), _number(self.weight_decay, "weight_decay", 0)
        self._keep(betas=betas, eps=eps, weight_decay=weight_decay)

    def _unbias(self, count):
        """What undoes that the two means begin as zeros."""
        return tuple(1 / (1 - beta ** (count + 1)) for beta in self.betas)

    def step(self, theta: FloatArray, gradient: FloatArray, states: tuple[FloatArray, ...], count: int) -> None:
        (beta1, beta2), (unbias1, unbias2), (mean, square) = self.betas, self._unbias(count), states
        mean *= beta1
        mean += (1 - beta1) * gradient
        square *= beta2
        square += (1 - beta2) * gradient**2
        change = unbias1 * mean / (np.sqrt(unbias2 * square) + self.eps)
        theta -= self.rate(count) * (change + self.weight_decay * theta)

    def _set_rule(self, plan, count):
        """Tells a plan what step number ``count`` does."""
        beta1, beta2 = self.betas
        shares = beta1, 1 - beta1, beta2, 1 - beta2
        plan.set_rule("adam", (self.rate(count), self.weight_decay, *shares, *self._unbias(count), self.eps))


@dataclass(frozen=True)
class AdamW(Adam):
    """`Adam` by the name and with the weight decay of PyTorch's AdamW: 0.01, decoupled from the gradient.

    Parameters
    ----------
    lr : float, callable or schedule
        Learning rate > 0, or a schedule.
    betas : tuple of float
        Decay of the running means of gradients and of their squares, each in [0, 1).
    eps : float
        What keeps the denominator from 0, > 0.
    weight_decay : float
        Decay >= 0, times the learning rate.

    Raises
    ------
    ValueError or TypeError
        A setting does not fit; the message names it.

    See Also
    --------
    fastlec.Adam, fastlec.SGD

    References
    ----------
    Loshchilov and Hutter, "Decoupled weight decay regularization", 2019.

    Examples
    --------
    >>> fastlec.AdamW(0.002)
    AdamW(lr=0.002, betas=(0.9, 0.999), eps=1e-08, weight_decay=0.01)
    """

    weight_decay: float = 0.01


@dataclass(frozen=True)
class RMSprop(Optimizer):
    """RMSprop: steps by gradients over the root of a running mean of their squares, as in PyTorch.

    A step is::

        g = gradient + weight_decay theta
        s = alpha s + (1 - alpha) g^2
        v = momentum v + g / (sqrt(s) + eps)
        theta -= lr v

    Parameters
    ----------
    lr : float, callable or schedule
        Learning rate > 0, or a schedule.
    alpha : float
        Decay of the running mean, in [0, 1).
    eps : float
        What keeps the denominator from 0, > 0.
    weight_decay : float
        Factor of theta in the gradient, >= 0.
    momentum : float
        What is kept of the velocity v, in [0, 1).

    Raises
    ------
    ValueError or TypeError
        A setting does not fit; the message names it.

    See Also
    --------
    fastlec.Adam, fastlec.SGD

    References
    ----------
    Tieleman and Hinton, "rmsprop: divide the gradient by a running average of its recent magnitude", 2012.

    Examples
    --------
    >>> fastlec.RMSprop(0.005, momentum=0.9).rate(0)
    0.005
    """

    lr: LearningRate = 1e-2
    alpha: float = 0.99
    eps: float = 1e-8
    weight_decay: float = 0.0
    momentum: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        alpha, momentum = (_number(getattr(self, name), name, 0, 1) for name in ("alpha", "momentum"))
        eps, weight_decay = _number(self.eps, "eps", 0, open_low=True), _number(self.weight_decay, "weight_decay", 0)
        self._keep(alpha=alpha, eps=eps, weight_decay=weight_decay, momentum=momentum)

    @property
    def state_arrays(self) -> int:
        """Number of arrays that the rule keeps: the squares and, with momentum, the velocity."""
        return 2 if self.momentum else 1

    def step(self, theta: FloatArray, gradient: FloatArray, states: tuple[FloatArray, ...], count: int) -> None:
        square, *velocity = states
        if self.weight_decay:
            gradient += self.weight_decay * theta
        square *= self.alpha
        square += (1 - self.alpha) * gradient**2
        change = gradient / (np.sqrt(square) + self.eps)
        if velocity:
            velocity[0] *= self.momentum
            velocity[0] += change
            change = velocity[0]
        theta -= self.rate(count) * change

    def _set_rule(self, plan, count):
        """Tells a plan what step number ``count`` does."""
        rule = "rmsprop_momentum" if self.momentum else "rmsprop"
        coefficients = self.rate(count), self.weight_decay, self.alpha, 1 - self.alpha, self.eps, self.momentum
        plan.set_rule(rule, coefficients)


@dataclass(frozen=True)
class ClipNorm(Optimizer):
    """Another optimizer, which gets gradients of norm max_norm at most.

    The gradient by all parameters that are trained is multiplied by max_norm / (norm + 1e-6) where it is longer, as by PyTorch's
    ``clip_grad_norm_``.

    Parameters
    ----------
    optimizer : Optimizer
        The rule of the step, which also has the learning rate: `SGD`, `Adam`, `AdamW`, `RMSprop` or your own.
    max_norm : float
        The largest norm, > 0.

    Raises
    ------
    ValueError or TypeError
        A setting does not fit; the message names it.

    See Also
    --------
    fastlec.SGD, fastlec.Optimizer

    Notes
    -----
    All gradients are written before the step, which so takes more sweeps over them than without.

    References
    ----------
    Pascanu, Mikolov, Bengio, "On the difficulty of training recurrent neural networks", 2013.

    Examples
    --------
    >>> X, y = fastlec.data.load_digits()
    >>> net = fastlec.Network([fastlec.Dense(64, 10, "identity")], rng=0)
    >>> history = fastlec.fit(net, 100 * X, y, optimizer=fastlec.ClipNorm(fastlec.SGD(0.1), max_norm=1.0), epochs=3)
    >>> history.train_accuracy[-1] > 0.8
    True
    """

    optimizer: Optimizer
    max_norm: float

    def __post_init__(self) -> None:
        _check.optimizer(self.optimizer, "rate")
        self._keep(max_norm=_check.positive(self.max_norm, "max_norm"))

    @property
    def lr(self) -> LearningRate:
        """The learning rate, or schedule, of the optimizer."""
        return self.optimizer.lr

    @property
    def state_arrays(self) -> int:
        """Number of arrays that the optimizer's rule keeps."""
        return self.optimizer.state_arrays

    def rate(self, count: int) -> float:
        return self.optimizer.rate(count)

    def with_lr(self, lr: LearningRate) -> Self:
        return type(self)(self.optimizer.with_lr(lr), self.max_norm)

    def step(self, theta: FloatArray, gradient: FloatArray, states: tuple[FloatArray, ...], count: int) -> None:
        self._clip(gradient, float(np.square(gradient, dtype=np.float64).sum()))
        self.optimizer.step(theta, gradient, states, count)

    def _clip(self, gradient, squares):
        """Scales the gradient in place, of which squares is the sum of all squares, unless it is short enough."""
        factor = self.max_norm / (math.sqrt(squares) + 1e-6)
        if not factor >= 1:
            gradient *= factor


for _rule in (SGD, Adam, RMSprop, ClipNorm):  # tools that read docstrings off the methods find those of the base class
    for _name in {"step", "rate", "with_lr"} & vars(_rule).keys():
        vars(_rule)[_name].__doc__ = getattr(Optimizer, _name).__doc__
