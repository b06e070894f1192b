"""Curvature of networks and objectives: Gram matrices, Kronecker factors, empirical Fisher matrices, estimates of traces,
diagonals and eigenvalues of operators, and Laplace's approximation of a posterior.

Products with Hessians and Gauss-Newton matrices, and the latter themselves, are methods of `Objective`.
"""

import copy
import math

import numpy as np

from . import _check
from .functional import sigmoid, softmax
from .layers import _factors as factors
from .training import BinaryCrossEntropy, MeanSquaredError, SoftmaxCrossEntropy, matrices

__all__ = [
    "Laplace",
    "empirical_fisher",
    "empirical_fisher_operator",
    "extreme_eigenvalues",
    "gram",
    "gram_operator",
    "hutchinson_diag",
    "hutchinson_trace",
    "hutchpp_trace",
    "kronecker_factors",
    "kronecker_operator",
    "laplace",
]

PREDICTED_VALUES = 1 << 22  # of factors for samples that are predicted together


def gram(layer, x, wrt=None):
    """J J' of a layer or network at samples x, by the parameters wrt, by default all: (m q, m q) float64 for m samples of q
    outputs each, in C order. Also called the empirical neural tangent kernel.

    J is never made. For dense layers J J' is the sum over layers of the elementwise products of D D' and X X', X what the layer
    takes and D what comes back to it for each output (Novak, Sohl-Dickstein and Schoenholz 2022, "Fast finite width neural tangent
    kernel"); for convolutions likewise with sums over positions, where that is less work than gradients of single samples, which
    take the place of it in normalisations and layers of one's own. Factors have the layer's dtype, products are float64. The
    result is symmetric to the last bit. `layer.linearize(x)[1].gram(wrt)` is the same.

    ValueError for names that are no parameters, and where samples depend on each other; MemoryError where the result does not fit.

    >>> import numpy as np
    >>> net = fastlec.Network([fastlec.Dense(3, 50), fastlec.Dense(50, 2, "identity")], rng=0)
    >>> x = np.random.default_rng(0).standard_normal((20, 3))
    >>> K = fastlec.curvature.gram(net, x)
    >>> J = net.linearize(x)[1].matrix("theta")
    >>> K.shape, bool(np.allclose(K, J @ J.T))
    ((40, 40), True)
    """
    return _jacobian(layer, x).gram(wrt)


def gram_operator(layer, x, wrt=None):
    """The same as a scipy.sparse.linalg.LinearOperator, in the layer's dtype, for many samples: products are J (J' v). Samples may
    depend on each other.

    >>> import numpy as np
    >>> net = fastlec.Network([fastlec.Dense(3, 50), fastlec.Dense(50, 2, "identity")], rng=0)
    >>> x = np.random.default_rng(0).standard_normal((20, 3))
    >>> K, v = fastlec.curvature.gram_operator(net, x), np.ones(40)
    >>> K.shape, bool(np.allclose(K @ v, fastlec.curvature.gram(net, x) @ v))
    ((40, 40), True)
    """
    from ._operator import Operator

    jac = _jacobian(layer, x)
    names = tuple(layer.params) if wrt is None else _check.names(wrt, "wrt")
    J = jac.operator(names) if names else np.zeros((jac.y.size, 0), jac.y.dtype)
    return Operator((jac.y.size,) * 2, J.dtype, lambda v: J @ (J.T @ v), many=lambda V: (J @ (J.T @ V.T)).T, name="Gram matrix")


def _jacobian(layer, x):
    if not hasattr(layer, "linearize"):
        raise TypeError(f"layer is a {type(layer).__name__}; expected a layer or network")
    return layer.linearize(x)[1]


