"""Batch normalisation of images (Ioffe and Szegedy 2015, "Batch normalization: accelerating deep network training by reducing
internal covariate shift", Algorithms 1 and 2)."""

import copy
import math

import numpy as np

from .. import _check
from .._kernels import batch_norm as kernels
from .parameters import Initial
from .planned import PlannedLayer
from .registry import kind


@kind
class BatchNorm2d(PlannedLayer):
    """y = gamma (x - mean) / sqrt(var + eps) + beta, each channel by itself: x and y (m, c, h, w).

    params : gamma (c,), ones, and beta (c,), zeros. buffers : running_mean (c,), zeros, and running_var (c,), ones.
    training : whether mean and var, over the m h w values of a channel, are those of x (Algorithm 1; var = sum (x - mean)^2 /
    (m h w)), or the running ones. A network in which this is False is trained in the first form all the same, and evaluated in the
    second. eps : added to var, at least 0. dtype : float32 or float64.
    momentum : each training step moves the running statistics by this share, in [0, 1], towards those of its batch; there var is
    the unbiased one, sum (x - mean)^2 / (m h w - 1), so a training step with a single value of a channel is refused. Nothing else
    changes them.

    The derivative of the training form goes through mean and var. With z = (x - mean) / sqrt(var + eps), sums and means over a
    channel's values, J' v is

        beta: sum v        gamma: sum v z        x: gamma / sqrt(var + eps) (v - mean(v) - z mean(v z))

    which is the paper's section 3 with its intermediate derivatives put in; the Jacobian by x is symmetric. With the running
    statistics x: gamma v / sqrt(var + eps).
    """

    takes_epilogue = True

    def __init__(self, c, eps=1e-5, momentum=0.1, *, training=False, dtype=np.float64):
        self.c = _check.count(c, "c", 1)
        self.eps, self.momentum = _check.non_negative(eps, "eps"), _check.non_negative(momentum, "momentum")
        if self.momentum > 1:
            raise ValueError(f"momentum is {momentum}; expected a share between 0 and 1")
        self.training = _check.flag(training, "training")
        shape = (self.c,)
        params = {"gamma": Initial(shape, constant=1.0), "beta": Initial(shape)}
        super().__init__(params, {"running_mean": Initial(shape), "running_var": Initial(shape, constant=1.0)}, dtype=dtype)

    @property
    def couples_samples(self):
        return self.training

    def for_training(self):
        if self.training:
            return self
        other = copy.copy(self)
        vars(other)["training"] = True
        return other

    def check_batch(self, m, shape):
        if self.training and m * math.prod(shape[1:]) == 1:
            raise ValueError(
                f"x has shape {(m, *shape)}; expected more than one value of each channel, whose variance a training step takes"
            )

    @property
    def input_shape(self):
        return (self.c, None, None)

    def _partly(self, shape):
        return shape

    def output_shape(self, shape):
        shape = _check.sizes(shape)
        if len(shape) != 3 or shape[0] != self.c:
            raise ValueError(f"x has samples of shape {shape}; expected ({self.c}, height, width)")
        return shape

    def plan_forward(self, plan, x, y):
        statistics = self.buffers["running_mean"], self.buffers["running_var"]
        moments = kernels.forward(plan, x, y, *self.params.values(), *statistics, self.eps, batch=self.training)
        return x, moments

    def plan_mv(self, plan, kept, directions, dy):
        given = {"dgamma": directions.get("gamma"), "dbeta": directions.get("beta")}
        self._plan_derivative(plan, kept, directions.get("x"), dy, **given)

    def plan_tmv(self, plan, kept, v, out, after=None):
        totals = {"total_gamma": out.get("gamma"), "total_beta": out.get("beta"), "update": self.steps(out)}
        self._plan_derivative(plan, kept, v, out.get("x"), **totals, after=after)

    def _plan_derivative(self, plan, kept, v, out, **more):
        kernels.derivative(plan, *kept, self.params["gamma"], v, out, self.eps, batch=self.training, **more)

    def plan_buffers(self, plan, kept):
        self.check_batch(len(kept[0]), kept[0].shape[1:])
        kernels.running(plan, *kept, self.buffers["running_mean"], self.buffers["running_var"], self.momentum)
