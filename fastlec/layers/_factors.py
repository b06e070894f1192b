"""A layer's Jacobian by its parameters as factors: Gram matrices, Gauss-Newton matrices, their diagonals and Kronecker factors
follow from these, and the Jacobian is never made.

For vectors v_c, c < q, the gradient of <v_c, y> by sample i is the sum of g_icp x_ip' over positions p: one for dense layers,
pixels for convolutions. With D the g's of all samples and vectors and X the x's, J J' is the elementwise product of D D' and X X'
(Novak, Sohl-Dickstein and Schoenholz 2022, "Fast finite width neural tangent kernel"), and J' H J is made of the sums over i of
products of the samples' G' H G and x x'.
"""

import math
from typing import NamedTuple

import numpy as np

from .. import _check
from .._kernels.plan import Plan
from ..functional import matmul

BLOCK_ROWS = 320  # of a Gram matrix that are computed together
CHUNK_BYTES = 1 << 26  # of gradients by single samples that are made at a time
PRODUCT_BYTES = 1 << 23  # of products of x, and of g, likewise
PASS = 90  # multiplications that take as long as one more pass over a block of a Gram matrix


class Factor(NamedTuple):
    """g (m, q, p, k) and x (m, p, n), or None for ones of n = 1, in float64. index (k, n): where the gradient's elements are among
    those of all parameters. columns: {name of a parameter: its columns of x}; none of convolutions in groups."""

    g: np.ndarray
    x: np.ndarray | None
    index: np.ndarray
    columns: dict

    @property
    def sizes(self):
        """(p, k, n)"""
        return *self.g.shape[2:], 1 if self.x is None else self.x.shape[2]

    def ones(self):
        """x, or the ones that it stands for."""
        return np.ones((len(self.g), self.g.shape[2], 1)) if self.x is None else self.x

    def summed(self):
        """Factors without positions: itself, or the gradients, some rows at a time."""
        (p, k, n), rows = self.sizes, math.prod(self.g.shape[:2])
        if p == 1:
            yield self
            return
        x, step = self.ones()[:, None], max(CHUNK_BYTES // max(8 * rows * n, 1), 1)
        for a in range(0, k, step):
            some = np.matmul(self.g[..., a : a + step].swapaxes(2, 3), x)
            index = self.index[a : a + step].reshape(-1, 1)
            yield Factor(some.reshape(*self.g.shape[:2], 1, len(index)), None, index, {})


def from_calls(vectors, shapes):
    """The factors for what layers said to `_samples.Kept` for each vector; parameters come in the order of shapes."""
    ends = np.cumsum([math.prod(shape) for shape in shapes.values()], dtype=int)
    places = {name: np.arange(end - math.prod(shape), end) for (name, shape), end in zip(shapes.items(), ends, strict=True)}
    together = {}
    for calls in zip(*vectors, strict=True):  # what has one g is one factor
        together.setdefault(id(calls[0].g), []).append(calls)
    found = []
    for group in together.values():
        firsts = [calls[0] for calls in group]
        g = np.stack([call.g for call in group[0]], axis=1).astype(np.float64, copy=False)
        if firsts[0].convolution is None:
            xs = [None if a.x is None else a.x[:, None, None] for a in firsts]
            g = g[:, :, None, None]
        else:
            xs = [None if a.x is None else a.convolution.seen(a.x, shapes[a.name]) for a in firsts]
            g = g.reshape(*g.shape[:2], firsts[0].convolution.groups, -1, math.prod(g.shape[3:])).swapaxes(3, 4)
        groups = g.shape[2]
        for i in range(groups):
            columns, parts, indices = {}, [], []
            for call, x in zip(firsts, xs, strict=True):
                index = places[call.name].reshape(groups, g.shape[4], -1)[i]
                indices.append(index)
                parts.append(np.ones((*g.shape[:1], g.shape[3], 1)) if x is None else x[:, i])
                end = sum(a.shape[1] for a in indices)
                columns[call.name] = slice(end - index.shape[1], end)
            x = None if len(xs) == 1 and xs[0] is None else np.concatenate(parts, axis=2, dtype=np.float64)
            own = np.ascontiguousarray(g[:, :, i])
            found.append(Factor(own, x, np.concatenate(indices, axis=1), columns if groups == 1 else {}))
    return found


# --- J J' ------------------------------------------------------------------------------------------------------------


def gram(factors, m, q):
    """J J', (m q, m q): the row of sample i and vector c is number i q + c."""
    _check.memory(8 * (m * q) ** 2, f"a Gram matrix of {m * q} rows")
    K = Plan(np.dtype(np.float64).num).empty(m, q, m, q)
    whole = [factor for factor in factors if factor.sizes[0] == 1 or _by_positions(factor)]
    others = [factor for factor in factors if not any(factor is own for own in whole)]
    if whole:
        _sum_products(K, [_windows(factor) if factor.sizes[0] > 1 else _rows(factor) for factor in whole])
    else:
        K[...] = 0
    for part in (part for factor in others for part in factor.summed()):
        _sum_products(K, [_rows(part)], add=True)
    return K.reshape(m * q, m * q)


def gram_saves(factors):
    """Whether `gram` takes less than to make J and J J'."""
    work, whole = 0, 0
    for factor in factors:
        p, k, n = factor.sizes
        whole += k * n
        q = factor.g.shape[1]
        work += k + PASS + (n + PASS) / q**2 if p == 1 else k * n  # X X' has an entry for q^2 of D D'
    return work < whole


def _by_positions(factor):
    """Whether sums over pairs of positions take less than gradients."""
    (p, k, n), q = factor.sizes, factor.g.shape[1]
    return p * p * (n + k * q) + q * q * p * k < q * q * n * k


def _sum_products(K, products, add=False):
    """K, symmetric, is the sum of the products, or these are added; each gives a block (q, samples, q, samples) for two slices of
    samples."""
    m, q = K.shape[:2]
    step = max(BLOCK_ROWS // q, 1) if q else 1
    blocks = [slice(i, min(i + step, m)) for i in range(0, m, step)]
    for a, rows in enumerate(blocks):
        for columns in blocks[a:]:
            block = products[0](rows, columns)
            for product in products[1:]:
                block += product(rows, columns)
            if rows == columns:  # the same bits on both sides
                square = block.reshape(q * block.shape[1], -1)
                square[...] = np.triu(square) + np.triu(square, 1).T
            place = K[rows, :, columns]
            if add:
                block += place.transpose(1, 0, 3, 2)
            place[...] = block.transpose(1, 0, 3, 2)
            if rows != columns:
                K[columns, :, rows] = place.transpose(2, 3, 0, 1)


def _rows(factor):
    """The blocks of D D' o X X' for a factor of one position."""
    g = factor.g[:, :, 0].swapaxes(0, 1)
    q, _, k = g.shape
    x = None if factor.x is None else factor.x[:, 0]
    inner = None if x is None else matmul(x, x.T)
    known = {}

    def rows(samples):
        if samples.start not in known:
            known[samples.start] = np.ascontiguousarray(g[:, samples]).reshape(-1, k)
        return known[samples.start]

    def product(a, b):
        block = matmul(rows(a), rows(b).T).reshape(q, a.stop - a.start, q, b.stop - b.start)
        if inner is not None:
            block *= inner[a, None, b]
        return block

    return product


def _windows(factor):
    """The same for positions p: the sum over p and p' of D D' o X X'."""
    (p, k, n), x = factor.sizes, factor.ones()
    q = factor.g.shape[1]
    left = factor.g.reshape(len(x), q, p * k)
    right = np.ascontiguousarray(factor.g.transpose(0, 2, 3, 1)).reshape(len(x), p, k * q)

    def product(a, b):
        block = np.empty((q, a.stop - a.start, q, b.stop - b.start))
        for i in range(a.start, a.stop):
            met = matmul(x[i], x[b].reshape(-1, n).T).reshape(p, -1, p).swapaxes(0, 1)
            sums = np.matmul(met, right[b]).reshape(-1, p * k, q)
            block[:, i - a.start] = np.matmul(left[i], sums).transpose(1, 2, 0)
        return block

    return product


# --- J' H J ----------------------------------------------------------------------------------------------------------


def normal_matrix(factors, H, size):
    """J' H J, (size, size), for symmetric H (m, q, q), one block for each sample, or None for the identity."""
    parts = [(part, _times(H, part)) for factor in factors for part in factor.summed()]
    found = np.zeros((size, size))
    for i, (a, _) in enumerate(parts):
        for b, Hb in parts[i:]:
            rows, columns = a.index.ravel(), b.index.ravel()
            block = _normal_block(a, b, Hb).reshape(len(rows), len(columns))
            found[np.ix_(rows, columns)] = block
            if a is not b:
                found[np.ix_(columns, rows)] = block.T
    return found


def normal_saves(factors):
    """Whether `normal_matrix` takes less than to make J and J' J: half of the operations, for they are not done as fast."""
    work = 0
    for i, a in enumerate(factors):
        for b in factors[i:]:
            (pa, ka, na), (pb, kb, nb) = a.sizes, b.sizes
            if pa > 1 or pb > 1 or na * nb == 1:
                work += a.g.shape[1] * ka * na * kb * nb / (2 if a is b else 1)
            else:
                work += math.prod(_pairs(a, b))
    return bool(factors) and 2 * work < factors[0].g.shape[1] * sum(math.prod(a.index.shape) for a in factors) ** 2 / 2


def _pairs(a, b):
    """How many there are of g, and of x, in the products of two factors; of a factor with itself each pair once."""
    (_, ka, na), (_, kb, nb) = a.sizes, b.sizes
    return (ka * (ka + 1) // 2, na * (na + 1) // 2) if a is b else (ka * kb, na * nb)


def _times(H, factor):
    """H times the g of a factor without positions, (m, q, k)."""
    g = factor.g[:, :, 0]
    return g if H is None else np.matmul(H, g)


def _normal_block(a, b, Hb):
    """The part of J' H J by the elements of two factors, (k_a, n_a, k_b, n_b)."""
    (_, ka, na), (_, kb, nb), m = a.sizes, b.sizes, len(a.g)
    Ga = a.g[:, :, 0]
    if na * nb == 1:
        if a.x is not None or b.x is not None:
            Hb = Hb * (a.ones() * b.ones())
        block = matmul(Ga.reshape(-1, ka).T, Hb.reshape(-1, kb)).reshape(ka, 1, kb, 1)
        return (block + block.transpose(2, 3, 0, 1)) / 2 if a is b else block
    same, pairs = a is b, _pairs(a, b)  # the products of a factor with itself are symmetric
    total = np.zeros(pairs)
    for some in _chunks(m, sum(pairs)):
        xa, xb = a.ones()[some], b.ones()[some]
        if same:
            total += matmul(_upper(Ga[some], Hb[some]), _upper(xa, xa).T)
        else:
            M = np.matmul(Ga[some].swapaxes(1, 2), Hb[some]).reshape(-1, ka * kb)
            total += matmul(M.T, (xa.swapaxes(1, 2) * xb).reshape(-1, na * nb))
    return _unpacked(total, ka, na) if same else total.reshape(ka, kb, na, nb).transpose(0, 2, 1, 3)


def _chunks(m, values):
    """Slices of m samples, of each of which there are so many values: few enough for caches, enough for products."""
    step = max(PRODUCT_BYTES // max(8 * values, 1), 64)
    return [slice(i, min(i + step, m)) for i in range(0, m, step)]


def _upper(A, B):
    """The sums over c of A_ica B_icb for a <= b, row after row of pairs: (n (n + 1) / 2, m)."""
    A, B = (np.ascontiguousarray(a.transpose(1, 2, 0)) for a in (A, B))
    _, n, m = A.shape
    found, end = np.empty((n * (n + 1) // 2, m)), 0
    for a in range(n):
        start, end = end, end + n - a
        np.einsum("ci,cbi->bi", A[:, a], B[:, a:], out=found[start:end])
    return found


def _unpacked(pairs, k, n):
    """(k, n, k, n) of what is symmetric in both k and both n, from (k (k + 1) / 2, n (n + 1) / 2)."""
    part, found = np.empty((len(pairs), n, n)), np.empty((k, k, n, n))
    for whole, upper, values in ((part.T, np.triu_indices(n), pairs.T), (found, np.triu_indices(k), part)):
        whole[upper] = whole[upper[::-1]] = values
    return found.transpose(0, 2, 1, 3)


def normal_diagonal(factors, H, size):
    """The diagonal of J' H J, (size,)."""
    found = np.zeros(size)
    for factor in factors:
        for part in factor.summed():
            g = (part.g[:, :, 0] * _times(H, part)).sum(axis=1)
            found[part.index] = matmul(g.T, part.ones()[:, 0] ** 2)
    return found


def covariance(factors, S, q, known):
    """J S J' of each sample, (m, q, q), for symmetric S by all parameters. known: a dict that keeps what is read of S in between,
    for calls with the same S and parameters."""
    parts = [part for factor in factors for part in factor.summed()]
    found = 0.0
    for i, a in enumerate(parts):
        for b in parts[i:]:
            which = a.index[0, 0], a.index.shape, b.index[0, 0], b.index.shape
            if which not in known:
                known[which] = _packed(S, a.index, b.index, a is b)
            term = _contracted(a, b, known[which], a is b)
            found = found + (term if a is b else term + term.swapaxes(1, 2))
    return found if parts else np.zeros((0, q, q))


def _packed(S, rows, columns, same):
    """The part of S by two factors as a matrix (pairs of n, pairs of k), of a symmetric part those a <= b."""
    (ka, na), (kb, nb) = rows.shape, columns.shape
    part = S[np.ix_(rows.ravel(), columns.ravel())].reshape(ka, na, kb, nb).transpose(1, 3, 0, 2)
    if not same:
        return np.ascontiguousarray(part).reshape(na * nb, ka * kb)
    first, second = np.triu_indices(na)
    upper = np.triu_indices(ka)
    pairs = part[first, second][:, *upper] + part[second, first][:, *upper]
    pairs[first == second] /= 2
    return pairs


def _contracted(a, b, packed, same):
    """G_a (the sum of x_a x_b' o S) G_b' of each sample."""
    m, q, _, ka = a.g.shape
    kb, found = b.g.shape[3], np.empty((m, q, q))
    for some in _chunks(m, sum(packed.shape)):
        xa, xb = a.ones()[some], b.ones()[some]
        if same:
            M, upper = np.empty((len(xa), ka, ka)), np.triu_indices(ka)
            M[:, *upper] = M[:, *upper[::-1]] = matmul(_upper(xa, xa).T, packed)
        else:
            M = matmul((xa.swapaxes(1, 2) * xb).reshape(len(xa), -1), packed).reshape(-1, ka, kb)
        found[some] = np.matmul(np.matmul(a.g[some, :, 0], M), b.g[some, :, 0].swapaxes(1, 2))
    return found


def kronecker(factors, H, weight):
    """{name: (A, B)}, A (n, n) the sum over samples i, and mean over positions, of w_i x x' and B (k, k) that of G' H G. Of a
    parameter of which only gradients are known, B is its block of J' H J. Convolutions in groups have none."""
    found = {}
    for factor in factors:
        (p, k, _), g, x = factor.sizes, factor.g, factor.ones()
        if not factor.columns:
            continue
        Hg = g if H is None else np.matmul(H, g.reshape(*g.shape[:2], p * k))
        B = matmul(g.reshape(-1, k).T, Hg.reshape(-1, k))
        A = matmul((x * weight[:, None, None]).reshape(len(x) * p, -1).T, x.reshape(len(x) * p, -1))
        A, B = (A + A.T) / 2, (B + B.T) / 2
        for name, own in factor.columns.items():
            found[name] = A[own, own] / p, B
    return found
