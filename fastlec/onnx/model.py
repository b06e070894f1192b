"""load: a graph's nodes become layers and functions, one after the other, and these a `Network`, or else a `Model`."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _check, io
from ..layers import Activation
from ..layers.affine import Affine
from ..layers.base import Layer
from ..network import Network
from . import images, operators  # noqa: F401  # which fill OPERATORS
from .constants import FOLDED, shape_of
from .node import OPERATORS, Before, Join, Node
from .reader import FLOATS, ML, Refused, attributes, read

SEVERAL = ("BatchNormalization", "Dropout", "LayerNormalization", "MaxPool")  # may be asked for more than one of their outputs


class Step(NamedTuple):
    """apply : a layer, `Join` or `Function` of the values `inputs`, which gives `outputs`; operator : the node's."""

    apply: object
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    operator: str

    def values(self, arrays):
        """What it gives, one for each output."""
        found = self.apply(*arrays) if isinstance(self.apply, Layer) else self.apply.apply(*arrays)
        return found if isinstance(found, tuple) else (found,)


class Model:
    """What an ONNX file holds that is no network: a function of samples.

    ``model(x)`` is its output, for samples x (m, ...); with several inputs ``model(x1, x2, ...)``. It computes in np.result_type of
    x and the parameters, as networks do. `load` makes it.

    Parameters
    ----------
    steps : list
        What computes the values, one after the other.
    inputs : dict of str to tuple or None
        The shape of one sample of each input, with None for each length that may be any; None of a shape of which nothing is said.
    outputs : list of str
        The names of what ``model`` gives.
    net : Network, optional
        The largest part of it that is a network. Of a classifier it gives what probabilities are made of, and can be trained on,
        differentiated and saved.

    See Also
    --------
    load

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> from onnx import TensorProto, helper, save
    >>> x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["m", 4]) for name in "xy")
    >>> graph = helper.make_graph([helper.make_node("Softmax", ["x"], ["y"])], "g", [x], [y])
    >>> path = os.path.join(tempfile.mkdtemp(), "softmax.onnx")
    >>> save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9), path)
    >>> model = fastlec.onnx.load(path)
    >>> model, model(np.zeros((1, 4), np.float32))
    (Model(Softmax), array([[0.25, 0.25, 0.25, 0.25]], dtype=float32))
    """

    def __init__(
        self,
        steps: list[Step],
        inputs: dict[str, tuple[int | None, ...] | None],
        outputs: list[str],
        net: Network | None = None,
    ) -> None:
        self._steps = steps
        self.inputs, self.outputs, self.net = inputs, outputs, net

    def __call__(self, *x: ArrayLike) -> Any:
        found = self.values(*x)
        return found if len(found) > 1 else found[0]

    def values(self, *x: ArrayLike) -> tuple[NDArray[Any], ...]:
        """All outputs of the model.

        Parameters
        ----------
        *x : array_like, shape (m, ...)
            The samples, an array for each input.

        Returns
        -------
        tuple of ndarray
            The outputs, in the order of ``outputs``.

        Raises
        ------
        TypeError
            If there are more or fewer arrays than inputs.
        ValueError
            If an array has another shape than the model says.
        """
        if len(x) != len(self.inputs):
            raise TypeError(f"{len(x)} arrays are given; expected {len(self.inputs)}, {', '.join(self.inputs)}")
        given = {name: _samples(a, name, shape) for a, (name, shape) in zip(x, self.inputs.items(), strict=True)}
        for step in self._steps:
            given.update(zip(step.outputs, step.values([given[name] for name in step.inputs]), strict=True))
        return tuple(given[name] for name in self.outputs)

    def __repr__(self):
        parts = [repr(step.apply) if step.apply is self.net else step.operator for step in self._steps]
        return f"{type(self).__name__}({', '.join(parts)})"


