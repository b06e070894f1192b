"""The arrays of a layer: parameters and buffers by name, how they are before anything is learnt, and as one flat vector theta."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import numpy as np

from .. import _check
from .._kernels.plan import Plan
from .._typing import ArrayLike, FloatArray


class Parameters(dict[str, FloatArray]):
    """A layer's parameters, {name: array}, in the order of theta, or its buffers. The arrays are views of a network's theta, and
    plans point into them: write into them (``params["W"] *= 2`` does), they cannot be exchanged."""

    def _refuse(self, *arguments: Any, **more: Any) -> NoReturn:
        raise TypeError(
            "params and buffers cannot be exchanged, for others hold them; write into them: params['W'][...] = values"
        )

    if not TYPE_CHECKING:  # which know those of a dict
        __delitem__ = __ior__ = update = pop = popitem = clear = setdefault = _refuse

    def __setitem__(self, name: str, array: FloatArray) -> None:
        if name not in self or self[name] is not array:  # `params[name] += 1` puts the array back that it got
            self._refuse()

    def __reduce__(self) -> tuple[Any, ...]:
        return Parameters, (dict(self),)


class Initial(NamedTuple):
    """A parameter or buffer before it is made: its shape, and its values: random ones if there is a gain, random digits of 16 bits,
    which are whole numbers, else a constant."""

    shape: tuple[int, ...]
    gain: float | None = None
    constant: float = 0.0
    digits: bool = False

    def made(self, dtype: np.dtype[Any], rng: np.random.Generator) -> FloatArray:
        """The array. Random values are normal of variance gain^2 / n, for sums of n terms, so that these are as large as the inputs
        (LeCun et al. 1998; gain sqrt(2) for relu: He et al. 2015)."""
        if self.digits:
            return rng.integers(0, 1 << 16, self.shape).astype(dtype)
        if self.gain is None:
            return np.full(self.shape, self.constant, dtype)
        n = math.prod(self.shape[1:])
        scale = self.gain / np.sqrt(n)
        return np.ascontiguousarray((scale * rng.standard_normal((self.shape[0], n))).astype(dtype)).reshape(self.shape)


def make(initial: Mapping[str, Initial], dtype: np.dtype[Any], rng: np.random.Generator) -> dict[str, FloatArray]:
    """{name: array} of {name: Initial}, drawn in this order. MemoryError, before any is made, where they take too much."""
    size = sum(math.prod(one.shape) * (dtype.itemsize + (8 if one.gain else 0)) for one in initial.values())  # drawn in float64
    _check.memory(size, f"weights of shape {' and '.join(str(one.shape) for one in initial.values())}")
    return {name: one.made(dtype, rng) for name, one in initial.items()}


class Unseeded(NamedTuple):
    """Where the parameters, and seeds, of a layer made without rng= came from: the entropy of the generator, and what it drew,
    {name: Initial}; draws : what a layer of its settings draws."""

    entropy: int
    drew: dict[str, Initial]
    draws: dict[str, Initial]

    def still(self, arrays: Mapping[str, FloatArray]) -> bool:
        """Whether these, {name: array}, are what was drawn, to the bit: nobody has assigned others."""
        arrays = {name: arrays[name] for name in self.drew}
        drawn = make(self.drew, one_dtype(arrays), np.random.default_rng(self.entropy))
        return all(a.tobytes() == drawn[name].tobytes() for name, a in arrays.items())


def as_parameters(arrays: Mapping[str, ArrayLike] | None, what: str) -> Parameters:
    """Parameters or buffers as layers hold them; what: which of them. TypeError or ValueError for what cannot be such."""
    if not isinstance(arrays, Mapping | None):
        raise TypeError(f"{what} is a {type(arrays).__name__}; expected a dict of arrays by name")
    for name in arrays or {}:
        if not isinstance(name, str):
            raise TypeError(f"{what} has the name {_check.shown(name)}; expected text")
    return Parameters({name: _check.parameter(a, f"{what}[{name!r}]") for name, a in (arrays or {}).items()})


def one_dtype(params: Mapping[str, FloatArray]) -> np.dtype[Any] | None:
    """The dtype of all parameters, None where there are none. TypeError where there are two."""
    dtypes = {a.dtype for a in params.values()}
    if len(dtypes) > 1:
        raise TypeError(f"params have dtypes {sorted(map(str, dtypes))}; expected one of them for all")
    return dtypes.pop() if dtypes else None


def check_params(own: Mapping[str, FloatArray], params: Mapping[str, ArrayLike]) -> None:
    """ValueError unless params has the names and shapes of a layer's own."""
    if not isinstance(params, Mapping):
        raise TypeError(f"params is a {type(params).__name__}; expected a dict of arrays by name")
    if list(params) != list(own):
        raise ValueError(f"params has the names {_check.shown(list(params))}; expected {list(own)}")
    for name, array in params.items():
        what = f"params[{name!r}]"
        _check.shape(_check.as_array(array, what), what, own[name].shape)


def views(theta: FloatArray, params: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """{name: view of theta, flat, of the parameter's shape}."""
    named, start = {}, 0
    for name, a in params.items():
        named[name] = theta[start : start + a.size].reshape(a.shape)
        start += a.size
    return named


def joined(arrays: list[FloatArray]) -> FloatArray:
    """All of them in one new vector, from the pool, for it is what every step goes over."""
    if not arrays:
        return np.empty(0)
    vector = Plan(arrays[0].dtype.num).empty(sum(a.size for a in arrays))
    return np.concatenate([a.ravel() for a in arrays], out=vector)
