"""A network as an ONNX model: one table from kinds of layers to what adds their nodes, so that a new kind is one function more."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
from onnx import checker, helper, numpy_helper

from .. import __version__, _check, io
from ..layers.activation import FunctionActivation, layer_of
from ..layers.base import Layer
from ..layers.maps import Matrix, Transposed, one_row
from ..layers.pool import AvgPool1d, AvgPool2d
from ..network.container import label

OPSET, IR_VERSION = 20, 9  # which came out together; 20 is the first with Gelu
MOST_BYTES = (1 << 31) - (1 << 20)  # a file of Protocol Buffers has less than 2 GiB; the rest is for the nodes
FUNCTIONS = {  # activations that are one operator
    "tanh": "Tanh",
    "sigmoid": "Sigmoid",
    "relu": "Relu",
    "gelu": "Gelu",
    "gelu_tanh": "Gelu",
    "softplus": "Softplus",
    "elu": "Elu",
    "leaky_relu": "LeakyRelu",
}
WRITERS = {}  # kind of a layer: function(writer, layer, x, shape, where), which adds the nodes and returns the name of y


def export(net: Layer, path: str | os.PathLike[str], input_shape: Sequence[int]) -> None:
    """Write a network, or a single layer, as an ONNX model (opset 20).

    What is written is net(x), in which `Dropout` does nothing and batch normalisation uses the running statistics. How many samples
    there are is free. The input is "x", the output "y", and constants have the names of net.params. All are float32 or float64 as
    the parameters of net are, float32 where it has none.

    Parameters
    ----------
    net : Layer
        A network or a layer of fastlec's own.
    path : path-like
        The file. It is written whole or not at all.
    input_shape : sequence of int
        The shape of one sample, such as (1, 28, 28).

    Raises
    ------
    TypeError
        If net has a layer, or functions, of one's own.
    ValueError
        If net takes no such samples, or a layer is in its form for training.
    fastlec.io.ModelError
        If the file cannot be written, or a number is not finite.

    See Also
    --------
    load, fastlec.Network.save

    Notes
    -----
    ONNX Runtime has some operators in float32 alone, among them convolutions, average pooling, gelu, elu and softplus: for it write
    net.astype("float32").

    Examples
    --------
    >>> import os, tempfile
    >>> net = fastlec.Network([fastlec.Dense(4, 8, "relu"), fastlec.Dense(8, 3, "identity")], rng=0)
    >>> path = os.path.join(tempfile.mkdtemp(), "net.onnx")
    >>> fastlec.onnx.export(net.astype("float32"), path, (4,))
    >>> fastlec.onnx.load(path).dtype
    dtype('float32')
    """
    if not isinstance(net, Layer):
        raise TypeError(f"net is a {type(net).__name__}; expected a Network or another layer")
    shape = _check.sizes(input_shape, "input_shape")
    shape = tuple(_check.count(n, f"input_shape[{i}]", 1) for i, n in enumerate(shape))
    _check_layer(net, "")
    output_shape = net.output_shape(shape)
    arrays = net.params | net.buffers
    io.require_finite(path, arrays)
    if sum(a.nbytes for a in arrays.values()) > MOST_BYTES:
        raise io.ModelError(f"{path}: cannot be written: an ONNX file holds less than 2 GiB of parameters")
    writer = _Writer(net.dtype or np.dtype(np.float32))
    writer.name_output(writer.layer(net, "x", shape, ""))
    values = [
        helper.make_tensor_value_info(name, writer.type, ["N", *sizes]) for name, sizes in (("x", shape), ("y", output_shape))
    ]
    graph = helper.make_graph(writer.nodes, "network", values[:1], values[1:], list(writer.constants.values()))
    opsets, made_by = [helper.make_opsetid("", OPSET)], {"producer_name": "fastlec", "producer_version": __version__}
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, **made_by)
    checker.check_model(model)
    with io.replacing(path) as file:
        file.write(model.SerializeToString())


def _check_layer(layer, where):
    """TypeError or ValueError for a layer that no nodes say."""
    kind = next(base for base in type(layer).__mro__ if base._of_fastlec)
    if (
        kind.__name__ not in WRITERS
        or getattr(layer, "_own_methods", ())
        or isinstance(getattr(layer, "activation", None), FunctionActivation)
    ):
        what = f"net is a {type(layer).__name__}" if not where else f"layer {where} is of one's own"
        raise TypeError(f"{what}; expected one of fastlec's own layers, whose operators ONNX has")
    if getattr(layer, "training", False):
        raise ValueError(f"layer {where or kind.__name__} is in its form for training; expected training=False")
    for i, inner in enumerate(getattr(layer, "layers", ())):
        _check_layer(inner, label(where, i, inner))


class _Writer:
    """The nodes and constants so far. `where` is the place of a layer, such as "1.0 Dense", or "" of the network itself."""

    def __init__(self, dtype):
        self.dtype, self.type = dtype, helper.np_dtype_to_tensor_dtype(dtype)
        self.nodes, self.constants = [], {}

    def layer(self, layer, x, shape, where):
        """Adds the nodes of a layer; the name of what it gives."""
        kind = next(base for base in type(layer).__mro__ if base._of_fastlec)
        return WRITERS[kind.__name__](self, layer, x, shape, where)

    def node(self, operator, inputs, where, **attributes):
        """Adds a node; the name of its output."""
        name = f"{where or 'net'} {len(self.nodes)} {operator}"
        self.nodes.append(helper.make_node(operator, inputs, [name], name, **attributes))
        return name

    def constant(self, array, where, name, dtype=None):
        """Adds a constant; its name, which is a parameter's in net.params."""
        place = where.partition(" ")[0]
        name = f"{place}.{name}" if place else name
        self.constants[name] = numpy_helper.from_array(np.asarray(array, dtype or self.dtype, order="C"), name)
        return name

    def parameters(self, layer, where, *names):
        """The names of these parameters, or buffers. The last one may be missing."""
        arrays = layer.params | layer.buffers
        found = [self.constant(arrays[name], where, name) if name in arrays else "" for name in names]
        return found if found[-1] else found[:-1]

    def activation(self, activation, x, where):
        """An argument `activation` of layers."""
        layer = layer_of(activation)
        name, entry = layer.activation, layer.entry
        if name == "identity":
            return x
        if name == "silu":
            return self.node("Mul", [x, self.node("Sigmoid", [x], where)], where)
        if name not in FUNCTIONS:
            raise TypeError(
                f"layer {where or type(layer).__name__} has the activation {name!r}, which ONNX has no operator for"
            )
        attributes = {"alpha": entry.alpha} if entry.parameter else {"approximate": "tanh"} if name == "gelu_tanh" else {}
        return self.node(FUNCTIONS[name], [x], where, **attributes)

    def total(self, terms, where):
        """Their sum."""
        return terms[0] if len(terms) == 1 else self.node("Add" if len(terms) == 2 else "Sum", terms, where)

    def name_output(self, name):
        """Calls the last value y."""
        if not self.nodes:
            name = self.node("Identity", [name], "")
        self.nodes[-1].output[0] = "y"


