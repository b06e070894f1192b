"""Batch normalisation (Ioffe and Szegedy 2015, "Batch normalization: accelerating deep network training by reducing
internal covariate shift", Algorithms 1 and 2), and layer normalisation (Ba, Kiros and Hinton 2016, "Layer normalization")."""

from __future__ import annotations

import math
from typing import Self

import numpy as np

from .. import _check
from .._kernels import batch_norm as kernels
from .._kernels import channel_sums, curvature, layer_norm, slope
from .._typing import DTypeLike, Shape
from .parameters import Initial
from .planned import PlannedLayer, features
from .registry import kind


class _BatchNorm(PlannedLayer):
    """What both kinds share."""

    eps: float
    momentum: float
    training: bool
    _takes_epilogue = True

    def _set(self, eps, momentum, training):
        self.eps, self.momentum = _check.non_negative(eps, "eps"), _check.non_negative(momentum, "momentum")
        if self.momentum > 1:
            raise ValueError(f"momentum is {momentum}; expected a share between 0 and 1")
        self.training = _check.flag(training, "training")

    def _make(self, shape, affine, dtype):
        params = {"gamma": Initial(shape, constant=1.0), "beta": Initial(shape)} if affine else {}
        super().__init__(params, {"running_mean": Initial(shape), "running_var": Initial(shape, constant=1.0)}, dtype=dtype)

    @property
    def couples_samples(self) -> bool:
        """Whether this is the form for training, in which mean and variance are those of the batch."""
        return self.training

    def for_training(self) -> Self:
        return self if self.training else self._in_training()

    def check_batch(self, m: int, shape: Shape) -> None:
        if self.training and m * math.prod(shape[1:]) == 1:
            raise ValueError(
                f"x has shape {(m, *shape)}; expected more than one value of each {self._of}, whose variance a training step takes"
            )

    def _plan_forward(self, plan, x, y):
        statistics = self.buffers["running_mean"], self.buffers["running_var"]
        params = self.params.get("gamma"), self.params.get("beta")
        moments = kernels.forward(plan, x, y, *params, *statistics, self.eps, batch=self.training)
        return x, moments

    def _plan_mv(self, plan, kept, directions, dy):
        given = {"dgamma": directions.get("gamma"), "dbeta": directions.get("beta")}
        self._plan_derivative(plan, kept, directions.get("x"), dy, **given)

    def _plan_tmv(self, plan, kept, v, out, after=None):
        totals = {"total_gamma": out.get("gamma"), "total_beta": out.get("beta"), "update": self._steps(out)}
        self._plan_derivative(plan, kept, v, out.get("x"), **totals, after=after)

    def _plan_derivative(self, plan, kept, v, out, **more):
        kernels.derivative(plan, *kept, self.params.get("gamma"), v, out, self.eps, batch=self.training, **more)

    def _sample(self, kept, i):
        x, moments = kept  # which are those of all samples
        return x[i : i + 1], moments

    def _plan_curved(self, plan, y, kept, adjoint, tangent, dv, out):
        moments = None if self.training else (self.buffers["running_mean"], self.buffers["running_var"])
        total = channel_sums.slope if dv.ndim == 4 else slope.slope
        _plan_normed(self, plan, kept[0], adjoint, tangent, dv, out, total, rows=False, moments=moments)

    def _plan_buffers(self, plan, kept):
        self.check_batch(len(kept[0]), kept[0].shape[1:])
        kernels.running(plan, *kept, self.buffers["running_mean"], self.buffers["running_var"], self.momentum)


