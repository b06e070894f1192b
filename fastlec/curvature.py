"""Curvature of networks and objectives: Gram matrices, Kronecker factors, empirical Fisher matrices, estimates of traces,
diagonals and eigenvalues of operators, and Laplace's approximation of a posterior.

Products with Hessians and Gauss-Newton matrices, and the latter themselves, are methods of `Objective`.
"""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING

import numpy as np

from . import _check
from .functional import sigmoid, softmax
from .layers import _factors as factors
from .training import BinaryCrossEntropy, MeanSquaredError, SoftmaxCrossEntropy, matrices

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Literal, Self

    from scipy.sparse.linalg import LinearOperator

    from ._typing import ArrayLike, Batch, FloatArray, NDArray, Seed
    from .layers import Layer
    from .training import Objective
    from .training.matrices import Reduction
    from .training.penalties import Linear

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


def __dir__() -> list[str]:
    return __all__


def gram(layer: Layer, x: ArrayLike, wrt: str | Sequence[str] | None = None) -> NDArray[np.float64]:
    """Gram matrix J J' of a layer or network by its parameters: the empirical neural tangent kernel.

    Parameters
    ----------
    layer : Layer
        A layer or `Network`.
    x : array_like, shape (m, ...)
        Samples.
    wrt : str or sequence of str, optional
        Names of the parameters, by default all.

    Returns
    -------
    ndarray, shape (m q, m q)
        For m samples of q outputs each, in C order; float64, symmetric to the last bit.

    Raises
    ------
    ValueError
        Names are no parameters, or samples depend on each other.
    MemoryError
        The result does not fit.

    See Also
    --------
    gram_operator, kronecker_factors

    Notes
    -----
    J is never made. For dense layers J J' is the sum over layers of the elementwise products of D D' and X X', X what the layer
    takes and D what comes back to it for each output. For convolutions it is likewise with sums over positions, where that is less
    work than gradients of single samples, which take its place in normalisations and layers of your own. Factors have the layer's
    dtype, products are float64. ``layer.linearize(x)[1].gram(wrt)`` is the same.

    References
    ----------
    Novak, Sohl-Dickstein and Schoenholz, "Fast finite width neural tangent kernel", 2022.

    Examples
    --------
    >>> import numpy as np
    >>> net = fastlec.Network([fastlec.Dense(3, 50), fastlec.Dense(50, 2, "identity")], rng=0)
    >>> x = np.random.default_rng(0).standard_normal((20, 3))
    >>> K = fastlec.curvature.gram(net, x)
    >>> J = net.linearize(x)[1].matrix("theta")
    >>> K.shape, bool(np.allclose(K, J @ J.T))
    ((40, 40), True)
    """
    return _jacobian(layer, x).gram(wrt)


