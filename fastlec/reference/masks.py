"""Dropout (Srivastava et al. 2014) by the counter-based generator Philox 4x32-10 (Salmon et al. 2011)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .arrays import Float64Array, float64


def philox(counter: ArrayLike | Sequence[NDArray[np.uint64]], key: Sequence[int]) -> NDArray[np.uint32]:
    """Random words of the counter-based generator Philox 4x32-10 (Salmon et al. 2011).

    Parameters
    ----------
    counter : array_like, shape (4, n)
        Words of 32 bits.
    key : sequence of two int
        Words of 32 bits.

    Returns
    -------
    ndarray, shape (4, n)
        Four words for each counter, uint32.

    See Also
    --------
    dropout_mask

    Examples
    --------
    >>> fastlec.reference.philox([[0], [0], [0], [0]], (0, 0))[:, 0]
    array([1713891541, 3781805453, 3159862348, 2600524760], dtype=uint32)
    """
    low = np.uint64(0xFFFFFFFF)
    c0, c1, c2, c3 = np.asarray(counter, np.uint64)
    k0, k1 = (int(word) for word in key)
    for _ in range(10):
        a, b = c0 * np.uint64(0xD2511F53), c2 * np.uint64(0xCD9E8D57)  # of 64 bits
        c0, c1, c2, c3 = (b >> np.uint64(32)) ^ c1 ^ np.uint64(k0), b & low, (a >> np.uint64(32)) ^ c3 ^ np.uint64(k1), a & low
        k0, k1 = (k0 + 0x9E3779B9) % 2**32, (k1 + 0xBB67AE85) % 2**32
    return np.stack([c0, c1, c2, c3]).astype(np.uint32)


def dropout_mask(shape: tuple[int, ...], p: float, seed: int, count: int) -> NDArray[np.bool_]:
    """Which elements of a batch dropout keeps: each with the probability 1 - p.

    Element 64 g + 16 k + t, in C order, is kept if word k of block 16 g + t is not below p 2^32.

    Parameters
    ----------
    shape : tuple of int
        That of the batch.
    p : float
        The probability to be left out, in [0, 1).
    seed : int
        Below 2^64.
    count : int
        Of training steps, below 2^64: each has a mask of its own.

    Returns
    -------
    ndarray, shape of the batch
        True where an element is kept.

    See Also
    --------
    dropout, fastlec.Dropout

    Examples
    --------
    >>> fastlec.reference.dropout_mask((2, 4), 0.5, seed=0, count=1)
    array([[ True,  True,  True, False],
           [ True,  True, False, False]])
    """
    size = int(np.prod(shape))
    blocks = np.arange(-(-size // 64) * 16, dtype=np.uint64)
    rest = np.full_like(blocks, count % 2**32), np.full_like(blocks, count >> 32)
    words = philox([blocks % np.uint64(2**32), blocks >> np.uint64(32), *rest], (seed % 2**32, seed >> 32))
    in_order = words.reshape(4, -1, 16).transpose(1, 0, 2).ravel()[:size]
    return (in_order >= min(int(p * 2**32 + 0.5), 2**32 - 1)).reshape(shape)


def dropout(x: ArrayLike, p: float, seed: int, count: int) -> Float64Array:
    """Dropout (Srivastava et al. 2014): x / (1 - p) where an element is kept, else 0.

    Parameters
    ----------
    x : array_like
        Real numbers, of any shape.
    p : float
        The probability to be left out, in [0, 1).
    seed : int
        Below 2^64.
    count : int
        Of training steps, below 2^64: each has a mask of its own.

    Returns
    -------
    ndarray, shape of x
        The elements that are kept, float64.

    See Also
    --------
    fastlec.Dropout, dropout_mask

    Examples
    --------
    >>> fastlec.reference.dropout([1.0, 2.0, 3.0, 4.0], 0.5, seed=0, count=1)
    array([2., 4., 6., 0.])
    """
    (x,) = float64(x=x)
    return np.where(dropout_mask(x.shape, p, seed, count), x / (1 - p), 0.0)
