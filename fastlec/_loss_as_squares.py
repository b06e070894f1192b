"""The loss of samples as a sum of squares: its Hessian by the output is H = S S', its gradient S r, and r are residuals whose
Jacobian is A = S' J, J the network's (Schraudolph, "Fast curvature matrix-vector products for second-order gradient descent",
2002)."""

from functools import cached_property

import numpy as np

from .training import losses

STEP = 0.1  # of a step, from where to where second derivatives are differences
NEGLIGIBLE = 1e4  # round-offs of a gradient by the output that its residuals may leave


def second_along(at, after, along, eps):
    """The second derivative along a step, from the values at its start and STEP of it further, and the first; None where there is
    round-off alone."""
    found = 2 / STEP * ((after - at) / STEP - along)
    noise = 16 * eps / STEP**2 * max(np.abs(at).max(initial=0), np.abs(after).max(initial=0))
    return found if np.abs(found).max(initial=0) > noise else None


class Curvature:
    """The loss of some samples, as a share of that of all, and its Hessian H by the output, of one block for each sample.

    gradient : that by the output.
    """

    def __init__(self, loss, X, output, y, weight, share):
        self.X, self.output = X, output
        self.arguments, self.share = (loss, output, y), share
        self.weight = weight
        self.gradient = share * losses.value_and_gradient(*self.arguments, weight)[1]

    def mv(self, v):
        """H v."""
        return self.share * losses.hessian_mv(*self.arguments, v, self.weight)

    def second(self, jac, d):
        """The second derivative of the output along d, in float64's noise or more; None where it is round-off."""
        net = jac.layer
        after = net.with_theta(net.theta + net.theta.dtype.type(STEP) * d)(self.X)
        return second_along(self.output, after, jac.mv(theta=d), np.finfo(self.output.dtype).eps)

    @cached_property
    def root(self):
        """(S, r, rest), with H = S S' and the gradient S r + rest. S : (m, k) where blocks are diagonal, else (m, k, k), lower
        triangles. r : flat. rest : as the gradient, or None where it is round-off."""
        loss, output, _ = self.arguments
        m, eps = len(output), np.finfo(output.dtype).eps
        v = self.gradient.reshape(m, -1).astype(np.float64)
        k = v.shape[1]

        def column(j):
            unit = np.zeros((m, k), output.dtype)
            unit[:, j] = 1
            return self.mv(unit.reshape(output.shape)).reshape(m, k)

        if isinstance(loss, losses._Elementwise) or k == 1:
            S = np.sqrt(np.maximum(column(slice(None)), 0), dtype=np.float64)
            r = np.divide(v, S, out=np.zeros_like(v), where=S > 0)
            rest = v - S * r
        else:
            S, r, rest = _factors(np.stack([column(j) for j in range(k)], axis=2).astype(np.float64), v, eps)
        seen = np.abs(rest).max(initial=0) > NEGLIGIBLE * eps * np.abs(v).max(initial=0)
        return S, r.ravel(), rest.astype(output.dtype).reshape(output.shape) if seen else None

    def rows(self, jac):
        """S' J as an array."""
        S, J = self.root[0], jac.matrix("theta")
        J = J.astype(np.float64, copy=False).reshape(*S.shape[:2], J.shape[1])
        if S.ndim == 2:
            J *= S[:, :, None]
        else:
            J = np.matmul(S.swapaxes(1, 2), J)
        return J.reshape(-1, J.shape[2])

    def factors(self, jac):
        """S' J as factors, which are no Jacobian yet."""
        S, (m, k) = self.root[0], self.root[0].shape[:2]
        V = np.zeros((k, m, k), self.output.dtype)
        if S.ndim == 2:
            V[np.arange(k), :, np.arange(k)] = S.T
        else:
            V[...] = S.transpose(2, 0, 1)
        return jac._factors(V.reshape(k, *self.output.shape), tuple(jac.layer.params))

    def times(self, u):
        """S u, flat."""
        S = self.root[0]
        u = u.reshape(S.shape[:2])
        return (S * u if S.ndim == 2 else np.matmul(S, u[:, :, None])).ravel()

    def transposed(self, u):
        """S' u, flat."""
        S = self.root[0]
        u = u.reshape(S.shape[:2])
        return (S * u if S.ndim == 2 else np.matmul(u[:, None], S)).ravel()

    def operator(self, jac):
        """S' J as a LinearOperator."""
        from ._operator import Operator

        J = jac.operator("theta")
        return Operator(
            J.shape,
            np.float64,
            lambda v: self.transposed(J.matvec(v)),
            lambda u: np.asarray(J.rmatvec(self.times(u)), np.float64),
            name="Jacobian in units of the loss",
        )


def _factors(H, v, eps):
    """(S, r, v - S r): Cholesky's factors of blocks H (m, k, k), positive semidefinite, S lower triangular; what is not positive,
    or round-off, of a pivot is left out. v : (m, k)."""
    k = H.shape[1]
    S, r, rest = np.zeros_like(H), np.zeros_like(v), v.copy()
    least = 8 * k * eps * H.diagonal(axis1=1, axis2=2)
    for j in range(k):
        pivot = H[:, j, j]
        seen = pivot > least[:, j]
        root = np.sqrt(np.where(seen, pivot, 1.0))
        column = np.where(seen[:, None], H[:, :, j] / root[:, None], 0.0)
        r[:, j] = np.where(seen, rest[:, j] / root, 0.0)
        S[:, :, j] = column
        H = H - column[:, :, None] * column[:, None, :]
        rest -= column * r[:, j, None]
    return S, r, rest
