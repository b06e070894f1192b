"""K-means to its end on images like MNIST's: fastlec, scikit-learn, faiss by all their algorithms, from the same centers, in turns.

    python benches/kmeans_convergence.py [--clusters 100] [--samples 60000] [--rounds 3] [--threads 1]

faiss has no rule by which to stop: it runs as many iterations as fastlec needs.
"""

import argparse
import os
import statistics
import time
import warnings
from functools import partial

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
for name, default in (("clusters", 100), ("samples", 60_000), ("rounds", 3), ("threads", 1)):
    parser.add_argument(f"--{name}", type=int, default=default)
given = parser.parse_args()
os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(given.threads))

import numpy as np  # noqa: E402  (it reads the environment)
from scipy.ndimage import map_coordinates  # noqa: E402

import fastlec  # noqa: E402


def images(m, rng):
    """(m, 784), float32 in [0, 1]: digits of 8 x 8, two of a class blended, enlarged, turned, sheared and moved a little."""
    X, y = fastlec.data.load_digits()
    X = X.reshape(-1, 8, 8) / X.max()
    classes = [np.flatnonzero(y == label) for label in range(10)]
    at = np.stack(np.meshgrid(np.arange(28) - 13.5, np.arange(28) - 13.5, indexing="ij"))
    out = np.empty((m, 784), np.float32)
    for image in out:
        first, second = X[rng.choice(classes[rng.integers(10)], 2)]
        share, angle, shear = rng.random() ** 2, rng.normal(0, 0.15), rng.normal(0, 0.15)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle) + shear, np.cos(angle)]])
        where = np.tensordot(rng.uniform(0.33, 0.42) * turn, at, 1) + 3.5 + rng.normal(0, 0.25, (2, 1, 1))
        image[:] = map_coordinates((1 - share) * first + share * second, where, order=1).ravel()
    return np.clip(1.6 * out - 0.3, 0, 1)


def inertia(X, centers, labels):
    parts = (slice(i, i + 5000) for i in range(0, len(X), 5000))
    return sum(float(np.square(X[part] - centers[labels[part]], dtype=np.float64).sum()) for part in parts)


def contenders(X, start):
    """{name: a function that gives centers, labels and the number of iterations}"""
    k, calls = len(start), {}

    def ours(algorithm):
        found = fastlec.kmeans(X, k, init=start, algorithm=algorithm)
        return found.centers, found.labels, found.n_iter

    calls |= {f"fastlec {name}": partial(ours, name) for name in ("lloyd", "bounds")}
    try:
        from sklearn.cluster import KMeans

        def peer(algorithm):
            found = KMeans(k, init=start, n_init=1, algorithm=algorithm).fit(X)
            return found.cluster_centers_, found.labels_, found.n_iter_

        calls |= {f"scikit-learn {name}": partial(peer, name) for name in ("lloyd", "elkan")}
    except ImportError:
        print("scikit-learn is not installed")
    try:
        import faiss

        faiss.omp_set_num_threads(given.threads)
        iterations = ours("bounds")[2]

        def with_faiss():
            found = faiss.Kmeans(X.shape[1], k, niter=iterations, min_points_per_centroid=1, max_points_per_centroid=len(X))
            found.train(X, init_centroids=start)
            return found.centroids, found.assign(X)[1], iterations

        calls["faiss"] = with_faiss
    except ImportError:
        print("faiss is not installed")
    return calls


def main():
    rng = np.random.default_rng(0)
    X = images(given.samples, rng)
    start = X[rng.choice(len(X), given.clusters, replace=False)]
    fastlec.set_num_threads(given.threads)
    times, found = {}, {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        calls = contenders(X, start)
        for _ in range(given.rounds):
            for name, call in calls.items():
                began = time.perf_counter()
                found[name] = call()
                times.setdefault(name, []).append(time.perf_counter() - began)
    print(f"{given.samples} x 784, {given.clusters} clusters, threads: {given.threads}, {given.rounds} rounds; times in s")
    best = min(times["fastlec bounds"]), statistics.median(times["fastlec bounds"])
    for name, taken in times.items():
        least, middle = min(taken), statistics.median(taken)
        centers, labels, iterations = found[name]
        print(
            f"{name:20} min {least:7.2f}  median {middle:7.2f}  of fastlec bounds {least / best[0]:5.2f} {middle / best[1]:5.2f}"
            f"  inertia {inertia(X, centers, labels):.9g}  iterations {iterations}"
        )


if __name__ == "__main__":
    main()
