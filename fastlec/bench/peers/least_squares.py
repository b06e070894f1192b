"""Solvers of least squares on JAX: jaxopt and Optimistix. Residuals and their Jacobians are jitted."""

import importlib

import numpy as np

from ..nets import split
from .base import Peer
from .jax import JAX


class OnJAX(JAX):
    """A library of solvers that is built on JAX."""

    def __init__(self, threads):
        Peer.__init__(self, threads)
        self.solvers, self.lib = self.lib, importlib.import_module("jax")
        self.lib.config.update("jax_enable_x64", True)

    def offered(self, case):
        return self.least_squares if case.op == "least_squares" and not self.held else None

    def _residual(self, case, X, y):
        net, scale = case.shape[1], np.sqrt(2 / y.size)
        return lambda theta: scale * (self._network(net)(X, split(net, theta)) - y).ravel()

    def least_squares(self, case, X, y, theta, out):
        if theta.dtype == np.float32:  # they end too early
            return None
        residual, limit = self._residual(case, X, y), case.tolerance[X.dtype.name]
        first = abs(self.lib.grad(lambda theta: 0.5 * (residual(theta) ** 2).sum())(theta)).max()
        run = self.lib.jit(self.solver(residual, float(limit * first), case.most))
        return lambda: (self.lib.block_until_ready(run(theta)), X, y, theta)


class JAXopt(OnJAX):
    name = module = "jaxopt"

    def solver(self, residual, limit, most):
        """By J' J and Cholesky's factorization; its test is of the gradient, whose norm bounds the largest entry."""
        found = self.solvers.LevenbergMarquardt(
            residual, maxiter=most, tol=limit, gtol=limit, xtol=0.0, solver="cholesky", materialize_jac=True
        )
        return lambda theta: found.run(theta).params


class Optimistix(OnJAX):
    name, module = "Optimistix", "optimistix"

    def solver(self, residual, limit, most):
        """Its tests are of the change of theta and of the cost; what it finds may miss the limit, or be better."""
        solver = self.solvers.LevenbergMarquardt(rtol=1e-8, atol=1e-12)

        def run(theta):
            found = self.solvers.least_squares(lambda theta, _: residual(theta), solver, theta, max_steps=most, throw=False)
            return found.value

        return run
