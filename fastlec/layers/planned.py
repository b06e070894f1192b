"""The layers of fastlec do not compute by themselves: they say which jobs do, so that a network of such layers is one list of jobs.
README.md beside this file shows the contract, and how to add a layer."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Self

import numpy as np

from .. import _check
from .._activations import STRAIGHT, Entry
from .._kernels import curvature, slope
from .._kernels.calls import Calls, key_of
from .._kernels.epilogue import IDENTITY, KEEP_Z, Epilogue
from .._kernels.plan import Plan
from .._kernels.sum import add
from .._typing import ArrayLike, FloatArray, Seed, Shape
from .base import Layer
from .jacobian import Held, Jacobian, PlannedJacobian, Point, value_bytes
from .parameters import Parameters, Unseeded, check_params, make
from .registry import NO_SETTINGS

_CONTRACT = ("evaluate", "mv", "tmv", "hessian_mv", "linearize", "_jacobian_of", "update_buffers")  # what jobs do instead
_SECOND = ("_plan_tangent", "_plan_adjoint", "_plan_curved", "_plan_samples")
_PLANNING = (
    "_plan_forward",
    "_plan_mv",
    "_plan_tmv",
    "_plan_backward",
    "_plan_buffers",
    "output_shape",
    *_SECOND,
)  # which jobs
_TAKES = ("_takes_epilogue", "_takes_sum", "_stacks")
_CLAIMS = (
    "affine_in_theta",
    "linear_in_x",
    "_reshapes",
    "_elementwise",
    "_keeps_bounds",
    *_TAKES,
)  # what is said of these methods
_OF_ARRAYS = object()  # in the place of a dtype: parameters are arrays, or there are none
_NOT_MADE = object()  # in the place of a dtype: parameters are declared, and none is made


class PlannedLayer(Layer):
    """A layer that says which jobs compute it. Its methods add to a plan:

        _plan_forward(plan, x, y)                   fills y; returns what the other two need (kept)
        _plan_mv(plan, kept, directions, dy)        fills dy with J times the directions, {variable: array}
        _plan_tmv(plan, kept, v, out, after=None)   fills out, {variable: array}, with J' v, where v is multiplied already by the
                                                    derivative of `_outermost`. A parameter's array that is the parameter itself
                                                    takes the optimizer's step instead (`_steps`). after: the epilogue of out["x"]
        _plan_buffers(plan, kept)                   where there are buffers: `update_buffers` as jobs

    and, for k directions or vectors v, whose arrays have one axis more, the first, `_plan_mv_many`, `_plan_tmv_many` and
    `_plan_backward_many`, which go through them one after the other unless the layer says `_stacks`;

    and, for exact products with second derivatives (`Jacobian.hessian_mv`), unless these vanish where there are any:

        _plan_tangent(plan, kept, directions, dy)   _plan_mv; returns what _plan_curved needs of the directions (tangent)
        _plan_adjoint(plan, y, kept, v, out, wrt)   _plan_backward; returns what _plan_curved needs of v (adjoint) where it is asked
                                                    for the variables wrt
        _plan_curved(plan, y, kept, adjoint, tangent, dv, out)
                                                    fills out with the derivative of J' v along the tangent and, for v, along dv

    _outermost : the kernels' number of the activation that is applied last, or None. Its derivative is left to who calls _plan_tmv:
    a network lets the layer above multiply by it, as an epilogue; `_plan_backward` adds a job for it. _outer_alpha : its parameter,
    None where it has the usual one.
    _takes_epilogue : whether _plan_tmv takes `after`; for a layer that does not, a network adds a job.
    _takes_sum : whether it takes one in which something is added to out["x"], as the other branches of `Sum` and `Concat` are.
    _reshapes : whether y is x in another shape, so that a network needs no job for it.
    _elementwise : whether y is `_outermost` of x and nothing else, so that no job is left of _plan_tmv.
    _stacks : whether _plan_mv and _plan_tmv by x alone take k times as many samples as were kept: k directions, one after another.
    _keeps_bounds : whether the values of y lie within the bounds of those of x and 0.
    _planned : False where a subclass outside fastlec has methods of its own that the jobs would pass over: it is then used as any
    layer of the user's own is. One that says itself which jobs there are has no attributes that can be changed, for plans are kept.

    Constructor: ``super().__init__(params, buffers, dtype=dtype, rng=rng)`` with {name: Initial}, after all settings are attributes
    by the names of the arguments. From these come `config`, `shapes`, and so files and repr.
    """

    _outermost = _outer_alpha = None
    _takes_epilogue = _takes_sum = _reshapes = _elementwise = _keeps_bounds = _stacks = False
    _planned = True
    _needs = ("output_shape", "_plan_forward", "_plan_mv", "_plan_tmv")
    _settings, _overridden, _own_methods, _plans_itself, _unseeded = (), frozenset(), frozenset(), False, None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls._of_fastlec:
            cls._settings = tuple(name for name in inspect.signature(cls).parameters if name not in NO_SETTINGS)
            return
        definers = {name: next((base for base in cls.__mro__ if name in vars(base)), Layer) for name in _CONTRACT + _PLANNING}
        own = {name for name, base in definers.items() if not getattr(base, "_of_fastlec", False)}
        cls._overridden = own.intersection(_CONTRACT)
        if cls._overridden:
            cls._planned = False
        cls._plans_itself = not cls._overridden and not own.isdisjoint(_PLANNING)
        cls._own_methods = own
        for name in _CLAIMS if own else ():  # what fastlec's class says holds for its own methods
            if next(base for base in cls.__mro__ if name in vars(base))._of_fastlec:
                setattr(cls, name, False)

    def __init__(
        self,
        params: Mapping[str, Any] | None = None,
        buffers: Mapping[str, Any] | None = None,
        *,
        dtype: Any = _OF_ARRAYS,
        rng: Seed | None = None,
    ) -> None:
        params, buffers = params or {}, buffers or {}
        if dtype is _NOT_MADE:
            vars(self).update(params=params, buffers=buffers)
        elif dtype is _OF_ARRAYS:
            super().__init__(params, buffers)
        else:
            dtype, generator = _check.layer_dtype(dtype), _check.generator(rng)
            made = make(params | buffers, dtype, generator)
            super().__init__({name: made[name] for name in params}, {name: made[name] for name in buffers})
            drawn = params | {name: initial for name, initial in buffers.items() if initial.digits}
            if rng is None and any(initial.gain or initial.digits for initial in drawn.values()):
                vars(self)["_unseeded"] = Unseeded(generator.bit_generator.seed_seq.entropy, drawn, drawn)

    # --- what a layer is made of ------------------------------------------------------------------------------------------

    def config(self) -> dict[str, Any]:
        """Return the arguments that make such a layer, but for dtype and rng.

        Returns
        -------
        dict
            The arguments of the constructor by name.
        """
        return {name: getattr(self, name) for name in self._settings}

    @classmethod
    def _declared(cls, **config):
        """(parameters, buffers) for the constructor's arguments, each {name: Initial}; none is made."""
        unknown = config.keys() - set(cls._settings)
        if unknown:
            raise TypeError(f"{cls.__name__} has no arguments {sorted(map(str, unknown))}; expected {', '.join(cls._settings)}")
        layer = object.__new__(cls)
        takes_dtype = "dtype" in inspect.signature(cls).parameters
        layer.__init__(**config, **({"dtype": _NOT_MADE} if takes_dtype else {}))
        return layer.params, layer.buffers

    @classmethod
    def shapes(cls, **config: Any) -> dict[str, Shape]:
        """Return the shapes of the parameters that such a layer would have, without making any.

        Parameters
        ----------
        **config : object
            Arguments of the constructor, but for dtype and rng.

        Returns
        -------
        dict of tuples
            The shape of each parameter.
        """
        return {name: initial.shape for name, initial in cls._declared(**config)[0].items()}

    @classmethod
    def buffer_shapes(cls, **config: Any) -> dict[str, Shape]:
        """Return the shapes of the buffers that such a layer would have, without making any.

        Parameters
        ----------
        **config : object
            Arguments of the constructor, but for dtype and rng.

        Returns
        -------
        dict of tuples
            The shape of each buffer.
        """
        return {name: initial.shape for name, initial in cls._declared(**config)[1].items()}

    def with_settings(self, **settings: Any) -> Self:
        """Return a layer with other settings on the same parameters and buffers, which it shares with this one.

        Parameters
        ----------
        **settings : object
            Arguments of the constructor that are to be others, such as ``activation="relu"``.

        Returns
        -------
        Layer
            A layer of the same class.

        Raises
        ------
        ValueError
            If it would have other parameters, or of other shapes.
        """
        other = type(self)(**self.config() | settings)
        check_params(other.params, self.params)
        Layer.__init__(other, self.params, self.buffers)
        if self._unseeded and other._unseeded:  # it has what this one drew
            vars(other)["_unseeded"] = self._unseeded._replace(draws=other._unseeded.draws)
        return other

    def _in_training(self):
        """The same layer, on the same arrays, with `training` True, and plans of its own."""
        other = copy.copy(self)
        vars(other).update(training=True, _calls=Calls())
        return other

    def _bound_to(self, theta, own=False):
        other = super()._bound_to(theta, own)
        if other.dtype is None and other.buffers:  # those of a network have its dtype
            vars(other)["buffers"] = Parameters({name: a.astype(theta.dtype, copy=False) for name, a in other.buffers.items()})
        return other

    def _prepared(self, x):
        layer, x = super()._prepared(x)
        if layer.dtype is None and any(a.dtype != x.dtype for a in layer.buffers.values()):
            layer = layer._bound_to(np.empty(0, x.dtype))
        return layer, x

    def _draw(self, rng):
        arrays = self.params | self.buffers
        if self._unseeded and self._unseeded.still(arrays):
            for name, a in make(self._unseeded.draws, next(iter(arrays.values())).dtype, rng).items():
                arrays[name][...] = a

    def _keep_params(self):
        vars(self)["_unseeded"] = None

    def _is_fixed(self, name):
        return self._plans_itself or super()._is_fixed(name)

    def _instead(self, name):
        if name in getattr(self, "config", dict)():
            return f"make another layer, layer.with_settings({name}=...), which has the same parameters, and networks of that"
        return super()._instead(name)

    # --- shapes -------------------------------------------------------------------------------------------------------------

    def _fits(self, shape):
        if not type(self)._of_fastlec:
            return super()._fits(shape)
        expected = self.input_shape
        if expected is not None:
            shape = expected if shape is None else shape
            if len(shape) != len(expected) or any(n not in (None, k) for n, k in zip(shape, expected, strict=True) if k):
                raise ValueError(f"x has samples of shape {known_shape(shape)}; expected {known_shape(expected)}")
            shape = tuple(k or n for n, k in zip(shape, expected, strict=True))
        return self._partly(shape) if shape is None or None in shape else self.output_shape(shape)

    def _partly(self, shape):
        """`_fits` where not all lengths are known."""
        return None

    def _shape_after(self, shape):
        return self.output_shape(shape) if type(self)._of_fastlec else super()._shape_after(shape)

    # --- jobs ---------------------------------------------------------------------------------------------------------------

    def _plan_forward(self, plan, x, y):
        raise self._undefined("_plan_forward")

    def _plan_mv(self, plan, kept, directions, dy):
        raise self._undefined("_plan_mv")

    def _plan_tmv(self, plan, kept, v, out, after=None):
        raise self._undefined("_plan_tmv")

    def _plan_backward(self, plan, y, kept, v, out):
        """Fills out with J' v, where y is the layer's value: the derivative of `_outermost`, and `_plan_tmv`."""
        outer = self._outer_derivative(y, kept)
        if out and outer is not None:
            g = plan.empty(*v.shape)
            multiply(plan, v, g, outer)
            v = g
        self._plan_tmv(plan, kept, v, out)

    def _plan_mv_many(self, plan, kept, directions, dy):
        if self._stacks and directions.keys() == {"x"}:
            self._plan_mv(plan, kept, {"x": stacked(directions["x"])}, stacked(dy))
            return
        for i, out in enumerate(dy):
            self._plan_mv(plan, kept, {name: a[i] for name, a in directions.items()}, out)

    def _plan_tmv_many(self, plan, kept, v, out, after=None):
        if self._stacks and "x" in out:
            self._plan_tmv(plan, kept, stacked(v), {"x": stacked(out["x"])}, after)
            out, after = {name: a for name, a in out.items() if name != "x"}, None
        for i, own in enumerate(v if out else ()):
            plan_transposed(plan, self, kept, own, {name: a[i] for name, a in out.items()}, after)

    def _plan_backward_many(self, plan, y, kept, v, out):
        if self._plans_itself:
            for i, own in enumerate(v):
                self._plan_backward(plan, y, kept, own, {name: a[i] for name, a in out.items()})
            return
        outer = self._outer_derivative(y, kept)
        if out and outer is not None:
            g = plan.empty(*v.shape)
            multiply(plan, v, g, outer)
            v = g
        self._plan_tmv_many(plan, kept, v, out)

    def _outer_derivative(self, y, kept):
        """The epilogue that multiplies by the derivative of `_outermost`; None where there is nothing to multiply by. The
        derivative follows from y or, for activations of which z is kept, from kept[1]."""
        if self._outermost in (None, IDENTITY):
            return None
        return Epilogue(derivative=self._outermost, of=kept[1] if self._outermost in KEEP_Z else y, alpha=self._outer_alpha)

    def _plan_buffers(self, plan, kept):
        pass

    @property
    def _plans_second(self):
        """Whether there are jobs for second derivatives: not where a subclass outside fastlec says some of the jobs alone."""
        return self._planned and (not self._plans_itself or "_plan_curved" in self._own_methods)

    def _plan_samples(self, plan, y, kept, v, out, samples):
        """Fills out, {} or {"x": array}, with J' v, and gives samples (`_samples.py`) the gradient of each parameter that it names
        by each sample alone: here by passes of one sample."""
        outer = self._outer_derivative(y, kept)
        if outer is not None:
            g = plan.empty(*v.shape)
            multiply(plan, v, g, outer)
            v = g
        self._plan_tmv(plan, kept, v, out)
        for name in samples.names:
            samples.each(name, lambda i, a, name=name: self._plan_tmv(plan, self._sample(kept, i), v[i : i + 1], {name: a}))

    def _sample(self, kept, i):
        """What _plan_forward would have kept of sample i alone."""
        return tuple(a[i : i + 1] if isinstance(a, np.ndarray) else a for a in kept)

    def _plan_tangent(self, plan, kept, directions, dy):
        self._plan_mv(plan, kept, directions, dy)
        return directions

    def _plan_adjoint(self, plan, y, kept, v, out, wrt):
        if out:
            self._plan_backward(plan, y, kept, v, out)
        return v

    def _plan_curved(self, plan, y, kept, adjoint, tangent, dv, out):
        self._plan_backward(plan, y, kept, dv, out)

    def _steps(self, out):
        """Whether the parameters among out take the optimizer's step: the arrays there are the parameters themselves."""
        return any(out.get(name) is a for name, a in self.params.items())

    # --- the contract of every layer, by jobs -------------------------------------------------------------------------------

    def update_buffers(self, kept: Any) -> None:
        if self.buffers:
            plan = Plan(next(iter(self.buffers.values())).dtype.num)
            self._plan_buffers(plan, kept)
            plan.run()

    def __call__(self, x: ArrayLike, *, out: FloatArray | None = None) -> FloatArray:
        if not self._planned:
            return super().__call__(x, out=out)
        found = self._calls.call(key_of("y", (x,), ()), (x,), (out,))
        if found is not None:
            return found[0]
        layer, x = self._prepared(x)
        return layer._filled(x, out)

    def _filled(self, x, out):
        """y of samples that are prepared, in `out` where there is one."""
        shape = len(x), *self.output_shape(x.shape[1:])
        if out is not None:
            _check.output(out, shape, x.dtype)
        return self._calls.results(key_of("y", (x,), ()), x.dtype.num, (x,), (shape,), (out,), self._plan_forward)[0]

    def evaluate(self, x: FloatArray) -> tuple[FloatArray, Any]:
        plan = Plan(x.dtype.num)
        y = plan.empty(len(x), *self.output_shape(x.shape[1:]))
        kept = self._plan_forward(plan, x, y)
        plan.run()
        return y, kept

    def _evaluated(self, x):
        return self.evaluate(x) if self._planned else super()._evaluated(x)

    def value_and_jac_mv(self, x: ArrayLike, /, **directions: ArrayLike) -> tuple[FloatArray, FloatArray]:
        if not self._planned:
            return super().value_and_jac_mv(x, **directions)
        given = (x, *directions.values())
        found = self._calls.call(key_of(("mv", *directions), given, ()), given)
        if found is None:
            layer, x = self._prepared(x)
            found = layer._value_and_jac_mv(x, directions)
        return tuple(found)

    def _value_and_jac_mv(self, x, directions):
        """`value_and_jac_mv` of samples that are prepared: forward map and derivative by x share what is packed of W."""
        shape = len(x), *self.output_shape(x.shape[1:])
        jac = self._jacobian_of(x, Plan(x.dtype.num).empty(*shape), None)
        directions = jac._plain_directions(directions)
        if len(directions) > 1:  # some of them may be of one variable, and add up
            directions = jac._by_variable(directions)

        def add(plan, x, *slots):
            *given, y, dy = slots
            kept = self._plan_forward(plan, x, y)
            self._plan_mv(plan, kept, jac._by_variable(dict(zip(directions, given, strict=True))), dy)

        inputs = (x, *directions.values())
        return self._calls.results(
            key_of(("mv", *directions), inputs, ()), x.dtype.num, inputs, (shape, shape), (None, None), add
        )

    def jac_mv(self, x: ArrayLike, /, **directions: ArrayLike) -> FloatArray:
        if not self._planned:
            return super().jac_mv(x, **directions)
        return self.value_and_jac_mv(x, **directions)[1]

    def jac_tmv(self, x: ArrayLike, v: ArrayLike, /, wrt: str | Iterable[str] | None = None) -> dict[str, FloatArray]:
        if not self._planned:
            return super().jac_tmv(x, v, wrt)
        names = self.variables if wrt is None else tuple(dict.fromkeys(_check.names(wrt, "wrt")))
        found = self._calls.call(key_of(("tmv", *names), (x, v), ()), (x, v))
        if found is None:
            layer, x = self._prepared(x)
            return layer._jac_tmv(x, v, names)
        return dict(zip(names, found, strict=True))

    def _jac_tmv(self, x, v, names):
        """`jac_tmv` of samples that are prepared, by names each of which is there once."""
        shape = len(x), *self.output_shape(x.shape[1:])
        jac = self._jacobian_of(x, Plan(x.dtype.num).empty(*shape), None)
        if not jac._are_apart(names):
            return super().jac_tmv(x, v, names)
        shapes, v = [jac.shape_of(name) for name in names], jac._plain(v, "v", shape)

        def add(plan, x, v, *results):
            y = plan.empty(*shape)
            kept = self._plan_forward(plan, x, y)
            self._plan_backward(plan, y, kept, v, jac._by_variable(dict(zip(names, results, strict=True))))

        outs = [None] * len(names)
        found = self._calls.results(key_of(("tmv", *names), (x, v), ()), x.dtype.num, (x, v), shapes, outs, add)
        return dict(zip(names, found, strict=True))

    def _jacobian_of(self, x, y, kept):
        return PlannedJacobian(self, x, y, kept)

    def linearize(self, x: ArrayLike) -> tuple[FloatArray, Jacobian]:
        if not self._planned:
            y, jac = super().linearize(x)
            if isinstance(jac, PlannedJacobian):
                y.flags.writeable = False  # the activation's derivative is taken from it
            return y, jac
        y, jac = self._linearized(x)
        y.flags.writeable = False
        return y, jac

    def _linearized(self, x):
        """`linearize` by jobs; y may be written to, for the Jacobian has one of its own."""
        layer, plan = self, self._calls.find(key_of("point", (x,), ()))
        if plan is None:
            layer, x = self._prepared(x)
            key = key_of("point", (x,), ())
            plan = layer._calls.find(key) or layer._plan_point(key, x)
        at = plan.state
        at.layer._copy_from(layer)
        np.copyto(at.x, x)
        plan.run()
        y = Plan(x.dtype.num).empty(*at.y.shape)
        np.copyto(y, at.y)
        jac = at.layer._jacobian_of(x, y, at.kept)
        vars(jac).update(_calls=at.calls, _y=at.y, _held=Held(layer._calls, plan), _n_bytes=at.n_bytes)
        return y, jac

    def _plan_point(self, key, x):
        """The plan of a forward pass to be linearized, at x like this one."""
        plan = Plan(x.dtype.num)
        layer = self._bound_to(np.empty(self.n_params, x.dtype), own=True)
        x = plan.empty(*x.shape)
        y = plan.empty(len(x), *layer.output_shape(x.shape[1:]))
        calls, n_bytes = Calls(self._calls.most, self._calls.n_bytes), value_bytes(layer, x)
        plan.state = Point(layer, x, y, layer._plan_forward(plan, x, y), calls, n_bytes)
        plan.key = key
        return plan