def gram_operator(layer: Layer, x: ArrayLike, wrt: str | Sequence[str] | None = None) -> LinearOperator:
    """Gram matrix J J' of a layer or network as a LinearOperator, for many samples.

    Products are J (J' v), in the layer's dtype. Samples may depend on each other.

    Parameters
    ----------
    layer : Layer
        A layer or `Network`.
    x : array_like, shape (m, ...)
        Samples.
    wrt : str or sequence of str, optional
        Names of the parameters, by default all.

    Returns
    -------
    scipy.sparse.linalg.LinearOperator
        Of shape (m q, m q), for m samples of q outputs each.

    See Also
    --------
    gram, hutchinson_trace

    Examples
    --------
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


def kronecker_factors(
    f: Objective,
    theta: ArrayLike,
    *,
    batch: Batch = None,
    fisher_type: Literal["type-2", "empirical"] = "type-2",
    reduction: Reduction = "mean",
) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Kronecker factors (A, B) of each parameter's block of the Gauss-Newton matrix.

    ``np.kron(B, A)`` approximates the block, without l2 and priors, its elements in C order.

    Parameters
    ----------
    f : Objective
        A network's loss.
    theta : array_like, shape (n_params,)
        Parameters of the network.
    batch : slice or array of int, optional
        Samples to average over.
    fisher_type : {"type-2", "empirical"}
        What B is made of: D' H D, D what comes back to the layer for each output and H the Hessian of a sample's term by the
        output; or g g', g what comes back for that term's gradient.
    reduction : {"mean", "sum"}
        Whether B is a mean over samples or a sum.

    Returns
    -------
    dict of str to tuple of ndarray
        {name: (A, B)}, float64. A (n, n) is the mean over samples of x x', x what the parameter is multiplied by, [[1]] for biases;
        B is (k, k).

    Raises
    ------
    ValueError
        Samples depend on each other, or a convolution is in groups, whose groups have factors of their own.
    TypeError
        The loss has no hessian_mv.

    See Also
    --------
    kronecker_operator, fastlec.Objective.gauss_newton_matrix

    Notes
    -----
    For convolutions A is also a mean, and B a sum, over positions ("expand" in curvlinops). Weighted samples count by their
    weights. Blocks of biases of dense layers, of normalisations' parameters and of layers of your own are exact: A is [[1]].

    References
    ----------
    Martens and Grosse, "Optimizing neural networks with Kronecker-factored approximate curvature", 2015; Grosse and Martens,
    "A Kronecker-factored approximate Fisher matrix for convolution layers", 2016.

    Examples
    --------
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


def kronecker_operator(
    f: Objective,
    theta: ArrayLike,
    *,
    batch: Batch = None,
    fisher_type: Literal["type-2", "empirical"] = "type-2",
    reduction: Reduction = "mean",
) -> LinearOperator:
    """Block-diagonal matrix of `kronecker_factors`: of a parameter's part V (k, n) of a vector it makes B V A.

    Parameters
    ----------
    f : Objective
        A network's loss.
    theta : array_like, shape (n_params,)
        Parameters of the network.
    batch : slice or array of int, optional
        Samples to average over.
    fisher_type : {"type-2", "empirical"}
        As of `kronecker_factors`.
    reduction : {"mean", "sum"}
        As of `kronecker_factors`.

    Returns
    -------
    scipy.sparse.linalg.LinearOperator
        Of shape (n_params, n_params), float64.

    See Also
    --------
    kronecker_factors, fastlec.Objective.gauss_newton_operator

    Examples
    --------
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


def empirical_fisher(
    f: Objective,
    theta: ArrayLike,
    *,
    batch: Batch = None,
    wrt: str | Sequence[str] | None = None,
    reduction: Reduction = "mean",
) -> NDArray[np.float64]:
    """Empirical Fisher matrix: the mean over samples of g g', g the gradient of a sample's term of the loss.

    Weighted samples count by their weights; l2 and priors are not in it.

    Parameters
    ----------
    f : Objective
        A network's loss.
    theta : array_like, shape (n_params,)
        Parameters of the network.
    batch : slice or array of int, optional
        Samples to average over.
    wrt : str or sequence of str, optional
        Names of the parameters, by default all.
    reduction : {"mean", "sum"}
        Whether it is the mean over samples or their sum.

    Returns
    -------
    ndarray, shape (n, n)
        The matrix, float64.

    See Also
    --------
    empirical_fisher_operator, fastlec.Objective.sample_gradients

    Examples
    --------
    >>> X, y = fastlec.datasets.make_blobs(100, 3)
    >>> net = fastlec.Network([fastlec.Dense(2, 8), fastlec.Dense(8, 3, "identity")], rng=0)
    >>> f = fastlec.Objective(net, fastlec.SoftmaxCrossEntropy(), X, y)
    >>> G = f.sample_gradients(net.theta)
    >>> bool(abs(fastlec.curvature.empirical_fisher(f, net.theta) - G.T @ G / 100).max() < 1e-14)
    True
    """
    scale, own = matrices.scale(f, batch, reduction), matrices.chosen(f.net, wrt)
    return scale * matrices.data_matrix(f, theta, batch, own, empirical=True)


