"""A network's loss at one theta: its value and gradient, and products with its Hessian and the Gauss-Newton matrix.

With J the network's Jacobian by theta, g the loss's gradient by the output and H its Hessian, the Hessian of F times v is

    J' H J v + the derivative of J' g along v with g held fixed

The first term alone is the Gauss-Newton product. The second is what comes back through the network, derived along v, layer by layer
(Pearlmutter 1994, "Fast exact multiplication by the Hessian").
"""

import functools
from typing import NamedTuple

import numpy as np

from .. import _check
from .._comm import watched
from .._kernels.calls import Calls, key_of, same, settings
from .._kernels.plan import Plan
from ..layers.jacobian import Held, chunks
from ..layers.parameters import views
from . import losses, matrices

KEPT_BYTES = 1 << 28  # of the parts of the data that are kept at a theta; the others are computed anew for each product


class _Planned:
    """A part of the data at a theta, all in kernels. What is computed lies in a plan, which is used for another part, or at another
    theta, when nobody uses it any more."""

    class Point(NamedTuple):
        net: object
        inputs: tuple  # theta, X, y and weights: copies
        current: tuple  # these and the buffers, of which all follows
        output: np.ndarray
        kept: object
        v: np.ndarray  # the loss's gradient by the output
        adjoint: object
        calls: Calls

    def __init__(self, f, inputs):
        key = key_of("at", inputs, ())
        plan = f._points.find(key)
        current = (*inputs, *f.net.buffers.values())
        known = plan is not None and all(map(same, plan.state.current, current))
        if not known:
            plan = plan or self._new(f, inputs, key)
            for own, a in zip(plan.state.current, current, strict=True):
                np.copyto(own, a)
            plan.value = plan.run()
        self.loss_function, self.at, self.value, self.n_bytes = f.loss, plan.state, plan.value, plan.n_bytes
        self._held = Held(f._points, plan)

    @staticmethod
    def _new(f, inputs, key):
        theta, X, y, *weight = map(np.empty_like, inputs)
        plan = Plan(theta.dtype.num)
        net = f.net._bound_to(theta, own=True)
        output = plan.empty(len(X), *net.output_shape(X.shape[1:]))
        kept, v = net.plan_forward(plan, X, output), plan.empty(*output.shape)
        f.loss.plan(plan, output, y, v, *weight)
        adjoint = net.plan_adjoint(plan, output, kept, v, {}, tuple(net.params))
        plan.key = key
        inputs, calls = (theta, X, y, *weight), Calls(4, 1 << 26)
        plan.state = _Planned.Point(net, inputs, (*inputs, *net.buffers.values()), output, kept, v, adjoint, calls)
        return plan

    @property
    def v(self):
        return self.at.v

    @property
    def jac(self):
        """The network's Jacobian, to be used while the point is."""
        jac = self.at.net.jacobian(self.at.inputs[1], self.at.output, self.at.kept)
        vars(jac).update(_calls=self.at.calls)
        return jac

    def gradient(self):
        at = self.at
        theta = at.inputs[0]

        def add(plan, gradient):
            at.net.plan_backward(plan, at.output, at.kept, at.v, views(gradient, at.net.params))

        return at.calls.results(key_of("gradient", (), ()), theta.dtype.num, (), (theta.shape,), (None,), add)[0]

    def product(self, exact, V):
        """The products (k, n) with the rows of V (k, n)."""
        found = self.at.calls.call(("product", exact, len(V), settings()), (V,))
        if found is not None:
            return found[0]
        at = self.at
        _, _, y, *weight = at.inputs

        def add(plan, v, product):
            for row, out in zip(v, product, strict=True):
                along, results, dy = views(row, at.net.params), views(out, at.net.params), plan.empty(*at.output.shape)
                dv = plan.empty(*dy.shape)
                if exact:
                    tangent = at.net.plan_tangent(plan, at.kept, along, dy)
                else:
                    at.net.plan_mv(plan, at.kept, along, dy)
                self.loss_function.plan_hessian_mv(plan, at.output, y, dy, dv, *weight)
                if exact:
                    at.net.plan_curved(plan, at.output, at.kept, at.adjoint, tangent, dv, results)
                else:
                    at.net.plan_backward(plan, at.output, at.kept, dv, results)

        found = Plan(V.dtype.num).empty(*V.shape)
        for part in chunks(len(V), self.n_bytes):
            key, out = ("product", exact, len(found[part]), settings()), found[part]
            at.calls.results(key, V.dtype.num, (V[part],), (out.shape,), (out,), add)
        return found


class _InPython:
    """The same where a layer or the loss is the user's own."""

    n_bytes = 0

    def __init__(self, f, inputs):
        theta, X, y, *weight = inputs
        self.loss_function, self.y, self.weight = f.loss, y, weight[0] if weight else None
        self.output, self.jac = f.net._bound_to(theta.copy(), own=True).linearize(X.copy())
        self.value, self.v = losses.value_and_gradient(f.loss, self.output, y, self.weight)

    def gradient(self):
        return self.jac.tmv(self.v, "theta")["theta"]

    def product(self, exact, V):
        found = np.empty_like(V)
        for v, out in zip(V, found, strict=True):
            moved = losses.hessian_mv(self.loss_function, self.output, self.y, self.jac.mv(theta=v), self.weight)
            out[...] = self.jac.tmv(moved, "theta")["theta"]
            if exact:
                out += self.jac.hessian_mv(self.v, "theta", theta=v)["theta"]
        return found


