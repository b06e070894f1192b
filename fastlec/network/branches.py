"""Layers of branches, each of which takes x: their sum, as in residual networks (He, Zhang, Ren and Sun 2016, "Deep residual
learning for image recognition"; lecture eq. 22 and 23 are such sums), and their outputs side by side, as in the skip connections of
the U-Net (Ronneberger, Fischer and Brox 2015, "U-Net: convolutional networks for biomedical image segmentation").

For y = sum_i f_i(x), J' v is J_i' v for the parameters of branch i, and sum_i J_i' v for x. Side by side, branch i takes its own
part of v in the place of v.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from .. import _check
from .._kernels.epilogue import IDENTITY
from .._kernels.plan import Plan
from .._kernels.sum import add
from .._typing import FloatArray, Shape
from ..layers._samples import Within
from ..layers.planned import adds, known_shape, multiply, plan_transposed
from ..layers.registry import kind
from ..layers.residual import following
from .container import Container, by_layer_of, label, labelled


class _Branches(Container):
    """What both kinds share. A subclass says how y is made of the branches' outputs:

    _shape_of(gives)                        the shape of a sample of y, or what is known of it, from those of the outputs
    _parts(y, outputs)                      of an array like y, the part that each branch has a share in
    _plan_joined(plan, outputs, y, parts)   fills y, of which these are the parts; an output that is None is zero
    """

    _takes_sum = True

    @property
    def input_shape(self) -> tuple[int | None, ...] | None:
        """The shape of one sample of x, as far as the branches tell it."""
        return _input_shape(self.layers, None)

    def _joint(self, layers, shape):
        shape = _input_shape(layers, shape)
        return self._shape_of([labelled(i, layer._fits, shape) for i, layer in enumerate(layers)])

    def output_shape(self, shape: Shape) -> Shape:
        return self._shape_of([labelled(i, layer._shape_after, shape) for i, layer in enumerate(self.layers)])

    def check_batch(self, m: int, shape: Shape) -> None:
        for i, layer in enumerate(self.layers):
            labelled(i, layer.check_batch, m, shape)

    def _taken(self, shape):
        return [shape] * len(self.layers)

    @property
    def affine_in_theta(self) -> bool:
        """Whether y is an affine function of theta: where every branch is one of its own parameters."""
        return all(layer.affine_in_theta or not layer.n_params for layer in self.layers)

    # --- jobs --------------------------------------------------------------------------------------------------------

    def _plan_forward(self, plan, x, y):
        above, kept = plan.layer, []
        for i, layer in enumerate(self.layers):
            plan.layer, shape = label(above, i, layer), (len(x), *layer.output_shape(x.shape[1:]))
            if layer._reshapes:
                kept.append((x, x.reshape(shape), None))
            else:
                output = self._place(plan, layer, shape, kept, y)
                kept.append((x, output, layer._plan_forward(plan, x, output)))
        plan.layer = above
        self._plan_joined(plan, _outputs(kept), y, self._parts(y, _outputs(kept)))
        return kept

    def _place(self, plan, layer, shape, kept, y):
        """Where the output goes of the branch after those in `kept`."""
        return plan.empty(*shape)

    def _plan_mv(self, plan, kept, directions, dy):
        self._plan_along(plan, kept, directions, dy, "_plan_mv")

    def _plan_along(self, plan, kept, directions, dy, method):
        """{i: what a method of branch i that fills its output gave}, of those that are moved by the directions."""
        outputs, found = [], {}
        for i, (layer, (_, y, own), given) in enumerate(zip(self.layers, kept, self._given(directions), strict=True)):
            output = None
            if given and layer._reshapes:
                output = given["x"].reshape(y.shape)
            elif given:
                output = plan.empty(*y.shape)
                found[i] = getattr(layer, method)(plan, own, given, output)
            outputs.append(output)
        self._plan_joined(plan, outputs, dy, self._parts(dy, _outputs(kept)))
        return found

    def _given(self, directions):
        """The directions of each branch, by its own names."""
        by_layer, x = by_layer_of(directions), {name: d for name, d in directions.items() if name == "x"}
        return [by_layer.get(i, {}) | x for i in range(len(self.layers))]

    def _plan_tmv(self, plan, kept, v, out, after=None):
        """One branch after the other adds its share to dx, in its epilogue where it can. First come those that need no job for it:
        the share of one that reshapes is v itself, which the next one adds."""
        by_layer, dx, above = by_layer_of(out), out.get("x"), plan.layer
        parts, total = self._parts(v, _outputs(kept)), None
        if adds(after):
            total = dx if after.accumulate else after.residual
        at_once = [layer._reshapes or layer._elementwise for layer in self.layers]
        order = sorted((i for i in range(len(kept)) if dx is not None or i in by_layer), key=lambda i: not at_once[i])
        for i in order:
            layer, (x, y, own), wanted = self.layers[i], kept[i], by_layer.get(i, {})
            plan.layer, last = label(above, i, layer), i == order[-1]
            g = _plan_arriving(plan, layer, parts[i], y, own)
            if dx is None:
                plan_transposed(plan, layer, own, g, wanted)
                continue
            if at_once[i] and total is None and not last:
                total = g.reshape(x.shape)
                continue
            so_far = {} if total is None else {"accumulate": True} if total is dx else {"residual": total}
            epilogue = following(after if last else None, **so_far) if last or so_far else None
            if at_once[i]:
                multiply(plan, g, dx, epilogue)
            else:
                plan_transposed(plan, layer, own, g, wanted | {"x": dx}, epilogue)
            total = dx
        plan.layer = above

    def _plan_tangent(self, plan, kept, directions, dy):
        return self._plan_along(plan, kept, directions, dy, "_plan_tangent")

    def _plan_adjoint(self, plan, y, kept, v, out, wrt):
        names, adjoints = by_layer_of(dict.fromkeys(wrt)), {}

        def step(i, layer, y, own, v, wanted):
            adjoints[i] = layer._plan_adjoint(plan, y, own, v, wanted, ("x", *names.get(i, ())))

        self._plan_each(plan, kept, v, out, step)
        return adjoints

    def _plan_curved(self, plan, y, kept, adjoint, tangent, dv, out):
        def step(i, layer, y, own, dv, wanted):
            if i in tangent:
                layer._plan_curved(plan, y, own, adjoint[i], tangent[i], dv, wanted)
            else:
                layer._plan_backward(plan, y, own, dv, wanted)

        self._plan_each(plan, kept, dv, out, step)

    def _plan_samples(self, plan, y, kept, v, out, samples):
        def step(i, layer, y, own, v, wanted):
            layer._plan_samples(plan, y, own, v, wanted, Within(samples, f"{i}."))

        self._plan_each(plan, kept, v, out, step)

    def _plan_each(self, plan, kept, v, out, step):
        """step(i, layer, y, own, v, wanted) for each branch: v is what comes back to its y, unmultiplied, and wanted what of `out`
        it fills, with "x" for its share of that."""
        by_layer, dx, above, terms = by_layer_of(out), out.get("x"), plan.layer, []
        for i, (layer, (x, y, own), part) in enumerate(zip(self.layers, kept, self._parts(v, _outputs(kept)), strict=True)):
            plan.layer, wanted, part = label(above, i, layer), by_layer.get(i, {}), _in_one_piece(plan, part, y)
            if layer._reshapes:
                terms.append(part.reshape(x.shape))
                continue
            if dx is not None:
                wanted["x"] = plan.empty(*x.shape)
                terms.append(wanted["x"])
            step(i, layer, y, own, part, wanted)
        plan.layer = above
        if dx is not None:
            _plan_sum(plan, terms, dx)

    # --- where a branch is the user's own ----------------------------------------------------------------------------

    def evaluate(self, x: FloatArray) -> tuple[FloatArray, Any]:
        if self._planned:
            return super().evaluate(x)
        jacs = [layer.linearize(x)[1] for layer in self.layers]
        return self._joined([jac.y for jac in jacs], jacs), jacs

    def mv(self, kept: Any, directions: dict[str, FloatArray]) -> FloatArray:
        given = self._given(directions)
        return self._joined([jac.mv(**own) if own else None for jac, own in zip(kept, given, strict=True)], kept)

    def tmv(self, kept: Any, v: FloatArray, wrt: tuple[str, ...]) -> dict[str, FloatArray]:
        by_layer, result, terms = by_layer_of(dict.fromkeys(wrt)), {}, []
        for i, (jac, part) in enumerate(zip(kept, self._parts(v, [jac.y for jac in kept]), strict=True)):
            names = (*by_layer.get(i, ()), *(name for name in wrt if name == "x"))
            found = jac.tmv(np.ascontiguousarray(part).reshape(jac.y.shape), names) if names else {}
            result |= {f"{i}.{name}": a for name, a in found.items() if name != "x"}
            terms += [a for name, a in found.items() if name == "x"]
        return result | ({"x": _run(_plan_sum, terms, kept[0].x)} if terms else {})

    def hessian_mv(
        self, kept: Any, v: FloatArray, directions: dict[str, FloatArray], wrt: tuple[str, ...]
    ) -> dict[str, FloatArray]:
        by_layer, result, terms, given = by_layer_of(dict.fromkeys(wrt)), {}, [], self._given(directions)
        for i, (jac, part) in enumerate(zip(kept, self._parts(v, [jac.y for jac in kept]), strict=True)):
            names = (*by_layer.get(i, ()), *(name for name in wrt if name == "x"))
            if given[i] and names:
                found = jac.hessian_mv(np.ascontiguousarray(part).reshape(jac.y.shape), names, **given[i])
            else:
                found = {name: np.zeros(jac.shape_of(name), jac.y.dtype) for name in names}
            result |= {f"{i}.{name}": a for name, a in found.items() if name != "x"}
            terms += [a for name, a in found.items() if name == "x"]
        return result | ({"x": _run(_plan_sum, terms, kept[0].x)} if terms else {})

    def _joined(self, outputs, jacs):
        """What the branches' outputs, or directions of them, make of y."""
        each = [jac.y for jac in jacs]
        y = np.empty((len(each[0]), *self._shape_of([a.shape[1:] for a in each])), each[0].dtype)
        return _run(lambda plan, outputs, y: self._plan_joined(plan, outputs, y, self._parts(y, each)), outputs, y)

    # --- explicit Jacobians ------------------------------------------------------------------------------------------

    def _explicit(self, kept, name):
        """The sum of the Jacobians of the branches, each in the rows of the part of y that it has a share in."""
        from scipy.sparse import csr_array

        jacs, chosen, name = self._jacobians(kept, name)
        outputs = [jac.y for jac in jacs]
        shape = len(outputs[0]), *self._shape_of([y.shape[1:] for y in outputs])
        parts, terms = self._parts(np.arange(math.prod(shape)).reshape(shape), outputs), []
        for i in chosen:
            places = parts[i].ravel(), np.arange(parts[i].size)
            rows = csr_array((np.ones(parts[i].size, outputs[i].dtype), places), (math.prod(shape), parts[i].size))
            terms.append(rows @ _matrix(self.layers[i], jacs[i], name))
        if any(isinstance(J, np.ndarray) for J in terms):
            terms = [J if isinstance(J, np.ndarray) else J.toarray() for J in terms]
        return sum(terms[1:], start=terms[0])

    def _nonzeros(self, kept, name):
        jacs, chosen, name = self._jacobians(kept, name)
        stored = [jacs[i].x.size if self.layers[i]._reshapes else self.layers[i]._nonzeros(jacs[i].kept, name) for i in chosen]
        return None if None in stored else sum(stored)

    def _jacobians(self, kept, name):
        """(the Jacobian of each branch, which of them have a variable, what these call it)."""
        jacs = [layer._jacobian_of(*own) for layer, own in zip(self.layers, kept, strict=True)] if self._planned else kept
        i, _, own = name.partition(".")
        return jacs, [int(i)] if own else range(len(jacs)), own or name


