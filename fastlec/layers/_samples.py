"""Derivatives by the parameters for each sample alone: where they go when `_plan_samples` of a layer adds the jobs for them.

A layer calls ``outer(name, g, x)`` for a parameter whose gradient by sample i is g_i x_i' (g (m, k), x (m, n), or None for ones),
``windows(name, convolution, g, x, compute)`` for one whose gradient is the sum of such products over the positions of windows
(g (m, k, height, width), x (m, c, ...), or None for ones), else ``each(name, compute)``; compute(i, out) adds the jobs that fill
out, of the parameter's shape, with the gradient by sample i.
"""

from typing import NamedTuple

import numpy as np

from .._kernels import outer


class _Samples:
    def windows(self, name, convolution, g, x, compute):
        self.each(name, compute)


class Gradients(_Samples):
    """Into arrays: {name: (m, *shape of the parameter)}, each sample of which is in C order, samples any distance apart."""

    def __init__(self, plan, arrays):
        self.plan, self.arrays = plan, arrays
        self.names = tuple(arrays)

    def outer(self, name, g, x):
        if name in self.arrays:
            outer.products(self.plan, g, x, self.arrays[name])

    def each(self, name, compute):
        for i, out in enumerate(self.arrays.get(name, ())):
            compute(i, out)


class Norms(_Samples):
    """Their squared norms, summed over the parameters shapes ({name: shape}), to total (m,), float64."""

    def __init__(self, plan, shapes, total):
        self.plan, self.shapes, self.total, self._begun = plan, shapes, total, False
        self.names = tuple(shapes)

    def outer(self, name, g, x):
        if name in self.shapes:
            outer.norms(self.plan, g, x, self.total, self._begun)
            self._begun = True

    def each(self, name, compute):
        if name in self.shapes:
            shape = self.shapes[name]
            one, rest = self.plan.empty(1, 1), self.plan.empty(*shape)
            one[...] = 1
            for i in range(len(self.total)):
                compute(i, rest)
                outer.norms(self.plan, one, rest.reshape(1, -1), self.total[i : i + 1], self._begun)
            self._begun = True


class Call(NamedTuple):
    """What a layer said of a parameter's gradient. convolution: None where there are no windows."""

    name: str
    g: np.ndarray
    x: np.ndarray | None
    convolution: object = None


class Kept(_Samples):
    """Nothing is computed of them: `calls` has g and x of each parameter of shapes ({name: shape}), m samples; or, of a layer that
    says no more, the gradients themselves as g (m, size), and ones."""

    def __init__(self, plan, shapes, m):
        self.plan, self.shapes, self.m, self.calls = plan, shapes, m, []
        self.names = tuple(shapes)

    def outer(self, name, g, x):
        if name in self.shapes:
            self.calls.append(Call(name, g, x))

    def windows(self, name, convolution, g, x, compute):
        if name in self.shapes:
            self.calls.append(Call(name, g, x, convolution))

    def each(self, name, compute):
        if name in self.shapes:
            rows = self.plan.empty(self.m, *self.shapes[name])
            for i, out in enumerate(rows):
                compute(i, out)
            self.calls.append(Call(name, rows.reshape(self.m, -1), None))


class Within:
    """What a layer of a network is given: names are its own."""

    def __init__(self, samples, prefix):
        self._samples, self._prefix = samples, prefix
        self.plan = samples.plan
        self.names = tuple(name.removeprefix(prefix) for name in samples.names if name.startswith(prefix))

    def outer(self, name, g, x):
        self._samples.outer(self._prefix + name, g, x)

    def windows(self, name, convolution, g, x, compute):
        self._samples.windows(self._prefix + name, convolution, g, x, compute)

    def each(self, name, compute):
        self._samples.each(self._prefix + name, compute)
