"""The directions along which a function is tested."""

import numpy as np

from .numbers import float64, real, require_shape


def sizes_of(x):
    """The size of each entry; for a zero the least of the others, at most 1."""
    size = np.abs(float64(x))
    return np.where(size > 0, size, size[size > 0].min(initial=1.0))


def scale_of(x):
    """How far each entry is moved: by the greatest of itself, the median of all and 1."""
    own = sizes_of(x)
    return np.maximum(own, max(1.0, 2 * np.median(own / 2)))  # the mean of two may not overflow


def random_directions(x, rng, weights=None, signs=None):
    """Three of them: of x's scale, of the entries' own sizes, and a long one, where round-off hides what smaller steps change.

    An entry that adds more to J d than the median is moved less, down to an eighth of its own size.
    """
    for scale in (scale_of(x), sizes_of(x), 8 * scale_of(x)):
        d = random_direction(x, rng, scale)
        if weights is not None:
            share = weights * np.abs(d)
            most = np.median(share[share > 0]) if (share > 0).any() else np.inf
            d = np.where(share > most, d * np.maximum(most / share, np.minimum(1, sizes_of(x) / (8 * np.abs(d)))), d)
        yield d if signs is None else np.copysign(d, signs)


def random_direction(x, rng, scale=None):
    """No entry is far from its scale: one that is hardly moved would hardly be tested."""
    scale = scale_of(x) if scale is None else scale
    return scale * rng.uniform(0.5, 1.5, x.shape) * rng.choice([-1.0, 1.0], x.shape)


def given_direction(d, x):
    """The user's own direction in float64. ValueError where its shape is not that of x."""
    d = real(d, "d")
    require_shape("d", d, x.shape, "x")
    return float64(d)
