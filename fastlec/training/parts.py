"""The passes of a training step through a network in which some layers are the user's own: in Python through these, and between
them as lists of jobs, planned once for a shape of batches.

Gradients are written, for a layer of the user's own may raise in the backward pass, until when nothing of the network may change.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from .. import _check
from .._kernels.plan import Plan
from ..layers.base import Layer
from ..layers.planned import PlannedLayer

if TYPE_CHECKING:
    from .._typing import FloatArray
    from ..network import Network


class Parts:
    """The layers of a network (`Network.for_training`) in order, those that are planned taken together.

    shape : of a batch. gradients : {name of a parameter: array} to fill, of those that are wanted.
    """

    def __init__(self, net: Network, shape: tuple[int, ...], gradients: dict[str, FloatArray]) -> None:
        wanted = {int(name.partition(".")[0]) for name in gradients}
        self._parts, self._from = [], 0
        below = False  # whether something is wanted of the layers below
        planned = [isinstance(layer, PlannedLayer) and layer._planned for layer in net.layers]
        for together, group in groupby(range(len(net.layers)), planned.__getitem__):
            group = list(group)
            for indices in [group] if together else [[i] for i in group]:
                own = {(i - indices[0], name): gradients.get(f"{i}.{name}") for i in indices for name in net.layers[i].params}
                own = {name: a for name, a in own.items() if a is not None}
                if together:
                    out = {f"{i}.{name}": a for (i, name), a in own.items()}
                    part = _Jobs(net._part(indices[0], indices[-1] + 1), shape, net.theta.dtype, out, below)
                else:
                    i = indices[0]
                    part = _Own(
                        net.layers[i], net.theta.dtype, {name: a for (_, name), a in own.items()}, below, i in net._still
                    )
                below = below or not wanted.isdisjoint(indices)
                self._from += not below
                self._parts.append(part)
                shape = (shape[0], *part.layer.output_shape(shape[1:]))

    def forward(self, x: FloatArray) -> FloatArray:
        """The network's output for the samples x, which must stay as they are until `update`."""
        for part in self._parts:
            x = part.forward(x)
        return x

    def backward(self, v: FloatArray) -> None:
        """Fills the gradients: J' v."""
        for part in reversed(self._parts[self._from :]):
            v = part.backward(v)

    def update(self) -> None:
        """What a step changes of the buffers."""
        for part in self._parts:
            part.update()


class _Own:
    """A layer of the user's own. still : whether its buffers stay."""

    def __init__(self, layer, dtype, out, below, still):
        self.layer, self._dtype, self._out, self._still = layer, dtype, out, still
        self._checked = type(layer).linearize is Layer.linearize  # by what follows
        self._wrt = (*out, "x") if below else tuple(out)

    def forward(self, x):
        layer = self.layer
        if self._checked:
            x = _check.plain(x, self._dtype, "x")
            y, kept = layer._evaluated(x)
            self._jac = layer._jacobian_of(x, y, kept)
        else:
            y, self._jac = layer.linearize(x)
        return y

    def backward(self, v):
        if self._checked:
            return self._jac._tmv(_check.plain(v, self._dtype, "v"), self._wrt, self._out).get("x")
        return self._jac.tmv(v, self._wrt, out=self._out).get("x")

    def update(self):
        if not self._still:
            self.layer.update_buffers(self._jac.kept)


class _Jobs:
    """Layers that say which jobs compute them, as a network of their own."""

    def __init__(self, layer, shape, dtype, out, below):
        self.layer = layer
        empty = Plan(dtype.num).empty
        x, y = empty(*shape), empty(shape[0], *layer.output_shape(shape[1:]))
        self._dtype, self._dx = dtype, empty(*shape) if below else None

        def plan(*slots):
            made = Plan(dtype.num)
            for slot in slots:
                made.slot(slot)
            return made

        self._forward, self._last, v = plan(x), plan(x), empty(*y.shape)
        kept = layer._plan_forward(self._forward, x, y)
        layer._plan_buffers(self._last, kept)
        self._backward, out = plan(x, v), out | ({"x": self._dx} if below else {})
        if out:
            layer._plan_backward(self._backward, y, kept, v, out)
        self._seen = y.view()
        self._seen.flags.writeable = False

    def forward(self, x):
        self._x = _check.plain(np.asarray(x), self._dtype, "x")
        self._forward.bind(0, self._x)
        self._forward.run()
        return self._seen

    def backward(self, v):
        v = _check.plain(np.asarray(v), self._dtype, "v")
        self._backward.bind(0, self._x)
        self._backward.bind(1, v)
        self._backward.run()
        return self._dx

    def update(self):
        if len(self._last):
            self._last.bind(0, self._x)
            self._last.run()
