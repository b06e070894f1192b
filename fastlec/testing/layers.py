"""The contract of a layer, held against any layer: :func:`check_layer`, each of whose tests is one method of `_Subject`.

Unmodified inputs and shapes come first: the other tests take both for granted, and some pass read-only arrays.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from .. import _check
from .._typing import Seed
from ..layers.base import Layer
from .derivatives import gradient_test, jacobian_test, transpose_test
from .directions import random_direction
from .numbers import dot, float64, name_of, real
from .results import ContractResult, LayerResult

# An entry of J, or of the sum of J v over the variables, is right to about sqrt(n) eps times the greatest one: n terms are
# added up, with random signs; 10 allows for what passes through several layers.
ENTRY_UNITS = 10
# The explicit Jacobian is looked at where it has at most EXPLICIT_PRODUCTS rows and columns together: each is a product.
EXPLICIT_PRODUCTS = 1024


def check_layer(layer: Layer, x: ArrayLike, *, rng: Seed | None = None, name: str | None = None) -> LayerResult:
    """Test that ``layer`` keeps a layer's contract at x: the derivative tests for every variable, and all that they assume.

    Parameters
    ----------
    layer : Layer
        A layer or a network, the library's or one of your own. Its parameters are where it is tested; random ones, not zeros, tell
        most.
    x : array_like, shape (m, ...)
        Samples, in the precision of the layer's parameters or converted to it. Few are enough: the tests take many calls, and with
        relu each sample brings kinks, of which none may be too near for float32 to tell the derivative on this side of it.
    rng : int or numpy.random.Generator, optional
        What directions and vectors are drawn with; the same at every call by default.
    name : str, optional
        What the result calls the layer; by default its class.

    Returns
    -------
    LayerResult
        The verdict, and the results of the single tests.

    Raises
    ------
    TypeError
        If layer is none, or x is not of real numbers.
    ValueError
        If x has no sample. What the layer itself raises is not caught.

    See Also
    --------
    gradient_test, jacobian_test, transpose_test

    Notes
    -----
    Passed means all of this, with v a random array like the output:

    - inputs and parameters have the same bits after each call, and results the shapes, dtypes and names they should have;
    - each map has the same bits at a second call, with others in between, and no result is overwritten by a later call;
    - ``layer(x)`` has the bits of ``layer.linearize(x)``, and so have one-call forms, chosen variables (``wrt``), given buffers
      (``out``) and ``jac.operator``, in which the parts of ``theta`` are the parameters;
    - ``jac.mv`` of all directions is the sum of those of each;
    - for "x", for each parameter and for a network's "theta": the Jacobian test with ``jac.mv``, the gradient test of <v, y> with
      ``jac.tmv``, the transpose test, and ``jac.matrix`` against ``jac.mv`` and ``jac.tmv`` of every unit vector. The last is left
      out, and said so, where the matrix has more than 1024 rows and columns together.

    A derivative of zero fails, for nothing was tested.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlec import Dense
    >>> from fastlec.testing import check_layer
    >>> result = check_layer(Dense(3, 2, "tanh", rng=0), np.random.default_rng(0).normal(size=(4, 3)))
    >>> result.passed, len(result.results)
    (True, 19)
    """
    with np.errstate(all="ignore"):
        return _check_layer(layer, x, rng, name)


def _check_layer(layer, x, rng, name):
    if not isinstance(layer, Layer):
        raise TypeError(f"layer is {_check.shown(layer)}; expected a Layer or a Network")
    subject = _Subject(layer, x, _check.generator(0 if rng is None else rng), name_of(name, type(layer)))
    results, notes = [subject.unmodified(), subject.shapes()], []
    if all(result.passed for result in results):
        results += [subject.repeated(), subject.forms(), subject.buffers(), subject.operators(), subject.sums()]
        for variable in subject.values:
            results += subject.derivatives(variable)
            shape = (subject.y.size, subject.values[variable].size)
            if sum(shape) <= EXPLICIT_PRODUCTS:
                results.append(subject.explicit(variable))
            else:
                notes.append(f"the explicit Jacobian by {variable}, {shape}, was not looked at: it is too large")
    else:
        notes.append("the other tests were not run: they need inputs that stay as they are, and right shapes")
    failed = [f"{result.kind} test of {result.name}" for result in results if not result.passed]
    return LayerResult(
        name=subject.name,
        kind="layer",
        dtype=subject.x.dtype,
        passed=not failed,
        reason=f"failed: {', '.join(failed)}" if failed else None,
        note="; ".join(notes) or None,
        results=results,
    )


class _Subject:
    """A layer at x, with a random v and a random direction for every variable, and its tests."""

    def __init__(self, layer, x, rng, name):
        self.layer, self.rng, self.name = layer, rng, name
        self.x = np.array(real(x), dtype=next((a.dtype for a in layer.params.values()), None))
        if not self.x.size:
            raise ValueError(f"x has shape {self.x.shape}; expected at least one sample")
        self.params_before = {variable: a.copy() for variable, a in layer.params.items()}
        self.buffers_before = {name: a.copy() for name, a in layer.buffers.items()}
        self.y, self.jac = layer.linearize(self.x.copy())
        self.values = {"x": self.x, **layer.params}
        if "theta" in self.jac.variables and layer.params:
            self.values.setdefault("theta", layer.theta)
        self.v, self.directions = self.random_vectors()

    def random_vectors(self):
        """(v, directions): v like y, a direction for each variable."""
        v = self.rng.standard_normal(np.shape(self.y))
        directions = {variable: random_direction(value, self.rng) for variable, value in self.values.items()}
        return np.asarray(v, self.x.dtype), {name: np.asarray(d, self.x.dtype) for name, d in directions.items()}

    def all_directions(self, directions):
        """Those of x and of the parameters: theta is the parameters once more."""
        return {variable: directions[variable] for variable in ("x", *self.layer.params)}

    def moved(self, variable, value):
        """(layer, x) where the variable has this value."""
        if variable == "x":
            return self.layer, value
        if variable in self.layer.params:
            return self.layer.with_params({**self.layer.params, variable: value}), self.x
        return self.layer.with_theta(value), self.x

    # --- every map there is ------------------------------------------------------------------------------------------

    def maps(self, x, v, directions):
        """Calls one after the other; yields (what was called, what it returned)."""
        yield "layer(x)", self.layer(x)
        y, jac = self.layer.linearize(x)
        yield "layer.linearize(x)[0]", y
        yield from self.products(jac, v, directions)

    def products(self, jac, v, directions):
        yield "jac.mv of all", jac.mv(**self.all_directions(directions))
        for variable, g in jac.tmv(v).items():
            yield f"jac.tmv(v)[{variable!r}]", g
        for variable, d in directions.items():
            yield f"jac.mv of {variable}", jac.mv(**{variable: d})
            for g in jac.tmv(v, wrt=(variable,)).values():
                yield f"jac.tmv(v, wrt=({variable!r},))", g

    # --- the contract ------------------------------------------------------------------------------------------------

    def unmodified(self):
        """Inputs, parameters and buffers have the same bits after each call; the inputs are writeable, so a layer could."""
        inputs = {"x": self.x, "v": self.v, **{f"the direction of {name}": d for name, d in self.directions.items()}}
        before = inputs | {f"the parameter {name}": a for name, a in self.params_before.items()}
        before |= {f"the buffer {name}": a for name, a in self.buffers_before.items()}
        given = {what: a.copy() for what, a in inputs.items()}
        directions = {name: given[f"the direction of {name}"] for name in self.directions}
        after = given | {f"the parameter {name}": a for name, a in self.layer.params.items()}
        after |= {f"the buffer {name}": a for name, a in self.layer.buffers.items()}
        c = _Comparisons()
        for call, _ in self.maps(given["x"], given["v"], directions):
            for what, a in before.items():
                c.same(f"{what} after {call}", after[what], a)
        return self.result("unmodified input", c)

    def shapes(self):
        """Shapes, dtypes and names of all that comes back."""
        layer, jac, c = self.layer, self.jac, _Comparisons()
        c.equal("layer.variables", tuple(layer.variables), ("x", *layer.params))
        c.equal("jac.variables", set(jac.variables) - {"theta"}, {"x", *layer.params} - {"theta"})
        like_y = np.empty((len(self.x), *layer.output_shape(self.x.shape[1:])), self.x.dtype)
        c.alike("layer(x)", layer(self.x), like_y)
        c.alike("layer.linearize(x)[0]", self.y, like_y)
        c.alike("jac.x", jac.x, self.x)
        c.alike("jac.y", jac.y, like_y)
        c.equal("the names in jac.tmv(v)", set(jac.tmv(self.v)), {"x", *layer.params})
        for variable, value in self.values.items():
            c.alike(f"jac.mv of {variable}", jac.mv(**{variable: self.directions[variable]}), like_y)
            products = jac.tmv(self.v, wrt=(variable,))
            if c.equal(f"the names in jac.tmv(v, wrt=({variable!r},))", set(products), {variable}):
                c.alike(f"jac.tmv(v)[{variable!r}]", products[variable], value)
            operator = jac.operator(variable)
            c.equal(f"jac.operator({variable!r}).shape", operator.shape, (like_y.size, value.size))
            c.equal(f"jac.operator({variable!r}).dtype", operator.dtype, value.dtype)
        return self.result("shape", c)

    def repeated(self):
        """A map has the same bits at every call, whatever the layer did in between, and what it returned stays as it is."""
        c = _Comparisons()
        y, jac = self.layer.linearize(self.x)
        c.same("layer.linearize(x)[0], now and at the first call", y, self.y)
        results, copies = {"layer.linearize(x)[0]": y}, {"layer.linearize(x)[0]": y.copy()}
        for what, a in self.products(jac, self.v, self.directions):
            results[what], copies[what] = a, a.copy()
        other_v, other_directions = self.random_vectors()
        other_x = (self.x + 0.1 * other_directions["x"]).astype(self.x.dtype)
        for _ in self.maps(other_x, other_v, other_directions):
            pass
        for what, a in copies.items():
            c.same(f"the result of {what} after later calls", results[what], a)
        for what, a in self.products(jac, self.v, self.directions):
            c.same(f"{what} at a second call", a, copies[what])
        again = dict(self.maps(self.x, self.v, self.directions))
        c.same("layer(x) and layer.linearize(x)[0]", again["layer(x)"], copies["layer.linearize(x)[0]"])
        for what, a in copies.items():
            c.same(f"{what} linearized again", again[what], a)
        return self.result("repetition", c)

    def forms(self):
        """The one-call forms, chosen variables and theta give the bits of the products of all variables."""
        layer, jac, c = self.layer, self.jac, _Comparisons()
        directions = self.all_directions(self.directions)
        dy, products = jac.mv(**directions), jac.tmv(self.v)
        c.same("layer.jac_mv(x, ...)", layer.jac_mv(self.x, **directions), dy)
        both = layer.value_and_jac_mv(self.x, **directions)
        c.same("layer.value_and_jac_mv(x, ...)[0]", both[0], self.y)
        c.same("layer.value_and_jac_mv(x, ...)[1]", both[1], dy)
        for variable, g in layer.jac_tmv(self.x, self.v).items():
            c.same(f"layer.jac_tmv(x, v)[{variable!r}]", g, products[variable])
        for wrt in [tuple(layer.params), *((variable,) for variable in products)]:
            for variable, g in jac.tmv(self.v, wrt=wrt).items():
                c.same(f"jac.tmv(v, wrt={wrt})[{variable!r}]", g, products[variable])
        if "theta" in self.values and "theta" not in layer.params:
            g = jac.tmv(self.v, wrt=("theta",))["theta"]
            c.same("jac.tmv(v, wrt=('theta',))", g, np.concatenate([products[name].ravel() for name in layer.params]))
        return self.result("form", c)

    def buffers(self):
        """Results in given buffers, which hold NaN before."""
        layer, jac, c = self.layer, self.jac, _Comparisons()
        directions = self.all_directions(self.directions)
        nan = [np.full_like(self.y, np.nan) for _ in range(2)]
        c.same("layer(x, out=...)", layer(self.x, out=nan[0]), self.y)
        c.same("out of layer(x, out=...)", nan[0], self.y)
        dy, products = jac.mv(**directions), jac.tmv(self.v)
        c.same("jac.mv(..., out=...)", jac.mv(**directions, out=nan[1]), dy)
        c.same("out of jac.mv(..., out=...)", nan[1], dy)
        buffers = {variable: np.full_like(g, np.nan) for variable, g in products.items()}
        returned = jac.tmv(self.v, out=buffers)
        for variable, g in products.items():
            c.same(f"jac.tmv(v, out=...)[{variable!r}]", returned[variable], g)
            c.same(f"out[{variable!r}] of jac.tmv(v, out=...)", buffers[variable], g)
        return self.result("buffer", c)

    def operators(self):
        """jac.operator has the bits of jac.mv and jac.tmv."""
        c = _Comparisons()
        for variable, d in self.directions.items():
            operator = self.jac.operator(variable)
            dy, g = self.jac.mv(**{variable: d}), self.jac.tmv(self.v, wrt=(variable,))[variable]
            c.same(f"jac.operator({variable!r}).matvec", operator.matvec(d.ravel()), dy.ravel())
            c.same(f"jac.operator({variable!r}).rmatvec", operator.rmatvec(self.v.ravel()), g.ravel())
        return self.result("operator", c)

    def sums(self):
        """jac.mv of several directions is the sum of its products with each."""
        directions = self.all_directions(self.directions)
        singles = [float64(self.jac.mv(**{variable: d})) for variable, d in directions.items()]
        c = _Comparisons()
        c.near("jac.mv of all", self.jac.mv(**directions), sum(singles), self.bound(singles, *directions.values()))
        return self.result("sum", c)

    def explicit(self, variable):
        """jac.matrix, entry for entry, against jac.mv and jac.tmv of all unit vectors."""
        value, jac, c = self.values[variable], self.jac, _Comparisons()
        matrix = jac.matrix(variable)
        matrix = matrix.toarray() if hasattr(matrix, "toarray") else matrix
        columns = np.stack([jac.mv(**{variable: e}).ravel() for e in _unit_vectors(value)], axis=1)
        rows = np.stack([jac.tmv(u, wrt=(variable,))[variable].ravel() for u in _unit_vectors(self.y)])
        bound = self.bound([columns], value, self.y)
        if c.alike(f"jac.matrix({variable!r})", matrix, columns):
            c.near(f"jac.matrix({variable!r}) and jac.mv of unit vectors", matrix, columns, bound)
            c.near(f"jac.matrix({variable!r}) and jac.tmv of unit vectors", matrix, rows, bound)
        return self.result("explicit Jacobian", c, f"{self.name} by {variable}")

    # --- derivatives -------------------------------------------------------------------------------------------------

    def derivatives(self, variable):
        """The lecture's three tests of the output as a function of one variable."""

        def output(value):
            layer, x = self.moved(variable, value)
            return layer(x)

        def jac_mv(value, d):
            layer, x = self.moved(variable, value)
            return layer.linearize(x)[1].mv(**{variable: d})

        def jac_tmv(value, u):
            layer, x = self.moved(variable, value)
            return layer.linearize(x)[1].tmv(u, wrt=(variable,))[variable]

        def inner_product(value):
            return dot(self.v, output(value))

        def gradient(value):
            return jac_tmv(value, self.v)

        value, name = self.values[variable], f"{self.name} by {variable}"
        yield jacobian_test(output, jac_mv, value, rng=self.rng, name=name)
        yield gradient_test(inner_product, gradient, value, rng=self.rng, name=name)
        yield transpose_test(jac_mv, jac_tmv, value, rng=self.rng, name=name)

    # --- small parts -------------------------------------------------------------------------------------------------

    def bound(self, parts, *arrays):
        """How far an entry of the sum of parts may be off, where sums run over these arrays."""
        largest = sum(np.abs(float64(part)).max(initial=0.0) for part in parts)
        return ENTRY_UNITS * np.sqrt(max(a.size for a in arrays)) * np.finfo(self.x.dtype).eps * largest

    def result(self, kind, comparisons, name=None):
        failures = comparisons.failures or ([] if comparisons.count else ["nothing was compared"])
        return ContractResult(
            name=name or self.name,
            kind=kind,
            dtype=self.x.dtype,
            passed=not failures,
            reason=failures[0] if failures else None,
            comparisons=comparisons.count,
            failures=tuple(failures),
        )


