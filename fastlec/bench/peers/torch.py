"""PyTorch: eager, with the channels of images last, compiled, and by automatic differentiation."""

from functools import partial
from types import MappingProxyType

import numpy as np

from ..bridges import by_autograd, convolution_by_autograd
from ..image_nets import Conv, Flatten, Pool
from ..images import PAD, from_planes
from ..kinds import unpack
from ..nets import RATE, Dense, split
from ..norms import EPS
from .base import ImagesOnly, Peer, fastest, flat

HELD = MappingProxyType(
    {
        "avx2": {
            "ATEN_CPU_CAPABILITY": "avx2",  # which torch.compile goes by as well
            "ONEDNN_MAX_CPU_ISA": "AVX2",
            "MKL_ENABLE_INSTRUCTIONS": "AVX2",
            "TORCHINDUCTOR_CPP_MARCH": "x86-64-v3",
        }
    }
)


class PyTorch(Peer):
    """Eager, in inference mode, on the NumPy arrays' own memory, in place.

    Steps are written by hand, which takes half the time of autograd where layers are small; the update of a dense layer is part of
    the product that makes its gradient. Each gradient of a convolution goes through the function that autograd itself calls.
    """

    name, module, HELD = "PyTorch", "torch", HELD

    def __init__(self, threads):
        super().__init__(threads)
        self.lib.set_num_threads(threads)
        self.mode = self.lib.inference_mode()  # kept, which keeps it on: entered at every call it would be timed
        self.mode.__enter__()

    def take(self, array):
        return self.lay(self.lib.from_numpy(array))

    def lay(self, array):
        """Images, or their weights, as they are kept here."""
        return array

    def compiled(self, function):
        return function

    def _loss_and_residual(self, logits, labels, axis, out=None, scale=1):
        """scale : of the residual."""
        p = self.lib.softmax(logits, axis, out=out)
        at, m = labels.unsqueeze(axis), len(labels)
        loss = -p.gather(axis, at).log().mean()
        return loss, p.scatter_add_(axis, at, p.new_full((1, 1), -1).expand(at.shape)).mul_(scale / m)

    def unary(self, case, x, out):
        torch, axis = self.lib, case.axis
        work = {
            "softmax": lambda x, out: torch.softmax(x, axis, out=out),
            "log_softmax": lambda x, out: torch.log_softmax(x, axis, out=out),
            "tanh": lambda x, out: torch.tanh(x, out=out),
            "sigmoid": lambda x, out: torch.sigmoid(x, out=out),
            "relu": lambda x, out: torch.clamp_min(x, 0, out=out),
        }[case.op]
        work = self.compiled(work)
        return lambda: work(x, out)

    def smooth(self, case, x, out):
        function = getattr(self.lib.ops.aten, case.op)
        if out is None:
            work = self.compiled(lambda x: function(x))
            return lambda: work(x)
        work = self.compiled(lambda x, out: function.out(x, out=out))
        return lambda: work(x, out)

    def cross_entropy(self, case, logits, labels, out):
        work = self.compiled(lambda logits, labels, out: self._loss_and_residual(logits, labels, 1, out))
        return lambda: work(logits, labels, out)

    def value_and_gradient(self, case, X, y, theta, out):
        def work(X, y, W, b):
            value, residual = self._loss_and_residual(self.lib.addmm(b[:, None], W, X.T), y, 0)
            return value, residual @ X, residual.sum(1)

        work, (W, b) = self.compiled(work), unpack(theta, case)
        return lambda: work(X, y, W, b)

    def _probabilities(self, X, W, b):
        return self.lib.softmax(self.lib.addmm(b[:, None], W, X.T), 0)

    def _product(self, X, p, dW, db):
        d_logits = self.lib.addmm(db[:, None], dW, X.T)
        residual = p * (d_logits - (p * d_logits).sum(0)) / len(X)
        return residual @ X, residual.sum(1)

    def hessian_mv(self, case, X, y, theta, v, out):
        work = self.compiled(lambda X, W, b, dW, db: self._product(X, self._probabilities(X, W, b), dW, db))
        arguments = X, *unpack(theta, case), *unpack(v, case)
        return lambda: work(*arguments)

    def hessian_mv_frozen(self, case, X, y, theta, v, out):
        work, arguments = self.compiled(self._product), (X, self._probabilities(X, *unpack(theta, case)), *unpack(v, case))
        return lambda: work(*arguments)

    def hessian_columns(self, case, X, y, theta, V, out):
        """All columns in one product with X, and one with its transpose."""
        torch, (W, b), k = self.lib, unpack(theta, case), V.shape[1]
        p = self._probabilities(X, W, b)

        def work(X, p, V):
            dW, db = (
                V[: W.numel()].reshape(*W.shape, k).permute(2, 0, 1).reshape(-1, W.shape[1]),
                V[W.numel() :].t().reshape(-1, 1),
            )
            moved = torch.addmm(db, dW, X.t()).reshape(k, -1, len(X))
            residual = (p * (moved - (p * moved).sum(1, keepdim=True)) / len(X)).reshape(-1, len(X))
            return torch.cat([(residual @ X).reshape(k, -1), residual.sum(1).reshape(k, -1)], 1).t()

        work = self.compiled(work)
        return lambda: work(X, p, V)

    def norm(self, case, x, gamma, beta, out):
        functions = self.lib.nn.functional
        if case.op == "layer_norm":
            work = self.compiled(lambda x, gamma, beta: functions.layer_norm(x, gamma.shape, gamma, beta, EPS))
        else:
            work = self.compiled(lambda x, gamma, beta: functions.batch_norm(x, None, None, gamma, beta, True, 0.0, EPS))
        return lambda: work(x, gamma, beta)

    def norm_jac_tmv(self, case, x, gamma, beta, v, out):
        """What autograd calls."""
        aten, all_three = self.lib.ops.aten, [True, True, True]
        if case.op == "layer_norm_jac_tmv":
            _, *kept = self.lib.native_layer_norm(x, gamma.shape, gamma, beta, EPS)

            def work(v, x, gamma, beta, mean, inverse):
                return aten.native_layer_norm_backward(v, x, gamma.shape, mean, inverse, gamma, beta, all_three)
        else:
            _, *kept = self.lib.native_batch_norm(x, gamma, beta, None, None, True, 0.0, EPS)

            def work(v, x, gamma, beta, mean, inverse):
                return aten.native_batch_norm_backward(v, x, gamma, None, None, mean, inverse, True, EPS, all_three)

        work = self.compiled(work)
        return lambda: work(v, x, gamma, beta, *kept)

    def dropout(self, case, x, out):
        work = self.compiled(lambda x: self.lib.nn.functional.dropout(x, case.p, True))
        return lambda: (x, work(x))

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

    def _linearized(self, net, layers, X):
        """What each layer has as its input and as its activation."""
        kept = []
        self._forward(net, layers, X, kept=kept)
        return kept

    def jac_mv(self, case, X, theta, dX, dtheta, out):
        net, layers = case.shape[1], split(case.shape[1], theta)

        def work(layers, directions, kept, dy):
            for layer, (W, _), (dW, db), (x, hidden) in zip(net, layers, directions, kept, strict=True):
                dy = self._times_derivative(self.lib.addmm(db, dy, W.t()).addmm_(x, dW.t()), hidden, layer.activation)
            return dy

        work, arguments = self.compiled(work), (layers, split(net, dtheta), self._linearized(net, layers, X), dX)
        return lambda: work(*arguments)

    def jac_tmv(self, case, X, theta, v, out):
        net, layers = case.shape[1], split(case.shape[1], theta)

        def work(layers, kept, v):
            parts = []
            for layer, (W, _), (x, hidden) in zip(net[::-1], layers[::-1], kept[::-1], strict=True):
                inner = self._times_derivative(v, hidden, layer.activation)
                parts += inner.sum(0), inner.t() @ x
                v = inner @ W
            return v, *parts[::-1]

        work, arguments = self.compiled(work), (layers, self._linearized(net, layers, X), v)
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

    def conv(self, case, x, W, b, out):
        conv2d, options = self.lib.conv2d, case.layer.options
        return lambda: conv2d(x, W, b, **options)

    def _convolution_backward(self, layer, v, x, W, wanted):
        """wanted : of the gradients by x, W and b."""
        pairs = ([length, length] for length in (layer.stride, layer.padding, layer.dilation))
        function = self.lib.ops.aten.convolution_backward.default
        return function(v, x, W, [layer.n_out], *pairs, False, [0, 0], layer.groups, wanted)

    def conv_data_gradient(self, case, v, x, W, out):
        return lambda: self._convolution_backward(case.layer, v, x, W, [True, False, False])[0]

    def conv_weight_gradient(self, case, v, x, W, out):
        return lambda: self._convolution_backward(case.layer, v, x, W, [False, True, False])[1]

    def conv_jac_mv(self, case, x, W, dx, dW, out):
        """By hand, which takes a convolution less than torch.func.jvp: `PyTorchAutograd` has that."""
        conv2d, options = self.lib.conv2d, case.layer.options
        return lambda: conv2d(dx, W, None, **options).add_(conv2d(x, dW, None, **options))

    def conv_transpose(self, case, x, W, b, out):
        conv_transpose2d, options = self.lib.conv_transpose2d, case.options
        return lambda: conv_transpose2d(x, W, b, **options)

    def conv1d(self, case, x, W, b, out):
        conv1d, options = self.lib.conv1d, case.options
        return lambda: conv1d(x, W, b, **options)

    def upsample(self, case, x, out):
        interpolate, scale = self.lib.nn.functional.interpolate, case.shape[1]
        return lambda: interpolate(x, scale_factor=scale, mode="nearest")

    def filter2d(self, case, image, kernel, out):
        """A convolution of every channel by itself, which takes a fraction of the time of one of a batch of gray images."""
        torch, (r, s) = self.lib, kernel.shape
        x = self.lay(image.reshape(1, *image.shape[:2], -1).permute(0, 3, 1, 2).contiguous())
        channels = x.shape[1]
        kernel = self.lay(kernel.flip(0, 1).expand(channels, 1, r, s).contiguous())
        if case.mode == "constant":
            return lambda: torch.conv2d(x, kernel, padding=(r // 2, s // 2), groups=channels)
        pad, edges = torch.nn.functional.pad, (s // 2, s // 2, r // 2, r // 2)
        return lambda: torch.conv2d(pad(x, edges, mode=PAD[case.mode]), kernel, groups=channels)

    def arrays(self, case, result):
        if case.op == "image_step":
            loss, parts = result
            return loss, flat(parts)
        return from_planes(np.asarray(result)[0]) if case.op == "filter2d" else super().arrays(case, result)

    def _image_layers(self, net, theta):
        return [tuple(self.lay(part) for part in parts) for parts in split(net, theta)]

    def _image_forward(self, net, layers, x, out=None, kept=None):
        """The output; what each layer had as its input, as its output and, of a maximum, its place is added to `kept`."""
        torch = self.lib
        for layer, parts in zip(net, layers, strict=True):
            at = None
            match layer:
                case Conv():
                    y = self._activate(torch.conv2d(x, *parts, **layer.options), layer.activation)
                case Pool(kind="average"):
                    y = torch.nn.functional.avg_pool2d(x, layer.size)
                case Pool() if kept is None:
                    y = torch.nn.functional.max_pool2d(x, layer.size)
                case Pool():
                    y, at = torch.ops.aten.max_pool2d_with_indices(x, [layer.size, layer.size])
                case Flatten():
                    y = x.flatten(1)
                case Dense():
                    W, b = parts
                    into = out if layer is net[-1] else None
                    y = self._activate(torch.addmm(b, x, W.t(), out=into), layer.activation)
            if kept is not None:
                kept.append((x, y, at))
            x = y
        return x

    def image_inference(self, case, X, theta, out):
        net = case.shape[1]
        layers, work = self._image_layers(net, theta), self.compiled(partial(self._image_forward, net))
        return lambda: work(layers, X, out)

    def _pool_backward(self, layer, v, x, at):
        aten, size = self.lib.ops.aten, [layer.size, layer.size]
        if at is None:
            return aten.avg_pool2d_backward(v, x, size, size, [0, 0], False, True, None)
        return aten.max_pool2d_with_indices_backward(v, x, size, size, [0, 0], [1, 1], False, at)

    def _image_step(self, net, layers, X, y):
        """The loss; the parameters are updated in place."""
        kept = []
        loss, v = self._loss_and_residual(self._image_forward(net, layers, X, kept=kept), y, 1, scale=-RATE)
        for layer, parts, (x, value, at) in zip(net[::-1], layers[::-1], kept[::-1], strict=True):
            match layer:
                case Conv():
                    inner, (W, b) = self._times_derivative(v, value, layer.activation), parts
                    v, gW, gb = self._convolution_backward(layer, inner, x, W, [layer is not net[0], True, True])
                    W.add_(gW)
                    b.add_(gb)
                case Pool():
                    v = self._pool_backward(layer, v, x, at)
                case Flatten():
                    v = v.view(x.shape)
                case Dense():
                    inner, (W, b) = self._times_derivative(v, value, layer.activation), parts
                    v = inner @ W
                    W.addmm_(inner.t(), x)
                    b.add_(inner.sum(0))
        return loss

    def image_step(self, case, X, y, theta, out):
        net = case.shape[1]
        layers, work = self._image_layers(net, theta.clone()), self.compiled(partial(self._image_step, net))
        return lambda: (work(layers, X, y), [part for parts in layers for part in parts])


class PyTorchChannelsLast(ImagesOnly, PyTorch):
    name = "PyTorch channels_last"

    def lay(self, array):
        return array.contiguous(memory_format=self.lib.channels_last) if array.ndim == 4 else array


class PyTorchCompiled(PyTorch):
    """torch.compile: formulas that Inductor fuses, each one graph, called from C++ for less overhead between kernels.

    Of images only whole networks: a single convolution would be the same call as in PyTorch.
    """

    name = "torch.compile"
    conv = conv_data_gradient = conv_weight_gradient = conv_jac_mv = conv_transpose = conv1d = upsample = filter2d = None

    def compiled(self, function):
        return self.lib.compile(function, dynamic=False, fullgraph=True, options={"cpp_wrapper": True})

    def forget(self):
        self.lib._dynamo.reset()

    def _loss_and_residual(self, logits, labels, axis, out=None, scale=1):
        shifted = logits - logits.amax(axis, keepdim=True)
        e, at, m = shifted.exp(), labels.unsqueeze(axis), len(labels)
        total = e.sum(axis, keepdim=True)
        loss = (total.log() - shifted.gather(axis, at)).mean()
        classes = self.lib.arange(logits.shape[axis]).unsqueeze(1 - axis)
        residual = (e / total - (classes == at).to(e.dtype)) * (scale / m)
        return loss, residual if out is None else out.copy_(residual)

    def image_inference(self, case, X, theta, out):
        """Weights are frozen into the graph, laid out for it before."""
        torch, net, forward = self.lib, case.shape[1], self._image_forward

        class Network(torch.nn.Module):
            def __init__(self, layers):
                super().__init__()
                self.layers = torch.nn.ModuleList(torch.nn.ParameterList(parts) for parts in layers)

            def forward(self, X, out):
                return forward(net, [tuple(parts) for parts in self.layers], X, out)

        network = Network(self._image_layers(net, theta)).eval().requires_grad_(False)
        work = torch.compile(network, dynamic=False, fullgraph=True, options={"cpp_wrapper": True, "freezing": True})
        return lambda: work(X, out)


class PyTorchAutograd(Peer):
    """Eager as most are used to, out of inference mode: loss.backward() and optimizer.step(); torch.func.jvp. For whole steps and
    derivatives of convolutions and networks only: dual numbers and the kept graph take half the time of torch.func's there."""

    name, module, HELD = "PyTorch autograd", "torch", HELD

    def __init__(self, threads):
        super().__init__(threads)
        self.lib.set_num_threads(threads)

    def take(self, array):
        with self.lib.inference_mode(False):
            return self.lib.from_numpy(array)

    def _activations(self):
        return {"tanh": self.lib.tanh, "relu": self.lib.relu, "identity": lambda z: z}

    def _training_step(self, forward, net, X, y, theta):
        """forward(layers, X): the logits."""
        torch = self.lib
        with torch.inference_mode(False):
            theta = theta.clone()
            layers = [tuple(part.detach().requires_grad_() for part in parts) for parts in split(net, theta)]
            optimizer = torch.optim.SGD([part for parts in layers for part in parts], RATE, fused=True)

        def work():
            with torch.inference_mode(False):
                optimizer.zero_grad()
                loss = torch.nn.functional.cross_entropy(forward(layers, X), y)
                loss.backward()
                optimizer.step()
                return loss.detach(), theta

        return work

    def step(self, case, X, y, theta, out):
        net = case.shape[1]
        return self._training_step(self._network(net), net, X, y, theta)

    def autograd_conv(self, case, x, W, b, v, out):
        return convolution_by_autograd(case, self.lib.nn.functional.conv2d, x, W, b, v)

    def autograd_cross_entropy(self, case, logits, labels, out):
        loss = self.lib.nn.functional.cross_entropy
        return by_autograd(lambda logits: loss(logits, labels), (logits,))

    def _network(self, net):
        activate, linear = self._activations(), self.lib.nn.functional.linear

        def forward(layers, x):
            for layer, (W, b, *W2) in zip(net, layers, strict=True):
                hidden = activate[layer.activation](linear(x, W, b))
                x = x + linear(hidden, W2[0]) if W2 else hidden
            return x

        return forward

    def jac_mv(self, case, X, theta, dX, dtheta, out):
        net, forward, forward_ad = case.shape[1], self._network(case.shape[1]), self.lib.autograd.forward_ad
        layers, directions = split(net, theta), split(net, dtheta)

        def work():
            with self.lib.inference_mode(False), forward_ad.dual_level():
                dual = [tuple(map(forward_ad.make_dual, *pair)) for pair in zip(layers, directions, strict=True)]
                return forward_ad.unpack_dual(forward(dual, forward_ad.make_dual(X, dX))).tangent

        return work

    def jac_tmv(self, case, X, theta, v, out):
        net = case.shape[1]
        with self.lib.inference_mode(False):
            layers = [tuple(part.detach().requires_grad_() for part in parts) for parts in split(net, theta)]
            X = X.detach().requires_grad_()
            y = self._network(net)(layers, X)
        leaves = X, *(part for parts in layers for part in parts)

        def work():
            with self.lib.inference_mode(False):
                return self.lib.autograd.grad(y, leaves, v, retain_graph=True)

        return work

    def conv_jac_mv(self, case, x, W, dx, dW, out):
        torch, options = self.lib, case.layer.options

        def work():
            with torch.inference_mode(False):
                return torch.func.jvp(lambda x, W: torch.conv2d(x, W, None, **options), (x, W), (dx, dW))[1]

        return work

    def image_step(self, case, X, y, theta, out):
        net = case.shape[1]
        return self._training_step(self._image_network(net), net, X, y, theta)

    def _image_network(self, net):
        """forward(layers, x)"""
        activate, conv2d, functional = self._activations(), self.lib.conv2d, self.lib.nn.functional
        pool = {"average": functional.avg_pool2d, "max": functional.max_pool2d}

        def forward(layers, x):
            for layer, parts in zip(net, layers, strict=True):
                match layer:
                    case Conv():
                        x = activate[layer.activation](conv2d(x, *parts, **layer.options))
                    case Pool():
                        x = pool[layer.kind](x, layer.size)
                    case Flatten():
                        x = x.flatten(1)
                    case Dense():
                        x = activate[layer.activation](functional.linear(x, *parts))
            return x

        return forward

    def _outside(self, call):
        """The call out of inference mode, where a process has it."""

        def work():
            with self.lib.inference_mode(False):
                return call()

        return work

    def _output(self, case):
        """The network's output as a function of X and theta."""
        net = case.shape[1]
        forward = self._image_network(net)
        return lambda theta, X: forward(split(net, theta), X)

    def _loss(self, case, X, y):
        output, cross_entropy = self._output(case), self.lib.nn.functional.cross_entropy
        return lambda theta: cross_entropy(output(theta, X), y)

    def objective(self, case, X, y, theta, out):
        loss = self._loss(case, X, y)
        with self.lib.inference_mode(False):
            leaf = theta.clone().requires_grad_()

        def call():
            value = loss(leaf)
            return value.detach(), *self.lib.autograd.grad(value, leaf)

        return self._outside(call)

    def objective_hessian_mv(self, case, X, y, theta, v, out):
        """Forward over reverse, or the gradient's kept graph once more in reverse."""
        torch, loss = self.lib, self._loss(case, X, y)
        with torch.inference_mode(False):
            leaf = theta.clone().requires_grad_()
            (gradient,) = torch.autograd.grad(loss(leaf), leaf, create_graph=True)
        forward = self._outside(lambda: torch.func.jvp(torch.func.grad(loss), (theta,), (v,))[1])
        return fastest(forward, self._outside(lambda: torch.autograd.grad(gradient, leaf, v, retain_graph=True)[0]))

    def objective_gauss_newton_mv(self, case, X, y, theta, v, out):
        torch, output = self.lib, self._output(case)
        with torch.inference_mode(False):
            logits, jac_tmv = torch.func.vjp(lambda theta: output(theta, X), theta)
            p = torch.softmax(logits, 1)

        def call():
            _, moved = torch.func.jvp(lambda theta: output(theta, X), (theta,), (v,))
            return jac_tmv(p * (moved - (p * moved).sum(1, keepdim=True)) / len(p))[0]

        return self._outside(call)

    def _sample_gradients(self, case, X, y, theta):
        func, output, cross_entropy = self.lib.func, self._output(case), self.lib.nn.functional.cross_entropy
        gradient = func.grad(lambda theta, x, label: cross_entropy(output(theta, x[None]), label[None]))
        return lambda: func.vmap(gradient, (None, 0, 0))(theta, X, y)

    def sample_gradients(self, case, X, y, theta, out):
        return self._outside(self._sample_gradients(case, X, y, theta))

    def sample_norms(self, case, X, y, theta, out):
        gradients = self._sample_gradients(case, X, y, theta)
        return self._outside(lambda: gradients().square().sum(1))

    def point(self, case, X, theta, dX, v, out):
        func, output, net = self.lib.func, self._network(case.shape[1]), case.shape[1]
        layers = split(net, theta)

        def call():
            y, jac_tmv = func.vjp(lambda X, layers: output(layers, X), X, layers)
            _, dy = func.jvp(lambda X: output(layers, X), (X,), (dX,))
            gX, parts = jac_tmv(v)
            return y, dy, gX, *(part for own in parts for part in own)

        return self._outside(call)

    def mv_many(self, case, X, theta, V, out):
        func, output = self.lib.func, self._output(case)
        return self._outside(lambda: func.vmap(lambda d: func.jvp(lambda X: output(theta, X), (X,), (d,))[1])(V))

    def tmv_many(self, case, X, theta, V, out):
        func, output = self.lib.func, self._output(case)
        with self.lib.inference_mode(False):
            _, jac_tmv = func.vjp(lambda X: output(theta, X), X)
        return self._outside(lambda: func.vmap(lambda v: jac_tmv(v)[0])(V))

    def sample_jacobians(self, case, X, theta, out):
        func, output = self.lib.func, self._output(case)
        ways = [func.vmap(way(lambda x: output(theta, x[None])[0])) for way in (func.jacrev, func.jacfwd)]
        return fastest(*(self._outside(lambda way=way: way(X)) for way in ways))

    def theta_jacobian(self, case, X, theta, out):
        func, output = self.lib.func, self._output(case)
        each = func.vmap(func.jacrev(lambda theta, x: output(theta, x[None])[0]), (None, 0))
        stacked = self._outside(lambda: each(theta, X).reshape(-1, len(theta)))
        return fastest(stacked, self._outside(lambda: func.jacrev(lambda theta: output(theta, X).reshape(-1))(theta)))