@kind
class Sum(_Branches):
    """Sum of branches y = f_0(x) + f_1(x) + ..., as in residual networks (He, Zhang, Ren and Sun 2016; lecture eq. 22).

    x and y are (m, ...), as the layers take and give them, all the same. It is a layer like others, trained, saved and loaded with
    its network::

        JacMV      the sum of J_i dx and of J_i dtheta_i
        JacTMV     x: the sum of J_i' v;  the parameters of branch i: J_i' v

    Parameters
    ----------
    layers : iterable of Layer
        The branches, layers or networks. ``Activation("identity")`` is x itself. The sum has copies of them, as a `Network` has.
    rng : int or numpy.random.Generator, optional
        A seed or generator, from which every layer draws new weights, as for `Network`.

    Attributes
    ----------
    layers, theta, params, buffers
        As of a `Network`: params are "0.W", or "1.2.b" in a network that is the second branch.

    Raises
    ------
    ValueError
        If layers is empty, or the branches do not fit each other: the message names the branch.
    TypeError
        If something in layers is no layer, or layers have different dtypes.

    See Also
    --------
    Concat, Network, Residual

    Examples
    --------
    With an activation after it, it is the block of a residual network:

    >>> import fastlec
    >>> from fastlec import Activation, BatchNorm2d, Conv2d, Network, Sum
    >>> first = [Conv2d(8, 8, 3, padding=1, bias=False), BatchNorm2d(8), Activation("relu")]
    >>> second = [Conv2d(8, 8, 3, padding=1, bias=False), BatchNorm2d(8)]
    >>> block = Sum([Network([*first, *second]), Activation("identity")])
    >>> net = Network([Conv2d(1, 8, 3, padding=1), block, Activation("relu")], rng=0)
    >>> net.output_shape((1, 6, 6)), list(net.params)[2:5]
    ((8, 6, 6), ['1.0.0.W', '1.0.1.gamma', '1.0.1.beta'])
    """

    def _shape_of(self, gives):
        known = None
        for i, shape in enumerate(gives):
            known = _agreed(known, shape, f"layers[{i}] gives")
        return known

    def _parts(self, y, outputs):
        return [y] * len(outputs)

    def _plan_joined(self, plan, outputs, y, parts):
        _plan_sum(plan, [output for output in outputs if output is not None] or [_zero(plan, y.shape)], y)


