"""The training step: forward map, loss, back-propagation and the optimizer's step (lecture 3.2 and chapter 4), planned once.

Where all layers are fastlec's own the step is one list of jobs. Weights take the optimizer's step inside the matrix product that
is their gradient, so gradients are never written; nothing is allocated after the first step with a batch of some size.
"""

import threading

import numpy as np

from . import _check
from ._kernels import plan as kernels
from .network import Network

MOST_PLANS = 8  # shapes of batches whose plans are kept


def training_step(net, loss, optimizer, batch_size):
    """A function step(X, y) -> loss that trains ``net``, a `Network`, on a batch of at most batch_size samples. Layers with a form
    for training (`BatchNorm2d`) are used in that, whatever net(X) uses.

    loss : `SoftmaxCrossEntropy` or `MeanSquaredError`, or an object with their targets and value_and_gradient.
    optimizer : `SGD` or `Adam`.
    """
    return TrainingStep(net, loss, optimizer, batch_size)


class TrainingStep:
    """step(X, y) -> the batch's mean loss before the step; net.theta and net.buffers are changed in place. See `training_step`.

    net, loss, optimizer, batch_size : as given. count : how many steps were made.
    Two threads may not train one network at once; a step waits for the one that runs.
    """

    def __init__(self, net, loss, optimizer, batch_size):
        if not isinstance(net, Network):
            raise TypeError(f"net is a {type(net).__name__}; expected a Network")
        _check.loss(loss)
        _check.optimizer(optimizer)
        if not net.theta.flags.writeable:
            raise ValueError("net.theta is read-only; expected a network that can be trained")
        self.net, self.loss, self.optimizer = net, loss, optimizer
        self._form = net.for_training()
        self.batch_size = _check.count(batch_size, "batch_size", 1)
        self.count = 0
        self._dtype = net.theta.dtype
        self._states = tuple(_zeros(net) for _ in range(optimizer.state_arrays))
        self._plans, self._lock = {}, threading.Lock()

    @property
    def state(self):
        """{"count": ..., "state0": ..., ...}: copies of all that the next step depends on, besides net.theta and net.buffers."""
        return {"count": np.array(self.count)} | {f"state{i}": a.copy() for i, a in enumerate(self._states)}

    @state.setter
    def state(self, state):
        expected = {"count", *(f"state{i}" for i in range(len(self._states)))}
        if set(state) != expected:
            raise ValueError(f"state has {sorted(state)}; expected {sorted(expected)}")
        arrays = [np.asarray(state[f"state{i}"]) for i in range(len(self._states))]
        for i, (a, own) in enumerate(zip(arrays, self._states, strict=True)):
            if a.shape != own.shape or a.dtype != own.dtype:
                raise ValueError(f"state{i} is {a.dtype} of shape {a.shape}; expected {own.dtype} of shape {own.shape}")
        self.count = _check.count(np.asarray(state["count"]).item(), "count", 0)
        for a, own in zip(arrays, self._states, strict=True):
            own[...] = a

    def __call__(self, X, y):
        """One step on the samples X (m, ...), 1 <= m <= batch_size, with targets y as the loss takes them."""
        with self._lock:
            dtype = self._dtype
            if not _check.is_plain(X) or X.dtype is not dtype:
                X = _check.as_array(X, "X")
                _check.float_dtype(X.dtype, "X")
                X = _check.plain(X, dtype, "X")
            if X.ndim < 1 or not 1 <= len(X) <= self.batch_size:
                raise ValueError(f"X has shape {X.shape}; expected 1 to {self.batch_size} samples")
            if not isinstance(y, np.ndarray):
                y = _check.as_array(y, "y")
            key = X.shape, y.ndim
            plan = self._plans.get(key)
            if plan is None:
                if len(self._plans) >= MOST_PLANS:
                    self._plans.clear()
                self._form.check_batch(len(X), X.shape[1:])
                kind = _Planned if self._form.planned and hasattr(self.loss, "plan") else _ByLayers
                plan = self._plans[key] = kind(self, X, y)
            loss = plan(X, self.loss.targets(y, plan.shape, dtype), self.count)
            self.count += 1
            return loss


class _Planned:
    """The step for batches of one shape as a list of jobs."""

    def __init__(self, step, X, y):
        net, loss = step._form, step.loss
        self._optimizer = step.optimizer
        self._plan = plan = kernels.Plan(X.dtype.num)
        self.shape = (len(X), *net.output_shape(X.shape[1:]))
        x, output = plan.empty(*X.shape), plan.empty(*self.shape)
        targets = np.empty_like(loss.targets(y, self.shape, X.dtype))
        plan.slot(x)
        plan.slot(targets)
        plan.set_states(net.theta, step._states)
        kept = net.plan_forward(plan, x, output)
        v = output if net.outermost in (None, kernels.IDENTITY) else plan.empty(*self.shape)  # sigma' follows from the output
        loss.plan(plan, output, targets, v)
        net.plan_tmv(plan, kept, v, dict(net.params), update=True)
        net.plan_buffers(plan, kept)

    def __call__(self, X, targets, count):
        self._optimizer.set_rule(self._plan, count)
        self._plan.bind(0, X)
        self._plan.bind(1, targets)
        return self._plan.run()


class _ByLayers:
    """The step where a layer or the loss is the user's own: each layer is called by itself."""

    def __init__(self, step, X, y):
        self._step = step
        self.shape = (len(X), *step.net.output_shape(X.shape[1:]))
        self._gradient = _zeros(step.net)
        self._plan = plan = kernels.Plan(step.net.theta.dtype.num)
        plan.set_states(step.net.theta, step._states)
        plan.update(step.net.theta, self._gradient)

    def __call__(self, X, targets, count):
        step = self._step
        output, jac = step._form.linearize(X)
        loss, v = step.loss.value_and_gradient(output, targets)
        jac.tmv(v, out={"theta": self._gradient})
        step.optimizer.set_rule(self._plan, count)
        self._plan.run()
        step._form.update_buffers(jac.kept)
        return loss


def _zeros(net):
    a = kernels.Plan(net.theta.dtype.num).empty(net.n_params)
    a[...] = 0
    return a
