"""What the derivative tests make of arrays: real numbers, read-only copies, products and norms in float64, refusals by name."""

import numpy as np

from .. import _check


def call(name, function, *arrays):
    """function(*arrays) on read-only copies, its result copied as well: it may be a buffer that the next call reuses."""
    frozen = [np.array(a) for a in arrays]
    for a in frozen:
        a.flags.writeable = False
    return np.array(_check.as_array(function(*frozen), name))


def real(x, name="x"):
    """x as an array of float32 or float64. TypeError where it does not hold real numbers."""
    x = _check.as_array(x, name)
    if not _check.is_real(x.dtype):
        raise TypeError(f"{name} has dtype {x.dtype}; expected real numbers")
    if _check.is_half(x.dtype):
        return x.astype(np.float32)
    return x if x.dtype in (np.float32, np.float64) else x.astype(np.float64)


def float64(a):
    return np.asarray(a, dtype=np.float64)


def dot(a, b):
    return float(np.vdot(float64(a), float64(b)))


def norm(a):
    return float(norms(np.reshape(a, (1, -1)))[0])


def norms(a):
    """Euclidean norms along the last axis, in float64, that neither overflow nor underflow."""
    a = np.abs(float64(a))
    top = a.max(axis=-1, initial=0.0)
    unit = np.where((top > 0) & (top < np.inf), top, 1.0)
    return unit * np.sqrt(np.square(a / unit[..., None]).sum(axis=-1))


def fitted_order(epsilons, errors):
    """The order of the errors in epsilon, by least squares over the logarithms."""
    if len(epsilons) < 2 or not (errors > 0).all():
        return np.nan
    return float(np.polyfit(np.log2(epsilons), np.log2(errors), 1)[0])


def observed_orders(errors):
    """The order that each step shows against the one before."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.concatenate([[np.nan], np.log2(errors[:-1] / errors[1:])])


def not_finite(**arrays):
    return next((f"{name} holds NaN or infinity" for name, a in arrays.items() if not np.isfinite(a).all()), None)


def require_shape(name, array, shape, what):
    if np.shape(array) != tuple(shape):
        raise ValueError(f"{name} has shape {np.shape(array)}; expected {tuple(shape)} to match {what}")


def name_of(name, function):
    """What the result calls the function."""
    if name is not None and not isinstance(name, str):
        raise TypeError(f"name is {_check.shown(name)}; expected text or None")
    return name or getattr(function, "__name__", type(function).__name__)