def activated(plan: Plan, y: FloatArray, bias: FloatArray | None, entry: Entry) -> tuple[Epilogue, FloatArray]:
    """(the epilogue of y = sigma(W x + b), what sigma' follows from): that is y itself, or an array that takes z = W x + b. entry :
    that of sigma."""
    z = plan.empty(*y.shape) if entry.code in KEEP_Z else None
    return Epilogue(bias, entry.code, z=z, alpha=entry.alpha), y if z is None else z


def curved(plan: Plan, v: FloatArray, dv: FloatArray, of: FloatArray, dof: FloatArray | None, entry: Entry) -> FloatArray:
    """The derivative of sigma'(of) v, an array: along dof, the derivative of `of`, or None for zeros, and along dv. entry : that of
    sigma."""
    if entry.code == IDENTITY:
        return dv
    out = plan.empty(*dv.shape)
    if dof is None or entry.code in STRAIGHT:
        multiply(plan, dv, out, Epilogue(**entry.after(of)))
    else:
        curvature.activation(plan, entry.code, v, dv, of, dof, out, entry.alpha)
    return out


def computed(dtype: np.dtype[Any], shape: Shape, add: Callable[[Plan, FloatArray], object]) -> FloatArray:
    """An array of this shape, filled by the jobs that add(plan, array) adds."""
    plan = Plan(dtype.num)
    found = plan.empty(*shape)
    add(plan, found)
    plan.run()
    return found


