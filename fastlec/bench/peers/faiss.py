"""faiss."""

import numpy as np

from .base import Peer


class Faiss(Peer):
    """In float32 alone."""

    name = module = "faiss"

    def __init__(self, threads):
        super().__init__(threads)
        self.lib.omp_set_num_threads(threads)

    def kmeans(self, case, X, start, out):
        m, n, k, iterations = case.shape
        if X.dtype != np.float32:
            return None
        options = {"niter": iterations, "min_points_per_centroid": 1, "max_points_per_centroid": m}

        def work():
            found = self.lib.Kmeans(n, k, **options)
            found.train(X, init_centroids=start)
            return found.assign(X)[0].sum(dtype=np.float64)

        return work
