"""The derivative of a layer at a point: its Jacobian as products with vectors, as an operator, and as a matrix."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from .. import _check
from .._fixed import Settled
from .._kernels.calls import Calls, settings

MATRIX_BYTES = 1 << 31  # of an explicit Jacobian, at most
INDEX_BYTES = 4  # of each entry of a sparse matrix


class Jacobian:
    """The derivative of a layer at x, by each of its variables: "x" and its parameters.

    x, y : the point and the layer's value there; with the parameters they must stay as they are while the Jacobian is in use.
    Vectors are arrays of their variable's shape; flat forms are in C order.
    """

    layer, x, y, kept = (Settled("linearize at another point: layer.linearize(x)") for _ in range(4))

    def __init__(self, layer, x, y, kept):
        vars(self).update(layer=layer, x=x, y=y, kept=kept)

    @property
    def variables(self):
        """The names that mv, tmv, operator and matrix know."""
        return self.layer.variables

    def shape_of(self, name):
        """The shape of a variable."""
        if name == "x":
            return self.x.shape
        if not isinstance(name, str) or name not in self.layer.params:
            raise ValueError(f"there is no variable {_check.shown(name)}; expected one of {', '.join(self.variables)}")
        return self.layer.params[name].shape

    def mv(self, *, out=None, **directions):
        """JacMV: J times the directions, each of its variable's shape; their sum, of y's shape and dtype."""
        return self._mv(self.plain_directions(directions), out)

    def tmv(self, v, wrt=None, *, out=None):
        """JacTMV: {variable: J' v} for the variables wrt (a name or several, by default all). v has y's shape.

        out : {variable: array} to fill, of their shapes and y's dtype; with it, wrt is by default its names.
        """
        if wrt is None:
            wrt = self.layer.variables if out is None else out
        wrt = _check.names(wrt, "wrt")
        out = {} if out is None else out
        if not isinstance(out, Mapping):
            raise TypeError(f"out is a {type(out).__name__}; expected a dict of arrays by variable")
        for name in out:
            self.shape_of(name)
        for name in wrt:
            shape = self.shape_of(name)
            if name in out:
                _check.output(out[name], shape, self.y.dtype, f"out[{name!r}]")
        return self._tmv(self.plain(v, "v", self.y.shape), wrt, out)

    def hessian_mv(self, v, wrt=None, **directions):
        """The derivative of ``tmv(v, wrt)`` along the directions of x and parameters: {variable: array}, the Hessian of <v, f> by
        all variables times the directions, for the variables wrt.

        Exact for the layers of fastlec (Pearlmutter 1994, "Fast exact multiplication by the Hessian"); of a layer of one's own by
        its method ``hessian_mv(kept, v, directions, wrt)`` or, where it has none, by central differences of tmv, which are good to
        about two thirds of the dtype's digits.
        """
        wrt = self.layer.variables if wrt is None else _check.names(wrt, "wrt")
        for name in wrt:
            self.shape_of(name)
        return self._hessian_mv(self.plain(v, "v", self.y.shape), tuple(dict.fromkeys(wrt)), self.plain_directions(directions))

    def _hessian_mv(self, v, wrt, directions):
        directions = self.by_variable(directions)
        own = getattr(self.layer, "hessian_mv", None)
        if own is None:
            return differences(self, v, wrt, directions)
        return self._checked("hessian_mv", own(self.kept, v, directions, wrt), wrt)

    def plain_directions(self, directions):
        """The directions, checked, as the kernels take them."""
        if not directions:
            raise ValueError(f"no direction is given; expected one or more of {', '.join(self.variables)}")
        return {name: self.plain(a, name, self.shape_of(name)) for name, a in directions.items()}

    def by_variable(self, arrays):
        """{variable of the layer: array} for arrays by the names that mv and tmv know."""
        return arrays

    def are_apart(self, names):
        """Whether these variables have no numbers in common."""
        return True

    def _mv(self, directions, out):
        found = self.layer.mv(self.kept, self.by_variable(directions))
        dy = own_result(self.layer, "mv", found, self.y.shape, self.y.dtype)
        return _check.through(out, dy)

    def _tmv(self, v, wrt, out):
        result = self._checked("tmv", self.layer.tmv(self.kept, v, wrt), wrt)
        return {name: _check.fill(out.get(name), a) for name, a in result.items()}

    def _checked(self, method, found, wrt):
        """What a method of a user's layer gave by the variables wrt."""
        what = f"{type(self.layer).__name__}.{method}"
        if not isinstance(found, Mapping):
            raise TypeError(f"{what} gave a {type(found).__name__}; expected a dict of arrays by variable")
        for name in wrt:
            if name not in found:
                raise ValueError(f"{what} gave nothing for {name!r}; expected arrays for {', '.join(wrt)}")
        return {
            name: own_result(self.layer, f"{method} by {name!r}", found[name], self.shape_of(name), self.y.dtype) for name in wrt
        }

    def operator(self, name):
        """J by one variable as a scipy.sparse.linalg.LinearOperator, (y.size, variable's size)."""
        from scipy.sparse.linalg import LinearOperator

        shape = self.shape_of(name)
        return LinearOperator(
            (self.y.size, int(np.prod(shape))),
            matvec=lambda u: self.mv(**{name: np.reshape(u, shape)}).ravel(),
            rmatvec=lambda u: self.tmv(np.reshape(u, self.y.shape), (name,))[name].ravel(),
            dtype=self.y.dtype,
        )

    def matrix(self, name):
        """J by one variable, explicit: (y.size, variable's size), both raveled in C order. Of layers that convolve it is a
        scipy.sparse array. MemoryError above 2 GiB."""
        shape, size = self.check_matrix(name)
        matrix = self.layer.explicit(self.kept, name)
        if matrix is not None:
            return matrix
        matrix = np.empty((self.y.size, size), self.y.dtype)
        unit = np.zeros(shape, self.y.dtype)
        for i in range(size):
            unit.flat[i] = 1
            matrix[:, i] = self.mv(**{name: unit}).ravel()
            unit.flat[i] = 0
        return matrix

    def check_matrix(self, name):
        """(shape, size) of a variable. MemoryError where the matrix would be larger than 2 GiB."""
        shape = self.shape_of(name)
        size = int(np.prod(shape))
        stored = self.layer.nonzeros(self.kept, name)
        if stored is None:
            n_bytes = self.y.size * size * self.y.itemsize
        else:
            n_bytes = stored * (self.y.itemsize + INDEX_BYTES)
        if n_bytes > MATRIX_BYTES:
            raise MemoryError(f"the Jacobian by {name!r} is larger than 2 GiB; use mv, tmv or operator")
        return shape, size

    def plain(self, a, name, shape):
        a = _check.shape(_check.as_array(a, name), name, shape)
        _check.float_dtype(a.dtype, name)
        return _check.plain(a, self.y.dtype, name)


class Point(NamedTuple):
    """Where a planned layer is linearized: the layer with copies of its parameters and buffers, copies of x, y and what the forward
    pass kept, and the plans of products. What is changed elsewhere later changes nothing here."""

    layer: object
    x: np.ndarray
    y: np.ndarray
    kept: object
    calls: Calls


class Held:
    """A plan that is given back to where it was kept when nobody uses it any more, for the next point of the same shape."""

    __slots__ = ("_calls", "_plan")

    def __init__(self, calls, plan):
        self._calls, self._plan = calls, plan

    def __del__(self):
        self._calls.give(self._plan)


class PlannedJacobian(Jacobian):
    """The Jacobian of a planned layer: one list of jobs for all the variables that are asked for, kept for the next call."""

    def __init__(self, layer, x, y, kept):
        super().__init__(layer, x, y, kept)
        self._calls, self._y = Calls(), y

    def mv(self, *, out=None, **directions):
        found = self._calls.call(("mv", tuple(directions), settings()), directions.values(), (out,))
        return super().mv(out=out, **directions) if found is None else found[0]

    def tmv(self, v, wrt=None, *, out=None):
        if out is None:
            wrt = self.layer.variables if wrt is None else _check.names(wrt, "wrt")
            found = self._calls.call(("tmv", wrt, settings()), (v,))
            if found is not None:
                return dict(zip(wrt, found, strict=True))
        return super().tmv(v, wrt, out=out)

    mv.__doc__, tmv.__doc__ = Jacobian.mv.__doc__, Jacobian.tmv.__doc__

    def _mv(self, directions, out):
        if "mv" in self.layer._overridden:
            return super()._mv(directions, out)
        if len(directions) > 1:  # some of them may be of one variable, and add up
            directions = self.by_variable(directions)
        if out is not None:
            _check.output(out, self.y.shape, self.y.dtype)

        def add(plan, *slots):
            *given, dy = slots
            self.layer.plan_mv(plan, self.kept, self.by_variable(dict(zip(directions, given, strict=True))), dy)

        key = "mv", tuple(directions), settings()
        return self._calls.results(key, self.y.dtype.num, tuple(directions.values()), (self.y.shape,), (out,), add)[0]

    def _tmv(self, v, wrt, out):
        if "tmv" in self.layer._overridden:
            return super()._tmv(v, wrt, out)
        names = tuple(dict.fromkeys(wrt))

        def add(plan, v, *slots):
            results = self.by_variable(dict(zip(names, slots, strict=True)))
            self.layer.plan_backward(plan, self._y, self.kept, v, results)

        shapes, outs = map(self.shape_of, names), [out.get(name) for name in names]
        found = self._calls.results(("tmv", names, settings()), self.y.dtype.num, (v,), shapes, outs, add)
        return dict(zip(names, found, strict=True))

    def _hessian_mv(self, v, wrt, directions):
        if not self.layer.plans_second:
            return differences(self, v, wrt, self.by_variable(directions))
        if not self.are_apart(wrt):
            return {name: self._hessian_mv(v, (name,), directions)[name] for name in wrt}
        given = self.by_variable(directions) if len(directions) > 1 else directions  # which add up where they are of one variable

        def add(plan, v, *slots):
            along = self.by_variable(dict(zip(given, slots[: len(given)], strict=True)))
            results = self.by_variable(dict(zip(wrt, slots[len(given) :], strict=True)))
            dy, zeros = plan.empty(*v.shape), plan.empty(*v.shape)
            zeros[...] = 0
            tangent = self.layer.plan_tangent(plan, self.kept, along, dy)
            adjoint = self.layer.plan_adjoint(plan, self._y, self.kept, v, {}, tuple(results))
            self.layer.plan_curved(plan, self._y, self.kept, adjoint, tangent, zeros, results)

        shapes, key = map(self.shape_of, wrt), ("hessian", tuple(given), wrt, settings())
        found = self._calls.results(key, self.y.dtype.num, (v, *given.values()), shapes, [None] * len(wrt), add)
        return dict(zip(wrt, found, strict=True))


def differences(jac, v, wrt, directions):
    """`Jacobian.hessian_mv` by central differences of tmv, between points whose distance balances rounding and curvature."""
    points = {name: jac.x if name == "x" else jac.layer.params[name] for name in directions}
    largest = max((float(np.abs(d).max(initial=0)) for d in directions.values()), default=0)
    size = max((float(np.abs(a).max(initial=0)) for a in points.values()), default=0)
    if not largest:
        return {name: np.zeros(jac.shape_of(name), jac.y.dtype) for name in wrt}
    step = jac.y.dtype.type(np.finfo(jac.y.dtype).eps ** (1 / 3) * max(size, 1) / largest)
    ends = []
    for side in (step, -step):
        moved = {name: points[name] + side * d for name, d in directions.items()}
        x, params = moved.pop("x", jac.x), {**jac.layer.params, **moved}
        layer = jac.layer.with_params(params) if moved else jac.layer
        y, kept = layer._evaluated(np.ascontiguousarray(x))
        ends.append(layer.jacobian(x, y, kept).tmv(v, wrt))
    return {name: (ends[0][name] - ends[1][name]) / (2 * step) for name in wrt}


def own_result(layer, method, array, shape, dtype, why=""):
    """What a method of a user's layer gave. TypeError or ValueError, which name it, if it has not this shape and dtype."""
    what = f"{type(layer).__name__}.{method}"
    if not isinstance(array, np.ndarray | np.generic) or _check.is_masked(array):
        raise TypeError(f"{what} gave a {type(array).__name__}; expected an array")
    if array.shape != shape:
        raise ValueError(f"{what} gave shape {array.shape}; expected {shape}{why}")
    if array.dtype != dtype:
        raise TypeError(f"{what} gave dtype {array.dtype}; expected {dtype}")
    return np.asarray(array)
