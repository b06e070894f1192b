"""SciPy."""

import importlib

import numpy as np

from ..images import as_planes, from_planes
from .base import Peer
from .numpy import NumPy


class SciPy(Peer):
    name, module, HELD = "SciPy", "scipy", NumPy.HELD

    def __init__(self, threads):
        super().__init__(threads)
        importlib.import_module("scipy.special")
        self.blas = importlib.import_module("scipy.linalg.blas")

    def softmax(self, case, x, out):
        return None if out is not None else lambda: self.lib.special.softmax(x, axis=case.axis)  # has no out=

    def log_softmax(self, case, x, out):
        return None if out is not None else lambda: self.lib.special.log_softmax(x, axis=case.axis)

    def sigmoid(self, case, x, out):
        return lambda: self.lib.special.expit(x, out=out)

    def product(self, case, a, b, out):
        """Its own BLAS, which takes columns: c' = b' a'."""
        gemm = self.blas.get_blas_funcs("gemm", dtype=out.dtype)
        (a, trans_a), (b, trans_b) = (
            (factor.T, 0) if factor.flags.c_contiguous else (factor, 1) for factor in case.operands(a, b)
        )

        c = out.T

        def work():
            gemm(1, b, a, 0, c, trans_b, trans_a, 1)
            return out

        return work

    def filter2d(self, case, image, kernel, out):
        """A colour image as planes, which takes less time than with the channels last."""
        correlate, mode = importlib.import_module("scipy.ndimage").correlate, case.mode
        planes = np.ascontiguousarray(as_planes(image))
        result, kernel = np.empty_like(planes), kernel[None, ::-1, ::-1]
        return lambda: correlate(planes, kernel, output=result, mode=mode)

    def least_squares(self, case, X, y, theta, out):
        """With fastlec's residuals and products with their Jacobian, in float64."""
        if theta.dtype == np.float32:
            return None
        lib = importlib.import_module("fastlec")
        net = lib.Network([lib.Dense(layer.n_in, layer.n_out, layer.activation) for layer in case.shape[1]])
        f, function = lib.Objective(net, lib.MeanSquaredError(), X, y), importlib.import_module("scipy.optimize").least_squares
        limit = case.tolerance[theta.dtype.name] * abs(f.gradient(theta)).max()
        options = {"tr_solver": "lsmr", "xtol": None, "ftol": None, "gtol": limit, "max_nfev": case.most}
        return lambda: (function(f.residuals, theta, f.jacobian, **options).x, X, y, theta)

    def arrays(self, case, result):
        return from_planes(result) if case.op == "filter2d" else super().arrays(case, result)
