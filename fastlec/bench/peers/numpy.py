"""NumPy."""

from functools import partial
from types import MappingProxyType

import numpy as np
from numpy._core import _multiarray_umath as umath

from ..kinds import lloyd, reweighted, unpack
from ..nets import ACTIVATIONS, RATE, split
from ..norms import EPS
from .base import Peer, added

# Those of the instruction sets with kernels of their own that are above AVX2: NumPy warns of a name that the machine lacks.
ABOVE_AVX2 = [
    name for name in umath.__cpu_dispatch__ if name.startswith(("AVX512", "X86_V4")) and umath.__cpu_features__.get(name)
]
OPENBLAS = MappingProxyType({"OPENBLAS_CORETYPE": "Haswell"})


class NumPy(Peer):
    """In place throughout: one array is written, none made. The logits of objectives are kept (l, m), the faster way here.

    Networks are planned: a list of calls, all their arrays made before. np.dot starts sooner than np.matmul, and sums columns
    faster than np.sum does.
    """

    name, module = "NumPy", "numpy"
    HELD = MappingProxyType(
        {"avx2": {"NPY_DISABLE_CPU_FEATURES": added("NPY_DISABLE_CPU_FEATURES", " ".join(ABOVE_AVX2)), **OPENBLAS}}
    )

    def unary(self, case, x, out):
        function, axis = getattr(self, "_" + case.op), case.axis
        return lambda: function(x, np.empty_like(x) if out is None else out, axis)

    @staticmethod
    def _normalised(x, axis):
        """(z, 1 / sqrt(var + eps))."""
        z = x - x.mean(axis=axis, keepdims=True)
        inverse = 1 / np.sqrt(np.square(z).mean(axis=axis, keepdims=True) + x.dtype.type(EPS))
        return np.multiply(z, inverse, out=z), inverse

    def norm(self, case, x, gamma, beta, out):
        def work():
            z, _ = self._normalised(x, case.axis)
            np.multiply(z, gamma, out=z)
            return np.add(z, beta, out=z)

        return work

    def norm_jac_tmv(self, case, x, gamma, beta, v, out):
        z, inverse = self._normalised(x, case.axis)

        def work():
            w = v * gamma
            product = w * z
            mean, means = w.mean(axis=case.axis, keepdims=True), product.mean(axis=case.axis, keepdims=True)
            np.subtract(w, mean, out=w)
            np.subtract(w, np.multiply(z, means, out=product), out=w)
            return np.multiply(w, inverse, out=w), np.einsum("ij,ij->j", v, z), v.sum(axis=0)

        return work

    def dropout(self, case, x, out):
        rng, scale = np.random.default_rng(0), x.dtype.type(1 / (1 - case.p))

        def work():
            y = np.multiply(x, scale)
            return x, np.multiply(y, rng.random(x.shape, dtype=x.dtype) >= case.p, out=y)

        return work

    @staticmethod
    def _softmax(x, out, axis):
        np.subtract(x, x.max(axis=axis, keepdims=True), out=out)
        np.exp(out, out=out)
        return np.divide(out, out.sum(axis=axis, keepdims=True), out=out)

    @staticmethod
    def _log_softmax(x, out, axis):
        np.subtract(x, x.max(axis=axis, keepdims=True), out=out)
        return np.subtract(out, np.log(np.exp(out).sum(axis=axis, keepdims=True)), out=out)

    @staticmethod
    def _tanh(x, out, axis):
        return np.tanh(x, out=out)

    @staticmethod
    def _sigmoid(x, out, axis):
        np.multiply(x, 0.5, out=out)
        np.tanh(out, out=out)
        np.multiply(out, 0.5, out=out)
        return np.add(out, 0.5, out=out)

    @staticmethod
    def _relu(x, out, axis):
        return np.maximum(x, 0, out=out)

    @staticmethod
    def _loss_and_residual(logits, labelled, out, axis, scale=1):
        """labelled : the index of every sample's own logit. scale : of the residual."""
        m = logits.shape[1 - axis]
        np.subtract(logits, logits.max(axis=axis, keepdims=True), out=out)
        own = out[labelled]
        np.exp(out, out=out)
        total = out.sum(axis=axis, keepdims=True)
        loss = (np.log(total).sum(dtype=np.float64) - own.sum(dtype=np.float64)) / m
        np.multiply(out, scale / (m * total), out=out)
        out[labelled] -= scale / m
        return loss, out

    def cross_entropy(self, case, logits, labels, out):
        at = (np.arange(len(labels)), labels)
        return lambda: self._loss_and_residual(logits, at, np.empty_like(logits) if out is None else out, 1)

    def kmeans(self, case, X, start, out):
        return lambda: lloyd(X, start, case.shape[3])

    def value_and_gradient(self, case, X, y, theta, out):
        (W, b), at = unpack(theta, case), (y, np.arange(len(y)))
        residual = np.empty((len(b), len(X)), X.dtype)

        def work():
            np.matmul(W, X.T, out=residual)
            np.add(residual, b[:, None], out=residual)
            value, _ = self._loss_and_residual(residual, at, residual, 0)
            return value, residual @ X, residual.sum(axis=1)

        return work

    def hessian_mv(self, case, X, y, theta, v, out, frozen=False):
        (W, b), (dW, db) = unpack(theta, case), unpack(v, case)
        p, residual = np.empty((2, len(b), len(X)), X.dtype)

        def probabilities():
            np.add(np.matmul(W, X.T, out=p), b[:, None], out=p)
            self._softmax(p, p, 0)

        def product():
            np.add(np.matmul(dW, X.T, out=residual), db[:, None], out=residual)
            np.subtract(residual, np.einsum("km,km->m", p, residual), out=residual)
            np.multiply(residual, p, out=residual)
            return residual @ X / len(X), residual.sum(axis=1) / len(X)

        if frozen:
            probabilities()
            return product
        return lambda: (probabilities(), product())[1]

    def hessian_mv_frozen(self, *arguments):
        return self.hessian_mv(*arguments, frozen=True)

    def hessian_columns(self, case, X, y, theta, V, out):
        """Of parts of X, which is read once for all columns while it lies in the cache."""
        W, b = unpack(theta, case)
        k, classes = V.shape[1], len(b)
        dW, db = V[: W.size].reshape(classes, -1, k), V[W.size :]
        dW, db = dW.transpose(2, 0, 1).reshape(k * classes, -1), db.T.ravel()
        p = np.add(X @ W.T, b)
        self._softmax(p, p, 1)
        parts = [slice(start, start + 512) for start in range(0, len(X), 512)]

        def work():
            total, sums = np.zeros_like(dW), np.zeros_like(db)
            for part in parts:
                residual = np.add(np.dot(X[part], dW.T), db).reshape(-1, k, classes)
                np.subtract(residual, np.einsum("ml,mkl->mk", p[part], residual)[:, :, None], out=residual)
                residual = np.multiply(residual, p[part, None], out=residual).reshape(-1, k * classes)
                total += np.dot(residual.T, X[part])
                sums += residual.sum(axis=0)
            return np.concatenate([total.reshape(k, -1), sums.reshape(k, -1)], axis=1).T / len(X)

        return work

    def robust_lstsq(self, case, A, y, out):
        """By the normal equations, which take a quarter of the time of lstsq and are accurate enough for such an A."""

        def solve(w):
            weighted = A.T * w
            return np.linalg.solve(weighted @ A, weighted @ y)

        return lambda: reweighted(A, y, solve)

    def product(self, case, a, b, out):
        a, b = case.operands(a, b)
        return lambda: np.dot(a, b, out=out)

    ACTIVATE = MappingProxyType(  # in place
        {
            "tanh": lambda z: [partial(np.tanh, z, out=z)],
            "relu": lambda z: [partial(np.maximum, z, 0, out=z)],
            "identity": lambda z: [],
        }
    )

    @staticmethod
    def _times_derivative(activation, y, v, out):
        """The calls by which out becomes v times the activation's derivative where its value is y; out may be v."""
        if activation == "tanh":
            square = np.empty_like(y)
            return [
                partial(np.multiply, y, y, out=square),
                partial(np.multiply, square, v, out=square),
                partial(np.subtract, v, square, out=out),
            ]
        if activation == "relu":
            positive = np.empty(y.shape, bool)
            return [partial(np.greater, y, 0, out=positive), partial(np.multiply, v, positive, out=out)]
        return [] if out is v else [partial(np.copyto, out, v)]

    def _forward(self, net, layers, x, out):
        """(the calls, what each layer has as its input and as its activation)."""
        calls, kept = [], []
        for layer, (W, b, *W2) in zip(net, layers, strict=True):
            hidden = out if layer is net[-1] else np.empty((len(x), len(b)), x.dtype)
            calls += [partial(np.dot, x, W.T, out=hidden), partial(np.add, hidden, b, out=hidden)]
            calls += self.ACTIVATE[layer.activation](hidden)
            kept.append((x, hidden))
            if W2:
                y = np.empty_like(x)
                calls += [partial(np.dot, hidden, W2[0].T, out=y), partial(np.add, y, x, out=y)]
                x = y
            else:
                x = hidden
        return calls, kept

    def _backward(self, net, layers, gradients, kept, v):
        """The calls that write the gradients, from that with respect to the output, which they spoil."""
        calls, ones = [], np.ones(len(v), v.dtype)
        stack = list(zip(net, layers, gradients, kept, strict=True))
        for layer, (W, _, *W2), (gW, gb, *gW2), (x, hidden) in reversed(stack):
            inner = np.empty_like(hidden) if W2 else v
            if W2:
                calls += [partial(np.dot, v, W2[0], out=inner), partial(np.dot, v.T, hidden, out=gW2[0])]
            calls += self._times_derivative(layer.activation, hidden, inner, inner)
            calls += [partial(np.dot, inner.T, x, out=gW), partial(np.dot, ones, inner, out=gb)]
            if layer is not net[0]:
                back = np.empty_like(x)
                calls.append(partial(np.dot, inner, W, out=back))
                if W2:
                    calls.append(partial(np.add, back, v, out=back))
                v = back
        return calls

    def forward(self, case, X, theta, out):
        net = case.shape[1]
        calls, _ = self._forward(net, split(net, theta), X, out)

        def work():
            run(calls)
            return out

        return work

    def dense_jac_tmv(self, case, X, theta, v, out):
        net = case.shape[1]
        layers = ((W, b),) = split(net, theta)
        y, inner, gx, gW, gb = np.empty_like(v), np.empty_like(v), np.empty_like(X), np.empty_like(W), np.empty_like(b)
        run(self._forward(net, layers, X, y)[0])
        calls = [
            *self._times_derivative(net[0].activation, y, v, inner),
            partial(np.dot, inner, W, out=gx),
            partial(np.dot, inner.T, X, out=gW),
            partial(np.dot, np.ones(len(v), v.dtype), inner, out=gb),
        ]

        def work():
            run(calls)
            return gx, gW, gb

        return work

    def dense_jac_mv(self, case, X, theta, dX, dtheta, out):
        (W, b), (dW, db) = (split(case.shape[1], array)[0] for array in (theta, dtheta))
        other = np.empty((len(X), len(b)), X.dtype)

        def work():  # of a tanh layer
            y = np.dot(X, W.T)
            np.tanh(np.add(y, b, out=y), out=y)
            dy = np.dot(dX, W.T)
            np.add(dy, np.dot(X, dW.T, out=other), out=dy)
            np.add(dy, db, out=dy)
            np.multiply(np.multiply(y, y, out=other), dy, out=other)
            return y, np.subtract(dy, other, out=dy)

        return work

    def _linearized(self, net, layers, X):
        """What each layer has as its input, and the derivative of its activation, None of one that is linear."""
        calls, kept = self._forward(net, layers, X, np.empty((len(X), net[-1].n_out), X.dtype))
        run(calls)
        return [
            (x, None if layer.activation == "identity" else ACTIVATIONS[layer.activation][1](hidden))
            for layer, (x, hidden) in zip(net, kept, strict=True)
        ]

    def jac_mv(self, case, X, theta, dX, dtheta, out):
        net, layers = case.shape[1], split(case.shape[1], theta)
        stack = list(zip(layers, split(net, dtheta), self._linearized(net, layers, X), strict=True))

        def work():
            dy = dX
            for (W, _), (dW, db), (x, slope) in stack:
                dy = np.dot(dy, W.T)
                np.add(dy, np.dot(x, dW.T), out=dy)
                np.add(dy, db, out=dy)
                if slope is not None:
                    np.multiply(dy, slope, out=dy)
            return dy

        return work

    def jac_tmv(self, case, X, theta, v, out):
        net, layers, ones = case.shape[1], split(case.shape[1], theta), np.ones(len(v), v.dtype)
        stack = list(zip(layers, self._linearized(net, layers, X), strict=True))[::-1]

        def work():
            inner, parts = v, []
            for (W, _), (x, slope) in stack:
                inner = inner if slope is None else np.multiply(inner, slope)
                parts += np.dot(ones, inner), np.dot(inner.T, x)
                inner = np.dot(inner, W)
            return inner, *parts[::-1]

        return work

    def step(self, case, X, y, theta, out):
        net, theta = case.shape[1], theta.copy()
        layers, logits, change = split(net, theta), np.empty((len(X), net[-1].n_out), X.dtype), np.empty_like(theta)
        forward, kept = self._forward(net, layers, X, logits)
        backward = self._backward(net, layers, split(net, change), kept, logits)
        labelled = (np.arange(len(X)), y)

        def work():
            run(forward)
            loss, _ = self._loss_and_residual(logits, labelled, logits, 1, scale=-RATE)
            run(backward)
            np.add(theta, change, out=theta)
            return loss, theta

        return work


def run(calls):
    for call in calls:
        call()
