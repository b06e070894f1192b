"""Matrices of an objective's curvature, of all samples or a batch: the Gauss-Newton matrix, its diagonal, its Kronecker factors,
and the empirical Fisher matrix. In layers of fastlec's they are made of `layers._factors`, part by part of the data, and no
Jacobian is made."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

import numpy as np

from .. import _check
from ..layers import _factors as factors
from . import losses

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .._typing import ArrayLike, Batch, FloatArray, NDArray
    from ..network import Network
    from .objective import Objective

MATRIX_BYTES = 1 << 31  # of a matrix, at most
PRODUCTS = 64  # at a time
Reduction: TypeAlias = Literal["mean", "sum"]
REDUCTIONS: tuple[Reduction, ...] = "mean", "sum"


class Part(NamedTuple):
    """Some samples: their share of all, factors of the network's Jacobian by the parameters, the loss's Hessian by the output of
    each sample (m, q, q), or what takes its place, and the samples' weights."""

    share: float
    factors: list[Any]
    H: FloatArray
    weight: FloatArray


class Chosen(NamedTuple):
    """Parameters by their names, and where they are in theta."""

    names: tuple[str, ...]
    at: NDArray[np.intp]

    @property
    def size(self) -> int:
        return len(self.at)


def chosen(net: Network, wrt: str | Sequence[str] | None) -> Chosen:
    """All parameters, in theta's order, or those of the names wrt."""
    if wrt is None or (isinstance(wrt, str) and wrt == "theta"):
        return Chosen(tuple(net.params), np.arange(net.n_params))
    names, at, end = tuple(dict.fromkeys(_check.names(wrt, "wrt"))), {}, 0
    for name, a in net.params.items():
        at[name] = np.arange(end, end + a.size)
        end += a.size
    for name in names:
        if name not in at:
            raise ValueError(f"there is no parameter {_check.shown(name)}; expected some of {', '.join(at)}")
    return Chosen(names, np.concatenate([at[name] for name in names]) if names else np.arange(0))


def parts(f: Objective, theta: ArrayLike, batch: Batch, names: tuple[str, ...], empirical: bool = False) -> Iterator[Part]:
    """The data at theta, `Part` by part; empirical: the factors are of the gradients of the samples' terms."""
    if empirical:
        for share, jac, v, h, w in sample_terms(f, theta, batch):
            yield Part(share, jac._factors(v[None], names), h[:, None, None], w)
        return
    _curved(f.loss)
    q = math.prod(f.net.output_shape(f.X.shape[1:]))
    _room(q * q, "Hessians of the loss by the outputs")
    for share, output, jac, y, weight, w in _linearized(f, theta, batch, q):
        V, H = jac._units(), np.empty((len(output), q, q))
        for c, unit in enumerate(V):
            H[:, :, c] = losses.hessian_mv(f.loss, output, y, unit, weight).reshape(-1, q)
        yield Part(share, jac._factors(V, names), H, w)


def sample_terms(f: Objective, theta: ArrayLike, batch: Batch) -> Iterator[tuple[Any, ...]]:
    """(share, jac, v, h, weights) part by part: v has the gradients of the terms w_i l_i by the outputs, and the sum of h_i g_i
    g_i', g what comes of v by theta, is the mean of w_i times the square of l_i's gradient."""
    for share, output, jac, y, weight, w in _linearized(f, theta, batch, 1):
        v = losses.value_and_gradient(f.loss, output, y, weight)[1] * len(output)
        h = np.divide(1, w * len(w), out=np.zeros_like(w), where=w > 0)
        yield share, jac, np.ascontiguousarray(v, output.dtype), h, w


