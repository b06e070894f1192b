"""The contenders: fastlec and every library that offers the same work, each as fast as its users can make it.

A peer's method named after an operation takes the case, its inputs and `out` (an array for the result, or None where a new one
is to be made) and returns a function of no arguments that does the work once; `build` finds it. What is not the work itself
happens before: sessions and graphs are built, arrays put where the library wants them, constants made. All get the same arrays,
samples as rows; results are arrays in the case's dtype. Gradients are written by hand wherever that beats the library's own.
"""

import importlib

import numpy as np

from .kinds import FAMILY, unpack
from .peers_images import FastlecImages, OpenCVImages, SciPyImages
from .peers_networks import FastlecNetworks, NumPyNetworks


class Peer:
    """name : as shown. module : what to import."""

    name = module = None

    def __init__(self, threads):
        """ImportError if it is not installed."""
        self.threads = threads
        self.lib = importlib.import_module(self.module)
        self.version = getattr(self.lib, "__version__", "unknown")

    def build(self, case, inputs, mode):
        """The function to time, or None if the library offers no such thing. mode : "reused" or "fresh" results."""
        method = getattr(self, case.op, None) or getattr(self, FAMILY.get(case.op, ""), None)
        if method is None:
            return None
        reused = mode == "reused" and case.out_shape is not None
        out = self.take(np.empty(case.out_shape, inputs[0].dtype)) if reused else None
        return method(case, *map(self.take, inputs), out)

    def take(self, array):
        """The array as the library wants it."""
        return array

    def arrays(self, case, result):
        """What the function returned, as the case has it: where a library's images or parameters lie otherwise."""
        return result

    def forget(self):
        """Drops what was compiled for the last case."""


class Fastlec(FastlecNetworks, FastlecImages, Peer):
    name = module = "fastlec"

    def __init__(self, threads):
        super().__init__(threads)
        self.lib.set_num_threads(threads)

    def unary(self, case, x, out):
        function, axis = getattr(self.lib, case.op), case.axis
        if "softmax" not in case.op:
            return lambda: function(x, out=out)
        return (lambda: function(x, out=out)) if axis == -1 else (lambda: function(x, axis=axis, out=out))

    def cross_entropy(self, case, logits, labels, out):
        function = self.lib.softmax_cross_entropy
        return lambda: function(logits, labels, grad_out=out)

    def value_and_gradient(self, case, X, y, theta, out):
        objective = self.lib.SoftmaxObjective(X, y, case.shape[2])

        def work():
            value, gradient = objective.value_and_gradient(theta)
            return value, *unpack(gradient, case)

        return work

    def hessian_mv(self, case, X, y, theta, v, out):
        objective = self.lib.SoftmaxObjective(X, y, case.shape[2])
        return lambda: unpack(objective.hessian_mv(theta, v), case)

    def hessian_mv_frozen(self, case, X, y, theta, v, out):
        operator = self.lib.SoftmaxObjective(X, y, case.shape[2]).hessian_operator(theta)
        return lambda: unpack(operator.matvec(v), case)


class NumPy(NumPyNetworks, Peer):
    """In place throughout: one array is written, none made. The logits of objectives are kept (l, m), the faster way here."""

    name, module = "NumPy", "numpy"

    def unary(self, case, x, out):
        function, axis = getattr(self, "_" + case.op), case.axis
        return lambda: function(x, np.empty_like(x) if out is None else out, axis)

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


class SciPy(SciPyImages, Peer):
    name, module = "SciPy", "scipy"

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


class ScikitLearn(Peer):
    """Its losses and linear models through the private modules that its own estimators use."""

    name, module = "scikit-learn", "sklearn"

    def _loss(self, classes):
        return importlib.import_module("sklearn._loss").HalfMultinomialLoss(n_classes=classes)

    def _model(self, classes):
        return importlib.import_module("sklearn.linear_model._linear_loss").LinearModelLoss(
            self._loss(classes), fit_intercept=True
        )

    @staticmethod
    def _coefficients(theta, case):
        W, b = unpack(theta, case)
        return np.asfortranarray(np.column_stack([W, b]))

    def cross_entropy(self, case, logits, labels, out):
        loss, m = self._loss(logits.shape[1]), len(logits)
        y, weight, losses = labels.astype(logits.dtype), np.full(m, 1 / m, logits.dtype), np.empty(m, logits.dtype)

        def work():
            gradient = np.empty_like(logits) if out is None else out
            loss.loss_gradient(y, logits, weight, losses, gradient, self.threads)
            return losses.sum(), gradient

        return work

    def value_and_gradient(self, case, X, y, theta, out):
        model, y, coefficients = self._model(case.shape[2]), y.astype(X.dtype), self._coefficients(theta, case)

        def work():
            value, gradient = model.loss_gradient(coefficients, X, y, n_threads=self.threads)
            return value, gradient[:, :-1], gradient[:, -1]

        return work

    def hessian_mv(self, case, X, y, theta, v, out):
        model, y = self._model(case.shape[2]), y.astype(X.dtype)
        coefficients, direction = self._coefficients(theta, case), self._coefficients(v, case)

        def work():
            product = model.gradient_hessian_product(coefficients, X, y, n_threads=self.threads)[1](direction)
            return product[:, :-1], product[:, -1]

        return work

    def hessian_mv_frozen(self, case, X, y, theta, v, out):
        model, direction = self._model(case.shape[2]), self._coefficients(v, case)
        hessian_mv = model.gradient_hessian_product(
            self._coefficients(theta, case), X, y.astype(X.dtype), n_threads=self.threads
        )[1]

        def work():
            product = hessian_mv(direction)
            return product[:, :-1], product[:, -1]

        return work


class OpenCV(OpenCVImages, Peer):
    name, module = "OpenCV", "cv2"

    def __init__(self, threads):
        super().__init__(threads)
        self.lib.setNumThreads(threads)


def kinds():
    """The class of every contender; those that take seconds to import come last."""
    from . import peers_compiled

    return Fastlec, NumPy, SciPy, ScikitLearn, OpenCV, *peers_compiled.PEERS


def contenders(threads, names=None):
    """(the contenders that are installed, {name: why not} of the others), only those named if names is given."""
    found, missing = [], {}
    for kind in kinds():
        if names is None or kind.name in names:
            try:
                found.append(kind(threads))
            except (ImportError, OSError) as error:
                missing[kind.name] = str(error)
    return found, missing
