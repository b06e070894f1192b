"""The contenders that have arrays, graphs or a compiler of their own: PyTorch, JAX, ONNX Runtime.

Their losses come from the probabilities, -log p_y, wherever that is faster than log-softmax: not safe where p_y underflows,
which the inputs here do not reach, and in the peers' favour. JAX's and PyTorch's gradients by hand take half the time of
automatic ones.
"""

import importlib
from types import MappingProxyType

import numpy as np

from .kinds import unpack
from .nets import RATE, split
from .peers import Peer
from .peers_images import ImagesOnly
from .peers_images_compiled import JAXImages, ONNXImages, PyTorchAutogradImages, PyTorchCompiledImages, PyTorchImages
from .peers_networks_compiled import JAXNetworks, ONNXNetworks, PyTorchNetworks


class PyTorch(PyTorchNetworks, PyTorchImages, Peer):
    """Eager, in inference mode, on the NumPy arrays' own memory, in place."""

    name, module = "PyTorch", "torch"

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


class PyTorchChannelsLast(ImagesOnly, PyTorch):
    name = "PyTorch channels_last"

    def lay(self, array):
        return array.contiguous(memory_format=self.lib.channels_last) if array.ndim == 4 else array


class PyTorchCompiled(PyTorchCompiledImages, PyTorch):
    """torch.compile: formulas that Inductor fuses, each one graph, called from C++ for less overhead between kernels."""

    name = "torch.compile"

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


class PyTorchAutograd(PyTorchAutogradImages, Peer):
    """Eager as most are used to, out of inference mode: loss.backward() and optimizer.step(); torch.func.jvp. For whole steps and
    JacMV of convolutions only."""

    name, module = "PyTorch autograd", "torch"

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
        net, activate, linear = case.shape[1], self._activations(), self.lib.nn.functional.linear

        def forward(layers, x):
            for layer, (W, b, *W2) in zip(net, layers, strict=True):
                hidden = activate[layer.activation](linear(x, W, b))
                x = x + linear(hidden, W2[0]) if W2 else hidden
            return x

        return self._training_step(forward, net, X, y, theta)


class JAX(JAXNetworks, JAXImages, Peer):
    """Jitted, on device arrays, until the result is ready. A result is reused by donating the last one."""

    name, module = "JAX", "jax"

    def __init__(self, threads):
        super().__init__(threads)
        self.lib.config.update("jax_enable_x64", True)

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


class JAXNHWC(ImagesOnly, JAX):
    name = "JAX NHWC"
    dimensions, image_order, weight_order = ("NHWC", "HWIO", "NHWC"), (0, 2, 3, 1), (2, 3, 1, 0)
    filter2d = None  # an image of one channel lies the same way


