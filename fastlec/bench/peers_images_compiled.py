"""Convolutions, filters and networks of images by PyTorch, JAX and ONNX Runtime: parts of the contenders in `peers_compiled`.

Convolutions are the libraries' own, in both layouts of memory where a library has two: the images, and weights, lie so before.
"""

from functools import partial
from types import MappingProxyType

import numpy as np

from .image_nets import Conv, Flatten, Pool, shapes
from .images import PAD, as_planes, from_planes
from .nets import RATE, Dense, split


def _flat(parts):
    """All arrays, each in C order, as one."""
    return np.concatenate([np.asarray(part).ravel() for part in parts])


class PyTorchImages:
    """Each gradient alone through the function that autograd itself calls. Steps by hand, as in `PyTorchNetworks`."""

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
            return loss, _flat(parts)
        return from_planes(np.asarray(result)[0]) if case.op == "filter2d" else result

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


class PyTorchCompiledImages:
    """Whole networks alone: a convolution by itself would be the same call."""

    conv = conv_data_gradient = conv_weight_gradient = conv_jac_mv = filter2d = None

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


class PyTorchAutogradImages:
    def conv_jac_mv(self, case, x, W, dx, dW, out):
        torch, options = self.lib, case.layer.options

        def work():
            with torch.inference_mode(False):
                return torch.func.jvp(lambda x, W: torch.conv2d(x, W, None, **options), (x, W), (dx, dW))[1]

        return work

    def image_step(self, case, X, y, theta, out):
        net, activate, conv2d, functional = case.shape[1], self._activations(), self.lib.conv2d, self.lib.nn.functional
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

        return self._training_step(forward, net, X, y, theta)


class JAXImages:
    """Gradients are the transposes of the linear map, which is all that vjp would compute."""

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
        if case.op == "image_step":
            loss, layers = result
            return loss, _flat(part for parts in self._exchanged(case, layers, back=True) for part in parts)
        if case.op == "filter2d":
            return from_planes(np.asarray(result)[:, 0])
        if case.op == "conv_weight_gradient":
            return self.weights(np.asarray(result), back=True)
        return self.images(np.asarray(result), back=True) if case.op.startswith("conv") else result

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


class ONNXImages:
    """One graph, weights and kernels its constants, in float32: there are no convolutions in float64, nor their derivatives."""

    POOLS = MappingProxyType({"average": "AveragePool", "max": "MaxPool"})

    @staticmethod
    def _attributes(layer):
        pairs = {name: [getattr(layer, of)] * 2 for name, of in (("strides", "stride"), ("dilations", "dilation"))}
        return pairs | {"pads": [layer.padding] * 4, "group": layer.groups}

    def conv(self, case, x, W, b, out):
        if x.dtype != np.float32:
            return None
        return self._work([("Conv", "x W b", "y", self._attributes(case.layer))], ["y"], {"x": x}, out, W=W, b=b)

    def filter2d(self, case, image, kernel, out):
        """A convolution of every channel by itself, which takes half the time of one of a batch of gray images."""
        if image.dtype != np.float32:
            return None
        x, edges = np.ascontiguousarray(as_planes(image)[None]), [n // 2 for n in kernel.shape] * 2
        channels = x.shape[1]
        constants = {"kernel": np.ascontiguousarray(np.broadcast_to(kernel[::-1, ::-1], (channels, 1, *kernel.shape)))}
        if case.mode == "constant":
            nodes = [("Conv", "image kernel", "y", {"pads": edges, "group": channels})]
        else:
            constants["edges"] = np.array([0, 0, *edges[:2]] * 2)
            nodes = [
                ("Pad", "image edges", "whole", {"mode": PAD[case.mode]}),
                ("Conv", "whole kernel", "y", {"group": channels}),
            ]
        return self._work(nodes, ["y"], {"image": x}, np.empty_like(x), **constants)

    def arrays(self, case, result):
        return from_planes(result[0][0]) if case.op == "filter2d" else result

    def image_inference(self, case, X, theta, out):
        if X.dtype != np.float32:
            return None
        net, x = case.shape[1], "X"
        nodes, constants = [], {}
        for k, (layer, parts) in enumerate(zip(net, split(net, theta), strict=True)):
            constants |= zip((f"W{k}", f"b{k}"), parts, strict=False)
            match layer:
                case Conv():
                    nodes.append(("Conv", f"{x} W{k} b{k}", f"z{k}", self._attributes(layer)))
                case Pool():
                    window = {"kernel_shape": [layer.size] * 2, "strides": [layer.size] * 2}
                    nodes.append((self.POOLS[layer.kind], x, f"y{k}", window))
                case Flatten():
                    nodes.append(("Flatten", x, f"y{k}", {}))
                case Dense():
                    nodes.append(("Gemm", f"{x} W{k} b{k}", f"z{k}", {"transB": 1}))
            if parts:
                nodes.append((self.OPERATORS[layer.activation], f"z{k}", f"y{k}", {}))
            x = f"y{k}"
        return self._work(nodes, [x], {"X": X}, out, **constants)
