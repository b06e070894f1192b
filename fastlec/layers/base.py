"""The contract of every layer y = f(theta, x) (lecture chapters 3 and 4): forward map, Jacobian times a vector, its transpose.

    y = layer(x)                           forward
    y, jac = layer.linearize(x)            forward, with what the derivative needs kept in jac, nothing in the layer
    dy = jac.mv(x=dx, W=dW)                JacMV: the sum over the directions given
    g = jac.tmv(v)                         JacTMV: {"x": ..., "W": ...}; jac.tmv(v, wrt=("W",)) computes only those

A layer never changes when it is used, so two threads may use one at once, nor otherwise once it is made: parameters are written
into, and another setting makes another layer (`PlannedLayer.with_settings`). Samples are rows: x (m, n), y (m, k).

A layer of one's own is a subclass of `Layer` with four methods: `output_shape`, `evaluate`, `mv` and `tmv`. The layers of fastlec
are subclasses of `planned.PlannedLayer`: they say which kernels to run, so that a network of them becomes one list of jobs.
"""

from __future__ import annotations

import copy
import math
import operator
from collections.abc import Iterable, Mapping
from types import FunctionType
from typing import Any, ClassVar, Self

import numpy as np

from .. import _check
from .._fixed import Fixed
from .._kernels.calls import Calls
from .._typing import ArrayLike, FloatArray, Shape
from .jacobian import Jacobian, own_result
from .parameters import Parameters, as_parameters, check_params, one_dtype, views
from .registry import described, written


