"""faiss."""

from types import MappingProxyType

import numpy as np

from .base import Peer
from .numpy import OPENBLAS


class Faiss(Peer):
    """In float32 alone."""

    name = module = "faiss"
    # A library for each set, or one that chooses among its kernels.
    HELD = MappingProxyType({"avx2": {"FAISS_OPT_LEVEL": "avx2", "FAISS_SIMD_LEVEL": "AVX2", **OPENBLAS}})

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
