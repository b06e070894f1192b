"""The contract of every layer y = f(theta, x) (lecture chapters 3 and 4): forward map, Jacobian times a vector, its transpose.

    y = layer(x)                           forward
    y, jac = layer.linearize(x)            forward, with what the derivative needs kept in jac, nothing in the layer
    dy = jac.mv(x=dx, W=dW)                JacMV: the sum over the directions given
    g = jac.tmv(v)                         JacTMV: {"x": ..., "W": ...}; jac.tmv(v, wrt=("W",)) computes only those

A layer never changes when it is used, so two threads may use one at once, nor otherwise once it is made: parameters are written
into, and another setting makes another layer (`PlannedLayer.with_settings`). Samples are rows: x (m, n), y (m, k).

A layer of one's own is a subclass of `Layer` with four methods: `output_shape`, `evaluate`, `mv` and `tmv`. The layers of fastlec
are subclasses of `PlannedLayer`: they say which kernels to run instead, so that a network of them becomes one list of jobs.
"""

import copy
import operator
from collections.abc import Mapping

import numpy as np

from .. import _check
from .._fixed import Fixed, Settled
from .._kernels import epilogue
from .._kernels.plan import Plan

GAIN = {"relu": np.sqrt(2.0)}  # of weights before an activation, where it is not 1
RESIDUAL_GAIN = 0.1  # of W2: a deep network starts near the identity, and its steps stay bounded (Zhang, Dauphin and Ma 2019)
ACTIVATIONS = {"tanh": epilogue.TANH, "sigmoid": epilogue.SIGMOID, "relu": epilogue.RELU, "identity": epilogue.IDENTITY}
_CONTRACT = ("evaluate", "mv", "tmv", "linearize", "jacobian", "update_buffers")  # what jobs stand for,
_PLANNING = ("plan_forward", "plan_mv", "plan_tmv", "plan_buffers", "output_shape")  # and what says which they are
MATRIX_BYTES = 1 << 31
INDEX_BYTES = 4  # of each entry of a sparse matrix


class Parameters(dict):
    """A layer's parameters, {name: array}, in the order of theta, or its buffers. The arrays are views of a network's theta, and
    plans point into them: write into them (``params["W"] *= 2`` does), they cannot be exchanged."""

    def _refuse(self, *arguments, **more):
        raise TypeError(
            "params and buffers cannot be exchanged, for others hold them; write into them: params['W'][...] = values"
        )

    __delitem__ = __ior__ = update = pop = popitem = clear = setdefault = _refuse

    def __setitem__(self, name, array):
        if name not in self or self[name] is not array:  # which is what `params[name] += 1` puts back
            self._refuse()

    def __reduce__(self):
        return Parameters, (dict(self),)