def kronecker_factors(f, theta, *, batch=None, fisher_type="type-2", reduction="mean"):
    """{name of a parameter: (A, B)} of an `Objective` at theta, float64: np.kron(B, A) approximates the parameter's block of the
    Gauss-Newton matrix without l2 and priors, its elements in C order (Martens and Grosse 2015, "Optimizing neural networks with
    Kronecker-factored approximate curvature").

    A (n, n) is the mean over samples of x x', what the parameter is multiplied by, [[1]] for biases. B (k, k) is the mean or, with
    reduction="sum", the sum over samples of D' H D, D what comes back to the layer for each output and H the Hessian of a sample's
    term by the output; with fisher_type="empirical", of g g', g what comes back for its gradient. For convolutions A is also a
    mean, and B a sum, over positions (Grosse and Martens 2016; "expand" in curvlinops). Weighted samples count by their weights.
    Blocks of biases of dense layers, of normalisations' parameters and of layers of one's own are exact: A is [[1]].

    ValueError where samples depend on each other, and for convolutions in groups, whose groups have factors of their own;
    TypeError for a loss without hessian_mv.

    >>> X, y = fastlec.datasets.make_blobs(100, 3)
    >>> net = fastlec.Network([fastlec.Dense(2, 8), fastlec.Dense(8, 3, "identity")], rng=0)
    >>> f = fastlec.Objective(net, fastlec.SoftmaxCrossEntropy(), X, y)
    >>> {name: (A.shape, B.shape) for name, (A, B) in fastlec.curvature.kronecker_factors(f, net.theta).items()}
    {'0.W': ((2, 2), (8, 8)), '0.b': ((1, 1), (8, 8)), '1.W': ((8, 8), (3, 3)), '1.b': ((1, 1), (3, 3))}
    """
    empirical = _check.choice(fisher_type, ("type-2", "empirical"), "fisher_type") == "empirical"
    scale = matrices.scale(f, batch, reduction)
    found = matrices.kronecker_factors(f, theta, batch, empirical)
    return {name: (A, scale * B) for name, (A, B) in found.items()}


def kronecker_operator(f, theta, *, batch=None, fisher_type="type-2", reduction="mean"):
    """The block-diagonal matrix of `kronecker_factors`, (n, n), as a scipy.sparse.linalg.LinearOperator of float64, with the same
    arguments: of a parameter's part V (k, n) of a vector it makes B V A.

    >>> import numpy as np
    >>> X, y = fastlec.datasets.make_blobs(100, 3)
    >>> net = fastlec.Network([fastlec.Dense(2, 8), fastlec.Dense(8, 3, "identity")], rng=0)
    >>> f = fastlec.Objective(net, fastlec.SoftmaxCrossEntropy(), X, y)
    >>> A, B = fastlec.curvature.kronecker_factors(f, net.theta)["0.W"]
    >>> K = fastlec.curvature.kronecker_operator(f, net.theta)
    >>> K.shape, bool(np.allclose((K @ np.eye(51))[:16, :16], np.kron(B, A)))
    ((51, 51), True)
    """
    from ._operator import Operator

    found = kronecker_factors(f, theta, batch=batch, fisher_type=fisher_type, reduction=reduction)

    def many(V):
        product, end = np.empty((len(V), f.n_params)), 0
        for A, B in found.values():
            own, end = slice(end, end + len(A) * len(B)), end + len(A) * len(B)
            product[:, own] = np.matmul(np.matmul(B, V[:, own].reshape(-1, len(B), len(A))), A).reshape(len(V), -1)
        return product

    return Operator((f.n_params,) * 2, np.float64, lambda v: many(v[None])[0], many=many, name="Kronecker factors")


def empirical_fisher(f, theta, *, batch=None, wrt=None, reduction="mean"):
    """The mean (or, with reduction="sum", the sum) over samples of g g', g the gradient of a sample's term of the loss by the
    parameters wrt, by default all: (n, n) float64. Weighted samples count by their weights; l2 and priors are not in it.

    >>> X, y = fastlec.datasets.make_blobs(100, 3)
    >>> net = fastlec.Network([fastlec.Dense(2, 8), fastlec.Dense(8, 3, "identity")], rng=0)
    >>> f = fastlec.Objective(net, fastlec.SoftmaxCrossEntropy(), X, y)
    >>> G = f.sample_gradients(net.theta)
    >>> bool(abs(fastlec.curvature.empirical_fisher(f, net.theta) - G.T @ G / 100).max() < 1e-14)
    True
    """
    scale, own = matrices.scale(f, batch, reduction), matrices.chosen(f.net, wrt)
    return scale * matrices.data_matrix(f, theta, batch, own, empirical=True)


