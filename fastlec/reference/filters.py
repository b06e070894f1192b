"""Image filtering (section 5.1)."""

import numpy as np

from .arrays import float64


def filter2d(image, kernel, mode="reflect", cval=0.0):
    """sum_ij kernel[i, j] image[a + i - r // 2, b + j - s // 2]: correlation, as scipy.ndimage.correlate, of kernel's shape (r, s).

    image is (h, w) or (h, w, channels), each channel by itself. What lies outside, by mode, for a row a b c d:
        reflect  d c b a | a b c d | d c b a      mirror  d c b | a b c d | c b a      nearest  a a a | a b c d | d d d
        wrap     a b c d | a b c d | a b c d      constant: cval
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
