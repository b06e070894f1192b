"""Layers that are made of layers, as networks and branches are: one flat vector theta of all parameters, of which those of the
layers are views; their copies, forms for training, and files. What they compute of x with their layers, the subclasses say."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NoReturn, Self, SupportsIndex, TypeVar, overload

import numpy as np

from .. import _check
from .._kernels.calls import Calls
from .._typing import ArrayLike, DTypeLike, FloatArray, Seed
from ..layers.base import Layer
from ..layers.parameters import Parameters, as_parameters, check_params, joined, one_dtype
from ..layers.planned import PlannedLayer
from .jacobian import NetworkJacobian, PlannedNetworkJacobian

T = TypeVar("T")
_BOUND = {
    "params",
    "buffers",
    "dtype",
    "layers",
    "_planned",
    "_theta",
    "_depth",
    "_calls",
}  # what follows from layers and theta
LINE = 88  # characters of a repr in one line
MOST_IDLE = 8  # plans that are kept for the next call, of all shapes and dtypes
IDLE_BYTES = 1 << 26  # what they may hold
MOST_DEPTH = 64  # networks within networks: each level takes some of Python's stack


class Layers(tuple[Layer, ...]):
    """A network's layers: they were put together once, and cannot be exchanged. What is cut out of them takes more from any list or
    tuple: ``net.layers[:-1] + [Dense(...)]``."""

    @overload
    def __getitem__(self, which: SupportsIndex) -> Layer: ...
    @overload
    def __getitem__(self, which: slice) -> Layers: ...
    def __getitem__(self, which: Any) -> Any:
        found = super().__getitem__(which)
        return Layers(found) if isinstance(which, slice) else found

    def __add__(self, more: Iterable[Layer]) -> Layers:  # type: ignore[override]
        return Layers((*self, *more))

    def __radd__(self, more: Iterable[Layer]) -> Layers:
        return Layers((*more, *self))

    def _refuse(self, *arguments: Any, **more: Any) -> NoReturn:
        raise TypeError(
            "a network's layers cannot be exchanged; make a new one, which copies their parameters: "
            "Network([*net.layers[:-1], Dense(...)])"
        )

    if not TYPE_CHECKING:  # which know that a tuple has none of these
        __setitem__ = __delitem__ = append = extend = insert = pop = remove = clear = reverse = sort = _refuse


class Container(PlannedLayer):
    """A layer made of layers. What it makes of x with them, a subclass says besides the methods of every planned layer:

        _joint(layers, shape)   `_fits` of these layers, which may not yet be this one's
        _taken(shape)           the shape of a sample that each layer takes, for samples of x of this shape

    kept is [(x, y, kept) of each layer], with None for kept of one that reshapes; where a layer is the user's own, [its Jacobian].
    """

    _takes_epilogue = True
    _by_blocks = False  # whether explicit Jacobians are made of those of single samples
    _still = frozenset()  # layers whose buffers training steps leave as they are

    layers: Layers
    _theta: FloatArray

    def __init__(self, layers: Iterable[Layer], rng: Seed | None = None) -> None:
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
        self._joint(layers, None)
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
        planned = type(self)._planned and all(isinstance(layer, PlannedLayer) and layer._planned for layer in placed)
        vars(self).update(
            layers=Layers(placed),
            buffers=Parameters(buffers),  # the very arrays
            _planned=planned,
            _theta=theta,
            _depth=1 + max(layer._depth for layer in placed),
            _calls=Calls(MOST_IDLE, IDLE_BYTES),
        )

    def __getstate__(self) -> dict[str, Any]:
        return {name: a for name, a in vars(self).items() if name not in _BOUND} | {"layers": list(self.layers)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._bind_copies(vars(self).pop("layers"))

    def _instead(self, name):
        if name == "layers":
            kind = self._kind()
            return f"make a new {kind}, which copies their parameters: {kind}([*net.layers[:-1], Dense(...)])"
        return Layer._instead(self, name)

    def with_settings(self, **settings: Any) -> NoReturn:
        """Refuse: a layer made of layers has no settings but theirs.

        Parameters
        ----------
        **settings : object
            None can be given: make a new one of other layers.

        Raises
        ------
        TypeError
            Always.
        """
        raise TypeError(f"a {self._kind()} has no settings; make a new one of other layers: {self._kind()}([...])")

    @classmethod
    def _kind(cls):
        """The name of the class, of fastlec's, that it is or that it is made from."""
        return next(base for base in cls.__mro__ if getattr(base, "_of_fastlec", False)).__name__

    @property
    def couples_samples(self) -> bool:
        """Whether a sample of y depends on other samples of x than its own: where a layer says so."""
        return any(layer.couples_samples for layer in self.layers)

    @property
    def n_params(self) -> int:
        return self._theta.size

    @property
    def theta(self) -> FloatArray:
        """All parameters in one vector (n_params,), of which the layers' are views. Assigning copies into it."""
        return self._theta

    @theta.setter
    def theta(self, theta: ArrayLike) -> None:
        theta, _ = _check.vector(theta, self.n_params, self._theta.dtype, "theta", "all parameters of the network")
        self._theta[...] = theta

    def with_theta(self, theta: ArrayLike) -> Self:
        """Return the same layers and buffers with other parameters.

        Parameters
        ----------
        theta : array_like, shape (n_params,)
            All parameters in one vector, which the new parameters are views of. It is copied only where its dtype is another one.

        Returns
        -------
        Network
            A network of the same class.

        Raises
        ------
        ValueError
            If theta has another shape.
        """
        theta, _ = _check.vector(theta, self.n_params, self._theta.dtype, "theta", "all parameters of the network")
        return self._bound_to(theta)

    def with_params(self, params: Mapping[str, ArrayLike]) -> Self:
        """Return the same layers with other parameters, which are copied, and copies of the buffers.

        Parameters
        ----------
        params : dict of arrays
            The parameters by the network's names, all float32 or all float64. They are copied into a theta of their own.

        Returns
        -------
        Network
            A network of the same class.

        Raises
        ------
        ValueError
            If names or shapes are not those of the network's own parameters.
        """
        check_params(self.params, params)
        params = as_parameters(params, "params")
        one_dtype(params)
        return self._bound_to(joined(list(params.values())), own=True)

    def astype(self, dtype: DTypeLike) -> Self:
        """Return a copy that computes in another dtype.

        Parameters
        ----------
        dtype : dtype
            The dtype that parameters and buffers are converted to, float32 or float64. Of a layer of your own nothing else that it
            holds is converted.

        Returns
        -------
        Network
            A network of the same class, with its own arrays.

        Raises
        ------
        ValueError
            If float32 cannot hold a number.

        Examples
        --------
        >>> import fastlec
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

    def for_training(self, trainable: str | Iterable[str] | None = None) -> Self:
        """Return the network that training steps use, on the same theta and buffers.

        Parameters
        ----------
        trainable : str or iterable of str, optional
            Names of parameters and buffers, by default all. A layer that has some, but none of these, stays what ``net(x)`` makes
            of it, and `update_buffers` passes it by.

        Returns
        -------
        Network
            The form for training; the network itself unless a layer has another one.
        """
        names = () if trainable is None else _check.names(trainable, "trainable")
        layers, still, by_layer = [], set(), by_layer_of(dict.fromkeys(names))
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

    def _bound_to(self, theta, own=False, layers=None, kept=()):
        other = object.__new__(type(self))
        vars(other).update(vars(self))
        other._bind(self.layers if layers is None else layers, theta, own, kept)
        return other

    def _fits(self, shape):
        return self._joint(self.layers, shape)

    def _widest(self, shape):
        inner = [layer._widest(taken) for layer, taken in zip(self.layers, self._taken(shape), strict=True)]
        return max(*inner, math.prod(self.output_shape(shape)))

    def _kept_values(self, shape):
        return sum(layer._kept_values(taken) for layer, taken in zip(self.layers, self._taken(shape), strict=True))

    @property
    def linear_in_x(self) -> bool:
        """Whether y is an affine function of x: where each layer says so."""
        return all(layer.linear_in_x for layer in self.layers)

    def __repr__(self) -> str:
        kind, layers = type(self).__name__, list(map(repr, self.layers))
        line = f"{kind}([{', '.join(layers)}])"
        if len(line) <= LINE and "\n" not in line:
            return line
        lines = "".join(f"{layer},\n" for layer in layers).splitlines(keepends=True)
        return f"{kind}([\n{''.join(f'    {line}' for line in lines)}])"

    def config(self) -> dict[str, Any]:
        """Return the layers as what JSON can hold.

        Returns
        -------
        dict
            {"layers": [...]}, each layer by its kind and the arguments of its constructor.

        Raises
        ------
        TypeError
            If it is of a class of your own, or a layer is neither fastlec's own nor registered.
        """
        if not type(self)._of_fastlec:
            raise TypeError(
                f"a network is a {type(self).__name__}, which a file does not hold: save {self._kind()}(net.layers)"
            )
        return {"layers": [layer._described() for layer in self.layers]}

    def _described(self):
        """The layer as what JSON can hold."""
        return {"kind": self._kind(), **self.config()}

    # --- the layer's contract ----------------------------------------------------------------------------------------

    def value_and_jac_mv(self, x: ArrayLike, /, **directions: ArrayLike) -> tuple[FloatArray, FloatArray]:
        method = PlannedLayer.value_and_jac_mv if self._planned else Layer.value_and_jac_mv
        return method(self, x, **directions)

    def hessian_mv(
        self, kept: Any, v: FloatArray, directions: dict[str, FloatArray], wrt: tuple[str, ...]
    ) -> dict[str, FloatArray]:
        """Compute products with second derivatives, for ``jac.hessian_mv``, where a layer is your own.

        Parameters
        ----------
        kept : object
            What `evaluate` kept.
        v : ndarray, shape (m, ...)
            An array of the shape of y.
        directions : dict of arrays
            A direction for each variable to be moved, of its shape.
        wrt : tuple of str
            The variables of the result.

        Returns
        -------
        dict of arrays
            The derivative of J' v along the directions, for each variable in wrt.
        """
        raise self._undefined("hessian_mv")

    @property
    def _plans_second(self):
        return self._planned and all(layer._plans_second for layer in self.layers)

    def _jacobian_of(self, x, y, kept):
        return (PlannedNetworkJacobian if self._planned else NetworkJacobian)(self, x, y, kept)

    def _plan_buffers(self, plan, kept):
        for i, (layer, (_, _, own)) in enumerate(zip(self.layers, kept, strict=True)):
            if i not in self._still:
                layer._plan_buffers(plan, own)

    def update_buffers(self, kept: Any) -> None:
        if self._planned:
            super().update_buffers(kept)
            return
        for i, (layer, jac) in enumerate(zip(self.layers, kept, strict=True)):
            if i not in self._still:
                layer.update_buffers(jac.kept)


def labelled(i: int, method: Callable[..., Any], *arguments: Any) -> Any:
    """method(*arguments) of layer i. A ValueError says which it is of."""
    try:
        return method(*arguments)
    except ValueError as error:
        raise ValueError(f"layers[{i}]: {error}") from None


def label(above: str | None, i: int, layer: Layer) -> str:
    """What a plan calls layer i, whose jobs it shows, of a layer that it calls `above`: within others "1.0.2 Dense"."""
    path = above.partition(" ")[0] + "." if above and above[0].isdigit() else ""
    return f"{path}{i} {type(layer).__name__}"


def by_layer_of(named: Mapping[str, T]) -> dict[int, dict[str, T]]:
    """A dict by the network's names as {index of a layer: dict by the layer's own names}; without "x"."""
    parts = {}
    for name, a in named.items():
        i, dot, own = name.partition(".")
        if dot:
            parts.setdefault(int(i), {})[own] = a
    return parts