def empirical_fisher_operator(f, theta, *, batch=None, reduction="mean"):
    """The same by all parameters as a scipy.sparse.linalg.LinearOperator: no gradients of single samples are kept, but what the
    network computed of all samples."""
    from ._operator import Operator

    scale, answer = matrices.scale(f, batch, reduction), f._vector(theta, "theta")[1]
    parts = list(matrices.sample_terms(f, theta, batch))

    def many(V):
        V, total = np.ascontiguousarray(V, f.dtype), 0.0
        for share, jac, v, h, _ in parts:
            slopes = (jac.mv_many(theta=V) * v).reshape(len(V), len(v), -1).sum(axis=2)
            weighed = (slopes * h).reshape(len(V), len(v), *(1,) * (v.ndim - 1)) * v
            total = total + share * jac.tmv_many(weighed, "theta")["theta"].astype(np.float64)
        return (scale * total).astype(answer, copy=False)

    return Operator((f.n_params, f.n_params), answer, lambda v: many(v[None])[0], many=many, name="empirical Fisher matrix")


# --- estimates of any operator ---------------------------------------------------------------------------------------


def _square(A):
    from scipy.sparse.linalg import aslinearoperator

    if not (hasattr(A, "matvec") or hasattr(A, "tocsr")):
        A = _check.as_array(A, "A")
    if len(A.shape) != 2 or A.shape[0] != A.shape[1] or not A.shape[0]:
        raise ValueError(f"A has shape {A.shape}; expected a square matrix or LinearOperator")
    if A.dtype is not None:
        _check.float_dtype(np.dtype(A.dtype), "A")
    return aslinearoperator(A)


def _signs(A, k, rng):
    return rng.integers(0, 2, (A.shape[0], k)) * 2.0 - 1.0


def hutchinson_trace(A, num_matvecs, *, rng=None):
    """An unbiased estimate of the trace of A (n, n), a matrix or LinearOperator, from products with random signs: the mean of v' A
    v (Hutchinson 1990). Its variance for symmetric A is twice the squared norm of what is off the diagonal over num_matvecs.

    num_matvecs : >= 1. rng : a seed or numpy.random.Generator.

    >>> import numpy as np
    >>> round(fastlec.curvature.hutchinson_trace(np.diag(np.arange(5.0)), 2, rng=0), 6)
    10.0
    """
    A, rng = _square(A), _check.generator(rng)
    V = _signs(A, _check.count(num_matvecs, "num_matvecs", 1), rng)
    return float((V * (A @ V)).sum() / V.shape[1])


