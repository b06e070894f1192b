"""kmeans: its labels, sums and centers against fastlec.reference and scikit-learn; bounds and threads bit by bit."""

import time

import cases
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from signals import Alarm, needs_signals

import fastlec
from fastlec import kmeans, reference
from fastlec.cluster import _Iteration, _plus_plus, _Samples

SHAPES = [  # samples, features, clusters. The edges: strips of 48 samples, tiles of 6 or 12 samples and 4 to 32 centers, depths of
    # 128 and 256 features, samples of up to 128 features one by one, chunks of 128 centers
    *((m, 5, 3) for m in (3, 4, 47, 48, 49, 95, 97, 300)),
    *((60, n, 4) for n in (1, 2, 3, 8, 17, 63, 64, 65, 127, 128, 129, 255, 257, 513)),
    *((140, 9, k) for k in (1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 64, 127, 129, 140)),
    (40, 3000, 2),
    (1, 1, 1),
]
shapes = cases.parametrize("shape", SHAPES)
algorithms = pytest.mark.parametrize("algorithm", ["lloyd", "bounds"])


def groups(rng, m, n, k, dtype=np.float64, spread=1.0):
    """Samples about k points, and k of them to start from."""
    points = spread * rng.standard_normal((k, n))
    X = (points[rng.integers(0, k, m)] + rng.standard_normal((m, n))).astype(dtype)
    return X, X[rng.choice(m, k, replace=False)].copy()


def same(a, b):
    """Two results, bit by bit."""
    assert_array_equal(a.labels, b.labels)
    assert_array_equal(a.centers, b.centers)
    assert (a.inertia, a.n_iter) == (b.inertia, b.n_iter)


def inertia_of(found, X, weight=None):
    squares = ((X.astype(np.float64) - found.centers.astype(np.float64)[found.labels]) ** 2).sum(axis=1)
    return float(squares.sum() if weight is None else weight @ squares)


# --- against the reference -------------------------------------------------------------------------------------------


@shapes
def test_labels_are_the_nearest_centers(shape, isa, dtype, rng, frozen, tolerance):
    """As far as rounding lets one see it; and centers are the means of their samples."""
    m, n, k = shape
    X, start = frozen(*groups(rng, m, n, k, dtype))
    found = kmeans(X, k, init=start, max_iter=1, tol=0)
    labels = reference.nearest_centers(X, start)[0]
    means = [X[labels == j].mean(axis=0, dtype=np.float64) if (labels == j).any() else start[j] for j in range(k)]
    assert_allclose(found.centers, means, rtol=np.finfo(dtype).eps, atol=1e-15)
    x, c = X.astype(np.float64), found.centers.astype(np.float64)
    squares = ((x[:, None] - c) ** 2).sum(axis=2) if m * n * k < 1e6 else np.stack([((x - b) ** 2).sum(axis=1) for b in c], 1)
    error = tolerance("product", dtype) * np.sqrt(n) * (np.linalg.norm(x, axis=1) + np.linalg.norm(c, axis=1).max()) ** 2
    assert (squares[np.arange(m), found.labels] <= squares.min(axis=1) + error).all()
    assert found.labels.dtype == np.int32
    assert found.centers.dtype == dtype
    assert type(found.inertia) is float
    assert_allclose(found.inertia, inertia_of(found, X), rtol=1e-12)
    assert_array_equal(found.predict(X), found.labels)


@algorithms
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@cases.parametrize("shape", [(300, 4, 5), (500, 33, 40), (200, 150, 7)])
def test_iterations_are_the_reference_s(shape, weighted, algorithm, isa, rng):
    m, n, k = shape
    X, start = groups(rng, m, n, k)
    weight = rng.integers(1, 4, m) / 7 if weighted else None
    for options in ({"tol": 0}, {"tol": 1e-2}, {"tol": 0, "max_iter": 3}):
        found = kmeans(X, k, init=start, sample_weight=weight, algorithm=algorithm, **options)
        centers, labels, inertia, n_iter = reference.lloyd(X, start, sample_weight=weight, **options)
        assert_array_equal(found.labels, labels)
        assert_allclose(found.centers, centers, rtol=1e-12, atol=1e-13)
        assert_allclose(found.inertia, inertia, rtol=1e-12)
        assert found.n_iter == n_iter


