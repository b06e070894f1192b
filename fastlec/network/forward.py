"""A network's forward pass: planned once for a shape of samples, a part of them at a time, and kept for the next call."""

import sys

from .._kernels.conv2d import get_default as conv_algorithm
from .._kernels.plan import Plan

CHUNK_VALUES = 1 << 18  # values of the widest layer that are computed at a time, so that they stay in cache
LEAST_CHUNK = 256  # samples, though that may be more values: weights are read once for each chunk
MOST_VALUES = 1 << 22  # values of LEAST_CHUNK samples, at most: images may have more, and take smaller chunks
MOST_CHUNK = 4096  # samples
MOST_IDLE = 8  # plans that are kept for the next call, of all shapes and dtypes
IDLE_BYTES = 1 << 26  # what all kept plans but the last used one may hold


class Forward:
    """A forward pass over samples of one shape. shape: of y."""

    def __init__(self, net, shape, dtype):
        self.plan = plan = _Counted(dtype.num)
        self.key = _key(shape, dtype)
        self.shape = (shape[0], *net.output_shape(shape[1:]))
        x, y = plan.empty(*shape), plan.empty(*self.shape)
        plan.slot(x)
        plan.slot(y)
        net.plan_forward(plan, x, y)

    def __call__(self, x, y):
        self.plan.bind(0, x)
        self.plan.bind(1, y)
        self.plan.run()


class _Counted(Plan):
    """A plan that knows how many bytes it holds."""

    n_bytes = 0

    def empty(self, *shape):
        a = super().empty(*shape)
        self.n_bytes += a.nbytes
        return a


class Forwards:
    """The forward passes of a network that nobody uses at the moment. Threads may take and give at once: each change of the list is
    one call, and so is atomic."""

    def __init__(self):
        self.idle, self._chunks = [], {}

    def find(self, shape, dtype):
        """One for x of this shape, or None."""
        key = _key(shape, dtype)
        for forward in reversed(self.idle):
            if forward.key == key:
                try:
                    self.idle.remove(forward)
                    return forward
                except ValueError:  # another thread was faster
                    continue
        return None

    def take(self, net, shape, dtype):
        """One for x of this shape, new if need be."""
        return self.find(shape, dtype) or Forward(net, shape, dtype)

    def give(self, forward):
        """Keeps one for the next call, and those used before as far as the bounds allow."""
        idle = self.idle
        idle.append(forward)
        while len(idle) > 1 and (len(idle) > MOST_IDLE or sum(other.plan.n_bytes for other in idle[:-1]) > IDLE_BYTES):
            idle[:1] = []

    def chunk(self, net, shape):
        """`chunk_size`, kept for the next call."""
        size = self._chunks.get(shape)
        if size is None:
            if len(self._chunks) >= MOST_IDLE:
                self._chunks.clear()
            size = self._chunks[shape] = chunk_size(net, shape)
        return size


def chunk_size(net, shape):
    """How many samples of this shape are computed at a time: few enough to stay in cache, enough to read the weights rarely."""
    if net.couples_samples:
        return sys.maxsize
    widest = net._widest(shape)
    return min(max(CHUNK_VALUES // widest, min(LEAST_CHUNK, MOST_VALUES // widest), 1), MOST_CHUNK)


def _key(shape, dtype):
    return shape, dtype, conv_algorithm()
