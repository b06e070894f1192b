"""The arguments of the references as float64 arrays."""

import numpy as np

from .. import _check


def float64(**arrays):
    """All of them, by the names of the arguments, as float64 arrays."""
    arrays = {name: _check.as_array(a, name) for name, a in arrays.items()}
    for name, a in arrays.items():
        _check.float_dtype(a.dtype, name)
    return [np.asarray(a, dtype=np.float64) for a in arrays.values()]