@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize("offset", [0, 1e3], ids=["origin", "far"])
@cases.parametrize("shape", [(400, 3, 9), (3000, 20, 33), (2500, 7, 130), (900, 200, 50), (300, 130, 16), (5000, 30, 200)])
def test_bounds_change_no_bit(shape, offset, weighted, isa, dtype, rng, monkeypatch):
    m, n, k = shape
    bounded, use_bounds = [], _Iteration.use_bounds
    monkeypatch.setattr(_Iteration, "use_bounds", lambda self, means: bounded.append(k) or use_bounds(self, means))
    X, start = groups(rng, m, n, k, dtype, spread=0.5)
    X, start = X + dtype.type(offset), start + dtype.type(offset)
    weight = rng.random(m) if weighted else None
    by_scores = kmeans(X, k, init=start, tol=0, sample_weight=weight, algorithm="lloyd")
    assert by_scores.n_iter > 4
    assert not bounded
    same(kmeans(X, k, init=start, tol=0, sample_weight=weight, algorithm="bounds"), by_scores)
    assert bounded
    same(kmeans(X, k, init=start, tol=0, sample_weight=weight), by_scores)


@algorithms
@cases.parametrize("shape", [(30_000, 16, 64), (5000, 300, 20)])
def test_teams_agree_bit_by_bit(shape, algorithm, isa, dtype, rng, alone):
    m, n, k = shape
    X, _ = groups(rng, m, n, k, dtype)
    weight = rng.random(m)

    def found():
        plain = kmeans(X, k, rng=1, max_iter=8, algorithm=algorithm)
        return plain, kmeans(X, k, rng=2, max_iter=3, sample_weight=weight), kmeans(X, k, rng=3, batch_size=700, max_iter=1)

    team = found()
    with alone():
        single = found()
    for a, b in zip(team, single, strict=True):
        same(a, b)


@cases.parametrize("shape", [(4000, 16, 20), (600, 784, 10)])
def test_scikit_learn_s_inertia_at_equal_iterations(shape, dtype, rng):
    KMeans = pytest.importorskip("sklearn.cluster").KMeans
    m, n, k = shape
    X, start = groups(rng, m, n, k, dtype, spread=0.3)
    for max_iter in (1, 5, 300):
        found = kmeans(X, k, init=start, tol=0, max_iter=max_iter)
        peer = KMeans(k, init=start, n_init=1, tol=0, max_iter=max_iter, algorithm="lloyd")
        peer.fit(X)
        squares = ((X - peer.cluster_centers_[peer.labels_].astype(np.float64)) ** 2).sum()
        assert_allclose(found.inertia, squares, rtol=1e-6)
        assert found.n_iter == peer.n_iter_


# --- numbers of any size ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("offset", [1e4, 1e6])
def test_float32_far_from_the_origin(offset, isa, rng):
    """The mean is subtracted: the same labels as of the same samples near the origin."""
    steps = rng.integers(-40, 40, (500, 6)) + 400 * rng.integers(0, 3, (500, 1))
    near = steps.astype(np.float32)
    far = (steps + offset).astype(np.float32)
    assert_array_equal(far - np.float32(offset), near)  # no rounding yet
    start = near[:5]
    a = kmeans(near.astype(np.float64), 5, init=start, tol=0)
    b = kmeans(far, 5, init=start + np.float32(offset), tol=0)
    assert_array_equal(a.labels, b.labels)
    assert_allclose(b.inertia, a.inertia, rtol=1e-3 if offset == 1e6 else 1e-6)  # of centers that are rounded where they lie
    assert_allclose(b.inertia, inertia_of(b, far), rtol=1e-12)
    assert_array_equal(b.predict(far), b.labels)


@pytest.mark.parametrize("algorithm", ["lloyd", "bounds"])
@pytest.mark.parametrize("power", [-140, -100, -60, 60, 100, 120])
def test_huge_and_tiny_units(power, algorithm, isa, dtype, rng):
    """Samples times a power of two: the same labels, and centers times that."""
    if dtype == np.float64:
        power *= 7
    X, start = groups(rng, 400, 10, 6, np.float32)
    X, start = X.astype(dtype), start.astype(dtype)
    if np.ldexp(np.abs(X[X != 0]).min(), power) < np.finfo(dtype).tiny:
        X, start = np.round(X * 4), np.round(start * 4)  # so that nothing is rounded
    a = kmeans(X, 6, init=start, tol=0, algorithm=algorithm)
    b = kmeans(np.ldexp(X, power), 6, init=np.ldexp(start, power), tol=0, algorithm=algorithm)
    assert_array_equal(a.labels, b.labels)
    assert_allclose(np.ldexp(b.centers.astype(np.float64), -power), a.centers, rtol=1e-5 if power < -100 else 1e-6, atol=1e-2)
    with np.errstate(over="ignore", under="ignore"):
        assert_allclose(b.inertia, np.ldexp(a.inertia, 2 * power), rtol=1e-5)
    assert_array_equal(b.predict(np.ldexp(X, power)), b.labels)