class Layer(Fixed):
    """What all layers have. params: name -> array, the parameters in the order of theta; all float32 or all float64, C order.
    dtype: theirs; None without any, for then it is that of x. buffers: name -> array, likewise, what belongs to the layer and is no
    parameter, such as running statistics: derivatives are not taken by it, and only training steps change it.

    A subclass calls ``super().__init__(params)``, reads its parameters from ``self.params`` each time (a network puts views of its
    theta there) and defines

        output_shape(shape)         the shape of one sample of y from that of x; ValueError if x cannot have it
        evaluate(x)                 (y, kept): the forward map of samples x (m, ...), and whatever mv and tmv need of it
        mv(kept, directions)        J times {variable: direction}, the sum over those given: an array of y's shape
        tmv(kept, v, wrt)           J' v for each variable in wrt: {variable: array of its shape}

    where a variable is "x" or the name of a parameter. One that has buffers (``super().__init__(params, buffers)``; in the dtype of
    params, copied if they have another) or is another function in training than afterwards may also define

        for_training()              the layer that training steps linearize, of the same params and buffers; by default itself
        update_buffers(kept)        writes into the buffers what a training step changes of them; kept as of evaluate
        couples_samples             True where a sample of y depends on other samples of x than its own
        check_batch(m, shape)       ValueError where no training step can be made with m samples of this shape; asked of what
                                    for_training gives

    Attributes of its own it may have and change as it likes, but none that a base class of fastlec's defines.
    """

    couples_samples = False
    dtype = None
    _needs = ("output_shape", "evaluate", "mv", "tmv")

    def __init__(self, params=None, buffers=None):
        params, buffers = as_parameters(params, "params"), as_parameters(buffers, "buffers")
        dtype = one_dtype(params)
        for name in params.keys() & {"x", "out"}:
            raise ValueError(f"params has the name {name!r}, which means something else to mv and tmv; expected another one")
        if params.keys() & buffers.keys():
            raise ValueError(f"buffers has the names {list(buffers)}; expected others than those of params")
        buffers = Parameters({name: a.astype(dtype or a.dtype, copy=False) for name, a in buffers.items()})
        vars(self).update(params=params, dtype=dtype, buffers=buffers)

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

    def output_shape(self, shape):
        """The shape of one sample of y for samples x of this shape. ValueError if the layer takes no such samples."""
        raise self._undefined("output_shape")

    def evaluate(self, x):
        """(y, kept) of samples x."""
        raise self._undefined("evaluate")

    def mv(self, kept, directions):
        """J times the directions, a dict of arrays by variable: their sum, of y's shape."""
        raise self._undefined("mv")

    def tmv(self, kept, v, wrt):
        """{variable: J' v} for the variables wrt."""
        raise self._undefined("tmv")

    def fits(self, shape):
        """`output_shape` as far as it is known beforehand: lengths that are not known are None, and so is a shape of which nothing
        is known. ValueError if the layer takes no such samples."""
        return None if shape is None or None in shape else self._shape_after(shape)

    def check_batch(self, m, shape):
        """ValueError where no training step can be made with m samples of this shape."""

    def for_training(self):
        """The layer that trains, which has the same params and buffers."""
        return self

    def update_buffers(self, kept):
        """What a training step changes of the buffers, from what evaluate kept of its batch."""

    def __repr__(self):
        settings = getattr(self, "config", dict)()
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in settings.items())})"

    @property
    def n_params(self):
        """How many numbers all parameters hold."""
        return sum(a.size for a in self.params.values())

    @property
    def variables(self):
        """The names that derivatives are taken by: "x", then those of the parameters."""
        return ("x", *self.params)

    def with_params(self, params):
        """The same layer with other arrays for its parameters, which must have the names and shapes of its own; it shares the
        buffers, unless the dtype is another one."""
        check_params(self.params, params)
        other = copy.copy(self)
        Layer.__init__(other, params, self.buffers)
        return other

    def prepared(self, x):
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

    def __call__(self, x, *, out=None):
        """y = f(theta, x) for samples x (m, ...). out : array of y's shape and dtype, or None for a new one."""
        layer, x = self.prepared(x)
        return _check.through(out, layer._evaluated(x)[0])

    def linearize(self, x):
        """(y, jac): the forward map and its `Jacobian` at x. jac keeps x, y and the parameters; none of them may be changed
        while it is in use."""
        layer, x = self.prepared(x)
        y, kept = layer._evaluated(x)
        return y, layer.jacobian(x, y, kept)

    def _shape_after(self, shape):
        """What a user's `output_shape` gives, checked: a tuple of integers."""
        found = self.output_shape(shape)
        try:
            return tuple(map(operator.index, found))
        except TypeError:
            what = f"{type(self).__name__}.output_shape gave {_check.shown(found)}"
            raise TypeError(f"{what}; expected a tuple of integers") from None

    def _evaluated(self, x):
        """What a user's `evaluate` gives, checked."""
        result = self.evaluate(x)
        if not isinstance(result, tuple) or len(result) != 2:
            raise TypeError(f"{type(self).__name__}.evaluate gave a {type(result).__name__}; expected a pair (y, kept)")
        shape = (len(x), *self._shape_after(x.shape[1:]))
        return own_result(self, "evaluate", result[0], shape, x.dtype, ", by output_shape"), result[1]

    def jacobian(self, x, y, kept):
        """The Jacobian object of what `evaluate` gave."""
        return Jacobian(self, x, y, kept)

    def explicit(self, kept, name):
        """The Jacobian by a variable as a matrix (y.size, variable's size), dense or a scipy.sparse array in CSR form, where there
        is a formula for it, else None."""
        return None

    def nonzeros(self, kept, name):
        """How many entries `explicit` stores at most, where that is a sparse array, else None."""
        return None

    def jac_mv(self, x, /, **directions):
        """JacMV in one call: J(x) times the directions, by variable: jac_mv(x, W=dW, x=dx)."""
        return self.linearize(x)[1].mv(**directions)

    def value_and_jac_mv(self, x, /, **directions):
        """(y, J(x) times the directions) in one call."""
        y, jac = self.linearize(x)
        return y, jac.mv(**directions)

    def jac_tmv(self, x, v, /, wrt=None):
        """JacTMV in one call: {variable: J(x)' v} for the variables wrt, by default all."""
        return self.linearize(x)[1].tmv(v, wrt)


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
        return self._tmv(self._plain(v, "v", self.y.shape), wrt, out)

    def plain_directions(self, directions):
        """The directions, checked, as the kernels take them."""
        if not directions:
            raise ValueError(f"no direction is given; expected one or more of {', '.join(self.variables)}")
        return {name: self._plain(a, name, self.shape_of(name)) for name, a in directions.items()}

    def _mv(self, directions, out):
        dy = own_result(self.layer, "mv", self.layer.mv(self.kept, directions), self.y.shape, self.y.dtype)
        return _check.through(out, dy)

    def _tmv(self, v, wrt, out):
        found, kind = self.layer.tmv(self.kept, v, wrt), type(self.layer).__name__
        if not isinstance(found, Mapping):
            raise TypeError(f"{kind}.tmv gave a {type(found).__name__}; expected a dict of arrays by variable")
        for name in wrt:
            if name not in found:
                raise ValueError(f"{kind}.tmv gave nothing for {name!r}; expected arrays for {', '.join(wrt)}")
        result = {
            name: own_result(self.layer, f"tmv by {name!r}", found[name], self.shape_of(name), self.y.dtype) for name in wrt
        }
        return {name: _check.fill(out.get(name), a) for name, a in result.items()}

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

    def _plain(self, a, name, shape):
        a = _check.as_array(a, name)
        if a.shape != shape:
            raise ValueError(f"{name} has shape {a.shape}; expected {shape}")
        _check.float_dtype(a.dtype, name)
        return _check.plain(a, self.y.dtype, name)


