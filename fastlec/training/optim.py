"""Optimizers and learning-rate schedules (lecture 3.2, stochastic gradient descent).

An optimizer is a rule and its settings; it holds no state. The training step that applies it keeps the state: velocities or
moments, as long as theta, and the count of steps.

A schedule is a function of the step's number 0, 1, 2, ... that gives the learning rate; any callable will do.
"""

import math
from dataclasses import dataclass

from .. import _check
from .._kernels import plan as kernels

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
        self._keep(lr=lr, warmup=warmup)


@dataclass(frozen=True)
class StepDecay(Schedule):
    """lr, times `factor` after every `every` steps; before that lr rises linearly over `warmup` steps."""

    lr: float
    every: int
    factor: float = 0.1
    warmup: int = 0

    def __post_init__(self):
        self._check()
        every, factor = _count(self.every, "every", 1), _number(self.factor, "factor", 0, open_low=True)
        self._keep(every=every, factor=factor)

    def _factor(self, step):
        return self.factor ** min(step // self.every, MOST_EXPONENT)


@dataclass(frozen=True)
class ExponentialDecay(Schedule):
    """lr factor^step; before that lr rises linearly over `warmup` steps."""

    lr: float
    factor: float
    warmup: int = 0

    def __post_init__(self):
        self._check()
        self._keep(factor=_number(self.factor, "factor", 0, open_low=True))

    def _factor(self, step):
        return self.factor ** min(step, MOST_EXPONENT)


@dataclass(frozen=True)
class CosineDecay(Schedule):
    """From lr down to floor * lr along half a cosine over `steps` steps, then floor * lr (Loshchilov and Hutter 2017, without
    restarts); before that lr rises linearly over `warmup` steps."""

    lr: float
    steps: int
    floor: float = 0.0
    warmup: int = 0

    def __post_init__(self):
        self._check()
        self._keep(steps=_count(self.steps, "steps", 1), floor=_number(self.floor, "floor", 0, 1))

    def _factor(self, step):
        share = step / self.steps if step < self.steps else 1.0
        return self.floor + (1 - self.floor) * 0.5 * (1 + math.cos(math.pi * share))


class Optimizer(_Settings):
    state_arrays = 0  # how many vectors like theta it needs

    def rate(self, step):
        """The learning rate of step 0, 1, 2, ..."""
        return _number(self.lr(step), f"lr({step})", 0) if callable(self.lr) else float(self.lr)

    def _check_lr(self):
        if isinstance(self.lr, type):
            raise TypeError(
                f"lr is {_check.shown(self.lr)}, a class; expected a number, or a schedule such as CosineDecay(0.1, steps=1000)"
            )
        if not callable(self.lr):
            self._keep(lr=_number(self.lr, "lr", 0, open_low=True))


@dataclass(frozen=True)
class SGD(Optimizer):
    """Stochastic gradient descent (lecture 3.2), as in PyTorch:

        g = gradient + weight_decay theta;  v = momentum v + g;  theta -= lr v     (nesterov: lr (g + momentum v))

    lr : learning rate > 0, or a schedule. momentum in [0, 1). weight_decay >= 0. nesterov needs momentum > 0.
    """

    lr: float
    momentum: float = 0.0
    weight_decay: float = 0.0
    nesterov: bool = False

    def __post_init__(self):
        self._check_lr()
        momentum, weight_decay = _number(self.momentum, "momentum", 0, 1), _number(self.weight_decay, "weight_decay", 0)
        self._keep(momentum=momentum, weight_decay=weight_decay, nesterov=_check.flag(self.nesterov, "nesterov"))
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov is True and momentum 0; expected momentum > 0")

    @property
    def state_arrays(self):
        return 1 if self.momentum else 0

    def set_rule(self, plan, step):
        """Tells a plan what to do at step 0, 1, 2, ..."""
        plan.set_rule(kernels.SGD, self.rate(step), self.momentum, self.weight_decay, self.nesterov)


@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam (Kingma and Ba 2015) with decoupled weight decay (Loshchilov and Hutter 2019):

        m = b1 m + (1 - b1) g;  s = b2 s + (1 - b2) g^2
        theta -= lr (m / (1 - b1^t) / (sqrt(s / (1 - b2^t)) + eps) + weight_decay theta),  t = 1, 2, ...

    lr : learning rate > 0, or a schedule. betas : (b1, b2), each in [0, 1). eps > 0. weight_decay >= 0.
    """

    lr: float = 1e-3
    betas: tuple = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    state_arrays = 2

    def __post_init__(self):
        self._check_lr()
        if not isinstance(self.betas, (tuple, list)) or len(self.betas) != 2:
            raise ValueError(f"betas is {_check.shown(self.betas)}; expected two numbers")
        betas = tuple(_number(beta, f"betas[{i}]", 0, 1) for i, beta in enumerate(self.betas))
        eps, weight_decay = _number(self.eps, "eps", 0, open_low=True), _number(self.weight_decay, "weight_decay", 0)
        self._keep(betas=betas, eps=eps, weight_decay=weight_decay)

    def set_rule(self, plan, step):
        """Tells a plan what to do at step 0, 1, 2, ..."""
        beta1, beta2 = self.betas
        unbias = {"unbias1": 1 / (1 - beta1 ** (step + 1)), "unbias2": 1 / (1 - beta2 ** (step + 1))}
        plan.set_rule(kernels.ADAM, self.rate(step), decay=self.weight_decay, beta1=beta1, beta2=beta2, eps=self.eps, **unbias)