@pytest.mark.parametrize("batch_size", [None, 20])
def test_the_largest_numbers(batch_size, dtype, rng):
    """No center is rounded to infinity."""
    X = np.copysign(np.finfo(dtype).max, rng.standard_normal((60, 3))).astype(dtype)
    found = kmeans(X, 3, rng=0, batch_size=batch_size, callback=lambda *_: False)
    assert np.isfinite(found.centers).all()
    assert len(np.unique(found.labels)) == 3
    assert_array_equal(found.predict(X), found.labels)


def test_huge_and_tiny_values_side_by_side(isa, dtype, rng):
    """A sample far away has a cluster of its own, and the others' means are what they would be without it."""
    X = np.concatenate([rng.standard_normal((50, 3)), rng.standard_normal((50, 3)) + 100, [[1e6, -1e6, 1e6]]]).astype(dtype)
    found = kmeans(X, 3, init=X[[0, 50, 100]], tol=0)
    assert_array_equal(found.labels, np.repeat([0, 1, 2], [50, 50, 1]))
    means = [X[:50].mean(axis=0, dtype=np.float64), X[50:100].mean(axis=0, dtype=np.float64), X[100]]
    # float32 has rounded each sample where it lies, 1e6 / 101 from the mean of all
    assert_allclose(found.centers, means, atol=1e4 * np.finfo(dtype).eps * 4)
    outlier = np.array([[1e30], [1e-3], [2e-3], [-1e-3]], dtype)
    found = kmeans(outlier, 2, init=outlier[:2])
    assert_array_equal(found.labels, [0, 1, 1, 1])


@pytest.mark.parametrize("power", [-900, 0, 900])
def test_the_best_start_counts_in_any_units(power, rng):
    """Also where the inertia itself overflows, or vanishes."""
    X = rng.standard_normal((60, 3))
    first, best = (kmeans(X, 7, init="random", rng=0, n_init=n) for n in (1, 10))
    assert best.inertia < first.inertia
    assert_array_equal(kmeans(np.ldexp(X, power), 7, init="random", rng=0, n_init=10).labels, best.labels)


@algorithms
def test_a_start_far_beyond_the_samples(algorithm, isa, dtype, rng):
    """Centers whose squares overflow are nearest to no sample, and no warning is given."""
    X = (10 * rng.standard_normal((300, 5))).astype(dtype)
    for far in ([2], [0, 1, 3, 4]):
        start = X[:5].copy()
        start[far] = np.copysign(np.finfo(dtype).max, start[far])
        expected = np.setdiff1d(np.arange(5), far)[reference.nearest_centers(X, np.delete(start, far, axis=0))[0]]
        assert_array_equal(fastlec.KMeansResult(start, np.zeros(0), 0.0, 0).predict(X), expected)
        found = kmeans(X, 5, init=start, tol=0, algorithm=algorithm)
        assert np.bincount(found.labels, minlength=5).all()
        assert_allclose(found.inertia, reference.nearest_centers(X, found.centers)[1].sum(), rtol=1e-6)
        tiny = kmeans(X * np.finfo(dtype).tiny, 5, init=start, tol=0, algorithm=algorithm, callback=lambda *_: False)
        assert len(np.unique(tiny.labels)) > 1


# --- ties, duplicates, empty clusters --------------------------------------------------------------------------------


def test_of_equal_distances_the_first_center_counts(isa, dtype):
    X = np.zeros((100, 40), dtype)
    X[:, 0] = np.arange(100) % 2
    centers = np.zeros((170, 40), dtype)
    centers[:, 0] = 0.5
    for first in (0, 5, 9, 40, 130, 169):
        centers[:first, 1] = 3
        found = fastlec.KMeansResult(centers, np.zeros(0), 0.0, 0).predict(X)
        assert_array_equal(found, np.full(100, first))
    assert_array_equal(kmeans(np.ones((9, 1), dtype), 5, rng=0).labels, np.zeros(9))


