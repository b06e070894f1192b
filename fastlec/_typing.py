"""Names for the types of public arguments and results.

Results have the dtype of the computation: `FloatArray` where that depends on what the caller may have computed beforehand, an
overload with `F` where an argument's dtype decides.
"""

from collections.abc import Sequence
from typing import Any, Literal, Protocol, TypeAlias, TypeVar, overload

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

__all__ = [
    "ActivationName",
    "ArrayLike",
    "Axis",
    "Batch",
    "DTypeLike",
    "F",
    "FloatArray",
    "IntArray",
    "Loss",
    "NDArray",
    "Out",
    "Pair",
    "Seed",
    "Shape",
    "Single",
]

F = TypeVar("F", np.float32, np.float64)
FloatArray: TypeAlias = NDArray[np.floating[Any]]
IntArray: TypeAlias = NDArray[np.intp]
Seed: TypeAlias = int | np.random.Generator
Shape: TypeAlias = tuple[int, ...]
Pair: TypeAlias = int | tuple[int, int]  # of images: (vertical, horizontal)
ActivationName: TypeAlias = Literal[
    "tanh", "sigmoid", "relu", "gelu", "gelu_tanh", "silu", "softplus", "elu", "leaky_relu", "identity"
]
Axis: TypeAlias = int | tuple[int, ...] | None
Single: TypeAlias = NDArray[np.float32] | NDArray[np.float16]  # computed in float32
Out: TypeAlias = NDArray[F] | tuple[NDArray[F]] | None


class Elementwise(Protocol):
    """A function of each element, like `fastlec.tanh`."""

    @overload
    def __call__(self, x: Single, *, out: Out[np.float32] = None) -> NDArray[np.float32]: ...
    @overload
    def __call__(self, x: np.float32 | np.float16, *, out: None = None) -> np.float32: ...
    @overload
    def __call__(self, x: float, *, out: None = None) -> np.float64: ...
    @overload
    def __call__(self, x: ArrayLike, *, out: Out[np.float64] = None) -> NDArray[np.float64]: ...


class WithAlpha(Protocol):
    """One with the parameter of `fastlec.elu`."""

    @overload
    def __call__(self, x: Single, *, alpha: float = 1.0, out: Out[np.float32] = None) -> NDArray[np.float32]: ...
    @overload
    def __call__(self, x: np.float32 | np.float16, *, alpha: float = 1.0, out: None = None) -> np.float32: ...
    @overload
    def __call__(self, x: float, *, alpha: float = 1.0, out: None = None) -> np.float64: ...
    @overload
    def __call__(self, x: ArrayLike, *, alpha: float = 1.0, out: Out[np.float64] = None) -> NDArray[np.float64]: ...


Approximate: TypeAlias = Literal["none", "tanh"]


class WithApproximate(Protocol):
    """One with the parameter of `fastlec.gelu`."""

    @overload
    def __call__(self, x: Single, *, approximate: Approximate = "none", out: Out[np.float32] = None) -> NDArray[np.float32]: ...
    @overload
    def __call__(self, x: np.float32 | np.float16, *, approximate: Approximate = "none", out: None = None) -> np.float32: ...
    @overload
    def __call__(self, x: float, *, approximate: Approximate = "none", out: None = None) -> np.float64: ...
    @overload
    def __call__(
        self, x: ArrayLike, *, approximate: Approximate = "none", out: Out[np.float64] = None
    ) -> NDArray[np.float64]: ...


class WithNegativeSlope(Protocol):
    """One with the parameter of `fastlec.leaky_relu`."""

    @overload
    def __call__(self, x: Single, *, negative_slope: float = 0.01, out: Out[np.float32] = None) -> NDArray[np.float32]: ...
    @overload
    def __call__(self, x: np.float32 | np.float16, *, negative_slope: float = 0.01, out: None = None) -> np.float32: ...
    @overload
    def __call__(self, x: float, *, negative_slope: float = 0.01, out: None = None) -> np.float64: ...
    @overload
    def __call__(self, x: ArrayLike, *, negative_slope: float = 0.01, out: Out[np.float64] = None) -> NDArray[np.float64]: ...


Batch: TypeAlias = slice | Sequence[int] | NDArray[np.integer[Any]] | NDArray[np.bool_] | None


class Loss(Protocol):
    """A loss, fastlec's or the user's own; `fastlec.training.losses` lists the methods that it may have besides."""

    def targets(self, y: Any, shape: tuple[int, ...], dtype: Any, /) -> NDArray[Any]: ...

    def value_and_gradient(self, output: Any, y: Any, /) -> tuple[float, NDArray[Any]]: ...
