"""Training on several ranks, each of which holds samples of its own (synchronous data-parallel gradient descent).

A step's batch is made of a part of each rank's samples. With n_r samples of rank r, n in all, and L_r the mean loss of its part,

    L = sum_r n_r / n L_r,   and its gradient is the sum of n_r / n times the gradients of the L_r

which is summed over the ranks; then each rank makes the same step. Batch normalisation takes the statistics of the whole batch.
What is computed from sums has the same bits on all ranks, so parameters never part.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import replace

import numpy as np

from .. import _config
from .._comm import Group, together
from ..layers.base import Layer
from ..layers.dropout import Dropout
from ..layers.norm import _BatchNorm
from ..network.container import Container
from .run import NotFinite, Run, Within, evaluate
from .samples import Samples

# Bytes of a gradient, or more, whose sum begins together: as PyTorch's first bucket. Not tuned, which takes a cluster's network.
BUCKET = 1 << 20


class Batch:
    """What a step's parts know of its whole batch. share : n_r / n."""

    share = 1.0


class Summed:
    """The step of a rule (`step._rule_of`), of the gradient summed over the ranks. sent : the gradient, and a number after it: how
    many losses are not finite.

    Where the communicator can, buckets of the gradient are summed while the backward pass computes the rest (Li and others 2020,
    "PyTorch Distributed: experiences on accelerating data parallel training", section 3.2.3): the last layers' come first.
    """

    def __init__(self, rule, sent: np.ndarray, group: Group, batch: Batch):
        self._rule, self._sent, self._group, self._batch = rule, sent, group, batch
        self.gradient = rule.gradient
        self._begun: list = []
        self._from = len(self.gradient)  # whose sum has begun

    def buckets(self, params: dict, jobs: list[str]) -> list[tuple[int, int]]:
        """[(end, low)], in the order of time: once the jobs up to `end` have run, the gradient is there from `low` on. The last
        bucket, which is ready after all jobs, is left out. params : the network's, in theta's order. jobs : for each, its layer."""
        if not self._group.overlaps:
            return []
        sizes, ends, found = Counter(), {}, []
        for name, a in params.items():
            sizes[int(name.partition(".")[0])] += a.nbytes
        for n, layer in enumerate(jobs, 1):
            if layer:
                ends[int(re.split("[. ]", layer, maxsplit=1)[0])] = n
        end, bucket, rest = 0, 0, sum(sizes.values())
        for i in sorted(sizes, reverse=True):
            end, bucket, rest = max(end, ends.get(i, 0)), bucket + sizes[i], rest - sizes[i]
            if bucket >= BUCKET and rest:
                found.append((end, rest // self.gradient.itemsize))
                bucket = 0
        return found

    def begin(self, low: int, loss: float) -> None:
        """Begin the sum of what the gradient has from low on, and is not summed yet. loss : of this rank."""
        part = self.gradient[low : self._from]
        part *= self._batch.share
        if self._from == len(self.gradient):  # the step's first
            self._sent[-1] = not math.isfinite(loss)
            part = self._sent[low:]
        self._begun.append(self._group.begin(part))
        self._from = low

    def __call__(self, count, loss):
        self.begin(0, loss)
        for wait in self._begun:
            wait()
        self._begun, self._from = [], len(self.gradient)
        if self._sent[-1]:
            losses = self._group.gather(loss)
            rank = next(rank for rank, value in enumerate(losses) if not math.isfinite(value))
            raise NotFinite(f"the loss of rank {rank} is {losses[rank]}")
        self._rule(count, loss)


class SyncNorm(Layer):
    """Batch normalisation in training form, with the mean and the variance of the batch of all ranks. norm : the layer.

    With z = (x - mean) / s, s = sqrt(var + eps), J' v is, for x, gamma / s (v - mean(v) - z mean(v z)), the means over the whole
    batch. v belongs to the rank's own mean loss, whose share of the loss is that of its samples: each rank's sums count by it.
    """

    couples_samples = True

    def __init__(self, norm: _BatchNorm, group: Group, batch: Batch):
        super().__init__(norm.params, norm.buffers)
        self._norm, self._group, self._batch = norm, group, batch

    @property
    def input_shape(self):
        return self._norm.input_shape

    def output_shape(self, shape):
        return self._norm.output_shape(shape)

    def evaluate(self, x):
        axes = (0, *range(2, x.ndim))
        total = self._group.sum(np.append(x.sum(axes, dtype=np.float64), x.size // x.shape[1]))
        count = total[-1]
        mean = _channels(total[:-1] / count, x)
        deviation = x - mean
        variance = self._group.sum(np.square(deviation).sum(axes)) / count
        root = np.sqrt(variance + self._norm.eps)
        z = (deviation / _channels(root, x)).astype(x.dtype)
        y = z
        if self.params:
            y = (z * _channels(self.params["gamma"], x) + _channels(self.params["beta"], x)).astype(x.dtype, copy=False)
        return y, (z, root, mean.reshape(-1), variance, count)

    def mv(self, kept, directions):
        raise NotImplementedError("a step on several ranks takes no products with directions")

    def tmv(self, kept, v, wrt):
        z, root, _, _, count = kept
        axes = (0, *range(2, z.ndim))
        sums = v.sum(axes, dtype=np.float64), np.multiply(v, z, dtype=np.float64).sum(axes)
        found = {"beta": sums[0], "gamma": sums[1]}
        if "x" in wrt:
            share, c = self._batch.share, len(root)
            means = self._group.sum(np.concatenate(sums) * share) / (share * count)
            scale = self.params["gamma"] / root if self.params else 1 / root
            found["x"] = _channels(scale, z) * (v - _channels(means[:c], z) - z * _channels(means[c:], z))
        return {name: found[name].astype(z.dtype, copy=False) for name in wrt}

    def update_buffers(self, kept):
        _, _, mean, variance, count = kept
        for name, found in (("running_mean", mean), ("running_var", variance * (count / (count - 1)))):
            running = self.buffers[name]
            running += self._norm.momentum * (found - running)


def _seeds(layer):
    """Those of the dropouts in it."""
    if isinstance(layer, Dropout):
        yield layer.buffers["seed"]
    for part in getattr(layer, "layers", ()):
        yield from _seeds(part)


def _channels(a, x):
    """Numbers (c,) of the channels or features of x."""
    return np.reshape(a, (1, -1) + (1,) * (x.ndim - 2))


def synchronised(form: Layer, group: Group, batch: Batch) -> Layer:
    """A network's form for training, with batch normalisations over all ranks."""
    if isinstance(form, _BatchNorm) and form.training:
        return SyncNorm(form, group, batch)
    if not isinstance(form, Container):
        return form
    layers = [synchronised(layer, group, batch) for layer in form.layers]
    same = [new for new, layer in zip(layers, form.layers, strict=True) if new is layer]
    if len(same) == len(layers):
        return form
    return form._bound_to(form.theta, layers=layers, kept=same)


class RankRun(Run):
    """A network in training on the samples of all ranks."""

    def __init__(self, group: Group, net, loss, optimizer, batch_size: int, trainable, rule, rng, counts):
        self.group, self._rows, self.leads = group, [0], group.rank == 0
        self.ranks = group.size
        net.theta[...] = group.of_root_array(net.theta)
        for array in net.buffers.values():
            array[...] = group.of_root_array(array)
        super().__init__(net, loss, optimizer, batch_size, trainable, rule, rng, counts, group)
        self._own_masks()

    def _own_masks(self) -> None:
        """Dropout draws other masks on each rank."""
        self._seeds = [(seed, seed.copy()) for seed in _seeds(self.net)]
        for seed, _ in self._seeds:
            seed[:2] = (seed[0] + self.group.rank) % 65536, (seed[1] + (seed[0] + self.group.rank) // 65536) % 65536

    def end(self) -> None:
        """The network as all ranks have it."""
        for seed, given in self._seeds:
            seed[...] = given

    def settle(self, m: int, shape: tuple[int, ...]) -> None:
        """With so many samples of this shape on this rank. ValueError, on every rank, where one cannot make its part of each
        batch."""
        self._rows = self.group.gather(m)
        steps = self.steps_of_epoch = self._steps()
        for rank, rows in enumerate(self._rows):
            if rows < steps:
                text = f"rank {rank} has {rows} samples to train on, and batch_size {self.batch_size} makes {steps} batches of"
                raise together(ValueError(f"{text} {sum(self._rows)}; expected one sample for each, or more"))
        try:
            self.form.check_batch(min(self._whole(count) for count in range(steps)), shape)
        except ValueError as error:
            raise together(ValueError(f"batch_size is {self.batch_size}: {error}")) from None

    def _steps(self, m: int = 0) -> int:
        return math.ceil(sum(self._rows) / self.batch_size)

    def _whole(self, count: int) -> int:
        """The samples of a step's batch, of all ranks."""
        steps = self._steps()
        return sum(rows * (count + 1) // steps - rows * count // steps for rows in self._rows)

    def _order(self, samples: Samples, rows: np.ndarray) -> np.ndarray:
        seed = self.group.sum(np.array([int(self.rng.integers(1 << 53)) * (self.group.rank == 0)]))[0]
        return samples.shuffled(rows, np.random.default_rng((int(seed), self.group.rank)))

    def _ends(self, m: int, shape: tuple[int, ...]) -> list[int]:
        steps = self._steps()
        return [m * (count + 1) // steps for count in range(steps)]

    def _step_on(self, x, targets, weight, count: int) -> float:
        self.step.batch.share = len(x) / self._whole(count)
        return self.step._on_weighted(x, targets, weight)

    def _place(self, within: Within) -> Within:
        total, right = self.group.sum(np.array([within.total, within.right]))
        return within._replace(total=float(total), right=int(right))

    def _train(self, samples: Samples, order: np.ndarray, rate: float) -> tuple[float, float | None]:
        loss, accuracy = super()._train(samples, order, rate)
        return self._joint(len(order), loss, accuracy)

    def _evaluate(self, held_out: Samples) -> tuple[float, float | None]:
        return self._joint(len(held_out), *evaluate(self.net, self.loss, held_out))

    def _joint(self, count: int, loss: float, accuracy: float | None) -> tuple[float, float | None]:
        loss, right = self.group.mean(count, loss, accuracy or 0.0)
        return loss, None if accuracy is None else right

    def _seconds(self, seconds: float) -> float:
        return self.group.mean(1, seconds)[0]

    def _diverged(self, count: int, what: str, rate: float) -> FloatingPointError:
        return together(super()._diverged(count, what, rate))

    def averaged(self, samples: Samples, rows, what: str) -> Samples:
        """`Samples.averaged` with weights of mean 1 over these rows of all ranks."""
        group, weighted = self.group, samples.weight is not None
        if not group.any(weighted):
            return samples
        weight = samples.weight if weighted else np.ones(len(samples))
        largest = max(group.gather(samples.scale))
        weight = weight * (samples.scale / largest)
        total, count = group.sum(np.array([weight[rows].sum(), len(weight[rows])]))
        if not total:
            raise together(ValueError(f"all samples that {what} have weight 0; expected one that has more"))
        return replace(samples, weight=weight * (count / total))

    def agreed(self, stop: bool) -> bool:
        return self.group.any(stop)

    def load(self, saved, epochs: int) -> None:
        """Go on from a checkpoint that rank 0 reads, if there is one."""
        group = self.group

        def read():
            if not saved.path.exists():
                return None
            saved.load(self, epochs)
            return self.arrays(), self.history, self.rng.bit_generator.state, self.began, self.steps, self.within

        self.end()
        found = group.of_root(read)
        if found is not None:
            arrays, self.history, state, self.began, self.steps, self.within = found
            if group.rank:
                self.within = self.within and self.within._replace(total=0.0, right=0)  # rank 0 has what was summed
                self.set_arrays(arrays)
                if isinstance(state, dict) and state["bit_generator"] == type(self.rng.bit_generator).__name__:
                    self.rng.bit_generator.state = state
        self._own_masks()


def joined(
    group: Group, net, loss, optimizer, batch_size, trainable, rule, rng, counts, samples, held_out, epochs, early_stopping
) -> RankRun:
    """The run of `fit` with these arguments. ValueError, on every rank, unless all train the same network in the same way."""
    from .checkpoint import _structure, _text

    batch_size = min(batch_size, int(group.sum(np.array([len(samples)]))[0]))
    group.agree(
        {
            "the instruction set": _config.isa(),
            "net": str(_structure(net)),
            "the network's dtype": str(net.theta.dtype),
            "loss": _text(loss),
            "optimizer": _text(optimizer),
            "batch_size": batch_size,
            "epochs": epochs,
            "trainable": trainable,
            "early_stopping": early_stopping and _text(early_stopping),
            "validation": held_out if held_out is None or isinstance(held_out, float) else "samples",
            "whether there are classes": counts,
            "the shape of a sample": samples.X.shape[1:],
        }
    )
    return RankRun(group, net, loss, optimizer, batch_size, trainable, rule, rng, counts)