def test_ties_are_the_same_by_bounds(isa, dtype, rng):
    """Samples on a grid: many are as near to one center as to another."""
    X = rng.integers(-3, 4, (3000, 3)).astype(dtype)
    for k in (10, 40, 100):
        start = X[rng.choice(3000, k, replace=False)] + dtype.type(0.5) * rng.integers(0, 2, (k, 3))
        options = {"init": start.astype(dtype), "tol": 0}
        same(kmeans(X, k, algorithm="bounds", **options), kmeans(X, k, algorithm="lloyd", **options))


@algorithms
def test_fewer_distinct_samples_than_clusters(algorithm, isa, dtype):
    X = np.repeat(np.array([[0, 0], [1, 5], [9, 9]], dtype), [4, 5, 6], axis=0)
    for init in ("k-means++", "random", X[:6]):
        found = kmeans(X, 6, init=init, rng=0, algorithm=algorithm)
        assert found.inertia == 0
        assert len(np.unique(found.labels)) == 3
        assert np.isfinite(found.centers).all()


@algorithms
def test_as_many_clusters_as_samples(algorithm, isa, dtype, rng):
    X = rng.standard_normal((70, 3)).astype(dtype)
    for init in ("k-means++", "random"):
        found = kmeans(X, 70, init=init, rng=1, algorithm=algorithm)
        assert found.inertia == 0
        assert_array_equal(found.centers[found.labels], X)


@algorithms
def test_one_cluster(algorithm, isa, dtype, rng):
    X = rng.standard_normal((200, 3)).astype(dtype) + 5
    found = kmeans(X, 1, rng=0, algorithm=algorithm)
    assert_allclose(found.centers[0], X.mean(axis=0, dtype=np.float64), rtol=4 * np.finfo(dtype).eps)
    assert_allclose(found.inertia, X.astype(np.float64).var(axis=0).sum() * 200, rtol=1e-5)


@algorithms
def test_empty_clusters_take_the_farthest_samples(algorithm, isa, dtype, rng):
    """As scikit-learn's, where one cluster is empty: of several it takes the same samples in another order."""
    X, start = groups(rng, 300, 5, 6, dtype)
    start[2] += 1000
    found = kmeans(X, 6, init=start, max_iter=1, tol=0, algorithm=algorithm)
    squares = reference.nearest_centers(X, start)[1]
    assert_allclose(found.centers[2], X[np.argmax(squares)], rtol=4 * np.finfo(dtype).eps, atol=1e-6)
    start[4:] += 2000
    full = kmeans(X, 6, init=start, tol=0, algorithm=algorithm)
    assert np.bincount(full.labels, minlength=6).all()
    expected = reference.lloyd(X, start, tol=0)
    assert_allclose(full.inertia, expected[2], rtol=1e-6)
    sklearn = pytest.importorskip("sklearn.cluster")
    start[4:] -= 2000
    peer = sklearn.KMeans(6, init=start, n_init=1, tol=0).fit(X)
    assert_allclose(kmeans(X, 6, init=start, tol=0, algorithm=algorithm).centers, peer.cluster_centers_, rtol=1e-4, atol=1e-5)


def test_an_empty_cluster_leaves_the_sample_s_own_one_empty(isa, dtype):
    """The farthest sample is alone in its cluster."""
    X = np.array([[0.0], [0.1], [0.2], [50.0]], dtype)
    found = kmeans(X, 3, init=np.array([[0.1], [20.0], [-90.0]], dtype), tol=0)
    assert found.inertia < 0.01
    weight = np.array([0.1, 0.1, 0.1, 0.3])
    assert kmeans(X, 3, init=np.array([[0.1], [20.0], [-90.0]], dtype), tol=0, sample_weight=weight).inertia < 0.01


# --- weights ---------------------------------------------------------------------------------------------------------


@algorithms
def test_weights_count_as_repetitions(algorithm, isa, dtype, rng):
    X, start = groups(rng, 200, 4, 5, dtype)
    weight = rng.integers(0, 4, 200)
    a = kmeans(X, 5, init=start, sample_weight=weight, tol=0, algorithm=algorithm)
    b = kmeans(np.repeat(X, weight, axis=0), 5, init=start, tol=0, algorithm=algorithm)
    assert_array_equal(np.repeat(a.labels, weight), b.labels)
    assert_allclose(a.centers, b.centers, rtol=1e-5, atol=1e-6)
    assert_allclose(a.inertia, b.inertia, rtol=1e-6)
    scaled = kmeans(X, 5, init=start, sample_weight=weight * 1e-30, tol=0, algorithm=algorithm)
    assert_array_equal(scaled.labels, a.labels)
    assert_allclose(scaled.inertia, a.inertia * 1e-30, rtol=1e-6)


