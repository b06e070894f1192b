"""The training step: forward map, loss, back-propagation and the optimizer's step (lecture chapter 4), planned once.

Where all layers are fastlec's own the step is one list of jobs. Weights take the optimizer's step inside the matrix product that
is their gradient, so gradients are never written; nothing is allocated after the first step with a batch of some size. A loss or
an optimizer of the user's own is called between the jobs; for an optimizer, gradients are written.
"""

from __future__ import annotations

import functools
import math
import os
import threading
import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _check
from .._fixed import Settled
from .._kernels import plan as kernels
from .._kernels import residuals, update
from .._kernels.conv2d import get_default as conv_algorithm
from ..network import Network, views
from . import losses
from .optim import ClipNorm
from .parts import Parts
from .trainable import trainable_names

if TYPE_CHECKING:
    from .._comm import Group
    from .._typing import ArrayLike, FloatArray, Loss, NDArray
    from .optim import Optimizer
    from .trainable import Trainable

MOST_PLANS = 8  # shapes of batches whose plans are kept
MOST_STEPS = 1 << 62  # an int64 with room for more


def training_step(net: Network, loss: Loss, optimizer: Optimizer, batch_size: int, trainable: Trainable = None) -> TrainingStep:
    """Plan a step of training: a function step(X, y) that trains a network on one batch.

    It computes forward pass, loss, back-propagation and the optimizer's step (lecture chapter 4). Layers with a form for training
    (`BatchNorm`, `Dropout`) are used in that, whatever ``net(X)`` uses.

    Parameters
    ----------
    net : Network
        Network to train; its theta and buffers change in place.
    loss : Loss
        One of fastlec's; or your own, an object with the methods ``targets`` and ``value_and_gradient`` of theirs. What that is
        given of the network's output is read-only, and its own for the call alone. With weights, its value_and_gradient must take
        them, as sample_weight.
    optimizer : Optimizer
        `SGD`, `Adam`, `AdamW`, `RMSprop`, one of these in `ClipNorm`, or an `Optimizer` of your own.
    batch_size : int
        Most samples of a batch.
    trainable : str, Layer, int or a sequence of these, optional
        What is trained, by default everything: a name of ``net.params`` ("2.W"), a pattern of such names ("2.*", as in fnmatch), a
        layer (one of ``net.layers``, or within one of these, or its index, -1 the last one), or several of these. See Notes.

    Returns
    -------
    TrainingStep
        ``step(X, y, sample_weight=None)``, which returns the batch's mean loss before the step. With weights (m,), finite, >= 0,
        not all 0, it is the weighted mean sum_i w_i l_i / sum_i w_i.

    Raises
    ------
    ValueError or TypeError
        An argument does not fit: a name or pattern fits nothing, or there is nothing to train.

    See Also
    --------
    fit, Objective

    Notes
    -----
    Parameters that are not trained keep their bits, whatever momentum or weight decay. A layer none of whose parameters is trained
    is as ``net(X)`` has it, and its buffers stay: batch normalisation with the running statistics. `Dropout` drops all the same.
    Derivatives are computed down to the first layer that is trained, and no further.

    Examples
    --------
    >>> X, y = fastlec.data.load_digits()
    >>> net = fastlec.Network([fastlec.Dense(64, 32), fastlec.Dense(32, 10, "identity")], rng=0)
    >>> step = fastlec.training_step(net, fastlec.SoftmaxCrossEntropy(), fastlec.SGD(0.1), batch_size=100)
    >>> first = step(X[:100], y[:100])
    >>> step(X[:100], y[:100]) < first
    True
    >>> step.count
    2
    """
    return TrainingStep(net, loss, optimizer, batch_size, trainable)


def _by_itself(method):
    """The method, run while no other such method of the object runs. Those of other threads wait. One that comes from within
    (a signal handler, a schedule, a loss or layer of the user's own) would wait for itself, and is refused."""

    @functools.wraps(method)
    def alone(self, *arguments, **named):
        with self._lock:
            if self._running:
                raise RuntimeError(
                    "this training step is running: a signal handler, schedule, loss or layer asked for it from within"
                )
            try:
                self._running = True
                return method(self, *arguments, **named)
            finally:
                self._running = False

    return alone