def load(path: str | os.PathLike[str], *, output: str | None = None) -> Network | Model:
    """The network in an ONNX file, as a callable.

    Its call gives the model's floating output, of a classifier the probabilities. A file of `export` gives a network of the same
    function. Weights and their dtype are the file's.

    Parameters
    ----------
    path : path-like
        The file. Constants in other files are read from its folder alone.
    output : str, optional
        The name of the output to give. By default it is the only floating one, or the only one whose name says probabilities.

    Returns
    -------
    Network or Model
        A `Network` where the graph is a chain of layers, with branches that meet again; else a `Model`, whose ``net`` is the part
        of it that is one.

    Raises
    ------
    fastlec.io.ModelError
        If the file is no ONNX file, has other operators or weights that are computed, or shapes do not fit. It names the file and
        the node.

    See Also
    --------
    export, Model

    Notes
    -----
    Operators (opset 9 or later): Gemm, MatMul, Conv, ConvTranspose, pools, BatchNormalization, LayerNormalization, the activations
    that fastlec has, Softmax, LogSoftmax, Erf, Add, Sub, Mul, Div, Sum, Concat, Flatten, Reshape, Pad, Dropout, Identity, Cast,
    Resize that repeats pixels; LinearClassifier, Normalizer, Scaler and ZipMap of scikit-learn. How many samples there are is free.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> net = fastlec.Network([fastlec.Dense(4, 8, "relu"), fastlec.Dense(8, 3, "identity")], rng=0)
    >>> path = os.path.join(tempfile.mkdtemp(), "net.onnx")
    >>> fastlec.onnx.export(net, path, (4,))
    >>> same, x = fastlec.onnx.load(path), np.ones((2, 4))
    >>> [layer.activation for layer in same.layers]
    ['relu', 'identity']
    >>> bool((same(x) == net(x)).all())
    True
    """
    graph = read(path)
    return build(graph, [_chosen(graph, output)])


def _chosen(graph, output):
    """The name of the output to give."""
    floating = [name for name, (kind, _) in graph.outputs.items() if kind is None or kind in FLOATS]
    floating = [name for name in floating if "prob" in name.lower()] or floating
    if output is not None:
        if output not in graph.outputs:
            raise ValueError(f"output is {_check.shown(output)}; expected one of {', '.join(graph.outputs)}")
        return output
    if len(floating) != 1:
        what = f"has {len(floating)} floating outputs, {_check.shown(floating)}, of {len(graph.outputs)}"
        raise io.ModelError(f"{graph.path}: {what}; expected one, or output= with a name")
    return floating[0]


def build(graph, outputs, bound=None):
    """What computes these outputs of a graph: a `Network`, or a `Model`. bound : {input: array}, which are then constants."""
    builder = _Builder(graph, outputs, bound or {})
    for node in graph.nodes:
        if builder.needs(node):
            try:
                with np.errstate(all="ignore"):  # of weights that are not finite
                    builder.add(node)
            except Exception as error:  # of layers, of any arguments
                raise graph.refuse(node, error) from error
    return builder.made()


