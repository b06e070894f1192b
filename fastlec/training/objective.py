"""A network's loss over a data set as a function of theta, ready for scipy.optimize (lecture eq. 18 and 19, chapter 4).

    F(theta) = loss(f(theta, X), y) + l2/2 ||weights||^2,  the loss being sum_i w_i l_i / sum_i w_i

Large data is gone over in parts, so that memory does not grow with it; each part adds its gradient to the sum in order.
"""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING, overload

import numpy as np

from .. import _check
from .._comm import on_ranks, together, watched
from .._fixed import Settled
from .._kernels.calls import Calls, key_of
from .._kernels.plan import Plan
from .._stream import Stream, parts, streamed
from ..layers._samples import Norms
from ..network import Network, views
from ..network.forward import chunk_size
from . import losses, matrices
from .linearized import Linearized, _InPython, _Planned
from .penalties import Prior, Ridge

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Self

    from scipy.sparse.linalg import LinearOperator

    from .._comm import Communicator
    from .._typing import ArrayLike, Batch, F, FloatArray, Loss, NDArray
    from .matrices import Reduction
    from .penalties import Linear

PART_VALUES = 1 << 22  # values of all layers for the samples of one part
MOST_PLANS = 8  # of batches of other sizes, and with or without gradient, that are kept for the next call
PLAN_BYTES = 1 << 26  # what they may hold