class PlannedJacobian(Jacobian):
    """The Jacobian of a planned layer: one list of jobs for all the variables that are asked for."""

    def _mv(self, directions, out):
        if "mv" in self.layer._overridden:
            return super()._mv(directions, out)
        plan = Plan(self.y.dtype.num)
        others = (self.x, self.y, *directions.values(), *self.layer.params.values())
        dy = _check.kernel_output(out, self.y.shape, self.y.dtype, plan, others)
        self.layer.plan_mv(plan, self.kept, directions, dy)
        plan.run()
        return dy if dy is out else _check.fill(out, dy)

    def _tmv(self, v, wrt, out):
        if "tmv" in self.layer._overridden:
            return super()._tmv(v, wrt, out)
        plan = Plan(self.y.dtype.num)
        inputs = (v, self.x, self.y, *self.layer.params.values())
        own = _check.apart({name: out[name] for name in wrt if name in out}, inputs)
        results = {name: own[name] if name in own else plan.empty(*self.shape_of(name)) for name in wrt}
        self.layer.plan_tmv(plan, self.kept, v, self.split(results))
        plan.run()
        return {name: a if a is out.get(name) else _check.fill(out.get(name), a) for name, a in results.items()}

    def split(self, results):
        """{variable of the layer: array} for what tmv fills."""
        return results


