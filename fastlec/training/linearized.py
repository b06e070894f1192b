"""A network's loss at one theta: its value and gradient, and products with its Hessian and the Gauss-Newton matrix.

With J the network's Jacobian by theta, g the loss's gradient by the output and H its Hessian, the Hessian of F times v is

    J' H J v + the derivative of J' g along v with g held fixed

The first term alone is the Gauss-Newton product. The second is what comes back through the network, derived along v, layer by layer
(Pearlmutter 1994, "Fast exact multiplication by the Hessian").
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .. import _check
from .._comm import watched
from .._kernels.calls import Calls, key_of, same, settings
from .._kernels.plan import Plan
from ..layers.jacobian import Held, chunks
from ..layers.parameters import views
from . import losses, matrices

if TYPE_CHECKING:
    from scipy.sparse.linalg import LinearOperator

    from .._typing import ArrayLike, Batch, FloatArray
    from .matrices import Reduction
    from .objective import Objective

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
        kept, v = net._plan_forward(plan, X, output), plan.empty(*output.shape)
        f.loss._plan(plan, output, y, v, *weight)
        adjoint = net._plan_adjoint(plan, output, kept, v, {}, tuple(net.params))
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
        jac = self.at.net._jacobian_of(self.at.inputs[1], self.at.output, self.at.kept)
        vars(jac).update(_calls=self.at.calls)
        return jac

    def gradient(self):
        at = self.at
        theta = at.inputs[0]

        def add(plan, gradient):
            at.net._plan_backward(plan, at.output, at.kept, at.v, views(gradient, at.net.params))

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
                    tangent = at.net._plan_tangent(plan, at.kept, along, dy)
                else:
                    at.net._plan_mv(plan, at.kept, along, dy)
                self.loss_function._plan_hessian_mv(plan, at.output, y, dy, dv, *weight)
                if exact:
                    at.net._plan_curved(plan, at.output, at.kept, at.adjoint, tangent, dv, results)
                else:
                    at.net._plan_backward(plan, at.output, at.kept, dv, results)

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
    """An `Objective` at one theta, linearized once: value, gradient, and products with second derivatives.

    All products are exact but for rounding, and know weights, l2 and priors. What is written into theta, samples or the network's
    buffers later changes nothing here. Large data is kept in part: the rest is computed anew for each product, from the samples and
    buffers as they are then.

    Parameters
    ----------
    objective : Objective
        F; `Objective.at` makes this object.
    theta : array_like, shape (n_params,)
        Parameters of the network; copied.
    batch : slice or array of int, optional
        Samples to average over.

    Attributes
    ----------
    theta : ndarray, shape (n_params,)
        The parameters, read-only.
    value : float
        F(theta).

    See Also
    --------
    fastlec.Objective, fastlec.curvature.extreme_eigenvalues

    Examples
    --------
    >>> from scipy.sparse.linalg import cg
    >>> X, y = fastlec.datasets.make_blobs(100, 3)
    >>> net = fastlec.Network([fastlec.Dense(2, 8), fastlec.Dense(8, 3, "identity")], rng=0)
    >>> f = fastlec.Objective(net, fastlec.SoftmaxCrossEntropy(), X, y, l2=0.01)
    >>> at = f.at(net.theta)
    >>> at
    <Linearized objective: value 1.11973, 51 parameters>
    >>> step, _ = cg(at.gauss_newton_operator(damping=0.01), -at.gradient)
    >>> f.value(net.theta + step) < at.value
    True
    """

    def __init__(self, objective: Objective, theta: ArrayLike, batch: Batch = None) -> None:
        f = self._f = objective
        theta, self._answer = f._vector(theta, "theta")
        self.theta: FloatArray = theta.copy()
        self.theta.flags.writeable = False
        self._samples = f._select(batch)
        self._points, kept = [], 0
        self.value: float = 0.0
        for part, inputs in f._parts_of(self.theta, *self._samples):
            point = f._part_at(inputs)
            self.value += len(inputs[1]) / self.n_samples * point.value
            kept += point.n_bytes
            self._points.append(point if kept <= KEPT_BYTES or not part.start else None)
        self.value += sum(penalty.value(self.theta) for penalty in f._penalties)
        self._group, self._batch = f._group, batch
        (self.value,) = f._joined(batch, self.value, theta=self.theta)

    @functools.cached_property
    def gradient(self) -> FloatArray:
        """Gradient of F, (n_params,), read-only, in theta's dtype."""
        total = self._sum(lambda point: point.gradient())
        for penalty in self._f._penalties:
            total = total + penalty.gradient(self.theta)
        total = self._joined(total).astype(self._answer, copy=False)
        total.flags.writeable = False  # it is kept
        return total

    @property
    def n_samples(self) -> int:
        """How many samples the mean is of."""
        return len(self._samples[0])

    def _sum(self, term):
        """The mean of what is computed of the parts, each by its share of the samples."""
        if len(self._points) == 1:
            return term(self._points[0])
        total = 0.0
        for point, (_, inputs) in zip(self._points, self._f._parts_of(self.theta, *self._samples), strict=True):
            share = len(inputs[1]) / self.n_samples
            total = total + share * term(point or self._f._part_at(inputs)).astype(np.float64)
        return total

    def hessian_mv(self, v: ArrayLike) -> FloatArray:
        """Hessian of F times v, exact: second derivatives of the network included.

        Of layers of your own it is as `Jacobian.hessian_mv` says.

        Parameters
        ----------
        v : array_like, shape (n_params,)
            Direction.

        Returns
        -------
        ndarray, shape (n_params,)
            The product, in theta's dtype.

        Raises
        ------
        TypeError
            The loss has no hessian_mv.
        """
        return self._product(True, v)

    def gauss_newton_mv(self, v: ArrayLike) -> FloatArray:
        """Gauss-Newton matrix times v: J' H J v, and l2 times the weights of v.

        It is the Hessian without the second derivatives of the network, positive semidefinite for convex losses.

        Parameters
        ----------
        v : array_like, shape (n_params,)
            Direction.

        Returns
        -------
        ndarray, shape (n_params,)
            The product, in theta's dtype.

        Raises
        ------
        TypeError
            The loss has no hessian_mv.
        """
        return self._product(False, v)

    def hessian_operator(self, damping: float = 0.0, *, reduction: Reduction = "mean") -> LinearOperator:
        """Hessian, plus damping times the identity.

        Parameters
        ----------
        damping : float
            What is added to the diagonal, >= 0.
        reduction : {"mean", "sum"}
            Whether the loss is the mean over samples or their sum; l2 and priors stay as they are.

        Returns
        -------
        scipy.sparse.linalg.LinearOperator
            The operator, which multiplies matrices, too.
        """
        return self._operator(True, "Hessian", damping, reduction)

    def gauss_newton_operator(self, damping: float = 0.0, *, reduction: Reduction = "mean") -> LinearOperator:
        """Gauss-Newton matrix, plus damping times the identity.

        Parameters
        ----------
        damping : float
            What is added to the diagonal, >= 0.
        reduction : {"mean", "sum"}
            Whether the loss is the mean over samples or their sum; l2 and priors stay as they are.

        Returns
        -------
        scipy.sparse.linalg.LinearOperator
            The operator, which multiplies matrices, too.
        """
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

    def __repr__(self) -> str:
        return f"<{type(self).__name__} objective: value {self.value:.6g}, {len(self.theta)} parameters>"
