"""A network is a layer made of layers (lecture eq. 19 and 20), with all parameters in one flat vector theta.

Its derivative is back-propagation (chapter 4): from the last layer to the first, each layer's JacTMV. Where all layers are
fastlec's own, forward and backward pass are one list of jobs each, run by one call.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from .. import _check
from .._kernels.calls import key_of
from .._kernels.plan import Plan
from .._stream import Stream
from .._typing import ArrayLike, FloatArray, IntArray, Shape
from ..layers._samples import Within
from ..layers.base import Layer
from ..layers.planned import multiply, plan_transposed, plan_transposed_many, reshaped
from ..layers.registry import kind
from .container import Container, by_layer_of, label, labelled
from .forward import chunk_size
from .prediction import outputs, predicted, probabilities
from .summary import Summary


@kind
class Network(Container):
    """A network of layers, one after the other (lecture eq. 19 and 24).

    A network is a layer itself: it has the same methods, and may be a layer of another network. All its parameters lie in one flat
    vector, `theta`. Its JacTMV is back-propagation, from the last layer to the first (lecture eq. 28 to 30)::

        x_0 = x,  x_{i+1} = f_i(theta_i, x_i),  y = x_L
        JacMV      dx_{i+1} = J_i,x dx_i + J_i,theta dtheta_i
        JacTMV     v_i = J_i,x' v_{i+1},  dtheta_i = J_i,theta' v_{i+1}

    Derivatives may also be taken by "theta", all parameters in one vector: ``jac.mv(theta=v)``, ``jac.tmv(u, "theta")``.

    Parameters
    ----------
    layers : iterable of Layer
        The layers. The network has copies of them whose parameters are views of theta, so one layer may be given to several
        networks, or twice to one: each place has parameters of its own. The layers given never change.
    rng : int or numpy.random.Generator, optional
        A seed or generator, from which every layer draws new weights: one seed gives one network. Layers keep their parameters if
        they were made with ``rng=``, assigned, loaded or trained, and so do layers of your own. By default all keep them.

    Attributes
    ----------
    layers : tuple of Layer
        The network's copies of the layers. It cannot be changed: ``Network([*net.layers[:-1], Dense(...)])`` is a new network with
        copies of what the other layers learnt.
    params : dict of arrays
        {"0.W": view of theta, "0.b": view, "1.W1": ...}, in the order of theta. A network within a network has names such as
        "2.0.W".
    buffers : dict of arrays
        {"1.running_mean": ...}, the arrays of the layers. Networks that share theta share them too.

    Raises
    ------
    ValueError
        If layers is empty, the layers do not fit each other, as far as they tell, or networks are nested more than 64 deep.
    TypeError
        If something in layers is no layer, or layers have different dtypes.

    See Also
    --------
    Sum, Concat, fit

    Notes
    -----
    Copies of all kinds of a subclass keep its class and attributes; an attribute that is one of the layers given becomes the
    network's copy of it. `save` takes networks of this class only.

    Examples
    --------
    >>> import numpy as np
    >>> import fastlec
    >>> net = fastlec.Network([fastlec.Dense(2, 16), fastlec.Residual(16), fastlec.Dense(16, 3, "identity")], rng=0)
    >>> net.summary()
    layer             output   parameters
    0 Dense tanh      (m, 16)          48  W 16 x 2, b 16
    1 Residual tanh   (m, 16)         528  W1 16 x 16, b 16, W2 16 x 16
    2 Dense identity  (m, 3)           51  W 3 x 16, b 3
    total                             627  float64
    >>> y, jac = net.linearize([[1.0, 2.0]])
    >>> jac.tmv([[1.0, 0.0, 0.0]], "theta")["theta"].shape
    (627,)
    """

    _by_blocks = True

    def _part(self, first: int, last: int) -> Network:
        """The network of the layers first to last - 1, the very same, on their part of theta."""
        layers, start = self.layers[first:last], sum(layer.n_params for layer in self.layers[:first])
        theta = self._theta[start : start + sum(layer.n_params for layer in layers)]
        made = object.__new__(Network)
        made._bind(layers, theta, kept=layers)
        vars(made)["_still"] = frozenset(i - first for i in self._still if first <= i < last)
        return made

    @property
    def input_shape(self) -> tuple[int | None, ...] | None:
        """The shape of one sample of x, as far as the first layer tells it."""
        return self.layers[0].input_shape

    def _joint(self, layers, shape):
        return _through(layers, shape, lambda layer, shape: layer._fits(shape))

    def output_shape(self, shape: Shape) -> Shape:
        return _through(self.layers, shape, lambda layer, shape: layer._shape_after(shape))

    def check_batch(self, m: int, shape: Shape) -> None:
        def checked(layer, shape):
            layer.check_batch(m, shape)
            return layer._shape_after(shape)

        _through(self.layers, shape, checked)

    def _taken(self, shape):
        return list(itertools.accumulate(self.layers[:-1], lambda shape, layer: layer.output_shape(shape), initial=shape))

    @property
    def affine_in_theta(self) -> bool:
        """Whether y is an affine function of theta.

        That is so where one layer, such as a `Dense` or `Conv2d` with "identity", has parameters and is affine in them, and what
        follows it is linear, without parameters: identities, `Flatten`, `AvgPool2d`.
        """
        first = next((i for i, layer in enumerate(self.layers) if layer.n_params), None)
        if first is None:
            return True
        following = self.layers[first + 1 :]
        return self.layers[first].affine_in_theta and all(layer.linear_in_x and not layer.n_params for layer in following)

    @property
    def _takes_sum(self):
        """Whether its lowest layer, above those that reshape, takes one."""
        if not self._planned:
            return False
        lowest = next((layer for layer in self.layers if not layer._reshapes), None)
        return lowest is None or lowest._elementwise or lowest._takes_sum

    @property
    def _outermost(self):
        """The activation that is applied last, below layers that reshape; None also where a layer is the user's own."""
        last = self._under(len(self.layers)) if self._planned else None
        return None if last is None else self.layers[last]._outermost

    def _outer_derivative(self, y, kept):
        last = self._under(len(self.layers))
        return None if last is None else reshaped(self.layers[last]._outer_derivative(*kept[last][1:]), y.shape)

    def summary(self, input_shape: int | Shape | None = None) -> Summary:
        """Return a table of the layers: what they give of one sample, and their parameters.

        Parameters
        ----------
        input_shape : int or tuple of int, optional
            The shape of one sample of x, such as (1, 28, 28). Without it, outputs are shown where the first layer tells its input,
            as dense layers do and those of images do not.

        Returns
        -------
        str
            The table. A console shows it line by line without ``print``, a notebook as a table.

        Raises
        ------
        ValueError
            If the layers take no such samples.
        """
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
            kind = getattr(kind, "activation", kind)  # of an `Activation`, its name
            rows.append((f"{i} {type(layer).__name__}" + (f" {kind}" if kind else ""), output, str(layer.n_params), parts))
        rows.append(("total", "", str(self.n_params), f"{self._theta.dtype}"))
        return Summary(rows)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write layers and parameters to a file, all or nothing.

        Parameters
        ----------
        path : str or path-like
            The file, .npz or .safetensors.

        Raises
        ------
        io.ModelError
            If the file cannot be written, or a parameter is not finite.
        TypeError
            If a layer is neither fastlec's own nor of a class that `register_layer` knows. For such a network save theta, and load
            it into a network that you build.
        """
        from . import files  # late: io takes a tenth of the time that importing fastlec takes

        files.save(path, self)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Network:
        """Read the network that `save` wrote, or that of a checkpoint of `fit`.

        Parameters
        ----------
        path : str or path-like
            The file. Of a checkpoint it is the best network, where early stopping restores that, else the last one.

        Returns
        -------
        Network
            The network, with its parameters and buffers.

        Raises
        ------
        io.ModelError
            If the file cannot be read, or any name, shape or dtype is not as it says.
        """
        if cls is not Network:
            raise TypeError(f"a file holds no {cls.__name__}; make one of Network.load(path).layers")
        from . import files

        return files.read(path)[0]

    def load_state_dict(
        self,
        state: Mapping[str, Any] | str | os.PathLike[str],
        names: Mapping[str, str] | list[str] | tuple[str, ...] | None = None,
    ) -> None:
        """Take parameters and buffers from another network or a model of PyTorch, all or nothing.

        Arrays are converted to the network's dtype. "num_batches_tracked" is passed over.

        Parameters
        ----------
        state : dict of arrays or tensors, or path
            The arrays by name, such as ``module.state_dict()``, or a .safetensors or .npz file of such. If it has the network's own
            names ("0.W"), they go by name. Else they go layer by layer in the order of state, where weight and bias are W and b, or
            gamma and beta. A .safetensors file does not tell the order: it follows from the numbers in its names, where all else is
            alike, or from shapes, or else names are needed.
        names : list of str or dict of str, optional
            The names in state in the order of the network, ``list(module.state_dict())``; or {name there: name here}, of layers or
            of arrays, such as {"conv1": "0", "fc.bias": "3.b"}.

        Raises
        ------
        ValueError
            If something does not match. The message lists it, and nothing is changed.
        io.ModelError
            If the file cannot be read.

        Examples
        --------
        >>> import numpy as np
        >>> import fastlec
        >>> net = fastlec.Network([fastlec.Dense(2, 3)])
        >>> net.load_state_dict({"fc.weight": np.ones((3, 2)), "fc.bias": np.arange(3.0)})
        >>> net.theta
        array([1., 1., 1., 1., 1., 1., 0., 1., 2.])
        """
        from . import state as states

        states.load(self, state, names)

    # --- the layer's contract ----------------------------------------------------------------------------------------

    def __call__(self, x: ArrayLike | Stream, *, out: FloatArray | None = None) -> FloatArray:
        if isinstance(x, Stream):
            return outputs(self, x, out)
        if not self._planned:
            return Layer.__call__(self, x, out=out)
        found = self._calls.call(key_of("y", (x,), ()), (x,), (out,))
        if found is not None:
            return found[0]
        net, x = self._prepared(x)
        size = chunk_size(net, x.shape[1:])
        if len(x) <= size:
            return net._filled(x, out)
        shape = len(x), *net.output_shape(x.shape[1:])
        y = _check.kernel_output(out, shape, x.dtype, Plan(x.dtype.num), (x, net.theta))
        for i in range(0, len(x), size):
            part = slice(i, i + size)
            net._filled(x[part], y[part])
        return y if y is out else _check.fill(out, y)

    def predict(self, X: ArrayLike) -> IntArray:
        """Return the most probable class of each sample.

        The network gives l >= 2 outputs, one for each class, as for `SoftmaxCrossEntropy`.

        Parameters
        ----------
        X : array_like, shape (m, ...)
            Samples. They are gone over and converted in parts, so X may be an np.memmap that is larger than memory.

        Returns
        -------
        ndarray of int64, shape (m,)
            The class of the largest output; of equal ones the first.

        Raises
        ------
        ValueError
            If the samples or the network do not fit, or an output is not finite: the message names the sample.

        Examples
        --------
        >>> import fastlec
        >>> X, y = fastlec.datasets.make_blobs(300, 3)
        >>> net = fastlec.Network([fastlec.Dense(2, 3, "identity")], rng=0)
        >>> history = fastlec.fit(net, X, y, optimizer=fastlec.SGD(0.5), epochs=20)
        >>> bool((net.predict(X) == y).mean() > 0.98)
        True
        """
        return predicted(self, X)

    def predict_proba(self, X: ArrayLike) -> FloatArray:
        """Return the probability of every class for each sample: softmax of the outputs (lecture eq. 10).

        Parameters
        ----------
        X : array_like, shape (m, ...)
            Samples. They are gone over in parts, as by `predict`.

        Returns
        -------
        ndarray, shape (m, l)
            The probabilities, in the dtype of ``net(X)``. The sum of a row is 1.

        Raises
        ------
        ValueError
            As `predict`.

        Examples
        --------
        >>> import numpy as np
        >>> import fastlec
        >>> net = fastlec.Network([fastlec.Dense(2, 3, "identity")], rng=0)
        >>> net.predict_proba(np.zeros((1, 2)))
        array([[0.33333333, 0.33333333, 0.33333333]])
        """
        return probabilities(self, X)

    def activations(self, x: ArrayLike) -> list[FloatArray]:
        """Compute what every layer gives, one after the other.

        Parameters
        ----------
        x : array_like, shape (m, ...)
            Samples.

        Returns
        -------
        list of ndarray
            The output of each layer, new arrays; the last of them is y.
        """
        net, x = self._prepared(x)
        values = []
        for layer in net.layers:
            x = layer(x)
            values.append(x)
        return values

    def evaluate(self, x: FloatArray) -> tuple[FloatArray, Any]:
        if self._planned:
            return super().evaluate(x)
        jacs = []
        for layer in self.layers:
            x, jac = layer.linearize(x)
            jacs.append(jac)
        return x, jacs

    def _takes_no_job(self, i):
        """Whether layer i takes no job: its y is a view of x. Not the last one, whose y is given."""
        return self.layers[i]._reshapes and i < len(self.layers) - 1

    def _under(self, i):
        """The index of the layer that computes what layer i takes, below those that reshape; None for the network's x."""
        return next((j for j in range(i - 1, -1, -1) if not self.layers[j]._reshapes), None)

    def _plan_forward(self, plan, x, y):
        kept = []
        above = plan.layer
        for i, layer in enumerate(self.layers):
            plan.layer, last = label(above, i, layer), i == len(self.layers) - 1
            shape = (len(x), *layer.output_shape(x.shape[1:]))
            if self._takes_no_job(i):
                kept.append((x, x.reshape(shape), None))
            else:
                value = y if last else plan.empty(*shape)
                kept.append((x, value, layer._plan_forward(plan, x, value)))
            x = kept[-1][1]
        plan.layer = above
        return kept

    def _plan_mv(self, plan, kept, directions, dy):
        self._plan_along(plan, kept, directions, dy, "_plan_mv")

    def _plan_mv_many(self, plan, kept, directions, dy):
        if self._plans_itself:
            super()._plan_mv_many(plan, kept, directions, dy)
        else:
            self._plan_along(plan, kept, directions, dy, "_plan_mv_many", dy.shape[:1])

    def _plan_along(self, plan, kept, directions, dy, method, many=()):
        """{i: what a method of layer i that fills dy gave}, of the layers that are moved by the directions. many: the first axis of
        arrays that are of several directions."""
        dx, by_layer, found = directions.get("x"), by_layer_of(directions), {}
        for i, (layer, (_, y, own)) in enumerate(zip(self.layers, kept, strict=True)):
            given = by_layer.get(i, {}) | ({} if dx is None else {"x": dx})
            if given and self._takes_no_job(i):
                dx = dx.reshape(*many, *y.shape)
            elif given:
                dx = dy if i == len(self.layers) - 1 else plan.empty(*many, *y.shape)
                found[i] = getattr(layer, method)(plan, own, given, dx)
        if dx is None:  # the direction is theta's, and there are no parameters
            zeros = plan.empty(*dy.shape)
            zeros[...] = 0
            multiply(plan, zeros, dy)
        return found

    def _plan_tmv(self, plan, kept, v, out, after=None):
        self._plan_back(plan, kept, v, out, after, plan_transposed)

    def _plan_tmv_many(self, plan, kept, v, out, after=None):
        if self._plans_itself:
            super()._plan_tmv_many(plan, kept, v, out, after)
        else:
            self._plan_back(plan, kept, v, out, after, plan_transposed_many, v.shape[:1])

    def _plan_back(self, plan, kept, v, out, after, transposed, many=()):
        """From the last layer to the lowest that something is wanted of. Before a layer gets v, it is multiplied by the derivative
        of that layer's activation: by the layer above, as its epilogue, or by a job. many: the first axis of arrays that are of
        several vectors v."""
        by_layer, dx, above = by_layer_of(out), out.get("x"), plan.layer
        lowest = -1 if "x" in out else min(by_layer, default=len(self.layers))
        for i in reversed(range(max(lowest, 0), len(self.layers))):
            layer, (x, _, own) = self.layers[i], kept[i]
            if layer._reshapes:
                v = v.reshape(*many, *x.shape)
                continue
            plan.layer = label(above, i, layer)
            wanted, epilogue, under = by_layer.get(i, {}), None, self._under(i)
            if i > lowest:
                below = after if under is None else self.layers[under]._outer_derivative(*kept[under][1:])
                epilogue = reshaped(below, x.shape)
                if layer._elementwise and under is not None and epilogue is None:
                    continue  # its derivative is in v, and there is no other
                wanted["x"] = dx.reshape(*many, *x.shape) if under is None else plan.empty(*many, *x.shape)
            transposed(plan, layer, own, v, wanted, epilogue)
            v = wanted.get("x")
        plan.layer = above
        if dx is not None and all(layer._reshapes for layer in self.layers):
            multiply(plan, v, dx, after)

    def _plan_tangent(self, plan, kept, directions, dy):
        return self._plan_along(plan, kept, directions, dy, "_plan_tangent")

    def _plan_adjoint(self, plan, y, kept, v, out, wrt):
        by_layer, adjoints = by_layer_of(dict.fromkeys(wrt)), {}

        def step(i, layer, y, own, v, wanted):
            adjoints[i] = layer._plan_adjoint(plan, y, own, v, wanted, ("x", *by_layer.get(i, ())))

        self._plan_down(plan, kept, v, out, (*out, *wrt), step)
        return adjoints

    def _plan_samples(self, plan, y, kept, v, out, samples):
        def step(i, layer, y, own, v, wanted):
            layer._plan_samples(plan, y, own, v, wanted, Within(samples, f"{i}."))

        self._plan_down(plan, kept, v, out, (*out, *samples.names), step)

    def _plan_curved(self, plan, y, kept, adjoint, tangent, dv, out):
        def step(i, layer, y, own, dv, wanted):
            if i in tangent:
                layer._plan_curved(plan, y, own, adjoint[i], tangent[i], dv, wanted)
            else:
                layer._plan_backward(plan, y, own, dv, wanted)

        self._plan_down(plan, kept, dv, out, out, step)

    def _plan_down(self, plan, kept, v, out, names, step):
        """step(i, layer, y, own, v, wanted) for each layer, from the last to the lowest that one of the names is of: v is what
        comes back to its y, unmultiplied, and wanted what of `out` it fills, with "x" where a layer below needs that."""
        by_layer, dx, above = by_layer_of(out), out.get("x"), plan.layer
        lowest = -1 if "x" in names else min(by_layer_of(dict.fromkeys(names)), default=len(self.layers))
        for i in reversed(range(max(lowest, 0), len(self.layers))):
            layer, (x, y, own) = self.layers[i], kept[i]
            if layer._reshapes:
                v = v.reshape(x.shape)
                continue
            plan.layer, wanted, under = label(above, i, layer), by_layer.get(i, {}), self._under(i)
            if under is None and dx is not None:
                wanted["x"] = dx.reshape(x.shape)
            elif under is not None and i > lowest:
                wanted["x"] = plan.empty(*x.shape)
            step(i, layer, y, own, v, wanted)
            v = wanted.get("x")
        plan.layer = above
        if dx is not None and all(layer._reshapes for layer in self.layers):
            multiply(plan, v, dx)

    # where a layer is the user's own

    def mv(self, kept: Any, directions: dict[str, FloatArray]) -> FloatArray:
        dx, by_layer = directions.get("x"), by_layer_of(directions)
        for i, jac in enumerate(kept):
            given = by_layer.get(i, {}) | ({} if dx is None else {"x": dx})
            if given:
                dx = jac.mv(**given)
        return np.zeros_like(kept[-1].y) if dx is None else dx

    def tmv(self, kept: Any, v: FloatArray, wrt: tuple[str, ...]) -> dict[str, FloatArray]:
        result, by_layer = {}, by_layer_of(dict.fromkeys(wrt))
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

    def hessian_mv(
        self, kept: Any, v: FloatArray, directions: dict[str, FloatArray], wrt: tuple[str, ...]
    ) -> dict[str, FloatArray]:
        along, dx, by_layer = [], directions.get("x"), by_layer_of(directions)
        for i, jac in enumerate(kept):
            along.append(by_layer.get(i, {}) | ({} if dx is None else {"x": dx}))
            if along[i] and i < len(kept) - 1:
                dx = jac.mv(**along[i])
        result, wanted = {}, by_layer_of(dict.fromkeys(wrt))
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
        shape = labelled(i, step, layer, shape) if i else step(layer, shape)
    return shape
