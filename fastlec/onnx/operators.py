"""Operators but those of images: products, normalisations, functions of elements, shapes."""

import functools
import math

import numpy as np

from .. import _check
from ..functional import erf, log_softmax, matmul, sigmoid, softmax
from ..layers import Activation, BatchNorm, BatchNorm2d, Dense, Dropout, Flatten, GlobalAvgPool2d, LayerNorm
from ..network import Concat, Sum
from .node import Before, Function, Join, made, operator
from .reader import FLOATS, Refused, decimal

# --- products ----------------------------------------------------------------------------------------------------------


@operator("Gemm")
def _gemm(node):
    W, alpha, beta = node.parameter(1, "B"), node.get("alpha", 1.0), node.get("beta", 1.0)
    b = node.parameter(2, "C") if node.has(2) else None
    if W.ndim != 2:
        raise Refused(f"B has shape {W.shape}; expected a matrix")
    W = (W if node.get("transB", 0) else W.T) * W.dtype.type(alpha)
    b = None if b is None else b * b.dtype.type(beta)
    if not node.get("transA", 0) and (b is None or b.ndim < 2 or b.shape[0] == 1):
        return _dense(W, b)
    turn = node.get("transA", 0)

    def product(x):
        y = matmul(x.T if turn else x, W.T)
        return y if b is None else y + b.astype(y.dtype)

    return Function(product, (len(W),))


def _dense(W, b=None):
    """W x + b, where b may be a number or a row."""
    k, n = W.shape
    arrays = {"W": W} | ({} if b is None else {"b": np.broadcast_to(b.ravel(), (k,))})
    return made(Dense, arrays, n, k, "identity", b is not None)


@operator("MatMul")
def _matmul(node):
    W = node.parameter(1, "B")
    if W.ndim != 2:
        raise Refused(f"B has shape {W.shape}; expected a matrix")
    if node.shape is None or len(node.shape) == 1:
        return _dense(W.T)
    dense = _dense(W.T)  # for every row of a sample
    return Function(lambda x: dense(x.reshape(-1, x.shape[-1])).reshape(*x.shape[:-1], W.shape[1]))


@operator("LinearClassifier")
def _linear_classifier(node):
    intercepts = np.array(node.get("intercepts", ()), np.float32)
    coefficients, rule = np.array(node.get("coefficients", ()), np.float32), node.get("post_transform", "NONE")
    if len(intercepts) < 2 or not coefficients.size or coefficients.size % len(intercepts):
        what = f"it has {coefficients.size} coefficients and {len(intercepts)} intercepts"
        raise Refused(f"{what}; expected two intercepts or more, and as many rows of coefficients")
    dense = _dense(coefficients.reshape(len(intercepts), -1), intercepts)
    rules = {
        "NONE": dense,
        "LOGISTIC": [dense, Activation("sigmoid")],
        "SOFTMAX": [dense, Function(softmax, (len(intercepts),))],
    }
    if rule not in rules:
        raise Refused(f"post_transform is {rule!r}; expected one of {', '.join(rules)}")
    return rules[rule]


# --- normalisations ----------------------------------------------------------------------------------------------------


@operator("BatchNormalization")
def _batch_normalization(node):
    names = "gamma", "beta", "running_mean", "running_var"
    arrays = {name: node.parameter(i, name) for i, name in enumerate(names, 1)}
    eps, exact = node.get("epsilon", 1e-5), arrays["running_var"].dtype == np.float64
    settings = {"eps": eps if exact else decimal(eps), "momentum": decimal(1 - decimal(node.get("momentum", 0.9)))}
    if node.get("training_mode", 0):
        return _in_training(node, arrays, settings)
    if node.shape is not None and len(node.shape) == 1:
        return made(BatchNorm, arrays, arrays["gamma"].size, **settings)
    layer = made(BatchNorm2d, arrays, arrays["gamma"].size, **settings)
    if node.shape is not None and len(node.shape) == 3:
        return layer

    def normalized(x):
        m, c, *lengths = x.shape
        return layer(x.reshape(m, c, math.prod(lengths), 1)).reshape(x.shape)

    return Function(normalized, node.shape)


