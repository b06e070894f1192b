"""Derivatives by the parameters for each sample alone: where they go when a layer's `plan_samples` adds the jobs that compute them.

A layer calls ``outer(name, g, x)`` for a parameter whose gradient by sample i is g_i x_i' (g (m, k), x (m, n), or None for ones),
else ``each(name, compute)``, where compute(i, out) adds the jobs that fill out, of the parameter's shape, with that by sample i.
"""

from .._kernels import outer


class Gradients:
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


class Norms:
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


class Within:
    """What a layer of a network is given: names are its own."""

    def __init__(self, samples, prefix):
        self._samples, self._prefix = samples, prefix
        self.plan = samples.plan
        self.names = tuple(name.removeprefix(prefix) for name in samples.names if name.startswith(prefix))

    def outer(self, name, g, x):
        self._samples.outer(self._prefix + name, g, x)

    def each(self, name, compute):
        self._samples.each(self._prefix + name, compute)
