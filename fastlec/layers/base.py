"""The contract of every layer y = f(theta, x) (lecture chapters 3 and 4): forward map, Jacobian times a vector, its transpose.

    y = layer(x)                           forward
    y, jac = layer.linearize(x)            forward, with what the derivative needs kept in jac, nothing in the layer
    dy = jac.mv(x=dx, W=dW)                JacMV: the sum over the directions given
    g = jac.tmv(v)                         JacTMV: {"x": ..., "W": ...}; jac.tmv(v, wrt=("W",)) computes only those

A layer never changes when it is used, so two threads may use one at once. Samples are rows: x (m, n), y (m, k).

A layer of one's own is a subclass of `Layer` with four methods: `output_shape`, `evaluate`, `mv` and `tmv`. The layers of fastlec
are subclasses of `PlannedLayer`: they say which kernels to run instead, so that a network of them becomes one list of jobs.
"""

import copy
from collections.abc import Mapping

import numpy as np

from .. import _check
from .._kernels import plan as kernels

GAIN = {"relu": np.sqrt(2.0)}  # of weights before an activation, where it is not 1
RESIDUAL_GAIN = 0.1  # of W2: a deep network starts near the identity, and its steps stay bounded (Zhang, Dauphin and Ma 2019)
ACTIVATIONS = {"tanh": kernels.TANH, "sigmoid": kernels.SIGMOID, "relu": kernels.RELU, "identity": kernels.IDENTITY}
MATRIX_BYTES = 1 << 31
INDEX_BYTES = 4  # of each entry of a sparse matrix


class Parameters(dict):
    """A layer's parameters, {name: array}, in the order of theta, or its buffers. The arrays are views of a network's theta, and
    plans point into them: write into them, they cannot be exchanged."""

    def _refuse(self, *arguments, **more):
        raise TypeError(
            "params and buffers cannot be exchanged, for others hold them; write into them: params['W'][...] = values"
        )

    __setitem__ = __delitem__ = __ior__ = update = pop = popitem = clear = setdefault = _refuse

    def __reduce__(self):
        return Parameters, (dict(self),)


