"""Names for the types of public arguments and results.

Results have the dtype of the computation: `FloatArray` where that depends on what the caller may have computed beforehand, an
overload with `F` where an argument's dtype decides.
"""

from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["ArrayLike", "Batch", "F", "FloatArray", "IntArray", "Loss", "NDArray", "Seed"]

F = TypeVar("F", np.float32, np.float64)
FloatArray: TypeAlias = NDArray[np.floating[Any]]
IntArray: TypeAlias = NDArray[np.intp]
Seed: TypeAlias = int | np.random.Generator
Batch: TypeAlias = slice | Sequence[int] | NDArray[np.integer[Any]] | NDArray[np.bool_] | None


class Loss(Protocol):
    """A loss, fastlec's or the user's own; `fastlec.training.losses` lists the methods that it may have besides."""

    def targets(self, y: Any, shape: tuple[int, ...], dtype: Any, /) -> NDArray[Any]: ...

    def value_and_gradient(self, output: Any, y: Any, /) -> tuple[float, NDArray[Any]]: ...
