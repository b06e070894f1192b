"""ONNX Runtime."""

import importlib
from types import MappingProxyType

import numpy as np

from ..image_nets import Conv, Flatten, Pool
from ..images import PAD, as_planes, from_planes
from ..kinds import unpack
from ..nets import Dense, split
from .base import Peer


class ONNXRuntime(Peer):
    """Graphs of standard operators with all optimisations; inputs bound once, results bound where they are reused.

    Weights are constants of the graph in inference, inputs elsewhere. There is no training, no convolution in float64, and no
    derivative of a convolution.
    """

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
