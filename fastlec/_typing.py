"""Names for the types of public arguments and results.

Results have the dtype of the computation: `FloatArray` where that depends on what the caller may have computed beforehand, an
overload with `F` where an argument's dtype decides.
"""

from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["ArrayLike", "F", "FloatArray", "IntArray", "NDArray", "Seed"]

F = TypeVar("F", np.float32, np.float64)
FloatArray: TypeAlias = NDArray[np.floating[Any]]
IntArray: TypeAlias = NDArray[np.intp]
Seed: TypeAlias = int | np.random.Generator