class Layer(Fixed):
    """A layer y = f(theta, x): the base class of all layers, and of your own (lecture eq. 20).

    A layer maps samples x of shape (m, ...) to y of shape (m, ...), and has the derivatives by x and by each of its parameters.
    Samples are rows: the lecture's x of one sample is one row of x here. A layer does not change when it is used, so several
    threads may use one at a time.

    Parameters
    ----------
    params : dict of arrays, optional
        The parameters by name, in the order of theta: all float32 or all float64. The names "x" and "out" are taken. By default
        there are none.
    buffers : dict of arrays, optional
        Arrays that belong to the layer and are no parameters, such as running statistics. Derivatives are not taken by them, and
        only training steps change them. They are copied where their dtype is not that of params.

    Attributes
    ----------
    params : dict of arrays
        The parameters. Write into them, ``layer.params["W"][...] = values``: they cannot be exchanged.
    buffers : dict of arrays
        The buffers, likewise.
    dtype : numpy.dtype or None
        The dtype of the parameters; None for a layer without any, which computes in that of x.

    Raises
    ------
    TypeError
        If params or buffers are no dicts of arrays, are of several dtypes, or if the class lacks one of the methods below.
    ValueError
        If a name is taken, or is one of both.

    See Also
    --------
    register_layer : Lets files hold layers of your own.
    fastlec.testing.check_layer : Tests the derivatives of a layer.

    Notes
    -----
    A layer of your own is a subclass that calls ``super().__init__(params)``, reads its parameters from ``self.params`` each time
    (a network puts views of its theta there), and defines four methods. A variable is "x" or the name of a parameter.

    - ``output_shape(shape)``: the shape of one sample of y from that of x; ValueError if x cannot have it.
    - ``evaluate(x)``: the pair (y, kept) of the forward map and whatever mv and tmv need. x is read-only.
    - ``mv(kept, directions)``: JacMV, J times {variable: direction}: the sum over those given, of the shape of y.
    - ``tmv(kept, v, wrt)``: JacTMV, {variable: J' v} for each variable in wrt.

    It may also define

    - ``hessian_mv(kept, v, directions, wrt)``: the derivative of ``tmv(kept, v, wrt)`` along the directions. By default it is
      computed by differences.
    - ``for_training()``: the layer that training steps use, on the same params and buffers. By default it is the layer itself.
    - ``update_buffers(kept)``: writes into the buffers what a training step changes of them.
    - ``check_batch(m, shape)``: ValueError where no training step can be made with m samples of this shape.
    - ``couples_samples``: True where a sample of y depends on other samples of x than its own.
    - ``input_shape``: the shape of one sample of x, with None for each length that may be any.
    - ``affine_in_theta``: True where y is an affine function of the parameters, for every x.
    - ``linear_in_x``: True where y is an affine function of x, for all parameters.
    - ``changes_untrained``: True where training steps use the form for training, and change the buffers, whatever is trained.

    It may have attributes of its own, and change them, but none that a base class of fastlec's has.

    Examples
    --------
    A scale for each feature, y = s x, with its derivatives:

    >>> import numpy as np
    >>> import fastlec
    >>> class Scale(fastlec.Layer):
    ...     def __init__(self, n):
    ...         super().__init__({"s": np.ones(n)})
    ...     def output_shape(self, shape):
    ...         return shape
    ...     def evaluate(self, x):
    ...         return self.params["s"] * x, x
    ...     def mv(self, x, directions):
    ...         terms = {"x": lambda d: self.params["s"] * d, "s": lambda d: d * x}
    ...         return sum(terms[name](d) for name, d in directions.items())
    ...     def tmv(self, x, v, wrt):
    ...         terms = {"x": lambda: self.params["s"] * v, "s": lambda: (v * x).sum(axis=0)}
    ...         return {name: terms[name]() for name in wrt}
    >>> fastlec.testing.check_layer(Scale(3), np.array([[1.0, 2.0, 3.0]]), rng=0).passed
    True
    """

    params: Parameters
    buffers: Parameters
    dtype: np.dtype[Any] | None = None
    couples_samples: bool = False
    affine_in_theta: bool = False
    linear_in_x: bool = False
    changes_untrained: bool = False
    input_shape: tuple[int | None, ...] | None = None
    _depth = 0  # of networks within it
    _needs: ClassVar[tuple[str, ...]] = ("output_shape", "evaluate", "mv", "tmv")

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """What a class says of a method that it overrides without a docstring is what its base says of it."""
        super().__init_subclass__(**kwargs)
        for name, member in vars(cls).items():
            if isinstance(member, FunctionType | property) and member.__doc__ is None:
                found = next((vars(base)[name] for base in cls.__mro__[1:] if name in vars(base)), None)
                member.__doc__ = found.__doc__ if isinstance(found, type(member)) else None

    def __init__(self, params: Mapping[str, ArrayLike] | None = None, buffers: Mapping[str, ArrayLike] | None = None) -> None:
        params, buffers = as_parameters(params, "params"), as_parameters(buffers, "buffers")
        dtype = one_dtype(params)
        for name in params.keys() & {"x", "out"}:
            raise ValueError(f"params has the name {name!r}, which means something else to mv and tmv; expected another one")
        if params.keys() & buffers.keys():
            raise ValueError(f"buffers has the names {list(buffers)}; expected others than those of params")
        buffers = Parameters({name: a.astype(dtype or a.dtype, copy=False) for name, a in buffers.items()})
        vars(self).update(params=params, dtype=dtype, buffers=buffers, _calls=Calls())

    def _finish(self):
        kind = type(self)
        base = next(base for base in kind.__mro__ if "_needs" in vars(base))
        missing = [name for name in base._needs if getattr(kind, name) is getattr(base, name)]
        if missing:
            *first, last = base._needs
            needs = f"a {base.__name__} needs {', '.join(first)} and {last}"
            raise TypeError(f"class {kind.__name__} defines no {', '.join(missing)}; {needs}")
        if "params" not in vars(self):
            raise TypeError(f"class {kind.__name__}: its __init__ does not call super().__init__(params)")
        super()._finish()

    def _is_fixed(self, name):
        return super()._is_fixed(name) or name in self.params or name in self.buffers

    def _instead(self, name):
        for values in ("params", "buffers"):
            if name == values or name in getattr(self, values):
                return f"write into its arrays, {values}[{name if name in getattr(self, values) else 'name'!r}][...] = values"
        return super()._instead(name)

    def _undefined(self, name):
        return NotImplementedError(f"class {type(self).__name__} defines no {name}; linearize(x) gives what has mv and tmv")

    def output_shape(self, shape: Shape) -> Shape:
        """Return the shape of one sample of y.

        Parameters
        ----------
        shape : tuple of int
            The shape of one sample of x.

        Returns
        -------
        tuple of int
            The shape of one sample of y.

        Raises
        ------
        ValueError
            If the layer takes no samples of this shape.
        """
        raise self._undefined("output_shape")

    def evaluate(self, x: FloatArray) -> tuple[FloatArray, Any]:
        """Compute the forward map, for `linearize`: what a layer of your own defines.

        Parameters
        ----------
        x : ndarray, shape (m, ...)
            Samples in the dtype to compute in, in C order and read-only.

        Returns
        -------
        y : ndarray, shape (m, ...)
            The values, of the shape that `output_shape` says.
        kept : object
            What `mv` and `tmv` need of x.
        """
        raise self._undefined("evaluate")

    def mv(self, kept: Any, directions: dict[str, FloatArray]) -> FloatArray:
        """Compute JacMV, for ``jac.mv``: what a layer of your own defines.

        Parameters
        ----------
        kept : object
            What `evaluate` kept.
        directions : dict of arrays
            A direction for each variable to be moved, of the variable's shape.

        Returns
        -------
        ndarray, shape (m, ...)
            J times the directions: their sum, of the shape of y.
        """
        raise self._undefined("mv")

    def tmv(self, kept: Any, v: FloatArray, wrt: tuple[str, ...]) -> dict[str, FloatArray]:
        """Compute JacTMV, for ``jac.tmv``: what a layer of your own defines.

        Parameters
        ----------
        kept : object
            What `evaluate` kept.
        v : ndarray, shape (m, ...)
            An array of the shape of y.
        wrt : tuple of str
            The variables.

        Returns
        -------
        dict of arrays
            J' v for each variable in wrt, of the variable's shape.
        """
        raise self._undefined("tmv")

    def _fits(self, shape):
        """`output_shape` as far as it is known beforehand: lengths that are not known are None, and so is a shape of which nothing
        is known. ValueError if the layer takes no such samples."""
        shape = self.input_shape if shape is None else shape
        return None if shape is None or None in shape else self._shape_after(shape)

    def check_batch(self, m: int, shape: Shape) -> None:
        """Refuse batches that no training step can be made with.

        Parameters
        ----------
        m : int
            The number of samples.
        shape : tuple of int
            The shape of one sample of x.

        Raises
        ------
        ValueError
            If a training step needs other samples, as batch normalisation needs two or more.
        """

    def for_training(self) -> Layer:
        """Return the layer that training steps use, on the same params and buffers.

        Returns
        -------
        Layer
            The form for training; the layer itself where there is no other.
        """
        return self

    def update_buffers(self, kept: Any) -> None:
        """Write into the buffers what a training step changes of them.

        Parameters
        ----------
        kept : object
            What `evaluate` kept of the step's batch.
        """

    def _described(self):
        """The layer as what JSON can hold: its kind and the arguments of its constructor. TypeError if it is neither fastlec's own
        nor registered."""
        found = described(self)
        if found is None:
            what = f"a layer is a {type(self).__name__}; only layers of fastlec's own can be saved"
            raise TypeError(
                f"{what}: save theta, and build the network anew, or decorate the class with fastlec.register_layer"
            )
        return found

    def __repr__(self) -> str:
        return written(self)

    @property
    def n_params(self) -> int:
        """The number of values that all parameters hold."""
        return sum(a.size for a in self.params.values())

    @property
    def variables(self) -> tuple[str, ...]:
        """The names that derivatives are taken by: "x", then those of the parameters."""
        return ("x", *self.params)

    def with_params(self, params: Mapping[str, ArrayLike]) -> Self:
        """Return the same layer with other parameters.

        Parameters
        ----------
        params : dict of arrays
            The parameters by name, of the names and shapes of the layer's own, all float32 or all float64.

        Returns
        -------
        Layer
            A layer that has these arrays, without a copy where they can be used as they are. It shares the buffers with this one,
            unless the dtype is another one.

        Raises
        ------
        ValueError
            If names or shapes are not those of the layer's own parameters.
        """
        check_params(self.params, params)
        other = copy.copy(self)
        Layer.__init__(other, params, self.buffers)
        return other

    def _bound_to(self, theta, own=False):
        """The same layer, whose parameters are views of theta. own: with copies of the buffers."""
        other = self.with_params(views(theta, self.params))
        if own:
            vars(other)["buffers"] = Parameters({name: a.copy() for name, a in other.buffers.items()})
        return other

    def _copy_from(self, other):
        """Parameters and buffers of another layer like this one, written into its own."""
        for own, theirs in ((self.params, other.params), (self.buffers, other.buffers)):
            for a, b in zip(own.values(), theirs.values(), strict=True):
                np.copyto(a, b)

    def _draw(self, rng):
        """Weights from this generator, where they were neither drawn from a given one nor assigned: of fastlec's own layers."""

    def _keep_params(self):
        """From now on the parameters count as assigned, whatever they are: `_draw` leaves them."""

    def _for_training(self, trainable):
        """`for_training`, which of a network depends on the names of the parameters and buffers that are trained."""
        return self.for_training()

    def _widest(self, shape):
        """The most values that are computed at a time of one sample of this shape: features, or channels times pixels."""
        shape = self.output_shape(shape)
        hidden = max((len(a) for a in self.params.values() if a.ndim), default=1) * math.prod(shape[1:])
        return max(hidden, math.prod(shape), 1)

    def _kept_values(self, shape):
        """The values of all layers within it that are kept of one sample of this shape, for the derivative."""
        return math.prod(self.output_shape(shape))

    def _prepared(self, x):
        """(the layer, x): both in the dtype to compute in (np.result_type of x and the parameters), x plain and of a shape that
        the layer takes. A copy is made only where it must be."""
        x, own = _check.as_array(x, "x"), self.dtype
        if x.ndim < 1:
            _check.float_dtype(x.dtype, "x")
            raise ValueError("x is a number; expected an array of samples")
        self._shape_after(x.shape[1:])
        if x.dtype is own and _check.is_plain(x):
            return self, x
        dtype = _check.float_dtype(x.dtype, "x")
        if own is not None:
            dtype = np.result_type(dtype, own)
        layer = self
        if own not in (None, dtype):
            layer = self.with_params({name: a.astype(dtype) for name, a in self.params.items()})
        return layer, _check.plain(x, dtype, "x")

    def __call__(self, x: ArrayLike, *, out: FloatArray | None = None) -> FloatArray:
        """Compute the forward map y = f(theta, x).

        Parameters
        ----------
        x : array_like, shape (m, ...)
            Samples. y is computed in float32 where x and the parameters are, else in float64.
        out : ndarray, optional
            The array to fill, of the shape and dtype of y. By default it is a new one.

        Returns
        -------
        ndarray, shape (m, ...)
            The values y.

        Raises
        ------
        ValueError
            If the layer takes no samples of this shape, or out has another shape than y.
        TypeError
            If x holds no real numbers, or out has another dtype than y.
        """
        layer, x = self._prepared(x)
        return _check.through(out, layer._evaluated(x)[0])

    def linearize(self, x: ArrayLike) -> tuple[FloatArray, Jacobian]:
        """Compute the forward map, and its Jacobian at x (lecture eq. 33).

        Parameters
        ----------
        x : array_like, shape (m, ...)
            Samples.

        Returns
        -------
        y : ndarray, shape (m, ...)
            The values f(theta, x). Those of fastlec's layers are read-only.
        jac : Jacobian
            The derivative at x as products with vectors, as operators and as matrices. That of fastlec's layers has copies of x and
            the parameters, which may change later. That of a layer of your own keeps them as they are: do not change them while
            jac is in use.
        """
        layer, x = self._prepared(x)
        y, kept = layer._evaluated(x)
        return y, layer._jacobian_of(x, y, kept)

    def _shape_after(self, shape):
        """What a user's `output_shape` gives, checked: a tuple of integers."""
        found = self.output_shape(shape)
        try:
            return tuple(map(operator.index, found))
        except TypeError:
            what = f"{type(self).__name__}.output_shape gave {_check.shown(found)}"
            raise TypeError(f"{what}; expected a tuple of integers") from None

    def _evaluated(self, x):
        """What a user's `evaluate` gives, checked: x is read-only to it, and y an array of its own."""
        given = x.view()
        given.flags.writeable = False
        result = self.evaluate(given)
        if not isinstance(result, tuple) or len(result) != 2:
            raise TypeError(f"{type(self).__name__}.evaluate gave a {type(result).__name__}; expected a pair (y, kept)")
        shape = (len(x), *self._shape_after(x.shape[1:]))
        y = own_result(self, "evaluate", result[0], shape, x.dtype, ", by output_shape")
        return y.copy() if np.may_share_memory(x, y) else y, result[1]

    def _jacobian_of(self, x, y, kept):
        """The Jacobian object of what `evaluate` gave."""
        return Jacobian(self, x, y, kept)

    def _explicit(self, kept, name):
        """The Jacobian by a variable as a matrix (y.size, variable's size), dense or a scipy.sparse array in CSR form, where there
        is a formula for it, else None."""
        return None

    def _nonzeros(self, kept, name):
        """How many entries `_explicit` stores at most, where that is a sparse array, else None."""
        return None

    def jac_mv(self, x: ArrayLike, /, **directions: ArrayLike) -> FloatArray:
        """Compute JacMV in one call: J(x) times directions (lecture section 4.1).

        Parameters
        ----------
        x : array_like, shape (m, ...)
            Samples.
        **directions : array_like
            A direction for each variable to be moved, of its shape: ``layer.jac_mv(x, W=dW, x=dx)``.

        Returns
        -------
        ndarray, shape (m, ...)
            J times the directions: their sum, of the shape of y.
        """
        return self.linearize(x)[1].mv(**directions)

    def value_and_jac_mv(self, x: ArrayLike, /, **directions: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Compute the forward map and JacMV in one call.

        Parameters
        ----------
        x : array_like, shape (m, ...)
            Samples.
        **directions : array_like
            A direction for each variable to be moved, as for `jac_mv`.

        Returns
        -------
        y : ndarray, shape (m, ...)
            The values f(theta, x).
        dy : ndarray, shape (m, ...)
            J times the directions.
        """
        y, jac = self.linearize(x)
        return y, jac.mv(**directions)

    def jac_tmv(self, x: ArrayLike, v: ArrayLike, /, wrt: str | Iterable[str] | None = None) -> dict[str, FloatArray]:
        """Compute JacTMV in one call: J(x)' v (lecture section 4.1).

        Parameters
        ----------
        x : array_like, shape (m, ...)
            Samples.
        v : array_like, shape (m, ...)
            An array of the shape of y.
        wrt : str or iterable of str, optional
            The variables, by default all: "x" and the parameters.

        Returns
        -------
        dict of arrays
            J' v for each variable in wrt, of the variable's shape.
        """
        return self.linearize(x)[1].tmv(v, wrt)
