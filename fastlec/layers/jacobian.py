"""The derivative of a layer at a point: its Jacobian as products with vectors, as an operator, and as a matrix."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .. import _check
from .._fixed import Settled
from .._kernels.calls import Calls, key_of, settings
from .._kernels.plan import Plan
from .._typing import ArrayLike, FloatArray, NDArray, Shape
from . import _factors as factors
from ._samples import Call, Gradients, Kept, Norms

if TYPE_CHECKING:
    from scipy.sparse import bsr_array, csr_array
    from scipy.sparse.linalg import LinearOperator

    from .base import Layer

MATRIX_BYTES = 1 << 31  # of an explicit Jacobian, at most
MANY_BYTES = 1 << 24  # of a layer's values for the directions that are planned together
MOST_DIRECTIONS = 64  # of those
SHOWN = 5  # variables that a repr names
INDEX_BYTES = 4  # of each entry of a sparse matrix
_ELSEWHERE = "linearize at another point: layer.linearize(x)"


class Jacobian:
    """The derivative J of a layer at x, by "x" and by each parameter (lecture section 4.1): ``layer.linearize(x)`` gives it.

    Vectors are arrays of the shape of their variable. Flat forms are in C order. Where J stands for several variables, it is the
    Jacobians by each of them side by side.

    Parameters
    ----------
    layer : Layer
        The layer, with the parameters at which J is.
    x : ndarray, shape (m, ...)
        The point.
    y : ndarray, shape (m, ...)
        The value of the layer there.
    kept : object
        What the layer kept of x for its derivative.

    Attributes
    ----------
    layer, x, y, kept
        As above. They cannot be assigned, and must stay as they are while J is in use.

    See Also
    --------
    Layer.linearize, fastlec.testing.check_layer

    Examples
    --------
    For all u and v, <u, J v> = <J' u, v>:

    >>> import numpy as np
    >>> import fastlec
    >>> layer = fastlec.Dense(3, 2, rng=0)
    >>> y, jac = layer.linearize([[1.0, 2.0, 3.0]])
    >>> jac
    <Jacobian of Dense: y (1, 2) by x (1, 3), W (2, 3), b (2,)>
    >>> u, v = np.array([[1.0, -1.0]]), np.array([[0.5, 0.0, 2.0]])
    >>> bool(np.isclose((u * jac.mv(x=v)).sum(), (jac.tmv(u)["x"] * v).sum()))
    True
    >>> jac.operator("W").shape, jac.matrix("b").shape
    ((2, 6), (2, 2))
    """

    layer: Settled[Layer] = Settled(_ELSEWHERE)
    x: Settled[FloatArray] = Settled(_ELSEWHERE)
    y: Settled[FloatArray] = Settled(_ELSEWHERE)
    kept: Settled[Any] = Settled(_ELSEWHERE)

    def __init__(self, layer: Layer, x: FloatArray, y: FloatArray, kept: Any) -> None:
        vars(self).update(layer=layer, x=x, y=y, kept=kept)

    def __repr__(self) -> str:
        names = self.layer.variables
        by = ", ".join(f"{name} {self.shape_of(name)}" for name in names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
        return f"<Jacobian of {type(self.layer).__name__}: y {self.y.shape} by {by}>"

    @property
    def variables(self) -> tuple[str, ...]:
        """The names that the methods know."""
        return self.layer.variables

    def shape_of(self, name: str) -> tuple[int, ...]:
        """Return the shape of a variable.

        Parameters
        ----------
        name : str
            The variable.

        Returns
        -------
        tuple of int
            Its shape.

        Raises
        ------
        ValueError
            If there is no such variable.
        """
        if name == "x":
            return self.x.shape
        if not isinstance(name, str) or name not in self.layer.params:
            raise ValueError(f"there is no variable {_check.shown(name)}; expected one of {', '.join(self.variables)}")
        return self.layer.params[name].shape

    def mv(self, *, out: FloatArray | None = None, **directions: ArrayLike) -> FloatArray:
        """Compute JacMV: J times directions (lecture eq. 33).

        Parameters
        ----------
        out : ndarray, optional
            The array to fill, of the shape and dtype of y. By default it is a new one.
        **directions : array_like
            A direction for each variable to be moved, of its shape: ``jac.mv(x=dx, W=dW)``.

        Returns
        -------
        ndarray, shape (m, ...)
            J times the directions: their sum, of the shape and dtype of y.

        Raises
        ------
        ValueError
            If no direction is given, there is no such variable, or a shape is another one.
        """
        return self._mv(self._plain_directions(directions), out)

    def tmv(
        self,
        v: ArrayLike,
        wrt: str | Iterable[str] | None = None,
        *,
        out: dict[str, FloatArray] | None = None,
        per_sample: bool = False,
    ) -> dict[str, FloatArray]:
        """Compute JacTMV: J' v, which back-propagation is made of (lecture eq. 28 to 30).

        Parameters
        ----------
        v : array_like, shape (m, ...)
            An array of the shape of y.
        wrt : str or iterable of str, optional
            The variables, by default all, or those in out.
        out : dict of arrays, optional
            The arrays to fill by variable, of its shape and the dtype of y. By default they are new ones.
        per_sample : bool, default False
            Whether to give J' v for each sample alone, of which J' v by a parameter is the sum. wrt are then parameters, by default
            all.

        Returns
        -------
        dict of arrays
            J' v for each variable in wrt, of its shape; per sample with an axis of length m in front.

        Raises
        ------
        ValueError
            If there is no such variable, a shape is another one, or samples depend on each other where they are asked for one by
            one, as in the training form of batch normalisation.
        """
        if per_sample:
            if out is not None:
                raise ValueError("out is given; expected None with per_sample=True")
            return self._per_sample(self._plain(v, "v", self.y.shape), self._parameters(wrt))
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
        return self._tmv(self._plain(v, "v", self.y.shape), wrt, out)

    def _parameters(self, wrt):
        """Names of parameters, whose derivatives by single samples are asked for."""
        wrt = tuple(self.layer.params) if wrt is None else _check.names(wrt, "wrt")
        for name in wrt:
            self.shape_of(name)
        if "x" in wrt:
            raise ValueError("wrt has 'x'; expected parameters, for J' v by x belongs to single samples already")
        self._check_uncoupled("derivatives by single samples")
        return tuple(dict.fromkeys(wrt))

    def _check_uncoupled(self, what):
        if self.layer.couples_samples:
            raise ValueError(
                f"samples of y depend on several samples of x, so there are no {what}; take net(x)'s form, not that in training"
            )

    def _per_sample(self, v, wrt):
        found = {name: np.empty((len(v), *self.shape_of(name)), self.y.dtype) for name in wrt}
        for i in range(len(v)):
            jac = self.layer.linearize(self.x[i : i + 1])[1]
            for name, a in jac.tmv(v[i : i + 1], wrt).items():
                found[name][i] = a
        return found

    def sample_norms(self, v: ArrayLike, wrt: str | Iterable[str] | None = None) -> NDArray[np.float64]:
        """Squared norms of the gradients of the samples, one for each, without the gradients.

        Of dense layers they are ``|g_i|^2 |x_i|^2`` (Goodfellow 2015, "Efficient per-example gradient computations").

        Parameters
        ----------
        v : array_like, shape (m, ...)
            An array of the shape of y.
        wrt : str or iterable of str, optional
            The parameters, by default all.

        Returns
        -------
        ndarray of float64, shape (m,)
            The squared norms of ``tmv(v, wrt, per_sample=True)``, all parameters wrt together.

        Raises
        ------
        ValueError
            If samples depend on each other.
        """
        return self._sample_norms(self._plain(v, "v", self.y.shape), self._parameters(wrt))

    def _sample_norms(self, v, wrt):
        found = self._per_sample(v, wrt)
        squares = (np.square(a, dtype=np.float64).sum(axis=tuple(range(1, a.ndim))) for a in found.values())
        return sum(squares, np.zeros(len(v)))

    def gram(self, wrt: str | Iterable[str] | None = None) -> NDArray[np.float64]:
        """Compute the Gram matrix J J' by the parameters, without J: the neural tangent kernel.

        It is a sum over layers of products of smaller Gram matrices (Novak, Sohl-Dickstein and Schoenholz 2022, "Fast finite width
        neural tangent kernel", section 3.2).

        Parameters
        ----------
        wrt : str or iterable of str, optional
            The parameters, by default all.

        Returns
        -------
        ndarray of float64, shape (m q, m q)
            J J'. Rows and columns are the m samples and their q outputs, in C order.

        Raises
        ------
        ValueError
            If samples depend on each other.
        """
        wrt, m, q = self._parameters(wrt), len(self.y), math.prod(self.y.shape[1:])
        return factors.gram(self._factors(self._units(), wrt), m, q)

    def _units(self):
        """(q, *y.shape): for each output, a 1 there in all samples."""
        q = math.prod(self.y.shape[1:])
        return units(range(q), q, self.y)

    def _factors(self, V, wrt):
        """The Jacobian of <v, y> of each sample for each of V (q, *y.shape) as `_factors.Factor`s."""
        if not self._are_apart(wrt):
            raise ValueError(f"wrt has names of the same parameters: {', '.join(wrt)}; expected each once")
        shapes = self._shapes_of(wrt)
        return factors.from_calls(self._calls_of(V, shapes), shapes) if V.size and shapes else []

    def _shapes_of(self, wrt):
        """{name: shape} of parameters, single ones where there are names for several."""
        return {name: a.shape for name, a in self._by_variable({name: np.empty(self.shape_of(name)) for name in wrt}).items()}

    def _calls_of(self, V, shapes):
        """For each vector what `_samples.Kept` would hold."""
        found = []
        for v in V:
            gradients = self._per_sample(v, tuple(shapes))
            found.append([Call(name, a.reshape(len(v), -1), None) for name, a in gradients.items()])
        return found

    def mv_many(self, **directions: ArrayLike) -> FloatArray:
        """Compute J times several directions in one pass.

        Parameters
        ----------
        **directions : array_like, shape (k, ...)
            For each variable to be moved, k directions of its shape.

        Returns
        -------
        ndarray, shape (k, m, ...)
            For each of the k, the sum over the variables, as by `mv`.

        Raises
        ------
        ValueError
            If no direction is given, there is no such variable, or shapes are other ones.
        """
        if not directions:
            raise ValueError(f"no direction is given; expected one or more of {', '.join(self.variables)}")
        directions = {name: self._plain_many(a, name, self.shape_of(name)) for name, a in directions.items()}
        lengths = {len(a) for a in directions.values()}
        if len(lengths) > 1:
            raise ValueError(f"directions have {sorted(lengths)} rows; expected one number of them")
        return self._mv_many(directions, *lengths)

    def _mv_many(self, directions, k):
        found = np.empty((k, *self.y.shape), self.y.dtype)
        for i, out in enumerate(found):
            out[...] = self._mv({name: a[i] for name, a in directions.items()}, None)
        return found

    def tmv_many(self, V: ArrayLike, wrt: str | Iterable[str] | None = None) -> dict[str, FloatArray]:
        """Compute J' times several vectors in one pass.

        Parameters
        ----------
        V : array_like, shape (k, m, ...)
            Several arrays of the shape of y, k of them.
        wrt : str or iterable of str, optional
            The variables, by default all.

        Returns
        -------
        dict of arrays
            For each variable in wrt k arrays of its shape, in one.
        """
        wrt = self.layer.variables if wrt is None else _check.names(wrt, "wrt")
        for name in wrt:
            self.shape_of(name)
        return self._tmv_many(self._plain_many(V, "V", self.y.shape), tuple(dict.fromkeys(wrt)))

    def _tmv_many(self, V, wrt):
        found = {name: np.empty((len(V), *self.shape_of(name)), self.y.dtype) for name in wrt}
        for i, v in enumerate(V):
            for name, a in self._tmv(v, wrt, {}).items():
                found[name][i] = a
        return found

    def _plain_many(self, a, name, shape):
        a = _check.as_array(a, name)
        if a.ndim != len(shape) + 1 or a.shape[1:] != tuple(shape):
            raise ValueError(f"{name} has shape {a.shape}; expected (k, {', '.join(map(str, shape))}), k directions")
        _check.float_dtype(a.dtype, name)
        return _check.plain(a, self.y.dtype, name)

    def blocks(self, name: str = "x") -> FloatArray:
        """Compute the Jacobian of each sample of y by its own sample of x, or by a parameter.

        Parameters
        ----------
        name : str, default "x"
            The variable.

        Returns
        -------
        ndarray, shape (m, outputs, inputs)
            The Jacobians, whose rows and columns are numbers of a sample in C order; by a parameter inputs is its size.

        Raises
        ------
        ValueError
            If samples depend on each other.
        MemoryError
            If the result is larger than 2 GiB.
        """
        shape, m = self.shape_of(name), len(self.y)
        self._check_uncoupled("blocks of the Jacobian")
        outputs, inputs = math.prod(self.y.shape[1:]), math.prod(shape[1:] if name == "x" else shape)
        if m * outputs * inputs * self.y.itemsize > MATRIX_BYTES:
            raise MemoryError(f"the Jacobians by {name!r} of {m} samples are larger than 2 GiB; use mv, tmv or operator")
        if name != "x":
            return self._parameter_blocks(name, outputs, inputs)
        if inputs < outputs:
            return self._of_units("mv", inputs).reshape(inputs, m, outputs).transpose(1, 2, 0)
        return self._of_units("tmv", outputs).reshape(outputs, m, inputs).swapaxes(0, 1)

    def _of_units(self, method, n):
        """`mv_many` or `tmv_many` by x of unit vectors, one for each of the n numbers of a sample of x or y."""
        if method == "mv":
            return self._mv_many({"x": units(range(n), n, self.x)}, n)
        return self._tmv_many(units(range(n), n, self.y), ("x",))["x"]

    def _parameter_blocks(self, name, outputs, inputs):
        found = np.empty((len(self.y), outputs, inputs), self.y.dtype)
        for j in range(outputs):
            unit = np.zeros(self.y.shape, self.y.dtype)
            unit.reshape(len(unit), outputs)[:, j] = 1
            found[:, j] = self._per_sample(unit, (name,))[name].reshape(len(unit), inputs)
        return found

    def hessian_mv(
        self, v: ArrayLike, wrt: str | Iterable[str] | None = None, **directions: ArrayLike
    ) -> dict[str, FloatArray]:
        """Compute the Hessian of <v, f> times directions: the derivative of ``tmv(v, wrt)`` along them.

        It is exact for the layers of fastlec (Pearlmutter 1994, "Fast exact multiplication by the Hessian"). For a layer of your
        own it is what its method ``hessian_mv(kept, v, directions, wrt)`` gives or, without one, central differences of tmv, which
        are good to about two thirds of the dtype's digits.

        Parameters
        ----------
        v : array_like, shape (m, ...)
            An array of the shape of y.
        wrt : str or iterable of str, optional
            The variables of the result, by default all.
        **directions : array_like
            A direction for each variable to be moved, of its shape.

        Returns
        -------
        dict of arrays
            The product for each variable in wrt, of its shape.
        """
        wrt = self.layer.variables if wrt is None else _check.names(wrt, "wrt")
        for name in wrt:
            self.shape_of(name)
        return self._hessian_mv(
            self._plain(v, "v", self.y.shape), tuple(dict.fromkeys(wrt)), self._plain_directions(directions)
        )

    def _hessian_mv(self, v, wrt, directions):
        directions = self._by_variable(directions)
        own = getattr(self.layer, "hessian_mv", None)
        if own is None:
            return differences(self, v, wrt, directions)
        return self._checked("hessian_mv", own(self.kept, v, directions, wrt), wrt)

    def _plain_directions(self, directions):
        """The directions, checked, as the kernels take them."""
        if not directions:
            raise ValueError(f"no direction is given; expected one or more of {', '.join(self.variables)}")
        return {name: self._plain(a, name, self.shape_of(name)) for name, a in directions.items()}

    def _by_variable(self, arrays):
        """{variable of the layer: array} for arrays by the names that mv and tmv know."""
        return arrays

    def _by_variable_many(self, arrays):
        """`_by_variable` of arrays (k, ...), for each of k directions or samples."""
        return arrays

    def _are_apart(self, names):
        """Whether these variables have no numbers in common."""
        return True

    def _mv(self, directions, out):
        found = self.layer.mv(self.kept, self._by_variable(directions))
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
            name: own_result(self.layer, f"{method} by {name!r}", found[name], self.shape_of(name), self.y.dtype)
            for name in wrt
        }

    def operator(self, name: str | Iterable[str]) -> LinearOperator[Any]:
        """Return J by one variable, or by several together, as an operator of SciPy.

        Parameters
        ----------
        name : str or iterable of str
            The variable, or several such as ("0.W", "2.b"): the vectors are then those of the variables, one after the other.

        Returns
        -------
        scipy.sparse.linalg.LinearOperator, shape (y.size, size)
            The operator. Matrices are multiplied in one pass: ``operator @ V``, ``operator.T @ U``.

        Raises
        ------
        ValueError
            If there is no such variable.
        """
        from .._operator import Operator

        names = _check.names(name, "name")
        if not names:
            raise ValueError(f"name is empty; expected one or more of {', '.join(self.variables)}")
        shapes = {name: tuple(self.shape_of(name)) for name in names}
        sizes = [math.prod(shape) for shape in shapes.values()]
        ends = np.cumsum(sizes)

        def split(V):
            """{name: the part of the rows of V}."""
            return {
                name: V[..., end - size : end].reshape((*V.shape[:-1], *shape))
                for (name, shape), size, end in zip(shapes.items(), sizes, ends, strict=True)
            }

        def joined(found, k):
            parts = [found[name].reshape(*k, size) for name, size in zip(shapes, sizes, strict=True)]
            return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-1)

        return Operator(
            (self.y.size, int(sum(sizes))),
            self.y.dtype,
            lambda v: self.mv(**split(v)),
            lambda u: joined(self.tmv(u.reshape(self.y.shape), tuple(shapes)), ()),
            lambda V: self.mv_many(**split(V)),
            lambda U: joined(self.tmv_many(U.reshape(len(U), *self.y.shape), tuple(shapes)), (len(U),)),
            name=f"Jacobian of {type(self.layer).__name__} by {', '.join(shapes)}",
        )

    def matrix(self, name: str) -> FloatArray | csr_array[Any, Any] | bsr_array[Any]:
        """Return J by one variable as an explicit matrix, by the lecture's Kronecker formulas (lecture eq. 36).

        Parameters
        ----------
        name : str
            The variable.

        Returns
        -------
        ndarray or sparse array of SciPy, shape (y.size, size)
            The matrix. Rows and columns are in C order. Of layers that convolve or pool, and of networks by x, it is sparse.

        Raises
        ------
        ValueError
            If there is no such variable.
        MemoryError
            If the matrix is larger than 2 GiB.
        """
        shape, size = self._check_matrix(name)
        matrix = self.layer._explicit(self.kept, name)
        if matrix is not None:
            return matrix
        matrix = np.empty((self.y.size, size), self.y.dtype)
        unit = np.zeros(shape, self.y.dtype)
        for i in range(size):
            unit.flat[i] = 1
            matrix[:, i] = self.mv(**{name: unit}).ravel()
            unit.flat[i] = 0
        return matrix

    def _check_matrix(self, name):
        """(shape, size) of a variable. MemoryError where the matrix would be larger than 2 GiB."""
        shape = self.shape_of(name)
        size = int(np.prod(shape))
        stored = self.layer._nonzeros(self.kept, name)
        if stored is None:
            n_bytes = self.y.size * size * self.y.itemsize
        else:
            n_bytes = stored * (self.y.itemsize + INDEX_BYTES)
        if n_bytes > MATRIX_BYTES:
            raise MemoryError(f"the Jacobian by {name!r} is larger than 2 GiB; use mv, tmv or operator")
        return shape, size

    def _plain(self, a, name, shape):
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
    n_bytes: int  # `value_bytes`


class Held:
    """A plan that is given back to where it was kept when nobody uses it any more, for the next point of the same shape."""

    __slots__ = ("_calls", "_plan")

    def __init__(self, calls: Calls, plan: Plan) -> None:
        self._calls, self._plan = calls, plan

    def __del__(self) -> None:
        self._calls.give(self._plan)

    def __reduce__(self) -> tuple[Any, ...]:  # copies and pickles have arrays of their own, and hold no plan
        return type(None), ()


def units(which: range, n: int, like: FloatArray, plan: Plan | None = None) -> FloatArray:
    """(len(which), *like.shape): for each of these numbers of a sample, of n, a 1 there in all samples. plan: in which it lives."""
    shape = len(which), len(like), n
    found = np.zeros(shape, like.dtype) if plan is None else plan.empty(*shape)
    found[...] = np.eye(n, dtype=like.dtype)[which, None]
    return found.reshape(len(which), *like.shape)


def value_bytes(layer: Layer, x: FloatArray) -> int:
    """The bytes of a layer's values for samples x."""
    return len(x) * layer._kept_values(x.shape[1:]) * x.itemsize


def chunks(k: int, n_bytes: int) -> list[slice]:
    """Slices of k directions that are planned together, few enough for memory and caches: one takes about n_bytes."""
    size = min(max(MANY_BYTES // max(n_bytes, 1), 1), MOST_DIRECTIONS)
    size = math.ceil(k / math.ceil(k / size)) if k else size  # all about as many
    return [slice(i, min(i + size, k)) for i in range(0, k, size)]


class PlannedJacobian(Jacobian):
    """The Jacobian of a planned layer: one list of jobs for all the variables that are asked for, kept for the next call."""

    def __init__(self, layer: Layer, x: FloatArray, y: FloatArray, kept: Any) -> None:
        super().__init__(layer, x, y, kept)
        self._calls, self._y, self._n_bytes = Calls(), y, None

    def mv(self, *, out: FloatArray | None = None, **directions: ArrayLike) -> FloatArray:
        found = self._calls.call(("mv", tuple(directions), settings()), directions.values(), (out,))
        return super().mv(out=out, **directions) if found is None else found[0]

    def tmv(
        self,
        v: ArrayLike,
        wrt: str | Iterable[str] | None = None,
        *,
        out: dict[str, FloatArray] | None = None,
        per_sample: bool = False,
    ) -> dict[str, FloatArray]:
        if out is None and not per_sample:
            wrt = self.layer.variables if wrt is None else _check.names(wrt, "wrt")
            found = self._calls.call(("tmv", wrt, settings()), (v,))
            if found is not None:
                return dict(zip(wrt, found, strict=True))
        return super().tmv(v, wrt, out=out, per_sample=per_sample)

    mv.__doc__, tmv.__doc__ = Jacobian.mv.__doc__, Jacobian.tmv.__doc__

    def _mv(self, directions, out):
        if "mv" in self.layer._overridden:
            return super()._mv(directions, out)
        if len(directions) > 1:  # some of them may be of one variable, and add up
            directions = self._by_variable(directions)
        if out is not None:
            _check.output(out, self.y.shape, self.y.dtype)

        def add(plan, *slots):
            *given, dy = slots
            self.layer._plan_mv(plan, self.kept, self._by_variable(dict(zip(directions, given, strict=True))), dy)

        key = "mv", tuple(directions), settings()
        return self._calls.results(key, self.y.dtype.num, tuple(directions.values()), (self.y.shape,), (out,), add)[0]

    def _tmv(self, v, wrt, out):
        if "tmv" in self.layer._overridden:
            return super()._tmv(v, wrt, out)
        names = tuple(dict.fromkeys(wrt))

        def add(plan, v, *slots):
            results = self._by_variable(dict(zip(names, slots, strict=True)))
            self.layer._plan_backward(plan, self._y, self.kept, v, results)

        shapes, outs = map(self.shape_of, names), [out.get(name) for name in names]
        found = self._calls.results(("tmv", names, settings()), self.y.dtype.num, (v,), shapes, outs, add)
        return dict(zip(names, found, strict=True))

    def _mv_many(self, directions, k):
        if "mv" in self.layer._overridden:
            return super()._mv_many(directions, k)
        if len(directions) > 1:  # some of them may be of one variable, and add up
            directions = {name: np.ascontiguousarray(a) for name, a in self._by_variable_many(directions).items()}
        found = Plan(self.y.dtype.num).empty(k, *self.y.shape)

        def add(plan, *slots):
            *given, dy = slots
            self.layer._plan_mv_many(plan, self.kept, self._by_variable_many(dict(zip(directions, given, strict=True))), dy)

        for part in self._chunks(k):
            given = tuple(a[part] for a in directions.values())
            out = found[part]
            key = key_of(("mv_many", *directions), given, ())
            self._calls.results(key, self.y.dtype.num, given, (out.shape,), (out,), add)
        return found

    def _tmv_many(self, V, wrt):
        if "tmv" in self.layer._overridden:
            return super()._tmv_many(V, wrt)
        if not self._are_apart(wrt):
            return {name: self._tmv_many(V, (name,))[name] for name in wrt}
        found = {name: Plan(V.dtype.num).empty(len(V), *self.shape_of(name)) for name in wrt}

        def add(plan, V, *slots):
            results = self._by_variable_many(dict(zip(wrt, slots, strict=True)))
            self.layer._plan_backward_many(plan, self._y, self.kept, V, results)

        for part in self._chunks(len(V)):
            outs = [a[part] for a in found.values()]
            key = key_of(("tmv_many", *wrt), (V[part],), ())
            self._calls.results(key, V.dtype.num, (V[part],), [a.shape for a in outs], outs, add)
        return found

    def _of_units(self, method, n):
        if method in self.layer._overridden:
            return super()._of_units(method, n)
        found = self._calls.call(("units", method, 0, n, settings()), ())
        if found is not None:
            return found[0]
        found = Plan(self.y.dtype.num).empty(n, *(self.y if method == "mv" else self.x).shape)
        for part in self._chunks(n):

            def add(plan, out, which=range(n)[part]):  # the vectors are the plan's
                if method == "mv":
                    self.layer._plan_mv_many(plan, self.kept, {"x": units(which, n, self.x, plan)}, out)
                else:
                    self.layer._plan_backward_many(plan, self._y, self.kept, units(which, n, self.y, plan), {"x": out})

            key, out = ("units", method, part.start, part.stop, settings()), found[part]
            self._calls.results(key, self.y.dtype.num, (), (out.shape,), (out,), add)
        return found

    def _chunks(self, k):
        return chunks(k, value_bytes(self.layer, self.x) if self._n_bytes is None else self._n_bytes)

    def _per_sample(self, v, wrt):
        if not self._plans_samples(wrt):
            return super()._per_sample(v, wrt)

        def add(plan, v, *slots):
            arrays = {}
            for name, a in zip(wrt, slots, strict=True):
                arrays |= self._by_variable_many({name: a})
            self.layer._plan_samples(plan, self._y, self.kept, v, {}, Gradients(plan, arrays))

        shapes, key = [(len(v), *self.shape_of(name)) for name in wrt], ("per sample", wrt, settings())
        found = self._calls.results(key, v.dtype.num, (v,), shapes, [None] * len(wrt), add)
        return dict(zip(wrt, found, strict=True))

    def _sample_norms(self, v, wrt):
        if not self._plans_samples(wrt) or not len(v):
            return super()._sample_norms(v, wrt)
        key = "norms", wrt, settings()
        plan = self._calls.find(key)
        if plan is None:
            plan, total = Plan(v.dtype.num), np.zeros(len(v))
            own = plan.place(*v.shape)
            self.layer._plan_samples(plan, self._y, self.kept, own, {}, Norms(plan, self._shapes_of(wrt), total))
            plan.key, plan.state = key, total
            plan.settle()
        plan.call((v,))
        found = plan.state.copy()
        self._calls.give(plan)
        return found

    def _calls_of(self, V, shapes):
        if not self._plans_samples(tuple(shapes)):
            return super()._calls_of(V, shapes)
        plan = Plan(V.dtype.num)
        kept = [Kept(plan, shapes, len(self.y)) for _ in V]
        for v, samples in zip(V, kept, strict=True):
            self.layer._plan_samples(plan, self._y, self.kept, v, {}, samples)
        plan.run()
        return [samples.calls for samples in kept]

    def _parameter_blocks(self, name, outputs, inputs):
        if not self._plans_samples((name,)):
            return super()._parameter_blocks(name, outputs, inputs)
        m, parts = len(self.y), self._chunks(outputs)
        if len(parts) == 1:
            return self._some_blocks(name, (m, outputs, inputs), range(outputs))
        found = np.empty((m, outputs, inputs), self.y.dtype)
        for part in parts:
            found[:, part] = self._some_blocks(name, found.shape, range(outputs)[part])
        return found

    def _some_blocks(self, name, shape, part):
        """What `_parameter_blocks` has, of this shape, for some of the outputs."""
        m, outputs, inputs = shape

        def add(plan, found):
            for i, unit in enumerate(units(part, outputs, self.y, plan)):
                arrays = self._by_variable_many({name: found[:, i].reshape(m, *self.shape_of(name))})
                self.layer._plan_samples(plan, self._y, self.kept, unit, {}, Gradients(plan, arrays))

        key = "blocks", name, part, settings()
        return self._calls.results(key, self.y.dtype.num, (), ((m, len(part), inputs),), (None,), add)[0]

    def _plans_samples(self, wrt):
        return self.layer._plans_second and "tmv" not in self.layer._overridden and self._are_apart(wrt)

    def _hessian_mv(self, v, wrt, directions):
        if "hessian_mv" in self.layer._overridden:
            return super()._hessian_mv(v, wrt, directions)
        if not self.layer._plans_second:
            return differences(self, v, wrt, self._by_variable(directions))
        if not self._are_apart(wrt):
            return {name: self._hessian_mv(v, (name,), directions)[name] for name in wrt}
        given = (
            self._by_variable(directions) if len(directions) > 1 else directions
        )  # which add up where they are of one variable

        def add(plan, v, *slots):
            along = self._by_variable(dict(zip(given, slots[: len(given)], strict=True)))
            results = self._by_variable(dict(zip(wrt, slots[len(given) :], strict=True)))
            dy, zeros = plan.empty(*v.shape), plan.empty(*v.shape)
            zeros[...] = 0
            tangent = self.layer._plan_tangent(plan, self.kept, along, dy)
            adjoint = self.layer._plan_adjoint(plan, self._y, self.kept, v, {}, tuple(results))
            self.layer._plan_curved(plan, self._y, self.kept, adjoint, tangent, zeros, results)

        shapes, key = map(self.shape_of, wrt), ("hessian", tuple(given), wrt, settings())
        found = self._calls.results(key, self.y.dtype.num, (v, *given.values()), shapes, [None] * len(wrt), add)
        return dict(zip(wrt, found, strict=True))


def differences(jac: Jacobian, v: FloatArray, wrt: tuple[str, ...], directions: dict[str, FloatArray]) -> dict[str, FloatArray]:
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
        ends.append(layer._jacobian_of(x, y, kept).tmv(v, wrt))
    return {name: (ends[0][name] - ends[1][name]) / (2 * step) for name in wrt}


def own_result(layer: Layer, method: str, array: Any, shape: Shape, dtype: np.dtype[Any], why: str = "") -> FloatArray:
    """What a method of a user's layer gave. TypeError or ValueError, which name it, if it has not this shape and dtype."""
    what = f"{type(layer).__name__}.{method}"
    if not isinstance(array, np.ndarray | np.generic) or _check.is_masked(array):
        raise TypeError(f"{what} gave a {type(array).__name__}; expected an array")
    if array.shape != shape:
        raise ValueError(f"{what} gave shape {array.shape}; expected {shape}{why}")
    if array.dtype != dtype:
        raise TypeError(f"{what} gave dtype {array.dtype}; expected {dtype}")
    return np.asarray(array)