class PlannedLayer(Layer):
    """A layer that says which jobs compute it, so that a network of such layers is one list of jobs. Its methods add to a plan:

        plan_forward(plan, x, y)                   fills y; returns what the other two need (kept)
        plan_mv(plan, kept, directions, dy)        fills dy with J times the directions
        plan_tmv(plan, kept, v, out, update=False, fold=None, folded=False)
            fills out, {variable: array}, with J' v. update: the arrays of parameters are the parameters themselves, and take the
            optimizer's step. fold: (op, y) asks for J' v * op'(y) in out["x"]: the derivative of the activation below, whose
            value y is. folded: v is multiplied by the derivative of `outermost` already.
        plan_buffers(plan, kept)                   where there are buffers: `update_buffers` as jobs

    outermost : the kernels' number of the activation that is applied last, or None.
    reshapes : whether y is x in another shape, so that within a network it takes no job.
    planned : False where a subclass outside fastlec has methods of its own that the jobs would pass over: it is then used as any
    layer of the user's own is. One that says itself which jobs there are has no attributes that can be changed, for plans are kept.
    """

    outermost = None
    reshapes = False
    planned = True
    input_shape = None
    _needs = ("output_shape", "plan_forward", "plan_mv", "plan_tmv")
    _overridden, _plans_itself = frozenset(), False

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        definers = {name: next(base for base in cls.__mro__ if name in vars(base)) for name in _CONTRACT + _PLANNING}
        own = {name for name, base in definers.items() if not getattr(base, "_of_fastlec", False)}
        cls._overridden = own.intersection(_CONTRACT)
        cls.planned = not cls._overridden
        cls._plans_itself = cls.planned and not own.isdisjoint(_PLANNING)

    def _is_fixed(self, name):
        return self._plans_itself or super()._is_fixed(name)

    def _instead(self, name):
        if name in getattr(self, "config", dict)():
            return f"make another layer, layer.with_settings({name}=...), which has the same parameters, and networks of that"
        return super()._instead(name)

    def with_settings(self, **settings):
        """A layer of the same class and settings but for these, arguments of its constructor, with the parameters and buffers of
        this one, which it shares. ValueError if it has other parameters, or of other shapes."""
        other = type(self)(**self.config() | settings)
        check_params(other.params, self.params)
        Layer.__init__(other, self.params, self.buffers)
        return other

    def fits(self, shape):
        if not type(self)._of_fastlec:
            return super().fits(shape)
        expected = self.input_shape
        if expected is not None:
            shape = expected if shape is None else shape
            if len(shape) != len(expected) or any(n not in (None, k) for n, k in zip(shape, expected, strict=True) if k):
                raise ValueError(f"x has samples of shape {_known(shape)}; expected {_known(expected)}")
            shape = tuple(k or n for n, k in zip(shape, expected, strict=True))
        return self._partly(shape) if shape is None or None in shape else self.output_shape(shape)

    def _partly(self, shape):
        """`fits` where not all lengths are known."""
        return None

    def plan_forward(self, plan, x, y):
        raise self._undefined("plan_forward")

    def plan_mv(self, plan, kept, directions, dy):
        raise self._undefined("plan_mv")

    def plan_tmv(self, plan, kept, v, out, update=False, fold=None, folded=False):
        raise self._undefined("plan_tmv")

    def plan_buffers(self, plan, kept):
        pass

    @staticmethod
    def buffer_shapes(**config):
        """{name: shape} of the buffers for the constructor's arguments."""
        return {}

    def update_buffers(self, kept):
        if self.buffers:
            plan = Plan(next(iter(self.buffers.values())).dtype.num)
            self.plan_buffers(plan, kept)
            plan.run()

    def __call__(self, x, *, out=None):
        if not self.planned:
            return super().__call__(x, out=out)
        layer, x = self.prepared(x)
        plan = Plan(x.dtype.num)
        y = _check.kernel_output(out, (len(x), *layer.output_shape(x.shape[1:])), x.dtype, plan, (x, *layer.params.values()))
        layer.plan_forward(plan, x, y)
        plan.run()
        return y if y is out else _check.fill(out, y)

    __call__.__doc__ = Layer.__call__.__doc__

    def evaluate(self, x):
        plan = Plan(x.dtype.num)
        y = plan.empty(len(x), *self.output_shape(x.shape[1:]))
        kept = self.plan_forward(plan, x, y)
        plan.run()
        return y, kept

    def _shape_after(self, shape):
        return self.output_shape(shape) if type(self)._of_fastlec else super()._shape_after(shape)

    def _evaluated(self, x):
        return self.evaluate(x) if self.planned else super()._evaluated(x)

    def value_and_jac_mv(self, x, /, **directions):
        """(y, J(x) times the directions) in one call: the forward map and the derivative by x share what is packed of W."""
        if not self.planned:
            return super().value_and_jac_mv(x, **directions)
        layer, x = self.prepared(x)
        plan = Plan(x.dtype.num)
        y = plan.empty(len(x), *layer.output_shape(x.shape[1:]))
        jac = layer.jacobian(x, y, layer.plan_forward(plan, x, y))
        dy = plan.empty(*y.shape)
        layer.plan_mv(plan, jac.kept, jac.plain_directions(directions), dy)
        plan.run()
        return y, dy

    def jacobian(self, x, y, kept):
        return PlannedJacobian(self, x, y, kept)

    def linearize(self, x):
        """(y, jac): the forward map and its `Jacobian` at x. jac keeps x, y and the parameters: y is read-only, the others must not
        be changed while jac is in use."""
        y, jac = super().linearize(x)
        if isinstance(jac, PlannedJacobian):
            y.flags.writeable = False  # its slopes are taken from it
        return y, jac


