"""JAX, in both layouts of images."""

from functools import partial
from types import MappingProxyType

import numpy as np

from ..curvature import DAMPING
from ..image_nets import Conv, Flatten, Pool, shapes
from ..images import PAD, as_planes, from_planes
from ..kinds import SMOOTH, unpack
from ..nets import RATE, Dense, split
from ..norms import EPS
from ..second import Loss
from .base import ImagesOnly, Peer, added, fastest, flat


class JAX(Peer):
    """Jitted, on device arrays, until the result is ready. A result is reused by donating the last one.

    Steps of dense networks are written by hand on one flat theta, which is handed over to the next call: an argument for each
    parameter takes longer. Gradients of convolutions are the transposes of the linear map, which is all that vjp would compute.
    """

    name, module = "JAX", "jax"
    # That is for what XLA compiles. The kernels that it calls (products, convolutions, sums, softmax) choose by themselves.
    HELD = MappingProxyType({"avx2": {"XLA_FLAGS": added("XLA_FLAGS", "--xla_cpu_max_isa=AVX2")}})
    NOT_HELD = "has a switch only for what XLA compiles itself: takes part at elementwise functions alone"

    def __init__(self, threads):
        super().__init__(threads)
        self.lib.config.update("jax_enable_x64", True)

    def offered(self, case):
        return None if self.held and case.op not in ("tanh", "sigmoid", "relu", *SMOOTH) else super().offered(case)

    def take(self, array):
        return self.lib.numpy.asarray(array)

    def forget(self):
        self.lib.clear_caches()

    def _jitted(self, function, arguments, out=None):
        """function(*arguments), jitted; with `out` its memory is that of the result's last part, call after call, or of all parts
        where `out` is a tuple."""
        ready = self.lib.block_until_ready
        if out is None:
            function = self.lib.jit(function)
            return lambda: ready(function(*arguments))
        work = self.lib.jit(lambda out, *arguments: function(*arguments), donate_argnums=0, keep_unused=True)

        def reusing():
            nonlocal out
            result = ready(work(out, *arguments))
            out = result[-1] if isinstance(result, tuple) and not isinstance(out, tuple) else result
            return result

        return reusing

    def unary(self, case, x, out):
        nn = self.lib.nn
        work = {
            "softmax": lambda x: nn.softmax(x, axis=case.axis),
            "log_softmax": lambda x: nn.log_softmax(x, axis=case.axis),
            "tanh": self.lib.numpy.tanh,
            "sigmoid": nn.sigmoid,
            "relu": nn.relu,
        }[case.op]
        return self._jitted(work, (x,), out)

    def smooth(self, case, x, out):
        nn = self.lib.nn
        return self._jitted(partial(nn.gelu, approximate=False) if case.op == "gelu" else getattr(nn, case.op), (x,), out)

    def _loss_and_residual(self, logits, labels):
        p = self.lib.nn.softmax(logits)
        at = labels[:, None]
        loss = -self.lib.numpy.log(self.lib.numpy.take_along_axis(p, at, 1)).mean()
        return loss, (p - (at == self.lib.numpy.arange(p.shape[1]))) * (1 / len(p))

    def cross_entropy(self, case, logits, labels, out):
        return self._jitted(self._loss_and_residual, (logits, labels), out)

    def value_and_gradient(self, case, X, y, theta, out):
        def work(X, y, W, b):
            value, residual = self._loss_and_residual(X @ W.T + b, y)
            return value, residual.T @ X, residual.sum(0)

        return self._jitted(work, (X, y, *unpack(theta, case)))

    def _product(self, X, p, d_logits):
        residual = p * (d_logits - (p * d_logits).sum(1, keepdims=True)) / len(X)
        return residual.T @ X, residual.sum(0)

    def hessian_mv(self, case, X, y, theta, v, out):
        def work(X, W, b, dW, db):  # one product with X for both: faster than jvp of grad
            both = X @ self.lib.numpy.concatenate([W, dW]).T
            return self._product(X, self.lib.nn.softmax(both[:, : len(b)] + b), both[:, len(b) :] + db)

        return self._jitted(work, (X, *unpack(theta, case), *unpack(v, case)))

    def hessian_mv_frozen(self, case, X, y, theta, v, out):
        W, b = unpack(theta, case)
        p = self.lib.nn.softmax(X @ W.T + b)
        return self._jitted(lambda X, p, dW, db: self._product(X, p, X @ dW.T + db), (X, p, *unpack(v, case)))

    def _norm(self, case):
        def function(x, gamma, beta):
            d = x - x.mean(case.axis, keepdims=True)
            return d * self.lib.lax.rsqrt((d * d).mean(case.axis, keepdims=True) + EPS) * gamma + beta

        return function

    def norm(self, case, x, gamma, beta, out):
        return self._jitted(self._norm(case), (x, gamma, beta))

    def norm_jac_tmv(self, case, x, gamma, beta, v, out):
        """By hand from what was kept, which takes less than vjp."""
        jnp, axis = self.lib.numpy, case.axis
        d = x - x.mean(axis, keepdims=True)
        inverse = self.lib.lax.rsqrt((d * d).mean(axis, keepdims=True) + EPS)

        def work(x, gamma, mean, inverse, v):
            z, w = (x - mean) * inverse, v * gamma
            dx = inverse * (w - w.mean(axis, keepdims=True) - z * (w * z).mean(axis, keepdims=True))
            return dx, (v * z).sum(0), v.sum(0)

        return self._jitted(work, (x, gamma, jnp.mean(x, axis, keepdims=True), inverse, v))

    def dropout(self, case, x, out):
        jax, key = self.lib, self.lib.random.key(0)

        def function(x, key):
            key, own = jax.random.split(key)
            return key, jax.numpy.where(jax.random.bernoulli(own, 1 - case.p, x.shape), x / (1 - case.p), 0)

        function = jax.jit(function)

        def work():
            nonlocal key
            key, y = jax.block_until_ready(function(x, key))
            return x, y

        return work

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

    def _network(self, net):
        return lambda X, layers: self._forward(net, layers, X)[0]

    def jac_mv(self, case, X, theta, dX, dtheta, out):
        net = case.shape[1]
        _, jac_mv = self.lib.linearize(self._network(net), X, split(net, theta))
        return self._jitted(jac_mv, (dX, split(net, dtheta)))

    def jac_tmv(self, case, X, theta, v, out):
        net = case.shape[1]
        _, jac_tmv = self.lib.vjp(self._network(net), X, split(net, theta))
        return self._jitted(jac_tmv, (v,))

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

    dimensions = ("NCHW", "OIHW", "NCHW")
    image_order, weight_order = (0, 1, 2, 3), (0, 1, 2, 3)  # of the axes, as they are kept here

    def images(self, array, back=False):
        """(m, channels, height, width) as it is kept here; or from that, back."""
        return array.transpose(np.argsort(self.image_order) if back else self.image_order)

    def weights(self, array, back=False):
        """(filters, channels, rows, columns) as it is kept here; or from that, back."""
        return array.transpose(np.argsort(self.weight_order) if back else self.weight_order)

    def _convolved(self, layer, x, W):
        return self.lib.lax.conv_general_dilated(
            x,
            W,
            [layer.stride] * 2,
            [(layer.padding, layer.padding)] * 2,
            rhs_dilation=[layer.dilation] * 2,
            dimension_numbers=self.dimensions,
            feature_group_count=layer.groups,
        )

    def _biased(self, layer, x, W, b):
        return self._convolved(layer, x, W) + b.reshape([-1 if axis == 1 else 1 for axis in self.image_order])

    def conv(self, case, x, W, b, out):
        def work(x, W, b):
            return self._biased(case.layer, x, W, b)

        return self._jitted(work, (self.images(x), self.weights(W), b), self.images(out))

    def conv_data_gradient(self, case, v, x, W, out):
        x = self.images(x)

        def work(v, W):
            return self.lib.linear_transpose(lambda x: self._convolved(case.layer, x, W), x)(v)[0]

        return self._jitted(work, (self.images(v), self.weights(W)))

    def conv_weight_gradient(self, case, v, x, W, out):
        W = self.weights(W)

        def work(v, x):
            return self.lib.linear_transpose(lambda W: self._convolved(case.layer, x, W), W)(v)[0]

        return self._jitted(work, (self.images(v), self.images(x)))

    def conv_jac_mv(self, case, x, W, dx, dW, out):
        def work(primals, tangents):
            return self.lib.jvp(lambda x, W: self._convolved(case.layer, x, W), primals, tangents)[1]

        return self._jitted(work, tuple((self.images(a), self.weights(B)) for a, B in ((x, W), (dx, dW))))

    def filter2d(self, case, image, kernel, out):
        """A colour image as a batch of gray ones."""
        jnp, (r, s) = self.lib.numpy, kernel.shape

        def work(planes, kernel):
            edges = [(0, 0), (0, 0), (r // 2, r // 2), (s // 2, s // 2)]
            return self._convolved(Conv(1, 1, r), jnp.pad(planes, edges, mode=PAD[case.mode]), kernel)

        planes = as_planes(image)[:, None]
        return self._jitted(work, (planes, kernel[None, None, ::-1, ::-1]), jnp.empty_like(planes))

    def arrays(self, case, result):
        if case.op == "jac_tmv":
            return tuple(self.lib.tree.leaves(result))
        if case.op == "image_step":
            loss, layers = result
            return loss, flat(part for parts in self._exchanged(case, layers, back=True) for part in parts)
        if case.op == "objective":
            loss, gradient = result
            return loss, self._exchanged_theta(case, gradient)
        if isinstance(case, Loss) and case.op.endswith("_mv"):
            return self._exchanged_theta(case, result)
        if case.op == "point":
            return tuple(self.lib.tree.leaves(result))
        if case.op == "filter2d":
            return from_planes(np.asarray(result)[:, 0])
        if case.op == "conv_weight_gradient":
            return self.weights(np.asarray(result), back=True)
        return self.images(np.asarray(result), back=True) if case.op.startswith("conv") else super().arrays(case, result)

    def _exchanged(self, case, layers, back=False):
        """A network's parameters as they are kept here, or from that, back; after a Flatten they meet its pixels in order."""
        (_, *shape), net = case.shape
        exchanged, pixels = [], None
        for layer, parts, before in zip(net, layers, shapes(net, tuple(shape)), strict=True):
            match layer:
                case Conv():
                    parts = self.weights(parts[0], back), parts[1]
                case Flatten():
                    pixels = [before[axis - 1] for axis in self.image_order[1:]] if back else before
                case Dense() if pixels:
                    W, b = parts
                    parts, pixels = (self.images(W.reshape(-1, *pixels), back).reshape(W.shape), b), None
            exchanged.append(parts)
        return exchanged

    def _raveled(self, case, theta):
        """(theta, flat, as its parts are kept here; the function that makes the parts of it)."""
        from jax.flatten_util import ravel_pytree

        return ravel_pytree(self._exchanged(case, split(case.shape[1], theta)))

    def _exchanged_theta(self, case, theta):
        """From that, back."""
        _, parts = self._raveled(case, theta)
        return flat(part for parts in self._exchanged(case, parts(theta), back=True) for part in parts)

    def _output(self, case, X, theta):
        """(theta as it is kept here, the network's output as a function of it, of X where it is given)."""
        theta, parts = self._raveled(case, theta)
        X = self.images(X) if X.ndim == 4 else X
        return theta, lambda theta, X=X: self._image_forward(case.shape[1], parts(theta), X)

    def _cross_entropy(self, logits, y):
        jnp = self.lib.numpy
        return -jnp.take_along_axis(self.lib.nn.log_softmax(logits), y[:, None], 1).mean()

    def objective(self, case, X, y, theta, out):
        theta, output = self._output(case, X, theta)
        return self._jitted(self.lib.value_and_grad(lambda theta, y: self._cross_entropy(output(theta), y)), (theta, y))

    def objective_hessian_mv(self, case, X, y, theta, v, out):
        """Forward over reverse, with all that does not depend on v done before or not."""
        (theta, output), (v, _) = self._output(case, X, theta), self._raveled(case, v)
        gradient = self.lib.grad(lambda theta: self._cross_entropy(output(theta), y))
        _, linearized = self.lib.linearize(gradient, theta)
        whole = self._jitted(lambda theta, v: self.lib.jvp(gradient, (theta,), (v,))[1], (theta, v))
        return fastest(whole, self._jitted(linearized, (v,)))

    def objective_gauss_newton_mv(self, case, X, y, theta, v, out):
        (theta, output), (v, _), lib = self._output(case, X, theta), self._raveled(case, v), self.lib

        def product(jac_mv, hessian_mv, jac_tmv):
            return lambda v: jac_tmv(hessian_mv(jac_mv(v)))[0]

        def whole(theta, v):
            logits, moved = lib.jvp(output, (theta,), (v,))
            curved = lib.jvp(lib.grad(lambda logits: self._cross_entropy(logits, y)), (logits,), (moved,))[1]
            return lib.vjp(output, theta)[1](curved)[0]

        logits, jac_mv = lib.linearize(output, theta)
        _, hessian_mv = lib.linearize(lib.grad(lambda logits: self._cross_entropy(logits, y)), logits)
        linearized = product(jac_mv, hessian_mv, lib.vjp(output, theta)[1])
        return fastest(self._jitted(whole, (theta, v)), self._jitted(linearized, (v,)))

    def _sample_gradients(self, case, X, y, theta):
        theta, output = self._output(case, X, theta)
        gradient = self.lib.grad(lambda theta, x, label: self._cross_entropy(output(theta, x[None]), label[None]))
        return self.lib.vmap(gradient, (None, 0, 0)), (theta, X, y)

    def sample_gradients(self, case, X, y, theta, out):
        return self._jitted(*self._sample_gradients(case, X, y, theta))

    def sample_norms(self, case, X, y, theta, out):
        """Of the gradients, which XLA makes or not, or by hand, from the factors of each layer's."""
        gradients, arguments = self._sample_gradients(case, X, y, theta)
        net, jnp = case.shape[1], self.lib.numpy

        def by_hand(layers, X, y):
            logits, kept = self._forward(net, layers, X)
            v, total = self._loss_and_residual(logits, y)[1] * len(X), 0
            for layer, (W, _), (x, hidden) in zip(net[::-1], layers[::-1], kept[::-1], strict=True):
                inner = self._times_derivative(v, hidden, layer.activation)
                total += (inner * inner).sum(1) * ((x * x).sum(1) + 1)
                v = inner @ W
            return total

        made = self._jitted(lambda *arguments: jnp.square(gradients(*arguments)).sum(1), arguments)
        return fastest(made, self._jitted(by_hand, (split(net, theta), X, y)))

    def point(self, case, X, theta, dX, v, out):
        """Each of the three a jitted call, as one has them from Python: the transposed product is linearized by the first, the
        other one goes through the network anew."""
        net, jit, lib = case.shape[1], self.lib.jit, self.lib
        output, layers = self._network(net), split(net, theta)
        start = jit(lambda X, layers: lib.vjp(output, X, layers))
        jac_mv = jit(lambda X, layers, dX: lib.jvp(lambda X: output(X, layers), (X,), (dX,))[1])
        jac_tmv = jit(lambda function, v: function(v))

        def work():
            y, function = start(X, layers)
            return lib.block_until_ready((y, jac_mv(X, layers, dX), jac_tmv(function, v)))

        return work

    def mv_many(self, case, X, theta, V, out):
        net = case.shape[1]
        _, jac_mv = self.lib.linearize(lambda X: self._network(net)(X, split(net, theta)), X)
        return self._jitted(self.lib.vmap(jac_mv), (V,))

    def tmv_many(self, case, X, theta, V, out):
        net = case.shape[1]
        _, jac_tmv = self.lib.vjp(lambda X: self._network(net)(X, split(net, theta)), X)
        return self._jitted(self.lib.vmap(lambda v: jac_tmv(v)[0]), (V,))

    def sample_jacobians(self, case, X, theta, out):
        lib, (theta, output) = self.lib, self._output(case, X, theta)
        ways = (way(lambda x, theta: output(theta, x[None])[0]) for way in (lib.jacrev, lib.jacfwd))
        return fastest(*(self._jitted(lib.vmap(way, (0, None)), (X, theta)) for way in ways))

    def theta_jacobian(self, case, X, theta, out):
        lib, (theta, output) = self.lib, self._output(case, X, theta)
        whole = lib.jacrev(lambda theta, X: output(theta, X).ravel())
        each = lib.vmap(lib.jacrev(lambda theta, x: output(theta, x[None])[0]), (None, 0))
        stacked = self._jitted(lambda theta, X: each(theta, X).reshape(-1, len(theta)), (theta, X))
        return fastest(stacked, self._jitted(whole, (theta, X)))

    def _sample_jacobian(self, case, X, theta):
        """(a function of theta to the Jacobian by it, (m outputs, n_params), theta)."""
        lib, (theta, output) = self.lib, self._output(case, X, theta)
        each = lib.vmap(lib.jacrev(lambda theta, x: output(theta, x[None])[0]), (None, 0))
        return lambda theta: each(theta, X).reshape(-1, len(theta)), theta

    def gram(self, case, X, theta, out):
        """From the Jacobian, or by products with it, one for each column, many of them together."""
        lib, (jacobian, theta) = self.lib, self._sample_jacobian(case, X, theta)
        _, output = self._output(case, X, theta)
        rows = len(X) * case.shape[1][-1].n_out

        def by_products(theta):
            y, jac_tmv = lib.vjp(output, theta)

            def column(v):
                return lib.jvp(output, (theta,), jac_tmv(v.reshape(y.shape)))[1].ravel()

            return lib.lax.map(column, lib.numpy.eye(rows, dtype=theta.dtype), batch_size=64)

        def by_matrix(theta):
            J = jacobian(theta)
            return J @ J.T

        return fastest(*(self._jitted(way, (theta,)) for way in (by_products, by_matrix)), times=1)

    def gauss_newton_iterations(self, case, X, y, theta, out):
        (jacobian, theta), linalg = self._sample_jacobian(case, X, theta), self.lib.scipy.linalg
        _, output = self._output(case, X, theta)
        scale, identity = 2 / y.size, DAMPING * self.lib.numpy.eye(len(theta), dtype=theta.dtype)

        def step(_, theta):
            J, residual = jacobian(theta), (output(theta, X) - y).ravel()
            return theta - linalg.cho_solve(linalg.cho_factor(scale * J.T @ J + identity), scale * J.T @ residual)

        return self._jitted(lambda theta: self.lib.lax.fori_loop(0, case.k, step, theta), (theta,))

    def hessian_columns(self, case, X, y, theta, V, out):
        """All columns in one product with X, and one with its transpose."""
        jnp, (W, b), k = self.lib.numpy, unpack(theta, case), V.shape[1]
        p = self.lib.nn.softmax(X @ W.T + b)

        def work(X, p, V):
            dW, db = V[: W.size].reshape(*W.shape, k).transpose(2, 0, 1).reshape(-1, W.shape[1]), V[W.size :].T.ravel()
            moved = (X @ dW.T + db).reshape(len(X), k, -1)
            residual = p[:, None] * (moved - (p[:, None] * moved).sum(2, keepdims=True)) / len(X)
            residual = residual.reshape(len(X), -1)
            parts = (residual.T @ X).reshape(k, -1), residual.sum(0).reshape(k, -1)
            return jnp.concatenate(parts, axis=1).T

        return self._jitted(work, (X, p, V))

    def _pool(self, layer, x):
        """From slices, and the derivative of a maximum by hand, to its place: a tenth of the time of reduce_window's."""
        jnp, size, high = self.lib.numpy, layer.size, self.image_order.index(2)
        wide = high + 1

        def slices(x):
            index = [slice(None)] * 4
            for index[high] in [slice(i, None, size) for i in range(size)]:
                for index[wide] in [slice(j, None, size) for j in range(size)]:
                    yield x[tuple(index)]

        def largest(x):
            first, *others = slices(x)
            y, at = first, jnp.zeros(first.shape, jnp.uint8)
            for place, value in enumerate(others, 1):
                y, at = jnp.maximum(y, value), jnp.where(value > y, place, at)
            return y, at

        def backward(at, v):
            at, v = (jnp.expand_dims(array, (high + 1, wide + 2)) for array in (at, v))
            places = jnp.arange(size**2, dtype=jnp.uint8).reshape(size, 1, size, *[1] * (3 - wide))
            back = jnp.where(at == places, v, 0)
            return (back.reshape(*v.shape[:high], v.shape[high] * size, -1, *v.shape[wide + 3 :]),)

        if layer.kind == "average":
            return sum(slices(x)) / size**2
        maximum = self.lib.custom_vjp(lambda x: largest(x)[0])
        maximum.defvjp(largest, backward)
        return maximum(x)

    def _image_forward(self, net, layers, x):
        for layer, parts in zip(net, layers, strict=True):
            match layer:
                case Conv():
                    x = self._activate(self._biased(layer, x, *parts), layer.activation)
                case Pool():
                    x = self._pool(layer, x)
                case Flatten():
                    x = x.reshape(len(x), -1)
                case Dense():
                    W, b = parts
                    x = self._activate(x @ W.T + b, layer.activation)
        return x

    def image_inference(self, case, X, theta, out):
        net = case.shape[1]
        layers = self._exchanged(case, split(net, theta))
        return self._jitted(lambda layers, X: self._image_forward(net, layers, X), (layers, self.images(X)), out)

    def image_step(self, case, X, y, theta, out):
        net, lib, X = case.shape[1], self.lib, self.images(X)

        def work(layers, X, y):
            logits, derivative = lib.vjp(lambda layers: self._image_forward(net, layers, X), layers)
            loss, v = self._loss_and_residual(logits, y)
            return loss, lib.tree.map(lambda part, change: part - RATE * change, layers, *derivative(v))

        work, layers = lib.jit(work, donate_argnums=0), lib.tree.map(lib.numpy.array, self._exchanged(case, split(net, theta)))

        def call():
            nonlocal layers
            loss, layers = lib.block_until_ready(work(layers, X, y))
            return loss, layers

        return call


class JAXNHWC(ImagesOnly, JAX):
    name, HELD = "JAX NHWC", MappingProxyType({})  # that of JAX is not for convolutions
    dimensions, image_order, weight_order = ("NHWC", "HWIO", "NHWC"), (0, 2, 3, 1), (2, 3, 1, 0)
    filter2d = None  # an image of one channel lies the same way