def multiply(plan: Plan, v: FloatArray, out: FloatArray, after: Epilogue | None = None) -> None:
    """out = v and the epilogue, which may add and have a derivative. Arrays of one size in whatever shapes; out may be v. What the
    derivative is taken from may be smaller: it is then the same for each of several arrays v, one after the other."""
    if after is not None and after.of is not None and 0 < after.of.size < v.size:
        size = after.of.size
        for part, to in zip(v.reshape(-1, size), out.reshape(-1, size), strict=True):
            multiply(plan, part, to, after)
        return
    row = 1, v.size
    v, out, after = v.reshape(row), out.reshape(row), reshaped(after, row)
    if adds(after):
        add(plan, v, out if after.accumulate else after.residual, out)
        v, after = out, None if after.of is None else Epilogue(derivative=after.derivative, of=after.of, alpha=after.alpha)
    if v is not out or after is not None:
        slope.slope(plan, v, out, after=after)


def plan_transposed(
    plan: Plan, layer: PlannedLayer, kept: Any, v: FloatArray, out: dict[str, FloatArray], after: Epilogue | None = None
) -> None:
    """`_plan_tmv` of the layer, and jobs for what it does not take of `after`."""
    if layer._elementwise:
        multiply(plan, v, out["x"], after)
    elif after is None:
        layer._plan_tmv(plan, kept, v, out)
    elif layer._takes_epilogue and (layer._takes_sum or not adds(after)):
        layer._plan_tmv(plan, kept, v, out, after=after)
    else:
        dx = plan.empty(*out["x"].shape) if adds(after) else out["x"]
        layer._plan_tmv(plan, kept, v, out | {"x": dx})
        multiply(plan, dx, out["x"], after)