def _linearized(f, theta, batch, q):
    """(share of the samples, output, jac, targets, weights or None, weights), for parts of which factors for q vectors are few."""
    theta, _ = f._vector(theta, "theta")
    X, y, weight = f._select(batch)
    net, step = f.net.with_theta(theta), max(f._part // max(q, 1), 16)
    for i in range(0, len(X), step):
        some = slice(i, i + step)
        output, jac = net.linearize(X[some])
        jac._check_uncoupled("derivatives by single samples")
        own = None if weight is None else weight[some]
        yield len(output) / len(X), output, jac, y[some], own, np.ones(len(output)) if own is None else own


def _curved(loss):
    if not hasattr(loss, "hessian_mv"):
        raise TypeError(f"loss is a {type(loss).__name__}, which has no hessian_mv; Gauss-Newton matrices need it")


def _room(values, what):
    if 8 * values > MATRIX_BYTES:
        raise MemoryError(f"{what} are larger than 2 GiB; use products, such as gauss_newton_mv")


def _by_products(f):
    """Whether there are products alone: samples depend on each other, or a layer is the user's own."""
    return f.net.couples_samples or not f.net._plans_second


def scale(f: Objective, batch: Batch, reduction: Reduction) -> int:
    """What means over the samples of a batch are multiplied by: 1, or their number for sums."""
    of_objective(f)
    return 1 if _check.choice(reduction, REDUCTIONS, "reduction") == "mean" else f._count(batch)


def of_objective(f: object) -> Objective:
    if not hasattr(f, "net"):
        raise TypeError(f"f is a {type(f).__name__}; expected an Objective")
    return f


def gauss_newton_matrix(
    f: Objective, theta: ArrayLike, batch: Batch = None, wrt: str | Sequence[str] | None = None, reduction: Reduction = "mean"
) -> FloatArray:
    """J' H J and the penalties' Hessians, (n, n); of the parameters wrt."""
    own, answer, times = chosen(f.net, wrt), f._vector(theta, "theta")[1], scale(f, batch, reduction)
    _room(own.size**2, f"matrices of {own.size} parameters")
    if _by_products(f):
        at, total = f.at(theta, batch), np.empty((own.size, own.size))
        for i in range(0, own.size, PRODUCTS):
            places = own.at[i : i + PRODUCTS]
            units = np.zeros((len(places), f.n_params))
            units[np.arange(len(places)), places] = 1
            total[i : i + PRODUCTS] = at._products(False, units, times)[:, own.at]
        return ((total + total.T) / 2).astype(answer, copy=False)
    total = times * data_matrix(f, theta, batch, own)
    for penalty in f._penalties:
        total += penalty.matrix()[np.ix_(own.at, own.at)]
    return total.astype(answer, copy=False)


def data_matrix(f: Objective, theta: ArrayLike, batch: Batch, own: Chosen, empirical: bool = False) -> NDArray[np.float64]:
    """The mean over samples of J' H J, or with empirical of w_i g_i g_i', g_i the gradient of sample i's term."""
    total = np.zeros((own.size, own.size))
    for part in parts(f, theta, batch, own.names, empirical):
        total += part.share * factors.normal_matrix(part.factors, part.H, own.size)
    return f._joined(batch, total, theta=theta)[0]


def gauss_newton_diagonal(
    f: Objective, theta: ArrayLike, batch: Batch = None, wrt: str | Sequence[str] | None = None, reduction: Reduction = "mean"
) -> FloatArray:
    """Its diagonal, (n,)."""
    own, times = chosen(f.net, wrt), scale(f, batch, reduction)
    if _by_products(f):
        at, found = f.at(theta, batch), np.empty(own.size)
        for i, place in enumerate(own.at):
            unit = np.zeros(f.n_params)
            unit[place] = 1
            found[i] = at._products(False, unit[None], times)[0, place]
        return found.astype(at._answer, copy=False)
    total = np.zeros(own.size)
    for part in parts(f, theta, batch, own.names):
        total += times * part.share * factors.normal_diagonal(part.factors, part.H, own.size)
    for penalty in f._penalties:
        total += penalty.diagonal()[own.at]
    (total,) = f._joined(batch, total, theta=theta)
    return total.astype(f._vector(theta, "theta")[1], copy=False)


def kronecker_factors(
    f: Objective, theta: ArrayLike, batch: Batch = None, empirical: bool = False
) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """{name: (A, B)} of the mean over samples."""
    total = {}
    for part in parts(f, theta, batch, tuple(f.net.params), empirical):
        n = len(part.weight)
        for name, (A, B) in factors.kronecker(part.factors, part.H, part.weight / n).items():
            A, B = part.share * A, part.share * B
            total[name] = (total[name][0] + A, total[name][1] + B) if name in total else (A, B)
    missing = [name for name in f.net.params if name not in total]
    if missing:
        raise ValueError(f"{', '.join(missing)}: a convolution in groups has no Kronecker factors; expected one group")
    joined = iter(f._joined(batch, *(a for name in f.net.params for a in total[name]), theta=theta))
    return {name: (next(joined), next(joined)) for name in f.net.params}
