"""K-means: Lloyd's algorithm and the same by bounds, from k-means++, over arrays and memmaps of any size.

The lecture names the chapter (contents 3); the formulation is the standard one: centers c_j and labels that lower

    sum_i w_i |x_i - c_label(i)|^2

by turns: each sample to its nearest center, each center to the mean of its samples (Lloyd, IEEE Trans. Inf. Theory 28, 1982).
The nearest center is that of the largest score <x, c> - |c|^2 / 2, a matrix product whose tiles never leave the caches. X is read
in place, a segment at a time; what is no plain array is converted a segment at a time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np

from . import _check
from ._comm import Communicator, Group, alone, on_ranks, together
from ._kernels.kmeans import MOST_GROUPS, Clusters, distances, moments
from ._stream import Stream, draws, matrix, parts

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

    from ._typing import FloatArray, Seed

__all__ = ["KMeansResult", "kmeans"]


def __dir__() -> list[str]:
    return __all__


ALGORITHMS = ("auto", "lloyd", "bounds")
STARTS = ("k-means++", "random")
FAR = 3.0  # |mean|^2 in units of the variance from which on the mean is subtracted: else it costs no digit
BOUNDS_CENTERS, BOUNDS_PRODUCTS = 32, 4000  # centers, and features times centers, from which on bounds pay; by timing
SETTLED = 8  # bounds, and sums of what moves alone, pay once less than an eighth of the samples changes its label
MANY_VALUES = 1 << 16  # of X; below, passes cost less than what is done between them
LOST = 1e-3  # share of the squares of samples below which their inertia is no difference of sums
REFRESH = 64  # iterations after which sums are made anew
MOST_CLUSTERS = 1 << 24  # numbers that float32 holds
NO_BETTER = 10  # batches without progress that end the mini-batch form
SEEN_BEFORE = 10  # samples for each center, on average, before one that has got none counts as empty
LIMITS = {"float32": (30, 126), "float64": (300, 1022)}  # exponents of |x| that need no scaling, and of the largest scale


@dataclass(frozen=True, eq=False)
class KMeansResult:
    """What `kmeans` has found.

    Parameters
    ----------
    centers : ndarray, shape (k, n)
        The centers, in X's dtype.
    labels : ndarray of int32, shape (m,)
        The nearest center of each sample, of several the first.
    inertia : float
        The sum of w_i abs(x_i - c_label(i))^2 for these centers and labels.
    n_iter : int
        The number of iterations, or of batches.

    See Also
    --------
    kmeans

    Examples
    --------
    >>> import numpy as np
    >>> import fastlec
    >>> found = fastlec.kmeans(np.array([[0.0], [1.0], [10.0], [11.0]]), 2, rng=0)
    >>> found.labels[0] == found.labels[1] != found.labels[2] == found.labels[3]
    np.True_
    >>> sorted(found.centers.ravel().tolist()), found.inertia
    ([0.5, 10.5], 1.0)
    """

    centers: FloatArray
    labels: NDArray[np.int32] = field(repr=False)
    inertia: float
    n_iter: int
    _mean: np.ndarray | float = field(init=False, repr=False, default=0.0)
    _shift: np.ndarray | None = field(init=False, repr=False, default=None)
    _scale: float = field(init=False, repr=False, default=1.0)
    _seen: float = field(
        init=False, repr=False, default=0.0
    )  # the inertia as kernels see it, where it neither overflows nor vanishes

    @classmethod
    def _made(cls, centers, labels, inertia, n_iter, **seen):
        """A result with _mean, _shift, _scale and _seen, which say how kernels see samples."""
        found = cls(centers, labels, inertia, n_iter)
        vars(found).update(seen)
        return found

    def predict(self, X: ArrayLike) -> NDArray[np.int32]:
        """Nearest centers of samples.

        Parameters
        ----------
        X : array_like, shape (samples, n)
            The samples. Computing happens in the centers' dtype.

        Returns
        -------
        ndarray of int32, shape (samples,)
            The numbers of the centers: `labels` for the X that was clustered.

        Raises
        ------
        TypeError
            If `X` does not hold real numbers.
        ValueError
            If `X` has another number of features, or holds NaN or infinity.
        """
        samples = _Samples(X, None, self.centers.dtype)
        _check.shape(samples.X, "X", (samples.m, self.centers.shape[1]), " to match the centers")
        samples.see_as(self)
        labels = np.zeros(samples.m, np.int32)
        _Iteration(samples, len(self.centers)).nearest(samples.seen(self.centers), labels)
        return labels


@on_ranks
def kmeans(
    X: ArrayLike | Stream,
    n_clusters: int,
    *,
    init: Literal["k-means++", "random"] | ArrayLike = "k-means++",
    n_init: int = 1,
    max_iter: int = 300,
    tol: float = 1e-4,
    sample_weight: ArrayLike | None = None,
    rng: Seed | None = None,
    algorithm: Literal["auto", "lloyd", "bounds"] = "auto",
    batch_size: int | None = None,
    callback: Callable[[int, float], object] | None = None,
    comm: Communicator | None = None,
) -> KMeansResult:
    """Cluster samples around centers, each sample to the nearest (k-means).

    Parameters
    ----------
    X : array_like or Stream, shape (m, n)
        The samples, or what a `data.Stream` is made of, which is read block by block. float32 and float64 are read in place if each
        row is contiguous. Integers, float16, other strides and byte orders are converted by parts.
    n_clusters : int
        The number of centers, from 1 to m.
    init : {"k-means++", "random"} or array_like of shape (n_clusters, n), optional
        The start: greedy k-means++ [1]_, with 2 + log(n_clusters) candidates for each center; random samples; or the centers.
    n_init : int, optional
        How many starts, of which the one with the least inertia counts. Given centers are one.
    max_iter : int, optional
        Iterations, or passes over `X` in mini-batches, at most.
    tol : float, optional
        It ends once the squared distance by which the centers have moved is at most this, in units of the features' mean variance;
        with 0 once no label changes.
    sample_weight : array_like, shape (m,), optional
        Finite weights >= 0, not all 0.
    rng : int or numpy.random.Generator, optional
        The seed, or the generator, of random numbers.
    algorithm : {"auto", "lloyd", "bounds"}, optional
        "bounds" leaves out the products that cannot change a label [2]_, with a group of centers for each of Elkan's bounds. It
        finds the same labels and centers bit by bit. "auto" chooses by shape.
    batch_size : int, optional
        Mini-batches [3]_: each iteration takes so many random samples, as if there were none of weight 0, and moves the centers to
        the means of all that they have got until now. It ends once 10 batches have not lowered the smoothed inertia. A center
        counts as one without samples only after 10 n_clusters samples.
    callback : callable, optional
        It is called as ``callback(iteration, inertia)`` after each iteration, with the inertia of the labels at the centers that
        they were found by, of a batch times m / batch_size. True ends the run from this start.
    comm : Communicator, optional
        The processes, each with samples of its own, that cluster together, as of `fit`. Centers and inertia are those of all
        samples, with the same bits on every rank, and labels those of the rank's own. `rng` and given centers are rank 0's.

    Returns
    -------
    KMeansResult
        Centers, labels, inertia and the number of iterations.

    Raises
    ------
    TypeError
        If an argument is of another type, or does not hold real numbers.
    ValueError
        If shapes do not fit, or there is NaN or infinity, whose place is named.
    MemoryError
        If so many clusters do not fit into memory.
    RankError
        With `comm`: another rank, which the message names, has failed.

    See Also
    --------
    KMeansResult, datasets.make_blobs

    Notes
    -----
    Centers and labels take turns to lower sum_i w_i abs(x_i - c_label(i))^2 (Lloyd's algorithm). A center without samples moves to
    the sample that is farthest from its own center; where all samples lie on centers, as with fewer distinct samples than clusters,
    it moves to that of the largest cluster. Sums are made in float64, in an order that does not depend on the number of threads.
    The mean of `X` is subtracted on the way where it is large, so that float32 far from the origin keeps its digits.

    References
    ----------
    .. [1] Arthur and Vassilvitskii, "k-means++: the advantages of careful seeding", SODA 2007.
    .. [2] Ding et al., "Yinyang k-means", ICML 2015.
    .. [3] Sculley, "Web-scale k-means clustering", WWW 2010.

    Examples
    --------
    >>> import numpy as np
    >>> import fastlec
    >>> rng = np.random.default_rng(0)
    >>> X = np.concatenate([center + rng.standard_normal((50, 2)) for center in ([0, 0], [20, 0], [0, 20])])
    >>> found = fastlec.kmeans(X, 3, rng=1)
    >>> np.bincount(found.labels).tolist(), found.n_iter
    ([50, 50, 50], 2)
    >>> found.predict([[19.0, 1.0]]) == found.labels[50]
    array([ True])
    """
    samples = _Samples(X, sample_weight)
    m, n = samples.m, samples.n
    group = samples.group
    if comm is not None and comm.size > 1:
        samples.join(group := comm)
    k = _check.count(n_clusters, "n_clusters", 1, min(samples.total, MOST_CLUSTERS))
    starts, max_iter = _check.count(n_init, "n_init", 1), _check.count(max_iter, "max_iter", 1)
    tol, rng = _check.non_negative(tol, "tol"), _check.generator(rng)
    algorithm = _check.choice(algorithm, ALGORITHMS, "algorithm")
    batch = None if batch_size is None else min(_check.count(batch_size, "batch_size", 1), samples.total)
    if callback is not None:
        _check.function(callback, "callback")
    given = None
    if not isinstance(init, str):
        given = _check.shape(_check.matrix(init, "init"), "init", (k, n), ", a center for each cluster")
        _check.float_dtype(given.dtype, "init")
        with np.errstate(over="ignore"):  # what comes of it is looked at next
            given = _check.plain(given, samples.dtype, "init")
        _check.finite(given, "init")
        starts = 1
    else:
        _check.choice(init, STARTS, "init")
    _check.memory(8 * (k * n + k) * 20 + m * (samples.dtype.itemsize + 4), f"{k} clusters of {m} samples of {n} features")
    if group.size > 1:
        settings = {"n_clusters": k, "init": init if given is None else "centers", "n_init": starts, "max_iter": max_iter}
        settings |= {
            "tol": tol,
            "algorithm": algorithm,
            "batch_size": batch,
            "whether there is a callback": callback is not None,
        }
        group.agree(settings)
        rng = np.random.default_rng(group.of_root(lambda: int(rng.integers(1 << 53))))
        given = None if given is None else group.of_root_array(given)
    samples.measure()

    best = None
    for _ in range(starts):
        start = samples.seen(given) if given is not None else _START[init](samples, k, rng)
        if batch is None:
            found = _lloyd(samples, start, max_iter, tol, algorithm, callback)
        else:
            found = _mini_batches(samples, start, max_iter, tol, batch, rng, callback)
        if best is None or found._seen < best._seen:
            best = found
    return best


# --- samples ---------------------------------------------------------------------------------------------------------


class _Samples:
    """The rows of X, and how kernels see them: as they are, or as x * scale - shift where digits would be lost otherwise.

    mean : of the samples as kernels see them. Centers are measured from it. group : the ranks that have samples, and total how
    many these are.
    """

    shift, scale = None, 1.0

    def __init__(self, X, weight, dtype=None):
        X = matrix(X)
        own = _check.float_dtype(X.dtype, "X")
        self.dtype = dtype or own
        if isinstance(X, Stream):
            self.X, self.in_place = X.astype(self.dtype), True
        else:
            fits = X.dtype == self.dtype and X.dtype.isnative and X.flags.aligned and X.strides[0] % X.itemsize == 0
            self.X, self.in_place = X.view(np.ndarray), fits and (X.shape[1] == 1 or X.strides[1] == X.itemsize)
        self.m, self.n = X.shape
        self.mean = np.zeros(self.n, self.dtype)
        self.group, self.total = alone(), self.m
        self.weight, self.exponent = None, 0  # weights count as w / 2^exponent
        if weight is not None:
            self.weight, _ = _check.weights(weight, self.m)
            self.exponent = int(np.frexp(float(_check.as_array(weight, "sample_weight").max()))[1])

    def join(self, group: Group):
        """With those of other ranks."""
        self.group = group
        found = group.gather((self.n, str(self.dtype), self.weight is None, self.m, self.exponent))
        for rank, theirs in enumerate(found):
            if theirs[:3] != found[0][:3]:
                says = [f"{n} features in {dtype} with{'out' * alone} weights" for n, dtype, alone, _, _ in (theirs, found[0])]
                raise together(ValueError(f"X has {says[0]} on rank {rank} and {says[1]} on rank 0; expected the same"))
        self.total, exponent = sum(m for *_, m, _ in found), max(theirs[-1] for theirs in found)
        if self.weight is not None:
            self.weight, self.exponent = np.ldexp(self.weight, self.exponent - exponent), exponent

    def segments(self, rows):
        """(slice, X, weight) of so many samples at a time, as the kernels take them."""
        for part, X in parts(self.X, rows):
            if not self.in_place:
                with np.errstate(over="ignore"):  # what comes of it is looked at
                    X = _check.plain(X, self.dtype)
            yield part, X, None if self.weight is None else self.weight[part]

    def measure(self):
        """Looks for what is not finite, and chooses how samples count."""
        sums, squares, top = self._of_all()
        exponent, (most, largest) = int(np.frexp(top)[1]), LIMITS[self.dtype.name]
        if top and abs(exponent) > most:
            self.scale = math.ldexp(1.0, min(3 - exponent, largest))
            sums, squares, top = self._of_all()
        mean = sums / self.total
        far = _dot(mean, mean) > FAR * (squares / self.total - _dot(mean, mean))
        if far or self.scale != 1:
            self.shift = mean.astype(self.dtype)
            sums, squares, top = self._of_all()
            mean = sums / self.total
        self.mean = mean.astype(self.dtype)
        self.variance = max(squares / self.total - _dot(mean, mean), 0.0) / self.n  # the mean over the features

    def see_as(self, result):
        """As those of a result, or smaller by a power of two where these here are far larger."""
        top = self._moments()[2]
        exponent, most = int(np.frexp(top * result._scale)[1]), LIMITS[self.dtype.name][0]
        smaller = math.ldexp(1.0, -exponent) if exponent > most else 1.0
        self.scale, self.mean[:] = result._scale * smaller, result._mean * self.dtype.type(smaller)
        if result._shift is not None or self.scale != 1:
            self.shift = np.zeros(self.n, self.dtype)
            self.shift[:] = 0 if result._shift is None else result._shift * self.dtype.type(smaller)

    def _of_all(self):
        """`_moments` of the samples of all ranks."""
        sums, squares, top = self._moments()
        if self.group.size > 1:
            total = self.group.sum(np.append(sums, squares))
            sums, squares, top = total[:-1], float(total[-1]), max(self.group.gather(top))
        return sums, squares, top

    def _moments(self, squares=None, shift=None):
        """The sums of the columns and of all squares, and the largest |x|. squares : becomes |x|^2 of each sample."""
        total, top, shift = np.zeros(self.n + 1), 0.0, self.shift if shift is None else shift
        for part, X, _ in self.segments(_segment(self)):
            found = moments(X, np.empty(len(X), self.dtype) if squares is None else squares[part], shift, self.scale)
            if not np.isfinite(found).all():
                _check.finite(X, "X", first=part.start)
            with np.errstate(all="ignore"):  # of squares that the scale will make smaller
                total += found[:, :-1].sum(axis=0)
            top = max(top, float(found[:, -1].max()))
        return total[:-1], float(total[-1]), top

    @cached_property
    def squares(self):
        """|x - mean|^2."""
        squares = np.empty(self.m, self.dtype)
        self._moments(squares, self.mean if self.shift is None else self.shift + self.mean)
        return squares

    @cached_property
    def mean_square(self):
        return float(_dot(self.mean, self.mean))

    def seen(self, x):
        """Points in X's own units as kernels see them, float64."""
        x = np.asarray(x, np.float64)
        if self.shift is None:
            return x
        with np.errstate(over="ignore"):  # of a start far beyond the samples
            return self._bounded(x * self.scale - self.shift)

    def _bounded(self, x):
        most = float(np.finfo(self.dtype).max)
        return np.clip(x, -most, most)

    def given(self, x):
        """Points (float64) that kernels see in X's own units."""
        if self.shift is None:
            return x.astype(self.dtype)
        with np.errstate(over="ignore"):  # of the largest numbers, by rounding
            return self._bounded((x + self.shift) / self.scale).astype(self.dtype)

    def rows(self, which):
        """Some samples, as kernels see them, float64."""
        x = self.X[which].astype(self.dtype)
        return (x if self.shift is None else x * self.dtype.type(self.scale) - self.shift).astype(np.float64)

    def measured(self, x):
        """Points (float64) that kernels see, measured from the mean."""
        return (x - self.mean).astype(self.dtype)

    def distances(self, centers, labels, out=None):
        """The inertia, as kernels see samples, of centers in X's own units; out : the squared distances."""
        shift = None
        if self.scale != 1:
            with np.errstate(over="ignore"):  # of a start far beyond the samples
                centers, shift = centers * self.dtype.type(self.scale), np.zeros(self.n, self.dtype)
        total = 0.0
        for part, X, weight in self.segments(_segment(self)):
            here = None if out is None else out[part]
            total += distances(X, centers, labels[part], weight, shift, self.scale, here)
        return total

    def inertia(self, centers, labels):
        """Of the samples of all ranks."""
        return float(self.group.sum(np.array([self.distances(centers, labels)]))[0])

    def in_units(self, inertia):
        """The inertia of X, given that of the samples as kernels see them."""
        with np.errstate(over="ignore", under="ignore"):
            return float(np.ldexp(inertia, self.exponent - 2 * (math.frexp(self.scale)[1] - 1)))


def _dot(a, b):
    """In float64, and not by BLAS, whose threads change the last digits."""
    return np.einsum("i,i->", a, b, dtype=np.float64)


def _segment(samples, n_bytes=1 << 26):
    return max(n_bytes // (samples.n * samples.dtype.itemsize), 1)


# --- starts ----------------------------------------------------------------------------------------------------------


def _random(samples, k, rng):
    """Different samples, as likely as their weights; of weight 0 only if there are no others."""
    if samples.group.size > 1:
        return _random_of_all(samples, k, rng)
    share = _share(samples.weight)
    chosen = rng.choice(samples.m, min(k, samples.m if share is None else np.count_nonzero(share)), False, share)
    if len(chosen) < k:
        chosen = np.concatenate([chosen, rng.choice(np.flatnonzero(share == 0), k - len(chosen), False)])
    return samples.rows(chosen)


def _random_of_all(samples, k, rng):
    """The same of the samples of all ranks: those of the largest log(u) / weight, u uniform (Efraimidis and Spirakis 2006,
    "Weighted random sampling with a reservoir")."""
    own = np.random.default_rng((int(rng.integers(1 << 53)), samples.group.rank))
    keys = np.log(1 - own.random(samples.m))
    if samples.weight is not None:
        counts = samples.weight > 0
        keys = np.where(counts, keys / np.where(counts, samples.weight, 1), -np.inf)
    first = np.argsort(-keys, kind="stable")[:k]
    found = [pair for pairs in samples.group.gather(list(zip(keys[first], samples.rows(first), strict=True))) for pair in pairs]
    return np.stack([x for _, x in sorted(found, key=lambda pair: -pair[0])[:k]])


def _one_of_all(samples, count, rng):
    """So many samples, each as likely as its weight."""
    if samples.group.size == 1:
        return samples.rows(rng.choice(samples.m, count, p=_share(samples.weight)))
    weight = np.ones(samples.m) if samples.weight is None else samples.weight
    return _at(samples, np.cumsum(weight), rng.random(count))


def _at(samples, chance, shares):
    """The samples at these shares of the sum of all ranks' chances. chance : their sums from the first sample on."""
    group = samples.group
    totals = np.array(group.gather(float(chance[-1])))
    ends = np.cumsum(totals)
    places = shares * ends[-1]
    ranks = np.minimum(np.searchsorted(ends, places, side="right"), group.size - 1)
    found, own = np.zeros((len(shares), samples.n)), ranks == group.rank
    which = np.searchsorted(chance, places[own] - (ends - totals)[group.rank], side="right")
    found[own] = samples.rows(np.minimum(which, samples.m - 1))
    return group.sum(found)


def _share(weight):
    return None if weight is None else weight / weight.sum()


def _plus_plus(samples, k, rng):
    """Each next center is a sample, drawn with odds of its weight times its squared distance to the nearest center until now: of
    several such candidates the one that leaves the least sum of these."""
    trials = 2 + int(math.log(k))
    centers = np.empty((k, samples.n))
    nearest = np.full(samples.m, np.inf, samples.dtype)
    one = _Iteration(samples, 1)
    several = _Iteration(samples, trials) if k > 1 else None
    centers[:1] = _one_of_all(samples, 1, rng)
    for j in range(k):
        if j:
            chance = np.cumsum(nearest if samples.weight is None else samples.weight * nearest, dtype=np.float64)
            if samples.group.any(chance[-1] > 0):
                candidates = _at(samples, chance, rng.random(trials))
            else:  # every sample lies on a center
                candidates = _one_of_all(samples, trials, rng)
            centers[j] = candidates[np.argmin(samples.group.sum(several.potentials(candidates, nearest)))]
        one.potentials(centers[j : j + 1], nearest, keep=True)
    return centers


_START = {"k-means++": _plus_plus, "random": _random}


# --- iterations ------------------------------------------------------------------------------------------------------


class _Iteration:
    """What is done with k centers: the kernels and their memory, and the bounds once there are any."""

    def __init__(self, samples, k):
        self.samples, self.k = samples, k
        self.clusters = Clusters(samples.dtype.num, samples.m, samples.n, k)
        self.order = np.arange(k)
        self.bounded = False

    @property
    def bounds_bytes(self):
        """What `use_bounds` takes, at most."""
        return self.samples.m * self.samples.dtype.itemsize * (1 + min(self.clusters.columns, MOST_GROUPS))

    def set(self, centers):
        """centers : (k, n), as kernels see samples, float64. Returns them as they are measured from the mean."""
        samples, dtype = self.samples, self.samples.dtype
        columns = np.full((2, self.clusters.columns), -np.inf, dtype)
        with np.errstate(over="ignore", invalid="ignore"):
            seen, centers = centers.astype(dtype), samples.measured(centers)
            squares = np.einsum("ij,ij->i", centers, centers, dtype=np.float64)
            bias = (-squares / 2 - np.einsum("ij,j->i", centers, samples.mean, dtype=np.float64)).astype(dtype)[self.order]
        ordered, finite = centers[self.order], np.isfinite(bias)
        if not finite.all():  # a start so far away that it is nearest to no sample: no score becomes NaN
            ordered[~finite], bias[~finite] = 0, -np.inf
        columns[0, : self.k], columns[1, : self.k] = bias, -self.order
        self.clusters.set_centers(seen, ordered, columns)
        if not self.bounded:
            return centers
        fresh = self.before is None
        drift = np.zeros(self.k) if fresh else np.sqrt(np.square(centers - self.before, dtype=np.float64).sum(axis=1))
        eps = np.finfo(centers.dtype).eps
        drift = np.nextafter((drift * (1 + 4 * eps)).astype(centers.dtype), centers.dtype.type(np.inf))
        self.clusters.set_drift(
            drift,
            np.maximum.reduceat(drift[self.order], np.arange(0, self.k, self.clusters.group_columns)),
            self.group,
            (math.sqrt(squares.max()) + math.sqrt(samples.mean_square)) * (1 + 4 * eps),
            2 * (samples.n + 16) * eps,
            fresh,
        )
        self.before = centers
        return centers

    def use_bounds(self, centers):
        """From the next `set` on: groups of centers that are near each other."""
        self.clusters.use_bounds()
        size, left, order = self.clusters.group_columns, np.arange(self.k), []
        while len(left):
            c = centers[left]
            first = c[np.argmax(((c - c.mean(axis=0)) ** 2).sum(axis=1))]
            near = np.argsort(((c - first) ** 2).sum(axis=1), kind="stable")[:size]
            order.append(np.sort(left[near]))
            left = np.delete(left, near)
        self.order, self.bounded, self.before = np.concatenate(order), True, None
        self.group = np.empty(self.k, np.int32)
        self.group[self.order] = np.arange(self.k) // size

    def run(self, labels, **options):
        """One pass over the samples. Returns how many labels have changed."""
        samples = self.samples
        for part, X, weight in samples.segments(self.clusters.segment):
            squares = samples.squares[part] if self.bounded else None
            self.clusters.run(X, part.start, labels[part], weight, samples.shift, samples.scale, squares=squares, **options)
        return self.clusters.changed()

    def nearest(self, centers, labels):
        """Labels of the samples by these centers, no sums."""
        self.set(centers)
        self.run(labels, sums=False)

    def potentials(self, candidates, nearest, keep=False):
        """The weighted sum of the squared distances to the nearest center if each of the candidates were one."""
        self.set(candidates)
        samples, total = self.samples, 0.0
        for part, X, weight in samples.segments(self.clusters.segment):
            given = samples.squares[part], nearest[part], weight, samples.shift, samples.scale, samples.mean_square
            total = total + self.clusters.seed(X, *given, keep)
        return total

    def sums(self):
        """Sums (k, n) of the samples of each cluster, as kernels see them, and their weights (k,), of the last pass."""
        total = self.clusters.totals().copy()
        split = self.k * self.samples.n
        return total[:split].reshape(self.k, -1), total[split:]

    def of_all(self, changed, sums, weights):
        """The same of all ranks."""
        if self.samples.group.size == 1:
            return changed, sums, weights
        total = self.samples.group.sum(np.concatenate([[changed], sums.ravel(), weights]))
        return int(total[0]), total[1 : 1 + sums.size].reshape(sums.shape), total[1 + sums.size :]

    def move(self, sums, weights, former, labels):
        """Takes the samples whose labels are not the former ones from sum to sum."""
        samples, size = self.samples, self.clusters.segment
        changed = np.flatnonzero(labels != former)
        for start in range(0, len(changed), size):
            which = changed[start : start + size]
            X = samples.X[which].astype(samples.dtype)
            for sign, of in ((1, labels), (-1, former)):
                self.clusters.run(X, 0, of[which], None, samples.shift, samples.scale, assign=False)
                more, count = self.sums()
                sums += sign * more
                weights += sign * count


def _lloyd(samples, means, max_iter, tol, algorithm, callback):
    """From these centers, float64, as kernels see samples, to a result."""
    iteration, labels = _Iteration(samples, len(means)), np.zeros(samples.m, np.int32)
    many = samples.total * samples.n >= MANY_VALUES
    wants_bounds = algorithm == "bounds"
    if algorithm == "auto" and many and len(means) >= BOUNDS_CENTERS and means.size >= BOUNDS_PRODUCTS:
        wants_bounds = iteration.bounds_bytes < _check.MEMORY_FROM or iteration.bounds_bytes < _check.memory_left() / 4
    elif wants_bounds:
        _check.memory(iteration.bounds_bytes, f"bounds of {samples.m} samples for {len(means)} clusters")
    moves = many and samples.weight is None  # weights are no integers: their sums would not return to 0
    moves = moves and not isinstance(samples.X, Stream)  # which is read once, in order
    squares = _total_squares(samples) if callback else None
    changed, since, stop, own_sums, own_weights = samples.total, 0, False, None, None
    for n_iter in range(1, max_iter + 1):
        settled = n_iter > 1 and changed * SETTLED < samples.total
        if wants_bounds and settled and not iteration.bounded:
            iteration.use_bounds(means)
        centers = iteration.set(means)
        if settled and moves and since < REFRESH:
            former, since = labels.copy(), since + 1
            changed = iteration.run(labels, sums=False)
            iteration.move(own_sums, own_weights, former, labels)
        else:
            changed, since = iteration.run(labels), 0
            own_sums, own_weights = iteration.sums()
        changed, sums, weights = iteration.of_all(changed, own_sums, own_weights)
        if callback:
            inertia = _inertia(samples, squares, sums, weights, means, centers, labels)
            stop = samples.group.any(callback(n_iter, samples.in_units(inertia)))
        found_by, (means, relocated) = means, _means(samples, sums, weights, means, labels)
        with np.errstate(over="ignore"):  # infinity: far
            step = float(np.square(samples.measured(means) - centers, dtype=np.float64).sum())
        if (n_iter > 1 and not changed and not relocated) or step <= tol * samples.variance or stop:
            break
    if since:  # what has left a sum may have taken its last digits along
        iteration.run(labels, assign=False)
        means, _ = _means(samples, *iteration.of_all(0, *iteration.sums())[1:], found_by, labels)
    return _finished(samples, iteration, means, centers, labels, n_iter)


def _finished(samples, iteration, means, found_by, labels, n_iter):
    """The result: labels and inertia are those of the centers as they are returned. found_by : those that labels were found by, as
    they are measured from the mean."""
    centers = samples.given(means)
    returned = samples.seen(centers)
    if found_by is None or not np.array_equal(samples.measured(returned), found_by):
        iteration.nearest(returned, labels)
    seen = samples.inertia(centers, labels)
    how = {"_mean": samples.mean, "_shift": samples.shift, "_scale": samples.scale, "_seen": seen}
    return KMeansResult._made(centers, labels, samples.in_units(seen), n_iter, **how)


def _total_squares(samples):
    squares, weight = samples.squares, samples.weight
    found = squares.sum(dtype=np.float64) if weight is None else _dot(weight, squares)
    return float(samples.group.sum(np.array([found]))[0])


def _inertia(samples, squares, sums, weights, means, centers, labels):
    """Of labels with these sums at the means, which are the centers, measured from the samples' mean. squares : the sum of
    w |x - mean|^2; where nearly all of it is that of the centers, the digits of the rest are lost, and distances are added up."""
    c = centers.astype(np.float64)
    sums = sums - np.multiply.outer(weights, samples.mean)
    inertia = squares - 2 * _dot(sums.ravel(), c.ravel()) + _dot(weights, np.einsum("ij,ij->i", c, c))
    return inertia if inertia > squares * LOST else samples.inertia(samples.given(means), labels)


def _means(samples, sums, weights, means, labels):
    """(float64 (k, n), whether one was relocated): the new means of the clusters; the sums of an empty one become 0."""
    if weights.all():
        return sums / weights[:, None], False
    empty = np.flatnonzero(weights == 0)
    sums[empty] = 0
    sums, weights = sums.copy(), weights.copy()
    relocated = _relocate(samples, sums, weights, empty, means, labels)
    new = sums / np.where(weights > 0, weights, 1)[:, None]
    new[weights == 0] = new[np.argmax(weights)]
    return new, relocated


def _relocate(samples, sums, weights, empty, centers, labels):
    """Gives each empty cluster one of the samples that are farthest from their centers, and takes it from its own. Whether there
    was one that is not on its center."""
    far = np.empty(samples.m)
    samples.distances(samples.given(centers), labels, far)
    if samples.weight is not None:
        far[samples.weight == 0] = 0
    count, farthest = min(len(empty), np.count_nonzero(far)), []
    if count:
        least = np.partition(far, samples.m - count)[samples.m - count]
        farthest = np.flatnonzero(far >= least)
        farthest = farthest[np.argsort(-far[farthest], kind="stable")][:count]
    weight = np.ones(samples.m) if samples.weight is None else samples.weight
    found = list(zip(far[farthest], weight[farthest], labels[farthest], samples.rows(farthest), strict=True)) if count else []
    if samples.group.size > 1:
        found = sorted((one for ones in samples.group.gather(found) for one in ones), key=lambda one: -one[0])
    for new, (_, w, old, x) in zip(empty, found, strict=False):
        rest = weights[old] - w
        alone = rest <= 1e-12 * weights[old]  # the only sample of its cluster, which is then empty
        sums[old], weights[old] = (0, 0) if alone else (sums[old] - w * x, rest)
        sums[new], weights[new] = w * x, w
    return bool(found)


# --- mini-batches ----------------------------------------------------------------------------------------------------


def _mini_batches(samples, means, max_iter, tol, batch, rng, callback):
    """As `_lloyd`. got : the weights of all that the centers have got until now."""
    k, got = len(means), np.zeros(len(means))
    counting = None if samples.weight is None else np.flatnonzero(samples.weight)
    m, group = samples.m if counting is None else len(counting), samples.group
    total = int(group.sum(np.array([m]))[0])
    if group.size > 1:
        rng = np.random.default_rng((int(rng.integers(1 << 53)), group.rank))
    own = batch if group.size == 1 else max(round(batch * m / total), 1)  # on this rank
    smoothed = least = np.inf
    past, rate = 0, min(2 * batch / (total + 1), 1.0)
    most = math.ceil(max_iter * total / batch)
    for n_iter, which in zip(range(1, most + 1), draws(samples.X, own, rng, counting), strict=False):
        which = np.sort(which)
        part = _Batch(samples, which)
        iteration, labels = _Iteration(part, k), np.zeros(own, np.int32)
        centers = iteration.set(means)
        iteration.run(labels)
        _, sums, weights = iteration.of_all(0, *iteration.sums())
        inertia = _inertia(part, _total_squares(part), sums, weights, means, centers, labels)
        stop = callback and group.any(callback(n_iter, samples.in_units(inertia * total / batch)))
        empty = np.flatnonzero(got + weights == 0)
        if len(empty) and n_iter * batch >= SEEN_BEFORE * k:
            _relocate(part, sums, weights, empty, means, labels)
        got += weights
        share_of_batch = np.where(got > 0, weights / np.where(got > 0, got, 1), 0)[:, None]
        target = sums / np.where(weights > 0, weights, 1)[:, None]
        former, means = means, means * (1 - share_of_batch) + target * share_of_batch
        if n_iter > 1:  # the first one's is that of the start
            smoothed = inertia if np.isinf(smoothed) else smoothed * (1 - rate) + inertia * rate
            past = 0 if smoothed < least else past + 1
            least = min(least, smoothed)
        with np.errstate(over="ignore"):  # infinity: far
            step = np.square(means - former).sum()
        if stop or past >= NO_BETTER or (tol > 0 and step <= tol * samples.variance):
            break
    iteration = _Iteration(samples, k)
    return _finished(samples, iteration, means, None, np.zeros(samples.m, np.int32), n_iter)


class _Batch(_Samples):
    """Some samples, as kernels see them."""

    def __init__(self, samples, which):
        super().__init__(samples.rows(which).astype(samples.dtype), None)
        self.weight = None if samples.weight is None else samples.weight[which]
        self.mean, self.squares = samples.mean, samples.squares[which]
        self.group, self.total = samples.group, samples.total