def stacked(a: FloatArray) -> FloatArray:
    """(k, m, ...) as k m samples: a view."""
    return a.reshape(a.shape[0] * a.shape[1], *a.shape[2:])


def plan_transposed_many(
    plan: Plan, layer: PlannedLayer, kept: Any, v: FloatArray, out: dict[str, FloatArray], after: Epilogue | None = None
) -> None:
    """The same for `_plan_tmv_many`; of after there is at most a derivative."""
    if layer._elementwise:
        multiply(plan, v, out["x"], after)
    else:
        layer._plan_tmv_many(plan, kept, v, out, after)


def adds(after: Epilogue | None) -> bool:
    """Whether an epilogue, or None, adds something to what it follows."""
    return after is not None and (after.accumulate or after.residual is not None)


def reshaped(after: Epilogue | None, shape: Shape) -> Epilogue | None:
    """An epilogue that may add and have a derivative, or None, for arrays of another shape."""
    if after is None:
        return None
    residual, of = (None if a is None else a.reshape(shape) for a in (after.residual, after.of))
    return Epilogue(residual=residual, accumulate=after.accumulate, derivative=after.derivative, of=of, alpha=after.alpha)


def features(shape: Shape, n: int) -> None:
    """ValueError unless samples of this shape have n features."""
    if _check.sizes(shape) != (n,):
        raise ValueError(f"x has samples of shape {_check.sizes(shape)}; expected ({n},)")


def images(shape: Shape, c: int) -> Shape:
    """The shape of a sample, as integers. ValueError unless it is that of an image of c channels."""
    shape = _check.sizes(shape)
    if len(shape) != 3 or shape[0] != c or 0 in shape:
        raise ValueError(f"x has samples of shape {shape}; expected ({c}, h, w), neither h nor w 0")
    return shape


def signals(shape: Shape, c: int) -> Shape:
    """The shape of a sample, as integers. ValueError unless it is that of a signal of c channels."""
    shape = _check.sizes(shape)
    if len(shape) != 2 or shape[0] != c or 0 in shape:
        raise ValueError(f"x has samples of shape {shape}; expected ({c}, length), length not 0")
    return shape


def known_shape(shape: tuple[int | None, ...]) -> str:
    """A shape as text, with letters for the lengths that are not known."""
    letters = {2: ("c", "length"), 3: "chw"}.get(len(shape), len(shape) * "n")
    lengths = [letter if n is None else str(n) for n, letter in zip(shape, letters, strict=True)]
    return f"({', '.join(lengths)}{',' if len(shape) == 1 else ''})"