class ONNXRuntime(ONNXNetworks, ONNXImages, Peer):
    """Graphs of standard operators with all optimisations; inputs bound once, results bound where they are reused."""

    name, module = "ONNX Runtime", "onnxruntime"
    OPERATORS = MappingProxyType(
        {
            "softmax": "Softmax",
            "log_softmax": "LogSoftmax",
            "tanh": "Tanh",
            "sigmoid": "Sigmoid",
            "relu": "Relu",
            "identity": "Identity",
        }
    )

    def __init__(self, threads):
        super().__init__(threads)
        self.onnx = importlib.import_module("onnx")

    def _session(self, nodes, outputs, inputs, **constants):
        """nodes : (operator, inputs, outputs, attributes); outputs : names; inputs and constants : {name: array}."""
        helper, numpy_helper = self.onnx.helper, self.onnx.numpy_helper

        def describe(name, array):
            return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)

        graph = helper.make_graph(
            [helper.make_node(op, taken.split(), given.split(), **attributes) for op, taken, given, attributes in nodes],
            "case",
            [describe(name, array) for name, array in inputs.items()],
            [helper.make_empty_tensor_value_info(name) for name in outputs],
            [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
        )
        options = self.lib.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads, options.log_severity_level = self.threads, 1, 3
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
        return self.lib.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])

    def _work(self, nodes, outputs, inputs, out=None, **constants):
        """The last output goes to `out`, if given, or all of them where `out` is a tuple."""
        session = self._session(nodes, outputs, inputs, **constants)
        if out is None:
            return lambda: tuple(session.run(None, inputs))
        binding = session.io_binding()
        for name, array in inputs.items():
            binding.bind_cpu_input(name, array)
        arrays = out if isinstance(out, tuple) else (*(np.empty((), out.dtype) for _ in outputs[1:]), out)
        for name, array in zip(outputs, arrays, strict=True):
            binding.bind_output(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)

        def work():
            session.run_with_iobinding(binding)
            return arrays

        return work

    def unary(self, case, x, out):
        attributes = {"axis": case.axis} if "softmax" in case.op else {}
        return self._work([(self.OPERATORS[case.op], "x", "y", attributes)], ["y"], {"x": x}, out)

    RESIDUAL = (
        ("Softmax", "z", "p", {"axis": 1}),
        ("GatherElements", "p at", "own", {"axis": 1}),
        ("Log", "own", "log_own", {}),
        ("ReduceMean", "log_own", "mean", {"keepdims": 0}),
        ("Neg", "mean", "loss", {}),
        ("ScatterElements", "p at minus", "hot", {"axis": 1, "reduction": "add"}),
        ("Mul", "hot scale", "residual", {}),
    )

    @staticmethod
    def _constants(labels, dtype):
        return {
            "at": labels[:, None],
            "minus": np.full((len(labels), 1), -1, dtype),
            "scale": np.asarray(1 / len(labels), dtype),
        }

    def cross_entropy(self, case, logits, labels, out):
        constants = self._constants(labels, logits.dtype)
        return self._work(self.RESIDUAL, ["loss", "residual"], {"z": logits}, out, **constants)

    def value_and_gradient(self, case, X, y, theta, out):
        W, b = unpack(theta, case)
        nodes = [
            ("Gemm", "X W b", "z", {"transB": 1}),
            *self.RESIDUAL,
            ("Gemm", "residual X", "gW", {"transA": 1}),
            ("ReduceSum", "residual rows", "gb", {"keepdims": 0}),
        ]
        constants = self._constants(y, X.dtype) | {"rows": np.array([0])}
        return self._work(nodes, ["loss", "gW", "gb"], {"X": X, "W": W, "b": b}, **constants)

    PRODUCT = (
        ("Gemm", "X dW db", "d", {"transB": 1}),
        ("Mul", "p d", "pd", {}),
        ("ReduceSum", "pd columns", "total", {}),
        ("Sub", "d total", "centred", {}),
        ("Mul", "p centred", "scaled", {}),
        ("Mul", "scaled scale", "residual", {}),
        ("Gemm", "residual X", "gW", {"transA": 1}),
        ("ReduceSum", "residual rows", "gb", {"keepdims": 0}),
    )

    def _hessian_mv(self, nodes, inputs, v, case):
        dW, db = unpack(v, case)
        constants = {"rows": np.array([0]), "columns": np.array([1]), "scale": np.asarray(1 / len(inputs["X"]), v.dtype)}
        return self._work([*nodes, *self.PRODUCT], ["gW", "gb"], {**inputs, "dW": dW, "db": db}, **constants)

    PROBABILITIES = (("Gemm", "X W b", "z", {"transB": 1}), ("Softmax", "z", "p", {"axis": 1}))

    def hessian_mv(self, case, X, y, theta, v, out):
        W, b = unpack(theta, case)
        return self._hessian_mv(self.PROBABILITIES, {"X": X, "W": W, "b": b}, v, case)

    def hessian_mv_frozen(self, case, X, y, theta, v, out):
        W, b = unpack(theta, case)
        (p,) = self._work(self.PROBABILITIES, ["p"], {"X": X, "W": W, "b": b})()
        return self._hessian_mv((), {"X": X, "p": p}, v, case)


PEERS = (PyTorch, PyTorchChannelsLast, PyTorchAutograd, PyTorchCompiled, JAX, JAXNHWC, ONNXRuntime)