def writes(*kinds):
    """A decorator: the function is for layers of these kinds."""

    def registered(function):
        WRITERS.update(dict.fromkeys(kinds, function))
        return function

    return registered


@writes("Network")
def _network(writer, net, x, shape, where):
    for i, layer in enumerate(net.layers):
        x = writer.layer(layer, x, shape, label(where, i, layer))
        shape = layer.output_shape(shape)
    return x


@writes("Sum")
def _sum(writer, branches, x, shape, where):
    return writer.total(_outputs(writer, branches, x, shape, where), where)


@writes("Concat")
def _concat(writer, branches, x, shape, where):
    return writer.node("Concat", _outputs(writer, branches, x, shape, where), where, axis=1)


def _outputs(writer, branches, x, shape, where):
    return [writer.layer(layer, x, shape, label(where, i, layer)) for i, layer in enumerate(branches.layers)]


@writes("Activation")
def _activation(writer, layer, x, shape, where):
    return writer.activation(layer, x, where)


@writes("Dense", "Conv1d", "Conv2d", "ConvTranspose2d")
def _affine(writer, layer, x, shape, where):
    return writer.activation(layer.activation, _product(writer, layer, layer._map, x, shape, where, "W", "b"), where)


@writes("Residual", "ConvResidual")
def _residual(writer, layer, x, shape, where):
    h = writer.activation(layer.activation, _product(writer, layer, layer._first, x, shape, where, "W1", "b"), where)
    return writer.total([x, _product(writer, layer, layer._second, h, (layer.hidden, *shape[1:]), where, "W2")], where)


@writes("ProjectedResidual", "ProjectedConvResidual")
def _projected(writer, layer, x, shape, where):
    h = writer.activation(layer.activation, _product(writer, layer, layer._first, x, shape, where, "W1", "b"), where)
    return writer.total([_product(writer, layer, layer._second, x, shape, where, "W2"), h], where)


def _product(writer, layer, linear, x, shape, where, *names):
    """W x + b, where `linear` is the map of W x, and the names are those of W and b."""
    inputs = [x, *writer.parameters(layer, where, *names)]
    if isinstance(linear, Matrix):
        return writer.node("Gemm", inputs, where, transB=1)
    W, axes = layer.params[names[0]], slice(3 - len(shape), 2)  # signals are images of one row
    g = linear.window(
        (1, *shape) if len(shape) == 3 else (1, shape[0], 1, shape[1]), W.shape if W.ndim == 4 else one_row(W).shape
    )
    settings = {"strides": (g.sh, g.sw)[axes], "dilations": (g.dh, g.dw)[axes], "pads": _pads(g, axes), "group": g.groups}
    if isinstance(linear, Transposed):
        return writer.node("ConvTranspose", inputs, where, output_padding=linear.output_padding, **settings)
    return writer.node("Conv", inputs, where, **settings)


