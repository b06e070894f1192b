"""Products, dense layers and networks by PyTorch, JAX and ONNX Runtime: parts of the contenders in `peers_compiled`."""

import numpy as np

from .nets import RATE, split


class PyTorchNetworks:
    """By hand, which takes half the time of autograd where layers are small; the update is part of the gradient's product."""

    def product(self, case, a, b, out):
        work, (a, b) = self.compiled(lambda a, b, out: self.lib.mm(a, b, out=out)), case.operands(a, b)
        return lambda: work(a, b, out)

    @staticmethod
    def _activate(z, activation):
        return z.tanh_() if activation == "tanh" else z.relu_() if activation == "relu" else z

    def _times_derivative(self, v, y, activation):
        aten = self.lib.ops.aten
        if activation == "tanh":
            return aten.tanh_backward(v, y)
        return aten.threshold_backward(v, y, 0) if activation == "relu" else v

    def _forward(self, net, layers, x, out=None, kept=None):
        """The output; what each layer had as its input and as its activation is added to `kept`."""
        for layer, (W, b, *W2) in zip(net, layers, strict=True):
            into = out if layer is net[-1] else None
            hidden = self._activate(self.lib.addmm(b, x, W.t(), out=into), layer.activation)
            if kept is not None:
                kept.append((x, hidden))
            x = self.lib.addmm(x, hidden, W2[0].t()) if W2 else hidden
        return x

    def forward(self, case, X, theta, out):
        net = case.shape[1]
        work, layers = self.compiled(lambda layers, X, out: self._forward(net, layers, X, out)), split(net, theta)
        return lambda: work(layers, X, out)

    def dense_jac_tmv(self, case, X, theta, v, out):
        net = case.shape[1]
        (W, b), y = split(net, theta)[0], self._forward(net, split(net, theta), X)
        parts = tuple(map(self.lib.empty_like, (X, W, b)))

        def work(X, W, y, v, gx, gW, gb):
            inner = self._times_derivative(v, y, net[0].activation)
            self.lib.mm(inner, W, out=gx)
            self.lib.mm(inner.t(), X, out=gW)
            self.lib.sum(inner, 0, out=gb)

        work = self.compiled(work)

        def call():
            work(X, W, y, v, *parts)
            return parts

        return call

    def dense_jac_mv(self, case, X, theta, dX, dtheta, out):
        net = case.shape[1]

        def work(X, W, b, dX, dW, db):
            y = self._activate(self.lib.addmm(b, X, W.t()), net[0].activation)
            return y, self._times_derivative(self.lib.addmm(db, dX, W.t()).addmm_(X, dW.t()), y, net[0].activation)

        work, arguments = self.compiled(work), (X, *split(net, theta)[0], dX, *split(net, dtheta)[0])
        return lambda: work(*arguments)

    def _step(self, net, layers, X, y):
        """The loss; the parameters are updated in place."""
        kept = []
        loss, v = self._loss_and_residual(self._forward(net, layers, X, kept=kept), y, 1, scale=-RATE)
        for layer, (W, b, *W2), (x, hidden) in zip(net[::-1], layers[::-1], kept[::-1], strict=True):
            inner = self._times_derivative(v @ W2[0] if W2 else v, hidden, layer.activation)
            if W2:
                W2[0].addmm_(v.t(), hidden)
                v = self.lib.addmm(v, inner, W)
            elif layer is not net[0]:
                v = inner @ W
            W.addmm_(inner.t(), x)
            b.add_(inner.sum(0))
        return loss

    def step(self, case, X, y, theta, out):
        net, theta = case.shape[1], theta.clone()
        layers, work = split(net, theta), self.compiled(lambda layers, X, y: self._step(net, layers, X, y))
        return lambda: (work(layers, X, y), theta)