class _Builder:
    """The steps so far. Every value has one name: what a node passes on as it is keeps the name that it had."""

    def __init__(self, graph, outputs, bound):
        self.graph, self.outputs = graph, outputs
        graph.constants.update(bound)
        self.inputs = {name: shape and shape[1:] for name, shape in graph.inputs.items() if name not in bound}
        self.batch = next((shape[0] for name, shape in graph.inputs.items() if shape and name in self.inputs), None)
        self.shapes, self.steps, self.same = dict(self.inputs), {}, {}
        self.uses = dict.fromkeys(outputs, 1)
        for node in reversed(graph.nodes):
            if self.needs(node):
                for name in node.input:
                    self.uses[name] = self.uses.get(name, 0) + 1

    def needs(self, node):
        return any(name in self.uses for name in node.output if name)

    def add(self, node):
        """Takes in a node, whose inputs are there."""
        if node.domain not in ("", "ai.onnx", ML):
            raise Refused(f"its domain is {node.domain!r}; expected ONNX's own operators")
        names = [self.same.get(name, name) for name in node.input]
        computed = tuple(name for name in names if name and name not in self.graph.constants)
        for name in computed:
            if name not in self.shapes:
                raise Refused(f"its input {name!r} is no tensor")
        given, wanted = attributes(node), [i for i, name in enumerate(node.output) if name in self.uses]
        if not computed or node.op_type == "Shape":
            self._fold(node, names, computed, given)
            return
        if node.op_type not in OPERATORS:
            raise Refused(f"fastlec has no such operator; expected {', '.join(sorted(OPERATORS))}")
        main = 1 if node.op_type == "LinearClassifier" else 0
        if wanted != [main] and node.op_type not in SEVERAL:
            raise Refused(f"its outputs {wanted} are asked for; expected output {main} alone")
        outputs = (node.output[main],) if wanted == [main] else tuple(node.output)
        if x := self._taken_by_silu(node, computed):
            apply, computed = Activation("silu"), x
        else:
            apply = OPERATORS[node.op_type](self._described(node, names, computed, given, len(outputs)))
        if isinstance(apply, Before):
            apply, computed = apply.layer, self.steps.pop(computed[0]).inputs
        if apply is None:
            self.same[outputs[0]] = computed[0]
            self.uses[computed[0]] += self.uses[outputs[0]] - 1
            return
        *first, last = apply if isinstance(apply, list) else [apply]
        for i, part in enumerate(first):
            self._step(part, computed, (f"{outputs[0]} {i}",), node.op_type)
            computed = (f"{outputs[0]} {i}",)
        self._step(last, computed, outputs, node.op_type)

    def _described(self, node, names, computed, given, outputs):
        """The node as its operator's function gets it."""
        constants = [... if not name else None if name in computed else self.graph.array(name) for name in names]
        before = self.steps.get(computed[0]) if self.uses.get(computed[0]) == 1 else None
        return Node(
            operator=node.op_type,
            attributes=given,
            constants=constants,
            shapes=[self.shapes[name] for name in computed],
            before=before and before.apply,
            before_operator=before and before.operator,
            batch=self.batch,
            opset=self.graph.opset(node),
            outputs=outputs,
        )

    def _step(self, apply, inputs, outputs, operator):
        if isinstance(apply, Layer):
            if len(outputs) != 1:
                raise Refused(f"{len(outputs)} outputs are asked for; expected one")
            if len(inputs) != 1:
                raise Refused(f"{len(inputs)} of its inputs are computed; expected one, and constants")
            shape = apply.fits(self.shapes[inputs[0]])
        else:
            shape = apply.shape
        self.steps[outputs[0]] = Step(apply, inputs, outputs, operator)
        self.shapes |= dict.fromkeys(outputs) | {outputs[0]: shape}

    def _fold(self, node, names, computed, given):
        """A node of constants, which is one itself."""
        if node.op_type not in FOLDED or node.domain:
            raise Refused(f"it is computed of constants alone; expected one of {', '.join(FOLDED)} there")
        if node.op_type == "Shape":
            arrays = [shape_of(self.shapes[computed[0]]) if computed else np.array(self.graph.array(names[0]).shape)]
        else:
            arrays = [self.graph.array(name) for name in names if name]
        self.graph.constants[node.output[0]] = FOLDED[node.op_type](given, *arrays)

    def _taken_by_silu(self, node, computed):
        """(x,) where the node is x times its sigmoid, which nothing else takes, and which is no step of its own then; else ()."""
        for x, other in (computed, computed[::-1]) if node.op_type == "Mul" and len(computed) == 2 else ():
            step = self.steps.get(other)
            if step and (step.operator, step.inputs, self.uses[other]) == ("Sigmoid", (x,), 1):
                del self.steps[other]
                self.uses[x] -= 1
                return (x,)
        return ()

    def made(self):
        """The `Network` or `Model`."""
        outputs = [self.same.get(name, name) for name in self.outputs]
        for name in outputs:
            if name not in self.shapes:
                raise io.ModelError(f"{self.graph.path}: the output {name!r} is a constant; expected one that is computed")
        steps = _leading_to(outputs, self.steps)
        if len(self.inputs) != 1 or len(outputs) != 1:
            return Model(list(steps.values()), self.inputs, outputs)
        (source,), (output,) = self.inputs, outputs
        net, start, end, within = _largest_network(steps, source, output)
        if (start, end) == (source, output):
            return net
        parts = [
            Step(net, (start,), (end,), "") if name == end else step
            for name, step in steps.items()
            if name not in within - {end}
        ]
        return Model(parts, self.inputs, outputs, net)