def test_samples_without_weight_start_no_cluster(rng):
    X = rng.standard_normal((60, 2))
    weight = np.zeros(60)
    weight[[3, 14, 15, 40]] = [1, 2, 3, 1e-3]
    for init in ("k-means++", "random"):
        for seed in range(5):
            found = kmeans(X, 4, init=init, sample_weight=weight, rng=seed)
            assert found.inertia == pytest.approx(0, abs=1e-28)
            assert len(np.unique(found.labels[weight > 0])) == 4
    assert kmeans(X, 9, init="random", sample_weight=weight, rng=0).centers.shape == (9, 2)


def test_weights_of_any_size(rng):
    X = rng.standard_normal((60, 3)) * 1e-3
    plain = kmeans(X, 3, rng=0, sample_weight=np.ones(60))
    for size in (1e308, 1e-305):
        found = kmeans(X, 3, rng=0, sample_weight=np.full(60, size))
        assert_allclose(found.inertia, plain.inertia * size, rtol=1e-12)
    weight = np.append(np.ones(50), np.full(10, 1e-323))  # whose share of all vanishes
    assert kmeans(X, 55, init="random", sample_weight=weight, rng=0).centers.shape == (55, 3)
    assert kmeans(X[:9], 9, rng=0, sample_weight=np.repeat([1e308, 0], [1, 8])).inertia == 0


# --- starts ----------------------------------------------------------------------------------------------------------


def test_starts_are_samples_and_spread(isa, dtype, rng):
    """k-means++ finds one sample in each of the groups that are far apart."""
    k = 12
    X = np.concatenate([rng.standard_normal((30, 3)) + 1000 * np.eye(3)[j % 3] * (j + 1) for j in range(k)]).astype(dtype)
    for seed in range(5):
        found = kmeans(X, k, rng=seed)
        assert_array_equal(np.bincount(found.labels), np.full(k, 30))
    best = kmeans(X, k, init="random", n_init=10, rng=0)
    assert best.inertia <= min(kmeans(X, k, init="random", rng=np.random.default_rng(0)).inertia for _ in range(2))


def test_a_seed_is_a_result(rng):
    X = rng.standard_normal((300, 5))
    same(kmeans(X, 7, rng=3), kmeans(X, 7, rng=3))
    same(kmeans(X, 7, rng=3), kmeans(X, 7, rng=np.random.default_rng(3)))
    assert kmeans(X, 7, rng=3).inertia != kmeans(X, 7, rng=4).inertia


def test_candidates_are_drawn_by_weight_and_squared_distance(isa, dtype):
    """Of two candidates, since k is 2: the better one counts, and one on the first center is drawn only if all are."""
    X = np.array([[0.0], [0.0], [-1.0], [2.0]], dtype)
    samples = _Samples(X, np.array([1e9, 1.0, 1.0, 1.0]))  # so that the first center is at 0
    samples.measure()
    drawn = [_plus_plus(samples, 2, np.random.default_rng(seed)).ravel().tolist() for seed in range(600)]
    assert {first for first, _ in drawn} == {0.0}
    # -1 is drawn with chance 1/5, 2 with 4/5, and counts if drawn in either of the two trials, since it leaves 1, not 4
    share = np.mean([second == -1.0 for _, second in drawn])
    assert share + np.mean([second == 2.0 for _, second in drawn]) == 1
    assert abs(share - 1 / 25) < 0.03


# --- data in any form ------------------------------------------------------------------------------------------------


@algorithms
@cases.layouts
def test_any_layout(layout, algorithm, isa, dtype, rng):
    X, start = groups(rng, 300, 9, 40, dtype)
    weight = rng.random(300)
    options = {"tol": 0, "algorithm": algorithm}
    for w in (None, weight):
        expected = kmeans(X, 40, init=start, sample_weight=w, **options)
        found = kmeans(layout(X), 40, init=layout(start), sample_weight=None if w is None else layout(w), **options)
        same(found, expected)
        assert_array_equal(found.predict(layout(X)), expected.labels)
    same(kmeans(layout(X), 5, rng=1, batch_size=50), kmeans(X, 5, rng=1, batch_size=50))