def _in_training(node, arrays, settings):
    """With the statistics of x, by which it moves the running ones: those of ONNX, whose variance is not the unbiased one."""
    layer = made(BatchNorm2d, arrays, arrays["gamma"].size, **settings, training=True)
    share = settings["momentum"]

    def normalized(x):
        m, c, *lengths = x.shape
        x, axes = x.reshape(m, c, math.prod(lengths), 1), (0, 2, 3)
        y = layer(x).reshape(m, c, *lengths)
        if node.outputs == 1:
            return y
        moved = ((arrays["running_mean"], x.mean(axis=axes)), (arrays["running_var"], x.var(axis=axes)))
        return y, *(before + (now - before) * share for before, now in moved)

    return Function(normalized, node.shape)


@operator("LayerNormalization")
def _layer_normalization(node):
    gamma, eps, axis = node.parameter(1, "Scale"), decimal(node.get("epsilon", 1e-5)), node.get("axis", -1)
    arrays = {"gamma": gamma} | ({"beta": node.parameter(2, "B")} if node.has(2) else {})
    if node.shape is not None and len(node.shape) == 1 and axis in (1, -1) and node.outputs == 1:
        return made(LayerNorm, arrays, gamma.size, eps, bias="beta" in arrays)

    def normalized(x):
        first = axis % x.ndim
        each, over = x.shape[:first], x.shape[first:]
        rows, one = x.reshape(math.prod(each), -1), (*each, *(1 for _ in over))
        own = {name: np.broadcast_to(a, over).ravel() for name, a in arrays.items()}
        y = made(LayerNorm, own, rows.shape[1], eps, bias="beta" in own)(rows).reshape(x.shape)
        if node.outputs == 1:
            return y
        return y, rows.mean(axis=1).reshape(one), (1 / np.sqrt(rows.var(axis=1) + x.dtype.type(eps))).reshape(one)

    return Function(normalized, node.shape)


@operator("Dropout")
def _dropout(node):
    p = node.get("ratio", 0.5) if node.opset < 12 else node.constant(1, "ratio", 0.5)
    p = decimal(np.asarray(p, np.float64).item())
    if node.constant(2, "training_mode", False) and p:
        raise Refused("training_mode is true; expected a model for inference")
    if node.outputs == 2:
        return Function(lambda x: (x, np.ones(x.shape, bool)), node.shape)
    return Dropout(p) if 0 <= p < 1 else None


@operator("Normalizer")
def _normalizer(node):
    norms = {"MAX": lambda a: a.max(axis=1), "L1": lambda a: a.sum(axis=1), "L2": lambda a: np.sqrt((a * a).sum(axis=1))}
    norm = node.get("norm", "MAX")
    if norm not in norms:
        raise Refused(f"norm is {norm!r}; expected one of {', '.join(norms)}")

    def normalized(x):
        sizes = norms[norm](np.abs(x))[:, None]
        return np.divide(x, sizes, out=np.zeros_like(x), where=sizes != 0)

    return Function(normalized, node.shape)


@operator("Scaler")
def _scaler(node):
    offset, scale = (np.array(node.get(name, (default,)), np.float32) for name, default in (("offset", 0), ("scale", 1)))
    return Function(lambda x: (x - offset.astype(x.dtype)) * scale.astype(x.dtype), node.shape)


# --- functions of elements ---------------------------------------------------------------------------------------------

_ACTIVATIONS = {"Relu": "relu", "Sigmoid": "sigmoid", "Tanh": "tanh", "Softplus": "softplus"}


@operator(*_ACTIVATIONS)
def _activation(node):
    return Activation(_ACTIVATIONS[node.operator])


@operator("Elu")
def _elu(node):
    return Activation("elu", alpha=decimal(node.get("alpha", 1.0)))


@operator("LeakyRelu")
def _leaky_relu(node):
    return Activation("leaky_relu", negative_slope=decimal(node.get("alpha", 0.01)))


@operator("Gelu")
def _gelu(node):
    return Activation("gelu", approximate=node.get("approximate", "none"))


@operator("Swish")
def _swish(node):
    alpha = node.get("alpha", 1.0)
    return Activation("silu") if alpha == 1 else Function(lambda x: x * sigmoid(x * x.dtype.type(alpha)), node.shape)


@operator("Erf")
def _erf(node):
    return Function(erf, node.shape)


@operator("Softmax", "LogSoftmax")
def _softmax(node):
    function = softmax if node.operator == "Softmax" else log_softmax
    axis, whole = node.get("axis", -1 if node.opset >= 13 else 1), node.opset < 13  # then of all axes from that on

    def along(x):
        if not whole:
            return function(x, axis=axis)
        return function(x.reshape(math.prod(x.shape[: axis % x.ndim]), -1)).reshape(x.shape)

    return Function(along, node.shape)