@kind
class Concat(_Branches):
    """Branches side by side, y = (f_0(x), f_1(x), ...), as in the U-Net (Ronneberger, Fischer and Brox 2015).

    x is (m, ...) and y (m, n, ...), where f_i(x) is (m, n_i, ...) and n = n_0 + n_1 + ...: the features of rows, the channels of
    images. Beyond that axis, all are of one shape. With v_i the part of v that is of branch i::

        JacMV      the J_i dx + J_i dtheta_i, side by side
        JacTMV     x: the sum of J_i' v_i;  the parameters of branch i: J_i' v_i

    Parameters
    ----------
    layers : iterable of Layer
        The branches, layers or networks. ``Activation("identity")`` is x itself. The layer has copies of them, as a `Network` has.
    rng : int or numpy.random.Generator, optional
        A seed or generator, from which every layer draws new weights, as for `Network`.

    Attributes
    ----------
    layers, theta, params, buffers
        As of a `Network`: params are "0.W", or "1.2.b" in a network that is the second branch.

    Raises
    ------
    ValueError
        If layers is empty, or the branches do not fit each other: the message names the branch.
    TypeError
        If something in layers is no layer, or layers have different dtypes.

    See Also
    --------
    Sum, Network

    Examples
    --------
    >>> import numpy as np
    >>> import fastlec
    >>> from fastlec import Activation, Concat, Conv2d
    >>> both = Concat([Activation("identity"), Conv2d(3, 5, 3, "relu", padding=1, rng=0)])
    >>> x = np.ones((2, 3, 6, 6))
    >>> both(x).shape, bool((both(x)[:, :3] == x).all())
    ((2, 8, 6, 6), True)
    """

    def _shape_of(self, gives):
        known, lengths = None, []
        for i, shape in enumerate(gives):
            if shape == ():
                raise ValueError(f"layers[{i}] gives samples of shape (); expected one axis or more, the first to be joined")
            known = _agreed(known, shape and (None, *shape[1:]), f"layers[{i}] gives", shape)
            lengths.append(None if shape is None else shape[0])
        return None if known is None else (None if None in lengths else sum(lengths), *known[1:])

    def _parts(self, y, outputs):
        rows, ends = _rows(y), np.cumsum([0, *(math.prod(output.shape[1:]) for output in outputs)])
        return [rows[:, start:end] for start, end in itertools.pairwise(ends)]

    def _place(self, plan, layer, shape, kept, y):
        """In y, where its part is in one piece, as that of a single sample is, and nothing follows from it later on."""
        start = sum(output.shape[1] for output in _outputs(kept))
        part = y[:, start : start + shape[1]]
        return part if part.flags.c_contiguous and layer._outermost in (None, IDENTITY) else plan.empty(*shape)

    def _plan_joined(self, plan, outputs, y, parts):
        for output, part in zip(outputs, parts, strict=True):
            output = _zero(plan, part.shape) if output is None else output
            if not np.may_share_memory(output, part):
                add(plan, _rows(output), None, part)


