"""A network's loss over a data set as a function of theta, ready for scipy.optimize (lecture eq. 18 and 19, chapter 4).

    F(theta) = loss(f(theta, X), y) + l2/2 ||weights||^2,  the loss being sum_i w_i l_i / sum_i w_i

Large data is gone over in parts, so that memory does not grow with it; each part adds its gradient to the sum in order.
"""

import copy
import math

import numpy as np

from .. import _check
from .._fixed import Settled
from .._kernels.calls import Calls, key_of
from .._kernels.plan import Plan
from ..layers._samples import Norms
from ..network import Network, views
from ..network.forward import chunk_size
from . import losses, matrices
from .linearized import Linearized, _InPython, _Planned
from .penalties import Prior, Ridge

PART_VALUES = 1 << 22  # values of all layers for the samples of one part
MOST_PLANS = 8  # of batches of other sizes, and with or without gradient, that are kept for the next call
PLAN_BYTES = 1 << 26  # what they may hold


class Objective:
    """F(theta), its gradient and Gauss-Newton products.

    net : a `Network`, which is never changed: theta is an argument. loss : `SoftmaxCrossEntropy`, `MeanSquaredError` or an object
    with their methods. X : (m, ...) samples, y : targets as the loss takes them. dtype, n_params : of the network.

    sample_weight : (m,), finite, >= 0, not all 0, or None for ones: F and all that follows from it are of the weighted mean. It is
    copied, times what makes the mean weight 1. TypeError if the loss is one of the user's own whose value_and_gradient takes no
    sample_weight.

    l2 : >= 0. l2/2 times the sum of the squares of all weights is added to F, and what follows from it to all derivatives and
    residuals. Weights are the parameters of two axes or more; biases, and what scales and shifts in normalisations, are not
    penalised. A batch's mean has the whole penalty.

    y is copied, and read-only; X is read in place where it can be, so what is written into it later takes effect. None of the six
    can be exchanged: another Objective is as good as free.

    Computing happens in the network's dtype, and arrays come back in theta's: float64 for scipy.optimize. `batch`, an array of
    indices or a slice, restricts the mean to those samples.

    >>> from scipy.optimize import minimize
    >>> X, y = fastlec.data.load_digits()
    >>> net = fastlec.Network([fastlec.Dense(64, 10, "identity", rng=0)])
    >>> f = fastlec.Objective(net, fastlec.SoftmaxCrossEntropy(), X, y)
    >>> found = minimize(f.value_and_gradient, net.theta, jac=True, method="L-BFGS-B", options={"maxiter": 20})
    >>> found.fun < f.value(net.theta) / 10
    True
    """

    net, loss, X, y, sample_weight, l2 = (Settled("make a new Objective") for _ in range(6))

    def __init__(self, net, loss, X, y, *, l2=0.0, sample_weight=None):
        if not isinstance(net, Network):
            raise TypeError(f"net is a {type(net).__name__}; expected a Network")
        _check.loss(loss)
        self.net, self.loss, self.l2 = net, loss, _check.non_negative(l2, "l2")
        weights = [np.full(a.size, a.ndim > 1) for a in net.params.values()]
        self._penalties = (Ridge(self.l2, np.concatenate(weights)),) if self.l2 and weights else ()
        X = _check.as_array(X, "X")
        _check.float_dtype(X.dtype, "X")
        if not X.ndim:
            raise ValueError("X is a number; expected an array of samples")
        self.X = _check.plain(X, net.theta.dtype, "X")
        if not len(self.X):
            raise ValueError(f"X has shape {self.X.shape}; expected at least one sample")
        shape = _check.of_X(net.output_shape, self.X.shape[1:])
        self.y = np.array(loss.targets(y, (len(self.X), *shape), self.dtype), order="C")
        self.y.flags.writeable = False
        sample_weight = losses.mean_weights(loss, self.y, len(self.X), sample_weight)
        if sample_weight is not None:
            losses.check_weighted(loss)
            sample_weight.flags.writeable = False
        self.sample_weight = sample_weight
        kernels = all(losses.in_kernels(loss, "plan", name) for name in ("value", "value_and_gradient"))
        self._in_kernels = kernels and net._planned and 0 not in shape
        second = losses.in_kernels(loss, "plan_hessian_mv", "hessian_mv") and hasattr(loss, "plan_hessian_mv")
        self._second_in_kernels = self._in_kernels and second and net._plans_second
        values = math.prod(self.X.shape[1:]) + net._kept_values(self.X.shape[1:])
        self._part = len(self.X) if net.couples_samples else max(PART_VALUES // max(values, 1), 64)
        self._chunk = chunk_size(net, self.X.shape[1:])
        self._calls, self._points = Calls(MOST_PLANS, PLAN_BYTES), Calls(MOST_PLANS, PLAN_BYTES)
        losses.warn_if_bounded(net, loss)

    @property
    def dtype(self):
        return self.net.theta.dtype

    @property
    def n_params(self):
        """The length of theta."""
        return self.net.n_params

    @property
    def n_samples(self):
        return len(self.X)

    def value(self, theta, batch=None):
        """F(theta), a float."""
        return self._evaluate(theta, batch, False)[0]

    def gradient(self, theta, batch=None):
        """The gradient of F, as long as theta, by back-propagation."""
        return self.value_and_gradient(theta, batch)[1]

    def value_and_gradient(self, theta, batch=None):
        """(F(theta), its gradient)."""
        return self._evaluate(theta, batch, True)

    def _evaluate(self, theta, batch, want_gradient):
        theta, answer = self._vector(theta, "theta")
        X, y, weight = self._select(batch)
        if len(X) <= self._part:
            total, gradient = self._evaluate_part(theta, X, y, weight, want_gradient)
        else:
            total, gradient = 0.0, np.zeros(self.n_params) if want_gradient else None
            for i in range(0, len(X), self._part):
                part = slice(i, i + self._part)
                share = len(X[part]) / len(X)
                loss, found = self._evaluate_part(theta, X[part], y[part], _part_of(weight, part), want_gradient)
                total += share * loss
                if want_gradient:
                    gradient += share * found
        for penalty in self._penalties:
            total += penalty.value(theta)
            gradient = None if gradient is None else gradient + penalty.gradient(theta)
        return total, None if gradient is None else gradient.astype(answer, copy=False)

    def _evaluate_part(self, theta, X, y, weight, want_gradient):
        """(the mean of w_i l_i over some samples, its gradient or None)."""
        inputs = (theta, X, y) if weight is None else (theta, X, y, weight)
        if self._in_kernels and (want_gradient or len(X) <= self._chunk):
            plan = self._planned("gradient" if want_gradient else "value", inputs)
            found, loss = plan.call(inputs), plan.loss
            self._calls.give(plan)
            return loss, found[0] if want_gradient else None
        net = self.net.with_theta(theta)
        if not want_gradient:
            return losses.value(self.loss, net(X), y, weight), None
        output, jac = net.linearize(X)
        loss, v = losses.value_and_gradient(self.loss, output, y, weight)
        return loss, jac.tmv(v, "theta")["theta"]

    def _planned(self, what, inputs):
        """A plan of the loss for other theta, samples and targets like these at each call: of its "value", of its "gradient" as
        well, or of the squared "norms" of the gradients of single samples' shares of it, in `plan.state`."""
        key = key_of(what, inputs, ())
        plan = self._calls.find(key)
        if plan is not None:
            return plan
        theta, X, *rest = inputs
        plan = Plan(theta.dtype.num)
        theta, X = plan.place(*theta.shape), plan.place(*X.shape)
        y, *weight = [np.empty_like(a) for a in rest]
        for a in (y, *weight):
            plan.slot(a)
        net = self.net.with_theta(theta)
        output = plan.empty(len(X), *net.output_shape(X.shape[1:]))
        kept = net._plan_forward(plan, X, output)
        v = None if what == "value" else plan.empty(*output.shape)
        self.loss.plan(plan, output, y, v, *weight)
        if what == "norms":
            plan.state = np.zeros(len(X))
            shapes = {name: a.shape for name, a in net.params.items()}
            net._plan_samples(plan, output, kept, v, {}, Norms(plan, shapes, plan.state))
        elif what == "gradient":
            net._plan_backward(plan, output, kept, v, views(plan.place(*theta.shape), net.params))
        plan.key = key
        plan.settle()
        return plan

    def at(self, theta, batch=None):
        """F at theta, linearized once: a `Linearized` with value, gradient, and products with Hessian and Gauss-Newton matrix,
        which cost a fraction of what they cost at a new theta. Memory is bounded: of large data only some parts are kept."""
        return Linearized(self, theta, batch)

    def hessian_mv(self, theta, v):
        """The Hessian of F times v, exact: second derivatives of the network included (see `Linearized`). The last theta is
        remembered, so the products of one Newton step cost what those of `at(theta)` cost:

        >>> from scipy.optimize import minimize
        >>> X, y = fastlec.datasets.make_blobs(100, 3)
        >>> net = fastlec.Network([fastlec.Dense(2, 8), fastlec.Dense(8, 3, "identity")], rng=0)
        >>> f = fastlec.Objective(net, fastlec.SoftmaxCrossEntropy(), X, y, l2=1e-3)
        >>> found = minimize(f.value_and_gradient, net.theta, jac=True, hessp=f.hessian_mv, method="trust-ncg")
        >>> found.success, bool(abs(found.jac).max() < 1e-4)
        (True, True)
        """
        return self.at(theta).hessian_mv(v)

    def gauss_newton_mv(self, theta, v):
        """J' H J v, J the network's Jacobian by theta and H the loss's Hessian by the output, and l2 times the weights of v: the
        Hessian of F without the second derivatives of the network, positive semidefinite for convex losses. The last theta is
        remembered."""
        return self.at(theta).gauss_newton_mv(v)

    def hessian_operator(self, theta, damping=0.0, *, batch=None, reduction="mean"):
        """The Hessian at theta, plus damping times the identity, as a scipy.sparse.linalg.LinearOperator for minres or eigsh.
        reduction : as of `gauss_newton_matrix`."""
        return self.at(theta, batch).hessian_operator(damping, reduction=reduction)

    def gauss_newton_operator(self, theta, damping=0.0, *, batch=None, reduction="mean"):
        """The Gauss-Newton matrix at theta, plus damping times the identity, as a scipy.sparse.linalg.LinearOperator for cg or
        minres. reduction : as of `gauss_newton_matrix`."""
        return self.at(theta, batch).gauss_newton_operator(damping, reduction=reduction)

    def gauss_newton_matrix(self, theta, batch=None, *, wrt=None, reduction="mean"):
        """The Gauss-Newton matrix at theta, (n_params, n_params): what `gauss_newton_mv` multiplies by. wrt : names of parameters,
        of which rows and columns are wanted, in this order; by default all, in theta's. reduction : "sum" for the sum over samples
        in place of their mean; l2 and priors stay as they are.

        It is a sum over samples of products of small matrices for each pair of layers, and no Jacobian is made. Where samples
        depend on each other, or a layer is one's own, its columns are products. MemoryError above 2 GiB.

        >>> X, y = fastlec.datasets.make_blobs(100, 3)
        >>> net = fastlec.Network([fastlec.Dense(2, 8), fastlec.Dense(8, 3, "identity")], rng=0)
        >>> f = fastlec.Objective(net, fastlec.SoftmaxCrossEntropy(), X, y, l2=1e-3)
        >>> f.gauss_newton_matrix(net.theta).shape, f.gauss_newton_matrix(net.theta, wrt="1.b").shape
        ((51, 51), (3, 3))
        """
        return matrices.gauss_newton_matrix(self, theta, batch, wrt, reduction)

    def gauss_newton_diagonal(self, theta, batch=None, *, wrt=None, reduction="mean"):
        """The diagonal of `gauss_newton_matrix`, (n_params,), without the rest."""
        return matrices.gauss_newton_diagonal(self, theta, batch, wrt, reduction)

    def with_prior(self, L, theta0=None):
        """The objective F(theta) + 1/2 |L (theta - theta0)|^2, of the same network, loss and samples: Tikhonov's regularisation,
        or a Gaussian prior of precision L' L. Value, derivatives, products, residuals and their Jacobian, where L's rows are the
        last, have it; more than one can be added.

        L : (rows, n_params), an array, a SciPy sparse array or a LinearOperator with its transpose; arrays are copied. theta0 :
        (n_params,) or None for zeros. ValueError or TypeError for others.

        >>> import numpy as np
        >>> X, y = fastlec.datasets.make_blobs(100, 3)
        >>> net = fastlec.Network([fastlec.Dense(2, 8), fastlec.Dense(8, 3, "identity")], rng=0)
        >>> f = fastlec.Objective(net, fastlec.SoftmaxCrossEntropy(), X, y)
        >>> bool(np.isclose(f.with_prior(2 * np.eye(51)).value(net.theta), f.value(net.theta) + 2 * net.theta @ net.theta))
        True
        """
        other = copy.copy(self)
        other._penalties = (*self._penalties, Prior(L, theta0, self.n_params))
        return other

    def sample_gradients(self, theta, batch=None):
        """The gradient of each sample's term w_i l_i by theta, (m, n_params), in theta's dtype: F's gradient is their mean, and l2
        times the weights. Weights as those of samples, of mean 1. ValueError where samples depend on each other."""
        theta, answer = self._vector(theta, "theta")
        X, y, weight = self._select(batch)
        found = None
        for part, jac, v in self._sample_terms(theta, X, y, weight):
            gradients = jac.tmv(v, "theta", per_sample=True)["theta"]
            if len(gradients) == len(X):
                return gradients.astype(answer, copy=False)
            found = np.empty((len(X), self.n_params), answer) if found is None else found
            found[part] = gradients
        return found

    def sample_gradient_norms(self, theta, batch=None):
        """The squared norms of `sample_gradients`, (m,) float64, in dense networks without making these."""
        theta, _ = self._vector(theta, "theta")
        X, y, weight = self._select(batch)
        if not (self._in_kernels and self.net._plans_second) or self.net.couples_samples:
            return np.concatenate([jac.sample_norms(v, "theta") for _, jac, v in self._sample_terms(theta, X, y, weight)])
        found = []
        for _, inputs in self._parts_of(theta, X, y, weight):
            plan = self._planned("norms", inputs)
            plan.call(inputs)
            found.append(plan.state * len(plan.state) ** 2)
            self._calls.give(plan)
        return np.concatenate(found)

    def _parts_of(self, theta, X, y, weight):
        """(rows, theta and what belongs to these samples), part by part."""
        for i in range(0, len(X), self._part):
            part = slice(i, i + self._part)
            yield part, (theta, X[part], y[part], *(() if weight is None else (weight[part],)))

    def _sample_terms(self, theta, X, y, weight):
        """(rows, the network's Jacobian there, the gradients of w_i l_i by the outputs), part by part."""
        for part, inputs in self._parts_of(theta, X, y, weight):
            point = self._part_at(inputs)
            yield part, point.jac, point.v * len(point.v)

    def _part_at(self, inputs):
        return (_Planned if self._second_in_kernels else _InPython)(self, inputs)

    def residuals(self, theta):
        """r with F(theta) = ||r||^2 / 2, flat, for scipy.optimize.least_squares; with l2, sqrt(l2) times the weights are its last
        entries. The loss must be MeanSquaredError."""
        net, scale, weigh, answer = self._least_squares(theta)
        r = weigh((net(self.X) - self.y).ravel()) * scale
        r = np.concatenate([r, *(penalty.residuals(net.theta) for penalty in self._penalties)])
        return r.astype(answer, copy=False)

    def jacobian(self, theta):
        """The Jacobian of `residuals` as a LinearOperator, for least_squares(..., jac=f.jacobian, tr_solver="lsmr") or lsmr."""
        from scipy.sparse.linalg import LinearOperator

        net, scale, weigh, answer = self._least_squares(np.array(_check.as_array(theta, "theta")))
        _, jac = net.linearize(self.X)
        J = jac.operator("theta")

        def matvec(v):
            return scale * weigh(J.matvec(np.ravel(v)))

        def rmatvec(u):
            return scale * J.rmatvec(weigh(u))

        if not self._penalties:
            return LinearOperator(J.shape, matvec=matvec, rmatvec=rmatvec, dtype=answer)
        ends = np.cumsum([J.shape[0], *(penalty.rows for penalty in self._penalties)])

        def stacked(v):
            v = np.ravel(v)
            return np.concatenate([matvec(v), *(penalty.forward(v) for penalty in self._penalties)])

        def transposed(u):
            first, *rest = np.split(np.ravel(u), ends[:-1])
            terms = (penalty.transposed(own) for penalty, own in zip(self._penalties, rest, strict=True))
            return (rmatvec(first) + sum(terms)).astype(answer, copy=False)

        return LinearOperator((ends[-1], J.shape[1]), matvec=stacked, rmatvec=transposed, dtype=answer)

    def _least_squares(self, theta):
        """(the network at theta, the scale of residuals, what multiplies them by the roots of weights, the answer's dtype)."""
        if not hasattr(self.loss, "residual_scale"):
            raise ValueError(f"loss is {_check.shown(self.loss)}; expected MeanSquaredError(), whose F is a sum of squares")
        theta, answer = self._vector(theta, "theta")
        weight, root = self.sample_weight, None
        if weight is not None:
            root = np.sqrt(weight).astype(self.dtype).repeat(self.y.size // len(weight))
        net, scale = self.net.with_theta(theta), self.loss.residual_scale(self.y.size)
        return net, scale, lambda r: r if root is None else root * np.ravel(r), answer

    def _select(self, batch):
        """Samples, targets and weights, of mean 1 in the batch."""
        if batch is None:
            return self.X, self.y, self.sample_weight
        X, y = _check.batch(self.X, self.y, batch)
        weight = self.sample_weight
        if weight is not None:
            weight = _check.mean_weights(weight[batch], len(X), "sample_weight[batch]")
        return np.ascontiguousarray(X), np.ascontiguousarray(y), weight

    def _vector(self, v, name):
        return _check.vector(v, self.n_params, self.dtype, name, "all parameters of the network")


def _part_of(weight, part):
    return None if weight is None else weight[part]