@kind
class BatchNorm2d(_BatchNorm):
    """Batch normalisation of images, y = gamma (x - mean) / sqrt(var + eps) + beta (Ioffe and Szegedy 2015, Algorithm 1).

    x and y are (m, c, h, w); each channel is normalised by itself, over its m h w values. With z = (x - mean) / sqrt(var + eps),
    and sums and means over the values of a channel::

        forward    y = gamma z + beta
        JacMV      gamma / sqrt(var + eps) (dx - mean(dx) - z mean(dx z)) + dgamma z + dbeta
        JacTMV     x: gamma / sqrt(var + eps) (v - mean(v) - z mean(v z)),  gamma: sum v z,  beta: sum v

    which is the paper's section 3 with its intermediate derivatives put in. With the running statistics the two means are left out.

    Parameters
    ----------
    c : int
        The number of channels.
    eps : float, default 1e-5
        What is added to var, at least 0.
    momentum : float, default 0.1
        The share, in [0, 1], by which each training step moves the running statistics towards those of its batch. There var is the
        unbiased one, divided by one less. Nothing else changes them.
    training : bool, default False
        Whether mean and var are those of x, the form for training, or the running ones. A network in which this is False is trained
        in the first form all the same, and evaluated in the second.
    dtype : dtype, default float64
        The dtype of the parameters: float32 or float64.

    Attributes
    ----------
    params : dict of arrays
        gamma (c,), ones, and beta (c,), zeros.
    buffers : dict of arrays
        running_mean (c,), zeros, and running_var (c,), ones.

    Raises
    ------
    ValueError
        If an argument is out of range, or a training step has a single value of a channel.

    See Also
    --------
    BatchNorm, Conv2d, LayerNorm

    Examples
    --------
    >>> import numpy as np
    >>> import fastlec
    >>> x = np.array([[[[1.0, 3.0]]], [[[5.0, 7.0]]]])
    >>> fastlec.BatchNorm2d(1, training=True)(x).ravel().round(3)
    array([-1.342, -0.447,  0.447,  1.342])
    >>> fastlec.BatchNorm2d(1, eps=0.0)(x).ravel()
    array([1., 3., 5., 7.])
    """

    c: int
    _of = "channel"

    def __init__(
        self, c: int, eps: float = 1e-5, momentum: float = 0.1, *, training: bool = False, dtype: DTypeLike = np.float64
    ) -> None:
        self.c = _check.count(c, "c", 1)
        self._set(eps, momentum, training)
        self._make((self.c,), True, dtype)

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """The shape of one sample of x, with None for each length that may be any."""
        return (self.c, None, None)

    def _partly(self, shape):
        return shape

    def output_shape(self, shape: Shape) -> Shape:
        shape = _check.sizes(shape)
        if len(shape) != 3 or shape[0] != self.c:
            raise ValueError(f"x has samples of shape {shape}; expected ({self.c}, height, width)")
        return shape


@kind
class BatchNorm(_BatchNorm):
    """Batch normalisation of features, y = gamma (x - mean) / sqrt(var + eps) + beta (Ioffe and Szegedy 2015, Algorithm 1).

    x and y are (m, n); each feature is normalised by itself, over the m samples of a batch. Forward map and derivatives are those
    of `BatchNorm2d`, with the samples in the place of the values of a channel.

    Parameters
    ----------
    n : int
        The number of features of a sample.
    eps : float, default 1e-5
        What is added to var, at least 0.
    momentum : float, default 0.1
        The share, in [0, 1], by which each training step moves the running statistics towards those of its batch. There var is the
        unbiased one, divided by one less. Nothing else changes them.
    affine : bool, default True
        Whether there are the parameters gamma and beta. Without, they stay ones and zeros.
    training : bool, default False
        Whether mean and var are those of x, the form for training, or the running ones. A network in which this is False is trained
        in the first form all the same, and evaluated in the second.
    dtype : dtype, default float64
        The dtype of the parameters: float32 or float64.

    Attributes
    ----------
    params : dict of arrays
        gamma (n,), ones, and beta (n,), zeros.
    buffers : dict of arrays
        running_mean (n,), zeros, and running_var (n,), ones.

    Raises
    ------
    ValueError
        If an argument is out of range, or a training step has a single sample.

    See Also
    --------
    BatchNorm2d, LayerNorm

    Examples
    --------
    >>> import numpy as np
    >>> import fastlec
    >>> layer = fastlec.BatchNorm(2, training=True)
    >>> layer(np.array([[1.0, 10.0], [3.0, 30.0]])).round(3)
    array([[-1., -1.],
           [ 1.,  1.]])
    """

    n: int
    affine: bool
    _of = "feature"

    def __init__(
        self,
        n: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = True,
        *,
        training: bool = False,
        dtype: DTypeLike = np.float64,
    ) -> None:
        self.n, self.affine = _check.count(n, "n", 1), _check.flag(affine, "affine")
        self._set(eps, momentum, training)
        self._make((self.n,), self.affine, dtype)

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """The shape of one sample of x, with None for each length that may be any."""
        return (self.n,)

    def output_shape(self, shape: Shape) -> Shape:
        features(shape, self.n)
        return (self.n,)


