"""The arguments of the references as float64 arrays."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _check

Float64Array: TypeAlias = NDArray[np.float64]


def float64(**arrays: ArrayLike) -> list[Float64Array]:
    """All of them, by the names of the arguments, as float64 arrays."""
    arrays = {name: _check.as_array(a, name) for name, a in arrays.items()}
    for name, a in arrays.items():
        _check.float_dtype(a.dtype, name)
    return [np.asarray(a, dtype=np.float64) for a in arrays.values()]
