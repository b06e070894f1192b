"""A network is a layer made of layers (lecture eq. 19 and 20), with all parameters in one flat vector theta.

Its derivative is back-propagation (chapter 4): from the last layer to the first, each layer's JacTMV. Where all layers are
fastlec's own, forward and backward pass are one list of jobs each, run by one call.
"""

import numpy as np

from .. import _check
from .._kernels.calls import Calls, key_of
from .._kernels.plan import Plan
from ..layers.base import Layer
from ..layers.parameters import Parameters, as_parameters, check_params, joined, one_dtype
from ..layers.planned import PlannedLayer, multiply, reshaped
from ..layers.registry import kind
from ..layers.samples import Within
from .forward import chunk_size
from .jacobian import NetworkJacobian, PlannedNetworkJacobian
from .prediction import predicted, probabilities

_BOUND = {
    "params",
    "buffers",
    "dtype",
    "layers",
    "planned",
    "_theta",
    "_depth",
    "_calls",
}  # what follows from layers and theta
MOST_IDLE = 8  # plans that are kept for the next call, of all shapes and dtypes
IDLE_BYTES = 1 << 26  # what they may hold
MOST_DEPTH = 64  # networks within networks: each level takes some of Python's stack


class Layers(tuple):
    """A network's layers: they were put together once, and cannot be exchanged. What is cut out of them takes more from any list or
    tuple: ``net.layers[:-1] + [Dense(...)]``."""

    def __getitem__(self, which):
        found = super().__getitem__(which)
        return Layers(found) if isinstance(which, slice) else found

    def __add__(self, more):
        return Layers((*self, *more))

    def __radd__(self, more):
        return Layers((*more, *self))

    def _refuse(self, *arguments, **more):
        raise TypeError(
            "a network's layers cannot be exchanged; make a new one, which copies their parameters: "
            "Network([*net.layers[:-1], Dense(...)])"
        )

    __setitem__ = __delitem__ = append = extend = insert = pop = remove = clear = reverse = sort = _refuse