class Layer:
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
    """

    couples_samples = False

    def __init__(self, params=None, buffers=None):
        for name in ("x", "out"):
            if params and name in params:
                raise ValueError(
                    f"params has the name {name!r}, which means something else to mv and tmv; expected another one"
                )
        self.params = Parameters({name: _check.parameter(a, f"params[{name!r}]") for name, a in (params or {}).items()})
        dtypes = {a.dtype for a in self.params.values()}
        if len(dtypes) > 1:
            raise TypeError(f"params have dtypes {sorted(map(str, dtypes))}; expected one of them for all")
        self.dtype = dtypes.pop() if dtypes else None
        buffers = {name: _check.parameter(a, f"buffers[{name!r}]") for name, a in (buffers or {}).items()}
        if self.params.keys() & buffers.keys():
            raise ValueError(f"buffers has the names {list(buffers)}; expected others than those of params")
        self.buffers = Parameters({name: a.astype(self.dtype or a.dtype, copy=False) for name, a in buffers.items()})

    def output_shape(self, shape):
        """The shape of one sample of y for samples x of this shape. ValueError if the layer takes no such samples."""
        raise NotImplementedError

    def evaluate(self, x):
        """(y, kept) of samples x."""
        raise NotImplementedError

    def mv(self, kept, directions):
        """J times the directions, a dict of arrays by variable: their sum, of y's shape."""
        raise NotImplementedError

    def tmv(self, kept, v, wrt):
        """{variable: J' v} for the variables wrt."""
        raise NotImplementedError

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
        self.output_shape(x.shape[1:])
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
        return _check.through(out, layer.evaluate(x)[0])

    def linearize(self, x):
        """(y, jac): the forward map and its `Jacobian` at x. jac keeps x, y and the parameters; none of them may be changed
        while it is in use."""
        layer, x = self.prepared(x)
        y, kept = layer.evaluate(x)
        return y, layer.jacobian(x, y, kept)

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

    def __init__(self, layer, x, y, kept):
        self.layer, self.x, self.y, self.kept = layer, x, y, kept

    @property
    def variables(self):
        """The names that mv, tmv, operator and matrix know."""
        return self.layer.variables

    def shape_of(self, name):
        """The shape of a variable."""
        if name not in self.variables:
            raise ValueError(f"there is no variable {_check.shown(name)}; expected one of {', '.join(self.variables)}")
        return self.x.shape if name == "x" else self.layer.params[name].shape

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
        dy = self.layer.mv(self.kept, directions)
        self._own_result("mv", dy, self.y.shape)
        return _check.through(out, dy)

    def _own_result(self, method, array, shape):
        """A user's layer may give anything."""
        if np.shape(array) != shape:
            raise ValueError(f"{type(self.layer).__name__}.{method} gave shape {np.shape(array)}; expected {shape}")

    def _tmv(self, v, wrt, out):
        result = self.layer.tmv(self.kept, v, wrt)
        for name in wrt:
            self._own_result(f"tmv by {name!r}", result[name], self.shape_of(name))
        return {name: _check.fill(out.get(name), result[name]) for name in wrt}

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
        plan = kernels.Plan(self.y.dtype.num)
        others = (self.x, self.y, *directions.values(), *self.layer.params.values())
        dy = _check.kernel_output(out, self.y.shape, self.y.dtype, plan, others)
        self.layer.plan_mv(plan, self.kept, directions, dy)
        plan.run()
        return dy if dy is out else _check.fill(out, dy)

    def _tmv(self, v, wrt, out):
        plan = kernels.Plan(self.y.dtype.num)
        inputs = (v, self.x, self.y, *self.layer.params.values())
        results = {}
        for name in wrt:
            taken = _check.kernel_output(out.get(name), self.shape_of(name), self.y.dtype, plan, (*inputs, *results.values()))
            results[name] = taken
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
    """

    outermost = None
    reshapes = False

    def plan_forward(self, plan, x, y):
        raise NotImplementedError

    def plan_mv(self, plan, kept, directions, dy):
        raise NotImplementedError

    def plan_tmv(self, plan, kept, v, out, update=False, fold=None, folded=False):
        raise NotImplementedError

    def plan_buffers(self, plan, kept):
        pass

    @staticmethod
    def buffer_shapes(**config):
        """{name: shape} of the buffers for the constructor's arguments."""
        return {}

    def update_buffers(self, kept):
        if self.buffers:
            plan = kernels.Plan(next(iter(self.buffers.values())).dtype.num)
            self.plan_buffers(plan, kept)
            plan.run()

    def __call__(self, x, *, out=None):
        layer, x = self.prepared(x)
        plan = kernels.Plan(x.dtype.num)
        y = _check.kernel_output(out, (len(x), *layer.output_shape(x.shape[1:])), x.dtype, plan, (x, *layer.params.values()))
        layer.plan_forward(plan, x, y)
        plan.run()
        return y if y is out else _check.fill(out, y)

    __call__.__doc__ = Layer.__call__.__doc__

    def evaluate(self, x):
        plan = kernels.Plan(x.dtype.num)
        y = plan.empty(len(x), *self.output_shape(x.shape[1:]))
        kept = self.plan_forward(plan, x, y)
        plan.run()
        return y, kept

    def value_and_jac_mv(self, x, /, **directions):
        """(y, J(x) times the directions) in one call: the forward map and the derivative by x share what is packed of W."""
        layer, x = self.prepared(x)
        plan = kernels.Plan(x.dtype.num)
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


def check_params(own, params):
    """ValueError unless params has the names and shapes of a layer's own."""
    if list(params) != list(own):
        raise ValueError(f"params has the names {list(params)}; expected {list(own)}")
    for name, array in params.items():
        if np.shape(array) != own[name].shape:
            raise ValueError(f"params[{name!r}] has shape {np.shape(array)}; expected {own[name].shape}")


def activation_code(activation):
    """The kernels' number of an activation. ValueError for a name that there is not."""
    if not isinstance(activation, str) or activation not in ACTIVATIONS:
        raise ValueError(f"activation is {_check.shown(activation)}; expected one of {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[activation]


def setting(activation, dtype, rng):
    """(code, dtype, generator), checked."""
    return activation_code(activation), _check.layer_dtype(dtype), _check.generator(rng)


def slope_of(y, op):
    """sigma'(z) from y = sigma(z), for explicit Jacobians."""
    if op == kernels.TANH:
        return 1 - y * y
    if op == kernels.SIGMOID:
        return y - y * y
    if op == kernels.RELU:
        return np.where(y > 0, 1, np.where(np.isnan(y), y, 0)).astype(y.dtype)
    return np.ones_like(y)


def initial_weights(rng, n_out, n_in, dtype, gain=1.0):
    """Random weights (n_out, n_in): normal of variance gain^2 / n_in, so that sums over the inputs keep their size (LeCun et al.
    1998; gain sqrt(2) for relu: He et al. 2015)."""
    _check.memory(n_out * n_in * (8 + dtype.itemsize), f"weights of shape ({n_out}, {n_in})")  # drawn, then rounded
    scale = gain / np.sqrt(n_in)
    return np.ascontiguousarray((scale * rng.standard_normal((n_out, n_in))).astype(dtype))