def as_parameters(arrays, what):
    """Parameters or buffers as layers hold them; what: which of them. TypeError or ValueError for what cannot be such."""
    if not isinstance(arrays, Mapping | None):
        raise TypeError(f"{what} is a {type(arrays).__name__}; expected a dict of arrays by name")
    for name in arrays or {}:
        if not isinstance(name, str):
            raise TypeError(f"{what} has the name {_check.shown(name)}; expected text")
    return Parameters({name: _check.parameter(a, f"{what}[{name!r}]") for name, a in (arrays or {}).items()})


def one_dtype(params):
    """Theirs, None of no parameters. TypeError where there are two."""
    dtypes = {a.dtype for a in params.values()}
    if len(dtypes) > 1:
        raise TypeError(f"params have dtypes {sorted(map(str, dtypes))}; expected one of them for all")
    return dtypes.pop() if dtypes else None


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


def _known(shape):
    """A shape as text, with letters for the lengths that are not known."""
    letters = "chw" if len(shape) == 3 else len(shape) * "n"
    lengths = [letter if n is None else str(n) for n, letter in zip(shape, letters, strict=True)]
    return f"({', '.join(lengths)}{',' if len(shape) == 1 else ''})"


def check_params(own, params):
    """ValueError unless params has the names and shapes of a layer's own."""
    if not isinstance(params, Mapping):
        raise TypeError(f"params is a {type(params).__name__}; expected a dict of arrays by name")
    if list(params) != list(own):
        raise ValueError(f"params has the names {_check.shown(list(params))}; expected {list(own)}")
    for name, array in params.items():
        shape = _check.as_array(array, f"params[{name!r}]").shape
        if shape != own[name].shape:
            raise ValueError(f"params[{name!r}] has shape {shape}; expected {own[name].shape}")


def activation_code(activation):
    """The kernels' number of an activation. ValueError for a name that there is not."""
    return ACTIVATIONS[_check.choice(activation, ACTIVATIONS, "activation")]


def setting(activation, dtype, rng):
    """(code, dtype, generator), checked."""
    return activation_code(activation), _check.layer_dtype(dtype), _check.generator(rng)


def times(fold, **parts):
    """The epilogue with these parts that multiplies by the derivative of the activation below, fold: (op, y), or None for none."""
    op, y = fold or (epilogue.IDENTITY, None)
    return epilogue.Epilogue(derivative=op, of=y, **parts)


def slope_of(y, op):
    """sigma'(z) from y = sigma(z), for explicit Jacobians."""
    if op == epilogue.TANH:
        return 1 - y * y
    if op == epilogue.SIGMOID:
        return y - y * y
    if op == epilogue.RELU:
        return np.where(y > 0, 1, np.where(np.isnan(y), y, 0)).astype(y.dtype)
    return np.ones_like(y)


def initial_weights(rng, n_out, n_in, dtype, gain=1.0):
    """Random weights (n_out, n_in): normal of variance gain^2 / n_in, so that sums over the inputs keep their size (LeCun et al.
    1998; gain sqrt(2) for relu: He et al. 2015)."""
    _check.memory(n_out * n_in * (8 + dtype.itemsize), f"weights of shape ({n_out}, {n_in})")  # drawn, then rounded
    scale = gain / np.sqrt(n_in)
    return np.ascontiguousarray((scale * rng.standard_normal((n_out, n_in))).astype(dtype))