class Linearized:
    """F at theta, linearized once: what `Objective.at` gives.

    theta : a copy. value : F(theta), a float. gradient : that of F, as long as theta. All products are exact but for rounding, and
    know weights and l2; what is written into theta, samples or the network's buffers later changes nothing here. Large data is kept
    in part: the rest is computed anew for each product, from the samples and buffers as they are then.

    >>> import numpy as np
    >>> X, y = fastlec.datasets.make_blobs(100, 3)
    >>> net = fastlec.Network([fastlec.Dense(2, 8), fastlec.Dense(8, 3, "identity")], rng=0)
    >>> at = fastlec.Objective(net, fastlec.SoftmaxCrossEntropy(), X, y, l2=0.01).at(net.theta)
    >>> step = np.linalg.lstsq(at.hessian_operator() @ np.eye(net.n_params), -at.gradient)[0]
    >>> step.shape, bool(at.hessian_mv(step).dot(step) < 1e3)
    ((51,), True)
    """

    def __init__(self, objective, theta, batch=None):
        f = self._f = objective
        theta, self._answer = f._vector(theta, "theta")
        self.theta = theta.copy()
        self.theta.flags.writeable = False
        X, y, weight = f._select(batch)
        self._parts, self.value, kept = [], 0.0, 0
        for part, inputs in f._parts_of(self.theta, X, y, weight):
            share, point = len(inputs[1]) / len(X), f._part_at(inputs)
            self.value += share * point.value
            kept += point.n_bytes
            self._parts.append((share, inputs, point if kept <= KEPT_BYTES or not part.start else None))
        self.value += sum(penalty.value(self.theta) for penalty in f._penalties)
        self._group, self._batch = f._group, batch
        (self.value,) = f._joined(batch, self.value, theta=self.theta)

    @functools.cached_property
    def gradient(self):
        """The gradient of F, as long as theta, read-only."""
        total = self._sum(lambda point: point.gradient())
        for penalty in self._f._penalties:
            total = total + penalty.gradient(self.theta)
        total = self._joined(total).astype(self._answer, copy=False)
        total.flags.writeable = False  # it is kept
        return total

    def _sum(self, term):
        """The mean of what is computed of the parts, each by its share of the samples."""
        if len(self._parts) == 1:
            return term(self._parts[0][2])
        total = 0.0
        for share, inputs, point in self._parts:
            total = total + share * term(point or self._f._part_at(inputs)).astype(np.float64)
        return total

    def hessian_mv(self, v):
        """The Hessian of F times v: exact, second derivatives of the network included. Of layers of one's own as
        `Jacobian.hessian_mv` says. TypeError where the loss has no hessian_mv."""
        return self._product(True, v)

    def gauss_newton_mv(self, v):
        """J' H J v, and l2 times the weights of v: the Hessian without the second derivatives of the network, positive semidefinite
        for convex losses."""
        return self._product(False, v)

    def hessian_operator(self, damping=0.0, *, reduction="mean"):
        """The Hessian, plus damping times the identity, as a scipy.sparse.linalg.LinearOperator, which multiplies matrices too.
        reduction : "sum" for the sum over samples in place of their mean; l2 and priors stay as they are."""
        return self._operator(True, "Hessian", damping, reduction)

    def gauss_newton_operator(self, damping=0.0, *, reduction="mean"):
        """The Gauss-Newton matrix likewise."""
        return self._operator(False, "Gauss-Newton matrix", damping, reduction)

    def _operator(self, exact, name, damping, reduction):
        from .. import _operator

        n, times = self._f.n_params, 1
        if _check.choice(reduction, matrices.REDUCTIONS, "reduction") == "sum":
            times = self._f._count(self._batch)

        def many(V):
            return self._products(exact, V, times)

        operator = _operator.Operator((n, n), self._answer, lambda v: many(v[None])[0], many=many, name=name)
        return _operator.identity_plus(operator, damping)

    def _product(self, exact, v):
        v, _ = self._f._vector(v, "v")
        return self._products(exact, v[None])[0]

    def _products(self, exact, V, times=1):
        """(k, n), of the rows of V; times : what the mean over samples is multiplied by."""
        f = self._f
        if not hasattr(f.loss, "hessian_mv"):
            what = "Hessian" if exact else "Gauss-Newton"
            raise TypeError(f"loss is a {type(f.loss).__name__}, which has no hessian_mv; {what} products need it")
        V = np.ascontiguousarray(V, f.dtype)
        total = times * self._sum(lambda point: point.product(exact, V))
        for penalty in f._penalties:
            total = total + penalty.mv(V)
        return self._joined(total).astype(self._answer, copy=False)

    @watched
    def _joined(self, a):
        return self._f._joined(self._batch, a)[0]

    def __repr__(self):
        return f"<{type(self).__name__} objective: value {self.value:.6g}, {len(self.theta)} parameters>"