def _pads(g, axes=slice(0, 2)):
    return [*(g.top, g.left)[axes], *(g.bottom, g.right)[axes]]


@writes("AvgPool2d", "MaxPool2d")
def _pool(writer, layer, x, shape, where):
    g, settings = layer._geometry((1, *shape)), {"kernel_shape": layer.kernel_size, "strides": layer.stride}
    mean, counted = isinstance(layer, AvgPool2d), getattr(layer, "count_include_pad", False)
    settings |= {"count_include_pad": int(counted)} if mean else {"dilations": layer.dilation}
    axes = (g.h, g.oh, g.sh, g.top, g.bottom, g.dh * (g.r - 1) + 1), (g.w, g.ow, g.sw, g.left, g.right, g.dw * (g.s - 1) + 1)
    settings["ceil_mode"] = int(
        layer.ceil_mode and all(-(-(n + a + b - reach) // step) + 1 == count for n, count, step, a, b, reach in axes)
    )
    more = [max((count - 1) * step + reach - n - a - b, 0) for n, count, step, a, b, reach in axes]
    if settings["ceil_mode"] or not layer.ceil_mode:
        more = 0, 0
    # Else windows that begin beyond the image are left out, which ONNX had no word for: padding says where they end, and none of
    # that counts. Padding of all of kernel_size ONNX Runtime refuses.
    if (counted and any(more)) or max(g.top, g.bottom) >= g.r or max(g.left, g.right) >= g.s:
        pads = writer.constant(np.array([0, 0, g.top, g.left, 0, 0, g.bottom, g.right]), where, "pads", np.int64)
        fill = [] if mean else [writer.constant(np.array(-np.inf), where, "fill")]
        x, g = writer.node("Pad", [x, pads, *fill], where), g._replace(top=0, left=0, bottom=0, right=0)
        if mean:
            settings["count_include_pad"] = 0
    g = g._replace(bottom=g.bottom + more[0], right=g.right + more[1])
    return writer.node("AveragePool" if mean else "MaxPool", [x], where, pads=_pads(g), **settings)


@writes("AvgPool1d", "MaxPool1d")
def _pool_of_signals(writer, layer, x, shape, where):
    settings = {"kernel_shape": [layer.kernel_size], "strides": [layer.stride], "pads": [layer.padding] * 2}
    if isinstance(layer, AvgPool1d):
        return writer.node("AveragePool", [x], where, count_include_pad=1, **settings)
    return writer.node("MaxPool", [x], where, **settings)


@writes("GlobalAvgPool2d")
def _global_pool(writer, layer, x, shape, where):
    axes = writer.constant(np.array([2, 3]), where, "axes", np.int64)
    return writer.node("ReduceMean", [x, axes], where, keepdims=0)


@writes("Upsample2d")
def _upsample(writer, layer, x, shape, where):
    scales = writer.constant(np.array([1, 1, *layer.scale_factor]), where, "scales", np.float32)
    settings = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    return writer.node("Resize", [x, "", scales], where, **settings)


@writes("BatchNorm", "BatchNorm2d")
def _batch_norm(writer, layer, x, shape, where):
    gamma, beta = (
        writer.constant(layer.params.get(name, np.full(shape[0], value)), where, name)
        for name, value in (("gamma", 1), ("beta", 0))
    )
    mean, variance = layer.buffers["running_mean"], layer.buffers["running_var"]
    # eps becomes float32, and the variance makes up for that
    arrays = {"running_mean": mean, "running_var": variance + (layer.eps - float(np.float32(layer.eps)))}
    statistics = [writer.constant(a, where, name) for name, a in arrays.items()]
    settings = {"epsilon": layer.eps, "momentum": 1 - layer.momentum}
    return writer.node("BatchNormalization", [x, gamma, beta, *statistics], where, **settings)


@writes("LayerNorm")
def _layer_norm(writer, layer, x, shape, where):
    gamma = writer.constant(layer.params.get("gamma", np.ones(shape)), where, "gamma")
    return writer.node("LayerNormalization", [x, gamma, *writer.parameters(layer, where, "beta")], where, epsilon=layer.eps)


@writes("Dropout")
def _dropout(writer, layer, x, shape, where):
    return writer.node("Dropout", [x, writer.constant(np.array(layer.p), where, "p")], where)


@writes("Flatten")
def _flatten(writer, layer, x, shape, where):
    return writer.node("Flatten", [x], where)