@kind
class LayerNorm(PlannedLayer):
    """Layer normalisation, y = gamma (x - mean) / sqrt(var + eps) + beta of each sample (Ba, Kiros and Hinton 2016, eq. 3 and 4).

    x and y are (m, n); mean and var = sum (x - mean)^2 / n are those of a sample. With z = (x - mean) / sqrt(var + eps), w = gamma
    v, means over the features of a sample, and sums over the samples::

        forward    y = gamma z + beta
        JacMV      gamma (dx - mean(dx) - z mean(dx z)) / sqrt(var + eps) + dgamma z + dbeta
        JacTMV     x: (w - mean(w) - z mean(w z)) / sqrt(var + eps),  gamma: sum v z,  beta: sum v

    Parameters
    ----------
    n : int
        The number of features of a sample.
    eps : float, default 1e-5
        What is added to var, at least 0.
    elementwise_affine : bool, default True
        Whether there are the parameters gamma and beta. Without, they stay ones and zeros.
    bias : bool, default True
        Whether there is beta.
    dtype : dtype, default float64
        The dtype of the parameters: float32 or float64.

    Attributes
    ----------
    params : dict of arrays
        gamma (n,), ones, and beta (n,), zeros.

    Raises
    ------
    ValueError
        If an argument is out of range.

    See Also
    --------
    BatchNorm, BatchNorm2d

    Notes
    -----
    A sample of y depends on its own sample of x alone, NaN and infinities included; it is the same function in training
    and afterwards. Means and variances are computed relative to a number near the mean, so a large mean costs no digits. Squares
    may leave the range of the dtype.

    Examples
    --------
    >>> import numpy as np
    >>> import fastlec
    >>> norm = fastlec.LayerNorm(3)
    >>> norm(np.array([[1.0, 2.0, 3.0], [10.0, 20.0, 30.0]])).round(3)
    array([[-1.225,  0.   ,  1.225],
           [-1.225,  0.   ,  1.225]])
    """

    n: int
    eps: float
    elementwise_affine: bool
    bias: bool
    _takes_epilogue = True

    def __init__(
        self, n: int, eps: float = 1e-5, elementwise_affine: bool = True, bias: bool = True, *, dtype: DTypeLike = np.float64
    ) -> None:
        self.n, self.eps = _check.count(n, "n", 1), _check.non_negative(eps, "eps")
        self.elementwise_affine = _check.flag(elementwise_affine, "elementwise_affine")
        self.bias = _check.flag(bias, "bias")
        params = {"gamma": Initial((self.n,), constant=1.0), "beta": Initial((self.n,))}
        names = ("gamma", "beta")[: 1 + self.bias] if self.elementwise_affine else ()
        super().__init__({name: params[name] for name in names}, dtype=dtype)

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """The shape of one sample of x, with None for each length that may be any."""
        return (self.n,)

    def output_shape(self, shape: Shape) -> Shape:
        features(shape, self.n)
        return (self.n,)

    def _plan_forward(self, plan, x, y):
        return x, layer_norm.forward(plan, x, y, self.params.get("gamma"), self.params.get("beta"), self.eps)

    def _plan_mv(self, plan, kept, directions, dy):
        given = {f"d{name}": d for name, d in directions.items()}
        layer_norm.mv(plan, *kept, self.params.get("gamma"), dy, **given)

    def _plan_tmv(self, plan, kept, v, out, after=None):
        totals = {f"total_{name}": out[name] for name in self.params if name in out}
        layer_norm.tmv(plan, *kept, self.params.get("gamma"), v, out.get("x"), **totals, update=self._steps(out), after=after)

    def _plan_curved(self, plan, y, kept, adjoint, tangent, dv, out):
        _plan_normed(self, plan, kept[0], adjoint, tangent, dv, out, slope.slope, rows=True)


def _plan_normed(layer, plan, x, v, directions, dv, out, total, **groups):
    """`_plan_curved` of a normalisation of x; total adds a job that sums an array over all but the axis of gamma."""
    if out.keys() & {"x", "gamma"}:
        products = plan.empty(*x.shape) if "gamma" in out else None
        given = directions.get("x"), layer.params.get("gamma"), directions.get("gamma")
        curvature.norm(plan, x, v, dv, *given, out.get("x"), products, layer.eps, **groups)
        if "gamma" in out:
            total(plan, products, total=out["gamma"])
    if "beta" in out:
        total(plan, dv, total=out["beta"])