def _plan_arriving(plan, layer, part, y, own):
    """v as _plan_tmv of a branch takes it, whose output is y: its part in one piece, times the derivative of its `_outermost`."""
    g = _in_one_piece(plan, part, y)
    outer = layer._outer_derivative(y, own)
    if outer is not None:
        part, g = g, plan.empty(*y.shape)
        multiply(plan, part, g, outer)
    return g


def _in_one_piece(plan, part, y):
    """A part of an array, in C order and of the shape of the branch's output y."""
    if part.flags.c_contiguous:
        return part.reshape(y.shape)
    whole = plan.empty(*y.shape)
    add(plan, part, None, _rows(whole))
    return whole


def _plan_sum(plan, terms, out):
    """out = the sum of the terms, one after the other."""
    row, total = (1, out.size), terms[0]
    for term in terms[1:] or [None]:
        add(plan, total.reshape(row), None if term is None else term.reshape(row), out.reshape(row))
        total = out


def _run(add_jobs, arrays, like):
    """What the jobs make of the arrays: a new one like `like`."""
    plan = Plan(like.dtype.num)
    out = plan.empty(*like.shape)
    add_jobs(plan, [None if a is None else _check.plain(a, out.dtype, "y") for a in arrays], out)
    plan.run()
    return out


def _zero(plan, shape):
    zeros = plan.empty(*shape)
    zeros[...] = 0
    return zeros


