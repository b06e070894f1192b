"""Dropout (Srivastava, Hinton, Krizhevsky, Sutskever and Salakhutdinov 2014, "Dropout: a simple way to prevent neural networks from
overfitting")."""

from __future__ import annotations

from typing import Self

import numpy as np

from .. import _check
from .._kernels import dropout as kernels
from .._typing import Seed, Shape
from .parameters import Initial
from .planned import PlannedLayer, multiply
from .registry import kind


@kind
class Dropout(PlannedLayer):
    """Dropout layer, which sets elements to 0 at random in training (Srivastava et al. 2014).

    Samples have any shape. With the mask of a training step, 0 with probability p and else 1::

        forward    y = x;  in training y = mask x / (1 - p), whose mean is x
        JacMV      mask dx / (1 - p)
        JacTMV     mask v / (1 - p)

    Parameters
    ----------
    p : float, default 0.5
        The probability that an element is dropped, in [0, 1).
    training : bool, default False
        Whether the layer is the form for training. Training steps use that all the same, and ``net(x)`` does not drop.
    rng : int or numpy.random.Generator, optional
        A seed or generator from which the layer's own seed is drawn. That of a layer without it is drawn by the rng of its network.

    Attributes
    ----------
    buffers : dict of arrays
        seed (4,) and count (3,), numbers of 64 and 48 bits in digits of 16 bits, the lowest first.

    Raises
    ------
    ValueError
        If p is not in [0, 1).

    See Also
    --------
    fit, BatchNorm

    Notes
    -----
    Which elements are kept follows from seed, count and the place in the batch alone, by the generator Philox 4x32-10
    (Salmon et al. 2011): on every machine, for any number of threads and any dtype. A training step takes one mask and ends with
    the count one higher, so copies of a network, files and checkpoints go on as the network itself would. A layer that is given
    twice to a network without rng has one mask in both places.

    An element that is dropped is 0 even where x is NaN or infinite. No part of ``trainable`` turns dropout off.

    Examples
    --------
    >>> import numpy as np
    >>> import fastlec
    >>> drop, x = fastlec.Dropout(0.5, rng=0), np.ones((1, 6))
    >>> drop(x)
    array([[1., 1., 1., 1., 1., 1.]])
    >>> sorted(set(drop.for_training()(x).ravel().tolist()))
    [0.0, 2.0]
    """

    p: float
    training: bool
    _takes_epilogue = linear_in_x = True
    changes_untrained = True

    def __init__(self, p: float = 0.5, *, training: bool = False, rng: Seed | None = None) -> None:
        self.p, self.training = _check.non_negative(p, "p"), _check.flag(training, "training")
        if self.p >= 1:
            raise ValueError(f"p is {p}; expected a probability of at least 0 and below 1")
        super().__init__(None, {"seed": Initial((4,), digits=True), "count": Initial((3,))}, dtype=np.float64, rng=rng)

    @property
    def _reshapes(self):
        """Without anything to drop y is x itself."""
        return not self.training or self.p == 0

    @property
    def couples_samples(self) -> bool:
        """Whether elements are dropped: a sample's mask follows from its place in the batch, so a batch is not cut."""
        return not self._reshapes

    def for_training(self) -> Self:
        return self if self.training else self._in_training()

    def output_shape(self, shape: Shape) -> Shape:
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