def empirical_fisher_operator(
    f: Objective, theta: ArrayLike, *, batch: Batch = None, reduction: Reduction = "mean"
) -> LinearOperator:
    """Empirical Fisher matrix by all parameters as a LinearOperator.

    No gradients of single samples are kept, but what the network computed of all samples.

    Parameters
    ----------
    f : Objective
        A network's loss.
    theta : array_like, shape (n_params,)
        Parameters of the network.
    batch : slice or array of int, optional
        Samples to average over.
    reduction : {"mean", "sum"}
        Whether it is the mean over samples or their sum.

    Returns
    -------
    scipy.sparse.linalg.LinearOperator
        Of shape (n_params, n_params), in theta's dtype.

    See Also
    --------
    empirical_fisher, hutchinson_trace

    Examples
    --------
    >>> import numpy as np
    >>> X, y = fastlec.datasets.make_blobs(100, 3)
    >>> net = fastlec.Network([fastlec.Dense(2, 8), fastlec.Dense(8, 3, "identity")], rng=0)
    >>> f = fastlec.Objective(net, fastlec.SoftmaxCrossEntropy(), X, y)
    >>> F, v = fastlec.curvature.empirical_fisher_operator(f, net.theta), np.ones(51)
    >>> bool(np.allclose(F @ v, fastlec.curvature.empirical_fisher(f, net.theta) @ v))
    True
    """
    from ._operator import Operator

    scale, answer = matrices.scale(f, batch, reduction), f._vector(theta, "theta")[1]
    parts = list(matrices.sample_terms(f, theta, batch))

    def many(V):
        V, total = np.ascontiguousarray(V, f.dtype), 0.0
        for share, jac, v, h, _ in parts:
            slopes = (jac.mv_many(theta=V) * v).reshape(len(V), len(v), -1).sum(axis=2)
            weighed = (slopes * h).reshape(len(V), len(v), *(1,) * (v.ndim - 1)) * v
            total = total + share * jac.tmv_many(weighed, "theta")["theta"].astype(np.float64)
        return f._joined(batch, scale * total)[0].astype(answer, copy=False)

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


def hutchinson_trace(A: ArrayLike | Linear, num_matvecs: int, *, rng: Seed | None = None) -> float:
    """Unbiased estimate of a trace: the mean of v' A v over vectors v of random signs (Hutchinson 1990).

    Parameters
    ----------
    A : array_like, sparse array or LinearOperator, shape (n, n)
        The matrix.
    num_matvecs : int
        Number of products, at least 1.
    rng : int or numpy.random.Generator, optional
        Seed.

    Returns
    -------
    float
        The estimate. For symmetric A its variance is twice the squared norm of what is off the diagonal over num_matvecs.

    See Also
    --------
    hutchpp_trace, hutchinson_diag

    Examples
    --------
    >>> import numpy as np
    >>> round(fastlec.curvature.hutchinson_trace(np.diag(np.arange(5.0)), 2, rng=0), 6)
    10.0
    """
    A, rng = _square(A), _check.generator(rng)
    V = _signs(A, _check.count(num_matvecs, "num_matvecs", 1), rng)
    return float((V * (A @ V)).sum() / V.shape[1])