@pytest.mark.parametrize("kind", [np.float16, np.int8, np.uint64, np.bool_])
def test_other_dtypes(kind, isa, rng):
    X = rng.integers(0, 2, (200, 7)).astype(kind)
    dtype = np.float32 if kind is np.float16 else np.float64
    found = kmeans(X, 4, rng=0)
    same(found, kmeans(X.astype(dtype), 4, rng=0))
    assert found.centers.dtype == dtype
    assert kmeans(X.tolist(), 4, rng=0).centers.dtype == np.float64
    assert kmeans(X.astype(np.float32), 4, init=X[:4], tol=0).centers.dtype == np.float32


def test_segments(rng):
    """More than fits in one segment: in place, converted, mapped, with room between the rows; and the reference's."""
    X = np.round(rng.standard_normal((6000, 3000)) * 8 + 40 * rng.integers(0, 3, (6000, 1)))
    start = X[:3].astype(np.float32)
    wide = np.zeros((6000, 3100), np.float32)
    wide[:, :3000] = X
    expected = kmeans(X.astype(np.float32), 3, init=start)
    assert_array_equal(expected.labels, reference.lloyd(X[:, :50], X[:3, :50])[1])
    for form in (X.astype(np.float16), cases.mapped(X.astype(np.float32)), wide[:, :3000], X.astype(">f4")):
        same(kmeans(form, 3, init=start), expected)


def test_memory_is_read_in_place(rng):
    """No copy of X, in a file or not: the memory of a call is that of labels and squares."""
    import tracemalloc

    X = rng.standard_normal((40_000, 50)).astype(np.float32)
    for form in (X, cases.mapped(X), X[::2]):
        kmeans(form, 5, rng=0, max_iter=2)
        tracemalloc.start()
        kmeans(form, 5, rng=0, max_iter=2)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert most < X.nbytes / 4


def test_inputs_are_not_changed_and_answers_are_fresh(isa, dtype, rng, frozen):
    X, start = groups(rng, 100, 3, 4, dtype)
    weight = rng.random(100)
    kept = X.copy(), start.copy(), weight.copy()
    first = kmeans(X, 4, init=start, sample_weight=weight)
    labels, centers = first.labels.copy(), first.centers.copy()
    kmeans(X[::-1], 4, init=start)
    for a, b in zip((X, start, weight), kept, strict=True):
        assert_array_equal(a, b)
    assert_array_equal(first.labels, labels)
    assert_array_equal(first.centers, centers)
    assert not np.shares_memory(first.centers, start)
    same(kmeans(frozen(X), 4, init=frozen(start), sample_weight=frozen(weight)), first)


# --- mini-batches, callbacks -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
def test_mini_batches_come_near(weighted, isa, dtype, rng):
    X, _ = groups(rng, 5000, 6, 8, dtype, spread=6)
    weight = rng.random(5000) if weighted else None
    whole = kmeans(X, 8, rng=0, n_init=3, sample_weight=weight)
    batches = [kmeans(X, 8, rng=seed, batch_size=500, sample_weight=weight) for seed in range(3)]
    assert min(b.inertia for b in batches) < 1.05 * whole.inertia
    for found in batches:
        assert_allclose(found.inertia, inertia_of(found, X, weight), rtol=1e-6)
        assert_array_equal(found.predict(X), found.labels)
    same(batches[1], kmeans(X, 8, rng=1, batch_size=500, sample_weight=weight))
    assert kmeans(X[:30], 8, rng=0, batch_size=10**9).labels.shape == (30,)


def test_small_batches_keep_their_start(isa, dtype, rng):
    """Groups that are far apart: a center that no sample of a batch is near to stays until it has had its chance."""
    k = 12
    points = 100 * rng.standard_normal((k, 4))
    X = (points[rng.integers(0, k, 3000)] + rng.standard_normal((3000, 4))).astype(dtype)
    whole = kmeans(X, k, init=points)
    for size in (6, k, 2 * k):
        for init in (points, "k-means++"):
            assert kmeans(X, k, init=init, rng=0, batch_size=size).inertia < 1.5 * whole.inertia
    start = points.copy()
    for far in (1e4, np.finfo(dtype).max):
        start[3] = far
        for unit in (1, np.finfo(dtype).tiny):
            found = kmeans(X * dtype.type(unit), k, init=start * (unit if far == 1e4 else 1), rng=0, batch_size=100)
            assert np.isfinite(found.centers).all()
            assert far > 1e4 or np.bincount(found.labels, minlength=k).all()