@operator("Add", "Sub", "Mul", "Div", "Sum")
def _arithmetic(node):
    function = {"Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Div": np.divide, "Sum": np.add}[node.operator]
    given = [a if a is None else a.astype(_check.float_dtype(a.dtype, "a constant"), copy=False) for a in node.constants]
    numbers = [a for a in given if a is not None]
    if node.operator == "Add" and len(numbers) == 1 and _takes_bias(node.before, numbers[0]):
        dense = node.before
        b = numbers[0].ravel() + (dense.params["b"] if dense.bias else 0)
        return Before(_dense(dense.params["W"], b))

    def apply(*arrays):
        arrays, dtype = iter(arrays), np.result_type(*(a.dtype for a in arrays))
        return functools.reduce(function, [next(arrays) if a is None else a.astype(dtype) for a in given])

    if not numbers and function is np.add and len(set(node.shapes)) == 1:
        return Join(Sum, apply, node.shape)
    known = all(a.size == 1 and a.ndim <= 2 for a in numbers) and len(node.shapes) == 1
    return Function(apply, node.shape if known else None)


def _takes_bias(layer, b):
    """Whether b is one number for each output of this layer, or for all."""
    plain = isinstance(layer, Dense) and layer.activation == "identity"
    return plain and b.ndim in (1, 2) and b.size in (1, layer.n_out) and b.shape[-1] == b.size


# --- shapes ------------------------------------------------------------------------------------------------------------


@operator("Identity", "ZipMap")
def _identity(node):
    return None


@operator("Cast")
def _cast(node):
    if node.get("to", None) not in FLOATS[:2]:
        raise Refused("it makes other numbers than float32 or float64 of what is computed")


@operator("Concat")
def _concat(node):
    axis = node.get("axis", 1)
    ranks = {None if shape is None else len(shape) + 1 for shape in node.shapes}
    given = node.constants
    if len(ranks) == 1 and None not in ranks and axis < 0:
        axis += ranks.pop()

    def apply(*arrays):
        arrays = iter(arrays)
        return np.concatenate([next(arrays) if a is None else a for a in given], axis)

    if axis != 1 or any(a is not None for a in given):
        return Function(apply)
    known = None not in node.shapes and None not in [shape[0] for shape in node.shapes]
    return Join(Concat, apply, (sum(shape[0] for shape in node.shapes), *node.shape[1:]) if known else None)


@operator("Flatten")
def _flatten(node):
    axis = node.get("axis", 1)
    if axis == 1 or (node.shape is not None and axis == -len(node.shape)):
        return _flat(node)

    def flat(x):
        first = axis if axis >= 0 else axis + x.ndim
        return x.reshape(math.prod(x.shape[:first]), math.prod(x.shape[first:]))

    return Function(flat)


def _flat(node):
    """Samples as vectors."""
    means = node.before_operator == "GlobalAveragePool" and node.shape is not None and len(node.shape) == 3
    return Before(GlobalAvgPool2d()) if means else Flatten()


@operator("Reshape")
def _reshape(node):
    target = node.constant(1, "shape")
    if target is None or target.ndim != 1 or target.dtype.kind != "i" or (target < -1).any() or (target == -1).sum() > 1:
        raise Refused(f"shape is {_check.shown(target)}; expected integers, at most one of them -1")
    target = tuple(int(n) for n in target)
    copied = not node.get("allowzero", 0)  # whether 0 is the length that was there
    free = len(target) > 1 and target[0] in (0, -1, node.batch) and (copied or 0 not in target)

    def rest(shape):
        """The shape of a sample that has this one, or None where samples do not stay apart."""
        found = [shape[i] if n == 0 and i < len(shape) else n for i, n in enumerate(target[1:])]
        size, others = math.prod(shape), math.prod(n for n in found if n != -1)
        found = tuple(size // max(others, 1) if n == -1 else n for n in found)
        return found if free and math.prod(found) == size else None

    known = rest(node.shape) if node.shape is not None and None not in node.shape else None
    if free and (target[1:] == (-1,) or (known is not None and len(known) == 1)):
        return _flat(node)

    def reshaped(x):
        sample = rest(x.shape[1:])
        if sample is not None:
            return x.reshape(len(x), *sample)
        return x.reshape([x.shape[i] if n == 0 and copied and i < x.ndim else n for i, n in enumerate(target)])

    return Function(reshaped, known)