class TrainingStep:
    """One step of training on a batch, planned once: what `training_step` makes.

    Parameters
    ----------
    net : Network
        Network to train; its theta and buffers change in place.
    loss : Loss
        Mean over samples.
    optimizer : Optimizer
        Rule of the step.
    batch_size : int
        Most samples of a batch.
    trainable : str, Layer, int or a sequence of these, optional
        What is trained. The attribute has the names of the parameters and buffers that change, or None for all.
    keeps_output : bool
        Whether the network's output outlives the step, as ``output``; else the gradient may take its place.
    group : object, optional
        The processes that take the step together; `fit` makes it of its argument comm.

    See Also
    --------
    fastlec.training_step, fastlec.fit

    Notes
    -----
    Arguments are attributes, by their names, and cannot be exchanged: make a new step, and hand on the state. Two threads may not
    train one network at once; a step waits for the one that runs in another thread. A step, or its state, that is asked for from
    within itself (by a signal handler) is a RuntimeError. In a forked child no other thread's step runs.

    An exception leaves everything as it was, but for what comes while the jobs run (Ctrl-C): that may leave parameters, buffers and
    state between two steps. Copies and pickles have a state of their own; ``copy.copy`` shares the network, the others copy it.

    Examples
    --------
    >>> X, y = fastlec.datasets.make_blobs(100, 2)
    >>> net = fastlec.Network([fastlec.Dense(2, 2, "identity")], rng=0)
    >>> step = fastlec.training_step(net, fastlec.SoftmaxCrossEntropy(), fastlec.SGD(0.1, momentum=0.9), batch_size=50)
    >>> loss = step(X[:50], y[:50])
    >>> step
    <TrainingStep: SoftmaxCrossEntropy(), SGD(lr=0.1, momentum=0.9, weight_decay=0.0, nesterov=False), 1 step made>
    >>> sorted(step.state)
    ['count', 'state0']
    """

    net: Network
    loss: Loss
    optimizer: Optimizer
    batch_size: int
    trainable: tuple[str, ...] | None
    net, loss, optimizer, batch_size, trainable = (
        Settled("make a new step, and hand on the state: new.state = step.state") for _ in range(5)
    )

    def __init__(
        self,
        net: Network,
        loss: Loss,
        optimizer: Optimizer,
        batch_size: int,
        trainable: Trainable = None,
        *,
        keeps_output: bool = False,
        group: Group | None = None,
    ) -> None:
        if not isinstance(net, Network):
            raise TypeError(f"net is a {type(net).__name__}; expected a Network")
        _check.loss(loss)
        _check.optimizer(optimizer)
        if not net.theta.flags.writeable:
            raise ValueError("net.theta is read-only; expected a network that can be trained")
        self.net, self.loss, self.optimizer = net, loss, optimizer
        self.batch_size = _check.count(batch_size, "batch_size", 1, math.inf)
        self.trainable = trainable_names(net, trainable)
        self._count, self._keeps_output, self._group = 0, keeps_output, group
        self._states = tuple(_zeros(net) for _ in range(_check.count(optimizer.state_arrays, "optimizer.state_arrays", 0)))
        self._prepare()
        net._keep_params()  # also what it leaves as it is: others are trained for that
        losses.warn_if_bounded(net, loss)

    def _prepare(self):
        """What follows from the rest."""
        self._form, self._dtype = self.net.for_training(self.trainable), self.net.theta.dtype
        if self._group is not None:
            from .ranks import Batch, synchronised

            self.batch = Batch()
            self._form = synchronised(self._form, self._group, self.batch)
        self._plans, self._lock, self._running, self._output = {}, threading.RLock(), False, None
        self._rule = _rule_of(self)
        _steps.add(self)

    @_by_itself
    def __getstate__(self) -> dict[str, Any]:
        derived = ("_form", "_dtype", "_plans", "_lock", "_running", "_output", "_rule", "_group", "batch")
        kept = {name: value for name, value in vars(self).items() if name not in derived}
        return kept | {"_states": tuple(a.copy() for a in self._states)}

    def __setstate__(self, kept: dict[str, Any]) -> None:
        vars(self).update(kept, _group=None)
        self._prepare()

    @property
    def count(self) -> int:
        """Number of steps that were made."""
        return self._count

    @property
    def output(self) -> FloatArray | None:
        """Output for the last batch, before its step, which the next step may overwrite; None without keeps_output."""
        return self._output

    @property
    @_by_itself
    def state(self) -> dict[str, NDArray[Any]]:
        """What the next step depends on besides the network, as copies: {"count": ..., "state0": ..., ...}."""
        return {"count": np.array(self._count)} | {f"state{i}": a.copy() for i, a in enumerate(self._states)}

    @state.setter
    @_by_itself
    def state(self, state: Mapping[str, ArrayLike]) -> None:
        if not isinstance(state, Mapping):
            raise TypeError(f"state is a {type(state).__name__}; expected a dict, as state gives it")
        expected = {"count", *(f"state{i}" for i in range(len(self._states)))}
        if set(state) != expected:
            raise ValueError(f"state has {sorted(state)}; expected {sorted(expected)}")
        arrays = [_check.as_array(state[name], name) for name in (f"state{i}" for i in range(len(self._states)))]
        for i, (a, own) in enumerate(zip(arrays, self._states, strict=True)):
            if a.shape != own.shape or a.dtype != own.dtype:
                raise ValueError(f"state{i} is {a.dtype} of shape {a.shape}; expected {own.dtype} of shape {own.shape}")
        count = _check.as_array(state["count"], "count")
        if count.ndim:
            raise ValueError(f"count has shape {count.shape}; expected an integer")
        self._count = _check.count(count.item(), "count", 0, MOST_STEPS)
        for a, own in zip(arrays, self._states, strict=True):
            own[...] = a

    def __call__(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Make one step.

        Parameters
        ----------
        X : array_like, shape (m, ...)
            Samples, 1 <= m <= batch_size.
        y : array_like, shape (m,) or (m, k)
            Targets, as the loss takes them.
        sample_weight : array_like, shape (m,), optional
            Weights, finite, >= 0, not all 0; by default ones.

        Returns
        -------
        float
            The batch's mean loss before the step.

        Raises
        ------
        ValueError or TypeError
            An argument does not fit; nothing has changed.
        """
        if sample_weight is not None or getattr(self.loss, "counted", None):
            X, y = _check.as_array(X, "X"), _check.as_array(y, "y")
            if X.ndim and len(X) and (sample_weight is not None or y.shape[:1] == X.shape[:1]):  # others are refused below
                sample_weight = losses.mean_weights(self.loss, y, len(X), sample_weight)
        return self._on_weighted(X, y, sample_weight)

    @_by_itself
    def _on_weighted(self, X, y, weight):
        """One step for the mean of weight_i l_i over the batch. weight : float64 (m,), C order, or None for ones."""
        dtype = self._dtype
        if not _check.is_plain(X) or X.dtype is not dtype:
            X = _check.as_array(X, "X")
            _check.float_dtype(X.dtype, "X")
            X = _check.plain(X, dtype, "X")
        if X.ndim < 1 or not 1 <= len(X) <= self.batch_size:
            raise ValueError(f"X has shape {X.shape}; expected 1 to {self.batch_size} samples")
        if not isinstance(y, np.ndarray):
            y = _check.as_array(y, "y")
        key = X.shape, y.ndim, weight is None, conv_algorithm()
        plan = self._plans.get(key)
        if plan is None:
            if 0 in _check.of_X(self.net.output_shape, X.shape[1:]):
                raise ValueError(f"X has shape {X.shape}, of which net makes no values; expected none of them 0")
            self._form.check_batch(len(X), X.shape[1:])
            if weight is not None:
                losses.check_weighted(self.loss)
            kind = _Planned if self._form._planned else _ByParts if type(self._form)._planned else _ByLayers
            plan = kind(self, X, y, weight is not None)
            if len(self._plans) >= MOST_PLANS:
                del self._plans[next(iter(self._plans))]  # the oldest
            self._plans[key] = plan
        loss = plan(X, self.loss.targets(y, plan.shape, dtype), weight, self._count)
        self._output = plan.output if self._keeps_output else None
        self._count += 1
        return loss

    def __repr__(self) -> str:
        steps = "1 step" if self.count == 1 else f"{self.count} steps"
        return f"<TrainingStep: {self.loss!r}, {self.optimizer!r}, {steps} made>"

    def _trained(self, params):
        """Those of the parameters, {name: array}, that are trained."""
        chosen = params if self.trainable is None else set(self.trainable)
        return {name: a for name, a in params.items() if name in chosen}


_steps = weakref.WeakSet()


def _renew_locks():
    """In a forked child: a lock that another thread held there is never released."""
    for step in _steps:
        if step._lock.acquire(blocking=False):
            step._lock.release()
        else:
            step._lock, step._running = threading.RLock(), False


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_locks)


def _rule_of(step):
    """What makes the optimizer's step from gradients that are written; None where the kernels that compute them make it."""
    optimizer, clips = step.optimizer, isinstance(step.optimizer, ClipNorm) and type(step.optimizer).step is ClipNorm.step
    if losses.in_kernels(optimizer, "_set_rule", "step"):
        if step._group is None:
            return None
        kind = _Written
    else:
        kind = _Clipped if clips and losses.in_kernels(optimizer.optimizer, "_set_rule", "step") else _OwnRule
    if step._group is None:
        return kind(step, _zeros(step.net))
    from .ranks import Summed

    sent = _zeros(step.net, 1)
    return Summed(kind(step, sent[:-1]), sent, step._group, step.batch)


class _Written:
    """The step of an optimizer of the kernels, from a gradient that is written first."""

    def __init__(self, step, gradient):
        self._step, self.gradient = step, gradient
        self._update = kernels.Plan(self.gradient.dtype.num)
        _plan_updates(self._update, step, self.gradient)

    def __call__(self, count, loss):
        self._step.optimizer._set_rule(self._update, count)
        self._update.run()


class _Clipped(_Written):
    """The same once the norm of the whole gradient is known."""

    def __init__(self, step, gradient):
        super().__init__(step, gradient)
        self._norm = kernels.Plan(self.gradient.dtype.num)
        residuals.loss(self._norm, "squares", self.gradient, None)

    def __call__(self, count, loss):
        clipped = self._step.optimizer
        clipped.optimizer._set_rule(self._update, count)
        clipped._clip(self.gradient, self._norm.run())
        self._update.run()


def _plan_updates(plan, step, gradient):
    """Adds the jobs that make the step from a gradient, flat as theta; returns its parts, {name: array}, for `jac.tmv`."""
    net = step.net
    if step.trainable is None:
        out, theta = {"theta": gradient}, {"theta": net.theta}
    else:
        out, theta = step._trained(views(gradient, net.params)), net.params
    plan.set_states(net.theta, step._states)
    for name, a in out.items():
        update.step(plan, theta[name], a)
    return out


class _OwnRule:
    """The step of an optimizer of the user's own, on copies of what is trained: where it raises, nothing has changed."""

    def __init__(self, step, gradient):
        self._step, self.gradient = step, gradient
        self._trained = slice(None)
        if step.trainable is not None:
            mask = [np.full(a.size, name in step.trainable) for name, a in step.net.params.items()]
            self._trained = np.flatnonzero(np.concatenate(mask))

    def __call__(self, count, loss):
        step, trained = self._step, self._trained
        arrays = (step.net.theta, *step._states)
        theta, *states = (a[trained].copy() for a in arrays)
        found = step.optimizer.step(theta, self.gradient[trained], tuple(states), count)
        if found is not None:
            kind = type(step.optimizer).__name__
            raise TypeError(
                f"{kind}.step gave a {type(found).__name__}; expected None: it changes theta and the states in place"
            )
        for a, changed in zip(arrays, (theta, *states), strict=True):
            a[trained] = changed


class _Planned:
    """The step for batches of one shape as a list of jobs, cut where a loss or an optimizer of the user's own comes between:

    forward pass and loss | loss in Python | backward pass and optimizer | optimizer in Python | buffers
    """

    def __init__(self, step, X, y, weighted):
        net, loss = step._form, step.loss
        self._loss, self._optimizer, self._rule = loss, step.optimizer, step._rule
        self.shape = (len(X), *net.output_shape(X.shape[1:]))
        empty = kernels.Plan(X.dtype.num).empty
        x, output = empty(*X.shape), empty(*self.shape)
        self.output = output
        targets = np.empty_like(loss.targets(y, self.shape, X.dtype))
        weight = [np.empty(len(X))] if weighted else []

        def new_plan():
            plan = kernels.Plan(X.dtype.num)
            for slot in (x, targets, *weight):
                plan.slot(slot)
            plan.set_states(net.theta, step._states)
            return plan

        self._forward = self._backward = new_plan()
        kept = net._plan_forward(self._forward, x, output)
        if losses.in_kernels(loss, "_plan", "value_and_gradient"):
            needed = step._keeps_output or net._outer_derivative(output, kept) is not None
            v = empty(*self.shape) if needed else output
            loss._plan(self._forward, output, targets, v, *weight)
        else:
            self._output, self._v = output.view(), empty(*self.shape)
            self._output.flags.writeable = False
            v, self._backward = self._v, new_plan()
        out = views(self._rule.gradient, net.params) if self._rule else net.params
        net._plan_backward(self._backward, output, kept, v, step._trained(out))
        self._last = new_plan() if self._rule else self._backward
        net._plan_buffers(self._last, kept)
        self._buckets = []
        if step._group is not None:
            self._buckets = self._rule.buckets(net.params, [job.layer for job in self._backward.explained()])

    def __call__(self, X, targets, weight, count):
        forward, backward, last = self._forward, self._backward, self._last
        if not self._rule:
            self._optimizer._set_rule(backward, count)
        forward.bind(0, X)
        forward.bind(1, targets)
        if weight is not None:
            forward.bind(2, weight)
        if backward is forward:
            loss = self._run_backward()
        else:
            forward.run()
            loss, gradient = losses.value_and_gradient(self._loss, self._output, targets, weight)
            np.copyto(self._v, gradient, casting="same_kind")
            backward.bind(0, X)
            self._run_backward(loss)
        if self._rule:
            self._rule(count, loss)
            last.bind(0, X)
            last.run()
        return loss

    def _run_backward(self, loss=None):
        """Runs the jobs of the backward pass, and what lies before them in their list; ranks begin to sum a bucket of the gradient
        once it is there. loss : where it is known. Returns that of the list."""
        start = 0
        for end, low in self._buckets:
            found = self._backward.run(start, end)
            self._rule.begin(low, found if loss is None else loss)
            start = end
        return self._backward.run(start)


class _ByParts:
    """The step where layers are the user's own: these are called by themselves, between them there are lists of jobs."""

    def __init__(self, step, X, y, weighted):
        net, form = step.net, step._form
        self._step = step
        self.shape = (len(X), *form.output_shape(X.shape[1:]))
        self._plan = kernels.Plan(net.theta.dtype.num)
        gradient = step._rule.gradient if step._rule else _zeros(net)
        _plan_updates(self._plan, step, gradient)
        self._parts = Parts(form, X.shape, step._trained(views(gradient, net.params)))

    def __call__(self, X, targets, weight, count):
        step = self._step
        self.output = self._parts.forward(X)
        loss, v = losses.value_and_gradient(step.loss, self.output, targets, weight)
        self._parts.backward(v)
        if step._rule:
            step._rule(count, loss)
        else:
            step.optimizer._set_rule(self._plan, count)
            self._plan.run()
        self._parts.update()
        return loss


class _ByLayers:
    """The step of a network whose passes are the user's own."""

    def __init__(self, step, X, y, weighted):
        net = step.net
        self._step = step
        self.shape = (len(X), *net.output_shape(X.shape[1:]))
        self._plan = plan = kernels.Plan(net.theta.dtype.num)
        gradient = step._rule.gradient if step._rule else _zeros(net)
        self._out = _plan_updates(plan, step, gradient)

    def __call__(self, X, targets, weight, count):
        step = self._step
        self.output, jac = step._form.linearize(X)
        loss, v = losses.value_and_gradient(step.loss, self.output, targets, weight)
        jac.tmv(v, out=self._out)
        if step._rule:
            step._rule(count, loss)
        else:
            step.optimizer._set_rule(self._plan, count)
            self._plan.run()
        step._form.update_buffers(jac.kept)
        return loss


def _zeros(net, more=0):
    a = kernels.Plan(net.theta.dtype.num).empty(net.n_params + more)
    a[...] = 0
    return a