class Objective:
    """A network's loss over a data set, F(theta), with its derivatives (lecture eq. 18 and 19).

    It is a weighted mean and a penalty::

        F(theta) = sum_i w_i l_i / sum_i w_i + l2/2 ||weights||^2

    l_i is the loss of sample i under the network with parameters theta. ``scipy.optimize`` takes the methods as they are.

    Parameters
    ----------
    net : Network
        Its parameters are the argument theta; it is never changed.
    loss : Loss
        `SoftmaxCrossEntropy`, `MeanSquaredError` or another; or your own, as `fit` takes it.
    X : array_like or Stream, shape (m, ...)
        Samples. Read in place where that can be done, so what is written into it later takes effect. Or a `fastlec.data.Stream`, or
        what one is made of, which every call reads block by block.
    y : array_like, shape (m,) or (m, k)
        Targets, as the loss takes them; copied, and read-only. None where the stream has them.
    l2 : float
        Weight decay, >= 0, of the parameters of two axes or more. Biases, and what scales and shifts in normalisations, are not
        penalised. It is part of all derivatives, products and residuals. A batch's mean has the whole penalty.
    sample_weight : array_like, shape (m,), optional
        Weights w of the samples, finite, >= 0, not all 0; by default ones. Copied, times what makes their mean 1.

    comm : Communicator, optional
        The processes whose samples F is the mean of, as of `fit`. See Notes.

    Raises
    ------
    ValueError or TypeError
        An argument does not fit; TypeError also where there are weights and the loss is your own and takes no sample_weight.

    See Also
    --------
    fastlec.fit, fastlec.gauss_newton, fastlec.curvature.laplace

    Notes
    -----
    Methods compute in the network's dtype and return arrays in theta's: float64 for ``scipy.optimize``. Their argument batch, an
    array of indices or a slice, restricts the mean to those samples. Attributes are the arguments, by their names, and cannot be
    assigned: to make another Objective costs next to nothing. Memory is bounded: large data is gone over in parts.

    With comm, F, its derivatives and products are those of the samples of all ranks, with the same bits on every rank: an optimizer
    that runs on all of them takes the same steps. Every rank calls the same methods in the same order, with the same theta (else
    ValueError). A batch is of a rank's own samples, and so is what belongs to single samples. RankError where another rank has
    failed.

    Examples
    --------
    >>> from scipy.optimize import minimize
    >>> X, y = fastlec.data.load_digits()
    >>> net = fastlec.Network([fastlec.Dense(64, 10, "identity")], rng=0)
    >>> f = fastlec.Objective(net, fastlec.SoftmaxCrossEntropy(), X, y)
    >>> f
    <Objective: SoftmaxCrossEntropy() of 1797 samples, 650 parameters in float64>
    >>> found = minimize(f.value_and_gradient, net.theta, jac=True, method="L-BFGS-B", options={"maxiter": 20})
    >>> found.fun < f.value(net.theta) / 10
    True
    """

    net: Network
    loss: Loss
    X: FloatArray
    y: NDArray[Any]
    sample_weight: NDArray[np.float64] | None
    l2: float
    net, loss, X, y, sample_weight, l2 = (Settled("make a new Objective") for _ in range(6))

    @on_ranks
    def __init__(
        self,
        net: Network,
        loss: Loss,
        X: ArrayLike | Stream,
        y: ArrayLike | None,
        *,
        l2: float = 0.0,
        sample_weight: ArrayLike | None = None,
        comm: Communicator | None = None,
    ) -> None:
        if not isinstance(net, Network):
            raise TypeError(f"net is a {type(net).__name__}; expected a Network")
        _check.loss(loss)
        self.net, self.loss, self.l2 = net, loss, _check.non_negative(l2, "l2")
        weights = [np.full(a.size, a.ndim > 1) for a in net.params.values()]
        self._penalties = (Ridge(self.l2, np.concatenate(weights)),) if self.l2 and weights else ()
        X, y = streamed(X, y)
        if isinstance(X, Stream):
            self.X = X.astype(net.theta.dtype)
        else:
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
        self._group, given = comm, sample_weight
        sample_weight = losses.mean_weights(loss, self.y, len(self.X), sample_weight)
        if sample_weight is not None:
            losses.check_weighted(loss)
            sample_weight.flags.writeable = False
        self.sample_weight = sample_weight
        kernels = all(losses.in_kernels(loss, "_plan", name) for name in ("value", "value_and_gradient"))
        self._in_kernels = kernels and net._planned and 0 not in shape
        second = losses.in_kernels(loss, "_plan_hessian_mv", "hessian_mv") and hasattr(loss, "_plan_hessian_mv")
        self._second_in_kernels = self._in_kernels and second and net._plans_second
        values = math.prod(self.X.shape[1:]) + net._kept_values(self.X.shape[1:])
        if net.couples_samples and isinstance(self.X, Stream):
            raise ValueError("X is a Stream, and samples depend on each other in net; expected all of X in memory")
        self._part = len(self.X) if net.couples_samples else max(PART_VALUES // max(values, 1), 64)
        self._chunk = chunk_size(net, self.X.shape[1:])
        self._calls, self._points = Calls(MOST_PLANS, PLAN_BYTES), Calls(MOST_PLANS, PLAN_BYTES)
        losses.warn_if_bounded(net, loss)
        if comm is not None:
            self._join(given)

    def _join(self, sample_weight):
        """The ranks' parts of the mean. sample_weight : as given."""
        group, mask = self._group, losses.counted(self.loss, self.y)
        settings = {"net": repr(self.net), "loss": repr(self.loss), "l2": self.l2, "a sample's shape": self.X.shape[1:]}
        group.agree(settings)
        if self.net.couples_samples and group.size > 1:
            text = "net has layers in which samples depend on each other, and so on other ranks' samples"
            raise together(ValueError(f"{text}; expected net(x)'s form, not that in training"))
        self._scale = 1.0 if self.sample_weight is None else losses.mean_of(sample_weight, mask, len(self.X))
        self._most = max(group.gather(self._scale))

    def _joined(self, batch, *values, theta=None):
        """What this rank has found of its samples, as a list: with comm the means over all ranks."""
        if self._group is None:
            return list(values)
        if self.sample_weight is None:
            weight = len(self._select(batch)[0])
        else:
            weight = (self.sample_weight if batch is None else self.sample_weight[batch]).sum()
        return self._group.mean(weight * (self._scale / self._most), *values, theta=theta)

    def _count(self, batch=None):
        """How many samples there are, on all ranks."""
        count = len(self._select(batch)[0])
        return count if self._group is None else int(self._group.sum(np.array([count]))[0])

    @property
    def dtype(self) -> np.dtype[np.floating[Any]]:
        """Dtype of the network: what is computed in."""
        return self.net.theta.dtype

    @property
    def n_params(self) -> int:
        """Length of theta."""
        return self.net.n_params

    @property
    def n_samples(self) -> int:
        """Number of samples, m."""
        return len(self.X)

    def value(self, theta: ArrayLike, batch: Batch = None) -> float:
        """F at theta.

        Parameters
        ----------
        theta : array_like, shape (n_params,)
            Parameters of the network, flat.
        batch : slice or array of int, optional
            Samples to average over.

        Returns
        -------
        float
            F(theta).
        """
        return self._evaluate(theta, batch, False)[0]

    @overload
    def gradient(self, theta: NDArray[F], batch: Batch = None) -> NDArray[F]: ...
    @overload
    def gradient(self, theta: ArrayLike, batch: Batch = None) -> FloatArray: ...
    def gradient(self, theta: ArrayLike, batch: Batch = None) -> FloatArray:
        """Gradient of F, by back-propagation.

        Parameters
        ----------
        theta : array_like, shape (n_params,)
            Parameters of the network, flat.
        batch : slice or array of int, optional
            Samples to average over.

        Returns
        -------
        ndarray, shape (n_params,)
            The gradient, in theta's dtype.
        """
        return self.value_and_gradient(theta, batch)[1]

    @overload
    def value_and_gradient(self, theta: NDArray[F], batch: Batch = None) -> tuple[float, NDArray[F]]: ...
    @overload
    def value_and_gradient(self, theta: ArrayLike, batch: Batch = None) -> tuple[float, FloatArray]: ...
    def value_and_gradient(self, theta: ArrayLike, batch: Batch = None) -> tuple[float, FloatArray]:
        """F and its gradient, by one forward and one backward pass.

        Parameters
        ----------
        theta : array_like, shape (n_params,)
            Parameters of the network, flat.
        batch : slice or array of int, optional
            Samples to average over.

        Returns
        -------
        value : float
            F(theta).
        gradient : ndarray, shape (n_params,)
            Its gradient, in theta's dtype.
        """
        return self._evaluate(theta, batch, True)

    def __repr__(self) -> str:
        more = f", l2 {self.l2:g}" if self.l2 else ""
        return f"<Objective: {self.loss!r} of {self.n_samples} samples{more}, {self.n_params} parameters in {self.dtype}>"

    @watched
    def _evaluate(self, theta, batch, want_gradient):
        theta, answer = self._vector(theta, "theta")
        X, y, weight = self._select(batch)
        if len(X) <= self._part and not isinstance(X, Stream):
            total, gradient = self._evaluate_part(theta, X, y, weight, want_gradient)
        else:
            total, gradient = 0.0, np.zeros(self.n_params) if want_gradient else None
            for part, here in parts(X, self._part):
                share = len(here) / len(X)
                loss, found = self._evaluate_part(theta, here, y[part], _part_of(weight, part), want_gradient)
                total += share * loss
                if want_gradient:
                    gradient += share * found
        for penalty in self._penalties:
            total += penalty.value(theta)
            gradient = None if gradient is None else gradient + penalty.gradient(theta)
        if gradient is None:
            return self._joined(batch, total, theta=theta)[0], None
        total, gradient = self._joined(batch, total, gradient, theta=theta)
        return total, gradient.astype(answer, copy=False)

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
        self.loss._plan(plan, output, y, v, *weight)
        if what == "norms":
            plan.state = np.zeros(len(X))
            shapes = {name: a.shape for name, a in net.params.items()}
            net._plan_samples(plan, output, kept, v, {}, Norms(plan, shapes, plan.state))
        elif what == "gradient":
            net._plan_backward(plan, output, kept, v, views(plan.place(*theta.shape), net.params))
        plan.key = key
        plan.settle()
        return plan

    def at(self, theta: ArrayLike, batch: Batch = None) -> Linearized:
        """F linearized at theta: products with Hessian and Gauss-Newton matrix then cost a fraction.

        Parameters
        ----------
        theta : array_like, shape (n_params,)
            Parameters of the network, flat.
        batch : slice or array of int, optional
            Samples to average over.

        Returns
        -------
        Linearized
            Value, gradient and products at theta. Memory is bounded: of large data some parts alone are kept.
        """
        return Linearized(self, theta, batch)

    @overload
    def hessian_mv(self, theta: NDArray[F], v: ArrayLike) -> NDArray[F]: ...
    @overload
    def hessian_mv(self, theta: ArrayLike, v: ArrayLike) -> FloatArray: ...
    def hessian_mv(self, theta: ArrayLike, v: ArrayLike) -> FloatArray:
        """Hessian of F at theta times v, exact: second derivatives of the network included.

        Parameters
        ----------
        theta : array_like, shape (n_params,)
            Parameters of the network. The last ones are remembered, so that the products of one Newton step cost what those of
            ``at(theta)`` cost.
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

        Examples
        --------
        >>> from scipy.optimize import minimize
        >>> X, y = fastlec.datasets.make_blobs(100, 3)
        >>> net = fastlec.Network([fastlec.Dense(2, 8), fastlec.Dense(8, 3, "identity")], rng=0)
        >>> f = fastlec.Objective(net, fastlec.SoftmaxCrossEntropy(), X, y, l2=1e-3)
        >>> found = minimize(f.value_and_gradient, net.theta, jac=True, hessp=f.hessian_mv, method="trust-ncg")
        >>> found.success, bool(abs(found.jac).max() < 1e-4)
        (True, True)
        """
        return self.at(theta).hessian_mv(v)

    @overload
    def gauss_newton_mv(self, theta: NDArray[F], v: ArrayLike) -> NDArray[F]: ...
    @overload
    def gauss_newton_mv(self, theta: ArrayLike, v: ArrayLike) -> FloatArray: ...
    def gauss_newton_mv(self, theta: ArrayLike, v: ArrayLike) -> FloatArray:
        """Gauss-Newton matrix at theta times v: J' H J v, and l2 times the weights of v.

        J is the network's Jacobian by theta, H the loss's Hessian by the outputs. It is the Hessian of F without the second
        derivatives of the network, positive semidefinite for convex losses.

        Parameters
        ----------
        theta : array_like, shape (n_params,)
            Parameters of the network. The last ones are remembered.
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
        return self.at(theta).gauss_newton_mv(v)

    def hessian_operator(
        self, theta: ArrayLike, damping: float = 0.0, *, batch: Batch = None, reduction: Reduction = "mean"
    ) -> LinearOperator:
        """Hessian at theta, plus damping times the identity, for ``minres`` or ``eigsh``.

        Parameters
        ----------
        theta : array_like, shape (n_params,)
            Parameters of the network.
        damping : float
            What is added to the diagonal, >= 0.
        batch : slice or array of int, optional
            Samples to average over.
        reduction : {"mean", "sum"}
            Whether the loss is the mean over samples or their sum; l2 and priors stay as they are.

        Returns
        -------
        scipy.sparse.linalg.LinearOperator
            The operator, which multiplies matrices, too.
        """
        return self.at(theta, batch).hessian_operator(damping, reduction=reduction)

    def gauss_newton_operator(
        self, theta: ArrayLike, damping: float = 0.0, *, batch: Batch = None, reduction: Reduction = "mean"
    ) -> LinearOperator:
        """Gauss-Newton matrix at theta, plus damping times the identity, for ``cg`` or ``minres``.

        Parameters
        ----------
        theta : array_like, shape (n_params,)
            Parameters of the network.
        damping : float
            What is added to the diagonal, >= 0.
        batch : slice or array of int, optional
            Samples to average over.
        reduction : {"mean", "sum"}
            Whether the loss is the mean over samples or their sum; l2 and priors stay as they are.

        Returns
        -------
        scipy.sparse.linalg.LinearOperator
            The operator, which multiplies matrices, too.
        """
        return self.at(theta, batch).gauss_newton_operator(damping, reduction=reduction)

    def gauss_newton_matrix(
        self, theta: ArrayLike, batch: Batch = None, *, wrt: str | Sequence[str] | None = None, reduction: Reduction = "mean"
    ) -> FloatArray:
        """Gauss-Newton matrix at theta: what `gauss_newton_mv` multiplies by.

        Parameters
        ----------
        theta : array_like, shape (n_params,)
            Parameters of the network.
        batch : slice or array of int, optional
            Samples to average over.
        wrt : str or sequence of str, optional
            Names of parameters whose rows and columns are wanted, in this order; by default all, in theta's.
        reduction : {"mean", "sum"}
            Whether the loss is the mean over samples or their sum; l2 and priors stay as they are.

        Returns
        -------
        ndarray, shape (n, n)
            The matrix.

        Raises
        ------
        MemoryError
            The matrix is larger than 2 GiB.

        Notes
        -----
        It is a sum over samples of products of small matrices for each pair of layers; no Jacobian is made. Where samples depend on
        each other, or a layer is your own, its columns are products.

        Examples
        --------
        >>> X, y = fastlec.datasets.make_blobs(100, 3)
        >>> net = fastlec.Network([fastlec.Dense(2, 8), fastlec.Dense(8, 3, "identity")], rng=0)
        >>> f = fastlec.Objective(net, fastlec.SoftmaxCrossEntropy(), X, y, l2=1e-3)
        >>> f.gauss_newton_matrix(net.theta).shape, f.gauss_newton_matrix(net.theta, wrt="1.b").shape
        ((51, 51), (3, 3))
        """
        return matrices.gauss_newton_matrix(self, theta, batch, wrt, reduction)

    def gauss_newton_diagonal(
        self, theta: ArrayLike, batch: Batch = None, *, wrt: str | Sequence[str] | None = None, reduction: Reduction = "mean"
    ) -> FloatArray:
        """Diagonal of `gauss_newton_matrix`, without the rest.

        Parameters
        ----------
        theta : array_like, shape (n_params,)
            Parameters of the network.
        batch : slice or array of int, optional
            Samples to average over.
        wrt : str or sequence of str, optional
            Names of parameters that are wanted, in this order; by default all, in theta's.
        reduction : {"mean", "sum"}
            Whether the loss is the mean over samples or their sum; l2 and priors stay as they are.

        Returns
        -------
        ndarray, shape (n,)
            The diagonal.
        """
        return matrices.gauss_newton_diagonal(self, theta, batch, wrt, reduction)

    def with_prior(self, L: ArrayLike | Linear, theta0: ArrayLike | None = None) -> Self:
        """Objective ``F(theta) + 1/2 |L (theta - theta0)|^2``: Tikhonov's regularisation.

        It is also a Gaussian prior of precision L' L. Value, derivatives, products, residuals and their Jacobian, of which L's rows
        are the last, have it; more than one can be added.

        Parameters
        ----------
        L : array_like, SciPy sparse array or LinearOperator, shape (rows, n_params)
            Linear map; an operator has its transpose, too. Arrays are copied.
        theta0 : array_like, shape (n_params,), optional
            Centre; by default zeros.

        Returns
        -------
        Objective
            Another one, of the same network, loss and samples.

        Raises
        ------
        ValueError or TypeError
            An argument does not fit.

        Examples
        --------
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

    def sample_gradients(self, theta: ArrayLike, batch: Batch = None) -> FloatArray:
        """Gradient of each sample's term w_i l_i.

        F's gradient is their mean, plus l2 times the weights.

        Parameters
        ----------
        theta : array_like, shape (n_params,)
            Parameters of the network.
        batch : slice or array of int, optional
            Samples.

        Returns
        -------
        ndarray, shape (m, n_params)
            The gradients, in theta's dtype; w has mean 1.

        Raises
        ------
        ValueError
            Samples depend on each other.
        """
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

    def sample_gradient_norms(self, theta: ArrayLike, batch: Batch = None) -> NDArray[np.float64]:
        """Squared norms of `sample_gradients`; dense networks do not make these.

        Parameters
        ----------
        theta : array_like, shape (n_params,)
            Parameters of the network.
        batch : slice or array of int, optional
            Samples.

        Returns
        -------
        ndarray, shape (m,)
            The squared norms, float64.

        Raises
        ------
        ValueError
            Samples depend on each other.
        """
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
        for part, here in parts(X, self._part):
            yield part, (theta, here, y[part], *(() if weight is None else (weight[part],)))

    def _sample_terms(self, theta, X, y, weight):
        """(rows, the network's Jacobian there, the gradients of w_i l_i by the outputs), part by part."""
        for part, inputs in self._parts_of(theta, X, y, weight):
            point = self._part_at(inputs)
            yield part, point.jac, point.v * len(point.v)

    def _part_at(self, inputs):
        return (_Planned if self._second_in_kernels else _InPython)(self, inputs)

    @overload
    def residuals(self, theta: NDArray[F]) -> NDArray[F]: ...
    @overload
    def residuals(self, theta: ArrayLike) -> FloatArray: ...
    def residuals(self, theta: ArrayLike) -> FloatArray:
        """Residuals r with F(theta) = ||r||^2 / 2, for ``scipy.optimize.least_squares``.

        Parameters
        ----------
        theta : array_like, shape (n_params,)
            Parameters of the network.

        Returns
        -------
        ndarray, shape (rows,)
            Those of samples and outputs; with l2 then sqrt(l2) times the weights; then those of priors.

        Raises
        ------
        ValueError
            The loss is not MeanSquaredError.
        """
        net, scale, weigh, answer = self._least_squares(theta)
        r = weigh((net(self.X) - self.y).ravel()) * scale
        r = np.concatenate([r, *(penalty.residuals(net.theta) for penalty in self._penalties)])
        return r.astype(answer, copy=False)

    def jacobian(self, theta: ArrayLike) -> LinearOperator:
        """Jacobian of `residuals`, for ``least_squares(..., tr_solver="lsmr")`` or ``lsmr``.

        Parameters
        ----------
        theta : array_like, shape (n_params,)
            Parameters of the network.

        Returns
        -------
        scipy.sparse.linalg.LinearOperator
            The Jacobian, (rows, n_params), with its transpose.

        Raises
        ------
        ValueError
            The loss is not MeanSquaredError.
        """
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
        if self._group is not None and self._group.size > 1:
            raise ValueError("residuals are those of one rank's samples; expected an Objective without comm")
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