def test_samples_without_weight_are_in_no_batch(rng):
    X, start = groups(rng, 3000, 4, 5)
    weight = np.zeros(3000)
    weight[::60] = rng.random(50)
    found = kmeans(X, 5, init=start, rng=0, batch_size=10, sample_weight=weight, tol=0)
    heavy = kmeans(X[::60], 5, init=start, rng=0, batch_size=10, sample_weight=weight[::60], tol=0)
    assert_allclose(found.centers, heavy.centers, rtol=1e-9, atol=1e-9)
    assert found.n_iter == heavy.n_iter


@pytest.mark.parametrize("spread", [1e2, 1e4, 1e6])
def test_callback_s_inertia_of_groups_far_apart(spread, dtype, rng):
    """No digits are lost in the difference of sums."""
    X, _ = groups(rng, 500, 4, 5, dtype, spread=spread)
    seen = []
    found = kmeans(X, 5, rng=0, tol=0, callback=lambda _, inertia: seen.append(inertia))
    assert_allclose(seen[-1], found.inertia, rtol=1e-5 if dtype == np.float32 else 1e-12)


def test_callback(rng):
    X, start = groups(rng, 2000, 5, 40)
    seen = []
    found = kmeans(X, 40, init=start, tol=0, callback=lambda *a: seen.append(a))
    assert [i for i, _ in seen] == list(range(1, found.n_iter + 1))
    inertias = [inertia for _, inertia in seen]
    assert inertias == sorted(inertias, reverse=True)
    assert_allclose(inertias[0], reference.nearest_centers(X, start)[1].sum(), rtol=1e-12)
    assert_allclose(inertias[-1], found.inertia, rtol=1e-12)
    same(found, kmeans(X, 40, init=start, tol=0))
    stopped = kmeans(X, 40, init=start, tol=0, callback=lambda i, _: i == 3)
    same(stopped, kmeans(X, 40, init=start, tol=0, max_iter=3))

    def fail(i, inertia):
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        kmeans(X, 40, callback=fail)
    batches = []
    kmeans(X, 40, rng=0, batch_size=100, max_iter=1, callback=lambda *a: batches.append(a))
    assert [i for i, _ in batches] == list(range(1, len(batches) + 1))
    for last in (1, 4):
        assert kmeans(X, 40, rng=0, batch_size=100, callback=lambda i, _, last=last: i == last).n_iter == last


@needs_signals
def test_a_long_call_is_interrupted(threads, alarm):
    def interrupt(*_):
        raise Alarm

    X = np.broadcast_to(np.linspace(-1, 1, 20_000, dtype=np.float32), (200_000, 20_000))  # one row of memory
    began = time.monotonic()
    alarm(interrupt, 0.3)
    with pytest.raises(Alarm):
        kmeans(X, 30, init=X[:30] * np.arange(30, dtype=np.float32)[:, None])
    assert time.monotonic() - began < 15
    assert kmeans(X[:100, :50], 2, init=X[:2, :50]).inertia == 0


# --- errors ----------------------------------------------------------------------------------------------------------