def hutchpp_trace(A: ArrayLike | Linear, num_matvecs: int, *, rng: Seed | None = None) -> float:
    """Estimate of the trace of a symmetric positive semidefinite matrix, of small variance where eigenvalues decay.

    It is the trace on a random subspace, exactly, and Hutchinson's estimate of the rest.

    Parameters
    ----------
    A : array_like, sparse array or LinearOperator, shape (n, n)
        The matrix.
    num_matvecs : int
        Number of products, at least 3; each of its steps has a third of them.
    rng : int or numpy.random.Generator, optional
        Seed.

    Returns
    -------
    float
        The estimate.

    See Also
    --------
    hutchinson_trace, extreme_eigenvalues

    References
    ----------
    Meyer, Musco, Musco and Woodruff, "Hutch++: optimal stochastic trace estimation", 2021.

    Examples
    --------
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


def hutchinson_diag(A: ArrayLike | Linear, num_matvecs: int, *, rng: Seed | None = None) -> FloatArray:
    """Unbiased estimate of a diagonal: the mean of v o A v over vectors v of random signs.

    Parameters
    ----------
    A : array_like, sparse array or LinearOperator, shape (n, n)
        The matrix.
    num_matvecs : int
        Number of products, at least 1.
    rng : int or numpy.random.Generator, optional
        Seed.

    Returns
    -------
    ndarray, shape (n,)
        The estimate.

    See Also
    --------
    hutchinson_trace, fastlec.Objective.gauss_newton_diagonal

    References
    ----------
    Bekas, Kokiopoulou and Saad, "An estimator for the diagonal of a matrix", 2007.

    Examples
    --------
    >>> import numpy as np
    >>> fastlec.curvature.hutchinson_diag(np.diag([1.0, 2.0, 3.0]), 1, rng=0)
    array([1., 2., 3.])
    """
    A, rng = _square(A), _check.generator(rng)
    V = _signs(A, _check.count(num_matvecs, "num_matvecs", 1), rng)
    return (V * (A @ V)).mean(axis=1)


def extreme_eigenvalues(A: ArrayLike | Linear, *, tol: float = 1e-8, rng: Seed | None = None) -> tuple[float, float]:
    """Smallest and largest eigenvalue of a symmetric matrix, by Lanczos' method (``scipy.sparse.linalg.eigsh``).

    First that of the largest magnitude is found, then, of A minus that, the one farthest from it.

    Parameters
    ----------
    A : array_like, sparse array or LinearOperator, shape (n, n)
        The matrix.
    tol : float
        Accuracy relative to the largest magnitude, >= 0; 0 for that of the dtype.
    rng : int or numpy.random.Generator, optional
        Seed of the first vector.

    Returns
    -------
    smallest : float
        The smallest eigenvalue.
    largest : float
        The largest one.

    Raises
    ------
    scipy.sparse.linalg.ArpackNoConvergence
        The method does not converge.
    ValueError
        Products are not finite.

    See Also
    --------
    hutchinson_trace, fastlec.Objective.hessian_operator

    Examples
    --------
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


def laplace(
    f: Objective,
    theta: ArrayLike,
    *,
    subset: Literal["last_layer", "all"] = "last_layer",
    prior_precision: ArrayLike = 1.0,
    sigma_noise: float = 1.0,
) -> Laplace:
    """Laplace's approximation of the posterior of a network's parameters.

    It is the Gaussian around theta, a minimum of F, whose precision is the Gauss-Newton matrix of the negative log likelihood plus
    the prior's precision.

    Parameters
    ----------
    f : Objective
        Its loss says the likelihood: SoftmaxCrossEntropy and BinaryCrossEntropy that of classes, MeanSquaredError a Gaussian one of
        standard deviation sigma_noise. Weights of samples are taken relative to their mean. Its l2 and priors are not counted.
    theta : array_like, shape (n_params,)
        Parameters of the network.
    subset : {"last_layer", "all"}
        Parameters that have a posterior.
    prior_precision : array_like, shape () or (n,)
        Precision of the prior, of mean 0: a number > 0, or one for each parameter of the subset. A theta found with l2 is that of
        l2 times the number of samples (times half the number of outputs over sigma_noise^2 for MeanSquaredError).
    sigma_noise : float
        Standard deviation of the noise of y, > 0, for MeanSquaredError.

    Returns
    -------
    Laplace
        The posterior, which has predictive variances and the log evidence.

    Raises
    ------
    ValueError
        The loss is another, the subset has no parameters, or samples depend on each other.
    MemoryError
        There are more than 16384 parameters.

    See Also
    --------
    Laplace, fastlec.Objective

    References
    ----------
    MacKay, "A practical Bayesian framework for backpropagation networks", 1992; Immer, Korzepa and Bauer, "Improving predictions of
    Bayesian neural nets via local linearization", 2021; Daxberger et al., "Laplace redux", 2021.

    Examples
    --------
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
    """
    return Laplace(f, theta, subset, prior_precision, sigma_noise)