def _outputs(kept):
    return [output for _, output, _ in kept]


def _rows(a):
    """Samples of whatever shape as rows."""
    return a.reshape(len(a), math.prod(a.shape[1:]))


def _matrix(layer, jac, name):
    """The explicit Jacobian of a branch; that of x itself has ones alone."""
    if not layer._reshapes:
        return jac.matrix(name)
    from scipy.sparse import csr_array, identity

    return csr_array(identity(jac.x.size, jac.x.dtype))


def _input_shape(layers, shape):
    """What `shape`, as far as it is known, and the layers tell of the samples that all of them take."""
    for i, layer in enumerate(layers):
        shape = _agreed(layer.input_shape, shape, f"layers[{i}]: x has")
    return shape


def _agreed(expected, shape, what, whole=None):
    """What two shapes, of which lengths or all may be unknown, tell of samples that have both. ValueError where none can, of `what`
    has the second one, or `whole`, of which that is a part."""
    if expected is None or shape is None:
        return shape if expected is None else expected
    if len(shape) != len(expected) or any(None not in (n, k) and n != k for n, k in zip(shape, expected, strict=True)):
        raise ValueError(f"{what} samples of shape {known_shape(whole or shape)}; expected {known_shape(expected)}")
    return tuple(k if n is None else n for n, k in zip(shape, expected, strict=True))