class _Comparisons:
    """Counts what is compared and writes down what differs; each comparison returns whether it held."""

    def __init__(self):
        self.count, self.failures = 0, []

    def _add(self, held, failure):
        self.count += 1
        if not held:
            self.failures.append(failure)
        return held

    def equal(self, what, got, expected):
        return self._add(got == expected, f"{what} is {got}; expected {expected}")

    def alike(self, what, got, expected):
        """An ndarray of the other's shape and dtype."""
        if not isinstance(got, np.ndarray):
            return self._add(False, f"{what} is a {type(got).__name__}; expected an ndarray")
        text = f"{what} has shape {got.shape} and dtype {got.dtype}; expected {expected.shape} and {expected.dtype}"
        return self._add((got.shape, got.dtype) == (expected.shape, expected.dtype), text)

    def same(self, what, got, expected):
        """The same bits."""
        if not self.alike(what, got, expected):
            return False
        bits = f"u{got.itemsize}"
        differ = np.ascontiguousarray(got).view(bits) != np.ascontiguousarray(expected).view(bits)
        return self._add(not differ.any(), f"{what}: {differ.sum()} of {differ.size} elements do not have the same bits")

    def near(self, what, got, expected, bound):
        """No entry further off than the bound, which is positive: an expectation of zeros alone would test nothing."""
        error = np.abs(float64(got) - float64(expected)).max(initial=0.0)
        text = f"{what}: an entry is off by {error:.2g}; round-off explains {bound:.2g}"
        return self._add(0 < bound < np.inf and error <= bound, text if bound else f"{what}: all entries are 0")


def _unit_vectors(a):
    for i in range(a.size):
        e = np.zeros(a.shape, a.dtype)
        e.flat[i] = 1
        yield e
