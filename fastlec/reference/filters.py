"""Image filtering (section 5.1)."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from .arrays import Float64Array, float64


def filter2d(
    image: ArrayLike,
    kernel: ArrayLike,
    mode: Literal["reflect", "mirror", "nearest", "wrap", "constant"] = "reflect",
    cval: float = 0.0,
) -> Float64Array:
    """Correlation of an image with a kernel (section 5.1), as scipy.ndimage.correlate.

    y[a, b] = sum_ij kernel[i, j] image[a + i - r // 2, b + j - s // 2], of each channel by itself. What lies outside, for a row
    a b c d::

        reflect  d c b a | a b c d | d c b a      mirror  d c b | a b c d | c b a      nearest  a a a | a b c d | d d d
        wrap     a b c d | a b c d | a b c d      constant: cval

    Parameters
    ----------
    image : array_like, shape (h, w) or (h, w, channels)
        The image.
    kernel : array_like, shape (r, s)
        The weights, not turned around.
    mode : {"reflect", "mirror", "nearest", "wrap", "constant"}
        What lies outside the image.
    cval : float
        The value outside, of mode "constant".

    Returns
    -------
    ndarray, shape of image
        The filtered image, float64.

    See Also
    --------
    fastlec.filter2d, fastlec.filters

    Examples
    --------
    >>> fastlec.reference.filter2d([[0.0, 1.0, 4.0, 9.0]], [[-1.0, 0.0, 1.0]])
    array([[1., 4., 8., 5.]])
    """
    image, kernel = float64(image=image, kernel=kernel)
    r, s = kernel.shape
    h, w = image.shape[:2]
    y = np.zeros(image.shape)
    for i in range(r):
        for j in range(s):
            rows, columns = np.arange(h) + i - r // 2, np.arange(w) + j - s // 2
            pixels = image[np.ix_(_border(rows, h, mode), _border(columns, w, mode))]
            if mode == "constant":
                inside = np.outer((rows >= 0) & (rows < h), (columns >= 0) & (columns < w))
                pixels = np.where(inside.reshape(inside.shape + (1,) * (image.ndim - 2)), pixels, cval)
            y += kernel[i, j] * pixels
    return y


def _border(at, n, mode):
    """The index in [0, n) that stands for each of `at`."""
    if mode == "wrap":
        return at % n
    if mode == "reflect":
        at = at % (2 * n)
        return np.minimum(at, 2 * n - 1 - at)
    if mode == "mirror":
        at = at % max(2 * n - 2, 1)
        return np.minimum(at, 2 * n - 2 - at)
    return np.clip(at, 0, n - 1)
