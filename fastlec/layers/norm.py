"""Batch normalisation (Ioffe and Szegedy 2015, "Batch normalization: accelerating deep network training by reducing
internal covariate shift", Algorithms 1 and 2), and layer normalisation (Ba, Kiros and Hinton 2016, "Layer normalization")."""

import math

import numpy as np

from .. import _check
from .._kernels import batch_norm as kernels
from .._kernels import channel_sums, curvature, layer_norm, slope
from .parameters import Initial
from .planned import PlannedLayer, features
from .registry import kind


class _BatchNorm(PlannedLayer):
    """What both kinds share."""

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
    def couples_samples(self):
        return self.training

    def for_training(self):
        return self if self.training else self._in_training()

    def check_batch(self, m, shape):
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

    _of = "channel"

    def __init__(self, c, eps=1e-5, momentum=0.1, *, training=False, dtype=np.float64):
        self.c = _check.count(c, "c", 1)
        self._set(eps, momentum, training)
        self._make((self.c,), True, dtype)

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


@kind
class BatchNorm(_BatchNorm):
    """y = gamma (x - mean) / sqrt(var + eps) + beta, each feature by itself: x and y (m, n).

    n : features of a sample. affine : whether there are the parameters gamma (n,), ones, and beta (n,), zeros; without, they stay
    ones and zeros. buffers : running_mean (n,), zeros, and running_var (n,), ones. All else is as for `BatchNorm2d`, with the m
    samples of a batch in the place of a channel's values: a training step takes the mean and the variance of its batch, of two
    samples or more, and moves the running statistics, which net(x) uses, by `momentum` towards them.

    >>> import numpy as np
    >>> X, y = fastlec.data.load_digits()
    >>> layers = [fastlec.Dense(64, 32, "identity"), fastlec.BatchNorm(32), fastlec.Activation("relu")]
    >>> net = fastlec.Network([*layers, fastlec.Dense(32, 10, "identity")], rng=0)
    >>> history = fastlec.fit(net, X[:1500], y[:1500], optimizer=fastlec.SGD(0.5), epochs=5)
    >>> bool((net.predict(X[1500:]) == y[1500:]).mean() > 0.85)
    True
    """

    _of = "feature"

    def __init__(self, n, eps=1e-5, momentum=0.1, affine=True, *, training=False, dtype=np.float64):
        self.n, self.affine = _check.count(n, "n", 1), _check.flag(affine, "affine")
        self._set(eps, momentum, training)
        self._make((self.n,), self.affine, dtype)

    @property
    def input_shape(self):
        return (self.n,)

    def output_shape(self, shape):
        features(shape, self.n)
        return (self.n,)


@kind
class LayerNorm(PlannedLayer):
    """y = gamma (x - mean) / sqrt(var + eps) + beta, where mean and var are those of each sample: x and y (m, n).

    n : features of a sample; var = sum (x - mean)^2 / n. eps : added to var, at least 0.
    elementwise_affine : whether there are the parameters gamma and beta, (n,), which begin as ones and zeros; without, they stay
    ones and zeros. bias : whether there is beta. dtype : float32 or float64, of the parameters.

    A sample of y depends on its own sample of x alone, NaN and infinities included; it is the same function in training and
    afterwards. With z = (x - mean) / sqrt(var + eps), w = gamma v, and means over a sample's features, J' v is

        beta: sum of v        gamma: sum of v z        x: (w - mean(w) - z mean(w z)) / sqrt(var + eps)

    with sums over the samples (Ba, Kiros and Hinton 2016, equations 3 and 4, and their derivative). Means and variances are
    computed relative to a number near the mean, so a large mean costs no digits; squares may leave the dtype's range.

    >>> import numpy as np
    >>> norm = fastlec.LayerNorm(3)
    >>> norm(np.array([[1.0, 2.0, 3.0], [10.0, 20.0, 30.0]])).round(3)
    array([[-1.225,  0.   ,  1.225],
           [-1.225,  0.   ,  1.225]])
    >>> net = fastlec.Network([fastlec.Dense(4, 3, "identity", rng=0), norm, fastlec.Activation("relu")])
    """

    _takes_epilogue = True

    def __init__(self, n, eps=1e-5, elementwise_affine=True, bias=True, *, dtype=np.float64):
        self.n, self.eps = _check.count(n, "n", 1), _check.non_negative(eps, "eps")
        self.elementwise_affine = _check.flag(elementwise_affine, "elementwise_affine")
        self.bias = _check.flag(bias, "bias")
        params = {"gamma": Initial((self.n,), constant=1.0), "beta": Initial((self.n,))}
        names = ("gamma", "beta")[: 1 + self.bias] if self.elementwise_affine else ()
        super().__init__({name: params[name] for name in names}, dtype=dtype)

    @property
    def input_shape(self):
        return (self.n,)

    def output_shape(self, shape):
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