def hutchpp_trace(A, num_matvecs, *, rng=None):
    """The same for symmetric positive semidefinite A with much less variance where eigenvalues decay: the trace on a random
    subspace, exactly, and Hutchinson's estimate of the rest (Meyer et al. 2021, "Hutch++: optimal stochastic trace estimation"). A
    third of the num_matvecs products, >= 3, for each of its steps.

    >>> import numpy as np
    >>> a = np.random.default_rng(0).standard_normal((200, 3))
    >>> bool(np.isclose(fastlec.curvature.hutchpp_trace(a @ a.T, 12, rng=0), (a * a).sum()))
    True
    """
    A, rng = _square(A), _check.generator(rng)
    k = min(_check.count(num_matvecs, "num_matvecs", 3) // 3, A.shape[0])
    Q = np.linalg.qr(A @ _signs(A, k, rng))[0]
    V = _signs(A, k, rng)
    V -= Q @ (Q.T @ V)
    return float((Q * (A @ Q)).sum() + (V * (A @ V)).sum() / k)


def hutchinson_diag(A, num_matvecs, *, rng=None):
    """An unbiased estimate of the diagonal of A (n, n), a matrix or LinearOperator, (n,): the mean of v o A v over num_matvecs
    vectors of random signs (Bekas, Kokiopoulou and Saad 2007). rng : a seed or numpy.random.Generator.

    >>> import numpy as np
    >>> fastlec.curvature.hutchinson_diag(np.diag([1.0, 2.0, 3.0]), 1, rng=0)
    array([1., 2., 3.])
    """
    A, rng = _square(A), _check.generator(rng)
    V = _signs(A, _check.count(num_matvecs, "num_matvecs", 1), rng)
    return (V * (A @ V)).mean(axis=1)


def extreme_eigenvalues(A, *, tol=1e-8, rng=None):
    """(the smallest, the largest) eigenvalue of a symmetric matrix or LinearOperator, by Lanczos' method
    (scipy.sparse.linalg.eigsh): first that of the largest magnitude, then, of A minus that, the one farthest from it.

    tol : accuracy relative to the largest magnitude, >= 0; 0 for that of the dtype. rng : a seed or numpy.random.Generator of the
    first vector. Where the method does not converge, eigsh's ArpackNoConvergence is raised; where products are not finite, a
    ValueError.

    >>> import numpy as np
    >>> np.round(fastlec.curvature.extreme_eigenvalues(np.diag(np.arange(-3.0, 50)), rng=0), 6).tolist()
    [-3.0, 49.0]
    """
    from scipy.sparse.linalg import LinearOperator, eigsh

    A, rng, tol = _square(A), _check.generator(rng), _check.non_negative(tol, "tol")
    n = A.shape[0]
    if n < 20:  # fewer than Lanczos' vectors
        A = np.asarray(A @ np.eye(n))
        _check.finite(A, "A")
        values = np.linalg.eigvalsh(A)
        return float(values[0]), float(values[-1])
    v0 = rng.standard_normal(n)
    _check.finite(np.asarray(A.matvec(v0)), "A times a vector")

    def farthest(shift):
        moved = LinearOperator((n, n), matvec=lambda v: A.matvec(v) - shift * v, dtype=np.float64)
        if np.linalg.norm(moved.matvec(v0)) <= n * np.finfo(np.float64).eps * abs(shift) * np.linalg.norm(v0):
            return shift  # there is no other
        return shift + float(eigsh(moved, k=1, which="LM", ncv=min(n, 40), tol=tol, v0=v0.copy(), return_eigenvectors=False)[0])

    first = farthest(0.0)
    return tuple(sorted((first, farthest(first))))


# --- Laplace's approximation -----------------------------------------------------------------------------------------


def laplace(f, theta, *, subset="last_layer", prior_precision=1.0, sigma_noise=1.0):
    """Laplace's approximation of the posterior of theta: the Gaussian around theta, a minimum of F, whose precision is the
    Gauss-Newton matrix of the negative log likelihood plus the prior's precision. Returns a `Laplace`, which has predictive
    variances and the log evidence.

    f : an `Objective`, whose loss says the likelihood: SoftmaxCrossEntropy and BinaryCrossEntropy that of classes,
    MeanSquaredError a Gaussian one of standard deviation sigma_noise. Weights of samples are taken relative to their mean.
    subset : "last_layer", of whose parameters alone there is a posterior, or "all".
    prior_precision : > 0, a number or one for each parameter of the subset: the prior's mean is 0. f's l2 and priors are not in
    it; a theta found with l2 is that of prior_precision = l2 times the number of samples (times half the number of outputs over
    sigma_noise^2 for MeanSquaredError).

    ValueError for other losses, a subset of no parameters, and where samples depend on each other. MemoryError above 16384
    parameters.

    >>> import numpy as np
    >>> from scipy.optimize import minimize
    >>> X = np.linspace(-1, 1, 50)[:, None]
    >>> net = fastlec.Network([fastlec.Dense(1, 20), fastlec.Dense(20, 1, "identity")], rng=0)
    >>> f = fastlec.Objective(net, fastlec.MeanSquaredError(), X, np.sin(3 * X), l2=1e-4)
    >>> found = minimize(f.value_and_gradient, net.theta, jac=True, method="L-BFGS-B")
    >>> posterior = fastlec.curvature.laplace(f, found.x, sigma_noise=0.1)
    >>> inside, outside = posterior.variance([[0.0], [5.0]])[:, 0]
    >>> bool(inside < outside), bool(np.isfinite(posterior.log_evidence))
    (True, True)

    MacKay 1992, "A practical Bayesian framework for backpropagation networks"; Immer, Korzepa and Bauer 2021, "Improving
    predictions of Bayesian neural nets via local linearization"; Daxberger et al. 2021, "Laplace redux".
    """
    return Laplace(f, theta, subset, prior_precision, sigma_noise)


class Laplace:
    """A Gaussian posterior of a network's parameters; made by `laplace`.

    names : of the parameters that have one. theta : all parameters, the mean. precision, covariance : (n, n), of those of names.
    log_evidence : the log of the marginal likelihood, for choosing prior_precision or sigma_noise.
    """

    def __init__(self, f, theta, subset, prior_precision, sigma_noise):
        names = tuple(matrices.of_objective(f).net.params)
        if _check.choice(subset, ("last_layer", "all"), "subset") == "last_layer":
            last = names[-1].rpartition(".")[0] if names else ""
            names = tuple(name for name in names if name.rpartition(".")[0] == last)
        if not names:
            raise ValueError("net has no parameters; expected some")
        sigma = _check.positive(sigma_noise, "sigma_noise")
        scale, constant = _likelihood(f, sigma)
        own = matrices.chosen(f.net, names)
        self.names, self.theta = names, np.array(f._vector(theta, "theta")[0], np.float64)
        self._classes, self._at = not isinstance(f.loss, MeanSquaredError), own.at
        self._binary = isinstance(f.loss, BinaryCrossEntropy)
        self._net = f.net.with_theta(self.theta.astype(f.dtype))
        matrices._room(own.size**2, f"matrices of {own.size} parameters")
        self._data = scale * matrices.data_matrix(f, theta, None, own)
        _check.finite(self._data, "the Gauss-Newton matrix")
        bare = copy.copy(f)
        bare._penalties = ()
        self._log_likelihood = constant - scale * bare.value(theta)
        self._set(prior_precision)

    def _set(self, prior_precision):
        from scipy.linalg import cho_factor, cho_solve

        n = len(self._at)
        prior = _check.as_array(prior_precision, "prior_precision")
        _check.float_dtype(prior.dtype, "prior_precision")
        if prior.shape not in ((), (n,)):
            raise ValueError(f"prior_precision has shape {prior.shape}; expected a number or ({n},)")
        prior = np.array(np.broadcast_to(prior, n), np.float64)
        if not (np.isfinite(prior).all() and (prior > 0).all()):
            raise ValueError(f"prior_precision is {_check.shown(prior_precision)}; expected finite numbers > 0")
        self.precision = self._data + np.diag(prior)
        root = cho_factor(self.precision, lower=True)
        self.covariance = cho_solve(root, np.eye(n))
        mean, self._known = self.theta[self._at], {}
        half_log_det = np.log(np.diagonal(root[0])).sum() - np.log(prior).sum() / 2
        self.log_evidence = float(self._log_likelihood - half_log_det - (prior * mean * mean).sum() / 2)

    def with_prior_precision(self, prior_precision):
        """The same with another prior; the data is not looked at again."""
        other = copy.copy(self)
        other._set(prior_precision)
        return other

    def predictive(self, X):
        """(outputs, covariances): the network's outputs (m, q), raveled, for samples X, and the covariance (m, q, q) of each under
        the posterior, J S J' with J the network's Jacobian there; without sigma_noise. float64."""
        net, X = self._net._prepared(_check.as_array(X, "X"))
        q = math.prod(net.output_shape(X.shape[1:]))
        mean, covariance = np.empty((len(X), q)), np.empty((len(X), q, q))
        step = max(PREDICTED_VALUES // max(q * net._widest(X.shape[1:]), 1), 16)
        for i in range(0, len(X), step):
            some = slice(i, i + step)
            y, jac = net.linearize(X[some])
            mean[some] = y.reshape(len(y), q)
            covariance[some] = factors.covariance(jac._factors(jac._units(), self.names), self.covariance, q, self._known)
        return mean, covariance

    def variance(self, X):
        """The variances of the outputs (m, q) for samples X: the diagonals of `predictive`'s covariances."""
        return np.diagonal(self.predictive(X)[1], axis1=1, axis2=2).copy()

    def predict_proba(self, X):
        """Probabilities (m, q) of classes, or with BinaryCrossEntropy of yes for each output: those of outputs divided by
        sqrt(1 + pi/8 variance) (MacKay 1992, "The evidence framework applied to classification networks")."""
        if not self._classes:
            raise ValueError("the loss is MeanSquaredError(); expected one of classes")
        mean, covariance = self.predictive(X)
        mean /= np.sqrt(1 + np.pi / 8 * np.diagonal(covariance, axis1=1, axis2=2))
        return sigmoid(mean) if self._binary else softmax(mean)

    def __repr__(self):
        return f"<Laplace's approximation by {len(self._at)} parameters: log evidence {self.log_evidence:.6g}>"


def _likelihood(f, sigma):
    """(what the loss is multiplied by to be the negative log likelihood, the constant that is missing)."""
    m = f.n_samples if f.sample_weight is None else np.count_nonzero(f.sample_weight)
    q = math.prod(f.net.output_shape(f.X.shape[1:]))
    if isinstance(f.loss, SoftmaxCrossEntropy):
        return m, 0.0
    if isinstance(f.loss, BinaryCrossEntropy):
        return m * q, 0.0
    if isinstance(f.loss, MeanSquaredError):
        return m * q / (2 * sigma**2), -m * q * math.log(sigma * math.sqrt(2 * math.pi))
    raise ValueError(f"loss is {_check.shown(f.loss)}; expected SoftmaxCrossEntropy, BinaryCrossEntropy or MeanSquaredError")
