"""Batch normalization (Ioffe and Szegedy 2015) and layer normalization (Ba, Kiros and Hinton 2016).

Of batches, mean and var, (c,), are given; or None, and then they are those of the batch itself, and depend on x.
"""

import numpy as np

from .arrays import float64


def batch_statistics(x):
    """(mean, var), (c,) each: of every channel over images and pixels, the variance divided by their number n h w."""
    (x,) = float64(x=x)
    return x.mean(axis=(0, 2, 3)), x.var(axis=(0, 2, 3))


def batch_norm2d(x, gamma, beta, mean=None, var=None, eps=1e-5):
    """gamma z + beta, where z = (x - mean) / sqrt(var + eps), for every channel."""
    z, _ = _normalized(x, mean, var, eps)
    return _channels(gamma) * z + _channels(beta)


def batch_norm2d_jac_mv(x, gamma, beta, mean=None, var=None, eps=1e-5, dx=None, dgamma=None, dbeta=None):
    """gamma dz + z dgamma + dbeta of those that are given.

    dz = dx / s, s = sqrt(var + eps); with statistics of the batch dz = (dx - mean(dx) - z mean(z dx)) / s, because there
    s ds = mean((x - mean) dx).
    """
    z, s = _normalized(x, mean, var, eps)
    dy = np.zeros(z.shape)
    if dx is not None:
        dy += _channels(gamma) * _through(*float64(dx=dx), z, s, mean)
    if dgamma is not None:
        dy += z * _channels(dgamma)
    return dy if dbeta is None else dy + _channels(dbeta)


def batch_norm2d_jac_tmv(v, x, gamma, beta, mean=None, var=None, eps=1e-5):
    """{"x", "gamma", "beta"}: the map from dx to dz is symmetric, so it takes gamma v to x; sums of z v and of v for the others."""
    (v,) = float64(v=v)
    z, s = _normalized(x, mean, var, eps)
    dx = _through(_channels(gamma) * v, z, s, mean)
    return {"x": dx, "gamma": (z * v).sum(axis=(0, 2, 3)), "beta": v.sum(axis=(0, 2, 3))}


def batch_norm(x, gamma, beta, mean=None, var=None, eps=1e-5):
    """`batch_norm2d` of samples x (m, n), each feature of which is a channel with m values."""
    return batch_norm2d(_pixels(x), gamma, beta, mean, var, eps)[:, :, 0, 0]


def batch_norm_jac_mv(x, gamma, beta, mean=None, var=None, eps=1e-5, dx=None, dgamma=None, dbeta=None):
    """`batch_norm2d_jac_mv` of samples x and dx (m, n)."""
    dx = None if dx is None else _pixels(dx)
    return batch_norm2d_jac_mv(_pixels(x), gamma, beta, mean, var, eps, dx, dgamma, dbeta)[:, :, 0, 0]


def batch_norm_jac_tmv(v, x, gamma, beta, mean=None, var=None, eps=1e-5):
    """`batch_norm2d_jac_tmv` of samples x and v (m, n)."""
    found = batch_norm2d_jac_tmv(_pixels(v), _pixels(x), gamma, beta, mean, var, eps)
    return found | {"x": found["x"][:, :, 0, 0]}


def _pixels(x):
    """Samples (m, n) as images of one pixel."""
    return float64(x=x)[0][:, :, None, None]


def layer_norm(x, gamma=None, beta=None, eps=1e-5):
    """gamma z + beta, where z = (x - mean) / sqrt(var + eps) with the mean and the variance of each row of x (m, n); gamma None:
    ones, beta None: zeros."""
    z, _ = _normalized_rows(x, eps)
    return _or_one(gamma) * z + (0.0 if beta is None else float64(beta=beta)[0])


def layer_norm_jac_mv(x, gamma=None, beta=None, eps=1e-5, dx=None, dgamma=None, dbeta=None):
    """gamma dz + z dgamma + dbeta of those that are given; dz = (dx - mean(dx) - z mean(z dx)) / sqrt(var + eps)."""
    z, s = _normalized_rows(x, eps)
    dy = np.zeros(z.shape)
    if dx is not None:
        dy += _or_one(gamma) * _through_rows(*float64(dx=dx), z, s)
    if dgamma is not None:
        dy += z * float64(dgamma=dgamma)[0]
    return dy if dbeta is None else dy + float64(dbeta=dbeta)[0]


def layer_norm_jac_tmv(v, x, gamma=None, beta=None, eps=1e-5):
    """{"x", "gamma", "beta"}: the map from dx to dz is symmetric, so it takes gamma v to x; sums of z v and of v over the rows."""
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
