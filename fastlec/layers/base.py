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

import copy
import math
import operator

import numpy as np

from .. import _check
from .._fixed import Fixed
from .._kernels.calls import Calls
from .jacobian import Jacobian, own_result
from .parameters import Parameters, as_parameters, check_params, one_dtype, views
from .registry import described


class Layer(Fixed):
    """What all layers have. params: name -> array, the parameters in the order of theta; all float32 or all float64, C order.
    dtype: theirs; None without any, for then it is that of x. buffers: name -> array, likewise, what belongs to the layer and is no
    parameter, such as running statistics: derivatives are not taken by it, and only training steps change it.

    A subclass calls ``super().__init__(params)``, reads its parameters from ``self.params`` each time (a network puts views of its
    theta there) and defines

        output_shape(shape)         the shape of one sample of y from that of x; ValueError if x cannot have it
        evaluate(x)                 (y, kept): the forward map of samples x (m, ...), which is read-only, and what mv and tmv need
        mv(kept, directions)        J times {variable: direction}, the sum over those given: an array of y's shape
        tmv(kept, v, wrt)           J' v for each variable in wrt: {variable: array of its shape}

    where a variable is "x" or the name of a parameter. One that has buffers (``super().__init__(params, buffers)``; in the dtype of
    params, copied if they have another) or is another function in training than afterwards may also define

        hessian_mv(kept, v, directions, wrt)    the derivative of tmv(kept, v, wrt) along the directions; by default differences
        for_training()              the layer that training steps linearize, of the same params and buffers; by default itself
        update_buffers(kept)        writes into the buffers what a training step changes of them; kept as of evaluate
        couples_samples             True where a sample of y depends on other samples of x than its own
        input_shape                 the shape of one sample of x, with None for each length that may be any; None: it may be any
        affine_in_theta             True where y is an affine function of the parameters, for every x
        linear_in_x                 True where y is an affine function of x, for all parameters
        changes_untrained           True where training steps use the form for training, and change the buffers, whatever is trained
        check_batch(m, shape)       ValueError where no training step can be made with m samples of this shape; asked of what
                                    for_training gives

    Attributes of its own it may have and change as it likes, but none that a base class of fastlec's defines.
    """

    couples_samples = affine_in_theta = linear_in_x = changes_untrained = False
    dtype = input_shape = None
    _depth = 0  # of networks within it
    _needs = ("output_shape", "evaluate", "mv", "tmv")

    def __init__(self, params=None, buffers=None):
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

    def _fits(self, shape):
        """`output_shape` as far as it is known beforehand: lengths that are not known are None, and so is a shape of which nothing
        is known. ValueError if the layer takes no such samples."""
        shape = self.input_shape if shape is None else shape
        return None if shape is None or None in shape else self._shape_after(shape)

    def check_batch(self, m, shape):
        """ValueError where no training step can be made with m samples of this shape."""

    def for_training(self):
        """The layer that trains, which has the same params and buffers."""
        return self

    def update_buffers(self, kept):
        """What a training step changes of the buffers, from what evaluate kept of its batch."""

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

    def __call__(self, x, *, out=None):
        """y = f(theta, x) for samples x (m, ...). out : array of y's shape and dtype, or None for a new one."""
        layer, x = self._prepared(x)
        return _check.through(out, layer._evaluated(x)[0])

    def linearize(self, x):
        """(y, jac): the forward map and its `Jacobian` at x. jac keeps x, y and the parameters; none of them may be changed
        while it is in use."""
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
