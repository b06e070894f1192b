"""Batch normalization (Ioffe and Szegedy 2015) and layer normalization (Ba, Kiros and Hinton 2016).

Of batches, mean and var, (c,), are given; or None, and then they are those of the batch itself, and depend on x.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from .arrays import Float64Array, float64


def batch_statistics(x: ArrayLike) -> tuple[Float64Array, Float64Array]:
    """The mean and the variance of every channel, over images and pixels.

    The variance is divided by their number n h w.

    Parameters
    ----------
    x : array_like, shape (n, c, h, w)
        Images.

    Returns
    -------
    mean : ndarray, shape (c,)
        The means.
    var : ndarray, shape (c,)
        The variances.

    See Also
    --------
    batch_norm2d

    Examples
    --------
    >>> fastlec.reference.batch_statistics([[[[1.0, 3.0]]]])
    (array([2.]), array([1.]))
    """
    (x,) = float64(x=x)
    return x.mean(axis=(0, 2, 3)), x.var(axis=(0, 2, 3))


def batch_norm2d(
    x: ArrayLike,
    gamma: ArrayLike,
    beta: ArrayLike,
    mean: ArrayLike | None = None,
    var: ArrayLike | None = None,
    eps: float = 1e-5,
) -> Float64Array:
    """Batch normalization of images (Ioffe and Szegedy 2015).

    y = gamma z + beta with z = (x - mean) / sqrt(var + eps), for every channel.

    Parameters
    ----------
    x : array_like, shape (n, c, h, w)
        Images.
    gamma : array_like, shape (c,)
        The scale of each channel.
    beta : array_like, shape (c,)
        The shift of each channel.
    mean, var : array_like, shape (c,), optional
        Given statistics, as after training; None: those of the batch, which depend on x.
    eps : float
        Added to the variance.

    Returns
    -------
    ndarray, shape of x
        The output y, float64.

    See Also
    --------
    fastlec.BatchNorm2d, batch_norm2d_jac_mv, batch_norm2d_jac_tmv

    Examples
    --------
    >>> fastlec.reference.batch_norm2d([[[[1.0, 3.0]]]], [2.0], [1.0], eps=0.0)
    array([[[[-1.,  3.]]]])
    """
    z, _ = _normalized(x, mean, var, eps)
    return _channels(gamma) * z + _channels(beta)


def batch_norm2d_jac_mv(
    x: ArrayLike,
    gamma: ArrayLike,
    beta: ArrayLike,
    mean: ArrayLike | None = None,
    var: ArrayLike | None = None,
    eps: float = 1e-5,
    dx: ArrayLike | None = None,
    dgamma: ArrayLike | None = None,
    dbeta: ArrayLike | None = None,
) -> Float64Array:
    """JacMV of batch normalization, gamma dz + z dgamma + dbeta.

    dz = dx / s with s = sqrt(var + eps). With statistics of the batch dz = (dx - mean(dx) - z mean(z dx)) / s, because
    s ds = mean((x - mean) dx).

    Parameters
    ----------
    x : array_like, shape (n, c, h, w)
        Images.
    gamma : array_like, shape (c,)
        The scale of each channel.
    beta : array_like, shape (c,)
        The shift of each channel.
    mean, var : array_like, shape (c,), optional
        Given statistics, as after training; None: those of the batch, which depend on x.
    eps : float
        Added to the variance.
    dx, dgamma, dbeta : array_like, optional
        Directions, each of the shape of its variable; None for 0.

    Returns
    -------
    ndarray, shape of y
        The Jacobian times the directions: how y changes to first order.

    See Also
    --------
    batch_norm2d, batch_norm2d_jac_tmv

    Examples
    --------
    >>> fastlec.reference.batch_norm2d_jac_mv([[[[1.0, 3.0]]]], [2.0], [1.0], dbeta=[1.0])
    array([[[[1., 1.]]]])
    """
    z, s = _normalized(x, mean, var, eps)
    dy = np.zeros(z.shape)
    if dx is not None:
        dy += _channels(gamma) * _through(*float64(dx=dx), z, s, mean)
    if dgamma is not None:
        dy += z * _channels(dgamma)
    return dy if dbeta is None else dy + _channels(dbeta)


def batch_norm2d_jac_tmv(
    v: ArrayLike,
    x: ArrayLike,
    gamma: ArrayLike,
    beta: ArrayLike,
    mean: ArrayLike | None = None,
    var: ArrayLike | None = None,
    eps: float = 1e-5,
) -> dict[str, Float64Array]:
    """JacTMV of batch normalization.

    The map from dx to dz is symmetric, so it takes gamma v to x; for gamma and beta it is the sums of z v and of v.

    Parameters
    ----------
    v : array_like, shape of y
        What the transposed Jacobian is multiplied with.
    x : array_like, shape (n, c, h, w)
        Images.
    gamma : array_like, shape (c,)
        The scale of each channel.
    beta : array_like, shape (c,)
        The shift of each channel.
    mean, var : array_like, shape (c,), optional
        Given statistics, as after training; None: those of the batch, which depend on x.
    eps : float
        Added to the variance.

    Returns
    -------
    dict of str to ndarray
        For each variable its name, and J' v in its shape.

    See Also
    --------
    batch_norm2d, batch_norm2d_jac_mv

    Examples
    --------
    >>> fastlec.reference.batch_norm2d_jac_tmv([[[[1.0, 3.0]]]], [[[[1.0, 3.0]]]], [2.0], [1.0], [1.0], [1.0], 0.0)
    {'x': array([[[[2., 6.]]]]), 'gamma': array([6.]), 'beta': array([4.])}
    """
    (v,) = float64(v=v)
    z, s = _normalized(x, mean, var, eps)
    dx = _through(_channels(gamma) * v, z, s, mean)
    return {"x": dx, "gamma": (z * v).sum(axis=(0, 2, 3)), "beta": v.sum(axis=(0, 2, 3))}


def batch_norm(
    x: ArrayLike,
    gamma: ArrayLike,
    beta: ArrayLike,
    mean: ArrayLike | None = None,
    var: ArrayLike | None = None,
    eps: float = 1e-5,
) -> Float64Array:
    """Batch normalization of samples, each feature of which is a channel with m values.

    Parameters
    ----------
    x : array_like, shape (m, c)
        Samples in rows.
    gamma : array_like, shape (c,)
        The scale of each channel.
    beta : array_like, shape (c,)
        The shift of each channel.
    mean, var : array_like, shape (c,), optional
        Given statistics, as after training; None: those of the batch, which depend on x.
    eps : float
        Added to the variance.

    Returns
    -------
    ndarray, shape of x
        The output y, float64.

    See Also
    --------
    fastlec.BatchNorm, batch_norm2d

    Examples
    --------
    >>> fastlec.reference.batch_norm([[1.0], [3.0]], [2.0], [1.0], eps=0.0)
    array([[-1.],
           [ 3.]])
    """
    return batch_norm2d(_pixels(x), gamma, beta, mean, var, eps)[:, :, 0, 0]


def batch_norm_jac_mv(
    x: ArrayLike,
    gamma: ArrayLike,
    beta: ArrayLike,
    mean: ArrayLike | None = None,
    var: ArrayLike | None = None,
    eps: float = 1e-5,
    dx: ArrayLike | None = None,
    dgamma: ArrayLike | None = None,
    dbeta: ArrayLike | None = None,
) -> Float64Array:
    """JacMV of batch normalization of samples.

    Parameters
    ----------
    x : array_like, shape (m, c)
        Samples in rows.
    gamma : array_like, shape (c,)
        The scale of each channel.
    beta : array_like, shape (c,)
        The shift of each channel.
    mean, var : array_like, shape (c,), optional
        Given statistics, as after training; None: those of the batch, which depend on x.
    eps : float
        Added to the variance.
    dx, dgamma, dbeta : array_like, optional
        Directions, each of the shape of its variable; None for 0.

    Returns
    -------
    ndarray, shape of y
        The Jacobian times the directions: how y changes to first order.

    See Also
    --------
    batch_norm, batch_norm2d_jac_mv

    Examples
    --------
    >>> fastlec.reference.batch_norm_jac_mv([[1.0], [3.0]], [2.0], [1.0], dbeta=[1.0])
    array([[1.],
           [1.]])
    """
    dx = None if dx is None else _pixels(dx)
    return batch_norm2d_jac_mv(_pixels(x), gamma, beta, mean, var, eps, dx, dgamma, dbeta)[:, :, 0, 0]


def batch_norm_jac_tmv(
    v: ArrayLike,
    x: ArrayLike,
    gamma: ArrayLike,
    beta: ArrayLike,
    mean: ArrayLike | None = None,
    var: ArrayLike | None = None,
    eps: float = 1e-5,
) -> dict[str, Float64Array]:
    """JacTMV of batch normalization of samples.

    Parameters
    ----------
    v : array_like, shape of y
        What the transposed Jacobian is multiplied with.
    x : array_like, shape (m, c)
        Samples in rows.
    gamma : array_like, shape (c,)
        The scale of each channel.
    beta : array_like, shape (c,)
        The shift of each channel.
    mean, var : array_like, shape (c,), optional
        Given statistics, as after training; None: those of the batch, which depend on x.
    eps : float
        Added to the variance.

    Returns
    -------
    dict of str to ndarray
        For each variable its name, and J' v in its shape.

    See Also
    --------
    batch_norm, batch_norm2d_jac_tmv

    Examples
    --------
    >>> fastlec.reference.batch_norm_jac_tmv([[1.0], [2.0]], [[1.0], [3.0]], [2.0], [1.0])["beta"]
    array([3.])
    """
    found = batch_norm2d_jac_tmv(_pixels(v), _pixels(x), gamma, beta, mean, var, eps)
    return found | {"x": found["x"][:, :, 0, 0]}


def _pixels(x):
    """Samples (m, n) as images of one pixel."""
    return float64(x=x)[0][:, :, None, None]


def layer_norm(x: ArrayLike, gamma: ArrayLike | None = None, beta: ArrayLike | None = None, eps: float = 1e-5) -> Float64Array:
    """Layer normalization (Ba, Kiros and Hinton 2016).

    y = gamma z + beta with z = (x - mean) / sqrt(var + eps), where the mean and the variance are those of each row.

    Parameters
    ----------
    x : array_like, shape (m, n)
        Samples in rows.
    gamma : array_like, shape (n,), optional
        The scale of each feature, by default 1.
    beta : array_like, shape (n,), optional
        The shift of each feature, by default 0.
    eps : float
        Added to the variance.

    Returns
    -------
    ndarray, shape of x
        The output y, float64.

    See Also
    --------
    fastlec.LayerNorm, layer_norm_jac_mv, layer_norm_jac_tmv

    Examples
    --------
    >>> fastlec.reference.layer_norm([[1.0, 3.0], [0.0, 10.0]], eps=0.0)
    array([[-1.,  1.],
           [-1.,  1.]])
    """
    z, _ = _normalized_rows(x, eps)
    return _or_one(gamma) * z + (0.0 if beta is None else float64(beta=beta)[0])


def layer_norm_jac_mv(
    x: ArrayLike,
    gamma: ArrayLike | None = None,
    beta: ArrayLike | None = None,
    eps: float = 1e-5,
    dx: ArrayLike | None = None,
    dgamma: ArrayLike | None = None,
    dbeta: ArrayLike | None = None,
) -> Float64Array:
    """JacMV of layer normalization, gamma dz + z dgamma + dbeta.

    dz = (dx - mean(dx) - z mean(z dx)) / sqrt(var + eps).

    Parameters
    ----------
    x : array_like, shape (m, n)
        Samples in rows.
    gamma : array_like, shape (n,), optional
        The scale of each feature, by default 1.
    beta : array_like, shape (n,), optional
        The shift of each feature, by default 0.
    eps : float
        Added to the variance.
    dx, dgamma, dbeta : array_like, optional
        Directions, each of the shape of its variable; None for 0.

    Returns
    -------
    ndarray, shape of y
        The Jacobian times the directions: how y changes to first order.

    See Also
    --------
    layer_norm, layer_norm_jac_tmv

    Examples
    --------
    >>> fastlec.reference.layer_norm_jac_mv([[1.0, 3.0]], dx=[[1.0, 1.0]])
    array([[0., 0.]])
    """
    z, s = _normalized_rows(x, eps)
    dy = np.zeros(z.shape)
    if dx is not None:
        dy += _or_one(gamma) * _through_rows(*float64(dx=dx), z, s)
    if dgamma is not None:
        dy += z * float64(dgamma=dgamma)[0]
    return dy if dbeta is None else dy + float64(dbeta=dbeta)[0]


def layer_norm_jac_tmv(
    v: ArrayLike, x: ArrayLike, gamma: ArrayLike | None = None, beta: ArrayLike | None = None, eps: float = 1e-5
) -> dict[str, Float64Array]:
    """JacTMV of layer normalization.

    The map from dx to dz is symmetric, so it takes gamma v to x; for gamma and beta it is the sums of z v and of v over the
    rows.

    Parameters
    ----------
    v : array_like, shape of y
        What the transposed Jacobian is multiplied with.
    x : array_like, shape (m, n)
        Samples in rows.
    gamma : array_like, shape (n,), optional
        The scale of each feature, by default 1.
    beta : array_like, shape (n,), optional
        The shift of each feature, by default 0.
    eps : float
        Added to the variance.

    Returns
    -------
    dict of str to ndarray
        For each variable its name, and J' v in its shape.

    See Also
    --------
    layer_norm, layer_norm_jac_mv

    Examples
    --------
    >>> fastlec.reference.layer_norm_jac_tmv([[1.0, 2.0]], [[1.0, 3.0]])["beta"]
    array([1., 2.])
    """
    (v,) = float64(v=v)
    z, s = _normalized_rows(x, eps)
    return {"x": _through_rows(_or_one(gamma) * v, z, s), "gamma": (z * v).sum(axis=0), "beta": v.sum(axis=0)}


def _or_one(gamma):
    return 1.0 if gamma is None else float64(gamma=gamma)[0]


def _normalized_rows(x, eps):
    (x,) = float64(x=x)
    s = np.sqrt(x.var(axis=1, keepdims=True) + eps)
    return (x - x.mean(axis=1, keepdims=True)) / s, s


def _through_rows(d, z, s):
    """dz along d."""
    return (d - d.mean(axis=1, keepdims=True) - z * (z * d).mean(axis=1, keepdims=True)) / s


def _channels(a):
    return np.reshape(a, (-1, 1, 1)).astype(np.float64)


def _normalized(x, mean, var, eps):
    (x,) = float64(x=x)
    if mean is None:
        mean, var = batch_statistics(x)
    s = np.sqrt(_channels(var) + eps)
    return (x - _channels(mean)) / s, s


def _through(d, z, s, mean):
    """dz along d."""
    if mean is not None:
        return d / s
    return (d - _mean(d) - z * _mean(z * d)) / s


def _mean(a):
    return a.mean(axis=(0, 2, 3), keepdims=True)