@kind
class Network(PlannedLayer):
    """The layers one after the other.

    layers : a tuple of the layers, bound copies of those given: their parameters are views of theta. So one layer may be given to
    several networks, or twice to one, and each place has parameters of its own, which begin as the layer's.
    theta : (n_params,) float32 or float64, writeable; assigning copies into it.
    rng : a seed or numpy.random.Generator, from which every place draws weights of its own: one seed gives one network. Layers that
    were made with ``rng=``, assigned, loaded, or part of a network in training, even if that left them as they were, keep their
    parameters, and so do layers of your own. None: all keep them. The layers given never change.
    params : {"0.W": view, "0.b": view, "1.W1": ...} in theta's order; a network inside a network has names such as "2.0.W".
    buffers : {"1.running_mean": ...}, the layers' own arrays, copies of those of the layers given. A network that shares theta
    with another one (`with_theta` of its theta, `for_training`) shares them too; one that copies it has copies.

    Derivatives may also be taken by "theta", all parameters in one flat vector: jac.mv(theta=v), jac.tmv(u, "theta"),
    jac.operator("theta").

    >>> layers = [fastlec.Dense(2, 16), fastlec.Residual(16), fastlec.Dense(16, 3, "identity")]
    >>> net, same = (fastlec.Network(layers, rng=0) for _ in range(2))
    >>> bool((net.theta == same.theta).all())
    True

    A network cannot be changed but for theta, and what params and buffers hold: Network([*net.layers[:-1], Dense(...)]) is a new
    one with copies of what the other layers learnt. ValueError if the layers do not fit each other, as far as they tell, or
    networks are nested more than 64 deep. Of a subclass, copies of all kinds keep class and attributes; an attribute that is one of
    the layers given becomes the bound copy of it. `save` is for networks of fastlec's own.
    """

    takes_epilogue = True
    _still = frozenset()  # layers whose buffers training steps leave as they are

    def __init__(self, layers, rng=None):
        generator = None if rng is None else _check.generator(rng)
        try:
            layers = list(layers)
        except TypeError:
            raise TypeError(f"layers is a {type(layers).__name__}; expected a sequence of layers") from None
        if not layers:
            raise ValueError("layers is empty; expected one layer or more")
        for i, layer in enumerate(layers):
            if not isinstance(layer, Layer):
                kind = "type" if isinstance(layer, type) else type(layer).__name__
                raise TypeError(f"layers[{i}] is a {kind}; expected a Layer")
            if layer._depth >= MOST_DEPTH:
                raise ValueError(f"layers[{i}] nests networks {layer._depth} deep; expected at most {MOST_DEPTH - 1}")
        dtypes = {layer.dtype for layer in layers} - {None}
        if len(dtypes) > 1:
            raise TypeError(f"layers have dtypes {sorted(map(str, dtypes))}; expected one")
        _through(layers, None, lambda layer, shape: layer.fits(shape))
        self._bind_copies(layers)
        if generator is not None:
            try:
                self._draw(generator)
            except TypeError as error:
                what = f"rng is {_check.shown(rng)}; expected a seed (an integer >= 0), or a Generator that can be split"
                raise TypeError(f"{what}, such as numpy.random.default_rng(0): {error}") from None

    def _bind_copies(self, layers):
        self._bind(layers, joined([a for layer in layers for a in layer.params.values()]), own=True)

    def _draw(self, rng):
        for layer, stream in zip(self.layers, rng.spawn(len(self.layers)), strict=True):
            layer._draw(stream)

    def _copy_from(self, other):
        np.copyto(self._theta, other._theta)
        for a, b in zip(self.buffers.values(), other.buffers.values(), strict=True):
            np.copyto(a, b)

    def _keep_params(self):
        for layer in self.layers:
            layer._keep_params()

    def _bind(self, layers, theta, own=False, kept=()):
        """Takes theta as it is, and copies of the layers whose parameters are views of it. own: their buffers are copies too.
        kept: those of the layers that are taken as they are."""
        placed, params, buffers, start, kept = [], {}, {}, 0, set(map(id, kept))
        for i, layer in enumerate(layers):
            part = theta[start : start + layer.n_params]
            start += layer.n_params
            bound = layer if id(layer) in kept else layer._bound_to(part, own)
            placed.append(bound)
            params |= {f"{i}.{name}": a for name, a in bound.params.items()}
            buffers |= {f"{i}.{name}": a for name, a in bound.buffers.items()}
        super().__init__(params)
        copies = dict(zip(map(id, layers), placed, strict=True))
        vars(self).update({name: copies[id(a)] for name, a in vars(self).items() if id(a) in copies})  # a subclass's own
        planned = type(self).planned and all(isinstance(layer, PlannedLayer) and layer.planned for layer in placed)
        vars(self).update(
            layers=Layers(placed),
            buffers=Parameters(buffers),  # the very arrays
            planned=planned,
            _theta=theta,
            _depth=1 + max(layer._depth for layer in placed),
            _calls=Calls(MOST_IDLE, IDLE_BYTES),
        )

    def __getstate__(self):
        return {name: a for name, a in vars(self).items() if name not in _BOUND} | {"layers": list(self.layers)}

    def __setstate__(self, state):
        vars(self).update(state)
        self._bind_copies(vars(self).pop("layers"))

    def _instead(self, name):
        if name == "layers":
            return "make a new Network, which copies their parameters: Network([*net.layers[:-1], Dense(...)])"
        return Layer._instead(self, name)

    def with_settings(self, **settings):
        """Refused: a network has no settings but its layers'."""
        raise TypeError("a Network has no settings; make a new one of other layers: Network([...])")

    @property
    def couples_samples(self):
        """Whether a sample of y depends on other samples of x than its own: where a layer says so."""
        return any(layer.couples_samples for layer in self.layers)

    @property
    def theta(self):
        """All parameters, flat: the array that the layers' parameters are views of."""
        return self._theta

    @theta.setter
    def theta(self, theta):
        theta, _ = _check.vector(theta, self.n_params, self._theta.dtype, "theta", "all parameters of the network")
        self._theta[...] = theta

    def with_theta(self, theta):
        """A network of the same layers and buffers whose parameters are views of this array, (n_params,) in C order; it is not
        copied if it has the network's dtype."""
        theta, _ = _check.vector(theta, self.n_params, self._theta.dtype, "theta", "all parameters of the network")
        return self._bound_to(theta)

    def with_params(self, params):
        """The same network with other parameters, which are copied into a theta of its own, and with copies of the buffers."""
        check_params(self.params, params)
        params = as_parameters(params, "params")
        one_dtype(params)
        return self._bound_to(joined(list(params.values())), own=True)

    def astype(self, dtype):
        """A copy of the network that computes in float32 or float64: parameters and buffers are converted. Of a layer of your own
        these as well, but nothing else that it holds. ValueError where float32 cannot hold a number.

        >>> net = fastlec.Network([fastlec.Dense(2, 3)], rng=0)
        >>> net.astype("float32").theta.dtype
        dtype('float32')
        """
        dtype = _check.layer_dtype(dtype)
        most = np.finfo(dtype).max
        for name, a in (self.params | self.buffers).items():
            if (np.isfinite(a) & (np.abs(a) > most)).any():
                raise ValueError(f"{name} has numbers that {dtype} cannot hold; expected at most {most:.3g}")
        return self.with_params({name: a.astype(dtype) for name, a in self.params.items()})

    def for_training(self, trainable=None):
        """The network that training steps linearize, on the same theta and buffers: itself unless a layer says otherwise.

        trainable : names of parameters and buffers, by default all. A layer that has some, but none of these, stays what net(x)
        makes of it, and `plan_buffers` and `update_buffers` pass it by.
        """
        names = () if trainable is None else _check.names(trainable, "trainable")
        layers, still, by_layer = [], set(), _by_layer(dict.fromkeys(names))
        for i, layer in enumerate(self.layers):
            own = None if trainable is None else by_layer.get(i, ())
            if own == () and (layer.params or layer.buffers):
                still.add(i)
                layers.append(layer)
                continue
            form = layer._for_training(own)
            if not isinstance(form, Layer):
                raise TypeError(f"{type(layer).__name__}.for_training gave a {type(form).__name__}; expected a Layer")
            layers.append(form)
        same = [form for form, layer in zip(layers, self.layers, strict=True) if form is layer]
        if not still and len(same) == len(layers):
            return self
        form = self._bound_to(self._theta, layers=layers, kept=same)
        vars(form)["_still"] = frozenset(still)
        return form

    def _for_training(self, trainable):
        return self.for_training(trainable)

    def part(self, first, last):
        """The network of the layers first to last - 1, the very same, on their part of theta."""
        layers, start = self.layers[first:last], sum(layer.n_params for layer in self.layers[:first])
        theta = self._theta[start : start + sum(layer.n_params for layer in layers)]
        made = object.__new__(Network)
        made._bind(layers, theta, kept=layers)
        vars(made)["_still"] = frozenset(i - first for i in self._still if first <= i < last)
        return made

    def _bound_to(self, theta, own=False, layers=None, kept=()):
        other = object.__new__(type(self))
        vars(other).update(vars(self))
        other._bind(self.layers if layers is None else layers, theta, own, kept)
        return other

    @property
    def input_shape(self):
        """The shape of one sample of x, as far as the first layer tells it."""
        return self.layers[0].input_shape

    def fits(self, shape):
        return _through(self.layers, shape, lambda layer, shape: layer.fits(shape))

    def output_shape(self, shape):
        return _through(self.layers, shape, lambda layer, shape: layer._shape_after(shape))

    def check_batch(self, m, shape):
        def checked(layer, shape):
            layer.check_batch(m, shape)
            return layer._shape_after(shape)

        _through(self.layers, shape, checked)

    def _widest(self, shape):
        most = 1
        for layer in self.layers:
            most, shape = max(most, layer._widest(shape)), layer.output_shape(shape)
        return most

    def _values(self, shape):
        total = 0
        for layer in self.layers:
            total, shape = total + layer._values(shape), layer.output_shape(shape)
        return total

    @property
    def affine_in_theta(self):
        """Whether f(theta, x) is affine in theta: one layer, such as a `Dense` or `Conv2d` with "identity", has parameters and is
        affine in them, and what follows it is linear, without parameters: identities, `Flatten`, `AvgPool2d`."""
        first = next((i for i, layer in enumerate(self.layers) if layer.n_params), None)
        if first is None:
            return True
        following = self.layers[first + 1 :]
        return self.layers[first].affine_in_theta and all(layer.linear_in_x and not layer.n_params for layer in following)

    @property
    def linear_in_x(self):
        """Whether y is an affine function of x: where each layer says so."""
        return all(layer.linear_in_x for layer in self.layers)

    @property
    def outermost(self):
        """The activation that is applied last, below layers that reshape; None also where a layer is the user's own."""
        last = self._under(len(self.layers)) if self.planned else None
        return None if last is None else self.layers[last].outermost

    def outer_derivative(self, y, kept):
        last = self._under(len(self.layers))
        return None if last is None else reshaped(self.layers[last].outer_derivative(*kept[last][1:]), y.shape)

    def summary(self, input_shape=None):
        """A table of the layers: output of one sample, and parameters. input_shape : of one sample, such as (1, 28, 28); without it
        outputs are shown where the first layer tells its input, as dense layers do and those of images do not. ValueError if the
        layers take no such samples."""
        if input_shape is None:
            shape = self.input_shape
            shape = None if shape is None or None in shape else shape
        else:
            shape = tuple(_check.count(n, f"input_shape[{i}]", 1) for i, n in enumerate(_sizes(input_shape)))
            self.output_shape(shape)  # which tells the layer that does not fit
        rows = [("layer", "output", "parameters", "")]
        for i, layer in enumerate(self.layers):
            if shape is not None:
                shape = layer.output_shape(shape)
            parts = ", ".join(f"{name} {' x '.join(map(str, a.shape))}" for name, a in layer.params.items())
            output = "" if shape is None else "(m, " + ", ".join(map(str, shape)) + ")"
            kind = getattr(layer, "activation", "")
            rows.append((f"{i} {type(layer).__name__}" + (f" {kind}" if kind else ""), output, str(layer.n_params), parts))
        rows.append(("total", "", str(self.n_params), f"{self._theta.dtype}"))
        widths = [max(len(row[k]) for row in rows) for k in range(4)]
        lines = [f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}  {d}".rstrip() for a, b, c, d in rows]
        return "\n".join(lines)

    def __repr__(self):
        return f"{type(self).__name__}([{', '.join(map(repr, self.layers))}])"

    def config(self):
        """The arguments that make such a network. TypeError unless it and its layers are fastlec's own."""
        if type(self) is not Network:
            raise TypeError(f"a network is a {type(self).__name__}, which a file does not hold: save Network(net.layers)")
        return {"layers": [layer.described() for layer in self.layers]}

    def described(self):
        """The network as what JSON can hold."""
        return {"kind": "Network", **self.config()}

    def save(self, path):
        """Write layers and parameters to ``path``, an .npz or .safetensors file, all or nothing. Layers must be fastlec's own, or
        of classes that `register_layer` knows: for others save theta, and load it into a network that you build. io.ModelError if
        the file cannot be written."""
        from . import files  # late: io takes a tenth of the time that importing fastlec takes

        files.save(path, self)

    @classmethod
    def load(cls, path):
        """The network that `save` wrote, or that of a checkpoint of `fit`: the best one where early stopping restores that, else
        the last one. io.ModelError if any name, shape or dtype is not as it says."""
        if cls is not Network:
            raise TypeError(f"a file holds no {cls.__name__}; make one of Network.load(path).layers")
        from . import files

        return files.read(path)[0]

    # --- the layer's contract ----------------------------------------------------------------------------------------

    def __call__(self, x, *, out=None):
        """y = f(theta, x) for samples x (m, ...). out : array of y's shape and dtype, or None for a new one."""
        if not self.planned:
            return Layer.__call__(self, x, out=out)
        found = self._calls.call(key_of("y", (x,), ()), (x,), (out,))
        if found is not None:
            return found[0]
        net, x = self.prepared(x)
        size = chunk_size(net, x.shape[1:])
        if len(x) <= size:
            return net._filled(x, out)
        shape = len(x), *net.output_shape(x.shape[1:])
        y = _check.kernel_output(out, shape, x.dtype, Plan(x.dtype.num), (x, net.theta))
        for i in range(0, len(x), size):
            part = slice(i, i + size)
            net._filled(x[part], y[part])
        return y if y is out else _check.fill(out, y)

    def predict(self, X):
        """The class (m,) int64 of each sample of X (m, ...): that of the largest output, of equal ones the first. The network gives
        (m, l) outputs, l >= 2, one for each class, as for `SoftmaxCrossEntropy`.

        X is gone over in parts, and converted part by part, so it may be an np.memmap that is larger than memory. ValueError or
        TypeError for samples or a network that do not fit; ValueError, which names the sample, where an output is not finite.

        >>> X, y = fastlec.datasets.make_blobs(300, 3)
        >>> net = fastlec.Network([fastlec.Dense(2, 3, "identity")], rng=0)
        >>> history = fastlec.fit(net, X, y, optimizer=fastlec.SGD(0.5), epochs=20)
        >>> bool((net.predict(X) == y).mean() > 0.98)
        True
        """
        return predicted(self, X)

    def predict_proba(self, X):
        """The probability of every class for each sample of X (m, ...): softmax of the outputs (lecture eq. 10), (m, l), in the
        dtype of net(X). In parts, and with errors, as `predict`.

        >>> import numpy as np
        >>> net = fastlec.Network([fastlec.Dense(2, 3, "identity")], rng=0)
        >>> net.predict_proba(np.zeros((1, 2)))
        array([[0.33333333, 0.33333333, 0.33333333]])
        """
        return probabilities(self, X)

    def activations(self, x):
        """What every layer gives, one after the other, for samples x (m, ...): a list of new arrays, the last of them y."""
        net, x = self.prepared(x)
        values = []
        for layer in net.layers:
            x = layer(x)
            values.append(x)
        return values

    def evaluate(self, x):
        if self.planned:
            return super().evaluate(x)
        jacs = []
        for layer in self.layers:
            x, jac = layer.linearize(x)
            jacs.append(jac)
        return x, jacs

    def value_and_jac_mv(self, x, /, **directions):
        """(y, J(x) times the directions) in one call."""
        method = PlannedLayer.value_and_jac_mv if self.planned else Layer.value_and_jac_mv
        return method(self, x, **directions)

    def jacobian(self, x, y, kept):
        return (PlannedNetworkJacobian if self.planned else NetworkJacobian)(self, x, y, kept)

    def _reshapes(self, i):
        """Whether layer i takes no job: its y is a view of x. Not the last one, whose y is given."""
        return self.layers[i].reshapes and i < len(self.layers) - 1

    def _under(self, i):
        """The index of the layer that computes what layer i takes, below those that reshape; None for the network's x."""
        return next((j for j in range(i - 1, -1, -1) if not self.layers[j].reshapes), None)

    def plan_forward(self, plan, x, y):
        kept = []
        for i, layer in enumerate(self.layers):
            plan.layer, last = _label(i, layer), i == len(self.layers) - 1
            shape = (len(x), *layer.output_shape(x.shape[1:]))
            if self._reshapes(i):
                kept.append((x, x.reshape(shape), None))
            else:
                value = y if last else plan.empty(*shape)
                kept.append((x, value, layer.plan_forward(plan, x, value)))
            x = kept[-1][1]
        plan.layer = None
        return kept

    def plan_mv(self, plan, kept, directions, dy):
        self._plan_along(plan, kept, directions, dy, "plan_mv")

    def _plan_along(self, plan, kept, directions, dy, method):
        """{i: what a method of layer i that fills dy gave}, of the layers that are moved by the directions."""
        dx, by_layer, found = directions.get("x"), _by_layer(directions), {}
        for i, (layer, (_, y, own)) in enumerate(zip(self.layers, kept, strict=True)):
            given = by_layer.get(i, {}) | ({} if dx is None else {"x": dx})
            if given and self._reshapes(i):
                dx = dx.reshape(y.shape)
            elif given:
                dx = dy if i == len(self.layers) - 1 else plan.empty(*y.shape)
                found[i] = getattr(layer, method)(plan, own, given, dx)
        if dx is None:  # the direction is theta's, and there are no parameters
            zeros = plan.empty(*dy.shape)
            zeros[...] = 0
            multiply(plan, zeros, dy)
        return found

    def plan_tmv(self, plan, kept, v, out, after=None):
        """From the last layer to the lowest that something is wanted of. Before a layer gets v, it is multiplied by the derivative
        of that layer's activation: by the layer above, as its epilogue, or by a job."""
        by_layer, dx = _by_layer(out), out.get("x")
        lowest = -1 if "x" in out else min(by_layer, default=len(self.layers))
        for i in reversed(range(max(lowest, 0), len(self.layers))):
            layer, (x, _, own) = self.layers[i], kept[i]
            if layer.reshapes:
                v = v.reshape(x.shape)
                continue
            plan.layer = _label(i, layer)
            wanted, epilogue, under = by_layer.get(i, {}), None, self._under(i)
            if i > lowest:
                below = after if under is None else self.layers[under].outer_derivative(*kept[under][1:])
                epilogue = reshaped(below, x.shape)
                if layer.elementwise and under is not None and epilogue is None:
                    continue  # its derivative is in v, and there is no other
                wanted["x"] = dx.reshape(x.shape) if under is None else plan.empty(*x.shape)
            if layer.elementwise:
                multiply(plan, v, wanted["x"], epilogue)
            elif layer.takes_epilogue:
                layer.plan_tmv(plan, own, v, wanted, after=epilogue)
            else:
                layer.plan_tmv(plan, own, v, wanted)
                if epilogue is not None:
                    multiply(plan, wanted["x"], wanted["x"], epilogue)
            v = wanted.get("x")
        plan.layer = None
        if dx is not None and all(layer.reshapes for layer in self.layers):
            multiply(plan, v, dx, after)

    @property
    def plans_second(self):
        return self.planned and all(layer.plans_second for layer in self.layers)

    def plan_tangent(self, plan, kept, directions, dy):
        return self._plan_along(plan, kept, directions, dy, "plan_tangent")

    def plan_adjoint(self, plan, y, kept, v, out, wrt):
        by_layer, adjoints = _by_layer(dict.fromkeys(wrt)), {}

        def step(i, layer, y, own, v, wanted):
            adjoints[i] = layer.plan_adjoint(plan, y, own, v, wanted, ("x", *by_layer.get(i, ())))

        self._plan_down(plan, kept, v, out, (*out, *wrt), step)
        return adjoints

    def plan_samples(self, plan, y, kept, v, out, samples):
        def step(i, layer, y, own, v, wanted):
            layer.plan_samples(plan, y, own, v, wanted, Within(samples, f"{i}."))

        self._plan_down(plan, kept, v, out, (*out, *samples.names), step)

    def plan_curved(self, plan, y, kept, adjoint, tangent, dv, out):
        def step(i, layer, y, own, dv, wanted):
            if i in tangent:
                layer.plan_curved(plan, y, own, adjoint[i], tangent[i], dv, wanted)
            else:
                layer.plan_backward(plan, y, own, dv, wanted)

        self._plan_down(plan, kept, dv, out, out, step)

    def _plan_down(self, plan, kept, v, out, names, step):
        """step(i, layer, y, own, v, wanted) for each layer, from the last to the lowest that one of the names is of: v is what
        comes back to its y, unmultiplied, and wanted what of `out` it fills, with "x" where a layer below needs that."""
        by_layer, dx = _by_layer(out), out.get("x")
        lowest = -1 if "x" in names else min(_by_layer(dict.fromkeys(names)), default=len(self.layers))
        for i in reversed(range(max(lowest, 0), len(self.layers))):
            layer, (x, y, own) = self.layers[i], kept[i]
            if layer.reshapes:
                v = v.reshape(x.shape)
                continue
            plan.layer, wanted, under = _label(i, layer), by_layer.get(i, {}), self._under(i)
            if under is None and dx is not None:
                wanted["x"] = dx.reshape(x.shape)
            elif under is not None and i > lowest:
                wanted["x"] = plan.empty(*x.shape)
            step(i, layer, y, own, v, wanted)
            v = wanted.get("x")
        plan.layer = None
        if dx is not None and all(layer.reshapes for layer in self.layers):
            multiply(plan, v, dx)

    def plan_buffers(self, plan, kept):
        for i, (layer, (_, _, own)) in enumerate(zip(self.layers, kept, strict=True)):
            if i not in self._still:
                layer.plan_buffers(plan, own)

    def update_buffers(self, kept):
        if self.planned:
            super().update_buffers(kept)
            return
        for i, (layer, jac) in enumerate(zip(self.layers, kept, strict=True)):
            if i not in self._still:
                layer.update_buffers(jac.kept)

    # where a layer is the user's own

    def mv(self, kept, directions):
        dx, by_layer = directions.get("x"), _by_layer(directions)
        for i, jac in enumerate(kept):
            given = by_layer.get(i, {}) | ({} if dx is None else {"x": dx})
            if given:
                dx = jac.mv(**given)
        return np.zeros_like(kept[-1].y) if dx is None else dx

    def tmv(self, kept, v, wrt):
        result, by_layer = {}, _by_layer(dict.fromkeys(wrt))
        lowest = min(by_layer, default=len(kept))
        for i in range(len(kept) - 1, -1, -1):
            own = tuple(by_layer.get(i, ()))
            more = ("x",) if "x" in wrt or lowest < i else ()
            found = kept[i].tmv(v, (*own, *more)) if own or more else {}
            result |= {f"{i}.{name}": found[name] for name in own}
            if not more:
                return result
            v = found["x"]
        return result | {"x": v}

    def hessian_mv(self, kept, v, directions, wrt):
        along, dx, by_layer = [], directions.get("x"), _by_layer(directions)
        for i, jac in enumerate(kept):
            along.append(by_layer.get(i, {}) | ({} if dx is None else {"x": dx}))
            if along[i] and i < len(kept) - 1:
                dx = jac.mv(**along[i])
        result, wanted = {}, _by_layer(dict.fromkeys(wrt))
        lowest, dv = -1 if "x" in wrt else min(wanted, default=len(kept)), None
        for i in reversed(range(max(lowest, 0), len(kept))):
            own = (*wanted.get(i, ()), *(("x",) if i > lowest else ()))
            found = kept[i].hessian_mv(v, own, **along[i]) if along[i] and own else {}
            if dv is not None:
                moved = kept[i].tmv(dv, own)
                found = {name: a + found[name] if found else a for name, a in moved.items()}
            elif not found:
                found = {name: np.zeros(kept[i].shape_of(name), v.dtype) for name in own}
            result |= {f"{i}.{name}": found[name] for name in wanted.get(i, ())}
            dv = found.get("x")
            if i > max(lowest, 0):
                v = kept[i].tmv(v, ("x",))["x"]
        return result if "x" not in wrt else result | {"x": dv}


def _sizes(shape):
    """What a user gives for a shape: an integer or several."""
    return shape if np.ndim(_check.as_array(shape, "input_shape")) else (shape,)


def _through(layers, shape, step):
    """What is left of a sample's shape after step(layer, shape) of one layer after the other. A ValueError says which it is of."""
    for i, layer in enumerate(layers):
        try:
            shape = step(layer, shape)
        except ValueError as error:
            raise ValueError(str(error) if i == 0 else f"layers[{i}]: {error}") from None
    return shape


def _label(i, layer):
    """What a plan calls the layer whose jobs it shows."""
    return f"{i} {type(layer).__name__}"


def _by_layer(named):
    """A dict by the network's names as {index of a layer: dict by the layer's own names}; without "x"."""
    parts = {}
    for name, a in named.items():
        i, dot, own = name.partition(".")
        if dot:
            parts.setdefault(int(i), {})[own] = a
    return parts