ROWS = np.arange(20.0).reshape(10, 2)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"n_clusters": 0}, ValueError, "n_clusters is 0; expected at least 1"),
        ({"n_clusters": 11}, ValueError, "n_clusters is 11; expected at most 10"),
        ({"n_clusters": 2.0}, TypeError, "n_clusters is 2.0; expected an integer"),
        ({"n_init": 0}, ValueError, "n_init is 0; expected at least 1"),
        ({"max_iter": 0}, ValueError, "max_iter is 0; expected at least 1"),
        ({"tol": -1}, ValueError, "tol is -1.0; expected a finite number >= 0"),
        ({"tol": np.nan}, ValueError, "tol is nan; expected a finite number >= 0"),
        ({"init": "kmeans"}, ValueError, r"init is 'kmeans'; expected one of k-means\+\+, random"),
        ({"init": ROWS[:2]}, ValueError, r"init has shape \(2, 2\); expected \(3, 2\), a center for each cluster"),
        ({"init": ROWS[:3, :1]}, ValueError, r"init has shape \(3, 1\); expected \(3, 2\)"),
        ({"init": ROWS[:3] * np.nan}, ValueError, r"init\[0, 0\] is nan as float64; expected finite numbers"),
        ({"init": ROWS[:3] * 1j}, TypeError, "init has dtype complex128"),
        ({"init": [["a", "b"]] * 3}, TypeError, "init has dtype <U1"),
        ({"X": ROWS.astype("f4"), "init": ROWS[:3] + 1e300}, ValueError, r"init\[0, 0\] is inf as float32"),
        ({"init": None}, TypeError, "init is a NoneType; expected an array"),
        ({"algorithm": "elkan"}, ValueError, "algorithm is 'elkan'; expected one of auto, lloyd, bounds"),
        ({"batch_size": 0}, ValueError, "batch_size is 0; expected at least 1"),
        ({"callback": 3}, TypeError, "callback is 3; expected a function"),
        ({"rng": -1}, ValueError, "rng is -1; expected a seed"),
        ({"sample_weight": np.ones(3)}, ValueError, r"sample_weight has shape \(3,\); expected \(10,\)"),
        ({"sample_weight": np.zeros(10)}, ValueError, "sample_weight has values from 0.0 to 0.0; expected finite weights"),
        ({"sample_weight": -np.ones(10)}, ValueError, "sample_weight has values from -1.0 to -1.0"),
        ({"X": ROWS[:0]}, ValueError, r"X has shape \(0, 2\); expected \(samples, features\)"),
        ({"X": ROWS[0]}, ValueError, r"X has shape \(2,\); expected \(samples, features\)"),
        ({"X": np.float64(1)}, ValueError, r"X has shape \(\); expected \(samples, features\)"),
        ({"X": ROWS * 1j}, TypeError, "X has dtype complex128"),
        ({"X": np.array([["a", "b"]] * 9)}, TypeError, "X has dtype <U1"),
        ({"X": np.ma.array(ROWS)}, TypeError, "X is a masked array"),
        ({"X": None}, TypeError, "X is a NoneType; expected an array"),
    ],
)
def test_bad_arguments(arguments, error, message):
    with pytest.raises(error, match=f"^{message}"):
        kmeans(**({"X": ROWS, "n_clusters": 3} | arguments))


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("layout", ["mapped", "fortran"])
def test_values_that_are_not_finite(wrong, layout, dtype, rng):
    X = rng.standard_normal((5000, 30)).astype(dtype)
    found = kmeans(X, 3, rng=0)
    X[4321, 17] = wrong
    with pytest.raises(ValueError, match=rf"^X\[4321, 17\] is {wrong} as {dtype}; expected finite numbers"):
        kmeans(cases.LAYOUTS[layout](X), 3)
    with pytest.raises(ValueError, match=rf"^X\[4321, 17\] is {wrong}"):
        found.predict(X)


def test_bad_samples_to_predict(rng):
    found = kmeans(rng.standard_normal((50, 3)), 2, rng=0)
    with pytest.raises(ValueError, match=r"^X has shape \(4, 2\); expected \(4, 3\) to match the centers"):
        found.predict(np.ones((4, 2)))
    assert_array_equal(found.predict(np.full((3, 3), 1e300)), found.predict(np.full((3, 3), 1e3)))
    assert found.predict(np.zeros((1, 3), np.float32)).shape == (1,)


def test_sizes_that_cannot_be_had():
    X = np.broadcast_to(np.float32(1), (1 << 40, 1))
    with pytest.raises(MemoryError, match="clusters of"):
        kmeans(X, 5)
    wide = np.broadcast_to(np.float32(1), (1 << 20, 1 << 20))
    with pytest.raises(MemoryError, match=f"{1 << 20} clusters of {1 << 20} samples of {1 << 20} features would take more"):
        kmeans(wide, 1 << 20)


def test_how_samples_count(rng):
    """The mean is subtracted only where digits would be lost."""
    for offset, scale, shifted in ((0, 1, False), (1.0, 1, False), (100, 1, True), (0, 1e25, True), (0, 1e-25, True)):
        samples = _Samples(((rng.standard_normal((400, 3)) + offset) * scale).astype(np.float32), None)
        samples.measure()
        assert (samples.shift is not None) == shifted
        assert (samples.scale != 1) == (scale != 1)
        assert 0.5 < samples.variance / (scale * samples.scale) ** 2 < 1.5


def test_numbers_of_threads_may_change_meanwhile(rng):
    X, start = groups(rng, 3000, 8, 40)
    expected = kmeans(X, 40, init=start)
    found = kmeans(X, 40, init=start, callback=lambda i, _: fastlec.set_num_threads(1 + i % 2))
    fastlec.set_num_threads(None)
    same(found, expected)
