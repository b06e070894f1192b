"""Dropout (Srivastava, Hinton, Krizhevsky, Sutskever and Salakhutdinov 2014, "Dropout: a simple way to prevent neural networks from
overfitting")."""

import numpy as np

from .. import _check
from .._kernels import dropout as kernels
from .parameters import Initial
from .planned import PlannedLayer, multiply
from .registry import kind


@kind
class Dropout(PlannedLayer):
    """y = x; in training, each element is 0 with probability p and else x / (1 - p), whose mean is x. Samples of any shape.

    p : in [0, 1). rng : a seed or numpy.random.Generator, from which the layer's own seed is drawn; that of a layer without is
    drawn by the rng of its network. training : the form for training, which training steps use all the same; net(x) does not drop.

    buffers : seed (4,) and count (3,), numbers of 64 and 48 bits in digits of 16 bits, the lowest first. Which elements are kept
    follows from them and from the place in the batch alone, by the generator Philox 4x32-10 (Salmon et al. 2011): on every
    machine, for any number of threads and any dtype. A training step takes one mask and ends with the count one higher, so copies
    of a network, files and checkpoints go on as the network itself would. A layer that is given twice to a network without rng
    has one mask in both places.

    The derivative of the form for training is that by the same mask. An element that is dropped is 0 even where x is NaN or
    infinite. No part of ``trainable`` turns dropout off.

    >>> import numpy as np
    >>> drop = fastlec.Dropout(0.5, rng=0)
    >>> net = fastlec.Network([fastlec.Dense(8, 32, "relu"), drop, fastlec.Dense(32, 2, "identity")], rng=0)
    >>> x = np.ones((1, 6))
    >>> drop(x)
    array([[1., 1., 1., 1., 1., 1.]])
    >>> sorted(set(drop.for_training()(x).ravel().tolist()))
    [0.0, 2.0]
    """

    _takes_epilogue = linear_in_x = True
    changes_untrained = True

    def __init__(self, p=0.5, *, training=False, rng=None):
        self.p, self.training = _check.non_negative(p, "p"), _check.flag(training, "training")
        if self.p >= 1:
            raise ValueError(f"p is {p}; expected a probability of at least 0 and below 1")
        super().__init__(None, {"seed": Initial((4,), digits=True), "count": Initial((3,))}, dtype=np.float64, rng=rng)

    @property
    def _reshapes(self):
        """Without anything to drop y is x itself."""
        return not self.training or self.p == 0

    @property
    def couples_samples(self):
        """A sample's mask follows from its place in the batch, so a batch is not cut."""
        return not self._reshapes

    def for_training(self):
        return self if self.training else self._in_training()

    def output_shape(self, shape):
        return _check.sizes(shape)

    def _partly(self, shape):
        return shape

    def _plan_forward(self, plan, x, y):
        if not self._reshapes:
            return kernels.draw(plan, x, y, self.p, self.buffers["seed"], self.buffers["count"])
        multiply(plan, x, y)
        return None

    def _plan_mv(self, plan, kept, directions, dy):
        self._plan_product(plan, kept, directions["x"], dy)

    def _plan_tmv(self, plan, kept, v, out, after=None):
        if "x" in out:
            self._plan_product(plan, kept, v, out["x"], after)

    def _plan_product(self, plan, kept, v, out, after=None):
        if self._reshapes:
            multiply(plan, v, out, after)
        else:
            kernels.apply(plan, v, out, kept, self.p, after=after)

    def _plan_buffers(self, plan, kept):
        kernels.count_up(plan, self.buffers["count"])
