"""Products, dense layers and networks by fastlec and by NumPy: parts of the contenders in `peers`."""

from functools import partial
from itertools import chain
from types import MappingProxyType

import numpy as np

from .nets import RATE, Dense, split


class FastlecNetworks:
    def product(self, case, a, b, out):
        (a, b), matmul = case.operands(a, b), self.lib.matmul
        return lambda: matmul(a, b, out=out)

    def _model(self, net, theta):
        """The layer itself where there is but one."""
        layers = [
            self.lib.Dense(layer.n_in, layer.n_out, layer.activation, dtype=theta.dtype)
            if isinstance(layer, Dense)
            else self.lib.Residual(layer.n, activation=layer.activation, dtype=theta.dtype)
            for layer in net
        ]
        model = layers[0] if len(layers) == 1 else self.lib.Network(layers)
        for parameter, values in zip(model.params.values(), chain(*split(net, theta)), strict=True):
            parameter[...] = values
        return model

    def forward(self, case, X, theta, out):
        model = self._model(case.shape[1], theta)
        return lambda: model(X, out=out)

    def dense_jac_tmv(self, case, X, theta, v, out):
        layer = self._model(case.shape[1], theta)
        _, jac = layer.linearize(X)
        parts = {"x": np.empty_like(X)} | {name: np.empty_like(parameter) for name, parameter in layer.params.items()}
        results = tuple(parts.values())

        def work():
            jac.tmv(v, out=parts)
            return results

        return work

    def dense_jac_mv(self, case, X, theta, dX, dtheta, out):
        net = case.shape[1]
        layer = self._model(net, theta)
        directions = dict(zip(("x", *layer.params), (dX, *split(net, dtheta)[0]), strict=True))
        return lambda: layer.value_and_jac_mv(X, **directions)

    def step(self, case, X, y, theta, out):
        net = self._model(case.shape[1], theta)
        step = self.lib.training_step(net, self.lib.SoftmaxCrossEntropy(), self.lib.SGD(RATE), len(X))
        theta = net.theta
        return lambda: (step(X, y), theta)


def run(calls):
    for call in calls:
        call()


class NumPyNetworks:
    """Networks are planned: a list of calls, all their arrays made before. np.dot starts sooner than np.matmul, and sums columns
    faster than np.sum does."""

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