class Laplace:
    """Gaussian posterior of a network's parameters: what `laplace` returns.

    Parameters
    ----------
    f : Objective
        A network's loss.
    theta : array_like, shape (n_params,)
        Parameters of the network, the mean.
    subset : {"last_layer", "all"}
        Parameters that have a posterior.
    prior_precision : array_like, shape () or (n,)
        Precision of the prior.
    sigma_noise : float
        Standard deviation of the noise, for MeanSquaredError.

    Attributes
    ----------
    names : tuple of str
        Names of the parameters that have a posterior.
    theta : ndarray, shape (n_params,)
        All parameters, float64.
    precision, covariance : ndarray, shape (n, n)
        Those of the parameters of names.
    log_evidence : float
        Log of the marginal likelihood, for choosing prior_precision or sigma_noise.

    See Also
    --------
    laplace

    Examples
    --------
    >>> X, y = fastlec.datasets.make_blobs(100, 2)
    >>> net = fastlec.Network([fastlec.Dense(2, 2, "identity")], rng=0)
    >>> history = fastlec.fit(net, X, y, epochs=20)
    >>> f = fastlec.Objective(net, fastlec.SoftmaxCrossEntropy(), X, y)
    >>> weak = fastlec.curvature.laplace(f, net.theta, prior_precision=0.1)
    >>> strong = weak.with_prior_precision(10.0)
    >>> bool((strong.variance(X) < weak.variance(X)).all())
    True
    """

    names: tuple[str, ...]
    theta: NDArray[np.float64]
    precision: NDArray[np.float64]
    covariance: NDArray[np.float64]
    log_evidence: float

    def __init__(
        self,
        f: Objective,
        theta: ArrayLike,
        subset: Literal["last_layer", "all"],
        prior_precision: ArrayLike,
        sigma_noise: float,
    ) -> None:
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

    def with_prior_precision(self, prior_precision: ArrayLike) -> Self:
        """Posterior for another prior; the data is not looked at again.

        Parameters
        ----------
        prior_precision : array_like, shape () or (n,)
            Precision of the prior.

        Returns
        -------
        Laplace
            Another one.
        """
        other = copy.copy(self)
        other._set(prior_precision)
        return other

    def predictive(self, X: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Outputs and their covariance under the posterior: J S J', without sigma_noise.

        J is the network's Jacobian at a sample, S the covariance of the parameters.

        Parameters
        ----------
        X : array_like, shape (m, ...)
            Samples.

        Returns
        -------
        outputs : ndarray, shape (m, q)
            Those of the network, raveled.
        covariances : ndarray, shape (m, q, q)
            One for each sample, float64.
        """
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

    def variance(self, X: ArrayLike) -> NDArray[np.float64]:
        """Variances of the outputs: the diagonals of the covariances of `predictive`.

        Parameters
        ----------
        X : array_like, shape (m, ...)
            Samples.

        Returns
        -------
        ndarray, shape (m, q)
            The variances.
        """
        return np.diagonal(self.predictive(X)[1], axis1=1, axis2=2).copy()

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Probabilities of classes under the posterior; with BinaryCrossEntropy of yes for each output.

        They are those of the outputs divided by sqrt(1 + pi/8 variance) (MacKay 1992, "The evidence framework applied to
        classification networks").

        Parameters
        ----------
        X : array_like, shape (m, ...)
            Samples.

        Returns
        -------
        ndarray, shape (m, q)
            The probabilities.

        Raises
        ------
        ValueError
            The loss is MeanSquaredError.
        """
        if not self._classes:
            raise ValueError("the loss is MeanSquaredError(); expected one of classes")
        mean, covariance = self.predictive(X)
        mean /= np.sqrt(1 + np.pi / 8 * np.diagonal(covariance, axis1=1, axis2=2))
        return sigmoid(mean) if self._binary else softmax(mean)

    def __repr__(self) -> str:
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