def _leading_to(outputs, steps):
    """The steps that these values are made of: not those of which others asked for the shape alone."""
    wanted, found = set(outputs), []
    for name, step in reversed(steps.items()):
        if wanted.intersection(step.outputs):
            wanted.update(step.inputs)
            found.append((name, step))
    return dict(reversed(found))


# --- networks ----------------------------------------------------------------------------------------------------------


def _largest_network(steps, source, output):
    """(network, start, end, names): the largest `Network` from one value to another that all ways lead through, and the values that
    it computes; None for the first three where there is none."""
    if source == output:
        return Network([Activation("identity")]), source, output, set()
    # Of each value: the last one that all ways to it lead through; how many of these there are; and the first of them from which it
    # is computed by layers alone.
    through, depth, start = {source: None}, {source: 0}, {source: source}
    for step in steps.values():
        meets = step.inputs[0]
        for other in step.inputs[1:]:
            while meets != other:
                if depth[meets] < depth[other]:
                    other = through[other]
                else:
                    meets = through[meets]
        of_layers = isinstance(step.apply, (Layer, Join)) and all(depth[start[name]] <= depth[meets] for name in step.inputs)
        for name in step.outputs:
            through[name], depth[name], start[name] = meets, depth[meets] + 1, start[meets] if of_layers else name
    end, value = output, through[output]
    while value is not None:
        if depth[value] - depth[start[value]] > depth[end] - depth[start[end]]:
            end = value
        value = through[value]
    within = set()
    try:
        layers = _chain(steps, through, end, start[end], within)
        return (Network(layers), start[end], end, within) if layers else (None, None, None, set())
    except (_Shared, ValueError, TypeError, RecursionError):  # nested too deep, or of several dtypes
        return None, None, None, set()


class _Shared(Exception):
    """A value goes into several branches, and is no branch by itself: it would be computed, and its weights held, twice."""


def _chain(steps, through, value, source, within):
    """The layers one after the other from one value to another, which all ways lead through."""
    layers = []
    while value != source:
        step = steps[value]
        if value in within:
            raise _Shared
        within.add(value)
        if isinstance(step.apply, Join):
            start = through[value]
            branches = [_chain(steps, through, name, start, within) for name in step.inputs]
            layers.append(step.apply.kind([_one(branch) for branch in branches]))
            value = start
        else:
            layers.append(step.apply)
            (value,) = step.inputs
    return _joined(layers[::-1])


def _one(layers):
    return Activation("identity") if not layers else layers[0] if len(layers) == 1 else Network(layers)


def _joined(layers):
    """With activations as part of the layers before them, which have none."""
    found = []
    for layer in layers:
        before = found[-1] if found else None
        if isinstance(layer, Activation) and isinstance(before, Affine) and before.activation == "identity":
            found[-1] = before.with_settings(activation=layer)
        else:
            found.append(layer)
    return found


def _samples(x, name, shape):
    """An input of this shape of samples, as far as it is known, as an array to compute with."""
    x = _check.as_array(x, name)
    x = x.astype(_check.float_dtype(x.dtype, name), copy=False)
    expected = "(m, ...)" if shape is None else f"({', '.join(['m', *('any' if n is None else str(n) for n in shape)])})"
    fits = shape is None or (x.ndim == len(shape) + 1 and all(n in (None, k) for n, k in zip(shape, x.shape[1:], strict=True)))
    if not x.ndim or not fits:
        raise ValueError(f"{name} has shape {x.shape}; expected {expected}")
    return x