class JAXNetworks:
    """Steps by hand on one flat theta, which is handed over to the next call: an argument for each parameter takes longer."""

    def product(self, case, a, b, out):
        return self._jitted(lambda a, b: self.lib.numpy.matmul(*case.operands(a, b)), (a, b), out)

    def _activate(self, z, activation):
        return {"tanh": self.lib.numpy.tanh, "relu": self.lib.nn.relu, "identity": lambda z: z}[activation](z)

    def _times_derivative(self, v, y, activation):
        return v * (1 - y * y) if activation == "tanh" else self.lib.numpy.where(y > 0, v, 0) if activation == "relu" else v

    def _forward(self, net, layers, x):
        """(the output, what each layer had as its input and as its activation)."""
        kept = []
        for layer, (W, b, *W2) in zip(net, layers, strict=True):
            hidden = self._activate(x @ W.T + b, layer.activation)
            kept.append((x, hidden))
            x = x + hidden @ W2[0].T if W2 else hidden
        return x, kept

    def forward(self, case, X, theta, out):
        net = case.shape[1]
        return self._jitted(lambda layers, X: self._forward(net, layers, X)[0], (split(net, theta), X), out)

    def dense_jac_tmv(self, case, X, theta, v, out):
        net = case.shape[1]
        y, _ = self._forward(net, split(net, theta), X)

        def work(X, W, y, v):
            inner = self._times_derivative(v, y, net[0].activation)
            return inner @ W, inner.T @ X, inner.sum(0)

        W, b = split(net, theta)[0]
        return self._jitted(work, (X, W, y, v), tuple(map(self.lib.numpy.empty_like, (X, W, b))))

    def dense_jac_mv(self, case, X, theta, dX, dtheta, out):
        net = case.shape[1]

        def layer(X, W, b):
            return self._activate(X @ W.T + b, net[0].activation)

        def work(primals, tangents):
            return self.lib.jvp(layer, primals, tangents)

        return self._jitted(work, ((X, *split(net, theta)[0]), (dX, *split(net, dtheta)[0])))

    def step(self, case, X, y, theta, out):
        net, ready = case.shape[1], self.lib.block_until_ready

        def work(theta, X, y):
            layers, gradients = split(net, theta), []
            logits, kept = self._forward(net, layers, X)
            loss, v = self._loss_and_residual(logits, y)
            for layer, (W, _, *W2), (x, hidden) in zip(net[::-1], layers[::-1], kept[::-1], strict=True):
                inner = self._times_derivative(v @ W2[0] if W2 else v, hidden, layer.activation)
                gradients.append((inner.T @ x, inner.sum(0), *((v.T @ hidden,) if W2 else ())))
                v = inner @ W + (v if W2 else 0)
            change = self.lib.numpy.concatenate([part.ravel() for parts in gradients[::-1] for part in parts])
            return loss, theta - RATE * change

        work, theta = self.lib.jit(work, donate_argnums=0), self.lib.numpy.array(theta)

        def call():
            nonlocal theta
            loss, theta = ready(work(theta, X, y))
            return loss, theta

        return call


class ONNXNetworks:
    """Weights are constants of the graph in inference, inputs elsewhere. There is no training."""

    def product(self, case, a, b, out):
        attributes = {"gemm_tn": {"transA": 1}, "gemm_nt": {"transB": 1}}.get(case.op, {})
        return self._work([("Gemm", "a b", "c", attributes)], ["c"], {"a": a, "b": b}, out)

    def forward(self, case, X, theta, out):
        net, x = case.shape[1], "X"
        nodes, constants = [], {}
        for k, (layer, parts) in enumerate(zip(net, split(net, theta), strict=True)):
            constants |= zip((f"W{k}", f"b{k}", f"V{k}"), parts, strict=False)
            nodes += [
                ("Gemm", f"{x} W{k} b{k}", f"z{k}", {"transB": 1}),
                (self.OPERATORS[layer.activation], f"z{k}", f"h{k}", {}),
            ]
            if len(parts) == 3:
                nodes.append(("Gemm", f"h{k} V{k} {x}", f"y{k}", {"transB": 1}))
            x = nodes[-1][2]
        return self._work(nodes, [x], {"X": X}, out, **constants)

    def dense_jac_tmv(self, case, X, theta, v, out):
        W, b = split(case.shape[1], theta)[0]
        (y,) = self.forward(case, X, theta, np.empty_like(v))()
        nodes = [
            ("Mul", "y y", "square", {}),
            ("Sub", "one square", "slope", {}),  # of a tanh layer
            ("Mul", "v slope", "inner", {}),
            ("MatMul", "inner W", "gx", {}),
            ("Gemm", "inner X", "gW", {"transA": 1}),
            ("ReduceSum", "inner rows", "gb", {"keepdims": 0}),
        ]
        inputs, parts = {"X": X, "W": W, "y": y, "v": v}, tuple(map(np.empty_like, (X, W, b)))
        return self._work(nodes, ["gx", "gW", "gb"], inputs, parts, one=np.ones((), X.dtype), rows=np.array([0]))

    def dense_jac_mv(self, case, X, theta, dX, dtheta, out):
        (W, b), (dW, db) = (split(case.shape[1], array)[0] for array in (theta, dtheta))
        nodes = [
            ("Gemm", "X W b", "z", {"transB": 1}),
            ("Tanh", "z", "y", {}),
            ("Gemm", "dX W db", "half", {"transB": 1}),
            ("Gemm", "X dW half", "dz", {"transB": 1}),
            ("Mul", "y y", "square", {}),
            ("Sub", "one square", "slope", {}),
            ("Mul", "dz slope", "dy", {}),
        ]
        inputs = {"X": X, "W": W, "b": b, "dX": dX, "dW": dW, "db": db}
        return self._work(nodes, ["y", "dy"], inputs, one=np.ones((), X.dtype))
