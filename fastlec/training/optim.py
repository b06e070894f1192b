"""Optimizers and learning-rate schedules (lecture chapter 4, stochastic gradient descent).

An optimizer is a rule and its settings; it holds no state. The training step that applies it keeps the state: velocities or
moments, as long as theta, and the count of steps.

A schedule is a function of the step's number 0, 1, 2, ... that gives the learning rate; any callable will do. One that goes by
epochs has a method ``in_epoch(history)`` instead, which gives the rate of the epoch after those of a `History`: `fit` asks it.
"""

import copy
import math
from dataclasses import dataclass, fields

import numpy as np

from .. import _check
from .history import MONITORS, better

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
    """What the schedules share: a warmup, over which the rate rises linearly to lr, and then lr times a factor of the step. With
    per="epoch" epochs take the place of steps; only `fit` counts these."""

    def __repr__(self):
        settings = [(f.name, getattr(self, f.name)) for f in fields(self)]
        shown = (f"{name}={value!r}" for name, value in settings if (name, value) != ("per", "step"))
        return f"{type(self).__name__}({', '.join(shown)})"

    @property
    def in_epoch(self):
        """None of a schedule of steps; else a function that gives the rate of the epoch that follows those of a History."""
        return None if self.per == "step" else lambda history: self(len(history))

    def __call__(self, step):
        """The learning rate of step 0, 1, 2, ...; ValueError where it is too large for a float."""
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
    """lr, times `factor` after every `every` steps; before that lr rises linearly over `warmup` steps. per="epoch": epochs take the
    place of steps, in `fit`.

    >>> rate = fastlec.StepDecay(0.5, every=10, factor=0.5)
    >>> rate(9), rate(10), rate(20)
    (0.5, 0.25, 0.125)
    """

    lr: float
    every: int
    factor: float = 0.1
    warmup: int = 0
    per: str = "step"

    def __post_init__(self):
        self._check()
        every, factor = _count(self.every, "every", 1), _number(self.factor, "factor", 0, open_low=True)
        self._keep(every=every, factor=factor)

    def _factor(self, step):
        return self.factor ** min(step // self.every, MOST_EXPONENT)


@dataclass(frozen=True, repr=False)
class ExponentialDecay(Schedule):
    """lr factor^step; before that lr rises linearly over `warmup` steps. per="epoch": epochs take the place of steps, in `fit`.

    >>> rate = fastlec.ExponentialDecay(0.5, factor=0.5, warmup=2)
    >>> [rate(step) for step in range(5)]
    [0.25, 0.5, 0.5, 0.25, 0.125]
    """

    lr: float
    factor: float
    warmup: int = 0
    per: str = "step"

    def __post_init__(self):
        self._check()
        self._keep(factor=_number(self.factor, "factor", 0, open_low=True))

    def _factor(self, step):
        return self.factor ** min(step, MOST_EXPONENT)


@dataclass(frozen=True, repr=False)
class CosineDecay(Schedule):
    """From lr down to floor * lr along half a cosine over `steps` steps, then floor * lr; before that lr rises linearly over
    `warmup` steps. per="epoch": epochs take the place of steps, in `fit`.

    >>> rate = fastlec.CosineDecay(0.5, steps=100, floor=0.1)
    >>> round(rate(0), 3), round(rate(50), 3), round(rate(100), 3)
    (0.5, 0.275, 0.05)

    Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts", 2017; here without restarts.
    """

    lr: float
    steps: int
    floor: float = 0.0
    warmup: int = 0
    per: str = "step"

    def __post_init__(self):
        self._check()
        self._keep(steps=_count(self.steps, "steps", 1), floor=_number(self.floor, "floor", 0, 1))

    def _factor(self, step):
        share = step / self.steps if step < self.steps else 1.0
        return self.floor + (1 - self.floor) * 0.5 * (1 + math.cos(math.pi * share))


@dataclass(frozen=True)
class ReduceOnPlateau(_Settings):
    """lr, times `factor` each time that ``monitor`` has not improved for more than `patience` epochs: PyTorch's ReduceLROnPlateau.
    For `fit`, which measures it.

    monitor : "val_loss", "train_loss" or "val_accuracy". threshold : the relative change that counts as an improvement. After a
    reduction `cooldown` epochs are not looked at. The rate does not fall below min_lr. 0 < factor < 1.

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
    monitor: str = "val_loss"
    threshold: float = 1e-4
    cooldown: int = 0
    min_lr: float = 0.0

    def __post_init__(self):
        self._keep(
            lr=_number(self.lr, "lr", 0, open_low=True),
            factor=_number(self.factor, "factor", 0, 1, open_low=True),
            patience=_count(self.patience, "patience", 0),
            monitor=_check.choice(self.monitor, MONITORS, "monitor"),
            threshold=_number(self.threshold, "threshold", 0, 1),
            cooldown=_count(self.cooldown, "cooldown", 0),
            min_lr=_number(self.min_lr, "min_lr", 0),
        )

    def in_epoch(self, history):
        """The rate of the epoch that follows those of a `History`."""
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
    """The base class of optimizers, a user's own among them: a rule, in NumPy, for one step.

    A subclass has `step`, an attribute ``lr`` or a method `rate` of its own, and says in ``state_arrays`` how many arrays like
    theta the rule keeps from one step to the next. If it is a dataclass, checkpoints note its settings, and its ``lr`` is checked.

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
    >>> net = fastlec.Network([fastlec.Dense(64, 10, "identity", rng=0)])
    >>> history = fastlec.fit(net, X, y, optimizer=Lion(), epochs=5)
    >>> history.train_loss[-1] < history.train_loss[0] / 2
    True

    SGD and Adam also have a method ``set_rule(plan, count)``, which tells the kernels the rule, so that parameters change inside
    the matrix products that are their gradients. A subclass of theirs with a `step` of its own goes by that.
    """

    state_arrays = 0

    def __post_init__(self):
        if isinstance(getattr(self, "lr", None), type):
            raise TypeError(
                f"lr is {_check.shown(self.lr)}, a class; expected a number, or a schedule such as CosineDecay(0.1, steps=1000)"
            )
        if hasattr(self, "lr") and not callable(self.lr) and not _by_epoch(self.lr):
            self._keep(lr=_number(self.lr, "lr", 0, open_low=True))

    def rate(self, count):
        """The learning rate of step number ``count``, 0, 1, 2, ... ValueError where only `fit` knows it."""
        if _by_epoch(self.lr):
            what = f"lr is {self.lr!r}, which goes by epochs"
            raise ValueError(f"{what}; expected a number or a schedule of steps: only fit has epochs")
        return _number(self.lr(count), f"lr({count})", 0) if callable(self.lr) else float(self.lr)

    def step(self, theta, gradient, states, count):
        """Change theta and the states in place, and return nothing.

        theta, gradient, states : flat arrays of one length and dtype: all parameters that are trained, the loss's gradient by them,
        which may be overwritten, and a tuple of ``state_arrays`` arrays, zero at first. They are the call's own: where it raises,
        the network stays as it was.  count : how many steps came before.
        """
        raise NotImplementedError(f"{type(self).__name__} has no step")

    def with_lr(self, lr):
        """The same optimizer with another ``lr``."""
        other = copy.copy(self)
        other._keep(lr=lr)
        return other


def _by_epoch(lr):
    """What gives the rate of an epoch, of a learning rate that goes by epochs; else None."""
    return getattr(lr, "in_epoch", None)


class EpochRate:
    """A learning rate that `fit` sets before each epoch: ``value``, whatever the step."""

    def __init__(self, lr):
        self.lr, self.value = lr, None

    def __call__(self, step):
        return self.value

    def begin(self, history):
        """Sets the rate of the epoch that follows those of a history."""
        self.value = _number(self.lr.in_epoch(history), f"lr in epoch {len(history) + 1}", 0)


def for_epochs(optimizer):
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
    """Stochastic gradient descent (lecture chapter 4) with momentum, as in PyTorch:

        g = gradient + weight_decay theta;  v = momentum v + g;  theta -= lr v     (nesterov: lr (g + momentum v))

    lr : learning rate > 0, or a schedule. momentum in [0, 1). weight_decay >= 0. nesterov needs momentum > 0.
    ValueError or TypeError, which name the setting, for others.

    >>> fastlec.SGD(0.1, momentum=0.9).rate(0)
    0.1

    Sutskever, Martens, Dahl, Hinton, "On the importance of initialization and momentum in deep learning", 2013.
    """

    lr: float
    momentum: float = 0.0
    weight_decay: float = 0.0
    nesterov: bool = False

    def __post_init__(self):
        super().__post_init__()
        momentum, weight_decay = _number(self.momentum, "momentum", 0, 1), _number(self.weight_decay, "weight_decay", 0)
        self._keep(momentum=momentum, weight_decay=weight_decay, nesterov=_check.flag(self.nesterov, "nesterov"))
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov is True and momentum 0; expected momentum > 0")

    @property
    def state_arrays(self):
        return 1 if self.momentum else 0

    def step(self, theta, gradient, states, count):
        if self.weight_decay:
            gradient += self.weight_decay * theta
        if self.momentum:
            (velocity,) = states
            velocity *= self.momentum
            velocity += gradient
            gradient = gradient + self.momentum * velocity if self.nesterov else velocity
        theta -= self.rate(count) * gradient

    def set_rule(self, plan, count):
        """Tells a plan what step number ``count`` does."""
        rule = "nesterov" if self.nesterov else "momentum" if self.momentum else "sgd"
        plan.set_rule(rule, (self.rate(count), self.weight_decay, self.momentum))


@dataclass(frozen=True)
class PenalisedSGD(SGD):
    """SGD on the loss of softmax regression and l2/2 ||W||^2: the weights, which theta begins with, are penalised, the biases are
    not."""

    l2: float = 0.0
    n_weights: int = 0

    def step(self, theta, gradient, states, count):
        gradient[: self.n_weights] += self.l2 * theta[: self.n_weights]
        super().step(theta, gradient, states, count)


@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam, with decoupled weight decay, which PyTorch's Adam, unlike its AdamW, adds to the gradient:

        m = b1 m + (1 - b1) g;  s = b2 s + (1 - b2) g^2
        theta -= lr (m / (1 - b1^t) / (sqrt(s / (1 - b2^t)) + eps) + weight_decay theta),  t = 1, 2, ...

    lr : learning rate > 0, or a schedule. betas : (b1, b2), each in [0, 1). eps > 0. weight_decay >= 0.
    ValueError or TypeError, which name the setting, for others.

    >>> fastlec.Adam(fastlec.CosineDecay(0.002, steps=100)).rate(50)
    0.001

    Kingma and Ba, "Adam: a method for stochastic optimization", 2015; Loshchilov and Hutter, "Decoupled weight decay
    regularization", 2019.
    """

    lr: float = 1e-3
    betas: tuple = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    state_arrays = 2

    def __post_init__(self):
        super().__post_init__()
        if not isinstance(self.betas, (tuple, list)) or len(self.betas) != 2:
            raise ValueError(f"betas is {_check.shown(self.betas)}; expected two numbers")
        betas = tuple(_number(beta, f"betas[{i}]", 0, 1) for i, beta in enumerate(self.betas))
        eps, weight_decay = _number(self.eps, "eps", 0, open_low=True), _number(self.weight_decay, "weight_decay", 0)
        self._keep(betas=betas, eps=eps, weight_decay=weight_decay)

    def _unbias(self, count):
        """What undoes that the two means begin as zeros."""
        return tuple(1 / (1 - beta ** (count + 1)) for beta in self.betas)

    def step(self, theta, gradient, states, count):
        (beta1, beta2), (unbias1, unbias2), (mean, square) = self.betas, self._unbias(count), states
        mean *= beta1
        mean += (1 - beta1) * gradient
        square *= beta2
        square += (1 - beta2) * gradient**2
        change = unbias1 * mean / (np.sqrt(unbias2 * square) + self.eps)
        theta -= self.rate(count) * (change + self.weight_decay * theta)

    def set_rule(self, plan, count):
        """Tells a plan what step number ``count`` does."""
        beta1, beta2 = self.betas
        shares = beta1, 1 - beta1, beta2, 1 - beta2
        plan.set_rule("adam", (self.rate(count), self.weight_decay, *shares, *self._unbias(count), self.eps))


@dataclass(frozen=True)
class AdamW(Adam):
    """`Adam` by the name and with the weight decay of PyTorch's AdamW: 0.01, decoupled from the gradient.

    >>> fastlec.AdamW(0.002)
    AdamW(lr=0.002, betas=(0.9, 0.999), eps=1e-08, weight_decay=0.01)

    Loshchilov and Hutter, "Decoupled weight decay regularization", 2019.
    """

    weight_decay: float = 0.01


@dataclass(frozen=True)
class RMSprop(Optimizer):
    """RMSprop, as in PyTorch:

        g = gradient + weight_decay theta;  s = alpha s + (1 - alpha) g^2
        v = momentum v + g / (sqrt(s) + eps);  theta -= lr v

    lr : learning rate > 0, or a schedule. alpha, momentum in [0, 1). eps > 0. weight_decay >= 0.
    ValueError or TypeError, which name the setting, for others.

    >>> fastlec.RMSprop(0.005, momentum=0.9).rate(0)
    0.005

    Tieleman and Hinton, "rmsprop: divide the gradient by a running average of its recent magnitude", 2012.
    """

    lr: float = 1e-2
    alpha: float = 0.99
    eps: float = 1e-8
    weight_decay: float = 0.0
    momentum: float = 0.0

    def __post_init__(self):
        super().__post_init__()
        alpha, momentum = (_number(getattr(self, name), name, 0, 1) for name in ("alpha", "momentum"))
        eps, weight_decay = _number(self.eps, "eps", 0, open_low=True), _number(self.weight_decay, "weight_decay", 0)
        self._keep(alpha=alpha, eps=eps, weight_decay=weight_decay, momentum=momentum)

    @property
    def state_arrays(self):
        return 2 if self.momentum else 1

    def step(self, theta, gradient, states, count):
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

    def set_rule(self, plan, count):
        """Tells a plan what step number ``count`` does."""
        rule = "rmsprop_momentum" if self.momentum else "rmsprop"
        coefficients = self.rate(count), self.weight_decay, self.alpha, 1 - self.alpha, self.eps, self.momentum
        plan.set_rule(rule, coefficients)


@dataclass(frozen=True)
class ClipNorm(Optimizer):
    """Another optimizer, which gets gradients of norm max_norm at most: of all parameters that are trained, longer ones are times
    max_norm / (norm + 1e-6), as by PyTorch's clip_grad_norm_.

    optimizer : `SGD`, `Adam`, `AdamW`, `RMSprop` or an `Optimizer` of your own. max_norm > 0. lr is that of the optimizer. All
    gradients are written before the step, which so takes more sweeps over them than without.

    >>> X, y = fastlec.data.load_digits()
    >>> net = fastlec.Network([fastlec.Dense(64, 10, "identity", rng=0)])
    >>> history = fastlec.fit(net, 100 * X, y, optimizer=fastlec.ClipNorm(fastlec.SGD(0.1), max_norm=1.0), epochs=3)
    >>> history.train_accuracy[-1] > 0.8
    True

    Pascanu, Mikolov, Bengio, "On the difficulty of training recurrent neural networks", 2013.
    """

    optimizer: Optimizer
    max_norm: float

    def __post_init__(self):
        _check.optimizer(self.optimizer, "rate")
        self._keep(max_norm=_check.positive(self.max_norm, "max_norm"))

    @property
    def lr(self):
        """The learning rate, or schedule, of the optimizer."""
        return self.optimizer.lr

    @property
    def state_arrays(self):
        return self.optimizer.state_arrays

    def rate(self, count):
        return self.optimizer.rate(count)

    def with_lr(self, lr):
        return type(self)(self.optimizer.with_lr(lr), self.max_norm)

    def step(self, theta, gradient, states, count):
        self.clip(gradient, float(np.square(gradient, dtype=np.float64).sum()))
        self.optimizer.step(theta, gradient, states, count)

    def clip(self, gradient, squares):
        """Scales the gradient in place, of which squares is the sum of all squares, unless it is short enough."""
        factor = self.max_norm / (math.sqrt(squares) + 1e-6)
        if not factor >= 1:
            gradient *= factor
