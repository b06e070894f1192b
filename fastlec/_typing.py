"""Names for the types of public arguments and results.

Results have the dtype of the computation: `FloatArray` where that depends on what the caller may have computed beforehand, an
overload with `F` where an argument's dtype decides.
"""

from typing import Any, Literal, TypeAlias, TypeVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

__all__ = ["ActivationName", "ArrayLike", "DTypeLike", "F", "FloatArray", "IntArray", "NDArray", "Pair", "Seed", "Shape"]

F = TypeVar("F", np.float32, np.float64)
FloatArray: TypeAlias = NDArray[np.floating[Any]]
IntArray: TypeAlias = NDArray[np.intp]
Seed: TypeAlias = int | np.random.Generator
Shape: TypeAlias = tuple[int, ...]
Pair: TypeAlias = int | tuple[int, int]  # of images: (vertical, horizontal)
ActivationName: TypeAlias = Literal[
    "tanh", "sigmoid", "relu", "gelu", "gelu_tanh", "silu", "softplus", "elu", "leaky_relu", "identity"
]
