"""All parameters in one flat vector, and the parameters as views of it."""

import numpy as np

from .._kernels.plan import Plan


def views(theta, params):
    """{name: view of theta, flat, of the parameter's shape}."""
    named, start = {}, 0
    for name, a in params.items():
        named[name] = theta[start : start + a.size].reshape(a.shape)
        start += a.size
    return named


def joined(arrays):
    """All of them in one new vector, from the pool, for it is what every step goes over."""
    if not arrays:
        return np.empty(0)
    vector = Plan(arrays[0].dtype.num).empty(sum(a.size for a in arrays))
    return np.concatenate([a.ravel() for a in arrays], out=vector)
