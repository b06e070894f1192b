"""Dropout (Srivastava et al. 2014) by the counter-based generator Philox 4x32-10 (Salmon et al. 2011)."""

import numpy as np

from .arrays import float64


def philox(counter, key):
    """The four words (4, n), uint32, of every counter (4, n) under the key (2,); counters and key of 32 bits, whole numbers."""
    low = np.uint64(0xFFFFFFFF)
    c0, c1, c2, c3 = np.asarray(counter, np.uint64)
    k0, k1 = (int(word) for word in key)
    for _ in range(10):
        a, b = c0 * np.uint64(0xD2511F53), c2 * np.uint64(0xCD9E8D57)  # of 64 bits
        c0, c1, c2, c3 = (b >> np.uint64(32)) ^ c1 ^ np.uint64(k0), b & low, (a >> np.uint64(32)) ^ c3 ^ np.uint64(k1), a & low
        k0, k1 = (k0 + 0x9E3779B9) % 2**32, (k1 + 0xBB67AE85) % 2**32
    return np.stack([c0, c1, c2, c3]).astype(np.uint32)


def dropout_mask(shape, p, seed, count):
    """Which elements of a batch of this shape are kept, with the probability 1 - p each. seed : below 2^64. count : of training
    steps, below 2^64. Element 64 g + 16 k + t, in C order, is kept if word k of block 16 g + t is not below p 2^32."""
    size = int(np.prod(shape))
    blocks = np.arange(-(-size // 64) * 16, dtype=np.uint64)
    rest = np.full_like(blocks, count % 2**32), np.full_like(blocks, count >> 32)
    words = philox([blocks % np.uint64(2**32), blocks >> np.uint64(32), *rest], (seed % 2**32, seed >> 32))
    in_order = words.reshape(4, -1, 16).transpose(1, 0, 2).ravel()[:size]
    return (in_order >= min(int(p * 2**32 + 0.5), 2**32 - 1)).reshape(shape)


def dropout(x, p, seed, count):
    """x / (1 - p) where an element is kept, else 0."""
    (x,) = float64(x=x)
    return np.where(dropout_mask(x.shape, p, seed, count), x / (1 - p), 0.0)
